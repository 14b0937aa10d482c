/* SPDX-License-Identifier: Apache-2.0 */
#include "io/helper_ring.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/slice.h"
#include "io/sigpipe.h"
#include "torc_test.h"

static uint16_t free_port(void) {
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t len = sizeof a;
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  assert_true(fd >= 0);
  assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
  assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
  close(fd);
  return ntohs(a.sin_port);
}

static void write_document(const hr_ring *r) {
  char xml[4096];
  char root[2048];
  char path[300];
  EVP_EncodeBlock((uint8_t *)root, r->ca.der, (int)r->ca.der_len);
  int len = snprintf(xml, sizeof xml,
                     "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
                     "<overlay xmlns=\"urn:ietf:params:xml:ns:p2p:overlay\" name=\"%s\">\n"
                     "  <dht name=\"%s\"/>\n  <root-cert>%s</root-cert>\n"
                     "  <bootstrap-peer address=\"127.0.0.1\" port=\"%u\"/>\n"
                     "  <type id=\"0xF00001\" name=\"note\" model=\"dictionary\" "
                     "access=\"user-match\" max-count=\"10\" "
                     "max-size=\"4096\"/>\n"
                     "  <type id=\"0xF00002\" name=\"blob\" model=\"single\" access=\"user-match\" "
                     "max-count=\"1\" "
                     "max-size=\"60000\"/>\n</overlay>\n",
                     HR_OVERLAY, r->algorithm, root, (unsigned)r->port);
  snprintf(path, sizeof path, "%s/overlay.xml", r->dir);
  hp_write_file(path, xml, (size_t)len, 0600);
}

void hr_open(hr_ring *r, const char *algorithm) {
  torc_net_limits defaults = TORC_NET_LIMITS_INIT;
  memset(r, 0, sizeof *r);
  r->algorithm = algorithm;
  r->limits = defaults;
  r->port = free_port();
  hp_dir_make(r->dir);
  hp_ca_make(&r->ca, "root", true);
  write_document(r);
}

void hr_close(hr_ring *r) {
  for (size_t i = 0; i < r->num; i++) {
    torc_peer_free(r->peers[i]);
  }
  if (r->log_file != NULL) {
    fclose(r->log_file);
  }
  hp_ca_free(&r->ca);
  hp_dir_remove(r->dir);
}

void hr_config(hr_ring *r, size_t i, torc_peer_config *cfg) {
  static char overlay[300], cert[300], key[300], listen[64];
  char name[16];
  char user[32];
  torc_peer_config init = TORC_PEER_CONFIG_INIT;
  *cfg = init;
  snprintf(name, sizeof name, "p%zu", i);
  snprintf(user, sizeof user, "u%zu@example.org", i);
  hp_spec spec = {.overlay = HR_OVERLAY, .id = (uint8_t)(i * 0x1d + 1), .email = user};
  hp_write_identity(r->dir, name, &r->ca, &spec);
  snprintf(overlay, sizeof overlay, "%s/overlay.xml", r->dir);
  snprintf(cert, sizeof cert, "%s/%s.crt", r->dir, name);
  snprintf(key, sizeof key, "%s/%s.key", r->dir, name);
  snprintf(listen, sizeof listen, "127.0.0.1:%u", i == 0 ? (unsigned)r->port : 0);
  cfg->overlay_file = overlay;
  cfg->cert_file = cert;
  cfg->key_file = key;
  cfg->role = TORC_ROLE_PEER;
  cfg->listen[0] = listen;
}

static void on_log(void *ctx, torc_log_level level, const char *name, const torc_field *fields,
                   size_t num) {
  const hr_ring *r = ctx;
  char line[1024];
  (void)torc_log_json(line, sizeof line, uv_hrtime() / 1000, level, name, fields, num);
  fprintf(r->log_file, "%s", line);
}

/* TORC_TEST_LOG=FILE: everything the peers log, appended there. */
static const torc_log *logging(hr_ring *r) {
  const char *path = getenv("TORC_TEST_LOG");
  if (path == NULL) {
    return NULL;
  }
  if (r->log_file == NULL) {
    r->log_file = fopen(path, "a");
    assert_non_null(r->log_file);
  }
  r->log = (torc_log){.ctx = r, .level = TORC_LOG_DEBUG, .event = on_log};
  return &r->log;
}

torc_peer *hr_add_with(hr_ring *r, const torc_peer_config *config) {
  char err[400] = "";
  torc_peer_config cfg = *config;
  assert_true(r->num < HR_PEERS_MAX);
  if (cfg.log == NULL) {
    cfg.log = logging(r);
  }
  int rc = torc_peer_new_with(&r->peers[r->num], &cfg, &r->limits, err, sizeof err);
  if (rc != 0) {
    fail_msg("torc_peer_new: %s", err);
  }
  r->num++;
  return r->peers[r->num - 1];
}

torc_peer *hr_add(hr_ring *r, torc_role role) {
  torc_peer_config cfg;
  hr_config(r, r->num, &cfg);
  cfg.role = role;
  if (role == TORC_ROLE_CLIENT) {
    cfg.listen[0] = NULL;
  }
  return hr_add_with(r, &cfg);
}

void hr_remove(hr_ring *r, size_t i) {
  torc_peer_free(r->peers[i]);
  r->num--;
  memmove(&r->peers[i], &r->peers[i + 1], (r->num - i) * sizeof r->peers[0]);
}

bool hr_until(hr_ring *r, bool (*done)(hr_ring *r, void *ctx), void *ctx, int timeout_ms) {
  uint64_t end = uv_hrtime() + (uint64_t)timeout_ms * 1000000u;
  torc_sigpipe held;
  bool is_over = false;
  torc_sigpipe_hold(&held);
  while (!is_over && uv_hrtime() < end) {
    for (size_t i = 0; i < r->num; i++) {
      torc_peer_limit(r->peers[i], 0);
      torc_peer_step(r->peers[i]);
    }
    is_over = done(r, ctx);
  }
  torc_sigpipe_release(&held);
  return is_over;
}

static bool are_joined(hr_ring *r, void *ctx) {
  (void)ctx;
  for (size_t i = 0; i < r->num; i++) {
    torc_node_view v;
    torc_node_get_view(torc_peer_node(r->peers[i]), &v);
    if (!v.is_joined) {
      return false;
    }
  }
  return true;
}

bool hr_join(hr_ring *r, int timeout_ms) {
  for (size_t i = 0; i < r->num; i++) {
    int rc = torc_peer_start(r->peers[i]);
    assert_true(rc == 0 || rc == TORC_ERR_STATE);
  }
  return hr_until(r, are_joined, NULL, timeout_ms);
}

typedef struct hr_wanted {
  size_t peer;
  torc_token token;
  torc_event_box *box;
} hr_wanted;

static bool is_done(hr_ring *r, void *ctx) {
  hr_wanted *w = ctx;
  w->box = torc_peer_pull(r->peers[w->peer], TORC_EVENT_DONE, w->token);
  return w->box != NULL;
}

int hr_wait(hr_ring *r, size_t i, torc_token token, int timeout_ms, torc_done *out) {
  hr_wanted w = {.peer = i, .token = token};
  if (!hr_until(r, is_done, &w, timeout_ms)) {
    return TORC_ERR_TIMEOUT;
  }
  torc_peer_give(r->peers[i], w.box);
  *out = w.box->event.done;
  return out->rc;
}

typedef struct hr_count {
  const char *name;
  uint64_t value;
  bool found;
} hr_count;

static void on_counter(void *ctx, const char *name, uint64_t value) {
  hr_count *c = ctx;
  if (strcmp(c->name, name) == 0) {
    c->value = value;
    c->found = true;
  }
}

uint64_t hr_counter(const torc_peer *p, const char *name) {
  hr_count c = {.name = name};
  torc_peer_counters(p, &c, on_counter);
  torc_peer_gauges(p, &c, on_counter);
  assert_true(c.found);
  return c.value;
}

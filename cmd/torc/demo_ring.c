/* The overlay of the demo as its peers tell it over their control sockets.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "demo.h"

#define NEIGHBOURS 3 /* in each direction [CHD-02] */
#define POLL_MS 20

void demo_last_line(const char *path, char *out, size_t cap) {
  char line[512];
  FILE *f = fopen(path, "re");
  out[0] = '\0';
  while (f != NULL && fgets(line, sizeof line, f) != NULL) {
    size_t len = strcspn(line, "\n");
    len = len < cap ? len : cap - 1;
    memcpy(out, line, len);
    out[len] = '\0';
  }
  if (f != NULL) {
    (void)fclose(f);
  }
}

int demo_connect(demo *d, int peer, int timeout_ms) {
  demo_peer *p = &d->peers[peer];
  uint64_t end = client_now_ms() + (uint64_t)timeout_ms;
  char err[256] = "";
  char line[256];
  while (!p->is_connected) {
    if (client_open(&p->control, p->socket, err, sizeof err) == 0) {
      p->is_connected = true;
      return 0;
    }
    if (demo_has_ended(&p->pid) || demo_interrupted() || client_now_ms() > end) {
      demo_last_line(p->log, line, sizeof line);
      (void)snprintf(d->err, sizeof d->err, "the torcd of %s does not answer: %.200s", p->name,
                     line[0] == '\0' ? err : line);
      return TORC_ERR_TIMEOUT;
    }
    demo_pause_ms(POLL_MS / 4);
  }
  return 0;
}

json_t *demo_ask(demo *d, int peer, json_t *request) {
  demo_peer *p = &d->peers[peer];
  json_t *reply = NULL;
  char err[256] = "";
  if (!p->is_connected) {
    json_decref(request);
    (void)snprintf(d->err, sizeof d->err, "%s does not run", p->name);
    return NULL;
  }
  if (client_call(&p->control, request, CLIENT_TIMEOUT_MS, &reply, err, sizeof err) != 0) {
    (void)snprintf(d->err, sizeof d->err, "%s: %s", p->name, err);
    return NULL;
  }
  if (!json_is_true(json_object_get(reply, "ok"))) {
    (void)snprintf(d->err, sizeof d->err, "%s: %.400s", p->name, text_of(reply, "error"));
    json_decref(reply);
    return NULL;
  }
  return reply;
}

int demo_running(const demo *d) {
  int num = 0;
  for (int i = 0; i < d->num_peers; i++) {
    num += d->peers[i].pid > 0 ? 1 : 0;
  }
  return num;
}

/* The running peers along the ring. */
static int running_order(const demo *d, int out[DEMO_PEERS_MAX]) {
  int num = 0;
  for (int i = 0; i < d->num_peers; i++) {
    if (d->peers[d->order[i]].pid > 0) {
      out[num++] = d->order[i];
    }
  }
  return num;
}

static bool lists(const json_t *list, size_t at, const torc_id *id) {
  char hex[TORC_ID_HEX_LEN + 1];
  const char *got = json_string_value(json_array_get(list, at));
  return got != NULL && strcmp(got, torc_id_hex(id, hex)) == 0;
}

/* Whether peer `at` of the order names its right neighbours in both directions. */
static bool neighbours_right(const demo *d, const int *order, int num, int at,
                             const json_t *status) {
  int want = num - 1 < NEIGHBOURS ? num - 1 : NEIGHBOURS;
  for (int k = 1; k <= want; k++) {
    const torc_id *next = &d->peers[order[(at + k) % num]].id;
    const torc_id *before = &d->peers[order[(at + num - k) % num]].id;
    if (!lists(json_object_get(status, "successors"), (size_t)(k - 1), next) ||
        !lists(json_object_get(status, "predecessors"), (size_t)(k - 1), before)) {
      return false;
    }
  }
  return true;
}

/* 1: whole, 0: not yet, negative: somebody does not answer. */
static int is_whole(demo *d) {
  int order[DEMO_PEERS_MAX];
  int num = running_order(d, order);
  for (int i = 0; i < num; i++) {
    json_t *status = demo_ask(d, order[i], args_request("status"));
    if (status == NULL) {
      return TORC_ERR_CLOSED;
    }
    bool ok = json_is_true(json_object_get(status, "joined")) &&
              neighbours_right(d, order, num, i, status);
    json_decref(status);
    if (!ok) {
      return 0;
    }
  }
  return 1;
}

int demo_wait_whole(demo *d, int timeout_ms) {
  uint64_t end = client_now_ms() + (uint64_t)timeout_ms;
  int whole = is_whole(d);
  while (whole == 0) {
    if (demo_interrupted()) {
      return TORC_ERR_CLOSED;
    }
    if (client_now_ms() > end) {
      (void)snprintf(d->err, sizeof d->err, "the ring is not whole after %d s", timeout_ms / 1000);
      return TORC_ERR_TIMEOUT;
    }
    demo_pause_ms(POLL_MS);
    whole = is_whole(d);
  }
  return whole < 0 ? whole : 0;
}

void demo_draw(demo *d) {
  int order[DEMO_PEERS_MAX];
  char hex[TORC_ID_HEX_LEN + 1];
  int num = running_order(d, order);
  json_t *peers = json_array();
  for (int i = 0; i < num; i++) {
    const demo_peer *p = &d->peers[order[i]];
    (void)json_array_append_new(
        peers, json_pack("{s:s, s:s}", "peer", torc_id_hex(&p->id, hex), "user", p->user));
  }
  ring_draw(peers, DEMO_OVERLAY, "");
  json_decref(peers);
}

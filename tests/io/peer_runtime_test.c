/* What torc_peer adds to node and links: files, state directory, events, waiting.
 * SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/id.h"
#include "base/slice.h"
#include "io/cache_file.h"
#include "io/helper_ring.h"
#include "io/lmdb_backend.h"
#include "overlay/storage/record.h"
#include "torc/peer.h"
#include "torc_test.h"

static hr_ring r; /* of the test that runs */

static int begin(void **state) {
  (void)state;
  hr_open(&r, "chord-128-2-8");
  return 0;
}

static int end(void **state) {
  (void)state;
  hr_close(&r);
  return 0;
}

static const torc_slice value = {(const uint8_t *)"the value", 9};

static torc_peer *alone(void) {
  torc_peer *p = hr_add(&r, TORC_ROLE_PEER);
  assert_int_equal(torc_peer_join(p, 10000), 0);
  return p;
}

/* ---- the blocking calls, in a ring of one ---- */

static void test_calls(void **state) {
  (void)state;
  torc_done done;
  torc_peer *p = alone();
  assert_int_equal(torc_peer_join(p, 0), 0); /* joined already */
  assert_int_equal(
      torc_peer_store_text(p, "u0@example.org", "note", "k", 0, value, 60, 5000, &done), 0);
  assert_int_equal(done.code, 200);
  assert_int_equal(done.num_generations, 1);
  assert_int_equal(torc_peer_fetch_text(p, "u0@example.org", "note", "k", 5000, &done), 0);
  assert_int_equal(done.num_values, 1);
  assert_true(torc_slice_eq(done.values[0].value, value));
  assert_true(torc_slice_eq(done.values[0].key, torc_slice_str("k")));
  assert_int_equal(torc_peer_fetch_text(p, "u0@example.org", "note", "other", 5000, &done), 0);
  assert_true(done.num_values == 0 || !done.values[0].exists);
  assert_int_equal(torc_peer_fetch_text(p, "u0@example.org", "note", NULL, 5000, &done), 0);
  assert_int_equal(done.num_values, 1);
  assert_int_equal(
      torc_peer_store_text(p, "u0@example.org", "0xF00002", NULL, 0, value, 60, 5000, &done), 0);
  assert_int_equal(torc_peer_fetch_text(p, "u0@example.org", "blob", NULL, 5000, &done), 0);
  assert_int_equal(done.num_values, 1);
  /* Refusals: a foreign resource, an unknown type, keys where none belong. */
  assert_int_equal(
      torc_peer_store_text(p, "bob@example.org", "note", "k", 0, value, 60, 5000, &done),
      TORC_ERR_REFUSED);
  assert_int_equal(done.code, 403);
  assert_int_equal(
      torc_peer_store_text(p, "u0@example.org", "nothing", NULL, 0, value, 60, 5000, &done),
      TORC_ERR_NOTFOUND);
  assert_int_equal(
      torc_peer_store_text(p, "u0@example.org", "note", NULL, 0, value, 60, 5000, &done),
      TORC_ERR_INVALID);
  assert_int_equal(
      torc_peer_store_text(p, "u0@example.org", "blob", "k", 0, value, 60, 5000, &done),
      TORC_ERR_INVALID);
  assert_int_equal(torc_peer_fetch_text(p, "u0@example.org", "blob", "k", 5000, &done),
                   TORC_ERR_INVALID);
  assert_int_equal(hr_counter(p, "io_node_failures"), 0);
}

static void test_leave(void **state) {
  (void)state;
  torc_node_view view;
  torc_peer *p = alone();
  assert_int_equal(torc_peer_leave(p, 5000), 0);
  torc_node_get_view(torc_peer_node(p), &view);
  assert_string_equal(view.state, "left");
}

static torc_token start_fetch(torc_peer *p) {
  torc_id resource;
  torc_token token = 0;
  torc_fetch_item item = {.type = 0xF00001, .first = 0, .last = -1};
  assert_int_equal(
      torc_node_resource_id(torc_peer_node(p), torc_slice_str("u0@example.org"), &resource), 0);
  assert_int_equal(
      torc_node_fetch(torc_peer_node(p), &resource, &item, 1, torc_peer_now(p), &token), 0);
  return token;
}

/* Three calls at once, waited for in another order; the events of others stay, in their order. */
static void test_events(void **state) {
  (void)state;
  torc_done done;
  torc_event e;
  torc_peer *p = alone();
  while (torc_peer_next_event(p, &e)) {
  }
  torc_token one = start_fetch(p);
  torc_token two = start_fetch(p);
  torc_token three = start_fetch(p);
  assert_int_equal(torc_peer_wait(p, two, 5000, &done), 0);
  assert_int_equal(torc_peer_wait(p, two, 0, &done), TORC_ERR_TIMEOUT); /* only once */
  while (hr_counter(p, "io_events_waiting") < 2) {
    assert_int_equal(torc_peer_run(p, 0), 0);
  }
  assert_true(torc_peer_next_event(p, &e));
  assert_int_equal(e.kind, TORC_EVENT_DONE);
  assert_true(e.token == one);
  assert_true(torc_peer_next_event(p, &e));
  assert_true(e.token == three);
  assert_false(torc_peer_next_event(p, &e));
}

static void test_event_bound(void **state) {
  (void)state;
  torc_event e;
  torc_peer *p = alone();
  while (torc_peer_next_event(p, &e)) {
  }
  for (torc_token i = 1; i <= TORC_PEER_EVENTS_MAX + 10; i++) {
    torc_event fresh = {.kind = TORC_EVENT_DONE, .token = i};
    torc_peer_push(p, &fresh);
  }
  assert_int_equal(hr_counter(p, "io_events_dropped"), 10);
  assert_true(torc_peer_next_event(p, &e));
  assert_true(e.token == 11);
  uint8_t *big = malloc(30u << 20); /* two of these exceed the bytes that may wait */
  torc_event large = {.kind = TORC_EVENT_TUNNEL, .pdu = torc_slice_of(big, 30u << 20)};
  for (int i = 0; i < 5; i++) {
    torc_peer_push(p, &large);
  }
  free(big);
  assert_int_equal(hr_counter(p, "io_events_waiting"), 2);
}

static void test_event_copy(void **state) {
  (void)state;
  torc_event e;
  torc_peer *p = alone();
  torc_cert *cert = torc_pki_own_cert(p->pki);
  uint32_t refs = cert->refs;
  char text[] = "k1v1k2v2phraselogdialogpdu";
  torc_value values[2] = {{.type = 5,
                           .key = torc_slice_of(text, 2),
                           .value = torc_slice_of(text + 2, 2),
                           .signer = cert},
                          {.type = 6,
                           .key = torc_slice_of(text + 4, 2),
                           .value = torc_slice_of(text + 6, 2),
                           .signer = cert}};
  torc_event in = {.kind = TORC_EVENT_DONE, .token = 99};
  in.done.values = values;
  in.done.num_values = 2;
  in.done.phrase = torc_slice_of(text + 8, 6);
  in.done.route_log = torc_slice_of(text + 14, 3);
  in.dialog_id = torc_slice_of(text + 17, 6);
  in.pdu = torc_slice_of(text + 23, 3);
  while (torc_peer_next_event(p, &e)) {
  }
  torc_peer_push(p, &in);
  memset(text, '?', sizeof text);
  memset(values, 0xee, sizeof values);
  assert_true(torc_peer_next_event(p, &e));
  assert_int_equal(e.done.num_values, 2);
  assert_true(torc_slice_eq(e.done.values[1].key, torc_slice_str("k2")));
  assert_true(torc_slice_eq(e.done.values[1].value, torc_slice_str("v2")));
  assert_int_equal(e.done.values[1].type, 6);
  assert_ptr_equal(e.done.values[0].signer, cert);
  assert_int_equal(cert->refs, refs + 2);
  assert_true(torc_slice_eq(e.done.phrase, torc_slice_str("phrase")));
  assert_true(torc_slice_eq(e.done.route_log, torc_slice_str("log")));
  assert_true(torc_slice_eq(e.dialog_id, torc_slice_str("dialog")));
  assert_true(torc_slice_eq(e.pdu, torc_slice_str("pdu")));
  assert_false(torc_peer_next_event(p, &e));
  assert_int_equal(cert->refs, refs);
}

static void *wake(void *arg) {
  torc_peer_wake(arg);
  return NULL;
}

static void test_wake(void **state) {
  (void)state;
  pthread_t thread;
  torc_event e;
  torc_peer *p = alone();
  while (torc_peer_next_event(p, &e)) {
  }
  assert_int_equal(pthread_create(&thread, NULL, wake, p), 0);
  assert_int_equal(torc_peer_run(p, -1), 0); /* nothing else happens for a long time */
  assert_int_equal(pthread_join(thread, NULL), 0);
  uint64_t from = uv_hrtime();
  assert_int_equal(torc_peer_run(p, 30), 0);
  assert_true(uv_hrtime() - from >= 29000000u);
  torc_done done;
  assert_int_equal(torc_peer_wait(p, 12345, 30, &done), TORC_ERR_TIMEOUT);
}

/* ---- several peers ---- */

static bool has_value(hr_ring *ring, size_t reader) {
  torc_done done;
  torc_token token = start_fetch(ring->peers[reader]);
  int rc = hr_wait(ring, reader, token, 10000, &done);
  return rc == 0 && done.num_values == 1 && torc_slice_eq(done.values[0].value, value);
}

static void store_value(hr_ring *ring, size_t writer) {
  torc_done done;
  torc_id resource;
  torc_token token = 0;
  torc_peer *p = ring->peers[writer];
  torc_store_item item = {
      .type = 0xF00001, .key = torc_slice_str("k"), .value = value, .lifetime_s = 3600};
  assert_int_equal(
      torc_node_resource_id(torc_peer_node(p), torc_slice_str("u0@example.org"), &resource), 0);
  assert_int_equal(
      torc_node_store(torc_peer_node(p), &resource, &item, 1, torc_peer_now(p), &token), 0);
  assert_int_equal(hr_wait(ring, writer, token, 10000, &done), 0);
}

static void test_client(void **state) {
  (void)state;
  (void)hr_add(&r, TORC_ROLE_PEER);
  (void)hr_add(&r, TORC_ROLE_PEER);
  assert_true(hr_join(&r, 20000));
  (void)hr_add(&r, TORC_ROLE_CLIENT);
  assert_true(hr_join(&r, 20000));
  store_value(&r, 0);
  assert_true(has_value(&r, 2));
  assert_int_equal(torc_peer_port(r.peers[2], 0), 0);
}

/* The client gives the answer back whatever becomes of the others: one peer disappears without a
 * word. */
static void test_peer_dies(void **state) {
  (void)state;
  for (int i = 0; i < 4; i++) {
    (void)hr_add(&r, TORC_ROLE_PEER);
  }
  assert_true(hr_join(&r, 20000));
  store_value(&r, 0);
  hr_remove(&r, 2);
  assert_true(has_value(&r, 1));
  assert_true(has_value(&r, 2));
}

/* ---- a link whose other end has gone ---- */

static bool is_linked(hr_ring *ring, void *ctx) {
  (void)ctx;
  return hr_counter(ring->peers[0], "io_links_up") == 1 &&
         hr_counter(ring->peers[1], "io_links_up") == 1;
}

/* Writing there raises SIGPIPE, whose default would end this test. */
static void test_sigpipe(void **state) {
  (void)state;
  uint8_t msg[28] = {0};
  sigset_t pending;
  torc_peer *p = hr_add(&r, TORC_ROLE_PEER);
  torc_peer *q = hr_add(&r, TORC_ROLE_PEER);
  assert_int_equal(torc_peer_start(p), 0);
  assert_int_equal(torc_peer_start(q), 0);
  assert_true(hr_until(&r, is_linked, NULL, 10000));
  hr_remove(&r, 1);
  for (int i = 0; i < 3; i++) { /* the first is answered by a reset, the next ones break */
    torc_net_send(p->net, 1, torc_slice_of(msg, sizeof msg), torc_slice_of(NULL, 0));
    torc_peer_flush(p);
  }
  assert_int_equal(hr_counter(p, "io_links_down"), 1);
  assert_int_equal(sigpending(&pending), 0);
  assert_int_equal(sigismember(&pending, SIGPIPE), 0);
  assert_int_equal(pthread_sigmask(SIG_SETMASK, NULL, &pending), 0);
  assert_int_equal(sigismember(&pending, SIGPIPE), 0); /* back to what it was */
}

/* ---- the state directory ---- */

static torc_peer *with_state(size_t i, const char *name, torc_peer_config *cfg, char *dir,
                             size_t cap) {
  hr_config(&r, i, cfg);
  snprintf(dir, cap, "%s/%s", r.dir, name);
  cfg->state_dir = dir;
  return hr_add_with(&r, cfg);
}

static void test_restart(void **state) {
  (void)state;
  char dir[300];
  torc_peer_config cfg;
  (void)with_state(0, "state", &cfg, dir, sizeof dir);
  assert_true(hr_join(&r, 10000));
  store_value(&r, 0);
  hr_remove(&r, 0);
  struct stat st;
  assert_int_equal(stat(dir, &st), 0);
  assert_int_equal(st.st_mode & 0777, 0700);
  (void)with_state(0, "state", &cfg, dir, sizeof dir);
  assert_true(hr_join(&r, 10000));
  assert_true(has_value(&r, 0));
}

static void test_synced(void **state) {
  (void)state;
  char dir[300];
  torc_peer_config cfg;
  hr_config(&r, 0, &cfg);
  snprintf(dir, sizeof dir, "%s/state", r.dir);
  cfg.state_dir = dir;
  cfg.sync_disk = true;
  torc_peer *p = hr_add_with(&r, &cfg);
  assert_non_null(p->pool);
  assert_true(hr_join(&r, 10000));
  store_value(&r, 0);
  assert_true(has_value(&r, 0));
}

static void refused(const torc_peer_config *cfg, int rc, const char *want) {
  torc_peer *p = NULL;
  char err[700] = "";
  int got = torc_peer_new(&p, cfg, err, sizeof err);
  if (got != rc || strncmp(err, want, strlen(want)) != 0) {
    fail_msg("%d \"%s\" instead of %d \"%s\"", got, err, rc, want);
  }
  assert_null(p);
  assert_null(strchr(err, '\n'));
}

/* The file is whole, what is in it is not ours. */
static void test_foreign_values(void **state) {
  (void)state;
  static const uint8_t key[1] = {TORC_TABLE_FORMAT};
  char dir[300];
  char want[600];
  torc_peer_config cfg;
  torc_lmdb *db = NULL;
  torc_backend b;
  bool was_damaged = false;
  hr_config(&r, 0, &cfg);
  snprintf(dir, sizeof dir, "%s/state", r.dir);
  cfg.state_dir = dir;
  assert_int_equal(mkdir(dir, 0700), 0);
  assert_int_equal(torc_lmdb_open(&db, &b, dir, 1 << 20, &was_damaged, NULL, 0), 0);
  assert_int_equal(b.begin(b.ctx, true), 0);
  assert_int_equal(b.put(b.ctx, torc_slice_of(key, sizeof key), torc_slice_str("what is this")), 0);
  assert_int_equal(b.commit(b.ctx), 0);
  torc_lmdb_close(db);
  snprintf(want, sizeof want,
           "the values in %s/data.mdb cannot be read: they are damaged, or of another version; "
           "move the file away, the other peers have copies",
           dir);
  refused(&cfg, TORC_ERR_FORMAT, want);
}

static void test_two_on_one_state(void **state) {
  (void)state;
  char dir[300];
  char want[600];
  torc_peer_config cfg;
  (void)with_state(0, "state", &cfg, dir, sizeof dir);
  hr_config(&r, 1, &cfg);
  cfg.state_dir = dir;
  snprintf(want, sizeof want,
           "the state directory %s is in use by another process (pid %ld): stop it, or give this "
           "one a directory of its "
           "own",
           dir, (long)getpid());
  refused(&cfg, TORC_ERR_STATE, want);
}

static void test_bad_state(void **state) {
  (void)state;
  char dir[300];
  char want[600];
  torc_peer_config cfg;
  hr_config(&r, 0, &cfg);
  cfg.state_dir = dir;
  snprintf(dir, sizeof dir, "%s/overlay.xml", r.dir); /* a file */
  snprintf(want, sizeof want,
           "cannot write to the state directory %s: Not a directory; check its owner and mode",
           dir);
  refused(&cfg, TORC_ERR_IO, want);
  snprintf(dir, sizeof dir, "%s/a/b/c", r.dir);
  snprintf(want, sizeof want, "cannot create the state directory %s: No such file or directory",
           dir);
  refused(&cfg, TORC_ERR_IO, want);
  if (geteuid() == 0) {
    cfg.state_dir = "/proc/self"; /* nobody writes there */
    refused(&cfg, TORC_ERR_IO, "cannot write to the state directory /proc/self: ");
  } else {
    snprintf(dir, sizeof dir, "%s/readonly", r.dir);
    assert_int_equal(mkdir(dir, 0500), 0);
    snprintf(want, sizeof want, "cannot write to the state directory %s: Permission denied", dir);
    refused(&cfg, TORC_ERR_IO, want);
  }
}

/* ---- configuration ---- */

static void test_config(void **state) {
  (void)state;
  torc_peer_config cfg;
  char want[600];
  torc_peer *p = alone();
  hr_config(&r, 1, &cfg);
  cfg.size = 3;
  refused(&cfg, TORC_ERR_INVALID, "the configuration was not made with TORC_PEER_CONFIG_INIT");
  hr_config(&r, 1, &cfg);
  cfg.overlay_file = NULL;
  refused(&cfg, TORC_ERR_CONFIG,
          "the configuration does not say which overlay configuration file to use");
  hr_config(&r, 1, &cfg);
  cfg.cert_file = NULL;
  refused(&cfg, TORC_ERR_CONFIG, "the configuration does not say which certificate file to use");
  hr_config(&r, 1, &cfg);
  cfg.key_file = NULL;
  refused(&cfg, TORC_ERR_CONFIG, "the configuration does not say which private key file to use");
  hr_config(&r, 1, &cfg);
  cfg.role = 0;
  refused(&cfg, TORC_ERR_CONFIG, "the configuration does not say which role");
  hr_config(&r, 1, &cfg);
  cfg.overlay_name = "other.example.org";
  snprintf(want, sizeof want, "%s/overlay.xml: no overlay named other.example.org in the document",
           r.dir);
  refused(&cfg, TORC_ERR_CONFIG, want);
  hr_config(&r, 1, &cfg);
  char at[64];
  snprintf(at, sizeof at, "127.0.0.1:%u", (unsigned)torc_peer_port(p, 0));
  cfg.listen[0] = at;
  snprintf(want, sizeof want,
           "cannot listen on %s: the port is in use; stop the other program or choose another port",
           at);
  refused(&cfg, TORC_ERR_IO, want);
  hr_config(&r, 1, &cfg);
  cfg.listen[0] = NULL;
  const char *advertise[] = {"192.0.2.1:6084", NULL};
  cfg.advertise = advertise;
  refused(&cfg, TORC_ERR_CONFIG, "addresses are advertised, but there is none to listen on");
  hr_config(&r, 1, &cfg);
  cfg.num_threads = 1000;
  refused(&cfg, TORC_ERR_INVALID, "cannot start 1000 threads (at most 64)");
}

static void test_foreign_certificate(void **state) {
  (void)state;
  torc_peer_config cfg;
  hp_ca other;
  char want[600];
  hp_ca_make(&other, "root", true);
  hr_config(&r, 0, &cfg);
  hp_spec spec = {.overlay = HR_OVERLAY};
  hp_write_identity(r.dir, "p0", &other, &spec);
  snprintf(want, sizeof want,
           "the certificate %s/p0.crt is not usable in this overlay: not issued by a root "
           "certificate of this overlay",
           r.dir);
  refused(&cfg, TORC_ERR_CRYPTO, want);
  spec.from_s = -7200;
  spec.to_s = -3600;
  hp_write_identity(r.dir, "p0", &r.ca, &spec);
  snprintf(want, sizeof want, "the certificate %s/p0.crt has expired on ", r.dir);
  refused(&cfg, TORC_ERR_CRYPTO, want);
  hp_ca_free(&other);
}

/* ---- the peer cache ---- */

static void load(const char *dir, torc_peer_cache *c) {
  char path[400];
  snprintf(path, sizeof path, "%s/peers.json", dir);
  assert_int_equal(torc_cache_load(c, path, HR_OVERLAY, hp_now()), 0);
}

/* Peer 1 or 3 is in the third peer's cache, and the cache on disk. */
static bool is_cached(hr_ring *ring, void *ctx) {
  const torc_peer_cache *c = &ring->peers[2]->cache;
  bool found = false;
  (void)ctx;
  for (size_t i = 0; i < c->len; i++) {
    found = found || torc_id_eq(&c->list[i].at.peer, &torc_peer_cert(ring->peers[1])->peers[0]) ||
            torc_id_eq(&c->list[i].at.peer, &torc_peer_cert(ring->peers[3])->peers[0]);
  }
  return found && !c->is_changed && hr_counter(ring->peers[2], "io_cache_saved") > 0;
}

static uint16_t port_of(const torc_id *peer) {
  for (size_t i = 0; i < r.num; i++) {
    if (torc_id_eq(&torc_peer_cert(r.peers[i])->peers[0], peer)) {
      return torc_peer_port(r.peers[i], 0);
    }
  }
  return 0;
}

/* Four peers; the third remembers the others within seconds, and finds the ring by that when the
 * bootstrap peer is gone. */
static void test_cache(void **state) {
  (void)state;
  char dir[300];
  char listen[64];
  torc_peer_config cfg;
  torc_peer_cache c;
  (void)hr_add(&r, TORC_ROLE_PEER);
  hr_config(&r, 1, &cfg);
  snprintf(listen, sizeof listen, "%s", cfg.listen[0]);
  cfg.listen[0] = listen;
  (void)hr_add_with(&r, &cfg);
  (void)with_state(2, "state", &cfg, dir, sizeof dir);
  (void)hr_add(&r, TORC_ROLE_PEER);
  assert_true(hr_join(&r, 20000));
  assert_true(hr_until(&r, is_cached, NULL, 10000)); /* debounced by a second */
  load(dir, &c);
  assert_in_range(c.len, 1, 3);
  for (size_t i = 0; i < c.len; i++) {
    assert_string_equal(c.list[i].at.host, "127.0.0.1");
    assert_int_equal(c.list[i].at.port, port_of(&c.list[i].at.peer));
  }
  hr_remove(&r, 2);
  hr_remove(&r, 0); /* the bootstrap peer */
  hr_config(&r, 2, &cfg);
  cfg.state_dir = dir;
  (void)hr_add_with(&r, &cfg);
  assert_true(hr_join(&r, 30000));
}

/* The fourth one, a client, has the third in its cache. */
static bool knows_third(hr_ring *ring, void *ctx) {
  const torc_peer_cache *c = &ring->peers[3]->cache;
  (void)ctx;
  for (size_t i = 0; i < c->len; i++) {
    if (torc_id_eq(&c->list[i].at.peer, &torc_peer_cert(ring->peers[2])->peers[0])) {
      return !c->is_changed;
    }
  }
  return false;
}

/* The client has looked for the ring once more and found it. */
static bool is_back(hr_ring *ring, void *ctx) {
  torc_node_view v;
  const uint64_t *tries = ctx;
  const torc_peer *client = ring->peers[ring->num - 1];
  torc_node_get_view(client->node, &v);
  return v.is_joined && hr_counter(client, "bootstrap_tries") > *tries;
}

/* A client that keeps nothing on disk and has lost every link asks a peer it was linked with, the
 * bootstrap peer being gone. */
static void test_cache_in_memory(void **state) {
  (void)state;
  torc_node_link_view links[8];
  torc_done done;
  torc_token token = 0;
  for (int i = 0; i < 3; i++) {
    (void)hr_add(&r, TORC_ROLE_PEER);
  }
  torc_peer *client = hr_add(&r, TORC_ROLE_CLIENT);
  assert_true(hr_join(&r, 20000));
  const torc_id *third = &torc_peer_cert(r.peers[2])->peers[0];
  assert_int_equal(torc_node_connect(client->node, third, 1, torc_peer_now(client), &token), 0);
  assert_int_equal(hr_wait(&r, 3, token, 10000, &done), 0);
  assert_null(client->state_dir);
  assert_true(hr_until(&r, knows_third, NULL, 10000)); /* debounced by a second */
  assert_int_equal(hr_counter(client, "io_cache_saved"), 0);
  hr_remove(&r, 0); /* the bootstrap peer */
  uint64_t tries = hr_counter(client, "bootstrap_tries");
  size_t num = torc_node_links(client->node, links, TORC_ARRAY_LEN(links));
  for (size_t i = 0; i < num; i++) {
    torc_net_close(client->net, links[i].link);
  }
  torc_peer_flush(client);
  assert_true(hr_until(&r, is_back, &tries, 20000));
  assert_int_equal(hr_counter(client, "io_cache_failures"), 0);
}

static void test_cache_ignored(void **state) {
  (void)state;
  char dir[300];
  char path[400];
  torc_peer_config cfg;
  snprintf(dir, sizeof dir, "%s/state", r.dir);
  assert_int_equal(mkdir(dir, 0700), 0);
  snprintf(path, sizeof path, "%s/peers.json", dir);
  hp_write_file(path, "{\"peers\":", 9, 0600);
  torc_peer *p = with_state(0, "state", &cfg, dir, sizeof dir);
  assert_int_equal(hr_counter(p, "io_cached_peers"), 0);
  assert_true(hr_join(&r, 10000));
}

/* Cached peers that cannot be reached are dropped after three failed dials. */
static void test_cache_failures(void **state) {
  (void)state;
  char dir[300];
  char path[400];
  char text[400];
  torc_peer_config cfg;
  snprintf(dir, sizeof dir, "%s/state", r.dir);
  assert_int_equal(mkdir(dir, 0700), 0);
  snprintf(path, sizeof path, "%s/peers.json", dir);
  int len = snprintf(
      text, sizeof text,
      "{\"peers\":[{\"peer_id\":\"77777777777777777777777777777777\",\"address\":\"127.0.0.1\","
      "\"port\":1,\"transport\":\"tls\",\"last_seen\":5,\"failures\":2}]}");
  hp_write_file(path, text, (size_t)len, 0600);
  torc_peer *p = with_state(0, "state", &cfg, dir, sizeof dir);
  assert_int_equal(hr_counter(p, "io_cached_peers"), 1);
  assert_true(hr_join(&r, 10000));
  assert_int_equal(hr_counter(p, "io_cached_peers"), 0);
  hr_remove(&r, 0);
  torc_peer_cache c;
  load(dir, &c);
  assert_int_equal(c.len, 0);
}

/* ---- an application's own handle in the loop ---- */

static void on_timer(uv_timer_t *t) {
  torc_peer_wake(t->data);
}

static void test_loop(void **state) {
  (void)state;
  torc_event e;
  uv_timer_t timer;
  torc_peer *p = alone();
  while (torc_peer_next_event(p, &e)) {
  }
  assert_int_equal(uv_timer_init(torc_peer_loop(p), &timer), 0);
  timer.data = p;
  assert_int_equal(uv_timer_start(&timer, on_timer, 10, 0), 0);
  assert_int_equal(torc_peer_run(p, -1), 0);
  uv_close((uv_handle_t *)&timer, NULL);
  assert_int_equal(torc_peer_run(p, 0), 0);
}

#define T(name_, fn) \
  { .name = (name_), .test_func = (fn), .setup_func = begin, .teardown_func = end }

int main(void) {
  const struct CMUnitTest tests[] = {
      T("SEC-01 D-40 blocking calls of a ring of one", test_calls),
      T("LEA-01 leaving and waiting for it", test_leave),
      T("D-40 events keep their order, each goes to who waits for it", test_events),
      T("D-40 an application that takes no events loses the oldest", test_event_bound),
      T("D-40 SEC-14 an event is a copy of everything it shows", test_event_copy),
      T("D-40 waking and time limits", test_wake),
      T("CLI-01 TLS-08 a client without socket of its own fetches", test_client),
      T("TLS-01 GAP-77 a peer that dies is noticed by its link", test_peer_dies),
      T("D-40 GAP-77 a broken link raises no signal", test_sigpipe),
      T("D-42 STO-06 a restarted peer has its values", test_restart),
      T("D-42 D-13 answers that wait for the disk", test_synced),
      T("D-42 a state directory with values that cannot be read", test_foreign_values),
      T("GAP-139 D-42 two on one state directory", test_two_on_one_state),
      T("D-42 a state directory that cannot be written", test_bad_state),
      T("SEC-01 BST-02 a configuration that lacks something, a port in use", test_config),
      T("SEC-01 GAP-135 own certificate of another authority, or expired",
        test_foreign_certificate),
      T("BST-03 BST-09 BST-10 BST-11 GAP-139 linked peers are remembered and found again",
        test_cache),
      T("BST-03 BST-09 GAP-139 a client without a state directory remembers, too",
        test_cache_in_memory),
      T("GAP-139 a broken cache is ignored", test_cache_ignored),
      T("GAP-139 BST-12 cached peers that never answer are dropped", test_cache_failures),
      T("D-40 an application's own handle in the loop", test_loop),
  };
  return TORC_RUN(tests);
}

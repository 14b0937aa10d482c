/* A client of a running overlay: join time to the first answered FETCH, then STOREs and FETCHes one
 * after the other and many at once, latency, and the CPU of every peer. SPDX-License-Identifier:
 * Apache-2.0 */
#include <string.h>

#include "measure.h"
#include "torc/torc.h"

#define PIDS_MAX 64
#define WINDOW 16

typedef struct bench {
  torc_peer *peer;
  torc_node *node;
  torc_id resource;
  uint32_t type;
  const char *user, *label;
  int pids[PIDS_MAX + 1];
  size_t num_pids, num;
  double *samples;
} bench;

static void die(const char *what, int rc, const char *more) {
  (void)fprintf(stderr, "bench_ring: %s: %s %s\n", what, torc_strerror(rc), more);
  exit(1);
}

static torc_token start_fetch(bench *b) {
  torc_slice key = {(const uint8_t *)"k", 1};
  torc_fetch_item item = {.type = b->type, .keys = &key, .num_keys = 1};
  torc_token token = 0;
  int rc = torc_node_fetch(b->node, &b->resource, &item, 1, torc_peer_now(b->peer), &token);
  if (rc != 0) {
    die("fetch", rc, "");
  }
  torc_peer_flush(b->peer);
  return token;
}

/* `i` chooses the key: requests under way at once do not race for one element. */
static torc_token start_store(bench *b, size_t i) {
  static const uint8_t keys[WINDOW + 1] = "kabcdefghijlmnop";
  torc_slice key = {&keys[i % WINDOW], 1};
  uint8_t value[64];
  torc_token token = 0;
  memset(value, 'v', sizeof value);
  torc_store_item item = {
      .type = b->type, .key = key, .value = {value, sizeof value}, .lifetime_s = 3600};
  int rc = torc_node_store(b->node, &b->resource, &item, 1, torc_peer_now(b->peer), &token);
  if (rc != 0) {
    die("store", rc, "");
  }
  torc_peer_flush(b->peer);
  return token;
}

static void check(const torc_done *d, bool is_fetch) {
  if (d->rc != 0 || (is_fetch && (d->num_values != 1 || !d->values[0].exists))) {
    die("answer", d->rc, d->phrase.len > 0 ? (const char *)d->phrase.p : "");
  }
}

static void one_by_one(bench *b, bool is_fetch) {
  double cpu = measure_cpu(b->pids, b->num_pids);
  double begin = measure_now(CLOCK_MONOTONIC);
  for (size_t i = 0; i < b->num; i++) {
    double t = measure_now(CLOCK_MONOTONIC);
    torc_done d;
    torc_token token = is_fetch ? start_fetch(b) : start_store(b, 0);
    int rc = torc_peer_wait(b->peer, token, 10000, &d);
    if (rc != 0) {
      die("wait", rc, "");
    }
    check(&d, is_fetch);
    b->samples[i] = (measure_now(CLOCK_MONOTONIC) - t) * 1e3;
  }
  double wall = measure_now(CLOCK_MONOTONIC) - begin;
  cpu = (measure_cpu(b->pids, b->num_pids) - cpu) / (double)b->num / 1e6;
  qsort(b->samples, b->num, sizeof *b->samples, measure_compare);
  (void)printf(
      "{\"case\":\"%s\",\"ring\":\"%s\",\"mode\":\"one by "
      "one\",\"n\":%zu,\"p50_ms\":%.3f,\"p99_ms\":%.3f,"
      "\"per_second\":%.0f,\"cpu_ms_all_peers\":%.3f}\n",
      is_fetch ? "fetch" : "store", b->label, b->num, measure_percentile(b->samples, b->num, 0.5),
      measure_percentile(b->samples, b->num, 0.99), (double)b->num / wall, cpu);
}

/* WINDOW requests under way at once. */
static void many(bench *b, bool is_fetch) {
  size_t started = 0;
  size_t ended = 0;
  double cpu = measure_cpu(b->pids, b->num_pids);
  double begin = measure_now(CLOCK_MONOTONIC);
  while (ended < b->num) {
    torc_event e;
    while (started < b->num && started - ended < WINDOW) {
      (void)(is_fetch ? start_fetch(b) : start_store(b, started));
      started++;
    }
    int rc = torc_peer_run(b->peer, -1);
    if (rc != 0) {
      die("run", rc, "");
    }
    while (torc_peer_next_event(b->peer, &e)) {
      if (e.kind == TORC_EVENT_DONE) {
        check(&e.done, is_fetch);
        ended++;
      }
    }
  }
  double wall = measure_now(CLOCK_MONOTONIC) - begin;
  cpu = (measure_cpu(b->pids, b->num_pids) - cpu) / (double)b->num / 1e6;
  (void)printf(
      "{\"case\":\"%s\",\"ring\":\"%s\",\"mode\":\"%d at once\",\"n\":%zu,\"per_second\":%.0f,"
      "\"cpu_ms_all_peers\":%.3f}\n",
      is_fetch ? "fetch" : "store", b->label, WINDOW, b->num, (double)b->num / wall, cpu);
}

static void open_peer(bench *b, const char *overlay, const char *prefix, const char *listen) {
  static char cert[512];
  static char key[512];
  char err[512] = "";
  torc_peer_config cfg = TORC_PEER_CONFIG_INIT;
  (void)snprintf(cert, sizeof cert, "%s.crt", prefix);
  (void)snprintf(key, sizeof key, "%s.key", prefix);
  cfg.overlay_file = overlay;
  cfg.cert_file = cert;
  cfg.key_file = key;
  cfg.role = TORC_ROLE_PEER;
  cfg.listen[0] = listen;
  int rc = torc_peer_new(&b->peer, &cfg, err, sizeof err);
  if (rc != 0) {
    die("open", rc, err);
  }
  b->node = torc_peer_node(b->peer);
}

/* bench_ring LABEL OVERLAY PREFIX LISTEN USER NUM PID... : USER is the name in PREFIX.crt. */
int main(int argc, char **argv) {
  bench b = {0};
  uint8_t model = 0;
  torc_done d;
  if (argc < 7 || argc - 7 > PIDS_MAX) {
    (void)fprintf(stderr, "usage: bench_ring LABEL OVERLAY PREFIX LISTEN USER NUM PID...\n");
    return 2;
  }
  b.label = argv[1];
  b.user = argv[5];
  b.num = (size_t)strtoul(argv[6], NULL, 10);
  b.samples = calloc(b.num, sizeof *b.samples);
  for (int i = 7; i < argc; i++) {
    b.pids[b.num_pids++] = atoi(argv[i]);
  }
  b.pids[b.num_pids++] = getpid();
  double begin = measure_now(CLOCK_MONOTONIC);
  open_peer(&b, argv[2], argv[3], argv[4]);
  double opened = measure_now(CLOCK_MONOTONIC);
  int rc = torc_peer_join(b.peer, 30000);
  if (rc != 0) {
    die("join", rc, "");
  }
  double joined = measure_now(CLOCK_MONOTONIC);
  torc_slice user = {(const uint8_t *)b.user, strlen(b.user)};
  torc_slice type = {(const uint8_t *)"note", 4};
  if (torc_node_resource_id(b.node, user, &b.resource) != 0 ||
      torc_node_type(b.node, type, &b.type, &model) != 0) {
    die("type", TORC_ERR_NOTFOUND, "note");
  }
  rc = torc_peer_wait(b.peer, start_fetch(&b), 10000, &d);
  double fetched = measure_now(CLOCK_MONOTONIC);
  if (rc != 0 || d.rc != 0) {
    die("first fetch", rc, "");
  }
  (void)printf(
      "{\"case\":\"join\",\"ring\":\"%s\",\"open_ms\":%.2f,\"join_ms\":%.2f,\"to_first_fetch_ms\":%"
      ".2f}\n",
      b.label, (opened - begin) * 1e3, (joined - opened) * 1e3, (fetched - opened) * 1e3);
  rc = torc_peer_wait(b.peer, start_store(&b, 0), 10000, &d);
  if (rc != 0 || d.rc != 0) {
    die("first store", rc, "");
  }
  one_by_one(&b, false);
  one_by_one(&b, true);
  many(&b, false);
  many(&b, true);
  rc = torc_peer_leave(b.peer, 5000);
  if (rc != 0) {
    die("leave", rc, "");
  }
  torc_peer_free(b.peer);
  free(b.samples);
  return 0;
}

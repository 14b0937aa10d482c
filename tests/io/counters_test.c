/* What `torc counters` and /metrics show: everything that is counted, and no name twice.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "io/control_impl.h"
#include "io/helper_ring.h"
#include "io/metrics.h"
#include "io/net_impl.h"
#include "torc_test.h"

/* The fields of the structures; those of the node have a test of their own. */
static const char *const counters[] = {
#define X(name) "io_" #name,
    TORC_NET_STATS(X) TORC_PEER_STATS(X)
#undef X
#define X(name) "io_dtls_" #name,
        TORC_DTLS_STATS(X)
#undef X
#define X(name) "io_udp_" #name,
            TORC_UDP_STATS(X)
#undef X
#define X(name) "control_" #name,
                TORC_CONTROL_STATS(X)
#undef X
};
static const char *const gauges[] = {
    "migration_stage",
    "migration_joined",
    "migration_old_ring",
    "io_half_open",
    "io_connections",
    "io_partial_bytes",
    "io_queued_bytes",
    "io_app_connections",
    "io_app_bytes",
    "io_jobs_pending",
    "io_events_waiting",
    "io_cached_peers",
    "io_certificate_seconds_left",
    "io_multicast_sockets",
    "io_configuration_age",
};

typedef struct scene {
  hr_ring ring;
  torc_peer *peer;
  torc_control control; /* not open: it only counts */
} scene;

static scene s; /* of the test that runs */

static int begin(void **state) {
  (void)state;
  memset(&s, 0, sizeof s);
  hr_open(&s.ring, "chord-128-2-8");
  s.peer = hr_add(&s.ring, TORC_ROLE_PEER);
  s.control.peer = s.peer;
  s.control.node = torc_peer_node(s.peer);
  s.control.stats.requests = 77;
  assert_int_equal(torc_peer_join(s.peer, 10000), 0);
  return 0;
}

static int end(void **state) {
  (void)state;
  hr_close(&s.ring);
  return 0;
}

static void on_name(void *ctx, const char *name, uint64_t value) {
  json_t *shown = ctx;
  (void)value;
  if (json_object_get(shown, name) == NULL) {
    fail_msg("%s is not shown", name);
  }
}

static void test_control(void **state) {
  (void)state;
  json_t *reply = json_object();
  control_request r = {.control = &s.control, .reply = reply};
  assert_int_equal(control_counters(&r), 0);
  json_t *shown = json_object_get(reply, "counters");
  for (size_t i = 0; i < TORC_ARRAY_LEN(counters); i++) {
    on_name(shown, counters[i], 0);
  }
  for (size_t i = 0; i < TORC_ARRAY_LEN(gauges); i++) {
    on_name(shown, gauges[i], 0);
  }
  torc_node_counters(s.control.node, shown, on_name);
  assert_int_equal(json_integer_value(json_object_get(shown, "control_requests")), 77);
  assert_int_equal(json_integer_value(json_object_get(shown, "io_events_waiting")),
                   s.peer->num_events);
  json_decref(reply);
}

/* One line "NAME VALUE" with its "# TYPE NAME KIND" before it. */
static void assert_metric(const char *text, const char *name, const char *suffix,
                          const char *kind) {
  char line[256];
  snprintf(line, sizeof line, "# TYPE torc_%s%s %s\ntorc_%s%s ", name, suffix, kind, name, suffix);
  const char *at = strstr(text, line);
  if (at == NULL) {
    fail_msg("no %s torc_%s%s", kind, name, suffix);
  }
  assert_null(strstr(at + 1, line));
}

static void on_metric(void *ctx, const char *name, uint64_t value) {
  (void)value;
  assert_metric(ctx, name, "_total", "counter");
}

static void on_table(void *ctx, const char *name, uint64_t held, uint64_t limit) {
  char full[64];
  (void)held;
  (void)limit;
  snprintf(full, sizeof full, "held_%s", name);
  assert_metric(ctx, full, "", "gauge");
}

static void test_metrics(void **state) {
  (void)state;
  torc_metrics_config cfg = {.peer = s.peer, .control = &s.control};
  char *text = NULL;
  size_t len = 0;
  assert_int_equal(torc_metrics_text(&cfg, &text, &len), 0);
  for (size_t i = 0; i < TORC_ARRAY_LEN(counters); i++) {
    assert_metric(text, counters[i], "_total", "counter");
  }
  for (size_t i = 0; i < TORC_ARRAY_LEN(gauges); i++) {
    assert_metric(text, gauges[i], "", "gauge");
  }
  torc_node_counters(s.control.node, text, on_metric);
  torc_node_tables(s.control.node, text, on_table);
  assert_non_null(strstr(text, "\ntorc_control_requests_total 77\n"));
  free(text);
}

static void count(void *ctx, const char *name, uint64_t value) {
  size_t *num = ctx;
  (void)name;
  (void)value;
  (*num)++;
}

/* So that a new one has to be put into the lists above. */
static void test_no_other(void **state) {
  (void)state;
  size_t of_node = 0;
  size_t of_peer = 0;
  size_t present = 0;
  torc_node_counters(s.control.node, &of_node, count);
  torc_peer_counters(s.peer, &of_peer, count);
  torc_peer_gauges(s.peer, &present, count);
  assert_int_equal(of_peer - of_node,
                   (sizeof(torc_net_stats) + sizeof(torc_dtls_stats) + sizeof(torc_udp_stats) +
                    sizeof(torc_multicast_stats) + sizeof(torc_peer_stats)) /
                       sizeof(uint64_t));
  assert_int_equal(present, TORC_ARRAY_LEN(gauges));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      {"the control socket shows every counter and gauge", test_control, begin, end, NULL},
      {"the metrics show every counter, and gauges as gauges", test_metrics, begin, end, NULL},
      {"the peer counts nothing else", test_no_other, begin, end, NULL},
  };
  return TORC_RUN(tests);
}

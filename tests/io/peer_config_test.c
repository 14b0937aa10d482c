/* Which document may follow another, and what of it takes hold.
 * SPDX-License-Identifier: Apache-2.0 */
#include "io/peer_config.h"

#include <stdio.h>

#include "torc_test.h"

static uint8_t der[3][4] = {{0x30, 2, 5, 0}, {0x30, 2, 5, 1}, {0x30, 2, 5, 2}};

/* Signed by its first root, which is der[root]. */
static void make(torc_overlay *o, uint64_t sequence, size_t root) {
  memset(o, 0, sizeof *o);
  (void)snprintf(o->name, sizeof o->name, "ring.example.org");
  (void)snprintf(o->algorithm, sizeof o->algorithm, "chord-128-2-8");
  o->sequence = sequence;
  o->roots[0].der = der[root];
  o->roots[0].len = sizeof der[root];
  o->num_roots = 1;
  o->signer = 0;
  o->types[0] = (torc_type_def){.id = 0xf00001,
                                .name = "note",
                                .model = TORC_TYPE_SINGLE,
                                .rule = TORC_RULE_USER_MATCH,
                                .max_values = 1,
                                .max_size = 9,
                                .max_lifetime_s = 9};
  o->num_types = 1;
}

static torc_overlay old, fresh;

static void refused(bool must_be_signed, const char *want) {
  char err[300] = "";
  assert_int_equal(torc_overlay_may_follow(&old, &fresh, must_be_signed, err, sizeof err),
                   TORC_ERR_DENIED);
  if (strncmp(err, want, strlen(want)) != 0) {
    fail_msg("got \"%s\", want \"%s\"", err, want);
  }
}

static void allowed(bool must_be_signed) {
  char err[300] = "";
  if (torc_overlay_may_follow(&old, &fresh, must_be_signed, err, sizeof err) != 0) {
    fail_msg("%s", err);
  }
}

static void test_follow(void **state) {
  (void)state;
  make(&old, 5, 0);
  make(&fresh, 6, 0);
  allowed(true);
  fresh.sequence = 5;
  allowed(true); /* the same again */
  fresh.sequence = 4;
  refused(false, "it is older than what this peer runs with: sequence 4 after 5");
  fresh.sequence = 5;
  fresh.t1 = TORC_MS(100);
  refused(true, "it differs, but has the same sequence 5");
  fresh.t1 = 0;
  fresh.types[0].model = TORC_TYPE_ARRAY;
  refused(true, "it differs, but has the same sequence 5");
  make(&fresh, 6, 0);
  (void)snprintf(fresh.name, sizeof fresh.name, "RING.example.org");
  allowed(true);
  (void)snprintf(fresh.name, sizeof fresh.name, "other.example.org");
  refused(false, "it is the configuration of another overlay, other.example.org");
}

static void test_trust(void **state) {
  (void)state;
  make(&old, 5, 0);
  make(&fresh, 6, 1);
  refused(false, "it is signed by a root that the running configuration does not list");
  /* The new root comes beside the old one, which signs; then it may sign alone. */
  fresh.roots[1] = old.roots[0];
  fresh.num_roots = 2;
  fresh.signer = 1;
  allowed(true);
  old = fresh;
  make(&fresh, 7, 1);
  allowed(true);
  fresh.signer = TORC_OVERLAY_NO_SIGNER;
  refused(false, "it is not signed, and the one this peer runs with is");
  refused(true, "it is not signed");
  old.signer = TORC_OVERLAY_NO_SIGNER; /* an operator's own file after another */
  allowed(false);
  refused(true, "it is not signed");
  old.sequence = 0;
  fresh.sequence = 0;
  fresh.t1 = TORC_MS(100);
  allowed(false);
}

static bool has_line(const torc_config_lines *lines, const char *want) {
  for (size_t i = 0; i < lines->num; i++) {
    if (strcmp(lines->line[i], want) == 0) {
      return true;
    }
  }
  return false;
}

static void test_changes(void **state) {
  static torc_config_lines lines;
  (void)state;
  make(&old, 1, 0);
  make(&fresh, 2, 0);
  torc_overlay_changes(&old, &fresh, &lines);
  assert_int_equal(lines.num, 0);
  torc_overlay_waiting(&old, &fresh, &lines);
  assert_int_equal(lines.num, 0);
  fresh.roots[1].der = der[1];
  fresh.roots[1].len = sizeof der[1];
  fresh.num_roots = 2;
  old.bootstrap[0] = (torc_endpoint){.host = "192.0.2.1", .port = 1};
  old.num_bootstrap = 1;
  fresh.bootstrap[0] = (torc_endpoint){.host = "192.0.2.1", .port = 2};
  fresh.num_bootstrap = 1;
  fresh.types[0].max_size = 10;
  fresh.types[1] = fresh.types[0];
  fresh.types[1].id = 0xf00002;
  (void)snprintf(fresh.types[1].name, sizeof fresh.types[1].name, "more");
  fresh.num_types = 2;
  fresh.keepalive = TORC_SEC(7);
  old.expiration_s = 60;
  fresh.remove_zero_generation = true;
  (void)snprintf(fresh.source, sizeof fresh.source, "https://a/");
  torc_overlay_changes(&old, &fresh, &lines);
  assert_int_equal(lines.num, 9);
  assert_true(has_line(&lines, "root-cert 2 is new"));
  assert_true(has_line(&lines, "bootstrap-peer 192.0.2.1 port 2 is new"));
  assert_true(has_line(&lines, "bootstrap-peer 192.0.2.1 port 1 is gone"));
  assert_true(has_line(&lines, "type note (0xF00001) has other limits or another name"));
  assert_true(has_line(&lines, "type more (0xF00002) is new"));
  assert_true(has_line(&lines, "keepalive: 7 instead of the default"));
  assert_true(has_line(&lines, "expiration: the default instead of 60"));
  assert_true(has_line(&lines, "remove-zero-generation: true"));
  assert_true(has_line(&lines, "source: https://a/"));
  torc_overlay_waiting(&old, &fresh, &lines);
  assert_int_equal(lines.num, 0);
  /* The other way round types and roots go, which waits. */
  torc_overlay_waiting(&fresh, &old, &lines);
  assert_int_equal(lines.num, 2);
  assert_true(has_line(&lines, "type more (0xF00002) is gone"));
}

/* Every part of a document counts: what is not told is neither a change nor the same text. */
static void test_each_part(void **state) {
  static torc_config_lines lines;
  (void)state;
  make(&old, 1, 0);
  make(&fresh, 2, 0);
  (void)snprintf(fresh.credentials[0], sizeof fresh.credentials[0], "https://new.example.org/c");
  fresh.num_credentials = 1;
  (void)snprintf(old.credentials[0], sizeof old.credentials[0], "https://old.example.org/c");
  old.num_credentials = 1;
  (void)snprintf(fresh.usages[0], sizeof fresh.usages[0], "TURN");
  fresh.num_usages = 1;
  (void)snprintf(old.usages[0], sizeof old.usages[0], "SIP");
  old.num_usages = 1;
  (void)snprintf(fresh.balancers[0].name, sizeof fresh.balancers[0].name, "lb.example.org");
  fresh.num_balancers = 1;
  fresh.stewards[0].b[0] = 1;
  fresh.num_stewards = 1;
  fresh.has_turn_density = true;
  fresh.turn_density = 7;
  fresh.require_signature = true;
  torc_overlay_changes(&old, &fresh, &lines);
  assert_true(has_line(&lines, "credential-server https://new.example.org/c is new"));
  assert_true(has_line(&lines, "credential-server https://old.example.org/c is gone"));
  assert_true(has_line(&lines, "required-usage TURN is new"));
  assert_true(has_line(&lines, "required-usage SIP is gone"));
  assert_true(has_line(&lines, "load-balancer: 1 instead of 0, or others"));
  assert_true(has_line(&lines, "steward: 1 instead of 0, or others"));
  assert_true(has_line(&lines, "turnDensity: 7"));
  assert_true(has_line(&lines, "require-signature: true"));
  assert_int_equal(lines.num, 8);
  torc_overlay_changes(&fresh, &fresh, &lines);
  assert_int_equal(lines.num, 0);
  fresh.sequence = 1;
  refused(false, "it differs, but has the same sequence 1");
}

/* [SEC-06] Links of one kind cannot become links of the other while they stand. */
static void test_shared_key_waits(void **state) {
  static torc_config_lines lines;
  (void)state;
  make(&old, 1, 0);
  make(&fresh, 2, 0);
  fresh.is_shared_key = true;
  fresh.num_roots = 0;
  torc_overlay_waiting(&old, &fresh, &lines);
  assert_true(has_line(&lines, "shared-secret: a shared key instead of certificates"));
  torc_overlay_waiting(&fresh, &old, &lines);
  assert_true(has_line(&lines, "shared-secret: certificates instead of a shared key"));
  torc_overlay_changes(&fresh, &old, &lines);
  assert_int_equal(lines.num, 0); /* roots are of no use there before the restart */
}

static void test_many_changes(void **state) {
  static torc_config_lines lines;
  (void)state;
  make(&old, 1, 0);
  make(&fresh, 2, 0);
  for (size_t i = 0; i < TORC_OVERLAY_BOOTSTRAP_MAX; i++) {
    fresh.bootstrap[i] = (torc_endpoint){.host = "192.0.2.1", .port = (uint16_t)(i + 1)};
  }
  fresh.num_bootstrap = TORC_OVERLAY_BOOTSTRAP_MAX;
  torc_overlay_changes(&old, &fresh, &lines);
  assert_int_equal(lines.num, TORC_CONFIG_LINES_MAX);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TORC_TEST("GAP-130 what may follow a document", test_follow),
      TORC_TEST("GAP-130 GAP-131 R-38 whose signature counts, and how a root is replaced",
                test_trust),
      TORC_TEST("GAP-130 what takes hold and what waits", test_changes),
      TORC_TEST("GAP-130 every part of a document counts", test_each_part),
      TORC_TEST("SEC-06 GAP-130 a shared key comes and goes with a restart", test_shared_key_waits),
      TORC_TEST("GAP-130 more changes than are told", test_many_changes),
  };
  return TORC_RUN(tests);
}

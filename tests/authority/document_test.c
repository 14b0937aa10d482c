/* The writer of the overlay configuration document: bytes against a document written by hand, and
 * read back by peers. SPDX-License-Identifier: Apache-2.0 */
#include "authority/document.h"

#include "authority/files.h"
#include "base/slice.h"
#include "torc_test.h"

static uint8_t der[] = {0x30, 0x03, 0x02, 0x01, 0x2a};

/* An overlay with one of everything. The root is no certificate: the writer does not look into it.
 */
static torc_overlay full_overlay(void) {
  torc_overlay o = {.name = "ring.example.org",
                    .algorithm = "chord-128-2-8",
                    .expiration_s = 86400,
                    .num_roots = 1,
                    .num_bootstrap = 2,
                    .num_types = 2,
                    .initial_ttl = 50,
                    .max_message = 100000,
                    .t1 = TORC_MS(250),
                    .update_period = TORC_SEC(30),
                    .ping_period = TORC_SEC(90),
                    .deletion_delay = TORC_SEC(7),
                    .remove_zero_generation = true};
  o.roots[0].der = der;
  o.roots[0].len = sizeof der;
  o.bootstrap[0] = (torc_endpoint){.host = "192.0.2.2", .port = 6084};
  o.bootstrap[1] = (torc_endpoint){.host = "2001:db8::2", .port = 1};
  o.types[0] = (torc_type_def){.id = 0xf00001,
                               .name = "note & <more>",
                               .model = TORC_TYPE_SINGLE,
                               .rule = TORC_RULE_USER_MATCH,
                               .findable = true,
                               .max_values = 1,
                               .max_size = 4096,
                               .max_lifetime_s = 3600};
  o.types[1] = (torc_type_def){.id = 0xf000ff,
                               .name = "d",
                               .model = TORC_TYPE_DICTIONARY,
                               .rule = TORC_RULE_OWN_KEY,
                               .max_values = 9,
                               .max_size = 10};
  o.sequence = 7;
  o.migration = TORC_MIGRATION_FETCH_NEW;
  (void)snprintf(o.migrates_from, sizeof o.migrates_from, "old.example.org");
  (void)snprintf(o.usages[0], sizeof o.usages[0], "SIP");
  o.num_usages = 1;
  (void)snprintf(o.credentials[0], sizeof o.credentials[0], "https://ring.example.org/csr");
  o.num_credentials = 1;
  o.multicast[0] = (torc_endpoint){.host = "224.0.1.1", .port = 5678};
  o.num_multicast = 1;
  o.has_turn_density = true;
  o.turn_density = 3;
  (void)snprintf(o.source, sizeof o.source, "https://ring.example.org/p2psip/enroll");
  o.signature_algorithms = 1u << 2 | 1u << 3;
  o.replica_wait = TORC_MS(1500);
  o.keepalive = TORC_SEC(20);
  o.idle_close = TORC_SEC(90);
  o.balancers[0] = (torc_load_balancer){
      .name = "eu.lb.example.net", .zone = "A", .lat_e6 = 50110000, .lon_e6 = -8000001};
  o.num_balancers = 1;
  o.num_stewards = 1;
  for (uint8_t i = 0; i < TORC_ID_LEN; i++) {
    o.stewards[0].b[i] = i;
    o.bootstrap[1].peer.b[i] = i;
  }
  return o;
}

static const char expected[] =
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
    "<overlay xmlns=\"urn:ietf:params:xml:ns:p2p:overlay\" xmlns:torc=\"urn:torc:overlay:1\" "
    "name=\"ring.example.org\" expiration=\"86400\" torc:sequence=\"7\" "
    "torc:migration-stage=\"store-both-fetch-new\" "
    "torc:accepts-certificates-of=\"old.example.org\">\n"
    "  <dht name=\"chord-128-2-8\"/>\n"
    "  <root-cert>MAMCASo=</root-cert>\n"
    "  <required-usage name=\"SIP\"/>\n"
    "  <credential-server url=\"https://ring.example.org/csr\"/>\n"
    "  <bootstrap-peer address=\"192.0.2.2\" port=\"6084\"/>\n"
    "  <bootstrap-peer address=\"2001:db8::2\" port=\"1\" "
    "peer-id=\"000102030405060708090a0b0c0d0e0f\"/>\n"
    "  <multicast-bootstrap address=\"224.0.1.1\" port=\"5678\"/>\n"
    "  <chord-128-2-8-update-frequency>30</chord-128-2-8-update-frequency>\n"
    "  <chord-128-2-8-ping-frequency>90</chord-128-2-8-ping-frequency>\n"
    "  <turnDensity>3</turnDensity>\n"
    "  <torc:source url=\"https://ring.example.org/p2psip/enroll\"/>\n"
    "  <torc:signature-algorithm name=\"ecdsa-p256-sha256\"/>\n"
    "  <torc:signature-algorithm name=\"rsa-sha256\"/>\n"
    "  <torc:initial-ttl>50</torc:initial-ttl>\n"
    "  <torc:max-message-size>100000</torc:max-message-size>\n"
    "  <torc:t1>250</torc:t1>\n"
    "  <torc:replica-wait>1500</torc:replica-wait>\n"
    "  <torc:keepalive>20</torc:keepalive>\n"
    "  <torc:idle-close>90</torc:idle-close>\n"
    "  <torc:deletion-delay>7</torc:deletion-delay>\n"
    "  <torc:remove-zero-generation>true</torc:remove-zero-generation>\n"
    "  <torc:load-balancer name=\"eu.lb.example.net\" lat=\"50.110000\" lon=\"-8.000001\" "
    "zone=\"A\"/>\n"
    "  <torc:steward peer-id=\"000102030405060708090a0b0c0d0e0f\"/>\n"
    "  <torc:type id=\"0xF00001\" name=\"note &amp; &lt;more&gt;\" model=\"single\" "
    "access=\"user-match\" "
    "max-count=\"1\" max-size=\"4096\" max-lifetime=\"3600\" find=\"yes\"/>\n"
    "  <torc:type id=\"0xF000FF\" name=\"d\" model=\"dictionary\" access=\"own-key\" "
    "max-count=\"9\" max-size=\"10\"/>\n"
    "</overlay>\n";

static void document_is_as_specified(void **state) {
  (void)state;
  torc_overlay o = full_overlay();
  uint8_t *xml = NULL;
  size_t len = 0;
  assert_int_equal(torc_document_write(&o, &xml, &len), 0);
  assert_string_equal((const char *)xml, expected);
  assert_int_equal(len, strlen(expected));
  torc_file_free(xml, len);
}

static void defaults_are_left_out(void **state) {
  (void)state;
  torc_overlay o = {.name = "a", .algorithm = "full-mesh", .num_roots = 1};
  uint8_t *xml = NULL;
  size_t len = 0;
  o.roots[0].der = der;
  o.roots[0].len = sizeof der;
  assert_int_equal(torc_document_write(&o, &xml, &len), 0);
  assert_string_equal((const char *)xml,
                      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
                      "<overlay xmlns=\"urn:ietf:params:xml:ns:p2p:overlay\" name=\"a\">\n"
                      "  <dht name=\"full-mesh\"/>\n"
                      "  <root-cert>MAMCASo=</root-cert>\n"
                      "</overlay>\n");
  torc_file_free(xml, len);
}

static void incomplete_overlays_are_refused(void **state) {
  (void)state;
  uint8_t *xml = NULL;
  size_t len = 0;
  torc_overlay o = full_overlay();
  o.num_roots = 0;
  assert_int_equal(torc_document_write(&o, &xml, &len), TORC_ERR_INVALID);
  o = full_overlay();
  o.name[0] = '\0';
  assert_int_equal(torc_document_write(&o, &xml, &len), TORC_ERR_INVALID);
  o = full_overlay();
  o.algorithm[0] = '\0';
  assert_int_equal(torc_document_write(&o, &xml, &len), TORC_ERR_INVALID);
  o = full_overlay();
  o.types[1].model = 9;
  assert_int_equal(torc_document_write(&o, &xml, &len), TORC_ERR_INVALID);
  o = full_overlay();
  o.types[1].rule = 0;
  assert_int_equal(torc_document_write(&o, &xml, &len), TORC_ERR_INVALID);
  assert_null(xml);
}

/* What a peer's reader would take for a fault is against the grammar, and is not written. */
static void what_the_grammar_refuses_is_not_written(void **state) {
  (void)state;
  uint8_t *xml = NULL;
  size_t len = 0;
  torc_overlay o = full_overlay();
  (void)snprintf(o.source, sizeof o.source, "http://ring.example.org/");
  assert_int_equal(torc_document_write(&o, &xml, &len), TORC_ERR_INVALID);
  o = full_overlay();
  o.types[0].id = 5;
  assert_int_equal(torc_document_write(&o, &xml, &len), TORC_ERR_INVALID);
  o = full_overlay();
  o.balancers[0].lat_e6 = 91000000;
  assert_int_equal(torc_document_write(&o, &xml, &len), TORC_ERR_INVALID);
  o = full_overlay();
  o.migration = 4;
  assert_int_equal(torc_document_write(&o, &xml, &len), TORC_ERR_INVALID);
  assert_null(xml);
}

static void names_are_those_of_the_specification(void **state) {
  (void)state;
  assert_int_equal(torc_document_model("array"), TORC_TYPE_ARRAY);
  assert_int_equal(torc_document_model("Array"), 0);
  assert_int_equal(torc_document_rule("node-match"), TORC_RULE_NODE_MATCH);
  assert_int_equal(torc_document_rule("node-multiple"), TORC_RULE_NODE_MULTIPLE);
  assert_int_equal(torc_document_rule("own-key"), TORC_RULE_OWN_KEY);
  assert_int_equal(torc_document_rule(""), 0);
  assert_string_equal(torc_document_model_name(TORC_TYPE_SINGLE), "single");
  assert_null(torc_document_model_name(0));
  assert_null(torc_document_rule_name(77));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TORC_TEST("ENR-11 ENR-12 ENR-14 ENR-15 ENR-17 ENR-18 ENR-22 GAP-121 GAP-127 GAP-129 GAP-131 "
                "GAP-143 every element",
                document_is_as_specified),
      TORC_TEST("GAP-131 defaults are left out", defaults_are_left_out),
      TORC_TEST("ENR-19 incomplete overlays are refused", incomplete_overlays_are_refused),
      TORC_TEST("GAP-127 what the grammar refuses is not written",
                what_the_grammar_refuses_is_not_written),
      TORC_TEST("GAP-131 names of models and rules", names_are_those_of_the_specification),
  };
  return TORC_RUN(tests);
}

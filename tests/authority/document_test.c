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
                               .rule = TORC_RULE_USER_NODE_MATCH,
                               .max_values = 9,
                               .max_size = 10};
  return o;
}

static const char expected[] =
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
    "<overlay xmlns=\"urn:ietf:params:xml:ns:p2p:overlay\" name=\"ring.example.org\" "
    "expiration=\"86400\">\n"
    "  <dht name=\"chord-128-2-8\"/>\n"
    "  <root-cert>MAMCASo=</root-cert>\n"
    "  <bootstrap-peer address=\"192.0.2.2\" port=\"6084\"/>\n"
    "  <bootstrap-peer address=\"2001:db8::2\" port=\"1\"/>\n"
    "  <chord-128-2-8-update-frequency>30</chord-128-2-8-update-frequency>\n"
    "  <chord-128-2-8-ping-frequency>90</chord-128-2-8-ping-frequency>\n"
    "  <initial-ttl>50</initial-ttl>\n"
    "  <max-message-size>100000</max-message-size>\n"
    "  <t1>250</t1>\n"
    "  <deletion-delay>7</deletion-delay>\n"
    "  <remove-zero-generation>true</remove-zero-generation>\n"
    "  <type id=\"0xF00001\" name=\"note &amp; &lt;more&gt;\" model=\"single\" "
    "access=\"user-match\" "
    "max-count=\"1\" max-size=\"4096\" max-lifetime=\"3600\" find=\"yes\"/>\n"
    "  <type id=\"0xF000FF\" name=\"d\" model=\"dictionary\" access=\"user-node-match\" "
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

static void names_are_those_of_the_specification(void **state) {
  (void)state;
  assert_int_equal(torc_document_model("array"), TORC_TYPE_ARRAY);
  assert_int_equal(torc_document_model("Array"), 0);
  assert_int_equal(torc_document_rule("node-match"), TORC_RULE_NODE_MATCH);
  assert_int_equal(torc_document_rule("node-multiple"), TORC_RULE_NODE_MULTIPLE);
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
      TORC_TEST("GAP-131 names of models and rules", names_are_those_of_the_specification),
  };
  return TORC_RUN(tests);
}

/* Documents written by hand (tests/vectors/overlay) and signed with the openssl program: what the
 * reader makes of our own elements, the grammar and the signature.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/id.h"
#include "base/slice.h"
#include "io/overlay_grammar.h"
#include "io/overlay_sign.h"
#include "io/overlay_xml.h"
#include "torc_test.h"

#define VECTORS TORC_SOURCE_DIR "/tests/vectors/overlay/"

static char *load(const char *name, size_t *len) {
  char path[600];
  char err[400] = "";
  char *text = NULL;
  (void)snprintf(path, sizeof path, VECTORS "%s", name);
  if (torc_overlay_file(path, &text, len, err, sizeof err) != 0) {
    fail_msg("%s", err);
  }
  return text;
}

static void must_load(torc_overlay *o, const char *name, const char *overlay) {
  char path[600];
  char err[400] = "";
  (void)snprintf(path, sizeof path, VECTORS "%s", name);
  if (torc_overlay_load(o, path, overlay, err, sizeof err) != 0) {
    fail_msg("%s", err);
  }
}

static void test_own(void **state) {
  static const uint8_t steward[] = {0xf0, 0xe0, 0xd0, 0xc0, 0xb0, 0xa0, 0x90, 0x80,
                                    0x70, 0x60, 0x50, 0x40, 0x30, 0x20, 0x10, 0x01};
  (void)state;
  torc_overlay o;
  must_load(&o, "own.xml", NULL);
  assert_true(o.sequence == 41);
  assert_int_equal(o.expiration_s, 600);
  assert_true(o.has_turn_density);
  assert_int_equal(o.turn_density, 7);
  assert_string_equal(o.source, "https://ring.example.org/p2psip/enroll");
  assert_int_equal(o.signature_algorithms, 1 << 3);
  assert_int_equal(o.num_credentials, 1);
  assert_string_equal(o.credentials[0], "https://ring.example.org/p2psip/certificate");
  assert_true(o.update_period == TORC_SEC(90) && o.ping_period == TORC_SEC(900));
  assert_int_equal(o.initial_ttl, 50);
  assert_int_equal(o.max_message, 65536);
  assert_true(o.t1 == TORC_MS(250) && o.replica_wait == TORC_MS(1500));
  assert_true(o.keepalive == TORC_SEC(20) && o.idle_close == TORC_SEC(90));
  assert_true(o.deletion_delay == TORC_SEC(7));
  assert_true(o.require_signature && o.remove_zero_generation);
  assert_int_equal(o.num_balancers, 2);
  assert_string_equal(o.balancers[0].name, "eu.lb.example.net");
  assert_string_equal(o.balancers[0].zone, "A");
  assert_int_equal(o.balancers[0].lat_e6, 50110000);
  assert_int_equal(o.balancers[0].lon_e6, 8680000);
  assert_int_equal(o.balancers[1].lat_e6, -33448900);
  assert_int_equal(o.balancers[1].lon_e6, -70669300);
  assert_string_equal(o.balancers[1].zone, "");
  assert_int_equal(o.num_stewards, 1);
  assert_memory_equal(o.stewards[0].b, steward, sizeof steward);
  assert_int_equal(o.num_types, 2);
  assert_int_equal(o.types[0].rule, TORC_RULE_OWN_KEY);
  assert_int_equal(o.types[0].max_values, 1000);
  assert_true(o.types[0].findable);
  assert_int_equal(o.types[1].id, 0xF00011);
  assert_int_equal(o.types[1].max_lifetime_s, 604800);
  assert_int_equal(o.signer, TORC_OVERLAY_NO_SIGNER);
  torc_overlay_clear(&o);
}

static void test_draft(void **state) {
  (void)state;
  torc_overlay o;
  must_load(&o, "draft.xml", "ring.example.org");
  assert_true(o.sequence == 0);
  assert_false(o.has_turn_density);
  assert_int_equal(o.num_usages, 1);
  assert_string_equal(o.usages[0], "SIP");
  assert_int_equal(o.num_multicast, 1);
  assert_string_equal(o.multicast[0].host, "224.0.1.1");
  assert_int_equal(o.multicast[0].port, 5678);
  assert_int_equal(o.migration, TORC_MIGRATION_NONE);
  torc_overlay_clear(&o);
}

static void test_migration(void **state) {
  (void)state;
  torc_overlay o;
  must_load(&o, "migration.xml", "new.example.org");
  assert_int_equal(o.migration, TORC_MIGRATION_FETCH_NEW);
  assert_string_equal(o.migrates_from, "old.example.org");
  torc_overlay_clear(&o);
  assert_null(o.next);
  /* The ring that moves: found by its name, or because it is the only one that no other moves to.
   */
  const char *const names[] = {"old.example.org", NULL};
  for (size_t i = 0; i < TORC_ARRAY_LEN(names); i++) {
    torc_overlay copy;
    must_load(&o, "migration.xml", names[i]);
    assert_string_equal(o.name, "old.example.org");
    assert_int_equal(o.migration, TORC_MIGRATION_NONE);
    assert_non_null(o.next);
    assert_int_equal(torc_overlay_copy(&copy, &o), 0);
    torc_overlay_clear(&o);
    assert_string_equal(copy.next->name, "new.example.org");
    assert_string_equal(copy.next->algorithm, "chord-128-2-24");
    assert_int_equal(copy.next->migration, TORC_MIGRATION_FETCH_NEW);
    assert_int_equal(copy.next->num_roots, 1);
    assert_null(copy.next->next);
    torc_overlay_clear(&copy);
  }
}

/* `text` with what lies between the last `from` and the `to` behind it, both included, replaced. */
static char *replaced(const char *text, const char *from, const char *to, const char *with) {
  const char *at = NULL;
  for (const char *c = text; (c = strstr(c, from)) != NULL; c++) {
    at = c;
  }
  assert_non_null(at);
  const char *end = strstr(at, to);
  assert_non_null(end);
  end += strlen(to);
  size_t size = strlen(text) + strlen(with) + 1;
  char *out = malloc(size);
  (void)snprintf(out, size, "%.*s%s%s", (int)(at - text), text, with, end);
  return out;
}

static void must_not_move(const char *xml, const char *want) {
  torc_overlay o;
  char err[300] = "";
  assert_int_equal(torc_overlay_parse(&o, xml, strlen(xml), NULL, err, sizeof err),
                   TORC_ERR_CONFIG);
  if (strstr(err, want) == NULL) {
    fail_msg("got \"%s\", want \"%s\"", err, want);
  }
}

static void test_impossible_moves(void **state) {
  (void)state;
  size_t len = 0;
  char *read = load("migration.xml", &len);
  char *xml = calloc(1, len + 1);
  memcpy(xml, read, len);
  char *to_key = replaced(xml, "<root-cert>", "</root-cert>", "<shared-secret/>");
  must_not_move(to_key, "line 16: an overlay with a shared key and one with root-certs");
  char *two =
      replaced(xml, "</overlays>", "\n",
               "<overlay xmlns='urn:ietf:params:xml:ns:p2p:overlay' name='other.example.org'"
               " xmlns:t='urn:torc:overlay:1' t:migration-stage='new-only'"
               " t:accepts-certificates-of='OLD.example.org'/></overlays>");
  must_not_move(two, "a second overlay to move to from old.example.org");
  free(two);
  free(to_key);
  free(xml);
  free(read);
}

/* ---- the packed form ---- */

static void test_packed(void **state) {
  static uint8_t bytes[65536];
  static uint8_t again[65536];
  (void)state;
  torc_overlay o;
  torc_overlay back;
  torc_wr wr;
  must_load(&o, "signed.xml", NULL);
  torc_wr_init(&wr, bytes, sizeof bytes);
  torc_overlay_put(&wr, &o);
  assert_int_equal(wr.err, 0);
  size_t len = wr.len;
  assert_int_equal(torc_overlay_get(&back, torc_slice_of(bytes, len)), 0);
  torc_wr_init(&wr, again, sizeof again);
  torc_overlay_put(&wr, &back);
  assert_int_equal(wr.len, len);
  assert_memory_equal(bytes, again, len);
  assert_int_equal(back.balancers[1].lon_e6, -70669300);
  assert_int_equal(back.signer, 0);
  torc_overlay_clear(&back);
  for (size_t i = 0; i < len; i++) {
    assert_int_not_equal(torc_overlay_get(&back, torc_slice_of(bytes, i)), 0);
  }
  torc_overlay_clear(&o);
}

/* ---- the signature ---- */

static void test_signed(void **state) {
  (void)state;
  torc_overlay o;
  must_load(&o, "signed.xml", NULL);
  assert_int_equal(o.signer, 0);
  assert_true(o.signed_at > 1700000000u); /* the program that made the vector says when */
  assert_true(o.sequence == 41);
  torc_overlay_clear(&o);
}

static int parse(const char *xml, size_t len, char err[400]) {
  torc_overlay o;
  int rc = torc_overlay_parse(&o, xml, len, NULL, err, 400);
  if (rc == 0) {
    torc_overlay_clear(&o);
  }
  return rc;
}

static void test_bad_signatures(void **state) {
  static const struct {
    const char *name, *why;
  } bad[] = {
      {"signed-sha1.xml",
       "the signature of the document is damaged, or of a kind that is not accepted"},
      {"signed-foreign.xml",
       "the signature of the document does not hold: it was changed after signing, or signed by "
       "nobody among the root-certs"},
  };
  (void)state;
  for (size_t i = 0; i < TORC_ARRAY_LEN(bad); i++) {
    size_t len = 0;
    char err[400] = "";
    char *xml = load(bad[i].name, &len);
    assert_int_equal(parse(xml, len, err), TORC_ERR_CRYPTO);
    assert_string_equal(err, bad[i].why);
    free(xml);
  }
}

/* Every bit of the signed part counts: whatever still is a document is refused for its signature.
 */
static void test_flips(void **state) {
  (void)state;
  size_t len = 0;
  char err[400];
  char *xml = load("signed.xml", &len);
  size_t signed_len = torc_overlay_signed_len(torc_slice_of(xml, len));
  size_t num_parsed = 0;
  assert_true(signed_len > 1000 && signed_len < len);
  for (size_t i = 0; i < len - 4; i++) { /* the last four: "=", "?>" and the newline */
    for (unsigned bit = 0; bit < 6; bit += 5) {
      xml[i] = (char)(xml[i] ^ (1 << bit));
      /* A changed "<?torc-signature " is no signature any more: then there is none. */
      if (i < signed_len || i >= signed_len + strlen(TORC_OVERLAY_SIGNATURE_START)) {
        int rc = parse(xml, len, err);
        bool is_space = i >= signed_len; /* white space in base64 may become other white space */
        assert_true(rc != 0 || is_space);
        num_parsed += rc == TORC_ERR_CRYPTO ? 1 : 0;
      }
      xml[i] = (char)(xml[i] ^ (1 << bit));
    }
  }
  assert_true(num_parsed > 500);
  free(xml);
}

static void test_after_the_signature(void **state) {
  static const char more[] = "<!-- more -->";
  (void)state;
  size_t len = 0;
  char err[400] = "";
  char *xml = load("signed.xml", &len);
  char *longer = malloc(len + sizeof more);
  memcpy(longer, xml, len);
  memcpy(longer + len, more, sizeof more);
  assert_int_equal(parse(longer, len + sizeof more - 1, err), TORC_ERR_CRYPTO);
  memcpy(longer + len, " \n\t\r\n", 5);
  assert_int_equal(parse(longer, len + 5, err), 0);
  free(longer);
  free(xml);
}

/* ---- faults ---- */

#define HEAD                                                                                   \
  "<overlay xmlns='urn:ietf:params:xml:ns:p2p:overlay' xmlns:t='urn:torc:overlay:1' name='a' " \
  "%s>\n<dht name='d'/>\n%s\n%s</overlay>"

typedef struct fault {
  const char *name, *attributes, *child, *want;
  bool is_strict;
} fault;

static fault faults[] = {
    {"GAP-131 a sequence below 0", "t:sequence='-1'", "",
     "line 1: sequence must be a number from 0 to 9007199254740991", false},
    {"GAP-131 a sequence that is too large", "t:sequence='9007199254740992'", "",
     "line 1: sequence must be a number", false},
    {"D-19 a stage without the other overlay", "t:migration-stage='new-only'", "",
     "line 1: migration-stage needs accepts-certificates-of", false},
    {"D-19 a stage that is none", "t:migration-stage='soon' t:accepts-certificates-of='b'", "",
     "line 1: migration-stage must be store-both-fetch-old", false},
    {"D-19 the overlay itself as the other",
     "t:migration-stage='new-only' t:accepts-certificates-of='A'", "",
     "line 1: migration-stage needs accepts-certificates-of", false},
    {"GAP-130 a source without https", "", "<t:source url='http://a/'/>",
     "line 4: the url of source must begin with https://", false},
    {"GAP-130 two sources", "", "<t:source url='https://a/'/><t:source url='https://a/'/>",
     "line 4: a second source element", false},
    {"GAP-130 a source with a blank", "", "<t:source url='https://a/ b'/>",
     "line 4: a character that no url has, in source", false},
    {"D-10 an algorithm that is refused", "", "<t:signature-algorithm name='rsa-sha1'/>",
     "line 4: signature-algorithm is ecdsa-p256-sha256 or rsa-sha256", false},
    {"GAP-131 D-11 another hash", "", "<t:hash name='sha-1'/>",
     "line 4: the overlay wants a hash this program lacks (it has sha-256): sha-1", false},
    {"BGAP-13 a latitude beyond the pole", "", "<t:load-balancer name='b' lat='90.1' lon='0'/>",
     "line 4: lat is -90 to 90", false},
    {"BGAP-13 a longitude that is none", "", "<t:load-balancer name='b' lat='1' lon='east'/>",
     "line 4: lat is -90 to 90", false},
    {"BGAP-13 a name that is none", "", "<t:load-balancer name='b c' lat='1' lon='1'/>",
     "line 4: no host name: b c", false},
    {"BGAP-13 a name that would break the line", "",
     "<t:load-balancer name='b&#10;c' lat='1' lon='1'/>",
     "line 4: the attribute name of load-balancer has a control character", false},
    {"R-54 a steward that is none", "", "<t:steward peer-id='12'/>",
     "line 4: peer-id is not 32 hexadecimal digits", false},
    {"GAP-131 a replica-wait below 100 ms", "", "<t:replica-wait>99</t:replica-wait>",
     "line 4: replica-wait must be a number from 100 to 30000", false},
    {"GAP-131 a keepalive of 0", "", "<t:keepalive>0</t:keepalive>",
     "line 4: keepalive must be a number from 1 to 86400", false},
    {"USG-03 own-key without dictionary", "",
     "<t:type id='0xF00001' name='n' model='array' access='own-key' max-count='2' max-size='1'/>",
     "line 4: access own-key is for dictionaries only: n", false},
    {"GAP-127 a type's name that would break the line", "",
     "<t:type id='0xF00001' name='n&#10;signed yes' model='single' access='user-match' "
     "max-count='1' max-size='1'/>",
     "line 4: the attribute name of type has a control character", false},
    {"GAP-127 a type's name that would steer a terminal", "",
     "<t:type id='0xF00001' name='n&#x9b;2J' model='single' access='user-match' max-count='1' "
     "max-size='1'/>",
     "line 4: the attribute name of type has a control character", false},
    {"GAP-127 a misspelt attribute", "",
     "<t:type id='0xF00001' name='n' model='array' access='user-match' max-count='2' max-size='1' "
     "max-lifetme='9'/>",
     "line 4: against the grammar: Invalid attribute max-lifetme", false},
    {"GAP-127 an attribute of an element that has none", "",
     "<bootstrap-peer address='a' port='1' transport='tcp'/>",
     "line 4: against the grammar: ", false},
    {"GAP-127 an element where only text is", "", "<t:t1><t:t1>50</t:t1></t:t1>",
     "line 4: against the grammar: ", false},
    {"GAP-127 an unknown attribute of ours", "t:sequenc='1'", "",
     "line 1: against the grammar: ", false},
    {"GAP-127 an unknown element of ours, before signing", "", "<t:tl>5</t:tl>",
     "line 4: our namespace has no element tl", true},
};

static char root[4096]; /* the root-cert element of draft.xml */

static int set_up(void **state) {
  (void)state;
  size_t len = 0;
  char *xml = load("draft.xml", &len);
  const char *from = strstr(xml, "<root-cert>");
  const char *to = strstr(xml, "</root-cert>");
  size_t n = 0;
  for (const char *c = from; c < to + strlen("</root-cert>"); c++) { /* on one line */
    if (*c != '\n') {
      root[n++] = *c;
    }
  }
  root[n] = '\0';
  free(xml);
  return 0;
}

static int read_with(const fault *f, bool is_strict, char err[400]) {
  static char text[16384];
  torc_overlay o;
  int len = snprintf(text, sizeof text, HEAD, f->attributes, root, f->child);
  torc_overlay_input in = {.xml = torc_slice_of(text, (size_t)len), .is_strict = is_strict};
  int rc = torc_overlay_read(&o, &in, err, 400);
  if (rc == 0) {
    torc_overlay_clear(&o);
  }
  return rc;
}

static void test_fault(void **state) {
  const fault *f = *state;
  char err[400] = "";
  assert_int_equal(read_with(f, f->is_strict, err), TORC_ERR_CONFIG);
  if (strncmp(err, f->want, strlen(f->want)) != 0) {
    fail_msg("got \"%s\", want \"%s\"", err, f->want);
  }
  if (f->is_strict) { /* a peer ignores what a later version may have added */
    assert_int_equal(read_with(f, false, err), 0);
  }
}

/* What would take libxml2 minutes takes no time: what is ignored is not validated. */
static void test_much_to_ignore(void **state) {
  (void)state;
  size_t num = 90000;
  size_t cap = num * 8 + sizeof root + 1000;
  char *text = malloc(cap);
  char err[400] = "";
  torc_overlay o;
  size_t n = (size_t)snprintf(text, cap, "<overlay name='a'><dht name='d'/>%s", root);
  for (size_t i = 0; i < num; i++) {
    memcpy(text + n, "<x/>", 4);
    n += 4;
  }
  n += (size_t)snprintf(text + n, cap - n, "</overlay>");
  assert_int_equal(torc_overlay_parse(&o, text, n, NULL, err, sizeof err), 0);
  torc_overlay_clear(&o);
  n = (size_t)snprintf(text, cap, "<overlay name='a'><dht name='d'/>%s", root);
  for (size_t i = 0; i < TORC_OVERLAY_ELEMENTS_MAX; i++) {
    n += (size_t)snprintf(text + n, cap - n, "<t1>50</t1>");
  }
  n += (size_t)snprintf(text + n, cap - n, "</overlay>");
  assert_int_equal(torc_overlay_parse(&o, text, n, NULL, err, sizeof err), TORC_ERR_CONFIG);
  assert_string_equal(err, "line 1: more elements, or attributes of one, than this program takes");
  free(text);
}

static void test_charset(void **state) {
  (void)state;
  char text[8192];
  char err[400] = "";
  torc_overlay o;
  int len = snprintf(text, sizeof text,
                     "<?xml version='1.0' encoding='UTF-8'?><overlay name='a'><dht name='d'/>%s<x>"
                     "\xe9</x></overlay>",
                     root);
  torc_overlay_input in = {.xml = torc_slice_of(text, (size_t)len), .encoding = "ISO-8859-1"};
  assert_int_equal(torc_overlay_read(&o, &in, err, sizeof err), 0);
  torc_overlay_clear(&o);
  in.encoding = NULL; /* as the document says, it is not well-formed */
  assert_int_equal(torc_overlay_read(&o, &in, err, sizeof err), TORC_ERR_CONFIG);
  in.encoding = "klingon";
  assert_int_equal(torc_overlay_read(&o, &in, err, sizeof err), TORC_ERR_CONFIG);
}

/* The published file is what the programs use. */
static void test_published(void **state) {
  (void)state;
  size_t len = 0;
  char *text = NULL;
  char err[400];
  assert_int_equal(
      torc_overlay_file(TORC_SOURCE_DIR "/docs/spec/overlay.rng", &text, &len, err, sizeof err), 0);
  assert_int_equal(len, torc_overlay_rng_len);
  assert_memory_equal(text, torc_overlay_rng, len);
  free(text);
}

int main(void) {
  struct CMUnitTest tests[16 + TORC_ARRAY_LEN(faults)] = {
      TORC_TEST("GAP-131 GAP-121 GAP-143 D-10 R-54 BGAP-13 ENR-21 GAP-128 our own elements",
                test_own),
      TORC_TEST("ENR-17 ENR-18 ENR-20 ENR-21 ENR-22 ENR-23 the draft's elements", test_draft),
      TORC_TEST("D-19 MIG-01 ENR-16 the stage of a migration", test_migration),
      TORC_TEST("D-19 SEC-06 ENR-16 moves that nobody could make", test_impossible_moves),
      TORC_TEST("ENR-10 the packed form is whole", test_packed),
      TORC_TEST("GAP-131 a document signed with the openssl program", test_signed),
      TORC_TEST("GAP-131 D-10 signatures of others, or with SHA-1", test_bad_signatures),
      TORC_TEST("GAP-131 nothing in a signed document can be changed", test_flips),
      TORC_TEST("GAP-131 nothing stands behind the signature", test_after_the_signature),
      TORC_TEST("GAP-127 what is ignored costs little, what is not has a limit",
                test_much_to_ignore),
      TORC_TEST("ENR-13 the charset of the MIME type decides", test_charset),
      TORC_TEST("GAP-127 the grammar is the published one", test_published),
  };
  size_t num = 0;
  while (tests[num].name != NULL) {
    num++;
  }
  for (size_t i = 0; i < TORC_ARRAY_LEN(faults); i++) {
    tests[num] = (struct CMUnitTest)TORC_CASE(faults[i].name, test_fault, &faults[i]);
    num++;
  }
  return _cmocka_run_group_tests(__FILE__, tests, num, set_up, NULL);
}

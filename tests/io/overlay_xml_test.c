/* The overlay configuration document: what is read, and every fault with its line.
 * SPDX-License-Identifier: Apache-2.0 */
#include "io/overlay_xml.h"

#include <openssl/evp.h>
#include <stdio.h>

#include "base/id.h"
#include "base/slice.h"
#include "io/helper_pki.h"
#include "torc_test.h"

#define XMLNS "urn:ietf:params:xml:ns:p2p:overlay"
#define HEAD "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
#define TYPE_NOTE                                                                          \
  "<type id='0xF00001' name='note' model='dictionary' access='user-match' max-count='10' " \
  "max-size='4096'/>"

static hp_ca ca;
static char root[2048]; /* base64 */

static int set_up(void **state) {
  (void)state;
  hp_ca_make(&ca, "root", true);
  EVP_EncodeBlock((uint8_t *)root, ca.der, (int)ca.der_len);
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  hp_ca_free(&ca);
  return 0;
}

/* Copies `text` with every $ROOT replaced. */
static char *expand(const char *text, size_t *len) {
  size_t cap = strlen(text) + 12 * sizeof root;
  char *out = malloc(cap);
  size_t n = 0;
  assert_non_null(out);
  for (const char *c = text; *c != '\0';) {
    if (strncmp(c, "$ROOT", 5) == 0) {
      memcpy(out + n, root, strlen(root));
      n += strlen(root);
      c += 5;
    } else {
      out[n] = *c;
      n++;
      c++;
    }
    assert_true(n < cap - sizeof root);
  }
  out[n] = '\0';
  *len = n;
  return out;
}

static int parse(torc_overlay *o, const char *text, const char *name, char *err, size_t err_cap) {
  size_t len = 0;
  char *xml = expand(text, &len);
  int rc = torc_overlay_parse(o, xml, len, name, err, err_cap);
  free(xml);
  return rc;
}

static void must_parse(torc_overlay *o, const char *text, const char *name) {
  char err[400] = "";
  if (parse(o, text, name, err, sizeof err) != 0) {
    fail_msg("%s", err);
  }
}

static const char full[] =
    HEAD "<overlay xmlns='" XMLNS
         "' name='ring.example.org' expiration='86400'>\n"
         "  <dht name='chord-128-2-8'/>\n"
         "  <root-cert>\n   $ROOT\n  </root-cert>\n"
         "  <required-usage name='SIP'/>\n"
         "  <credential-server url='https://www.example.com/csr'/>\n"
         "  <bootstrap-peer address='192.0.2.2' port='5678'/>\n"
         "  <bootstrap-peer address='2001:db8::1' port='6084' "
         "peer-id='0123456789ABCDEF0123456789abcdef'/>\n"
         "  <bootstrap-peer address='boot.example.org' port='1'/>\n"
         "  <multicast-bootstrap address='224.0.1.1' port='5678'/>\n"
         "  <chord-128-2-8-update-frequency>60</chord-128-2-8-update-frequency>\n"
         "  <chord-128-2-8-ping-frequency> 120 </chord-128-2-8-ping-frequency>\n"
         "  <initial-ttl>50</initial-ttl><max-message-size>65536</max-message-size><t1>250</t1>\n"
         "  <require-signature>true</require-signature><deletion-delay>7</deletion-delay>\n"
         "  <remove-zero-generation>true</remove-zero-generation><turnDensity>3</turnDensity>\n"
         "  <type id='0xF00001' name='note' model='dictionary' access='user-match' max-count='10' "
         "max-size='4096'\n"
         "        max-lifetime='604800' find='yes'/>\n"
         "  <type id='15728642' name='log' model='array' access='node-match' max-count='1' "
         "max-size='1' find='no'/>\n"
         "  <later-invention a='b'><dht name='other'/></later-invention>\n"
         "  <dht xmlns='urn:other' name='not ours'/>\n"
         "</overlay>\n";

static void test_full(void **state) {
  (void)state;
  torc_overlay o;
  must_parse(&o, full, NULL);
  assert_string_equal(o.name, "ring.example.org");
  assert_string_equal(o.algorithm, "chord-128-2-8");
  assert_int_equal(o.expiration_s, 86400);
  assert_int_equal(o.num_roots, 1);
  assert_int_equal(o.roots[0].len, ca.der_len);
  assert_memory_equal(o.roots[0].der, ca.der, ca.der_len);
  assert_int_equal(o.num_bootstrap, 3);
  assert_string_equal(o.bootstrap[0].host, "192.0.2.2");
  assert_int_equal(o.bootstrap[0].port, 5678);
  assert_true(torc_id_eq(&o.bootstrap[0].peer, &torc_id_zero));
  assert_string_equal(o.bootstrap[1].host, "2001:db8::1");
  assert_int_equal(o.bootstrap[1].peer.b[15], 0xef);
  assert_string_equal(o.bootstrap[2].host, "boot.example.org");
  assert_true(o.update_period == TORC_SEC(60));
  assert_true(o.ping_period == TORC_SEC(120));
  assert_true(o.t1 == TORC_MS(250));
  assert_true(o.deletion_delay == TORC_SEC(7));
  assert_int_equal(o.initial_ttl, 50);
  assert_int_equal(o.max_message, 65536);
  assert_true(o.require_signature);
  assert_true(o.remove_zero_generation);
  assert_int_equal(o.num_types, 2);
  assert_int_equal(o.types[0].id, 0xF00001);
  assert_string_equal(o.types[0].name, "note");
  assert_int_equal(o.types[0].model, TORC_TYPE_DICTIONARY);
  assert_int_equal(o.types[0].rule, TORC_RULE_USER_MATCH);
  assert_true(o.types[0].findable);
  assert_int_equal(o.types[0].max_values, 10);
  assert_int_equal(o.types[0].max_size, 4096);
  assert_int_equal(o.types[0].max_lifetime_s, 604800);
  assert_int_equal(o.types[1].id, 0xF00002);
  assert_int_equal(o.types[1].model, TORC_TYPE_ARRAY);
  assert_int_equal(o.types[1].rule, TORC_RULE_NODE_MATCH);
  assert_false(o.types[1].findable);
  torc_overlay_clear(&o);
  torc_overlay_clear(&o); /* harmless */
}

/* Only what the draft names: every other parameter has a default. */
static void test_draft_only(void **state) {
  (void)state;
  torc_overlay o;
  must_parse(&o,
             "<overlay name='a'><dht name='chord-128-2-8'/><root-cert>$ROOT</root-cert></overlay>",
             NULL);
  assert_int_equal(o.initial_ttl, 0);
  assert_int_equal(o.max_message, 0);
  assert_true(o.t1 == 0 && o.update_period == 0 && o.ping_period == 0 && o.deletion_delay == 0);
  assert_true(o.require_signature);
  assert_false(o.remove_zero_generation);
  torc_overlay_clear(&o);
}

static void test_periods(void **state) {
  (void)state;
  torc_overlay o;
  must_parse(&o,
             "<overlay name='a'><dht "
             "name='full-mesh'><full-mesh-update-frequency>11</full-mesh-update-frequency>"
             "</dht><root-cert>$ROOT</root-cert><chord-128-2-8-ping-frequency>12</"
             "chord-128-2-8-ping-frequency>"
             "<chord-128-2-24-ping-frequency>99</chord-128-2-24-ping-frequency></overlay>",
             NULL);
  assert_true(o.update_period == TORC_SEC(11));
  assert_true(o.ping_period == TORC_SEC(12));
  torc_overlay_clear(&o);
}

static const char several[] =
    "<overlays><x/><overlay name='One'><dht name='d1'/><root-cert>$ROOT</root-cert></overlay>"
    "<overlay name='two'><dht name='d2'/><root-cert>$ROOT</root-cert></overlay></overlays>";

static void test_several(void **state) {
  (void)state;
  torc_overlay o;
  char err[400] = "";
  must_parse(&o, several, "two");
  assert_string_equal(o.algorithm, "d2");
  torc_overlay_clear(&o);
  must_parse(&o, several, "one");
  assert_string_equal(o.algorithm, "d1");
  torc_overlay_clear(&o);
  assert_int_equal(parse(&o, several, NULL, err, sizeof err), TORC_ERR_CONFIG);
  assert_string_equal(err, "line 1: several overlay elements: say which by its name");
  assert_int_equal(parse(&o, several, "three", err, sizeof err), TORC_ERR_CONFIG);
  assert_string_equal(err, "no overlay named three in the document");
}

static void test_several_roots(void **state) {
  (void)state;
  torc_overlay o;
  must_parse(&o,
             "<overlay name='a'><dht "
             "name='d'/><root-cert>$ROOT</root-cert><root-cert>$ROOT</root-cert></overlay>",
             NULL);
  assert_int_equal(o.num_roots, 2);
  torc_overlay_clear(&o);
}

static void test_latin1(void **state) {
  (void)state;
  torc_overlay o;
  must_parse(&o,
             "<?xml version='1.0' encoding='ISO-8859-1'?><overlay name='a'><dht name='d'/>"
             "<root-cert>$ROOT</root-cert><x>\xe9</x></overlay>",
             NULL);
  torc_overlay_clear(&o);
  must_parse(&o,
             "<?xml version='1.0' encoding='US-ASCII'?><overlay name='a'><dht name='d'/>"
             "<root-cert>$ROOT</root-cert></overlay>",
             NULL);
  torc_overlay_clear(&o);
}

static void test_unicast_in_multicast(void **state) {
  (void)state;
  torc_overlay o;
  must_parse(&o,
             "<overlay name='a'><dht name='d'/><root-cert>$ROOT</root-cert>"
             "<multicast-bootstrap address='192.0.2.99' port='5678'/></overlay>",
             NULL);
  assert_int_equal(o.num_bootstrap, 1);
  assert_string_equal(o.bootstrap[0].host, "192.0.2.99");
  torc_overlay_clear(&o);
}

/* ---- faults ---- */

static void test_shared_key(void **state) {
  static const char *const flags[] = {
      "<shared-secret/>", "<shared-secret> true </shared-secret>",
      "<require-signature>false</require-signature><shared-secret/>"};
  torc_overlay o;
  (void)state;
  for (size_t i = 0; i < TORC_ARRAY_LEN(flags); i++) {
    char text[256];
    (void)snprintf(text, sizeof text, "<overlay name='a'><dht name='d'/>%s</overlay>", flags[i]);
    must_parse(&o, text, NULL);
    assert_true(o.is_shared_key);
    assert_int_equal(o.num_roots, 0);
    torc_overlay_clear(&o);
  }
  must_parse(&o,
             "<overlay name='a'><dht name='d'/><root-cert>$ROOT</root-cert>"
             "<shared-secret>false</shared-secret></overlay>",
             NULL);
  assert_false(o.is_shared_key);
  torc_overlay_clear(&o);
}

#define WITH(child) \
  "<overlay name='a'>\n<dht name='d'/>\n<root-cert>$ROOT</root-cert>\n" child "</overlay>"

typedef struct fault {
  const char *xml, *want;
} fault;

static fault faults[] = {
    {"<overlay name='a'>\n<dht name='d'/>\n<root-cert>$ROOT</root-cert>\n",
     "line 4: not well-formed XML: "},
    {"  <?xml version='1.0'?><overlay name='a'/>", "line 1: not well-formed XML: "},
    {"<overlay name='a'>\n<multicast-bootstrap=\"192.0.2.99\" port=\"5678\"/>\n</overlay>",
     "line 2: not well-formed XML: "},
    {"", "the document is empty or larger than 1 MiB"},
    {"garbage", "line 1: not well-formed XML: "},
    {"<!DOCTYPE overlay [<!ENTITY e 'x'>]><overlay name='&e;'/>",
     "a document type declaration is not accepted"},
    {"<!DOCTYPE overlay SYSTEM 'file:///etc/passwd'><overlay name='a'/>",
     "a document type declaration is not accepted"},
    {"<other/>", "line 1: no overlay element"},
    {"<overlay xmlns='urn:other' name='a'/>", "line 1: no overlay element"},
    {"<overlay><dht name='d'/></overlay>", "line 1: overlay needs the attribute name"},
    {"<overlay name='a b'/>", "line 1: the overlay name does not look like a DNS name"},
    {"<overlay name='a'\n expiration='soon'/>",
     "line 2: expiration must be a number from 1 to 4294967295"},
    {"<overlay name='a'>\n<root-cert>$ROOT</root-cert></overlay>",
     "line 1: the overlay has no dht element"},
    {"<overlay name='a'>\n<dht name='d'/></overlay>",
     "line 1: the overlay has no root-cert element"},
    {WITH("<dht name='e'/>"), "line 4: a second dht element"},
    {"<overlay name='a'>\n<dht/></overlay>", "line 2: dht needs the attribute name"},
    {"<overlay name='a'>\n<dht name='d'/>\n<root-cert>abcd</root-cert></overlay>",
     "line 3: root-cert is not the base64 of a DER certificate"},
    {"<overlay name='a'>\n<dht name='d'/>\n<root-cert>[DER here]</root-cert></overlay>",
     "line 3: root-cert is not the base64 of a DER certificate"},
    {WITH("<required-usage name='TELEPATHY'/>"),
     "line 4: the overlay requires a usage this program lacks: TELEPATHY"},
    {WITH("<credential-server url='http://example.org/'/>"),
     "line 4: the url of credential-server must begin with https://"},
    {WITH("<credential-server><url>ftp://x</url></credential-server>"),
     "line 4: the url of credential-server must begin with https://"},
    {WITH("<credential-server/>"), "line 4: credential-server needs a url"},
    {WITH("<bootstrap-peer port='1'/>"), "line 4: bootstrap-peer needs the attribute address"},
    {WITH("<bootstrap-peer address='a'/>"), "line 4: bootstrap-peer needs the attribute port"},
    {WITH("<bootstrap-peer address='a' port='0'/>"),
     "line 4: port must be a number from 1 to 65535"},
    {WITH("<bootstrap-peer address='a' port='65536'/>"),
     "line 4: port must be a number from 1 to 65535"},
    {WITH("<bootstrap-peer address='a/b' port='1'/>"),
     "line 4: address is neither an IP address nor a host name"},
    {WITH("<bootstrap-peer address='a' port='1' peer-id='12'/>"),
     "line 4: peer-id is not 32 hexadecimal digits"},
    {WITH("<chord-128-2-8-update-frequency>9</chord-128-2-8-update-frequency>"),
     "line 4: chord-128-2-8-update-frequency must be a number from 10 to 86400"},
    {WITH("<chord-128-2-8-ping-frequency>86401</chord-128-2-8-ping-frequency>"),
     "line 4: chord-128-2-8-ping-frequency must be a number from 10 to 86400"},
    {WITH("<initial-ttl>256</initial-ttl>"), "line 4: initial-ttl must be a number from 1 to 255"},
    {WITH("<initial-ttl>-1</initial-ttl>"), "line 4: initial-ttl must be a number from 1 to 255"},
    {WITH("<initial-ttl/>"), "line 4: initial-ttl must be a number from 1 to 255"},
    {WITH("<max-message-size>131073</max-message-size>"),
     "line 4: max-message-size must be a number from 1024 to 131072"},
    {WITH("<t1>99999999999999999999</t1>"), "line 4: t1 must be a number from 10 to 60000"},
    {WITH("<turnDensity>101</turnDensity>"), "line 4: turnDensity must be a number from 0 to 100"},
    {WITH("<require-signature>false</require-signature>"),
     "line 1: require-signature false is for shared-key overlays"},
    {WITH("<require-signature>maybe</require-signature>"),
     "line 4: neither true nor false: require-signature"},
    {WITH("<shared-secret/>"), "line 1: shared-secret and root-cert exclude each other"},
    {"<overlay name='a'><dht name='chord-128-2-8'/><shared-secret/>\n<credential-server "
     "url='https://a.example/'/></overlay>",
     "line 1: shared-secret and credential-server exclude each other"},
    {"<overlay name='a'>\n<dht "
     "name='d'/>\n<shared-secret>0123456789abcdef</shared-secret></overlay>",
     "line 3: shared-secret holds true or false; the key is a file: [identity] shared-key"},
    {WITH("<type name='n'/>"), "line 4: type needs the attribute id"},
    {WITH("<type id='1' name='n'/>"), "line 4: id must be a number from 0xF00000 to 0xFFFFFE"},
    {WITH("<type id='0xFFFFFF' name='n'/>"),
     "line 4: id must be a number from 0xF00000 to 0xFFFFFE"},
    {WITH("<type id='0xF00001' name='n' model='tree' access='user-match' max-count='1' "
          "max-size='1'/>"),
     "line 4: model must be single, array or dictionary"},
    {WITH("<type id='0xF00001' name='n' model='single' access='all' max-count='1' max-size='1'/>"),
     "line 4: access must be user-match, node-match, user-node-match, node-multiple or own-key"},
    {WITH("<type id='0xF00001' name='n' model='single' access='user-node-match' max-count='1' "
          "max-size='1'/>"),
     "line 4: access user-node-match is for dictionaries only"},
    {WITH("<type id='0xF00001' name='n' model='single' access='user-match' max-count='0' "
          "max-size='1'/>"),
     "line 4: max-count must be a number from 1 to 65536"},
    {WITH("<type id='0xF00001' name='n' model='single' access='user-match' max-count='1' "
          "max-size='65001'/>"),
     "line 4: max-size must be a number from 1 to 65000"},
    {WITH("<type id='0xF00001' name='n' model='single' access='user-match' max-count='1' "
          "max-size='1' find='1'/>"),
     "line 4: find must be yes or no"},
    {WITH(TYPE_NOTE TYPE_NOTE), "line 4: a second type of the same id or name: note"},
    {WITH("<type id='0xF00001' name='n' model='single' access='user-match' max-count='5' "
          "max-size='1'/>"),
     "line 4: a type of model single has max-count 1: n"},
    {WITH(TYPE_NOTE "\n<type id='0xF00002' name='Certificate' model='array' access='user-match' "
                    "max-count='5' max-size='1'/>"),
     "line 5: a standard type has this name already: Certificate"},
    {WITH("<bootstrap-peer address='&undeclared;' port='1'/>"), "line 4: not well-formed XML: "},
};

static void test_fault(void **state) {
  const fault *f = *state;
  torc_overlay o;
  char err[400] = "";
  assert_int_equal(parse(&o, f->xml, NULL, err, sizeof err), TORC_ERR_CONFIG);
  if (strncmp(err, f->want, strlen(f->want)) != 0) {
    fail_msg("got \"%s\", want \"%s\"", err, f->want);
  }
  assert_int_equal(o.num_roots, 0);
}

/* Cut at every length: refused each time, never crashes. */
static void test_cut(void **state) {
  (void)state;
  size_t len = 0;
  char *xml = expand(full, &len);
  torc_overlay o;
  size_t end = len - 1; /* the final newline may go */
  for (size_t i = 0; i < end; i++) {
    assert_int_equal(torc_overlay_parse(&o, xml, i, NULL, NULL, 0), TORC_ERR_CONFIG);
  }
  assert_int_equal(torc_overlay_parse(&o, xml, end, NULL, NULL, 0), 0);
  torc_overlay_clear(&o);
  free(xml);
}

static void test_flips(void **state) {
  (void)state;
  size_t len = 0;
  char *xml = expand(full, &len);
  torc_overlay o;
  for (size_t i = 0; i < len; i++) {
    char before = xml[i];
    for (unsigned bit = 0; bit < 8; bit += 3) {
      xml[i] = (char)(before ^ (1 << bit));
      if (torc_overlay_parse(&o, xml, len, NULL, NULL, 0) == 0) {
        torc_overlay_clear(&o);
      }
      xml[i] = before;
    }
  }
  free(xml);
}

/* Too many of a kind, too deep, too long. */
static void repeat(const char *child, size_t num, const char *want) {
  size_t cap = (strlen(child) + 16) * num + 512;
  char *text = malloc(cap);
  char err[400] = "";
  torc_overlay o;
  size_t n =
      (size_t)snprintf(text, cap, "<overlay name='a'><dht name='d'/><root-cert>$ROOT</root-cert>");
  for (size_t i = 0; i < num; i++) {
    n += (size_t)snprintf(text + n, cap - n, "%s", child);
  }
  snprintf(text + n, cap - n, "</overlay>");
  assert_int_equal(parse(&o, text, NULL, err, sizeof err), TORC_ERR_CONFIG);
  assert_non_null(strstr(err, want));
  free(text);
}

static void test_many(void **state) {
  (void)state;
  repeat("<bootstrap-peer address='a' port='1'/>", 33, "more bootstrap-peer elements");
  repeat("<root-cert>$ROOT</root-cert>", 8, "more root-cert elements");
  repeat("<x>", 300, "not well-formed XML");
}

static void test_load(void **state) {
  (void)state;
  char dir[256];
  char path[300];
  char err[600] = "";
  char want[700];
  torc_overlay o;
  hp_dir_make(dir);
  snprintf(path, sizeof path, "%s/o.xml", dir);
  assert_int_equal(torc_overlay_load(&o, path, NULL, err, sizeof err), TORC_ERR_IO);
  snprintf(want, sizeof want, "cannot read the overlay configuration %s: No such file or directory",
           path);
  assert_string_equal(err, want);
  hp_write_file(path, "<overlay\n>", 10, 0600);
  assert_int_equal(torc_overlay_load(&o, path, NULL, err, sizeof err), TORC_ERR_CONFIG);
  snprintf(want, sizeof want, "%s: line 2: not well-formed XML: ", path);
  assert_memory_equal(err, want, strlen(want));
  size_t len = 0;
  char *xml = expand(full, &len);
  hp_write_file(path, xml, len, 0600);
  free(xml);
  assert_int_equal(torc_overlay_load(&o, path, "ring.example.org", err, sizeof err), 0);
  torc_overlay_clear(&o);
  char *big = calloc(1, TORC_OVERLAY_XML_MAX + 2);
  memset(big, ' ', TORC_OVERLAY_XML_MAX + 1);
  hp_write_file(path, big, TORC_OVERLAY_XML_MAX + 1, 0600);
  free(big);
  assert_int_equal(torc_overlay_load(&o, path, NULL, err, sizeof err), TORC_ERR_CONFIG);
  hp_dir_remove(dir);
}

static const char *fault_names[] = {
    "ENR-11 a document that ends early",
    "GAP-127 white space before the XML declaration",
    "GAP-127 ENR-23 the draft's malformed multicast-bootstrap",
    "ENR-11 an empty document",
    "ENR-11 no XML at all",
    "GAP-127 an internal DTD with an entity",
    "GAP-127 an external DTD",
    "ENR-16 no overlay element",
    "ENR-15 another namespace",
    "ENR-17 no name",
    "ARC-20 ENR-17 a name with a blank",
    "ENR-17 expiration is no number",
    "ENR-18 no dht",
    "ENR-19 no root-cert",
    "ENR-18 two dht",
    "ENR-18 dht without name",
    "ENR-19 GAP-129 base64 of something else",
    "GAP-129 the draft's placeholder",
    "ENR-20 a required usage that is unknown",
    "ENR-21 GAP-128 http instead of https",
    "GAP-128 ENR-21 a child url that is not https",
    "ENR-21 no url",
    "ENR-22 no address",
    "ENR-22 no port",
    "ENR-22 port 0",
    "ENR-22 port 65536",
    "ENR-22 an address that is none",
    "ENR-22 a peer-id that is none",
    "GAP-121 GAP-120 an update period below 10 s",
    "GAP-121 GAP-120 a ping period above a day",
    "GAP-131 a TTL of 256",
    "GAP-131 a negative TTL",
    "GAP-131 an empty TTL",
    "GAP-131 a maximum message above the limit",
    "GAP-131 a t1 that overflows",
    "GAP-121 turnDensity above 100",
    "GAP-131 unsigned messages in certificate mode",
    "GAP-131 a flag that is neither",
    "GAP-131 SEC-06 a shared key beside root certificates",
    "ENR-26 SEC-06 a shared key beside a credential server",
    "GAP-131 SEC-06 a key in the document itself",
    "GAP-143 a type without id",
    "GAP-143 a type outside the private range",
    "GAP-143 the invalid type",
    "USG-02 an unknown model",
    "USG-03 an unknown access rule",
    "USG-03 user-node-match without dictionary",
    "USG-04 no values at all",
    "USG-08 values too large",
    "FND-06 find is neither yes nor no",
    "USG-01 the same type twice",
    "USG-04 USG-02 several values of a single one",
    "USG-01 USG-07 the name of a standard type",
    "GAP-127 an entity nobody declared",
};

int main(void) {
  struct CMUnitTest tests[17 + TORC_ARRAY_LEN(faults)] = {
      TORC_TEST("ENR-11 ENR-14 ENR-15 ENR-17 ENR-18 ENR-19 ENR-20 ENR-21 ENR-22 ENR-25 GAP-121 "
                "GAP-131 everything is read",
                test_full),
      TORC_TEST(
          "GAP-131 GAP-127 a document of the draft's elements alone is enough, without namespace",
          test_draft_only),
      TORC_TEST("GAP-121 D-12 periods inside dht, under the algorithm's name or the draft's",
                test_periods),
      TORC_TEST("GAP-131 SEC-06 a shared-key overlay", test_shared_key),
      TORC_TEST("ENR-16 GAP-127 one of several overlays by its name", test_several),
      TORC_TEST("ENR-19 GAP-129 several root certificates", test_several_roots),
      TORC_TEST("ENR-14 ENR-12 encodings other than UTF-8 are declared", test_latin1),
      TORC_TEST("ENR-23 GAP-132 a unicast address in multicast-bootstrap is a bootstrap peer",
                test_unicast_in_multicast),
      TORC_TEST("ENR-11 a document cut at each length", test_cut),
      TORC_TEST("ENR-11 a document with flipped bits", test_flips),
      TORC_TEST("ENR-19 ENR-22 GAP-127 too many of a kind, too deep", test_many),
      TORC_TEST("ENR-02 from a file, with its name in the reason", test_load),
  };
  size_t num = 0;
  while (tests[num].name != NULL) {
    num++;
  }
  assert_true(TORC_ARRAY_LEN(fault_names) == TORC_ARRAY_LEN(faults));
  for (size_t i = 0; i < TORC_ARRAY_LEN(faults); i++) {
    tests[num] = (struct CMUnitTest)TORC_CASE(fault_names[i], test_fault, &faults[i]);
    num++;
  }
  return _cmocka_run_group_tests(__FILE__, tests, num, set_up, tear_down);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "io/overlay_xml.h"

#include <assert.h>
#include <errno.h>
#include <libxml/parser.h>
#include <libxml/parserInternals.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/id.h"
#include "base/slice.h"
#include "io/addr.h"
#include "io/err.h"
#include "io/late_lib.h"
#include "overlay/usage/usage.h"

#define NAMESPACE "urn:ietf:params:xml:ns:p2p:overlay" /* [ENR-15] */
#define PERIOD_MIN_S 10u                               /* [GAP-120] */
#define PERIOD_MAX_S 86400u
#define MESSAGE_MIN 1024u /* max-message-size below this leaves no room for a certificate */
#define MESSAGE_MAX 131072u
#define T1_MIN_MS 10u
#define T1_MAX_MS 60000u
#define TEXT_MAX \
  16384u /* characters of one text or attribute: base64 of TORC_CERT_MAX_BYTES fits */
#define TYPE_COUNT_MAX 65536u
#define TYPE_SIZE_MAX 65000u
#define TYPE_LIFETIME_DEFAULT_S                                                               \
  604800u                            /* max-lifetime absent: a week, as the draft's own types \
                                      */
#define PRIVATE_TYPE_FIRST 0xf00000u /* [GAP-143] */
#define PRIVATE_TYPE_LAST 0xfffffeu

/* libxml2 is opened by the first document. */
#define XML_FUNCTIONS(X) \
  X(xmlNewParserCtxt)    \
  X(xmlCtxtReadMemory)   \
  X(xmlStopParser)       \
  X(xmlCtxtGetLastError) \
  X(xmlFreeParserCtxt)   \
  X(xmlDocGetRootElement) X(xmlFreeDoc) X(xmlGetNoNsProp) X(xmlNodeGetContent) X(xmlGetLineNo)

typedef struct xml_lib {
#define X(name) __typeof__(name) *(name);
  XML_FUNCTIONS(X)
#undef X
  xmlFreeFunc *free_func; /* a variable of libxml2 */
} xml_lib;

static const torc_late_symbol xml_symbols[] = {
#define X(name) {#name, offsetof(xml_lib, name)},
    XML_FUNCTIONS(X)
#undef X
        {"xmlFree", offsetof(xml_lib, free_func)}};

typedef struct parse { /* one run over one document */
  const xml_lib *xml;
  torc_overlay *o;
  char *err;
  size_t err_cap;
  bool has_dht;
  torc_types types; /* the standard ones and those read, whose names are in `o` */
  torc_type type_room[TORC_TYPES_MAX];
} parse;

typedef struct parser_state { /* what the SAX hooks tell us */
  const xml_lib *xml;
  bool has_dtd;
} parser_state;

static int fail_at(const parse *ps, const xmlNode *node, const char *what) {
  return torc_fail(TORC_ERR_CONFIG, ps->err, ps->err_cap, "line %ld: %s",
                   ps->xml->xmlGetLineNo(node), what);
}

static int fail_named(const parse *ps, const xmlNode *node, const char *what, const char *name) {
  return torc_fail(TORC_ERR_CONFIG, ps->err, ps->err_cap, "line %ld: %s %.64s",
                   ps->xml->xmlGetLineNo(node), what, name);
}

/* [ENR-15] [GAP-127] the namespace is optional on input; elements of another one are not ours. */
static bool is_ours(const xmlNode *node) {
  return node->type == XML_ELEMENT_NODE &&
         (node->ns == NULL || strcmp((const char *)node->ns->href, NAMESPACE) == 0);
}

static bool is_named(const xmlNode *node, const char *name) {
  return is_ours(node) && strcmp((const char *)node->name, name) == 0;
}

/* Copies attribute `name`; TORC_ERR_NOTFOUND if there is none. White space at both ends is dropped.
 */
static int get_attribute(const parse *ps, const xmlNode *node, const char *name, char *out,
                         size_t cap) {
  xmlChar *value = ps->xml->xmlGetNoNsProp(node, (const xmlChar *)name);
  if (value == NULL) {
    return TORC_ERR_NOTFOUND;
  }
  const char *text = (const char *)value;
  size_t len = strlen(text);
  while (len > 0 && strchr(" \t\r\n", text[0]) != NULL) {
    text++;
    len--;
  }
  while (len > 0 && strchr(" \t\r\n", text[len - 1]) != NULL) {
    len--;
  }
  int rc = TORC_ERR_LIMIT;
  if (len < cap) {
    memcpy(out, text, len);
    out[len] = '\0';
    rc = 0;
  }
  (*ps->xml->free_func)(value);
  return rc;
}

static int need_attribute(const parse *ps, const xmlNode *node, const char *name, char *out,
                          size_t cap) {
  int rc = get_attribute(ps, node, name, out, cap);
  if (rc == TORC_ERR_NOTFOUND || (rc == 0 && out[0] == '\0')) {
    return torc_fail(TORC_ERR_CONFIG, ps->err, ps->err_cap, "line %ld: %s needs the attribute %s",
                     ps->xml->xmlGetLineNo(node), (const char *)node->name, name);
  }
  if (rc != 0) {
    return torc_fail(TORC_ERR_CONFIG, ps->err, ps->err_cap,
                     "line %ld: the attribute %s of %s is too long", ps->xml->xmlGetLineNo(node),
                     name, (const char *)node->name);
  }
  return 0;
}

/* The text of an element without any white space. */
static int get_text(const parse *ps, const xmlNode *node, char *out, size_t cap) {
  xmlChar *value = ps->xml->xmlNodeGetContent(node);
  if (value == NULL) {
    return TORC_ERR_NOMEM;
  }
  size_t len = 0;
  for (const char *c = (const char *)value; *c != '\0' && len < cap; c++) {
    if (strchr(" \t\r\n", *c) == NULL) {
      out[len] = *c;
      len++;
    }
  }
  (*ps->xml->free_func)(value);
  if (len >= cap) {
    return fail_named(ps, node, "too much text in", (const char *)node->name);
  }
  out[len] = '\0';
  return 0;
}

/* Decimal, or hexadecimal with 0x; no sign, no white space. */
static int read_number(const char *text, uint64_t min, uint64_t max, uint64_t *out) {
  bool is_hex = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
  uint64_t base = is_hex ? 16 : 10;
  const char *c = is_hex ? text + 2 : text;
  uint64_t v = 0;
  if (*c == '\0') {
    return TORC_ERR_FORMAT;
  }
  for (; *c != '\0'; c++) {
    char low = (char)(*c | 0x20);
    uint64_t digit = 99;
    if (*c >= '0' && *c <= '9') {
      digit = (uint64_t)*c - '0';
    } else if (low >= 'a' && low <= 'f') {
      digit = (uint64_t)low - 'a' + 10;
    }
    if (digit >= base || v > (UINT64_MAX - digit) / base) {
      return TORC_ERR_FORMAT;
    }
    v = v * base + digit;
  }
  if (v < min || v > max) {
    return TORC_ERR_LIMIT;
  }
  *out = v;
  return 0;
}

static int number_fault(const parse *ps, const xmlNode *node, const char *what, uint64_t min,
                        uint64_t max) {
  return torc_fail(TORC_ERR_CONFIG, ps->err, ps->err_cap,
                   "line %ld: %s must be a number from %llu to %llu", ps->xml->xmlGetLineNo(node),
                   what, (unsigned long long)min, (unsigned long long)max);
}

static int text_number(const parse *ps, const xmlNode *node, uint64_t min, uint64_t max,
                       uint64_t *out) {
  char text[32];
  int rc = get_text(ps, node, text, sizeof text);
  if (rc != 0) {
    return rc;
  }
  if (read_number(text, min, max, out) != 0) {
    return number_fault(ps, node, (const char *)node->name, min, max);
  }
  return 0;
}

static int attribute_number(const parse *ps, const xmlNode *node, const char *name, uint64_t min,
                            uint64_t max, uint64_t *out) {
  char text[32];
  int rc = need_attribute(ps, node, name, text, sizeof text);
  if (rc != 0) {
    return rc;
  }
  if (read_number(text, min, max, out) != 0) {
    return number_fault(ps, node, name, min, max);
  }
  return 0;
}

static int text_flag(const parse *ps, const xmlNode *node, bool *out) {
  char text[8];
  int rc = get_text(ps, node, text, sizeof text);
  if (rc != 0) {
    return rc;
  }
  if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0) {
    return fail_named(ps, node, "neither true nor false:", (const char *)node->name);
  }
  *out = text[0] == 't';
  return 0;
}

/* ---- the children of `overlay` ---- */

/* [ENR-18] */
static int read_dht(parse *ps, const xmlNode *node) {
  if (ps->has_dht) {
    return fail_at(ps, node, "a second dht element");
  }
  ps->has_dht = true;
  return need_attribute(ps, node, "name", ps->o->algorithm, sizeof ps->o->algorithm);
}

/* [ENR-19] [GAP-129] base64 of DER, white space ignored. */
static int read_root(parse *ps, const xmlNode *node) {
  torc_overlay *o = ps->o;
  if (o->num_roots == TORC_OVERLAY_ROOTS_MAX) {
    return fail_at(ps, node, "more root-cert elements than this program takes (8)");
  }
  char *text = malloc(TEXT_MAX);
  uint8_t *der = malloc(TEXT_MAX);
  if (text == NULL || der == NULL) {
    free(text);
    free(der);
    return torc_fail(TORC_ERR_NOMEM, ps->err, ps->err_cap, "out of memory");
  }
  int rc = get_text(ps, node, text, TEXT_MAX);
  if (rc == 0) {
    size_t text_len = strlen(text);
    int len = text_len % 4 == 0 ? EVP_DecodeBlock(der, (const uint8_t *)text, (int)text_len) : -1;
    for (size_t i = 1; len > 0 && i <= 2 && i <= text_len && text[text_len - i] == '='; i++) {
      len--; /* EVP_DecodeBlock counts the padding */
    }
    const uint8_t *p = der;
    X509 *x = len > 0 ? d2i_X509(NULL, &p, len) : NULL;
    if (x == NULL || p != der + len) {
      rc = fail_at(ps, node, "root-cert is not the base64 of a DER certificate");
    } else {
      o->roots[o->num_roots].der = der;
      o->roots[o->num_roots].len = (size_t)len;
      o->num_roots++;
      der = NULL;
    }
    X509_free(x);
    ERR_clear_error();
  }
  free(text);
  free(der);
  return rc;
}

/* [ENR-20] a peer must support what the overlay requires, or stay away. */
static int read_required_usage(const parse *ps, const xmlNode *node) {
  static const char *const supported[] = {"CERTIFICATE", "TURN", "SIP"};
  char name[64];
  int rc = need_attribute(ps, node, "name", name, sizeof name);
  if (rc != 0) {
    return rc;
  }
  for (size_t i = 0; i < TORC_ARRAY_LEN(supported); i++) {
    if (strcasecmp(name, supported[i]) == 0) {
      return 0;
    }
  }
  return fail_named(ps, node, "the overlay requires a usage this program lacks:", name);
}

/* [ENR-21] [GAP-128] attribute or child `url`; https only. */
static int read_credential_server(const parse *ps, const xmlNode *node) {
  char url[1024];
  int rc = get_attribute(ps, node, "url", url, sizeof url);
  if (rc == TORC_ERR_NOTFOUND) {
    for (const xmlNode *child = node->children; child != NULL; child = child->next) {
      if (is_named(child, "url")) {
        rc = get_text(ps, child, url, sizeof url);
        break;
      }
    }
  }
  if (rc != 0) {
    return fail_at(ps, node, "credential-server needs a url");
  }
  if (strncasecmp(url, "https://", 8) != 0 || url[8] == '\0') {
    return fail_at(ps, node, "the url of credential-server must begin with https://");
  }
  return 0;
}

/* [ENR-22] [ENR-23]: address and port. */
static int read_endpoint(const parse *ps, const xmlNode *node, torc_endpoint *out) {
  uint64_t port = 0;
  memset(out, 0, sizeof *out);
  int rc = need_attribute(ps, node, "address", out->host, sizeof out->host);
  if (rc == 0) {
    rc = attribute_number(ps, node, "port", 1, 65535, &port);
  }
  if (rc != 0) {
    return rc;
  }
  if (!torc_host_valid(out->host)) {
    return fail_at(ps, node, "address is neither an IP address nor a host name");
  }
  out->port = (uint16_t)port;
  char id[TORC_ID_HEX_LEN + 2];
  rc = get_attribute(ps, node, "peer-id", id, sizeof id);
  if (rc == TORC_ERR_NOTFOUND) {
    return 0;
  }
  if (rc != 0 || torc_id_parse(id, strlen(id), &out->peer) != 0 || !torc_id_is_peer(&out->peer)) {
    return fail_at(ps, node, "peer-id is not 32 hexadecimal digits");
  }
  return 0;
}

static int read_bootstrap(parse *ps, const xmlNode *node, bool is_multicast) {
  torc_endpoint endpoint;
  int rc = read_endpoint(ps, node, &endpoint);
  if (rc != 0) {
    return rc;
  }
  /* [GAP-132] an address there that is no group is an ordinary peer; groups are for datagram links.
   */
  if (is_multicast && torc_host_is_multicast(endpoint.host)) {
    return 0;
  }
  if (ps->o->num_bootstrap == TORC_OVERLAY_BOOTSTRAP_MAX) {
    return fail_at(ps, node, "more bootstrap-peer elements than this program takes (32)");
  }
  ps->o->bootstrap[ps->o->num_bootstrap] = endpoint;
  ps->o->num_bootstrap++;
  return 0;
}

static uint8_t word_in(const char *text, const char *const *words, size_t num) {
  for (size_t i = 0; i < num; i++) {
    if (strcmp(text, words[i]) == 0) {
      return (uint8_t)(i + 1);
    }
  }
  return 0;
}

static int read_type_words(const parse *ps, const xmlNode *node, torc_type_def *t) {
  static const char *const models[] = {"single", "array", "dictionary"};
  static const char *const rules[] = {"user-match", "node-match", "user-node-match",
                                      "node-multiple"};
  char word[32];
  int rc = need_attribute(ps, node, "name", t->name, sizeof t->name);
  if (rc != 0) {
    return rc;
  }
  rc = need_attribute(ps, node, "model", word, sizeof word);
  if (rc != 0) {
    return rc;
  }
  t->model = word_in(word, models, TORC_ARRAY_LEN(models));
  if (t->model == 0) {
    return fail_at(ps, node, "model must be single, array or dictionary");
  }
  rc = need_attribute(ps, node, "access", word, sizeof word);
  if (rc != 0) {
    return rc;
  }
  t->rule = word_in(word, rules, TORC_ARRAY_LEN(rules));
  if (t->rule == 0) {
    return fail_at(ps, node,
                   "access must be user-match, node-match, user-node-match or node-multiple");
  }
  if (t->rule == TORC_RULE_USER_NODE_MATCH && t->model != TORC_TYPE_DICTIONARY) {
    return fail_at(ps, node, "access user-node-match is for dictionaries only");
  }
  rc = get_attribute(ps, node, "find", word, sizeof word);
  if (rc == 0 && strcmp(word, "yes") != 0 && strcmp(word, "no") != 0) {
    rc = TORC_ERR_FORMAT;
  }
  if (rc != 0 && rc != TORC_ERR_NOTFOUND) {
    return fail_at(ps, node, "find must be yes or no");
  }
  t->findable = rc == 0 && word[0] == 'y';
  return 0;
}

/* A private type [GAP-143]. */
static int read_type(parse *ps, const xmlNode *node) {
  torc_overlay *o = ps->o;
  if (o->num_types == TORC_OVERLAY_TYPES_MAX) {
    return fail_at(ps, node, "more type elements than this program takes (48)");
  }
  torc_type_def *t = &o->types[o->num_types];
  memset(t, 0, sizeof *t);
  uint64_t id = 0;
  uint64_t count = 0;
  uint64_t size = 0;
  uint64_t lifetime = TYPE_LIFETIME_DEFAULT_S;
  char text[32];
  int rc = need_attribute(ps, node, "id", text, sizeof text);
  if (rc != 0) {
    return rc;
  }
  if (read_number(text, PRIVATE_TYPE_FIRST, PRIVATE_TYPE_LAST, &id) != 0) {
    return fail_at(ps, node, "id must be a number from 0xF00000 to 0xFFFFFE");
  }
  rc = read_type_words(ps, node, t);
  if (rc == 0) {
    rc = attribute_number(ps, node, "max-count", 1, TYPE_COUNT_MAX, &count);
  }
  if (rc == 0) {
    rc = attribute_number(ps, node, "max-size", 1, TYPE_SIZE_MAX, &size);
  }
  if (rc == 0 && get_attribute(ps, node, "max-lifetime", text, sizeof text) != TORC_ERR_NOTFOUND) {
    rc = attribute_number(ps, node, "max-lifetime", 1, UINT32_MAX, &lifetime);
  }
  if (rc != 0) {
    return rc;
  }
  for (size_t i = 0; i < o->num_types; i++) {
    if (o->types[i].id == id || strcasecmp(o->types[i].name, t->name) == 0) {
      return fail_named(ps, node, "a second type of the same id or name:", t->name);
    }
  }
  t->id = (uint32_t)id;
  t->max_values = (uint32_t)count;
  t->max_size = (uint32_t)size;
  t->max_lifetime_s = (uint32_t)lifetime;
  torc_type type = torc_type_of(t, t->name);
  const char *fault = torc_types_fault(&ps->types, &type); /* what a node would refuse */
  if (fault != NULL || torc_types_add(&ps->types, &type) != 0) {
    return torc_fail(TORC_ERR_CONFIG, ps->err, ps->err_cap, "line %ld: %s: %s",
                     ps->xml->xmlGetLineNo(node), fault != NULL ? fault : "no room for type",
                     t->name);
  }
  o->num_types++;
  return 0;
}

/* The periods are named after the algorithm [GAP-121]; the draft's own name serves every algorithm.
 */
static bool is_period(const parse *ps, const xmlNode *node, const char *suffix) {
  if (!is_ours(node)) {
    return false;
  }
  const char *name = (const char *)node->name;
  size_t len = strlen(name);
  size_t suffix_len = strlen(suffix);
  if (len <= suffix_len || strcmp(name + len - suffix_len, suffix) != 0) {
    return false;
  }
  size_t stem = len - suffix_len;
  return (stem == strlen("chord-128-2-8") && strncmp(name, "chord-128-2-8", stem) == 0) ||
         (stem == strlen(ps->o->algorithm) && strncmp(name, ps->o->algorithm, stem) == 0);
}

/* [GAP-121] [GAP-131]: parameters with decimal or true/false text, all with defaults. */
static int read_parameter(parse *ps, const xmlNode *node, bool *is_known) {
  torc_overlay *o = ps->o;
  uint64_t v = 0;
  int rc = 0;
  *is_known = true;
  if (is_period(ps, node, "-update-frequency")) {
    rc = text_number(ps, node, PERIOD_MIN_S, PERIOD_MAX_S, &v);
    o->update_period = TORC_SEC(v);
  } else if (is_period(ps, node, "-ping-frequency")) {
    rc = text_number(ps, node, PERIOD_MIN_S, PERIOD_MAX_S, &v);
    o->ping_period = TORC_SEC(v);
  } else if (is_named(node, "initial-ttl")) {
    rc = text_number(ps, node, 1, 255, &v);
    o->initial_ttl = (uint8_t)v;
  } else if (is_named(node, "max-message-size")) {
    rc = text_number(ps, node, MESSAGE_MIN, MESSAGE_MAX, &v);
    o->max_message = (uint32_t)v;
  } else if (is_named(node, "t1")) {
    rc = text_number(ps, node, T1_MIN_MS, T1_MAX_MS, &v);
    o->t1 = TORC_MS(v);
  } else if (is_named(node, "deletion-delay")) {
    rc = text_number(ps, node, 1, PERIOD_MAX_S, &v);
    o->deletion_delay = TORC_SEC(v);
  } else if (is_named(node, "turnDensity")) {
    rc = text_number(ps, node, 0, 100, &v);
  } else if (is_named(node, "require-signature")) {
    rc = text_flag(ps, node, &o->require_signature);
    if (rc == 0 && !o->require_signature) {
      rc = fail_at(ps, node, "require-signature false is for shared-key overlays");
    }
  } else if (is_named(node, "remove-zero-generation")) {
    rc = text_flag(ps, node, &o->remove_zero_generation);
  } else if (is_named(node, "shared-secret")) {
    rc = fail_at(ps, node, "a shared-key overlay: this program joins overlays with certificates");
  } else {
    *is_known = false;
  }
  return rc;
}

static int read_child(parse *ps, const xmlNode *node) {
  bool is_known = false;
  int rc = read_parameter(ps, node, &is_known);
  if (is_known) {
    return rc;
  }
  if (is_named(node, "root-cert")) {
    return read_root(ps, node);
  }
  if (is_named(node, "required-usage")) {
    return read_required_usage(ps, node);
  }
  if (is_named(node, "credential-server")) {
    return read_credential_server(ps, node);
  }
  if (is_named(node, "bootstrap-peer")) {
    return read_bootstrap(ps, node, false);
  }
  if (is_named(node, "multicast-bootstrap")) {
    return read_bootstrap(ps, node, true);
  }
  if (is_named(node, "type")) {
    return read_type(ps, node);
  }
  return 0; /* [GAP-127] unknown elements are ignored */
}

/* Parameters may also stand inside `dht` [GAP-121]. */
static int read_dht_children(parse *ps, const xmlNode *overlay) {
  int rc = 0;
  for (const xmlNode *dht = overlay->children; rc == 0 && dht != NULL; dht = dht->next) {
    if (!is_named(dht, "dht")) {
      continue;
    }
    for (const xmlNode *node = dht->children; rc == 0 && node != NULL; node = node->next) {
      bool is_known = false;
      rc = read_parameter(ps, node, &is_known);
    }
  }
  return rc;
}

/* [ENR-17] name and expiration. */
static int read_attributes(parse *ps, const xmlNode *overlay) {
  char text[32];
  int rc = need_attribute(ps, overlay, "name", ps->o->name, sizeof ps->o->name);
  if (rc != 0) {
    return rc;
  }
  if (!torc_host_valid(ps->o->name)) { /* [ARC-20] */
    return fail_at(ps, overlay, "the overlay name does not look like a DNS name");
  }
  if (get_attribute(ps, overlay, "expiration", text, sizeof text) != TORC_ERR_NOTFOUND) {
    uint64_t v = 0;
    rc = attribute_number(ps, overlay, "expiration", 1, UINT32_MAX, &v);
    ps->o->expiration_s = (uint32_t)v;
  }
  return rc;
}

static int read_overlay(parse *ps, const xmlNode *overlay) {
  int rc = read_attributes(ps, overlay);
  /* dht first: the names of other elements depend on it. */
  for (const xmlNode *node = overlay->children; rc == 0 && node != NULL; node = node->next) {
    if (is_named(node, "dht")) {
      rc = read_dht(ps, node);
    }
  }
  if (rc == 0 && !ps->has_dht) {
    rc = fail_at(ps, overlay, "the overlay has no dht element");
  }
  if (rc == 0) {
    rc = read_dht_children(ps, overlay);
  }
  for (const xmlNode *node = overlay->children; rc == 0 && node != NULL; node = node->next) {
    rc = read_child(ps, node);
  }
  if (rc == 0 && ps->o->num_roots == 0) {
    rc = fail_at(ps, overlay, "the overlay has no root-cert element");
  }
  return rc;
}

/* [ENR-16] [GAP-127] the root itself, or one of a wrapper's children. */
static int choose_overlay(const parse *ps, const xmlNode *root, const char *name,
                          const xmlNode **out) {
  const xmlNode *node = is_named(root, "overlay") ? root : root->children;
  const xmlNode *found = NULL;
  size_t num = 0;
  while (node != NULL) {
    char text[256] = "";
    if (is_named(node, "overlay")) {
      int rc = get_attribute(ps, node, "name", text, sizeof text);
      if (name == NULL || (rc == 0 && strcasecmp(text, name) == 0)) {
        found = node;
        num++;
      }
    }
    node = node == root ? NULL : node->next;
  }
  if (found == NULL && name != NULL) {
    return torc_fail(TORC_ERR_CONFIG, ps->err, ps->err_cap,
                     "no overlay named %.200s in the document", name);
  }
  if (found == NULL) {
    return fail_at(ps, root, "no overlay element");
  }
  if (num > 1) {
    return fail_at(ps, found,
                   name == NULL ? "several overlay elements: say which by its name"
                                : "two overlay elements of the same name");
  }
  *out = found;
  return 0;
}

/* ---- the document ---- */

/* [GAP-127] no DTD: the first sign of one stops the parser, before an entity can be declared. */
static void on_dtd(void *ctx, const xmlChar *name, const xmlChar *external, const xmlChar *system) {
  (void)name;
  (void)external;
  (void)system;
  xmlParserCtxtPtr parser = ctx;
  parser_state *state = parser->_private;
  state->has_dtd = true;
  state->xml->xmlStopParser(parser);
}

static int document_fault(const parse *ps, xmlParserCtxtPtr parser, const parser_state *state) {
  if (state->has_dtd) {
    return torc_fail(TORC_ERR_CONFIG, ps->err, ps->err_cap,
                     "a document type declaration is not accepted");
  }
  const xmlError *e = ps->xml->xmlCtxtGetLastError(parser);
  if (e == NULL || e->message == NULL) {
    return torc_fail(TORC_ERR_CONFIG, ps->err, ps->err_cap, "not an XML document");
  }
  return torc_fail(TORC_ERR_CONFIG, ps->err, ps->err_cap, "line %d: not well-formed XML: %.*s",
                   e->line, (int)strcspn(e->message, "\r\n"), e->message);
}

int torc_overlay_parse(torc_overlay *out, const char *xml, size_t len, const char *name, char *err,
                       size_t err_cap) {
  memset(out, 0, sizeof *out);
  out->require_signature = true;
  xml_lib lib;
  parse ps = {.xml = &lib, .o = out, .err = err, .err_cap = err_cap};
  torc_types_init(&ps.types, ps.type_room, TORC_TYPES_MAX);
  if (len == 0 || len > TORC_OVERLAY_XML_MAX) {
    return torc_fail(TORC_ERR_CONFIG, err, err_cap, "the document is empty or larger than 1 MiB");
  }
  int rc = torc_late_lib_open(TORC_SONAME_XML2, xml_symbols, TORC_ARRAY_LEN(xml_symbols), &lib, err,
                              err_cap);
  if (rc != 0) {
    return rc;
  }
  xmlParserCtxtPtr parser = lib.xmlNewParserCtxt();
  if (parser == NULL) {
    return torc_fail(TORC_ERR_NOMEM, err, err_cap, "out of memory");
  }
  parser_state state = {.xml = &lib};
  parser->_private = &state;
  parser->sax->internalSubset = on_dtd;
  /* [ENR-11] strict; [ENR-14] libxml2 reads UTF-8 and what the declaration names. */
  int options = XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING | XML_PARSE_NOCDATA |
                XML_PARSE_BIG_LINES;
  xmlDocPtr doc = lib.xmlCtxtReadMemory(parser, xml, (int)len, NULL, NULL, options);
  if (doc == NULL || state.has_dtd) {
    rc = document_fault(&ps, parser, &state);
  } else {
    const xmlNode *overlay = NULL;
    rc = choose_overlay(&ps, lib.xmlDocGetRootElement(doc), name, &overlay);
    if (rc == 0) {
      assert(overlay != NULL);
      rc = read_overlay(&ps, overlay);
    }
  }
  lib.xmlFreeDoc(doc);
  lib.xmlFreeParserCtxt(parser);
  if (rc != 0) {
    torc_overlay_clear(out);
  }
  return rc;
}

int torc_overlay_load(torc_overlay *out, const char *path, const char *name, char *err,
                      size_t err_cap) {
  memset(out, 0, sizeof *out);
  FILE *f = fopen(path, "re");
  if (f == NULL) {
    return torc_fail(TORC_ERR_IO, err, err_cap, "cannot read the overlay configuration %s: %s",
                     path, strerror(errno));
  }
  size_t cap = TORC_OVERLAY_XML_MAX + 1;
  char *text = malloc(cap);
  if (text == NULL) {
    fclose(f);
    return torc_fail(TORC_ERR_NOMEM, err, err_cap, "out of memory");
  }
  size_t len = fread(text, 1, cap, f);
  bool is_read = ferror(f) == 0;
  fclose(f);
  char why[400] = "reading fails";
  int rc = is_read ? torc_overlay_parse(out, text, len, name, why, sizeof why) : TORC_ERR_IO;
  free(text);
  if (rc != 0) {
    torc_fail(rc, err, err_cap, "%s: %s", path, why);
  }
  return rc;
}

void torc_overlay_clear(torc_overlay *o) {
  for (size_t i = 0; i < o->num_roots; i++) {
    free(o->roots[i].der);
    o->roots[i].der = NULL;
  }
  o->num_roots = 0;
}

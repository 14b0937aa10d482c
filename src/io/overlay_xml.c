/* SPDX-License-Identifier: Apache-2.0 */
#include "io/overlay_xml.h"

#include <assert.h>
#include <errno.h>
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
#include "io/overlay_grammar.h"
#include "io/overlay_impl.h"
#include "io/overlay_sign.h"

#define PERIOD_MIN_S 10u /* [GAP-120] */
#define PERIOD_MAX_S 86400u
#define MESSAGE_MIN 1024u /* max-message-size below this leaves no room for a certificate */
#define MESSAGE_MAX 131072u
#define T1_MIN_MS 10u
#define T1_MAX_MS 60000u
#define REPLICA_WAIT_MIN_MS 100u
#define REPLICA_WAIT_MAX_MS 30000u
#define IDLE_MAX_S 86400u
#define SEQUENCE_MAX ((1ull << 53) - 1) /* what JSON and browsers count without loss */
#define TEXT_MAX \
  16384u /* characters of one text or attribute: base64 of TORC_CERT_MAX_BYTES fits */
#define TYPE_COUNT_MAX 65536u
#define TYPE_SIZE_MAX 65000u
#define TYPE_LIFETIME_DEFAULT_S                                                               \
  604800u                            /* max-lifetime absent: a week, as the draft's own types \
                                      */
#define PRIVATE_TYPE_FIRST 0xf00000u /* [GAP-143] */
#define PRIVATE_TYPE_LAST 0xfffffeu

static const torc_late_symbol xml_symbols[] = {
#define X(name) {#name, offsetof(xml_lib, name)},
    XML_FUNCTIONS(X)
#undef X
        {"xmlFree", offsetof(xml_lib, free_func)}};

typedef struct parser_state { /* what the SAX hooks tell us */
  const xml_lib *xml;
  bool has_dtd;
} parser_state;

/* ---- the children of `overlay` ---- */

/* [ENR-18] */
static int read_dht(overlay_run *ps, const xmlNode *node) {
  if (ps->has_dht) {
    return overlay_fail(ps, node, "a second dht element");
  }
  ps->has_dht = true;
  return overlay_need_attribute(ps, node, "name", ps->o->algorithm, sizeof ps->o->algorithm);
}

/* [ENR-19] [GAP-129] base64 of DER, white space ignored. */
static int read_root(overlay_run *ps, const xmlNode *node) {
  torc_overlay *o = ps->o;
  if (o->num_roots == TORC_OVERLAY_ROOTS_MAX) {
    return overlay_fail(ps, node, "more root-cert elements than this program takes (8)");
  }
  char *text = malloc(TEXT_MAX);
  uint8_t *der = malloc(TEXT_MAX);
  if (text == NULL || der == NULL) {
    free(text);
    free(der);
    return torc_fail(TORC_ERR_NOMEM, ps->err, ps->err_cap, "out of memory");
  }
  int rc = overlay_text(ps, node, text, TEXT_MAX);
  if (rc == 0) {
    size_t text_len = strlen(text);
    int len = text_len % 4 == 0 ? EVP_DecodeBlock(der, (const uint8_t *)text, (int)text_len) : -1;
    for (size_t i = 1; len > 0 && i <= 2 && i <= text_len && text[text_len - i] == '='; i++) {
      len--; /* EVP_DecodeBlock counts the padding */
    }
    const uint8_t *p = der;
    X509 *x = len > 0 ? d2i_X509(NULL, &p, len) : NULL;
    if (x == NULL || p != der + len) {
      rc = overlay_fail(ps, node, "root-cert is not the base64 of a DER certificate");
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
static int read_required_usage(overlay_run *ps, const xmlNode *node) {
  torc_overlay *o = ps->o;
  static const char *const supported[] = {"CERTIFICATE", "TURN", "SIP"};
  char name[64];
  int rc = overlay_need_attribute(ps, node, "name", name, sizeof name);
  if (rc != 0) {
    return rc;
  }
  for (size_t i = 0; i < TORC_ARRAY_LEN(supported); i++) {
    if (strcasecmp(name, supported[i]) != 0) {
      continue;
    }
    if (o->num_usages == TORC_OVERLAY_USAGES_MAX) {
      return overlay_fail(ps, node, "more required-usage elements than this program takes (8)");
    }
    (void)snprintf(o->usages[o->num_usages++], sizeof o->usages[0], "%s", name);
    return 0;
  }
  return overlay_fail_named(ps, node, "the overlay requires a usage this program lacks:", name);
}

/* [ENR-21] [GAP-128] attribute or child `url`; https only. */
static int read_credential_server(overlay_run *ps, const xmlNode *node) {
  torc_overlay *o = ps->o;
  char url[TORC_OVERLAY_URL_MAX];
  int rc = overlay_attribute(ps, node, "url", url, sizeof url);
  if (rc == TORC_ERR_NOTFOUND) {
    for (const xmlNode *child = node->children; child != NULL; child = child->next) {
      if (overlay_is_named(child, "url")) {
        rc = overlay_text(ps, child, url, sizeof url);
        break;
      }
    }
  }
  if (rc != 0) {
    return overlay_fail(ps, node, "credential-server needs a url of at most 511 bytes");
  }
  rc = overlay_check_url(ps, node, url);
  if (rc == 0 && o->num_credentials == TORC_OVERLAY_CREDENTIALS_MAX) {
    rc = overlay_fail(ps, node, "more credential-server elements than this program takes (4)");
  }
  if (rc == 0) {
    memcpy(o->credentials[o->num_credentials++], url, sizeof url);
  }
  return rc;
}

/* [ENR-22] [ENR-23]: address and port. */
static int read_endpoint(const overlay_run *ps, const xmlNode *node, torc_endpoint *out) {
  uint64_t port = 0;
  memset(out, 0, sizeof *out);
  int rc = overlay_need_attribute(ps, node, "address", out->host, sizeof out->host);
  if (rc == 0) {
    rc = overlay_attribute_number(ps, node, "port", 1, 65535, &port);
  }
  if (rc != 0) {
    return rc;
  }
  if (!torc_host_valid(out->host)) {
    return overlay_fail(ps, node, "address is neither an IP address nor a host name");
  }
  out->port = (uint16_t)port;
  char id[TORC_ID_HEX_LEN + 2];
  rc = overlay_attribute(ps, node, "peer-id", id, sizeof id);
  if (rc == TORC_ERR_NOTFOUND) {
    return 0;
  }
  if (rc != 0 || torc_id_parse(id, strlen(id), &out->peer) != 0 || !torc_id_is_peer(&out->peer)) {
    return overlay_fail(ps, node, "peer-id is not 32 hexadecimal digits");
  }
  return 0;
}

static int read_bootstrap(overlay_run *ps, const xmlNode *node, bool is_multicast) {
  torc_endpoint endpoint;
  int rc = read_endpoint(ps, node, &endpoint);
  if (rc != 0) {
    return rc;
  }
  /* [GAP-132] an address there that is no group is an ordinary peer; groups are for datagram links.
   */
  torc_overlay *o = ps->o;
  if (is_multicast && torc_host_is_multicast(endpoint.host)) {
    if (o->num_multicast == TORC_OVERLAY_MULTICAST_MAX) {
      return overlay_fail(ps, node,
                          "more multicast-bootstrap elements than this program takes (4)");
    }
    o->multicast[o->num_multicast++] = endpoint;
    return 0;
  }
  if (ps->o->num_bootstrap == TORC_OVERLAY_BOOTSTRAP_MAX) {
    return overlay_fail(ps, node, "more bootstrap-peer elements than this program takes (32)");
  }
  ps->o->bootstrap[ps->o->num_bootstrap] = endpoint;
  ps->o->num_bootstrap++;
  return 0;
}

uint8_t torc_overlay_rule(const char *name) {
  static const char *const rules[] = {"user-match", "node-match", "user-node-match",
                                      "node-multiple", "own-key"};
  static const uint8_t numbers[] = {0,
                                    TORC_RULE_USER_MATCH,
                                    TORC_RULE_NODE_MATCH,
                                    TORC_RULE_USER_NODE_MATCH,
                                    TORC_RULE_NODE_MULTIPLE,
                                    TORC_RULE_OWN_KEY};
  return numbers[overlay_word(name, rules, TORC_ARRAY_LEN(rules))];
}

static int read_type_words(const overlay_run *ps, const xmlNode *node, torc_type_def *t) {
  static const char *const models[] = {"single", "array", "dictionary"};
  char word[32];
  int rc = overlay_need_attribute(ps, node, "name", t->name, sizeof t->name);
  if (rc != 0) {
    return rc;
  }
  rc = overlay_need_attribute(ps, node, "model", word, sizeof word);
  if (rc != 0) {
    return rc;
  }
  t->model = overlay_word(word, models, TORC_ARRAY_LEN(models));
  if (t->model == 0) {
    return overlay_fail(ps, node, "model must be single, array or dictionary");
  }
  rc = overlay_need_attribute(ps, node, "access", word, sizeof word);
  if (rc != 0) {
    return rc;
  }
  t->rule = torc_overlay_rule(word);
  if (t->rule == 0) {
    return overlay_fail(ps, node,
                        "access must be user-match, node-match, user-node-match, node-multiple or "
                        "own-key");
  }
  if (t->rule == TORC_RULE_USER_NODE_MATCH && t->model != TORC_TYPE_DICTIONARY) {
    return overlay_fail(ps, node, "access user-node-match is for dictionaries only");
  }
  rc = overlay_attribute(ps, node, "find", word, sizeof word);
  if (rc == 0 && strcmp(word, "yes") != 0 && strcmp(word, "no") != 0) {
    rc = TORC_ERR_FORMAT;
  }
  if (rc != 0 && rc != TORC_ERR_NOTFOUND) {
    return overlay_fail(ps, node, "find must be yes or no");
  }
  t->findable = rc == 0 && word[0] == 'y';
  return 0;
}

/* A private type [GAP-143]. */
static int read_type(overlay_run *ps, const xmlNode *node) {
  torc_overlay *o = ps->o;
  if (o->num_types == TORC_OVERLAY_TYPES_MAX) {
    return overlay_fail(ps, node, "more type elements than this program takes (48)");
  }
  torc_type_def *t = &o->types[o->num_types];
  memset(t, 0, sizeof *t);
  uint64_t id = 0;
  uint64_t count = 0;
  uint64_t size = 0;
  uint64_t lifetime = TYPE_LIFETIME_DEFAULT_S;
  char text[32];
  int rc = overlay_need_attribute(ps, node, "id", text, sizeof text);
  if (rc != 0) {
    return rc;
  }
  if (overlay_number(text, PRIVATE_TYPE_FIRST, PRIVATE_TYPE_LAST, &id) != 0) {
    return overlay_fail(ps, node, "id must be a number from 0xF00000 to 0xFFFFFE");
  }
  rc = read_type_words(ps, node, t);
  if (rc == 0) {
    rc = overlay_attribute_number(ps, node, "max-count", 1, TYPE_COUNT_MAX, &count);
  }
  if (rc == 0) {
    rc = overlay_attribute_number(ps, node, "max-size", 1, TYPE_SIZE_MAX, &size);
  }
  if (rc == 0 &&
      overlay_attribute(ps, node, "max-lifetime", text, sizeof text) != TORC_ERR_NOTFOUND) {
    rc = overlay_attribute_number(ps, node, "max-lifetime", 1, UINT32_MAX, &lifetime);
  }
  if (rc != 0) {
    return rc;
  }
  for (size_t i = 0; i < o->num_types; i++) {
    if (o->types[i].id == id || strcasecmp(o->types[i].name, t->name) == 0) {
      return overlay_fail_named(ps, node, "a second type of the same id or name:", t->name);
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
static bool is_period(const overlay_run *ps, const xmlNode *node, const char *suffix) {
  if (!overlay_is_draft(node)) {
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

static void set_turn_density(torc_overlay *o, uint64_t v);

/* [GAP-131] A flag: empty stands for true. A key in a document that everybody gets is none. */
static int read_shared_secret(overlay_run *ps, const xmlNode *node) {
  char text[8];
  int rc = overlay_text(ps, node, text, sizeof text);
  if (rc != 0 || (text[0] != '\0' && strcmp(text, "true") != 0 && strcmp(text, "false") != 0)) {
    return overlay_fail(
        ps, node, "shared-secret holds true or false; the key is a file: [identity] shared-key");
  }
  ps->o->is_shared_key = strcmp(text, "false") != 0;
  return 0;
}

/* [GAP-121] [GAP-131]: parameters with decimal or true/false text, all with defaults. */
static int read_parameter(overlay_run *ps, const xmlNode *node, bool *is_known) {
  torc_overlay *o = ps->o;
  uint64_t v = 0;
  int rc = 0;
  *is_known = true;
  if (is_period(ps, node, "-update-frequency")) {
    rc = overlay_text_number(ps, node, PERIOD_MIN_S, PERIOD_MAX_S, &v);
    o->update_period = TORC_SEC(v);
  } else if (is_period(ps, node, "-ping-frequency")) {
    rc = overlay_text_number(ps, node, PERIOD_MIN_S, PERIOD_MAX_S, &v);
    o->ping_period = TORC_SEC(v);
  } else if (overlay_is_extension(node, "initial-ttl")) {
    rc = overlay_text_number(ps, node, 1, 255, &v);
    o->initial_ttl = (uint8_t)v;
  } else if (overlay_is_extension(node, "max-message-size")) {
    rc = overlay_text_number(ps, node, MESSAGE_MIN, MESSAGE_MAX, &v);
    o->max_message = (uint32_t)v;
  } else if (overlay_is_extension(node, "t1")) {
    rc = overlay_text_number(ps, node, T1_MIN_MS, T1_MAX_MS, &v);
    o->t1 = TORC_MS(v);
  } else if (overlay_is_extension(node, "deletion-delay")) {
    rc = overlay_text_number(ps, node, 1, PERIOD_MAX_S, &v);
    o->deletion_delay = TORC_SEC(v);
  } else if (overlay_is_named(node, "turnDensity")) {
    rc = overlay_text_number(ps, node, 0, 100, &v);
    set_turn_density(o, v);
  } else if (overlay_is_own_named(node, "replica-wait")) {
    rc = overlay_text_number(ps, node, REPLICA_WAIT_MIN_MS, REPLICA_WAIT_MAX_MS, &v);
    o->replica_wait = TORC_MS(v);
  } else if (overlay_is_own_named(node, "keepalive")) {
    rc = overlay_text_number(ps, node, 1, IDLE_MAX_S, &v);
    o->keepalive = TORC_SEC(v);
  } else if (overlay_is_own_named(node, "idle-close")) {
    rc = overlay_text_number(ps, node, 1, IDLE_MAX_S, &v);
    o->idle_close = TORC_SEC(v);
  } else if (overlay_is_extension(node, "require-signature")) {
    rc = overlay_text_flag(ps, node, &o->require_signature);
  } else if (overlay_is_extension(node, "remove-zero-generation")) {
    rc = overlay_text_flag(ps, node, &o->remove_zero_generation);
  } else if (overlay_is_extension(node, "shared-secret")) {
    rc = read_shared_secret(ps, node); /* [SEC-06] [GAP-131] */
  } else {
    *is_known = false;
  }
  return rc;
}

static int read_child(overlay_run *ps, const xmlNode *node) {
  bool is_known = false;
  int rc = read_parameter(ps, node, &is_known);
  if (is_known) {
    return rc;
  }
  if (overlay_is_named(node, "root-cert")) {
    return read_root(ps, node);
  }
  if (overlay_is_named(node, "required-usage")) {
    return read_required_usage(ps, node);
  }
  if (overlay_is_named(node, "credential-server")) {
    return read_credential_server(ps, node);
  }
  if (overlay_is_named(node, "bootstrap-peer")) {
    return read_bootstrap(ps, node, false);
  }
  if (overlay_is_named(node, "multicast-bootstrap")) {
    return read_bootstrap(ps, node, true);
  }
  if (overlay_is_extension(node, "type")) {
    return read_type(ps, node);
  }
  return overlay_read_own(ps, node); /* [GAP-127] unknown elements are ignored */
}

/* Parameters may also stand inside `dht` [GAP-121]. */
static int read_dht_children(overlay_run *ps, const xmlNode *overlay) {
  int rc = 0;
  for (const xmlNode *dht = overlay->children; rc == 0 && dht != NULL; dht = dht->next) {
    if (!overlay_is_named(dht, "dht")) {
      continue;
    }
    for (const xmlNode *node = dht->children; rc == 0 && node != NULL; node = node->next) {
      bool is_known = false;
      rc = read_parameter(ps, node, &is_known);
    }
  }
  return rc;
}

static void set_turn_density(torc_overlay *o, uint64_t v) {
  o->turn_density = (uint8_t)v;
  o->has_turn_density = true;
}

/* [ENR-17] name and expiration. */
static int read_attributes(overlay_run *ps, const xmlNode *overlay) {
  char text[32];
  int rc = overlay_need_attribute(ps, overlay, "name", ps->o->name, sizeof ps->o->name);
  if (rc != 0) {
    return rc;
  }
  if (!torc_host_valid(ps->o->name)) { /* [ARC-20] */
    return overlay_fail(ps, overlay, "the overlay name does not look like a DNS name");
  }
  uint64_t v = 0;
  if (overlay_attribute(ps, overlay, "expiration", text, sizeof text) != TORC_ERR_NOTFOUND) {
    rc = overlay_attribute_number(ps, overlay, "expiration", 1, UINT32_MAX, &v);
    ps->o->expiration_s = (uint32_t)v;
  }
  if (rc == 0 &&
      overlay_attribute(ps, overlay, "turnDensity", text, sizeof text) != TORC_ERR_NOTFOUND) {
    rc = overlay_attribute_number(ps, overlay, "turnDensity", 0, 100,
                                  &v); /* [GAP-121] here as well */
    set_turn_density(ps->o, v);
  }
  int got = overlay_own_attribute(ps, overlay, "sequence", text, sizeof text);
  if (rc == 0 && got != TORC_ERR_NOTFOUND) {
    if (got != 0 || overlay_number(text, 0, SEQUENCE_MAX, &ps->o->sequence) != 0) {
      rc = overlay_number_fault(ps, overlay, "sequence", 0, SEQUENCE_MAX);
    }
  }
  return rc == 0 ? overlay_read_migration(ps, overlay) : rc;
}

/* [SEC-01] [SEC-06] Either roots, or a key that is shared; [ENR-26] who has a credential server
 * wants credentials. */
static int check_security(overlay_run *ps, const xmlNode *overlay) {
  const torc_overlay *o = ps->o;
  if (o->is_shared_key && o->num_roots > 0) {
    return overlay_fail(ps, overlay, "shared-secret and root-cert exclude each other");
  }
  if (o->is_shared_key && o->num_credentials > 0) {
    return overlay_fail(ps, overlay, "shared-secret and credential-server exclude each other");
  }
  if (!o->is_shared_key && o->num_roots == 0) {
    return overlay_fail(ps, overlay, "the overlay has no root-cert element");
  }
  if (!o->is_shared_key && !o->require_signature) {
    return overlay_fail(ps, overlay, "require-signature false is for shared-key overlays");
  }
  return 0;
}

static int read_overlay(overlay_run *ps, const xmlNode *overlay) {
  int rc = read_attributes(ps, overlay);
  /* dht first: the names of other elements depend on it. */
  for (const xmlNode *node = overlay->children; rc == 0 && node != NULL; node = node->next) {
    if (overlay_is_named(node, "dht")) {
      rc = read_dht(ps, node);
    }
  }
  if (rc == 0 && !ps->has_dht) {
    rc = overlay_fail(ps, overlay, "the overlay has no dht element");
  }
  if (rc == 0) {
    rc = read_dht_children(ps, overlay);
  }
  for (const xmlNode *node = overlay->children; rc == 0 && node != NULL; node = node->next) {
    rc = read_child(ps, node);
  }
  return rc != 0 ? rc : check_security(ps, overlay);
}

/* [D-19] */
static bool is_moved_to(const overlay_run *ps, const xmlNode *overlay) {
  char text[32];
  return overlay_own_attribute(ps, overlay, "migration-stage", text, sizeof text) !=
         TORC_ERR_NOTFOUND;
}

/* The element beside `overlay` that says it is what this ring moves to; NULL: none does. Of several
 * nobody knows which is meant. */
static int find_next(const overlay_run *ps, const xmlNode *overlay, const xmlNode **out) {
  *out = NULL;
  for (const xmlNode *node = overlay->parent->children; node != NULL; node = node->next) {
    char from[256];
    if (node == overlay || !overlay_is_named(node, "overlay") ||
        overlay_own_attribute(ps, node, "accepts-certificates-of", from, sizeof from) != 0 ||
        strcasecmp(from, ps->o->name) != 0) {
      continue;
    }
    if (*out != NULL) {
      return overlay_fail_named(ps, node, "a second overlay to move to from", ps->o->name);
    }
    *out = node;
  }
  return 0;
}

/* [D-19] [ENR-16] */
static int read_next(overlay_run *ps, xmlDocPtr doc, const xmlNode *node, void **old) {
  if (node == NULL) {
    return 0;
  }
  overlay_run *one = malloc(sizeof *one);
  ps->o->next = calloc(1, sizeof *ps->o->next);
  if (one == NULL || ps->o->next == NULL) {
    free(one);
    return torc_fail(TORC_ERR_NOMEM, ps->err, ps->err_cap, "out of memory");
  }
  *one = (overlay_run){.xml = ps->xml,
                       .o = ps->o->next,
                       .is_strict = ps->is_strict,
                       .err = ps->err,
                       .err_cap = ps->err_cap};
  one->o->require_signature = true;
  one->o->signer = TORC_OVERLAY_NO_SIGNER;
  torc_types_init(&one->types, one->type_room, TORC_TYPES_MAX);
  int rc = read_overlay(one, node);
  if (rc == 0 && one->o->is_shared_key != ps->o->is_shared_key) { /* [SEC-06] links serve both */
    rc = overlay_fail(ps, node,
                      "an overlay with a shared key and one with root-certs cannot move "
                      "to each other");
  }
  if (rc == 0) {
    rc = torc_overlay_grammar_check(doc, (void *)(uintptr_t)node, ps->is_strict, old, ps->err,
                                    ps->err_cap);
  }
  free(one);
  return rc;
}

/* [ENR-16] [GAP-127] the root itself, or one of a wrapper's children. */
static int choose_overlay(const overlay_run *ps, const xmlNode *root, const char *name,
                          const xmlNode **out) {
  const xmlNode *node = overlay_is_named(root, "overlay") ? root : root->children;
  const xmlNode *found = NULL;
  const xmlNode *any = NULL;
  size_t num = 0;
  size_t num_all = 0;
  while (node != NULL) {
    char text[256] = "";
    if (overlay_is_named(node, "overlay")) {
      int rc = overlay_attribute(ps, node, "name", text, sizeof text);
      bool is_asked = name != NULL && rc == 0 && strcasecmp(text, name) == 0;
      bool is_plain = name == NULL && !is_moved_to(ps, node);
      num_all++;
      any = node;
      if (is_asked || is_plain) {
        found = node;
        num++;
      }
    }
    node = node == root ? NULL : node->next;
  }
  if (found == NULL && name == NULL && num_all == 1) {
    found = any;
  }
  if (found == NULL && name != NULL) {
    return torc_fail(TORC_ERR_CONFIG, ps->err, ps->err_cap,
                     "no overlay named %.200s in the document", name);
  }
  if (found == NULL) {
    return overlay_fail(ps, root, "no overlay element");
  }
  if (num > 1) {
    return overlay_fail(ps, found,
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

static int document_fault(const overlay_run *ps, xmlParserCtxtPtr parser,
                          const parser_state *state) {
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

/* The signature, if there is one, is of a root that the document itself lists. */
static int read_signature(overlay_run *ps, torc_slice xml) {
  torc_overlay *o = ps->o;
  torc_slice roots[TORC_OVERLAY_ROOTS_MAX];
  size_t signer = 0;
  for (size_t i = 0; i < o->num_roots; i++) {
    roots[i] = torc_slice_of(o->roots[i].der, o->roots[i].len);
  }
  int rc = torc_overlay_signature_check(xml, roots, o->num_roots, &signer, &o->signed_at, ps->err,
                                        ps->err_cap);
  if (rc == TORC_ERR_NOTFOUND) {
    return 0;
  }
  o->signer = (uint8_t)signer;
  return rc;
}

/* Our own reading comes first: it says more clearly what is wrong. */
static int read_document(overlay_run *ps, xmlDocPtr doc, const torc_overlay_input *in) {
  const xmlNode *overlay = NULL;
  const xmlNode *next = NULL;
  void *old = NULL;
  void *main_one = NULL;
  int rc = choose_overlay(ps, ps->xml->xmlDocGetRootElement(doc), in->name, &overlay);
  if (rc == 0) {
    assert(overlay != NULL);
    rc = read_overlay(ps, overlay);
  }
  if (rc == 0) { /* while the two lie side by side */
    rc = find_next(ps, overlay, &next);
  }
  if (rc == 0) {
    rc = torc_overlay_grammar_check(doc, (void *)(uintptr_t)overlay, in->is_strict, &old, ps->err,
                                    ps->err_cap);
  }
  if (rc == 0) {
    rc = read_next(ps, doc, next, &main_one);
  }
  if (rc == 0) {
    rc = read_signature(ps, in->xml);
  }
  ps->xml->xmlFreeDoc(doc);
  ps->xml->xmlFreeNode(main_one);
  ps->xml->xmlFreeNode(old);
  return rc;
}

/* A reason quotes the document, which may hold what no log line and no terminal should. */
static void make_plain(char *err, size_t err_cap) {
  for (char *c = err; err != NULL && err_cap > 0 && *c != '\0'; c++) {
    if ((unsigned char)*c < 0x20 || *c == 0x7f) {
      *c = '?';
    }
  }
}

int torc_overlay_read(torc_overlay *out, const torc_overlay_input *in, char *err, size_t err_cap) {
  memset(out, 0, sizeof *out);
  out->require_signature = true;
  out->signer = TORC_OVERLAY_NO_SIGNER;
  xml_lib lib;
  overlay_run ps = {
      .xml = &lib, .o = out, .is_strict = in->is_strict, .err = err, .err_cap = err_cap};
  torc_types_init(&ps.types, ps.type_room, TORC_TYPES_MAX);
  if (in->xml.len == 0 || in->xml.len > TORC_OVERLAY_XML_MAX) {
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
  /* [ENR-11] strict; [ENR-14] libxml2 reads UTF-8 and what the declaration names, or what the MIME
   * type says instead [ENR-13]. */
  int options = XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING | XML_PARSE_NOCDATA |
                XML_PARSE_BIG_LINES;
  xmlDocPtr doc = lib.xmlCtxtReadMemory(parser, (const char *)in->xml.p, (int)in->xml.len, NULL,
                                        in->encoding, options);
  if (doc == NULL || state.has_dtd) {
    rc = document_fault(&ps, parser, &state);
    lib.xmlFreeDoc(doc);
  } else {
    rc = read_document(&ps, doc, in);
  }
  lib.xmlFreeParserCtxt(parser);
  if (rc != 0) {
    torc_overlay_clear(out);
    make_plain(err, err_cap);
  }
  return rc;
}

int torc_overlay_parse(torc_overlay *out, const char *xml, size_t len, const char *name, char *err,
                       size_t err_cap) {
  torc_overlay_input in = {.xml = torc_slice_of(xml, len), .name = name};
  return torc_overlay_read(out, &in, err, err_cap);
}

int torc_overlay_file(const char *path, char **out, size_t *len, char *err, size_t err_cap) {
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
  size_t n = fread(text, 1, cap, f);
  bool is_read = ferror(f) == 0;
  fclose(f);
  if (!is_read) {
    free(text);
    return torc_fail(TORC_ERR_IO, err, err_cap, "%s: reading fails", path);
  }
  *out = text;
  *len = n;
  return 0;
}

int torc_overlay_load(torc_overlay *out, const char *path, const char *name, char *err,
                      size_t err_cap) {
  char *text = NULL;
  size_t len = 0;
  char why[400] = "";
  memset(out, 0, sizeof *out);
  int rc = torc_overlay_file(path, &text, &len, err, err_cap);
  if (rc != 0) {
    return rc;
  }
  rc = torc_overlay_parse(out, text, len, name, why, sizeof why);
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
  if (o->next != NULL) {
    for (size_t i = 0; i < o->next->num_roots; i++) {
      free(o->next->roots[i].der);
    }
    free(o->next);
    o->next = NULL;
  }
}

/* [GAP-69] Without certificates a question would prove nothing, so none is asked or answered. */
size_t torc_overlay_num_groups(const torc_overlay *o) {
  return o->is_shared_key ? 0 : o->num_multicast;
}

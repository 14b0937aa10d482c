/* SPDX-License-Identifier: Apache-2.0 */
#include "authority/document.h"

#include <libxml/tree.h>
#include <openssl/cms.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/id.h"
#include "base/slice.h"
#include "io/overlay_grammar.h"
#include "io/overlay_sign.h"
#include "wire/contents.h"

typedef struct named_number {
  uint8_t number;
  const char *name;
} named_number;

static const named_number models[] = {
    {TORC_TYPE_SINGLE, "single"},
    {TORC_TYPE_ARRAY, "array"},
    {TORC_TYPE_DICTIONARY, "dictionary"},
};
static const named_number rules[] = {
    {TORC_RULE_USER_MATCH, "user-match"},
    {TORC_RULE_NODE_MATCH, "node-match"},
    {TORC_RULE_USER_NODE_MATCH, "user-node-match"},
    {TORC_RULE_NODE_MULTIPLE, "node-multiple"},
    {TORC_RULE_OWN_KEY, "own-key"},
};

static const char *name_in(const named_number *list, size_t len, uint8_t number) {
  for (size_t i = 0; i < len; i++) {
    if (list[i].number == number) {
      return list[i].name;
    }
  }
  return NULL;
}

static uint8_t number_in(const named_number *list, size_t len, const char *name) {
  for (size_t i = 0; i < len; i++) {
    if (strcmp(list[i].name, name) == 0) {
      return list[i].number;
    }
  }
  return 0;
}

const char *torc_document_model_name(uint8_t model) {
  return name_in(models, TORC_ARRAY_LEN(models), model);
}

const char *torc_document_rule_name(uint8_t rule) {
  return name_in(rules, TORC_ARRAY_LEN(rules), rule);
}

uint8_t torc_document_model(const char *name) {
  return number_in(models, TORC_ARRAY_LEN(models), name);
}

uint8_t torc_document_rule(const char *name) {
  return number_in(rules, TORC_ARRAY_LEN(rules), name);
}

/* libxml2's failures are only ever lack of memory here; the first one sticks. */
typedef struct writer {
  xmlNodePtr overlay;
  xmlNsPtr own; /* for what the draft lacks [GAP-131]; NULL: nothing of it was needed yet */
  bool failed;
} writer;

static const xmlChar *xml(const char *text) {
  return (const xmlChar *)text;
}

static xmlNodePtr add_child(writer *w, const char *name, const char *text) {
  xmlNodePtr node = xmlNewTextChild(w->overlay, NULL, xml(name), text == NULL ? NULL : xml(text));
  if (node == NULL) {
    w->failed = true;
  }
  return node;
}

static void set_attribute(writer *w, xmlNodePtr node, const char *name, const char *text) {
  if (node == NULL || xmlNewProp(node, xml(name), xml(text)) == NULL) {
    w->failed = true;
  }
}

static void set_number(writer *w, xmlNodePtr node, const char *name, uint64_t value) {
  char text[24];
  (void)snprintf(text, sizeof text, "%llu", (unsigned long long)value);
  set_attribute(w, node, name, text);
}

static void add_number(writer *w, const char *name, uint64_t value) {
  char text[24];
  if (value != 0) {
    (void)snprintf(text, sizeof text, "%llu", (unsigned long long)value);
    (void)add_child(w, name, text);
  }
}

/* The namespace is declared once, by the first that needs it. */
static xmlNsPtr own_namespace(writer *w) {
  if (w->own == NULL) {
    w->own = xmlNewNs(w->overlay, xml(TORC_OVERLAY_OWN_NAMESPACE), xml("torc"));
    w->failed = w->failed || w->own == NULL;
  }
  return w->own;
}

static xmlNodePtr add_own(writer *w, const char *name, const char *text) {
  xmlNodePtr node = add_child(w, name, text);
  if (node != NULL) {
    xmlSetNs(node, own_namespace(w));
  }
  return node;
}

static void add_own_number(writer *w, const char *name, uint64_t value) {
  char text[24];
  if (value != 0) {
    (void)snprintf(text, sizeof text, "%llu", (unsigned long long)value);
    (void)add_own(w, name, text);
  }
}

static void set_own_attribute(writer *w, const char *name, const char *text) {
  xmlNsPtr ns = own_namespace(w);
  if (ns == NULL || xmlNewNsProp(w->overlay, ns, xml(name), xml(text)) == NULL) {
    w->failed = true;
  }
}

/* [GAP-129]: base64 of the DER bytes [ENR-19]. */
static void add_root(writer *w, const uint8_t *der, size_t len) {
  if (len > TORC_CERT_MAX_BYTES) {
    w->failed = true;
    return;
  }
  char *text = malloc((len + 2) / 3 * 4 + 1);
  if (text == NULL) {
    w->failed = true;
    return;
  }
  (void)EVP_EncodeBlock((unsigned char *)text, der, (int)len);
  (void)add_child(w, "root-cert", text);
  free(text);
}

static void add_type(writer *w, const torc_type_def *t) {
  char id[16];
  xmlNodePtr node = add_own(w, "type", NULL);
  (void)snprintf(id, sizeof id, "0x%06X", (unsigned)t->id);
  set_attribute(w, node, "id", id);
  set_attribute(w, node, "name", t->name);
  set_attribute(w, node, "model", torc_document_model_name(t->model));
  set_attribute(w, node, "access", torc_document_rule_name(t->rule));
  set_number(w, node, "max-count", t->max_values);
  set_number(w, node, "max-size", t->max_size);
  if (t->max_lifetime_s != 0) {
    set_number(w, node, "max-lifetime", t->max_lifetime_s);
  }
  if (t->findable) {
    set_attribute(w, node, "find", "yes");
  }
}

static void add_endpoints(writer *w, const char *name, const torc_endpoint *list, size_t num) {
  for (size_t i = 0; i < num; i++) {
    char id[TORC_ID_HEX_LEN + 1];
    xmlNodePtr node = add_child(w, name, NULL);
    set_attribute(w, node, "address", list[i].host);
    set_number(w, node, "port", list[i].port);
    if (torc_id_is_peer(&list[i].peer)) {
      set_attribute(w, node, "peer-id", torc_id_hex(&list[i].peer, id));
    }
  }
}

/* "50.11" of 50110000 millionths. */
static void set_degrees(writer *w, xmlNodePtr node, const char *name, int32_t e6) {
  char text[24];
  uint32_t v = e6 < 0 ? 0u - (uint32_t)e6 : (uint32_t)e6;
  (void)snprintf(text, sizeof text, "%s%u.%06u", e6 < 0 ? "-" : "", (unsigned)(v / 1000000u),
                 (unsigned)(v % 1000000u));
  set_attribute(w, node, name, text);
}

static void add_places(writer *w, const torc_overlay *o) {
  for (size_t i = 0; i < o->num_balancers; i++) {
    const torc_load_balancer *b = &o->balancers[i];
    xmlNodePtr node = add_own(w, "load-balancer", NULL);
    set_attribute(w, node, "name", b->name);
    set_degrees(w, node, "lat", b->lat_e6);
    set_degrees(w, node, "lon", b->lon_e6);
    if (b->zone[0] != '\0') {
      set_attribute(w, node, "zone", b->zone);
    }
  }
  for (size_t i = 0; i < o->num_stewards; i++) { /* */
    char id[TORC_ID_HEX_LEN + 1];
    set_attribute(w, add_own(w, "steward", NULL), "peer-id", torc_id_hex(&o->stewards[i], id));
  }
}

static void add_signature_algorithms(writer *w, const torc_overlay *o) {
  if ((o->signature_algorithms & 1u << TORC_SIGALG_ECDSA_P256_SHA256) != 0) {
    set_attribute(w, add_own(w, "signature-algorithm", NULL), "name", "ecdsa-p256-sha256");
  }
  if ((o->signature_algorithms & 1u << TORC_SIGALG_RSA_SHA256) != 0) {
    set_attribute(w, add_own(w, "signature-algorithm", NULL), "name", "rsa-sha256");
  }
}

/* [GAP-131] What the draft has no element for, in a namespace of its own. */
static void fill_own(writer *w, const torc_overlay *o) {
  if (o->source[0] != '\0') {
    set_attribute(w, add_own(w, "source", NULL), "url", o->source);
  }
  add_signature_algorithms(w, o);
  add_own_number(w, "initial-ttl", o->initial_ttl);
  add_own_number(w, "max-message-size", o->max_message);
  add_own_number(w, "t1", o->t1 / TORC_MS(1));
  add_own_number(w, "replica-wait", o->replica_wait / TORC_MS(1));
  add_own_number(w, "keepalive", o->keepalive / TORC_SEC(1));
  add_own_number(w, "idle-close", o->idle_close / TORC_SEC(1));
  add_own_number(w, "deletion-delay", o->deletion_delay / TORC_SEC(1));
  if (o->remove_zero_generation) {
    (void)add_own(w, "remove-zero-generation", "true");
  }
  add_places(w, o);
  for (size_t i = 0; i < o->num_types; i++) {
    add_type(w, &o->types[i]);
  }
}

static void fill_attributes(writer *w, const torc_overlay *o) {
  static const char *const stages[] = {"", "store-both-fetch-old", "store-both-fetch-new",
                                       "new-only"};
  char text[24];
  set_attribute(w, w->overlay, "name", o->name); /* [ENR-17] */
  if (o->expiration_s != 0) {
    set_number(w, w->overlay, "expiration", o->expiration_s);
  }
  if (o->sequence != 0) {
    (void)snprintf(text, sizeof text, "%llu", (unsigned long long)o->sequence);
    set_own_attribute(w, "sequence", text);
  }
  if (o->migration != TORC_MIGRATION_NONE) { /* [D-19] */
    set_own_attribute(w, "migration-stage", stages[o->migration]);
    set_own_attribute(w, "accepts-certificates-of", o->migrates_from);
  }
}

static void fill_overlay(writer *w, const torc_overlay *o) {
  fill_attributes(w, o);
  set_attribute(w, add_child(w, "dht", NULL), "name", o->algorithm); /* [ENR-18] */
  for (size_t i = 0; i < o->num_roots; i++) {
    add_root(w, o->roots[i].der, o->roots[i].len);
  }
  for (size_t i = 0; i < o->num_usages; i++) { /* [ENR-20] */
    set_attribute(w, add_child(w, "required-usage", NULL), "name", o->usages[i]);
  }
  for (size_t i = 0; i < o->num_credentials; i++) { /* [ENR-21] [GAP-128] */
    set_attribute(w, add_child(w, "credential-server", NULL), "url", o->credentials[i]);
  }
  add_endpoints(w, "bootstrap-peer", o->bootstrap, o->num_bootstrap);      /* [ENR-22] */
  add_endpoints(w, "multicast-bootstrap", o->multicast, o->num_multicast); /* [ENR-23] */
  /* [GAP-121] [GAP-131] [CHD-39] [CHD-44]: children with decimal text. */
  add_number(w, "chord-128-2-8-update-frequency", o->update_period / TORC_SEC(1));
  add_number(w, "chord-128-2-8-ping-frequency", o->ping_period / TORC_SEC(1));
  if (o->has_turn_density) {
    char text[8];
    (void)snprintf(text, sizeof text, "%u", (unsigned)o->turn_density);
    (void)add_child(w, "turnDensity", text);
  }
  fill_own(w, o);
}

static bool is_writable(const torc_overlay *o) {
  if (o->name[0] == '\0' || o->algorithm[0] == '\0' || o->num_roots == 0 ||
      o->migration > TORC_MIGRATION_NEW_ONLY) {
    return false;
  }
  for (size_t i = 0; i < o->num_types; i++) {
    if (torc_document_model_name(o->types[i].model) == NULL ||
        torc_document_rule_name(o->types[i].rule) == NULL) {
      return false;
    }
  }
  return true;
}

/* Copies the text of `doc` out of libxml2's memory, indented and with the encoding named [ENR-12]
 * [ENR-14]. */
static int dump(xmlDocPtr doc, uint8_t **out, size_t *len) {
  xmlChar *text = NULL;
  int num = 0;
  xmlDocDumpFormatMemoryEnc(doc, &text, &num, "UTF-8", 1);
  if (text == NULL || num <= 0) {
    return TORC_ERR_NOMEM;
  }
  uint8_t *copy = malloc((size_t)num + 1);
  if (copy != NULL) {
    memcpy(copy, text, (size_t)num + 1);
    *out = copy;
    *len = (size_t)num;
  }
  xmlFree(text);
  return copy == NULL ? TORC_ERR_NOMEM : 0;
}

/* What is against the grammar is not written [GAP-127]; the document is done with then. */
static int check_grammar(xmlDocPtr doc, xmlNodePtr overlay, xmlNodePtr next) {
  char why[200];
  void *old[2] = {NULL, NULL};
  int rc = torc_overlay_grammar_check(doc, overlay, true, &old[0], why, sizeof why);
  if (rc == 0 && next != NULL) {
    rc = torc_overlay_grammar_check(doc, next, true, &old[1], why, sizeof why);
  }
  xmlFreeDoc(doc);
  xmlFreeNode(old[1]);
  xmlFreeNode(old[0]);
  return rc;
}

/* An element for the root, or for a child of `parent`. */
static xmlNodePtr build(xmlDocPtr doc, xmlNodePtr parent, const torc_overlay *o) {
  writer w = {.overlay = xmlNewNode(NULL, xml("overlay"))};
  if (w.overlay == NULL) {
    return NULL;
  }
  if (parent == NULL) {
    (void)xmlDocSetRootElement(doc, w.overlay);
  } else {
    (void)xmlAddChild(parent, w.overlay);
  }
  xmlNsPtr ns = xmlNewNs(w.overlay, xml(TORC_OVERLAY_NAMESPACE), NULL); /* [ENR-15] */
  xmlSetNs(w.overlay, ns);
  fill_overlay(&w, o);
  return ns == NULL || w.failed ? NULL : w.overlay;
}

int torc_document_write(const torc_overlay *o, uint8_t **out, size_t *len) {
  if (!is_writable(o) || (o->next != NULL && !is_writable(o->next))) {
    return TORC_ERR_INVALID;
  }
  xmlDocPtr doc = xmlNewDoc(xml("1.0"));
  xmlNodePtr both = NULL;
  xmlNodePtr next = NULL;
  if (doc != NULL && o->next != NULL) { /* [ENR-16] [D-19] the ring it moves to beside it */
    both = xmlNewNode(NULL, xml("overlays"));
    if (both != NULL) {
      (void)xmlDocSetRootElement(doc, both);
    }
  }
  bool is_rooted = doc != NULL && (o->next == NULL || both != NULL);
  xmlNodePtr overlay = is_rooted ? build(doc, both, o) : NULL;
  if (overlay != NULL && both != NULL) {
    next = build(doc, both, o->next);
    overlay = next == NULL ? NULL : overlay;
  }
  int rc = overlay == NULL ? TORC_ERR_NOMEM : dump(doc, out, len);
  if (rc != 0) {
    xmlFreeDoc(doc);
    return rc;
  }
  if (check_grammar(doc, overlay, next) != 0) {
    free(*out);
    *out = NULL;
    return TORC_ERR_INVALID;
  }
  return 0;
}

/* ---- the signature ---- */

/* document ++ instruction, with the base64 of the CMS in lines. */
static int append_signature(torc_slice document, CMS_ContentInfo *cms, uint8_t **out, size_t *len) {
  static const char start[] = TORC_OVERLAY_SIGNATURE_START;
  static const char end[] = "?>\n";
  uint8_t *der = NULL;
  int der_len = i2d_CMS_ContentInfo(cms, &der);
  if (der_len <= 0) {
    return TORC_ERR_NOMEM;
  }
  size_t base64 = ((size_t)der_len + 2) / 3 * 4;
  uint8_t *text = malloc(document.len + sizeof start + base64 + sizeof end);
  if (text != NULL) {
    uint8_t *at = text;
    memcpy(at, document.p, document.len);
    at += document.len;
    memcpy(at, start, sizeof start - 1);
    at += sizeof start - 1;
    at += EVP_EncodeBlock(at, der, der_len);
    memcpy(at, end, sizeof end);
    *out = text;
    *len = (size_t)(at - text) + sizeof end - 1;
  }
  OPENSSL_free(der);
  return text == NULL ? TORC_ERR_NOMEM : 0;
}

int torc_document_sign(torc_slice document, EVP_PKEY *key, X509 *root, uint8_t **out, size_t *len) {
  torc_slice plain = torc_slice_of(document.p, torc_overlay_signed_len(document));
  if (plain.len == 0 || plain.len > TORC_OVERLAY_XML_MAX) {
    return TORC_ERR_INVALID;
  }
  BIO *bio = BIO_new_mem_buf(plain.p, (int)plain.len);
  unsigned flags = CMS_BINARY | CMS_DETACHED | CMS_NOCERTS | CMS_NOSMIMECAP;
  CMS_ContentInfo *cms = CMS_sign(NULL, NULL, NULL, NULL, flags | CMS_PARTIAL);
  int rc = TORC_ERR_CRYPTO;
  if (bio != NULL && cms != NULL && CMS_add1_signer(cms, root, key, EVP_sha256(), flags) != NULL &&
      CMS_final(cms, bio, NULL, flags) == 1) {
    rc = append_signature(plain, cms, out, len);
  }
  ERR_clear_error();
  CMS_ContentInfo_free(cms);
  BIO_free(bio);
  return rc;
}

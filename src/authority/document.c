/* SPDX-License-Identifier: Apache-2.0 */
#include "authority/document.h"

#include <libxml/tree.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/slice.h"

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

static void add_flag(writer *w, const char *name, bool is_set) {
  if (is_set) {
    (void)add_child(w, name, "true");
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
  xmlNodePtr node = add_child(w, "type", NULL);
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

static void fill_overlay(writer *w, const torc_overlay *o) {
  set_attribute(w, w->overlay, "name", o->name); /* [ENR-17] */
  if (o->expiration_s != 0) {
    set_number(w, w->overlay, "expiration", o->expiration_s);
  }
  set_attribute(w, add_child(w, "dht", NULL), "name", o->algorithm); /* [ENR-18] */
  for (size_t i = 0; i < o->num_roots; i++) {
    add_root(w, o->roots[i].der, o->roots[i].len);
  }
  for (size_t i = 0; i < o->num_bootstrap; i++) { /* [ENR-22] */
    xmlNodePtr node = add_child(w, "bootstrap-peer", NULL);
    set_attribute(w, node, "address", o->bootstrap[i].host);
    set_number(w, node, "port", o->bootstrap[i].port);
  }
  /* [GAP-121] [GAP-131] [CHD-39] [CHD-44]: children with decimal text. */
  add_number(w, "chord-128-2-8-update-frequency", o->update_period / TORC_SEC(1));
  add_number(w, "chord-128-2-8-ping-frequency", o->ping_period / TORC_SEC(1));
  add_number(w, "initial-ttl", o->initial_ttl);
  add_number(w, "max-message-size", o->max_message);
  add_number(w, "t1", o->t1 / TORC_MS(1));
  add_number(w, "deletion-delay", o->deletion_delay / TORC_SEC(1));
  add_flag(w, "remove-zero-generation", o->remove_zero_generation);
  for (size_t i = 0; i < o->num_types; i++) {
    add_type(w, &o->types[i]);
  }
}

static bool is_writable(const torc_overlay *o) {
  if (o->name[0] == '\0' || o->algorithm[0] == '\0' || o->num_roots == 0) {
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

int torc_document_write(const torc_overlay *o, uint8_t **out, size_t *len) {
  if (!is_writable(o)) {
    return TORC_ERR_INVALID;
  }
  int rc = TORC_ERR_NOMEM;
  xmlDocPtr doc = xmlNewDoc(xml("1.0"));
  writer w = {.overlay = xmlNewNode(NULL, xml("overlay"))};
  if (doc != NULL && w.overlay != NULL) {
    (void)xmlDocSetRootElement(doc, w.overlay);
    xmlNsPtr ns = xmlNewNs(w.overlay, xml(TORC_OVERLAY_NAMESPACE), NULL); /* [ENR-15] */
    xmlSetNs(w.overlay, ns);
    fill_overlay(&w, o);
    if (ns != NULL && !w.failed) {
      rc = dump(doc, out, len);
    }
  } else {
    xmlFreeNode(w.overlay);
  }
  xmlFreeDoc(doc);
  return rc;
}

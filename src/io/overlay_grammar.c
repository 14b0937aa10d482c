/* SPDX-License-Identifier: Apache-2.0 */
#include "io/overlay_grammar.h"

#include <libxml/relaxng.h>
#include <libxml/tree.h>
#include <stdio.h>
#include <string.h>

#include "base/slice.h"
#include "io/err.h"
#include "io/late_lib.h"
#include "io/overlay_xml.h"

#define FUNCTIONS(X)                    \
  X(xmlRelaxNGNewMemParserCtxt)         \
  X(xmlRelaxNGParse)                    \
  X(xmlRelaxNGFreeParserCtxt)           \
  X(xmlRelaxNGNewValidCtxt)             \
  X(xmlRelaxNGSetValidStructuredErrors) \
  X(xmlRelaxNGValidateDoc)              \
  X(xmlRelaxNGFreeValidCtxt)            \
  X(xmlRelaxNGFree)                     \
  X(xmlDocSetRootElement)               \
  X(xmlDocGetRootElement) X(xmlUnlinkNode) X(xmlFreeNode) X(xmlNewNs) X(xmlGetLineNo)

typedef struct grammar_lib {
#define X(name) __typeof__(name) *(name);
  FUNCTIONS(X)
#undef X
} grammar_lib;

static const torc_late_symbol symbols[] = {
#define X(name) {#name, offsetof(grammar_lib, name)},
    FUNCTIONS(X)
#undef X
};

typedef struct check {
  const grammar_lib *xml;
  bool is_strict;
  char *err;
  size_t err_cap;
  bool has_fault;
} check;

/* The draft's elements that the grammar names; others of its namespace are ignored [GAP-127]. */
static bool is_of_draft(const char *name) {
  static const char *const names[] = {"overlay",
                                      "dht",
                                      "root-cert",
                                      "required-usage",
                                      "credential-server",
                                      "url",
                                      "bootstrap-peer",
                                      "multicast-bootstrap",
                                      "turnDensity",
                                      "chord-128-2-8-update-frequency",
                                      "chord-128-2-8-ping-frequency",
                                      "initial-ttl",
                                      "max-message-size",
                                      "t1",
                                      "deletion-delay",
                                      "require-signature",
                                      "remove-zero-generation",
                                      "shared-secret",
                                      "type"};
  for (size_t i = 0; i < TORC_ARRAY_LEN(names); i++) {
    if (strcmp(name, names[i]) == 0) {
      return true;
    }
  }
  return false;
}

bool torc_overlay_own_element(const char *name) {
  static const char *const names[] = {"source",
                                      "signature-algorithm",
                                      "hash",
                                      "replica-wait",
                                      "keepalive",
                                      "idle-close",
                                      "load-balancer",
                                      "steward",
                                      "initial-ttl",
                                      "max-message-size",
                                      "t1",
                                      "deletion-delay",
                                      "require-signature",
                                      "remove-zero-generation",
                                      "shared-secret",
                                      "type"};
  for (size_t i = 0; i < TORC_ARRAY_LEN(names); i++) {
    if (strcmp(name, names[i]) == 0) {
      return true;
    }
  }
  return false;
}

static bool is_ignored(const check *c, const xmlNode *node) {
  if (node->type == XML_TEXT_NODE || node->type == XML_CDATA_SECTION_NODE) {
    return false;
  }
  if (node->type != XML_ELEMENT_NODE) {
    return true;
  }
  const char *ns = node->ns == NULL ? TORC_OVERLAY_NAMESPACE : (const char *)node->ns->href;
  const char *name = (const char *)node->name;
  if (strcmp(ns, TORC_OVERLAY_OWN_NAMESPACE) == 0) {
    return !c->is_strict && !torc_overlay_own_element(name);
  }
  return strcmp(ns, TORC_OVERLAY_NAMESPACE) != 0 || !is_of_draft(name);
}

/* The node after `node` in the order of the document, below `top`. */
static xmlNode *after(const xmlNode *top, xmlNode *node) {
  if (node->type == XML_ELEMENT_NODE && node->children != NULL) {
    return node->children;
  }
  while (node != top && node->next == NULL) {
    node = node->parent;
  }
  return node == top ? NULL : node->next;
}

static xmlNode *after_subtree(const xmlNode *top, xmlNode *node) {
  while (node != top && node->next == NULL) {
    node = node->parent;
  }
  return node == top ? NULL : node->next;
}

static size_t count_attributes(const xmlNode *node) {
  size_t num = 0;
  for (const xmlAttr *a = node->properties; a != NULL; a = a->next) {
    num++;
  }
  return num;
}

/* Takes out what is ignored, and gives elements without a namespace the draft's. */
static int normalise(const check *c, xmlNode *top) {
  xmlNs *ns = c->xml->xmlNewNs(top, (const xmlChar *)TORC_OVERLAY_NAMESPACE,
                               (const xmlChar *)"torc-draft-namespace");
  if (ns == NULL) {
    return torc_fail(TORC_ERR_NOMEM, c->err, c->err_cap, "out of memory");
  }
  size_t num = 0;
  for (xmlNode *node = top; node != NULL;) {
    if (node != top && is_ignored(c, node)) {
      xmlNode *next = after_subtree(top, node);
      c->xml->xmlUnlinkNode(node);
      c->xml->xmlFreeNode(node);
      node = next;
      continue;
    }
    if (node->type == XML_ELEMENT_NODE) {
      num++;
      if (num > TORC_OVERLAY_ELEMENTS_MAX || count_attributes(node) > TORC_OVERLAY_ATTRIBUTES_MAX) {
        return torc_fail(TORC_ERR_CONFIG, c->err, c->err_cap,
                         "line %ld: more elements, or attributes of one, than this program takes",
                         c->xml->xmlGetLineNo(node));
      }
      node->ns = node->ns == NULL ? ns : node->ns;
    }
    node = after(top, node);
  }
  return 0;
}

/* The first complaint is the closest to what is wrong. */
static void on_fault(void *ctx, xmlErrorPtr e) {
  check *c = ctx;
  if (c->has_fault || e == NULL || e->message == NULL) {
    return;
  }
  c->has_fault = true;
  const xmlNode *node = e->node;
  int line = e->line != 0 ? e->line : node == NULL ? 0 : (int)c->xml->xmlGetLineNo(node);
  (void)torc_fail(TORC_ERR_CONFIG, c->err, c->err_cap, "line %d: against the grammar: %.*s", line,
                  (int)strcspn(e->message, "\r\n"), e->message);
}

static int validate(check *c, xmlDoc *doc) {
  int rc = TORC_ERR_NOMEM;
  xmlRelaxNGValidCtxtPtr valid = NULL;
  xmlRelaxNGPtr grammar = NULL;
  xmlRelaxNGParserCtxtPtr parser =
      c->xml->xmlRelaxNGNewMemParserCtxt((const char *)torc_overlay_rng, (int)torc_overlay_rng_len);
  if (parser != NULL) {
    grammar = c->xml->xmlRelaxNGParse(parser);
  }
  if (grammar != NULL) {
    valid = c->xml->xmlRelaxNGNewValidCtxt(grammar);
  }
  if (valid != NULL) {
    c->xml->xmlRelaxNGSetValidStructuredErrors(valid, on_fault, c);
    rc = c->xml->xmlRelaxNGValidateDoc(valid, doc) == 0 ? 0 : TORC_ERR_CONFIG;
  }
  if (rc != 0 && !c->has_fault) {
    (void)torc_fail(rc, c->err, c->err_cap,
                    rc == TORC_ERR_NOMEM ? "out of memory" : "the document is against the grammar");
  }
  c->xml->xmlRelaxNGFreeValidCtxt(valid);
  c->xml->xmlRelaxNGFree(grammar);
  c->xml->xmlRelaxNGFreeParserCtxt(parser);
  return rc;
}

int torc_overlay_grammar_check(void *doc, void *overlay, bool is_strict, void **old, char *err,
                               size_t err_cap) {
  grammar_lib lib;
  check c = {.xml = &lib, .is_strict = is_strict, .err = err, .err_cap = err_cap};
  *old = NULL;
  int rc =
      torc_late_lib_open(TORC_SONAME_XML2, symbols, TORC_ARRAY_LEN(symbols), &lib, err, err_cap);
  if (rc != 0) {
    return rc;
  }
  if (lib.xmlDocGetRootElement(doc) != overlay) {
    lib.xmlUnlinkNode(overlay);
    *old = lib.xmlDocSetRootElement(doc, overlay);
  }
  rc = normalise(&c, overlay);
  return rc != 0 ? rc : validate(&c, doc);
}

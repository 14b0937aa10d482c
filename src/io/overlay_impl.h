/* What the parts of the reader of overlay documents share.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_IO_OVERLAY_IMPL_H
#define TORC_IO_OVERLAY_IMPL_H

#include <libxml/parser.h>

#include "io/overlay_xml.h"
#include "overlay/usage/usage.h"

/* libxml2 is opened by the first document. */
#define XML_FUNCTIONS(X)  \
  X(xmlNewParserCtxt)     \
  X(xmlCtxtReadMemory)    \
  X(xmlStopParser)        \
  X(xmlCtxtGetLastError)  \
  X(xmlFreeParserCtxt)    \
  X(xmlDocGetRootElement) \
  X(xmlFreeDoc)           \
  X(xmlFreeNode) X(xmlGetNoNsProp) X(xmlGetNsProp) X(xmlNodeGetContent) X(xmlGetLineNo)

typedef struct xml_lib {
#define X(name) __typeof__(name) *(name);
  XML_FUNCTIONS(X)
#undef X
  xmlFreeFunc *free_func; /* a variable of libxml2 */
} xml_lib;

typedef struct overlay_run { /* one run over one document */
  const xml_lib *xml;
  torc_overlay *o;
  char *err;
  size_t err_cap;
  bool has_dht, is_strict;
  torc_types types; /* the standard ones and those read, whose names are in `o` */
  torc_type type_room[TORC_TYPES_MAX];
} overlay_run;

/* overlay_node.c: a fault at `node`, which is TORC_ERR_CONFIG. */
int overlay_fail(const overlay_run *ps, const xmlNode *node, const char *what);
int overlay_fail_named(const overlay_run *ps, const xmlNode *node, const char *what,
                       const char *name);
int overlay_number_fault(const overlay_run *ps, const xmlNode *node, const char *what, uint64_t min,
                         uint64_t max);
/* Whether it is an element of the draft's namespace, or of none [ENR-15] [GAP-127]; of our own; of
 * one of them, with that name. */
bool overlay_is_draft(const xmlNode *node);
bool overlay_is_own(const xmlNode *node);
bool overlay_is_named(const xmlNode *node, const char *name);
bool overlay_is_own_named(const xmlNode *node, const char *name);
/* An element of ours that the draft lacks: read in either namespace [GAP-131], written in our own.
 */
bool overlay_is_extension(const xmlNode *node, const char *name);
/* Copy an attribute without namespace, or of ours; white space at both ends is dropped.
 * TORC_ERR_NOTFOUND: there is none. TORC_ERR_LIMIT: too long. */
int overlay_attribute(const overlay_run *ps, const xmlNode *node, const char *name, char *out,
                      size_t cap);
int overlay_own_attribute(const overlay_run *ps, const xmlNode *node, const char *name, char *out,
                          size_t cap);
/* The same with a fault where those have a code; empty is a fault, too. */
int overlay_need_attribute(const overlay_run *ps, const xmlNode *node, const char *name, char *out,
                           size_t cap);
/* The text of an element without any white space. */
int overlay_text(const overlay_run *ps, const xmlNode *node, char *out, size_t cap);
/* Decimal, or hexadecimal with 0x; no sign, no white space. TORC_ERR_FORMAT, TORC_ERR_LIMIT. */
int overlay_number(const char *text, uint64_t min, uint64_t max, uint64_t *out);
int overlay_text_number(const overlay_run *ps, const xmlNode *node, uint64_t min, uint64_t max,
                        uint64_t *out);
int overlay_attribute_number(const overlay_run *ps, const xmlNode *node, const char *name,
                             uint64_t min, uint64_t max, uint64_t *out);
int overlay_text_flag(const overlay_run *ps, const xmlNode *node, bool *out);
/* Number from 1 of `text` among the words; 0: none of them. */
uint8_t overlay_word(const char *text, const char *const *words, size_t num);
int overlay_check_url(const overlay_run *ps, const xmlNode *node, const char *url);

/* overlay_own.c: elements and attributes of our namespace. */
int overlay_read_own(overlay_run *ps, const xmlNode *node);
int overlay_read_migration(overlay_run *ps, const xmlNode *overlay);

#endif

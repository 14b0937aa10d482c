/* Elements, attributes and text of an overlay document, with faults that name the line.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/slice.h"
#include "io/err.h"
#include "io/overlay_impl.h"

int overlay_fail(const overlay_run *ps, const xmlNode *node, const char *what) {
  return torc_fail(TORC_ERR_CONFIG, ps->err, ps->err_cap, "line %ld: %s",
                   ps->xml->xmlGetLineNo(node), what);
}

int overlay_fail_named(const overlay_run *ps, const xmlNode *node, const char *what,
                       const char *name) {
  return torc_fail(TORC_ERR_CONFIG, ps->err, ps->err_cap, "line %ld: %s %.64s",
                   ps->xml->xmlGetLineNo(node), what, name);
}

/* [ENR-15] [GAP-127] the namespace is optional on input; elements of another one are not ours. */
bool overlay_is_draft(const xmlNode *node) {
  return node->type == XML_ELEMENT_NODE &&
         (node->ns == NULL || strcmp((const char *)node->ns->href, TORC_OVERLAY_NAMESPACE) == 0);
}

bool overlay_is_own(const xmlNode *node) {
  return node->type == XML_ELEMENT_NODE && node->ns != NULL &&
         strcmp((const char *)node->ns->href, TORC_OVERLAY_OWN_NAMESPACE) == 0;
}

bool overlay_is_named(const xmlNode *node, const char *name) {
  return overlay_is_draft(node) && strcmp((const char *)node->name, name) == 0;
}

/* An element of ours that the draft lacks: read in either namespace [GAP-131], written in our own.
 */
bool overlay_is_extension(const xmlNode *node, const char *name) {
  return (overlay_is_draft(node) || overlay_is_own(node)) &&
         strcmp((const char *)node->name, name) == 0;
}

bool overlay_is_own_named(const xmlNode *node, const char *name) {
  return overlay_is_own(node) && strcmp((const char *)node->name, name) == 0;
}

/* Copies a value, which is freed; TORC_ERR_NOTFOUND if there is none. White space at both ends is
 * dropped. */
static int take_value(const overlay_run *ps, xmlChar *value, char *out, size_t cap) {
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

int overlay_attribute(const overlay_run *ps, const xmlNode *node, const char *name, char *out,
                      size_t cap) {
  return take_value(ps, ps->xml->xmlGetNoNsProp(node, (const xmlChar *)name), out, cap);
}

int overlay_own_attribute(const overlay_run *ps, const xmlNode *node, const char *name, char *out,
                          size_t cap) {
  return take_value(ps,
                    ps->xml->xmlGetNsProp(node, (const xmlChar *)name,
                                          (const xmlChar *)TORC_OVERLAY_OWN_NAMESPACE),
                    out, cap);
}

/* U+0080 to U+009F steer terminals as well. */
static bool has_control(const char *text) {
  for (const char *c = text; *c != '\0'; c++) {
    uint8_t b = (uint8_t)c[0];
    if (b < 0x20 || b == 0x7f || (b == 0xc2 && (uint8_t)c[1] < 0xa0)) {
      return true;
    }
  }
  return false;
}

int overlay_need_attribute(const overlay_run *ps, const xmlNode *node, const char *name, char *out,
                           size_t cap) {
  int rc = overlay_attribute(ps, node, name, out, cap);
  if (rc == TORC_ERR_NOTFOUND || (rc == 0 && out[0] == '\0')) {
    return torc_fail(TORC_ERR_CONFIG, ps->err, ps->err_cap, "line %ld: %s needs the attribute %s",
                     ps->xml->xmlGetLineNo(node), (const char *)node->name, name);
  }
  if (rc != 0) {
    return torc_fail(TORC_ERR_CONFIG, ps->err, ps->err_cap,
                     "line %ld: the attribute %s of %s is too long", ps->xml->xmlGetLineNo(node),
                     name, (const char *)node->name);
  }
  if (has_control(out)) { /* people read it, in lines and on terminals */
    return torc_fail(TORC_ERR_CONFIG, ps->err, ps->err_cap,
                     "line %ld: the attribute %s of %s has a control character",
                     ps->xml->xmlGetLineNo(node), name, (const char *)node->name);
  }
  return 0;
}

/* The text of an element without any white space. */
int overlay_text(const overlay_run *ps, const xmlNode *node, char *out, size_t cap) {
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
    return overlay_fail_named(ps, node, "too much text in", (const char *)node->name);
  }
  out[len] = '\0';
  return 0;
}

/* Decimal, or hexadecimal with 0x; no sign, no white space. */
int overlay_number(const char *text, uint64_t min, uint64_t max, uint64_t *out) {
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

int overlay_number_fault(const overlay_run *ps, const xmlNode *node, const char *what, uint64_t min,
                         uint64_t max) {
  return torc_fail(TORC_ERR_CONFIG, ps->err, ps->err_cap,
                   "line %ld: %s must be a number from %llu to %llu", ps->xml->xmlGetLineNo(node),
                   what, (unsigned long long)min, (unsigned long long)max);
}

int overlay_text_number(const overlay_run *ps, const xmlNode *node, uint64_t min, uint64_t max,
                        uint64_t *out) {
  char text[32];
  int rc = overlay_text(ps, node, text, sizeof text);
  if (rc != 0) {
    return rc;
  }
  if (overlay_number(text, min, max, out) != 0) {
    return overlay_number_fault(ps, node, (const char *)node->name, min, max);
  }
  return 0;
}

int overlay_attribute_number(const overlay_run *ps, const xmlNode *node, const char *name,
                             uint64_t min, uint64_t max, uint64_t *out) {
  char text[32] = "";
  int rc = overlay_need_attribute(ps, node, name, text, sizeof text);
  if (rc != 0) {
    return rc;
  }
  if (overlay_number(text, min, max, out) != 0) {
    return overlay_number_fault(ps, node, name, min, max);
  }
  return 0;
}

int overlay_text_flag(const overlay_run *ps, const xmlNode *node, bool *out) {
  char text[8];
  int rc = overlay_text(ps, node, text, sizeof text);
  if (rc != 0) {
    return rc;
  }
  if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0) {
    return overlay_fail_named(ps, node, "neither true nor false:", (const char *)node->name);
  }
  *out = text[0] == 't';
  return 0;
}

uint8_t overlay_word(const char *text, const char *const *words, size_t num) {
  for (size_t i = 0; i < num; i++) {
    if (strcmp(text, words[i]) == 0) {
      return (uint8_t)(i + 1);
    }
  }
  return 0;
}

int overlay_check_url(const overlay_run *ps, const xmlNode *node, const char *url) {
  if (strncasecmp(url, "https://", 8) != 0 || url[8] == '\0') {
    return torc_fail(TORC_ERR_CONFIG, ps->err, ps->err_cap,
                     "line %ld: the url of %s must begin with https://",
                     ps->xml->xmlGetLineNo(node), (const char *)node->name);
  }
  for (const char *c = url; *c != '\0'; c++) {
    if (*c <= ' ' || *c >= 0x7f) {
      return overlay_fail_named(ps, node, "a character that no url has, in",
                                (const char *)node->name);
    }
  }
  return 0;
}

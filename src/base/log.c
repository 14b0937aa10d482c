/* Log events as lines of JSON. No printf: this room is also built for the browser, where that alone
 * would cost more than the rest.
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <string.h>

#include "base/id.h"

typedef struct json {
  char *p;
  size_t len, cap;
  bool is_full; /* sticky: something did not fit */
} json;

static void put_bytes(json *o, const char *p, size_t len) {
  if (o->is_full || len > o->cap - o->len) {
    o->is_full = true;
    return;
  }
  memcpy(o->p + o->len, p, len);
  o->len += len;
}

static void put_text(json *o, const char *text) {
  put_bytes(o, text, strlen(text));
}

static void put_u64(json *o, uint64_t v) {
  char digits[20];
  size_t n = sizeof(digits);
  do {
    digits[--n] = (char)('0' + v % 10);
    v /= 10;
  } while (v != 0);
  put_bytes(o, digits + n, sizeof(digits) - n);
}

static void put_i64(json *o, int64_t v) {
  if (v < 0) {
    put_text(o, "-");
    put_u64(o, 0 - (uint64_t)v);
  } else {
    put_u64(o, (uint64_t)v);
  }
}

static void put_hex(json *o, torc_slice s) {
  static const char digits[] = "0123456789abcdef";
  put_text(o, "\"");
  for (size_t i = 0; i < s.len && !o->is_full; i++) {
    char pair[2] = {digits[s.p[i] >> 4], digits[s.p[i] & 15]};
    put_bytes(o, pair, sizeof(pair));
  }
  put_text(o, "\"");
}

/* UTF-8 without control characters, the second block of them (U+0080..U+009F) included. */
static bool is_printable(torc_slice s) {
  if (!torc_utf8_valid(s)) {
    return false;
  }
  for (size_t i = 0; i < s.len; i++) {
    if (s.p[i] < 0x20 || s.p[i] == 0x7f || (s.p[i] == 0xc2 && s.p[i + 1] < 0xa0)) {
      return false;
    }
  }
  return true;
}

/* `s` is UTF-8; control characters are written as \u00xx. */
static void put_quoted(json *o, torc_slice s) {
  static const char digits[] = "0123456789abcdef";
  put_text(o, "\"");
  for (size_t i = 0; i < s.len && !o->is_full; i++) {
    char c = (char)s.p[i];
    if (c == '"' || c == '\\') {
      char pair[2] = {'\\', c};
      put_bytes(o, pair, sizeof(pair));
    } else if (s.p[i] < 0x20 || s.p[i] == 0x7f) {
      char code[6] = {'\\', 'u', '0', '0', digits[s.p[i] >> 4], digits[s.p[i] & 15]};
      put_bytes(o, code, sizeof(code));
    } else {
      put_bytes(o, &c, 1);
    }
  }
  put_text(o, "\"");
}

static void put_str(json *o, const char *text) {
  torc_slice s = torc_slice_str(text);
  if (text == NULL) {
    put_text(o, "null");
  } else if (torc_utf8_valid(s)) {
    put_quoted(o, s);
  } else {
    put_hex(o, s);
  }
}

static void put_value(json *o, const torc_field *f) {
  switch (f->kind) {
    case TORC_FIELD_U64:
      put_u64(o, f->v.u64);
      break;
    case TORC_FIELD_I64:
      put_i64(o, f->v.i64);
      break;
    case TORC_FIELD_STR:
      put_str(o, f->v.str);
      break;
    case TORC_FIELD_ID:
      if (f->v.id == NULL) {
        put_text(o, "null");
      } else {
        put_hex(o, torc_slice_of(f->v.id->b, TORC_ID_LEN));
      }
      break;
    case TORC_FIELD_BYTES:
      if (is_printable(f->v.bytes)) {
        put_quoted(o, f->v.bytes);
      } else {
        put_hex(o, f->v.bytes);
      }
      break;
    case TORC_FIELD_ERR:
      put_str(o, torc_strerror(f->v.err));
      break;
    default:
      put_text(o, "null");
      break;
  }
}

size_t torc_log_json(char *out, size_t cap, torc_time t_us, torc_log_level level, const char *name,
                     const torc_field *fields, size_t num_fields) {
  static const char tail[] = "}\n"; /* with its NUL */
  json o = {.p = out, .len = 0, .cap = cap > sizeof(tail) ? cap - sizeof(tail) : 0};
  put_text(&o, "{\"t_us\":");
  put_u64(&o, t_us);
  put_text(&o, ",\"level\":");
  put_str(&o, torc_log_level_name(level));
  put_text(&o, ",\"event\":");
  put_str(&o, name);
  if (o.is_full) {
    if (cap != 0) {
      out[0] = '\0';
    }
    return 0;
  }
  for (size_t i = 0; i < num_fields; i++) {
    size_t mark = o.len;
    put_text(&o, ",");
    put_str(&o, fields[i].key);
    put_text(&o, ":");
    put_value(&o, &fields[i]);
    if (o.is_full) {
      o.len = mark;
      break;
    }
  }
  memcpy(out + o.len, tail, sizeof(tail));
  return o.len + sizeof(tail) - 1;
}

static const char *const level_names[] = {"none", "error", "warn", "info", "debug", "trace"};

const char *torc_log_level_name(torc_log_level level) {
  size_t i = (size_t)level;
  return i < TORC_ARRAY_LEN(level_names) ? level_names[i] : "unknown";
}

int torc_log_level_parse(const char *text, torc_log_level *out) {
  for (size_t i = TORC_LOG_ERROR; i < TORC_ARRAY_LEN(level_names); i++) {
    if (text != NULL && strcmp(text, level_names[i]) == 0) {
      *out = (torc_log_level)i;
      return 0;
    }
  }
  return TORC_ERR_FORMAT;
}

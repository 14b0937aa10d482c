/* OpaqueString, RFC 8265 4.2 over RFC 8264 4.3 and 8 [ICE-07]. The tables are libunistring's,
 * opened when somebody has a name or password beyond ASCII (D-42). SPDX-License-Identifier:
 * Apache-2.0 */
#include <stdlib.h>
#include <string.h>
#include <unictype.h>
#include <uninorm.h>
#include <unistr.h>

#include "base/slice.h"
#include "io/late_lib.h"
#include "io/stun_crypto.h"

/* What is used of libunistring; the last is an object. */
#define FUNCTIONS(X)                             \
  X(u8_to_u32)                                   \
  X(u32_to_u8)                                   \
  X(u32_normalize)                               \
  X(uc_is_general_category_withtable)            \
  X(uc_is_property_default_ignorable_code_point) \
  X(uc_is_property_not_a_character)              \
  X(uc_combining_class)                          \
  X(uc_joining_type)                             \
  X(uc_script)

typedef struct uni_lib {
#define X(name) __typeof__(name) *(name);
  FUNCTIONS(X)
#undef X
  uninorm_t uninorm_nfc;
} uni_lib;

static const torc_late_symbol symbols[] = {
#define X(name) {#name, offsetof(uni_lib, name)},
    FUNCTIONS(X)
#undef X
        {"uninorm_nfc", offsetof(uni_lib, uninorm_nfc)},
};

typedef struct text {
  const uni_lib *lib;
  uint32_t c[TORC_OPAQUE_MAX];
  size_t len;
} text;

/* Letters and digits, other letters and digits, spaces, symbols, punctuation: all that has a
 * compatibility mapping is among them. */
#define FREEFORM                                                                       \
  (UC_CATEGORY_MASK_L | UC_CATEGORY_MASK_M | UC_CATEGORY_MASK_N | UC_CATEGORY_MASK_P | \
   UC_CATEGORY_MASK_S | UC_CATEGORY_MASK_Zs)

static bool in_script(const text *t, size_t i, const char *name) {
  const uc_script_t *script = t->lib->uc_script(t->c[i]);
  return script != NULL && strcmp(script->name, name) == 0;
}

static bool any_between(const text *t, uint32_t low, uint32_t high) {
  for (size_t i = 0; i < t->len; i++) {
    if (t->c[i] >= low && t->c[i] <= high) {
      return true;
    }
  }
  return false;
}

static bool any_japanese(const text *t) {
  for (size_t i = 0; i < t->len; i++) {
    if (in_script(t, i, "Hiragana") || in_script(t, i, "Katakana") || in_script(t, i, "Han")) {
      return true;
    }
  }
  return false;
}

static bool is_joined_by(int type, int one, int other) {
  return type == one || type == other || type == UC_JOINING_TYPE_D;
}

/* RFC 5892 A.1: between letters that join over it. */
static bool non_joiner_ok(const text *t, size_t i) {
  size_t before = i;
  size_t after = i + 1;
  while (before > 0 && t->lib->uc_joining_type(t->c[before - 1]) == UC_JOINING_TYPE_T) {
    before--;
  }
  while (after < t->len && t->lib->uc_joining_type(t->c[after]) == UC_JOINING_TYPE_T) {
    after++;
  }
  return before > 0 && after < t->len &&
         is_joined_by(t->lib->uc_joining_type(t->c[before - 1]), UC_JOINING_TYPE_L,
                      UC_JOINING_TYPE_L) &&
         is_joined_by(t->lib->uc_joining_type(t->c[after]), UC_JOINING_TYPE_R, UC_JOINING_TYPE_R);
}

/* RFC 5892 appendix A: code points that are allowed in some places only. */
static bool context_ok(const text *t, size_t i) {
  bool has_before = i > 0;
  bool has_after = i + 1 < t->len;
  uint32_t c = t->c[i];
  if (c == 0x200c || c == 0x200d) { /* behind a virama */
    bool is_virama = has_before && t->lib->uc_combining_class(t->c[i - 1]) == UC_CCC_VR;
    return is_virama || (c == 0x200c && non_joiner_ok(t, i));
  }
  if (c == 0x00b7) { /* Catalan l.l */
    return has_before && has_after && t->c[i - 1] == 'l' && t->c[i + 1] == 'l';
  }
  if (c == 0x0375) {
    return has_after && in_script(t, i + 1, "Greek");
  }
  if (c == 0x05f3 || c == 0x05f4) {
    return has_before && in_script(t, i - 1, "Hebrew");
  }
  if (c == 0x30fb) {
    return any_japanese(t);
  }
  /* Two kinds of Arabic digits, not mixed. */
  return c <= 0x0669 ? !any_between(t, 0x06f0, 0x06f9) : !any_between(t, 0x0660, 0x0669);
}

static bool is_contextual(uint32_t c) {
  return c == 0x200c || c == 0x200d || c == 0x00b7 || c == 0x0375 || c == 0x05f3 || c == 0x05f4 ||
         c == 0x30fb || (c >= 0x0660 && c <= 0x0669) || (c >= 0x06f0 && c <= 0x06f9);
}

/* RFC 5892 2.6, as RFC 8264 9.6 has it: disallowed whatever their category. */
static bool is_excepted(uint32_t c) {
  return c == 0x0640 || c == 0x07fa || c == 0x302e || c == 0x302f || (c >= 0x3031 && c <= 0x3035) ||
         c == 0x303b;
}

static bool is_old_hangul_jamo(uint32_t c) {
  return (c >= 0x1100 && c <= 0x11ff) || (c >= 0xa960 && c <= 0xa97c) ||
         (c >= 0xd7b0 && c <= 0xd7c6) || (c >= 0xd7cb && c <= 0xd7fb);
}

/* RFC 8264 8, in its order. */
static bool is_allowed(const text *t, size_t i) {
  uint32_t c = t->c[i];
  if (is_excepted(c)) {
    return false;
  }
  if (is_contextual(c)) {
    return context_ok(t, i);
  }
  if (c < 0x80) {
    return c >= 0x20 && c != 0x7f;
  }
  return !is_old_hangul_jamo(c) && !t->lib->uc_is_property_default_ignorable_code_point(c) &&
         !t->lib->uc_is_property_not_a_character(c) &&
         t->lib->uc_is_general_category_withtable(c, FREEFORM);
}

static void map_spaces(text *t) {
  for (size_t i = 0; i < t->len; i++) {
    if (t->lib->uc_is_general_category_withtable(t->c[i], UC_CATEGORY_MASK_Zs)) {
      t->c[i] = ' ';
    }
  }
}

static int check(const text *t) {
  for (size_t i = 0; i < t->len; i++) {
    if (!is_allowed(t, i)) {
      return TORC_ERR_FORMAT;
    }
  }
  return t->len != 0 ? 0 : TORC_ERR_FORMAT;
}

/* Into the text itself; the library allocates when its buffer is too small, which is refused. */
static int normalize(text *t) {
  uint32_t room[TORC_OPAQUE_MAX];
  size_t len = TORC_OPAQUE_MAX;
  uint32_t *got = t->lib->u32_normalize(t->lib->uninorm_nfc, t->c, t->len, room, &len);
  if (got == NULL) {
    return TORC_ERR_NOMEM;
  }
  if (got != room) {
    torc_wipe(got, len * sizeof *got);
    free(got);
    return TORC_ERR_LIMIT;
  }
  memcpy(t->c, room, len * sizeof room[0]);
  torc_wipe(room, sizeof room);
  t->len = len;
  return 0;
}

static int give(const text *t, uint8_t *out, size_t cap, size_t *len) {
  uint8_t room[4 * TORC_OPAQUE_MAX];
  size_t num = sizeof room;
  uint8_t *got = t->lib->u32_to_u8(t->c, t->len, room, &num);
  int rc = 0;
  if (got != room) { /* never: four bytes each are enough */
    free(got);
    rc = TORC_ERR_NOMEM;
  } else if (num > cap) {
    rc = TORC_ERR_SPACE;
  } else {
    memcpy(out, room, num);
    *len = num;
  }
  torc_wipe(room, sizeof room);
  return rc;
}

int torc_opaque_string(torc_slice in, uint8_t *out, size_t cap, size_t *len) {
  uni_lib lib;
  text t = {.lib = &lib, .len = TORC_OPAQUE_MAX};
  int rc;
  if (in.len > TORC_OPAQUE_MAX) {
    return TORC_ERR_LIMIT;
  }
  if (in.len == 0 || !torc_utf8_valid(in)) {
    return TORC_ERR_FORMAT;
  }
  rc = torc_late_lib_open(TORC_SONAME_UNISTRING, symbols, TORC_ARRAY_LEN(symbols), &lib, NULL, 0);
  if (rc != 0) {
    return rc;
  }
  if (lib.u8_to_u32(in.p, in.len, t.c, &t.len) != t.c) { /* never: valid, and no longer */
    return TORC_ERR_FORMAT;
  }
  rc = check(&t);
  if (rc == 0) {
    map_spaces(&t);
    rc = normalize(&t);
  }
  if (rc == 0) {
    rc = check(&t);
  }
  if (rc == 0) {
    rc = give(&t, out, cap, len);
  }
  torc_wipe(t.c, sizeof t.c);
  return rc;
}

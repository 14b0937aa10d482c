/* Reading of vector files and printing of fields.
 * SPDX-License-Identifier: Apache-2.0 */
#include "wire/helper_vectors.h"

#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32.h"
#include "base/slice.h"

#define SHOWN_BYTES 256u /* longer values are printed as length and CRC */

static void die(const char *path, int line, const char *what) {
  fprintf(stderr, "%s:%d: %s\n", path, line, what);
  exit(2);
}

static void *must(void *p) {
  if (p == NULL) {
    fprintf(stderr, "out of memory\n");
    exit(2);
  }
  return p;
}

void vec_text_clear(vec_text *t) {
  t->len = 0;
  if (t->cap != 0) {
    t->p[0] = '\0';
  }
}

void vec_text_free(vec_text *t) {
  free(t->p);
  *t = (vec_text){0};
}

void vec_add(vec_text *t, const char *format, ...) {
  char piece[1024];
  va_list args;
  int len;
  va_start(args, format);
  /* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): it is initialised one line above */
  len = vsnprintf(piece, sizeof(piece), format, args);
  va_end(args);
  if (len < 0 || (size_t)len >= sizeof(piece)) {
    fprintf(stderr, "a piece of more than %zu characters\n", sizeof(piece));
    exit(2);
  }
  if (t->len + (size_t)len + 1 > t->cap) {
    t->cap = 2 * (t->len + (size_t)len + 1);
    t->p = must(realloc(t->p, t->cap));
  }
  memcpy(t->p + t->len, piece, (size_t)len + 1);
  t->len += (size_t)len;
}

void vec_add_word(vec_text *t, const char *prefix, const char *name, const char *word) {
  vec_add(t, "%s%s = %s\n", prefix, name, word);
}

void vec_add_number(vec_text *t, const char *prefix, const char *name, uint64_t v) {
  vec_add(t, "%s%s = %llu\n", prefix, name, (unsigned long long)v);
}

static void add_hex_digits(vec_text *t, torc_slice bytes) {
  for (size_t i = 0; i < bytes.len; i++) {
    vec_add(t, "%02x", bytes.p[i]);
  }
}

void vec_add_hex(vec_text *t, const char *prefix, const char *name, torc_slice bytes) {
  vec_add(t, "%s%s = ", prefix, name);
  if (bytes.len == 0) {
    vec_add(t, "-");
  } else if (bytes.len > SHOWN_BYTES) {
    vec_add(t, "%zu bytes crc32 0x%08x", bytes.len, torc_crc32(bytes));
  } else {
    add_hex_digits(t, bytes);
  }
  vec_add(t, "\n");
}

void vec_add_string(vec_text *t, const char *prefix, const char *name, torc_slice text) {
  if (text.len > SHOWN_BYTES) {
    vec_add_hex(t, prefix, name, text);
    return;
  }
  vec_add(t, "%s%s = \"%.*s\"\n", prefix, name, (int)text.len,
          text.p != NULL ? (const char *)text.p : "");
}

void vec_add_ids(vec_text *t, const char *prefix, const char *name, torc_slice ids) {
  if (ids.len == 0 || ids.len > SHOWN_BYTES) {
    vec_add_hex(t, prefix, name, ids);
    return;
  }
  vec_add(t, "%s%s =", prefix, name);
  for (size_t i = 0; i < ids.len; i += TORC_ID_LEN) {
    vec_add(t, " ");
    add_hex_digits(t, torc_slice_sub(ids, i, TORC_ID_LEN));
  }
  vec_add(t, "\n");
}

static void push_byte(vec *v, uint8_t byte) {
  if (v->len == v->cap) {
    v->cap = v->cap == 0 ? 64 : 2 * v->cap;
    v->bytes = must(realloc(v->bytes, v->cap));
  }
  v->bytes[v->len++] = byte;
}

static int hex_value(char c) {
  const char *digits = "0123456789abcdef";
  const char *at = c != '\0' ? strchr(digits, c) : NULL;
  return at != NULL ? (int)(at - digits) : -1;
}

static void read_hex(vec *v, const char *text, const char *path, int line) {
  int high = -1;
  for (; *text != '\0' && *text != '#'; text++) {
    int digit;
    if (*text == ' ') {
      continue;
    }
    digit = hex_value(*text);
    if (digit < 0) {
      die(path, line, "not a hex digit");
    }
    if (high < 0) {
      high = digit;
    } else {
      push_byte(v, (uint8_t)(high * 16 + digit));
      high = -1;
    }
  }
  if (high >= 0) {
    die(path, line, "half a byte");
  }
}

static void read_fill(vec *v, const char *text, const char *path, int line) {
  char *end;
  unsigned long count = strtoul(text, &end, 10);
  unsigned long byte = strtoul(end, NULL, 16);
  if (count == 0 || count > 100000 || *end != ' ' || byte > 255) {
    die(path, line, "fill COUNT BYTE");
  }
  for (unsigned long i = 0; i < count; i++) {
    push_byte(v, (uint8_t)byte);
  }
}

static void read_given(vec *v, char *text, const char *path, int line) {
  char *space = strchr(text, ' ');
  if (space == NULL || v->num_given == VECTOR_MAX_GIVEN) {
    die(path, line, "given KEY VALUE");
    return;
  }
  *space = '\0';
  v->given[v->num_given].key = must(strdup(text));
  v->given[v->num_given].value = must(strdup(space + 1));
  v->num_given++;
}

static vec *push_vector(vec_list *list, const char *name, const char *path, int line) {
  vec *v;
  list->items = must(realloc(list->items, (list->len + 1) * sizeof(*list->items)));
  v = &list->items[list->len++];
  *v = (vec){.name = must(strdup(name)), .file = must(strdup(path)), .line = line};
  return v;
}

/* One line of a vector after its first. */
static void read_line(vec *v, char *text, const char *path, int line) {
  char *rest = strchr(text, ' ');
  if (rest == NULL) {
    die(path, line, "a word alone");
    return;
  }
  *rest++ = '\0';
  if (strcmp(text, "pdu") == 0) {
    v->pdu = must(strdup(rest));
  } else if (strcmp(text, "given") == 0) {
    read_given(v, rest, path, line);
  } else if (strcmp(text, "hex") == 0) {
    read_hex(v, rest, path, line);
  } else if (strcmp(text, "fill") == 0) {
    read_fill(v, rest, path, line);
  } else if (strcmp(text, "text") == 0) {
    for (; *rest != '\0'; rest++) {
      push_byte(v, (uint8_t)*rest);
    }
  } else if (strcmp(text, "result") == 0) {
    v->result = must(strdup(rest));
  } else if (strcmp(text, "reencodes") == 0 && strcmp(rest, "otherwise") == 0) {
    v->is_reencoded_otherwise = true;
  } else if (rest[0] == '=' && rest[1] == ' ') {
    vec_add(&v->fields, "%s %s\n", text, rest);
  } else {
    die(path, line, "unknown word");
  }
}

static void check_complete(const vec *v) {
  if (v->pdu == NULL || v->result == NULL) {
    die(v->file, v->line, "no pdu or no result");
  }
}

void vec_load(vec_list *list, const char *path) {
  FILE *f = fopen(path, "r");
  char *buf = NULL;
  size_t cap = 0;
  vec *v = NULL;
  if (f == NULL) {
    die(path, 0, "cannot be opened");
    return;
  }
  for (int line = 1; getline(&buf, &cap, f) >= 0; line++) {
    char *text = buf + strspn(buf, " ");
    size_t len = strcspn(text, "\n");
    text[len] = '\0';
    if (len == 0 || text[0] == '#') {
      continue;
    }
    if (strncmp(text, "vector ", 7) == 0) {
      if (v != NULL) {
        check_complete(v);
      }
      v = push_vector(list, text + 7, path, line);
    } else if (v == NULL) {
      die(path, line, "before the first vector");
    } else {
      read_line(v, text, path, line);
    }
  }
  if (v != NULL) {
    check_complete(v);
  }
  free(buf);
  fclose(f);
}

static int only_txt(const struct dirent *entry) {
  const char *dot = strrchr(entry->d_name, '.');
  return dot != NULL && strcmp(dot, ".txt") == 0;
}

void vec_load_dir(vec_list *list, const char *dir) {
  struct dirent **entries = NULL;
  int num = scandir(dir, &entries, only_txt, alphasort);
  if (num <= 0) {
    die(dir, 0, "no vectors");
  }
  for (int i = 0; i < num; i++) {
    vec_text path = {0};
    vec_add(&path, "%s/%s", dir, entries[i]->d_name);
    vec_load(list, path.p);
    vec_text_free(&path);
    free(entries[i]);
  }
  free(entries);
}

void vec_free(vec_list *list) {
  for (size_t i = 0; i < list->len; i++) {
    vec *v = &list->items[i];
    for (size_t k = 0; k < v->num_given; k++) {
      free(v->given[k].key);
      free(v->given[k].value);
    }
    free(v->name);
    free(v->pdu);
    free(v->file);
    free(v->bytes);
    free(v->result);
    vec_text_free(&v->fields);
  }
  free(list->items);
  *list = (vec_list){0};
}

const char *vec_given(const vec *v, const char *key) {
  for (size_t i = 0; i < v->num_given; i++) {
    if (strcmp(v->given[i].key, key) == 0) {
      return v->given[i].value;
    }
  }
  return NULL;
}

const vec_kind *vec_kind_find(const char *pdu) {
  const vec_kind *const tables[] = {vec_message_kinds, vec_pdu_kinds, vec_storage_kinds};
  for (size_t t = 0; t < TORC_ARRAY_LEN(tables); t++) {
    for (const vec_kind *k = tables[t]; k->pdu != NULL; k++) {
      if (strcmp(k->pdu, pdu) == 0) {
        return k;
      }
    }
  }
  return NULL;
}

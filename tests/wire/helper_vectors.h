/* Vectors of tests/vectors (format: tests/vectors/README.md), and for each kind of structure how to
 * print what was decoded and how to encode it again.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_TEST_HELPER_VECTORS_H
#define TORC_TEST_HELPER_VECTORS_H

#include <stdbool.h>

#include "base/cursor.h"
#include "torc/types.h"

#define VECTOR_MAX_GIVEN 8

typedef struct vec_text { /* lines of "field = value" */
  char *p;
  size_t len, cap;
} vec_text;

typedef struct vec {
  char *name;
  char *pdu;
  char *file;
  int line;
  uint8_t *bytes;
  size_t len, cap;
  struct {
    char *key, *value;
  } given[VECTOR_MAX_GIVEN];
  size_t num_given;
  char *result;
  bool is_reencoded_otherwise;
  vec_text fields;
} vec;

typedef struct vec_list {
  vec *items;
  size_t len;
} vec_list;

/* Reads one file, appending to `list`. Aborts the program with a message on a bad line. */
void vec_load(vec_list *list, const char *path);
/* Reads every *.txt of a directory, in order of their names. */
void vec_load_dir(vec_list *list, const char *dir);
void vec_free(vec_list *list);
/* NULL if the vector has no such "given" line. */
const char *vec_given(const vec *v, const char *key);

void vec_text_clear(vec_text *t);
void vec_text_free(vec_text *t);
/* Appends a formatted piece. */
void vec_add(vec_text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Appends "name = value\n". Long values are shortened to "N bytes crc32 0x..." . */
void vec_add_number(vec_text *t, const char *prefix, const char *name, uint64_t v);
void vec_add_hex(vec_text *t, const char *prefix, const char *name, torc_slice bytes);
void vec_add_string(vec_text *t, const char *prefix, const char *name, torc_slice text);
void vec_add_ids(vec_text *t, const char *prefix, const char *name, torc_slice ids);
void vec_add_word(vec_text *t, const char *prefix, const char *name, const char *word);

/* Decodes `in` as v->pdu. On success the fields are in `out` and the structure, encoded again, is
 * in `again`; *encode_rc is the result of that. Returns the result of decoding. */
typedef int (*vec_fn)(const vec *v, torc_slice in, vec_text *out, torc_wr *again, int *encode_rc);

typedef struct vec_kind {
  const char *pdu;
  vec_fn run;
  bool is_canonical; /* whatever is accepted is encoded again to the same bytes */
} vec_kind;

/* NULL if there is none. */
const vec_kind *vec_kind_find(const char *pdu);
extern const vec_kind vec_message_kinds[]; /* helper_kinds_message.c; ends with pdu NULL */
extern const vec_kind vec_pdu_kinds[];     /* helper_kinds_pdu.c */
extern const vec_kind vec_storage_kinds[]; /* helper_kinds_storage.c */

struct torc_signature;
struct torc_addr;
void vec_add_signature(vec_text *t, const char *prefix, const struct torc_signature *s);
void vec_add_addr(vec_text *t, const char *prefix, const char *name, const struct torc_addr *a);

#endif

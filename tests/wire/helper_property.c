/* The property of every codec, on the decoders and encoders of helper_vectors.h.
 * SPDX-License-Identifier: Apache-2.0 */
#include "wire/helper_property.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/slice.h"
#include "wire/helper_vectors.h"

#define TARGET(name_, ...) {#name_, {__VA_ARGS__}},
const property_target property_targets[] = {
#include "fuzz/targets.def"
    {NULL, {NULL}},
};

#define AGAIN_CAP (1u << 18)

const property_target *property_find(const char *target) {
  for (const property_target *t = property_targets; t->name != NULL; t++) {
    if (strcmp(t->name, target) == 0) {
      return t;
    }
  }
  return NULL;
}

size_t property_num_kinds(const property_target *target) {
  size_t num = 0;
  while (num < PROPERTY_MAX_KINDS && target->kinds[num] != NULL) {
    num++;
  }
  return num;
}

static void must(bool holds, const char *kind, const char *what) {
  if (!holds) {
    fprintf(stderr, "%s: %s\n", kind, what);
    abort();
  }
}

static int run(const vec_kind *kind, const vec *v, torc_slice in, vec_text *fields, uint8_t *buf,
               torc_slice *encoded) {
  torc_wr wr;
  int encode_rc = 0;
  int rc;
  vec_text_clear(fields);
  torc_wr_init(&wr, buf, AGAIN_CAP);
  rc = kind->run(v, in, fields, &wr, &encode_rc);
  must(rc != 0 || (encode_rc == 0 && wr.err == 0), kind->pdu, "decoded, but cannot be encoded");
  *encoded = torc_wr_slice(&wr);
  return rc;
}

static void check(const vec_kind *kind, const vec *v, torc_slice in) {
  static uint8_t bufs[2][AGAIN_CAP];
  static vec_text fields[2]; /* kept between calls: their memory is used again */
  torc_slice once = {0};
  torc_slice twice = {0};
  if (run(kind, v, in, &fields[0], bufs[0], &once) != 0) {
    return;
  }
  must(!kind->is_canonical || torc_slice_eq(once, in), kind->pdu, "encoded to other bytes");
  must(run(kind, v, once, &fields[1], bufs[1], &twice) == 0, kind->pdu,
       "encoding cannot be decoded");
  must(torc_slice_eq(once, twice), kind->pdu, "second encoding differs");
  must(fields[0].len == fields[1].len &&
           (fields[0].len == 0 || memcmp(fields[0].p, fields[1].p, fields[0].len) == 0),
       kind->pdu, "second decoding has other fields");
}

void property_check(const char *target, const uint8_t *data, size_t len) {
  const property_target *t = property_find(target);
  size_t num_kinds = t != NULL ? property_num_kinds(t) : 0;
  char pdu[32];
  char model_key[] = "model";
  char *space;
  vec v = {0};
  must(num_kinds != 0, target, "no such target");
  if (num_kinds == 0 || len == 0) {
    return;
  }
  snprintf(pdu, sizeof(pdu), "%s", t->kinds[data[0] % num_kinds]);
  space = strchr(pdu, ' ');
  if (space != NULL) {
    *space = '\0';
    v.given[0].key = model_key;
    v.given[0].value = space + 1;
    v.num_given = 1;
  }
  v.pdu = pdu;
  must(vec_kind_find(pdu) != NULL, pdu, "no such kind");
  check(vec_kind_find(pdu), &v, torc_slice_of(data + 1, len - 1));
}

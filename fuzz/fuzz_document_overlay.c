/* libFuzzer target of the reader of overlay documents: what is read is packed, unpacked and
 * written, and read again, and stays the same. SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "authority/document.h"
#include "authority/files.h"
#include "base/slice.h"
#include "io/overlay_sign.h"

#define CHECK(what)                                 \
  do {                                              \
    if (!(what)) {                                  \
      (void)fprintf(stderr, "not so: %s\n", #what); \
      abort();                                      \
    }                                               \
  } while (0)

static size_t pack(const torc_overlay *o, uint8_t *room, size_t cap) {
  torc_wr wr;
  torc_wr_init(&wr, room, cap);
  torc_overlay_put(&wr, o);
  CHECK(wr.err == 0);
  return wr.len;
}

/* The writer gives what the reader takes for the same, but for the signature. */
static void check_written(torc_overlay *o, uint8_t *room, uint8_t *again) {
  uint8_t *xml = NULL;
  size_t len = 0;
  torc_overlay back;
  o->signer = TORC_OVERLAY_NO_SIGNER;
  o->signed_at = 0;
  int rc = torc_document_write(o, &xml, &len);
  if (rc == TORC_ERR_INVALID) { /* a host or name that XML cannot hold */
    return;
  }
  CHECK(rc == 0);
  rc = torc_overlay_parse(&back, (const char *)xml, len, NULL, NULL, 0);
  CHECK(rc == 0);
  size_t num = pack(o, room, TORC_OVERLAY_PACKED_MAX);
  CHECK(pack(&back, again, TORC_OVERLAY_PACKED_MAX) == num && memcmp(room, again, num) == 0);
  torc_overlay_clear(&back);
  torc_file_free(xml, len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
  static uint8_t room[TORC_OVERLAY_PACKED_MAX];
  static uint8_t again[TORC_OVERLAY_PACKED_MAX];
  torc_overlay o;
  torc_overlay back;
  char err[400] = "";
  if (torc_overlay_parse(&o, (const char *)data, len, NULL, err, sizeof err) != 0) {
    CHECK(err[0] != '\0' && strchr(err, '\n') == NULL);
    return 0;
  }
  size_t num = pack(&o, room, sizeof room);
  int rc = torc_overlay_get(&back, torc_slice_of(room, num));
  CHECK(rc == 0);
  CHECK(pack(&back, again, sizeof again) == num && memcmp(room, again, num) == 0);
  torc_overlay_clear(&back);
  check_written(&o, room, again);
  torc_overlay_clear(&o);
  return 0;
}

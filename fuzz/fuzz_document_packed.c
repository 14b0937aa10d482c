/* libFuzzer target of what the process that reads documents may answer.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/slice.h"
#include "io/config_helper.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
  static uint8_t room[TORC_OVERLAY_PACKED_MAX];
  torc_config_answer answer;
  torc_wr wr;
  char err[400] = "";
  if (torc_config_answer_get(&answer, torc_slice_of(data, len), err, sizeof err) == 0) {
    torc_wr_init(&wr, room, sizeof room);
    torc_overlay_put(&wr, &answer.overlay);
    if (wr.err == 0 && (wr.len + 6 != len || memcmp(room, data + 6, wr.len) != 0)) {
      abort(); /* every byte means something */
    }
  }
  torc_overlay_clear(&answer.overlay);
  return 0;
}

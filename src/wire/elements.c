/* Boundaries of stored_data elements, which need no data model to be found.
 * SPDX-License-Identifier: Apache-2.0 */
#include "wire/elements.h"

#include "base/cursor.h"

bool torc_elements_are_delimited(torc_slice values) {
  torc_rd rd;
  torc_rd_init(&rd, values);
  while (torc_rd_left(&rd) != 0) {
    uint32_t length = torc_rd_u32(&rd); /* [GAP-05] */
    torc_rd_skip(&rd, length);
  }
  return rd.err == 0;
}

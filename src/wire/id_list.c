/* Lists of peer-ids in UPDATE and in stored routes.
 * SPDX-License-Identifier: Apache-2.0 */
#include "wire/id_list.h"

#include "base/id.h"

bool torc_id_list_is_sound(torc_slice list) {
  if (list.len % TORC_ID_LEN != 0) {
    return false;
  }
  for (size_t i = 0; i < list.len; i += TORC_ID_LEN) {
    torc_id id = torc_id_from_bytes(list.p + i);
    if (!torc_id_is_peer(&id)) {
      return false;
    }
  }
  return true;
}

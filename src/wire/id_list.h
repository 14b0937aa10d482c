/* A list of ids that must all be possible peer-ids.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_WIRE_ID_LIST_H
#define TORC_WIRE_ID_LIST_H

#include "torc/types.h"

/* True iff `list` is a multiple of 16 bytes [GAP-01] and holds neither 0 nor all ones. */
bool torc_id_list_is_sound(torc_slice list);

#endif

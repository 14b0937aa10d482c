/* The name chord-<bits>-<replicas>-<fingers> [CHD-01] [D-12].
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_OVERLAY_CHORD_NAME_H
#define TORC_OVERLAY_CHORD_NAME_H

#include "torc/types.h"

typedef struct torc_chord_name {
  unsigned num_replicas, num_fingers;
} torc_chord_name;

/* NULL and *out, or what is wrong with the name: an English sentence, static. */
const char *torc_chord_name_parse(const char *name, torc_chord_name *out);

#endif

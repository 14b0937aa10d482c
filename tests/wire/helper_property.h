/* The property that every codec must have, for the fuzz targets and for the test that replays what
 * they found: what is accepted can be encoded, the encoding decodes to the same fields and encodes
 * to itself, and where a structure has one form only, it is the bytes that came in.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_TEST_HELPER_PROPERTY_H
#define TORC_TEST_HELPER_PROPERTY_H

#include <stddef.h>
#include <stdint.h>

#define PROPERTY_MAX_KINDS 4

typedef struct property_target {
  const char *name;
  const char *kinds[PROPERTY_MAX_KINDS]; /* "pdu" or "pdu model"; NULL after the last */
} property_target;

extern const property_target property_targets[]; /* fuzz/targets.def; ends with name NULL */

/* NULL if there is none of that name. */
const property_target *property_find(const char *target);
size_t property_num_kinds(const property_target *target);
/* Tries one input; aborts the program with a message if the property does not hold. */
void property_check(const char *target, const uint8_t *data, size_t len);

/* What libFuzzer calls. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#endif

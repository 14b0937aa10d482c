/* The type-ids of one request, to find one named twice [STO-05] [REM-05] [FND-03].
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_WIRE_TYPE_SET_H
#define TORC_WIRE_TYPE_SET_H

#include "wire/storage_pdu.h"

/* The smallest element with a type-id is 11 bytes: type and generation of a single value. So this
 * is no limit of its own, but what a vector of 65000 bytes can hold. */
#define TORC_TYPE_SET_MAX (TORC_VEC16_MAX / 11u)

/* Lies on the stack of a decoder. Sorted once at the end: a message made of thousands of types
 * costs n log n, not n squared. */
typedef struct torc_type_set {
  torc_type_id ids[TORC_TYPE_SET_MAX];
  size_t num;
} torc_type_set;

void torc_type_set_init(torc_type_set *set);
/* TORC_ERR_LIMIT beyond TORC_TYPE_SET_MAX. */
int torc_type_set_add(torc_type_set *set, torc_type_id type) TORC_MUST_CHECK;
/* True iff an id was added twice. Changes the order of the ids. */
bool torc_type_set_has_twice(torc_type_set *set);

#endif

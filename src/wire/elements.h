/* A vector of elements that each begin with a 4-byte length, of whatever model.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_WIRE_ELEMENTS_H
#define TORC_WIRE_ELEMENTS_H

#include "torc/types.h"

/* True iff `values` ends where an element ends [GAP-01]. An empty vector does. */
bool torc_elements_are_delimited(torc_slice values);

#endif

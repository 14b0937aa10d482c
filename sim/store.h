/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_SIM_STORE_H
#define TORC_SIM_STORE_H

#include "impl.h"

struct sim_store {
  torc_backend table; /* the node has a pointer to it: a hostile node's is changed in place */
  torc_memory_backend *memory;
};

#endif

/* What helper_node.c expects; abort() in a fuzz target. SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_HELPER_NODE_CHECK_H
#define TORC_HELPER_NODE_CHECK_H

#ifdef NT_NO_CMOCKA
#include <stdio.h>
#include <stdlib.h>

#define CHECK(cond)                                                            \
  do {                                                                         \
    if (!(cond)) {                                                             \
      fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #cond); \
      abort();                                                                 \
    }                                                                          \
  } while (0)
#else
#include "torc_test.h"
#define CHECK(cond) assert_true(cond)
#endif

#endif

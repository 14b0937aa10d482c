/* The one-node harness of the tests, whose failed expectations abort here.
 * SPDX-License-Identifier: Apache-2.0 */
#define NT_NO_CMOCKA
#include "overlay/helper_node.c"

/* The messages of that harness. SPDX-License-Identifier: Apache-2.0 */
#define NT_NO_CMOCKA
#include "overlay/helper_node_message.c"

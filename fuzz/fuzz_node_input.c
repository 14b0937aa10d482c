/* libFuzzer target of the node's state machines: see node_script.h.
 * SPDX-License-Identifier: Apache-2.0 */
#include "fuzz/node_script.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
  node_script_run(data, len);
  return 0;
}

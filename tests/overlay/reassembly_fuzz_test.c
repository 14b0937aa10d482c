/* What the fuzz target of reassembly asserts, over its seeds and changes of them.
 * SPDX-License-Identifier: Apache-2.0 */
#include "fuzz/fuzz_node_reassembly.c" /* NOLINT(bugprone-suspicious-include): the target as it is */

#include "ice/replay_fuzz.h"

int main(void) {
  const struct CMUnitTest tests[] = {
      TORC_TEST("FRG-05 FRG-06 GAP-45 seeds of the fuzzer", test_seeds),
      TORC_TEST("FRG-05 FRG-06 GAP-45 inputs that once failed", test_regressions),
      TORC_TEST("FRG-05 FRG-06 GAP-45 seeds changed by chance", test_changed),
  };
  replay_dir = "node_reassembly";
  return TORC_RUN(tests);
}

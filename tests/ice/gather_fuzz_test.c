/* What the fuzz target of gathering asserts, over its seeds and changes of them.
 * SPDX-License-Identifier: Apache-2.0 */
#include "fuzz/fuzz_ice_gather.c" /* NOLINT(bugprone-suspicious-include): the target as it is */

#include "fuzz/ice_toy.c" /* NOLINT(bugprone-suspicious-include) */
#include "ice/replay_fuzz.h"

int main(void) {
  const struct CMUnitTest tests[] = {
      TORC_TEST("ICE-18 GAP-75 seeds of the fuzzer", test_seeds),
      TORC_TEST("ICE-18 GAP-75 inputs that once failed", test_regressions),
      TORC_TEST("ICE-18 GAP-75 seeds changed by chance", test_changed),
  };
  replay_dir = "ice_gather";
  return TORC_RUN(tests);
}

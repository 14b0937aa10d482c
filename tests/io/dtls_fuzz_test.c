/* What the fuzz target of DTLS asserts, over its seeds and changes of them.
 * SPDX-License-Identifier: Apache-2.0 */
#include "fuzz/fuzz_io_dtls.c" /* NOLINT(bugprone-suspicious-include): the target as it is */

#include "ice/replay_fuzz.h"

int main(void) {
  const struct CMUnitTest tests[] = {
      TORC_TEST("TLS-02 seeds of the fuzzer", test_seeds),
      TORC_TEST("TLS-02 inputs that once failed", test_regressions),
      TORC_TEST("TLS-02 seeds changed by chance", test_changed),
  };
  replay_dir = "io_dtls";
  return TORC_RUN(tests);
}

/* libFuzzer target of the line TARGET(fetch_request, ...) in targets.def.
 * SPDX-License-Identifier: Apache-2.0 */
#include "wire/helper_property.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
  property_check("fetch_request", data, len);
  return 0;
}

/* libFuzzer target of the line TARGET(store_request, ...) in targets.def.
 * SPDX-License-Identifier: Apache-2.0 */
#include "wire/helper_property.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
  property_check("store_request", data, len);
  return 0;
}

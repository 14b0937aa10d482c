/* SPDX-License-Identifier: Apache-2.0 */
#include "io/general_name.h"

int torc_general_name_add(GENERAL_NAMES *names, int kind, const char *text) {
  GENERAL_NAME *name = GENERAL_NAME_new();
  ASN1_IA5STRING *value = ASN1_IA5STRING_new();
  if (name == NULL || value == NULL || ASN1_STRING_set(value, text, -1) != 1) {
    GENERAL_NAME_free(name);
    ASN1_IA5STRING_free(value);
    return TORC_ERR_NOMEM;
  }
  GENERAL_NAME_set0_value(name, kind, value);
  if (sk_GENERAL_NAME_push(names, name) == 0) {
    GENERAL_NAME_free(name);
    return TORC_ERR_NOMEM;
  }
  return 0;
}

/* Entries of a subjectAltName, for certificates and for requests. SPDX-License-Identifier:
 * Apache-2.0 */
#ifndef TORC_IO_GENERAL_NAME_H
#define TORC_IO_GENERAL_NAME_H

#include <openssl/x509v3.h>

#include "torc/types.h"

/* Appends an entry of an IA5String kind (GEN_EMAIL, GEN_DNS, GEN_URI) as it stands: made by hand
 * and not from OpenSSL's text form, where a name with a comma would become two. TORC_ERR_NOMEM. */
int torc_general_name_add(GENERAL_NAMES *names, int kind, const char *text) TORC_MUST_CHECK;

#endif

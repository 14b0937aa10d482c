/* Account names and what is kept of their passwords. SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_AUTHORITY_PASSWORD_H
#define TORC_AUTHORITY_PASSWORD_H

#include "authority/registry.h"

#define TORC_PASSWORD_MIN 8
#define TORC_PASSWORD_MAX 256
#define TORC_PASSWORD_MADE 20 /* characters of one made here: 119 bits */

/* Names that HTTP Digest can carry without ambiguity [ENR-30]: 1 to 255 bytes of printable ASCII
 * without blank, ':', '"' and '\', and none that looks like a guest's. NULL: it is one; else why
 * not. */
const char *torc_account_name_fault(const char *name);

/* The digests of RFC 7616, H(account ":" realm ":" password), the realm being the overlay's name.
 * with_md5: for clients that know nothing better. TORC_ERR_CRYPTO. */
int torc_password_digest(const char *account, const char *realm, const char *password,
                         bool with_md5, torc_password *out) TORC_MUST_CHECK;
/* A random one of letters and digits. TORC_ERR_CRYPTO. */
int torc_password_make(char out[TORC_PASSWORD_MADE + 1]) TORC_MUST_CHECK;

#endif

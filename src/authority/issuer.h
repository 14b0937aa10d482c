/* A key and a certificate that issues: from files, or with the key in a PKCS#11 token.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_AUTHORITY_ISSUER_H
#define TORC_AUTHORITY_ISSUER_H

#include "authority/registry.h"
#include "io/conf_table.h"
#include "io/overlay_xml.h"

#define TORC_ISSUERS_MAX TORC_OVERLAY_ROOTS_MAX

typedef struct torc_issuer {
  EVP_PKEY *key; /* owned */
  X509 *root;    /* owned */
  torc_wall not_after;
  char name[TORC_CONF_TEXT_MAX]; /* of the certificate's file, for messages */
} torc_issuer;

/* key: a PEM file with mode 0600, or "pkcs11:..." (RFC 7512; its PIN by pin-source or pin-value).
 * TORC_ERR_DENIED: others can read the file. TORC_ERR_CRYPTO: key and certificate do not belong
 * together. Freed with torc_issuer_clear. */
int torc_issuer_load(torc_issuer *out, const char *cert_file, const char *key, char *err,
                     size_t err_cap) TORC_MUST_CHECK;
void torc_issuer_clear(torc_issuer *i);

/* When a certificate issued now ends: after `days`, and not after the issuer itself.
 * TORC_ERR_STATE: the issuer has expired. */
int torc_issuer_end(const torc_issuer *i, torc_wall now, uint32_t days, torc_wall *out, char *err,
                    size_t err_cap) TORC_MUST_CHECK;

/* Signs the certificate `e` describes for `key`; *der is freed with free(). Any thread. */
int torc_issuer_sign(const torc_issuer *i, const char *overlay, const torc_certificate_entry *e,
                     EVP_PKEY *key, uint8_t **der, size_t *len) TORC_MUST_CHECK;

/* Whether peers with this document accept what the issuers issue [R-38] [ENR-34]: a certificate is
 * made with each and judged as a peer does. Issuers that have expired are passed over, but one must
 * be left. TORC_ERR_CONFIG: `err` names the certificate that is no root-cert there. */
int torc_issuers_check(const torc_issuer *issuers, size_t num, const torc_overlay *document,
                       torc_wall now, char *err, size_t err_cap) TORC_MUST_CHECK;

#endif

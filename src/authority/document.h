/* Writes the overlay configuration document [ENR-10..26] that io/overlay_xml reads.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_AUTHORITY_DOCUMENT_H
#define TORC_AUTHORITY_DOCUMENT_H

#include <openssl/x509.h>

#include "io/overlay_xml.h"

/* Writes `o` as a document in UTF-8. Fields that are 0 are left out, so that the defaults of
 * whoever reads it hold. *out is NUL-terminated and freed with torc_file_free. TORC_ERR_INVALID: no
 * name, algorithm or root; a type whose model or rule has no name; anything else that the grammar
 * refuses. TORC_ERR_NOMEM. */
int torc_document_write(const torc_overlay *o, uint8_t **out, size_t *len) TORC_MUST_CHECK;
/* Signs `document` with a root's key (overlay_sign.h says how); a signature that is there is
 * replaced. *out is NUL-terminated and freed with torc_file_free. TORC_ERR_INVALID: empty or longer
 * than 1 MiB. TORC_ERR_CRYPTO, TORC_ERR_NOMEM. */
int torc_document_sign(torc_slice document, EVP_PKEY *key, X509 *root, uint8_t **out,
                       size_t *len) TORC_MUST_CHECK;

/* Names of data models and access rules in the document; NULL and 0 for what there is none of. */
const char *torc_document_model_name(uint8_t model);
const char *torc_document_rule_name(uint8_t rule);
uint8_t torc_document_model(const char *name);
uint8_t torc_document_rule(const char *name);

#endif

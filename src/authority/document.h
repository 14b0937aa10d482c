/* Writes the overlay configuration document [ENR-10..26] that io/overlay_xml reads.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_AUTHORITY_DOCUMENT_H
#define TORC_AUTHORITY_DOCUMENT_H

#include "io/overlay_xml.h"

#define TORC_OVERLAY_NAMESPACE "urn:ietf:params:xml:ns:p2p:overlay" /* [ENR-15] */

/* Writes `o` as a document in UTF-8. Fields that are 0 are left out, so that the defaults of
 * whoever reads it hold. *out is NUL-terminated and freed with torc_file_free. TORC_ERR_INVALID: no
 * name, algorithm or root; a type whose model or rule has no name. TORC_ERR_NOMEM. */
int torc_document_write(const torc_overlay *o, uint8_t **out, size_t *len) TORC_MUST_CHECK;

/* Names of data models and access rules in the document; NULL and 0 for what there is none of. */
const char *torc_document_model_name(uint8_t model);
const char *torc_document_rule_name(uint8_t rule);
uint8_t torc_document_model(const char *name);
uint8_t torc_document_rule(const char *name);

#endif

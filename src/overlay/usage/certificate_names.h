/* The names in an X.509 certificate, read without a crypto library: what the access rule of
 * CERTIFICATE looks at. SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_OVERLAY_CERTIFICATE_NAMES_H
#define TORC_OVERLAY_CERTIFICATE_NAMES_H

#include "torc/crypto.h"

typedef struct torc_certificate_names {
  size_t num_peers, num_users; /* further ones are ignored, as in torc_cert */
  torc_id peers[TORC_CERT_MAX_PEERS];
  torc_slice users[TORC_CERT_MAX_USERS]; /* as written, borrowed from the certificate */
  torc_slice issuer;                     /* the Name as DER, borrowed */
} torc_certificate_names;

/* Reads the SubjectAltName of a DER certificate: user names from rfc822Name, peer-ids from the URI
 * "reload://" + 32 hex digits (or "0110" before them) + "@..." [GAP-134]. Nothing is verified:
 * neither the signature, nor the dates, nor the overlay. TORC_ERR_FORMAT or TORC_ERR_SHORT: no
 * certificate. */
int torc_certificate_names_read(torc_certificate_names *out, torc_slice der) TORC_MUST_CHECK;

#endif

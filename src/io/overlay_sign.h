/* The signature of an overlay configuration document [GAP-131]: a processing instruction behind the
 * root element, which every XML reader skips.
 *
 *   <?torc-signature BASE64?>
 *
 * It is the last thing in the file but for white space, and holds a CMS SignedData (DER, detached,
 * one signer, SHA-256 or better) over every byte before its "<?". Who signs is one of the overlay's
 * root-certs itself. SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_IO_OVERLAY_SIGN_H
#define TORC_IO_OVERLAY_SIGN_H

#include "torc/types.h"

#define TORC_OVERLAY_SIGNATURE_START "<?torc-signature "
#define TORC_OVERLAY_SIGNATURE_MAX 16384u /* characters of the base64 */

/* Checks the signature of `document` with the roots (DER). 0: *signer is the number of the root,
 * *signed_at what the signature says. TORC_ERR_NOTFOUND: there is no signature. TORC_ERR_CRYPTO: it
 * does not hold, or is of nobody among them. `err` gets one line. */
int torc_overlay_signature_check(torc_slice document, const torc_slice *roots, size_t num_roots,
                                 size_t *signer, torc_wall *signed_at, char *err,
                                 size_t err_cap) TORC_MUST_CHECK;
/* How many bytes are before the signature; all of them if there is none. */
size_t torc_overlay_signed_len(torc_slice document);

#endif

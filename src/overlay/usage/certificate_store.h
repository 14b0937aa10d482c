/* The certificate store usage: where a certificate belongs, and what is to be done when a look at
 * one of its places has found this or that [CRT-02] [CRT-05]. Decides only: the node looks and
 * stores. SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_OVERLAY_CERTIFICATE_STORE_H
#define TORC_OVERLAY_CERTIFICATE_STORE_H

#include "torc/crypto.h"
#include "torc/node.h"

#define TORC_CERT_PLACES_MAX (TORC_CERT_MAX_PEERS + TORC_CERT_MAX_USERS)
#define TORC_CERT_CHECK_PERIOD TORC_SEC(24 * 3600) /* [CRT-04] */
#define TORC_CERT_STORED_S (60u * 86400u)          /* [CRT-05] stored for so long, */
#define TORC_CERT_REFRESH_S (30u * 86400u)         /* and again when less than this is left */
#define TORC_CERT_PREDECESSORS 1                   /* kept beside the own certificate */
#define TORC_CERT_GAIN_S 86400u /* a refresh must win a day, or it would be done every day */

/* The number of places of `cert`: one for each peer-id, then one for each user name. */
size_t torc_certificate_places(const torc_cert *cert);
/* Place i < torc_certificate_places: the hash of the peer-id, not the peer-id itself [CRT-03], or
 * of the user name. TORC_ERR_NOMEM, TORC_ERR_CRYPTO: own failure. */
int torc_certificate_place(const torc_crypto *crypto, const torc_cert *cert, size_t i,
                           torc_id *out) TORC_MUST_CHECK;
/* Where the certificate that a peer-id (name empty) or a user name refers to would be [GAP-52].
 * TORC_ERR_FORMAT: no user name; others as above. */
int torc_certificate_place_of(const torc_crypto *crypto, const torc_id *peer, torc_slice name,
                              torc_id *out) TORC_MUST_CHECK;

typedef struct torc_cert_todo {
  bool is_store;       /* false: nothing is to be done */
  int32_t index;       /* of the array; -1: append */
  uint32_t lifetime_s; /* never beyond the certificate's own end */
} torc_cert_todo;
/* `values`: what FETCH gave of one place, those of other types are passed over. What the
 * predecessor of a renewed certificate has signed is still checked with it, so it stays until it
 * ends [ENR-38]; those before it give way, the first to end first: renewals do not fill the place.
 */
torc_cert_todo torc_certificate_todo(const torc_cert *own, const torc_value *values, size_t num,
                                     torc_wall now);

#endif

/* Certificates of an overlay with OpenSSL: profile of GAP-134 and R-38, chain, dates; own key; job
 * execution.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_IO_X509_H
#define TORC_IO_X509_H

#include "io/shared_key.h"
#include "torc/crypto.h"

typedef struct torc_pki torc_pki; /* trust anchors of one overlay, own key and certificate */

/* `roots`: DER, at least one. Freed with torc_pki_free. */
int torc_pki_new(torc_pki **out, const char *overlay_name, const torc_slice *roots,
                 size_t num_roots, char *err, size_t err_cap) TORC_MUST_CHECK;
/* Of a shared-key overlay: no roots, no own key, and an own certificate that is nothing but the
 * peer-id `self` [SEC-06]. The key is wiped by torc_pki_free. */
int torc_pki_new_shared(torc_pki **out, const char *overlay_name,
                        const uint8_t key[TORC_SHARED_KEY_LEN], const torc_id *self, char *err,
                        size_t err_cap) TORC_MUST_CHECK;
const uint8_t *torc_pki_shared_key(const torc_pki *p); /* NULL: an overlay with certificates */
/* What stands for the certificate of a peer that claims to be `peer`: no bytes, no key, no end. */
int torc_pki_claimed_cert(const torc_id *peer, torc_cert **out) TORC_MUST_CHECK;
void torc_pki_free(torc_pki *p);
/* One more root, from now on; certificates it issued are accepted by every thread. A root that is
 * there already changes nothing. TORC_ERR_LIMIT, TORC_ERR_CRYPTO with a reason in err. */
int torc_pki_add_root(torc_pki *p, torc_slice der, char *err, size_t err_cap) TORC_MUST_CHECK;
/* Certificates of another overlay, issued by the same roots, are good as well from now on, with
 * their peer-ids [D-19]. TORC_ERR_LIMIT, TORC_ERR_CONFIG with a reason in err. */
int torc_pki_add_name(torc_pki *p, const char *overlay_name, char *err,
                      size_t err_cap) TORC_MUST_CHECK;
/* Which keys certificates may have from now on: bits 1 << TORC_SIGALG_*; 0: all that are known
 * [D-10]. Certificates in use are not looked at again. */
void torc_pki_admit(torc_pki *p, uint8_t algorithms);
/* Loads own certificate and key from PEM files; checks that they fit each other, chain and dates;
 * refuses a key file readable by others. */
int torc_pki_load_own(torc_pki *p, const char *cert_file, const char *key_file, torc_wall now,
                      char *err, size_t err_cap) TORC_MUST_CHECK;
/* Likewise of a renewed certificate, which must be for the same first peer-id; the key may be
 * another one. The one before is kept until the next renewal: torc_pki_sign may still be told to
 * use it. On failure nothing has changed. The same certificate again is no failure. */
int torc_pki_renew_own(torc_pki *p, const char *cert_file, const char *key_file, torc_wall now,
                       char *err, size_t err_cap) TORC_MUST_CHECK;
torc_cert *torc_pki_own_cert(const torc_pki *p);         /* borrowed */
uint8_t torc_pki_signature_algorithm(const torc_pki *p); /* TORC_SIGALG_*, of the own key */
void *torc_pki_own_key(const torc_pki *p);               /* EVP_PKEY *, borrowed */
void *torc_pki_own_x509(const torc_pki *p);              /* X509 *, borrowed */

/* Parses DER, checks chain to a root, overlay name in the URI SAN, key type and size, usage
 * [GAP-51] [GAP-134]; not the dates. One reference to the caller. Safe from any thread.
 * TORC_ERR_CRYPTO with a reason in err. */
int torc_pki_accept(const torc_pki *p, torc_slice der, torc_cert **out, char *err,
                    size_t err_cap) TORC_MUST_CHECK;
/* The same of one that the TLS library has parsed (X509 *, borrowed): parsing is the dearest part
 * of a handshake. The key is shared with it. */
int torc_pki_accept_parsed(const torc_pki *p, void *x509, torc_cert **out, char *err,
                           size_t err_cap) TORC_MUST_CHECK;
/* Why a key (EVP_PKEY *, borrowed) is not one that peers accept, in a certificate or of their own;
 * NULL: it is. */
const char *torc_pki_key_fault(const void *pkey);
torc_cert *torc_cert_retain(torc_cert *c);
void torc_cert_free(torc_cert *c); /* releases one reference; atomic */

/* Signs or verifies (any thread); `sig_cap` at least TORC_SIGNATURE_MAX. */
#define TORC_SIGNATURE_MAX 1024
/* own: which of the own certificates the signature is to fit; NULL: the present one.
 * TORC_ERR_STATE: there is none, or its key is gone. */
int torc_pki_sign(torc_pki *p, const torc_cert *own, const torc_slice *parts, size_t num,
                  uint8_t *sig, size_t sig_cap, size_t *sig_len) TORC_MUST_CHECK;
int torc_pki_verify(const torc_cert *cert, uint8_t algorithm, const torc_slice *parts, size_t num,
                    torc_slice signature) TORC_MUST_CHECK;
/* The table for torc_node_config; borrows `p`. */
const torc_crypto *torc_pki_crypto(torc_pki *p);

#endif

/* What the parts of torc_pki share.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_IO_X509_INTERNAL_H
#define TORC_IO_X509_INTERNAL_H

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <pthread.h>

#include "io/x509.h"
#include "torc/crypto.h"

#define TORC_PKI_ROOTS_MAX 8   /* root certificates of one overlay */
#define TORC_PKI_NAMES_MAX 64  /* subjectAltName entries of one certificate */
#define TORC_RSA_BITS_MIN 2048 /* [GAP-51] */
#define TORC_RSA_BITS_MAX 4096 /* a larger key would make verifying expensive */
#define TORC_RSA_E_BITS_MAX 33 /* a larger public exponent would do the same */

#define TORC_PKI_NAMES_MORE \
  4u /* overlays that a peer may move to or from before a restart [D-19] */
#define TORC_PKI_SEEN_MAX 256u /* accepted certificates that are found again, by first byte */

/* A digest context that one thread at a time may borrow; the others make their own. Shared by the
 * pki and every certificate it accepted, so that a certificate may outlive the pki. */
typedef struct torc_pki_shared {
  uint32_t refs;
  EVP_MD *sha256;
  EVP_MD_CTX *md;
  bool md_busy;
  /* Certificates that are in use somewhere, without a reference: what a message has shown is not
   * checked again when its sender is linked. */
  pthread_mutex_t seen_lock;
  torc_cert *seen[TORC_PKI_SEEN_MAX];
} torc_pki_shared;

/* A key with one prepared operation context, borrowed the same way. */
typedef struct torc_pki_key {
  EVP_PKEY *pkey;
  EVP_PKEY_CTX *op;
  bool op_busy;
  uint8_t algorithm; /* TORC_SIGALG_* the key can make */
  torc_pki_shared *shared;
} torc_pki_key;

/* A certificate of one's own with its key. */
typedef struct torc_pki_own {
  torc_cert *cert;
  X509 *x509;
  torc_pki_key *key; /* private */
} torc_pki_own;

struct torc_pki {
  char overlay_name[256];                    /* lower-case, without trailing dot */
  char more_names[TORC_PKI_NAMES_MORE][256]; /* overlays whose certificates are accepted as well */
  size_t num_more;                           /* atomic, as num_roots */
  X509 *roots[TORC_PKI_ROOTS_MAX];
  EVP_PKEY *root_keys[TORC_PKI_ROOTS_MAX];
  size_t num_roots;  /* atomic: rises while other threads check certificates */
  uint32_t admitted; /* atomic: bits 1 << TORC_SIGALG_*; 0: all */
  /* Changed by the thread of the loop alone, under the lock, which other threads hold while they
   * sign: the present one, and the one before for what is under way with it [ENR-38]. */
  torc_pki_own own, old;
  pthread_rwlock_t own_lock;
  torc_pki_shared *shared;
  torc_crypto crypto;
  bool has_shared_key;
  uint8_t shared_key[TORC_SHARED_KEY_LEN];
};

/* SHA-256 of `num` slices joined. */
int torc_pki_digest(torc_pki_shared *s, const torc_slice *parts, size_t num,
                    uint8_t out[TORC_DIGEST_LEN]);
void torc_pki_shared_release(torc_pki_shared *s);
/* Takes over `pkey` on success. TORC_ERR_CRYPTO: neither RSA nor P-256, or of unusable size. */
int torc_pki_key_new(torc_pki_key **out, EVP_PKEY *pkey, torc_pki_shared *shared, bool is_private,
                     const char **why);
void torc_pki_key_free(torc_pki_key *k);
void torc_pki_own_clear(torc_pki_own *o);

#endif

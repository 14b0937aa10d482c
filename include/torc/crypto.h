/* Cryptography as the node asks for it: a table of quick functions, and jobs that may finish later
 * [D-41]. SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_CRYPTO_H
#define TORC_CRYPTO_H

#include "torc/types.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TORC_CERT_MAX_PEERS 4    /* peer-ids looked at in one certificate */
#define TORC_CERT_MAX_USERS 4    /* user names looked at in one certificate */
#define TORC_CERT_MAX_BYTES 8192 /* DER; a larger certificate is refused */
#define TORC_USER_MAX 255        /* bytes of a user name */
#define TORC_DIGEST_LEN 32

/* What the node knows of a certificate that chains to a root of the overlay. Allocated by the
 * platform with all that it points to, shared by reference: retained and released through the
 * crypto table. Immutable but for the counter. */
typedef struct torc_cert {
  uint32_t refs;
  uint8_t digest[TORC_DIGEST_LEN]; /* SHA-256 of the DER */
  torc_slice der;                  /* these and the names live as long as the object */
  uint32_t num_peers, num_users;   /* at most TORC_CERT_MAX_PEERS and _USERS */
  const torc_id *peers;
  const char *const *users; /* normalised: host part lower-case [GAP-108]; NUL-terminated, at most
                               TORC_USER_MAX bytes each */
  torc_wall not_before, not_after;
  void *key; /* the platform's public key handle */
} torc_cert;

/* Quick functions; all synchronous. Borrowed for the node's life. */
typedef struct torc_crypto {
  void *ctx;
  /* Unpredictable bytes. On failure the node refuses what needed them: no fallback. */
  int (*random)(void *ctx, uint8_t *out, size_t len);
  /* SHA-256 over `num` slices joined [D-11]. */
  int (*sha256)(void *ctx, const torc_slice *parts, size_t num, uint8_t out[TORC_DIGEST_LEN]);
  /* Releases one reference of a certificate that a job returned; frees it with the last. */
  void (*cert_release)(void *ctx, torc_cert *cert);
} torc_crypto;

typedef enum torc_job_kind {
  TORC_JOB_SIGN = 1,        /* sign parts with the node's own key */
  TORC_JOB_VERIFY = 2,      /* verify `signature` over parts with cert->key */
  TORC_JOB_CERTIFICATE = 3, /* parse `der`, check chain, overlay name and profile (not the dates) */
  TORC_JOB_SYNC = 4         /* make every committed storage transaction durable */
} torc_job_kind;

/* One job; everything in it is borrowed and lives until torc_node_job_done is called with its id.
 */
typedef struct torc_job {
  torc_token id;
  torc_job_kind kind;
  uint8_t algorithm;       /* SIGN: own key's, VERIFY: as received (TORC_SIGALG_*) */
  const torc_slice *parts; /* the signed input is these slices joined */
  size_t num_parts;
  torc_slice signature;  /* VERIFY */
  const torc_cert *cert; /* VERIFY; SIGN: the own one whose key is meant */
  torc_slice der;        /* CERTIFICATE */
} torc_job;

/* A job's result. */
typedef struct torc_job_result {
  int rc; /* 0: signed, valid, or certificate accepted. TORC_ERR_CRYPTO: invalid. Others: failure */
  torc_slice signature; /* SIGN: copied by the node during the call */
  torc_cert *cert;      /* CERTIFICATE: one reference passes to the node */
} torc_job_result;

#ifdef __cplusplus
}
#endif
#endif

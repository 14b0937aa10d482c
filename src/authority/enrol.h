/* The authority's answer to a certificate request, whoever carried it: policy, numbers, signature,
 * audit log. Knows no HTTP but its status codes. SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_AUTHORITY_ENROL_H
#define TORC_AUTHORITY_ENROL_H

#include <pthread.h>
#include <stdatomic.h>

#include "authority/audit.h"
#include "authority/csr.h"
#include "authority/issuer.h"

#define TORC_GUEST_DIGITS 24 /* of the key's hash in a guest's name */
#define TORC_GUEST_CERTS \
  3 /* valid ones of one guest: a page that lost its certificate asks again */

typedef struct torc_enrol_policy {
  uint32_t days;      /* of an account's certificate */
  uint32_t max_certs; /* of an account */
  bool allows_guests; /* the open policy: a name made from the key, for whoever asks */
  uint32_t guest_days;
} torc_enrol_policy;

/* What an operator may change while it serves; borrowed until others are set. */
typedef struct torc_enrol_terms {
  const torc_issuer *issuers;
  size_t num_issuers; /* the first that has not expired issues [BGAP-04] */
  torc_enrol_policy policy;
} torc_enrol_terms;

/* Counters since the start; any thread. */
typedef struct torc_enrol_counts {
  _Atomic uint64_t issued, repeated, guests_issued;
  _Atomic uint64_t refused_request, refused_name, refused_count, refused_limit, refused_password;
  _Atomic uint64_t failed;
} torc_enrol_counts;

typedef struct torc_enrol {
  const char *overlay; /* name; borrowed, as everything else here */
  torc_registry *registry;
  torc_audit *audit;
  torc_enrol_terms terms;
  pthread_rwlock_t lock; /* of `terms`: read as long as a request is answered */
  torc_enrol_counts counts;
} torc_enrol;

/* Everything empty but the lock; the caller fills the rest in. TORC_ERR_NOMEM. */
int torc_enrol_init(torc_enrol *e) TORC_MUST_CHECK;
void torc_enrol_clear(torc_enrol *e);
/* Waits for the requests that are being answered; once it returns nobody uses the old terms. */
void torc_enrol_set_terms(torc_enrol *e, const torc_enrol_terms *terms);

#define TORC_REASON_MAX 400
typedef struct torc_enrol_answer {
  int status;    /* 200: `body` is certs-only CMS; else `reason` says why not */
  uint8_t *body; /* freed with torc_enrol_answer_clear */
  size_t len;
  char reason[TORC_REASON_MAX];
} torc_enrol_answer;

/* Answers a request of an account whose password was right [ENR-30] [ENR-31]. source: the address
 * for the audit log. Any thread. */
void torc_enrol_account(torc_enrol *e, const char *account, torc_slice request, const char *source,
                        torc_wall now, torc_enrol_answer *out);
/* Answers a request of anybody: 403 unless the open policy is on. The name is made from the key, so
 * the same key gets the same name again, and a guest may renew. */
void torc_enrol_guest(torc_enrol *e, torc_slice request, const char *source, torc_wall now,
                      torc_enrol_answer *out);
void torc_enrol_answer_clear(torc_enrol_answer *a);

/* Writes a refusal that happened before the request was read. */
void torc_enrol_refused(torc_enrol *e, const char *account, const char *source, torc_wall now,
                        const char *reason);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#include "authority/enrol.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/slice.h"

enum { /* of HTTP; what the caller sends */
       STATUS_OK = 200,
       STATUS_BAD_REQUEST = 400,
       STATUS_FORBIDDEN = 403,
       STATUS_FAILED = 500,
       STATUS_UNAVAILABLE = 503
};

typedef struct enrolment { /* one request on its way */
  torc_enrol *e;
  const char *account, *source;
  torc_wall now;
  torc_enrol_answer *out;
  torc_csr csr;
  const torc_issuer *issuer;
  torc_wall not_after;
} enrolment;

int torc_enrol_init(torc_enrol *e) {
  pthread_rwlockattr_t attr;
  memset(e, 0, sizeof *e);
  if (pthread_rwlockattr_init(&attr) != 0) {
    return TORC_ERR_NOMEM;
  }
  /* New terms come although requests never end. */
  int rc = pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
  rc = rc == 0 ? pthread_rwlock_init(&e->lock, &attr) : rc;
  (void)pthread_rwlockattr_destroy(&attr);
  return rc == 0 ? 0 : TORC_ERR_NOMEM;
}

void torc_enrol_clear(torc_enrol *e) {
  (void)pthread_rwlock_destroy(&e->lock);
}

void torc_enrol_set_terms(torc_enrol *e, const torc_enrol_terms *terms) {
  (void)pthread_rwlock_wrlock(&e->lock);
  e->terms = *terms;
  (void)pthread_rwlock_unlock(&e->lock);
}

static void count(_Atomic uint64_t *c) {
  (void)atomic_fetch_add_explicit(c, 1, memory_order_relaxed);
}

static int status_of(const torc_enrol *e, int rc, _Atomic uint64_t **counter) {
  torc_enrol_counts *c = (torc_enrol_counts *)(uintptr_t)&e->counts;
  switch (rc) {
    case TORC_ERR_FORMAT:
    case TORC_ERR_CRYPTO:
      *counter = &c->refused_request;
      return STATUS_BAD_REQUEST;
    case TORC_ERR_DENIED:
    case TORC_ERR_NOTFOUND:
    case TORC_ERR_EXISTS:
      *counter = &c->refused_name;
      return STATUS_FORBIDDEN;
    case TORC_ERR_LIMIT:
      *counter = &c->refused_count;
      return STATUS_FORBIDDEN;
    case TORC_ERR_STATE:
      *counter = &c->failed;
      return STATUS_UNAVAILABLE;
    default:
      *counter = &c->failed;
      return STATUS_FAILED;
  }
}

void torc_enrol_refused(torc_enrol *e, const char *account, const char *source, torc_wall now,
                        const char *reason) {
  torc_audit_event event = {
      .what = "refused", .when = now, .source = source, .account = account, .reason = reason};
  if (torc_audit_write(e->audit, &event) != 0) {
    count(&e->counts.failed);
  }
}

/* What went wrong inside is not told to whoever asked: it is in the log. */
static void refuse(enrolment *n, int rc) {
  _Atomic uint64_t *counter = NULL;
  n->out->status = status_of(n->e, rc, &counter);
  count(counter);
  torc_enrol_refused(n->e, n->account, n->source, n->now, n->out->reason);
  if (n->out->status == STATUS_FAILED) {
    (void)snprintf(n->out->reason, sizeof n->out->reason,
                   "the authority cannot issue now; its operator finds the reason in its log");
  }
}

static int sign(void *arg, const torc_certificate_entry *entry, uint8_t **der, size_t *len) {
  const enrolment *n = arg;
  return torc_issuer_sign(n->issuer, n->e->overlay, entry, n->csr.key, der, len);
}

/* The first issuer that is valid: the operator lists the newest first. */
static int choose_issuer(enrolment *n, uint32_t days) {
  int rc = TORC_ERR_STATE;
  for (size_t i = 0; rc != 0 && i < n->e->terms.num_issuers; i++) {
    n->issuer = &n->e->terms.issuers[i];
    rc = torc_issuer_end(n->issuer, n->now, days, &n->not_after, n->out->reason,
                         sizeof n->out->reason);
  }
  return rc;
}

static int answer(enrolment *n, const torc_issue_order *order) {
  torc_issue_result result;
  int rc =
      torc_registry_issue(n->e->registry, order, &result, n->out->reason, sizeof n->out->reason);
  if (rc != 0) {
    /* What it cannot read or sign is ours, not the requester's. */
    return rc == TORC_ERR_FORMAT || rc == TORC_ERR_CRYPTO ? TORC_ERR_IO : rc;
  }
  torc_audit_event event = {.what = "issued",
                            .when = n->now,
                            .source = n->source,
                            .account = n->account,
                            .entry = &result.entry,
                            .is_repeat = result.is_repeat};
  rc = torc_audit_write(n->e->audit, &event);
  if (rc == 0) {
    rc = torc_csr_answer(torc_slice_of(result.der, result.len), &n->out->body, &n->out->len);
  }
  if (rc == 0) {
    n->out->status = STATUS_OK;
    count(result.is_repeat ? &n->e->counts.repeated : &n->e->counts.issued);
  } else {
    (void)snprintf(n->out->reason, sizeof n->out->reason, "the audit log cannot be written: %s",
                   torc_strerror(rc));
    rc = TORC_ERR_IO;
  }
  torc_issue_result_clear(&result);
  return rc;
}

static void fill_order(const enrolment *n, torc_issue_order *order) {
  order->account = n->account;
  order->num_users = n->csr.num_users;
  for (size_t i = 0; i < n->csr.num_users; i++) {
    order->users[i] = n->csr.users[i];
  }
  order->may_repeat = true;
  order->has_peer = n->csr.has_peer;
  order->peer = n->csr.peer;
  memcpy(order->key_hash, n->csr.key_hash, sizeof order->key_hash);
  order->now = n->now;
  order->not_after = n->not_after;
  order->sign = sign;
  order->sign_arg = (void *)(uintptr_t)n;
}

static void begin(enrolment *n, torc_enrol *e, const char *account, const char *source,
                  torc_wall now, torc_enrol_answer *out) {
  memset(out, 0, sizeof *out);
  memset(n, 0, sizeof *n);
  n->e = e;
  n->account = account;
  n->source = source;
  n->now = now;
  n->out = out;
}

void torc_enrol_account(torc_enrol *e, const char *account, torc_slice request, const char *source,
                        torc_wall now, torc_enrol_answer *out) {
  enrolment n;
  begin(&n, e, account, source, now, out);
  (void)pthread_rwlock_rdlock(&e->lock);
  int rc = torc_csr_read(request, e->overlay, &n.csr, out->reason, sizeof out->reason);
  if (rc == 0 && n.csr.num_users == 0) { /* [ENR-29] */
    (void)snprintf(out->reason, sizeof out->reason,
                   "it names no user: put the user name into the subjectAltName (email:NAME)");
    rc = TORC_ERR_FORMAT;
  }
  if (rc == 0) {
    rc = choose_issuer(&n, e->terms.policy.days);
  }
  if (rc == 0) {
    torc_issue_order order = {.max_certs = e->terms.policy.max_certs};
    fill_order(&n, &order);
    rc = answer(&n, &order);
  }
  if (rc != 0) {
    refuse(&n, rc);
  }
  (void)pthread_rwlock_unlock(&e->lock);
  torc_csr_clear(&n.csr);
}

/* ---- guests ---- */

static int guest_name(enrolment *n, torc_account *a) {
  char typed[TORC_USER_MAX + 1];
  int len = snprintf(typed, sizeof typed, "%s%.*s@%s", TORC_GUEST_PREFIX, TORC_GUEST_DIGITS,
                     n->csr.key_hash, n->e->overlay);
  if (len < 0 || (size_t)len >= sizeof typed ||
      torc_ca_user_name(typed, a->names[0], sizeof a->names[0]) != 0) {
    (void)snprintf(n->out->reason, sizeof n->out->reason,
                   "the overlay's name leaves no room for guests");
    return TORC_ERR_IO;
  }
  if (n->csr.num_users > 1 ||
      (n->csr.num_users == 1 && strcmp(n->csr.users[0], a->names[0]) != 0)) {
    (void)snprintf(n->out->reason, sizeof n->out->reason,
                   "guests do not choose a user name; ask without one, or with an account");
    return TORC_ERR_DENIED;
  }
  memcpy(n->csr.users[0], a->names[0], sizeof n->csr.users[0]);
  n->csr.num_users = 1;
  a->num_names = 1;
  memcpy(a->name, a->names[0], sizeof a->name);
  a->is_guest = true;
  a->created = n->now;
  return 0;
}

static int enrol_guest(enrolment *n, torc_slice request, torc_account *a) {
  torc_enrol *e = n->e;
  char *reason = n->out->reason;
  if (!e->terms.policy.allows_guests) {
    (void)snprintf(reason, TORC_REASON_MAX, "this overlay takes no guests; enrol with an account");
    return TORC_ERR_DENIED;
  }
  int rc = torc_csr_read(request, e->overlay, &n->csr, reason, TORC_REASON_MAX);
  if (rc == 0) {
    rc = guest_name(n, a);
  }
  if (rc != 0) {
    return rc;
  }
  n->account = a->name;
  rc = torc_registry_add(e->registry, a, reason, TORC_REASON_MAX);
  if (rc == TORC_ERR_EXISTS) { /* asked before with this key */
    rc = torc_registry_get(e->registry, a->names[0], n->now, a, reason, TORC_REASON_MAX);
    if (rc == 0 && !a->is_guest) {
      (void)snprintf(reason, TORC_REASON_MAX, "the name of this key's guest is an account's");
      rc = TORC_ERR_DENIED;
    }
  }
  if (rc == 0) {
    rc = choose_issuer(n, e->terms.policy.guest_days);
  }
  if (rc != 0) {
    return rc;
  }
  torc_issue_order order = {.max_certs = TORC_GUEST_CERTS};
  fill_order(n, &order);
  rc = answer(n, &order);
  if (rc == 0) {
    count(&e->counts.guests_issued);
  }
  return rc;
}

void torc_enrol_guest(torc_enrol *e, torc_slice request, const char *source, torc_wall now,
                      torc_enrol_answer *out) {
  enrolment n;
  begin(&n, e, NULL, source, now, out);
  torc_account *a = calloc(1, sizeof *a);
  (void)pthread_rwlock_rdlock(&e->lock);
  int rc = a == NULL ? TORC_ERR_NOMEM : enrol_guest(&n, request, a);
  if (rc != 0) {
    refuse(&n, rc);
  }
  (void)pthread_rwlock_unlock(&e->lock);
  torc_csr_clear(&n.csr);
  free(a);
}

void torc_enrol_answer_clear(torc_enrol_answer *a) {
  free(a->body);
  a->body = NULL;
  a->len = 0;
}

/* STUN client transactions [ICE-07] [ICE-33].
 * SPDX-License-Identifier: Apache-2.0 */
#include "ice/stun_tx.h"

#include <string.h>

#include "base/slice.h"
#include "base/timer.h"

static void end(torc_stun_tx *t, int rc) {
  t->state = TORC_STUN_TX_ENDED;
  t->is_sending = false;
  t->deadline = TORC_NEVER;
  t->result.rc = rc;
  t->result.num_sends = t->num_sends;
}

static void advance(torc_stun_tx *t, torc_time now) {
  if (now > t->now) {
    t->now = now;
  }
}

/* Writes the request with a new transaction id and the credentials of now. */
static int build(torc_stun_tx *t) {
  const torc_stun_request *req = &t->req;
  const torc_stun_key *key = req->key;
  torc_stun_integrity which = key != NULL ? req->integrity : TORC_STUN_INTEGRITY_NONE;
  torc_stun_wr w;
  torc_wr wr;
  int rc = t->crypto->random(t->crypto->ctx, t->txid, sizeof t->txid);
  if (rc != 0) {
    return rc;
  }
  torc_wr_init(&wr, t->room, t->cap);
  torc_stun_begin(&w, &wr, TORC_STUN_REQUEST, req->method, t->txid);
  if (req->put != NULL) {
    req->put(req->ctx, &w);
  }
  if (req->login != NULL) {
    torc_stun_login_put(req->login, &w);
    key = &req->login->key;
    which = torc_stun_login_integrity(req->login);
  } else if (key != NULL) {
    torc_stun_put(&w, TORC_STUN_ATTR_USERNAME, req->username);
  }
  if (which != TORC_STUN_INTEGRITY_NONE && wr.err == 0) {
    rc = torc_stun_put_integrity(&w, t->crypto, key, which, TORC_STUN_HASH_MAX);
    if (rc != 0) {
      return rc;
    }
  }
  if (req->has_fingerprint) {
    torc_stun_put_fingerprint(&w);
  }
  t->signed_with = which;
  t->len = wr.len;
  return wr.err;
}

static torc_time times(torc_time wait, uint32_t num) {
  torc_time all = 0;
  for (uint32_t i = 0; i < num && all < TORC_NEVER - 1; i++) {
    all = torc_time_add(all, wait);
  }
  return all;
}

/* A request leaves; `wait` is for how long one waits behind it unless it is the last. */
static void send_next(torc_stun_tx *t, torc_time wait) {
  t->is_sending = true;
  t->num_sends++;
  t->sends_of_id++;
  t->wait = wait;
  if (t->req.is_reliable) {
    t->wait = t->req.ti;
  } else if (t->sends_of_id >= t->req.rc) {
    t->wait = times(t->req.rto, t->req.rm);
  }
  t->deadline = torc_time_add(t->now, t->wait);
}

/* The first request of a new id leaves. */
static void launch(torc_stun_tx *t) {
  t->first_at = t->now;
  t->sends_of_id = 0;
  send_next(t, t->req.rto);
}

int torc_stun_tx_start(torc_stun_tx *t, const torc_stun_crypto *c, const torc_stun_request *req,
                       uint8_t *room, size_t cap, torc_time now) {
  int rc;
  memset(t, 0, sizeof *t);
  t->crypto = c;
  t->req = *req;
  t->req.rto = req->rto != 0 ? req->rto : TORC_STUN_RTO;
  t->req.rc = req->rc != 0 ? req->rc : TORC_STUN_RC;
  t->req.rm = req->rm != 0 ? req->rm : TORC_STUN_RM;
  t->req.ti = req->ti != 0 ? req->ti : TORC_STUN_TI;
  t->room = room;
  t->cap = cap;
  t->now = now;
  t->deadline = TORC_NEVER;
  rc = build(t);
  if (rc == 0) {
    t->state = TORC_STUN_TX_RUNNING;
    launch(t);
  }
  return rc;
}

void torc_stun_tx_stop(torc_stun_tx *t) {
  t->state = TORC_STUN_TX_IDLE;
  t->is_sending = false;
  t->deadline = TORC_NEVER;
}

/* What is left: as long as the requests that are not sent any more would have taken. */
void torc_stun_tx_quiet(torc_stun_tx *t) {
  if (t->state != TORC_STUN_TX_RUNNING) {
    return;
  }
  t->state = TORC_STUN_TX_QUIET;
  t->is_sending = false;
  if (!t->req.is_reliable) {
    torc_time all = times(t->req.rto, t->req.rm);
    torc_time wait = t->req.rto;
    for (uint32_t i = 1; i < t->req.rc && all < TORC_NEVER - 1; i++) {
      all = torc_time_add(all, wait);
      wait = torc_time_add(wait, wait);
    }
    t->deadline = torc_time_add(t->first_at, all);
  }
}

/* Section 6.2.1: 0, 500, 1500, 3500, 7500, 15500, 31500 ms; over at 39500 ms. Late calls do not
 * make requests follow each other faster. */
void torc_stun_tx_tick(torc_stun_tx *t, torc_time now) {
  advance(t, now);
  if ((t->state != TORC_STUN_TX_RUNNING && t->state != TORC_STUN_TX_QUIET) ||
      t->now < t->deadline) {
    return;
  }
  if (t->state == TORC_STUN_TX_QUIET || t->req.is_reliable || t->sends_of_id >= t->req.rc) {
    /* Section 9.1.4: who got only answers that nobody signed is told so. */
    t->result.code = t->unverified_code;
    end(t, t->is_unverified ? TORC_ERR_CRYPTO : TORC_ERR_TIMEOUT);
    return;
  }
  send_next(t, torc_time_add(t->wait, t->wait));
}

/* 401 or 438 to a transaction with long-term credentials. True: another request leaves, or the
 * transaction ended here. False: the refusal is the result. */
static bool try_again(torc_stun_tx *t, const torc_stun_msg *m, uint16_t code) {
  torc_stun_login *l = t->req.login;
  bool is_signed = t->signed_with != TORC_STUN_INTEGRITY_NONE;
  int rc;
  if (l == NULL || (code != 401 && code != 438) || (code == 438 && !is_signed) ||
      t->num_retries >= TORC_STUN_MAX_RETRIES || t->state != TORC_STUN_TX_RUNNING) {
    return false;
  }
  /* Section 9.2.5: 401 to what these credentials signed is final, unless for another realm. */
  if (code == 401 && is_signed &&
      torc_slice_eq(torc_stun_value(m, TORC_STUN_KNOWN_REALM),
                    torc_slice_of(l->realm, l->realm_len))) {
    return false;
  }
  rc = torc_stun_login_challenge(l, t->crypto, m);
  if (rc == TORC_ERR_FORMAT) {
    return false;
  }
  if (rc == 0) {
    rc = build(t);
  }
  if (rc != 0) {
    end(t, rc);
    return true;
  }
  t->num_retries++;
  launch(t);
  return true;
}

static void take_error(torc_stun_tx *t, const torc_stun_msg *m) {
  uint16_t code = 0;
  torc_slice reason = {0};
  if (torc_stun_get_error(m, &code, &reason) != 0 || m->num_unknown != 0) {
    end(t, TORC_ERR_FORMAT);
    return;
  }
  if (try_again(t, m, code)) {
    return;
  }
  t->result.msg = *m;
  t->result.code = code;
  t->result.reason = reason;
  end(t, TORC_ERR_REFUSED);
}

/* A challenge is signed by nobody: its key is not agreed on yet. */
static bool is_challenge(const torc_stun_tx *t, const torc_stun_msg *m, uint16_t code) {
  return t->req.login != NULL && m->cls == TORC_STUN_ERROR && (code == 401 || code == 438);
}

typedef enum belief { DROPPED, UNSIGNED, PROVEN } belief;

static belief verify(torc_stun_tx *t, const torc_stun_msg *m) {
  const torc_stun_key *key = t->req.login != NULL ? &t->req.login->key : t->req.key;
  torc_slice reason;
  uint16_t code = 0;
  if (m->cls == TORC_STUN_ERROR && torc_stun_get_error(m, &code, &reason) != 0) {
    code = 0;
  }
  if (t->signed_with == TORC_STUN_INTEGRITY_NONE || is_challenge(t, m, code)) {
    return UNSIGNED;
  }
  if (torc_stun_check_integrity(m, t->crypto, key, t->signed_with, TORC_STUN_HASH_MAX, NULL) == 0) {
    return PROVEN;
  }
  t->is_unverified = true;
  t->unverified_code = code;
  return DROPPED;
}

static bool same_path(const torc_stun_path *a, const torc_stun_path *b) {
  return a->socket == b->socket && torc_stun_addr_eq(&a->remote, &b->remote);
}

int torc_stun_tx_input(torc_stun_tx *t, const torc_stun_path *path, const torc_stun_msg *m,
                       torc_time now) {
  belief b;
  advance(t, now);
  if ((t->state != TORC_STUN_TX_RUNNING && t->state != TORC_STUN_TX_QUIET) ||
      (m->cls != TORC_STUN_SUCCESS && m->cls != TORC_STUN_ERROR) || m->method != t->req.method ||
      memcmp(m->txid, t->txid, sizeof t->txid) != 0) {
    return TORC_ERR_NOTFOUND;
  }
  b = verify(t, m);
  if (b == DROPPED || !same_path(path, &t->req.path)) {
    t->num_discarded++;
    return b == PROVEN ? TORC_ERR_DENIED : 0;
  }
  t->result.rtt = t->sends_of_id == 1 ? t->now - t->first_at : 0;
  if (m->cls == TORC_STUN_ERROR) {
    take_error(t, m);
  } else if (m->num_unknown != 0) {
    end(t, TORC_ERR_FORMAT);
  } else {
    t->result.msg = *m;
    end(t, 0);
  }
  return 0;
}

bool torc_stun_tx_poll(torc_stun_tx *t, torc_stun_output *out) {
  if (t->is_sending) {
    t->is_sending = false;
    *out = (torc_stun_output){.kind = TORC_STUN_OUT_SEND, .path = t->req.path};
    out->bytes = torc_slice_of(t->room, t->len);
    return true;
  }
  if (t->state == TORC_STUN_TX_ENDED) {
    t->state = TORC_STUN_TX_IDLE;
    *out = (torc_stun_output){.kind = TORC_STUN_OUT_DONE, .path = t->req.path, .result = t->result};
    return true;
  }
  return false;
}

torc_time torc_stun_tx_deadline(const torc_stun_tx *t) {
  return t->deadline;
}

/* RFC 6298 2: gains of 1/8 and 1/4, four deviations above. */
void torc_stun_rto_add(torc_stun_rto *r, torc_time rtt, torc_time now) {
  if (!r->is_set || (now > r->at && now - r->at > TORC_STUN_RTO_AGE)) {
    *r = (torc_stun_rto){.srtt = rtt, .rttvar = rtt / 2, .is_set = true};
  } else {
    torc_time off = rtt > r->srtt ? rtt - r->srtt : r->srtt - rtt;
    r->rttvar = (3 * r->rttvar + off) / 4;
    r->srtt = (7 * r->srtt + rtt) / 8;
  }
  r->at = now;
}

torc_time torc_stun_rto_get(const torc_stun_rto *r, torc_time now) {
  torc_time rto;
  if (!r->is_set || (now > r->at && now - r->at > TORC_STUN_RTO_AGE)) {
    return TORC_STUN_RTO;
  }
  rto = torc_time_add(r->srtt, 4 * r->rttvar);
  if (rto > TORC_STUN_RTO_MAX) {
    return TORC_STUN_RTO_MAX;
  }
  return rto < TORC_STUN_RTO ? TORC_STUN_RTO : rto;
}

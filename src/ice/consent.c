/* Consent on the selected pair, RFC 7675, which keeps the NATs' mappings too [ICE-33]. On TCP none:
 * the connection carries TLS alone from selection on [GAP-48], and TCP itself is the consent.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/mem.h"
#include "ice/ice_impl.h"

/* Between 0.8 and 1.2 of the interval, so that sessions do not beat together. */
static torc_time interval(torc_ice *ice) {
  torc_time base = ice->cfg.consent;
  return base - base / 5 + torc_rng_below(&ice->rng, 2 * (base / 5) + 1);
}

static void release(torc_ice_consent_slot *slot, torc_ice *ice) {
  if (slot->txn.is_known) {
    (void)torc_map_del(&ice->txns, &slot->txn);
    slot->txn.is_known = false;
  }
}

void torc_ice_consent_stop(torc_ice_session *s) {
  for (size_t i = 0; i < TORC_ICE_CONSENT_SLOTS; i++) {
    release(&s->slots[i], s->ice);
  }
  torc_timer_stop(&s->ice->timers, &s->consent);
}

/* One request, a transaction of its own that is not repeated (RFC 7675 5.1). */
static int ask(torc_ice_session *s, torc_ice_datagram *d) {
  torc_ice *ice = s->ice;
  torc_ice_consent_slot *slot = &s->slots[s->next_slot];
  torc_wr wr;
  int rc;
  release(slot, ice);
  torc_wr_init(&wr, d->bytes, torc_ice_request_room(s));
  rc = torc_ice_request_put(s, &wr, slot->txn.txid);
  if (rc != 0) {
    return rc;
  }
  slot->txn.is_consent = true;
  slot->session = s;
  if (torc_map_get(&ice->txns, &slot->txn) != NULL) {
    return TORC_ERR_CRYPTO;
  }
  rc = torc_map_put(&ice->txns, slot);
  slot->txn.is_known = rc == 0;
  if (rc == 0) {
    s->next_slot = (uint8_t)((s->next_slot + 1u) % TORC_ICE_CONSENT_SLOTS);
    d->socket = s->info.socket;
    d->local = s->info.local;
    d->remote = s->info.remote;
    d->len = wr.len;
  }
  return rc;
}

static void arm(torc_ice_session *s) {
  torc_ice *ice = s->ice;
  torc_time end = torc_time_add(s->consent_at, ice->cfg.consent_end);
  torc_time next = torc_time_add(ice->now, interval(ice));
  torc_timer_arm(&ice->timers, &s->consent, next < end ? next : end);
}

void torc_ice_consent_start(torc_ice_session *s) {
  if (s->info.transport == TORC_CAND_UDP) {
    s->consent_at = s->ice->now;
    arm(s);
  }
}

void torc_ice_lose(torc_ice_session *s) {
  torc_ice *ice = s->ice;
  s->state = TORC_ICE_LOST;
  torc_ice_consent_stop(s);
  ice->stats.consent_lost++;
  TORC_LOG(ice->log, TORC_LOG_INFO, "ice:consent_lost", TORC_F_U64("session", s->id));
  torc_ice_queue(ice, &s->node, TORC_ICE_NODE_EVENT);
}

void torc_ice_on_consent(torc_timer *t, torc_time now) {
  torc_ice_session *s = TORC_CONTAINER_OF(t, torc_ice_session, consent);
  torc_ice *ice = s->ice;
  torc_ice_datagram *d;
  if (now >= torc_time_add(s->consent_at, ice->cfg.consent_end)) {
    torc_ice_lose(s);
    return;
  }
  arm(s);
  d = torc_ice_datagram_new(ice, s, torc_ice_request_room(s));
  if (d == NULL) {
    return;
  }
  if (ask(s, d) != 0) {
    torc_free(ice->mem, d);
    return;
  }
  ice->stats.consent_sent++;
  ice->num_queued++;
  torc_ice_queue(ice, &d->node, TORC_ICE_NODE_DATAGRAM);
}

void torc_ice_consent_answer(torc_ice_consent_slot *slot, const torc_ice_from *from,
                             const torc_stun_msg *m) {
  torc_ice_session *s = slot->session;
  torc_ice *ice = s->ice;
  if (m->cls != TORC_STUN_SUCCESS || from->socket != s->info.socket ||
      !torc_stun_addr_eq(&from->remote, &s->info.remote) || m->num_unknown != 0 ||
      torc_stun_check_integrity(m, ice->crypto, &s->peer_key, TORC_STUN_INTEGRITY_SHA1,
                                TORC_STUN_HASH_MAX, NULL) != 0) {
    ice->stats.answers_dropped++;
    return;
  }
  ice->stats.consent_answered++;
  s->consent_at = ice->now;
  release(slot, ice);
}

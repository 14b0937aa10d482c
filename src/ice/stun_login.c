/* Long-term credentials of a client, RFC 8489 9.2.3 to 9.2.5 [ICE-18].
 * SPDX-License-Identifier: Apache-2.0 */
#include "ice/stun_login.h"

#include <string.h>

#include "base/slice.h"

int torc_stun_login_init(torc_stun_login *l, const torc_stun_crypto *c, torc_slice user,
                         torc_slice password) {
  size_t len = 0;
  int rc;
  memset(l, 0, sizeof *l);
  l->hash = TORC_STUN_MD5;
  l->password = password;
  rc = torc_stun_prepare(c, user, l->user, sizeof l->user, &len);
  if (rc == 0) {
    l->user_len = (uint16_t)len;
  }
  return rc;
}

void torc_stun_login_clear(torc_stun_login *l) {
  torc_wipe(l, sizeof *l);
}

/* What a challenge offers; section 9.2.5. */
typedef struct offer {
  torc_slice realm, nonce, algorithms;
  torc_stun_hash hash;
  bool is_anonymous, is_chosen;
} offer;

static int read_offer(const torc_stun_login *l, const torc_stun_msg *m, offer *out) {
  bool has_list = torc_stun_has(m, TORC_STUN_KNOWN_PASSWORD_ALGORITHMS);
  unsigned features;
  torc_rd rd;
  *out = (offer){.hash = TORC_STUN_MD5};
  out->realm = torc_stun_value(m, TORC_STUN_KNOWN_REALM);
  out->nonce = torc_stun_value(m, TORC_STUN_KNOWN_NONCE);
  out->algorithms = torc_stun_value(m, TORC_STUN_KNOWN_PASSWORD_ALGORITHMS);
  if (out->realm.len == 0 && l->is_challenged) { /* of a 438: the same one */
    out->realm = torc_slice_of(l->realm, l->realm_len);
  }
  if (out->realm.len == 0 || out->nonce.len == 0) {
    return TORC_ERR_FORMAT;
  }
  features = torc_stun_nonce_features(out->nonce);
  out->is_anonymous = (features & TORC_STUN_FEATURE_ANONYMITY) != 0;
  out->is_chosen = has_list;
  /* The bits are in the nonce, which the integrity covers: somebody took the list away. */
  if (!has_list && ((features & TORC_STUN_FEATURE_ALGORITHMS) != 0 || l->is_chosen)) {
    return TORC_ERR_DENIED;
  }
  if (!has_list) {
    return 0;
  }
  if (out->algorithms.len > TORC_STUN_ALGORITHMS_MAX) {
    return TORC_ERR_LIMIT;
  }
  torc_rd_init(&rd, out->algorithms);
  return torc_stun_algorithm_next(&rd, &out->hash) ? 0 : TORC_ERR_DENIED;
}

static uint16_t keep(uint8_t *to, torc_slice from) {
  if (from.p != to && from.len != 0) {
    memcpy(to, from.p, from.len);
  }
  return (uint16_t)from.len;
}

int torc_stun_login_challenge(torc_stun_login *l, const torc_stun_crypto *c,
                              const torc_stun_msg *m) {
  uint8_t userhash[TORC_STUN_USERHASH_LEN] = {0};
  torc_slice user = torc_slice_of(l->user, l->user_len);
  torc_stun_key key;
  offer o;
  int rc = read_offer(l, m, &o);
  if (rc != 0) {
    return rc;
  }
  rc = torc_stun_key_long(c, o.hash, user, o.realm, l->password, &key);
  if (rc == 0 && o.is_anonymous) {
    rc = torc_stun_userhash(c, user, o.realm, userhash);
  }
  if (rc == 0) {
    l->realm_len = keep(l->realm, o.realm);
    l->nonce_len = keep(l->nonce, o.nonce);
    l->algorithms_len = keep(l->algorithms, o.algorithms);
    memcpy(l->userhash, userhash, sizeof userhash);
    l->hash = o.hash;
    l->is_anonymous = o.is_anonymous;
    l->is_chosen = o.is_chosen;
    l->is_challenged = true;
    l->key = key;
    torc_stun_key_wipe(&key);
  }
  return rc;
}

void torc_stun_login_put(const torc_stun_login *l, torc_stun_wr *w) {
  if (!l->is_challenged) {
    return;
  }
  if (l->is_anonymous) {
    torc_stun_put(w, TORC_STUN_ATTR_USERHASH, torc_slice_of(l->userhash, sizeof l->userhash));
  } else {
    torc_stun_put(w, TORC_STUN_ATTR_USERNAME, torc_slice_of(l->user, l->user_len));
  }
  torc_stun_put(w, TORC_STUN_ATTR_REALM, torc_slice_of(l->realm, l->realm_len));
  torc_stun_put(w, TORC_STUN_ATTR_NONCE, torc_slice_of(l->nonce, l->nonce_len));
  if (l->is_chosen) {
    torc_stun_put(w, TORC_STUN_ATTR_PASSWORD_ALGORITHMS,
                  torc_slice_of(l->algorithms, l->algorithms_len));
    torc_stun_put_algorithm(w, l->hash);
  }
}

torc_stun_integrity torc_stun_login_integrity(const torc_stun_login *l) {
  if (!l->is_challenged) {
    return TORC_STUN_INTEGRITY_NONE;
  }
  return l->is_chosen ? TORC_STUN_INTEGRITY_SHA256 : TORC_STUN_INTEGRITY_SHA1;
}

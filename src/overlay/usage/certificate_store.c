/* SPDX-License-Identifier: Apache-2.0 */
#include "overlay/usage/certificate_store.h"

#include "base/id.h"
#include "base/slice.h"
#include "overlay/usage/usage.h"

size_t torc_certificate_places(const torc_cert *cert) {
  return (size_t)cert->num_peers + cert->num_users;
}

int torc_certificate_place_of(const torc_crypto *crypto, const torc_id *peer, torc_slice name,
                              torc_id *out) {
  char text[TORC_USER_MAX];
  size_t len = 0;
  if (name.len == 0) { /* [CRT-03] */
    return torc_resource_id(crypto, torc_slice_of(peer->b, TORC_ID_LEN), out);
  }
  int rc = torc_seed_normalise(name, text, sizeof text, &len);
  if (rc != 0) {
    return TORC_ERR_FORMAT;
  }
  return torc_resource_id(crypto, torc_slice_of(text, len), out);
}

int torc_certificate_place(const torc_crypto *crypto, const torc_cert *cert, size_t i,
                           torc_id *out) {
  if (i < cert->num_peers) {
    return torc_certificate_place_of(crypto, &cert->peers[i], torc_slice_of(NULL, 0), out);
  }
  return torc_certificate_place_of(crypto, NULL, torc_slice_str(cert->users[i - cert->num_peers]),
                                   out);
}

/* Signed by the holder of the same peer-id, and with a certificate that ends sooner. */
static bool is_earlier_own(const torc_cert *own, const torc_value *v) {
  return v->signer != NULL && v->signer->num_peers > 0 && own->num_peers > 0 &&
         torc_id_eq(&v->signer->peers[0], &own->peers[0]) &&
         torc_slice_eq(v->value, v->signer->der) && v->signer->not_after < own->not_after;
}

torc_cert_todo torc_certificate_todo(const torc_cert *own, const torc_value *values, size_t num,
                                     torc_wall now) {
  torc_cert_todo todo = {.is_store = true, .index = -1};
  const torc_value *first = NULL;
  size_t num_earlier = 0;
  if (now >= own->not_after) { /* nobody would take it */
    return (torc_cert_todo){.is_store = false};
  }
  uint32_t left = own->not_after - now;
  todo.lifetime_s = left < TORC_CERT_STORED_S ? left : TORC_CERT_STORED_S;
  for (size_t i = 0; i < num; i++) {
    const torc_value *v = &values[i];
    if (v->type != TORC_TYPE_CERTIFICATE || !v->exists) {
      continue;
    }
    if (torc_slice_eq(v->value, own->der)) {
      uint64_t end = (uint64_t)v->storage_time + v->lifetime_s;
      todo.index = v->index;
      todo.is_store = end < (uint64_t)now + TORC_CERT_REFRESH_S &&
                      end + TORC_CERT_GAIN_S <= (uint64_t)now + todo.lifetime_s;
      return todo;
    }
    if (is_earlier_own(own, v)) {
      num_earlier++;
      first = first == NULL || v->signer->not_after < first->signer->not_after ? v : first;
    }
  }
  if (num_earlier > TORC_CERT_PREDECESSORS) {
    todo.index = first->index;
  }
  return todo;
}

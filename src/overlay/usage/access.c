/* Who may write where: the seed construction of each access rule, run over the signer's names
 * [SEC-10]. SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/id.h"
#include "base/slice.h"
#include "overlay/usage/certificate_names.h"
#include "overlay/usage/usage.h"
#include "wire/pdu.h"

/* Every helper below returns 0 if the rule is met, TORC_ERR_DENIED if not, or our own failure. */

static int hash_matches(const torc_crypto *crypto, const torc_id *resource, const torc_slice *parts,
                        size_t num_parts) {
  uint8_t digest[TORC_DIGEST_LEN];
  int rc = crypto->sha256(crypto->ctx, parts, num_parts, digest);
  if (rc != 0) {
    return rc == TORC_ERR_NOMEM ? rc : TORC_ERR_CRYPTO;
  }
  return memcmp(digest, resource->b, TORC_ID_LEN) == 0 ? 0 : TORC_ERR_DENIED;
}

/* [SEC-03] user name or peer-id X permits storing where a look-up of X leads. */
static int user_matches(const torc_crypto *crypto, const torc_id *resource,
                        const torc_cert *signer) {
  int rc = TORC_ERR_DENIED;
  for (size_t i = 0; i < signer->num_users && rc == TORC_ERR_DENIED; i++) {
    torc_slice seed = torc_slice_str(signer->users[i]);
    rc = hash_matches(crypto, resource, &seed, 1);
  }
  return rc;
}

static int node_matches(const torc_crypto *crypto, const torc_id *resource, const torc_id *peers,
                        size_t num_peers) {
  int rc = TORC_ERR_DENIED;
  for (size_t i = 0; i < num_peers && rc == TORC_ERR_DENIED; i++) {
    torc_slice seed = torc_slice_of(peers[i].b, TORC_ID_LEN); /* [GAP-108] raw bytes */
    rc = hash_matches(crypto, resource, &seed, 1);
  }
  return rc;
}

static int multiple_matches(const torc_crypto *crypto, const torc_id *resource,
                            const torc_cert *signer, uint8_t iteration) {
  int rc = TORC_ERR_DENIED;
  for (size_t i = 0; i < signer->num_peers && rc == TORC_ERR_DENIED; i++) {
    const torc_slice seed[2] = {torc_slice_of(signer->peers[i].b, TORC_ID_LEN),
                                torc_slice_of(&iteration, 1)};
    rc = hash_matches(crypto, resource, seed, 2); /* [GAP-153] */
  }
  return rc;
}

/* [GAP-150] the key is the owner's peer-id, 16 raw bytes. */
static bool is_own_peer(torc_slice key, const torc_cert *signer) {
  for (size_t i = 0; i < signer->num_peers; i++) {
    if (torc_slice_eq(key, torc_slice_of(signer->peers[i].b, TORC_ID_LEN))) {
      return true;
    }
  }
  return false;
}

/* A bulletin board [USG-01]: every member may add to it, nobody may touch what others put there.
 * The key is the signer's user name as its certificate has it, or its peer-id, 16 raw bytes. */
static int check_own_key(const torc_entry *entry, const torc_cert *signer) {
  for (size_t i = 0; i < signer->num_users; i++) {
    if (torc_slice_eq(entry->key, torc_slice_str(signer->users[i]))) {
      return 0;
    }
  }
  return is_own_peer(entry->key, signer) ? 0 : TORC_ERR_DENIED;
}

static int check_user_node(const torc_type *type, const torc_crypto *crypto,
                           const torc_id *resource, const torc_entry *entry,
                           const torc_cert *signer) {
  int rc = user_matches(crypto, resource, signer);
  if (rc != 0) {
    return rc;
  }
  if (!is_own_peer(entry->key, signer)) {
    return TORC_ERR_DENIED;
  }
  if (type->id == TORC_TYPE_SIP_REGISTRATION) {
    torc_sip_registration registration; /* [GAP-145] URI 0x01, route 0x02 */
    rc = torc_sip_registration_decode(&registration, entry->value);
  }
  return rc == 0 ? 0 : TORC_ERR_FORMAT;
}

static int check_node_multiple(const torc_type *type, const torc_crypto *crypto,
                               const torc_id *resource, const torc_entry *entry,
                               const torc_cert *signer) {
  if (entry->value.len == 0) {
    return TORC_ERR_FORMAT;
  }
  uint8_t iteration = entry->value.p[0];
  if (type->id == TORC_TYPE_TURN_SERVICE) {
    torc_turn_server server; /* 9 bytes do not parse */
    if (torc_turn_server_decode(&server, entry->value) != 0) {
      return TORC_ERR_FORMAT;
    }
  }
  if (iteration == 0 || iteration > TORC_ITERATION_MAX) {
    return TORC_ERR_INVALID; /* */
  }
  return multiple_matches(crypto, resource, signer, iteration);
}

static bool is_user_of(const torc_cert *signer, torc_slice name) {
  for (size_t i = 0; i < signer->num_users; i++) {
    if (torc_slice_eq(torc_slice_str(signer->users[i]), name)) {
      return true;
    }
  }
  return false;
}

static bool is_peer_of(const torc_cert *signer, const torc_id *peer) {
  for (size_t i = 0; i < signer->num_peers; i++) {
    if (torc_id_eq(&signer->peers[i], peer)) {
      return true;
    }
  }
  return false;
}

/* They have a user name in common, and a name that both have hashes to the resource. */
static int names_match(const torc_crypto *crypto, const torc_id *resource, const torc_cert *signer,
                       const torc_certificate_names *names) {
  int rc = TORC_ERR_DENIED;
  bool is_user = false;
  for (size_t i = 0; i < names->num_users && rc == TORC_ERR_DENIED; i++) {
    char name[TORC_USER_MAX];
    size_t len = 0;
    if (torc_seed_normalise(names->users[i], name, sizeof name, &len) == 0 &&
        is_user_of(signer, torc_slice_of(name, len))) {
      torc_slice seed = torc_slice_of(name, len);
      is_user = true;
      rc = hash_matches(crypto, resource, &seed, 1);
    }
  }
  for (size_t i = 0; i < names->num_peers && rc == TORC_ERR_DENIED && is_user; i++) {
    if (is_peer_of(signer, &names->peers[i])) {
      rc = node_matches(crypto, resource, &names->peers[i], 1);
    }
  }
  return rc;
}

static int own_names_match(const torc_crypto *crypto, const torc_id *resource,
                           const torc_cert *signer) {
  int rc = node_matches(crypto, resource, signer->peers, signer->num_peers);
  if (rc == TORC_ERR_DENIED) {
    rc = user_matches(crypto, resource, signer);
  }
  return rc;
}

/* [CRT-08] [GAP-157] the value is the signer's own certificate, or another of the same user where a
 * name that both have leads. The other one's chain is not checked here, so its further names are
 * mere claims [SEC-11]: whoever resolves an identity with it does. But it must name the issuer of
 * the signer's own. */
static int check_certificate(const torc_crypto *crypto, const torc_id *resource,
                             const torc_entry *entry, const torc_cert *signer) {
  if (torc_slice_eq(entry->value, signer->der)) {
    return own_names_match(crypto, resource, signer);
  }
  torc_certificate_names names;
  if (torc_certificate_names_read(&names, entry->value) != 0) {
    return TORC_ERR_FORMAT; /* no certificate */
  }
  torc_certificate_names own;
  if (torc_certificate_names_read(&own, signer->der) != 0 ||
      !torc_slice_eq(own.issuer, names.issuer)) {
    return TORC_ERR_INVALID; /* not of this overlay */
  }
  return names_match(crypto, resource, signer, &names);
}

bool torc_cert_is_anyone(const torc_cert *cert) {
  return cert->der.len == 0;
}

int torc_access_check(const torc_type *type, const torc_crypto *crypto, const torc_id *resource,
                      const torc_entry *entry, const torc_cert *signer) {
  if (torc_cert_is_anyone(signer)) {
    return 0;
  }
  /* [USG-03] [SEC-02] [SEC-11] a slot belongs to the few certificates whose names lead to it. */
  switch (type->access) {
    case TORC_ACCESS_USER_MATCH:
      return user_matches(crypto, resource, signer);
    case TORC_ACCESS_NODE_MATCH:
      return node_matches(crypto, resource, signer->peers, signer->num_peers);
    case TORC_ACCESS_USER_NODE_MATCH:
      return check_user_node(type, crypto, resource, entry, signer);
    case TORC_ACCESS_NODE_MULTIPLE:
      return check_node_multiple(type, crypto, resource, entry, signer);
    case TORC_ACCESS_CERTIFICATE:
      return check_certificate(crypto, resource, entry, signer);
    case TORC_ACCESS_OWN_KEY:
      return check_own_key(entry, signer);
    default:
      return TORC_ERR_DENIED;
  }
}

int torc_access_check_remove(const torc_type *type, const torc_crypto *crypto,
                             const torc_id *resource, const torc_entry *stored,
                             const torc_cert *signer) {
  /* [REM-02] [GAP-92] the rule of STORE, over what is stored. */
  int rc = torc_access_check(type, crypto, resource, stored, signer);
  return rc == TORC_ERR_FORMAT || rc == TORC_ERR_INVALID ? TORC_ERR_DENIED : rc;
}

bool torc_access_message_signer(const torc_type *type, const torc_crypto *crypto,
                                const torc_id *resource, const torc_entry *entry,
                                const torc_cert *message_signer) {
  return torc_access_check(type, crypto, resource, entry, message_signer) == 0; /* */
}

int torc_access_check_unseen(const torc_type *type, const torc_crypto *crypto,
                             const torc_id *resource, const torc_cert *signer, bool *out) {
  int rc = TORC_ERR_DENIED;
  if (torc_cert_is_anyone(signer)) {
    *out = true;
    return 0;
  }
  switch (type->access) {
    case TORC_ACCESS_USER_MATCH:
    case TORC_ACCESS_USER_NODE_MATCH:
      rc = user_matches(crypto, resource, signer);
      break;
    case TORC_ACCESS_NODE_MATCH:
      rc = node_matches(crypto, resource, signer->peers, signer->num_peers);
      break;
    case TORC_ACCESS_NODE_MULTIPLE:
      for (uint8_t i = 1; i <= TORC_ITERATION_MAX && rc == TORC_ERR_DENIED; i++) {
        rc = multiple_matches(crypto, resource, signer, i);
      }
      break;
    case TORC_ACCESS_CERTIFICATE:
      rc = own_names_match(crypto, resource, signer);
      break;
    case TORC_ACCESS_OWN_KEY: /* under its own keys, which may be anywhere */
      rc = 0;
      break;
    default:
      break;
  }
  if (rc != 0 && rc != TORC_ERR_DENIED) {
    return rc;
  }
  *out = rc == 0;
  return 0;
}

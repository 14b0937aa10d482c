/* Access rules, and the names in a certificate.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "torc_test.h"

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/x509v3.h>

#include "base/id.h"
#include "base/slice.h"
#include "helper_crypto.h"
#include "overlay/usage/certificate_names.h"
#include "overlay/usage/usage.h"

static torc_type a_type(torc_model model, torc_access access) {
  return (torc_type){.id = 0xf00001,
                     .name = "t",
                     .model = model,
                     .access = access,
                     .max_values = 1,
                     .max_size = 100,
                     .max_lifetime_s = 100};
}

static int check(const torc_type *type, const torc_id *resource, const torc_entry *e,
                 const torc_cert *signer) {
  int rc = torc_access_check(type, helper_crypto(), resource, e, signer);
  assert_int_equal(torc_access_message_signer(type, helper_crypto(), resource, e, signer), rc == 0);
  int remove = torc_access_check_remove(type, helper_crypto(), resource, e, signer);
  assert_int_equal(remove, rc == 0 ? 0 : TORC_ERR_DENIED);
  return rc;
}

static bool check_unseen(const torc_type *type, const torc_id *resource, const torc_cert *signer) {
  bool out = false;
  assert_int_equal(torc_access_check_unseen(type, helper_crypto(), resource, signer, &out), 0);
  return out;
}

static void user_and_node(void **state) {
  (void)state;
  torc_id peer = helper_id(7, 9);
  torc_cert *alice = helper_cert("alice@example.org", &peer);
  torc_id at_user = helper_user_resource("alice@example.org");
  torc_id at_peer = helper_peer_resource(&peer);
  torc_entry e = {.model = TORC_MODEL_SINGLE};
  torc_type user = a_type(TORC_MODEL_SINGLE, TORC_ACCESS_USER_MATCH);
  torc_type node = a_type(TORC_MODEL_SINGLE, TORC_ACCESS_NODE_MATCH);
  assert_int_equal(check(&user, &at_user, &e, alice), 0);
  assert_int_equal(check(&user, &at_peer, &e, alice), TORC_ERR_DENIED);
  assert_int_equal(check(&user, &peer, &e, alice), TORC_ERR_DENIED); /* hashed, not the id itself */
  assert_int_equal(check(&node, &at_peer, &e, alice), 0);
  assert_int_equal(check(&node, &at_user, &e, alice), TORC_ERR_DENIED);
  assert_int_equal(check(&node, &peer, &e, alice), TORC_ERR_DENIED);
  assert_true(check_unseen(&user, &at_user, alice));
  assert_false(check_unseen(&user, &at_peer, alice));
  assert_true(check_unseen(&node, &at_peer, alice));
  assert_false(check_unseen(&node, &at_user, alice));
  /* Every name of the certificate counts, and none beyond. */
  helper_cert_add_user(alice, "boss@example.org");
  torc_id at_boss = helper_user_resource("boss@example.org");
  assert_int_equal(check(&user, &at_boss, &e, alice), 0);
  alice->num_users = 1;
  assert_int_equal(check(&user, &at_boss, &e, alice), TORC_ERR_DENIED);
  alice->num_users = 0;
  assert_int_equal(check(&user, &at_user, &e, alice), TORC_ERR_DENIED);
  helper_cert_free(alice);
}

static void user_node(void **state) {
  (void)state;
  torc_type room[TORC_TYPES_MAX];
  torc_types types;
  torc_types_init(&types, room, TORC_TYPES_MAX);
  const torc_type *sip = torc_types_find(&types, TORC_TYPE_SIP_REGISTRATION);
  torc_id peer = helper_id(7, 9);
  torc_id other = helper_id(8, 9);
  torc_cert *alice = helper_cert("alice@example.org", &peer);
  torc_id res = helper_user_resource("alice@example.org");
  torc_id wrong = helper_user_resource("bob@example.org");
  static const uint8_t uri[] = {1, 0, 4, 'b', '@', 'c', '.'};
  static const uint8_t route[] = {2, 0, 0, 0, 16, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
  static const uint8_t no_kind[] = {3, 0, 1, 'b'};
  torc_entry e = {.model = TORC_MODEL_DICTIONARY, .key = {peer.b, 16}, .value = {uri, sizeof uri}};
  assert_int_equal(check(sip, &res, &e, alice), 0);
  e.value = torc_slice_of(route, sizeof route);
  assert_int_equal(check(sip, &res, &e, alice), 0);
  assert_int_equal(check(sip, &wrong, &e, alice), TORC_ERR_DENIED);
  e.key = torc_slice_of(other.b, 16);
  assert_int_equal(check(sip, &res, &e, alice), TORC_ERR_DENIED); /* another device's entry */
  e.key = torc_slice_of(peer.b, 15);
  assert_int_equal(check(sip, &res, &e, alice), TORC_ERR_DENIED);
  e.key = torc_slice_of(peer.b, 16);
  e.value = torc_slice_of(no_kind, sizeof no_kind);
  assert_int_equal(check(sip, &res, &e, alice), TORC_ERR_FORMAT);
  e.value = torc_slice_of(NULL, 0);
  assert_int_equal(check(sip, &res, &e, alice), TORC_ERR_FORMAT);
  /* A private type with the same rule has values of any form. */
  torc_type own = a_type(TORC_MODEL_DICTIONARY, TORC_ACCESS_USER_NODE_MATCH);
  assert_int_equal(check(&own, &res, &e, alice), 0);
  assert_true(check_unseen(sip, &res, alice));
  assert_false(check_unseen(sip, &wrong, alice));
  helper_cert_free(alice);
}

static void node_multiple(void **state) {
  (void)state;
  torc_type room[TORC_TYPES_MAX];
  torc_types types;
  torc_types_init(&types, room, TORC_TYPES_MAX);
  const torc_type *turn = torc_types_find(&types, TORC_TYPE_TURN_SERVICE);
  torc_id peer = helper_id(7, 9);
  torc_cert *alice = helper_cert(NULL, &peer);
  torc_cert *bob = helper_cert("bob@example.org", NULL);
  for (unsigned i = 0; i <= 255; i++) {
    uint8_t value[20] = {(uint8_t)i, 1, 192, 0, 2, 7, 0x0d, 0x96};
    torc_id res = helper_turn_resource(&peer, (uint8_t)i);
    torc_entry e = {.model = TORC_MODEL_SINGLE, .value = {value, 8}};
    bool is_ok = i >= 1 && i <= 100;
    assert_int_equal(check(turn, &res, &e, alice), is_ok ? 0 : TORC_ERR_INVALID);
    assert_int_equal(check_unseen(turn, &res, alice), is_ok);
    e.value.len = 9;
    assert_int_equal(check(turn, &res, &e, alice), TORC_ERR_FORMAT);
    value[1] = 2;
    e.value.len = 20;
    assert_int_equal(check(turn, &res, &e, alice), is_ok ? 0 : TORC_ERR_INVALID);
    if (is_ok) {
      value[0]++;
      assert_int_equal(check(turn, &res, &e, alice), i == 100 ? TORC_ERR_INVALID : TORC_ERR_DENIED);
      value[0]--;
      assert_int_equal(check(turn, &res, &e, bob), TORC_ERR_DENIED);
    }
  }
  torc_id plain = helper_peer_resource(&peer); /* the seed is not the peer-id alone [GAP-153] */
  static const uint8_t value[8] = {1, 1, 192, 0, 2, 7, 0x0d, 0x96};
  torc_entry e = {.model = TORC_MODEL_SINGLE, .value = {value, 8}};
  assert_int_equal(check(turn, &plain, &e, alice), TORC_ERR_DENIED);
  torc_type own = a_type(TORC_MODEL_SINGLE, TORC_ACCESS_NODE_MULTIPLE);
  torc_id res = helper_turn_resource(&peer, 1);
  e.value.len = 1;
  assert_int_equal(check(&own, &res, &e, alice),
                   0); /* the first byte is the iteration, the rest is free */
  e.value.len = 0;
  assert_int_equal(check(&own, &res, &e, alice), TORC_ERR_FORMAT);
  helper_cert_free(alice);
  helper_cert_free(bob);
}

/* A certificate with these SubjectAltNames, issued by a CA of this name; not signed by it. */
static torc_slice make_der(const char *issuer, const char *san, uint8_t *buf, size_t cap) {
  EVP_PKEY *key = EVP_EC_gen("P-256");
  X509 *x = X509_new();
  assert_non_null(key);
  assert_non_null(x);
  assert_int_equal(X509_set_version(x, 2), 1);
  ASN1_INTEGER_set(X509_get_serialNumber(x), 77);
  X509_gmtime_adj(X509_getm_notBefore(x), 0);
  X509_gmtime_adj(X509_getm_notAfter(x), 1000);
  X509_NAME *name = X509_NAME_new();
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)issuer, -1, -1, 0);
  X509_set_issuer_name(x, name);
  X509_NAME_free(name);
  X509_set_pubkey(x, key);
  X509V3_CTX ctx;
  X509V3_set_ctx(&ctx, x, x, NULL, NULL, 0);
  X509_EXTENSION *usage =
      X509V3_EXT_conf_nid(NULL, &ctx, NID_key_usage, "critical,digitalSignature");
  X509_add_ext(x, usage, -1);
  X509_EXTENSION_free(usage);
  if (san != NULL) {
    X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, &ctx, NID_subject_alt_name, san);
    assert_non_null(ext);
    X509_add_ext(x, ext, -1);
    X509_EXTENSION_free(ext);
  }
  assert_true(X509_sign(x, key, EVP_sha256()) > 0);
  int len = i2d_X509(x, NULL);
  assert_true(len > 0 && (size_t)len <= cap);
  unsigned char *p = buf;
  i2d_X509(x, &p);
  X509_free(x);
  EVP_PKEY_free(key);
  return torc_slice_of(buf, (size_t)len);
}

#define HEX_A "0707070707070707070707070707070a"
#define HEX_B "0B0B0B0B0B0B0B0B0B0B0B0B0B0B0B0B"
#define SAN_ALICE "email:Alice@Example.ORG,URI:reload://" HEX_A "@example.org"

static void reads_names(void **state) {
  (void)state;
  uint8_t buf[4096];
  torc_certificate_names names;
  torc_slice der =
      make_der("Torc CA",
               "DNS:x.example,email:one@a.b,URI:http://" HEX_A "@a.b,URI:reload://" HEX_A
               "@a.b,"
               "URI:reload://0110" HEX_B "@a.b,URI:reload://00@a.b,URI:reload://" HEX_A
               ",URI:reload://00000000000000000000000000000000@a.b,email:two@a.b",
               buf, sizeof buf);
  assert_int_equal(torc_certificate_names_read(&names, der), 0);
  assert_int_equal(names.num_users, 2);
  assert_true(torc_slice_eq(names.users[0], torc_slice_str("one@a.b")));
  assert_true(torc_slice_eq(names.users[1], torc_slice_str("two@a.b")));
  assert_int_equal(names.num_peers, 2);
  torc_id want;
  assert_int_equal(torc_id_parse(HEX_A, 32, &want), 0);
  assert_true(torc_id_eq(&names.peers[0], &want));
  assert_int_equal(torc_id_parse(HEX_B, 32, &want), 0);
  assert_true(torc_id_eq(&names.peers[1], &want));
  der = make_der("Torc CA", NULL, buf, sizeof buf);
  assert_int_equal(torc_certificate_names_read(&names, der), 0);
  assert_int_equal(names.num_users + names.num_peers, 0);
  der = make_der("Torc CA", "email:1@a.b,email:2@a.b,email:3@a.b,email:4@a.b,email:5@a.b", buf,
                 sizeof buf);
  assert_int_equal(torc_certificate_names_read(&names, der), 0);
  assert_int_equal(names.num_users, TORC_CERT_MAX_USERS);
}

/* Cut at each length, each bit flipped: never out of bounds, and a cut one is never a certificate.
 */
static void reads_hostile_certificates(void **state) {
  (void)state;
  uint8_t buf[4096];
  torc_slice der = make_der("Torc CA", SAN_ALICE, buf, sizeof buf);
  torc_certificate_names names;
  for (size_t len = 0; len < der.len; len++) {
    uint8_t *cut = malloc(len > 0 ? len : 1);
    memcpy(cut, der.p, len);
    assert_int_not_equal(torc_certificate_names_read(&names, torc_slice_of(cut, len)), 0);
    free(cut);
  }
  uint8_t *copy = malloc(der.len);
  for (size_t bit = 0; bit < der.len * 8; bit++) {
    memcpy(copy, der.p, der.len);
    copy[bit / 8] ^= (uint8_t)(1u << bit % 8);
    memset(&names, 0, sizeof names);
    int rc = torc_certificate_names_read(&names, torc_slice_of(copy, der.len));
    assert_true(rc == 0 || rc == TORC_ERR_FORMAT || rc == TORC_ERR_SHORT);
    assert_true(names.num_users <= TORC_CERT_MAX_USERS && names.num_peers <= TORC_CERT_MAX_PEERS);
  }
  free(copy);
  static const char *const bad[] = {"3000",     "30803000",     "3084ffffffff",
                                    "02020000", "300530030000", "3003300130"};
  for (size_t i = 0; i < TORC_ARRAY_LEN(bad); i++) {
    uint8_t raw[16];
    size_t len = torc_unhex(bad[i], raw, sizeof raw);
    assert_int_not_equal(torc_certificate_names_read(&names, torc_slice_of(raw, len)), 0);
  }
}

static void certificate_rule(void **state) {
  (void)state;
  torc_type room[TORC_TYPES_MAX];
  torc_types types;
  torc_types_init(&types, room, TORC_TYPES_MAX);
  const torc_type *type = torc_types_find(&types, TORC_TYPE_CERTIFICATE);
  uint8_t own_buf[4096];
  uint8_t other_buf[4096];
  torc_id peer;
  torc_id other_peer;
  assert_int_equal(torc_id_parse(HEX_A, 32, &peer), 0);
  assert_int_equal(torc_id_parse(HEX_B, 32, &other_peer), 0);
  torc_slice own = make_der("Torc CA", SAN_ALICE, own_buf, sizeof own_buf);
  torc_cert *alice = helper_cert_der("Alice@example.org", &peer, own);
  torc_id at_user = helper_user_resource("Alice@example.org");
  torc_id at_peer = helper_peer_resource(&peer);
  torc_id at_other = helper_peer_resource(&other_peer);
  torc_entry e = {.model = TORC_MODEL_ARRAY, .value = own};
  /* Her own: where any of its names leads. */
  assert_int_equal(check(type, &at_user, &e, alice), 0);
  assert_int_equal(check(type, &at_peer, &e, alice), 0);
  assert_int_equal(check(type, &at_other, &e, alice), TORC_ERR_DENIED);
  assert_true(check_unseen(type, &at_user, alice));
  assert_true(check_unseen(type, &at_peer, alice));
  assert_false(check_unseen(type, &at_other, alice));
  /* Her other device's: same user name, same issuer; where that name leads. Its peer-id nobody has
   * proved. */
  e.value = make_der("Torc CA", "email:Alice@example.org,URI:reload://" HEX_B "@example.org",
                     other_buf, sizeof other_buf);
  assert_int_equal(check(type, &at_user, &e, alice), 0);
  assert_int_equal(check(type, &at_other, &e, alice), TORC_ERR_DENIED);
  assert_int_equal(check(type, &at_peer, &e, alice), TORC_ERR_DENIED);
  /* Of another overlay. */
  e.value = make_der("Other CA", "email:Alice@example.org", other_buf, sizeof other_buf);
  assert_int_equal(check(type, &at_user, &e, alice), TORC_ERR_INVALID);
  /* Somebody else's, at her place and at theirs. */
  e.value = make_der("Torc CA", "email:bob@example.org,URI:reload://" HEX_A "@example.org",
                     other_buf, sizeof other_buf);
  torc_id at_bob = helper_user_resource("bob@example.org");
  assert_int_equal(check(type, &at_bob, &e, alice), TORC_ERR_DENIED);
  assert_int_equal(check(type, &at_peer, &e, alice), TORC_ERR_DENIED);
  /* No certificate at all. */
  e.value = torc_slice_str("hello");
  assert_int_equal(check(type, &at_user, &e, alice), TORC_ERR_FORMAT);
  e.value = torc_slice_of(NULL, 0);
  assert_int_equal(check(type, &at_user, &e, alice), TORC_ERR_FORMAT);
  helper_cert_free(alice);
}

/* Bytes that look like a certificate prove nothing: who writes his own user name into them, beside
 * the names of others, gets no place of theirs, whose ten slots he would fill. */
static void forged_certificate(void **state) {
  (void)state;
  torc_type room[TORC_TYPES_MAX];
  torc_types types;
  torc_types_init(&types, room, TORC_TYPES_MAX);
  const torc_type *type = torc_types_find(&types, TORC_TYPE_CERTIFICATE);
  uint8_t own_buf[4096];
  uint8_t forged_buf[4096];
  torc_id peer;
  torc_id bobs_peer;
  assert_int_equal(torc_id_parse(HEX_A, 32, &peer), 0);
  assert_int_equal(torc_id_parse(HEX_B, 32, &bobs_peer), 0);
  torc_cert *mallory = helper_cert_der(
      "mallory@example.org", &peer,
      make_der("Torc CA", "email:mallory@example.org,URI:reload://" HEX_A "@example.org", own_buf,
               sizeof own_buf));
  torc_entry e = {.model = TORC_MODEL_ARRAY};
  e.value =
      make_der("Torc CA",
               "email:mallory@example.org,email:bob@example.org,URI:reload://" HEX_B "@example.org",
               forged_buf, sizeof forged_buf);
  torc_id at_bob = helper_user_resource("bob@example.org");
  torc_id at_bobs_peer = helper_peer_resource(&bobs_peer);
  torc_id at_mallory = helper_user_resource("mallory@example.org");
  assert_int_equal(check(type, &at_bob, &e, mallory), TORC_ERR_DENIED);
  assert_int_equal(check(type, &at_bobs_peer, &e, mallory), TORC_ERR_DENIED);
  assert_int_equal(check(type, &at_mallory, &e, mallory), 0); /* only his own place */
  helper_cert_free(mallory);
}

static int failing_sha256(void *ctx, const torc_slice *parts, size_t num,
                          uint8_t out[TORC_DIGEST_LEN]) {
  (void)parts;
  (void)num;
  (void)out;
  return *(int *)ctx;
}

/* When the hash fails nobody gets in, and the failure is ours, not the signer's. */
static void failing_hash(void **state) {
  (void)state;
  int rc = TORC_ERR_NOMEM;
  torc_crypto crypto = {.ctx = &rc, .sha256 = failing_sha256};
  torc_id peer = helper_id(7, 9);
  torc_cert *alice = helper_cert("alice@example.org", &peer);
  torc_id res = helper_user_resource("alice@example.org");
  static const uint8_t value[1] = {1};
  torc_entry e = {.model = TORC_MODEL_SINGLE, .key = {peer.b, 16}, .value = {value, 1}};
  for (torc_access access = TORC_ACCESS_USER_MATCH; access <= TORC_ACCESS_NODE_MULTIPLE; access++) {
    torc_type type = a_type(TORC_MODEL_DICTIONARY, access);
    bool out = false;
    rc = TORC_ERR_NOMEM;
    assert_int_equal(torc_access_check(&type, &crypto, &res, &e, alice), TORC_ERR_NOMEM);
    assert_int_equal(torc_access_check_unseen(&type, &crypto, &res, alice, &out), TORC_ERR_NOMEM);
    rc = -77;
    assert_int_equal(torc_access_check_remove(&type, &crypto, &res, &e, alice), TORC_ERR_CRYPTO);
    assert_false(torc_access_message_signer(&type, &crypto, &res, &e, alice));
    assert_false(out);
  }
  helper_cert_free(alice);
}

static void own_key(void **state) {
  (void)state;
  torc_id peer = helper_id(7, 9);
  torc_id other = helper_id(8, 9);
  torc_id anywhere = helper_id(1, 2);
  torc_cert *alice = helper_cert("alice@example.org", &peer);
  torc_type board = a_type(TORC_MODEL_DICTIONARY, TORC_ACCESS_OWN_KEY);
  torc_entry e = {.model = TORC_MODEL_DICTIONARY, .key = torc_slice_str("alice@example.org")};
  assert_int_equal(check(&board, &anywhere, &e, alice), 0);
  e.key = torc_slice_of(peer.b, sizeof peer.b);
  assert_int_equal(check(&board, &anywhere, &e, alice), 0);
  static const char *const foreign[] = {"", "alice", "alice@example.orgx", "Alice@example.org",
                                        "bob@example.org"};
  for (size_t i = 0; i < TORC_ARRAY_LEN(foreign); i++) {
    e.key = torc_slice_str(foreign[i]);
    assert_int_equal(check(&board, &anywhere, &e, alice), TORC_ERR_DENIED);
  }
  e.key = torc_slice_of(other.b, sizeof other.b);
  assert_int_equal(check(&board, &anywhere, &e, alice), TORC_ERR_DENIED);
  e.key = torc_slice_of(peer.b, sizeof peer.b - 1);
  assert_int_equal(check(&board, &anywhere, &e, alice), TORC_ERR_DENIED);
  assert_true(check_unseen(&board, &anywhere, alice));
  alice->num_users = 0;
  e.key = torc_slice_str("alice@example.org");
  assert_int_equal(check(&board, &anywhere, &e, alice), TORC_ERR_DENIED);
  helper_cert_free(alice);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TORC_TEST("SEC-02 SEC-03 SEC-10 SEC-11 STO-18 GAP-108 R-02 user and node rule",
                user_and_node),
      TORC_TEST("SIP-09 GAP-144 GAP-145 GAP-150 R-24 user and key rule", user_node),
      TORC_TEST("USG-03 SEC-10 GAP-92 own key anywhere", own_key),
      TORC_TEST("TRN-09 TRN-10 GAP-153 GAP-154 R-24 peer-id and iteration rule", node_multiple),
      TORC_TEST("GAP-134 CRT-08 names in a certificate", reads_names),
      TORC_TEST("GAP-134 hostile certificates", reads_hostile_certificates),
      TORC_TEST("CRT-08 GAP-157 R-24 REM-02 GAP-92 certificate rule", certificate_rule),
      TORC_TEST("CRT-08 GAP-157 SEC-11 a forged certificate takes nobody's place",
                forged_certificate),
      TORC_TEST("SEC-10 a hash that fails lets nobody in", failing_hash),
  };
  return TORC_RUN(tests);
}

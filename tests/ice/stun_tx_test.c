/* STUN transactions in virtual time: repeats, timeouts, cancelling, credentials, forged answers.
 * SPDX-License-Identifier: Apache-2.0 */
#include "ice/stun_tx.h"

#include "base/slice.h"
#include "ice/helper_stun.h"
#include "torc_test.h"

#define K(name_) TORC_STUN_KNOWN_##name_
#define A(name_) TORC_STUN_ATTR_##name_

static const torc_stun_path server = {
    .socket = 7, .remote = {.family = 1, .addr = {192, 0, 2, 1}, .port = 3478}};

typedef struct bed {
  helper_stun crypto;
  torc_stun_tx tx;
  torc_stun_request req;
  uint8_t room[1024];
  torc_stun_msg sent; /* what the server got last */
  uint8_t sent_bytes[1024];
  size_t num_sent;
  bool is_done;
  torc_stun_result result;
  uint8_t answer[1024];
  torc_wr wr;
  torc_stun_wr w;
} bed;

static void set_up(bed *b) {
  memset(b, 0, sizeof *b);
  helper_stun_init(&b->crypto);
  b->req = (torc_stun_request){.method = TORC_STUN_BINDING, .path = server};
}

static void drain(bed *b) {
  torc_stun_output out;
  while (torc_stun_tx_poll(&b->tx, &out)) {
    if (out.kind == TORC_STUN_OUT_SEND) {
      assert_true(torc_stun_addr_eq(&out.path.remote, &server.remote) && out.path.socket == 7);
      memcpy(b->sent_bytes, out.bytes.p, out.bytes.len);
      assert_int_equal(torc_stun_decode(&b->sent, torc_slice_of(b->sent_bytes, out.bytes.len)), 0);
      b->num_sent++;
    } else {
      assert_false(b->is_done);
      b->is_done = true;
      b->result = out.result;
    }
  }
}

static void start(bed *b) {
  assert_int_equal(
      torc_stun_tx_start(&b->tx, &b->crypto.table, &b->req, b->room, sizeof b->room, 0), 0);
  drain(b);
  assert_int_equal(b->num_sent, 1);
}

static void tick(bed *b, torc_time now) {
  torc_stun_tx_tick(&b->tx, now);
  drain(b);
}

/* An answer to what was sent last; more may be put into b->w before `deliver`. */
static void begin_answer(bed *b, torc_stun_class cls) {
  torc_wr_init(&b->wr, b->answer, sizeof b->answer);
  torc_stun_begin(&b->w, &b->wr, cls, b->sent.method, b->sent.txid);
}

static int deliver_from(bed *b, const torc_stun_path *path, torc_time now) {
  torc_stun_msg m;
  int rc;
  assert_int_equal(b->wr.err, 0);
  assert_int_equal(torc_stun_decode(&m, torc_wr_slice(&b->wr)), 0);
  rc = torc_stun_tx_input(&b->tx, path, &m, now);
  drain(b);
  return rc;
}

static void deliver(bed *b, torc_time now) {
  assert_int_equal(deliver_from(b, &server, now), 0);
}

static void test_schedule(void **state) {
  static const torc_time at_ms[] = {500, 1500, 3500, 7500, 15500, 31500};
  bed b;
  (void)state;
  set_up(&b);
  start(&b);
  for (size_t i = 0; i < TORC_ARRAY_LEN(at_ms); i++) {
    assert_true(torc_stun_tx_deadline(&b.tx) == TORC_MS(at_ms[i]));
    tick(&b, TORC_MS(at_ms[i]) - 1);
    assert_int_equal(b.num_sent, i + 1);
    tick(&b, TORC_MS(at_ms[i]));
    tick(&b, TORC_MS(at_ms[i]));
    assert_int_equal(b.num_sent, i + 2);
    assert_int_equal(b.sent.txid[0], 1);
  }
  assert_true(torc_stun_tx_deadline(&b.tx) == TORC_MS(39500));
  tick(&b, TORC_MS(39499));
  assert_false(b.is_done);
  tick(&b, TORC_MS(39500));
  assert_true(b.is_done);
  assert_int_equal(b.result.rc, TORC_ERR_TIMEOUT);
  assert_int_equal(b.result.num_sends, TORC_STUN_RC);
  assert_true(torc_stun_tx_deadline(&b.tx) == TORC_NEVER);
  tick(&b, TORC_SEC(100));
  assert_int_equal(b.num_sent, TORC_STUN_RC);
}

static void test_own_timing(void **state) {
  bed b;
  (void)state;
  set_up(&b);
  b.req.rto = TORC_MS(100);
  b.req.rc = 2;
  b.req.rm = 4;
  start(&b);
  tick(&b, TORC_MS(100));
  assert_int_equal(b.num_sent, 2);
  assert_true(torc_stun_tx_deadline(&b.tx) == TORC_MS(500));
  tick(&b, TORC_MS(500));
  assert_true(b.is_done);
  set_up(&b);
  b.req.rc = 1;
  start(&b);
  assert_true(torc_stun_tx_deadline(&b.tx) == TORC_SEC(8));
}

/* A loop that was held up sends one request, not all that were due; time does not run back. */
static void test_late(void **state) {
  bed b;
  (void)state;
  set_up(&b);
  start(&b);
  tick(&b, TORC_SEC(20));
  assert_int_equal(b.num_sent, 2);
  assert_true(torc_stun_tx_deadline(&b.tx) == TORC_SEC(21));
  tick(&b, TORC_SEC(1));
  assert_int_equal(b.num_sent, 2);
}

static void test_reliable(void **state) {
  bed b;
  (void)state;
  set_up(&b);
  b.req.is_reliable = true;
  start(&b);
  assert_true(torc_stun_tx_deadline(&b.tx) == TORC_STUN_TI);
  tick(&b, TORC_STUN_TI - 1);
  assert_int_equal(b.num_sent, 1);
  tick(&b, TORC_STUN_TI);
  assert_int_equal(b.result.rc, TORC_ERR_TIMEOUT);
  assert_int_equal(b.num_sent, 1);
}

static void test_success(void **state) {
  const torc_addr mapped = {.family = 1, .addr = {198, 51, 100, 1}, .port = 40000};
  torc_addr a;
  bed b;
  (void)state;
  set_up(&b);
  b.req.has_fingerprint = true;
  start(&b);
  assert_true(torc_stun_has(&b.sent, K(FINGERPRINT)));
  begin_answer(&b, TORC_STUN_SUCCESS);
  torc_stun_put_xor_addr(&b.w, A(XOR_MAPPED_ADDRESS), &mapped);
  deliver(&b, TORC_MS(80));
  assert_true(b.is_done);
  assert_int_equal(b.result.rc, 0);
  assert_true(b.result.rtt == TORC_MS(80));
  assert_int_equal(torc_stun_get_addr(&b.result.msg, K(XOR_MAPPED_ADDRESS), &a), 0);
  assert_true(torc_stun_addr_eq(&a, &mapped));
  assert_int_equal(deliver_from(&b, &server, TORC_MS(81)), TORC_ERR_NOTFOUND); /* a second one */
}

/* Of two requests sent nobody knows which was answered. */
static void test_rtt_unclear(void **state) {
  bed b;
  (void)state;
  set_up(&b);
  start(&b);
  tick(&b, TORC_MS(500));
  begin_answer(&b, TORC_STUN_SUCCESS);
  deliver(&b, TORC_MS(510));
  assert_int_equal(b.result.rc, 0);
  assert_true(b.result.rtt == 0);
}

static void test_not_ours(void **state) {
  torc_stun_path other = server;
  bed b;
  (void)state;
  set_up(&b);
  start(&b);
  begin_answer(&b, TORC_STUN_REQUEST);
  assert_int_equal(deliver_from(&b, &server, 1), TORC_ERR_NOTFOUND);
  begin_answer(&b, TORC_STUN_INDICATION);
  assert_int_equal(deliver_from(&b, &server, 1), TORC_ERR_NOTFOUND);
  begin_answer(&b, TORC_STUN_SUCCESS);
  b.answer[19] ^= 1; /* transaction id */
  assert_int_equal(deliver_from(&b, &server, 1), TORC_ERR_NOTFOUND);
  begin_answer(&b, TORC_STUN_SUCCESS);
  b.answer[1] ^= 2; /* method */
  assert_int_equal(deliver_from(&b, &server, 1), TORC_ERR_NOTFOUND);
  assert_int_equal(b.tx.num_discarded, 0);
  begin_answer(&b, TORC_STUN_SUCCESS);
  other.remote.port++;
  assert_int_equal(deliver_from(&b, &other, 1), 0);
  other = server;
  other.remote.addr[3]++;
  assert_int_equal(deliver_from(&b, &other, 1), 0);
  other = server;
  other.socket++;
  assert_int_equal(deliver_from(&b, &other, 1), 0);
  assert_int_equal(b.tx.num_discarded, 3);
  assert_false(b.is_done);
  deliver(&b, 1);
  assert_true(b.is_done);
}

static void test_refused(void **state) {
  bed b;
  (void)state;
  set_up(&b);
  start(&b);
  begin_answer(&b, TORC_STUN_ERROR);
  torc_stun_put_error(&b.w, 300, "Try Alternate");
  torc_stun_put_addr(&b.w, A(ALTERNATE_SERVER), &server.remote);
  deliver(&b, 1);
  assert_int_equal(b.result.rc, TORC_ERR_REFUSED);
  assert_int_equal(b.result.code, 300);
  assert_true(torc_slice_eq(b.result.reason, torc_slice_str("Try Alternate")));
  assert_true(torc_stun_has(&b.result.msg, K(ALTERNATE_SERVER)));
}

static void test_bad_answers(void **state) {
  (void)state;
  for (int i = 0; i < 4; i++) {
    bed b;
    set_up(&b);
    start(&b);
    begin_answer(&b, i < 2 ? TORC_STUN_ERROR : TORC_STUN_SUCCESS);
    if (i == 1) {
      torc_stun_put_error(&b.w, 400, "");
    }
    if (i == 1 || i == 2) {
      torc_stun_put_flag(&b.w, 0x7abc); /* must be understood and is not */
    }
    if (i == 3) {
      torc_stun_put_flag(&b.w, 0xfabc);
    }
    deliver(&b, 1);
    assert_true(b.is_done);
    assert_int_equal(b.result.rc, i == 3 ? 0 : TORC_ERR_FORMAT);
  }
}

static void test_stop(void **state) {
  bed b;
  (void)state;
  set_up(&b);
  start(&b);
  torc_stun_tx_stop(&b.tx);
  tick(&b, TORC_SEC(60));
  begin_answer(&b, TORC_STUN_SUCCESS);
  assert_int_equal(deliver_from(&b, &server, 1), TORC_ERR_NOTFOUND);
  assert_int_equal(b.num_sent, 1);
  assert_false(b.is_done);
}

/* RFC 8445 7.3.1.4: nothing more is sent, an answer still counts, and it ends when it would have.
 */
static void test_quiet(void **state) {
  bed b;
  (void)state;
  set_up(&b);
  start(&b);
  tick(&b, TORC_MS(500));
  torc_stun_tx_quiet(&b.tx);
  assert_true(torc_stun_tx_deadline(&b.tx) == TORC_MS(39500));
  tick(&b, TORC_MS(39499));
  assert_int_equal(b.num_sent, 2);
  tick(&b, TORC_MS(39500));
  assert_int_equal(b.result.rc, TORC_ERR_TIMEOUT);
  set_up(&b);
  start(&b);
  torc_stun_tx_quiet(&b.tx);
  begin_answer(&b, TORC_STUN_SUCCESS);
  deliver(&b, TORC_SEC(5));
  assert_int_equal(b.result.rc, 0);
}

/* ---- short-term ---- */

static void short_term(bed *b, torc_stun_key *key, torc_stun_integrity which) {
  set_up(b);
  assert_int_equal(
      torc_stun_key_short(&b->crypto.table, torc_slice_str("a-password-of-22-bytes"), key), 0);
  b->req.key = key;
  b->req.username = torc_slice_str("them:us");
  b->req.integrity = which;
  b->req.has_fingerprint = true;
  start(b);
}

static void sign(bed *b, const torc_stun_key *key, torc_stun_integrity which) {
  assert_int_equal(torc_stun_put_integrity(&b->w, &b->crypto.table, key, which, 32), 0);
}

static void test_short_term(void **state) {
  torc_stun_key key;
  bed b;
  (void)state;
  short_term(&b, &key, TORC_STUN_INTEGRITY_SHA1);
  assert_true(torc_slice_eq(torc_stun_value(&b.sent, K(USERNAME)), torc_slice_str("them:us")));
  assert_int_equal(torc_stun_integrity_of(&b.sent), TORC_STUN_INTEGRITY_SHA1);
  assert_int_equal(
      torc_stun_check_integrity(&b.sent, &b.crypto.table, &key, TORC_STUN_INTEGRITY_SHA1, 32, NULL),
      0);
  assert_true(torc_stun_has(&b.sent, K(FINGERPRINT)));
  begin_answer(&b, TORC_STUN_SUCCESS);
  sign(&b, &key, TORC_STUN_INTEGRITY_SHA1);
  deliver(&b, TORC_MS(1));
  assert_int_equal(b.result.rc, 0);
}

/* RFC 8489 9.1.4: wrong or no integrity is no answer; if nothing better comes, that is the result.
 */
static void test_short_term_forged(void **state) {
  torc_stun_key key;
  torc_stun_key wrong;
  bed b;
  (void)state;
  short_term(&b, &key, TORC_STUN_INTEGRITY_SHA1);
  wrong = key;
  wrong.b[0] ^= 1;
  begin_answer(&b, TORC_STUN_SUCCESS);
  deliver(&b, 1);
  begin_answer(&b, TORC_STUN_SUCCESS);
  sign(&b, &wrong, TORC_STUN_INTEGRITY_SHA1);
  deliver(&b, 2);
  begin_answer(&b, TORC_STUN_SUCCESS);
  sign(&b, &key, TORC_STUN_INTEGRITY_SHA256); /* not what was asked for */
  deliver(&b, 3);
  begin_answer(&b, TORC_STUN_ERROR);
  torc_stun_put_error(&b.w, 401, "Unauthenticated");
  deliver(&b, 4);
  assert_false(b.is_done);
  assert_int_equal(b.tx.num_discarded, 4);
  for (torc_time s = 1; s <= 100 && !b.is_done; s++) {
    tick(&b, TORC_SEC(s));
  }
  assert_true(b.is_done);
  assert_int_equal(b.result.rc, TORC_ERR_CRYPTO);
  assert_int_equal(b.result.code, 401);
  assert_int_equal(b.num_sent, TORC_STUN_RC);
}

static void test_forged_then_right(void **state) {
  torc_stun_key key;
  bed b;
  (void)state;
  short_term(&b, &key, TORC_STUN_INTEGRITY_BOTH);
  assert_int_equal(torc_stun_integrity_of(&b.sent), TORC_STUN_INTEGRITY_BOTH);
  begin_answer(&b, TORC_STUN_SUCCESS);
  deliver(&b, 1);
  begin_answer(&b, TORC_STUN_ERROR);
  torc_stun_put_error(&b.w, 487, "Role Conflict");
  sign(&b, &key, TORC_STUN_INTEGRITY_SHA256);
  deliver(&b, 2);
  assert_int_equal(b.result.rc, TORC_ERR_REFUSED);
  assert_int_equal(b.result.code, 487);
}

/* RFC 8445 7.2.5.2.1: the right answer from elsewhere is told from a forged one. */
static void test_from_elsewhere(void **state) {
  torc_stun_path other = server;
  torc_stun_key key;
  bed b;
  (void)state;
  other.remote.port++;
  short_term(&b, &key, TORC_STUN_INTEGRITY_SHA1);
  begin_answer(&b, TORC_STUN_SUCCESS);
  assert_int_equal(deliver_from(&b, &other, 1), 0);
  begin_answer(&b, TORC_STUN_SUCCESS);
  sign(&b, &key, TORC_STUN_INTEGRITY_SHA1);
  assert_int_equal(deliver_from(&b, &other, 1), TORC_ERR_DENIED);
  assert_false(b.is_done);
  assert_int_equal(b.tx.num_discarded, 2);
}

/* ---- long-term ---- */

#define REALM "example.org"

static void put_allocate(void *ctx, torc_stun_wr *w) {
  const torc_addr peer = {.family = 2, .addr = {0x20, 1, 0xd, 0xb8}, .port = 9};
  int *num = ctx;
  (*num)++;
  torc_stun_put_u32(w, A(REQUESTED_TRANSPORT), 17u << 24);
  torc_stun_put_xor_addr(w, A(XOR_PEER_ADDRESS), &peer); /* hangs on the transaction id */
}

static void long_term(bed *b, torc_stun_login *login, int *num_put) {
  set_up(b);
  *num_put = 0;
  assert_int_equal(torc_stun_login_init(login, &b->crypto.table, torc_slice_str("alice"),
                                        torc_slice_str("secret")),
                   0);
  b->req.method = TORC_STUN_ALLOCATE;
  b->req.login = login;
  b->req.put = put_allocate;
  b->req.ctx = num_put;
  start(b);
  assert_int_equal(torc_stun_integrity_of(&b->sent), TORC_STUN_INTEGRITY_NONE);
  assert_false(torc_stun_has(&b->sent, K(USERNAME)) || torc_stun_has(&b->sent, K(REALM)));
}

static void challenge(bed *b, uint16_t code, const char *realm, const char *nonce) {
  begin_answer(b, TORC_STUN_ERROR);
  torc_stun_put_error(&b->w, code, "");
  if (realm != NULL) {
    torc_stun_put(&b->w, A(REALM), torc_slice_str(realm));
  }
  if (nonce != NULL) {
    torc_stun_put(&b->w, A(NONCE), torc_slice_str(nonce));
  }
}

static void assert_value(const bed *b, torc_stun_known attr, const char *text) {
  assert_true(torc_slice_eq(torc_stun_value(&b->sent, attr), torc_slice_str(text)));
}

static void check_key(bed *b, torc_stun_hash hash, torc_stun_integrity which) {
  torc_stun_key key;
  torc_stun_integrity used;
  assert_int_equal(torc_stun_key_long(&b->crypto.table, hash, torc_slice_str("alice"),
                                      torc_slice_str(REALM), torc_slice_str("secret"), &key),
                   0);
  assert_int_equal(torc_stun_integrity_of(&b->sent), which);
  assert_int_equal(torc_stun_check_integrity(&b->sent, &b->crypto.table, &key, which, 32, &used),
                   0);
  assert_int_equal(used, which);
}

static void test_long_term(void **state) {
  torc_stun_login login;
  torc_addr peer;
  int num_put;
  bed b;
  (void)state;
  long_term(&b, &login, &num_put);
  challenge(&b, 401, REALM, "n1");
  deliver(&b, TORC_MS(50));
  assert_false(b.is_done);
  assert_int_equal(b.num_sent, 2);
  assert_int_equal(num_put, 2);
  assert_int_equal(b.sent.txid[0], 2); /* a new transaction */
  assert_value(&b, K(USERNAME), "alice");
  assert_value(&b, K(REALM), REALM);
  assert_value(&b, K(NONCE), "n1");
  check_key(&b, TORC_STUN_MD5, TORC_STUN_INTEGRITY_SHA1);
  assert_int_equal(torc_stun_get_addr(&b.sent, K(XOR_PEER_ADDRESS), &peer), 0);
  assert_int_equal(peer.port, 9);
  assert_int_equal(peer.addr[0], 0x20);
  assert_true(torc_stun_tx_deadline(&b.tx) == TORC_MS(550));
  challenge(&b, 438, REALM, "n2");
  deliver(&b, TORC_MS(60));
  assert_int_equal(b.num_sent, 3);
  assert_value(&b, K(NONCE), "n2");
  begin_answer(&b, TORC_STUN_SUCCESS);
  deliver(&b, TORC_MS(65)); /* unsigned: dropped */
  assert_false(b.is_done);
  sign(&b, &login.key, TORC_STUN_INTEGRITY_SHA1);
  deliver(&b, TORC_MS(70));
  assert_int_equal(b.result.rc, 0);
  assert_true(b.result.rtt == TORC_MS(10));
  assert_int_equal(b.result.num_sends, 3);
  /* The next one is signed from the start. */
  b.is_done = false;
  b.num_sent = 0;
  start(&b);
  assert_value(&b, K(NONCE), "n2");
  check_key(&b, TORC_STUN_MD5, TORC_STUN_INTEGRITY_SHA1);
  torc_stun_login_clear(&login);
  assert_int_equal(login.key.len, 0);
}

static void test_long_term_sha256(void **state) {
  const torc_stun_hash list[] = {TORC_STUN_SHA256, TORC_STUN_MD5};
  torc_stun_login login;
  int num_put;
  bed b;
  (void)state;
  long_term(&b, &login, &num_put);
  challenge(&b, 401, REALM, "obMatJos2AAADxyz");
  torc_stun_put_algorithms(&b.w, list, 2);
  deliver(&b, 1);
  assert_int_equal(b.num_sent, 2);
  assert_false(torc_stun_has(&b.sent, K(USERNAME)));
  assert_int_equal(torc_stun_value(&b.sent, K(USERHASH)).len, 32);
  assert_memory_equal(torc_stun_value(&b.sent, K(PASSWORD_ALGORITHMS)).p, "\0\2\0\0\0\1\0\0", 8);
  assert_memory_equal(torc_stun_value(&b.sent, K(PASSWORD_ALGORITHM)).p, "\0\2\0\0", 4);
  check_key(&b, TORC_STUN_SHA256, TORC_STUN_INTEGRITY_SHA256);
  /* A later challenge may not take the algorithms back. */
  challenge(&b, 438, REALM, "plain");
  deliver(&b, 2);
  assert_int_equal(b.result.rc, TORC_ERR_DENIED);
  assert_int_equal(b.num_sent, 2);
  assert_true(torc_slice_eq(torc_slice_of(login.nonce, login.nonce_len),
                            torc_slice_str("obMatJos2AAADxyz")));
}

/* RFC 8489 9.2.1 and 9.2.5: who takes the list away, or names only what is unknown, gets nothing.
 */
static void test_bid_down(void **state) {
  static const uint8_t unknown[] = {0, 9, 0, 0};
  (void)state;
  for (int i = 0; i < 3; i++) {
    static const uint8_t too_long[TORC_STUN_ALGORITHMS_MAX + 4] = {0, 1};
    torc_stun_login login;
    int num_put;
    bed b;
    long_term(&b, &login, &num_put);
    challenge(&b, 401, REALM, "obMatJos2AAABxyz");
    if (i == 1) {
      torc_stun_put(&b.w, A(PASSWORD_ALGORITHMS), torc_slice_of(unknown, sizeof unknown));
    } else if (i == 2) {
      torc_stun_put(&b.w, A(PASSWORD_ALGORITHMS), torc_slice_of(too_long, sizeof too_long));
    }
    deliver(&b, 1);
    assert_true(b.is_done);
    assert_int_equal(b.result.rc, i == 2 ? TORC_ERR_LIMIT : TORC_ERR_DENIED);
    assert_int_equal(b.num_sent, 1);
    assert_false(login.is_challenged);
  }
}

static void test_wrong_password(void **state) {
  torc_stun_login login;
  int num_put;
  bed b;
  (void)state;
  long_term(&b, &login, &num_put);
  challenge(&b, 401, REALM, "n1");
  deliver(&b, 1);
  challenge(&b, 401, REALM, "n2");
  deliver(&b, 2);
  assert_int_equal(b.result.rc, TORC_ERR_REFUSED);
  assert_int_equal(b.result.code, 401);
  assert_int_equal(b.num_sent, 2);
}

/* A server that is never content: another realm, or another nonce, each time. */
static void test_retries_bounded(void **state) {
  (void)state;
  for (int i = 0; i < 2; i++) {
    torc_stun_login login;
    int num_put;
    bed b;
    long_term(&b, &login, &num_put);
    challenge(&b, 401, REALM, "n");
    deliver(&b, 1);
    for (int k = 0; k < 20 && !b.is_done; k++) {
      char realm[] = "realm-a";
      realm[6] = (char)('a' + k);
      if (i == 0) {
        challenge(&b, 401, realm, "n");
      } else {
        challenge(&b, 438, NULL, "m"); /* no realm: the same */
      }
      deliver(&b, 2);
    }
    assert_true(b.is_done);
    assert_int_equal(b.result.rc, TORC_ERR_REFUSED);
    assert_int_equal(b.num_sent, 1 + TORC_STUN_MAX_RETRIES);
  }
}

/* Not to be followed: without a nonce, without a realm, 438 to what had no nonce, a challenge from
 * elsewhere, or one without anything to sign with. */
static void test_no_challenge(void **state) {
  torc_stun_path other = server;
  torc_stun_login login;
  int num_put;
  bed b;
  (void)state;
  for (int i = 0; i < 3; i++) {
    long_term(&b, &login, &num_put);
    challenge(&b, i == 2 ? 438 : 401, i == 0 ? NULL : REALM, i == 1 ? NULL : "n");
    deliver(&b, 1);
    assert_int_equal(b.result.rc, TORC_ERR_REFUSED);
    assert_int_equal(b.num_sent, 1);
  }
  long_term(&b, &login, &num_put);
  other.remote.port++;
  challenge(&b, 401, REALM, "n");
  assert_int_equal(deliver_from(&b, &other, 1), 0);
  assert_false(b.is_done || login.is_challenged);
  set_up(&b);
  start(&b);
  challenge(&b, 401, REALM, "n");
  deliver(&b, 1);
  assert_int_equal(b.result.rc, TORC_ERR_REFUSED);
}

/* Each function of the library fails once, in each place. */
static void test_crypto_fails(void **state) {
  (void)state;
  for (int fail = 1; fail < 8; fail++) {
    torc_stun_login login;
    int num_put;
    bed b;
    long_term(&b, &login, &num_put);
    challenge(&b, 401, REALM, "obMatJos2AAAC");
    b.crypto.fail_next = fail;
    deliver(&b, 1);
    /* MD5 of the key, user hash, random, HMAC */
    assert_int_equal(b.is_done, fail <= 4);
    assert_true(!b.is_done || b.result.rc == TORC_ERR_CRYPTO);
  }
  for (int fail = 1; fail < 3; fail++) {
    bed b;
    set_up(&b);
    b.crypto.fail_next = fail;
    assert_int_equal(torc_stun_tx_start(&b.tx, &b.crypto.table, &b.req, b.room, sizeof b.room, 0),
                     fail == 1 ? TORC_ERR_CRYPTO : 0);
  }
}

static void test_no_room(void **state) {
  bed b;
  torc_stun_key key;
  (void)state;
  short_term(&b, &key, TORC_STUN_INTEGRITY_SHA1);
  for (size_t cap = 0; cap <= 80; cap++) { /* 20 + 12 + 24 + 8 */
    int rc = torc_stun_tx_start(&b.tx, &b.crypto.table, &b.req, b.room, cap, 0);
    assert_int_equal(rc, cap < 64 ? TORC_ERR_SPACE : 0);
    assert_true(rc == 0 || torc_stun_tx_deadline(&b.tx) == TORC_NEVER);
  }
}

static void test_rto(void **state) {
  torc_stun_rto r = {0};
  (void)state;
  assert_true(torc_stun_rto_get(&r, 0) == TORC_STUN_RTO);
  torc_stun_rto_add(&r, TORC_MS(400), 0);
  assert_true(torc_stun_rto_get(&r, 0) == TORC_MS(1200)); /* 400 + 4 * 200 */
  torc_stun_rto_add(&r, TORC_MS(400), 1);
  assert_true(torc_stun_rto_get(&r, 1) == TORC_MS(1000)); /* 400 + 4 * 150 */
  torc_stun_rto_add(&r, TORC_MS(800), 2);
  assert_true(torc_stun_rto_get(&r, 2) == TORC_MS(450) + 4 * (TORC_MS(850) / 4));
  assert_true(torc_stun_rto_get(&r, TORC_STUN_RTO_AGE + 3) == TORC_STUN_RTO); /* forgotten */
  torc_stun_rto_add(&r, TORC_MS(10), TORC_STUN_RTO_AGE + 3);
  assert_true(torc_stun_rto_get(&r, TORC_STUN_RTO_AGE + 3) == TORC_STUN_RTO); /* not below */
  torc_stun_rto_add(&r, TORC_SEC(90), TORC_STUN_RTO_AGE + 4);
  assert_true(torc_stun_rto_get(&r, TORC_STUN_RTO_AGE + 4) == TORC_STUN_RTO_MAX);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TORC_TEST("ICE-07 seven requests, then the end", test_schedule),
      TORC_TEST("ICE-07 timing of the caller", test_own_timing),
      TORC_TEST("ICE-07 late calls make no bursts", test_late),
      TORC_TEST("ICE-07 once over TCP", test_reliable),
      TORC_TEST("ICE-07 ICE-33 an answer", test_success),
      TORC_TEST("ICE-07 round trip of repeated requests unknown", test_rtt_unclear),
      TORC_TEST("ICE-07 answers to something else or from elsewhere", test_not_ours),
      TORC_TEST("ICE-07 an error, with another server", test_refused),
      TORC_TEST("ICE-07 answers that are not understood", test_bad_answers),
      TORC_TEST("ICE-07 stopped", test_stop),
      TORC_TEST("ICE-07 cancelled, but an answer counts", test_quiet),
      TORC_TEST("ICE-07 short-term credentials", test_short_term),
      TORC_TEST("ICE-07 short-term, forged answers only", test_short_term_forged),
      TORC_TEST("ICE-07 short-term, a forged answer first", test_forged_then_right),
      TORC_TEST("ICE-07 the right answer from elsewhere", test_from_elsewhere),
      TORC_TEST("ICE-18 long-term credentials, 401 and 438", test_long_term),
      TORC_TEST("ICE-18 long-term, SHA-256 and USERHASH", test_long_term_sha256),
      TORC_TEST("ICE-18 long-term, bid-down", test_bid_down),
      TORC_TEST("ICE-18 long-term, wrong password", test_wrong_password),
      TORC_TEST("ICE-18 long-term, retries bounded", test_retries_bounded),
      TORC_TEST("ICE-18 long-term, challenges not to follow", test_no_challenge),
      TORC_TEST("ICE-07 the crypto library fails", test_crypto_fails),
      TORC_TEST("ICE-07 too little room for the request", test_no_room),
      TORC_TEST("ICE-07 the estimate of the first wait", test_rto),
  };
  return TORC_RUN(tests);
}

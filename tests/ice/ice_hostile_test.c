/* What peers, networks and strangers do wrong, and what it may cost.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/slice.h"
#include "ice/helper_lab.h"
#include "ice/stun_answer.h"
#include "torc_test.h"

static void two_hosts(lab *l, uint64_t seed) {
  lab_init(l, seed);
  lab_udp(l, 0, "192.0.2.1", 5000, NULL);
  lab_udp(l, 1, "192.0.2.2", 5000, NULL);
}

static void start(lab *l, bool first_controls, bool second_controls) {
  lab_open(l, 0, first_controls);
  lab_open(l, 1, second_controls);
  lab_tell(l, 1);
  lab_tell(l, 0);
}

static void assert_agreed(const lab *l) {
  assert_true(l->agents[0].is_selected && l->agents[1].is_selected);
  assert_int_equal(l->agents[0].num_selected, 1);
  assert_int_equal(l->agents[1].num_selected, 1);
  assert_true(torc_stun_addr_eq(&l->agents[0].pair.mapped, &l->agents[1].pair.remote));
}

/* ---- roles ---- */

static void test_conflict(void **state) {
  const bool *both_control = *state;
  for (uint64_t seed = 1; seed <= 20; seed++) {
    lab l;
    two_hosts(&l, seed);
    start(&l, *both_control, *both_control);
    lab_run_to_end(&l, TORC_SEC(20));
    assert_agreed(&l);
    assert_int_equal(lab_count(&l, 0, "role_switches") + lab_count(&l, 1, "role_switches"), 1);
    assert_true(lab_count(&l, 0, "role_conflicts_told") + lab_count(&l, 1, "role_conflicts_told") >
                0);
    lab_clear(&l);
  }
}

/* ---- loss ---- */

static void test_loss(void **state) {
  (void)state;
  for (uint64_t seed = 1; seed <= 40; seed++) {
    lab l;
    two_hosts(&l, seed);
    l.loss_permille = 300;
    l.jitter = TORC_MS(5);
    start(&l, true, false);
    lab_run_to_end(&l, TORC_SEC(20));
    assert_agreed(&l);
    lab_clear(&l);
  }
}

/* ---- answers that must not count ---- */

static void test_misplaced(void **state) {
  lab l;
  (void)state;
  two_hosts(&l, 1);
  l.reflects_all = true;
  start(&l, true, false);
  lab_run_to_end(&l, TORC_SEC(20));
  assert_true(l.agents[0].is_failed && l.agents[1].is_failed);
  assert_true(lab_count(&l, 0, "checks_misplaced") > 0);
  assert_int_equal(lab_count(&l, 0, "checks_succeeded"), 0);
  lab_clear(&l);
}

static void test_integrity(void **state) {
  static const char wrong[] = "0123456789012345678901234";
  torc_candidate list[TORC_ICE_LOCAL_MAX];
  lab l;
  (void)state;
  two_hosts(&l, 2);
  lab_open(&l, 0, true);
  lab_open(&l, 1, false);
  lab_tell(&l, 1);
  assert_int_equal(
      torc_ice_remote(l.agents[0].ice, l.agents[0].id,
                      torc_slice_str(torc_ice_ufrag(l.agents[1].ice, l.agents[1].id)),
                      torc_slice_str(wrong), list,
                      torc_ice_candidates(l.agents[1].ice, l.agents[1].id, list), l.now),
      0);
  lab_run_to_end(&l, TORC_SEC(20));
  assert_true(l.agents[0].is_failed && l.agents[1].is_failed);
  assert_true(lab_count(&l, 1, "requests_unproven") > 0);
  assert_true(l.agents[0].failed_at >= TORC_SEC(1000) + TORC_SEC(5));
  lab_clear(&l);
}

/* A flipped bit anywhere in a request or an answer: never a pair, never a crash. */
static size_t flip_at;
static bool flip(lab *l, int from, uint8_t *bytes, size_t *len) {
  (void)l;
  (void)from;
  bytes[(flip_at / 8) % *len] ^= (uint8_t)(1u << flip_at % 8);
  return true;
}

static void test_flipped(void **state) {
  (void)state;
  for (flip_at = 0; flip_at < 120 * 8; flip_at += 7) {
    lab l;
    two_hosts(&l, 3);
    l.tap = flip;
    start(&l, true, false);
    lab_run(&l, TORC_SEC(2));
    assert_int_equal(lab_count(&l, 0, "checks_succeeded"), 0);
    assert_int_equal(lab_count(&l, 1, "checks_succeeded"), 0);
    lab_clear(&l);
  }
}

/* ---- replay ---- */

static void test_replay(void **state) {
  torc_addr own = lab_addr("192.0.2.2", 5000);
  uint8_t seen[600];
  size_t len;
  lab l;
  (void)state;
  two_hosts(&l, 4);
  l.agents[1].num_locals = 1;
  start(&l, true, false);
  lab_run(&l, l.delay); /* the first check of agent 1 is at agent 0 */
  assert_true(torc_stun_addr_eq(&l.last_src, &own) || l.last_len != 0);
  lab_run(&l, TORC_MS(1));
  len = l.last_len;
  memcpy(seen, l.last, len);
  for (unsigned i = 0; i < 1000; i++) { /* whichever agent it is for, the other drops it */
    torc_addr stranger = lab_addr("198.51.100.77", (uint16_t)(1000 + i));
    lab_inject(&l, 0, 1, i % 2 == 0 ? &own : &stranger, torc_slice_of(seen, len));
  }
  assert_true(lab_count(&l, 0, "prflx_remote") <= 8);
  assert_true(lab_count(&l, 0, "checks_triggered") <= 9);
  lab_run_to_end(&l, TORC_SEC(20));
  assert_agreed(&l);
  assert_true(lab_count(&l, 0, "checks") <= 2 + 2 * 9);
  lab_clear(&l);
}

/* A scripted peer at 192.0.2.2:5000, with the password "0123456789012345678901". */
typedef struct ask {
  uint8_t txid, unknown;
  bool has_no_priority, nominates, has_wrong_user, has_no_integrity;
} ask;

static size_t write_request(lab *l, const ask *q, uint8_t *room, size_t cap) {
  uint8_t txid[TORC_STUN_TXID_LEN] = {0};
  char user[64];
  torc_stun_key key;
  torc_stun_wr w;
  torc_wr wr;
  txid[0] = q->txid;
  (void)snprintf(
      user, sizeof user, "%s:abcd",
      q->has_wrong_user ? "ABCDEFGH" : torc_ice_ufrag(l->agents[0].ice, l->agents[0].id));
  assert_int_equal(
      torc_stun_key_short(
          &l->crypto, torc_slice_str(torc_ice_password(l->agents[0].ice, l->agents[0].id)), &key),
      0);
  torc_wr_init(&wr, room, cap);
  torc_stun_begin(&w, &wr, TORC_STUN_REQUEST, TORC_STUN_BINDING, txid);
  torc_stun_put(&w, TORC_STUN_ATTR_USERNAME, torc_slice_str(user));
  if (!q->has_no_priority) {
    torc_stun_put_u32(&w, TORC_STUN_ATTR_PRIORITY, 0x6effffff);
  }
  if (q->unknown != 0) {
    torc_stun_put_flag(&w, 0x7f00);
  }
  torc_stun_put_u64(&w, TORC_STUN_ATTR_ICE_CONTROLLING, 7);
  if (q->nominates) {
    torc_stun_put_flag(&w, TORC_STUN_ATTR_USE_CANDIDATE);
  }
  if (!q->has_no_integrity) {
    assert_int_equal(torc_stun_put_integrity(&w, &l->crypto, &key, TORC_STUN_INTEGRITY_SHA1, 32),
                     0);
  }
  torc_stun_put_fingerprint(&w);
  assert_int_equal(wr.err, 0);
  return wr.len;
}

static int give(lab *l, const torc_addr *from, const uint8_t *bytes, size_t len) {
  torc_ice_from f = {.socket = 1, .local = lab_addr("192.0.2.1", 5000), .remote = *from};
  return torc_ice_input(l->agents[0].ice, &f, torc_slice_of(bytes, len), l->now);
}

/* The next datagram towards the scripted peer. */
static bool take(lab *l, torc_stun_msg *m, uint8_t copy[600], torc_addr *to) {
  torc_ice_output out;
  while (torc_ice_poll(l->agents[0].ice, &out)) {
    if (out.kind == TORC_ICE_OUT_SEND) {
      memcpy(copy, out.bytes.p, out.bytes.len);
      *to = out.remote;
      assert_int_equal(torc_stun_decode(m, torc_slice_of(copy, out.bytes.len)), 0);
      return true;
    }
    if (out.kind == TORC_ICE_OUT_SELECTED) {
      l->agents[0].is_selected = true;
      l->agents[0].pair = out.pair;
    }
  }
  return false;
}

/* ---- candidates of third parties ---- */

static torc_candidate candidate_at(const char *ip, uint16_t port, uint32_t priority) {
  torc_candidate c = {.component = 1,
                      .transport = TORC_CAND_UDP,
                      .priority = priority,
                      .addr = lab_addr(ip, port),
                      .type = TORC_CAND_HOST};
  c.foundation[0] = '1';
  return c;
}

#define MANY 10000u

static void remote(lab *l, const torc_candidate *list, size_t num) {
  assert_int_equal(torc_ice_remote(l->agents[0].ice, l->agents[0].id, torc_slice_str("abcd"),
                                   torc_slice_str("0123456789012345678901"), list, num, l->now),
                   0);
}

static void test_many(void **state) {
  static torc_candidate list[MANY];
  bool is_one_victim = **(bool **)state;
  lab l;
  lab_init(&l, 5);
  for (uint16_t i = 0; i < 20; i++) {
    lab_udp(&l, 0, "192.0.2.1", (uint16_t)(5000 + i), NULL);
  }
  for (uint32_t i = 0; i < MANY; i++) {
    list[i] = candidate_at("198.51.100.9", (uint16_t)(1 + i), 1000000 + i);
    if (!is_one_victim) {
      list[i].addr.addr[2] = (uint8_t)(i >> 8);
      list[i].addr.addr[3] = (uint8_t)i;
    }
  }
  lab_open(&l, 0, true);
  remote(&l, list, MANY);
  lab_run_to_end(&l, TORC_SEC(20));
  assert_true(l.agents[0].is_failed);
  assert_int_equal(l.agents[0].rc, TORC_ERR_TIMEOUT);
  assert_int_equal(lab_count(&l, 0, "remotes_beyond"), MANY - TORC_ICE_REMOTE_MAX);
  assert_true(lab_count(&l, 0, "pairs") >= 20);
  /* 5 requests of each pair within the 15 s. */
  assert_true(l.agents[0].num_sends <= 5 * (is_one_victim ? 20 : TORC_ICE_PAIRS_MAX));
  lab_clear(&l);
}

/* 32 candidates and 100 pairs that lead nowhere, all under way: the other side's check still finds
 * room. */
static void test_crowded(void **state) {
  torc_addr peer = lab_addr("192.0.2.2", 5000);
  torc_candidate list[TORC_ICE_REMOTE_MAX];
  ask q = {.txid = 9};
  uint8_t room[300];
  uint8_t copy[600];
  torc_stun_msg m;
  torc_addr to;
  bool is_checked = false;
  lab l;
  (void)state;
  lab_init(&l, 19);
  for (uint16_t i = 0; i < 4; i++) {
    lab_udp(&l, 0, "192.0.2.1", (uint16_t)(5000 + i), NULL);
  }
  for (uint32_t i = 0; i < TORC_ICE_REMOTE_MAX; i++) {
    list[i] = candidate_at("198.51.100.9", 5000, 0x7ffffff0u + i % 8);
    list[i].addr.addr[3] = (uint8_t)(1 + i);
    list[i].foundation[0] = (char)('0' + i);
  }
  lab_open(&l, 0, false);
  remote(&l, list, TORC_ICE_REMOTE_MAX);
  lab_run(&l, TORC_SEC(3));
  assert_true(lab_count(&l, 0, "pairs") >= TORC_ICE_PAIRS_MAX);
  assert_int_equal(lab_count(&l, 0, "checks"), TORC_ICE_PAIRS_MAX);
  assert_int_equal(give(&l, &peer, room, write_request(&l, &q, room, sizeof room)), 0);
  for (int i = 0; i < 10 && !is_checked; i++) {
    while (!is_checked && take(&l, &m, copy, &to)) {
      is_checked = m.cls == TORC_STUN_REQUEST && torc_stun_addr_eq(&to, &peer);
    }
    l.now += TORC_MS(5);
    torc_ice_tick(l.agents[0].ice, l.now);
  }
  assert_true(is_checked);
  lab_clear(&l);
}

/* Many sessions that are all pointed at one address: 32 first checks, then ten a second. */
static void test_many_sessions(void **state) {
  torc_candidate c = candidate_at("198.51.100.9", 53, 1000000);
  lab l;
  (void)state;
  lab_init(&l, 6);
  lab_udp(&l, 0, "192.0.2.1", 5000, NULL);
  for (int i = 0; i < 200; i++) {
    lab_open(&l, 0, true);
    remote(&l, &c, 1);
  }
  lab_run(&l, TORC_SEC(2));
  assert_true(lab_count(&l, 0, "checks") >= 32 && lab_count(&l, 0, "checks") <= 32 + 21);
  assert_true(lab_count(&l, 0, "checks_held_back") > 0);
  lab_clear(&l);
}

/* One check each 5 ms, whatever the number of sessions. */
static torc_time last_send;
static bool paced(lab *l, int from, uint8_t *bytes, size_t *len) {
  (void)from;
  (void)bytes;
  (void)len;
  assert_true(last_send == 0 || l->now >= last_send + TORC_MS(5));
  last_send = l->now;
  return true;
}

static void test_pacing(void **state) {
  lab l;
  (void)state;
  lab_init(&l, 7);
  last_send = 0;
  l.tap = paced;
  lab_udp(&l, 0, "192.0.2.1", 5000, NULL);
  for (int i = 0; i < 30; i++) {
    torc_candidate c = candidate_at("198.51.100.9", (uint16_t)(53 + i), 1000000);
    c.addr.addr[3] = (uint8_t)i;
    lab_open(&l, 0, true);
    remote(&l, &c, 1);
  }
  lab_run(&l, TORC_MS(5) * 29);
  assert_int_equal(l.agents[0].num_sends, 30);
  lab_clear(&l);
}

typedef struct refused_case {
  const char *ip;
  uint16_t port;
  bool is_tried;
} refused_case;

static const refused_case refused_cases[] = {
    {"127.0.0.1", 80, false},   {"127.9.9.9", 80, false}, {"::1", 80, false},
    {"0.0.0.0", 80, false},     {"0.1.2.3", 80, false},   {"::", 80, false},
    {"224.0.0.251", 80, false}, {"239.1.1.1", 80, false}, {"255.255.255.255", 80, false},
    {"240.0.0.1", 80, false},   {"ff02::fb", 80, false},  {"::ffff:192.0.2.9", 80, false},
    {"::192.0.2.9", 80, false}, {"192.0.2.9", 0, false},  {"2001:db8::9", 0, false},
    {"fe80::1", 80, false},     {"192.0.2.9", 80, true},  {"2001:db8::9", 80, true},
};

static void test_refused(void **state) {
  (void)state;
  for (size_t i = 0; i < TORC_ARRAY_LEN(refused_cases); i++) {
    const refused_case *r = &refused_cases[i];
    torc_candidate c = candidate_at(r->ip, r->port, 1000000);
    lab l;
    lab_init(&l, 8);
    lab_udp(&l, 0, "192.0.2.1", 5000, NULL);
    lab_udp(&l, 0, "2001:db8::1", 5000, NULL);
    lab_open(&l, 0, true);
    remote(&l, &c, 1);
    lab_run(&l, TORC_MS(100));
    assert_int_equal(l.agents[0].num_sends, r->is_tried ? 1 : 0);
    lab_run_to_end(&l, TORC_SEC(20));
    assert_int_equal(l.agents[0].rc, r->is_tried ? TORC_ERR_TIMEOUT : TORC_ERR_NOTFOUND);
    lab_clear(&l);
  }
}

static void test_loopback(void **state) {
  lab l;
  (void)state;
  lab_init(&l, 9);
  l.cfg.allows_loopback = true;
  lab_udp(&l, 0, "127.0.0.1", 5000, NULL);
  lab_udp(&l, 1, "127.0.0.1", 5001, NULL);
  start(&l, true, false);
  lab_run_to_end(&l, TORC_SEC(20));
  assert_agreed(&l);
  lab_clear(&l);
}

/* ---- nobody there ---- */

static void test_silence(void **state) {
  torc_candidate c = candidate_at("192.0.2.9", 80, 1000000);
  lab l;
  (void)state;
  lab_init(&l, 10);
  lab_udp(&l, 0, "192.0.2.1", 5000, NULL);
  lab_open(&l, 0, true);
  remote(&l, &c, 1);
  lab_run_to_end(&l, TORC_SEC(20));
  assert_true(l.agents[0].is_failed);
  assert_int_equal(l.agents[0].rc, TORC_ERR_TIMEOUT);
  assert_int_equal(l.agents[0].failed_at, TORC_SEC(1015));
  assert_int_equal(l.agents[0].num_sends, 5); /* 0, 0.5, 1.5, 3.5, 7.5 s */
  assert_int_equal(torc_ice_deadline(l.agents[0].ice), TORC_NEVER);
  lab_clear(&l);
}

static void test_unreachable(void **state) {
  torc_candidate c = candidate_at("192.0.2.9", 80, 1000000);
  lab l;
  (void)state;
  lab_init(&l, 11);
  lab_udp(&l, 0, "192.0.2.1", 5000, NULL);
  lab_open(&l, 0, true);
  remote(&l, &c, 1);
  lab_run(&l, TORC_MS(20));
  torc_ice_unreachable(l.agents[0].ice, 2, &c.addr, l.now); /* not this socket */
  assert_int_equal(lab_count(&l, 0, "unreachable"), 0);
  torc_ice_unreachable(l.agents[0].ice, 1, &c.addr, l.now);
  assert_int_equal(lab_count(&l, 0, "unreachable"), 1);
  lab_run_to_end(&l, TORC_SEC(20));
  assert_int_equal(l.agents[0].rc, TORC_ERR_REFUSED);
  assert_int_equal(l.agents[0].failed_at, TORC_SEC(1005) + TORC_MS(20));
  lab_clear(&l);
}

/* ICMP came of a hole that was not open yet: the other side's check opens it. */
static void test_revived(void **state) {
  torc_addr other = lab_addr("192.0.2.2", 5000);
  lab l;
  (void)state;
  two_hosts(&l, 12);
  lab_open(&l, 0, true);
  lab_open(&l, 1, false);
  lab_tell(&l, 0);
  l.is_cut = true;
  lab_run(&l, TORC_MS(20));
  torc_ice_unreachable(l.agents[0].ice, 1, &other, l.now);
  l.is_cut = false;
  lab_run(&l, TORC_SEC(2));
  lab_tell(&l, 1);
  lab_run_to_end(&l, TORC_SEC(20));
  assert_agreed(&l);
  lab_clear(&l);
}

/* ---- peers of other kinds ---- */

/* It answers and never checks: an agent that is not told who we are does just that. */
static void test_lite(void **state) {
  lab l;
  (void)state;
  two_hosts(&l, 13);
  lab_open(&l, 0, true);
  lab_open(&l, 1, false);
  lab_tell(&l, 0);
  lab_run(&l, TORC_SEC(1));
  assert_true(l.agents[0].is_selected);
  assert_int_equal(l.agents[0].selected_at, TORC_SEC(1000) + 4 * l.delay);
  assert_int_equal(lab_count(&l, 1, "checks"), 0);
  assert_int_equal(lab_count(&l, 1, "requests_early"), 1);
  lab_clear(&l);
}

static void test_early(void **state) {
  lab l;
  (void)state;
  two_hosts(&l, 14);
  lab_open(&l, 0, true);
  lab_open(&l, 1, false);
  lab_tell(&l, 0);
  lab_run(&l, TORC_SEC(1));
  lab_tell(&l, 1);
  lab_run_to_end(&l, TORC_SEC(1));
  assert_agreed(&l);
  assert_int_equal(l.agents[1].selected_at, TORC_SEC(1001) + 2 * l.delay);
  lab_clear(&l);
}

typedef struct code_case {
  ask q;
  int rc;
  uint16_t code; /* 0: success */
} code_case;

static const code_case code_cases[] = {
    {{.txid = 1}, 0, 0},
    {{.txid = 2, .has_no_priority = true}, 0, TORC_STUN_BAD_REQUEST},
    {{.txid = 3, .unknown = 1}, 0, TORC_STUN_UNKNOWN_ATTRIBUTE},
    {{.txid = 4, .has_no_integrity = true}, 0, TORC_STUN_BAD_REQUEST},
    {{.txid = 5, .has_wrong_user = true}, TORC_ERR_NOTFOUND, 0},
};

static void test_codes(void **state) {
  torc_addr peer = lab_addr("192.0.2.2", 5000);
  (void)state;
  for (size_t i = 0; i < TORC_ARRAY_LEN(code_cases); i++) {
    const code_case *c = &code_cases[i];
    uint8_t room[300];
    uint8_t copy[600];
    torc_stun_msg m;
    torc_slice reason;
    uint16_t code = 0;
    lab l;
    two_hosts(&l, 15);
    lab_open(&l, 0, false);
    assert_int_equal(give(&l, &peer, room, write_request(&l, &c->q, room, sizeof room)), c->rc);
    assert_int_equal(take(&l, &m, copy, &peer), c->rc == 0);
    if (c->rc == 0) {
      assert_int_equal(m.cls, c->code == 0 ? TORC_STUN_SUCCESS : TORC_STUN_ERROR);
      assert_int_equal(m.txid[0], c->q.txid);
      assert_true(c->code == 0 || torc_stun_get_error(&m, &code, &reason) == 0);
      assert_int_equal(code, c->code);
    }
    lab_clear(&l);
  }
}

static void answer_check(lab *l, const torc_addr *peer, const torc_stun_msg *m) {
  torc_addr own = lab_addr("192.0.2.1", 5000);
  torc_stun_key key;
  torc_stun_reply r = {
      .request = m, .crypto = &l->crypto, .key = &key, .integrity = TORC_STUN_INTEGRITY_SHA1};
  uint8_t room[300];
  torc_wr wr;
  assert_int_equal(torc_stun_key_short(&l->crypto, torc_slice_str("0123456789012345678901"), &key),
                   0);
  torc_wr_init(&wr, room, sizeof room);
  assert_int_equal(torc_stun_reply_mapped(&wr, &r, &own), 0);
  assert_int_equal(give(l, peer, room, wr.len), 0);
}

/* RFC 5245 clients nominate whatever they check: the better of what they name is taken, if its
 * answer comes at about the same time. */
static void test_aggressive(void **state) {
  torc_candidate list[2] = {candidate_at("192.0.2.2", 5000, 2000),
                            candidate_at("192.0.2.3", 5000, 3000)};
  ask q = {.nominates = true};
  uint8_t room[300];
  uint8_t copy[2][600];
  torc_stun_msg m[2];
  torc_addr to;
  lab l;
  int num = 0;
  (void)state;
  two_hosts(&l, 16);
  lab_open(&l, 0, false);
  remote(&l, list, 2);
  for (uint8_t i = 0; i < 2; i++) {
    q.txid = i;
    assert_int_equal(give(&l, &list[i].addr, room, write_request(&l, &q, room, sizeof room)), 0);
  }
  for (int i = 0; i < 4; i++) { /* the newest check towards each */
    uint8_t seen[600];
    torc_stun_msg one;
    while (take(&l, &one, seen, &to)) {
      if (one.cls == TORC_STUN_REQUEST) {
        int which = to.addr[3] == 2 ? 0 : 1;
        memcpy(copy[which], seen, sizeof seen);
        assert_int_equal(torc_stun_decode(&m[which], torc_slice_of(copy[which], one.bytes.len)), 0);
        num++;
      }
    }
    l.now += TORC_MS(5);
    torc_ice_tick(l.agents[0].ice, l.now);
  }
  assert_true(num >= 2);
  answer_check(&l, &list[0].addr, &m[0]);
  (void)take(&l, &m[0], copy[0], &to);
  assert_false(l.agents[0].is_selected);
  l.now += TORC_MS(4);
  answer_check(&l, &list[1].addr, &m[1]);
  (void)take(&l, &m[0], copy[0], &to);
  assert_true(l.agents[0].is_selected);
  assert_int_equal(l.agents[0].pair.remote.addr[3], 3);
  lab_clear(&l);
}

/* ---- consent ---- */

static void test_consent_kept(void **state) {
  lab l;
  (void)state;
  two_hosts(&l, 17);
  l.loss_permille = 200;
  start(&l, true, false);
  lab_run_to_end(&l, TORC_SEC(20));
  assert_agreed(&l);
  lab_run(&l, TORC_SEC(600));
  assert_false(l.agents[0].is_lost || l.agents[1].is_lost);
  /* Every 4 to 6 seconds. */
  assert_true(lab_count(&l, 0, "consent_sent") >= 100 && lab_count(&l, 0, "consent_sent") <= 150);
  lab_clear(&l);
}

static void test_consent_lost(void **state) {
  size_t before;
  lab l;
  (void)state;
  two_hosts(&l, 18);
  start(&l, true, false);
  lab_run_to_end(&l, TORC_SEC(20));
  assert_agreed(&l);
  lab_run(&l, TORC_SEC(20));
  l.is_cut = true;
  lab_run(&l, TORC_SEC(23));
  assert_false(l.agents[0].is_lost);
  lab_run(&l, TORC_SEC(8));
  assert_true(l.agents[0].is_lost && l.agents[1].is_lost);
  before = l.agents[0].num_sends;
  l.is_cut = false;
  lab_run(&l, TORC_SEC(60));
  assert_int_equal(l.agents[0].num_sends, before); /* nothing more */
  lab_clear(&l);
}

int main(void) {
  static bool yes = true;
  static bool no = false;
  const struct CMUnitTest tests[] = {
      TORC_CASE("ICE-26 ICE-27 both controlling", test_conflict, &yes),
      TORC_CASE("ICE-26 ICE-27 both controlled", test_conflict, &no),
      TORC_TEST("ICE-28 a third of all datagrams lost", test_loss),
      TORC_TEST("ICE-28 answers from another address", test_misplaced),
      TORC_TEST("ICE-28 wrong password", test_integrity),
      TORC_TEST("ICE-28 each datagram with a bit flipped", test_flipped),
      TORC_TEST("ICE-28 replayed checks", test_replay),
      TORC_CASE("ICE-28 10000 candidates at one third party", test_many, &yes),
      TORC_CASE("ICE-28 10000 candidates at third parties", test_many, &no),
      TORC_TEST("ICE-28 room for a check though all is full", test_crowded),
      TORC_TEST("ICE-28 many sessions pointed at one address", test_many_sessions),
      TORC_TEST("ICE-28 one check each Ta", test_pacing),
      TORC_TEST("ICE-21 addresses that are not tried", test_refused),
      TORC_TEST("ICE-21 loopback where it is allowed", test_loopback),
      TORC_TEST("ICE-30 nobody checks", test_silence),
      TORC_TEST("ICE-30 ICMP", test_unreachable),
      TORC_TEST("ICE-28 ICMP, then a check", test_revived),
      TORC_TEST("ICE-25 a peer that only answers", test_lite),
      TORC_TEST("ICE-28 checks before the parameters", test_early),
      TORC_TEST("ICE-28 what requests are answered with", test_codes),
      TORC_TEST("ICE-29 aggressive nomination by the other side", test_aggressive),
      TORC_TEST("ICE-33 consent kept, a fifth lost", test_consent_kept),
      TORC_TEST("ICE-33 consent lost", test_consent_lost),
  };
  return TORC_RUN(tests);
}

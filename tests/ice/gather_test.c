/* Gathering candidates ahead, in virtual time, with STUN and TURN servers laid by hand.
 * SPDX-License-Identifier: Apache-2.0 */
#include "ice/gather.h"

#include "base/failing_mem.h"
#include "base/slice.h"
#include "ice/helper_stun.h"
#include "torc_test.h"

#define A(name_) TORC_STUN_ATTR_##name_
#define MAX_SENT 512u

static const torc_addr own4 = {.family = 1, .addr = {10, 0, 0, 2}, .port = 6084};
static const torc_addr own6 = {.family = 2, .addr = {0x20, 1, 0xd, 0xb8, [15] = 2}, .port = 6084};
static const torc_addr turn_at = {.family = 1, .addr = {192, 0, 2, 200}, .port = 3478};
static const torc_addr relayed = {.family = 1, .addr = {192, 0, 2, 201}, .port = 50000};
static const torc_addr relayed6 = {
    .family = 2, .addr = {0x20, 1, 0xd, 0xb8, [15] = 9}, .port = 50001};
static const torc_addr outside = {.family = 1, .addr = {203, 0, 113, 5}, .port = 40001};
static const torc_addr peer = {.family = 1, .addr = {198, 51, 100, 7}, .port = 32853};

typedef struct sent {
  torc_gather_output o;
  uint8_t bytes[1024];
} sent;

typedef struct bed {
  helper_stun crypto;
  failing_mem mem;
  torc_gather_config cfg;
  torc_gather *g;
  torc_time now;
  sent outs[MAX_SENT];
  size_t num_outs;
  uint8_t answer[1024];
  torc_wr wr;
  torc_stun_wr w;
} bed;

static void set_up(bed *b) {
  memset(b, 0, sizeof *b);
  helper_stun_init(&b->crypto);
  failing_mem_init(&b->mem, 0);
  b->now = TORC_SEC(1000);
  b->cfg = (torc_gather_config){.mem = &b->mem.mem, .crypto = &b->crypto.table, .first_relay = 900};
  assert_int_equal(torc_gather_new(&b->g, &b->cfg, b->now), 0);
}

static void clear(bed *b) {
  torc_gather_free(b->g);
  assert_int_equal(b->mem.num_held, 0);
}

static void drain(bed *b) {
  torc_gather_output o;
  while (torc_gather_poll(b->g, &o)) {
    sent *s = &b->outs[b->num_outs];
    assert_true(b->num_outs < MAX_SENT && o.bytes.len <= sizeof s->bytes);
    b->num_outs++;
    s->o = o;
    if (o.bytes.len != 0) {
      memcpy(s->bytes, o.bytes.p, o.bytes.len);
    }
    s->o.bytes.p = s->bytes;
  }
}

static void tick(bed *b, torc_time now) {
  b->now = now;
  torc_gather_tick(b->g, now);
  drain(b);
}

static void run(bed *b, torc_time until) {
  for (int i = 0; torc_gather_deadline(b->g) <= until; i++) {
    assert_true(i < 1000);
    tick(b, torc_gather_deadline(b->g) > b->now ? torc_gather_deadline(b->g) : b->now);
  }
  b->now = until;
}

static size_t count(const bed *b, torc_gather_output_kind kind) {
  size_t num = 0;
  for (size_t i = 0; i < b->num_outs; i++) {
    num += b->outs[i].o.kind == kind ? 1u : 0u;
  }
  return num;
}

static const sent *last(const bed *b, torc_gather_output_kind kind) {
  for (size_t i = b->num_outs; i > 0; i--) {
    if (b->outs[i - 1].o.kind == kind) {
      return &b->outs[i - 1];
    }
  }
  fail_msg("no output of kind %d", (int)kind);
  return NULL;
}

static void add_socket(bed *b, torc_ice_socket id, const torc_addr *addr, bool is_tcp) {
  torc_gather_socket s = {.id = id, .addr = *addr, .is_tcp = is_tcp, .preference = 65535};
  assert_int_equal(torc_gather_add_socket(b->g, &s, b->now), 0);
  drain(b);
}

static torc_addr stun_at(uint8_t i) {
  return (torc_addr){.family = 1, .addr = {192, 0, 2, i}, .port = 6084};
}

static void peer_up(bed *b, uint8_t i) {
  torc_addr a = stun_at(i);
  assert_int_equal(torc_gather_peer_up(b->g, i, &a, b->now), 0);
  drain(b);
}

/* Answers all Binding requests that left, as servers that see us so; returns how many. */
static size_t answer_all(bed *b, const torc_addr *mapped) {
  size_t num = 0;
  for (size_t i = 0; i < b->num_outs; i++) {
    torc_gather_output o = b->outs[i].o;
    torc_stun_msg m;
    if (o.kind != TORC_GATHER_OUT_SEND || torc_stun_decode(&m, o.bytes) != 0 ||
        m.method != TORC_STUN_BINDING || m.cls != TORC_STUN_REQUEST) {
      continue;
    }
    torc_wr_init(&b->wr, b->answer, sizeof b->answer);
    torc_stun_begin(&b->w, &b->wr, TORC_STUN_SUCCESS, TORC_STUN_BINDING, m.txid);
    torc_stun_put_xor_addr(&b->w, A(XOR_MAPPED_ADDRESS), mapped);
    num += torc_gather_input(b->g, o.socket, &o.remote, torc_wr_slice(&b->wr), b->now) == 0;
  }
  b->num_outs = 0;
  drain(b);
  return num;
}

/* As `run`, with servers that answer at once; returns how many requests they got. */
static size_t run_answered(bed *b, torc_time until, const torc_addr *mapped) {
  size_t num = 0;
  while (torc_gather_deadline(b->g) <= until) {
    tick(b, torc_gather_deadline(b->g) > b->now ? torc_gather_deadline(b->g) : b->now);
    num += answer_all(b, mapped);
    assert_true(num < 1000);
  }
  b->now = until;
  return num;
}

static size_t locals(const bed *b, torc_cand_type type, torc_cand_transport transport,
                     const torc_ice_local **out) {
  const torc_ice_local *list;
  size_t num = torc_gather_locals(b->g, &list);
  size_t found = 0;
  for (size_t i = 0; i < num; i++) {
    if (list[i].type == type && list[i].transport == transport) {
      found++;
      *out = &list[i];
    }
  }
  return found;
}

static size_t num_srflx(const bed *b) {
  const torc_ice_local *l = NULL;
  return locals(b, TORC_CAND_SRFLX, TORC_CAND_UDP, &l);
}

typedef struct wanted {
  const char *name;
  uint64_t value;
  bool is_found;
} wanted;

static void each(void *ctx, const char *name, uint64_t value) {
  wanted *w = ctx;
  if (strcmp(name, w->name) == 0) {
    w->value = value;
    w->is_found = true;
  }
}

static uint64_t counter(const bed *b, const char *name) {
  wanted w = {.name = name};
  torc_gather_counters(b->g, &w, each);
  assert_true(w.is_found);
  return w.value;
}

/* ---- host candidates ---- */

static void test_hosts(void **state) {
  const torc_ice_local *l = NULL;
  bed b;
  (void)state;
  set_up(&b);
  add_socket(&b, 1, &own4, false);
  add_socket(&b, 2, &own6, false);
  add_socket(&b, 3, &own4, true);
  assert_true(count(&b, TORC_GATHER_OUT_CHANGED) >= 3);
  assert_true(torc_gather_is_settled(b.g)); /* there is nobody to ask */
  assert_true(torc_gather_deadline(b.g) == TORC_NEVER);
  assert_int_equal(torc_gather_locals(b.g, &l), 4);
  assert_int_equal(locals(&b, TORC_CAND_HOST, TORC_CAND_UDP, &l), 2);
  assert_true(torc_stun_addr_eq(&l->addr, &own6) && torc_stun_addr_eq(&l->base, &own6));
  assert_true(l->socket == 2 && l->server.family == 0 && l->preference == 65535);
  assert_int_equal(locals(&b, TORC_CAND_HOST, TORC_CAND_TCP, &l), 2);
  assert_int_equal(l->tcptype, TORC_TCPTYPE_ACTIVE);
  assert_true(l->addr.port == 9 && l->socket == 0);
  assert_int_equal(l[-1].tcptype, TORC_TCPTYPE_PASSIVE);
  assert_true(torc_stun_addr_eq(&l[-1].addr, &own4) && l[-1].socket == 3);
  b.num_outs = 0;
  torc_gather_remove_socket(b.g, 3, b.now);
  drain(&b);
  assert_int_equal(torc_gather_locals(b.g, &l), 2);
  assert_true(count(&b, TORC_GATHER_OUT_CHANGED) >= 1);
  clear(&b);
}

static void test_sockets_that_cannot_be(void **state) {
  torc_gather_socket s = {.id = 1, .addr = own4, .is_tcp = true, .is_so = true};
  const torc_ice_local *l = NULL;
  bed b;
  (void)state;
  set_up(&b);
  assert_int_equal(torc_gather_add_socket(b.g, &s, b.now), 0);
  drain(&b);
  assert_int_equal(torc_gather_locals(b.g, &l), 3);
  assert_int_equal(l[1].tcptype, TORC_TCPTYPE_SO);
  assert_true(torc_stun_addr_eq(&l[1].addr, &own4));
  assert_int_equal(torc_gather_add_socket(b.g, &s, b.now), TORC_ERR_EXISTS);
  s.id = 0;
  assert_int_equal(torc_gather_add_socket(b.g, &s, b.now), TORC_ERR_INVALID);
  for (uint8_t i = 2; i <= TORC_GATHER_SOCKETS_MAX; i++) {
    s.id = i;
    s.addr.addr[3] = i;
    assert_int_equal(torc_gather_add_socket(b.g, &s, b.now), 0);
    drain(&b);
    b.num_outs = 0;
  }
  s.id = 99;
  assert_int_equal(torc_gather_add_socket(b.g, &s, b.now), TORC_ERR_LIMIT);
  assert_int_equal(torc_gather_locals(b.g, &l), TORC_GATHER_HOSTS_MAX); /* others have room */
  assert_true(counter(&b, "locals_refused") > 0);
  torc_gather_remove_socket(b.g, 77, b.now);
  clear(&b);
}

/* ---- server-reflexive candidates ---- */

static void test_srflx(void **state) {
  const torc_ice_local *l = NULL;
  torc_addr server = stun_at(1);
  torc_stun_msg m;
  bed b;
  (void)state;
  set_up(&b);
  add_socket(&b, 1, &own4, false);
  add_socket(&b, 2, &own6, false);
  b.num_outs = 0;
  peer_up(&b, 1);
  run(&b, b.now);
  assert_int_equal(count(&b, TORC_GATHER_OUT_SEND), 1); /* the IPv6 socket cannot ask it */
  assert_true(torc_stun_addr_eq(&b.outs[0].o.remote, &server) && b.outs[0].o.socket == 1);
  assert_int_equal(torc_stun_decode(&m, b.outs[0].o.bytes), 0);
  assert_true(torc_stun_has(&m, TORC_STUN_KNOWN_FINGERPRINT));
  assert_int_equal(answer_all(&b, &outside), 1);
  assert_int_equal(count(&b, TORC_GATHER_OUT_CHANGED), 1);
  assert_int_equal(locals(&b, TORC_CAND_SRFLX, TORC_CAND_UDP, &l), 1);
  assert_true(torc_stun_addr_eq(&l->addr, &outside) && torc_stun_addr_eq(&l->base, &own4));
  assert_true(torc_stun_addr_eq(&l->server, &server) && l->socket == 1);
  clear(&b);
}

/* Who is not behind a NAT has no other address. */
static void test_no_nat(void **state) {
  bed b;
  (void)state;
  set_up(&b);
  add_socket(&b, 1, &own4, false);
  peer_up(&b, 1);
  run(&b, b.now);
  assert_int_equal(answer_all(&b, &own4), 1);
  assert_int_equal(num_srflx(&b), 0);
  assert_int_equal(counter(&b, "locals_double"), 1);
  clear(&b);
}

/* Of a group one is asked on, every 15 s; two groups that say the same are one candidate. */
static void test_keepalive(void **state) {
  const torc_ice_local *l = NULL;
  torc_addr other = outside;
  bed b;
  (void)state;
  other.addr[3]++;
  set_up(&b);
  add_socket(&b, 1, &own4, false);
  for (uint8_t i = 1; i <= 6; i++) {
    peer_up(&b, i);
  }
  run(&b, b.now + TORC_MS(100)); /* paced; four at a time are asked for the first time */
  assert_int_equal(count(&b, TORC_GATHER_OUT_SEND), 4);
  assert_int_equal(answer_all(&b, &outside), 4);
  run(&b, b.now + TORC_MS(100));
  assert_int_equal(answer_all(&b, &outside), 2);
  assert_int_equal(num_srflx(&b), 1);
  b.num_outs = 0;
  assert_int_equal(run_answered(&b, b.now + TORC_MS(14700), &outside), 0);
  for (int i = 0; i < 4; i++) {
    assert_int_equal(run_answered(&b, b.now + TORC_SEC(15), &outside), 1); /* one of the six */
    assert_int_equal(count(&b, TORC_GATHER_OUT_CHANGED), 0);
  }
  /* The NAT has forgotten us: the others of the group are asked, for theirs is another one now. */
  assert_int_equal(run_answered(&b, b.now + TORC_SEC(15), &other), 6);
  assert_int_equal(locals(&b, TORC_CAND_SRFLX, TORC_CAND_UDP, &l), 1);
  assert_true(torc_stun_addr_eq(&l->addr, &other));
  assert_true(counter(&b, "mappings_changed") >= 1);
  assert_int_equal(run_answered(&b, b.now + TORC_SEC(15), &other), 1);
  clear(&b);
}

static void test_bounded(void **state) {
  torc_time t0;
  bed b;
  (void)state;
  set_up(&b);
  add_socket(&b, 1, &own4, false);
  assert_true(torc_gather_is_settled(b.g));
  peer_up(&b, 1);
  assert_false(torc_gather_is_settled(b.g));
  t0 = b.now;
  b.num_outs = 0;
  run(&b, t0 + TORC_GATHER_TIME - 1);
  assert_false(torc_gather_is_settled(b.g));
  assert_int_equal(count(&b, TORC_GATHER_OUT_SEND), 3);
  run(&b, t0 + TORC_GATHER_TIME);
  assert_true(torc_gather_is_settled(b.g));
  assert_int_equal(count(&b, TORC_GATHER_OUT_CHANGED), 1);
  assert_int_equal(counter(&b, "unanswered"), 1);
  b.num_outs = 0;
  run(&b, t0 + TORC_SEC(100)); /* no server: not asked again... */
  assert_int_equal(b.num_outs, 0);
  torc_gather_renew(b.g, b.now); /* ...but when everything is */
  run(&b, b.now);
  assert_int_equal(answer_all(&b, &outside), 1);
  assert_true(torc_gather_is_settled(b.g));
  clear(&b);
}

/* A server that falls silent: one lost answer is nothing, two are the end of what it said. */
static void test_silent_server(void **state) {
  const torc_ice_local *l = NULL;
  torc_addr second = stun_at(2);
  bed b;
  (void)state;
  set_up(&b);
  add_socket(&b, 1, &own4, false);
  peer_up(&b, 1);
  peer_up(&b, 2);
  run(&b, b.now + TORC_MS(20));
  assert_int_equal(answer_all(&b, &outside), 2);
  run(&b, b.now + TORC_SEC(18));
  assert_int_equal(num_srflx(&b), 1);
  b.num_outs = 0;
  run(&b, b.now + TORC_SEC(15));
  /* The other one of the group is asked, and answers. */
  assert_true(torc_stun_addr_eq(&last(&b, TORC_GATHER_OUT_SEND)->o.remote, &second));
  assert_true(answer_all(&b, &outside) >= 1);
  assert_int_equal(locals(&b, TORC_CAND_SRFLX, TORC_CAND_UDP, &l), 1);
  assert_true(torc_stun_addr_eq(&l->server, &second));
  clear(&b);
}

/* [ICE-13] [ICE-14]: what the lost one said holds until its successor has answered. */
static void test_lost_server(void **state) {
  const torc_ice_local *l = NULL;
  torc_addr second = stun_at(2);
  bed b;
  (void)state;
  set_up(&b);
  add_socket(&b, 1, &own4, false);
  peer_up(&b, 1);
  peer_up(&b, 2);
  run(&b, b.now + TORC_MS(20));
  assert_int_equal(answer_all(&b, &outside), 2);
  torc_gather_peer_down(b.g, 1, b.now);
  drain(&b);
  assert_int_equal(num_srflx(&b), 1);
  b.num_outs = 0;
  run(&b, b.now + TORC_MS(20));
  assert_int_equal(count(&b, TORC_GATHER_OUT_SEND), 1);
  assert_true(torc_stun_addr_eq(&b.outs[0].o.remote, &second));
  assert_int_equal(answer_all(&b, &outside), 1);
  assert_int_equal(locals(&b, TORC_CAND_SRFLX, TORC_CAND_UDP, &l), 1);
  torc_gather_peer_down(b.g, 2, b.now);
  drain(&b);
  assert_int_equal(num_srflx(&b), 0);
  assert_true(torc_gather_deadline(b.g) == TORC_NEVER);
  clear(&b);
}

static void test_forged(void **state) {
  torc_addr from = stun_at(1);
  torc_stun_msg m;
  bed b;
  (void)state;
  set_up(&b);
  add_socket(&b, 1, &own4, false);
  peer_up(&b, 1);
  b.num_outs = 0;
  run(&b, b.now);
  assert_int_equal(torc_stun_decode(&m, b.outs[0].o.bytes), 0);
  torc_wr_init(&b.wr, b.answer, sizeof b.answer);
  torc_stun_begin(&b.w, &b.wr, TORC_STUN_SUCCESS, TORC_STUN_BINDING, m.txid);
  torc_stun_put_xor_addr(&b.w, A(XOR_MAPPED_ADDRESS), &outside);
  from.port++;
  (void)!torc_gather_input(b.g, 1, &from, torc_wr_slice(&b.wr), b.now);
  from.port--;
  (void)!torc_gather_input(b.g, 2, &from, torc_wr_slice(&b.wr), b.now);
  drain(&b);
  assert_int_equal(num_srflx(&b), 0);
  b.answer[12] ^= 1;
  assert_int_equal(torc_gather_input(b.g, 1, &from, torc_wr_slice(&b.wr), b.now),
                   TORC_ERR_NOTFOUND);
  b.answer[12] ^= 1;
  for (size_t i = 0; i < b.wr.len; i++) {
    assert_int_equal(torc_gather_input(b.g, 1, &from, torc_slice_of(b.answer, i), b.now),
                     TORC_ERR_NOTFOUND);
  }
  assert_int_equal(torc_gather_input(b.g, 1, &from, torc_slice_of(m.bytes.p, m.bytes.len), b.now),
                   TORC_ERR_NOTFOUND); /* a request is not for this */
  /* An address of the other family is none. */
  torc_wr_init(&b.wr, b.answer, sizeof b.answer);
  torc_stun_begin(&b.w, &b.wr, TORC_STUN_SUCCESS, TORC_STUN_BINDING, m.txid);
  torc_stun_put_xor_addr(&b.w, A(XOR_MAPPED_ADDRESS), &own6);
  assert_int_equal(torc_gather_input(b.g, 1, &from, torc_wr_slice(&b.wr), b.now), 0);
  drain(&b);
  assert_int_equal(num_srflx(&b), 0);
  clear(&b);
}

/* ---- allocations ---- */

static torc_token add_turn(bed *b, torc_gather_path path, uint8_t families) {
  torc_gather_turn t = {.server = turn_at,
                        .path = path,
                        .families = families,
                        .user = torc_slice_str("user"),
                        .password = torc_slice_str("secret"),
                        .host = torc_slice_str("a.example.org")};
  torc_token id = 0;
  assert_int_equal(torc_gather_add_turn(b->g, &t, b->now, &id), 0);
  drain(b);
  return id;
}

static int give(bed *b, torc_token stream) {
  int rc = stream != 0 ? torc_gather_stream_input(b->g, stream, torc_wr_slice(&b->wr), b->now)
                       : torc_gather_input(b->g, 1, &turn_at, torc_wr_slice(&b->wr), b->now);
  b->num_outs = 0;
  drain(b);
  return rc;
}

/* Begins the answer to the last request of an allocation. */
static void begin_answer(bed *b, torc_stun_class cls) {
  torc_stun_msg m;
  size_t i = b->num_outs;
  while (i > 0 && (torc_stun_decode(&m, b->outs[i - 1].o.bytes) != 0 ||
                   m.cls != TORC_STUN_REQUEST || m.method == TORC_STUN_BINDING)) {
    i--;
  }
  assert_true(i > 0);
  torc_wr_init(&b->wr, b->answer, sizeof b->answer);
  torc_stun_begin(&b->w, &b->wr, cls, m.method, m.txid);
}

static void challenge(bed *b, torc_token stream) {
  begin_answer(b, TORC_STUN_ERROR);
  torc_stun_put_error(&b->w, 401, "");
  torc_stun_put(&b->w, A(REALM), torc_slice_str("r"));
  torc_stun_put(&b->w, A(NONCE), torc_slice_str("n"));
  assert_int_equal(give(b, stream), 0);
}

static void sign(bed *b) {
  torc_stun_key key;
  assert_int_equal(torc_stun_key_long(&b->crypto.table, TORC_STUN_MD5, torc_slice_str("user"),
                                      torc_slice_str("r"), torc_slice_str("secret"), &key),
                   0);
  assert_int_equal(
      torc_stun_put_integrity(&b->w, &b->crypto.table, &key, TORC_STUN_INTEGRITY_SHA1, 32), 0);
}

static void allocate(bed *b, torc_token stream, uint8_t families) {
  challenge(b, stream);
  begin_answer(b, TORC_STUN_SUCCESS);
  torc_stun_put_xor_addr(&b->w, A(XOR_RELAYED_ADDRESS), &relayed);
  if (families == (TORC_TURN_V4 | TORC_TURN_V6)) {
    torc_stun_put_xor_addr(&b->w, A(XOR_RELAYED_ADDRESS), &relayed6);
  }
  torc_stun_put_xor_addr(&b->w, A(XOR_MAPPED_ADDRESS), &outside);
  torc_stun_put_u32(&b->w, A(LIFETIME), 600);
  sign(b);
  assert_int_equal(give(b, stream), 0);
}

static void refuse(bed *b, uint16_t code) {
  begin_answer(b, TORC_STUN_ERROR);
  torc_stun_put_error(&b->w, code, "");
  sign(b);
  assert_int_equal(give(b, 0), 0);
}

static void test_relay(void **state) {
  const torc_ice_local *l = NULL;
  torc_addr other = turn_at;
  bed b;
  (void)state;
  set_up(&b);
  add_socket(&b, 1, &own4, false);
  (void)add_turn(&b, TORC_TURN_UDP, TORC_TURN_V4 | TORC_TURN_V6);
  assert_false(torc_gather_is_settled(b.g));
  allocate(&b, 0, TORC_TURN_V4 | TORC_TURN_V6);
  assert_true(torc_gather_is_settled(b.g));
  assert_int_equal(count(&b, TORC_GATHER_OUT_CHANGED), 1);
  assert_int_equal(locals(&b, TORC_CAND_RELAY, TORC_CAND_UDP, &l), 2);
  assert_true(torc_stun_addr_eq(&l->addr, &relayed6) && torc_stun_addr_eq(&l->base, &relayed6));
  assert_true(l->socket == 900 && torc_stun_addr_eq(&l->server, &turn_at));
  assert_int_equal(locals(&b, TORC_CAND_SRFLX, TORC_CAND_UDP, &l), 1); /* the server saw us */
  assert_true(torc_stun_addr_eq(&l->addr, &outside) && l->socket == 1);
  /* Data both ways. */
  b.num_outs = 0;
  assert_int_equal(torc_gather_relay_permit(b.g, 900, &peer, 1, b.now), 0);
  assert_int_equal(torc_gather_relay_bind(b.g, 900, &peer, b.now), 0);
  assert_int_equal(torc_gather_relay_send(b.g, 900, &peer, torc_slice_str("x"), b.now), 0);
  drain(&b);
  assert_int_equal(count(&b, TORC_GATHER_OUT_SEND), 3);
  assert_true(b.outs[2].o.socket == 1 && torc_stun_addr_eq(&b.outs[2].o.remote, &turn_at));
  torc_wr_init(&b.wr, b.answer, sizeof b.answer);
  torc_stun_begin(&b.w, &b.wr, TORC_STUN_INDICATION, TORC_STUN_DATA, b.answer + 100);
  torc_stun_put_xor_addr(&b.w, A(XOR_PEER_ADDRESS), &peer);
  torc_stun_put(&b.w, A(DATA), torc_slice_str("back"));
  other.port++;
  assert_int_equal(torc_gather_input(b.g, 1, &other, torc_wr_slice(&b.wr), b.now),
                   TORC_ERR_NOTFOUND);
  assert_int_equal(torc_gather_input(b.g, 2, &turn_at, torc_wr_slice(&b.wr), b.now),
                   TORC_ERR_NOTFOUND);
  assert_int_equal(give(&b, 0), 0);
  assert_true(torc_slice_eq(last(&b, TORC_GATHER_OUT_DATA)->o.bytes, torc_slice_str("back")));
  assert_true(last(&b, TORC_GATHER_OUT_DATA)->o.socket == 900);
  assert_true(torc_stun_addr_eq(&last(&b, TORC_GATHER_OUT_DATA)->o.local, &relayed));
  assert_true(torc_stun_addr_eq(&last(&b, TORC_GATHER_OUT_DATA)->o.remote, &peer));
  assert_int_equal(counter(&b, "turn_indication_received"), 1);
  assert_int_equal(torc_gather_relay_send(b.g, 901, &peer, torc_slice_str("x"), b.now),
                   TORC_ERR_NOTFOUND);
  assert_int_equal(torc_gather_relay_permit(b.g, 0, &peer, 1, b.now), TORC_ERR_NOTFOUND);
  assert_int_equal(torc_gather_relay_bind(b.g, 0, &peer, b.now), TORC_ERR_NOTFOUND);
  /* DTLS and checks of a peer that lives where the server does are not the allocation's. */
  torc_wr_init(&b.wr, b.answer, sizeof b.answer);
  torc_stun_begin(&b.w, &b.wr, TORC_STUN_REQUEST, TORC_STUN_BINDING, b.answer + 100);
  assert_int_equal(give(&b, 0), TORC_ERR_NOTFOUND);
  b.answer[0] = 22;
  assert_int_equal(give(&b, 0), TORC_ERR_NOTFOUND);
  clear(&b);
}

static void test_relay_lost(void **state) {
  const torc_ice_local *l = NULL;
  torc_time t0;
  bed b;
  (void)state;
  set_up(&b);
  add_socket(&b, 1, &own4, false);
  (void)add_turn(&b, TORC_TURN_UDP, TORC_TURN_V4);
  allocate(&b, 0, TORC_TURN_V4);
  t0 = b.now;
  b.num_outs = 0;
  run(&b, t0 + TORC_SEC(540));
  refuse(&b, 437);
  assert_true(last(&b, TORC_GATHER_OUT_RELAY_DOWN)->o.socket == 900);
  assert_int_equal(count(&b, TORC_GATHER_OUT_CHANGED), 1);
  assert_int_equal(locals(&b, TORC_CAND_RELAY, TORC_CAND_UDP, &l), 0);
  assert_int_equal(num_srflx(&b), 0);
  assert_false(torc_gather_is_settled(b.g));
  run(&b, b.now); /* it was up for long: another one at once */
  allocate(&b, 0, TORC_TURN_V4);
  assert_int_equal(locals(&b, TORC_CAND_RELAY, TORC_CAND_UDP, &l), 1);
  assert_true(l->socket == 901);                     /* a number is never used again */
  assert_true(counter(&b, "turn_keepalives") >= 12); /* of the one that is no more */
  clear(&b);
}

/* The NAT forgot us: the server sees another address, so the allocation is nobody's. */
static void test_relay_behind_a_nat(void **state) {
  const torc_ice_local *l = NULL;
  torc_addr other = outside;
  bed b;
  (void)state;
  other.port++;
  set_up(&b);
  add_socket(&b, 1, &own4, false);
  (void)add_turn(&b, TORC_TURN_UDP, TORC_TURN_V4);
  allocate(&b, 0, TORC_TURN_V4);
  assert_int_equal(run_answered(&b, b.now + TORC_SEC(90), &outside), 6);
  assert_int_equal(locals(&b, TORC_CAND_RELAY, TORC_CAND_UDP, &l), 1);
  b.num_outs = 0;
  torc_gather_renew(b.g, b.now);
  drain(&b);
  assert_int_equal(answer_all(&b, &other), 1);
  assert_int_equal(count(&b, TORC_GATHER_OUT_RELAY_DOWN), 1);
  assert_int_equal(locals(&b, TORC_CAND_RELAY, TORC_CAND_UDP, &l), 0);
  run(&b, b.now);
  allocate(&b, 0, TORC_TURN_V4);
  assert_int_equal(locals(&b, TORC_CAND_RELAY, TORC_CAND_UDP, &l), 1);
  clear(&b);
}

/* Refused for good, or for a while that grows. */
static void test_relay_refused(void **state) {
  torc_time t0;
  bed b;
  (void)state;
  set_up(&b);
  add_socket(&b, 1, &own4, false);
  (void)add_turn(&b, TORC_TURN_UDP, TORC_TURN_V4);
  challenge(&b, 0);
  refuse(&b, 403);
  assert_true(torc_gather_deadline(b.g) == TORC_NEVER);
  clear(&b);
  set_up(&b);
  add_socket(&b, 1, &own4, false);
  (void)add_turn(&b, TORC_TURN_UDP, TORC_TURN_V4);
  challenge(&b, 0);
  t0 = b.now;
  refuse(&b, 486);
  assert_true(torc_gather_deadline(b.g) == t0 + TORC_SEC(60));
  run(&b, t0 + TORC_SEC(60));
  challenge(&b, 0);
  refuse(&b, 486);
  assert_true(torc_gather_deadline(b.g) == t0 + TORC_SEC(180));
  torc_gather_renew(b.g, b.now); /* at once */
  assert_true(torc_gather_deadline(b.g) == b.now);
  assert_int_equal(counter(&b, "allocations_refused"), 2);
  clear(&b);
}

static void test_relay_over_stream(void **state) {
  const torc_ice_local *l = NULL;
  torc_token stream;
  bed b;
  (void)state;
  set_up(&b);
  (void)add_turn(&b, TORC_TURN_TLS, TORC_TURN_V4); /* needs no socket of ours */
  stream = last(&b, TORC_GATHER_OUT_STREAM_OPEN)->o.stream;
  assert_true(last(&b, TORC_GATHER_OUT_STREAM_OPEN)->o.is_tls);
  assert_true(torc_slice_eq(last(&b, TORC_GATHER_OUT_STREAM_OPEN)->o.host,
                            torc_slice_str("a.example.org")));
  assert_true(torc_stun_addr_eq(&last(&b, TORC_GATHER_OUT_STREAM_OPEN)->o.remote, &turn_at));
  torc_gather_stream_opened(b.g, stream, TORC_ERR_REFUSED, b.now);
  drain(&b);
  assert_int_equal(torc_gather_stream_input(b.g, stream, torc_slice_of("x", 1), b.now),
                   TORC_ERR_NOTFOUND);
  b.num_outs = 0;
  run(&b, b.now + TORC_SEC(60));
  assert_int_equal(count(&b, TORC_GATHER_OUT_STREAM_OPEN), 1);
  assert_true(last(&b, TORC_GATHER_OUT_STREAM_OPEN)->o.stream != stream);
  stream = last(&b, TORC_GATHER_OUT_STREAM_OPEN)->o.stream;
  torc_gather_stream_opened(b.g, stream, 0, b.now);
  drain(&b);
  assert_true(last(&b, TORC_GATHER_OUT_STREAM_SEND)->o.stream == stream);
  allocate(&b, stream, TORC_TURN_V4);
  assert_int_equal(locals(&b, TORC_CAND_RELAY, TORC_CAND_UDP, &l), 1);
  assert_int_equal(num_srflx(&b), 0); /* that of a TCP connection says nothing about UDP */
  torc_gather_stream_closed(b.g, stream, b.now);
  b.num_outs = 0;
  drain(&b);
  assert_int_equal(count(&b, TORC_GATHER_OUT_RELAY_DOWN), 1);
  assert_int_equal(count(&b, TORC_GATHER_OUT_STREAM_CLOSE), 0); /* it is closed */
  assert_int_equal(locals(&b, TORC_CAND_RELAY, TORC_CAND_UDP, &l), 0);
  assert_int_equal(counter(&b, "streams_failed"), 2);
  clear(&b);
}

static void test_relay_moves(void **state) {
  torc_addr other = turn_at;
  torc_token stream;
  bed b;
  (void)state;
  other.addr[3]++;
  set_up(&b);
  (void)add_turn(&b, TORC_TURN_TCP, TORC_TURN_V4);
  stream = last(&b, TORC_GATHER_OUT_STREAM_OPEN)->o.stream;
  torc_gather_stream_opened(b.g, stream, 0, b.now);
  drain(&b);
  begin_answer(&b, TORC_STUN_ERROR);
  torc_stun_put_error(&b.w, 300, "");
  torc_stun_put_addr(&b.w, A(ALTERNATE_SERVER), &other);
  torc_stun_put(&b.w, A(ALTERNATE_DOMAIN), torc_slice_str("b.example.org"));
  assert_int_equal(give(&b, stream), 0);
  assert_true(last(&b, TORC_GATHER_OUT_STREAM_CLOSE)->o.stream == stream);
  assert_true(torc_stun_addr_eq(&last(&b, TORC_GATHER_OUT_STREAM_OPEN)->o.remote, &other));
  assert_true(torc_slice_eq(last(&b, TORC_GATHER_OUT_STREAM_OPEN)->o.host,
                            torc_slice_str("b.example.org")));
  torc_gather_stream_closed(b.g, stream, b.now); /* the old one: says nothing new */
  stream = last(&b, TORC_GATHER_OUT_STREAM_OPEN)->o.stream;
  torc_gather_stream_opened(b.g, stream, 0, b.now);
  drain(&b);
  allocate(&b, stream, TORC_TURN_V4);
  assert_int_equal(counter(&b, "allocations"), 1);
  clear(&b);
  set_up(&b);
  add_socket(&b, 1, &own4, false);
  (void)add_turn(&b, TORC_TURN_UDP, TORC_TURN_V4);
  begin_answer(&b, TORC_STUN_ERROR);
  torc_stun_put_error(&b.w, 300, "");
  torc_stun_put_addr(&b.w, A(ALTERNATE_SERVER), &other);
  assert_int_equal(give(&b, 0), 0);
  assert_true(torc_stun_addr_eq(&last(&b, TORC_GATHER_OUT_SEND)->o.remote, &other));
  clear(&b);
}

/* The socket that carries an allocation is gone: the next one of its family makes another. */
static void test_socket_of_a_relay_gone(void **state) {
  torc_addr again = own4;
  bed b;
  (void)state;
  again.addr[3]++;
  set_up(&b);
  (void)add_turn(&b, TORC_TURN_UDP, TORC_TURN_V4); /* nothing to ask from yet */
  assert_int_equal(count(&b, TORC_GATHER_OUT_SEND), 0);
  assert_true(torc_gather_deadline(b.g) == TORC_NEVER);
  add_socket(&b, 1, &own4, false);
  run(&b, b.now);
  allocate(&b, 0, TORC_TURN_V4);
  add_socket(&b, 2, &again, false);
  b.num_outs = 0;
  torc_gather_remove_socket(b.g, 1, b.now);
  drain(&b);
  assert_int_equal(count(&b, TORC_GATHER_OUT_RELAY_DOWN), 1);
  run(&b, b.now);
  assert_true(last(&b, TORC_GATHER_OUT_SEND)->o.socket == 2);
  clear(&b);
}

static void test_turn_removed(void **state) {
  torc_stun_msg m;
  uint32_t lifetime = 1;
  torc_token id;
  bed b;
  (void)state;
  set_up(&b);
  add_socket(&b, 1, &own4, false);
  id = add_turn(&b, TORC_TURN_UDP, TORC_TURN_V4);
  allocate(&b, 0, TORC_TURN_V4);
  b.num_outs = 0;
  torc_gather_remove_turn(b.g, id, b.now);
  torc_gather_remove_turn(b.g, id, b.now);
  drain(&b);
  assert_int_equal(count(&b, TORC_GATHER_OUT_RELAY_DOWN), 1);
  assert_int_equal(count(&b, TORC_GATHER_OUT_CHANGED), 1);
  assert_int_equal(torc_stun_decode(&m, last(&b, TORC_GATHER_OUT_SEND)->o.bytes), 0);
  assert_int_equal(torc_stun_get_u32(&m, TORC_STUN_KNOWN_LIFETIME, &lifetime), 0);
  assert_int_equal(lifetime, 0);
  run(&b, b.now + TORC_SEC(40)); /* no answer: its place is free all the same */
  assert_true(torc_gather_deadline(b.g) == TORC_NEVER);
  for (uint32_t i = 0; i < TORC_GATHER_TURNS_MAX; i++) {
    (void)add_turn(&b, TORC_TURN_TCP, TORC_TURN_V4);
  }
  {
    torc_gather_turn t = {.server = turn_at, .families = TORC_TURN_V4};
    assert_int_equal(torc_gather_add_turn(b.g, &t, b.now, &id), TORC_ERR_LIMIT);
    t.families = 0;
    assert_int_equal(torc_gather_add_turn(b.g, &t, b.now, &id), TORC_ERR_INVALID);
  }
  clear(&b);
}

static void test_close(void **state) {
  torc_stun_msg m;
  bed b;
  (void)state;
  set_up(&b);
  add_socket(&b, 1, &own4, false);
  peer_up(&b, 1);
  (void)add_turn(&b, TORC_TURN_UDP, TORC_TURN_V4);
  allocate(&b, 0, TORC_TURN_V4);
  b.num_outs = 0;
  torc_gather_close(b.g, b.now);
  drain(&b);
  assert_int_equal(torc_stun_decode(&m, last(&b, TORC_GATHER_OUT_SEND)->o.bytes), 0);
  assert_int_equal(m.method, TORC_STUN_REFRESH);
  run(&b, b.now + TORC_SEC(60));
  assert_true(torc_gather_deadline(b.g) == TORC_NEVER);
  clear(&b);
}

/* ---- failures of our own ---- */

static void story(bed *b) {
  torc_gather_socket s = {.id = 1, .addr = own4};
  torc_gather_turn t = {.server = turn_at,
                        .families = TORC_TURN_V4,
                        .user = torc_slice_str("user"),
                        .password = torc_slice_str("secret")};
  torc_addr at = stun_at(1);
  torc_token id;
  if (torc_gather_new(&b->g, &b->cfg, b->now) != 0) {
    b->g = NULL;
    return;
  }
  (void)!torc_gather_add_socket(b->g, &s, b->now);
  (void)!torc_gather_peer_up(b->g, 1, &at, b->now);
  (void)!torc_gather_add_turn(b->g, &t, b->now, &id);
  drain(b);
  run(b, b->now);
  (void)answer_all(b, &outside);
  for (int i = 0; i < 10; i++) {
    run(b, b->now + TORC_SEC(20));
    b->num_outs = 0;
  }
  assert_true(torc_gather_is_settled(b->g));
  torc_gather_free(b->g);
}

static void test_no_memory(void **state) {
  size_t num = 0;
  (void)state;
  for (size_t i = 0; i <= num; i++) {
    bed b;
    set_up(&b);
    clear(&b);
    failing_mem_init(&b.mem, i);
    story(&b);
    num = i == 0 ? b.mem.num_calls : num;
    assert_int_equal(b.mem.num_held, 0);
  }
  assert_true(num >= 6);
}

static void test_no_crypto(void **state) {
  (void)state;
  for (int i = 1; i < 40; i++) {
    bed b;
    set_up(&b);
    clear(&b);
    b.crypto.fail_next = i;
    story(&b);
    assert_int_equal(b.mem.num_held, 0);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TORC_TEST("ICE-15 ICE-16 ICE-17 host candidates", test_hosts),
      TORC_TEST("ICE-17 sockets that cannot be", test_sockets_that_cannot_be),
      TORC_TEST("ICE-08 ICE-09 ICE-18 server-reflexive candidates from peers", test_srflx),
      TORC_TEST("ICE-18 without a NAT", test_no_nat),
      TORC_TEST("ICE-11 GAP-77 one of a group is asked every 15 s", test_keepalive),
      TORC_TEST("GAP-75 a gathering takes no more than 2 s", test_bounded),
      TORC_TEST("ICE-14 a server falls silent", test_silent_server),
      TORC_TEST("ICE-13 ICE-14 the connection to a server is lost", test_lost_server),
      TORC_TEST("ICE-18 forged answers", test_forged),
      TORC_TEST("ICE-18 GAP-79 an allocation is a socket of ICE", test_relay),
      TORC_TEST("ICE-18 an allocation is lost", test_relay_lost),
      TORC_TEST("ICE-18 GAP-77 the NAT before a TURN server forgets us", test_relay_behind_a_nat),
      TORC_TEST("ICE-18 a TURN server refuses", test_relay_refused),
      TORC_TEST("ICE-18 an allocation over TLS", test_relay_over_stream),
      TORC_TEST("ICE-18 a TURN server sends us to another", test_relay_moves),
      TORC_TEST("GAP-75 the socket of an allocation is gone", test_socket_of_a_relay_gone),
      TORC_TEST("ICE-18 a TURN server is not used any more", test_turn_removed),
      TORC_TEST("ICE-18 allocations are given back", test_close),
      TORC_TEST("GAP-75 each allocation fails", test_no_memory),
      TORC_TEST("GAP-75 each call of the crypto library fails", test_no_crypto),
  };
  return TORC_RUN(tests);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "ice/helper_turn.h"

#include "base/slice.h"
#include "torc_test.h"

#define A(name_) TORC_STUN_ATTR_##name_

const torc_addr turn_server = {.family = 1, .addr = {192, 0, 2, 1}, .port = 3478};
const torc_addr turn_peer = {.family = 1, .addr = {198, 51, 100, 7}, .port = 32853};
const torc_addr turn_peer6 = {.family = 2, .addr = {0x20, 1, 0xd, 0xb8, [15] = 9}, .port = 6084};
const torc_addr turn_relayed = {.family = 1, .addr = {192, 0, 2, 15}, .port = 50000};
const torc_addr turn_relayed6 = {
    .family = 2, .addr = {0x20, 1, 0xd, 0xb8, [15] = 1}, .port = 50001};

void turn_bed_init(turn_bed *b) {
  memset(b, 0, sizeof *b);
  helper_stun_init(&b->crypto);
  failing_mem_init(&b->mem, 0);
  b->now = TORC_SEC(1000);
  b->cfg = (torc_turn_config){.mem = &b->mem.mem,
                              .crypto = &b->crypto.table,
                              .server = turn_server,
                              .families = TORC_TURN_V4,
                              .keepalive = TORC_NEVER,
                              .user = torc_slice_str("user"),
                              .password = torc_slice_str("secret")};
  assert_int_equal(torc_stun_key_long(&b->crypto.table, TORC_STUN_MD5, b->cfg.user,
                                      torc_slice_str(TURN_REALM), b->cfg.password, &b->key),
                   0);
}

void turn_bed_new(turn_bed *b) {
  assert_int_equal(torc_turn_new(&b->t, &b->cfg, b->now), 0);
}

void turn_bed_clear(turn_bed *b) {
  torc_turn_free(b->t);
  assert_int_equal(b->mem.num_held, 0);
}

void turn_drain(turn_bed *b) {
  torc_turn_output o;
  while (torc_turn_poll(b->t, &o)) {
    turn_out *out = &b->outs[b->num_outs];
    assert_true(b->num_outs < TURN_OUTS && o.bytes.len <= sizeof out->bytes);
    b->num_outs++;
    out->o = o;
    if (o.bytes.len != 0) {
      memcpy(out->bytes, o.bytes.p, o.bytes.len);
    }
    out->o.bytes.p = out->bytes;
    memset(out->text, 0, sizeof out->text);
    if (o.text.len != 0) {
      memcpy(out->text, o.text.p, o.text.len < 63 ? o.text.len : 63);
    }
  }
}

void turn_tick(turn_bed *b, torc_time now) {
  b->now = now;
  torc_turn_tick(b->t, now);
  turn_drain(b);
}

size_t turn_run(turn_bed *b, torc_time until) {
  size_t num = 0;
  while (torc_turn_deadline(b->t) <= until) {
    assert_true(++num < 1000);
    turn_tick(b, torc_turn_deadline(b->t) > b->now ? torc_turn_deadline(b->t) : b->now);
  }
  b->now = until;
  return num;
}

void turn_forget(turn_bed *b) {
  b->num_outs = 0;
}

size_t turn_count(const turn_bed *b, torc_turn_output_kind kind) {
  size_t num = 0;
  for (size_t i = 0; i < b->num_outs; i++) {
    num += b->outs[i].o.kind == kind ? 1u : 0u;
  }
  return num;
}

const turn_out *turn_last(const turn_bed *b, torc_turn_output_kind kind) {
  for (size_t i = b->num_outs; i > 0; i--) {
    if (b->outs[i - 1].o.kind == kind) {
      return &b->outs[i - 1];
    }
  }
  fail_msg("no output of kind %d", (int)kind);
  return NULL;
}

static bool is_request(const turn_out *out, uint16_t method, torc_stun_msg *m) {
  return (out->o.kind == TORC_TURN_OUT_SEND || out->o.kind == TORC_TURN_OUT_SEND_DATA) &&
         torc_stun_decode(m, out->o.bytes) == 0 && m->cls == TORC_STUN_REQUEST &&
         m->method == method;
}

size_t turn_requests(const turn_bed *b, uint16_t method) {
  torc_stun_msg m;
  size_t num = 0;
  for (size_t i = 0; i < b->num_outs; i++) {
    num += is_request(&b->outs[i], method, &m) ? 1u : 0u;
  }
  return num;
}

torc_stun_msg turn_request_of(const turn_bed *b, uint16_t method) {
  torc_stun_msg m = {0};
  for (size_t i = b->num_outs; i > 0; i--) {
    if (is_request(&b->outs[i - 1], method, &m)) {
      return m;
    }
  }
  fail_msg("no request of method %u", (unsigned)method);
  return m;
}

void turn_answer(turn_bed *b, const torc_stun_msg *to, torc_stun_class cls) {
  torc_wr_init(&b->wr, b->answer, sizeof b->answer);
  torc_stun_begin(&b->w, &b->wr, cls, to->method, to->txid);
}

void turn_error(turn_bed *b, const torc_stun_msg *to, uint16_t code) {
  turn_answer(b, to, TORC_STUN_ERROR);
  torc_stun_put_error(&b->w, code, "because");
}

void turn_sign(turn_bed *b) {
  assert_int_equal(
      torc_stun_put_integrity(&b->w, &b->crypto.table, &b->key, TORC_STUN_INTEGRITY_SHA1, 32), 0);
}

void turn_deliver(turn_bed *b) {
  torc_addr from = torc_turn_remote(b->t);
  assert_int_equal(b->wr.err, 0);
  assert_int_equal(torc_turn_input(b->t, &from, torc_wr_slice(&b->wr), b->now), 0);
  turn_drain(b);
}

void turn_succeed(turn_bed *b, uint16_t method) {
  torc_stun_msg m = turn_request_of(b, method);
  turn_answer(b, &m, TORC_STUN_SUCCESS);
  if (method == TORC_STUN_REFRESH) {
    torc_stun_put_u32(&b->w, A(LIFETIME), 600);
  }
  turn_sign(b);
  turn_deliver(b);
}

void turn_refuse(turn_bed *b, uint16_t method, uint16_t code) {
  torc_stun_msg m = turn_request_of(b, method);
  turn_error(b, &m, code);
  turn_sign(b);
  turn_deliver(b);
}

void turn_indicate(turn_bed *b, uint16_t method) {
  static const uint8_t txid[TORC_STUN_TXID_LEN] = "of a server";
  torc_wr_init(&b->wr, b->answer, sizeof b->answer);
  torc_stun_begin(&b->w, &b->wr, TORC_STUN_INDICATION, method, txid);
}

void turn_challenge(turn_bed *b) {
  torc_stun_msg m;
  assert_int_equal(torc_turn_start(b->t, b->now), 0);
  turn_drain(b);
  m = turn_request_of(b, TORC_STUN_ALLOCATE);
  assert_false(torc_stun_has(&m, TORC_STUN_KNOWN_USERNAME));
  turn_error(b, &m, 401);
  torc_stun_put(&b->w, A(REALM), torc_slice_str(TURN_REALM));
  torc_stun_put(&b->w, A(NONCE), torc_slice_str(TURN_NONCE));
  turn_deliver(b);
}

void turn_put_allocation(turn_bed *b, uint32_t lifetime_s) {
  const torc_addr mapped = {.family = 1, .addr = {203, 0, 113, 5}, .port = 40001};
  torc_stun_msg m = turn_request_of(b, TORC_STUN_ALLOCATE);
  turn_answer(b, &m, TORC_STUN_SUCCESS);
  if ((b->cfg.families & TORC_TURN_V4) != 0) {
    torc_stun_put_xor_addr(&b->w, A(XOR_RELAYED_ADDRESS), &turn_relayed);
  }
  if ((b->cfg.families & TORC_TURN_V6) != 0) {
    torc_stun_put_xor_addr(&b->w, A(XOR_RELAYED_ADDRESS), &turn_relayed6);
  }
  torc_stun_put_xor_addr(&b->w, A(XOR_MAPPED_ADDRESS), &mapped);
  torc_stun_put_u32(&b->w, A(LIFETIME), lifetime_s);
}

void turn_allocate(turn_bed *b) {
  turn_bed_new(b);
  turn_challenge(b);
  turn_put_allocation(b, 600);
  turn_sign(b);
  turn_deliver(b);
  assert_int_equal(turn_count(b, TORC_TURN_OUT_ALLOCATED), 1);
  turn_forget(b);
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

uint64_t turn_counter(const turn_bed *b, const char *name) {
  wanted w = {.name = name};
  torc_turn_counters(b->t, &w, each);
  assert_true(w.is_found);
  return w.value;
}

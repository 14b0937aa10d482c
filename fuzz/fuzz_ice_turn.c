/* libFuzzer target of the TURN client. The first three bytes choose the transport, the limits and
 * which call of the crypto library fails; then come steps: time passes, the caller asks for
 * something, or the server sends an answer with the attributes given, an indication, or bytes as
 * they are. Properties: what leaves is well-formed, data comes only from addresses that were
 * permitted, the allocation ends once, and in bounded time. SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/slice.h"
#include "fuzz/ice_toy.h"
#include "ice/stun_login.h"
#include "ice/turn_client.h"
#include "ice/turn_frame.h"

enum {
  STEP_TIME,
  STEP_ANSWER,
  STEP_INDICATION,
  STEP_RAW,
  STEP_SEND,
  STEP_PERMIT,
  STEP_BIND,
  STEP_CONNECT,
  STEP_DATA_OPENED,
  STEP_DATA_INPUT,
  STEP_DATA_CLOSED,
  STEP_CLOSE,
  NUM_STEPS
};

#define REQUESTS 16u

typedef struct bed {
  ice_toy toy;
  torc_turn_config cfg;
  torc_turn *t;
  torc_time now;
  torc_stun_msg asked[REQUESTS]; /* the last requests: method and transaction id */
  size_t num_asked;
  torc_stun_login login; /* of the server */
  torc_turn_conn conn;
  bool permitted[256];
  uint32_t num_over, num_allocated;
} bed;

static torc_addr peer_of(uint8_t i) {
  torc_addr a = {.family = (uint8_t)(1 + (i & 1)), .addr = {198, 51, 100, i}, .port = 6084};
  return a;
}

static void sent(bed *b, torc_slice bytes) {
  torc_stun_msg m;
  torc_slice data;
  uint16_t number;
  size_t len = 0;
  if (torc_first_byte_of(bytes) == TORC_FIRST_CHANNEL) {
    CHECK(torc_turn_channel_get(bytes, &number, &data) == 0);
    CHECK(!b->cfg.is_stream || (torc_turn_frame_peek(bytes, &len) == 0 && len == bytes.len));
    return;
  }
  CHECK(torc_stun_decode(&m, bytes) == 0 && m.num_unknown == 0);
  CHECK(m.cls == TORC_STUN_REQUEST ||
        (m.cls == TORC_STUN_INDICATION && m.method == TORC_STUN_SEND));
  if (m.cls == TORC_STUN_REQUEST) {
    b->asked[b->num_asked % REQUESTS] = m;
    b->num_asked++;
  }
}

static void drain(bed *b) {
  torc_turn_output o;
  for (size_t num = 0; torc_turn_poll(b->t, &o); num++) {
    CHECK(num < 10000);
    switch (o.kind) {
      case TORC_TURN_OUT_SEND:
      case TORC_TURN_OUT_SEND_DATA:
        sent(b, o.bytes);
        break;
      case TORC_TURN_OUT_DATA:
      case TORC_TURN_OUT_UNREACHABLE:
        CHECK(b->permitted[o.addr.addr[3]]);
        break;
      case TORC_TURN_OUT_ALLOCATED:
        b->num_allocated++;
        CHECK(b->num_allocated == 1 && (o.relayed[0].family == 1 || o.relayed[1].family == 2));
        break;
      case TORC_TURN_OUT_OPEN_DATA:
        CHECK(!o.is_incoming || b->permitted[o.addr.addr[3]]);
        b->conn = o.conn;
        break;
      case TORC_TURN_OUT_MOVED:
        (void)!torc_turn_start(b->t, b->now);
        break;
      case TORC_TURN_OUT_CLOSED:
      case TORC_TURN_OUT_FAILED:
        b->num_over++;
        CHECK(torc_turn_deadline(b->t) == TORC_NEVER);
        break;
      case TORC_TURN_OUT_PERMITTED:
      case TORC_TURN_OUT_REFUSED:
      case TORC_TURN_OUT_DATA_UP:
      case TORC_TURN_OUT_DATA_DOWN:
        break;
    }
  }
  CHECK(b->num_over <= 1);
}

static void input(bed *b, torc_slice bytes) {
  torc_addr from = torc_turn_remote(b->t);
  CHECK(torc_turn_input(b->t, &from, bytes, b->now) == 0);
  drain(b);
}

static void put_attrs(torc_stun_wr *w, torc_slice attrs) {
  torc_slice value;
  uint16_t type;
  torc_rd rd;
  torc_rd_init(&rd, attrs);
  while (torc_stun_attr_next(&rd, &type, &value)) {
    if (type == TORC_STUN_ATTR_XOR_RELAYED_ADDRESS || type == TORC_STUN_ATTR_XOR_PEER_ADDRESS) {
      torc_addr a = peer_of(value.len > 7 ? value.p[7] : 0);
      torc_stun_put_xor_addr(w, type, &a);
    } else {
      torc_stun_put(w, type, value);
    }
  }
}

/* An answer to one of the last requests, signed as a server with the challenge of before would. */
static torc_slice answer(bed *b, uint8_t how, torc_slice attrs) {
  static uint8_t room[8192];
  const torc_stun_msg *to = &b->asked[(how >> 4) % REQUESTS];
  uint32_t fail_at = b->toy.fail_at;
  torc_stun_msg m;
  torc_stun_wr w;
  torc_wr wr;
  torc_wr_init(&wr, room, sizeof room);
  torc_stun_begin(&w, &wr, (how & 1u) != 0 ? TORC_STUN_SUCCESS : TORC_STUN_ERROR, to->method,
                  to->txid);
  put_attrs(&w, attrs);
  b->toy.fail_at = 0;
  if ((how & 2u) != 0 && b->login.is_challenged && wr.err == 0) {
    (void)!torc_stun_put_integrity(&w, &b->toy.table, &b->login.key,
                                   torc_stun_login_integrity(&b->login), 32);
  } else if (wr.err == 0 && torc_stun_decode(&m, torc_wr_slice(&wr)) == 0) {
    (void)!torc_stun_login_challenge(&b->login, &b->toy.table, &m);
  }
  b->toy.fail_at = fail_at;
  return wr.err == 0 ? torc_wr_slice(&wr) : (torc_slice){0};
}

static torc_slice indication(uint8_t how, torc_slice attrs) {
  static uint8_t room[8192];
  static const uint8_t txid[TORC_STUN_TXID_LEN] = {0};
  torc_stun_wr w;
  torc_wr wr;
  torc_wr_init(&wr, room, sizeof room);
  torc_stun_begin(&w, &wr, TORC_STUN_INDICATION,
                  (how & 1u) != 0 ? TORC_STUN_DATA : TORC_STUN_CONNECTION_ATTEMPT, txid);
  put_attrs(&w, attrs);
  return wr.err == 0 ? torc_wr_slice(&wr) : (torc_slice){0};
}

static void ask(bed *b, uint8_t step, uint8_t arg, torc_slice rest) {
  torc_addr peer = peer_of(arg);
  size_t used = 0;
  int rc = 0;
  switch (step) {
    case STEP_SEND:
      rc = torc_turn_send(b->t, &peer, rest, b->now);
      b->permitted[arg] = b->permitted[arg] || rc == 0;
      break;
    case STEP_PERMIT:
      rc = torc_turn_permit(b->t, &peer, 1, b->now);
      b->permitted[arg] = b->permitted[arg] || rc == 0;
      break;
    case STEP_BIND:
      rc = torc_turn_bind(b->t, &peer, b->now);
      b->permitted[arg] = b->permitted[arg] || rc == 0 || rc == TORC_ERR_LIMIT;
      break;
    case STEP_CONNECT:
      rc = torc_turn_connect(b->t, &peer, b->now, &b->conn);
      break;
    case STEP_DATA_OPENED:
      rc = torc_turn_data_opened(b->t, b->conn, b->now);
      break;
    case STEP_DATA_INPUT:
      rest = (arg & 1u) != 0 ? answer(b, arg, rest) : rest;
      rc = torc_turn_data_input(b->t, b->conn, rest, &used, b->now);
      CHECK(used <= rest.len);
      break;
    case STEP_DATA_CLOSED:
      torc_turn_data_closed(b->t, b->conn);
      break;
    default:
      if (arg < 16) {
        torc_turn_close(b->t, b->now);
      } else if (arg < 32) {
        torc_turn_lost(b->t, b->now);
      }
  }
  CHECK(rc <= 0);
  drain(b);
}

static bool set_up(bed *b, torc_rd *rd) {
  uint8_t kind = torc_rd_u8(rd);
  uint8_t limits = torc_rd_u8(rd);
  memset(b, 0, sizeof *b);
  ice_toy_init(&b->toy);
  b->cfg = (torc_turn_config){.crypto = &b->toy.table,
                              .server = {.family = 1, .addr = {192, 0, 2, 1}, .port = 3478},
                              .is_stream = (kind & 1u) != 0,
                              .is_tcp = (kind & 3u) == 3,
                              .forbids_fragments = (kind & 4u) != 0,
                              .families = (uint8_t)(1 + (kind >> 3) % 3),
                              .user = torc_slice_str((kind & 32u) != 0 ? "" : "user"),
                              .password = torc_slice_str("password"),
                              .max_permissions = 1u + (limits & 7u),
                              .max_channels = 1u + (limits >> 3 & 7u),
                              .max_conns = 1u + (limits >> 6),
                              .max_data = 512};
  CHECK(torc_stun_login_init(&b->login, &b->toy.table, torc_slice_str("user"),
                             torc_slice_str("password")) == 0);
  b->toy.fail_at = torc_rd_u8(rd);
  return torc_turn_new(&b->t, &b->cfg, 0) == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
  static bed b;
  torc_rd rd;
  torc_rd_init(&rd, torc_slice_of(data, len));
  if (!set_up(&b, &rd)) {
    return 0;
  }
  (void)!torc_turn_start(b.t, 0);
  drain(&b);
  while (torc_rd_left(&rd) != 0) {
    uint8_t step = torc_rd_u8(&rd) % NUM_STEPS;
    uint8_t arg = torc_rd_u8(&rd);
    size_t size = torc_rd_u8(&rd);
    torc_slice rest = torc_rd_slice(&rd, size < torc_rd_left(&rd) ? size : torc_rd_left(&rd));
    if (step == STEP_TIME) {
      b.now += TORC_MS(arg) * (size < 128 ? 16 : 2048);
      torc_turn_tick(b.t, b.now);
      drain(&b);
    } else if (step == STEP_ANSWER) {
      input(&b, answer(&b, arg, rest));
    } else if (step == STEP_INDICATION) {
      input(&b, indication(arg, rest));
    } else if (step == STEP_RAW) {
      input(&b, rest);
    } else {
      ask(&b, step, arg, rest);
    }
  }
  torc_turn_close(b.t, b.now);
  drain(&b);
  for (int i = 0; i < 100 && torc_turn_deadline(b.t) != TORC_NEVER; i++) {
    b.now = torc_turn_deadline(b.t) > b.now ? torc_turn_deadline(b.t) : b.now;
    torc_turn_tick(b.t, b.now);
    drain(&b);
  }
  CHECK(torc_turn_deadline(b.t) == TORC_NEVER && b.num_over <= 1);
  torc_turn_free(b.t);
  return 0;
}

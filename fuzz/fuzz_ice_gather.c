/* libFuzzer target of gathering: sockets, peers and TURN servers come and go, time passes, and
 * whoever was asked answers, or somebody else does. The first byte chooses which call of the crypto
 * library fails. Properties: what leaves is well-formed and goes where something was asked for, the
 * list is valid and without doubles, a gathering settles within its time, deadlines are bounded in
 * number. SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/slice.h"
#include "fuzz/ice_toy.h"
#include "ice/gather.h"
#include "ice/stun_login.h"

enum {
  STEP_TIME,
  STEP_SOCKET,
  STEP_NO_SOCKET,
  STEP_PEER,
  STEP_NO_PEER,
  STEP_TURN,
  STEP_NO_TURN,
  STEP_ANSWER,
  STEP_RAW,
  STEP_STREAM,
  STEP_RELAY,
  STEP_RENEW,
  NUM_STEPS
};

#define ASKED 16u

typedef struct asked {
  torc_stun_msg m;
  torc_ice_socket socket;
  torc_token stream;
  torc_addr remote;
} asked;

typedef struct bed {
  ice_toy toy;
  torc_gather *g;
  torc_time now, begun_at; /* of the last gathering */
  asked list[ASKED];
  size_t num_asked;
  torc_token turns[8], streams[8];
  size_t num_turns, num_streams;
  torc_stun_login login;
  torc_ice_socket relay;
} bed;

static torc_addr addr_of(uint8_t i) {
  torc_addr a = {.family = (uint8_t)(1 + (i & 1)), .addr = {192, 0, 2, i}, .port = 6084};
  return a;
}

static void check_list(const bed *b) {
  const torc_ice_local *list;
  size_t num = torc_gather_locals(b->g, &list);
  CHECK(num <= TORC_ICE_LOCAL_MAX);
  for (size_t i = 0; i < num; i++) {
    CHECK(list[i].addr.family == list[i].base.family && list[i].addr.port != 0);
    CHECK(list[i].socket != 0 || list[i].tcptype >= TORC_TCPTYPE_ACTIVE);
    for (size_t k = 0; k < i; k++) {
      CHECK(list[i].transport != list[k].transport || list[i].tcptype != list[k].tcptype ||
            !torc_stun_addr_eq(&list[i].addr, &list[k].addr) ||
            !torc_stun_addr_eq(&list[i].base, &list[k].base));
    }
  }
}

static void sent(bed *b, const torc_gather_output *o) {
  asked *a = &b->list[b->num_asked % ASKED];
  torc_stun_msg m;
  if (torc_first_byte_of(o->bytes) == TORC_FIRST_CHANNEL) {
    return;
  }
  CHECK(torc_stun_decode(&m, o->bytes) == 0 && m.num_unknown == 0);
  if (m.cls == TORC_STUN_REQUEST) {
    *a = (asked){.m = m, .socket = o->socket, .stream = o->stream, .remote = o->remote};
    b->num_asked++;
  }
}

static void drain(bed *b) {
  torc_gather_output o;
  for (size_t num = 0; torc_gather_poll(b->g, &o); num++) {
    CHECK(num < 10000);
    if (o.kind == TORC_GATHER_OUT_SEND || o.kind == TORC_GATHER_OUT_STREAM_SEND) {
      CHECK((o.socket != 0) == (o.kind == TORC_GATHER_OUT_SEND) && o.remote.family != 0);
      sent(b, &o);
    } else if (o.kind == TORC_GATHER_OUT_STREAM_OPEN) {
      b->streams[b->num_streams++ % 8] = o.stream;
    } else if (o.kind == TORC_GATHER_OUT_RELAY_DOWN) {
      CHECK(o.socket != 0);
      b->begun_at = b->now; /* another one is made at once, perhaps */
    }
  }
  check_list(b);
  CHECK(torc_gather_is_settled(b->g) || b->now - b->begun_at < TORC_GATHER_TIME);
}

static void put_attrs(torc_stun_wr *w, torc_slice attrs) {
  torc_slice value;
  uint16_t type;
  torc_rd rd;
  torc_rd_init(&rd, attrs);
  while (torc_stun_attr_next(&rd, &type, &value)) {
    if (type == TORC_STUN_ATTR_XOR_RELAYED_ADDRESS || type == TORC_STUN_ATTR_XOR_PEER_ADDRESS ||
        type == TORC_STUN_ATTR_XOR_MAPPED_ADDRESS) {
      torc_addr a = addr_of(value.len > 7 ? value.p[7] : 0);
      torc_stun_put_xor_addr(w, type, &a);
    } else {
      torc_stun_put(w, type, value);
    }
  }
}

static void answer(bed *b, uint8_t how, torc_slice attrs) {
  static uint8_t room[8192];
  const asked *to = &b->list[(how >> 4) % ASKED];
  torc_addr from = to->remote;
  uint32_t fail_at = b->toy.fail_at;
  torc_stun_msg m;
  torc_stun_wr w;
  torc_wr wr;
  torc_wr_init(&wr, room, sizeof room);
  torc_stun_begin(&w, &wr, (how & 1u) != 0 ? TORC_STUN_SUCCESS : TORC_STUN_ERROR, to->m.method,
                  to->m.txid);
  put_attrs(&w, attrs);
  b->toy.fail_at = 0;
  if ((how & 2u) != 0 && b->login.is_challenged && wr.err == 0) {
    (void)!torc_stun_put_integrity(&w, &b->toy.table, &b->login.key,
                                   torc_stun_login_integrity(&b->login), 32);
  } else if (wr.err == 0 && torc_stun_decode(&m, torc_wr_slice(&wr)) == 0) {
    (void)!torc_stun_login_challenge(&b->login, &b->toy.table, &m);
  }
  b->toy.fail_at = fail_at;
  from.port = (uint16_t)(from.port + ((how & 4u) != 0 ? 1 : 0));
  if (wr.err == 0 && to->stream != 0) {
    (void)!torc_gather_stream_input(b->g, to->stream, torc_wr_slice(&wr), b->now);
  } else if (wr.err == 0) {
    (void)!torc_gather_input(b->g, to->socket, &from, torc_wr_slice(&wr), b->now);
  }
}

static void add_turn(bed *b, uint8_t arg, torc_slice rest) {
  torc_gather_turn t = {.server = addr_of(arg),
                        .path = (torc_gather_path)(arg % 3),
                        .families = (uint8_t)(1 + (arg >> 2) % 3),
                        .user = torc_slice_str("user"),
                        .password = torc_slice_str("password"),
                        .host = rest};
  torc_token id = 0;
  if (torc_gather_add_turn(b->g, &t, b->now, &id) == 0) {
    b->turns[b->num_turns++ % 8] = id;
  }
}

static void stream(bed *b, uint8_t arg, torc_slice rest) {
  torc_token s = b->streams[(arg >> 2) % 8];
  if ((arg & 3u) == 0) {
    torc_gather_stream_opened(b->g, s, 0, b->now);
  } else if ((arg & 3u) == 1) {
    torc_gather_stream_opened(b->g, s, TORC_ERR_IO, b->now);
  } else if ((arg & 3u) == 2) {
    torc_gather_stream_closed(b->g, s, b->now);
  } else {
    (void)!torc_gather_stream_input(b->g, s, rest, b->now);
  }
}

static void relay(bed *b, uint8_t arg, torc_slice rest) {
  const torc_ice_local *list;
  size_t num = torc_gather_locals(b->g, &list);
  torc_addr peer = addr_of(arg);
  torc_ice_socket id = 0;
  for (size_t i = 0; i < num; i++) {
    id = list[i].type == TORC_CAND_RELAY ? list[i].socket : id;
  }
  (void)!torc_gather_relay_send(b->g, id, &peer, rest, b->now);
  (void)!torc_gather_relay_bind(b->g, id, &peer, b->now);
  (void)!torc_gather_relay_permit(b->g, id, &peer, 1, b->now);
}

static void step(bed *b, uint8_t kind, uint8_t arg, torc_slice rest) {
  torc_gather_socket s = {.id = 1u + arg % 8,
                          .addr = addr_of((uint8_t)(arg % 8)),
                          .is_tcp = (arg & 64u) != 0,
                          .is_so = (arg & 128u) != 0};
  torc_addr at = addr_of(arg);
  torc_addr from = b->list[arg % ASKED].remote;
  b->begun_at = kind == STEP_SOCKET || kind == STEP_NO_SOCKET || kind == STEP_RENEW ||
                        kind == STEP_PEER || kind == STEP_TURN
                    ? b->now
                    : b->begun_at;
  switch (kind) {
    case STEP_SOCKET:
      (void)!torc_gather_add_socket(b->g, &s, b->now);
      break;
    case STEP_NO_SOCKET:
      torc_gather_remove_socket(b->g, s.id, b->now);
      break;
    case STEP_PEER:
      (void)!torc_gather_peer_up(b->g, 1u + arg % 16, &at, b->now);
      break;
    case STEP_NO_PEER:
      torc_gather_peer_down(b->g, 1u + arg % 16, b->now);
      break;
    case STEP_TURN:
      add_turn(b, arg, rest);
      break;
    case STEP_NO_TURN:
      torc_gather_remove_turn(b->g, b->turns[arg % 8], b->now);
      break;
    case STEP_ANSWER:
      answer(b, arg, rest);
      break;
    case STEP_RAW:
      (void)!torc_gather_input(b->g, b->list[arg % ASKED].socket, &from, rest, b->now);
      break;
    case STEP_STREAM:
      stream(b, arg, rest);
      break;
    case STEP_RELAY:
      relay(b, arg, rest);
      break;
    default:
      torc_gather_renew(b->g, b->now);
  }
  drain(b);
}

/* A loop that is on time: every deadline is met. */
static void pass_time(bed *b, torc_time delta) {
  torc_time until = b->now + delta;
  for (int i = 0; torc_gather_deadline(b->g) <= until; i++) {
    CHECK(i < 20000);
    b->now = torc_gather_deadline(b->g) > b->now ? torc_gather_deadline(b->g) : b->now;
    torc_gather_tick(b->g, b->now);
    drain(b);
  }
  b->now = until;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
  static bed b;
  torc_gather_config cfg = {.crypto = &b.toy.table};
  torc_rd rd;
  torc_rd_init(&rd, torc_slice_of(data, len));
  memset(&b, 0, sizeof b);
  ice_toy_init(&b.toy);
  CHECK(torc_stun_login_init(&b.login, &b.toy.table, torc_slice_str("user"),
                             torc_slice_str("password")) == 0);
  CHECK(torc_gather_new(&b.g, &cfg, 0) == 0);
  b.toy.fail_at = torc_rd_u8(&rd);
  while (torc_rd_left(&rd) != 0) {
    uint8_t kind = torc_rd_u8(&rd) % NUM_STEPS;
    uint8_t arg = torc_rd_u8(&rd);
    size_t size = torc_rd_u8(&rd);
    torc_slice rest = torc_rd_slice(&rd, size < torc_rd_left(&rd) ? size : torc_rd_left(&rd));
    if (kind == STEP_TIME) {
      pass_time(&b, TORC_MS(arg) * (size < 128 ? 4 : 512));
    } else {
      step(&b, kind, arg, rest);
    }
  }
  pass_time(&b, TORC_GATHER_TIME);
  CHECK(torc_gather_is_settled(b.g));
  torc_gather_close(b.g, b.now);
  drain(&b);
  torc_gather_free(b.g);
  return 0;
}

/* libFuzzer target of the ICE agent. The first three bytes choose the role, which call of the
 * crypto library fails and which allocation; then come steps: time passes, the other side checks,
 * answers, names candidates, connections come up and go, sockets close. Properties: what is sent is
 * well-formed and goes nowhere it must not, a session is told of once, timers come to rest, nothing
 * is left behind. SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/slice.h"
#include "fuzz/ice_toy.h"
#include "ice/ice.h"
#include "ice/stun_answer.h"

enum {
  STEP_TIME,
  STEP_REQUEST,
  STEP_ANSWER,
  STEP_BYTES,
  STEP_REMOTE,
  STEP_OPEN,
  STEP_CLOSE,
  STEP_CONNECTED,
  STEP_GONE,
  STEP_UNREACHABLE,
  STEP_RESOLVED,
  STEP_LOCAL,
  NUM_STEPS
};

#define SESSIONS 4u
#define STEPS_MAX 400

typedef struct session {
  torc_ice_id id;
  bool is_told, is_lost, is_failed;
} session;

typedef struct bed {
  ice_toy toy;
  torc_mem mem;
  long num_alive;
  uint32_t fail_alloc; /* this allocation fails; 0: none */
  torc_ice *ice;
  session sessions[SESSIONS];
  size_t at; /* the session that is driven */
  torc_time now;
  torc_token token, name;
  torc_ice_socket next_socket;
  /* The last request sent, to be answered. */
  torc_stun_msg sent;
  uint8_t sent_bytes[1024];
  torc_ice_socket sent_socket;
  torc_addr sent_to;
  bool has_sent;
} bed;

static const char password[] = "0123456789012345678901";

static void *bed_alloc(void *ctx, size_t size) {
  bed *b = ctx;
  if (b->fail_alloc != 0 && --b->fail_alloc == 0) {
    return NULL;
  }
  b->num_alive++;
  return malloc(size);
}

static void *bed_realloc(void *ctx, void *p, size_t size) {
  bed *b = ctx;
  if (b->fail_alloc != 0 && --b->fail_alloc == 0) {
    return NULL;
  }
  b->num_alive += p == NULL ? 1 : 0;
  return realloc(p, size);
}

static void bed_free(void *ctx, void *p) {
  bed *b = ctx;
  b->num_alive -= p != NULL ? 1 : 0;
  free(p);
}

static torc_addr address(uint8_t n) {
  torc_addr a = {.family = 1, .addr = {192, 0, 2, (uint8_t)(n % 16)}, .port = 5000};
  if (n >= 128) {
    a = (torc_addr){.family = 2, .addr = {0x20, 1, 0x0d, 0xb8, [15] = (uint8_t)(n % 16)}};
    a.port = 5000;
  }
  return a;
}

static torc_ice_local local_of(uint8_t n) {
  torc_ice_local l = {.type = (torc_cand_type)(1 + n % 4), .preference = n};
  l.transport = (n & 16u) != 0 ? TORC_CAND_TCP : TORC_CAND_UDP;
  l.tcptype =
      l.transport == TORC_CAND_TCP ? (torc_cand_tcptype)(1 + (n >> 5) % 3) : TORC_TCPTYPE_NONE;
  l.addr = address(n & 0x8fu);
  l.base = l.addr;
  l.base.addr[2] = 3;
  l.socket = 1 + n % 8;
  return l;
}

static session *session_of(bed *b, torc_ice_id id) {
  for (size_t i = 0; i < SESSIONS; i++) {
    if (b->sessions[i].id == id && id != 0) {
      return &b->sessions[i];
    }
  }
  return NULL;
}

static void check_send(bed *b, const torc_ice_output *out) {
  const session *s = session_of(b, out->id);
  torc_stun_msg m;
  CHECK(out->socket != 0);
  CHECK(out->bytes.len <= sizeof b->sent_bytes);
  CHECK(torc_stun_decode(&m, out->bytes) == 0);
  CHECK(m.num_unknown == 0 && m.method == TORC_STUN_BINDING);
  if (m.cls != TORC_STUN_REQUEST) {
    return;
  }
  CHECK(s != NULL && !s->is_lost && !s->is_failed);
  CHECK(out->remote.port != 0);
  CHECK(out->remote.family == 2 || (out->remote.addr[0] < 224 && out->remote.addr[0] != 127));
  CHECK(out->remote.family == 1 || out->remote.addr[0] != 0xff);
  memcpy(b->sent_bytes, out->bytes.p, out->bytes.len);
  CHECK(torc_stun_decode(&b->sent, torc_slice_of(b->sent_bytes, out->bytes.len)) == 0);
  b->sent_socket = out->socket;
  b->sent_to = out->remote;
  b->has_sent = true;
}

static void drain(bed *b) {
  torc_ice_output out;
  while (torc_ice_poll(b->ice, &out)) {
    session *s = session_of(b, out.id);
    switch (out.kind) {
      case TORC_ICE_OUT_SEND:
        check_send(b, &out);
        break;
      case TORC_ICE_OUT_CONNECT_TCP:
        CHECK(out.token != 0 && out.remote.port != 0);
        b->token = out.token;
        break;
      case TORC_ICE_OUT_CLOSE_TCP:
        CHECK(out.token != 0 || out.socket != 0);
        break;
      case TORC_ICE_OUT_RESOLVE:
        CHECK(out.host.len > 6 && out.host.len <= 69);
        b->name = out.token;
        break;
      case TORC_ICE_OUT_SELECTED:
        CHECK(s != NULL && !s->is_told);
        CHECK(out.pair.socket != 0);
        s->is_told = true;
        break;
      case TORC_ICE_OUT_FAILED:
        CHECK(s != NULL && !s->is_told && out.rc < 0);
        s->is_told = true;
        s->is_failed = true;
        break;
      case TORC_ICE_OUT_CONSENT_LOST:
        CHECK(s != NULL && !s->is_failed && !s->is_lost);
        s->is_lost = true;
        break;
      default:
        CHECK(false);
    }
  }
}

static void input(bed *b, uint8_t where, torc_slice bytes) {
  torc_ice_from from = {.socket = 1 + where % 8, .remote = address(where), .is_tcp = false};
  int rc;
  from.local = local_of(where % 8).base;
  if ((where & 64u) != 0) {
    from.is_tcp = true;
    from.socket = 100 + where % 16;
  }
  rc = torc_ice_input(b->ice, &from, bytes, b->now);
  CHECK(rc == 0 || rc == TORC_ERR_NOTFOUND || rc == TORC_ERR_CRYPTO);
}

/* how: 1 nominates, 2 the other role, 4 wrong password, 8 no priority, 16 from where the last
 * request went. */
static void request(bed *b, uint8_t how, uint8_t where) {
  const char *ufrag = torc_ice_ufrag(b->ice, b->sessions[b->at].id);
  const char *secret = torc_ice_password(b->ice, b->sessions[b->at].id);
  uint32_t fail_at = b->toy.fail_at;
  uint8_t txid[TORC_STUN_TXID_LEN] = {how, where, 1};
  uint8_t room[256];
  uint8_t user[64];
  torc_stun_key key;
  torc_stun_wr w;
  torc_wr wr;
  if (ufrag == NULL) {
    return;
  }
  b->toy.fail_at = 0;
  CHECK(torc_stun_key_short(&b->toy.table, torc_slice_str((how & 4u) != 0 ? password : secret),
                            &key) == 0);
  torc_wr_init(&wr, user, sizeof user);
  torc_wr_bytes(&wr, torc_slice_str(ufrag));
  torc_wr_bytes(&wr, torc_slice_str(":abcd"));
  {
    torc_slice name = torc_wr_slice(&wr);
    torc_wr_init(&wr, room, sizeof room);
    torc_stun_begin(&w, &wr, TORC_STUN_REQUEST, TORC_STUN_BINDING, txid);
    torc_stun_put(&w, TORC_STUN_ATTR_USERNAME, name);
  }
  if ((how & 8u) == 0) {
    torc_stun_put_u32(&w, TORC_STUN_ATTR_PRIORITY, 1000u * where);
  }
  torc_stun_put_u64(
      &w, (how & 2u) != 0 ? TORC_STUN_ATTR_ICE_CONTROLLING : TORC_STUN_ATTR_ICE_CONTROLLED,
      (uint64_t)where << 32);
  if ((how & 1u) != 0) {
    torc_stun_put_flag(&w, TORC_STUN_ATTR_USE_CANDIDATE);
  }
  CHECK(torc_stun_put_integrity(&w, &b->toy.table, &key, TORC_STUN_INTEGRITY_SHA1, 32) == 0);
  b->toy.fail_at = fail_at;
  if ((how & 16u) != 0 && b->has_sent && b->sent_socket <= 8) {
    torc_ice_from from = {.socket = b->sent_socket, .remote = b->sent_to};
    from.local = local_of((uint8_t)(b->sent_socket - 1)).base;
    from.local.family = b->sent_to.family;
    (void)!torc_ice_input(b->ice, &from, torc_wr_slice(&wr), b->now);
  } else {
    input(b, where, torc_wr_slice(&wr));
  }
}

/* how: 1 an error, 2 from elsewhere, 4 wrong password; above: role conflict or another code. */
static void answer(bed *b, uint8_t how) {
  torc_stun_reply r = {.request = &b->sent, .crypto = &b->toy.table};
  torc_addr mapped = address(how);
  torc_ice_from from = {.socket = b->sent_socket, .remote = b->sent_to};
  uint32_t fail_at = b->toy.fail_at;
  uint8_t room[256];
  torc_stun_key key;
  torc_wr wr;
  int rc;
  if (!b->has_sent) {
    return;
  }
  b->toy.fail_at = 0;
  CHECK(torc_stun_key_short(&b->toy.table,
                            torc_slice_str((how & 4u) != 0 ? "another, 22 bytes long" : password),
                            &key) == 0);
  r.key = &key;
  r.integrity = TORC_STUN_INTEGRITY_SHA1;
  torc_wr_init(&wr, room, sizeof room);
  CHECK(((how & 1u) != 0
             ? torc_stun_reply_error(
                   &wr, &r, (how & 8u) != 0 ? TORC_STUN_ROLE_CONFLICT : TORC_STUN_SERVER_ERROR)
             : torc_stun_reply_mapped(&wr, &r, &mapped)) == 0);
  b->toy.fail_at = fail_at;
  from.remote.port = (uint16_t)(from.remote.port + ((how & 2u) != 0 ? 1 : 0));
  from.is_tcp = b->sent_socket >= 100;
  rc = torc_ice_input(b->ice, &from, torc_wr_slice(&wr), b->now);
  CHECK(rc == 0 || rc == TORC_ERR_NOTFOUND);
}

static void remote(bed *b, torc_slice text) {
  torc_candidate list[TORC_ICE_REMOTE_MAX + 8];
  size_t num = 0;
  size_t start = 0;
  int rc;
  for (size_t i = 0; i <= text.len && num < TORC_ARRAY_LEN(list); i++) {
    if (i == text.len || text.p[i] == '\n') {
      num += torc_candidate_parse(torc_slice_sub(text, start, i - start), &list[num]) == 0 ? 1 : 0;
      start = i + 1;
    }
  }
  rc = torc_ice_remote(b->ice, b->sessions[b->at].id, torc_slice_str("abcd"),
                       torc_slice_str(password), list, num, b->now);
  CHECK(rc <= 0);
}

static void open_session(bed *b, uint8_t how) {
  session *s = NULL;
  torc_ice_local locals[4];
  for (size_t i = 0; i < SESSIONS && s == NULL; i++) {
    s = b->sessions[i].id == 0 ? &b->sessions[i] : NULL;
    b->at = i;
  }
  if (s == NULL) {
    b->at = how % SESSIONS;
    return;
  }
  for (uint8_t i = 0; i < 4; i++) {
    locals[i] = local_of((uint8_t)(how * 7 + i * 29));
    if (locals[i].type != TORC_CAND_SRFLX) {
      locals[i].addr = locals[i].base;
    }
  }
  *s = (session){0};
  if (torc_ice_open(b->ice, (how & 1u) != 0, locals, 1 + how % 4, b->now, &s->id) != 0) {
    s->id = 0;
  }
}

static void step(bed *b, torc_rd *rd) {
  uint8_t what = torc_rd_u8(rd);
  uint8_t arg = torc_rd_u8(rd);
  torc_ice_local local = local_of(arg);
  torc_addr addr = address(arg);
  size_t len;
  switch (what % NUM_STEPS) {
    case STEP_TIME:
      b->now += (torc_time)arg * arg * 1000;
      torc_ice_tick(b->ice, b->now);
      break;
    case STEP_REQUEST:
      request(b, arg, torc_rd_u8(rd));
      break;
    case STEP_ANSWER:
      answer(b, arg);
      break;
    case STEP_BYTES:
    case STEP_REMOTE:
      len = torc_rd_u8(rd);
      len = len < torc_rd_left(rd) ? len : torc_rd_left(rd);
      if (what % NUM_STEPS == STEP_BYTES) {
        input(b, arg, torc_rd_slice(rd, len));
      } else {
        remote(b, torc_rd_slice(rd, len));
      }
      break;
    case STEP_OPEN:
      open_session(b, arg);
      break;
    case STEP_CLOSE:
      torc_ice_close(b->ice, b->sessions[arg % SESSIONS].id);
      b->sessions[arg % SESSIONS] = (session){0};
      break;
    case STEP_CONNECTED:
      torc_ice_tcp_connected(b->ice, b->token, (arg & 1u) != 0 ? TORC_ERR_REFUSED : 0,
                             100 + b->next_socket++ % 64, &addr, b->now);
      break;
    case STEP_GONE:
      torc_ice_socket_closed(b->ice, arg < 128 ? arg % 9u : 100u + arg % 64, b->now);
      break;
    case STEP_UNREACHABLE:
      torc_ice_unreachable(b->ice, b->sent_socket, &b->sent_to, b->now);
      break;
    case STEP_RESOLVED:
      torc_ice_resolved(b->ice, b->name, &addr, arg % 2, b->now);
      break;
    case STEP_LOCAL:
    default:
      (void)!torc_ice_add_local(b->ice, b->sessions[b->at].id, &local, b->now);
      break;
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
  static bed b;
  torc_ice_config cfg = {.max_sessions = SESSIONS};
  torc_rd rd;
  uint8_t first;
  torc_rd_init(&rd, torc_slice_of(data, len));
  memset(&b, 0, sizeof b);
  ice_toy_init(&b.toy);
  b.mem = (torc_mem){&b, bed_alloc, bed_realloc, bed_free};
  cfg.mem = &b.mem;
  cfg.crypto = &b.toy.table;
  b.now = TORC_SEC(5);
  first = torc_rd_u8(&rd);
  b.toy.fail_at = torc_rd_u8(&rd);
  b.fail_alloc = torc_rd_u8(&rd);
  if (torc_ice_new(&b.ice, &cfg, b.now) != 0) {
    CHECK(b.num_alive == 0);
    return 0;
  }
  open_session(&b, first);
  for (int i = 0; i < STEPS_MAX && torc_rd_left(&rd) != 0; i++) {
    step(&b, &rd);
    drain(&b);
  }
  /* Without anybody it comes to rest: a limit, then consent. */
  for (int i = 0; i < 20000 && torc_ice_deadline(b.ice) != TORC_NEVER; i++) {
    torc_time t = torc_ice_deadline(b.ice);
    b.now = t > b.now ? t : b.now;
    torc_ice_tick(b.ice, b.now);
    drain(&b);
  }
  CHECK(torc_ice_deadline(b.ice) == TORC_NEVER);
  for (size_t i = 0; i < SESSIONS; i++) {
    torc_ice_close(b.ice, b.sessions[i].id);
    b.sessions[i] = (session){0};
  }
  drain(&b);
  CHECK(torc_ice_deadline(b.ice) == TORC_NEVER);
  torc_ice_free(b.ice);
  CHECK(b.num_alive == 0);
  return 0;
}

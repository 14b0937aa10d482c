/* libFuzzer target of STUN transactions. The first three bytes choose the credentials, the timing
 * and which call of the crypto library fails; then come steps: time passes, or the server, or
 * somebody else, answers with the attributes given. Properties: requests are well-formed and
 * bounded in number, it ends exactly once, and in bounded time. SPDX-License-Identifier: Apache-2.0
 */
#include <string.h>

#include "base/slice.h"
#include "fuzz/ice_toy.h"
#include "ice/stun_tx.h"

enum { STEP_TIME, STEP_ANSWER, STEP_QUIET, STEP_STOP, NUM_STEPS };

typedef struct bed {
  ice_toy toy;
  torc_stun_tx tx;
  torc_stun_request req;
  torc_stun_login login;
  torc_stun_key key;
  torc_time now;
  uint8_t room[TORC_STUN_REQUEST_ROOM + 2048];
  torc_stun_msg sent;
  uint8_t sent_bytes[TORC_STUN_REQUEST_ROOM + 2048];
  uint32_t num_sent, num_done;
} bed;

static void drain(bed *b) {
  torc_stun_output out;
  while (torc_stun_tx_poll(&b->tx, &out)) {
    if (out.kind == TORC_STUN_OUT_SEND) {
      b->num_sent++;
      CHECK(out.bytes.len <= sizeof b->sent_bytes);
      memcpy(b->sent_bytes, out.bytes.p, out.bytes.len);
      CHECK(torc_stun_decode(&b->sent, torc_slice_of(b->sent_bytes, out.bytes.len)) == 0);
      CHECK(b->sent.cls == TORC_STUN_REQUEST && b->sent.num_unknown == 0);
    } else {
      b->num_done++;
      CHECK(out.result.rc <= 0);
      CHECK(torc_stun_tx_deadline(&b->tx) == TORC_NEVER);
    }
  }
  CHECK(b->num_done <= 1);
  CHECK(b->num_sent <= TORC_STUN_RC * (1 + TORC_STUN_MAX_RETRIES));
}

static void answer(bed *b, uint8_t how, torc_slice attrs) {
  static uint8_t room[8192];
  torc_stun_path path = b->req.path;
  const torc_stun_key *key = b->req.login != NULL ? &b->login.key : &b->key;
  torc_stun_msg m;
  torc_slice value;
  uint16_t type;
  torc_stun_wr w;
  torc_wr wr;
  torc_rd rd;
  int rc;
  path.remote.port = (uint16_t)(path.remote.port + ((how & 1u) != 0 ? 1 : 0));
  torc_wr_init(&wr, room, sizeof room);
  torc_stun_begin(&w, &wr, (how & 2u) != 0 ? TORC_STUN_SUCCESS : TORC_STUN_ERROR, b->sent.method,
                  b->sent.txid);
  torc_rd_init(&rd, attrs);
  while (torc_stun_attr_next(&rd, &type, &value)) {
    torc_stun_put(&w, type, value);
  }
  if ((how & 4u) != 0 && key->len != 0 && wr.err == 0) {
    torc_stun_integrity which = (how & 8u) != 0 ? TORC_STUN_INTEGRITY_SHA256 : b->tx.signed_with;
    uint32_t fail_at = b->toy.fail_at;
    b->toy.fail_at = 0;
    (void)!torc_stun_put_integrity(&w, &b->toy.table, key, which, 32);
    b->toy.fail_at = fail_at;
  }
  if (wr.err == 0 && torc_stun_decode(&m, torc_wr_slice(&wr)) == 0) {
    rc = torc_stun_tx_input(&b->tx, &path, &m, b->now);
    CHECK(rc == 0 || rc == TORC_ERR_NOTFOUND || rc == TORC_ERR_DENIED);
    CHECK(rc != TORC_ERR_DENIED || (how & 5u) == 5u);
    drain(b);
  }
}

static bool set_up(bed *b, torc_rd *rd) {
  uint8_t kind = torc_rd_u8(rd);
  uint8_t timing = torc_rd_u8(rd);
  memset(b, 0, sizeof *b);
  ice_toy_init(&b->toy);
  b->req.method = TORC_STUN_ALLOCATE;
  b->req.path.remote = (torc_addr){.family = 1, .addr = {192, 0, 2, 1}, .port = 3478};
  b->req.has_fingerprint = (kind & 4u) != 0;
  b->req.is_reliable = (kind & 8u) != 0;
  b->req.rto = TORC_MS(timing) * 4;
  if (kind % 3 == 1) {
    CHECK(torc_stun_key_short(&b->toy.table, torc_slice_str("password"), &b->key) == 0);
    b->req.key = &b->key;
    b->req.username = torc_slice_str("a:b");
    b->req.integrity = (torc_stun_integrity)(1 + (kind >> 4) % 3);
  } else if (kind % 3 == 2) {
    CHECK(torc_stun_login_init(&b->login, &b->toy.table, torc_slice_str("user"),
                               torc_slice_str("password")) == 0);
    b->req.login = &b->login;
  }
  b->toy.fail_at = torc_rd_u8(rd);
  return torc_stun_tx_start(&b->tx, &b->toy.table, &b->req, b->room, sizeof b->room, 0) == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
  static bed b;
  bool is_stopped = false;
  torc_rd rd;
  torc_rd_init(&rd, torc_slice_of(data, len));
  if (!set_up(&b, &rd)) {
    return 0;
  }
  drain(&b);
  while (torc_rd_left(&rd) != 0) {
    uint8_t step = torc_rd_u8(&rd);
    uint8_t arg = torc_rd_u8(&rd);
    if (step % NUM_STEPS == STEP_TIME) {
      b.now += TORC_MS(arg) * 16;
      torc_stun_tx_tick(&b.tx, b.now);
      drain(&b);
    } else if (step % NUM_STEPS == STEP_ANSWER) {
      uint8_t size = torc_rd_u8(&rd);
      answer(&b, arg, torc_rd_slice(&rd, size < torc_rd_left(&rd) ? size : torc_rd_left(&rd)));
    } else if (step % NUM_STEPS == STEP_QUIET) {
      torc_stun_tx_quiet(&b.tx);
    } else if (arg == 0) {
      torc_stun_tx_stop(&b.tx);
      is_stopped = true;
    }
  }
  for (int i = 0; i < 40 && torc_stun_tx_deadline(&b.tx) != TORC_NEVER; i++) {
    torc_stun_tx_tick(&b.tx, torc_stun_tx_deadline(&b.tx));
    drain(&b);
  }
  CHECK(torc_stun_tx_deadline(&b.tx) == TORC_NEVER);
  CHECK(is_stopped || b.num_done == 1);
  return 0;
}

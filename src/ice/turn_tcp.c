/* Relayed TCP connections, RFC 6062 [ICE-16] [ICE-18] [GAP-79]: until the two ends are joined. From
 * then on a data connection carries the peer's bytes and is the caller's.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/mem.h"
#include "base/slice.h"
#include "ice/turn_frame.h"
#include "ice/turn_impl.h"

static turn_conn **slot_of(const torc_turn *t, torc_turn_conn id) {
  for (uint32_t i = 0; i < t->cfg.max_conns; i++) {
    if (t->conns[i] != NULL && t->conns[i]->id == id) {
      return &t->conns[i];
    }
  }
  return NULL;
}

static void free_conn(turn_conn **slot) {
  turn_conn *c = *slot;
  torc_timer_stop(&c->turn->timers, &c->timer);
  torc_free(c->turn->mem, c);
  *slot = NULL;
}

static void down(turn_conn *c, int rc, uint16_t code) {
  torc_turn *t = c->turn;
  torc_timer_stop(&t->timers, &c->timer);
  torc_stun_tx_stop(&c->tx);
  c->state = CONN_OVER;
  c->tells_open = false;
  c->tells_down = true;
  c->rc = rc;
  c->code = code;
  t->stats.conns_refused++;
}

static void on_late(torc_timer *timer, torc_time now) {
  (void)now;
  down(TORC_CONTAINER_OF(timer, turn_conn, timer), TORC_ERR_TIMEOUT, 0);
}

static int new_conn(torc_turn *t, const torc_addr *peer, turn_conn **out) {
  for (uint32_t i = 0; i < t->cfg.max_conns; i++) {
    turn_conn *c;
    if (t->conns[i] != NULL) {
      continue;
    }
    c = torc_calloc(t->mem, 1, sizeof *c);
    if (c == NULL) {
      return TORC_ERR_NOMEM;
    }
    c->turn = t;
    c->peer = *peer;
    c->id = ++t->next_conn;
    torc_timer_init(&c->timer, on_late);
    torc_stun_tx_stop(&c->tx);
    t->conns[i] = c;
    *out = c;
    return 0;
  }
  t->stats.conns_full++;
  return TORC_ERR_LIMIT;
}

/* The server keeps it for so long, unless we open a connection for it. */
static void open_data(turn_conn *c, uint32_t number) {
  c->state = CONN_OPENING;
  c->number = number;
  c->tells_open = true;
  torc_timer_arm(&c->turn->timers, &c->timer, torc_time_add(c->turn->now, TORC_TURN_CONN));
}

static void put_connect(void *ctx, torc_stun_wr *w) {
  const turn_conn *c = ctx;
  torc_stun_put_xor_addr(w, TORC_STUN_ATTR_XOR_PEER_ADDRESS, &c->peer);
}

static void put_bind(void *ctx, torc_stun_wr *w) {
  const turn_conn *c = ctx;
  torc_stun_put_u32(w, TORC_STUN_ATTR_CONNECTION_ID, c->number);
}

int torc_turn_connect(torc_turn *t, const torc_addr *peer, torc_time now, torc_turn_conn *out) {
  torc_stun_request req;
  turn_conn *c = NULL;
  int rc;
  torc_turn_advance(t, now);
  if (t->state != TURN_UP || !t->cfg.is_tcp) {
    return TORC_ERR_STATE;
  }
  if (!torc_turn_has_family(t, peer)) {
    t->stats.drop_family++;
    return TORC_ERR_INVALID;
  }
  rc = new_conn(t, peer, &c);
  if (rc != 0) {
    return rc;
  }
  req = torc_turn_request(t, TORC_STUN_CONNECT, 0, put_connect, c);
  rc = torc_stun_tx_start(&c->tx, t->crypto, &req, c->room, sizeof c->room, t->now);
  if (rc != 0) {
    free_conn(slot_of(t, c->id));
    return rc;
  }
  *out = c->id;
  return 0;
}

/* RFC 6062 4.4: a peer that has our permission connected. */
void torc_turn_conns_attempt(torc_turn *t, const torc_stun_msg *m) {
  torc_addr peer;
  uint32_t number = 0;
  turn_conn *c = NULL;
  if (m->num_unknown != 0 || torc_stun_get_addr(m, TORC_STUN_KNOWN_XOR_PEER_ADDRESS, &peer) != 0 ||
      torc_stun_get_u32(m, TORC_STUN_KNOWN_CONNECTION_ID, &number) != 0) {
    t->stats.drop_malformed++;
    return;
  }
  if (!torc_turn_may_send_to_us(t, &peer)) {
    t->stats.drop_no_permission++;
    return;
  }
  for (uint32_t i = 0; i < t->cfg.max_conns; i++) {
    if (t->conns[i] != NULL && t->conns[i]->state != CONN_ASKING && t->conns[i]->number == number) {
      t->stats.drop_unexpected++;
      return;
    }
  }
  if (new_conn(t, &peer, &c) == 0) {
    c->is_incoming = true;
    open_data(c, number);
  }
}

static void done(turn_conn *c, const torc_stun_result *r) {
  torc_turn *t = c->turn;
  uint32_t number = 0;
  if (torc_turn_is_gone(t, r)) {
    return; /* and `c` with it */
  }
  if (r->rc != 0) {
    down(c, r->rc, r->code);
  } else if (c->state == CONN_BINDING) {
    torc_timer_stop(&t->timers, &c->timer);
    c->state = CONN_OVER;
    c->tells_up = true;
    t->stats.conns_opened++;
  } else if (torc_stun_get_u32(&r->msg, TORC_STUN_KNOWN_CONNECTION_ID, &number) != 0) {
    down(c, TORC_ERR_FORMAT, 0);
  } else {
    open_data(c, number);
  }
}

static void settle(turn_conn *c) {
  torc_stun_output o;
  if (c->tx.state == TORC_STUN_TX_ENDED && torc_stun_tx_poll(&c->tx, &o)) {
    done(c, &o.result);
  }
}

bool torc_turn_conns_input(torc_turn *t, const torc_stun_msg *m) {
  torc_stun_path path = {.remote = t->server};
  for (uint32_t i = 0; i < t->cfg.max_conns; i++) {
    turn_conn *c = t->conns[i];
    if (c != NULL && c->state == CONN_ASKING &&
        torc_stun_tx_input(&c->tx, &path, m, t->now) != TORC_ERR_NOTFOUND) {
      settle(c);
      return true;
    }
  }
  return false;
}

int torc_turn_data_opened(torc_turn *t, torc_turn_conn conn, torc_time now) {
  turn_conn **slot;
  torc_stun_request req;
  int rc;
  torc_turn_advance(t, now);
  slot = slot_of(t, conn);
  if (slot == NULL || (*slot)->state != CONN_OPENING) {
    return TORC_ERR_NOTFOUND;
  }
  req = torc_turn_request(t, TORC_STUN_CONNECTION_BIND, conn, put_bind, *slot);
  rc =
      torc_stun_tx_start(&(*slot)->tx, t->crypto, &req, (*slot)->room, sizeof(*slot)->room, t->now);
  if (rc == 0) {
    (*slot)->state = CONN_BINDING;
  }
  return rc;
}

/* Adds to the message in c->in as much as is missing; *is_whole: it is there. */
static int fill(turn_conn *c, torc_slice bytes, size_t *used, bool *is_whole) {
  *is_whole = false;
  for (;;) {
    size_t len = TORC_STUN_HEADER_LEN;
    size_t num;
    int rc = torc_stun_frame_peek(torc_slice_of(c->in, c->in_len), &len);
    if (rc == 0 && len == c->in_len) {
      *is_whole = true;
      return 0;
    }
    if (rc == TORC_ERR_FORMAT || len > sizeof c->in) {
      return TORC_ERR_FORMAT;
    }
    num = len - c->in_len < bytes.len - *used ? len - c->in_len : bytes.len - *used;
    if (num == 0) {
      return 0;
    }
    memcpy(c->in + c->in_len, bytes.p + *used, num);
    c->in_len += num;
    *used += num;
  }
}

int torc_turn_data_input(torc_turn *t, torc_turn_conn conn, torc_slice bytes, size_t *used,
                         torc_time now) {
  turn_conn **slot;
  torc_turn_advance(t, now);
  *used = 0;
  slot = slot_of(t, conn);
  if (slot == NULL) {
    return TORC_ERR_NOTFOUND;
  }
  while (*slot != NULL && (*slot)->state == CONN_BINDING) {
    torc_stun_path path = {.socket = conn, .remote = t->server};
    turn_conn *c = *slot;
    bool is_whole;
    torc_stun_msg m;
    if (fill(c, bytes, used, &is_whole) != 0) {
      t->stats.drop_malformed++;
      down(c, TORC_ERR_FORMAT, 0);
      break;
    }
    if (!is_whole) {
      break;
    }
    if (torc_stun_decode(&m, torc_slice_of(c->in, c->in_len)) != 0) {
      t->stats.drop_malformed++;
    } else if (torc_stun_tx_input(&c->tx, &path, &m, t->now) == TORC_ERR_NOTFOUND) {
      t->stats.drop_answer++;
    }
    c->in_len = 0;
    settle(c);
  }
  return 0;
}

void torc_turn_data_closed(torc_turn *t, torc_turn_conn conn) {
  turn_conn **slot = slot_of(t, conn);
  if (slot != NULL) {
    free_conn(slot);
  }
}

void torc_turn_conns_stop(torc_turn *t) {
  for (uint32_t i = 0; t->conns != NULL && i < t->cfg.max_conns; i++) {
    if (t->conns[i] != NULL) {
      free_conn(&t->conns[i]);
    }
  }
}

void torc_turn_conns_tick(torc_turn *t) {
  for (uint32_t i = 0; i < t->cfg.max_conns; i++) {
    if (t->conns[i] != NULL) {
      torc_stun_tx_tick(&t->conns[i]->tx, t->now);
      settle(t->conns[i]);
    }
  }
}

torc_time torc_turn_conns_deadline(const torc_turn *t) {
  torc_time at = TORC_NEVER;
  for (uint32_t i = 0; i < t->cfg.max_conns; i++) {
    torc_time d = t->conns[i] != NULL ? torc_stun_tx_deadline(&t->conns[i]->tx) : TORC_NEVER;
    at = d < at ? d : at;
  }
  return at;
}

static bool poll_conn(turn_conn **slot, torc_turn_output *out) {
  turn_conn *c = *slot;
  torc_turn *t = c->turn;
  torc_stun_output o;
  *out = (torc_turn_output){.conn = c->id, .addr = c->peer, .is_incoming = c->is_incoming};
  if (torc_stun_tx_poll(&c->tx, &o)) {
    out->kind = c->state == CONN_BINDING ? TORC_TURN_OUT_SEND_DATA : TORC_TURN_OUT_SEND;
    out->addr = t->server;
    out->bytes = o.bytes;
  } else if (c->tells_open) {
    c->tells_open = false;
    out->kind = TORC_TURN_OUT_OPEN_DATA;
  } else if (c->tells_up) {
    out->kind = TORC_TURN_OUT_DATA_UP;
    free_conn(slot);
  } else if (c->tells_down) {
    out->kind = TORC_TURN_OUT_DATA_DOWN;
    out->rc = c->rc;
    out->code = c->code;
    free_conn(slot);
  } else {
    return false;
  }
  return true;
}

bool torc_turn_conns_poll(torc_turn *t, torc_turn_output *out) {
  for (uint32_t i = 0; i < t->cfg.max_conns; i++) {
    if (t->conns[i] != NULL && poll_conn(&t->conns[i], out)) {
      return true;
    }
  }
  return false;
}

/* One connection: TCP, perhaps checks of ICE, then TLS, then messages.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/id.h"
#include "base/slice.h"
#include "io/net_impl.h"
#include "wire/header.h"

typedef struct write_req { /* bytes libuv could not take at once */
  uv_write_t req;
  uint8_t *bytes;
  size_t len;
} write_req;

static const torc_net_link_ops ops;
static void on_limit(torc_timer *t, torc_time now);
static void rest(torc_conn *c);

#define TORC_TLS_FIRST_BYTE 20 /* of a record; of a STUN frame's length it is less */

torc_conn *torc_conn_new(torc_net *net) {
  torc_conn *c = calloc(1, sizeof *c);
  if (c == NULL || uv_tcp_init(net->loop, &c->tcp) != 0) {
    free(c);
    net->stats.no_memory++;
    return NULL;
  }
  torc_net_link_init(&c->link, net, &ops);
  c->tcp.data = c;
  c->state = TORC_CONN_CONNECTING;
  torc_list_init(&c->siblings);
  torc_list_init(&c->resting);
  torc_timer_init(&c->timer, on_limit);
  torc_buf_init(&c->partial, torc_mem_libc(), TORC_MESSAGE_MAX);
  torc_buf_init(&c->tls.out, torc_mem_libc(), 0);
  torc_list_push_back(&net->conns, &c->all);
  net->num_conns++;
  net->num_handles++;
  return c;
}

bool torc_conn_has_peer(const torc_conn *c, const torc_id *peer) {
  for (size_t i = 0; c->tls.cert != NULL && i < c->tls.cert->num_peers; i++) {
    if (torc_id_eq(&c->tls.cert->peers[i], peer)) {
      return true;
    }
  }
  return false;
}

static torc_conn *conn_of(torc_net_link *l) {
  return TORC_CONTAINER_OF(l, torc_conn, link);
}

size_t torc_conn_queued(const torc_conn *c) {
  return c->tls.out.len + c->in_flight;
}

/* Of a link: an application's connection has a limit of its own. */
static size_t queued_on(const torc_net_link *l) {
  const torc_conn *c = conn_of((torc_net_link *)(uintptr_t)l);
  return c->state == TORC_CONN_STREAM ? 0 : torc_conn_queued(c);
}

/* ---- the end ---- */

static void on_closed(uv_handle_t *h) {
  torc_conn *c = h->data;
  torc_net *net = c->link.net;
  torc_list_remove(&c->all);
  torc_net_link_clear(&c->link);
  net->num_conns--;
  net->num_handles--;
  free(c);
}

static void drop_partial(torc_conn *c) {
  c->link.net->partial_bytes -= c->partial.cap;
  torc_buf_clear(&c->partial);
  torc_buf_init(&c->partial, torc_mem_libc(), TORC_MESSAGE_MAX);
}

static void leave_half_open(torc_conn *c) {
  if (c->is_half_open) {
    c->is_half_open = false;
    c->link.net->num_half_open--;
  }
}

void torc_conn_end(torc_conn *c, int rc) {
  torc_net *net = c->link.net;
  if (c->state == TORC_CONN_CLOSED) {
    return;
  }
  torc_dial *dial = c->dial;
  torc_pending *pending = c->pending;
  torc_stream_conn_ended(c, rc);
  torc_net_link_forget(&c->link, rc);
  leave_half_open(c);
  c->state = TORC_CONN_CLOSED;
  c->dial = NULL;
  c->pending = NULL;
  torc_list_remove(&c->siblings);
  torc_list_init(&c->siblings);
  torc_list_remove(&c->link.dirty);
  torc_list_init(&c->link.dirty);
  torc_list_remove(&c->resting);
  torc_list_init(&c->resting);
  torc_timer_stop(&net->timers, &c->timer);
  torc_ice_tcp_forget(c);
  drop_partial(c);
  torc_tls_clear(&c->tls);
  torc_net_link_recount(&c->link);
  if (!c->is_reset || uv_tcp_close_reset(&c->tcp, on_closed) != 0) {
    uv_close((uv_handle_t *)&c->tcp, on_closed);
  }
  if (dial != NULL) {
    torc_dial_attempt_ended(dial, c, rc);
  }
  if (pending != NULL) {
    pending->conn = NULL;
    torc_pending_fail(pending, rc);
  }
}

static void on_shut_down(uv_shutdown_t *req, int status) {
  (void)status; /* the other side's end of stream, or the time limit, closes */
  free(req);
}

/* Everything is out: half-close, so that what the other side still sends does not reset the
 * connection. */
static void finish_drain(torc_conn *c) {
  if (c->is_shut_down) {
    return;
  }
  uv_shutdown_t *req = calloc(1, sizeof *req);
  if (req == NULL || uv_shutdown(req, (uv_stream_t *)&c->tcp, on_shut_down) != 0) {
    free(req);
    torc_conn_end(c, TORC_ERR_CLOSED);
    return;
  }
  c->is_shut_down = true;
}

void torc_conn_drain(torc_conn *c) {
  torc_net *net = c->link.net;
  if (c->state != TORC_CONN_UP && c->state != TORC_CONN_STREAM) {
    return;
  }
  torc_net_link_forget(&c->link, TORC_ERR_CLOSED);
  c->state = TORC_CONN_DRAINING;
  drop_partial(c);
  torc_conn_set_reading(c, true); /* and thrown away */
  torc_tls_shutdown(&c->tls);
  torc_net_arm(net, &c->timer, torc_time_add(torc_net_now(), net->limits.linger));
  torc_net_link_touch(&c->link);
}

/* A peer that has proved nothing gets no more than this. */
static void fail_handshake(torc_conn *c, int rc) {
  torc_net *net = c->link.net;
  char remote[TORC_SOCK_TEXT];
  torc_sock_text(&c->link.remote, remote);
  net->stats.handshakes_failed++;
  /* A wrong key shuts a peer out for good: that is told aloud, but once, and only of what was
   * dialled, for anybody can make the others fail. */
  bool is_key = torc_pki_shared_key(net->pki) != NULL && c->dial != NULL && rc == TORC_ERR_CRYPTO;
  torc_log_level level = is_key && !net->has_told_key ? TORC_LOG_WARN : TORC_LOG_DEBUG;
  net->has_told_key = net->has_told_key || is_key;
  TORC_LOG(net->log, level, "io:handshake_failed", TORC_F_STR("remote", remote),
           TORC_F_STR("why", c->tls.why), TORC_F_U64("dialled", c->dial != NULL));
  torc_conn_flush(c); /* the alert says why to the other side, if it fits */
  torc_conn_end(c, rc);
}

static void on_limit(torc_timer *t, torc_time now) {
  torc_conn *c = TORC_CONTAINER_OF(t, torc_conn, timer);
  (void)now;
  switch (c->state) {
    case TORC_CONN_UP: /* */
      c->link.net->stats.message_timeouts++;
      TORC_LOG(c->link.net->log, TORC_LOG_DEBUG, "io:message_timeout",
               TORC_F_ID("peer", &c->link.peer), TORC_F_U64("have", c->partial.len));
      torc_conn_end(c, TORC_ERR_TIMEOUT);
      break;
    case TORC_CONN_CONNECTING:
    case TORC_CONN_OPENING:
    case TORC_CONN_ICE:
    case TORC_CONN_HANDSHAKE:
      c->link.net->stats.handshake_timeouts++;
      torc_conn_end(c, TORC_ERR_TIMEOUT);
      break;
    case TORC_CONN_DRAINING:
      torc_conn_end(c, TORC_ERR_CLOSED);
      break;
    case TORC_CONN_STREAM:
    case TORC_CONN_CLOSED:
      break;
  }
}

/* ---- writing ---- */

static void on_written(uv_write_t *req, int status) {
  write_req *w = TORC_CONTAINER_OF(req, write_req, req);
  torc_conn *c = req->data;
  torc_net *net = c->link.net;
  c->in_flight -= w->len;
  torc_net_link_recount(&c->link);
  free(w->bytes);
  free(w);
  if (c->state == TORC_CONN_CLOSED) {
    return;
  }
  if (status < 0) {
    torc_conn_end(c, TORC_ERR_IO);
  } else {
    torc_net_link_touch(&c->link);
  }
  net->events.turn(net->events.ctx);
}

/* Hands the rest of `out` to libuv, which keeps the bytes until they are written. */
static int queue_write(torc_conn *c) {
  torc_buf *out = &c->tls.out;
  write_req *w = calloc(1, sizeof *w);
  if (w == NULL) {
    return TORC_ERR_NOMEM;
  }
  size_t max = out->max;
  w->bytes = out->p;
  w->len = out->len;
  w->req.data = c;
  uv_buf_t buf = uv_buf_init((char *)w->bytes, (unsigned)w->len);
  if (uv_write(&w->req, (uv_stream_t *)&c->tcp, &buf, 1, on_written) != 0) {
    free(w);
    return TORC_ERR_IO;
  }
  c->in_flight += w->len;
  c->link.net->stats.writes_queued++;
  torc_buf_init(out, torc_mem_libc(), max);
  return 0;
}

static int write_now(torc_conn *c) {
  torc_buf *out = &c->tls.out;
  if (c->in_flight > 0 || out->len == 0) {
    return 0;
  }
  uv_buf_t buf = uv_buf_init((char *)out->p, (unsigned)out->len);
  int n = uv_try_write((uv_stream_t *)&c->tcp, &buf, 1);
  c->link.net->stats.writes++;
  if (n < 0 && n != UV_EAGAIN) {
    return TORC_ERR_IO;
  }
  if (n > 0) {
    torc_buf_consume(out, (size_t)n);
  }
  if (out->len > 0) {
    return queue_write(c);
  }
  size_t max = out->max;
  torc_buf_clear(out); /* an idle link holds no buffer */
  torc_buf_init(out, torc_mem_libc(), max);
  return 0;
}

void torc_conn_flush(torc_conn *c) {
  if (c->state == TORC_CONN_CLOSED || c->state == TORC_CONN_CONNECTING) {
    return;
  }
  int rc = write_now(c);
  if (rc != 0) {
    torc_conn_end(c, rc);
    return;
  }
  torc_net_link_recount(&c->link);
  if (c->state == TORC_CONN_DRAINING && c->in_flight == 0 && c->tls.out.len == 0) {
    finish_drain(c);
  }
}

static void mark_dirty(torc_conn *c) {
  if (c->tls.out.len > 0 && torc_list_empty(&c->link.dirty)) {
    torc_list_push_back(&c->link.net->dirty, &c->link.dirty);
  }
}

int torc_conn_write(torc_conn *c, torc_slice data) {
  int rc = torc_tls_write(&c->tls, data);
  if (rc != 0) {
    c->link.net->stats.tls_failures++;
    return rc;
  }
  mark_dirty(c);
  if (c->tls.out.len > TORC_NET_SEND_AHEAD / 4) {
    torc_conn_flush(c);
  }
  return 0;
}

void torc_conn_settled(torc_conn *c) {
  torc_timer_stop(&c->link.net->timers, &c->timer);
  leave_half_open(c);
}

/* [TLS-04] Messages are written into the stream one after the other; head and body meet in one
 * record if they fit. */
void torc_conn_send(torc_conn *c, torc_slice head, torc_slice body) {
  torc_net *net = c->link.net;
  size_t left = head.len + body.len;
  size_t queued = queued_on(&c->link);
  int rc = torc_net_link_room(&c->link, left);
  torc_rd parts[2];
  torc_rd_init(&parts[0], head);
  torc_rd_init(&parts[1], body);
  while (rc == 0 && left > 0) {
    size_t n = 0;
    for (size_t i = 0; i < 2; i++) {
      size_t take = torc_rd_left(&parts[i]);
      take = take < TORC_NET_RECORD_BYTES - n ? take : TORC_NET_RECORD_BYTES - n;
      if (take > 0) {
        memcpy(net->record_buf + n, torc_rd_slice(&parts[i], take).p, take);
        n += take;
      }
    }
    rc = torc_tls_write(&c->tls, torc_slice_of(net->record_buf, n));
    left -= n;
  }
  if (rc != 0) {
    net->stats.tls_failures += rc == TORC_ERR_LIMIT ? 0 : 1;
    TORC_LOG(net->log, TORC_LOG_DEBUG, "io:send_failed", TORC_F_ID("peer", &c->link.peer),
             TORC_F_U64("queued", queued), TORC_F_ERR("why", rc));
    torc_conn_end(c, rc);
    return;
  }
  net->stats.messages_out++;
  net->stats.bytes_out += head.len + body.len;
  torc_net_link_recount(&c->link);
  mark_dirty(c);
  if (c->tls.out.len > TORC_NET_SEND_AHEAD) {
    torc_conn_flush(c);
  }
}

/* ---- messages ---- */

static void deliver(torc_conn *c, torc_slice msg) {
  torc_net *net = c->link.net;
  torc_timer_stop(&net->timers, &c->timer); /* runs for one message at a time */
  net->stats.messages_in++;
  net->stats.bytes_in += msg.len;
  net->events.message(net->events.ctx, c->link.id, msg);
}

/* [GAP-48] no resynchronisation: what cannot be the start of a message closes the link. */
static void bad_frame(torc_conn *c, int rc) {
  torc_net *net = c->link.net;
  if (rc == TORC_ERR_INVALID) { /* */
    net->stats.later_version++;
  } else if (rc == TORC_ERR_LIMIT) { /* */
    net->stats.bad_length++;
  } else {
    net->stats.bad_frame++;
  }
  TORC_LOG(net->log, TORC_LOG_DEBUG, "io:bad_frame", TORC_F_ID("peer", &c->link.peer),
           TORC_F_ERR("why", rc));
  torc_conn_end(c, TORC_ERR_FORMAT);
}

/* Keeps the beginning of a message. The buffer grows with the bytes that came, not with the Length
 * claimed. */
int torc_conn_keep(torc_conn *c, torc_slice bytes) {
  torc_net *net = c->link.net;
  if (net->partial_bytes - c->partial.cap + c->partial.len + bytes.len > net->limits.partial_max) {
    net->stats.partial_refused++;
    return TORC_ERR_LIMIT;
  }
  net->partial_bytes -= c->partial.cap;
  int rc = torc_buf_append(&c->partial, bytes);
  net->partial_bytes += c->partial.cap;
  return rc;
}

/* How much of `data` still belongs to the message in `partial`; 0 on a bad frame. */
static size_t missing(torc_conn *c, torc_slice data, bool *is_whole) {
  uint32_t length = 0;
  int rc = torc_frame_peek(torc_buf_slice(&c->partial), &length);
  *is_whole = false;
  if (rc == TORC_ERR_SHORT) { /* byte by byte until Length is there: at most 15 times */
    return 1;
  }
  if (rc != 0) {
    bad_frame(c, rc);
    return 0;
  }
  size_t need = length - c->partial.len;
  *is_whole = need <= data.len;
  return need < data.len ? need : data.len;
}

static void consume_partial(torc_conn *c, torc_slice *data) {
  bool is_whole = false;
  size_t take = missing(c, *data, &is_whole);
  if (take == 0 && !is_whole) {
    return;
  }
  int rc = torc_conn_keep(c, torc_slice_sub(*data, 0, take));
  if (rc != 0) {
    torc_conn_end(c, rc);
    return;
  }
  *data = torc_slice_of(data->p + take, data->len - take);
  if (!is_whole) {
    return;
  }
  torc_buf whole = c->partial; /* the call may close the link */
  c->link.net->partial_bytes -= whole.cap;
  torc_buf_init(&c->partial, torc_mem_libc(), TORC_MESSAGE_MAX);
  deliver(c, torc_buf_slice(&whole));
  torc_buf_clear(&whole);
}

static void consume(torc_conn *c, torc_slice data) {
  while (c->state == TORC_CONN_UP && data.len > 0) {
    uint32_t length = 0;
    if (c->partial.len > 0) {
      consume_partial(c, &data);
      continue;
    }
    int rc = torc_frame_peek(data, &length);
    if (rc != 0 && rc != TORC_ERR_SHORT) {
      bad_frame(c, rc);
      return;
    }
    if (rc == 0 && length <= data.len) { /* straight from the read buffer, no copy */
      torc_slice msg = torc_slice_of(data.p, length);
      data = torc_slice_of(data.p + length, data.len - length);
      deliver(c, msg);
      continue;
    }
    rc = torc_conn_keep(c, data);
    if (rc != 0) {
      torc_conn_end(c, rc);
    }
    return;
  }
}

/* The limit runs from the first byte of a message, decrypted or not. */
static void watch_message(torc_conn *c) {
  torc_net *net = c->link.net;
  if (c->state != TORC_CONN_UP) {
    return;
  }
  bool is_waiting = c->partial.len > 0 || torc_tls_has_part(&c->tls);
  if (is_waiting && !torc_timer_armed(&c->timer)) {
    torc_net_arm(net, &c->timer, torc_time_add(torc_net_now(), net->limits.message));
  } else if (!is_waiting && torc_timer_armed(&c->timer)) {
    torc_timer_stop(&net->timers, &c->timer);
  }
}

/* The node may close the link from inside a message; its TLS object is then gone. */
static void read_plain(torc_conn *c) {
  torc_net *net = c->link.net;
  for (;;) {
    size_t len = 0;
    int rc = 0;
    while (rc == 0 && TORC_NET_PLAIN_BYTES - len >= TORC_NET_RECORD_BYTES) {
      size_t n = 0;
      rc = torc_tls_read(&c->tls, net->plain_buf + len, TORC_NET_PLAIN_BYTES - len, &n);
      len += n;
      if (n == 0) {
        break;
      }
    }
    bool is_all = rc != 0 || TORC_NET_PLAIN_BYTES - len >= TORC_NET_RECORD_BYTES;
    if (c->state == TORC_CONN_UP) {
      consume(c, torc_slice_of(net->plain_buf, len));
    }
    if (c->state != TORC_CONN_UP && c->state != TORC_CONN_DRAINING) {
      return;
    }
    if (rc != 0) {
      if (rc == TORC_ERR_CRYPTO) {
        net->stats.tls_failures++;
        TORC_LOG(net->log, TORC_LOG_DEBUG, "io:tls_failed", TORC_F_ID("peer", &c->link.peer),
                 TORC_F_STR("why", c->tls.why));
      }
      torc_conn_end(c, rc);
      return;
    }
    if (is_all) {
      return;
    }
  }
}

/* ---- the handshake's end ---- */

/* [TLS-06] [GAP-136] The peer at the other end: the one expected, if the certificate has it; else
 * the certificate's first, which is what a node runs as. */
static int identify(torc_conn *c) {
  torc_net *net = c->link.net;
  const torc_cert *cert = c->tls.cert;
  const torc_id *expected = c->pending != NULL ? &c->pending->peer
                            : c->dial != NULL  ? &c->dial->expected
                                               : &torc_id_zero;
  c->link.peer = cert->peers[0];
  if (!torc_id_eq(expected, &torc_id_zero)) {
    if (!torc_conn_has_peer(c, expected)) {
      net->stats.wrong_peer++;
      memcpy(c->tls.why, "another peer than expected", sizeof "another peer than expected");
      return TORC_ERR_DENIED;
    }
    c->link.peer = *expected;
  }
  if (torc_conn_has_peer(c, &net->self)) {
    net->stats.self_links++;
    memcpy(c->tls.why, "connected to itself", sizeof "connected to itself");
    return TORC_ERR_EXISTS;
  }
  /* [ICE-06] [GAP-72] */
  if (c->pending != NULL && !torc_fingerprint_matches(&c->pending->fingerprint, cert)) {
    net->stats.bad_fingerprint++;
    memcpy(c->tls.why, "fingerprint differs from CONNECT",
           sizeof "fingerprint differs from CONNECT");
    return TORC_ERR_CRYPTO;
  }
  return 0;
}

static void local_address(torc_conn *c, uint8_t out[18]) {
  torc_sock local;
  int len = (int)sizeof local;
  memset(&local, 0, sizeof local);
  if (uv_tcp_getsockname(&c->tcp, &local.sa, &len) != 0) {
    memset(&local, 0, sizeof local);
    local.sa.sa_family = AF_INET;
  }
  torc_sock_normalise(&local);
  torc_sock_wire(&local, out);
}

/* Whatever wanted this link has it. */
static void end_search(torc_conn *c, torc_link_info *info) {
  torc_dial *dial = c->dial;
  torc_pending *pending = c->pending;
  if (dial != NULL) {
    info->token = dial->token;
    c->link.dialable = c->link.remote;
    c->dial = NULL;
    torc_dial_won(dial, c);
  } else if (pending != NULL) {
    info->token = pending->token;
    info->by_connect = true;
    info->is_requester = pending->is_requester;
    c->link.dialable = pending->dialable;
    c->link.is_by_connect = true;
    c->pending = NULL;
    pending->conn = NULL;
    torc_pending_free(pending);
  }
}

/* The time of the handshake has passed on, that of messages begins. */
static int go_up(torc_conn *c) {
  torc_net *net = c->link.net;
  int rc = identify(c);
  if (rc == 0 && c->pending != NULL && c->pending->application != TORC_APPLICATION_RELOAD) {
    return torc_stream_begin(c);
  }
  if (rc == 0) {
    rc = torc_net_link_admit(&c->link);
  }
  if (rc != 0) {
    return rc;
  }
  /* in TLS 1.3 the server is ready last */
  torc_link_info info = {.cert = c->tls.cert, .is_dialled = c->is_client};
  c->tls.cert = NULL; /* its reference passes on; [TLS-08] it names the last hop from now on */
  c->state = TORC_CONN_UP;
  torc_timer_stop(&net->timers, &c->timer);
  leave_half_open(c);
  local_address(c, info.local_addr);
  end_search(c, &info);
  torc_net_link_tell(&c->link, &info);
  if (c->state == TORC_CONN_UP && net->is_paused) {
    torc_conn_set_reading(c, false);
  }
  return 0;
}

static void step_handshake(torc_conn *c) {
  int rc = torc_tls_handshake(&c->tls);
  if (rc == TORC_ERR_SHORT) {
    mark_dirty(c);
    return;
  }
  if (rc == 0) {
    mark_dirty(c);
    rc = go_up(c);
  }
  if (rc != 0) {
    fail_handshake(c, rc);
  }
}

/* ---- reading ---- */

static void on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *buf) {
  torc_conn *c = h->data;
  (void)suggested;
  *buf = uv_buf_init((char *)c->link.net->read_buf, TORC_NET_READ_BYTES);
}

/* [GAP-48] TLS at once, or checks before it: what dials us says so with its first byte. */
static int open_accepted(torc_conn *c, torc_slice bytes) {
  return bytes.p[0] >= TORC_TLS_FIRST_BYTE ? torc_conn_begin(c, false) : torc_ice_tcp_adopt(c);
}

static bool is_framed(const torc_conn *c) {
  return c->socket != 0 &&
         (c->state == TORC_CONN_ICE || (c->state == TORC_CONN_HANDSHAKE && !c->has_tls));
}

void torc_conn_input(torc_conn *c, torc_slice bytes) {
  int rc = c->state == TORC_CONN_OPENING ? open_accepted(c, bytes) : 0;
  if (rc != 0) {
    torc_conn_end(c, rc);
    return;
  }
  if (is_framed(c)) {
    torc_ice_tcp_input(c, bytes);
    return;
  }
  c->tls.in = bytes;
  if (c->state == TORC_CONN_HANDSHAKE) {
    step_handshake(c);
  }
  if (c->state == TORC_CONN_STREAM) {
    torc_stream_read(c);
    return;
  }
  if (c->state == TORC_CONN_UP || c->state == TORC_CONN_DRAINING) {
    read_plain(c);
  }
  watch_message(c);
  if (c->state == TORC_CONN_UP || c->state == TORC_CONN_DRAINING) {
    mark_dirty(c); /* TLS itself may have answered: an alert, a new key */
  }
}

void torc_conn_begin_tls(torc_conn *c) {
  torc_buf whole = c->partial; /* the call may end the connection */
  c->has_tls = true;
  c->link.net->partial_bytes -= whole.cap;
  torc_buf_init(&c->partial, torc_mem_libc(), TORC_MESSAGE_MAX);
  torc_conn_input(c, torc_buf_slice(&whole));
  torc_buf_clear(&whole);
}

static void on_read(uv_stream_t *s, ssize_t nread, const uv_buf_t *buf) {
  torc_conn *c = s->data;
  torc_net *net = c->link.net;
  if (nread == 0 || c->state == TORC_CONN_CLOSED) {
    return;
  }
  if (nread < 0) {
    if (c->state == TORC_CONN_STREAM && torc_stream_waits(c, (int)nread)) {
      torc_conn_set_reading(c, false);
    } else if (c->state == TORC_CONN_STREAM) {
      torc_conn_end(c, torc_stream_lost(c, (int)nread));
    } else if (c->state == TORC_CONN_HANDSHAKE) {
      memcpy(c->tls.why, "closed by the other side", sizeof "closed by the other side");
      fail_handshake(c, TORC_ERR_CLOSED);
    } else {
      /* [GAP-77] a transport error ends the link without waiting for a PING */
      torc_conn_end(c, nread == UV_EOF ? TORC_ERR_CLOSED : TORC_ERR_IO);
    }
    net->events.turn(net->events.ctx);
    return;
  }
  torc_conn_input(c, torc_slice_of(buf->base, (size_t)nread));
  if (nread == (ssize_t)TORC_NET_READ_BYTES && c->state != TORC_CONN_CLOSED) {
    rest(c);
  }
  net->events.turn(net->events.ctx);
}

static void on_next_turn(uv_idle_t *idle) {
  torc_net *net = idle->data;
  torc_list *node = NULL;
  (void)uv_idle_stop(idle);
  while ((node = torc_list_pop_front(&net->resting)) != NULL) {
    torc_conn *c = TORC_CONTAINER_OF(node, torc_conn, resting);
    torc_list_init(node);
    if (c->state == TORC_CONN_STREAM) {
      torc_stream_resume(c);
    } else if (!net->is_paused || c->state != TORC_CONN_UP) {
      torc_conn_set_reading(c, true);
    }
  }
}

/* A full buffer is one turn: a link that floods waits until every other one has been read. libuv
 * alone would read thirty-two buffers of one socket in a row. */
static void rest(torc_conn *c) {
  torc_net *net = c->link.net;
  if (!c->is_reading || !torc_list_empty(&c->resting)) {
    return;
  }
  torc_conn_set_reading(c, false);
  torc_list_push_back(&net->resting, &c->resting);
  (void)uv_idle_start(&net->next_turn, on_next_turn);
}

void torc_conn_set_reading(torc_conn *c, bool on) {
  if (c->is_reading == on) {
    return;
  }
  c->is_reading = on;
  if (!on) {
    (void)uv_read_stop((uv_stream_t *)&c->tcp);
  } else if (uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read) != 0) {
    torc_conn_end(c, TORC_ERR_IO);
  }
}

int torc_conn_open(torc_conn *c) {
  torc_net *net = c->link.net;
  c->state = TORC_CONN_OPENING;
  torc_net_arm(net, &c->timer, torc_time_add(torc_net_now(), net->limits.handshake));
  torc_conn_set_reading(c, true);
  return c->state == TORC_CONN_OPENING ? 0 : TORC_ERR_IO;
}

/* Frames of ICE that the socket has not taken yet leave before TLS. */
static int init_tls(torc_conn *c, bool is_client) {
  torc_net *net = c->link.net;
  /* Room for one more message than the limit lets in, and for the handshake. */
  size_t out_max = net->limits.queue_max + 2 * TORC_MESSAGE_MAX;
  const torc_id *expected = c->pending != NULL ? &c->pending->peer
                            : c->dial != NULL  ? &c->dial->expected
                                               : NULL;
  torc_buf frames = c->tls.out;
  int rc = torc_tls_init(&c->tls, net->tls, is_client, expected, out_max);
  if (rc == 0 && frames.len > 0) {
    rc = torc_buf_append(&c->tls.out, torc_buf_slice(&frames));
  }
  torc_buf_clear(&frames);
  c->is_client = is_client;
  return rc;
}

int torc_conn_begin(torc_conn *c, bool is_client) {
  torc_net *net = c->link.net;
  int len = (int)sizeof c->link.remote;
  (void)uv_tcp_nodelay(&c->tcp, 1);
  memset(&c->link.remote, 0, sizeof c->link.remote);
  if (uv_tcp_getpeername(&c->tcp, &c->link.remote.sa, &len) != 0) {
    return TORC_ERR_IO;
  }
  torc_sock_normalise(&c->link.remote);
  int rc = init_tls(c, is_client);
  if (rc != 0) {
    return rc;
  }
  c->state = TORC_CONN_HANDSHAKE;
  torc_net_arm(net, &c->timer, torc_time_add(torc_net_now(), net->limits.handshake));
  torc_conn_set_reading(c, true);
  if (is_client && c->state == TORC_CONN_HANDSHAKE) {
    step_handshake(c);
  }
  return 0;
}

/* ---- as a link ---- */

static void link_send(torc_net_link *l, torc_slice head, torc_slice body) {
  torc_conn *c = conn_of(l);
  if (c->state == TORC_CONN_UP) {
    torc_conn_send(c, head, body);
  }
}

static void link_flush(torc_net_link *l) {
  torc_conn *c = conn_of(l);
  torc_conn_flush(c);
  if (c->state == TORC_CONN_STREAM) {
    torc_stream_flushed(c);
  }
}

static void link_drain(torc_net_link *l) {
  torc_conn_drain(conn_of(l));
}

static void link_set_reading(torc_net_link *l, bool on) {
  torc_conn_set_reading(conn_of(l), on);
}

static const torc_net_link_ops ops = {.kind = TORC_LINK_TLS,
                                      .send = link_send,
                                      .flush = link_flush,
                                      .drain = link_drain,
                                      .set_reading = link_set_reading,
                                      .queued = queued_on};

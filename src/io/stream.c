/* Connections of applications: the bytes of a TLS connection to and from a local stream socket.
 * Each side is read only while the other one takes what it sends, so that nobody who is slow makes
 * this process grow. SPDX-License-Identifier: Apache-2.0 */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/id.h"
#include "base/slice.h"
#include "io/net_impl.h"

#define QUEUE_HIGH                                                               \
  (256u << 10) /* encrypted bytes not yet sent, above which the local side waits \
                */
#define QUEUE_LOW (64u << 10)
/* Decrypted bytes that the local side has not taken: one read and what TLS held back before it. */
#define IN_MAX (TORC_NET_READ_BYTES + 2u * TORC_NET_RECORD_BYTES)

struct torc_stream {
  torc_token token;
  torc_net *net;
  torc_conn *conn;     /* NULL: gone */
  torc_list all, told; /* told: in fresh_streams or over_streams */
  torc_link_info info; /* of fresh ones; holds the certificate */
  torc_timer timer;    /* until somebody carries it */
  uv_pipe_t local;
  uv_write_t write;
  uv_shutdown_t shutdown;
  bool has_local, is_local_closing, is_writing, is_throttled;
  bool is_known;             /* the receiver of events was told that it stands */
  bool in_ended, is_in_shut; /* the other side has ended; the local side knows */
  bool out_ended;            /* the local side has ended; the other side knows */
  bool is_ending;            /* the local side wants no more of it */
  bool is_over;
  int rc;
  torc_buf in;
};

void torc_streams_init(torc_net *net, uint64_t seed) {
  torc_map_init(&net->streams, torc_mem_libc(), offsetof(torc_stream, token), sizeof(torc_token),
                seed);
  torc_list_init(&net->all_streams);
  torc_list_init(&net->fresh_streams);
  torc_list_init(&net->over_streams);
}

static torc_stream *find(const torc_net *net, torc_token token) {
  return torc_map_get(&net->streams, &token);
}

static void count_in(torc_stream *s, size_t before) {
  s->net->stream_bytes += s->in.cap - before;
}

static void drop_in(torc_stream *s) {
  size_t before = s->in.cap;
  torc_buf_clear(&s->in);
  torc_buf_init(&s->in, torc_mem_libc(), IN_MAX);
  count_in(s, before);
}

/* ---- the end ---- */

static void free_if_done(torc_stream *s) {
  if (!s->is_over || s->has_local || s->conn != NULL || !torc_list_empty(&s->told)) {
    return;
  }
  drop_in(s);
  torc_list_remove(&s->all);
  s->net->num_streams--;
  free(s);
}

static void on_local_closed(uv_handle_t *h) {
  torc_stream *s = h->data;
  s->net->num_handles--;
  s->has_local = false;
  free_if_done(s);
}

static void close_local(torc_stream *s) {
  if (s->has_local && !s->is_local_closing) {
    s->is_local_closing = true;
    uv_close((uv_handle_t *)&s->local, on_local_closed);
  }
}

/* What has come is still given to the local side, unless that does not want it. */
static void let_go_of_local(torc_stream *s) {
  if (!s->has_local) {
    return;
  }
  (void)uv_read_stop((uv_stream_t *)&s->local);
  if (!s->is_writing || s->is_ending) {
    close_local(s);
  }
}

static void over(torc_stream *s, int rc) {
  torc_net *net = s->net;
  if (s->is_over) {
    return;
  }
  s->is_over = true;
  s->rc = rc;
  torc_timer_stop(&net->timers, &s->timer);
  (void)torc_map_del(&net->streams, &s->token);
  torc_list_remove(&s->told); /* out of the fresh ones */
  torc_list_push_back(&net->over_streams, &s->told);
  TORC_LOG(net->log, TORC_LOG_DEBUG, "io:connection_down", TORC_F_ID("peer", &s->info.peer),
           TORC_F_U64("token", s->token), TORC_F_ERR("why", rc));
  let_go_of_local(s);
}

void torc_stream_conn_ended(torc_conn *c, int rc) {
  torc_stream *s = c->stream;
  c->stream = NULL;
  if (s != NULL) {
    s->conn = NULL;
    over(s, rc);
  }
}

/* In good order: close_notify, the end of TCP's stream, and what still comes is thrown away. */
static void finish(torc_stream *s) {
  torc_conn *c = s->conn;
  s->conn = NULL;
  c->stream = NULL;
  torc_conn_drain(c);
  over(s, 0);
}

/* Both sides have ended, or this one has and does not care for the other. */
static void check_end(torc_stream *s) {
  if (s->conn != NULL && !s->is_over && s->out_ended && (s->in_ended || s->is_ending) &&
      torc_conn_queued(s->conn) == 0) {
    finish(s);
  }
}

static void cut(torc_stream *s, int rc) {
  if (s->conn != NULL) {
    s->net->stats.connections_cut++;
    s->conn->is_reset = true;
    torc_conn_end(s->conn, rc);
  }
}

/* libuv reports a reset as an end of file when bytes came with it. */
static bool is_end_of_file(const torc_conn *c, int uv) {
  int fd = -1;
  int error = 0;
  socklen_t len = sizeof error;
  return uv == UV_EOF && uv_fileno((const uv_handle_t *)&c->tcp, &fd) == 0 &&
         getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 && error == 0;
}

/* Its reader comes later; reading on then brings the end of file once more. */
bool torc_stream_waits(const torc_conn *c, int uv) {
  const torc_stream *s = c->stream;
  return !s->has_local && !s->is_ending && s->in_ended && is_end_of_file(c, uv);
}

/* Without a close_notify before it an end of file is somebody's death, or a forgery. */
int torc_stream_lost(const torc_conn *c, int uv) {
  const torc_stream *s = c->stream;
  if (uv == UV_ETIMEDOUT) {
    return TORC_ERR_TIMEOUT;
  }
  return is_end_of_file(c, uv) && s->in_ended && torc_conn_queued(c) == 0 ? 0 : TORC_ERR_CLOSED;
}

/* ---- from the other side to the local one ---- */

static void shut_local(torc_stream *s);

static void on_local_written(uv_write_t *req, int status) {
  torc_stream *s = req->data;
  s->is_writing = false;
  drop_in(s);
  if (s->is_over) {
    close_local(s);
    return;
  }
  if (status < 0) {
    cut(s, TORC_ERR_CLOSED);
  } else {
    shut_local(s);
    if (s->conn != NULL) {
      torc_stream_resume(s->conn);
    }
  }
  s->net->events.turn(s->net->events.ctx);
}

static void on_local_shut(uv_shutdown_t *req, int status) {
  (void)req;
  (void)status;
}

/* The other side's end of file, behind all that came before it. */
static void shut_local(torc_stream *s) {
  if (!s->in_ended || s->is_in_shut || !s->has_local || s->is_local_closing || s->in.len > 0) {
    return;
  }
  s->is_in_shut = true;
  s->shutdown.data = s;
  (void)uv_shutdown(&s->shutdown, (uv_stream_t *)&s->local, on_local_shut);
  check_end(s);
}

/* Hands over what is kept; false: the local side is gone, and the connection with it. */
static bool pass_kept(torc_stream *s) {
  if (s->in.len == 0 || !s->has_local || s->is_writing) {
    return true;
  }
  uv_buf_t buf = uv_buf_init((char *)s->in.p, (unsigned)s->in.len);
  s->write.data = s;
  if (uv_write(&s->write, (uv_stream_t *)&s->local, &buf, 1, on_local_written) != 0) {
    cut(s, TORC_ERR_CLOSED);
    return false;
  }
  s->is_writing = true;
  return true;
}

/* Most of the time the local socket has room, and nothing is kept. */
static int deliver(torc_stream *s, torc_slice data) {
  s->net->stats.connection_bytes_in += data.len;
  if (s->is_ending) {
    return 0;
  }
  if (s->in.len == 0 && s->has_local && !s->is_writing) {
    uv_buf_t buf = uv_buf_init((char *)(uintptr_t)data.p, (unsigned)data.len);
    int n = uv_try_write((uv_stream_t *)&s->local, &buf, 1);
    if (n < 0 && n != UV_EAGAIN) {
      return TORC_ERR_CLOSED;
    }
    size_t taken = n > 0 ? (size_t)n : 0;
    data = torc_slice_of(data.p + taken, data.len - taken);
  }
  size_t before = s->in.cap;
  int rc = data.len == 0 ? 0 : torc_buf_append(&s->in, data);
  count_in(s, before);
  return rc;
}

/* Before anybody carries it, only so far that a cut is noticed: an end in good order, and what came
 * before it, wait. */
static bool may_read(const torc_stream *s) {
  if (!s->has_local && !s->is_ending) {
    return s->in.len == 0 && !s->in_ended;
  }
  return s->is_ending || s->in_ended || s->in.len == 0;
}

void torc_stream_resume(torc_conn *c) {
  torc_conn_set_reading(c, may_read(c->stream));
}

/* Everything that one read brought is decrypted at once: it borrows from a shared buffer. */
void torc_stream_read(torc_conn *c) {
  torc_net *net = c->link.net;
  torc_stream *s = c->stream;
  int rc = 0;
  size_t n = 1;
  while (rc == 0 && n > 0 && !s->in_ended) {
    rc = torc_tls_read(&c->tls, net->plain_buf, TORC_NET_PLAIN_BYTES, &n);
    int failed = n > 0 ? deliver(s, torc_slice_of(net->plain_buf, n)) : 0;
    rc = failed != 0 ? failed : rc;
    if (rc == TORC_ERR_CLOSED && failed == 0) {
      s->in_ended = true;
      rc = 0;
    }
  }
  c->tls.in = torc_slice_of(NULL, 0);
  if (rc != 0) {
    net->stats.tls_failures += rc == TORC_ERR_CRYPTO ? 1u : 0u;
    cut(s, rc);
    return;
  }
  if (!pass_kept(s)) {
    return;
  }
  shut_local(s);
  if (c->stream != NULL) {
    check_end(s);
  }
  if (c->state == TORC_CONN_STREAM) {
    torc_net_link_touch(&c->link); /* TLS itself may have answered: an alert, a new key */
    torc_stream_resume(c);
  }
}

/* ---- from the local side to the other one ---- */

static void end_out(torc_stream *s) {
  s->out_ended = true;
  torc_tls_shutdown(&s->conn->tls);
  torc_net_link_touch(&s->conn->link);
}

static void on_local_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *buf) {
  torc_stream *s = h->data;
  (void)suggested;
  *buf = uv_buf_init((char *)s->net->read_buf, TORC_NET_READ_BYTES);
}

static void on_local_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf) {
  torc_stream *s = stream->data;
  torc_net *net = s->net;
  if (n == 0 || s->conn == NULL) {
    return;
  }
  if (n > 0) {
    net->stats.connection_bytes_out += (uint64_t)n;
    int rc = torc_conn_write(s->conn, torc_slice_of((const uint8_t *)buf->base, (size_t)n));
    if (rc != 0) {
      cut(s, rc);
    } else if (s->conn != NULL && torc_conn_queued(s->conn) > QUEUE_HIGH) {
      s->is_throttled = true;
      (void)uv_read_stop(stream);
    }
  } else if (n == UV_EOF) {
    (void)uv_read_stop(stream);
    end_out(s);
  } else {
    cut(s, TORC_ERR_CLOSED);
  }
  net->events.turn(net->events.ctx);
}

void torc_stream_flushed(torc_conn *c) {
  torc_stream *s = c->stream;
  if (s == NULL) {
    return;
  }
  if (s->is_throttled && torc_conn_queued(c) <= QUEUE_LOW && !s->is_local_closing) {
    s->is_throttled = false;
    (void)uv_read_start((uv_stream_t *)&s->local, on_local_alloc, on_local_read);
  }
  check_end(s);
}

/* ---- the beginning ---- */

static void on_untaken(torc_timer *t, torc_time now) {
  torc_stream *s = TORC_CONTAINER_OF(t, torc_stream, timer);
  (void)now;
  s->net->stats.connections_untaken++;
  cut(s, TORC_ERR_TIMEOUT);
}

/* Who vanishes without a word is noticed while nothing is sent, and sooner while something is. */
static void watch_peer(torc_conn *c) {
  int fd = -1;
  unsigned gone_ms = (unsigned)(c->link.net->limits.stream_gone / TORC_MS(1));
  (void)uv_tcp_keepalive(&c->tcp, 1, (unsigned)(c->link.net->limits.stream_idle / TORC_SEC(1)));
  if (uv_fileno((uv_handle_t *)&c->tcp, &fd) == 0) {
    (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &gone_ms, sizeof gone_ms);
  }
}

static int stream_new(torc_conn *c, torc_token token) {
  torc_net *net = c->link.net;
  torc_stream *s = net->num_streams >= net->limits.streams_max ? NULL : calloc(1, sizeof *s);
  if (s == NULL) {
    net->stats.connections_refused++;
    return TORC_ERR_LIMIT;
  }
  s->net = net;
  s->token = token;
  s->conn = c;
  s->info = (torc_link_info){.kind = TORC_LINK_TLS, .peer = c->link.peer, .cert = c->tls.cert};
  torc_timer_init(&s->timer, on_untaken);
  torc_buf_init(&s->in, torc_mem_libc(), IN_MAX);
  torc_list_init(&s->told);
  if (torc_map_put(&net->streams, s) != 0) {
    free(s);
    return TORC_ERR_NOMEM;
  }
  torc_list_push_back(&net->all_streams, &s->all);
  net->num_streams++;
  c->link.not_after = c->tls.cert->not_after;
  c->tls.cert = NULL; /* its reference passes on */
  c->stream = s;
  c->state = TORC_CONN_STREAM;
  torc_conn_settled(c);
  watch_peer(c);
  return 0;
}

/* It stands: whoever asked for it is told at the next flush. */
static void stands(torc_stream *s) {
  torc_net *net = s->net;
  torc_list_push_back(&net->fresh_streams, &s->told);
  torc_net_arm(net, &s->timer, torc_time_add(torc_net_now(), net->limits.stream_take));
  TORC_LOG(net->log, TORC_LOG_DEBUG, "io:connection_up", TORC_F_ID("peer", &s->info.peer),
           TORC_F_U64("token", s->token));
}

/* [GAP-83] [TLS-06] Its peer has been proved, as for a link. */
int torc_stream_begin(torc_conn *c) {
  torc_pending *p = c->pending;
  int rc = stream_new(c, p->token);
  if (rc == 0) {
    c->pending = NULL;
    p->conn = NULL;
    torc_pending_free(p);
    stands(c->stream);
  }
  return rc;
}

/* ---- calls ---- */

int torc_net_carry(torc_net *net, torc_token token, int fd) {
  torc_stream *s = find(net, token);
  int rc = s == NULL || s->is_ending ? TORC_ERR_NOTFOUND : s->has_local ? TORC_ERR_EXISTS : 0;
  if (rc == 0 && uv_pipe_init(net->loop, &s->local, 0) != 0) {
    rc = TORC_ERR_IO;
  }
  if (rc != 0) {
    (void)close(fd);
    return rc;
  }
  s->has_local = true;
  s->local.data = s;
  net->num_handles++;
  rc = uv_pipe_open(&s->local, fd) == 0 ? 0 : TORC_ERR_IO;
  if (rc != 0) {
    (void)close(fd);
  } else if (uv_read_start((uv_stream_t *)&s->local, on_local_alloc, on_local_read) != 0) {
    rc = TORC_ERR_IO;
  }
  if (rc != 0) {
    cut(s, rc);
    return rc;
  }
  torc_timer_stop(&net->timers, &s->timer);
  if (pass_kept(s)) {
    shut_local(s);
  }
  if (s->conn != NULL && s->conn->state == TORC_CONN_STREAM) {
    torc_stream_resume(s->conn);
  }
  return 0;
}

void torc_net_end(torc_net *net, torc_token token) {
  torc_stream *s = find(net, token);
  if (s == NULL || s->is_ending) {
    return;
  }
  s->is_ending = true;
  if (!s->has_local && !s->out_ended) {
    end_out(s);
  }
  torc_timer_stop(&net->timers, &s->timer);
  torc_stream_resume(s->conn);
  torc_net_link_touch(&s->conn->link);
  check_end(s);
}

void torc_net_cut(torc_net *net, torc_token token) {
  torc_stream *s = find(net, token);
  if (s != NULL) {
    cut(s, TORC_ERR_CLOSED);
  }
}

/* ---- what is told ---- */

static void tell_up(torc_stream *s) {
  torc_net *net = s->net;
  torc_link_info info = s->info;
  s->info.cert = NULL;
  s->is_known = true;
  net->stats.connections_up++;
  if (net->events.connection_up(net->events.ctx, s->token, &info) != 0) {
    s->is_known = false;
    cut(s, TORC_ERR_NOTFOUND);
  }
}

static void tell_down(torc_stream *s) {
  torc_net *net = s->net;
  if (s->is_known) {
    net->stats.connections_down++;
    net->events.connection_down(net->events.ctx, s->token, s->rc);
  } else if (s->info.cert != NULL) { /* gone before anybody knew of it */
    torc_cert_free(s->info.cert);
    s->info.cert = NULL;
    torc_net_tell_failure(net, s->token, s->rc == 0 ? TORC_ERR_CLOSED : s->rc);
  }
  free_if_done(s);
}

size_t torc_streams_tell(torc_net *net) {
  size_t told = 0;
  torc_list *node = NULL;
  while ((node = torc_list_pop_front(&net->fresh_streams)) != NULL) {
    torc_list_init(node);
    tell_up(TORC_CONTAINER_OF(node, torc_stream, told));
    told++;
  }
  while ((node = torc_list_pop_front(&net->over_streams)) != NULL) {
    torc_list_init(node);
    tell_down(TORC_CONTAINER_OF(node, torc_stream, told));
    told++;
  }
  return told;
}

/* [GAP-135] */
void torc_streams_set_wall(torc_net *net, torc_wall now) {
  torc_list *node = net->all_streams.next;
  while (node != &net->all_streams) {
    torc_stream *s = TORC_CONTAINER_OF(node, torc_stream, all);
    node = node->next; /* what is cut stays in the list until it has been told */
    if (s->conn != NULL && now > s->conn->link.not_after) {
      cut(s, TORC_ERR_DENIED);
    }
  }
}

/* Behind the connections, which have ended: nobody is told any more. */
void torc_streams_shutdown(torc_net *net) {
  torc_list *node = net->all_streams.next;
  while (node != &net->all_streams) {
    torc_stream *s = TORC_CONTAINER_OF(node, torc_stream, all);
    node = node->next;
    torc_list_remove(&s->told);
    torc_list_init(&s->told);
    torc_cert_free(s->info.cert);
    s->info.cert = NULL;
    close_local(s);
    free_if_done(s);
  }
}

/* Connections of applications and the best path, in C, between real peers of one process.
 * SPDX-License-Identifier: Apache-2.0 */
#include "torc/path.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/id.h"
#include "base/slice.h"
#include "io/helper_ring.h"
#include "io/net_impl.h"
#include "torc_test.h"

#define APP 7000
#define LIMIT_MS 20000

static hr_ring r; /* of the test that runs */

static int begin(void **state) {
  (void)state;
  hr_open(&r, "chord-128-2-8");
  for (size_t i = 0; i < 3; i++) {
    (void)hr_add(&r, TORC_ROLE_PEER);
  }
  return hr_join(&r, LIMIT_MS) ? 0 : -1;
}

static int end(void **state) {
  (void)state;
  hr_close(&r);
  return 0;
}

/* ---- what has come at one of the peers ---- */

typedef struct wanted {
  size_t peer;
  torc_event_kind kind;
  torc_token token; /* 0: any */
  torc_event got;
  char dialog[64], text[64];
} wanted;

static void copy_text(char out[64], torc_slice s) {
  size_t len = s.len < 63 ? s.len : 63;
  if (len > 0) {
    memcpy(out, s.p, len);
  }
  out[len] = '\0';
}

static bool has_come(hr_ring *ring, void *ctx) {
  wanted *w = ctx;
  torc_event e;
  while (torc_peer_next_event(ring->peers[w->peer], &e)) {
    if (e.kind == w->kind && (w->token == 0 || w->token == e.token)) {
      w->got = e; /* what it points to is copied as far as it is looked at */
      copy_text(w->dialog, e.dialog_id);
      copy_text(w->text, e.pdu);
      return true;
    }
  }
  return false;
}

static void await(wanted *w) {
  assert_true(hr_until(&r, has_come, w, LIMIT_MS));
}

static torc_id id_of(size_t i) {
  return torc_peer_cert(r.peers[i])->peers[0];
}

/* ---- connections ---- */

typedef struct transfer {
  int fd;
  char text[64];
  size_t len, want;
  bool is_end;
} transfer;

static bool is_read(hr_ring *ring, void *ctx) {
  transfer *t = ctx;
  (void)ring;
  ssize_t n = read(t->fd, t->text + t->len, sizeof t->text - 1 - t->len);
  if (n > 0) {
    t->len += (size_t)n;
    t->text[t->len] = '\0';
  }
  t->is_end = n == 0;
  return t->is_end || t->len >= t->want;
}

/* Waits for so many bytes, or the end of file. */
static transfer take(int fd, size_t want) {
  transfer t = {.fd = fd, .want = want};
  assert_true(fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
  assert_true(hr_until(&r, is_read, &t, LIMIT_MS));
  return t;
}

typedef struct pair {
  torc_token here, there;
  int here_fd, there_fd;
} pair;

static pair connected(void) {
  pair p = {.here = 0};
  torc_id to = id_of(2);
  torc_peer *a = r.peers[1];
  assert_int_equal(
      torc_node_connect_application(torc_peer_node(a), &to, 1, APP, torc_peer_now(a), &p.here), 0);
  torc_peer_flush(a);
  wanted up = {.peer = 1, .kind = TORC_EVENT_CONNECTION, .token = p.here};
  await(&up);
  assert_true(up.got.is_up);
  wanted in = {.peer = 2, .kind = TORC_EVENT_CONNECTION};
  await(&in);
  assert_true(in.got.is_up && in.got.is_incoming);
  torc_id from = id_of(1);
  assert_true(torc_id_eq(&in.got.peer, &from));
  p.there = in.got.token;
  assert_int_equal(torc_peer_connection_fd(a, p.here, &p.here_fd), 0);
  assert_int_equal(torc_peer_connection_fd(r.peers[2], p.there, &p.there_fd), 0);
  return p;
}

static void listen_there(void) {
  assert_int_equal(torc_node_listen_connections(torc_peer_node(r.peers[2]), APP, true), 0);
}

static int rc_of_end(size_t peer, torc_token token) {
  wanted w = {.peer = peer, .kind = TORC_EVENT_CONNECTION, .token = token};
  await(&w);
  assert_false(w.got.is_up);
  return w.got.done.rc;
}

static void test_streams(void **state) {
  (void)state;
  listen_there();
  pair p = connected();
  int again = -1;
  assert_int_equal(torc_peer_connection_fd(r.peers[1], p.here, &again), TORC_ERR_EXISTS);
  assert_int_equal(torc_peer_connection_fd(r.peers[1], p.here + 99, &again), TORC_ERR_NOTFOUND);
  assert_int_equal(write(p.here_fd, "question", 8), 8);
  assert_string_equal(take(p.there_fd, 8).text, "question");
  assert_int_equal(shutdown(p.here_fd, SHUT_WR), 0);
  assert_true(take(p.there_fd, 1).is_end);
  assert_int_equal(write(p.there_fd, "answer", 6), 6); /* this direction is still open */
  assert_string_equal(take(p.here_fd, 6).text, "answer");
  assert_int_equal(shutdown(p.there_fd, SHUT_WR), 0);
  assert_true(take(p.here_fd, 1).is_end);
  assert_int_equal(rc_of_end(1, p.here), 0);
  assert_int_equal(rc_of_end(2, p.there), 0);
  close(p.here_fd);
  close(p.there_fd);
}

/* One side wants no more: what it wrote still arrives, and the other side learns of it. */
static void test_ends(void **state) {
  (void)state;
  listen_there();
  pair p = connected();
  assert_int_equal(write(p.here_fd, "last", 4), 4);
  assert_int_equal(shutdown(p.here_fd, SHUT_WR), 0);
  torc_peer_connection_end(r.peers[1], p.here);
  assert_string_equal(take(p.there_fd, 4).text, "last");
  assert_true(take(p.there_fd, 1).is_end);
  assert_int_equal(rc_of_end(1, p.here), 0);
  assert_int_equal(rc_of_end(2, p.there), 0);
  close(p.here_fd);
  close(p.there_fd);
  p = connected();
  torc_peer_connection_cut(r.peers[1], p.here);
  assert_int_equal(rc_of_end(1, p.here), TORC_ERR_CLOSED);
  assert_int_equal(rc_of_end(2, p.there), TORC_ERR_CLOSED);
  assert_true(take(p.there_fd, 1).is_end);
  close(p.here_fd);
  close(p.there_fd);
  torc_peer_connection_end(r.peers[1], p.here); /* nothing is there any more */
  torc_peer_connection_cut(r.peers[1], p.here);
}

/* What came before anybody carried the connection is not lost. */
static void test_early_bytes(void **state) {
  (void)state;
  listen_there();
  torc_id to = id_of(2);
  torc_token token = 0;
  int fd = -1;
  torc_peer *a = r.peers[1];
  assert_int_equal(
      torc_node_connect_application(torc_peer_node(a), &to, 1, APP, torc_peer_now(a), &token), 0);
  torc_peer_flush(a);
  wanted up = {.peer = 1, .kind = TORC_EVENT_CONNECTION, .token = token};
  await(&up);
  assert_int_equal(torc_peer_connection_fd(a, token, &fd), 0);
  assert_int_equal(write(fd, "early", 5), 5);
  close(fd);
  wanted in = {.peer = 2, .kind = TORC_EVENT_CONNECTION};
  await(&in);
  for (int i = 0; i < 20; i++) { /* time for the bytes to come */
    for (size_t k = 0; k < r.num; k++) {
      assert_int_equal(torc_peer_run(r.peers[k], 1), 0);
    }
  }
  assert_int_equal(torc_peer_connection_fd(r.peers[2], in.got.token, &fd), 0);
  assert_string_equal(take(fd, 5).text, "early");
  assert_true(take(fd, 1).is_end);
  close(fd);
}

static void on_counter(void *ctx, const char *name, uint64_t value) {
  uint64_t *out = ctx;
  if (strcmp(name, "io_app_connections") == 0) {
    *out = value;
  }
}

static bool is_empty(hr_ring *ring, void *ctx) {
  uint64_t held = 1;
  (void)ctx;
  torc_peer_gauges(ring->peers[2], &held, on_counter);
  return held == 0;
}

/* A connection that the other side's program does not take is cut there. */
static void test_untaken(void **state) {
  (void)state;
  listen_there();
  r.peers[2]->net->limits.stream_take = TORC_MS(50);
  torc_id to = id_of(2);
  torc_token token = 0;
  torc_peer *a = r.peers[1];
  assert_int_equal(
      torc_node_connect_application(torc_peer_node(a), &to, 1, APP, torc_peer_now(a), &token), 0);
  torc_peer_flush(a);
  wanted up = {.peer = 1, .kind = TORC_EVENT_CONNECTION, .token = token};
  await(&up);
  int fd = -1;
  assert_int_equal(torc_peer_connection_fd(a, token, &fd), 0);
  assert_int_equal(rc_of_end(1, token), TORC_ERR_CLOSED);
  assert_int_equal(hr_counter(r.peers[2], "io_connections_untaken"), 1);
  close(fd);
  assert_true(hr_until(&r, is_empty, NULL, LIMIT_MS));
}

/* The other side answers the CONNECT and then makes no connection. */
static bool gives_up(hr_ring *ring, void *ctx) {
  torc_net *net = ring->peers[2]->net;
  (void)ctx;
  for (torc_list *node = net->pending.next; node != &net->pending; node = node->next) {
    torc_pending *p = TORC_CONTAINER_OF(node, torc_pending, all);
    if (p->application == APP && p->state != TORC_PENDING_ANSWERED) {
      torc_net_cancel(net, p->token);
      return true;
    }
  }
  return false;
}

static void test_never_connects(void **state) {
  (void)state;
  listen_there();
  r.peers[1]->net->limits.connect = TORC_MS(300);
  torc_id to = id_of(2);
  torc_token token = 0;
  torc_peer *a = r.peers[1];
  assert_int_equal(
      torc_node_connect_application(torc_peer_node(a), &to, 1, APP, torc_peer_now(a), &token), 0);
  torc_peer_flush(a);
  assert_true(hr_until(&r, gives_up, NULL, LIMIT_MS));
  assert_int_not_equal(rc_of_end(1, token), 0);
  uint64_t held = 1;
  torc_peer_gauges(a, &held, on_counter);
  assert_int_equal(held, 0);
  assert_int_equal(a->net->num_pending, 0);
}

/* No room for streams on one side: the other one's attempt fails, and a link is not harmed. */
static void test_no_room(void **state) {
  (void)state;
  listen_there();
  r.peers[2]->net->limits.streams_max = 0;
  torc_id to = id_of(2);
  torc_token token = 0;
  torc_peer *a = r.peers[1];
  assert_int_equal(
      torc_node_connect_application(torc_peer_node(a), &to, 1, APP, torc_peer_now(a), &token), 0);
  torc_peer_flush(a);
  wanted w = {.peer = 1, .kind = TORC_EVENT_CONNECTION, .token = token};
  await(&w);
  if (w.got.is_up) { /* in TLS 1.3 the client is ready first; who carries it sees its end */
    int fd = -1;
    assert_int_equal(torc_peer_connection_fd(a, token, &fd), 0);
    assert_int_not_equal(rc_of_end(1, token), 0);
    close(fd);
  }
  assert_true(hr_counter(r.peers[2], "io_connections_refused") >= 1);
  torc_token ping = 0;
  torc_done done;
  assert_int_equal(torc_node_ping(torc_peer_node(a), &to, 1, 0, torc_peer_now(a), &ping), 0);
  assert_int_equal(hr_wait(&r, 1, ping, LIMIT_MS, &done), 0);
}

/* ---- the blocking calls: the other peers run in a thread of their own meanwhile ---- */

static atomic_bool is_stopping;

static void *run_others(void *arg) {
  torc_event e;
  (void)arg;
  while (!atomic_load(&is_stopping)) {
    for (size_t i = 0; i < r.num; i += 2) {
      (void)!torc_peer_run(r.peers[i], 5);
      while (torc_peer_next_event(r.peers[i], &e)) {
        int fd = -1;
        if (e.kind == TORC_EVENT_CONNECTION && e.is_up && e.cert != NULL &&
            torc_peer_connection_fd(r.peers[i], e.token, &fd) == 0) {
          (void)!write(fd, e.cert->users[0], strlen(e.cert->users[0]));
          close(fd);
        }
      }
    }
  }
  return NULL;
}

static void test_blocking(void **state) {
  (void)state;
  pthread_t others;
  torc_id peers[TORC_PEER_DEVICES_MAX];
  torc_id to = id_of(2);
  size_t num = 0;
  torc_token token = 0;
  torc_done done;
  char text[64] = "";
  int fd = -1;
  listen_there();
  atomic_store(&is_stopping, false);
  assert_int_equal(pthread_create(&others, NULL, run_others, NULL), 0);
  torc_peer *a = r.peers[1];
  uint64_t until = uv_hrtime() + (uint64_t)LIMIT_MS * 1000000u;
  int rc = TORC_ERR_NOTFOUND;
  while (rc == TORC_ERR_NOTFOUND && uv_hrtime() < until) { /* it stores its certificate by itself */
    rc = torc_peer_find_user(a, "u2@example.org", LIMIT_MS, peers, &num);
  }
  assert_int_equal(rc, 0);
  assert_int_equal(num, 1);
  assert_true(torc_id_eq(&peers[0], &to));
  assert_int_not_equal(torc_peer_find_user(a, "nobody@example.org", LIMIT_MS, peers, &num), 0);
  assert_int_equal(torc_peer_connect_application(a, &to, APP, LIMIT_MS, &token, &fd, &done), 0);
  while (strlen(text) < strlen("u1@example.org")) { /* whom the other side takes this one for */
    assert_int_equal(torc_peer_run(a, 5), 0);
    ssize_t n = recv(fd, text + strlen(text), sizeof text - 1 - strlen(text), MSG_DONTWAIT);
    assert_true(n > 0 || (n < 0 && errno == EAGAIN));
    assert_true(uv_hrtime() < until);
  }
  assert_string_equal(text, "u1@example.org");
  close(fd);
  assert_int_equal(torc_peer_connect_application(a, &to, APP + 1, LIMIT_MS, &token, &fd, &done),
                   TORC_ERR_REFUSED);
  assert_int_equal(done.code, 404);
  atomic_store(&is_stopping, true);
  assert_int_equal(pthread_join(others, NULL), 0);
}

/* ---- the best path ---- */

/* The first messages are there before a connection can be, the later ones come over it, and all of
 * them in their order. */
static void test_path(void **state) {
  (void)state;
  torc_id to = id_of(2);
  torc_path *path = NULL;
  torc_token token = 0;
  assert_int_equal(torc_path_listen(r.peers[2], APP, true), 0);
  assert_int_equal(torc_path_listen(r.peers[2], APP, true), 0);
  assert_int_equal(torc_path_listen(r.peers[2], APP + 1, true), 0);
  assert_int_equal(torc_path_listen(r.peers[2], APP + 1, false), 0);
  assert_int_equal(torc_path_listen(r.peers[2], APP + 1, false), 0);
  assert_int_equal(torc_path_open(&path, r.peers[1], &to, APP), 0);
  assert_int_equal(torc_path_way_now(path), TORC_PATH_TUNNEL);
  char text[32];
  int sent = 0;
  for (; sent < 5; sent++) {
    snprintf(text, sizeof text, "m%d", sent);
    assert_int_equal(torc_path_send(path, torc_slice_str("d"), torc_slice_str(text), &token), 0);
  }
  int received = 0;
  bool was_direct = false;
  while (received < 40) {
    wanted w = {.peer = 2, .kind = TORC_EVENT_TUNNEL};
    await(&w);
    snprintf(text, sizeof text, "m%d", received);
    assert_string_equal(w.text, text);
    assert_string_equal(w.dialog, "d");
    assert_int_equal(w.got.application, APP);
    received++;
    was_direct = was_direct || torc_path_way_now(path) == TORC_PATH_DIRECT;
    if (sent < 40) {
      snprintf(text, sizeof text, "m%d", sent);
      assert_int_equal(torc_path_send(path, torc_slice_str("d"), torc_slice_str(text), &token), 0);
      sent++;
    }
  }
  wanted done = {.peer = 1, .kind = TORC_EVENT_DONE, .token = token};
  await(&done);
  assert_int_equal(done.got.done.rc, 0);
  assert_true(was_direct);
  assert_true(hr_counter(r.peers[1], "io_connection_bytes_out") > 0);
  torc_path_close(path);
  assert_true(hr_until(&r, is_empty, NULL, LIMIT_MS));
}

/* Where no connection can be had, each message is a TUNNEL, and its answer is told. */
static void test_path_without_connection(void **state) {
  (void)state;
  torc_id to = id_of(2);
  torc_path *path = NULL;
  torc_token token = 0;
  assert_int_equal(torc_node_listen(torc_peer_node(r.peers[2]), APP, true), 0);
  assert_int_equal(torc_path_open(&path, r.peers[1], &to, APP), 0);
  assert_int_equal(torc_path_send(path, torc_slice_str(""), torc_slice_str("x"), &token), 0);
  wanted done = {.peer = 1, .kind = TORC_EVENT_DONE, .token = token};
  await(&done);
  assert_int_equal(done.got.done.rc, 0);
  assert_int_equal(done.got.done.code, 200);
  assert_int_equal(torc_node_listen(torc_peer_node(r.peers[2]), APP, false), 0);
  assert_int_equal(torc_path_send(path, torc_slice_str(""), torc_slice_str("x"), &token), 0);
  done.token = token;
  await(&done);
  assert_int_equal(done.got.done.rc, TORC_ERR_REFUSED);
  assert_int_equal(done.got.done.code, 404);
  torc_path_close(path);
}

/* What the application answers is a TUNNEL of its own, in the same dialog; TUNNEL's own answer says
 * nothing of it. */
static void test_reply(void **state) {
  (void)state;
  torc_id to = id_of(2);
  torc_peer *a = r.peers[1];
  torc_peer *b = r.peers[2];
  torc_token token = 0;
  torc_token reply = 0;
  assert_int_equal(torc_node_listen(torc_peer_node(a), APP, true), 0);
  assert_int_equal(torc_node_listen(torc_peer_node(b), APP, true), 0);
  assert_int_equal(torc_node_tunnel(torc_peer_node(a), &to, 1, APP, torc_slice_str("d1/1"),
                                    torc_slice_str("are you there"), torc_peer_now(a), &token),
                   0);
  torc_peer_flush(a);
  wanted asked = {.peer = 2, .kind = TORC_EVENT_TUNNEL};
  await(&asked);
  assert_string_equal(asked.dialog, "d1/1");
  torc_id from = asked.got.peer;
  wanted done = {.peer = 1, .kind = TORC_EVENT_DONE, .token = token};
  await(&done); /* before anything was answered */
  assert_int_equal(done.got.done.code, 200);
  assert_int_equal(torc_node_tunnel(torc_peer_node(b), &from, 1, APP, torc_slice_str("d1/2"),
                                    torc_slice_str("yes"), torc_peer_now(b), &reply),
                   0);
  torc_peer_flush(b);
  wanted answered = {.peer = 1, .kind = TORC_EVENT_TUNNEL};
  await(&answered);
  assert_string_equal(answered.dialog, "d1/2");
  assert_string_equal(answered.text, "yes");
  assert_true(torc_id_eq(&answered.got.peer, &to));
}

static void test_path_limits(void **state) {
  static uint8_t bytes[TORC_PATH_MESSAGE_MAX + 1];
  (void)state;
  torc_id to = id_of(2);
  torc_path *path = NULL;
  torc_token token = 0;
  torc_slice none = torc_slice_of(NULL, 0);
  assert_int_equal(torc_path_open(&path, r.peers[1], &to, APP), 0);
  assert_int_equal(torc_path_send(path, none, torc_slice_of(bytes, sizeof bytes), &token),
                   TORC_ERR_LIMIT);
  assert_int_equal(
      torc_path_send(path, torc_slice_of(bytes, TORC_PATH_DIALOG_MAX + 1), none, &token),
      TORC_ERR_LIMIT);
  int rc = 0;
  size_t num = 0;
  while (rc == 0 && num <= TORC_PATH_WAITING_MAX) {
    rc = torc_path_send(path, none, torc_slice_of(bytes, TORC_PATH_MESSAGE_MAX), &token);
    num++;
  }
  assert_int_equal(rc, TORC_ERR_LIMIT);
  torc_path_close(path); /* with all that waits */
  torc_path *many[TORC_PATHS_MAX];
  for (size_t i = 0; i < TORC_ARRAY_LEN(many); i++) {
    assert_int_equal(torc_path_open(&many[i], r.peers[1], &to, APP), 0);
  }
  assert_int_equal(torc_path_open(&path, r.peers[1], &to, APP), TORC_ERR_LIMIT);
  for (size_t i = 0; i + 1 < TORC_ARRAY_LEN(many); i++) { /* the last one goes with its peer */
    torc_path_close(many[i]);
  }
}

int main(void) {
#define T(name, function) \
  { name, function, begin, end, NULL }
  const struct CMUnitTest all[] = {
      T("CON-01 GAP-82 bytes both ways, each side ends for itself", test_streams),
      T("CON-01 an end in good order, and a cut", test_ends),
      T("CON-01 bytes that are quicker than their reader", test_early_bytes),
      T("GAP-76 a connection that nobody takes", test_untaken),
      T("GAP-76 an answer, and no connection behind it", test_never_connects),
      T("GAP-76 no room for one more", test_no_room),
      T("CON-01 R-52 a user's peers, and a connection, in two calls", test_blocking),
      T("TUN-04 TUN-06 TUN-07 a reply is a message of its own", test_reply),
      T("GAP-85 TUN-01 TUN-04 TUN-08 TUN-09 tunnel now, direct when ready", test_path),
      T("GAP-85 TUN-06 no connection to be had", test_path_without_connection),
      T("GAP-85 limits of a path", test_path_limits),
  };
  return cmocka_run_group_tests(all, NULL, NULL);
}

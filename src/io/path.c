/* The best path between two applications: TUNNEL, and a connection once it stands [GAP-85]. How a
 * protocol that tunnels moves to a connection need not be its own affair [TUN-08] [TUN-09].
 * On the connection a message is
 *   u16 length, dialog_id, u32 length, message.
 * SPDX-License-Identifier: Apache-2.0 */
#include "torc/path.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cursor.h"
#include "base/id.h"
#include "base/log.h"
#include "base/slice.h"
#include "io/peer_impl.h"

#define FRAME_MAX (2u + TORC_PATH_DIALOG_MAX + 4u + TORC_PATH_MESSAGE_MAX)
#define READ_BYTES 16384u

/* Tokens of messages look like no other: the node's and the rings' stay below. */
#define TOKEN_PATH ((torc_token)1 << 61)

typedef struct path_message {
  torc_list all;
  torc_path *path;
  uv_write_t write;
  torc_token token;
  size_t dialog_len, len; /* len: of the frame */
  uint8_t frame[];
} path_message;

struct torc_path {
  torc_list all; /* peer->paths */
  torc_peer *p;
  torc_id to;
  uint16_t application;
  bool is_incoming, is_closed;
  torc_token connection; /* being made, or standing; 0: none */
  torc_time tried;
  uv_pipe_t pipe;
  bool has_pipe, is_pipe_closing;
  torc_buf in;
  torc_list waiting;        /* messages */
  path_message *tunnelling; /* one that has left the list; NULL: none */
  torc_token tunnelled;     /* its TUNNEL */
  size_t num, bytes;        /* of all that have not left for good */
};

static void pump(torc_path *path);

/* ---- the end ---- */

static void free_if_done(torc_path *path) {
  if (!path->is_closed || path->has_pipe) {
    return;
  }
  torc_list *node = NULL;
  while ((node = torc_list_pop_front(&path->waiting)) != NULL) {
    free(TORC_CONTAINER_OF(node, path_message, all));
  }
  free(path->tunnelling);
  torc_buf_clear(&path->in);
  free(path);
}

static void on_pipe_closed(uv_handle_t *h) {
  torc_path *path = h->data;
  path->has_pipe = false;
  path->is_pipe_closing = false;
  free_if_done(path);
}

static void close_pipe(torc_path *path) {
  if (path->has_pipe && !path->is_pipe_closing) {
    path->is_pipe_closing = true;
    uv_close((uv_handle_t *)&path->pipe, on_pipe_closed);
  }
}

void torc_path_close(torc_path *path) {
  if (path == NULL || path->is_closed) {
    return;
  }
  torc_peer *p = path->p;
  torc_token connection = path->connection;
  path->is_closed = true;
  path->connection = 0;
  torc_list_remove(&path->all);
  p->num_paths--;
  close_pipe(path);
  free_if_done(path);
  if (connection != 0) {
    torc_peer_connection_end(p, connection);
  }
}

/* ---- messages that come ---- */

/* 0: one was there. TORC_ERR_SHORT: not all of it. Else: no message. */
static int take_frame(torc_path *path) {
  torc_event e = {.kind = TORC_EVENT_TUNNEL, .peer = path->to, .application = path->application};
  torc_rd rd;
  torc_rd_init(&rd, torc_buf_slice(&path->in));
  uint16_t dialog_len = torc_rd_u16(&rd);
  e.dialog_id = torc_rd_slice(&rd, dialog_len);
  uint32_t len = torc_rd_u32(&rd);
  if (dialog_len > TORC_PATH_DIALOG_MAX || (rd.err == 0 && len > TORC_PATH_MESSAGE_MAX)) {
    return TORC_ERR_FORMAT;
  }
  e.pdu = torc_rd_slice(&rd, len);
  if (rd.err != 0) {
    return TORC_ERR_SHORT;
  }
  torc_peer_push(path->p, &e);
  torc_buf_consume(&path->in, 2u + dialog_len + 4u + len);
  return 0;
}

static void on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *buf) {
  torc_path *path = h->data;
  (void)suggested;
  *buf = uv_buf_init(path->p->path_buf, sizeof path->p->path_buf);
}

/* The other side's end, or rubbish, is the connection's: TUNNEL is still there. */
static void on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *buf) {
  torc_path *path = s->data;
  int rc = n < 0 ? TORC_ERR_CLOSED : 0;
  if (n == 0 || path->is_closed) {
    return;
  }
  if (rc == 0) {
    rc = torc_buf_append(&path->in, torc_slice_of((const uint8_t *)buf->base, (size_t)n));
  }
  while (rc == 0) {
    rc = take_frame(path);
  }
  if (rc != TORC_ERR_SHORT) {
    torc_peer_connection_end(path->p, path->connection);
    close_pipe(path);
  }
}

/* ---- messages that leave ---- */

static void tell(torc_path *path, const path_message *m, const torc_done *done) {
  torc_event e = {.kind = TORC_EVENT_DONE, .token = m->token, .done = *done};
  torc_peer_push(path->p, &e);
}

/* It is in no list. */
static void message_free(torc_path *path, path_message *m) {
  path->num--;
  path->bytes -= m->len;
  free(m);
}

static void on_written(uv_write_t *req, int status) {
  path_message *m = TORC_CONTAINER_OF(req, path_message, write);
  torc_path *path = m->path;
  if (!path->is_closed) {
    torc_done done = {.rc = status == 0 ? 0 : TORC_ERR_CLOSED, .responder = path->to};
    tell(path, m, &done);
  }
  message_free(path, m);
}

static void write_one(torc_path *path, path_message *m) {
  uv_buf_t buf = uv_buf_init((char *)m->frame, (unsigned)m->len);
  if (uv_write(&m->write, (uv_stream_t *)&path->pipe, &buf, 1, on_written) != 0) {
    torc_done done = {.rc = TORC_ERR_CLOSED, .responder = path->to};
    tell(path, m, &done);
    message_free(path, m);
  }
}

static bool is_direct(const torc_path *path) {
  return path->has_pipe && !path->is_pipe_closing;
}

/* One at a time, so that none overtakes another, and none is under way when the connection takes
 * over. */
static void tunnel_one(torc_path *path, path_message *m) {
  torc_slice dialog = torc_slice_of(m->frame + 2, m->dialog_len);
  size_t before = 2 + m->dialog_len + 4;
  torc_slice pdu = torc_slice_of(m->frame + before, m->len - before);
  int rc = torc_node_tunnel(path->p->node, &path->to, 1, path->application, dialog, pdu,
                            torc_peer_now(path->p), &path->tunnelled);
  if (rc != 0) {
    torc_done done = {.rc = rc, .responder = path->to};
    tell(path, m, &done);
    message_free(path, m);
    return;
  }
  path->tunnelling = m;
}

/* An attempt fails sooner or later; TUNNEL serves meanwhile. */
static void try_connect(torc_path *path) {
  torc_time now = torc_peer_now(path->p);
  if (path->connection != 0 || path->has_pipe || path->is_incoming ||
      (path->tried != 0 && now - path->tried < TORC_PATH_RETRY)) {
    return;
  }
  path->tried = now;
  if (torc_node_connect_application(path->p->node, &path->to, 1, path->application, now,
                                    &path->connection) != 0) {
    path->connection = 0;
  }
}

static void pump(torc_path *path) {
  torc_list *node = NULL;
  while (path->tunnelling == NULL && (node = torc_list_pop_front(&path->waiting)) != NULL) {
    path_message *m = TORC_CONTAINER_OF(node, path_message, all);
    if (is_direct(path)) {
      write_one(path, m);
    } else {
      tunnel_one(path, m);
    }
  }
}

int torc_path_send(torc_path *path, torc_slice dialog_id, torc_slice message, torc_token *token) {
  size_t len = 2 + dialog_id.len + 4 + message.len;
  if (dialog_id.len > TORC_PATH_DIALOG_MAX || message.len > TORC_PATH_MESSAGE_MAX ||
      path->num >= TORC_PATH_WAITING_MAX || path->bytes + len > TORC_PATH_WAITING_BYTES) {
    return TORC_ERR_LIMIT;
  }
  path_message *m = calloc(1, sizeof *m + len);
  if (m == NULL) {
    return TORC_ERR_NOMEM;
  }
  torc_wr wr;
  torc_wr_init(&wr, m->frame, len);
  torc_wr_u16(&wr, (uint16_t)dialog_id.len);
  torc_wr_bytes(&wr, dialog_id);
  torc_wr_u32(&wr, (uint32_t)message.len);
  torc_wr_bytes(&wr, message);
  path->p->last_path_token++;
  m->token = path->p->last_path_token | TOKEN_PATH;
  m->path = path;
  m->dialog_len = dialog_id.len;
  m->len = len;
  torc_list_push_back(&path->waiting, &m->all);
  path->num++;
  path->bytes += len;
  *token = m->token;
  try_connect(path);
  pump(path);
  torc_peer_flush(path->p);
  return 0;
}

torc_path_way torc_path_way_now(const torc_path *path) {
  return is_direct(path) ? TORC_PATH_DIRECT : TORC_PATH_TUNNEL;
}

/* ---- the beginning ---- */

static torc_path *path_new(torc_peer *p, const torc_id *to, uint16_t application) {
  torc_path *path = p->num_paths >= TORC_PATHS_MAX ? NULL : calloc(1, sizeof *path);
  if (path == NULL) {
    return NULL;
  }
  path->p = p;
  path->to = *to;
  path->application = application;
  torc_list_init(&path->waiting);
  torc_buf_init(&path->in, torc_mem_libc(), FRAME_MAX + READ_BYTES);
  torc_list_push_back(&p->paths, &path->all);
  p->num_paths++;
  return path;
}

int torc_path_open(torc_path **out, torc_peer *p, const torc_id *to, uint16_t application) {
  torc_path *path = path_new(p, to, application);
  if (path == NULL) {
    return TORC_ERR_LIMIT;
  }
  try_connect(path);
  torc_peer_flush(p);
  *out = path;
  return 0;
}

static bool listens(const torc_peer *p, uint16_t application) {
  for (size_t i = 0; i < p->num_path_listens; i++) {
    if (p->path_listens[i] == application) {
      return true;
    }
  }
  return false;
}

static int both(torc_peer *p, uint16_t application, bool on) {
  int rc = torc_node_listen_connections(p->node, application, on);
  if (rc == 0) {
    rc = torc_node_listen(p->node, application, on);
    if (rc != 0 && on) {
      (void)!torc_node_listen_connections(p->node, application, false);
    }
  }
  return rc;
}

int torc_path_listen(torc_peer *p, uint16_t application, bool on) {
  bool was_on = listens(p, application);
  if (on && !was_on && p->num_path_listens == TORC_ARRAY_LEN(p->path_listens)) {
    return TORC_ERR_LIMIT;
  }
  int rc = was_on == on ? 0 : both(p, application, on);
  if (rc != 0 || was_on == on) {
    return rc;
  }
  if (on) {
    p->path_listens[p->num_path_listens] = application;
    p->num_path_listens++;
    return 0;
  }
  p->num_path_listens--;
  for (size_t i = 0; i < p->num_path_listens; i++) {
    if (p->path_listens[i] == application) {
      p->path_listens[i] = p->path_listens[p->num_path_listens];
    }
  }
  return 0;
}

/* ---- events ---- */

static void take_connection(torc_path *path, torc_token token) {
  int fd = -1;
  int rc = torc_peer_connection_fd(path->p, token, &fd);
  path->connection = token;
  if (rc == 0 && uv_pipe_init(&path->p->loop, &path->pipe, 0) != 0) {
    (void)close(fd);
    rc = TORC_ERR_IO;
  }
  if (rc == 0) {
    path->has_pipe = true;
    path->pipe.data = path;
    if (uv_pipe_open(&path->pipe, fd) != 0) {
      (void)close(fd);
      rc = TORC_ERR_IO;
    } else if (uv_read_start((uv_stream_t *)&path->pipe, on_alloc, on_read) != 0) {
      rc = TORC_ERR_IO;
    }
  }
  if (rc != 0) {
    close_pipe(path);
    torc_peer_connection_cut(path->p, token);
    return;
  }
  TORC_LOG(path->p->log, TORC_LOG_DEBUG, "path:direct", TORC_F_ID("peer", &path->to));
  pump(path);
}

static void drop_connection(torc_path *path) {
  path->connection = 0;
  torc_buf_clear(&path->in);
  torc_buf_init(&path->in, torc_mem_libc(), FRAME_MAX + READ_BYTES);
  if (path->is_incoming) { /* nothing else is to be had of it */
    torc_path_close(path);
    return;
  }
  close_pipe(path);
  pump(path);
}

static bool on_connection(torc_peer *p, torc_path *path, const torc_event *e) {
  if (path == NULL && e->is_up && e->is_incoming && listens(p, e->application)) {
    path = path_new(p, &e->peer, e->application);
    if (path == NULL) {
      torc_peer_connection_cut(p, e->token);
      return true;
    }
    path->is_incoming = true;
  }
  if (path == NULL) {
    return false;
  }
  if (e->is_up) {
    take_connection(path, e->token);
  } else {
    drop_connection(path);
  }
  return true;
}

static void on_tunnelled(torc_path *path, const torc_event *e) {
  path_message *m = path->tunnelling;
  path->tunnelling = NULL;
  tell(path, m, &e->done);
  message_free(path, m);
  pump(path);
}

bool torc_paths_event(torc_peer *p, const torc_event *e) {
  torc_path *path = NULL;
  for (torc_list *node = p->paths.next; node != &p->paths && path == NULL; node = node->next) {
    torc_path *k = TORC_CONTAINER_OF(node, torc_path, all);
    bool is_its = e->kind == TORC_EVENT_CONNECTION ? k->connection == e->token
                  : e->kind == TORC_EVENT_DONE ? k->tunnelling != NULL && k->tunnelled == e->token
                                               : false;
    path = is_its && e->token != 0 ? k : NULL;
  }
  if (e->kind == TORC_EVENT_CONNECTION) {
    return on_connection(p, path, e);
  }
  if (path == NULL) {
    return false;
  }
  on_tunnelled(path, e);
  return true;
}

void torc_paths_clear(torc_peer *p) {
  torc_list *node = NULL;
  while ((node = torc_list_pop_front(&p->paths)) != NULL) {
    torc_list_init(node); /* closing takes it out once more */
    torc_path_close(TORC_CONTAINER_OF(node, torc_path, all));
  }
}

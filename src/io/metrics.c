/* SPDX-License-Identifier: Apache-2.0 */
#include "io/metrics.h"

#include <libwebsockets.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "base/slice.h"
#include "io/conf.h"
#include "io/err.h"
#include "io/late_lib.h"

#define KEEPALIVE_S 10
#define FD_LIMIT 256 /* of libwebsockets' own table; it would take the process's limit */
#define CLOSE_TURNS_MAX 1000

/* libwebsockets is opened with the port: a daemon without metrics never has it in memory. */
typedef struct lws_lib {
  __typeof__(lws_add_http_common_headers) *lws_add_http_common_headers;
  __typeof__(lws_finalize_write_http_header) *lws_finalize_write_http_header;
  __typeof__(lws_callback_on_writable) *lws_callback_on_writable;
  __typeof__(lws_return_http_status) *lws_return_http_status;
  __typeof__(lws_http_transaction_completed) *lws_http_transaction_completed;
  __typeof__(lws_write) *lws_write;
  __typeof__(lws_context_user) *lws_context_user;
  __typeof__(lws_get_context) *lws_get_context;
  __typeof__(lws_set_log_level) *lws_set_log_level;
  __typeof__(lws_create_context) *lws_create_context;
  __typeof__(lws_context_destroy) *lws_context_destroy;
} lws_lib;

#define SYMBOL(name) \
  { #name, offsetof(lws_lib, name) }
static const torc_late_symbol lws_symbols[] = {
    SYMBOL(lws_add_http_common_headers),
    SYMBOL(lws_finalize_write_http_header),
    SYMBOL(lws_callback_on_writable),
    SYMBOL(lws_return_http_status),
    SYMBOL(lws_http_transaction_completed),
    SYMBOL(lws_write),
    SYMBOL(lws_context_user),
    SYMBOL(lws_get_context),
    SYMBOL(lws_set_log_level),
    SYMBOL(lws_create_context),
    SYMBOL(lws_context_destroy),
};

static int open_library(lws_lib *lib, char *err, size_t err_cap) {
  return torc_late_lib_open(TORC_SONAME_LWS, lws_symbols, TORC_ARRAY_LEN(lws_symbols), lib, err,
                            err_cap);
}

/* libwebsockets 4.1 closes its listening socket twice when it ends on a loop that is not its own:
 * once at once, and once a turn later, when the number may belong to a link just accepted. So it
 * gets a loop of its own, which nobody else opens anything on, and the peer's loop watches that
 * one's descriptor and next deadline. */
struct torc_metrics {
  torc_metrics_config cfg;
  lws_lib lws;
  struct lws_context *context;
  uv_loop_t loop;   /* libwebsockets' */
  uv_loop_t *outer; /* the peer's */
  uv_poll_t watch;  /* of `loop` on `outer` */
  uv_timer_t wake;
  size_t num_outer; /* handles on `outer` */
  void *loops[1];
  char host[64];
  size_t num_open;
};

/* What one connection still has to send; memory of libwebsockets, zeroed by it. */
typedef struct session {
  unsigned char *body; /* with LWS_PRE bytes before it */
  size_t len;
} session;

static void drop_body(session *s) {
  free(s->body);
  s->body = NULL;
}

/* Makes the page with the room libwebsockets wants before what it sends. */
static int make_body(const torc_metrics *m, session *s) {
  char *text = NULL;
  size_t len = 0;
  int rc = torc_metrics_text(&m->cfg, &text, &len);
  if (rc != 0) {
    return rc;
  }
  drop_body(s);
  s->body = malloc(LWS_PRE + len);
  if (s->body != NULL) {
    memcpy(s->body + LWS_PRE, text, len);
    s->len = len;
  }
  free(text);
  return s->body == NULL ? TORC_ERR_NOMEM : 0;
}

static int send_head(struct lws *wsi, const torc_metrics *m, const session *s) {
  unsigned char head[LWS_PRE + 512];
  unsigned char *start = head + LWS_PRE;
  unsigned char *p = start;
  unsigned char *end = head + sizeof head - 1;
  if (m->lws.lws_add_http_common_headers(wsi, HTTP_STATUS_OK, "text/plain; version=0.0.4", s->len,
                                         &p, end) != 0 ||
      m->lws.lws_finalize_write_http_header(wsi, start, &p, end) != 0) {
    return -1;
  }
  return m->lws.lws_callback_on_writable(wsi) < 0 ? -1 : 0;
}

static int on_request(struct lws *wsi, const torc_metrics *m, session *s, const char *path) {
  if (strcmp(path, "/metrics") != 0 || make_body(m, s) != 0) {
    if (m->lws.lws_return_http_status(wsi, HTTP_STATUS_NOT_FOUND, NULL) != 0) {
      return -1;
    }
    return m->lws.lws_http_transaction_completed(wsi) != 0 ? -1 : 0;
  }
  return send_head(wsi, m, s);
}

static int on_writeable(struct lws *wsi, const torc_metrics *m, session *s) {
  if (s->body == NULL) {
    return 0;
  }
  int sent = m->lws.lws_write(wsi, s->body + LWS_PRE, s->len, LWS_WRITE_HTTP_FINAL);
  drop_body(s);
  if (sent < 0) {
    return -1;
  }
  return m->lws.lws_http_transaction_completed(wsi) != 0 ? -1 : 0;
}

static int on_http(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                   size_t len) {
  lws_lib lib; /* the way to `m` leads through the library, whose functions only `m` knows */
  if (open_library(&lib, NULL, 0) != 0) {
    return -1;
  }
  torc_metrics *m = lib.lws_context_user(lib.lws_get_context(wsi));
  (void)len;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wswitch-enum" /* over a hundred reasons; the rest is not for us \
                                                */
  switch (reason) {
    case LWS_CALLBACK_FILTER_NETWORK_CONNECTION:
      return m->num_open >= TORC_METRICS_CONNECTIONS_MAX ? 1 : 0;
    case LWS_CALLBACK_HTTP_BIND_PROTOCOL:
      m->num_open++;
      return 0;
    case LWS_CALLBACK_HTTP_DROP_PROTOCOL:
      if (m->num_open > 0) {
        m->num_open--;
      }
      return 0;
    case LWS_CALLBACK_HTTP:
      return on_request(wsi, m, user, in);
    case LWS_CALLBACK_HTTP_WRITEABLE:
      return on_writeable(wsi, m, user);
    case LWS_CALLBACK_CLOSED_HTTP:
      if (user != NULL) {
        drop_body(user);
      }
      return 0;
    default:
      return 0;
  }
#pragma GCC diagnostic pop
}

static const struct lws_protocols protocols[] = {
    {.name = "http", .callback = on_http, .per_session_data_size = sizeof(session)},
    {.name = NULL}};

/* libwebsockets keeps trying in silence where a port is taken, so that is found out before. */
static bool is_free(const char *host, uint16_t port) {
  struct sockaddr_storage address;
  int on = 1;
  bool is_v6 = strchr(host, ':') != NULL;
  int rc = is_v6 ? uv_ip6_addr(host, port, (struct sockaddr_in6 *)&address)
                 : uv_ip4_addr(host, port, (struct sockaddr_in *)&address);
  int fd = rc != 0 ? -1 : socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) {
    return false;
  }
  (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  socklen_t len = is_v6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
  bool ok = bind(fd, (struct sockaddr *)&address, len) == 0 && listen(fd, 1) == 0;
  (void)close(fd);
  return ok;
}

/* ---- one loop inside the other ---- */

static void on_wake(uv_timer_t *timer);

static void run_inner(torc_metrics *m) {
  (void)uv_run(&m->loop, UV_RUN_NOWAIT);
  int ms = uv_backend_timeout(&m->loop);
  if (ms < 0) {
    (void)uv_timer_stop(&m->wake);
  } else {
    (void)uv_timer_start(&m->wake, on_wake, (uint64_t)ms, 0);
  }
}

static void on_wake(uv_timer_t *timer) {
  run_inner(timer->data);
}

static void on_ready(uv_poll_t *watch, int status, int events) {
  (void)status;
  (void)events;
  run_inner(watch->data);
}

static int nest(torc_metrics *m) {
  int rc = uv_timer_init(m->outer, &m->wake);
  if (rc == 0) {
    m->num_outer++;
    m->wake.data = m;
    rc = uv_poll_init(m->outer, &m->watch, uv_backend_fd(&m->loop));
  }
  if (rc == 0) {
    m->num_outer++;
    m->watch.data = m;
    rc = uv_poll_start(&m->watch, UV_READABLE, on_ready);
  }
  if (rc == 0) {
    run_inner(m); /* only a turn makes the loop's descriptor know its sockets */
  }
  return rc == 0 ? 0 : TORC_ERR_IO;
}

static struct lws_context *make_context(torc_metrics *m, uint16_t port) {
  struct lws_context_creation_info info = {.port = port};
  m->lws.lws_set_log_level(0, NULL);
  m->loops[0] = &m->loop;
  info.iface = m->host;
  info.protocols = protocols;
  info.user = m;
  info.foreign_loops = m->loops;
  info.options = LWS_SERVER_OPTION_LIBUV | LWS_SERVER_OPTION_SKIP_SERVER_CANONICAL_NAME |
                 LWS_SERVER_OPTION_FAIL_UPON_UNABLE_TO_BIND;
  info.keepalive_timeout = KEEPALIVE_S;
  info.fd_limit_per_thread = FD_LIMIT;
  info.vhost_name = "torc";
  return m->lws.lws_create_context(&info);
}

int torc_metrics_open(torc_metrics **out, const torc_metrics_config *cfg, char *err,
                      size_t err_cap) {
  uint16_t port = 0;
  torc_metrics *m = calloc(1, sizeof *m);
  if (m == NULL || uv_loop_init(&m->loop) != 0) {
    free(m);
    return torc_fail(TORC_ERR_NOMEM, err, err_cap, "there is no memory for the metrics");
  }
  int rc = 0;
  m->cfg = *cfg;
  m->outer = torc_peer_loop(cfg->peer);
  if (torc_listen_parse(cfg->listen, m->host, sizeof m->host, &port) != 0 ||
      !torc_is_loopback(m->host) || port == 0) {
    rc = torc_fail(TORC_ERR_CONFIG, err, err_cap, "metrics need an address of this machine: %s",
                   cfg->listen);
  } else if (!is_free(m->host, port)) {
    rc = torc_fail(TORC_ERR_IO, err, err_cap, "cannot serve metrics on %s: the port is in use",
                   cfg->listen);
  } else {
    rc = open_library(&m->lws, err, err_cap);
    m->context = rc != 0 ? NULL : make_context(m, port);
    if (rc == 0 && (m->context == NULL || nest(m) != 0)) {
      rc = torc_fail(TORC_ERR_IO, err, err_cap,
                     "cannot serve metrics on %s: libwebsockets does not start; its package "
                     "libwebsockets-evlib-uv may be missing",
                     cfg->listen);
    }
  }
  if (rc != 0) {
    torc_metrics_close(m);
    return rc;
  }
  *out = m;
  return 0;
}

void torc_metrics_attach(torc_metrics *m, const torc_control *control) {
  if (m != NULL) {
    m->cfg.control = control;
  }
}

static void on_outer_closed(uv_handle_t *handle) {
  torc_metrics *m = handle->data;
  m->num_outer--;
}

void torc_metrics_close(torc_metrics *m) {
  if (m == NULL) {
    return;
  }
  if (m->num_outer > 0) {
    uv_close((uv_handle_t *)&m->wake, on_outer_closed);
  }
  if (m->num_outer > 1) {
    uv_close((uv_handle_t *)&m->watch, on_outer_closed);
  }
  while (m->num_outer > 0) {
    (void)uv_run(m->outer, UV_RUN_NOWAIT);
  }
  if (m->context != NULL) { /* the first call closes, the second frees what the loop has let go */
    m->lws.lws_context_destroy(m->context);
    int turns = 0;
    while (turns < CLOSE_TURNS_MAX && uv_run(&m->loop, UV_RUN_NOWAIT) != 0) {
      turns++;
    }
    m->lws.lws_context_destroy(m->context);
  }
  (void)uv_loop_close(&m->loop);
  free(m);
}

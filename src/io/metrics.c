/* SPDX-License-Identifier: Apache-2.0 */
#include "io/metrics.h"

#include <libwebsockets.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "io/conf.h"
#include "io/err.h"

#define KEEPALIVE_S 10
#define FD_LIMIT 256 /* of libwebsockets' own table; it would take the process's limit */
#define CLOSE_TURNS_MAX 1000

struct torc_metrics {
  torc_metrics_config cfg;
  struct lws_context *context;
  uv_loop_t *loop;
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

static int send_head(struct lws *wsi, const session *s) {
  unsigned char head[LWS_PRE + 512];
  unsigned char *start = head + LWS_PRE;
  unsigned char *p = start;
  unsigned char *end = head + sizeof head - 1;
  if (lws_add_http_common_headers(wsi, HTTP_STATUS_OK, "text/plain; version=0.0.4", s->len, &p,
                                  end) != 0 ||
      lws_finalize_write_http_header(wsi, start, &p, end) != 0) {
    return -1;
  }
  return lws_callback_on_writable(wsi) < 0 ? -1 : 0;
}

static int on_request(struct lws *wsi, const torc_metrics *m, session *s, const char *path) {
  if (strcmp(path, "/metrics") != 0 || make_body(m, s) != 0) {
    if (lws_return_http_status(wsi, HTTP_STATUS_NOT_FOUND, NULL) != 0) {
      return -1;
    }
    return lws_http_transaction_completed(wsi) != 0 ? -1 : 0;
  }
  return send_head(wsi, s);
}

static int on_writeable(struct lws *wsi, session *s) {
  if (s->body == NULL) {
    return 0;
  }
  int sent = lws_write(wsi, s->body + LWS_PRE, s->len, LWS_WRITE_HTTP_FINAL);
  drop_body(s);
  if (sent < 0) {
    return -1;
  }
  return lws_http_transaction_completed(wsi) != 0 ? -1 : 0;
}

static int on_http(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                   size_t len) {
  torc_metrics *m = lws_context_user(lws_get_context(wsi));
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
      return on_writeable(wsi, user);
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

int torc_metrics_open(torc_metrics **out, const torc_metrics_config *cfg, char *err,
                      size_t err_cap) {
  struct lws_context_creation_info info = {.port = 0};
  uint16_t port = 0;
  torc_metrics *m = calloc(1, sizeof *m);
  if (m == NULL) {
    return torc_fail(TORC_ERR_NOMEM, err, err_cap, "there is no memory for the metrics");
  }
  m->cfg = *cfg;
  m->loop = torc_peer_loop(cfg->peer);
  m->loops[0] = m->loop;
  if (torc_listen_parse(cfg->listen, m->host, sizeof m->host, &port) != 0 ||
      !torc_is_loopback(m->host) || port == 0) {
    free(m);
    return torc_fail(TORC_ERR_CONFIG, err, err_cap, "metrics need an address of this machine: %s",
                     cfg->listen);
  }
  lws_set_log_level(0, NULL);
  info.port = port;
  info.iface = m->host;
  info.protocols = protocols;
  info.user = m;
  info.foreign_loops = m->loops;
  info.options = LWS_SERVER_OPTION_LIBUV | LWS_SERVER_OPTION_SKIP_SERVER_CANONICAL_NAME |
                 LWS_SERVER_OPTION_FAIL_UPON_UNABLE_TO_BIND;
  info.keepalive_timeout = KEEPALIVE_S;
  info.fd_limit_per_thread = FD_LIMIT;
  info.vhost_name = "torc";
  m->context = lws_create_context(&info);
  if (m->context == NULL) {
    int rc = torc_fail(TORC_ERR_IO, err, err_cap,
                       "cannot serve metrics on %s: the port is in use, or the package "
                       "libwebsockets-evlib-uv is missing",
                       cfg->listen);
    free(m);
    return rc;
  }
  *out = m;
  return 0;
}

void torc_metrics_close(torc_metrics *m) {
  if (m == NULL) {
    return;
  }
  lws_context_destroy(m->context);
  for (int i = 0; i < CLOSE_TURNS_MAX && uv_run(m->loop, UV_RUN_NOWAIT) != 0; i++) {
    continue;
  }
  lws_context_destroy(m->context);
  free(m);
}

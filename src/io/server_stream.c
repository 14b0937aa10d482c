/* SPDX-License-Identifier: Apache-2.0 */
#include "io/server_stream.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/slice.h"
#include "io/err.h"

#define READ_BYTES 16384

struct torc_server_stream {
  uv_tcp_t tcp;
  uv_connect_t connect;
  torc_server_stream_events events;
  SSL *ssl; /* NULL: TCP alone */
  BIO *in;  /* of ssl, which owns it, as it does `out` */
  BIO *out;
  bool is_open, is_closing;
  uint8_t buf[READ_BYTES];
};

typedef struct write_req {
  uv_write_t req;
  uint8_t bytes[];
} write_req;

int torc_server_stream_tls_new(SSL_CTX **out, const char *ca_file, char *err, size_t err_cap) {
  SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
  if (ctx == NULL || SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) != 1) {
    SSL_CTX_free(ctx);
    return torc_fail(TORC_ERR_NOMEM, err, err_cap, "TLS cannot be set up");
  }
  SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
  int ok = ca_file != NULL ? SSL_CTX_load_verify_file(ctx, ca_file)
                           : SSL_CTX_set_default_verify_paths(ctx);
  ERR_clear_error();
  if (ok != 1) {
    SSL_CTX_free(ctx);
    return torc_fail(TORC_ERR_CONFIG, err, err_cap,
                     "%s holds no certificates that can be trusted: name a PEM file of CAs",
                     ca_file != NULL ? ca_file : "the machine");
  }
  *out = ctx;
  return 0;
}

/* ---- the end ---- */

static void on_closed(uv_handle_t *h) {
  torc_server_stream *s = h->data;
  torc_server_stream_events events = s->events;
  SSL_free(s->ssl);
  free(s);
  events.freed(events.ctx);
}

void torc_server_stream_close(torc_server_stream *s) {
  if (!s->is_closing) {
    s->is_closing = true;
    uv_close((uv_handle_t *)&s->tcp, on_closed);
  }
}

/* Tells the end, in words if it never stood; the owner closes it. */
static void end(torc_server_stream *s, int rc, const char *why) {
  if (s->is_closing) {
    return;
  }
  (void)uv_read_stop((uv_stream_t *)&s->tcp);
  if (s->is_open) {
    s->is_open = false;
    s->events.ended(s->events.ctx, s, rc);
  } else {
    s->events.opened(s->events.ctx, s, rc, why);
  }
}

/* ---- writing ---- */

static void on_written(uv_write_t *req, int status) {
  torc_server_stream *s = req->handle->data;
  free(TORC_CONTAINER_OF(req, write_req, req));
  if (status < 0 && status != UV_ECANCELED) {
    end(s, TORC_ERR_IO, uv_strerror(status));
  }
}

static int write_raw(torc_server_stream *s, const uint8_t *bytes, size_t len) {
  uv_buf_t buf = uv_buf_init((char *)(uintptr_t)bytes, (unsigned)len);
  int n = uv_stream_get_write_queue_size((uv_stream_t *)&s->tcp) > 0
              ? UV_EAGAIN
              : uv_try_write((uv_stream_t *)&s->tcp, &buf, 1);
  size_t done = n > 0 ? (size_t)n : 0;
  if (n < 0 && n != UV_EAGAIN) {
    return TORC_ERR_IO;
  }
  if (done == len) {
    return 0;
  }
  write_req *w = malloc(sizeof *w + len - done);
  if (w == NULL) {
    return TORC_ERR_NOMEM;
  }
  memcpy(w->bytes, bytes + done, len - done);
  buf = uv_buf_init((char *)w->bytes, (unsigned)(len - done));
  if (uv_write(&w->req, (uv_stream_t *)&s->tcp, &buf, 1, on_written) != 0) {
    free(w);
    return TORC_ERR_IO;
  }
  return 0;
}

/* What TLS has made. */
static int flush_tls(torc_server_stream *s) {
  char *bytes = NULL;
  long len = BIO_get_mem_data(s->out, &bytes);
  int rc = len > 0 ? write_raw(s, (const uint8_t *)bytes, (size_t)len) : 0;
  (void)BIO_reset(s->out);
  return rc;
}

int torc_server_stream_send(torc_server_stream *s, torc_slice bytes) {
  if (!s->is_open) {
    return TORC_ERR_STATE;
  }
  if (uv_stream_get_write_queue_size((uv_stream_t *)&s->tcp) + bytes.len >
      TORC_SERVER_STREAM_QUEUE) {
    return TORC_ERR_LIMIT;
  }
  if (s->ssl == NULL) {
    return write_raw(s, bytes.p, bytes.len);
  }
  if (SSL_write(s->ssl, bytes.p, (int)bytes.len) != (int)bytes.len) {
    ERR_clear_error();
    return TORC_ERR_CRYPTO;
  }
  return flush_tls(s);
}

/* ---- reading ---- */

static void explain(const torc_server_stream *s, char out[TORC_SERVER_STREAM_WHY_MAX]) {
  long verify = SSL_get_verify_result(s->ssl);
  unsigned long code = ERR_peek_last_error();
  const char *text =
      verify != X509_V_OK ? X509_verify_cert_error_string(verify) : ERR_reason_error_string(code);
  (void)snprintf(out, TORC_SERVER_STREAM_WHY_MAX, "%s: %s",
                 verify != X509_V_OK ? "its certificate is not trusted" : "TLS failure",
                 text != NULL ? text : "no reason given");
  ERR_clear_error();
}

/* True once it stands. */
static bool shake(torc_server_stream *s) {
  char why[TORC_SERVER_STREAM_WHY_MAX];
  int n = SSL_do_handshake(s->ssl);
  int error = n == 1 ? SSL_ERROR_NONE : SSL_get_error(s->ssl, n);
  int rc = flush_tls(s);
  if (error == SSL_ERROR_NONE && rc == 0) {
    s->is_open = true;
    s->events.opened(s->events.ctx, s, 0, "");
    return !s->is_closing && s->is_open;
  }
  if (rc != 0) {
    end(s, rc, "the connection broke");
  } else if (error != SSL_ERROR_WANT_READ) {
    explain(s, why);
    end(s, TORC_ERR_CRYPTO, why);
  }
  return false;
}

static void read_tls(torc_server_stream *s) {
  while (!s->is_closing && s->is_open) {
    uint8_t plain[READ_BYTES];
    int n = SSL_read(s->ssl, plain, (int)sizeof plain);
    if (n > 0) {
      s->events.data(s->events.ctx, s, torc_slice_of(plain, (size_t)n));
      continue;
    }
    int error = SSL_get_error(s->ssl, n);
    ERR_clear_error();
    if (error == SSL_ERROR_ZERO_RETURN) {
      end(s, TORC_ERR_CLOSED, "");
    } else if (error != SSL_ERROR_WANT_READ) {
      end(s, TORC_ERR_CRYPTO, "");
    }
    return;
  }
}

static void on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *buf) {
  torc_server_stream *s = h->data;
  (void)suggested;
  *buf = uv_buf_init((char *)s->buf, sizeof s->buf);
}

static void on_read(uv_stream_t *h, ssize_t nread, const uv_buf_t *buf) {
  torc_server_stream *s = h->data;
  if (nread == 0 || s->is_closing) {
    return;
  }
  if (nread < 0) {
    end(s, nread == UV_EOF ? TORC_ERR_CLOSED : TORC_ERR_IO, "closed by the server");
    return;
  }
  if (s->ssl == NULL) {
    s->events.data(s->events.ctx, s, torc_slice_of(buf->base, (size_t)nread));
    return;
  }
  if (BIO_write(s->in, buf->base, (int)nread) != (int)nread) {
    end(s, TORC_ERR_NOMEM, "no memory");
    return;
  }
  if (s->is_open || shake(s)) {
    read_tls(s);
  }
  if (!s->is_closing && s->is_open && flush_tls(s) != 0) {
    end(s, TORC_ERR_IO, "");
  }
}

/* ---- opening ---- */

static void on_connected(uv_connect_t *req, int status) {
  torc_server_stream *s = req->data;
  if (s->is_closing) {
    return;
  }
  if (status == 0) {
    (void)uv_tcp_nodelay(&s->tcp, 1);
    status = uv_read_start((uv_stream_t *)&s->tcp, on_alloc, on_read);
  }
  if (status < 0) {
    end(s, TORC_ERR_IO, uv_strerror(status));
  } else if (s->ssl == NULL) {
    s->is_open = true;
    s->events.opened(s->events.ctx, s, 0, "");
  } else {
    (void)shake(s);
  }
}

static int name_server(SSL *ssl, const char *host) {
  torc_sock literal;
  if (torc_sock_literal(host, 0, &literal) == 0) {
    return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host);
  }
  return SSL_set1_host(ssl, host) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1;
}

static int set_up_tls(torc_server_stream *s, SSL_CTX *tls, const char *host) {
  s->ssl = SSL_new(tls);
  s->in = BIO_new(BIO_s_mem());
  s->out = BIO_new(BIO_s_mem());
  if (s->ssl == NULL || s->in == NULL || s->out == NULL || name_server(s->ssl, host) != 1) {
    BIO_free(s->in);
    BIO_free(s->out);
    SSL_free(s->ssl);
    s->ssl = NULL;
    ERR_clear_error();
    return TORC_ERR_NOMEM;
  }
  SSL_set_bio(s->ssl, s->in, s->out);
  SSL_set_connect_state(s->ssl);
  return 0;
}

static void not_told(void *ctx) {
  (void)ctx; /* the caller has never had it */
}

int torc_server_stream_open(torc_server_stream **out, uv_loop_t *loop, const torc_sock *remote,
                            SSL_CTX *tls, const char *host,
                            const torc_server_stream_events *events) {
  torc_server_stream *s = calloc(1, sizeof *s);
  int rc = s == NULL ? TORC_ERR_NOMEM : 0;
  if (rc == 0 && tls != NULL) {
    rc = set_up_tls(s, tls, host);
  }
  if (rc == 0 && uv_tcp_init(loop, &s->tcp) != 0) {
    SSL_free(s->ssl);
    rc = TORC_ERR_IO;
  }
  if (rc != 0) {
    free(s);
    return rc;
  }
  s->tcp.data = s;
  s->connect.data = s;
  s->events = *events;
  if (uv_tcp_connect(&s->connect, &s->tcp, &remote->sa, on_connected) != 0) {
    s->events.freed = not_told;
    torc_server_stream_close(s);
    return TORC_ERR_IO;
  }
  *out = s;
  return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "authority/http/server.h"

#include <errno.h>
#include <netdb.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "authority/config.h"
#include "authority/http/server_impl.h"
#include "authority/registry_impl.h"
#include "base/slice.h"
#include "io/err.h"
#include "io/overlay_xml.h"

#define PEM_MAX (1u << 20) /* a chain */
#define BACKLOG 512

/* ---- what is served ---- */

/* What is served now; the first time there is nothing, which is sequence 0. */
static int served_document(const torc_http *h, torc_overlay *out, char *err, size_t err_cap) {
  const torc_http_document *d = &h->document; /* only this thread changes it */
  return d->text == NULL
             ? 0
             : torc_overlay_parse(out, (const char *)d->text, d->len, NULL, err, err_cap);
}

static int judge_document(const torc_http *h, const torc_enrol_terms *terms,
                          torc_http_document *out, char *err, size_t err_cap) {
  torc_overlay before = {.name = ""};
  torc_overlay o = {.name = ""};
  torc_config_rules rules = {.overlay = h->enrol->overlay,
                             .before = h->document.text == NULL ? NULL : &before,
                             .issuers = terms->issuers,
                             .num_issuers = terms->num_issuers,
                             .now = (torc_wall)time(NULL)};
  int rc = served_document(h, &before, err, err_cap);
  if (rc == 0) {
    rc = torc_config_judge(&rules, torc_slice_of(out->text, out->len), &o, err, err_cap);
  }
  out->expires_s = o.expiration_s;
  torc_overlay_clear(&before);
  torc_overlay_clear(&o);
  return rc;
}

static int load_document(const torc_http *h, const char *file, const torc_enrol_terms *terms,
                         torc_http_document *out, char *err, size_t err_cap) {
  uint8_t digest[TORC_SHA256_LEN];
  char why[500] = "";
  int rc = torc_file_read(file, TORC_OVERLAY_XML_MAX, &out->text, &out->len, err, err_cap);
  if (rc != 0) {
    return rc;
  }
  rc = judge_document(h, terms, out, why, sizeof why);
  if (rc == 0 && EVP_Digest(out->text, out->len, digest, NULL, EVP_sha256(), NULL) != 1) {
    rc = TORC_ERR_CRYPTO;
  }
  if (rc != 0) {
    torc_file_free(out->text, out->len);
    out->text = NULL;
    return torc_fail(rc, err, err_cap, "%s cannot be served: %s", file, why);
  }
  out->etag[0] = '"';
  torc_registry_hex(digest, sizeof digest, out->etag + 1);
  out->etag[1 + 2 * TORC_SHA256_LEN] = '"';
  out->etag[2 + 2 * TORC_SHA256_LEN] = '\0';
  return 0;
}

static void tls_clear(torc_http_tls *t) {
  torc_file_free(t->cert, t->cert_len);
  torc_file_free(t->key, t->key_len);
  *t = (torc_http_tls){.cert = NULL};
}

static int check_tls(const torc_http_tls *t) {
  EVP_PKEY *k = NULL;
  X509 *x = NULL;
  int rc = torc_ca_key_from_pem(torc_slice_of(t->key, t->key_len), &k);
  if (rc == 0) {
    rc = torc_ca_cert_from_pem(torc_slice_of(t->cert, t->cert_len), &x);
  }
  if (rc == 0 && X509_check_private_key(x, k) != 1) {
    rc = TORC_ERR_CRYPTO;
  }
  X509_free(x);
  EVP_PKEY_free(k);
  return rc;
}

static int load_tls(const torc_http_config *cfg, torc_http_tls *out, char *err, size_t err_cap) {
  int rc = torc_file_read(cfg->cert_file, PEM_MAX, &out->cert, &out->cert_len, err, err_cap);
  if (rc == 0) {
    rc = torc_file_read(cfg->key_file, PEM_MAX, &out->key, &out->key_len, err, err_cap);
  }
  if (rc == 0 && check_tls(out) != 0) {
    rc = torc_fail(TORC_ERR_CRYPTO, err, err_cap,
                   "%s and %s are no certificate and its private key in PEM", cfg->cert_file,
                   cfg->key_file);
  }
  if (rc != 0) {
    tls_clear(out);
  }
  return rc;
}

/* ---- sockets ---- */

/* "host:port" or "[v6]:port" in two; both at most `cap` with their NULs. */
static bool split_address(const char *text, char host[256], char port[8]) {
  const char *colon = strrchr(text, ':');
  if (colon == NULL || strlen(colon + 1) == 0 || strlen(colon + 1) > 5) {
    return false;
  }
  size_t len = (size_t)(colon - text);
  if (len > 2 && text[0] == '[' && text[len - 1] == ']') {
    text++;
    len -= 2;
  } else if (memchr(text, ':', len) != NULL) {
    return false;
  }
  if (len == 0 || len > 255) {
    return false;
  }
  memcpy(host, text, len);
  host[len] = '\0';
  memcpy(port, colon + 1, strlen(colon + 1) + 1);
  return true;
}

static int open_listener(const char *address, int *out, char *err, size_t err_cap) {
  char host[256];
  char port[8];
  struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                           .ai_flags = AI_PASSIVE | AI_NUMERICHOST | AI_NUMERICSERV};
  struct addrinfo *info = NULL;
  int one = 1;
  if (!split_address(address, host, port) || getaddrinfo(host, port, &hints, &info) != 0) {
    (void)torc_fail(TORC_ERR_CONFIG, err, err_cap,
                    "'%s' is no address to listen on; expected ADDRESS:PORT, for example "
                    "192.0.2.2:443 or [::]:443",
                    address);
    return TORC_ERR_CONFIG;
  }
  int fd = socket(info->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  bool ok = fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == 0;
  if (ok && info->ai_family == AF_INET6) {
    ok = setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one) == 0;
  }
  ok = ok && bind(fd, info->ai_addr, info->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0;
  freeaddrinfo(info);
  if (!ok) {
    int rc =
        torc_fail(TORC_ERR_IO, err, err_cap, "cannot listen on %s: %s", address, strerror(errno));
    if (fd >= 0) {
      (void)close(fd);
    }
    return rc;
  }
  *out = fd;
  return 0;
}

static int start_daemon(torc_http *h, torc_http_listener *l, const torc_http_tls *tls, char *err,
                        size_t err_cap) {
  struct MHD_OptionItem options[] = {{MHD_OPTION_HTTPS_MEM_CERT, 0, tls->cert},
                                     {MHD_OPTION_HTTPS_MEM_KEY, 0, tls->key},
                                     {MHD_OPTION_LISTEN_SOCKET, l->fd, NULL},
                                     {MHD_OPTION_NOTIFY_COMPLETED, (intptr_t)torc_http_done, h},

                                     {MHD_OPTION_END, 0, NULL}};
  l->daemon = MHD_start_daemon(MHD_USE_TLS | MHD_USE_POLL_INTERNAL_THREAD | MHD_USE_ITC, 0, NULL,
                               NULL, torc_http_handle, h, MHD_OPTION_ARRAY, options,
                               MHD_OPTION_THREAD_POOL_SIZE, h->threads, MHD_OPTION_CONNECTION_LIMIT,
                               (unsigned)TORC_HTTP_CONNECTIONS, MHD_OPTION_PER_IP_CONNECTION_LIMIT,
                               (unsigned)TORC_HTTP_PER_ADDRESS, MHD_OPTION_CONNECTION_TIMEOUT,
                               (unsigned)TORC_HTTP_TIMEOUT_S, MHD_OPTION_HTTPS_PRIORITIES,
                               "SECURE128:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2", MHD_OPTION_END);
  if (l->daemon == NULL) {
    return torc_fail(TORC_ERR_CRYPTO, err, err_cap,
                     "the HTTPS server does not start: check its certificate and key");
  }
  return 0;
}

/* MHD closes the socket it listens on unless it was made quiet before. With epoll it may not be
 * made quiet: of Debian 12's (0.9.75) two threads then take the socket out of the set, and the one
 * that comes second ends the process. */
static void stop_daemon(torc_http_listener *l) {
  if (l->daemon != NULL) {
    int kept = MHD_quiesce_daemon(l->daemon);
    MHD_stop_daemon(l->daemon);
    l->daemon = NULL;
    l->fd = kept >= 0 ? kept : l->fd;
  }
}

static int start_metrics(torc_http *h, const char *address, char *err, size_t err_cap) {
  int fd = -1;
  int rc = open_listener(address, &fd, err, err_cap);
  if (rc != 0) {
    return rc;
  }
  h->metrics = MHD_start_daemon(MHD_USE_POLL_INTERNAL_THREAD | MHD_USE_ITC, 0, NULL, NULL,
                                torc_http_handle_metrics, h, MHD_OPTION_LISTEN_SOCKET, fd,
                                MHD_OPTION_CONNECTION_LIMIT, 32u, MHD_OPTION_CONNECTION_TIMEOUT,
                                (unsigned)TORC_HTTP_TIMEOUT_S, MHD_OPTION_END);
  if (h->metrics == NULL) {
    (void)close(fd);
    return torc_fail(TORC_ERR_IO, err, err_cap, "the metrics on %s do not start", address);
  }
  h->metrics_fd = fd;
  return 0;
}

static int start_listeners(torc_http *h, const torc_http_config *cfg, char *err, size_t err_cap) {
  int rc = 0;
  for (size_t i = 0; rc == 0 && i < cfg->num_listen; i++) {
    torc_http_listener *l = &h->listeners[i];
    rc = open_listener(cfg->listen[i], &l->fd, err, err_cap);
    if (rc == 0) {
      h->num_listeners++;
      rc = start_daemon(h, l, &h->tls, err, err_cap);
    }
  }
  if (rc == 0 && cfg->metrics_listen != NULL) {
    rc = start_metrics(h, cfg->metrics_listen, err, err_cap);
  }
  return rc;
}

static int begin(torc_http *h, const torc_http_config *cfg, char *err, size_t err_cap) {
  if (RAND_bytes(h->secret, sizeof h->secret) != 1 || torc_nonces_new(&h->nonces) != 0 ||
      torc_limit_new(&h->requests, cfg->per_minute, cfg->burst) != 0 ||
      torc_limit_new(&h->challenged, cfg->per_minute, cfg->burst) != 0 ||
      torc_limit_new(&h->failures, cfg->failures_per_minute, cfg->failures_per_minute) != 0) {
    return torc_fail(TORC_ERR_NOMEM, err, err_cap, "no memory or no random numbers to start with");
  }
  h->threads = cfg->threads;
  h->allows_md5 = cfg->allows_md5;
  int rc = load_document(h, cfg->document_file, &h->enrol->terms, &h->document, err, err_cap);
  return rc == 0 ? load_tls(cfg, &h->tls, err, err_cap) : rc;
}

static int make(torc_http **out, const torc_http_config *cfg, char *err, size_t err_cap) {
  torc_http *h = calloc(1, sizeof *h);
  if (h == NULL || pthread_mutex_init(&h->lock, NULL) != 0) {
    free(h);
    (void)torc_fail(TORC_ERR_NOMEM, err, err_cap, "there is no memory");
    return TORC_ERR_NOMEM;
  }
  h->enrol = cfg->enrol;
  int rc = begin(h, cfg, err, err_cap);
  if (rc != 0) {
    torc_http_stop(h);
    return rc;
  }
  *out = h;
  return 0;
}

int torc_http_start(torc_http **out, const torc_http_config *cfg, char *err, size_t err_cap) {
  torc_http *h = NULL;
  int rc = make(&h, cfg, err, err_cap);
  if (rc == 0) {
    rc = start_listeners(h, cfg, err, err_cap);
  }
  if (rc != 0) {
    torc_http_stop(h);
    return rc;
  }
  *out = h;
  return 0;
}

int torc_http_check(const torc_http_config *cfg, char *err, size_t err_cap) {
  torc_http *h = NULL;
  int rc = make(&h, cfg, err, err_cap);
  torc_http_stop(h);
  return rc;
}

void torc_http_stop(torc_http *h) {
  if (h == NULL) {
    return;
  }
  for (size_t i = 0; i < h->num_listeners; i++) {
    stop_daemon(&h->listeners[i]);
    (void)close(h->listeners[i].fd);
  }
  if (h->metrics != NULL) {
    MHD_stop_daemon(h->metrics);
  }
  torc_limit_free(h->requests);
  torc_nonces_free(h->nonces);
  torc_limit_free(h->challenged);
  torc_limit_free(h->failures);
  torc_file_free(h->document.text, h->document.len);
  tls_clear(&h->tls);
  (void)pthread_mutex_destroy(&h->lock);
  OPENSSL_cleanse(h->secret, sizeof h->secret);
  free(h);
}

/* A daemon cannot change its certificate: each is followed by a new one on the same socket, on
 * which clients wait meanwhile. */
static int replace_daemons(torc_http *h, const torc_http_tls *tls, char *err, size_t err_cap) {
  int rc = 0;
  for (size_t i = 0; i < h->num_listeners; i++) {
    torc_http_listener *l = &h->listeners[i];
    stop_daemon(l);
    int one = start_daemon(h, l, tls, err, err_cap);
    rc = rc == 0 ? one : rc;
  }
  return rc;
}

/* Takes `fresh` if it is another; after a failure it is the caller's, else empty. */
static int replace_tls(torc_http *h, torc_http_tls *fresh, char *err, size_t err_cap) {
  const torc_http_tls *old = &h->tls;
  bool is_same = fresh->cert_len == old->cert_len && fresh->key_len == old->key_len &&
                 memcmp(fresh->cert, old->cert, old->cert_len) == 0 &&
                 CRYPTO_memcmp(fresh->key, old->key, old->key_len) == 0;
  if (!is_same) {
    int rc = replace_daemons(h, fresh, err, err_cap);
    if (rc != 0) {
      (void)replace_daemons(h, &h->tls, NULL, 0);
      return rc;
    }
    torc_http_tls swapped = h->tls;
    h->tls = *fresh;
    *fresh = swapped;
  }
  tls_clear(fresh);
  return 0;
}

/* Of what was read and is good; nothing fails any more. */
static void take_over(torc_http *h, const torc_http_config *cfg, const torc_enrol_terms *terms,
                      const torc_http_document *fresh) {
  (void)pthread_mutex_lock(&h->lock);
  torc_http_document old = h->document;
  h->document = *fresh;
  (void)pthread_mutex_unlock(&h->lock);
  torc_file_free(old.text, old.len);
  atomic_store(&h->allows_md5, cfg->allows_md5);
  torc_limit_set(h->requests, cfg->per_minute, cfg->burst);
  torc_limit_set(h->challenged, cfg->per_minute, cfg->burst);
  torc_limit_set(h->failures, cfg->failures_per_minute, cfg->failures_per_minute);
  torc_enrol_set_terms(h->enrol, terms);
}

int torc_http_reload(torc_http *h, const torc_http_config *cfg, const torc_enrol_terms *terms,
                     char *err, size_t err_cap) {
  torc_http_document fresh = {.text = NULL};
  torc_http_tls tls = {.cert = NULL};
  int rc = load_document(h, cfg->document_file, terms, &fresh, err, err_cap);
  if (rc == 0) {
    rc = load_tls(cfg, &tls, err, err_cap);
  }
  if (rc == 0) {
    rc = replace_tls(h, &tls, err, err_cap);
  }
  if (rc == 0) {
    take_over(h, cfg, terms, &fresh);
  } else {
    torc_file_free(fresh.text, fresh.len);
    tls_clear(&tls);
  }
  return rc;
}

static bool write_address(int fd, char *out, size_t cap) {
  struct sockaddr_storage a;
  socklen_t len = sizeof a;
  char host[NI_MAXHOST];
  char port[NI_MAXSERV];
  if (getsockname(fd, (struct sockaddr *)&a, &len) != 0 ||
      getnameinfo((struct sockaddr *)&a, len, host, sizeof host, port, sizeof port,
                  NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
    return false;
  }
  (void)snprintf(out, cap, strchr(host, ':') == NULL ? "%s:%s" : "[%s]:%s", host, port);
  return true;
}

bool torc_http_address(const torc_http *h, size_t i, char *out, size_t cap) {
  return i < h->num_listeners && write_address(h->listeners[i].fd, out, cap);
}

bool torc_http_metrics_address(const torc_http *h, char *out, size_t cap) {
  return h->metrics != NULL && write_address(h->metrics_fd, out, cap);
}

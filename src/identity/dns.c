/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unbound.h>
#include <unistd.h>

#include "base/slice.h"
#include "identity/lookup.h"
#include "io/err.h"
#include "io/late_lib.h"

#define CLASS_IN 1
#define RCODE_OK 0
#define RCODE_NO_NAME 3

#define FUNCTIONS(X)    \
  X(ub_ctx_create)      \
  X(ub_ctx_delete)      \
  X(ub_ctx_set_option)  \
  X(ub_ctx_set_fwd)     \
  X(ub_ctx_resolvconf)  \
  X(ub_ctx_hosts)       \
  X(ub_ctx_add_ta_file) \
  X(ub_ctx_async)       \
  X(ub_fd)              \
  X(ub_process)         \
  X(ub_resolve_async)   \
  X(ub_cancel) X(ub_resolve_free) X(ub_strerror)

typedef struct unbound_lib {
#define X(name) __typeof__(name) *(name);
  FUNCTIONS(X)
#undef X
} unbound_lib;

static const torc_late_symbol symbols[] = {
#define X(name) {#name, offsetof(unbound_lib, name)},
    FUNCTIONS(X)
#undef X
};

struct torc_dns {
  unbound_lib lib;
  struct ub_ctx *ctx;
  bool has_anchor;
};

typedef struct question {
  bool is_done;
  int failed; /* a number of libunbound */
  struct ub_result *result;
} question;

/* ---- opening ---- */

static int failed(const torc_dns *d, int code, const char *what, char *err, size_t err_cap) {
  return torc_fail(TORC_ERR_CONFIG, err, err_cap, "%s: %s", what, d->lib.ub_strerror(code));
}

static int configure(torc_dns *d, const torc_dns_config *cfg, char *err, size_t err_cap) {
  /* A resolver of this machine is as good as another. */
  int code = d->lib.ub_ctx_set_option(d->ctx, "do-not-query-localhost:", "no");
  code = code != 0 ? code : d->lib.ub_ctx_async(d->ctx, 1);
  if (code != 0) {
    return failed(d, code, "libunbound", err, err_cap);
  }
  if (cfg->trust_anchor != NULL) {
    code = access(cfg->trust_anchor, R_OK) != 0
               ? UB_READFILE
               : d->lib.ub_ctx_add_ta_file(d->ctx, cfg->trust_anchor);
    if (code != 0) {
      return failed(d, code, cfg->trust_anchor, err, err_cap);
    }
    d->has_anchor = true;
  }
  if (cfg->resolver != NULL) {
    code = d->lib.ub_ctx_set_fwd(d->ctx, cfg->resolver);
    return code == 0 ? 0 : failed(d, code, cfg->resolver, err, err_cap);
  }
  /* Without a file, libunbound asks the root servers itself. */
  (void)d->lib.ub_ctx_hosts(d->ctx, NULL);
  (void)d->lib.ub_ctx_resolvconf(d->ctx, NULL);
  return 0;
}

int torc_dns_open(torc_dns **out, const torc_dns_config *cfg, char *err, size_t err_cap) {
  torc_dns *d = calloc(1, sizeof *d);
  if (d == NULL) {
    return torc_fail(TORC_ERR_NOMEM, err, err_cap, "there is no memory");
  }
  int rc = torc_late_lib_open(TORC_SONAME_UNBOUND, symbols, TORC_ARRAY_LEN(symbols), &d->lib, err,
                              err_cap);
  if (rc == 0) {
    d->ctx = d->lib.ub_ctx_create();
    rc = d->ctx == NULL ? torc_fail(TORC_ERR_NOMEM, err, err_cap, "there is no memory")
                        : configure(d, cfg, err, err_cap);
  }
  if (rc != 0) {
    torc_dns_close(d);
    return rc;
  }
  *out = d;
  return 0;
}

void torc_dns_close(torc_dns *d) {
  if (d != NULL && d->ctx != NULL) {
    d->lib.ub_ctx_delete(d->ctx);
  }
  free(d);
}

/* ---- asking ---- */

static void on_result(void *ctx, int code, struct ub_result *result) {
  question *q = ctx;
  q->is_done = true;
  q->failed = code;
  q->result = result;
}

static uint64_t now_ms(void) {
  struct timespec t;
  (void)clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static int await(torc_dns *d, question *q, const char *name, char *err, size_t err_cap) {
  uint64_t end = now_ms() + TORC_LOOKUP_DNS_MS;
  while (!q->is_done) {
    uint64_t now = now_ms();
    struct pollfd p = {.fd = d->lib.ub_fd(d->ctx), .events = POLLIN};
    int n = now >= end ? 0 : poll(&p, 1, (int)(end - now));
    if (n < 0 && errno == EINTR) {
      continue;
    }
    int code = n <= 0 ? 0 : d->lib.ub_process(d->ctx);
    if (n <= 0 || code != 0) {
      return torc_fail(TORC_ERR_IO, err, err_cap, "the DNS gives no answer about %.200s%s%s", name,
                       n <= 0 ? " in time" : ": ", n <= 0 ? "" : d->lib.ub_strerror(code));
    }
  }
  if (q->failed != 0) {
    return torc_fail(TORC_ERR_IO, err, err_cap, "the DNS gives no answer about %.200s: %s", name,
                     d->lib.ub_strerror(q->failed));
  }
  return 0;
}

static int read_record(torc_lookup_type type, torc_slice data, torc_record *out) {
  torc_rd rd;
  memset(out, 0, sizeof *out);
  torc_rd_init(&rd, data);
  switch (type) {
    case TORC_LOOKUP_SRV:
      return torc_srv_read(data, &out->srv);
    case TORC_LOOKUP_PTR:
      return torc_dns_name_read(&rd, out->name);
    case TORC_LOOKUP_A:
      out->address.v4.sin_family = AF_INET;
      if (data.len != sizeof out->address.v4.sin_addr) {
        return TORC_ERR_FORMAT;
      }
      memcpy(&out->address.v4.sin_addr, data.p, data.len);
      return 0;
    case TORC_LOOKUP_AAAA:
      out->address.v6.sin6_family = AF_INET6;
      if (data.len != sizeof out->address.v6.sin6_addr) {
        return TORC_ERR_FORMAT;
      }
      memcpy(&out->address.v6.sin6_addr, data.p, data.len);
      return 0;
  }
  return TORC_ERR_FORMAT;
}

static int take(const torc_dns *d, const struct ub_result *r, torc_lookup_type type,
                torc_lookup *out, char *err, size_t err_cap) {
  if (r->bogus) {
    return torc_fail(TORC_ERR_IO, err, err_cap,
                     "the DNS answer about %.200s is not what the zone signed (DNSSEC): %.200s",
                     r->qname, r->why_bogus == NULL ? "no reason given" : r->why_bogus);
  }
  if (r->rcode != RCODE_OK && r->rcode != RCODE_NO_NAME) {
    return torc_fail(TORC_ERR_IO, err, err_cap,
                     "the DNS gives no answer about %.200s (code %d): is the resolver reachable?",
                     r->qname, r->rcode);
  }
  out->dnssec = !d->has_anchor ? TORC_DNSSEC_UNCHECKED
                : r->secure    ? TORC_DNSSEC_SECURE
                               : TORC_DNSSEC_INSECURE;
  out->is_no_name = r->nxdomain != 0;
  for (size_t i = 0; r->havedata && r->data[i] != NULL && out->num < TORC_LOOKUP_RECORDS_MAX; i++) {
    torc_slice data = torc_slice_of((const uint8_t *)r->data[i], (size_t)r->len[i]);
    if (read_record(type, data, &out->records[out->num]) == 0) {
      out->num++;
    }
  }
  return 0;
}

int torc_dns_ask(torc_dns *d, const char *name, torc_lookup_type type, torc_lookup *out, char *err,
                 size_t err_cap) {
  question q = {.result = NULL};
  int id = 0;
  memset(out, 0, sizeof *out);
  int code = d->lib.ub_resolve_async(d->ctx, name, (int)type, CLASS_IN, &q, on_result, &id);
  if (code != 0) {
    return torc_fail(TORC_ERR_IO, err, err_cap, "%.200s cannot be looked up: %s", name,
                     d->lib.ub_strerror(code));
  }
  int rc = await(d, &q, name, err, err_cap);
  if (!q.is_done) {
    (void)d->lib.ub_cancel(d->ctx, id);
  }
  rc = rc != 0 ? rc : take(d, q.result, type, out, err, err_cap);
  if (q.result != NULL) {
    d->lib.ub_resolve_free(q.result);
  }
  return rc;
}

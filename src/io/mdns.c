/* SPDX-License-Identifier: Apache-2.0 */
#include "io/mdns.h"

#include <avahi-common/error.h>
#include <avahi-common/simple-watch.h>
#include <avahi-core/core.h>
#include <avahi-core/log.h>
#include <avahi-core/lookup.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/slice.h"
#include "io/err.h"
#include "io/late_lib.h"

#define CORE_FUNCTIONS(X)        \
  X(avahi_server_config_init)    \
  X(avahi_server_config_free)    \
  X(avahi_server_new)            \
  X(avahi_server_free)           \
  X(avahi_s_record_browser_new)  \
  X(avahi_s_record_browser_free) \
  X(avahi_key_new) X(avahi_key_unref) X(avahi_server_errno) X(avahi_set_log_function)
#define COMMON_FUNCTIONS(X)    \
  X(avahi_simple_poll_new)     \
  X(avahi_simple_poll_free)    \
  X(avahi_simple_poll_get)     \
  X(avahi_simple_poll_iterate) \
  X(avahi_strerror)

#define X(name) __typeof__(name) *(name);
typedef struct core_lib {
  CORE_FUNCTIONS(X)
} core_lib;
typedef struct common_lib {
  COMMON_FUNCTIONS(X)
} common_lib;
#undef X

static const torc_late_symbol core_symbols[] = {
#define X(name) {#name, offsetof(core_lib, name)},
    CORE_FUNCTIONS(X)
#undef X
};
static const torc_late_symbol common_symbols[] = {
#define X(name) {#name, offsetof(common_lib, name)},
    COMMON_FUNCTIONS(X)
#undef X
};

typedef struct asking {
  core_lib core;
  common_lib common;
  torc_lookup_type type;
  torc_lookup *out;
  AvahiSimplePoll *poll;
  AvahiServer *server;
} asking;

static uint64_t now_ms(void) {
  struct timespec t;
  (void)clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* ---- records ---- */

static bool put_name(const char *name, char out[TORC_DNS_NAME_MAX]) {
  size_t len = name == NULL ? 0 : strlen(name);
  if (len > 0 && name[len - 1] == '.') {
    len--;
  }
  if (len == 0 || len >= TORC_DNS_NAME_MAX) {
    return false;
  }
  memcpy(out, name, len);
  out[len] = '\0';
  return true;
}

static bool read_record(const AvahiRecord *r, torc_lookup_type type, AvahiIfIndex interface,
                        torc_record *out) {
  memset(out, 0, sizeof *out);
  switch (type) {
    case TORC_LOOKUP_SRV:
      out->srv.priority = r->data.srv.priority;
      out->srv.weight = r->data.srv.weight;
      out->srv.port = r->data.srv.port;
      return put_name(r->data.srv.name, out->srv.target) && torc_host_valid(out->srv.target);
    case TORC_LOOKUP_PTR:
      return put_name(r->data.ptr.name, out->name);
    case TORC_LOOKUP_A:
      out->address.v4.sin_family = AF_INET;
      memcpy(&out->address.v4.sin_addr, &r->data.a.address, sizeof out->address.v4.sin_addr);
      return true;
    case TORC_LOOKUP_AAAA:
      out->address.v6.sin6_family = AF_INET6;
      memcpy(&out->address.v6.sin6_addr, &r->data.aaaa.address, sizeof out->address.v6.sin6_addr);
      out->address.v6.sin6_scope_id =
          IN6_IS_ADDR_LINKLOCAL(&out->address.v6.sin6_addr) ? (uint32_t)interface : 0;
      return true;
  }
  return false;
}

/* What is not of the record's type is zero in both. */
static bool is_same(const torc_record *a, const torc_record *b) {
  return strcmp(a->name, b->name) == 0 && strcmp(a->srv.target, b->srv.target) == 0 &&
         a->srv.priority == b->srv.priority && a->srv.weight == b->srv.weight &&
         a->srv.port == b->srv.port && torc_sock_eq(&a->address, &b->address);
}

/* The same comes over every interface and both protocols. */
static bool is_known(const torc_lookup *l, const torc_record *r) {
  for (size_t i = 0; i < l->num; i++) {
    if (is_same(&l->records[i], r)) {
      return true;
    }
  }
  return false;
}

static void on_record(AvahiSRecordBrowser *browser, AvahiIfIndex interface, AvahiProtocol protocol,
                      AvahiBrowserEvent event, AvahiRecord *record, AvahiLookupResultFlags flags,
                      void *ctx) {
  asking *a = ctx;
  torc_record r;
  (void)browser;
  (void)protocol;
  (void)flags;
  if (event == AVAHI_BROWSER_NEW && a->out->num < TORC_LOOKUP_RECORDS_MAX &&
      read_record(record, a->type, interface, &r) && !is_known(a->out, &r)) {
    a->out->records[a->out->num] = r;
    a->out->num++;
  }
}

/* ---- asking ---- */

static void on_state(AvahiServer *server, AvahiServerState state, void *ctx) {
  (void)server;
  (void)state;
  (void)ctx;
}

static void no_log(AvahiLogLevel level, const char *text) {
  (void)level;
  (void)text;
}

static int open_server(asking *a, char *err, size_t err_cap) {
  AvahiServerConfig cfg;
  int code = 0;
  a->core.avahi_set_log_function(no_log);
  a->poll = a->common.avahi_simple_poll_new();
  if (a->poll == NULL) {
    return torc_fail(TORC_ERR_NOMEM, err, err_cap, "there is no memory");
  }
  (void)a->core.avahi_server_config_init(&cfg);
  cfg.disable_publishing = 1;
  cfg.enable_wide_area = 0;
  a->server = a->core.avahi_server_new(a->common.avahi_simple_poll_get(a->poll), &cfg, on_state,
                                       NULL, &code);
  a->core.avahi_server_config_free(&cfg);
  return a->server != NULL
             ? 0
             : torc_fail(TORC_ERR_IO, err, err_cap, "multicast DNS cannot be used here: %s",
                         a->common.avahi_strerror(code));
}

static void await(asking *a) {
  uint64_t now = now_ms();
  uint64_t end = now + TORC_LOOKUP_MDNS_MS;
  size_t seen = 0;
  while (now < end && a->common.avahi_simple_poll_iterate(a->poll, (int)(end - now)) == 0) {
    now = now_ms();
    if (a->out->num > 0 && seen == 0 && end - now > TORC_LOOKUP_MDNS_MORE_MS) {
      end = now + TORC_LOOKUP_MDNS_MORE_MS;
    }
    seen = a->out->num;
  }
}

static int browse(asking *a, const char *name, char *err, size_t err_cap) {
  AvahiKey *key = a->core.avahi_key_new(name, AVAHI_DNS_CLASS_IN, (uint16_t)a->type);
  AvahiSRecordBrowser *browser = key == NULL ? NULL
                                             : a->core.avahi_s_record_browser_new(
                                                   a->server, AVAHI_IF_UNSPEC, AVAHI_PROTO_UNSPEC,
                                                   key, AVAHI_LOOKUP_USE_MULTICAST, on_record, a);
  int rc = 0;
  if (browser == NULL) {
    rc = torc_fail(TORC_ERR_IO, err, err_cap, "%.200s cannot be looked up: %s", name,
                   a->common.avahi_strerror(a->core.avahi_server_errno(a->server)));
  } else {
    await(a);
    a->core.avahi_s_record_browser_free(browser);
  }
  if (key != NULL) {
    a->core.avahi_key_unref(key);
  }
  return rc;
}

int torc_mdns_ask(const char *name, torc_lookup_type type, torc_lookup *out, char *err,
                  size_t err_cap) {
  asking a = {.type = type, .out = out};
  memset(out, 0, sizeof *out);
  int rc = torc_late_lib_open(TORC_SONAME_AVAHI_COMMON, common_symbols,
                              TORC_ARRAY_LEN(common_symbols), &a.common, err, err_cap);
  if (rc == 0) {
    rc = torc_late_lib_open(TORC_SONAME_AVAHI_CORE, core_symbols, TORC_ARRAY_LEN(core_symbols),
                            &a.core, err, err_cap);
  }
  rc = rc != 0 ? rc : open_server(&a, err, err_cap);
  rc = rc != 0 ? rc : browse(&a, name, err, err_cap);
  if (a.server != NULL) {
    a.core.avahi_server_free(a.server);
  }
  if (a.poll != NULL) {
    a.common.avahi_simple_poll_free(a.poll);
  }
  return rc;
}

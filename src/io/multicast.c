/* SPDX-License-Identifier: Apache-2.0 */
#include "io/multicast.h"

#include <assert.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32.h"
#include "base/id.h"
#include "base/log.h"
#include "base/slice.h"
#include "bootstrap/discover.h"
#include "io/pool.h"

#define ASK_AGAIN_MS 300u /* a datagram may be lost: each question goes out twice */
/* After the second question: the longest wait of an answer, and time to arrive and be checked. */
#define ASK_LISTEN_MS (TORC_DISCOVER_DELAY / 1000 + 400u)
#define READ_BYTES 2048u /* more than a datagram of ours has */
#define JOINED_IF_TEXT 80

static_assert(TORC_DISCOVER_SIGNATURE_MAX == TORC_SIGNATURE_MAX, "room for one signature");

typedef struct iface {
  char name[IF_NAMESIZE];
  unsigned index;
  torc_sock addr; /* the first usable one; port: where links are taken, 0: nowhere */
} iface;

typedef struct sock { /* one UDP socket */
  uv_udp_t udp;
  torc_multicast *m;
  struct ask *ask; /* NULL: listens at a group */
  iface on;
} sock;

typedef struct ask {
  torc_multicast *m;
  torc_token token;
  torc_sock group;
  uv_timer_t timer;
  bool is_over, is_second;
  uint64_t xids[2];
  size_t num_xids;
  sock *socks[TORC_MULTICAST_INTERFACES_MAX];
  size_t num_socks;
} ask;

typedef struct pending { /* an answer */
  sock *from;
  torc_sock to;
  uint64_t at_ms;
  size_t len;
  uint8_t bytes[TORC_DISCOVER_DATAGRAM_MAX];
} pending;

struct torc_multicast {
  torc_multicast_config cfg;
  torc_discover_self self;
  torc_discover_gate gate;
  torc_sock groups[TORC_MULTICAST_GROUPS_MAX];
  size_t num_groups;
  iface ifaces[2 * TORC_MULTICAST_INTERFACES_MAX]; /* those that `listeners` were made for */
  size_t num_ifaces;
  bool has_failed; /* a listener could not be opened: tried again */
  sock *listeners[2 * TORC_MULTICAST_INTERFACES_MAX * TORC_MULTICAST_GROUPS_MAX];
  size_t num_listeners;
  ask *asks[TORC_MULTICAST_ASKS_MAX];
  size_t num_asks;
  pending pending[TORC_MULTICAST_PENDING_MAX];
  size_t num_pending;
  uv_timer_t timer; /* of the earliest pending answer */
  size_t num_handles;
  bool is_shutting;
  uint8_t read_buf[READ_BYTES];
  torc_multicast_stats stats;
};

/* ---- what the messages are made with ---- */

static void run_job(void *ctx, const torc_job *job, uint8_t *sig, torc_job_result *out) {
  torc_multicast *m = ctx;
  torc_job_run(m->cfg.pki, NULL, job, sig, out);
}

static void release_cert(void *ctx, torc_cert *cert) {
  (void)ctx;
  torc_cert_free(cert);
}

static int random_u64(torc_multicast *m, uint64_t *out) {
  const torc_crypto *c = torc_pki_crypto(m->cfg.pki);
  return c->random(c->ctx, (uint8_t *)out, sizeof *out);
}

/* The certificate may have been renewed. */
static const torc_discover_self *self_of(torc_multicast *m) {
  m->self.cert = torc_pki_own_cert(m->cfg.pki);
  m->self.id = m->self.cert->peers[0];
  m->self.algorithm = torc_pki_signature_algorithm(m->cfg.pki);
  return &m->self;
}

static torc_time now_of(void) {
  return uv_hrtime() / 1000;
}

/* ---- interfaces ---- */

static bool has_iface(const iface *list, size_t num, const iface *i) {
  for (size_t k = 0; k < num; k++) {
    if (list[k].index == i->index && list[k].addr.sa.sa_family == i->addr.sa.sa_family) {
      return true;
    }
  }
  return false;
}

/* Whether links are taken at this address, or nowhere: then one may ask everywhere. */
static bool read_iface(const torc_multicast *m, const uv_interface_address_t *from, iface *out) {
  memset(out, 0, sizeof *out);
  memcpy(&out->addr, &from->address, sizeof from->address);
  torc_sock_set_port(&out->addr, 1);
  if ((out->addr.sa.sa_family != AF_INET && out->addr.sa.sa_family != AF_INET6) ||
      !torc_sock_is_usable(&out->addr)) {
    return false;
  }
  (void)snprintf(out->name, sizeof out->name, "%s", from->name);
  out->index = if_nametoindex(out->name);
  uint16_t port = torc_net_port_at(m->cfg.net, &out->addr);
  torc_sock_set_port(&out->addr, port);
  return out->index != 0 && (port != 0 || torc_net_num_listeners(m->cfg.net) == 0);
}

/* Of each interface one address of the family, loopback as well: a peer of this machine may be
 * there and nowhere else. */
static size_t list_ifaces(const torc_multicast *m, int family, iface *out) {
  uv_interface_address_t *list = NULL;
  int count = 0;
  size_t num = 0;
  if (uv_interface_addresses(&list, &count) != 0) {
    return 0;
  }
  for (int i = 0; i < count && num < TORC_MULTICAST_INTERFACES_MAX; i++) {
    iface one;
    if (read_iface(m, &list[i], &one) && one.addr.sa.sa_family == family &&
        !has_iface(out, num, &one)) {
      out[num] = one;
      num++;
    }
  }
  uv_free_interface_addresses(list, count);
  return num;
}

/* ---- sockets ---- */

static void on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *buf) {
  sock *s = h->data;
  (void)suggested;
  *buf = uv_buf_init((char *)s->m->read_buf, READ_BYTES);
}

static void on_datagram(uv_udp_t *udp, ssize_t len, const uv_buf_t *buf,
                        const struct sockaddr *sender, unsigned flags);

static void on_sock_closed(uv_handle_t *h) {
  sock *s = h->data;
  s->m->num_handles--;
  free(s);
}

static void sock_close(sock *s) {
  s->ask = NULL;
  uv_close((uv_handle_t *)&s->udp, on_sock_closed);
}

static sock *sock_new(torc_multicast *m, const iface *on) {
  sock *s = calloc(1, sizeof *s);
  if (s == NULL) {
    return NULL;
  }
  s->m = m;
  s->on = *on;
  if (uv_udp_init(m->cfg.loop, &s->udp) != 0) {
    free(s);
    return NULL;
  }
  m->num_handles++;
  s->udp.data = s;
  return s;
}

/* The interface as libuv wants it named: IPv4 by address, IPv6 by zone. */
static void if_text(const iface *on, char out[JOINED_IF_TEXT]) {
  char host[TORC_SOCK_TEXT];
  torc_sock_host(&on->addr, host);
  if (on->addr.sa.sa_family == AF_INET6) {
    (void)snprintf(out, JOINED_IF_TEXT, "::%%%s", on->name);
  } else {
    (void)snprintf(out, JOINED_IF_TEXT, "%s", host);
  }
}

static torc_sock scoped(const torc_sock *group, const iface *on) {
  torc_sock a = *group;
  if (a.sa.sa_family == AF_INET6) {
    a.v6.sin6_scope_id = on->index;
  }
  return a;
}

/* Only what came in by its own interface, whatever other sockets of this machine have joined. */
static void only_own_memberships(sock *s, int family) {
  int off = 0;
  uv_os_fd_t fd = -1;
  if (uv_fileno((uv_handle_t *)&s->udp, &fd) != 0) {
    return;
  }
#ifdef IP_MULTICAST_ALL
  if (family == AF_INET) { /* without it an answer may go out twice, which is harmless */
    (void)setsockopt(fd, IPPROTO_IP, IP_MULTICAST_ALL, &off, sizeof off);
  }
#endif
#ifdef IPV6_MULTICAST_ALL
  if (family == AF_INET6) {
    (void)setsockopt(fd, IPPROTO_IPV6, IPV6_MULTICAST_ALL, &off, sizeof off);
  }
#endif
  (void)family;
  (void)off;
}

/* Bound to the group itself: what is sent to this host directly does not come in, from afar least
 * of all. Answers go out with TTL 1 as well: nobody beyond this link can be made to receive one. */
static int listen_at(sock *s, const torc_sock *group) {
  char name[JOINED_IF_TEXT];
  char host[TORC_SOCK_TEXT];
  int family = group->sa.sa_family;
  torc_sock at = scoped(group, &s->on);
  if_text(&s->on, name);
  torc_sock_host(group, host);
  int uv = uv_udp_bind(&s->udp, &at.sa,
                       UV_UDP_REUSEADDR | (family == AF_INET6 ? (unsigned)UV_UDP_IPV6ONLY : 0u));
  if (uv == 0) {
    only_own_memberships(s, family);
    uv = uv_udp_set_membership(&s->udp, host, name, UV_JOIN_GROUP);
  }
  if (uv == 0) {
    uv = uv_udp_set_ttl(&s->udp, TORC_DISCOVER_TTL);
  }
  return uv != 0 ? uv : uv_udp_recv_start(&s->udp, on_alloc, on_datagram);
}

/* [GAP-69] TTL 1; peers on this machine hear it too. Bound to an address others can dial, so that
 * the answer comes from one such. */
static int ready_to_ask(sock *s) {
  char name[JOINED_IF_TEXT];
  torc_sock at = s->on.addr;
  if_text(&s->on, name);
  torc_sock_set_port(&at, 0);
  int uv = uv_udp_bind(&s->udp, &at.sa, 0);
  uv = uv != 0 ? uv : uv_udp_set_multicast_interface(&s->udp, name);
  uv = uv != 0 ? uv : uv_udp_set_multicast_ttl(&s->udp, TORC_DISCOVER_TTL);
  uv = uv != 0 ? uv : uv_udp_set_multicast_loop(&s->udp, 1);
  return uv != 0 ? uv : uv_udp_recv_start(&s->udp, on_alloc, on_datagram);
}

static void log_failure(torc_multicast *m, const char *what, const torc_sock *group,
                        const iface *on, int uv) {
  char text[TORC_SOCK_TEXT];
  torc_sock_text(group, text);
  m->stats.multicast_failures++;
  TORC_LOG(m->cfg.log, TORC_LOG_WARN, "io:multicast_failed", TORC_F_STR("what", what),
           TORC_F_STR("group", text), TORC_F_STR("interface", on->name),
           TORC_F_STR("why", uv_strerror(uv)));
}

/* ---- listening ---- */

static void drop_pending(torc_multicast *m, size_t i) {
  m->num_pending--;
  m->pending[i] = m->pending[m->num_pending];
}

static void close_listeners(torc_multicast *m) {
  m->num_pending = 0; /* they would leave by these sockets */
  for (size_t i = 0; i < m->num_listeners; i++) {
    sock_close(m->listeners[i]);
  }
  m->num_listeners = 0;
  m->has_failed = false;
}

static void open_listener(torc_multicast *m, const torc_sock *group, const iface *on) {
  sock *s = sock_new(m, on);
  int uv = s == NULL ? UV_ENOMEM : listen_at(s, group);
  if (uv != 0) {
    m->has_failed = true;
    log_failure(m, "listen", group, on, uv);
    if (s != NULL) {
      sock_close(s);
    }
    return;
  }
  m->listeners[m->num_listeners] = s;
  m->num_listeners++;
  char text[TORC_SOCK_TEXT];
  torc_sock_text(group, text);
  TORC_LOG(m->cfg.log, TORC_LOG_INFO, "io:multicast_listens", TORC_F_STR("group", text),
           TORC_F_STR("interface", on->name));
}

/* [ENR-24] */
static void open_listeners(torc_multicast *m) {
  for (size_t g = 0; g < m->num_groups; g++) {
    for (size_t i = 0; i < m->num_ifaces; i++) {
      const iface *on = &m->ifaces[i];
      if (on->addr.sa.sa_family == m->groups[g].sa.sa_family && torc_sock_port(&on->addr) != 0) {
        open_listener(m, &m->groups[g], on);
      }
    }
  }
}

static size_t all_ifaces(const torc_multicast *m, iface *out) {
  size_t num = list_ifaces(m, AF_INET, out);
  return num + list_ifaces(m, AF_INET6, out + num);
}

static bool is_same_ifaces(const torc_multicast *m, const iface *now, size_t num) {
  for (size_t i = 0; i < num && num == m->num_ifaces; i++) {
    if (now[i].index != m->ifaces[i].index || !torc_sock_eq(&now[i].addr, &m->ifaces[i].addr)) {
      return false;
    }
  }
  return num == m->num_ifaces;
}

static bool is_same_groups(const torc_multicast *m, const torc_sock *fresh, size_t num) {
  for (size_t i = 0; i < num && num == m->num_groups; i++) {
    if (!torc_sock_eq(&fresh[i], &m->groups[i])) {
      return false;
    }
  }
  return num == m->num_groups;
}

void torc_multicast_refresh(torc_multicast *m) {
  iface now[2 * TORC_MULTICAST_INTERFACES_MAX];
  if (m->num_groups == 0 || m->is_shutting) {
    return;
  }
  memset(now, 0, sizeof now);
  size_t num = all_ifaces(m, now);
  if (!m->has_failed && is_same_ifaces(m, now, num)) {
    return;
  }
  close_listeners(m);
  memcpy(m->ifaces, now, sizeof now);
  m->num_ifaces = num;
  open_listeners(m);
}

void torc_multicast_set_overlay(torc_multicast *m, const char *name) {
  m->self.overlay = torc_overlay_crc(torc_slice_str(name));
}

void torc_multicast_set_groups(torc_multicast *m, const torc_endpoint *groups, size_t num) {
  torc_sock fresh[TORC_MULTICAST_GROUPS_MAX];
  size_t num_fresh = 0;
  memset(fresh, 0, sizeof fresh);
  for (size_t i = 0; i < num && num_fresh < TORC_MULTICAST_GROUPS_MAX; i++) {
    if (torc_sock_literal(groups[i].host, groups[i].port, &fresh[num_fresh]) == 0) {
      num_fresh++;
    }
  }
  if (is_same_groups(m, fresh, num_fresh)) {
    return;
  }
  close_listeners(m);
  memcpy(m->groups, fresh, sizeof fresh);
  m->num_groups = num_fresh;
  m->num_ifaces = 0;
  memset(m->ifaces, 0, sizeof m->ifaces);
  torc_multicast_refresh(m);
}

/* ---- answers that wait ---- */

static void arm(torc_multicast *m);

static void on_due(uv_timer_t *t) {
  torc_multicast *m = t->data;
  uint64_t now = uv_now(m->cfg.loop);
  for (size_t i = m->num_pending; i > 0; i--) {
    pending *a = &m->pending[i - 1];
    if (a->at_ms > now) {
      continue;
    }
    uv_buf_t buf = uv_buf_init((char *)a->bytes, (unsigned)a->len);
    if (uv_udp_try_send(&a->from->udp, &buf, 1, &a->to.sa) >= 0) {
      m->stats.multicast_answered++;
    } else {
      m->stats.multicast_failures++;
    }
    drop_pending(m, i - 1);
  }
  arm(m);
}

static void arm(torc_multicast *m) {
  uint64_t at = UINT64_MAX;
  for (size_t i = 0; i < m->num_pending; i++) {
    at = m->pending[i].at_ms < at ? m->pending[i].at_ms : at;
  }
  uint64_t now = uv_now(m->cfg.loop);
  if (at == UINT64_MAX) {
    (void)uv_timer_stop(&m->timer);
  } else {
    (void)uv_timer_start(&m->timer, on_due, at > now ? at - now : 0, 0);
  }
}

/* [BST-07] [GAP-69] The asker has shown that it belongs to the overlay. */
static void answer(torc_multicast *m, sock *s, const torc_discover_msg *msg, const torc_id *asker,
                   const torc_sock *to) {
  uint64_t random[2];
  torc_wr wr;
  pending *a = &m->pending[m->num_pending];
  if (m->num_pending == TORC_MULTICAST_PENDING_MAX) {
    m->stats.multicast_rate_limited++;
    return;
  }
  if (random_u64(m, &random[0]) != 0 || random_u64(m, &random[1]) != 0) {
    m->stats.multicast_failures++;
    return;
  }
  torc_wr_init(&wr, a->bytes, sizeof a->bytes);
  int rc =
      torc_discover_answer_put(&wr, self_of(m), msg, asker, random[0], torc_sock_port(&s->on.addr));
  if (rc != 0) {
    m->stats.multicast_too_long += rc == TORC_ERR_LIMIT;
    m->stats.multicast_failures += rc != TORC_ERR_LIMIT;
    return;
  }
  a->len = wr.len;
  a->from = s;
  a->to = *to;
  a->at_ms = uv_now(m->cfg.loop) + random[1] % (TORC_DISCOVER_DELAY / 1000 + 1);
  m->num_pending++;
  arm(m);
}

/* ---- datagrams ---- */

static bool is_asked(const ask *a, uint64_t xid) {
  for (size_t i = 0; a != NULL && i < a->num_xids; i++) {
    if (a->xids[i] == xid) {
      return true;
    }
  }
  return false;
}

/* The dear part, as often as the gate lets. */
static bool is_genuine(torc_multicast *m, const torc_discover_msg *msg, const torc_sock *from,
                       torc_id *signer) {
  uint8_t site[18];
  torc_sock_wire(from, site);
  if (from->sa.sa_family == AF_INET6) {
    memset(site + 8, 0, 8); /* its network: one host has all of it */
  }
  if (torc_discover_admit(&m->gate, site, now_of()) != TORC_DISCOVER_PASS) {
    m->stats.multicast_rate_limited++;
    return false;
  }
  int rc = torc_discover_verify(self_of(m), msg, m->cfg.wall(), signer);
  if (rc == TORC_ERR_EXISTS) {
    m->stats.multicast_own++;
  } else if (rc != 0) {
    m->stats.multicast_refused++;
  }
  return rc == 0;
}

static void on_question(torc_multicast *m, sock *s, const torc_discover_msg *msg,
                        const torc_sock *from) {
  torc_id asker;
  m->stats.multicast_questions++;
  if (!m->cfg.may_answer(m->cfg.ctx)) { /* [GAP-59] no way into the ring */
    m->stats.multicast_not_joined++;
    return;
  }
  if (torc_discover_is_seen(&m->gate, msg->xid)) { /* a copy costs nothing */
    m->stats.multicast_repeated++;
    return;
  }
  if (!is_genuine(m, msg, from, &asker)) {
    return;
  }
  switch (torc_discover_may_answer(&m->gate, msg->xid, now_of())) {
    case TORC_DISCOVER_PASS:
      answer(m, s, msg, &asker, from);
      break;
    case TORC_DISCOVER_REPEATED:
      m->stats.multicast_repeated++;
      break;
    case TORC_DISCOVER_BUSY:
      m->stats.multicast_rate_limited++;
      break;
  }
}

/* The address is where it came from, the port what was said, or the one it came from. */
static void on_answer(torc_multicast *m, const sock *s, const torc_discover_msg *msg,
                      const torc_sock *from) {
  torc_endpoint at;
  torc_sock there = *from;
  char host[TORC_SOCK_TEXT];
  memset(&at, 0, sizeof at);
  if (!is_asked(s->ask, msg->xid)) {
    m->stats.multicast_not_asked++;
    return;
  }
  if (!is_genuine(m, msg, from, &at.peer)) {
    return;
  }
  if (msg->port != 0) {
    torc_sock_set_port(&there, msg->port);
  }
  m->stats.multicast_answers++;
  torc_sock_host(&there, host);
  memcpy(at.host, host, strlen(host) + 1);
  at.port = torc_sock_port(&there);
  m->cfg.heard(m->cfg.ctx, &at);
  m->cfg.turn(m->cfg.ctx);
}

static void count_fault(torc_multicast *m, int rc) {
  if (rc == TORC_ERR_DENIED) {
    m->stats.multicast_other_overlay++;
  } else if (rc == TORC_ERR_EXISTS) {
    m->stats.multicast_own++;
  } else if (rc == TORC_ERR_CRYPTO) {
    m->stats.multicast_refused++;
  } else {
    m->stats.multicast_bad_format++;
  }
}

static void on_datagram(uv_udp_t *udp, ssize_t len, const uv_buf_t *buf,
                        const struct sockaddr *sender, unsigned flags) {
  sock *s = udp->data;
  torc_multicast *m = s->m;
  torc_discover_msg msg;
  torc_sock from;
  if (len < 0 || sender == NULL) { /* an error of the socket, or nothing more to read */
    m->stats.multicast_failures += len < 0;
    return;
  }
  m->stats.multicast_datagrams++;
  memset(&from, 0, sizeof from);
  if (sender->sa_family == AF_INET6) {
    memcpy(&from.v6, sender, sizeof from.v6);
  } else {
    memcpy(&from.v4, sender, sizeof from.v4);
  }
  torc_sock_normalise(&from);
  if ((flags & UV_UDP_PARTIAL) != 0 || !torc_sock_is_usable(&from)) {
    m->stats.multicast_bad_source++;
    return;
  }
  int rc =
      torc_discover_read(self_of(m), torc_slice_of((const uint8_t *)buf->base, (size_t)len), &msg);
  if (rc != 0) {
    count_fault(m, rc);
  } else if (!msg.is_answer && s->ask == NULL) {
    on_question(m, s, &msg, &from);
  } else if (msg.is_answer && s->ask != NULL) {
    on_answer(m, s, &msg, &from);
  } else { /* an answer at the group, a question at a port of ours */
    m->stats.multicast_not_asked++;
  }
}

/* ---- asking ---- */

static void on_ask_closed(uv_handle_t *h) {
  ask *a = h->data;
  a->m->num_handles--;
  free(a);
}

static void ask_close(ask *a) {
  torc_multicast *m = a->m;
  for (size_t i = 0; i < a->num_socks; i++) {
    sock_close(a->socks[i]);
  }
  a->num_socks = 0;
  for (size_t i = 0; i < m->num_asks; i++) {
    if (m->asks[i] == a) {
      m->num_asks--;
      m->asks[i] = m->asks[m->num_asks];
      break;
    }
  }
  uv_close((uv_handle_t *)&a->timer, on_ask_closed);
}

/* Each time a new transaction: who has answered the first one does not answer a copy of it. */
static void send_question(ask *a) {
  torc_multicast *m = a->m;
  uint8_t bytes[TORC_DISCOVER_DATAGRAM_MAX];
  uint64_t xid = 0;
  torc_wr wr;
  torc_wr_init(&wr, bytes, sizeof bytes);
  int rc = random_u64(m, &xid);
  rc = rc != 0 ? rc : torc_discover_ask_put(&wr, self_of(m), xid);
  if (rc != 0) {
    m->stats.multicast_too_long += rc == TORC_ERR_LIMIT;
    m->stats.multicast_failures += rc != TORC_ERR_LIMIT;
    return;
  }
  a->xids[a->num_xids] = xid;
  a->num_xids++;
  for (size_t i = 0; i < a->num_socks; i++) {
    torc_sock to = scoped(&a->group, &a->socks[i]->on);
    uv_buf_t buf = uv_buf_init((char *)bytes, (unsigned)wr.len);
    int sent = uv_udp_try_send(&a->socks[i]->udp, &buf, 1, &to.sa);
    if (sent >= 0) {
      m->stats.multicast_asks++;
    } else {
      log_failure(m, "ask", &a->group, &a->socks[i]->on, sent);
    }
  }
}

static void on_ask_timer(uv_timer_t *t) {
  ask *a = t->data;
  torc_multicast *m = a->m;
  if (!a->is_second && a->num_xids > 0) {
    a->is_second = true;
    send_question(a);
    (void)uv_timer_start(&a->timer, on_ask_timer, ASK_LISTEN_MS, 0);
    return;
  }
  torc_token token = a->token;
  ask_close(a);
  m->cfg.over(m->cfg.ctx, token);
  m->cfg.turn(m->cfg.ctx);
}

static void open_ask_sockets(ask *a) {
  iface on[TORC_MULTICAST_INTERFACES_MAX];
  size_t num = list_ifaces(a->m, a->group.sa.sa_family, on);
  for (size_t i = 0; i < num; i++) {
    sock *s = sock_new(a->m, &on[i]);
    int uv = s == NULL ? UV_ENOMEM : ready_to_ask(s);
    if (uv == 0) {
      s->ask = a;
      a->socks[a->num_socks] = s;
      a->num_socks++;
      continue;
    }
    log_failure(a->m, "ask", &a->group, &on[i], uv);
    if (s != NULL) {
      sock_close(s);
    }
  }
}

/* Without memory nothing is asked, and the node's own limit ends the OPEN. */
void torc_multicast_ask(torc_multicast *m, torc_token token, const torc_endpoint *group) {
  torc_sock to;
  if (m->is_shutting || m->num_asks == TORC_MULTICAST_ASKS_MAX ||
      torc_sock_literal(group->host, group->port, &to) != 0) {
    m->stats.multicast_failures++;
    return;
  }
  ask *a = calloc(1, sizeof *a);
  if (a == NULL) {
    m->stats.multicast_failures++;
    return;
  }
  a->m = m;
  a->token = token;
  a->group = to;
  (void)uv_timer_init(m->cfg.loop, &a->timer); /* cannot fail */
  m->num_handles++;
  a->timer.data = a;
  m->asks[m->num_asks] = a;
  m->num_asks++;
  open_ask_sockets(a);
  if (a->num_socks > 0) {
    send_question(a);
  }
  uv_update_time(m->cfg.loop);
  (void)uv_timer_start(&a->timer, on_ask_timer, a->num_xids > 0 ? ASK_AGAIN_MS : 0, 0);
}

/* ---- life ---- */

int torc_multicast_new(torc_multicast **out, const torc_multicast_config *cfg) {
  torc_multicast *m = calloc(1, sizeof *m);
  if (m == NULL) {
    return TORC_ERR_NOMEM;
  }
  m->cfg = *cfg;
  m->self.ctx = m;
  m->self.run = run_job;
  m->self.release = release_cert;
  (void)uv_timer_init(cfg->loop, &m->timer);
  m->num_handles++;
  m->timer.data = m;
  *out = m;
  return 0;
}

static void on_timer_closed(uv_handle_t *h) {
  torc_multicast *m = h->data;
  m->num_handles--;
}

void torc_multicast_shutdown(torc_multicast *m) {
  if (m->is_shutting) {
    return;
  }
  m->is_shutting = true;
  close_listeners(m);
  while (m->num_asks > 0) {
    ask_close(m->asks[0]);
  }
  uv_close((uv_handle_t *)&m->timer, on_timer_closed);
}

bool torc_multicast_is_shut(const torc_multicast *m) {
  return m->is_shutting && m->num_handles == 0;
}

void torc_multicast_free(torc_multicast *m) {
  free(m);
}

size_t torc_multicast_num_listeners(const torc_multicast *m) {
  return m->num_listeners;
}

void torc_multicast_counters(const torc_multicast *m, void *ctx,
                             void (*each)(void *ctx, const char *name, uint64_t value)) {
#define X(name) each(ctx, "io_" #name, m->stats.name);
  TORC_MULTICAST_STATS(X)
#undef X
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "interop/ice_ends.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <nice/agent.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/slice.h"
#include "ice/ice.h"
#include "ice/stun_tx.h"
#include "io/addr.h"
#include "io/stun_crypto.h"

#define SOCKETS 48
#define FRAME_MAX 2048u

typedef enum sock_kind { UDP, LISTENER, CONNECTING, STREAM } sock_kind;

typedef struct sock {
  int fd; /* -1: closed */
  sock_kind kind;
  torc_addr local, remote;
  torc_token token;
  uint8_t in[FRAME_MAX];
  size_t num_in;
} sock;

struct ice_end {
  ice_end_config cfg;
  ice_end_state state;
  /* ours */
  torc_stun_openssl *ssl;
  torc_ice *ice;
  torc_ice_id id;
  sock socks[SOCKETS];
  size_t num_socks;
  torc_ice_pair_info pair;
  /* libnice */
  NiceAgent *agent;
  guint stream;
  bool is_gathered;
};

static void die(const char *what) {
  (void)fprintf(stderr, "ice_ends: %s\n", what);
  exit(1);
}

uint64_t ice_end_now_us(void) {
  struct timespec t;
  (void)clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000u;
}

/* ---- addresses ---- */

static torc_addr to_addr(const torc_sock *s) {
  torc_addr out = {.family = s->sa.sa_family == AF_INET ? 1 : 2, .port = torc_sock_port(s)};
  if (out.family == 1) {
    memcpy(out.addr, &s->v4.sin_addr, 4);
  } else {
    memcpy(out.addr, &s->v6.sin6_addr, 16);
  }
  return out;
}

static socklen_t to_sock(const torc_addr *a, torc_sock *out) {
  memset(out, 0, sizeof *out);
  if (a->family == 1) {
    out->v4.sin_family = AF_INET;
    out->v4.sin_port = htons(a->port);
    memcpy(&out->v4.sin_addr, a->addr, 4);
    return sizeof out->v4;
  }
  out->v6.sin6_family = AF_INET6;
  out->v6.sin6_port = htons(a->port);
  memcpy(&out->v6.sin6_addr, a->addr, 16);
  return sizeof out->v6;
}

static torc_addr own_addr(int fd) {
  torc_sock s;
  socklen_t len = sizeof s;
  if (getsockname(fd, &s.sa, &len) != 0) {
    die("getsockname");
  }
  return to_addr(&s);
}

/* ---- our sockets ---- */

static sock *sock_new(ice_end *e, sock_kind kind, int fd) {
  sock *s = &e->socks[e->num_socks];
  if (fd < 0 || e->num_socks == SOCKETS || fcntl(fd, F_SETFL, O_NONBLOCK) != 0) {
    die("no socket");
  }
  memset(s, 0, sizeof *s);
  s->fd = fd;
  s->kind = kind;
  e->num_socks++;
  return s;
}

static torc_ice_socket id_of(const ice_end *e, const sock *s) {
  return (torc_ice_socket)(s - e->socks) + 1;
}

static int bound(const char *address, int type) {
  torc_sock own;
  torc_addr a;
  int fd;
  if (torc_sock_literal(address, 0, &own) != 0) {
    die("no address");
  }
  a = to_addr(&own);
  fd = socket(own.sa.sa_family, type, 0);
  if (fd < 0 || bind(fd, &own.sa, to_sock(&a, &own)) != 0) {
    die("cannot bind");
  }
  return fd;
}

static void no_delay(int fd) {
  int yes = 1;
  (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
}

static void put(ice_end *e, torc_ice_socket id, const torc_addr *remote, torc_slice bytes) {
  sock *s = &e->socks[id - 1];
  torc_sock to;
  socklen_t len = to_sock(remote, &to);
  if (s->fd < 0) {
    return;
  }
  e->state.num_sent++;
  if (s->kind == UDP) {
    (void)sendto(s->fd, bytes.p, bytes.len, 0, &to.sa, len);
    return;
  }
  {
    uint8_t frame[FRAME_MAX];
    frame[0] = (uint8_t)(bytes.len >> 8);
    frame[1] = (uint8_t)bytes.len;
    memcpy(frame + 2, bytes.p, bytes.len);
    if (send(s->fd, frame, bytes.len + 2, MSG_NOSIGNAL) != (ssize_t)(bytes.len + 2)) {
      die("a frame does not fit");
    }
  }
}

static void connect_tcp(ice_end *e, const torc_ice_output *out) {
  torc_sock to;
  socklen_t len = to_sock(&out->remote, &to);
  sock *s = sock_new(e, CONNECTING, bound(e->cfg.address, SOCK_STREAM));
  s->remote = out->remote;
  s->token = out->token;
  no_delay(s->fd);
  if (connect(s->fd, &to.sa, len) != 0 && errno != EINPROGRESS) {
    (void)close(s->fd);
    s->fd = -1;
    torc_ice_tcp_connected(e->ice, s->token, TORC_ERR_IO, 0, NULL, ice_end_now_us());
  }
}

static void close_tcp(ice_end *e, const torc_ice_output *out) {
  for (size_t i = 0; i < e->num_socks; i++) {
    sock *s = &e->socks[i];
    bool is_it = out->socket != 0 ? id_of(e, s) == out->socket
                                  : s->kind == CONNECTING && s->token == out->token;
    if (s->fd >= 0 && is_it) {
      (void)close(s->fd);
      s->fd = -1;
    }
  }
}

static void drain(ice_end *e) {
  torc_ice_output out;
  while (torc_ice_poll(e->ice, &out)) {
    switch (out.kind) {
      case TORC_ICE_OUT_SEND:
        put(e, out.socket, &out.remote, out.bytes);
        break;
      case TORC_ICE_OUT_CONNECT_TCP:
        connect_tcp(e, &out);
        break;
      case TORC_ICE_OUT_CLOSE_TCP:
        close_tcp(e, &out);
        break;
      case TORC_ICE_OUT_SELECTED:
        e->pair = out.pair;
        e->state.is_selected = true;
        e->state.is_tcp = out.pair.transport == TORC_CAND_TCP;
        e->state.selected_us = ice_end_now_us();
        {
          char text[TORC_ADDR_TEXT_MAX];
          (void)snprintf(e->state.pair, sizeof e->state.pair, "%s %u",
                         torc_addr_format(&out.remote, text), (unsigned)out.remote.port);
        }
        break;
      case TORC_ICE_OUT_FAILED:
      case TORC_ICE_OUT_CONSENT_LOST:
        e->state.is_failed = true;
        break;
      case TORC_ICE_OUT_RESOLVE:
      default:
        break;
    }
  }
}

/* One datagram or frame. */
static void take(ice_end *e, const sock *s, const torc_addr *from, torc_slice bytes) {
  torc_ice_from f = {
      .socket = id_of(e, s), .local = s->local, .remote = *from, .is_tcp = s->kind == STREAM};
  if (bytes.len != 0 && bytes.p[0] <= 3) {
    (void)!torc_ice_input(e->ice, &f, bytes, ice_end_now_us());
  } else {
    size_t n = bytes.len < sizeof e->state.received ? bytes.len : sizeof e->state.received - 1;
    memcpy(e->state.received, bytes.p, n);
    e->state.received[n] = '\0';
  }
  drain(e);
}

static void read_udp(ice_end *e, sock *s) {
  uint8_t in[FRAME_MAX];
  torc_sock from;
  socklen_t len = sizeof from;
  ssize_t num;
  while ((num = recvfrom(s->fd, in, sizeof in, 0, &from.sa, &len)) >= 0) {
    torc_addr a = to_addr(&from);
    take(e, s, &a, torc_slice_of(in, (size_t)num));
    len = sizeof from;
  }
}

static void read_stream(ice_end *e, sock *s) {
  ssize_t num = recv(s->fd, s->in + s->num_in, sizeof s->in - s->num_in, 0);
  if (num == 0 || (num < 0 && errno != EAGAIN)) {
    (void)close(s->fd);
    s->fd = -1;
    torc_ice_socket_closed(e->ice, id_of(e, s), ice_end_now_us());
    drain(e);
    return;
  }
  s->num_in += num > 0 ? (size_t)num : 0;
  while (s->fd >= 0 && s->num_in >= 2) {
    size_t len = (size_t)s->in[0] << 8 | s->in[1];
    uint8_t frame[FRAME_MAX];
    if (len + 2 > sizeof s->in) {
      die("a frame is too long");
    }
    if (s->num_in < len + 2) {
      return;
    }
    memcpy(frame, s->in + 2, len);
    s->num_in -= len + 2;
    memmove(s->in, s->in + 2 + len, s->num_in);
    take(e, s, &s->remote, torc_slice_of(frame, len));
  }
}

static void accept_stream(ice_end *e, const sock *listener) {
  torc_sock from;
  socklen_t len = sizeof from;
  int fd = accept(listener->fd, &from.sa, &len);
  if (fd >= 0) {
    sock *s = sock_new(e, STREAM, fd);
    s->local = listener->local;
    s->remote = to_addr(&from);
    no_delay(fd);
  }
}

static void finish_connect(ice_end *e, sock *s) {
  int err = 0;
  socklen_t len = sizeof err;
  (void)getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &err, &len);
  s->kind = STREAM;
  s->local = own_addr(s->fd);
  if (err != 0) {
    (void)close(s->fd);
    s->fd = -1;
  }
  torc_ice_tcp_connected(e->ice, s->token, err == 0 ? 0 : TORC_ERR_REFUSED,
                         err == 0 ? id_of(e, s) : 0, &s->local, ice_end_now_us());
  drain(e);
}

static void step_torc(ice_end *e) {
  for (size_t i = 0; i < e->num_socks; i++) {
    sock *s = &e->socks[i];
    struct pollfd p = {.fd = s->fd, .events = s->kind == CONNECTING ? POLLOUT : POLLIN};
    if (s->fd < 0 || poll(&p, 1, 0) <= 0) {
      continue;
    }
    switch (s->kind) {
      case UDP:
        read_udp(e, s);
        break;
      case LISTENER:
        accept_stream(e, s);
        break;
      case CONNECTING:
        finish_connect(e, s);
        break;
      case STREAM:
      default:
        read_stream(e, s);
        break;
    }
  }
  if (torc_ice_deadline(e->ice) <= ice_end_now_us()) {
    torc_ice_tick(e->ice, ice_end_now_us());
  }
  drain(e);
}

/* How the STUN server sees a UDP socket; waits for it. */
static torc_addr mapped_of(const ice_end *e, const sock *s) {
  torc_addr mapped = {0};
  uint8_t room[TORC_STUN_REQUEST_ROOM];
  torc_stun_tx tx;
  torc_stun_output out;
  torc_sock server;
  torc_stun_request req = {.method = TORC_STUN_BINDING, .rc = 4, .rm = 2};
  bool is_done = false;
  if (torc_sock_literal(e->cfg.stun_server, (uint16_t)strtoul(e->cfg.stun_port, NULL, 10),
                        &server) != 0) {
    die("no address of a STUN server");
  }
  req.path.remote = to_addr(&server);
  if (torc_stun_tx_start(&tx, torc_stun_openssl_table(e->ssl), &req, room, sizeof room,
                         ice_end_now_us()) != 0) {
    die("no STUN");
  }
  while (!is_done) {
    struct pollfd p = {.fd = s->fd, .events = POLLIN};
    uint8_t in[FRAME_MAX];
    torc_stun_msg m;
    ssize_t num;
    while (torc_stun_tx_poll(&tx, &out)) {
      if (out.kind == TORC_STUN_OUT_SEND) {
        (void)sendto(s->fd, out.bytes.p, out.bytes.len, 0, &server.sa,
                     to_sock(&req.path.remote, &server));
      } else {
        is_done = true; /* nobody answered */
      }
    }
    (void)poll(&p, 1, 20);
    num = recv(s->fd, in, sizeof in, 0);
    if (num > 0 && torc_stun_decode(&m, torc_slice_of(in, (size_t)num)) == 0) {
      (void)!torc_stun_tx_input(&tx, &req.path, &m, ice_end_now_us());
      while (!is_done && torc_stun_tx_poll(&tx, &out)) {
        is_done = out.kind == TORC_STUN_OUT_DONE;
        if (is_done && out.result.rc == 0) {
          (void)!torc_stun_get_addr(&out.result.msg, TORC_STUN_KNOWN_XOR_MAPPED_ADDRESS, &mapped);
        }
      }
    }
    torc_stun_tx_tick(&tx, ice_end_now_us());
  }
  return mapped;
}

static void open_torc(ice_end *e) {
  torc_ice_local locals[4];
  size_t num = 0;
  torc_ice_config cfg = {.allows_loopback = true, .limit = TORC_SEC(6)};
  if (torc_stun_openssl_new(&e->ssl) != 0) {
    die("no crypto");
  }
  cfg.crypto = torc_stun_openssl_table(e->ssl);
  memset(locals, 0, sizeof locals);
  if (e->cfg.has_udp) {
    sock *s = sock_new(e, UDP, bound(e->cfg.address, SOCK_DGRAM));
    s->local = own_addr(s->fd);
    locals[num++] = (torc_ice_local){
        .transport = TORC_CAND_UDP, .addr = s->local, .base = s->local, .socket = id_of(e, s)};
    if (e->cfg.stun_server != NULL) {
      torc_addr mapped = mapped_of(e, s);
      if (mapped.family != 0 && !torc_stun_addr_eq(&mapped, &s->local)) {
        locals[num] = locals[num - 1];
        locals[num].type = TORC_CAND_SRFLX;
        locals[num].addr = mapped;
        num++;
      }
    }
  }
  if (e->cfg.has_tcp) {
    sock *s = sock_new(e, LISTENER, bound(e->cfg.address, SOCK_STREAM));
    if (listen(s->fd, 8) != 0) {
      die("cannot listen");
    }
    s->local = own_addr(s->fd);
    locals[num++] = (torc_ice_local){.transport = TORC_CAND_TCP,
                                     .tcptype = TORC_TCPTYPE_PASSIVE,
                                     .addr = s->local,
                                     .base = s->local,
                                     .socket = id_of(e, s)};
    locals[num] = locals[num - 1];
    locals[num].tcptype = TORC_TCPTYPE_ACTIVE;
    locals[num].socket = 0;
    locals[num].addr.port = 9;
    locals[num].base.port = 9;
    num++;
  }
  for (size_t i = 0; i < num; i++) {
    locals[i].type = locals[i].type != 0 ? locals[i].type : TORC_CAND_HOST;
    locals[i].preference = 8000;
  }
  if (torc_ice_new(&e->ice, &cfg, ice_end_now_us()) != 0 ||
      torc_ice_open(e->ice, e->cfg.is_controlling, locals, num, ice_end_now_us(), &e->id) != 0) {
    die("no agent");
  }
}

static void tell_torc(ice_end *e, ice_end_told *out) {
  torc_candidate list[TORC_ICE_LOCAL_MAX];
  (void)snprintf(out->ufrag, sizeof out->ufrag, "%s", torc_ice_ufrag(e->ice, e->id));
  (void)snprintf(out->password, sizeof out->password, "%s", torc_ice_password(e->ice, e->id));
  out->num_candidates = torc_ice_candidates(e->ice, e->id, list);
  for (size_t i = 0; i < out->num_candidates; i++) {
    torc_wr wr;
    torc_wr_init(&wr, out->candidates[i], ICE_END_TEXT - 1);
    if (torc_candidate_format(&wr, &list[i]) != 0) {
      die("a candidate cannot be written");
    }
    out->candidates[i][wr.len] = '\0';
  }
}

static void hear_torc(ice_end *e, const ice_end_told *other) {
  torc_candidate list[ICE_END_CANDIDATES];
  for (size_t i = 0; i < other->num_candidates; i++) {
    if (torc_candidate_parse(torc_slice_str(other->candidates[i]), &list[i]) != 0) {
      die(other->candidates[i]);
    }
  }
  if (torc_ice_remote(e->ice, e->id, torc_slice_str(other->ufrag), torc_slice_str(other->password),
                      list, other->num_candidates, ice_end_now_us()) != 0) {
    die("the other side's parameters were refused");
  }
  drain(e);
}

/* ---- libnice ---- */

static void on_gathered(NiceAgent *agent, guint stream, gpointer ctx) {
  ice_end *e = ctx;
  (void)agent;
  (void)stream;
  e->is_gathered = true;
}

static void on_state(NiceAgent *agent, guint stream, guint component, guint state, gpointer ctx) {
  ice_end *e = ctx;
  NiceCandidate *local = NULL;
  NiceCandidate *remote = NULL;
  if (state == NICE_COMPONENT_STATE_FAILED) {
    e->state.is_failed = true;
  }
  if (state != NICE_COMPONENT_STATE_READY || e->state.is_selected) {
    return;
  }
  e->state.is_selected = true;
  e->state.selected_us = ice_end_now_us();
  if (nice_agent_get_selected_pair(agent, stream, component, &local, &remote)) {
    e->state.is_tcp = local->transport != NICE_CANDIDATE_TRANSPORT_UDP;
  }
}

static void on_data(NiceAgent *agent, guint stream, guint component, guint len, gchar *bytes,
                    gpointer ctx) {
  ice_end *e = ctx;
  size_t n = len < sizeof e->state.received ? len : sizeof e->state.received - 1;
  (void)agent;
  (void)stream;
  (void)component;
  memcpy(e->state.received, bytes, n);
  e->state.received[n] = '\0';
}

static void open_nice(ice_end *e) {
  NiceAddress *own = nice_address_new();
  NiceAgentOption options =
      e->cfg.kind == ICE_END_NICE ? NICE_AGENT_OPTION_REGULAR_NOMINATION : NICE_AGENT_OPTION_NONE;
  e->agent = nice_agent_new_full(g_main_context_default(), NICE_COMPATIBILITY_RFC5245, options);
  if (e->agent == NULL || !nice_address_set_from_string(own, e->cfg.address)) {
    die("no libnice agent");
  }
  g_object_set(e->agent, "controlling-mode", e->cfg.is_controlling, "upnp", FALSE, "ice-udp",
               e->cfg.has_udp, "ice-tcp", e->cfg.has_tcp, NULL);
  if (e->cfg.stun_server != NULL) {
    g_object_set(e->agent, "stun-server", e->cfg.stun_server, "stun-server-port",
                 (guint)strtoul(e->cfg.stun_port, NULL, 10), NULL);
  }
  (void)nice_agent_add_local_address(e->agent, own);
  nice_address_free(own);
  g_signal_connect(e->agent, "candidate-gathering-done", G_CALLBACK(on_gathered), e);
  g_signal_connect(e->agent, "component-state-changed", G_CALLBACK(on_state), e);
  e->stream = nice_agent_add_stream(e->agent, 1);
  if (e->stream == 0 ||
      !nice_agent_attach_recv(e->agent, e->stream, 1, g_main_context_default(), on_data, e) ||
      !nice_agent_gather_candidates(e->agent, e->stream)) {
    die("libnice does not gather");
  }
}

static void tell_nice(ice_end *e, ice_end_told *out) {
  gchar *ufrag = NULL;
  gchar *password = NULL;
  GSList *list = nice_agent_get_local_candidates(e->agent, e->stream, 1);
  if (!nice_agent_get_local_credentials(e->agent, e->stream, &ufrag, &password)) {
    die("libnice has no credentials");
  }
  (void)snprintf(out->ufrag, sizeof out->ufrag, "%s", ufrag);
  (void)snprintf(out->password, sizeof out->password, "%s", password);
  g_free(ufrag);
  g_free(password);
  for (GSList *l = list; l != NULL && out->num_candidates < ICE_END_CANDIDATES; l = l->next) {
    gchar *text = nice_agent_generate_local_candidate_sdp(e->agent, l->data);
    (void)snprintf(out->candidates[out->num_candidates++], ICE_END_TEXT, "%s", text);
    g_free(text);
  }
  g_slist_free_full(list, (GDestroyNotify)nice_candidate_free);
}

static void hear_nice(ice_end *e, const ice_end_told *other) {
  GSList *list = NULL;
  for (size_t i = 0; i < other->num_candidates; i++) {
    char text[ICE_END_TEXT + 8];
    const char *prefix = strncmp(other->candidates[i], "a=", 2) == 0 ? "" : "a=";
    NiceCandidate *c;
    (void)snprintf(text, sizeof text, "%s%s", prefix, other->candidates[i]);
    c = nice_agent_parse_remote_candidate_sdp(e->agent, e->stream, text);
    if (c == NULL) {
      die(text);
    }
    list = g_slist_append(list, c);
  }
  if (!nice_agent_set_remote_credentials(e->agent, e->stream, other->ufrag, other->password) ||
      nice_agent_set_remote_candidates(e->agent, e->stream, 1, list) <= 0) {
    die("libnice does not take our parameters");
  }
  g_slist_free_full(list, (GDestroyNotify)nice_candidate_free);
}

/* ---- either ---- */

size_t ice_end_size(void) {
  return sizeof(ice_end);
}

ice_end_kind ice_end_kind_of(const char *text) {
  if (strcmp(text, "torc") == 0) {
    return ICE_END_TORC;
  }
  return strcmp(text, "nice") == 0 ? ICE_END_NICE : ICE_END_NICE_AGGRESSIVE;
}

ice_end *ice_end_new(const ice_end_config *cfg) {
  ice_end *e = calloc(1, sizeof *e);
  if (e == NULL) {
    die("no memory");
  }
  e->cfg = *cfg;
  if (cfg->kind == ICE_END_TORC) {
    open_torc(e);
  } else {
    open_nice(e);
  }
  return e;
}

void ice_end_free(ice_end *e) {
  for (size_t i = 0; i < e->num_socks; i++) {
    if (e->socks[i].fd >= 0) {
      (void)close(e->socks[i].fd);
    }
  }
  torc_ice_free(e->ice);
  torc_stun_openssl_free(e->ssl);
  if (e->agent != NULL) {
    nice_agent_remove_stream(e->agent, e->stream);
    g_object_unref(e->agent);
  }
  free(e);
}

bool ice_end_tell(ice_end *e, ice_end_told *out) {
  memset(out, 0, sizeof *out);
  if (e->ice != NULL) {
    tell_torc(e, out);
    return true;
  }
  if (e->is_gathered) {
    tell_nice(e, out);
  }
  return e->is_gathered;
}

void ice_end_hear(ice_end *e, const ice_end_told *other) {
  if (e->ice != NULL) {
    hear_torc(e, other);
  } else {
    hear_nice(e, other);
  }
}

void ice_end_step(ice_end *e) {
  if (e->ice != NULL) {
    step_torc(e);
  } else {
    while (g_main_context_iteration(g_main_context_default(), FALSE)) {
    }
  }
}

void ice_ends_wait(ice_end *const *ends, size_t num) {
  struct pollfd fds[2 * SOCKETS];
  struct timespec most = {.tv_nsec = 200000};
  nfds_t n = 0;
  for (size_t i = 0; i < num; i++) {
    for (size_t k = 0; k < ends[i]->num_socks && n < 2 * SOCKETS; k++) {
      const sock *s = &ends[i]->socks[k];
      fds[n++] = (struct pollfd){.fd = s->fd, .events = s->kind == CONNECTING ? POLLOUT : POLLIN};
    }
  }
  (void)ppoll(fds, n, &most, NULL);
}

void ice_end_send(ice_end *e, const char *text) {
  if (e->ice != NULL) {
    put(e, e->pair.socket, &e->pair.remote, torc_slice_str(text));
  } else if (nice_agent_send(e->agent, e->stream, 1, (guint)strlen(text), text) < 0) {
    die("libnice does not send");
  }
}

static void on_counter(void *ctx, const char *name, uint64_t value) {
  if (strcmp(name, "consent_answered") == 0) {
    *(uint64_t *)ctx = value;
  }
}

void ice_end_state_of(const ice_end *e, ice_end_state *out) {
  *out = e->state;
  out->is_ours = e->ice != NULL;
  if (e->ice != NULL) {
    torc_ice_counters(e->ice, &out->num_consented, on_counter);
  }
}

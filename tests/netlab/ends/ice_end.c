/* An end of `make natlab` that is our ICE agent (src/ice) with candidates gathered from a STUN
 * server and by TURN over UDP, TCP and TLS. The protocol with natlab is in docs/netlab.md.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/slice.h"
#include "ice/gather.h"
#include "ice/ice.h"
#include "ice_end_net.h"
#include "ice_end_tcp.h"
#include "io/addr.h"
#include "io/stun_crypto.h"
#include "wire/pdu.h"

#define FIRST_RELAY ((torc_ice_socket)1 << 48)
#define OWN_MAX 4
#define LINE_MAX_LEN 512
#define LIMIT TORC_SEC(30)
#define LINGER TORC_SEC(1) /* the other side may not be ready yet */

typedef struct end {
  net net;
  torc_stun_openssl *ssl;
  torc_gather *gather;
  torc_ice *ice;
  torc_ice_id id;
  char ufrag[LINE_MAX_LEN], password[LINE_MAX_LEN];
  torc_candidate remote[TORC_ICE_REMOTE_MAX];
  size_t num_remote;
  char line[LINE_MAX_LEN];
  size_t line_len;
  torc_time heard; /* when the other side's candidates were there; 0: not yet */
  torc_time over;  /* when to end; TORC_NEVER: not known */
  bool is_told;
  torc_ice_local mapped[2]; /* by TCP: passive, simultaneous open */
  size_t num_mapped;
} end;

static void die(const char *what) {
  (void)fprintf(stderr, "ice_end: %s\n", what);
  exit(1);
}

static const char *setting(const char *name) {
  const char *value = getenv(name);
  if (value == NULL) {
    (void)fprintf(stderr, "ice_end: natlab sets %s\n", name);
    exit(2);
  }
  return value;
}

static torc_addr to_addr(const torc_sock *s) {
  torc_addr out = {.family = s->sa.sa_family == AF_INET ? 1 : 2, .port = torc_sock_port(s)};
  if (out.family == 1) {
    memcpy(out.addr, &s->v4.sin_addr, 4);
  } else {
    memcpy(out.addr, &s->v6.sin6_addr, 16);
  }
  return out;
}

static torc_addr server_addr(const char *name, const char *port) {
  torc_sock s;
  if (torc_sock_literal(setting(name), (uint16_t)strtoul(setting(port), NULL, 10), &s) != 0) {
    die("no address");
  }
  return to_addr(&s);
}

static void must(int rc, const char *what) {
  if (rc != 0) {
    (void)fprintf(stderr, "ice_end: %s: %d\n", what, rc);
    exit(1);
  }
}

/* ---- what agent and gatherer want ---- */

static void finish(end *e, const torc_ice_pair_info *pair) {
  if (pair == NULL) {
    (void)printf("{\"path\": \"none\"}\n");
    e->over = net_now();
  } else {
    bool is_relay = pair->local_type == TORC_CAND_RELAY || pair->remote_type == TORC_CAND_RELAY;
    (void)printf("{\"path\": \"%s\", \"transport\": \"%s\", \"ms\": %.1f}\n",
                 is_relay ? "relay" : "direct", pair->transport == TORC_CAND_UDP ? "udp" : "tcp",
                 (double)(net_now() - e->heard) / 1000);
    e->over = net_now() + LINGER;
  }
  (void)fflush(stdout);
}

static void send_by(end *e, const torc_ice_output *o) {
  net_socket *s = net_of_id(&e->net, o->socket);
  if (o->socket >= FIRST_RELAY) {
    (void)!torc_gather_relay_send(e->gather, o->socket, &o->remote, o->bytes, net_now());
  } else if (s != NULL) {
    net_send(&e->net, s, &o->remote, o->bytes);
  }
}

static void connect_tcp(end *e, const torc_ice_output *o) {
  net_socket *s = net_dial(&e->net, &o->local, o->is_so, &o->remote);
  if (s != NULL) {
    s->token = o->token;
  } else {
    torc_ice_tcp_connected(e->ice, o->token, TORC_ERR_IO, 0, NULL, net_now());
  }
}

static void close_tcp(end *e, const torc_ice_output *o) {
  net_socket *s = o->socket != 0 ? net_of_id(&e->net, o->socket)
                                 : net_of_token(&e->net, NET_DIALLING, o->token);
  if (s != NULL) {
    net_close(s);
  }
}

static bool drain_ice(end *e) {
  torc_ice_output o;
  bool any = false;
  while (torc_ice_poll(e->ice, &o)) {
    any = true;
    switch (o.kind) {
      case TORC_ICE_OUT_SEND:
        send_by(e, &o);
        break;
      case TORC_ICE_OUT_CONNECT_TCP:
        connect_tcp(e, &o);
        break;
      case TORC_ICE_OUT_CLOSE_TCP:
        close_tcp(e, &o);
        break;
      case TORC_ICE_OUT_SELECTED:
        finish(e, &o.pair);
        break;
      case TORC_ICE_OUT_FAILED:
        finish(e, NULL);
        break;
      case TORC_ICE_OUT_RESOLVE:
        torc_ice_resolved(e->ice, o.token, NULL, 0, net_now());
        break;
      case TORC_ICE_OUT_CONSENT_LOST:
      default:
        break;
    }
  }
  return any;
}

static void open_stream(end *e, const torc_gather_output *o) {
  char host[TORC_ADDR_TEXT_MAX];
  net_socket *s = net_dial_turn(&e->net, &o->remote, o->is_tls, torc_addr_format(&o->remote, host));
  if (s != NULL) {
    s->token = o->stream;
  } else {
    torc_gather_stream_opened(e->gather, o->stream, TORC_ERR_IO, net_now());
  }
}

static net_socket *stream_of(end *e, torc_token token) {
  static const net_kind kinds[] = {NET_TURN, NET_TURN_SECURING, NET_TURN_DIALLING};
  net_socket *s = NULL;
  for (size_t i = 0; s == NULL && i < sizeof kinds / sizeof kinds[0]; i++) {
    s = net_of_token(&e->net, kinds[i], token);
  }
  return s;
}

static void carry_out(end *e, const torc_gather_output *o) {
  torc_ice_from from = {.socket = o->socket, .local = o->local, .remote = o->remote};
  net_socket *s = NULL;
  switch (o->kind) {
    case TORC_GATHER_OUT_SEND:
      s = net_of_id(&e->net, o->socket);
      if (s != NULL) {
        net_send(&e->net, s, &o->remote, o->bytes);
      }
      break;
    case TORC_GATHER_OUT_STREAM_OPEN:
      open_stream(e, o);
      break;
    case TORC_GATHER_OUT_STREAM_SEND:
      s = stream_of(e, o->stream);
      if (s != NULL) {
        net_send(&e->net, s, NULL, o->bytes);
      }
      break;
    case TORC_GATHER_OUT_STREAM_CLOSE:
      s = stream_of(e, o->stream);
      if (s != NULL) {
        net_close(s);
      }
      break;
    case TORC_GATHER_OUT_DATA:
      (void)!torc_ice_input(e->ice, &from, o->bytes, net_now());
      break;
    case TORC_GATHER_OUT_UNREACHABLE:
      torc_ice_unreachable(e->ice, o->socket, &o->remote, net_now());
      break;
    case TORC_GATHER_OUT_RELAY_DOWN:
      torc_ice_socket_closed(e->ice, o->socket, net_now());
      break;
    case TORC_GATHER_OUT_CHANGED:
    default:
      break;
  }
}

/* Each may give the other something to do. */
static void drain(end *e) {
  bool any = true;
  while (any) {
    torc_gather_output o;
    any = false;
    while (torc_gather_poll(e->gather, &o)) {
      any = true;
      carry_out(e, &o);
    }
    if (drain_ice(e)) {
      any = true;
    }
  }
}

/* ---- what sockets bring ---- */

static void on_datagram(void *ctx, net_socket *s, const torc_addr *remote, torc_slice bytes) {
  end *e = ctx;
  torc_ice_from from = {.socket = net_id(&e->net, s), .local = s->local, .remote = *remote};
  int rc = torc_gather_input(e->gather, from.socket, remote, bytes, net_now());
  if (rc == TORC_ERR_NOTFOUND && bytes.len != 0 && bytes.p[0] <= 3) {
    (void)!torc_ice_input(e->ice, &from, bytes, net_now());
  }
  drain(e);
}

static void on_frame(void *ctx, net_socket *s, torc_slice bytes) {
  end *e = ctx;
  torc_ice_from from = {
      .socket = net_id(&e->net, s), .local = s->local, .remote = s->remote, .is_tcp = true};
  if (bytes.len != 0 && bytes.p[0] <= 3) {
    (void)!torc_ice_input(e->ice, &from, bytes, net_now());
  }
  drain(e);
}

static void on_dialled(void *ctx, net_socket *s, int rc) {
  end *e = ctx;
  torc_ice_tcp_connected(e->ice, s->token, rc, rc == 0 ? net_id(&e->net, s) : 0, &s->local,
                         net_now());
  drain(e);
}

static void on_turn_opened(void *ctx, net_socket *s, int rc) {
  end *e = ctx;
  torc_gather_stream_opened(e->gather, s->token, rc, net_now());
  drain(e);
}

static void on_turn_input(void *ctx, net_socket *s, torc_slice bytes) {
  end *e = ctx;
  (void)!torc_gather_stream_input(e->gather, s->token, bytes, net_now());
  drain(e);
}

static void on_closed(void *ctx, net_socket *s) {
  end *e = ctx;
  if (s->kind == NET_TURN) {
    torc_gather_stream_closed(e->gather, s->token, net_now());
  } else {
    torc_ice_socket_closed(e->ice, net_id(&e->net, s), net_now());
  }
}

static const net_events events = {.datagram = on_datagram,
                                  .frame = on_frame,
                                  .dialled = on_dialled,
                                  .turn_opened = on_turn_opened,
                                  .turn_input = on_turn_input,
                                  .closed = on_closed};

/* ---- beginning ---- */

/* The gatherer asks STUN servers by UDP only: how they see the listener's port of TCP. */
static void map_listener(end *e, const net_socket *tcp, uint16_t preference) {
  torc_addr server = server_addr("NETLAB_SERVER", "NETLAB_PORT");
  torc_addr seen = {0};
  if (tcp->local.family == 1 && e->num_mapped == 0) {
    seen = ice_end_tcp_mapped(&e->net, &tcp->local, &server, torc_stun_openssl_table(e->ssl));
  }
  if (seen.family == 0 || torc_stun_addr_eq(&seen, &tcp->local)) {
    return;
  }
  for (; e->num_mapped < 2; e->num_mapped++) {
    bool is_so = e->num_mapped == 1;
    e->mapped[e->num_mapped] =
        (torc_ice_local){.type = TORC_CAND_SRFLX,
                         .transport = TORC_CAND_TCP,
                         .tcptype = is_so ? TORC_TCPTYPE_SO : TORC_TCPTYPE_PASSIVE,
                         .addr = seen,
                         .base = tcp->local,
                         .server = server,
                         .socket = is_so ? 0 : net_id(&e->net, tcp),
                         .preference = preference};
  }
}

/* One UDP socket and one listener per address; false: this machine has none of the family. */
static bool open_family(end *e, int family) {
  torc_sock own[OWN_MAX];
  size_t num = torc_sock_interfaces(family, 9, own, OWN_MAX); /* any port */
  bool any = false;
  for (size_t i = 0; i < num; i++) {
    torc_addr local = to_addr(&own[i]);
    local.port = 0;
    net_socket *udp = torc_sock_is_loopback(&own[i]) ? NULL : net_open_udp(&e->net, &local);
    net_socket *tcp = udp != NULL ? net_open_listener(&e->net, &local) : NULL;
    uint16_t preference = (uint16_t)(8000 - i - (family == AF_INET ? OWN_MAX : 0));
    if (tcp == NULL) {
      continue;
    }
    torc_gather_socket sockets[2] = {
        {.id = net_id(&e->net, udp), .addr = udp->local, .preference = preference},
        {.id = net_id(&e->net, tcp),
         .addr = tcp->local,
         .is_tcp = true,
         .is_so = true,
         .preference = preference}};
    must(torc_gather_add_socket(e->gather, &sockets[0], net_now()), "socket");
    must(torc_gather_add_socket(e->gather, &sockets[1], net_now()), "listener");
    map_listener(e, tcp, preference);
    any = true;
  }
  return any;
}

static void add_servers(end *e, const char *name, torc_stun_server_id id) {
  torc_addr server = server_addr(name, "NETLAB_PORT");
  torc_gather_turn turn = {.families = TORC_TURN_V4,
                           .user = torc_slice_str(setting("NETLAB_USER")),
                           .password = torc_slice_str(setting("NETLAB_PASSWORD"))};
  must(torc_gather_peer_up(e->gather, id, &server, net_now()), "STUN server");
  for (int path = TORC_TURN_UDP; path <= TORC_TURN_TLS; path++) {
    torc_token token;
    turn.path = (torc_gather_path)path;
    turn.server = path == TORC_TURN_TLS ? server_addr(name, "NETLAB_TLS_PORT") : server;
    must(torc_gather_add_turn(e->gather, &turn, net_now(), &token), "TURN server");
  }
}

static void open_end(end *e) {
  e->net.events = &events;
  e->net.ctx = e;
  e->net.tls = SSL_CTX_new(TLS_client_method());
  e->over = TORC_NEVER;
  if (e->net.tls == NULL ||
      SSL_CTX_load_verify_locations(e->net.tls, setting("NETLAB_CA"), NULL) != 1) {
    die("no certificates");
  }
  SSL_CTX_set_verify(e->net.tls, SSL_VERIFY_PEER, NULL);
  must(torc_stun_openssl_new(&e->ssl), "crypto");
  torc_gather_config gather = {.crypto = torc_stun_openssl_table(e->ssl),
                               .first_relay = FIRST_RELAY};
  torc_ice_config ice = {.crypto = gather.crypto};
  must(torc_gather_new(&e->gather, &gather, net_now()), "gatherer");
  must(torc_ice_new(&e->ice, &ice, net_now()), "agent");
  bool has_v4 = open_family(e, AF_INET);
  bool has_v6 = open_family(e, AF_INET6);
  if (has_v4) {
    add_servers(e, "NETLAB_SERVER", 4);
  } else if (has_v6) {
    add_servers(e, "NETLAB_SERVER6", 6);
  }
  torc_gather_renew(e->gather, net_now()); /* settled is only what is waited for from here on */
  drain(e);
}

/* ---- telling and hearing ---- */

static void tell(end *e) {
  const torc_ice_local *gathered = NULL;
  torc_ice_local locals[TORC_ICE_LOCAL_MAX];
  torc_candidate list[TORC_ICE_LOCAL_MAX];
  size_t num = torc_gather_locals(e->gather, &gathered);
  bool is_controlling = strcmp(setting("NETLAB_ROLE"), "controlling") == 0;
  for (size_t i = 0; i < num; i++) {
    locals[i] = gathered[i];
  }
  for (size_t i = 0; i < e->num_mapped && num < TORC_ICE_LOCAL_MAX; i++) {
    locals[num++] = e->mapped[i];
  }
  must(torc_ice_open(e->ice, is_controlling, locals, num, net_now(), &e->id), "session");
  (void)printf("ufrag %s\npassword %s\n", torc_ice_ufrag(e->ice, e->id),
               torc_ice_password(e->ice, e->id));
  num = torc_ice_candidates(e->ice, e->id, list);
  for (size_t i = 0; i < num; i++) {
    char text[LINE_MAX_LEN];
    torc_wr wr;
    torc_wr_init(&wr, text, sizeof text - 1);
    must(torc_candidate_format(&wr, &list[i]), "candidate");
    text[wr.len] = '\0';
    (void)printf("c %s\n", text);
  }
  (void)printf("done\n");
  (void)fflush(stdout);
  e->is_told = true;
}

static void hear(end *e, const char *line) {
  if (strncmp(line, "ufrag ", 6) == 0) {
    (void)snprintf(e->ufrag, sizeof e->ufrag, "%s", line + 6);
  } else if (strncmp(line, "password ", 9) == 0) {
    (void)snprintf(e->password, sizeof e->password, "%s", line + 9);
  } else if (strncmp(line, "c ", 2) == 0 && e->num_remote < TORC_ICE_REMOTE_MAX) {
    must(torc_candidate_parse(torc_slice_str(line + 2), &e->remote[e->num_remote]), line);
    e->num_remote++;
  } else if (strcmp(line, "done") == 0) {
    e->heard = net_now();
  }
}

static void read_lines(end *e) {
  ssize_t len = read(STDIN_FILENO, e->line + e->line_len, sizeof e->line - e->line_len);
  char *start = e->line;
  if (len <= 0) {
    die("the other end has gone");
  }
  e->line_len += (size_t)len;
  for (;;) {
    char *newline = memchr(start, '\n', e->line_len);
    if (newline == NULL) {
      break;
    }
    *newline = '\0';
    hear(e, start);
    e->line_len -= (size_t)(newline + 1 - start);
    start = newline + 1;
  }
  memmove(e->line, start, e->line_len);
}

/* Candidates may come before ours are gathered; the time counts from when both are there. */
static void run(end *e) {
  torc_time limit = net_now() + LIMIT;
  bool has_begun = false;
  while (net_now() < limit && net_now() < e->over) {
    torc_time deadline = torc_ice_deadline(e->ice);
    if (torc_gather_deadline(e->gather) < deadline) {
      deadline = torc_gather_deadline(e->gather);
    }
    if (e->over < deadline) {
      deadline = e->over;
    }
    if (net_wait(&e->net, deadline, e->heard == 0 ? STDIN_FILENO : -1)) {
      read_lines(e);
    }
    torc_gather_tick(e->gather, net_now());
    torc_ice_tick(e->ice, net_now());
    drain(e);
    if (!e->is_told && torc_gather_is_settled(e->gather)) {
      tell(e);
    }
    if (e->is_told && e->heard != 0 && !has_begun) {
      has_begun = true;
      e->heard = net_now();
      must(torc_ice_remote(e->ice, e->id, torc_slice_str(e->ufrag), torc_slice_str(e->password),
                           e->remote, e->num_remote, net_now()),
           "the other side's parameters");
      drain(e);
    }
  }
  if (e->over == TORC_NEVER) {
    finish(e, NULL);
  }
}

int main(void) {
  end *e = calloc(1, sizeof *e);
  if (e == NULL) {
    die("no memory");
  }
  open_end(e);
  run(e);
  for (size_t i = 0; i < NET_SOCKETS; i++) {
    if (e->net.sockets[i].kind != NET_FREE) {
      net_close(&e->net.sockets[i]);
    }
  }
  torc_ice_free(e->ice);
  torc_gather_free(e->gather);
  torc_stun_openssl_free(e->ssl);
  SSL_CTX_free(e->net.tls);
  free(e);
  return 0;
}

/* Two ends of ICE whose candidates the gatherer found with a real STUN and TURN server, for
 * tests/interop/test_turn.py. Each may use candidates of one type only; they meet, and each sends
 * the other a datagram over the pair that was selected. What happens goes to standard output, a
 * JSON object per line. SPDX-License-Identifier: Apache-2.0 */
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ice/gather.h"
#include "interop/end.h"
#include "io/stun_crypto.h"

#define MAX_READ 65536u
#define OWN_SOCKET 1u
#define SERVER_AS_PEER 7u
#define SECONDS 20u

static const char usage[] =
    "usage: gather_meet ADDRESS PORT udp|tcp|tls USER PASSWORD CA-FILE|- TYPE TYPE\n"
    "       TYPE: host or relay, of each end\n";

typedef struct end {
  const char *name;
  int fd, stream_fd;
  SSL_CTX *tls;
  SSL *ssl;
  torc_token stream;
  torc_addr own;
  torc_gather *gather;
  torc_ice *ice;
  torc_ice_id id;
  torc_cand_type type;
  bool is_selected, has_sent, has_received;
  torc_ice_pair_info pair;
} end;

static torc_sock sock_of(const torc_addr *a) {
  torc_sock s = {.v4 = {.sin_family = AF_INET}};
  memcpy(&s.v4.sin_addr, a->addr, 4);
  torc_sock_set_port(&s, a->port);
  return s;
}

static void print_addr(const char *name, const torc_addr *a) {
  char text[TORC_ADDR_TEXT_MAX];
  printf(", \"%s\": [\"%s\", %u]", name, torc_addr_format(a, text), (unsigned)a->port);
}

static void send_datagram(const end *e, const torc_addr *to, torc_slice bytes) {
  torc_sock a = sock_of(to);
  if (sendto(e->fd, bytes.p, bytes.len, 0, &a.sa, end_size_of(&a)) < 0) {
    end_fail("cannot send");
  }
}

static void write_stream(end *e, torc_slice bytes) {
  ssize_t num = e->ssl != NULL ? SSL_write(e->ssl, bytes.p, (int)bytes.len)
                               : send(e->stream_fd, bytes.p, bytes.len, MSG_NOSIGNAL);
  if (num != (ssize_t)bytes.len) {
    end_fail("cannot send on the stream");
  }
}

static void open_stream(end *e, const torc_gather_output *o) {
  torc_sock a = sock_of(&o->remote);
  e->stream = o->stream;
  e->stream_fd = socket(AF_INET, SOCK_STREAM, 0);
  if (e->stream_fd < 0 || connect(e->stream_fd, &a.sa, end_size_of(&a)) != 0) {
    end_fail("cannot connect");
  }
  if (o->is_tls) {
    e->ssl = SSL_new(e->tls);
    if (e->ssl == NULL || SSL_set_fd(e->ssl, e->stream_fd) != 1 || SSL_connect(e->ssl) != 1) {
      end_fail("no TLS");
    }
  }
  torc_gather_stream_opened(e->gather, e->stream, 0, end_now());
}

/* What came by a socket of ICE, be it ours or an allocation. */
static void arrived(end *e, const torc_ice_from *from, torc_slice bytes) {
  if (torc_first_byte_of(bytes) == TORC_FIRST_STUN) {
    (void)!torc_ice_input(e->ice, from, bytes, end_now());
    return;
  }
  if (!e->has_received) {
    printf("{\"event\": \"received\", \"end\": \"%s\", \"text\": \"%.*s\"", e->name, (int)bytes.len,
           (const char *)bytes.p);
    print_addr("from", &from->remote);
    printf("}\n");
  }
  e->has_received = true;
}

static void handle_gather(end *e, const torc_gather_output *o) {
  torc_ice_from from = {.socket = o->socket, .local = o->local, .remote = o->remote};
  if (o->kind == TORC_GATHER_OUT_SEND) {
    send_datagram(e, &o->remote, o->bytes);
  } else if (o->kind == TORC_GATHER_OUT_STREAM_OPEN) {
    open_stream(e, o);
  } else if (o->kind == TORC_GATHER_OUT_STREAM_SEND) {
    write_stream(e, o->bytes);
  } else if (o->kind == TORC_GATHER_OUT_DATA) {
    arrived(e, &from, o->bytes);
  } else if (o->kind == TORC_GATHER_OUT_RELAY_DOWN) {
    end_fail("the allocation is lost");
  }
}

static void send_by(end *e, torc_ice_socket socket, const torc_addr *to, torc_slice bytes) {
  if (socket == OWN_SOCKET) {
    send_datagram(e, to, bytes);
  } else if (torc_gather_relay_send(e->gather, socket, to, bytes, end_now()) != 0) {
    end_fail("the allocation does not send");
  }
}

static void selected(end *e, const torc_ice_pair_info *pair) {
  printf("{\"event\": \"selected\", \"end\": \"%s\", \"local_type\": %d, \"remote_type\": %d",
         e->name, (int)pair->local_type, (int)pair->remote_type);
  print_addr("local", &pair->local);
  print_addr("remote", &pair->remote);
  printf("}\n");
  e->is_selected = true;
  e->pair = *pair;
  if (pair->socket != OWN_SOCKET &&
      torc_gather_relay_bind(e->gather, pair->socket, &pair->remote, end_now()) != 0) {
    end_fail("no channel");
  }
}

/* The gatherer's output first: what ICE sends must find its allocation drained. */
static void drain(end *e) {
  torc_gather_output g;
  torc_ice_output o;
  for (;;) {
    if (torc_gather_poll(e->gather, &g)) {
      handle_gather(e, &g);
    } else if (torc_ice_poll(e->ice, &o)) {
      if (o.kind == TORC_ICE_OUT_SEND) {
        send_by(e, o.socket, &o.remote, o.bytes);
      } else if (o.kind == TORC_ICE_OUT_SELECTED) {
        selected(e, &o.pair);
      } else if (o.kind == TORC_ICE_OUT_FAILED) {
        end_fail("ICE failed");
      }
    } else {
      return;
    }
  }
}

static void read_datagram(end *e) {
  static uint8_t in[MAX_READ];
  torc_sock a;
  socklen_t len = sizeof a;
  ssize_t num = recvfrom(e->fd, in, sizeof in, MSG_DONTWAIT, &a.sa, &len);
  torc_ice_from from = {.socket = OWN_SOCKET, .local = e->own};
  if (num < 0) {
    return;
  }
  from.remote = end_addr_of(&a);
  if (torc_gather_input(e->gather, OWN_SOCKET, &from.remote, torc_slice_of(in, (size_t)num),
                        end_now()) == TORC_ERR_NOTFOUND) {
    arrived(e, &from, torc_slice_of(in, (size_t)num));
  }
  drain(e);
}

static void read_stream(end *e) {
  static uint8_t in[MAX_READ];
  do {
    ssize_t num =
        e->ssl != NULL ? SSL_read(e->ssl, in, sizeof in) : recv(e->stream_fd, in, sizeof in, 0);
    if (num <= 0) {
      end_fail("the server is gone");
    }
    if (torc_gather_stream_input(e->gather, e->stream, torc_slice_of(in, (size_t)num), end_now()) !=
        0) {
      end_fail("the stream is nobody's");
    }
    drain(e);
  } while (e->ssl != NULL && SSL_pending(e->ssl) > 0);
}

/* One turn of the loop: waits 5 ms at most. */
static void step(end ends[2]) {
  struct pollfd fds[4];
  for (size_t i = 0; i < 2; i++) {
    fds[2 * i] = (struct pollfd){.fd = ends[i].fd, .events = POLLIN};
    fds[2 * i + 1] = (struct pollfd){.fd = ends[i].stream_fd, .events = POLLIN};
  }
  (void)poll(fds, 4, 5);
  for (size_t i = 0; i < 2; i++) {
    torc_gather_tick(ends[i].gather, end_now());
    torc_ice_tick(ends[i].ice, end_now());
    drain(&ends[i]);
    if (fds[2 * i].revents != 0) {
      read_datagram(&ends[i]);
    }
    if (fds[2 * i + 1].revents != 0) {
      read_stream(&ends[i]);
    }
  }
}

static void set_up(end *e, char **argv, const torc_stun_crypto *crypto, const char *type) {
  static const char *const paths[] = {"udp", "tcp", "tls"};
  torc_gather_config gather = {.crypto = crypto};
  torc_ice_config ice = {.crypto = crypto, .allows_loopback = true};
  torc_sock server = end_address(argv[1], argv[2]);
  torc_sock own = end_address("127.0.0.1", "0");
  socklen_t len = sizeof own;
  torc_gather_turn turn = {.server = end_addr_of(&server),
                           .families = TORC_TURN_V4,
                           .user = torc_slice_str(argv[4]),
                           .password = torc_slice_str(argv[5])};
  torc_gather_socket s = {.id = OWN_SOCKET, .preference = UINT16_MAX};
  torc_token token;
  while ((size_t)turn.path < 2 && strcmp(paths[turn.path], argv[3]) != 0) {
    turn.path++;
  }
  e->stream_fd = -1;
  e->type = strcmp(type, "relay") == 0 ? TORC_CAND_RELAY : TORC_CAND_HOST;
  e->fd = socket(AF_INET, SOCK_DGRAM, 0);
  if (e->fd < 0 || bind(e->fd, &own.sa, end_size_of(&own)) != 0 ||
      getsockname(e->fd, &own.sa, &len) != 0) {
    end_fail("cannot bind");
  }
  e->own = end_addr_of(&own);
  s.addr = e->own;
  if (torc_gather_new(&e->gather, &gather, end_now()) != 0 ||
      torc_ice_new(&e->ice, &ice, end_now()) != 0 ||
      torc_gather_add_socket(e->gather, &s, end_now()) != 0 ||
      torc_gather_add_turn(e->gather, &turn, end_now(), &token) != 0 ||
      (turn.path == TORC_TURN_UDP &&
       torc_gather_peer_up(e->gather, SERVER_AS_PEER, &turn.server, end_now()) != 0)) {
    end_fail("cannot gather");
  }
  drain(e);
}

static void print_locals(const end *e) {
  const torc_ice_local *list;
  size_t num = torc_gather_locals(e->gather, &list);
  for (size_t i = 0; i < num; i++) {
    printf("{\"event\": \"candidate\", \"end\": \"%s\", \"type\": %d", e->name, (int)list[i].type);
    print_addr("addr", &list[i].addr);
    printf("}\n");
  }
}

static size_t of_type(const end *e, torc_ice_local out[TORC_ICE_LOCAL_MAX]) {
  const torc_ice_local *list;
  size_t num = torc_gather_locals(e->gather, &list);
  size_t found = 0;
  for (size_t i = 0; i < num; i++) {
    if (list[i].type == e->type) {
      out[found++] = list[i];
    }
  }
  return found;
}

static void open_session(end *e, bool is_controlling) {
  torc_ice_local list[TORC_ICE_LOCAL_MAX];
  size_t num = of_type(e, list);
  if (num == 0 || torc_ice_open(e->ice, is_controlling, list, num, end_now(), &e->id) != 0) {
    end_fail("no candidates of this type");
  }
}

/* What CONNECT would carry. */
static void hear(end *e, const end *other) {
  torc_candidate candidates[TORC_ICE_LOCAL_MAX];
  torc_addr addrs[TORC_ICE_LOCAL_MAX];
  torc_ice_local list[TORC_ICE_LOCAL_MAX];
  size_t num = torc_ice_candidates(other->ice, other->id, candidates);
  for (size_t i = 0; i < num; i++) {
    addrs[i] = candidates[i].addr;
  }
  if (e->type == TORC_CAND_RELAY && of_type(e, list) != 0 &&
      torc_gather_relay_permit(e->gather, list[0].socket, addrs, num, end_now()) != 0) {
    end_fail("no permission");
  }
  drain(e);
  if (torc_ice_remote(e->ice, e->id, torc_slice_str(torc_ice_ufrag(other->ice, other->id)),
                      torc_slice_str(torc_ice_password(other->ice, other->id)), candidates, num,
                      end_now()) != 0) {
    end_fail("not heard");
  }
  drain(e);
}

/* False: it took too long. */
static bool meet(end ends[2]) {
  torc_time until = end_now() + TORC_SEC(SECONDS);
  while (end_now() < until && !(ends[0].has_received && ends[1].has_received)) {
    step(ends);
    for (size_t i = 0; i < 2; i++) {
      if (ends[i].is_selected && !ends[i].has_sent) {
        ends[i].has_sent = true;
        send_by(&ends[i], ends[i].pair.socket, &ends[i].pair.remote,
                torc_slice_str(i == 0 ? "from a" : "from b"));
        drain(&ends[i]);
      }
    }
  }
  return ends[0].has_received && ends[1].has_received;
}

static void clear(end *e) {
  torc_gather_close(e->gather, end_now());
  drain(e);
  torc_ice_free(e->ice);
  torc_gather_free(e->gather);
  if (e->ssl != NULL) {
    (void)SSL_shutdown(e->ssl);
    SSL_free(e->ssl);
  }
  (void)close(e->fd);
  if (e->stream_fd >= 0) {
    (void)close(e->stream_fd);
  }
}

int main(int argc, char **argv) {
  static end ends[2] = {{.name = "a"}, {.name = "b"}};
  torc_stun_openssl *crypto = NULL;
  torc_time until = end_now() + TORC_SEC(SECONDS);
  SSL_CTX *tls = SSL_CTX_new(TLS_client_method());
  bool is_met;
  if (argc != 9) {
    (void)fputs(usage, stderr);
    return 2;
  }
  if (torc_stun_openssl_new(&crypto) != 0 || tls == NULL ||
      (argv[6][0] != '-' && SSL_CTX_load_verify_locations(tls, argv[6], NULL) != 1)) {
    end_fail("no crypto");
  }
  SSL_CTX_set_verify(tls, SSL_VERIFY_PEER, NULL);
  for (size_t i = 0; i < 2; i++) {
    ends[i].tls = tls;
    set_up(&ends[i], argv, torc_stun_openssl_table(crypto), argv[7 + i]);
  }
  while (end_now() < until &&
         (!torc_gather_is_settled(ends[0].gather) || !torc_gather_is_settled(ends[1].gather))) {
    step(ends);
  }
  for (size_t i = 0; i < 2; i++) {
    print_locals(&ends[i]);
    open_session(&ends[i], i == 0);
  }
  hear(&ends[1], &ends[0]);
  hear(&ends[0], &ends[1]);
  is_met = meet(ends);
  clear(&ends[0]);
  clear(&ends[1]);
  SSL_CTX_free(tls);
  torc_stun_openssl_free(crypto);
  return is_met ? 0 : 1;
}

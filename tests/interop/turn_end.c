/* One end of TURN on real sockets, for tests/interop/test_turn.py: the client of src/ice over UDP,
 * TCP or TLS, or inside another allocation. Commands come on standard input, a line each; what
 * happens goes to standard output, a JSON object per line. SPDX-License-Identifier: Apache-2.0 */
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ice/turn_client.h"
#include "interop/end.h"
#include "io/stun_crypto.h"

#define MAX_READ 65536u
#define MAX_CONNS 8u
#define MAX_WAITING 64u

static const char usage[] =
    "usage: turn_end ADDRESS PORT udp|tcp|tls USER PASSWORD 4|6|46 udp|tcp CA-FILE|-\n"
    "commands: permit A P | bind A P | send A P TEXT | burst A P NUMBER BYTES | connect A P\n"
    "          write CONN TEXT | hang-up CONN | nest A P | crash | check | counters | close\n";

/* A connection to the server: of the allocation, or of relayed TCP. */
typedef struct wire {
  int fd;
  SSL *ssl;
  torc_turn_conn conn; /* 0: of the allocation, or free */
  bool is_up;          /* carries the peer's bytes */
} wire;

typedef struct datagram {
  uint8_t bytes[2048];
  size_t len;
} datagram;

typedef struct end {
  const char *transport;
  SSL_CTX *tls;
  torc_sock to;
  torc_stun_openssl *crypto;
  torc_turn_config cfg;
  torc_turn *outer, *inner;
  wire main, conns[MAX_CONNS];
  datagram waiting[MAX_WAITING]; /* for the inner one */
  size_t num_waiting;
  bool is_over;
} end;

static bool is_stream(const end *e) {
  return strcmp(e->transport, "udp") != 0;
}

static void open_wire(const end *e, wire *w) {
  w->fd = socket(e->to.sa.sa_family, is_stream(e) ? SOCK_STREAM : SOCK_DGRAM, 0);
  if (w->fd < 0 || connect(w->fd, &e->to.sa, end_size_of(&e->to)) != 0) {
    end_fail("cannot connect");
  }
  if (strcmp(e->transport, "tls") == 0) {
    w->ssl = SSL_new(e->tls);
    if (w->ssl == NULL || SSL_set_fd(w->ssl, w->fd) != 1 || SSL_connect(w->ssl) != 1) {
      end_fail("no TLS");
    }
  }
}

static void close_wire(wire *w) {
  if (w->ssl != NULL) {
    (void)SSL_shutdown(w->ssl);
    SSL_free(w->ssl);
  }
  if (w->fd >= 0) {
    (void)close(w->fd);
  }
  *w = (wire){.fd = -1};
}

static void write_wire(wire *w, torc_slice bytes) {
  while (bytes.len != 0) {
    ssize_t num = w->ssl != NULL ? SSL_write(w->ssl, bytes.p, (int)bytes.len)
                                 : send(w->fd, bytes.p, bytes.len, MSG_NOSIGNAL);
    if (num <= 0) {
      end_fail("cannot send");
    }
    bytes = torc_slice_of(bytes.p + num, bytes.len - (size_t)num);
  }
}

static ssize_t read_wire(wire *w, uint8_t *in) {
  return w->ssl != NULL ? SSL_read(w->ssl, in, MAX_READ) : recv(w->fd, in, MAX_READ, 0);
}

static wire *wire_of(end *e, torc_turn_conn conn) {
  for (size_t i = 0; i < MAX_CONNS; i++) {
    if (e->conns[i].conn == conn) {
      return &e->conns[i];
    }
  }
  return NULL;
}

/* ---- what happens ---- */

static void print_addr(const char *name, const torc_addr *a) {
  char text[TORC_ADDR_TEXT_MAX];
  if (a->family != 0) {
    printf(", \"%s\": [\"%s\", %u]", name, torc_addr_format(a, text), (unsigned)a->port);
  }
}

static void print_text(torc_slice bytes) {
  printf(", \"length\": %zu, \"text\": \"", bytes.len);
  for (size_t i = 0; i < bytes.len && i < 64; i++) {
    printf("%c", bytes.p[i] >= ' ' && bytes.p[i] <= '~' && bytes.p[i] != '"' ? bytes.p[i] : '.');
  }
  printf("\"");
}

static const char *name_of(torc_turn_output_kind kind) {
  static const char *const names[] = {
      "",      "send", "data",      "unreachable", "allocated", "permitted", "refused",
      "moved", "open", "send-data", "data-up",     "data-down", "closed",    "failed"};
  return names[kind];
}

static void print_output(const end *e, const torc_turn *t, const torc_turn_output *o) {
  printf("{\"event\": \"%s\", \"level\": \"%s\"", name_of(o->kind),
         t == e->inner ? "inner" : "outer");
  print_addr("addr", &o->addr);
  print_addr("relayed4", &o->relayed[0]);
  print_addr("relayed6", &o->relayed[1]);
  print_addr("mapped", &o->mapped);
  if (o->kind == TORC_TURN_OUT_DATA) {
    print_text(o->bytes);
  }
  printf(
      ", \"rc\": %d, \"code\": %u, \"advice\": %d, \"conn\": %u, \"incoming\": %s, "
      "\"lifetime\": %u}\n",
      o->rc, (unsigned)o->code, (int)o->advice, (unsigned)o->conn,
      o->is_incoming ? "true" : "false", (unsigned)(o->lifetime / 1000000));
  (void)fflush(stdout);
}

/* 300: the same again with the other server. */
static void move(end *e, const torc_addr *to) {
  if (to->family == 1) {
    memcpy(&e->to.v4.sin_addr, to->addr, 4);
  } else {
    memcpy(&e->to.v6.sin6_addr, to->addr, 16);
  }
  torc_sock_set_port(&e->to, to->port);
  close_wire(&e->main);
  open_wire(e, &e->main);
  if (torc_turn_start(e->outer, end_now()) != 0) {
    end_fail("cannot start again");
  }
}

static void open_data(end *e, const torc_turn_output *o) {
  wire *w = wire_of(e, 0);
  if (w == NULL) {
    end_fail("too many connections");
  }
  open_wire(e, w);
  w->conn = o->conn;
  if (torc_turn_data_opened(e->outer, o->conn, end_now()) != 0) {
    close_wire(w);
  }
}

/* Bytes to the server: of the inner allocation they are data of the outer one. */
static void send_out(end *e, const torc_turn *t, const torc_turn_output *o) {
  if (t == e->inner) {
    if (torc_turn_send(e->outer, &o->addr, o->bytes, end_now()) != 0) {
      end_fail("the outer allocation does not send");
    }
    return;
  }
  end_print_hex("sent", o->bytes);
  write_wire(&e->main, o->bytes);
}

/* Data of the outer allocation from the inner one's server waits for its turn. */
static bool is_for_inner(end *e, const torc_turn *t, const torc_turn_output *o) {
  torc_addr server = e->inner != NULL ? torc_turn_remote(e->inner) : (torc_addr){0};
  if (t == e->inner || !torc_stun_addr_eq(&o->addr, &server)) {
    return false;
  }
  if (e->num_waiting == MAX_WAITING || o->bytes.len > sizeof e->waiting[0].bytes) {
    end_fail("too much for the inner allocation");
  }
  memcpy(e->waiting[e->num_waiting].bytes, o->bytes.p, o->bytes.len);
  e->waiting[e->num_waiting].len = o->bytes.len;
  e->num_waiting++;
  return true;
}

static void handle(end *e, const torc_turn *t, const torc_turn_output *o) {
  wire *w = o->conn != 0 ? wire_of(e, o->conn) : NULL;
  if (o->kind == TORC_TURN_OUT_SEND) {
    send_out(e, t, o);
  } else if (o->kind == TORC_TURN_OUT_SEND_DATA && w != NULL) {
    end_print_hex("sent-data", o->bytes);
    write_wire(w, o->bytes);
  } else if (o->kind != TORC_TURN_OUT_DATA || !is_for_inner(e, t, o)) {
    print_output(e, t, o);
  }
  if (o->kind == TORC_TURN_OUT_OPEN_DATA) {
    open_data(e, o);
  } else if (o->kind == TORC_TURN_OUT_MOVED && t == e->outer) {
    move(e, &o->addr);
  } else if (o->kind == TORC_TURN_OUT_DATA_UP && w != NULL) {
    w->is_up = true;
  } else if (o->kind == TORC_TURN_OUT_DATA_DOWN && w != NULL) {
    close_wire(w);
  } else if (o->kind == TORC_TURN_OUT_CLOSED || o->kind == TORC_TURN_OUT_FAILED) {
    e->is_over = e->is_over || t == e->outer;
  }
}

/* All output of both, the outer one's first: what the inner one sends must find it drained. */
static void drain(end *e) {
  size_t taken = 0;
  torc_turn_output o;
  for (;;) {
    if (torc_turn_poll(e->outer, &o)) {
      handle(e, e->outer, &o);
    } else if (e->inner != NULL && torc_turn_poll(e->inner, &o)) {
      handle(e, e->inner, &o);
    } else if (taken < e->num_waiting) {
      torc_addr from = torc_turn_remote(e->inner);
      datagram *d = &e->waiting[taken++];
      if (torc_turn_input(e->inner, &from, torc_slice_of(d->bytes, d->len), end_now()) != 0) {
        end_fail("the inner allocation is busy");
      }
    } else {
      break;
    }
  }
  e->num_waiting = 0;
}

/* ---- commands ---- */

static void start(end *e, torc_turn **t, const torc_turn_config *cfg) {
  if (torc_turn_new(t, cfg, end_now()) != 0 || torc_turn_start(*t, end_now()) != 0) {
    end_fail("cannot start");
  }
  drain(e);
}

static void nest(end *e, const torc_addr *server) {
  torc_turn_config cfg = e->cfg;
  cfg.server = *server;
  cfg.is_stream = false;
  cfg.families = TORC_TURN_V4;
  start(e, &e->inner, &cfg);
}

static void burst(end *e, torc_turn *t, const torc_addr *peer, const char *args) {
  static uint8_t bytes[TORC_TURN_DATA_MAX];
  char *rest = NULL;
  unsigned long num = strtoul(args, &rest, 10);
  unsigned long len = strtoul(rest, NULL, 10);
  memset(bytes, 'b', sizeof bytes);
  for (unsigned long i = 0; i < num && len <= sizeof bytes; i++) {
    if (torc_turn_send(t, peer, torc_slice_of(bytes, len), end_now()) != 0) {
      end_fail("cannot send a burst");
    }
    drain(e);
  }
}

static void print_counter(void *ctx, const char *name, uint64_t value) {
  (void)ctx;
  printf(", \"%s\": %llu", name, (unsigned long long)value);
}

static void with_peer(end *e, torc_turn *t, const char *verb, char *args) {
  char *host = strtok_r(args, " ", &args);
  char *port = strtok_r(args, " ", &args);
  torc_turn_conn conn = 0;
  torc_sock sock;
  torc_addr peer;
  int rc = 0;
  if (host == NULL || port == NULL) {
    end_fail("no such command");
  }
  sock = end_address(host, port);
  peer = end_addr_of(&sock);
  if (strcmp(verb, "permit") == 0) {
    rc = torc_turn_permit(t, &peer, 1, end_now());
  } else if (strcmp(verb, "bind") == 0) {
    rc = torc_turn_bind(t, &peer, end_now());
  } else if (strcmp(verb, "send") == 0) {
    rc = torc_turn_send(t, &peer, torc_slice_str(args), end_now());
  } else if (strcmp(verb, "burst") == 0) {
    burst(e, t, &peer, args);
  } else if (strcmp(verb, "connect") == 0) {
    rc = torc_turn_connect(t, &peer, end_now(), &conn);
  } else if (strcmp(verb, "nest") == 0) {
    nest(e, &peer);
  } else {
    end_fail("no such command");
  }
  drain(e);
  printf("{\"event\": \"done\", \"verb\": \"%s\", \"rc\": %d, \"conn\": %u}\n", verb, rc,
         (unsigned)conn);
  (void)fflush(stdout);
}

static void command(end *e, char *line) {
  torc_turn *t = e->inner != NULL ? e->inner : e->outer;
  char *args = NULL;
  char *verb = strtok_r(line, " \n", &args);
  if (verb == NULL) {
    return;
  }
  args[strcspn(args, "\n")] = '\0';
  if (strcmp(verb, "close") == 0) {
    torc_turn_close(t, end_now());
    drain(e);
  } else if (strcmp(verb, "crash") == 0) { /* a new client on the same socket */
    torc_turn_free(e->outer);
    start(e, &e->outer, &e->cfg);
  } else if (strcmp(verb, "check") == 0) {
    torc_turn_check(t, end_now());
    drain(e);
  } else if (strcmp(verb, "counters") == 0) {
    printf("{\"event\": \"counters\"");
    torc_turn_counters(t, NULL, print_counter);
    printf("}\n");
    (void)fflush(stdout);
  } else if (strcmp(verb, "write") == 0 || strcmp(verb, "hang-up") == 0) {
    wire *w = wire_of(e, strtoull(args, &args, 10));
    if (w == NULL) {
      end_fail("no such connection");
    }
    if (verb[0] == 'w') {
      write_wire(w, torc_slice_str(args + (*args == ' ')));
    } else {
      close_wire(w);
    }
  } else {
    with_peer(e, t, verb, args);
  }
}

/* ---- the loop ---- */

static void read_main(end *e) {
  static uint8_t in[MAX_READ];
  torc_addr from = end_addr_of(&e->to);
  do {
    ssize_t num = read_wire(&e->main, in);
    if (num <= 0) {
      torc_turn_lost(e->outer, end_now());
      drain(e);
      return;
    }
    end_print_hex("received", torc_slice_of(in, (size_t)num));
    if (torc_turn_input(e->outer, &from, torc_slice_of(in, (size_t)num), end_now()) != 0) {
      end_fail("input was not drained");
    }
    drain(e);
  } while (e->main.ssl != NULL && SSL_pending(e->main.ssl) > 0);
}

static void read_data(end *e, wire *w) {
  static uint8_t in[MAX_READ];
  torc_turn_conn conn = w->conn;
  do {
    ssize_t num = read_wire(w, in);
    size_t used = 0;
    if (num <= 0) {
      printf("{\"event\": \"hung-up\", \"conn\": %u}\n", (unsigned)conn);
      (void)fflush(stdout);
      torc_turn_data_closed(e->outer, conn);
      close_wire(w);
      return;
    }
    if (!w->is_up) {
      (void)!torc_turn_data_input(e->outer, conn, torc_slice_of(in, (size_t)num), &used, end_now());
      drain(e);
    }
    if (w->is_up && used < (size_t)num) {
      printf("{\"event\": \"stream\", \"conn\": %u", (unsigned)conn);
      print_text(torc_slice_of(in + used, (size_t)num - used));
      printf("}\n");
      (void)fflush(stdout);
    }
  } while (w->ssl != NULL && SSL_pending(w->ssl) > 0);
}

/* Milliseconds until something is due. */
static int wait_ms(const end *e) {
  torc_time at = torc_turn_deadline(e->outer);
  torc_time t = end_now();
  if (e->inner != NULL && torc_turn_deadline(e->inner) < at) {
    at = torc_turn_deadline(e->inner);
  }
  if (at == TORC_NEVER || at > t + TORC_SEC(60)) {
    return 60000;
  }
  return at <= t ? 0 : (int)((at - t) / 1000 + 1);
}

static void step(end *e) {
  static char line[4096];
  struct pollfd fds[2 + MAX_CONNS] = {{.fd = STDIN_FILENO, .events = POLLIN},
                                      {.fd = e->main.fd, .events = POLLIN}};
  for (size_t i = 0; i < MAX_CONNS; i++) {
    fds[2 + i] = (struct pollfd){.fd = e->conns[i].fd, .events = POLLIN};
  }
  (void)poll(fds, 2 + MAX_CONNS, wait_ms(e));
  torc_turn_tick(e->outer, end_now());
  if (e->inner != NULL) {
    torc_turn_tick(e->inner, end_now());
  }
  drain(e);
  if (fds[1].revents != 0 && !e->is_over) {
    read_main(e);
  }
  for (size_t i = 0; i < MAX_CONNS; i++) {
    if (fds[2 + i].revents != 0 && e->conns[i].fd == fds[2 + i].fd) {
      read_data(e, &e->conns[i]);
    }
  }
  if (fds[0].revents != 0 && !e->is_over) {
    if (fgets(line, sizeof line, stdin) == NULL) {
      e->is_over = true;
    } else {
      command(e, line);
    }
  }
}

static void set_up(end *e, char **argv) {
  uint8_t families = (uint8_t)((strchr(argv[6], '4') != NULL ? TORC_TURN_V4 : 0) |
                               (strchr(argv[6], '6') != NULL ? TORC_TURN_V6 : 0));
  *e = (end){.transport = argv[3], .to = end_address(argv[1], argv[2]), .main = {.fd = -1}};
  for (size_t i = 0; i < MAX_CONNS; i++) {
    e->conns[i].fd = -1;
  }
  if (torc_stun_openssl_new(&e->crypto) != 0) {
    end_fail("no crypto");
  }
  if (strcmp(e->transport, "tls") == 0) {
    e->tls = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_verify(e->tls, SSL_VERIFY_PEER, NULL);
    if (SSL_CTX_load_verify_locations(e->tls, argv[8], NULL) != 1) {
      end_fail("no CA");
    }
  }
  e->cfg = (torc_turn_config){.crypto = torc_stun_openssl_table(e->crypto),
                              .server = end_addr_of(&e->to),
                              .is_stream = is_stream(e),
                              .is_tcp = strcmp(argv[7], "tcp") == 0,
                              .families = families,
                              .user = torc_slice_str(argv[4]),
                              .password = torc_slice_str(argv[5])};
  open_wire(e, &e->main);
  start(e, &e->outer, &e->cfg);
}

int main(int argc, char **argv) {
  static end e;
  if (argc != 9) {
    (void)fputs(usage, stderr);
    return 2;
  }
  (void)setvbuf(stdin, NULL, _IONBF, 0); /* poll() must see each line */
  set_up(&e, argv);
  while (!e.is_over) {
    step(&e);
  }
  torc_turn_free(e.inner);
  torc_turn_free(e.outer);
  for (size_t i = 0; i < MAX_CONNS; i++) {
    close_wire(&e.conns[i]);
  }
  close_wire(&e.main);
  SSL_CTX_free(e.tls);
  torc_stun_openssl_free(e.crypto);
  return 0;
}

/* One end of STUN on a real socket, for tests/interop/test_stun.py: the codec, the transactions and
 * the answers of src/ice with the crypto of src/io. What happens goes to standard output, a JSON
 * object per line. SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/slice.h"
#include "ice/stun_answer.h"
#include "ice/stun_tx.h"
#include "interop/end.h"
#include "io/addr.h"
#include "io/stun_crypto.h"

#define MAX_DATAGRAM 65536u

static const char usage[] =
    "usage: stun_end serve ADDRESS\n"
    "       stun_end bind ADDRESS PORT udp|tcp\n"
    "       stun_end allocate ADDRESS PORT udp|tcp USER PASSWORD\n"
    "       stun_end stale ADDRESS PORT udp|tcp USER PASSWORD\n"
    "       stun_end messages\n";

/* ---- serve ---- */

static int serve(const char *host) {
  static uint8_t in[MAX_DATAGRAM];
  uint8_t room[256];
  torc_sock own = end_address(host, "0");
  socklen_t len = sizeof own;
  int fd = socket(own.sa.sa_family, SOCK_DGRAM, 0);
  if (fd < 0 || bind(fd, &own.sa, end_size_of(&own)) != 0 || getsockname(fd, &own.sa, &len) != 0) {
    end_fail("cannot bind");
  }
  printf("{\"port\": %u}\n", (unsigned)torc_sock_port(&own));
  (void)fflush(stdout);
  for (;;) {
    struct pollfd fds[2] = {{.fd = fd, .events = POLLIN}, {.fd = 0, .events = POLLIN}};
    torc_sock from;
    torc_addr addr;
    torc_wr wr;
    ssize_t num;
    len = sizeof from;
    if (poll(fds, 2, -1) < 0 || fds[1].revents != 0) { /* standard input is closed: over */
      return 0;
    }
    num = recvfrom(fd, in, sizeof in, 0, &from.sa, &len);
    if (num < 0) {
      continue;
    }
    addr = end_addr_of(&from);
    torc_wr_init(&wr, room, sizeof room);
    end_print_hex("received", torc_slice_of(in, (size_t)num));
    if (torc_stun_answer_binding(&wr, torc_slice_of(in, (size_t)num), &addr) == 0 && wr.len != 0) {
      end_print_hex("sent", torc_wr_slice(&wr));
      (void)sendto(fd, room, wr.len, 0, &from.sa, len);
    }
  }
}

/* ---- a client ---- */

typedef struct client {
  int fd;
  bool is_tcp;
  torc_stun_path path;
  const torc_stun_crypto *crypto;
  uint8_t in[MAX_DATAGRAM];
  size_t num_in; /* TCP: what is not taken yet */
} client;

static void open_client(client *c, const char *host, const char *port, const char *transport) {
  torc_sock to = end_address(host, port);
  torc_stun_openssl *ssl = NULL;
  c->is_tcp = strcmp(transport, "tcp") == 0;
  c->fd = socket(to.sa.sa_family, c->is_tcp ? SOCK_STREAM : SOCK_DGRAM, 0);
  c->path.remote = end_addr_of(&to);
  if (c->fd < 0 || connect(c->fd, &to.sa, end_size_of(&to)) != 0 ||
      torc_stun_openssl_new(&ssl) != 0) {
    end_fail("cannot connect");
  }
  c->crypto = torc_stun_openssl_table(ssl);
}

/* One message into c->in; 0: none within the time. */
static size_t receive(client *c, torc_time until) {
  for (;;) {
    struct pollfd p = {.fd = c->fd, .events = POLLIN};
    torc_time t = end_now();
    size_t len = 0;
    ssize_t num;
    if (c->is_tcp && torc_stun_frame_peek(torc_slice_of(c->in, c->num_in), &len) == 0 &&
        c->num_in >= len) {
      return len;
    }
    if (t >= until || poll(&p, 1, (int)((until - t) / 1000 + 1)) <= 0) {
      return 0;
    }
    num = recv(c->fd, c->in + c->num_in, sizeof c->in - c->num_in, 0);
    if (num <= 0) {
      end_fail("the server is gone");
    }
    if (!c->is_tcp) {
      return (size_t)num;
    }
    c->num_in += (size_t)num;
  }
}

static void print_result(const torc_stun_result *r) {
  static const struct {
    torc_stun_known known;
    const char *name;
  } addresses[] = {{TORC_STUN_KNOWN_XOR_MAPPED_ADDRESS, "mapped"},
                   {TORC_STUN_KNOWN_XOR_RELAYED_ADDRESS, "relayed"}};
  printf("{\"rc\": %d, \"code\": %u, \"num_sends\": %u", r->rc, (unsigned)r->code,
         (unsigned)r->num_sends);
  for (size_t i = 0; i < TORC_ARRAY_LEN(addresses); i++) {
    char text[TORC_ADDR_TEXT_MAX];
    torc_addr a;
    if (r->rc == 0 && torc_stun_get_addr(&r->msg, addresses[i].known, &a) == 0) {
      printf(", \"%s\": [\"%s\", %u]", addresses[i].name, torc_addr_format(&a, text),
             (unsigned)a.port);
    }
  }
  printf("}\n");
}

/* The whole transaction; the answer lies in c->in. */
static torc_stun_result ask(client *c, torc_stun_request *req) {
  static uint8_t room[2048];
  torc_stun_tx tx;
  req->path = c->path;
  req->is_reliable = c->is_tcp;
  if (torc_stun_tx_start(&tx, c->crypto, req, room, sizeof room, end_now()) != 0) {
    end_fail("cannot start");
  }
  for (;;) {
    torc_stun_output out;
    torc_stun_msg m;
    size_t len;
    while (torc_stun_tx_poll(&tx, &out)) {
      if (out.kind == TORC_STUN_OUT_DONE) {
        print_result(&out.result);
        return out.result;
      }
      end_print_hex("sent", out.bytes);
      if (send(c->fd, out.bytes.p, out.bytes.len, MSG_NOSIGNAL) < 0) {
        end_fail("cannot send");
      }
    }
    len = receive(c, torc_stun_tx_deadline(&tx));
    if (len != 0) {
      end_print_hex("received", torc_slice_of(c->in, len));
      if (torc_stun_decode(&m, torc_slice_of(c->in, len)) == 0) {
        (void)!torc_stun_tx_input(&tx, &c->path, &m, end_now());
      }
      c->num_in = 0; /* one request at a time: nothing follows the answer */
    }
    torc_stun_tx_tick(&tx, end_now());
  }
}

static void put_allocate(void *ctx, torc_stun_wr *w) {
  (void)ctx;
  torc_stun_put_u32(w, TORC_STUN_ATTR_REQUESTED_TRANSPORT, 17u << 24);
}

static int bind_once(char **argv) {
  static client c;
  torc_stun_request req = {.method = TORC_STUN_BINDING, .has_fingerprint = true};
  open_client(&c, argv[2], argv[3], argv[4]);
  return ask(&c, &req).rc == 0 ? 0 : 1;
}

/* Allocate; with `is_stale` then Refresh until the server no longer takes the nonce of before. */
static int allocate(char **argv, bool is_stale) {
  static client c;
  torc_stun_login login;
  torc_stun_request req = {.method = TORC_STUN_ALLOCATE, .login = &login, .put = put_allocate};
  torc_time until = end_now() + TORC_SEC(30);
  uint8_t nonce[TORC_STUN_TEXT_MAX];
  open_client(&c, argv[2], argv[3], argv[4]);
  if (torc_stun_login_init(&login, c.crypto, torc_slice_str(argv[5]), torc_slice_str(argv[6])) !=
      0) {
    end_fail("no such user name");
  }
  if (ask(&c, &req).rc != 0) {
    return 1;
  }
  req.method = TORC_STUN_REFRESH;
  req.put = NULL;
  memcpy(nonce, login.nonce, sizeof nonce);
  while (is_stale) {
    if (ask(&c, &req).rc != 0 || end_now() > until) {
      return 1;
    }
    is_stale = memcmp(nonce, login.nonce, sizeof nonce) == 0;
    (void)poll(NULL, 0, 100);
  }
  return 0;
}

/* ---- messages for a dissector ---- */

static void begin(torc_stun_wr *w, torc_wr *wr, uint8_t *room, torc_stun_class cls,
                  uint16_t method) {
  static const uint8_t txid[TORC_STUN_TXID_LEN] = "transaction";
  torc_wr_init(wr, room, 1024);
  torc_stun_begin(w, wr, cls, method, txid);
}

static void finish(torc_stun_wr *w, const char *name) {
  torc_stun_put_fingerprint(w);
  if (w->wr->err != 0) {
    end_fail("a message does not fit");
  }
  end_print_hex(name, torc_stun_written(w));
}

static int messages(void) {
  const torc_addr v4 = {.family = 1, .addr = {192, 0, 2, 1}, .port = 32853};
  const torc_addr v6 = {.family = 2, .addr = {0x20, 1, 0xd, 0xb8, [15] = 7}, .port = 6084};
  const torc_stun_hash list[] = {TORC_STUN_SHA256, TORC_STUN_MD5};
  uint8_t room[1024];
  torc_stun_openssl *ssl = NULL;
  torc_stun_key key;
  torc_stun_wr w;
  torc_wr wr;
  if (torc_stun_openssl_new(&ssl) != 0 ||
      torc_stun_key_short(torc_stun_openssl_table(ssl), torc_slice_str("pass"), &key) != 0) {
    end_fail("no crypto");
  }
  begin(&w, &wr, room, TORC_STUN_REQUEST, TORC_STUN_BINDING);
  torc_stun_put(&w, TORC_STUN_ATTR_USERNAME, torc_slice_str("them:us"));
  torc_stun_put_u32(&w, TORC_STUN_ATTR_PRIORITY, 0x7effffff);
  torc_stun_put_flag(&w, TORC_STUN_ATTR_USE_CANDIDATE);
  torc_stun_put_u64(&w, TORC_STUN_ATTR_ICE_CONTROLLING, 0x0102030405060708);
  if (torc_stun_put_integrity(&w, torc_stun_openssl_table(ssl), &key, TORC_STUN_INTEGRITY_BOTH,
                              32) != 0) {
    end_fail("no integrity");
  }
  finish(&w, "check");
  begin(&w, &wr, room, TORC_STUN_SUCCESS, TORC_STUN_ALLOCATE);
  torc_stun_put_xor_addr(&w, TORC_STUN_ATTR_XOR_RELAYED_ADDRESS, &v6);
  torc_stun_put_xor_addr(&w, TORC_STUN_ATTR_XOR_MAPPED_ADDRESS, &v4);
  torc_stun_put_u32(&w, TORC_STUN_ATTR_LIFETIME, 600);
  finish(&w, "allocated");
  begin(&w, &wr, room, TORC_STUN_ERROR, TORC_STUN_ALLOCATE);
  torc_stun_put_error(&w, TORC_STUN_UNAUTHENTICATED, torc_stun_reason(TORC_STUN_UNAUTHENTICATED));
  torc_stun_put(&w, TORC_STUN_ATTR_REALM, torc_slice_str("example.org"));
  torc_stun_put(&w, TORC_STUN_ATTR_NONCE, torc_slice_str("obMatJos2AAADnonce"));
  torc_stun_put_algorithms(&w, list, 2);
  finish(&w, "challenge");
  begin(&w, &wr, room, TORC_STUN_INDICATION, TORC_STUN_SEND);
  torc_stun_put_xor_addr(&w, TORC_STUN_ATTR_XOR_PEER_ADDRESS, &v4);
  torc_stun_put_flag(&w, TORC_STUN_ATTR_DONT_FRAGMENT);
  torc_stun_put(&w, TORC_STUN_ATTR_DATA, torc_slice_str("hello"));
  finish(&w, "send");
  torc_stun_openssl_free(ssl);
  return 0;
}

int main(int argc, char **argv) {
  if (argc == 3 && strcmp(argv[1], "serve") == 0) {
    return serve(argv[2]);
  }
  if (argc == 5 && strcmp(argv[1], "bind") == 0) {
    return bind_once(argv);
  }
  if (argc == 7 && strcmp(argv[1], "allocate") == 0) {
    return allocate(argv, false);
  }
  if (argc == 7 && strcmp(argv[1], "stale") == 0) {
    return allocate(argv, true);
  }
  if (argc == 2 && strcmp(argv[1], "messages") == 0) {
    return messages();
  }
  (void)fputs(usage, stderr);
  return 2;
}

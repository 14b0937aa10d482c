/* DTLS per message: two of our ends, one process, no socket; beside them plain OpenSSL with the
 * same certificate, cipher suite and sizes. A message is sent and read. Handshakes, and what a link
 * takes in memory, OpenSSL's part counted by itself. SPDX-License-Identifier: Apache-2.0 */
#include <openssl/crypto.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <string.h>

#include "base/slice.h"
#include "io/dtls_impl.h"
#include "io/tls_impl.h"
#include "io/wall.h"
#include "measure.h"

#define SECONDS 0.3
#define FILE_MAX 65536u

typedef struct end {
  struct end *other;
  torc_dtls *d;
  torc_dtls_config cfg;
  uint8_t flight[16][1500]; /* what came and was not read yet */
  size_t lens[16], num;
  size_t num_got;
} end;

typedef struct bench {
  torc_pki *pki;
  torc_tls_ctx *tls;
  torc_dtls_gate *gate;
  end ends[2];
  SSL *plain[2];
  torc_time now;
  uint8_t message[16384];
  size_t len;
  size_t allocated, num_allocations;
} bench;

static bench b;

static void fail(const char *what) {
  (void)fprintf(stderr, "bench_dtls: %s\n", what);
  exit(1);
}

/* ---- OpenSSL's memory ---- */

typedef union block {
  size_t len;
  max_align_t align;
} block;

static void *count_malloc(size_t num, const char *file, int line) {
  block *p = malloc(sizeof *p + num);
  (void)file;
  (void)line;
  if (p == NULL) {
    return NULL;
  }
  p->len = num;
  b.allocated += num;
  b.num_allocations++;
  return p + 1;
}

static void count_free(void *old, const char *file, int line) {
  (void)file;
  (void)line;
  if (old != NULL) {
    block *p = (block *)old - 1;
    b.allocated -= p->len;
    free(p);
  }
}

static void *count_realloc(void *old, size_t num, const char *file, int line) {
  void *p = num == 0 ? NULL : count_malloc(num, file, line);
  if (old != NULL && p != NULL) {
    size_t had = ((block *)old - 1)->len;
    memcpy(p, old, had < num ? had : num);
  }
  if (p != NULL || num == 0) {
    count_free(old, file, line);
  }
  return p;
}

/* ---- our ends ---- */

static int on_datagram(void *ctx, torc_slice bytes) {
  const end *e = ctx;
  end *to = e->other;
  if (to->num == TORC_ARRAY_LEN(to->lens) || bytes.len > sizeof to->flight[0]) {
    fail("flight too long");
  }
  memcpy(to->flight[to->num], bytes.p, bytes.len);
  to->lens[to->num] = bytes.len;
  to->num++;
  return 0;
}

static void on_message(void *ctx, torc_slice bytes) {
  end *e = ctx;
  e->num_got += bytes.len == b.len ? 1 : 0;
}

static void deliver(end *e) {
  for (size_t i = 0; i < e->num; i++) {
    if (e->d == NULL && torc_dtls_new(&e->d, b.gate, &e->cfg, b.now) != 0) {
      fail("no connection");
    }
    torc_dtls_input(e->d, torc_slice_of(e->flight[i], e->lens[i]), b.now);
  }
  e->num = 0;
}

static int meet(void) {
  for (int i = 0; i < 2; i++) {
    end *e = &b.ends[i];
    e->other = &b.ends[1 - i];
    e->num = 0;
    e->cfg =
        (torc_dtls_config){.is_client = i == 0,
                           .burst = UINT32_MAX,
                           .rate = UINT32_MAX,
                           .events = {.ctx = e, .datagram = on_datagram, .message = on_message}};
  }
  if (torc_dtls_new(&b.ends[0].d, b.gate, &b.ends[0].cfg, b.now) != 0) {
    return -1;
  }
  for (int i = 0; i < 8; i++) {
    deliver(&b.ends[1 - i % 2]);
  }
  return torc_dtls_get_state(b.ends[0].d) == TORC_DTLS_UP &&
                 torc_dtls_get_state(b.ends[1].d) == TORC_DTLS_UP
             ? 0
             : -1;
}

static void part(void) {
  for (int i = 0; i < 2; i++) {
    torc_dtls_free(b.ends[i].d);
    b.ends[i].d = NULL;
  }
}

static int our_handshake(void) {
  int rc = meet();
  part();
  return rc;
}

static int our_message(void) {
  size_t before = b.ends[1].num_got;
  b.now += 100;
  int rc = torc_dtls_send(b.ends[0].d, torc_slice_of(b.message, 28),
                          torc_slice_of(b.message + 28, b.len - 28), b.now);
  deliver(&b.ends[1]);
  return rc != 0 || b.ends[1].num_got != before + 1;
}

/* ---- plain OpenSSL ---- */

static int plain_meet(void) {
  BIO *there = BIO_new(BIO_s_mem());
  BIO *back = BIO_new(BIO_s_mem());
  BIO_set_mem_eof_return(there, -1);
  BIO_set_mem_eof_return(back, -1);
  for (int i = 0; i < 2; i++) {
    torc_tls *none = NULL;
    b.plain[i] = SSL_new(b.tls->ssl_ctx);
    SSL_set_app_data(b.plain[i], none);
    SSL_set_info_callback(b.plain[i], NULL);
    SSL_set_verify(b.plain[i], SSL_VERIFY_NONE, NULL);
    SSL_set_options(b.plain[i], SSL_OP_NO_QUERY_MTU);
    SSL_set_mtu(b.plain[i], 1200);
  }
  (void)BIO_up_ref(there);
  (void)BIO_up_ref(back);
  SSL_set_bio(b.plain[0], back, there);
  SSL_set_bio(b.plain[1], there, back);
  SSL_set_connect_state(b.plain[0]);
  SSL_set_accept_state(b.plain[1]);
  for (int i = 0; i < 8; i++) {
    (void)SSL_do_handshake(b.plain[i % 2]);
  }
  return SSL_is_init_finished(b.plain[0]) && SSL_is_init_finished(b.plain[1]) ? 0 : -1;
}

static int plain_message(void) {
  static uint8_t got[16384];
  size_t n = 0;
  if (SSL_write_ex(b.plain[0], b.message, b.len, &n) != 1 ||
      SSL_read_ex(b.plain[1], got, sizeof got, &n) != 1) {
    return -1;
  }
  return n == b.len ? 0 : -1;
}

/* ---- figures ---- */

static void run(const char *what, int (*op)(void), size_t len, int step) {
  size_t n = 0;
  b.len = len;
  if (op() != 0) {
    fail(what);
  }
  b.num_allocations = 0;
  double start = measure_now(CLOCK_PROCESS_CPUTIME_ID);
  double now = start;
  while (now - start < SECONDS) {
    for (int i = 0; i < step; i++) {
      if (op() != 0) {
        fail(what);
      }
    }
    n += (size_t)step;
    now = measure_now(CLOCK_PROCESS_CPUTIME_ID);
  }
  (void)printf(
      "{\"case\":\"dtls\",\"what\":\"%s\",\"bytes\":%zu,\"ns\":%.0f,\"allocations\":%.2f}\n", what,
      len, (now - start) * 1e9 / (double)n, (double)b.num_allocations / (double)n);
}

static torc_slice read_der(const char *path) {
  static uint8_t der[FILE_MAX];
  FILE *f = fopen(path, "rb");
  X509 *x = f == NULL ? NULL : PEM_read_X509(f, NULL, NULL, NULL);
  uint8_t *at = der;
  if (x == NULL) {
    fail("no root certificate");
  }
  int len = i2d_X509(x, &at);
  X509_free(x);
  (void)fclose(f);
  return torc_slice_of(der, (size_t)len);
}

int main(int argc, char **argv) {
  static const size_t sizes[] = {100, 300, 1000, 1150};
  char err[256] = "";
  if (CRYPTO_set_mem_functions(count_malloc, count_realloc, count_free) != 1 || argc != 5) {
    fail("usage: bench_dtls OVERLAY ROOT CERT KEY");
  }
  torc_slice root = read_der(argv[2]);
  if (torc_pki_new(&b.pki, argv[1], &root, 1, err, sizeof err) != 0 ||
      torc_pki_load_own(b.pki, argv[3], argv[4], torc_wall_now(), err, sizeof err) != 0 ||
      torc_tls_ctx_new_dtls(&b.tls, b.pki, err, sizeof err) != 0 ||
      torc_dtls_gate_new(&b.gate, b.tls, 0) != 0) {
    fail(err);
  }
  torc_tls_ctx_set_wall(b.tls, torc_wall_now());
  run("handshake, both ends", our_handshake, 0, 4);
  size_t before = b.allocated;
  if (meet() != 0) {
    fail("handshake");
  }
  size_t of_link = (b.allocated - before) / 2;
  for (size_t i = 0; i < TORC_ARRAY_LEN(sizes); i++) {
    run("message", our_message, sizes[i], 100);
  }
  part();
  SSL_CTX_set_cert_verify_callback(b.tls->ssl_ctx, NULL, NULL);
  SSL_CTX_set_info_callback(b.tls->ssl_ctx, NULL);
  if (plain_meet() != 0) {
    fail("plain handshake");
  }
  for (size_t i = 0; i < TORC_ARRAY_LEN(sizes); i++) {
    run("message, OpenSSL alone", plain_message, sizes[i], 100);
  }
  (void)printf("{\"case\":\"dtls\",\"what\":\"sizes\",\"link\":%zu,\"openssl\":%zu,\"gate\":%zu}\n",
               sizeof(torc_dtls), of_link, sizeof(torc_dtls_gate));
  for (int i = 0; i < 2; i++) {
    SSL_free(b.plain[i]);
  }
  torc_dtls_gate_free(b.gate);
  torc_tls_ctx_free(b.tls);
  torc_pki_free(b.pki);
  return 0;
}

/* STUN per message: reading an ICE check and proving it, writing one, answering a Binding request;
 * beside them OpenSSL's HMAC-SHA1 alone, in one call and with a prepared context. OpenSSL's own
 * allocations are counted; the codec has none. SPDX-License-Identifier: Apache-2.0 */
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <string.h>

#include "base/slice.h"
#include "ice/stun_answer.h"
#include "ice/stun_tx.h"
#include "io/stun_crypto.h"
#include "measure.h"

#define SECONDS 0.3

typedef struct bench {
  const torc_stun_crypto *crypto;
  torc_stun_key key;
  uint8_t check[256];
  size_t check_len;
  size_t num_allocations;
} bench;

static bench b;

static void *count_malloc(size_t num, const char *file, int line) {
  (void)file;
  (void)line;
  b.num_allocations++;
  return malloc(num);
}

static void *count_realloc(void *p, size_t num, const char *file, int line) {
  (void)file;
  (void)line;
  b.num_allocations++;
  return realloc(p, num);
}

static void count_free(void *p, const char *file, int line) {
  (void)file;
  (void)line;
  free(p);
}

static int decode(void) {
  torc_stun_msg m;
  return torc_stun_decode(&m, torc_slice_of(b.check, b.check_len));
}

static int prove(void) {
  torc_stun_msg m;
  int rc = torc_stun_decode(&m, torc_slice_of(b.check, b.check_len));
  return rc != 0
             ? rc
             : torc_stun_check_integrity(&m, b.crypto, &b.key, TORC_STUN_INTEGRITY_SHA1, 32, NULL);
}

static int write_check(void) {
  static const uint8_t txid[TORC_STUN_TXID_LEN] = {1};
  torc_stun_wr w;
  torc_wr wr;
  int rc;
  torc_wr_init(&wr, b.check, sizeof b.check);
  torc_stun_begin(&w, &wr, TORC_STUN_REQUEST, TORC_STUN_BINDING, txid);
  torc_stun_put(&w, TORC_STUN_ATTR_USERNAME, torc_slice_str("Fb3d:pQ9x"));
  torc_stun_put_u32(&w, TORC_STUN_ATTR_PRIORITY, 0x6effffff);
  torc_stun_put_u64(&w, TORC_STUN_ATTR_ICE_CONTROLLING, 42);
  rc = torc_stun_put_integrity(&w, b.crypto, &b.key, TORC_STUN_INTEGRITY_SHA1, 32);
  torc_stun_put_fingerprint(&w);
  b.check_len = wr.len;
  return rc != 0 ? rc : wr.err;
}

static int answer(void) {
  const torc_addr from = {.family = 1, .addr = {192, 0, 2, 1}, .port = 40000};
  uint8_t room[128];
  torc_wr wr;
  torc_wr_init(&wr, room, sizeof room);
  return torc_stun_answer_binding(&wr, torc_slice_of(b.check, b.check_len), &from);
}

static int hmac_call(void) {
  unsigned char out[20];
  return EVP_Q_mac(NULL, "HMAC", NULL, "SHA1", NULL, b.key.b, b.key.len, b.check, 76, out,
                   sizeof out, NULL) != NULL
             ? 0
             : -1;
}

static int hmac_prepared(void) {
  uint8_t out[TORC_STUN_HASH_MAX];
  torc_slice part = torc_slice_of(b.check, 76);
  return b.crypto->hmac(b.crypto->ctx, TORC_STUN_SHA1, torc_slice_of(b.key.b, b.key.len), &part, 1,
                        out);
}

static void run(const char *name, int (*op)(void)) {
  size_t n = 0;
  double start;
  double now;
  (void)op();
  b.num_allocations = 0;
  start = measure_now(CLOCK_PROCESS_CPUTIME_ID);
  now = start;
  while (now - start < SECONDS) {
    for (int i = 0; i < 100; i++) {
      if (op() != 0) {
        exit(1);
      }
    }
    n += 100;
    now = measure_now(CLOCK_PROCESS_CPUTIME_ID);
  }
  (void)printf(
      "{\"case\":\"stun\",\"what\":\"%s\",\"ns\":%.0f,\"allocations\":%.2f,\"bytes\":%zu}\n", name,
      (now - start) * 1e9 / (double)n, (double)b.num_allocations / (double)n, b.check_len);
}

int main(void) {
  torc_stun_openssl *ssl = NULL;
  if (CRYPTO_set_mem_functions(count_malloc, count_realloc, count_free) != 1 ||
      torc_stun_openssl_new(&ssl) != 0) {
    return 1;
  }
  b.crypto = torc_stun_openssl_table(ssl);
  if (torc_stun_key_short(b.crypto, torc_slice_str("VOkJxbRl1RmTxUk/WvJxBt"), &b.key) != 0 ||
      write_check() != 0) {
    return 1;
  }
  run("read", decode);
  run("read and prove", prove);
  run("write and sign", write_check);
  run("answer", answer);
  run("OpenSSL HMAC-SHA1, prepared", hmac_prepared);
  run("OpenSSL HMAC-SHA1, one call", hmac_call);
  (void)printf(
      "{\"case\":\"stun\",\"what\":\"sizes\",\"transaction\":%zu,\"login\":%zu,\"key\":%zu}\n",
      sizeof(torc_stun_tx), sizeof(torc_stun_login), sizeof(torc_stun_key));
  torc_stun_openssl_free(ssl);
  return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <openssl/crypto.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "authority/http/digest.h"
#include "authority/registry_impl.h"

#define NUMBER_LEN 8
#define MAC_LEN 24
#define TIME_AT NUMBER_LEN
#define MAC_AT (2 * NUMBER_LEN)
#define BYTES_LEN (2 * NUMBER_LEN + MAC_LEN) /* number, time, signature */
_Static_assert(2 * BYTES_LEN == TORC_NONCE_LEN, "digits of a nonce");

struct torc_nonces {
  pthread_mutex_t lock;
  uint8_t key[TORC_SHA256_LEN];
  uint64_t next;                             /* number of the next */
  uint64_t served[TORC_NONCES_TRACKED / 64]; /* a bit for each of the newest */
};

int torc_nonces_new(torc_nonces **out) {
  torc_nonces *n = calloc(1, sizeof *n);
  if (n == NULL) {
    return TORC_ERR_NOMEM;
  }
  if (RAND_bytes(n->key, sizeof n->key) != 1 || pthread_mutex_init(&n->lock, NULL) != 0) {
    free(n);
    return TORC_ERR_CRYPTO;
  }
  *out = n;
  return 0;
}

void torc_nonces_free(torc_nonces *n) {
  if (n != NULL) {
    OPENSSL_cleanse(n->key, sizeof n->key);
    (void)pthread_mutex_destroy(&n->lock);
    free(n);
  }
}

static void put_number(uint8_t out[NUMBER_LEN], uint64_t v) {
  for (size_t i = 0; i < NUMBER_LEN; i++) {
    out[i] = (uint8_t)(v >> (8 * (NUMBER_LEN - 1 - i)));
  }
}

static uint64_t get_number(const uint8_t p[NUMBER_LEN]) {
  uint64_t v = 0;
  for (size_t i = 0; i < NUMBER_LEN; i++) {
    v = v << 8 | p[i];
  }
  return v;
}

static bool sign(const torc_nonces *n, const uint8_t bytes[MAC_AT], uint8_t out[MAC_LEN]) {
  uint8_t mac[EVP_MAX_MD_SIZE];
  unsigned len = 0;
  if (HMAC(EVP_sha256(), n->key, sizeof n->key, bytes, MAC_AT, mac, &len) == NULL ||
      len < MAC_LEN) {
    return false;
  }
  memcpy(out, mac, MAC_LEN);
  return true;
}

/* The word and the bit of a number. */
static uint64_t *word_of(torc_nonces *n, uint64_t number, uint64_t *bit) {
  uint64_t at = number % TORC_NONCES_TRACKED;
  *bit = UINT64_C(1) << (at % 64);
  return &n->served[at / 64];
}

int torc_nonces_make(torc_nonces *n, torc_time now, char out[TORC_NONCE_LEN + 1]) {
  uint8_t bytes[BYTES_LEN];
  uint64_t bit = 0;
  (void)pthread_mutex_lock(&n->lock);
  uint64_t number = n->next;
  n->next++;
  uint64_t *word = word_of(n, number, &bit);
  *word &= ~bit; /* the one before it is too old now */
  (void)pthread_mutex_unlock(&n->lock);
  put_number(bytes, number);
  put_number(bytes + TIME_AT, now);
  if (!sign(n, bytes, bytes + MAC_AT)) {
    return TORC_ERR_CRYPTO;
  }
  torc_registry_hex(bytes, sizeof bytes, out);
  return 0;
}

bool torc_nonces_use(torc_nonces *n, const char *nonce, torc_time now) {
  uint8_t bytes[BYTES_LEN];
  uint8_t mac[MAC_LEN];
  uint64_t bit = 0;
  if (!torc_registry_unhex(nonce, bytes, sizeof bytes) || !sign(n, bytes, mac) ||
      CRYPTO_memcmp(mac, bytes + MAC_AT, MAC_LEN) != 0) {
    return false;
  }
  uint64_t number = get_number(bytes);
  torc_time made = get_number(bytes + TIME_AT);
  if (now > made && now - made > TORC_SEC(TORC_NONCE_LIFE_S)) {
    return false;
  }
  (void)pthread_mutex_lock(&n->lock);
  uint64_t *word = word_of(n, number, &bit);
  bool is_fresh = n->next - number <= TORC_NONCES_TRACKED && (*word & bit) == 0;
  if (is_fresh) {
    *word |= bit;
  }
  (void)pthread_mutex_unlock(&n->lock);
  return is_fresh;
}

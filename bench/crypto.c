/* Bare OpenSSL: how long one signature and one verification take, ECDSA P-256 and RSA-2048 with
 * SHA-256 over 900 bytes, about what a signed message of the ring is. SPDX-License-Identifier:
 * Apache-2.0 */
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <string.h>

#include "measure.h"

#define INPUT_LEN 900
#define SECONDS 0.5

static double time_sign(EVP_PKEY *key, unsigned char *sig, size_t *sig_len, size_t cap) {
  unsigned char input[INPUT_LEN];
  size_t n = 0;
  double start = measure_now(CLOCK_PROCESS_CPUTIME_ID);
  double now = start;
  memset(input, 7, sizeof input);
  while (now - start < SECONDS) {
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    *sig_len = cap;
    if (EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, key) != 1 ||
        EVP_DigestSign(ctx, sig, sig_len, input, sizeof input) != 1) {
      exit(1);
    }
    EVP_MD_CTX_free(ctx);
    n++;
    now = measure_now(CLOCK_PROCESS_CPUTIME_ID);
  }
  return (now - start) / (double)n;
}

static double time_verify(EVP_PKEY *key, const unsigned char *sig, size_t sig_len) {
  unsigned char input[INPUT_LEN];
  size_t n = 0;
  double start = measure_now(CLOCK_PROCESS_CPUTIME_ID);
  double now = start;
  memset(input, 7, sizeof input);
  while (now - start < SECONDS) {
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    if (EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, key) != 1 ||
        EVP_DigestVerify(ctx, sig, sig_len, input, sizeof input) != 1) {
      exit(1);
    }
    EVP_MD_CTX_free(ctx);
    n++;
    now = measure_now(CLOCK_PROCESS_CPUTIME_ID);
  }
  return (now - start) / (double)n;
}

int main(void) {
  unsigned char sig[512];
  size_t len = 0;
  EVP_PKEY *keys[2] = {EVP_EC_gen("P-256"), EVP_RSA_gen(2048)};
  static const char *const names[2] = {"ecdsa", "rsa"};
  for (int i = 0; i < 2; i++) {
    double sign = time_sign(keys[i], sig, &len, sizeof sig);
    double verify = time_verify(keys[i], sig, len);
    (void)printf(
        "{\"case\":\"crypto\",\"signature\":\"%s\",\"sign_us\":%.1f,\"verify_us\":%.1f,\"bytes\":%"
        "d}\n",
        names[i], sign * 1e6, verify * 1e6, INPUT_LEN);
    EVP_PKEY_free(keys[i]);
  }
  return 0;
}

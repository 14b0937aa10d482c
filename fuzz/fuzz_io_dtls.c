/* libFuzzer target of DTLS: the gate, and an accepting connection of a shared-key overlay. The
 * input is datagrams, two bytes of length and those bytes; the first bit of the length says that
 * time passes first. The connection is begun as the gate says, by ICE or by cookie as the first
 * byte of the input says. Properties: what the gate answers is shorter than what it was asked,
 * nobody comes up without the key, handshakes are bounded in number and time.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/slice.h"
#include "io/dtls.h"

#define REQUIRE(what)                                                  \
  do {                                                                 \
    if (!(what)) {                                                     \
      (void)fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #what); \
      abort();                                                         \
    }                                                                  \
  } while (0)

static torc_tls_ctx *tls;
static size_t num_sent;

static int on_datagram(void *ctx, torc_slice bytes) {
  (void)ctx;
  REQUIRE(bytes.len <= TORC_DTLS_PATH_MAX);
  num_sent++;
  return 0;
}

static void on_message(void *ctx, torc_slice bytes) {
  (void)ctx;
  (void)bytes;
  REQUIRE(false);
}

static void set_up(void) {
  static const uint8_t key[TORC_SHARED_KEY_LEN] = {1, 2, 3};
  torc_pki *pki = NULL;
  torc_id self;
  memset(&self, 0x22, sizeof self);
  if (tls == NULL) {
    REQUIRE(torc_pki_new_shared(&pki, "fuzz.example", key, &self, NULL, 0) == 0);
    REQUIRE(torc_tls_ctx_new_dtls(&tls, pki, NULL, 0) == 0);
  }
}

static void one(torc_dtls_gate *g, torc_dtls **d, bool is_validated, torc_slice bytes,
                torc_time now) {
  torc_dtls_config cfg = {.has_cookie = !is_validated,
                          .events = {.datagram = on_datagram, .message = on_message}};
  uint8_t reply[TORC_DTLS_REPLY_MAX];
  size_t len = 0;
  REQUIRE(torc_sock_parse("192.0.2.1:6084", &cfg.remote) == 0);
  torc_dtls_verdict v = torc_dtls_gate_judge(g, &cfg.remote, is_validated, bytes, now, reply, &len);
  REQUIRE(len == 0 || (v == TORC_DTLS_ANSWER && len < bytes.len && len <= sizeof reply));
  REQUIRE(v != TORC_DTLS_ACCEPT || is_validated); /* nobody guesses a cookie */
  if (v == TORC_DTLS_ACCEPT && *d == NULL) {
    REQUIRE(torc_dtls_new(d, g, &cfg, now) == 0);
  }
  if (*d != NULL) {
    torc_dtls_input(*d, bytes, now);
    REQUIRE(torc_dtls_get_state(*d) != TORC_DTLS_UP);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
  torc_dtls_gate *g = NULL;
  torc_dtls *d = NULL;
  torc_time now = TORC_SEC(1);
  set_up();
  num_sent = 0;
  REQUIRE(torc_dtls_gate_new(&g, tls, now) == 0);
  for (size_t at = 1; at + 2 <= len;) {
    size_t n = ((size_t)data[at] << 8 | data[at + 1]) & 0x7fffu;
    now += (data[at] & 0x80u) != 0 ? TORC_MS(700) : 0;
    at += 2;
    n = n < len - at ? n : len - at;
    if (d != NULL) {
      torc_dtls_tick(d, now);
    }
    one(g, &d, (data[0] & 1u) != 0, torc_slice_of(data + at, n), now);
    at += n;
  }
  REQUIRE(torc_dtls_gate_half_open(g) <= 1);
  REQUIRE(num_sent <= 40 + len); /* a flight or two, and an alert or so each */
  if (d != NULL) {
    torc_dtls_tick(d, now + TORC_DTLS_LIMIT);
    REQUIRE(torc_dtls_get_state(d) == TORC_DTLS_ENDED);
  }
  torc_dtls_free(d);
  REQUIRE(torc_dtls_gate_half_open(g) == 0);
  torc_dtls_gate_free(g);
  return 0;
}

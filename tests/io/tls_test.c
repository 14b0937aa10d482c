/* TLS in a program without OpenSSL's error texts; in a process of its own, since the choice is made
 * once. SPDX-License-Identifier: Apache-2.0 */
#include "io/tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>

#include "base/slice.h"
#include "io/helper_pki.h"
#include "torc_test.h"

#define OVERLAY "ring.example.org"
#define OUT_MAX 65536u

static hp_ca ca;
static torc_pki *pki;
static torc_tls_ctx *ctx;

static int set_up(void **state) {
  char err[256] = "";
  (void)state;
  torc_tls_without_texts();
  hp_ca_make(&ca, "root", true);
  pki = hp_pki_own(&ca, OVERLAY, &(hp_spec){.overlay = OVERLAY});
  if (torc_tls_ctx_new(&ctx, pki, err, sizeof err) != 0) {
    return -1;
  }
  torc_tls_ctx_set_wall(ctx, hp_now());
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  torc_tls_ctx_free(ctx);
  torc_pki_free(pki);
  hp_ca_free(&ca);
  return 0;
}

/* Gives what `from` says to `to` and lets it go on. */
static int pass(torc_tls *from, torc_tls *to) {
  torc_buf bytes = from->out;
  torc_buf_init(&from->out, torc_mem_libc(), OUT_MAX);
  to->in = torc_buf_slice(&bytes);
  int rc = torc_tls_handshake(to);
  torc_buf_clear(&bytes);
  return rc;
}

static void test_no_texts(void **state) {
  (void)state;
  assert_null(ERR_reason_error_string(ERR_PACK(ERR_LIB_SSL, 0, SSL_R_WRONG_VERSION_NUMBER)));
}

static void test_failure_by_number(void **state) {
  torc_tls t;
  char number[32];
  (void)state;
  assert_int_equal(torc_tls_init(&t, ctx, false, NULL, OUT_MAX), 0);
  t.in = torc_slice_of("GET / HTTP/1.1\r\n\r\n", 18);
  assert_int_equal(torc_tls_handshake(&t), TORC_ERR_CRYPTO);
  (void)snprintf(number, sizeof number, "OpenSSL error %08lX",
                 (unsigned long)ERR_PACK(ERR_LIB_SSL, 0, SSL_R_HTTP_REQUEST));
  assert_string_equal(t.why, number);
  torc_tls_clear(&t);
}

/* The server is of another overlay: the client says so, the server is told. */
static void test_alert_in_words(void **state) {
  torc_tls client;
  torc_tls server;
  char err[256] = "";
  torc_tls_ctx *other = NULL;
  (void)state;
  torc_pki *theirs =
      hp_pki_own(&ca, "other.example.org", &(hp_spec){.overlay = "other.example.org"});
  assert_int_equal(torc_tls_ctx_new(&other, theirs, err, sizeof err), 0);
  torc_tls_ctx_set_wall(other, hp_now());
  assert_int_equal(torc_tls_init(&client, ctx, true, NULL, OUT_MAX), 0);
  assert_int_equal(torc_tls_init(&server, other, false, NULL, OUT_MAX), 0);
  assert_int_equal(torc_tls_handshake(&client), TORC_ERR_SHORT);
  assert_int_equal(pass(&client, &server), TORC_ERR_SHORT);
  assert_int_equal(pass(&server, &client), TORC_ERR_CRYPTO);
  assert_string_equal(client.why, "no peer-id of this overlay");
  assert_int_equal(pass(&client, &server), TORC_ERR_CRYPTO);
  assert_string_equal(server.why, "refused by the other side: bad certificate");
  torc_tls_clear(&client);
  torc_tls_clear(&server);
  torc_tls_ctx_free(other);
  torc_pki_free(theirs);
}

/* What is believed of the certificate in a handshake is what is believed of the same bytes. */
static void test_certificate_as_parsed(void **state) {
  torc_tls client;
  torc_tls server;
  torc_cert *again = NULL;
  (void)state;
  assert_int_equal(torc_tls_init(&client, ctx, true, NULL, OUT_MAX), 0);
  assert_int_equal(torc_tls_init(&server, ctx, false, NULL, OUT_MAX), 0);
  assert_int_equal(torc_tls_handshake(&client), TORC_ERR_SHORT);
  assert_int_equal(pass(&client, &server), TORC_ERR_SHORT);
  assert_int_equal(pass(&server, &client), 0);
  assert_int_equal(pass(&client, &server), 0);
  const torc_cert *own = torc_pki_own_cert(pki);
  assert_int_equal(torc_pki_accept(pki, own->der, &again, NULL, 0), 0);
  const torc_cert *shown[] = {client.cert, server.cert, again};
  for (size_t i = 0; i < TORC_ARRAY_LEN(shown); i++) {
    assert_true(torc_slice_eq(shown[i]->der, own->der));
    assert_memory_equal(shown[i]->digest, own->digest, TORC_DIGEST_LEN);
    assert_int_equal(shown[i]->num_peers, 1);
    assert_memory_equal(&shown[i]->peers[0], &own->peers[0], sizeof(torc_id));
    assert_int_equal(shown[i]->not_after, own->not_after);
  }
  torc_cert_free(again);
  torc_tls_clear(&client);
  torc_tls_clear(&server);
}

int main(void) {
  static const struct CMUnitTest tests[] = {
      TORC_TEST("OpenSSL's texts are not loaded", test_no_texts),
      TORC_TEST("TLS-03 a failure without texts has its number", test_failure_by_number),
      TORC_TEST("TLS-06 SEC-17 an alert is told in words", test_alert_in_words),
      TORC_TEST("TLS-06 R-38 a certificate is believed from a handshake as from its bytes",
                test_certificate_as_parsed),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}

/* Handshakes of shared-key overlays [D-18], and what holds them up.
 * SPDX-License-Identifier: Apache-2.0 */
#include <openssl/ssl.h>
#include <stdio.h>

#include "base/id.h"
#include "base/slice.h"
#include "io/helper_pki.h"
#include "io/tls.h"
#include "torc_test.h"

#define OVERLAY "home.example"
#define OUT_MAX 65536u
#define PASSES_MAX 8

static torc_id id_of(uint8_t first) {
  torc_id id;
  memset(id.b, 0x22, sizeof id.b);
  id.b[0] = first;
  return id;
}

typedef struct side {
  torc_pki *pki;
  torc_tls_ctx *ctx;
  torc_tls tls;
  int rc;
} side;

static void shared_side(side *s, uint8_t first, uint8_t key_byte) {
  uint8_t key[TORC_SHARED_KEY_LEN];
  torc_id self = id_of(first);
  char err[256] = "";
  memset(key, key_byte, sizeof key);
  assert_int_equal(torc_pki_new_shared(&s->pki, OVERLAY, key, &self, err, sizeof err), 0);
  assert_int_equal(torc_tls_ctx_new(&s->ctx, s->pki, err, sizeof err), 0);
}

static void end(side *s) {
  torc_tls_clear(&s->tls);
  torc_tls_ctx_free(s->ctx);
  torc_pki_free(s->pki);
}

static void step(side *from, side *to) {
  torc_buf bytes = from->tls.out;
  torc_buf_init(&from->tls.out, torc_mem_libc(), OUT_MAX);
  to->tls.in = torc_buf_slice(&bytes);
  if (to->rc == TORC_ERR_SHORT) {
    to->rc = torc_tls_handshake(&to->tls);
  }
  torc_buf_clear(&bytes);
}

static void shake(side *client, side *server, const torc_id *expected) {
  assert_int_equal(torc_tls_init(&client->tls, client->ctx, true, expected, OUT_MAX), 0);
  assert_int_equal(torc_tls_init(&server->tls, server->ctx, false, NULL, OUT_MAX), 0);
  server->rc = TORC_ERR_SHORT;
  client->rc = torc_tls_handshake(&client->tls);
  for (int i = 0; i < PASSES_MAX; i++) {
    step(client, server);
    step(server, client);
  }
}

static void test_both_versions(void **state) {
  (void)state;
  for (int is_known = 0; is_known < 2; is_known++) {
    side client = {0};
    side server = {0};
    torc_id other = id_of(2);
    torc_id own = id_of(1);
    shared_side(&client, 1, 7);
    shared_side(&server, 2, 7);
    shake(&client, &server, is_known != 0 ? &other : NULL);
    assert_int_equal(client.rc, 0);
    assert_int_equal(server.rc, 0);
    assert_string_equal(SSL_get_version(client.tls.ssl), is_known != 0 ? "TLSv1.3" : "TLSv1.2");
    if (is_known == 0) {
      assert_string_equal(SSL_get_cipher_name(client.tls.ssl), "ECDHE-PSK-CHACHA20-POLY1305");
    }
    assert_memory_equal(&client.tls.cert->peers[0], &other, sizeof other);
    assert_memory_equal(&server.tls.cert->peers[0], &own, sizeof own);
    assert_int_equal(client.tls.cert->num_users, 0);
    end(&client);
    end(&server);
  }
}

static void test_another_key(void **state) {
  (void)state;
  for (int is_known = 0; is_known < 2; is_known++) {
    side client = {0};
    side server = {0};
    torc_id other = id_of(2);
    shared_side(&client, 1, 7);
    shared_side(&server, 2, 8);
    shake(&client, &server, is_known != 0 ? &other : NULL);
    assert_int_equal(client.rc, TORC_ERR_CRYPTO);
    assert_int_equal(server.rc, TORC_ERR_CRYPTO);
    assert_string_equal(client.tls.why, "the other side has another shared key");
    assert_string_equal(server.tls.why, "the other side has another shared key");
    assert_null(client.tls.cert);
    assert_null(server.tls.cert);
    end(&client);
    end(&server);
  }
}

static void test_another_peer(void **state) {
  side client = {0};
  side server = {0};
  torc_id third = id_of(3);
  (void)state;
  shared_side(&client, 1, 7);
  shared_side(&server, 2, 7);
  shake(&client, &server, &third);
  assert_int_equal(client.rc, TORC_ERR_CRYPTO);
  assert_int_equal(server.rc, TORC_ERR_CRYPTO);
  assert_string_equal(server.tls.why, "the other side expects another peer");
  end(&client);
  end(&server);
}

/* Neither way round does a certificate open the door, however good it is. */
static void test_certificate(void **state) {
  static hp_ca ca;
  torc_id other = id_of(2);
  (void)state;
  hp_ca_make(&ca, "root", true);
  for (int i = 0; i < 3; i++) {
    side with_key = {0};
    side with_cert = {0};
    shared_side(&with_key, 1, 7);
    with_cert.pki = hp_pki_own(&ca, OVERLAY, &(hp_spec){.overlay = OVERLAY});
    assert_int_equal(torc_tls_ctx_new(&with_cert.ctx, with_cert.pki, NULL, 0), 0);
    torc_tls_ctx_set_wall(with_cert.ctx, hp_now());
    if (i == 0) {
      shake(&with_cert, &with_key, NULL);
    } else {
      shake(&with_key, &with_cert, i == 1 ? NULL : &other);
    }
    assert_int_equal(with_key.rc, TORC_ERR_CRYPTO);
    assert_int_not_equal(with_cert.rc, 0);
    assert_null(with_key.tls.cert);
    assert_null(with_cert.tls.cert);
    end(&with_key);
    end(&with_cert);
  }
  hp_ca_free(&ca);
}

int main(void) {
  static const struct CMUnitTest tests[] = {
      TORC_TEST("SEC-06 D-18 GAP-137 TLS 1.2, and 1.3 if the peer-id is known", test_both_versions),
      TORC_TEST("SEC-06 SEC-08 another key", test_another_key),
      TORC_TEST("D-18 another peer than expected", test_another_peer),
      TORC_TEST("SEC-06 a certificate in place of the key", test_certificate),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

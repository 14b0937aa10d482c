/* DTLS while OpenSSL's n-th allocation fails: a connection comes up or ends with an error, and
 * gives everything back. In a process of its own, since OpenSSL is told of its memory once.
 * SPDX-License-Identifier: Apache-2.0 */
#include <openssl/crypto.h>

#include "io/dtls_pipe.h"

static size_t num_calls, fail_at, num_live;

static bool fails(void) {
  num_calls++;
  return num_calls == fail_at;
}

static void *failing_malloc(size_t num, const char *file, int line) {
  (void)file;
  (void)line;
  void *p = fails() ? NULL : malloc(num);
  num_live += p != NULL ? 1 : 0;
  return p;
}

static void failing_free(void *p, const char *file, int line) {
  (void)file;
  (void)line;
  num_live -= p != NULL ? 1 : 0;
  free(p);
}

static void *failing_realloc(void *old, size_t num, const char *file, int line) {
  if (old == NULL) {
    return failing_malloc(num, file, line);
  }
  if (num == 0) {
    failing_free(old, file, line);
    return NULL;
  }
  return fails() ? NULL : realloc(old, num);
}

/* As the pipe does, but a connection that cannot be made is no failure of the test. */
static int try_dial(pipe *p) {
  end *e = &p->ends[0];
  return torc_dtls_new(&e->d, e->gate, &e->cfg, now);
}

static void hand_over(pipe *p) {
  static flight f;
  for (unsigned steps = 0; p->num > 0 && steps < 100; steps++) {
    size_t first = first_flight(p);
    f = p->flights[first];
    p->flights[first] = p->flights[--p->num];
    now = f.at;
    end *e = &p->ends[f.to];
    if (e->d == NULL && torc_dtls_new(&e->d, e->gate, &e->cfg, now) != 0) {
      continue;
    }
    torc_dtls_input(e->d, torc_slice_of(f.bytes, f.len), now);
  }
}

static bool is_up(const pipe *p) {
  return state_of(&p->ends[0]) == TORC_DTLS_UP && state_of(&p->ends[1]) == TORC_DTLS_UP;
}

static void forget(pipe *p) {
  for (size_t i = 0; i < 2; i++) {
    torc_dtls_free(p->ends[i].d);
    p->ends[i].d = NULL;
    assert_int_equal(torc_dtls_gate_half_open(p->ends[i].gate), 0);
  }
  p->num = 0;
}

/* With the shared key: where the parser of certificates has no memory for a name, OpenSSL 3.0
 * itself loses some. */
static void test_no_memory(void **state) {
  (void)state;
  pipe *p = pipe_with(true, 1, shared_of(1, 7), shared_of(2, 7));
  size_t num_up = 0;
  size_t num_failed = 0;
  for (int i = 0; i < 2; i++) { /* what OpenSSL keeps for ever, it has by then */
    assert_int_equal(try_dial(p), 0);
    hand_over(p);
    assert_true(is_up(p));
    forget(p);
  }
  num_calls = 0;
  assert_int_equal(try_dial(p), 0);
  hand_over(p);
  size_t most = num_calls;
  forget(p);
  size_t live = num_live;
  for (size_t n = 1; n <= most; n++) {
    num_calls = 0;
    fail_at = n;
    if (try_dial(p) == 0) {
      hand_over(p);
    }
    fail_at = 0;
    num_up += is_up(p) ? 1 : 0;
    num_failed += is_up(p) ? 0 : 1;
    for (size_t i = 0; i < 2; i++) { /* whoever still waits, gives up */
      if (p->ends[i].d != NULL) {
        torc_dtls_tick(p->ends[i].d, now + TORC_DTLS_LIMIT);
        assert_true(torc_dtls_get_state(p->ends[i].d) != TORC_DTLS_HANDSHAKE);
      }
    }
    forget(p);
    assert_int_equal(num_live, live);
  }
  assert_true(num_failed > 100 && num_up > 0); /* some of it is not needed */
  assert_int_equal(try_dial(p), 0);            /* and it goes on as before */
  hand_over(p);
  assert_true(is_up(p));
  forget(p);
  pipe_free(p);
}

int main(void) {
  static const struct CMUnitTest tests[] = {
      TORC_TEST("TLS-02 OpenSSL has no memory", test_no_memory),
  };
  if (CRYPTO_set_mem_functions(failing_malloc, failing_realloc, failing_free) != 1) {
    return 1;
  }
  return TORC_RUN(tests);
}

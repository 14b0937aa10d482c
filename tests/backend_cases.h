/* What every torc_backend must do, as functions that take an empty one. A backend's own test runs
 * them all, each on a fresh backend: BACKEND_CASES(X) calls X(name, function).
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_BACKEND_CASES_H
#define TORC_BACKEND_CASES_H

#include <stdio.h>

#include "torc/storage.h"
#include "torc_test.h"

static inline torc_slice bc_str(const char *text) {
  return (torc_slice){.p = (const uint8_t *)text, .len = strlen(text)};
}

static inline void bc_begin(torc_backend *b, bool write) {
  assert_int_equal(b->begin(b->ctx, write), 0);
}

static inline void bc_commit(torc_backend *b) {
  assert_int_equal(b->commit(b->ctx), 0);
}

static inline void bc_put(torc_backend *b, const char *key, const char *value) {
  assert_int_equal(b->put(b->ctx, bc_str(key), bc_str(value)), 0);
}

static inline void bc_expect(torc_backend *b, const char *key, const char *value) {
  torc_slice found;
  if (value == NULL) {
    assert_int_equal(b->get(b->ctx, bc_str(key), &found), TORC_ERR_NOTFOUND);
    return;
  }
  assert_int_equal(b->get(b->ctx, bc_str(key), &found), 0);
  assert_int_equal(found.len, strlen(value));
  assert_memory_equal(found.p, value, found.len);
}

static inline void bc_expect_seek(torc_backend *b, const char *from, const char *key,
                                  const char *value) {
  torc_slice k;
  torc_slice v;
  int rc = b->seek(b->ctx, bc_str(from), &k, &v);
  if (key == NULL) {
    assert_int_equal(rc, TORC_ERR_NOTFOUND);
    return;
  }
  assert_int_equal(rc, 0);
  assert_int_equal(k.len, strlen(key));
  assert_memory_equal(k.p, key, k.len);
  assert_int_equal(v.len, strlen(value));
  assert_memory_equal(v.p, value, v.len);
}

static inline void bc_empty(torc_backend *b) {
  bc_begin(b, false);
  bc_expect(b, "a", NULL);
  bc_expect_seek(b, "a", NULL, NULL);
  b->abort(b->ctx);
}

static inline void bc_committed_is_seen(torc_backend *b) {
  bc_begin(b, true);
  bc_put(b, "key", "value");
  bc_expect(b, "key", "value"); /* its own writes */
  bc_commit(b);
  bc_begin(b, false);
  bc_expect(b, "key", "value");
  bc_expect(b, "ke", NULL);
  bc_expect(b, "key2", NULL);
  b->abort(b->ctx);
}

static inline void bc_replace_and_delete(torc_backend *b) {
  bc_begin(b, true);
  bc_put(b, "k", "one");
  bc_put(b, "k", "a longer second");
  bc_expect(b, "k", "a longer second");
  bc_put(b, "k", "");
  bc_expect(b, "k", "");
  assert_int_equal(b->del(b->ctx, bc_str("k")), 0);
  bc_expect(b, "k", NULL);
  assert_int_equal(b->del(b->ctx, bc_str("k")), 0); /* nothing there: still fine */
  bc_put(b, "k", "again");
  bc_commit(b);
  bc_begin(b, false);
  bc_expect(b, "k", "again");
  b->abort(b->ctx);
}

static inline void bc_abort_undoes(torc_backend *b) {
  bc_begin(b, true);
  bc_put(b, "kept", "1");
  bc_put(b, "gone", "2");
  bc_commit(b);
  bc_begin(b, true);
  bc_put(b, "kept", "changed");
  bc_put(b, "kept", "changed twice");
  assert_int_equal(b->del(b->ctx, bc_str("gone")), 0);
  bc_put(b, "gone", "reborn");
  assert_int_equal(b->del(b->ctx, bc_str("gone")), 0);
  bc_put(b, "new", "3");
  assert_int_equal(b->del(b->ctx, bc_str("new")), 0);
  bc_put(b, "newer", "4");
  b->abort(b->ctx);
  bc_begin(b, false);
  bc_expect(b, "kept", "1");
  bc_expect(b, "gone", "2");
  bc_expect(b, "new", NULL);
  bc_expect(b, "newer", NULL);
  bc_expect_seek(b, "a", "gone", "2");
  bc_expect_seek(b, "h", "kept", "1");
  bc_expect_seek(b, "l", NULL, NULL);
  b->abort(b->ctx);
}

static inline void bc_order_is_bytewise(torc_backend *b) {
  /* Written in another order than they sort in; the last is above any ASCII. */
  static const char *const keys[] = {"m",    "a",     "ab",       "b",   "aa",
                                     "\x7f", "a\x01", "\xff\x01", "\x80"};
  static const char *const sorted[] = {"a", "a\x01", "aa",   "ab",      "b",
                                       "m", "\x7f",  "\x80", "\xff\x01"};
  bc_begin(b, true);
  for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
    bc_put(b, keys[i], keys[i]);
  }
  bc_commit(b);
  bc_begin(b, false);
  char at[8] = "\x01";
  for (size_t i = 0; i < sizeof sorted / sizeof sorted[0]; i++) {
    bc_expect_seek(b, at, sorted[i], sorted[i]);
    bc_expect_seek(b, sorted[i], sorted[i], sorted[i]); /* >= */
    size_t len = strlen(sorted[i]);
    memcpy(at, sorted[i], len);
    at[len] = '\x01';
    at[len + 1] = '\0';
    if (strcmp(sorted[i], "a") == 0) {
      bc_expect_seek(b, at, "a\x01", "a\x01");
    }
  }
  bc_expect_seek(b, "\xff\x02", NULL, NULL);
  b->abort(b->ctx);
}

static inline void bc_longest_key(torc_backend *b) {
  uint8_t key[TORC_BACKEND_KEY_MAX];
  memset(key, 0xee, sizeof key);
  torc_slice k = {.p = key, .len = sizeof key};
  torc_slice v;
  bc_begin(b, true);
  assert_int_equal(b->put(b->ctx, k, bc_str("long")), 0);
  assert_int_equal(b->get(b->ctx, k, &v), 0);
  assert_int_equal(v.len, 4);
  torc_slice shorter = {.p = key, .len = sizeof key - 1};
  torc_slice found;
  assert_int_equal(b->seek(b->ctx, shorter, &found, &v), 0);
  assert_int_equal(found.len, sizeof key);
  assert_int_equal(b->del(b->ctx, k), 0);
  assert_int_equal(b->get(b->ctx, k, &v), TORC_ERR_NOTFOUND);
  bc_commit(b);
}

static inline void bc_large_value(torc_backend *b) {
  enum { LEN = 70000 };
  uint8_t *big = malloc(LEN);
  assert_non_null(big);
  for (size_t i = 0; i < LEN; i++) {
    big[i] = (uint8_t)(i * 7 + i / 251);
  }
  bc_begin(b, true);
  assert_int_equal(b->put(b->ctx, bc_str("big"), (torc_slice){.p = big, .len = LEN}), 0);
  bc_commit(b);
  bc_begin(b, false);
  torc_slice v;
  assert_int_equal(b->get(b->ctx, bc_str("big"), &v), 0);
  assert_int_equal(v.len, LEN);
  assert_memory_equal(v.p, big, LEN);
  b->abort(b->ctx);
  free(big);
}

static inline void bc_slices_live_until_next_write(torc_backend *b) {
  bc_begin(b, true);
  bc_put(b, "x", "first");
  bc_put(b, "y", "second");
  bc_commit(b);
  bc_begin(b, false);
  torc_slice x;
  torc_slice y;
  torc_slice k;
  assert_int_equal(b->get(b->ctx, bc_str("x"), &x), 0);
  assert_int_equal(b->seek(b->ctx, bc_str("xx"), &k, &y), 0);
  bc_expect(b, "y", "second");
  assert_memory_equal(x.p, "first", x.len);
  assert_memory_equal(y.p, "second", y.len);
  assert_memory_equal(k.p, "y", k.len);
  b->abort(b->ctx);
}

static inline void bc_one_txn_at_a_time(torc_backend *b) {
  bc_begin(b, false);
  assert_int_not_equal(b->put(b->ctx, bc_str("a"), bc_str("b")), 0); /* reading only */
  assert_int_not_equal(b->del(b->ctx, bc_str("a")), 0);
  b->abort(b->ctx);
  bc_begin(b, true);
  b->abort(b->ctx);
  bc_begin(b, true);
  bc_commit(b);
}

/* Random writes, some transactions aborted, against a table of what must be there. */
static inline void bc_random(torc_backend *b) {
  enum { KEYS = 64, ROUNDS = 300, STEPS = 12 };
  int now[KEYS];
  int next[KEYS];
  uint32_t seed = 12345;
  for (int i = 0; i < KEYS; i++) {
    now[i] = -1;
  }
  for (int round = 0; round < ROUNDS; round++) {
    memcpy(next, now, sizeof next);
    bc_begin(b, true);
    for (int step = 0; step < STEPS; step++) {
      char key[16];
      char value[40];
      seed = seed * 1664525u + 1013904223u;
      uint32_t k = seed >> 8 & (KEYS - 1);
      snprintf(key, sizeof key, "k%02u", k);
      if ((seed >> 20 & 3) == 0) {
        assert_int_equal(b->del(b->ctx, bc_str(key)), 0);
        next[k] = -1;
      } else {
        next[k] = (int)(seed >> 24);
        snprintf(value, sizeof value, "%0*d", 1 + next[k] % 30, next[k]);
        bc_put(b, key, value);
      }
    }
    seed = seed * 1664525u + 1013904223u;
    if ((seed >> 16 & 1) == 0) {
      b->abort(b->ctx);
    } else {
      bc_commit(b);
      memcpy(now, next, sizeof now);
    }
    bc_begin(b, false);
    char at[24] = "k";
    for (int i = 0; i < KEYS; i++) {
      char key[16];
      char value[40];
      snprintf(key, sizeof key, "k%02d", i);
      if (now[i] < 0) {
        bc_expect(b, key, NULL);
        continue;
      }
      snprintf(value, sizeof value, "%0*d", 1 + now[i] % 30, now[i]);
      bc_expect_seek(b, at, key, value);
      snprintf(at, sizeof at, "%s!", key);
    }
    bc_expect_seek(b, at, NULL, NULL);
    b->abort(b->ctx);
  }
}

#define BACKEND_CASES(X)                                                           \
  X("STO-06 an empty backend has nothing", bc_empty)                               \
  X("STO-06 what is committed is seen, by itself at once", bc_committed_is_seen)   \
  X("STO-06 replacing and deleting inside one transaction", bc_replace_and_delete) \
  X("STO-06 after abort nothing of the transaction is left", bc_abort_undoes)      \
  X("R-41 seek goes in bytewise order of the keys", bc_order_is_bytewise)          \
  X("STO-14 the longest key", bc_longest_key)                                      \
  X("STO-14 a value of 70000 bytes", bc_large_value)                               \
  X("STO-06 slices live until the next write", bc_slices_live_until_next_write)    \
  X("STO-06 no write in a reading transaction, one transaction after the other",   \
    bc_one_txn_at_a_time)                                                          \
  X("STO-06 random transactions, half of them aborted", bc_random)

#endif

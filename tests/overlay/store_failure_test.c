/* Every operation with its n-th allocation and its n-th backend call failing: a negative result,
 * nothing changed, and the same operation works afterwards. SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "torc_test.h"

#include "base/id.h"
#include "base/slice.h"
#include "helper_store.h"

typedef struct operation {
  const char *name;
  int (*run)(hs *h);      /* 0 and 200 are success */
  bool may_purge;         /* reading may have deleted what has expired */
  const char *afterwards; /* HS_MAP after success; NULL: as before */
} operation;

static int op_store(hs *h) {
  const hs_elem list[] = {{.type = HS_NOTE, .value = "new", .time = HS_NOW + 1},
                          {.type = HS_LIST, .index = -1, .value = "new"},
                          {.type = HS_LIST, .index = 0, .value = "new", .time = HS_NOW + 1},
                          {.type = HS_MAP, .key = "a", .value = "new", .time = HS_NOW + 1},
                          {.type = HS_MAP, .key = "z", .value = "new"}};
  int code = hs_store(h, &h->res, list, TORC_ARRAY_LEN(list));
  if (code < 0) {
    assert_int_equal(h->result.code, 200); /* no verdict */
  }
  return code;
}

static int op_store_long_key(hs *h) {
  char key[301];
  memset(key, 'L', 300);
  key[300] = '\0';
  return hs_store(h, &h->res, &(hs_elem){.type = HS_MAP, .key = key, .value = "new"}, 1);
}

static int op_replica(hs *h) {
  const hs_elem list[] = {
      {.type = HS_MAP, .gen = 44, .key = "a", .value = "new", .time = HS_NOW + 1},
      {.type = HS_MAP, .key = "c", .value = "old", .sig = "a"},
      {.type = HS_LIST, .gen = 44, .index = 9, .value = "new"}};
  h->origin = TORC_ORIGIN_REPLICA;
  int code = hs_store(h, &h->res, list, TORC_ARRAY_LEN(list));
  h->origin = TORC_ORIGIN_OWNER;
  return code;
}

static int op_remove(hs *h) {
  const hs_spec list[] = {{.type = HS_NOTE, .gen = 1},
                          {.type = HS_MAP, .gen = 3},
                          {.type = HS_LIST, .gen = 2, .last = -1}};
  return hs_remove(h, &h->res, list, 3, h->alice);
}

static int op_replay(hs *h) {
  const hs_spec list[] = {{.type = HS_MAP, .gen = 17, .keys = "a,q"},
                          {.type = HS_LIST, .gen = 17, .last = -1}};
  h->origin = TORC_ORIGIN_REPLICA;
  int code = hs_remove(h, &h->res, list, 2, h->alice);
  h->origin = TORC_ORIGIN_OWNER;
  return code;
}

static int op_expire(hs *h) {
  torc_wall next = 0;
  return torc_store_expire(h->store, HS_NOW + 10, 1000, &next);
}

static int op_expire_all(hs *h) {
  torc_wall next = 0;
  int rc = torc_store_expire(h->store, HS_NOW + 200, 1000, &next);
  return rc != 0 ? rc : torc_store_expire(h->store, HS_NOW + 61 * 86400, 1000, &next);
}

static int op_drop(hs *h) {
  return torc_store_drop_range(h->store, &torc_id_zero, &torc_id_zero);
}

static int op_raise(hs *h) {
  return torc_store_raise_generations(h->store, &torc_id_zero, &torc_id_zero, true);
}

static int op_find(hs *h) {
  torc_id out = helper_id(1, 1);
  torc_id before = out;
  int rc =
      torc_store_find(h->store, HS_MAP, &torc_id_zero, &torc_id_zero, &torc_id_zero, h->now, &out);
  if (rc != 0) {
    assert_true(torc_id_eq(&out, &before));
  } else {
    assert_true(torc_id_eq(&out, &h->res));
  }
  return rc;
}

static int op_next(hs *h) {
  torc_id out;
  return torc_store_next_resource(h->store, &torc_id_zero, &torc_id_zero, &torc_id_zero, &out);
}

static int fetch(hs *h, torc_wall now) {
  uint8_t buf[256];
  const hs_spec list[] = {{.type = HS_NOTE}, {.type = HS_MAP}, {.type = HS_LIST, .last = -1}};
  size_t len = hs_spec_payload(h, &h->res, list, 3, buf, sizeof buf);
  torc_buf out;
  torc_buf_init(&out, &h->mem.mem, 100000);
  int rc = torc_store_fetch(h->store, torc_slice_of(buf, len), now, &out);
  if (rc != 0) {
    assert_int_equal(out.len, 0);
  }
  torc_buf_clear(&out);
  return rc;
}

static int op_fetch(hs *h) {
  return fetch(h, HS_NOW);
}

static int op_fetch_expired(hs *h) {
  return fetch(h, HS_NOW + 10);
}

static int take_store(void *ctx, const torc_id *resource, torc_slice payload) {
  (void)ctx;
  (void)resource;
  (void)payload;
  return 0;
}

static int take_remove(void *ctx, const torc_id *resource, uint64_t xid, torc_slice contents,
                       torc_slice signature) {
  (void)ctx;
  (void)resource;
  (void)xid;
  (void)contents;
  (void)signature;
  return 0;
}

static int op_copy(hs *h) {
  return hs_copy_all(h, &h->res, h->now, take_store, take_remove, NULL);
}

static int op_open(hs *h) {
  torc_store *s = NULL;
  int rc = torc_store_new(&s, &h->cfg, h->now);
  assert_true((rc == 0) == (s != NULL));
  if (s != NULL) {
    assert_int_equal(torc_store_num_resources(s), torc_store_num_resources(h->store));
  }
  torc_store_free(s);
  return rc;
}

static const operation operations[] = {
    {"STO-06 STORE", op_store, false,
     "f00003 g4: a=new@1000001 b=2@1000000 c=3@1000000 z=new@1000000"},
    {"STO-06 STORE with a long key", op_store_long_key, false,
     "f00003 g4: (300)LLLL=new@1000000 a=1@1000000 "
     "b=2@1000000 c=3@1000000"},
    {"STO-06 GAP-103 STORE of a replica", op_replica, false,
     "f00003 g44: a=new@1000001 b=2@1000000 c=3@1000000"},
    {"REM-06 REMOVE", op_remove, false, "f00003 g4:"},
    {"REM-06 D-14 replayed REMOVE", op_replay, false, "f00003 g18: b=2@1000000 c=3@1000000"},
    {"GAP-98 expiry", op_expire, false, "f00003 g4: a=1@1000000 b=2@1000000"},
    {"GAP-98 GAP-95 expiry of everything, counters included", op_expire_all, true, "f00003 g0:"},
    {"CHD-37 dropping", op_drop, false, "f00003 g0:"},
    {"GAP-95 raising", op_raise, false, "f00003 g4294967299: a=1@1000000 b=2@1000000 c=3@1000000"},
    {"FND-01 FIND", op_find, false, NULL},
    {"CHD-35 next resource", op_next, false, NULL},
    {"FET-01 FETCH", op_fetch, false, NULL},
    {"FET-01 GAP-98 FETCH after expiry", op_fetch_expired, true,
     "f00003 g4: a=1@1000000 b=2@1000000"},
    {"CHD-35 copying", op_copy, false, NULL},
    {"STO-06 opening", op_open, false, NULL},
};

#define MAP_BEFORE "f00003 g3: a=1@1000000 b=2@1000000 c=3@1000000"

static void fill(hs *h) {
  hs_init(h);
  const hs_elem first[] = {{.type = HS_NOTE, .value = "n"},
                           {.type = HS_LIST, .index = 0, .value = "A"},
                           {.type = HS_LIST, .index = 1, .value = "B"},
                           {.type = HS_MAP, .key = "a", .value = "1"},
                           {.type = HS_MAP, .key = "b", .value = "2"},
                           {.type = HS_MAP, .key = "c", .value = "3", .life = 10},
                           {.type = HS_MAP, .key = "d", .value = "4"}};
  assert_int_equal(hs_store(h, &h->res, first, 6), 200);
  assert_int_equal(hs_store(h, &h->res, first + 6, 1), 200);
  const hs_spec some[] = {{.type = HS_MAP, .gen = 2, .keys = "d"},
                          {.type = HS_LIST, .gen = 1, .first = 1, .last = 1}};
  assert_int_equal(hs_remove(h, &h->res, some, 2, h->alice), 200);
  HS_EXPECT(hs_fetch_all(h, &h->res, HS_MAP), MAP_BEFORE);
}

/* Returns whether the operation succeeded. */
static bool run_once(const operation *op, uint64_t fail_alloc, uint64_t fail_call) {
  hs h;
  fill(&h);
  uint8_t before[TORC_DIGEST_LEN];
  uint8_t after[TORC_DIGEST_LEN];
  hs_digest(&h, before);
  uint64_t bytes = torc_store_num_bytes(h.store);
  uint32_t resources = torc_store_num_resources(h.store);
  int64_t live = h.mem.num_live;
  helper_mem_reset(&h.mem, fail_alloc);
  h.backend.num_calls = 0;
  h.backend.fail_at = fail_call;
  int rc = op->run(&h);
  helper_mem_reset(&h.mem, 0);
  h.backend.fail_at = 0;
  if (rc < 0) {
    assert_true(fail_alloc != 0 ? rc == TORC_ERR_NOMEM : rc == TORC_ERR_IO);
    hs_digest(&h, after);
    if (!op->may_purge) {
      assert_memory_equal(before, after, sizeof before);
      assert_true(bytes == torc_store_num_bytes(h.store));
      assert_int_equal(resources, torc_store_num_resources(h.store));
      assert_true(live == h.mem.num_live);
    }
    int again = op->run(&h);
    assert_true(again == 0 || again == 200);
  } else {
    assert_true(rc == 0 || rc == 200);
  }
  HS_EXPECT(hs_fetch_all(&h, &h.res, HS_MAP), op->afterwards != NULL ? op->afterwards : MAP_BEFORE);
  bytes = torc_store_num_bytes(h.store);
  hs_reopen(&h);
  assert_true(bytes == torc_store_num_bytes(h.store));
  hs_clear(&h);
  return rc >= 0;
}

static void fails_cleanly(void **state) {
  const operation *op = *state;
  assert_true(run_once(op, 0, 0));
  uint64_t n = 1;
  while (!run_once(op, 0, n)) {
    n++;
    assert_true(n < 1000);
  }
  assert_true(n > 2); /* every operation has calls that can fail */
  n = 1;
  while (!run_once(op, n, 0)) {
    n++;
    assert_true(n < 1000);
  }
}

int main(void) {
  enum { NUM = TORC_ARRAY_LEN(operations) };
  struct CMUnitTest all[NUM];
  for (size_t i = 0; i < NUM; i++) {
    all[i] = (struct CMUnitTest)TORC_CASE(operations[i].name, fails_cleanly,
                                          (void *)(uintptr_t)&operations[i]);
  }
  return TORC_RUN(all);
}

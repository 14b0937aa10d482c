/* UPDATE: its contents, the three cases of receiving one, candidates and their limits, lost
 * neighbours. SPDX-License-Identifier: Apache-2.0 */
#include "overlay/helper_topofake.h"

static const unsigned none[] = {0};
/* self = 0x8000 with 3 + 3 neighbours and two others. */
static const unsigned ring[] = {0x5000, 0x6000, 0x7000, 0x9000, 0xa000, 0xb000, 0x1000, 0xe000, 0};

static void make(topofake *f) {
  topofake_init(f, "chord-128-2-1", 0x8000);
  topofake_ring(f, ring);
  topofake_run(f, TORC_SEC(2));
  topofake_please(f);
  topofake_forget(f);
}

static torc_chord_update sent_to(topofake *f, unsigned peer) {
  torc_chord_update u;
  topofake_call c;
  assert_true(topofake_find(f, FAKE_REQUEST, TORC_METHOD_UPDATE, peer, &c));
  assert_int_equal(torc_chord_update_decode(&u, (torc_slice){.p = c.payload, .len = c.len}), 0);
  topofake_answer(f, &c, TORC_CODE_OK);
  return u;
}

/* ---- sending ---- */

static void test_contents(void **state) {
  static const unsigned near[] = {0x5000, 0x6000, 0x7000, 0x9000, 0xa000, 0xb000};
  topofake f;
  (void)state;
  make(&f);
  topofake_run(&f, TORC_SEC(700)); /* one period */
  for (size_t i = 0; i < TORC_ARRAY_LEN(near); i++) {
    torc_chord_update u = sent_to(&f, near[i]);
    assert_int_equal(u.num_predecessors, 3);
    assert_int_equal(u.num_successors, 3);
    assert_peer(u.predecessors[0], 0x7000);
    assert_peer(u.predecessors[2], 0x5000);
    assert_peer(u.successors[0], 0x9000);
    assert_peer(u.successors[2], 0xb000);
  }
  topofake_clear(&f);
}

/* By hand: 3 ids of 16 bytes behind a length byte 0x30, twice. */
static void test_bytes(void **state) {
  topofake f;
  topofake_call c;
  (void)state;
  make(&f);
  topofake_run(&f, TORC_SEC(700));
  c = topofake_take(&f, FAKE_REQUEST, TORC_METHOD_UPDATE);
  assert_int_equal(c.len, 98);
  assert_int_equal(c.payload[0], 0x30);
  assert_int_equal(c.payload[1], 0x70);
  assert_int_equal(c.payload[2], 0x00);
  assert_int_equal(c.payload[17], 0x60);
  assert_int_equal(c.payload[49], 0x30);
  assert_int_equal(c.payload[50], 0x90);
  topofake_clear(&f);
}

/* ---- receiving: no change ---- */

static void test_no_change(void **state) {
  static const unsigned preds[] = {0x8000, 0x7000, 0x6000, 0};
  static const unsigned succs[] = {0xa000, 0xb000, 0xe000, 0};
  topofake f;
  (void)state;
  make(&f);
  assert_int_equal(topofake_update(&f, 0x9000, preds, succs), TORC_CODE_OK);
  assert_int_equal(topofake_update(&f, 0x9000, preds, succs),
                   TORC_CODE_OK); /* twice, reordered: the same */
  topofake_run(&f, TORC_MS(200));
  assert_int_equal(f.num_calls, 0);
  assert_int_equal(topofake_view(&f).num_candidates, 0);
  topofake_clear(&f);
}

/* ---- receiving: closer peers ---- */

static void test_closer(void **state) {
  static const unsigned preds[] = {0x8800, 0x8000, 0x7000, 0};
  static const unsigned succs[] = {0xa000, 0xb000, 0xe000, 0};
  topofake f;
  topofake_call c, update;
  (void)state;
  make(&f);
  assert_int_equal(topofake_update(&f, 0x9000, preds, succs), TORC_CODE_OK);
  topofake_run(&f, TORC_MS(150));
  c = topofake_take(&f, FAKE_CONNECT, 0);
  assert_peer(c.target, 0x8800);
  assert_peer(c.via, 0x9000);
  assert_true(c.is_exact);
  assert_peer(topofake_view(&f).successors[0], 0x9000); /* a candidate, no more */
  topofake_connected(&f, &c, 0x8800);
  assert_peer(topofake_view(&f).successors[0], 0x9000);
  assert_true(topofake_find(&f, FAKE_REQUEST, TORC_METHOD_UPDATE, 0x8800, &update));
  topofake_answer(&f, &update, TORC_CODE_OK);
  assert_peer(topofake_view(&f).successors[0], 0x8800);
  assert_peer(topofake_view(&f).successors[2], 0xa000);
  /* Neighbours of the old and of the new table hear of it, the inferior one stays known. */
  topofake_run(&f, TORC_MS(10));
  assert_peer(sent_to(&f, 0xb000).successors[0], 0x8800);
  assert_peer(sent_to(&f, 0x7000).successors[0], 0x8800);
  assert_int_equal(topofake_view(&f).num_routing, 9);
  topofake_clear(&f);
}

/* A new replica gets the own range; the one that falls out is left alone. */
static void test_closer_replicates(void **state) {
  topofake f;
  topofake_call c;
  (void)state;
  make(&f);
  topofake_link(&f, 0x8800);
  assert_int_equal(topofake_update(&f, 0x8800, none, none), TORC_CODE_OK);
  c = topofake_take(&f, FAKE_TRANSFER, 0);
  assert_peer(c.target, 0x8800);
  assert_peer(c.from, 0x7000);
  assert_peer(c.to, 0x8000);
  assert_int_equal(topofake_count(&f, FAKE_TRANSFER, 0), 0);
  assert_int_equal(topofake_count(&f, FAKE_DROP, 0), 0);
  topofake_clear(&f);
}

/* Linked, but not a member of the ring (a client, a peer that joins): never a neighbour. */
static void test_not_a_member(void **state) {
  static const unsigned succs[] = {0x8800, 0};
  topofake f;
  topofake_call c;
  (void)state;
  make(&f);
  assert_int_equal(topofake_update(&f, 0x9000, succs, succs), TORC_CODE_OK);
  topofake_run(&f, TORC_MS(150));
  c = topofake_take(&f, FAKE_CONNECT, 0);
  topofake_connected(&f, &c, 0x8800);
  assert_true(topofake_find(&f, FAKE_REQUEST, TORC_METHOD_UPDATE, 0x8800, &c));
  topofake_answer(&f, &c, TORC_CODE_NOT_FOUND);
  assert_peer(topofake_view(&f).successors[0], 0x9000);
  topofake_run(&f, TORC_SEC(2)); /* asked again as long as it is reported */
  assert_true(topofake_find(&f, FAKE_REQUEST, TORC_METHOD_UPDATE, 0x8800, &c));
  topofake_clear(&f);
}

/* CONNECT fails: twice more soon, then once a minute; nothing of it ever becomes a next hop. */
static void test_unreachable(void **state) {
  static const unsigned succs[] = {0x8800, 0};
  topofake f;
  topofake_call c;
  (void)state;
  make(&f);
  assert_int_equal(topofake_update(&f, 0x9000, succs, succs), TORC_CODE_OK);
  for (size_t i = 0; i < 3; i++) {
    topofake_run(&f, TORC_SEC(5));
    assert_true(topofake_find(&f, FAKE_CONNECT, 0, 0x8800, &c));
    topofake_connected(&f, &c, 0);
  }
  topofake_run(&f, TORC_SEC(59));
  assert_false(topofake_find(&f, FAKE_CONNECT, 0, 0x8800, &c));
  topofake_run(&f, TORC_SEC(2));
  assert_true(topofake_find(&f, FAKE_CONNECT, 0, 0x8800, &c));
  assert_peer(topofake_view(&f).successors[0], 0x9000);
  topofake_clear(&f);
}

/* Alive, reported by two neighbours, but not to be linked: it counts for the range only. */
static void test_unreachable_counts(void **state) {
  static const unsigned lists[] = {0x7800, 0};
  topofake f;
  topofake_call c;
  torc_id theirs = topofake_id(0x7400), hop;
  (void)state;
  make(&f);
  assert_int_equal(topofake_update(&f, 0x7000, none, lists), TORC_CODE_OK);
  for (size_t i = 0; i < 3; i++) {
    topofake_run(&f, TORC_SEC(5));
    assert_true(topofake_find(&f, FAKE_CONNECT, 0, 0x7800, &c));
    topofake_connected(&f, &c, 0);
  }
  assert_true(f.ops->is_responsible(f.t, &theirs)); /* one neighbour's word is not enough */
  assert_int_equal(topofake_update(&f, 0x9000, lists, none), TORC_CODE_OK);
  assert_false(f.ops->is_responsible(f.t, &theirs));
  assert_true(f.ops->next_hop(f.t, &theirs, &hop));
  assert_peer(hop, 0x7000); /* not a next hop */
  assert_peer(topofake_view(&f).predecessors[0], 0x7000);
  /* One of the two no longer reports it: the range is this peer's again. */
  topofake_forget(&f);
  assert_int_equal(topofake_update(&f, 0x9000, none, none), TORC_CODE_OK);
  assert_true(f.ops->is_responsible(f.t, &theirs));
  c = topofake_take(&f, FAKE_TOOK_OVER, 0);
  assert_peer(c.from, 0x7000);
  assert_peer(c.to, 0x7800);
  topofake_clear(&f);
}

/* A predecessor that comes closer without a JOIN gets what it owns now. */
static void test_range_shrinks(void **state) {
  static const unsigned preds[] = {0x7000, 0x6000, 0x5000, 0};
  static const unsigned succs[] = {0x8000, 0x9000, 0xa000, 0};
  topofake f;
  topofake_call c;
  torc_id theirs = topofake_id(0x7400);
  (void)state;
  make(&f);
  topofake_link(&f, 0x7800);
  assert_int_equal(topofake_update(&f, 0x7800, preds, succs), TORC_CODE_OK);
  assert_false(f.ops->is_responsible(f.t, &theirs));
  assert_true(topofake_find(&f, FAKE_TRANSFER, 0, 0x7800, &c));
  assert_peer(c.from, 0x7000);
  assert_peer(c.to, 0x7800);
  assert_int_equal(topofake_view(&f).num_owed, 1);
  topofake_answer(&f, &c, TORC_CODE_FORBIDDEN); /* it does not know this peer yet */
  topofake_run(&f, TORC_SEC(1));
  assert_true(topofake_find(&f, FAKE_TRANSFER, 0, 0x7800, &c));
  topofake_answer(&f, &c, TORC_CODE_OK);
  assert_int_equal(topofake_view(&f).num_owed, 0);
  topofake_clear(&f);
}

/* Several peers of another ring lie in the former range: each gets its part. */
static void test_owed_walk(void **state) {
  static const unsigned preds[] = {0x7c00, 0x7a00, 0x7800, 0};
  static const unsigned preds2[] = {0x7400, 0x7200, 0};
  topofake f;
  topofake_call c, connect, update;
  torc_id first = topofake_id(0x7000);
  (void)state;
  make(&f);
  first = torc_id_next(&first);
  topofake_link(&f, 0x7e00);
  assert_int_equal(topofake_update(&f, 0x7e00, preds, none), TORC_CODE_OK);
  /* Nobody known owns the start of the range: CONNECT to whoever does. */
  connect = topofake_take(&f, FAKE_CONNECT, 0);
  while (connect.is_exact) {
    connect = topofake_take(&f, FAKE_CONNECT, 0);
  }
  assert_memory_equal(connect.target.b, first.b, TORC_ID_LEN);
  topofake_connected(&f, &connect, 0x7400);
  /* It must know this peer before it can take anything. */
  assert_true(topofake_find(&f, FAKE_REQUEST, TORC_METHOD_UPDATE, 0x7400, &update));
  assert_false(topofake_find(&f, FAKE_TRANSFER, 0, 0x7400, &c));
  topofake_answer(&f, &update, TORC_CODE_OK);
  topofake_run(&f, TORC_SEC(1));
  assert_true(topofake_find(&f, FAKE_TRANSFER, 0, 0x7400, &c));
  assert_peer(c.from, 0x7000);
  assert_peer(c.to, 0x7400);
  assert_int_equal(topofake_update(&f, 0x7400, preds2, none), TORC_CODE_OK);
  topofake_answer(&f, &c, TORC_CODE_OK);
  connect = topofake_take(&f, FAKE_CONNECT, 0);
  while (connect.is_exact) {
    connect = topofake_take(&f, FAKE_CONNECT, 0);
  }
  topofake_connected(&f, &connect, 0x7e00); /* the rest is the nearest one's */
  assert_true(topofake_find(&f, FAKE_TRANSFER, 0, 0x7e00, &c));
  assert_peer(c.from, 0x7400);
  assert_peer(c.to, 0x7e00);
  topofake_answer(&f, &c, TORC_CODE_OK);
  assert_int_equal(topofake_view(&f).num_owed, 0);
  topofake_clear(&f);
}

/* ---- receiving: evidence of a missing neighbour ---- */

typedef struct bracket_case {
  const char *what;
  unsigned from;
  unsigned preds[4], succs[4];
  unsigned suspect; /* PINGed; 0: nobody */
} bracket_case;

static bracket_case brackets[] = {
    {"brackets this peer and 0x7000",
     0x9000,
     {0x6000, 0x5000, 0x1000, 0},
     {0xa000, 0xb000, 0xe000, 0},
     0x7000},
    {"lists this peer, but not its predecessor",
     0x9000,
     {0x8000, 0x6000, 0x5000, 0},
     {0xa000, 0xb000, 0xe000, 0},
     0x7000},
    {"a successor is missing",
     0x7000,
     {0x6000, 0x5000, 0x1000, 0},
     {0x8000, 0xa000, 0xb000, 0},
     0x9000},
    {"agrees", 0x9000, {0x8000, 0x7000, 0x6000, 0}, {0xa000, 0xb000, 0xe000, 0}, 0},
    {"from far away: no evidence",
     0xe000,
     {0xd000, 0xc000, 0xb000, 0},
     {0xf000, 0x1000, 0x2000, 0},
     0},
    {"brackets somebody else only",
     0xb000,
     {0x9000, 0x8000, 0x7000, 0},
     {0xe000, 0x1000, 0x5000, 0},
     0},
};

static void test_bracket(void **state) {
  const bracket_case *b = *state;
  topofake f;
  topofake_call c;
  make(&f);
  assert_int_equal(topofake_update(&f, b->from, b->preds, b->succs), TORC_CODE_OK);
  if (b->suspect == 0) {
    assert_int_equal(topofake_count(&f, FAKE_PING, 0), 0);
  } else {
    assert_int_equal(topofake_count(&f, FAKE_PING, 0), 1);
    c = topofake_take(&f, FAKE_PING, 0);
    assert_peer(c.target, b->suspect);
    assert_false(c.has_via);
    topofake_forget(&f);
    topofake_pong(&f, &c, 0); /* missing indeed */
    assert_int_equal(topofake_view(&f).num_routing, 7);
    c = topofake_take(&f, FAKE_CLOSE, 0);
    assert_peer(c.target, b->suspect);
  }
  topofake_clear(&f);
}

static void test_suspect_lives(void **state) {
  topofake f;
  topofake_call c;
  (void)state;
  make(&f);
  assert_int_equal(topofake_update(&f, 0x9000, brackets[0].preds, brackets[0].succs), TORC_CODE_OK);
  assert_int_equal(topofake_update(&f, 0x9000, brackets[0].preds, brackets[0].succs), TORC_CODE_OK);
  assert_int_equal(topofake_count(&f, FAKE_PING, 0), 1); /* not twice within 5 s */
  c = topofake_take(&f, FAKE_PING, 0);
  topofake_pong(&f, &c, 0x7000);
  assert_peer(topofake_view(&f).predecessors[0], 0x7000);
  topofake_run(&f, TORC_SEC(6));
  assert_int_equal(topofake_update(&f, 0x9000, brackets[0].preds, brackets[0].succs), TORC_CODE_OK);
  c = topofake_take(&f, FAKE_PING, 0);
  topofake_pong(&f, &c, 0x6000); /* somebody else answers for that place: it is gone */
  assert_peer(topofake_view(&f).predecessors[0], 0x6000);
  topofake_clear(&f);
}

/* A neighbour that should list this peer but does not is told, at most once a second. */
static void test_tell_unknown(void **state) {
  static const unsigned preds[] = {0x7000, 0x6000, 0x5000, 0};
  static const unsigned succs[] = {0xa000, 0xb000, 0xe000, 0};
  topofake f;
  topofake_call c;
  (void)state;
  make(&f);
  for (size_t i = 0; i < 5; i++) {
    assert_int_equal(topofake_update(&f, 0x9000, preds, succs), TORC_CODE_OK);
    topofake_run(&f, TORC_MS(10));
  }
  assert_int_equal(topofake_count(&f, FAKE_REQUEST, TORC_METHOD_UPDATE), 1);
  assert_true(topofake_find(&f, FAKE_REQUEST, TORC_METHOD_UPDATE, 0x9000, &c));
  topofake_clear(&f);
}

/* Rings that met at one place: a peer elsewhere takes this one for its neighbour and lists none of
 * those between, who do not know it. Nobody else can tell it of them. */
static void test_tell_far(void **state) {
  static const unsigned preds[] = {0x8000, 0x1000, 0};
  static const unsigned succs[] = {0x1000, 0};
  static const unsigned right_preds[] = {0xb000, 0xa000, 0x9000, 0};
  topofake f;
  torc_chord_update u;
  (void)state;
  make(&f);
  assert_int_equal(topofake_update(&f, 0xe000, right_preds, succs), TORC_CODE_OK);
  topofake_run(&f, TORC_MS(200));
  assert_int_equal(topofake_count(&f, FAKE_REQUEST, TORC_METHOD_UPDATE), 0);
  for (size_t i = 0; i < 5; i++) { /* at most once a second */
    assert_int_equal(topofake_update(&f, 0xe000, preds, succs), TORC_CODE_OK);
    topofake_run(&f, TORC_MS(10));
  }
  assert_int_equal(topofake_count(&f, FAKE_REQUEST, TORC_METHOD_UPDATE), 1);
  u = sent_to(&f, 0xe000);
  assert_int_equal(u.num_successors, 3);
  assert_peer(u.successors[2], 0xb000);
  topofake_clear(&f);
}

/* ---- hostile UPDATEs ---- */

static void test_malformed(void **state) {
  static const struct {
    const char *hex;
  } cases[] = {{""},
               {"00"},
               {"0100"},
               {"10 00000000000000000000000000000000 00"}, /* id 0 */
               {"00 10 ffffffffffffffffffffffffffffffff"}, /* all ones */
               {"00 00 00"},                               /* a byte left over */
               {"10 90000000000000000000000000000000"}};   /* cut */
  uint8_t buf[64];
  topofake f;
  (void)state;
  make(&f);
  for (size_t i = 0; i < TORC_ARRAY_LEN(cases); i++) {
    size_t len = torc_unhex(cases[i].hex, buf, sizeof buf);
    assert_int_equal(
        topofake_request(&f, 0x9000, TORC_METHOD_UPDATE, (torc_slice){.p = buf, .len = len}),
        TORC_CODE_BAD_REQUEST);
  }
  assert_int_equal(topofake_view(&f).stats.updates_bad, TORC_ARRAY_LEN(cases));
  assert_int_equal(topofake_request(&f, 0x9000, TORC_METHOD_PING, (torc_slice){0}),
                   TORC_CODE_METHOD);
  assert_int_equal(f.num_calls, 0);
  topofake_clear(&f);
}

/* One neighbour lists ever new peers next to this one: CONNECTs, candidates and PINGs stay within
 * their limits. */
static void test_flood(void **state) {
  topofake f;
  size_t connects = 0;
  (void)state;
  make(&f);
  for (unsigned n = 0; n < 2000; n++) {
    unsigned preds[16] = {0}, succs[16] = {0};
    for (unsigned i = 0; i < 15; i++) {
      preds[i] = 0x8000u - 1u - (n * 15u + i) % 0xfffu;
      succs[i] = 0x8000u + 1u + (n * 15u + i) % 0xfffu;
    }
    assert_int_equal(topofake_update(&f, 0x9000, preds, succs), TORC_CODE_OK);
    topofake_run(&f, TORC_MS(5)); /* 10 s in all */
    connects += topofake_count(&f, FAKE_CONNECT, 0);
    while (topofake_count(&f, FAKE_CONNECT, 0) > 0) {
      topofake_call c = topofake_take(&f, FAKE_CONNECT, 0);
      topofake_connected(&f, &c, 0);
    }
    topofake_forget(&f);
  }
  /* Burst 32, then 4 a second; each is tried at most three times. */
  assert_true(connects > 0);
  assert_true(connects <= 3 * (32 + 4 * 11));
  assert_true(topofake_view(&f).num_candidates <= 128);
  assert_true(topofake_view(&f).stats.ids_ignored > 10000);
  assert_int_equal(topofake_view(&f).num_routing, 8);
  topofake_clear(&f);
}

/* Dead candidates of one sender cannot occupy all CONNECTs: another neighbour's still goes out. */
static void test_flood_share(void **state) {
  unsigned many[16] = {0};
  static const unsigned honest[] = {0x8800, 0};
  topofake f;
  topofake_call c;
  (void)state;
  make(&f);
  for (unsigned i = 0; i < 15; i++) {
    many[i] = 0x8001u + i;
  }
  assert_int_equal(topofake_update(&f, 0x9000, many, none), TORC_CODE_OK);
  topofake_run(&f, TORC_MS(200));
  assert_int_equal(topofake_count(&f, FAKE_CONNECT, 0), 6);
  assert_int_equal(topofake_update(&f, 0x7000, none, honest), TORC_CODE_OK);
  topofake_run(&f, TORC_MS(200));
  assert_true(topofake_find(&f, FAKE_CONNECT, 0, 0x8800, &c));
  topofake_clear(&f);
}

/* The neighbour that a CONNECT goes through dies: it goes out again, by another way, at once. */
static void test_via_lost(void **state) {
  static const unsigned honest[] = {0x8800, 0};
  topofake f;
  topofake_call first, c;
  (void)state;
  make(&f);
  assert_int_equal(topofake_update(&f, 0x9000, honest, none), TORC_CODE_OK);
  topofake_run(&f, TORC_MS(200));
  assert_true(topofake_find(&f, FAKE_CONNECT, 0, 0x8800, &first));
  assert_peer(first.via, 0x9000);
  topofake_link_down(&f, 0x9000);
  assert_true(topofake_find(&f, FAKE_CONNECT, 0, 0x8800, &c));
  assert_false(c.has_via);
  topofake_connected(&f, &first, 0); /* no longer of interest */
  topofake_connected(&f, &c, 0x8800);
  assert_true(topofake_find(&f, FAKE_REQUEST, TORC_METHOD_UPDATE, 0x8800, &c));
  topofake_clear(&f);
}

/* An UPDATE that denies every neighbour: four PINGs, not six. */
static void test_ping_limit(void **state) {
  static const unsigned preds[] = {0x4000, 0};
  static const unsigned succs[] = {0xc000, 0};
  topofake f;
  (void)state;
  topofake_init(&f, "chord-128-6-1", 0x8000);
  topofake_ring(&f, ring);
  topofake_forget(&f);
  topofake_link(&f, 0x3fff);
  assert_int_equal(topofake_update(&f, 0x3fff, preds, succs), TORC_CODE_OK);
  assert_true(topofake_count(&f, FAKE_PING, 0) <= 4);
  topofake_clear(&f);
}

/* Any sender becomes routable, up to a limit; then the least useful gives way, neighbours never do.
 */
static void test_member_limit(void **state) {
  topofake f;
  (void)state;
  make(&f);
  for (unsigned n = 0; n < 500; n++) {
    topofake_link(&f, 0x1001 + n);
    assert_int_equal(topofake_update(&f, 0x1001 + n, none, none), TORC_CODE_OK);
    topofake_forget(&f);
  }
  assert_int_equal(topofake_view(&f).num_routing, 256);
  assert_peer(topofake_view(&f).predecessors[0], 0x7000);
  assert_peer(topofake_view(&f).successors[2], 0xb000);
  topofake_clear(&f);
}

/* The host refuses every call: nothing is lost or repeated in a loop, and when it works again all
 * goes on. */
static void test_host_refuses(void **state) {
  static const unsigned preds[] = {0x8800, 0};
  topofake f;
  topofake_call c;
  (void)state;
  make(&f);
  f.refuse_calls = true;
  assert_int_equal(topofake_update(&f, 0x9000, preds, none), TORC_CODE_OK);
  topofake_link_down(&f, 0x7000);
  topofake_run(&f, TORC_SEC(30));
  assert_int_equal(topofake_count(&f, FAKE_REQUEST, 0), 0);
  assert_true(topofake_view(&f).num_unreplicated + topofake_view(&f).stats.transfers_failed > 0);
  f.refuse_calls = false;
  topofake_run(&f, TORC_SEC(61));
  assert_true(topofake_find(&f, FAKE_CONNECT, 0, 0x8800, &c));
  assert_true(topofake_find(&f, FAKE_REQUEST, TORC_METHOD_UPDATE, 0x9000, &c));
  assert_true(topofake_find(&f, FAKE_TRANSFER, 0, 0x9000, &c));
  topofake_clear(&f);
}

/* ---- lost neighbours ---- */

static void test_predecessor_lost(void **state) {
  topofake f;
  topofake_call c;
  torc_id theirs = topofake_id(0x6800);
  (void)state;
  make(&f);
  topofake_link_down(&f, 0x7000);
  assert_true(f.ops->is_responsible(f.t, &theirs)); /* at once */
  c = topofake_take(&f, FAKE_TOOK_OVER, 0);
  assert_peer(c.from, 0x6000);
  assert_peer(c.to, 0x7000);
  /* The range that came goes to the replicas; they hold the rest. */
  for (unsigned n = 0x9000; n <= 0xa000; n += 0x1000) {
    assert_true(topofake_find(&f, FAKE_TRANSFER, 0, n, &c));
    assert_peer(c.from, 0x6000);
    assert_peer(c.to, 0x7000);
    topofake_answer(&f, &c, TORC_CODE_OK);
  }
  topofake_run(&f, TORC_MS(10));
  assert_peer(sent_to(&f, 0x9000).predecessors[0], 0x6000);
  assert_peer(sent_to(&f, 0x6000).predecessors[0], 0x6000);
  /* One attempt to re-establish. */
  topofake_run(&f, TORC_MS(300));
  assert_true(topofake_find(&f, FAKE_CONNECT, 0, 0x7000, &c));
  topofake_clear(&f);
}

static void test_successor_lost(void **state) {
  topofake f;
  topofake_call c;
  (void)state;
  make(&f);
  topofake_link_down(&f, 0x9000);
  assert_int_equal(topofake_count(&f, FAKE_TOOK_OVER, 0), 0);
  c = topofake_take(&f, FAKE_TRANSFER, 0); /* 0xb000 is the new second replica */
  assert_peer(c.target, 0xb000);
  assert_peer(c.from, 0x7000);
  assert_peer(c.to, 0x8000);
  assert_int_equal(topofake_count(&f, FAKE_TRANSFER, 0), 0);
  topofake_clear(&f);
}

/* Two at once on each side: the third is next, without any timer. */
static void test_two_lost(void **state) {
  topofake f;
  topofake_call c;
  torc_topology_view v;
  (void)state;
  make(&f);
  topofake_link_down(&f, 0x9000);
  topofake_link_down(&f, 0xa000);
  topofake_link_down(&f, 0x7000);
  topofake_link_down(&f, 0x6000);
  v = topofake_view(&f);
  assert_peer(v.successors[0], 0xb000);
  assert_peer(v.predecessors[0], 0x5000);
  assert_peer(v.range_from, 0x5000);
  assert_true(topofake_find(&f, FAKE_TRANSFER, 0, 0xb000, &c));
  assert_int_equal(v.stats.takeovers, 2);
  assert_int_equal(v.stats.neighbours_lost, 4);
  topofake_clear(&f);
}

/* The three predecessors die: the next one, known from their lists, stands for the border until it
 * is linked, and not the far finger that happens to be linked. */
static void test_three_lost(void **state) {
  static const unsigned preds[] = {0x4000, 0x3000, 0x2000, 0};
  static const unsigned succs[] = {0x6000, 0x7000, 0x8000, 0};
  topofake f;
  topofake_call c;
  torc_id far = topofake_id(0x2800), near = topofake_id(0x4800);
  (void)state;
  make(&f);
  assert_int_equal(topofake_update(&f, 0x5000, preds, succs), TORC_CODE_OK);
  topofake_run(&f, TORC_MS(200));
  assert_int_equal(topofake_count(&f, FAKE_CONNECT, 0), 0); /* not needed yet */
  topofake_link_down(&f, 0x7000);
  topofake_link_down(&f, 0x6000);
  topofake_link_down(&f, 0x5000);
  assert_true(f.ops->is_responsible(f.t, &near));
  assert_false(f.ops->is_responsible(f.t, &far));
  assert_peer(topofake_view(&f).range_from, 0x4000);
  topofake_run(&f, TORC_MS(300));
  assert_true(topofake_find(&f, FAKE_CONNECT, 0, 0x4000, &c));
  topofake_connected(&f, &c, 0); /* dead as well */
  assert_true(topofake_find(&f, FAKE_CONNECT, 0, 0x3000, &c));
  topofake_connected(&f, &c, 0x3000);
  assert_true(topofake_find(&f, FAKE_REQUEST, TORC_METHOD_UPDATE, 0x3000, &c));
  topofake_answer(&f, &c, TORC_CODE_OK);
  topofake_run(&f, TORC_SEC(6));
  assert_peer(topofake_view(&f).predecessors[0], 0x3000);
  assert_peer(topofake_view(&f).range_from, 0x3000);
  topofake_clear(&f);
}

/* A neighbour dies and the one before it, as others still list it, says that it is not in the ring:
 * it has started anew. It is no border, else nobody could admit it. */
static void test_restarted_is_no_border(void **state) {
  static const unsigned preds[] = {0x6800, 0x6000, 0x5000, 0};
  static const unsigned succs[] = {0x8000, 0x9000, 0xa000, 0};
  topofake f;
  topofake_call c;
  (void)state;
  make(&f);
  topofake_link_up(&f, 0x6800);
  assert_int_equal(topofake_update(&f, 0x7000, preds, succs), TORC_CODE_OK);
  topofake_run(&f, TORC_MS(150));
  assert_true(topofake_find(&f, FAKE_REQUEST, TORC_METHOD_UPDATE, 0x6800, &c));
  topofake_answer(&f, &c, TORC_CODE_NOT_FOUND);
  topofake_link_down(&f, 0x7000);
  assert_peer(topofake_view(&f).range_from, 0x6000);
  assert_int_equal(topofake_join(&f, 0x6800, 0x6800), TORC_CODE_OK);
  topofake_clear(&f);
}

/* All successors gone: ask a predecessor who is next, CONNECT, JOIN there. */
static void test_gap(void **state) {
  topofake f;
  topofake_call c;
  torc_id self = topofake_id(0x8000);
  torc_id target;
  (void)state;
  make(&f);
  target = torc_id_next(&self);
  topofake_link_down(&f, 0x9000);
  topofake_link_down(&f, 0xa000);
  assert_int_equal(topofake_count(&f, FAKE_PING, 0), 0);
  topofake_link_down(&f, 0xb000);
  c = topofake_take(&f, FAKE_PING, 0);
  assert_memory_equal(c.target.b, target.b, TORC_ID_LEN);
  assert_peer(c.via, 0x7000);
  topofake_pong(&f, &c, 0xc000);
  assert_true(topofake_find(&f, FAKE_CONNECT, 0, 0xc000, &c));
  assert_peer(c.via, 0x7000);
  topofake_forget(&f);
  topofake_connected(&f, &c, 0xc000);
  assert_true(topofake_find(&f, FAKE_REQUEST, TORC_METHOD_JOIN, 0xc000, &c));
  assert_int_equal(f.state, TORC_TOPO_JOINED);
  topofake_answer(&f, &c, TORC_CODE_NOT_FOUND); /* it does not own this place: an UPDATE will do */
  assert_true(topofake_find(&f, FAKE_REQUEST, TORC_METHOD_UPDATE, 0xc000, &c));
  topofake_answer(&f, &c, TORC_CODE_OK);
  assert_peer(topofake_view(&f).successors[0], 0xc000);
  topofake_clear(&f);
}

/* Silence to an UPDATE: the entry is invalid, the link is closed, and one new CONNECT follows. */
static void test_update_silent(void **state) {
  topofake f;
  topofake_call c;
  (void)state;
  make(&f);
  topofake_run(&f, TORC_SEC(700));
  assert_true(topofake_find(&f, FAKE_REQUEST, TORC_METHOD_UPDATE, 0x9000, &c));
  topofake_answer(&f, &c, 0);
  assert_peer(topofake_view(&f).successors[0], 0xa000);
  assert_true(topofake_find(&f, FAKE_CLOSE, 0, 0x9000, &c));
  topofake_run(&f, TORC_MS(300));
  assert_true(topofake_find(&f, FAKE_CONNECT, 0, 0x9000, &c));
  topofake_connected(&f, &c, 0x9000);
  assert_true(topofake_find(&f, FAKE_REQUEST, TORC_METHOD_UPDATE, 0x9000, &c));
  topofake_answer(&f, &c, TORC_CODE_OK);
  assert_peer(topofake_view(&f).successors[0], 0x9000);
  topofake_clear(&f);
}

static void test_update_codes(void **state) {
  topofake f;
  topofake_call c;
  torc_slice empty = {0};
  (void)state;
  make(&f);
  topofake_run(&f, TORC_SEC(700));
  assert_true(topofake_find(&f, FAKE_REQUEST, TORC_METHOD_UPDATE, 0x9000, &c));
  topofake_answer(&f, &c, TORC_CODE_UNAVAILABLE); /* busy: again in a second */
  assert_peer(topofake_view(&f).successors[0], 0x9000);
  topofake_run(&f, TORC_SEC(2));
  assert_true(topofake_find(&f, FAKE_REQUEST, TORC_METHOD_UPDATE, 0x9000, &c));
  f.ops->on_response(f.t, c.cookie, TORC_ERR_CLOSED, 0, empty); /* the link was replaced */
  topofake_run(&f, TORC_SEC(1));
  assert_true(topofake_find(&f, FAKE_REQUEST, TORC_METHOD_UPDATE, 0x9000, &c));
  topofake_answer(&f, &c, TORC_CODE_NOT_FOUND); /* it is not in the ring */
  assert_peer(topofake_view(&f).successors[0], 0xa000);
  assert_int_equal(topofake_count(&f, FAKE_CLOSE, 0), 0);
  topofake_clear(&f);
}

/* A second link of a neighbour, much later: it may have started anew, so it is asked and its copies
 * are renewed. */
static void test_link_replaced(void **state) {
  topofake f;
  topofake_call c;
  (void)state;
  make(&f);
  topofake_link_up(&f, 0x9000);
  assert_true(topofake_find(&f, FAKE_REQUEST, TORC_METHOD_UPDATE, 0x9000, &c));
  assert_true(topofake_find(&f, FAKE_TRANSFER, 0, 0x9000, &c));
  topofake_clear(&f);
}

/* Answers that belong to nothing, or come twice, change nothing. */
static void test_unknown_cookies(void **state) {
  topofake f;
  torc_id id = topofake_id(0x9000);
  torc_slice empty = {0};
  (void)state;
  make(&f);
  f.ops->on_response(f.t, 999999, 0, TORC_CODE_OK, empty);
  f.ops->on_ping_done(f.t, 999999, 0, &id);
  f.ops->on_connect_done(f.t, 999999, 0, &id);
  f.ops->on_transfer_done(f.t, 999999, 0);
  assert_int_equal(f.num_calls, 0);
  assert_int_equal(topofake_view(&f).num_routing, 8);
  topofake_clear(&f);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TORC_TEST("UPD-01 UPD-02 CHD-20 CHD-23 GAP-113 contents", test_contents),
      TORC_TEST("CHD-20 GAP-113 bytes", test_bytes),
      TORC_TEST("CHD-27 CHD-28 UPD-03 GAP-163 nothing new", test_no_change),
      TORC_TEST("CHD-27 CHD-29 CHD-30 CHD-33 CHD-21 GAP-117 GAP-54 a closer peer", test_closer),
      TORC_TEST("CHD-35 CHD-36 a new replica", test_closer_replicates),
      TORC_TEST("GAP-117 GAP-54 linked, but not in the ring", test_not_a_member),
      TORC_TEST("GAP-123 CHD-42 ARC-19 cannot be linked", test_unreachable),
      TORC_TEST("GAP-123 two neighbours vouch for it", test_unreachable_counts),
      TORC_TEST("GAP-124 GAP-103 ARC-10 the range shrinks", test_range_shrinks),
      TORC_TEST("GAP-124 GAP-103 several new owners", test_owed_walk),
      TORC_CASE("CHD-31 CHD-32 GAP-117 bracketed", test_bracket, &brackets[0]),
      TORC_CASE("CHD-31 CHD-32 GAP-117 bracket ends here", test_bracket, &brackets[1]),
      TORC_CASE("CHD-31 GAP-117 a successor is missing", test_bracket, &brackets[2]),
      TORC_CASE("CHD-28 GAP-117 agreement", test_bracket, &brackets[3]),
      TORC_CASE("CHD-32 GAP-117 far away", test_bracket, &brackets[4]),
      TORC_CASE("CHD-32 GAP-117 around somebody else", test_bracket, &brackets[5]),
      TORC_TEST("CHD-31 the suspect answers", test_suspect_lives),
      TORC_TEST("CHD-33 a neighbour that does not know this peer", test_tell_unknown),
      TORC_TEST("GAP-124 GAP-117 a far peer that lacks the neighbours", test_tell_far),
      TORC_TEST("R-46 UPD-03 CHD-20 malformed", test_malformed),
      TORC_TEST("GAP-117 GAP-54 a flood of lists", test_flood),
      TORC_TEST("GAP-117 one sender's share of CONNECTs", test_flood_share),
      TORC_TEST("CHD-42 GAP-117 a CONNECT whose way is lost", test_via_lost),
      TORC_TEST("CHD-31 GAP-117 PINGs per UPDATE", test_ping_limit),
      TORC_TEST("GAP-117 routing-table size", test_member_limit),
      TORC_TEST("ARC-07 GAP-99 the host refuses for a while", test_host_refuses),
      TORC_TEST("CHD-24 CHD-35 CHD-41 ARC-07 GAP-95 predecessor lost", test_predecessor_lost),
      TORC_TEST("CHD-24 CHD-35 ARC-07 successor lost", test_successor_lost),
      TORC_TEST("CHD-24 CHD-22 D-13 two lost on each side", test_two_lost),
      TORC_TEST("CHD-22 CHD-42 GAP-109 GAP-117 three lost", test_three_lost),
      TORC_TEST("GAP-109 GAP-117 who is not in the ring is no border", test_restarted_is_no_border),
      TORC_TEST("CHD-25 GAP-122 all successors lost", test_gap),
      TORC_TEST("CHD-41 CHD-42 UPDATE not answered", test_update_silent),
      TORC_TEST("UPD-03 CHD-41 answers to UPDATE", test_update_codes),
      TORC_TEST("CHD-35 R-14 a link is replaced", test_link_replaced),
      TORC_TEST("GAP-163 answers to nothing", test_unknown_cookies),
  };
  return TORC_RUN(tests);
}

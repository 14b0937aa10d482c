/* torc_node_fetch_replicas: one real node in a ring whose other peers are acted; each answers, is
 * silent, denies, lies or lets nothing through. SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/id.h"
#include "overlay/helper_node.h"
#include "overlay/node/app.h"
#include "torc_test.h"

#define T1 TORC_MS(500)
#define STEP TORC_MS(50)
#define NUM_PEERS 6
/* The ring, clockwise from the node itself; `holders` hold what lies in (a0, c0]. */
static const uint8_t peers[NUM_PEERS] = {0xa0, 0xc0, 0xe0, 0x20, 0x40, 0x60};
static const uint8_t holders[3] = {0xc0, 0xe0, 0x20};
enum { A0, C0, E0, P20, P40, P60 };

typedef enum conduct {
  GIVES, /* its value */
  HAS_NOTHING,
  REFUSES, /* 404 */
  BUSY,    /* 503 */
  IS_SILENT,
  FORGES, /* a value with a signature that does not hold */
  GARBLES /* an answer that is no fetch_response */
} conduct;

typedef struct holder_plan {
  conduct does;
  uint32_t age; /* of the value it gives */
} holder_plan;

typedef struct scene {
  nt *h;
  torc_link_id links[NUM_PEERS];
  torc_id resource;
  uint8_t owner;
  holder_plan plans[3];
  bool is_dictionary;    /* all have "both", each one of its own beside it */
  bool drops[NUM_PEERS]; /* whatever is for another peer */
  bool lies[NUM_PEERS];  /* answers it, as if it were responsible, with nothing */
  size_t num_requests;
  uint64_t xids[2 * TORC_ASK_REQUESTS_MAX]; /* of them */
  unsigned used; /* links that requests for the resource left on, as bits */
} scene;

static uint8_t user_in(uint8_t from, uint8_t to) {
  torc_id a = nt_id(from);
  torc_id b = nt_id(to);
  for (uint8_t u = 1; u < 0x80; u++) {
    torc_id r = nt_resource(u);
    if (torc_id_in_open_closed(&r, &a, &b)) {
      return u;
    }
  }
  fail();
  return 0;
}

static void scene_init(scene *s) {
  *s = (scene){.h = nt_ring(NULL), .owner = user_in(0xa0, 0xc0)};
  s->resource = nt_resource(s->owner);
  for (size_t i = 0; i < NUM_PEERS; i++) {
    s->links[i] = nt_join(s->h, peers[i]);
  }
  nt_advance(s->h, TORC_SEC(5));
  nt_answer(s->h, 1u << TORC_METHOD_UPDATE | 1u << TORC_METHOD_STORE);
  nt_clear(s->h);
}

static nt_element element(const scene *s, const char *value, uint32_t age, bool is_forged) {
  return (nt_element){.type = NT_TYPE_LINE,
                      .generation = 100 - age,
                      .value = value,
                      .storage_time = value == NULL ? 0 : NT_WALL - age,
                      .lifetime_s = value == NULL ? 0 : 3600,
                      .signer = value == NULL ? NULL : nt_cert(s->h, s->owner),
                      .is_forged = is_forged};
}

static uint8_t responsible(const torc_id *id) {
  torc_id before = nt_id(NT_SELF);
  for (size_t i = 0; i < NUM_PEERS; i++) {
    torc_id own = nt_id(peers[i]);
    if (torc_id_in_open_closed(id, &before, &own)) {
      return peers[i];
    }
    before = own;
  }
  return NT_SELF;
}

static void answer(scene *s, size_t at, uint8_t signer, const nt_out *asked, uint16_t code,
                   torc_slice payload) {
  nt_msg r;
  nt_response(s->h, &r, signer, asked, code, payload);
  nt_input(s->h, s->links[at], &r);
}

/* What the peer that a FETCH is for does. */
static void answer_fetch(scene *s, size_t at, uint8_t signer, const nt_out *asked) {
  char text[16];
  char key[16];
  const holder_plan *p = NULL;
  for (size_t i = 0; i < 3; i++) {
    p = signer == holders[i] ? &s->plans[i] : p;
  }
  conduct does = p == NULL ? REFUSES : p->does;
  (void)snprintf(text, sizeof text, "age %u", p == NULL ? 0 : p->age);
  nt_element e[2];
  e[0] = element(s, does == HAS_NOTHING ? NULL : text, p == NULL ? 0 : p->age, does == FORGES);
  if (s->is_dictionary) {
    (void)snprintf(key, sizeof key, "only %02x", signer);
    e[0].type = NT_TYPE_NOTE;
    e[1] = e[0];
    e[0].key = "both";
    e[1].key = key;
  }
  torc_slice payload = nt_fetched_payload(s->h, &s->resource, e, s->is_dictionary ? 2 : 1);
  switch (does) {
    case GIVES:
    case HAS_NOTHING:
    case FORGES:
      answer(s, at, signer, asked, TORC_CODE_OK, payload);
      break;
    case REFUSES:
      answer(s, at, signer, asked, TORC_CODE_NOT_FOUND, torc_slice_of(NULL, 0));
      break;
    case BUSY:
      answer(s, at, signer, asked, TORC_CODE_UNAVAILABLE, torc_slice_of(NULL, 0));
      break;
    case GARBLES:
      payload.len--;
      answer(s, at, signer, asked, TORC_CODE_OK, payload);
      break;
    case IS_SILENT:
      break;
  }
}

static bool is_silent(const scene *s, uint8_t peer) {
  for (size_t i = 0; i < 3; i++) {
    if (peer == holders[i] && s->plans[i].does == IS_SILENT) {
      return true;
    }
  }
  return false;
}

/* What is sent again counts once, and the node asks linked peers by themselves whether they live.
 */
static void note(scene *s, const nt_out *asked, const torc_id *last, bool is_ping) {
  torc_id own = nt_id(responsible(last));
  if (is_ping && torc_id_eq(last, &own)) {
    return;
  }
  for (size_t i = 0; i < s->num_requests; i++) {
    if (s->xids[i] == asked->hdr.xid) {
      return;
    }
  }
  assert_true(s->num_requests < sizeof s->xids / sizeof s->xids[0]);
  s->xids[s->num_requests++] = asked->hdr.xid;
}

/* The way goes over this link and past the ids of the list; a hostile peer on it is its end. */
static void carry(scene *s, size_t at, const nt_out *asked, bool is_ping) {
  size_t num = torc_id_list_len(asked->hdr.route);
  torc_id last = num > 0 ? torc_id_list_at(asked->hdr.route, num - 1) : nt_id(peers[at]);
  uint8_t to = responsible(&last);
  size_t hop = at;
  note(s, asked, &last, is_ping);
  if (torc_id_eq(&last, &s->resource)) {
    s->used |= 1u << at;
  }
  for (size_t i = 0; i <= num; i++) {
    bool is_there = peers[hop] == to && i + 1 >= num;
    if (!is_there && s->lies[hop]) {
      nt_element none = element(s, NULL, 0, false);
      answer(s, at, peers[hop], asked, TORC_CODE_OK,
             is_ping ? nt_pong_payload(s->h, 1) : nt_fetched_payload(s->h, &s->resource, &none, 1));
      return;
    }
    if (!is_there && s->drops[hop]) {
      return;
    }
    torc_id next = i < num ? torc_id_list_at(asked->hdr.route, i) : last;
    for (size_t k = 0; k < NUM_PEERS; k++) {
      hop = peers[k] == responsible(&next) ? k : hop;
    }
  }
  if (is_ping && !is_silent(s, to)) {
    answer(s, at, to, asked, TORC_CODE_OK, nt_pong_payload(s->h, 1));
  } else if (!is_ping) {
    answer_fetch(s, at, to, asked);
  }
}

/* Everything the node asks is seen to; what is sent again is as well. */
static void serve(scene *s) {
  for (size_t i = 0; i < NUM_PEERS; i++) {
    nt_out *o = NULL;
    while ((o = nt_take_request(s->h, s->links[i], TORC_METHOD_PING)) != NULL) {
      carry(s, i, o, true);
    }
    while ((o = nt_take_request(s->h, s->links[i], TORC_METHOD_FETCH)) != NULL) {
      carry(s, i, o, false);
    }
  }
}

static int ask(scene *s, torc_token *token) {
  uint32_t type = s->is_dictionary ? NT_TYPE_NOTE : NT_TYPE_LINE;
  torc_fetch_item item = {.type = type, .first = 0, .last = -1};
  int rc = torc_node_fetch_replicas(nt_node(s->h), &s->resource, &item, 1, nt_now(s->h), token);
  nt_drain(s->h);
  return rc;
}

/* Runs until the call ends, which it does within the deadline; NULL never. */
static const torc_done *finished(scene *s, torc_token token) {
  for (torc_time t = 0; t <= TORC_ASK_DEADLINE_T1 * T1 + 2 * STEP; t += STEP) {
    nt_out *o = nt_take_done(s->h, token);
    if (o != NULL) {
      return &o->event.done;
    }
    serve(s);
    nt_advance(s->h, STEP);
  }
  fail_msg("the call has not ended");
  return NULL;
}

static const torc_done *run(scene *s) {
  torc_token token = 0;
  assert_int_equal(ask(s, &token), 0);
  return finished(s, token);
}

static const struct {
  const char *name;
  holder_plan plans[3];
  int rc;
  uint16_t code;
  const char *value; /* NULL: none exists */
  uint32_t num_holders, num_asked;
  size_t num_rejected;
  torc_time within;
} cases[] = {
    /* clang-format off */
    {"all agree",
     {{GIVES, 5}, {GIVES, 5}, {GIVES, 5}}, 0, 200, "age 5", 3, 3, 0, TORC_SEC(2)},
    {"the first denies",
     {{HAS_NOTHING, 0}, {GIVES, 5}, {GIVES, 5}}, 0, 200, "age 5", 2, 3, 0, TORC_SEC(2)},
    {"the newest wins, wherever it is",
     {{GIVES, 9}, {GIVES, 9}, {GIVES, 5}}, 0, 200, "age 5", 1, 3, 0, TORC_SEC(2)},
    {"an old one does not",
     {{GIVES, 5}, {GIVES, 9}, {GIVES, 5}}, 0, 200, "age 5", 2, 3, 0, TORC_SEC(2)},
    {"a forged one is left out",
     {{FORGES, 1}, {GIVES, 5}, {GIVES, 5}}, 0, 200, "age 5", 2, 3, 1, TORC_SEC(2)},
    {"a garbled answer is none",
     {{GARBLES, 1}, {GIVES, 5}, {GIVES, 5}}, 0, 200, "age 5", 2, 2, 0, TORC_SEC(12)},
    {"a holder without a copy",
     {{GIVES, 5}, {REFUSES, 0}, {REFUSES, 0}}, 0, 200, "age 5", 1, 3, 0, TORC_SEC(2)},
    {"the first is silent",
     {{IS_SILENT, 0}, {GIVES, 5}, {GIVES, 5}}, 0, 200, "age 5", 2, 3, 0, TORC_SEC(12)},
    {"two are silent",
     {{IS_SILENT, 0}, {GIVES, 5}, {IS_SILENT, 0}}, 0, 200, "age 5", 1, 1, 0, TORC_SEC(12)},
    {"nobody has it",
     {{HAS_NOTHING, 0}, {HAS_NOTHING, 0}, {HAS_NOTHING, 0}}, 0, 200, NULL, 3, 3, 0, TORC_SEC(2)},
    {"all refuse",
     {{REFUSES, 0}, {REFUSES, 0}, {REFUSES, 0}}, TORC_ERR_REFUSED, 404, NULL, 0, 3, 0, TORC_SEC(2)},
    {"all are busy",
     {{BUSY, 0}, {BUSY, 0}, {BUSY, 0}}, TORC_ERR_REFUSED, 503, NULL, 0, 0, 0, TORC_SEC(12)},
    /* clang-format on */
};

static void test_answers(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    scene s;
    scene_init(&s);
    memcpy(s.plans, cases[i].plans, sizeof s.plans);
    const torc_done *d = run(&s);
    bool is_right = d->rc == cases[i].rc && d->code == cases[i].code &&
                    d->num_rejected == cases[i].num_rejected && d->elapsed <= cases[i].within &&
                    d->num_asked >= cases[i].num_asked;
    if (cases[i].value != NULL) {
      is_right = is_right && d->num_values == 1 && d->values[0].exists &&
                 torc_slice_eq(d->values[0].value, torc_slice_str(cases[i].value)) &&
                 d->values[0].num_holders == cases[i].num_holders && d->values[0].signer != NULL;
    } else if (cases[i].rc == 0) {
      is_right = is_right && d->num_values == 1 && !d->values[0].exists;
    }
    if (!is_right) {
      for (size_t k = 0; k < 1; k++)
        fprintf(stderr, "--- %s failed\n", cases[i].name);
      fail_msg("%s: rc %d code %u values %zu holders %u asked %u rejected %zu after %llu us",
               cases[i].name, d->rc, d->code, d->num_values,
               d->num_values > 0 ? d->values[0].num_holders : 0, d->num_asked, d->num_rejected,
               (unsigned long long)d->elapsed);
    }
    if (cases[i].within <= TORC_SEC(2)) {
      assert_int_equal(d->num_asked, cases[i].num_asked);
      assert_true(s.num_requests <= 8); /* nobody is asked twice */
    }
    nt_free(s.h);
  }
}

/* Of each key the newest; what only one has is there as well. */
static void test_keys(void **state) {
  static const struct {
    const char *key, *value;
  } want[] = {{"both", "age 3"}, {"only 20", "age 5"}, {"only c0", "age 7"}, {"only e0", "age 3"}};
  scene s;
  (void)state;
  scene_init(&s);
  s.is_dictionary = true;
  s.plans[0] = (holder_plan){GIVES, 7};
  s.plans[1] = (holder_plan){GIVES, 3};
  s.plans[2] = (holder_plan){GIVES, 5};
  const torc_done *d = run(&s);
  assert_int_equal(d->rc, 0);
  assert_int_equal(d->num_values, sizeof want / sizeof want[0]);
  for (size_t i = 0; i < d->num_values; i++) {
    assert_true(torc_slice_eq(d->values[i].key, torc_slice_str(want[i].key)));
    assert_true(torc_slice_eq(d->values[i].value, torc_slice_str(want[i].value)));
    assert_int_equal(d->values[i].num_holders, 1);
  }
  assert_int_equal(d->values[0].generation, 97); /* of the holder whose value counts */
  assert_int_equal(d->num_generations, 1);
  nt_free(s.h);
}

/* Peers that hold nothing of it, alone and together, let nothing through. */
static void test_drops(void **state) {
  static const uint8_t others[3] = {A0, P40, P60};
  (void)state;
  for (unsigned mask = 1; mask < 8; mask++) {
    scene s;
    scene_init(&s);
    for (size_t i = 0; i < 3; i++) {
      s.plans[i] = (holder_plan){GIVES, 5};
      s.drops[others[i]] = (mask >> i & 1) != 0;
    }
    const torc_done *d = run(&s);
    assert_int_equal(d->rc, 0);
    assert_int_equal(d->num_asked, 3);
    assert_int_equal(d->num_values, 1);
    assert_int_equal(d->values[0].num_holders, 3);
    nt_free(s.h);
  }
}

/* Whoever answers in the place of others is farther from the resource than those. */
static void test_lies(void **state) {
  (void)state;
  for (size_t liar = 0; liar < NUM_PEERS; liar++) {
    scene s;
    scene_init(&s);
    for (size_t i = 0; i < 3; i++) {
      s.plans[i] = (holder_plan){peers[liar] == holders[i] ? HAS_NOTHING : GIVES, 5};
    }
    s.lies[liar] = true;
    const torc_done *d = run(&s);
    assert_int_equal(d->rc, 0);
    assert_int_equal(d->num_values, 1);
    assert_true(d->values[0].exists);
    assert_true(torc_slice_eq(d->values[0].value, torc_slice_str("age 5")));
    nt_free(s.h);
  }
}

/* Nothing comes back at all. */
static void test_bounds(void **state) {
  scene s;
  (void)state;
  scene_init(&s);
  for (size_t i = 0; i < NUM_PEERS; i++) {
    s.drops[i] = true;
    s.plans[i % 3].does = IS_SILENT;
  }
  torc_token token = 0;
  torc_time started = nt_now(s.h);
  assert_int_equal(ask(&s, &token), 0);
  const torc_done *d = finished(&s, token);
  assert_int_equal(d->rc, TORC_ERR_TIMEOUT);
  assert_int_equal(d->code, 408);
  assert_int_equal(d->num_asked, 0);
  assert_true(d->elapsed == TORC_ASK_DEADLINE_T1 * T1);
  assert_true(nt_now(s.h) - started <= d->elapsed + 2 * STEP);
  assert_in_range(s.num_requests, 20, TORC_ASK_REQUESTS_MAX);
  assert_true((s.used & (s.used - 1)) != 0); /* over more than one first hop */
  nt_free(s.h);
}

/* Every way has another first hop; when there are no more, another place of the ring is passed. */
static void test_ways(void **state) {
  scene s;
  bool is_used[NUM_PEERS] = {false};
  (void)state;
  scene_init(&s);
  torc_node *n = nt_node(s.h);
  for (unsigned way = 0; way < NUM_PEERS + 2; way++) {
    torc_request r = {0};
    torc_ask_journey j = {.way = way};
    torc_ask_way(n, &j, &s.resource, &r);
    assert_int_equal(r.num_route, way < NUM_PEERS ? 1 : 2);
    assert_true(torc_id_eq(&r.route[r.num_route - 1], &s.resource));
    for (size_t i = 0; i < NUM_PEERS && r.link != 0; i++) {
      assert_false(r.link == s.links[i] && is_used[i]);
      is_used[i] = is_used[i] || r.link == s.links[i];
    }
    assert_true((r.link != 0) == (way > 0 && way < NUM_PEERS));
  }
  torc_id own = nt_id(NT_SELF); /* to itself there is one */
  torc_request r = {0};
  torc_ask_way(n, &(torc_ask_journey){.way = 3}, &own, &r);
  assert_int_equal(r.num_route, 1);
  assert_int_equal(r.link, 0);
  nt_free(s.h);
}

static void test_ends(void **state) {
  scene s;
  torc_token token = 0;
  (void)state;
  scene_init(&s); /* the node ends meanwhile */
  assert_int_equal(ask(&s, &token), 0);
  nt_advance(s.h, STEP);
  nt_free(s.h);
  scene_init(&s); /* values are being checked meanwhile */
  s.plans[0] = s.plans[1] = s.plans[2] = (holder_plan){GIVES, 5};
  assert_int_equal(ask(&s, &token), 0);
  nt_advance(s.h, STEP);
  nt_answer(s.h, 0);
  serve(&s);
  nt_free(s.h);
  for (unsigned nth = 1; nth < 160; nth++) {
    scene_init(&s);
    s.plans[0] = s.plans[1] = s.plans[2] = (holder_plan){GIVES, 5};
    nt_mem(s.h)->fail_at = nt_mem(s.h)->num_calls + nth;
    if (ask(&s, &token) == 0) {
      const torc_done *d = finished(&s, token);
      assert_true(d->rc == 0 || d->rc == TORC_ERR_NOMEM || d->rc == TORC_ERR_TIMEOUT ||
                  d->rc == TORC_ERR_CRYPTO);
    }
    nt_free(s.h);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TORC_TEST("GAP-90 GAP-103 SEC-14 of the holders' answers the newest signed one counts",
                test_answers),
      TORC_TEST("GAP-103 GAP-90 of each key of a dictionary the newest counts", test_keys),
      TORC_TEST("GAP-90 RTG-06 peers that drop what they should pass on are passed by", test_drops),
      TORC_TEST("GAP-90 CHD-11 who answers in the place of others is found out", test_lies),
      TORC_TEST("GAP-90 ERR-07 without any answer the call ends, within its bounds", test_bounds),
      TORC_TEST("RTG-06 every way to a place has another first hop", test_ways),
      TORC_TEST("GAP-90 the node ends or has no memory meanwhile", test_ends),
  };
  return TORC_RUN(tests);
}

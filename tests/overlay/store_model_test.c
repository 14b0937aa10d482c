/* Random histories against a naive model: tables of what must be there, written from the rules and
 * not from the code. Beside the store run a replica fed by forwarding, and now and then holders
 * made by copying, with or without the help of one that missed everything in between.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "torc_test.h"

#include "base/rng.h"
#include "base/slice.h"
#include "helper_store.h"

enum { KEYS = 8, PLACES = 48, GRAVES = 400, TYPES = 3, MAX_VALUES = 4, MAX_LIFE = 1000 };
static const uint32_t type_ids[TYPES] = {HS_NOTE, HS_LIST, HS_MAP};
static const char *const key_names[KEYS] = {"a", "ab", "b", "c", "d", "e", "f", "g"};
static const char *const values[4] = {"v0", "v1", "v2", "v3"};
static const char *const sigs[2] = {"s", "t"};

typedef struct m_elem {
  bool is_there;
  uint32_t time, life;
  int value, sig;
} m_elem;

typedef struct m_grave {
  int place;
  m_elem e;
  uint32_t expiry;
} m_grave;

typedef struct m_slot {
  uint64_t generation;
  m_elem at[PLACES]; /* single: only place 0; array: index; dictionary: key */
  m_grave graves[GRAVES];
  size_t num_graves;
} m_slot;

typedef struct model {
  m_slot slot[TYPES];
} model;

typedef struct request_elem {
  int type, place; /* place -1: append */
  m_elem e;
} request_elem;

static uint32_t end_of(const m_elem *e) {
  return e->time + (e->life < MAX_LIFE ? e->life : MAX_LIFE);
}

static void m_purge(m_slot *s, uint32_t now) {
  for (int i = 0; i < PLACES; i++) {
    if (s->at[i].is_there && end_of(&s->at[i]) <= now) {
      s->at[i].is_there = false;
      s->generation++;
    }
  }
}

static int m_top(const m_slot *s) {
  int top = 0;
  for (int i = 0; i < PLACES; i++) {
    top = s->at[i].is_there ? i + 1 : top;
  }
  return top;
}

static int m_count(const m_slot *s) {
  int n = 0;
  for (int i = 0; i < PLACES; i++) {
    n += s->at[i].is_there ? 1 : 0;
  }
  return n;
}

static bool same_signed(const m_elem *a, const m_elem *b) {
  return a->time == b->time && a->life == b->life && a->value == b->value;
}

static int m_find_appended(const m_slot *s, const m_elem *e) {
  for (int i = 0; i < PLACES; i++) {
    if (s->at[i].is_there && same_signed(&s->at[i], e)) {
      return i;
    }
  }
  return -1;
}

static bool m_is_same(const m_slot *s, const request_elem *r) {
  if (r->place < 0) {
    return m_find_appended(s, &r->e) >= 0;
  }
  const m_elem *old = &s->at[r->place];
  return old->is_there && same_signed(old, &r->e) && old->sig == r->e.sig;
}

static bool m_is_time_wrong(const m_slot *s, const request_elem *r, uint32_t now) {
  if (end_of(&r->e) + 3600 < now) {
    return true;
  }
  if (r->place >= 0 && s->at[r->place].is_there && r->e.time <= s->at[r->place].time) {
    return true;
  }
  for (size_t i = 0; i < s->num_graves; i++) {
    const m_grave *g = &s->graves[i];
    if (g->expiry <= now) {
      continue;
    }
    if (r->place < 0 ? same_signed(&g->e, &r->e) : g->place == r->place && r->e.time <= g->e.time) {
      return true;
    }
  }
  return false;
}

/* The code of a STORE; `m` becomes what it leaves, indexes are filled in. */
static int m_store(model *m, request_elem *list, size_t num, const uint64_t *gens, uint32_t now) {
  model saved = *m;
  bool all_same = true;
  bool is_wrong = false;
  bool is_full = false;
  bool changed[TYPES] = {false};
  for (size_t i = 0; i < num; i++) {
    m_slot *s = &m->slot[list[i].type];
    m_purge(s, now);
    all_same = all_same && m_is_same(s, &list[i]);
    is_wrong = is_wrong || (gens[list[i].type] != 0 && gens[list[i].type] != s->generation);
  }
  int code = is_wrong && !all_same ? 412 : 200;
  for (size_t i = 0; i < num && code == 200; i++) {
    m_slot *s = &m->slot[list[i].type];
    request_elem *r = &list[i];
    if (m_is_same(s, r)) {
      r->place = r->place < 0 ? m_find_appended(s, &r->e) : r->place;
      continue;
    }
    if (m_is_time_wrong(s, r, now)) {
      code = 412;
      continue;
    }
    int place = r->place < 0 ? m_top(s) : r->place;
    bool is_new = place >= PLACES || !s->at[place].is_there;
    if (is_new && m_count(s) >= (r->type == 0 ? 1 : MAX_VALUES)) {
      is_full = true;
    }
    if (!is_full) {
      assert_true(place < PLACES);
      bool is_dead =
          end_of(&r->e) <= now; /* on arrival: it ends what it replaces and is gone itself */
      changed[r->type] = changed[r->type] || !is_dead || !is_new;
      s->at[place] = r->e;
      s->at[place].is_there = !is_dead;
      r->place = place;
    }
  }
  code = code == 200 && is_full ? 413 : code;
  for (int t = 0; t < TYPES && code == 200; t++) {
    m->slot[t].generation += changed[t] ? 1 : 0;
  }
  if (code != 200) {
    *m = saved;
  }
  return code;
}

static void m_bury(m_slot *s, int type, int place, uint32_t now) {
  m_grave g = {.place = place, .e = s->at[place], .expiry = end_of(&s->at[place])};
  size_t kept = 0;
  for (size_t i = 0; i < s->num_graves; i++) {
    bool is_replaced = type != 1 && s->graves[i].place == place;
    if (is_replaced && s->graves[i].expiry > g.expiry) {
      g.expiry = s->graves[i].expiry;
    }
    if (!is_replaced && s->graves[i].expiry > now) {
      s->graves[kept++] = s->graves[i];
    }
  }
  assert_true(kept < GRAVES);
  s->graves[kept] = g;
  s->num_graves = kept + 1;
  s->at[place].is_there = false;
}

static int m_remove(model *m, int type, uint64_t gen, int first, int last, unsigned keys,
                    uint32_t now) {
  m_slot *s = &m->slot[type];
  m_slot saved = *s;
  m_purge(s, now);
  if (gen == 0 ? s->generation != 0 : gen != s->generation) {
    *s = saved;
    return 412;
  }
  int top = m_top(s);
  bool is_changed = false;
  for (int i = 0; i < PLACES; i++) {
    bool is_named = type == 0 ||
                    (type == 2 && (keys == 0 || (i < KEYS && (keys & 1u << i) != 0))) ||
                    (type == 1 && i >= (first < 0 ? top - 1 : first) && (last < 0 || i <= last));
    if (is_named && s->at[i].is_there) {
      m_bury(s, type, i, now);
      is_changed = true;
    }
  }
  s->generation += is_changed ? 1 : 0;
  return 200;
}

/* What FETCH must answer for all of one type. */
static const char *m_text(model *m, int type, uint32_t now, char *out, size_t cap) {
  m_slot *s = &m->slot[type];
  m_purge(s, now);
  size_t at =
      (size_t)snprintf(out, cap, "%06x g%llu:", type_ids[type], (unsigned long long)s->generation);
  int top = m_top(s);
  for (int i = 0; i < PLACES; i++) {
    char name[16] = "";
    const m_elem *e = &s->at[i];
    if (type == 1) {
      snprintf(name, sizeof name, "%d", i);
    } else if (type == 2 && i < KEYS) {
      snprintf(name, sizeof name, "%s", key_names[i]);
    }
    if (e->is_there) {
      at += (size_t)snprintf(out + at, cap - at, " %s=%s@%u", name, values[e->value], e->time);
    } else if ((type == 0 && i == 0) || (type == 1 && i < top)) {
      at += (size_t)snprintf(out + at, cap - at, " %s=-", name);
    }
  }
  return out;
}

/* One history. */

typedef struct history {
  hs h, replica;
  hs stale; /* a copy from some time ago */
  bool has_stale;
  model m;
  torc_rng rng;
  uint64_t seed;
  bool
      has_one_life; /* all values live equally long: no tombstone ends before an older value does */
  unsigned num_ok, num_412, num_413;
} history;

/* A failure names its seed. */
static void say_seed(const history *y, bool is_ok) {
  if (!is_ok) {
    print_message("seed %llu\n", (unsigned long long)y->seed);
  }
}

static uint32_t pick(history *y, uint32_t bound) {
  return (uint32_t)torc_rng_below(&y->rng, bound);
}

static request_elem random_elem(history *y, int type) {
  static const uint32_t lives[] = {5, 30, 100, 5000};
  request_elem r = {.type = type};
  r.e = (m_elem){.time = y->h.now + 3 - pick(y, 40),
                 .life = y->has_one_life ? 100 : lives[pick(y, 4)],
                 .value = (int)pick(y, 4),
                 .sig = (int)pick(y, 8) == 0 ? 1 : 0};
  if (type == 1) {
    r.place = pick(y, 2) == 0 && m_top(&y->m.slot[1]) < PLACES - 4 ? -1 : (int)pick(y, 5);
  } else if (type == 2) {
    r.place = (int)pick(y, KEYS);
  }
  return r;
}

static hs_elem to_hs(const request_elem *r, uint64_t gen) {
  hs_elem e = {.type = type_ids[r->type],
               .gen = gen,
               .index = r->place,
               .value = values[r->e.value],
               .time = r->e.time,
               .life = r->e.life,
               .sig = sigs[r->e.sig]};
  if (r->type == 2) {
    e.key = key_names[r->place];
  }
  return e;
}

static uint64_t random_generation(history *y, int type) {
  uint32_t kind = pick(y, 6);
  if (kind == 0) {
    return y->m.slot[type].generation + 1;
  }
  m_purge(&y->m.slot[type], y->h.now);
  return kind < 3 ? 0 : y->m.slot[type].generation;
}

static void expect_all(history *y, hs *h, bool with_counter) {
  char want[2048];
  for (int t = 0; t < TYPES; t++) {
    h->now = y->h.now;
    const char *got = hs_fetch_all(h, &y->h.res, type_ids[t]);
    m_text(&y->m, t, y->h.now, want, sizeof want);
    say_seed(y, strcmp(with_counter ? got : strchr(got, ':'),
                       with_counter ? want : strchr(want, ':')) == 0);
    if (with_counter) {
      assert_string_equal(got, want);
    } else {
      assert_string_equal(strchr(got, ':'), strchr(want, ':'));
    }
  }
}

static void step_store(history *y) {
  request_elem list[6];
  uint64_t gens[TYPES];
  size_t num = 0;
  for (int t = 0; t < TYPES; t++) {
    gens[t] = random_generation(y, t);
    for (uint32_t n = pick(y, 3); n > 0; n--) {
      list[num++] = random_elem(y, t);
    }
  }
  if (num == 0) {
    return;
  }
  hs_elem wire[6];
  for (size_t i = 0; i < num; i++) {
    wire[i] = to_hs(&list[i], gens[list[i].type]);
  }
  int want = m_store(&y->m, list, num, gens, y->h.now);
  int code = hs_store(&y->h, &y->h.res, wire, num);
  say_seed(y, code == want);
  assert_int_equal(code, want);
  y->num_ok += want == 200;
  y->num_412 += want == 412;
  y->num_413 += want == 413;
  if (want != 200) {
    return;
  }
  for (size_t i = 0; i < num; i++) { /* forwarded with the indexes given and the counters reached */
    wire[i] = to_hs(&list[i], y->m.slot[list[i].type].generation);
  }
  y->replica.now = y->h.now;
  y->replica.origin = TORC_ORIGIN_REPLICA;
  assert_int_equal(hs_store(&y->replica, &y->h.res, wire, num), 200);
}

static void step_remove(history *y) {
  int type = (int)pick(y, TYPES);
  hs_spec spec = {.type = type_ids[type], .gen = random_generation(y, type)};
  unsigned keys = 0;
  char names[64] = "";
  if (type == 1) {
    /* "The last element" is not known to a holder that missed something (docs/storage.md). */
    spec.first = y->has_one_life ? (int)pick(y, 5) : (int)pick(y, 6) - 1;
    spec.last = pick(y, 3) == 0 || spec.first < 0 ? -1 : spec.first + (int)pick(y, 3);
  } else if (type == 2 && pick(y, 4) != 0) {
    for (int i = 0; i < KEYS; i++) {
      if (pick(y, 3) == 0) {
        keys |= 1u << i;
        snprintf(names + strlen(names), sizeof names - strlen(names), "%s%s",
                 names[0] != '\0' ? "," : "", key_names[i]);
      }
    }
    spec.keys = keys != 0 ? names : NULL;
  }
  uint64_t xid = y->h.xid;
  int want = m_remove(&y->m, type, spec.gen, spec.first, spec.last, keys, y->h.now);
  int code = hs_remove(&y->h, &y->h.res, &spec, 1, y->h.alice);
  say_seed(y, code == want);
  assert_int_equal(code, want);
  if (want == 200 && y->h.result.is_changed) {
    y->replica.now = y->h.now;
    y->replica.origin = TORC_ORIGIN_REPLICA;
    y->replica.xid = xid;
    assert_int_equal(hs_remove(&y->replica, &y->h.res, &spec, 1, y->h.alice), 200);
  }
}

/* A new holder gets everything; whoever missed the last steps adds what it still has. */
static void step_copy(history *y) {
  hs fresh;
  hs_init(&fresh);
  fresh.now = y->h.now;
  assert_int_equal(hs_copy(&y->h, &fresh, &y->h.res, y->h.alice), 0);
  expect_all(y, &fresh, false);
  if (y->has_one_life && y->has_stale) {
    y->stale.now = y->h.now;
    assert_int_equal(hs_copy(&y->stale, &fresh, &y->h.res, y->h.alice), 0);
    expect_all(y, &fresh, false);
    assert_int_equal(hs_copy(&fresh, &y->stale, &y->h.res, y->h.alice), 0);
    expect_all(y, &y->stale, false);
  }
  if (y->has_stale) {
    hs_clear(&y->stale);
  }
  hs_clear(&fresh);
  hs_init(&y->stale);
  y->stale.now = y->h.now;
  assert_int_equal(hs_copy(&y->h, &y->stale, &y->h.res, y->h.alice), 0);
  y->has_stale = true;
}

static void run_history(history *y, unsigned steps) {
  hs_init(&y->h);
  hs_init(&y->replica);
  memset(&y->m, 0, sizeof y->m);
  y->h.cfg.max_remove_memory = 1u << 20;
  y->replica.cfg.max_remove_memory = 1u << 20;
  hs_reopen(&y->h);
  hs_reopen(&y->replica);
  for (unsigned i = 0; i < steps; i++) {
    y->h.now += pick(y, 3) == 0 ? pick(y, 40) : 0;
    uint32_t what = pick(y, 20);
    torc_wall next = 0;
    if (what < 11) {
      step_store(y);
    } else if (what < 16) {
      step_remove(y);
    } else if (what < 18) {
      hs *one = what == 16 ? &y->h : &y->replica;
      assert_int_equal(torc_store_expire(one->store, y->h.now, 1 + pick(y, 100), &next), 0);
    } else if (what == 18) {
      hs_reopen(pick(y, 2) == 0 ? &y->h : &y->replica);
    } else if (pick(y, 3) == 0) {
      step_copy(y);
    }
    expect_all(y, &y->h, true);
    expect_all(y, &y->replica, true);
  }
  hs_clear(&y->h);
  hs_clear(&y->replica);
  if (y->has_stale) {
    hs_clear(&y->stale);
  }
}

static void run_seeds(bool has_one_life, unsigned num, unsigned steps) {
  history *y = calloc(1, sizeof *y);
  assert_non_null(y);
  unsigned ok = 0;
  unsigned refused_time = 0;
  unsigned refused_quota = 0;
  for (unsigned seed = 1; seed <= num; seed++) {
    memset(y, 0, sizeof *y);
    y->seed = seed;
    y->has_one_life = has_one_life;
    torc_rng_seed(&y->rng, seed);
    run_history(y, steps);
    ok += y->num_ok;
    refused_time += y->num_412;
    refused_quota += y->num_413;
  }
  /* The histories reach all outcomes. */
  assert_true(ok > 50 * num);
  assert_true(refused_time > 50 * num);
  assert_true(refused_quota > num);
  free(y);
}

static void random_histories(void **state) {
  (void)state;
  run_seeds(false, 30, 600);
}

static void random_histories_with_stale_holder(void **state) {
  (void)state;
  run_seeds(true, 30, 600);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TORC_TEST("STO-20 STO-23 STO-24 STO-26 STO-27 STO-31 REM-11 REM-12 REM-13 REM-14 FET-14 R-02 "
                "R-08 R-15 R-17 "
                "GAP-93 GAP-95 GAP-96 GAP-98 random histories against a model, reopened, "
                "replicated, copied",
                random_histories),
      TORC_TEST("D-14 GAP-93 GAP-103 random histories with a holder that missed some of it",
                random_histories_with_stale_holder),
  };
  return TORC_RUN(tests);
}

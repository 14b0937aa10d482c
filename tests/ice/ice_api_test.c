/* The agent's calls one by one: candidates told, names, late candidates, sockets that close,
 * limits, memory. SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/slice.h"
#include "ice/helper_lab.h"
#include "torc_test.h"

static const char password[] = "0123456789012345678901";

static torc_candidate parse(const char *text) {
  torc_candidate c;
  assert_int_equal(torc_candidate_parse(torc_slice_str(text), &c), 0);
  return c;
}

static int remote(lab *l, int agent, const torc_candidate *list, size_t num) {
  return torc_ice_remote(l->agents[agent].ice, l->agents[agent].id, torc_slice_str("abcd"),
                         torc_slice_str(password), list, num, l->now);
}

/* ---- what is told ---- */

/* Priorities by hand: type << 24 | local << 8 | 255; TCP: direction << 13 in the local part. */
static const char *const told[] = {
    "candidate:01 1 UDP 1793745151 192.0.2.1 5000 typ host",
    "candidate:02 1 UDP 1525309695 198.51.100.1 20000 typ srflx raddr 192.0.2.1 rport 5000",
    "candidate:03 1 UDP 853503 203.0.113.10 6000 typ relay raddr 0.0.0.0 rport 9",
    "candidate:04 1 TCP 2128609279 192.0.2.1 9 typ host tcptype active",
    "candidate:05 1 TCP 2122319359 192.0.2.1 7000 typ host tcptype passive",
    "candidate:06 1 TCP 2118123775 192.0.2.1 7001 typ host tcptype so",
};
static const uint16_t preferences[] = {60000, 60000, 3333, 8191, 5, 0};

static void fill(lab *l) {
  torc_addr seen = lab_addr("198.51.100.1", 20000);
  lab_udp(l, 0, "192.0.2.1", 5000, NULL);
  l->agents[0].locals[1] = lab_host(&l->sockets[0], TORC_CAND_SRFLX, &seen);
  l->agents[0].num_locals = 2;
  lab_relay(l, 0, "203.0.113.10", 6000);
  lab_tcp(l, 0, "192.0.2.1", 0, TORC_TCPTYPE_ACTIVE, NULL);
  lab_tcp(l, 0, "192.0.2.1", 7000, TORC_TCPTYPE_PASSIVE, NULL);
  lab_tcp(l, 0, "192.0.2.1", 7001, TORC_TCPTYPE_SO, NULL);
  for (size_t i = 0; i < TORC_ARRAY_LEN(preferences); i++) {
    l->agents[0].locals[i].preference = preferences[i];
  }
}

static void test_told(void **state) {
  torc_candidate list[TORC_ICE_LOCAL_MAX];
  lab l;
  (void)state;
  lab_init(&l, 1);
  fill(&l);
  l.agents[0].locals[6] = l.agents[0].locals[0]; /* a duplicate */
  l.agents[0].num_locals = 7;
  lab_open(&l, 0, true);
  assert_int_equal(torc_ice_candidates(l.agents[0].ice, l.agents[0].id, list),
                   TORC_ARRAY_LEN(told));
  for (size_t i = 0; i < TORC_ARRAY_LEN(told); i++) {
    char text[200];
    torc_wr wr;
    torc_wr_init(&wr, text, sizeof text - 1);
    assert_int_equal(torc_candidate_format(&wr, &list[i]), 0);
    text[wr.len] = '\0';
    assert_string_equal(text, told[i]);
  }
  assert_int_equal(lab_count(&l, 0, "locals_double"), 1);
  assert_int_equal(strlen(torc_ice_ufrag(l.agents[0].ice, l.agents[0].id)), 8);
  assert_int_equal(strlen(torc_ice_password(l.agents[0].ice, l.agents[0].id)), 24);
  assert_null(torc_ice_ufrag(l.agents[0].ice, 99));
  lab_clear(&l);
}

/* RETURN gives its own type preference [D-23]. */
static void test_own_preference(void **state) {
  torc_candidate list[TORC_ICE_LOCAL_MAX];
  lab l;
  (void)state;
  lab_init(&l, 2);
  lab_relay(&l, 0, "203.0.113.10", 6000);
  l.agents[0].locals[0].type_preference = 1;
  l.agents[0].locals[0].preference = 30495;
  lab_open(&l, 0, true);
  assert_int_equal(torc_ice_candidates(l.agents[0].ice, l.agents[0].id, list), 1);
  assert_int_equal(list[0].priority, (1u << 24) | (30495u << 8) | 255u);
  lab_clear(&l);
}

/* ---- what is taken ---- */

typedef struct credential_case {
  const char *ufrag, *password;
  int rc;
} credential_case;

static const credential_case credential_cases[] = {
    {"abcd", password, 0},
    {"ab+/", "abcdefghijklmnopqrstuvwxyz/+0123456789", 0},
    {"abc", password, TORC_ERR_FORMAT},
    {"", password, TORC_ERR_FORMAT},
    {"abc:", password, TORC_ERR_FORMAT},
    {"ab d", password, TORC_ERR_FORMAT},
    {"abcd", "012345678901234567890", TORC_ERR_FORMAT},
    {"abcd", "012345678901234567890!", TORC_ERR_FORMAT},
};

static void test_credentials(void **state) {
  (void)state;
  for (size_t i = 0; i < TORC_ARRAY_LEN(credential_cases); i++) {
    const credential_case *c = &credential_cases[i];
    lab l;
    lab_init(&l, 3);
    lab_udp(&l, 0, "192.0.2.1", 5000, NULL);
    lab_open(&l, 0, true);
    assert_int_equal(torc_ice_remote(l.agents[0].ice, l.agents[0].id, torc_slice_str(c->ufrag),
                                     torc_slice_str(c->password), NULL, 0, l.now),
                     c->rc);
    assert_int_equal(remote(&l, 0, NULL, 0), c->rc == 0 ? TORC_ERR_STATE : 0);
    lab_clear(&l);
  }
  {
    static char ufrag[258];
    lab l;
    memset(ufrag, 'a', 257);
    lab_init(&l, 3);
    lab_open(&l, 0, true);
    assert_int_equal(torc_ice_remote(l.agents[0].ice, l.agents[0].id, torc_slice_str(ufrag),
                                     torc_slice_str(password), NULL, 0, l.now),
                     TORC_ERR_FORMAT);
    assert_int_equal(torc_ice_remote(l.agents[0].ice, l.agents[0].id, torc_slice_str(ufrag + 1),
                                     torc_slice_str(password), NULL, 0, l.now),
                     0);
    lab_clear(&l);
  }
}

/* ---- names ---- */

typedef struct name_case {
  const char *name;
  bool is_asked;
} name_case;

static const name_case name_cases[] = {
    {"0b3c9ad4-6a1c-4ef5-9d8e-5d3b1f3c2a10.local", true},
    {"PRINTER.LOCAL", true},
    {"a.b.local", false},
    {"local", false},
    {".local", false},
    {"host.example", false},
    {"a_b.local", false},
    {"host.local.", false},
};

static void test_names(void **state) {
  (void)state;
  for (size_t i = 0; i < TORC_ARRAY_LEN(name_cases); i++) {
    torc_addr found[3] = {lab_addr("192.0.2.2", 1), lab_addr("192.0.2.3", 1),
                          lab_addr("2001:db8::2", 1)};
    char text[200];
    torc_candidate c;
    lab l;
    (void)snprintf(text, sizeof text, "candidate:1 1 UDP 2000 %s 5000 typ host",
                   name_cases[i].name);
    c = parse(text);
    lab_init(&l, 4);
    lab_udp(&l, 0, "192.0.2.1", 5000, NULL);
    lab_udp(&l, 0, "2001:db8::1", 5000, NULL);
    lab_open(&l, 0, true);
    assert_int_equal(remote(&l, 0, &c, 1), 0);
    lab_drain(&l);
    assert_int_equal(l.agents[0].num_resolves, name_cases[i].is_asked ? 1 : 0);
    if (name_cases[i].is_asked) {
      assert_string_equal(l.agents[0].resolve_name, name_cases[i].name);
      lab_run(&l, TORC_SEC(1));
      assert_int_equal(l.agents[0].num_sends, 0);
      torc_ice_resolved(l.agents[0].ice, l.agents[0].resolve, found, 3, l.now);
      lab_run(&l, TORC_MS(20));
      assert_int_equal(l.agents[0].num_sends, 2); /* one address of each family */
      torc_ice_resolved(l.agents[0].ice, l.agents[0].resolve, found, 3, l.now); /* late: nothing */
    } else {
      assert_int_equal(lab_count(&l, 0, "names_refused"), 1);
    }
    lab_clear(&l);
  }
}

/* Nobody has that name: as if the candidate were not there. */
static void test_name_unknown(void **state) {
  torc_candidate c = parse("candidate:1 1 UDP 2000 a.local 5000 typ host");
  lab l;
  (void)state;
  lab_init(&l, 5);
  lab_udp(&l, 0, "192.0.2.1", 5000, NULL);
  lab_open(&l, 0, true);
  assert_int_equal(remote(&l, 0, &c, 1), 0);
  lab_run(&l, TORC_SEC(1));
  torc_ice_resolved(l.agents[0].ice, l.agents[0].resolve, NULL, 0, l.now);
  lab_run_to_end(&l, TORC_SEC(20));
  assert_int_equal(l.agents[0].rc, TORC_ERR_NOTFOUND);
  assert_int_equal(l.agents[0].failed_at, TORC_SEC(1006));
  lab_clear(&l);
}

/* ---- pairs ---- */

/* RFC 8445 6.1.2.4: a server-reflexive candidate adds no pair, nor does a remote duplicate. */
static void test_pruned(void **state) {
  torc_candidate list[3] = {parse("candidate:1 1 UDP 2000 192.0.2.2 5000 typ host"),
                            parse("candidate:2 1 UDP 1000 192.0.2.2 5000 typ srflx raddr 10.0.0.1 "
                                  "rport 5"),
                            parse("candidate:3 2 UDP 2000 192.0.2.2 5001 typ host")};
  torc_addr seen = lab_addr("198.51.100.1", 20000);
  lab l;
  (void)state;
  lab_init(&l, 6);
  lab_udp(&l, 0, "192.0.2.1", 5000, NULL);
  l.agents[0].locals[1] = lab_host(&l.sockets[0], TORC_CAND_SRFLX, &seen);
  l.agents[0].num_locals = 2;
  lab_open(&l, 0, true);
  assert_int_equal(remote(&l, 0, list, 3), 0);
  assert_int_equal(lab_count(&l, 0, "pairs"), 1);
  assert_int_equal(lab_count(&l, 0, "pairs_pruned"), 1);
  assert_int_equal(lab_count(&l, 0, "remotes_double"), 1);
  assert_int_equal(lab_count(&l, 0, "remotes_refused"), 1); /* component 2 */
  lab_clear(&l);
}

/* RFC 8445 6.1.2.6: of one foundation one pair waits; the next follows when that one has worked, or
 * (ours) half a second later. */
static void test_frozen(void **state) {
  torc_candidate list[3] = {parse("candidate:1 1 UDP 3000 192.0.2.2 5000 typ host"),
                            parse("candidate:1 1 UDP 2000 192.0.2.2 5001 typ host"),
                            parse("candidate:2 1 UDP 1000 192.0.2.3 5000 typ host")};
  lab l;
  (void)state;
  lab_init(&l, 7);
  lab_udp(&l, 0, "192.0.2.1", 5000, NULL);
  lab_open(&l, 0, true);
  assert_int_equal(remote(&l, 0, list, 3), 0);
  lab_run(&l, TORC_MS(499));
  assert_int_equal(lab_count(&l, 0, "checks"), 2);
  lab_run(&l, TORC_MS(2));
  assert_int_equal(lab_count(&l, 0, "checks"), 3);
  lab_clear(&l);
}

/* A relay that was slow. */
static void test_late_local(void **state) {
  torc_ice_local relay;
  lab_nat *nat;
  lab l;
  (void)state;
  lab_init(&l, 8);
  nat = lab_add_nat(&l, "198.51.100.1", LAB_PORT, LAB_PORT);
  nat->drops_udp = true;
  lab_udp(&l, 0, "10.0.0.2", 5000, nat);
  lab_udp(&l, 1, "192.0.2.2", 5000, NULL);
  lab_open(&l, 0, true);
  lab_open(&l, 1, false);
  lab_tell(&l, 1);
  lab_tell(&l, 0);
  lab_run(&l, TORC_SEC(3));
  assert_false(l.agents[0].is_selected);
  lab_relay(&l, 0, "203.0.113.10", 6000);
  relay = l.agents[0].locals[l.agents[0].num_locals - 1];
  assert_int_equal(torc_ice_add_local(l.agents[0].ice, l.agents[0].id, &relay, l.now), 0);
  assert_int_equal(torc_ice_add_local(l.agents[0].ice, l.agents[0].id, &relay, l.now), 0);
  lab_run_to_end(&l, TORC_SEC(20));
  assert_true(l.agents[0].is_selected && l.agents[1].is_selected);
  assert_int_equal(l.agents[0].pair.local_type, TORC_CAND_RELAY);
  assert_int_equal(torc_ice_add_local(l.agents[0].ice, l.agents[0].id, &relay, l.now),
                   TORC_ERR_STATE);
  lab_clear(&l);
}

/* ---- TCP ---- */

/* Nobody listens, and nobody can come to us: at once. */
static void test_tcp_refused(void **state) {
  torc_candidate c = parse("candidate:1 1 TCP 2000 192.0.2.2 7000 typ host tcptype passive");
  lab l;
  (void)state;
  lab_init(&l, 9);
  lab_tcp(&l, 0, "192.0.2.1", 0, TORC_TCPTYPE_ACTIVE, NULL);
  lab_open(&l, 0, true);
  assert_int_equal(remote(&l, 0, &c, 1), 0);
  lab_run_to_end(&l, TORC_SEC(20));
  assert_int_equal(l.agents[0].rc, TORC_ERR_REFUSED);
  assert_int_equal(l.agents[0].failed_at, TORC_SEC(1000) + 2 * l.delay);
  assert_int_equal(l.agents[0].num_closes, 0);
  lab_clear(&l);
}

/* What is not selected is closed: connections that stand and those under way. */
static void test_tcp_closed(void **state) {
  torc_candidate c = parse("candidate:1 1 TCP 2000 198.51.100.2 7000 typ host tcptype passive");
  torc_addr own = lab_addr("192.0.2.1", 40000);
  lab l;
  (void)state;
  lab_init(&l, 10);
  lab_add_nat(&l, "198.51.100.2", LAB_PORT, LAB_PORT); /* swallows */
  lab_tcp(&l, 0, "192.0.2.1", 0, TORC_TCPTYPE_ACTIVE, NULL);
  lab_open(&l, 0, true);
  assert_int_equal(remote(&l, 0, &c, 1), 0);
  lab_run(&l, TORC_SEC(1));
  assert_int_equal(l.agents[0].num_connects, 1);
  torc_ice_close(l.agents[0].ice, l.agents[0].id);
  lab_drain(&l);
  assert_int_equal(l.agents[0].num_closes, 1);
  /* It stands nevertheless: closed again, by its socket. */
  l.sockets[l.num_sockets - 1].is_open = true;
  l.sockets[l.num_sockets - 1].kind = LAB_TCP;
  torc_ice_tcp_connected(l.agents[0].ice, l.sockets[l.num_sockets - 1].token, 0, l.num_sockets,
                         &own, l.now);
  lab_drain(&l);
  assert_int_equal(l.agents[0].num_closes, 2);
  assert_int_equal(torc_ice_deadline(l.agents[0].ice), TORC_NEVER);
  lab_clear(&l);
}

static void test_socket_closed(void **state) {
  lab l;
  (void)state;
  lab_init(&l, 11);
  lab_udp(&l, 0, "192.0.2.1", 5000, NULL);
  lab_udp(&l, 0, "192.0.2.3", 5000, NULL);
  lab_udp(&l, 1, "192.0.2.2", 5000, NULL);
  lab_open(&l, 0, true);
  lab_open(&l, 1, false);
  lab_tell(&l, 1);
  lab_tell(&l, 0);
  torc_ice_socket_closed(l.agents[0].ice, 1, l.now);
  lab_run_to_end(&l, TORC_SEC(20));
  assert_int_equal(l.agents[0].pair.socket, 2);
  torc_ice_socket_closed(l.agents[0].ice, 1, l.now);
  lab_drain(&l);
  assert_false(l.agents[0].is_lost);
  torc_ice_socket_closed(l.agents[0].ice, 2, l.now);
  lab_drain(&l);
  assert_true(l.agents[0].is_lost);
  lab_clear(&l);
}

/* ---- limits ---- */

static void test_limits(void **state) {
  torc_ice_local bad;
  torc_ice_id id = 0;
  lab l;
  (void)state;
  lab_init(&l, 12);
  l.cfg.max_sessions = 3;
  lab_udp(&l, 0, "192.0.2.1", 5000, NULL);
  for (int i = 0; i < 3; i++) {
    lab_open(&l, 0, true);
  }
  assert_int_equal(torc_ice_open(l.agents[0].ice, true, NULL, 0, l.now, &id), TORC_ERR_LIMIT);
  torc_ice_close(l.agents[0].ice, l.agents[0].id);
  torc_ice_close(l.agents[0].ice, l.agents[0].id); /* none: nothing */
  bad = l.agents[0].locals[0];
  bad.socket = 0;
  assert_int_equal(torc_ice_open(l.agents[0].ice, true, &bad, 1, l.now, &id), TORC_ERR_INVALID);
  {
    torc_ice_local many[TORC_ICE_LOCAL_MAX + 1];
    for (size_t i = 0; i < TORC_ARRAY_LEN(many); i++) {
      many[i] = l.agents[0].locals[0];
      many[i].addr.port = (uint16_t)(5000 + i);
      many[i].base = many[i].addr;
    }
    assert_int_equal(torc_ice_open(l.agents[0].ice, true, many, TORC_ARRAY_LEN(many), l.now, &id),
                     TORC_ERR_LIMIT);
    assert_int_equal(torc_ice_open(l.agents[0].ice, true, many, TORC_ICE_LOCAL_MAX, l.now, &id), 0);
  }
  lab_clear(&l);
}

/* ---- memory ---- */

typedef struct meter {
  torc_mem mem;
  int fail_at; /* counts down; 0: never */
  long num_alive;
} meter;

static bool runs_out(meter *m) {
  return m->fail_at > 0 && --m->fail_at == 0;
}

static void *meter_alloc(void *ctx, size_t size) {
  meter *m = ctx;
  if (runs_out(m)) {
    return NULL;
  }
  m->num_alive++;
  return malloc(size);
}

static void *meter_realloc(void *ctx, void *p, size_t size) {
  meter *m = ctx;
  if (runs_out(m)) {
    return NULL;
  }
  m->num_alive += p == NULL ? 1 : 0;
  return realloc(p, size);
}

static void meter_free(void *ctx, void *p) {
  meter *m = ctx;
  m->num_alive -= p != NULL ? 1 : 0;
  free(p);
}

/* Both agents share the memory that fails once, at each place in turn. */
static bool run_with(meter *m, int fail_at) {
  torc_candidate name = parse("candidate:9 1 UDP 2000 a.local 5000 typ host");
  const char *ufrag;
  torc_candidate list[TORC_ICE_LOCAL_MAX + 1];
  size_t num;
  int rc = 0;
  bool works;
  lab l;
  *m = (meter){.mem = {m, meter_alloc, meter_realloc, meter_free}, .fail_at = fail_at};
  lab_init(&l, 13);
  l.cfg.mem = &m->mem;
  lab_udp(&l, 0, "192.0.2.1", 5000, NULL);
  lab_udp(&l, 1, "192.0.2.2", 5000, NULL);
  lab_tcp(&l, 0, "192.0.2.1", 0, TORC_TCPTYPE_ACTIVE, NULL);
  lab_tcp(&l, 1, "192.0.2.2", 7000, TORC_TCPTYPE_PASSIVE, NULL);
  for (int i = 0; i < 2 && rc == 0; i++) {
    rc = torc_ice_new(&l.agents[i].ice, &l.cfg, l.now);
    if (rc == 0) {
      rc = torc_ice_open(l.agents[i].ice, i == 0, l.agents[i].locals, l.agents[i].num_locals, l.now,
                         &l.agents[i].id);
    }
  }
  for (int i = 1; i >= 0 && rc == 0; i--) {
    const lab_agent *o = &l.agents[1 - i];
    num = torc_ice_candidates(o->ice, o->id, list);
    list[num++] = name;
    ufrag = torc_ice_ufrag(o->ice, o->id);
    rc = torc_ice_remote(l.agents[i].ice, l.agents[i].id, torc_slice_str(ufrag),
                         torc_slice_str(torc_ice_password(o->ice, o->id)), list, num, l.now);
  }
  assert_true(rc == 0 || rc == TORC_ERR_NOMEM);
  if (rc == 0) {
    lab_run_to_end(&l, TORC_SEC(40));
    assert_true(l.agents[0].is_selected || l.agents[0].is_failed);
    assert_true(l.agents[1].is_selected || l.agents[1].is_failed);
    lab_run(&l, TORC_SEC(10));
  }
  works = rc == 0 && l.agents[0].is_selected && l.agents[1].is_selected;
  lab_clear(&l);
  assert_int_equal(m->num_alive, 0);
  return works;
}

static void test_memory(void **state) {
  meter m;
  int num_failed = 0;
  (void)state;
  for (int n = 1; n < 2000; n++) {
    bool works = run_with(&m, n);
    num_failed += works ? 0 : 1;
    if (m.fail_at > 0) { /* it needed fewer: all places were visited */
      assert_true(works);
      assert_true(n > 30);
      assert_true(num_failed < n / 2); /* most are got over */
      return;
    }
  }
  fail_msg("it never ends");
}

/* No random bytes, no HMAC: an error, or later. */
static int fail_random_at;
static int (*real_random)(void *ctx, uint8_t *out, size_t len);
static int failing_random(void *ctx, uint8_t *out, size_t len) {
  if (fail_random_at > 0 && --fail_random_at == 0) {
    return TORC_ERR_CRYPTO;
  }
  return real_random(ctx, out, len);
}

static void test_random(void **state) {
  (void)state;
  for (int n = 1; n < 20; n++) {
    torc_ice_id id = 0;
    torc_candidate c = parse("candidate:1 1 UDP 2000 192.0.2.2 5000 typ host");
    int rc;
    lab l;
    lab_init(&l, 14);
    real_random = l.crypto.random;
    l.crypto.random = failing_random;
    fail_random_at = n;
    lab_udp(&l, 0, "192.0.2.1", 5000, NULL);
    rc = torc_ice_new(&l.agents[0].ice, &l.cfg, l.now);
    assert_int_equal(rc, n <= 2 ? TORC_ERR_CRYPTO : 0);
    if (rc == 0) {
      rc = torc_ice_open(l.agents[0].ice, true, l.agents[0].locals, 1, l.now, &id);
      assert_int_equal(rc, n <= 5 ? TORC_ERR_CRYPTO : 0);
    }
    if (rc == 0) {
      l.agents[0].id = id;
      assert_int_equal(remote(&l, 0, &c, 1), 0);
      lab_run(&l, TORC_MS(200));
      assert_int_equal(l.agents[0].num_sends, 1); /* n == 6: after a while */
    }
    lab_clear(&l);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TORC_TEST("ICE-15 ICE-19 ICE-21 candidates told, priorities by hand", test_told),
      TORC_TEST("ICE-21 a type preference of one's own", test_own_preference),
      TORC_TEST("ICE-21 ICE-25 ICE-32 ICE-35 user fragments and passwords, once", test_credentials),
      TORC_TEST("ICE-21 names of mDNS", test_names),
      TORC_TEST("ICE-21 a name that nobody has", test_name_unknown),
      TORC_TEST("ICE-28 pruning", test_pruned),
      TORC_TEST("ICE-28 frozen pairs", test_frozen),
      TORC_TEST("ICE-15 a candidate that comes late", test_late_local),
      TORC_TEST("ICE-16 TCP refused", test_tcp_refused),
      TORC_TEST("ICE-16 ICE-31 connections that are not needed", test_tcp_closed),
      TORC_TEST("ICE-30 a socket is closed", test_socket_closed),
      TORC_TEST("ICE-02 GAP-78 limits", test_limits),
      TORC_TEST("ICE-02 memory fails at each place", test_memory),
      TORC_TEST("ICE-02 random bytes fail", test_random),
  };
  return TORC_RUN(tests);
}

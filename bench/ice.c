/* The ICE agent: memory of a session, CPU of a check, and how long two ends take to a pair over
 * loopback, beside libnice. SPDX-License-Identifier: Apache-2.0 */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/slice.h"
#include "ice/ice.h"
#include "interop/ice_ends.h"
#include "io/stun_crypto.h"
#include "measure.h"

#define SESSIONS 200
#define ENDS 40
#define MEETINGS 15

typedef struct meter {
  torc_mem mem;
  size_t now, most, num;
} meter;

/* The size lies before the block. */
#define HEAD 16u

static void *meter_realloc(void *ctx, void *p, size_t size) {
  meter *m = ctx;
  uint8_t *old = p;
  size_t had = 0;
  uint8_t *block;
  if (old != NULL) {
    memcpy(&had, old - HEAD, sizeof had);
  }
  block = realloc(old != NULL ? old - HEAD : NULL, size + HEAD);
  if (block == NULL) {
    exit(1);
  }
  memcpy(block, &size, sizeof size);
  m->now = m->now - had + size;
  m->most = m->now > m->most ? m->now : m->most;
  m->num++;
  return block + HEAD;
}

static void *meter_alloc(void *ctx, size_t size) {
  return meter_realloc(ctx, NULL, size);
}

static void meter_free(void *ctx, void *p) {
  meter *m = ctx;
  uint8_t *block = p;
  size_t had;
  if (block != NULL) {
    memcpy(&had, block - HEAD, sizeof had);
    m->now -= had;
    free(block - HEAD);
  }
}

/* ---- two agents in one process, their datagrams carried at once, in a time of their own ---- */

typedef struct side {
  meter m;
  torc_ice *ice;
  torc_ice_id ids[SESSIONS];
  torc_addr addr;
  size_t num_selected;
} side;

typedef struct pair {
  side s[2];
  torc_time now;
  uint64_t num_sent;
} pair;

static torc_addr addr_of(uint8_t last, uint16_t port) {
  torc_addr a = {.family = 1, .addr = {192, 0, 2, last}, .port = port};
  return a;
}

static size_t locals_of(const side *s, torc_ice_local out[6]) {
  memset(out, 0, 6 * sizeof out[0]);
  for (size_t i = 0; i < 6; i++) {
    out[i].type = TORC_CAND_HOST;
    out[i].transport = i < 3 ? TORC_CAND_UDP : TORC_CAND_TCP;
    out[i].addr = s->addr;
    out[i].addr.port = (uint16_t)(5000 + i);
    out[i].base = out[i].addr;
    out[i].socket = 1 + i;
  }
  out[1].type = TORC_CAND_SRFLX;
  out[1].base = out[0].addr;
  out[1].socket = 1;
  out[2].type = TORC_CAND_RELAY;
  out[3].tcptype = TORC_TCPTYPE_PASSIVE;
  out[4].tcptype = TORC_TCPTYPE_ACTIVE;
  out[5].tcptype = TORC_TCPTYPE_SO;
  return 6;
}

static void carry(pair *p) {
  bool more = true;
  while (more) {
    more = false;
    for (int i = 0; i < 2; i++) {
      torc_ice_output out;
      while (torc_ice_poll(p->s[i].ice, &out)) {
        uint8_t copy[512];
        torc_ice_from from = {.socket = out.remote.port - 4999u, .remote = out.local};
        size_t len = out.bytes.len;
        p->s[i].num_selected += out.kind == TORC_ICE_OUT_SELECTED ? 1 : 0;
        if (out.kind != TORC_ICE_OUT_SEND || out.remote.port != 5000) {
          continue;
        }
        memcpy(copy, out.bytes.p, len);
        from.local = out.remote;
        p->num_sent++;
        more = true;
        (void)!torc_ice_input(p->s[1 - i].ice, &from, torc_slice_of(copy, len), p->now);
      }
    }
  }
}

static void step(pair *p) {
  for (int i = 0; i < 2; i++) {
    torc_ice_tick(p->s[i].ice, p->now);
  }
  carry(p);
}

static void start(pair *p, const torc_stun_crypto *crypto) {
  memset(p, 0, sizeof *p);
  p->now = TORC_SEC(1);
  for (int i = 0; i < 2; i++) {
    side *s = &p->s[i];
    torc_ice_config cfg = {.crypto = crypto, .mem = &s->m.mem};
    torc_ice_local locals[6];
    s->m.mem = (torc_mem){&s->m, meter_alloc, meter_realloc, meter_free};
    s->addr = addr_of((uint8_t)(1 + i), 5000);
    if (torc_ice_new(&s->ice, &cfg, p->now) != 0) {
      exit(1);
    }
    for (size_t k = 0; k < SESSIONS; k++) {
      if (torc_ice_open(s->ice, i == 0, locals, locals_of(s, locals), p->now, &s->ids[k]) != 0) {
        exit(1);
      }
    }
  }
}

static void tell(pair *p, size_t k) {
  for (int i = 0; i < 2; i++) {
    const side *o = &p->s[1 - i];
    torc_candidate list[TORC_ICE_LOCAL_MAX];
    size_t num = torc_ice_candidates(o->ice, o->ids[k], list);
    if (torc_ice_remote(
            p->s[i].ice, p->s[i].ids[k], torc_slice_str(torc_ice_ufrag(o->ice, o->ids[k])),
            torc_slice_str(torc_ice_password(o->ice, o->ids[k])), list, num, p->now) != 0) {
      exit(1);
    }
  }
}

static void counted(void *ctx, const char *name, uint64_t value) {
  if (strcmp(name, "checks_sent") == 0) {
    *(uint64_t *)ctx = value;
  }
}

/* Until so many sessions of both sides have their pair. */
static void run_until(pair *p, size_t num) {
  torc_time limit = p->now + TORC_SEC(14);
  while (p->s[0].num_selected < num || p->s[1].num_selected < num) {
    p->now += TORC_MS(5);
    if (p->now > limit) {
      (void)fputs("bench_ice: a session found no pair\n", stderr);
      exit(1);
    }
    step(p);
  }
}

static uint64_t checks_of(const pair *p) {
  uint64_t sum = 0;
  for (int i = 0; i < 2; i++) {
    uint64_t one = 0;
    torc_ice_counters(p->s[i].ice, &one, counted);
    sum += one;
  }
  return sum;
}

static void bench_sessions(const torc_stun_crypto *crypto) {
  static pair p;
  size_t open;
  size_t running;
  uint64_t checks;
  size_t before;
  double cpu;
  start(&p, crypto);
  open = p.s[0].m.now;
  tell(&p, 0); /* an address that has answered is not limited */
  run_until(&p, 1);
  for (size_t k = 1; k < SESSIONS; k++) {
    tell(&p, k);
  }
  running = p.s[0].m.now;
  before = p.s[0].m.num + p.s[1].m.num;
  checks = checks_of(&p);
  p.num_sent = 0;
  cpu = measure_now(CLOCK_PROCESS_CPUTIME_ID);
  run_until(&p, SESSIONS);
  cpu = measure_now(CLOCK_PROCESS_CPUTIME_ID) - cpu;
  checks = checks_of(&p) - checks;
  (void)printf(
      "{\"case\":\"ice\",\"what\":\"session\",\"candidates\":6,\"bytes_open\":%zu,"
      "\"bytes_checking\":%zu,\"bytes_most\":%zu,\"bytes_selected\":%zu}\n",
      open / SESSIONS, running / SESSIONS, p.s[0].m.most / SESSIONS, p.s[0].m.now / SESSIONS);
  (void)printf(
      "{\"case\":\"ice\",\"what\":\"check\",\"checks\":%llu,\"datagrams\":%llu,"
      "\"us_per_check\":%.1f,\"allocations_per_check\":%.1f}\n",
      (unsigned long long)checks, (unsigned long long)p.num_sent, cpu * 1e6 / (double)checks,
      (double)(p.s[0].m.num + p.s[1].m.num - before) / (double)checks);
  torc_ice_free(p.s[0].ice);
  torc_ice_free(p.s[1].ice);
}

/* The largest session there can be: 100 pairs, and nobody answers. */
static void bench_full(const torc_stun_crypto *crypto) {
  static pair p;
  torc_candidate list[TORC_ICE_REMOTE_MAX];
  side *s = &p.s[0];
  start(&p, crypto);
  for (size_t k = 1; k < SESSIONS; k++) {
    torc_ice_close(s->ice, s->ids[k]);
  }
  memset(list, 0, sizeof list);
  for (size_t i = 0; i < TORC_ICE_REMOTE_MAX; i++) {
    list[i].component = 1;
    list[i].transport = TORC_CAND_UDP;
    list[i].type = TORC_CAND_HOST;
    list[i].priority = (uint32_t)(1000 + i);
    list[i].addr = addr_of(3, 80);
    list[i].addr.addr[2] = (uint8_t)i;
    list[i].foundation[0] = (char)('a' + i % 26);
    list[i].foundation[1] = (char)('a' + i / 26);
  }
  for (uint16_t i = 0; i < 2; i++) {
    torc_ice_local l = {.type = TORC_CAND_HOST, .transport = TORC_CAND_UDP, .socket = 9u + i};
    l.addr = addr_of(1, (uint16_t)(6000 + i));
    l.base = l.addr;
    if (torc_ice_add_local(s->ice, s->ids[0], &l, p.now) != 0) {
      exit(1);
    }
  }
  if (torc_ice_remote(s->ice, s->ids[0], torc_slice_str("abcd"),
                      torc_slice_str("0123456789012345678901"), list, TORC_ICE_REMOTE_MAX,
                      p.now) != 0) {
    exit(1);
  }
  s->m.most = 0;
  for (int i = 0; i < 400; i++) {
    p.now += TORC_MS(5);
    step(&p);
  }
  (void)printf("{\"case\":\"ice\",\"what\":\"largest session\",\"bytes_most\":%zu}\n", s->m.most);
  torc_ice_free(p.s[0].ice);
  torc_ice_free(p.s[1].ice);
}

/* ---- beside libnice, over loopback ---- */

static const char *name_of(ice_end_kind kind) {
  switch (kind) {
    case ICE_END_TORC:
      return "torc";
    case ICE_END_NICE:
      return "libnice";
    case ICE_END_NICE_AGGRESSIVE:
    default:
      return "libnice aggressive";
  }
}

static ice_end *open_end(ice_end_kind kind, bool is_controlling, bool is_tcp) {
  ice_end_config cfg = {.kind = kind,
                        .is_controlling = is_controlling,
                        .has_udp = !is_tcp,
                        .has_tcp = is_tcp,
                        .address = "127.0.0.1"};
  ice_end_told told;
  ice_end *e = ice_end_new(&cfg);
  while (!ice_end_tell(e, &told)) {
    ice_end_step(e);
  }
  return e;
}

/* What malloc has given for one libnice agent with one stream that has gathered one candidate: its
 * counterpart is a session. */
static void bench_nice_memory(void) {
  ice_end *ends[ENDS];
  size_t before;
  size_t after;
  ice_end *warm = open_end(ICE_END_NICE, true, false);
  before = mallinfo2().uordblks;
  for (int i = 0; i < ENDS; i++) {
    ends[i] = open_end(ICE_END_NICE, true, false);
  }
  after = mallinfo2().uordblks;
  for (int i = 0; i < ENDS; i++) {
    ice_end_free(ends[i]);
  }
  ice_end_free(warm);
  (void)printf(
      "{\"case\":\"ice\",\"what\":\"libnice agent\",\"candidates\":1,"
      "\"bytes_open\":%zu}\n",
      (after - before) / ENDS - ice_end_size());
}

static void bench_meeting(ice_end_kind controlling, ice_end_kind controlled, bool is_tcp) {
  double ms[MEETINGS];
  for (int i = 0; i < MEETINGS; i++) {
    ice_end *ends[2] = {open_end(controlling, true, is_tcp), open_end(controlled, false, is_tcp)};
    ice_end_told told[2];
    ice_end_state state[2];
    uint64_t from;
    (void)ice_end_tell(ends[0], &told[0]);
    (void)ice_end_tell(ends[1], &told[1]);
    from = ice_end_now_us();
    ice_end_hear(ends[1], &told[0]);
    ice_end_hear(ends[0], &told[1]);
    do {
      ice_end_step(ends[0]);
      ice_end_step(ends[1]);
      ice_ends_wait(ends, 2);
      ice_end_state_of(ends[0], &state[0]);
      ice_end_state_of(ends[1], &state[1]);
      if (state[0].is_failed || state[1].is_failed) {
        exit(1);
      }
    } while (!state[0].is_selected || !state[1].is_selected);
    ms[i] = (double)((state[0].selected_us > state[1].selected_us ? state[0].selected_us
                                                                  : state[1].selected_us) -
                     from) /
            1000;
    ice_end_free(ends[0]);
    ice_end_free(ends[1]);
  }
  qsort(ms, MEETINGS, sizeof ms[0], measure_compare);
  (void)printf(
      "{\"case\":\"ice\",\"what\":\"both ends selected, loopback\",\"controlling\":\"%s\","
      "\"controlled\":\"%s\",\"transport\":\"%s\",\"runs\":%d,\"median_ms\":%.1f,"
      "\"worst_ms\":%.1f}\n",
      name_of(controlling), name_of(controlled), is_tcp ? "tcp" : "udp", MEETINGS, ms[MEETINGS / 2],
      ms[MEETINGS - 1]);
}

int main(void) {
  static const ice_end_kind kinds[][2] = {{ICE_END_TORC, ICE_END_TORC},
                                          {ICE_END_NICE, ICE_END_NICE},
                                          {ICE_END_NICE_AGGRESSIVE, ICE_END_NICE_AGGRESSIVE},
                                          {ICE_END_TORC, ICE_END_NICE},
                                          {ICE_END_NICE, ICE_END_TORC}};
  torc_stun_openssl *ssl = NULL;
  if (torc_stun_openssl_new(&ssl) != 0) {
    return 1;
  }
  bench_sessions(torc_stun_openssl_table(ssl));
  bench_full(torc_stun_openssl_table(ssl));
  torc_stun_openssl_free(ssl);
  bench_nice_memory();
  for (int is_tcp = 0; is_tcp < 2; is_tcp++) {
    for (size_t i = 0; i < TORC_ARRAY_LEN(kinds); i++) {
      bench_meeting(kinds[i][0], kinds[i][1], is_tcp == 1);
    }
  }
  return 0;
}

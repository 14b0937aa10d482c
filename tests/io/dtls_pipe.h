/* Two ends of DTLS and the pipe between them, in simulated time: it delays, loses, repeats and
 * disorders datagrams, as a seed says. OpenSSL asks the system for the time; here it is given the
 * same. For the tests that include it, each a program of its own. SPDX-License-Identifier:
 * Apache-2.0
 */
#ifndef TORC_TESTS_DTLS_PIPE_H
#define TORC_TESTS_DTLS_PIPE_H

#include <sys/time.h>

#include "base/id.h"
#include "base/rng.h"
#include "base/slice.h"
#include "io/dtls_impl.h"
#include "io/helper_pki.h"
#include "torc_test.h"

#define OVERLAY "ring.example.org"
#define FLIGHT_MAX 8192u
#define DATAGRAM_MAX 2048u
#define T0 TORC_SEC(1000)

static torc_time now; /* of everything in this process */

/* In place of the C library's, for OpenSSL's timers. */
int gettimeofday(struct timeval *restrict tv, void *restrict tz) {
  (void)tz;
  tv->tv_sec = (time_t)(now / TORC_SEC(1));
  tv->tv_usec = (suseconds_t)(now % TORC_SEC(1));
  return 0;
}

typedef struct flight { /* a datagram under way */
  torc_time at;
  uint64_t number;
  unsigned to;
  size_t len;
  uint8_t bytes[DATAGRAM_MAX];
} flight;

typedef struct end {
  struct pipe *pipe;
  unsigned number; /* 0 dials, 1 accepts */
  torc_pki *pki;
  torc_tls_ctx *tls;
  torc_dtls_gate *gate;
  torc_dtls *d;
  torc_dtls_config cfg;
  uint32_t mtu;  /* as last told */
  uint32_t path; /* the system refuses longer datagrams; 0: none */
  bool refuses;  /* the certificate is not the CONNECT's */
  bool echoes;
  size_t num_got, got_bytes, num_sent;
  size_t largest;
  uint8_t last[TORC_DTLS_PLAIN_MAX];
  size_t last_len;
  bool seen[4096]; /* messages that begin with their number */
  size_t num_twice;
} end;

typedef struct pipe {
  end ends[2];
  /* What else is to be done in this time, and when; NULL: nothing. */
  torc_time (*more_at)(const struct pipe *p);
  void (*more)(struct pipe *p);
  void *ctx;
  flight *flights;
  size_t num;
  uint64_t sent;
  torc_rng rng;
  torc_time delay, jitter;
  uint32_t loss_percent, twice_percent;
  bool is_validated;
  size_t drop_at; /* the n-th datagram is lost; 0: none */
} pipe;

static hp_ca ca;

/* ---- the pipe ---- */

static inline void put(pipe *p, unsigned to, torc_slice bytes) {
  assert_true(p->num < FLIGHT_MAX && bytes.len <= DATAGRAM_MAX);
  flight *f = &p->flights[p->num++];
  torc_time extra = p->jitter == 0 ? 0 : torc_rng_below(&p->rng, p->jitter);
  *f = (flight){.at = now + p->delay + extra, .number = p->sent, .to = to, .len = bytes.len};
  memcpy(f->bytes, bytes.p, bytes.len);
}

static inline bool draws(pipe *p, uint32_t percent) {
  return percent > 0 && torc_rng_below(&p->rng, 100) < percent;
}

static inline int on_datagram(void *ctx, torc_slice bytes) {
  end *e = ctx;
  pipe *p = e->pipe;
  p->sent++;
  e->num_sent++;
  if (e->path != 0 && bytes.len > e->path) {
    return TORC_ERR_SPACE;
  }
  e->largest = bytes.len > e->largest ? bytes.len : e->largest;
  if (p->sent == p->drop_at || draws(p, p->loss_percent)) {
    return 0;
  }
  put(p, 1 - e->number, bytes);
  if (draws(p, p->twice_percent)) {
    put(p, 1 - e->number, bytes);
  }
  return 0;
}

static inline void on_message(void *ctx, torc_slice bytes) {
  end *e = ctx;
  e->num_got++;
  e->got_bytes += bytes.len;
  memcpy(e->last, bytes.p, bytes.len);
  e->last_len = bytes.len;
  if (bytes.len >= 2) {
    size_t number = (size_t)bytes.p[0] << 8 | bytes.p[1];
    if (number < TORC_ARRAY_LEN(e->seen)) {
      e->num_twice += e->seen[number] ? 1 : 0;
      e->seen[number] = true;
    }
  }
  if (e->echoes) {
    assert_int_equal(torc_dtls_send(e->d, torc_slice_of(NULL, 0), bytes, now), 0);
  }
}

static inline bool on_admits(void *ctx, const torc_cert *cert) {
  const end *e = ctx;
  assert_true(cert->num_peers == 1);
  return !e->refuses;
}

static inline void on_mtu(void *ctx, uint32_t mtu) {
  end *e = ctx;
  e->mtu = mtu;
}

static inline void end_set(pipe *p, unsigned number, torc_pki *pki) {
  end *e = &p->ends[number];
  char err[256] = "";
  e->pipe = p;
  e->number = number;
  e->pki = pki;
  assert_int_equal(torc_tls_ctx_new_dtls(&e->tls, pki, err, sizeof err), 0);
  torc_tls_ctx_set_wall(e->tls, hp_now());
  assert_int_equal(torc_dtls_gate_new(&e->gate, e->tls, now), 0);
  e->cfg = (torc_dtls_config){.is_client = number == 0,
                              .has_cookie = !p->is_validated,
                              .events = {.ctx = e,
                                         .datagram = on_datagram,
                                         .message = on_message,
                                         .admits = on_admits,
                                         .mtu = on_mtu}};
  assert_int_equal(
      torc_sock_parse(number == 0 ? "192.0.2.2:6084" : "192.0.2.1:6084", &e->cfg.remote), 0);
}

static inline torc_pki *pki_of(uint8_t id) {
  return hp_pki_own(&ca, OVERLAY, &(hp_spec){.overlay = OVERLAY, .id = id});
}

static inline torc_pki *shared_of(uint8_t id, uint8_t key_byte) {
  uint8_t key[TORC_SHARED_KEY_LEN];
  torc_pki *pki = NULL;
  torc_id self = hp_id(id);
  char err[256] = "";
  memset(key, key_byte, sizeof key);
  assert_int_equal(torc_pki_new_shared(&pki, OVERLAY, key, &self, err, sizeof err), 0);
  return pki;
}

static inline pipe *pipe_with(bool is_validated, uint64_t seed, torc_pki *a, torc_pki *b) {
  pipe *p = calloc(1, sizeof *p);
  assert_non_null(p);
  now = T0;
  p->flights = calloc(FLIGHT_MAX, sizeof *p->flights);
  assert_non_null(p->flights);
  torc_rng_seed(&p->rng, seed);
  p->delay = TORC_MS(50);
  p->is_validated = is_validated;
  end_set(p, 0, a);
  end_set(p, 1, b);
  return p;
}

static inline pipe *pipe_new(bool is_validated, uint64_t seed) {
  return pipe_with(is_validated, seed, pki_of(1), pki_of(2));
}

static inline void pipe_free(pipe *p) {
  for (size_t i = 0; i < 2; i++) {
    torc_dtls_free(p->ends[i].d);
    assert_int_equal(torc_dtls_gate_half_open(p->ends[i].gate), 0);
    torc_dtls_gate_free(p->ends[i].gate);
    torc_tls_ctx_free(p->ends[i].tls);
    torc_pki_free(p->ends[i].pki);
  }
  free(p->flights);
  free(p);
}

static inline void dial(pipe *p) {
  assert_int_equal(torc_dtls_new(&p->ends[0].d, p->ends[0].gate, &p->ends[0].cfg, now), 0);
}

/* What `e` does with a datagram. */
static inline void arrive(end *e, torc_slice bytes) {
  uint8_t reply[TORC_DTLS_REPLY_MAX];
  size_t len = 0;
  if (e->d != NULL) {
    torc_dtls_input(e->d, bytes, now);
    return;
  }
  switch (torc_dtls_gate_judge(e->gate, &e->cfg.remote, e->pipe->is_validated, bytes, now, reply,
                               &len)) {
    case TORC_DTLS_ANSWER:
      assert_true(len < bytes.len); /* nobody is amplified */
      (void)on_datagram(e, torc_slice_of(reply, len));
      break;
    case TORC_DTLS_ACCEPT:
      assert_int_equal(torc_dtls_new(&e->d, e->gate, &e->cfg, now), 0);
      torc_dtls_input(e->d, bytes, now);
      break;
    case TORC_DTLS_DROP:
      break;
  }
}

static inline size_t first_flight(const pipe *p) {
  size_t first = SIZE_MAX;
  for (size_t i = 0; i < p->num; i++) {
    bool is_earlier = first == SIZE_MAX || p->flights[i].at < p->flights[first].at ||
                      (p->flights[i].at == p->flights[first].at &&
                       p->flights[i].number < p->flights[first].number);
    first = is_earlier ? i : first;
  }
  return first;
}

/* Until `until`, or nothing is to come. */
static inline void run(pipe *p, torc_time until) {
  static flight f;
  for (unsigned steps = 0; steps < 1000000; steps++) {
    torc_time next = TORC_NEVER;
    size_t first = first_flight(p);
    for (size_t i = 0; i < 2; i++) {
      torc_time at = p->ends[i].d == NULL ? TORC_NEVER : torc_dtls_deadline(p->ends[i].d);
      next = at < next ? at : next;
    }
    if (p->more_at != NULL) {
      torc_time at = p->more_at(p);
      next = at < next ? at : next;
    }
    bool is_flight = first != SIZE_MAX && p->flights[first].at <= next;
    next = is_flight ? p->flights[first].at : next;
    if (next > until) {
      now = until;
      return;
    }
    now = next > now ? next : now;
    if (is_flight) {
      f = p->flights[first];
      p->flights[first] = p->flights[--p->num];
      arrive(&p->ends[f.to], torc_slice_of(f.bytes, f.len));
      if (p->more != NULL) {
        p->more(p);
      }
      continue;
    }
    for (size_t i = 0; i < 2; i++) {
      if (p->ends[i].d != NULL && torc_dtls_deadline(p->ends[i].d) <= now) {
        torc_dtls_tick(p->ends[i].d, now);
      }
    }
    if (p->more != NULL) {
      p->more(p);
    }
  }
  fail_msg("it does not come to rest");
}

static inline torc_dtls_state state_of(const end *e) {
  return e->d == NULL ? TORC_DTLS_HANDSHAKE : torc_dtls_get_state(e->d);
}

static inline void expect_up(pipe *p) {
  for (size_t i = 0; i < 2; i++) {
    if (state_of(&p->ends[i]) != TORC_DTLS_UP) {
      print_message("end %zu: %s\n", i, p->ends[i].d == NULL ? "-" : torc_dtls_why(p->ends[i].d));
    }
    assert_int_equal(state_of(&p->ends[i]), TORC_DTLS_UP);
  }
}

static inline void say(end *e, uint16_t number, size_t len) {
  uint8_t bytes[TORC_DTLS_PLAIN_MAX];
  memset(bytes, 'm', len);
  bytes[0] = (uint8_t)(number >> 8);
  bytes[1] = (uint8_t)number;
  assert_int_equal(
      torc_dtls_send(e->d, torc_slice_of(bytes, 2), torc_slice_of(bytes + 2, len - 2), now), 0);
}

static inline uint64_t stat_of(const end *e, size_t offset) {
  return *(const uint64_t *)(const void *)((const uint8_t *)torc_dtls_gate_stats(e->gate) + offset);
}
#define STAT(e, name) stat_of(&(e), offsetof(torc_dtls_stats, name))

#endif

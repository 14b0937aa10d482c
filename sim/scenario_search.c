/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario_search.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/rng.h"

/* With the periods below: 5 s to a PING, 64 T1 = 6.4 s until it has failed, then the copies. */
#define HEAL_S 20u
#define GONE_MAX 2u
#define MISHAPS_MAX 24u
#define PARTED_SEEDS 3u                 /* one seed in so many falls apart */
#define PARTED_DRAW 0x7061727465640aull /* drawn apart: the rest of a seed stays what it was */
#define PARTED_MAX_S 90u
#define PARTED_GONE_DRAW 0x70617274676f6eull /* drawn apart likewise */
#define MERGING_GONE_DRAW 0x6d657267676f6eull
#define MERGED_S 30u /* from one ring to all its data where they belong */

typedef struct writer {
  FILE *to;
  torc_rng rng;
  unsigned now_s;             /* since the ring was whole */
  unsigned gone_at[GONE_MAX]; /* the last ones */
  unsigned num_gone;          /* ever */
  unsigned peers, down;
} writer;

/* One draw a statement: a call's arguments are evaluated in any order. */
static unsigned below(writer *w, unsigned bound) {
  return (unsigned)torc_rng_below(&w->rng, bound);
}

/* Whether one more may go without a third of a value's holders being missing. */
static bool may_go(const writer *w) {
  unsigned oldest = w->gone_at[w->num_gone % GONE_MAX];
  return w->peers > 4 && (w->num_gone < GONE_MAX || w->now_s >= oldest + HEAL_S);
}

static const char *any_end(writer *w) {
  static const char *const ends[] = {"vanish", "crash", "leave"};
  return ends[below(w, 3)];
}

static void mishap(writer *w) {
  unsigned kind = below(w, 10);
  unsigned pause = below(w, 3) == 0 ? below(w, 3) : below(w, 15);
  w->now_s += pause;
  if (kind < 5 && may_go(w)) {
    (void)fprintf(w->to, "after %us %s 1\n", pause, any_end(w));
    w->gone_at[w->num_gone % GONE_MAX] = w->now_s;
    w->num_gone++;
    w->peers--;
    w->down++;
  } else if (kind < 7 && w->down > 0) {
    (void)fprintf(w->to, "after %us restart 1 keeps=%s\n", pause,
                  below(w, 2) == 0 ? "values" : "nothing");
    w->down--;
    w->peers++;
  } else if (kind < 9) {
    unsigned num = 1 + below(w, 3);
    (void)fprintf(w->to, "after %us join %u\n", pause, num);
    w->peers += num;
  } else {
    unsigned lasts = 2 + below(w, 8);
    unsigned loss = 10 + below(w, 40);
    unsigned num = 1 + below(w, 3);
    (void)fprintf(w->to, "after %us link %u loss=%u%% for=%us\n", pause, num, loss, lasts);
    w->now_s += lasts;
  }
}

static void settings(writer *w, uint64_t seed, const char *algorithm) {
  static const char *const algorithms[] = {"chord-128-2-8", "chord-128-2-8", "chord-128-2-24",
                                           "chord-128-2-16", "full-mesh"};
  static const char *const losses[] = {"0", "0", "0.1%", "1%"};
  w->peers = TORC_SEARCH_PEERS_MIN +
             below(w, below(w, 2) == 0 ? 8 : TORC_SEARCH_PEERS_MAX - TORC_SEARCH_PEERS_MIN + 1);
  const char *any = algorithms[below(w, 5)];
  (void)fprintf(w->to, "about small ring, seed %llu of the search\n", (unsigned long long)seed);
  (void)fprintf(w->to, "seed %llu\npeers %u\nalgorithm %s\n", (unsigned long long)seed, w->peers,
                algorithm == NULL ? any : algorithm);
  const char *loss = losses[below(w, 4)];
  unsigned jitter = below(w, 30);
  unsigned latency_ms = 5 + below(w, 36);
  unsigned bootstrap = 1 + below(w, 3);
  (void)fprintf(w->to, "bootstrap %u\nlatency plane %ums 2ms\njitter %u%%\nloss %s\n", bootstrap,
                latency_ms, jitter, loss);
  (void)fprintf(w->to, "t1 100ms\nkeepalive 5s\nupdate 10s\nping 30s\ninterval 1h\n");
  if (below(w, 3) == 0) {
    (void)fprintf(w->to, "deletion-delay 10s\n");
  }
}

/* Peers go while the ring is split: not before either part has made its copies anew, for those of a
 * value may all but one be on the other side; and of `parted` fewer than all, for what the owners
 * write there only they hold. */
static unsigned gone_while_split(writer *w, uint64_t seed, unsigned parted, unsigned since_s) {
  torc_rng_seed(&w->rng, seed ^ PARTED_GONE_DRAW);
  unsigned max = parted - 1 < GONE_MAX ? parted - 1 : GONE_MAX;
  unsigned num = max == 0 ? 0 : below(w, max + 1);
  unsigned pause = since_s < HEAL_S ? HEAL_S - since_s : 0;
  for (unsigned k = 0; k < num; k++) {
    pause += below(w, 10);
    (void)fprintf(w->to, "after %us %s 1\n", pause, any_end(w));
    pause = 0;
  }
  return num;
}

/* One more while the rings find each other, if two are not missing still and it leaves one of
 * `parted`. */
static void gone_while_merging(writer *w, uint64_t seed, unsigned left, bool may) {
  torc_rng_seed(&w->rng, seed ^ MERGING_GONE_DRAW);
  if (may && left > 1 && below(w, 2) == 0) {
    unsigned pause = below(w, HEAL_S);
    (void)fprintf(w->to, "after %us %s 1\n", pause, any_end(w));
  }
}

/* [GAP-124] At the end, when nobody is missing, for in either part whole sets of holders
 * are. Owners go on writing, each in its part; what is read meanwhile is not judged. */
static void partition(writer *w, uint64_t seed) {
  torc_rng_seed(&w->rng, seed ^ PARTED_DRAW);
  if (below(w, PARTED_SEEDS) != 0) {
    return;
  }
  (void)fprintf(w->to, "after %us expect stale<=0 resurrected<=0 forged<=0 unended<=0\n", HEAL_S);
  unsigned parted = 1 + below(w, w->peers / 2);
  (void)fprintf(w->to, "after 0s partition %u\n", parted);
  unsigned comes = below(w, 4);
  unsigned since_s = 0;
  if (comes == 0) {
    unsigned num = 1 + below(w, 3);
    since_s = below(w, 20);
    (void)fprintf(w->to, "after %us join %u\n", since_s, num);
  } else if (comes == 1 && w->down > 0) {
    since_s = below(w, 20);
    (void)fprintf(w->to, "after %us restart 1 keeps=values\n", since_s);
  }
  unsigned lasts = 1 + below(w, PARTED_MAX_S);
  unsigned gone = gone_while_split(w, seed, parted, since_s);
  (void)fprintf(w->to, "after %us heal\n", lasts);
  gone_while_merging(w, seed, parted - gone, gone < GONE_MAX || lasts >= HEAL_S);
  /* Links that fell silent are noticed now, if not before. */
  (void)fprintf(w->to, "after %us expect ring=consistent within=300s\n", HEAL_S);
  (void)fprintf(w->to, "after %us measure\n", MERGED_S);
}

int torc_search_text(uint64_t seed, const char *algorithm, char **out) {
  size_t len = 0;
  writer w = {.to = NULL};
  *out = NULL;
  w.to = open_memstream(out, &len);
  if (w.to == NULL) {
    return TORC_ERR_NOMEM;
  }
  torc_rng_seed(&w.rng, seed);
  settings(&w, seed, algorithm);
  (void)fprintf(w.to, "at 0s join peers over=%us\n", below(&w, 30));
  (void)fprintf(w.to, "after 0s expect ring=consistent within=300s\n");
  (void)fprintf(w.to, "after 1s store %u over=2s lifetime=1d\n", w.peers + below(&w, w.peers));
  (void)fprintf(w.to, "after 10s overwrites %u/s\n", 1 + below(&w, 4));
  (void)fprintf(w.to, "after 0s removes %u/min\n", 5 + below(&w, 40));
  (void)fprintf(w.to, "after 0s fetches %u/s\n", 1 + below(&w, 4));
  w.now_s = 0;
  unsigned num = 4 + below(&w, MISHAPS_MAX - 3);
  for (unsigned k = 0; k < num; k++) {
    mishap(&w);
  }
  partition(&w, seed);
  (void)fprintf(w.to, "after 0s link loss=0\n");
  (void)fprintf(w.to, "after 10s expect ring=consistent within=300s\n");
  (void)fprintf(w.to, "after 30s verify over=2s\n");
  (void)fprintf(w.to, "after 0s expect lost<=0 stale<=0 resurrected<=0 forged<=0 unended<=0\n");
  (void)fprintf(w.to, "after 0s measure\nafter 0s lookups 20/s for=5s\n");
  /* At rest is who has made the longest pause before a try again, 30 s, and tried. */
  (void)fprintf(w.to, "after 45s expect success>=1 wrong<=0 unended<=0 overfull<=0 leftover<=0\n");
  if (fclose(w.to) != 0) {
    free(*out);
    *out = NULL;
    return TORC_ERR_NOMEM;
  }
  return 0;
}

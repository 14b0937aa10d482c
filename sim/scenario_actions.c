/* The actions of a scenario: a table of verbs, one of keys, one of measures.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scenario_impl.h"

enum { WHO_NO, WHO_MAY, WHO_NODES, WHO_NUMBER, WHO_RATE };
#define BIT(key) (1u << (key))
#define K(name) BIT(TORC_KEY_##name)

typedef struct verb {
  const char *name;
  int who;
  uint32_t keys, needs;
} verb;

static const verb verbs[TORC_NUM_VERBS] = {
    [TORC_VERB_JOIN] = {"join", WHO_NUMBER,
                        K(OVER) | K(DOUBLING) | K(FROM) | K(RATE) | K(AS) | K(DOES), 0},
    [TORC_VERB_LEAVE] = {"leave", WHO_NODES, K(OVER), 0},
    [TORC_VERB_CRASH] = {"crash", WHO_NODES, K(OVER), 0},
    [TORC_VERB_VANISH] = {"vanish", WHO_NODES, K(OVER), 0},
    [TORC_VERB_RESTART] = {"restart", WHO_NODES, K(OVER) | K(KEEPS), 0},
    [TORC_VERB_MIGRATE] = {"migrate", WHO_NODES, K(OVER) | K(STAGE), K(STAGE)},
    [TORC_VERB_CHURN] = {"churn", WHO_NO,
                         K(SESSION) | K(MEAN) | K(SHAPE) | K(ENDS) | K(REPLACE) | K(DOWN) |
                             K(KEEPS) | K(FOR),
                         K(MEAN)},
    [TORC_VERB_PARTITION] = {"partition", WHO_NODES, K(FOR), 0},
    [TORC_VERB_HEAL] = {"heal", WHO_NO, 0, 0},
    [TORC_VERB_LINK] = {"link", WHO_MAY, K(LOSS) | K(FOR), K(LOSS)},
    [TORC_VERB_HOSTILE] = {"hostile", WHO_NODES, K(DOES) | K(FOR), K(DOES)},
    [TORC_VERB_LOOKUPS] = {"lookups", WHO_RATE, K(FOR) | K(AS), 0},
    [TORC_VERB_FETCHES] = {"fetches", WHO_RATE, K(FOR) | K(AS) | K(OF) | K(ASK), 0},
    [TORC_VERB_STORE] = {"store", WHO_NUMBER, K(OVER) | K(SIZE) | K(LIFETIME) | K(REFRESH), 0},
    [TORC_VERB_OVERWRITES] = {"overwrites", WHO_RATE, K(FOR), 0},
    [TORC_VERB_REMOVES] = {"removes", WHO_RATE, K(FOR), 0},
    [TORC_VERB_VERIFY] = {"verify", WHO_NO, K(OVER), 0},
    [TORC_VERB_MEASURE] = {"measure", WHO_NO, 0, 0},
    [TORC_VERB_EXPECT] = {"expect", WHO_NO, K(WITHIN), 0},
    [TORC_VERB_END] = {"end", WHO_NO, 0, 0},
};

typedef enum key_kind {
  V_DURATION,
  V_NUMBER,
  V_RATE,
  V_SHARE,
  V_DECIMAL,
  V_WORD,
  V_WORDS
} key_kind;
typedef struct key {
  const char *name;
  key_kind kind;
  uint64_t least, most;
  const char *words[7]; /* their places are the values; V_WORDS: their bits */
} key;

#define FOREVER ((uint64_t)366 * 86400 * 1000000)
static const key keys[TORC_NUM_KEYS] = {
    [TORC_KEY_FOR] = {"for", V_DURATION, 1000, FOREVER, {NULL}},
    [TORC_KEY_OVER] = {"over", V_DURATION, 0, FOREVER, {NULL}},
    [TORC_KEY_DOUBLING] = {"doubling", V_DURATION, 1000, FOREVER, {NULL}},
    [TORC_KEY_FROM] = {"from", V_NUMBER, 1, 10000000, {NULL}},
    [TORC_KEY_RATE] = {"rate", V_RATE, 1, 1000000000000, {NULL}},
    [TORC_KEY_AS] = {"as", V_WORD, 0, 0, {"anybody", "peer", "client"}},
    [TORC_KEY_DOES] = {"does", V_WORDS, 0, 0, {"drops", "misroutes", "denies", "stale", "floods"}},
    [TORC_KEY_SESSION] = {"session", V_WORD, 0, 0, {"exponential", "pareto", "weibull"}},
    [TORC_KEY_MEAN] = {"mean", V_DURATION, 1000000, FOREVER, {NULL}},
    [TORC_KEY_SHAPE] = {"shape", V_DECIMAL, 100, 20000, {NULL}},
    [TORC_KEY_ENDS] = {"ends", V_WORD, 0, 0, {"vanish", "crash", "leave"}},
    [TORC_KEY_REPLACE] = {"replace", V_WORD, 0, 0, {"new", "same", "none"}},
    [TORC_KEY_DOWN] = {"down", V_DURATION, 1000, FOREVER, {NULL}},
    [TORC_KEY_KEEPS] = {"keeps", V_WORD, 0, 0, {"nothing", "values"}},
    [TORC_KEY_LOSS] = {"loss", V_SHARE, 0, 1000000, {NULL}},
    [TORC_KEY_SIZE] = {"size", V_NUMBER, 24, 4000, {NULL}},
    [TORC_KEY_LIFETIME] = {"lifetime", V_DURATION, 1000000, FOREVER, {NULL}},
    [TORC_KEY_REFRESH] = {"refresh", V_DURATION, 1000000, FOREVER, {NULL}},
    [TORC_KEY_OF] = {"of", V_WORD, 0, 0, {"any", "one"}},
    [TORC_KEY_ASK] = {"ask", V_WORD, 0, 0, {"none", "replicas"}},
    [TORC_KEY_WITHIN] = {"within", V_DURATION, 0, FOREVER, {NULL}},
    [TORC_KEY_STAGE] = {"stage", V_WORD, 0, 0, {"none", "fetch-old", "fetch-new", "new-only"}},
};

static const char *const metrics[TORC_NUM_METRICS] = {
    [TORC_METRIC_RING] = "ring",
    [TORC_METRIC_PEERS] = "peers",
    [TORC_METRIC_JOINED] = "joined",
    [TORC_METRIC_MOVED] = "moved",
    [TORC_METRIC_SUCCESS] = "success",
    [TORC_METRIC_WRONG] = "wrong",
    [TORC_METRIC_HOPS_MEAN] = "hops_mean",
    [TORC_METRIC_HOPS_OVER] = "hops_over",
    [TORC_METRIC_HOPS_P50] = "hops_p50",
    [TORC_METRIC_HOPS_P95] = "hops_p95",
    [TORC_METRIC_HOPS_P99] = "hops_p99",
    [TORC_METRIC_STORE_OK] = "store_ok",
    [TORC_METRIC_FETCH_OK] = "fetch_ok",
    [TORC_METRIC_ASK_OK] = "ask_ok",
    [TORC_METRIC_LOST] = "lost",
    [TORC_METRIC_LOST_HELD] = "lost_held",
    [TORC_METRIC_LOST_SHARE] = "lost_share",
    [TORC_METRIC_MARKOV_RATIO] = "markov_ratio",
    [TORC_METRIC_STALE] = "stale",
    [TORC_METRIC_RESURRECTED] = "resurrected",
    [TORC_METRIC_FORGED] = "forged",
    [TORC_METRIC_UNENDED] = "unended",
    [TORC_METRIC_OVERFULL] = "overfull",
    [TORC_METRIC_LEFTOVER] = "leftover",
    [TORC_METRIC_WHOLE] = "whole",
    [TORC_METRIC_MESSAGES] = "messages",
    [TORC_METRIC_BYTES] = "bytes",
    [TORC_METRIC_LOAD_MAX] = "load_max",
    [TORC_METRIC_BYTES_PER_NODE] = "bytes_per_node",
};
static const char *const compares[] = {"<=", ">=", "=", "<", ">"};

const char *torc_verb_name(torc_verb v) {
  return verbs[v].name;
}

const char *torc_metric_name(torc_metric m) {
  return metrics[m];
}

const char *torc_compare_text(torc_compare c) {
  return compares[c];
}

/* "a, b or c" of what a table names. */
static void add_name(char *list, size_t cap, const char *name) {
  size_t len = strlen(list);
  if (len < cap) {
    (void)snprintf(list + len, cap - len, "%s%s", len > 0 ? ", " : "", name);
  }
}

static void list_keys(uint32_t mask, char *list, size_t cap) {
  list[0] = '\0';
  for (int k = 0; k < TORC_NUM_KEYS; k++) {
    if ((mask & BIT(k)) != 0) {
      add_name(list, cap, keys[k].name);
    }
  }
}

/* ---- whom ---- */

static bool read_node(const char *text, size_t len, uint32_t *out) {
  uint64_t v = 0;
  if (len < 2 || len > 9 || text[0] != 'n') {
    return false;
  }
  for (size_t i = 1; i < len; i++) {
    if (text[i] < '0' || text[i] > '9') {
      return false;
    }
    v = v * 10 + (uint64_t)(text[i] - '0');
  }
  *out = (uint32_t)v;
  return true;
}

static int read_range(torc_who *w, const char *word, torc_complaint *c) {
  const char *dots = strstr(word, "..");
  size_t first = dots == NULL ? strlen(word) : (size_t)(dots - word);
  w->kind = TORC_WHO_RANGE;
  if (!read_node(word, first, &w->first) ||
      (dots != NULL && !read_node(dots + 2, strlen(dots + 2), &w->last))) {
    return torc_complain(c, word, "expected nodes as n7 or n0..n15");
  }
  w->last = dots == NULL ? w->first : w->last;
  if (w->last < w->first) {
    return torc_complain(c, word, "the first node must not be behind the last");
  }
  return 0;
}

static int read_who(torc_who *w, int which, uint64_t peers, const char *word, torc_complaint *c) {
  size_t len = strlen(word);
  if (strcmp(word, "peers") == 0) {
    *w = (torc_who){.kind = TORC_WHO_COUNT, .number = peers};
    return 0;
  }
  if (word[0] >= '0' && word[0] <= '9' && word[len - 1] == '%') {
    w->kind = TORC_WHO_SHARE;
    /* Of those that join there may be more than there are. */
    uint64_t hundredths = 0;
    char text[TORC_SCENARIO_TEXT_MAX];
    (void)snprintf(text, sizeof text, "%.*s", (int)(len - 1), word);
    if (torc_word_share(word, &w->number) == 0) {
      return 0;
    }
    if (which == WHO_NUMBER && torc_word_number(text, &hundredths) == 0 && hundredths <= 100000) {
      w->number = hundredths * 10000;
      return 0;
    }
    return torc_complain(c, word, "expected a share of at most 100%%");
  }
  if (which != WHO_NUMBER && word[0] == 'n') {
    return read_range(w, word, c);
  }
  if (which != WHO_NUMBER && strcmp(word, "all") == 0) {
    w->kind = TORC_WHO_ALL;
    return 0;
  }
  if (torc_word_number(word, &w->number) == 0) {
    w->kind = TORC_WHO_COUNT;
    return 0;
  }
  return torc_complain(c, word, "expected %s",
                       which == WHO_NUMBER ? "a number, a share as 50% or 'peers'"
                                           : "a number, a share as 50%, nodes as n0..n7, or 'all'");
}

/* ---- key=value ---- */

static int read_word(const key *k, const char *value, uint64_t *out, torc_complaint *c) {
  char list[200] = "";
  for (uint64_t i = 0; i < 7 && k->words[i] != NULL; i++) {
    if (strcmp(value, k->words[i]) == 0) {
      *out = i;
      return 0;
    }
    add_name(list, sizeof list, k->words[i]);
  }
  return torc_complain(c, value, "%s is one of %s", k->name, list);
}

static int read_words(const key *k, const char *value, uint64_t *out, torc_complaint *c) {
  uint64_t bits = 0;
  const char *p = value;
  if (strcmp(value, "nothing") == 0) {
    *out = 0;
    return 0;
  }
  for (;;) {
    char one[TORC_SCENARIO_TEXT_MAX];
    size_t len = strcspn(p, ",");
    uint64_t place = 0;
    (void)snprintf(one, sizeof one, "%.*s", (int)(len < sizeof one ? len : sizeof one - 1), p);
    int rc = read_word(k, one, &place, c);
    if (rc != 0) {
      c->word = value;
      return rc;
    }
    bits |= (uint64_t)1 << place;
    if (p[len] == '\0') {
      break;
    }
    p += len + 1;
  }
  *out = bits;
  return 0;
}

static int read_shape(const char *value, uint64_t *out) {
  uint64_t ppm = 0;
  char scaled[TORC_SCENARIO_TEXT_MAX];
  (void)snprintf(scaled, sizeof scaled, "%sk", value); /* thousandths: as in "1.5k" */
  int rc = torc_word_number(scaled, &ppm);
  *out = ppm;
  return rc;
}

static int read_key_value(const key *k, const char *value, uint64_t *out, torc_complaint *c) {
  int rc = 0;
  const char *expected = "";
  switch (k->kind) {
    case V_DURATION:
      rc = torc_word_duration(value, out);
      expected = "a duration, as 500ms, 30s or 10m";
      break;
    case V_NUMBER:
      rc = torc_word_number(value, out);
      expected = "a number, as 1000 or 10k";
      break;
    case V_RATE:
      rc = torc_word_rate(value, out);
      expected = "a rate, as 100/s or 5/min";
      break;
    case V_SHARE:
      rc = torc_word_share(value, out);
      expected = "a share, as 5% or 0.05";
      break;
    case V_DECIMAL:
      rc = read_shape(value, out);
      expected = "a number with at most three decimals, as 1.5";
      break;
    case V_WORD:
      return read_word(k, value, out, c);
    case V_WORDS:
      return read_words(k, value, out, c);
  }
  if (rc == 0 && (*out < k->least || *out > k->most)) {
    return torc_complain(c, value, "%s is too %s", k->name, *out < k->least ? "small" : "great");
  }
  return rc == 0 ? 0 : torc_complain(c, value, "%s: expected %s", k->name, expected);
}

static int read_key(torc_action *a, const char *word, torc_complaint *c) {
  char name[TORC_SCENARIO_TEXT_MAX];
  char list[300];
  const char *equals = strchr(word, '=');
  int k = 0;
  list_keys(verbs[a->verb].keys, list, sizeof list);
  if (list[0] == '\0') {
    return torc_complain(c, word, "nothing may follow %s here", verbs[a->verb].name);
  }
  if (equals == NULL || equals == word) {
    return torc_complain(c, word, "expected key=value; %s takes %s", verbs[a->verb].name, list);
  }
  (void)snprintf(name, sizeof name, "%.*s", (int)(equals - word), word);
  while (k < TORC_NUM_KEYS && strcmp(keys[k].name, name) != 0) {
    k++;
  }
  if (k == TORC_NUM_KEYS || (verbs[a->verb].keys & BIT(k)) == 0) {
    return torc_complain(c, word, "%s takes %s", verbs[a->verb].name, list);
  }
  if ((a->has & BIT(k)) != 0) {
    return torc_complain(c, word, "%s is there twice", name);
  }
  a->has |= BIT(k);
  return read_key_value(&keys[k], equals + 1, &a->keys[k], c);
}

/* ---- expect ---- */

static bool is_share(torc_metric m) {
  return m == TORC_METRIC_JOINED || m == TORC_METRIC_MOVED || m == TORC_METRIC_SUCCESS ||
         m == TORC_METRIC_STORE_OK || m == TORC_METRIC_FETCH_OK || m == TORC_METRIC_ASK_OK ||
         m == TORC_METRIC_LOST_SHARE;
}

static int read_expected(torc_expect *e, const char *word, const char *value, torc_complaint *c) {
  char *end = NULL;
  uint64_t ppm = 0;
  torc_time t = 0;
  if (e->metric == TORC_METRIC_RING) {
    e->value = 1;
    return strcmp(value, "consistent") == 0 && e->compare == TORC_EQUAL
               ? 0
               : torc_complain(c, word, "expected ring=consistent");
  }
  if (is_share(e->metric)) {
    int rc = torc_word_share(value, &ppm);
    e->value = (double)ppm / 1e6;
    return rc == 0 ? 0 : torc_complain(c, word, "expected a share, as 99.9%% or 0.999");
  }
  if (e->metric == TORC_METRIC_WHOLE) {
    int rc = torc_word_duration(value, &t);
    e->value = (double)t / 1e6;
    return rc == 0 ? 0 : torc_complain(c, word, "expected a duration, as 60s");
  }
  e->value = strtod(value, &end);
  if (value[0] == '\0' || *end != '\0' ||
      !((value[0] >= '0' && value[0] <= '9') || value[0] == '-')) {
    return torc_complain(c, word, "expected a number");
  }
  return 0;
}

static int read_expect(torc_action *a, const char *word, torc_complaint *c) {
  char name[TORC_SCENARIO_TEXT_MAX];
  size_t len = strcspn(word, "<>=");
  int m = 0;
  torc_expect *e = &a->expects[a->num_expects];
  (void)snprintf(name, sizeof name, "%.*s", (int)(len < sizeof name ? len : sizeof name - 1), word);
  if (strcmp(name, "within") == 0) {
    return read_key(a, word, c);
  }
  if (strcmp(name, "lookup_ok") == 0) {
    (void)snprintf(name, sizeof name, "success");
  }
  while (m < TORC_NUM_METRICS && strcmp(metrics[m], name) != 0) {
    m++;
  }
  if (m == TORC_NUM_METRICS) {
    char list[390] = "";
    for (int i = 0; i < TORC_NUM_METRICS; i++) {
      add_name(list, sizeof list, metrics[i]);
    }
    return torc_complain(c, word, "expected a measure: %s", list);
  }
  if (a->num_expects == TORC_SCENARIO_EXPECTS_MAX) {
    return torc_complain(c, word, "at most %u expectations on a line", TORC_SCENARIO_EXPECTS_MAX);
  }
  for (int i = 0; i < 5; i++) { /* "<=" before "<" */
    size_t n = strlen(compares[i]);
    if (strncmp(word + len, compares[i], n) == 0) {
      *e = (torc_expect){.metric = (torc_metric)m, .compare = (torc_compare)i};
      a->num_expects++;
      return read_expected(e, word, word + len + n, c);
    }
  }
  return torc_complain(c, word, "expected <=, >=, =, < or > and a value behind %s", name);
}

/* ---- a whole action ---- */

static int check_action(const torc_action *a, const char *word, torc_complaint *c) {
  const verb *v = &verbs[a->verb];
  uint32_t pace = a->has & (K(OVER) | K(DOUBLING) | K(RATE));
  if ((a->has & v->needs) != v->needs) {
    char list[200];
    list_keys(v->needs & ~a->has, list, sizeof list);
    return torc_complain(c, word, "%s= is missing", list);
  }
  if (a->verb == TORC_VERB_EXPECT && a->num_expects == 0) {
    return torc_complain(c, word, "expected what must hold, as ring=consistent or success>=0.999");
  }
  if ((pace & (pace - 1)) != 0) {
    return torc_complain(c, word, "only one of over, doubling and rate");
  }
  if ((a->has & K(FROM)) != 0 && (a->has & K(DOUBLING)) == 0) {
    return torc_complain(c, word, "from goes with doubling");
  }
  if ((a->has & K(SHAPE)) == 0 && (a->has & K(SESSION)) != 0 &&
      a->keys[TORC_KEY_SESSION] != TORC_SESSION_EXPONENTIAL) {
    return torc_complain(c, word, "shape= is missing");
  }
  if (a->keys[TORC_KEY_SESSION] == TORC_SESSION_PARETO && (a->has & K(SESSION)) != 0 &&
      a->keys[TORC_KEY_SHAPE] <= 1000) {
    return torc_complain(c, word, "a Pareto distribution has a mean only if its shape is above 1");
  }
  return 0;
}

int torc_action_read(torc_action *a, const torc_scenario *s, char **words, size_t num_words,
                     torc_complaint *c) {
  int v = 0;
  size_t next = 1;
  int rc = 0;
  while (v < TORC_NUM_VERBS && strcmp(verbs[v].name, words[0]) != 0) {
    v++;
  }
  if (v == TORC_NUM_VERBS) {
    char list[300] = "";
    for (int i = 0; i < TORC_NUM_VERBS; i++) {
      add_name(list, sizeof list, verbs[i].name);
    }
    return torc_complain(c, words[0], "expected one of %s", list);
  }
  a->verb = (torc_verb)v;
  bool has_plain = num_words > 1 && strchr(words[1], '=') == NULL;
  if (verbs[v].who == WHO_RATE) {
    if (!has_plain || torc_word_rate(words[1], &a->rate) != 0 || a->rate == 0) {
      return torc_complain(c, words[num_words > 1], "expected a rate, as 100/s or 5/min");
    }
    next = 2;
  } else if (verbs[v].who == WHO_NODES || verbs[v].who == WHO_NUMBER ||
             (verbs[v].who == WHO_MAY && has_plain)) {
    if (!has_plain) {
      return torc_complain(c, words[0], "expected how many behind it");
    }
    rc = read_who(&a->who, verbs[v].who, s->peers, words[1], c);
    next = 2;
  }
  for (; rc == 0 && next < num_words; next++) {
    rc = a->verb == TORC_VERB_EXPECT ? read_expect(a, words[next], c) : read_key(a, words[next], c);
  }
  return rc == 0 ? check_action(a, words[0], c) : rc;
}

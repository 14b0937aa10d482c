/* Scenarios: text that says what befalls a ring and what must hold; docs/simulator.md shows the
 * language. A line is a setting ("peers 1000"), a parameter ("param session 30m"), or an action
 * with its time ("at 5m vanish 25%", "after 10s lookups 100/s for=30s"). SPDX-License-Identifier:
 * Apache-2.0 */
#ifndef TORC_SIM_SCENARIO_H
#define TORC_SIM_SCENARIO_H

#include "engine.h"

#define TORC_SCENARIO_TEXT_MAX 128u     /* of a word with its NUL */
#define TORC_SCENARIO_LINE_MAX 512u     /* bytes of a line */
#define TORC_SCENARIO_ACTIONS_MAX 4096u /* a search writes one line for each mishap */
#define TORC_SCENARIO_EXPECTS_MAX 8u    /* on one line */
#define TORC_SCENARIO_PARAMS_MAX 16u

typedef enum torc_verb {
  TORC_VERB_JOIN,
  TORC_VERB_LEAVE,
  TORC_VERB_CRASH,
  TORC_VERB_VANISH,
  TORC_VERB_RESTART,
  TORC_VERB_MIGRATE,
  TORC_VERB_CHURN,
  TORC_VERB_PARTITION,
  TORC_VERB_HEAL,
  TORC_VERB_LINK,
  TORC_VERB_HOSTILE,
  TORC_VERB_LOOKUPS,
  TORC_VERB_FETCHES,
  TORC_VERB_STORE,
  TORC_VERB_OVERWRITES,
  TORC_VERB_REMOVES,
  TORC_VERB_VERIFY,
  TORC_VERB_MEASURE,
  TORC_VERB_EXPECT,
  TORC_VERB_END,
  TORC_NUM_VERBS
} torc_verb;

/* Whom an action is about. */
typedef enum torc_who_kind {
  TORC_WHO_NONE = 0,
  TORC_WHO_COUNT, /* that many, chosen at random */
  TORC_WHO_SHARE, /* `number` millionths of those it may be about */
  TORC_WHO_RANGE, /* nodes first..last by number */
  TORC_WHO_ALL
} torc_who_kind;
typedef struct torc_who {
  torc_who_kind kind;
  uint64_t number;
  uint32_t first, last;
} torc_who;

/* The key=value words of an action; which verb takes which stands in scenario_words.c. */
typedef enum torc_key {
  TORC_KEY_FOR,      /* duration */
  TORC_KEY_OVER,     /* duration */
  TORC_KEY_DOUBLING, /* duration */
  TORC_KEY_FROM,     /* number */
  TORC_KEY_RATE,     /* per 1,000 s */
  TORC_KEY_AS,       /* torc_role */
  TORC_KEY_DOES,     /* TORC_SIM_DROPS, ... */
  TORC_KEY_SESSION,  /* torc_session_kind */
  TORC_KEY_MEAN,     /* duration */
  TORC_KEY_SHAPE,    /* thousandths */
  TORC_KEY_ENDS,     /* torc_end_kind */
  TORC_KEY_REPLACE,  /* torc_replace_kind */
  TORC_KEY_DOWN,     /* duration */
  TORC_KEY_KEEPS,    /* bool */
  TORC_KEY_LOSS,     /* millionths */
  TORC_KEY_SIZE,     /* bytes */
  TORC_KEY_LIFETIME, /* duration */
  TORC_KEY_REFRESH,  /* duration */
  TORC_KEY_OF,       /* torc_of_kind */
  TORC_KEY_ASK,      /* torc_ask_kind */
  TORC_KEY_WITHIN,   /* duration */
  TORC_KEY_STAGE,    /* torc_migration_stage */
  TORC_NUM_KEYS
} torc_key;

typedef enum torc_session_kind {
  TORC_SESSION_EXPONENTIAL,
  TORC_SESSION_PARETO,
  TORC_SESSION_WEIBULL /* its mean is taken for the scale */
} torc_session_kind;
typedef enum torc_end_kind { TORC_ENDS_VANISH, TORC_ENDS_CRASH, TORC_ENDS_LEAVE } torc_end_kind;
typedef enum torc_replace_kind {
  TORC_REPLACE_NEW,  /* somebody else comes at once */
  TORC_REPLACE_SAME, /* the same peer comes back after `down` */
  TORC_REPLACE_NONE
} torc_replace_kind;
typedef enum torc_of_kind { TORC_OF_ANY, TORC_OF_ONE } torc_of_kind;
typedef enum torc_ask_kind { TORC_ASK_NONE, TORC_ASK_REPLICAS } torc_ask_kind;

/* What can be measured and expected. */
typedef enum torc_metric {
  TORC_METRIC_RING, /* 1: consistent */
  TORC_METRIC_PEERS,
  TORC_METRIC_JOINED, /* share of the live nodes */
  TORC_METRIC_MOVED,  /* share of the live peers that are done with their stage of a move */
  TORC_METRIC_SUCCESS,
  TORC_METRIC_WRONG,
  TORC_METRIC_HOPS_MEAN,
  TORC_METRIC_HOPS_OVER, /* mean hops beyond log2 N / 2 */
  TORC_METRIC_HOPS_P50,
  TORC_METRIC_HOPS_P95,
  TORC_METRIC_HOPS_P99,
  TORC_METRIC_STORE_OK,
  TORC_METRIC_FETCH_OK,
  TORC_METRIC_ASK_OK, /* of the fetches that asked the replicas */
  TORC_METRIC_LOST,
  TORC_METRIC_LOST_HELD,
  TORC_METRIC_LOST_SHARE,
  TORC_METRIC_MARKOV_RATIO,
  TORC_METRIC_STALE,
  TORC_METRIC_RESURRECTED,
  TORC_METRIC_FORGED,
  TORC_METRIC_UNENDED,
  TORC_METRIC_OVERFULL,
  TORC_METRIC_LEFTOVER,
  TORC_METRIC_WHOLE, /* seconds */
  TORC_METRIC_MESSAGES,
  TORC_METRIC_BYTES,
  TORC_METRIC_LOAD_MAX,
  TORC_METRIC_BYTES_PER_NODE,
  TORC_NUM_METRICS
} torc_metric;
typedef enum torc_compare {
  TORC_AT_MOST,
  TORC_AT_LEAST,
  TORC_EQUAL,
  TORC_BELOW,
  TORC_ABOVE
} torc_compare;
typedef struct torc_expect {
  torc_metric metric;
  torc_compare compare;
  double value;
} torc_expect;

typedef struct torc_action {
  torc_verb verb;
  unsigned line;
  bool is_after; /* `time` counts from the end of the action before */
  torc_time time;
  torc_who who;
  uint64_t rate; /* of lookups, ...: per 1,000 s */
  uint32_t has;  /* bit per torc_key */
  uint64_t keys[TORC_NUM_KEYS];
  torc_expect expects[TORC_SCENARIO_EXPECTS_MAX];
  size_t num_expects;
} torc_action;

typedef struct torc_scenario {
  char name[TORC_SCENARIO_TEXT_MAX];
  char about[TORC_SCENARIO_LINE_MAX];
  char algorithm[TORC_SCENARIO_TEXT_MAX];
  char matrix_file[TORC_SCENARIO_LINE_MAX];
  uint64_t peers;         /* what "join peers" means */
  torc_time interval;     /* between two lines of measures */
  torc_sim_config config; /* hooks, trace and threads are the caller's */
  torc_action *actions;
  size_t num_actions;
} torc_scenario;

/* What the command line says in place of the file: a setting or a parameter by its name. */
typedef struct torc_override {
  const char *name, *value;
} torc_override;

/* Reads a scenario. `name`: what complaints call the text. err: one line, "name:line: 'word': why;
 * what is allowed". TORC_ERR_CONFIG, TORC_ERR_NOMEM. Freed with torc_scenario_clear. */
int torc_scenario_parse(torc_scenario *out, const char *name, torc_slice text,
                        const torc_override *overrides, size_t num_overrides, char *err,
                        size_t err_cap) TORC_MUST_CHECK;
/* Reads a file; TORC_ERR_IO too. */
int torc_scenario_load(torc_scenario *out, const char *path, const torc_override *overrides,
                       size_t num_overrides, char *err, size_t err_cap) TORC_MUST_CHECK;
void torc_scenario_clear(torc_scenario *s);

/* ---- words, for the parser, messages and the command line ---- */

/* Names of the settings, in order; NULL at the end. `kind`: what it takes, for people. */
const char *torc_setting_name(size_t i);
const char *torc_setting_kind(size_t i);
const char *torc_verb_name(torc_verb v);
const char *torc_metric_name(torc_metric m);
const char *torc_compare_text(torc_compare c);

/* "1000", "10k", "1M". TORC_ERR_FORMAT. */
int torc_word_number(const char *word, uint64_t *out) TORC_MUST_CHECK;
/* "100us", "1.5s", "30m", "2h", "1d"; a number alone is seconds. */
int torc_word_duration(const char *word, torc_time *out) TORC_MUST_CHECK;
/* "0.1%", "0.25" to millionths, at most 1. */
int torc_word_share(const char *word, uint64_t *ppm) TORC_MUST_CHECK;
/* "100/s", "5/min" to events per 1,000 s. */
int torc_word_rate(const char *word, uint64_t *per_ks) TORC_MUST_CHECK;

#endif

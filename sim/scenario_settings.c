/* The settings of a scenario: one table. SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "scenario_impl.h"

typedef enum setting_kind {
  S_NUMBER,
  S_U32,
  S_DURATION,
  S_SHARE_PPM,
  S_SHARE_PERMILLE,
  S_ALGORITHM,
  S_LATENCY,
  S_ABOUT
} setting_kind;

typedef struct setting {
  const char *name;
  setting_kind kind;
  size_t offset; /* in torc_scenario */
  uint64_t least, most;
} setting;

#define AT(field) offsetof(torc_scenario, field)
#define DAY (86400u * (uint64_t)1000000)
static const setting settings[] = {
    {"about", S_ABOUT, AT(about), 0, 0},
    {"seed", S_NUMBER, AT(config.seed), 0, 1000000000000},
    {"peers", S_NUMBER, AT(peers), 1, 10000000},
    {"algorithm", S_ALGORITHM, AT(algorithm), 0, 0},
    {"interval", S_DURATION, AT(interval), 1000, DAY},
    {"bootstrap", S_U32, AT(config.num_bootstrap), 1, 64},
    {"latency", S_LATENCY, 0, 0, 0},
    {"jitter", S_SHARE_PERMILLE, AT(config.jitter_permille), 0, 1000},
    {"loss", S_SHARE_PPM, AT(config.loss_ppm), 0, 1000000},
    {"bandwidth", S_NUMBER, AT(config.bits_per_second), 0, 1000000000000},
    {"mtu", S_U32, AT(config.mtu), 300, 1000000},
    {"nat", S_SHARE_PERMILLE, AT(config.closed_permille), 0, 1000},
    {"sign", S_DURATION, AT(config.sign_cost), 0, 1000000},
    {"verify", S_DURATION, AT(config.verify_cost), 0, 1000000},
    {"t1", S_DURATION, AT(config.t1), 1000, DAY},
    {"update", S_DURATION, AT(config.update_period), 1000, DAY},
    {"ping", S_DURATION, AT(config.ping_period), 1000, DAY},
    {"keepalive", S_DURATION, AT(config.keepalive), 1000, DAY},
    {"idle-close", S_DURATION, AT(config.idle_close), 1000, DAY},
    {"deletion-delay", S_DURATION, AT(config.deletion_delay), 1000, DAY},
    {"replica-wait", S_DURATION, AT(config.replica_wait), 1000, DAY},
    {"max-links", S_U32, AT(config.max_links), 1, 1000000},
    {"max-client-links", S_U32, AT(config.max_client_links), 1, 1000000},
    {"answer-bytes", S_U32, AT(config.max_answer_bytes), 256, 1000000000},
    {"store-bytes", S_NUMBER, AT(config.max_stored_bytes), 1, (uint64_t)1 << 40},
    {"certificates", S_U32, AT(config.keep_certificates), 0, 1},
    {"flood", S_U32, AT(config.flood_rate), 1, 1000000},
};
#define NUM_SETTINGS (sizeof settings / sizeof settings[0])

const char *torc_setting_name(size_t i) {
  return i < NUM_SETTINGS ? settings[i].name : NULL;
}

const char *torc_setting_kind(size_t i) {
  switch (settings[i].kind) {
    case S_NUMBER:
    case S_U32:
      return "NUMBER";
    case S_DURATION:
      return "DURATION";
    case S_SHARE_PPM:
    case S_SHARE_PERMILLE:
      return "SHARE";
    case S_ALGORITHM:
      return "NAME";
    case S_LATENCY:
      return "'fixed D', 'plane D [MIN]' or 'matrix FILE [MIN]'";
    case S_ABOUT:
      break;
  }
  return "TEXT";
}

int torc_complain(torc_complaint *c, const char *word, const char *format, ...) {
  va_list args;
  va_start(args, format);
  c->word = word;
  (void)vsnprintf(c->why, sizeof c->why, format, args);
  va_end(args);
  return TORC_ERR_FORMAT;
}

static int too_many(torc_complaint *c, char **words, size_t num_words, size_t most) {
  return num_words > most ? torc_complain(c, words[most], "nothing may follow here") : 0;
}

static int set_latency(torc_scenario *s, char **words, size_t num_words, torc_complaint *c) {
  static const char *const kinds[] = {"fixed", "plane", "matrix"};
  size_t kind = 0;
  while (kind < 3 && strcmp(words[0], kinds[kind]) != 0) {
    kind++;
  }
  if (kind == 3) {
    return torc_complain(c, words[0], "expected fixed, plane or matrix");
  }
  if (num_words < 2) {
    return torc_complain(
        c, words[0],
        kind == 2 ? "expected a file behind it" : "expected a duration behind it, as 20ms");
  }
  torc_time d = 0;
  torc_time least = 0;
  if (kind == TORC_SIM_MATRIX) {
    (void)snprintf(s->matrix_file, sizeof s->matrix_file, "%s", words[1]);
  } else if (torc_word_duration(words[1], &d) != 0 || d < 10 || d > TORC_SEC(10)) {
    return torc_complain(c, words[1], "expected a duration from 10us to 10s");
  }
  if (num_words > 2 && kind != TORC_SIM_FIXED) {
    if (torc_word_duration(words[2], &least) != 0 || least < 10 || least > TORC_SEC(10)) {
      return torc_complain(c, words[2], "expected the shortest latency, from 10us to 10s");
    }
  }
  s->config.latency_kind = (torc_sim_latency_kind)kind;
  s->config.latency = d;
  s->config.latency_min = least;
  return too_many(c, words, num_words, kind == TORC_SIM_FIXED ? 2 : 3);
}

static int set_about(torc_scenario *s, char **words, size_t num_words) {
  size_t len = 0;
  s->about[0] = '\0';
  for (size_t i = 0; i < num_words; i++) {
    int n = snprintf(s->about + len, sizeof s->about - len, "%s%s", i > 0 ? " " : "", words[i]);
    len += n > 0 ? (size_t)n : 0;
    if (len >= sizeof s->about) {
      break;
    }
  }
  return 0;
}

static int set_algorithm(torc_scenario *s, const char *word, torc_complaint *c) {
  if (strlen(word) >= sizeof s->algorithm) {
    return torc_complain(c, word, "expected the name of an algorithm, as chord-128-2-8");
  }
  (void)snprintf(s->algorithm, sizeof s->algorithm, "%s", word);
  return 0;
}

static int read_value(const setting *e, const char *word, uint64_t *v, torc_complaint *c) {
  int rc = 0;
  const char *expected = "";
  switch (e->kind) {
    case S_NUMBER:
    case S_U32:
      rc = torc_word_number(word, v);
      expected = "a number, as 1000 or 10k";
      break;
    case S_DURATION:
      rc = torc_word_duration(word, v);
      expected = "a duration, as 500ms, 30s or 10m";
      break;
    case S_SHARE_PPM:
    case S_SHARE_PERMILLE:
      rc = torc_word_share(word, v);
      expected = "a share, as 5% or 0.05";
      *v /= rc == 0 && e->kind == S_SHARE_PERMILLE ? 1000 : 1;
      break;
    case S_ALGORITHM:
    case S_LATENCY:
    case S_ABOUT:
      break;
  }
  if (rc == 0 && (*v < e->least || *v > e->most)) {
    bool is_time = e->kind == S_DURATION;
    return torc_complain(
        c, word, "expected %llu%s to %llu%s",
        (unsigned long long)(is_time ? e->least / 1000 : e->least), is_time ? "ms" : "",
        (unsigned long long)(is_time ? e->most / 1000000 : e->most), is_time ? "s" : "");
  }
  return rc == 0 ? 0 : torc_complain(c, word, "expected %s", expected);
}

int torc_setting_set(torc_scenario *s, const char *name, char **words, size_t num_words,
                     torc_complaint *c) {
  const setting *e = settings;
  while (e < settings + NUM_SETTINGS && strcmp(e->name, name) != 0) {
    e++;
  }
  if (e == settings + NUM_SETTINGS) {
    return TORC_ERR_NOTFOUND;
  }
  if (num_words == 0) {
    return torc_complain(c, name, "expected %s behind it",
                         torc_setting_kind((size_t)(e - settings)));
  }
  if (e->kind == S_ABOUT) {
    return set_about(s, words, num_words);
  }
  if (e->kind == S_LATENCY) {
    return set_latency(s, words, num_words, c);
  }
  int rc = too_many(c, words, num_words, 1);
  if (rc != 0) {
    return rc;
  }
  if (e->kind == S_ALGORITHM) {
    return set_algorithm(s, words[0], c);
  }
  uint64_t v = 0;
  rc = read_value(e, words[0], &v, c);
  if (rc != 0) {
    return rc;
  }
  unsigned char *to = (unsigned char *)s + e->offset;
  if (e->kind == S_NUMBER || e->kind == S_DURATION) {
    memcpy(to, &v, sizeof v);
  } else {
    uint32_t narrow = (uint32_t)v;
    memcpy(to, &narrow, sizeof narrow);
  }
  return 0;
}

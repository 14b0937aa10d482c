/* Lines, words, parameters and overrides of a scenario. SPDX-License-Identifier: Apache-2.0 */
#include "scenario.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/slice.h"
#include "scenario_impl.h"

#define WORDS_MAX 32u
#define FILE_MAX ((size_t)1 << 20)

typedef struct param {
  char name[TORC_SCENARIO_TEXT_MAX], value[TORC_SCENARIO_TEXT_MAX];
} param;

typedef struct reader {
  torc_scenario *s;
  const char *name;
  unsigned line;
  const torc_override *overrides;
  size_t num_overrides;
  bool *is_used; /* per override */
  param params[TORC_SCENARIO_PARAMS_MAX];
  size_t num_params;
  char *err;
  size_t err_cap;
} reader;

static int fail(reader *r, const char *word, const char *why) {
  (void)snprintf(r->err, r->err_cap, "%s:%u: '%s': %s", r->name, r->line, word, why);
  return TORC_ERR_CONFIG;
}

static const char *override_of(reader *r, const char *name) {
  const char *value = NULL;
  for (size_t i = 0; i < r->num_overrides; i++) {
    if (strcmp(r->overrides[i].name, name) == 0) {
      r->is_used[i] = true;
      value = r->overrides[i].value;
    }
  }
  return value;
}

/* Splits at white space; the words lie in `line`. */
static size_t split(char *line, char **words, size_t max) {
  size_t n = 0;
  char *rest = NULL;
  for (char *w = strtok_r(line, " \t\r", &rest); w != NULL; w = strtok_r(NULL, " \t\r", &rest)) {
    if (n == max) {
      return max + 1;
    }
    words[n++] = w;
  }
  return n;
}

/* Writes $NAME out. */
static int expand(reader *r, const char *from, char *to, size_t cap) {
  size_t len = 0;
  while (*from != '\0') {
    const char *put = from;
    size_t n = 1;
    size_t skip = 1;
    if (*from == '$') {
      char name[TORC_SCENARIO_TEXT_MAX];
      n = strspn(from + 1, "abcdefghijklmnopqrstuvwxyz0123456789_");
      (void)snprintf(name, sizeof name, "%.*s", (int)n, from + 1);
      size_t i = 0;
      while (i < r->num_params && strcmp(r->params[i].name, name) != 0) {
        i++;
      }
      if (i == r->num_params) {
        return fail(r, from, "there is no such parameter; 'param NAME VALUE' makes one");
      }
      skip = n + 1;
      put = r->params[i].value;
      n = strlen(put);
    }
    if (len + n >= cap) {
      return fail(r, put, "the line is too long");
    }
    memcpy(to + len, put, n);
    len += n;
    from += skip;
  }
  to[len] = '\0';
  return 0;
}

static int read_param(reader *r, char **words, size_t num) {
  if (num < 3) {
    return fail(r, words[0], "expected 'param NAME VALUE'");
  }
  if (words[1][strspn(words[1], "abcdefghijklmnopqrstuvwxyz0123456789_")] != '\0') {
    return fail(r, words[1], "a parameter's name has small letters, digits and _");
  }
  if (torc_setting_name(0) != NULL) {
    for (size_t i = 0; torc_setting_name(i) != NULL; i++) {
      if (strcmp(torc_setting_name(i), words[1]) == 0) {
        return fail(r, words[1], "this is the name of a setting; choose another");
      }
    }
  }
  if (r->num_params == TORC_SCENARIO_PARAMS_MAX) {
    return fail(r, words[1], "there are too many parameters");
  }
  const char *value = override_of(r, words[1]);
  param *p = &r->params[r->num_params++];
  (void)snprintf(p->name, sizeof p->name, "%s", words[1]);
  (void)snprintf(p->value, sizeof p->value, "%s", value != NULL ? value : words[2]);
  return num > 3 && words[3][0] != '#' ? fail(r, words[3], "nothing may follow here") : 0;
}

static int read_setting(reader *r, char **words, size_t num) {
  torc_complaint c = {.word = words[0]};
  if (r->s->num_actions > 0) {
    return fail(r, words[0],
                "settings stand before the first action; an action begins with "
                "'at TIME' or 'after TIME'");
  }
  /* What the command line says is set at the end of the settings; here only the form counts. */
  int rc = torc_setting_set(r->s, words[0], words + 1, num - 1, &c);
  if (rc == TORC_ERR_NOTFOUND) {
    char why[400] = "expected at, after, param or a setting:";
    for (size_t i = 0; torc_setting_name(i) != NULL; i++) {
      size_t len = strlen(why);
      (void)snprintf(why + len, sizeof why - len, " %s", torc_setting_name(i));
    }
    return fail(r, words[0], why);
  }
  return rc == 0 ? 0 : fail(r, c.word, c.why);
}

/* Sets what the command line says, once all settings of the file are known. */
static int apply_overrides(reader *r) {
  for (size_t i = 0; i < r->num_overrides; i++) {
    char text[TORC_SCENARIO_LINE_MAX];
    char *words[WORDS_MAX];
    torc_complaint c = {.word = r->overrides[i].value};
    (void)snprintf(text, sizeof text, "%s", r->overrides[i].value);
    size_t num = split(text, words, WORDS_MAX);
    int rc = num > WORDS_MAX ? TORC_ERR_FORMAT
                             : torc_setting_set(r->s, r->overrides[i].name, words, num, &c);
    if (rc == TORC_ERR_NOTFOUND) {
      continue; /* a parameter, or unknown: told at the end */
    }
    r->is_used[i] = true;
    if (rc != 0) {
      (void)snprintf(r->err, r->err_cap, "--%s '%s': %s", r->overrides[i].name, c.word, c.why);
      return TORC_ERR_CONFIG;
    }
  }
  return 0;
}

static int read_action(reader *r, char **words, size_t num) {
  torc_complaint c = {.word = words[0]};
  if (r->s->num_actions == 0) {
    int rc = apply_overrides(r);
    if (rc != 0) {
      return rc;
    }
  }
  if (r->s->num_actions == TORC_SCENARIO_ACTIONS_MAX) {
    return fail(r, words[0], "there are too many actions");
  }
  torc_action a = {.line = r->line, .is_after = strcmp(words[0], "after") == 0};
  if (num < 2 || torc_word_duration(words[1], &a.time) != 0) {
    return fail(r, words[num > 1], "expected a time, as 'at 90s' or 'after 500ms'");
  }
  if (num < 3) {
    return fail(r, words[1], "expected what happens then, as 'join peers'");
  }
  if (torc_action_read(&a, r->s, words + 2, num - 2, &c) != 0) {
    return fail(r, c.word, c.why);
  }
  torc_action *grown = realloc(r->s->actions, (r->s->num_actions + 1) * sizeof *r->s->actions);
  if (grown == NULL) {
    return TORC_ERR_NOMEM;
  }
  r->s->actions = grown;
  r->s->actions[r->s->num_actions++] = a;
  return 0;
}

static int read_line(reader *r, torc_slice line) {
  char raw[TORC_SCENARIO_LINE_MAX];
  char text[TORC_SCENARIO_LINE_MAX];
  char *words[WORDS_MAX];
  if (line.len >= sizeof raw) {
    return fail(r, "...", "the line is too long");
  }
  memcpy(raw, line.p, line.len);
  raw[line.len] = '\0';
  if (strlen(raw) != line.len) {
    return fail(r, raw, "the line holds a NUL");
  }
  raw[strcspn(raw, "#")] = '\0';
  int rc = expand(r, raw, text, sizeof text);
  if (rc != 0) {
    return rc;
  }
  size_t num = split(text, words, WORDS_MAX);
  if (num == 0) {
    return 0;
  }
  if (num > WORDS_MAX) {
    return fail(r, words[0], "the line has too many words");
  }
  if (strcmp(words[0], "param") == 0) {
    return read_param(r, words, num);
  }
  if (strcmp(words[0], "at") == 0 || strcmp(words[0], "after") == 0) {
    return read_action(r, words, num);
  }
  return read_setting(r, words, num);
}

static int read_lines(reader *r, torc_slice text) {
  while (text.len > 0) {
    const uint8_t *end = memchr(text.p, '\n', text.len);
    size_t len = end == NULL ? text.len : (size_t)(end - text.p);
    r->line++;
    int rc = read_line(r, torc_slice_of(text.p, len));
    if (rc != 0) {
      return rc;
    }
    size_t used = end == NULL ? len : len + 1;
    text = torc_slice_of(text.p + used, text.len - used);
  }
  if (r->s->num_actions == 0) {
    return fail(r, "", "there is no action, as 'at 0s join peers'");
  }
  for (size_t i = 0; i < r->num_overrides; i++) {
    if (!r->is_used[i]) {
      (void)snprintf(r->err, r->err_cap,
                     "--%s: %s has no such setting or parameter ('torc sim list' names them)",
                     r->overrides[i].name, r->name);
      return TORC_ERR_CONFIG;
    }
  }
  return 0;
}

int torc_scenario_parse(torc_scenario *out, const char *name, torc_slice text,
                        const torc_override *overrides, size_t num_overrides, char *err,
                        size_t err_cap) {
  torc_scenario s = {.peers = 100, .interval = TORC_SEC(10)};
  reader r = {.s = &s,
              .name = name,
              .overrides = overrides,
              .num_overrides = num_overrides,
              .err = err,
              .err_cap = err_cap};
  s.config.seed = 1;
  (void)snprintf(s.name, sizeof s.name, "%s", name);
  (void)snprintf(s.algorithm, sizeof s.algorithm, "chord-128-2-8");
  (void)snprintf(err, err_cap, "out of memory");
  r.is_used = calloc(num_overrides + 1, sizeof *r.is_used);
  int rc = r.is_used == NULL ? TORC_ERR_NOMEM : read_lines(&r, text);
  free(r.is_used);
  if (rc != 0) {
    torc_scenario_clear(&s);
    return rc;
  }
  *out = s;
  return 0;
}

int torc_scenario_load(torc_scenario *out, const char *path, const torc_override *overrides,
                       size_t num_overrides, char *err, size_t err_cap) {
  FILE *f = fopen(path, "r");
  uint8_t *text = NULL;
  size_t len = 0;
  int rc = TORC_ERR_IO;
  if (f == NULL) {
    (void)snprintf(err, err_cap, "%s: %s", path, strerror(errno));
    return TORC_ERR_IO;
  }
  text = malloc(FILE_MAX + 1);
  if (text == NULL) {
    (void)snprintf(err, err_cap, "out of memory");
    rc = TORC_ERR_NOMEM;
    goto out;
  }
  len = fread(text, 1, FILE_MAX + 1, f);
  if (ferror(f) != 0 || len > FILE_MAX) {
    (void)snprintf(err, err_cap, "%s: %s", path,
                   len > FILE_MAX ? "the file is longer than 1 MiB" : strerror(errno));
    goto out;
  }
  rc = torc_scenario_parse(out, path, torc_slice_of(text, len), overrides, num_overrides, err,
                           err_cap);
out:
  free(text);
  (void)fclose(f);
  return rc;
}

void torc_scenario_clear(torc_scenario *s) {
  free(s->actions);
  s->actions = NULL;
  s->num_actions = 0;
}

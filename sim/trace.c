/* The trace: lines collected by each worker under the key of their event, merged in the order of
 * those keys between two windows, so that no number of threads shows in it.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "impl.h"

#define LINE_MAX_BYTES 1024u

struct sim_logger {
  torc_log log;
  sim_worker *worker;
  uint32_t node;
};

void sim_trace_begin(sim_worker *w, const sim_event *e) {
  w->trace.key = (sim_line){.at = e->at, .dst = e->dst, .src = e->src, .seq = e->seq};
}

/* A node's timers come before what others send it; `sub` goes on counting. */
void sim_trace_own(sim_worker *w, const sim_node *n, torc_time at) {
  w->trace.key = (sim_line){.at = at, .dst = n->index};
}

static bool reserve(sim_trace *t, size_t len) {
  if (t->num == t->cap) {
    size_t cap = t->cap == 0 ? 64 : t->cap * 2;
    sim_line *lines = realloc(t->lines, cap * sizeof *lines);
    if (lines == NULL) {
      return false;
    }
    t->lines = lines;
    t->cap = cap;
  }
  if (t->text_cap - t->len < len) {
    size_t cap = t->text_cap * 2 + len;
    char *text = realloc(t->text, cap);
    if (text == NULL) {
      return false;
    }
    t->text = text;
    t->text_cap = cap;
  }
  return true;
}

static void add(sim_worker *w, const char *line, size_t len) {
  sim_trace *t = &w->trace;
  if (!reserve(t, len)) {
    sim_fail(w, TORC_ERR_NOMEM, "writing the trace");
    return;
  }
  memcpy(t->text + t->len, line, len);
  sim_line *l = &t->lines[t->num];
  *l = t->key;
  l->sub = (uint32_t)t->num; /* all of one event are one worker's, in order */
  l->len = (uint32_t)len;
  l->offset = t->len;
  t->num++;
  t->len += len;
}

void sim_trace_line(sim_worker *w, const char *format, ...) {
  char line[LINE_MAX_BYTES];
  va_list ap;
  int len = snprintf(line, sizeof line, "%llu ", (unsigned long long)w->now);
  va_start(ap, format);
  len += vsnprintf(line + len, sizeof line - (size_t)len - 1, format, ap);
  va_end(ap);
  line[len] = '\n';
  add(w, line, (size_t)len + 1);
}

/* ---- merging ---- */

typedef struct merged {
  const sim_line *line;
  const char *text;
} merged;

static int by_key(const void *a, const void *b) {
  const sim_line *x = ((const merged *)a)->line;
  const sim_line *y = ((const merged *)b)->line;
  const uint64_t k[5][2] = {
      {x->at, y->at}, {x->dst, y->dst}, {x->src, y->src}, {x->seq, y->seq}, {x->sub, y->sub}};
  for (unsigned i = 0; i < 5; i++) {
    if (k[i][0] != k[i][1]) {
      return k[i][0] < k[i][1] ? -1 : 1;
    }
  }
  return 0;
}

void sim_trace_flush(torc_sim *s) {
  size_t num = 0;
  if (s->cfg.trace == NULL) {
    return;
  }
  for (unsigned i = 0; i < s->num_workers; i++) {
    num += s->workers[i].trace.num;
  }
  if (num == 0) {
    return;
  }
  merged *all = malloc(num * sizeof *all);
  if (all == NULL) {
    sim_fail(&s->workers[0], TORC_ERR_NOMEM, "writing the trace");
    return;
  }
  size_t k = 0;
  for (unsigned i = 0; i < s->num_workers; i++) {
    const sim_trace *t = &s->workers[i].trace;
    for (size_t j = 0; j < t->num; j++) {
      all[k] = (merged){.line = &t->lines[j], .text = t->text + t->lines[j].offset};
      k++;
    }
  }
  qsort(all, num, sizeof *all, by_key);
  for (size_t i = 0; i < num; i++) {
    s->cfg.trace(s->cfg.trace_ctx, all[i].text, all[i].line->len);
  }
  free(all);
  for (unsigned i = 0; i < s->num_workers; i++) {
    s->workers[i].trace.num = 0;
    s->workers[i].trace.len = 0;
  }
}

void sim_trace_clear(sim_worker *w) {
  free(w->trace.lines);
  free(w->trace.text);
  w->trace = (sim_trace){.num = 0};
}

/* ---- what nodes log ---- */

static void on_log(void *ctx, torc_log_level level, const char *name, const torc_field *fields,
                   size_t num_fields) {
  const sim_logger *l = ctx;
  char line[LINE_MAX_BYTES];
  size_t len = torc_log_json(line, sizeof line, l->worker->now, level, name, fields, num_fields);
  while (len > 0 && line[len - 1] == '\n') {
    len--;
  }
  line[len] = '\0';
  sim_trace_line(l->worker, "log %u %s", l->node, line);
}

int sim_logger_new(sim_worker *w, sim_node *n) {
  if (w->sim->cfg.log_level == 0 || !sim_traces(w) || n->logger != NULL) {
    return 0;
  }
  n->logger = torc_calloc(&w->engine.mem, 1, sizeof *n->logger);
  if (n->logger == NULL) {
    return TORC_ERR_NOMEM;
  }
  n->logger->worker = w;
  n->logger->node = n->index;
  n->logger->log = (torc_log){.ctx = n->logger, .level = w->sim->cfg.log_level, .event = on_log};
  return 0;
}

const torc_log *sim_logger_log(const sim_logger *l) {
  return l == NULL ? NULL : &l->log;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "latency.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mix.h"

#define SIDE_MAX 8192u               /* nodes of a matrix file */
#define DELAY_MAX TORC_SEC(60)       /* of any way */
#define PLACES 65536u                /* the square's side */
#define DIAGONAL_PERMILLE 1415u      /* of a side, rounded up */
#define LINE_BYTES ((size_t)1 << 18) /* of a matrix file */

static uint64_t square_root(uint64_t v) {
  uint64_t root = 0;
  for (uint64_t bit = (uint64_t)1 << 17; bit != 0; bit >>= 1) {
    uint64_t next = root | bit;
    if (next * next <= v) {
      root = next;
    }
  }
  return root;
}

static uint64_t distance(uint64_t a, uint64_t b) {
  return a > b ? a - b : b - a;
}

torc_time sim_latency_of(const sim_latency *l, torc_sim_index from, torc_sim_index to) {
  switch (l->kind) {
    case TORC_SIM_FIXED:
      break;
    case TORC_SIM_PLANE: {
      uint64_t a = sim_mix(l->seed + from * SIM_GOLDEN);
      uint64_t b = sim_mix(l->seed + to * SIM_GOLDEN);
      uint64_t dx = distance(a % PLACES, b % PLACES);
      uint64_t dy = distance((a >> 32) % PLACES, (b >> 32) % PLACES);
      return l->base + l->across * square_root(dx * dx + dy * dy) / PLACES;
    }
    case TORC_SIM_MATRIX:
      return l->delays[(size_t)(from % l->side) * l->side + to % l->side];
  }
  return l->base;
}

/* ---- the file ---- */

typedef struct reading {
  FILE *file;
  char *line;
  uint32_t number;
} reading;

static int fault(sim_latency *l, uint32_t line, const char *what) {
  if (line > 0) {
    (void)snprintf(l->why, sizeof l->why, "latency matrix, line %u: %s", line, what);
  } else {
    (void)snprintf(l->why, sizeof l->why, "latency matrix: %s", what);
  }
  return TORC_ERR_FORMAT;
}

/* The next line that is neither empty nor a comment; NULL at the end. *rc: of a line too long. */
static char *next_line(sim_latency *l, reading *r, int *rc) {
  while (fgets(r->line, (int)LINE_BYTES, r->file) != NULL) {
    char *c = r->line;
    r->number++;
    if (strlen(r->line) + 1 == LINE_BYTES) {
      *rc = fault(l, r->number, "too long");
      return NULL;
    }
    while (isspace((unsigned char)*c)) {
      c++;
    }
    if (*c != '\0' && *c != '#') {
      return c;
    }
  }
  return NULL;
}

/* Milliseconds, with up to three decimals, as microseconds; *c moves behind it and the blanks after
 * it. */
static bool read_delay(char **c, uint64_t *us) {
  const char *start = *c;
  uint64_t value = 0;
  uint64_t unit = 1000;
  bool is_fraction = false;
  for (; isdigit((unsigned char)**c) || (**c == '.' && !is_fraction); (*c)++) {
    if (**c == '.') {
      is_fraction = true;
    } else if (!is_fraction) {
      value = value * 10 + (uint64_t)(**c - '0') * 1000;
      if (value > DELAY_MAX) {
        return false;
      }
    } else {
      unit /= 10; /* digits beyond microseconds say nothing */
      value += (uint64_t)(**c - '0') * unit;
    }
  }
  bool is_read = *c != start && (**c == '\0' || isspace((unsigned char)**c));
  while (isspace((unsigned char)**c)) {
    (*c)++;
  }
  *us = value;
  return is_read;
}

static uint32_t count_words(const char *c) {
  uint32_t num = 0;
  while (*c != '\0') {
    num++;
    while (*c != '\0' && !isspace((unsigned char)*c)) {
      c++;
    }
    while (isspace((unsigned char)*c)) {
      c++;
    }
  }
  return num;
}

static int read_row(sim_latency *l, const reading *r, uint32_t row, char *c) {
  for (uint32_t column = 0; column < l->side; column++) {
    uint64_t us = 0;
    if (*c == '\0') {
      return fault(l, r->number, "too few numbers");
    }
    if (!read_delay(&c, &us)) {
      return fault(l, r->number, "not a number of milliseconds up to 60000");
    }
    if (us < l->base) { /* nothing is nearer than latency_min */
      us = l->base;
    }
    l->delays[(size_t)row * l->side + column] = (uint32_t)us;
    if (row != column) {
      l->least = us < l->least ? us : l->least;
      l->most = us > l->most ? us : l->most;
    }
  }
  return *c == '\0' ? 0 : fault(l, r->number, "too many numbers");
}

static int read_rows(sim_latency *l, reading *r) {
  int rc = 0;
  uint32_t row = 0;
  char *c = NULL;
  while (rc == 0 && (c = next_line(l, r, &rc)) != NULL) {
    if (l->side == 0) {
      l->side = count_words(c);
      l->delays = l->side > SIDE_MAX ? NULL : calloc((size_t)l->side * l->side, sizeof *l->delays);
      if (l->side < 2 || l->side > SIDE_MAX) {
        return fault(l, r->number, "2 to 8192 numbers expected");
      }
      if (l->delays == NULL) {
        return TORC_ERR_NOMEM;
      }
    }
    if (row == l->side) {
      return fault(l, r->number, "more lines than numbers in the first");
    }
    rc = read_row(l, r, row, c);
    row++;
  }
  if (rc == 0 && (l->side == 0 || row < l->side)) {
    rc = fault(l, 0, l->side == 0 ? "empty" : "fewer lines than numbers in the first");
  }
  return rc;
}

static int read_matrix(sim_latency *l, const char *name) {
  reading r = {.file = name == NULL ? NULL : fopen(name, "r")};
  if (r.file == NULL) {
    (void)snprintf(l->why, sizeof l->why, "latency matrix: %s",
                   name == NULL ? "no file named" : strerror(errno));
    return TORC_ERR_IO;
  }
  r.line = malloc(LINE_BYTES);
  l->least = DELAY_MAX;
  int rc = r.line == NULL ? TORC_ERR_NOMEM : read_rows(l, &r);
  if (rc == 0 && ferror(r.file)) {
    (void)snprintf(l->why, sizeof l->why, "latency matrix: cannot be read");
    rc = TORC_ERR_IO;
  }
  free(r.line);
  (void)fclose(r.file);
  return rc;
}

int sim_latency_init(sim_latency *l, const torc_sim_config *cfg) {
  *l = (sim_latency){.kind = cfg->latency_kind, .seed = sim_mix(cfg->seed ^ SIM_GOLDEN)};
  if (cfg->latency > DELAY_MAX || cfg->latency_min > DELAY_MAX) {
    (void)snprintf(l->why, sizeof l->why, "latencies are at most 60 s");
    return TORC_ERR_INVALID;
  }
  switch (cfg->latency_kind) {
    case TORC_SIM_FIXED:
      l->base = cfg->latency;
      l->least = l->base;
      l->most = l->base;
      return 0;
    case TORC_SIM_PLANE:
      l->base = cfg->latency_min;
      l->across = cfg->latency;
      l->least = l->base;
      l->most = l->base + l->across * DIAGONAL_PERMILLE / 1000 + 1;
      return 0;
    case TORC_SIM_MATRIX:
      (void)snprintf(l->why, sizeof l->why, "latency matrix: no memory");
      l->base = cfg->latency_min;
      return read_matrix(l, cfg->matrix_file);
  }
  (void)snprintf(l->why, sizeof l->why, "no such kind of latency");
  return TORC_ERR_INVALID;
}

void sim_latency_clear(sim_latency *l) {
  free(l->delays);
  l->delays = NULL;
}

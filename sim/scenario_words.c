/* Numbers with units. SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "scenario.h"

/* Reads digits with at most six decimals as millionths; *rest: what follows. */
static int read_millionths(const char *word, uint64_t *out, const char **rest) {
  uint64_t whole = 0;
  uint64_t part = 0;
  uint64_t unit = 1000000;
  const char *p = word;
  if (*p < '0' || *p > '9') {
    return TORC_ERR_FORMAT;
  }
  for (; *p >= '0' && *p <= '9'; p++) {
    if (whole > UINT64_MAX / 1000000 / 100) {
      return TORC_ERR_FORMAT;
    }
    whole = whole * 10 + (uint64_t)(*p - '0');
  }
  if (*p == '.') {
    p++;
    if (*p < '0' || *p > '9') {
      return TORC_ERR_FORMAT;
    }
    for (; *p >= '0' && *p <= '9'; p++) {
      if (unit == 1) {
        return TORC_ERR_FORMAT;
      }
      unit /= 10;
      part += (uint64_t)(*p - '0') * unit;
    }
  }
  *out = whole * 1000000 + part;
  *rest = p;
  return 0;
}

typedef struct unit {
  const char *name;
  uint64_t factor;
} unit;

/* millionths x factor / divisor, exactly. */
static int with_unit(const char *word, const unit *units, size_t num_units, uint64_t divisor,
                     uint64_t *out) {
  uint64_t millionths = 0;
  const char *rest = NULL;
  int rc = read_millionths(word, &millionths, &rest);
  if (rc != 0) {
    return rc;
  }
  for (size_t i = 0; i < num_units; i++) {
    if (strcmp(rest, units[i].name) == 0) {
      if (millionths > UINT64_MAX / units[i].factor ||
          millionths * units[i].factor % divisor != 0) {
        return TORC_ERR_FORMAT;
      }
      *out = millionths * units[i].factor / divisor;
      return 0;
    }
  }
  return TORC_ERR_FORMAT;
}

#define WITH_UNIT(word, units, divisor, out) \
  with_unit(word, units, sizeof(units) / sizeof(units)[0], divisor, out)

int torc_word_number(const char *word, uint64_t *out) {
  static const unit units[] = {{"", 1}, {"k", 1000}, {"M", 1000000}, {"G", 1000000000}};
  return WITH_UNIT(word, units, 1000000, out);
}

int torc_word_duration(const char *word, torc_time *out) {
  static const unit units[] = {
      {"", 1000000},   {"us", 1},         {"ms", 1000},      {"s", 1000000},
      {"m", 60000000}, {"min", 60000000}, {"h", 3600000000}, {"d", 86400000000ull}};
  return WITH_UNIT(word, units, 1000000, out);
}

int torc_word_share(const char *word, uint64_t *ppm) {
  static const unit units[] = {{"", 100}, {"%", 1}};
  uint64_t v = 0;
  int rc = WITH_UNIT(word, units, 100, &v);
  if (rc != 0) {
    return rc;
  }
  if (v > 1000000) {
    return TORC_ERR_FORMAT;
  }
  *ppm = v;
  return 0;
}

int torc_word_rate(const char *word, uint64_t *per_ks) {
  static const unit units[] = {{"/s", 3600}, {"/min", 60}, {"/h", 1}}; /* per hour */
  uint64_t millionths = 0;
  const char *rest = NULL;
  int rc = read_millionths(word, &millionths, &rest);
  for (size_t i = 0; rc == 0 && i < sizeof units / sizeof units[0]; i++) {
    if (strcmp(rest, units[i].name) == 0 && millionths <= UINT64_MAX / 4000) {
      *per_ks = (millionths * units[i].factor / 3600 + 500) / 1000;
      return 0;
    }
  }
  return TORC_ERR_FORMAT;
}

/* How long an overlay configuration document is good for, and when the next one is asked for
 * [ENR-17] [GAP-130]. Pure: no clock, no files. SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_IO_CONFIG_LIFE_H
#define TORC_IO_CONFIG_LIFE_H

#include "torc/types.h"

#define TORC_CONFIG_RETRY_S 900u    /* after a try that failed */
#define TORC_CONFIG_RETRY_MIN_S 5u  /* in an overlay whose documents live for minutes */
#define TORC_CONFIG_CLOCK_S 3600u   /* a clock that differs by more is told of */
#define TORC_CONFIG_JITTER_MAX 1000 /* see torc_config_life */

typedef struct torc_config_life {
  torc_wall received; /* the HTTP Date, or when the file was written */
  uint32_t period_s;  /* `expiration`; 0: for ever */
  torc_wall tried;    /* when the last try gave none that is good for long; 0: none has since */
  uint32_t jitter;    /* 0..999, drawn once: the first try comes after 75 to 85 % of the period */
} torc_config_life;

typedef enum torc_config_age {
  TORC_CONFIG_FRESH = 1,
  TORC_CONFIG_EXPIRED = 2, /* peers run on, nobody starts with it */
  TORC_CONFIG_STALE = 3    /* twice the period is over: new JOINs are refused as well */
} torc_config_age;

torc_config_age torc_config_age_at(const torc_config_life *l, torc_wall now);
/* The last second it is good for; UINT32_MAX: for ever. */
torc_wall torc_config_expires(const torc_config_life *l);
/* When the next version is to be fetched; UINT32_MAX: never. It may have passed. */
torc_wall torc_config_next(const torc_config_life *l);
/* A document has come, by the clock that dated it at `received`. Who dates it so far back that the
 * next one is due already (a server whose clock is behind, a cache that hands out old answers) is
 * asked again as after a try that failed, and no sooner. */
void torc_config_taken(torc_config_life *l, torc_wall received, uint32_t period_s, torc_wall now);
/* The clock may have been set back since: a try that is to come by now is one of now. */
void torc_config_clock(torc_config_life *l, torc_wall now);
/* When a file was written, if that is not to come: then it is of now, but no older than its
 * signature. */
torc_wall torc_config_written(torc_wall written, torc_wall signed_at, torc_wall now);
/* Seconds from `at` to now; 0 while a clock that was set back says `at` is to come. */
uint32_t torc_config_since(torc_wall at, torc_wall now);

#endif

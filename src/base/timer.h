/* Timers: an intrusive pairing heap, so arming never allocates and never fails (style 5).
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_BASE_TIMER_H
#define TORC_BASE_TIMER_H

#include "torc/types.h"

typedef struct torc_timer torc_timer;
typedef void (*torc_timer_fn)(torc_timer *t, torc_time now);

/* Lies in its owner; the owner finds itself with TORC_CONTAINER_OF. */
struct torc_timer {
  torc_time at;
  uint64_t seq;
  torc_timer_fn fn;
  torc_timer *child, *next, *prev; /* heap links, or the due list while running */
  bool armed;
};

typedef struct torc_timers {
  torc_timer *root;
  uint64_t seq;
  size_t num_armed;
} torc_timers;

void torc_timers_init(torc_timers *ts);
void torc_timer_init(torc_timer *t, torc_timer_fn fn);
/* (Re)arms; TORC_NEVER disarms. Equal deadlines fire in arming order. */
void torc_timer_arm(torc_timers *ts, torc_timer *t, torc_time at);
/* Harmless on a timer that is not armed; also takes a due timer off the list being run. */
void torc_timer_stop(torc_timers *ts, torc_timer *t);
bool torc_timer_armed(const torc_timer *t);
/* Earliest deadline, TORC_NEVER if none. */
torc_time torc_timers_next(const torc_timers *ts);
/* Takes every timer due at `now` off the heap, then runs them in order. A timer armed by a handler
 * runs at the next call at the earliest. */
void torc_timers_run(torc_timers *ts, torc_time now);
/* now + delta, saturating below TORC_NEVER. */
torc_time torc_time_add(torc_time now, torc_time delta);

#endif

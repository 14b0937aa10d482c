/* Timers in an intrusive pairing heap. Nothing here recurses: a peer decides how many timers a node
 * has, not how deep the stack is.
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/timer.h"

/* Heap links: `child` is the first child, `next` the right sibling, `prev` the left sibling or, for
 * a first child, the parent; NULL for the root. On a due list `next` and `prev` close a circle
 * through a head on the stack, and `child` points at the timer itself. */

static bool is_due(const torc_timer *t) {
  return t->child == t;
}

static bool before(const torc_timer *a, const torc_timer *b) {
  return a->at != b->at ? a->at < b->at : a->seq < b->seq;
}

/* Joins two roots; either may be NULL. */
static torc_timer *meld(torc_timer *a, torc_timer *b) {
  if (a == NULL || b == NULL) {
    return a != NULL ? a : b;
  }
  if (before(b, a)) {
    torc_timer *swap = a;
    a = b;
    b = swap;
  }
  b->prev = a;
  b->next = a->child;
  if (a->child != NULL) {
    a->child->prev = b;
  }
  a->child = b;
  a->next = NULL;
  a->prev = NULL;
  return a;
}

/* Joins siblings starting at `first` into one heap: in pairs left to right, then right to left. */
static torc_timer *meld_siblings(torc_timer *first) {
  torc_timer *pairs = NULL; /* stack, linked by next */
  torc_timer *root = NULL;
  while (first != NULL) {
    torc_timer *a = first;
    torc_timer *b = a->next;
    torc_timer *pair;
    first = b != NULL ? b->next : NULL;
    a->next = NULL;
    a->prev = NULL;
    if (b != NULL) {
      b->next = NULL;
      b->prev = NULL;
    }
    pair = meld(a, b);
    pair->next = pairs;
    pairs = pair;
  }
  while (pairs != NULL) {
    torc_timer *pair = pairs;
    pairs = pair->next;
    pair->next = NULL;
    root = meld(root, pair);
  }
  return root;
}

static void heap_remove(torc_timers *ts, torc_timer *t) {
  torc_timer *orphans = meld_siblings(t->child);
  if (ts->root == t) {
    ts->root = orphans;
  } else {
    if (t->prev->child == t) {
      t->prev->child = t->next;
    } else {
      t->prev->next = t->next;
    }
    if (t->next != NULL) {
      t->next->prev = t->prev;
    }
    ts->root = meld(ts->root, orphans);
  }
  t->child = NULL;
  t->next = NULL;
  t->prev = NULL;
}

static void due_remove(torc_timer *t) {
  t->prev->next = t->next;
  t->next->prev = t->prev;
  t->child = NULL;
  t->next = NULL;
  t->prev = NULL;
}

void torc_timers_init(torc_timers *ts) {
  *ts = (torc_timers){.root = NULL, .seq = 0, .num_armed = 0};
}

void torc_timer_init(torc_timer *t, torc_timer_fn fn) {
  *t = (torc_timer){.at = TORC_NEVER, .fn = fn};
}

void torc_timer_arm(torc_timers *ts, torc_timer *t, torc_time at) {
  torc_timer_stop(ts, t);
  if (at == TORC_NEVER) {
    return;
  }
  t->at = at;
  t->seq = ts->seq++;
  t->armed = true;
  ts->num_armed++;
  ts->root = meld(ts->root, t);
}

void torc_timer_stop(torc_timers *ts, torc_timer *t) {
  if (!t->armed) {
    return;
  }
  if (is_due(t)) {
    due_remove(t);
  } else {
    heap_remove(ts, t);
  }
  t->armed = false;
  t->at = TORC_NEVER;
  ts->num_armed--;
}

bool torc_timer_armed(const torc_timer *t) {
  return t->armed;
}

torc_time torc_timers_next(const torc_timers *ts) {
  return ts->root != NULL ? ts->root->at : TORC_NEVER;
}

void torc_timers_run(torc_timers *ts, torc_time now) {
  torc_timer head = {.at = TORC_NEVER};
  head.next = &head;
  head.prev = &head;
  while (ts->root != NULL && ts->root->at <= now) {
    torc_timer *t = ts->root;
    heap_remove(ts, t);
    t->child = t;
    t->prev = head.prev;
    t->next = &head;
    head.prev->next = t;
    head.prev = t;
  }
  while (head.next != &head) {
    torc_timer *t = head.next;
    torc_timer_stop(ts, t);
    t->fn(t, now); /* may free its owner, and stop or arm any timer */
  }
}

torc_time torc_time_add(torc_time now, torc_time delta) {
  if (now == TORC_NEVER || delta >= TORC_NEVER - 1 - now) {
    return TORC_NEVER - 1;
  }
  return now + delta;
}

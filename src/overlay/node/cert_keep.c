/* The own certificate in the overlay: looked for at each of its places after joining and every 24
 * hours, stored where it is missing or will not last [CRT-02] [CRT-04] [CRT-05].
 * SPDX-License-Identifier: Apache-2.0 */
#include "overlay/node/app.h"
#include "overlay/usage/certificate_store.h"

#define FIRST_WITHIN                                                                              \
  TORC_SEC(5)                    /* of joining: a crowd that joins at once does not store at once \
                                  */
#define RETRY_FIRST TORC_SEC(30) /* doubles with each failure, */
#define RETRIES_MAX 7u           /* up to a little more than an hour */

struct torc_cert_keep {
  torc_node *node;
  torc_timer timer;
  uint8_t place, retries; /* of the look that is under way */
  bool is_busy, has_failed, is_again;
};

static void look_at_place(torc_node *n);

static void arm(torc_node *n, torc_time wait) {
  torc_time jitter = torc_rng_below(&n->rng, wait / 8 + 1);
  torc_timer_arm(&n->timers, &n->keep->timer, torc_time_add(n->now, wait - wait / 16 + jitter));
}

static void round_done(torc_node *n) {
  n->keep->is_busy = false;
  if (n->keep->is_again) {
    torc_cert_keep_joined(n);
    return;
  }
  if (!n->keep->has_failed) {
    n->keep->retries = 0;
    arm(n, TORC_CERT_CHECK_PERIOD);
    return;
  }
  arm(n, RETRY_FIRST << n->keep->retries);
  n->keep->retries = (uint8_t)(n->keep->retries + (n->keep->retries < RETRIES_MAX));
}

static void failed(torc_node *n, const char *what, int rc, uint16_t code) {
  n->keep->has_failed = true;
  n->stats->certificate_keep_failures++;
  TORC_LOG(n->log, TORC_LOG_WARN, "certificate:not_kept", TORC_F_STR("at", what),
           TORC_F_U64("place", n->keep->place), TORC_F_U64("code", code), TORC_F_ERR("why", rc));
}

static void next_place(torc_node *n) {
  n->keep->place++;
  look_at_place(n);
}

/* Makes a call of the application the node's own. */
static void adopt(torc_node *n, torc_token token,
                  void (*inner)(torc_node *n, const torc_done *done)) {
  torc_call *c = torc_map_get(&n->calls, &token);
  c->inner = inner;
}

static void on_stored(torc_node *n, const torc_done *done) {
  if (done->rc == 0) {
    n->stats->certificate_stores++;
    TORC_LOG(n->log, TORC_LOG_INFO, "certificate:stored", TORC_F_U64("place", n->keep->place));
  } else {
    failed(n, "store", done->rc, done->code);
  }
  next_place(n);
}

static void on_looked(torc_node *n, const torc_done *done) {
  torc_id place;
  torc_token token = 0;
  int rc = done->rc;
  if (rc != 0) {
    failed(n, "fetch", rc, done->code);
    next_place(n);
    return;
  }
  n->stats->certificate_checks++;
  torc_cert_todo todo =
      torc_certificate_todo(n->cert, done->values, done->num_values, torc_node_wall(n));
  if (!todo.is_store) {
    next_place(n);
    return;
  }
  torc_store_item item = {.type = TORC_TYPE_CERTIFICATE,
                          .index = todo.index,
                          .value = n->cert->der,
                          .lifetime_s = todo.lifetime_s};
  if (todo.index >= 0 && done->num_generations == 1) { /* it is still there, or look again */
    item.generation = done->generations[0].generation;
  }
  rc = torc_certificate_place(n->crypto, n->cert, n->keep->place, &place);
  rc = rc != 0 ? rc : torc_app_store(n, &place, &item, 1, &token);
  if (rc != 0) {
    failed(n, "store", rc, 0);
    next_place(n);
    return;
  }
  adopt(n, token, on_stored);
}

static void look_at_place(torc_node *n) {
  const torc_fetch_item all = {.type = TORC_TYPE_CERTIFICATE, .last = -1};
  torc_token token = 0;
  torc_id place;
  while (n->keep->place < torc_certificate_places(n->cert)) {
    int rc = torc_certificate_place(n->crypto, n->cert, n->keep->place, &place);
    rc = rc != 0 ? rc : torc_app_fetch(n, &place, &all, 1, &token);
    if (rc == 0) {
      adopt(n, token, on_looked);
      return;
    }
    failed(n, "fetch", rc, 0);
    n->keep->place++;
  }
  round_done(n);
}

static void on_keep(torc_timer *t, torc_time now) {
  torc_node *n = TORC_CONTAINER_OF(t, struct torc_cert_keep, timer)->node;
  (void)now;
  if (n->phase != TORC_PHASE_JOINED || n->keep->is_busy) {
    return; /* joining arms it again; whoever is busy does so at the end */
  }
  n->keep->is_busy = true;
  n->keep->is_again = false;
  n->keep->has_failed = false;
  n->keep->place = 0;
  look_at_place(n);
}

int torc_cert_keep_init(torc_node *n) {
  if (!n->cfg.keep_certificate) {
    return 0;
  }
  n->keep = torc_calloc(n->mem, 1, sizeof *n->keep);
  if (n->keep == NULL) {
    return TORC_ERR_NOMEM;
  }
  n->keep->node = n;
  torc_timer_init(&n->keep->timer, on_keep);
  return 0;
}

void torc_cert_keep_clear(torc_node *n) {
  torc_free(n->mem, n->keep);
  n->keep = NULL;
}

void torc_cert_keep_renewed(torc_node *n) {
  if (n->keep != NULL && n->keep->is_busy) {
    n->keep->is_again = true;
  } else if (n->phase == TORC_PHASE_JOINED) {
    torc_cert_keep_joined(n);
  }
}

void torc_cert_keep_joined(torc_node *n) {
  if (n->keep != NULL && !n->keep->is_busy) {
    n->keep->retries = 0;
    torc_timer_arm(&n->timers, &n->keep->timer,
                   torc_time_add(n->now, torc_rng_below(&n->rng, FIRST_WITHIN)));
  }
}

/* Certificates that messages and values only refer to, by peer-id or user name, are fetched from
 * where their owners store them [CRT-01] [GAP-52] [GAP-58]. One FETCH serves all that wait for the
 * same place; it is signed inline, its answer must be too, and of the values only the bytes count:
 * a certificate proves itself by its chain. So no fetch ever causes another one.
 * SPDX-License-Identifier: Apache-2.0 */
#include "overlay/node/impl.h"
#include "overlay/usage/certificate_store.h"

#define REQUEST_ROOM 64u /* resource, one specifier */

struct torc_cert_fetch {
  torc_id place;
  torc_list missed;  /* n->cert_missed */
  torc_list waiting; /* torc_cert_lookup */
  unsigned num_waiting;
  torc_link_id link;           /* who has caused it */
  bool is_active, is_ending;   /* ending: those who waited are being told */
  torc_time forgotten_at;      /* a miss */
  uint8_t *answer;             /* owned */
  torc_rd types, values;       /* what is left of it */
  unsigned num_tried, num_new; /* certificates of the answer; those not known before */
  torc_jobref job;
};

static void fetch_free(torc_node *n, torc_cert_fetch *f) {
  (void)torc_map_del(&n->cert_fetches, &f->place);
  torc_list_remove(&f->missed);
  torc_free(n->mem, f->answer);
  torc_free(n->mem, f);
}

size_t torc_cert_misses(const torc_node *n) {
  return n->cert_fetches.len - n->num_cert_active;
}

void torc_cert_fetch_forget(torc_cert_lookup *lu) {
  if (lu->fetch != NULL) {
    torc_list_remove(&lu->waiting);
    lu->fetch->num_waiting--;
    lu->fetch = NULL;
  }
}

static void remember_miss(torc_node *n, torc_cert_fetch *f) {
  if (torc_cert_misses(n) > TORC_NODE_CERT_MISSES_MAX) {
    fetch_free(n, TORC_CONTAINER_OF(n->cert_missed.next, torc_cert_fetch, missed));
  }
  f->forgotten_at = torc_time_add(n->now, TORC_NODE_CERT_MISS_AGE);
  torc_free(n->mem, f->answer);
  f->answer = NULL;
  torc_list_push_back(&n->cert_missed, &f->missed);
}

/* Of what is known now; NULL for who has tried all of it but what has not come. */
static torc_cert *find_for(torc_node *n, const torc_cert_fetch *f, torc_cert_lookup *lu) {
  return lu->is_retry && f->num_new == 0
             ? NULL
             : torc_cert_by_reference(n, lu, lu->id, torc_link_find(n, lu->link));
}

static int failure_of(const torc_cert_lookup *lu, int rc) {
  return lu->is_retry && rc == TORC_ERR_NOTFOUND ? TORC_ERR_CRYPTO : rc;
}

/* Whoever waits finds now what has come, each by the name he has. Nobody can begin to wait for `f`
 * meanwhile. rc: of those who find nothing. */
static void fetch_done(torc_node *n, torc_cert_fetch *f, int rc) {
  torc_list *node = NULL;
  bool is_found = false;
  f->is_active = false;
  f->is_ending = true;
  n->num_cert_active--;
  while ((node = torc_list_pop_front(&f->waiting)) != NULL) {
    torc_cert_lookup *lu = TORC_CONTAINER_OF(node, torc_cert_lookup, waiting);
    torc_cert *c = find_for(n, f, lu);
    lu->fetch = NULL;
    f->num_waiting--;
    is_found = is_found || c != NULL;
    lu->fn(n, lu->ctx, c != NULL ? 0 : failure_of(lu, rc), c);
    torc_cert_unref(n, c);
  }
  f->is_ending = false;
  if (is_found) {
    fetch_free(n, f);
    return;
  }
  n->stats->certificate_misses++;
  TORC_LOG(n->log, TORC_LOG_DEBUG, "certificate:not_found", TORC_F_ID("place", &f->place),
           TORC_F_ERR("why", rc));
  remember_miss(n, f);
}

static void try_next(torc_node *n, torc_cert_fetch *f);

static void on_certificate(torc_node *n, torc_jobref *j, const torc_job_result *r) {
  torc_cert_fetch *f = TORC_CONTAINER_OF(j, torc_cert_fetch, job);
  if (r->rc == 0 && r->cert != NULL) {
    torc_cert_remember(n, r->cert); /* [CRT-06] */
    f->num_new++;
    torc_cert_unref(n, r->cert);
  } else if (r->rc == TORC_ERR_CLOSED) {
    fetch_done(n, f, r->rc);
    return;
  } else if (r->rc == TORC_ERR_CRYPTO) {
    n->stats->certificates_refused++;
  } else {
    n->stats->jobs_failed++;
  }
  try_next(n, f);
}

/* The next value of the answer, whichever element of it holds it [GAP-86]. */
static bool next_value(torc_cert_fetch *f, torc_stored_data *d) {
  torc_fetch_response r;
  while (torc_rd_left(&f->values) == 0) {
    if (!torc_fetch_response_next(&f->types, &r) || r.type != TORC_TYPE_CERTIFICATE) {
      return false;
    }
    torc_rd_init(&f->values, r.values);
  }
  return torc_stored_data_get(&f->values, TORC_MODEL_ARRAY, d) == 0;
}

/* Several may bear the name: all are looked at, but no more than a place holds. */
static void try_next(torc_node *n, torc_cert_fetch *f) {
  uint8_t digest[TORC_DIGEST_LEN];
  torc_stored_data d;
  while (f->num_tried < TORC_NODE_NAMESAKES_MAX && next_value(f, &d)) {
    torc_slice der = d.entry.value;
    if (torc_stored_data_is_absent(&d) || der.len == 0 || der.len > TORC_CERT_MAX_BYTES) {
      continue;
    }
    f->num_tried++;
    if (n->crypto->sha256(n->crypto->ctx, &der, 1, digest) != 0 ||
        torc_cert_by_digest(n, digest) != NULL) {
      continue;
    }
    memset(&f->job, 0, sizeof f->job);
    f->job.job.der = der;
    if (torc_job_start(n, &f->job, TORC_JOB_CERTIFICATE, on_certificate) == 0) {
      return;
    }
    n->stats->no_memory++;
  }
  fetch_done(n, f, TORC_ERR_NOTFOUND);
}

static void on_answer(torc_node *n, void *ctx, torc_token cookie, const torc_reply *reply) {
  torc_cert_fetch *f = ctx;
  (void)cookie;
  int rc = reply->rc != 0 ? reply->rc : reply->code == TORC_CODE_OK ? 0 : TORC_ERR_REFUSED;
  if (rc == 0) {
    rc = torc_slice_dup(n->mem, reply->payload, &f->answer);
  }
  if (rc != 0) {
    n->stats->certificate_fetch_failures++;
    TORC_LOG(n->log, TORC_LOG_INFO, "certificate:fetch_failed", TORC_F_ID("place", &f->place),
             TORC_F_U64("code", reply->code), TORC_F_ERR("why", rc));
    fetch_done(n, f, rc == TORC_ERR_CLOSED && n->is_freeing ? rc : TORC_ERR_NOTFOUND);
    return;
  }
  torc_rd_init(&f->types, torc_slice_of(f->answer, reply->payload.len));
  torc_rd_init(&f->values, torc_slice_of(NULL, 0));
  try_next(n, f);
}

static int request(torc_node *n, torc_cert_fetch *f) {
  const torc_specifier all = {.type = TORC_TYPE_CERTIFICATE, .model = TORC_MODEL_ARRAY, .last = -1};
  torc_request r = {.method = TORC_METHOD_FETCH,
                    .route = {f->place},
                    .num_route = 1,
                    .limit = TORC_NODE_CERT_FETCH_LIMIT,
                    .is_certificate = true,
                    .done = on_answer,
                    .ctx = f};
  uint8_t room[REQUEST_ROOM];
  torc_wr wr;
  torc_wr_init(&wr, room, sizeof room);
  size_t mark = torc_fetch_request_begin(&wr, &f->place);
  int rc = torc_specifier_put(&wr, &all);
  torc_fetch_request_end(&wr, mark);
  rc = rc != 0 ? rc : wr.err;
  r.payload = torc_wr_slice(&wr);
  return rc != 0 ? rc : torc_request_start(n, &r, NULL);
}

static unsigned num_of_link(const torc_node *n, torc_link_id link) {
  size_t it = 0;
  unsigned num = 0;
  const torc_cert_fetch *f = NULL;
  while ((f = torc_map_next(&n->cert_fetches, &it)) != NULL) {
    num += f->is_active && f->link == link;
  }
  return num;
}

/* Takes one of this second's. The limits are those of the link whose message asks for it, and of
 * all together: who names strangers without end costs others nothing but this. */
static bool may_begin(torc_node *n, torc_link_id link) {
  uint32_t second = (uint32_t)(n->now / TORC_SEC(1));
  torc_link *l = torc_link_find(n, link);
  if (n->cert_second != second) {
    n->cert_second = second;
    n->cert_begun = 0;
  }
  if (n->num_cert_active >= TORC_NODE_CERT_FETCHES_MAX ||
      n->cert_begun >= TORC_NODE_CERT_FETCHES_PER_SECOND) {
    return false;
  }
  if (l != NULL) {
    torc_link_second(n, l);
    if (l->cert_fetches >= TORC_NODE_CERT_FETCHES_LINK_SECOND ||
        num_of_link(n, link) >= TORC_NODE_CERT_FETCHES_PER_LINK) {
      return false;
    }
    l->cert_fetches++;
  }
  n->cert_begun++;
  return true;
}

static torc_cert_fetch *begin(torc_node *n, const torc_id *place, torc_link_id link) {
  torc_cert_fetch *f = torc_calloc(n->mem, 1, sizeof *f);
  if (f == NULL) {
    n->stats->no_memory++;
    return NULL;
  }
  f->place = *place;
  f->link = link;
  f->is_active = true;
  torc_list_init(&f->waiting);
  torc_list_init(&f->missed);
  if (torc_map_put(&n->cert_fetches, f) != 0) {
    n->stats->no_memory++;
    torc_free(n->mem, f);
    return NULL;
  }
  int rc = request(n, f);
  if (rc != 0) {
    n->stats->certificate_fetch_failures++;
    fetch_free(n, f);
    return NULL;
  }
  n->num_cert_active++;
  n->stats->certificate_fetches++;
  return f;
}

static bool can_ask(const torc_node *n) {
  return !n->is_freeing && (n->phase == TORC_PHASE_JOINED || n->phase == TORC_PHASE_JOINING);
}

int torc_cert_fetch_start(torc_node *n, torc_cert_lookup *lu) {
  torc_id place;
  torc_slice name = lu->id->type == TORC_IDENTITY_NAME ? lu->id->name : torc_slice_of(NULL, 0);
  if (!can_ask(n) || (lu->id->type == TORC_IDENTITY_NAME && name.len == 0) ||
      torc_certificate_place_of(n->crypto, &lu->id->peer, name, &place) != 0) {
    return TORC_ERR_NOTFOUND;
  }
  torc_cert_fetch *f = torc_map_get(&n->cert_fetches, &place);
  if (f != NULL && !f->is_active) {
    if (f->is_ending || f->forgotten_at > n->now) {
      return TORC_ERR_NOTFOUND; /* just looked for: what has come did not help either */
    }
    fetch_free(n, f);
    f = NULL;
  }
  if (f != NULL ? f->num_waiting >= TORC_NODE_CERT_WAITING_MAX : !may_begin(n, lu->link)) {
    n->stats->certificate_fetch_limits++;
    return TORC_ERR_NOTFOUND;
  }
  f = f != NULL ? f : begin(n, &place, lu->link);
  if (f == NULL) {
    return TORC_ERR_NOTFOUND;
  }
  lu->fetch = f;
  f->num_waiting++;
  torc_list_push_back(&f->waiting, &lu->waiting);
  return 0;
}

void torc_cert_fetches_init(torc_node *n, uint64_t seed) {
  torc_list_init(&n->cert_missed);
  torc_map_init(&n->cert_fetches, n->mem, offsetof(torc_cert_fetch, place), TORC_ID_LEN, seed);
}

void torc_cert_fetches_clear(torc_node *n) {
  size_t it = 0;
  torc_cert_fetch *f = NULL;
  while ((f = torc_map_next(&n->cert_fetches, &it)) != NULL) {
    fetch_free(n, f);
  }
  torc_map_clear(&n->cert_fetches);
}

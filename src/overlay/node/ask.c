/* Application call FETCH at the replicas: finds the peers that follow a resource on the ring, asks
 * each to its own peer-id [GAP-90], and goes on over other ways until the answers are there.
 * SPDX-License-Identifier: Apache-2.0 */
#include "overlay/node/app.h"

#define GUESSES_MAX 3u /* in one wave, while nobody has answered */

typedef enum attempt_kind {
  ATTEMPT_FRONT,  /* to the resource: who is responsible? */
  ATTEMPT_SEAT,   /* FETCH to a peer's own id */
  ATTEMPT_FOLLOW, /* PING behind a peer: who is next? */
  ATTEMPT_GUESS   /* PING between two peers: is there one more? */
} attempt_kind;

/* One request, on its way or ended. */
typedef struct attempt {
  torc_trans *trans; /* NULL: ended */
  attempt_kind kind;
  bool is_fetch;
  torc_ask_journey way;
  torc_id seat; /* SEAT, FOLLOW: whom it is about */
} attempt;

/* A peer that has answered from behind the resource. */
typedef struct seat {
  torc_id id, distance;
  unsigned votes;       /* ways over which it answered for the resource */
  bool has_answered;    /* the FETCH: with values, or that it has none */
  bool is_followed;     /* the peer behind it has answered */
  torc_ask_journey way; /* one that led to it */
  unsigned fetch_tries, follow_tries;
  torc_time fetched_at, followed_at; /* the last request; 0: none yet */
} seat;

struct torc_ask {
  torc_call *call;
  torc_timer timer;
  torc_time wave_ends, deadline;
  unsigned wave; /* from 1 on */
  unsigned front_tries, front_in, guesses, guess_in;
  torc_id stride;   /* where nobody is known yet, guesses go so far */
  uint8_t *payload; /* of the FETCH */
  size_t payload_len;
  size_t copies; /* holders of a value */
  seat seats[TORC_ASK_SEATS_MAX];
  size_t num_seats;
  unsigned closings; /* answers that the ring has no more peers than seats are known */
  attempt attempts[TORC_ASK_REQUESTS_MAX];
  size_t num_attempts, num_waiting;
  torc_ask_answers answers;
  bool is_working;  /* what is called below tells nothing before it has returned */
  torc_done failed; /* what the nearest said that refused; rc of the last one without answer */
};

/* ---- seats ---- */

static seat *find_seat(torc_ask *a, const torc_id *id) {
  for (size_t i = 0; i < a->num_seats; i++) {
    if (torc_id_eq(&a->seats[i].id, id)) {
      return &a->seats[i];
    }
  }
  return NULL;
}

/* NULL: enough nearer ones are known. */
static seat *add_seat(torc_ask *a, const torc_id *id, const torc_ask_journey *way) {
  seat s = {.id = *id, .way = *way};
  size_t at = a->num_seats;
  s.distance = torc_id_distance(&a->call->resource, id);
  while (at > 0 && torc_id_cmp(&a->seats[at - 1].distance, &s.distance) > 0) {
    at--;
  }
  if (at == TORC_ASK_SEATS_MAX) {
    return NULL;
  }
  if (a->num_seats < TORC_ASK_SEATS_MAX) {
    a->num_seats++;
  }
  memmove(&a->seats[at + 1], &a->seats[at], (a->num_seats - 1 - at) * sizeof a->seats[0]);
  a->seats[at] = s;
  return &a->seats[at];
}

/* Who answered `t`. [CHD-11] A peer cannot claim to be nearer to the resource than its certified
 * id is: one that answers for others is passed over once these are found. */
static seat *learn(torc_ask *a, const attempt *t, const torc_id *responder) {
  if (!torc_id_is_peer(responder)) {
    return NULL;
  }
  seat *s = find_seat(a, responder);
  bool is_old = s != NULL;
  if (s == NULL) {
    s = add_seat(a, responder, &t->way);
  }
  if (t->kind == ATTEMPT_FRONT && s != NULL) {
    s->votes++;
  }
  if (t->kind == ATTEMPT_FOLLOW) {
    seat *before = find_seat(a, &t->seat);
    torc_id distance = torc_id_distance(&a->call->resource, responder);
    if (before != NULL && torc_id_cmp(&distance, &before->distance) > 0) {
      before->is_followed = true;
    } else if (before != NULL && is_old) {
      a->closings++;
    }
  }
  return s;
}

/* [RTG-15] Nobody knows better than this peer itself what is its own. */
static bool is_front_sure(const torc_ask *a) {
  return a->num_seats > 0 && (a->seats[0].votes >= TORC_ASK_VOTES ||
                              torc_route_responsible(a->call->node, &a->call->resource));
}

/* A peer knows whether its ring has fewer peers than a value has holders. A client is told so, by
 * more than one, for a hostile peer may say that nobody comes behind it. */
static size_t holders_of(const torc_ask *a) {
  bool is_closed = a->call->node->role == TORC_ROLE_CLIENT && a->closings >= TORC_ASK_CLOSINGS;
  return is_closed && a->num_seats < a->copies ? a->num_seats : a->copies;
}

static bool is_complete(const torc_ask *a) {
  size_t needed = holders_of(a);
  size_t num_answered = 0;
  for (size_t i = 0; i < a->num_seats; i++) {
    num_answered += a->seats[i].has_answered;
  }
  if (a->wave > TORC_ASK_WAVES_SURE && num_answered >= needed && a->answers.num > 0) {
    return true; /* as good as it gets: somebody in between cannot be reached */
  }
  if (!is_front_sure(a) || a->num_seats < needed) {
    return false;
  }
  for (size_t i = 0; i < needed; i++) {
    const seat *s = &a->seats[i];
    if (!s->has_answered || (i + 1 < needed && !s->is_followed)) {
      return false;
    }
  }
  return true;
}

/* ---- the end ---- */

void torc_ask_free(torc_node *n, torc_ask *a) {
  if (a == NULL) {
    return;
  }
  torc_timer_stop(&n->timers, &a->timer);
  for (size_t i = 0; i < a->num_attempts; i++) {
    if (a->attempts[i].trans != NULL) {
      torc_trans_cancel(n, a->attempts[i].trans);
    }
  }
  torc_ask_answers_clear(n, &a->answers);
  torc_free(n->mem, a->payload);
  torc_free(n->mem, a);
}

static void finish(torc_node *n, torc_ask *a) {
  torc_call *c = a->call;
  torc_done done = a->failed;
  uint32_t num_asked = 0;
  const seat *nearest = NULL;
  for (size_t i = 0; i < a->num_seats; i++) {
    num_asked += a->seats[i].has_answered;
    nearest = nearest == NULL && a->seats[i].has_answered ? &a->seats[i] : nearest;
  }
  if (a->answers.num > 0) {
    done = (torc_done){.code = TORC_CODE_OK,
                       .responsible_ppb = UINT32_MAX,
                       .num_resources = UINT32_MAX,
                       .responder = nearest == NULL ? torc_id_zero : nearest->id};
    done.rc = torc_ask_merge(n, c, &a->answers, &done);
  } else if (done.rc == 0 || done.rc == TORC_ERR_TIMEOUT) {
    done.rc = TORC_ERR_TIMEOUT;
    done.code = TORC_CODE_TIMEOUT; /* [ERR-07] [GAP-64] local only */
  }
  done.num_asked = num_asked;
  torc_call_done(n, c, &done); /* frees the call, and this with it */
}

/* ---- requests ---- */

static void on_reply(torc_node *n, void *ctx, torc_token cookie, const torc_reply *reply);

/* A request that is to be sent. */
typedef struct plan {
  attempt_kind kind;
  bool is_fetch;
  const torc_id *target;
  const seat *about; /* SEAT, FOLLOW */
  unsigned try;      /* number of those to the same place before it */
} plan;

/* The first request goes as the one went that found the place; those after it in turn over another
 * first hop, past a peer before the target, past another seat, and past peers behind the target
 * backwards: peers that follow each other on the ring are linked, so each of these ways ends over
 * others of the target's links. */
static torc_ask_journey choose(torc_node *n, const torc_ask *a, const plan *p) {
  torc_ask_journey j = p->about != NULL ? p->about->way : (torc_ask_journey){0};
  if (p->try == 0) {
    return j;
  }
  j = (torc_ask_journey){.way = (p->try + 1) / 2};
  if (p->try % 4 == 1) {
    torc_ask_pass_before(n, p->target, &a->stride, &j);
  } else if (p->try % 4 == 2) {
    const seat *by = a->num_seats == 0 ? NULL : &a->seats[p->try / 4 % a->num_seats];
    if (by == NULL || by == p->about || by->way.num_by > 0) {
      torc_ask_pass_before(n, p->target, &a->stride, &j);
    } else {
      j = (torc_ask_journey){.way = by->way.way, .num_by = 1, .by = {by->id}};
    }
  } else if (p->try % 4 == 3) {
    torc_ask_pass_behind(n, p->target, &a->stride, &j);
  }
  return j;
}

static void send(torc_node *n, torc_ask *a, const plan *p) {
  uint8_t ping[1];
  torc_wr wr;
  int rc = 0;
  if (a->num_attempts == TORC_ASK_REQUESTS_MAX) {
    return;
  }
  torc_ask_journey j = choose(n, a, p);
  torc_time left = a->deadline > n->now ? a->deadline - n->now : 1;
  torc_time limit = TORC_ASK_ATTEMPT_T1 * n->cfg.t1;
  torc_request r = {.method = p->is_fetch ? TORC_METHOD_FETCH : TORC_METHOD_PING,
                    .payload = torc_slice_of(a->payload, a->payload_len),
                    .limit = limit < left ? limit : left,
                    .done = on_reply,
                    .ctx = a,
                    .cookie = a->num_attempts};
  if (!p->is_fetch) {
    torc_wr_init(&wr, ping, sizeof ping);
    rc = torc_ping_request_put(&wr, torc_slice_of(NULL, 0));
    r.payload = torc_wr_slice(&wr);
  }
  torc_ask_way(n, &j, p->target, &r);
  attempt *t = &a->attempts[a->num_attempts++];
  *t = (attempt){.kind = p->kind, .is_fetch = p->is_fetch, .way = j};
  if (p->about != NULL) {
    t->seat = p->about->id;
  }
  rc = rc != 0 ? rc : torc_request_start(n, &r, &t->trans);
  if (rc != 0) {
    a->failed.rc = rc;
  } else {
    a->num_waiting++;
  }
}

static bool is_fetch_under_way(const torc_ask *a, attempt_kind kind) {
  for (size_t i = 0; i < a->num_attempts; i++) {
    const attempt *t = &a->attempts[i];
    if (t->trans != NULL && t->kind == kind && t->is_fetch) {
      return true;
    }
  }
  return false;
}

/* To the resource itself over two ways at once: one of the peers there may answer in the place of
 * the responsible one. */
static void ask_front(torc_node *n, torc_ask *a) {
  plan p = {.kind = ATTEMPT_FRONT, .target = &a->call->resource};
  if (is_front_sure(a) || a->front_in == a->wave) {
    return;
  }
  unsigned votes = a->num_seats > 0 ? a->seats[0].votes : 0;
  p.is_fetch = a->num_seats == 0 || !a->seats[0].has_answered;
  a->front_in = a->wave;
  for (unsigned i = votes; i < TORC_ASK_VOTES; i++) {
    p.try = a->front_tries++;
    send(n, a, &p);
    p.is_fetch = false;
  }
}

static void ask_seat(torc_node *n, torc_ask *a, seat *s) {
  plan p = {.kind = ATTEMPT_SEAT,
            .is_fetch = true,
            .target = &s->id,
            .about = s,
            .try = s->fetch_tries++};
  s->fetched_at = n->now;
  send(n, a, &p);
}

static void ask_behind(torc_node *n, torc_ask *a, seat *s) {
  torc_id behind = torc_id_next(&s->id);
  plan p = {.kind = ATTEMPT_FOLLOW, .target = &behind, .about = s, .try = s->follow_tries++};
  s->followed_at = n->now;
  send(n, a, &p);
}

/* What was asked for a moment ago is waited for. */
static bool is_due(const torc_node *n, torc_time asked_at) {
  return asked_at == 0 || n->now >= torc_time_add(asked_at, TORC_ASK_WAVE_T1 * n->cfg.t1);
}

/* The peers that ought to have the value, and whoever comes behind them. */
static void ask_seats(torc_node *n, torc_ask *a) {
  for (size_t i = 0; i < a->num_seats && i < a->copies; i++) {
    seat *s = &a->seats[i];
    bool is_awaited = i == 0 && a->wave == 1 && is_fetch_under_way(a, ATTEMPT_FRONT);
    if (!s->has_answered && is_due(n, s->fetched_at) && !is_awaited) {
      ask_seat(n, a, s);
    }
    if (i + 1 < a->copies && !s->is_followed && is_due(n, s->followed_at)) {
      ask_behind(n, a, s);
    }
  }
}

/* Most ways to the place behind a peer lead through it: in case it is silent, shut off or lies,
 * those behind it are found without it. */
static void ask_guess(torc_node *n, torc_ask *a) {
  torc_id from = a->call->resource;
  size_t next = 0;
  if (a->guess_in == a->wave) {
    return;
  }
  a->guess_in = a->wave;
  if (a->num_seats > 0 && a->seats[0].votes > 0) {
    while (next < a->num_seats && a->seats[next].is_followed) {
      next++;
    }
    if (next + 1 >= a->copies || next == a->num_seats) {
      return;
    }
    from = a->seats[next++].id;
  }
  torc_id to = next < a->num_seats ? a->seats[next].id : torc_id_add(&from, &a->stride);
  unsigned num = a->answers.num == 0 && a->wave > 1 ? GUESSES_MAX : 1;
  for (unsigned i = 0; i < num; i++) {
    torc_id at = torc_ask_between(n, &from, &to);
    send(n, a, &(plan){.kind = ATTEMPT_GUESS, .target = &at, .try = a->guesses++});
  }
}

static void step(torc_node *n, torc_ask *a) {
  if (a->is_working) {
    return;
  }
  bool is_over = is_complete(a) || n->now >= a->deadline || n->is_freeing;
  if (!is_over) {
    a->is_working = true;
    ask_front(n, a);
    ask_seats(n, a);
    ask_guess(n, a);
    a->is_working = false;
    is_over = a->num_waiting == 0 && a->num_attempts == TORC_ASK_REQUESTS_MAX;
  }
  if (is_over && a->answers.checking == 0) {
    finish(n, a);
  }
}

static void arm(torc_node *n, torc_ask *a) {
  torc_timer_arm(&n->timers, &a->timer, a->wave_ends < a->deadline ? a->wave_ends : a->deadline);
}

static void on_wave(torc_timer *timer, torc_time now) {
  torc_ask *a = TORC_CONTAINER_OF(timer, torc_ask, timer);
  torc_node *n = a->call->node;
  if (now < a->deadline) {
    a->wave++;
    a->wave_ends = torc_time_add(now, TORC_ASK_WAVE_T1 * n->cfg.t1);
    arm(n, a);
  }
  step(n, a);
}

/* ---- answers ---- */

static void on_checked(torc_node *n, torc_call *c) {
  step(n, c->ask);
}

/* 404 is what a peer without a copy says; what tells more stands. */
static void note_refusal(torc_node *n, torc_ask *a, const torc_reply *reply) {
  bool tells_more = a->failed.code == 0 || a->failed.code == TORC_CODE_NOT_FOUND;
  if (tells_more) {
    torc_free(n->mem, a->call->event->owned); /* the phrase of the one before */
    a->call->event->owned = NULL;
    (void)torc_call_outcome(n, a->call, reply, &a->failed);
  }
}

static void on_answer(torc_node *n, torc_ask *a, const attempt *t, seat *s,
                      const torc_reply *reply) {
  if (reply->code != TORC_CODE_OK) {
    note_refusal(n, a, reply);
    if (s != NULL && reply->code != TORC_CODE_UNAVAILABLE && t->kind == ATTEMPT_SEAT) {
      s->has_answered = true;
    }
    return;
  }
  int rc = torc_ask_take(n, a->call, &a->answers, reply, on_checked);
  if (s != NULL && (rc == 0 || rc == TORC_ERR_EXISTS)) {
    s->has_answered = true;
  } else if (rc != 0) {
    a->failed.rc = rc;
  }
}

static void on_reply(torc_node *n, void *ctx, torc_token cookie, const torc_reply *reply) {
  torc_ask *a = ctx;
  attempt *t = &a->attempts[cookie];
  t->trans = NULL;
  a->num_waiting--;
  if (reply->rc == 0) {
    a->is_working = true;
    seat *s = learn(a, t, &reply->responder);
    if (t->is_fetch) {
      on_answer(n, a, t, s, reply);
    }
    a->is_working = false;
  } else if (a->failed.code == 0) {
    a->failed.rc = reply->rc;
  }
  step(n, a);
}

/* ---- the call ---- */

/* How far guesses go, about the distance of three peers, 1/256 of the ring for a client; and how
 * many holders there can be. */
static void look_around(const torc_node *n, torc_ask *a) {
  torc_topology_view view;
  a->stride = torc_id_add_pow2(&torc_id_zero, 120);
  a->copies = n->topo_params.num_replicas + 1;
  if (n->topo == NULL) {
    return;
  }
  memset(&view, 0, sizeof view);
  n->topo_ops->view(n->topo, &view);
  if (view.num_successors > 0 && view.num_predecessors > 0) {
    torc_id third = torc_ask_part(&view.predecessors[view.num_predecessors - 1],
                                  &view.successors[view.num_successors - 1],
                                  (unsigned)(view.num_predecessors + view.num_successors));
    torc_id two = torc_id_add(&third, &third);
    a->stride = torc_id_add(&two, &third);
  }
  if (view.num_routing + 1 < a->copies) {
    a->copies = view.num_routing + 1;
  }
}

int torc_app_fetch_replicas(torc_node *n, const torc_id *resource, const torc_fetch_item *items,
                            size_t num, torc_token *token) {
  torc_call *c = NULL;
  uint8_t *payload = NULL;
  size_t len = 0;
  int rc = torc_app_specify(n, TORC_METHOD_FETCH, resource, items, num, &c, &payload, &len);
  if (rc != 0) {
    return rc;
  }
  torc_ask *a = torc_calloc(n->mem, 1, sizeof *a);
  if (a == NULL) {
    torc_free(n->mem, payload);
    torc_call_free(n, c);
    return TORC_ERR_NOMEM;
  }
  c->ask = a;
  *token = c->token;
  a->call = c;
  a->payload = payload;
  a->payload_len = len;
  look_around(n, a);
  a->failed.responsible_ppb = UINT32_MAX;
  a->failed.num_resources = UINT32_MAX;
  a->deadline = torc_time_add(n->now, TORC_ASK_DEADLINE_T1 * n->cfg.t1);
  a->wave_ends = n->now; /* the first wave begins once this call is through */
  torc_timer_init(&a->timer, on_wave);
  arm(n, a);
  return 0;
}

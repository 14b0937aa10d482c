/* CONNECT: one offer and one answer, then the platform makes the link, or the connection of an
 * application (connect_app.c) [CON-01..15] [GAP-70] [GAP-72..76]. SPDX-License-Identifier:
 * Apache-2.0 */
#include "overlay/node/rings.h"

static const torc_slice nothing = {NULL, 0};

typedef struct waiter {
  struct waiter *next;
  torc_deferred told;
  torc_connect_fn done;
  void *ctx;
  torc_token cookie;
} waiter;

typedef struct conn {
  torc_token token;
  torc_node *n;
  uint16_t application;
  bool is_incoming;
  bool is_answered; /* the answer was sent or has come: only the link is missing */
  bool is_needless; /* incoming: a link of the two stands and will do */
  bool is_spent;    /* nothing came of it: holds its place among its peer's for a while */
  bool knows_peer;
  torc_id peer; /* the exact target, the answerer, or the requester */
  torc_id route[TORC_NODE_ROUTE_MAX];
  size_t num_route;
  bool is_exact;
  bool is_prepared; /* the platform has given parameters and may hold something for it */
  waiter *waiters;
  torc_trans *trans;
  torc_inbound *in; /* incoming: waits for local parameters */
  torc_timer timer;
  torc_time started;
} conn;

/* RELOAD's makes a link; each one of an application stands for itself. */
static bool is_for_link(const conn *c) {
  return c->application == TORC_APPLICATION_RELOAD;
}

/* What the platform holds for it, an ICE session with its candidates, is not to wait for its own
 * time limit. */
static void cancel(torc_node *n, torc_token token) {
  torc_out *o = n->is_freeing ? NULL : torc_out_new(n, TORC_OUT_CANCEL);
  if (o != NULL) {
    o->o.token = token;
    torc_out_push(n, o);
  }
}

static void conn_free(torc_node *n, conn *c) {
  if (c->is_prepared) {
    cancel(n, c->token);
  }
  (void)torc_map_del(&n->conns, &c->token);
  torc_timer_stop(&n->timers, &c->timer);
  if (c->trans != NULL) {
    torc_trans_cancel(n, c->trans);
  }
  if (c->in != NULL) {
    torc_inbound_free(n, c->in);
  }
  while (c->waiters != NULL) {
    waiter *w = c->waiters;
    c->waiters = w->next;
    torc_free(n->mem, w);
  }
  torc_free(n->mem, c);
}

void torc_connects_init(torc_node *n, uint64_t seed) {
  torc_map_init(&n->conns, n->mem, offsetof(conn, token), sizeof(torc_token), seed);
}

void torc_connects_clear(torc_node *n) {
  size_t it = 0;
  conn *c = NULL;
  while ((c = torc_map_next(&n->conns, &it)) != NULL) {
    conn_free(n, c);
  }
  torc_map_clear(&n->conns);
}

static void tell_waiter(torc_node *n, void *ctx, torc_token cookie, int rc, const torc_id *peer) {
  waiter *w = ctx;
  (void)cookie;
  w->done(n, w->ctx, w->cookie, rc, peer);
  torc_free(n->mem, w);
}

/* Every waiter is told once this call is through. */
static void tell_waiters(torc_node *n, conn *c, int rc) {
  while (c->waiters != NULL) {
    waiter *w = c->waiters;
    c->waiters = w->next;
    torc_defer(n, &w->told, tell_waiter, w, 0, rc, &c->peer);
  }
}

/* Those who wait for the link, or the application, learn how it ended. */
static void tell(torc_node *n, conn *c, int rc) {
  if (rc != 0) {
    n->stats->connect_failures++;
  }
  tell_waiters(n, c, rc);
  if (!is_for_link(c)) {
    torc_appconn_ended(n, c->token, rc);
  }
}

static void conn_end(torc_node *n, conn *c, int rc) {
  if (!c->is_spent) {
    tell(n, c, rc);
  }
  conn_free(n, c);
}

/* [GAP-76] An offer whose addresses led nowhere: nobody can have this peer dial others without end.
 */
static void conn_spend(torc_node *n, conn *c, int rc) {
  torc_time end = torc_time_add(c->started, TORC_NODE_CONN_SPENT);
  if (end <= n->now) {
    conn_end(n, c, rc);
    return;
  }
  tell(n, c, rc);
  c->is_spent = true;
  c->knows_peer = false;
  torc_timer_arm(&n->timers, &c->timer, end);
}

static void on_timeout(torc_timer *t, torc_time now) {
  conn *c = TORC_CONTAINER_OF(t, conn, timer);
  (void)now;
  conn_end(c->n, c, TORC_ERR_TIMEOUT);
}

static conn *conn_new(torc_node *n, uint16_t application) {
  conn *c = NULL;
  if (n->conns.len >= TORC_NODE_CONNS_MAX) {
    return NULL;
  }
  c = torc_calloc(n->mem, 1, sizeof *c);
  if (c == NULL) {
    return NULL;
  }
  c->token = torc_node_token(n);
  c->n = n;
  c->application = application;
  c->started = n->now;
  torc_timer_init(&c->timer, on_timeout);
  if (torc_map_put(&n->conns, c) != 0) {
    torc_free(n->mem, c);
    return NULL;
  }
  torc_timer_arm(&n->timers, &c->timer, torc_time_add(n->now, TORC_NODE_CONN_TIMEOUT));
  return c;
}

/* The CONNECT for a link. */
static conn *find_peer(torc_node *n, const torc_id *peer, bool incoming) {
  size_t it = 0;
  conn *c = NULL;
  while ((c = torc_map_next(&n->conns, &it)) != NULL) {
    if (c->knows_peer && c->is_incoming == incoming && is_for_link(c) &&
        torc_id_eq(&c->peer, peer)) {
      return c;
    }
  }
  return NULL;
}

/* [GAP-76] One peer cannot use up the places of all. */
static bool too_many_of(const torc_node *n, const torc_id *peer, bool for_link) {
  size_t it = 0;
  size_t num = 0;
  const conn *c = NULL;
  while ((c = torc_map_next(&n->conns, &it)) != NULL) {
    bool is_its = c->is_incoming && is_for_link(c) == for_link && torc_id_eq(&c->peer, peer);
    num += is_its ? 1u : 0u;
  }
  return num >= (for_link ? TORC_NODE_CONNS_PER_PEER : TORC_NODE_APPS_ASKED_PER_PEER);
}

/* Nor can those of applications use up the places that the ring needs. */
static bool too_many_for_applications(const torc_node *n) {
  size_t it = 0;
  size_t num = 0;
  const conn *c = NULL;
  while ((c = torc_map_next(&n->conns, &it)) != NULL) {
    num += is_for_link(c) ? 0u : 1u;
  }
  return num >= TORC_NODE_APPS_ASKED_MAX;
}

/* Nor the links: each CONNECT leaves one more behind to drain. */
static bool too_many_links_of(const torc_node *n, const torc_id *peer) {
  size_t it = 0;
  size_t num = 0;
  const torc_link *l = NULL;
  while ((l = torc_map_next(&n->links, &it)) != NULL) {
    num += torc_id_eq(&l->peer, peer) ? 1u : 0u;
  }
  return num >= TORC_NODE_LINKS_PER_PEER;
}

static int add_waiter(torc_node *n, conn *c, torc_connect_fn done, void *ctx, torc_token cookie) {
  waiter *w = torc_calloc(n->mem, 1, sizeof *w);
  if (w == NULL) {
    return TORC_ERR_NOMEM;
  }
  w->done = done;
  w->ctx = ctx;
  w->cookie = cookie;
  w->next = c->waiters;
  c->waiters = w;
  return 0;
}

/* A CONNECT to a place, not to a peer, asks for whoever is responsible: if a link of the two is
 * well, that is the link. Else each id that nobody has would cost its successor a link [GAP-74
 * deviates].
 */
static bool is_well(const torc_node *n, const torc_link *l) {
  return l != NULL && !l->is_draining && !l->is_closing &&
         n->now - l->last_in < 2 * n->cfg.keepalive;
}

/* ---- as requester ---- */

typedef struct linked_already {
  torc_deferred told;
  torc_connect_fn done;
  void *ctx;
} linked_already;

static void tell_linked(torc_node *n, void *ctx, torc_token cookie, int rc, const torc_id *peer) {
  linked_already *l = ctx;
  l->done(n, l->ctx, cookie, rc, peer);
  torc_free(n->mem, l);
}

static int defer_linked(torc_node *n, torc_connect_fn done, void *ctx, torc_token cookie,
                        const torc_id *peer) {
  linked_already *l = torc_calloc(n->mem, 1, sizeof *l);
  if (l == NULL) {
    return TORC_ERR_NOMEM;
  }
  l->done = done;
  l->ctx = ctx;
  torc_defer(n, &l->told, tell_linked, l, cookie, 0, peer);
  return 0;
}

/* [GAP-74] The other side's CONNECT was answered: that link will do, a second one would cross it.
 */
static conn *coming(torc_node *n, const torc_id *peer) {
  size_t it = 0;
  conn *c = NULL;
  while ((c = torc_map_next(&n->conns, &it)) != NULL) {
    if (c->knows_peer && c->is_incoming && c->is_answered && !c->is_spent && !c->is_needless &&
        is_for_link(c) && torc_id_eq(&c->peer, peer)) {
      return c;
    }
  }
  return NULL;
}

/* Asks the platform for an offer; the CONNECT follows. */
static int begin(torc_node *n, const torc_id *route, size_t num_route, bool is_exact,
                 torc_connect_fn done, void *ctx, torc_token cookie) {
  const torc_id *target = &route[num_route - 1];
  conn *c = NULL;
  torc_out *o = NULL;
  int rc = 0;
  if (is_exact && (torc_id_eq(target, &n->self) || !torc_id_is_peer(target))) {
    return TORC_ERR_INVALID;
  }
  c = is_exact ? find_peer(n, target, false) : NULL;
  c = is_exact && c == NULL ? coming(n, target) : c;
  if (c != NULL) {
    return add_waiter(n, c, done, ctx, cookie);
  }
  c = conn_new(n, TORC_APPLICATION_RELOAD);
  o = c == NULL ? NULL : torc_out_new(n, TORC_OUT_OFFER_NEEDED);
  rc = o == NULL ? TORC_ERR_LIMIT : add_waiter(n, c, done, ctx, cookie);
  if (rc != 0) {
    torc_out_free(n, o);
    if (c != NULL) {
      conn_free(n, c);
    }
    return rc;
  }
  memcpy(c->route, route, num_route * sizeof *route);
  c->num_route = num_route;
  c->is_exact = is_exact;
  c->knows_peer = is_exact;
  c->peer = *target;
  o->o.token = c->token;
  o->o.application = TORC_APPLICATION_RELOAD;
  if (is_exact) {
    o->o.peer = *target;
  }
  torc_out_push(n, o);
  return 0;
}

/* [CON-01] [CON-07] Nothing of it concerns the links: there may be one to the same peer, or a
 * CONNECT for one under way [GAP-74]. */
int torc_connect_application(torc_node *n, const torc_id *route, size_t num_route,
                             uint16_t application, torc_token *token) {
  conn *c = too_many_for_applications(n) ? NULL : conn_new(n, application);
  torc_out *o = c == NULL ? NULL : torc_out_new(n, TORC_OUT_OFFER_NEEDED);
  if (o == NULL) {
    if (c != NULL) {
      conn_free(n, c);
    }
    return TORC_ERR_LIMIT;
  }
  memcpy(c->route, route, num_route * sizeof *route);
  c->num_route = num_route;
  c->is_exact = true;
  c->knows_peer = true;
  c->peer = route[num_route - 1];
  *token = c->token;
  o->o.token = c->token;
  o->o.application = application;
  o->o.peer = c->peer;
  torc_out_push(n, o);
  return 0;
}

int torc_connect_start(torc_node *n, const torc_id *route, size_t num_route, bool is_exact,
                       torc_connect_fn done, void *ctx, torc_token cookie) {
  const torc_id *target = &route[num_route - 1];
  if (is_exact) {
    torc_rings_borrow(n, target);
  }
  if (is_exact && torc_link_of_peer(n, target) != NULL) {
    return defer_linked(n, done, ctx, cookie, target);
  }
  return begin(n, route, num_route, is_exact, done, ctx, cookie);
}

static void on_renewed(torc_node *n, void *ctx, torc_token cookie, int rc, const torc_id *peer) {
  (void)ctx;
  (void)cookie;
  TORC_LOG(n->log, TORC_LOG_DEBUG, "connect:renewed", TORC_F_ID("peer", peer),
           TORC_F_ERR("why", rc));
}

int torc_connect_renew(torc_node *n, const torc_id *peer) {
  return torc_link_of_peer(n, peer) == NULL ? TORC_ERR_NOTFOUND
                                            : begin(n, peer, 1, true, on_renewed, NULL, 0);
}

/* [CON-14] [GAP-26] The answer names the peer; the platform makes or awaits the link. */
static int use_answer(torc_node *n, conn *c, const torc_reply *reply) {
  torc_connect_data data;
  torc_out *o = NULL;
  torc_link *l = NULL;
  int rc = 0;
  if (reply->rc != 0) {
    return reply->rc;
  }
  if (reply->code != TORC_CODE_OK && !is_for_link(c)) {
    torc_appconn_refused(n, c->token, reply);
    return TORC_ERR_REFUSED;
  }
  if (reply->code != TORC_CODE_OK) {
    return reply->code == TORC_CODE_NOT_FOUND ? TORC_ERR_NOTFOUND : TORC_ERR_REFUSED;
  }
  if (reply->is_local || !torc_id_is_peer(&reply->responder) ||
      (c->is_exact && !torc_id_eq(&reply->responder, &c->peer))) {
    return TORC_ERR_NOTFOUND;
  }
  rc = torc_connect_decode(&data, reply->payload);
  if (rc != 0) {
    return rc;
  }
  if (!is_for_link(c) && data.application != c->application) {
    return TORC_ERR_FORMAT;
  }
  if (!c->is_exact) { /* [D-19] before this one knows whom it waits for */
    torc_rings_borrow(n, &reply->responder);
  }
  c->peer = reply->responder;
  c->knows_peer = true;
  c->is_answered = true;
  l = is_for_link(c) ? torc_link_of_peer(n, &c->peer) : NULL;
  if ((l != NULL && l->up_at >= c->started) || (!c->is_exact && is_well(n, l))) {
    /* the link was quicker than the answer, or is there already */
    conn_end(n, c, 0);
    return 0;
  }
  o = torc_out_new(n, TORC_OUT_CONNECT);
  rc = o == NULL ? TORC_ERR_NOMEM : torc_out_params(n, o, &data);
  if (rc != 0) {
    torc_out_free(n, o);
    return rc;
  }
  o->o.token = c->token;
  o->o.application = c->application;
  o->o.peer = c->peer;
  torc_out_push(n, o);
  return 0;
}

static void on_answer(torc_node *n, void *ctx, torc_token cookie, const torc_reply *reply) {
  conn *c = ctx;
  (void)cookie;
  c->trans = NULL;
  int rc = use_answer(n, c, reply);
  if (rc != 0) {
    conn_end(n, c, rc);
  }
}

static int params_put(torc_wr *wr, const torc_connect_params *p, uint16_t application) {
  torc_slice candidates[TORC_CANDIDATES_MAX];
  torc_connect_data d = {.ufrag = torc_slice_str(p->ufrag),
                         .password = torc_slice_str(p->password),
                         .application = application,
                         .fingerprint = torc_slice_str(p->fingerprint),
                         .role = torc_slice_str(p->role)};
  if (p->num_candidates > TORC_CANDIDATES_MAX) {
    return TORC_ERR_INVALID;
  }
  for (size_t i = 0; i < p->num_candidates; i++) {
    candidates[i] = torc_slice_str(p->candidates[i]);
  }
  return torc_connect_put(wr, &d, candidates, p->num_candidates);
}

#define PARAMS_ROOM 16384

/* 200 with parameters that nobody will use. */
static int answer_needless(torc_node *n, conn *c, const torc_connect_params *params) {
  static const char active[] = "active"; /* [GAP-73] as every answerer */
  torc_connect_params own = *params;
  uint8_t buf[PARAMS_ROOM];
  torc_inbound *in = c->in;
  torc_wr wr;
  memcpy(own.role, active, sizeof active);
  torc_wr_init(&wr, buf, sizeof buf);
  if (params_put(&wr, &own, c->application) != 0) {
    return TORC_ERR_INVALID;
  }
  c->in = NULL;
  c->is_prepared = true;
  torc_respond(n, in, TORC_CODE_OK, torc_wr_slice(&wr));
  conn_end(n, c, 0);
  return 0;
}

int torc_connect_offer(torc_node *n, torc_token token, const torc_connect_params *params) {
  conn *c = torc_map_get(&n->conns, &token);
  uint8_t buf[PARAMS_ROOM];
  torc_wr wr;
  torc_request r = {.method = TORC_METHOD_CONNECT, .done = on_answer, .ctx = c};
  int rc = 0;
  if (c != NULL && c->is_needless && c->in != NULL) {
    return answer_needless(n, c, params);
  }
  if (c == NULL) { /* meanwhile ended */
    cancel(n, token);
    return 0;
  }
  if (c->is_incoming || c->trans != NULL || c->is_answered) {
    return 0;
  }
  torc_wr_init(&wr, buf, sizeof buf);
  rc = params_put(&wr, params, c->application);
  if (rc != 0) {
    return TORC_ERR_INVALID;
  }
  c->is_prepared = true;
  r.payload = torc_wr_slice(&wr);
  memcpy(r.route, c->route, c->num_route * sizeof *c->route);
  r.num_route = c->num_route;
  n->stats->connects_sent++;
  rc = torc_request_start(n, &r, &c->trans);
  if (rc != 0) {
    conn_end(n, c, rc);
  }
  return 0;
}

/* ---- as answerer ---- */

static bool has_candidate(const torc_connect_data *d) { /* [GAP-71] unparseable ones are skipped */
  torc_rd rd;
  torc_slice text;
  torc_candidate candidate;
  torc_rd_init(&rd, d->candidates);
  while (torc_candidate_next(&rd, &text)) {
    if (torc_candidate_parse(text, &candidate) == 0) {
      return true;
    }
  }
  return false;
}

static bool role_ok(torc_slice role) { /* [CON-09] [GAP-73] */
  return torc_slice_eq(role, torc_slice_str("active")) ||
         torc_slice_eq(role, torc_slice_str("passive")) ||
         torc_slice_eq(role, torc_slice_str("actpass"));
}

/* [GAP-76] The limits on CONNECTs of the two kinds. */
static bool is_full(const torc_node *n, const torc_id *peer, uint16_t application) {
  if (n->phase == TORC_PHASE_LEAVING ||
      too_many_of(n, peer, application == TORC_APPLICATION_RELOAD)) {
    return true;
  }
  if (application != TORC_APPLICATION_RELOAD) {
    return too_many_for_applications(n) || !torc_appconn_fits(n, peer);
  }
  return n->num_links >= n->cfg.max_links || too_many_links_of(n, peer);
}

/* [GAP-76] Why a CONNECT is refused, or 0. */
static uint16_t refusal(const torc_node *n, const torc_inbound *in, const torc_connect_data *d,
                        const char **phrase) {
  *phrase = NULL;
  if (d->application != TORC_APPLICATION_RELOAD && !in->is_exact) {
    return TORC_CODE_NOT_FOUND; /* an application is one peer's */
  }
  if (!torc_appconn_listens(n, d->application)) {
    *phrase = "Unknown Application";
    return TORC_CODE_NOT_FOUND;
  }
  if (in->is_local) {
    return TORC_CODE_NOT_FOUND; /* the place asked for is this peer's own */
  }
  if (!torc_id_is_peer(&in->signer_peer) || torc_id_eq(&in->signer_peer, &n->self)) {
    return TORC_CODE_FORBIDDEN;
  }
  if (!has_candidate(d) || !role_ok(d->role) ||
      (d->fingerprint.len == 0 && !n->cfg.is_shared_key)) { /* [GAP-72] */
    return TORC_CODE_BAD_REQUEST;
  }
  return is_full(n, &in->signer_peer, d->application) ? TORC_CODE_UNAVAILABLE : 0;
}

/* [GAP-74] Own request to the same peer under way: the numerically larger peer-id's wins. False:
 * ignore theirs. */
static bool settle_glare(torc_node *n, const torc_id *peer, conn *mine, conn *fresh) {
  if (mine == NULL || mine->is_answered) {
    return true;
  }
  if (torc_id_cmp(&n->self, peer) > 0) {
    n->stats->drop_glare++;
    return false;
  }
  fresh->waiters = mine->waiters;
  mine->waiters = NULL;
  conn_free(n, mine);
  return true;
}

void torc_connect_request(torc_node *n, torc_inbound *in) {
  torc_connect_data data;
  const char *phrase = NULL;
  torc_out *o = NULL;
  conn *c = NULL;
  int rc = torc_connect_decode(&data, in->c.payload);
  uint16_t code = rc != 0 ? TORC_CODE_BAD_REQUEST : 0;
  n->stats->connects_received++;
  if (code == 0) {
    code = refusal(n, in, &data, &phrase);
  }
  if (code != 0) {
    torc_respond_error(n, in, code, phrase, nothing);
    return;
  }
  bool is_needless = !in->is_exact && is_well(n, torc_link_of_peer(n, &in->signer_peer));
  c = conn_new(n, data.application);
  o = c == NULL ? NULL : torc_out_new(n, TORC_OUT_ANSWER_NEEDED);
  rc = o == NULL ? TORC_ERR_NOMEM : torc_out_params(n, o, &data);
  if (rc == 0 && !is_for_link(c)) {
    rc = torc_appconn_asked(n, c->token, &in->signer_peer, c->application);
  }
  if (rc != 0) {
    torc_out_free(n, o);
    if (c != NULL) {
      conn_free(n, c);
    }
    code = rc == TORC_ERR_FORMAT ? TORC_CODE_BAD_REQUEST : TORC_CODE_UNAVAILABLE;
    torc_respond_error(n, in, code, NULL, nothing);
    return;
  }
  if (is_needless) {
    o->o.kind = TORC_OUT_OFFER_NEEDED; /* only the own parameters are wanted */
  }
  c->is_incoming = true;
  c->is_needless = is_needless;
  /* [GAP-74 deviates] Two connections of an application are not one: each side wants its own. */
  if (!is_needless && is_for_link(c) &&
      !settle_glare(n, &in->signer_peer, find_peer(n, &in->signer_peer, false), c)) {
    torc_out_free(n, o);
    conn_free(n, c);
    torc_inbound_free(n, in);
    return;
  }
  c->knows_peer = true;
  c->peer = in->signer_peer;
  c->in = in;
  o->o.token = c->token;
  o->o.application = c->application;
  o->o.peer = c->peer;
  torc_out_push(n, o);
}

/* [CON-12] [CON-13] */
int torc_connect_answer(torc_node *n, torc_token token, const torc_connect_params *params,
                        uint16_t refuse) {
  conn *c = torc_map_get(&n->conns, &token);
  uint8_t buf[PARAMS_ROOM];
  torc_inbound *in = NULL;
  torc_out *o = NULL;
  torc_wr wr;
  if (c == NULL && refuse == 0) {
    cancel(n, token);
  }
  if (c == NULL || c->in == NULL) {
    return 0;
  }
  in = c->in;
  torc_wr_init(&wr, buf, sizeof buf);
  if (refuse == 0 && params_put(&wr, params, c->application) != 0) {
    return TORC_ERR_INVALID;
  }
  c->is_prepared = refuse == 0;
  o = refuse == 0 ? torc_out_new(n, TORC_OUT_ACCEPT) : NULL;
  c->in = NULL;
  if (o == NULL) {
    torc_respond_error(n, in, refuse == 0 ? TORC_CODE_UNAVAILABLE : refuse, NULL, nothing);
    conn_end(n, c, TORC_ERR_REFUSED);
    return 0;
  }
  torc_respond(n, in, TORC_CODE_OK, torc_wr_slice(&wr));
  c->is_answered = true;
  o->o.token = c->token;
  o->o.application = c->application;
  o->o.peer = c->peer;
  torc_out_push(n, o);
  return 0;
}

/* ---- the link ---- */

void torc_connect_link_up(torc_node *n, torc_link *l, torc_token token) {
  size_t it = 0;
  conn *c = NULL;
  while ((c = torc_map_next(&n->conns, &it)) != NULL) {
    if (is_for_link(c) && c->knows_peer && torc_id_eq(&c->peer, &l->peer) && c->in == NULL) {
      l->by_connect = true;
      l->is_own = l->is_own || !c->is_incoming;
      c->is_prepared = c->is_prepared && c->token != token;
      conn_end(n, c, 0);
    }
  }
}

int torc_connect_app_up(torc_node *n, torc_token token, const torc_id *peer) {
  conn *c = torc_map_get(&n->conns, &token);
  if (c == NULL || is_for_link(c) || !c->is_answered || c->is_spent) {
    return TORC_ERR_NOTFOUND;
  }
  if (!torc_id_eq(&c->peer, peer)) {
    return TORC_ERR_DENIED;
  }
  c->is_prepared = false;
  conn_free(n, c);
  return 0;
}

void torc_connect_failed(torc_node *n, torc_token token, int rc) {
  conn *c = token == 0 ? NULL : torc_map_get(&n->conns, &token);
  if (c != NULL) {
    c->is_prepared = false;
  }
  if (c != NULL && c->is_incoming && c->is_answered && !c->is_spent) {
    conn_spend(n, c, rc);
  } else if (c != NULL && !c->is_spent) {
    conn_end(n, c, rc);
  }
}

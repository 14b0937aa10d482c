/* SPDX-License-Identifier: Apache-2.0 */
#define NT_NO_CMOCKA
#include "fuzz/node_script.h"

#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"
#include "base/id.h"
#include "base/slice.h"
#include "overlay/helper_node.h"
#include "overlay/helper_node_check.h"
#include "wire/pdu.h"
#include "wire/storage_pdu.h"

#define STEPS_MAX 150
#define LINKS_MAX 12
#define TOKENS_MAX 8
#define APP 7777
#define CANDIDATE "candidate:1 1 TCP 1 192.0.2.9 6084 typ host tcptype passive"

/* Ids in play: two clients, members on both sides of the node, and the node itself. */
static const uint8_t peers[] = {0x20, 0x21, 0x40, 0x7f, 0x81, 0x90, 0xc0, NT_SELF};

typedef struct script {
  nt *h;
  torc_rd in;
  torc_link_id links[LINKS_MAX];
  uint8_t ends[LINKS_MAX]; /* whose */
  bool is_up[LINKS_MAX];
  size_t num_links;
  torc_token opens[TOKENS_MAX], offers[TOKENS_MAX]; /* the last ones the node gave */
  size_t num_opens, num_offers;
  torc_token connection; /* of an application: the last that stood, or was to */
  nt_out *request;       /* the last request of the node's own that left */
} script;

static uint8_t next(script *s) {
  return torc_rd_u8(&s->in);
}

static uint8_t pick_peer(script *s) {
  return peers[next(s) % sizeof peers];
}

static torc_id pick_id(script *s) {
  uint8_t b = next(s);
  if (b % 16 < sizeof peers) {
    return nt_id(peers[b % 16]);
  }
  switch (b % 16) {
    case 8:
      return torc_id_wildcard;
    case 9:
      return nt_resource(peers[(b / 16) % sizeof peers]);
    case 10:
      return nt_id(0xb0);
    case 11:
      return torc_id_next(&(torc_id){{NT_SELF, 0x11}});
    default: {
      torc_id id = nt_id(b);
      return id;
    }
  }
}

static torc_slice pick_bytes(script *s) {
  size_t len = next(s);
  size_t left = torc_rd_left(&s->in);
  return torc_rd_slice(&s->in, len < left ? len : left);
}

/* ---- what the node says ---- */

static void remember(torc_token *list, size_t *num, torc_token token) {
  if (*num == TOKENS_MAX) {
    memmove(list, list + 1, (TOKENS_MAX - 1) * sizeof *list);
    (*num)--;
  }
  list[(*num)++] = token;
}

static void listen_to(script *s) {
  static const torc_output_kind kinds[] = {TORC_OUT_OPEN, TORC_OUT_CONNECT, TORC_OUT_ACCEPT};
  nt_out *o = NULL;
  for (size_t k = 0; k < TORC_ARRAY_LEN(kinds); k++) {
    while ((o = nt_take(s->h, kinds[k])) != NULL) {
      remember(s->opens, &s->num_opens, o->token);
    }
  }
  while ((o = nt_take(s->h, TORC_OUT_OFFER_NEEDED)) != NULL ||
         (o = nt_take(s->h, TORC_OUT_ANSWER_NEEDED)) != NULL) {
    remember(s->offers, &s->num_offers, o->token);
  }
  while ((o = nt_take(s->h, TORC_OUT_CLOSE)) != NULL) {
    for (size_t i = 0; i < s->num_links; i++) {
      if (s->links[i] == o->link && s->is_up[i]) {
        s->is_up[i] = false;
        nt_down(s->h, o->link);
      }
    }
  }
  while ((o = nt_take(s->h, TORC_OUT_SEND)) != NULL) {
    CHECK(o->bytes.len <= TORC_MESSAGE_MAX);
    if (!o->c.is_response && o->hdr.via.len == 0) {
      s->request = o;
    }
  }
  nt_clear(s->h);
}

/* ---- links ---- */

static size_t free_place(script *s) {
  for (size_t i = 0; i < s->num_links; i++) {
    if (!s->is_up[i]) {
      return i;
    }
  }
  return s->num_links < LINKS_MAX ? s->num_links++ : LINKS_MAX;
}

static void link_up(script *s) {
  uint8_t peer = pick_peer(s);
  uint8_t how = next(s);
  torc_token token = how % 4 == 0 && s->num_opens > 0 ? s->opens[--s->num_opens] : 0;
  size_t at = free_place(s);
  if (at == LINKS_MAX) {
    return;
  }
  s->ends[at] = peer;
  s->links[at] =
      nt_up_token(s->h, peer, (torc_link_kind)(1 + (how / 4) % 4), token, nt_cert(s->h, peer));
  s->is_up[at] = true;
}

static size_t pick_link(script *s) {
  size_t start = next(s);
  for (size_t i = 0; i < s->num_links; i++) {
    size_t at = (start + i) % s->num_links;
    if (s->is_up[at]) {
      return at;
    }
  }
  return LINKS_MAX;
}

static void link_down(script *s) {
  size_t at = pick_link(s);
  if (at != LINKS_MAX) {
    s->is_up[at] = false;
    nt_down(s->h, s->links[at]);
  }
}

/* ---- messages ---- */

static torc_slice store_payload(script *s, uint8_t signer) {
  static const uint32_t types[] = {NT_TYPE_LINE, NT_TYPE_NOTE, NT_TYPE_LIST, NT_TYPE_HIDDEN, 3};
  torc_id resource = nt_resource(signer);
  nt_element e[3];
  size_t num = 1 + next(s) % 3;
  for (size_t i = 0; i < num; i++) {
    uint8_t b = next(s);
    e[i] = (nt_element){.type = types[b % 5],
                        .generation = (b / 5) % 4,
                        .key = (b & 1) != 0 ? "k" : "l",
                        .value = (b & 2) != 0 ? "value" : "",
                        .index = b % 7 - 1,
                        .storage_time = NT_WALL + b,
                        .lifetime_s = 1 + b * 10u,
                        .signer = nt_cert(s->h, signer)};
  }
  return nt_store_payload(s->h, &resource, e, num);
}

static torc_slice specifiers(script *s, uint8_t signer) {
  static const uint32_t types[] = {NT_TYPE_LINE, NT_TYPE_NOTE, NT_TYPE_LIST, NT_TYPE_HIDDEN, 3};
  torc_id resource = nt_resource(signer);
  uint8_t b = next(s);
  uint64_t generations[2] = {b % 3, b % 4};
  uint32_t pair[2] = {types[b % 5], types[(b + 1) % 5]};
  return nt_fetch_payload(s->h, &resource, pair, generations, 1 + (b & 1));
}

static torc_slice small_payload(script *s, uint16_t method) {
  uint8_t buf[256];
  torc_wr wr;
  torc_wr_init(&wr, buf, sizeof buf);
  if (method == TORC_METHOD_TUNNEL) {
    torc_tunnel_data t = {.application = APP, .application_pdu = torc_slice_str("x")};
    CHECK(torc_tunnel_put(&wr, &t) == 0);
  } else {
    torc_id resource = pick_id(s);
    uint32_t types[2] = {NT_TYPE_LINE, NT_TYPE_NOTE};
    CHECK(torc_find_request_put(&wr, &resource, types, 2) == 0);
  }
  return nt_keep(s->h, buf, wr.len);
}

static torc_slice update_payload(script *s) {
  uint8_t preds[4] = {0};
  uint8_t succs[4] = {0};
  for (size_t i = 0; i < 3; i++) {
    preds[i] = peers[next(s) % sizeof peers];
    succs[i] = peers[next(s) % sizeof peers];
  }
  preds[next(s) % 4] = 0;
  return nt_update_payload(s->h, preds, succs);
}

/* A payload of the method's own form. */
static torc_slice good_payload(script *s, uint16_t method, uint8_t signer) {
  torc_id id = nt_id(signer);
  switch (method) {
    case TORC_METHOD_PING:
      return nt_ping_payload(s->h);
    case TORC_METHOD_CONNECT:
      return nt_connect_payload(s->h, next(s) % 2 == 0 ? "passive" : "actpass", 6084, CANDIDATE);
    case TORC_METHOD_STORE:
      return store_payload(s, signer);
    case TORC_METHOD_FETCH:
    case TORC_METHOD_REMOVE:
      return specifiers(s, signer);
    case TORC_METHOD_JOIN:
    case TORC_METHOD_LEAVE:
      return nt_notice_payload(s->h, &id);
    case TORC_METHOD_UPDATE:
      return update_payload(s);
    default:
      return small_payload(s, method);
  }
}

static void address(script *s, nt_msg *m, size_t at) {
  uint8_t how = next(s);
  size_t num = 1 + how % 3;
  for (size_t i = 0; i < num; i++) {
    torc_id id = pick_id(s);
    nt_route(m, &id);
  }
  if ((how & 0x10) != 0) {
    torc_id self = nt_self(s->h);
    m->num_route = 0;
    nt_route(m, &self);
  }
  if ((how & 0x20) != 0 || (m->signer != NULL && m->signer != nt_cert(s->h, s->ends[at]))) {
    torc_id id = nt_id((uint8_t)(1 + how % 0x70));
    nt_via(m, &id);
  }
  if ((how & 0x40) != 0) {
    m->hdr.flags = TORC_FLAG_ROUTE_LOG;
  }
  if ((how & 0x80) != 0) {
    m->hdr.routing = TORC_ROUTING_ITERATIVE;
  }
}

static void request(script *s, bool is_mutated, bool has_odd_payload) {
  size_t at = pick_link(s);
  nt_msg m;
  if (at == LINKS_MAX) {
    return;
  }
  uint8_t b = next(s);
  uint16_t method = (uint16_t)(1 + 2 * (b % 10));
  uint8_t signer = (b & 0x80) != 0 ? pick_peer(s) : s->ends[at];
  nt_request(s->h, &m, signer, method,
             has_odd_payload ? pick_bytes(s) : good_payload(s, method, signer));
  address(s, &m, at);
  if ((b & 0x40) != 0) {
    m.identity = (uint8_t)(1 + b % 3);
  }
  torc_slice bytes = nt_encode(s->h, &m);
  for (size_t i = 0; is_mutated && i < 1u + b % 4; i++) {
    size_t where = (size_t)next(s) * 256u + next(s);
    ((uint8_t *)(uintptr_t)bytes.p)[where % bytes.len] = next(s);
  }
  nt_input_bytes(s->h, s->links[at], bytes);
  if ((b & 0x20) != 0) {
    nt_input_bytes(s->h, s->links[at], bytes);
  }
}

static void raw(script *s) {
  size_t at = pick_link(s);
  torc_slice bytes = pick_bytes(s);
  if (at != LINKS_MAX) {
    nt_input_bytes(s->h, s->links[at], nt_keep(s->h, bytes.p, bytes.len));
  }
}

static void response(script *s) {
  static const uint16_t codes[] = {200, 302, 400, 401, 403, 404, 405, 412, 413, 498, 499, 503};
  size_t at = pick_link(s);
  uint8_t b = next(s);
  nt_msg m;
  torc_slice payload = torc_slice_of(NULL, 0);
  if (at == LINKS_MAX || s->request == NULL) {
    return;
  }
  if ((b & 0x80) != 0) {
    payload = pick_bytes(s);
  } else if (s->request->c.code == TORC_METHOD_PING) {
    payload = nt_pong_payload(s->h, b);
  } else if (s->request->c.code == TORC_METHOD_CONNECT) {
    payload = nt_connect_payload(s->h, "active", (b & 1) != 0 ? APP : 6084, CANDIDATE);
  }
  nt_response(s->h, &m, (b & 0x40) != 0 ? pick_peer(s) : s->ends[at], s->request,
              codes[(b & 0x3f) < 32 ? 0 : (b & 0x3f) % 12], payload);
  for (size_t i = 0; i < s->num_links; i++) { /* where it was sent, if that is still up */
    at = s->is_up[i] && s->links[i] == s->request->link ? i : at;
  }
  nt_input(s->h, s->links[at], &m);
}

/* ---- the platform and the application ---- */

/* A connection of an application stands, with whomever, or one that did has ended. */
static void connection(script *s, uint8_t b) {
  uint8_t peer = pick_peer(s);
  torc_link_info info = {.kind = TORC_LINK_TLS, .peer = nt_id(peer), .cert = nt_cert(s->h, peer)};
  if ((b & 0x40) != 0 || s->num_opens == 0) {
    (void)!torc_node_connection_down(nt_node(s->h), s->connection, b % 8 == 0 ? 0 : TORC_ERR_CLOSED,
                                     nt_now(s->h));
    return;
  }
  info.cert->refs++;
  s->connection = s->opens[--s->num_opens];
  (void)!torc_node_connection_up(nt_node(s->h), s->connection, &info, nt_now(s->h));
}

static void platform(script *s) {
  torc_connect_params p;
  uint8_t b = next(s);
  nt_params(&p, "passive");
  if (b % 8 == 4) {
    connection(s, b);
  } else if (b % 4 == 0 && s->num_opens > 0) {
    nt_open_failed(s->h, s->opens[--s->num_opens], TORC_ERR_IO);
  } else if (b % 4 == 1 && s->num_offers > 0) {
    (void)!torc_node_offer_ready(nt_node(s->h), s->offers[--s->num_offers], &p, nt_now(s->h));
  } else if (b % 4 == 2 && s->num_offers > 0) {
    (void)!torc_node_answer_ready(nt_node(s->h), s->offers[--s->num_offers], &p,
                                  (b & 0x80) != 0 ? 503 : 0, nt_now(s->h));
  } else if (s->num_links > 0) {
    (void)!torc_node_link_congested(nt_node(s->h), s->links[b % s->num_links], (b & 0x80) != 0,
                                    nt_now(s->h));
  }
  nt_drain(s->h);
}

static void call(script *s) {
  torc_node *n = nt_node(s->h);
  torc_time now = nt_now(s->h);
  torc_id id = pick_id(s);
  torc_id resource = nt_resource(NT_SELF);
  torc_store_item item = {.type = NT_TYPE_LINE, .value = torc_slice_str("x"), .lifetime_s = 99};
  torc_fetch_item get = {.type = NT_TYPE_LINE};
  uint32_t type = NT_TYPE_LINE;
  torc_token token = 0;
  switch (next(s) % 10) {
    case 0:
      (void)!torc_node_store(n, &resource, &item, 1, now, &token);
      break;
    case 1:
      (void)!torc_node_fetch(n, &resource, &get, 1, now, &token);
      break;
    case 2:
      (void)!torc_node_remove(n, &resource, &get, 1, now, &token);
      break;
    case 3:
      (void)!torc_node_find(n, &id, &type, 1, now, &token);
      break;
    case 4:
      (void)!torc_node_ping(n, &id, 1, TORC_CALL_ITERATIVE, now, &token);
      break;
    case 5:
      (void)!torc_node_connect(n, &id, 1, now, &token);
      break;
    case 6:
      (void)!torc_node_tunnel(n, &id, 1, APP, torc_slice_str("d"), torc_slice_str("p"), now,
                              &token);
      break;
    case 7:
      (void)!torc_node_connect_application(n, &id, 1, APP, now, &token);
      break;
    case 8:
      (void)!torc_node_listen_connections(n, APP, next(s) % 4 != 0);
      break;
    default:
      (void)!torc_node_ping(n, &id, 1, TORC_CALL_ROUTE_LOG, now, &token);
      break;
  }
  nt_drain(s->h);
}

static void jobs(script *s) {
  static const int results[] = {0, 0, TORC_ERR_CRYPTO, TORC_ERR_NOMEM, TORC_ERR_IO};
  uint8_t b = next(s);
  torc_job_kind kind = (torc_job_kind)(1 + b % 4);
  if (b < 0x40) {
    nt_hold_jobs(s->h, (b & 0x20) != 0);
  } else if (b < 0xc0) {
    if (nt_num_jobs(s->h, kind) > 0) {
      nt_run_job(s->h, kind, results[(b / 4) % 5]);
    }
  } else {
    nt_job_result(s->h, kind, results[(b / 4) % 5]);
  }
}

static void memory(script *s) {
  helper_mem *m = nt_mem(s->h);
  uint8_t b = next(s);
  m->fail_at = (b & 0x80) != 0 ? 0 : m->num_calls + 1 + b % 0x40;
  m->fail_rest = (b & 0x40) != 0;
}

static void step(script *s) {
  static const torc_time steps[] = {TORC_MS(1),  TORC_MS(50),  TORC_MS(500), TORC_SEC(2),
                                    TORC_SEC(9), TORC_SEC(31), TORC_SEC(90), TORC_SEC(700)};
  switch (next(s) % 24) {
    case 0:
    case 1:
    case 2:
      link_up(s);
      break;
    case 3:
      link_down(s);
      break;
    case 4:
    case 5:
    case 6:
    case 7:
    case 8:
      request(s, false, false);
      break;
    case 9:
    case 10:
      request(s, true, false);
      break;
    case 11:
      request(s, false, true);
      break;
    case 12:
      raw(s);
      break;
    case 13:
    case 14:
    case 15:
      response(s);
      break;
    case 16:
      platform(s);
      break;
    case 17:
    case 18:
      call(s);
      break;
    case 19:
      jobs(s);
      break;
    case 20:
      memory(s);
      break;
    case 21:
      nt_answer(s->h, next(s) % 2 == 0 ? NT_ANSWER_DEFAULT | 1u << TORC_METHOD_STORE : 0);
      break;
    case 22:
      nt_advance(s->h, steps[next(s) % 8]);
      break;
    default:
      nt_advance(s->h, steps[next(s) % 4]);
      break;
  }
}

/* ---- the whole ---- */

static void tweak(torc_node_config *c, void *ctx) {
  static const torc_endpoint boot[2] = {{.host = "192.0.2.1", .port = 1}, {.host = "b", .port = 2}};
  const uint8_t *how = ctx;
  c->bootstrap = boot;
  c->num_bootstrap = 1 + (*how & 1);
  c->may_found = (*how & 2) != 0;
  c->compress_via = (*how & 4) != 0;
  c->hide_topology = (*how & 8) != 0;
  c->max_links = 6;
  c->max_client_links = 4;
}

/* With memory, jobs and room again a peer is served, unless the node has left. */
static void still_serves(script *s) {
  helper_mem *m = nt_mem(s->h);
  torc_node_view v;
  nt_msg ping;
  m->fail_at = 0;
  m->fail_rest = false;
  for (size_t k = TORC_JOB_SIGN; k <= TORC_JOB_SYNC; k++) {
    nt_job_result(s->h, (torc_job_kind)k, 0);
  }
  nt_hold_jobs(s->h, false);
  for (size_t i = 0; i < s->num_links; i++) {
    if (s->is_up[i]) {
      s->is_up[i] = false;
      nt_down(s->h, s->links[i]);
    }
  }
  nt_advance(s->h, TORC_SEC(2));
  nt_clear(s->h);
  torc_node_get_view(nt_node(s->h), &v);
  if (strcmp(v.state, "left") == 0 || strcmp(v.state, "leaving") == 0) {
    return;
  }
  torc_link_id link = nt_up(s->h, 0x30);
  torc_id self = nt_self(s->h);
  nt_request(s->h, &ping, 0x30, TORC_METHOD_PING, nt_ping_payload(s->h));
  nt_route(&ping, &self);
  nt_input(s->h, link, &ping);
  nt_out *o = nt_take_xid(s->h, ping.hdr.xid);
  CHECK(o != NULL && o->link == link && (o->c.code == 200 || o->c.code == 503));
}

void node_script_run(const uint8_t *data, size_t len) {
  script s = {.num_links = 0};
  if (len < 2) {
    return;
  }
  torc_rd_init(&s.in, torc_slice_of(data, len));
  uint8_t how = next(&s);
  nt_options o = {.tweak = tweak,
                  .ctx = &how,
                  .role = (how & 0x30) == 0x30 ? TORC_ROLE_CLIENT : TORC_ROLE_PEER,
                  .algorithm = (how & 0x40) != 0 ? "full-mesh" : NULL};
  s.h = nt_new(&o);
  nt_start(s.h);
  if ((how & 0x80) != 0) { /* most inputs begin in a ring */
    for (unsigned i = 0; i < 8; i++) {
      nt_out *out = NULL;
      nt_advance(s.h, TORC_MS(400));
      while ((out = nt_take(s.h, TORC_OUT_OPEN)) != NULL) {
        nt_open_failed(s.h, out->token, TORC_ERR_IO);
      }
    }
  }
  (void)!torc_node_listen(nt_node(s.h), APP, true);
  for (unsigned i = 0; i < STEPS_MAX && torc_rd_left(&s.in) > 0; i++) {
    step(&s);
    listen_to(&s);
  }
  still_serves(&s);
  if ((how & 1) != 0) {
    (void)!torc_node_leave(nt_node(s.h), nt_now(s.h));
    nt_drain(s.h);
  }
  nt_free(s.h);
}

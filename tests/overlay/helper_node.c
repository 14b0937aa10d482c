/* SPDX-License-Identifier: Apache-2.0 */
#include "overlay/helper_node.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"
#include "base/id.h"
#include "base/log.h"
#include "base/slice.h"
#include "overlay/helper_node_check.h"
#include "wire/pdu.h"

#define TICKS_MAX 100000

const uint32_t NT_ANSWER_DEFAULT = 1u << TORC_METHOD_UPDATE | 1u << TORC_METHOD_PING;

typedef struct held_job {
  torc_job job;
  bool is_done;
} held_job;

typedef struct answer_due { /* by an acted peer, once the node has been drained */
  torc_link_id link;
  torc_slice bytes;
} answer_due;

typedef struct live_link {
  torc_link_id id;
  uint8_t peer;
  bool is_up;
} live_link;

struct nt {
  torc_node *node;
  helper_mem mem;
  torc_crypto crypto;
  torc_memory_backend *memory;
  torc_backend backend;
  torc_log log;
  torc_id self;
  uint8_t self_first, ttl;
  torc_cert *renewed; /* what answers are signed with; NULL: the first one */
  torc_time now;
  uint64_t random;
  bool random_fails;
  torc_cert *certs[256];
  torc_cert **made;
  size_t num_made;
  void **kept;
  size_t num_kept, cap_kept;
  nt_out **outs;
  size_t num_outs, cap_outs;
  live_link *links;
  size_t num_links;
  torc_link_id next_link;
  uint64_t next_xid;
  uint32_t answers;
  size_t answered[64];
  answer_due *due;
  size_t num_due, cap_due;
  bool holds_jobs, is_draining;
  held_job *jobs;
  size_t num_jobs, cap_jobs;
  int job_rc[8];
};

/* ---- memory of the harness ---- */

static void *must(void *p) {
  if (p == NULL) {
    abort();
  }
  return p;
}

static void *grow(void *p, size_t num, size_t *cap, size_t size) {
  if (num < *cap) {
    return p;
  }
  *cap = *cap == 0 ? 64 : *cap * 2;
  return must(realloc(p, *cap * size));
}

void *nt_block(nt *h, size_t size) {
  void *p = must(calloc(1, size == 0 ? 1 : size));
  h->kept = grow(h->kept, h->num_kept, &h->cap_kept, sizeof *h->kept);
  h->kept[h->num_kept++] = p;
  return p;
}

torc_slice nt_keep(nt *h, const void *p, size_t len) {
  uint8_t *copy = nt_block(h, len);
  if (len > 0) {
    memcpy(copy, p, len);
  }
  return torc_slice_of(copy, len);
}

static torc_slice keep_slice(nt *h, torc_slice s) {
  return nt_keep(h, s.p, s.len);
}

/* ---- crypto ---- */

static int random_bytes(void *ctx, uint8_t *out, size_t len) {
  nt *h = ctx;
  if (h->random_fails) {
    return TORC_ERR_CRYPTO;
  }
  for (size_t i = 0; i < len; i++) {
    h->random ^= h->random << 13;
    h->random ^= h->random >> 7;
    h->random ^= h->random << 17;
    out[i] = (uint8_t)(h->random >> 32);
  }
  return 0;
}

static int sha256(void *ctx, const torc_slice *parts, size_t num, uint8_t out[TORC_DIGEST_LEN]) {
  (void)ctx;
  return helper_crypto()->sha256(NULL, parts, num, out);
}

static void release(void *ctx, torc_cert *cert) {
  (void)ctx;
  helper_cert_free(cert);
}

/* The signature of `id` over the joined parts, under an algorithm. */
void nt_sign(const torc_id *id, const torc_slice *parts, size_t num, uint8_t out[TORC_DIGEST_LEN]) {
  torc_slice all[8];
  CHECK(num < 8);
  all[0] = torc_slice_of(id->b, TORC_ID_LEN);
  memcpy(all + 1, parts, num * sizeof *parts);
  CHECK(sha256(NULL, all, num + 1, out) == 0);
}

/* "NTC" ++ not_before ++ not_after ++ number of ids ++ ids ++ user name. */
torc_cert *nt_cert_make(nt *h, const char *user, const torc_id *ids, size_t num_ids,
                        torc_wall not_before, torc_wall not_after) {
  uint8_t der[512];
  torc_wr wr;
  torc_wr_init(&wr, der, sizeof der);
  torc_wr_bytes(&wr, torc_slice_str("NTC"));
  torc_wr_u32(&wr, not_before);
  torc_wr_u32(&wr, not_after);
  torc_wr_u8(&wr, (uint8_t)num_ids);
  for (size_t i = 0; i < num_ids; i++) {
    torc_wr_id(&wr, &ids[i]);
  }
  torc_wr_bytes(&wr, torc_slice_str(user));
  torc_cert *c = helper_cert_der(user, num_ids > 0 ? &ids[0] : NULL, torc_wr_slice(&wr));
  helper_cert_set_peers(c, ids, num_ids);
  c->not_before = not_before;
  c->not_after = not_after;
  h->made = must(realloc(h->made, (h->num_made + 1) * sizeof *h->made));
  h->made[h->num_made++] = c;
  return c;
}

static torc_cert *parse_cert(torc_slice der) {
  torc_id ids[TORC_CERT_MAX_PEERS];
  char user[TORC_USER_MAX + 1] = "";
  torc_rd rd;
  torc_rd_init(&rd, der);
  torc_slice magic = torc_rd_slice(&rd, 3);
  torc_wall from = torc_rd_u32(&rd);
  torc_wall to = torc_rd_u32(&rd);
  size_t num = torc_rd_u8(&rd);
  if (rd.err != 0 || memcmp(magic.p, "NTC", 3) != 0 || num > TORC_CERT_MAX_PEERS) {
    return NULL;
  }
  for (size_t i = 0; i < num; i++) {
    ids[i] = torc_rd_id(&rd);
  }
  torc_slice name = torc_rd_rest(&rd);
  if (rd.err != 0 || name.len > TORC_USER_MAX || !torc_utf8_valid(name)) {
    return NULL;
  }
  if (name.len > 0) {
    memcpy(user, name.p, name.len);
  }
  torc_cert *c = helper_cert_der(name.len > 0 ? user : NULL, num > 0 ? &ids[0] : NULL, der);
  helper_cert_set_peers(c, ids, num);
  c->not_before = from;
  c->not_after = to;
  return c;
}

torc_id nt_id(uint8_t first) {
  return helper_id(first, 0x11);
}

const char *nt_user(uint8_t first) {
  static char names[256][24];
  if (names[first][0] == '\0') {
    snprintf(names[first], sizeof names[first], "user%02x@example.org", first);
  }
  return names[first];
}

torc_cert *nt_cert(nt *h, uint8_t first) {
  torc_id id = nt_id(first);
  if (h->certs[first] == NULL) {
    h->certs[first] = nt_cert_make(h, nt_user(first), &id, 1, 1, UINT32_MAX);
  }
  return h->certs[first];
}

torc_id nt_resource(uint8_t first) {
  return helper_user_resource(nt_user(first));
}

/* ---- jobs ---- */

static void do_job(nt *h, const torc_job *j, int rc) {
  uint8_t sig[TORC_DIGEST_LEN];
  torc_job_result r = {.rc = rc};
  if (rc == 0) {
    switch (j->kind) {
      case TORC_JOB_SIGN:
        nt_sign(&h->self, j->parts, j->num_parts, sig);
        r.signature = torc_slice_of(sig, sizeof sig);
        break;
      case TORC_JOB_VERIFY:
        nt_sign(&j->cert->peers[0], j->parts, j->num_parts, sig);
        if (j->algorithm != TORC_SIGALG_ECDSA_P256_SHA256 ||
            !torc_slice_eq(j->signature, torc_slice_of(sig, sizeof sig))) {
          r.rc = TORC_ERR_CRYPTO;
        }
        break;
      case TORC_JOB_CERTIFICATE:
        r.cert = parse_cert(j->der);
        r.rc = r.cert == NULL ? TORC_ERR_CRYPTO : 0;
        break;
      case TORC_JOB_SYNC:
        break;
    }
  }
  CHECK(torc_node_job_done(h->node, j->id, &r, h->now) == 0);
}

static void on_job(nt *h, const torc_job *j) {
  if (!h->holds_jobs) {
    do_job(h, j, h->job_rc[j->kind]);
    return;
  }
  h->jobs = grow(h->jobs, h->num_jobs, &h->cap_jobs, sizeof *h->jobs);
  h->jobs[h->num_jobs++] = (held_job){.job = *j};
}

size_t nt_num_jobs(const nt *h, torc_job_kind kind) {
  size_t num = 0;
  for (size_t i = 0; i < h->num_jobs; i++) {
    num += !h->jobs[i].is_done && h->jobs[i].job.kind == kind ? 1 : 0;
  }
  return num;
}

void nt_run_job(nt *h, torc_job_kind kind, int rc) {
  for (size_t i = 0; i < h->num_jobs; i++) {
    if (!h->jobs[i].is_done && h->jobs[i].job.kind == kind) {
      torc_job job = h->jobs[i].job;
      h->jobs[i].is_done = true;
      do_job(h, &job, rc);
      nt_drain(h);
      return;
    }
  }
  bool there_is_such_a_job = false;
  CHECK(there_is_such_a_job);
}

void nt_hold_jobs(nt *h, bool hold) {
  h->holds_jobs = hold;
  for (size_t i = 0; !hold && i < h->num_jobs; i++) {
    if (!h->jobs[i].is_done) {
      torc_job job = h->jobs[i].job;
      h->jobs[i].is_done = true;
      do_job(h, &job, h->job_rc[job.kind]);
    }
  }
  if (!hold) {
    h->num_jobs = 0;
    nt_drain(h);
  }
}

void nt_job_result(nt *h, torc_job_kind kind, int rc) {
  h->job_rc[kind] = rc;
}

void nt_fail_random(nt *h, bool fail) {
  h->random_fails = fail;
}

/* ---- creation ---- */

static void on_log(void *ctx, torc_log_level level, const char *name, const torc_field *fields,
                   size_t num) {
  nt *h = ctx;
  char line[1024];
  size_t len = torc_log_json(line, sizeof line, h->now, level, name, fields, num);
  fprintf(stderr, "%.*s", (int)len, line);
}

static const torc_type_def types[] = {
    {.id = NT_TYPE_NOTE,
     .name = "note",
     .model = TORC_TYPE_DICTIONARY,
     .rule = TORC_RULE_USER_MATCH,
     .findable = true,
     .max_values = 16,
     .max_size = 1000,
     .max_lifetime_s = 86400},
    {.id = NT_TYPE_LINE,
     .name = "line",
     .model = TORC_TYPE_SINGLE,
     .rule = TORC_RULE_USER_MATCH,
     .findable = true,
     .max_values = 1,
     .max_size = 60000,
     .max_lifetime_s = 86400},
    {.id = NT_TYPE_LIST,
     .name = "list",
     .model = TORC_TYPE_ARRAY,
     .rule = TORC_RULE_USER_MATCH,
     .findable = true,
     .max_values = 100,
     .max_size = 60000,
     .max_lifetime_s = 86400},
    {.id = NT_TYPE_HIDDEN,
     .name = "hidden",
     .model = TORC_TYPE_SINGLE,
     .rule = TORC_RULE_NODE_MATCH,
     .findable = false,
     .max_values = 1,
     .max_size = 1000,
     .max_lifetime_s = 86400},
};

static void configure(nt *h, torc_node_config *c, const nt_options *o) {
  c->mem = &h->mem.mem;
  c->crypto = &h->crypto;
  c->log = getenv("TORC_TRACE") != NULL ? &h->log : NULL;
  c->backend = &h->backend;
  c->overlay_name = NT_OVERLAY_NAME;
  c->algorithm = o->algorithm == NULL ? "chord-128-2-8" : o->algorithm;
  c->version_text = "nt 1";
  c->role = o->role == 0 ? TORC_ROLE_PEER : o->role;
  c->cert = nt_cert(h, h->self_first);
  c->signature_algorithm = TORC_SIGALG_ECDSA_P256_SHA256;
  c->self = h->self;
  c->types = types;
  c->num_types = TORC_ARRAY_LEN(types);
  c->wall = NT_WALL;
  c->seed = 1;
  if (o->tweak != NULL) {
    o->tweak(c, o->ctx);
  }
}

nt *nt_new(const nt_options *o) {
  static const nt_options defaults = {.role = TORC_ROLE_PEER};
  torc_node_config c = TORC_NODE_CONFIG_INIT;
  nt *h = must(calloc(1, sizeof *h));
  o = o == NULL ? &defaults : o;
  helper_mem_init(&h->mem);
  h->crypto =
      (torc_crypto){.ctx = h, .random = random_bytes, .sha256 = sha256, .cert_release = release};
  h->log = (torc_log){.ctx = h, .level = TORC_LOG_TRACE, .event = on_log};
  h->now = TORC_SEC(100);
  h->random = 0x9e3779b97f4a7c15u;
  h->next_xid = 0x1000;
  h->answers = NT_ANSWER_DEFAULT;
  h->self_first = o->self == 0 ? NT_SELF : o->self;
  h->self = nt_id(h->self_first);
  CHECK(torc_memory_backend_new(&h->memory, &h->backend, torc_mem_libc(), 64u << 20) == 0);
  configure(h, &c, o);
  h->ttl = c.initial_ttl == 0 ? TORC_TTL_INITIAL : c.initial_ttl;
  int rc = torc_node_new(&h->node, &c, h->now, NULL);
  CHECK(rc == 0 || rc == TORC_ERR_NOMEM);
  return h;
}

static void may_found(torc_node_config *c, void *ctx) {
  const nt_options *o = ctx;
  c->may_found = true;
  if (o != NULL && o->tweak != NULL) {
    o->tweak(c, o->ctx);
  }
}

nt *nt_ring(const nt_options *o) {
  nt_options mine = {.role = TORC_ROLE_PEER};
  if (o != NULL) {
    mine = *o;
  }
  mine.tweak = may_found;
  mine.ctx = (void *)(uintptr_t)o;
  nt *h = nt_new(&mine);
  CHECK(h->node != NULL);
  nt_start(h);
  nt_advance(h, TORC_SEC(5));
  CHECK(nt_take_event(h, TORC_EVENT_JOINED) != NULL);
  nt_clear(h);
  return h;
}

void nt_free(nt *h) {
  torc_node_free(h->node);
  torc_memory_backend_free(h->memory);
  CHECK(h->mem.num_live == 0); /* whatever happened, the node has given everything back */
  for (size_t i = 0; i < h->num_outs; i++) {
    free(h->outs[i]);
  }
  for (size_t i = 0; i < h->num_kept; i++) {
    free(h->kept[i]);
  }
  for (size_t i = 0; i < h->num_made; i++) {
    CHECK(h->made[i]->refs == 1);
    helper_cert_free(h->made[i]);
  }
  free(h->made);
  free(h->kept);
  free(h->outs);
  free(h->links);
  free(h->due);
  free(h->jobs);
  free(h);
}

torc_node *nt_node(nt *h) {
  return h->node;
}

helper_mem *nt_mem(nt *h) {
  return &h->mem;
}

torc_time nt_now(const nt *h) {
  return h->now;
}

torc_id nt_self(const nt *h) {
  return h->self;
}

void nt_start(nt *h) {
  CHECK(torc_node_start(h->node, h->now) == 0);
  nt_drain(h);
}

/* ---- outputs ---- */

static void record_send(nt *h, nt_out *r, const torc_output *o) {
  size_t len = o->head.len + o->body.len;
  uint8_t *bytes = nt_block(h, len);
  memcpy(bytes, o->head.p, o->head.len);
  if (o->body.len > 0) {
    memcpy(bytes + o->head.len, o->body.p, o->body.len);
  }
  r->bytes = torc_slice_of(bytes, len);
  CHECK(torc_header_decode(&r->hdr, r->bytes) == 0);
  if (!r->hdr.is_fragment) { /* contents of others are forwarded as they are, sound or not */
    (void)!torc_contents_decode(
        &r->c, torc_slice_sub(r->bytes, r->hdr.header_len, len - r->hdr.header_len));
  }
}

static void record_event(nt *h, nt_out *r, const torc_event *e) {
  torc_done *d = &r->event.done;
  r->event = *e;
  r->event.dialog_id = keep_slice(h, e->dialog_id);
  r->event.pdu = keep_slice(h, e->pdu);
  d->phrase = keep_slice(h, e->done.phrase);
  d->route_log = keep_slice(h, e->done.route_log);
  if (d->num_values > 0) {
    torc_value *values = nt_block(h, d->num_values * sizeof *values);
    for (size_t i = 0; i < d->num_values; i++) {
      values[i] = e->done.values[i];
      values[i].key = keep_slice(h, values[i].key);
      values[i].value = keep_slice(h, values[i].value);
    }
    d->values = values;
  }
}

static void record_params(nt *h, nt_out *r, const torc_connect_params *p) {
  r->remote = *p;
  for (size_t i = 0; i < p->num_candidates; i++) {
    r->remote.candidates[i] =
        (const char *)nt_keep(h, p->candidates[i], strlen(p->candidates[i]) + 1).p;
  }
}

static live_link *find_link(nt *h, torc_link_id id) {
  for (size_t i = 0; i < h->num_links; i++) {
    if (h->links[i].id == id) {
      return &h->links[i];
    }
  }
  return NULL;
}

/* True: an acted peer answers it, and the test does not see it. */
static bool answers(nt *h, const nt_out *r) {
  live_link *l = find_link(h, r->link);
  nt_msg m;
  torc_slice payload = torc_slice_of(NULL, 0);
  if (l == NULL || r->c.is_response || r->hdr.via.len > 0 || r->c.code >= 32 ||
      (h->answers & 1u << r->c.code) == 0 || torc_id_list_len(r->hdr.route) != 1) {
    return false;
  }
  torc_id to = torc_id_list_at(r->hdr.route, 0);
  torc_id peer = nt_id(l->peer);
  if (!torc_id_eq(&to, &peer) && !torc_id_eq(&to, &torc_id_wildcard)) {
    return false;
  }
  if (r->c.code == TORC_METHOD_PING) {
    payload = nt_pong_payload(h, 1);
  }
  nt_response(h, &m, l->peer, r, TORC_CODE_OK, payload);
  h->due = grow(h->due, h->num_due, &h->cap_due, sizeof *h->due);
  h->due[h->num_due++] = (answer_due){.link = r->link, .bytes = nt_encode(h, &m)};
  h->answered[r->c.code]++;
  return true;
}

static void record(nt *h, const torc_output *o) {
  nt_out *r = must(calloc(1, sizeof *r));
  r->kind = o->kind;
  r->link = o->link;
  r->token = o->token;
  r->peer = o->peer;
  r->application = o->application;
  r->at = h->now;
  if (o->kind == TORC_OUT_SEND) {
    record_send(h, r, o);
    if (answers(h, r)) {
      free(r);
      return;
    }
  } else if (o->kind == TORC_OUT_EVENT) {
    record_event(h, r, &o->event);
  } else if (o->kind == TORC_OUT_OPEN) {
    r->endpoint = o->endpoint;
  } else if (o->kind == TORC_OUT_ANSWER_NEEDED || o->kind == TORC_OUT_CONNECT) {
    record_params(h, r, &o->remote);
  }
  h->outs = grow(h->outs, h->num_outs, &h->cap_outs, sizeof *h->outs);
  h->outs[h->num_outs++] = r;
}

static void poll_all(nt *h) {
  torc_output o;
  while (torc_node_poll(h->node, &o)) {
    if (o.kind == TORC_OUT_JOB) {
      torc_job job = o.job;
      on_job(h, &job);
    } else {
      record(h, &o);
    }
  }
}

void nt_drain(nt *h) {
  if (h->is_draining) {
    return;
  }
  h->is_draining = true;
  poll_all(h);
  for (size_t i = 0; i < h->num_due; i++) {
    live_link *l = find_link(h, h->due[i].link);
    if (l != NULL && l->is_up) {
      CHECK(torc_node_input(h->node, h->due[i].link, h->due[i].bytes, h->now) == 0);
      poll_all(h);
    }
  }
  h->num_due = 0;
  h->is_draining = false;
}

static nt_out *take_if(nt *h, bool (*fits)(const nt_out *o, const void *ctx), const void *ctx) {
  for (size_t i = 0; i < h->num_outs; i++) {
    nt_out *o = h->outs[i];
    if (!o->is_taken && fits(o, ctx)) {
      o->is_taken = true;
      return o;
    }
  }
  return NULL;
}

static bool fits_kind(const nt_out *o, const void *ctx) {
  return o->kind == *(const torc_output_kind *)ctx;
}

nt_out *nt_take(nt *h, torc_output_kind kind) {
  return take_if(h, fits_kind, &kind);
}

static bool fits_xid(const nt_out *o, const void *ctx) {
  return o->kind == TORC_OUT_SEND && o->hdr.xid == *(const uint64_t *)ctx;
}

nt_out *nt_take_xid(nt *h, uint64_t xid) {
  return take_if(h, fits_xid, &xid);
}

typedef struct wanted {
  torc_link_id link;
  uint16_t method;
} wanted;

static bool fits_request(const nt_out *o, const void *ctx) {
  const wanted *w = ctx;
  return o->kind == TORC_OUT_SEND && o->link == w->link && !o->c.is_response &&
         o->c.code == w->method;
}

nt_out *nt_take_request(nt *h, torc_link_id link, uint16_t method) {
  wanted w = {.link = link, .method = method};
  return take_if(h, fits_request, &w);
}

static bool fits_event(const nt_out *o, const void *ctx) {
  return o->kind == TORC_OUT_EVENT && o->event.kind == *(const torc_event_kind *)ctx;
}

nt_out *nt_take_event(nt *h, torc_event_kind kind) {
  return take_if(h, fits_event, &kind);
}

static bool fits_done(const nt_out *o, const void *ctx) {
  return o->kind == TORC_OUT_EVENT && o->event.kind == TORC_EVENT_DONE &&
         o->event.token == *(const torc_token *)ctx;
}

nt_out *nt_take_done(nt *h, torc_token token) {
  return take_if(h, fits_done, &token);
}

size_t nt_count(const nt *h, torc_output_kind kind) {
  size_t num = 0;
  for (size_t i = 0; i < h->num_outs; i++) {
    num += !h->outs[i]->is_taken && h->outs[i]->kind == kind ? 1 : 0;
  }
  return num;
}

void nt_clear(nt *h) {
  for (size_t i = 0; i < h->num_outs; i++) {
    h->outs[i]->is_taken = true;
  }
}

bool nt_is_signed_by(nt *h, const nt_out *o, const torc_cert *cert) {
  uint8_t prefix[12] = {0};
  uint8_t sig[TORC_DIGEST_LEN];
  torc_slice parts[3] = {torc_slice_of(prefix, sizeof prefix), o->c.signature.identity.bytes,
                         o->c.bytes};
  (void)h;
  torc_signed_prefix(prefix, o->hdr.overlay, o->hdr.xid);
  nt_sign(&cert->peers[0], parts, 3, sig);
  return o->c.signature.is_present && o->c.signature.identity.type == TORC_IDENTITY_CERT &&
         torc_slice_eq(o->c.signature.identity.cert, cert->der) &&
         torc_slice_eq(o->c.signature.value, torc_slice_of(sig, sizeof sig));
}

void nt_expect_own(nt *h, torc_cert *cert) {
  h->renewed = cert;
}

nt_out *nt_expect(nt *h, torc_link_id link, const nt_msg *m, uint16_t code) {
  nt_out *o = nt_take_xid(h, m->hdr.xid);
  CHECK(o != NULL);
  CHECK(o->link == link);
  CHECK(o->c.is_response);
  if (o->c.code != code) {
    torc_slice info;
    fprintf(stderr, "answer %u \"%s\" where %u was expected\n", o->c.code, nt_phrase(h, o, &info),
            code);
  }
  CHECK(o->c.code == code);
  CHECK(o->c.reserved == 0);
  CHECK(o->hdr.ttl == h->ttl);
  CHECK(o->hdr.version == TORC_VERSION_1 && !o->hdr.experimental);
  CHECK(!o->hdr.is_fragment && o->hdr.via.len == 0);
  CHECK(nt_is_signed_by(h, o, h->renewed != NULL ? h->renewed : nt_cert(h, h->self_first)));
  return o;
}

void nt_expect_nothing(nt *h, const nt_msg *m) {
  CHECK(nt_take_xid(h, m->hdr.xid) == NULL);
}

const char *nt_phrase(nt *h, const nt_out *o, torc_slice *info) {
  torc_error_response e = {.error_info = {NULL, 0}};
  *info = torc_slice_of(NULL, 0);
  if (o->c.payload.len == 0 || torc_error_response_decode(&e, o->c.payload) != 0) {
    return "";
  }
  char *text = nt_block(h, e.reason_phrase.len + 1);
  memcpy(text, e.reason_phrase.p, e.reason_phrase.len);
  *info = e.error_info;
  return text;
}

typedef struct counter {
  const char *name;
  uint64_t value;
  bool is_found;
} counter;

static void each_counter(void *ctx, const char *name, uint64_t value) {
  counter *c = ctx;
  if (strcmp(name, c->name) == 0) {
    c->value = value;
    c->is_found = true;
  }
}

uint64_t nt_counter(nt *h, const char *name) {
  counter c = {.name = name};
  torc_node_counters(h->node, &c, each_counter);
  CHECK(c.is_found);
  return c.value;
}

/* ---- time ---- */

void nt_tick(nt *h) {
  CHECK(torc_node_tick(h->node, h->now) == 0);
  nt_drain(h);
}

void nt_advance(nt *h, torc_time duration) {
  torc_time end = h->now + duration;
  unsigned ticks = 0;
  for (;;) {
    torc_time at = torc_node_deadline(h->node);
    if (at > end) {
      break;
    }
    CHECK(++ticks < TICKS_MAX);
    h->now = at > h->now ? at : h->now;
    nt_tick(h);
  }
  h->now = end;
  nt_tick(h);
}

/* ---- links ---- */

torc_link_id nt_up_token(nt *h, uint8_t first, torc_link_kind kind, torc_token token,
                         torc_cert *cert) {
  torc_link_info info = {.kind = kind, .peer = nt_id(first), .token = token};
  static const uint8_t local[18] = {0, 0,    0,    0,   0, 0, 0, 0,    0,
                                    0, 0xff, 0xff, 192, 0, 2, 1, 0x17, 0xc4};
  torc_link_id id = ++h->next_link;
  memcpy(info.local_addr, local, sizeof local);
  info.cert = cert;
  info.cert->refs++;
  h->links = must(realloc(h->links, (h->num_links + 1) * sizeof *h->links));
  h->links[h->num_links++] = (live_link){.id = id, .peer = first, .is_up = true};
  int rc = torc_node_link_up(h->node, id, &info, h->now);
  CHECK(rc == 0 || rc == TORC_ERR_NOMEM);
  nt_drain(h);
  return id;
}

torc_link_id nt_up(nt *h, uint8_t first) {
  return nt_up_token(h, first, TORC_LINK_TLS, 0, nt_cert(h, first));
}

void nt_down(nt *h, torc_link_id link) {
  live_link *l = find_link(h, link);
  CHECK(l != NULL);
  l->is_up = false;
  CHECK(torc_node_link_down(h->node, link, h->now) == 0);
  nt_drain(h);
}

void nt_open_failed(nt *h, torc_token token, int rc) {
  CHECK(torc_node_open_failed(h->node, token, rc, h->now) == 0);
  nt_drain(h);
}

torc_link_id nt_join(nt *h, uint8_t first) {
  torc_id id = nt_id(first);
  torc_link_id link = nt_up(h, first);
  nt_msg m;
  size_t before = nt_answered(h, TORC_METHOD_UPDATE);
  nt_request(h, &m, first, TORC_METHOD_JOIN, nt_notice_payload(h, &id));
  nt_route(&m, &h->self);
  nt_input(h, link, &m);
  (void)nt_expect(h, link, &m, TORC_CODE_OK);
  nt_advance(h, TORC_MS(100));
  CHECK(nt_answered(h, TORC_METHOD_UPDATE) > before);
  nt_clear(h);
  return link;
}

void nt_update(nt *h, torc_link_id link, uint8_t first, const uint8_t *preds,
               const uint8_t *succs) {
  nt_msg m;
  nt_request(h, &m, first, TORC_METHOD_UPDATE, nt_update_payload(h, preds, succs));
  nt_route(&m, &h->self);
  nt_input(h, link, &m);
  (void)nt_expect(h, link, &m, TORC_CODE_OK);
}

uint64_t nt_xid(nt *h) {
  return ++h->next_xid;
}

void nt_input_bytes(nt *h, torc_link_id link, torc_slice bytes) {
  CHECK(torc_node_input(h->node, link, bytes, h->now) == 0);
  nt_drain(h);
}

void nt_answer(nt *h, uint32_t methods) {
  h->answers = methods;
}

size_t nt_answered(const nt *h, uint16_t method) {
  return h->answered[method];
}

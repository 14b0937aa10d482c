/* The overlay configuration document, read in a process of its own: the parser and the libraries it
 * brings (3 MB) are gone when it ends, and never see the private key.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/slice.h"
#include "io/addr.h"
#include "io/apart.h"
#include "io/err.h"
#include "io/overlay_xml.h"
#include "overlay/usage/usage.h"

#define REASON_MAX 512

typedef struct request {
  const char *path, *name;
} request;

/* ---- how it is written down between the two ---- */

static void put_text(torc_wr *wr, const char *text) {
  torc_wr_vec16(wr, torc_slice_of(text, strlen(text)));
}

static void put_type(torc_wr *wr, const torc_type_def *t) {
  torc_wr_u32(wr, t->id);
  put_text(wr, t->name);
  torc_wr_u8(wr, t->model);
  torc_wr_u8(wr, t->rule);
  torc_wr_u8(wr, t->findable);
  torc_wr_u32(wr, t->max_values);
  torc_wr_u32(wr, t->max_size);
  torc_wr_u32(wr, t->max_lifetime_s);
}

static void put_endpoints(torc_wr *wr, const torc_endpoint *list, size_t num) {
  torc_wr_u8(wr, (uint8_t)num);
  for (size_t i = 0; i < num; i++) {
    put_text(wr, list[i].host);
    torc_wr_u16(wr, list[i].port);
    torc_wr_id(wr, &list[i].peer);
  }
}

static void put_own(torc_wr *wr, const torc_overlay *o) {
  torc_wr_u64(wr, o->replica_wait);
  torc_wr_u64(wr, o->keepalive);
  torc_wr_u64(wr, o->idle_close);
  torc_wr_u64(wr, o->sequence);
  torc_wr_u8(wr, o->signature_algorithms);
  torc_wr_u8(wr, o->has_turn_density);
  torc_wr_u8(wr, o->turn_density);
  put_text(wr, o->source);
  torc_wr_u8(wr, (uint8_t)o->num_credentials);
  for (size_t i = 0; i < o->num_credentials; i++) {
    put_text(wr, o->credentials[i]);
  }
  put_endpoints(wr, o->multicast, o->num_multicast);
  torc_wr_u8(wr, (uint8_t)o->num_usages);
  for (size_t i = 0; i < o->num_usages; i++) {
    put_text(wr, o->usages[i]);
  }
  torc_wr_u8(wr, (uint8_t)o->num_balancers);
  for (size_t i = 0; i < o->num_balancers; i++) {
    put_text(wr, o->balancers[i].name);
    put_text(wr, o->balancers[i].zone);
    torc_wr_u32(wr, (uint32_t)o->balancers[i].lat_e6);
    torc_wr_u32(wr, (uint32_t)o->balancers[i].lon_e6);
  }
  torc_wr_u8(wr, (uint8_t)o->num_stewards);
  for (size_t i = 0; i < o->num_stewards; i++) {
    torc_wr_id(wr, &o->stewards[i]);
  }
  torc_wr_u8(wr, o->migration);
  put_text(wr, o->migrates_from);
  torc_wr_u8(wr, o->signer);
  torc_wr_u32(wr, o->signed_at);
}

static void put_one(torc_wr *wr, const torc_overlay *o) {
  put_text(wr, o->name);
  put_text(wr, o->algorithm);
  torc_wr_u32(wr, o->expiration_s);
  torc_wr_u8(wr, (uint8_t)o->num_roots);
  for (size_t i = 0; i < o->num_roots; i++) {
    torc_wr_vec16(wr, torc_slice_of(o->roots[i].der, o->roots[i].len));
  }
  put_endpoints(wr, o->bootstrap, o->num_bootstrap);
  torc_wr_u8(wr, (uint8_t)o->num_types);
  for (size_t i = 0; i < o->num_types; i++) {
    put_type(wr, &o->types[i]);
  }
  torc_wr_u8(wr, o->initial_ttl);
  torc_wr_u32(wr, o->max_message);
  torc_wr_u64(wr, o->t1);
  torc_wr_u64(wr, o->update_period);
  torc_wr_u64(wr, o->ping_period);
  torc_wr_u64(wr, o->deletion_delay);
  torc_wr_u8(wr, o->require_signature);
  torc_wr_u8(wr, o->remove_zero_generation);
  put_own(wr, o);
  torc_wr_u8(wr, o->is_shared_key);
}

void torc_overlay_put(torc_wr *wr, const torc_overlay *o) {
  put_one(wr, o);
  torc_wr_u8(wr, o->next != NULL);
  if (o->next != NULL) {
    put_one(wr, o->next);
  }
}

/* What comes back is checked like any input: the parser may have been taken over. */
static void get_text(torc_rd *rd, char *out, size_t cap) {
  torc_slice s = torc_rd_string(rd);
  if (s.len >= cap) {
    torc_rd_fail(rd, TORC_ERR_FORMAT);
    return;
  }
  if (s.len > 0) {
    memcpy(out, s.p, s.len);
  }
  out[s.len] = '\0';
}

static size_t get_count(torc_rd *rd, size_t max) {
  size_t num = torc_rd_u8(rd);
  if (num > max) {
    torc_rd_fail(rd, TORC_ERR_FORMAT);
  }
  return rd->err == 0 ? num : 0;
}

static bool get_flag(torc_rd *rd) {
  uint8_t v = torc_rd_u8(rd);
  if (v > 1) {
    torc_rd_fail(rd, TORC_ERR_FORMAT);
  }
  return v == 1;
}

static int get_roots(torc_rd *rd, torc_overlay *o) {
  size_t num = get_count(rd, TORC_OVERLAY_ROOTS_MAX);
  for (size_t i = 0; i < num; i++) {
    torc_slice der = torc_rd_vec16(rd);
    if (der.len == 0) {
      torc_rd_fail(rd, TORC_ERR_FORMAT);
      return rd->err;
    }
    o->roots[i].der = malloc(der.len);
    if (o->roots[i].der == NULL) {
      return TORC_ERR_NOMEM;
    }
    memcpy(o->roots[i].der, der.p, der.len);
    o->roots[i].len = der.len;
    o->num_roots++;
  }
  return rd->err;
}

static size_t get_endpoints(torc_rd *rd, torc_endpoint *list, size_t max) {
  size_t num = get_count(rd, max);
  for (size_t i = 0; i < num; i++) {
    torc_endpoint *e = &list[i];
    get_text(rd, e->host, sizeof e->host);
    e->port = torc_rd_u16(rd);
    e->peer = torc_rd_id(rd);
    if (rd->err == 0 && !torc_host_valid(e->host)) {
      torc_rd_fail(rd, TORC_ERR_FORMAT);
    }
  }
  return num;
}

static void get_types(torc_rd *rd, torc_overlay *o) {
  torc_types types;
  torc_type room[TORC_TYPES_MAX];
  torc_types_init(&types, room, TORC_TYPES_MAX);
  o->num_types = get_count(rd, TORC_OVERLAY_TYPES_MAX);
  for (size_t i = 0; i < o->num_types; i++) {
    torc_type_def *t = &o->types[i];
    t->id = torc_rd_u32(rd);
    get_text(rd, t->name, sizeof t->name);
    t->model = torc_rd_u8(rd);
    t->rule = torc_rd_u8(rd);
    t->findable = get_flag(rd);
    t->max_values = torc_rd_u32(rd);
    t->max_size = torc_rd_u32(rd);
    t->max_lifetime_s = torc_rd_u32(rd);
    torc_type type = torc_type_of(t, t->name);
    if ((t->rule > TORC_RULE_NODE_MULTIPLE && t->rule != TORC_RULE_OWN_KEY) ||
        torc_types_add(&types, &type) != 0) {
      torc_rd_fail(rd, TORC_ERR_FORMAT);
    }
  }
}

static uint8_t get_small(torc_rd *rd, uint8_t max) {
  uint8_t v = torc_rd_u8(rd);
  if (v > max) {
    torc_rd_fail(rd, TORC_ERR_FORMAT);
  }
  return v;
}

static int32_t get_degrees(torc_rd *rd, uint32_t max) {
  uint32_t v = torc_rd_u32(rd) + max * 1000000u; /* from 0 up */
  if (v > 2 * max * 1000000u) {
    torc_rd_fail(rd, TORC_ERR_FORMAT);
    v = 0;
  }
  return (int32_t)v - (int32_t)(max * 1000000u);
}

static void get_lists(torc_rd *rd, torc_overlay *o) {
  o->num_credentials = get_count(rd, TORC_OVERLAY_CREDENTIALS_MAX);
  for (size_t i = 0; i < o->num_credentials; i++) {
    get_text(rd, o->credentials[i], sizeof o->credentials[i]);
  }
  o->num_multicast = get_endpoints(rd, o->multicast, TORC_OVERLAY_MULTICAST_MAX);
  o->num_usages = get_count(rd, TORC_OVERLAY_USAGES_MAX);
  for (size_t i = 0; i < o->num_usages; i++) {
    get_text(rd, o->usages[i], sizeof o->usages[i]);
  }
  o->num_balancers = get_count(rd, TORC_OVERLAY_BALANCERS_MAX);
  for (size_t i = 0; i < o->num_balancers; i++) {
    torc_load_balancer *b = &o->balancers[i];
    get_text(rd, b->name, sizeof b->name);
    get_text(rd, b->zone, sizeof b->zone);
    b->lat_e6 = get_degrees(rd, 90);
    b->lon_e6 = get_degrees(rd, 180);
  }
  o->num_stewards = get_count(rd, TORC_OVERLAY_STEWARDS_MAX);
  for (size_t i = 0; i < o->num_stewards; i++) {
    o->stewards[i] = torc_rd_id(rd);
  }
}

static void get_own(torc_rd *rd, torc_overlay *o) {
  o->replica_wait = torc_rd_u64(rd);
  o->keepalive = torc_rd_u64(rd);
  o->idle_close = torc_rd_u64(rd);
  o->sequence = torc_rd_u64(rd);
  o->signature_algorithms = torc_rd_u8(rd);
  o->has_turn_density = get_flag(rd);
  o->turn_density = get_small(rd, 100);
  get_text(rd, o->source, sizeof o->source);
  get_lists(rd, o);
  o->migration = get_small(rd, TORC_MIGRATION_NEW_ONLY);
  get_text(rd, o->migrates_from, sizeof o->migrates_from);
  o->signer = torc_rd_u8(rd);
  if (o->signer != TORC_OVERLAY_NO_SIGNER && o->signer >= o->num_roots) {
    torc_rd_fail(rd, TORC_ERR_FORMAT);
  }
  o->signed_at = torc_rd_u32(rd);
}

static int get_one(torc_rd *rd, torc_overlay *o) {
  get_text(rd, o->name, sizeof o->name);
  get_text(rd, o->algorithm, sizeof o->algorithm);
  o->expiration_s = torc_rd_u32(rd);
  int rc = get_roots(rd, o);
  if (rc != 0) {
    return rc;
  }
  o->num_bootstrap = get_endpoints(rd, o->bootstrap, TORC_OVERLAY_BOOTSTRAP_MAX);
  get_types(rd, o);
  o->initial_ttl = torc_rd_u8(rd);
  o->max_message = torc_rd_u32(rd);
  o->t1 = torc_rd_u64(rd);
  o->update_period = torc_rd_u64(rd);
  o->ping_period = torc_rd_u64(rd);
  o->deletion_delay = torc_rd_u64(rd);
  o->require_signature = get_flag(rd);
  o->remove_zero_generation = get_flag(rd);
  get_own(rd, o);
  o->is_shared_key = get_flag(rd);
  return rd->err == 0 && (o->num_roots == 0) != o->is_shared_key ? TORC_ERR_FORMAT : rd->err;
}

static int get_overlay(torc_slice bytes, torc_overlay *o) {
  torc_rd rd;
  torc_rd_init(&rd, bytes);
  int rc = get_one(&rd, o);
  if (rc == 0 && get_flag(&rd)) {
    o->next = calloc(1, sizeof *o->next);
    rc = o->next == NULL ? TORC_ERR_NOMEM : get_one(&rd, o->next);
  }
  return rc != 0 ? rc : torc_rd_finish(&rd);
}

int torc_overlay_get(torc_overlay *out, torc_slice bytes) {
  memset(out, 0, sizeof *out);
  int rc = get_overlay(bytes, out);
  if (rc != 0) {
    torc_overlay_clear(out);
  }
  return rc;
}

int torc_overlay_copy(torc_overlay *out, const torc_overlay *o) {
  torc_buf room;
  torc_wr wr;
  memset(out, 0, sizeof *out);
  torc_buf_init(&room, torc_mem_libc(), TORC_OVERLAY_PACKED_MAX);
  int rc = torc_buf_reserve(&room, TORC_OVERLAY_PACKED_MAX);
  if (rc == 0) {
    torc_wr_init(&wr, room.p, TORC_OVERLAY_PACKED_MAX);
    torc_overlay_put(&wr, o);
    rc = wr.err != 0 ? wr.err : torc_overlay_get(out, torc_wr_slice(&wr));
  }
  torc_buf_clear(&room);
  return rc;
}

/* ---- the two ---- */

/* In the child: the overlay, or the reason why there is none. */
static int read_apart(void *ctx, torc_buf *reply) {
  const request *q = ctx;
  char why[REASON_MAX] = "";
  torc_overlay o;
  int rc = torc_overlay_load(&o, q->path, q->name, why, sizeof why);
  if (rc != 0) {
    return torc_buf_append(reply, torc_slice_of(why, strlen(why))) != 0 ? TORC_ERR_NOMEM : rc;
  }
  rc = torc_buf_reserve(reply, reply->max);
  if (rc == 0) {
    torc_wr wr;
    torc_wr_init(&wr, reply->p, reply->cap);
    torc_overlay_put(&wr, &o);
    reply->len = wr.len;
    rc = wr.err;
  }
  torc_overlay_clear(&o);
  return rc;
}

int torc_overlay_load_apart(torc_overlay *out, const char *path, const char *name, char *err,
                            size_t err_cap) {
  request q = {.path = path, .name = name};
  char what[REASON_MAX];
  torc_buf reply;
  memset(out, 0, sizeof *out);
  torc_buf_init(&reply, torc_mem_libc(), TORC_OVERLAY_PACKED_MAX);
  (void)torc_fail(0, what, sizeof what, "reading %s", path);
  (void)torc_fail(0, err, err_cap, "%s", "");
  int rc = torc_apart_run(read_apart, &q, &reply, what, err, err_cap);
  torc_slice got = torc_buf_slice(&reply);
  if (rc == 0) {
    rc = torc_overlay_get(out, got);
    if (rc != 0) {
      rc = torc_fail(rc, err, err_cap, "%s: the process doing it gave no overlay", what);
    }
  } else if (got.len > 0) {
    (void)torc_fail(rc, err, err_cap, "%.*s", (int)got.len, (const char *)got.p);
  }
  torc_buf_clear(&reply);
  return rc;
}

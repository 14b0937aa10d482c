/* SPDX-License-Identifier: Apache-2.0 */
#include "io/peer_config.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/id.h"
#include "base/log.h"
#include "base/slice.h"
#include "io/err.h"
#include "io/peer_impl.h"

static void say(torc_config_lines *out, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void say(torc_config_lines *out, const char *format, ...) {
  if (out->num < TORC_CONFIG_LINES_MAX) {
    va_list args;
    va_start(args, format);
    (void)vsnprintf(out->line[out->num], TORC_CONFIG_LINE_MAX, format, args);
    va_end(args);
    out->num++;
  }
}

/* ---- what differs ---- */

static void compare_number(torc_config_lines *out, const char *what, uint64_t old, uint64_t fresh) {
  if (old == fresh) {
    return;
  }
  char from[24] = "the default";
  char to[24] = "the default";
  if (old != 0) {
    (void)snprintf(from, sizeof from, "%llu", (unsigned long long)old);
  }
  if (fresh != 0) {
    (void)snprintf(to, sizeof to, "%llu", (unsigned long long)fresh);
  }
  say(out, "%s: %s instead of %s", what, to, from);
}

static bool is_same_endpoint(const torc_endpoint *a, const torc_endpoint *b) {
  return a->port == b->port && strcmp(a->host, b->host) == 0 && torc_id_eq(&a->peer, &b->peer);
}

static bool has_endpoint(const torc_endpoint *list, size_t num, const torc_endpoint *e) {
  for (size_t i = 0; i < num; i++) {
    if (is_same_endpoint(&list[i], e)) {
      return true;
    }
  }
  return false;
}

/* Those of `list` that `other` does not have. */
static void say_missing(torc_config_lines *out, const char *element, const torc_endpoint *list,
                        size_t num, const torc_endpoint *other, size_t num_other,
                        const char *what) {
  for (size_t i = 0; i < num; i++) {
    if (!has_endpoint(other, num_other, &list[i])) {
      say(out, "%s %.100s port %u is %s", element, list[i].host, list[i].port, what);
    }
  }
}

static void compare_bootstrap(const torc_overlay *old, const torc_overlay *fresh,
                              torc_config_lines *out) {
  say_missing(out, "bootstrap-peer", fresh->bootstrap, fresh->num_bootstrap, old->bootstrap,
              old->num_bootstrap, "new");
  say_missing(out, "bootstrap-peer", old->bootstrap, old->num_bootstrap, fresh->bootstrap,
              fresh->num_bootstrap, "gone");
  say_missing(out, "multicast-bootstrap", fresh->multicast, fresh->num_multicast, old->multicast,
              old->num_multicast,
              torc_overlay_num_groups(fresh) == fresh->num_multicast
                  ? "new"
                  : "new, but not used: the overlay has a shared key");
  say_missing(out, "multicast-bootstrap", old->multicast, old->num_multicast, fresh->multicast,
              fresh->num_multicast, "gone");
}

static bool has_text(const char *list, size_t num, size_t size, const char *text) {
  for (size_t i = 0; i < num; i++) {
    if (strcasecmp(list + i * size, text) == 0) {
      return true;
    }
  }
  return false;
}

/* Texts of `size` bytes each. */
static void compare_texts(torc_config_lines *out, const char *element, const char *old,
                          size_t num_old, const char *fresh, size_t num_fresh, size_t size) {
  for (size_t i = 0; i < num_fresh; i++) {
    if (!has_text(old, num_old, size, fresh + i * size)) {
      say(out, "%s %.100s is new", element, fresh + i * size);
    }
  }
  for (size_t i = 0; i < num_old; i++) {
    if (!has_text(fresh, num_fresh, size, old + i * size)) {
      say(out, "%s %.100s is gone", element, old + i * size);
    }
  }
}

static bool is_same_balancer(const torc_load_balancer *a, const torc_load_balancer *b) {
  return strcmp(a->name, b->name) == 0 && strcmp(a->zone, b->zone) == 0 && a->lat_e6 == b->lat_e6 &&
         a->lon_e6 == b->lon_e6;
}

static void compare_services(const torc_overlay *old, const torc_overlay *fresh,
                             torc_config_lines *out) {
  compare_texts(out, "credential-server", old->credentials[0], old->num_credentials,
                fresh->credentials[0], fresh->num_credentials, TORC_OVERLAY_URL_MAX);
  compare_texts(out, "required-usage", old->usages[0], old->num_usages, fresh->usages[0],
                fresh->num_usages, sizeof fresh->usages[0]);
  bool is_same = old->num_balancers == fresh->num_balancers;
  for (size_t i = 0; is_same && i < fresh->num_balancers; i++) {
    is_same = is_same_balancer(&old->balancers[i], &fresh->balancers[i]);
  }
  if (!is_same) {
    say(out, "load-balancer: %zu instead of %zu, or others", fresh->num_balancers,
        old->num_balancers);
  }
  is_same = old->num_stewards == fresh->num_stewards;
  for (size_t i = 0; is_same && i < fresh->num_stewards; i++) {
    is_same = torc_id_eq(&old->stewards[i], &fresh->stewards[i]);
  }
  if (!is_same) {
    say(out, "steward: %zu instead of %zu, or others", fresh->num_stewards, old->num_stewards);
  }
  if (old->has_turn_density != fresh->has_turn_density ||
      old->turn_density != fresh->turn_density) {
    say(out, "turnDensity: %u", fresh->turn_density);
  }
}

static const torc_type_def *find_type(const torc_overlay *o, uint32_t id) {
  for (size_t i = 0; i < o->num_types; i++) {
    if (o->types[i].id == id) {
      return &o->types[i];
    }
  }
  return NULL;
}

static bool is_same_kind(const torc_type_def *a, const torc_type_def *b) {
  return a->model == b->model && a->rule == b->rule;
}

static bool is_same_type(const torc_type_def *a, const torc_type_def *b) {
  return is_same_kind(a, b) && strcmp(a->name, b->name) == 0 && a->findable == b->findable &&
         a->max_values == b->max_values && a->max_size == b->max_size &&
         a->max_lifetime_s == b->max_lifetime_s;
}

static void compare_types(const torc_overlay *old, const torc_overlay *fresh,
                          torc_config_lines *out) {
  for (size_t i = 0; i < fresh->num_types; i++) {
    const torc_type_def *t = &fresh->types[i];
    const torc_type_def *was = find_type(old, t->id);
    if (was == NULL) {
      say(out, "type %s (0x%06X) is new", t->name, (unsigned)t->id);
    } else if (is_same_kind(was, t) && !is_same_type(was, t)) {
      say(out, "type %s (0x%06X) has other limits or another name", t->name, (unsigned)t->id);
    }
  }
}

static bool has_root(const torc_overlay *o, const torc_overlay *of, size_t i) {
  for (size_t k = 0; k < o->num_roots; k++) {
    if (o->roots[k].len == of->roots[i].len &&
        memcmp(o->roots[k].der, of->roots[i].der, o->roots[k].len) == 0) {
      return true;
    }
  }
  return false;
}

static const char *stage_name(uint8_t stage) {
  static const char *const names[] = {"none", "store-both-fetch-old", "store-both-fetch-new",
                                      "new-only"};
  return names[stage < TORC_ARRAY_LEN(names) ? stage : 0];
}

static bool is_same_document(const torc_overlay *a, const torc_overlay *b) {
  torc_buf rooms[2];
  torc_slice texts[2] = {{NULL, 0}, {NULL, 0}};
  for (size_t i = 0; i < 2; i++) {
    torc_wr wr;
    torc_buf_init(&rooms[i], torc_mem_libc(), TORC_OVERLAY_PACKED_MAX);
    if (torc_buf_reserve(&rooms[i], TORC_OVERLAY_PACKED_MAX) == 0) {
      torc_wr_init(&wr, rooms[i].p, TORC_OVERLAY_PACKED_MAX);
      torc_overlay_put(&wr, i == 0 ? a : b);
      texts[i] = torc_wr_slice(&wr);
    }
  }
  bool is_same = torc_slice_eq(texts[0], texts[1]);
  torc_buf_clear(&rooms[0]);
  torc_buf_clear(&rooms[1]);
  return is_same;
}

/* [D-19] */
static void compare_next(const torc_overlay *old, const torc_overlay *fresh,
                         torc_config_lines *out) {
  const torc_overlay *a = old->next;
  const torc_overlay *b = fresh->next;
  if (b == NULL && a != NULL) {
    say(out, "the move to %.100s is taken back", a->name);
  } else if (b != NULL && (a == NULL || a->migration != b->migration)) {
    say(out, "the move to %.60s (%.30s) is in stage %s", b->name, b->algorithm,
        stage_name(b->migration));
  } else if (b != NULL && !is_same_document(a, b)) {
    say(out, "overlay %.100s: another configuration", b->name);
  }
}

void torc_overlay_changes(const torc_overlay *old, const torc_overlay *fresh,
                          torc_config_lines *out) {
  out->num = 0;
  for (size_t i = 0; old->is_shared_key == fresh->is_shared_key && i < fresh->num_roots; i++) {
    if (!has_root(old, fresh, i)) {
      say(out, "root-cert %zu is new", i + 1);
    }
  }
  compare_bootstrap(old, fresh, out);
  compare_services(old, fresh, out);
  compare_types(old, fresh, out);
  compare_number(out, "expiration", old->expiration_s, fresh->expiration_s);
  compare_number(out, "update-frequency", old->update_period / TORC_SEC(1),
                 fresh->update_period / TORC_SEC(1));
  compare_number(out, "ping-frequency", old->ping_period / TORC_SEC(1),
                 fresh->ping_period / TORC_SEC(1));
  compare_number(out, "initial-ttl", old->initial_ttl, fresh->initial_ttl);
  compare_number(out, "max-message-size", old->max_message, fresh->max_message);
  compare_number(out, "t1", old->t1 / TORC_MS(1), fresh->t1 / TORC_MS(1));
  compare_number(out, "replica-wait", old->replica_wait / TORC_MS(1),
                 fresh->replica_wait / TORC_MS(1));
  compare_number(out, "keepalive", old->keepalive / TORC_SEC(1), fresh->keepalive / TORC_SEC(1));
  compare_number(out, "idle-close", old->idle_close / TORC_SEC(1), fresh->idle_close / TORC_SEC(1));
  compare_number(out, "deletion-delay", old->deletion_delay / TORC_SEC(1),
                 fresh->deletion_delay / TORC_SEC(1));
  if (old->require_signature != fresh->require_signature) {
    say(out, "require-signature: %s", fresh->require_signature ? "true" : "false");
  }
  if (old->remove_zero_generation != fresh->remove_zero_generation) {
    say(out, "remove-zero-generation: %s", fresh->remove_zero_generation ? "true" : "false");
  }
  if (strcmp(old->source, fresh->source) != 0) {
    say(out, "source: %.120s", fresh->source[0] == '\0' ? "none" : fresh->source);
  }
  compare_next(old, fresh, out);
  if (old->signature_algorithms != fresh->signature_algorithms) {
    say(out, "signature-algorithm: others than before, for certificates seen from now on");
  }
}

/* A type that a peer goes on with as it was started with it. */
static bool is_held(const torc_overlay *fresh, const torc_type_def *was) {
  const torc_type_def *t = find_type(fresh, was->id);
  return t == NULL || !is_same_kind(was, t);
}

/* The held type whose name `t` has; NULL: none. */
static const torc_type_def *holder_of_name(const torc_overlay *running, const torc_overlay *fresh,
                                           const torc_type_def *t) {
  for (size_t i = 0; i < running->num_types; i++) {
    const torc_type_def *was = &running->types[i];
    if (was->id != t->id && strcasecmp(was->name, t->name) == 0 && is_held(fresh, was)) {
      return was;
    }
  }
  return NULL;
}

void torc_overlay_waiting(const torc_overlay *running, const torc_overlay *fresh,
                          torc_config_lines *out) {
  out->num = 0;
  if (strcasecmp(running->algorithm, fresh->algorithm) != 0) {
    say(out, "dht: %.60s instead of %.60s", fresh->algorithm, running->algorithm);
  }
  if (running->is_shared_key != fresh->is_shared_key) { /* [SEC-06] */
    say(out, "shared-secret: %s",
        fresh->is_shared_key ? "a shared key instead of certificates"
                             : "certificates instead of a shared key");
  }
  for (size_t i = 0; !fresh->is_shared_key && i < running->num_roots; i++) {
    if (!has_root(fresh, running, i)) {
      say(out, "a root-cert is gone; what it issued is believed until the restart");
    }
  }
  for (size_t i = 0; i < running->num_types; i++) {
    const torc_type_def *was = &running->types[i];
    const torc_type_def *t = find_type(fresh, was->id);
    if (t == NULL) {
      say(out, "type %s (0x%06X) is gone", was->name, (unsigned)was->id);
    } else if (!is_same_kind(was, t)) {
      say(out, "type %s (0x%06X) has another data model or access rule", t->name, (unsigned)t->id);
    }
  }
  for (size_t i = 0; i < fresh->num_types; i++) {
    const torc_type_def *t = &fresh->types[i];
    if (holder_of_name(running, fresh, t) != NULL) {
      say(out, "type %s (0x%06X) has the name of a type that is still there", t->name,
          (unsigned)t->id);
    }
  }
}

int torc_overlay_may_follow(const torc_overlay *old, const torc_overlay *fresh, bool must_be_signed,
                            char *err, size_t err_cap) {
  bool is_signed = fresh->signer != TORC_OVERLAY_NO_SIGNER;
  if (strcasecmp(old->name, fresh->name) != 0) {
    return torc_fail(TORC_ERR_DENIED, err, err_cap,
                     "it is the configuration of another overlay, %.200s", fresh->name);
  }
  if (!is_signed && (must_be_signed || old->signer != TORC_OVERLAY_NO_SIGNER)) {
    return torc_fail(TORC_ERR_DENIED, err, err_cap, "it is not signed%s",
                     must_be_signed ? "" : ", and the one this peer runs with is");
  }
  if (is_signed && !has_root(old, fresh, fresh->signer)) {
    return torc_fail(TORC_ERR_DENIED, err, err_cap,
                     "it is signed by a root that the running configuration does not list");
  }
  if (fresh->sequence < old->sequence) {
    return torc_fail(TORC_ERR_DENIED, err, err_cap,
                     "it is older than what this peer runs with: sequence %llu after %llu",
                     (unsigned long long)fresh->sequence, (unsigned long long)old->sequence);
  }
  torc_config_lines changes;
  torc_overlay_changes(old, fresh, &changes);
  size_t num = changes.num;
  torc_overlay_waiting(old, fresh, &changes);
  if (fresh->sequence == old->sequence && fresh->sequence != 0 && num + changes.num > 0) {
    return torc_fail(TORC_ERR_DENIED, err, err_cap,
                     "it differs, but has the same sequence %llu: every change needs a higher one",
                     (unsigned long long)fresh->sequence);
  }
  return 0;
}

/* ---- the peer ---- */

const torc_overlay *torc_peer_document(const torc_peer *p) {
  return p->document != NULL ? p->document : &p->overlay;
}

const torc_overlay *torc_peer_running(const torc_peer *p) {
  return &p->overlay;
}

torc_config_status *torc_peer_config_status(torc_peer *p) {
  return &p->config;
}

/* Names that held types have are not given to others: a new type waits, an old one keeps its own.
 */
static void drop_taken_names(const torc_overlay *running, torc_overlay *fresh) {
  bool is_taken[TORC_OVERLAY_TYPES_MAX];
  size_t num = 0;
  for (size_t i = 0; i < fresh->num_types; i++) {
    is_taken[i] = holder_of_name(running, fresh, &fresh->types[i]) != NULL;
  }
  for (size_t i = 0; i < fresh->num_types; i++) {
    const torc_type_def *was = find_type(running, fresh->types[i].id);
    if (!is_taken[i] || was != NULL) {
      fresh->types[num] = is_taken[i] ? *was : fresh->types[i];
      num++;
    }
  }
  fresh->num_types = num;
}

/* Types as `fresh` has them, those that must wait for a restart as they are. */
static int merge_types(const torc_overlay *running, torc_overlay *fresh, char *err,
                       size_t err_cap) {
  drop_taken_names(running, fresh);
  for (size_t i = 0; i < running->num_types; i++) {
    const torc_type_def *was = &running->types[i];
    torc_type_def *t = (torc_type_def *)(uintptr_t)find_type(fresh, was->id);
    if (t == NULL && fresh->num_types == TORC_OVERLAY_TYPES_MAX) {
      return torc_fail(TORC_ERR_LIMIT, err, err_cap,
                       "too many types with those that are gone: restart this peer");
    }
    if (t == NULL) {
      t = &fresh->types[fresh->num_types++];
      *t = *was;
    } else if (!is_same_kind(was, t)) {
      *t = *was;
    }
  }
  return 0;
}

static int copy_root(torc_overlay *to, const torc_overlay *from, size_t i, char *err,
                     size_t err_cap) {
  if (to->num_roots == TORC_OVERLAY_ROOTS_MAX) {
    return torc_fail(TORC_ERR_LIMIT, err, err_cap,
                     "too many root-certs with those that are gone: restart this peer");
  }
  uint8_t *der = malloc(from->roots[i].len);
  if (der == NULL) {
    return torc_fail(TORC_ERR_NOMEM, err, err_cap, "out of memory");
  }
  memcpy(der, from->roots[i].der, from->roots[i].len);
  to->roots[to->num_roots].der = der;
  to->roots[to->num_roots].len = from->roots[i].len;
  to->num_roots++;
  return 0;
}

/* Those of `fresh`, and those that are gone, which the pki goes on believing. */
static int merge_roots(const torc_overlay *running, const torc_overlay *fresh, torc_overlay *out,
                       char *err, size_t err_cap) {
  int rc = 0;
  out->num_roots = 0;
  for (size_t i = 0; rc == 0 && !running->is_shared_key && i < fresh->num_roots; i++) {
    rc = copy_root(out, fresh, i, err, err_cap);
  }
  for (size_t i = 0; rc == 0 && i < running->num_roots; i++) {
    if (!has_root(fresh, running, i)) {
      rc = copy_root(out, running, i, err, err_cap);
    }
  }
  return rc;
}

/* What the peer will run with: `fresh` without what waits. */
static int make_running(const torc_peer *p, const torc_overlay *fresh, torc_overlay *out, char *err,
                        size_t err_cap) {
  *out = *fresh;
  memcpy(out->algorithm, p->overlay.algorithm, sizeof out->algorithm);
  out->is_shared_key = p->overlay.is_shared_key;
  out->next = NULL;
  int rc = merge_roots(&p->overlay, fresh, out, err, err_cap);
  return rc != 0 ? rc : merge_types(&p->overlay, out, err, err_cap);
}

static int reconfigure(torc_peer *p, const torc_overlay *o, char *err, size_t err_cap) {
  const char *why = NULL;
  torc_node_config cfg;
  torc_peer_node_config(p, o, &cfg);
  int rc = torc_node_reconfigure(p->node, &cfg, torc_peer_now(p), &why);
  if (rc != 0) {
    return torc_fail(rc, err, err_cap, "the node does not take it: %s",
                     why == NULL ? torc_strerror(rc) : why);
  }
  torc_peer_use_groups(p, o, o);
  return 0;
}

/* The node has got `o` but the rest has not: it gets back what it had, and of `o` only the new
 * types stay, which do no harm. */
static void take_back(torc_peer *p, const torc_overlay *o) {
  char ignored[64];
  torc_overlay *was = malloc(sizeof *was);
  if (was == NULL) {
    return; /* as good as it gets: the next document that is taken tells all */
  }
  *was = p->overlay; /* borrows what it points to */
  if (merge_types(o, was, ignored, sizeof ignored) == 0) {
    (void)reconfigure(p, was, ignored, sizeof ignored);
  }
  free(was);
}

/* [D-19] The ring that the peer was started in is left: only the other element is about it. */
static int apply_moved(torc_peer *p, const torc_overlay *next, char *err, size_t err_cap) {
  if (next == NULL || next->migration != TORC_MIGRATION_NEW_ONLY) {
    return torc_fail(TORC_ERR_STATE, err, err_cap,
                     "this peer has moved to the ring of another element and cannot go back: name "
                     "that overlay in its configuration");
  }
  return reconfigure(p, next, err, err_cap);
}

static int apply(torc_peer *p, const torc_overlay *o, char *err, size_t err_cap) {
  int rc = 0;
  for (size_t i = 0; rc == 0 && i < o->num_roots; i++) {
    rc = torc_pki_add_root(p->pki, torc_slice_of(o->roots[i].der, o->roots[i].len), err, err_cap);
  }
  if (rc == 0 && torc_peer_has_moved(p)) {
    return apply_moved(p, o->next, err, err_cap);
  }
  rc = rc != 0 ? rc : reconfigure(p, o, err, err_cap);
  if (rc != 0) {
    return rc;
  }
  rc = torc_peer_migrate(p, o, err, err_cap);
  if (rc == 0) {
    torc_pki_admit(p->pki, o->signature_algorithms);
  } else {
    take_back(p, o);
  }
  return rc;
}

static int keep_next(torc_overlay *running, const torc_overlay *next, char *err, size_t err_cap) {
  running->next = malloc(sizeof *running->next);
  int rc = running->next == NULL ? TORC_ERR_NOMEM : torc_overlay_copy(running->next, next);
  return rc == 0 ? 0 : torc_fail(rc, err, err_cap, "out of memory");
}

int torc_peer_take_overlay(torc_peer *p, torc_overlay *fresh, char *err, size_t err_cap) {
  torc_config_lines *waiting = malloc(sizeof *waiting);
  torc_overlay *running = malloc(sizeof *running);
  torc_overlay *document = malloc(sizeof *document);
  int rc = TORC_ERR_NOMEM;
  if (waiting == NULL || running == NULL || document == NULL) {
    (void)torc_fail(rc, err, err_cap, "out of memory");
    goto out;
  }
  running->num_roots = 0;
  running->next = NULL;
  torc_overlay_waiting(&p->overlay, fresh, waiting);
  rc = make_running(p, fresh, running, err, err_cap);
  if (rc == 0 && fresh->next != NULL) {
    rc = keep_next(running, fresh->next, err, err_cap);
  }
  rc = rc != 0 ? rc : apply(p, running, err, err_cap);
  if (rc != 0) {
    torc_overlay_clear(running);
    goto out;
  }
  torc_overlay_clear(&p->overlay);
  p->overlay = *running;
  if (p->document != NULL) {
    torc_overlay_clear(p->document);
    free(p->document);
    p->document = NULL;
  }
  if (waiting->num > 0) {
    *document = *fresh;
    p->document = document;
    document = NULL;
  } else {
    torc_overlay_clear(fresh);
  }
  fresh->num_roots = 0; /* they have moved */
  fresh->next = NULL;
  p->config.reloads++;
  torc_peer_flush(p);
out:
  free(waiting);
  free(running);
  free(document);
  return rc;
}

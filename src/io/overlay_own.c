/* What our namespace adds to the overlay document [GAP-131].
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <strings.h>

#include "base/id.h"
#include "base/slice.h"
#include "io/addr.h"
#include "io/overlay_impl.h"
#include "wire/contents.h"

/* [D-19] [GAP-142] the element of the new ring says how far the move is, and which ring it leaves.
 */
int overlay_read_migration(overlay_run *ps, const xmlNode *overlay) {
  static const char *const stages[] = {"store-both-fetch-old", "store-both-fetch-new", "new-only"};
  char stage[32];
  torc_overlay *o = ps->o;
  int rc = overlay_own_attribute(ps, overlay, "migration-stage", stage, sizeof stage);
  int from = overlay_own_attribute(ps, overlay, "accepts-certificates-of", o->migrates_from,
                                   sizeof o->migrates_from);
  if (rc == TORC_ERR_NOTFOUND && from == TORC_ERR_NOTFOUND) {
    return 0;
  }
  o->migration = rc == 0 ? overlay_word(stage, stages, TORC_ARRAY_LEN(stages)) : 0;
  if (o->migration == 0) {
    return overlay_fail(ps, overlay,
                        "migration-stage must be store-both-fetch-old, store-both-fetch-new or "
                        "new-only");
  }
  if (from != 0 || !torc_host_valid(o->migrates_from) ||
      strcasecmp(o->migrates_from, o->name) == 0) {
    return overlay_fail(ps, overlay,
                        "migration-stage needs accepts-certificates-of with the name of the other "
                        "overlay");
  }
  return 0;
}

/* ---- elements of our namespace ---- */

static int read_source(overlay_run *ps, const xmlNode *node) {
  torc_overlay *o = ps->o;
  if (o->source[0] != '\0') {
    return overlay_fail(ps, node, "a second source element");
  }
  int rc = overlay_need_attribute(ps, node, "url", o->source, sizeof o->source);
  return rc == 0 ? overlay_check_url(ps, node, o->source) : rc;
}

/* [D-10] Which algorithms members may sign with; an overlay that says nothing admits both. */
static int read_signature_algorithm(overlay_run *ps, const xmlNode *node) {
  char name[64];
  int rc = overlay_need_attribute(ps, node, "name", name, sizeof name);
  if (rc != 0) {
    return rc;
  }
  if (strcmp(name, "ecdsa-p256-sha256") == 0) {
    ps->o->signature_algorithms |= 1u << TORC_SIGALG_ECDSA_P256_SHA256;
  } else if (strcmp(name, "rsa-sha256") == 0) {
    ps->o->signature_algorithms |= 1u << TORC_SIGALG_RSA_SHA256;
  } else {
    rc = overlay_fail(ps, node, "signature-algorithm is ecdsa-p256-sha256 or rsa-sha256");
  }
  return rc;
}

/* [D-11] resource-ids are SHA-256's; an overlay with another hash is not one this program knows. */
static int read_hash(const overlay_run *ps, const xmlNode *node) {
  char name[64];
  int rc = overlay_need_attribute(ps, node, "name", name, sizeof name);
  if (rc == 0 && strcmp(name, "sha-256") != 0) {
    rc = overlay_fail_named(ps, node,
                            "the overlay wants a hash this program lacks (it has sha-256):", name);
  }
  return rc;
}

/* Degrees with up to six decimals, as millionths. */
static int read_degrees(const char *text, int32_t max, int32_t *out) {
  bool is_negative = text[0] == '-';
  const char *c = text + (is_negative || text[0] == '+' ? 1 : 0);
  int64_t v = 0;
  int decimals = -1;
  if (*c < '0' || *c > '9') {
    return TORC_ERR_FORMAT;
  }
  for (; *c != '\0'; c++) {
    if (*c == '.' && decimals < 0) {
      decimals = 0;
      continue;
    }
    if (*c < '0' || *c > '9' || v > INT32_MAX) {
      return TORC_ERR_FORMAT;
    }
    if (decimals < 6) { /* further ones are less than a hand's breadth */
      v = v * 10 + (*c - '0');
      decimals += decimals >= 0 ? 1 : 0;
    }
  }
  for (int i = decimals < 0 ? 0 : decimals; i < 6; i++) {
    v *= 10;
  }
  if (v > (int64_t)max * 1000000) {
    return TORC_ERR_LIMIT;
  }
  *out = (int32_t)(is_negative ? -v : v);
  return 0;
}

/* [LBL-007] [BGAP-13] */
static int read_balancer(overlay_run *ps, const xmlNode *node) {
  torc_overlay *o = ps->o;
  char lat[32];
  char lon[32];
  if (o->num_balancers == TORC_OVERLAY_BALANCERS_MAX) {
    return overlay_fail(ps, node, "more load-balancer elements than this program takes (16)");
  }
  torc_load_balancer *b = &o->balancers[o->num_balancers];
  int rc = overlay_need_attribute(ps, node, "name", b->name, sizeof b->name);
  rc = rc != 0 ? rc : overlay_need_attribute(ps, node, "lat", lat, sizeof lat);
  rc = rc != 0 ? rc : overlay_need_attribute(ps, node, "lon", lon, sizeof lon);
  if (rc != 0) {
    return rc;
  }
  if (!torc_host_valid(b->name)) {
    return overlay_fail_named(ps, node, "no host name:", b->name);
  }
  if (read_degrees(lat, 90, &b->lat_e6) != 0 || read_degrees(lon, 180, &b->lon_e6) != 0) {
    return overlay_fail(ps, node, "lat is -90 to 90 and lon -180 to 180 degrees, with decimals");
  }
  rc = overlay_attribute(ps, node, "zone", b->zone, sizeof b->zone);
  if (rc != 0 && rc != TORC_ERR_NOTFOUND) {
    return overlay_fail(ps, node, "zone is too long");
  }
  o->num_balancers++;
  return 0;
}

/* */
static int read_steward(overlay_run *ps, const xmlNode *node) {
  torc_overlay *o = ps->o;
  char id[TORC_ID_HEX_LEN + 2];
  if (o->num_stewards == TORC_OVERLAY_STEWARDS_MAX) {
    return overlay_fail(ps, node, "more steward elements than this program takes (8)");
  }
  torc_id *out = &o->stewards[o->num_stewards];
  if (overlay_attribute(ps, node, "peer-id", id, sizeof id) != 0 ||
      torc_id_parse(id, strlen(id), out) != 0 || !torc_id_is_peer(out)) {
    return overlay_fail(ps, node, "peer-id is not 32 hexadecimal digits");
  }
  o->num_stewards++;
  return 0;
}

int overlay_read_own(overlay_run *ps, const xmlNode *node) {
  if (overlay_is_own_named(node, "source")) {
    return read_source(ps, node);
  }
  if (overlay_is_own_named(node, "signature-algorithm")) {
    return read_signature_algorithm(ps, node);
  }
  if (overlay_is_own_named(node, "hash")) {
    return read_hash(ps, node);
  }
  if (overlay_is_own_named(node, "load-balancer")) {
    return read_balancer(ps, node);
  }
  if (overlay_is_own_named(node, "steward")) {
    return read_steward(ps, node);
  }
  if (ps->is_strict && overlay_is_own(node)) {
    return overlay_fail_named(ps, node, "our namespace has no element", (const char *)node->name);
  }
  return 0; /* [GAP-127] of a later version */
}

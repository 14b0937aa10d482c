/* Finding the plug-in that an algorithm name asks for [ARC-04] [ARC-22] [D-12].
 * SPDX-License-Identifier: Apache-2.0 */
#include "overlay/topology/topology.h"

#include <string.h>

#include "overlay/topology/chord_name.h"

#define CHORD_PREFIX "chord-"
#define NAME_MAX_LEN 63u
#define FULL_MESH "full-mesh"

/* Decimal digits without leading zero, up to `end`; false: not a number below 1000. */
static bool number(const char **p, char end, unsigned *out) {
  unsigned v = 0;
  const char *c = *p;
  if (*c < '1' || *c > '9') {
    return false;
  }
  while (*c >= '0' && *c <= '9') {
    v = v * 10 + (unsigned)(*c - '0');
    if (v > 999) {
      return false;
    }
    c++;
  }
  if (*c != end) {
    return false;
  }
  *p = end == '\0' ? c : c + 1;
  *out = v;
  return true;
}

const char *torc_chord_name_parse(const char *name, torc_chord_name *out) {
  unsigned bits, replicas, fingers;
  const char *p = name + strlen(CHORD_PREFIX);
  if (strlen(name) > NAME_MAX_LEN || strncmp(name, CHORD_PREFIX, strlen(CHORD_PREFIX)) != 0) {
    return "The name does not begin with chord-.";
  }
  if (!number(&p, '-', &bits) || !number(&p, '-', &replicas) || !number(&p, '\0', &fingers)) {
    return "A chord name is chord-<bits>-<replicas>-<fingers>, as in chord-128-2-8.";
  }
  if (bits != 8 * TORC_ID_LEN) {
    return "Only chord with 128 bits is supported, as in chord-128-2-8.";
  }
  if (replicas > TORC_REPLICAS_MAX) {
    return "A chord name can ask for 1 to 8 replicas.";
  }
  if (fingers > TORC_FINGERS_MAX) { /* [GAP-112]: more than 8 for overlays of more than 500 peers */
    return "A chord name can ask for 1 to 64 fingers.";
  }
  *out = (torc_chord_name){.num_replicas = replicas, .num_fingers = fingers};
  return NULL;
}

int torc_topology_find(const char *name, const torc_topology_ops **ops,
                       torc_topology_params *params) {
  static const torc_topology_ops *const all[] = {&torc_topology_chord, &torc_topology_full_mesh};
  torc_topology_params p = {.update_period = TORC_SEC(600), /* [CHD-39] */
                            .ping_period = TORC_SEC(3600),  /* [CHD-44] */
                            .deletion_delay = TORC_SEC(60), /* [GAP-119] */
                            .rejoin_min = TORC_SEC(5),      /* [GAP-122] */
                            .rejoin_max = TORC_SEC(300),
                            .retry_unreachable = TORC_SEC(60)}; /* [GAP-123] */
  for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
    if (all[i]->parse(name, &p) == 0) {
      *ops = all[i];
      *params = p;
      return 0;
    }
  }
  return TORC_ERR_CONFIG;
}

const char *torc_topology_explain(const char *name) {
  torc_chord_name parsed;
  const char *why;
  if (strncmp(name, CHORD_PREFIX, strlen(CHORD_PREFIX)) != 0) {
    return strcmp(name, FULL_MESH) == 0
               ? "The name is known."
               : "The known algorithms are chord-128-<replicas>-<fingers> and full-mesh.";
  }
  why = torc_chord_name_parse(name, &parsed);
  return why != NULL ? why : "The name is known.";
}

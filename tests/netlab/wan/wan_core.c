/* Links, routes, and a packet's way: up by one link, down by another.
 * SPDX-License-Identifier: Apache-2.0 */
#include "wan_core.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#define V4_PREFIX_LEN 12
#define V4_HEADER_LEN 20
#define V4_DESTINATION 16
#define V6_HEADER_LEN 40
#define V6_DESTINATION 24

static const uint8_t v4_prefix[V4_PREFIX_LEN] = {[10] = 0xff, [11] = 0xff};

void wan_core_init(wan_core *core, wan_queue *queue, uint64_t seed) {
  memset(core, 0, sizeof *core);
  core->queue = queue;
  core->random.state = seed;
}

wan_link *wan_core_find(wan_core *core, const char *name) {
  for (size_t i = 0; i < core->num_links; i++) {
    if (strcmp(core->links[i].name, name) == 0) {
      return &core->links[i];
    }
  }
  return NULL;
}

wan_link *wan_core_add_link(wan_core *core, const char *name) {
  size_t len = strlen(name);
  if (core->num_links == WAN_MAX_LINKS || len == 0 || len >= WAN_NAME_LEN ||
      wan_core_find(core, name) != NULL) {
    return NULL;
  }
  wan_link *link = &core->links[core->num_links++];
  memset(link, 0, sizeof *link);
  memcpy(link->name, name, len + 1);
  return link;
}

size_t wan_core_index(const wan_core *core, const wan_link *link) {
  return (size_t)(link - core->links);
}

bool wan_prefix_parse(wan_prefix *prefix, const char *text) {
  char address[INET6_ADDRSTRLEN];
  const char *slash = strchr(text, '/');
  if (slash == NULL || (size_t)(slash - text) >= sizeof address) {
    return false;
  }
  memcpy(address, text, (size_t)(slash - text));
  address[slash - text] = '\0';
  char *end = NULL;
  unsigned long bits = strtoul(slash + 1, &end, 10);
  if (end == slash + 1 || *end != '\0') {
    return false;
  }
  memset(prefix, 0, sizeof *prefix);
  if (inet_pton(AF_INET, address, prefix->address + V4_PREFIX_LEN) == 1 && bits <= 32) {
    memcpy(prefix->address, v4_prefix, V4_PREFIX_LEN);
    prefix->bits = (uint8_t)(bits + 8 * V4_PREFIX_LEN);
    return true;
  }
  if (inet_pton(AF_INET6, address, prefix->address) == 1 && bits <= 128) {
    prefix->bits = (uint8_t)bits;
    return true;
  }
  return false;
}

static bool is_in(const wan_prefix *prefix, const uint8_t address[16]) {
  size_t whole = prefix->bits / 8;
  unsigned rest = prefix->bits % 8;
  if (memcmp(prefix->address, address, whole) != 0) {
    return false;
  }
  return rest == 0 || ((prefix->address[whole] ^ address[whole]) >> (8 - rest)) == 0;
}

static bool is_same(const wan_prefix *a, const wan_prefix *b) {
  return a->bits == b->bits && is_in(a, b->address);
}

bool wan_core_add_route(wan_core *core, const wan_prefix *prefix, const wan_link *link) {
  uint16_t index = (uint16_t)wan_core_index(core, link);
  size_t at = 0;
  for (size_t i = 0; i < core->num_routes; i++) {
    if (is_same(&core->routes[i].prefix, prefix)) {
      core->routes[i].link = index;
      return true;
    }
    if (core->routes[i].prefix.bits >= prefix->bits) {
      at = i + 1;
    }
  }
  if (core->num_routes == WAN_MAX_ROUTES) {
    return false;
  }
  memmove(&core->routes[at + 1], &core->routes[at],
          (core->num_routes - at) * sizeof core->routes[0]);
  core->routes[at] = (wan_route){.prefix = *prefix, .link = index};
  core->num_routes++;
  return true;
}

bool wan_core_remove_route(wan_core *core, const wan_prefix *prefix) {
  for (size_t i = 0; i < core->num_routes; i++) {
    if (is_same(&core->routes[i].prefix, prefix)) {
      core->num_routes--;
      memmove(&core->routes[i], &core->routes[i + 1],
              (core->num_routes - i) * sizeof core->routes[0]);
      return true;
    }
  }
  return false;
}

static bool destination(const wan_packet *packet, uint8_t address[16]) {
  unsigned version = packet->len > 0 ? packet->bytes[0] >> 4 : 0;
  if (version == 4 && packet->len >= V4_HEADER_LEN) {
    memcpy(address, v4_prefix, V4_PREFIX_LEN);
    memcpy(address + V4_PREFIX_LEN, packet->bytes + V4_DESTINATION, 4);
    return true;
  }
  if (version == 6 && packet->len >= V6_HEADER_LEN) {
    memcpy(address, packet->bytes + V6_DESTINATION, 16);
    return true;
  }
  return false;
}

static const wan_route *find_route(const wan_core *core, const wan_packet *packet) {
  uint8_t address[16];
  if (!destination(packet, address)) {
    return NULL;
  }
  for (size_t i = 0; i < core->num_routes; i++) {
    if (is_in(&core->routes[i].prefix, address)) {
      return &core->routes[i];
    }
  }
  return NULL;
}

/* Schedules the packet behind one direction of a link, or drops it there. */
static void pass(wan_core *core, wan_link *link, wan_direction direction, wan_packet *packet,
                 uint64_t now_ns) {
  uint64_t at_ns = 0;
  wan_verdict verdict = WAN_LOST;
  if (link->is_cut) {
    link->counters.cut++;
    wan_queue_release(core->queue, packet);
    return;
  }
  verdict = wan_shape_admit(&link->shapes[direction], &core->random, packet->len, now_ns, &at_ns);
  if (verdict == WAN_PASS) {
    wan_queue_schedule(core->queue, packet, at_ns);
    return;
  }
  if (verdict == WAN_LOST) {
    link->counters.lost++;
  } else {
    link->counters.full++;
  }
  wan_queue_release(core->queue, packet);
}

void wan_core_input(wan_core *core, wan_link *link, wan_packet *packet, uint64_t now_ns) {
  const wan_route *route = find_route(core, packet);
  link->counters.entered++;
  /* Nothing goes back where it came from: a route to a host that no longer has the address would
   * otherwise send a packet to and fro for ever. */
  if (route == NULL || route->link == wan_core_index(core, link)) {
    link->counters.unroutable++;
    wan_queue_release(core->queue, packet);
    return;
  }
  packet->out = route->link;
  packet->is_leaving = false;
  pass(core, link, WAN_UP, packet, now_ns);
}

wan_packet *wan_core_output(wan_core *core, uint64_t now_ns, wan_link **link) {
  uint64_t at_ns = 0;
  wan_packet *packet = wan_queue_due(core->queue, now_ns, &at_ns);
  while (packet != NULL) {
    wan_link *out = &core->links[packet->out];
    if (packet->is_leaving && !out->is_cut) {
      *link = out;
      return packet;
    }
    if (packet->is_leaving) {
      out->counters.cut++;
      wan_queue_release(core->queue, packet);
    } else {
      packet->is_leaving = true;
      pass(core, out, WAN_DOWN, packet, at_ns);
    }
    packet = wan_queue_due(core->queue, now_ns, &at_ns);
  }
  return NULL;
}

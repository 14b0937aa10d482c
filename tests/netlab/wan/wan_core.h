/* The WAN itself: links, routes and the packets between them. Touches no clock and no device.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_NETLAB_WAN_CORE_H
#define TORC_NETLAB_WAN_CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wan_queue.h"
#include "wan_shape.h"

#define WAN_MAX_LINKS 256
#define WAN_MAX_ROUTES 1024
#define WAN_NAME_LEN 32 /* with its terminating 0 */

/* What became of the packets of a link: entered by it, left by it, and dropped on it, by reason. */
#define WAN_COUNTERS(X) X(entered) X(left) X(lost) X(full) X(cut) X(unroutable) X(memory) X(refused)

typedef struct wan_counters {
#define X(name) uint64_t name;
  WAN_COUNTERS(X)
#undef X
} wan_counters;

typedef enum wan_direction { WAN_UP, WAN_DOWN } wan_direction; /* from the host; to the host */

typedef struct wan_link {
  char name[WAN_NAME_LEN];
  wan_shape shapes[2]; /* by wan_direction */
  bool is_cut;
  wan_counters counters;
} wan_link;

/* A prefix; IPv4 lies in it as ::ffff:0:0/96. */
typedef struct wan_prefix {
  uint8_t address[16];
  uint8_t bits;
} wan_prefix;

typedef struct wan_route {
  wan_prefix prefix;
  uint16_t link;
} wan_route;

typedef struct wan_core {
  wan_queue *queue; /* borrowed */
  wan_random random;
  wan_link links[WAN_MAX_LINKS];
  size_t num_links;
  wan_route routes[WAN_MAX_ROUTES]; /* longest prefix first */
  size_t num_routes;
} wan_core;

void wan_core_init(wan_core *core, wan_queue *queue, uint64_t seed);

/* NULL: there is none. */
wan_link *wan_core_find(wan_core *core, const char *name);
/* NULL: no room, the name is too long or taken. */
wan_link *wan_core_add_link(wan_core *core, const char *name);
size_t wan_core_index(const wan_core *core, const wan_link *link);

/* "192.0.2.0/24" or "2001:db8::1/128". */
bool wan_prefix_parse(wan_prefix *prefix, const char *text);
/* Replaces a route of the same prefix. False: no room. */
bool wan_core_add_route(wan_core *core, const wan_prefix *prefix, const wan_link *link);
/* False: there was none. */
bool wan_core_remove_route(wan_core *core, const wan_prefix *prefix);

/* A packet of a slot of the queue (its `len` and `bytes` set) enters by `link`. Takes the packet.
 */
void wan_core_input(wan_core *core, wan_link *link, wan_packet *packet, uint64_t now_ns);
/* A packet that leaves now by *link; the caller releases it. NULL: no more until
 * wan_queue_deadline. */
wan_packet *wan_core_output(wan_core *core, uint64_t now_ns, wan_link **link);

#endif

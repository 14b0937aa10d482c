/* The groups of multicast-bootstrap on a libuv loop: asking who is there, and answering [BST-05]
 * [ENR-24] [GAP-69]. IPv4 and IPv6, on every interface that the peer takes links on. One thread.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_IO_MULTICAST_H
#define TORC_IO_MULTICAST_H

#include <uv.h>

#include "io/net.h"

#define TORC_MULTICAST_GROUPS_MAX 4
#define TORC_MULTICAST_INTERFACES_MAX 8 /* of one family; further ones are left out */
#define TORC_MULTICAST_ASKS_MAX 8       /* under way at once */
#define TORC_MULTICAST_PENDING_MAX 16   /* answers that wait for their moment */

/* clang-format off */
#define TORC_MULTICAST_STATS(X) \
  X(multicast_asks) X(multicast_datagrams) X(multicast_questions) X(multicast_answered) \
  X(multicast_answers) X(multicast_bad_format) X(multicast_other_overlay) X(multicast_own) \
  X(multicast_not_asked) X(multicast_not_joined) X(multicast_rate_limited) X(multicast_repeated) \
  X(multicast_refused) X(multicast_too_long) X(multicast_bad_source) X(multicast_failures)
/* clang-format on */

typedef struct torc_multicast_stats {
#define X(name) uint64_t name;
  TORC_MULTICAST_STATS(X)
#undef X
} torc_multicast_stats;

typedef struct torc_multicast torc_multicast;

typedef struct torc_multicast_config {
  uv_loop_t *loop;
  torc_pki *pki;       /* borrowed, with own certificate and key */
  const torc_net *net; /* borrowed: what it listens on */
  const torc_log *log; /* may be NULL */
  torc_wall (*wall)(void);
  void *ctx;
  /* Whether this peer is a way into the ring at present; else it is silent. */
  bool (*may_answer)(void *ctx);
  /* A peer of the overlay answered; it can be dialled at `at`, if it did not lie. */
  void (*heard)(void *ctx, const torc_endpoint *at);
  /* No more answers are awaited. */
  void (*over)(void *ctx, torc_token token);
  void (*turn)(void *ctx); /* after one of the two */
} torc_multicast_config;

int torc_multicast_new(torc_multicast **out, const torc_multicast_config *cfg) TORC_MUST_CHECK;
/* As torc_net_shutdown. */
void torc_multicast_shutdown(torc_multicast *m);
bool torc_multicast_is_shut(const torc_multicast *m);
void torc_multicast_free(torc_multicast *m);

/* What is asked and answered is of this overlay from now on; the name is copied as its checksum. */
void torc_multicast_set_overlay(torc_multicast *m, const char *name);
/* Listens at these groups from now on, and at no others; a node that takes no links listens at
 * none. What cannot be opened is logged and tried again at the next refresh. */
void torc_multicast_set_groups(torc_multicast *m, const torc_endpoint *groups, size_t num);
/* Looks whether the interfaces have changed. */
void torc_multicast_refresh(torc_multicast *m);
/* Asks at a group; ends with `over` and `token`, always from the loop. */
void torc_multicast_ask(torc_multicast *m, torc_token token, const torc_endpoint *group);

void torc_multicast_counters(const torc_multicast *m, void *ctx,
                             void (*each)(void *ctx, const char *name, uint64_t value));
/* Sockets that listen. */
size_t torc_multicast_num_listeners(const torc_multicast *m);

#endif

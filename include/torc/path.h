/* Messages between two applications by the best path there is: over the overlay at once, over a
 * direct connection as soon as one stands [GAP-85] [TUN-08] [TUN-09]. Whichever way a message
 * comes, it is a TORC_EVENT_TUNNEL of the receiving peer. For single messages torc_node_tunnel will
 * do, for a stream of bytes torc_peer_connect_application; nothing moves from one to the other
 * unasked. SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_PATH_H
#define TORC_PATH_H

#include "torc/peer.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct torc_path torc_path;

#define TORC_PATH_MESSAGE_MAX 64000u /* bytes of a message: as many as a tunnel takes, */
#define TORC_PATH_DIALOG_MAX 255u    /* and of its dialog_id */
#define TORC_PATH_WAITING_MAX 256u   /* messages that have not left yet */
#define TORC_PATH_WAITING_BYTES (4u << 20)
#define TORC_PATHS_MAX 64u           /* of one peer, those that others have opened too */
#define TORC_PATH_RETRY TORC_SEC(60) /* between two attempts to connect */

typedef enum torc_path_way {
  TORC_PATH_TUNNEL = 1, /* each message is a TUNNEL of its own */
  TORC_PATH_DIRECT = 2  /* over a connection */
} torc_path_way;

/* Takes messages of an application by either way, or no more. TORC_ERR_LIMIT, TORC_ERR_INVALID: as
 * torc_node_listen and torc_node_listen_connections. */
int torc_path_listen(torc_peer *p, uint16_t application, bool on) TORC_MUST_CHECK;

/* A way to an application of a peer; begins to connect. TORC_ERR_LIMIT: too many. */
int torc_path_open(torc_path **out, torc_peer *p, const torc_id *to,
                   uint16_t application) TORC_MUST_CHECK;
/* Messages arrive in the order in which they are sent here, also when the way changes. Copied.
 * TORC_EVENT_DONE with *token follows: over the overlay when the peer has confirmed it, with its
 * answer; over a connection when it has left, with code 0. TORC_ERR_LIMIT: too many wait, or it is
 * too long. */
int torc_path_send(torc_path *path, torc_slice dialog_id, torc_slice message,
                   torc_token *token) TORC_MUST_CHECK;
torc_path_way torc_path_way_now(const torc_path *path);
/* Before torc_peer_free. What waits is given up, without an event. NULL: nothing. */
void torc_path_close(torc_path *path);

#ifdef __cplusplus
}
#endif
#endif

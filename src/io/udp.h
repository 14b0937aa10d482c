/* A UDP socket on a libuv loop, bound to one address of this machine and shared by all that speaks
 * over it [GAP-82] [TLS-02]. It knows datagrams and addresses only.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_IO_UDP_H
#define TORC_IO_UDP_H

#include <uv.h>

#include "io/addr.h"

#define TORC_UDP_BATCH 16u /* datagrams read by one system call */
#define TORC_UDP_DATAGRAM_MAX 65536u
#define TORC_UDP_QUEUE_MAX (256u << 10)  /* bytes the socket did not take yet; more are dropped */
#define TORC_UDP_SOCKET_BUFFER (1 << 20) /* asked of the kernel, each way */

typedef struct torc_udp torc_udp;

typedef struct torc_udp_events {
  void *ctx;
  /* `bytes` live for the call. */
  void (*datagram)(void *ctx, torc_udp *u, const torc_sock *remote, torc_slice bytes);
  /* ICMP: what was sent to `remote` did not arrive. mtu > 0: because it was longer than that, in
   * bytes with IP and UDP headers; 0: nobody is there, or may not be reached. */
  void (*unreachable)(void *ctx, torc_udp *u, const torc_sock *remote, uint32_t mtu);
  /* A batch has been told, or a queue has emptied: let follow what it caused. May be NULL. */
  void (*turn)(void *ctx);
} torc_udp_events;

/* truncated: longer than the buffer, dropped; queued: the socket was full; dropped: and the queue,
 * too; failed: no route, too long, ...; icmp_errors: told to `unreachable`. */
/* clang-format off */
#define TORC_UDP_STATS(X) \
  X(datagrams_in) X(datagrams_out) X(bytes_in) X(bytes_out) X(truncated) X(queued) X(dropped) \
  X(failed) X(icmp_errors)
/* clang-format on */
typedef struct torc_udp_stats {
#define X(name) uint64_t name;
  TORC_UDP_STATS(X)
#undef X
} torc_udp_stats;

/* Binds `local`; port 0: any. `read_buf` of TORC_UDP_BATCH * TORC_UDP_DATAGRAM_MAX bytes is shared
 * by all sockets of the loop and borrowed for its life. TORC_ERR_EXISTS: the port is taken.
 * TORC_ERR_IO, TORC_ERR_NOMEM. */
int torc_udp_open(torc_udp **out, uv_loop_t *loop, const torc_sock *local, uint8_t *read_buf,
                  const torc_udp_events *events, torc_udp_stats *stats) TORC_MUST_CHECK;
/* Frees it once libuv has let go of it; then calls `closed`. No event after this call. */
void torc_udp_close(torc_udp *u, void (*closed)(void *ctx), void *ctx);
/* Stops or resumes reading; what comes meanwhile waits in the kernel as far as there is room. */
void torc_udp_set_reading(torc_udp *u, bool on);
/* Address and port it is bound to. */
const torc_sock *torc_udp_local(const torc_udp *u);
/* 0: sent or queued. TORC_ERR_LIMIT: dropped, too much is queued. TORC_ERR_SPACE: longer than the
 * path takes. TORC_ERR_IO: no way to `remote`, or the address of this machine is gone. */
int torc_udp_send(torc_udp *u, const torc_sock *remote, torc_slice bytes) TORC_MUST_CHECK;

#endif

/* How a STUN server sees connections from the port of a listener. SPDX-License-Identifier:
 * Apache-2.0 */
#ifndef TORC_NETLAB_ICE_END_TCP_H
#define TORC_NETLAB_ICE_END_TCP_H

#include "ice_end_net.h"
#include "wire/stun_auth.h"

/* Waits for the answer, 2 s at most; the connection stays open. Family 0: none came. */
torc_addr ice_end_tcp_mapped(net *n, const torc_addr *listener, const torc_addr *server,
                             const torc_stun_crypto *crypto);

#endif

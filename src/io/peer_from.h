/* A peer on an overlay document that was read before.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_IO_PEER_FROM_H
#define TORC_IO_PEER_FROM_H

#include "io/net.h"
#include "io/overlay_xml.h"
#include "torc/peer.h"

/* As torc_peer_new. overlay: moved into the peer, empty afterwards; NULL: read from
 * cfg->overlay_file. limits: of the links; NULL: the defaults. */
int torc_peer_new_from(torc_peer **out, const torc_peer_config *cfg, torc_overlay *overlay,
                       const torc_net_limits *limits, char *err, size_t err_cap) TORC_MUST_CHECK;

/* Whether a document goes with what a peer has: a shared key or a certificate. TORC_ERR_CONFIG. */
int torc_overlay_fits_key(const torc_overlay *o, bool has_shared_key, char *err,
                          size_t err_cap) TORC_MUST_CHECK;

#endif

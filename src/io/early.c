/* Datagrams of DTLS that came before this side knew the selected pair: the other side knew it a
 * moment earlier. Without them the handshake would wait for a retransmission.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/slice.h"
#include "io/net_impl.h"

void torc_early_keep(torc_net *net, torc_ice_socket socket, const torc_addr *remote,
                     torc_slice bytes) {
  torc_early *e = &net->early[net->next_early % TORC_NET_EARLY_MAX];
  if (net->num_pending == 0 || bytes.len > sizeof e->bytes) {
    net->stats.udp_strangers++;
    return;
  }
  net->next_early++;
  torc_path_key_set(&e->path, socket, remote);
  e->at = torc_net_now();
  e->len = (uint16_t)bytes.len;
  memcpy(e->bytes, bytes.p, bytes.len);
  net->stats.early_kept++;
}

void torc_early_replay(torc_net *net, torc_dlink *d) {
  for (size_t i = 0; i < TORC_NET_EARLY_MAX && !d->is_over; i++) { /* oldest first */
    torc_early *e = &net->early[(net->next_early + i) % TORC_NET_EARLY_MAX];
    bool is_same = e->len > 0 && memcmp(&e->path, &d->path, sizeof e->path) == 0;
    if (is_same && torc_net_now() - e->at < TORC_NET_EARLY_AGE) {
      torc_slice bytes = torc_slice_of(e->bytes, e->len);
      torc_dtls_input(d->dtls, bytes, torc_net_now());
    }
    e->len = is_same ? 0 : e->len;
  }
}

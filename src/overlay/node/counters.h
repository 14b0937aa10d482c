/* Every counter of the node, by name; each drop has one (style 11).
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_NODE_COUNTERS_H
#define TORC_NODE_COUNTERS_H

/* clang-format off */
#define TORC_NODE_COUNTERS(X)                                                                     \
  X(messages_in) X(bytes_in) X(messages_out) X(bytes_out) X(messages_forwarded)                   \
  X(requests_received) X(responses_received) X(requests_sent) X(responses_sent)                   \
  X(retransmissions) X(timeouts) X(links_up) X(links_down) X(links_replaced)                      \
  X(links_idle_closed) X(links_expired) X(drop_not_reload) X(drop_header) X(drop_fragment)        \
  X(drop_overlay) X(drop_version) X(drop_ttl) X(drop_no_route) X(drop_via_full)                   \
  X(drop_too_long) X(drop_congested) X(drop_client_forward) X(drop_wildcard)                      \
  X(drop_no_transaction) X(drop_inbound_full) X(drop_error_rate) X(drop_unknown_link)             \
  X(drop_surplus_client) X(drop_response_bad) X(drop_route_loop) X(drop_duplicate)                \
  X(drop_glare) X(duplicates_answered) X(duplicate_evictions) X(signature_invalid)                \
  X(signature_missing) X(certificates_refused) X(certificates_cached) X(certificate_evictions)    \
  X(private_ids_made) X(private_ids_evicted) X(private_ids_expanded) X(jobs_sign)                 \
  X(jobs_verify) X(jobs_certificate) X(jobs_sync) X(jobs_failed) X(error_302) X(error_400)        \
  X(error_401) X(error_403) X(error_404) X(error_405) X(error_412) X(error_413) X(error_498)      \
  X(error_499) X(error_503) X(values_rejected) X(rollbacks_seen) X(replicas_given_up)             \
  X(transfers) X(transfer_failures) X(bootstrap_tries) X(bootstrap_failures) X(connects_sent)     \
  X(connects_received) X(connect_failures) X(keepalive_failures) X(no_memory) X(seen_evictions)   \
  X(redirects_followed) X(certificate_fetches) X(certificate_fetch_failures)                      \
  X(certificate_fetch_limits) X(certificate_misses) X(certificate_checks) X(certificate_stores)   \
  X(certificate_keep_failures) X(fragments_in) X(fragments_out) X(messages_split)                 \
  X(messages_reassembled) X(fragment_conflicts) X(fragment_timeouts) X(fragment_evictions)        \
  X(drop_fragment_ignored) X(drop_fragment_full) X(connections_made) X(connections_taken)              \
  X(connections_ended)
/* clang-format on */

typedef struct torc_node_stats {
#define X(name) uint64_t name;
  TORC_NODE_COUNTERS(X)
#undef X
} torc_node_stats;

#endif

/* A node driven by bytes: links, messages, time, jobs and memory as an input says. Used by the fuzz
 * target and by the ordinary test that replays what it once found. SPDX-License-Identifier:
 * Apache-2.0 */
#ifndef TORC_FUZZ_NODE_SCRIPT_H
#define TORC_FUZZ_NODE_SCRIPT_H

#include <stddef.h>
#include <stdint.h>

/* Runs the script; aborts (or fails the test) where the node breaks its word: a message that does
 * not decode, memory kept, a timer that never ends, a peer that is not served any more. */
void node_script_run(const uint8_t *data, size_t len);

#endif

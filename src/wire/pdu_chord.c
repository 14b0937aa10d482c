/* UPDATE payloads of the topologies.
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/id.h"
#include "base/slice.h"
#include "wire/header.h"
#include "wire/id_list.h"
#include "wire/pdu.h"

/* 255 bytes hold 15 ids and no more: [GAP-113] is the prefix's own ceiling. */
static size_t chord_list_get(torc_rd *rd, torc_id ids[TORC_CHORD_LIST_MAX]) {
  torc_slice list = torc_rd_vec8(rd);
  size_t num = torc_id_list_len(list);
  if (!torc_id_list_is_sound(list)) {
    torc_rd_fail(rd, TORC_ERR_FORMAT);
    return 0;
  }
  for (size_t i = 0; i < num; i++) {
    ids[i] = torc_id_list_at(list, i);
  }
  return num;
}

/* [CHD-20] "UPDATEs"; nearest first, empty lists allowed [GAP-113]. */
int torc_chord_update_decode(torc_chord_update *out, torc_slice payload) {
  torc_rd rd;
  out->num_predecessors = 0;
  out->num_successors = 0;
  torc_rd_init(&rd, payload);
  out->num_predecessors = chord_list_get(&rd, out->predecessors);
  out->num_successors = chord_list_get(&rd, out->successors);
  return torc_rd_finish(&rd);
}

static int chord_list_put(torc_wr *wr, const torc_id *ids, size_t num) {
  size_t mark;
  if (num > TORC_CHORD_LIST_MAX) {
    return TORC_ERR_LIMIT;
  }
  mark = torc_wr_begin_u8(wr);
  for (size_t i = 0; i < num; i++) {
    if (!torc_id_is_peer(&ids[i])) {
      return TORC_ERR_INVALID;
    }
    torc_wr_id(wr, &ids[i]);
  }
  torc_wr_end_u8(wr, mark);
  return wr->err;
}

int torc_chord_update_put(torc_wr *wr, const torc_chord_update *u) {
  int rc = chord_list_put(wr, u->predecessors, u->num_predecessors);
  if (rc != 0) {
    return rc;
  }
  return chord_list_put(wr, u->successors, u->num_successors);
}

int torc_mesh_update_decode(torc_slice *peers, torc_slice payload) {
  torc_rd rd;
  torc_slice list;
  torc_rd_init(&rd, payload);
  list = torc_rd_vec16(&rd);
  if (!torc_id_list_is_sound(list)) {
    torc_rd_fail(&rd, TORC_ERR_FORMAT);
  }
  if (torc_rd_finish(&rd) == 0) {
    *peers = list;
  }
  return rd.err;
}

int torc_mesh_update_put(torc_wr *wr, torc_slice peers) {
  if (!torc_id_list_is_sound(peers)) {
    return TORC_ERR_INVALID;
  }
  torc_wr_vec16(wr, peers);
  return wr->err;
}

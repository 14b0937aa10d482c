/* CONNECT: connect_data. What a candidate string says is candidate.c's matter.
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/slice.h"
#include "wire/pdu.h"

/* [CON-05]: a candidate is a string in a vector. */
bool torc_candidate_next(torc_rd *rd, torc_slice *candidate_string) {
  torc_slice s;
  if (torc_rd_left(rd) == 0) {
    return false;
  }
  s = torc_rd_string(rd);
  if (rd->err != 0) {
    return false;
  }
  *candidate_string = s;
  return true;
}

/* [CON-04] "CONNECT / Request Definition". The strings are UTF-8 without NUL [GAP-10]; the values
 * of fingerprint [GAP-72] and role [GAP-73] are judged by whoever makes the link. */
int torc_connect_decode(torc_connect_data *out, torc_slice payload) {
  torc_connect_data c = {0};
  torc_slice candidate;
  torc_rd rd;
  torc_rd list;
  torc_rd_init(&rd, payload);
  c.ufrag = torc_rd_string(&rd); /* [CON-06] */
  c.password = torc_rd_string(&rd);
  c.application = torc_rd_u16(&rd);    /* [CON-07] [GAP-70] */
  c.fingerprint = torc_rd_string(&rd); /* [CON-08] */
  c.role = torc_rd_string(&rd);        /* [CON-09] */
  c.candidates = torc_rd_vec16(&rd);
  if (torc_rd_finish(&rd) != 0) {
    return rd.err;
  }
  if (c.candidates.len == 0) { /* "one or more" [CON-10] */
    return TORC_ERR_FORMAT;
  }
  torc_rd_init(&list, c.candidates);
  while (torc_candidate_next(&list, &candidate)) {
  }
  if (list.err == 0) {
    *out = c;
  }
  return list.err;
}

int torc_connect_put(torc_wr *wr, const torc_connect_data *c, const torc_slice *candidates,
                     size_t num_candidates) {
  size_t mark;
  if (num_candidates == 0 || !torc_utf8_valid(c->ufrag) || !torc_utf8_valid(c->password) ||
      !torc_utf8_valid(c->fingerprint) || !torc_utf8_valid(c->role)) {
    return TORC_ERR_INVALID;
  }
  torc_wr_vec16(wr, c->ufrag);
  torc_wr_vec16(wr, c->password);
  torc_wr_u16(wr, c->application);
  torc_wr_vec16(wr, c->fingerprint);
  torc_wr_vec16(wr, c->role);
  mark = torc_wr_begin_u16(wr);
  for (size_t i = 0; i < num_candidates; i++) {
    if (!torc_utf8_valid(candidates[i])) {
      return TORC_ERR_INVALID;
    }
    torc_wr_vec16(wr, candidates[i]);
  }
  torc_wr_end_u16(wr, mark);
  return wr->err;
}

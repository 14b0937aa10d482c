/* PING.
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/slice.h"
#include "wire/pdu.h"

#define PRIVATE_LAST 0xffu /* */

/* [PNG-03] [PNG-04]: codes of one byte; what they mean is for the responder, which answers each
 * once and leaves out what it does not know [PNG-10]. */
int torc_ping_request_decode(torc_slice *codes, torc_slice payload) {
  torc_rd rd;
  torc_slice list;
  torc_rd_init(&rd, payload);
  list = torc_rd_vec8(&rd);
  if (torc_rd_finish(&rd) == 0) {
    *codes = list;
  }
  return rd.err;
}

int torc_ping_request_put(torc_wr *wr, torc_slice codes) {
  torc_wr_vec8(wr, codes);
  return wr->err;
}

/* [PNG-07]; `infos` is walked once so that a known element cut short is found here. */
int torc_ping_response_decode(torc_ping_response *out, torc_slice payload) {
  torc_ping_response r = {0};
  torc_ping_info info;
  torc_rd rd;
  torc_rd infos;
  torc_rd_init(&rd, payload);
  r.response_id = torc_rd_u64(&rd); /* random, tells multicast answers apart [PNG-08] */
  r.infos = torc_rd_vec16(&rd);
  if (torc_rd_finish(&rd) != 0) {
    return rd.err;
  }
  torc_rd_init(&infos, r.infos);
  while (torc_ping_info_next(&infos, &info)) {
  }
  if (infos.err == 0) {
    *out = r;
  }
  return infos.err;
}

static bool is_private(uint16_t type) {
  return type >= TORC_PING_PRIVATE_FIRST && type <= PRIVATE_LAST;
}

/* [PNG-09]: a type of 16 bits, then its value without a length [ENC-10] [GAP-65]. */
bool torc_ping_info_next(torc_rd *rd, torc_ping_info *out) {
  torc_ping_info i = {0};
  if (torc_rd_left(rd) == 0) {
    return false;
  }
  i.type = torc_rd_u16(rd);
  if (i.type == TORC_PING_RESPONSIBLE_SET || i.type == TORC_PING_NUM_RESOURCES) {
    i.number = torc_rd_u32(rd);
  } else if (is_private(i.type)) {
    i.opaque = torc_rd_vec8(rd); /* */
  } else if (rd->err == 0) {
    rd->p = rd->end; /* of unknown size: so is what follows [GAP-65] */
    return false;
  }
  if (rd->err != 0) {
    return false;
  }
  *out = i;
  return true;
}

size_t torc_ping_response_begin(torc_wr *wr, uint64_t response_id) {
  torc_wr_u64(wr, response_id);
  return torc_wr_begin_u16(wr);
}

int torc_ping_info_put(torc_wr *wr, const torc_ping_info *i) {
  if (i->type == TORC_PING_RESPONSIBLE_SET || i->type == TORC_PING_NUM_RESOURCES) {
    torc_wr_u16(wr, i->type);
    torc_wr_u32(wr, i->number);
    return wr->err;
  }
  if (is_private(i->type)) {
    torc_wr_u16(wr, i->type);
    torc_wr_vec8(wr, i->opaque);
    return wr->err;
  }
  return TORC_ERR_INVALID;
}

void torc_ping_response_end(torc_wr *wr, size_t mark) {
  torc_wr_end_u16(wr, mark);
}

/* Entries of the route log.
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/slice.h"
#include "wire/pdu.h"

/* [LOG-05] [LOG-06] [LOG-07]; entries stand in path order and each parses alone [LOG-02] [LOG-04].
 */
bool torc_route_log_next(torc_rd *rd, torc_route_log_entry *out) {
  torc_route_log_entry e = {.transport = 0};
  int rc;
  if (torc_rd_left(rd) == 0) {
    return false;
  }
  e.version = torc_rd_string(rd); /* */
  e.transport = torc_rd_u8(rd);
  e.id = torc_rd_id(rd);
  e.uptime_s = torc_rd_u32(rd);
  e.certificate = torc_rd_vec16(rd); /* empty: left out [LOG-08] */
  rc = torc_addr_get(rd, &e.address);
  if (rc != 0) {
    return false;
  }
  *out = e;
  return true;
}

int torc_route_log_entry_put(torc_wr *wr, const torc_route_log_entry *e) {
  if (!torc_utf8_valid(e->version)) {
    return TORC_ERR_INVALID;
  }
  torc_wr_vec16(wr, e->version);
  torc_wr_u8(wr, e->transport);
  torc_wr_id(wr, &e->id);
  torc_wr_u32(wr, e->uptime_s);
  torc_wr_vec16(wr, e->certificate);
  return torc_addr_put(wr, &e->address);
}

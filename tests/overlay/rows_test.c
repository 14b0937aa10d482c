/* Rows that speak about the node as a whole.
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/id.h"
#include "overlay/helper_node.h"
#include "torc_test.h"

#define ASKER 0x20
#define OTHER_NAME "other.example"

static nt_msg ping(nt *h) {
  nt_msg m;
  nt_request(h, &m, ASKER, TORC_METHOD_PING, nt_ping_payload(h));
  nt_route(&m, &torc_id_wildcard);
  return m;
}

static void rename_overlay(torc_node_config *c, void *ctx) {
  c->overlay_name = ctx;
}

/* One process, two overlays, two algorithms: each node answers its own and refuses the other's. */
static void test_two_overlays(void **state) {
  char name[] = OTHER_NAME;
  nt_options options = {.algorithm = "full-mesh", .tweak = rename_overlay, .ctx = name};
  nt *here = nt_ring(NULL);
  nt *there = nt_ring(&options);
  torc_link_id link_here = nt_up(here, ASKER);
  torc_link_id link_there = nt_up(there, ASKER);
  (void)state;
  nt_clear(here);
  nt_clear(there);
  for (int round = 0; round < 2; round++) {
    nt_msg m = ping(here);
    nt_input(here, link_here, &m);
    nt_out *ours = nt_expect(here, link_here, &m, TORC_CODE_OK);
    assert_int_equal(ours->hdr.overlay, NT_OVERLAY_CRC);
    m = ping(there);
    nt_input(there, link_there, &m);
    nt_out *theirs = nt_take_xid(there, m.hdr.xid);
    assert_non_null(theirs);
    assert_int_equal(theirs->c.code, TORC_CODE_INCOMPATIBLE);
    assert_int_not_equal(theirs->hdr.overlay, NT_OVERLAY_CRC);
    /* The same request with that overlay's number is answered. */
    uint32_t overlay = theirs->hdr.overlay;
    m = ping(there);
    m.hdr.overlay = overlay;
    nt_input(there, link_there, &m);
    theirs = nt_take_xid(there, m.hdr.xid);
    assert_non_null(theirs);
    assert_int_equal(theirs->c.code, TORC_CODE_OK);
    assert_int_equal(theirs->hdr.overlay, overlay);
  }
  nt_free(there);
  nt_free(here);
}

static void test_one_answer(void **state) {
  nt *h = nt_ring(NULL);
  torc_link_id link = nt_up(h, ASKER);
  (void)state;
  nt_clear(h);
  for (int i = 0; i < 3; i++) {
    nt_msg m = ping(h);
    nt_input(h, link, &m);
    nt_advance(h, TORC_SEC(1));
    (void)nt_expect(h, link, &m, TORC_CODE_OK);
    assert_null(nt_take_xid(h, m.hdr.xid));
  }
  nt_free(h);
}

int main(void) {
  static const struct CMUnitTest tests[] = {
      TORC_TEST("ARC-08 ARC-20 GAP-140 one process in two overlays", test_two_overlays),
      TORC_TEST("GAP-68 PNG-02 one answer to each PING", test_one_answer),
  };
  return TORC_RUN(tests);
}

/* A machine whose addresses cannot be found out, as in a sandbox without netlink.
 * SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <stdio.h>

#include "base/log.h"
#include "io/helper_net.h"
#include "io/helper_ring.h"
#include "torc_test.h"
#include "wire/contents.h"

/* In place of libuv's: an error, no interface, or the one of `fake`. */
static int interfaces_rc, num_interfaces;
static uv_interface_address_t fake;

int uv_interface_addresses(uv_interface_address_t **list, int *count) {
  *list = &fake;
  *count = num_interfaces;
  return interfaces_rc;
}

void uv_free_interface_addresses(uv_interface_address_t *list, int count) {
  (void)list;
  (void)count;
}

typedef struct told {
  size_t num, num_node_failed;
  char fix[256];
} told;

static void on_event(void *ctx, torc_log_level level, const char *name, const torc_field *fields,
                     size_t num) {
  told *t = ctx;
  (void)level;
  if (strcmp(name, "io:node_failed") == 0) {
    t->num_node_failed++;
  }
  if (strcmp(name, "io:no_own_address") == 0) {
    t->num++;
    assert_int_equal(num, 1);
    assert_string_equal(fields[0].key, "fix");
    snprintf(t->fix, sizeof t->fix, "%s", fields[0].v.str);
  }
}

static void appear(bool is_there) {
  interfaces_rc = is_there ? 0 : UV_EAFNOSUPPORT;
  num_interfaces = is_there ? 1 : 0;
  fake.address.address4.sin_family = AF_INET;
  fake.address.address4.sin_addr.s_addr = htonl(0xc0000207); /* 192.0.2.7 */
}

/* Told once until there are addresses again, however many CONNECTs come. */
static void test_net(void **state) {
  (void)state;
  hn_world w;
  told t = {.num = 0};
  torc_log log = {.ctx = &t, .level = TORC_LOG_INFO, .event = on_event};
  torc_net_params offer;
  torc_net_params answer;
  appear(true);
  hn_open(&w);
  hn_end *all = hn_add(&w, 1, "0.0.0.0:0");
  hn_end *other = hn_add(&w, 2, "127.0.0.1:0");
  all->net->log = &log;
  assert_int_equal(torc_net_offer(all->net, 1, TORC_APPLICATION_RELOAD, &offer), 0);
  assert_int_equal(offer.p.num_candidates, 2); /* to be dialled, and to dial from */
  for (int round = 1; round <= 2; round++) {
    appear(false);
    if (round == 2) { /* no error, and none there */
      interfaces_rc = 0;
    }
    assert_int_equal(torc_net_offer(all->net, 1, TORC_APPLICATION_RELOAD, &offer), TORC_ERR_CONFIG);
    assert_int_equal(torc_net_offer(all->net, 1, TORC_APPLICATION_RELOAD, &offer), TORC_ERR_CONFIG);
    assert_int_equal(t.num, round);
    appear(true);
    assert_int_equal(torc_net_offer(all->net, 1, TORC_APPLICATION_RELOAD, &offer), 0);
  }
  appear(false);
  assert_int_equal(torc_net_advertise(other->net, "192.0.2.9:6084", NULL, 0), 0);
  assert_int_equal(torc_net_offer(other->net, 2, TORC_APPLICATION_RELOAD, &offer),
                   0); /* needs to ask nobody */
  assert_int_equal(torc_net_answer(all->net, 7, &offer.p, &answer), TORC_CODE_UNAVAILABLE);
  assert_int_equal(all->net->num_pending, 3); /* the offers, which nobody has answered */
  assert_int_equal(all->net->stats.no_own_address, 5);
  assert_int_equal(t.num, 3);
  assert_non_null(strstr(t.fix, "listen"));
  assert_non_null(strstr(t.fix, "advertise"));
  hn_close(&w);
}

/* The call ends, and nothing else is logged. */
static void test_peer(void **state) {
  (void)state;
  hr_ring r;
  told t = {.num = 0};
  torc_log log = {.ctx = &t, .level = TORC_LOG_INFO, .event = on_event};
  torc_peer_config cfg;
  torc_done done;
  torc_token token = 0;
  appear(true);
  hr_open(&r, "chord-128-2-8");
  (void)hr_add(&r, TORC_ROLE_PEER);
  (void)hr_add(&r, TORC_ROLE_PEER);
  assert_true(hr_join(&r, 20000));
  hr_config(&r, 2, &cfg);
  cfg.role = TORC_ROLE_CLIENT;
  cfg.listen[0] = NULL;
  cfg.log = &log;
  appear(false);
  torc_peer *client = hr_add_with(&r, &cfg);
  assert_true(hr_join(&r, 20000));
  const torc_id *far = &torc_peer_cert(r.peers[1])->peers[0];
  assert_int_equal(torc_node_connect(torc_peer_node(client), far, 1, torc_peer_now(client), &token),
                   0);
  torc_peer_flush(client);
  assert_int_equal(hr_wait(&r, 2, token, 5000, &done), TORC_ERR_CONFIG);
  assert_int_equal(t.num, 1);
  assert_int_equal(t.num_node_failed, 0);
  assert_int_equal(hr_counter(client, "io_node_failures"), 0);
  hr_close(&r);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TORC_TEST("CON-10 CON-11 no address of this machine to offer or to answer with", test_net),
      TORC_TEST("CON-10 D-40 a CONNECT without an own address ends with its reason", test_peer),
  };
  return TORC_RUN(tests);
}

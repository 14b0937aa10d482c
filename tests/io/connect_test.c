/* CONNECT between two ends: roles, candidates, fingerprints.
 * SPDX-License-Identifier: Apache-2.0 */
#include <openssl/sha.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/id.h"
#include "base/slice.h"
#include "io/helper_net.h"
#include "torc_test.h"
#include "wire/contents.h"
#include "wire/pdu.h"

static hn_world w; /* of the test that runs */

static int begin(void **state) {
  (void)state;
  hn_open(&w);
  return 0;
}

static int end(void **state) {
  (void)state;
  hn_close(&w);
  return 0;
}

/* Requester r and answerer a exchange parameters as the node would carry them, then go on. */
static void run_connect(hn_end *r, hn_end *a, const torc_id *rid, const torc_id *aid) {
  torc_net_params offer;
  torc_net_params answer;
  assert_int_equal(torc_net_offer(r->net, 11, TORC_APPLICATION_RELOAD, &offer), 0);
  assert_int_equal(torc_net_answer(a->net, 22, &offer.p, &answer), 0);
  torc_net_accept(a->net, 22, rid);
  torc_net_connect(r->net, 11, aid, &answer.p);
}

static void expect_linked(hn_end *r, hn_end *a, const torc_id *rid, const torc_id *aid) {
  hn_wait(&w, &r->num_ups, 1);
  hn_wait(&w, &a->num_ups, 1);
  assert_int_equal(r->ups[0].token, 11);
  assert_int_equal(a->ups[0].token, 22);
  assert_true(torc_id_eq(&r->ups[0].peer, aid));
  assert_true(torc_id_eq(&a->ups[0].peer, rid));
  hn_run(&w, 5);
  assert_int_equal(r->num_failed + a->num_failed, 0);
  assert_int_equal(r->net->num_pending, 0);
  assert_int_equal(a->net->num_pending, 0);
}

static void both(const char *r_listen, const char *a_listen) {
  torc_id rid = hp_id(1);
  torc_id aid = hp_id(2);
  hn_end *r = hn_add(&w, 1, r_listen);
  hn_end *a = hn_add(&w, 2, a_listen);
  if (r_listen ==
      NULL) { /* only who lives on loopback dials there: a bootstrap link shows that it does */
    hn_end *boot = hn_add(&w, 3, "127.0.0.1:0");
    torc_link_id l1, l2;
    hn_link(&w, r, boot, &l1, &l2);
    r->num_ups = 0;
  }
  run_connect(r, a, &rid, &aid);
  expect_linked(r, a, &rid, &aid);
  assert_int_equal(r->net->stats.pairs_tcp, 1);
  assert_int_equal(a->net->stats.pairs_tcp, 1);
}

static void test_both_listen(void **state) {
  (void)state;
  both("127.0.0.1:0", "127.0.0.1:0");
}

static void test_ipv6(void **state) {
  (void)state;
  both("[::1]:0", "[::1]:0");
}

static void test_only_answerer_listens(void **state) {
  (void)state;
  both(NULL, "127.0.0.1:0");
}

static void test_wildcard(void **state) {
  (void)state;
  torc_net_params offer;
  torc_sock own[8];
  hn_end *r = hn_add(&w, 1, "0.0.0.0:0");
  size_t num = torc_sock_interfaces(AF_INET, torc_net_port(r->net, 0), own, 8);
  assert_int_equal(torc_net_offer(r->net, 11, TORC_APPLICATION_RELOAD, &offer), 0);
  assert_true(offer.p.num_candidates >= num);
  for (size_t i = 0; i < num; i++) {
    torc_candidate c;
    char host[TORC_SOCK_TEXT];
    torc_sock_host(&own[i], host);
    assert_int_equal(torc_candidate_parse(torc_slice_str(offer.p.candidates[i]), &c), 0);
    assert_true(torc_slice_eq(c.host, torc_slice_str(host)));
  }
}

/* ---- own parameters ---- */

static void expect_candidate(const char *text, torc_cand_transport transport,
                             torc_cand_tcptype tcptype, const char *host, uint16_t port) {
  torc_candidate c;
  assert_int_equal(torc_candidate_parse(torc_slice_str(text), &c), 0);
  assert_int_equal(c.component, 1);
  assert_int_equal(c.type, TORC_CAND_HOST);
  assert_int_equal(c.transport, transport);
  assert_int_equal(c.tcptype, tcptype);
  assert_true(torc_slice_eq(c.host, torc_slice_str(host)));
  assert_int_equal(c.addr.port, port);
}

static void test_offer(void **state) {
  (void)state;
  hn_end *e = hn_add(&w, 1, "127.0.0.1:0");
  torc_net_params p;
  torc_net_params q;
  char want[160];
  assert_int_equal(torc_net_offer(e->net, 1, TORC_APPLICATION_RELOAD, &p), 0);
  assert_int_equal(torc_net_offer(e->net, 2, TORC_APPLICATION_RELOAD, &q), 0);
  assert_string_equal(p.p.role, "passive");
  assert_int_equal(p.p.application, 6084);
  assert_true(strlen(p.p.ufrag) >= 4 && strlen(p.p.password) >= 22);
  assert_string_not_equal(p.p.ufrag, q.p.ufrag);
  assert_string_not_equal(p.p.password, q.p.password);
  uint16_t port = torc_net_port(e->net, 0);
  assert_int_equal(p.p.num_candidates, 3);
  expect_candidate(p.p.candidates[0], TORC_CAND_TCP, TORC_TCPTYPE_PASSIVE, "127.0.0.1", port);
  expect_candidate(p.p.candidates[1], TORC_CAND_TCP, TORC_TCPTYPE_ACTIVE, "127.0.0.1", 9);
  expect_candidate(p.p.candidates[2], TORC_CAND_UDP, TORC_TCPTYPE_NONE, "127.0.0.1",
                   torc_net_datagram_port(e->net));
  uint8_t digest[32];
  torc_slice der = torc_pki_own_cert(e->pki)->der;
  size_t n = (size_t)snprintf(want, sizeof want, "sha-256 ");
  SHA256(der.p, der.len, digest);
  for (size_t i = 0; i < sizeof digest; i++) {
    n += (size_t)snprintf(want + n, sizeof want - n, i == 0 ? "%02X" : ":%02X", digest[i]);
  }
  assert_string_equal(p.p.fingerprint, want);
}

static void test_offer_active(void **state) {
  (void)state;
  hn_end *e = hn_add(&w, 1, NULL);
  torc_net_params p;
  torc_candidate c;
  assert_int_equal(torc_net_offer(e->net, 1, TORC_APPLICATION_RELOAD, &p), 0);
  assert_string_equal(p.p.role, "passive"); /* of TLS only [ICE-24] */
  assert_true(p.p.num_candidates >= 1);
  assert_int_equal(torc_candidate_parse(torc_slice_str(p.p.candidates[0]), &c), 0);
  assert_int_equal(c.tcptype, TORC_TCPTYPE_ACTIVE);
  assert_int_equal(c.addr.port, 9);
}

static void test_advertised(void **state) {
  (void)state;
  hn_end *e = hn_add(&w, 1, "127.0.0.1:0");
  torc_net_params p;
  char err[200] = "";
  assert_int_equal(torc_net_advertise(e->net, "192.0.2.1:6084", err, sizeof err), 0);
  assert_int_equal(torc_net_advertise(e->net, "[2001:db8::1]:6084", err, sizeof err), 0);
  assert_int_equal(torc_net_offer(e->net, 1, TORC_APPLICATION_RELOAD, &p), 0);
  assert_int_equal(p.p.num_candidates, 4);
  expect_candidate(p.p.candidates[0], TORC_CAND_TCP, TORC_TCPTYPE_PASSIVE, "192.0.2.1", 6084);
  expect_candidate(p.p.candidates[1], TORC_CAND_TCP, TORC_TCPTYPE_PASSIVE, "2001:db8::1", 6084);
  expect_candidate(p.p.candidates[2], TORC_CAND_TCP, TORC_TCPTYPE_ACTIVE, "127.0.0.1", 9);
  for (int i = 0; i < 6; i++) {
    assert_int_equal(torc_net_advertise(e->net, "192.0.2.1:6084", err, sizeof err), 0);
  }
  assert_int_equal(torc_net_advertise(e->net, "192.0.2.1:6084", err, sizeof err), TORC_ERR_LIMIT);
}

/* ---- what is answered ---- */

#define FP32                                                           \
  "00:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F:10:11:12:13:14:15:" \
  "16:17:18:19:1a:1b:1c:1d:1e:1f"
#define GOOD_CANDIDATE "candidate:1 1 TCP 100 192.0.2.9 6084 typ host tcptype passive"
#define ACTIVE_CANDIDATE "candidate:1 1 TCP 100 192.0.2.9 9 typ host tcptype active"

typedef struct answer_case {
  const char *role, *fingerprint;
  const char *candidates[4];
  uint16_t refuse;
  const char *answer_role;
} answer_case;

static answer_case answers[] = {
    {"passive", "sha-256 " FP32, {GOOD_CANDIDATE}, 0, "active"},
    {"actpass", "sha-256 " FP32, {GOOD_CANDIDATE}, 0, "active"},
    {"active", "sha-256 " FP32, {GOOD_CANDIDATE}, 0, "passive"},
    {"active", "sha-256 " FP32, {ACTIVE_CANDIDATE}, 0, "passive"},
    {"holdconn", "sha-256 " FP32, {GOOD_CANDIDATE}, 400, NULL},
    {"", "sha-256 " FP32, {GOOD_CANDIDATE}, 400, NULL},
    {"PASSIVE!", "sha-256 " FP32, {GOOD_CANDIDATE}, 400, NULL},
    {"passive", "sha-256 " FP32, {NULL}, 400, NULL},
    {"passive", "sha-256 " FP32, {ACTIVE_CANDIDATE}, 0, "active"},
    {"passive", "sha-256 " FP32, {"nonsense"}, 400, NULL},
    {"passive", "sha-256 " FP32, {"nonsense", GOOD_CANDIDATE}, 0, "active"},
    {"passive", "sha-256 " FP32, {"a=" GOOD_CANDIDATE}, 0, "active"},
    {"passive",
     "sha-256 " FP32,
     {"candidate:1 1 tcp-pass 100 192.0.2.9 6084 typ host"},
     0,
     "active"},
    {"passive", "sha-256 " FP32, {"candidate:1 1 UDP 100 192.0.2.9 6084 typ host"}, 0, "active"},
    {"passive",
     "sha-256 " FP32,
     {"candidate:1 2 TCP 100 192.0.2.9 6084 typ host tcptype passive"},
     400,
     NULL},
    {"passive",
     "sha-256 " FP32,
     {"candidate:1 1 TCP 100 192.0.2.9 6084 typ relay tcptype passive"},
     0,
     "active"},
    {"passive",
     "sha-256 " FP32,
     {"candidate:1 1 TCP 100 192.0.2.9 0 typ host tcptype passive"},
     400,
     NULL},
    {"passive",
     "sha-256 " FP32,
     {"candidate:1 1 TCP 100 0.0.0.0 6084 typ host tcptype passive"},
     400,
     NULL},
    {"passive",
     "sha-256 " FP32,
     {"candidate:1 1 TCP 100 224.0.0.1 6084 typ host tcptype passive"},
     400,
     NULL},
    {"passive",
     "sha-256 " FP32,
     {"candidate:1 1 TCP 100 255.255.255.255 6084 typ host tcptype passive"},
     400,
     NULL},
    {"passive",
     "sha-256 " FP32,
     {"candidate:1 1 TCP 100 ff02::1 6084 typ host tcptype passive"},
     400,
     NULL},
    {"passive",
     "sha-256 " FP32,
     {"candidate:1 1 TCP 100 fe80::1 6084 typ host tcptype passive"},
     400,
     NULL},
    {"passive",
     "sha-256 " FP32,
     {"candidate:1 1 TCP 100 :: 6084 typ host tcptype passive"},
     400,
     NULL},
    {"passive",
     "sha-256 " FP32,
     {"candidate:1 1 TCP 100 ::ffff:224.0.0.1 6084 typ host tcptype passive"},
     400,
     NULL},
    {"passive",
     "sha-256 " FP32,
     {"candidate:1 1 TCP 100 abc.local 6084 typ host tcptype passive"},
     0,
     "active"},
    {"passive",
     "sha-256 " FP32,
     {"candidate:1 1 TCP 100 abc.example.org 6084 typ host tcptype passive"},
     400,
     NULL},
    {"passive",
     "sha-256 " FP32,
     {"candidate:1 1 UDP 100 "
      "a-name-that-is-longer-than-sixty-three-characters-cannot-be-meant.local 6084 typ host"},
     400,
     NULL},
    {"passive", "", {GOOD_CANDIDATE}, 400, NULL},
    {"passive", "sha-256", {GOOD_CANDIDATE}, 400, NULL},
    {"passive", "sha-256 00", {GOOD_CANDIDATE}, 400, NULL},
    {"passive", "md5 00:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F", {GOOD_CANDIDATE}, 400, NULL},
    {"passive", "sha-1 " FP32, {GOOD_CANDIDATE}, 400, NULL},
    {"passive", "sha-256 " FP32 ":20", {GOOD_CANDIDATE}, 400, NULL},
    {"passive", "SHA-256 " FP32, {GOOD_CANDIDATE}, 0, "active"},
    {"passive",
     "sha-1 00:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F:10:11:12:13",
     {GOOD_CANDIDATE},
     0,
     "active"},
    {"passive",
     "sha-1 00-01-02-03-04-05-06-07-08-09-0A-0B-0C-0D-0E-0F-10-11-12-13",
     {GOOD_CANDIDATE},
     400,
     NULL},
};

static void fill(torc_connect_params *p, const char *role, const char *fingerprint,
                 const char *const *candidates, size_t max) {
  memset(p, 0, sizeof *p);
  snprintf(p->ufrag, sizeof p->ufrag, "abcd");
  snprintf(p->password, sizeof p->password, "0123456789012345678901");
  snprintf(p->role, sizeof p->role, "%s", role);
  snprintf(p->fingerprint, sizeof p->fingerprint, "%s", fingerprint);
  p->application = 6084;
  while (p->num_candidates < max && candidates[p->num_candidates] != NULL) {
    p->candidates[p->num_candidates] = candidates[p->num_candidates];
    p->num_candidates++;
  }
}

static void test_answers(void **state) {
  (void)state;
  hn_end *e = hn_add(&w, 1, "127.0.0.1:0");
  for (size_t i = 0; i < TORC_ARRAY_LEN(answers); i++) {
    const answer_case *a = &answers[i];
    torc_connect_params remote;
    torc_net_params out;
    fill(&remote, a->role, a->fingerprint, a->candidates, TORC_ARRAY_LEN(a->candidates));
    uint16_t code = torc_net_answer(e->net, i + 1, &remote, &out);
    if (code != a->refuse) {
      fail_msg("case %zu: %u instead of %u", i, (unsigned)code, (unsigned)a->refuse);
    }
    if (code == 0) {
      assert_string_equal(out.p.role, a->answer_role);
      assert_true(out.p.num_candidates >= 1);
    }
  }
}

/* [ICE-01] TCP cannot be had where nobody listens; UDP can. */
static void test_nobody_listens(void **state) {
  (void)state;
  torc_id rid = hp_id(1);
  torc_id aid = hp_id(2);
  hn_end *r = hn_add(&w, 1, NULL);
  hn_end *a = hn_add(&w, 2, NULL);
  run_connect(r, a, &rid, &aid);
  expect_linked(r, a, &rid, &aid);
  assert_int_equal(r->net->stats.pairs_udp, 1);
  assert_int_equal(a->net->stats.pairs_udp, 1);
}

/* One of the two is ready before the other has judged its certificate, and hears of it later. */
static void expect_gone(const hn_end *e) {
  uint64_t end_at = uv_hrtime() + 10000000000u;
  while (e->num_downs + e->num_failed == 0 && uv_hrtime() < end_at) {
    hn_run(&w, 1);
  }
  assert_int_equal(e->num_downs + e->num_failed, 1);
  assert_int_equal(e->num_downs, e->num_ups);
}

/* ---- links of datagrams ---- */

/* Takes the candidates of a transport out. */
static void strip(torc_net_params *p, const char *transport) {
  size_t num = 0;
  for (size_t i = 0; i < p->p.num_candidates; i++) {
    if (strstr(p->p.candidates[i], transport) == NULL) {
      p->p.candidates[num] = p->p.candidates[i];
      num++;
    }
  }
  p->p.num_candidates = num;
}

static void connect_udp(hn_end *r, hn_end *a, torc_token rt, torc_token at) {
  torc_net_params offer;
  torc_net_params answer;
  const torc_id rid = torc_pki_own_cert(r->pki)->peers[0];
  const torc_id aid = torc_pki_own_cert(a->pki)->peers[0];
  assert_int_equal(torc_net_offer(r->net, rt, TORC_APPLICATION_RELOAD, &offer), 0);
  strip(&offer, " TCP ");
  assert_int_equal(torc_net_answer(a->net, at, &offer.p, &answer), 0);
  strip(&answer, " TCP ");
  torc_net_accept(a->net, at, &rid);
  torc_net_connect(r->net, rt, &aid, &answer.p);
}

static void both_udp(const char *listen) {
  torc_id rid = hp_id(1);
  torc_id aid = hp_id(2);
  uint8_t msg[1000];
  hn_end *r = hn_add(&w, 1, listen);
  hn_end *a = hn_add(&w, 2, listen);
  connect_udp(r, a, 11, 22);
  expect_linked(r, a, &rid, &aid);
  assert_int_equal(r->ups[0].kind, TORC_LINK_DTLS);
  assert_int_equal(a->ups[0].kind, TORC_LINK_DTLS);
  assert_in_range(r->ups[0].mtu, 1000, 1200);
  assert_true(torc_net_datagram_port(r->net) != 0);
  a->is_echo = true;
  for (size_t i = 1; i <= 20; i++) {
    size_t len = 40 * i;
    hn_message(msg, len, (uint8_t)i);
    torc_net_send(r->net, r->ups[0].link, torc_slice_of(msg, 30),
                  torc_slice_of(msg + 30, len - 30));
    hn_wait(&w, &r->num_messages, i);
    assert_int_equal(r->last_len, len);
    assert_memory_equal(r->last_message, msg, len);
  }
  torc_net_close(r->net, r->ups[0].link);
  hn_wait(&w, &a->num_downs, 1);
  hn_wait(&w, &r->num_downs, 1);
  assert_int_equal(a->down_rcs[0], TORC_ERR_CLOSED);
  hn_run(&w, 5);
  assert_int_equal(r->net->num_dlinks + a->net->num_dlinks, 0);
  assert_int_equal(r->net->paths.len + a->net->paths.len, 0);
}

static void test_udp(void **state) {
  (void)state;
  both_udp("127.0.0.1:0");
}

static void test_udp_ipv6(void **state) {
  (void)state;
  both_udp("[::1]:0");
}

/* A second CONNECT of the same two over the same two sockets: the old link serves until the new one
 * is up [GAP-74]. */
static void test_udp_again(void **state) {
  (void)state;
  uint8_t msg[100];
  hn_end *r = hn_add(&w, 1, "127.0.0.1:0");
  hn_end *a = hn_add(&w, 2, "127.0.0.1:0");
  connect_udp(r, a, 1, 2);
  hn_wait(&w, &r->num_ups, 1);
  hn_wait(&w, &a->num_ups, 1);
  for (size_t i = 1; i <= 5; i++) {
    connect_udp(i % 2 == 0 ? r : a, i % 2 == 0 ? a : r, 10 + i, 20 + i);
    hn_message(msg, sizeof msg, (uint8_t)i);
    torc_net_send(r->net, r->ups[i - 1].link, torc_slice_of(msg, 40), torc_slice_of(msg + 40, 60));
    hn_wait(&w, &a->num_messages, 2 * i - 1);
    hn_wait(&w, &r->num_ups, i + 1);
    hn_wait(&w, &a->num_ups, i + 1);
    hn_wait(&w, &r->num_downs, i);
    hn_wait(&w, &a->num_downs, i);
    assert_int_equal(r->downs[i - 1], r->ups[i - 1].link);
    torc_net_send(r->net, r->ups[i].link, torc_slice_of(msg, 40), torc_slice_of(msg + 40, 60));
    hn_wait(&w, &a->num_messages, 2 * i);
  }
  assert_int_equal(r->num_failed + a->num_failed, 0);
  hn_run(&w, 5);
  assert_int_equal(r->net->num_dlinks, 1);
}

/* A peer whose process is gone leaves its port closed: that is known long before consent ends. A
 * single word of ICMP, which anybody can forge, ends nothing. */
static void test_udp_vanished(void **state) {
  (void)state;
  hn_end *r = hn_add(&w, 1, "127.0.0.1:0");
  hn_end *a = hn_add(&w, 2, "127.0.0.1:0");
  connect_udp(r, a, 11, 22);
  hn_wait(&w, &r->num_ups, 1);
  hn_wait(&w, &a->num_ups, 1);
  torc_dlink *d = TORC_CONTAINER_OF(r->net->dlinks.next, torc_dlink, all);
  for (int i = 0; i < 5; i++) {
    torc_dlink_unreachable(d);
  }
  uint64_t end_at = uv_hrtime() + 10000000000u;
  while (d->num_probes > 0 && uv_hrtime() < end_at) {
    hn_run(&w, 1);
  }
  assert_int_equal(d->num_probes + d->num_refused, 0); /* it has answered */
  assert_int_equal(r->num_downs, 0);
  uint64_t from = uv_hrtime();
  torc_net_shutdown(a->net); /* says nothing to the other side */
  uint8_t msg[60];
  hn_message(msg, sizeof msg, 1);
  hn_run(&w, 5);
  torc_net_send(r->net, r->ups[0].link, torc_slice_of(msg, 30), torc_slice_of(msg + 30, 30));
  hn_wait(&w, &r->num_downs, 1);
  assert_true(uv_hrtime() - from < 9000000000u);
  assert_int_equal(r->net->stats.peers_vanished, 1);
}

/* [ICE-04] The first answer decides; a second one is for nobody, and changes nothing. */
static void test_second_answer(void **state) {
  (void)state;
  torc_id rid = hp_id(1);
  torc_id aid = hp_id(2);
  hn_end *r = hn_add(&w, 1, "127.0.0.1:0");
  hn_end *a = hn_add(&w, 2, "127.0.0.1:0");
  torc_net_params offer;
  torc_net_params answer;
  assert_int_equal(torc_net_offer(r->net, 11, 6084, &offer), 0);
  assert_int_equal(torc_net_answer(a->net, 22, &offer.p, &answer), 0);
  torc_net_accept(a->net, 22, &rid);
  torc_net_connect(r->net, 11, &aid, &answer.p);
  torc_net_connect(r->net, 11, &aid, &answer.p);
  hn_wait(&w, &r->num_failed, 1);
  assert_int_equal(r->failed_rcs[0], TORC_ERR_NOTFOUND);
  hn_wait(&w, &r->num_ups, 1);
  hn_wait(&w, &a->num_ups, 1);
  assert_int_equal(r->ups[0].token, 11);
}

/* [ICE-36] What comes before this side knows the pair is kept for it; noise there does no harm. */
static void test_early(void **state) {
  (void)state;
  static const uint8_t noise[40] = {22, 0xfe, 0xfd};
  hn_end *r = hn_add(&w, 1, "127.0.0.1:0");
  hn_end *a = hn_add(&w, 2, "127.0.0.1:0");
  torc_ice_from from = {.socket = 0};
  connect_udp(r, a, 11, 22);
  from.socket = r->net->udps[0]->socket;
  torc_sock_to_addr(&r->net->udps[0]->local, &from.local);
  torc_sock_to_addr(&a->net->udps[0]->local, &from.remote);
  for (size_t i = 0; i < 2 * TORC_NET_EARLY_MAX; i++) {
    torc_net_datagram_input(r->net, &from, torc_slice_of(noise, sizeof noise));
  }
  assert_int_equal(r->net->stats.early_kept, 2 * TORC_NET_EARLY_MAX);
  hn_wait(&w, &r->num_ups, 1);
  hn_wait(&w, &a->num_ups, 1);
  for (size_t i = 0; i < TORC_NET_EARLY_MAX; i++) {
    assert_int_equal(r->net->early[i].len, 0); /* they were the pair's */
  }
  hn_wait(&w, &a->num_ups, 1);
  torc_net_close(r->net, r->ups[0].link);
  hn_wait(&w, &a->num_downs, 1);
  uint64_t before = r->net->stats.udp_strangers;
  torc_net_datagram_input(r->net, &from,
                          torc_slice_of(noise, sizeof noise)); /* nothing is awaited */
  assert_int_equal(r->net->stats.udp_strangers, before + 1);
}

/* The certificate is not the one that the CONNECT named. */
static void test_udp_mismatch(void **state) {
  (void)state;
  torc_id rid = hp_id(1);
  torc_id aid = hp_id(2);
  hn_end *r = hn_add(&w, 1, "127.0.0.1:0");
  hn_end *a = hn_add(&w, 2, "127.0.0.1:0");
  torc_net_params offer;
  torc_net_params answer;
  assert_int_equal(torc_net_offer(r->net, 11, TORC_APPLICATION_RELOAD, &offer), 0);
  strip(&offer, " TCP ");
  snprintf(offer.p.fingerprint, sizeof offer.p.fingerprint, "sha-256 %s", FP32);
  assert_int_equal(torc_net_answer(a->net, 22, &offer.p, &answer), 0);
  strip(&answer, " TCP ");
  torc_net_accept(a->net, 22, &rid);
  torc_net_connect(r->net, 11, &aid, &answer.p);
  hn_wait(&w, &a->num_failed, 1);
  assert_int_equal(a->failed_rcs[0], TORC_ERR_DENIED);
  assert_int_equal(a->net->stats.bad_fingerprint, 1);
  assert_int_equal(a->num_ups, 0);
  expect_gone(r);
  hn_run(&w, 5);
  assert_int_equal(r->net->num_dlinks + a->net->num_dlinks, 0);
}

/* [ICE-08] Who asks without being anybody's check learns its own address, and others nothing. */
static void test_stun_server(void **state) {
  (void)state;
  static const uint8_t request[20] = {0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42, 1,  2,
                                      3, 4, 5, 6, 7,    8,    9,    10,   11, 12};
  uint8_t answer[200];
  hn_end *e = hn_add(&w, 1, "127.0.0.1:0");
  torc_net_params p;
  assert_int_equal(torc_net_offer(e->net, 1, TORC_APPLICATION_RELOAD, &p),
                   0); /* the sockets are open */
  struct sockaddr_in to = {.sin_family = AF_INET,
                           .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                           .sin_port = htons(torc_net_datagram_port(e->net))};
  struct sockaddr_in own;
  socklen_t own_len = sizeof own;
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
  assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
  assert_int_equal(getsockname(fd, (struct sockaddr *)&own, &own_len), 0);
  assert_int_equal(send(fd, "nothing", 7, 0), 7);
  assert_int_equal(send(fd, request, sizeof request, 0), sizeof request);
  hn_wait_counter(&w, &e->net->stats.stun_answers, 1);
  assert_int_equal(recv(fd, answer, sizeof answer, 0), 32);
  static const uint8_t head[8] = {1, 1, 0, 12, 0x21, 0x12, 0xa4, 0x42};
  static const uint8_t attr[6] = {0, 0x20, 0, 8, 0, 1};
  assert_memory_equal(answer, head, 8);
  assert_memory_equal(answer + 8, request + 8, 12);
  assert_memory_equal(answer + 20, attr, 6);
  uint16_t port = (uint16_t)((answer[26] << 8 | answer[27]) ^ 0x2112);
  assert_int_equal(port, ntohs(own.sin_port));
  assert_int_equal(e->net->stats.udp_strangers, 1);
  close(fd);
}

/* An offer from outside must not make us dial what listens on our own loopback. */
static void test_foreign_loopback(void **state) {
  (void)state;
  static const char *const candidates[] = {
      "candidate:1 1 TCP 100 127.0.0.1 22 typ host tcptype passive", NULL};
  torc_connect_params remote;
  torc_net_params out;
  hn_end *outside = hn_add(&w, 1, "0.0.0.0:0");
  fill(&remote, "passive", "sha-256 " FP32, candidates, 2);
  assert_int_equal(torc_net_answer(outside->net, 1, &remote, &out), 400);
  assert_int_equal(outside->net->stats.candidates_skipped, 1);
  hn_end *inside = hn_add(&w, 2, "127.0.0.1:0");
  assert_int_equal(torc_net_answer(inside->net, 1, &remote, &out), 0);
}

/* As many as CONNECT takes in: all are given to the agent, whose matter it is whom it tries. */
static void test_many_candidates(void **state) {
  (void)state;
  char text[TORC_CANDIDATES_MAX][96];
  torc_connect_params remote;
  torc_net_params out;
  hn_end *e = hn_add(&w, 1, "127.0.0.1:0");
  fill(&remote, "passive", "sha-256 " FP32, (const char *const[]){NULL}, 1);
  for (uint32_t i = 0; i < TORC_CANDIDATES_MAX; i++) {
    snprintf(text[i], sizeof text[i],
             "candidate:1 1 TCP %u 192.0.2.%u 6084 typ host tcptype passive", i + 1, i + 1);
    remote.candidates[i] = text[i];
  }
  remote.num_candidates = TORC_CANDIDATES_MAX;
  assert_int_equal(torc_net_answer(e->net, 1, &remote, &out), 0);
  const torc_pending *p = TORC_CONTAINER_OF(e->net->pending.next, torc_pending, all);
  assert_int_equal(p->remote->num, TORC_CANDIDATES_MAX);
  assert_int_equal(e->net->stats.candidates_skipped, 0);
}

/* ---- the link must be the one of the fingerprint ---- */

static void hash_of(const hn_end *e, const char *name, const EVP_MD *md, char *out, size_t cap) {
  uint8_t digest[64];
  unsigned len = 0;
  torc_slice der = torc_pki_own_cert(e->pki)->der;
  assert_int_equal(EVP_Digest(der.p, der.len, digest, &len, md, NULL), 1);
  size_t n = (size_t)snprintf(out, cap, "%s ", name);
  for (unsigned i = 0; i < len; i++) {
    n += (size_t)snprintf(out + n, cap - n, i == 0 ? "%02x" : ":%02x", digest[i]);
  }
}

static void other_hash(const char *name, const EVP_MD *md) {
  torc_id rid = hp_id(1);
  torc_id aid = hp_id(2);
  hn_end *r = hn_add(&w, 1, "127.0.0.1:0");
  hn_end *a = hn_add(&w, 2, "127.0.0.1:0");
  torc_net_params offer;
  torc_net_params answer;
  assert_int_equal(torc_net_offer(r->net, 11, TORC_APPLICATION_RELOAD, &offer), 0);
  hash_of(r, name, md, offer.p.fingerprint, sizeof offer.p.fingerprint);
  assert_int_equal(torc_net_answer(a->net, 22, &offer.p, &answer), 0);
  hash_of(a, name, md, answer.p.fingerprint, sizeof answer.p.fingerprint);
  torc_net_accept(a->net, 22, &rid);
  torc_net_connect(r->net, 11, &aid, &answer.p);
  expect_linked(r, a, &rid, &aid);
}

static void test_sha1(void **state) {
  (void)state;
  other_hash("sha-1", EVP_sha1());
}

static void test_sha384(void **state) {
  (void)state;
  other_hash("sha-384", EVP_sha384());
}

static void test_sha512(void **state) {
  (void)state;
  other_hash("sha-512", EVP_sha512());
}

static void expect_mismatch(hn_end *sees, hn_end *other, torc_token token) {
  hn_wait(&w, &sees->num_failed, 1);
  assert_int_equal(sees->failed[0], token);
  assert_int_equal(sees->failed_rcs[0], TORC_ERR_CRYPTO);
  assert_int_equal(sees->net->stats.bad_fingerprint, 1);
  assert_int_equal(sees->num_ups, 0);
  expect_gone(other);
  assert_int_equal(sees->net->num_pending + other->net->num_pending, 0);
}

static void test_answerer_sees_mismatch(void **state) {
  (void)state;
  torc_id rid = hp_id(1);
  torc_id aid = hp_id(2);
  hn_end *r = hn_add(&w, 1, "127.0.0.1:0");
  hn_end *a = hn_add(&w, 2, "127.0.0.1:0");
  torc_net_params offer;
  torc_net_params answer;
  assert_int_equal(torc_net_offer(r->net, 11, TORC_APPLICATION_RELOAD, &offer), 0);
  snprintf(offer.p.fingerprint, sizeof offer.p.fingerprint, "sha-256 %s", FP32);
  assert_int_equal(torc_net_answer(a->net, 22, &offer.p, &answer), 0);
  torc_net_accept(a->net, 22, &rid);
  torc_net_connect(r->net, 11, &aid, &answer.p);
  expect_mismatch(a, r, 22);
}

static void test_requester_sees_mismatch(void **state) {
  (void)state;
  torc_id rid = hp_id(1);
  torc_id aid = hp_id(2);
  hn_end *r = hn_add(&w, 1, "127.0.0.1:0");
  hn_end *a = hn_add(&w, 2, "127.0.0.1:0");
  torc_net_params offer;
  torc_net_params answer;
  assert_int_equal(torc_net_offer(r->net, 11, TORC_APPLICATION_RELOAD, &offer), 0);
  assert_int_equal(torc_net_answer(a->net, 22, &offer.p, &answer), 0);
  snprintf(answer.p.fingerprint, sizeof answer.p.fingerprint, "sha-256 %s", FP32);
  torc_net_connect(r->net, 11, &aid, &answer.p);
  torc_net_accept(a->net, 22, &rid);
  expect_mismatch(r, a, 11);
}

static void test_wrong_peer(void **state) {
  (void)state;
  torc_id somebody = hp_id(7);
  torc_id aid = hp_id(2);
  hn_end *r = hn_add(&w, 1, "127.0.0.1:0");
  hn_end *a = hn_add(&w, 2, "127.0.0.1:0");
  run_connect(r, a, &somebody, &aid); /* the answerer expects another peer there */
  hn_wait(&w, &a->num_failed, 1);
  assert_int_equal(a->failed_rcs[0], TORC_ERR_DENIED);
  assert_int_equal(a->num_ups, 0);
}

/* ---- time and number ---- */

/* The other side answers and is never heard of again. */
static void test_checks_end(void **state) {
  (void)state;
  w.limits.connect = TORC_MS(50);
  torc_id aid = hp_id(2);
  hn_end *r = hn_add(&w, 1, "127.0.0.1:0");
  torc_net_params offer;
  torc_connect_params answer;
  fill(&answer, "active", "sha-256 " FP32, (const char *const[]){ACTIVE_CANDIDATE, NULL}, 2);
  assert_int_equal(torc_net_offer(r->net, 11, TORC_APPLICATION_RELOAD, &offer), 0);
  torc_net_connect(r->net, 11, &aid, &answer);
  assert_int_equal(r->num_failed, 0);
  hn_wait(&w, &r->num_failed, 1);
  assert_int_equal(r->failed[0], 11);
  assert_int_equal(r->failed_rcs[0], TORC_ERR_TIMEOUT);
  assert_int_equal(r->net->num_pending, 0);
}

static void expect_forgotten(hn_end *e) {
  uint64_t end_at = uv_hrtime() + 10000000000u;
  assert_int_equal(e->net->num_pending, 1);
  while (e->net->num_pending > 0 && uv_hrtime() < end_at) {
    hn_run(&w, 1);
  }
  assert_int_equal(e->net->num_pending, 0);
  assert_int_equal(e->num_failed, 0);
}

static void test_answer_never_sent(void **state) {
  (void)state;
  w.limits.answer = TORC_MS(50);
  torc_connect_params offer;
  torc_net_params out;
  hn_end *a = hn_add(&w, 2, "127.0.0.1:0");
  fill(&offer, "passive", "sha-256 " FP32, (const char *const[]){GOOD_CANDIDATE, NULL}, 2);
  assert_int_equal(torc_net_answer(a->net, 5, &offer, &out), 0);
  expect_forgotten(a);
  torc_id peer = hp_id(1);
  torc_net_accept(a->net, 5, &peer); /* too late */
  hn_wait(&w, &a->num_failed, 1);
  assert_int_equal(a->failed_rcs[0], TORC_ERR_NOTFOUND);
}

static void test_offer_never_answered(void **state) {
  (void)state;
  w.limits.answer = TORC_MS(50);
  torc_id aid = hp_id(2);
  torc_net_params offer;
  torc_connect_params answer;
  hn_end *r = hn_add(&w, 1, "127.0.0.1:0");
  assert_int_equal(torc_net_offer(r->net, 5, TORC_APPLICATION_RELOAD, &offer), 0);
  expect_forgotten(r); /* the node's own request has failed by then */
  fill(&answer, "active", "sha-256 " FP32, (const char *const[]){GOOD_CANDIDATE, NULL}, 2);
  torc_net_connect(r->net, 5, &aid, &answer);
  hn_wait(&w, &r->num_failed, 1);
  assert_int_equal(r->failed_rcs[0], TORC_ERR_NOTFOUND);
}

static void test_pending_max(void **state) {
  (void)state;
  w.limits.pending_max = 2;
  torc_connect_params offer;
  torc_net_params out;
  hn_end *a = hn_add(&w, 2, "127.0.0.1:0");
  fill(&offer, "passive", "sha-256 " FP32, (const char *const[]){GOOD_CANDIDATE, NULL}, 2);
  assert_int_equal(torc_net_answer(a->net, 5, &offer, &out), 0);
  assert_int_equal(torc_net_answer(a->net, 6, &offer, &out), 0);
  assert_int_equal(torc_net_answer(a->net, 7, &offer, &out), TORC_CODE_UNAVAILABLE);
  assert_int_equal(a->net->stats.pending_refused, 1);
  assert_int_equal(torc_net_offer(a->net, 8, TORC_APPLICATION_RELOAD, &out), TORC_ERR_LIMIT);
  assert_int_equal(a->net->stats.pending_refused, 2);
}

static void test_bad_answer(void **state) {
  (void)state;
  static const struct {
    const char *ufrag, *role, *fingerprint, *candidate;
  } cases[] = {{"abcd", "holdconn", "sha-256 " FP32, GOOD_CANDIDATE},
               {"abcd", "active", "none", GOOD_CANDIDATE},
               {"abcd", "active", "sha-256 " FP32, "nonsense"},
               {"a b", "active", "sha-256 " FP32, GOOD_CANDIDATE}};
  torc_id aid = hp_id(2);
  torc_connect_params answer;
  torc_net_params offer;
  hn_end *r = hn_add(&w, 1, "127.0.0.1:0");
  for (size_t i = 0; i < TORC_ARRAY_LEN(cases); i++) {
    assert_int_equal(torc_net_offer(r->net, i + 1, TORC_APPLICATION_RELOAD, &offer), 0);
    fill(&answer, cases[i].role, cases[i].fingerprint,
         (const char *const[]){cases[i].candidate, NULL}, 2);
    snprintf(answer.ufrag, sizeof answer.ufrag, "%s", cases[i].ufrag);
    torc_net_connect(r->net, i + 1, &aid, &answer);
    hn_wait(&w, &r->num_failed, i + 1);
    assert_int_equal(r->failed[i], i + 1);
    assert_int_equal(r->failed_rcs[i], TORC_ERR_FORMAT);
  }
  assert_int_equal(r->net->num_pending, 0);
}

/* ---- whom to remember ---- */

typedef struct seen {
  torc_endpoint at[8];
  size_t num;
} seen;

static void on_dialable(void *ctx, const torc_id *peer, const torc_endpoint *at) {
  seen *s = ctx;
  assert_true(torc_id_eq(peer, &at->peer));
  s->at[s->num] = *at;
  s->num++;
}

static void test_dialable(void **state) {
  (void)state;
  torc_id rid = hp_id(1);
  torc_id aid = hp_id(2);
  hn_end *r = hn_add(&w, 1, "127.0.0.1:0");
  hn_end *a = hn_add(&w, 2, "127.0.0.1:0");
  hn_end *client = hn_add(&w, 3, NULL);
  torc_link_id cl, rl;
  seen s = {.num = 0};
  hn_link(&w, client, r, &cl, &rl);
  torc_net_each_dialable(r->net, &s, on_dialable);
  assert_int_equal(s.num, 0); /* it dialled from anywhere */
  torc_net_each_dialable(client->net, &s, on_dialable);
  assert_int_equal(s.num, 1);
  assert_int_equal(s.at[0].port, torc_net_port(r->net, 0));
  r->num_ups = 0;
  run_connect(r, a, &rid, &aid);
  expect_linked(r, a, &rid, &aid);
  s.num = 0;
  torc_net_each_dialable(r->net, &s, on_dialable); /* from the answer's candidates */
  assert_int_equal(s.num, 1);
  assert_string_equal(s.at[0].host, "127.0.0.1");
  assert_int_equal(s.at[0].port, torc_net_port(a->net, 0));
}

#define T(name_, fn) \
  { .name = (name_), .test_func = (fn), .setup_func = begin, .teardown_func = end }

int main(void) {
  const struct CMUnitTest tests[] = {
      T("CON-01 CON-08 CON-09 CON-14 GAP-73 GAP-75 ICE-03 ICE-34 TLS-03 TLS-09 both listen",
        test_both_listen),
      T("CON-10 CON-13 the same over IPv6", test_ipv6),
      T("CON-09 CON-14 GAP-73 ICE-24 a requester that cannot listen dials",
        test_only_answerer_listens),
      T("CON-10 listening everywhere offers the addresses of the interfaces", test_wildcard),
      T("CON-06 CON-08 CON-10 CON-11 GAP-71 GAP-72 ICE-20 ICE-22 ICE-23 the offer's fields",
        test_offer),
      T("CON-10 ICE-24 who cannot listen offers an active candidate with port 9",
        test_offer_active),
      T("CON-10 advertised addresses stand in for the listening ones", test_advertised),
      T("CON-08 CON-09 CON-10 CON-12 GAP-71 GAP-72 GAP-73 GAP-78 offers good and bad",
        test_answers),
      T("CON-14 ICE-01 TLS-02 two that cannot listen: over UDP", test_nobody_listens),
      T("CON-14 ICE-17 TLS-02 TLS-06 TLS-08 TLS-09 GAP-82 over UDP alone", test_udp),
      T("CON-14 ICE-17 TLS-02 GAP-82 over UDP alone, IPv6", test_udp_ipv6),
      T("GAP-74 GAP-82 CONNECT again over the same sockets", test_udp_again),
      T("ICE-04 CON-14 one answer only", test_second_answer),
      T("ICE-36 GAP-82 datagrams that come early", test_early),
      T("GAP-77 ICE-08 a peer whose port is closed", test_udp_vanished),
      T("GAP-72 ICE-06 the certificate of a DTLS link is not the CONNECT's", test_udp_mismatch),
      T("ICE-08 every peer is a STUN server", test_stun_server),
      T("CON-10 an offer of our own loopback is not dialled", test_foreign_loopback),
      T("CON-10 GAP-71 many candidates", test_many_candidates),
      T("GAP-72 CON-08 fingerprint by SHA-1", test_sha1),
      T("GAP-72 CON-08 fingerprint by SHA-384", test_sha384),
      T("GAP-72 CON-08 fingerprint by SHA-512", test_sha512),
      T("GAP-72 CON-08 ICE-06 the answerer closes on another fingerprint",
        test_answerer_sees_mismatch),
      T("GAP-72 CON-08 ICE-06 the requester closes on another fingerprint",
        test_requester_sees_mismatch),
      T("TLS-06 CON-08 another peer at the address is refused", test_wrong_peer),
      T("CON-14 who answers and never checks", test_checks_end),
      T("GAP-75 an answer that is never sent is forgotten", test_answer_never_sent),
      T("CON-14 an offer that is never answered is forgotten", test_offer_never_answered),
      T("GAP-76 only so many CONNECTs at a time", test_pending_max),
      T("GAP-72 GAP-73 an answer that cannot be used", test_bad_answer),
      T("BST-11 GAP-139 addresses worth remembering", test_dialable),
  };
  return TORC_RUN(tests);
}

/* Two nodes and a link of DTLS between them that loses datagrams: long messages in fragments
 * arrive, or fail with an error. SPDX-License-Identifier: Apache-2.0 */
#include "io/dtls_pipe.h"
#include "torc/node.h"
#include "torc/storage.h"

#define OVERLAY_KEY 7
#define APP 4711
#define CALLS_MAX 512

typedef struct member {
  end *e;
  torc_node *node;
  torc_memory_backend *memory;
  torc_backend backend;
  torc_token open; /* an OPEN that waits for the link; 0: none */
  torc_link_id link;
  bool is_joined, is_told;
  uint32_t told_mtu;
  torc_token calls[CALLS_MAX];
  size_t num_calls, num_done, num_failed, num_heard;
  size_t heard_bytes;
} member;

static member members[2];

static void drain(member *m);

static void must(int rc) {
  assert_int_equal(rc, 0);
}

static void take_message(void *ctx, torc_slice bytes) {
  end *e = ctx;
  member *m = &members[e->number];
  if (m->is_told) { /* before, it is lost, as in a socket that nobody reads */
    must(torc_node_input(m->node, m->link, bytes, now));
    drain(m);
  }
}

/* The body of a message is the number of its first byte, over and over. */
static void hear(member *m, const torc_event *ev) {
  for (size_t i = 0; i < ev->pdu.len; i++) {
    assert_int_equal(ev->pdu.p[i], ev->pdu.p[0]);
  }
  m->num_heard++;
  m->heard_bytes += ev->pdu.len;
}

static void end_call(member *m, const torc_event *ev) {
  for (size_t i = 0; i < m->num_calls; i++) {
    if (m->calls[i] == ev->token) {
      m->calls[i] = 0;
      m->num_done += ev->done.rc == 0 ? 1 : 0;
      m->num_failed += ev->done.rc != 0 ? 1 : 0;
    }
  }
}

static void on_event(member *m, const torc_event *ev) {
  switch (ev->kind) {
    case TORC_EVENT_JOINED:
      m->is_joined = true;
      break;
    case TORC_EVENT_TUNNEL:
      hear(m, ev);
      break;
    case TORC_EVENT_DONE:
      end_call(m, ev);
      break;
    case TORC_EVENT_DISCONNECTED:
    case TORC_EVENT_LEFT:
    case TORC_EVENT_LINK:
    case TORC_EVENT_CONNECTION:
      break;
  }
}

static void on_send(member *m, const torc_output *o) {
  int rc = torc_dtls_send(m->e->d, o->head, o->body, now);
  /* Never longer than the link takes, as far as the node has been told. */
  bool is_narrower = torc_dtls_mtu(m->e->d) < m->told_mtu;
  assert_true(rc == 0 || rc == TORC_ERR_LIMIT || (rc == TORC_ERR_SPACE && is_narrower));
}

/* There is no second link to be had: CONNECTs fail. */
static void on_output(member *m, const torc_output *o) {
  static const torc_connect_params none;
  torc_job_result done = {.rc = 0};
  switch (o->kind) {
    case TORC_OUT_SEND:
      on_send(m, o);
      break;
    case TORC_OUT_OPEN:
      assert_null(m->e->d);
      m->open = o->token;
      dial(m->e->pipe);
      break;
    case TORC_OUT_EVENT:
      on_event(m, &o->event);
      break;
    case TORC_OUT_JOB:
      assert_int_equal(o->job.kind, TORC_JOB_SYNC); /* nothing is signed */
      must(torc_node_job_done(m->node, o->job.id, &done, now));
      break;
    case TORC_OUT_OFFER_NEEDED:
      must(torc_node_open_failed(m->node, o->token, TORC_ERR_CLOSED, now));
      break;
    case TORC_OUT_ANSWER_NEEDED:
      must(torc_node_answer_ready(m->node, o->token, &none, 503, now));
      break;
    case TORC_OUT_CLOSE:
    case TORC_OUT_CONNECT:
    case TORC_OUT_ACCEPT:
    case TORC_OUT_CANCEL:
      fail_msg("output %d", (int)o->kind);
      break;
  }
}

static void drain(member *m) {
  torc_output o;
  while (torc_node_poll(m->node, &o)) {
    on_output(m, &o);
  }
}

static void link_up(member *m) {
  torc_link_info info = {.kind = TORC_LINK_DTLS,
                         .peer = torc_dtls_cert(m->e->d)->peers[0],
                         .cert = torc_cert_retain(torc_dtls_cert(m->e->d)),
                         .token = m->open,
                         .mtu = torc_dtls_mtu(m->e->d),
                         .is_dialled = m->e->number == 0};
  m->is_told = true;
  m->told_mtu = info.mtu;
  m->link = 1;
  must(torc_node_link_up(m->node, m->link, &info, now));
}

/* What the platform does after each step. */
static void more(pipe *p) {
  (void)p;
  for (size_t i = 0; i < 2; i++) {
    member *m = &members[i];
    if (!m->is_told && m->e->d != NULL && torc_dtls_get_state(m->e->d) == TORC_DTLS_UP) {
      link_up(m);
    }
    if (m->is_told && m->told_mtu != torc_dtls_mtu(m->e->d)) {
      m->told_mtu = torc_dtls_mtu(m->e->d);
      must(torc_node_link_mtu(m->node, m->link, m->told_mtu, now));
    }
    if (torc_node_deadline(m->node) <= now) {
      must(torc_node_tick(m->node, now));
    }
    drain(m);
  }
}

static torc_time more_at(const pipe *p) {
  torc_time a = torc_node_deadline(members[0].node);
  torc_time b = torc_node_deadline(members[1].node);
  (void)p;
  return a < b ? a : b;
}

static void member_set(pipe *p, size_t i) {
  static const torc_endpoint at = {.host = "192.0.2.2", .port = 6084};
  torc_node_config c = TORC_NODE_CONFIG_INIT;
  member *m = &members[i];
  *m = (member){.e = &p->ends[i]};
  must(torc_memory_backend_new(&m->memory, &m->backend, torc_mem_libc(), 64u << 20));
  c.crypto = torc_pki_crypto(p->ends[i].pki);
  c.backend = &m->backend;
  c.overlay_name = OVERLAY;
  c.algorithm = "chord-128-2-8";
  c.role = TORC_ROLE_PEER;
  c.cert = torc_pki_own_cert(p->ends[i].pki);
  c.self = c.cert->peers[0];
  c.may_found = i == 1;
  c.bootstrap = &at;
  c.num_bootstrap = i == 0 ? 1 : 0;
  c.wall = hp_now();
  c.seed = 1 + i;
  c.is_shared_key = true;
  must(torc_node_new(&m->node, &c, now, NULL));
  p->ends[i].cfg.events.message = take_message;
}

/* Two members of one ring. */
static pipe *ring_new(uint64_t seed) {
  pipe *p = pipe_with(true, seed, shared_of(1, OVERLAY_KEY), shared_of(2, OVERLAY_KEY));
  member_set(p, 0);
  member_set(p, 1);
  p->more_at = more_at;
  p->more = more;
  must(torc_node_start(members[1].node, now));
  run(p, now + TORC_SEC(1));
  assert_true(members[1].is_joined);
  must(torc_node_start(members[0].node, now));
  run(p, now + TORC_SEC(40));
  assert_true(members[0].is_joined);
  must(torc_node_listen(members[1].node, APP, true));
  return p;
}

static void ring_free(pipe *p) {
  for (size_t i = 0; i < 2; i++) {
    torc_node_free(members[i].node);
    torc_memory_backend_free(members[i].memory);
  }
  pipe_free(p);
}

static void tunnel(uint8_t number, size_t len) {
  static uint8_t pdu[128u << 10];
  member *m = &members[0];
  torc_id to = hp_id(2);
  memset(pdu, number, len);
  assert_true(m->num_calls < CALLS_MAX);
  must(torc_node_tunnel(m->node, &to, 1, APP, torc_slice_of(NULL, 0), torc_slice_of(pdu, len), now,
                        &m->calls[m->num_calls]));
  m->num_calls++;
  drain(m);
}

/* 1 MiB/s in messages of 64 KiB for ten seconds, 100 ms there and back, with loss. */
static void test_long_messages(void **state) {
  static const uint32_t losses[] = {0, 1, 5};
  (void)state;
  for (size_t i = 0; i < TORC_ARRAY_LEN(losses); i++) {
    pipe *p = ring_new(7 + i);
    member *a = &members[0];
    p->loss_percent = losses[i];
    for (unsigned k = 0; k < 160; k++) {
      tunnel((uint8_t)k, 64000);
      run(p, now + TORC_MS(1000 / 16));
    }
    run(p, now + TORC_SEC(40)); /* 64 T1 are 32 s */
    print_message("loss %u %%: %zu answered, %zu failed\n", losses[i], a->num_done, a->num_failed);
    assert_int_equal(a->num_done + a->num_failed, 160); /* nothing hangs */
    assert_true(members[1].num_heard >= a->num_done);
    assert_int_equal(members[1].heard_bytes, members[1].num_heard * 64000);
    if (losses[i] <= 1) {
      assert_int_equal(a->num_done, 160);
    }
    assert_int_equal(torc_dtls_queued(a->e->d), 0);
    assert_true(a->e->largest <= TORC_DTLS_PATH_MAX);
    expect_up(p);
    ring_free(p);
  }
}

/* The path becomes narrower under way: what was lost is repeated in smaller parts. */
static void test_narrow(void **state) {
  (void)state;
  pipe *p = ring_new(3);
  tunnel(1, 60000);
  run(p, now + TORC_SEC(2));
  assert_int_equal(members[0].num_done, 1);
  p->ends[0].path = 700;
  tunnel(2, 60000);
  run(p, now + TORC_SEC(40));
  assert_int_equal(members[0].num_done, 2);
  assert_true(members[0].told_mtu < 700);
  ring_free(p);
}

int main(void) {
  static const struct CMUnitTest tests[] = {
      TORC_TEST("FRG-01 FRG-02 FRG-05 TLS-05 GAP-47 1 MiB/s of 64,000 bytes over a lossy link",
                test_long_messages),
      TORC_TEST("FRG-02 GAP-47 a path that becomes narrower", test_narrow),
  };
  return TORC_RUN(tests);
}

/* Work in a process of its own, and the overlay document read there.
 * SPDX-License-Identifier: Apache-2.0 */
#include "io/apart.h"

#include <errno.h>
#include <openssl/evp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/slice.h"
#include "io/helper_pki.h"
#include "io/overlay_xml.h"
#include "torc_test.h"

#define REPLY_MAX 100000u

static char path[] = "/tmp/torc-apart-XXXXXX";
static char root[2048]; /* base64 */

static int set_up(void **state) {
  hp_ca ca;
  (void)state;
  hp_ca_make(&ca, "root", true);
  EVP_EncodeBlock((uint8_t *)root, ca.der, (int)ca.der_len);
  hp_ca_free(&ca);
  int fd = mkstemp(path);
  return fd < 0 || close(fd) != 0 ? -1 : 0;
}

static int tear_down(void **state) {
  (void)state;
  return unlink(path);
}

/* `text` with one %s for the root certificate. */
static void write_document(const char *text) {
  FILE *f = fopen(path, "w");
  assert_non_null(f);
  const char *at = strstr(text, "%s");
  size_t head = at == NULL ? strlen(text) : (size_t)(at - text);
  assert_int_equal(fwrite(text, 1, head, f), head);
  if (at != NULL) {
    assert_true(fputs(root, f) >= 0 && fputs(at + 2, f) >= 0);
  }
  assert_int_equal(fclose(f), 0);
}

static const char whole[] =
    "<overlay name='ring.example.org' expiration='4000000000'><dht name='chord-128-2-8'/>"
    "<root-cert>%s</root-cert><bootstrap-peer address='192.0.2.7' port='6084' "
    "peer-id='00112233445566778899aabbccddeeff'/><bootstrap-peer address='peer.example.org' "
    "port='1'/>"
    "<type id='0xF00001' name='note' model='dictionary' access='user-match' max-count='10' "
    "max-size='4096'/><type id='0xF00002' name='list' model='array' access='node-multiple' "
    "max-count='3' max-size='9' max-lifetime='60' find='yes'/>"
    "<chord-128-2-8-update-frequency>30</chord-128-2-8-update-frequency>"
    "<chord-128-2-8-ping-frequency>40</chord-128-2-8-ping-frequency><initial-ttl>50</initial-ttl>"
    "<max-message-size>5000</max-message-size><t1>600</t1><deletion-delay>70</deletion-delay>"
    "<remove-zero-generation>true</remove-zero-generation></overlay>";

static void no_child_is_left(void) {
  assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
  assert_int_equal(errno, ECHILD);
}

static bool is_mapped(const char *library) {
  char line[512];
  bool found = false;
  FILE *f = fopen("/proc/self/maps", "r");
  assert_non_null(f);
  while (fgets(line, sizeof line, f) != NULL) {
    found = found || strstr(line, library) != NULL;
  }
  (void)fclose(f);
  return found;
}

/* ---- the document ---- */

/* First of all tests: the others read documents in this process. */
static void test_parser_does_not_come_in(void **state) {
  char err[256] = "";
  torc_overlay o;
  (void)state;
  write_document(whole);
  assert_false(is_mapped("libxml2"));
  assert_int_equal(torc_overlay_load_apart(&o, path, NULL, err, sizeof err), 0);
  assert_string_equal(o.name, "ring.example.org");
  torc_overlay_clear(&o);
  assert_false(is_mapped("libxml2"));
  no_child_is_left();
  assert_int_equal(torc_overlay_load(&o, path, NULL, err, sizeof err), 0);
  torc_overlay_clear(&o);
  assert_true(is_mapped("libxml2")); /* the look-up above can see it */
}

static void assert_same(const torc_overlay *a, const torc_overlay *b) {
  assert_string_equal(a->name, b->name);
  assert_string_equal(a->algorithm, b->algorithm);
  assert_int_equal(a->expiration_s, b->expiration_s);
  assert_int_equal(a->num_roots, b->num_roots);
  for (size_t i = 0; i < a->num_roots; i++) {
    assert_int_equal(a->roots[i].len, b->roots[i].len);
    assert_memory_equal(a->roots[i].der, b->roots[i].der, a->roots[i].len);
  }
  assert_int_equal(a->num_bootstrap, b->num_bootstrap);
  for (size_t i = 0; i < a->num_bootstrap; i++) {
    assert_string_equal(a->bootstrap[i].host, b->bootstrap[i].host);
    assert_int_equal(a->bootstrap[i].port, b->bootstrap[i].port);
    assert_memory_equal(&a->bootstrap[i].peer, &b->bootstrap[i].peer, sizeof(torc_id));
  }
  assert_int_equal(a->num_types, b->num_types);
  for (size_t i = 0; i < a->num_types; i++) {
    const torc_type_def *s = &a->types[i];
    const torc_type_def *t = &b->types[i];
    assert_string_equal(s->name, t->name);
    assert_true(s->id == t->id && s->model == t->model && s->rule == t->rule);
    assert_true(s->findable == t->findable && s->max_values == t->max_values);
    assert_true(s->max_size == t->max_size && s->max_lifetime_s == t->max_lifetime_s);
  }
  assert_true(a->initial_ttl == b->initial_ttl && a->max_message == b->max_message);
  assert_true(a->t1 == b->t1 && a->update_period == b->update_period);
  assert_true(a->ping_period == b->ping_period && a->deletion_delay == b->deletion_delay);
  assert_true(a->require_signature == b->require_signature);
  assert_true(a->remove_zero_generation == b->remove_zero_generation);
}

static void test_same_overlay(void **state) {
  char err[256] = "";
  torc_overlay here;
  torc_overlay apart;
  (void)state;
  write_document(whole);
  assert_int_equal(torc_overlay_load(&here, path, "ring.example.org", err, sizeof err), 0);
  assert_int_equal(torc_overlay_load_apart(&apart, path, "ring.example.org", err, sizeof err), 0);
  assert_same(&here, &apart);
  assert_int_equal(here.num_bootstrap, 2);
  assert_int_equal(here.num_types, 2);
  torc_overlay_clear(&here);
  torc_overlay_clear(&apart);
}

static const struct {
  const char *what, *text, *name;
} faults[] = {
    {"no XML", "hello", NULL},
    {"empty", "", NULL},
    {"ends early", "<overlay name='ring.example.org'>\n<dht name='chord-128-2-8'/>", NULL},
    {"a DTD", "<!DOCTYPE overlay [<!ENTITY a 'b'>]><overlay/>", NULL},
    {"no root", "<overlay name='ring.example.org'><dht name='chord-128-2-8'/></overlay>", NULL},
    {"another overlay", whole, "other.example.org"},
    {"no such port",
     "<overlay name='a.example'><dht name='chord-128-2-8'/>\n<bootstrap-peer address='192.0.2.7' "
     "port='99999'/></overlay>",
     NULL},
};

static void test_same_faults(void **state) {
  (void)state;
  for (size_t i = 0; i <= TORC_ARRAY_LEN(faults); i++) {
    char here[512] = "";
    char apart[512] = "";
    torc_overlay o;
    bool is_absent = i == TORC_ARRAY_LEN(faults);
    const char *name = is_absent ? NULL : faults[i].name;
    const char *from = is_absent ? "/nonexistent/overlay.xml" : path;
    if (!is_absent) {
      write_document(faults[i].text);
    }
    int rc = torc_overlay_load(&o, from, name, here, sizeof here);
    assert_int_not_equal(rc, 0);
    assert_int_equal(torc_overlay_load_apart(&o, from, name, apart, sizeof apart), rc);
    assert_string_equal(apart, here);
    assert_true(strlen(here) > strlen(from));
  }
  no_child_is_left();
}

static void test_reply_cut_and_changed(void **state) {
  static uint8_t bytes[65536];
  char err[256] = "";
  torc_overlay o;
  torc_overlay back;
  torc_wr wr;
  (void)state;
  write_document(whole);
  assert_int_equal(torc_overlay_load(&o, path, NULL, err, sizeof err), 0);
  torc_wr_init(&wr, bytes, sizeof bytes);
  torc_overlay_put(&wr, &o);
  assert_int_equal(wr.err, 0);
  for (size_t len = 0; len < wr.len; len++) {
    assert_int_not_equal(torc_overlay_get(&back, torc_slice_of(bytes, len)), 0);
    assert_int_equal(back.num_roots, 0);
  }
  for (size_t bit = 0; bit < 8 * wr.len; bit++) { /* whatever comes out stays within its arrays */
    bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    if (torc_overlay_get(&back, torc_wr_slice(&wr)) == 0) {
      assert_true(back.num_roots <= TORC_OVERLAY_ROOTS_MAX && back.num_roots > 0);
      assert_true(back.num_bootstrap <= TORC_OVERLAY_BOOTSTRAP_MAX);
      assert_true(back.num_types <= TORC_OVERLAY_TYPES_MAX);
      assert_non_null(memchr(back.name, '\0', sizeof back.name));
      torc_overlay_clear(&back);
    }
    bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
  }
  torc_overlay_clear(&o);
}

/* ---- the child ---- */

static int answer(void *ctx, torc_buf *reply) {
  return torc_buf_append(reply, *(const torc_slice *)ctx);
}

static int refuse(void *ctx, torc_buf *reply) {
  (void)ctx;
  assert_int_equal(torc_buf_append(reply, torc_slice_of("because", 7)), 0);
  return TORC_ERR_DENIED;
}

static int die(void *ctx, torc_buf *reply) {
  (void)ctx;
  (void)reply;
  (void)raise(SIGKILL);
  return 0;
}

static int end(void *ctx, torc_buf *reply) {
  (void)ctx;
  (void)reply;
  _exit(0);
}

static int hang(void *ctx, torc_buf *reply) {
  (void)ctx;
  (void)reply;
  (void)raise(SIGALRM); /* the limit, without waiting for it */
  return 0;
}

static int run(int (*work)(void *, torc_buf *), void *ctx, torc_buf *reply, char err[256]) {
  torc_buf_init(reply, torc_mem_libc(), REPLY_MAX);
  err[0] = '\0';
  int rc = torc_apart_run(work, ctx, reply, "counting", err, 256);
  no_child_is_left();
  return rc;
}

static void test_answers(void **state) {
  static uint8_t many[REPLY_MAX];
  torc_slice all = {many, sizeof many};
  torc_slice none = {NULL, 0};
  torc_buf reply;
  char err[256];
  (void)state;
  for (size_t i = 0; i < sizeof many; i++) {
    many[i] = (uint8_t)(i * 7);
  }
  assert_int_equal(run(answer, &all, &reply, err), 0); /* more than a pipe holds */
  assert_int_equal(reply.len, sizeof many);
  assert_memory_equal(reply.p, many, sizeof many);
  torc_buf_clear(&reply);
  assert_int_equal(run(answer, &none, &reply, err), 0);
  assert_int_equal(reply.len, 0);
  torc_buf_clear(&reply);
  assert_int_equal(run(refuse, NULL, &reply, err), TORC_ERR_DENIED);
  assert_int_equal(reply.len, 7);
  torc_buf_clear(&reply);
}

static void test_child_ends(void **state) {
  static const struct {
    int (*work)(void *, torc_buf *);
    const char *why;
  } ends[] = {
      {die, "counting: the process doing it was ended by signal 9"},
      {end, "counting: the process doing it ended without an answer"},
      {hang, "counting takes longer than 20 seconds"},
  };
  torc_buf reply;
  char err[256];
  (void)state;
  for (size_t i = 0; i < TORC_ARRAY_LEN(ends); i++) {
    assert_int_equal(run(ends[i].work, NULL, &reply, err), TORC_ERR_IO);
    assert_string_equal(err, ends[i].why);
    assert_int_equal(reply.len, 0);
    torc_buf_clear(&reply);
  }
}

/* A program that does not want to hear of its children: the system waits for them itself. */
static void test_children_ignored(void **state) {
  torc_slice seven = {(const uint8_t *)"seven", 5};
  torc_buf reply;
  char err[256];
  (void)state;
  void (*before)(int) = signal(SIGCHLD, SIG_IGN);
  assert_int_equal(run(answer, &seven, &reply, err), 0);
  assert_int_equal(reply.len, 5);
  torc_buf_clear(&reply);
  assert_int_equal(run(die, NULL, &reply, err), TORC_ERR_IO);
  torc_buf_clear(&reply);
  (void)signal(SIGCHLD, before);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      {"the parser of the overlay document does not stay", test_parser_does_not_come_in, 0, 0, 0},
      {"ENR-10 an overlay document read apart is the same", test_same_overlay, 0, 0, 0},
      {"ENR-11 GAP-127 its faults read apart are the same", test_same_faults, 0, 0, 0},
      {"what a child says is checked", test_reply_cut_and_changed, 0, 0, 0},
      {"a child's answers", test_answers, 0, 0, 0},
      {"a child that gives none", test_child_ends, 0, 0, 0},
      {"a child nobody is told of", test_children_ignored, 0, 0, 0},
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}

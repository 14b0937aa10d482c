/* What the authority remembers for ever. SPDX-License-Identifier: Apache-2.0 */
#include "authority/registry.h"

#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include "authority/helper_dir.h"
#include "authority/past.h"
#include "base/id.h"
#include "base/slice.h"

#define NOW 1700000000u
#define KEY_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define KEY_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

static torc_registry *open_registry(const char *dir) {
  char err[400] = "";
  char where[600];
  torc_registry *r = NULL;
  (void)snprintf(where, sizeof where, "sqlite:%s", test_path(dir, "db"));
  assert_int_equal(torc_registry_open(&r, where, err, sizeof err), 0);
  return r;
}

static int add(torc_registry *r, const char *account, const char *name, char *err, size_t cap) {
  torc_account a = {.created = NOW, .num_names = name == NULL ? 0 : 1};
  (void)snprintf(a.name, sizeof a.name, "%s", account);
  (void)snprintf(a.names[0], sizeof a.names[0], "%s", name == NULL ? "" : name);
  a.password.is_set = true;
  memset(a.password.sha256, 7, sizeof a.password.sha256);
  err[0] = '\0';
  return torc_registry_add(r, &a, err, cap);
}

static void must_add(torc_registry *r, const char *account, const char *name) {
  char err[400];
  assert_int_equal(add(r, account, name, err, sizeof err), 0);
}

/* The "certificate" is its serial number. */
static int sign(void *arg, const torc_certificate_entry *e, uint8_t **der, size_t *len) {
  int *rc = arg;
  if (rc != NULL && *rc != 0) {
    return *rc;
  }
  *der = malloc(sizeof e->serial);
  assert_non_null(*der);
  memcpy(*der, e->serial, sizeof e->serial);
  *len = sizeof e->serial;
  return 0;
}

static torc_issue_order order(const char *account, const char *user, const char *key) {
  torc_issue_order o = {.account = account,
                        .users = {user},
                        .num_users = 1,
                        .may_repeat = true,
                        .now = NOW,
                        .not_after = NOW + 1000000,
                        .sign = sign};
  memcpy(o.key_hash, key, sizeof o.key_hash);
  return o;
}

static int issue(torc_registry *r, const torc_issue_order *o, torc_issue_result *out, char *err,
                 size_t cap) {
  err[0] = '\0';
  int rc = torc_registry_issue(r, o, out, err, cap);
  assert_true((rc == 0) == (err[0] == '\0'));
  return rc;
}

static int count_one(void *arg, const torc_certificate_entry *e) {
  assert_true(e->num_users > 0);
  (*(size_t *)arg)++;
  return 0;
}

static size_t count(torc_registry *r, const char *account) {
  char err[400] = "";
  size_t num = 0;
  assert_int_equal(torc_registry_issued(r, account, count_one, &num, err, sizeof err), 0);
  return num;
}

static void names_belong_for_ever(void **state) {
  char err[400];
  torc_registry *r = open_registry(*state);
  torc_issue_result result;
  must_add(r, "alice", "alice@x");
  assert_int_equal(add(r, "alice", NULL, err, sizeof err), TORC_ERR_EXISTS);
  assert_string_equal(err, "there is an account alice already");
  assert_int_equal(add(r, "mallory", "alice@x", err, sizeof err), TORC_ERR_EXISTS);
  assert_string_equal(err, "the name alice@x belongs to the account alice for ever");
  torc_account got;
  assert_int_equal(torc_registry_get(r, "mallory", NOW, &got, err, sizeof err),
                   TORC_ERR_NOTFOUND); /* the whole step is undone */
  must_add(r, "mallory", "mallory@x");
  assert_int_equal(torc_registry_add_name(r, "mallory", "alice@x", err, sizeof err),
                   TORC_ERR_EXISTS);
  assert_int_equal(torc_registry_add_name(r, "nobody", "n@x", err, sizeof err), TORC_ERR_NOTFOUND);
  static const char *const taken[] = {"alice@x", "free@x"};
  for (size_t i = 0; i < 2; i++) {
    torc_issue_order o = order("mallory", "mallory@x", KEY_A);
    o.users[1] = taken[i];
    o.num_users = 2;
    assert_int_equal(issue(r, &o, &result, err, sizeof err), TORC_ERR_DENIED);
    assert_non_null(strstr(err, taken[i]));
    assert_null(strstr(err, "account alice")); /* whose it is, is not told */
  }
  assert_int_equal(count(r, NULL), 0);
  torc_registry_close(r);
  r = open_registry(*state);
  torc_issue_order late = order("mallory", "alice@x", KEY_A);
  late.may_claim = true; /* not even the administrator, and not after a restart */
  late.now = NOW + 2000000000u;
  assert_int_equal(issue(r, &late, &result, err, sizeof err), TORC_ERR_DENIED);
  assert_string_equal(err, "the name alice@x belongs to the account alice for ever");
  torc_registry_close(r);
}

static void accounts_come_back(void **state) {
  char err[400] = "";
  torc_account a;
  torc_registry *r = open_registry(*state);
  must_add(r, "alice", "alice@x");
  assert_int_equal(torc_registry_add_name(r, "alice", "a2@x", err, sizeof err), 0);
  assert_int_equal(torc_registry_get(r, "alice", NOW, &a, err, sizeof err), 0);
  assert_int_equal(a.num_names, 2);
  assert_string_equal(a.names[0], "a2@x");
  assert_true(a.password.is_set && !a.password.has_md5 && !a.is_disabled && !a.is_guest);
  assert_int_equal(a.password.sha256[31], 7);
  torc_password p = {.is_set = true, .has_md5 = true, .sha256 = {1}, .md5 = {2}};
  assert_int_equal(torc_registry_set_password(r, "alice", &p, err, sizeof err), 0);
  assert_int_equal(torc_registry_disable(r, "alice", true, err, sizeof err), 0);
  assert_int_equal(torc_registry_get(r, "alice", NOW, &a, err, sizeof err), 0);
  assert_true(a.is_disabled && a.password.has_md5);
  assert_memory_equal(&a.password, &p, sizeof p);
  assert_int_equal(torc_registry_set_password(r, "bob", &p, err, sizeof err), TORC_ERR_NOTFOUND);
  assert_int_equal(torc_registry_disable(r, "bob", true, err, sizeof err), TORC_ERR_NOTFOUND);
  torc_issue_result result;
  torc_issue_order o = order("alice", "alice@x", KEY_A);
  assert_int_equal(issue(r, &o, &result, err, sizeof err), TORC_ERR_DENIED);
  assert_string_equal(err, "the account alice is disabled");
  for (int i = 0; i < TORC_ACCOUNT_NAMES - 2; i++) {
    char name[20];
    (void)snprintf(name, sizeof name, "n%d@x", i);
    assert_int_equal(torc_registry_add_name(r, "alice", name, err, sizeof err), 0);
  }
  assert_int_equal(torc_registry_add_name(r, "alice", "more@x", err, sizeof err), TORC_ERR_LIMIT);
  torc_registry_close(r);
}

/* By peer-id: a renewal is no further certificate, and needs its own account. */
static void ten_peer_ids_and_renewal(void **state) {
  char err[400];
  torc_registry *r = open_registry(*state);
  torc_issue_result result;
  torc_issue_result renewed;
  char key[65];
  must_add(r, "alice", "alice@x");
  must_add(r, "mallory", "mallory@x");
  torc_issue_order o = order("alice", "alice@x", KEY_A);
  for (int i = 0; i < TORC_ACCOUNT_CERTS; i++) {
    (void)snprintf(key, sizeof key, "%064d", i);
    memcpy(o.key_hash, key, sizeof key);
    assert_int_equal(issue(r, &o, &result, err, sizeof err), 0);
    torc_issue_result_clear(&result);
  }
  memcpy(o.key_hash, KEY_A, sizeof o.key_hash);
  assert_int_equal(issue(r, &o, &result, err, sizeof err), TORC_ERR_LIMIT);
  assert_string_equal(err, "the account alice has 10 valid certificates, and 10 are allowed");
  o.now = NOW + 1000000; /* when the others are over */
  o.not_after = o.now + 1000;
  assert_int_equal(issue(r, &o, &result, err, sizeof err), 0);
  o.max_certs = 1;
  o.has_peer = true;
  o.peer = result.entry.peer;
  memcpy(o.key_hash, KEY_B, sizeof o.key_hash);
  assert_int_equal(issue(r, &o, &renewed, err, sizeof err), 0);
  assert_true(torc_id_eq(&renewed.entry.peer, &result.entry.peer));
  assert_memory_not_equal(renewed.entry.serial, result.entry.serial, TORC_CA_SERIAL_LEN);
  torc_issue_result_clear(&renewed);
  o.account = "mallory";
  o.users[0] = "mallory@x";
  assert_int_equal(issue(r, &o, &renewed, err, sizeof err), TORC_ERR_DENIED); /* [ENR-33] */
  assert_non_null(strstr(err, "was not given to the account mallory"));
  memset(&o.peer, 0x55, sizeof o.peer); /* nor one that nobody has */
  assert_int_equal(issue(r, &o, &renewed, err, sizeof err), TORC_ERR_DENIED);
  torc_issue_result_clear(&result);
  torc_registry_close(r);
}

static void a_repeat_gets_the_same(void **state) {
  char err[400];
  torc_registry *r = open_registry(*state);
  torc_issue_result first;
  torc_issue_result again;
  must_add(r, "alice", "alice@x");
  assert_int_equal(torc_registry_add_name(r, "alice", "a2@x", err, sizeof err), 0);
  torc_issue_order o = order("alice", "alice@x", KEY_A);
  assert_int_equal(issue(r, &o, &first, err, sizeof err), 0);
  assert_false(first.is_repeat);
  o.now += TORC_REGISTRY_RETRY_S - 1;
  assert_int_equal(issue(r, &o, &again, err, sizeof err), 0);
  assert_true(again.is_repeat);
  assert_int_equal(again.len, first.len);
  assert_memory_equal(again.der, first.der, first.len);
  assert_memory_equal(again.entry.serial, first.entry.serial, TORC_CA_SERIAL_LEN);
  assert_int_equal(again.entry.not_after, first.entry.not_after);
  torc_issue_result_clear(&again);
  assert_int_equal(count(r, "alice"), 1);
  torc_issue_order other[] = {o, o, o, o};
  memcpy(other[0].key_hash, KEY_B, sizeof o.key_hash); /* another key */
  other[1].users[0] = "a2@x";                          /* another name */
  other[2].now = NOW + TORC_REGISTRY_RETRY_S;          /* later */
  other[3].may_repeat = false;
  for (size_t i = 0; i < 4; i++) {
    assert_int_equal(issue(r, &other[i], &again, err, sizeof err), 0);
    assert_false(again.is_repeat);
    o.peer = i == 0 ? again.entry.peer : o.peer;
    torc_issue_result_clear(&again);
  }
  o.has_peer = true; /* the certificate of another peer-id is no answer to a renewal */
  assert_int_equal(issue(r, &o, &again, err, sizeof err), 0);
  assert_false(again.is_repeat);
  assert_true(torc_id_eq(&again.entry.peer, &o.peer));
  torc_issue_result_clear(&again);
  torc_issue_result_clear(&first);
  torc_registry_close(r);
}

static void a_failed_signature_leaves_nothing(void **state) {
  char err[400];
  int fault = TORC_ERR_CRYPTO;
  torc_registry *r = open_registry(*state);
  torc_issue_result result;
  torc_issue_order o = order("alice", "alice@x", KEY_A);
  o.may_claim = true;
  o.sign_arg = &fault;
  torc_account a;
  assert_int_equal(issue(r, &o, &result, err, sizeof err), TORC_ERR_CRYPTO);
  assert_null(result.der);
  assert_int_equal(count(r, NULL), 0);
  assert_int_equal(torc_registry_get(r, "alice", NOW, &a, err, sizeof err), TORC_ERR_NOTFOUND);
  fault = 0;
  assert_int_equal(issue(r, &o, &result, err, sizeof err), 0);
  torc_issue_result_clear(&result);
  o.num_users = 0;
  assert_int_equal(issue(r, &o, &result, err, sizeof err), TORC_ERR_INVALID);
  torc_registry_close(r);
}

typedef struct racer {
  const char *dir, *account;
  size_t won, lost;
} racer;

#define RACE_NAMES 25

/* Claims the names one after the other through a connection of its own. */
static void *race(void *arg) {
  racer *me = arg;
  char err[400];
  torc_registry *r = open_registry(me->dir);
  for (int i = 0; i < RACE_NAMES; i++) {
    char name[20];
    torc_issue_result result;
    (void)snprintf(name, sizeof name, "n%d@x", i);
    torc_issue_order o = order(me->account, name, KEY_A);
    o.may_claim = true;
    o.max_certs = 1000;
    int rc = torc_registry_issue(r, &o, &result, err, sizeof err);
    me->won += rc == 0 ? 1 : 0;
    me->lost += rc == TORC_ERR_DENIED ? 1 : 0;
    torc_issue_result_clear(&result);
  }
  torc_registry_close(r);
  return NULL;
}

static void two_authorities_never_give_one_name_twice(void **state) {
  racer racers[2] = {{.dir = *state, .account = "one"}, {.dir = *state, .account = "two"}};
  pthread_t threads[2];
  torc_registry_close(open_registry(*state)); /* test_path is for one thread at a time */
  for (size_t i = 0; i < 2; i++) {
    assert_int_equal(pthread_create(&threads[i], NULL, race, &racers[i]), 0);
  }
  for (size_t i = 0; i < 2; i++) {
    assert_int_equal(pthread_join(threads[i], NULL), 0);
  }
  assert_int_equal(racers[0].won + racers[1].won, RACE_NAMES);
  assert_int_equal(racers[0].lost + racers[1].lost, RACE_NAMES);
  torc_registry *r = open_registry(*state);
  assert_int_equal(count(r, NULL), RACE_NAMES);
  torc_registry_close(r);
}

/* ---- what older versions wrote ---- */

#define LINE(serial_, peer_, account_, user_)                           \
  "{\"issued\":1700000000,\"serial\":\"" serial_ "\",\"peer\":\"" peer_ \
  "\",\"account\":\"" account_ "\",\"users\":[\"" user_ "\"],\"not_after\":1800000000}\n"
#define HEX1 "41414141414141414141414141414141"
#define HEX2 "42424242424242424242424242424242"

static void the_old_ledger_is_taken_over_once(void **state) {
  char err[400] = "";
  torc_registry *r = open_registry(*state);
  const char *ledger = test_path(*state, "ledger.jsonl");
  assert_int_equal(torc_past_take_ledger(r, *state, err, sizeof err), 0); /* there is none */
  test_write(ledger, LINE(HEX1, HEX1, "al\\\"ice", "alice@x")
                         LINE(HEX2, HEX2, "bob", "bob@x") "{\"issued\":17"); /* torn by a crash */
  assert_int_equal(torc_past_take_ledger(r, *state, err, sizeof err), 0);
  assert_int_equal(count(r, NULL), 2);
  assert_int_equal(count(r, "al\"ice"), 1);
  assert_int_equal(access(ledger, F_OK), -1);
  assert_int_equal(access(test_path(*state, "ledger.jsonl.imported"), F_OK), 0);
  assert_int_equal(rename(test_path(*state, "ledger.jsonl.imported"), ledger), 0);
  assert_int_equal(torc_past_take_ledger(r, *state, err, sizeof err),
                   0); /* a crash before rename */
  assert_int_equal(count(r, NULL), 2);
  torc_issue_result result;
  torc_issue_order o = order("mallory", "alice@x", KEY_A);
  o.may_claim = true;
  assert_int_equal(issue(r, &o, &result, err, sizeof err), TORC_ERR_DENIED);
  torc_registry_close(r);
}

static void a_damaged_ledger_is_told_and_left(void **state) {
  static const char *const damaged[] = {"nonsense\n",
                                        "{}\n",
                                        "\n",
                                        LINE("41", HEX1, "a", "a@x"),
                                        LINE(HEX1, "zz", "a", "a@x"),
                                        LINE(HEX1, HEX1, "", "a@x"),
                                        "{\"issued\":1,\"serial\":\"" HEX1 "\",\"peer\":\"" HEX1
                                        "\",\"account\":\"c\",\"users\":\"d\",\"not_after\":1}\n"};
  char err[400];
  char text[1000];
  torc_registry *r = open_registry(*state);
  for (size_t i = 0; i < TORC_ARRAY_LEN(damaged); i++) {
    (void)snprintf(text, sizeof text, "%s%s%s", LINE(HEX2, HEX2, "bob", "bob@x"), damaged[i],
                   LINE(HEX1, HEX1, "eve", "eve@x"));
    test_write(test_path(*state, "ledger.jsonl"), text);
    assert_int_equal(torc_past_take_ledger(r, *state, err, sizeof err), TORC_ERR_FORMAT);
    assert_non_null(strstr(err, "ledger.jsonl:2: this line is no entry"));
    assert_int_equal(count(r, NULL), 0); /* all or nothing */
    assert_int_equal(access(test_path(*state, "ledger.jsonl"), F_OK), 0);
  }
  torc_registry_close(r);
}

static void the_audit_log_fills_what_a_backup_lacks(void **state) {
  char err[400] = "";
  torc_registry_imported out;
  torc_account a;
  torc_registry *r = open_registry(*state);
  test_write(test_path(*state, "audit"),
             "{\"time\":1700000000,\"event\":\"account-added\",\"account\":\"alice\",\"names\":"
             "[\"alice@x\",\"a2@x\"]}\n"
             "{\"time\":1700000000,\"event\":\"refused\",\"account\":\"eve\",\"reason\":\"x\"}\n"
             "{\"time\":17000000{\"time\":1}\nnonsense\n"
             "{\"time\":1700000000,\"event\":\"issued\",\"account\":\"guest-7\",\"users\":"
             "[\"guest-7@x\"],\"serial\":\"" HEX1 "\",\"peer\":\"" HEX1
             "\",\"not_after\":1800000000}\n{\"time\":1700");
  assert_int_equal(torc_past_take_audit(r, test_path(*state, "audit"), &out, err, sizeof err), 0);
  assert_int_equal(out.entries, 2);
  assert_int_equal(out.certificates, 1);
  assert_int_equal(torc_registry_get(r, "alice", NOW, &a, err, sizeof err), 0);
  assert_int_equal(a.num_names, 2);
  assert_false(a.password.is_set); /* which the log does not hold */
  assert_int_equal(torc_registry_get(r, "guest-7", NOW, &a, err, sizeof err), 0);
  assert_true(a.is_guest);
  assert_int_equal(torc_registry_get(r, "eve", NOW, &a, err, sizeof err), TORC_ERR_NOTFOUND);
  assert_int_equal(torc_past_take_audit(r, test_path(*state, "audit"), &out, err, sizeof err), 0);
  assert_int_equal(out.certificates, 0); /* they are there */
  assert_int_equal(torc_past_take_audit(r, test_path(*state, "none"), &out, err, sizeof err), 0);
  torc_registry_close(r);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TORC_DIR_TEST("R-52 ENR-36 a name belongs to one account for ever", names_belong_for_ever),
      TORC_DIR_TEST("D-17 accounts come back as they were", accounts_come_back),
      TORC_DIR_TEST("R-52 SEC-22 ENR-33 ENR-38 ten peer-ids of an account, renewal keeps one",
                    ten_peer_ids_and_renewal),
      TORC_DIR_TEST("ENR-35 a repeated request gets the same certificate", a_repeat_gets_the_same),
      TORC_DIR_TEST("ENR-35 a failed signature leaves nothing", a_failed_signature_leaves_nothing),
      TORC_DIR_TEST("R-52 BGAP-04 two authorities never give one name twice",
                    two_authorities_never_give_one_name_twice),
      TORC_DIR_TEST("ENR-35 R-52 the ledger of older versions is taken over once",
                    the_old_ledger_is_taken_over_once),
      TORC_DIR_TEST("ENR-35 a damaged ledger is told with its line",
                    a_damaged_ledger_is_told_and_left),
      TORC_DIR_TEST("R-52 ENR-35 the audit log fills what a backup lacks",
                    the_audit_log_fills_what_a_backup_lacks),
  };
  return TORC_RUN(tests);
}

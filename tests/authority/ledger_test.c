/* What the authority remembers.
 * SPDX-License-Identifier: Apache-2.0 */
#include "authority/ledger.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "authority/helper_dir.h"
#include "base/slice.h"

#define NOW 1700000000u

static torc_ledger_entry entry(uint8_t number, const char *account, const char *user) {
  torc_ledger_entry e = {.issued = NOW, .not_after = NOW + 1000, .num_users = 1};
  memset(e.serial, number, sizeof e.serial);
  memset(e.peer.b, number, sizeof e.peer.b);
  (void)snprintf(e.account, sizeof e.account, "%s", account);
  (void)snprintf(e.users[0], sizeof e.users[0], "%s", user);
  return e;
}

static torc_ledger *open_ledger(const char *dir) {
  char err[256] = "";
  torc_ledger *l = NULL;
  assert_int_equal(torc_ledger_open(&l, test_path(dir, "ledger"), err, sizeof err), 0);
  return l;
}

static int check(torc_ledger *l, const torc_ledger_entry *e, torc_wall now) {
  char err[512] = "";
  int rc = torc_ledger_check(l, e, now, err, sizeof err);
  assert_true((rc == 0) == (err[0] == '\0'));
  return rc;
}

static void append(torc_ledger *l, const torc_ledger_entry *e) {
  char err[256] = "";
  assert_int_equal(torc_ledger_append(l, e, err, sizeof err), 0);
}

static void lines_are_json(void **state) {
  size_t len = 0;
  struct stat st;
  torc_ledger_entry e = entry(0x41, "al\"ice", "alice@x");
  torc_ledger *l = open_ledger(*state);
  append(l, &e);
  torc_ledger_close(l);
  char *text = test_read(test_path(*state, "ledger"), &len);
  assert_string_equal(text,
                      "{\"issued\":1700000000,\"serial\":\"41414141414141414141414141414141\","
                      "\"peer\":\"41414141414141414141414141414141\",\"account\":\"al\\\"ice\","
                      "\"users\":[\"alice@x\"],\"not_after\":1700001000}\n");
  free(text);
  assert_int_equal(stat(test_path(*state, "ledger"), &st), 0);
  assert_int_equal(st.st_mode & 0777, 0600);
}

static void numbers_are_used_once(void **state) {
  torc_ledger *l = open_ledger(*state);
  torc_ledger_entry first = entry(1, "alice", "alice@x");
  torc_ledger_entry second = entry(2, "alice", "alice@x");
  assert_int_equal(check(l, &first, NOW), 0);
  append(l, &first);
  assert_int_equal(check(l, &first, NOW), TORC_ERR_EXISTS);
  assert_int_equal(check(l, &second, NOW), 0);
  second.peer = first.peer;
  assert_int_equal(check(l, &second, NOW), TORC_ERR_EXISTS);
  second = entry(2, "alice", "alice@x");
  memcpy(second.serial, first.serial, sizeof second.serial);
  assert_int_equal(check(l, &second, NOW), TORC_ERR_EXISTS);
  torc_ledger_close(l);
}

static void names_belong_to_one_account_for_ever(void **state) {
  char err[512] = "";
  torc_ledger *l = open_ledger(*state);
  torc_ledger_entry alice = entry(1, "alice", "alice@x");
  torc_ledger_entry mallory = entry(2, "mallory", "alice@x");
  append(l, &alice);
  assert_int_equal(check(l, &mallory, NOW), TORC_ERR_DENIED);
  assert_int_equal(check(l, &mallory, NOW + 1000000),
                   TORC_ERR_DENIED); /* also when all have expired */
  assert_int_equal(torc_ledger_check(l, &mallory, NOW, err, sizeof err), TORC_ERR_DENIED);
  assert_string_equal(err, "the name alice@x belongs to the account alice for ever");
  mallory = entry(2, "mallory", "mallory@x");
  mallory.num_users = 2;
  (void)snprintf(mallory.users[1], sizeof mallory.users[1], "alice@x");
  assert_int_equal(check(l, &mallory, NOW), TORC_ERR_DENIED);
  mallory.num_users = 1;
  assert_int_equal(check(l, &mallory, NOW), 0);
  torc_ledger_close(l);
}

static void an_account_has_ten_valid_certificates(void **state) {
  torc_ledger *l = open_ledger(*state);
  for (uint8_t i = 1; i <= TORC_LEDGER_ACCOUNT_CERTS; i++) {
    torc_ledger_entry e = entry(i, "alice", "alice@x");
    assert_int_equal(check(l, &e, NOW), 0);
    append(l, &e);
  }
  torc_ledger_entry eleventh = entry(99, "alice", "alice@x");
  torc_ledger_entry other = entry(98, "bob", "bob@x");
  assert_int_equal(check(l, &eleventh, NOW), TORC_ERR_LIMIT);
  assert_int_equal(check(l, &other, NOW), 0);
  assert_int_equal(check(l, &eleventh, NOW + 1000), 0); /* the others have expired */
  torc_ledger_close(l);
}

static void a_torn_line_is_cut_off(void **state) {
  const char *path = test_path(*state, "ledger");
  size_t len = 0;
  torc_ledger *l = open_ledger(*state);
  torc_ledger_entry first = entry(1, "alice", "alice@x");
  torc_ledger_entry second = entry(2, "bob", "bob@x");
  append(l, &first);
  append(l, &second);
  torc_ledger_close(l);
  char *whole = test_read(path, &len);
  size_t first_len = (size_t)(strchr(whole, '\n') - whole) + 1;
  for (size_t cut = first_len; cut < len; cut++) { /* a crash at any byte of the second */
    assert_int_equal(truncate(path, (off_t)cut), 0);
    l = open_ledger(*state);
    assert_int_equal(check(l, &second, NOW), 0);
    assert_int_equal(check(l, &first, NOW), TORC_ERR_EXISTS);
    append(l, &second);
    torc_ledger_close(l);
    size_t again_len = 0;
    char *again = test_read(path, &again_len);
    assert_string_equal(again, whole);
    free(again);
  }
  free(whole);
}

static void damage_is_told_with_its_line(void **state) {
  static const char *const damaged[] = {
      "nonsense\n",
      "{}\n",
      "[]\n",
      "{\"serial\":1}\n",
      "\n",
      ("{\"issued\":1,\"serial\":\"a\",\"peer\":\"b\",\"account\":\"c\",\"users\":\"d\","
       "\"not_after\":1}\n")};
  char err[512];
  for (size_t i = 0; i < TORC_ARRAY_LEN(damaged); i++) {
    torc_ledger_entry good = entry(1, "alice", "alice@x");
    torc_ledger_entry e = entry(2, "alice", "alice@x");
    (void)unlink(test_path(*state, "ledger"));
    torc_ledger *l = open_ledger(*state);
    append(l, &good);
    FILE *f = fopen(test_path(*state, "ledger"), "ae");
    assert_non_null(f);
    assert_true(fputs(damaged[i], f) >= 0);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(torc_ledger_check(l, &e, NOW, err, sizeof err), TORC_ERR_FORMAT);
    assert_non_null(strstr(err, "ledger:2: this line is no entry"));
    torc_ledger_close(l);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TORC_DIR_TEST("ENR-35 an entry is a line of JSON", lines_are_json),
      TORC_DIR_TEST("ENR-35 serial numbers and peer-ids are used once", numbers_are_used_once),
      TORC_DIR_TEST("R-52 ENR-36 a name belongs to one account for ever",
                    names_belong_to_one_account_for_ever),
      TORC_DIR_TEST("R-52 SEC-22 an account has at most ten valid certificates",
                    an_account_has_ten_valid_certificates),
      TORC_DIR_TEST("ENR-35 a line torn by a crash is cut off", a_torn_line_is_cut_off),
      TORC_DIR_TEST("ENR-35 damage is told with its line", damage_is_told_with_its_line),
  };
  return TORC_RUN(tests);
}

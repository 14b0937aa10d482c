/* Answers to requests, whoever carried them; the audit log; the settings.
 * SPDX-License-Identifier: Apache-2.0 */
#include "authority/enrol.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "authority/authority.h"
#include "authority/helper_csr.h"
#include "authority/helper_dir.h"
#include "base/slice.h"

static void make_home(const char *dir, torc_home **home, torc_enrol *enrol) {
  char err[400] = "";
  static torc_overlay overlay;
  torc_authority_made made;
  overlay = (torc_overlay){.name = "ring.example.org", .algorithm = "chord-128-2-8"};
  torc_authority_setup setup = {.dir = test_path(dir, "au"),
                                .overlay = &overlay,
                                .signature = TORC_CA_ECDSA,
                                .now = (torc_wall)time(NULL)};
  assert_int_equal(torc_authority_init(&setup, &made, err, sizeof err), 0);
  torc_overlay_clear(&overlay);
  assert_int_equal(torc_home_open(home, test_path(dir, "au"), TORC_HOME_ALL, err, sizeof err), 0);
  assert_int_equal(torc_enrol_init(enrol), 0);
  enrol->overlay = (*home)->overlay;
  enrol->terms.issuers = (*home)->issuers;
  enrol->terms.num_issuers = (*home)->num_issuers;
  enrol->registry = (*home)->registry;
  enrol->audit = (*home)->audit;
  enrol->terms.policy =
      (torc_enrol_policy){.days = 30, .max_certs = 2, .allows_guests = true, .guest_days = 1};
  torc_account a = {.name = "alice", .names = {"alice@x"}, .num_names = 1};
  assert_int_equal(torc_registry_add(enrol->registry, &a, err, sizeof err), 0);
}

static int ask(torc_enrol *e, const char *account, const test_csr *wanted, torc_wall now,
               char reason[TORC_REASON_MAX]) {
  size_t len = 0;
  uint8_t *der = test_csr_der(wanted, &len);
  torc_enrol_answer answer;
  if (account == NULL) {
    torc_enrol_guest(e, torc_slice_of(der, len), "192.0.2.1", now, &answer);
  } else {
    torc_enrol_account(e, account, torc_slice_of(der, len), "192.0.2.1", now, &answer);
  }
  int status = answer.status;
  assert_true((status == 200) == (answer.body != NULL));
  (void)snprintf(reason, TORC_REASON_MAX, "%s", answer.reason);
  torc_enrol_answer_clear(&answer);
  OPENSSL_free(der);
  return status;
}

static void answers_have_the_status_of_their_reason(void **state) {
  torc_home *home = NULL;
  torc_enrol e;
  char reason[TORC_REASON_MAX];
  torc_wall now = (torc_wall)time(NULL);
  make_home(*state, &home, &e);
  const struct {
    const char *account;
    test_csr wanted;
    int status;
  } cases[] = {
      {"alice", {.san = "email:alice@x"}, 200},
      {"alice", {.san = "email:bob@x"}, 403},
      {"alice", {.san = NULL}, 400},
      {"alice", {.san = "email:alice@x", .is_signature_broken = true}, 400},
      {"nobody", {.san = "email:alice@x"}, 403},
      {"alice", {.san = "email:alice@x"}, 200},
      {"alice", {.san = "email:alice@x"}, 403}, /* a third one */
      {NULL, {.san = NULL}, 200},
      {NULL, {.san = "email:alice@x"}, 403},
  };
  for (size_t i = 0; i < TORC_ARRAY_LEN(cases); i++) {
    int status = ask(&e, cases[i].account, &cases[i].wanted, now, reason);
    if (status != cases[i].status) {
      fail_msg("case %zu: %d %s", i, status, reason);
    }
  }
  assert_int_equal(e.counts.issued, 3);
  assert_int_equal(e.counts.guests_issued, 1);
  assert_int_equal(e.counts.refused_name, 3);
  assert_int_equal(e.counts.refused_request, 2);
  assert_int_equal(e.counts.refused_count, 1);
  size_t len = 0;
  char *log = test_read(test_path(test_path(*state, "au"), "audit.jsonl"), &len);
  size_t lines = 0;
  for (const char *p = log; (p = strchr(p, '\n')) != NULL; p++) {
    lines++;
  }
  assert_int_equal(lines, TORC_ARRAY_LEN(cases)); /* each answer, and nothing else */
  assert_non_null(strstr(log, "\"source\":\"192.0.2.1\""));
  free(log);
  test_csr wanted = {.san = "email:alice@x"};
  assert_int_equal(ask(&e, "alice", &wanted, now + 4000u * 86400, reason), 503);
  assert_non_null(strstr(reason, "expired")); /* the root's ten years are over */
  torc_home_close(home);
}

/* A key whose guest's name an administrator gave to an account does not get that account. */
static void a_guest_is_never_an_account(void **state) {
  torc_home *home = NULL;
  torc_enrol e;
  char reason[TORC_REASON_MAX];
  char err[400] = "";
  EVP_PKEY *key = test_ec_key("P-256");
  torc_account a = {.num_names = 1};
  char hash[2 * TORC_SHA256_LEN + 1];
  make_home(*state, &home, &e);
  assert_int_equal(torc_csr_key_hash(key, hash), 0);
  (void)snprintf(a.name, sizeof a.name, "guest-%.24s@ring.example.org", hash);
  (void)snprintf(a.names[0], sizeof a.names[0], "%s", a.name);
  assert_int_equal(torc_registry_add(e.registry, &a, err, sizeof err), 0);
  test_csr wanted = {.key = key};
  assert_int_equal(ask(&e, NULL, &wanted, (torc_wall)time(NULL), reason), 403);
  e.terms.policy.allows_guests = false;
  test_csr other = {.san = NULL};
  assert_int_equal(ask(&e, NULL, &other, (torc_wall)time(NULL), reason), 403);
  assert_string_equal(reason, "this overlay takes no guests; enrol with an account");
  EVP_PKEY_free(key);
  torc_home_close(home);
}

/* No certificate is handed out whose line is not in the log; afterwards it is found again. */
static void without_the_log_nothing_is_handed_out(void **state) {
  torc_home *home = NULL;
  torc_enrol e;
  char reason[TORC_REASON_MAX];
  char err[200] = "";
  torc_audit *full = NULL;
  test_csr wanted = {.san = "email:alice@x", .key = test_ec_key("P-256")};
  torc_wall now = (torc_wall)time(NULL);
  make_home(*state, &home, &e);
  assert_int_equal(torc_audit_open(&full, "/dev/full", err, sizeof err), 0);
  torc_audit *good = e.audit;
  e.audit = full;
  assert_int_equal(ask(&e, "alice", &wanted, now, reason), 500);
  assert_null(strstr(reason, "/dev")); /* what went wrong inside is not told */
  assert_true(e.counts.failed > 0);
  e.audit = good;
  assert_int_equal(ask(&e, "alice", &wanted, now, reason), 200);
  assert_int_equal(e.counts.repeated, 1); /* the same certificate, not a second */
  EVP_PKEY_free(wanted.key);
  torc_audit_close(full);
  torc_home_close(home);
}

/* After a line without its end the next one begins on a line of its own. */
static void a_torn_line_is_ended(void **state) {
  char err[200] = "";
  size_t len = 0;
  torc_audit *a = NULL;
  const char *file = test_path(*state, "log");
  torc_audit_event event = {.what = "refused", .when = 7, .account = "a\"b\xff", .reason = "x\ny"};
  test_write(file, "{\"time\":1,\"ev");
  assert_int_equal(torc_audit_open(&a, file, err, sizeof err), 0);
  assert_int_equal(torc_audit_write(a, &event), 0);
  event.account = "alice";
  assert_int_equal(torc_audit_write(a, &event), 0);
  assert_int_equal(rename(file, test_path(*state, "old")), 0);
  assert_int_equal(torc_audit_reopen(a, err, sizeof err), 0);
  assert_int_equal(torc_audit_write(a, &event), 0);
  torc_audit_close(a);
  char *text = test_read(test_path(*state, "old"), &len);
  assert_string_equal(
      text,
      "{\"time\":1,\"ev\n"
      "{\"time\":7,\"event\":\"refused\",\"account\":\"(not UTF-8)\",\"reason\":"
      "\"x\\ny\"}\n"
      "{\"time\":7,\"event\":\"refused\",\"account\":\"alice\",\"reason\":\"x\\ny\"}"
      "\n");
  free(text);
  text = test_read(file, &len);
  assert_true(strncmp(text, "{\"time\":7", 9) == 0);
  free(text);
  assert_int_equal(torc_audit_write(NULL, &event), 0);
  assert_int_equal(torc_audit_open(&a, test_path(*state, "none/log"), err, sizeof err),
                   TORC_ERR_IO);
}

static void settings_have_defaults_and_relative_names(void **state) {
  char err[400] = "";
  char path[TORC_PATH_MAX];
  char database[TORC_DATABASE_MAX];
  char expected[TORC_DATABASE_MAX];
  torc_settings s;
  assert_int_equal(torc_settings_load(&s, *state, err, sizeof err), 0);
  assert_int_equal(s.days, 365);
  assert_int_equal(s.certificates, 10); /* */
  assert_false(s.allows_guests || s.allows_md5);
  assert_int_equal(torc_settings_path(&s, "/x", path, err, sizeof err), 0);
  assert_string_equal(path, "/x");
  assert_int_equal(torc_settings_path(&s, "x", path, err, sizeof err), 0);
  assert_string_equal(path, test_path(*state, "x"));
  assert_int_equal(torc_settings_database(&s, database, err, sizeof err), 0);
  (void)snprintf(expected, sizeof expected, "sqlite:%s", test_path(*state, "authority.db"));
  assert_string_equal(database, expected);
  test_write(test_path(*state, "torc-authority.conf"),
             "[database]\nurl = postgresql://torc@db/x\n[issuer]\ncert = a\nkey = b\ncert = c\n"
             "key = pkcs11:token=t;object=o\n[https]\nlisten = [::1]:0\nmd5 = yes\n");
  assert_int_equal(torc_settings_load(&s, *state, err, sizeof err), 0);
  assert_int_equal(torc_settings_database(&s, database, err, sizeof err), 0);
  assert_string_equal(database, "postgresql://torc@db/x");
  assert_int_equal(s.num_issuer_cert, 2);
  assert_string_equal(s.issuer_key[1], "pkcs11:token=t;object=o");
  assert_true(s.allows_md5);
  test_write(test_path(*state, "torc-authority.conf"), "[https]\nthreads = 0\n");
  assert_int_equal(torc_settings_load(&s, *state, err, sizeof err), TORC_ERR_CONFIG);
  assert_non_null(strstr(err, "torc-authority.conf:2: threads = '0': expected 1 to 64"));
}

/* A restore excludes everything else, and the other way round. */
static void a_restore_is_alone(void **state) {
  char err[400] = "";
  int shared = -1;
  int alone = -1;
  assert_int_equal(torc_home_lock(*state, false, &shared, err, sizeof err), 0);
  assert_int_equal(torc_home_lock(*state, true, &alone, err, sizeof err), TORC_ERR_STATE);
  assert_int_equal(close(shared), 0);
  assert_int_equal(torc_home_lock(*state, true, &alone, err, sizeof err), 0);
  assert_int_equal(torc_home_lock(*state, false, &shared, err, sizeof err), TORC_ERR_STATE);
  assert_non_null(strstr(err, "is being restored"));
  assert_int_equal(close(alone), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TORC_DIR_TEST("ENR-31 ENR-36 D-17 answers have the status of their reason",
                    answers_have_the_status_of_their_reason),
      TORC_DIR_TEST("ENR-36 R-52 a guest is never an account", a_guest_is_never_an_account),
      TORC_DIR_TEST("D-17 without the audit log nothing is handed out",
                    without_the_log_nothing_is_handed_out),
      TORC_DIR_TEST("D-17 a torn line of the audit log is ended", a_torn_line_is_ended),
      TORC_DIR_TEST("D-17 settings have defaults, names are relative",
                    settings_have_defaults_and_relative_names),
      TORC_DIR_TEST("D-17 a restore is alone", a_restore_is_alone),
  };
  return TORC_RUN(tests);
}

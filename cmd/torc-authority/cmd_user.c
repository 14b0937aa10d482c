/* torc-authority user: accounts. SPDX-License-Identifier: Apache-2.0 */
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "authority/password.h"
#include "commands.h"
#include "io/err.h"

/* ---- passwords ---- */

/* One line without its newline. False: there is none, or it is too long. */
static bool read_line(char out[TORC_PASSWORD_MAX + 2]) {
  if (fgets(out, TORC_PASSWORD_MAX + 2, stdin) == NULL) {
    return false;
  }
  size_t len = strcspn(out, "\r\n");
  bool is_whole = out[len] != '\0' || len <= TORC_PASSWORD_MAX;
  out[len] = '\0';
  return is_whole;
}

/* Twice from a terminal, unseen; once from a file or a pipe. */
static bool ask(char out[TORC_PASSWORD_MAX + 2]) {
  struct termios before;
  char again[TORC_PASSWORD_MAX + 2] = "";
  if (isatty(STDIN_FILENO) == 0 || tcgetattr(STDIN_FILENO, &before) != 0) {
    return read_line(out);
  }
  struct termios silent = before;
  silent.c_lflag &= ~(tcflag_t)ECHO;
  (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
  (void)fputs("password: ", stderr);
  bool ok = read_line(out);
  (void)fputs("\nonce more: ", stderr);
  ok = ok && read_line(again) && strcmp(out, again) == 0;
  (void)fputs("\n", stderr);
  (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
  OPENSSL_cleanse(again, sizeof again);
  return ok;
}

/* Fills `p`; made: the password if it was made here, else "". */
static int get_password(const options *o, const torc_home *h, torc_password *p,
                        char made[TORC_PASSWORD_MADE + 1], char *err) {
  char text[TORC_PASSWORD_MAX + 2] = "";
  int rc = 0;
  made[0] = '\0';
  if (o->generate) {
    rc = torc_password_make(made);
    (void)snprintf(text, sizeof text, "%s", made);
  } else if (!ask(text)) {
    rc = torc_fail(TORC_ERR_INVALID, err, ERR_CAP,
                   "no password of at most %d bytes came from standard input, or two differ",
                   TORC_PASSWORD_MAX);
  }
  if (rc == 0 && strlen(text) < TORC_PASSWORD_MIN) {
    rc = torc_fail(TORC_ERR_INVALID, err, ERR_CAP,
                   "a password has at least %d bytes; --generate makes one", TORC_PASSWORD_MIN);
  }
  if (rc == 0 &&
      torc_password_digest(o->words[1], h->overlay, text, h->settings.allows_md5, p) != 0) {
    rc = torc_fail(TORC_ERR_CRYPTO, err, ERR_CAP, "the password cannot be hashed");
  }
  OPENSSL_cleanse(text, sizeof text);
  return rc;
}

/* ---- one account ---- */

static int tell(torc_home *h, const options *o, const char *what, const torc_account *a,
                char *err) {
  const char *names[TORC_ACCOUNT_NAMES];
  for (size_t i = 0; i < a->num_names; i++) {
    names[i] = a->names[i];
  }
  torc_audit_event event = {.what = what,
                            .when = wall_now(),
                            .account = o->words[1],
                            .names = names,
                            .num_names = a->num_names};
  return torc_home_tell(h, &event, err, ERR_CAP);
}

static int say(const options *o, const char *done, const char *password) {
  if (o->json) {
    return print_json(json_pack("{s:s, s:s, s:s*}", "account", o->words[1], "done", done,
                                "password", password[0] == '\0' ? NULL : password));
  }
  (void)printf("account %s: %s\n", o->words[1], done);
  if (password[0] != '\0') {
    (void)printf("password %s\n", password);
  }
  return EXIT_SUCCESS;
}

/* The names of the command line, or the account's own if it looks like a user name. */
static int fill_names(const options *o, torc_account *a, char *err) {
  const char *own[] = {o->words[1]};
  const char *const *users = o->num_users == 0 ? own : o->users;
  size_t num = o->num_users == 0 ? 1 : o->num_users;
  for (size_t i = 0; i < num; i++) {
    if (torc_ca_user_name(users[i], a->names[i], sizeof a->names[i]) != 0) {
      return torc_fail(TORC_ERR_FORMAT, err, ERR_CAP,
                       "'%s' is no user name; say --user alice@example.org", users[i]);
    }
  }
  a->num_names = num;
  return 0;
}

static int add(const options *o, torc_home *h, torc_account *a, char *made, char *err) {
  const char *fault = torc_account_name_fault(o->words[1]);
  int rc = fault == NULL ? 0 : torc_fail(TORC_ERR_FORMAT, err, ERR_CAP, "%s", fault);
  if (rc == 0) {
    (void)snprintf(a->name, sizeof a->name, "%s", o->words[1]);
    a->created = wall_now();
    rc = fill_names(o, a, err);
  }
  if (rc == 0 && !o->no_password) {
    rc = get_password(o, h, &a->password, made, err);
  }
  if (rc == 0) {
    rc = torc_registry_add(h->registry, a, err, ERR_CAP);
  }
  return rc == 0 ? tell(h, o, "account-added", a, err) : rc;
}

static int grant(const options *o, torc_home *h, torc_account *a, char *err) {
  int rc = fill_names(o, a, err);
  for (size_t i = 0; rc == 0 && i < a->num_names; i++) {
    rc = torc_registry_add_name(h->registry, o->words[1], a->names[i], err, ERR_CAP);
  }
  return rc == 0 ? tell(h, o, "account-granted", a, err) : rc;
}

static int set_password(const options *o, torc_home *h, torc_account *a, char *made, char *err) {
  int rc = torc_registry_get(h->registry, o->words[1], wall_now(), a, err, ERR_CAP);
  if (rc == 0) {
    rc = get_password(o, h, &a->password, made, err);
  }
  if (rc == 0) {
    rc = torc_registry_set_password(h->registry, o->words[1], &a->password, err, ERR_CAP);
  }
  a->num_names = 0;
  return rc == 0 ? tell(h, o, "account-password", a, err) : rc;
}

typedef enum change { ADD, GRANT, PASSWORD, DISABLE, ENABLE } change;

static int change_account(const options *o, change what, torc_home *h, torc_account *a, char *made,
                          char *err) {
  int rc = 0;
  switch (what) {
    case ADD:
      return add(o, h, a, made, err);
    case GRANT:
      return grant(o, h, a, err);
    case PASSWORD:
      return set_password(o, h, a, made, err);
    case DISABLE:
    case ENABLE:
      rc = torc_registry_disable(h->registry, o->words[1], what == DISABLE, err, ERR_CAP);
      return rc == 0 ? tell(h, o, what == DISABLE ? "account-disabled" : "account-enabled", a, err)
                     : rc;
  }
  return TORC_ERR_INVALID;
}

static int run_change(const options *o, change what, const char *purpose, const char *done) {
  char err[ERR_CAP] = "";
  char made[TORC_PASSWORD_MADE + 1] = "";
  torc_home *h = NULL;
  torc_account *a = calloc(1, sizeof *a);
  if (a == NULL) {
    return failed(purpose, "there is no memory");
  }
  int rc = torc_home_open(&h, o->words[0], TORC_HOME_OVERLAY | TORC_HOME_REGISTRY, err, sizeof err);
  if (rc == 0) {
    rc = change_account(o, what, h, a, made, err);
  }
  torc_home_close(h);
  OPENSSL_cleanse(a, sizeof *a);
  free(a);
  rc = rc == 0 ? say(o, done, made) : failed(purpose, err);
  OPENSSL_cleanse(made, sizeof made);
  return rc;
}

int run_user_add(options *o) {
  return run_change(o, ADD, "add the account", "added");
}

int run_user_grant(options *o) {
  if (o->num_users == 0) {
    (void)fputs("torc-authority user grant: --user NAME is missing\n", stderr);
    return EXIT_USAGE;
  }
  return run_change(o, GRANT, "give the name", "has the user names");
}

int run_user_passwd(options *o) {
  return run_change(o, PASSWORD, "set the password", "has a new password");
}

int run_user_disable(options *o) {
  return run_change(o, DISABLE, "disable the account", "disabled");
}

int run_user_enable(options *o) {
  return run_change(o, ENABLE, "enable the account", "enabled");
}

/* ---- list ---- */

typedef struct listing {
  torc_home *home;
  json_t *list; /* NULL: print */
} listing;

static const char *state_of(const torc_account *a) {
  if (a->is_disabled) {
    return "disabled";
  }
  if (a->is_guest) {
    return "guest";
  }
  return a->password.is_set ? "enabled" : "no-password";
}

static int list_account(void *arg, const torc_account *a) {
  listing *l = arg;
  char created[32];
  date(a->created, created);
  if (l->list == NULL) {
    (void)printf("%-40s %-12s %s %3llu\n", a->name, state_of(a), created,
                 (unsigned long long)a->num_valid);
    return 0;
  }
  return json_array_append_new(
             l->list, json_pack("{s:s, s:s, s:s, s:b, s:I}", "account", a->name, "state",
                                state_of(a), "created", created, "has_md5", a->password.has_md5,
                                "valid_certificates", (json_int_t)a->num_valid)) == 0
             ? 0
             : TORC_ERR_NOMEM;
}

int run_user_list(options *o) {
  char err[ERR_CAP] = "";
  listing l = {.list = o->json ? json_array() : NULL};
  int rc = torc_home_open(&l.home, o->words[0], TORC_HOME_REGISTRY, err, sizeof err);
  if (rc == 0) {
    rc = torc_registry_accounts(l.home->registry, wall_now(), list_account, &l, err, sizeof err);
  }
  torc_home_close(l.home);
  if (rc != 0) {
    json_decref(l.list);
    return failed("list the accounts", err[0] == '\0' ? torc_strerror(rc) : err);
  }
  return o->json ? print_json(l.list) : EXIT_SUCCESS;
}

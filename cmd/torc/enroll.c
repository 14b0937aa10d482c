/* torc enroll, torc renew: a certificate from an overlay's name, and the next one.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <jansson.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "authority/ca.h"
#include "base/id.h"
#include "base/slice.h"
#include "commands.h"
#include "identity/enroll.h"

#define TERMINAL "/dev/tty"
#define EXAMPLE_PORT 6084

enum {
  OPT_USER = 256,
  OPT_ACCOUNT,
  OPT_GUEST,
  OPT_DIR,
  OPT_PASSWORD_FILE,
  OPT_PASSWORD_FD,
  OPT_SAVE,
  OPT_FORCE,
  OPT_SERVER,
  OPT_RESOLVER,
  OPT_ANCHOR,
  OPT_CA,
  OPT_JSON,
  OPT_HELP
};

static const struct option enroll_options[] = {
    {"user", required_argument, NULL, OPT_USER},
    {"account", required_argument, NULL, OPT_ACCOUNT},
    {"guest", no_argument, NULL, OPT_GUEST},
    {"dir", required_argument, NULL, OPT_DIR},
    {"password-file", required_argument, NULL, OPT_PASSWORD_FILE},
    {"password-fd", required_argument, NULL, OPT_PASSWORD_FD},
    {"save-password", no_argument, NULL, OPT_SAVE},
    {"force", no_argument, NULL, OPT_FORCE},
    {"server", required_argument, NULL, OPT_SERVER},
    {"resolver", required_argument, NULL, OPT_RESOLVER},
    {"trust-anchor", required_argument, NULL, OPT_ANCHOR},
    {"ca-file", required_argument, NULL, OPT_CA},
    {"json", no_argument, NULL, OPT_JSON},
    {"help", no_argument, NULL, OPT_HELP},
    {NULL, 0, NULL, 0}};

static const struct option renew_options[] = {
    {"password-file", required_argument, NULL, OPT_PASSWORD_FILE},
    {"password-fd", required_argument, NULL, OPT_PASSWORD_FD},
    {"json", no_argument, NULL, OPT_JSON},
    {"help", no_argument, NULL, OPT_HELP},
    {NULL, 0, NULL, 0}};

static const char enroll_usage[] =
    "usage: torc enroll OVERLAY --user NAME [--user NAME]... [--account NAME]\n"
    "         [--password-file FILE | --password-fd N] [--save-password]\n"
    "       torc enroll OVERLAY --guest\n"
    "         [--dir DIR] [--force] [--json] [--server HOST:PORT] [--resolver ADDRESS[@PORT]]\n"
    "         [--trust-anchor FILE] [--ca-file FILE]\n"
    "finds the overlay's enrolment server, asks it for a certificate and writes what torcd needs\n"
    "to DIR (default: ./OVERLAY). The password is asked for unless a file or descriptor is "
    "given.\n";
static const char renew_usage[] =
    "usage: torc renew DIR [--password-file FILE | --password-fd N] [--json]\n"
    "renews the certificate that torc enroll wrote to DIR: same names and peer-id, new key\n";

typedef struct options {
  torc_enroll_job job;
  const char *password_file, *dir;
  int password_fd; /* -1: none */
  bool is_guest, json, help;
  char password[TORC_PASSWORD_MAX + 1];
  char own_dir[TORC_CONF_TEXT_MAX];
} options;

static bool complain(const char *what, const char *value, const char *expected) {
  (void)fprintf(stderr, "torc: %s '%s': expected %s\n", what, value, expected);
  return false;
}

/* ---- the command line ---- */

static bool set_text(const char *name, const char *value, char out[TORC_CONF_TEXT_MAX]) {
  /* It goes into a line of enroll.conf. */
  if (value[0] == '\0' || strlen(value) > TORC_CONF_LINE_MAX - 24 ||
      strpbrk(value, "\r\n") != NULL) {
    return complain(name, value, "1 to 175 bytes of text");
  }
  (void)snprintf(out, TORC_CONF_TEXT_MAX, "%s", value);
  return true;
}

static bool set_path(const char *name, const char *value, char out[TORC_CONF_TEXT_MAX]) {
  char path[PATH_MAX];
  if (realpath(value, path) == NULL) {
    return complain(name, value, strerror(errno));
  }
  return set_text(name, path, out);
}

static bool add_user(options *o, const char *value) {
  torc_enrolment *how = &o->job.how;
  if (how->num_users == TORC_ENROLL_USERS_MAX) {
    return complain("--user", value, "at most 4 user names");
  }
  if (!set_text("--user", value, how->users[how->num_users])) {
    return false;
  }
  how->num_users++;
  return true;
}

static bool set_fd(options *o, const char *value) {
  char *end = NULL;
  long n = strtol(value, &end, 10);
  if (value[0] < '0' || value[0] > '9' || *end != '\0' || n > INT_MAX) {
    return complain("--password-fd", value, "the number of an open file descriptor");
  }
  o->password_fd = (int)n;
  return true;
}

static bool set_option(options *o, int option, const char *value) {
  torc_enrolment *how = &o->job.how;
  switch (option) {
    case OPT_USER:
      return add_user(o, value);
    case OPT_ACCOUNT:
      return set_text("--account", value, how->account);
    case OPT_GUEST:
      o->is_guest = true;
      return true;
    case OPT_DIR:
      o->dir = value;
      return true;
    case OPT_PASSWORD_FILE:
      o->password_file = value;
      return set_path("--password-file", value, how->password_file);
    case OPT_PASSWORD_FD:
      return set_fd(o, value);
    case OPT_SAVE:
      o->job.save_password = true;
      return true;
    case OPT_FORCE:
      o->job.replace = true;
      return true;
    case OPT_SERVER:
      return set_text("--server", value, how->server);
    case OPT_RESOLVER:
      return set_text("--resolver", value, how->resolver);
    case OPT_ANCHOR:
      return set_path("--trust-anchor", value, how->trust_anchor);
    case OPT_CA:
      return set_path("--ca-file", value, how->ca_file);
    case OPT_JSON:
      o->json = true;
      return true;
    case OPT_HELP:
      o->help = true;
      return true;
    default:
      return false; /* getopt has complained */
  }
}

/* The one word that stays; NULL: a complaint was printed or help is wanted. */
static const char *read_line(options *o, const struct option *known, int argc, char **argv,
                             const char *usage) {
  int option = 0;
  while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
    if (!set_option(o, option, optarg)) {
      (void)fputs(usage, stderr);
      return NULL;
    }
  }
  if (o->help) {
    (void)fputs(usage, stdout);
    return NULL;
  }
  if (argc - optind != 1) {
    (void)fputs(usage, stderr);
    return NULL;
  }
  if (o->password_file != NULL && o->password_fd >= 0) {
    (void)fputs("torc: --password-file and --password-fd exclude each other\n", stderr);
    return NULL;
  }
  return argv[optind];
}

/* A name without '@' is one of the overlay; the account is called as the first user was typed. */
static bool complete_users(options *o) {
  torc_enrolment *how = &o->job.how;
  if (o->is_guest) {
    if (how->num_users > 0 || how->account[0] != '\0') {
      (void)fputs("torc: a guest has neither --user nor --account: the server makes the name\n",
                  stderr);
      return false;
    }
    return true;
  }
  if (how->num_users == 0) {
    (void)fputs("torc: --user NAME is missing (or --guest, where the overlay takes guests)\n",
                stderr);
    return false;
  }
  if (how->account[0] == '\0') {
    memcpy(how->account, how->users[0], sizeof how->account);
  }
  for (size_t i = 0; i < how->num_users; i++) {
    char typed[2 * TORC_CONF_TEXT_MAX];
    (void)snprintf(typed, sizeof typed, "%s%s%s", how->users[i],
                   strchr(how->users[i], '@') == NULL ? "@" : "",
                   strchr(how->users[i], '@') == NULL ? how->overlay : "");
    if (torc_ca_user_name(typed, how->users[i], TORC_USER_MAX + 1) != 0) {
      return complain("--user", typed, "a user name, for example alice@ring.example.org");
    }
  }
  return true;
}

/* ---- the password ---- */

static bool read_line_of(int fd, char out[TORC_PASSWORD_MAX + 1]) {
  size_t len = 0;
  char c = '\0';
  ssize_t n = 0;
  while ((n = read(fd, &c, 1)) == 1 && c != '\n' && c != '\r') {
    if (len == TORC_PASSWORD_MAX) {
      return false;
    }
    out[len] = c;
    len++;
  }
  out[len] = '\0';
  return n >= 0 && len > 0;
}

/* Only so that the read ends and the terminal shows again what is typed. */
static void on_interrupt(int number) {
  (void)number;
}

/* One line without echo, which is off before anybody is asked; an interrupt ends the program as
 * usual, but afterwards. */
static bool read_hidden(int fd, const struct termios *old, const options *o,
                        char out[TORC_PASSWORD_MAX + 1]) {
  struct sigaction before;
  struct sigaction during = {.sa_handler = on_interrupt};
  struct termios quiet = *old;
  quiet.c_lflag &= ~(tcflag_t)ECHO;
  (void)sigaction(SIGINT, &during, &before);
  (void)tcsetattr(fd, TCSAFLUSH, &quiet);
  (void)dprintf(fd, "Password of %s in %s: ", o->job.how.account, o->job.how.overlay);
  errno = 0;
  bool is_read = read_line_of(fd, out);
  bool is_interrupted = errno == EINTR;
  (void)tcsetattr(fd, TCSAFLUSH, old);
  (void)sigaction(SIGINT, &before, NULL);
  if (is_interrupted) {
    (void)raise(SIGINT);
  }
  return is_read;
}

/* From the terminal, whatever standard input is. */
static bool prompt(const options *o, char out[TORC_PASSWORD_MAX + 1]) {
  struct termios old;
  int fd = open(TERMINAL, O_RDWR | O_CLOEXEC | O_NOCTTY);
  if (fd < 0 || tcgetattr(fd, &old) != 0) {
    (void)fputs(
        "torc: there is no terminal to ask for the password: give --password-file FILE "
        "(mode 0600) or --password-fd N\n",
        stderr);
    if (fd >= 0) {
      (void)close(fd);
    }
    return false;
  }
  bool is_read = read_hidden(fd, &old, o, out);
  (void)dprintf(fd, "\n");
  (void)close(fd);
  if (!is_read) {
    (void)fputs("torc: no password was entered\n", stderr);
  }
  return is_read;
}

static bool get_password(options *o) {
  char err[512] = "";
  if (o->password_file != NULL) {
    if (torc_password_read(o->password_file, o->password, err, sizeof err) != 0) {
      (void)fprintf(stderr, "torc: %s\n", err);
      return false;
    }
  } else if (o->password_fd >= 0) {
    if (!read_line_of(o->password_fd, o->password)) {
      (void)fprintf(stderr, "torc: descriptor %d has no password in its first line\n",
                    o->password_fd);
      return false;
    }
  } else if (!prompt(o, o->password)) {
    return false;
  }
  o->job.password = o->password;
  return true;
}

/* ---- what is said at the end ---- */

static const char *date(torc_wall when, char out[32]) {
  time_t t = (time_t)when;
  struct tm tm;
  if (gmtime_r(&t, &tm) == NULL || strftime(out, 32, "%Y-%m-%d %H:%M:%S UTC", &tm) == 0) {
    (void)snprintf(out, 32, "?");
  }
  return out;
}

static json_t *as_json(const torc_enrolled *e, const char *dir) {
  char until[32];
  char peer[TORC_ID_HEX_LEN + 1];
  json_t *users = json_array();
  for (size_t i = 0; i < e->num_users; i++) {
    (void)json_array_append_new(users, json_string(e->users[i]));
  }
  return json_pack("{s:s, s:s, s:o, s:s, s:s, s:s, s:b, s:s, s:s*}", "overlay", e->overlay, "peer",
                   torc_id_hex(&e->peer, peer), "users", users, "not_after",
                   date(e->not_after, until), "server", e->server, "dnssec",
                   torc_dnssec_text(e->dnssec), "srv", e->has_srv, "dir", dir, "kept",
                   e->kept[0] == '\0' ? NULL : e->kept);
}

static void print_result(const torc_enrolled *e, const char *dir) {
  char text[32];
  char peer[TORC_ID_HEX_LEN + 1];
  (void)printf("overlay      %s\nserver       %s\nfound by     %s\nDNSSEC       %s\n", e->overlay,
               e->server, e->has_srv ? "SRV record" : "name or address",
               torc_dnssec_text(e->dnssec));
  for (size_t i = 0; i < e->num_users; i++) {
    (void)printf("user         %s\n", e->users[i]);
  }
  (void)printf("peer-id      %s\nvalid until  %s\n", torc_id_hex(&e->peer, peer),
               date(e->not_after, text));
  (void)printf("files        %s/" TORC_ENROLL_CERT ", " TORC_ENROLL_KEY
               " (keep it secret), " TORC_ENROLL_OVERLAY ", " TORC_ENROLL_CONF "\n",
               dir);
  if (e->kept[0] != '\0') {
    (void)printf("kept         the old ones, as %s/*%s\n", dir, e->kept);
  }
}

static void print_next(const char *dir, bool can_renew) {
  char path[PATH_MAX];
  const char *full = realpath(dir, path) == NULL ? dir : path;
  (void)printf(
      "\nnext: put this into torcd.conf and start torcd --config torcd.conf\n\n"
      "  [overlay]\n  file = %s/" TORC_ENROLL_OVERLAY
      "\n  [identity]\n  cert = %s/" TORC_ENROLL_CERT "\n  key = %s/" TORC_ENROLL_KEY "\n",
      full, full, full);
  if (can_renew) {
    (void)printf("  renew = %s\n", full);
  }
  (void)printf("  [node]\n  listen = 0.0.0.0:%d\n", EXAMPLE_PORT);
  if (!can_renew) {
    (void)printf(
        "\ntorcd cannot renew the certificate without the password: run torc renew %s before it "
        "ends,\nor enrol with --save-password or --password-file\n",
        full);
  }
}

/* ---- the commands ---- */

static int failed(const char *what, const char *why) {
  (void)fprintf(stderr, "torc: could not %s: %s\n", what, why);
  return EXIT_FAILURE;
}

static int run_enroll(options *o, const char *overlay) {
  char err[1024] = "";
  torc_enrolled done;
  torc_enrolment *how = &o->job.how;
  if (!set_text("OVERLAY", overlay, how->overlay)) {
    return EXIT_USAGE;
  }
  size_t len = strlen(how->overlay);
  if (len > 1 && how->overlay[len - 1] == '.') {
    how->overlay[len - 1] = '\0';
  }
  if (!complete_users(o)) {
    return EXIT_USAGE;
  }
  (void)snprintf(o->own_dir, sizeof o->own_dir, "%s", how->overlay);
  o->job.dir = o->dir != NULL ? o->dir : o->own_dir;
  if (!o->is_guest && !get_password(o)) {
    return EXIT_USAGE;
  }
  if (torc_enroll(&done, &o->job, err, sizeof err) != 0) {
    return failed("enrol", err);
  }
  if (o->json) {
    return print_json(as_json(&done, o->job.dir));
  }
  print_result(&done, o->job.dir);
  print_next(o->job.dir, o->is_guest || o->job.save_password || how->password_file[0] != '\0');
  return EXIT_SUCCESS;
}

static int run_renew(options *o, const char *dir) {
  char err[1024] = "";
  torc_enrolled done;
  torc_enrolment *how = &o->job.how;
  if (torc_enrolment_read(how, dir, err, sizeof err) != 0) {
    return failed("renew", err);
  }
  bool needs_password = how->account[0] != '\0' && how->password_file[0] == '\0';
  if ((needs_password || o->password_file != NULL || o->password_fd >= 0) && !get_password(o)) {
    return EXIT_USAGE;
  }
  if (torc_renew(&done, dir, o->job.password, err, sizeof err) != 0) {
    return failed("renew", err);
  }
  if (o->json) {
    return print_json(as_json(&done, dir));
  }
  print_result(&done, dir);
  (void)puts("\nnext: a running torcd takes it within a minute, or at once on SIGHUP");
  return EXIT_SUCCESS;
}

static int run(int argc, char **argv, const struct option *known, const char *usage,
               int (*command)(options *o, const char *word)) {
  options *o = calloc(1, sizeof *o);
  if (o == NULL) {
    return failed("start", "there is no memory");
  }
  o->password_fd = -1;
  const char *word = read_line(o, known, argc, argv, usage);
  int rc = word != NULL ? command(o, word) : o->help ? EXIT_SUCCESS : EXIT_USAGE;
  torc_wipe(o, sizeof *o);
  free(o);
  return rc;
}

int command_enroll(int argc, char **argv) {
  return run(argc, argv, enroll_options, enroll_usage, run_enroll);
}

int command_renew(int argc, char **argv) {
  return run(argc, argv, renew_options, renew_usage, run_renew);
}

/* Command line of torc-authority.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_CMD_AUTHORITY_OPTIONS_H
#define TORC_CMD_AUTHORITY_OPTIONS_H

#include "authority/authority.h"

#define EXIT_USAGE 2
#define WORDS_MAX 3

/* What may stand behind a command. */
typedef struct syntax {
  const char *command, *options;  /* options: their names with a blank before and behind each */
  const char *words;              /* how the help names them */
  size_t num_words, num_optional; /* how many must stand there, and may behind them */
} syntax;

typedef struct options {
  const char *words[WORDS_MAX]; /* the arguments that are no options; the rest is NULL */
  const char *overlay, *algorithm, *out, *account, *csr;
  torc_ca_signature signature;
  bool force, json, no_password, generate, check;
  uint32_t days;
  const char *users[TORC_ACCOUNT_NAMES];
  size_t num_users;
  torc_overlay config; /* what init writes down, and config set changes */
  const syntax *syntax;
  int argc;
  char **argv; /* where all this was read from */
} options;

/* Reads the arguments after the command; argv[0] is not looked at. False: a complaint was printed.
 */
bool read_options(options *o, const syntax *s, int argc, char **argv);
/* Reads them once more, into what `config` has become meanwhile: what can be given several times is
 * added to it. */
bool read_options_again(options *o);

#endif

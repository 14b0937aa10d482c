/* Command line of torc-authority.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_CMD_AUTHORITY_OPTIONS_H
#define TORC_CMD_AUTHORITY_OPTIONS_H

#include "authority/authority.h"

#define EXIT_USAGE 2
#define WORDS_MAX 3

typedef struct options {
  const char *words[WORDS_MAX]; /* the arguments that are no options; the rest is NULL */
  const char *overlay, *algorithm, *out, *account, *csr;
  torc_ca_signature signature;
  bool force, json, no_password, generate, check;
  uint32_t days;
  const char *users[TORC_ACCOUNT_NAMES];
  size_t num_users;
  torc_overlay config; /* what init writes down */
} options;

/* What may stand behind a command. */
typedef struct syntax {
  const char *command, *options; /* options: their names with a blank before and behind each */
  const char *words;             /* how the help names them */
  size_t num_words, num_optional;
} syntax;

/* Reads the arguments after the command; argv[0] is not looked at. False: a complaint was printed.
 */
bool read_options(options *o, const syntax *s, int argc, char **argv);

#endif

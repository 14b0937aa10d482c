/* Command line of torc-authority.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_CMD_AUTHORITY_OPTIONS_H
#define TORC_CMD_AUTHORITY_OPTIONS_H

#include "authority/authority.h"

#define EXIT_USAGE 2

typedef struct options {
  const char *dir, *file, *overlay, *algorithm, *out, *account, *csr;
  torc_ca_signature signature;
  bool force, json;
  uint32_t days;
  const char *users[TORC_CERT_MAX_USERS];
  size_t num_users;
  torc_overlay config; /* what init writes down */
} options;

/* torc-authority config show|set|sign|check: the overlay document. The exit code. */
int command_config(int argc, char **argv);

/* Reads the arguments after the subcommand. False: a complaint was printed. */
bool read_options(options *o, const char *command, int argc, char **argv);

#endif

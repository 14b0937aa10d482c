/* What torc-authority can do, a function per command; each returns the program's exit code.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_CMD_AUTHORITY_COMMANDS_H
#define TORC_CMD_AUTHORITY_COMMANDS_H

#include <jansson.h>

#include "options.h"

#define ERR_CAP 512 /* of a complaint */

int run_serve(options *o);
int run_user_add(options *o);
int run_user_grant(options *o);
int run_user_passwd(options *o);
int run_user_disable(options *o);
int run_user_enable(options *o);
int run_user_list(options *o);
int run_issued(options *o);
int run_backup(options *o);
int run_restore(options *o);
int run_config_show(options *o);
int run_config_check(options *o);
int run_config_sign(options *o);
int run_config_set(options *o);
int run_config_sign_check(options *o);

/* Prints the object on standard output and takes it. */
int print_json(json_t *object);
/* Complains on standard error: could not WHAT: WHY. */
int failed(const char *what, const char *why);
void date(torc_wall when, char out[32]); /* 2026-01-02T03:04:05Z */
torc_wall wall_now(void);

#endif

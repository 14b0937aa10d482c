/* A request to the first server of an overlay that answers, and what is said when none does.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_IDENTITY_ASK_H
#define TORC_IDENTITY_ASK_H

#include "identity/discover.h"
#include "io/https.h"

typedef struct torc_asked {
  torc_https_answer answer; /* cleared by the caller */
  const torc_server *by;    /* of the discovery: who answered */
} torc_asked;

/* Asks the servers of `d` one after the other, until one answers with a status below 500 that is
 * not 404: what a wrong or a failing machine says is no answer of the overlay. q->at is set here.
 * now: for words about clocks. 0: *out has the answer, whatever its status. TORC_ERR_IO: none
 * answered; `err` says of the first of them what happened and what to do. */
int torc_ask_servers(torc_asked *out, const torc_discovery *d, const torc_https_request *q,
                     torc_wall now, char *err, size_t err_cap) TORC_MUST_CHECK;

/* The same line for an answer that came, but is a refusal: what it means and what to do.
 * account: who asked; NULL: a guest, or a document was asked for. Returns TORC_ERR_DENIED,
 * TORC_ERR_IO, or TORC_ERR_REFUSED if it is worth trying again later. */
int torc_ask_refused(const torc_asked *a, const char *account, char *err,
                     size_t err_cap) TORC_MUST_CHECK;

/* TORC_ERR_CONFIG with one line if the clocks of the answer and of this machine differ by more than
 * an hour. */
int torc_ask_clock(const torc_asked *a, torc_wall now, char *err, size_t err_cap) TORC_MUST_CHECK;

#endif

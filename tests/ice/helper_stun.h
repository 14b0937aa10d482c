/* What STUN needs of a crypto library, for tests: OpenSSL's one-call functions, so that the vectors
 * do not hang on src/io; random bytes count up. SPDX-License-Identifier: Apache-2.0 */
#ifndef HELPER_STUN_H
#define HELPER_STUN_H

#include "wire/stun_auth.h"

typedef struct helper_stun {
  torc_stun_crypto table;
  uint8_t next;  /* of the random bytes: a transaction id is this byte 12 times */
  int fail_next; /* 1: the next call of any function fails, 2: the one behind it, ... */
} helper_stun;

void helper_stun_init(helper_stun *h);

#endif

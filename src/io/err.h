/* One line of English for people, beside the code for programs.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_IO_ERR_H
#define TORC_IO_ERR_H

#include "torc/types.h"

/* Writes the formatted reason into `err` (NUL-terminated, cut if too long; NULL is allowed) and
 * returns `rc`. It is UTF-8 whatever it quotes and wherever it is cut. */
int torc_fail(int rc, char *err, size_t err_cap, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* Bytes that are no UTF-8 become question marks: JSON has no place for them. */
void torc_text_mend(char *text);

#endif

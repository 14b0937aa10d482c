/* What a file of the authority says: a certificate or an overlay configuration document, as JSON.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_AUTHORITY_SHOW_H
#define TORC_AUTHORITY_SHOW_H

#include <jansson.h>

#include "torc/types.h"

/* Reads PEM, DER or XML. The object's "kind" is "certificate" or "overlay". Does not judge trust.
 * `err` gets one line. */
int torc_show_file(const char *path, json_t **out, char *err, size_t err_cap) TORC_MUST_CHECK;
/* Prints the same for people: one "name: value" per line, lists indented. */
void torc_show_print(const json_t *object, FILE *to);

#endif

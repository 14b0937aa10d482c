/* Reads or fetches the next overlay configuration document in a process of its own: libxml2 and
 * libcurl never come into the daemon, which may have threads and holds the private key. Request and
 * answer are bytes, so that it may be another program.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_IO_CONFIG_HELPER_H
#define TORC_IO_CONFIG_HELPER_H

#include "io/overlay_xml.h"

typedef struct torc_config_request {
  const char *from;        /* a file, or a URL that begins with https:// */
  const char *keep;        /* file for a fetched document; NULL: it is not kept */
  const torc_overlay *old; /* what is run with: its roots decide whom to believe */
} torc_config_request;

typedef struct torc_config_answer {
  torc_overlay overlay; /* freed with torc_overlay_clear */
  torc_wall received;   /* HTTP Date, or when the file was written */
} torc_config_answer;

#define TORC_CONFIG_REQUEST_MAX (TORC_OVERLAY_PACKED_MAX + 16384u)
#define TORC_CONFIG_ANSWER_MAX (TORC_OVERLAY_PACKED_MAX + 64u)

/* In the asking process. TORC_ERR_NOMEM, TORC_ERR_SPACE. */
int torc_config_request_put(const torc_config_request *q, torc_buf *out) TORC_MUST_CHECK;
/* In the helper: does what `request` says. `answer` gets its bytes, of a failure as well. A
 * document that must be signed is checked before it is parsed, and kept only when
 * torc_overlay_may_follow allows it. TORC_ERR_NOMEM: there is no answer. */
int torc_config_help(torc_slice request, torc_buf *answer) TORC_MUST_CHECK;
/* In the asking process: 0, or the helper's failure with its line in err. */
int torc_config_answer_get(torc_config_answer *out, torc_slice answer, char *err,
                           size_t err_cap) TORC_MUST_CHECK;

/* All three in a child of a process that has a single thread still. */
int torc_config_apart(torc_config_answer *out, const torc_config_request *q, char *err,
                      size_t err_cap) TORC_MUST_CHECK;

#endif

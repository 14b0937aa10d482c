/* Prometheus metrics in text over HTTP, on an address of this machine only, with libwebsockets on a
 * loop of its own that the peer's loop runs.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_IO_METRICS_H
#define TORC_IO_METRICS_H

#include "io/control.h"
#include "io/json_log.h"

#define TORC_METRICS_TEXT_MAX (256u << 10) /* bytes of one answer */
#define TORC_METRICS_CONNECTIONS_MAX 32

typedef struct torc_metrics torc_metrics;

typedef struct torc_metrics_config {
  torc_peer *peer;             /* borrowed until torc_metrics_close */
  const char *listen;          /* "127.0.0.1:9466" */
  const torc_control *control; /* borrowed; may be NULL, see torc_metrics_attach */
  const torc_json_log *log;    /* borrowed; may be NULL */
} torc_metrics_config;

/* Listens; GET /metrics gives every counter of the node, everything else 404. `err` gets one line.
 */
int torc_metrics_open(torc_metrics **out, const torc_metrics_config *cfg, char *err,
                      size_t err_cap) TORC_MUST_CHECK;
/* Counts of a control socket opened later: who sees that socket may rely on the metrics being
 * there. */
void torc_metrics_attach(torc_metrics *m, const torc_control *control);
/* Closes the port; runs the loop until its handles are closed. */
void torc_metrics_close(torc_metrics *m);

/* The text itself, NUL-terminated; *out is freed with free. */
int torc_metrics_text(const torc_metrics_config *cfg, char **out, size_t *len) TORC_MUST_CHECK;

#endif

/* The daemon: a peer with its control socket, metrics, log and signals.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_CMD_TORCD_DAEMON_H
#define TORC_CMD_TORCD_DAEMON_H

#include <uv.h>

#include "io/conf.h"
#include "io/control.h"
#include "io/json_log.h"
#include "io/metrics.h"
#include "io/overlay_xml.h"
#include "io/peer_config.h"

#define LEAVE_GRACE_MS 5000 /* the node itself gives up after 3 s [GAP-118] */
#define SETTLE_MS 2000      /* after joining, when the links of a joining peer are up */
#define NUM_SIGNALS 3
#define NUM_TIMERS 2

typedef struct torcd {
  const char *conf_file;
  torc_conf conf;
  torc_overlay document; /* until the peer takes it over */
  torc_config_life life; /* of it */
  char source[2 * TORC_CONF_TEXT_MAX];
  struct refresh *refresh;
  struct renew *renew; /* NULL: a shared-key overlay */
  char overlay[256], user[TORC_USER_MAX + 1];
  torc_json_log *log;
  torc_peer *peer;
  torc_control *control;
  torc_metrics *metrics;
  uv_signal_t signals[NUM_SIGNALS];
  uv_timer_t grace, settle;
  size_t num_handles;
  bool is_leaving, is_done;
} torcd;

/* Reads overlay document and identity as far as they concern this daemon: what --check-config
 * checks. */
int torcd_check(torcd *d, char *err, size_t err_cap);
/* Opens everything; on failure torcd_stop cleans up. */
int torcd_start(torcd *d, char *err, size_t err_cap);
/* Runs until a signal ended it. */
int torcd_run(torcd *d);
void torcd_stop(torcd *d);

#endif

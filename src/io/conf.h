/* The daemon's configuration file, read with inih; see torcd.conf(5).
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_IO_CONF_H
#define TORC_IO_CONF_H

#include "io/conf_table.h"
#include "torc/peer.h"

#define TORC_CONF_ADVERTISE_MAX 8
#define TORC_CONF_SERVERS_MAX 4 /* of each kind */

typedef struct torc_conf {
  char overlay_file[TORC_CONF_TEXT_MAX], overlay_name[TORC_CONF_TEXT_MAX];
  char cert_file[TORC_CONF_TEXT_MAX], key_file[TORC_CONF_TEXT_MAX];
  char shared_key_file[TORC_CONF_TEXT_MAX]; /* instead of the two; empty: none */
  torc_role role;
  char listen[TORC_PEER_LISTEN_MAX][TORC_CONF_TEXT_MAX];
  size_t num_listen;
  char advertise[TORC_CONF_ADVERTISE_MAX][TORC_CONF_TEXT_MAX];
  size_t num_advertise;
  char stun[TORC_CONF_SERVERS_MAX][TORC_CONF_TEXT_MAX],
      turn[TORC_CONF_SERVERS_MAX][TORC_CONF_TEXT_MAX];
  size_t num_stun, num_turn;
  torc_candidate_policy candidates;
  char turn_user[TORC_CONF_TEXT_MAX], turn_password_file[TORC_CONF_TEXT_MAX];
  char turn_ca_file[TORC_CONF_TEXT_MAX];
  char renew_dir[TORC_CONF_TEXT_MAX]; /* of torc enroll; empty: nothing is renewed */
  char state_dir[TORC_CONF_TEXT_MAX]; /* empty: memory only */
  uint64_t threads;
  bool sync_disk;
  char control_socket[TORC_CONF_TEXT_MAX];
  torc_log_level log_level;
  char log_file[TORC_CONF_TEXT_MAX]; /* empty: standard error */
  bool log_json;
  char metrics_listen[TORC_CONF_TEXT_MAX]; /* empty: none */
  uint64_t max_links, max_client_links, max_answer_bytes, max_stored_bytes;
  torc_time update_period, ping_period, t1, keepalive, deletion_delay, replica_wait, idle_close;
} torc_conf;

#define TORC_CONF_DEFAULT_SOCKET "/run/torc/torcd.sock"

/* Reads the file. On failure `err` gets one line: the file, the number of the line, what is wrong
 * with what and what is expected. TORC_ERR_CONFIG, TORC_ERR_IO. */
int torc_conf_load(torc_conf *out, const char *path, char *err, size_t err_cap) TORC_MUST_CHECK;

#endif

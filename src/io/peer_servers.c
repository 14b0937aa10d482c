/* STUN and TURN servers of a peer's configuration [ICE-09] [ICE-18].
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "io/err.h"
#include "io/peer_impl.h"
#include "io/server_uri.h"

#define PASSWORD_MAX 512 /* with its NUL */

/* The first line of a file that nobody else may read. */
static int read_password(const char *path, char out[PASSWORD_MAX], char *err, size_t err_cap) {
  struct stat st;
  FILE *f = fopen(path, "r");
  if (f == NULL) {
    return torc_fail(TORC_ERR_CONFIG, err, err_cap, "%s cannot be read: %s", path, strerror(errno));
  }
  bool is_open = fstat(fileno(f), &st) != 0 || (st.st_mode & (S_IRWXG | S_IRWXO)) != 0;
  char *line = is_open ? NULL : fgets(out, PASSWORD_MAX, f);
  (void)fclose(f);
  if (is_open) {
    return torc_fail(TORC_ERR_CONFIG, err, err_cap,
                     "%s holds a password and others may read it: chmod 600 %s", path, path);
  }
  size_t len = line == NULL ? 0 : strcspn(out, "\r\n");
  if (len == 0 || len == PASSWORD_MAX - 1) {
    return torc_fail(TORC_ERR_CONFIG, err, err_cap,
                     "%s has no password: its first line is it, of at most %d bytes", path,
                     PASSWORD_MAX - 2);
  }
  out[len] = '\0';
  return 0;
}

static int add_all(torc_net *net, const char *const *uris, bool is_turn, char *err,
                   size_t err_cap) {
  int rc = 0;
  for (size_t i = 0; rc == 0 && uris != NULL && uris[i] != NULL; i++) {
    torc_server_uri uri;
    bool is_right =
        torc_server_uri_parse(uris[i], &uri) != 0 || (uri.kind != TORC_SERVER_STUN) == is_turn;
    rc = is_right ? torc_net_add_server(net, uris[i], err, err_cap)
                  : torc_fail(TORC_ERR_CONFIG, err, err_cap, "%s is not a %s server", uris[i],
                              is_turn ? "TURN" : "STUN");
  }
  return rc;
}

int torc_peer_use_servers(torc_net *net, const torc_peer_config *cfg, char *err, size_t err_cap) {
  char password[PASSWORD_MAX] = "";
  int rc = 0;
  if (cfg->turn_password_file != NULL) {
    rc = read_password(cfg->turn_password_file, password, err, err_cap);
  }
  if (rc == 0 && cfg->candidates == TORC_OFFER_RELAY &&
      (cfg->turn_servers == NULL || cfg->turn_servers[0] == NULL)) {
    rc = torc_fail(TORC_ERR_CONFIG, err, err_cap,
                   "only candidates of relays are to be offered, and there is no TURN server");
  }
  if (rc == 0) {
    torc_net_set_login(net, cfg->turn_user, password, cfg->turn_ca_file);
    torc_net_set_policy(net, cfg->candidates);
    rc = add_all(net, cfg->stun_servers, false, err, err_cap);
  }
  if (rc == 0) {
    rc = add_all(net, cfg->turn_servers, true, err, err_cap);
  }
  OPENSSL_cleanse(password, sizeof password);
  return rc;
}

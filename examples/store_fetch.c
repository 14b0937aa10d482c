/* Joins an overlay as a client, stores a value under its own name, fetches it again with its
 * signature verified, and leaves. Built against an installed Torc: see Makefile here.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <torc/torc.h>

#define TIMEOUT_MS 40000

static int complain(const char *what, int rc, const torc_done *done) {
  fprintf(stderr, "store_fetch: could not %s: %s", what, torc_strerror(rc));
  if (rc == TORC_ERR_REFUSED) {
    fprintf(stderr, " (%u %.*s)", done->code, (int)done->phrase.len, (const char *)done->phrase.p);
  }
  fputc('\n', stderr);
  return EXIT_FAILURE;
}

/* Prints what was fetched: each value is already verified, signer says by whose certificate. */
static int print_values(const torc_done *done) {
  for (size_t i = 0; i < done->num_values; i++) {
    const torc_value *v = &done->values[i];
    if (v->exists) {
      printf("\"%.*s\" signed by %s\n", (int)v->value.len, (const char *)v->value.p,
             v->signer->users[0]);
      return EXIT_SUCCESS;
    }
  }
  fprintf(stderr, "store_fetch: there is no value\n");
  return EXIT_FAILURE;
}

static int store_and_fetch(torc_peer *peer, const char *name, const char *type, const char *text) {
  torc_done done;
  torc_slice value = {(const uint8_t *)text, strlen(text)};
  int rc = torc_peer_join(peer, TIMEOUT_MS);
  if (rc != 0) {
    return complain("join", rc, NULL);
  }
  memset(&done, 0, sizeof done);
  rc = torc_peer_store_text(peer, name, type, NULL, 0, value, 3600, TIMEOUT_MS, &done);
  if (rc != 0) {
    return complain("store", rc, &done);
  }
  rc = torc_peer_fetch_text(peer, name, type, NULL, TIMEOUT_MS, &done);
  if (rc != 0) {
    return complain("fetch", rc, &done);
  }
  int code = print_values(&done);
  rc = torc_peer_leave(peer, TIMEOUT_MS);
  return rc != 0 ? complain("leave", rc, NULL) : code;
}

int main(int argc, char **argv) {
  char why[512];
  torc_peer *peer = NULL;
  torc_peer_config config = TORC_PEER_CONFIG_INIT;
  if (argc != 7) {
    fprintf(stderr, "usage: %s OVERLAY.xml CERT KEY NAME TYPE TEXT\n", argv[0]);
    return 2;
  }
  config.overlay_file = argv[1];
  config.cert_file = argv[2];
  config.key_file = argv[3];
  config.role = TORC_ROLE_CLIENT;
  if (torc_peer_new(&peer, &config, why, sizeof why) != 0) {
    fprintf(stderr, "store_fetch: %s\n", why);
    return EXIT_FAILURE;
  }
  int code = store_and_fetch(peer, argv[4], argv[5], argv[6]);
  torc_peer_free(peer);
  return code;
}

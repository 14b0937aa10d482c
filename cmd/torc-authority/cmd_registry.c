/* torc-authority issued, backup, restore. SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "authority/registry_impl.h"
#include "authority/restore.h"
#include "base/id.h"
#include "commands.h"

typedef struct shown { /* one certificate in words */
  char serial[2 * TORC_CA_SERIAL_LEN + 1], peer[TORC_ID_HEX_LEN + 1];
  char issued[32], until[32];
} shown;

static shown show_entry(const torc_certificate_entry *e) {
  shown s;
  torc_registry_hex(e->serial, TORC_CA_SERIAL_LEN, s.serial);
  (void)torc_id_hex(&e->peer, s.peer);
  date(e->issued, s.issued);
  date(e->not_after, s.until);
  return s;
}

static int print_entry(void *arg, const torc_certificate_entry *e) {
  shown s = show_entry(e);
  (void)arg;
  (void)printf("%s  peer %s  %s to %s  %s ", s.serial, s.peer, s.issued, s.until, e->account);
  for (size_t i = 0; i < e->num_users; i++) {
    (void)printf(" %s", e->users[i]);
  }
  (void)putchar('\n');
  return 0;
}

/* A line per certificate: a list in one array could be larger than memory. */
static int print_entry_json(void *arg, const torc_certificate_entry *e) {
  shown s = show_entry(e);
  json_t *users = json_array();
  (void)arg;
  for (size_t i = 0; i < e->num_users; i++) {
    (void)json_array_append_new(users, json_string(e->users[i]));
  }
  json_t *line =
      json_pack("{s:s, s:s, s:s, s:s, s:s, s:o}", "serial", s.serial, "peer", s.peer, "account",
                e->account, "issued", s.issued, "not_after", s.until, "users", users);
  int rc = line != NULL && json_dumpf(line, stdout, JSON_COMPACT) == 0 ? 0 : TORC_ERR_IO;
  (void)putchar('\n');
  json_decref(line);
  return rc;
}

int run_issued(options *o) {
  char err[ERR_CAP] = "";
  torc_home *h = NULL;
  int rc = torc_home_open(&h, o->words[0], TORC_HOME_REGISTRY, err, sizeof err);
  if (rc == 0) {
    rc = torc_registry_issued(h->registry, o->account, o->json ? print_entry_json : print_entry,
                              NULL, err, sizeof err);
  }
  torc_home_close(h);
  return rc == 0 ? EXIT_SUCCESS
                 : failed("list the certificates", err[0] == '\0' ? torc_strerror(rc) : err);
}

int run_backup(options *o) {
  char err[ERR_CAP] = "";
  torc_home *h = NULL;
  int rc = torc_home_open(&h, o->words[0], TORC_HOME_REGISTRY, err, sizeof err);
  if (rc == 0) {
    rc = torc_registry_backup(h->registry, o->words[1], err, sizeof err);
  }
  torc_home_close(h);
  if (rc != 0) {
    return failed("back up the registry", err);
  }
  if (o->json) {
    return print_json(json_pack("{s:s}", "file", o->words[1]));
  }
  (void)printf("the registry is in %s; keys, torc-authority.conf and the document are not\n",
               o->words[1]);
  return EXIT_SUCCESS;
}

int run_restore(options *o) {
  char err[ERR_CAP] = "";
  torc_restored restored = {.kept = ""};
  if (torc_restore(o->words[0], o->words[1], wall_now(), &restored, err, sizeof err) != 0) {
    return failed("restore the registry", err);
  }
  if (o->json) {
    return print_json(json_pack("{s:s, s:s, s:I}", "file", o->words[1], "kept", restored.kept,
                                "later_certificates", (json_int_t)restored.later.certificates));
  }
  (void)printf("restored from %s; what was there is kept as %s\n", o->words[1], restored.kept);
  (void)printf("%llu certificates issued after the backup were taken from the audit log\n",
               (unsigned long long)restored.later.certificates);
  return EXIT_SUCCESS;
}

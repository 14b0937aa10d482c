/* Certificates in the registry. SPDX-License-Identifier: Apache-2.0 */
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "authority/registry_impl.h"
#include "base/id.h"
#include "base/slice.h"
#include "io/err.h"

#define USERS_CAP (TORC_CERT_MAX_USERS * (TORC_USER_MAX + 1))

/* User names hold no white space, so one blank parts them. */
static void join_users(const char *const *users, size_t num, char out[USERS_CAP]) {
  size_t at = 0;
  for (size_t i = 0; i < num; i++) {
    int n = snprintf(out + at, USERS_CAP - at, "%s%s", i == 0 ? "" : " ", users[i]);
    at += (size_t)n;
  }
}

static bool split_users(const char *text, torc_certificate_entry *e) {
  e->num_users = 0;
  while (*text != '\0') {
    size_t len = strcspn(text, " ");
    if (len > TORC_USER_MAX || e->num_users == TORC_CERT_MAX_USERS) {
      return false;
    }
    memcpy(e->users[e->num_users], text, len);
    e->users[e->num_users][len] = '\0';
    e->num_users++;
    text += len + (text[len] == ' ' ? 1 : 0);
  }
  return true;
}

static bool fill_entry(const char *const *c, torc_certificate_entry *e) {
  return torc_registry_unhex(c[0], e->serial, TORC_CA_SERIAL_LEN) &&
         torc_registry_unhex(c[1], e->peer.b, TORC_ID_LEN) &&
         torc_registry_copy(e->account, sizeof e->account, c[2]) && split_users(c[3], e);
}

/* ---- list ---- */

typedef struct listing {
  const char *account;
  torc_certificate_visit *visit;
  void *arg;
  torc_certificate_entry entry;
} listing;

static int list_row(void *arg, const char *const *c, size_t num) {
  listing *l = arg;
  (void)num;
  if (!fill_entry(c, &l->entry)) {
    return TORC_ERR_FORMAT;
  }
  l->entry.issued = (torc_wall)strtoll(c[4], NULL, 10);
  l->entry.not_after = (torc_wall)strtoll(c[5], NULL, 10);
  return l->visit(l->arg, &l->entry);
}

static int list_step(torc_db *db, void *arg, char *err, size_t err_cap) {
  listing *l = arg;
  torc_db_value v = TORC_DB_TEXT(l->account);
  if (l->account == NULL) {
    return torc_db_run(db,
                       "SELECT serial, peer, account, users, issued, not_after FROM certificate "
                       "ORDER BY issued DESC, serial",
                       NULL, 0, list_row, l, NULL, err, err_cap);
  }
  return torc_db_run(db,
                     "SELECT serial, peer, account, users, issued, not_after FROM certificate "
                     "WHERE account = $1 ORDER BY issued DESC, serial",
                     &v, 1, list_row, l, NULL, err, err_cap);
}

int torc_registry_issued(torc_registry *r, const char *account, torc_certificate_visit *visit,
                         void *arg, char *err, size_t err_cap) {
  listing *l = calloc(1, sizeof *l);
  if (l == NULL) {
    return torc_fail(TORC_ERR_NOMEM, err, err_cap, "there is no memory");
  }
  l->account = account;
  l->visit = visit;
  l->arg = arg;
  int rc = torc_registry_do(r, list_step, l, err, err_cap);
  free(l);
  return rc;
}

/* ---- issue ---- */

typedef struct issuing {
  const torc_issue_order *o;
  torc_issue_result *out;
  char users[USERS_CAP];
  char *der; /* base64, of an earlier certificate */
  uint64_t number;
  char text[TORC_ACCOUNT_MAX + 1];
} issuing;

static int read_number(void *arg, const char *const *columns, size_t num) {
  issuing *i = arg;
  (void)num;
  i->number = strtoull(columns[0], NULL, 10);
  return 0;
}

static int read_text(void *arg, const char *const *columns, size_t num) {
  issuing *i = arg;
  (void)num;
  return torc_registry_copy(i->text, sizeof i->text, columns[0]) ? 0 : TORC_ERR_FORMAT;
}

static int make_account(torc_db *db, const char *name, torc_wall now, bool is_guest, char *err,
                        size_t err_cap) {
  torc_db_value v[] = {TORC_DB_TEXT(name), TORC_DB_NUMBER(now), TORC_DB_NUMBER(is_guest)};
  return torc_db_run(db,
                     "INSERT INTO account (name, sha256, md5, created, is_disabled, is_guest, "
                     "touched) VALUES ($1, '', '', $2, 0, $3, 0) ON CONFLICT (name) DO NOTHING",
                     v, TORC_ARRAY_LEN(v), NULL, NULL, NULL, err, err_cap);
}

/* Locks the account's row: two requests of one account are judged one after the other, whichever
 * authority got them. */
static int lock_account(torc_db *db, issuing *i, char *err, size_t err_cap) {
  torc_db_value v[] = {TORC_DB_TEXT(i->o->account), TORC_DB_NUMBER(i->o->now)};
  uint64_t changed = 0;
  int rc = torc_db_run(db, "UPDATE account SET touched = $2 WHERE name = $1", v, 2, NULL, NULL,
                       &changed, err, err_cap);
  if (rc == 0 && changed == 0) {
    return torc_fail(TORC_ERR_NOTFOUND, err, err_cap, "there is no account %s", i->o->account);
  }
  if (rc == 0) {
    rc = torc_db_run(db, "SELECT is_disabled FROM account WHERE name = $1", v, 1, read_number, i,
                     NULL, err, err_cap);
  }
  if (rc == 0 && i->number != 0) {
    rc = torc_fail(TORC_ERR_DENIED, err, err_cap, "the account %s is disabled", i->o->account);
  }
  return rc;
}

/* [R-52] [ENR-36] */
static int check_names(torc_db *db, const issuing *i, char *err, size_t err_cap) {
  const torc_issue_order *o = i->o;
  for (size_t k = 0; k < o->num_users; k++) {
    char of[TORC_ACCOUNT_MAX + 1];
    int rc = torc_registry_owner(db, o->users[k], of, err, err_cap);
    if (rc == 0 && of[0] == '\0' && o->may_claim) {
      rc = torc_registry_claim(db, o->account, o->users[k], err, err_cap);
      memcpy(of, o->account, strlen(o->account) + 1);
    }
    if (rc == TORC_ERR_EXISTS) {
      rc = TORC_ERR_DENIED;
    }
    if (rc == 0 && of[0] == '\0') {
      rc = torc_fail(TORC_ERR_DENIED, err, err_cap, "the user name %s is not one of the account %s",
                     o->users[k], o->account);
    }
    if (rc == 0 && strcmp(of, o->account) != 0 && o->may_claim) {
      rc = torc_fail(TORC_ERR_DENIED, err, err_cap,
                     "the name %s belongs to the account %s for ever", o->users[k], of);
    } else if (rc == 0 && strcmp(of, o->account) != 0) {
      rc = torc_fail(TORC_ERR_DENIED, err, err_cap,
                     "the user name %s belongs to another account for ever", o->users[k]);
    }
    if (rc != 0) {
      return rc;
    }
  }
  return 0;
}

static int check_peer(torc_db *db, issuing *i, char *err, size_t err_cap) {
  char hex[TORC_ID_HEX_LEN + 1];
  torc_db_value v = TORC_DB_TEXT(torc_id_hex(&i->o->peer, hex));
  if (!i->o->has_peer) {
    return 0;
  }
  i->text[0] = '\0';
  int rc = torc_db_run(db, "SELECT account FROM peer WHERE id = $1", &v, 1, read_text, i, NULL, err,
                       err_cap);
  if (rc == 0 && strcmp(i->text, i->o->account) != 0) { /* [ENR-33] nobody chooses a peer-id */
    rc = torc_fail(TORC_ERR_DENIED, err, err_cap,
                   "the peer-id %s was not given to the account %s; ask without one", hex,
                   i->o->account);
  }
  return rc;
}

/* [R-52] [SEC-22]: by peer-id, so that a renewal is no second certificate. */
static int check_count(torc_db *db, issuing *i, char *err, size_t err_cap) {
  char hex[TORC_ID_HEX_LEN + 1] = "";
  uint32_t most = i->o->max_certs == 0 ? TORC_ACCOUNT_CERTS : i->o->max_certs;
  if (i->o->has_peer) {
    (void)torc_id_hex(&i->o->peer, hex);
  }
  torc_db_value v[] = {TORC_DB_TEXT(i->o->account), TORC_DB_NUMBER(i->o->now), TORC_DB_TEXT(hex)};
  int rc = torc_db_run(db,
                       "SELECT COUNT(DISTINCT peer) FROM certificate WHERE account = $1 AND "
                       "not_after > $2 AND peer <> $3",
                       v, 3, read_number, i, NULL, err, err_cap);
  if (rc == 0 && i->number >= most) {
    rc = torc_fail(TORC_ERR_LIMIT, err, err_cap,
                   "the account %s has %llu valid certificates, and %u are allowed", i->o->account,
                   (unsigned long long)i->number, most);
  }
  return rc;
}

static int decode_der(const char *text, uint8_t **out, size_t *len) {
  size_t text_len = strlen(text);
  uint8_t *der = malloc(text_len / 4 * 3 + 1);
  if (der == NULL) {
    return TORC_ERR_NOMEM;
  }
  int n = EVP_DecodeBlock(der, (const unsigned char *)text, (int)text_len);
  for (size_t k = 1; n > 0 && k <= 2 && text[text_len - k] == '='; k++) {
    n--;
  }
  if (n <= 0) {
    free(der);
    return TORC_ERR_FORMAT;
  }
  *out = der;
  *len = (size_t)n;
  return 0;
}

static int read_repeat(void *arg, const char *const *c, size_t num) {
  issuing *i = arg;
  torc_certificate_entry *e = &i->out->entry;
  (void)num;
  if (!fill_entry(c, e)) {
    return TORC_ERR_FORMAT;
  }
  e->issued = (torc_wall)strtoll(c[4], NULL, 10);
  e->not_after = (torc_wall)strtoll(c[5], NULL, 10);
  free(i->out->der);
  i->out->der = NULL;
  int rc = decode_der(c[6], &i->out->der, &i->out->len);
  i->out->is_repeat = rc == 0;
  return rc;
}

/* A request whose answer was lost, by a crash or on the way, gets the same answer again. */
static int find_repeat(torc_db *db, issuing *i, char *err, size_t err_cap) {
  const torc_issue_order *o = i->o;
  char hex[TORC_ID_HEX_LEN + 1] = "";
  torc_db_value v[] = {
      TORC_DB_TEXT(o->account), TORC_DB_TEXT(o->key_hash),
      TORC_DB_TEXT(i->users),   TORC_DB_NUMBER((int64_t)o->now - TORC_REGISTRY_RETRY_S),
      TORC_DB_NUMBER(o->now),   TORC_DB_TEXT(hex)};
  if (o->has_peer) { /* another peer-id's certificate is no answer */
    (void)torc_id_hex(&o->peer, hex);
  }
  return torc_db_run(db,
                     "SELECT serial, peer, account, users, issued, not_after, der FROM certificate "
                     "WHERE account = $1 AND key_hash = $2 AND users = $3 AND issued > $4 AND "
                     "not_after > $5 AND der <> '' AND ($6 = '' OR peer = $6) ORDER BY issued DESC "
                     "LIMIT 1",
                     v, TORC_ARRAY_LEN(v), read_repeat, i, NULL, err, err_cap);
}

static int insert_certificate(torc_db *db, const torc_certificate_entry *e, const char *users,
                              const char *key_hash, const char *der, char *err, size_t err_cap) {
  char serial[2 * TORC_CA_SERIAL_LEN + 1];
  char hex[TORC_ID_HEX_LEN + 1];
  torc_registry_hex(e->serial, TORC_CA_SERIAL_LEN, serial);
  torc_db_value v[] = {TORC_DB_TEXT(serial),         TORC_DB_TEXT(torc_id_hex(&e->peer, hex)),
                       TORC_DB_TEXT(e->account),     TORC_DB_TEXT(users),
                       TORC_DB_TEXT(key_hash),       TORC_DB_NUMBER(e->issued),
                       TORC_DB_NUMBER(e->not_after), TORC_DB_TEXT(der)};
  return torc_db_run(db,
                     "INSERT INTO certificate (serial, peer, account, users, key_hash, issued, "
                     "not_after, der) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
                     v, TORC_ARRAY_LEN(v), NULL, NULL, NULL, err, err_cap);
}

static int insert_peer(torc_db *db, const torc_certificate_entry *e, char *err, size_t err_cap) {
  char hex[TORC_ID_HEX_LEN + 1];
  torc_db_value v[] = {TORC_DB_TEXT(torc_id_hex(&e->peer, hex)), TORC_DB_TEXT(e->account)};
  return torc_db_run(db, "INSERT INTO peer (id, account) VALUES ($1, $2)", v, 2, NULL, NULL, NULL,
                     err, err_cap);
}

/* Numbers, signature and rows of a new certificate. Drawn afresh at each try, so that a number met
 * twice, which is not to be expected, only costs one. */
static int make_certificate(torc_db *db, issuing *i, char *err, size_t err_cap) {
  const torc_issue_order *o = i->o;
  torc_certificate_entry *e = &i->out->entry;
  if (torc_ca_random_serial(e->serial) != 0 ||
      (!o->has_peer && torc_ca_random_peer(&e->peer) != 0)) {
    return torc_fail(TORC_ERR_CRYPTO, err, err_cap, "the system gave no random numbers");
  }
  e->issued = o->now;
  e->not_after = o->not_after;
  int rc = o->has_peer ? 0 : insert_peer(db, e, err, err_cap);
  if (rc != 0) {
    return rc;
  }
  rc = o->sign(o->sign_arg, e, &i->out->der, &i->out->len);
  if (rc != 0) {
    return torc_fail(rc, err, err_cap, "the certificate could not be signed: %s",
                     torc_strerror(rc));
  }
  char *text = malloc((i->out->len + 2) / 3 * 4 + 1);
  if (text == NULL) {
    return torc_fail(TORC_ERR_NOMEM, err, err_cap, "there is no memory");
  }
  (void)EVP_EncodeBlock((unsigned char *)text, i->out->der, (int)i->out->len);
  rc = insert_certificate(db, e, i->users, o->key_hash, text, err, err_cap);
  free(text);
  return rc;
}

static void begin_entry(const torc_issue_order *o, torc_issue_result *out) {
  torc_issue_result_clear(out);
  torc_certificate_entry *e = &out->entry;
  (void)snprintf(e->account, sizeof e->account, "%s", o->account);
  for (size_t k = 0; k < o->num_users; k++) {
    (void)snprintf(e->users[k], sizeof e->users[k], "%s", o->users[k]);
  }
  e->num_users = o->num_users;
  e->peer = o->peer;
}

static int issue_step(torc_db *db, void *arg, char *err, size_t err_cap) {
  issuing *i = arg;
  begin_entry(i->o, i->out);
  int rc = 0;
  if (i->o->may_claim) {
    rc = make_account(db, i->o->account, i->o->now, false, err, err_cap);
  }
  if (rc == 0) {
    rc = lock_account(db, i, err, err_cap);
  }
  if (rc == 0) {
    rc = check_names(db, i, err, err_cap);
  }
  if (rc == 0) {
    rc = check_peer(db, i, err, err_cap);
  }
  if (rc == 0 && i->o->may_repeat) {
    rc = find_repeat(db, i, err, err_cap);
  }
  if (rc != 0 || i->out->is_repeat) {
    return rc;
  }
  rc = check_count(db, i, err, err_cap);
  return rc == 0 ? make_certificate(db, i, err, err_cap) : rc;
}

int torc_registry_issue(torc_registry *r, const torc_issue_order *o, torc_issue_result *out,
                        char *err, size_t err_cap) {
  if (o->num_users == 0 || o->num_users > TORC_CERT_MAX_USERS ||
      strlen(o->account) > TORC_ACCOUNT_MAX) {
    return torc_fail(TORC_ERR_INVALID, err, err_cap, "a certificate has 1 to %d user names",
                     TORC_CERT_MAX_USERS);
  }
  issuing *i = calloc(1, sizeof *i);
  if (i == NULL) {
    return torc_fail(TORC_ERR_NOMEM, err, err_cap, "there is no memory");
  }
  memset(out, 0, sizeof *out);
  i->o = o;
  i->out = out;
  join_users(o->users, o->num_users, i->users);
  int rc = TORC_ERR_EXISTS;
  for (int k = 0; k < TORC_REGISTRY_TRIES && rc == TORC_ERR_EXISTS; k++) {
    rc = torc_registry_do(r, issue_step, i, err, err_cap);
  }
  if (rc != 0) {
    torc_issue_result_clear(out);
  }
  free(i);
  return rc;
}

void torc_issue_result_clear(torc_issue_result *r) {
  free(r->der);
  memset(r, 0, sizeof *r);
}

/* ---- import ---- */

typedef struct importing {
  const torc_registry_import_source *source;
  torc_registry_imported *out;
  torc_import_entry entry;
} importing;

static int is_known(torc_db *db, const torc_certificate_entry *e, bool *out, char *err,
                    size_t err_cap) {
  char serial[2 * TORC_CA_SERIAL_LEN + 1];
  issuing found = {.number = 0};
  torc_registry_hex(e->serial, TORC_CA_SERIAL_LEN, serial);
  torc_db_value v = TORC_DB_TEXT(serial);
  int rc = torc_db_run(db, "SELECT COUNT(*) FROM certificate WHERE serial = $1", &v, 1, read_number,
                       &found, NULL, err, err_cap);
  *out = found.number != 0;
  return rc;
}

static int import_certificate(torc_db *db, const torc_certificate_entry *e,
                              torc_registry_imported *out, char *err, size_t err_cap) {
  const char *users[TORC_CERT_MAX_USERS];
  char text[USERS_CAP] = "";
  char hex[TORC_ID_HEX_LEN + 1];
  bool known = false;
  int rc = is_known(db, e, &known, err, err_cap);
  if (rc != 0 || known) {
    return rc;
  }
  for (size_t i = 0; i < e->num_users; i++) {
    users[i] = e->users[i];
  }
  join_users(users, e->num_users, text);
  torc_db_value v[] = {TORC_DB_TEXT(torc_id_hex(&e->peer, hex)), TORC_DB_TEXT(e->account)};
  rc = torc_db_run(db, "INSERT INTO peer (id, account) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING",
                   v, 2, NULL, NULL, NULL, err, err_cap); /* a renewed one is there */
  if (rc == 0) {
    rc = insert_certificate(db, e, text, "", "", err, err_cap);
  }
  out->certificates += rc == 0 ? 1 : 0;
  return rc;
}

static int import_entry(torc_db *db, importing *i, char *err, size_t err_cap) {
  const torc_certificate_entry *e = &i->entry.certificate;
  bool is_guest = strncmp(e->account, TORC_GUEST_PREFIX, strlen(TORC_GUEST_PREFIX)) == 0;
  int rc = make_account(db, e->account, e->issued, is_guest, err, err_cap);
  for (size_t k = 0; rc == 0 && k < i->entry.num_names; k++) {
    rc = torc_registry_claim(db, e->account, i->entry.names[k], err, err_cap);
  }
  for (size_t k = 0; rc == 0 && k < e->num_users; k++) {
    rc = torc_registry_claim(db, e->account, e->users[k], err, err_cap);
  }
  return rc == 0 && i->entry.has_certificate ? import_certificate(db, e, i->out, err, err_cap) : rc;
}

static int import_step(torc_db *db, void *arg, char *err, size_t err_cap) {
  importing *i = arg;
  int rc = i->source->rewind(i->source->arg, err, err_cap);
  memset(i->out, 0, sizeof *i->out);
  while (rc == 0) {
    bool is_end = false;
    rc = i->source->next(i->source->arg, &i->entry, &is_end, err, err_cap);
    if (rc != 0 || is_end) {
      return rc;
    }
    i->out->entries++;
    rc = import_entry(db, i, err, err_cap);
  }
  return rc;
}

int torc_registry_import(torc_registry *r, const torc_registry_import_source *source,
                         torc_registry_imported *out, char *err, size_t err_cap) {
  importing *i = calloc(1, sizeof *i);
  if (i == NULL) {
    return torc_fail(TORC_ERR_NOMEM, err, err_cap, "there is no memory");
  }
  i->source = source;
  i->out = out;
  int rc = torc_registry_do(r, import_step, i, err, err_cap);
  free(i);
  return rc;
}

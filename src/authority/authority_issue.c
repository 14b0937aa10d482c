/* Certificates that the administrator issues. SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "authority/authority.h"
#include "base/slice.h"
#include "io/err.h"

/* Writes a key in PEM with mode 0600. */
static int write_key(const char *path, EVP_PKEY *key, bool replace, char *err, size_t err_cap) {
  uint8_t *pem = NULL;
  size_t len = 0;
  int rc = torc_ca_key_to_pem(key, &pem, &len);
  if (rc != 0) {
    (void)snprintf(err, err_cap, "cannot write the private key down: %s", torc_strerror(rc));
    return rc;
  }
  rc = torc_file_write(path, torc_slice_of(pem, len), 0600, replace, err, err_cap);
  torc_file_free(pem, len);
  return rc;
}

static int write_cert(const char *path, torc_slice der, bool replace, char *err, size_t err_cap) {
  uint8_t *pem = NULL;
  size_t len = 0;
  const unsigned char *at = der.p;
  X509 *cert = d2i_X509(NULL, &at, (long)der.len);
  int rc = cert == NULL ? TORC_ERR_CRYPTO : torc_ca_cert_to_pem(cert, &pem, &len);
  X509_free(cert);
  if (rc != 0) {
    (void)snprintf(err, err_cap, "cannot write the certificate down: %s", torc_strerror(rc));
    return rc;
  }
  rc = torc_file_write(path, torc_slice_of(pem, len), 0644, replace, err, err_cap);
  torc_file_free(pem, len);
  return rc;
}

typedef struct issuing {
  const torc_authority_request *r;
  torc_home *home;
  const torc_issuer *issuer;
  EVP_PKEY *key;
  char account[TORC_USER_MAX + 1];
  char users[TORC_CERT_MAX_USERS][TORC_USER_MAX + 1]; /* normalised */
  torc_issue_order order;
} issuing;

static int fill_names(issuing *i, char *err, size_t err_cap) {
  const torc_authority_request *r = i->r;
  const char *account = r->account;
  if (r->num_users == 0 || r->num_users > TORC_CERT_MAX_USERS) {
    return torc_fail(TORC_ERR_INVALID, err, err_cap, "a certificate has 1 to %d user names",
                     TORC_CERT_MAX_USERS);
  }
  for (size_t k = 0; k < r->num_users; k++) {
    if (torc_ca_user_name(r->users[k], i->users[k], sizeof i->users[k]) != 0) {
      return torc_fail(TORC_ERR_FORMAT, err, err_cap,
                       "'%s' is no user name; one looks like alice@example.org", r->users[k]);
    }
    i->order.users[k] = i->users[k];
  }
  if (account == NULL) {
    account = i->users[0];
  }
  if (account[0] == '\0' || strlen(account) > TORC_USER_MAX) {
    return torc_fail(TORC_ERR_FORMAT, err, err_cap, "an account name has 1 to %d bytes",
                     TORC_USER_MAX);
  }
  (void)snprintf(i->account, sizeof i->account, "%s", account);
  i->order.account = i->account;
  i->order.num_users = r->num_users;
  return 0;
}

/* The first issuer that is valid; not longer than its own certificate. */
static int fill_dates(issuing *i, char *err, size_t err_cap) {
  const torc_authority_request *r = i->r;
  int rc = TORC_ERR_STATE;
  if (r->days == 0 || r->days > TORC_AUTHORITY_DAYS_MAX) {
    return torc_fail(TORC_ERR_INVALID, err, err_cap, "a certificate is valid for 1 to %d days",
                     TORC_AUTHORITY_DAYS_MAX);
  }
  i->order.now = r->now;
  for (size_t k = 0; rc != 0 && k < i->home->num_issuers; k++) {
    i->issuer = &i->home->issuers[k];
    rc = torc_issuer_end(i->issuer, r->now, r->days, &i->order.not_after, err, err_cap);
  }
  return rc;
}

/* The key of the request, or a fresh one of the root's kind. */
static int subject_key(const torc_issuer *issuer, const torc_authority_request *r, EVP_PKEY **out,
                       char *err, size_t err_cap) {
  if (r->request_file == NULL) {
    bool is_rsa = EVP_PKEY_get_base_id(X509_get0_pubkey(issuer->root)) == EVP_PKEY_RSA;
    int rc = torc_ca_key_new(is_rsa ? TORC_CA_RSA : TORC_CA_ECDSA, out);
    if (rc != 0) {
      (void)snprintf(err, err_cap, "cannot make a key: %s", torc_strerror(rc));
    }
    return rc;
  }
  uint8_t *pem = NULL;
  size_t len = 0;
  char why[160] = "";
  int rc = torc_file_read(r->request_file, TORC_AUTHORITY_REQUEST_MAX, &pem, &len, err, err_cap);
  if (rc != 0) {
    return rc;
  }
  rc = torc_ca_request_key(torc_slice_of(pem, len), out, why, sizeof why);
  if (rc != 0) {
    (void)snprintf(err, err_cap, "%s is refused: %s", r->request_file, why);
  }
  torc_file_free(pem, len);
  return rc;
}

static int output_paths(const torc_authority_request *r, torc_authority_issued *out, char *err,
                        size_t err_cap) {
  int n = snprintf(out->cert_file, sizeof out->cert_file, "%s.crt", r->out_prefix);
  if (n < 0 || (size_t)n >= sizeof out->cert_file) {
    return torc_fail(TORC_ERR_SPACE, err, err_cap, "the name %.40s... is too long", r->out_prefix);
  }
  out->key_file[0] = '\0';
  if (r->request_file == NULL) {
    (void)snprintf(out->key_file, sizeof out->key_file, "%s.key", r->out_prefix);
  }
  if (r->replace) {
    return 0;
  }
  int rc = torc_file_absent(out->cert_file, "--force replaces it", err, err_cap);
  if (rc == 0 && out->key_file[0] != '\0') {
    rc = torc_file_absent(out->key_file, "--force replaces it", err, err_cap);
  }
  return rc;
}

static int sign(void *arg, const torc_certificate_entry *e, uint8_t **der, size_t *len) {
  const issuing *i = arg;
  return torc_issuer_sign(i->issuer, i->home->overlay, e, i->key, der, len);
}

static int order_certificate(issuing *i, torc_issue_result *out, char *err, size_t err_cap) {
  i->order.may_claim = true;
  i->order.max_certs = (uint32_t)i->home->settings.certificates;
  i->order.sign = sign;
  i->order.sign_arg = i;
  int rc = torc_csr_key_hash(i->key, i->order.key_hash);
  if (rc != 0) {
    return torc_fail(rc, err, err_cap, "the key cannot be hashed");
  }
  rc = torc_registry_issue(i->home->registry, &i->order, out, err, err_cap);
  torc_audit_event event = {.what = rc == 0 ? "issued" : "refused",
                            .when = i->r->now,
                            .account = i->account,
                            .reason = rc == 0 ? NULL : err,
                            .entry = rc == 0 ? &out->entry : NULL};
  int told = torc_home_tell(i->home, &event, rc == 0 ? err : NULL, err_cap);
  return rc != 0 ? rc : told;
}

static int issue(issuing *i, torc_authority_issued *out, char *err, size_t err_cap) {
  torc_issue_result result = {.der = NULL};
  int rc = fill_names(i, err, err_cap);
  if (rc == 0) {
    rc = fill_dates(i, err, err_cap);
  }
  if (rc == 0) {
    rc = subject_key(i->issuer, i->r, &i->key, err, err_cap);
  }
  if (rc == 0) {
    rc = order_certificate(i, &result, err, err_cap);
  }
  if (rc == 0 && out->key_file[0] != '\0') {
    rc = write_key(out->key_file, i->key, i->r->replace, err, err_cap);
  }
  if (rc == 0) {
    rc = write_cert(out->cert_file, torc_slice_of(result.der, result.len), i->r->replace, err,
                    err_cap);
  }
  if (rc == 0) {
    out->peer = result.entry.peer;
    out->not_after = result.entry.not_after;
    memcpy(out->account, result.entry.account, sizeof out->account);
  }
  torc_issue_result_clear(&result);
  EVP_PKEY_free(i->key);
  return rc;
}

int torc_authority_issue(const torc_authority_request *r, torc_authority_issued *out, char *err,
                         size_t err_cap) {
  issuing i = {.r = r};
  int rc = output_paths(r, out, err, err_cap);
  if (rc == 0) {
    rc = torc_home_open(&i.home, r->dir, TORC_HOME_ALL, err, err_cap);
  }
  if (rc == 0) {
    rc = issue(&i, out, err, err_cap);
  }
  torc_home_close(i.home);
  return rc;
}

/* The node's own certificate and private key, from files.
 * SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/id.h"
#include "base/slice.h"
#include "io/err.h"
#include "io/wall.h"
#include "io/x509_internal.h"

/* Nobody is there to be asked for a passphrase. */
static int no_passphrase(char *buf, int size, int rwflag, void *u) {
  (void)buf;
  (void)size;
  (void)rwflag;
  (void)u;
  return -1;
}

static int load_cert(const torc_pki *p, torc_pki_own *own, const char *file, char *err,
                     size_t err_cap) {
  FILE *f = fopen(file, "re");
  if (f == NULL) {
    return torc_fail(TORC_ERR_IO, err, err_cap, "cannot read the certificate %s: %s", file,
                     strerror(errno));
  }
  X509 *x = PEM_read_X509(f, NULL, no_passphrase, NULL);
  fclose(f);
  if (x == NULL) {
    ERR_clear_error();
    return torc_fail(TORC_ERR_CONFIG, err, err_cap, "%s holds no certificate in PEM", file);
  }
  own->x509 = x;
  uint8_t *der = NULL;
  int len = i2d_X509(x, &der);
  if (len <= 0) {
    return torc_fail(TORC_ERR_CRYPTO, err, err_cap, "%s cannot be encoded", file);
  }
  char why[160] = "";
  int rc = torc_pki_accept(p, torc_slice_of(der, (size_t)len), &own->cert, why, sizeof why);
  OPENSSL_free(der);
  if (rc != 0) {
    return torc_fail(rc, err, err_cap, "the certificate %s is not usable in this overlay: %s", file,
                     why);
  }
  return 0;
}

/* A private key is a file of mode 0600 or stricter. */
static int open_key(const char *file, FILE **out, char *err, size_t err_cap) {
  FILE *f = fopen(file, "re");
  if (f == NULL) {
    return torc_fail(TORC_ERR_IO, err, err_cap, "cannot read the private key %s: %s", file,
                     strerror(errno));
  }
  struct stat st;
  if (fstat(fileno(f), &st) != 0 || (st.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
    fclose(f);
    return torc_fail(TORC_ERR_CONFIG, err, err_cap,
                     "the private key %s is accessible to others: run chmod 600 %s", file, file);
  }
  *out = f;
  return 0;
}

static int load_key(const torc_pki *p, torc_pki_own *own, const char *file, char *err,
                    size_t err_cap) {
  FILE *f = NULL;
  int rc = open_key(file, &f, err, err_cap);
  if (rc != 0) {
    return rc;
  }
  EVP_PKEY *pkey = PEM_read_PrivateKey(f, NULL, no_passphrase, NULL);
  fclose(f);
  if (pkey == NULL) {
    ERR_clear_error();
    return torc_fail(TORC_ERR_CONFIG, err, err_cap,
                     "%s holds no private key in PEM without a passphrase", file);
  }
  if (X509_check_private_key(own->x509, pkey) != 1) {
    ERR_clear_error();
    EVP_PKEY_free(pkey);
    return torc_fail(TORC_ERR_CONFIG, err, err_cap,
                     "the private key %s does not belong to the certificate", file);
  }
  const char *why = NULL;
  rc = torc_pki_key_new(&own->key, pkey, p->shared, true, &why);
  if (rc != 0) {
    EVP_PKEY_free(pkey);
    return torc_fail(rc, err, err_cap, "the private key %s is not usable: %s", file, why);
  }
  return 0;
}

static int load(const torc_pki *p, torc_pki_own *own, const char *cert_file, const char *key_file,
                torc_wall now, char *err, size_t err_cap) {
  int rc = load_cert(p, own, cert_file, err, err_cap);
  if (rc != 0) {
    return rc;
  }
  assert(own->cert != NULL);
  /* [GAP-135] an expired certificate makes no link and no signature. */
  char limit[TORC_WALL_TEXT];
  char clock[TORC_WALL_TEXT];
  if (now < own->cert->not_before) {
    return torc_fail(TORC_ERR_CRYPTO, err, err_cap,
                     "the certificate %s is not valid before %s, but by this machine's clock it is "
                     "%s: set the clock",
                     cert_file, torc_wall_text(own->cert->not_before, limit),
                     torc_wall_text(now, clock));
  }
  if (now > own->cert->not_after) {
    return torc_fail(TORC_ERR_CRYPTO, err, err_cap,
                     "the certificate %s has expired on %s (it is %s by this machine's clock): get "
                     "a new one from the authority",
                     cert_file, torc_wall_text(own->cert->not_after, limit),
                     torc_wall_text(now, clock));
  }
  return load_key(p, own, key_file, err, err_cap);
}

void torc_pki_own_clear(torc_pki_own *o) {
  torc_cert_free(o->cert);
  X509_free(o->x509);
  torc_pki_key_free(o->key);
  *o = (torc_pki_own){.cert = NULL};
}

/* `fresh` passes to the pki; what was the old one is returned in it. */
static void exchange(torc_pki *p, torc_pki_own *fresh) {
  (void)pthread_rwlock_wrlock(&p->own_lock);
  torc_pki_own last = p->old;
  p->old = p->own;
  p->own = *fresh;
  *fresh = last;
  (void)pthread_rwlock_unlock(&p->own_lock);
}

int torc_pki_load_own(torc_pki *p, const char *cert_file, const char *key_file, torc_wall now,
                      char *err, size_t err_cap) {
  torc_pki_own fresh = {.cert = NULL};
  int rc = load(p, &fresh, cert_file, key_file, now, err, err_cap);
  if (rc == 0) {
    exchange(p, &fresh);
  }
  torc_pki_own_clear(&fresh);
  return rc;
}

static int may_follow(const torc_cert *old, const torc_cert *fresh, const char *file, char *err,
                      size_t err_cap) {
  if (old->num_peers == 0 || fresh->num_peers == 0 ||
      !torc_id_eq(&old->peers[0], &fresh->peers[0])) {
    return torc_fail(TORC_ERR_CONFIG, err, err_cap,
                     "the certificate %s is for another peer-id, which needs a restart", file);
  }
  return 0;
}

int torc_pki_renew_own(torc_pki *p, const char *cert_file, const char *key_file, torc_wall now,
                       char *err, size_t err_cap) {
  torc_pki_own fresh = {.cert = NULL};
  const torc_cert *old = p->own.cert;
  if (old == NULL) {
    return torc_fail(TORC_ERR_STATE, err, err_cap, "there is no certificate to be renewed");
  }
  int rc = load(p, &fresh, cert_file, key_file, now, err, err_cap);
  rc = rc != 0 ? rc : may_follow(old, fresh.cert, cert_file, err, err_cap);
  if (rc == 0 && memcmp(fresh.cert->digest, old->digest, TORC_DIGEST_LEN) != 0) {
    exchange(p, &fresh);
  }
  torc_pki_own_clear(&fresh);
  return rc;
}

torc_cert *torc_pki_own_cert(const torc_pki *p) {
  return p->own.cert;
}

uint8_t torc_pki_signature_algorithm(const torc_pki *p) {
  return p->own.key == NULL ? 0 : p->own.key->algorithm;
}

void *torc_pki_own_key(const torc_pki *p) {
  return p->own.key == NULL ? NULL : p->own.key->pkey;
}

void *torc_pki_own_x509(const torc_pki *p) {
  return p->own.x509;
}

/* tests/overlay/helper_crypto.h for fuzz targets: quick digests that only this process believes.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/id.h"
#include "base/slice.h"
#include "overlay/helper_crypto.h"

static int digest(void *ctx, const torc_slice *parts, size_t num, uint8_t out[TORC_DIGEST_LEN]) {
  uint64_t h[4] = {1, 2, 3, 4};
  (void)ctx;
  for (size_t i = 0; i < num; i++) {
    for (size_t k = 0; parts[i].len > 0 && k < 4; k++) {
      h[k] = torc_hash64(h[k], parts[i]);
    }
  }
  memcpy(out, h, TORC_DIGEST_LEN);
  return 0;
}

static int no_random(void *ctx, uint8_t *out, size_t len) {
  (void)ctx;
  memset(out, 0x5a, len);
  return 0;
}

static void cert_release(void *ctx, torc_cert *cert) {
  (void)ctx;
  cert->refs--;
  if (cert->refs == 0) {
    free((void *)(uintptr_t)cert->der.p);
    free(cert);
  }
}

const torc_crypto *helper_crypto(void) {
  static const torc_crypto table = {
      .random = no_random, .sha256 = digest, .cert_release = cert_release};
  return &table;
}

torc_id helper_id(uint8_t first, uint8_t rest) {
  torc_id id;
  memset(id.b, rest, sizeof id.b);
  id.b[0] = first;
  return id;
}

torc_id helper_user_resource(const char *user) {
  torc_slice part = torc_slice_str(user);
  uint8_t out[TORC_DIGEST_LEN];
  (void)digest(NULL, &part, 1, out);
  return torc_id_from_bytes(out);
}

typedef struct cert_box { /* a certificate with room for every name it may have */
  torc_cert cert;
  torc_id peers[TORC_CERT_MAX_PEERS];
  const char *users[TORC_CERT_MAX_USERS];
  char names[TORC_CERT_MAX_USERS][TORC_USER_MAX + 1];
} cert_box;

void helper_cert_set_peers(torc_cert *cert, const torc_id *ids, size_t num) {
  cert_box *box = (cert_box *)cert;
  if (num > TORC_CERT_MAX_PEERS) {
    abort();
  }
  memcpy(box->peers, ids, num * sizeof *ids);
  cert->num_peers = (uint32_t)num;
}

void helper_cert_add_user(torc_cert *cert, const char *user) {
  cert_box *box = (cert_box *)cert;
  if (cert->num_users == TORC_CERT_MAX_USERS) {
    abort();
  }
  strncpy(box->names[cert->num_users++], user, TORC_USER_MAX);
}

torc_cert *helper_cert_der(const char *user, const torc_id *peer, torc_slice der) {
  cert_box *box = calloc(1, sizeof *box);
  torc_cert *cert = &box->cert;
  uint8_t *copy = malloc(der.len > 0 ? der.len : 1);
  if (box == NULL || copy == NULL) {
    abort();
  }
  if (der.len > 0) {
    memcpy(copy, der.p, der.len);
  }
  cert->refs = 1;
  cert->der = torc_slice_of(copy, der.len);
  (void)digest(NULL, &cert->der, 1, cert->digest);
  cert->peers = box->peers;
  cert->users = box->users;
  for (size_t i = 0; i < TORC_CERT_MAX_USERS; i++) {
    box->users[i] = box->names[i];
  }
  if (user != NULL) {
    helper_cert_add_user(cert, user);
  }
  if (peer != NULL) {
    helper_cert_set_peers(cert, peer, 1);
  }
  cert->not_before = 1;
  cert->not_after = UINT32_MAX;
  return cert;
}

void helper_cert_free(torc_cert *cert) {
  if (cert != NULL) {
    cert_release(NULL, cert);
  }
}

static bool may_allocate(helper_mem *m) {
  m->num_calls++;
  return m->fail_at == 0 || m->num_calls < m->fail_at ||
         (m->num_calls > m->fail_at && !m->fail_rest);
}

static void *counted_alloc(void *ctx, size_t size) {
  helper_mem *m = ctx;
  void *p = may_allocate(m) ? malloc(size) : NULL;
  m->num_live += p != NULL ? 1 : 0;
  return p;
}

static void *counted_realloc(void *ctx, void *old, size_t size) {
  helper_mem *m = ctx;
  void *p = may_allocate(m) ? realloc(old, size) : NULL;
  m->num_live += p != NULL && old == NULL ? 1 : 0;
  return p;
}

static void counted_free(void *ctx, void *p) {
  helper_mem *m = ctx;
  m->num_live -= p != NULL ? 1 : 0;
  free(p);
}

void helper_mem_init(helper_mem *m) {
  *m = (helper_mem){.num_calls = 0};
  m->mem = (torc_mem){
      .ctx = m, .alloc = counted_alloc, .realloc = counted_realloc, .free = counted_free};
}

void helper_mem_reset(helper_mem *m, uint64_t fail_at) {
  m->num_calls = 0;
  m->fail_at = fail_at;
  m->fail_rest = false;
}

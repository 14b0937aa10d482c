/* Certificates and memory for tests and fuzz targets: all of helper_crypto.h that needs no crypto
 * library. SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "overlay/helper_crypto.h"

void helper_cert_release(void *ctx, torc_cert *cert) {
  (void)ctx;
  cert->refs--;
  if (cert->refs == 0) {
    free((void *)(uintptr_t)cert->der.p);
    free(cert);
  }
}

torc_id helper_id(uint8_t first, uint8_t rest) {
  torc_id id;
  memset(id.b, rest, sizeof id.b);
  id.b[0] = first;
  return id;
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
  cert->der = (torc_slice){.p = copy, .len = der.len};
  (void)helper_crypto()->sha256(NULL, &cert->der, 1, cert->digest);
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

torc_cert *helper_cert(const char *user, const torc_id *peer) {
  uint8_t der[16 + TORC_ID_LEN + TORC_USER_MAX] = "no DER: ";
  size_t len = 8;
  if (peer != NULL) {
    memcpy(der + len, peer->b, TORC_ID_LEN);
    len += TORC_ID_LEN;
  }
  if (user != NULL) {
    size_t user_len = strlen(user) > TORC_USER_MAX ? TORC_USER_MAX : strlen(user);
    memcpy(der + len, user, user_len);
    len += user_len;
  }
  return helper_cert_der(user, peer, (torc_slice){.p = der, .len = len});
}

void helper_cert_free(torc_cert *cert) {
  if (cert != NULL) {
    helper_cert_release(NULL, cert);
  }
}

static bool may_allocate(helper_mem *m) {
  m->num_calls++;
  if (m->fail_at == 0 || m->num_calls < m->fail_at) {
    return true;
  }
  return m->num_calls > m->fail_at && !m->fail_rest;
}

/* Each block begins with its size. */
typedef union block {
  size_t size;
  max_align_t align;
} block;

/* What glibc's malloc takes for it. */
static int64_t cost(size_t size) {
  size_t whole = (size + 8 + 15) / 16 * 16;
  return (int64_t)(whole < 32 ? 32 : whole);
}

static void *counted_realloc(void *ctx, void *old, size_t size) {
  helper_mem *m = ctx;
  block *from = old != NULL ? (block *)old - 1 : NULL;
  size_t old_size = from != NULL ? from->size : 0;
  block *b = may_allocate(m) ? realloc(from, sizeof *b + size) : NULL;
  if (b == NULL) {
    return NULL;
  }
  b->size = size;
  m->num_live += from == NULL ? 1 : 0;
  m->num_bytes += cost(size) - (from != NULL ? cost(old_size) : 0);
  m->peak_bytes = m->num_bytes > m->peak_bytes ? m->num_bytes : m->peak_bytes;
  return b + 1;
}

static void *counted_alloc(void *ctx, size_t size) {
  return counted_realloc(ctx, NULL, size);
}

static void counted_free(void *ctx, void *p) {
  helper_mem *m = ctx;
  block *b = p != NULL ? (block *)p - 1 : NULL;
  if (b != NULL) {
    m->num_live--;
    m->num_bytes -= cost(b->size);
    free(b);
  }
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

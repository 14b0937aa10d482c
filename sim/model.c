/* SPDX-License-Identifier: Apache-2.0 */
#include "model.h"

#include <stdio.h>
#include <string.h>

#include "base/id.h"
#include "base/mem.h"
#include "base/slice.h"
#include "mix.h"

#define BLOCK 32u
#define PARTS_MAX 8u /* of what a job signs */
#define MULTIPLIER 0x9fb21c651e98df25u

typedef struct model {
  uint64_t lane[4];
  uint64_t len;
  size_t held; /* bytes in `block` */
  uint8_t block[BLOCK];
} model;

static uint64_t rotate(uint64_t v, unsigned by) {
  return (v << by) | (v >> (64 - by));
}

static uint64_t word_of(const uint8_t *p) {
  uint64_t v;
  memcpy(&v, p, sizeof v);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
  v = __builtin_bswap64(v);
#endif
  return v;
}

static void put_word(uint8_t *p, uint64_t v) {
  for (unsigned i = 0; i < 8; i++) {
    p[i] = (uint8_t)(v >> (8 * i));
  }
}

static void absorb(model *m, const uint8_t *p) {
  for (unsigned i = 0; i < 4; i++) {
    m->lane[i] = rotate((m->lane[i] ^ word_of(p + 8 * i)) * MULTIPLIER, 29) + m->lane[(i + 1) & 3];
  }
}

static void take(model *m, torc_slice s) {
  m->len += s.len;
  if (m->held > 0) {
    size_t more = s.len < BLOCK - m->held ? s.len : BLOCK - m->held;
    if (more > 0) {
      memcpy(m->block + m->held, s.p, more);
    }
    m->held += more;
    s.p += more;
    s.len -= more;
    if (m->held < BLOCK) {
      return;
    }
    absorb(m, m->block);
    m->held = 0;
  }
  for (; s.len >= BLOCK; s.len -= BLOCK) {
    absorb(m, s.p);
    s.p += BLOCK;
  }
  if (s.len > 0) {
    memcpy(m->block, s.p, s.len);
    m->held = s.len;
  }
}

void sim_model_hash(const torc_slice *parts, size_t num, uint8_t out[TORC_DIGEST_LEN]) {
  model m = {.lane = {SIM_GOLDEN, 0xd1b54a32d192ed03u, 0x8cb92ba72f3d8dd7u, 0xabc98388fb8fac03u}};
  for (size_t i = 0; i < num; i++) {
    if (parts[i].len > 0) {
      take(&m, parts[i]);
    }
  }
  memset(m.block + m.held, 0, BLOCK - m.held);
  absorb(&m, m.block);
  m.lane[0] ^= m.len;
  for (unsigned round = 0; round < 2; round++) {
    for (unsigned i = 0; i < 4; i++) {
      m.lane[(i + 1) & 3] += sim_mix(m.lane[i] + i);
    }
  }
  for (unsigned i = 0; i < 4; i++) {
    put_word(out + 8 * i, sim_mix(m.lane[i]));
  }
}

void sim_model_sign(const torc_id *signer, const torc_job *job, uint8_t out[SIM_SIGNATURE_LEN]) {
  torc_slice parts[PARTS_MAX];
  uint8_t digest[TORC_DIGEST_LEN];
  size_t num = 0;
  parts[num] = torc_slice_of(signer->b, TORC_ID_LEN);
  num++;
  for (size_t i = 0; i < job->num_parts && num < PARTS_MAX; i++) {
    parts[num] = job->parts[i];
    num++;
  }
  sim_model_hash(parts, num, digest);
  memcpy(out, digest, SIM_SIGNATURE_LEN);
}

bool sim_model_verify(const torc_id *signer, const torc_job *job) {
  uint8_t sig[SIM_SIGNATURE_LEN];
  sim_model_sign(signer, job, sig);
  return torc_slice_eq(job->signature, torc_slice_of(sig, sizeof sig));
}

/* ---- certificates ---- */

static const char magic[4] = {'S', 'I', 'M', 'C'};
static const char domain[] = "@sim.example";

size_t sim_model_user(torc_sim_index i, char out[SIM_USER_CAP]) {
  return (size_t)snprintf(out, SIM_USER_CAP, "u%u%s", i, domain);
}

/* In one piece; id and name are those within the DER, behind which a NUL stands. */
typedef struct model_cert {
  torc_cert cert;
  const char *user;
  uint8_t der[];
} model_cert;

torc_cert *sim_model_cert(const torc_mem *mem, torc_sim_index i, const torc_id *id) {
  char user[SIM_USER_CAP];
  size_t user_len = sim_model_user(i, user);
  size_t fixed = sizeof magic + TORC_ID_LEN;
  model_cert *m = torc_calloc(mem, 1, sizeof *m + fixed + user_len + 1);
  if (m == NULL) {
    return NULL;
  }
  memcpy(m->der, magic, sizeof magic);
  memcpy(m->der + sizeof magic, id->b, TORC_ID_LEN);
  memcpy(m->der + fixed, user, user_len);
  m->user = (const char *)m->der + fixed;
  m->cert = (torc_cert){.refs = 1,
                        .der = torc_slice_of(m->der, fixed + user_len),
                        .num_peers = 1,
                        .num_users = 1,
                        .peers = (const torc_id *)(const void *)(m->der + sizeof magic),
                        .users = &m->user,
                        .not_before = 1,
                        .not_after = UINT32_MAX};
  sim_model_hash(&m->cert.der, 1, m->cert.digest);
  return &m->cert;
}

bool sim_model_cert_owner(torc_slice der, torc_sim_index *i, torc_id *id) {
  size_t fixed = sizeof magic + TORC_ID_LEN;
  uint64_t index = 0;
  char user[SIM_USER_CAP];
  if (der.len < fixed + 2 || memcmp(der.p, magic, sizeof magic) != 0 || der.p[fixed] != 'u') {
    return false;
  }
  for (size_t k = fixed + 1; k < der.len && der.p[k] >= '0' && der.p[k] <= '9'; k++) {
    index = index * 10 + (uint64_t)(der.p[k] - '0');
    if (index > UINT32_MAX) {
      return false;
    }
  }
  *i = (torc_sim_index)index;
  *id = torc_id_from_bytes(der.p + sizeof magic);
  size_t user_len = sim_model_user(*i, user);
  return torc_slice_eq(torc_slice_sub(der, fixed, der.len - fixed), torc_slice_of(user, user_len));
}

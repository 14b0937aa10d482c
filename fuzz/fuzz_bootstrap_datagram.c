/* libFuzzer target of the reader of multicast datagrams: what it takes is a PING of ours or its
 * answer, short enough, with a certificate; and what is answered to it is no longer than it may be.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/id.h"
#include "base/slice.h"
#include "bootstrap/discover.h"

#define CHECK(what)                                 \
  do {                                              \
    if (!(what)) {                                  \
      (void)fprintf(stderr, "not so: %s\n", #what); \
      abort();                                      \
    }                                               \
  } while (0)

static const uint8_t own_der[] = "own certificate";
static const torc_id own_id = {{0x42, 1}};
static const torc_id peer_id = {{0x43, 1}};

/* Every certificate is good, every signature too: what lies behind them is to be reached. */
static void run(void *ctx, const torc_job *job, uint8_t *sig, torc_job_result *out) {
  torc_cert *cert = ctx;
  memset(out, 0, sizeof *out);
  if (job->kind == TORC_JOB_SIGN) {
    memset(sig, 1, 64);
    out->signature = torc_slice_of(sig, 64);
  } else if (job->kind == TORC_JOB_CERTIFICATE) {
    cert->refs++;
    out->cert = cert;
  }
}

static void release(void *ctx, torc_cert *cert) {
  CHECK(ctx == cert && cert->refs > 0);
  cert->refs--;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
  torc_cert own = {.der = torc_slice_of(own_der, sizeof own_der), .num_peers = 1, .peers = &own_id};
  torc_cert peer = {.num_peers = 1, .peers = &peer_id, .not_after = UINT32_MAX};
  torc_discover_self self = {.id = own_id,
                             .overlay = 0x11223344,
                             .cert = &own,
                             .algorithm = TORC_SIGALG_ECDSA_P256_SHA256,
                             .ctx = &peer,
                             .run = run,
                             .release = release};
  torc_discover_msg m;
  torc_id signer;
  uint8_t room[TORC_DISCOVER_DATAGRAM_MAX];
  torc_wr wr;
  int rc = torc_discover_read(&self, torc_slice_of(data, len), &m);
  if (rc != 0) {
    return 0;
  }
  CHECK(len <= TORC_DISCOVER_DATAGRAM_MAX && m.len == len);
  CHECK(m.c.code == (m.is_answer ? TORC_CODE_OK : TORC_METHOD_PING));
  CHECK(m.c.signature.is_present && m.c.signature.identity.type == TORC_IDENTITY_CERT);
  rc = torc_discover_verify(&self, &m, 1, &signer);
  CHECK(rc == 0 && torc_id_eq(&signer, &peer_id) && peer.refs == 0);
  torc_wr_init(&wr, room, sizeof room);
  rc = torc_discover_answer_put(&wr, &self, &m, &signer, 1, 6084);
  CHECK(rc == 0 || rc == TORC_ERR_LIMIT);
  CHECK(wr.len <= TORC_DISCOVER_GROWTH * len);
  return 0;
}

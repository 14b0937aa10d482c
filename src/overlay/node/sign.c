/* [SIG-01] [SEC-19] Own contents are encoded, signed with the inline certificate and assembled into
 * a body [SIG-06] [SIG-09] [GAP-52] [GAP-53]. SPDX-License-Identifier: Apache-2.0 */
#include "overlay/node/impl.h"

struct torc_signing {
  torc_jobref job;
  torc_deferred unsigned_yet;
  torc_signed_fn fn;
  void *ctx;
  uint8_t prefix[12];
  size_t len;
  uint8_t contents[];
};

static void finish(torc_node *n, torc_signing *s, int rc, uint8_t *body, size_t len) {
  torc_signed_fn fn = s->fn;
  void *ctx = s->ctx;
  torc_free(n->mem, s);
  if (fn == NULL) {
    torc_free(n->mem, body);
  } else {
    fn(n, ctx, rc, body, len);
  }
}

static void on_signed(torc_node *n, torc_jobref *j, const torc_job_result *r) {
  torc_signing *s = TORC_CONTAINER_OF(j, torc_signing, job);
  torc_slice identity = s->job.parts[1]; /* that of the certificate it was signed with */
  size_t cap = s->len + 3 + r->signature.len + identity.len;
  uint8_t *body = NULL;
  torc_wr wr;
  if (r->rc != 0) {
    n->stats->jobs_failed++;
    finish(n, s, r->rc, NULL, 0);
    return;
  }
  body = torc_alloc(n->mem, cap);
  if (body == NULL) {
    n->stats->no_memory++;
    finish(n, s, TORC_ERR_NOMEM, NULL, 0);
    return;
  }
  torc_wr_init(&wr, body, cap);
  torc_wr_bytes(&wr, torc_slice_of(s->contents, s->len));
  torc_wr_u8(&wr, s->job.job.algorithm);
  torc_wr_vec16(&wr, r->signature);
  torc_wr_bytes(&wr, identity);
  if (wr.err != 0) {
    torc_free(n->mem, body);
    finish(n, s, wr.err, NULL, 0);
    return;
  }
  finish(n, s, 0, body, wr.len);
}

/* [GAP-25] [SEC-08] An absent signature is no byte at all. */
static void on_nothing_to_sign(torc_node *n, void *ctx, torc_token cookie, int rc,
                               const torc_id *peer) {
  torc_signing *s = ctx;
  uint8_t *body = NULL;
  (void)cookie;
  (void)peer;
  rc = torc_slice_dup(n->mem, torc_slice_of(s->contents, s->len), &body);
  if (rc != 0) {
    n->stats->no_memory++;
  }
  finish(n, s, rc, body, rc == 0 ? s->len : 0);
}

int torc_sign_start(torc_node *n, uint64_t xid, bool is_response, uint16_t code, torc_slice payload,
                    torc_signed_fn fn, void *ctx, torc_signing **out) {
  size_t len = TORC_CONTENTS_FIXED + payload.len;
  torc_signing *s = torc_alloc(n->mem, sizeof *s + len);
  torc_wr wr;
  int rc = 0;
  if (s == NULL) {
    n->stats->no_memory++;
    return TORC_ERR_NOMEM;
  }
  memset(s, 0, sizeof *s);
  s->fn = fn;
  s->ctx = ctx;
  s->len = len;
  torc_wr_init(&wr, s->contents, len);
  rc = torc_contents_put(&wr, is_response, code, payload);
  if (rc == 0 && n->cfg.is_shared_key) {
    torc_defer(n, &s->unsigned_yet, on_nothing_to_sign, s, 0, 0, NULL);
  } else if (rc == 0) {
    torc_signed_prefix(s->prefix, n->overlay, xid);
    s->job.parts[0] = torc_slice_of(s->prefix, sizeof s->prefix);
    s->job.parts[1] = torc_slice_of(n->own_identity, n->own_identity_len);
    s->job.parts[2] = torc_slice_of(s->contents, s->len);
    s->job.job.num_parts = 3;
    s->job.job.algorithm = n->signature_algorithm;
    s->job.job.cert = n->cert;
    rc = torc_job_start(n, &s->job, TORC_JOB_SIGN, on_signed);
  }
  if (rc != 0) {
    torc_free(n->mem, s);
    return rc;
  }
  if (out != NULL) {
    *out = s;
  }
  return 0;
}

void torc_sign_cancel(torc_signing *s) {
  if (s != NULL) {
    s->fn = NULL;
  }
}

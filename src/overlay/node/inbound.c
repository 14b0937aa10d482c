/* A message for this node: decoded, signature checked, duplicates recognised, then handed to its
 * handler. SPDX-License-Identifier: Apache-2.0 */
#include "overlay/node/impl.h"

bool torc_inbound_fits(const torc_node *n, const torc_link *l, size_t size) {
  return l->num_inbound < TORC_NODE_INBOUND_PER_LINK && n->num_inbound < TORC_NODE_INBOUND_MAX &&
         l->inbound_bytes + size <= TORC_NODE_INBOUND_LINK_BYTES &&
         n->inbound_bytes + size <= TORC_NODE_INBOUND_BYTES;
}

void torc_inbound_hold(torc_node *n, torc_inbound *in, torc_link *l, size_t size) {
  in->link = l == NULL ? 0 : l->id;
  in->last_hop = l == NULL ? n->self : l->peer;
  in->size = size;
  torc_list_push_back(&n->inbounds, &in->node);
  n->num_inbound++;
  n->inbound_bytes += size;
  if (l != NULL) {
    l->num_inbound++;
    l->inbound_bytes += (uint32_t)size; /* what fits is far below 2^32 */
  }
}

torc_inbound *torc_inbound_new(torc_node *n, torc_slice msg, const torc_step *step, torc_link *l) {
  uint8_t *copy = NULL;
  if (torc_slice_dup(n->mem, msg, &copy) != 0) {
    n->stats->no_memory++;
    return NULL;
  }
  return torc_inbound_take(n, copy, msg.len, step, l);
}

torc_inbound *torc_inbound_take(torc_node *n, uint8_t *msg, size_t len, const torc_step *step,
                                torc_link *l) {
  torc_inbound *in = torc_calloc(n->mem, 1, sizeof *in);
  if (in == NULL || torc_header_decode(&in->hdr, torc_slice_of(msg, len)) != 0) {
    n->stats->no_memory++;
    torc_free(n->mem, msg);
    torc_free(n->mem, in);
    return NULL;
  }
  in->msg = msg;
  in->is_local = l == NULL;
  in->has_entry = step->has_entry;
  in->entry = step->entry;
  in->is_exact = step->is_exact;
  in->is_wildcard = step->is_wildcard;
  torc_inbound_hold(n, in, l, len);
  return in;
}

void torc_inbound_free(torc_node *n, torc_inbound *in) {
  torc_link *l = torc_link_find(n, in->link);
  if (l != NULL) {
    l->num_inbound--;
    l->inbound_bytes -= (uint32_t)in->size;
  }
  n->num_inbound--;
  n->inbound_bytes -= in->size;
  torc_list_remove(&in->node);
  if (in->state != NULL && in->state_free != NULL) {
    in->state_free(n, in->state);
  }
  if (in->dup != NULL) {
    torc_dup_drop(n, in->dup);
  }
  torc_cert_unref(n, in->signer);
  torc_cert_lookup_clear(n, &in->lookup);
  torc_free(n->mem, in->msg);
  torc_free(n->mem, in);
}

/* Errors before the signature was verified count against the link's rate. */
static void refuse_unverified(torc_node *n, torc_inbound *in, uint16_t code, const char *phrase) {
  torc_link *l = torc_link_find(n, in->link);
  if (in->c.is_response) {
    torc_trans_verified(n, in, TORC_ERR_CRYPTO);
    return;
  }
  if (l == NULL || !torc_link_error_allowed(n, l)) {
    n->stats->drop_error_rate++;
    torc_inbound_free(n, in);
    return;
  }
  torc_respond_error(n, in, code, phrase, torc_slice_of(NULL, 0));
}

torc_id torc_inbound_origin(const torc_inbound *in) {
  torc_id first = in->hdr.via.len > 0 ? torc_id_list_at(in->hdr.via, 0) : in->last_hop;
  return torc_id_is_peer(&first) ? first : torc_id_zero;
}

/* Whose peer-id signed: [GAP-66] [GAP-136]. */
static torc_id signer_peer(const torc_inbound *in) {
  const torc_identity *id = &in->c.signature.identity;
  if (id->type == TORC_IDENTITY_PEER) {
    return id->peer;
  }
  if (in->signer->num_peers == 1) {
    return in->signer->peers[0];
  }
  if (in->hdr.via.len == 0 && torc_cert_has_peer(in->signer, &in->last_hop)) {
    return in->last_hop;
  }
  return torc_id_zero;
}

/* [D-24]: the signature has been verified; the key alone decides. True: dealt with.
 */
static bool is_duplicate(torc_node *n, torc_inbound *in) {
  torc_id first = in->hdr.via.len > 0 ? torc_id_list_at(in->hdr.via, 0) : in->last_hop;
  bool is_known = false;
  const torc_cert *signer = n->cfg.is_shared_key ? NULL : in->signer;
  torc_dup *d = torc_dup_enter(n, signer, &first, in->hdr.xid, in->c.code, &is_known);
  if (!is_known) {
    in->dup = d;
    return false;
  }
  torc_slice body;
  uint8_t *owned = torc_dup_response(n, d, &body);
  if (owned == NULL) {
    n->stats->drop_duplicate++;
  } else {
    n->stats->duplicates_answered++;
    torc_respond_body(n, in, body);
    torc_free(n->mem, owned);
  }
  torc_inbound_free(n, in);
  return true;
}

/* What another holder passes on. */
static bool is_copied(const torc_node *n, const torc_inbound *in, uint16_t method) {
  torc_id resource;
  if (in->c.code != method || in->c.payload.len < TORC_ID_LEN) {
    return false;
  }
  memcpy(resource.b, in->c.payload.p, TORC_ID_LEN);
  return torc_is_copy(n, in, &resource);
}

/* A single value that was as long as a STORE may be is passed on with another certificate,
 * which may be longer than its owner's. */
static bool is_too_long(const torc_node *n, const torc_inbound *in, size_t len) {
  size_t max = n->cfg.max_message;
  max += is_copied(n, in, TORC_METHOD_STORE) ? TORC_CERT_MAX_BYTES : 0;
  return len > (max < TORC_BODY_MAX ? max : TORC_BODY_MAX);
}

/* The request's signature is good, or it is this node's own. */
static void request_verified(torc_node *n, torc_inbound *in) {
  bool is_own_link = in->is_local || n->cfg.is_shared_key || /* without via: the link's peer */
                     torc_cert_has_peer(in->signer, &in->last_hop);
  /* It keeps its signer's xid and signature [D-14]. */
  bool is_copied_remove = is_copied(n, in, TORC_METHOD_REMOVE);
  in->signer_peer = in->is_local           ? n->self
                    : n->cfg.is_shared_key ? torc_inbound_origin(in)
                                           : signer_peer(in);
  in->is_replay = is_copied_remove;
  if (in->hdr.via.len == 0 && !is_own_link && !is_copied_remove) { /* */
    torc_respond_error(n, in, TORC_CODE_FORBIDDEN, NULL, torc_slice_of(NULL, 0));
    return;
  }
  if (is_copied_remove || !is_duplicate(n, in)) {
    n->stats->requests_received++;
    TORC_LOG(n->log, TORC_LOG_TRACE, "node:received", TORC_F_U64("xid", in->hdr.xid),
             TORC_F_U64("method", in->c.code), TORC_F_ID("from", &in->signer_peer));
    torc_dispatch(n, in);
  }
}

static void verified(torc_node *n, torc_inbound *in, int rc) {
  if (in->c.is_response) {
    torc_trans_verified(n, in, rc);
  } else if (rc != 0) {
    n->stats->signature_invalid++;
    refuse_unverified(n, in, TORC_CODE_FORBIDDEN, NULL); /* [GAP-58] */
  } else {
    request_verified(n, in);
  }
}

static void check_signature(torc_node *n, torc_inbound *in, torc_cert *cert);

/* No certificate that is known has signed it: he may have been given another [ENR-38]. */
static void none_signed(torc_node *n, torc_inbound *in) {
  if (!torc_cert_retry(n, &in->lookup)) {
    verified(n, in, TORC_ERR_CRYPTO);
  }
}

/* A failure of this side is not told to the peer, which tries again [D-41]. */
static void on_verified(torc_node *n, torc_jobref *j, const torc_job_result *r) {
  torc_inbound *in = TORC_CONTAINER_OF(j, torc_inbound, job);
  torc_cert *next = r->rc == TORC_ERR_CRYPTO ? torc_cert_another(&in->lookup) : NULL;
  if (next != NULL) {
    check_signature(n, in, next);
  } else if (r->rc == 0) {
    verified(n, in, 0);
  } else if (r->rc == TORC_ERR_CRYPTO) {
    none_signed(n, in);
  } else {
    n->stats->jobs_failed++;
    torc_inbound_free(n, in);
  }
}

static bool may_sign(const torc_node *n, const torc_inbound *in, const torc_cert *cert) {
  const torc_identity *id = &in->c.signature.identity;
  return torc_cert_valid_at(cert, torc_node_wall(n)) &&
         (id->type != TORC_IDENTITY_PEER || torc_cert_has_peer(cert, &id->peer));
}

/* Takes the reference. */
static void check_signature(torc_node *n, torc_inbound *in, torc_cert *cert) {
  while (cert != NULL && !may_sign(n, in, cert)) {
    torc_cert_unref(n, cert);
    cert = torc_cert_another(&in->lookup);
  }
  if (cert == NULL) {
    none_signed(n, in);
    return;
  }
  torc_cert_unref(n, in->signer);
  in->signer = cert;
  torc_signed_prefix(in->prefix, in->hdr.overlay, in->hdr.xid);
  in->job.parts[0] = torc_slice_of(in->prefix, sizeof in->prefix); /* [SIG-06] [GAP-50] */
  in->job.parts[1] = in->c.signature.identity.bytes;
  in->job.parts[2] = in->c.bytes;
  in->job.job.num_parts = 3;
  in->job.job.algorithm = in->c.signature.algorithm;
  in->job.job.signature = in->c.signature.value;
  in->job.job.cert = in->signer;
  if (torc_job_start(n, &in->job, TORC_JOB_VERIFY, on_verified) != 0) {
    torc_inbound_free(n, in);
  }
}

static void on_cert(torc_node *n, void *ctx, int rc, torc_cert *cert) {
  torc_inbound *in = ctx;
  if (rc == 0) {
    check_signature(n, in, torc_cert_ref(cert));
  } else if (rc == TORC_ERR_NOTFOUND) { /* [GAP-58] the signer cannot be resolved */
    n->stats->signature_missing++;
    refuse_unverified(n, in, TORC_CODE_UNAUTHORIZED, NULL);
  } else if (rc == TORC_ERR_CRYPTO) {
    verified(n, in, rc);
  } else {
    torc_inbound_free(n, in);
  }
}

static bool asks_for_certificates(const torc_node *n, const torc_inbound *in) {
  torc_model_lookup models = torc_types_models(&n->types);
  torc_fetch_request request;
  torc_specifier s;
  torc_rd rd;
  if (torc_fetch_request_decode(&request, in->c.payload, &models, NULL) != 0) {
    return false;
  }
  torc_rd_init(&rd, request.specifiers);
  while (torc_specifier_next(&rd, &models, &s)) {
    if (s.type == TORC_TYPE_CERTIFICATE) {
      return true;
    }
  }
  return false;
}

/* [GAP-52] The others bring their certificate along, or none of them could ever be checked. */
static bool may_name_signer(torc_node *n, const torc_inbound *in) {
  if (in->c.is_response) {
    return !torc_trans_is_certificate(n, in);
  }
  switch (in->c.code) {
    case TORC_METHOD_JOIN:
    case TORC_METHOD_CONNECT:
      return false;
    case TORC_METHOD_PING:
      return !in->is_wildcard;
    case TORC_METHOD_FETCH:
      return !asks_for_certificates(n, in);
    default:
      return true;
  }
}

/* [SEC-08] Nobody signs; who does has taken this for another overlay. */
static void accept_unsigned(torc_node *n, torc_inbound *in) {
  if (in->c.signature.is_present) {
    n->stats->signature_invalid++;
    refuse_unverified(n, in, TORC_CODE_BAD_REQUEST, "Signed In A Shared-Key Overlay");
    return;
  }
  in->signer = torc_cert_ref(n->anyone);
  verified(n, in, 0);
}

void torc_inbound_verify(torc_node *n, torc_inbound *in) {
  if (n->cfg.is_shared_key) {
    accept_unsigned(n, in);
    return;
  }
  if (in->is_local) { /* never left this node: its own signature */
    in->signer = torc_cert_ref(n->cert);
    verified(n, in, 0);
    return;
  }
  /* [SIG-11] the policy of an overlay with certificates [SIG-09] [ERR-04] [STO-16] */
  if (!in->c.signature.is_present) {
    n->stats->signature_missing++;
    refuse_unverified(n, in, TORC_CODE_UNAUTHORIZED, NULL);
    return;
  }
  in->lookup.may_fetch = may_name_signer(n, in);
  in->lookup.link = in->link;
  torc_cert_resolve(n, &in->lookup, &in->c.signature.identity, torc_link_find(n, in->link), on_cert,
                    in);
}

/* [RTG-16] [MSG-01]: from here on the contents are looked at. */
void torc_inbound_start(torc_node *n, torc_inbound *in) {
  const char *phrase = NULL;
  uint16_t code = 0;
  torc_slice body =
      torc_slice_of(in->msg + in->hdr.header_len, in->hdr.length - in->hdr.header_len);
  torc_link *l = torc_link_find(n, in->link);
  int rc = torc_contents_decode(&in->c, body);
  if (rc != 0) { /* */
    in->c.is_response = body.len > 0 && (body.p[0] & 0x80u) != 0;
    TORC_LOG(n->log, TORC_LOG_DEBUG, "node:bad_contents", TORC_F_ID("from", &in->last_hop),
             TORC_F_ERR("why", rc));
    refuse_unverified(n, in, TORC_CODE_BAD_REQUEST, NULL);
    return;
  }
  if (l != NULL && in->c.is_response == false && in->c.code != TORC_METHOD_PING) {
    l->last_use = n->now;
  }
  if (in->c.is_response) {
    torc_trans_response(n, in);
    return;
  }
  if (is_too_long(n, in, body.len)) {
    refuse_unverified(n, in, TORC_CODE_TOO_LARGE, NULL);
    return;
  }
  if (in->is_wildcard && in->c.code != TORC_METHOD_PING) { /* [GAP-37] */
    n->stats->drop_wildcard++;
    refuse_unverified(n, in, TORC_CODE_BAD_REQUEST, NULL);
    return;
  }
  code = torc_write_precheck(n, in, &phrase);
  if (code != 0) {
    refuse_unverified(n, in, code, phrase);
    return;
  }
  torc_inbound_verify(n, in);
}

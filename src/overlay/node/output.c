/* The queue of outputs, and jobs.
 * SPDX-License-Identifier: Apache-2.0 */
#include "overlay/node/impl.h"

size_t torc_out_size(torc_output_kind kind) {
  switch (kind) {
    case TORC_OUT_SEND:
    case TORC_OUT_CLOSE:
    case TORC_OUT_OFFER_NEEDED:
    case TORC_OUT_ACCEPT:
    case TORC_OUT_CANCEL:
      return offsetof(torc_output, job);
    case TORC_OUT_JOB:
      return offsetof(torc_output, endpoint);
    case TORC_OUT_OPEN:
      return offsetof(torc_output, event);
    case TORC_OUT_EVENT:
      return offsetof(torc_output, remote);
    case TORC_OUT_ANSWER_NEEDED:
    case TORC_OUT_CONNECT:
      break;
  }
  return sizeof(torc_output);
}

torc_out *torc_out_new(torc_node *n, torc_output_kind kind) {
  torc_out *o = torc_calloc(n->mem, 1, offsetof(torc_out, o) + torc_out_size(kind));
  if (o == NULL) {
    n->stats->no_memory++;
    return NULL;
  }
  torc_list_init(&o->node);
  o->o.kind = kind;
  return o;
}

void torc_out_push(torc_node *n, torc_out *o) {
  torc_list_push_back(&n->outputs, &o->node);
}

void torc_out_free(torc_node *n, torc_out *o) {
  if (o == NULL) {
    return;
  }
  for (size_t i = 0; i < o->num_strings; i++) {
    torc_free(n->mem, o->strings[i]);
  }
  torc_free(n->mem, o->strings);
  for (size_t i = 0; i < o->num_certs; i++) {
    torc_cert_unref(n, o->certs[i]);
  }
  torc_free(n->mem, o->certs);
  torc_free(n->mem, o->extra);
  torc_free(n->mem, o->owned);
  torc_free(n->mem, o);
}

int torc_out_hold(torc_node *n, torc_out *o, torc_cert *cert) {
  o->certs = torc_alloc(n->mem, sizeof(torc_cert *));
  if (o->certs == NULL) {
    return TORC_ERR_NOMEM;
  }
  o->certs[0] = torc_cert_ref(cert);
  o->num_certs = 1;
  o->o.event.cert = cert;
  return 0;
}

void torc_outputs_clear(torc_node *n) {
  torc_list *node = NULL;
  torc_out_free(n, n->polled);
  n->polled = NULL;
  while ((node = torc_list_pop_front(&n->outputs)) != NULL) {
    torc_out_free(n, TORC_CONTAINER_OF(node, torc_out, node));
  }
}

torc_out *torc_out_sending(torc_node *n, const torc_link *l, size_t len, uint8_t **room) {
  size_t fixed = offsetof(torc_out, o) + torc_out_size(TORC_OUT_SEND);
  torc_out *o = torc_alloc(n->mem, fixed + len);
  if (o == NULL) {
    n->stats->no_memory++;
    return NULL;
  }
  memset(o, 0, fixed);
  torc_list_init(&o->node);
  *room = (uint8_t *)o + fixed;
  o->o.kind = TORC_OUT_SEND;
  o->o.link = l->id;
  o->o.head = torc_slice_of(*room, len);
  return o;
}

void torc_out_sent(torc_node *n, torc_link *l, torc_out *o, size_t head_len,
                   const torc_split *split) {
  torc_slice all = o->o.head;
  o->split = *split;
  if (split->part != 0) {
    o->o.head = torc_slice_of(all.p, head_len);
    o->o.body = torc_slice_sub(all, head_len, all.len - head_len);
  }
  torc_link_count_out(n, l, split, head_len, all.len - head_len);
  torc_out_push(n, o);
}

/* Copies one string of a CONNECT into a field of the public struct; too long: the peer's fault. */
static int copy_text(char *out, size_t cap, torc_slice s) {
  if (s.len >= cap) {
    return TORC_ERR_FORMAT;
  }
  if (s.len > 0) {
    memcpy(out, s.p, s.len);
  }
  out[s.len] = '\0';
  return 0;
}

/* Fills o->o.remote from a decoded CONNECT; candidate strings become owned by `o` [CON-10]. */
int torc_out_params(torc_node *n, torc_out *o, const torc_connect_data *c) {
  torc_connect_params *p = &o->o.remote;
  torc_rd rd;
  torc_slice text;
  if (copy_text(p->ufrag, sizeof p->ufrag, c->ufrag) != 0 ||
      copy_text(p->password, sizeof p->password, c->password) != 0 ||
      copy_text(p->fingerprint, sizeof p->fingerprint, c->fingerprint) != 0 ||
      copy_text(p->role, sizeof p->role, c->role) != 0) {
    return TORC_ERR_FORMAT;
  }
  p->application = c->application;
  o->strings = torc_calloc(n->mem, TORC_CANDIDATES_MAX, sizeof *o->strings);
  if (o->strings == NULL) {
    return TORC_ERR_NOMEM;
  }
  torc_rd_init(&rd, c->candidates);
  while (o->num_strings < TORC_CANDIDATES_MAX && torc_candidate_next(&rd, &text)) {
    char *copy = torc_alloc(n->mem, text.len + 1);
    if (copy == NULL) {
      return TORC_ERR_NOMEM;
    }
    if (text.len > 0) {
      memcpy(copy, text.p, text.len);
    }
    copy[text.len] = '\0';
    o->strings[o->num_strings] = copy;
    p->candidates[o->num_strings] = copy;
    o->num_strings++;
  }
  p->num_candidates = o->num_strings;
  return 0;
}

int torc_job_start(torc_node *n, torc_jobref *j, torc_job_kind kind, torc_job_fn done) {
  torc_out *o = n->is_freeing ? NULL : torc_out_new(n, TORC_OUT_JOB);
  int rc = 0;
  if (o == NULL) {
    return TORC_ERR_NOMEM;
  }
  j->job.id = torc_node_token(n);
  j->job.kind = kind;
  j->job.parts = j->parts;
  j->done = done;
  rc = torc_map_put(&n->jobs, j);
  if (rc != 0) {
    n->stats->no_memory++;
    torc_out_free(n, o);
    return rc;
  }
  switch (kind) {
    case TORC_JOB_SIGN:
      n->stats->jobs_sign++;
      break;
    case TORC_JOB_VERIFY:
      n->stats->jobs_verify++;
      break;
    case TORC_JOB_CERTIFICATE:
      n->stats->jobs_certificate++;
      break;
    case TORC_JOB_SYNC:
      n->stats->jobs_sync++;
      break;
  }
  j->is_pending = true;
  o->o.token = j->job.id;
  o->o.job = j->job;
  torc_out_push(n, o);
  return 0;
}

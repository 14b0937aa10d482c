/* Blocking conveniences.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/id.h"
#include "base/slice.h"
#include "io/peer_impl.h"
#include "io/sigpipe.h"

/* Runs until an event of `kind` and `token` is there; NULL: not in time. */
static torc_event_box *run_for(torc_peer *p, torc_event_kind kind, torc_token token,
                               int timeout_ms) {
  torc_event_box *box = NULL;
  torc_peer_limit(p, timeout_ms);
  if (timeout_ms == 0) {
    torc_peer_step(p);
  }
  for (;;) {
    torc_peer_pump(p);
    box = torc_peer_pull(p, kind, token);
    if (box != NULL || p->is_limit_over || p->is_woken) {
      break;
    }
    torc_peer_step(p);
  }
  (void)uv_timer_stop(&p->limit);
  return box;
}

/* Waits for an event and makes it the current one. */
static int wait_for(torc_peer *p, torc_event_kind kind, torc_token token, int timeout_ms) {
  torc_sigpipe held;
  torc_peer_give(p, NULL);
  torc_sigpipe_hold(&held);
  torc_event_box *box = run_for(p, kind, token, timeout_ms);
  torc_sigpipe_release(&held);
  torc_peer_give(p, box);
  return box == NULL ? TORC_ERR_TIMEOUT : 0;
}

int torc_peer_start(torc_peer *p) {
  int rc = torc_node_start(p->node, torc_peer_now(p));
  torc_peer_flush(p);
  return rc;
}

int torc_peer_join(torc_peer *p, int timeout_ms) {
  torc_node_view view;
  torc_node_get_view(p->node, &view);
  if (view.is_joined) {
    return 0;
  }
  int rc = torc_peer_start(p);
  if (rc != 0 && rc != TORC_ERR_STATE) { /* STATE: started before */
    return rc;
  }
  return wait_for(p, TORC_EVENT_JOINED, 0, timeout_ms);
}

int torc_peer_leave(torc_peer *p, int timeout_ms) {
  int rc = torc_node_leave(p->node, torc_peer_now(p));
  return rc != 0 ? rc : wait_for(p, TORC_EVENT_LEFT, 0, timeout_ms);
}

int torc_peer_wait(torc_peer *p, torc_token token, int timeout_ms, torc_done *out) {
  int rc = wait_for(p, TORC_EVENT_DONE, token, timeout_ms);
  if (rc != 0) {
    return rc;
  }
  *out = p->current->event.done;
  return out->rc;
}

/* ---- connections of applications ---- */

int torc_peer_connection_carry(torc_peer *p, torc_token token, int fd) {
  int rc = torc_net_carry(p->net, token, fd);
  torc_peer_flush(p);
  return rc;
}

int torc_peer_connection_fd(torc_peer *p, torc_token token, int *fd) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
    return TORC_ERR_IO;
  }
  int rc = torc_peer_connection_carry(p, token, ends[0]);
  if (rc != 0) {
    (void)close(ends[1]);
    return rc;
  }
  *fd = ends[1];
  return 0;
}

void torc_peer_connection_end(torc_peer *p, torc_token token) {
  torc_net_end(p->net, token);
  torc_peer_flush(p);
}

void torc_peer_connection_cut(torc_peer *p, torc_token token) {
  torc_net_cut(p->net, token);
  torc_peer_flush(p);
}

/* Signers of certificates under a name hold their keys [CRT-08]. */
static size_t devices_of(const torc_done *d, const char *user,
                         torc_id peers[TORC_PEER_DEVICES_MAX]) {
  size_t num = 0;
  for (size_t i = 0; i < d->num_values && num < TORC_PEER_DEVICES_MAX; i++) {
    const torc_cert *c = d->values[i].exists ? d->values[i].signer : NULL;
    bool is_theirs = false;
    for (size_t u = 0; c != NULL && u < c->num_users; u++) {
      is_theirs = is_theirs || strcmp(c->users[u], user) == 0;
    }
    bool is_known = !is_theirs;
    for (size_t k = 0; is_theirs && k < num; k++) {
      is_known = is_known || torc_id_eq(&peers[k], &c->peers[0]);
    }
    if (!is_known) {
      peers[num] = c->peers[0];
      num++;
    }
  }
  return num;
}

int torc_peer_find_user(torc_peer *p, const char *user, int timeout_ms,
                        torc_id peers[TORC_PEER_DEVICES_MAX], size_t *num) {
  torc_done done;
  if (torc_pki_shared_key(p->pki) != NULL) {
    return TORC_ERR_STATE;
  }
  int rc = torc_peer_fetch_text(p, user, "CERTIFICATE", NULL, timeout_ms, &done);
  if (rc != 0) {
    return rc;
  }
  *num = devices_of(&done, user, peers);
  return *num > 0 ? 0 : TORC_ERR_NOTFOUND;
}

int torc_peer_connect_application(torc_peer *p, const torc_id *peer, uint16_t application,
                                  int timeout_ms, torc_token *token, int *fd, torc_done *out) {
  int rc = torc_node_connect_application(p->node, peer, 1, application, torc_peer_now(p), token);
  rc = rc != 0 ? rc : wait_for(p, TORC_EVENT_CONNECTION, *token, timeout_ms);
  if (rc != 0) {
    return rc;
  }
  const torc_event *e = &p->current->event;
  *out = e->done;
  return e->is_up ? torc_peer_connection_fd(p, *token, fd) : e->done.rc;
}

/* resource-id of a name, and number and model of a type. */
static int look_up(torc_peer *p, const char *name, const char *type, torc_id *resource,
                   uint32_t *id, uint8_t *model) {
  int rc = torc_node_resource_id(p->node, torc_slice_str(name), resource);
  return rc != 0 ? rc : torc_node_type(p->node, torc_slice_str(type), id, model);
}

int torc_peer_store_text(torc_peer *p, const char *name, const char *type, const char *key,
                         int32_t index, torc_slice value, uint32_t lifetime_s, int timeout_ms,
                         torc_done *out) {
  torc_id resource;
  uint32_t id = 0;
  uint8_t model = 0;
  torc_token token = 0;
  int rc = look_up(p, name, type, &resource, &id, &model);
  if (rc != 0) {
    return rc;
  }
  if ((model == TORC_TYPE_DICTIONARY) != (key != NULL)) {
    return TORC_ERR_INVALID;
  }
  torc_store_item item = {.type = id,
                          .index = model == TORC_TYPE_ARRAY ? index : 0,
                          .key = torc_slice_str(key),
                          .value = value,
                          .lifetime_s = lifetime_s};
  rc = torc_node_store(p->node, &resource, &item, 1, torc_peer_now(p), &token);
  return rc != 0 ? rc : torc_peer_wait(p, token, timeout_ms, out);
}

int torc_peer_fetch_text(torc_peer *p, const char *name, const char *type, const char *key,
                         int timeout_ms, torc_done *out) {
  torc_id resource;
  uint32_t id = 0;
  uint8_t model = 0;
  torc_token token = 0;
  int rc = look_up(p, name, type, &resource, &id, &model);
  if (rc != 0) {
    return rc;
  }
  if (key != NULL && model != TORC_TYPE_DICTIONARY) {
    return TORC_ERR_INVALID;
  }
  torc_slice wanted = torc_slice_str(key);
  torc_fetch_item item = {.type = id,
                          .first = 0,
                          .last = -1,
                          .keys = key == NULL ? NULL : &wanted,
                          .num_keys = key == NULL ? 0 : 1};
  rc = torc_node_fetch(p->node, &resource, &item, 1, torc_peer_now(p), &token);
  return rc != 0 ? rc : torc_peer_wait(p, token, timeout_ms, out);
}

/* Connections and messages of applications at the control socket. A client asks for a connection or
 * listens on one socket, where it is also told what happens; the bytes of each connection travel on
 * a socket of their own, which "carry" makes of it. SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/id.h"
#include "base/log.h"
#include "io/control_impl.h"
#include "wire/contents.h"

static torc_time now(const control_request *r) {
  return torc_peer_now(r->control->peer);
}

/* ---- names on the wire ---- */

static json_t *token_json(torc_token token) {
  char text[24];
  (void)snprintf(text, sizeof text, "%016" PRIx64, token);
  return json_string(text);
}

static int get_token(control_request *r, torc_token *out) {
  const char *text = json_string_value(json_object_get(r->json, "connection"));
  char *end = NULL;
  *out = text == NULL ? 0 : strtoull(text, &end, 16);
  if (*out == 0 || *end != '\0') {
    return control_fail(r, TORC_ERR_INVALID,
                        "'connection' is needed: what \"connect\" or the "
                        "event of a listener named it");
  }
  return 0;
}

static int get_application(control_request *r, uint16_t *out) {
  uint64_t number = 0;
  int rc = control_get_number(r, r->json, "application", UINT16_MAX, &number);
  if (rc == TORC_ERR_NOTFOUND || (rc == 0 && number == 0)) {
    return control_fail(r, TORC_ERR_INVALID, "'application' is needed: a number of 1 to 65535");
  }
  if (rc == 0 && number == TORC_APPLICATION_RELOAD) {
    return control_fail(r, TORC_ERR_INVALID, "application %u is the overlay's own",
                        TORC_APPLICATION_RELOAD);
  }
  *out = (uint16_t)number;
  return rc;
}

static void put_users(json_t *line, const torc_cert *cert) {
  json_t *users = json_array();
  for (size_t i = 0; cert != NULL && i < cert->num_users; i++) {
    (void)json_array_append_new(users, json_string(cert->users[i]));
  }
  control_put(line, "users", users);
}

static json_t *event_json(const char *name, const torc_event *ev) {
  json_t *line = json_object();
  control_put(line, "event", json_string(name));
  control_put(line, "application", json_integer(ev->application));
  control_put(line, "peer", control_id(&ev->peer));
  return line;
}

/* ---- what belongs to whom ---- */

static control_listen *find_listen(torc_control *c, uint16_t application, bool is_tunnel) {
  for (torc_list *it = c->listens.next; it != &c->listens; it = it->next) {
    control_listen *l = TORC_CONTAINER_OF(it, control_listen, in_control);
    if (l->application == application && l->is_tunnel == is_tunnel) {
      return l;
    }
  }
  return NULL;
}

static control_connection *find_connection(torc_control *c, torc_token token) {
  for (torc_list *it = c->connections.next; it != &c->connections; it = it->next) {
    control_connection *k = TORC_CONTAINER_OF(it, control_connection, in_control);
    if (k->token == token) {
      return k;
    }
  }
  return NULL;
}

static int set_listening(torc_control *c, uint16_t application, bool is_tunnel, bool on) {
  return is_tunnel ? torc_node_listen(c->node, application, on)
                   : torc_node_listen_connections(c->node, application, on);
}

/* It is out of the list. */
static void free_listen(torc_control *c, control_listen *l) {
  (void)set_listening(c, l->application, l->is_tunnel, false); /* stopping needs nothing */
  c->num_listens--;
  free(l);
}

static void drop_listen(torc_control *c, control_listen *l) {
  torc_list_remove(&l->in_control);
  free_listen(c, l);
}

static void drop_connection(control_connection *k) {
  torc_list_remove(&k->in_control);
  free(k);
}

void control_app_gone(torc_control *c, uint64_t client) {
  for (torc_list *it = c->listens.next; it != &c->listens;) {
    control_listen *l = TORC_CONTAINER_OF(it, control_listen, in_control);
    it = it->next;
    if (l->client == client) {
      drop_listen(c, l);
    }
  }
  for (torc_list *it = c->connections.next; it != &c->connections;) {
    control_connection *k = TORC_CONTAINER_OF(it, control_connection, in_control);
    it = it->next;
    if (k->client == client) { /* its program has died, or has not ended it */
      torc_peer_connection_cut(c->peer, k->token);
      drop_connection(k);
    }
  }
}

void control_apps_clear(torc_control *c) {
  torc_list *node = NULL;
  while ((node = torc_list_pop_front(&c->listens)) != NULL) {
    free_listen(c, TORC_CONTAINER_OF(node, control_listen, in_control));
  }
  while ((node = torc_list_pop_front(&c->connections)) != NULL) {
    free(TORC_CONTAINER_OF(node, control_connection, in_control));
  }
}

/* From now on it is the client's; false: it has none. */
static bool give(torc_control *c, torc_token token, uint64_t client) {
  control_connection *k = client == 0 ? NULL : calloc(1, sizeof *k);
  if (k == NULL) {
    torc_peer_connection_cut(c->peer, token);
    return false;
  }
  k->token = token;
  k->client = client;
  torc_list_push_back(&c->connections, &k->in_control);
  return true;
}

/* ---- requests ---- */

int control_connect_application(control_request *r) {
  torc_id route[16];
  size_t num = 0;
  uint16_t application = 0;
  int rc = control_get_route(r, route, &num);
  rc = rc != 0 ? rc : get_application(r, &application);
  if (rc != 0) {
    return rc;
  }
  rc = torc_node_connect_application(r->control->node, route, num, application, now(r),
                                     &r->call->token);
  if (rc == TORC_ERR_INVALID) {
    return control_fail(r, rc, "the last entry of 'route' is the own peer-id, or none at all");
  }
  if (rc == TORC_ERR_LIMIT) {
    return control_fail(r, rc,
                        "too many connections of applications stand or are being made, "
                        "with this peer or in all; end some");
  }
  if (rc != 0) {
    return control_refused(r, rc);
  }
  r->call->finish = control_finish_plain;
  return CONTROL_LATER;
}

static int stop_listening(control_request *r, control_listen *l) {
  if (l == NULL || l->client != r->client->serial) {
    return control_fail(r, TORC_ERR_NOTFOUND, "this client does not listen for it");
  }
  drop_listen(r->control, l);
  return 0;
}

int control_listen_on(control_request *r) {
  torc_control *c = r->control;
  uint16_t application = 0;
  bool is_tunnel = json_is_true(json_object_get(r->json, "tunnel"));
  int rc = get_application(r, &application);
  if (rc != 0) {
    return rc;
  }
  control_listen *l = find_listen(c, application, is_tunnel);
  if (json_is_false(json_object_get(r->json, "on"))) {
    return stop_listening(r, l);
  }
  if (l != NULL) {
    return control_fail(r, TORC_ERR_EXISTS, "somebody listens for application %u already",
                        application);
  }
  rc = set_listening(c, application, is_tunnel, true);
  if (rc != 0) {
    return control_fail(r, rc, "at most %d applications can be listened for",
                        TORC_CONTROL_LISTENS_MAX);
  }
  l = calloc(1, sizeof *l);
  if (l == NULL) {
    (void)set_listening(c, application, is_tunnel, false);
    return control_fail(r, TORC_ERR_NOMEM, "there is no memory");
  }
  l->client = r->client->serial;
  l->application = application;
  l->is_tunnel = is_tunnel;
  torc_list_push_back(&c->listens, &l->in_control);
  c->num_listens++;
  return 0;
}

int control_carry(control_request *r) {
  torc_token token = 0;
  int rc = get_token(r, &token);
  if (rc != 0) {
    return rc;
  }
  control_connection *k = find_connection(r->control, token);
  if (k == NULL) {
    return control_fail(r, TORC_ERR_NOTFOUND, "there is no such connection, or it has ended");
  }
  if (k->client == r->client->serial || r->client->num_calls > 0) {
    return control_fail(r, TORC_ERR_STATE, "a connection is carried on a socket of its own");
  }
  r->carry = token;
  return CONTROL_CARRY;
}

int control_end_connection(control_request *r) {
  torc_token token = 0;
  int rc = get_token(r, &token);
  if (rc != 0) {
    return rc;
  }
  if (json_is_true(json_object_get(r->json, "cut"))) {
    torc_peer_connection_cut(r->control->peer, token);
  } else {
    torc_peer_connection_end(r->control->peer, token);
  }
  return 0;
}

int control_tunnel(control_request *r) {
  torc_id route[16];
  size_t num = 0;
  uint16_t application = 0;
  uint8_t *message = NULL;
  size_t len = 0;
  const json_t *dialog = json_object_get(r->json, "dialog");
  torc_slice dialog_id = torc_slice_of(json_string_value(dialog), json_string_length(dialog));
  int rc = control_get_route(r, route, &num);
  rc = rc != 0 ? rc : get_application(r, &application);
  if (rc == 0) {
    rc = control_get_bytes(r, r->json, "message", &message, &len);
    rc = rc == TORC_ERR_NOTFOUND ? control_fail(r, rc, "'message' is needed") : rc;
  }
  if (rc != 0) {
    return rc;
  }
  rc = torc_node_tunnel(r->control->node, route, num, application, dialog_id,
                        torc_slice_of(message, len), now(r), &r->call->token);
  free(message);
  if (rc == TORC_ERR_LIMIT || rc == TORC_ERR_SPACE) {
    return control_fail(r, rc, "a message of %zu bytes is too long for a tunnel", len);
  }
  if (rc != 0) {
    return control_refused(r, rc);
  }
  r->call->finish = control_finish_plain;
  return CONTROL_LATER;
}

/* ---- events ---- */

static const char *reason_of_end(int rc) {
  switch (rc) {
    case TORC_ERR_TIMEOUT:
      return "the other side does not answer any more";
    case TORC_ERR_DENIED:
      return "a certificate has expired";
    default:
      return "the connection was cut: the program at the other end has died, or its torcd, or the "
             "way there";
  }
}

static const char *reason_of_failure(const torc_event *ev) {
  const torc_done *d = &ev->done;
  bool is_other = !torc_id_eq(&d->responder, &ev->peer) && torc_id_is_peer(&d->responder);
  if (d->code == TORC_CODE_NOT_FOUND && is_other) { /* who has the place of the one that is gone */
    return "there is no such peer in the overlay now";
  }
  switch (d->rc) {
    case TORC_ERR_TIMEOUT:
      return "no connection stood in time: the peer does not answer, or cannot be reached directly";
    case TORC_ERR_IO:
    case TORC_ERR_CLOSED:
      return "the peer has answered, but no connection to the addresses it gave came about";
    case TORC_ERR_NOTFOUND:
      return "there is no such peer in the overlay now";
    case TORC_ERR_CRYPTO:
    case TORC_ERR_DENIED:
      return "somebody else is at the address that the peer gave";
    case TORC_ERR_LIMIT:
      return "too many connections are being made";
    case TORC_ERR_CONFIG:
      return "this machine has no address to offer; see the log of torcd";
    default:
      return NULL;
  }
}

static void answer_connect(torc_control *c, control_call *call, const torc_event *ev) {
  control_client *client = control_client_of(c, call->client);
  bool is_given = ev->is_up && give(c, ev->token, client == NULL ? 0 : client->serial);
  if (client != NULL) {
    json_t *reply = control_new_reply(call->id, is_given);
    const char *why = ev->is_up ? NULL : reason_of_failure(ev);
    client->num_calls--;
    if (is_given) {
      control_put(reply, "connection", token_json(ev->token));
      control_put(reply, "peer", control_id(&ev->peer));
      put_users(reply, ev->cert);
      control_put(reply, "elapsed_us", json_integer((json_int_t)ev->done.elapsed));
    } else {
      control_put_done(reply, &ev->done);
    }
    if (why != NULL) {
      control_put(reply, "error", json_string(why));
    }
    control_send(client, reply);
  }
  control_call_free(call);
}

static void tell_incoming(torc_control *c, const torc_event *ev) {
  const control_listen *l = find_listen(c, ev->application, false);
  control_client *client = l == NULL ? NULL : control_client_of(c, l->client);
  if (!give(c, ev->token, client == NULL ? 0 : client->serial)) {
    return; /* nobody listens any more */
  }
  json_t *line = event_json("connection", ev);
  control_put(line, "connection", token_json(ev->token));
  put_users(line, ev->cert);
  control_send(client, line);
}

static void tell_end(torc_control *c, const torc_event *ev) {
  control_connection *k = find_connection(c, ev->token);
  control_client *client = k == NULL ? NULL : control_client_of(c, k->client);
  if (k != NULL) {
    drop_connection(k);
  }
  if (client == NULL) {
    return;
  }
  json_t *line = event_json("closed", ev);
  control_put(line, "connection", token_json(ev->token));
  control_put(line, "ok", json_boolean(ev->done.rc == 0));
  if (ev->done.rc != 0) {
    control_put(line, "error", json_string(reason_of_end(ev->done.rc)));
    control_put(line, "reason", json_string(torc_strerror(ev->done.rc)));
  }
  control_send(client, line);
}

static void tell_tunnel(torc_control *c, const torc_event *ev) {
  const control_listen *l = find_listen(c, ev->application, true);
  control_client *client = l == NULL ? NULL : control_client_of(c, l->client);
  if (client == NULL) {
    c->stats.tunnels_lost++;
    return;
  }
  json_t *line = event_json("tunnel", ev);
  put_users(line, ev->cert);
  control_put_bytes(line, "dialog", ev->dialog_id);
  control_put_bytes(line, "message", ev->pdu);
  control_send(client, line);
}

void control_app_event(torc_control *c, const torc_event *ev) {
  if (ev->kind == TORC_EVENT_TUNNEL) {
    tell_tunnel(c, ev);
    return;
  }
  control_call *call = ev->is_incoming ? NULL : control_take_call(c, ev->token);
  if (call != NULL) {
    answer_connect(c, call, ev);
  } else if (ev->is_up) {
    tell_incoming(c, ev);
  } else {
    tell_end(c, ev);
  }
}

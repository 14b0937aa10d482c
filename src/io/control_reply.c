/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <stdio.h>

#include "base/id.h"
#include "io/control_impl.h"
#include "wire/pdu.h"

static const char *meaning(uint16_t code) {
  switch (code) {
    case 400:
      return "it takes the request for malformed";
    case 401:
      return "it wants a signature it can check";
    case 403:
      return "the certificate may not do that there";
    case 404:
      return "there is no such thing there";
    case 405:
      return "it does not know the method";
    case 408:
      return "no answer came in time";
    case 412:
      return "the generation or the storage time does not fit what is stored";
    case 413:
      return "the value is too large, or the quota is used up, or that peer has no room left";
    case 499:
      return "it does not route like that";
    case 503:
      return "it is busy; try again";
    default:
      return "see the code";
  }
}

static void put_error(json_t *reply, const torc_done *d) {
  char text[512];
  char hex[TORC_ID_HEX_LEN + 1];
  int phrase_len = d->phrase.len > 200 ? 200 : (int)d->phrase.len;
  if (!control_is_text(d->phrase)) { /* whoever answered chose it */
    phrase_len = 0;
  }
  if (d->rc == TORC_ERR_REFUSED) {
    (void)snprintf(text, sizeof text, "peer %s answered %u %.*s: %s",
                   torc_id_hex(&d->responder, hex), d->code, phrase_len,
                   phrase_len == 0 ? "" : (const char *)d->phrase.p, meaning(d->code));
  } else if (d->rc == TORC_ERR_TIMEOUT) {
    (void)snprintf(text, sizeof text, "no answer came within %llu ms",
                   (unsigned long long)(d->elapsed / TORC_MS(1)));
  } else if (d->rc == TORC_ERR_CRYPTO) {
    (void)snprintf(text, sizeof text,
                   "peer %s sent an answer whose signature does not hold; it was not used",
                   torc_id_hex(&d->responder, hex));
  } else {
    (void)snprintf(text, sizeof text, "the call failed: %s", torc_strerror(d->rc));
  }
  json_t *error = json_string(text);
  control_put(reply, "error", error != NULL ? error : json_string("the call was refused"));
  control_put(reply, "reason", json_string(torc_strerror(d->rc)));
}

void control_put_done(json_t *reply, const torc_done *d) {
  control_put(reply, "code", json_integer(d->code));
  control_put(reply, "elapsed_us", json_integer((json_int_t)d->elapsed));
  if (torc_id_is_peer(&d->responder)) {
    control_put(reply, "responder", control_id(&d->responder));
  }
  if (d->rc != 0) {
    put_error(reply, d);
  }
}

void control_finish_plain(torc_control *c, const control_call *call, const torc_done *d,
                          json_t *reply) {
  (void)c;
  (void)call;
  (void)d;
  (void)reply;
}

/* ---- PING ---- */

static json_t *address_text(const torc_addr *a) {
  char host[INET6_ADDRSTRLEN] = "?";
  char text[INET6_ADDRSTRLEN + 16];
  bool is_v6 = a->family != 1;
  (void)inet_ntop(is_v6 ? AF_INET6 : AF_INET, a->addr, host, sizeof host);
  (void)snprintf(text, sizeof text, is_v6 ? "[%s]:%u" : "%s:%u", host, a->port);
  return json_string(text);
}

static json_t *hops(torc_slice log) {
  static const char *const transports[] = {"?", "tls", "dtls", "ws", "dc"};
  json_t *list = json_array();
  torc_route_log_entry e;
  torc_rd rd;
  torc_rd_init(&rd, log);
  while (torc_route_log_next(&rd, &e)) {
    json_t *hop = json_object();
    control_put(hop, "peer", control_id(&e.id));
    control_put(
        hop, "transport",
        json_string(e.transport < TORC_ARRAY_LEN(transports) ? transports[e.transport] : "?"));
    control_put(hop, "uptime_s", json_integer(e.uptime_s));
    control_put(hop, "address", address_text(&e.address));
    control_put_bytes(hop, "version", e.version);
    (void)json_array_append_new(list, hop);
  }
  return list;
}

void control_finish_ping(torc_control *c, const control_call *call, const torc_done *d,
                         json_t *reply) {
  (void)c;
  (void)call;
  if (d->rc == 0) {
    if (d->responsible_ppb != UINT32_MAX) {
      control_put(reply, "responsible_ppb", json_integer(d->responsible_ppb));
    }
    if (d->num_resources != UINT32_MAX) {
      control_put(reply, "resources", json_integer(d->num_resources));
    }
  }
  if (d->route_log.len > 0) {
    control_put(reply, "route_log", hops(d->route_log));
  }
}

/* ---- FIND, STORE, REMOVE ---- */

void control_finish_find(torc_control *c, const control_call *call, const torc_done *d,
                         json_t *reply) {
  (void)c;
  (void)call;
  if (d->rc != 0) {
    return;
  }
  if (d->num_found > 0 && !torc_id_eq(&d->found[0], &torc_id_zero)) {
    control_put(reply, "found", control_id(&d->found[0]));
  } else {
    control_put(reply, "found", json_null());
  }
}

static const control_type *type_of(const control_call *call, uint32_t id) {
  for (size_t i = 0; i < call->num_types; i++) {
    if (call->types[i].id == id) {
      return &call->types[i];
    }
  }
  return NULL;
}

static void put_type(json_t *object, const control_call *call, uint32_t id) {
  const control_type *type = type_of(call, id);
  control_put(object, "type", control_type_text(id));
  if (type != NULL) {
    control_put(object, "type_name", json_string(type->name));
  }
}

void control_finish_write(torc_control *c, const control_call *call, const torc_done *d,
                          json_t *reply) {
  json_t *list = json_array();
  (void)c;
  for (size_t i = 0; i < d->num_generations; i++) {
    json_t *entry = json_object();
    put_type(entry, call, d->generations[i].type);
    control_put(entry, "generation", json_integer((json_int_t)d->generations[i].generation));
    (void)json_array_append_new(list, entry);
  }
  control_put(reply, "generations", list);
}

/* ---- FETCH ---- */

static json_t *signer_json(const torc_cert *cert) {
  json_t *users = json_array();
  for (size_t i = 0; i < cert->num_users; i++) {
    (void)json_array_append_new(users, json_string(cert->users[i]));
  }
  json_t *signer = json_object();
  control_put(signer, "users", users);
  control_put(signer, "peers", control_ids(cert->peers, cert->num_peers));
  return signer;
}

static json_t *value_json(const control_call *call, const torc_value *v) {
  json_t *value = json_object();
  const control_type *type = type_of(call, v->type);
  put_type(value, call, v->type);
  control_put(value, "generation", json_integer((json_int_t)v->generation));
  control_put(value, "exists", json_boolean(v->exists));
  if (type != NULL && type->model == TORC_TYPE_ARRAY) {
    control_put(value, "index", json_integer(v->index));
  }
  if (type != NULL && type->model == TORC_TYPE_DICTIONARY) {
    control_put_bytes(value, "key", v->key);
  }
  if (!v->exists) {
    return value;
  }
  control_put_bytes(value, "value", v->value);
  control_put(value, "storage_time", json_integer(v->storage_time));
  control_put(value, "lifetime_s", json_integer(v->lifetime_s));
  if (v->signer != NULL) {
    control_put(value, "signer", signer_json(v->signer));
  }
  return value;
}

void control_finish_fetch(torc_control *c, const control_call *call, const torc_done *d,
                          json_t *reply) {
  (void)c;
  if (d->rc != 0) {
    return;
  }
  json_t *list = json_array();
  for (size_t i = 0; i < d->num_values; i++) {
    (void)json_array_append_new(list, value_json(call, &d->values[i]));
  }
  control_put(reply, "values", list);
  control_put(reply, "rejected", json_integer((json_int_t)d->num_rejected));
  control_put(reply, "rollback", json_boolean(d->is_rollback));
}

void control_finish_asked(torc_control *c, const control_call *call, const torc_done *d,
                          json_t *reply) {
  control_finish_fetch(c, call, d, reply);
  json_t *list = json_object_get(reply, "values");
  for (size_t i = 0; d->rc == 0 && i < json_array_size(list); i++) {
    control_put(json_array_get(list, i), "holders", json_integer(d->values[i].num_holders));
  }
  control_put(reply, "asked", json_integer(d->num_asked));
}

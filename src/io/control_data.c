/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "io/control_impl.h"

#define KEYS_MAX 64 /* of one dictionary in one fetch or remove */
#define LIFETIME_DEFAULT_S 86400u

/* The elements of a request with the memory they borrow from. */
typedef struct items {
  size_t num;
  torc_store_item store[TORC_CONTROL_ITEMS_MAX];
  torc_fetch_item fetch[TORC_CONTROL_ITEMS_MAX];
  uint8_t *memory[TORC_CONTROL_ITEMS_MAX][KEYS_MAX + 1];
  torc_slice keys[TORC_CONTROL_ITEMS_MAX][KEYS_MAX];
} items;

static void items_free(items *it) {
  for (size_t i = 0; it != NULL && i < TORC_CONTROL_ITEMS_MAX; i++) {
    for (size_t k = 0; k < KEYS_MAX + 1; k++) {
      free(it->memory[i][k]);
    }
  }
  free(it);
}

/* "index": a number, "append": true. */
static int get_index(control_request *r, const json_t *spec, int32_t *out) {
  uint64_t v = 0;
  bool append = json_is_true(json_object_get(spec, "append"));
  int rc = control_get_number(r, spec, "index", INT32_MAX, &v);
  if (rc == TORC_ERR_NOTFOUND && append) {
    *out = -1;
    return 0;
  }
  if (rc == TORC_ERR_NOTFOUND) {
    return control_fail(r, TORC_ERR_INVALID, "the type is an array: 'index' or 'append' is needed");
  }
  if (rc == 0 && append) {
    return control_fail(r, TORC_ERR_INVALID, "'index' and 'append' are both given");
  }
  *out = (int32_t)v;
  return rc;
}

/* Refuses what the type's data model has no place for. */
static int check_place(control_request *r, const json_t *spec, const control_type *type) {
  bool has_key = json_object_get(spec, "key") != NULL || json_object_get(spec, "keys") != NULL ||
                 json_object_get(spec, "key_base64") != NULL;
  bool has_index = json_object_get(spec, "index") != NULL ||
                   json_object_get(spec, "append") != NULL ||
                   json_object_get(spec, "first") != NULL || json_object_get(spec, "last") != NULL;
  if (has_key && type->model != TORC_TYPE_DICTIONARY) {
    return control_fail(r, TORC_ERR_INVALID, "the type %s is no dictionary: it has no keys",
                        type->name);
  }
  if (has_index && type->model != TORC_TYPE_ARRAY) {
    return control_fail(r, TORC_ERR_INVALID, "the type %s is no array: it has no index",
                        type->name);
  }
  return 0;
}

/* *at stays as it is where the field is missing. */
static int get_optional(control_request *r, const json_t *spec, const char *name, uint64_t max,
                        uint64_t *at) {
  int rc = control_get_number(r, spec, name, max, at);
  return rc == TORC_ERR_NOTFOUND ? 0 : rc;
}

static int read_store_numbers(control_request *r, const json_t *spec, torc_store_item *out) {
  uint64_t lifetime = LIFETIME_DEFAULT_S;
  uint64_t storage_time = 0;
  uint64_t generation = 0;
  int rc = get_optional(r, spec, "lifetime_s", UINT32_MAX, &lifetime);
  if (rc == 0) {
    rc = get_optional(r, spec, "storage_time", UINT32_MAX, &storage_time);
  }
  if (rc == 0) {
    rc = get_optional(r, spec, "generation", INT64_MAX, &generation);
  }
  out->lifetime_s = (uint32_t)lifetime;
  out->storage_time = (uint32_t)storage_time;
  out->generation = generation;
  return rc;
}

static int read_store_item(control_request *r, const json_t *spec, items *it) {
  size_t i = it->num;
  control_type *type = &r->call->types[i];
  torc_store_item *out = &it->store[i];
  int rc = control_get_type(r, spec, type);
  if (rc == 0) {
    rc = check_place(r, spec, type);
  }
  if (rc == 0) {
    rc = read_store_numbers(r, spec, out);
  }
  if (rc == 0 && type->model == TORC_TYPE_ARRAY) {
    rc = get_index(r, spec, &out->index);
  }
  if (rc == 0 && type->model == TORC_TYPE_DICTIONARY) {
    rc = control_get_bytes(r, spec, "key", &it->memory[i][0], &out->key.len);
    if (rc == TORC_ERR_NOTFOUND) {
      rc = control_fail(r, TORC_ERR_INVALID, "the type %s is a dictionary: 'key' is needed",
                        type->name);
    }
    out->key.p = it->memory[i][0];
  }
  if (rc == 0) {
    rc = control_get_bytes(r, spec, "value", &it->memory[i][1], &out->value.len);
    if (rc == TORC_ERR_NOTFOUND) {
      rc = control_fail(r, TORC_ERR_INVALID, "'value' is needed");
    }
    out->value.p = it->memory[i][1];
  }
  out->type = type->id;
  it->num++;
  return rc;
}

/* "key", "key_base64" or "keys", a list of texts; none: all of the dictionary. */
static int read_keys(control_request *r, const json_t *spec, items *it) {
  size_t i = it->num;
  torc_fetch_item *out = &it->fetch[i];
  const json_t *list = json_object_get(spec, "keys");
  size_t num = json_array_size(list);
  out->keys = it->keys[i];
  int rc = control_get_bytes(r, spec, "key", &it->memory[i][0], &it->keys[i][0].len);
  if (rc == 0) {
    it->keys[i][0].p = it->memory[i][0];
    out->num_keys = 1;
    return 0;
  }
  if (rc != TORC_ERR_NOTFOUND) {
    return rc;
  }
  if (num > KEYS_MAX) {
    return control_fail(r, TORC_ERR_LIMIT, "at most %d keys in one request", KEYS_MAX);
  }
  for (size_t k = 0; k < num; k++) {
    const json_t *key = json_array_get(list, k);
    if (!json_is_string(key)) {
      return control_fail(r, TORC_ERR_FORMAT, "entry %zu of 'keys' is no text", k);
    }
    it->keys[i][k] = torc_slice_of(json_string_value(key), json_string_length(key));
  }
  out->num_keys = num;
  return 0;
}

/* "index", or "first" and "last" (-1: the end); none: all of the array. */
static int read_range(control_request *r, const json_t *spec, torc_fetch_item *out) {
  uint64_t index = 0;
  out->first = 0;
  out->last = -1;
  int rc = control_get_number(r, spec, "index", INT32_MAX, &index);
  if (rc == 0) {
    out->first = (int32_t)index;
    out->last = (int32_t)index;
  }
  if (rc != TORC_ERR_NOTFOUND) {
    return rc;
  }
  const json_t *first = json_object_get(spec, "first");
  const json_t *last = json_object_get(spec, "last");
  json_int_t a = first == NULL ? 0 : json_integer_value(first);
  json_int_t b = last == NULL ? -1 : json_integer_value(last);
  if ((first != NULL && !json_is_integer(first)) || (last != NULL && !json_is_integer(last)) ||
      a < -1 || b < -1 || a > INT32_MAX || b > INT32_MAX) {
    return control_fail(r, TORC_ERR_FORMAT, "'first' and 'last' are indexes, or -1 for the end");
  }
  out->first = (int32_t)a;
  out->last = (int32_t)b;
  return 0;
}

static int read_fetch_item(control_request *r, const json_t *spec, items *it) {
  size_t i = it->num;
  control_type *type = &r->call->types[i];
  torc_fetch_item *out = &it->fetch[i];
  uint64_t generation = 0;
  int rc = control_get_type(r, spec, type);
  if (rc == 0) {
    rc = check_place(r, spec, type);
  }
  if (rc == 0) {
    rc = get_optional(r, spec, "generation", INT64_MAX, &generation);
  }
  if (rc == 0 && type->model == TORC_TYPE_DICTIONARY) {
    rc = read_keys(r, spec, it);
  }
  if (rc == 0 && type->model == TORC_TYPE_ARRAY) {
    rc = read_range(r, spec, out);
  }
  out->type = type->id;
  out->generation = generation;
  it->num++;
  return rc;
}

/* One element in the request itself, or several in "items". */
static int read_items(control_request *r, items *it,
                      int (*read)(control_request *r, const json_t *spec, items *it)) {
  const json_t *list = json_object_get(r->json, "items");
  int rc = 0;
  if (list == NULL) {
    rc = read(r, r->json, it);
  } else if (json_array_size(list) == 0 || json_array_size(list) > TORC_CONTROL_ITEMS_MAX) {
    rc = control_fail(r, TORC_ERR_LIMIT, "'items' is a list of 1 to %d elements",
                      TORC_CONTROL_ITEMS_MAX);
  }
  for (size_t i = 0; rc == 0 && i < json_array_size(list); i++) {
    rc = read(r, json_array_get(list, i), it);
  }
  r->call->num_types = it->num;
  return rc;
}

static int refused(control_request *r, int rc) {
  torc_node_view view;
  torc_node_get_view(r->control->node, &view);
  return control_fail(r, rc, "the node cannot do that in state '%s': %s", view.state,
                      torc_strerror(rc));
}

typedef int (*data_call)(control_request *r, const torc_id *resource, const items *it);

static int run_data(control_request *r,
                    int (*read)(control_request *r, const json_t *spec, items *it),
                    data_call call) {
  torc_id resource;
  items *it = calloc(1, sizeof *it);
  if (it == NULL) {
    return control_fail(r, TORC_ERR_NOMEM, "there is no memory");
  }
  int rc = control_get_resource(r, &resource);
  if (rc == 0) {
    rc = read_items(r, it, read);
  }
  if (rc == 0) {
    rc = call(r, &resource, it);
    rc = rc == 0 ? CONTROL_LATER : refused(r, rc);
  }
  items_free(it);
  return rc;
}

static int call_store(control_request *r, const torc_id *resource, const items *it) {
  torc_control *c = r->control;
  r->call->finish = control_finish_write;
  return torc_node_store(c->node, resource, it->store, it->num, torc_peer_now(c->peer),
                         &r->call->token);
}

static int call_fetch(control_request *r, const torc_id *resource, const items *it) {
  torc_control *c = r->control;
  r->call->finish = control_finish_fetch;
  if (json_is_true(json_object_get(r->json, "replicas"))) {
    r->call->finish = control_finish_asked;
    return torc_node_fetch_replicas(c->node, resource, it->fetch, it->num, torc_peer_now(c->peer),
                                    &r->call->token);
  }
  return torc_node_fetch(c->node, resource, it->fetch, it->num, torc_peer_now(c->peer),
                         &r->call->token);
}

static int call_remove(control_request *r, const torc_id *resource, const items *it) {
  torc_control *c = r->control;
  r->call->finish = control_finish_write;
  return torc_node_remove(c->node, resource, it->fetch, it->num, torc_peer_now(c->peer),
                          &r->call->token);
}

int control_store(control_request *r) {
  return run_data(r, read_store_item, call_store);
}

int control_fetch(control_request *r) {
  return run_data(r, read_fetch_item, call_fetch);
}

int control_remove(control_request *r) {
  return run_data(r, read_fetch_item, call_remove);
}

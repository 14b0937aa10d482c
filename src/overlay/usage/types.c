/* The registry of types and the seeds of resource-ids.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/slice.h"
#include "overlay/usage/usage.h"

#define SECONDS_PER_DAY 86400u
#define TYPE_MAX_VALUES (TORC_ARRAY_INDEX_MAX + 1u)

/* [USG-01..05] [USG-08] the usages of the draft: what each type is for, its model, access rule and
 * sizes, which are the least and the most a peer stores [GAP-100]; sorted by id, code points by
 * [GAP-143]. None needs a model of its own [USG-06], and a private type with other sizes is another
 * type with another id [USG-07]. */
static const torc_type draft_types[] = {
    /* [SIP-08..11] one registration per device, seeded by "alice@example.com" [GAP-144]; not
     * findable by default, so that nobody walks the users. */
    {.id = TORC_TYPE_SIP_REGISTRATION,
     .name = "SIP-REGISTRATION",
     .model = TORC_MODEL_DICTIONARY,
     .access = TORC_ACCESS_USER_NODE_MATCH,
     .max_values = 10,
     .max_size = 10240,
     .max_lifetime_s = 7 * SECONDS_PER_DAY,
     .is_findable = false},
    /* [TRN-07..10] seeded by peer-id and iteration byte [GAP-153]; 8 bytes for IPv4, 20 for IPv6.
     */
    {.id = TORC_TYPE_TURN_SERVICE,
     .name = "TURN-SERVICE",
     .model = TORC_MODEL_SINGLE,
     .access = TORC_ACCESS_NODE_MULTIPLE,
     .max_values = 1,
     .max_size = 20,
     .max_lifetime_s = 7 * SECONDS_PER_DAY,
     .is_findable = true},
    /* [CRT-07..09] 10 certificates; the draft's least size of 1K is raised to what certificates are
       today [GAP-100]. */
    {.id = TORC_TYPE_CERTIFICATE,
     .name = "CERTIFICATE",
     .model = TORC_MODEL_ARRAY,
     .access = TORC_ACCESS_CERTIFICATE,
     .max_values = 10,
     .max_size = 4096,
     .max_lifetime_s = 60 * SECONDS_PER_DAY,
     .is_findable = true},
};

_Static_assert(TORC_ARRAY_LEN(draft_types) == TORC_TYPES_OF_DRAFT, "the room for them");

void torc_types_init(torc_types *t, torc_type *room, size_t cap) {
  memcpy(room, draft_types, sizeof draft_types);
  *t = (torc_types){.list = room, .len = TORC_TYPES_OF_DRAFT, .cap = cap};
}

/* What is wrong with a private type by itself. */
static const char *fault_of(const torc_type *type) {
  if (type->id < TORC_TYPE_PRIVATE_FIRST || type->id > TORC_TYPE_PRIVATE_LAST) {
    return "the id is not one of a private type, 0xF00000 to 0xFFFFFE"; /* [GAP-143] */
  }
  if (type->name == NULL || type->name[0] == '\0') {
    return "a type needs a name";
  }
  if (type->model < TORC_MODEL_SINGLE || type->model > TORC_MODEL_DICTIONARY) {
    return "there is no such data model";
  }
  if (type->access < TORC_ACCESS_USER_MATCH || type->access > TORC_ACCESS_OWN_KEY) {
    return "there is no such access rule";
  }
  if (type->max_values == 0 || type->max_values > TYPE_MAX_VALUES) {
    return "a type has 1 to 65536 values";
  }
  if (type->max_lifetime_s == 0) {
    return "a type needs a lifetime of at least one second";
  }
  if (type->max_size == 0 || type->max_size > TORC_VEC16_MAX) {
    return "a value has 1 to 65000 bytes";
  }
  if (type->model == TORC_MODEL_SINGLE && type->max_values != 1) {
    return "a type of model single has max-count 1";
  }
  if (type->access == TORC_ACCESS_USER_NODE_MATCH && type->model != TORC_MODEL_DICTIONARY) {
    return "access user-node-match is for dictionaries only"; /* [GAP-150] it speaks of a key */
  }
  if (type->access == TORC_ACCESS_OWN_KEY && type->model != TORC_MODEL_DICTIONARY) {
    return "access own-key is for dictionaries only";
  }
  return NULL;
}

static uint8_t ascii_lower(uint8_t c) {
  return c >= 'A' && c <= 'Z' ? (uint8_t)(c - 'A' + 'a') : c;
}

static bool is_same_name(torc_slice a, const char *b) {
  if (strlen(b) != a.len) {
    return false;
  }
  for (size_t i = 0; i < a.len; i++) {
    if (ascii_lower(a.p[i]) != ascii_lower((uint8_t)b[i])) {
      return false;
    }
  }
  return true;
}

/* The type of the same id or name. */
static const torc_type *find_same(const torc_types *t, const torc_type *type) {
  for (size_t i = 0; i < t->len; i++) {
    if (t->list[i].id == type->id || is_same_name(torc_slice_str(type->name), t->list[i].name)) {
      return &t->list[i];
    }
  }
  return NULL;
}

const char *torc_types_fault(const torc_types *t, const torc_type *type) {
  const char *fault = fault_of(type);
  const torc_type *same = fault == NULL ? find_same(t, type) : NULL;
  if (same != NULL) {
    return same->id < TORC_TYPE_PRIVATE_FIRST ? "a standard type has this name already"
                                              : "another type has this id or name already";
  }
  if (fault == NULL && t->len == TORC_TYPES_MAX) {
    return "there are more types than a peer takes";
  }
  return fault;
}

int torc_types_add(torc_types *t, const torc_type *type) {
  if (fault_of(type) != NULL) {
    return TORC_ERR_INVALID;
  }
  if (find_same(t, type) != NULL) {
    return TORC_ERR_EXISTS;
  }
  if (t->len == TORC_TYPES_MAX || t->len == t->cap) {
    return TORC_ERR_LIMIT;
  }
  size_t at = t->len;
  while (at > 0 && t->list[at - 1].id > type->id) {
    at--;
  }
  memmove(&t->list[at + 1], &t->list[at], (t->len - at) * sizeof t->list[0]);
  t->list[at] = *type;
  t->len++;
  return 0;
}

torc_type torc_type_of(const torc_type_def *d, const char *name) {
  return (torc_type){.id = d->id,
                     .name = name,
                     .model = (torc_model)d->model,
                     .access = (torc_access)d->rule,
                     .max_values = d->max_values,
                     .max_size = d->max_size,
                     .max_lifetime_s = d->max_lifetime_s,
                     .is_findable = d->findable};
}

const torc_type *torc_types_find(const torc_types *t, torc_type_id id) {
  size_t lo = 0;
  size_t hi = t->len;
  while (lo < hi) {
    size_t mid = lo + (hi - lo) / 2;
    if (t->list[mid].id == id) {
      return &t->list[mid];
    }
    if (t->list[mid].id < id) {
      lo = mid + 1;
    } else {
      hi = mid;
    }
  }
  return NULL;
}

/* Decimal, or hexadecimal after 0x. False if it is no number of 24 bits. */
static bool parse_type_number(torc_slice text, uint32_t *out) {
  uint32_t base = 10;
  size_t i = 0;
  if (text.len > 2 && text.p[0] == '0' && ascii_lower(text.p[1]) == 'x') {
    base = 16;
    i = 2;
  }
  if (i >= text.len) {
    return false;
  }
  uint32_t n = 0;
  for (; i < text.len; i++) {
    uint8_t c = ascii_lower(text.p[i]);
    uint32_t digit = 16;
    if (c >= '0' && c <= '9') {
      digit = (uint32_t)(c - '0');
    } else if (c >= 'a' && c <= 'f') {
      digit = (uint32_t)(c - 'a') + 10;
    }
    if (digit >= base) {
      return false;
    }
    n = n * base + digit;
    if (n > 0xffffffu) {
      return false;
    }
  }
  *out = n;
  return true;
}

const torc_type *torc_types_find_name(const torc_types *t, torc_slice name) {
  for (size_t i = 0; i < t->len; i++) {
    if (is_same_name(name, t->list[i].name)) {
      return &t->list[i];
    }
  }
  uint32_t id = 0;
  if (!parse_type_number(name, &id)) {
    return NULL;
  }
  return torc_types_find(t, id);
}

/* [STO-03] the type tells the model, hence the form of its elements and references. */
static bool type_model(const void *ctx, torc_type_id id, torc_model *out) {
  const torc_type *type = torc_types_find((const torc_types *)ctx, id);
  if (type == NULL) {
    return false;
  }
  *out = type->model;
  return true;
}

torc_model_lookup torc_types_models(const torc_types *t) {
  return (torc_model_lookup){.ctx = t, .model = type_model};
}

int torc_seed_normalise(torc_slice seed, char *out, size_t cap, size_t *out_len) {
  if (!torc_utf8_valid(seed)) {
    return TORC_ERR_FORMAT; /* [GAP-108] UTF-8, no NUL */
  }
  size_t host = seed.len;
  for (size_t i = seed.len; i > 0; i--) {
    if (seed.p[i - 1] == '@') {
      host = i;
      break;
    }
  }
  size_t len = seed.len;
  if (host < len && seed.p[len - 1] == '.') {
    len--;
  }
  if (len > cap) {
    return TORC_ERR_SPACE;
  }
  for (size_t i = 0; i < len; i++) {
    uint8_t c = seed.p[i];
    out[i] = (char)(i >= host ? ascii_lower(c) : c);
  }
  *out_len = len;
  return 0;
}

int torc_resource_id(const torc_crypto *crypto, torc_slice seed, torc_id *out) {
  uint8_t digest[TORC_DIGEST_LEN];
  int rc = crypto->sha256(crypto->ctx, &seed, 1, digest);
  if (rc != 0) {
    return rc == TORC_ERR_NOMEM ? rc : TORC_ERR_CRYPTO;
  }
  memcpy(out->b, digest, TORC_ID_LEN); /* [ARC-17] [D-11] [GAP-107] */
  return 0;
}

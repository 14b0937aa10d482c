/* The registry of types, seeds, resource-ids.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "torc_test.h"

#include "base/id.h"
#include "base/slice.h"
#include "helper_crypto.h"
#include "overlay/usage/usage.h"

static const torc_type good = {.id = 0xf00010,
                               .name = "Board",
                               .model = TORC_MODEL_ARRAY,
                               .access = TORC_ACCESS_USER_MATCH,
                               .max_values = 5,
                               .max_size = 100,
                               .max_lifetime_s = 60,
                               .is_findable = true};

static void draft_types(void **state) {
  (void)state;
  torc_type room[TORC_TYPES_MAX];
  torc_types t;
  torc_types_init(&t, room, TORC_TYPES_MAX);
  assert_int_equal(t.len, 3);
  const torc_type *sip = torc_types_find(&t, 1);
  assert_string_equal(sip->name, "SIP-REGISTRATION");
  assert_int_equal(sip->model, TORC_MODEL_DICTIONARY);
  assert_int_equal(sip->access, TORC_ACCESS_USER_NODE_MATCH);
  assert_int_equal(sip->max_values, 10);
  assert_int_equal(sip->max_size, 10240);
  assert_int_equal(sip->max_lifetime_s, 7 * 86400);
  assert_false(sip->is_findable);
  const torc_type *turn = torc_types_find(&t, 2);
  assert_string_equal(turn->name, "TURN-SERVICE");
  assert_int_equal(turn->model, TORC_MODEL_SINGLE);
  assert_int_equal(turn->access, TORC_ACCESS_NODE_MULTIPLE);
  assert_int_equal(turn->max_values, 1);
  assert_int_equal(turn->max_size, 20);
  assert_true(turn->is_findable);
  const torc_type *cert = torc_types_find(&t, 3);
  assert_string_equal(cert->name, "CERTIFICATE");
  assert_int_equal(cert->model, TORC_MODEL_ARRAY);
  assert_int_equal(cert->access, TORC_ACCESS_CERTIFICATE);
  assert_int_equal(cert->max_values, 10);
  assert_int_equal(cert->max_size, 4096);
  assert_int_equal(cert->max_lifetime_s, 60 * 86400);
  assert_true(cert->is_findable);
  assert_null(torc_types_find(&t, 0));
  assert_null(torc_types_find(&t, 4));
  assert_null(torc_types_find(&t, 0xffffff));
}

static void adds_private_types(void **state) {
  (void)state;
  torc_type room[TORC_TYPES_MAX];
  torc_types t;
  torc_types_init(&t, room, TORC_TYPES_MAX);
  char names[TORC_TYPES_MAX][16];
  torc_type type = good;
  /* From both ends, so that each lands in the middle. */
  for (uint32_t i = 0; i < TORC_TYPES_MAX - 3; i++) {
    snprintf(names[i], sizeof names[i], "type%u", i);
    type.name = names[i];
    type.id = i % 2 == 0 ? 0xf00000 + i : 0xfffffe - i;
    assert_int_equal(torc_types_add(&t, &type), 0);
  }
  for (size_t i = 1; i < t.len; i++) {
    assert_true(t.list[i - 1].id < t.list[i].id);
    assert_ptr_equal(torc_types_find(&t, t.list[i].id), &t.list[i]);
  }
  type.name = "one more";
  type.id = 0xf80000;
  assert_int_equal(torc_types_add(&t, &type), TORC_ERR_LIMIT);
  assert_int_equal(t.len, TORC_TYPES_MAX);
  type.id = 0xf00000;
  assert_int_equal(torc_types_add(&t, &type), TORC_ERR_EXISTS);
}

static void refuses_absurd_types(void **state) {
  (void)state;
  torc_type room[TORC_TYPES_MAX];
  torc_types t;
  torc_types_init(&t, room, TORC_TYPES_MAX);
  struct {
    const char *what;
    torc_type type;
  } bad[14];
  size_t n = 0;
#define BAD(what_, field_, value_) \
  do {                             \
    bad[n].what = (what_);         \
    bad[n].type = good;            \
    bad[n].type.field_ = (value_); \
    n++;                           \
  } while (0)
  BAD("below the private range", id, 0xefffff);
  BAD("above the private range", id, 0xffffff);
  BAD("id of a draft type", id, 3);
  BAD("no name", name, NULL);
  BAD("empty name", name, "");
  BAD("no such model", model, (torc_model)4);
  BAD("no such access rule", access, (torc_access)0);
  BAD("no values", max_values, 0);
  BAD("more values than indexes", max_values, 65537);
  BAD("no bytes", max_size, 0);
  BAD("more bytes than a value can have", max_size, 65001);
  BAD("no life", max_lifetime_s, 0);
  BAD("a single value that is several", model, TORC_MODEL_SINGLE);
  BAD("peer-ids as keys of an array", access, TORC_ACCESS_USER_NODE_MATCH);
  for (size_t i = 0; i < n; i++) {
    if (torc_types_add(&t, &bad[i].type) != TORC_ERR_INVALID ||
        torc_types_fault(&t, &bad[i].type) == NULL) {
      fail_msg("accepted: %s", bad[i].what);
    }
  }
  assert_int_equal(t.len, 3);
  assert_null(torc_types_fault(&t, &good));
  assert_int_equal(torc_types_add(&t, &good), 0);
  assert_string_equal(torc_types_fault(&t, &good), "another type has this id or name already");
  torc_type same_name = good;
  same_name.id++;
  same_name.name = "bOARD";
  assert_int_equal(torc_types_add(&t, &same_name), TORC_ERR_EXISTS);
  same_name.name = "certificate";
  assert_string_equal(torc_types_fault(&t, &same_name), "a standard type has this name already");
  assert_int_equal(torc_types_add(&t, &same_name), TORC_ERR_EXISTS);
}

static void finds_by_name(void **state) {
  (void)state;
  torc_type room[TORC_TYPES_MAX];
  torc_types t;
  torc_types_init(&t, room, TORC_TYPES_MAX);
  assert_int_equal(torc_types_add(&t, &good), 0);
  const struct {
    const char *text;
    uint32_t id;
  } cases[] = {{"CERTIFICATE", 3},
               {"certificate", 3},
               {"Turn-Service", 2},
               {"board", 0xf00010},
               {"3", 3},
               {"0x3", 3},
               {"0X000003", 3},
               {"15728656", 0xf00010},
               {"0xF00010", 0xf00010},
               {"0xf00011", 0},
               {"", 0},
               {"0x", 0},
               {"x3", 0},
               {"3 ", 0},
               {"-3", 0},
               {"0x1000003", 0},
               {"16777219", 0},
               {"4294967299", 0},
               {"a3", 0},
               {"certificates", 0}};
  for (size_t i = 0; i < TORC_ARRAY_LEN(cases); i++) {
    const torc_type *type = torc_types_find_name(&t, torc_slice_str(cases[i].text));
    if ((type == NULL ? 0 : type->id) != cases[i].id) {
      fail_msg("%s", cases[i].text);
    }
  }
}

static void tells_models(void **state) {
  (void)state;
  torc_type room[TORC_TYPES_MAX];
  torc_types t;
  torc_types_init(&t, room, TORC_TYPES_MAX);
  torc_model_lookup models = torc_types_models(&t);
  torc_model m = TORC_MODEL_SINGLE;
  assert_true(models.model(models.ctx, TORC_TYPE_SIP_REGISTRATION, &m));
  assert_int_equal(m, TORC_MODEL_DICTIONARY);
  assert_true(models.model(models.ctx, TORC_TYPE_CERTIFICATE, &m));
  assert_int_equal(m, TORC_MODEL_ARRAY);
  assert_false(models.model(models.ctx, 0xf00010, &m));
  assert_int_equal(torc_types_add(&t, &good), 0);
  assert_true(models.model(models.ctx, 0xf00010, &m));
}

static void normalises_seeds(void **state) {
  (void)state;
  const struct {
    const char *seed, *want;
  } cases[] = {
      {"alice@example.org", "alice@example.org"},
      {"Alice@EXAMPLE.Org", "Alice@example.org"},
      {"alice@example.org.", "alice@example.org"},
      {"alice@example.org..", "alice@example.org."},
      {"a@b@C.D", "a@b@c.d"},
      {"A@B@C", "A@B@c"},
      {"Plain.Name.", "Plain.Name."},
      {"", ""},
      {"x@", "x@"},
      {"\xc3\x84@\xc3\x84.DE", "\xc3\x84@\xc3\x84.de"}, /* only ASCII is lowered */
  };
  for (size_t i = 0; i < TORC_ARRAY_LEN(cases); i++) {
    char out[64];
    size_t len = 99;
    assert_int_equal(torc_seed_normalise(torc_slice_str(cases[i].seed), out, sizeof out, &len), 0);
    assert_int_equal(len, strlen(cases[i].want));
    assert_memory_equal(out, cases[i].want, len);
    size_t exact = len;
    assert_int_equal(torc_seed_normalise(torc_slice_str(cases[i].seed), out, exact, &len), 0);
    if (exact > 0) {
      assert_int_equal(torc_seed_normalise(torc_slice_str(cases[i].seed), out, exact - 1, &len),
                       TORC_ERR_SPACE);
    }
  }
  char out[64];
  size_t len = 99;
  assert_int_equal(torc_seed_normalise(torc_slice_of("a\0b", 3), out, sizeof out, &len),
                   TORC_ERR_FORMAT);
  assert_int_equal(torc_seed_normalise(torc_slice_of("\xff@b", 3), out, sizeof out, &len),
                   TORC_ERR_FORMAT);
  assert_int_equal(len, 99);
}

/* SHA-256("abc") = ba7816bf 8f01cfea 414140de 5dae2223 ... (FIPS 180-4). */
static void resource_is_truncated_sha256(void **state) {
  (void)state;
  torc_id id;
  torc_id want;
  assert_int_equal(torc_id_parse("ba7816bf8f01cfea414140de5dae2223", 32, &want), 0);
  assert_int_equal(torc_resource_id(helper_crypto(), torc_slice_str("abc"), &id), 0);
  assert_true(torc_id_eq(&id, &want));
}

static int no_hash(void *ctx, const torc_slice *parts, size_t num, uint8_t out[TORC_DIGEST_LEN]) {
  (void)parts;
  (void)num;
  (void)out;
  return *(int *)ctx;
}

static void failing_hash(void **state) {
  (void)state;
  int rc = -99;
  torc_crypto crypto = {.ctx = &rc, .sha256 = no_hash};
  torc_id id = helper_id(1, 2);
  torc_id before = id;
  assert_int_equal(torc_resource_id(&crypto, torc_slice_str("abc"), &id), TORC_ERR_CRYPTO);
  rc = TORC_ERR_NOMEM;
  assert_int_equal(torc_resource_id(&crypto, torc_slice_str("abc"), &id), TORC_ERR_NOMEM);
  assert_true(torc_id_eq(&id, &before));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TORC_TEST("USG-01 USG-02 USG-03 USG-04 USG-05 USG-08 STO-03 FND-06 R-36 GAP-100 GAP-143 "
                "SIP-08 SIP-10 SIP-11 "
                "TRN-07 TRN-08 TRN-10 CRT-07 CRT-09 the types of the draft",
                draft_types),
      TORC_TEST("USG-07 GAP-143 private types, sorted and bounded", adds_private_types),
      TORC_TEST("USG-06 GAP-143 GAP-150 absurd types are refused", refuses_absurd_types),
      TORC_TEST("USG-01 a type by name or number", finds_by_name),
      TORC_TEST("STO-03 GAP-89 the model of a type", tells_models),
      TORC_TEST("GAP-108 GAP-144 seeds are normalised", normalises_seeds),
      TORC_TEST("ARC-17 D-11 GAP-107 a resource-id is SHA-256 cut to 16 bytes",
                resource_is_truncated_sha256),
      TORC_TEST("D-11 a hash that fails", failing_hash),
  };
  return TORC_RUN(tests);
}

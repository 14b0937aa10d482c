/* The certificate store usage: places, and what a look at one of them leads to.
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/slice.h"
#include "overlay/helper_crypto.h"
#include "overlay/usage/certificate_store.h"
#include "overlay/usage/usage.h"
#include "torc_test.h"

#define NOW 1800000000u
#define DAY 86400u

/* SHA-256 of sixteen bytes, the first 0x80 and the others 0x11, and of "alice@example.org":
 * from `printf ... | sha256sum`. */
static const uint8_t place_of_peer[TORC_ID_LEN] = {0x75, 0xe0, 0x7b, 0xbf, 0xd5, 0x11, 0xa4, 0xbe,
                                                   0x2a, 0xc5, 0xad, 0x1d, 0x7f, 0xbc, 0xa5, 0xb4};
static const uint8_t place_of_alice[TORC_ID_LEN] = {0x7a, 0x64, 0xad, 0xf2, 0x87, 0x37, 0xea, 0x90,
                                                    0x71, 0x9c, 0xbd, 0xf0, 0xb1, 0xa8, 0x7a, 0x5e};

static void test_places(void **state) {
  torc_id peer = helper_id(0x80, 0x11);
  torc_cert *cert = helper_cert("alice@example.org", &peer);
  torc_id place;
  (void)state;
  helper_cert_add_user(cert, "bob@example.org");
  assert_int_equal(torc_certificate_places(cert), 3);
  assert_int_equal(torc_certificate_place(helper_crypto(), cert, 0, &place), 0);
  assert_memory_equal(place.b, place_of_peer, TORC_ID_LEN);
  assert_int_equal(torc_certificate_place(helper_crypto(), cert, 1, &place), 0);
  assert_memory_equal(place.b, place_of_alice, TORC_ID_LEN);
  /* as others find them: a name is sent normalised or not [GAP-108] */
  assert_int_equal(torc_certificate_place_of(helper_crypto(), NULL,
                                             torc_slice_str("alice@EXAMPLE.org."), &place),
                   0);
  assert_memory_equal(place.b, place_of_alice, TORC_ID_LEN);
  assert_int_equal(
      torc_certificate_place_of(helper_crypto(), NULL, torc_slice_of("a\0b", 3), &place),
      TORC_ERR_FORMAT);
  helper_cert_free(cert);
}

/* What lies at the place: nothing, the own certificate, a stranger's, an earlier one of one's own,
 * which may be there in any order. */
typedef struct found {
  char what; /* 'o' own, 's' stranger's, 'e' earlier own, 'f' the one before, 'n' of the next
                renewal, '-' absent */
  int32_t index;
  uint32_t age_s, lifetime_s;
} found;

typedef struct todo_case {
  const char *name;
  uint32_t valid_s; /* the own certificate's rest */
  found at[3];
  size_t num;
  bool is_store;
  int32_t index;
  uint32_t lifetime_s;
} todo_case;

static const todo_case cases[] = {
    {"CRT-02 nothing there", 365 * DAY, {{0}}, 0, true, -1, 60 * DAY},
    {"CRT-05 60 days, not beyond the end", 20 * DAY, {{0}}, 0, true, -1, 20 * DAY},
    {"R-31 expired", 0, {{0}}, 0, false, 0, 0},
    {"CRT-04 there", 365 * DAY, {{'o', 3, 0, 60 * DAY}}, 1, false, 0, 0},
    {"CRT-05 30 days left", 365 * DAY, {{'o', 3, 30 * DAY, 60 * DAY}}, 1, false, 0, 0},
    {"CRT-05 less", 365 * DAY, {{'o', 3, 30 * DAY + 1, 60 * DAY}}, 1, true, 3, 60 * DAY},
    {"CRT-05 a day to win", 21 * DAY, {{'o', 0, 0, 20 * DAY}}, 1, true, 0, 21 * DAY},
    {"CRT-05 nothing to win", 20 * DAY + DAY - 1, {{'o', 0, 0, 20 * DAY}}, 1, false, 0, 0},
    {"R-52 a namesake's", 365 * DAY, {{'s', 0, 0, 60 * DAY}}, 1, true, -1, 60 * DAY},
    {"R-52 beside a namesake's",
     365 * DAY,
     {{'s', 0, 0, 60 * DAY}, {'-', 1, 0, 0}, {'o', 2, 0, 60 * DAY}},
     3,
     false,
     0,
     0},
    {"ENR-38 the renewed one lies beside its predecessor",
     365 * DAY,
     {{'s', 0, 0, 60 * DAY}, {'e', 1, 0, 60 * DAY}},
     2,
     true,
     -1,
     60 * DAY},
    {"ENR-38 and takes the place of that before",
     365 * DAY,
     {{'e', 0, 0, 60 * DAY}, {'f', 1, 0, 60 * DAY}},
     2,
     true,
     1,
     60 * DAY},
    {"ENR-38 in any order",
     365 * DAY,
     {{'f', 5, 0, 60 * DAY}, {'s', 6, 0, 60 * DAY}, {'e', 7, 0, 60 * DAY}},
     3,
     true,
     5,
     60 * DAY},
    {"CRT-05 both are there",
     365 * DAY,
     {{'e', 0, 0, 60 * DAY}, {'o', 1, 0, 60 * DAY}},
     2,
     false,
     0,
     0},
    {"CRT-05 a later one stays", 365 * DAY, {{'n', 0, 0, 60 * DAY}}, 1, true, -1, 60 * DAY},
};

static torc_cert *made(const char *user, uint8_t first, const char *der, torc_wall end) {
  torc_id peer = helper_id(first, 0x11);
  torc_cert *c = helper_cert_der(user, &peer, torc_slice_str(der));
  c->not_after = end;
  return c;
}

static void test_todo(void **state) {
  (void)state;
  for (size_t i = 0; i < TORC_ARRAY_LEN(cases); i++) {
    const todo_case *t = &cases[i];
    torc_cert *own = made("alice@example.org", 1, "own", NOW + t->valid_s);
    torc_cert *stranger = made("alice@example.org", 2, "stranger", NOW + 365 * DAY);
    torc_cert *earlier = made("alice@example.org", 1, "earlier", NOW + t->valid_s - 1);
    torc_cert *before = made("alice@example.org", 1, "before", NOW + t->valid_s - 2);
    torc_cert *next = made("alice@example.org", 1, "next", NOW + 2 * 365 * DAY);
    torc_value values[3] = {0};
    for (size_t k = 0; k < t->num; k++) {
      const found *f = &t->at[k];
      const torc_cert *signer = f->what == 'o'   ? own
                                : f->what == 's' ? stranger
                                : f->what == 'e' ? earlier
                                : f->what == 'f' ? before
                                                 : next;
      values[k] = (torc_value){.type = TORC_TYPE_CERTIFICATE,
                               .exists = f->what != '-',
                               .index = f->index,
                               .storage_time = NOW - f->age_s,
                               .lifetime_s = f->lifetime_s};
      if (values[k].exists) {
        values[k].value = signer->der;
        values[k].signer = signer;
      }
    }
    torc_cert_todo todo = torc_certificate_todo(own, values, t->num, NOW);
    if (todo.is_store != t->is_store ||
        (t->is_store && (todo.index != t->index || todo.lifetime_s != t->lifetime_s))) {
      fail_msg("%s: %d, index %d, %u s", t->name, todo.is_store, todo.index, todo.lifetime_s);
    }
    helper_cert_free(own);
    helper_cert_free(stranger);
    helper_cert_free(earlier);
    helper_cert_free(before);
    helper_cert_free(next);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      {"CRT-02 CRT-03 places of a certificate", test_places, NULL, NULL, NULL},
      {"CRT-05 what a look leads to", test_todo, NULL, NULL, NULL},
  };
  return cmocka_run_group_tests_name(__FILE__, tests, NULL, NULL);
}

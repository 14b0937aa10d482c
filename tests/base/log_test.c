/* Log events as JSON.
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include "torc_test.h"

static void test_json(void **state) {
  const torc_id id = {{0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0, 0, 0, 0, 0, 0, 0, 0xff}};
  const torc_field fields[] = {
      TORC_F_U64("most", UINT64_MAX),
      TORC_F_I64("least", INT64_MIN),
      TORC_F_I64("plus", 5),
      TORC_F_STR("text", "say \"hi\"\\\n"),
      TORC_F_STR("none", NULL),
      TORC_F_STR("bad", "\xff\x01"),
      TORC_F_ID("id", &id),
      TORC_F_BYTES("words", torc_slice_str("gr\xc3\xbc\xc3\x9f")),
      TORC_F_BYTES("raw", torc_slice_of("a\0b", 3)),
      TORC_F_BYTES("c1", torc_slice_of("\xc2\x85", 2)),
      TORC_F_BYTES("empty", torc_slice_str("")),
      TORC_F_ERR("why", TORC_ERR_NOMEM),
  };
  static const char want[] =
      "{\"t_us\":12345,\"level\":\"info\",\"event\":\"node:test\","
      "\"most\":18446744073709551615,\"least\":-9223372036854775808,\"plus\":5,"
      "\"text\":\"say \\\"hi\\\"\\\\\\u000a\",\"none\":null,\"bad\":\"ff01\","
      "\"id\":\"0123456789abcdef00000000000000ff\",\"words\":\"gr\xc3\xbc\xc3\x9f\","
      "\"raw\":\"610062\",\"c1\":\"c285\",\"empty\":\"\",\"why\":\"out of memory\"}\n";
  char line[1024];
  size_t len = torc_log_json(line, sizeof(line), 12345, TORC_LOG_INFO, "node:test", fields,
                             TORC_ARRAY_LEN(fields));
  (void)state;
  assert_string_equal(line, want);
  assert_int_equal(len, strlen(want));
}

/* Whatever the room, the line is empty or whole: it ends after a field, and never overruns. */
static void test_cut(void **state) {
  const torc_field fields[] = {TORC_F_STR("a", "12345"), TORC_F_U64("b", 7)};
  static const char *const whole[] = {
      "{\"t_us\":0,\"level\":\"warn\",\"event\":\"e\"}\n",
      "{\"t_us\":0,\"level\":\"warn\",\"event\":\"e\",\"a\":\"12345\"}\n",
      "{\"t_us\":0,\"level\":\"warn\",\"event\":\"e\",\"a\":\"12345\",\"b\":7}\n",
  };
  (void)state;
  for (size_t cap = 0; cap <= 80; cap++) {
    char *line = malloc(cap + 1);
    const char *want = "";
    size_t len;
    assert_non_null(line);
    line[cap] = '#';
    len = torc_log_json(line, cap, 0, TORC_LOG_WARN, "e", fields, 2);
    assert_int_equal(line[cap], '#');
    for (size_t i = 0; i < TORC_ARRAY_LEN(whole); i++) {
      want = strlen(whole[i]) + 1 <= cap ? whole[i] : want;
    }
    assert_int_equal(len, strlen(want));
    if (cap != 0) {
      assert_string_equal(line, want);
    }
    free(line);
  }
}

static int num_events;

static void on_event(void *ctx, torc_log_level level, const char *name, const torc_field *fields,
                     size_t num_fields) {
  (void)level;
  (void)fields;
  assert_string_equal(name, "a:b");
  assert_int_equal(num_fields, 1);
  *(int *)ctx += 1;
}

static uint64_t evaluated(void) {
  num_events++;
  return 1;
}

static void test_level(void **state) {
  int seen = 0;
  torc_log log = {.ctx = &seen, .level = TORC_LOG_INFO, .event = on_event};
  const torc_log *none = NULL;
  (void)state;
  num_events = 0;
  TORC_LOG(&log, TORC_LOG_INFO, "a:b", TORC_F_U64("n", evaluated()));
  TORC_LOG(&log, TORC_LOG_DEBUG, "a:b", TORC_F_U64("n", evaluated()));
  TORC_LOG(none, TORC_LOG_ERROR, "a:b", TORC_F_U64("n", evaluated()));
  log.level = TORC_LOG_TRACE;
  TORC_LOG(&log, TORC_LOG_DEBUG, "a:b", TORC_F_U64("n", evaluated()));
  assert_int_equal(seen, 2);
  assert_int_equal(num_events, 2);
}

static void test_names(void **state) {
  torc_log_level level = TORC_LOG_WARN;
  (void)state;
  for (torc_log_level l = TORC_LOG_ERROR; l <= TORC_LOG_TRACE; l++) {
    assert_int_equal(torc_log_level_parse(torc_log_level_name(l), &level), 0);
    assert_int_equal(level, l);
  }
  assert_int_equal(torc_log_level_parse("none", &level), TORC_ERR_FORMAT);
  assert_int_equal(torc_log_level_parse("INFO", &level), TORC_ERR_FORMAT);
  assert_int_equal(torc_log_level_parse("", &level), TORC_ERR_FORMAT);
  assert_int_equal(torc_log_level_parse(NULL, &level), TORC_ERR_FORMAT);
  assert_string_equal(torc_log_level_name((torc_log_level)77), "unknown");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TORC_TEST("log line of every kind of field", test_json),
      TORC_TEST("log line is cut at a field", test_cut),
      TORC_TEST("log level is tested before fields are evaluated", test_level),
      TORC_TEST("log levels by name", test_names),
  };
  return TORC_RUN(tests);
}

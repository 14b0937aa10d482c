/* Lines of the daemon's log.
 * SPDX-License-Identifier: Apache-2.0 */
#include "io/json_log.h"

#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "torc_test.h"

static char path[64];

static int setup(void **state) {
  (void)state;
  (void)snprintf(path, sizeof path, "/tmp/torc-log-test-%ld", (long)getpid());
  return 0;
}

static int teardown(void **state) {
  (void)state;
  (void)unlink(path);
  return 0;
}

static torc_json_log *open_log(bool is_json) {
  char err[256] = "";
  torc_json_log *l = NULL;
  assert_int_equal(torc_json_log_open(&l, path, TORC_LOG_INFO, is_json, err, sizeof err), 0);
  return l;
}

static size_t read_log(char *out, size_t cap) {
  FILE *f = fopen(path, "re");
  assert_non_null(f);
  size_t len = fread(out, 1, cap - 1, f);
  out[len] = '\0';
  assert_int_equal(fclose(f), 0);
  return len;
}

static void write_some(torc_json_log *l) {
  static const torc_id id = {{0xab, 0xcd}};
  static const uint8_t bytes[] = {'a', '\n', 0xff};
  TORC_LOG(torc_json_log_sink(l), TORC_LOG_WARN, "test:event", TORC_F_U64("n", INT64_MAX),
           TORC_F_I64("i", -5), TORC_F_STR("s", "two\n\"lines\""), TORC_F_ID("id", &id),
           TORC_F_BYTES("b", torc_slice_of(bytes, sizeof bytes)), TORC_F_ERR("e", TORC_ERR_TIMEOUT),
           TORC_F_STR("none", NULL));
  TORC_LOG(torc_json_log_sink(l), TORC_LOG_DEBUG, "test:hidden", TORC_F_U64("n", 1));
}

static void json_lines(void **state) {
  (void)state;
  char text[8192];
  torc_json_log *l = open_log(true);
  write_some(l);
  torc_json_log_close(l);
  (void)read_log(text, sizeof text);
  assert_ptr_equal(strchr(text, '\n'),
                   text + strlen(text) - 1); /* one line, whatever a peer sent */
  json_t *line = json_loads(text, 0, NULL);
  assert_non_null(line);
  assert_string_equal(json_string_value(json_object_get(line, "event")), "test:event");
  assert_string_equal(json_string_value(json_object_get(line, "level")), "warn");
  assert_int_equal(strlen(json_string_value(json_object_get(line, "time"))), 27);
  assert_true(json_is_integer(json_object_get(line, "t_us")));
  assert_string_equal(json_string_value(json_object_get(line, "s")), "two\n\"lines\"");
  json_decref(line);
}

static void text_lines(void **state) {
  (void)state;
  char text[8192];
  torc_json_log *l = open_log(false);
  write_some(l);
  torc_json_log_close(l);
  (void)read_log(text, sizeof text);
  assert_string_equal(text + 27,
                      " warn test:event n=9223372036854775807 i=-5 s=two.\"lines\" "
                      "id=abcd0000000000000000000000000000 b=a.. e=no answer in time none=\n");
}

static void long_lines_are_cut(void **state) {
  bool is_json = *state == NULL;
  char text[4 * TORC_LOG_LINE_MAX];
  static char value[2 * TORC_LOG_LINE_MAX];
  memset(value, 'x', sizeof value - 1);
  torc_json_log *l = open_log(is_json);
  TORC_LOG(torc_json_log_sink(l), TORC_LOG_INFO, "test:long", TORC_F_U64("n", 1),
           TORC_F_STR("s", value));
  torc_json_log_close(l);
  size_t len = read_log(text, sizeof text);
  assert_in_range(len, 20, TORC_LOG_LINE_MAX);
  assert_int_equal(text[len - 1], '\n');
  if (is_json) {
    json_t *line = json_loads(text, 0, NULL);
    assert_int_equal(json_integer_value(json_object_get(line, "n")), 1);
    json_decref(line);
  }
}

static void reopened_by_name(void **state) {
  (void)state;
  char text[8192];
  char moved[96];
  char err[256] = "";
  (void)snprintf(moved, sizeof moved, "%s.1", path);
  torc_json_log *l = open_log(true);
  write_some(l);
  assert_int_equal(rename(path, moved), 0);
  assert_int_equal(torc_json_log_reopen(l, err, sizeof err), 0);
  assert_int_equal(read_log(text, sizeof text), 0);
  write_some(l);
  assert_true(read_log(text, sizeof text) > 0);
  torc_json_log_close(l);
  assert_int_equal(unlink(moved), 0);
}

static void a_full_disk_is_counted(void **state) {
  (void)state;
  char err[256] = "";
  torc_json_log *l = NULL;
  assert_int_equal(torc_json_log_open(&l, "/dev/full", TORC_LOG_INFO, true, err, sizeof err), 0);
  write_some(l);
  assert_int_equal(torc_json_log_lost(l), 1);
  torc_json_log_close(l);
  assert_int_equal(torc_json_log_open(&l, "/nonexistent/log", TORC_LOG_INFO, true, err, sizeof err),
                   TORC_ERR_IO);
  assert_string_equal(err, "cannot open the log /nonexistent/log: No such file or directory");
}

/* The disk fills up in the middle of a line, and is emptied later. */
static void a_torn_line_ends_before_the_next(void **state) {
  (void)state;
  char text[8192];
  struct rlimit old;
  torc_json_log *l = open_log(true);
  write_some(l);
  size_t whole = read_log(text, sizeof text);
  assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
  void (*before)(int) = signal(SIGXFSZ, SIG_IGN);
  struct rlimit tight = {.rlim_cur = whole + 10, .rlim_max = old.rlim_max};
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
  write_some(l);
  write_some(l);
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
  (void)signal(SIGXFSZ, before);
  assert_int_equal(torc_json_log_lost(l), 2);
  write_some(l);
  torc_json_log_close(l);
  assert_int_equal(read_log(text, sizeof text), 2 * whole + 11);
  assert_int_equal(text[whole + 10], '\n');
  assert_int_equal(text[whole + 11], '{');
}

int main(void) {
  const struct CMUnitTest tests[] = {
      {"D-42 lines of JSON", json_lines, setup, teardown, NULL},
      {"D-42 lines of text", text_lines, setup, teardown, NULL},
      {"D-42 long lines are cut", long_lines_are_cut, setup, teardown, NULL},
      {"D-42 long lines of text are cut", long_lines_are_cut, setup, teardown, path},
      {"D-42 the file is opened anew by its name", reopened_by_name, setup, teardown, NULL},
      {"D-42 a line cut by a full disk ends before the next", a_torn_line_ends_before_the_next,
       setup, teardown, NULL},
      {"D-42 lines that cannot be written are counted", a_full_disk_is_counted, setup, teardown,
       NULL},
  };
  return TORC_RUN(tests);
}

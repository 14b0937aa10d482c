/* A directory of its own for each test.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_TEST_DIR_H
#define TORC_TEST_DIR_H

#include "torc_test.h"

/* cmocka fixtures: *state is the path (char *); everything in it is removed. */
int test_dir_setup(void **state);
int test_dir_teardown(void **state);
/* dir/name; the buffer is one of 64 used in turn. */
const char *test_path(const char *dir, const char *name);
/* The whole file, NUL-terminated, freed with free; fails the test if it cannot be read. */
char *test_read(const char *path, size_t *len);
void test_write(const char *path, const char *text);

#define TORC_DIR_TEST(name_, fn_)                                      \
  {                                                                    \
    .name = (name_), .test_func = (fn_), .setup_func = test_dir_setup, \
    .teardown_func = test_dir_teardown                                 \
  }

#endif

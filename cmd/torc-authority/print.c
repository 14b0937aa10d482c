/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "commands.h"

int print_json(json_t *object) {
  int rc = object == NULL ? EXIT_FAILURE : EXIT_SUCCESS;
  if (object != NULL && json_dumpf(object, stdout, JSON_INDENT(2)) != 0) {
    rc = EXIT_FAILURE;
  }
  (void)putchar('\n');
  json_decref(object);
  return rc;
}

int failed(const char *what, const char *why) {
  (void)fprintf(stderr, "torc-authority: could not %s: %s\n", what, why);
  return EXIT_FAILURE;
}

void date(torc_wall when, char out[32]) {
  time_t t = (time_t)when;
  struct tm tm;
  if (gmtime_r(&t, &tm) == NULL || strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0) {
    (void)snprintf(out, 32, "?");
  }
}

torc_wall wall_now(void) {
  return (torc_wall)time(NULL);
}

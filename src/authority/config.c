/* SPDX-License-Identifier: Apache-2.0 */
#include "authority/config.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/slice.h"
#include "io/err.h"

#define KEPT_CAP 48

static int check_text(const torc_home *home, const char *file, const uint8_t *text, size_t len,
                      torc_wall now, char *err, size_t err_cap) {
  torc_overlay document = {.name = ""};
  char why[400] = "";
  int rc = torc_overlay_parse(&document, (const char *)text, len, home->overlay, why, sizeof why);
  if (rc != 0) {
    (void)torc_fail(rc, err, err_cap, "peers would refuse %s: %s", file, why);
  } else {
    rc = torc_issuers_check(home->issuers, home->num_issuers, &document, now, err, err_cap);
  }
  torc_overlay_clear(&document);
  return rc;
}

int torc_config_check(const torc_home *home, const char *file, torc_wall now, char *err,
                      size_t err_cap) {
  uint8_t *text = NULL;
  size_t len = 0;
  int rc = torc_file_read(file, TORC_OVERLAY_XML_MAX, &text, &len, err, err_cap);
  if (rc == 0) {
    rc = check_text(home, file, text, len, now, err, err_cap);
    torc_file_free(text, len);
  }
  return rc;
}

/* A name of the time that is free. */
static int choose_kept(const char *file, torc_wall now, char suffix[KEPT_CAP],
                       char kept[TORC_PATH_MAX], char *err, size_t err_cap) {
  time_t t = (time_t)now;
  struct tm tm;
  struct stat st;
  char date[24] = "";
  if (gmtime_r(&t, &tm) != NULL) {
    (void)strftime(date, sizeof date, "%Y%m%dT%H%M%SZ", &tm);
  }
  for (int i = 1; i < 100; i++) {
    (void)snprintf(suffix, KEPT_CAP, i == 1 ? ".old-%s" : ".old-%s-%d", date, i);
    int n = snprintf(kept, TORC_PATH_MAX, "%s%s", file, suffix);
    if (n < 0 || n >= TORC_PATH_MAX) {
      return torc_fail(TORC_ERR_SPACE, err, err_cap, "the file name %.40s... is too long", file);
    }
    if (lstat(kept, &st) != 0) {
      return 0;
    }
  }
  return torc_fail(TORC_ERR_EXISTS, err, err_cap, "%s exists already: move the old files away",
                   kept);
}

int torc_config_set(torc_home *home, const char *file, torc_wall now, char kept[TORC_PATH_MAX],
                    char *err, size_t err_cap) {
  char suffix[KEPT_CAP];
  uint8_t *text = NULL;
  size_t len = 0;
  int rc = torc_file_read(file, TORC_OVERLAY_XML_MAX, &text, &len, err, err_cap);
  if (rc != 0) {
    return rc;
  }
  rc = check_text(home, file, text, len, now, err, err_cap);
  if (rc == 0) {
    rc = choose_kept(home->overlay_file, now, suffix, kept, err, err_cap);
  }
  if (rc == 0) {
    torc_file_part part = {
        .path = home->overlay_file, .data = torc_slice_of(text, len), .mode = 0644};
    rc = torc_files_write(&part, 1, suffix, err, err_cap);
  }
  if (rc == 0) {
    torc_audit_event event = {.what = "document-set", .when = now};
    rc = torc_home_tell(home, &event, err, err_cap);
  }
  torc_file_free(text, len);
  return rc;
}

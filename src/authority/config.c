/* SPDX-License-Identifier: Apache-2.0 */
#include "authority/config.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/slice.h"
#include "io/err.h"
#include "io/peer_config.h"

int torc_config_judge(const torc_config_rules *r, torc_slice text, torc_overlay *out, char *err,
                      size_t err_cap) {
  char why[400] = "";
  int rc = torc_overlay_parse(out, (const char *)text.p, text.len, r->overlay, why, sizeof why);
  if (rc == 0 && out->signer == TORC_OVERLAY_NO_SIGNER) {
    rc = torc_fail(TORC_ERR_CONFIG, why, sizeof why,
                   "it is not signed; torc-authority config sign does that");
  }
  if (rc == 0 && r->before != NULL) {
    rc = torc_overlay_may_follow(r->before, out, true, why, sizeof why);
  }
  if (rc != 0) {
    return torc_fail(rc, err, err_cap, "peers would refuse the document: %s", why);
  }
  return torc_issuers_check(r->issuers, r->num_issuers, out, r->now, err, err_cap);
}

static torc_config_rules rules_of(const torc_home *home, torc_wall now) {
  return (torc_config_rules){.overlay = home->overlay,
                             .issuers = home->issuers,
                             .num_issuers = home->num_issuers,
                             .now = now};
}

int torc_config_check(const torc_home *home, torc_wall now, char *err, size_t err_cap) {
  torc_config_rules rules = rules_of(home, now);
  torc_overlay document = {.name = ""};
  uint8_t *text = NULL;
  size_t len = 0;
  int rc = torc_file_read(home->overlay_file, TORC_OVERLAY_XML_MAX, &text, &len, err, err_cap);
  if (rc == 0) {
    rc = torc_config_judge(&rules, torc_slice_of(text, len), &document, err, err_cap);
    torc_file_free(text, len);
  }
  torc_overlay_clear(&document);
  return rc;
}

/* A name of the time that is free. */
static int choose_kept(const char *file, torc_wall now, char suffix[TORC_CONFIG_KEPT_MAX],
                       char *err, size_t err_cap) {
  time_t t = (time_t)now;
  struct tm tm;
  struct stat st;
  char date[24] = "";
  char kept[TORC_PATH_MAX];
  if (gmtime_r(&t, &tm) != NULL) {
    (void)strftime(date, sizeof date, "%Y%m%dT%H%M%SZ", &tm);
  }
  for (int i = 1; i < 100; i++) {
    (void)snprintf(suffix, TORC_CONFIG_KEPT_MAX, i == 1 ? ".old-%s" : ".old-%s-%d", date, i);
    int n = snprintf(kept, sizeof kept, "%s%s", file, suffix);
    if (n < 0 || (size_t)n >= sizeof kept) {
      return torc_fail(TORC_ERR_SPACE, err, err_cap, "the file name %.40s... is too long", file);
    }
    if (lstat(kept, &st) != 0) {
      return 0;
    }
  }
  return torc_fail(TORC_ERR_EXISTS, err, err_cap, "%s exists already: move the old files away",
                   kept);
}

int torc_config_replace(torc_home *home, const torc_overlay *before, torc_slice text, torc_wall now,
                        char kept[TORC_CONFIG_KEPT_MAX], char *err, size_t err_cap) {
  torc_config_rules rules = rules_of(home, now);
  torc_overlay document = {.name = ""};
  rules.before = before;
  int rc = torc_config_judge(&rules, text, &document, err, err_cap);
  torc_overlay_clear(&document);
  if (rc == 0) {
    rc = choose_kept(home->overlay_file, now, kept, err, err_cap);
  }
  if (rc == 0) {
    torc_file_part part = {.path = home->overlay_file, .data = text, .mode = 0644};
    rc = torc_files_write(&part, 1, kept, err, err_cap);
  }
  if (rc == 0) {
    torc_audit_event event = {.what = "document-set", .when = now};
    rc = torc_home_tell(home, &event, err, err_cap);
  }
  return rc;
}

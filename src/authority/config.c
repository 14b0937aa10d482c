/* SPDX-License-Identifier: Apache-2.0 */
#include "authority/config.h"

#include <stdio.h>

#include "base/slice.h"
#include "io/err.h"

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

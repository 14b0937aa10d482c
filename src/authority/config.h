/* The overlay configuration document that an authority serves: checked, and replaced as a whole.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_AUTHORITY_CONFIG_H
#define TORC_AUTHORITY_CONFIG_H

#include "authority/home.h"

#define TORC_CONFIG_KEPT_MAX 48

typedef struct torc_config_rules {
  const char *overlay;        /* whose document it must be */
  const torc_overlay *before; /* what peers have now, which it must be able to follow; NULL: none */
  const torc_issuer *issuers;
  size_t num_issuers;
  torc_wall now;
} torc_config_rules;

/* Judges a document as peers of this overlay do that get it over the network, where one without a
 * signature is nothing, and the issuing certificates by it (torc_issuers_check). out: freed with
 * torc_overlay_clear whatever comes back. TORC_ERR_CONFIG, TORC_ERR_DENIED, TORC_ERR_CRYPTO. */
int torc_config_judge(const torc_config_rules *rules, torc_slice text, torc_overlay *out, char *err,
                      size_t err_cap) TORC_MUST_CHECK;

/* The same for the document of the directory. home: with overlay and issuers. */
int torc_config_check(const torc_home *home, torc_wall now, char *err,
                      size_t err_cap) TORC_MUST_CHECK;

/* Puts `text` in the place of the document if it passes, and tells the audit log. before: the old
 * one. kept: what stands behind the old one's name from now on. The service serves the new one when
 * it is told to reload. */
int torc_config_replace(torc_home *home, const torc_overlay *before, torc_slice text, torc_wall now,
                        char kept[TORC_CONFIG_KEPT_MAX], char *err, size_t err_cap) TORC_MUST_CHECK;

#endif

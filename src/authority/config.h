/* The overlay configuration document that an authority serves, checked.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_AUTHORITY_CONFIG_H
#define TORC_AUTHORITY_CONFIG_H

#include "authority/home.h"

/* Judges a document file as peers of this overlay would, and the authority's issuing certificates
 * by it (torc_issuers_check). home: with overlay and issuers. TORC_ERR_CONFIG, TORC_ERR_CRYPTO. */
int torc_config_check(const torc_home *home, const char *file, torc_wall now, char *err,
                      size_t err_cap) TORC_MUST_CHECK;

#endif

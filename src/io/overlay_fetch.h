/* An overlay configuration document over HTTPS [ENR-09] [ENR-10] [GAP-130], with libcurl, which is
 * opened by the first call. SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_IO_OVERLAY_FETCH_H
#define TORC_IO_OVERLAY_FETCH_H

#include "io/https.h"
#include "io/overlay_xml.h"

#define TORC_OVERLAY_ENCODING_MAX 64

typedef struct torc_overlay_fetched {
  char *xml; /* freed with free */
  size_t len;
  char encoding[TORC_OVERLAY_ENCODING_MAX]; /* charset of the MIME type; empty: none given */
  torc_wall date;                           /* of the answer; 0: it had none */
} torc_overlay_fetched;

/* GETs `url`. The server's certificate must be that of the URL's host [ENR-08] [GAP-126] and chain
 * to one of the roots (DER) or to an authority the system trusts. No redirects, at most 1 MiB,
 * media type application/p2p-overlay+xml. Blocks. TORC_ERR_IO with one line, TORC_ERR_NOMEM. */
int torc_overlay_fetch(torc_overlay_fetched *out, const char *url, const torc_slice *roots,
                       size_t num_roots, char *err, size_t err_cap) TORC_MUST_CHECK;
/* Whether it is the media type of such a document [ENR-10]; its charset [ENR-13], empty if there is
 * none. TORC_ERR_IO with one line. */
int torc_overlay_media_type(const char *type, char encoding[TORC_OVERLAY_ENCODING_MAX], char *err,
                            size_t err_cap) TORC_MUST_CHECK;
/* Where the draft has every overlay serve its document [ENR-09]: https://NAME/p2psip/enroll. */
void torc_overlay_default_url(const char *name, char out[TORC_OVERLAY_URL_MAX]);
/* https://NAME and the path, with brackets about a name that is an IPv6 address [ENR-04]. */
void torc_overlay_url(const char *name, const char *path, char out[TORC_OVERLAY_URL_MAX]);

#endif

/* When a certificate is renewed, and when it is tried again [ENR-38].
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_IO_RENEWAL_H
#define TORC_IO_RENEWAL_H

#include "torc/peer.h"

/* After two thirds of its time, so that of 90 days an authority that is down has 30 to come back
 * [BGAP-04]; up to a twelfth later, so that peers that were enrolled together do not come together.
 */
#define TORC_RENEWAL_PARTS 12u
#define TORC_RENEWAL_DUE_PARTS 8u
#define TORC_RENEWAL_JITTER_MAX 1024u /* jitter is below: shares of one part */
/* After a failure: doubled each time, up to the last, and never more than an eighth of what is left
 * nor less than the first. */
#define TORC_RENEWAL_RETRY_FIRST_S 60u
#define TORC_RENEWAL_RETRY_LAST_S (6u * 3600u)

/* From then on a certificate of these dates is to be renewed. */
torc_wall torc_renewal_due(torc_wall not_before, torc_wall not_after, uint32_t jitter);
/* Seconds to the next try after `failures` > 0 of them, `left_s` before the end. */
uint32_t torc_renewal_wait(unsigned failures, uint32_t left_s);

/* Takes the certificate and key that are now in these files: new links and signatures have them,
 * links that stand keep the old one. The same as before is no failure: *is_new false. TORC_ERR_*
 * with one line: it goes on with what it had, and this may be tried again. */
int torc_peer_renew(torc_peer *p, const char *cert_file, const char *key_file, bool *is_new,
                    char *err, size_t err_cap) TORC_MUST_CHECK;
/* Counts a try that has failed. */
void torc_peer_renewal_failed(torc_peer *p);

#endif

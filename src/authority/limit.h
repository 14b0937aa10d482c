/* How often one source may ask: token buckets in a table that cannot grow [SEC-22].
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_AUTHORITY_LIMIT_H
#define TORC_AUTHORITY_LIMIT_H

#include "torc/types.h"

#define TORC_LIMIT_KEY_LEN 16
#define TORC_LIMIT_SLOTS 65536 /* sources remembered, 32 bytes each; a power of two */
#define TORC_LIMIT_WAYS 8      /* slots in which one source may stand */

typedef struct torc_limit torc_limit;

/* per_minute: sustained rate; burst: asked at once by a source that was quiet. */
int torc_limit_new(torc_limit **out, uint32_t per_minute, uint32_t burst) TORC_MUST_CHECK;
void torc_limit_free(torc_limit *l);
/* Other numbers for every source, from now on. Both 1 or more. Any thread. */
void torc_limit_set(torc_limit *l, uint32_t per_minute, uint32_t burst);

/* Takes one from the source's bucket; false: it is empty, and *wait_s (1 or more) says when the
 * next is there. A source that is not in the table takes the place of the one that has been quiet
 * longest, which costs nobody anything but what it had used. Any thread. */
bool torc_limit_take(torc_limit *l, const uint8_t key[TORC_LIMIT_KEY_LEN], torc_time now,
                     uint32_t *wait_s) TORC_MUST_CHECK;
/* Whether the bucket is empty, taking nothing. */
bool torc_limit_is_out(torc_limit *l, const uint8_t key[TORC_LIMIT_KEY_LEN], torc_time now,
                       uint32_t *wait_s) TORC_MUST_CHECK;

/* The key of an address (struct sockaddr *): an IPv4 address, or the /64 of an IPv6 address, which
 * is what one customer has. */
struct sockaddr;
void torc_limit_key(const struct sockaddr *address, uint8_t out[TORC_LIMIT_KEY_LEN]);

#endif

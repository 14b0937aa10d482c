/* The signed wildcard PING that goes to a multicast group, and its answer, as datagrams
 * [BST-05..08] [BST-13] [GAP-68] [GAP-69]. Bytes and decisions only: sockets are io/multicast.h.
 *
 * Whoever can send to the group can send anything. So a datagram costs nothing but a glance until
 * it has passed torc_discover_read and the gate below, of what follows there are at most so many a
 * second, and an answer is hardly longer than the question. SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_BOOTSTRAP_DISCOVER_H
#define TORC_BOOTSTRAP_DISCOVER_H

#include "base/cursor.h"
#include "torc/crypto.h"
#include "wire/contents.h"

#define TORC_DISCOVER_DATAGRAM_MAX 1452 /* unfragmented on Ethernet, IPv6: 1500 - 40 - 8 */
#define TORC_DISCOVER_GROWTH 3          /* [GAP-69] an answer has at most so many times the bytes */
#define TORC_DISCOVER_DELAY TORC_MS(500) /* [GAP-69] an answer waits for up to so long */
#define TORC_DISCOVER_TTL 1              /* [GAP-69] */
#define TORC_DISCOVER_SIGNATURE_MAX 1024
#define TORC_PING_INFO_PORT 0xf0 /* opaque: uint16, the TCP port that takes TLS links */

/* What the own messages are made with; everything is borrowed. */
typedef struct torc_discover_self {
  torc_id id;
  uint32_t overlay;      /* checksum of the name [HDR-02] */
  const torc_cert *cert; /* own */
  uint8_t algorithm;     /* of the own key */
  void *ctx;
  /* Does a job now; `sig`: TORC_DISCOVER_SIGNATURE_MAX bytes for a signature made. */
  void (*run)(void *ctx, const torc_job *job, uint8_t *sig, torc_job_result *out);
  void (*release)(void *ctx, torc_cert *cert);
} torc_discover_self;

/* A datagram that looks like one of these two; it borrows from the bytes read. */
typedef struct torc_discover_msg {
  bool is_answer;
  bool wants_port; /* question */
  uint16_t port;   /* answer: 0: none said */
  uint64_t xid;
  size_t len;
  torc_contents c;
} torc_discover_msg;

/* Writes the question [BST-06]: PING, route [wildcard], signed with the certificate in it. */
int torc_discover_ask_put(torc_wr *wr, const torc_discover_self *self,
                          uint64_t xid) TORC_MUST_CHECK;
/* Writes the answer for `asker`, who signed `ask` [BST-13] [PNG-08]. TORC_ERR_LIMIT: it would be
 * too long for one datagram, or more than TORC_DISCOVER_GROWTH times the question: then none is
 * given [GAP-69]. */
int torc_discover_answer_put(torc_wr *wr, const torc_discover_self *self,
                             const torc_discover_msg *ask, const torc_id *asker,
                             uint64_t response_id, uint16_t port) TORC_MUST_CHECK;

/* Reads what can be known without cryptography. TORC_ERR_FORMAT: nothing of ours, or not whole.
 * TORC_ERR_DENIED: of another overlay [BST-07]. TORC_ERR_EXISTS: signed with the own certificate.
 * TORC_ERR_CRYPTO: without signature or certificate in it. */
int torc_discover_read(const torc_discover_self *self, torc_slice datagram,
                       torc_discover_msg *out) TORC_MUST_CHECK;
/* Checks certificate, dates and signature [BST-07]; *signer: the peer-id that signed. The dear
 * part: one certificate chain and one signature. TORC_ERR_CRYPTO: not of this overlay; others:
 * failure of this side. */
int torc_discover_verify(const torc_discover_self *self, const torc_discover_msg *m, torc_wall now,
                         torc_id *signer) TORC_MUST_CHECK;

/* ---- who is listened to, and how often ---- */

#define TORC_DISCOVER_CHECKS 20      /* signatures checked a second, all sources together */
#define TORC_DISCOVER_PER_SOURCE 4   /* of them for one source */
#define TORC_DISCOVER_ANSWERS 10     /* answers a second, all sources together */
#define TORC_DISCOVER_SOURCES_MAX 32 /* sources told apart within one second */
#define TORC_DISCOVER_SEEN_MAX 64    /* questions remembered: a copy is not answered again */

typedef enum torc_discover_verdict {
  TORC_DISCOVER_PASS = 0,
  TORC_DISCOVER_REPEATED, /* seen before */
  TORC_DISCOVER_BUSY      /* too many of this source, or of all */
} torc_discover_verdict;

typedef struct torc_discover_gate {
  torc_time second; /* that the numbers are of */
  bool has_begun;
  uint32_t num_checks, num_answers;
  size_t num_sources;
  struct {
    uint8_t site[16];
    uint32_t num;
  } sources[TORC_DISCOVER_SOURCES_MAX];
  uint64_t seen[TORC_DISCOVER_SEEN_MAX];
  size_t num_seen, next_seen;
} torc_discover_gate;

/* Whether a message read from `site` (an address, or the network one host has to itself) may cost a
 * check of its signature. */
torc_discover_verdict torc_discover_admit(torc_discover_gate *g, const uint8_t site[16],
                                          torc_time now);
/* Whether a question of this number was answered before; only genuine ones are remembered, so this
 * may be asked before anything is checked. */
bool torc_discover_is_seen(const torc_discover_gate *g, uint64_t xid);
/* The question `xid` is genuine. REPEATED: answered before; BUSY: enough answers in this second. */
torc_discover_verdict torc_discover_may_answer(torc_discover_gate *g, uint64_t xid, torc_time now);

#endif

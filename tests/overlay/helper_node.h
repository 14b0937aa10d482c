/* One real node among peers that are only acted: links come up and go down by hand, messages are
 * laid out by the test, jobs are done at once or held, time passes when told to. A signature is a
 * hash that only this helper checks. With NT_NO_CMOCKA defined a failed expectation aborts, for
 * fuzz targets. SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_HELPER_NODE_H
#define TORC_HELPER_NODE_H

#include "overlay/helper_crypto.h"
#include "torc/node.h"
#include "wire/contents.h"
#include "wire/header.h"

#define NT_WALL 1800000000u
#define NT_OVERLAY_NAME "test.example"
#define NT_OVERLAY_CRC 0xd257de59u /* CRC-32 of the name, worked out apart */
#define NT_SELF 0x80 /* first byte of the node's peer-id unless an option says otherwise */
#define NT_TYPE_NOTE 0xf00001u   /* dictionary, user match */
#define NT_TYPE_LINE 0xf00002u   /* single value, user match */
#define NT_TYPE_LIST 0xf00003u   /* array, user match */
#define NT_TYPE_HIDDEN 0xf00004u /* single value, node match, not findable */

typedef struct nt_options {
  torc_role role;        /* 0: peer */
  const char *algorithm; /* NULL: chord-128-2-8 */
  void (*tweak)(torc_node_config *c, void *ctx);
  void *ctx;
  uint8_t self; /* 0: NT_SELF */
} nt_options;

/* What came out of the node. Everything in it lives as long as the harness. */
typedef struct nt_out {
  torc_output_kind kind;
  torc_link_id link;
  torc_token token;
  torc_id peer;
  uint16_t application; /* of a CONNECT */
  torc_endpoint endpoint;
  torc_time at;
  torc_slice bytes; /* SEND: the whole message */
  torc_header hdr;  /* SEND: decoded from it */
  torc_contents c;
  torc_connect_params remote;
  torc_event event;
  bool is_taken;
} nt_out;

/* A message as an acted peer sends it. nt_request and nt_response fill it in; the test changes what
 * it wants. */
typedef struct nt_msg {
  torc_header hdr; /* lists are taken from below */
  torc_id route[TORC_LIST_MAX], via[TORC_LIST_MAX];
  size_t num_route, num_via;
  bool is_response;
  uint16_t code, reserved;
  torc_slice payload;
  const torc_cert *signer; /* NULL: unsigned */
  uint8_t identity;        /* TORC_IDENTITY_*: how the signer is named */
  uint8_t algorithm;
  bool is_forged; /* the signature does not verify */
} nt_msg;

typedef struct nt nt;

nt *nt_new(const nt_options *o);  /* options may be NULL; not started */
nt *nt_ring(const nt_options *o); /* started, founder of a ring of its own */
void nt_free(nt *h);
/* torc_node_new has failed for want of memory (see nt_mem): NULL. */
torc_node *nt_node(nt *h);
helper_mem *nt_mem(nt *h);
torc_time nt_now(const nt *h);
torc_id nt_self(const nt *h);
/* The node's own certificate that nt_expect takes for granted from now on. */
void nt_expect_own(nt *h, torc_cert *cert);
/* Starts looking for the ring and drains. */
void nt_start(nt *h);

/* Ids and certificates of acted peers: the first byte names them. Certificates live as long as the
 * harness. */
torc_id nt_id(uint8_t first);
torc_cert *nt_cert(nt *h, uint8_t first);
/* One made to order: user name (NULL: none), peer-ids, dates. */
torc_cert *nt_cert_make(nt *h, const char *user, const torc_id *ids, size_t num_ids,
                        torc_wall not_before, torc_wall not_after);
const char *nt_user(uint8_t first); /* user name in nt_cert(first); static */

/* ---- links ---- */
torc_link_id nt_up(nt *h, uint8_t first); /* they dialled */
torc_link_id nt_up_token(nt *h, uint8_t first, torc_link_kind kind, torc_token token,
                         torc_cert *cert);
void nt_down(nt *h, torc_link_id link);
void nt_open_failed(nt *h, torc_token token, int rc);
/* Link up, JOIN, hand-over: afterwards `first` is a member of the ring. */
torc_link_id nt_join(nt *h, uint8_t first);
/* An UPDATE with these lists (first bytes of ids, 0 ends) from the peer of `link`. Its answer is
 * taken. */
void nt_update(nt *h, torc_link_id link, uint8_t first, const uint8_t *preds, const uint8_t *succs);

/* ---- messages in ---- */
/* A request of `signer` with a fresh transaction id and empty lists. */
void nt_request(nt *h, nt_msg *m, uint8_t signer, uint16_t method, torc_slice payload);
/* A 200 of `signer` to a request that the node sent: same transaction id, route = via list
 * backwards. */
void nt_response(nt *h, nt_msg *m, uint8_t signer, const nt_out *request, uint16_t code,
                 torc_slice payload);
void nt_route(nt_msg *m, const torc_id *id);
void nt_via(nt_msg *m, const torc_id *id);
/* Bytes of the message; they live as long as the harness. */
torc_slice nt_encode(nt *h, const nt_msg *m);
void nt_input(nt *h, torc_link_id link, const nt_msg *m);
void nt_input_bytes(nt *h, torc_link_id link, torc_slice bytes);
uint64_t nt_xid(nt *h);
/* Copies bytes into memory of the harness. */
torc_slice nt_keep(nt *h, const void *p, size_t len);
void *nt_block(nt *h, size_t size); /* zeroed */
/* The signature of the holder of `id` over the joined parts. */
void nt_sign(const torc_id *id, const torc_slice *parts, size_t num, uint8_t out[TORC_DIGEST_LEN]);
/* payloads */
torc_slice nt_ping_payload(nt *h);
torc_slice nt_pong_payload(nt *h, uint64_t response_id);
torc_slice nt_update_payload(nt *h, const uint8_t *preds, const uint8_t *succs);
torc_slice nt_notice_payload(nt *h, const torc_id *id);
torc_slice nt_connect_payload(nt *h, const char *role, uint16_t application, const char *candidate);
void nt_params(torc_connect_params *p, const char *role);
/* A signed element. `key` for dictionaries, `index` for arrays. */
typedef struct nt_element {
  uint32_t type;
  uint64_t generation;
  const char *key, *value;
  int32_t index;
  uint32_t storage_time, lifetime_s;
  torc_cert *signer; /* NULL: unsigned */
  bool is_forged;
  uint8_t identity; /* 0: certificate */
} nt_element;
torc_slice nt_store_payload(nt *h, const torc_id *resource, const nt_element *e, size_t num);
/* The elements as the payload of an answer to FETCH; those with value NULL are absent. */
torc_slice nt_fetched_payload(nt *h, const torc_id *resource, const nt_element *e, size_t num);
/* A fetch_request for whole types; also for REMOVE. */
torc_slice nt_fetch_payload(nt *h, const torc_id *resource, const uint32_t *type_ids,
                            const uint64_t *generations, size_t num);
torc_id nt_resource(uint8_t first); /* of nt_user(first) */

/* ---- outputs ---- */
/* Methods (as 1 << method) that acted peers answer 200 at once; at first UPDATE and PING. */
extern const uint32_t NT_ANSWER_DEFAULT;
void nt_answer(nt *h, uint32_t methods);
size_t nt_answered(const nt *h, uint16_t method); /* how many were */
/* Takes the oldest output of that kind; NULL: none. */
nt_out *nt_take(nt *h, torc_output_kind kind);
/* Takes the oldest SEND with this transaction id; NULL: none. */
nt_out *nt_take_xid(nt *h, uint64_t xid);
/* Takes the oldest SEND on `link` that is a request of this method; NULL: none. */
nt_out *nt_take_request(nt *h, torc_link_id link, uint16_t method);
nt_out *nt_take_event(nt *h, torc_event_kind kind);
nt_out *nt_take_done(nt *h, torc_token token); /* EVENT_DONE */
size_t nt_count(const nt *h, torc_output_kind kind);
void nt_clear(nt *h); /* forgets outputs not taken */
/* Takes the answer to `m`, which came on `link`, and checks what every answer must be: own overlay,
 * version 1, fresh TTL, response, this code, signed by the node. */
nt_out *nt_expect(nt *h, torc_link_id link, const nt_msg *m, uint16_t code);
void nt_expect_nothing(nt *h, const nt_msg *m); /* no answer and not forwarded */
/* Phrase of an error answer, NUL-terminated in memory of the harness, and its error_info. */
const char *nt_phrase(nt *h, const nt_out *o, torc_slice *info);
/* True iff the message is signed by `cert`. */
bool nt_is_signed_by(nt *h, const nt_out *o, const torc_cert *cert);
uint64_t nt_counter(nt *h, const char *name);

/* ---- jobs ---- */
void nt_hold_jobs(nt *h, bool hold); /* letting go runs what is held */
size_t nt_num_jobs(const nt *h, torc_job_kind kind);
/* Does the oldest held job of this kind; rc 0: properly, else with that result. */
void nt_run_job(nt *h, torc_job_kind kind, int rc);
/* From now on jobs of this kind end with rc; 0: properly. */
void nt_job_result(nt *h, torc_job_kind kind, int rc);
void nt_fail_random(nt *h, bool fail);

/* ---- time ---- */
void nt_advance(nt *h, torc_time duration); /* ticks at every deadline on the way */
void nt_tick(nt *h);
void nt_drain(nt *h);

#endif

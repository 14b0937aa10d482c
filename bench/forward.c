/* The sans-I/O node as a forwarder: messages per second and core between two links, allocations and
 * bytes a message. SPDX-License-Identifier: Apache-2.0 */
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <string.h>

#include "base/crc32.h"
#include "base/id.h"
#include "base/slice.h"
#include "measure.h"
#include "torc/node.h"
#include "wire/contents.h"
#include "wire/header.h"

#define MESSAGES 2000000u
#define BODY 900

static uint64_t num_allocations;

static void *count_alloc(void *ctx, size_t size) {
  (void)ctx;
  num_allocations++;
  return malloc(size);
}

static void *count_realloc(void *ctx, void *p, size_t size) {
  (void)ctx;
  num_allocations++;
  return realloc(p, size);
}

static void count_free(void *ctx, void *p) {
  (void)ctx;
  free(p);
}

static int random_bytes(void *ctx, uint8_t *out, size_t len) {
  (void)ctx;
  return RAND_bytes(out, (int)len) == 1 ? 0 : TORC_ERR_CRYPTO;
}

static int sha256(void *ctx, const torc_slice *parts, size_t num, uint8_t out[TORC_DIGEST_LEN]) {
  EVP_MD_CTX *c = EVP_MD_CTX_new();
  int ok = c != NULL && EVP_DigestInit_ex(c, EVP_sha256(), NULL) == 1;
  (void)ctx;
  for (size_t i = 0; ok && i < num; i++) {
    ok = EVP_DigestUpdate(c, parts[i].p, parts[i].len) == 1;
  }
  ok = ok && EVP_DigestFinal_ex(c, out, NULL) == 1;
  EVP_MD_CTX_free(c);
  return ok ? 0 : TORC_ERR_CRYPTO;
}

static void cert_release(void *ctx, torc_cert *cert) {
  (void)ctx;
  if (__atomic_sub_fetch(&cert->refs, 1, __ATOMIC_ACQ_REL) == 0) {
    free(cert);
  }
}

static torc_cert *make_cert(uint8_t first, torc_id *id) {
  torc_cert *c = calloc(1, sizeof *c + sizeof *id);
  memset(id->b, first, sizeof id->b);
  c->refs = 1;
  c->digest[0] = first;
  c->num_peers = 1;
  c->peers = memcpy(c + 1, id, sizeof *id);
  c->der = torc_slice_of(c->digest, sizeof c->digest);
  c->not_after = UINT32_MAX;
  return c;
}

static void link_up(torc_node *n, torc_link_id link, uint8_t first) {
  torc_link_info info = {.kind = TORC_LINK_TLS};
  torc_output o;
  info.cert = make_cert(first, &info.peer);
  if (torc_node_link_up(n, link, &info, 1) != 0) {
    exit(1);
  }
  while (torc_node_poll(n, &o)) {
  }
}

/* A message that came over two hops and goes to the peer 0x30.. by way of this node. */
static size_t make_message(uint8_t *buf, size_t cap) {
  uint8_t body[BODY] = {0x00, TORC_METHOD_FETCH};
  torc_id route;
  torc_id via[2];
  torc_wr wr;
  memset(&route, 0x30, sizeof route);
  memset(via, 0x55, sizeof via);
  torc_header h = {.overlay = torc_overlay_crc(torc_slice_str("bench.example")),
                   .ttl = 90,
                   .routing = TORC_ROUTING_RECURSIVE,
                   .version = TORC_VERSION_1,
                   .xid = 42,
                   .route = torc_slice_of(&route, sizeof route),
                   .via = torc_slice_of(via, sizeof via)};
  torc_wr_init(&wr, buf, cap);
  if (torc_header_put(&wr, &h, sizeof body) != 0) {
    exit(1);
  }
  torc_wr_bytes(&wr, torc_slice_of(body, sizeof body));
  return wr.len;
}

int main(void) {
  const torc_mem mem = {NULL, count_alloc, count_realloc, count_free};
  const torc_crypto crypto = {NULL, random_bytes, sha256, cert_release};
  torc_memory_backend *memory = NULL;
  torc_backend backend;
  torc_node_config cfg = TORC_NODE_CONFIG_INIT;
  torc_node *n = NULL;
  torc_output o;
  uint8_t message[2048];
  uint64_t sent = 0;
  if (torc_memory_backend_new(&memory, &backend, torc_mem_libc(), 1 << 20) != 0) {
    return 1;
  }
  cfg.mem = &mem;
  cfg.crypto = &crypto;
  cfg.backend = &backend;
  cfg.overlay_name = "bench.example";
  cfg.algorithm = "chord-128-2-8";
  cfg.role = TORC_ROLE_PEER;
  cfg.cert = make_cert(0x10, &cfg.self);
  cfg.signature_algorithm = 3;
  cfg.wall = 1800000000;
  if (torc_node_new(&n, &cfg, 1, NULL) != 0) {
    return 1;
  }
  link_up(n, 1, 0x20);
  link_up(n, 2, 0x30);
  size_t len = make_message(message, sizeof message);
  num_allocations = 0;
  double start = measure_now(CLOCK_PROCESS_CPUTIME_ID);
  for (uint32_t i = 0; i < MESSAGES; i++) {
    if (torc_node_input(n, 1, torc_slice_of(message, len), 1) != 0) {
      return 1;
    }
    while (torc_node_poll(n, &o)) {
      sent += o.kind == TORC_OUT_SEND;
    }
  }
  double cpu = measure_now(CLOCK_PROCESS_CPUTIME_ID) - start;
  if (sent != MESSAGES) {
    (void)fprintf(stderr, "bench_forward: %llu of %u forwarded\n", (unsigned long long)sent,
                  MESSAGES);
    return 1;
  }
  (void)printf(
      "{\"case\":\"forward\",\"messages_per_second_and_core\":%.0f,\"ns\":%.1f,\"allocations\":%."
      "3f,\"bytes\":%zu}\n",
      MESSAGES / cpu, cpu * 1e9 / MESSAGES, (double)num_allocations / MESSAGES, len);
  torc_node_free(n);
  torc_memory_backend_free(memory);
  cert_release(NULL, cfg.cert);
  return 0;
}

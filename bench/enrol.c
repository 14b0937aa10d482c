/* What a certificate costs the authority: the bare signature, and a whole enrolment without the
 * network, durable in SQLite and in the audit log. With "requests DIR NUM" it writes requests for
 * the clients of bench/run.py instead. SPDX-License-Identifier: Apache-2.0 */
#include <openssl/x509v3.h>
#include <string.h>

#include "authority/csr.h"
#include "authority/enrol.h"
#include "authority/home.h"
#include "base/slice.h"
#include "measure.h"

#define SECONDS 1.0
#define ACCOUNTS 50
#define REQUESTS_MAX 5000
#define PER_ACCOUNT 1000000

static void must(int rc, const char *what) {
  if (rc != 0) {
    (void)fprintf(stderr, "bench_enrol: %s\n", what);
    exit(1);
  }
}

static torc_slice make_request(const char *user) {
  char name[200];
  uint8_t *der = NULL;
  X509V3_CTX ctx;
  X509_REQ *req = X509_REQ_new();
  EVP_PKEY *key = EVP_EC_gen("P-256");
  STACK_OF(X509_EXTENSION) *list = sk_X509_EXTENSION_new_null();
  (void)snprintf(name, sizeof name, "email:%s", user);
  X509V3_set_ctx(&ctx, NULL, NULL, NULL, NULL, 0);
  X509_EXTENSION *ext = X509V3_EXT_nconf(NULL, &ctx, "subjectAltName", name);
  must(sk_X509_EXTENSION_push(list, ext) > 0 ? 0 : -1, "no extension");
  must(X509_REQ_add_extensions(req, list) == 1 && X509_REQ_set_pubkey(req, key) == 1 &&
               X509_REQ_sign(req, key, EVP_sha256()) > 0
           ? 0
           : -1,
       "no request");
  int len = i2d_X509_REQ(req, &der);
  sk_X509_EXTENSION_pop_free(list, X509_EXTENSION_free);
  X509_REQ_free(req);
  EVP_PKEY_free(key);
  return torc_slice_of(der, (size_t)len);
}

static const char *user_of(const torc_home *h, size_t i) {
  static char user[120];
  (void)snprintf(user, sizeof user, "user%zu@%.80s", i % ACCOUNTS, h->overlay);
  return user;
}

static const char *kind_of(const torc_home *h) {
  return EVP_PKEY_get_base_id(h->issuers[0].key) == EVP_PKEY_RSA ? "rsa" : "ecdsa";
}

static void bench_sign(const torc_home *h) {
  torc_certificate_entry e = {.num_users = 1, .issued = 1700000000, .not_after = 1800000000};
  EVP_PKEY *key = EVP_EC_gen("P-256");
  size_t n = 0;
  (void)snprintf(e.users[0], sizeof e.users[0], "%s", user_of(h, 0));
  memset(e.serial, 7, sizeof e.serial);
  memset(e.peer.b, 7, sizeof e.peer.b);
  double start = measure_now(CLOCK_MONOTONIC);
  double cpu = measure_now(CLOCK_PROCESS_CPUTIME_ID);
  double now = start;
  while (now - start < SECONDS) {
    uint8_t *der = NULL;
    size_t len = 0;
    must(torc_issuer_sign(&h->issuers[0], h->overlay, &e, key, &der, &len), "no signature");
    free(der);
    n++;
    now = measure_now(CLOCK_MONOTONIC);
  }
  cpu = measure_now(CLOCK_PROCESS_CPUTIME_ID) - cpu;
  (void)printf(
      "{\"case\":\"certificate signature\",\"signature\":\"%s\",\"per_s\":%.0f,\"cpu_us\":%.1f}\n",
      kind_of(h), (double)n / (now - start), cpu / (double)n * 1e6);
  EVP_PKEY_free(key);
}

static void add_accounts(torc_home *h) {
  char err[400] = "";
  torc_account *a = calloc(1, sizeof *a);
  for (size_t i = 0; i < ACCOUNTS; i++) {
    a->num_names = 1;
    (void)snprintf(a->name, sizeof a->name, "user%zu", i);
    (void)snprintf(a->names[0], sizeof a->names[0], "%s", user_of(h, i));
    must(torc_registry_add(h->registry, a, err, sizeof err), err);
  }
  free(a);
}

static void bench_enrol(torc_home *h) {
  static torc_slice requests[REQUESTS_MAX];
  torc_enrol enrol;
  must(torc_enrol_init(&enrol), "no lock");
  enrol.overlay = h->overlay;
  enrol.registry = h->registry;
  enrol.audit = h->audit;
  enrol.terms = (torc_enrol_terms){.issuers = h->issuers,
                                   .num_issuers = h->num_issuers,
                                   .policy = {.days = 365, .max_certs = PER_ACCOUNT}};
  size_t n = 0;
  add_accounts(h);
  for (size_t i = 0; i < REQUESTS_MAX; i++) {
    requests[i] = make_request(user_of(h, i));
  }
  double start = measure_now(CLOCK_MONOTONIC);
  double cpu = measure_now(CLOCK_PROCESS_CPUTIME_ID);
  double now = start;
  while (now - start < SECONDS && n < REQUESTS_MAX) {
    char account[32];
    torc_enrol_answer answer;
    (void)snprintf(account, sizeof account, "user%zu", n % ACCOUNTS);
    torc_enrol_account(&enrol, account, requests[n], "127.0.0.1", (torc_wall)time(NULL), &answer);
    must(answer.status == 200 ? 0 : -1, answer.reason);
    torc_enrol_answer_clear(&answer);
    n++;
    now = measure_now(CLOCK_MONOTONIC);
  }
  cpu = measure_now(CLOCK_PROCESS_CPUTIME_ID) - cpu;
  (void)printf(
      "{\"case\":\"enrolment\",\"signature\":\"%s\",\"database\":\"sqlite\",\"per_s\":%.0f,\"cpu_"
      "us\":%.1f}\n",
      kind_of(h), (double)n / (now - start), cpu / (double)n * 1e6);
  for (size_t i = 0; i < REQUESTS_MAX; i++) {
    OPENSSL_free((void *)(uintptr_t)requests[i].p);
  }
}

static void write_requests(const char *dir, const char *user, size_t num) {
  for (size_t i = 0; i < num; i++) {
    char path[600];
    torc_slice request = make_request(user);
    (void)snprintf(path, sizeof path, "%s/%zu.csr", dir, i);
    FILE *f = fopen(path, "wbe");
    must(f != NULL && fwrite(request.p, 1, request.len, f) == request.len ? 0 : -1, path);
    (void)fclose(f);
    OPENSSL_free((void *)(uintptr_t)request.p);
  }
}

int main(int argc, char **argv) {
  char err[400] = "";
  torc_home *h = NULL;
  if (argc == 5 && strcmp(argv[1], "requests") == 0) {
    write_requests(argv[2], argv[3], (size_t)strtoul(argv[4], NULL, 10));
    return 0;
  }
  if (argc != 2) {
    (void)fputs("usage: bench_enrol DIR | requests DIR USER NUM\n", stderr);
    return 2;
  }
  must(torc_home_open(&h, argv[1], TORC_HOME_ALL, err, sizeof err), err);
  bench_sign(h);
  bench_enrol(h);
  torc_home_close(h);
  return 0;
}

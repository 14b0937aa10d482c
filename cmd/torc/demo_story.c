/* The story the demo tells.
 * SPDX-License-Identifier: Apache-2.0 */
#include <openssl/evp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "demo.h"

#define START_TIMEOUT_MS 20000
#define JOIN_TIMEOUT_MS 90000
#define HEAL_TIMEOUT_MS 90000
#define COPY_TIMEOUT_MS 60000

static const char note[] = "The ring remembers this. (a note by alice)";

/* [ARC-17] [D-11]: SHA-256 of the name, its first 16 bytes. */
static int resource_of(const char *name, torc_id *out) {
  uint8_t digest[EVP_MAX_MD_SIZE];
  unsigned len = 0;
  if (EVP_Digest(name, strlen(name), digest, &len, EVP_sha256(), NULL) != 1) {
    return TORC_ERR_CRYPTO;
  }
  memcpy(out->b, digest, TORC_ID_LEN);
  return 0;
}

static void print_ms(const char *before, uint64_t since, const char *after) {
  uint64_t ms = client_now_ms() - since;
  (void)printf("%s%llu.%03llu s%s\n", before, (unsigned long long)(ms / 1000),
               (unsigned long long)(ms % 1000), after);
}

static void print_us(const char *before, const json_t *reply, const char *after) {
  long long us = number_of(reply, "elapsed_us");
  (void)printf("%s%lld.%03lld ms%s\n", before, us / 1000, us % 1000, after);
}

static const demo_peer *peer_named(const demo *d, const char *hex) {
  torc_id id;
  if (torc_id_parse(hex, strlen(hex), &id) != 0) {
    return NULL;
  }
  for (int i = 0; i < d->num_peers; i++) {
    if (torc_id_eq(&d->peers[i].id, &id)) {
      return &d->peers[i];
    }
  }
  return NULL;
}

static const char *name_of(const demo *d, const char *hex) {
  const demo_peer *p = peer_named(d, hex);
  return p == NULL ? "nobody we know" : p->name;
}

/* ---- 1 to 3: authority, enrolment, peers ---- */

static int tell_authority(demo *d) {
  int rc = demo_make_authority(d);
  for (int i = 0; rc == 0 && i < d->num_peers; i++) {
    demo_name(d, i);
    rc = demo_interrupted() ? TORC_ERR_CLOSED : demo_add_account(d, i);
  }
  rc = rc != 0 ? rc : demo_serve(d);
  rc = rc != 0 ? rc : demo_serve_names(d);
  if (rc != 0) {
    return rc;
  }
  (void)printf(
      "\n1. An authority for the overlay %s, and a DNS server that knows it\n"
      "   torc-authority init made a root certificate and the overlay document,\n"
      "   torc-authority user add %d accounts, each with a password. It serves\n"
      "     https://127.0.0.1:%u/p2psip/enroll\n"
      "   and the DNS (knotd, port %u) says where that is:\n"
      "     %s SRV 0 0 %u auth\n",
      DEMO_OVERLAY, d->num_peers, d->https_port, d->dns_port, DEMO_SRV, d->https_port);
  return 0;
}

/* And chooses who will read what alice stores: bob, or the next one who has to ask others. */
static int enrol_all(demo *d, const torc_id *resource) {
  int rc = 0;
  for (int i = 0; rc == 0 && i < d->num_peers; i += DEMO_ENROL_MAX) {
    int left = d->num_peers - i;
    rc = demo_enrol(d, i, left < DEMO_ENROL_MAX ? left : DEMO_ENROL_MAX);
  }
  demo_sort(d);
  d->reader = DEMO_BOB;
  for (int i = DEMO_BOB + 1; i < d->num_peers && demo_is_holder(d, d->reader, resource); i++) {
    d->reader = demo_is_holder(d, i, resource) ? d->reader : i;
  }
  return rc;
}

static int tell_enrolment(demo *d, const torc_id *resource) {
  char hex[TORC_ID_HEX_LEN + 1];
  uint64_t start = client_now_ms();
  (void)printf(
      "\n2. %d users enrol, knowing the overlay's name and their password\n"
      "     torc enroll %s --user alice      (bob, carol, ...)\n"
      "   asks the DNS for that record, gets the overlay document over HTTPS, makes a key\n"
      "   and gets a certificate for it with a random peer-id. Nothing is copied by hand.\n"
      "   (It is told to ask this DNS server and to trust this web certificate.)\n",
      d->num_peers, DEMO_OVERLAY);
  int rc = enrol_all(d, resource);
  if (rc != 0) {
    return rc;
  }
  for (int i = 0; i < d->num_peers; i++) {
    (void)printf("     %-8s is peer %s\n", d->peers[i].name, torc_id_hex(&d->peers[i].id, hex));
  }
  print_ms("   All have what they need after ", start, ". Authority and DNS server are stopped:");
  demo_stop_services(d);
  (void)printf("   nobody needs them from here on.\n");
  return 0;
}

static int tell_start(demo *d) {
  uint64_t start = client_now_ms();
  (void)printf(
      "\n3. %d torcd processes start on 127.0.0.1, each with what its user got\n"
      "   Only the address of bob's peer (port %u) is in the overlay document. Every\n"
      "   link is TLS with certificates on both sides; the peers find each other.\n",
      d->num_peers, d->port);
  int rc = 0;
  for (int i = 0; rc == 0 && i < d->num_peers; i++) {
    rc = demo_write_conf(d, i);
    if (rc == 0) {
      rc = demo_start(d, i);
    }
  }
  for (int i = 0; rc == 0 && i < d->num_peers; i++) {
    rc = demo_connect(d, i, START_TIMEOUT_MS);
  }
  if (rc == 0) {
    rc = demo_wait_whole(d, JOIN_TIMEOUT_MS);
  }
  if (rc != 0) {
    return rc;
  }
  print_ms("   The ring is whole after ", start, ": each peer knows its neighbours.\n");
  demo_draw(d);
  return 0;
}

/* ---- 4 and 5: store, fetch ---- */

static bool holds(demo *d, int peer, const char *user) {
  json_t *reply = d->peers[peer].pid == 0
                      ? NULL
                      : demo_ask(d, peer, json_pack("{s:s, s:s}", "cmd", "resource", "name", user));
  bool held = json_is_true(json_object_get(reply, "held"));
  json_decref(reply);
  return held;
}

/* Prints who holds the note along the ring; the number of them. */
static int print_holders(demo *d, const torc_id *resource) {
  int num = 0;
  int first = 0;
  while (first < d->num_peers && torc_id_cmp(&d->peers[d->order[first]].id, resource) < 0) {
    first++;
  }
  for (int i = 0; i < d->num_peers; i++) {
    int peer = d->order[(first + i) % d->num_peers];
    if (holds(d, peer, d->peers[DEMO_ALICE].user)) {
      (void)printf("     %-8s %s\n", d->peers[peer].name,
                   num == 0 ? "responsible: the next peer clockwise" : "holds a copy");
      num++;
    }
  }
  return num;
}

static int tell_store(demo *d, const torc_id *resource) {
  char hex[TORC_ID_HEX_LEN + 1];
  json_t *reply = demo_ask(
      d, DEMO_ALICE,
      json_pack("{s:s, s:s, s:s, s:s, s:i}", "cmd", "store", "name", d->peers[DEMO_ALICE].user,
                "type", DEMO_TYPE, "value", note, "lifetime_s", 3600));
  if (reply == NULL) {
    return TORC_ERR_REFUSED;
  }
  (void)printf(
      "\n4. alice stores a note under her name, signed with her key\n"
      "   The name's hash is %s. Only her\n"
      "   certificate may write there; every peer that takes the value checks that.\n",
      torc_id_hex(resource, hex));
  print_us("   Answered after ", reply, ", when the copies were made:");
  json_decref(reply);
  int num = print_holders(d, resource);
  if (num < DEMO_HOLDERS) {
    (void)snprintf(d->err, sizeof d->err, "%d peers hold the note, expected 3", num);
    return TORC_ERR_STATE;
  }
  return 0;
}

/* The note as its reader gets it: from whom, signed by whom. */
static int check_note(demo *d, const json_t *reply) {
  const json_t *value = json_array_get(json_object_get(reply, "values"), 0);
  const json_t *signer = json_object_get(value, "signer");
  const char *user = json_string_value(json_array_get(json_object_get(signer, "users"), 0));
  if (strcmp(text_of(value, "value"), note) != 0 || user == NULL ||
      strcmp(user, d->peers[DEMO_ALICE].user) != 0) {
    (void)snprintf(d->err, sizeof d->err, "%s did not get alice's note", d->peers[d->reader].name);
    return TORC_ERR_STATE;
  }
  (void)printf("     \"%s\"\n     signed by %s, the signature holds\n", text_of(value, "value"),
               user);
  (void)printf("     answered by %s", name_of(d, text_of(reply, "responder")));
  print_us(" after ", reply, "");
  return 0;
}

static json_t *fetch_note(demo *d) {
  return demo_ask(d, d->reader,
                  json_pack("{s:s, s:s, s:s}", "cmd", "fetch", "name", d->peers[DEMO_ALICE].user,
                            "type", DEMO_TYPE));
}

static int tell_fetch(demo *d) {
  json_t *reply = fetch_note(d);
  if (reply == NULL) {
    return TORC_ERR_REFUSED;
  }
  (void)printf(
      "\n5. %s fetches it\n   This peer asks along the ring and checks the signature "
      "itself; it trusts no peer.\n",
      d->peers[d->reader].name);
  int rc = check_note(d, reply);
  json_decref(reply);
  return rc;
}

/* ---- 6 to 8: kill, fetch, heal ---- */

/* Two holders that are neighbours, the reader not among them. */
static void choose_victims(const demo *d, const torc_id *resource, int victims[2]) {
  int h[DEMO_HOLDERS];
  demo_holders_of(d, resource, h);
  victims[0] = h[0];
  victims[1] = h[1];
  if (h[0] == d->reader) {
    victims[0] = h[2];
  } else if (h[1] == d->reader) {
    victims[1] = h[2];
  }
}

/* Of three peers bob, the reader, is the last: he looks for others, then founds the ring anew, with
 * what he holds [R-51]. Until then his peer refuses; with more peers alive nothing may be refused.
 */
static json_t *fetch_after_kill(demo *d) {
  uint64_t end = client_now_ms() + HEAL_TIMEOUT_MS;
  bool is_alone = demo_running(d) == 1;
  json_t *reply = fetch_note(d);
  while (reply == NULL && is_alone && client_now_ms() < end && !demo_interrupted()) {
    demo_pause_ms(20);
    reply = fetch_note(d);
  }
  if (reply != NULL && is_alone) {
    (void)printf("   He is alone: his peer looked for others in vain and founded the ring anew.\n");
  }
  return reply;
}

static int tell_kill(demo *d, const torc_id *resource) {
  int victims[2];
  choose_victims(d, resource, victims);
  (void)printf("\n6. Two of the three that hold it are killed (SIGKILL), both at once\n");
  for (int i = 0; i < 2; i++) {
    (void)printf("     %-8s pid %ld\n", d->peers[victims[i]].name, (long)d->peers[victims[i]].pid);
  }
  for (int i = 0; i < 2; i++) {
    (void)kill(d->peers[victims[i]].pid, SIGKILL); /* both before we wait for either */
  }
  for (int i = 0; i < 2; i++) {
    demo_kill(d, victims[i]);
  }
  uint64_t start = client_now_ms();
  (void)printf("\n7. %s fetches again\n", d->peers[d->reader].name);
  json_t *reply = fetch_after_kill(d);
  if (reply == NULL) {
    return TORC_ERR_REFUSED;
  }
  int rc = check_note(d, reply);
  json_decref(reply);
  if (rc == 0) {
    print_ms("   It is still there, ", start, " after the kill.");
  }
  return rc;
}

/* The survivors bring the number of copies up again [CHD-35]. */
static int wait_copies(demo *d, int want) {
  uint64_t end = client_now_ms() + COPY_TIMEOUT_MS;
  int num = 0;
  while (num < want && client_now_ms() < end && !demo_interrupted()) {
    num = 0;
    for (int i = 0; i < d->num_peers; i++) {
      num += holds(d, i, d->peers[DEMO_ALICE].user) ? 1 : 0;
    }
    if (num < want) {
      demo_pause_ms(20);
    }
  }
  if (num < want) {
    (void)snprintf(d->err, sizeof d->err, "only %d peers hold the note again, expected %d", num,
                   want);
    return TORC_ERR_TIMEOUT;
  }
  return 0;
}

static int tell_heal(demo *d, const torc_id *resource) {
  uint64_t start = client_now_ms();
  int left = demo_running(d);
  int rc = demo_wait_whole(d, HEAL_TIMEOUT_MS);
  if (rc == 0) {
    rc = wait_copies(d, left < DEMO_HOLDERS ? left : DEMO_HOLDERS);
  }
  if (rc != 0) {
    return rc;
  }
  (void)printf("\n8. The ring closes over the gap\n");
  print_ms("   Whole again ", start, " later, and the note is held by");
  (void)print_holders(d, resource);
  (void)printf("\n");
  demo_draw(d);
  return 0;
}

static void tell_keep(const demo *d) {
  const demo_peer *p = &d->peers[d->reader];
  (void)printf(
      "\nThe overlay keeps running. Talk to it:\n"
      "  %s/torc ring --socket %s\n"
      "  %s/torc fetch %s --type %s --socket %s\n"
      "  %s/torc store %s 'another note' --type %s --socket %s\n"
      "Logs and sockets are in %s. Stop it:\n  kill",
      d->bin, p->socket, d->bin, d->peers[DEMO_ALICE].user, DEMO_TYPE, p->socket, d->bin, p->user,
      DEMO_TYPE, p->socket, d->dir);
  for (int i = 0; i < d->num_peers; i++) {
    if (d->peers[i].pid > 0) {
      (void)printf(" %ld", (long)d->peers[i].pid);
    }
  }
  (void)printf(" && sleep 1 && rm -r %s\n", d->dir);
}

int demo_tell(demo *d) {
  torc_id resource;
  uint64_t start = client_now_ms();
  (void)printf("A Torc overlay of %d peers on this machine: %s, %s signatures\n", d->num_peers,
               d->algorithm, d->signature);
  int rc = resource_of("alice@" DEMO_OVERLAY, &resource);
  if (rc == 0) {
    rc = demo_find_programs(d);
  }
  if (rc == 0) {
    rc = demo_make_dir(d);
  }
  if (rc == 0) {
    rc = tell_authority(d);
  }
  if (rc == 0) {
    rc = tell_enrolment(d, &resource);
  }
  if (rc == 0) {
    rc = tell_start(d);
  }
  if (rc == 0) {
    rc = tell_store(d, &resource);
  }
  if (rc == 0) {
    rc = tell_fetch(d);
  }
  if (rc == 0) {
    rc = tell_kill(d, &resource);
  }
  if (rc == 0) {
    rc = tell_heal(d, &resource);
  }
  if (rc != 0) {
    return rc;
  }
  print_ms("\nDone in ", start, ": signed, encrypted, stored, fetched, and two crashes survived.");
  if (d->keep) {
    tell_keep(d);
  }
  return 0;
}

/* The services of the demo: an authority over HTTPS, and a DNS server that leads to it.
 * SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <resolv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/cursor.h"
#include "base/slice.h"
#include "demo.h"

#define SERVICE_TIMEOUT_MS 20000
#define DNS_AGAIN_MS 50 /* an unanswered question is asked once more */
#define DNS_RCODE 0x0fu /* of the flags */
#define PORT_TRIES 64   /* for a number that UDP and TCP have free */
#define SERVING " at https://127.0.0.1:"

static int fail(demo *d, const char *what, const char *path) {
  (void)snprintf(d->err, sizeof d->err, "%s %.300s: %s", what, path, strerror(errno));
  return TORC_ERR_IO;
}

/* In the place of %: the absolute name of the demo's directory. Mode 0600. */
static int write_file(demo *d, const char *name, const char *text) {
  char path[DEMO_PATH_MAX];
  (void)snprintf(path, sizeof path, "%s/%s", d->dir, name);
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  FILE *f = fd < 0 ? NULL : fdopen(fd, "w");
  if (f == NULL) {
    if (fd >= 0) {
      (void)close(fd);
    }
    return fail(d, "cannot write", path);
  }
  for (const char *c = text; *c != '\0'; c++) {
    if (*c == '%') {
      (void)fputs(d->full, f);
    } else {
      (void)fputc(*c, f);
    }
  }
  return fclose(f) == 0 ? 0 : fail(d, "cannot write", path);
}

/* ---- the authority ---- */

static int make_web_certificate(demo *d) {
  char key[DEMO_PATH_MAX];
  char cert[DEMO_PATH_MAX];
  char out[2048];
  char *const argv[] = {d->openssl,
                        (char[]){"req"},
                        (char[]){"-x509"},
                        (char[]){"-newkey"},
                        (char[]){"ec"},
                        (char[]){"-pkeyopt"},
                        (char[]){"ec_paramgen_curve:P-256"},
                        (char[]){"-nodes"},
                        (char[]){"-days"},
                        (char[]){"2"},
                        (char[]){"-subj"},
                        (char[]){"/CN=" DEMO_OVERLAY},
                        (char[]){"-addext"},
                        (char[]){"subjectAltName=DNS:" DEMO_OVERLAY},
                        (char[]){"-keyout"},
                        key,
                        (char[]){"-out"},
                        cert,
                        NULL};
  (void)snprintf(key, sizeof key, "%s/web.key", d->dir);
  (void)snprintf(cert, sizeof cert, "%s/web.crt", d->dir);
  return demo_run_tool(d, argv, out, sizeof out);
}

static int start_service(demo *d, demo_service *s, char *const argv[]) {
  (void)snprintf(s->log, sizeof s->log, "%s/%s.log", d->dir, s->name);
  int log = open(s->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (log < 0) {
    return fail(d, "cannot open", s->log);
  }
  s->pid = demo_spawn(d, argv, log, log);
  (void)close(log);
  if (s->pid < 0) {
    s->pid = 0;
    return fail(d, "cannot start", argv[0]);
  }
  return 0;
}

/* Whether it is in vain to wait for a service any longer; then d->err says why. */
static bool is_hopeless(demo *d, demo_service *s, uint64_t end) {
  char line[256];
  bool is_late = client_now_ms() > end;
  if (!demo_has_ended(&s->pid) && !demo_interrupted() && !is_late) {
    return false;
  }
  demo_last_line(s->log, line, sizeof line);
  (void)snprintf(d->err, sizeof d->err, "%s %s: %.200s", s->name,
                 s->pid == 0 ? "has ended" : "does not answer", line);
  return true;
}

/* The port that the system gave it, out of the line it has written; 0: not yet. */
static uint16_t port_in(const char *path) {
  char line[512];
  unsigned long port = 0;
  FILE *f = fopen(path, "re");
  while (f != NULL && port == 0 && fgets(line, sizeof line, f) != NULL) {
    const char *at = strstr(line, SERVING);
    if (at != NULL && strchr(line, '\n') != NULL) {
      port = strtoul(at + strlen(SERVING), NULL, 10);
    }
  }
  if (f != NULL) {
    (void)fclose(f);
  }
  return port > UINT16_MAX ? 0 : (uint16_t)port;
}

int demo_serve(demo *d) {
  static const char conf[] =
      "[https]\nlisten = 127.0.0.1:0\ncert = %/web.crt\nkey = %/web.key\n"
      "[limits]\nrequests-per-minute = 1000\nburst = 1000\n"; /* all come from one address */
  char program[DEMO_PATH_MAX + 32];
  char command[] = "serve";
  char *const argv[] = {program, command, d->authority, NULL};
  uint64_t end = client_now_ms() + SERVICE_TIMEOUT_MS;
  (void)snprintf(program, sizeof program, "%s/torc-authority", d->bin);
  int rc = make_web_certificate(d);
  rc = rc != 0 ? rc : write_file(d, "authority/torc-authority.conf", conf);
  rc = rc != 0 ? rc : start_service(d, &d->service, argv);
  while (rc == 0 && (d->https_port = port_in(d->service.log)) == 0) {
    rc = is_hopeless(d, &d->service, end) ? TORC_ERR_TIMEOUT : 0;
    demo_pause_ms(1);
  }
  return rc;
}

/* ---- the DNS ---- */

/* A number that nobody has at the moment, for UDP and TCP; 0: none was found. */
static uint16_t free_pair(void) {
  uint16_t found = 0;
  for (int i = 0; i < PORT_TRIES && found == 0; i++) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    int udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (udp >= 0 && tcp >= 0 && bind(udp, (struct sockaddr *)&at, len) == 0 &&
        getsockname(udp, (struct sockaddr *)&at, &len) == 0 &&
        bind(tcp, (struct sockaddr *)&at, len) == 0) {
      found = ntohs(at.sin_port);
    }
    (void)close(udp);
    (void)close(tcp);
  }
  return found;
}

/* Asks the server for the SRV record and waits a moment. */
static bool has_record(uint16_t port) {
  uint8_t question[512];
  uint8_t answer[512];
  struct timeval patience = {.tv_usec = DNS_AGAIN_MS * 1000L};
  struct sockaddr_in at = {
      .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int len = res_mkquery(ns_o_query, DEMO_SRV, ns_c_in, ns_t_srv, NULL, 0, NULL, question,
                        sizeof question);
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  bool has = false;
  if (fd >= 0 && len > 0 && connect(fd, (struct sockaddr *)&at, sizeof at) == 0 &&
      setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) == 0 &&
      send(fd, question, (size_t)len, 0) == len) {
    ssize_t n = recv(fd, answer, sizeof answer, 0);
    torc_rd rd;
    torc_rd_init(&rd, torc_slice_of(answer, n > 0 ? (size_t)n : 0));
    torc_rd_skip(&rd, 2); /* id: nobody else knows the port */
    uint16_t flags = torc_rd_u16(&rd);
    torc_rd_skip(&rd, 2);
    uint16_t num_answers = torc_rd_u16(&rd);
    has = rd.err == 0 && (flags & DNS_RCODE) == 0 && num_answers > 0;
  }
  if (fd >= 0) {
    (void)close(fd);
  }
  return has;
}

int demo_serve_names(demo *d) {
  char text[1024];
  char conf[DEMO_PATH_MAX];
  char option[] = "-c";
  char *const argv[] = {d->knotd, option, conf, NULL};
  uint64_t end = client_now_ms() + SERVICE_TIMEOUT_MS;
  (void)snprintf(conf, sizeof conf, "%s/dns.conf", d->dir);
  (void)snprintf(text, sizeof text, "%s/dns", d->dir);
  if (mkdir(text, 0700) != 0) {
    return fail(d, "cannot create", text);
  }
  d->dns_port = free_pair();
  (void)snprintf(text, sizeof text,
                 "$ORIGIN " DEMO_OVERLAY
                 ".\n$TTL 60\n@ SOA ns hostmaster 1 60 60 600 60\n@ NS ns\nns A 127.0.0.1\n"
                 "_p2p_enroll._tcp SRV 0 0 %u auth\nauth A 127.0.0.1\n",
                 d->https_port);
  int rc = write_file(d, "dns.zone", text);
  (void)snprintf(text, sizeof text,
                 "server:\n  rundir: \"%%/dns\"\n  listen: \"127.0.0.1@%u\"\n"
                 "  udp-workers: 1\n  tcp-workers: 1\n  background-workers: 1\n"
                 "log:\n  - target: stderr\n    any: warning\n"
                 "database:\n  storage: \"%%/dns\"\n"
                 "zone:\n  - domain: " DEMO_OVERLAY
                 "\n    file: \"%%/dns.zone\"\n    zonefile-load: whole\n"
                 "    zonefile-sync: -1\n    journal-content: none\n",
                 d->dns_port);
  rc = rc != 0 ? rc : write_file(d, "dns.conf", text);
  rc = rc != 0 ? rc : start_service(d, &d->names, argv);
  while (rc == 0 && !has_record(d->dns_port)) {
    rc = is_hopeless(d, &d->names, end) ? TORC_ERR_TIMEOUT : 0;
    demo_pause_ms(1);
  }
  return rc;
}

/* ---- accounts and enrolment ---- */

/* An account for one user name. What its password is stays in a file, as if it had been told. */
int demo_add_account(demo *d, int peer) {
  demo_peer *p = &d->peers[peer];
  char program[DEMO_PATH_MAX + 32];
  char name[64];
  char out[2048];
  char *const argv[] = {program,
                        (char[]){"user"},
                        (char[]){"add"},
                        d->authority,
                        p->name,
                        (char[]){"--user"},
                        p->user,
                        (char[]){"--generate"},
                        (char[]){"--json"},
                        NULL};
  (void)snprintf(program, sizeof program, "%s/torc-authority", d->bin);
  int rc = demo_run_tool(d, argv, out, sizeof out);
  if (rc != 0) {
    return rc;
  }
  json_t *said = json_loads(out, 0, NULL);
  const char *password = text_of(said, "password");
  (void)snprintf(name, sizeof name, "%s.password", p->name);
  if (password[0] == '\0') {
    (void)snprintf(d->err, sizeof d->err, "torc-authority printed no password for %s", p->name);
    rc = TORC_ERR_FORMAT;
  } else {
    rc = write_file(d, name, password);
  }
  json_decref(said);
  return rc;
}

/* Starts `torc enroll`; its output goes to a file. */
static int start_enrolling(demo *d, demo_peer *p) {
  char program[DEMO_PATH_MAX + 32];
  char password[DEMO_PATH_MAX];
  char resolver[32];
  char ca[DEMO_PATH_MAX];
  char *const argv[] = {program,
                        (char[]){"enroll"},
                        (char[]){DEMO_OVERLAY},
                        (char[]){"--user"},
                        p->name,
                        (char[]){"--password-file"},
                        password,
                        (char[]){"--dir"},
                        p->dir,
                        (char[]){"--resolver"},
                        resolver,
                        (char[]){"--ca-file"},
                        ca,
                        (char[]){"--json"},
                        NULL};
  (void)snprintf(program, sizeof program, "%s/torc", d->bin);
  (void)snprintf(password, sizeof password, "%s/%s.password", d->dir, p->name);
  (void)snprintf(resolver, sizeof resolver, "127.0.0.1@%u", d->dns_port);
  (void)snprintf(ca, sizeof ca, "%s/web.crt", d->dir);
  int out = open(p->enrolled, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (out < 0) {
    return fail(d, "cannot open", p->enrolled);
  }
  p->pid = demo_spawn(d, argv, out, out);
  (void)close(out);
  if (p->pid < 0) {
    p->pid = 0;
    return fail(d, "cannot start", program);
  }
  return 0;
}

/* Waits for it and takes the peer-id out of what it printed. Who fails first is told of. */
static int end_enrolling(demo *d, demo_peer *p, bool is_told) {
  char text[2048];
  bool is_good = demo_wait(&p->pid) == 0;
  FILE *f = fopen(p->enrolled, "re");
  size_t len = f == NULL ? 0 : fread(text, 1, sizeof text - 1, f);
  text[len] = '\0';
  if (f != NULL) {
    (void)fclose(f);
  }
  json_t *said = is_good ? json_loads(text, 0, NULL) : NULL;
  const char *hex = text_of(said, "peer");
  int rc = torc_id_parse(hex, strlen(hex), &p->id);
  json_decref(said);
  if (rc != 0 && is_told) {
    text[strcspn(text, "\n")] = '\0';
    (void)snprintf(d->err, sizeof d->err, "torc enroll %s --user %s failed: %.300s", DEMO_OVERLAY,
                   p->name, text);
  }
  return rc;
}

int demo_enrol(demo *d, int first, int num) {
  int rc = 0;
  for (int i = first; rc == 0 && i < first + num; i++) {
    rc = demo_interrupted() ? TORC_ERR_CLOSED : start_enrolling(d, &d->peers[i]);
  }
  for (int i = first; i < first + num; i++) {
    if (d->peers[i].pid > 0) {
      int failed = end_enrolling(d, &d->peers[i], rc == 0);
      rc = rc != 0 ? rc : failed;
    }
  }
  return rc;
}

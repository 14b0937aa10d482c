/* torc connect, listen, tunnel: connections and messages of applications.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <openssl/evp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "app_client.h"

#define CHILDREN_MAX 64 /* connections that one torc listen serves at once */
#define MESSAGE_MAX 65000

/* ---- standard input and output ---- */

/* Bytes between the connection and this program's standard input and output; the exit code. */
static int pipe_bytes(client *c, int fd, const char *connection) {
  pump p = {.flows = {{.from = STDIN_FILENO, .to = fd, .to_socket = true},
                      {.from = fd, .to = STDOUT_FILENO}},
            .control = c,
            .connection = connection};
  (void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
  /* Nobody at a terminal is to type into what has ended. */
  int rc = pump_run(&p, isatty(STDIN_FILENO) == 1);
  bool is_lost = p.flows[1].is_broken;
  (void)close(fd);
  if (rc != 0) {
    (void)fprintf(stderr, "torc: %s\n", torc_strerror(rc));
    return EXIT_FAILURE;
  }
  if (is_lost) {
    (void)fputs("torc: cannot write to standard output\n", stderr);
    return EXIT_FAILURE;
  }
  if (p.is_cut) {
    (void)fprintf(stderr, "torc: %s\n", p.why);
    return EXIT_FAILURE;
  }
  if (!p.is_closed) {
    int sent = client_send(c, json_pack("{s:s, s:s}", "cmd", "end", "connection", connection));
    json_t *line = NULL; /* it is ended when torcd has answered */
    rc = sent != 0 ? sent : client_next(c, CLIENT_TIMEOUT_MS, &line);
    json_decref(line);
  }
  return rc == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* ---- torc connect --application ---- */

static json_t *connect_once(client *c, const char *peer, unsigned application, char *err,
                            size_t err_cap) {
  json_t *reply = NULL;
  json_t *request = json_pack("{s:s, s:[s], s:i}", "cmd", "connect", "route", peer, "application",
                              (int)application);
  if (client_call(c, request, CLIENT_TIMEOUT_MS, &reply, err, err_cap) != 0) {
    return NULL;
  }
  if (!json_is_true(json_object_get(reply, "ok"))) {
    (void)snprintf(err, err_cap, "%s", text_of(reply, "error"));
    json_decref(reply);
    return NULL;
  }
  return reply;
}

int command_connect_application(client *c, const args *a) {
  const char *whom = a->words[0];
  unsigned application = application_of(a, "connect");
  devices d;
  json_t *reply = NULL;
  if (application == 0) {
    return EXIT_USAGE;
  }
  int rc = devices_find(c, a, whom, &d);
  if (rc != EXIT_SUCCESS) {
    return rc;
  }
  for (size_t i = 0; i < d.num && reply == NULL; i++) {
    char err[512] = "";
    reply = connect_once(c, d.peers[i], application, err, sizeof err);
    if (reply == NULL) {
      (void)fprintf(stderr, "torc: could not connect to %s (device %zu of %zu, peer %s): %s\n",
                    whom, i + 1, d.num, d.peers[i], err);
    } else if (strcmp(whom, d.peers[i]) != 0) {
      (void)fprintf(stderr, "torc: connected with %s (device %zu of %zu, peer %s)\n", whom, i + 1,
                    d.num, d.peers[i]);
    }
  }
  if (reply == NULL) {
    return EXIT_NO_PEER;
  }
  const char *connection = text_of(reply, "connection");
  int fd = carry(a, connection);
  rc = fd < 0 ? EXIT_FAILURE : pipe_bytes(c, fd, connection);
  json_decref(reply);
  return rc;
}

/* ---- torc listen ---- */

typedef struct child {
  pid_t pid; /* 0: free */
  int fd; /* kept until the child is through, so that its end is not taken for the connection's */
  char connection[32], peer[DEVICE_TEXT];
} child;

typedef struct listener {
  client *c;
  const args *a;
  unsigned application;
  child children[CHILDREN_MAX];
} listener;

static int child_signal[2] = {-1, -1}; /* written by the signal handler */

static void on_child(int number) {
  int before = errno;
  (void)number;
  (void)!write(child_signal[1], "", 1);
  errno = before;
}

/* The names, with a space between two. */
static char *join_users(const json_t *users) {
  size_t cap = 1;
  size_t len = 0;
  for (size_t i = 0; i < json_array_size(users); i++) {
    cap += json_string_length(json_array_get(users, i)) + 1;
  }
  char *text = calloc(1, cap);
  for (size_t i = 0; text != NULL && i < json_array_size(users); i++) {
    const char *name = json_string_value(json_array_get(users, i));
    int n = snprintf(text + len, cap - len, "%s%s", i == 0 ? "" : " ", name == NULL ? "" : name);
    len += n > 0 ? (size_t)n : 0;
  }
  return text;
}

static void run_program(const listener *l, const json_t *event, int fd) {
  char number[8];
  char *users = join_users(json_object_get(event, "users"));
  (void)snprintf(number, sizeof number, "%u", l->application);
  (void)setenv("TORC_PEER", text_of(event, "peer"), 1);
  (void)setenv("TORC_USERS", users == NULL ? "" : users, 1);
  (void)setenv("TORC_APPLICATION", number, 1);
  (void)signal(SIGPIPE, SIG_DFL);
  if (dup2(fd, STDIN_FILENO) >= 0 && dup2(fd, STDOUT_FILENO) >= 0) {
    (void)execl("/bin/sh", "sh", "-c", l->a->exec, (char *)NULL);
  }
  (void)fprintf(stderr, "torc: cannot run a shell: %s\n", strerror(errno));
  _exit(127);
}

/* HOST:PORT, [IPv6]:PORT. */
static bool split_address(const char *text, char host[256], char port[8]) {
  const char *colon = strrchr(text, ':');
  size_t len = colon == NULL ? 0 : (size_t)(colon - text);
  if (len == 0 || len >= 256 || strlen(colon + 1) == 0 || strlen(colon + 1) >= 8) {
    return false;
  }
  if (text[0] == '[' && text[len - 1] == ']') {
    text++;
    len -= 2;
  }
  memcpy(host, text, len);
  host[len] = '\0';
  (void)snprintf(port, 8, "%s", colon + 1);
  return strspn(port, "0123456789") == strlen(port);
}

static int dial(const char *address) {
  char host[256];
  char port[8];
  struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
  struct addrinfo *list = NULL;
  int fd = -1;
  int why = 0;
  if (!split_address(address, host, port) || getaddrinfo(host, port, &hints, &list) != 0) {
    (void)fprintf(stderr, "torc: %s is no address that can be dialled\n", address);
    return -1;
  }
  for (struct addrinfo *i = list; i != NULL && fd < 0; i = i->ai_next) {
    fd = socket(i->ai_family, i->ai_socktype | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, i->ai_addr, i->ai_addrlen) != 0) {
      why = errno;
      (void)close(fd);
      fd = -1;
    }
  }
  freeaddrinfo(list);
  if (fd < 0) {
    (void)fprintf(stderr, "torc: cannot connect to %s: %s\n", address, strerror(why));
  }
  return fd;
}

/* The program at the other end of `socket` is to see a death as one. */
static void set_reset(int fd, bool on) {
  struct linger how = {.l_onoff = on, .l_linger = 0};
  (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &how, sizeof how);
}

static void run_bridge(const listener *l, int fd) {
  int out = dial(l->a->to);
  if (out < 0) {
    _exit(1);
  }
  pump p = {.flows = {{.from = fd, .to = out, .to_socket = true},
                      {.from = out, .to = fd, .to_socket = true}}};
  (void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
  (void)fcntl(out, F_SETFL, fcntl(out, F_GETFL) | O_NONBLOCK);
  set_reset(out, true);
  int rc = pump_run(&p, false);
  bool is_fine = rc == 0 && !p.flows[0].is_broken && !p.flows[1].is_broken;
  set_reset(out, !is_fine);
  _exit(is_fine ? 0 : 1);
}

static void end_connection(const listener *l, const char *connection, bool is_cut) {
  if (client_send(l->c, json_pack("{s:s, s:s, s:b}", "cmd", "end", "connection", connection, "cut",
                                  is_cut)) != 0) {
    (void)fputs("torc: torcd takes no request\n", stderr);
  }
}

static void serve(listener *l, const json_t *event) {
  const char *connection = text_of(event, "connection");
  child *free_one = NULL;
  for (size_t i = 0; i < CHILDREN_MAX && free_one == NULL; i++) {
    free_one = l->children[i].pid == 0 ? &l->children[i] : NULL;
  }
  int fd = free_one == NULL ? -1 : carry(l->a, connection);
  pid_t pid = fd < 0 ? -1 : fork();
  if (pid == 0) {
    (void)signal(SIGCHLD, SIG_DFL);
    if (l->a->exec != NULL) {
      run_program(l, event, fd);
    }
    run_bridge(l, fd);
  }
  if (pid < 0) {
    (void)fprintf(stderr, "torc: the connection of peer %s was refused: %s\n",
                  text_of(event, "peer"),
                  free_one == NULL ? "64 are being served" : "it could not be taken");
    if (fd >= 0) {
      (void)close(fd);
    }
    end_connection(l, connection, true);
    return;
  }
  *free_one = (child){.pid = pid, .fd = fd};
  (void)snprintf(free_one->connection, sizeof free_one->connection, "%s", connection);
  (void)snprintf(free_one->peer, sizeof free_one->peer, "%s", text_of(event, "peer"));
}

/* A program that is through has written everything; whether it has read everything is its affair.
 */
static void reap(listener *l) {
  int status = 0;
  pid_t pid = 0;
  char byte[64];
  (void)!read(child_signal[0], byte, sizeof byte);
  while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
    for (size_t i = 0; i < CHILDREN_MAX; i++) {
      child *k = &l->children[i];
      if (k->pid != pid) {
        continue;
      }
      bool is_fine = WIFEXITED(status) && (l->a->exec != NULL || WEXITSTATUS(status) == 0);
      if (k->connection[0] != '\0') {
        (void)shutdown(k->fd, SHUT_WR);
        end_connection(l, k->connection, !is_fine);
      }
      (void)close(k->fd);
      *k = (child){.pid = 0};
    }
  }
}

static void on_closed(listener *l, const json_t *event) {
  bool is_cut = !json_is_true(json_object_get(event, "ok"));
  for (size_t i = 0; i < CHILDREN_MAX; i++) {
    child *k = &l->children[i];
    if (k->pid == 0 || strcmp(k->connection, text_of(event, "connection")) != 0) {
      continue;
    }
    k->connection[0] = '\0';
    if (is_cut) {
      (void)fprintf(stderr, "torc: with peer %s: %s\n", k->peer, text_of(event, "error"));
      (void)kill(k->pid, SIGHUP); /* as a terminal that goes away */
    }
  }
}

static int serve_many(listener *l) {
  struct sigaction action = {.sa_handler = on_child, .sa_flags = SA_RESTART | SA_NOCLDSTOP};
  if (pipe2(child_signal, O_CLOEXEC | O_NONBLOCK) != 0 || sigaction(SIGCHLD, &action, NULL) != 0) {
    (void)fprintf(stderr, "torc: %s\n", strerror(errno));
    return EXIT_FAILURE;
  }
  for (;;) {
    json_t *line = NULL;
    struct pollfd fds[2] = {{.fd = l->c->fd, .events = POLLIN},
                            {.fd = child_signal[0], .events = POLLIN}};
    if (!client_has_line(l->c) && poll(fds, 2, -1) < 0 && errno != EINTR) {
      return EXIT_FAILURE;
    }
    if (fds[1].revents != 0) {
      reap(l);
    }
    if (!client_has_line(l->c) && fds[0].revents == 0) {
      continue;
    }
    if (client_next(l->c, 0, &line) != 0) {
      (void)fprintf(stderr, "torc: torcd at %s is gone\n", l->c->path);
      return EXIT_FAILURE;
    }
    if (strcmp(text_of(line, "event"), "connection") == 0) {
      serve(l, line);
    } else if (strcmp(text_of(line, "event"), "closed") == 0) {
      on_closed(l, line);
    }
    json_decref(line);
  }
}

/* The next event of that name; the others are passed over. NULL: torcd is gone. */
static json_t *wait_event(client *c, const char *name) {
  for (;;) {
    json_t *line = NULL;
    if (client_next(c, -1, &line) != 0) {
      (void)fprintf(stderr, "torc: torcd at %s is gone\n", c->path);
      return NULL;
    }
    if (strcmp(text_of(line, "event"), name) == 0) {
      return line;
    }
    json_decref(line);
  }
}

static int serve_one(listener *l) {
  json_t *event = wait_event(l->c, "connection");
  if (event == NULL) {
    return EXIT_FAILURE;
  }
  const char *connection = text_of(event, "connection");
  (void)fprintf(stderr, "torc: connection of peer %s\n", text_of(event, "peer"));
  int rc = client_send(l->c, json_pack("{s:s, s:i, s:b}", "cmd", "listen", "application",
                                       (int)l->application, "on", 0));
  int fd = rc != 0 ? -1 : carry(l->a, connection);
  rc = fd < 0 ? EXIT_FAILURE : pipe_bytes(l->c, fd, connection);
  json_decref(event);
  return rc;
}

/* Tells torcd to listen; false: a complaint was printed. */
static bool begin_listening(client *c, const args *a, unsigned application, bool is_tunnel) {
  json_t *request = json_pack("{s:s, s:i, s:b}", "cmd", "listen", "application", (int)application,
                              "tunnel", is_tunnel);
  json_t *reply = call_or_report(c, a, request, "listen");
  bool is_fine = reply != NULL;
  json_decref(reply);
  if (is_fine) {
    (void)fprintf(stderr, "torc: listening for application %u\n", application);
  }
  return is_fine;
}

int command_listen(client *c, const args *a) {
  static listener l; /* its table of children is not for the stack */
  char host[256];
  char port[8];
  unsigned application = application_of(a, "listen");
  if (application == 0) {
    return EXIT_USAGE;
  }
  if (a->exec != NULL && a->to != NULL) {
    (void)fputs("torc listen: --exec and --to exclude each other\n", stderr);
    return EXIT_USAGE;
  }
  if (a->to != NULL && !split_address(a->to, host, port)) {
    (void)fprintf(stderr, "torc: --to '%s': expected HOST:PORT\n", a->to);
    return EXIT_USAGE;
  }
  l = (listener){.c = c, .a = a, .application = application};
  if (!begin_listening(c, a, application, false)) {
    return EXIT_FAILURE;
  }
  return a->exec != NULL || a->to != NULL ? serve_many(&l) : serve_one(&l);
}

/* ---- torc tunnel ---- */

static int print_tunnel(const args *a, const json_t *event) {
  if (a->json) {
    char *text = json_dumps(event, JSON_COMPACT);
    int rc = text == NULL || puts(text) < 0 || fflush(stdout) != 0 ? EXIT_FAILURE : EXIT_SUCCESS;
    free(text);
    return rc;
  }
  size_t len = 0;
  unsigned char *bytes = bytes_of(event, "message", &len);
  char *users = join_users(json_object_get(event, "users"));
  (void)fprintf(stderr, "torc: from %s%s(peer %s), dialog %s\n", users == NULL ? "" : users,
                users == NULL || users[0] == '\0' ? "" : " ", text_of(event, "peer"),
                text_of(event, "dialog"));
  bool is_fine = bytes != NULL && fwrite(bytes, 1, len, stdout) == len && putchar('\n') >= 0 &&
                 fflush(stdout) == 0;
  free(users);
  free(bytes);
  return is_fine ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int tunnel_listen(client *c, const args *a, unsigned application) {
  int rc = begin_listening(c, a, application, true) ? EXIT_SUCCESS : EXIT_FAILURE;
  while (rc == EXIT_SUCCESS) {
    json_t *event = wait_event(c, "tunnel");
    rc = event == NULL ? EXIT_FAILURE : print_tunnel(a, event);
    json_decref(event);
  }
  return rc;
}

typedef struct tunnel {
  client *c;
  const args *a;
  const char *whom;
  unsigned application;
  devices d;
  size_t at; /* the device that took the last message */
  bool is_fixed;
  char dialog[64];
} tunnel;

static json_t *put_message(json_t *request, const char *bytes, size_t len) {
  char *text = malloc((len + 2) / 3 * 4 + 1);
  if (text != NULL) {
    (void)EVP_EncodeBlock((unsigned char *)text, (const unsigned char *)bytes, (int)len);
    (void)json_object_set_new(request, "message_base64", json_string(text));
  }
  free(text);
  return request;
}

/* To the first device that takes it; the next ones go there, too [TUN-04]. */
static int send_message(tunnel *t, const char *bytes, size_t len) {
  for (;;) {
    char err[512] = "";
    json_t *reply = NULL;
    const char *peer = t->d.peers[t->at];
    json_t *request = json_pack("{s:s, s:[s], s:i, s:s}", "cmd", "tunnel", "route", peer,
                                "application", (int)t->application, "dialog", t->dialog);
    int rc = client_call(t->c, put_message(request, bytes, len), CLIENT_TIMEOUT_MS, &reply, err,
                         sizeof err);
    if (rc == 0 && json_is_true(json_object_get(reply, "ok"))) {
      json_decref(reply);
      if (!t->is_fixed && strcmp(t->whom, peer) != 0) {
        (void)fprintf(stderr, "torc: %s took it (device %zu of %zu, peer %s)\n", t->whom, t->at + 1,
                      t->d.num, peer);
      }
      t->is_fixed = true;
      return EXIT_SUCCESS;
    }
    (void)fprintf(stderr, "torc: could not tunnel to %s (device %zu of %zu, peer %s): %s\n",
                  t->whom, t->at + 1, t->d.num, peer, rc != 0 ? err : text_of(reply, "error"));
    json_decref(reply);
    t->at++;
    if (t->is_fixed || t->at == t->d.num || rc != 0) {
      return EXIT_NO_PEER;
    }
  }
}

static int send_lines(tunnel *t) {
  char *line = NULL;
  size_t cap = 0;
  ssize_t len = 0;
  int rc = EXIT_SUCCESS;
  while (rc == EXIT_SUCCESS && (len = getline(&line, &cap, stdin)) >= 0) {
    size_t used = len > 0 && line[len - 1] == '\n' ? (size_t)len - 1 : (size_t)len;
    rc = send_message(t, line, used);
  }
  free(line);
  return rc;
}

static int send_all(tunnel *t) {
  static char bytes[MESSAGE_MAX + 1];
  size_t len = fread(bytes, 1, sizeof bytes, stdin);
  if (len > MESSAGE_MAX) {
    (void)fprintf(stderr,
                  "torc tunnel: a message has at most %d bytes; for more, connect "
                  "(torc connect --application)\n",
                  MESSAGE_MAX);
    return EXIT_FAILURE;
  }
  return send_message(t, bytes, len);
}

int command_tunnel(client *c, const args *a) {
  unsigned application = application_of(a, "tunnel");
  if (application == 0) {
    return EXIT_USAGE;
  }
  if (a->listen != (a->num_words == 0)) {
    (void)fputs("torc tunnel: give either USER|ID, or --listen\n", stderr);
    return EXIT_USAGE;
  }
  if (a->listen) {
    return tunnel_listen(c, a, application);
  }
  tunnel t = {.c = c, .a = a, .whom = a->words[0], .application = application};
  if (a->dialog != NULL && strlen(a->dialog) >= sizeof t.dialog) {
    (void)fprintf(stderr, "torc: --dialog '%s': expected at most 63 bytes\n", a->dialog);
    return EXIT_USAGE;
  }
  (void)snprintf(t.dialog, sizeof t.dialog, "%s", a->dialog == NULL ? "" : a->dialog);
  int rc = devices_find(c, a, t.whom, &t.d);
  if (rc != EXIT_SUCCESS) {
    return rc;
  }
  return a->lines ? send_lines(&t) : send_all(&t);
}

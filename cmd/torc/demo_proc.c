/* Processes of the demo: each one started here is ended here.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "demo.h"

#define LEAVE_WAIT_MS 8000 /* a peer gives up its LEAVE after 3 s, torcd after 5 */

static volatile sig_atomic_t interrupted; /* set by a signal, the only way in */

static void on_signal(int number) {
  (void)number;
  interrupted = 1;
}

void demo_watch_signals(void) {
  struct sigaction action = {.sa_handler = on_signal};
  (void)sigemptyset(&action.sa_mask);
  (void)sigaction(SIGINT, &action, NULL);
  (void)sigaction(SIGTERM, &action, NULL);
  (void)sigaction(SIGHUP, &action, NULL);
}

bool demo_interrupted(void) {
  return interrupted != 0;
}

void demo_pause_ms(int ms) {
  struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000L};
  (void)nanosleep(&t, NULL);
}

/* Also where programs of the system lie that not everybody has in PATH. */
static int find_tool(demo *d, const char *name, const char *package, char out[DEMO_PATH_MAX]) {
  const char *path = getenv("PATH");
  char dirs[4096];
  char *rest = NULL;
  (void)snprintf(dirs, sizeof dirs, "%.3900s:/usr/local/sbin:/usr/sbin:/usr/bin",
                 path == NULL ? "" : path);
  for (char *dir = strtok_r(dirs, ":", &rest); dir != NULL; dir = strtok_r(NULL, ":", &rest)) {
    int n = snprintf(out, DEMO_PATH_MAX, "%s/%s", dir, name);
    if (n < DEMO_PATH_MAX && access(out, X_OK) == 0) {
      return 0;
    }
  }
  (void)snprintf(d->err, sizeof d->err, "%s is missing: install the package %s", name, package);
  return TORC_ERR_NOTFOUND;
}

/* torcd and torc-authority lie beside this program. */
int demo_find_programs(demo *d) {
  static const char *const names[] = {"torcd", "torc-authority"};
  char path[DEMO_PATH_MAX + 32];
  ssize_t n = readlink("/proc/self/exe", d->bin, sizeof d->bin - 1);
  if (n <= 0) {
    (void)snprintf(d->err, sizeof d->err, "cannot tell where this program lies (/proc/self/exe)");
    return TORC_ERR_IO;
  }
  d->bin[n] = '\0';
  char *slash = strrchr(d->bin, '/');
  if (slash != NULL) {
    *slash = '\0';
  }
  for (size_t i = 0; i < 2; i++) {
    (void)snprintf(path, sizeof path, "%s/%s", d->bin, names[i]);
    if (access(path, X_OK) != 0) {
      (void)snprintf(d->err, sizeof d->err, "%.400s is missing; build it, or install all of Torc",
                     path);
      return TORC_ERR_NOTFOUND;
    }
  }
  int rc = find_tool(d, "knotd", "knot", d->knotd);
  return rc != 0 ? rc : find_tool(d, "openssl", "openssl", d->openssl);
}

/* In the child: dies with the demo unless the overlay is to be kept, in a process group of its own
 * so that Ctrl-C reaches it through us only. */
static void become(char *const argv[], int out, int err, bool dies_with_parent, pid_t parent) {
  (void)setpgid(0, 0);
  if (dies_with_parent) {
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) {
      _exit(127);
    }
  }
  int null = open("/dev/null", O_RDWR);
  if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0 ||
      dup2(err, STDERR_FILENO) < 0) {
    _exit(127);
  }
  (void)execv(argv[0], argv);
  _exit(127);
}

/* Signals wait until the child has its own ways with them: one that our handler took there would be
 * lost. */
pid_t demo_spawn(const demo *d, char *const argv[], int out, int err) {
  pid_t parent = getpid();
  sigset_t all;
  sigset_t before;
  (void)sigfillset(&all);
  (void)sigprocmask(SIG_BLOCK, &all, &before);
  pid_t pid = fork();
  if (pid == 0) {
    (void)signal(SIGINT, SIG_DFL);
    (void)signal(SIGTERM, SIG_DFL);
    (void)signal(SIGHUP, SIG_DFL);
    (void)signal(SIGPIPE, SIG_DFL);
    (void)sigprocmask(SIG_SETMASK, &before, NULL);
    become(argv, out, err, !d->keep, parent);
  }
  (void)sigprocmask(SIG_SETMASK, &before, NULL);
  return pid;
}

static pid_t wait_for(pid_t pid, int *status) {
  pid_t got = 0;
  do {
    got = waitpid(pid, status, 0);
  } while (got < 0 && errno == EINTR);
  return got;
}

int demo_wait(pid_t *pid) {
  int status = -1;
  while (*pid > 0 && waitpid(*pid, &status, WNOHANG) == 0) {
    if (interrupted != 0) {
      (void)kill(*pid, SIGKILL);
    }
    demo_pause_ms(1);
  }
  *pid = 0;
  return status;
}

bool demo_has_ended(pid_t *pid) {
  int status = 0;
  if (*pid > 0 && waitpid(*pid, &status, WNOHANG) == *pid) {
    *pid = 0;
  }
  return *pid == 0;
}

int demo_run_tool(demo *d, char *const argv[], char *out, size_t out_cap) {
  int ends[2];
  int status = -1;
  size_t len = 0;
  if (pipe2(ends, O_CLOEXEC) != 0) {
    (void)snprintf(d->err, sizeof d->err, "cannot make a pipe: %s", strerror(errno));
    return TORC_ERR_IO;
  }
  pid_t pid = demo_spawn(d, argv, ends[1], ends[1]);
  (void)close(ends[1]);
  while (pid > 0) {
    ssize_t n = read(ends[0], out + len, out_cap - 1 - len);
    if (n < 0 && errno == EINTR) {
      continue;
    }
    if (n <= 0) {
      break;
    }
    len += (size_t)n;
  }
  out[len] = '\0';
  (void)close(ends[0]);
  if (pid < 0 || wait_for(pid, &status) < 0 || status != 0) {
    (void)snprintf(d->err, sizeof d->err, "%s %s failed: %.300s", argv[0], argv[1], out);
    return TORC_ERR_IO;
  }
  return 0;
}

int demo_start(demo *d, int peer) {
  demo_peer *p = &d->peers[peer];
  char program[DEMO_PATH_MAX + 32];
  char config[] = "--config";
  (void)snprintf(program, sizeof program, "%s/torcd", d->bin);
  int log = open(p->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (log < 0) {
    (void)snprintf(d->err, sizeof d->err, "cannot open %s: %s", p->log, strerror(errno));
    return TORC_ERR_IO;
  }
  char *const argv[] = {program, config, p->conf, NULL};
  p->pid = demo_spawn(d, argv, log, log);
  (void)close(log);
  if (p->pid < 0) {
    p->pid = 0;
    (void)snprintf(d->err, sizeof d->err, "cannot start torcd: %s", strerror(errno));
    return TORC_ERR_IO;
  }
  return 0;
}

static void disconnect(demo_peer *p) {
  if (p->is_connected) {
    client_close(&p->control);
    p->is_connected = false;
  }
}

void demo_leave_running(demo *d) {
  for (int i = 0; i < d->num_peers; i++) {
    disconnect(&d->peers[i]);
  }
}

static void kill_now(pid_t *pid) {
  if (*pid > 0) {
    (void)kill(*pid, SIGKILL);
    (void)demo_wait(pid);
  }
}

void demo_kill(demo *d, int peer) {
  demo_peer *p = &d->peers[peer];
  kill_now(&p->pid);
  disconnect(p);
}

void demo_stop_services(demo *d) {
  uint64_t end = client_now_ms() + LEAVE_WAIT_MS;
  demo_service *const all[] = {&d->service, &d->names};
  for (size_t i = 0; i < 2; i++) {
    if (all[i]->pid > 0) {
      (void)kill(all[i]->pid, SIGTERM);
    }
  }
  for (size_t i = 0; i < 2; i++) {
    while (!demo_has_ended(&all[i]->pid) && client_now_ms() < end) {
      demo_pause_ms(1);
    }
    kill_now(&all[i]->pid);
  }
}

void demo_stop_all(demo *d) {
  uint64_t end = client_now_ms() + LEAVE_WAIT_MS;
  bool all_gone = false;
  for (int i = 0; i < d->num_peers; i++) {
    disconnect(&d->peers[i]);
    if (d->peers[i].pid > 0) {
      (void)kill(d->peers[i].pid, SIGTERM);
    }
  }
  while (!all_gone && client_now_ms() < end) {
    all_gone = true;
    for (int i = 0; i < d->num_peers; i++) {
      all_gone = demo_has_ended(&d->peers[i].pid) && all_gone;
    }
    if (!all_gone) {
      demo_pause_ms(10);
    }
  }
  for (int i = 0; i < d->num_peers; i++) {
    demo_kill(d, i);
  }
  demo_stop_services(d);
}

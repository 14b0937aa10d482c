/* SPDX-License-Identifier: Apache-2.0 */
#include "io/apart.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/slice.h"
#include "io/err.h"

#define EXIT_FAILED 1 /* the child has no answer; otherwise it ends with 0 */

static bool write_all(int fd, torc_slice s) {
  while (s.len > 0) {
    ssize_t n = write(fd, s.p, s.len);
    if (n < 0 && errno == EINTR) {
      continue;
    }
    if (n <= 0) {
      return false;
    }
    s = torc_slice_of(s.p + n, s.len - (size_t)n);
  }
  return true;
}

/* The child. The answer is one byte, the negated result, and the reply. */
static _Noreturn void serve(int fd, int (*work)(void *ctx, torc_buf *reply), void *ctx,
                            size_t max) {
  torc_buf reply;
  sigset_t none;
  (void)signal(SIGALRM, SIG_DFL);
  (void)sigemptyset(&none);
  (void)sigprocmask(SIG_SETMASK, &none, NULL);
  (void)alarm(TORC_APART_SECONDS);
  torc_buf_init(&reply, torc_mem_libc(), max);
  uint8_t rc = (uint8_t)-work(ctx, &reply);
  bool is_out = write_all(fd, torc_slice_of(&rc, 1)) && write_all(fd, torc_buf_slice(&reply));
  _exit(is_out ? 0 : EXIT_FAILED); /* nothing of the parent's is flushed or closed a second time */
}

static int read_all(int fd, torc_buf *reply, int *rc) {
  uint8_t bytes[4096];
  bool has_rc = false;
  for (;;) {
    ssize_t n = read(fd, bytes, sizeof bytes);
    if (n < 0 && errno == EINTR) {
      continue;
    }
    if (n < 0) {
      return TORC_ERR_IO;
    }
    if (n == 0) {
      return has_rc ? 0 : TORC_ERR_SHORT;
    }
    size_t skip = has_rc ? 0 : 1;
    if (!has_rc) {
      *rc = -(int)bytes[0];
      has_rc = true;
    }
    int failed = torc_buf_append(reply, torc_slice_of(bytes + skip, (size_t)n - skip));
    if (failed != 0) {
      return failed;
    }
  }
}

/* How the child ended; 0 also if somebody else here has already waited for it. */
static int wait_for(pid_t pid) {
  int status = 0;
  pid_t got = 0;
  do {
    got = waitpid(pid, &status, 0);
  } while (got < 0 && errno == EINTR);
  return got == pid ? status : 0;
}

static int child_fault(int status, const char *what, char *err, size_t err_cap) {
  if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM) {
    return torc_fail(TORC_ERR_IO, err, err_cap, "%s takes longer than %d seconds", what,
                     TORC_APART_SECONDS);
  }
  if (WIFSIGNALED(status)) {
    return torc_fail(TORC_ERR_IO, err, err_cap, "%s: the process doing it was ended by signal %d",
                     what, WTERMSIG(status));
  }
  return torc_fail(TORC_ERR_IO, err, err_cap, "%s: the process doing it ended without an answer",
                   what);
}

int torc_apart_run(int (*work)(void *ctx, torc_buf *reply), void *ctx, torc_buf *reply,
                   const char *what, char *err, size_t err_cap) {
  int fds[2];
  if (pipe2(fds, O_CLOEXEC) != 0) {
    return torc_fail(TORC_ERR_IO, err, err_cap, "%s: no pipe: %s", what, strerror(errno));
  }
  pid_t pid = fork();
  if (pid == 0) {
    (void)close(fds[0]);
    serve(fds[1], work, ctx, reply->max);
  }
  int why = errno;
  (void)close(fds[1]);
  if (pid < 0) {
    (void)close(fds[0]);
    return torc_fail(TORC_ERR_IO, err, err_cap, "%s: no process: %s", what, strerror(why));
  }
  int rc = 0;
  int failed = read_all(fds[0], reply, &rc);
  (void)close(fds[0]); /* a child that still writes ends with SIGPIPE */
  int status = wait_for(pid);
  if (failed != 0 || status != 0) {
    reply->len = 0;
    return child_fault(status, what, err, err_cap);
  }
  return rc;
}

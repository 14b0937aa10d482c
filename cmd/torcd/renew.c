/* SPDX-License-Identifier: Apache-2.0 */
#include "renew.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/slice.h"
#include "identity/enroll.h"
#include "io/err.h"
#include "io/renewal.h"
#include "io/wall.h"

#define HELPER_OPTION "--renewal-helper"

struct renew {
  torcd *d;
  uv_timer_t look, limit;
  uv_process_t child;
  uv_pipe_t from_child;
  size_t num_open, num_child; /* handles that libuv has not closed: own, of the helper */
  bool has_child, has_ended, is_read, is_closing;
  int64_t status;
  char reason[RENEW_REASON_MAX];
  size_t reason_len;
  uint32_t jitter;
  unsigned failures; /* in a row */
  torc_wall next_try;
  struct stat seen; /* the certificate's file when it was taken or refused */
};

static const torc_log *log_of(const torcd *d) {
  return d->log == NULL ? NULL : torc_json_log_sink(d->log);
}

/* ---- before the start ---- */

int renew_check(const torcd *d, char *err, size_t err_cap) {
  torc_enrolment how;
  if (d->conf.renew_dir[0] == '\0') {
    return 0;
  }
  int rc = torc_enrolment_read(&how, d->conf.renew_dir, err, err_cap);
  if (rc == 0 && how.account[0] != '\0' && how.password_file[0] == '\0') {
    rc = torc_fail(TORC_ERR_CONFIG, err, err_cap,
                   "[identity] renew: %s/" TORC_ENROLL_CONF
                   " names no password-file, so that nothing can be renewed without the user: "
                   "enrol with --save-password or --password-file, or take the line out",
                   d->conf.renew_dir);
  }
  return rc;
}

int renew_help(const char *dir) {
  char why[RENEW_REASON_MAX] = "";
  torc_enrolled done;
  (void)alarm(RENEW_LIMIT_S);
  if (torc_renew(&done, dir, NULL, why, sizeof why) != 0) {
    (void)fputs(why, stdout);
    return EXIT_FAILURE;
  }
  return EXIT_SUCCESS;
}

/* ---- the certificate that is there ---- */

static const torc_cert *own(const struct renew *r) {
  return torc_peer_cert(r->d->peer);
}

static bool is_same_file(const struct stat *a, const struct stat *b) {
  return a->st_ino == b->st_ino && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
         a->st_mtim.tv_nsec == b->st_mtim.tv_nsec && a->st_size == b->st_size;
}

static void failed(struct renew *r, const char *why) {
  torc_wall now = torc_wall_now();
  torc_wall end = own(r)->not_after;
  char until[TORC_WALL_TEXT];
  r->failures++;
  uint32_t wait = torc_renewal_wait(r->failures, end > now ? end - now : 0);
  r->next_try = now + wait;
  torc_peer_renewal_failed(r->d->peer);
  TORC_LOG(log_of(r->d), TORC_LOG_ERROR, "torcd:certificate_kept", TORC_F_STR("why", why),
           TORC_F_STR("valid_until", torc_wall_text(end, until)), TORC_F_U64("next_try_s", wait));
}

/* Key and certificate are two files: a moment between them is no failure, the next look finds them
 * both. */
static void take(struct renew *r) {
  torcd *d = r->d;
  char why[512] = "";
  char until[TORC_WALL_TEXT];
  bool is_new = false;
  if (torc_peer_renew(d->peer, d->conf.cert_file, d->conf.key_file, &is_new, why, sizeof why) !=
      0) {
    r->seen = (struct stat){.st_ino = 0};
    TORC_LOG(log_of(d), TORC_LOG_ERROR, "torcd:certificate_refused",
             TORC_F_STR("file", d->conf.cert_file), TORC_F_STR("why", why));
  } else if (is_new) {
    r->failures = 0;
    r->next_try = 0;
    TORC_LOG(log_of(d), TORC_LOG_INFO, "torcd:certificate_renewed",
             TORC_F_STR("file", d->conf.cert_file),
             TORC_F_STR("valid_until", torc_wall_text(own(r)->not_after, until)));
  }
}

static void look_at_file(struct renew *r) {
  struct stat now;
  if (stat(r->d->conf.cert_file, &now) == 0 && !is_same_file(&now, &r->seen)) {
    r->seen = now;
    take(r);
  }
}

/* ---- the helper process ---- */

static void finish(struct renew *r) {
  torc_wall before = own(r)->not_after;
  if (r->status != 0) {
    r->reason[r->reason_len] = '\0';
    failed(r, r->reason_len == 0 ? "the helper process failed" : r->reason);
    return;
  }
  r->seen = (struct stat){.st_ino = 0};
  look_at_file(r);
  if (own(r)->not_after == before) {
    failed(r, "[identity] cert is not the certificate that was renewed in [identity] renew");
  }
}

static void on_child_closed(uv_handle_t *handle) {
  struct renew *r = handle->data;
  r->num_child--;
  if (r->num_child == 0) {
    r->has_child = false;
    if (!r->is_closing) {
      finish(r);
    }
  }
}

/* Both the end of the process and that of its output are awaited. */
static void end_child(struct renew *r) {
  if (r->has_ended && r->is_read) {
    (void)uv_timer_stop(&r->limit);
    uv_close((uv_handle_t *)&r->from_child, on_child_closed);
    uv_close((uv_handle_t *)&r->child, on_child_closed);
  }
}

static void on_exit_of_child(uv_process_t *child, int64_t status, int number) {
  struct renew *r = child->data;
  r->status = status != 0 ? status : number;
  r->has_ended = true;
  end_child(r);
}

static void on_limit(uv_timer_t *timer) {
  struct renew *r = timer->data;
  (void)uv_process_kill(&r->child, SIGKILL);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf) {
  struct renew *r = handle->data;
  (void)suggested;
  *buf = uv_buf_init(r->reason + r->reason_len,
                     (unsigned)(RENEW_REASON_MAX - 1 - r->reason_len)); /* full: the end of it */
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf) {
  struct renew *r = stream->data;
  (void)buf;
  if (n >= 0) {
    r->reason_len += (size_t)n;
    return;
  }
  (void)uv_read_stop(stream);
  r->is_read = true;
  end_child(r);
}

static void start(struct renew *r) {
  char *arguments[] = {"torcd", HELPER_OPTION, r->d->conf.renew_dir, NULL};
  uv_stdio_container_t stdio[3] = {
      {.flags = UV_IGNORE},
      {.flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE, .data.stream = (uv_stream_t *)&r->from_child},
      {.flags = UV_INHERIT_FD, .data.fd = STDERR_FILENO}};
  uv_loop_t *loop = torc_peer_loop(r->d->peer);
  uv_process_options_t options = {.exit_cb = on_exit_of_child,
                                  .file = "/proc/self/exe", /* also when a package replaced it */
                                  .args = arguments,
                                  .stdio_count = 3,
                                  .stdio = stdio};
  (void)uv_pipe_init(loop, &r->from_child, 0);
  r->from_child.data = r->child.data = r;
  r->num_child = 2;
  r->has_child = true;
  r->has_ended = r->is_read = false;
  r->reason_len = 0;
  r->status = -1;
  TORC_LOG(log_of(r->d), TORC_LOG_INFO, "torcd:certificate_renewing",
           TORC_F_STR("directory", r->d->conf.renew_dir));
  int rc = uv_spawn(loop, &r->child, &options);
  if (rc != 0) {
    r->reason_len = (size_t)snprintf(r->reason, sizeof r->reason,
                                     "the helper process cannot be started: %s", uv_strerror(rc));
    r->has_ended = r->is_read = true;
    end_child(r);
    return;
  }
  (void)uv_timer_start(&r->limit, on_limit, RENEW_LIMIT_S * 1000, 0);
  if (uv_read_start((uv_stream_t *)&r->from_child, on_alloc, on_read) != 0) {
    r->is_read = true;
    (void)uv_process_kill(&r->child, SIGKILL);
  }
}

/* ---- what time does ---- */

static void look(struct renew *r) {
  torc_wall now = torc_wall_now();
  const torc_cert *c = NULL;
  look_at_file(r);
  c = own(r);
  if (r->d->conf.renew_dir[0] != '\0' && !r->has_child && now >= r->next_try &&
      now >= torc_renewal_due(c->not_before, c->not_after, r->jitter)) {
    start(r);
  }
}

static void on_look(uv_timer_t *timer) {
  look(timer->data);
}

void renew_look(torcd *d) {
  if (d->renew != NULL) {
    d->renew->seen = (struct stat){.st_ino = 0};
    d->renew->next_try = 0; /* who asks has perhaps removed what was in the way */
    look(d->renew);
  }
}

/* ---- life ---- */

static void on_handle_closed(uv_handle_t *handle) {
  struct renew *r = handle->data;
  r->num_open--;
}

int renew_open(torcd *d, char *err, size_t err_cap) {
  uv_loop_t *loop = torc_peer_loop(d->peer);
  if (d->conf.shared_key_file[0] != '\0') {
    return 0;
  }
  struct renew *r = calloc(1, sizeof *r);
  if (r == NULL) {
    return torc_fail(TORC_ERR_NOMEM, err, err_cap, "there is no memory");
  }
  d->renew = r;
  r->d = d;
  r->jitter = (uint32_t)(uv_hrtime() / 1000 % TORC_RENEWAL_JITTER_MAX);
  (void)stat(d->conf.cert_file, &r->seen);
  uv_timer_t *timers[] = {&r->look, &r->limit};
  for (size_t i = 0; i < TORC_ARRAY_LEN(timers); i++) {
    (void)uv_timer_init(loop, timers[i]); /* cannot fail */
    timers[i]->data = r;
    r->num_open++;
  }
  (void)uv_timer_start(&r->look, on_look, 0, RENEW_LOOK_MS);
  return 0;
}

void renew_close(torcd *d) {
  struct renew *r = d->renew;
  if (r == NULL) {
    return;
  }
  r->is_closing = true;
  if (r->has_child && !r->has_ended) {
    (void)uv_process_kill(&r->child, SIGKILL);
  }
  uv_close((uv_handle_t *)&r->look, on_handle_closed);
  while (r->has_child) { /* the killed child is awaited */
    (void)uv_run(torc_peer_loop(d->peer), UV_RUN_ONCE);
  }
  uv_close((uv_handle_t *)&r->limit, on_handle_closed);
  while (r->num_open > 0) {
    (void)uv_run(torc_peer_loop(d->peer), UV_RUN_NOWAIT);
  }
  free(r);
  d->renew = NULL;
}

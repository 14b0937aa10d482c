/* SPDX-License-Identifier: Apache-2.0 */
#include "refresh.h"

#include <errno.h>
#include <libgen.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/slice.h"
#include "io/config_helper.h"
#include "io/err.h"
#include "io/overlay_fetch.h"
#include "io/wall.h"

#define HELPER_OPTION "--configuration-helper"

struct refresh {
  torcd *d;
  uv_timer_t next, settle, limit;
  uv_fs_event_t watch;
  uv_process_t child;
  uv_pipe_t to_child, from_child;
  uv_write_t write;
  size_t num_open, num_child; /* handles that libuv has not closed: own, of the helper */
  bool has_child, has_ended, is_read, is_fetch, is_closing;
  bool wants_file, wants_fetch; /* asked for while another try was under way */
  torc_buf request, answer;
  char file_name[TORC_CONF_TEXT_MAX]; /* without its directory */
  char url[TORC_OVERLAY_URL_MAX];
  torc_config_age age;
};

static const torc_log *log_of(const torcd *d) {
  return d->log == NULL ? NULL : torc_json_log_sink(d->log);
}

/* ---- before the start ---- */

static bool state_path(const torcd *d, char out[2 * TORC_CONF_TEXT_MAX]) {
  (void)snprintf(out, 2 * TORC_CONF_TEXT_MAX, "%s/%s", d->conf.state_dir, REFRESH_FILE);
  return d->conf.state_dir[0] != '\0';
}

static torc_wall written_at(const char *path) {
  struct stat st;
  return stat(path, &st) == 0 && st.st_mtime > 0 ? (torc_wall)st.st_mtime : 0;
}

/* What an earlier run fetched, if it is newer than the file; it was checked then, by the roots of
 * its time. */
static void prefer_kept(torcd *d) {
  char path[2 * TORC_CONF_TEXT_MAX];
  char why[512] = "";
  torc_overlay kept;
  torc_overlay *o = &d->document;
  if (!state_path(d, path) || access(path, R_OK) != 0) {
    return;
  }
  if (torc_overlay_load_apart(&kept, path, o->name, why, sizeof why) != 0) {
    (void)fprintf(stderr, "torcd: not used: %s\n", why);
    return;
  }
  torc_wall at = written_at(path);
  if (kept.signer != TORC_OVERLAY_NO_SIGNER &&
      (kept.sequence > o->sequence ||
       (kept.sequence == o->sequence && kept.sequence != 0 && at > d->life.received))) {
    torc_overlay_clear(o);
    *o = kept;
    d->life.received = at;
    (void)snprintf(d->source, sizeof d->source, "%s", path);
    return;
  }
  torc_overlay_clear(&kept);
}

static void url_of(const torc_overlay *o, char out[TORC_OVERLAY_URL_MAX]) {
  if (o->source[0] != '\0') {
    memcpy(out, o->source, TORC_OVERLAY_URL_MAX);
  } else {
    torc_overlay_default_url(o->name, out);
  }
}

/* [GAP-130] Nobody starts with an expired document: a new one is fetched, or it says so. */
static int renew_expired(torcd *d, char *err, size_t err_cap) {
  char url[TORC_OVERLAY_URL_MAX];
  char path[2 * TORC_CONF_TEXT_MAX];
  char why[400] = "";
  char ended[TORC_WALL_TEXT];
  char clock[TORC_WALL_TEXT];
  torc_config_answer answer;
  url_of(&d->document, url);
  torc_config_request q = {
      .from = url, .keep = state_path(d, path) ? path : NULL, .old = &d->document};
  int rc = torc_config_apart(&answer, &q, why, sizeof why);
  if (rc != 0) {
    return torc_fail(TORC_ERR_CONFIG, err, err_cap,
                     "the overlay configuration %s expired on %s (it is %s by this machine's "
                     "clock), and fetching a new one from %s fails: %s",
                     d->source, torc_wall_text(torc_config_expires(&d->life), ended),
                     torc_wall_text(torc_wall_now(), clock), url, why);
  }
  torc_overlay_clear(&d->document);
  d->document = answer.overlay;
  d->life.received = answer.received;
  (void)snprintf(d->source, sizeof d->source, "%s", url);
  return 0;
}

/* A machine whose clock is wrong by a day finds certificates not valid yet or expired: the document
 * tells first [GAP-135]. */
static int check_clock(const torcd *d, char *err, size_t err_cap) {
  char signed_at[TORC_WALL_TEXT];
  char clock[TORC_WALL_TEXT];
  torc_wall now = torc_wall_now();
  const torc_overlay *o = &d->document;
  if (o->signer == TORC_OVERLAY_NO_SIGNER ||
      torc_config_since(now, o->signed_at) <= TORC_CONFIG_CLOCK_S) {
    return 0;
  }
  return torc_fail(TORC_ERR_CONFIG, err, err_cap,
                   "the overlay configuration %s was signed on %s, but by this machine's clock it "
                   "is only %s: set the clock",
                   d->source, torc_wall_text(o->signed_at, signed_at), torc_wall_text(now, clock));
}

int refresh_choose(torcd *d, char *err, size_t err_cap) {
  const char *name = d->conf.overlay_name[0] == '\0' ? NULL : d->conf.overlay_name;
  /* Here is still the one thread. */
  int rc = torc_overlay_load_apart(&d->document, d->conf.overlay_file, name, err, err_cap);
  if (rc != 0) {
    return rc;
  }
  (void)snprintf(d->source, sizeof d->source, "%s", d->conf.overlay_file);
  d->life.received = written_at(d->conf.overlay_file);
  prefer_kept(d);
  d->life.period_s = d->document.expiration_s;
  rc = check_clock(d, err, err_cap);
  if (d->document.signer != TORC_OVERLAY_NO_SIGNER) {
    d->life.received =
        torc_config_written(d->life.received, d->document.signed_at, torc_wall_now());
  }
  if (rc == 0 && torc_config_age_at(&d->life, torc_wall_now()) != TORC_CONFIG_FRESH) {
    rc = renew_expired(d, err, err_cap);
    d->life.period_s = d->document.expiration_s;
  }
  return rc;
}

/* ---- the helper process ---- */

static bool write_all(torc_slice s) {
  while (s.len > 0) {
    ssize_t n = write(STDOUT_FILENO, s.p, s.len);
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

int refresh_help(void) {
  uint8_t bytes[16384];
  torc_buf request;
  torc_buf answer;
  torc_buf_init(&request, torc_mem_libc(), TORC_CONFIG_REQUEST_MAX);
  torc_buf_init(&answer, torc_mem_libc(), TORC_CONFIG_ANSWER_MAX);
  (void)alarm(REFRESH_LIMIT_MS / 1000);
  int rc = 0;
  ssize_t n = 0;
  while (rc == 0 && (n = read(STDIN_FILENO, bytes, sizeof bytes)) != 0) {
    if (n > 0) {
      rc = torc_buf_append(&request, torc_slice_of(bytes, (size_t)n));
    } else if (errno != EINTR) {
      rc = TORC_ERR_IO;
    }
  }
  rc = rc != 0 ? rc : torc_config_help(torc_buf_slice(&request), &answer);
  bool is_out = rc == 0 && write_all(torc_buf_slice(&answer));
  torc_buf_clear(&request);
  torc_buf_clear(&answer);
  return is_out ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* ---- what time does ---- */

static void on_next(uv_timer_t *timer);

static const char *age_name(torc_config_age age) {
  return age == TORC_CONFIG_EXPIRED ? "expired" : "long expired";
}

/* Sets the timer to whatever comes first: a try, the expiry, twice the period. */
static void schedule(struct refresh *r) {
  const torc_config_life *l = &torc_peer_config_status(r->d->peer)->life;
  torc_wall now = torc_wall_now();
  torc_config_age age = torc_config_age_at(l, now);
  torc_config_life twice = {.received = torc_config_expires(l), .period_s = l->period_s};
  if (r->is_closing || l->period_s == 0) {
    return;
  }
  torc_wall at = torc_config_next(l);
  torc_wall turn = age == TORC_CONFIG_FRESH     ? torc_config_expires(l)
                   : age == TORC_CONFIG_EXPIRED ? torc_config_expires(&twice)
                                                : UINT32_MAX;
  at = turn < at ? turn + 1 : at;
  uint64_t ms = (uint64_t)torc_config_since(now, at) * 1000 + 500;
  (void)uv_timer_start(&r->next, on_next, ms < REFRESH_LOOK_MS ? ms : REFRESH_LOOK_MS, 0);
}

/* [GAP-130] The peer runs on with what it has; others cannot join through it for ever. */
static void look_at_age(struct refresh *r) {
  torcd *d = r->d;
  const torc_config_status *s = torc_peer_config_status(d->peer);
  torc_config_age age = torc_config_age_at(&s->life, torc_wall_now());
  if (age == r->age) {
    return;
  }
  r->age = age;
  torc_node_refuse_joins(torc_peer_node(d->peer), age == TORC_CONFIG_STALE);
  if (age != TORC_CONFIG_FRESH) {
    char at[TORC_WALL_TEXT];
    TORC_LOG(log_of(d), TORC_LOG_ERROR, "torcd:configuration_expired",
             TORC_F_STR("state", age_name(age)),
             TORC_F_STR("since", torc_wall_text(torc_config_expires(&s->life), at)),
             TORC_F_STR("joins", age == TORC_CONFIG_STALE ? "refused" : "accepted"));
  }
}

static void on_next(uv_timer_t *timer) {
  struct refresh *r = timer->data;
  char why[256] = "";
  torc_config_status *s = torc_peer_config_status(r->d->peer);
  torc_config_clock(&s->life, torc_wall_now());
  look_at_age(r);
  if (torc_wall_now() >= torc_config_next(&s->life) &&
      refresh_start(r->d, true, why, sizeof why) != 0) {
    TORC_LOG(log_of(r->d), TORC_LOG_ERROR, "torcd:configuration_kept", TORC_F_STR("why", why));
  }
  schedule(r);
}

/* ---- the end of a try ---- */

static void tell_lines(const torcd *d, const char *event, torc_log_level level,
                       const torc_config_lines *lines) {
  for (size_t i = 0; i < lines->num; i++) {
    TORC_LOG(log_of(d), level, event, TORC_F_STR("what", lines->line[i]));
  }
}

static void tell_clock(const torcd *d, torc_wall received) {
  char here[TORC_WALL_TEXT];
  char there[TORC_WALL_TEXT];
  torc_wall now = torc_wall_now();
  if (torc_config_since(now, received) > TORC_CONFIG_CLOCK_S ||
      torc_config_since(received, now) > TORC_CONFIG_CLOCK_S) {
    TORC_LOG(log_of(d), TORC_LOG_ERROR, "torcd:clock_differs",
             TORC_F_STR("own_clock", torc_wall_text(now, here)),
             TORC_F_STR("server", torc_wall_text(received, there)),
             TORC_F_STR("advice", "set the clock of this machine"));
  }
}

static int take(struct refresh *r, torc_config_lines *changes, char *why, size_t why_cap) {
  torcd *d = r->d;
  torc_config_status *s = torc_peer_config_status(d->peer);
  torc_config_answer *answer = calloc(1, sizeof *answer);
  if (answer == NULL) {
    return torc_fail(TORC_ERR_NOMEM, why, why_cap, "there is no memory");
  }
  int rc = torc_config_answer_get(answer, torc_buf_slice(&r->answer), why, why_cap);
  if (rc == 0) {
    rc = torc_overlay_may_follow(torc_peer_document(d->peer), &answer->overlay, r->is_fetch, why,
                                 why_cap);
  }
  if (rc == 0) {
    uint32_t period = answer->overlay.expiration_s;
    if (!r->is_fetch && answer->overlay.signer != TORC_OVERLAY_NO_SIGNER) {
      answer->received =
          torc_config_written(answer->received, answer->overlay.signed_at, torc_wall_now());
    }
    torc_overlay_changes(torc_peer_document(d->peer), &answer->overlay, changes);
    rc = torc_peer_take_overlay(d->peer, &answer->overlay, why, why_cap);
    if (rc == 0) {
      torc_config_taken(&s->life, answer->received, period, torc_wall_now());
      s->error[0] = '\0';
      (void)snprintf(s->source, sizeof s->source, "%s",
                     r->is_fetch ? r->url : d->conf.overlay_file);
      torc_text_mend(s->source);
      if (r->is_fetch) {
        tell_clock(d, answer->received);
      }
    }
  }
  torc_overlay_clear(&answer->overlay);
  free(answer);
  return rc;
}

static void tell_taken(const torcd *d, const torc_config_lines *changes) {
  torc_config_lines waiting;
  const torc_config_status *s = torc_peer_config_status(d->peer);
  const torc_overlay *o = torc_peer_document(d->peer);
  torc_overlay_waiting(torc_peer_running(d->peer), o, &waiting);
  TORC_LOG(log_of(d), TORC_LOG_INFO, "torcd:configuration_taken", TORC_F_STR("from", s->source),
           TORC_F_U64("sequence", o->sequence), TORC_F_U64("changes", changes->num),
           TORC_F_U64("waiting_for_restart", waiting.num));
  tell_lines(d, "torcd:configuration_changed", TORC_LOG_INFO, changes);
  tell_lines(d, "torcd:configuration_needs_restart", TORC_LOG_WARN, &waiting);
}

static void finish(struct refresh *r) {
  torcd *d = r->d;
  char why[400] = "";
  torc_config_status *s = torc_peer_config_status(d->peer);
  torc_config_lines *changes = calloc(1, sizeof *changes);
  int rc = changes == NULL ? TORC_ERR_NOMEM : take(r, changes, why, sizeof why);
  if (rc == 0) {
    tell_taken(d, changes);
  } else {
    (void)torc_fail(rc, s->error, sizeof s->error, "%.300s",
                    why[0] == '\0' ? "the helper process failed" : why);
    s->life.tried = r->is_fetch ? torc_wall_now() : s->life.tried;
    TORC_LOG(log_of(d), TORC_LOG_ERROR, "torcd:configuration_kept",
             TORC_F_STR("from", r->is_fetch ? r->url : d->conf.overlay_file),
             TORC_F_STR("why", s->error));
  }
  look_at_age(r);
  bool is_fetch = r->wants_fetch;
  bool is_more = r->wants_file || r->wants_fetch;
  if (!is_more) { /* who asked meanwhile waits for the try that began after it */
    torc_control_reloaded(d->control, rc, rc == 0 ? "" : s->error, changes);
  }
  free(changes);
  schedule(r);
  if (is_more) {
    r->wants_fetch = is_fetch ? false : r->wants_fetch;
    r->wants_file = is_fetch ? r->wants_file : false;
    rc = refresh_start(d, is_fetch, why, sizeof why);
    if (rc != 0) {
      torc_control_reloaded(d->control, rc, why, NULL);
    }
  }
}

/* ---- the child ---- */

static void on_handle_closed(uv_handle_t *handle) {
  struct refresh *r = handle->data;
  r->num_open--;
}

/* The last of the three ends the try. */
static void on_child_closed(uv_handle_t *handle) {
  struct refresh *r = handle->data;
  r->num_child--;
  if (r->num_child == 0) {
    r->has_child = false;
    if (!r->is_closing) {
      finish(r);
    }
  }
}

/* Both the end of the process and that of its output are awaited. */
static void end_child(struct refresh *r) {
  if (!r->has_ended || !r->is_read) {
    return;
  }
  (void)uv_timer_stop(&r->limit);
  if (!uv_is_closing((uv_handle_t *)&r->to_child)) {
    uv_close((uv_handle_t *)&r->to_child, on_child_closed);
  }
  uv_close((uv_handle_t *)&r->from_child, on_child_closed);
  uv_close((uv_handle_t *)&r->child, on_child_closed);
}

static void on_exit_of_child(uv_process_t *child, int64_t status, int number) {
  struct refresh *r = child->data;
  (void)status;
  (void)number;
  r->has_ended = true;
  end_child(r);
}

static void on_limit(uv_timer_t *timer) {
  struct refresh *r = timer->data;
  (void)uv_process_kill(&r->child, SIGKILL);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf) {
  struct refresh *r = handle->data;
  (void)suggested;
  *buf = torc_buf_reserve(&r->answer, 4096) == 0
             ? uv_buf_init((char *)r->answer.p + r->answer.len,
                           (unsigned)(r->answer.cap - r->answer.len))
             : uv_buf_init(NULL, 0);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf) {
  struct refresh *r = stream->data;
  (void)buf;
  if (n >= 0) {
    r->answer.len += (size_t)n;
    return;
  }
  (void)uv_read_stop(stream);
  r->is_read = true;
  end_child(r);
}

static void on_written(uv_write_t *req, int status) {
  struct refresh *r = req->data;
  (void)status; /* a child that reads nothing answers nothing */
  torc_buf_clear(&r->request);
  if (!uv_is_closing((uv_handle_t *)&r->to_child)) {
    uv_close((uv_handle_t *)&r->to_child, on_child_closed);
  }
}

static int put_request(struct refresh *r) {
  const torcd *d = r->d;
  char path[2 * TORC_CONF_TEXT_MAX];
  url_of(torc_peer_document(d->peer), r->url);
  torc_config_request q = {.from = r->is_fetch ? r->url : d->conf.overlay_file,
                           .keep = r->is_fetch && state_path(d, path) ? path : NULL,
                           .old = torc_peer_document(d->peer)};
  torc_buf_clear(&r->request);
  torc_buf_clear(&r->answer);
  torc_buf_init(&r->request, torc_mem_libc(), TORC_CONFIG_REQUEST_MAX);
  torc_buf_init(&r->answer, torc_mem_libc(), TORC_CONFIG_ANSWER_MAX + 8192);
  return torc_config_request_put(&q, &r->request);
}

static int spawn(struct refresh *r) {
  char *arguments[] = {"torcd", HELPER_OPTION, NULL};
  uv_stdio_container_t stdio[3] = {
      {.flags = UV_CREATE_PIPE | UV_READABLE_PIPE, .data.stream = (uv_stream_t *)&r->to_child},
      {.flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE, .data.stream = (uv_stream_t *)&r->from_child},
      {.flags = UV_INHERIT_FD, .data.fd = STDERR_FILENO}};
  uv_loop_t *loop = torc_peer_loop(r->d->peer);
  uv_process_options_t options = {.exit_cb = on_exit_of_child,
                                  .file = "/proc/self/exe", /* also when a package replaced it */
                                  .args = arguments,
                                  .stdio_count = 3,
                                  .stdio = stdio};
  (void)uv_pipe_init(loop, &r->to_child, 0);
  (void)uv_pipe_init(loop, &r->from_child, 0);
  r->to_child.data = r->from_child.data = r->child.data = r;
  r->num_child = 3;
  r->has_child = true;
  r->has_ended = r->is_read = false;
  return uv_spawn(loop, &r->child, &options);
}

int refresh_start(torcd *d, bool is_fetch, char *err, size_t err_cap) {
  struct refresh *r = d->refresh;
  if (r->has_child) {
    r->wants_file = r->wants_file || !is_fetch;
    r->wants_fetch = r->wants_fetch || is_fetch;
    return 0;
  }
  r->is_fetch = is_fetch;
  if (put_request(r) != 0) {
    return torc_fail(TORC_ERR_NOMEM, err, err_cap, "there is no memory");
  }
  int failed = spawn(r);
  if (failed != 0) {
    r->has_ended = r->is_read = true;
    r->answer.len = 0;
    end_child(r); /* and with it the try */
    return torc_fail(TORC_ERR_IO, err, err_cap, "the helper process cannot be started: %s",
                     uv_strerror(failed));
  }
  uv_buf_t buf = uv_buf_init((char *)r->request.p, (unsigned)r->request.len);
  r->write.data = r;
  (void)uv_timer_start(&r->limit, on_limit, REFRESH_LIMIT_MS, 0);
  if (uv_write(&r->write, (uv_stream_t *)&r->to_child, &buf, 1, on_written) != 0 ||
      uv_read_start((uv_stream_t *)&r->from_child, on_alloc, on_read) != 0) {
    r->is_read = true;
    (void)uv_process_kill(&r->child, SIGKILL);
  }
  return 0;
}

/* ---- the file ---- */

static void on_settled(uv_timer_t *timer) {
  struct refresh *r = timer->data;
  char why[256] = "";
  if (refresh_start(r->d, false, why, sizeof why) != 0) {
    TORC_LOG(log_of(r->d), TORC_LOG_ERROR, "torcd:configuration_kept", TORC_F_STR("why", why));
  }
}

/* The directory is watched: a file that is replaced is another file. */
static void on_changed(uv_fs_event_t *watch, const char *name, int events, int status) {
  struct refresh *r = watch->data;
  (void)events;
  if (status == 0 && (name == NULL || strcmp(name, r->file_name) == 0)) {
    (void)uv_timer_start(&r->settle, on_settled, REFRESH_SETTLE_MS, 0);
  }
}

static void watch_file(struct refresh *r) {
  char copy[TORC_CONF_TEXT_MAX];
  char directory[TORC_CONF_TEXT_MAX];
  const char *file = r->d->conf.overlay_file;
  (void)snprintf(copy, sizeof copy, "%s", file);
  (void)snprintf(r->file_name, sizeof r->file_name, "%s", basename(copy));
  (void)snprintf(copy, sizeof copy, "%s", file);
  (void)snprintf(directory, sizeof directory, "%s", dirname(copy));
  int rc = uv_fs_event_start(&r->watch, on_changed, directory, 0);
  if (rc != 0) {
    TORC_LOG(log_of(r->d), TORC_LOG_WARN, "torcd:configuration_not_watched",
             TORC_F_STR("directory", directory), TORC_F_STR("why", uv_strerror(rc)),
             TORC_F_STR("advice", "use torc config reload"));
  }
}

/* ---- life ---- */

int refresh_open(torcd *d, char *err, size_t err_cap) {
  uv_loop_t *loop = torc_peer_loop(d->peer);
  torc_config_status *s = torc_peer_config_status(d->peer);
  struct refresh *r = calloc(1, sizeof *r);
  if (r == NULL) {
    return torc_fail(TORC_ERR_NOMEM, err, err_cap, "there is no memory");
  }
  d->refresh = r;
  r->d = d;
  r->age = TORC_CONFIG_FRESH;
  s->life = d->life;
  s->life.jitter = (uint32_t)(uv_hrtime() / 1000 % TORC_CONFIG_JITTER_MAX);
  (void)snprintf(s->source, sizeof s->source, "%s", d->source);
  torc_text_mend(s->source);
  uv_timer_t *timers[] = {&r->next, &r->settle, &r->limit};
  for (size_t i = 0; i < TORC_ARRAY_LEN(timers); i++) {
    (void)uv_timer_init(loop, timers[i]); /* cannot fail */
    timers[i]->data = r;
    r->num_open++;
  }
  (void)uv_fs_event_init(loop, &r->watch);
  r->watch.data = r;
  r->num_open++;
  watch_file(r);
  look_at_age(r);
  schedule(r);
  return 0;
}

void refresh_close(torcd *d) {
  struct refresh *r = d->refresh;
  if (r == NULL) {
    return;
  }
  r->is_closing = true;
  if (r->has_child && !r->has_ended) {
    (void)uv_process_kill(&r->child, SIGKILL);
  }
  uv_handle_t *handles[] = {(uv_handle_t *)&r->next, (uv_handle_t *)&r->settle,
                            (uv_handle_t *)&r->watch};
  for (size_t i = 0; i < TORC_ARRAY_LEN(handles); i++) {
    uv_close(handles[i], on_handle_closed);
  }
  while (r->has_child) { /* the killed child is awaited */
    (void)uv_run(torc_peer_loop(d->peer), UV_RUN_ONCE);
  }
  uv_close((uv_handle_t *)&r->limit, on_handle_closed);
  while (r->num_open > 0) {
    (void)uv_run(torc_peer_loop(d->peer), UV_RUN_NOWAIT);
  }
  torc_buf_clear(&r->request);
  torc_buf_clear(&r->answer);
  free(r);
  d->refresh = NULL;
}

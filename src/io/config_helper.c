/* SPDX-License-Identifier: Apache-2.0 */
#include "io/config_helper.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/slice.h"
#include "io/apart.h"
#include "io/err.h"
#include "io/overlay_fetch.h"
#include "io/overlay_sign.h"
#include "io/peer_config.h"
#include "io/wall.h"

#define FORMAT 1u /* of request and answer */
#define PATH_MAX_LEN 4096u
#define WHY_MAX 512u

/* ---- the request ---- */

int torc_config_request_put(const torc_config_request *q, torc_buf *out) {
  int rc = torc_buf_reserve(out, TORC_CONFIG_REQUEST_MAX);
  if (rc != 0) {
    return rc;
  }
  torc_wr wr;
  torc_wr_init(&wr, out->p, TORC_CONFIG_REQUEST_MAX);
  torc_wr_u8(&wr, FORMAT);
  torc_wr_vec16(&wr, torc_slice_str(q->from));
  torc_wr_vec16(&wr, torc_slice_str(q->keep));
  torc_overlay_put(&wr, q->old);
  out->len = wr.len;
  return wr.err;
}

typedef struct job {
  char from[PATH_MAX_LEN], keep[PATH_MAX_LEN];
  torc_overlay old;
  char *xml;
  size_t len;
  char encoding[64];
  torc_wall received;
  char why[WHY_MAX];
} job;

static void get_path(torc_rd *rd, char out[PATH_MAX_LEN]) {
  torc_slice s = torc_rd_string(rd);
  if (s.len >= PATH_MAX_LEN) {
    torc_rd_fail(rd, TORC_ERR_FORMAT);
    return;
  }
  if (s.len > 0) {
    memcpy(out, s.p, s.len);
  }
  out[s.len] = '\0';
}

static int get_request(torc_slice request, job *j) {
  torc_rd rd;
  torc_rd_init(&rd, request);
  uint8_t format = torc_rd_u8(&rd);
  get_path(&rd, j->from);
  get_path(&rd, j->keep);
  torc_slice rest = torc_rd_slice(&rd, torc_rd_left(&rd));
  if (rd.err != 0 || format != FORMAT) {
    return torc_fail(TORC_ERR_FORMAT, j->why, sizeof j->why, "the request is of another version");
  }
  int rc = torc_overlay_get(&j->old, rest);
  return rc == 0 ? 0 : torc_fail(rc, j->why, sizeof j->why, "the request is damaged");
}

/* ---- the document ---- */

static bool is_url(const char *from) {
  return strncmp(from, "https://", 8) == 0;
}

static size_t list_roots(const torc_overlay *o, torc_slice out[TORC_OVERLAY_ROOTS_MAX]) {
  for (size_t i = 0; i < o->num_roots; i++) {
    out[i] = torc_slice_of(o->roots[i].der, o->roots[i].len);
  }
  return o->num_roots;
}

static int load(job *j) {
  torc_slice roots[TORC_OVERLAY_ROOTS_MAX];
  struct stat st;
  if (is_url(j->from)) {
    torc_overlay_fetched got;
    int rc =
        torc_overlay_fetch(&got, j->from, roots, list_roots(&j->old, roots), j->why, sizeof j->why);
    j->xml = got.xml;
    j->len = got.len;
    j->received = got.date != 0 ? got.date : (torc_wall)time(NULL);
    memcpy(j->encoding, got.encoding, sizeof j->encoding);
    return rc;
  }
  int rc = torc_overlay_file(j->from, &j->xml, &j->len, j->why, sizeof j->why);
  if (rc == 0 && stat(j->from, &st) == 0) {
    j->received = st.st_mtime > 0 ? (torc_wall)st.st_mtime : 0;
  }
  return rc;
}

/* What somebody else may have written is not parsed before its signature has been checked. */
static int check_signature(job *j) {
  torc_slice roots[TORC_OVERLAY_ROOTS_MAX];
  size_t signer = 0;
  torc_wall at = 0;
  if (j->len == 0 || j->len > TORC_OVERLAY_XML_MAX) {
    return torc_fail(TORC_ERR_CONFIG, j->why, sizeof j->why,
                     "the document is empty or larger than 1 MiB");
  }
  if (!is_url(j->from) && j->old.signer == TORC_OVERLAY_NO_SIGNER) {
    return 0;
  }
  int rc =
      torc_overlay_signature_check(torc_slice_of(j->xml, j->len), roots, list_roots(&j->old, roots),
                                   &signer, &at, j->why, sizeof j->why);
  return rc;
}

/* A new file beside it that takes its place: a crash leaves the old one or the new one. Its time is
 * that of its receipt, so that it keeps its expiry [GAP-130]. */
static int keep(job *j) {
  char path[PATH_MAX_LEN + 8];
  const struct timespec times[2] = {{.tv_sec = j->received}, {.tv_sec = j->received}};
  (void)snprintf(path, sizeof path, "%s.new", j->keep);
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
  bool is_written = fd >= 0;
  for (size_t at = 0; is_written && at < j->len;) {
    ssize_t n = write(fd, j->xml + at, j->len - at);
    is_written = n > 0 || (n < 0 && errno == EINTR);
    at += n > 0 ? (size_t)n : 0;
  }
  is_written = is_written && futimens(fd, times) == 0 && fsync(fd) == 0;
  int why = errno;
  if (fd >= 0) {
    (void)close(fd);
  }
  if (is_written && rename(path, j->keep) == 0) {
    return 0;
  }
  why = is_written ? errno : why;
  return torc_fail(TORC_ERR_IO, j->why, sizeof j->why, "cannot write %s: %s", j->keep,
                   strerror(why));
}

/* Nobody starts with a document that was signed in the future [GAP-135]: who took it now would not
 * come back from the next restart. */
static int check_date(job *j, const torc_overlay *o) {
  char at[TORC_WALL_TEXT];
  char clock[TORC_WALL_TEXT];
  torc_wall now = torc_wall_now();
  if (o->signer == TORC_OVERLAY_NO_SIGNER ||
      torc_config_since(now, o->signed_at) <= TORC_CONFIG_CLOCK_S) {
    return 0;
  }
  return torc_fail(TORC_ERR_DENIED, j->why, sizeof j->why,
                   "it was signed on %s, but by this machine's clock it is only %s: one of the two "
                   "clocks is wrong",
                   torc_wall_text(o->signed_at, at), torc_wall_text(now, clock));
}

static int take(job *j, torc_overlay *out) {
  int rc = load(j);
  rc = rc != 0 ? rc : check_signature(j);
  if (rc != 0) {
    return rc;
  }
  torc_overlay_input in = {.xml = torc_slice_of(j->xml, j->len),
                           .name = j->old.name,
                           .encoding = j->encoding[0] == '\0' ? NULL : j->encoding};
  rc = torc_overlay_read(out, &in, j->why, sizeof j->why);
  if (rc != 0) {
    return rc;
  }
  rc = torc_overlay_may_follow(&j->old, out, is_url(j->from), j->why, sizeof j->why);
  rc = rc != 0 ? rc : check_date(j, out);
  if (rc == 0 && is_url(j->from) && j->keep[0] != '\0') {
    rc = keep(j);
  }
  if (rc != 0) {
    torc_overlay_clear(out);
  }
  return rc;
}

/* ---- the answer ---- */

static int put_answer(const job *j, int result, const torc_overlay *o, torc_buf *answer) {
  int rc = torc_buf_reserve(answer, TORC_CONFIG_ANSWER_MAX);
  if (rc != 0) {
    return rc;
  }
  torc_wr wr;
  torc_wr_init(&wr, answer->p, TORC_CONFIG_ANSWER_MAX);
  torc_wr_u8(&wr, FORMAT);
  torc_wr_u8(&wr, (uint8_t)-result);
  if (result == 0) {
    torc_wr_u32(&wr, j->received);
    torc_overlay_put(&wr, o);
  } else {
    torc_wr_vec16(&wr, torc_slice_str(j->why));
  }
  answer->len = wr.len;
  return wr.err;
}

int torc_config_help(torc_slice request, torc_buf *answer) {
  job *j = calloc(1, sizeof *j);
  torc_overlay *fresh = calloc(1, sizeof *fresh);
  int rc = TORC_ERR_NOMEM;
  if (j != NULL && fresh != NULL) {
    int result = get_request(request, j);
    result = result != 0 ? result : take(j, fresh);
    rc = put_answer(j, result, fresh, answer);
    if (result == 0) {
      torc_overlay_clear(fresh);
    }
    torc_overlay_clear(&j->old);
    free(j->xml);
  }
  free(fresh);
  free(j);
  return rc;
}

int torc_config_answer_get(torc_config_answer *out, torc_slice answer, char *err, size_t err_cap) {
  torc_rd rd;
  memset(out, 0, sizeof *out);
  torc_rd_init(&rd, answer);
  uint8_t format = torc_rd_u8(&rd);
  int result = -(int)torc_rd_u8(&rd);
  if (rd.err != 0 || format != FORMAT) {
    return torc_fail(TORC_ERR_FORMAT, err, err_cap, "the helper process gave no answer");
  }
  if (result != 0) {
    torc_slice why = torc_rd_string(&rd);
    return torc_fail(result, err, err_cap, "%.*s", (int)why.len,
                     why.len == 0 ? "" : (const char *)why.p);
  }
  out->received = torc_rd_u32(&rd);
  torc_slice rest = torc_rd_slice(&rd, torc_rd_left(&rd));
  int rc = rd.err != 0 ? rd.err : torc_overlay_get(&out->overlay, rest);
  return rc == 0 ? 0 : torc_fail(rc, err, err_cap, "the helper process gave a damaged answer");
}

/* ---- before there are threads ---- */

static int help_apart(void *ctx, torc_buf *reply) {
  return torc_config_help(torc_buf_slice(ctx), reply);
}

int torc_config_apart(torc_config_answer *out, const torc_config_request *q, char *err,
                      size_t err_cap) {
  torc_buf request;
  torc_buf answer;
  memset(out, 0, sizeof *out);
  torc_buf_init(&request, torc_mem_libc(), TORC_CONFIG_REQUEST_MAX);
  torc_buf_init(&answer, torc_mem_libc(), TORC_CONFIG_ANSWER_MAX);
  int rc = torc_config_request_put(q, &request);
  if (rc != 0) {
    (void)torc_fail(rc, err, err_cap, "out of memory");
  } else {
    rc = torc_apart_run(help_apart, &request, &answer, q->from, err, err_cap);
  }
  rc = rc != 0 ? rc : torc_config_answer_get(out, torc_buf_slice(&answer), err, err_cap);
  torc_buf_clear(&request);
  torc_buf_clear(&answer);
  return rc;
}

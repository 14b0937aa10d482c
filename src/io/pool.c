/* SPDX-License-Identifier: Apache-2.0 */
#include "io/pool.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/slice.h"

typedef struct task {
  struct task *next;
  torc_job job;
  torc_job_result result;
  uint8_t sig[TORC_SIGNATURE_MAX];
} task;

typedef struct task_list {
  task *first, *last;
} task_list;

struct torc_pool {
  torc_pool_config cfg;
  uv_async_t async;
  uv_mutex_t lock;
  uv_cond_t more;
  uv_thread_t threads[TORC_POOL_THREADS_MAX];
  unsigned num_threads;
  bool is_ending;       /* under the lock, as the two lists */
  torc_lmdb *second_db; /* likewise; NULL: none */
  task_list todo, done;
  size_t num_pending; /* loop thread only */
};

static void push(task_list *l, task *t) {
  t->next = NULL;
  if (l->last == NULL) {
    l->first = t;
  } else {
    l->last->next = t;
  }
  l->last = t;
}

static task *pop(task_list *l) {
  task *t = l->first;
  if (t != NULL) {
    l->first = t->next;
    if (l->first == NULL) {
      l->last = NULL;
    }
  }
  return t;
}

void torc_job_run(torc_pki *pki, torc_lmdb *db, const torc_job *job, uint8_t *sig,
                  torc_job_result *out) {
  size_t len = 0;
  memset(out, 0, sizeof *out);
  switch (job->kind) {
    case TORC_JOB_SIGN:
      out->rc =
          torc_pki_sign(pki, job->cert, job->parts, job->num_parts, sig, TORC_SIGNATURE_MAX, &len);
      out->signature = torc_slice_of(sig, len);
      break;
    case TORC_JOB_VERIFY:
      out->rc =
          torc_pki_verify(job->cert, job->algorithm, job->parts, job->num_parts, job->signature);
      break;
    case TORC_JOB_CERTIFICATE:
      out->rc = torc_pki_accept(pki, job->der, &out->cert, NULL, 0);
      break;
    case TORC_JOB_SYNC:
      out->rc = db == NULL ? 0 : torc_lmdb_sync(db);
      break;
  }
}

/* One flush of the disk answers every commit that was waiting for one. */
static task_list take_work(torc_pool *p) {
  task_list taken = {NULL, NULL};
  task *t = pop(&p->todo);
  push(&taken, t);
  if (t->job.kind != TORC_JOB_SYNC) {
    return taken;
  }
  task_list rest = {NULL, NULL};
  while ((t = pop(&p->todo)) != NULL) {
    push(t->job.kind == TORC_JOB_SYNC ? &taken : &rest, t);
  }
  p->todo = rest;
  return taken;
}

static void work(void *arg) {
  torc_pool *p = arg;
  uv_mutex_lock(&p->lock);
  while (!p->is_ending) {
    if (p->todo.first == NULL) {
      uv_cond_wait(&p->more, &p->lock);
      continue;
    }
    task_list taken = take_work(p);
    torc_lmdb *second = p->second_db;
    uv_mutex_unlock(&p->lock);
    task *t = taken.first;
    torc_job_run(p->cfg.pki, p->cfg.db, &t->job, t->sig, &t->result);
    if (t->job.kind == TORC_JOB_SYNC && t->result.rc == 0 && second != NULL) {
      t->result.rc = torc_lmdb_sync(second);
    }
    for (task *same = t->next; same != NULL; same = same->next) {
      same->result = t->result;
    }
    uv_mutex_lock(&p->lock);
    while ((t = pop(&taken)) != NULL) {
      push(&p->done, t);
    }
    (void)uv_async_send(&p->async);
  }
  uv_mutex_unlock(&p->lock);
}

static void on_async(uv_async_t *async) {
  torc_pool *p = async->data;
  uv_mutex_lock(&p->lock);
  task_list done = p->done;
  p->done = (task_list){NULL, NULL};
  uv_mutex_unlock(&p->lock);
  task *t = NULL;
  while ((t = pop(&done)) != NULL) {
    p->num_pending--;
    p->cfg.done(p->cfg.ctx, t->job.id, &t->result);
    free(t);
  }
  p->cfg.turn(p->cfg.ctx);
}

/* Signals are for the program's own threads. */
static unsigned start_threads(torc_pool *p, unsigned num) {
  sigset_t all;
  sigset_t before;
  unsigned started = 0;
  sigfillset(&all);
  (void)pthread_sigmask(SIG_SETMASK, &all, &before);
  uv_thread_options_t options = {.flags = UV_THREAD_HAS_STACK_SIZE, .stack_size = 256u << 10};
  while (started < num && uv_thread_create_ex(&p->threads[started], &options, work, p) == 0) {
    started++;
  }
  (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
  return started;
}

int torc_pool_new(torc_pool **out, const torc_pool_config *cfg) {
  if (cfg->num_threads == 0 || cfg->num_threads > TORC_POOL_THREADS_MAX) {
    return TORC_ERR_INVALID;
  }
  torc_pool *p = calloc(1, sizeof *p);
  if (p == NULL) {
    return TORC_ERR_NOMEM;
  }
  p->cfg = *cfg;
  p->async.data = p;
  if (uv_mutex_init(&p->lock) != 0) {
    free(p);
    return TORC_ERR_NOMEM;
  }
  if (uv_cond_init(&p->more) != 0) {
    uv_mutex_destroy(&p->lock);
    free(p);
    return TORC_ERR_NOMEM;
  }
  if (uv_async_init(cfg->loop, &p->async, on_async) != 0) {
    uv_cond_destroy(&p->more);
    uv_mutex_destroy(&p->lock);
    free(p);
    return TORC_ERR_IO;
  }
  p->num_threads = start_threads(p, cfg->num_threads);
  *out = p;
  if (p->num_threads < cfg->num_threads) {
    return TORC_ERR_NOMEM; /* the caller shuts down what there is */
  }
  return 0;
}

void torc_pool_add_db(torc_pool *p, torc_lmdb *db) {
  uv_mutex_lock(&p->lock);
  p->second_db = db;
  uv_mutex_unlock(&p->lock);
}

int torc_pool_submit(torc_pool *p, const torc_job *job) {
  task *t = malloc(sizeof *t);
  if (t == NULL) {
    return TORC_ERR_NOMEM;
  }
  t->job = *job;
  p->num_pending++;
  uv_mutex_lock(&p->lock);
  push(&p->todo, t);
  uv_cond_signal(&p->more);
  uv_mutex_unlock(&p->lock);
  return 0;
}

size_t torc_pool_pending(const torc_pool *p) {
  return p->num_pending;
}

void torc_pool_shutdown(torc_pool *p) {
  uv_mutex_lock(&p->lock);
  p->is_ending = true;
  uv_cond_broadcast(&p->more);
  uv_mutex_unlock(&p->lock);
  for (unsigned i = 0; i < p->num_threads; i++) {
    (void)uv_thread_join(&p->threads[i]);
  }
  p->num_threads = 0;
  uv_close((uv_handle_t *)&p->async, NULL);
}

void torc_pool_free(torc_pool *p) {
  if (p == NULL) {
    return;
  }
  task *t = NULL;
  while ((t = pop(&p->todo)) != NULL) {
    free(t);
  }
  while ((t = pop(&p->done)) != NULL) {
    torc_cert_free(t->result.cert);
    free(t);
  }
  uv_cond_destroy(&p->more);
  uv_mutex_destroy(&p->lock);
  free(p);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "io/sigpipe.h"

#include <pthread.h>
#include <time.h>

static sigset_t only_sigpipe(void) {
  sigset_t set;
  (void)sigemptyset(&set);
  (void)sigaddset(&set, SIGPIPE);
  return set;
}

void torc_sigpipe_hold(torc_sigpipe *s) {
  sigset_t set = only_sigpipe();
  s->is_held =
      pthread_sigmask(SIG_BLOCK, &set, &s->before) == 0 && sigismember(&s->before, SIGPIPE) == 0;
}

void torc_sigpipe_release(const torc_sigpipe *s) {
  if (!s->is_held) {
    return;
  }
  sigset_t set = only_sigpipe();
  struct timespec at_once = {0, 0};
  (void)sigtimedwait(&set, NULL, &at_once); /* none was pending before: it was not blocked */
  (void)pthread_sigmask(SIG_SETMASK, &s->before, NULL);
}

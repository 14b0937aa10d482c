/* netlab_wan [--seed N] [--memory MIB]: a WAN in user space, a router between TUN devices in the
 * network namespaces of a lab. Commands come on standard input, one a line, each answered by a line
 * on standard output; it ends with its input. docs/netlab.md. SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "wan_command.h"
#include "wan_core.h"
#include "wan_tun.h"

#define NS_PER_S 1000000000ull
#define READS_PER_TURN 64
#define EVENTS_PER_TURN 64
#define DEFAULT_MEMORY_MIB 64
#define MAX_MEMORY_MIB 4096
enum { TAG_TIMER = WAN_MAX_LINKS, TAG_COMMANDS };

typedef struct wan_router {
  wan_core core;
  int epoll, timer;
  int devices[WAN_MAX_LINKS];
  uint64_t armed_ns; /* what the timer is set to */
  char line[WAN_COMMAND_LEN];
  size_t line_len;
  char reply[WAN_REPLY_LEN];
} wan_router;

static uint64_t now_ns(void) {
  struct timespec now;
  (void)clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static bool watch(const wan_router *router, int fd, uint32_t tag) {
  struct epoll_event event = {.events = EPOLLIN, .data.u32 = tag};
  return epoll_ctl(router->epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}

static const char *open_device(void *ctx, size_t index, const char *path) {
  wan_router *router = ctx;
  const char *why = wan_tun_open(path, &router->devices[index]);
  if (why == NULL && !watch(router, router->devices[index], (uint32_t)index)) {
    (void)close(router->devices[index]);
    why = "cannot watch the device";
  }
  return why;
}

/* Reads what a host sends. With no room left, packets are read and dropped: the host goes on. */
static void read_device(wan_router *router, size_t index) {
  wan_link *link = &router->core.links[index];
  for (int i = 0; i < READS_PER_TURN; i++) {
    uint8_t scratch[WAN_MTU];
    wan_packet *packet = wan_queue_take(router->core.queue);
    uint8_t *bytes = packet != NULL ? packet->bytes : scratch;
    ssize_t len = read(router->devices[index], bytes, WAN_MTU);
    if (len <= 0) {
      if (packet != NULL) {
        wan_queue_release(router->core.queue, packet);
      }
      return;
    }
    if (packet == NULL) {
      link->counters.entered++;
      link->counters.memory++;
      continue;
    }
    packet->len = (uint16_t)len;
    wan_core_input(&router->core, link, packet, now_ns());
  }
}

static void write_due(wan_router *router) {
  wan_link *link = NULL;
  wan_packet *packet = wan_core_output(&router->core, now_ns(), &link);
  while (packet != NULL) {
    int device = router->devices[wan_core_index(&router->core, link)];
    if (write(device, packet->bytes, packet->len) == packet->len) {
      link->counters.left++;
    } else {
      link->counters.refused++; /* the device is down */
    }
    wan_queue_release(router->core.queue, packet);
    packet = wan_core_output(&router->core, now_ns(), &link);
  }
}

static void arm(wan_router *router) {
  uint64_t at_ns = wan_queue_deadline(router->core.queue);
  struct itimerspec spec = {0};
  if (at_ns == router->armed_ns) {
    return;
  }
  if (at_ns != WAN_NEVER) {
    spec.it_value.tv_sec = (time_t)(at_ns / NS_PER_S);
    spec.it_value.tv_nsec = (long)(at_ns % NS_PER_S);
  }
  (void)timerfd_settime(router->timer, TFD_TIMER_ABSTIME, &spec, NULL);
  router->armed_ns = at_ns;
}

static bool run_line(wan_router *router, char *line) {
  const wan_commander commander = {
      .core = &router->core, .open_device = open_device, .ctx = router};
  wan_command_run(&commander, line, router->reply, sizeof router->reply);
  return puts(router->reply) >= 0 && fflush(stdout) == 0;
}

/* False: the input has ended. */
static bool read_commands(wan_router *router) {
  size_t room = sizeof router->line - router->line_len;
  ssize_t len = read(STDIN_FILENO, router->line + router->line_len, room);
  char *start = router->line;
  if (len <= 0) {
    return len < 0 && (errno == EAGAIN || errno == EINTR);
  }
  router->line_len += (size_t)len;
  for (;;) {
    char *end = memchr(start, '\n', router->line_len);
    if (end == NULL) {
      break;
    }
    *end = '\0';
    router->line_len -= (size_t)(end + 1 - start);
    if (!run_line(router, start)) {
      return false;
    }
    start = end + 1;
  }
  memmove(router->line, start, router->line_len);
  if (router->line_len == sizeof router->line) {
    (void)fputs("netlab_wan: a command is too long\n", stderr);
    return false;
  }
  return true;
}

static void run(wan_router *router) {
  bool has_input = true;
  while (has_input) {
    struct epoll_event events[EVENTS_PER_TURN];
    arm(router);
    int num = epoll_wait(router->epoll, events, EVENTS_PER_TURN, -1);
    for (int i = 0; i < num; i++) {
      uint32_t tag = events[i].data.u32;
      if (tag == TAG_COMMANDS) {
        has_input = read_commands(router);
      } else if (tag == TAG_TIMER) {
        uint64_t expirations = 0;
        if (read(router->timer, &expirations, sizeof expirations) > 0) {
          router->armed_ns = WAN_NEVER;
        }
      } else {
        read_device(router, tag);
      }
      write_due(router);
    }
  }
}

static bool read_count(const char *text, unsigned long max, unsigned long *out) {
  char *end = NULL;
  errno = 0;
  unsigned long value = strtoul(text, &end, 10);
  if (errno != 0 || end == text || *end != '\0' || text[0] == '-' || value > max) {
    return false;
  }
  *out = value;
  return true;
}

static bool read_options(int argc, char **argv, unsigned long *seed, unsigned long *memory_mib) {
  static const struct option options[] = {{"seed", required_argument, NULL, 's'},
                                          {"memory", required_argument, NULL, 'm'},
                                          {NULL, 0, NULL, 0}};
  bool is_ok = true;
  int option = getopt_long(argc, argv, "", options, NULL);
  while (option != -1 && is_ok) {
    if (option == 's') {
      is_ok = read_count(optarg, UINT32_MAX, seed);
    } else if (option == 'm') {
      is_ok = read_count(optarg, MAX_MEMORY_MIB, memory_mib) && *memory_mib > 0;
    } else {
      is_ok = false;
    }
    option = getopt_long(argc, argv, "", options, NULL);
  }
  return is_ok && optind == argc;
}

int main(int argc, char **argv) {
  unsigned long seed = 1;
  unsigned long memory_mib = DEFAULT_MEMORY_MIB;
  if (!read_options(argc, argv, &seed, &memory_mib)) {
    (void)fputs("usage: netlab_wan [--seed N] [--memory MIB, 1 to 4096]\n", stderr);
    return 2;
  }
  wan_router *router = calloc(1, sizeof *router);
  wan_queue *queue = wan_queue_new((memory_mib << 20) / sizeof(wan_packet));
  int rc = 1;
  if (router != NULL && queue != NULL) {
    wan_core_init(&router->core, queue, seed);
    router->armed_ns = WAN_NEVER;
    router->epoll = epoll_create1(EPOLL_CLOEXEC);
    router->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (router->epoll >= 0 && router->timer >= 0 && fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK) == 0 &&
        watch(router, router->timer, TAG_TIMER) && watch(router, STDIN_FILENO, TAG_COMMANDS)) {
      run(router);
      rc = 0;
    }
  }
  if (rc != 0) {
    perror("netlab_wan");
  }
  wan_queue_free(queue);
  free(router);
  return rc;
}

/* Clocks, percentiles and the CPU time of other processes, for the benchmarks.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_BENCH_MEASURE_H
#define TORC_BENCH_MEASURE_H

#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static inline double measure_now(clockid_t clock) {
  struct timespec t;
  (void)clock_gettime(clock, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static inline int measure_compare(const void *a, const void *b) {
  double x = *(const double *)a;
  double y = *(const double *)b;
  return (x > y) - (x < y);
}

/* Value at fraction p (0..1) of n sorted samples. */
static inline double measure_percentile(const double *sorted, size_t n, double p) {
  size_t i = (size_t)(p * (double)(n - 1) + 0.5);
  return sorted[i < n ? i : n - 1];
}

/* Nanoseconds of CPU of one thread, from the scheduler's own count. */
static inline double measure_thread(int pid, const char *task) {
  char path[96];
  unsigned long long ns = 0;
  (void)snprintf(path, sizeof path, "/proc/%d/task/%.20s/schedstat", pid, task);
  FILE *f = fopen(path, "r");
  if (f != NULL) {
    if (fscanf(f, "%llu", &ns) != 1) {
      ns = 0;
    }
    (void)fclose(f);
  }
  return (double)ns;
}

/* Nanoseconds of CPU that the processes have used, all their threads. */
static inline double measure_cpu(const int *pids, size_t num) {
  double sum = 0;
  for (size_t i = 0; i < num; i++) {
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%d/task", pids[i]);
    DIR *dir = opendir(path);
    struct dirent *entry = NULL;
    while (dir != NULL && (entry = readdir(dir)) != NULL) {
      if (entry->d_name[0] != '.') {
        sum += measure_thread(pids[i], entry->d_name);
      }
    }
    if (dir != NULL) {
      (void)closedir(dir);
    }
  }
  return sum;
}

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#include "report_plot.h"

#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

int torc_plot_begin(torc_plot *p, const char *title, const char *x, const char *y) {
  p->script = tmpfile();
  if (p->script == NULL) {
    return TORC_ERR_IO;
  }
  (void)fprintf(p->script,
                "set terminal svg size 760,340 font 'sans-serif,12' background '#ffffff'\n"
                "set encoding utf8\nset border 3\nset tics nomirror out\n"
                "set grid back lc rgb '#dddddd' lw 0.6\nset key outside right top\n"
                "set linetype 1 lc rgb '#1b6ca8' lw 2\nset linetype 2 lc rgb '#c8553d' lw 2\n"
                "set linetype 3 lc rgb '#3a7d44' lw 2\nset linetype 4 lc rgb '#7d5ba6' lw 2\n"
                "set linetype 5 lc rgb '#b58900' lw 2\nset linetype 6 lc rgb '#555555' lw 2\n"
                "set title '%s'\nset xlabel '%s'\nset ylabel '%s'\n",
                title, x, y);
  return 0;
}

/* Runs gnuplot with the script as its input and `svg` as its output. */
static int run_gnuplot(FILE *script, FILE *svg) {
  char name[] = "gnuplot";
  char *argv[] = {name, NULL};
  posix_spawn_file_actions_t actions;
  pid_t pid = 0;
  int status = 0;
  if (posix_spawn_file_actions_init(&actions) != 0) {
    return TORC_ERR_NOMEM;
  }
  int rc = TORC_ERR_IO;
  if (posix_spawn_file_actions_adddup2(&actions, fileno(script), STDIN_FILENO) == 0 &&
      posix_spawn_file_actions_adddup2(&actions, fileno(svg), STDOUT_FILENO) == 0) {
    rc = posix_spawnp(&pid, name, &actions, NULL, argv, environ) == 0 ? 0 : TORC_ERR_NOTFOUND;
  }
  (void)posix_spawn_file_actions_destroy(&actions);
  if (rc != 0) {
    return rc;
  }
  if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status)) {
    return TORC_ERR_IO;
  }
  return WEXITSTATUS(status) == 127 ? TORC_ERR_NOTFOUND
         : WEXITSTATUS(status) == 0 ? 0
                                    : TORC_ERR_IO;
}

/* Copies from "<svg" on. */
static int copy_svg(FILE *svg, FILE *page) {
  char *text = NULL;
  size_t len = 0;
  FILE *all = open_memstream(&text, &len);
  char block[4096];
  if (all == NULL) {
    return TORC_ERR_NOMEM;
  }
  rewind(svg);
  for (size_t n = fread(block, 1, sizeof block, svg); n > 0;
       n = fread(block, 1, sizeof block, svg)) {
    (void)fwrite(block, 1, n, all);
  }
  int rc = fclose(all) == 0 ? 0 : TORC_ERR_NOMEM;
  const char *from = rc == 0 ? strstr(text, "<svg") : NULL;
  if (rc == 0 && (from == NULL || strstr(from, "</svg>") == NULL)) {
    rc = TORC_ERR_IO;
  } else if (rc == 0) {
    (void)fputs("<figure>", page);
    (void)fputs(from, page);
    (void)fputs("</figure>\n", page);
  }
  free(text);
  return rc;
}

int torc_plot_end(torc_plot *p, FILE *page) {
  FILE *svg = tmpfile();
  int rc = TORC_ERR_IO;
  if (svg != NULL && fflush(p->script) == 0 && fseek(p->script, 0, SEEK_SET) == 0 &&
      lseek(fileno(p->script), 0, SEEK_SET) == 0) {
    rc = run_gnuplot(p->script, svg);
  }
  if (rc == 0 && page != NULL) {
    rc = copy_svg(svg, page);
  }
  if (svg != NULL) {
    (void)fclose(svg);
  }
  (void)fclose(p->script);
  p->script = NULL;
  return rc;
}

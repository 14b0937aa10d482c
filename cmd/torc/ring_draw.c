/* The ring as text.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "base/id.h"
#include "commands.h"

#define STEPS 64 /* of the whole turn */
#define RADIUS_X 28
#define RADIUS_Y 8
#define WIDTH (2 * RADIUS_X + 5)
#define HEIGHT (2 * RADIUS_Y + 1)
#define DRAWN_MAX 32 /* peers; more would not be told apart */

/* 1000 sin of a sixty-fourth of a turn, for a quarter. */
static const int quarter_sine[STEPS / 4 + 1] = {0,   98,  195, 290, 383, 471, 556, 634, 707,
                                                773, 831, 882, 924, 957, 981, 995, 1000};

static int sine(int step) {
  int s = ((step % STEPS) + STEPS) % STEPS;
  int half = s % (STEPS / 2);
  int height = quarter_sine[half <= STEPS / 4 ? half : STEPS / 2 - half];
  return s < STEPS / 2 ? height : -height;
}

static int rounded(int thousandths) {
  return thousandths >= 0 ? (thousandths + 500) / 1000 : -((-thousandths + 500) / 1000);
}

/* Step 0 is on top, clockwise. */
static int column_of(int step) {
  return WIDTH / 2 + rounded(RADIUS_X * sine(step));
}

static int row_of(int step) {
  return RADIUS_Y - rounded(RADIUS_Y * sine(step + STEPS / 4));
}

static void write_at(char canvas[HEIGHT][WIDTH + 1], int row, int column, const char *text) {
  size_t len = strlen(text);
  int from = column - (int)(len / 2);
  for (size_t i = 0; i < len; i++) {
    int at = from + (int)i;
    if (row >= 0 && row < HEIGHT && at >= 0 && at < WIDTH) {
      canvas[row][at] = text[i];
    }
  }
}

static void draw_ellipse(const json_t *peers, const char *title, const char *self) {
  char canvas[HEIGHT][WIDTH + 1];
  char text[64];
  size_t num = json_array_size(peers);
  memset(canvas, ' ', sizeof canvas);
  for (int s = 0; s < STEPS; s++) {
    write_at(canvas, row_of(s), column_of(s), ".");
  }
  for (size_t i = 0; i < num; i++) {
    int step = (int)(i * STEPS / num);
    bool is_self = strcmp(text_of(json_array_get(peers, i), "peer"), self) == 0;
    (void)snprintf(text, sizeof text, is_self ? "[%zu]" : " %zu ", i + 1);
    write_at(canvas, row_of(step), column_of(step), text);
  }
  (void)snprintf(text, sizeof text, "%.40s", title);
  write_at(canvas, RADIUS_Y - 1, WIDTH / 2, text);
  (void)snprintf(text, sizeof text, "%zu peer%s", num, num == 1 ? "" : "s");
  write_at(canvas, RADIUS_Y + 1, WIDTH / 2, text);
  for (int row = 0; row < HEIGHT; row++) {
    int len = WIDTH;
    while (len > 0 && canvas[row][len - 1] == ' ') {
      len--;
    }
    (void)printf("  %.*s\n", len, canvas[row]);
  }
}

/* Share of the ring in hundredths of a percent: what lies between the predecessor and the peer. */
static unsigned share_of(const json_t *peers, size_t i) {
  torc_id from;
  torc_id to;
  size_t num = json_array_size(peers);
  const char *a = text_of(json_array_get(peers, (i + num - 1) % num), "peer");
  const char *b = text_of(json_array_get(peers, i), "peer");
  if (num == 1) {
    return 10000;
  }
  if (torc_id_parse(a, strlen(a), &from) != 0 || torc_id_parse(b, strlen(b), &to) != 0) {
    return 0;
  }
  torc_id distance = torc_id_distance(&from, &to);
  return torc_id_ppb(&distance) / 100000u;
}

void ring_draw(const json_t *peers, const char *title, const char *self) {
  size_t num = json_array_size(peers);
  if (num <= DRAWN_MAX) {
    draw_ellipse(peers, title, self);
  }
  for (size_t i = 0; i < num; i++) {
    const json_t *p = json_array_get(peers, i);
    bool is_self = strcmp(text_of(p, "peer"), self) == 0;
    unsigned share = share_of(peers, i);
    (void)printf("  %s%2zu%s  %s  %3u.%02u %%  %s\n", is_self ? "[" : " ", i + 1,
                 is_self ? "]" : " ", text_of(p, "peer"), share / 100, share % 100,
                 text_of(p, "user"));
  }
}

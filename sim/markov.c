/* SPDX-License-Identifier: Apache-2.0 */
#include "markov.h"

#include <string.h>

#define STATES (TORC_MARKOV_HOLDERS + 1) /* 0..3 holders */
#define HALVINGS_MAX 60u
#define SHORT 0.05
#define TERMS 8

typedef struct matrix {
  double m[STATES][STATES]; /* [from][to] */
} matrix;

static matrix multiply(const matrix *a, const matrix *b) {
  matrix out;
  for (int i = 0; i < STATES; i++) {
    for (int j = 0; j < STATES; j++) {
      out.m[i][j] = 0;
      for (int k = 0; k < STATES; k++) {
        out.m[i][j] += a->m[i][k] * b->m[k][j];
      }
    }
  }
  return out;
}

static matrix rates(const torc_markov *m) {
  matrix q;
  double fail = 1 / m->session_s;
  double wait = m->detect_s + m->copy_s;
  memset(&q, 0, sizeof q);
  for (int k = 1; k < STATES; k++) {
    double down = k * fail;
    double up = wait > 0 ? (TORC_MARKOV_HOLDERS - k) / wait : 0;
    q.m[k][k - 1] = down;
    if (k < TORC_MARKOV_HOLDERS) {
      q.m[k][k + 1] = up;
    }
    q.m[k][k] = -down - (k < TORC_MARKOV_HOLDERS ? up : 0);
  }
  return q;
}

/* exp(Q t): a series for a part so short that nothing much happens in it, then squared until it is
 * the whole. */
static matrix after(const torc_markov *m, double time_s) {
  matrix q = rates(m);
  double dt = time_s;
  unsigned halvings = 0;
  double most = 0;
  for (int i = 0; i < STATES; i++) {
    most = -q.m[i][i] > most ? -q.m[i][i] : most;
  }
  for (; dt * most > SHORT && halvings < HALVINGS_MAX; halvings++) {
    dt /= 2;
  }
  matrix p;
  matrix term;
  memset(&p, 0, sizeof p);
  for (int i = 0; i < STATES; i++) {
    p.m[i][i] = 1;
  }
  term = p;
  for (int k = 1; k <= TERMS; k++) {
    term = multiply(&term, &q);
    for (int i = 0; i < STATES; i++) {
      for (int j = 0; j < STATES; j++) {
        term.m[i][j] *= dt / k;
        p.m[i][j] += term.m[i][j];
      }
    }
  }
  for (unsigned i = 0; i < halvings; i++) {
    p = multiply(&p, &p);
  }
  return p;
}

double torc_markov_lost(const torc_markov *m, double time_s) {
  matrix p = after(m, time_s);
  return p.m[TORC_MARKOV_HOLDERS][0];
}

void torc_markov_curve(const torc_markov *m, double most_s, double out[TORC_MARKOV_STEPS + 1]) {
  matrix step = after(m, most_s / TORC_MARKOV_STEPS);
  matrix p;
  memset(&p, 0, sizeof p);
  for (int i = 0; i < STATES; i++) {
    p.m[i][i] = 1;
  }
  for (int i = 0; i <= TORC_MARKOV_STEPS; i++) {
    out[i] = p.m[TORC_MARKOV_HOLDERS][0];
    p = multiply(&p, &step);
  }
}

double torc_markov_at(const double curve[TORC_MARKOV_STEPS + 1], double most_s, double time_s) {
  if (most_s <= 0 || time_s <= 0) {
    return 0;
  }
  double place = time_s / most_s * TORC_MARKOV_STEPS;
  if (place >= TORC_MARKOV_STEPS) {
    return curve[TORC_MARKOV_STEPS];
  }
  int i = (int)place;
  return curve[i] + (curve[i + 1] - curve[i]) * (place - i);
}

double torc_markov_at_once(double peers, double gone) {
  double k = peers * gone;
  return k < 3 ? 0 : k / peers * (k - 1) / (peers - 1) * (k - 2) / (peers - 2);
}

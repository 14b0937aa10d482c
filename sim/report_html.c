/* The page with plots. SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "report.h"
#include "report_plot.h"
#include "wire/contents.h"

typedef unsigned long long ull;

typedef struct page {
  FILE *to;
  const torc_run_result *runs;
  size_t num;
  int rc; /* the first failure */
} page;

static double metric(const torc_run_result *r, torc_metric m) {
  double v = 0;
  return torc_run_metric(r, m, &v) ? v : 0;
}

static double seconds(torc_time t) {
  return (double)t / 1e6;
}

static void put_text(FILE *to, const char *text) {
  for (const char *p = text; *p != '\0'; p++) {
    switch (*p) {
      case '&':
        (void)fputs("&amp;", to);
        break;
      case '<':
        (void)fputs("&lt;", to);
        break;
      case '>':
        (void)fputs("&gt;", to);
        break;
      default:
        (void)fputc(*p, to);
    }
  }
}

static bool begin(page *g, torc_plot *p, const char *title, const char *x, const char *y) {
  if (g->rc == 0) {
    g->rc = torc_plot_begin(p, title, x, y);
  }
  return g->rc == 0;
}

static void end(page *g, torc_plot *p) {
  int rc = torc_plot_end(p, g->to);
  g->rc = g->rc == 0 ? rc : g->rc;
}

/* ---- one run ---- */

static void plot_peers(page *g, const torc_run_result *r) {
  torc_plot p;
  if (!begin(g, &p, "Nodes", "seconds", "nodes")) {
    return;
  }
  (void)fputs("set yrange [0:0.1<*]\n$d << EOD\n", p.script);
  for (size_t k = 0; k < r->num_samples; k++) {
    const torc_sample *s = &r->samples[k];
    (void)fprintf(p.script, "%.3f %llu %llu\n", seconds(s->at), (ull)s->peers + s->clients,
                  (ull)s->joined);
  }
  (void)fputs(
      "EOD\nplot $d using 1:2 with lines lt 1 title 'live', "
      "'' using 1:3 with lines lt 2 title 'joined'\n",
      p.script);
  end(g, &p);
}

static uint64_t sum_of(const torc_run_result *r, torc_count c) {
  uint64_t sum = 0;
  for (size_t k = 0; k < r->num_samples; k++) {
    sum += r->samples[k].counts[c];
  }
  return sum;
}

static void success_points(FILE *to, const torc_run_result *r, const char *name, torc_count ok,
                           torc_count all) {
  (void)fprintf(to, "$%s << EOD\n", name);
  for (size_t k = 0; k < r->num_samples; k++) {
    const uint64_t *c = r->samples[k].counts;
    if (c[all] > 0) {
      (void)fprintf(to, "%.3f %.5f\n", seconds(r->samples[k].at),
                    100.0 * (double)c[ok] / (double)c[all]);
    }
  }
  (void)fputs("EOD\n", to);
}

static void plot_success(page *g, const torc_run_result *r) {
  torc_plot p;
  bool lookups = sum_of(r, TORC_COUNT_LOOKUPS) > 0;
  bool stores = sum_of(r, TORC_COUNT_STORES) > 0;
  bool fetches = sum_of(r, TORC_COUNT_FETCHES) > 0;
  bool asks = sum_of(r, TORC_COUNT_ASKS) > 0;
  if ((!lookups && !stores && !fetches && !asks) ||
      !begin(g, &p, "Calls answered with success, by the interval in which they ended", "seconds",
             "percent")) {
    return;
  }
  success_points(p.script, r, "l", TORC_COUNT_LOOKUP_OK, TORC_COUNT_LOOKUPS);
  success_points(p.script, r, "s", TORC_COUNT_STORE_OK, TORC_COUNT_STORES);
  success_points(p.script, r, "f", TORC_COUNT_FETCH_OK, TORC_COUNT_FETCHES);
  success_points(p.script, r, "a", TORC_COUNT_ASK_OK, TORC_COUNT_ASKS);
  (void)fprintf(p.script, "set yrange [*:100.5]\nset xrange [0:%.3f]\nplot ", seconds(r->ended_at));
  (void)fprintf(p.script, "%s%s%s%s\n",
                lookups ? "$l using 1:2 with linespoints lt 1 pt 7 ps 0.3 title 'lookups', " : "",
                stores ? "$s using 1:2 with linespoints lt 2 pt 7 ps 0.3 title 'stores', " : "",
                fetches ? "$f using 1:2 with linespoints lt 3 pt 7 ps 0.3 title 'fetches', " : "",
                asks ? "$a using 1:2 with linespoints lt 4 pt 7 ps 0.3 title "
                       "'fetches that ask the replicas', "
                     : "");
  end(g, &p);
}

static void plot_hops(page *g, const torc_run_result *r) {
  const torc_hist *h = &r->measure.hops;
  uint64_t most = torc_hist_percentile(h, 1000);
  torc_plot p;
  if (h->count == 0 || !begin(g, &p, "Hops of a lookup", "hops", "percent of the lookups")) {
    return;
  }
  (void)fprintf(p.script,
                "set boxwidth 0.85\nset style fill solid 0.75 noborder\nset yrange [0:0.1<*]\n"
                "set xrange [-0.6:%llu.6]\nset xtics 1\n$d << EOD\n",
                (ull)most);
  for (uint64_t k = 0; k <= most && k < 64; k++) {
    (void)fprintf(p.script, "%llu %.5f\n", (ull)k,
                  100.0 * (double)h->buckets[k] / (double)h->count);
  }
  (void)fprintf(
      p.script,
      "EOD\nset arrow 1 from %.4f, graph 0 to %.4f, graph 1 nohead front lc rgb '#c8553d' lw 2\n"
      "set arrow 2 from %.4f, graph 0 to %.4f, graph 1 nohead front lc rgb '#3a7d44' lw 2\n"
      "plot $d using 1:2 with boxes lt 1 title 'lookups', "
      "1/0 with lines lt 2 title 'mean %.2f', "
      "1/0 with lines lt 3 title 'log2 N / 2 = %.2f'\n",
      torc_hist_mean(h), torc_hist_mean(h), torc_half_log2(r->peers), torc_half_log2(r->peers),
      torc_hist_mean(h), torc_half_log2(r->peers));
  end(g, &p);
}

static void plot_traffic(page *g, const torc_run_result *r) {
  torc_plot p;
  if (!begin(g, &p, "Traffic of a node", "seconds", "messages a minute")) {
    return;
  }
  (void)fputs(
      "set y2label 'bytes a minute'\nset y2tics\nset yrange [0:0.1<*]\nset y2range [0:0.1<*]\n"
      "$d << EOD\n",
      p.script);
  for (size_t k = 0; k < r->num_samples; k++) {
    (void)fprintf(p.script, "%.3f %.4f %.1f\n", seconds(r->samples[k].at), r->samples[k].messages,
                  r->samples[k].bytes);
  }
  (void)fputs(
      "EOD\nplot $d using 1:2 with lines lt 1 title 'messages', "
      "'' using 1:3 axes x1y2 with lines lt 2 title 'bytes'\n",
      p.script);
  end(g, &p);
}

static void plot_methods(page *g, const torc_run_result *r) {
  torc_plot p;
  unsigned num = 0;
  if (r->node_minutes <= 0 ||
      !begin(g, &p, "Bytes of a node by method, while it was measured", "", "bytes a minute")) {
    return;
  }
  (void)fputs(
      "set style data histograms\nset style histogram rowstacked\nset boxwidth 0.7\n"
      "set style fill solid 0.75 noborder\nset yrange [0:0.1<*]\n$d << EOD\n",
      p.script);
  for (unsigned m = 0; m < TORC_SIM_METHODS; m++) {
    const uint64_t *b = r->traffic.bytes[m];
    const char *name = torc_method_name((uint16_t)(m * 2 + 1));
    if (b[0] + b[1] > 0) {
      (void)fprintf(p.script, "\"%s\" %.2f %.2f\n", name == NULL || name[0] == '?' ? "other" : name,
                    (double)b[0] / r->node_minutes, (double)b[1] / r->node_minutes);
      num++;
    }
  }
  (void)fprintf(p.script, "%s", num == 0 ? "\"none\" 0 0\n" : "");
  (void)fputs(
      "EOD\nplot $d using 2:xtic(1) lt 1 title 'requests', '' using 3 lt 2 title "
      "'responses'\n",
      p.script);
  end(g, &p);
}

static void plot_load(page *g, const torc_run_result *r) {
  torc_plot p;
  uint64_t seen = 0;
  if (r->load.count == 0 ||
      !begin(g, &p, "Load: messages sent by each peer, while it was measured", "messages",
             "percent of the peers that sent at most that many")) {
    return;
  }
  (void)fputs("set yrange [0:100]\nset logscale x\n$d << EOD\n", p.script);
  for (size_t k = 0; k < TORC_HIST_BUCKETS; k++) {
    seen += r->load.buckets[k];
    if (r->load.buckets[k] > 0) {
      (void)fprintf(p.script, "%llu %.5f\n", (ull)(torc_hist_low(k) == 0 ? 1 : torc_hist_low(k)),
                    100.0 * (double)seen / (double)r->load.count);
    }
  }
  (void)fputs("EOD\nplot $d using 1:2 with steps lt 1 title 'peers'\n", p.script);
  end(g, &p);
}

static void plot_values(page *g, const torc_run_result *r) {
  torc_plot p;
  size_t first = 0;
  while (first < r->num_samples && r->samples[first].values == 0) {
    first++;
  }
  if (first == r->num_samples ||
      !begin(g, &p, "Values that no live peer holds", "seconds", "percent of the values")) {
    return;
  }
  (void)fputs("set yrange [0:0.1<*]\n$d << EOD\n", p.script);
  for (size_t k = first; k < r->num_samples; k++) {
    const torc_sample *s = &r->samples[k];
    if (s->values > 0) {
      (void)fprintf(p.script, "%.3f %.5f\n", seconds(s->at),
                    100.0 * (double)s->gone / (double)s->values);
    }
  }
  (void)fputs("EOD\n", p.script);
  if (r->values.model.session_s > 0) {
    double from = seconds(r->samples[first].at);
    (void)fputs("$m << EOD\n", p.script);
    for (size_t k = first; k < r->num_samples; k++) {
      double t = seconds(r->samples[k].at);
      (void)fprintf(p.script, "%.3f %.5f\n", t, 100 * torc_markov_lost(&r->values.model, t - from));
    }
    (void)fputs("EOD\n", p.script);
  }
  (void)fprintf(p.script, "plot $d using 1:2 with lines lt 1 title 'measured'%s\n",
                r->values.model.session_s > 0
                    ? ", $m using 1:2 with lines lt 2 title 'Markov model, no refresh'"
                    : "");
  end(g, &p);
}

/* ---- several runs ---- */

static bool peers_vary(const page *g) {
  for (size_t k = 1; k < g->num; k++) {
    if (g->runs[k].peers != g->runs[0].peers) {
      return true;
    }
  }
  return false;
}

/* The label without its "peers=...": runs of one line share it. */
static void series_of(const torc_run_result *r, char out[TORC_SCENARIO_LINE_MAX]) {
  const char *at = r->label;
  out[0] = '\0';
  while (*at != '\0') {
    size_t len = strcspn(at, " ");
    if (strncmp(at, "peers=", 6) != 0 && len > 0) {
      size_t have = strlen(out);
      (void)snprintf(out + have, TORC_SCENARIO_LINE_MAX - have, "%s%.*s", have > 0 ? " " : "",
                     (int)len, at);
    }
    at += len + (at[len] == ' ');
  }
  if (out[0] == '\0') {
    (void)snprintf(out, TORC_SCENARIO_LINE_MAX, "%s", r->name);
  }
}

static bool is_first_of_series(const page *g, size_t k) {
  char mine[TORC_SCENARIO_LINE_MAX];
  char other[TORC_SCENARIO_LINE_MAX];
  series_of(&g->runs[k], mine);
  for (size_t i = 0; i < k; i++) {
    series_of(&g->runs[i], other);
    if (strcmp(mine, other) == 0) {
      return false;
    }
  }
  return true;
}

static void compare_points(page *g, FILE *to, torc_metric m, double factor) {
  char mine[TORC_SCENARIO_LINE_MAX];
  char other[TORC_SCENARIO_LINE_MAX];
  for (size_t k = 0; k < g->num; k++) {
    if (!is_first_of_series(g, k)) {
      continue;
    }
    series_of(&g->runs[k], mine);
    (void)fprintf(to, "$s%zu << EOD\n", k);
    for (size_t i = k; i < g->num; i++) {
      double v = 0;
      series_of(&g->runs[i], other);
      if (strcmp(mine, other) == 0 && torc_run_metric(&g->runs[i], m, &v)) {
        (void)fprintf(to, "%llu %.8g\n", (ull)g->runs[i].peers, v * factor);
      }
    }
    (void)fputs("EOD\n", to);
  }
}

/* A measure against the number of peers, one line for each series. */
static void compare_by_peers(page *g, torc_plot *p, torc_metric m, double factor) {
  char mine[TORC_SCENARIO_LINE_MAX];
  (void)fputs("set logscale x 10\n", p->script);
  compare_points(g, p->script, m, factor);
  (void)fputs("plot ", p->script);
  for (size_t k = 0, num = 0; k < g->num; k++) {
    if (is_first_of_series(g, k)) {
      series_of(&g->runs[k], mine);
      (void)fprintf(p->script,
                    "%s$s%zu using 1:2 with linespoints lt %zu pt 7 ps 0.6 title '%s' noenhanced",
                    num > 0 ? ", " : "", k, num % 6 + 1, mine);
      num++;
    }
  }
  if (m == TORC_METRIC_HOPS_MEAN) {
    (void)fputs(", log(x)/log(2)/2 with lines dt 2 lc rgb '#999999' title 'log2 N / 2'", p->script);
  }
  (void)fputs("\n", p->script);
}

static void compare_by_run(page *g, torc_plot *p, torc_metric m, double factor) {
  (void)fputs(
      "set boxwidth 0.7\nset style fill solid 0.75 noborder\nset xtics rotate by -20\n$d << EOD\n",
      p->script);
  for (size_t k = 0; k < g->num; k++) {
    const torc_run_result *r = &g->runs[k];
    (void)fprintf(p->script, "%zu \"%s\" %.8g\n", k, r->label[0] != '\0' ? r->label : r->name,
                  metric(r, m) * factor);
  }
  (void)fputs("EOD\nplot $d using 1:3:xtic(2) with boxes lt 1 notitle\n", p->script);
}

static void compare_one(page *g, torc_metric m, const char *title, const char *y, double factor,
                        const char *range) {
  torc_plot p;
  bool any = false;
  for (size_t k = 0; k < g->num; k++) {
    double v = 0;
    any = any || torc_run_metric(&g->runs[k], m, &v);
  }
  if (!any || !begin(g, &p, title, peers_vary(g) ? "peers" : "", y)) {
    return;
  }
  (void)fprintf(p.script, "set yrange %s\n", range);
  if (peers_vary(g)) {
    compare_by_peers(g, &p, m, factor);
  } else {
    compare_by_run(g, &p, m, factor);
  }
  end(g, &p);
}

static void compare_runs(page *g) {
  compare_one(g, TORC_METRIC_HOPS_MEAN, "Mean hops of a lookup", "hops", 1, "[0:0.1<*]");
  compare_one(g, TORC_METRIC_HOPS_P99, "Hops that 99 % of the lookups do not exceed", "hops", 1,
              "[0:0.1<*]");
  compare_one(g, TORC_METRIC_SUCCESS, "Lookups answered", "percent", 100, "[*:100.5]");
  compare_one(g, TORC_METRIC_MESSAGES, "Messages of a node", "a minute", 1, "[0:0.1<*]");
  compare_one(g, TORC_METRIC_BYTES, "Bytes of a node", "a minute", 1, "[0:0.1<*]");
  compare_one(g, TORC_METRIC_BYTES_PER_NODE, "Memory of a node", "bytes", 1, "[0:0.1<*]");
  compare_one(g, TORC_METRIC_LOST_SHARE, "Values lost", "percent", 100, "[0:0.1<*]");
  compare_one(g, TORC_METRIC_WHOLE, "Time until the ring is whole", "seconds", 1, "[0:0.1<*]");
}

/* ---- the page ---- */

static void facts(FILE *to, const torc_run_result *r) {
  char *text = NULL;
  size_t len = 0;
  FILE *mem = open_memstream(&text, &len);
  if (mem == NULL) {
    return;
  }
  torc_report_text(mem, r);
  if (fclose(mem) == 0) {
    (void)fputs("<pre>", to);
    put_text(to, text);
    (void)fputs("</pre>\n", to);
  }
  free(text);
}

static void table(page *g) {
  static const struct {
    const char *name;
    torc_metric m;
    const char *format;
    double factor;
  } columns[] = {
      {"peers", TORC_METRIC_PEERS, "%.0f", 1},
      {"hops, mean", TORC_METRIC_HOPS_MEAN, "%.2f", 1},
      {"p99", TORC_METRIC_HOPS_P99, "%.0f", 1},
      {"success %", TORC_METRIC_SUCCESS, "%.4f", 100},
      {"lost", TORC_METRIC_LOST, "%.0f", 1},
      {"messages a minute", TORC_METRIC_MESSAGES, "%.2f", 1},
      {"bytes a minute", TORC_METRIC_BYTES, "%.0f", 1},
      {"bytes a node", TORC_METRIC_BYTES_PER_NODE, "%.0f", 1},
      {"whole, s", TORC_METRIC_WHOLE, "%.1f", 1},
  };
  (void)fputs("<table><tr><th>run</th>", g->to);
  for (size_t c = 0; c < sizeof columns / sizeof columns[0]; c++) {
    (void)fprintf(g->to, "<th>%s</th>", columns[c].name);
  }
  (void)fputs("<th>log2 N / 2</th><th>expectations</th></tr>\n", g->to);
  for (size_t k = 0; k < g->num; k++) {
    const torc_run_result *r = &g->runs[k];
    (void)fputs("<tr><th>", g->to);
    put_text(g->to, r->label[0] != '\0' ? r->label : r->name);
    (void)fputs("</th>", g->to);
    for (size_t c = 0; c < sizeof columns / sizeof columns[0]; c++) {
      double v = 0;
      (void)fputs("<td>", g->to);
      if (torc_run_metric(r, columns[c].m, &v)) {
        (void)fprintf(g->to, columns[c].format, v * columns[c].factor);
      }
      (void)fputs("</td>", g->to);
    }
    (void)fprintf(g->to, "<td>%.2f</td><td>%s</td></tr>\n", torc_half_log2(r->peers),
                  r->num_failed == 0 ? "hold" : "failed");
  }
  (void)fputs("</table>\n", g->to);
}

static void head(FILE *to, const char *title) {
  (void)fputs("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n<title>", to);
  put_text(to, title);
  (void)fputs(
      "</title>\n<style>body{font:15px/1.5 sans-serif;max-width:62em;margin:2em auto;padding:0 1em;"
      "color:#222}figure{margin:1.5em 0}svg{max-width:100%;height:auto}"
      "table{border-collapse:collapse;font-size:13px}th,td{border:1px solid #ddd;"
      "padding:.25em .6em;text-align:right}th:first-child{text-align:left}"
      "pre{background:#f5f5f2;padding:1em;overflow:auto;font-size:12.5px}</style></head><body>\n",
      to);
}

static void one_run(page *g, const torc_run_result *r) {
  facts(g->to, r);
  plot_hops(g, r);
  plot_success(g, r);
  plot_peers(g, r);
  plot_values(g, r);
  plot_traffic(g, r);
  plot_methods(g, r);
  plot_load(g, r);
}

static void write_page(page *g, const char *command, const char *text) {
  head(g->to, g->runs[0].name);
  (void)fputs("<h1>Torc simulation: ", g->to);
  put_text(g->to, g->runs[0].name);
  (void)fputs("</h1>\n<p>", g->to);
  put_text(g->to, g->runs[0].about);
  (void)fputs("</p>\n<pre>", g->to);
  put_text(g->to, command);
  (void)fputs("</pre>\n", g->to);
  if (g->num > 1) {
    table(g);
    compare_runs(g);
    for (size_t k = 0; k < g->num; k++) {
      (void)fputs("<details><summary>", g->to);
      put_text(g->to, g->runs[k].label[0] != '\0' ? g->runs[k].label : g->runs[k].name);
      (void)fputs("</summary>\n", g->to);
      one_run(g, &g->runs[k]);
      (void)fputs("</details>\n", g->to);
    }
  } else {
    one_run(g, &g->runs[0]);
  }
  (void)fputs("<h2>Scenario</h2>\n<pre>", g->to);
  put_text(g->to, text);
  (void)fputs("</pre>\n</body></html>\n", g->to);
}

int torc_report_can_plot(char *err, size_t err_cap) {
  torc_plot p;
  int rc = torc_plot_begin(&p, "", "", "");
  if (rc == 0) {
    rc = torc_plot_end(&p, NULL);
  }
  if (rc == TORC_ERR_NOTFOUND) {
    (void)snprintf(err, err_cap, "a report needs gnuplot: apt-get install gnuplot-nox");
  } else if (rc != 0) {
    (void)snprintf(err, err_cap, "gnuplot does not run; see its messages above");
  }
  return rc;
}

int torc_report_html(const char *path, const torc_run_result *runs, size_t num, const char *command,
                     const char *text, char *err, size_t err_cap) {
  page g = {.to = fopen(path, "w"), .runs = runs, .num = num};
  if (g.to == NULL) {
    (void)snprintf(err, err_cap, "%s: %s", path, strerror(errno));
    return TORC_ERR_IO;
  }
  write_page(&g, command, text);
  bool failed = ferror(g.to) != 0;
  failed = fclose(g.to) != 0 || failed;
  if (g.rc != 0) {
    (void)snprintf(err, err_cap, "gnuplot does not run; see its messages above");
    return g.rc;
  }
  if (failed) {
    (void)snprintf(err, err_cap, "%s: %s", path, strerror(errno));
    return TORC_ERR_IO;
  }
  return 0;
}

/* JSON and text. SPDX-License-Identifier: Apache-2.0 */
#include "report.h"

#include <string.h>

#include "wire/contents.h"

typedef unsigned long long ull;

static double metric(const torc_run_result *r, torc_metric m) {
  double v = 0;
  return torc_run_metric(r, m, &v) ? v : 0;
}

static double seconds(torc_time t) {
  return (double)t / 1e6;
}

/* ---- JSON ---- */

static void json_text(FILE *to, const char *name, const char *text) {
  (void)fprintf(to, "\"%s\":\"", name);
  for (const char *p = text; *p != '\0'; p++) {
    if (*p == '"' || *p == '\\') {
      (void)fprintf(to, "\\%c", *p);
    } else if ((unsigned char)*p < 0x20) {
      (void)fprintf(to, "\\u%04x", (unsigned)*p);
    } else {
      (void)fputc(*p, to);
    }
  }
  (void)fputs("\",", to);
}

/* A measure, or null where nothing was measured. */
static void json_metric(FILE *to, const torc_run_result *r, torc_metric m) {
  double v = 0;
  if (torc_run_metric(r, m, &v)) {
    (void)fprintf(to, "\"%s\":%.6g,", torc_metric_name(m), v);
  } else {
    (void)fprintf(to, "\"%s\":null,", torc_metric_name(m));
  }
}

static void json_times(FILE *to, const char *name, const torc_hist *h) {
  (void)fprintf(
      to, "\"%s\":{\"count\":%llu,\"mean\":%.3f,\"p50\":%.3f,\"p95\":%.3f,\"p99\":%.3f},", name,
      (ull)h->count, torc_hist_mean(h) / 1000, (double)torc_hist_percentile(h, 500) / 1000,
      (double)torc_hist_percentile(h, 950) / 1000, (double)torc_hist_percentile(h, 990) / 1000);
}

static const char *name_of(unsigned method, char out[16]) {
  const char *known = torc_method_name((uint16_t)(method * 2 + 1));
  if (known != NULL && known[0] != '\0' && known[0] != '?') {
    return known;
  }
  if (method == TORC_SIM_METHODS - 1) {
    return "other";
  }
  (void)snprintf(out, 16, "%u", method * 2 + 1);
  return out;
}

static void json_methods(FILE *to, const torc_run_result *r) {
  bool first = true;
  (void)fputs("\"methods\":{", to);
  for (unsigned m = 0; m < TORC_SIM_METHODS; m++) {
    char text[16];
    const uint64_t *n = r->traffic.messages[m];
    const uint64_t *b = r->traffic.bytes[m];
    if (n[0] + n[1] == 0) {
      continue;
    }
    (void)fprintf(to,
                  "%s\"%s\":{\"requests\":%llu,\"responses\":%llu,\"request_bytes\":%llu,"
                  "\"response_bytes\":%llu}",
                  first ? "" : ",", name_of(m, text), (ull)n[0], (ull)n[1], (ull)b[0], (ull)b[1]);
    first = false;
  }
  (void)fputs("},", to);
}

static void json_values(FILE *to, const torc_run_result *r) {
  const torc_value_result *v = &r->values;
  (void)fprintf(to,
                "\"stored\":%llu,\"owed\":%llu,\"found\":%llu,\"lost\":%llu,\"lost_held\":%llu,"
                "\"lost_gone\":%llu,\"unanswered\":%llu,",
                (ull)v->stored, (ull)v->owed, (ull)v->found, (ull)v->lost, (ull)v->lost_held,
                (ull)v->lost_gone, (ull)v->unanswered);
  json_metric(to, r, TORC_METRIC_LOST_SHARE);
  (void)fprintf(to,
                "\"at_once_share\":%.6g,\"markov_share\":%.6g,\"detect_s\":%.3f,\"copy_s\":%.3f,",
                v->at_once_share, v->model_share, v->model.detect_s, v->model.copy_s);
  if (v->model.session_s > 0 && v->repair_s >= 0) {
    (void)fprintf(to, "\"repair_s\":%.3f,", v->repair_s);
  } else {
    (void)fputs("\"repair_s\":null,", to);
  }
  json_metric(to, r, TORC_METRIC_MARKOV_RATIO);
}

void torc_report_json(FILE *to, const torc_run_result *r) {
  static const torc_metric plain[] = {
      TORC_METRIC_JOINED,        TORC_METRIC_SUCCESS,     TORC_METRIC_WRONG,
      TORC_METRIC_HOPS_MEAN,     TORC_METRIC_HOPS_P50,    TORC_METRIC_HOPS_P95,
      TORC_METRIC_HOPS_P99,      TORC_METRIC_STORE_OK,    TORC_METRIC_FETCH_OK,
      TORC_METRIC_STALE,         TORC_METRIC_RESURRECTED, TORC_METRIC_FORGED,
      TORC_METRIC_UNENDED,       TORC_METRIC_MESSAGES,    TORC_METRIC_BYTES,
      TORC_METRIC_BYTES_PER_NODE};
  (void)fputs("{\"kind\":\"summary\",", to);
  json_text(to, "scenario", r->name);
  if (r->label[0] != '\0') {
    json_text(to, "label", r->label);
  }
  (void)fprintf(to, "\"peers\":%llu,\"clients\":%llu,", (ull)r->peers, (ull)r->clients);
  json_text(to, "algorithm", r->algorithm);
  (void)fprintf(to, "\"half_log2\":%.3f,\"lookups\":%llu,", torc_half_log2(r->peers),
                (ull)r->measure.counts[TORC_COUNT_LOOKUPS]);
  for (size_t k = 0; k < sizeof plain / sizeof plain[0]; k++) {
    json_metric(to, r, plain[k]);
  }
  (void)fprintf(to, "\"asks\":%llu,", (ull)r->measure.counts[TORC_COUNT_ASKS]);
  json_metric(to, r, TORC_METRIC_ASK_OK);
  json_values(to, r);
  json_times(to, "lookup_ms", &r->measure.lookup_us);
  json_times(to, "store_ms", &r->measure.store_us);
  json_times(to, "fetch_ms", &r->measure.fetch_us);
  json_times(to, "ask_ms", &r->measure.ask_us);
  json_times(to, "join_ms", &r->measure.join_us);
  json_times(to, "detect_ms", &r->measure.detect_us);
  json_methods(to, r);
  (void)fprintf(to, "\"load_mean\":%.3f,\"load_p50\":%llu,\"load_p99\":%llu,\"load_max\":%llu,",
                torc_hist_mean(&r->load), (ull)torc_hist_percentile(&r->load, 500),
                (ull)torc_hist_percentile(&r->load, 990),
                (ull)torc_hist_percentile(&r->load, 1000));
  (void)fprintf(to, "\"dropped\":%llu,\"errors\":%llu,\"abandoned\":%llu,", (ull)r->traffic.dropped,
                (ull)r->traffic.errors, (ull)r->measure.counts[TORC_COUNT_ABANDONED]);
  (void)fprintf(to, r->whole_s < 0 ? "\"whole_s\":null," : "\"whole_s\":%.3f,", r->whole_s);
  (void)fprintf(to, "\"ring\":%s,", r->is_whole ? "true" : "false");
  json_text(to, "fault", r->fault);
  (void)fprintf(to,
                "\"measured_s\":%.3f,\"virtual_s\":%.3f,\"events\":%llu,\"events_per_s\":%.0f,"
                "\"store_bytes\":%llu,\"engine_bytes\":%llu,\"wall_s\":%.3f,\"threads\":%u,"
                "\"expects\":%llu,\"failed\":%llu,\"ok\":%s,\"seed\":%llu}\n",
                seconds(r->ended_at - r->measured_from), seconds(r->ended_at), (ull)r->events,
                (double)r->events / (r->wall_s + 1e-9), (ull)r->memory.stores,
                (ull)r->memory.engine, r->wall_s, r->threads, (ull)r->num_expects,
                (ull)r->num_failed, r->num_failed == 0 ? "true" : "false", (ull)r->seed);
  (void)fflush(to);
}

/* ---- text ---- */

static void text_values(FILE *to, const torc_run_result *r) {
  const torc_value_result *v = &r->values;
  if (!v->is_checked) {
    return;
  }
  (void)fprintf(to,
                "values        %llu stored, %llu owed, %llu found, %llu stale, %llu unanswered\n",
                (ull)v->stored, (ull)v->owed, (ull)v->found, (ull)v->stale, (ull)v->unanswered);
  (void)fprintf(
      to, "lost          %llu (%.4f %%): %llu though a holder lives, %llu all holders gone\n",
      (ull)v->lost, 100 * metric(r, TORC_METRIC_LOST_SHARE), (ull)v->lost_held, (ull)v->lost_gone);
  if (v->at_once_share > 0) {
    (void)fprintf(to,
                  "in theory     %.4f %%: all three holders among the peers that went at once\n",
                  100 * v->at_once_share);
  }
  if (v->model.session_s > 0) {
    (void)fprintf(
        to,
        "Markov model  %.4f %% with sessions of %.0f s, %.1f s to notice, %.1f s to copy; "
        "measured / model %.2f\n",
        100 * v->model_share, v->model.session_s, v->model.detect_s, v->model.copy_s,
        metric(r, TORC_METRIC_MARKOV_RATIO));
    if (v->repair_s >= 0) {
      (void)fprintf(to, "repaired      a holder that vanished is missing for %.1f s\n",
                    v->repair_s);
    }
  }
}

static void text_methods(FILE *to, const torc_run_result *r) {
  (void)fputs("per peer and minute   requests  responses      bytes\n", to);
  for (unsigned m = 0; m < TORC_SIM_METHODS; m++) {
    char text[16];
    const uint64_t *n = r->traffic.messages[m];
    const uint64_t *b = r->traffic.bytes[m];
    if (n[0] + n[1] > 0 && r->node_minutes > 0) {
      (void)fprintf(to, "  %-16s %11.2f %10.2f %10.0f\n", name_of(m, text),
                    (double)n[0] / r->node_minutes, (double)n[1] / r->node_minutes,
                    (double)(b[0] + b[1]) / r->node_minutes);
    }
  }
}

static void text_calls(FILE *to, const torc_run_result *r) {
  const uint64_t *c = r->measure.counts;
  if (c[TORC_COUNT_LOOKUPS] > 0) {
    (void)fprintf(to,
                  "lookups       %llu, success %.4f %%, %llu by a peer that is not responsible\n",
                  (ull)c[TORC_COUNT_LOOKUPS], 100 * metric(r, TORC_METRIC_SUCCESS),
                  (ull)c[TORC_COUNT_LOOKUP_WRONG]);
    (void)fprintf(
        to, "hops          mean %.2f (log2 N / 2 is %.2f), p50 %.0f, p95 %.0f, p99 %.0f\n",
        metric(r, TORC_METRIC_HOPS_MEAN), torc_half_log2(r->peers), metric(r, TORC_METRIC_HOPS_P50),
        metric(r, TORC_METRIC_HOPS_P95), metric(r, TORC_METRIC_HOPS_P99));
    (void)fprintf(to, "lookup time   p50 %.0f ms, p99 %.0f ms\n",
                  (double)torc_hist_percentile(&r->measure.lookup_us, 500) / 1000,
                  (double)torc_hist_percentile(&r->measure.lookup_us, 990) / 1000);
  }
  if (c[TORC_COUNT_STORES] + c[TORC_COUNT_FETCHES] + c[TORC_COUNT_REMOVES] > 0) {
    (void)fprintf(
        to,
        "stores        %llu of %llu; removes %llu of %llu; fetches %llu of %llu; stale %llu, "
        "resurrected %llu\n",
        (ull)c[TORC_COUNT_STORE_OK], (ull)c[TORC_COUNT_STORES], (ull)c[TORC_COUNT_REMOVE_OK],
        (ull)c[TORC_COUNT_REMOVES], (ull)c[TORC_COUNT_FETCH_OK], (ull)c[TORC_COUNT_FETCHES],
        (ull)c[TORC_COUNT_STALE], (ull)r->resurrected);
  }
  if (c[TORC_COUNT_ASKS] > 0) {
    (void)fprintf(to,
                  "asking        replicas: fetches %llu of %llu, %.4f %%; time p50 %.0f ms, p99 "
                  "%.0f ms\n",
                  (ull)c[TORC_COUNT_ASK_OK], (ull)c[TORC_COUNT_ASKS],
                  100 * metric(r, TORC_METRIC_ASK_OK),
                  (double)torc_hist_percentile(&r->measure.ask_us, 500) / 1000,
                  (double)torc_hist_percentile(&r->measure.ask_us, 990) / 1000);
  }
}

void torc_report_text(FILE *to, const torc_run_result *r) {
  (void)fprintf(to, "scenario      %s%s%s (seed %llu, %u thread%s)\n", r->name,
                r->label[0] != '\0' ? " " : "", r->label, (ull)r->seed, r->threads,
                r->threads == 1 ? "" : "s");
  (void)fprintf(to, "algorithm     %s\n", r->algorithm);
  (void)fprintf(to, "peers         %llu, clients %llu, joined %llu; ring %s%s\n", (ull)r->peers,
                (ull)r->clients, (ull)r->joined, r->is_whole ? "whole" : "not whole: ", r->fault);
  if (r->whole_s >= 0) {
    (void)fprintf(to, "whole after   %.1f s\n", r->whole_s);
  }
  text_calls(to, r);
  text_values(to, r);
  if (r->measure.detect_us.count > 0) {
    (void)fprintf(to, "noticed       a vanished neighbour after %.1f s (p99 %.1f s)\n",
                  torc_hist_mean(&r->measure.detect_us) / 1e6,
                  (double)torc_hist_percentile(&r->measure.detect_us, 990) / 1e6);
  }
  text_methods(to, r);
  (void)fprintf(to, "  all              %22.2f %10.0f\n", metric(r, TORC_METRIC_MESSAGES),
                metric(r, TORC_METRIC_BYTES));
  (void)fprintf(to, "load          messages sent by a peer: p50 %llu, p99 %llu, max %llu\n",
                (ull)torc_hist_percentile(&r->load, 500), (ull)torc_hist_percentile(&r->load, 990),
                (ull)torc_hist_percentile(&r->load, 1000));
  (void)fprintf(to, "memory        %llu bytes per node; stores %.1f MB, engine %.1f MB\n",
                (ull)r->bytes_per_node, (double)r->memory.stores / 1e6,
                (double)r->memory.engine / 1e6);
  (void)fprintf(to, "time          %.1f s of the ring in %.1f s; %llu events, %.0f a second\n",
                seconds(r->ended_at), r->wall_s, (ull)r->events,
                (double)r->events / (r->wall_s + 1e-9));
  (void)fprintf(to, "expectations  %llu, %llu failed\n", (ull)r->num_expects, (ull)r->num_failed);
}

void torc_report_table(FILE *to, const torc_run_result *runs, size_t num) {
  (void)fprintf(to, "%-40s %8s %6s %6s %5s %9s %6s %9s %9s %8s %7s %s\n", "run", "peers", "hops",
                "log2/2", "p99", "success", "lost", "msg/min", "bytes/min", "B/node", "wall s", "");
  for (size_t k = 0; k < num; k++) {
    const torc_run_result *r = &runs[k];
    (void)fprintf(to, "%-40.40s %8llu %6.2f %6.2f %5.0f %8.3f%% %6llu %9.2f %9.0f %8llu %7.1f %s\n",
                  r->label[0] != '\0' ? r->label : r->name, (ull)r->peers,
                  metric(r, TORC_METRIC_HOPS_MEAN), torc_half_log2(r->peers),
                  metric(r, TORC_METRIC_HOPS_P99), 100 * metric(r, TORC_METRIC_SUCCESS),
                  (ull)r->values.lost, metric(r, TORC_METRIC_MESSAGES),
                  metric(r, TORC_METRIC_BYTES), (ull)r->bytes_per_node, r->wall_s,
                  r->num_failed == 0 ? "ok" : "FAILED");
  }
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "base/cursor.h"
#include "base/slice.h"
#include "io/metrics.h"

typedef struct page {
  torc_buf text;
  int rc;
} page;

static void add_line(page *p, const char *name, const char *suffix, const char *kind,
                     uint64_t value) {
  char line[320];
  int n = snprintf(line, sizeof line, "# TYPE %s%s %s\n%s%s %llu\n", name, suffix, kind, name,
                   suffix, (unsigned long long)value);
  if (p->rc == 0 && n > 0 && (size_t)n < sizeof line) {
    p->rc = torc_buf_append(&p->text, torc_slice_of(line, (size_t)n));
  }
}

static void add_counter(void *ctx, const char *name, uint64_t value) {
  char full[128];
  (void)snprintf(full, sizeof full, "torc_%s", name);
  add_line(ctx, full, "_total", "counter", value);
}

static void add_gauge(page *p, const char *name, uint64_t value) {
  add_line(p, name, "", "gauge", value);
}

static void add_present(void *ctx, const char *name, uint64_t value) {
  char full[128];
  (void)snprintf(full, sizeof full, "torc_%s", name);
  add_gauge(ctx, full, value);
}

static void add_table(void *ctx, const char *name, uint64_t held, uint64_t limit) {
  char full[128];
  (void)limit;
  (void)snprintf(full, sizeof full, "torc_held_%s", name);
  add_gauge(ctx, full, held);
}

static void add_view(page *p, const torc_node_view *v) {
  add_gauge(p, "torc_uptime_seconds", v->uptime / TORC_SEC(1));
  add_gauge(p, "torc_joined", v->is_joined ? 1 : 0);
  add_gauge(p, "torc_links", v->num_links);
  add_gauge(p, "torc_client_links", v->num_client_links);
  add_gauge(p, "torc_resources", v->num_resources);
  add_gauge(p, "torc_stored_bytes", v->stored_bytes);
  add_gauge(p, "torc_predecessors", v->num_predecessors);
  add_gauge(p, "torc_successors", v->num_successors);
  add_gauge(p, "torc_fingers", v->num_fingers);
  add_gauge(p, "process_resident_memory_bytes", torc_process_rss());
}

int torc_metrics_text(const torc_metrics_config *cfg, char **out, size_t *len) {
  page p = {.rc = 0};
  torc_node_view view;
  torc_buf_init(&p.text, torc_mem_libc(), TORC_METRICS_TEXT_MAX);
  torc_node_get_view(torc_peer_node(cfg->peer), &view);
  add_view(&p, &view);
  torc_peer_gauges(cfg->peer, &p, add_present);
  torc_node_tables(torc_peer_node(cfg->peer), &p, add_table);
  torc_peer_counters(cfg->peer, &p, add_counter);
  if (cfg->control != NULL) {
    torc_control_counters(cfg->control, &p, add_counter);
  }
  if (cfg->log != NULL) {
    add_counter(&p, "log_lines_lost", torc_json_log_lost(cfg->log));
  }
  if (p.rc == 0) {
    p.rc = torc_buf_append(&p.text, torc_slice_of("", 1));
  }
  if (p.rc != 0) {
    torc_buf_clear(&p.text);
    return p.rc;
  }
  *out = (char *)p.text.p; /* of the C library: freed with free */
  *len = p.text.len - 1;
  return 0;
}

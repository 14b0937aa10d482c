/* torc sim: runs scenarios and shows what they measured. SPDX-License-Identifier: Apache-2.0 */
#include "sim.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "sim/scenario_search.h"

#define ERR_MAX 700
#define SEEDS_DEFAULT 200u

typedef struct options {
  const char *name;
  bool json, print, all, help;
  unsigned threads;
  const char *report, *trace;
  uint64_t seeds, from;
  torc_override overrides[SIM_OVERRIDES_MAX]; /* for every run */
  size_t num_overrides;
  sim_group groups[SIM_GROUPS_MAX];
  size_t num_groups; /* at least 1 */
  char names[SIM_OVERRIDES_MAX * SIM_GROUPS_MAX][TORC_SCENARIO_TEXT_MAX];
  size_t num_names;
} options;

typedef struct work {
  options *o;
  char path[SIM_PATH_MAX];
  char command[2048];
  torc_run_result *runs;
  size_t num_runs;
  FILE *trace;
  int exit_code;
} work;

static void print_help(FILE *to) {
  (void)fputs(
      "usage: torc sim list [--json]\n"
      "       torc sim show SCENARIO\n"
      "       torc sim SCENARIO [--peers N] [--algorithm A] [--seed N] [--SETTING VALUE]...\n"
      "                [--sweep SETTING=A,B,...]... [--also]\n"
      "                [--threads N] [--json] [--report FILE.html] [--trace FILE]\n"
      "       torc sim search [--seeds 200] [--from 1] [--all] [--algorithm A] [--print] [--json]\n"
      "                [--trace FILE]\n\n"
      "SCENARIO is a name of torc sim list or a path. SETTING is a setting of the language\n"
      "(docs/simulator.md) or a parameter of the scenario. --sweep runs every combination,\n"
      "--also begins another set of sweeps for the same report. search runs random small rings\n"
      "until a seed breaks what must hold, with --all to the last; --print shows the scenario of\n"
      "the first seed.\n"
      "Exit code 0: all that was expected held; 1: something did not; 2: wrong usage.\n\nSettings:",
      to);
  for (size_t i = 0; torc_setting_name(i) != NULL; i++) {
    (void)fprintf(to, "%s --%s %s", i > 0 ? "," : "", torc_setting_name(i), torc_setting_kind(i));
  }
  (void)fputs("\n", to);
}

/* ---- arguments ---- */

static bool complain(const char *option, const char *value, const char *expected) {
  (void)fprintf(stderr, "torc sim: %s '%s': expected %s; see torc sim --help\n", option, value,
                expected);
  return false;
}

static bool read_number(const char *option, const char *value, uint64_t least, uint64_t most,
                        uint64_t *out) {
  char text[80];
  if (torc_word_number(value, out) == 0 && *out >= least && *out <= most) {
    return true;
  }
  (void)snprintf(text, sizeof text, "%llu to %llu", (unsigned long long)least,
                 (unsigned long long)most);
  return complain(option, value, text);
}

static bool add_sweep(options *o, const char *value) {
  const char *equals = strchr(value, '=');
  sim_group *g = &o->groups[o->num_groups - 1];
  if (equals == NULL || equals == value || equals[1] == '\0' ||
      (size_t)(equals - value) >= TORC_SCENARIO_TEXT_MAX) {
    return complain("--sweep", value, "SETTING=A,B,...");
  }
  if (g->num == SIM_OVERRIDES_MAX) {
    return complain("--sweep", value, "fewer of them");
  }
  char *name = o->names[o->num_names++];
  (void)snprintf(name, TORC_SCENARIO_TEXT_MAX, "%.*s", (int)(equals - value), value);
  g->names[g->num] = name;
  g->values[g->num++] = (char *)(uintptr_t)(equals + 1);
  return true;
}

static bool read_option(options *o, const char *name, const char *value) {
  uint64_t v = 0;
  if (strcmp(name, "threads") == 0) {
    if (!read_number("--threads", value, 1, TORC_SIM_THREADS_MAX, &v)) {
      return false;
    }
    o->threads = (unsigned)v;
  } else if (strcmp(name, "report") == 0) {
    o->report = value;
  } else if (strcmp(name, "trace") == 0) {
    o->trace = value;
  } else if (strcmp(name, "seeds") == 0) {
    return read_number("--seeds", value, 1, 1000000000, &o->seeds);
  } else if (strcmp(name, "from") == 0) {
    return read_number("--from", value, 0, 1000000000, &o->from);
  } else if (strcmp(name, "sweep") == 0) {
    return add_sweep(o, value);
  } else {
    if (o->num_overrides == SIM_OVERRIDES_MAX) {
      return complain("--", name, "fewer settings");
    }
    o->overrides[o->num_overrides++] = (torc_override){.name = name, .value = value};
  }
  return true;
}

/* --name value, --name=value, flags and one word. */
static bool read_options(options *o, int argc, char **argv) {
  for (int i = 1; i < argc; i++) {
    const char *a = argv[i];
    if (strcmp(a, "--json") == 0) {
      o->json = true;
    } else if (strcmp(a, "--print") == 0) {
      o->print = true;
    } else if (strcmp(a, "--all") == 0) {
      o->all = true;
    } else if (strcmp(a, "--help") == 0 || strcmp(a, "-h") == 0) {
      o->help = true;
    } else if (strcmp(a, "--also") == 0) {
      if (o->num_groups == SIM_GROUPS_MAX) {
        return complain("--also", a, "fewer of them");
      }
      o->num_groups++;
    } else if (strncmp(a, "--", 2) == 0 && a[2] != '\0') {
      char *equals = strchr(argv[i], '=');
      if (equals != NULL) {
        *equals = '\0';
      } else if (i + 1 == argc) {
        return complain("argument", a, "a value behind it");
      }
      if (!read_option(o, a + 2, equals != NULL ? equals + 1 : argv[++i])) {
        return false;
      }
    } else if (o->name == NULL) {
      o->name = a;
    } else if (strcmp(o->name, "show") != 0 || o->report != NULL) {
      return complain("argument", a, "nothing more");
    } else {
      o->report = a; /* show NAME */
    }
  }
  return true;
}

/* ---- one run ---- */

static void set_label(torc_run_result *r, const torc_override *o, size_t num) {
  size_t len = 0;
  for (size_t k = 0; k < num && len < sizeof r->label; k++) {
    int n = snprintf(r->label + len, sizeof r->label - len, "%s%s=%s", k > 0 ? " " : "", o[k].name,
                     o[k].value);
    len += n > 0 ? (size_t)n : 0;
  }
}

static void short_name(const char *path, char *out, size_t cap) {
  const char *slash = strrchr(path, '/');
  (void)snprintf(out, cap, "%.100s", slash == NULL ? path : slash + 1);
  char *dot = strrchr(out, '.');
  if (dot != NULL && dot != out) {
    *dot = '\0';
  }
}

static torc_run_options run_options(const work *w) {
  return (torc_run_options){.threads = w->o->threads,
                            .json = w->o->json ? stdout : NULL,
                            .said = w->o->json ? NULL : stdout,
                            .progress = stderr,
                            .is_terminal = isatty(STDERR_FILENO) == 1,
                            .trace = w->trace};
}

static int run_one(void *ctx, const torc_override *swept, size_t num_swept) {
  work *w = ctx;
  torc_override all[2 * SIM_OVERRIDES_MAX];
  torc_scenario s;
  char err[ERR_MAX];
  torc_run_options ro = run_options(w);
  memcpy(all, w->o->overrides, w->o->num_overrides * sizeof *all);
  memcpy(all + w->o->num_overrides, swept, num_swept * sizeof *all);
  if (w->num_runs == SIM_RUNS_MAX) {
    (void)fprintf(stderr, "torc sim: these are more than %u runs\n", SIM_RUNS_MAX);
    return EXIT_USAGE;
  }
  if (torc_scenario_load(&s, w->path, all, w->o->num_overrides + num_swept, err, sizeof err) != 0) {
    (void)fprintf(stderr, "torc sim: %s\n", err);
    return EXIT_USAGE;
  }
  short_name(w->path, s.name, sizeof s.name);
  torc_run_result *r = &w->runs[w->num_runs];
  int rc = torc_scenario_run(&s, &ro, r, err, sizeof err);
  torc_scenario_clear(&s);
  if (rc != 0) {
    (void)fprintf(stderr, "torc sim: %s: %s\n", w->path, err);
    return EXIT_FAILURE;
  }
  set_label(r, swept, num_swept);
  w->num_runs++;
  if (r->num_failed > 0) {
    w->exit_code = EXIT_FAILURE;
  }
  if (w->o->json) {
    torc_report_json(stdout, r);
  } else {
    torc_report_text(stdout, r);
    (void)putchar('\n');
    (void)fflush(stdout);
  }
  return 0;
}

static char *file_text(const char *path) {
  FILE *f = fopen(path, "r");
  char *text = calloc(1, (size_t)1 << 20);
  size_t len = f == NULL || text == NULL ? 0 : fread(text, 1, ((size_t)1 << 20) - 1, f);
  if (text != NULL) {
    text[len] = '\0';
  }
  if (f != NULL) {
    (void)fclose(f);
  }
  return text;
}

static int write_report(const work *w) {
  char err[ERR_MAX];
  char *text = file_text(w->path);
  int rc = torc_report_html(w->o->report, w->runs, w->num_runs, w->command,
                            text == NULL ? "" : text, err, sizeof err);
  free(text);
  if (rc != 0) {
    (void)fprintf(stderr, "torc sim: %s\n", err);
    return EXIT_FAILURE;
  }
  return EXIT_SUCCESS;
}

/* Found out before a run that may take an hour. */
static bool can_report(const char *path) {
  char err[ERR_MAX];
  if (torc_report_can_plot(err, sizeof err) != 0) {
    (void)fprintf(stderr, "torc sim: %s\n", err);
    return false;
  }
  FILE *f = fopen(path, "a");
  if (f == NULL) {
    (void)fprintf(stderr, "torc sim: cannot write the report %s: %s\n", path, strerror(errno));
    return false;
  }
  (void)fclose(f);
  return true;
}

static int run_scenario(work *w) {
  if (!sim_find(w->o->name, w->path)) {
    return EXIT_USAGE;
  }
  if (w->o->report != NULL && !can_report(w->o->report)) {
    return EXIT_FAILURE;
  }
  w->runs = calloc(SIM_RUNS_MAX, sizeof *w->runs);
  if (w->runs == NULL) {
    return EXIT_FAILURE;
  }
  int rc = sim_sweep(w->o->groups, w->o->num_groups, w, run_one);
  if (rc == 0 && w->num_runs > 1 && !w->o->json) {
    torc_report_table(stdout, w->runs, w->num_runs);
  }
  if (rc == 0 && w->o->report != NULL) {
    rc = write_report(w);
  }
  for (size_t k = 0; k < w->num_runs; k++) {
    torc_run_result_clear(&w->runs[k]);
  }
  free(w->runs);
  return rc != 0 ? rc : w->exit_code;
}

/* ---- search ---- */

/* Of what a run said, the expectations that failed. */
static void print_failed(FILE *to, const char *said) {
  for (const char *line = said; *line != '\0';) {
    size_t len = strcspn(line, "\n");
    len += line[len] == '\n' ? 1 : 0;
    if (strncmp(line, "FAILED", strlen("FAILED")) == 0) {
      (void)fwrite(line, 1, len, to);
    }
    line += len;
  }
}

static int search_scenario(work *w, uint64_t seed, const char *algorithm, const char *name,
                           torc_scenario *out) {
  char *text = NULL;
  char err[ERR_MAX];
  int rc = torc_search_text(seed, algorithm, &text);
  if (rc != 0) {
    (void)fprintf(stderr, "torc sim: %s: no memory\n", name);
    return rc;
  }
  if (w->o->print) {
    (void)fputs(text, stdout);
  } else {
    rc = torc_scenario_parse(out, name, (torc_slice){(const uint8_t *)text, strlen(text)}, NULL, 0,
                             err, sizeof err);
    if (rc != 0) {
      (void)fprintf(stderr, "torc sim: %s\n", err);
    }
  }
  free(text);
  return rc;
}

static void tell_broken(const work *w, uint64_t seed, const char *algorithm, const char *said,
                        const torc_run_result *r) {
  (void)fprintf(stderr,
                "torc sim: seed %llu breaks what must hold. Replay it with\n"
                "  torc sim search --from %llu --seeds 1%s%s [--trace FILE]\n"
                "and keep it as a scenario with --print\n",
                (unsigned long long)seed, (unsigned long long)seed,
                algorithm != NULL ? " --algorithm " : "", algorithm != NULL ? algorithm : "");
  print_failed(stderr, said);
  if (w->o->seeds > 1 && !w->o->all) {
    torc_report_text(stderr, r);
  }
}

static int search_one(work *w, uint64_t seed, const char *algorithm, bool *is_broken) {
  char name[64];
  char err[ERR_MAX];
  char *said = NULL;
  size_t said_len = 0;
  torc_scenario s;
  torc_run_result r;
  torc_run_options ro = {.threads = 1, .trace = w->trace};
  (void)snprintf(name, sizeof name, "search seed %llu", (unsigned long long)seed);
  int rc = search_scenario(w, seed, algorithm, name, &s);
  if (rc != 0 || w->o->print) {
    return rc;
  }
  FILE *many = w->o->seeds == 1 ? NULL : open_memstream(&said, &said_len);
  if (w->o->seeds == 1) {
    ro.said = w->o->json ? NULL : stdout;
    ro.json = w->o->json ? stdout : NULL;
  } else {
    ro.said = many;
  }
  rc = torc_scenario_run(&s, &ro, &r, err, sizeof err);
  torc_scenario_clear(&s);
  if (many != NULL) {
    (void)fclose(many);
  }
  if (rc != 0) {
    (void)fprintf(stderr, "torc sim: %s: %s\n", name, err);
    free(said);
    return rc;
  }
  *is_broken = r.num_failed > 0;
  if (w->o->json) {
    torc_report_json(stdout, &r);
  }
  if (*is_broken) {
    tell_broken(w, seed, algorithm, said == NULL ? "" : said, &r);
  }
  torc_run_result_clear(&r);
  free(said);
  return 0;
}

static int run_search(work *w) {
  const char *algorithm = NULL;
  uint64_t broken = 0;
  bool show = isatty(STDERR_FILENO) == 1;
  for (size_t k = 0; k < w->o->num_overrides; k++) {
    if (strcmp(w->o->overrides[k].name, "algorithm") != 0) {
      (void)fprintf(stderr, "torc sim search: --%s: only --algorithm may be chosen\n",
                    w->o->overrides[k].name);
      return EXIT_USAGE;
    }
    algorithm = w->o->overrides[k].value;
  }
  for (uint64_t k = 0; k < (w->o->print ? 1 : w->o->seeds); k++) {
    bool is_broken = false;
    if (search_one(w, w->o->from + k, algorithm, &is_broken) != 0 || (is_broken && !w->o->all)) {
      return EXIT_FAILURE;
    }
    broken += is_broken;
    if (show && !w->o->print) {
      (void)fprintf(stderr, "\r%llu of %llu seeds\x1b[K", (unsigned long long)k + 1,
                    (unsigned long long)w->o->seeds);
    }
  }
  if (!w->o->json && !w->o->print) {
    (void)printf("%s%llu seeds from %llu: ", show ? "\n" : "", (unsigned long long)w->o->seeds,
                 (unsigned long long)w->o->from);
    if (broken == 0) {
      (void)puts("all hold");
    } else {
      (void)printf("%llu broken\n", (unsigned long long)broken);
    }
  }
  return broken == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* ---- the command ---- */

static int run(options *o, int argc, char **argv) {
  work w = {.o = o};
  size_t len = (size_t)snprintf(w.command, sizeof w.command, "torc");
  for (int i = 0; i < argc && len < sizeof w.command; i++) {
    int n = snprintf(w.command + len, sizeof w.command - len, " %s", argv[i]);
    len += n > 0 ? (size_t)n : 0;
  }
  if (!read_options(o, argc, argv)) {
    return EXIT_USAGE;
  }
  if (o->help || o->name == NULL) {
    print_help(o->help ? stdout : stderr);
    return o->help ? EXIT_SUCCESS : EXIT_USAGE;
  }
  if (strcmp(o->name, "list") == 0) {
    return sim_list(o->json);
  }
  if (strcmp(o->name, "show") == 0) {
    return o->report == NULL ? (print_help(stderr), EXIT_USAGE) : sim_show(o->report);
  }
  if (o->trace != NULL) {
    w.trace = fopen(o->trace, "w");
    if (w.trace == NULL) {
      (void)fprintf(stderr, "torc sim: %s: %s\n", o->trace, strerror(errno));
      return EXIT_FAILURE;
    }
  }
  int rc = strcmp(o->name, "search") == 0 ? run_search(&w) : run_scenario(&w);
  if (w.trace != NULL && fclose(w.trace) != 0 && rc == EXIT_SUCCESS) {
    (void)fprintf(stderr, "torc sim: cannot write %s\n", o->trace);
    rc = EXIT_FAILURE;
  }
  return rc;
}

int command_sim(int argc, char **argv) {
  options *o = calloc(1, sizeof *o);
  if (o == NULL) {
    return EXIT_FAILURE;
  }
  o->seeds = SEEDS_DEFAULT;
  o->from = 1;
  o->num_groups = 1;
  int rc = run(o, argc, argv);
  free(o);
  return rc;
}

/* Where the scenarios lie. SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "sim.h"

#define SUFFIX ".sim"
#define PLACES 3

/* The directories in their order; those that are not there are empty. */
static void places(char out[PLACES][SIM_PATH_MAX]) {
  char self[SIM_PATH_MAX / 2];
  const char *set = getenv("TORC_SCENARIOS");
  ssize_t len = readlink("/proc/self/exe", self, sizeof self - 1);
  memset(out, 0, PLACES * SIM_PATH_MAX);
  if (set != NULL) {
    (void)snprintf(out[0], SIM_PATH_MAX, "%s", set);
  }
  if (len <= 0) {
    return;
  }
  self[len] = '\0';
  char *slash = strrchr(self, '/');
  if (slash != NULL) {
    *slash = '\0';
    (void)snprintf(out[1], SIM_PATH_MAX, "%s/../share/torc/scenarios", self);
    (void)snprintf(out[2], SIM_PATH_MAX, "%s/../../sim/scenarios", self); /* build/<preset>/torc */
  }
}

bool sim_find(const char *name, char path[SIM_PATH_MAX]) {
  char dirs[PLACES][SIM_PATH_MAX];
  size_t len = strlen(name);
  size_t suffix = strlen(SUFFIX);
  if (strchr(name, '/') != NULL || (len > suffix && strcmp(name + len - suffix, SUFFIX) == 0)) {
    int n = snprintf(path, SIM_PATH_MAX, "%s", name);
    return n > 0 && n < (int)SIM_PATH_MAX;
  }
  places(dirs);
  for (int i = 0; i < PLACES; i++) {
    int n = snprintf(path, SIM_PATH_MAX, "%s/%s" SUFFIX, dirs[i], name);
    if (dirs[i][0] != '\0' && n > 0 && n < (int)SIM_PATH_MAX && access(path, R_OK) == 0) {
      return true;
    }
  }
  (void)fprintf(stderr, "torc sim: there is no scenario '%s'; see torc sim list, or give a path\n",
                name);
  return false;
}

static int is_scenario(const struct dirent *e) {
  size_t len = strlen(e->d_name);
  size_t suffix = strlen(SUFFIX);
  return len > suffix && strcmp(e->d_name + len - suffix, SUFFIX) == 0;
}

static int list_one(const char *dir, const char *file, json_t *array) {
  char path[SIM_PATH_MAX];
  char err[600];
  torc_scenario s;
  int n = snprintf(path, sizeof path, "%s/%s", dir, file);
  if (n < 0 || n >= (int)sizeof path) {
    return 0;
  }
  if (torc_scenario_load(&s, path, NULL, 0, err, sizeof err) != 0) {
    (void)fprintf(stderr, "torc sim: %s\n", err);
    return 1;
  }
  int name = (int)(strlen(file) - strlen(SUFFIX));
  if (array == NULL) {
    (void)printf("%-16.*s %s\n", name, file, s.about);
  } else {
    (void)json_array_append_new(
        array, json_pack("{s:s%, s:s}", "name", file, (size_t)name, "about", s.about));
  }
  torc_scenario_clear(&s);
  return 0;
}

int sim_list(bool json) {
  char dirs[PLACES][SIM_PATH_MAX];
  int failed = 0;
  json_t *array = json ? json_array() : NULL;
  places(dirs);
  for (int i = 0; i < PLACES; i++) {
    struct dirent **files = NULL;
    int num = dirs[i][0] == '\0' ? -1 : scandir(dirs[i], &files, is_scenario, alphasort);
    if (num <= 0) {
      free(files);
      continue;
    }
    for (int k = 0; k < num; k++) {
      failed += list_one(dirs[i], files[k]->d_name, array);
      free(files[k]);
    }
    free(files);
    break; /* the first directory that has any */
  }
  if (json) {
    int rc = print_json(array);
    return failed == 0 ? rc : EXIT_FAILURE;
  }
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int sim_show(const char *name) {
  char path[SIM_PATH_MAX];
  char block[4096];
  if (!sim_find(name, path)) {
    return EXIT_FAILURE;
  }
  FILE *f = fopen(path, "r");
  if (f == NULL) {
    (void)fprintf(stderr, "torc sim: %s: %s\n", path, strerror(errno));
    return EXIT_FAILURE;
  }
  for (size_t n = fread(block, 1, sizeof block, f); n > 0; n = fread(block, 1, sizeof block, f)) {
    (void)fwrite(block, 1, n, stdout);
  }
  (void)fclose(f);
  return EXIT_SUCCESS;
}

int sim_sweep(const sim_group *groups, size_t num_groups, void *ctx,
              int (*each)(void *ctx, const torc_override *overrides, size_t num)) {
  for (size_t g = 0; g < num_groups; g++) {
    size_t at[SIM_OVERRIDES_MAX] = {0}; /* which value of each name */
    for (bool more = true; more;) {
      char text[SIM_OVERRIDES_MAX][TORC_SCENARIO_TEXT_MAX];
      torc_override o[SIM_OVERRIDES_MAX];
      size_t carry = groups[g].num; /* the last name turns fastest */
      for (size_t k = groups[g].num; k-- > 0;) {
        const char *value = groups[g].values[k];
        for (size_t skip = 0; skip < at[k]; skip++) {
          value += strcspn(value, ",") + 1;
        }
        size_t len = strcspn(value, ",");
        (void)snprintf(text[k], sizeof text[k], "%.*s", (int)len, value);
        o[k] = (torc_override){.name = groups[g].names[k], .value = text[k]};
        if (carry == k + 1) {
          carry = value[len] == '\0' ? k : carry;
          at[k] = value[len] == '\0' ? 0 : at[k] + 1;
        }
      }
      int rc = each(ctx, o, groups[g].num);
      if (rc != 0) {
        return rc;
      }
      more = carry > 0;
    }
  }
  return 0;
}

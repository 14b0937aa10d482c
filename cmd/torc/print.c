/* What the subcommands print with.
 * SPDX-License-Identifier: Apache-2.0 */
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"

int print_json(json_t *object) {
  int rc = EXIT_FAILURE;
  if (object != NULL && json_dumpf(object, stdout, JSON_INDENT(2)) == 0 && putchar('\n') != EOF) {
    rc = EXIT_SUCCESS;
  }
  json_decref(object);
  return rc;
}

json_t *call_or_report(client *c, const args *a, json_t *request, const char *what) {
  char err[512] = "";
  json_t *reply = NULL;
  if (client_call(c, request, CLIENT_TIMEOUT_MS, &reply, err, sizeof err) != 0) {
    (void)fprintf(stderr, "torc: could not %s: %s\n", what, err);
    if (a->json) {
      (void)print_json(json_pack("{s:b, s:s}", "ok", 0, "error", err));
    }
    return NULL;
  }
  if (json_is_true(json_object_get(reply, "ok"))) {
    return reply;
  }
  (void)fprintf(stderr, "torc: could not %s: %s\n", what, text_of(reply, "error"));
  if (a->json) {
    (void)print_json(reply);
  } else {
    json_decref(reply);
  }
  return NULL;
}

const char *text_of(const json_t *object, const char *name) {
  const char *text = json_string_value(json_object_get(object, name));
  return text == NULL ? "" : text;
}

long long number_of(const json_t *object, const char *name) {
  return (long long)json_integer_value(json_object_get(object, name));
}

const char *short_bytes(long long bytes, char out[32]) {
  if (bytes < 10000) {
    (void)snprintf(out, 32, "%lld bytes", bytes);
  } else if (bytes < 10000000) {
    (void)snprintf(out, 32, "%lld kB", bytes / 1000);
  } else {
    (void)snprintf(out, 32, "%lld.%lld MB", bytes / 1000000, bytes / 100000 % 10);
  }
  return out;
}

const char *short_time(long long seconds, char out[32]) {
  if (seconds < 120) {
    (void)snprintf(out, 32, "%lld s", seconds);
  } else if (seconds < 7200) {
    (void)snprintf(out, 32, "%lld min", seconds / 60);
  } else if (seconds < 172800) {
    (void)snprintf(out, 32, "%lld h", seconds / 3600);
  } else {
    (void)snprintf(out, 32, "%lld days", seconds / 86400);
  }
  return out;
}

unsigned char *bytes_of(const json_t *object, const char *name, size_t *len) {
  char other[64];
  const json_t *plain = json_object_get(object, name);
  (void)snprintf(other, sizeof other, "%s_base64", name);
  const json_t *coded = json_object_get(object, other);
  const json_t *source = json_is_string(plain) ? plain : coded;
  size_t n = json_string_length(source);
  if (!json_is_string(source) || n > INT32_MAX) {
    return NULL;
  }
  unsigned char *out = malloc(n + 1);
  if (out == NULL) {
    return NULL;
  }
  const unsigned char *text = (const unsigned char *)json_string_value(source);
  if (source == plain) {
    memcpy(out, text, n);
    *len = n;
    return out;
  }
  int got = n == 0 ? 0 : EVP_DecodeBlock(out, text, (int)n);
  if (got < 0) {
    free(out);
    return NULL;
  }
  size_t pad = n > 1 && text[n - 1] == '=' ? (text[n - 2] == '=' ? 2 : 1) : 0;
  *len = (size_t)got - pad;
  return out;
}

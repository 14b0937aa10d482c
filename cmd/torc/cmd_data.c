/* torc store, fetch, remove.
 * SPDX-License-Identifier: Apache-2.0 */
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/id.h"

#include "commands.h"

#define VALUE_MAX 65000u /* [ENC-06] */

static bool complain(const char *what) {
  (void)fprintf(stderr, "torc: %s\n", what);
  return false;
}

/* Enters bytes as base64. */
static bool put_bytes(json_t *request, const unsigned char *bytes, size_t len) {
  char *text = malloc((len + 2) / 3 * 4 + 1);
  if (text == NULL) {
    return complain("there is no memory");
  }
  (void)EVP_EncodeBlock((unsigned char *)text, bytes, (int)len);
  int rc = json_object_set_new(request, "value_base64", json_string(text));
  free(text);
  return rc == 0;
}

static bool put_stream(json_t *request, FILE *from) {
  unsigned char *bytes = malloc(VALUE_MAX + 1);
  size_t len = bytes == NULL ? 0 : fread(bytes, 1, VALUE_MAX + 1, from);
  bool ok = false;
  if (bytes == NULL || ferror(from) != 0) {
    ok = complain("cannot read the value");
  } else if (len > VALUE_MAX) {
    ok = complain("the value has more than 65000 bytes, the most a value can have");
  } else {
    ok = put_bytes(request, bytes, len);
  }
  free(bytes);
  return ok;
}

static bool put_value(json_t *request, const args *a) {
  const char *word = a->num_words == 2 ? a->words[1] : NULL;
  if ((word != NULL) == (a->file != NULL)) {
    return complain("give the value as an argument, as - (standard input) or with --file");
  }
  if (word != NULL && strcmp(word, "-") != 0) {
    return put_bytes(request, (const unsigned char *)word, strlen(word));
  }
  if (word != NULL) {
    return put_stream(request, stdin);
  }
  FILE *f = fopen(a->file, "rbe");
  if (f == NULL) {
    (void)fprintf(stderr, "torc: cannot open %s\n", a->file);
    return false;
  }
  bool ok = put_stream(request, f);
  (void)fclose(f);
  return ok;
}

static bool read_index(const char *text, const char **end, long long *out) {
  char *stop = NULL;
  *out = strtoll(text, &stop, 10);
  *end = stop;
  return stop != text && *out >= -1 && *out <= INT32_MAX;
}

/* "A", "A..B"; -1 is the end. */
static bool put_range(json_t *request, const char *text) {
  const char *end = NULL;
  long long first = 0;
  if (!read_index(text, &end, &first)) {
    return complain("--index: expected A or A..B; -1 is the end");
  }
  long long last = first;
  if (strncmp(end, "..", 2) == 0) {
    text = end + 2;
    if (!read_index(text, &end, &last)) {
      return complain("--index: expected A or A..B; -1 is the end");
    }
  }
  if (*end != '\0') {
    return complain("--index: expected A or A..B; -1 is the end");
  }
  return json_object_set_new(request, "first", json_integer(first)) == 0 &&
         json_object_set_new(request, "last", json_integer(last)) == 0;
}

/* "peer:HEX" is the key that a peer-id makes, 16 raw bytes [GAP-150]; anything else is text. */
static bool put_key(json_t *request, const char *text) {
  torc_id id;
  char base64[(TORC_ID_LEN + 2) / 3 * 4 + 1];
  if (strncmp(text, "peer:", 5) != 0) {
    return json_object_set_new(request, "key", json_string(text)) == 0;
  }
  if (torc_id_parse(text + 5, strlen(text + 5), &id) != 0) {
    return complain("--key peer:HEX: expected 32 hex digits");
  }
  (void)EVP_EncodeBlock((unsigned char *)base64, id.b, TORC_ID_LEN);
  return json_object_set_new(request, "key_base64", json_string(base64)) == 0;
}

static bool put_store_place(json_t *request, const args *a) {
  const char *end = NULL;
  long long index = 0;
  if (a->num_keys > 1) {
    return complain("a value is stored under one --key");
  }
  if (a->num_keys == 1) {
    return put_key(request, a->keys[0]);
  }
  if (a->append) {
    return json_object_set_new(request, "append", json_true()) == 0;
  }
  if (a->index != NULL) {
    if (!read_index(a->index, &end, &index) || *end != '\0' || index < 0) {
      return complain("--index: expected a number");
    }
    return json_object_set_new(request, "index", json_integer(index)) == 0;
  }
  return true;
}

static bool put_fetch_place(json_t *request, const args *a) {
  if (a->num_keys == 1) {
    return put_key(request, a->keys[0]) && (a->index == NULL || put_range(request, a->index));
  }
  json_t *keys = json_array();
  for (size_t i = 0; i < a->num_keys; i++) {
    (void)json_array_append_new(keys, json_string(a->keys[i]));
  }
  if (a->num_keys == 0) {
    json_decref(keys);
  } else if (json_object_set_new(request, "keys", keys) != 0) {
    return false;
  }
  return a->index == NULL || put_range(request, a->index);
}

static void put_number(json_t *request, const char *name, uint64_t value) {
  if (value != 0) {
    (void)json_object_set_new(request, name, json_integer((json_int_t)value));
  }
}

static json_t *data_request(const char *cmd, const args *a) {
  json_t *request = args_request(cmd);
  (void)json_object_set_new(request, "type", json_string(a->type));
  put_number(request, "generation", a->generation);
  put_number(request, "lifetime_s", a->lifetime_s);
  return request;
}

static void print_write(const json_t *reply, const char *what) {
  const json_t *list = json_object_get(reply, "generations");
  long long us = number_of(reply, "elapsed_us");
  (void)printf("%s; the responsible peer is %s\n", what, text_of(reply, "responder"));
  for (size_t i = 0; i < json_array_size(list); i++) {
    const json_t *g = json_array_get(list, i);
    (void)printf("generation of %s: %lld\n", text_of(g, "type_name"), number_of(g, "generation"));
  }
  (void)printf("time: %lld.%03lld ms\n", us / 1000, us % 1000);
}

int command_store(client *c, const args *a) {
  json_t *request = data_request("store", a);
  if (!args_put_name(request, a->words[0]) || !put_store_place(request, a) ||
      !put_value(request, a)) {
    json_decref(request);
    return EXIT_USAGE;
  }
  json_t *reply = call_or_report(c, a, request, "store the value");
  if (reply == NULL) {
    return EXIT_FAILURE;
  }
  if (a->json) {
    return print_json(reply);
  }
  print_write(reply, "stored");
  json_decref(reply);
  return EXIT_SUCCESS;
}

/* [GAP-92]: a REMOVE names the generation it removes. Without --generation it is the present one;
 * 0: there is nothing. */
static long long present_generation(client *c, const args *a) {
  long long generation = 0;
  json_t *request = data_request("fetch", a);
  if (!args_put_name(request, a->words[0]) || !put_fetch_place(request, a)) {
    json_decref(request);
    return -1;
  }
  json_t *reply = call_or_report(c, a, request, "look at what is stored");
  const json_t *first = json_array_get(json_object_get(reply, "values"), 0);
  generation = reply == NULL ? -1 : number_of(first, "generation");
  json_decref(reply);
  return generation;
}

int command_remove(client *c, const args *a) {
  json_t *request = data_request("remove", a);
  long long generation = a->generation != 0 ? 0 : present_generation(c, a);
  if (generation < 0) {
    json_decref(request);
    return EXIT_FAILURE;
  }
  if (generation > 0) {
    put_number(request, "generation", (uint64_t)generation);
  }
  if (!args_put_name(request, a->words[0]) || !put_fetch_place(request, a)) {
    json_decref(request);
    return EXIT_USAGE;
  }
  json_t *reply = call_or_report(c, a, request, "remove the value");
  if (reply == NULL) {
    return EXIT_FAILURE;
  }
  if (a->json) {
    return print_json(reply);
  }
  print_write(reply, "removed");
  json_decref(reply);
  return EXIT_SUCCESS;
}

/* ---- fetch ---- */

static void print_place(const json_t *value) {
  if (json_object_get(value, "index") != NULL) {
    (void)printf("[%lld] ", number_of(value, "index"));
  }
  size_t len = 0;
  unsigned char *key = bytes_of(value, "key", &len);
  if (key != NULL) {
    if (json_object_get(value, "key") != NULL) {
      (void)printf("%.*s = ", (int)len, (const char *)key);
    } else {
      (void)printf("base64:%s = ", text_of(value, "key_base64"));
    }
    free(key);
  }
}

static void print_signer(const json_t *value) {
  const json_t *signer = json_object_get(value, "signer");
  const char *user = json_string_value(json_array_get(json_object_get(signer, "users"), 0));
  const char *peer = json_string_value(json_array_get(json_object_get(signer, "peers"), 0));
  char life[32];
  if (signer == NULL) { /* a shared-key overlay */
    (void)printf("    not signed, kept %s, generation %lld",
                 short_time(number_of(value, "lifetime_s"), life), number_of(value, "generation"));
  } else {
    (void)printf("    signed by %s (%s), kept %s, generation %lld", user == NULL ? "no user" : user,
                 peer == NULL ? "?" : peer, short_time(number_of(value, "lifetime_s"), life),
                 number_of(value, "generation"));
  }
  if (json_object_get(value, "holders") != NULL) {
    (void)printf(", the same from %lld", number_of(value, "holders"));
  }
  (void)putchar('\n');
}

static void print_value(const json_t *value) {
  size_t len = 0;
  unsigned char *bytes = bytes_of(value, "value", &len);
  print_place(value);
  if (bytes != NULL && json_object_get(value, "value") != NULL) {
    (void)printf("%.*s\n", (int)len, (const char *)bytes);
  } else if (bytes != NULL) {
    (void)printf("%zu bytes that are no text; --raw writes them out\n", len);
  }
  free(bytes);
  print_signer(value);
}

/* Only the bytes, one value after the other, as they were stored. */
static void write_raw(const json_t *value) {
  size_t len = 0;
  unsigned char *bytes = bytes_of(value, "value", &len);
  if (bytes != NULL) {
    (void)fwrite(bytes, 1, len, stdout);
  }
  free(bytes);
}

static void warn(const json_t *reply) {
  if (number_of(reply, "rejected") > 0) {
    (void)fprintf(stderr, "torc: %lld values were left out: their signatures do not hold\n",
                  number_of(reply, "rejected"));
  }
  if (json_is_true(json_object_get(reply, "rollback"))) {
    (void)fputs("torc: a value is older than one seen before: a peer may be hiding newer ones\n",
                stderr);
  }
}

static void print_asked(const json_t *reply) {
  if (json_object_get(reply, "asked") != NULL) {
    (void)printf("%lld peers answered\n", number_of(reply, "asked"));
  }
}

int command_fetch(client *c, const args *a) {
  json_t *request = data_request("fetch", a);
  if (!args_put_name(request, a->words[0]) || !put_fetch_place(request, a)) {
    json_decref(request);
    return EXIT_USAGE;
  }
  if (a->replicas) {
    (void)json_object_set_new(request, "replicas", json_true());
  }
  json_t *reply = call_or_report(c, a, request, "fetch the value");
  if (reply == NULL) {
    return EXIT_FAILURE;
  }
  size_t num = 0;
  const json_t *values = json_object_get(reply, "values");
  for (size_t i = 0; i < json_array_size(values); i++) {
    const json_t *value = json_array_get(values, i);
    if (!json_is_true(json_object_get(value, "exists"))) {
      continue;
    }
    num++;
    if (a->raw) {
      write_raw(value);
    } else if (!a->json) {
      print_value(value);
    }
  }
  if (!a->raw && !a->json) {
    print_asked(reply);
  }
  warn(reply);
  if (num == 0) {
    (void)fprintf(stderr, "torc: no value of type %s is stored under %s\n", a->type, a->words[0]);
  }
  if (a->json) {
    (void)print_json(reply);
  } else {
    json_decref(reply);
  }
  return num > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* The whole authority on a directory: init, issue, show.
 * SPDX-License-Identifier: Apache-2.0 */
#include "authority/authority.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "authority/helper_dir.h"
#include "authority/show.h"
#include "base/id.h"
#include "base/slice.h"
#include "io/x509.h"

static torc_wall now(void) {
  return (torc_wall)time(NULL);
}

static torc_authority_made made; /* by the last init */

static int init_with(const char *dir, const torc_overlay *wanted, bool replace,
                     torc_ca_signature kind, char *err, size_t cap) {
  static torc_overlay overlay;
  overlay = *wanted;
  torc_authority_setup setup = {
      .dir = dir, .overlay = &overlay, .signature = kind, .now = now(), .replace = replace};
  int rc = torc_authority_init(&setup, &made, err, cap);
  torc_overlay_clear(&overlay);
  return rc;
}

static const torc_overlay ring = {.name = "ring.example.org",
                                  .algorithm = "chord-128-2-8",
                                  .num_bootstrap = 1,
                                  .bootstrap = {{.host = "192.0.2.2", .port = 6084}}};

static int init_in(const char *dir, bool replace, torc_ca_signature kind, char *err, size_t cap) {
  return init_with(dir, &ring, replace, kind, err, cap);
}

static void must_init(const char *dir, torc_ca_signature kind) {
  char err[512] = "";
  assert_int_equal(init_in(dir, false, kind, err, sizeof err), 0);
}

static int issue_in(const char *dir, const char *user, const char *prefix,
                    torc_authority_issued *out, char *err, size_t cap) {
  const char *users[] = {user};
  torc_authority_request request = {
      .dir = dir, .out_prefix = prefix, .users = users, .num_users = 1, .days = 30, .now = now()};
  return torc_authority_issue(&request, out, err, cap);
}

static unsigned mode_of(const char *path) {
  struct stat st;
  assert_int_equal(stat(path, &st), 0);
  return st.st_mode & 0777;
}

static void peers_accept_what_is_issued(void **state) {
  torc_ca_signature kinds[] = {TORC_CA_ECDSA, TORC_CA_RSA};
  char err[512] = "";
  for (size_t i = 0; i < 2; i++) {
    const char *dir = test_path(*state, i == 0 ? "ecdsa" : "rsa");
    const char *prefix = test_path(*state, i == 0 ? "a" : "b");
    torc_authority_issued issued;
    torc_overlay overlay;
    torc_pki *pki = NULL;
    must_init(dir, kinds[i]);
    assert_int_equal(issue_in(dir, "Alice@Example.Org", prefix, &issued, err, sizeof err), 0);
    assert_int_equal(
        torc_overlay_load(&overlay, test_path(dir, "overlay.xml"), NULL, err, sizeof err), 0);
    torc_slice roots[] = {torc_slice_of(overlay.roots[0].der, overlay.roots[0].len)};
    assert_int_equal(torc_pki_new(&pki, overlay.name, roots, 1, err, sizeof err), 0);
    assert_int_equal(
        torc_pki_load_own(pki, issued.cert_file, issued.key_file, now(), err, sizeof err), 0);
    const torc_cert *cert = torc_pki_own_cert(pki);
    assert_int_equal(cert->num_peers, 1);
    assert_true(torc_id_eq(&cert->peers[0], &issued.peer));
    assert_string_equal(cert->users[0], "Alice@example.org");
    assert_int_equal(torc_pki_signature_algorithm(pki), i == 0 ? 3 : 2); /* [D-10] */
    assert_int_equal(mode_of(issued.key_file), 0600);
    assert_int_equal(mode_of(issued.cert_file), 0644);
    assert_int_equal(mode_of(test_path(dir, "ca.key")), 0600);
    assert_int_equal(mode_of(test_path(dir, "authority.db")), 0600);
    assert_int_equal(mode_of(dir), 0700);
    torc_pki_free(pki);
    torc_overlay_clear(&overlay);
  }
}

static int count_entry(void *arg, const torc_certificate_entry *e) {
  assert_true(e->num_users > 0);
  (*(int *)arg)++;
  return 0;
}

static int count_issued(const char *dir) {
  char err[512] = "";
  torc_home *home = NULL;
  int num = 0;
  assert_int_equal(torc_home_open(&home, dir, TORC_HOME_REGISTRY, err, sizeof err), 0);
  assert_int_equal(torc_registry_issued(home->registry, NULL, count_entry, &num, err, sizeof err),
                   0);
  torc_home_close(home);
  return num;
}

static void nothing_is_overwritten(void **state) {
  char err[512] = "";
  const char *dir = test_path(*state, "au");
  const char *prefix = test_path(*state, "alice");
  torc_authority_issued first;
  torc_authority_issued second;
  size_t len = 0;
  must_init(dir, TORC_CA_ECDSA);
  char *key = test_read(test_path(dir, "ca.key"), &len);
  assert_int_equal(init_in(dir, false, TORC_CA_ECDSA, err, sizeof err), TORC_ERR_EXISTS);
  assert_non_null(strstr(err, "ca.key exists already and was left as it is; --force"));
  char *same = test_read(test_path(dir, "ca.key"), &len);
  assert_string_equal(key, same);
  assert_int_equal(issue_in(dir, "alice@x", prefix, &first, err, sizeof err), 0);
  char *cert = test_read(first.cert_file, &len);
  assert_int_equal(issue_in(dir, "alice@x", prefix, &second, err, sizeof err), TORC_ERR_EXISTS);
  assert_non_null(strstr(err, "alice.crt exists already"));
  char *kept = test_read(first.cert_file, &len);
  assert_string_equal(cert, kept);
  assert_int_equal(count_issued(dir), 1); /* the refused one is not in it */
  assert_int_equal(init_in(dir, true, TORC_CA_ECDSA, err, sizeof err), 0);
  char *other = test_read(test_path(dir, "ca.key"), &len);
  assert_string_not_equal(key, other);
  assert_int_equal(count_issued(dir), 1); /* names belong to their accounts for ever */
  free(key);
  free(same);
  free(cert);
  free(kept);
  free(other);
}

/* Every file of `dir` with its content, in one text. */
static char *content_of(const char *dir) {
  struct dirent **names = NULL;
  char *text = NULL;
  size_t len = 0;
  FILE *f = open_memstream(&text, &len);
  int num = scandir(dir, &names, NULL, alphasort);
  assert_true(num >= 0);
  for (int i = 0; i < num; i++) {
    if (names[i]->d_name[0] != '.') {
      size_t file_len = 0;
      char *file = test_read(test_path(dir, names[i]->d_name), &file_len);
      fprintf(f, "%s %o\n%s\n", names[i]->d_name, mode_of(test_path(dir, names[i]->d_name)), file);
      free(file);
    }
    free(names[i]);
  }
  free(names);
  fclose(f);
  return text;
}

static void document_is_checked_before_anything_changes(void **state) {
  char err[512] = "";
  char dir[512];
  snprintf(dir, sizeof dir, "%s", test_path(*state, "au"));
  torc_overlay bad[3] = {ring, ring, ring};
  static const char *const why[] = {"neither an IP address nor a host name", "has max-count 1",
                                    "max-message-size"};
  snprintf(bad[0].bootstrap[0].host, sizeof bad[0].bootstrap[0].host, "no host");
  bad[1].num_types = 1;
  bad[1].types[0] = (torc_type_def){.id = 0xF00001,
                                    .name = "note",
                                    .model = TORC_TYPE_SINGLE,
                                    .rule = TORC_RULE_USER_MATCH,
                                    .max_values = 5,
                                    .max_size = 100};
  bad[2].max_message = 7;
  for (size_t i = 0; i < 3; i++) {
    assert_int_equal(init_with(dir, &bad[i], false, TORC_CA_ECDSA, err, sizeof err),
                     TORC_ERR_CONFIG);
    assert_non_null(strstr(err, why[i]));
    assert_int_equal(access(dir, F_OK), -1); /* not even the directory */
  }
  must_init(dir, TORC_CA_ECDSA);
  assert_string_equal(made.kept, "");
  char *before = content_of(dir);
  for (size_t i = 0; i < 3; i++) {
    assert_int_equal(init_with(dir, &bad[i], true, TORC_CA_ECDSA, err, sizeof err),
                     TORC_ERR_CONFIG);
    char *after = content_of(dir);
    assert_string_equal(before, after);
    free(after);
  }
  free(before);
}

/* --force puts the old root aside under one name; thrice within a second, too. */
static void old_root_is_kept(void **state) {
  static const char *const names[] = {"ca.key", "ca.crt", "overlay.xml"};
  char err[512] = "";
  char kept[3][TORC_AUTHORITY_KEPT_MAX];
  char *old[3][3];
  char dir[512];
  size_t len = 0;
  snprintf(dir, sizeof dir, "%s", test_path(*state, "au"));
  must_init(dir, TORC_CA_ECDSA);
  for (size_t round = 0; round < 3; round++) {
    for (size_t i = 0; i < 3; i++) {
      old[round][i] = test_read(test_path(dir, names[i]), &len);
    }
    assert_int_equal(init_in(dir, true, TORC_CA_ECDSA, err, sizeof err), 0);
    assert_true(strncmp(made.kept, ".old-20", 7) == 0);
    memcpy(kept[round], made.kept, sizeof made.kept);
  }
  for (size_t round = 0; round < 3; round++) {
    for (size_t i = 0; i < 3; i++) {
      char name[256];
      snprintf(name, sizeof name, "%s%s", names[i], kept[round]);
      char *aside = test_read(test_path(dir, name), &len);
      assert_string_equal(aside, old[round][i]);
      assert_int_equal(mode_of(test_path(dir, name)), i == 0 ? 0600 : 0644);
      free(aside);
      free(old[round][i]);
    }
  }
  torc_authority_issued issued; /* the new three belong together */
  assert_int_equal(issue_in(dir, "alice@x", test_path(*state, "alice"), &issued, err, sizeof err),
                   0);
}

/* Whatever cannot be replaced, nothing is: one of the three is a directory. */
static void replaced_together_or_not_at_all(void **state) {
  static const char *const names[] = {"ca.key", "ca.crt", "overlay.xml"};
  char err[512] = "";
  for (size_t i = 0; i < 3; i++) {
    char dir[512];
    snprintf(dir, sizeof dir, "%s", test_path(*state, names[i]));
    must_init(dir, TORC_CA_ECDSA);
    assert_int_equal(unlink(test_path(dir, names[i])), 0);
    assert_int_equal(mkdir(test_path(dir, names[i]), 0700), 0);
    test_write(test_path(test_path(dir, names[i]), "file"), "in it");
    char *old[3] = {NULL};
    size_t len = 0;
    for (size_t j = 0; j < 3; j++) {
      old[j] = j == i ? NULL : test_read(test_path(dir, names[j]), &len);
    }
    assert_int_equal(init_in(dir, true, TORC_CA_ECDSA, err, sizeof err), TORC_ERR_IO);
    assert_non_null(strstr(err, names[i]));
    size_t num = 0;
    for (size_t j = 0; j < 3; j++) {
      char *same = j == i ? NULL : test_read(test_path(dir, names[j]), &len);
      if (j != i) {
        assert_string_equal(same, old[j]);
        num++;
      }
      free(same);
      free(old[j]);
    }
    struct dirent **list = NULL;
    int entries = scandir(dir, &list, NULL, NULL);
    assert_int_equal(entries, num + 6); /* ".", "..", the registry, its lock, the audit log, the
                                           directory */
    for (int j = 0; j < entries; j++) {
      free(list[j]);
    }
    free(list);
    assert_int_equal(unlink(test_path(test_path(dir, names[i]), "file")), 0);
    assert_int_equal(rmdir(test_path(dir, names[i])), 0);
  }
}

/* The last of three is there already: the first two go again. */
static void first_of_several_go_with_the_last(void **state) {
  char err[512] = "";
  char path[3][512];
  torc_file_part parts[3];
  size_t len = 0;
  for (size_t i = 0; i < 3; i++) {
    char name[2] = {(char)('a' + i), '\0'};
    snprintf(path[i], sizeof path[i], "%s", test_path(*state, name));
    parts[i] = (torc_file_part){.path = path[i], .data = torc_slice_str("new"), .mode = 0600};
  }
  test_write(path[2], "old");
  assert_int_equal(torc_files_write(parts, 3, NULL, err, sizeof err), TORC_ERR_EXISTS);
  assert_int_equal(access(path[0], F_OK), -1);
  assert_int_equal(access(path[1], F_OK), -1);
  char *same = test_read(path[2], &len);
  assert_string_equal(same, "old");
  free(same);
  assert_int_equal(torc_files_write(parts, 3, ".was", err, sizeof err), 0);
  same = test_read(test_path(*state, "c.was"), &len);
  assert_string_equal(same, "old");
  free(same);
  for (size_t i = 0; i < 3; i++) {
    assert_int_equal(mode_of(path[i]), 0600);
    assert_int_equal(unlink(path[i]), 0);
  }
  assert_int_equal(unlink(test_path(*state, "c.was")), 0);
  assert_int_equal(rmdir(*state), 0); /* no temporary file was left */
  assert_int_equal(mkdir(*state, 0700), 0);
}

static void wrong_requests_are_told(void **state) {
  char err[512] = "";
  const char *dir = test_path(*state, "au");
  torc_authority_issued issued;
  must_init(dir, TORC_CA_ECDSA);
  assert_int_equal(issue_in(dir, "alice", test_path(*state, "p"), &issued, err, sizeof err),
                   TORC_ERR_FORMAT);
  assert_string_equal(err, "'alice' is no user name; one looks like alice@example.org");
  assert_int_equal(issue_in(dir, "alice@x", test_path(*state, "none/p"), &issued, err, sizeof err),
                   TORC_ERR_IO);
  assert_non_null(strstr(err, "cannot create a file beside"));
  assert_int_equal(issue_in(*state, "alice@x", test_path(*state, "p"), &issued, err, sizeof err),
                   TORC_ERR_IO);
  assert_non_null(strstr(err, "overlay.xml"));
  assert_int_equal(chmod(test_path(dir, "ca.key"), 0640), 0);
  assert_int_equal(issue_in(dir, "alice@x", test_path(*state, "p"), &issued, err, sizeof err),
                   TORC_ERR_DENIED);
  assert_non_null(strstr(err, "chmod 600"));
  test_write(test_path(dir, "ca.key"), "no key");
  assert_int_equal(chmod(test_path(dir, "ca.key"), 0600), 0);
  assert_int_equal(issue_in(dir, "alice@x", test_path(*state, "p"), &issued, err, sizeof err),
                   TORC_ERR_CRYPTO);
  assert_int_equal(access(test_path(*state, "p.crt"), F_OK), -1);
  assert_int_equal(access(test_path(*state, "p.key"), F_OK), -1);
}

static void key_of_another_root_is_found_out(void **state) {
  char err[512] = "";
  const char *one = test_path(*state, "one");
  const char *two = test_path(*state, "two");
  torc_authority_issued issued;
  must_init(one, TORC_CA_ECDSA);
  must_init(two, TORC_CA_ECDSA);
  assert_int_equal(rename(test_path(one, "ca.key"), test_path(two, "ca.key")), 0);
  assert_int_equal(issue_in(two, "alice@x", test_path(*state, "p"), &issued, err, sizeof err),
                   TORC_ERR_CRYPTO);
  assert_non_null(strstr(err, "do not belong together"));
}

static void not_longer_than_the_root(void **state) {
  char err[512] = "";
  const char *dir = test_path(*state, "au");
  const char *users[] = {"alice@x"};
  torc_authority_issued issued;
  must_init(dir, TORC_CA_ECDSA);
  torc_authority_request r = {.dir = dir,
                              .out_prefix = test_path(*state, "p"),
                              .users = users,
                              .num_users = 1,
                              .days = TORC_AUTHORITY_DAYS_MAX,
                              .now = now() + 100 * 86400};
  assert_int_equal(torc_authority_issue(&r, &issued, err, sizeof err), 0);
  assert_in_range(issued.not_after, now() + 3649u * 86400, now() + 3651u * 86400);
  r.now = now() + 3700u * 86400;
  r.replace = true;
  assert_int_equal(torc_authority_issue(&r, &issued, err, sizeof err), TORC_ERR_STATE);
  assert_non_null(strstr(err, "root certificate has expired"));
  r.now = now();
  r.days = 0;
  assert_int_equal(torc_authority_issue(&r, &issued, err, sizeof err), TORC_ERR_INVALID);
}

static void show_tells_what_is_in_a_file(void **state) {
  char err[512] = "";
  char hex[TORC_ID_HEX_LEN + 1];
  const char *dir = test_path(*state, "au");
  torc_authority_issued issued;
  json_t *shown = NULL;
  must_init(dir, TORC_CA_ECDSA);
  assert_int_equal(issue_in(dir, "alice@x", test_path(*state, "p"), &issued, err, sizeof err), 0);
  assert_int_equal(torc_show_file(issued.cert_file, &shown, err, sizeof err), 0);
  assert_string_equal(json_string_value(json_object_get(shown, "kind")), "certificate");
  assert_string_equal(json_string_value(json_array_get(json_object_get(shown, "peers"), 0)),
                      torc_id_hex(&issued.peer, hex));
  assert_string_equal(json_string_value(json_array_get(json_object_get(shown, "users"), 0)),
                      "alice@x");
  assert_string_equal(json_string_value(json_object_get(shown, "overlay")), "ring.example.org");
  assert_string_equal(json_string_value(json_object_get(shown, "key")), "ECDSA 256 bits");
  assert_true(json_is_true(json_object_get(shown, "is_valid_now")));
  assert_true(json_is_false(json_object_get(shown, "is_root")));
  json_decref(shown);
  assert_int_equal(torc_show_file(test_path(dir, "overlay.xml"), &shown, err, sizeof err), 0);
  assert_string_equal(json_string_value(json_object_get(shown, "algorithm")), "chord-128-2-8");
  assert_int_equal(json_array_size(json_object_get(shown, "roots")), 1);
  assert_int_equal(json_array_size(json_object_get(shown, "bootstrap_peers")), 1);
  json_decref(shown);
  test_write(test_path(*state, "junk"), "junk");
  assert_int_equal(torc_show_file(test_path(*state, "junk"), &shown, err, sizeof err),
                   TORC_ERR_FORMAT);
  assert_non_null(strstr(err, "neither a certificate"));
  test_write(test_path(*state, "junk"), "<overlay/>");
  assert_int_not_equal(torc_show_file(test_path(*state, "junk"), &shown, err, sizeof err), 0);
  test_write(test_path(*state, "junk"), "");
  assert_int_equal(torc_show_file(test_path(*state, "junk"), &shown, err, sizeof err),
                   TORC_ERR_FORMAT);
  assert_int_equal(torc_show_file(test_path(*state, "nothing"), &shown, err, sizeof err),
                   TORC_ERR_NOTFOUND);
}

static void files_are_whole_or_not_there(void **state) {
  char err[512] = "";
  const char *path = test_path(*state, "f");
  uint8_t *data = NULL;
  size_t len = 0;
  assert_int_equal(torc_file_write(path, torc_slice_str("one"), 0600, false, err, sizeof err), 0);
  assert_int_equal(torc_file_write(path, torc_slice_str("two"), 0644, false, err, sizeof err),
                   TORC_ERR_EXISTS);
  assert_int_equal(torc_file_read(path, 3, &data, &len, err, sizeof err), 0);
  assert_string_equal((const char *)data, "one");
  torc_file_free(data, len);
  assert_int_equal(torc_file_read(path, 2, &data, &len, err, sizeof err), TORC_ERR_LIMIT);
  assert_int_equal(torc_file_write(path, torc_slice_str("three"), 0644, true, err, sizeof err), 0);
  assert_int_equal(mode_of(path), 0644);
  assert_int_equal(torc_file_read(path, 100, &data, &len, err, sizeof err), 0);
  assert_int_equal(len, 5);
  torc_file_free(data, len);
  assert_int_equal(torc_file_read(*state, 1u << 20, &data, &len, err, sizeof err), TORC_ERR_IO);
  assert_int_equal(torc_dir_make(path, err, sizeof err), TORC_ERR_IO);
  assert_non_null(strstr(err, "a file of that name is in the way"));
  assert_int_equal(unlink(path), 0);
  assert_int_equal(rmdir(*state), 0); /* no temporary file was left */
  assert_int_equal(mkdir(*state, 0700), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TORC_DIR_TEST("ENR-31 ENR-34 GAP-134 R-09 D-10 peers accept what is issued",
                    peers_accept_what_is_issued),
      TORC_DIR_TEST("R-52 nothing is overwritten", nothing_is_overwritten),
      TORC_DIR_TEST("ENR-11 SEC-04 the document is checked before anything changes",
                    document_is_checked_before_anything_changes),
      TORC_DIR_TEST("SEC-04 the old root is kept", old_root_is_kept),
      TORC_DIR_TEST("SEC-04 root and document are replaced together or not at all",
                    replaced_together_or_not_at_all),
      TORC_DIR_TEST("D-42 the first of several files go with the last",
                    first_of_several_go_with_the_last),
      TORC_DIR_TEST("ENR-31 wrong requests are told", wrong_requests_are_told),
      TORC_DIR_TEST("SEC-04 the key of another root is found out",
                    key_of_another_root_is_found_out),
      TORC_DIR_TEST("ENR-35 GAP-135 no certificate outlives its root", not_longer_than_the_root),
      TORC_DIR_TEST("ENR-35 ENR-17 show tells what is in a file", show_tells_what_is_in_a_file),
      TORC_DIR_TEST("D-42 files are whole or not there", files_are_whole_or_not_there),
  };
  return TORC_RUN(tests);
}

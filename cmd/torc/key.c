/* torc key new: the key of a shared-key overlay, in a file [D-18].
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "base/slice.h"
#include "commands.h"
#include "io/shared_key.h"

typedef struct key_options {
  const char *file, *overlay;
  bool is_passphrase, is_help;
} key_options;

static void usage(FILE *to) {
  (void)fputs(
      "usage: torc key new FILE [--passphrase --overlay NAME]\n"
      "makes the key of a shared-key overlay, 32 random bytes, and writes it to FILE, mode 0600,\n"
      "which must not be there yet. Copy the file to every peer, by a way nobody else can read.\n"
      "--passphrase: the key is derived from a passphrase of at least 12 bytes, read from "
      "standard\n"
      "input, and from the name of the overlay, so that each peer can make it by itself. Whoever\n"
      "records one handshake can then try passphrases at leisure: take a long random one.\n",
      to);
}

/* False: told what is wrong. */
static bool read_options(key_options *o, int argc, char **argv) {
  for (int i = 1; i < argc; i++) {
    if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
      o->is_help = true;
      return true;
    }
  }
  if (argc < 2 || strcmp(argv[1], "new") != 0) {
    (void)fprintf(stderr, "torc key: expected 'new', see torc key --help\n");
    return false;
  }
  for (int i = 2; i < argc; i++) {
    if (strcmp(argv[i], "--passphrase") == 0) {
      o->is_passphrase = true;
    } else if (strcmp(argv[i], "--overlay") == 0 && i + 1 < argc) {
      o->overlay = argv[++i];
    } else if (argv[i][0] != '-' && o->file == NULL) {
      o->file = argv[i];
    } else {
      (void)fprintf(stderr, "torc key new: what is '%s'? See torc key --help\n", argv[i]);
      return false;
    }
  }
  if (o->file == NULL) {
    (void)fprintf(stderr, "torc key new: which file?\n");
    return false;
  }
  if (o->is_passphrase != (o->overlay != NULL)) {
    (void)fprintf(stderr,
                  "torc key new: --passphrase and --overlay NAME go together, the name is "
                  "part of what the key is made from\n");
    return false;
  }
  return true;
}

/* One line of standard input, not shown if somebody types it; false: there is none. */
static bool read_passphrase(char *out, size_t cap, size_t *len) {
  struct termios shown;
  bool is_typed = isatty(STDIN_FILENO) == 1 && tcgetattr(STDIN_FILENO, &shown) == 0;
  if (is_typed) {
    struct termios hidden = shown;
    hidden.c_lflag &= ~(tcflag_t)ECHO;
    (void)fputs("passphrase: ", stderr);
    (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden);
  }
  bool is_read = fgets(out, (int)cap, stdin) != NULL;
  if (is_typed) {
    (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &shown);
    (void)fputs("\n", stderr);
  }
  *len = is_read ? strcspn(out, "\r\n") : 0;
  return is_read;
}

static int make(const key_options *o, uint8_t key[TORC_SHARED_KEY_LEN], char *err, size_t err_cap) {
  char passphrase[TORC_PASSPHRASE_MAX + 3]; /* one too many is seen, and the end of the line */
  size_t len = 0;
  if (!o->is_passphrase) {
    return torc_shared_key_make(key, err, err_cap);
  }
  if (!read_passphrase(passphrase, sizeof passphrase, &len)) {
    (void)snprintf(err, err_cap, "there is no passphrase on standard input");
    return TORC_ERR_INVALID;
  }
  int rc = torc_shared_key_derive(key, torc_slice_of(passphrase, len), o->overlay, err, err_cap);
  torc_wipe(passphrase, sizeof passphrase);
  return rc;
}

int command_key(int argc, char **argv) {
  key_options o = {0};
  uint8_t key[TORC_SHARED_KEY_LEN];
  char err[512] = "";
  if (!read_options(&o, argc, argv)) {
    return EXIT_USAGE;
  }
  if (o.is_help) {
    usage(stdout);
    return EXIT_SUCCESS;
  }
  int rc = make(&o, key, err, sizeof err);
  if (rc == 0) {
    rc = torc_shared_key_save(o.file, key, err, sizeof err);
  }
  torc_wipe(key, sizeof key);
  if (rc != 0) {
    (void)fprintf(stderr, "torc key new: %s\n", err);
    return EXIT_FAILURE;
  }
  return EXIT_SUCCESS;
}

/* The key of a shared-key overlay and the peer-id that goes with it, in files [D-18] [GAP-137].
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_IO_SHARED_KEY_H
#define TORC_IO_SHARED_KEY_H

#include "torc/types.h"

#define TORC_SHARED_KEY_LEN 32
#define TORC_SHARED_KEY_ROUNDS 600000 /* of PBKDF2-HMAC-SHA256 */
#define TORC_PASSPHRASE_MIN 12        /* bytes; what is shorter is guessed */
#define TORC_PASSPHRASE_MAX 1024

/* A new key from the system's random numbers. TORC_ERR_CRYPTO. */
int torc_shared_key_make(uint8_t key[TORC_SHARED_KEY_LEN], char *err,
                         size_t err_cap) TORC_MUST_CHECK;
/* PBKDF2 over the passphrase; the salt is the overlay's name in lower case. TORC_ERR_INVALID:
 * passphrase too short or long, or no name; TORC_ERR_CRYPTO. */
int torc_shared_key_derive(uint8_t key[TORC_SHARED_KEY_LEN], torc_slice passphrase,
                           const char *overlay_name, char *err, size_t err_cap) TORC_MUST_CHECK;
/* Writes 64 hex digits into a new file of mode 0600, which is there whole or not at all, and on the
 * disk. TORC_ERR_EXISTS: there is one, which stays. TORC_ERR_IO. */
int torc_shared_key_save(const char *path, const uint8_t key[TORC_SHARED_KEY_LEN], char *err,
                         size_t err_cap) TORC_MUST_CHECK;
/* TORC_ERR_IO: cannot be read; TORC_ERR_CONFIG: readable by others, or no key. */
int torc_shared_key_load(uint8_t key[TORC_SHARED_KEY_LEN], const char *path, char *err,
                         size_t err_cap) TORC_MUST_CHECK;
/* The peer-id in `dir`/peer-id, made at random and kept there the first time; dir NULL: at random.
 */
int torc_peer_id_keep(torc_id *out, const char *dir, char *err, size_t err_cap) TORC_MUST_CHECK;

#endif

/* STUN messages typed in from the layouts in RFC 5769 and RFC 8489 appendix B, and some made with
 * Python's hmac and zlib from layouts of RFC 8489 14. SPDX-License-Identifier: Apache-2.0 */
#ifndef STUN_VECTORS_H
#define STUN_VECTORS_H

#define STUN_PASSWORD "VOkJxbRl1RmTxUk/WvJxBt"

/* RFC 5769 2.1: SOFTWARE, PRIORITY, ICE-CONTROLLED, USERNAME, integrity, FINGERPRINT. */
#define STUN_5769_REQUEST                                  \
  "0001 0058 2112a442"                                     \
  "b7e7a701 bc34d686 fa87dfae"                             \
  "8022 0010 5354554e 20746573 7420636c 69656e74"          \
  "0024 0004 6e0001ff"                                     \
  "8029 0008 932ff9b1 51263b36"                            \
  "0006 0009 6576746a 3a683676 59202020"                   \
  "0008 0014 9aeaa70c bfd8cb56 781ef2b5 b2d3f249 c1b571a2" \
  "8028 0004 e57a3bcf"

/* RFC 5769 2.2: the answer, from 192.0.2.1 port 32853. */
#define STUN_5769_IPV4                                     \
  "0101 003c 2112a442"                                     \
  "b7e7a701 bc34d686 fa87dfae"                             \
  "8022 000b 74657374 20766563 746f7220"                   \
  "0020 0008 0001a147 e112a643"                            \
  "0008 0014 2b91f599 fd9e90c3 8c7489f9 2af9ba53 f06be7d7" \
  "8028 0004 c07d4c96"

/* RFC 5769 2.3: from 2001:db8:1234:5678:11:2233:4455:6677 port 32853. */
#define STUN_5769_IPV6                                     \
  "0101 0048 2112a442"                                     \
  "b7e7a701 bc34d686 fa87dfae"                             \
  "8022 000b 74657374 20766563 746f7220"                   \
  "0020 0014 0002a147 0113a9fa a5d3f179 bc25f4b5 bed2b9d9" \
  "0008 0014 a382954e 4be67bf1 1784c97c 8292c275 bfe3ed41" \
  "8028 0004 c8fb0b4c"

/* RFC 5769 2.4: long-term credentials, the user's name in katakana, password TheMatrIX. */
#define STUN_LONG_USER "\xe3\x83\x9e\xe3\x83\x88\xe3\x83\xaa\xe3\x83\x83\xe3\x82\xaf\xe3\x82\xb9"
#define STUN_5769_LONG                                                       \
  "0001 0060 2112a442"                                                       \
  "78ad3433 c6ad72c0 29da412e"                                               \
  "0006 0012 e3839ee3 8388e383 aae38383 e382afe3 82b90000"                   \
  "0015 001c 662f2f34 39396b39 35346436 4f4c3334 6f4c3946 53547679 36347341" \
  "0014 000b 6578616d 706c652e 6f726700"                                     \
  "0008 0014 f6702465 6dd64a3e 02b8e071 2e85c9a2 8ca89666"

/* RFC 8489 B.1 as erratum 6268 corrects it: USERHASH, PASSWORD-ALGORITHM SHA-256. */
#define STUN_8489_LONG                                                                \
  "0001 0090 2112a442"                                                                \
  "78ad3433 c6ad72c0 29da412e"                                                        \
  "001e 0020 4a3cf38f ef6992bd a952c678 0417da0f 24819415 569e60b2 05c46e41 407f1704" \
  "0015 0029 6f624d61 744a6f73 32414141 43662f2f 3439396b 39353464 364f4c33 346f4c39" \
  "46535476 79363473 41000000"                                                        \
  "0014 000b 6578616d 706c652e 6f726700"                                              \
  "001d 0004 00020000"                                                                \
  "001c 0020 b5c7bf00 5b6c52a2 1c51c5e8 92f81924 136296cb 927c4314 9309278c c6518e65"

/* By hand: a check of the controlling side, both integrity attributes; key swordfish-swordfish-22.
 */
#define STUN_HAND_PASSWORD "swordfish-swordfish-22"
#define STUN_HAND_BOTH                                                                \
  "0001 0068 2112a442"                                                                \
  "a0a1a2a3 a4a5a6a7 a8a9aaab"                                                        \
  "0006 0005 61623a63 64000000"                                                       \
  "0024 0004 7effffff"                                                                \
  "0025 0000"                                                                         \
  "802a 0008 01020304 05060708"                                                       \
  "0008 0014 102a7f13 09a69d4a d2953669 35d73fd2 834b638a"                            \
  "001c 0020 621e669d dd828b94 241022cf 1f6804f2 c78bcd44 b1049bd6 97227d30 5d679ca9" \
  "8028 0004 f901a430"

/* By hand: MESSAGE-INTEGRITY-SHA256 cut to 16 and to 24 bytes. */
#define STUN_HAND_CUT_16                          \
  "0001 0028 2112a442"                            \
  "a0a1a2a3 a4a5a6a7 a8a9aaab"                    \
  "0006 0005 61623a63 64000000"                   \
  "001c 0010 dcf29397 b031b9da 604d01c5 e96aea12" \
  "8028 0004 9610a123"
#define STUN_HAND_CUT_24        \
  "0001 0028 2112a442"          \
  "a0a1a2a3 a4a5a6a7 a8a9aaab"  \
  "0006 0005 61623a63 64000000" \
  "001c 0018 58dba30c 25af1328 6149a43a 6c985afe bad2a6a8 fc25e750"

/* By hand: no integrity, [2001:db8::1]:6084. */
#define STUN_HAND_MAPPED                                   \
  "0101 0020 2112a442"                                     \
  "a0a1a2a3 a4a5a6a7 a8a9aaab"                             \
  "0020 0014 000236d6 0113a9fa a0a1a2a3 a4a5a6a7 a8a9aaaa" \
  "8028 0004 90033c31"

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#include "io/overlay_sign.h"

#include <openssl/cms.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/slice.h"
#include "io/err.h"

#define ROOTS_MAX 8

static bool is_space(uint8_t c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Where the last `text` begins; len if there is none. */
static size_t find_last(torc_slice in, const char *text) {
  size_t len = strlen(text);
  for (size_t at = in.len >= len ? in.len - len + 1 : 0; at > 0; at--) {
    if (memcmp(in.p + at - 1, text, len) == 0) {
      return at - 1;
    }
  }
  return in.len;
}

size_t torc_overlay_signed_len(torc_slice document) {
  return find_last(document, TORC_OVERLAY_SIGNATURE_START);
}

/* The base64 without white space and its length; the instruction ends the file. */
static int read_base64(torc_slice tail, char out[TORC_OVERLAY_SIGNATURE_MAX], size_t *len) {
  size_t num = 0;
  size_t i = strlen(TORC_OVERLAY_SIGNATURE_START);
  for (; i < tail.len && tail.p[i] != '?'; i++) {
    if (is_space(tail.p[i])) {
      continue;
    }
    if (num == TORC_OVERLAY_SIGNATURE_MAX) {
      return TORC_ERR_FORMAT;
    }
    out[num] = (char)tail.p[i];
    num++;
  }
  if (i + 1 >= tail.len || tail.p[i + 1] != '>') {
    return TORC_ERR_FORMAT;
  }
  for (i += 2; i < tail.len; i++) {
    if (!is_space(tail.p[i])) {
      return TORC_ERR_FORMAT;
    }
  }
  *len = num;
  return num == 0 || num % 4 != 0 ? TORC_ERR_FORMAT : 0;
}

static CMS_ContentInfo *read_cms(torc_slice tail) {
  char text[TORC_OVERLAY_SIGNATURE_MAX];
  uint8_t der[TORC_OVERLAY_SIGNATURE_MAX];
  size_t len = 0;
  if (read_base64(tail, text, &len) != 0) {
    return NULL;
  }
  int n = EVP_DecodeBlock(der, (const uint8_t *)text, (int)len);
  if (n <= 0) {
    return NULL;
  }
  const uint8_t *p = der;
  return d2i_CMS_ContentInfo(NULL, &p, n); /* the zeros of the padding stay behind it */
}

/* One signer, and a digest that is no weaker than the overlay's [D-10]. */
static CMS_SignerInfo *only_signer(CMS_ContentInfo *cms) {
  STACK_OF(CMS_SignerInfo) *all = CMS_get0_SignerInfos(cms);
  X509_ALGOR *digest = NULL;
  if (all == NULL || sk_CMS_SignerInfo_num(all) != 1) {
    return NULL;
  }
  CMS_SignerInfo *one = sk_CMS_SignerInfo_value(all, 0);
  CMS_SignerInfo_get0_algs(one, NULL, NULL, &digest, NULL);
  int nid = digest == NULL ? NID_undef : OBJ_obj2nid(digest->algorithm);
  return nid == NID_sha256 || nid == NID_sha384 || nid == NID_sha512 ? one : NULL;
}

static torc_wall signing_time(const CMS_SignerInfo *signer) {
  struct tm tm;
  int at = CMS_signed_get_attr_by_NID(signer, NID_pkcs9_signingTime, -1);
  X509_ATTRIBUTE *attribute = at < 0 ? NULL : CMS_signed_get_attr(signer, at);
  const ASN1_TYPE *value = attribute == NULL ? NULL : X509_ATTRIBUTE_get0_type(attribute, 0);
  if (value == NULL || (value->type != V_ASN1_UTCTIME && value->type != V_ASN1_GENERALIZEDTIME) ||
      ASN1_TIME_to_tm((const ASN1_TIME *)value->value.asn1_string, &tm) != 1) {
    return 0;
  }
  time_t t = timegm(&tm);
  return t < 0 || t > (time_t)UINT32_MAX ? 0 : (torc_wall)t;
}

/* The roots as certificates; parsed once, freed by the caller. */
static int load_roots(const torc_slice *roots, size_t num, X509 *out[ROOTS_MAX],
                      STACK_OF(X509) * stack) {
  for (size_t i = 0; i < num && i < ROOTS_MAX; i++) {
    const uint8_t *p = roots[i].p;
    out[i] = d2i_X509(NULL, &p, (long)roots[i].len);
    if (out[i] == NULL || sk_X509_push(stack, out[i]) <= 0) {
      return TORC_ERR_CRYPTO;
    }
  }
  return 0;
}

static bool verify(CMS_ContentInfo *cms, torc_slice content, X509 *const roots[ROOTS_MAX],
                   STACK_OF(X509) * stack, size_t *signer) {
  BIO *bio = BIO_new_mem_buf(content.p, (int)content.len);
  unsigned flags = CMS_BINARY | CMS_DETACHED | CMS_NO_SIGNER_CERT_VERIFY | CMS_NOINTERN;
  bool is_good = bio != NULL && CMS_verify(cms, stack, NULL, bio, NULL, flags) == 1;
  STACK_OF(X509) *signers = is_good ? CMS_get0_signers(cms) : NULL;
  const X509 *by = signers == NULL ? NULL : sk_X509_value(signers, 0);
  is_good = false;
  for (size_t i = 0; by != NULL && i < ROOTS_MAX && roots[i] != NULL; i++) {
    if (X509_cmp(by, roots[i]) == 0) {
      *signer = i;
      is_good = true;
      break;
    }
  }
  sk_X509_free(signers);
  BIO_free(bio);
  return is_good;
}

int torc_overlay_signature_check(torc_slice document, const torc_slice *roots, size_t num_roots,
                                 size_t *signer, torc_wall *signed_at, char *err, size_t err_cap) {
  size_t len = torc_overlay_signed_len(document);
  if (len == document.len) {
    return torc_fail(TORC_ERR_NOTFOUND, err, err_cap, "the document is not signed");
  }
  X509 *certs[ROOTS_MAX] = {NULL};
  STACK_OF(X509) *stack = sk_X509_new_null();
  CMS_ContentInfo *cms = read_cms(torc_slice_of(document.p + len, document.len - len));
  CMS_SignerInfo *one = cms == NULL ? NULL : only_signer(cms);
  int rc = 0;
  if (stack == NULL) {
    rc = torc_fail(TORC_ERR_NOMEM, err, err_cap, "out of memory");
  } else if (one == NULL) {
    rc = torc_fail(TORC_ERR_CRYPTO, err, err_cap,
                   "the signature of the document is damaged, or of a kind that is not accepted");
  } else if (load_roots(roots, num_roots, certs, stack) != 0 ||
             !verify(cms, torc_slice_of(document.p, len), certs, stack, signer)) {
    rc = torc_fail(TORC_ERR_CRYPTO, err, err_cap,
                   "the signature of the document does not hold: it was changed after signing, or "
                   "signed by nobody among the root-certs");
  } else {
    *signed_at = signing_time(one);
  }
  ERR_clear_error();
  CMS_ContentInfo_free(cms);
  sk_X509_free(stack);
  for (size_t i = 0; i < ROOTS_MAX; i++) {
    X509_free(certs[i]);
  }
  return rc;
}

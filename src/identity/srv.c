/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/srv.h"

#include <stdlib.h>
#include <string.h>

#include "base/slice.h"

#define LABEL_MAX 63u
#define TEXT_MAX 253u /* of a name of 255 octets (RFC 1035 section 2.3.4) */

static bool is_host_byte(uint8_t c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '_';
}

int torc_dns_name_read(torc_rd *rd, char out[TORC_DNS_NAME_MAX]) {
  size_t len = 0;
  uint8_t n = torc_rd_u8(rd);
  while (rd->err == 0 && n != 0) {
    torc_slice label = torc_rd_slice(rd, n);
    if (n > LABEL_MAX || len + n + (len > 0 ? 1u : 0u) > TEXT_MAX) {
      return TORC_ERR_FORMAT;
    }
    for (size_t i = 0; i < label.len; i++) {
      if (!is_host_byte(label.p[i])) {
        return TORC_ERR_FORMAT;
      }
    }
    if (rd->err == 0) {
      if (len > 0) {
        out[len] = '.';
        len++;
      }
      memcpy(out + len, label.p, label.len);
      len += label.len;
    }
    n = torc_rd_u8(rd);
  }
  out[len] = '\0';
  return rd->err;
}

int torc_srv_read(torc_slice rdata, torc_srv *out) {
  torc_rd rd;
  torc_srv s = {.port = 0};
  torc_rd_init(&rd, rdata);
  s.priority = torc_rd_u16(&rd);
  s.weight = torc_rd_u16(&rd);
  s.port = torc_rd_u16(&rd);
  int rc = torc_dns_name_read(&rd, s.target);
  if (rc == 0 && torc_rd_left(&rd) != 0) {
    rc = TORC_ERR_FORMAT;
  }
  if (rc == 0) {
    *out = s;
  }
  return rc;
}

/* Records of weight 0 come first within their priority: they are chosen when the number is 0. */
static int compare(const void *a, const void *b) {
  const torc_srv *x = a;
  const torc_srv *y = b;
  if (x->priority != y->priority) {
    return x->priority < y->priority ? -1 : 1;
  }
  return (x->weight > 0) - (y->weight > 0);
}

static size_t choose(const torc_srv *list, size_t num, torc_srv_random *random, void *ctx) {
  uint32_t sum = 0;
  for (size_t i = 0; i < num; i++) {
    sum += list[i].weight;
  }
  uint32_t at = random(ctx, sum);
  uint32_t running = 0;
  for (size_t i = 0; i < num; i++) {
    running += list[i].weight;
    if (running >= at) {
      return i;
    }
  }
  return 0;
}

void torc_srv_order(torc_srv *list, size_t num, torc_srv_random *random, void *ctx) {
  if (num < 2) {
    return;
  }
  qsort(list, num, sizeof *list, compare);
  for (size_t i = 0; i + 1 < num; i++) {
    size_t same = 1;
    while (i + same < num && list[i + same].priority == list[i].priority) {
      same++;
    }
    size_t k = i + choose(list + i, same, random, ctx);
    torc_srv chosen = list[k];
    memmove(list + i + 1, list + i, (k - i) * sizeof *list); /* the others keep their order */
    list[i] = chosen;
  }
}

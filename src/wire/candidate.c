/* Candidate strings: the candidate-attribute of RFC 5245 section 15.1 with the TCP form of RFC 6544
 * [CON-10] [GAP-71], and addresses as text. By hand: this room knows no operating system.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/slice.h"
#include "wire/pdu.h"

#define FAMILY_IP4 1u
#define FAMILY_IP6 2u
#define COMPONENT_MAX 256u
#define PRIORITY_MAX 0x7fffffffu
#define PORT_MAX 65535u
#define NUM_GROUPS 8u /* of an IPv6 address */

static char lower(uint8_t c) {
  return (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
}

/* Tokens of the grammar are compared without regard to case; `word` is lower-case. */
static bool is_word(torc_slice s, const char *word) {
  size_t i = 0;
  for (; i < s.len && word[i] != '\0'; i++) {
    if (lower(s.p[i]) != word[i]) {
      return false;
    }
  }
  return i == s.len && word[i] == '\0';
}

/* 1 to 10 decimal digits, at most `max`. */
static int parse_number(torc_slice s, uint32_t max, uint32_t *out) {
  uint64_t v = 0;
  if (s.len == 0 || s.len > 10) {
    return TORC_ERR_FORMAT;
  }
  for (size_t i = 0; i < s.len; i++) {
    if (s.p[i] < '0' || s.p[i] > '9') {
      return TORC_ERR_FORMAT;
    }
    v = v * 10 + (uint64_t)(s.p[i] - '0');
  }
  if (v > max) {
    return TORC_ERR_FORMAT;
  }
  *out = (uint32_t)v;
  return 0;
}

/* Cuts the part up to `separator` off the front of `s`; all of it if there is none. */
static torc_slice cut(torc_slice *s, uint8_t separator) {
  const uint8_t *end = s->len != 0 ? memchr(s->p, separator, s->len) : NULL;
  torc_slice part = *s;
  if (end == NULL) {
    *s = (torc_slice){.p = NULL, .len = 0};
    return part;
  }
  part.len = (size_t)(end - s->p);
  *s = torc_slice_of(end + 1, s->len - part.len - 1);
  return part;
}

/* Four decimal parts without leading zeros, which some read as octal. */
static int parse_ip4(torc_slice text, uint8_t out[4]) {
  for (size_t i = 0; i < 4; i++) {
    bool is_last_part = i == 3;
    bool has_dot = text.len != 0 && memchr(text.p, '.', text.len) != NULL;
    torc_slice part;
    uint32_t v;
    int rc;
    if (has_dot == is_last_part) {
      return TORC_ERR_FORMAT;
    }
    part = cut(&text, '.');
    rc = parse_number(part, 255, &v);
    if (rc != 0) {
      return rc;
    }
    if (part.len > 3 || (part.len > 1 && part.p[0] == '0')) {
      return TORC_ERR_FORMAT;
    }
    out[i] = (uint8_t)v;
  }
  return 0;
}

static int parse_group(torc_slice s, uint8_t out[2]) {
  unsigned v = 0;
  if (s.len == 0 || s.len > 4) {
    return TORC_ERR_FORMAT;
  }
  for (size_t i = 0; i < s.len; i++) {
    char c = lower(s.p[i]);
    if (c >= '0' && c <= '9') {
      v = v * 16 + (unsigned)(c - '0');
    } else if (c >= 'a' && c <= 'f') {
      v = v * 16 + (unsigned)(c - 'a' + 10);
    } else {
      return TORC_ERR_FORMAT;
    }
  }
  out[0] = (uint8_t)(v >> 8);
  out[1] = (uint8_t)v;
  return 0;
}

/* Groups separated by single colons, at most 16 bytes of them; the last may be an IPv4 address if
 * `may_end_ip4`. Empty text is no groups. */
static int parse_groups(torc_slice text, bool may_end_ip4, uint8_t out[16], size_t *num_bytes) {
  size_t n = 0;
  bool more = text.len != 0;
  while (more) {
    bool is_last_part = memchr(text.p, ':', text.len) == NULL;
    torc_slice part = cut(&text, ':');
    int rc;
    if (is_last_part && may_end_ip4 && part.len != 0 && memchr(part.p, '.', part.len) != NULL) {
      if (n > 12) {
        return TORC_ERR_FORMAT;
      }
      rc = parse_ip4(part, out + n);
      n += 4;
    } else {
      if (n > 14) {
        return TORC_ERR_FORMAT;
      }
      rc = parse_group(part, out + n);
      n += 2;
    }
    if (rc != 0) {
      return rc;
    }
    more = !is_last_part;
    if (more && text.len == 0) {
      return TORC_ERR_FORMAT; /* a colon at the end */
    }
  }
  *num_bytes = n;
  return 0;
}

static int parse_ip6(torc_slice text, uint8_t out[16]) {
  uint8_t left[16] = {0};
  uint8_t right[16] = {0};
  size_t num_left = 0;
  size_t num_right = 0;
  size_t gap = 0;
  int rc;
  while (gap + 1 < text.len && !(text.p[gap] == ':' && text.p[gap + 1] == ':')) {
    gap++;
  }
  if (gap + 1 >= text.len) { /* no "::": all groups are there */
    rc = parse_groups(text, true, out, &num_left);
    return rc == 0 && num_left != 16 ? TORC_ERR_FORMAT : rc;
  }
  rc = parse_groups(torc_slice_sub(text, 0, gap), false, left, &num_left);
  if (rc == 0) {
    rc = parse_groups(torc_slice_sub(text, gap + 2, text.len - gap - 2), true, right, &num_right);
  }
  if (rc != 0) {
    return rc;
  }
  if (num_left + num_right > 14) { /* "::" stands for one group at least */
    return TORC_ERR_FORMAT;
  }
  memset(out, 0, 16);
  memcpy(out, left, num_left);
  memcpy(out + 16 - num_right, right, num_right);
  return 0;
}

int torc_addr_parse(torc_slice text, torc_addr *out) {
  torc_addr a = {0};
  int rc;
  if (text.len == 0 || text.len >= TORC_ADDR_TEXT_MAX) {
    return TORC_ERR_FORMAT;
  }
  if (memchr(text.p, ':', text.len) != NULL) {
    a.family = FAMILY_IP6;
    rc = parse_ip6(text, a.addr);
  } else {
    a.family = FAMILY_IP4;
    rc = parse_ip4(text, a.addr);
  }
  if (rc == 0) {
    *out = a;
  }
  return rc;
}

static void put_number(torc_wr *wr, uint32_t v) {
  uint8_t digits[10];
  size_t n = sizeof(digits);
  do {
    digits[--n] = (uint8_t)('0' + v % 10);
    v /= 10;
  } while (v != 0);
  torc_wr_bytes(wr, torc_slice_of(digits + n, sizeof(digits) - n));
}

static void put_text(torc_wr *wr, const char *text) {
  torc_wr_bytes(wr, torc_slice_str(text));
}

static void put_ip4(torc_wr *wr, const uint8_t *p) {
  for (size_t i = 0; i < 4; i++) {
    if (i != 0) {
      put_text(wr, ".");
    }
    put_number(wr, p[i]);
  }
}

static void put_group(torc_wr *wr, const uint8_t *p) {
  static const char digits[] = "0123456789abcdef";
  unsigned v = (unsigned)p[0] << 8 | p[1];
  bool started = false;
  for (int shift = 12; shift >= 0; shift -= 4) {
    unsigned digit = v >> shift & 15u;
    if (digit != 0 || started || shift == 0) {
      started = true;
      torc_wr_u8(wr, (uint8_t)digits[digit]);
    }
  }
}

static bool group_is_zero(const uint8_t *p, size_t i) {
  return p[2 * i] == 0 && p[2 * i + 1] == 0;
}

/* RFC 5952: lower case, the longest run of two or more zero groups (the first of equals) as "::".
 */
static void put_ip6(torc_wr *wr, const uint8_t *p) {
  static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  size_t best = NUM_GROUPS;
  size_t best_len = 1;
  size_t i = 0;
  if (memcmp(p, mapped, sizeof(mapped)) == 0) {
    put_text(wr, "::ffff:");
    put_ip4(wr, p + 12);
    return;
  }
  while (i < NUM_GROUPS) {
    size_t start = i;
    while (i < NUM_GROUPS && group_is_zero(p, i)) {
      i++;
    }
    if (i - start > best_len) {
      best = start;
      best_len = i - start;
    }
    i += i == start ? 1u : 0u;
  }
  for (i = 0; i < NUM_GROUPS; i++) {
    if (i == best) {
      put_text(wr, "::");
      i += best_len - 1;
      continue;
    }
    if (i != 0 && i != best + best_len) {
      put_text(wr, ":");
    }
    put_group(wr, p + 2 * i);
  }
}

static void put_addr(torc_wr *wr, const torc_addr *a) {
  if (a->family == FAMILY_IP6) {
    put_ip6(wr, a->addr);
  } else {
    put_ip4(wr, a->addr);
  }
}

char *torc_addr_format(const torc_addr *a, char out[TORC_ADDR_TEXT_MAX]) {
  torc_wr wr;
  torc_wr_init(&wr, out, TORC_ADDR_TEXT_MAX - 1);
  if (a->family == FAMILY_IP4 || a->family == FAMILY_IP6) {
    put_addr(&wr, a);
  }
  out[wr.len] = '\0';
  return out;
}

static const struct {
  torc_cand_type type;
  const char *word;
} cand_types[] = {{TORC_CAND_HOST, "host"},
                  {TORC_CAND_SRFLX, "srflx"},
                  {TORC_CAND_PRFLX, "prflx"},
                  {TORC_CAND_RELAY, "relay"}};

static const struct {
  torc_cand_tcptype type;
  const char *word;
  const char *old_transport; /* as written before RFC 6544 [GAP-71] */
} tcp_types[] = {{TORC_TCPTYPE_ACTIVE, "active", "tcp-act"},
                 {TORC_TCPTYPE_PASSIVE, "passive", "tcp-pass"},
                 {TORC_TCPTYPE_SO, "so", "tcp-so"}};

/* 1*32ice-char. */
static int parse_foundation(torc_slice s, torc_candidate *c) {
  if (s.len == 0 || s.len >= sizeof(c->foundation)) {
    return TORC_ERR_FORMAT;
  }
  for (size_t i = 0; i < s.len; i++) {
    char ch = lower(s.p[i]);
    if (!((ch >= 'a' && ch <= 'z') || (ch >= '0' && ch <= '9') || ch == '+' || ch == '/')) {
      return TORC_ERR_FORMAT;
    }
    c->foundation[i] = (char)s.p[i];
  }
  c->foundation[s.len] = '\0';
  return 0;
}

static int parse_transport(torc_slice s, torc_candidate *c) {
  if (is_word(s, "udp")) {
    c->transport = TORC_CAND_UDP;
    return 0;
  }
  c->transport = TORC_CAND_TCP;
  if (is_word(s, "tcp")) {
    return 0;
  }
  for (size_t i = 0; i < TORC_ARRAY_LEN(tcp_types); i++) {
    if (is_word(s, tcp_types[i].old_transport)) {
      c->tcptype = tcp_types[i].type;
      return 0;
    }
  }
  return TORC_ERR_FORMAT;
}

/* FQDN characters; what the name means is found out by whoever resolves it. */
static bool is_name(torc_slice s) {
  if (s.len == 0 || s.len > 255) {
    return false;
  }
  for (size_t i = 0; i < s.len; i++) {
    char c = lower(s.p[i]);
    if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_')) {
      return false;
    }
  }
  return true;
}

static int parse_address(torc_slice s, torc_candidate *c) {
  c->host = s;
  if (torc_addr_parse(s, &c->addr) == 0) {
    return 0;
  }
  return is_name(s) ? 0 : TORC_ERR_FORMAT;
}

static int parse_type(torc_slice keyword, torc_slice s, torc_candidate *c) {
  for (size_t i = 0; i < TORC_ARRAY_LEN(cand_types) && is_word(keyword, "typ"); i++) {
    if (is_word(s, cand_types[i].word)) {
      c->type = cand_types[i].type;
      return 0;
    }
  }
  return TORC_ERR_FORMAT;
}

static int parse_tcptype(torc_slice s, torc_candidate *c) {
  if (c->transport != TORC_CAND_TCP) {
    return 0; /* an extension attribute like any other */
  }
  for (size_t i = 0; i < TORC_ARRAY_LEN(tcp_types); i++) {
    if (is_word(s, tcp_types[i].word) &&
        (c->tcptype == TORC_TCPTYPE_NONE || c->tcptype == tcp_types[i].type)) {
      c->tcptype = tcp_types[i].type;
      return 0;
    }
  }
  return TORC_ERR_FORMAT;
}

/* [rel-addr] [rel-port] *(extension), each a name and a value. Unknown extensions are skipped. */
static int parse_tail(torc_slice rest, torc_candidate *c) {
  while (rest.p != NULL) {
    torc_slice name = cut(&rest, ' ');
    torc_slice value = cut(&rest, ' ');
    uint32_t port;
    int rc = 0;
    if (name.len == 0 || value.len == 0) {
      return TORC_ERR_FORMAT;
    }
    if (is_word(name, "raddr")) {
      uint16_t keep = c->raddr.port;
      if (torc_addr_parse(value, &c->raddr) != 0) {
        rc = is_name(value) ? 0 : TORC_ERR_FORMAT;
      }
      c->raddr.port = keep;
    } else if (is_word(name, "rport")) {
      rc = parse_number(value, PORT_MAX, &port);
      c->raddr.port = rc == 0 ? (uint16_t)port : 0;
    } else if (is_word(name, "tcptype")) {
      rc = parse_tcptype(value, c);
    }
    if (rc != 0) {
      return rc;
    }
  }
  return 0;
}

/* component-id SP transport SP priority SP connection-address SP port SP "typ" SP cand-type */
static int parse_fields(torc_slice *rest, torc_candidate *c) {
  torc_slice component = cut(rest, ' ');
  torc_slice transport = cut(rest, ' ');
  torc_slice priority = cut(rest, ' ');
  torc_slice address = cut(rest, ' ');
  torc_slice port_text = cut(rest, ' ');
  torc_slice keyword = cut(rest, ' ');
  torc_slice type = cut(rest, ' ');
  uint32_t number;
  uint32_t port;
  if (parse_number(component, COMPONENT_MAX, &number) != 0 || number == 0 ||
      parse_number(priority, PRIORITY_MAX, &c->priority) != 0 || c->priority == 0 ||
      parse_number(port_text, PORT_MAX, &port) != 0) {
    return TORC_ERR_FORMAT;
  }
  if (parse_transport(transport, c) != 0 || parse_address(address, c) != 0 ||
      parse_type(keyword, type, c) != 0) {
    return TORC_ERR_FORMAT;
  }
  c->component = (uint16_t)number;
  c->addr.port = (uint16_t)port;
  return 0;
}

int torc_candidate_parse(torc_slice text, torc_candidate *out) {
  torc_candidate c = {.tcptype = TORC_TCPTYPE_NONE};
  torc_slice rest = text;
  torc_slice label;
  int rc;
  if (rest.len >= 2 && rest.p[0] == 'a' && rest.p[1] == '=') {
    rest = torc_slice_sub(rest, 2, rest.len - 2);
  }
  label = cut(&rest, ':');
  if (!is_word(label, "candidate")) {
    return TORC_ERR_FORMAT;
  }
  rc = parse_foundation(cut(&rest, ' '), &c);
  if (rc == 0) {
    rc = parse_fields(&rest, &c);
  }
  if (rc == 0) {
    rc = parse_tail(rest, &c);
  }
  if (rc == 0 && c.transport == TORC_CAND_TCP && c.tcptype == TORC_TCPTYPE_NONE) {
    rc = TORC_ERR_FORMAT; /* RFC 6544 section 4.5: a TCP candidate says who opens */
  }
  if (c.raddr.family == 0) {
    c.raddr.port = 0;
  }
  if (rc == 0) {
    *out = c;
  }
  return rc;
}

static const char *type_word(torc_cand_type type) {
  for (size_t i = 0; i < TORC_ARRAY_LEN(cand_types); i++) {
    if (cand_types[i].type == type) {
      return cand_types[i].word;
    }
  }
  return NULL;
}

static const char *tcptype_word(torc_cand_tcptype type) {
  for (size_t i = 0; i < TORC_ARRAY_LEN(tcp_types); i++) {
    if (tcp_types[i].type == type) {
      return tcp_types[i].word;
    }
  }
  return NULL;
}

/* True iff what would be written is what torc_candidate_parse accepts. */
static bool can_format(const torc_candidate *c) {
  torc_candidate scratch;
  bool has_address = c->addr.family == FAMILY_IP4 || c->addr.family == FAMILY_IP6 ||
                     (c->addr.family == 0 && is_name(c->host));
  bool has_transport = c->transport == TORC_CAND_UDP ||
                       (c->transport == TORC_CAND_TCP && tcptype_word(c->tcptype) != NULL);
  return has_address && has_transport && type_word(c->type) != NULL &&
         memchr(c->foundation, '\0', sizeof(c->foundation)) != NULL &&
         parse_foundation(torc_slice_str(c->foundation), &scratch) == 0 && c->component != 0 &&
         c->component <= COMPONENT_MAX && c->priority != 0 && c->priority <= PRIORITY_MAX &&
         c->raddr.family <= FAMILY_IP6;
}

int torc_candidate_format(torc_wr *wr, const torc_candidate *c) {
  if (!can_format(c)) {
    return TORC_ERR_INVALID;
  }
  put_text(wr, "candidate:");
  put_text(wr, c->foundation);
  put_text(wr, " ");
  put_number(wr, c->component);
  put_text(wr, c->transport == TORC_CAND_TCP ? " TCP " : " UDP ");
  put_number(wr, c->priority);
  put_text(wr, " ");
  if (c->addr.family == 0) {
    torc_wr_bytes(wr, c->host);
  } else {
    put_addr(wr, &c->addr);
  }
  put_text(wr, " ");
  put_number(wr, c->addr.port);
  put_text(wr, " typ ");
  put_text(wr, type_word(c->type));
  if (c->raddr.family != 0) {
    put_text(wr, " raddr ");
    put_addr(wr, &c->raddr);
    put_text(wr, " rport ");
    put_number(wr, c->raddr.port);
  }
  if (c->transport == TORC_CAND_TCP) {
    put_text(wr, " tcptype ");
    put_text(wr, tcptype_word(c->tcptype));
  }
  return wr->err;
}

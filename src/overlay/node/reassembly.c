/* Reassembly. A body lies in pages, so that a fragment far behind costs no more than its page; a
 * bit for each unit of 8 bytes says what is there. Memory is bounded for all, for each origin and
 * for what each linked peer brings, since origins can be made up; who wants more loses his oldest
 * set. SPDX-License-Identifier: Apache-2.0 */
#include "overlay/node/reassembly.h"

#include <string.h>

#include "base/map.h"
#include "base/mem.h"
#include "base/slice.h"
#include "base/timer.h"

#define UNIT 8u
#define PAGE_UNITS (TORC_REASM_PAGE / UNIT)
#define SHARE_KEY_LEN (1u + TORC_ID_LEN)
#define BY_ORIGIN 0u
#define BY_HOP 1u

typedef struct page {
  uint8_t have[PAGE_UNITS / 8];
  uint8_t bytes[TORC_REASM_PAGE];
} page;

typedef struct share { /* what an origin, or a linked peer, has here */
  uint8_t key[SHARE_KEY_LEN];
  torc_list sets; /* oldest first */
  size_t bytes;
  uint32_t num;
} share;

typedef struct set_key {
  uint64_t xid;
  torc_id origin;
} set_key;

typedef struct set {
  set_key key;
  torc_list age;
  torc_list of[2]; /* BY_ORIGIN, BY_HOP */
  share *shares[2];
  torc_time expires;
  size_t bytes;                  /* it is charged for */
  uint32_t have, highest, total; /* body bytes there; end of the last of them; 0: not known */
  uint32_t head_len;
  uint8_t *head; /* of the fragment at offset 0; NULL: not there */
  torc_reasm_way way;
  bool is_ignored;
  page *pages[TORC_REASM_PAGES];
} set;

struct torc_reasm {
  const torc_mem *mem;
  torc_map sets, shares;
  torc_list age; /* oldest first: all live equally long */
  size_t bytes, max_bytes;
  torc_reasm_stats stats;
};

int torc_reasm_new(torc_reasm **out, const torc_mem *mem, uint64_t seed, size_t max_bytes) {
  torc_reasm *r = torc_calloc(mem, 1, sizeof *r);
  if (r == NULL) {
    return TORC_ERR_NOMEM;
  }
  r->mem = mem;
  r->max_bytes = max_bytes;
  torc_list_init(&r->age);
  torc_map_init(&r->sets, mem, offsetof(set, key), sizeof(set_key), seed);
  torc_map_init(&r->shares, mem, offsetof(share, key), SHARE_KEY_LEN, seed);
  *out = r;
  return 0;
}

/* ---- shares ---- */

static share *share_of(torc_reasm *r, uint8_t kind, const torc_id *id) {
  uint8_t key[SHARE_KEY_LEN];
  key[0] = kind;
  memcpy(key + 1, id->b, TORC_ID_LEN);
  share *s = torc_map_get(&r->shares, key);
  if (s != NULL) {
    return s;
  }
  s = torc_calloc(r->mem, 1, sizeof *s);
  if (s == NULL) {
    return NULL;
  }
  memcpy(s->key, key, sizeof key);
  torc_list_init(&s->sets);
  if (torc_map_put(&r->shares, s) != 0) {
    torc_free(r->mem, s);
    return NULL;
  }
  return s;
}

static void share_release(torc_reasm *r, share *s) {
  if (s != NULL && s->num == 0) {
    (void)torc_map_del(&r->shares, s->key);
    torc_free(r->mem, s);
  }
}

static void charge(torc_reasm *r, set *s, size_t bytes) {
  s->bytes += bytes;
  s->shares[BY_ORIGIN]->bytes += bytes;
  s->shares[BY_HOP]->bytes += bytes;
  r->bytes += bytes;
}

static void uncharge(torc_reasm *r, set *s, size_t bytes) {
  s->bytes -= bytes;
  s->shares[BY_ORIGIN]->bytes -= bytes;
  s->shares[BY_HOP]->bytes -= bytes;
  r->bytes -= bytes;
}

/* ---- sets ---- */

static void drop_body(torc_reasm *r, set *s) {
  for (size_t i = 0; i < TORC_REASM_PAGES; i++) {
    torc_free(r->mem, s->pages[i]);
    s->pages[i] = NULL;
  }
  torc_free(r->mem, s->head);
  s->head = NULL;
  uncharge(r, s, s->bytes - sizeof *s);
}

static void set_free(torc_reasm *r, set *s) {
  drop_body(r, s);
  uncharge(r, s, s->bytes);
  (void)torc_map_del(&r->sets, &s->key);
  torc_list_remove(&s->age);
  for (size_t i = 0; i < 2; i++) {
    torc_list_remove(&s->of[i]);
    s->shares[i]->num--;
    share_release(r, s->shares[i]);
  }
  torc_free(r->mem, s);
}

void torc_reasm_free(torc_reasm *r) {
  if (r == NULL) {
    return;
  }
  while (!torc_list_empty(&r->age)) {
    set_free(r, TORC_CONTAINER_OF(r->age.next, set, age));
  }
  torc_map_clear(&r->sets);
  torc_map_clear(&r->shares);
  torc_free(r->mem, r);
}

bool torc_reasm_expire(torc_reasm *r, torc_time now) {
  while (!torc_list_empty(&r->age)) {
    set *s = TORC_CONTAINER_OF(r->age.next, set, age);
    if (s->expires > now) {
      return true;
    }
    r->stats.timeouts += s->is_ignored ? 0 : 1;
    set_free(r, s);
  }
  torc_map_trim(&r->sets);
  torc_map_trim(&r->shares);
  return false;
}

/* The oldest set of the list but `keep` goes; false: there is none. */
static bool evict(torc_reasm *r, torc_list *list, bool is_age, uint8_t kind, const set *keep) {
  for (torc_list *i = list->next; i != list; i = i->next) {
    set *s = is_age              ? TORC_CONTAINER_OF(i, set, age)
             : kind == BY_ORIGIN ? TORC_CONTAINER_OF(i, set, of[BY_ORIGIN])
                                 : TORC_CONTAINER_OF(i, set, of[BY_HOP]);
    if (s != keep) {
      r->stats.evictions++;
      set_free(r, s);
      return true;
    }
  }
  return false;
}

/* Room for `bytes` more of `s`, which has its shares [FRG-06]. */
static bool make_room(torc_reasm *r, const set *s, size_t bytes) {
  share *origin = s->shares[BY_ORIGIN];
  share *hop = s->shares[BY_HOP];
  while (origin->bytes + bytes > r->max_bytes / TORC_REASM_ORIGIN_SHARE) {
    if (!evict(r, &origin->sets, false, BY_ORIGIN, s)) {
      return false;
    }
  }
  while (hop->bytes + bytes > r->max_bytes / TORC_REASM_HOP_SHARE) {
    if (!evict(r, &hop->sets, false, BY_HOP, s)) {
      return false;
    }
  }
  while (r->bytes + bytes > r->max_bytes || r->sets.len > TORC_REASM_SETS) {
    if (!evict(r, &r->age, true, 0, s)) {
      return false;
    }
  }
  return true;
}

static int set_new(torc_reasm *r, const set_key *key, const torc_id *hop, torc_time now,
                   set **out) {
  set *s = torc_calloc(r->mem, 1, sizeof *s);
  if (s == NULL) {
    return TORC_ERR_NOMEM;
  }
  int rc = TORC_ERR_NOMEM;
  s->key = *key;
  s->expires = torc_time_add(now, TORC_REASM_AGE);
  s->shares[BY_ORIGIN] = share_of(r, BY_ORIGIN, &key->origin);
  s->shares[BY_HOP] = share_of(r, BY_HOP, hop);
  if (s->shares[BY_ORIGIN] != NULL && s->shares[BY_HOP] != NULL) {
    s->shares[BY_ORIGIN]->num++; /* holds them while room is made */
    s->shares[BY_HOP]->num++;
    rc = make_room(r, s, sizeof *s) ? torc_map_put(&r->sets, s) : TORC_ERR_LIMIT;
    if (rc != 0) {
      s->shares[BY_ORIGIN]->num--;
      s->shares[BY_HOP]->num--;
    }
  }
  if (rc != 0) {
    share_release(r, s->shares[BY_ORIGIN]);
    share_release(r, s->shares[BY_HOP]);
    torc_free(r->mem, s);
    return rc;
  }
  charge(r, s, sizeof *s);
  torc_list_push_back(&r->age, &s->age);
  torc_list_push_back(&s->shares[BY_ORIGIN]->sets, &s->of[BY_ORIGIN]);
  torc_list_push_back(&s->shares[BY_HOP]->sets, &s->of[BY_HOP]);
  *out = s;
  return 0;
}

/* What comes later for this key is not looked at. */
static void discard(torc_reasm *r, set *s, torc_time now) {
  r->stats.conflicts++;
  drop_body(r, s);
  s->is_ignored = true;
  s->expires = torc_time_add(now, TORC_REASM_AGE);
  torc_list_remove(&s->age);
  torc_list_push_back(&r->age, &s->age);
}

/* ---- bytes ---- */

static bool has_unit(const page *p, size_t unit) {
  return ((unsigned)p->have[unit / 8] >> unit % 8 & 1u) != 0;
}

/* Calls for the units of `body`, which begins at unit `at`. */
static bool agrees(const set *s, size_t at, torc_slice body) {
  for (size_t i = 0; i < body.len; i += UNIT) {
    size_t unit = at + i / UNIT;
    size_t len = body.len - i < UNIT ? body.len - i : UNIT;
    const page *p = s->pages[unit / PAGE_UNITS];
    if (p != NULL && has_unit(p, unit % PAGE_UNITS) &&
        memcmp(p->bytes + unit % PAGE_UNITS * UNIT, body.p + i, len) != 0) {
      return false;
    }
  }
  return true;
}

static void copy_in(set *s, size_t at, torc_slice body) {
  for (size_t i = 0; i < body.len; i += UNIT) {
    size_t unit = at + i / UNIT;
    size_t in_page = unit % PAGE_UNITS;
    size_t len = body.len - i < UNIT ? body.len - i : UNIT;
    page *p = s->pages[unit / PAGE_UNITS];
    if (!has_unit(p, in_page)) {
      memcpy(p->bytes + in_page * UNIT, body.p + i, len);
      p->have[in_page / 8] = (uint8_t)(p->have[in_page / 8] | 1u << in_page % 8);
      s->have += (uint32_t)len;
    }
  }
}

static int make_pages(torc_reasm *r, set *s, size_t first, size_t last) {
  for (size_t i = first; i <= last; i++) {
    if (s->pages[i] != NULL) {
      continue;
    }
    if (!make_room(r, s, sizeof(page))) {
      return TORC_ERR_LIMIT;
    }
    s->pages[i] = torc_calloc(r->mem, 1, sizeof(page));
    if (s->pages[i] == NULL) {
      return TORC_ERR_NOMEM;
    }
    charge(r, s, sizeof(page));
  }
  return 0;
}

static int keep_head(torc_reasm *r, set *s, torc_slice head, const torc_reasm_way *way) {
  if (s->head != NULL) {
    return 0;
  }
  if (!make_room(r, s, head.len)) {
    return TORC_ERR_LIMIT;
  }
  int rc = torc_slice_dup(r->mem, head, &s->head);
  if (rc == 0) {
    s->head_len = (uint32_t)head.len;
    s->way = *way;
    charge(r, s, head.len);
  }
  return rc;
}

/* [GAP-43] The total is known from the last fragment. */
static bool fits_total(const set *s, size_t end, bool is_last) {
  if (is_last) {
    return s->total == 0 ? end >= s->highest : end == s->total;
  }
  return s->total == 0 || end <= s->total;
}

static int put_together(torc_reasm *r, set *s, torc_reasm_whole *out) {
  size_t len = s->head_len + s->total;
  uint8_t *msg = torc_alloc(r->mem, len);
  if (msg == NULL) {
    return TORC_ERR_NOMEM;
  }
  memcpy(msg, s->head, s->head_len);
  for (size_t at = 0; at < s->total; at += TORC_REASM_PAGE) {
    size_t left = s->total - at;
    memcpy(msg + s->head_len + at, s->pages[at / TORC_REASM_PAGE]->bytes,
           left < TORC_REASM_PAGE ? left : TORC_REASM_PAGE);
  }
  torc_header_set_fragment(msg, TORC_NO_FRAGMENT, 0, (uint32_t)len);
  out->msg = msg;
  out->len = len;
  out->way = s->way;
  r->stats.completed++;
  return 0;
}

int torc_reasm_add(torc_reasm *r, const torc_header *h, torc_slice msg, const torc_reasm_way *way,
                   torc_time now, torc_reasm_whole *out) {
  torc_slice body = torc_slice_sub(msg, h->header_len, msg.len - h->header_len);
  size_t at = h->fragment_units;
  size_t end = at * UNIT + body.len;
  /* [GAP-45] The last hop counts only where there is no via list. */
  set_key key = {.xid = h->xid,
                 .origin = h->via.len > 0 ? torc_id_list_at(h->via, 0) : way->last_hop};
  out->msg = NULL;
  if (body.len == 0 || (!h->is_last_fragment && body.len % UNIT != 0) || end > TORC_BODY_MAX) {
    return TORC_ERR_FORMAT; /* [R-33] [GAP-42] */
  }
  (void)torc_reasm_expire(r, now);
  set *s = torc_map_get(&r->sets, &key);
  int rc = s == NULL ? set_new(r, &key, &way->last_hop, now, &s) : 0;
  if (rc != 0) {
    return rc;
  }
  if (s->is_ignored) {
    return TORC_ERR_STATE;
  }
  if (!fits_total(s, end, h->is_last_fragment) || !agrees(s, at, body)) {
    discard(r, s, now);
    return TORC_ERR_EXISTS;
  }
  rc = at == 0 ? keep_head(r, s, torc_slice_of(msg.p, h->header_len), way) : 0;
  rc = rc != 0 ? rc : make_pages(r, s, at / PAGE_UNITS, (end - 1) / TORC_REASM_PAGE);
  if (rc != 0) {
    return rc;
  }
  copy_in(s, at, body);
  s->total = h->is_last_fragment ? (uint32_t)end : s->total;
  s->highest = end > s->highest ? (uint32_t)end : s->highest;
  if (s->total != 0 && s->have == s->total) { /* then offset 0 and with it the header is there */
    rc = put_together(r, s, out);
    set_free(r, s);
  }
  return rc;
}

size_t torc_reasm_bytes(const torc_reasm *r) {
  return r == NULL ? 0 : r->bytes;
}

size_t torc_reasm_sets(const torc_reasm *r) {
  return r == NULL ? 0 : r->sets.len;
}

torc_reasm_stats torc_reasm_get_stats(const torc_reasm *r) {
  return r->stats;
}

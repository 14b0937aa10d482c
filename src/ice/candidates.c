/* Candidates: priorities, foundations, which remote ones may be tried [ICE-15] [ICE-19] [ICE-21].
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/mem.h"
#include "ice/ice_impl.h"

#define IP4 1u
#define IP6 2u
#define COMPONENT 1u
#define PORT_ACTIVE 9u   /* RFC 6544 4.5: what an active candidate has for a port */
#define PRFLX_MAX 16u    /* learnt in one session */
#define PRFLX_OF_OWN 6u  /* and by one local candidate */
#define NAME_MAX_LEN 69u /* a label and ".local" */
#define LABEL_MAX 63u

/* [ICE-19] Type preferences: TCP above UDP, but no relay above a direct path. RFC 8445 5.1.2.2:
 * peer-reflexive above server-reflexive. */
static uint32_t type_preference(torc_cand_transport transport, torc_cand_type type) {
  bool is_tcp = transport == TORC_CAND_TCP;
  switch (type) {
    case TORC_CAND_HOST:
      return is_tcp ? 126 : 106;
    case TORC_CAND_PRFLX:
      return is_tcp ? 118 : 98;
    case TORC_CAND_SRFLX:
      return is_tcp ? 112 : 90;
    case TORC_CAND_RELAY:
    default:
      return is_tcp ? 10 : 0;
  }
}

/* RFC 6544 4.2. */
static uint32_t direction_preference(torc_cand_type type, torc_cand_tcptype tcptype) {
  bool is_mapped = type == TORC_CAND_SRFLX || type == TORC_CAND_PRFLX;
  switch (tcptype) {
    case TORC_TCPTYPE_ACTIVE:
      return is_mapped ? 4 : 6;
    case TORC_TCPTYPE_PASSIVE:
      return is_mapped ? 2 : 4;
    case TORC_TCPTYPE_SO:
      return is_mapped ? 6 : 2;
    case TORC_TCPTYPE_NONE:
    default:
      return 0;
  }
}

uint32_t torc_ice_priority(const torc_ice_local *l, torc_cand_type type) {
  uint32_t by_type = type_preference(l->transport, type);
  uint32_t local = l->preference;
  if (l->type_preference != 0 && (type == l->type || l->type_preference < by_type)) {
    by_type = l->type_preference < 126 ? l->type_preference : 126;
  }
  if (l->transport == TORC_CAND_TCP) {
    local = direction_preference(type, l->tcptype) << 13 | (local & 0x1fffu);
  }
  return by_type << 24 | local << 8 | (256u - COMPONENT);
}

uint32_t torc_ice_check_priority(const torc_ice_local *l) {
  return torc_ice_priority(l, TORC_CAND_PRFLX);
}

bool torc_ice_same_ip(const torc_addr *a, const torc_addr *b) {
  return a->family == b->family && memcmp(a->addr, b->addr, a->family == IP4 ? 4 : 16) == 0;
}

/* ---- local ---- */

static bool local_is_valid(const torc_ice_local *l) {
  bool is_tcp = l->transport == TORC_CAND_TCP;
  if ((l->addr.family != IP4 && l->addr.family != IP6) || l->base.family != l->addr.family ||
      l->type < TORC_CAND_HOST || l->type > TORC_CAND_RELAY ||
      (l->transport != TORC_CAND_UDP && !is_tcp)) {
    return false;
  }
  if (!is_tcp) {
    return l->tcptype == TORC_TCPTYPE_NONE && l->socket != 0;
  }
  return l->tcptype == TORC_TCPTYPE_ACTIVE || l->tcptype == TORC_TCPTYPE_SO ||
         (l->tcptype == TORC_TCPTYPE_PASSIVE && l->socket != 0);
}

/* RFC 8445 5.1.1.3: type, address of the base, server, transport; of TCP the direction too, for one
 * may go through where another does not. */
static bool same_foundation(const torc_ice_local *a, const torc_ice_local *b) {
  return a->type == b->type && a->transport == b->transport && a->tcptype == b->tcptype &&
         torc_ice_same_ip(&a->base, &b->base) && a->server.family == b->server.family &&
         (a->server.family == 0 || torc_ice_same_ip(&a->server, &b->server));
}

int torc_ice_own_add(torc_ice_session *s, const torc_ice_local *l) {
  torc_ice_own *o;
  uint8_t foundation = (uint8_t)s->num_owns;
  if (!local_is_valid(l)) {
    s->ice->stats.locals_refused++;
    return TORC_ERR_INVALID;
  }
  for (size_t i = 0; i < s->num_owns; i++) {
    const torc_ice_local *have = &s->owns[i].l;
    if (have->transport == l->transport && have->tcptype == l->tcptype &&
        have->socket == l->socket && torc_stun_addr_eq(&have->addr, &l->addr) &&
        torc_stun_addr_eq(&have->base, &l->base)) {
      s->ice->stats.locals_double++;
      return TORC_ERR_EXISTS;
    }
    if (same_foundation(have, l)) {
      foundation = s->owns[i].foundation;
    }
  }
  if (s->num_owns >= TORC_ICE_LOCAL_MAX) {
    s->ice->stats.locals_refused++;
    return TORC_ERR_LIMIT;
  }
  if (s->num_owns == s->cap_owns) {
    o = torc_realloc(s->ice->mem, s->owns, (s->num_owns + 1) * sizeof *o);
    if (o == NULL) {
      return TORC_ERR_NOMEM;
    }
    s->owns = o;
    s->cap_owns = s->num_owns + 1;
  }
  o = &s->owns[s->num_owns++];
  *o = (torc_ice_own){.l = *l, .foundation = foundation};
  o->priority = torc_ice_priority(l, l->type);
  return 0;
}

static void tell(const torc_ice_own *o, torc_candidate *out) {
  uint8_t n = (uint8_t)(o->foundation + 1);
  *out = (torc_candidate){.component = COMPONENT,
                          .transport = o->l.transport,
                          .priority = o->priority,
                          .addr = o->l.addr,
                          .type = o->l.type,
                          .tcptype = o->l.tcptype};
  out->foundation[0] = (char)('0' + n / 10);
  out->foundation[1] = (char)('0' + n % 10);
  if (o->l.type == TORC_CAND_SRFLX || o->l.type == TORC_CAND_PRFLX) {
    out->raddr = o->l.base;
  } else if (o->l.type == TORC_CAND_RELAY) { /* RFC 8839 5.1: who need not know is not told */
    out->raddr = (torc_addr){.family = o->l.addr.family, .port = PORT_ACTIVE};
  }
}

size_t torc_ice_candidates(const torc_ice *ice, torc_ice_id id,
                           torc_candidate out[TORC_ICE_LOCAL_MAX]) {
  const torc_ice_session *s = torc_ice_find(ice, id);
  size_t num = 0;
  for (size_t i = 0; s != NULL && i < s->num_owns; i++) {
    if (!s->owns[i].is_gone) {
      tell(&s->owns[i], &out[num++]);
    }
  }
  return num;
}

/* The best match: the very socket; among several the one that is itself its base. */
size_t torc_ice_own_find(const torc_ice_session *s, const torc_ice_from *from, bool is_accepted) {
  size_t found = TORC_ICE_NONE;
  for (size_t i = 0; i < s->num_owns; i++) {
    const torc_ice_local *l = &s->owns[i].l;
    bool is_base;
    if (s->owns[i].is_gone || (l->transport == TORC_CAND_TCP) != from->is_tcp ||
        l->base.family != from->local.family) {
      continue;
    }
    if (!from->is_tcp) {
      if (l->socket != from->socket) {
        continue;
      }
    } else if (!is_accepted || l->tcptype == TORC_TCPTYPE_ACTIVE ||
               !torc_stun_addr_eq(&l->base, &from->local)) {
      continue;
    }
    is_base = torc_stun_addr_eq(&l->addr, &l->base);
    if (found == TORC_ICE_NONE || is_base) {
      found = i;
    }
    if (is_base) {
      break;
    }
  }
  return found;
}

/* ---- remote ---- */

static bool is_loopback(const torc_addr *a) {
  static const uint8_t one[16] = {[15] = 1};
  return a->family == IP4 ? a->addr[0] == 127 : memcmp(a->addr, one, 16) == 0;
}

/* Addresses that no peer can have: this network, multicast and above, "any", IPv4 inside IPv6 (of
 * which RFC 8445 5.1.1.1 says no). */
static bool is_no_peer(const torc_addr *a) {
  static const uint8_t zero[16] = {0};
  static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
  if (a->family == IP4) {
    return a->addr[0] == 0 || a->addr[0] >= 224;
  }
  if (a->family != IP6) {
    return true;
  }
  return a->addr[0] == 0xff || memcmp(a->addr, zero, 16) == 0 ||
         memcmp(a->addr, mapped, sizeof mapped) == 0 ||
         (memcmp(a->addr, zero, 12) == 0 && !is_loopback(a));
}

static bool may_try(const torc_ice *ice, const torc_addr *a) {
  return a->port != 0 && !is_no_peer(a) && (ice->cfg.allows_loopback || !is_loopback(a));
}

/* It is not checked: its connection comes, from another port. */
static bool is_active(const torc_candidate *c) {
  return c->component == COMPONENT && c->transport == TORC_CAND_TCP &&
         c->tcptype == TORC_TCPTYPE_ACTIVE && (c->addr.family == IP4 || c->addr.family == IP6);
}

static bool is_usable(const torc_candidate *c) {
  if (c->component != COMPONENT || c->priority == 0 || c->priority > 0x7fffffffu) {
    return false;
  }
  if (c->transport == TORC_CAND_TCP) {
    return c->tcptype == TORC_TCPTYPE_PASSIVE || c->tcptype == TORC_TCPTYPE_SO;
  }
  return c->transport == TORC_CAND_UDP;
}

size_t torc_ice_other_find(const torc_ice_session *s, torc_cand_transport transport,
                           torc_cand_tcptype tcptype, const torc_addr *addr) {
  for (size_t i = 0; i < s->num_others; i++) {
    if (s->others[i].transport == transport && s->others[i].tcptype == tcptype &&
        torc_stun_addr_eq(&s->others[i].addr, addr)) {
      return i;
    }
  }
  return TORC_ICE_NONE;
}

/* TORC_ICE_NONE: the limit, or no memory. Those that were told leave room for what is learnt. */
static size_t put_other(torc_ice_session *s, const torc_ice_other *o) {
  size_t at = s->num_others;
  torc_ice_other *list;
  if (!o->is_learnt && at - s->num_prflx >= TORC_ICE_REMOTE_MAX) {
    s->ice->stats.remotes_beyond++;
    return TORC_ICE_NONE;
  }
  list = torc_realloc(s->ice->mem, s->others, (at + 1) * sizeof *list);
  if (list == NULL) {
    s->ice->stats.no_memory++;
    return TORC_ICE_NONE;
  }
  s->others = list;
  list[at] = *o;
  list[at].foundation = (uint8_t)at;
  for (size_t i = 0; i < at && o->text[0] != '\0'; i++) {
    if (strcmp(list[i].text, o->text) == 0) {
      list[at].foundation = list[i].foundation;
      break;
    }
  }
  s->num_others++;
  return at;
}

static void add_other(torc_ice_session *s, const torc_candidate *c) {
  torc_ice_other o = {
      .addr = c->addr, .priority = c->priority, .transport = c->transport, .type = c->type};
  size_t have;
  o.tcptype = c->transport == TORC_CAND_TCP ? c->tcptype : TORC_TCPTYPE_NONE;
  if (!may_try(s->ice, &c->addr)) {
    s->ice->stats.remotes_refused++;
    return;
  }
  have = torc_ice_other_find(s, c->transport, o.tcptype, &c->addr);
  if (have != TORC_ICE_NONE) { /* RFC 8445 5.1.3: the better of the two */
    s->ice->stats.remotes_double++;
    if (c->priority > s->others[have].priority && s->num_pairs == 0) {
      s->others[have].priority = c->priority;
      s->others[have].type = c->type;
    }
    return;
  }
  memcpy(o.text, c->foundation, sizeof o.text - 1);
  (void)put_other(s, &o);
}

/* Two NATs that take a new port for each destination and let everything in make each check a new
 * candidate for the other side: that must not use up what the other local candidates need. */
static bool has_room_for_prflx(const torc_ice_session *s, size_t own) {
  uint32_t num = 0;
  for (size_t i = 0; i < s->num_others; i++) {
    num += s->others[i].is_learnt && s->others[i].own == own ? 1 : 0;
  }
  return num < PRFLX_OF_OWN && s->num_prflx < PRFLX_MAX;
}

size_t torc_ice_other_prflx(torc_ice_session *s, const torc_ice_from *from, size_t own,
                            torc_cand_tcptype tcptype, uint32_t priority) {
  torc_ice_other o = {.addr = from->remote,
                      .priority = priority,
                      .transport = from->is_tcp ? TORC_CAND_TCP : TORC_CAND_UDP,
                      .type = TORC_CAND_PRFLX,
                      .tcptype = tcptype,
                      .own = (uint8_t)own,
                      .is_learnt = true};
  size_t at;
  if (from->remote.port == 0 || is_no_peer(&from->remote) || !has_room_for_prflx(s, own)) {
    s->ice->stats.prflx_refused++;
    return TORC_ICE_NONE;
  }
  at = put_other(s, &o);
  if (at != TORC_ICE_NONE) {
    s->num_prflx++;
    s->ice->stats.prflx_remote++;
  }
  return at;
}

/* ---- names ---- */

static char lower(uint8_t c) {
  return (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
}

/* One label of letters, digits and hyphens, and ".local": nothing else is looked up, by mDNS only.
 */
static bool is_local_name(torc_slice host) {
  static const char tail[] = ".local";
  const size_t tail_len = sizeof tail - 1;
  size_t label;
  if (host.len <= tail_len || host.len > NAME_MAX_LEN) {
    return false;
  }
  label = host.len - tail_len;
  for (size_t i = 0; i < tail_len; i++) {
    if (lower(host.p[label + i]) != tail[i]) {
      return false;
    }
  }
  for (size_t i = 0; i < label; i++) {
    char c = lower(host.p[i]);
    if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-')) {
      return false;
    }
  }
  return label <= LABEL_MAX;
}

static void ask(torc_ice_session *s, const torc_candidate *c) {
  torc_ice *ice = s->ice;
  torc_ice_name *name;
  if (!is_local_name(c->host) || c->addr.port == 0) {
    ice->stats.names_refused++;
    return;
  }
  name = torc_calloc(ice->mem, 1, sizeof *name + c->host.len);
  if (name == NULL) {
    ice->stats.no_memory++;
    return;
  }
  name->token = ice->next_token++;
  name->session = s;
  name->candidate = *c;
  memcpy(name->text, c->host.p, c->host.len);
  name->candidate.host = torc_slice_of(name->text, c->host.len);
  torc_list_init(&name->link);
  torc_list_init(&name->node.link);
  if (torc_map_put(&ice->names, name) != 0) {
    ice->stats.no_memory++;
    torc_free(ice->mem, name);
    return;
  }
  torc_list_push_back(&s->names, &name->link);
  ice->stats.names_asked++;
  torc_ice_queue(ice, &name->node, TORC_ICE_NODE_RESOLVE);
}

void torc_ice_name_free(torc_ice_name *name) {
  torc_ice *ice = name->session->ice;
  (void)torc_map_del(&ice->names, &name->token);
  torc_list_remove(&name->link);
  torc_list_remove(&name->node.link);
  torc_free(ice->mem, name);
}

void torc_ice_others_add(torc_ice_session *s, const torc_candidate *list, size_t num) {
  size_t num_names = 0;
  for (size_t i = 0; i < num; i++) {
    const torc_candidate *c = &list[i];
    if (is_active(c)) {
      s->has_active[c->addr.family] = true;
    } else if (!is_usable(c)) {
      s->ice->stats.remotes_refused++;
    } else if (s->num_others - s->num_prflx + num_names >= TORC_ICE_REMOTE_MAX) {
      s->ice->stats.remotes_beyond++;
    } else if (c->addr.family != 0) {
      add_other(s, c);
    } else {
      num_names++;
      ask(s, c);
    }
  }
}

void torc_ice_resolved(torc_ice *ice, torc_token token, const torc_addr *addrs, size_t num,
                       torc_time now) {
  torc_ice_name *name = torc_map_get(&ice->names, &token);
  torc_ice_session *s;
  size_t before;
  torc_ice_advance(ice, now);
  if (name == NULL) {
    return;
  }
  s = name->session;
  before = s->num_others;
  if (num == 0) {
    ice->stats.names_unknown++;
  }
  for (uint8_t family = IP4; family <= IP6; family++) { /* one of each */
    for (size_t i = 0; i < num; i++) {
      if (addrs[i].family == family) {
        torc_candidate c = name->candidate;
        c.addr = addrs[i];
        c.addr.port = name->candidate.addr.port;
        add_other(s, &c);
        break;
      }
    }
  }
  torc_ice_name_free(name);
  if (s->state == TORC_ICE_RUNNING) {
    torc_ice_pairs_form(s, 0, before);
    torc_ice_pairs_thaw(s);
    torc_ice_look_for_end(s);
  }
  torc_ice_pump(ice);
}

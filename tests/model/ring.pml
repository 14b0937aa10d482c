/* Join, leave, failure and stabilisation of Torc's ring: every order in which messages, timers and
 * events from outside can come, for a few peers. A peer's step on a message or timer is the product's
 * own code (src/overlay/topology), one atomic action; links, routing of PING and CONNECT, copies of
 * the value and the clock are in ring_model.c. docs/model.md says what is assumed.
 * SPDX-License-Identifier: Apache-2.0 */

c_decl {
\#include "ring_model.h"
}
c_track "&model" "sizeof(model)" "UnMatched"
c_state "unsigned long long key[2]" "Global" /* names the state of `model` */
c_state "const char *wrong" "Hidden"

#ifndef MEMBERS
#define MEMBERS 7 /* peers 0, 1, 2 */
#endif
#ifndef JOINERS
#define JOINERS 8 /* peer 3 */
#endif
#ifndef VICTIMS
#define VICTIMS 255 /* who may die or leave */
#endif
#ifndef KILLS
#define KILLS 0
#endif
#ifndef LEAVES
#define LEAVES 0
#endif
#ifndef WRITES
#define WRITES 0
#endif

byte joiners = JOINERS; /* who may still join */
byte kills = KILLS;
byte leaves = LEAVES;
byte writes = WRITES;

#define STEP(what) c_code { what; wrong = model_step(now.key); }; assert(c_expr { !wrong })

/* One message at the head of its link arrives. */
#define MESSAGE(a, b) :: d_step { c_expr { model.may.deliver[a][b] } -> STEP(model_deliver(a, b)) }
/* A PING is answered, a CONNECT ends, a refused copy is repeated, a lost peer looks for a ring. */
#define OP(i) :: d_step { c_expr { model.may.act[i] } -> STEP(model_do(i)) }
/* The UPDATEs gathered for some milliseconds go out. */
#define FLUSH(a) :: d_step { c_expr { model.may.flush[a] } -> STEP(model_flush(a)) }

#define JOIN(a) :: d_step { c_expr { now.joiners >> a & 1 && model.may.join[a] } -> \
  joiners = joiners & ~(1 << a); STEP(model_join(a)) }
#define LEAVE(a) :: d_step { c_expr { VICTIMS >> a & 1 && now.leaves > 0 && model.may.leave[a] } -> \
  leaves--; STEP(model_leave(a)) }
#define DIE(a) :: d_step { c_expr { VICTIMS >> a & 1 && now.kills > 0 && model.may.die[a] } -> \
  kills--; STEP(model_die(a, false)) }
#define VANISH(a) :: d_step { c_expr { VICTIMS >> a & 1 && now.kills > 0 && model.may.die[a] } -> \
  kills--; STEP(model_die(a, true)) }
#define WRITE(a) :: d_step { c_expr { now.writes > 0 && model.may.write[a] } -> \
  writes--; STEP(model_write_value(a)) }

#if PEERS == 3
#define EACH(X) X(0) X(1) X(2)
#define ROW(a) MESSAGE(a, 0) MESSAGE(a, 1) MESSAGE(a, 2)
#elif PEERS == 4
#define EACH(X) X(0) X(1) X(2) X(3)
#define ROW(a) MESSAGE(a, 0) MESSAGE(a, 1) MESSAGE(a, 2) MESSAGE(a, 3)
#elif PEERS == 5
#define EACH(X) X(0) X(1) X(2) X(3) X(4)
#define ROW(a) MESSAGE(a, 0) MESSAGE(a, 1) MESSAGE(a, 2) MESSAGE(a, 3) MESSAGE(a, 4)
#else
#define EACH(X) X(0) X(1) X(2) X(3) X(4) X(5)
#define ROW(a) MESSAGE(a, 0) MESSAGE(a, 1) MESSAGE(a, 2) MESSAGE(a, 3) MESSAGE(a, 4) MESSAGE(a, 5)
#endif

active proctype network() {
end:
  do
  EACH(ROW)
  EACH(FLUSH)
  OP(0) OP(1) OP(2) OP(3) OP(4) OP(5) OP(6) OP(7) OP(8) OP(9) OP(10) OP(11)
  od
}

active proctype clock() {
end:
  do
  :: d_step { c_expr { model.may.tick } -> STEP(model_tick()) }
  od
}

active proctype environment() {
  d_step { STEP(model_start(MEMBERS)) }
end:
  do
  EACH(JOIN)
  EACH(LEAVE)
  EACH(DIE)
  EACH(VANISH)
  EACH(WRITE)
  od
}

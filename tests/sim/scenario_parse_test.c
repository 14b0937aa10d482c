/* The language of scenarios: what it takes, and what it says about what it does not take.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/slice.h"
#include "sim/scenario.h"
#include "torc_test.h"

static int parse(torc_scenario *s, const char *text, const torc_override *o, size_t num, char *err,
                 size_t cap) {
  return torc_scenario_parse(s, "t.sim", torc_slice_str(text), o, num, err, cap);
}

static void test_whole_file(void **state) {
  torc_scenario s;
  char err[700];
  (void)state;
  static const char text[] =
      "# what stands behind a hash is not read\n"
      "about a ring of\tseveral\n"
      "param session 30m\n"
      "seed 7\npeers 2k\nalgorithm chord-128-2-24\nlatency plane 80ms 20ms\n"
      "jitter 5%\nloss 0.1%\nbandwidth 10M\nnat 0.25\nkeepalive 500ms\ninterval 1m\n"
      "at 0s join peers doubling=4s from=8\n"
      "after 1.5s vanish 25% over=2s   # CHD-04\n"
      "at 1h churn session=pareto mean=$session shape=1.5 ends=vanish for=2h\n"
      "at 5m link n1..n8 loss=100% for=30s\n"
      "at 5m hostile 10 does=drops,stale\n"
      "after 0 lookups 100/s for=1m\n"
      "at 300s expect ring=consistent lookup_ok>=0.999 hops_mean<=4.5 whole<60s within=10s\n";
  int rc = parse(&s, text, NULL, 0, err, sizeof err);
  if (rc != 0) {
    fail_msg("%s", err);
  }
  assert_string_equal(s.about, "a ring of several");
  assert_int_equal(s.config.seed, 7);
  assert_int_equal(s.peers, 2000);
  assert_string_equal(s.algorithm, "chord-128-2-24");
  assert_int_equal(s.config.latency_kind, TORC_SIM_PLANE);
  assert_int_equal(s.config.latency, 80000);
  assert_int_equal(s.config.latency_min, 20000);
  assert_int_equal(s.config.jitter_permille, 50);
  assert_int_equal(s.config.loss_ppm, 1000);
  assert_int_equal(s.config.bits_per_second, 10000000);
  assert_int_equal(s.config.closed_permille, 250);
  assert_int_equal(s.config.keepalive, 500000);
  assert_int_equal(s.num_actions, 7);
  assert_int_equal(s.actions[0].verb, TORC_VERB_JOIN);
  assert_int_equal(s.actions[0].who.number, 2000);
  assert_int_equal(s.actions[0].keys[TORC_KEY_DOUBLING], 4000000);
  assert_true(s.actions[1].is_after);
  assert_int_equal(s.actions[1].time, 1500000);
  assert_int_equal(s.actions[1].who.kind, TORC_WHO_SHARE);
  assert_int_equal(s.actions[1].who.number, 250000);
  assert_int_equal(s.actions[2].keys[TORC_KEY_MEAN], TORC_SEC(1800));
  assert_int_equal(s.actions[2].keys[TORC_KEY_SHAPE], 1500);
  assert_int_equal(s.actions[2].keys[TORC_KEY_SESSION], TORC_SESSION_PARETO);
  assert_int_equal(s.actions[3].who.first, 1);
  assert_int_equal(s.actions[3].who.last, 8);
  assert_int_equal(s.actions[3].keys[TORC_KEY_LOSS], 1000000);
  assert_int_equal(s.actions[4].keys[TORC_KEY_DOES], TORC_SIM_DROPS | TORC_SIM_STALE);
  assert_int_equal(s.actions[5].rate, 100000);
  assert_int_equal(s.actions[6].num_expects, 4);
  assert_int_equal(s.actions[6].expects[1].metric, TORC_METRIC_SUCCESS);
  assert_true(s.actions[6].expects[1].value > 0.9989 && s.actions[6].expects[1].value < 0.9991);
  assert_int_equal(s.actions[6].expects[3].compare, TORC_BELOW);
  assert_int_equal(s.actions[6].keys[TORC_KEY_WITHIN], TORC_SEC(10));
  assert_int_equal(s.actions[6].line, 20);
  torc_scenario_clear(&s);
}

static void test_overrides(void **state) {
  torc_scenario s;
  char err[700];
  torc_override o[] = {{"peers", "50"}, {"session", "10m"}, {"nat", "10%"}, {"peers", "60"}};
  (void)state;
  static const char text[] =
      "param session 30m\npeers 10\nat 0s join peers\nat 1s churn mean=$session\n";
  assert_int_equal(parse(&s, text, o, 4, err, sizeof err), 0);
  assert_int_equal(s.actions[0].who.number, 60); /* the last word */
  assert_int_equal(s.actions[1].keys[TORC_KEY_MEAN], TORC_SEC(600));
  assert_int_equal(s.config.closed_permille, 100);
  torc_scenario_clear(&s);
}

/* `expected`: how the complaint begins; `allowed`: what it names as right. */
static const struct wrong {
  const char *name, *text, *expected, *allowed;
} wrongs[] = {
    {"no action", "peers 10\n", "t.sim:1: ''", "at 0s join peers"},
    {"unknown setting", "pears 10\n", "t.sim:1: 'pears'", "algorithm"},
    {"setting without a value", "peers\n", "t.sim:1: 'peers'", "NUMBER"},
    {"setting that is no number", "\npeers ten\n", "t.sim:2: 'ten'", "1000 or 10k"},
    {"number with a remainder", "peers 1.5\n", "t.sim:1: '1.5'", "a number"},
    {"number too small", "peers 0\n", "t.sim:1: '0'", "1 to 10000000"},
    {"number too great", "peers 1G\n", "t.sim:1: '1G'", "1 to 10000000"},
    {"number beyond 64 bits", "seed 99999999999999999999999\n", "t.sim:1: '999", "a number"},
    {"two values", "peers 1 2\n", "t.sim:1: '2'", "nothing may follow"},
    {"duration without unit", "keepalive 5q\n", "t.sim:1: '5q'", "30s"},
    {"duration too short", "keepalive 1us\n", "t.sim:1: '1us'", "1ms to"},
    {"share above all", "loss 101%\n", "t.sim:1: '101%'", "5% or 0.05"},
    {"latency of no kind", "latency 20ms\n", "t.sim:1: '20ms'", "fixed, plane or matrix"},
    {"latency without length", "latency plane\n", "t.sim:1: 'plane'", "20ms"},
    {"latency of zero", "latency fixed 0s\n", "t.sim:1: '0s'", "10us to 10s"},
    {"least latency", "latency plane 20ms x\n", "t.sim:1: 'x'", "shortest latency"},
    {"latency with more", "latency fixed 20ms 1ms\n", "t.sim:1: '1ms'", "nothing may follow"},
    {"setting behind an action", "at 0s join 1\npeers 5\n", "t.sim:2: 'peers'", "at TIME"},
    {"parameter without value", "param x\n", "t.sim:1: 'param'", "NAME VALUE"},
    {"parameter named as a setting", "param loss 5\n", "t.sim:1: 'loss'", "choose another"},
    {"parameter in capitals", "param X 5\n", "t.sim:1: 'X'", "small letters"},
    {"parameter with more", "param x 5 6\n", "t.sim:1: '6'", "nothing may follow"},
    {"parameter that is not there", "at 0s join $n\n", "t.sim:1: '$n", "param NAME VALUE"},
    {"action without time", "at\n", "t.sim:1: 'at'", "at 90s"},
    {"action with a wrong time", "at noon join 1\n", "t.sim:1: 'noon'", "at 90s"},
    {"time and nothing more", "after 5s\n", "t.sim:1: '5s'", "what happens then"},
    {"unknown verb", "at 0s jion 5\n", "t.sim:1: 'jion'", "join, leave, crash"},
    {"join of nobody", "at 0s join\n", "t.sim:1: 'join'", "how many"},
    {"join of words", "at 0s join some\n", "t.sim:1: 'some'", "'peers'"},
    {"vanish of words", "at 0s vanish some\n", "t.sim:1: 'some'", "n0..n7"},
    {"share of more than all", "at 0s vanish 120%\n", "t.sim:1: '120%'", "at most 100%"},
    {"range turned round", "at 0s crash n8..n1\n", "t.sim:1: 'n8..n1'", "behind the last"},
    {"range of nothing", "at 0s crash n\n", "t.sim:1: 'n'", "n0..n15"},
    {"key without equals", "at 0s join 5 fast\n", "t.sim:1: 'fast'", "key=value"},
    {"key of another verb", "at 0s join 5 mean=5s\n", "t.sim:1: 'mean=5s'", "over, doubling"},
    {"key twice", "at 0s join 5 over=5s over=6s\n", "t.sim:1: 'over=6s'", "there twice"},
    {"key with a wrong value", "at 0s join 5 over=x\n", "t.sim:1: 'x'", "duration"},
    {"key of an action without keys", "at 0s heal now=1\n", "t.sim:1: 'now=1'", "nothing may"},
    {"two paces", "at 0s join 5 over=5s rate=1/s\n", "t.sim:1: 'join'", "only one of"},
    {"from without doubling", "at 0s join 5 from=5\n", "t.sim:1: 'join'", "with doubling"},
    {"needed key missing", "at 0s churn for=1h\n", "t.sim:1: 'churn'", "mean= is missing"},
    {"Pareto without shape", "at 0s churn session=pareto mean=1h\n", "t.sim:1: 'churn'", "shape="},
    {"Pareto without a mean", "at 0s churn session=pareto mean=1h shape=1\n", "t.sim:1: 'churn'",
     "above 1"},
    {"session of no kind", "at 0s churn session=long mean=1h\n", "t.sim:1: 'long'",
     "exponential, pareto, weibull"},
    {"behaviour of no kind", "at 0s hostile 5 does=drops,lies\n", "t.sim:1: 'drops,lies'",
     "misroutes"},
    {"rate missing", "at 0s lookups for=5s\n", "t.sim:1: 'for=5s'", "100/s"},
    {"rate without unit", "at 0s lookups 5\n", "t.sim:1: '5'", "100/s"},
    {"rate of nothing", "at 0s lookups 0/s\n", "t.sim:1: '0/s'", "100/s"},
    {"nothing expected", "at 0s expect\n", "t.sim:1: 'expect'", "ring=consistent"},
    {"unknown measure", "at 0s expect joy>=5\n", "t.sim:1: 'joy>=5'", "hops_mean"},
    {"no comparison", "at 0s expect lost\n", "t.sim:1: 'lost'", "<=, >=, =, < or >"},
    {"ring of another kind", "at 0s expect ring=round\n", "t.sim:1: 'ring=round'",
     "ring=consistent"},
    {"share expected", "at 0s expect success>=5\n", "t.sim:1: 'success>=5'", "99.9%"},
    {"number expected", "at 0s expect lost<=few\n", "t.sim:1: 'lost<=few'", "a number"},
    {"duration expected", "at 0s expect whole<=soon\n", "t.sim:1: 'whole<=soon'", "a duration"},
};

static void test_wrong(void **state) {
  const struct wrong *w = *state;
  torc_scenario s;
  char err[700] = "";
  assert_int_equal(parse(&s, w->text, NULL, 0, err, sizeof err), TORC_ERR_CONFIG);
  if (strncmp(err, w->expected, strlen(w->expected)) != 0 || strstr(err, w->allowed) == NULL) {
    fail_msg("%s: \"%s\" does not begin with \"%s\" or does not name \"%s\"", w->name, err,
             w->expected, w->allowed);
  }
}

static void test_wrong_overrides(void **state) {
  torc_scenario s;
  char err[700] = "";
  torc_override unknown = {"pears", "5"};
  torc_override bad = {"peers", "five"};
  (void)state;
  assert_int_equal(parse(&s, "at 0s join peers\n", &unknown, 1, err, sizeof err), TORC_ERR_CONFIG);
  assert_non_null(strstr(err, "--pears"));
  assert_int_equal(parse(&s, "at 0s join peers\n", &bad, 1, err, sizeof err), TORC_ERR_CONFIG);
  assert_non_null(strstr(err, "--peers 'five'"));
}

static void test_long_lines(void **state) {
  torc_scenario s;
  char err[700] = "";
  char text[2000];
  (void)state;
  memset(text, 'x', sizeof text);
  text[sizeof text - 1] = '\0';
  assert_int_equal(parse(&s, text, NULL, 0, err, sizeof err), TORC_ERR_CONFIG);
  assert_non_null(strstr(err, "too long"));
  for (size_t i = 0; i < 200; i += 2) {
    memcpy(text + i, "x ", 2);
  }
  text[200] = '\0';
  assert_int_equal(parse(&s, text, NULL, 0, err, sizeof err), TORC_ERR_CONFIG);
  assert_non_null(strstr(err, "too many words"));
}

/* Every cut and every changed byte of a good file is read or refused, never worse. */
static void test_mangled(void **state) {
  static const char good[] =
      "param d 4s\nlatency plane 80ms 20ms\nat 0s join 5 doubling=$d\n"
      "after 5s expect ring=consistent lost<=1 within=5s\n";
  char text[sizeof good];
  char err[700];
  (void)state;
  for (size_t i = 0; i < sizeof good - 1; i++) {
    for (unsigned bit = 0; bit < 8; bit++) {
      torc_scenario s;
      memcpy(text, good, sizeof good);
      text[i] = (char)((unsigned char)text[i] ^ (1u << bit));
      int rc = torc_scenario_parse(&s, "t", torc_slice_of(text, sizeof good - 1), NULL, 0, err,
                                   sizeof err);
      assert_true(rc == 0 || rc == TORC_ERR_CONFIG);
      if (rc == 0) {
        torc_scenario_clear(&s);
      }
      rc = torc_scenario_parse(&s, "t", torc_slice_of(good, i), NULL, 0, err, sizeof err);
      assert_true(rc == 0 || rc == TORC_ERR_CONFIG);
      if (rc == 0) {
        torc_scenario_clear(&s);
      }
    }
  }
}

static void test_words(void **state) {
  uint64_t v = 0;
  (void)state;
  assert_int_equal(torc_word_number("1.5k", &v), 0);
  assert_int_equal(v, 1500);
  assert_int_equal(torc_word_duration("0.5h", &v), 0);
  assert_int_equal(v, TORC_SEC(1800));
  assert_int_equal(torc_word_share("0.05%", &v), 0);
  assert_int_equal(v, 500);
  assert_int_equal(torc_word_share("1", &v), 0);
  assert_int_equal(v, 1000000);
  assert_int_equal(torc_word_rate("6/min", &v), 0);
  assert_int_equal(v, 100);
  assert_int_equal(torc_word_rate("0.5/s", &v), 0);
  assert_int_equal(v, 500);
  assert_int_equal(torc_word_duration("-1s", &v), TORC_ERR_FORMAT);
  assert_int_equal(torc_word_duration("1.s", &v), TORC_ERR_FORMAT);
  assert_int_equal(torc_word_number("", &v), TORC_ERR_FORMAT);
}

int main(void) {
  struct CMUnitTest tests[8 + sizeof wrongs / sizeof wrongs[0]] = {
      TORC_TEST("a whole scenario is read", test_whole_file),
      TORC_TEST("the command line has the last word", test_overrides),
      TORC_TEST("wrong words of the command line are named", test_wrong_overrides),
      TORC_TEST("long lines are refused", test_long_lines),
      TORC_TEST("mangled scenarios are read or refused", test_mangled),
      TORC_TEST("numbers with units", test_words),
  };
  static char names[sizeof wrongs / sizeof wrongs[0]][100];
  size_t num = 6;
  for (size_t i = 0; i < sizeof wrongs / sizeof wrongs[0]; i++) {
    snprintf(names[i], sizeof names[i], "refuses: %s", wrongs[i].name);
    tests[num++] = (struct CMUnitTest){
        .name = names[i], .test_func = test_wrong, .initial_state = (void *)(uintptr_t)&wrongs[i]};
  }
  return _cmocka_run_group_tests(__FILE__, tests, num, NULL, NULL);
}

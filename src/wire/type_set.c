/* Duplicate type-ids, by heap sort: in place, without recursion, whatever order a peer chooses.
 * SPDX-License-Identifier: Apache-2.0 */
#include "wire/type_set.h"

void torc_type_set_init(torc_type_set *set) {
  set->num = 0;
}

int torc_type_set_add(torc_type_set *set, torc_type_id type) {
  if (set->num >= TORC_TYPE_SET_MAX) {
    return TORC_ERR_LIMIT;
  }
  set->ids[set->num++] = type;
  return 0;
}

/* Sinks ids[i] until no child within `num` is larger. */
static void sink(torc_type_id *ids, size_t i, size_t num) {
  torc_type_id moving = ids[i];
  for (size_t child = 2 * i + 1; child < num; child = 2 * i + 1) {
    if (child + 1 < num && ids[child + 1] > ids[child]) {
      child++;
    }
    if (ids[child] <= moving) {
      break;
    }
    ids[i] = ids[child];
    i = child;
  }
  ids[i] = moving;
}

static void sort(torc_type_id *ids, size_t num) {
  for (size_t i = num / 2; i > 0; i--) {
    sink(ids, i - 1, num);
  }
  for (size_t last = num; last > 1; last--) {
    torc_type_id largest = ids[0];
    ids[0] = ids[last - 1];
    ids[last - 1] = largest;
    sink(ids, 0, last - 1);
  }
}

bool torc_type_set_has_twice(torc_type_set *set) {
  sort(set->ids, set->num);
  for (size_t i = 1; i < set->num; i++) {
    if (set->ids[i] == set->ids[i - 1]) {
      return true;
    }
  }
  return false;
}

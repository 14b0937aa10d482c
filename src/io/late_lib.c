/* SPDX-License-Identifier: Apache-2.0 */
#include "io/late_lib.h"

#include <dlfcn.h>
#include <string.h>

#include "io/err.h"

int torc_late_lib_open(const char *soname, const torc_late_symbol *symbols, size_t num, void *table,
                       char *err, size_t err_cap) {
  /* It stays: such libraries keep per-thread state, which unloading would leave dangling. */
  void *lib = dlopen(soname, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (lib == NULL) {
    return torc_fail(TORC_ERR_IO, err, err_cap, "the library %s is not installed", soname);
  }
  int rc = 0;
  for (size_t i = 0; rc == 0 && i < num; i++) {
    void *address = dlsym(lib, symbols[i].name);
    if (address == NULL) {
      rc =
          torc_fail(TORC_ERR_IO, err, err_cap, "the library %s has no %s", soname, symbols[i].name);
    }
    memcpy((char *)table + symbols[i].offset, &address, sizeof address);
  }
  (void)dlclose(lib);
  return rc;
}

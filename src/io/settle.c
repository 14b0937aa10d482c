/* SPDX-License-Identifier: Apache-2.0 */
#include "io/settle.h"

#include <link.h>
#include <malloc.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

/* Segments that cannot be written are as in their file; the others, and what the loader has
 * relocated, are this process's own and stay. */
static int let_go(struct dl_phdr_info *object, size_t size, void *ctx) {
  uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
  (void)size;
  (void)ctx;
  for (int i = 0; i < object->dlpi_phnum; i++) {
    const ElfW(Phdr) *segment = &object->dlpi_phdr[i];
    if (segment->p_type != PT_LOAD || (segment->p_flags & PF_W) != 0) {
      continue;
    }
    uintptr_t from = (object->dlpi_addr + segment->p_vaddr) & ~(page - 1);
    uintptr_t to =
        (object->dlpi_addr + segment->p_vaddr + segment->p_memsz + page - 1) & ~(page - 1);
    /* Refused where pages are locked in memory, which is then what was wanted. */
    (void)madvise((void *)from, to - from, MADV_DONTNEED);
  }
  return 0;
}

void torc_settle(void) {
  (void)malloc_trim(0);
  (void)dl_iterate_phdr(let_go, NULL);
}

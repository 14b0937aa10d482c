/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_IO_SETTLE_H
#define TORC_IO_SETTLE_H

/* For a program that has started and will now be idle most of the time: gives back free heap, and
 * the pages of program text and constants that have been mapped so far. The kernel maps sixteen
 * pages around each one touched, so most of them were never used, and many others only while
 * starting; what is needed comes back from the page cache, page by page. Costs some hundred page
 * faults, once. */
void torc_settle(void);

#endif

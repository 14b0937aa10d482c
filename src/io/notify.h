/* Tells the service manager about a daemon: sd_notify(3) as one datagram, without its library.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_IO_NOTIFY_H
#define TORC_IO_NOTIFY_H

/* Sends `text` ("READY=1", "STATUS=..."; lines separated by newlines) to the socket of
 * NOTIFY_SOCKET. Does nothing if there is none. */
void torc_notify_service(const char *text);

#endif

/* The device a host sees of its WAN link.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_NETLAB_WAN_TUN_H
#define TORC_NETLAB_WAN_TUN_H

#define WAN_TUN_NAME "wan0"

/* Makes a TUN device "wan0" in the network namespace bound at `path`; it lives as long as *fd,
 * which does not block. NULL, or why not. */
const char *wan_tun_open(const char *path, int *fd);

#endif

/* Enters the namespace for as long as it takes to make the device there.
 * SPDX-License-Identifier: Apache-2.0 */
#include "wan_tun.h"

#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static const char *make_device(int *fd) {
  struct ifreq request;
  int device = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (device < 0) {
    return "cannot open /dev/net/tun";
  }
  memset(&request, 0, sizeof request);
  memcpy(request.ifr_name, WAN_TUN_NAME, sizeof WAN_TUN_NAME);
  request.ifr_flags = IFF_TUN | IFF_NO_PI;
  if (ioctl(device, TUNSETIFF, &request) != 0) {
    (void)close(device);
    return "cannot make a TUN device";
  }
  *fd = device;
  return NULL;
}

const char *wan_tun_open(const char *path, int *fd) {
  const char *why = "cannot enter the network namespace";
  int own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
  int other = open(path, O_RDONLY | O_CLOEXEC);
  if (own >= 0 && other >= 0 && setns(other, CLONE_NEWNET) == 0) {
    why = make_device(fd);
    if (setns(own, CLONE_NEWNET) != 0) {
      why = "cannot leave the network namespace";
    }
  }
  if (own >= 0) {
    (void)close(own);
  }
  if (other >= 0) {
    (void)close(other);
  }
  return why;
}

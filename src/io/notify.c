/* SPDX-License-Identifier: Apache-2.0 */
#include "io/notify.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

void torc_notify_service(const char *text) {
  struct sockaddr_un to = {.sun_family = AF_UNIX};
  const char *path = getenv("NOTIFY_SOCKET");
  size_t len = path == NULL ? 0 : strlen(path);
  if (len < 2 || len >= sizeof to.sun_path || (path[0] != '/' && path[0] != '@')) {
    return;
  }
  memcpy(to.sun_path, path, len);
  if (to.sun_path[0] == '@') {
    to.sun_path[0] = '\0'; /* the abstract name space */
  }
  int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) {
    return;
  }
  socklen_t to_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
  (void)sendto(fd, text, strlen(text), MSG_NOSIGNAL, (struct sockaddr *)&to, to_len);
  (void)close(fd);
}

/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SERVE_LISTEN_ADDR_H
#define SERVE_LISTEN_ADDR_H

/* Where to listen, as options say it. */
#include <sys/socket.h>

/* Family AF_UNSPEC: nowhere ("off"). */
struct listen_addr {
	struct sockaddr_storage addr;
	socklen_t len;
};

/* "127.0.0.1:80", "[::1]:80", ":80" (all addresses, both families), "off". 0 or -EINVAL. */
int listen_addr_parse(const char *text, struct listen_addr *ret_addr);

#endif

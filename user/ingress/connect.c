// SPDX-License-Identifier: GPL-2.0-only
/* Makes sockets towards endpoints. */
/* Must not know what is sent on them. */
#include "ingress/connect.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ingress/settings.h"
#include "ingress/upstream.h"
#include "ingress/vanish.h"

static socklen_t fill(const struct origin *origin, struct sockaddr_storage *to)
{
	struct sockaddr_in *in4 = (struct sockaddr_in *)to;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)to;

	memset(to, 0, sizeof(*to));
	if (origin->addr.family == 4) {
		in4->sin_family = AF_INET;
		in4->sin_port = htons(origin->port);
		memcpy(&in4->sin_addr, origin->addr.b, 4);
		return sizeof(*in4);
	}
	in6->sin6_family = AF_INET6;
	in6->sin6_port = htons(origin->port);
	memcpy(&in6->sin6_addr, origin->addr.b, 16);
	return sizeof(*in6);
}

int connect_start(const struct origin *origin, const struct settings *settings, int *ret_fd)
{
	struct sockaddr_storage to;
	socklen_t len = fill(origin, &to);
	int fd = socket(to.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int code, on = 1;

	if (fd < 0)
		return -errno;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	/* An endpoint that works for minutes without a byte may have lost its node. */
	vanish_set_options(fd, settings->vanished_ns);
	if (connect(fd, (struct sockaddr *)&to, len) == 0) {
		*ret_fd = fd;
		return 0;
	}
	code = errno;
	if (code == EINPROGRESS) {
		*ret_fd = fd;
		return -EINPROGRESS;
	}
	close(fd);
	return -code;
}

int connect_result(int fd)
{
	int error = 0;
	socklen_t len = sizeof(error);

	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		return -errno;
	return -error;
}

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

#include "base/clock.h"
#include "ingress/settings.h"
#include "ingress/upstream.h"

#define PROBE_FIRST_S 10
#define PROBE_EACH_S  4

static void set(int fd, int level, int option, int value)
{
	setsockopt(fd, level, option, &value, sizeof(value));
}

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
	uint64_t vanished_ms = settings->vanished_ns / CLOCK_NS_PER_MS;
	struct sockaddr_storage to;
	socklen_t len = fill(origin, &to);
	int fd = socket(to.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int code;

	if (fd < 0)
		return -errno;
	set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	if (vanished_ms) { /* an endpoint that works for minutes without a byte may also have lost its node */
		set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
		set(fd, IPPROTO_TCP, TCP_KEEPIDLE, PROBE_FIRST_S);
		set(fd, IPPROTO_TCP, TCP_KEEPINTVL, PROBE_EACH_S);
		set(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, (int)vanished_ms);
	}
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

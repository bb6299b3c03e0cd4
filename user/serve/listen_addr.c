// SPDX-License-Identifier: GPL-2.0-only
/*
 * Text to a socket address.
 * Must not know who listens there.
 */
#include "serve/listen_addr.h"

#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/address.h"

static int parse_port(const char *text, uint16_t *ret_port)
{
	unsigned long port;
	char *end;

	if (!isdigit((unsigned char)*text))
		return -EINVAL;
	port = strtoul(text, &end, 10);
	if (*end || port == 0 || port > 65535)
		return -EINVAL;
	*ret_port = (uint16_t)port;
	return 0;
}

static void fill_sockaddr(const struct address *host, uint16_t port, struct listen_addr *ret_addr)
{
	struct sockaddr_in *in4 = (struct sockaddr_in *)&ret_addr->addr;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&ret_addr->addr;

	memset(ret_addr, 0, sizeof(*ret_addr));
	if (host->family == 4) {
		in4->sin_family = AF_INET;
		in4->sin_port = htons(port);
		memcpy(&in4->sin_addr, host->b, 4);
		ret_addr->len = sizeof(*in4);
	} else { /* family 0: all addresses, by a socket of both families */
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons(port);
		memcpy(&in6->sin6_addr, host->b, 16);
		ret_addr->len = sizeof(*in6);
	}
}

int listen_addr_parse(const char *text, struct listen_addr *ret_addr)
{
	struct address host = { 0 };
	const char *colon = strrchr(text, ':');
	size_t len = colon ? (size_t)(colon - text) : 0;
	char name[ADDRESS_TEXT_LEN + 2];
	uint16_t port;

	if (strcmp(text, "off") == 0) {
		memset(ret_addr, 0, sizeof(*ret_addr));
		return 0;
	}
	if (!colon || parse_port(colon + 1, &port) < 0 || len >= sizeof(name))
		return -EINVAL;
	if (len && *text == '[') {
		if (text[len - 1] != ']')
			return -EINVAL;
		text++;
		len -= 2;
	} else if (memchr(text, ':', len)) {
		return -EINVAL;
	}
	memcpy(name, text, len);
	name[len] = 0;
	if (len && address_parse(name, &host) < 0)
		return -EINVAL;
	fill_sockaddr(&host, port, ret_addr);
	return 0;
}

// SPDX-License-Identifier: GPL-2.0-only
/* Reads a server's URL. */
/* Must not know how a server is reached. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "source/kube/http_state.h"

static bool is_loopback(const char *host)
{
	struct in_addr in;

	return strcmp(host, "localhost") == 0 || strcmp(host, "::1") == 0 ||
	       (inet_pton(AF_INET, host, &in) == 1 && (ntohl(in.s_addr) >> 24) == 127);
}

static int parse_url(const char *url, struct kube_server *s)
{
	const char *host, *end, *colon = NULL, *slash;
	char *stop;
	unsigned long port;
	size_t len;

	s->plain = strncmp(url, "http://", 7) == 0;
	if (!s->plain && strncmp(url, "https://", 8) != 0)
		return -EINVAL;
	host = url + (s->plain ? 7 : 8);
	slash = strchrnul(host, '/');
	if (strpbrk(host, "?#@ \t\r\n"))
		return -EINVAL;
	if (*host == '[') {
		end = memchr(host, ']', (size_t)(slash - host));
		if (!end ||
		    copy_part(s->host, sizeof(s->host), host + 1, (size_t)(end - host) - 1) < 0)
			return -EINVAL;
		colon = end[1] == ':' ? end + 1 : NULL;
		if (!colon && end + 1 != slash)
			return -EINVAL;
	} else {
		colon = memchr(host, ':', (size_t)(slash - host));
		if (copy_part(s->host, sizeof(s->host), host,
			      (size_t)((colon ? colon : slash) - host)) < 0)
			return -EINVAL;
	}
	port = colon ? strtoul(colon + 1, &stop, 10) : s->plain ? 80 : 443;
	if (!*s->host || port < 1 || port > 65535 ||
	    (colon && (stop != slash || colon[1] < '0' || colon[1] > '9')))
		return -EINVAL;
	s->port = (uint16_t)port;
	for (len = strlen(slash); len && slash[len - 1] == '/'; len--)
		;
	return copy_part(s->path, sizeof(s->path), slash, len);
}

int kube_server_parse(const char *url, struct kube_server *ret_server, struct err *err)
{
	struct kube_server s = { 0 };

	if (parse_url(url, &s) < 0)
		return err_set(err, -EINVAL, "API server %s: must be https://HOST[:PORT]", url);
	if (s.plain && !is_loopback(s.host))
		return err_set(err, -EINVAL,
			       "API server %s: http:// is for this machine itself; use https://",
			       url);
	*ret_server = s;
	return 0;
}

bool kube_server_is_same(const struct kube_server *a, const struct kube_server *b)
{
	return a->port == b->port && a->plain == b->plain && strcmp(a->host, b->host) == 0 &&
	       strcmp(a->tls_name, b->tls_name) == 0 && strcmp(a->path, b->path) == 0;
}

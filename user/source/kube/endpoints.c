// SPDX-License-Identifier: GPL-2.0-only
/* Remembers the API servers' own addresses. */
/* Must not know how they are used. */
#include "source/kube/endpoints.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"

#define SERVERS_MAX 64
#define TLS_NAME    "kubernetes.default.svc" /* in every API server's certificate */

void api_endpoints_done(struct api_endpoints *e)
{
	free(e->servers);
	memset(e, 0, sizeof(*e));
}

static bool has(const struct api_endpoints *e, const char *host, uint16_t port)
{
	for (size_t i = 0; i < e->n; i++)
		if (e->servers[i].port == port && strcmp(e->servers[i].host, host) == 0)
			return true;
	return false;
}

static int add(struct api_endpoints *e, const char *host, uint16_t port)
{
	struct kube_server *grown;

	if (e->n >= SERVERS_MAX || has(e, host, port))
		return 0;
	grown = realloc(e->servers, (e->n + 1) * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	e->servers = grown;
	memset(&grown[e->n], 0, sizeof(*grown));
	snprintf(grown[e->n].host, sizeof(grown[e->n].host), "%s", host);
	snprintf(grown[e->n].tls_name, sizeof(grown[e->n].tls_name), TLS_NAME);
	grown[e->n++].port = port;
	return 0;
}

/* ---- the file --------------------------------------------------------------------------------------- */

void api_endpoints_load(struct api_endpoints *e, const char *path)
{
	_cleanup_fclose_ FILE *f = fopen(path, "re");
	char line[128], host[ADDRESS_TEXT_LEN], text[ADDRESS_TEXT_LEN];
	struct address address;
	unsigned port;

	_Static_assert(ADDRESS_TEXT_LEN >= 40, "the longest address, and NUL");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%39s %u", host, &port) == 2 &&
		    address_parse(host, &address) == 0 && port >= 1 && port <= 65535)
			(void)add(e, address_format(&address, text), (uint16_t)port);
}

static int write_all(int fd, const struct buf *text)
{
	size_t at = 0;
	ssize_t n;

	while (at < text->len) {
		n = write(fd, text->data + at, text->len - at);
		if (n < 0)
			return -errno;
		at += (size_t)n;
	}
	return fsync(fd) < 0 ? -errno : 0;
}

static int replace_file(const char *path, const struct buf *text)
{
	struct buf next = { 0 };
	int fd, rc;

	buf_printf(&next, "%s.new", path);
	if (next.failed)
		return -ENOMEM;
	fd = open(buf_str(&next), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	rc = fd < 0 ? -errno : write_all(fd, text);
	if (fd >= 0)
		close(fd);
	if (rc == 0 && rename(buf_str(&next), path) < 0)
		rc = -errno;
	if (rc < 0 && fd >= 0)
		unlink(buf_str(&next)); /* half of it, on a disk that is full already */
	buf_done(&next);
	return rc;
}

int api_endpoints_save(const struct api_endpoints *e, const char *path)
{
	struct buf text = { 0 };
	int rc;

	for (size_t i = 0; i < e->n; i++)
		buf_printf(&text, "%s %u\n", e->servers[i].host, e->servers[i].port);
	rc = text.failed ? -ENOMEM : replace_file(path, &text);
	buf_done(&text);
	return rc;
}

/* ---- the slices ------------------------------------------------------------------------------------- */

bool api_endpoints_are_in(const struct endpoint_slice *slice)
{
	return slice->service && strcmp(slice->service, "kubernetes") == 0 &&
	       strcmp(slice->meta.namespace, "default") == 0 &&
	       (slice->family == 4 || slice->family == 6);
}

static uint16_t port_of(const struct endpoint_slice *slice)
{
	for (size_t i = 0; i < slice->n_ports; i++)
		if (slice->ports[i].proto == IPPROTO_TCP &&
		    strcmp(slice->ports[i].name, "https") == 0)
			return slice->ports[i].port;
	return slice->n_ports == 1 && slice->ports[0].proto == IPPROTO_TCP ? slice->ports[0].port
									   : 0;
}

static uint8_t family_of(const struct kube_server *server)
{
	return strchr(server->host, ':') ? 6 : 4;
}

static bool same(const struct api_endpoints *a, const struct api_endpoints *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (!has(b, a->servers[i].host, a->servers[i].port))
			return false;
	return true;
}

int api_endpoints_take(struct api_endpoints *e, const struct endpoint_slice *slice)
{
	struct api_endpoints next = { 0 };
	char host[ADDRESS_TEXT_LEN];
	uint16_t port = port_of(slice);
	size_t i;
	int rc = 0;

	for (i = 0; i < slice->n_endpoints && port && rc == 0; i++)
		if (slice->endpoints[i].ready)
			rc = add(&next, address_format(&slice->endpoints[i].addr, host), port);
	if (rc == 0 && !next.n)
		return 0;
	for (i = 0; i < e->n && rc == 0; i++)
		if (family_of(&e->servers[i]) != slice->family)
			rc = add(&next, e->servers[i].host, e->servers[i].port);
	if (rc < 0 || same(e, &next)) {
		api_endpoints_done(&next);
		return rc;
	}
	api_endpoints_done(e);
	*e = next;
	return 1;
}

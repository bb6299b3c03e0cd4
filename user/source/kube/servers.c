// SPDX-License-Identifier: GPL-2.0-only
/* Finds the API servers at the beginning: as told, from the file of the last run, or by the cluster address. */
/* Must not know what is asked of them. */
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "source/kube/kube_internal.h"

#define VIP_TRY_MS 3000 /* at start */

static int use_urls(struct kube *kube, const char *const *urls, size_t n, const char *tls_name,
		    struct err *err)
{
	_cleanup_free_ struct kube_server *servers = calloc(n, sizeof(*servers));
	int rc = servers ? 0 : err_set(err, -ENOMEM, "no memory");

	for (size_t i = 0; i < n && rc == 0; i++) {
		rc = kube_server_parse(urls[i], &servers[i], err);
		if (rc == 0 && tls_name)
			snprintf(servers[i].tls_name, sizeof(servers[i].tls_name), "%s", tls_name);
	}
	return rc == 0 ? kube_http_set_servers(kube->http, servers, n) : rc;
}

/* Does anything accept connections there? Waits for VIP_TRY_MS at most: there is nothing else to do yet. */
static bool can_connect(const char *host, const char *port)
{
	const struct addrinfo hints = { .ai_flags = AI_NUMERICSERV, .ai_socktype = SOCK_STREAM };
	struct addrinfo *found;
	struct pollfd wait = { .events = POLLOUT };
	socklen_t len = sizeof(int);
	int error = -1;

	if (getaddrinfo(host, port, &hints, &found) != 0)
		return false;
	wait.fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (wait.fd >= 0) {
		if (connect(wait.fd, found->ai_addr, found->ai_addrlen) == 0)
			error = 0;
		else if (errno == EINPROGRESS && poll(&wait, 1, VIP_TRY_MS) == 1)
			getsockopt(wait.fd, SOL_SOCKET, SO_ERROR, &error, &len);
		close(wait.fd);
	}
	freeaddrinfo(found);
	return error == 0;
}

/* The address every pod is told is the one that we are to translate: good only while another proxy does. */
static int use_environment(struct kube *kube, struct err *err)
{
	const char *host = getenv("KUBERNETES_SERVICE_HOST"),
		   *port = getenv("KUBERNETES_SERVICE_PORT");
	struct buf url = { 0 };
	const char *text;
	int rc;

	if (!host || !port)
		return err_set(err, -EINVAL,
			       "no API server is known: give --api-server or --kubeconfig");
	if (!can_connect(host, port))
		return err_set(
			err, -EHOSTUNREACH,
			"the API server is known only by its cluster address, %s port %s, and nothing serves that on this "
			"node yet: give --api-server https://ADDRESS:PORT of an API server itself",
			host, port);
	buf_printf(&url, strchr(host, ':') ? "https://[%s]:%s" : "https://%s:%s", host, port);
	text = buf_str(&url);
	rc = url.failed ? -ENOMEM : use_urls(kube, &text, 1, NULL, err);
	buf_done(&url);
	kube->by_vip = true;
	return rc;
}

int kube_find_servers(struct kube *kube, const struct kube_options *o, struct err *err)
{
	const char *url = auth_server(kube->auth);
	struct buf path = { 0 };

	if (o->n_api_servers)
		return use_urls(kube, o->api_servers, o->n_api_servers, auth_tls_name(kube->auth),
				err);
	if (url)
		return use_urls(kube, &url, 1, auth_tls_name(kube->auth), err);
	kube->discovers = true;
	if (o->state_dir) {
		mkdir(o->state_dir, 0755); /* if not: saving will say why */
		buf_printf(&path, "%s/api-servers", o->state_dir);
		kube->endpoints_path = buf_take(&path);
		if (!kube->endpoints_path)
			return err_set(err, -ENOMEM, "no memory");
		api_endpoints_load(&kube->endpoints, kube->endpoints_path);
	}
	if (kube->endpoints.n)
		return kube_http_set_servers(kube->http, kube->endpoints.servers,
					     kube->endpoints.n);
	return use_environment(kube, err);
}

// SPDX-License-Identifier: GPL-2.0-only
/* Keeps the addresses of named hosts in upstreams. */
/* Must not know what they are asked. */
#include "ingress/resolver.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/table.h"
#include "ingress/upstream.h"

#define AGAIN_S 30 /* between questions for one name */
#define ADDRS   64

struct name {
	char *host;
	uint16_t port;
	struct upstream *upstream; /* counted; only the thread sets its endpoints */
	uint64_t next_ns;          /* when to ask again */
	bool failed;               /* the last time: it was said */
};

struct resolver {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	pthread_t thread;
	bool running, ending;
	bool asking;        /* the thread is about to be told, which may take a minute */
	struct table names; /* "port host" -> struct name */
};

/* ---- asking ------------------------------------------------------------------------------------------------------ */

static bool take(const struct addrinfo *info, struct upstream_endpoint *ret_endpoint)
{
	struct address *addr = &ret_endpoint->addr;

	if (info->ai_family == AF_INET) {
		addr->family = 4;
		memcpy(addr->b, &((const struct sockaddr_in *)info->ai_addr)->sin_addr, 4);
	} else if (info->ai_family == AF_INET6) {
		addr->family = 6;
		memcpy(addr->b, &((const struct sockaddr_in6 *)info->ai_addr)->sin6_addr, 16);
	} else {
		return false;
	}
	return true;
}

/* The endpoints of now; false: they could not be told, and are what they were. */
static bool ask(const struct name *name, int flags, int *ret_why)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = flags }, *list = NULL;
	struct upstream_endpoint endpoints[ADDRS];
	size_t n = 0;

	*ret_why = getaddrinfo(name->host, NULL, &hints, &list);
	if (*ret_why)
		return false;
	memset(endpoints, 0, sizeof(endpoints));
	for (const struct addrinfo *info = list; info && n < ADDRS; info = info->ai_next) {
		endpoints[n].port = name->port;
		n += take(info, &endpoints[n]);
	}
	freeaddrinfo(list);
	return n && upstream_set(name->upstream, endpoints, n, clock_now_ns(), NULL) == 0;
}

static void ask_again(struct name *name)
{
	bool failed = name->failed;
	int why = 0;

	name->failed = !ask(name, 0, &why);
	if (name->failed && !failed)
		log_warn("cannot resolve host=\"%s\" reason=\"%s\"", name->host,
			 why ? gai_strerror(why) : "out of memory");
}

/* ---- the thread ---------------------------------------------------------------------------------------------------- */

static void name_free(void *arg)
{
	struct name *name = arg;

	upstream_drop(name->upstream);
	free(name->host);
	free(name);
}

/* The name whose turn it is, or NULL; *ret_next_ns: when there will be one. Those that nobody has are forgotten. Locked. */
static struct name *due(struct resolver *r, uint64_t now_ns, uint64_t *ret_next_ns)
{
	struct table_entry *entry;
	struct name *found = NULL;

	*ret_next_ns = now_ns + AGAIN_S * CLOCK_NS_PER_S;
	table_for_each(entry, &r->names) {
		struct name *name = entry->value;

		if (!upstream_is_shared(name->upstream))
			name_free(table_remove(&r->names, entry->key, entry->key_len));
		else if (name->next_ns <= now_ns)
			found = name;
		else if (name->next_ns < *ret_next_ns)
			*ret_next_ns = name->next_ns;
	}
	return found;
}

static void done(struct resolver *r)
{
	table_done(&r->names, name_free);
	pthread_cond_destroy(&r->wake);
	pthread_mutex_destroy(&r->lock);
	free(r);
}

static void *run(void *arg)
{
	struct resolver *r = arg;
	bool left_behind = false;

	pthread_mutex_lock(&r->lock);
	while (!r->ending) {
		uint64_t next_ns;
		struct name *name = due(r, clock_now_ns(), &next_ns);

		if (name) { /* only this thread takes names away */
			name->next_ns = clock_now_ns() + AGAIN_S * CLOCK_NS_PER_S;
			r->asking = true;
			pthread_mutex_unlock(&r->lock);
			ask_again(name);
			pthread_mutex_lock(&r->lock);
			r->asking = false;
			left_behind = r->ending;
		} else {
			struct timespec until = { .tv_sec =
							  (time_t)(next_ns / CLOCK_NS_PER_S) + 1 };

			pthread_cond_timedwait(&r->wake, &r->lock, &until);
		}
	}
	pthread_mutex_unlock(&r->lock);
	if (left_behind)
		done(r);
	return NULL;
}

/* ---- for everybody --------------------------------------------------------------------------------------------------- */

int resolver_new(struct resolver **ret_resolver)
{
	struct resolver *r = calloc(1, sizeof(*r));
	pthread_condattr_t attr;

	if (!r)
		return -ENOMEM;
	pthread_mutex_init(&r->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&r->wake, &attr);
	pthread_condattr_destroy(&attr);
	table_init(&r->names, 1);
	*ret_resolver = r;
	return 0;
}

void resolver_free(struct resolver *r)
{
	if (!r)
		return;
	pthread_mutex_lock(&r->lock);
	r->ending = true;
	if (r->asking) { /* a name server that does not answer keeps nobody: what is left is the thread's to free */
		pthread_detach(r->thread);
		pthread_mutex_unlock(&r->lock);
		return;
	}
	pthread_cond_signal(&r->wake);
	pthread_mutex_unlock(&r->lock);
	if (r->running)
		pthread_join(r->thread, NULL);
	done(r);
}

static struct name *new_name(const char *host, uint16_t port)
{
	struct name *name = calloc(1, sizeof(*name));
	struct upstream_settings settings = upstream_defaults;

	if (!name)
		return NULL;
	settings.slow_start_ns = 0;
	name->host = strdup(host);
	name->port = port;
	if (!name->host || upstream_new(&settings, clock_now_ns(), &name->upstream) < 0) {
		free(name->host);
		free(name);
		return NULL;
	}
	return name;
}

static struct name *add(struct resolver *r, const char *key, const char *host, uint16_t port)
{
	struct name *name = new_name(host, port);
	int why;

	if (!name)
		return NULL;
	if (ask(name, AI_NUMERICHOST, &why))
		name->next_ns = UINT64_MAX; /* an address stays what it is */
	if (table_put_str(&r->names, key, name, NULL) < 0) {
		name_free(name);
		return NULL;
	}
	return name;
}

struct upstream *resolver_want(struct resolver *r, const char *host, uint16_t port)
{
	struct upstream *upstream = NULL;
	struct name *name;
	char key[300];

	snprintf(key, sizeof(key), "%u %.255s", port, host);
	pthread_mutex_lock(&r->lock);
	name = table_get_str(&r->names, key);
	if (!name)
		name = add(r, key, host, port);
	if (name)
		upstream = upstream_hold(name->upstream);
	if (name && !r->running)
		r->running = pthread_create(&r->thread, NULL, run, r) == 0;
	pthread_cond_signal(&r->wake);
	pthread_mutex_unlock(&r->lock);
	return upstream;
}

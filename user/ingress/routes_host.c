// SPDX-License-Identifier: GPL-2.0-only
/* Finds the host and the path of a request in a snapshot, and makes the target for the origin. */
/* Must not know Ingresses, or which of two claims was the older. */
#include "ingress/routes_host.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "ingress/path.h"

/* ---- order -------------------------------------------------------------------------------------------------- */

static int compare_text(const char *a, size_t a_len, const char *b, size_t b_len)
{
	int rc = memcmp(a, b, a_len < b_len ? a_len : b_len);

	return rc ? rc : (a_len > b_len) - (a_len < b_len);
}

/* A rule before rules of one text have been brought together. */
struct claim {
	struct routes_text text;
	struct routes_key key;
};

static int compare_claims(const void *one, const void *two)
{
	const struct claim *a = one, *b = two;

	return compare_text(a->text.at, a->text.len, b->text.at, b->text.len);
}

/* Longest text first; texts of one length in descending order; then the type, Exact first. */
static int compare_patterns(const void *one, const void *two)
{
	const struct route *a = *(const struct route *const *)one,
			   *b = *(const struct route *const *)two;
	size_t a_len = strlen(a->path), b_len = strlen(b->path);
	int rc;

	if (a_len != b_len)
		return a_len > b_len ? -1 : 1;
	rc = strcmp(b->path, a->path);
	return rc ? rc : (int)a->type - (int)b->type;
}

static struct claim claim_of(const struct route *r)
{
	struct claim claim = { .text = { r->path, strlen(r->path) } };
	size_t *len = &claim.text.len;

	if (r->type == INGRESS_EXACT) {
		claim.key.exact = r;
	} else if (r->type == INGRESS_SPECIFIC) {
		claim.key.specific = r;
	} else if (*len > 1 && r->path[*len - 1] == '/') {
		--*len;
		claim.key.folder = r;
	} else {
		*len -= *len == 1;
		claim.key.prefix = r;
	}
	return claim;
}

/* Claims of one text become one; how many are left. */
static size_t merge(struct claim *claims, size_t n_claims)
{
	size_t n = 0;

	for (size_t i = 0; i < n_claims; i++) {
		const struct routes_key *k = &claims[i].key;
		struct routes_key *last;

		if (!n || compare_claims(&claims[n - 1], &claims[i]) != 0) {
			claims[n++] = claims[i];
			continue;
		}
		last = &claims[n - 1].key;
		last->exact = last->exact ? last->exact : k->exact;
		last->prefix = last->prefix ? last->prefix : k->prefix;
		last->folder = last->folder ? last->folder : k->folder;
		last->specific = last->specific ? last->specific : k->specific;
	}
	return n;
}

static int pack(struct routes_host *host, const struct claim *claims, size_t n)
{
	size_t bytes = 0;
	char *text;

	for (size_t i = 0; i < n; i++)
		bytes += claims[i].text.len;
	host->texts = malloc(n * (sizeof(*host->texts) + sizeof(*host->keys)) + bytes + 1);
	if (!host->texts)
		return -ENOMEM;
	host->keys = (struct routes_key *)(host->texts + n);
	host->n_keys = n;
	text = (char *)(host->keys + n);
	for (size_t i = 0; i < n; i++) {
		memcpy(text, claims[i].text.at, claims[i].text.len);
		host->texts[i] = (struct routes_text){ text, claims[i].text.len };
		host->keys[i] = claims[i].key;
		text += claims[i].text.len;
	}
	return 0;
}

/* Everything a key begins with lies before it, and is an ancestor of the key just before it or that key. */
static void link_parents(struct routes_host *host)
{
	for (size_t i = 1; i < host->n_keys; i++) {
		const struct routes_text *t = host->texts;
		size_t parent = i; /* 1 + (i - 1) */

		while (parent && (t[parent - 1].len > t[i].len ||
				  memcmp(t[parent - 1].at, t[i].at, t[parent - 1].len) != 0))
			parent = host->keys[parent - 1].parent;
		host->keys[i].parent = parent;
	}
}

int routes_host_sort(struct routes_host *host)
{
	struct claim *claims;
	int rc;

	if (host->regex) {
		vec_sort(&host->routes, compare_patterns);
		return 0;
	}
	claims = calloc(host->routes.len + 1, sizeof(*claims));
	if (!claims)
		return -ENOMEM;
	for (size_t i = 0; i < host->routes.len; i++)
		claims[i] = claim_of(host->routes.data[i]);
	qsort(claims, host->routes.len, sizeof(*claims), compare_claims);
	rc = pack(host, claims, merge(claims, host->routes.len));
	free(claims);
	if (rc == 0)
		link_parents(host);
	return rc;
}

/* ---- looking up ----------------------------------------------------------------------------------------------- */

/* The rule of a key that begins the path, or NULL. */
static const struct route *rule_of(const struct routes_key *k, size_t key_len, const char *path,
				   size_t len)
{
	if (key_len == len) {
		if (k->exact)
			return k->exact;
		if (k->prefix || k->folder)
			return k->prefix ? k->prefix : k->folder;
	} else if (path[key_len] == '/' && (k->prefix || k->folder)) {
		return k->folder ? k->folder : k->prefix;
	}
	return k->specific;
}

static const struct route *find_path(const struct routes_host *host, const char *path, size_t len)
{
	const struct routes_text *texts = host->texts;
	size_t low = 0, high = host->n_keys, common = 0, i;

	while (low < high) { /* the last key that is not behind the path */
		size_t middle = low + (high - low) / 2;

		if (compare_text(texts[middle].at, texts[middle].len, path, len) <= 0)
			low = middle + 1;
		else
			high = middle;
	}
	if (low) {
		const struct routes_text *t = &texts[low - 1];

		while (common < t->len && common < len && t->at[common] == path[common])
			common++;
	}
	for (i = low; i; i = host->keys[i - 1].parent) {
		const struct route *r = NULL;

		if (texts[i - 1].len <= common)
			r = rule_of(&host->keys[i - 1], texts[i - 1].len, path, len);
		if (r)
			return r;
	}
	return NULL;
}

static int find_pattern(const struct routes_host *host, struct match_work *work, const char *path,
			size_t len, const struct route **ret_route)
{
	struct match_groups groups;

	for (size_t i = 0; i < host->routes.len; i++) {
		int rc = match_run(host->routes.data[i]->match, work, path, len, &groups);

		if (rc < 0)
			return rc;
		if (rc > 0) {
			*ret_route = host->routes.data[i];
			return 0;
		}
	}
	return -ENOENT;
}

/* Exact, then one label wild, then none; NULL if nobody has it. */
static const struct routes_host *find_host(const struct routes *routes, const char *name,
					   size_t len)
{
	char lower[ROUTES_HOST_MAX + 1];
	const struct routes_host *host;
	const char *dot;

	lower[0] = '\0';
	if (len <= ROUTES_HOST_MAX) {
		for (size_t i = 0; i < len; i++)
			lower[i] = (char)tolower((unsigned char)name[i]);
		host = table_get(&routes->hosts, lower, len);
		if (host && len)
			return host;
		dot = memchr(lower, '.', len);
		if (dot > lower && lower[0] != '[') {
			char *wild = lower + (dot - lower) - 1;

			*wild = '*';
			host = table_get(&routes->hosts, wild, len - (size_t)(wild - lower));
			if (host)
				return host;
		}
	}
	return table_get(&routes->hosts, "", 0);
}

int routes_find(const struct routes *routes, struct match_work *work, const char *name,
		size_t name_len, const char *path, size_t path_len, const struct route **ret_route)
{
	const struct routes_host *host = find_host(routes, name, name_len);
	const struct route *found = NULL;
	int rc = 0;

	if (host && host->regex)
		rc = find_pattern(host, work, path, path_len, &found);
	else if (host)
		found = find_path(host, path, path_len);
	if (rc < 0 && rc != -ENOENT)
		return rc;
	if (!found) /* next to rules without a host a default backend is nobody's */
		found = host && *host->name ? host->fallback : routes->fallback;
	if (!found)
		return -ENOENT;
	*ret_route = found;
	return 0;
}

/* ---- the target ------------------------------------------------------------------------------------------------ */

static void put_group(struct buf *out, const struct match_groups *groups, int i, const char *path,
		      bool argument)
{
	const char *text = path + groups->at[i];

	if (argument)
		path_encode_argument(out, text, groups->len[i]);
	else
		path_encode(out, text, groups->len[i]);
}

/* The literal text is the Ingress author's, who may have encoded it; what could end the line is encoded all the same. */
static void put_literal(struct buf *out, unsigned char c)
{
	if (c <= 0x20 || c >= 0x7f || c == '#' || c == '\\')
		buf_printf(out, "%%%02X", c);
	else
		buf_putc(out, (char)c);
}

/* Path and arguments of the rewritten target; *ret_path_len is where the path ends. */
static void substitute(struct buf *out, const char *target, const struct match_groups *groups,
		       const char *path, size_t *ret_path_len)
{
	bool argument = false;

	if (*target != '/')
		buf_putc(out, '/');
	for (const char *p = target; *p; p++) {
		if (*p == '$' && p[1] >= '1' && p[1] <= '9') {
			put_group(out, groups, *++p - '0', path, argument);
			continue;
		}
		if (*p == '?' && !argument) {
			argument = true;
			*ret_path_len = out->len;
		}
		put_literal(out, (unsigned char)*p);
	}
	if (!argument)
		*ret_path_len = out->len;
}

static void put_query(struct buf *out, const struct route_request *q, char mark)
{
	if (!q->has_query)
		return;
	buf_putc(out, mark);
	buf_put(out, q->query, q->query_len);
}

static int put_rewritten(const struct route *route, struct match_work *work,
			 const struct route_request *q, struct buf *out)
{
	struct buf made = { 0 };
	struct match_groups groups;
	size_t path_len = 0, resolved;
	int rc = match_run(route->rewrite, work, q->path, q->path_len, &groups);

	if (rc < 0)
		return rc;
	if (rc == 0)
		memset(&groups, 0, sizeof(groups));
	substitute(&made, route->target, &groups, q->path, &path_len);
	if (!made.failed) {
		bool arguments = path_len < made.len;

		/* Two harmless pieces may make a ".." together. */
		resolved = path_len;
		path_resolve(made.data, &resolved);
		buf_put(out, made.data, resolved);
		if (!arguments) {
			put_query(out, q, '?');
		} else if (made.len - path_len >
			   1) { /* a target that ends in '?' drops the arguments */
			buf_put(out, made.data + path_len, made.len - path_len);
			put_query(out, q, '&');
		}
	}
	rc = made.failed || out->failed ? -ENOMEM : 0;
	buf_done(&made);
	return rc;
}

/* What is left of the path behind the rule's, from a slash on. */
static void put_stripped(const struct route *route, const struct route_request *q, struct buf *out)
{
	size_t len = strlen(route->path);

	while (len && route->path[len - 1] == '/')
		len--;
	if (len > q->path_len || strncasecmp(route->path, q->path, len) != 0)
		len = 0; /* an expression, which took something else */
	if (len == q->path_len || q->path[len] != '/')
		buf_putc(out, '/');
	path_encode(out, q->path + len, q->path_len - len);
	put_query(out, q, '?');
}

int route_target(const struct route *route, struct match_work *work, const struct route_request *q,
		 struct buf *out)
{
	if (route->target && route->rewrite)
		return put_rewritten(route, work, q, out);
	if (route->strip) {
		put_stripped(route, q, out);
		return out->failed ? -ENOMEM : 0;
	}
	if (q->raw_len)
		buf_put(out, q->raw, q->raw_len);
	else
		buf_putc(out, '/');
	put_query(out, q, '?');
	return out->failed ? -ENOMEM : 0;
}

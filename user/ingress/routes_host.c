// SPDX-License-Identifier: GPL-2.0-only
/* Finds the host and the path of a request in a snapshot, and makes the target for the origin. */
/* Must not know Ingresses, or which of two claims was the older. */
#include "ingress/routes_host.h"

#include <ctype.h>
#include <endian.h>
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

/* The first bytes as a number that sorts as they do. No text has a NUL. */
static uint64_t head_of(const char *text, size_t len)
{
	unsigned char bytes[8] = { 0 };
	uint64_t head;

	memcpy(bytes, text, len < 8 ? len : 8);
	memcpy(&head, bytes, 8);
	return be64toh(head);
}

/* A rule before rules of one text have been brought together. */
struct claim {
	const char *text;
	size_t len;
	struct routes_rules rules;
};

static int compare_claims(const void *one, const void *two)
{
	const struct claim *a = one, *b = two;

	return compare_text(a->text, a->len, b->text, b->len);
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
	struct claim claim = { .text = r->path, .len = strlen(r->path) };

	if (r->type == INGRESS_EXACT) {
		claim.rules.of[ROUTES_OF_EXACT] = r;
	} else if (r->type == INGRESS_SPECIFIC) {
		claim.rules.of[ROUTES_OF_SPECIFIC] = r;
	} else if (claim.len > 1 && r->path[claim.len - 1] == '/') {
		claim.len--;
		claim.rules.of[ROUTES_OF_FOLDER] = r;
	} else {
		claim.len -= claim.len == 1;
		claim.rules.of[ROUTES_OF_PREFIX] = r;
	}
	return claim;
}

/* Claims of one text become one; how many are left. */
static size_t merge(struct claim *claims, size_t n_claims)
{
	size_t n = 0;

	for (size_t i = 0; i < n_claims; i++) {
		struct routes_rules *last;

		if (!n || compare_claims(&claims[n - 1], &claims[i]) != 0) {
			claims[n++] = claims[i];
			continue;
		}
		last = &claims[n - 1].rules;
		for (int kind = 0; kind < ROUTES_KINDS; kind++)
			if (!last->of[kind])
				last->of[kind] = claims[i].rules.of[kind];
	}
	return n;
}

static const struct routes_key *keys_of(const struct routes_host *host)
{
	return (const struct routes_key *)(host->heads + host->n_keys);
}

/* Everything a key begins with lies before it, and is an ancestor of the key just before it or that key. */
static uint32_t find_parent(const struct routes_key *keys, const char *texts, uint32_t of)
{
	uint32_t parent = of; /* 1 + (of - 1) */

	while (parent && (keys[parent - 1].len > keys[of].len ||
			  memcmp(texts + keys[parent - 1].text, texts + keys[of].text,
				 keys[parent - 1].len) != 0))
		parent = keys[parent - 1].parent;
	return parent;
}

static bool is_several(const struct routes_rules *rules)
{
	int n = 0;

	for (int kind = 0; kind < ROUTES_KINDS; kind++)
		n += rules->of[kind] != NULL;
	return n > 1;
}

static void set_rules(struct routes_key *k, const struct routes_rules *rules,
		      struct routes_rules **several)
{
	if (is_several(rules)) {
		**several = *rules;
		k->kind = ROUTES_KINDS;
		k->rules = (*several)++;
		return;
	}
	while (!rules->of[k->kind])
		k->kind++;
	k->only = rules->of[k->kind];
}

struct routes_host *routes_host_alloc(size_t more)
{
	return calloc(1, sizeof(struct routes_host) + more);
}

/* Where everything lies in the block. */
static int lay_out(struct routes_host **host, const struct claim *claims, size_t n,
		   struct routes_rules **ret_several, char **ret_texts)
{
	size_t bytes = 0, n_several = 0;
	struct routes_host *h;

	for (size_t i = 0; i < n; i++) {
		bytes += claims[i].len;
		n_several += is_several(&claims[i].rules);
	}
	if (bytes > UINT32_MAX)
		return -ENOMEM;
	h = routes_host_alloc(n * (sizeof(*h->heads) + sizeof(struct routes_key)) +
			      n_several * sizeof(**ret_several) + bytes);
	if (!h)
		return -ENOMEM;
	memcpy(h, *host, sizeof(*h));
	if (h->n_made_of == 1)
		h->made_of = &h->made_of_one;
	free(*host);
	*host = h;
	h->n_keys = (uint32_t)n;
	*ret_several = (struct routes_rules *)(keys_of(h) + n);
	*ret_texts = (char *)(*ret_several + n_several);
	h->texts = *ret_texts;
	return 0;
}

static int pack(struct routes_host **host, const struct claim *claims, size_t n)
{
	struct routes_rules *several;
	struct routes_key *keys = NULL;
	char *texts;
	uint32_t at = 0;
	int rc = lay_out(host, claims, n, &several, &texts);

	if (rc == 0)
		keys = (struct routes_key *)keys_of(*host);
	for (uint32_t i = 0; rc == 0 && i < n; i++) {
		uint32_t len = (uint32_t)claims[i].len;

		memcpy(texts + at, claims[i].text, len);
		(*host)->heads[i] = head_of(claims[i].text, len);
		keys[i] = (struct routes_key){ .text = at, .len = len };
		set_rules(&keys[i], &claims[i].rules, &several);
		keys[i].parent = find_parent(keys, texts, i);
		at += len;
	}
	return rc;
}

int routes_host_sort(struct routes_host **host)
{
	struct routes_host *h = *host;
	struct claim *claims;
	int rc;

	if (h->regex) {
		vec_sort(&h->routes, compare_patterns);
		return 0;
	}
	claims = calloc(h->routes.len + 1, sizeof(*claims));
	if (!claims)
		return -ENOMEM;
	for (size_t i = 0; i < h->routes.len; i++)
		claims[i] = claim_of(h->routes.data[i]);
	qsort(claims, h->routes.len, sizeof(*claims), compare_claims);
	rc = pack(host, claims, merge(claims, h->routes.len));
	free(claims);
	return rc;
}

/* ---- looking up ----------------------------------------------------------------------------------------------- */

static const struct route *rule_of_kind(const struct routes_key *k, enum routes_kind kind)
{
	if (k->kind == ROUTES_KINDS)
		return k->rules->of[kind];
	return k->kind == kind ? k->only : NULL;
}

/* The rule of a key that begins the path, or NULL. */
static const struct route *rule_of(const struct routes_key *k, const char *path, size_t len)
{
	const struct route *prefix = rule_of_kind(k, ROUTES_OF_PREFIX),
			   *folder = rule_of_kind(k, ROUTES_OF_FOLDER), *exact;

	if (k->len == len) {
		exact = rule_of_kind(k, ROUTES_OF_EXACT);
		if (exact)
			return exact;
		if (prefix || folder)
			return prefix ? prefix : folder;
	} else if (path[k->len] == '/' && (prefix || folder)) {
		return folder ? folder : prefix;
	}
	return rule_of_kind(k, ROUTES_OF_SPECIFIC);
}

#define FEW 16

/*
 * How many heads are not above the limit. Without branches that depend on them; of a few all are read, as that can be done at
 * once, where each step of halving waits for the one before.
 */
static size_t count_heads(const uint64_t *heads, size_t n, uint64_t limit)
{
	size_t at = 0, count = 0;

	while (n > FEW) {
		size_t half = n / 2;

		at += heads[at + half - 1] <= limit ? half : 0;
		n -= half;
	}
	for (size_t i = 0; i < n; i++)
		count += heads[at + i] <= limit;
	return at + count;
}

/* How many keys are not behind the path. */
static size_t count_keys(const struct routes_host *host, const char *path, size_t len,
			 uint64_t head)
{
	size_t high = count_heads(host->heads, host->n_keys, head), low;
	const struct routes_key *keys = keys_of(host);

	/* A text of up to eight bytes with the same head is the path, or its beginning. */
	if (!high || host->heads[high - 1] != head || keys[high - 1].len <= 8)
		return high;
	low = head ? count_heads(host->heads, high, head - 1) : 0;
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (compare_text(host->texts + keys[middle].text, keys[middle].len, path, len) <= 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* How many bytes the key and the path have in common at their beginnings. */
static size_t count_common(const struct routes_host *host, size_t at, const char *path, size_t len,
			   uint64_t head)
{
	const struct routes_key *k = keys_of(host) + at;
	const char *text = host->texts + k->text;
	uint64_t differ = host->heads[at] ^ head;
	size_t common = differ ? (size_t)__builtin_clzll(differ) / 8 : 8;

	if (common == 8)
		while (common < k->len && common < len && text[common] == path[common])
			common++;
	return common < k->len ? common : k->len;
}

static const struct route *find_path(const struct routes_host *host, const char *path, size_t len)
{
	const struct routes_key *keys = keys_of(host);
	uint64_t head = head_of(path, len);
	size_t i = count_keys(host, path, len, head);
	size_t common = i ? count_common(host, i - 1, path, len, head) : 0;

	for (; i; i = keys[i - 1].parent) {
		const struct routes_key *k = &keys[i - 1];
		const struct route *r = k->len <= common ? rule_of(k, path, len) : NULL;

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

static const struct routes_host *get_host(const struct routes *routes, const char *name, size_t len)
{
	const struct routes_host *host = table_get(&routes->hosts, name, len);

	return host ? host : table_get(&routes->aliases, name, len);
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
		host = get_host(routes, lower, len);
		if (host && len)
			return host;
		dot = memchr(lower, '.', len);
		if (dot > lower && lower[0] != '[') {
			char *wild = lower + (dot - lower) - 1;

			*wild = '*';
			host = get_host(routes, wild, len - (size_t)(wild - lower));
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

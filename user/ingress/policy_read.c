// SPDX-License-Identifier: GPL-2.0-only
/* Values of annotations by type: numbers, times, sizes, lists, texts with variables. */
/* Must not know which annotation a value belongs to. */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/vec.h"
#include "ingress/http1.h"
#include "ingress/match.h"
#include "ingress/policy_table.h"
#include "ingress/setting.h"

/* ---- pieces -------------------------------------------------------------------------------------------------- */

const char *policy_copy(struct reader *r, const char *text, size_t len)
{
	const char *copy = arena_strndup(r->arena, text, len);

	r->no_memory |= !copy;
	return copy;
}

/* May stand in a field's value. */
bool policy_is_text(const char *value)
{
	for (const unsigned char *p = (const unsigned char *)value; *p; p++)
		if (*p < 0x20 || *p == 0x7f)
			return false;
	return *value != '\0';
}

bool policy_is_token(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)text[i]) && !strchr("!#$%&'*+-.^_`|~", text[i]))
			return false;
	return len > 0 && strnlen(text, len) == len;
}

/* Digits alone, at most max. */
static bool read_digits(const char **p, uint64_t max, uint64_t *ret_value)
{
	uint64_t value = 0;
	const char *at = *p;

	for (; isdigit((unsigned char)*at); at++) {
		if (value > (max - (uint64_t)(*at - '0')) / 10)
			return false;
		value = value * 10 + (uint64_t)(*at - '0');
	}
	if (at == *p)
		return false;
	*p = at;
	*ret_value = value;
	return true;
}

int policy_parse_time(const char *value, uint64_t *ret_ns)
{
	static const struct {
		const char *word;
		uint64_t ns;
	} units[] = { { "ms", CLOCK_NS_PER_MS },
		      { "s", CLOCK_NS_PER_S },
		      { "m", 60 * CLOCK_NS_PER_S },
		      { "h", 3600 * CLOCK_NS_PER_S },
		      { "d", 86400 * CLOCK_NS_PER_S } };
	const uint64_t max_ns = 366 * 86400 * CLOCK_NS_PER_S;
	uint64_t sum = 0, n;
	const char *p = value;
	size_t i;

	if (read_digits(&p, max_ns / CLOCK_NS_PER_S, &n) && !*p) {
		*ret_ns = n * CLOCK_NS_PER_S;
		return 0;
	}
	for (p = value; *p; p += strlen(units[i].word)) {
		if (!read_digits(&p, max_ns / CLOCK_NS_PER_MS, &n))
			return -EINVAL;
		for (i = 0; i < sizeof(units) / sizeof(units[0]); i++)
			if (strncmp(p, units[i].word, strlen(units[i].word)) == 0)
				break;
		if (i == sizeof(units) / sizeof(units[0]) || n > (max_ns - sum) / units[i].ns)
			return -EINVAL;
		sum += n * units[i].ns;
	}
	if (p == value)
		return -EINVAL;
	*ret_ns = sum;
	return 0;
}

/* ---- numbers --------------------------------------------------------------------------------------------------- */

bool read_bool(struct reader *r, const char *value)
{
	static const char *const no[] = { "0", "f", "F", "false", "FALSE", "False" };
	bool *field = policy_field(r);

	*field = ingress_is_true(value);
	if (*field)
		return true;
	for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++)
		if (strcmp(value, no[i]) == 0)
			return true;
	return policy_bad(r, value, "write \"true\" or \"false\"");
}

bool read_time(struct reader *r, const char *value)
{
	if (policy_parse_time(value, policy_field(r)) == 0)
		return true;
	return policy_bad(
		r, value,
		"write seconds (\"600\"), or a time with units (\"10m\", \"250ms\"), up to a year");
}

bool read_size(struct reader *r, const char *value)
{
	static const char units[] = "kmg";
	const char *p = value, *unit;
	uint64_t n;

	if (read_digits(&p, UINT64_MAX >> 34, &n)) {
		unit = *p ? strchr(units, tolower((unsigned char)*p)) : NULL;
		if (!*p || (unit && !p[1])) {
			n <<= unit ? 10 * (unit - units + 1) : 0;
			*(uint64_t *)policy_field(r) = n ? n : UINT64_MAX;
			return true;
		}
	}
	return policy_bad(r, value, "write bytes, or a number with k, m or g (\"8m\")");
}

bool read_count(struct reader *r, const char *value)
{
	const char *p = value;
	uint64_t n;

	if (!read_digits(&p, r->row->max, &n) || *p || n < r->row->min)
		return policy_bad(r, value, "write a number from %" PRIu64 " to %" PRIu64,
				  r->row->min, r->row->max);
	*(uint32_t *)policy_field(r) = (uint32_t)n;
	return true;
}

/* ---- texts ----------------------------------------------------------------------------------------------------- */

static bool keep(struct reader *r, const char *value)
{
	const char *copy = policy_copy(r, value, strlen(value));

	if (copy)
		*(const char **)policy_field(r) = copy;
	return copy != NULL;
}

bool read_text(struct reader *r, const char *value)
{
	if (!policy_is_text(value))
		return policy_bad(r, value, "write one line of text");
	return keep(r, value);
}

bool read_token(struct reader *r, const char *value)
{
	if (!policy_is_token(value, strlen(value)))
		return policy_bad(r, value, "write one word of letters, digits and \"-\"");
	return keep(r, value);
}

bool read_path(struct reader *r, const char *value)
{
	for (const unsigned char *p = (const unsigned char *)value; *p; p++)
		if (*p <= 0x20 || *p >= 0x7f || strchr("\"<>\\^`{|};,", *p))
			return policy_bad(r, value,
					  "write a path of printable characters, others as %%XX");
	if (*value != '/')
		return policy_bad(r, value, "write a path that begins with \"/\"");
	return keep(r, value);
}

bool read_host(struct reader *r, const char *value)
{
	if (!http1_is_host(value, strlen(value)))
		return policy_bad(r, value, "write a host name, without variables");
	return keep(r, value);
}

/* ---- lists ----------------------------------------------------------------------------------------------------- */

bool read_cidrs(struct reader *r, const char *value)
{
	struct VEC_OF(struct cidr) cidrs = { 0 };
	struct policy_cidrs *field = policy_field(r);
	const char *list = value, *item;
	bool ok = true;
	size_t len;

	while (ok && (item = setting_next(&list, &len))) {
		char text[CIDR_TEXT_LEN + 16];
		struct cidr cidr = { 0 };

		snprintf(text, sizeof(text), "%.*s", (int)len, item);
		if (len >= sizeof(text) ||
		    (strchr(text, '/') ? cidr_parse(text, &cidr) : address_parse(text, &cidr.addr)))
			ok = policy_bad(r, value, "\"%.40s\" is no address and no CIDR", text);
		else if (!strchr(text, '/'))
			cidr.len = cidr.addr.family == 4 ? 32 : 128;
		if (ok && vec_push(&cidrs, cidr) < 0) {
			r->no_memory = true;
			ok = false;
		}
	}
	if (ok && !cidrs.len)
		ok = policy_bad(r, value, "write CIDRs, separated by commas (\"10.0.0.0/8\")");
	if (ok) {
		const void *copy =
			arena_memdup(r->arena, cidrs.data, cidrs.len * sizeof(struct cidr));

		r->no_memory |= !copy;
		if (copy)
			*field = (struct policy_cidrs){ copy, cidrs.len };
		ok = copy != NULL;
	}
	vec_done(&cidrs);
	return ok;
}

bool read_tokens(struct reader *r, const char *value)
{
	struct policy_list *field = policy_field(r);
	const char **items = arena_new(r->arena, const char *, strlen(value) / 2 + 1);
	const char *list = value, *item;
	size_t len, n = 0;

	r->no_memory |= !items;
	while (items && (item = setting_next(&list, &len))) {
		if (!policy_is_token(item, len))
			return policy_bad(r, value, "write names of fields, separated by commas");
		items[n] = policy_copy(r, item, len);
		if (!items[n++])
			return false;
	}
	if (!items)
		return false;
	*field = (struct policy_list){ items, n };
	return true;
}

bool read_secret(struct reader *r, const char *value)
{
	struct policy_ref *field = policy_field(r);
	const char *slash = strchr(value, '/'), *namespace = r->in->ingress->meta.namespace;
	const char *name = slash ? slash + 1 : value;
	size_t len = slash ? (size_t)(slash - value) : strlen(namespace);

	if (slash && (len != strlen(namespace) || strncmp(value, namespace, len) != 0))
		return policy_bad(
			r, value,
			"a Secret of another namespace is never read; put it into namespace \"%s\"",
			namespace);
	if (!*name || strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-.") != strlen(name))
		return policy_bad(r, value, "write the name of a Secret");
	field->namespace = policy_copy(r, namespace, strlen(namespace));
	field->name = policy_copy(r, name, strlen(name));
	return field->namespace && field->name;
}

static bool is_ours_to_write(const char *name, size_t len)
{
	static const char *const framing[] = {
		"connection", "content-length",    "host",    "keep-alive",      "te",
		"trailer",    "transfer-encoding", "upgrade", "proxy-connection"
	};

	for (size_t i = 0; i < sizeof(framing) / sizeof(framing[0]); i++)
		if (strlen(framing[i]) == len && strncasecmp(framing[i], name, len) == 0)
			return true;
	return false;
}

#define HEADERS_MAX 16

bool read_headers(struct reader *r, const char *value)
{
	struct policy_headers *field = policy_field(r);
	struct policy_header *items = arena_new(r->arena, struct policy_header, HEADERS_MAX);
	size_t n = 0;

	r->no_memory |= !items;
	for (const char *p = value, *end; items && *p; p = *end ? end + 1 : end) {
		const char *colon, *text;
		size_t len;

		end = p + strcspn(p, "\n");
		p += strspn(p, " \t\r");
		if (p >= end)
			continue;
		colon = memchr(p, ':', (size_t)(end - p));
		len = colon ? (size_t)(colon - p) : 0;
		if (!policy_is_token(p, len))
			return policy_bad(r, value, "write \"Name: value\", one a line");
		if (is_ours_to_write(p, len))
			return policy_bad(r, value,
					  "\"%.*s\" belongs to the connection; leave it out",
					  (int)len, p);
		if (n == HEADERS_MAX)
			return policy_bad(r, value, "write at most %d fields", HEADERS_MAX);
		text = colon + 1 + strspn(colon + 1, " \t");
		while (end > text && strchr(" \t\r", end[-1]))
			end--;
		items[n].name = policy_copy(r, p, len);
		items[n].value = policy_copy(r, text, end > text ? (size_t)(end - text) : 0);
		if (!items[n].name || !items[n].value)
			return false;
		if (*items[n].value && !policy_is_text(items[n].value))
			return policy_bad(
				r, value,
				"the value of \"%s\" has a control character; leave it out",
				items[n].name);
		n++;
		end += strcspn(end, "\n");
	}
	if (!items)
		return false;
	if (!n)
		return policy_bad(r, value, "write \"Name: value\", one a line");
	*field = (struct policy_headers){ items, n };
	return true;
}

/* ---- texts with variables --------------------------------------------------------------------------------------- */

#define PARTS_MAX 32

static const struct {
	const char *name;
	enum policy_part_kind kind;
} variables[] = {
	{ "request_uri", POLICY_PART_URI },
	{ "escaped_request_uri", POLICY_PART_URI_ESCAPED },
	{ "uri", POLICY_PART_PATH },
	{ "args", POLICY_PART_ARGS },
	{ "query_string", POLICY_PART_ARGS },
	{ "remote_addr", POLICY_PART_ADDR },
	{ "the_real_ip", POLICY_PART_ADDR },
	{ "binary_remote_addr", POLICY_PART_ADDR },
	{ "host", POLICY_PART_HOST },
	{ "http_host", POLICY_PART_HOST },
	{ "best_http_host", POLICY_PART_HOST },
	{ "server_name", POLICY_PART_HOST },
	{ "scheme", POLICY_PART_SCHEME },
	{ "pass_access_scheme", POLICY_PART_SCHEME },
	{ "request_method", POLICY_PART_METHOD },
};

static const struct {
	const char *prefix;
	enum policy_part_kind kind;
} families[] = {
	{ "http_", POLICY_PART_HEADER },
	{ "cookie_", POLICY_PART_COOKIE },
	{ "arg_", POLICY_PART_ARG },
};

static bool find_variable(struct reader *r, const char *name, size_t len,
			  struct policy_part *ret_part)
{
	for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++) {
		if (strlen(variables[i].name) == len &&
		    strncmp(variables[i].name, name, len) == 0) {
			*ret_part = (struct policy_part){ variables[i].kind, NULL };
			return true;
		}
	}
	for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
		size_t skip = strlen(families[i].prefix);

		if (len > skip && strncmp(families[i].prefix, name, skip) == 0) {
			*ret_part = (struct policy_part){ families[i].kind,
							  policy_copy(r, name + skip, len - skip) };
			return true;
		}
	}
	return false;
}

/* The length of a variable at p, which is behind a '$'; 0: it is none. *ret_name is where its name begins. */
static size_t variable_len(const char *p, const char **ret_name, size_t *ret_name_len)
{
	bool braces = *p == '{';
	size_t len = strspn(p + braces,
			    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");

	if (!len || (braces && p[1 + len] != '}'))
		return 0;
	*ret_name = p + braces;
	*ret_name_len = len;
	return len + (braces ? 2 : 0);
}

int policy_parse_template(struct reader *r, const char *value, struct policy_text *ret_text,
			  char what[64])
{
	struct policy_part *part = arena_new(r->arena, struct policy_part, PARTS_MAX);
	size_t n = 0;

	r->no_memory |= !part;
	snprintf(what, 64, "too many variables");
	for (const char *p = value; part && *p;) {
		size_t text = strcspn(p, "$"), name_len = 0, len = 0;
		const char *name = NULL;

		if (n + 2 > PARTS_MAX)
			return -EINVAL;
		if (!text) {
			len = variable_len(p + 1, &name, &name_len);
			if (!len)
				text = 1 + strcspn(p + 1, "$"); /* just a '$' */
		}
		if (text) {
			part[n++] =
				(struct policy_part){ POLICY_PART_TEXT, policy_copy(r, p, text) };
			p += text;
			continue;
		}
		if (!find_variable(r, name, name_len, &part[n])) {
			snprintf(what, 64, "$%.*s", (int)(name_len < 60 ? name_len : 60), name);
			return -EINVAL;
		}
		n++;
		p += 1 + len;
	}
	if (!part || r->no_memory)
		return -ENOMEM;
	*ret_text = (struct policy_text){ part, n };
	return 0;
}

bool read_template(struct reader *r, const char *value)
{
	char what[64];
	int rc;

	if (!policy_is_text(value) || strchr(value, ' '))
		return policy_bad(r, value, "write one line without spaces");
	rc = policy_parse_template(r, value, policy_field(r), what);
	if (rc == -EINVAL)
		return policy_bad(
			r, value,
			"%s is not known; use $request_uri, $host, $scheme, $args, $remote_addr, $http_NAME, "
			"$cookie_NAME, $arg_NAME or $escaped_request_uri",
			what);
	return rc == 0;
}

bool read_match(struct reader *r, const char *value)
{
	struct match **field = policy_field(r), *match;
	char why[160];
	int rc = match_new(value, MATCH_CASE, why, sizeof(why), &match);

	if (rc == -EINVAL)
		return policy_bad(r, value, "the regular expression cannot be compiled (%s)", why);
	r->no_memory |= rc == -ENOMEM;
	if (rc == 0) {
		match_drop(*field);
		*field = match;
	}
	return rc == 0;
}

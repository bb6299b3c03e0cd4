// SPDX-License-Identifier: GPL-2.0-only
/* Reads fields, cookies and arguments of a request, and makes texts with variables. */
/* Must not know what they are for. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "ingress/gate_parts.h"
#include "ingress/match.h"

static bool is_same(const char *a, const char *b, size_t len, bool loose)
{
	for (size_t i = 0; i < len; i++) {
		int x = tolower((unsigned char)a[i]), y = tolower((unsigned char)b[i]);

		if (x != y && !(loose && x == '-' && y == '_'))
			return false;
	}
	return true;
}

struct gate_slice gate_field(const struct gate_request *q, const char *name, bool loose)
{
	size_t len = strlen(name);

	for (size_t i = 0; i < q->head->n_fields; i++) {
		const struct http1_field *f = &q->head->fields[i];

		if (f->name_len == len && is_same(q->bytes + f->name_at, name, len, loose))
			return (struct gate_slice){ q->bytes + f->value_at, f->value_len };
	}
	return (struct gate_slice){ 0 };
}

/* "name=value" in a list whose items `separator` parts. */
static struct gate_slice find_pair(const char *text, size_t len, char separator, const char *name)
{
	const char *end = text + len;
	size_t name_len = strlen(name);

	while (text < end) {
		const char *stop = memchr(text, separator, (size_t)(end - text));

		stop = stop ? stop : end;
		while (text < stop && (*text == ' ' || *text == '\t'))
			text++;
		if ((size_t)(stop - text) > name_len && text[name_len] == '=' &&
		    memcmp(text, name, name_len) == 0) {
			const char *value = text + name_len + 1;

			while (stop > value && (stop[-1] == ' ' || stop[-1] == '\t'))
				stop--;
			return (struct gate_slice){ value, (size_t)(stop - value) };
		}
		text = stop + 1;
	}
	return (struct gate_slice){ 0 };
}

struct gate_slice gate_cookie_of(const struct gate_request *q, const char *name)
{
	const struct http1_field *f = NULL;
	struct gate_slice found = { 0 };

	while (!found.at && (f = http1_field_find(q->head, q->bytes, "cookie", f)))
		found = find_pair(q->bytes + f->value_at, f->value_len, ';', name);
	return found;
}

struct gate_slice gate_arg(const struct gate_request *q, const char *name)
{
	return find_pair(q->bytes + q->head->query.at, q->head->query.len, '&', name);
}

bool gate_equals(struct gate_slice slice, const char *text)
{
	return slice.at && strlen(text) == slice.len && memcmp(slice.at, text, slice.len) == 0;
}

int gate_match(const struct gate_request *q, const struct match *match, struct gate_slice text)
{
	struct match_work *work = q->match ? q->match : match_work_new();
	struct match_groups groups;
	int rc = work ? match_run(match, work, text.at, text.len, &groups) : -ENOMEM;

	if (work != q->match)
		match_work_free(work);
	return rc;
}

bool gate_is_method(const struct gate_request *q, const char *method)
{
	return gate_equals(
		(struct gate_slice){ q->bytes + q->head->method.at, q->head->method.len }, method);
}

/* ---- making -------------------------------------------------------------------------------------------------------- */

void gate_put_uri(const struct gate_request *q, struct buf *out)
{
	const struct http1_head *head = q->head;

	if (head->path.len == 0 || q->bytes[head->path.at] != '/')
		buf_putc(out, '/');
	else
		buf_put(out, q->bytes + head->path.at, head->path.len);
	if (!head->has_query)
		return;
	buf_putc(out, '?');
	buf_put(out, q->bytes + head->query.at, head->query.len);
}

void gate_put_escaped(struct buf *out, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];

		if (isalnum(c) || (c && strchr("-._~", c)))
			buf_putc(out, (char)c);
		else
			buf_printf(out, "%%%02X", c);
	}
}

/* What a URL may not hold, as %XX; what is escaped already stays. */
static void put_safe(struct buf *out, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c <= 0x20 || c >= 0x7f || strchr("\"<>\\^`{|}", c))
			buf_printf(out, "%%%02X", c);
		else
			buf_putc(out, (char)c);
	}
}

static struct gate_slice slice_of(const struct gate_request *q, struct http1_slice s)
{
	return (struct gate_slice){ q->bytes + s.at, s.len };
}

static struct gate_slice part_of(const struct gate_request *q, const struct policy_part *part,
				 char addr[ADDRESS_TEXT_LEN])
{
	const char *text = "";

	switch (part->kind) {
	case POLICY_PART_TEXT:
		text = part->text;
		break;
	case POLICY_PART_PATH:
		return (struct gate_slice){ q->path, q->path_len };
	case POLICY_PART_ARGS:
		return slice_of(q, q->head->query);
	case POLICY_PART_HOST:
		return slice_of(q, q->head->host);
	case POLICY_PART_METHOD:
		return slice_of(q, q->head->method);
	case POLICY_PART_ADDR:
		text = address_format(&q->client, addr);
		break;
	case POLICY_PART_SCHEME:
		text = q->tls ? "https" : "http";
		break;
	case POLICY_PART_HEADER:
		return gate_field(q, part->text, true);
	case POLICY_PART_COOKIE:
		return gate_cookie_of(q, part->text);
	case POLICY_PART_ARG:
		return gate_arg(q, part->text);
	case POLICY_PART_URI:
	case POLICY_PART_URI_ESCAPED:
		break; /* not one piece */
	}
	return (struct gate_slice){ text, strlen(text) };
}

static void put_uri_escaped(const struct gate_request *q, struct buf *out)
{
	struct buf uri = { 0 };

	gate_put_uri(q, &uri);
	gate_put_escaped(out, buf_str(&uri), uri.len);
	out->failed |= uri.failed;
	buf_done(&uri);
}

static void put_parts(const struct gate_request *q, const struct policy_text *text, bool url,
		      struct buf *out)
{
	char addr[ADDRESS_TEXT_LEN];

	for (size_t i = 0; i < text->n; i++) {
		const struct policy_part *part = &text->part[i];
		struct gate_slice s;

		if (part->kind == POLICY_PART_URI) {
			gate_put_uri(q, out);
			continue;
		}
		if (part->kind == POLICY_PART_URI_ESCAPED) {
			put_uri_escaped(q, out);
			continue;
		}
		s = part_of(q, part, addr);
		if (url && s.len)
			put_safe(out, s.at, s.len);
		else if (s.len)
			buf_put(out, s.at, s.len);
	}
}

void gate_put_text(const struct gate_request *q, const struct policy_text *text, struct buf *out)
{
	put_parts(q, text, false, out);
}

void gate_put_url(const struct gate_request *q, const struct policy_text *text, struct buf *out)
{
	put_parts(q, text, true, out);
}

const char *gate_keep(struct step *s, struct buf *out)
{
	const char *copy = out->failed ? NULL : arena_strndup(s->q->arena, buf_str(out), out->len);

	s->no_memory |= !copy;
	buf_done(out);
	return copy;
}

const char *gate_printf(struct step *s, const char *format, ...)
{
	struct buf out = { 0 };
	va_list args;

	va_start(args, format);
	buf_vprintf(&out, format, args);
	va_end(args);
	return gate_keep(s, &out);
}

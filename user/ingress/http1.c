// SPDX-License-Identifier: GPL-2.0-only
/* Reads HTTP/1 heads, trailers and chunks strictly; the same verdict wherever the bytes were cut. */
/* Must not know sockets, routes or who is asking. */
#include "ingress/http1.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <string.h>
#include <strings.h>

const struct http1_limits http1_limits_request = { 8192 + HTTP1_METHOD_MAX + 10, 8192, 32768, 100 };
const struct http1_limits http1_limits_response = { 16384, 16384, 65536, 128 };
const struct http1_limits http1_limits_trailer = { 8192, 8192, 16384, 32 };

static const struct {
	uint16_t status;
	const char *text;
} faults[HTTP1_FAULTS] = {
	[HTTP1_OK] = { 200, "nothing wrong" },
	[HTTP1_BAD_BYTE] = { 400, "control byte in a head" },
	[HTTP1_BARE_CR] = { 400, "CR without LF" },
	[HTTP1_BARE_LF] = { 400, "LF without CR" },
	[HTTP1_BAD_LINE] = { 400, "first line is not HTTP" },
	[HTTP1_BAD_METHOD] = { 400, "method is no token" },
	[HTTP1_BAD_VERSION] = { 505, "version is neither HTTP/1.0 nor HTTP/1.1" },
	[HTTP1_BAD_TARGET] = { 400, "request target is no URI" },
	[HTTP1_CONNECT] = { 405, "CONNECT asks for a tunnel" },
	[HTTP1_BAD_NAME] = { 400, "field name is no token" },
	[HTTP1_NO_COLON] = { 400, "field without a colon" },
	[HTTP1_FOLDED] = { 400, "folded field" },
	[HTTP1_NO_HOST] = { 400, "Host is missing" },
	[HTTP1_TWO_HOSTS] = { 400, "more than one Host" },
	[HTTP1_BAD_HOST] = { 400, "Host is neither a name nor an address" },
	[HTTP1_BAD_LENGTH] = { 400, "Content-Length is not one decimal number" },
	[HTTP1_TWO_FRAMINGS] = { 400, "both Content-Length and Transfer-Encoding" },
	[HTTP1_BAD_CODING] = { 501, "Transfer-Encoding is not one \"chunked\"" },
	[HTTP1_BAD_CONNECTION] = { 400, "Connection is no short list of tokens" },
	[HTTP1_BAD_EXPECT] = { 417, "Expect is not 100-continue" },
	[HTTP1_BAD_STATUS] = { 400, "status is not 100 to 599" },
	[HTTP1_UNASKED_UPGRADE] = { 400, "101 that nobody asked for" },
	[HTTP1_TARGET_LONG] = { 414, "request line is too long" },
	[HTTP1_LINE_LONG] = { 431, "field is too long" },
	[HTTP1_HEAD_LONG] = { 431, "head is too long" },
	[HTTP1_MANY_FIELDS] = { 431, "too many fields" },
	[HTTP1_BAD_CHUNK] = { 400, "malformed chunk" },
	[HTTP1_CHUNK_LONG] = { 400, "chunk extensions are too long" },
};

unsigned http1_fault_status(enum http1_fault fault)
{
	return fault < HTTP1_FAULTS ? faults[fault].status : 400;
}

const char *http1_fault_text(enum http1_fault fault)
{
	return fault < HTTP1_FAULTS ? faults[fault].text : "unknown fault";
}

/* ---- bytes -------------------------------------------------------------------------------------------------- */

/* RFC 9110 5.6.2. */
static bool is_tchar(unsigned char c)
{
	static const bool token[256] = {
		['a' ... 'z'] = true, ['A' ... 'Z'] = true, ['0' ... '9'] = true, ['!'] = true,
		['#'] = true,         ['$'] = true,         ['%'] = true,         ['&'] = true,
		['\''] = true,        ['*'] = true,         ['+'] = true,         ['-'] = true,
		['.'] = true,         ['^'] = true,         ['_'] = true,         ['`'] = true,
		['|'] = true,         ['~'] = true,
	};

	return token[c];
}

static bool is_token(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!is_tchar((unsigned char)text[i]))
			return false;
	return len > 0;
}

/* What may be in a target: visible ASCII, but no fragment, and no backslash, which some readers take for '/'. */
static bool is_uri(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c <= 0x20 || c >= 0x7f || c == '#' || c == '\\')
			return false;
	}
	return true;
}

/* Eight bytes without one below 0x20 and without DEL; those above 0x7f pass. */
static bool is_plain_word(uint64_t w)
{
	const uint64_t ones = 0x0101010101010101u, tops = 0x8080808080808080u;
	uint64_t low = (w - ones * 0x20) & ~w & tops;
	uint64_t x = w ^ (ones * 0x7f);
	uint64_t del = (x - ones) & ~x & tops;

	return (low | del) ==
	       0; /* exact: a borrow only comes out of a byte that is counted anyway */
}

static bool equal(const char *text, size_t len, const char *lower)
{
	return strlen(lower) == len && strncasecmp(text, lower, len) == 0;
}

static bool starts(const char *text, size_t len, const char *lower)
{
	size_t n = strlen(lower);

	return len >= n && strncasecmp(text, lower, n) == 0;
}

/* ---- first lines -------------------------------------------------------------------------------------------- */

static enum http1_fault read_version(const char *text, size_t len, uint8_t *ret_minor)
{
	if (len != 8 || memcmp(text, "HTTP/1.", 7) != 0 || (text[7] != '0' && text[7] != '1'))
		return HTTP1_BAD_VERSION;
	*ret_minor = (uint8_t)(text[7] - '0');
	return HTTP1_OK;
}

static bool read_port(const char *text, size_t len, uint16_t *ret_port)
{
	uint32_t port = 0;

	if (len < 1 || len > 5)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		port = port * 10 + (uint32_t)(text[i] - '0');
	}
	if (port == 0 || port > 65535)
		return false;
	*ret_port = (uint16_t)port;
	return true;
}

/* Letters, digits, '-', '_' in labels of 1 to 63; one dot may end it. Returns the length without that dot, 0 if bad. */
static size_t host_name_len(const char *text, size_t len)
{
	size_t label = 0;

	if (len > 1 && text[len - 1] == '.')
		len--;
	if (len == 0 || len > 253)
		return 0;
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c == '.' ? label == 0 : !(isalnum(c) && c < 0x80) && c != '-' && c != '_')
			return 0;
		label = c == '.' ? 0 : label + 1;
		if (label > 63)
			return 0;
	}
	return label ? len : 0;
}

/* "[…]": returns its length with the brackets, 0 if it is no IPv6 address. */
static size_t host_ipv6_len(const char *text, size_t len)
{
	const char *end = memchr(text, ']', len);
	char address[INET6_ADDRSTRLEN];
	struct in6_addr binary;
	size_t n = end ? (size_t)(end - text) - 1 : 0;

	if (n == 0 || n >= sizeof(address))
		return 0;
	memcpy(address, text + 1, n);
	address[n] = '\0';
	return inet_pton(AF_INET6, address, &binary) == 1 ? n + 2 : 0;
}

/* host[:port] at bytes + at. */
static enum http1_fault read_host(const char *bytes, struct http1_slice in,
				  struct http1_slice *ret_host, uint16_t *ret_port)
{
	const char *text = bytes + in.at, *colon;
	size_t len = in.len, host;
	uint16_t port = 0;

	if (len && text[0] == '[') {
		host = host_ipv6_len(text, len);
		colon = host && host < len ? text + host : NULL;
		if (!host || (colon && *colon != ':'))
			return HTTP1_BAD_HOST;
		len = host;
	} else {
		colon = memchr(text, ':', len);
		len = colon ? (size_t)(colon - text) : len;
		host = host_name_len(text, len);
		if (!host)
			return HTTP1_BAD_HOST;
	}
	if (colon && !read_port(colon + 1, (size_t)(text + in.len - colon) - 1, &port))
		return HTTP1_BAD_HOST;
	*ret_host = (struct http1_slice){ in.at, (uint32_t)host };
	*ret_port = port;
	return HTTP1_OK;
}

bool http1_is_host(const char *text, size_t len)
{
	struct http1_slice host;
	uint16_t port;

	return len <= UINT16_MAX &&
	       read_host(text, (struct http1_slice){ 0, (uint32_t)len }, &host, &port) == HTTP1_OK;
}

static void split_query(struct http1_head *head, const char *bytes, struct http1_slice s)
{
	const char *mark = memchr(bytes + s.at, '?', s.len);
	uint32_t path_len = mark ? (uint32_t)(mark - (bytes + s.at)) : s.len;

	head->path = (struct http1_slice){ s.at, path_len };
	head->has_query = mark != NULL;
	if (mark)
		head->query = (struct http1_slice){ s.at + path_len + 1, s.len - path_len - 1 };
}

/* "http://host[:port][/path][?query]" */
static enum http1_fault read_absolute(struct http1_head *head, const char *bytes)
{
	const char *text = bytes + head->target.at;
	uint32_t len = head->target.len, skip, n;
	struct http1_slice authority;

	skip = starts(text, len, "http://") ? 7 : starts(text, len, "https://") ? 8 : 0;
	if (!skip)
		return HTTP1_BAD_TARGET;
	for (n = skip; n < len && text[n] != '/' && text[n] != '?'; n++)
		;
	authority = (struct http1_slice){ head->target.at + skip, n - skip };
	if (read_host(bytes, authority, &head->host, &head->port))
		return HTTP1_BAD_TARGET;
	split_query(head, bytes, (struct http1_slice){ head->target.at + n, len - n });
	return HTTP1_OK;
}

static enum http1_fault read_target(struct http1_head *head, const char *bytes)
{
	const char *text = bytes + head->target.at;
	uint32_t len = head->target.len;
	const char *method = bytes + head->method.at;

	if (head->method.len == 7 && memcmp(method, "CONNECT", 7) == 0)
		return HTTP1_CONNECT;
	if (len == 0 || !is_uri(text, len))
		return HTTP1_BAD_TARGET;
	if (text[0] == '/') {
		split_query(head, bytes, head->target);
		return HTTP1_OK;
	}
	if (len == 1 && text[0] == '*' && head->method.len == 7 &&
	    memcmp(method, "OPTIONS", 7) == 0) {
		head->path = head->target;
		return HTTP1_OK;
	}
	return read_absolute(head, bytes);
}

static enum http1_fault read_request_line(struct http1_head *head, const char *bytes, uint32_t at,
					  uint32_t len)
{
	const char *line = bytes + at, *one, *two;
	enum http1_fault fault;

	one = memchr(line, ' ', len);
	two = one ? memchr(one + 1, ' ', len - (size_t)(one + 1 - line)) : NULL;
	if (!one)
		return HTTP1_BAD_LINE;
	head->method = (struct http1_slice){ at, (uint32_t)(one - line) };
	if (head->method.len > HTTP1_METHOD_MAX || !is_token(line, head->method.len))
		return HTTP1_BAD_METHOD;
	if (!two)
		return HTTP1_BAD_VERSION; /* HTTP/0.9 */
	if (memchr(two + 1, ' ', len - (size_t)(two + 1 - line)))
		return HTTP1_BAD_LINE;
	fault = read_version(two + 1, len - (size_t)(two + 1 - line), &head->minor);
	if (fault)
		return fault;
	head->target =
		(struct http1_slice){ (uint32_t)(one + 1 - bytes), (uint32_t)(two - one - 1) };
	return read_target(head, bytes);
}

/* "HTTP/1.1 200[ reason]" */
static enum http1_fault read_status_line(struct http1_head *head, const char *bytes, uint32_t at,
					 uint32_t len)
{
	const char *line = bytes + at;
	enum http1_fault fault;

	if (len < 12 || line[8] != ' ')
		return HTTP1_BAD_LINE;
	fault = read_version(line, 8, &head->minor);
	if (fault)
		return fault;
	for (int i = 9; i < 12; i++) {
		if (line[i] < '0' || line[i] > '9')
			return HTTP1_BAD_STATUS;
		head->status = (uint16_t)(head->status * 10 + (line[i] - '0'));
	}
	if (head->status < 100 || head->status > 599)
		return HTTP1_BAD_STATUS;
	if (len > 12 && line[12] != ' ')
		return HTTP1_BAD_STATUS;
	if (len > 13)
		head->reason = (struct http1_slice){ at + 13, len - 13 };
	return HTTP1_OK;
}

/* ---- fields ------------------------------------------------------------------------------------------------- */

static enum http1_name name_of(const char *name, size_t len)
{
	static const struct {
		const char *text;
		size_t len;
		enum http1_name name;
	} known[] = {
		{ "host", 4, HTTP1_HOST },
		{ "content-length", 14, HTTP1_CONTENT_LENGTH },
		{ "transfer-encoding", 17, HTTP1_TRANSFER_ENCODING },
		{ "connection", 10, HTTP1_CONNECTION },
		{ "keep-alive", 10, HTTP1_KEEP_ALIVE },
		{ "proxy-connection", 16, HTTP1_PROXY_CONNECTION },
		{ "te", 2, HTTP1_TE },
		{ "trailer", 7, HTTP1_TRAILER_NAMES },
		{ "upgrade", 7, HTTP1_UPGRADE },
		{ "http2-settings", 14, HTTP1_HTTP2_SETTINGS },
		{ "expect", 6, HTTP1_EXPECT },
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (known[i].len == len && strncasecmp(name, known[i].text, len) == 0)
			return known[i].name;
	return HTTP1_OTHER;
}

/* Written anew from what they mean, or for the next hop only: never copied. */
static bool is_of_connection(enum http1_name name)
{
	switch (name) {
	case HTTP1_CONNECTION:
	case HTTP1_KEEP_ALIVE:
	case HTTP1_PROXY_CONNECTION:
	case HTTP1_TE:
	case HTTP1_UPGRADE:
	case HTTP1_HTTP2_SETTINGS:
	case HTTP1_CONTENT_LENGTH:
	case HTTP1_TRANSFER_ENCODING:
		return true;
	default:
		return false;
	}
}

/* What must not come behind a body (RFC 9110 6.5.1): it would frame, route, or let somebody in. */
static bool is_no_trailer(const char *name, size_t len, enum http1_name known)
{
	static const char *const barred[] = { "authorization",       "cookie",
					      "set-cookie",          "content-encoding",
					      "content-type",        "content-range",
					      "cache-control",       "max-forwards",
					      "proxy-authorization", "range" };

	if (known != HTTP1_OTHER || starts(name, len, "x-forwarded-"))
		return true;
	for (size_t i = 0; i < sizeof(barred) / sizeof(barred[0]); i++)
		if (equal(name, len, barred[i]))
			return true;
	return false;
}

static enum http1_fault read_field(struct http1_head *head, const char *bytes, uint32_t at,
				   uint32_t len)
{
	const char *line = bytes + at, *colon, *value, *end = line + len;
	struct http1_field *field;
	enum http1_name name;
	size_t name_len;

	if (line[0] == ' ' || line[0] == '\t')
		return HTTP1_FOLDED;
	colon = memchr(line, ':', len);
	if (!colon)
		return HTTP1_NO_COLON;
	name_len = (size_t)(colon - line);
	if (!is_token(line, name_len))
		return HTTP1_BAD_NAME;
	if (++head->counts > head->limits->fields)
		return HTTP1_MANY_FIELDS;
	name = name_of(line, name_len);
	if ((head->kind == HTTP1_REQUEST && memchr(line, '_', name_len)) ||
	    (head->kind == HTTP1_TRAILER &&
	     (memchr(line, '_', name_len) || is_no_trailer(line, name_len, name)))) {
		head->dropped++;
		return HTTP1_OK;
	}
	for (value = colon + 1; value < end && (*value == ' ' || *value == '\t'); value++)
		;
	while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	/* There are readers that take a tab for part of the value, and then the body for something else. */
	if ((name == HTTP1_CONTENT_LENGTH || name == HTTP1_TRANSFER_ENCODING) &&
	    memchr(colon, '\t', (size_t)(line + len - colon)))
		return name == HTTP1_CONTENT_LENGTH ? HTTP1_BAD_LENGTH : HTTP1_BAD_CODING;
	field = &head->fields[head->n_fields++];
	*field = (struct http1_field){ .name_at = at,
				       .value_at = (uint32_t)(value - bytes),
				       .name_len = (uint16_t)name_len,
				       .value_len = (uint16_t)(end - value),
				       .name = (uint8_t)name,
				       .connection = is_of_connection(name) };
	return HTTP1_OK;
}

const struct http1_field *http1_field_find(const struct http1_head *head, const char *bytes,
					   const char *name, const struct http1_field *after)
{
	size_t len = strlen(name);

	for (size_t i = after ? (size_t)(after - head->fields) + 1 : 0; i < head->n_fields; i++) {
		const struct http1_field *f = &head->fields[i];

		if (f->name_len == len && (bytes[f->name_at] | 0x20) == (*name | 0x20) &&
		    strncasecmp(bytes + f->name_at, name, len) == 0)
			return f;
	}
	return NULL;
}

/* ---- what the head says as a whole ---------------------------------------------------------------------------- */

/* The fields of a name: their number, and the last. */
static unsigned count(const struct http1_head *head, enum http1_name name,
		      const struct http1_field **ret_field)
{
	unsigned n = 0;

	for (size_t i = 0; i < head->n_fields; i++)
		if (head->fields[i].name == name) {
			n++;
			*ret_field = &head->fields[i];
		}
	return n;
}

/* An option of Connection: what it says, or the fields it takes away. Framing, Host and what a proxy sets about the
 * client stay: a client must not be able to remove them. */
static void take_option(struct http1_head *head, const char *bytes, const char *option, size_t len,
			bool *upgrade)
{
	if (equal(option, len, "close"))
		head->close = true;
	else if (equal(option, len, "keep-alive"))
		head->keep_alive = true;
	else if (equal(option, len, "upgrade"))
		*upgrade = true;
	if (starts(option, len, "x-forwarded-") || equal(option, len, "forwarded") ||
	    equal(option, len, "x-real-ip") || equal(option, len, "x-request-id") ||
	    equal(option, len, "authorization") || equal(option, len, "cookie"))
		return;
	for (size_t i = 0; i < head->n_fields; i++) {
		struct http1_field *f = &head->fields[i];

		if (f->name == HTTP1_OTHER && f->name_len == len &&
		    strncasecmp(bytes + f->name_at, option, len) == 0)
			f->connection = true;
	}
}

static enum http1_fault read_connection(struct http1_head *head, const char *bytes,
					bool *ret_upgrade)
{
	unsigned options = 0;

	for (size_t i = 0; i < head->n_fields; i++) {
		const struct http1_field *f = &head->fields[i];
		const char *p = bytes + f->value_at, *end = p + f->value_len, *stop;

		if (f->name != HTTP1_CONNECTION)
			continue;
		for (; p < end; p = stop + 1) {
			const char *last;

			stop = memchr(p, ',', (size_t)(end - p));
			stop = stop ? stop : end;
			while (p < stop && (*p == ' ' || *p == '\t'))
				p++;
			for (last = stop; last > p && (last[-1] == ' ' || last[-1] == '\t'); last--)
				;
			if (++options > HTTP1_OPTIONS_MAX)
				return HTTP1_BAD_CONNECTION;
			if (last == p)
				continue; /* an empty element means nothing (RFC 9110 5.6.1) */
			if (!is_token(p, (size_t)(last - p)))
				return HTTP1_BAD_CONNECTION;
			take_option(head, bytes, p, (size_t)(last - p), ret_upgrade);
		}
	}
	return HTTP1_OK;
}

/* One protocol, and none that would put a parser out of play (HTTP/2, TLS). */
static void read_upgrade(struct http1_head *head, const char *bytes, bool named)
{
	const struct http1_field *f = NULL;
	const char *text;

	if (!named || head->minor == 0 || count(head, HTTP1_UPGRADE, &f) != 1)
		return;
	text = bytes + f->value_at;
	if (starts(text, f->value_len, "h2") || starts(text, f->value_len, "http") ||
	    starts(text, f->value_len, "tls"))
		return;
	for (size_t i = 0; i < f->value_len; i++)
		if (!is_tchar((unsigned char)text[i]) && text[i] != '/')
			return;
	head->upgrade = (struct http1_slice){ f->value_at, f->value_len };
}

static enum http1_fault read_length(struct http1_head *head, const char *bytes)
{
	const struct http1_field *f = NULL;
	unsigned n = count(head, HTTP1_CONTENT_LENGTH, &f);
	uint64_t value = 0;

	if (n == 0)
		return HTTP1_OK;
	if (n > 1 || f->value_len == 0 || f->value_len > 18) /* 18 digits fit 63 bits */
		return HTTP1_BAD_LENGTH;
	for (size_t i = 0; i < f->value_len; i++) {
		char c = bytes[f->value_at + i];

		if (c < '0' || c > '9')
			return HTTP1_BAD_LENGTH;
		value = value * 10 + (uint64_t)(c - '0');
	}
	head->has_length = true;
	head->length = value;
	return HTTP1_OK;
}

/* RFC 9112 6: the one framing, or a fault. *ret_chunked is set for Transfer-Encoding: chunked. */
static enum http1_fault read_framing(struct http1_head *head, const char *bytes, bool *ret_chunked)
{
	const struct http1_field *te = NULL, *cl = NULL;
	unsigned codings = count(head, HTTP1_TRANSFER_ENCODING, &te);
	enum http1_fault fault;

	if (codings && count(head, HTTP1_CONTENT_LENGTH, &cl))
		return HTTP1_TWO_FRAMINGS;
	if (codings && (codings > 1 || head->minor == 0 ||
			!equal(bytes + te->value_at, te->value_len, "chunked")))
		return HTTP1_BAD_CODING;
	fault = read_length(head, bytes);
	if (fault)
		return fault;
	*ret_chunked = codings == 1;
	return HTTP1_OK;
}

static enum http1_fault finish_host(struct http1_head *head, const char *bytes)
{
	const struct http1_field *f = NULL;
	unsigned n = count(head, HTTP1_HOST, &f);
	struct http1_slice host;
	enum http1_fault fault;
	uint16_t port;

	if (n == 0)
		return head->minor ? HTTP1_NO_HOST : HTTP1_OK;
	if (n > 1)
		return HTTP1_TWO_HOSTS;
	fault = read_host(bytes, (struct http1_slice){ f->value_at, f->value_len }, &host, &port);
	if (fault || head->host.len) /* the target's authority wins (RFC 9112 3.2.2) */
		return fault;
	head->host = host;
	head->port = port;
	return HTTP1_OK;
}

static enum http1_fault finish_request(struct http1_head *head, const char *bytes, bool chunked)
{
	const struct http1_field *f = NULL;
	enum http1_fault fault = finish_host(head, bytes);
	unsigned n;

	if (fault)
		return fault;
	n = count(head, HTTP1_EXPECT, &f);
	if (n > 1 || (n && !equal(bytes + f->value_at, f->value_len, "100-continue")))
		return HTTP1_BAD_EXPECT;
	head->expects_continue = n && head->minor;
	head->body = chunked ? HTTP1_CHUNKED : head->length ? HTTP1_LENGTH : HTTP1_NO_BODY;
	head->body_len = chunked ? 0 : head->length;
	return HTTP1_OK;
}

static enum http1_fault finish_response(struct http1_head *head, bool chunked)
{
	bool bodyless = head->for_head || head->status < 200 || head->status == 204 ||
			head->status == 304;

	if (head->status == 101) {
		if (!head->asked_upgrade || !head->upgrade.len)
			return HTTP1_UNASKED_UPGRADE;
		head->body = HTTP1_TUNNEL;
		head->reusable = false;
		return HTTP1_OK;
	}
	if (bodyless) {
		head->body = HTTP1_NO_BODY;
		/* A body announced where none can be: what follows is anybody's guess. */
		if ((head->status < 200 || head->status == 204) && (chunked || head->length))
			head->reusable = false;
		return HTTP1_OK;
	}
	if (chunked) {
		head->body = HTTP1_CHUNKED;
	} else if (head->has_length) {
		head->body = head->length ? HTTP1_LENGTH : HTTP1_NO_BODY;
		head->body_len = head->length;
	} else {
		head->body = HTTP1_UNTIL_CLOSE;
		head->reusable = false;
	}
	return HTTP1_OK;
}

static enum http1_fault finish(struct http1_head *head, const char *bytes)
{
	bool chunked = false, upgrade = false;
	enum http1_fault fault;

	if (head->kind == HTTP1_TRAILER)
		return HTTP1_OK;
	fault = read_connection(head, bytes, &upgrade);
	if (!fault)
		fault = read_framing(head, bytes, &chunked);
	if (fault)
		return fault;
	read_upgrade(head, bytes, upgrade);
	head->reusable = !head->close && (head->minor || head->keep_alive);
	return head->kind == HTTP1_REQUEST ? finish_request(head, bytes, chunked)
					   : finish_response(head, chunked);
}

/* ---- lines -------------------------------------------------------------------------------------------------- */

void http1_head_init(struct http1_head *head, enum http1_kind kind,
		     const struct http1_limits *limits)
{
	memset(head, 0, offsetof(struct http1_head, fields));
	memset(&head->kind, 0, sizeof(*head) - offsetof(struct http1_head, kind));
	head->kind = kind;
	head->limits = limits;
}

void http1_head_answers(struct http1_head *head, bool is_head, bool asked_upgrade)
{
	head->for_head = is_head;
	head->asked_upgrade = asked_upgrade;
}

/* The line may be this long, and passing it is that fault: whichever of the two limits comes first. */
static uint32_t room(const struct http1_head *head, enum http1_fault *ret_fault)
{
	bool first = head->kind != HTTP1_TRAILER && head->lines == 0;
	uint32_t line = (first ? head->limits->first_line : head->limits->line) + 2;
	uint32_t left = head->limits->head - head->line_at;

	if (left < line) {
		*ret_fault = HTTP1_HEAD_LONG;
		return left;
	}
	*ret_fault = first && head->kind == HTTP1_REQUEST ? HTTP1_TARGET_LONG : HTTP1_LINE_LONG;
	return line;
}

/* Looks at bytes not seen yet, up to the end of a line. 1: the line ends before head->seen; 0: more is needed. */
static int scan_line(struct http1_head *head, const char *bytes, size_t len)
{
	enum http1_fault too_long;
	size_t at = head->seen, end = (size_t)head->line_at + room(head, &too_long);

	if (end > len)
		end = len;
	for (; at < end; at++) {
		unsigned char c;
		uint64_t word;

		while (end - at >= sizeof(word)) {
			if (at > head->line_at && bytes[at - 1] == '\r')
				break;
			memcpy(&word, bytes + at, sizeof(word));
			if (!is_plain_word(word))
				break;
			at += sizeof(word);
		}
		if (at == end)
			break;
		c = (unsigned char)bytes[at];
		if (at > head->line_at && bytes[at - 1] == '\r' && c != '\n')
			return -(int)HTTP1_BARE_CR;
		if (c == '\n') {
			if (at == head->line_at || bytes[at - 1] != '\r')
				return -(int)HTTP1_BARE_LF;
			head->seen = (uint32_t)at + 1;
			return 1;
		}
		if ((c < 0x20 && c != '\t' && c != '\r') || c == 0x7f)
			return -(int)HTTP1_BAD_BYTE;
	}
	head->seen = (uint32_t)at;
	return at < len ? -(int)too_long : 0;
}

/* A finished line without its CRLF. 1: it was the last. */
static int take_line(struct http1_head *head, const char *bytes, uint32_t at, uint32_t len)
{
	enum http1_fault fault;

	if (head->kind != HTTP1_TRAILER && head->lines == 0) {
		if (len == 0 && head->kind == HTTP1_REQUEST && !head->blank) {
			head->blank =
				true; /* RFC 9112 2.2: one CRLF too many behind the last body */
			return 0;
		}
		fault = head->kind == HTTP1_REQUEST ? read_request_line(head, bytes, at, len)
						    : read_status_line(head, bytes, at, len);
	} else if (len == 0) {
		fault = finish(head, bytes);
		if (!fault)
			return 1;
	} else {
		fault = read_field(head, bytes, at, len);
	}
	head->lines++;
	return -(int)fault;
}

int http1_head_read(struct http1_head *head, const char *bytes, size_t len)
{
	while (!head->fault && !head->done) {
		int rc = scan_line(head, bytes, len);

		if (rc == 0)
			return HTTP1_PARTIAL;
		if (rc > 0)
			rc = take_line(head, bytes, head->line_at, head->seen - head->line_at - 2);
		if (rc < 0)
			head->fault = (enum http1_fault) - rc;
		head->done = rc > 0;
		head->line_at = head->seen;
	}
	return head->fault ? -(int)head->fault : (int)head->seen;
}

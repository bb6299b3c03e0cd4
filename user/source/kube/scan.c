// SPDX-License-Identifier: GPL-2.0-only
/* Finds where the objects of a list or stream begin and end. */
/* Must not know what is in an object, nor how its bytes came here. */
#include "source/kube/scan.h"

#include <errno.h>
#include <string.h>

#include "base/digit.h"

void scan_init(struct scan *scan, enum scan_kind kind, scan_fn *fn, void *ctx)
{
	memset(scan, 0, sizeof(*scan));
	scan->kind = kind;
	scan->fn = fn;
	scan->ctx = ctx;
}

void scan_done(struct scan *scan)
{
	buf_done(&scan->part);
	buf_done(&scan->rest);
}

bool scan_is_whole(const struct scan *scan)
{
	return !scan->code && (scan->kind == SCAN_LIST ? scan->whole : scan->depth == 0);
}

/* Are the bytes at this place those of a list's frame, and not of one of its items? */
static bool in_rest(const struct scan *s)
{
	return s->kind == SCAN_LIST && (!s->in_items || s->depth < 3);
}

static int keep(struct scan *s, char c)
{
	struct buf *buf = in_rest(s) ? &s->rest : &s->part;

	if (buf->len >= SCAN_OBJECT_MAX)
		return -EFBIG;
	return buf_putc(buf, c);
}

static void spoil(struct scan *s)
{
	if (in_rest(s))
		s->rest_spoilt = true;
	else
		s->spoilt = true;
}

/* What was kept of a character that turned out to be none. */
static void blot(struct scan *s)
{
	struct buf *buf = in_rest(s) ? &s->rest : &s->part;

	for (; s->utf8_have && s->utf8_have <= buf->len; s->utf8_have--)
		buf->data[buf->len - s->utf8_have] = '?';
	s->utf8_have = s->utf8_left = 0;
	spoil(s);
}

static int hand_over(struct scan *s, enum scan_part part)
{
	struct buf *buf = part == SCAN_REST ? &s->rest : &s->part;
	bool *spoilt = part == SCAN_REST ? &s->rest_spoilt : &s->spoilt;
	int rc = s->fn(s->ctx, part, buf_str(buf), buf->len, *spoilt);

	buf_reset(buf);
	*spoilt = false;
	return rc;
}

/* ---- inside of strings ------------------------------------------------------------------------------ */

/* RFC 3629, section 4: bounds of the byte behind the first one. How many bytes follow; -1: no first byte of any. */
static int utf8_begin(struct scan *s, uint8_t c)
{
	s->utf8_low = 0x80;
	s->utf8_high = 0xbf;
	if (c >= 0xc2 && c <= 0xdf)
		return 1;
	if (c >= 0xe0 && c <= 0xef) {
		s->utf8_low = c == 0xe0 ? 0xa0 : 0x80;
		s->utf8_high = c == 0xed ? 0x9f : 0xbf;
		return 2;
	}
	if (c >= 0xf0 && c <= 0xf4) {
		s->utf8_low = c == 0xf0 ? 0x90 : 0x80;
		s->utf8_high = c == 0xf4 ? 0x8f : 0xbf;
		return 3;
	}
	return -1;
}

/* Checks a byte above ASCII, or one where such a byte must come. What is to be kept in its place. */
static char check_utf8(struct scan *s, uint8_t c)
{
	int left;

	if (s->utf8_left) {
		if (c >= s->utf8_low && c <= s->utf8_high) {
			s->utf8_have = --s->utf8_left ? s->utf8_have + 1 : 0;
			s->utf8_low = 0x80;
			s->utf8_high = 0xbf;
			return (char)c;
		}
		blot(s);
		if (c < 0x80)
			return (char)c;
	}
	left = utf8_begin(s, c);
	if (left > 0) {
		s->utf8_left = (unsigned)left;
		s->utf8_have = 1;
		return (char)c;
	}
	spoil(s);
	return '?';
}

/* \uXXXX with four zeros would end the string early for whoever parses it. */
static void check_hex(struct scan *s, uint8_t c)
{
	int digit = digit_hex(c);

	if (digit < 0) { /* the parser will refuse it */
		s->hex_left = 0;
		return;
	}
	s->hex = s->hex << 4 | (unsigned)digit;
	if (--s->hex_left == 0 && s->hex == 0)
		spoil(s);
}

static void note_key(struct scan *s, char c)
{
	if (s->kind != SCAN_LIST || s->depth != 1)
		return;
	if (s->key_len < sizeof(s->key))
		s->key[s->key_len] = c;
	s->key_len++;
}

static int in_string(struct scan *s, uint8_t c)
{
	if (c >= 0x80 || s->utf8_left)
		c = (uint8_t)check_utf8(s, c);
	if (c == 0) {
		spoil(s);
		c = '?';
	}
	if (s->hex_left)
		check_hex(s, c);
	if (s->escaped) {
		s->escaped = false;
		if (c == 'u') {
			s->hex_left = 4;
			s->hex = 0;
		}
	} else if (c == '\\') {
		s->escaped = true;
	} else if (c == '"') {
		s->in_string = false;
		s->hex_left = 0;
		return keep(s, (char)c);
	}
	note_key(s, (char)c);
	return keep(s, (char)c);
}

/* ---- between them ----------------------------------------------------------------------------------- */

static bool is_space(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool key_is_items(const struct scan *s)
{
	return s->key_len == 5 && memcmp(s->key, "items", 5) == 0;
}

static int open_bracket(struct scan *s, char c)
{
	if (s->depth >= SCAN_DEPTH_MAX)
		return -EBADMSG;
	if (s->kind == SCAN_LIST && s->depth == 1 && c == '[' && s->is_items) {
		if (s->any_item) /* two members `items`: which one would hold? */
			return -EBADMSG;
		s->in_items = s->any_item = true;
		s->want_comma = false;
	}
	if (c == '[')
		s->square |= UINT64_C(1) << s->depth;
	else
		s->square &= ~(UINT64_C(1) << s->depth);
	s->depth++;
	return keep(s, c);
}

static int close_bracket(struct scan *s, char c)
{
	int rc;

	if (s->depth == 0 || (s->square >> (s->depth - 1) & 1) != (c == ']'))
		return -EBADMSG;
	rc = keep(s, c);
	s->depth--;
	if (rc < 0)
		return rc;
	if (s->kind == SCAN_STREAM)
		return s->depth == 0 ? hand_over(s, SCAN_OBJECT) : 0;
	if (s->in_items && s->depth == 2) {
		s->want_comma = true;
		return hand_over(s, SCAN_OBJECT);
	}
	if (s->in_items && s->depth == 1)
		s->in_items = false;
	if (s->depth == 0) {
		s->whole = true;
		return hand_over(s, SCAN_REST);
	}
	return 0;
}

/* Directly in `items`: objects with commas between them, and nothing else. */
static int between_items(struct scan *s, uint8_t c)
{
	if (is_space(c))
		return 0;
	if (c == ']')
		return close_bracket(s, ']');
	if (c == ',' && s->want_comma) {
		s->want_comma = false;
		return 0;
	}
	if (c == '{' && !s->want_comma)
		return open_bracket(s, '{');
	return -EBADMSG;
}

static int outside(struct scan *s, uint8_t c)
{
	if (is_space(c))
		return 0;
	return c == '{' && !s->whole ? open_bracket(s, '{') : -EBADMSG;
}

static int take(struct scan *s, uint8_t c)
{
	if (s->in_string)
		return in_string(s, c);
	if (s->depth == 0)
		return outside(s, c);
	if (s->in_items && s->depth == 2)
		return between_items(s, c);
	switch (c) {
	case '"':
		s->in_string = true;
		s->key_len = s->depth == 1 ? 0 : s->key_len;
		return keep(s, '"');
	case '{':
	case '[':
		return open_bracket(s, (char)c);
	case '}':
	case ']':
		return close_bracket(s, (char)c);
	case ':':
		if (s->depth == 1)
			s->is_items = key_is_items(s);
		return keep(s, ':');
	default: /* letters of null and true, digits: others are for the parser to refuse */
		return c < ' ' && !is_space(c) ? -EBADMSG : c < 0x7f ? keep(s, (char)c) : -EBADMSG;
	}
}

int scan_feed(struct scan *scan, const char *bytes, size_t len)
{
	size_t i;

	for (i = 0; i < len && !scan->code; i++)
		scan->code = take(scan, (uint8_t)bytes[i]);
	if (scan->kind == SCAN_LIST) {
		scan->seen += i;
		if (!scan->code && scan->seen > SCAN_LIST_MAX)
			scan->code = -EFBIG;
	}
	return scan->code;
}

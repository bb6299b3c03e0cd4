// SPDX-License-Identifier: GPL-2.0-only
/*
 * How the product reads a batch of inputs, and what it forwards. Said in the words of readers.py; judges nothing.
 *
 *	ours FORWARDED <INPUTS >READINGS      FORWARDED: a batch again, what an origin would be sent for each input
 */
/* link: user/ingress/http1.c user/ingress/http1_chunk.c user/ingress/http1_write.c user/ingress/path.c user/base/buf.c */
#include <errno.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ingress/http1.h"
#include "ingress/path.h"

#define RESPONSE 1u /* flags of an input; else it is a request */
#define HEAD     2u /* the response answers HEAD */

struct message {
	struct http1_head head;
	struct buf body;
	struct http1_head trailer;
	const char *trailer_bytes;
	bool has_trailer;
};

static void must(bool fine, const char *what)
{
	if (fine)
		return;
	fprintf(stderr, "ours: %s\n", what);
	exit(1);
}

static void hex(const char *bytes, size_t len)
{
	if (!len)
		putchar('-');
	for (size_t i = 0; i < len; i++)
		printf("%02x", (unsigned char)bytes[i]);
}

static void slice(const char *bytes, struct http1_slice s)
{
	hex(bytes + s.at, s.len);
}

static void print_fields(const struct http1_head *head, const char *bytes)
{
	putchar(' ');
	if (!head || !head->n_fields)
		putchar('-');
	for (size_t i = 0; head && i < head->n_fields; i++) {
		const struct http1_field *f = &head->fields[i];

		if (i)
			putchar(',');
		hex(bytes + f->name_at, f->name_len);
		putchar('=');
		hex(bytes + f->value_at, f->value_len);
	}
}

static void print_message(const struct message *m, const char *bytes, bool is_first)
{
	const struct http1_head *head = &m->head;

	if (!is_first)
		putchar('\t');
	if (head->kind == HTTP1_REQUEST) {
		slice(bytes, head->method);
		putchar(' ');
		slice(bytes, head->target);
		putchar(' ');
		slice(bytes, head->host);
	} else {
		printf("=%u - -", head->status);
	}
	printf(" %u %s ", head->minor, head->body == HTTP1_CHUNKED ? "chunked" : "plain");
	hex(m->body.data, m->body.len);
	print_fields(head, bytes);
	print_fields(m->has_trailer ? &m->trailer : NULL, m->trailer_bytes);
	printf(" %s", bytes[0] == '\r' ? "blank"
				       : "-"); /* the empty line that may come before a request */
}

/* The body behind a head; its length with all framing, or -1: incomplete or refused. */
static ssize_t read_chunks(struct message *m, const char *bytes, size_t len)
{
	struct http1_chunks chunks = { 0 };
	size_t at = 0;

	for (;;) {
		size_t used, n;
		const char *data;
		int rc = http1_chunks_read(&chunks, bytes + at, len - at, &used, &data, &n);

		if (rc < 0)
			return -1;
		at += used;
		if (rc == HTTP1_CHUNK_DATA)
			must(buf_put(&m->body, data, n) == 0, "no memory");
		else if (rc == HTTP1_CHUNK_LAST)
			break;
		else if (at == len)
			return -1;
	}
	http1_head_init(&m->trailer, HTTP1_TRAILER, &http1_limits_trailer);
	m->trailer_bytes = bytes + at;
	m->has_trailer = true;
	int n = http1_head_read(&m->trailer, bytes + at, len - at);

	return n > 0 ? (ssize_t)at + n : -1;
}

static ssize_t read_body(struct message *m, const char *bytes, size_t len)
{
	size_t n = 0;

	if (m->head.body == HTTP1_CHUNKED)
		return read_chunks(m, bytes, len);
	if (m->head.body == HTTP1_LENGTH) {
		if (m->head.body_len > len)
			return -1;
		n = (size_t)m->head.body_len;
	} else if (m->head.body == HTTP1_UNTIL_CLOSE) {
		n = len;
	}
	must(buf_put(&m->body, bytes, n) == 0, "no memory");
	return (ssize_t)n;
}

/* As the proxy would: head and body written anew, in the framing they came in. */
static void forward(const struct message *m, const char *bytes, struct buf *out)
{
	struct http1_out o = { .body = m->head.body, .body_len = m->head.body_len, .minor = 1 };
	int rc;

	if (m->head.kind == HTTP1_REQUEST) {
		if (!m->head.host.len)
			o.host = "nameless.test"; /* whoever routes HTTP/1.0 names one */
		rc = http1_write_request(out, &m->head, bytes, &o);
	} else {
		o.close = m->head.body == HTTP1_UNTIL_CLOSE;
		rc = http1_write_response(out, &m->head, bytes, &o);
	}
	must(rc == 0, "what was read cannot be written");
	if (m->head.body != HTTP1_CHUNKED) {
		buf_put(out, m->body.data, m->body.len);
		return;
	}
	if (m->body.len) {
		buf_printf(out, "%zx\r\n", m->body.len);
		buf_put(out, m->body.data, m->body.len);
		buf_puts(out, "\r\n");
	}
	must(http1_write_last_chunk(out, &m->trailer, m->trailer_bytes) == 0, "no last chunk");
}

static void message_init(struct message *m, uint32_t flags)
{
	bool is_response = flags & RESPONSE;

	memset(m, 0, sizeof(*m));
	http1_head_init(&m->head, is_response ? HTTP1_RESPONSE : HTTP1_REQUEST,
			is_response ? &http1_limits_response : &http1_limits_request);
	if (is_response)
		http1_head_answers(&m->head, flags & HEAD, false);
}

static bool is_last(const struct message *m)
{
	return m->head.kind == HTTP1_RESPONSE ? m->head.status >= 200 : !m->head.reusable;
}

/* A path that cannot be matched is refused before anything is forwarded. */
static bool is_path(const struct http1_head *head, const char *bytes)
{
	struct buf path = { 0 };
	size_t len;
	bool is;

	if (head->kind == HTTP1_RESPONSE || !head->path.len || bytes[head->path.at] == '*')
		return true;
	must(buf_reserve(&path, head->path.len + 1) == 0, "no memory");
	is = path_normalise(bytes + head->path.at, head->path.len, path.data, &len) == 0;
	buf_done(&path);
	return is;
}

/* Complete messages until the first that is not, or that nothing may follow. */
static void read_input(uint32_t flags, const char *bytes, size_t len, struct buf *out)
{
	static struct message m;
	size_t at = 0;
	bool last = false;

	while (at < len && !last) {
		ssize_t body;
		int n;

		message_init(&m, flags);
		n = http1_head_read(&m.head, bytes + at, len - at);
		if (n > 0 && !is_path(&m.head, bytes + at))
			break;
		body = n > 0 ? read_body(&m, bytes + at + n, len - at - (size_t)n) : -1;
		if (body >= 0) {
			print_message(&m, bytes + at, at == 0);
			forward(&m, bytes + at, out);
			at += (size_t)n + (size_t)body;
			last = is_last(&m);
		}
		buf_done(&m.body);
		if (body < 0)
			break;
	}
	putchar('\n');
}

int main(int argc, char **argv)
{
	uint32_t head[2];
	FILE *forwarded;

	must(argc == 2, "usage: ours FORWARDED <INPUTS >READINGS");
	forwarded = fopen(argv[1], "wb");
	must(forwarded != NULL, argv[1]);
	while (fread(head, sizeof(head), 1, stdin) == 1) {
		char *bytes =
			malloc(head[1] ? head[1] : 1); /* of this size: a read beyond it is seen */
		struct buf out = { 0 };

		must(bytes && fread(bytes, 1, head[1], stdin) == head[1], "a short batch");
		read_input(head[0], bytes, head[1], &out);
		must(!out.failed, "no memory");
		head[1] = (uint32_t)out.len;
		fwrite(head, sizeof(head), 1, forwarded);
		fwrite(buf_str(&out), 1, out.len, forwarded);
		buf_done(&out);
		free(bytes);
	}
	must(fclose(forwarded) == 0 && fflush(stdout) == 0, "cannot write");
	return 0;
}

/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef INGRESS_HTTP1_H
#define INGRESS_HTTP1_H

/*
 * HTTP/1.1 heads, trailers and chunks, both directions (RFC 9110, RFC 9112), stricter than they demand: whatever two
 * readers could take differently is refused. No I/O and no memory of its own.
 *
 * Reading is incremental. The caller keeps the bytes of a head together from its first byte on and calls
 * http1_head_read() whenever there are more; nothing is looked at twice, and the result does not depend on where the
 * bytes were cut. What was found are slices: offsets into that buffer, which may therefore move.
 *
 *	struct http1_head head;
 *
 *	http1_head_init(&head, HTTP1_REQUEST, &http1_limits_request);
 *	while ((n = http1_head_read(&head, bytes, len)) == HTTP1_PARTIAL)
 *		… read more behind bytes + len …
 *	n > 0: the head is n bytes long, the body begins there; n < 0: -(enum http1_fault), refuse and close
 *
 * Writing makes a new head from the parts. No byte of a received line reaches a written one without having been
 * checked, fields that belong to one connection are left out, and there is exactly one framing.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

#define HTTP1_PARTIAL     0   /* not an error: more bytes are needed */
#define HTTP1_FIELDS_MAX  128 /* room in a head; limits may ask for less */
#define HTTP1_METHOD_MAX  32
#define HTTP1_OPTIONS_MAX 16 /* options in all Connection fields of a head */

/* Why something is refused; http1_fault_status() and http1_fault_text() say it to clients and people. */
enum http1_fault {
	HTTP1_OK,
	HTTP1_BAD_BYTE, /* a control byte, NUL among them */
	HTTP1_BARE_CR,  /* CR without LF behind it */
	HTTP1_BARE_LF,  /* LF without CR before it */
	HTTP1_BAD_LINE, /* a first line that is not three words (a status line: version and code) */
	HTTP1_BAD_METHOD,     /* no token, or longer than any method */
	HTTP1_BAD_VERSION,    /* not HTTP/1.0 or HTTP/1.1 */
	HTTP1_BAD_TARGET,     /* none of the forms of RFC 9112 3.2, or a byte no URI has */
	HTTP1_CONNECT,        /* a tunnel is asked for */
	HTTP1_BAD_NAME,       /* empty, no token, or space before the colon */
	HTTP1_NO_COLON,       /* a line that is no field */
	HTTP1_FOLDED,         /* a line that begins with white space (obs-fold) */
	HTTP1_NO_HOST,        /* HTTP/1.1 without Host */
	HTTP1_TWO_HOSTS,      /* more than one Host */
	HTTP1_BAD_HOST,       /* no host name, address or port */
	HTTP1_BAD_LENGTH,     /* Content-Length is not plain digits, is given twice, or too large */
	HTTP1_TWO_FRAMINGS,   /* Content-Length and Transfer-Encoding together */
	HTTP1_BAD_CODING,     /* Transfer-Encoding is not exactly one "chunked", or in HTTP/1.0 */
	HTTP1_BAD_CONNECTION, /* Connection is no list of tokens, or too long a one */
	HTTP1_BAD_EXPECT,     /* Expect is not 100-continue */
	HTTP1_BAD_STATUS,     /* no three digits of 100 to 599 */
	HTTP1_UNASKED_UPGRADE, /* 101 that nobody asked for */
	HTTP1_TARGET_LONG,     /* the request line passes its limit */
	HTTP1_LINE_LONG,       /* a field line passes its limit */
	HTTP1_HEAD_LONG,       /* all lines together pass their limit */
	HTTP1_MANY_FIELDS,
	HTTP1_BAD_CHUNK, /* chunk size is not 1 to 16 hexadecimal digits, or data is not followed by CRLF */
	HTTP1_CHUNK_LONG, /* extensions pass their limit */
	HTTP1_FAULTS,
};

/* What a client gets for it: 400, 405, 414, 417, 431, 501 or 505. For a fault in a response: always 502. */
unsigned http1_fault_status(enum http1_fault fault);

/* A few words, e.g. "space before the colon of a field"; never NULL. */
const char *http1_fault_text(enum http1_fault fault);

struct http1_limits {
	uint32_t first_line; /* bytes, CRLF not counted */
	uint32_t line;       /* the same, of a field */
	uint32_t head;       /* all lines with their CRLF */
	uint32_t fields;     /* at most HTTP1_FIELDS_MAX */
};

/* Request: target 8 KiB, line 8 KiB, head 32 KiB, 100 fields. Response: 16 KiB, 16 KiB, 64 KiB, 128. */
extern const struct http1_limits http1_limits_request;
extern const struct http1_limits http1_limits_response;
extern const struct http1_limits http1_limits_trailer; /* 8 KiB a line, 16 KiB, 32 fields */

enum http1_kind {
	HTTP1_REQUEST,
	HTTP1_RESPONSE,
	HTTP1_TRAILER, /* fields alone, behind the last chunk; those that would frame or route are dropped */
};

/* Bytes [at, at + len) of the buffer that was read. */
struct http1_slice {
	uint32_t at;
	uint32_t len;
};

/* Fields that mean something to a proxy. */
enum http1_name {
	HTTP1_OTHER,
	HTTP1_HOST,
	HTTP1_CONTENT_LENGTH,
	HTTP1_TRANSFER_ENCODING,
	HTTP1_CONNECTION,
	HTTP1_KEEP_ALIVE,
	HTTP1_PROXY_CONNECTION,
	HTTP1_TE,
	HTTP1_TRAILER_NAMES,
	HTTP1_UPGRADE,
	HTTP1_HTTP2_SETTINGS,
	HTTP1_EXPECT,
};

struct http1_field {
	uint32_t name_at;
	uint32_t value_at;
	uint16_t name_len;
	uint16_t value_len; /* white space around it is not part of it */
	uint8_t name;       /* enum http1_name */
	bool connection; /* belongs to this connection only (Connection names it, or it always does) */
};

enum http1_body {
	HTTP1_NO_BODY,
	HTTP1_LENGTH, /* body_len bytes */
	HTTP1_CHUNKED,
	HTTP1_UNTIL_CLOSE, /* responses only */
	HTTP1_TUNNEL,      /* 101: bytes both ways */
};

struct http1_head {
	/* A request. */
	struct http1_slice method;
	struct http1_slice target; /* as received */
	struct http1_slice
		host; /* of the target if that names one, else of Host; no port, no final dot; len 0: none */
	struct http1_slice
		path; /* with its '/', without arguments; "*" for OPTIONS; len 0 stands for "/" */
	struct http1_slice query; /* behind '?' */
	uint16_t port;            /* of host; 0: none given */
	bool has_query;           /* tells "/x?" from "/x" */
	bool expects_continue;

	/* A response. */
	uint16_t status;
	struct http1_slice reason;
	bool reusable; /* nothing in the head forbids another exchange on this connection (both kinds) */

	/* All. */
	uint8_t minor; /* HTTP/1.minor: 0 or 1 */
	enum http1_body body;
	uint64_t body_len; /* for HTTP1_LENGTH */
	bool has_length;   /* Content-Length was there (a HEAD's answer has one and no body) */
	uint64_t length;   /* its value */
	bool close;        /* Connection: close */
	bool keep_alive;   /* Connection: keep-alive */
	struct http1_slice
		upgrade; /* what a switch is asked or granted to; len 0: nothing, or nothing we pass on */
	uint16_t
		dropped; /* fields left out because their names have '_' (requests) or no place (trailers) */
	uint16_t n_fields;
	struct http1_field fields[HTTP1_FIELDS_MAX];

	/* While reading. */
	enum http1_kind kind;
	const struct http1_limits *limits;
	enum http1_fault fault;
	uint32_t line_at; /* where the unfinished line begins */
	uint32_t seen;    /* bytes looked at */
	uint16_t lines;   /* finished ones */
	uint16_t counts;  /* fields, dropped ones too */
	bool blank;       /* the one empty line allowed before a request has come */
	bool done;
	bool for_head; /* what the response answers */
	bool asked_upgrade;
};

/* limits must live as long as the head. */
void http1_head_init(struct http1_head *head, enum http1_kind kind,
		     const struct http1_limits *limits);

/* For a response, before reading: it answers HEAD (no body whatever it says); it answers a request that was
 * forwarded with Upgrade (101 is a fault otherwise). */
void http1_head_answers(struct http1_head *head, bool is_head, bool asked_upgrade);

/*
 * bytes[0, len) is all there is of the head so far and whatever follows it. Length of the head (> 0), HTTP1_PARTIAL, or
 * -(enum http1_fault). Called again after the end, it says the same.
 */
int http1_head_read(struct http1_head *head, const char *bytes, size_t len);

/* The first field of that name (lower or upper case), or NULL. `after` continues: NULL for the first. */
const struct http1_field *http1_field_find(const struct http1_head *head, const char *bytes,
					   const char *name, const struct http1_field *after);

/* ---- chunks ------------------------------------------------------------------------------------------------- */

struct http1_chunks {
	uint64_t left;       /* of this chunk's data */
	uint32_t extensions; /* bytes of extensions, of all chunks */
	uint16_t line;       /* of this one */
	uint8_t digits;
	uint8_t state;
};

enum {
	HTTP1_CHUNK_MORE = 0, /* everything was used up */
	HTTP1_CHUNK_DATA = 1, /* *ret_data is a piece of the body, at most what was given */
	HTTP1_CHUNK_LAST =
		2, /* trailers follow: read them as HTTP1_TRAILER, even if there are none */
};

#define HTTP1_EXTENSION_MAX  256   /* bytes behind a chunk's size */
#define HTTP1_EXTENSIONS_MAX 16384 /* of a whole body */

/* All-zero is the start of a body. One of the above, or -(enum http1_fault); *ret_used bytes are done with, the data
 * among them. *ret_data and *ret_len are set for HTTP1_CHUNK_DATA only. */
int http1_chunks_read(struct http1_chunks *chunks, const char *bytes, size_t len, size_t *ret_used,
		      const char **ret_data, size_t *ret_len);

/* May it stand in a Host field: a name or an address, IPv6 in brackets, with or without a port? */
bool http1_is_host(const char *text, size_t len);

/* ---- writing ------------------------------------------------------------------------------------------------ */

/* A field the proxy sets: it replaces every received one of that name, or comes beside them. */
struct http1_set {
	const char *name;
	const char *value; /* NULL: the received ones are only left out */
	bool add;          /* beside them (Set-Cookie) */
};

struct http1_out {
	const char *target; /* requests; NULL: path and query as received */
	size_t target_len;
	const char *host; /* requests; NULL: as received */
	const struct http1_set *set;
	size_t n_set;
	enum http1_body body; /* the one framing that is written */
	uint64_t body_len;    /* for HTTP1_LENGTH */
	uint8_t minor;        /* responses: what the client speaks */
	bool close;           /* "Connection: close" is written */
	bool upgrade;         /* head->upgrade is written */
};

/* 0; -EINVAL (nothing is written) if target, host or a set field has a byte that must not be there, or if the
 * framing is not one that can be written; -ENOMEM. */
int http1_write_request(struct buf *out, const struct http1_head *head, const char *bytes,
			const struct http1_out *o);
int http1_write_response(struct buf *out, const struct http1_head *head, const char *bytes,
			 const struct http1_out *o);

/* The last chunk, the trailers that were kept, the empty line. trailer may be NULL. */
int http1_write_last_chunk(struct buf *out, const struct http1_head *trailer, const char *bytes);

#endif

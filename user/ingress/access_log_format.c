// SPDX-License-Identifier: GPL-2.0-only
/*
 * A request's record as a line of JSON. Pure.
 * Must not know where lines go.
 */
#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "base/json.h"
#include "ingress/access_log.h"
#include "ingress/rule.h"

#define NS_PER_S UINT64_C(1000000000)

/* Bytes of a line that each text may take, escapes included: together less than ACCESS_LOG_LINE. */
#define ROOM_PATH   1024
#define ROOM_QUERY  512
#define ROOM_NAME   256 /* host, rule's host and path, names of objects */
#define ROOM_AGENT  192
#define ROOM_ID     96
#define ROOM_REASON 192

/* Writes behind `at`, where there is room for all of it. */
struct line {
	char *at;
};

static void put(struct line *line, const char *text, size_t len)
{
	memcpy(line->at, text, len);
	line->at += len;
}

#define PUT(line, literal) put((line), (literal), sizeof(literal) - 1)

static void put_number(struct line *line, uint64_t value)
{
	char digits[20];
	size_t n = sizeof(digits);

	do
		digits[--n] = (char)('0' + value % 10);
	while (value /= 10);
	put(line, digits + n, sizeof(digits) - n);
}

/* With zeros in front. */
static void put_digits(struct line *line, uint64_t value, int width)
{
	for (int i = width; i-- > 0; value /= 10)
		line->at[i] = (char)('0' + value % 10);
	line->at += width;
}

static void put_text(struct line *line, const char *text, size_t len, size_t room)
{
	*line->at++ = '"';
	line->at += json_escape(text, len, line->at, room);
	*line->at++ = '"';
}

static void put_string(struct line *line, const char *text, size_t room)
{
	put_text(line, text, strlen(text), room);
}

/* Days since 1970 to a date of the Gregorian calendar; years begin in March while it is worked out. */
static void put_time(struct line *line, uint64_t wall_ns)
{
	uint64_t s = wall_ns / NS_PER_S, in_day = s % 86400, days = s / 86400 + 719468;
	uint64_t era = days / 146097, in_era = days % 146097;
	uint64_t year = (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
	uint64_t in_year = in_era - (365 * year + year / 4 - year / 100);
	uint64_t month = (5 * in_year + 2) / 153, day = in_year - (153 * month + 2) / 5 + 1;

	month = month < 10 ? month + 3 : month - 9;
	put_digits(line, era * 400 + year + (month <= 2), 4);
	PUT(line, "-");
	put_digits(line, month, 2);
	PUT(line, "-");
	put_digits(line, day, 2);
	PUT(line, "T");
	put_digits(line, in_day / 3600, 2);
	PUT(line, ":");
	put_digits(line, in_day / 60 % 60, 2);
	PUT(line, ":");
	put_digits(line, in_day % 60, 2);
	PUT(line, ".");
	put_digits(line, wall_ns % NS_PER_S / 1000000, 3);
	PUT(line, "Z");
}

/* Milliseconds with three decimals. */
static void put_span(struct line *line, uint64_t from_ns, uint64_t to_ns)
{
	uint64_t us = to_ns > from_ns ? (to_ns - from_ns) / 1000 : 0;

	put_number(line, us / 1000);
	PUT(line, ".");
	put_digits(line, us % 1000, 3);
}

static void put_optional(struct line *line, const char *key, size_t key_len,
			 const struct record_text *text, size_t room)
{
	if (!text->at)
		return;
	put(line, key, key_len);
	put_text(line, text->at, text->len, room);
}

#define OPTIONAL(line, name, text, room) \
	put_optional((line), ",\"" name "\":", sizeof(",\"" name "\":") - 1, (text), (room))

static void put_request(struct line *line, const struct record *r, bool with_query)
{
	char addr[ADDRESS_TEXT_LEN];

	OPTIONAL(line, "request_id", &r->request_id, ROOM_ID);
	OPTIONAL(line, "trace_id", &r->trace_id, ROOM_ID);
	if (r->client.family) {
		PUT(line, ",\"client\":");
		put_string(line, address_format(&r->client, addr), ROOM_ID);
	}
	if (r->client_port) {
		PUT(line, ",\"client_port\":");
		put_number(line, r->client_port);
	}
	if (r->protocol) {
		PUT(line, ",\"protocol\":");
		put_string(line, r->protocol, ROOM_ID);
	}
	if (r->tls)
		PUT(line, ",\"tls\":true");
	else
		PUT(line, ",\"tls\":false");
	OPTIONAL(line, "method", &r->method, ROOM_ID);
	OPTIONAL(line, "host", &r->host, ROOM_NAME);
	OPTIONAL(line, "path", &r->path, ROOM_PATH);
	if (with_query)
		OPTIONAL(line, "query", &r->query, ROOM_QUERY);
	OPTIONAL(line, "user_agent", &r->agent, ROOM_AGENT);
	PUT(line, ",\"status\":");
	put_number(line, r->status);
}

static void put_rule(struct line *line, const struct route *route)
{
	PUT(line, ",\"namespace\":");
	put_string(line, route->namespace, ROOM_NAME);
	PUT(line, ",\"ingress\":");
	put_string(line, route->ingress, ROOM_NAME);
	PUT(line, ",\"rule_host\":");
	put_string(line, route->host, ROOM_NAME);
	PUT(line, ",\"rule_path\":");
	put_string(line, route->path, ROOM_NAME);
	if (!route->service)
		return;
	PUT(line, ",\"service\":");
	put_string(line, route->service, ROOM_NAME);
	PUT(line, ",\"service_port\":");
	if (route->port_name) {
		put_string(line, route->port_name, ROOM_ID);
	} else {
		PUT(line, "\"");
		put_number(line, route->port);
		PUT(line, "\"");
	}
}

static void put_try(struct line *line, const struct record_try *try)
{
	char addr[ADDRESS_TEXT_LEN];

	PUT(line, "{\"origin\":\"");
	if (try->addr.family == 6)
		PUT(line, "[");
	address_format(&try->addr, addr);
	put(line, addr, strlen(addr));
	if (try->addr.family == 6)
		PUT(line, "]");
	PUT(line, ":");
	put_number(line, try->port);
	PUT(line, "\",\"status\":");
	put_number(line, try->status);
	PUT(line, ",\"ended\":");
	put_string(line, ending_name(try->ending), ROOM_ID);
	PUT(line, "}");
}

static void put_origin(struct line *line, const struct record *r)
{
	unsigned kept = r->n_tries < RECORD_TRIES ? r->n_tries : RECORD_TRIES;

	PUT(line, ",\"attempts\":");
	put_number(line, r->n_tries);
	if (!kept)
		return;
	if (r->pod) {
		PUT(line, ",\"pod\":");
		put_string(line, r->pod, ROOM_NAME);
	}
	PUT(line, ",\"tries\":[");
	for (unsigned i = 0; i < kept; i++) {
		if (i)
			PUT(line, ",");
		put_try(line, &r->tries[i]);
	}
	PUT(line, "]");
}

static void put_times(struct line *line, const struct record *r)
{
	PUT(line, ",\"bytes_in\":");
	put_number(line, r->bytes_in);
	PUT(line, ",\"bytes_out\":");
	put_number(line, r->bytes_out);
	PUT(line, ",\"total_ms\":");
	put_span(line, r->begin_ns, r->end_ns);
	if (r->connected_ns) {
		PUT(line, ",\"connect_ms\":");
		put_span(line, r->connect_ns, r->connected_ns);
	}
	if (r->first_byte_ns) {
		PUT(line, ",\"first_byte_ms\":");
		put_span(line, r->begin_ns, r->first_byte_ns);
	}
	if (r->gap_max_ns) {
		PUT(line, ",\"gap_max_ms\":");
		put_span(line, 0, r->gap_max_ns);
	}
}

static void put_end(struct line *line, const struct record *r)
{
	PUT(line, ",\"ended_by\":");
	put_string(line, ending_who(r->ending), ROOM_ID);
	PUT(line, ",\"ended\":");
	put_string(line, ending_name(r->ending), ROOM_ID);
	PUT(line, ",\"phase\":");
	put_string(line, phase_name(r->phase), ROOM_ID);
	if (r->ending == ENDING_COMPLETE && !r->reason)
		return;
	PUT(line, ",\"why\":");
	put_string(line, r->reason ? r->reason : ending_text(r->ending), ROOM_REASON);
}

void access_log_format(const struct record *record, bool with_query, uint64_t wall_ns,
		       struct buf *out)
{
	uint64_t took_ns = record->end_ns > record->begin_ns ? record->end_ns - record->begin_ns
							     : 0;
	struct line line;

	if (buf_reserve(out, ACCESS_LOG_LINE) < 0)
		return;
	line.at = out->data + out->len;
	PUT(&line, "{\"time\":\"");
	put_time(&line, wall_ns - took_ns);
	PUT(&line, "\"");
	put_request(&line, record, with_query);
	if (record->rule)
		put_rule(&line, record->rule->route);
	put_origin(&line, record);
	put_times(&line, record);
	put_end(&line, record);
	PUT(&line, "}\n");
	*line.at = 0;
	out->len = (size_t)(line.at - out->data);
}

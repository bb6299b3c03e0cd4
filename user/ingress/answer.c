// SPDX-License-Identifier: GPL-2.0-only
/* Makes small answers and gives them to a front. */
/* Must not know why. */
#include "ingress/answer.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "ingress/client.h"
#include "ingress/report.h"
#include "ingress/worker.h"

static const struct {
	unsigned status;
	const char *phrase;
} phrases[] = {
	{ 200, "OK" },
	{ 204, "No Content" },
	{ 301, "Moved Permanently" },
	{ 302, "Found" },
	{ 303, "See Other" },
	{ 307, "Temporary Redirect" },
	{ 308, "Permanent Redirect" },
	{ 400, "Bad Request" },
	{ 401, "Unauthorized" },
	{ 403, "Forbidden" },
	{ 404, "Not Found" },
	{ 405, "Method Not Allowed" },
	{ 408, "Request Timeout" },
	{ 413, "Content Too Large" },
	{ 414, "URI Too Long" },
	{ 417, "Expectation Failed" },
	{ 421, "Misdirected Request" },
	{ 429, "Too Many Requests" },
	{ 431, "Request Header Fields Too Large" },
	{ 500, "Internal Server Error" },
	{ 501, "Not Implemented" },
	{ 502, "Bad Gateway" },
	{ 503, "Service Unavailable" },
	{ 504, "Gateway Timeout" },
	{ 505, "HTTP Version Not Supported" },
};

const char *answer_phrase(unsigned status)
{
	for (size_t i = 0; i < sizeof(phrases) / sizeof(phrases[0]); i++)
		if (phrases[i].status == status)
			return phrases[i].phrase;
	return "Unknown";
}

/* gRPC's code for a status: its own mapping of HTTP's, and 504 as a deadline. */
static const char *grpc_status(unsigned status)
{
	switch (status) {
	case 400:
		return "13";
	case 401:
		return "16";
	case 403:
		return "7";
	case 404:
		return "12";
	case 413:
		return "8";
	case 504:
		return "4";
	case 429:
	case 502:
	case 503:
		return "14";
	default:
		return "2";
	}
}

/* IMF-fixdate; the same for a second. */
static const char *date_now(void)
{
	static _Thread_local char text[40];
	static _Thread_local time_t written;
	time_t now = (time_t)(clock_wall_ns() / CLOCK_NS_PER_S);
	struct tm tm;

	if (now != written) {
		static const char days[] = "SunMonTueWedThuFriSat";
		static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

		gmtime_r(&now, &tm); /* strftime() would speak the locale's language */
		snprintf(text, sizeof(text), "%.3s, %02d %.3s %04d %02d:%02d:%02d GMT",
			 days + tm.tm_wday * 3, tm.tm_mday, months + tm.tm_mon * 3,
			 tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
		written = now;
	}
	return text;
}

static bool has_body(unsigned status)
{
	return status >= 200 && status != 204 && status != 304;
}

static size_t fill_set(const struct answer *answer, const char *text, bool body,
		       struct http1_set *set)
{
	size_t n = 0;

	set[n++] = (struct http1_set){ .name = "Date", .value = date_now() };
	if (answer->is_grpc) { /* trailers-only: all of it in the head */
		set[n++] =
			(struct http1_set){ .name = "Content-Type", .value = "application/grpc" };
		set[n++] = (struct http1_set){ .name = "grpc-status",
					       .value = grpc_status(answer->status) };
		set[n++] = (struct http1_set){ .name = "grpc-message", .value = text };
	} else if (body) {
		set[n++] = (struct http1_set){ .name = "Content-Type",
					       .value = "text/plain; charset=utf-8" };
	}
	for (size_t i = 0; i < answer->n_set && i < ANSWER_SET; i++)
		set[n++] = answer->set[i];
	return n;
}

int answer_send(struct front *front, const struct answer *answer)
{
	const char *phrase = answer_phrase(answer->is_grpc ? 200 : answer->status);
	struct http1_set set[ANSWER_SET + 4];
	struct http1_head head;
	struct http1_out out = { .set = set, .close = answer->close };
	bool body = has_body(answer->status) && !answer->is_grpc;
	char line[256];
	const char *text = answer->body;
	size_t len = answer->body_len;
	int rc;

	if (!text) {
		len = (size_t)snprintf(
			line, sizeof(line), answer->is_grpc ? "%u %s%s%s" : "%u %s%s%s\n",
			answer->status, answer_phrase(answer->status), answer->reason ? ": " : "",
			answer->reason ? answer->reason : "");
		text = line;
	}
	http1_head_init(&head, HTTP1_RESPONSE, &http1_limits_response);
	head.status = (uint16_t)(answer->is_grpc ? 200 : answer->status);
	head.reason = (struct http1_slice){ 0, (uint32_t)strlen(phrase) };
	head.minor = 1;
	head.has_length = body;
	head.length = len;
	out.n_set = fill_set(answer, text, body, set);
	out.body = body && len && !answer->is_head ? HTTP1_LENGTH : HTTP1_NO_BODY;
	out.body_len = len;
	rc = front->ops->head(front, &head, phrase, &out);
	if (rc < 0)
		return rc;
	if (out.body == HTTP1_LENGTH)
		front->ops->body(front, text, len); /* it is small, and nothing waits before it */
	front->ops->end(front, NULL, NULL);
	return 0;
}

void answer_refused(struct front *front, unsigned status, const char *reason)
{
	struct answer answer = { .status = status, .reason = reason, .close = true };

	if (reason)
		report_refused(front, status, reason);
	if (answer_send(front, &answer) < 0)
		front->ops->abort(front, ENDING_NO_MEMORY);
}

// SPDX-License-Identifier: GPL-2.0-only
/* Decides what to ask an API server next, and hears its answer. */
/* Must not know how bytes travel, what time it is, what an object says, or what an answer means: watch_end.c. */
#include "source/kube/watch.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "source/kube/watch_state.h"

#define PAGE_OBJECTS       500
#define KICK_NS            (200 * CLOCK_NS_PER_MS)
#define SILENCE_NS         (180 * CLOCK_NS_PER_S) /* bookmarks come about once a minute */
#define LIST_SILENCE_NS    (60 * CLOCK_NS_PER_S)
#define INITIAL_SILENCE_NS (10 * CLOCK_NS_PER_S) /* of a stream that shall begin with a list */
#define WATCH_MIN_S        300                   /* timeoutSeconds: this to twice this */

/* ---- asking ----------------------------------------------------------------------------------------- */

static void put_encoded(struct buf *buf, const char *text)
{
	for (; *text; text++)
		if (isalnum((unsigned char)*text) || strchr("-._~", *text))
			buf_putc(buf, *text);
		else
			buf_printf(buf, "%%%02X", (unsigned char)*text);
}

static void put_version(struct watch *w)
{
	buf_puts(&w->target, "&resourceVersion=");
	put_encoded(&w->target, w->version);
}

static void compose_list(struct watch *w)
{
	if (!w->any_version && *w->version) { /* with a version there are no pages */
		put_version(w);
		buf_puts(&w->target, "&resourceVersionMatch=NotOlderThan");
	} else if (!w->no_pages) {
		buf_printf(&w->target, "&limit=%d", PAGE_OBJECTS);
		if (w->token) {
			buf_puts(&w->target, "&continue=");
			put_encoded(&w->target, w->token);
		}
	}
}

static void compose_watch(struct watch *w, uint64_t random)
{
	w->stream_s = WATCH_MIN_S + random % WATCH_MIN_S;
	buf_printf(&w->target, "&watch=true&allowWatchBookmarks=true&timeoutSeconds=%" PRIu64,
		   w->stream_s);
	if (w->asked == ASKED_STREAM)
		buf_puts(&w->target, "&sendInitialEvents=true&resourceVersionMatch=NotOlderThan");
	if (w->asked == ASKED_WATCH || (!w->any_version && *w->version))
		put_version(w);
}

static void choose(struct watch *w)
{
	if (w->following)
		w->asked = ASKED_WATCH;
	else if (w->token || w->no_streams || w->no_stream_once || w->no_pages)
		w->asked = ASKED_LIST;
	else
		w->asked = ASKED_STREAM;
	w->stats.watches += w->asked == ASKED_WATCH;
	w->stats.lists += w->asked == ASKED_LIST;
	w->stats.streams += w->asked == ASKED_STREAM;
}

static int ask(struct watch *w, uint64_t now_ns, uint64_t random)
{
	if (w->relist)
		w->following = false;
	w->relist = false;
	choose(w);
	if (w->asked != ASKED_WATCH && !w->token)
		watch_unstage_all(w);
	buf_reset(&w->target);
	buf_printf(&w->target, "%s?%s", w->config->path, w->config->selector);
	if (w->asked == ASKED_LIST)
		compose_list(w);
	else
		compose_watch(w, random);
	scan_done(&w->scan);
	scan_init(&w->scan, w->asked == ASKED_LIST ? SCAN_LIST : SCAN_STREAM, watch_part, w);
	w->status = 0;
	w->verdict = VERDICT_NONE;
	w->retry_after_ns = 0;
	w->stream_events = 0;
	w->asked_ns = w->heard_ns = now_ns;
	w->waits_for_server = false;
	return w->target.failed ? -ENOMEM : 0;
}

/* When the transfer has been silent for too long. */
static uint64_t silent_at_ns(const struct watch *w)
{
	uint64_t end_ns = w->asked_ns + (w->stream_s + 30) * CLOCK_NS_PER_S, at_ns;

	if (w->asked == ASKED_LIST)
		return w->heard_ns + LIST_SILENCE_NS;
	at_ns = w->heard_ns + (w->following || !w->status ? SILENCE_NS : INITIAL_SILENCE_NS);
	return at_ns < end_ns ? at_ns : end_ns;
}

enum watch_todo watch_next(struct watch *w, uint64_t now_ns, uint64_t random,
			   struct watch_step *ret_step)
{
	memset(ret_step, 0, sizeof(*ret_step));
	if (w->asked != ASKED_NOTHING) {
		ret_step->wait_until_ns = silent_at_ns(w);
		if (w->relist && w->verdict == VERDICT_NONE)
			w->verdict = VERDICT_ORDERED;
		else if (now_ns < ret_step->wait_until_ns)
			return WATCH_WAIT;
		else if (w->verdict == VERDICT_NONE)
			w->verdict = VERDICT_SILENT;
		return WATCH_ABORT;
	}
	if (now_ns < w->wait_until_ns) {
		ret_step->wait_until_ns = w->wait_until_ns;
		return WATCH_WAIT;
	}
	if (ask(w, now_ns, random) < 0) {
		w->asked = ASKED_NOTHING;
		ret_step->wait_until_ns = w->wait_until_ns = now_ns + CLOCK_NS_PER_S;
		return WATCH_WAIT;
	}
	ret_step->target = buf_str(&w->target);
	ret_step->stream = w->asked != ASKED_LIST;
	return WATCH_REQUEST;
}

/* ---- hearing ---------------------------------------------------------------------------------------- */

/* RFC 9110, 10.2.3. A date would need the wall clock, which may be wrong: the usual backoff is used. */
static uint64_t retry_after(const char *text)
{
	uint64_t s = 0;

	for (; *text == ' '; text++)
		;
	if (!isdigit((unsigned char)*text))
		return 0;
	for (; isdigit((unsigned char)*text); text++)
		s = s > RETRY_AFTER_MAX_S ? s : s * 10 + (uint64_t)(*text - '0');
	for (; *text == ' '; text++)
		;
	if (*text)
		return 0;
	return (s < RETRY_AFTER_MAX_S ? s : RETRY_AFTER_MAX_S) * CLOCK_NS_PER_S;
}

static enum verdict verdict_of(unsigned status)
{
	switch (status) {
	case 200:
		return VERDICT_NONE;
	case 410:
		return VERDICT_EXPIRED;
	case 504:
		return VERDICT_AHEAD;
	case 400:
	case 422:
		return VERDICT_BAD;
	case 401:
		return VERDICT_LOGIN;
	default:
		return VERDICT_REFUSED;
	}
}

void watch_head(struct watch *w, uint64_t now_ns, unsigned status, const char *retry)
{
	w->status = status;
	w->stats.last_status = status;
	w->heard_ns = now_ns;
	/* A server that has just started knows no rights for a moment, and must not be waited for as long as for one that is away. */
	if (status == 403 && (w->down || !w->forbidden))
		w->backoff_ns = BACKOFF_MIN_NS;
	w->forbidden = status == 403;
	w->down = false;
	w->verdict = verdict_of(status);
	if (status == 200) {
		w->tried_login = false;
		w->absences = 0;
	} else if (retry) {
		w->retry_after_ns = retry_after(retry);
	}
}

int watch_bytes(struct watch *w, uint64_t now_ns, const char *bytes, size_t len)
{
	int rc;

	w->heard_ns = now_ns;
	if (w->status != 200)
		return 0;
	if (w->relist)
		return -ECANCELED;
	rc = scan_feed(&w->scan, bytes, len);
	if (rc < 0 && rc != -ECANCELED)
		w->verdict = VERDICT_BROKEN;
	return rc;
}

void watch_kick(struct watch *w, uint64_t now_ns, uint64_t random)
{
	uint64_t at_ns = now_ns + random % KICK_NS;

	if (w->asked == ASKED_NOTHING && w->waits_for_server && at_ns < w->wait_until_ns)
		w->wait_until_ns = at_ns;
}

void watch_relist(struct watch *w)
{
	w->relist = w->force = true;
}

/* ---- beginning, end, looking ------------------------------------------------------------------------ */

int watch_new(const struct watch_config *config, const struct source_sink *sink, uint64_t seed,
	      struct watch **ret_watch)
{
	struct watch *w = calloc(1, sizeof(*w));

	if (!w)
		return -ENOMEM;
	w->config = config;
	w->sink = *sink;
	w->any_version = true;
	table_init(&w->known, seed);
	table_init(&w->staged, seed);
	scan_init(&w->scan, SCAN_STREAM, watch_part, w);
	*ret_watch = w;
	return 0;
}

void watch_free(struct watch *w)
{
	if (!w)
		return;
	table_done(&w->known, watch_known_free);
	table_done(&w->staged, watch_item_free);
	scan_done(&w->scan);
	decode_report_done(&w->report);
	buf_done(&w->target);
	free(w->token);
	free(w);
}

bool watch_is_following(const struct watch *w)
{
	return w->following;
}

bool watch_is_listed(const struct watch *w)
{
	return w->listed;
}

bool watch_is_down(const struct watch *w)
{
	return w->down;
}

void watch_count(const struct watch *w, struct watch_stats *ret_stats)
{
	*ret_stats = w->stats;
	ret_stats->objects = w->known.len;
}

void watch_stats_add(struct watch_stats *stats, const struct watch_stats *more)
{
	stats->lists += more->lists;
	stats->streams += more->streams;
	stats->watches += more->watches;
	stats->syncs += more->syncs;
	stats->events += more->events;
	stats->bookmarks += more->bookmarks;
	stats->skipped += more->skipped;
	stats->refused += more->refused;
	stats->expired += more->expired;
	stats->refusals += more->refusals;
	stats->broken += more->broken;
	stats->cut += more->cut;
	stats->ended += more->ended;
	stats->failures += more->failures;
	stats->objects += more->objects;
	stats->last_status = more->last_status;
}

// SPDX-License-Identifier: GPL-2.0-only
/* Decides what an answer came to: whether to ask again at once or when, and what less to ask. */
/* Must not know what an object says. */
#include "source/kube/watch_state.h"

#define BACKOFF_MAX_NS   (30 * CLOCK_NS_PER_S)
#define BACKOFF_RESET_NS (120 * CLOCK_NS_PER_S) /* of health */
#define SHORT_NS         CLOCK_NS_PER_S /* a watch that ends sooner without an event has failed */
#define GAP_NS           (100 * CLOCK_NS_PER_MS) /* between two watches, however many events there are */
#define ABSENT_NS \
	(300 * CLOCK_NS_PER_S) /* between looks for a kind that the server does not know */
#define ABSENT_TRIES \
	3 /* before that is believed: a server that has just started does not know everything at once */
#define EXPIRED_NS (10 * CLOCK_NS_PER_S) /* a watch that expires again sooner has to wait */

/* Exponential, each wait between once and twice the step, so that clients do not come in step. */
static uint64_t backoff(struct watch *w, uint64_t now_ns, uint64_t random)
{
	uint64_t step_ns;

	if (!w->backoff_ns || now_ns - w->backed_off_ns >= BACKOFF_RESET_NS)
		w->backoff_ns = BACKOFF_MIN_NS;
	step_ns = w->backoff_ns;
	w->backed_off_ns = now_ns;
	w->backoff_ns = step_ns * 2 < BACKOFF_MAX_NS ? step_ns * 2 : BACKOFF_MAX_NS;
	return step_ns + random % step_ns;
}

static void list_again(struct watch *w)
{
	w->following = false;
	watch_unstage_all(w);
}

/* The version is of no use: 410, or ahead of the server. True if the very next step is another request, at once. */
static bool on_expired(struct watch *w, uint64_t now_ns)
{
	bool at_once = true;

	w->stats.expired++;
	if (w->asked == ASKED_WATCH) {
		at_once = !w->expired_ns || now_ns - w->expired_ns >= EXPIRED_NS;
		w->expired_ns = now_ns;
	} else if (w->asked == ASKED_LIST &&
		   w->token) { /* a page: its list is gone; the token of a 410 gives a mixed one */
		w->no_pages = true;
		w->any_version = true;
	} else {
		at_once = !w->any_version;
		w->any_version = true;
	}
	list_again(w);
	return at_once;
}

/* Its version is ahead of the server, or a gateway gave up: to go by what the server has, after a while. */
static void on_ahead(struct watch *w)
{
	w->stats.refusals++;
	w->no_stream_once |= w->any_version;
	w->any_version = true;
	list_again(w);
}

/* The server does not understand: less and less is asked of it. */
static bool on_bad(struct watch *w)
{
	bool at_once = false;

	if (w->asked == ASKED_STREAM) {
		w->no_streams = true;
		at_once = true;
	} else if (!w->any_version) {
		w->any_version = true;
	}
	list_again(w);
	return at_once;
}

/* What a stream ended by itself means. True if to be followed at once. */
static bool on_stream_end(struct watch *w, uint64_t now_ns)
{
	if (w->asked == ASKED_STREAM && !w->following) {
		w->no_stream_once = true;
		return w->stream_events > 0;
	}
	return w->stream_events > 0 || now_ns - w->asked_ns >= SHORT_NS;
}

static bool on_silent(struct watch *w)
{
	if (w->asked == ASKED_STREAM && !w->following && w->status)
		w->no_streams = true; /* it was ignored: the events there were are no list */
	return w->asked != ASKED_LIST;
}

/* A kind that the server does not know, or does not show us, has no objects that we could miss. */
static uint64_t on_refused(struct watch *w, uint64_t now_ns, uint64_t random)
{
	bool absent = w->config->optional && !w->following &&
		      (w->status == 404 || w->status == 403);
	bool empty = absent || (w->config->guarded && !w->following && w->status == 403);

	w->stats.refusals++;
	if (w->asked == ASKED_STREAM)
		w->no_stream_once = true;
	if (!w->following)
		watch_unstage_all(w);
	if (empty && !w->listed) {
		w->listed = true;
		w->sink.listed(w->sink.ctx, w->config->kind);
	}
	if (absent && ++w->absences > ABSENT_TRIES)
		return ABSENT_NS + random % ABSENT_NS;
	return backoff(w, now_ns, random);
}

static bool on_login(struct watch *w)
{
	bool at_once = !w->tried_login;

	w->stats.refusals++;
	w->tried_login = true;
	return at_once;
}

static void on_broken(struct watch *w)
{
	w->stats.broken++;
	if (w->asked == ASKED_STREAM)
		w->no_stream_once = true;
	list_again(w);
}

static bool on_listed(struct watch *w)
{
	char version[WATCH_VERSION_MAX + 1];

	watch_set_version(version, w->list_version);
	if (watch_commit(w, version) == 0)
		return true;
	on_broken(w);
	return false;
}

/* True: the next request at once. False: after a backoff. */
static bool conclude(struct watch *w, uint64_t now_ns, enum watch_end how)
{
	switch (w->verdict) {
	case VERDICT_PAGE:
	case VERDICT_ORDERED:
		return true;
	case VERDICT_LISTED:
		return on_listed(w);
	case VERDICT_EXPIRED:
		return on_expired(w, now_ns);
	case VERDICT_AHEAD:
		on_ahead(w);
		return false;
	case VERDICT_BAD:
		w->stats.refusals++;
		return on_bad(w);
	case VERDICT_LOGIN:
		return on_login(w);
	case VERDICT_RETRY:
		return false;
	case VERDICT_RELIST:
		list_again(w);
		return false;
	case VERDICT_SILENT:
		w->stats.cut++;
		return on_silent(w);
	case VERDICT_BROKEN:
		on_broken(w);
		return false;
	case VERDICT_REFUSED: /* has its own wait */
	case VERDICT_NONE:
		break;
	}
	if (!w->status) {
		w->stats.failures++;
		return false;
	}
	if (w->asked == ASKED_LIST) {
		on_broken(w); /* not whole, however it ended */
		return false;
	}
	w->stats.cut += how != WATCH_END_CLEAN || !scan_is_whole(&w->scan);
	if (on_stream_end(w, now_ns))
		return true;
	w->stats.ended += how == WATCH_END_CLEAN;
	return false;
}

/* A list that came whole but for its transfer's end is not trusted: what cut it may have cut more. */
static void distrust_cut_lists(struct watch *w, enum watch_end how)
{
	if (how != WATCH_END_CLEAN && (w->verdict == VERDICT_PAGE || w->verdict == VERDICT_LISTED))
		w->verdict = VERDICT_NONE;
}

void watch_end(struct watch *w, uint64_t now_ns, uint64_t random, enum watch_end how)
{
	uint64_t wait_ns = 0;

	if (w->asked == ASKED_NOTHING)
		return;
	distrust_cut_lists(w, how);
	if (w->relist)
		w->verdict = VERDICT_ORDERED;
	if (w->asked == ASKED_WATCH && w->status == 504) /* a gateway's word */
		w->verdict = VERDICT_REFUSED;
	if (w->verdict == VERDICT_REFUSED) {
		wait_ns = on_refused(w, now_ns, random);
	} else if (conclude(w, now_ns, how)) {
		wait_ns = w->verdict == VERDICT_NONE && now_ns - w->asked_ns < GAP_NS ? GAP_NS : 0;
	} else if (how == WATCH_END_MOVED) {
		wait_ns = random % GAP_NS;
	} else {
		wait_ns = backoff(w, now_ns, random);
	}
	if (w->retry_after_ns)
		wait_ns = w->retry_after_ns + random % CLOCK_NS_PER_S;
	if (!w->status) {
		w->down = true;
		w->waits_for_server = true;
	}
	w->asked = ASKED_NOTHING;
	w->wait_until_ns = now_ns + wait_ns;
}

/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SOURCE_KUBE_WATCH_STATE_H
#define SOURCE_KUBE_WATCH_STATE_H

/*
 * What a watch is, for watch*.c alone.
 *
 *   watch.c          what to ask next; the answer's head and bytes; beginning and end
 *   watch_read.c     from the JSON of a list or an event to objects and verdicts
 *   watch_objects.c  which objects exist, which are staged; what the sink hears of them
 *   watch_end.c      what an answer came to, and how long to wait then
 */
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/table.h"
#include "source/decode.h"
#include "source/kube/scan.h"
#include "source/kube/watch.h"

#define BACKOFF_MIN_NS    (800 * CLOCK_NS_PER_MS)
#define RETRY_AFTER_MAX_S 60

enum asked { ASKED_NOTHING, ASKED_LIST, ASKED_STREAM, ASKED_WATCH };

/* What the answer came to; the first word holds. */
enum verdict {
	VERDICT_NONE,
	VERDICT_PAGE, /* a page is in, and there are more */
	VERDICT_LISTED,
	VERDICT_EXPIRED, /* 410 */
	VERDICT_AHEAD,   /* 504: the version is ahead of the server */
	VERDICT_BAD,     /* 400, 422: it does not understand the request */
	VERDICT_LOGIN,   /* 401 */
	VERDICT_REFUSED, /* any other status */
	VERDICT_RETRY,   /* an ERROR event: watch again */
	VERDICT_RELIST,  /* an ERROR event: list again */
	VERDICT_BROKEN,  /* no JSON, no list, too large, no memory */
	VERDICT_SILENT,
	VERDICT_ORDERED, /* watch_relist() */
};

/* An object as it came, or why it cannot be used. */
struct item {
	char *version;
	char *notes;  /* NULL: nothing is wrong */
	bool refused; /* object is empty */
	struct object object;
};

/* An object that exists. */
struct known {
	char *version; /* as last put or refused */
	bool put;
	bool problem; /* the sink was told of one */
};

struct watch {
	const struct watch_config *config;
	struct source_sink sink;
	struct table known;  /* struct known by "namespace/name" */
	struct table staged; /* struct item: a list that is not whole yet */
	struct scan scan;
	struct decode_report report;
	struct buf target;

	enum asked asked;
	bool following; /* events are to be applied: a list is in */
	bool listed, down, relist, force;
	bool no_streams; /* the server cannot begin a watch with a list */
	bool no_stream_once;
	bool no_pages; /* a page expired: all at once */
	bool any_version; /* the next list need not be as new as `version`: it is read from the source of truth */
	bool tried_login;
	bool waits_for_server;
	bool forbidden; /* the last answer was 403 */
	char version[WATCH_VERSION_MAX + 1];
	char list_version[WATCH_VERSION_MAX + 1];
	char *token; /* continue; NULL = none */

	unsigned status;
	enum verdict verdict;
	uint64_t retry_after_ns;
	uint64_t asked_ns, heard_ns; /* heard: a byte */
	uint64_t stream_s;           /* timeoutSeconds */
	uint64_t stream_events;
	unsigned errors;
	unsigned absences;   /* answers in a row that a kind is not there */
	uint64_t expired_ns; /* when a watch did so last; 0 = never */
	uint64_t wait_until_ns;
	uint64_t backoff_ns, backed_off_ns; /* the next one; when the last was used */
	struct watch_stats stats;
};

/* A version that is known to fit. */
static inline void watch_set_version(char to[WATCH_VERSION_MAX + 1], const char *version)
{
	memcpy(to, version, strlen(version) + 1);
}

/* ---- watch_read.c ---- */

/* scan_fn of lists and streams; ctx: the watch. 0, or a negative errno: cut the transfer. */
int watch_part(void *ctx, enum scan_part part, const char *text, size_t len, bool spoilt);

/* ---- watch_objects.c ---- */

void watch_item_free(void *item); /* NULL is fine */
void watch_known_free(void *known);
/* The object is as the item says. What is already known in this version is not told again. 0 or -ENOMEM. */
int watch_apply(struct watch *w, const char *key, struct item *item);
/* The object is no more. */
void watch_forget(struct watch *w, const char *key);
/* Takes the item over, also on failure. 0 or -ENOMEM. */
int watch_stage(struct watch *w, const char *key, struct item *item);
/* A list begins anew. */
void watch_unstage_all(struct watch *w);
/* A whole list is staged: it holds from now on. 0 or -ENOMEM. */
int watch_commit(struct watch *w, const char *version);

#endif

// SPDX-License-Identifier: GPL-2.0-only
/* Decides what to ask an API server next, and what its answers mean for the objects of one kind. */
/* Must not know how bytes travel, what time it is, or what an object says. */
#include "source/kube/watch.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/table.h"
#include "source/decode.h"
#include "source/kube/scan.h"
#include "source/value_json.h"

#define PAGE_OBJECTS       500
#define BACKOFF_MIN_NS     (800 * CLOCK_NS_PER_MS)
#define BACKOFF_MAX_NS     (30 * CLOCK_NS_PER_S)
#define BACKOFF_RESET_NS   (120 * CLOCK_NS_PER_S) /* of health */
#define RETRY_AFTER_MAX_S  60
#define SHORT_NS           CLOCK_NS_PER_S /* a watch that ends sooner without an event has failed */
#define GAP_NS             (100 * CLOCK_NS_PER_MS) /* between two watches, however many events there are */
#define KICK_NS            (200 * CLOCK_NS_PER_MS)
#define SILENCE_NS         (180 * CLOCK_NS_PER_S) /* bookmarks come about once a minute */
#define LIST_SILENCE_NS    (60 * CLOCK_NS_PER_S)
#define INITIAL_SILENCE_NS (10 * CLOCK_NS_PER_S) /* of a stream that shall begin with a list */
#define ABSENT_NS \
	(300 * CLOCK_NS_PER_S) /* between looks for a kind that the server does not know */
#define ABSENT_TRIES \
	3 /* before that is believed: a server that has just started does not know everything at once */
#define EXPIRED_NS  (10 * CLOCK_NS_PER_S) /* a watch that expires again sooner has to wait */
#define WATCH_MIN_S 300                   /* timeoutSeconds: this to twice this */
#define TOKEN_MAX   8192                  /* of a `continue` */
#define ERRORS_MAX  3                     /* ERROR events 500 in a row before a relist */

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

/* ---- items ------------------------------------------------------------------------------------------ */

static void item_free(void *value)
{
	struct item *item = value;

	if (!item)
		return;
	object_done(&item->object);
	free(item->version);
	free(item->notes);
	free(item);
}

static void known_free(void *value)
{
	struct known *known = value;

	free(known->version);
	free(known);
}

/* A version that is known to fit. */
static void set_version(char to[WATCH_VERSION_MAX + 1], const char *version)
{
	memcpy(to, version, strlen(version) + 1);
}

static const char *text_of(const cJSON *map, const char *key)
{
	const cJSON *member = cJSON_IsObject(map) ? cJSON_GetObjectItemCaseSensitive(map, key)
						  : NULL;

	return member && cJSON_IsString(member) ? member->valuestring : NULL;
}

static const cJSON *map_of(const cJSON *map, const char *key)
{
	return cJSON_IsObject(map) ? cJSON_GetObjectItemCaseSensitive(map, key) : NULL;
}

static const char *version_of(const cJSON *object)
{
	const char *version = text_of(map_of(object, "metadata"), "resourceVersion");

	return version && *version && strlen(version) <= WATCH_VERSION_MAX ? version : NULL;
}

/* "namespace/name"; -EINVAL if the object has no name. */
static int key_of(const cJSON *object, struct buf *ret_key)
{
	const cJSON *metadata = map_of(object, "metadata");
	const char *namespace = text_of(metadata, "namespace"), *name = text_of(metadata, "name");

	if (!name || !*name)
		return -EINVAL;
	return buf_printf(ret_key, "%s/%s", namespace ? namespace : "", name);
}

static int decode(struct watch *w, const cJSON *object, struct item *item)
{
	const struct decode_input input = {
		.from_api = true,
		.api_version = w->config->api_version,
		.kind = object_kind_name(w->config->kind),
	};
	struct object decoded;
	int rc = decode_object(value_of_json(object), &input, &w->report, &decoded);

	if (rc == DECODE_OBJECT && decoded.kind != w->config->kind) {
		object_done(&decoded);
		rc = DECODE_OTHER;
	}
	if (rc == DECODE_OBJECT)
		item->object = decoded;
	item->refused = rc == -EINVAL;
	if (w->report.notes.n && !(item->notes = strdup(buf_str(&w->report.notes.text))))
		return -ENOMEM;
	return rc == -EINVAL ? 0 : rc;
}

/* 0; DECODE_OTHER: none of this kind; -ENOMEM. */
static int item_new(struct watch *w, const cJSON *object, bool spoilt, struct item **ret_item)
{
	struct item *item = calloc(1, sizeof(*item));
	const char *version = version_of(object);
	int rc = 0;

	if (!item || !(item->version = strdup(version ? version : ""))) {
		item_free(item);
		return -ENOMEM;
	}
	if (spoilt) {
		item->refused = true;
		item->notes = strdup("holds invalid UTF-8 or a NUL character: write it anew");
		rc = item->notes ? 0 : -ENOMEM;
	} else {
		rc = decode(w, object, item);
	}
	if (rc != 0)
		item_free(item);
	else
		*ret_item = item;
	return rc;
}

static void split_key(const char *key, char namespace[DECODE_NAME_LEN], const char **ret_name)
{
	const char *slash = strchr(key, '/');
	size_t len = (size_t)(slash - key);

	len = len < DECODE_NAME_LEN ? len : DECODE_NAME_LEN - 1;
	memcpy(namespace, key, len);
	namespace[len] = 0;
	*ret_name = slash + 1;
}

static void tell_problem(struct watch *w, const char *key, struct known *known, const char *reason)
{
	char namespace[DECODE_NAME_LEN], subject[OBJECT_SUBJECT_LEN];
	const char *name;

	if (!reason && !known->problem)
		return;
	known->problem = reason != NULL;
	split_key(key, namespace, &name);
	w->sink.problem(w->sink.ctx, object_subject(w->config->kind, namespace, name, subject),
			reason);
}

static int get_known(struct watch *w, const char *key, struct known **ret_known)
{
	struct known *known = table_get_str(&w->known, key);

	if (!known) {
		known = calloc(1, sizeof(*known));
		if (!known || table_put_str(&w->known, key, known, NULL) < 0) {
			free(known);
			return -ENOMEM;
		}
	}
	*ret_known = known;
	return 0;
}

/* The object is as the item says. What is already known in this version is not told again. */
static int apply(struct watch *w, const char *key, struct item *item)
{
	struct known *known;
	int rc = get_known(w, key, &known);

	if (rc < 0)
		return rc;
	if (!w->force && known->version && *item->version &&
	    strcmp(known->version, item->version) == 0)
		return 0;
	if (item->refused) {
		w->stats.refused++;
	} else {
		object_put(&item->object, &w->sink);
		known->put = true;
	}
	tell_problem(w, key, known, item->notes);
	free(known->version);
	known->version = item->version;
	item->version = NULL;
	return 0;
}

static void forget(struct watch *w, const char *key)
{
	struct known *known = table_get_str(&w->known, key);
	char namespace[DECODE_NAME_LEN];
	const char *name;

	if (!known)
		return;
	tell_problem(w, key, known, NULL);
	split_key(key, namespace, &name);
	if (known->put)
		w->sink.gone(w->sink.ctx, w->config->kind, namespace, name);
	table_remove_str(&w->known, key); /* may free what key points to */
	known_free(known);
}

static int stage(struct watch *w, const char *key, struct item *item)
{
	void *old = NULL;
	int rc = table_put_str(&w->staged, key, item, &old);

	if (rc == 0)
		item_free(old);
	else
		item_free(item);
	return rc;
}

static void unstage_all(struct watch *w)
{
	uint64_t seed = w->staged.seed;

	table_done(&w->staged, item_free);
	table_init(&w->staged, seed);
	free(w->token);
	w->token = NULL;
}

/* A whole list is staged: it holds from now on. */
static int commit(struct watch *w, const char *version)
{
	struct table_entry *e;
	int rc = 0;

	table_for_each(e, &w->staged) {
		rc = apply(w, e->key, e->value);
		if (rc < 0)
			return rc; /* nothing is gone, and the next list goes on */
	}
	table_for_each(e, &w->known) {
		if (!table_get(&w->staged, e->key, e->key_len))
			forget(w, e->key);
	}
	unstage_all(w);
	set_version(w->version, version);
	w->following = true;
	w->any_version = w->no_pages = w->no_stream_once = w->force = false;
	w->listed = true;
	w->stats.syncs++;
	w->sink.listed(w->sink.ctx, w->config->kind);
	return 0;
}

/* ---- lists ------------------------------------------------------------------------------------------ */

static int on_item(struct watch *w, const cJSON *object, bool spoilt)
{
	struct buf key = { 0 };
	struct item *item;
	int rc = key_of(object, &key);

	if (rc == -EINVAL) {
		w->stats.refused++;
		rc = 0;
	} else if (rc == 0) {
		rc = item_new(w, object, spoilt, &item);
		if (rc == 0)
			rc = stage(w, buf_str(&key), item);
		else if (rc == DECODE_OTHER)
			w->stats.skipped++;
	}
	buf_done(&key);
	return rc < 0 ? rc : 0;
}

/* Is it the frame of a list of our kind? Else it says nothing about objects. */
static bool is_frame(const struct watch *w, const cJSON *frame)
{
	const char *kind = text_of(frame, "kind"), *ours = object_kind_name(w->config->kind);
	const char *api_version = text_of(frame, "apiVersion");
	const cJSON *items = map_of(frame, "items");
	size_t len = strlen(ours);

	return kind && strncmp(kind, ours, len) == 0 && strcmp(kind + len, "List") == 0 &&
	       api_version && strcmp(api_version, w->config->api_version) == 0 &&
	       (cJSON_IsNull(items) || (cJSON_IsArray(items) && !items->child));
}

static int on_frame(struct watch *w, const cJSON *frame, bool spoilt)
{
	const char *version = version_of(frame);
	const char *token = text_of(map_of(frame, "metadata"), "continue");

	if (spoilt || !version || !is_frame(w, frame))
		return -EBADMSG;
	set_version(w->list_version, version);
	free(w->token);
	w->token = NULL;
	w->verdict = VERDICT_LISTED;
	if (!token || !*token)
		return 0;
	w->verdict = VERDICT_PAGE;
	w->token = strlen(token) <= TOKEN_MAX ? strdup(token) : NULL;
	return w->token ? 0 : -EBADMSG;
}

/* ---- events ----------------------------------------------------------------------------------------- */

static int on_error_event(struct watch *w, const cJSON *status)
{
	const cJSON *code = map_of(status, "code");
	const cJSON *retry = map_of(map_of(status, "details"), "retryAfterSeconds");
	int number = cJSON_IsNumber(code) ? code->valueint : 0;

	if (cJSON_IsNumber(retry) && retry->valuedouble > 0)
		w->retry_after_ns = (uint64_t)(retry->valuedouble < RETRY_AFTER_MAX_S
						       ? retry->valuedouble
						       : RETRY_AFTER_MAX_S) *
				    CLOCK_NS_PER_S;
	if (number == 410)
		w->verdict = VERDICT_EXPIRED;
	else if (number == 504)
		w->verdict = VERDICT_AHEAD;
	else if (number == 429 || (number == 500 && w->errors < ERRORS_MAX))
		w->verdict = VERDICT_RETRY;
	else
		w->verdict = VERDICT_RELIST;
	w->errors += number == 500;
	return -ECANCELED;
}

static int on_bookmark(struct watch *w, const cJSON *object, const char *version)
{
	const cJSON *notes = map_of(map_of(object, "metadata"), "annotations");
	const char *end = text_of(notes, "k8s.io/initial-events-end");

	w->stats.bookmarks++;
	if (!w->following && end && strcmp(end, "true") == 0)
		return commit(w, version);
	if (w->following)
		set_version(w->version, version);
	return 0;
}

static int on_deleted(struct watch *w, const char *key)
{
	if (w->following)
		forget(w, key);
	else
		item_free(table_remove_str(&w->staged, key));
	return 0;
}

static int on_changed(struct watch *w, const char *key, const cJSON *object, bool spoilt)
{
	struct item *item;
	int rc = item_new(w, object, spoilt, &item);

	if (rc == DECODE_OTHER)
		w->stats.skipped++;
	if (rc != 0)
		return rc < 0 ? rc : 0;
	if (!w->following)
		return stage(w, key, item);
	rc = apply(w, key, item);
	item_free(item);
	return rc;
}

static int on_object_event(struct watch *w, const cJSON *object, bool gone, bool spoilt,
			   const char *version)
{
	struct buf key = { 0 };
	int rc = key_of(object, &key);

	if (rc == 0) {
		w->stats.events++;
		w->stream_events++;
		rc = gone ? on_deleted(w, buf_str(&key))
			  : on_changed(w, buf_str(&key), object, spoilt);
	} else if (rc == -EINVAL) {
		w->stats.refused++;
		rc = 0;
	}
	if (rc == 0 && w->following)
		set_version(w->version, version);
	buf_done(&key);
	return rc;
}

static int on_event(struct watch *w, const cJSON *event, bool spoilt)
{
	const char *type = text_of(event, "type");
	const cJSON *object = map_of(event, "object");
	const char *version = version_of(object);
	bool gone = type && strcmp(type, "DELETED") == 0;

	if (!type || !cJSON_IsObject(object))
		return -EBADMSG;
	if (strcmp(type, "ERROR") == 0)
		return on_error_event(w, object);
	w->errors = 0;
	if (strcmp(type, "BOOKMARK") != 0 && !gone && strcmp(type, "ADDED") != 0 &&
	    strcmp(type, "MODIFIED") != 0) {
		w->stats.skipped++;
		return 0;
	}
	if (!version) /* where to go on from would be unknown */
		return -EBADMSG;
	if (strcmp(type, "BOOKMARK") == 0)
		return on_bookmark(w, object, version);
	return on_object_event(w, object, gone, spoilt, version);
}

static int on_part(void *ctx, enum scan_part part, const char *text, size_t len, bool spoilt)
{
	struct watch *w = ctx;
	cJSON *json = cJSON_ParseWithLength(text, len + 1);
	int rc;

	if (!json)
		return -EBADMSG;
	if (w->asked != ASKED_LIST)
		rc = on_event(w, json, spoilt);
	else
		rc = part == SCAN_REST ? on_frame(w, json, spoilt) : on_item(w, json, spoilt);
	cJSON_Delete(json);
	return rc;
}

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
		unstage_all(w);
	buf_reset(&w->target);
	buf_printf(&w->target, "%s?%s", w->config->path, w->config->selector);
	if (w->asked == ASKED_LIST)
		compose_list(w);
	else
		compose_watch(w, random);
	scan_done(&w->scan);
	scan_init(&w->scan, w->asked == ASKED_LIST ? SCAN_LIST : SCAN_STREAM, on_part, w);
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

/* ---- what an answer came to ------------------------------------------------------------------------- */

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
	unstage_all(w);
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
		unstage_all(w);
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

	set_version(version, w->list_version);
	if (commit(w, version) == 0)
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
	scan_init(&w->scan, SCAN_STREAM, on_part, w);
	*ret_watch = w;
	return 0;
}

void watch_free(struct watch *w)
{
	if (!w)
		return;
	table_done(&w->known, known_free);
	table_done(&w->staged, item_free);
	scan_done(&w->scan);
	decode_report_done(&w->report);
	buf_done(&w->target);
	free(w->token);
	free(w);
}

void watch_drop(struct watch *w)
{
	struct table_entry *e;

	table_for_each(e, &w->known)
		forget(w, e->key);
}

bool watch_has(const struct watch *w, const char *namespace, const char *name)
{
	const struct known *known;
	struct buf key = { 0 };

	buf_printf(&key, "%s/%s", namespace, name);
	known = key.failed ? NULL : table_get_str(&w->known, buf_str(&key));
	buf_done(&key);
	return known && known->put;
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

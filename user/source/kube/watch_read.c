// SPDX-License-Identifier: GPL-2.0-only
/* Reads lists and events, an object or event at a time. */
/* Must not know what is asked next. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "source/kube/watch_state.h"
#include "source/value_json.h"

#define TOKEN_MAX  8192 /* of a `continue` */
#define ERRORS_MAX 3    /* ERROR events 500 in a row before a relist */

/* ---- items ------------------------------------------------------------------------------------------ */

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
		watch_item_free(item);
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
		watch_item_free(item);
	else
		*ret_item = item;
	return rc;
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
			rc = watch_stage(w, buf_str(&key), item);
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
	watch_set_version(w->list_version, version);
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
		return watch_commit(w, version);
	if (w->following)
		watch_set_version(w->version, version);
	return 0;
}

static int on_deleted(struct watch *w, const char *key)
{
	if (w->following)
		watch_forget(w, key);
	else
		watch_item_free(table_remove_str(&w->staged, key));
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
		return watch_stage(w, key, item);
	rc = watch_apply(w, key, item);
	watch_item_free(item);
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
		watch_set_version(w->version, version);
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

int watch_part(void *ctx, enum scan_part part, const char *text, size_t len, bool spoilt)
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

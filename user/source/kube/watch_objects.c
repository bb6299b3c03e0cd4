// SPDX-License-Identifier: GPL-2.0-only
/* Keeps which objects exist and what a list that is not whole yet holds, and tells the sink. */
/* Must not know JSON, nor what was asked. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "source/kube/watch_state.h"

void watch_item_free(void *value)
{
	struct item *item = value;

	if (!item)
		return;
	object_done(&item->object);
	free(item->version);
	free(item->notes);
	free(item);
}

void watch_known_free(void *value)
{
	struct known *known = value;

	free(known->version);
	free(known);
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

int watch_apply(struct watch *w, const char *key, struct item *item)
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

void watch_forget(struct watch *w, const char *key)
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
	watch_known_free(known);
}

int watch_stage(struct watch *w, const char *key, struct item *item)
{
	void *old = NULL;
	int rc = table_put_str(&w->staged, key, item, &old);

	if (rc == 0)
		watch_item_free(old);
	else
		watch_item_free(item);
	return rc;
}

void watch_unstage_all(struct watch *w)
{
	uint64_t seed = w->staged.seed;

	table_done(&w->staged, watch_item_free);
	table_init(&w->staged, seed);
	free(w->token);
	w->token = NULL;
}

int watch_commit(struct watch *w, const char *version)
{
	struct table_entry *e;
	int rc = 0;

	table_for_each(e, &w->staged) {
		rc = watch_apply(w, e->key, e->value);
		if (rc < 0)
			return rc; /* nothing is gone, and the next list goes on */
	}
	table_for_each(e, &w->known) {
		if (!table_get(&w->staged, e->key, e->key_len))
			watch_forget(w, e->key);
	}
	watch_unstage_all(w);
	watch_set_version(w->version, version);
	w->following = true;
	w->any_version = w->no_pages = w->no_stream_once = w->force = false;
	w->listed = true;
	w->stats.syncs++;
	w->sink.listed(w->sink.ctx, w->config->kind);
	return 0;
}

/* ---- looking ---------------------------------------------------------------------------------------- */

void watch_drop(struct watch *w)
{
	struct table_entry *e;

	table_for_each(e, &w->known)
		watch_forget(w, e->key);
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

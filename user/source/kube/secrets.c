// SPDX-License-Identifier: GPL-2.0-only
/* Follows exactly the Secrets that are wanted: those of one type in a namespace, or one by its name. */
/* Must not know what they are for. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/loop.h"
#include "source/kube/follower.h"

static void free_secrets(struct kube_secret *secrets, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free((char *)(uintptr_t)secrets[i].namespace);
		free((char *)(uintptr_t)secrets[i].name);
	}
	free(secrets);
}

/* The path is in part the want: what a follower is there for is known by it and the selector. */
static int describe(const struct kube_secret *want, struct buf *path, struct buf *selector,
		    struct buf *what)
{
	buf_reset(path);
	buf_reset(selector);
	buf_reset(what);
	buf_printf(path, "/api/v1/namespaces/%s/secrets", want->namespace);
	if (want->name) {
		buf_printf(selector, "fieldSelector=metadata.name%%3D%s", want->name);
		buf_printf(what, "API server, Secret %s/%s", want->namespace, want->name);
	} else {
		buf_puts(selector, "fieldSelector=type%3Dkubernetes.io%2Ftls");
		buf_printf(what, "API server, Secrets of %s", want->namespace);
	}
	return path->failed || selector->failed || what->failed ? -ENOMEM : 0;
}

static struct follower *find(struct kube *kube, const char *path, const char *selector)
{
	struct follower *f;

	for (f = kube->followers; f; f = f->next)
		if (f->config.kind == OBJECT_SECRET && strcmp(f->config.path, path) == 0 &&
		    strcmp(f->config.selector, selector) == 0)
			return f;
	return NULL;
}

static int add(struct kube *kube, const struct buf *path, const struct buf *selector,
	       const struct buf *what)
{
	const struct watch_config config = {
		.kind = OBJECT_SECRET,
		.guarded = true,
		.api_version = "v1",
		.path = buf_str(path),
		.selector = buf_str(selector),
	};

	return follower_add(kube, &config, true, buf_str(what));
}

/* Begins to follow what is wanted, and marks it. */
static int follow_wanted(struct kube *kube)
{
	struct buf path = { 0 }, selector = { 0 }, what = { 0 };
	struct follower *f;
	int rc = 0;

	for (f = kube->followers; f; f = f->next)
		f->wanted = f->config.kind != OBJECT_SECRET;
	for (size_t i = 0; i < kube->n_secrets && rc == 0; i++) {
		rc = describe(&kube->secrets[i], &path, &selector, &what);
		f = rc == 0 ? find(kube, buf_str(&path), buf_str(&selector)) : NULL;
		if (rc == 0 && !f) {
			rc = add(kube, &path, &selector, &what);
			f = kube->followers;
		}
		if (rc == 0)
			f->wanted = true;
	}
	buf_done(&path);
	buf_done(&selector);
	buf_done(&what);
	return rc;
}

static bool are_listed(const struct kube *kube)
{
	const struct follower *f;

	for (f = kube->followers; f; f = f->next)
		if (f->wanted && f->config.kind == OBJECT_SECRET && !watch_is_listed(f->watch))
			return false;
	return true;
}

static void remove_unwanted(struct kube *kube)
{
	struct follower *f, *next;

	for (f = kube->followers; f; f = next) {
		next = f->next;
		if (!f->wanted)
			follower_remove(f, true);
	}
}

/*
 * Not from within the call that brought an Ingress: transfers may be ended. Old followers end when the new ones have listed,
 * so that a Secret that both see is never gone.
 */
static void on_work(void *arg)
{
	struct kube *kube = arg;

	if (!kube->secrets_said)
		return;
	if (follow_wanted(kube) < 0) {
		loop_post(kube->secrets_work); /* no memory: in the next turn */
	} else if (are_listed(kube)) {
		remove_unwanted(kube);
		kube->sink.listed(kube->sink.ctx, OBJECT_SECRET);
	}
}

void kube_secrets_listed(struct kube *kube)
{
	loop_post(kube->secrets_work);
}

/* A name goes into a path as it is. */
static bool is_name(const char *text)
{
	return *text && !text[strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-.")] &&
	       *text != '.' && *text != '-';
}

int kube_set_secrets(struct kube *kube, const struct kube_secret *wanted, size_t n)
{
	struct kube_secret *copy = calloc(n ? n : 1, sizeof(*copy));
	size_t used = 0;

	if (!copy)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		if (!is_name(wanted[i].namespace) || (wanted[i].name && !is_name(wanted[i].name)))
			continue; /* there can be none of that name */
		copy[used].namespace = strdup(wanted[i].namespace);
		copy[used].name = wanted[i].name ? strdup(wanted[i].name) : NULL;
		used++;
		if (!copy[used - 1].namespace || (wanted[i].name && !copy[used - 1].name)) {
			free_secrets(copy, used);
			return -ENOMEM;
		}
	}
	free_secrets(kube->secrets, kube->n_secrets);
	kube->secrets = copy;
	kube->n_secrets = used;
	kube->secrets_said = true;
	loop_post(kube->secrets_work);
	return 0;
}

int kube_secrets_init(struct kube *kube)
{
	return loop_add_deferred(kube->loop, on_work, kube, &kube->secrets_work);
}

void kube_secrets_done(struct kube *kube)
{
	free_secrets(kube->secrets, kube->n_secrets);
	if (kube->secrets_work)
		loop_remove(kube->secrets_work);
}

/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SOURCE_KUBE_INTERNAL_H
#define SOURCE_KUBE_INTERNAL_H

/* Inside of the client: what its parts share. */
#include "source/kube/auth.h"
#include "source/kube/endpoints.h"
#include "source/kube/kube.h"

struct loop_event;
struct exec;
struct follower;
struct kube_send;

struct kube {
	struct loop *loop;
	struct source_sink sink;
	unsigned kinds;
	struct auth *auth;
	struct kube_http *http;
	struct follower *followers;
	char node_selector[512];
	bool discovers; /* servers are what default/kubernetes says */
	bool by_vip;    /* until then: the cluster address, which another proxy serves */
	struct api_endpoints endpoints;
	char *endpoints_path;
	struct loop_event *endpoints_work, *probe;
	struct exec *exec;           /* the credential plugin, running */
	bool may_kick;               /* something has changed since the last kick */
	struct kube_secret *secrets; /* as wanted; owned, their texts too */
	size_t n_secrets;
	bool secrets_said; /* somebody has said what is wanted */
	struct loop_event *secrets_work;
	struct kube_send *sends;
	size_t n_sends;
	struct loop_event *send_work;
};

/* 64 fresh bits. */
uint64_t kube_random(void);
/* May requests be made now? If a credential has to be had first, that is begun, and its end makes everybody ask again. */
bool kube_may_ask(struct kube *kube);
/* Begins to try whether the servers can be reached again. */
void kube_start_probing(struct kube *kube);
/* The servers can be reached again, or a credential is there: nobody waits for that any longer. */
void kube_kick(struct kube *kube);

/* ---- servers.c: where the API servers are, at the beginning ---- */

/* 0 or a negative errno with *err. */
int kube_find_servers(struct kube *kube, const struct kube_options *options, struct err *err);

/* ---- secrets.c ---- */

int kube_secrets_init(struct kube *kube);
void kube_secrets_done(struct kube *kube);
/* Some of them were listed. */
void kube_secrets_listed(struct kube *kube);

/* ---- send.c ---- */

int kube_sends_init(struct kube *kube);
/* No callback is made. */
void kube_sends_done(struct kube *kube);
/* Requests that wait for a credential go out. */
void kube_sends_kick(struct kube *kube);

#endif

/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SOURCE_OBJECT_H
#define SOURCE_OBJECT_H

/* One object of any kind: what the decoder makes and sources hold until they give it to the sink. */
#include <stdbool.h>

#include "core/model.h"
#include "core/model_ingress.h"

struct object {
	enum object_kind kind;
	union { /* every kind begins with its metadata */
		struct object_meta meta;
		struct service service;
		struct endpoint_slice slice;
		struct node node;
		struct service_cidr service_cidr;
		struct ingress ingress;
		struct ingress_class ingress_class;
		struct secret secret;
	};
};

/* Frees what the object owns, not the object. NULL-safe, works on half-filled zeroed objects. */
void object_done(struct object *object);

/* Do both say the same? Where they were read (meta.origin) does not count. */
bool object_equal(const struct object *a, const struct object *b);

/* Gives the object to the sink, which copies it. */
void object_put(const struct object *object, const struct source_sink *sink);

const char *object_kind_name(enum object_kind kind);

#define OBJECT_SUBJECT_LEN 384
/* "Service default/web", "Node worker-1"; namespace "" for cluster-wide kinds. Returns buf. */
const char *object_subject(enum object_kind kind, const char *namespace, const char *name,
			   char buf[OBJECT_SUBJECT_LEN]);

#endif

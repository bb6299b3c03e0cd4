/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SOURCE_DECODE_H
#define SOURCE_DECODE_H

/*
 * Values to objects: v1 Service, Node and Secret, discovery.k8s.io/v1 EndpointSlice, networking.k8s.io/v1 ServiceCIDR, Ingress
 * and IngressClass.
 *
 * One decoder for manifests and for the API server's answers. What the API server does for its objects is done here
 * for manifests: defaults, refusal of what has no meaning, and a note for a field that nobody reads. Nobody
 * allocates addresses and node ports for a manifest, so it has to name them.
 */
#include <sys/types.h>

#include "source/field.h"
#include "source/object.h"

struct decode_input {
	bool from_api;           /* checked and completed by an API server */
	unsigned kinds;          /* OBJECT_BIT()s: what is ours; 0 for every kind above */
	const char *api_version; /* of an element of a typed list, which need not say it; or NULL */
	const char *kind;        /* the same */
	const char *file;        /* meta.origin becomes "file:line"; NULL for none */
};

#define DECODE_NAMESPACE_LEN 64  /* an RFC 1123 label, and NUL */
#define DECODE_NAME_LEN      254 /* an RFC 1123 subdomain, and NUL */

/* What is known of an object, also when it is refused. All-zero before its first use; reused for many objects. */
struct decode_report {
	bool named; /* kind, namespace and name are known */
	enum object_kind kind;
	char namespace[DECODE_NAMESPACE_LEN];
	char name[DECODE_NAME_LEN];
	struct notes notes; /* what is wrong: text "" if nothing is */
};

enum {
	DECODE_OBJECT = 0,
	DECODE_OTHER = 1, /* none of our kinds */
};

/*
 * DECODE_OBJECT: *ret_object is filled and to be freed with object_done(); there may be notes all the same.
 * DECODE_OTHER: not for us. -EINVAL: refused, the notes say why. -ENOMEM.
 */
int decode_object(struct value v, const struct decode_input *input, struct decode_report *report,
		  struct object *ret_object);
void decode_report_done(struct decode_report *report);

/*
 * Calls fn for the value itself, or for each element if it is a List (kind List, or ServiceList and the like;
 * lists in lists up to four deep). `input` is what the caller gave, with the kind that a typed list implies.
 * 0, the first value other than 0 that fn returned, or -EINVAL with a sentence in *notes (a list without items).
 */
typedef int decode_each_fn(void *ctx, struct value v, const struct decode_input *input);
int decode_each(struct value v, const struct decode_input *input, struct notes *notes,
		decode_each_fn *fn, void *ctx);

/*
 * RFC 3339 ("2025-01-31T12:00:00.123456789Z", or with an offset) to nanoseconds since 1970. 0 or -EINVAL, also
 * for years that 64 bits of nanoseconds do not hold.
 */
int decode_time(const char *text, int64_t *ret_ns);

/* RFC 4648, section 4; white space is passed over. out: room for 3/4 of text. The bytes written; -1: it is no base64. */
ssize_t decode_base64(const char *text, unsigned char *out);

#endif

/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef INGRESS_POLICY_TABLE_H
#define INGRESS_POLICY_TABLE_H

/*
 * Inside of policy: one table says of each annotation how it is read, what it is for and what is said when it cannot be. Reading,
 * notes, the nearest word for an unknown one and the documentation come from it.
 */
#include "base/arena.h"
#include "ingress/policy.h"

struct policy_owner { /* what a policy lives in */
	struct policy policy;
	struct arena arena;
};

struct annotation;

/* While one Ingress is read. */
struct reader {
	const struct policy_input *in;
	struct policy *policy;
	struct arena *arena;
	const struct annotation *row;
	const char *name; /* in full, as written */
	bool no_memory;
	bool auth_map; /* auth-secret-type */
};

enum annotation_state {
	ANNOTATION_TAKEN,
	ANNOTATION_ROUTES, /* taken, by routes */
	ANNOTATION_NEEDLESS, /* what it asks for is so anyway, or has no counterpart here: nothing is said */
	ANNOTATION_MISSING, /* not supported: said */
	ANNOTATION_REFUSED, /* never: said */
};

struct annotation {
	const char *name; /* without prefix */
	enum annotation_state state;
	bool own;   /* only as sluice.dev/… */
	bool guard; /* protects: if it cannot be kept, everything is refused */
	/* What `read` fills in. Fields of other types are a compile error (POLICY_AT). */
	size_t at;
	uint64_t min, max;
	/* True: taken. False: bad() was called, or r->no_memory is set. */
	bool (*read)(struct reader *r, const char *value);
	const char *values; /* for people: "true | false" */
	const char *help;   /* what it does, or why not; a sentence without a full stop */
};

extern const struct annotation policy_table[]; /* ends with a NULL name */

#define POLICY_AT(field, type) \
	(offsetof(struct policy, field) + 0 * sizeof(&((struct policy *)0)->field == (type *)0))

/* Notes that the value is not taken: what is wrong, and what to write. */
bool policy_bad(struct reader *r, const char *value, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void policy_warn(struct reader *r, const char *value, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static inline void *policy_field(const struct reader *r)
{
	return (char *)r->policy + r->row->at;
}

/* ---- readers (policy_read.c): the value into the field of r->row ------------------------------------------------- */

bool read_bool(struct reader *r, const char *value); /* bool */
bool read_time(struct reader *r,
	       const char *value); /* uint64_t, ns: seconds, or "1h30m", "250ms" */
bool read_size(struct reader *r, const char *value);  /* uint64_t, bytes: "8m", "0" is no limit */
bool read_count(struct reader *r, const char *value); /* uint32_t, within min..max */
bool read_text(struct reader *r,
	       const char *value); /* const char *: no control characters, not empty */
bool read_token(struct reader *r, const char *value); /* const char *: a token of RFC 9110 */
bool read_path(struct reader *r,
	       const char *value); /* const char *: from a '/' on, as in a Location */
bool read_host(struct reader *r,
	       const char *value); /* const char *: a host name with or without port */
bool read_cidrs(struct reader *r, const char *value);    /* struct policy_cidrs */
bool read_template(struct reader *r, const char *value); /* struct policy_text */
bool read_match(struct reader *r, const char *value);    /* struct match *, case counts */
bool read_secret(struct reader *r, const char *value);   /* struct policy_ref */
bool read_headers(struct reader *r,
		  const char *value); /* struct policy_headers: "Name: value" a line */
bool read_tokens(struct reader *r, const char *value); /* struct policy_list of tokens */

/* Pieces of them. */
bool policy_is_text(const char *value);
bool policy_is_token(const char *text, size_t len);
/* 0, or -EINVAL with the unknown variable's name in what. */
int policy_parse_template(struct reader *r, const char *value, struct policy_text *ret_text,
			  char what[64]);
const char *policy_copy(struct reader *r, const char *text, size_t len);
/* "ns" of "1h30m", "90", "250ms". 0 or -EINVAL. */
int policy_parse_time(const char *value, uint64_t *ret_ns);

/* ---- readers of one annotation each (policy_words.c) --------------------------------------------------------------- */

bool read_protocol(struct reader *r, const char *value);
bool read_onoff(struct reader *r, const char *value); /* bool */
bool read_redirect(struct reader *r, const char *value);
bool read_temporal(struct reader *r, const char *value);
bool read_redirect_code(struct reader *r, const char *value);
bool read_hsts(struct reader *r, const char *value);
bool read_allow(struct reader *r, const char *value);
bool read_satisfy(struct reader *r, const char *value);
bool read_limit_by(struct reader *r, const char *value);
bool read_rate(struct reader *r, const char *value);
bool read_origins(struct reader *r, const char *value);
bool read_field_list(struct reader *r, const char *value); /* const char *: tokens, joined again */
bool read_seconds_text(struct reader *r, const char *value);
bool read_auth_type(struct reader *r, const char *value);
bool read_auth_secret_type(struct reader *r, const char *value);
bool read_method(struct reader *r, const char *value);
bool read_realm(struct reader *r, const char *value);
bool read_auth_url(struct reader *r, const char *value);
bool read_verify_client(struct reader *r, const char *value);
bool read_match_cn(struct reader *r, const char *value);
bool read_ssl_protocols(struct reader *r, const char *value);
bool read_next(struct reader *r, const char *value);
bool read_load_balance(struct reader *r, const char *value);
bool read_hash(struct reader *r, const char *value);
bool read_affinity(struct reader *r, const char *value);
bool read_affinity_mode(struct reader *r, const char *value);
bool read_canary_behavior(struct reader *r, const char *value);
bool read_samesite(struct reader *r, const char *value);
bool read_cookie_age(struct reader *r, const char *value);
bool read_cookie_expires(struct reader *r, const char *value);
bool read_cookie_secure(struct reader *r, const char *value);
bool read_canary_pattern(struct reader *r, const char *value);

#endif

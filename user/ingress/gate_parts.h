/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef INGRESS_GATE_PARTS_H
#define INGRESS_GATE_PARTS_H

/* Inside of the gate: its steps, and what they read requests with. */
#include <pthread.h>

#include "ingress/gate.h"
#include "ingress/policy.h"

struct limits;
struct passwords;

struct gate {
	struct gate_settings settings;
	struct limits *limits;
	struct passwords *passwords;
};

struct gate_slice {
	const char *at; /* NULL: there is none */
	size_t len;
};

/* What every step has. */
struct step {
	const struct gate_request *q;
	struct rule *rule; /* the given one */
	const struct policy *policy;
	struct gate_result *result;
	bool no_memory;
};

/* ---- reading (gate_text.c) --------------------------------------------------------------------------------------- */

/* The first field of that name, in any case; loose: '_' stands for '-'. */
struct gate_slice gate_field(const struct gate_request *q, const char *name, bool loose);
struct gate_slice gate_cookie_of(const struct gate_request *q, const char *name);
struct gate_slice gate_arg(const struct gate_request *q, const char *name);
bool gate_equals(struct gate_slice slice, const char *text);
/* As match_run(), without groups. */
int gate_match(const struct gate_request *q, const struct match *match, struct gate_slice text);
bool gate_is_method(const struct gate_request *q, const char *method);

/* Path and arguments as received, at least "/". */
void gate_put_uri(const struct gate_request *q, struct buf *out);
void gate_put_escaped(struct buf *out, const char *text, size_t len);
/* As a value of the key of something: as is. */
void gate_put_text(const struct gate_request *q, const struct policy_text *text, struct buf *out);
/* As (part of) a URL: no byte of it can end or split a field. */
void gate_put_url(const struct gate_request *q, const struct policy_text *text, struct buf *out);

/* Into the arena; NULL and s->no_memory. Empties out. */
const char *gate_keep(struct step *s, struct buf *out);
const char *gate_printf(struct step *s, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* ---- answering (gate.c) ------------------------------------------------------------------------------------------- */

void gate_set(struct step *s, struct gate_sets *sets, const char *name, const char *value);
/* Beside what the origin says. */
void gate_add(struct step *s, struct gate_sets *sets, const char *name, const char *value);
enum gate_verdict gate_answer(struct step *s, unsigned status, const char *reason);
enum gate_verdict gate_redirect(struct step *s, unsigned status, const char *location,
				const char *reason);

/* ---- steps: GATE_PASS: go on -------------------------------------------------------------------------------------- */

enum gate_verdict gate_cors(struct step *s);
enum gate_verdict gate_limit(struct step *s);
enum gate_verdict gate_basic(struct step *s);
enum gate_verdict gate_basic_done(struct step *s, bool run); /* the job has been run */
enum gate_verdict gate_ask_done(
	struct step *s, const struct http1_head *answer,
	const char *
		bytes); /* The service is not asked: the fields that it would have set are left out. */
void gate_ask_none(struct step *s);
/* NULL: none */
void gate_canary(struct step *s);
void gate_sticky(struct step *s);

/* ---- rates (gate_limits.c) ---------------------------------------------------------------------------------------- */

int limits_new(uint64_t seed, struct limits **ret_limits);
void limits_free(struct limits *limits);
/* One more at this time? 0, or how many ns to wait until there would be. every_ns: one in this time; burst: so many at once. */
uint64_t limits_take(struct limits *limits, uint64_t id, const void *key, size_t key_len,
		     uint64_t every_ns, unsigned burst, uint64_t now_ns);
/* One more at a time? *ret_held: to be given to limits_leave(); NULL where it could not be counted. */
bool limits_enter(struct limits *limits, uint64_t id, const void *key, size_t key_len, unsigned max,
		  void **ret_held);
void limits_leave(struct limits *limits, void *held);

/* ---- passwords that were right (gate_basic.c) ----------------------------------------------------------------------- */

int passwords_new(uint64_t seed, struct passwords **ret_passwords);
void passwords_free(struct passwords *passwords);

#endif

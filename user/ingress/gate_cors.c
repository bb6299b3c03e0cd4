// SPDX-License-Identifier: GPL-2.0-only
/* Cross-origin requests: who may ask, and what browsers are told. */
/* Must not know anything else about a request. */
#include <string.h>
#include <strings.h>

#include "ingress/gate_parts.h"

/* A host that begins with a star and a dot stands for one or more labels there. */
static bool is_origin(struct gate_slice origin, const char *pattern)
{
	const char *star = strstr(pattern, "://*.");
	size_t front, back;

	if (!star)
		return strlen(pattern) == origin.len &&
		       strncasecmp(pattern, origin.at, origin.len) == 0;
	front = (size_t)(star - pattern) + 3;
	back = strlen(star + 4);
	return origin.len > front + back && strncasecmp(pattern, origin.at, front) == 0 &&
	       strncasecmp(star + 4, origin.at + origin.len - back, back) == 0 &&
	       !memchr(origin.at + front, '/', origin.len - front);
}

static const char *allowed(struct step *s)
{
	struct gate_slice origin = gate_field(s->q, "origin", false);
	const struct policy *p = s->policy;

	if (p->cors.any_origin)
		return "*";
	for (size_t i = 0; origin.at && i < p->cors.origins.n; i++) {
		const char *copy;

		if (!is_origin(origin, p->cors.origins.item[i]))
			continue;
		copy = arena_strndup(s->q->arena, origin.at, origin.len);
		s->no_memory |= !copy;
		return copy;
	}
	return NULL;
}

enum gate_verdict gate_cors(struct step *s)
{
	const struct policy *p = s->policy;
	struct gate_sets *sets = &s->result->response_set;
	const char *origin = allowed(s);

	if (!p->cors.any_origin)
		gate_add(s, sets, "Vary",
			 "Origin"); /* also where it is not allowed: caches must know */
	if (!origin)
		return GATE_PASS;
	gate_set(s, sets, "Access-Control-Allow-Origin", origin);
	if (p->cors.credentials)
		gate_set(s, sets, "Access-Control-Allow-Credentials", "true");
	gate_set(s, sets, "Access-Control-Allow-Methods", p->cors.methods);
	gate_set(s, sets, "Access-Control-Allow-Headers", p->cors.headers);
	if (p->cors.expose)
		gate_set(s, sets, "Access-Control-Expose-Headers", p->cors.expose);
	gate_set(s, sets, "Access-Control-Max-Age", p->cors.max_age);
	if (!gate_is_method(s->q, "OPTIONS"))
		return GATE_PASS;
	return gate_answer(s, 204, "CORS preflight");
}

// SPDX-License-Identifier: GPL-2.0-only
/* Until gate is there: everything passes. */
/* Must not be relied on. */
#include <errno.h>

#include "ingress/gate.h"

static uint64_t body_max;

int gate_new(const struct gate_settings *settings, struct gate **ret_gate)
{
	body_max = settings->body_max ? settings->body_max : UINT64_MAX;
	*ret_gate = NULL;
	return 0;
}
void gate_free(struct gate *gate)
{
	(void)gate;
}
int gate_check(const struct gate_request *request, struct rule *rule,
	       enum gate_verdict *ret_verdict, struct gate_result *ret_result)
{
	*ret_result = (struct gate_result){ .rule = rule,
					    .body_max = body_max,
					    .pick = { .random = request->random,
						      .now_ns = request->now_ns } };
	*ret_verdict = GATE_PASS;
	return 0;
}
int gate_ask(const struct gate_request *request, const struct rule *rule, struct buf *out)
{
	(void)request, (void)rule, (void)out;
	return -ENOMEM;
}
int gate_answered(const struct gate_request *request, struct rule *rule,
		  const struct http1_head *answer, const char *bytes,
		  enum gate_verdict *ret_verdict, struct gate_result *result)
{
	(void)request, (void)rule, (void)answer, (void)bytes, (void)ret_verdict, (void)result;
	return -ENOMEM;
}
const char *gate_cookie(const struct gate_request *request, const struct gate_result *result,
			const struct origin *origin)
{
	(void)request, (void)result, (void)origin;
	return NULL;
}
void gate_leave(struct gate *gate, struct gate_result *result)
{
	(void)gate, (void)result;
}

// SPDX-License-Identifier: GPL-2.0-only
// Lines "annotation=value" (a value may hold any byte but the one that ends it), then a request through what came of them: nothing
// that a gate sets can end a line of a head, whatever an Ingress or a client says.
/* link: user/ingress/gate.c user/ingress/gate_text.c user/ingress/gate_limits.c user/ingress/gate_basic.c */
/* link: user/ingress/gate_pick.c user/ingress/gate_ask.c user/ingress/gate_cors.c user/ingress/auth_check.c */
/* link: user/ingress/policy.c user/ingress/policy_table.c user/ingress/policy_read.c user/ingress/policy_words.c */
/* link: user/ingress/auth_users.c user/ingress/upstream.c user/ingress/upstream_choose.c user/ingress/epoch.c */
/* link: user/ingress/route.c user/ingress/setting.c user/ingress/match.c user/ingress/http1.c */
/* link: user/ingress/http1_write.c user/core/model.c user/core/model_ingress.c user/core/address.c */
/* link: user/base/arena.c user/base/buf.c user/base/table.c user/base/options.c user/base/options_value.c */
/* libs: pcre2-8 crypt crypto */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "ingress/gate.h"
#include "ingress/match.h"

#define ANNOTATIONS_MAX 16

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int true_for_every_input)
{
	if (!true_for_every_input)
		abort();
}

static struct secret_item item = { (char *)"auth", (unsigned char *)"user:{PLAIN}pass\n", 17 };
static struct secret secret = { .items = &item, .n_items = 1 };

static const struct secret *get_secret(void *ctx, const char *namespace, const char *name)
{
	(void)ctx;
	return strcmp(namespace, "n") == 0 && *name ? &secret : NULL;
}

static void on_note(void *ctx, const struct ingress *ingress, enum policy_severity severity,
		    const char *reason)
{
	(void)ctx, (void)ingress, (void)severity;
	for (; *reason; reason++) /* it goes into logs and Events */
		must((unsigned char)*reason >= 0x20 && *reason != 0x7f);
}

/* What the gate sets can be written, as fields of a request and of an answer. */
static void check_sets(const struct http1_head *head, const char *bytes,
		       const struct gate_sets *sets)
{
	struct http1_out out = { .set = sets->set, .n_set = sets->n };
	struct buf text = { 0 };

	must(http1_write_request(&text, head, bytes, &out) == 0);
	buf_done(&text);
}

static void check_ask(const struct gate_request *q, const struct rule *rule)
{
	struct http1_limits wide = { 1 << 20, 1 << 20, 1 << 22, 128 };
	struct http1_head head;
	struct buf text = { 0 };

	must(gate_ask(q, rule, &text) == 0);
	http1_head_init(&head, HTTP1_REQUEST, &wide);
	must(http1_head_read(&head, text.data, text.len) == (int)text.len);
	buf_done(&text);
}

static void answer_ask(const struct gate_request *q, struct rule *rule, enum gate_verdict *verdict,
		       struct gate_result *result)
{
	static const char yes[] =
		"HTTP/1.1 200 ok\r\nX-User: ann\r\nSet-Cookie: a=b\r\nContent-Length: 0\r\n\r\n";
	static const char no[] =
		"HTTP/1.1 401 no\r\nWWW-Authenticate: x\r\nContent-Length: 0\r\n\r\n";
	const char *text = q->path_len % 2 ? yes : no;
	struct http1_head head;

	http1_head_init(&head, HTTP1_RESPONSE, &http1_limits_response);
	must(http1_head_read(&head, text, strlen(text)) == (int)strlen(text));
	must(gate_answered(q, rule, &head, text, verdict, result) == 0);
	must(*verdict != GATE_ASK);
}

static void run(const struct policy *policy, const char *fields, size_t fields_len)
{
	static struct gate *gate;
	static struct match_work *work;
	struct route route = { .path = "/p", .host = "a.test", .service = "s", .tls = true };
	struct rule rule = { .route = &route, .policy = policy };
	struct http1_head head;
	struct buf raw = { 0 };
	struct arena arena = { 0 };
	struct gate_request q = { .bytes = NULL, .path = "/p", .path_len = 2, .arena = &arena };
	struct gate_result result;
	enum gate_verdict verdict;

	if (!gate) {
		must(gate_new(&(struct gate_settings){ .seed = 1, .body_max = 1 << 20 }, &gate) ==
		     0);
		must((work = match_work_new()) != NULL);
	}
	buf_puts(&raw, "GET /p?a=1&b=%22 HTTP/1.1\r\nHost: a.test\r\n");
	buf_put(&raw, fields, fields_len);
	buf_puts(&raw, "\r\n\r\n");
	http1_head_init(&head, HTTP1_REQUEST, &http1_limits_request);
	if (http1_head_read(&head, raw.data, raw.len) > 0) {
		q.gate = gate;
		q.head = &head;
		q.bytes = raw.data;
		q.match = work;
		q.tls = fields_len % 2;
		q.can_wait = true; /* no password is hashed */
		q.client = (struct address){ .family = 4, .b = { 10, 0, 0, 1 } };
		q.now_ns = 1000000000;
		must(gate_check(&q, &rule, &verdict, &result) == 0);
		if (verdict == GATE_VERIFY) {
			must(gate_verified(&q, &rule, fields_len % 3 != 0, &verdict, &result) == 0);
			gate_job_drop(result.job);
			result.job = NULL;
		}
		if (verdict == GATE_ASK) {
			check_ask(&q, &rule);
			answer_ask(&q, &rule, &verdict, &result);
		}
		check_sets(&head, raw.data, &result.answer_set);
		check_sets(&head, raw.data, &result.request_set);
		check_sets(&head, raw.data, &result.response_set);
		if (verdict == GATE_PASS && policy->affinity.enabled) {
			struct origin origin = { .key = 7 };
			const char *cookie = gate_cookie(&q, &result, &origin);
			struct http1_set set = { .name = "Set-Cookie", .value = cookie };

			check_sets(&head, raw.data, &(struct gate_sets){ &set, 1 });
		}
		gate_leave(gate, &result);
	}
	arena_done(&arena);
	buf_done(&raw);
}

/* Lines of annotations, an empty line, fields of the request. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct ingress_annotation list[ANNOTATIONS_MAX];
	struct ingress ingress = { .meta = { .namespace = (char *)"n", .name = (char *)"i" },
				   .annotations = list };
	struct policy_input in = {
		.ingress = &ingress, .secret = get_secret, .note = on_note, .hsts = "max-age=1"
	};
	char *text = malloc(size + 1), *line = text, *end = text + size;
	struct policy *policy;

	must(text != NULL);
	memcpy(text, data, size);
	text[size] = '\0';
	while (line < end && *line != '\n' && ingress.n_annotations < ANNOTATIONS_MAX) {
		char *stop = memchr(line, '\n', (size_t)(end - line)), *equals;

		stop = stop ? stop : end;
		*stop = '\0';
		equals = strchr(line, '=');
		if (equals) {
			*equals = '\0';
			for (char *p = equals + 1; *p;
			     p++) /* a value may hold line breaks: VT stands for one */
				*p = *p == '\v' ? '\n' : *p;
			list[ingress.n_annotations++] =
				(struct ingress_annotation){ line, equals + 1 };
		}
		line = stop + 1;
	}
	if (policy_build(&in, &policy) == 0) {
		run(policy, line < end ? line + 1 : "", line < end ? (size_t)(end - line - 1) : 0);
		policy_drop(policy);
	}
	free(text);
	return 0;
}

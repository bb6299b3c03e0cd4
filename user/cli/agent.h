/* SPDX-License-Identifier: GPL-2.0-only */
/* Questions to the running agent, by its admin socket. The protocol is told in agent/admin.h. */
#ifndef CLI_AGENT_H
#define CLI_AGENT_H

#include <stdint.h>

#include "base/err.h"

struct cJSON;

/*
 * Asks {"get": what} and waits five seconds at most. *ret_answer is the caller's (cJSON_Delete). -ENOENT, -ECONNREFUSED: no agent
 * there; -ETIMEDOUT: it does not answer; -EPROTO: not an answer. *err says it in words.
 */
int agent_ask(const char *path, const char *what, struct err *err, struct cJSON **ret_answer);

/* Members of an object; "" or 0 where there is none. */
const char *agent_text(const struct cJSON *object, const char *name);
uint64_t agent_number(const struct cJSON *object, const char *name);

#endif

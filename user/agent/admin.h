// SPDX-License-Identifier: GPL-2.0-only
/*
 * The admin socket: what only the agent knows, for sluicectl. Nothing can be changed through it.
 *
 * A stream socket. The client sends one line, {"get": WHAT}; the agent answers one line of JSON; more may follow on the same
 * connection. Answers:
 *
 *   "status"      {"version", "pid", "nodeName", "source", "kubeconfig", "apiServers": [URL], "uptimeSeconds", "synced", "healthy", "nodeEligible", "lastSync",
 *                 "syncs", "syncFailures", "pendingRows", "audits", "driftRepairs", "problems",
 *                 "serviceRecords", "backends", "hooks": {"ok", "foreign", "unsupported", "failed"},
 *                 "features": {…}, "maps": [{"name", "entries", "capacity"}]}
 *   "problems"    {"problems": [{"object", "reason"}]}
 *   "interfaces"  {"interfaces": [{"name", "ifindex", "class": "pod" | "uplink" | "overlay"}],
 *                 "hooks": [{"interface", "ifindex", "hook", "how", "program", "state", "text"}]}
 *   "wanted"      {"services": [{"namespace", "name", "portName", "address", "port", "protocol", "kind", "algorithm",
 *                 "affinitySeconds", "flags", "cluster": [ENDPOINT], "local": [ENDPOINT]}]}, ENDPOINT = {"address", "port",
 *                 "flags"}: what the plan wants the kernel to hold, in no order; flags are numbers (SL_SERVICE_, SL_BACKEND_);
 *                 kind "address" has no names. Changes that come while it is fetched may be in it or not
 *   "drops"       {"drops": [{"time", "reason", "hook", "protocol", "from", "to", "ifindex", "namespace", "name", "portName"}]}:
 *                 the last refusals, oldest first
 *   anything else {"error": "…"}
 */
#ifndef AGENT_ADMIN_H
#define AGENT_ADMIN_H

#include "agent/admin_wanted.h"
#include "agent/drops.h"
#include "agent/metrics.h"
#include "base/buf.h"
#include "base/err.h"

struct admin;
struct loop;

/* What answers are made of. All outlive the admin socket. */
struct admin_view {
	const struct config *config;
	const struct metrics *metrics; /* the same figures */
	const struct drops *drops;
	uint64_t started_ns;
	bool (*eligible)(void *ctx);
	bool (*healthy)(void *ctx);
	void *ctx;
};

/*
 * Listens at path (mode 0660), making its directory. -EADDRINUSE: another agent answers there. A path left over by one that was
 * killed is taken.
 */
int admin_new(struct loop *loop, const char *path, const struct admin_view *view, struct err *err,
	      struct admin **ret_admin);
void admin_free(struct admin *admin); /* removes the path */

/* The answer to one line that came without its newline; what is open in *ret_wanted belongs to it. */
void admin_answer(const struct admin_view *view, const char *line, struct buf *answer,
		  struct admin_wanted *ret_wanted);

#endif

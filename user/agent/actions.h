// SPDX-License-Identifier: GPL-2.0-only
/* What sluiced can do instead of running. Both return an exit code and say what they found on stdout. */
#ifndef AGENT_ACTIONS_H
#define AGENT_ACTIONS_H

#include "agent/options.h"

/* --check: reads the source once, plans, and prints every problem. 1 if there is any. Touches nothing, needs no rights. */
int action_check(const struct config *config);
/* --cleanup: detaches and removes everything of ours in this network namespace and below --bpffs. Safe to repeat. */
int action_cleanup(const struct config *config);

#endif

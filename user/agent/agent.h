// SPDX-License-Identifier: GPL-2.0-only
/* The running agent: everything made in order, and taken down in reverse. */
#ifndef AGENT_AGENT_H
#define AGENT_AGENT_H

#include "agent/options.h"

/* Runs until SIGTERM or SIGINT; the data path stays in place. Returns an exit code. */
int agent_run(const struct config *config);

#endif

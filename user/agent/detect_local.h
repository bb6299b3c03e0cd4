/* SPDX-License-Identifier: GPL-2.0-only */
/* The words of --detect-local: how traffic of this node's pods is told from other traffic. */
#ifndef AGENT_DETECT_LOCAL_H
#define AGENT_DETECT_LOCAL_H

#include "base/err.h"

/* cidr:CIDR[,CIDR], node-cidr, bridge:IF, prefix:IFPREFIX or none. -EINVAL: *err names the option, the word and what it may be. */
int detect_local_check(const char *text, struct err *err);

#endif

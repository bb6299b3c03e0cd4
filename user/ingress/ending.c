// SPDX-License-Identifier: GPL-2.0-only
/*
 * The words for how an exchange ended. Pure.
 * Must not know who reads them.
 */
#include "ingress/ending.h"

static const struct {
	const char *name, *who, *text;
} endings[] = {
#define X(id, name_, who_, text_) [ENDING_##id] = { name_, who_, text_ },
	ENDINGS(X)
#undef X
};

static const char *const phases[] = {
	[PHASE_REQUEST] = "request", [PHASE_ROUTE] = "route", [PHASE_CONNECT] = "connect",
	[PHASE_SEND] = "send",       [PHASE_WAIT] = "wait",   [PHASE_BODY] = "body",
	[PHASE_TUNNEL] = "tunnel",   [PHASE_DONE] = "done",
};

const char *ending_name(enum ending ending)
{
	return ending < ENDINGS_COUNT ? endings[ending].name : "unknown";
}

const char *ending_who(enum ending ending)
{
	return ending < ENDINGS_COUNT ? endings[ending].who : "unknown";
}

const char *ending_text(enum ending ending)
{
	return ending < ENDINGS_COUNT ? endings[ending].text : "unknown";
}

const char *phase_name(enum phase phase)
{
	return phase <= PHASE_DONE ? phases[phase] : "unknown";
}

/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef INGRESS_ENDING_H
#define INGRESS_ENDING_H

/*
 * Who ended an exchange, why, and in which phase: one vocabulary for the access log, the metrics and the protocols (which
 * make a reset, a close or a GOAWAY of it). The words are stable: people write alerts on them.
 *
 *	X(id, name, who, text)
 */
#define ENDINGS(X)                                                                                 \
	X(COMPLETE, "complete", "none", "complete")                                                \
	X(ANSWERED, "answered", "proxy", "answered by the proxy")                                  \
	X(REFUSED, "refused", "proxy", "the request was refused")                                  \
	X(CLIENT_CLOSED, "client_closed", "client", "the client closed the connection")            \
	X(CLIENT_RESET, "client_reset", "client", "the client reset the connection or the stream") \
	X(CLIENT_TIMEOUT, "client_timeout", "client",                                              \
	  "the client sent or took nothing for too long")                                          \
	X(CLIENT_FAULT, "client_fault", "client", "the client broke the protocol")                 \
	X(ORIGIN_NONE, "origin_none", "proxy", "no endpoint is ready")                             \
	X(ORIGIN_CONNECT, "origin_connect", "origin", "no connection to the endpoint")             \
	X(ORIGIN_TLS, "origin_tls", "origin", "the endpoint's TLS was not acceptable")             \
	X(ORIGIN_CLOSED, "origin_closed", "origin",                                                \
	  "the endpoint closed before its answer was complete")                                    \
	X(ORIGIN_RESET, "origin_reset", "origin",                                                  \
	  "the endpoint reset the connection or the stream")                                       \
	X(ORIGIN_TIMEOUT, "origin_timeout", "origin",                                              \
	  "the endpoint sent or took nothing for too long")                                        \
	X(ORIGIN_FAULT, "origin_fault", "origin", "the endpoint broke the protocol")               \
	X(DRAINED, "drained", "proxy", "cut at the end of the time to drain")                      \
	X(NO_MEMORY, "no_memory", "proxy", "out of memory")

enum ending {
#define X(id, name, who, text) ENDING_##id,
	ENDINGS(X)
#undef X
		ENDINGS_COUNT,
};

enum phase {
	PHASE_REQUEST, /* the request's head was not complete */
	PHASE_ROUTE,   /* being routed and judged */
	PHASE_CONNECT, /* waiting for an endpoint or its connection */
	PHASE_SEND,    /* the request is being sent, no byte of an answer has come */
	PHASE_WAIT,    /* all of the request is sent, no byte of an answer has come */
	PHASE_BODY,    /* the answer is being relayed */
	PHASE_TUNNEL,  /* bytes both ways, after a 101 */
	PHASE_DONE,
};

/* Stable words: "origin_timeout", "client", "wait", and a sentence without a full stop. Never NULL. */
const char *ending_name(enum ending ending);
const char *ending_who(enum ending ending);
const char *ending_text(enum ending ending);
const char *phase_name(enum phase phase);

#endif

/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef BASE_LOG_H
#define BASE_LOG_H

/*
 * One line to stderr for each event: what happened, then key=value pairs.
 *
 *	log_info("synced services=%zu endpoints=%zu took_ms=%" PRIu64, …);
 *
 * A terminal or file gets "2025-01-31T12:00:00.123Z info synced …"; when stderr is the journal (as JOURNAL_STREAM
 * says) the line starts with its priority instead, "<6>synced …". Control characters in the text are written as \xNN, so that
 * an object's name cannot forge a line. Lines are cut at 2000 bytes. Only agent, tools and proxy log; libraries
 * return errors.
 */
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>

enum log_level { /* the journal's priorities */
		 LOG_LEVEL_ERR = 3,
		 LOG_LEVEL_WARN = 4,
		 LOG_LEVEL_INFO = 6,
		 LOG_LEVEL_DEBUG = 7,
};

/* Lines below this are not written; LOG_LEVEL_INFO at start. */
void log_set_level(enum log_level level);

void log_at(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));
void log_vat(enum log_level level, const char *format, va_list args)
	__attribute__((format(printf, 2, 0)));

#define log_err(...)   log_at(LOG_LEVEL_ERR, __VA_ARGS__)
#define log_warn(...)  log_at(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...)  log_at(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_at(LOG_LEVEL_DEBUG, __VA_ARGS__)

/*
 * At most `burst` lines in `interval_ns`, for what a peer or a packet can cause:
 *
 *	static struct log_rate rate = { .burst = 5, .interval_ns = 10 * CLOCK_NS_PER_S };
 *	uint64_t held;
 *	if (log_rate_allows(&rate, clock_now_ns(), &held))
 *		log_warn("… suppressed=%" PRIu64, …, held);
 */
struct log_rate {
	unsigned int burst;
	uint64_t interval_ns;
	uint64_t start_ns; /* of the running interval */
	unsigned int used; /* lines in it */
	uint64_t held;     /* refused since the last line that was allowed */
};

/* True if a line may be written now; *ret_held is then how many were refused since the one before it. */
bool log_rate_allows(struct log_rate *rate, uint64_t now_ns, uint64_t *ret_held);

#endif

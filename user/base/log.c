// SPDX-License-Identifier: GPL-2.0-only
// Writes one line to stderr for each event, for a terminal or for the journal.
// Must not know the program it serves; the level is the only state.
#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

enum { LINE_MAX_BYTES = 2000 };

static enum log_level threshold = LOG_LEVEL_INFO;

void log_set_level(enum log_level level)
{
	threshold = level;
}

static const char *level_name(enum log_level level)
{
	switch (level) {
	case LOG_LEVEL_ERR:
		return "error";
	case LOG_LEVEL_WARN:
		return "warn";
	case LOG_LEVEL_INFO:
		return "info";
	case LOG_LEVEL_DEBUG:
		return "debug";
	}
	return "?";
}

/* Whether stderr is the journal: the variable names its device and inode (systemd.exec(5)), and is inherited by
 * children whose stderr went elsewhere. */
static bool stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long device, inode;
	struct stat st;

	return stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 &&
	       !fstat(STDERR_FILENO, &st) && st.st_dev == device && st.st_ino == inode;
}

/* The start of the line: the journal has a time of its own. */
static size_t write_prefix(char *line, size_t size, enum log_level level)
{
	uint64_t now_ns;
	char date[32];
	struct tm tm;
	time_t now_s;
	int len;

	if (stderr_is_journal()) {
		len = snprintf(line, size, "<%d>", (int)level);
	} else {
		now_ns = clock_wall_ns();
		now_s = (time_t)(now_ns / CLOCK_NS_PER_S);
		gmtime_r(&now_s, &tm);
		strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);
		len = snprintf(line, size, "%s.%03uZ %s ", date,
			       (unsigned int)(now_ns / CLOCK_NS_PER_MS % 1000), level_name(level));
	}
	return len < 0 ? 0 : (size_t)len;
}

/* Copies text so that it stays one line; returns the new length of the line. */
static size_t append_escaped(char *line, size_t len, size_t max, const char *text)
{
	for (; *text && len + 4 <= max; text++) {
		unsigned char c = (unsigned char)*text;

		if (c >= 0x20 && c != 0x7f)
			line[len++] = (char)c;
		else
			len += (size_t)snprintf(line + len, 5, "\\x%02x", c);
	}
	return len;
}

void log_vat(enum log_level level, const char *format, va_list args)
{
	char text[LINE_MAX_BYTES], line[LINE_MAX_BYTES + 1];
	size_t len;

	if (level > threshold)
		return;
	if (vsnprintf(text, sizeof(text), format, args) < 0)
		return;
	len = write_prefix(line, sizeof(line), level);
	len = append_escaped(line, len, LINE_MAX_BYTES - 1, text);
	line[len++] = '\n';
	/* One write for the whole line, so that lines do not mix. Nobody is left to hear of a failure. */
	if (write(STDERR_FILENO, line, len) < 0)
		return;
}

void log_at(enum log_level level, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	log_vat(level, format, args);
	va_end(args);
}

bool log_rate_allows(struct log_rate *rate, uint64_t now_ns, uint64_t *ret_held)
{
	if (!rate->start_ns || now_ns - rate->start_ns >= rate->interval_ns) {
		rate->start_ns = now_ns ? now_ns : 1;
		rate->used = 0;
	}
	if (rate->used >= rate->burst) {
		rate->held++;
		return false;
	}
	rate->used++;
	*ret_held = rate->held;
	rate->held = 0;
	return true;
}

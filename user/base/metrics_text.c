// SPDX-License-Identifier: GPL-2.0-only
/*
 * Writes Prometheus' text format. Pure.
 * Must not know which metrics there are.
 */
#include "base/metrics_text.h"

#include <inttypes.h>
#include <stdarg.h>

void metrics_family(struct buf *page, const char *name, const char *type, const char *help)
{
	buf_printf(page, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

void metrics_escape(struct buf *page, const char *text)
{
	for (; *text; text++) {
		if (*text == '\n')
			buf_puts(page, "\\n");
		else if (*text == '\\' || *text == '"')
			buf_printf(page, "\\%c", *text);
		else
			buf_putc(page, *text);
	}
}

void metrics_sample(struct buf *page, const char *name, uint64_t value, ...)
{
	const char *label, *separator = "{";
	va_list args;

	buf_puts(page, name);
	va_start(args, value);
	while ((label = va_arg(args, const char *))) {
		buf_printf(page, "%s%s=\"", separator, label);
		metrics_escape(page, va_arg(args, const char *));
		buf_putc(page, '"');
		separator = ",";
	}
	va_end(args);
	buf_printf(page, "%s %" PRIu64 "\n", *separator == ',' ? "}" : "", value);
}

void metrics_single(struct buf *page, const char *name, const char *type, const char *help,
		    uint64_t value)
{
	metrics_family(page, name, type, help);
	metrics_sample(page, name, value, NULL);
}

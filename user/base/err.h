/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef BASE_ERR_H
#define BASE_ERR_H

/*
 * An error for people: a code for the program and one sentence that names the object, the field and the remedy,
 * e.g. "Service shop/cart: port 'web': targetPort 70000 is out of range; use 1..65535".
 *
 * Functions that can say something useful take a `struct err *err` (may be NULL), return the negative errno
 * they stored, and leave *err untouched on success. They never log: who called them decides.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct err {
	int code;       /* negative errno; 0 = no error */
	char what[512]; /* one line, no newline at its end; cut when longer */
};

/* Stores code and sentence; returns code, so that `return err_set(err, -EINVAL, …)` reads well. */
__attribute__((format(printf, 3, 4))) static inline int err_set(struct err *err, int code,
								const char *format, ...)
{
	va_list args;

	if (!err)
		return code;
	err->code = code;
	va_start(args, format);
	vsnprintf(err->what, sizeof(err->what), format, args);
	va_end(args);
	return code;
}

/* Puts context in front of what is there ("file.yaml:12: " + sentence); returns the stored code. */
__attribute__((format(printf, 2, 3))) static inline int err_prefix(struct err *err,
								   const char *format, ...)
{
	char what[sizeof(err->what)];
	va_list args;
	int len;

	if (!err)
		return 0;
	memcpy(what, err->what, sizeof(what));
	va_start(args, format);
	len = vsnprintf(err->what, sizeof(err->what), format, args);
	va_end(args);
	if (len >= 0 && (size_t)len < sizeof(err->what))
		snprintf(err->what + len, sizeof(err->what) - (size_t)len, "%s", what);
	return err->code;
}

#endif

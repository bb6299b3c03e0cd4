/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef BASE_OPTIONS_VALUE_H
#define BASE_OPTIONS_VALUE_H

/* One option's value between text and the caller's field; used by options.c alone. */
#include "base/arena.h"
#include "base/options.h"

/* Reads text into *field; strings and items are copied into the arena. A list is appended to when `append`.
 * 0, -ENOMEM, or -EINVAL with a sentence that does not name the option: "'x' is not a number". */
int option_read(const struct option *option, struct arena *arena, const char *text, bool append,
		void *field, struct err *err);

/* Writes the value as option_read() would take it; false when there is none (a string that was never set). */
bool option_write(const struct option *option, const void *field, struct buf *buf);

/* Whether text is a way to say on or off. */
bool option_is_bool_word(const char *text);

/* What stands for the value in --help: "N", "auto|tcx|clsact", "" for a bool. */
void option_write_metavar(const struct option *option, struct buf *buf);

#endif

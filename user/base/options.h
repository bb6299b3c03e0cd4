/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef BASE_OPTIONS_H
#define BASE_OPTIONS_H

/*
 * One table describes every option of a program; from it come flags, environment, configuration file, --help,
 * defaults, and the report of what is in force and why. Precedence: flag, environment, file, default.
 *
 *	struct config { char *node_name; uint64_t max_services; bool socket_lb; … };
 *
 *	static const char *const tc_words[] = { "auto", "tcx", "clsact", NULL };   value: index of the word
 *	static const struct option table[] = {
 *		{ OPTION_STRING(struct config, node_name, "node-name", NULL, "NAME", "this node's name in the API") },
 *		{ OPTION_UINT(struct config, max_services, "max-services", "65536", 1, 1 << 20, "N", "…") },
 *		{ OPTION_ENUM(struct config, tc, "tc", "auto", tc_words, "how to attach to tc"), .letter = 't' },
 *		{ OPTION_BOOL(struct config, socket_lb, "socket-lb", "on", "…") },
 *		{ 0 },
 *	};
 *
 *	flag         --max-services 100, --max-services=100; bool: --socket-lb, --socket-lb off, --socket-lb=off;
 *	             a list may be repeated; "--" ends flags
 *	environment  SLUICE_MAX_SERVICES=100
 *	file         max-services: 100  or  max-services = 100; # begins a comment; lists are comma-separated;
 *	             named by the option "config", if the table has one
 *
 * An unknown name or value is refused, in every origin, with the nearest valid word.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

enum option_type {
	OPTION_TYPE_STRING,   /* char *; NULL without default */
	OPTION_TYPE_LIST,     /* struct option_list */
	OPTION_TYPE_BOOL,     /* bool: on|off (also true|false, yes|no) */
	OPTION_TYPE_ENUM,     /* int: index into words */
	OPTION_TYPE_UINT,     /* uint64_t within min..max; words[0], if any, is read as 0 */
	OPTION_TYPE_PORTS,    /* struct option_ports: LOW-HIGH or N, within 1..65535 */
	OPTION_TYPE_DURATION, /* uint64_t nanoseconds within min..max: 250ms, 10s, 1h30m */
};

enum option_origin { OPTION_FROM_DEFAULT, OPTION_FROM_FILE, OPTION_FROM_ENV, OPTION_FROM_FLAG };

struct option_list {
	char **item;
	size_t len;
};

struct option_ports {
	uint16_t low, high; /* inclusive; both 0 without default */
};

struct option {
	const char *name; /* as after "--"; NULL ends the table */
	char letter;      /* also -x; 0 = none */
	enum option_type type;
	bool flag_only;           /* an action (--check): not from environment or file */
	size_t offset;            /* of the field in the caller's struct */
	const char *preset;       /* default, written as a user would; NULL = none (zero) */
	const char *metavar;      /* NAME, FILE … in --help; NULL for BOOL and ENUM */
	const char *help;         /* one sentence, lower case, no full stop */
	const char *const *words; /* ENUM, UINT; NULL-terminated */
	uint64_t min, max;
};

/*
 * The initialisers below stand in braces, where more can be said: { OPTION_ENUM(…), .letter = 'o' }.
 * OPTION_AT() is an offsetof() that does not compile when the field has another type.
 */
#define OPTION_AT(s, field, type) (offsetof(s, field) + 0 * sizeof(&((s *)0)->field == (type *)0))

#define OPTION_STRING(s, field, name_, preset_, metavar_, help_)                          \
	.name = name_, .type = OPTION_TYPE_STRING, .offset = OPTION_AT(s, field, char *), \
	.preset = preset_, .metavar = metavar_, .help = help_
#define OPTION_LIST(s, field, name_, preset_, metavar_, help_)                                     \
	.name = name_, .type = OPTION_TYPE_LIST,                                                   \
	.offset = OPTION_AT(s, field, struct option_list), .preset = preset_, .metavar = metavar_, \
	.help = help_
#define OPTION_BOOL(s, field, name_, preset_, help_)                                  \
	.name = name_, .type = OPTION_TYPE_BOOL, .offset = OPTION_AT(s, field, bool), \
	.preset = preset_, .help = help_
/* An action such as --check: a bare flag that neither environment nor file can set. */
#define OPTION_ACTION(s, field, name_, help_)                                         \
	.name = name_, .type = OPTION_TYPE_BOOL, .offset = OPTION_AT(s, field, bool), \
	.flag_only = true, .help = help_
#define OPTION_ENUM(s, field, name_, preset_, words_, help_)                         \
	.name = name_, .type = OPTION_TYPE_ENUM, .offset = OPTION_AT(s, field, int), \
	.preset = preset_, .words = words_, .help = help_
#define OPTION_UINT(s, field, name_, preset_, min_, max_, metavar_, help_)                \
	.name = name_, .type = OPTION_TYPE_UINT, .offset = OPTION_AT(s, field, uint64_t), \
	.preset = preset_, .min = min_, .max = max_, .metavar = metavar_, .help = help_
#define OPTION_PORTS(s, field, name_, preset_, help_)                          \
	.name = name_, .type = OPTION_TYPE_PORTS,                              \
	.offset = OPTION_AT(s, field, struct option_ports), .preset = preset_, \
	.metavar = "LOW-HIGH", .help = help_
#define OPTION_DURATION(s, field, name_, preset_, min_, max_, help_)                          \
	.name = name_, .type = OPTION_TYPE_DURATION, .offset = OPTION_AT(s, field, uint64_t), \
	.preset = preset_, .min = min_, .max = max_, .metavar = "TIME", .help = help_

struct options_spec {
	const char *program;  /* sluiced */
	const char *synopsis; /* behind the name in the first line of --help: "[OPTION…]" */
	const char *about;    /* one sentence under it */
	const struct option *table;
	bool takes_words; /* words that are no option are allowed (sluicectl's nouns) */
	bool shares_env; /* other programs' SLUICE_* variables may be set: do not refuse unknown ones */
};

struct options;

enum { OPTIONS_HELP = 1, OPTIONS_VERSION = 2 }; /* --help or -h, --version was asked for */

/*
 * Fills *values (the caller's struct, whose fields the table names) and *ret_options, which owns every string and
 * list in it: keep it and the table as long as the values. argv[0] is skipped; env is environ, or NULL for none.
 * 0; OPTIONS_HELP or OPTIONS_VERSION (nothing else is filled then); or a negative errno with *err saying where and
 * what: -EINVAL for a refused name or value, else what reading the file gave. After an error *values holds nothing of use.
 */
int options_load(const struct options_spec *spec, int argc, char *const argv[], char *const env[],
		 void *values, struct options **ret_options, struct err *err);
void options_free(struct options *options);

/* The words that are no option, in order; their number is returned. */
size_t options_words(const struct options *options, char *const **ret_words);

/* Where the value of an option comes from; name must be in the table. */
enum option_origin options_origin(const struct options *options, const char *name);

/* "name = value   # flag|environment|file FILE:LINE|default" for every option: a file that could be read back. */
int options_write(const struct options *options, struct buf *buf);

/* The text of --help. */
int options_write_help(const struct options_spec *spec, struct buf *buf);

/* The word of a NULL-terminated list nearest to `word`, or NULL when none is near enough to be meant. */
const char *options_nearest(const char *word, const char *const *words);

#endif

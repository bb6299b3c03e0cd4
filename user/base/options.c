// SPDX-License-Identifier: GPL-2.0-only
// Brings a program's options together from flags, environment, file and defaults.
// Must not know any program's options: they come as a table.
#include "base/options.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/options_value.h"
#include "base/vec.h"

#define ENV_PREFIX "SLUICE_"
enum { ENV_NAME_MAX = 80, HELP_COLUMN = 34 };

/* One value that somebody gave; collected first, because the file is named by a flag or the environment. */
struct assignment {
	const struct option *option;
	enum option_origin origin;
	const char *text;
	unsigned int line; /* in the file */
};

struct options {
	const struct options_spec *spec;
	size_t len;                 /* of the table */
	void *values;               /* the caller's struct */
	enum option_origin *origin; /* of each option */
	unsigned int *line;         /* in the file, where that is the origin */
	const char *file;           /* NULL: none */
	struct arena arena;         /* every string */
	struct VEC_OF(struct assignment) given;
	struct VEC_OF(char *) words;
};

static const struct option *find_option(const struct options_spec *spec, const char *name,
					size_t len)
{
	for (const struct option *option = spec->table; option->name; option++)
		if (strlen(option->name) == len && strncmp(option->name, name, len) == 0)
			return option;
	return NULL;
}

static const struct option *find_letter(const struct options_spec *spec, char letter)
{
	for (const struct option *option = spec->table; option->name; option++)
		if (option->letter == letter)
			return option;
	return NULL;
}

static void name_to_env(const char *name, char variable[ENV_NAME_MAX])
{
	size_t len = (size_t)snprintf(variable, ENV_NAME_MAX, ENV_PREFIX "%s", name);

	for (size_t i = 0; i < len && i < ENV_NAME_MAX - 1; i++)
		variable[i] = variable[i] == '-' ? '_' : (char)toupper((unsigned char)variable[i]);
}

/* A name as its origin writes it: --node-name, SLUICE_NODE_NAME, node-name. */
static void show_name(const char *name, enum option_origin origin, char shown[ENV_NAME_MAX])
{
	if (origin == OPTION_FROM_ENV)
		name_to_env(name, shown);
	else
		snprintf(shown, ENV_NAME_MAX, "%s%s", origin == OPTION_FROM_FLAG ? "--" : "", name);
}

/* Refuses a name, with the nearest that this origin knows. */
static int refuse_name(const struct options *options, const char *name, enum option_origin origin,
		       struct err *err)
{
	struct VEC_OF(const char *) names = { 0 };
	char shown[ENV_NAME_MAX], meant[ENV_NAME_MAX];
	const char *nearest;
	int rc = 0;

	for (const struct option *option = options->spec->table; option->name && !rc; option++)
		if (origin == OPTION_FROM_FLAG || !option->flag_only)
			rc = vec_push(&names, option->name);
	if (!rc && origin == OPTION_FROM_FLAG)
		rc = vec_push(&names, "help");
	if (!rc)
		rc = vec_push(&names, NULL);
	nearest = rc ? NULL : options_nearest(name, names.data);
	vec_done(&names);
	show_name(name, origin, shown);
	if (!nearest)
		return err_set(err, -EINVAL, "%s: no such option; '%s --help' lists them", shown,
			       options->spec->program);
	show_name(nearest, origin, meant);
	return err_set(err, -EINVAL, "%s: no such option; did you mean %s?", shown, meant);
}

static int give(struct options *options, const struct option *option, enum option_origin origin,
		const char *text, unsigned int line, struct err *err)
{
	const char *copy = arena_strdup(&options->arena, text);
	struct assignment given = { option, origin, copy, line };

	if (!copy || vec_push(&options->given, given) < 0)
		return err_set(err, -ENOMEM, "out of memory");
	return 0;
}

/* ------------------------------------------------------------------------------------------------------ flags */

/* A flag and its value: behind "=", or the next word, which a bool takes only if it says on or off. */
static int take_flag(struct options *options, const struct option *option, const char *shown,
		     const char *value, char *const argv[], int *i, struct err *err)
{
	const char *next = argv[*i + 1];

	if (!value && option->type == OPTION_TYPE_BOOL) {
		value = "on";
		if (next && !option->flag_only && option_is_bool_word(next)) {
			value = next;
			(*i)++;
		}
	} else if (!value) {
		if (!next)
			return err_set(err, -EINVAL, "%s: needs a value%s%s", shown,
				       option->metavar ? ", " : "",
				       option->metavar ? option->metavar : "");
		value = next;
		(*i)++;
	}
	return give(options, option, OPTION_FROM_FLAG, value, 0, err);
}

static int take_long(struct options *options, char *const argv[], int *i, struct err *err)
{
	const char *name = argv[*i] + 2;
	size_t len = strcspn(name, "=");
	const struct option *option = find_option(options->spec, name, len);
	char shown[ENV_NAME_MAX];

	snprintf(shown, sizeof(shown), "%.*s", (int)len + 2, argv[*i]);
	if (option)
		return take_flag(options, option, shown, name[len] ? name + len + 1 : NULL, argv, i,
				 err);
	if (strcmp(name, "help") == 0)
		return OPTIONS_HELP;
	if (strcmp(name, "version") == 0)
		return OPTIONS_VERSION;
	return refuse_name(options, shown + 2, OPTION_FROM_FLAG, err);
}

static int take_letter(struct options *options, char *const argv[], int *i, struct err *err)
{
	const char *word = argv[*i];
	const struct option *option = find_letter(options->spec, word[1]);
	const char shown[] = { '-', word[1], '\0' };

	if (option)
		return take_flag(options, option, shown, word[2] ? word + 2 : NULL, argv, i, err);
	if (strcmp(word, "-h") == 0)
		return OPTIONS_HELP;
	return err_set(err, -EINVAL, "%s: no such option; '%s --help' lists them", word,
		       options->spec->program);
}

static int take_word(struct options *options, const char *word, struct err *err)
{
	char *copy;

	if (!options->spec->takes_words)
		return err_set(err, -EINVAL,
			       "'%s': no such word here; '%s --help' lists the options", word,
			       options->spec->program);
	copy = arena_strdup(&options->arena, word);
	if (!copy || vec_push(&options->words, copy) < 0)
		return err_set(err, -ENOMEM, "out of memory");
	return 0;
}

static int collect_flags(struct options *options, int argc, char *const argv[], struct err *err)
{
	bool flags_over = false;
	int rc = 0;

	for (int i = 1; i < argc && !rc; i++) {
		if (!flags_over && strcmp(argv[i], "--") == 0)
			flags_over = true;
		else if (!flags_over && strncmp(argv[i], "--", 2) == 0)
			rc = take_long(options, argv, &i, err);
		else if (!flags_over && argv[i][0] == '-' && argv[i][1])
			rc = take_letter(options, argv, &i, err);
		else
			rc = take_word(options, argv[i], err);
	}
	return rc;
}

/* ------------------------------------------------------------------------------------------------ environment */

/* SLUICE_NODE_NAME -> node-name; one that is too long is cut, and then no option has it. */
static void env_to_name(const char *variable, size_t len, char name[ENV_NAME_MAX])
{
	size_t i, at = strlen(ENV_PREFIX);

	for (i = 0; at + i < len && i < ENV_NAME_MAX - 1; i++) {
		char c = variable[at + i];

		name[i] = c == '_' ? '-' : (char)tolower((unsigned char)c);
	}
	name[i] = '\0';
}

/* A Service whose name begins with "sluice" makes the kubelet set variables in our namespace's pods:
 * SLUICE_SERVICE_HOST, SLUICE_SERVICE_PORT[_NAME], SLUICE_PORT, SLUICE_PORT_80_TCP[_ADDR|_PORT|_PROTO]
 * (kubernetes.io/docs/concepts/services-networking/service/#environment-variables). They are not for us. */
static bool is_service_variable(const char *name)
{
	static const char *const inside[] = { "service-host", "service-port", NULL };
	size_t len = strlen(name);
	const char *port = name;

	for (size_t i = 0; inside[i]; i++)
		if (strstr(name, inside[i]))
			return true;
	if (strcmp(name, "port") == 0 || (len > 5 && strcmp(name + len - 5, "-port") == 0))
		return true;
	while ((port = strstr(port, "port-"))) {
		port += strlen("port-");
		if (isdigit((unsigned char)*port) &&
		    (strstr(port, "-tcp") || strstr(port, "-udp") || strstr(port, "-sctp")))
			return true;
	}
	return false;
}

static int collect_env(struct options *options, char *const env[], struct err *err)
{
	int rc = 0;

	for (; env && *env && !rc; env++) {
		size_t len = strcspn(*env, "=");
		const struct option *option;
		char name[ENV_NAME_MAX];

		if (strncmp(*env, ENV_PREFIX, strlen(ENV_PREFIX)) != 0 || !(*env)[len])
			continue;
		env_to_name(*env, len, name);
		option = find_option(options->spec, name, strlen(name));
		if (option && !option->flag_only) {
			rc = give(options, option, OPTION_FROM_ENV, *env + len + 1, 0, err);
		} else if (!options->spec->shares_env && !is_service_variable(name)) {
			rc = refuse_name(options, name, OPTION_FROM_ENV, err);
			err_prefix(err, "environment variable ");
		}
	}
	return rc;
}

/* ------------------------------------------------------------------------------------------------------- file */

static char *trim(char *text)
{
	size_t len;

	while (isspace((unsigned char)*text))
		text++;
	len = strlen(text);
	while (len && isspace((unsigned char)text[len - 1]))
		text[--len] = '\0';
	return text;
}

/* Cuts a comment off: "#" at the start or behind a blank, outside of quotes. */
static void cut_comment(char *line)
{
	char quote = '\0';

	for (char *p = line; *p; p++) {
		bool starts = p == line || isspace((unsigned char)p[-1]);

		if (quote)
			quote = *p == quote ? '\0' : quote;
		else if (*p == '#' && starts)
			*p = '\0';
		else if ((*p == '"' || *p == '\'') && starts)
			quote = *p;
		if (!*p)
			return;
	}
}

static char *unquote(char *text)
{
	size_t len = strlen(text);

	if (len < 2 || (text[0] != '"' && text[0] != '\'') || text[len - 1] != text[0])
		return text;
	text[len - 1] = '\0';
	return text + 1;
}

static int check_twice(const struct options *options, const struct option *option, struct err *err)
{
	const struct assignment *given;

	vec_for_each(given, &options->given)
		if (given->option == option && given->origin == OPTION_FROM_FILE)
			return err_set(err, -EINVAL,
				       "%s: was already set on line %u; keep one of the two",
				       option->name, given->line);
	return 0;
}

static int take_line(struct options *options, char *line, unsigned int number, struct err *err)
{
	const struct option *option;
	char *name, *value;
	int rc;

	cut_comment(line);
	name = trim(line);
	if (!*name)
		return 0;
	value = name + strcspn(name, ":=");
	if (!*value)
		return err_set(err, -EINVAL, "'%s' is not an option; write 'name: value'", name);
	*value++ = '\0';
	name = trim(name);
	value = trim(value);
	option = find_option(options->spec, name, strlen(name));
	if (!option)
		return refuse_name(options, name, OPTION_FROM_FILE, err);
	if (option->flag_only || strcmp(name, "config") == 0)
		return err_set(err, -EINVAL, "%s: can only be given as a flag, --%s", name, name);
	if (!*value)
		return err_set(err, -EINVAL, "%s: has no value; write \"\" for an empty one", name);
	rc = check_twice(options, option, err);
	return rc ? rc : give(options, option, OPTION_FROM_FILE, unquote(value), number, err);
}

static int collect_file(struct options *options, struct err *err)
{
	_cleanup_fclose_ FILE *file = fopen(options->file, "re");
	_cleanup_free_ char *line = NULL;
	unsigned int number = 0;
	size_t size = 0;
	ssize_t len;
	int rc = 0;

	if (!file)
		return err_set(err, -errno, "configuration file %s: %s", options->file,
			       strerror(errno));
	while (!rc && (len = getline(&line, &size, file)) >= 0) {
		number++;
		if (strlen(line) != (size_t)len)
			rc = err_set(err, -EINVAL, "holds a NUL byte; is this a text file?");
		else
			rc = take_line(options, line, number, err);
		if (rc)
			err_prefix(err, "%s:%u: ", options->file, number);
	}
	if (!rc && ferror(file))
		rc = err_set(err, -EIO, "configuration file %s: cannot be read", options->file);
	return rc;
}

/* Where the file is: --config, its variable, or its default. */
static const char *find_file(const struct options *options)
{
	const struct option *option = find_option(options->spec, "config", strlen("config"));
	const struct assignment *given;
	const char *file = option ? option->preset : NULL;
	enum option_origin best = OPTION_FROM_DEFAULT;

	vec_for_each(given, &options->given) {
		if (given->option == option && given->origin >= best) {
			best = given->origin;
			file = given->text;
		}
	}
	return file;
}

/* ------------------------------------------------------------------------------------------------ bringing together */

static void *field_of(const struct options *options, const struct option *option)
{
	return (char *)options->values + option->offset;
}

static void say_where(const struct options *options, const struct assignment *given,
		      struct err *err)
{
	char variable[ENV_NAME_MAX];

	switch (given->origin) {
	case OPTION_FROM_FLAG:
	case OPTION_FROM_DEFAULT:
		err_prefix(err, "--%s: ", given->option->name);
		break;
	case OPTION_FROM_ENV:
		name_to_env(given->option->name, variable);
		err_prefix(err, "environment variable %s: ", variable);
		break;
	case OPTION_FROM_FILE:
		err_prefix(err, "%s:%u: %s: ", options->file, given->line, given->option->name);
		break;
	}
}

static int apply(struct options *options, const struct assignment *given, struct err *err)
{
	size_t i = (size_t)(given->option - options->spec->table);
	/* A repeated flag adds to a list; another origin replaces it. */
	bool append = given->origin == OPTION_FROM_FLAG && options->origin[i] == OPTION_FROM_FLAG;
	int rc = option_read(given->option, &options->arena, given->text, append,
			     field_of(options, given->option), err);

	if (rc < 0) {
		say_where(options, given, err);
		return rc;
	}
	options->origin[i] = given->origin;
	options->line[i] = given->line;
	return 0;
}

/* From the weakest origin to the strongest; a bad value is refused even where a stronger one covers it. */
static int apply_all(struct options *options, struct err *err)
{
	const struct assignment *given;
	int rc = 0;

	for (const struct option *option = options->spec->table; option->name && !rc; option++) {
		struct assignment preset = { option, OPTION_FROM_DEFAULT, option->preset, 0 };

		if (option->preset)
			rc = apply(options, &preset, err);
	}
	for (int origin = OPTION_FROM_FILE; origin <= OPTION_FROM_FLAG && !rc; origin++)
		vec_for_each(given, &options->given)
			if (!rc && (int)given->origin == origin)
				rc = apply(options, given, err);
	return rc;
}

static void clear_values(struct options *options)
{
	static const size_t size[] = {
		[OPTION_TYPE_STRING] = sizeof(char *),
		[OPTION_TYPE_LIST] = sizeof(struct option_list),
		[OPTION_TYPE_BOOL] = sizeof(bool),
		[OPTION_TYPE_ENUM] = sizeof(int),
		[OPTION_TYPE_UINT] = sizeof(uint64_t),
		[OPTION_TYPE_PORTS] = sizeof(struct option_ports),
		[OPTION_TYPE_DURATION] = sizeof(uint64_t),
	};

	for (const struct option *option = options->spec->table; option->name; option++)
		memset(field_of(options, option), 0, size[option->type]);
}

static struct options *options_new(const struct options_spec *spec, void *values)
{
	struct options *options = calloc(1, sizeof(*options));

	if (!options)
		return NULL;
	options->spec = spec;
	options->values = values;
	while (spec->table[options->len].name)
		options->len++;
	options->origin = arena_new(&options->arena, enum option_origin, options->len);
	options->line = arena_new(&options->arena, unsigned int, options->len);
	if (options->origin && options->line)
		return options;
	options_free(options);
	return NULL;
}

int options_load(const struct options_spec *spec, int argc, char *const argv[], char *const env[],
		 void *values, struct options **ret_options, struct err *err)
{
	struct options *options = options_new(spec, values);
	int rc;

	if (!options)
		return err_set(err, -ENOMEM, "out of memory");
	rc = collect_flags(options, argc, argv, err);
	if (!rc)
		rc = collect_env(options, env, err);
	if (!rc) {
		options->file = find_file(options);
		rc = options->file ? collect_file(options, err) : 0;
	}
	if (!rc) {
		clear_values(options);
		rc = apply_all(options, err);
	}
	if (rc) {
		options_free(options);
		return rc;
	}
	*ret_options = options;
	return 0;
}

void options_free(struct options *options)
{
	if (!options)
		return;
	arena_done(&options->arena);
	vec_done(&options->given);
	vec_done(&options->words);
	free(options);
}

size_t options_words(const struct options *options, char *const **ret_words)
{
	*ret_words = options->words.data;
	return options->words.len;
}

enum option_origin options_origin(const struct options *options, const char *name)
{
	const struct option *option = find_option(options->spec, name, strlen(name));

	return option ? options->origin[option - options->spec->table] : OPTION_FROM_DEFAULT;
}

/* ------------------------------------------------------------------------------------------------------- texts */

/* A value that the file's own reader would change gets quotes. */
static void write_quoted(const char *value, struct buf *buf)
{
	size_t len = strlen(value);
	bool plain = len && value[0] != '#' && value[0] != '"' && value[0] != '\'' &&
		     !isspace((unsigned char)value[0]) && !isspace((unsigned char)value[len - 1]) &&
		     !strstr(value, " #") && !strstr(value, "\t#");
	const char *quote = plain ? "" : strchr(value, '"') ? "'" : "\"";

	buf_printf(buf, "%s%s%s", quote, value, quote);
}

static void write_origin(const struct options *options, size_t i, struct buf *buf)
{
	char variable[ENV_NAME_MAX];

	switch (options->origin[i]) {
	case OPTION_FROM_DEFAULT:
		buf_puts(buf, "default");
		break;
	case OPTION_FROM_FILE:
		buf_printf(buf, "file %s:%u", options->file, options->line[i]);
		break;
	case OPTION_FROM_ENV:
		name_to_env(options->spec->table[i].name, variable);
		buf_printf(buf, "environment %s", variable);
		break;
	case OPTION_FROM_FLAG:
		buf_puts(buf, "flag");
		break;
	}
}

int options_write(const struct options *options, struct buf *buf)
{
	struct buf value = { 0 };
	int rc;

	for (size_t i = 0; i < options->len; i++) {
		const struct option *option = &options->spec->table[i];

		/* What a file cannot hold stays out of it. */
		if (option->flag_only || strcmp(option->name, "config") == 0)
			continue;
		buf_reset(&value);
		if (option_write(option, field_of(options, option), &value)) {
			buf_printf(buf, "%s = ", option->name);
			write_quoted(buf_str(&value), buf);
			buf_puts(buf, "  # ");
			write_origin(options, i, buf);
			buf_puts(buf, "\n");
		} else {
			buf_printf(buf, "# %s is not set\n", option->name);
		}
	}
	rc = value.failed || buf->failed ? -ENOMEM : 0;
	buf_done(&value);
	return rc;
}

static void write_option_help(const struct option *option, struct buf *buf)
{
	size_t start = buf->len, width;

	if (option->letter)
		buf_printf(buf, "  -%c, --%s", option->letter, option->name);
	else
		buf_printf(buf, "  --%s", option->name);
	if (option->type != OPTION_TYPE_BOOL || !option->flag_only)
		buf_putc(buf, ' ');
	option_write_metavar(option, buf);
	width = buf->len - start;
	if (width + 2 > HELP_COLUMN) {
		buf_putc(buf, '\n');
		width = 0;
	}
	buf_printf(buf, "%*s%s", (int)(HELP_COLUMN - width), "", option->help);
	if (option->preset && *option->preset)
		buf_printf(buf, " (default %s)", option->preset);
	buf_putc(buf, '\n');
}

int options_write_help(const struct options_spec *spec, struct buf *buf)
{
	bool has_file = find_option(spec, "config", strlen("config")) != NULL;

	buf_printf(buf, "usage: %s %s\n%s\n\noptions:\n", spec->program, spec->synopsis,
		   spec->about);
	for (const struct option *option = spec->table; option->name; option++)
		write_option_help(option, buf);
	buf_printf(buf, "  %-*s%s\n", HELP_COLUMN - 2, "-h, --help", "show this text and exit");
	buf_printf(buf, "  %-*s%s\n", HELP_COLUMN - 2, "--version", "show the version and exit");
	buf_printf(
		buf,
		"\nAn option may also stand in the environment (--node-name is SLUICE_NODE_NAME)%s.\n"
		"A flag comes before the environment%s.\n",
		has_file ? "\nor in the file of --config, one 'name: value' a line, lists by commas"
			 : "",
		has_file ? ", and that before the file" : "");
	return buf->failed ? -ENOMEM : 0;
}

/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SOURCE_FIELD_H
#define SOURCE_FIELD_H

/*
 * Fields of one object, read by type. What is wrong is noted as a sentence that names the field, what it holds and the
 * remedy: "spec.ports[0].port is 70000: a port is 1 to 65535".
 *
 * Two degrees: a note leaves the object in use, a refusal does not (but reading goes on, so that all that is wrong
 * is said at once). Every reader below refuses a value of a wrong type, and takes null for absent.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "source/value.h"

#define NOTES_MAX 8 /* sentences kept for one object; the others are counted */

struct notes {
	struct buf text; /* sentences, joined by "; " */
	unsigned n;
	bool refused;
	bool no_memory;
	bool from_api; /* the API server has checked the object: words it knows and we do not are no mistake */
};

struct field {
	struct value value;
	const struct field *up; /* NULL for the object; must outlive this */
	const char *key;        /* NULL for elements of lists */
	size_t index;
};

void note(struct notes *notes, const struct field *field, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void note_refusal(struct notes *notes, const struct field *field, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void notes_done(struct notes *notes);
/* Forgets all but from_api. */
void notes_reset(struct notes *notes);

struct field field_get(const struct field *map, const char *key);
bool field_is_set(const struct field *field);
/* for (e = field_first(&list); e.value.node; field_next(&e)) */
struct field field_first(const struct field *list);
void field_next(struct field *element);

/* True if it is there and is a map (a list). */
bool field_is_map(struct notes *notes, const struct field *field);
bool field_is_list(struct notes *notes, const struct field *field);

/* NULL if absent. Borrowed. Text with control characters is refused. */
const char *field_string(struct notes *notes, const struct field *field);
/* The same as a copy to be freed; NULL also without memory, which is noted. */
char *field_strdup(struct notes *notes, const struct field *field);
/* Copies text, NULL for NULL; lack of memory is noted. */
char *notes_strdup(struct notes *notes, const char *text);
/* n elements, zeroed; NULL for n = 0; lack of memory is noted. */
void *notes_calloc(struct notes *notes, size_t n, size_t size);

bool field_bool(struct notes *notes, const struct field *field, bool absent);
/* A whole number of min..max. `what` begins the remedy: "a port". True, and *ret_number, if it is there and right. */
bool field_int(struct notes *notes, const struct field *field, const char *what, int64_t min,
	       int64_t max, int64_t *ret_number);
/* Index of the word in the NULL-terminated list; `absent` also for a word of the API that is not in it. */
int field_word(struct notes *notes, const struct field *field, const char *const *words,
	       int absent);

/* The word of the list that may have been meant (another case comes first), or NULL. */
const char *field_nearest(const char *text, const char *const *words);

/* Notes each member of a map that is not in the list, with the nearest one that is; not for objects of the API. */
void field_check_names(struct notes *notes, const struct field *map, const char *const *known);

#endif

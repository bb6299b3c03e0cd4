/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef BASE_VEC_H
#define BASE_VEC_H

/*
 * A growable array of anything, without a hidden header and without a .c file.
 *
 *	struct port_vec VEC_OF(struct port);          declares a type; in a struct: struct VEC_OF(int) ids;
 *	struct port_vec ports = { 0 };                all-zero is empty and valid
 *	if (vec_push(&ports, port) < 0) …             0 or -ENOMEM; the array is unchanged on failure
 *	struct port *p = vec_add(&ports);             a new zeroed element at the end, or NULL
 *	vec_for_each (p, &ports) …                    p points to each element in turn; do not grow meanwhile
 *	vec_remove(&ports, i)                         keeps the order; vec_remove_swap() does not
 *	vec_done(&ports);                             frees the array (not what elements own), leaves it empty
 *
 * Pointers to elements are valid until the array grows.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define VEC_OF(type)        \
	{                   \
		type *data; \
		size_t len; \
		size_t cap; \
	}

/* Makes room for `more` elements behind len; 0 or -ENOMEM. */
static inline int vec_grow(void **data, size_t *cap, size_t len, size_t more, size_t element_size)
{
	size_t want = *cap ? *cap : 4;
	void *grown;

	if (more > SIZE_MAX / 2 - len)
		return -ENOMEM;
	if (len + more <= *cap)
		return 0;
	while (want < len + more)
		want *= 2;
	if (want > SIZE_MAX / 2 / element_size)
		return -ENOMEM;
	grown = realloc(*data, want * element_size);
	if (!grown)
		return -ENOMEM;
	*data = grown;
	*cap = want;
	return 0;
}

#define vec_reserve(v, more)                                                              \
	({                                                                                \
		__typeof__(v) v_ = (v);                                                   \
		void *data_ = v_->data;                                                   \
		int rc_ = vec_grow(&data_, &v_->cap, v_->len, (more), sizeof(*v_->data)); \
		v_->data = data_;                                                         \
		rc_;                                                                      \
	})

#define vec_push(v, ...)                                      \
	({                                                    \
		__typeof__(v) vec_ = (v);                     \
		__typeof__(*vec_->data) value_ = __VA_ARGS__; \
		int push_ = vec_reserve(vec_, 1);             \
		if (!push_)                                   \
			vec_->data[vec_->len++] = value_;     \
		push_;                                        \
	})

#define vec_add(v)                                                                    \
	({                                                                            \
		__typeof__(v) vec_ = (v);                                             \
		vec_reserve(vec_, 1) < 0                                              \
			? NULL                                                        \
			: (__typeof__(vec_->data))memset(&vec_->data[vec_->len++], 0, \
							 sizeof(*vec_->data));        \
	})

#define vec_for_each(p, v) for ((p) = (v)->data; (p) && (p) < (v)->data + (v)->len; (p)++)

/* The last element, or NULL. */
#define vec_last(v) ((v)->len ? &(v)->data[(v)->len - 1] : NULL)

/* Drops element i (must exist); what follows moves up. */
#define vec_remove(v, i)                                            \
	do {                                                        \
		size_t at_ = (i);                                   \
		memmove(&(v)->data[at_], &(v)->data[at_ + 1],       \
			((v)->len - at_ - 1) * sizeof(*(v)->data)); \
		(v)->len--;                                         \
	} while (0)

/* Drops element i (must exist); the last one takes its place. */
#define vec_remove_swap(v, i)                             \
	do {                                              \
		size_t at_ = (i);                         \
		(v)->data[at_] = (v)->data[(v)->len - 1]; \
		(v)->len--;                               \
	} while (0)

/* qsort() by int compare(const T *, const T *), passed as qsort wants it. */
#define vec_sort(v, compare)                                                       \
	do {                                                                       \
		if ((v)->len > 1)                                                  \
			qsort((v)->data, (v)->len, sizeof(*(v)->data), (compare)); \
	} while (0)

#define vec_clear(v) ((void)((v)->len = 0))

#define vec_done(v)                      \
	do {                             \
		free((v)->data);         \
		(v)->data = NULL;        \
		(v)->len = (v)->cap = 0; \
	} while (0)

#endif

/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Inside of the models: copies. The first failure stays in *rc and leaves NULL behind; everything after it does
 * nothing.
 */
#ifndef CORE_MODEL_COPY_H
#define CORE_MODEL_COPY_H

#include "core/model.h"

/* n elements of a size, bytewise; NULL for none. */
void *model_copy_array(const void *from, size_t n, size_t size, int *rc);
char *model_copy_text(const char *from, int *rc);
char **model_copy_texts(char *const *from, size_t n, int *rc);
void model_free_texts(char **texts, size_t n);

void model_copy_meta(const struct object_meta *from, struct object_meta *to, int *rc);
void model_meta_done(struct object_meta *meta);

#endif

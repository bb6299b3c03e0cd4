/* SPDX-License-Identifier: GPL-2.0-only */
/* cJSON trees as values. */
#ifndef SOURCE_VALUE_JSON_H
#define SOURCE_VALUE_JSON_H

#include <cjson/cJSON.h>

#include "source/value.h"

/* Borrows the tree, which must outlive the value; NULL gives an absent value. cJSON keeps no line numbers. */
struct value value_of_json(const cJSON *item);

#endif

// SPDX-License-Identifier: GPL-2.0-only
/* The fields of v1 Secret. No note shows what a secret holds. */
/* Must not know what a secret is for. */
#include "source/decode_read.h"

#include <stdlib.h>
#include <string.h>

#include "base/digit.h"
#include "core/model_ingress.h"
#include "source/decode.h"

static bool is_break(char c)
{
	return c == '\n' || c == '\r' || c == ' ' || c == '\t'; /* manifests wrap long values */
}

ssize_t decode_base64(const char *text, unsigned char *out)
{
	uint32_t bits = 0;
	size_t n = 0, sextets = 0, pads = 0;

	for (; *text; text++) {
		int value = digit_base64(*text);

		if (is_break(*text))
			continue;
		if (*text == '=') {
			pads++;
			continue;
		}
		if (value < 0 || pads)
			return -1;
		bits = bits << 6 | (uint32_t)value;
		if (sextets++ % 4)
			out[n++] = (unsigned char)(bits >> (2 * (3 - (sextets - 1) % 4)));
	}
	return (sextets + pads) % 4 || pads > 2 ? -1 : (ssize_t)n;
}

/* The item of that key: stringData comes after data and wins. */
static struct secret_item *item_of(struct notes *n, struct secret *secret, const char *key)
{
	struct secret_item *item;

	for (size_t i = 0; i < secret->n_items; i++)
		if (strcmp(secret->items[i].key, key) == 0)
			return &secret->items[i];
	item = &secret->items[secret->n_items];
	item->key = notes_strdup(n, key);
	secret->n_items += item->key != NULL;
	return item->key ? item : NULL;
}

static void set_item(struct notes *n, struct secret *secret, const struct field *f, bool encoded)
{
	const char *text = value_string(f->value);
	struct secret_item *item = item_of(n, secret, f->key);
	unsigned char *data;
	size_t size;
	ssize_t len;

	if (!item)
		return;
	if (!text && field_is_set(f)) {
		note_refusal(n, f, "is no string: put it in quotes");
		return;
	}
	text = text ? text : "";
	size = strlen(text) + 1;
	data = notes_calloc(n, size, 1);
	if (!data)
		return;
	if (encoded) {
		len = decode_base64(text, data);
	} else {
		memcpy(data, text, size);
		len = (ssize_t)size - 1;
	}
	if (len < 0) {
		note_refusal(n, f, "is no base64: encode it, or write it under stringData");
		explicit_bzero(data, size);
		free(data);
		return;
	}
	if (item->data)
		explicit_bzero(item->data, item->len);
	free(item->data);
	data[len] = 0;
	item->data = data;
	item->len = (size_t)len;
}

void decode_secret(struct notes *n, const struct field *root, struct object *object)
{
	static const char *const known[] = { "apiVersion", "kind",       "metadata",  "type",
					     "data",       "stringData", "immutable", NULL };
	struct secret *secret = &object->secret;
	struct field type = field_get(root, "type"), data = field_get(root, "data");
	struct field text = field_get(root, "stringData"), e;

	field_check_names(n, root, known);
	secret->type = field_is_set(&type) ? field_strdup(n, &type) : notes_strdup(n, "Opaque");
	if (!field_is_map(n, &data))
		data.value.node = NULL;
	if (!field_is_map(n, &text))
		text.value.node = NULL;
	secret->items = notes_calloc(n, value_count(data.value) + value_count(text.value),
				     sizeof(*secret->items));
	if (!secret->items)
		return;
	for (e = field_first(&data); e.value.node; field_next(&e))
		set_item(n, secret, &e, true);
	for (e = field_first(&text); e.value.node; field_next(&e))
		set_item(n, secret, &e, false);
}

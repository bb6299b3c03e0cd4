// SPDX-License-Identifier: GPL-2.0-only
/* Finds annotations by name, whichever of our prefixes they carry. */
/* Must not know what they mean. */
#include "ingress/setting.h"

#include <string.h>

const char *setting_name(const char *annotation)
{
	static const char *const prefixes[] = { INGRESS_SLUICE, INGRESS_NGINX };

	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++)
		if (strncmp(annotation, prefixes[i], strlen(prefixes[i])) == 0)
			return annotation + strlen(prefixes[i]);
	return NULL;
}

const char *setting_get(const struct ingress *ingress, const char *name)
{
	const char *value = NULL;

	for (size_t i = 0; i < ingress->n_annotations; i++) {
		const char *own = setting_name(ingress->annotations[i].name);

		if (!own || strcmp(own, name) != 0)
			continue;
		value = ingress->annotations[i].value;
		if (ingress->annotations[i].name[0] == INGRESS_SLUICE[0])
			break;
	}
	return value;
}

bool setting_is_true(const struct ingress *ingress, const char *name)
{
	return ingress_is_true(setting_get(ingress, name));
}

const char *setting_next(const char **list, size_t *ret_len)
{
	const char *p = *list;
	size_t len;

	if (!p)
		return NULL;
	p += strspn(p, ", \t\r\n");
	len = strcspn(p, ",");
	*list = p + len;
	while (len && strchr(" \t\r\n", p[len - 1]))
		len--;
	*ret_len = len;
	return len ? p : NULL;
}

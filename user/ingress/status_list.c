// SPDX-License-Identifier: GPL-2.0-only
/* The addresses to be published: from what the API says, and into a patch. Pure. */
/* Must not know when they are written. */
#include <cjson/cJSON.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "core/address.h"
#include "ingress/status.h"

#define ADDRESSES_MAX 1024 /* an Ingress with more is of no use to anybody */

void status_list_done(struct status_list *list)
{
	for (size_t i = 0; i < list->n; i++)
		free(list->text[i]);
	free(list->text);
	*list = (struct status_list){ 0 };
}

static int compare(const void *one, const void *two)
{
	return strcmp(*(char *const *)one, *(char *const *)two);
}

static int add(struct status_list *list, const char *text)
{
	char **grown, *copy;

	if (!text || !*text || list->n == ADDRESSES_MAX)
		return 0;
	grown = realloc(list->text, (list->n + 1) * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	list->text = grown;
	copy = strdup(text);
	if (!copy)
		return -ENOMEM;
	list->text[list->n++] = copy;
	return 0;
}

void status_list_settle(struct status_list *list)
{
	size_t n = 0;

	if (list->n)
		qsort(list->text, list->n, sizeof(*list->text), compare);
	for (size_t i = 0; i < list->n; i++)
		if (n && strcmp(list->text[n - 1], list->text[i]) == 0)
			free(list->text[i]);
		else
			list->text[n++] = list->text[i];
	list->n = n;
}

static const cJSON *get(const cJSON *map, const char *key)
{
	return cJSON_GetObjectItemCaseSensitive(map, key);
}

static const char *text_of(const cJSON *map, const char *key)
{
	return cJSON_GetStringValue(get(map, key));
}

/* ---- a Service ------------------------------------------------------------------------------------------------ */

static int read_service(const cJSON *json, struct status_list *list)
{
	const cJSON *spec = get(json, "spec"), *e;
	int rc = 0;

	cJSON_ArrayForEach(e, get(get(get(json, "status"), "loadBalancer"), "ingress")) if (rc == 0)
		rc = add(list, text_of(e, "ip") ? text_of(e, "ip") : text_of(e, "hostname"));
	cJSON_ArrayForEach(e, get(spec, "externalIPs")) if (rc == 0)
		rc = add(list, cJSON_GetStringValue(e));
	/* One that nobody reaches from outside is reached by its own address, at least. */
	if (rc == 0 && !list->n && text_of(spec, "clusterIP") &&
	    strcmp(text_of(spec, "clusterIP"), "None") != 0)
		rc = add(list, text_of(spec, "clusterIP"));
	return rc;
}

/* ---- pods ----------------------------------------------------------------------------------------------------- */

static bool is_ready(const cJSON *pod)
{
	const cJSON *e;

	if (get(get(pod, "metadata"), "deletionTimestamp"))
		return false;
	cJSON_ArrayForEach(e, get(get(pod, "status"),
				  "conditions")) if (text_of(e, "type") &&
						     strcmp(text_of(e, "type"), "Ready") ==
							     0) return text_of(e, "status") &&
		strcmp(text_of(e, "status"), "True") == 0;
	return false;
}

static int read_pod(const cJSON *pod, struct status_list *list)
{
	const cJSON *status = get(pod, "status"), *e;
	int rc = 0;

	if (!is_ready(pod))
		return 0;
	cJSON_ArrayForEach(e, get(status, "hostIPs")) if (rc == 0) rc = add(list, text_of(e, "ip"));
	return rc ? rc : add(list, text_of(status, "hostIP"));
}

static int read_pods(const cJSON *json, struct status_list *list)
{
	const cJSON *items = get(json, "items"), *e;
	int rc = cJSON_IsArray(items) ? 0 : -EINVAL;

	cJSON_ArrayForEach(e, items) if (rc == 0) rc = read_pod(e, list);
	return rc;
}

/* ---- both ----------------------------------------------------------------------------------------------------- */

static int read_json(const char *text, int (*fn)(const cJSON *json, struct status_list *list),
		     struct status_list *ret_list)
{
	struct status_list list = { 0 };
	cJSON *json = text ? cJSON_Parse(text) : NULL;
	int rc = cJSON_IsObject(json) ? fn(json, &list) : -EINVAL;

	cJSON_Delete(json);
	if (rc < 0) {
		status_list_done(&list);
		return rc;
	}
	status_list_settle(&list);
	*ret_list = list;
	return 0;
}

int status_of_service(const char *json, struct status_list *ret_list)
{
	return read_json(json, read_service, ret_list);
}

int status_of_pods(const char *json, struct status_list *ret_list)
{
	return read_json(json, read_pods, ret_list);
}

void status_write_patch(const struct status_list *list, struct buf *out)
{
	struct address addr;

	buf_puts(out, "{\"status\":{\"loadBalancer\":{\"ingress\":[");
	for (size_t i = 0; i < list->n; i++) {
		buf_puts(out, i ? ",{" : "{");
		json_key(out, address_parse(list->text[i], &addr) == 0 ? "ip" : "hostname", true);
		json_string(out, list->text[i]);
		buf_putc(out, '}');
	}
	buf_puts(out, "]}}}");
}

bool status_is(const struct status_list *list, char *const *addresses, size_t n)
{
	if (list->n != n)
		return false;
	for (size_t i = 0; i < n; i++)
		if (strcmp(list->text[i], addresses[i]) != 0)
			return false;
	return true;
}

// SPDX-License-Identifier: GPL-2.0-only
#include "agent/admin_wanted.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/json.h"
#include "base/vec.h"
#include "core/diff.h"
#include "core/view.h"

struct admin_wanted_key {
	int family;
	unsigned char bytes[ROW_KEY_MAX];
};

struct keys VEC_OF(struct admin_wanted_key);

static void put_text(struct buf *out, const char *key, const char *value, bool first)
{
	json_key(out, key, first);
	json_string(out, value);
}

static void put_number(struct buf *out, const char *key, uint64_t value)
{
	json_key(out, key, false);
	buf_printf(out, "%" PRIu64, value);
}

static void put_endpoints(struct buf *out, const char *key, const struct view_endpoint *endpoints,
			  size_t n)
{
	char text[ADDRESS_TEXT_LEN];

	json_key(out, key, false);
	buf_putc(out, '[');
	for (size_t i = 0; i < n; i++) {
		buf_puts(out, i ? ",{" : "{");
		put_text(out, "address", address_format(&endpoints[i].addr, text), true);
		put_number(out, "port", endpoints[i].port);
		put_number(out, "flags", endpoints[i].flags);
		buf_putc(out, '}');
	}
	buf_putc(out, ']');
}

static void put_service(struct buf *out, const struct view_service *service)
{
	char text[ADDRESS_TEXT_LEN];

	buf_putc(out, '{');
	put_text(out, "namespace", service->namespace, true);
	put_text(out, "name", service->name, false);
	put_text(out, "portName", service->port_name, false);
	put_text(out, "address", address_format(&service->vip, text), false);
	put_number(out, "port", service->port);
	put_text(out, "protocol", view_proto_name(service->proto), false);
	put_text(out, "kind", view_kind_name(service->kind), false);
	put_text(out, "algorithm", view_algorithm_name(service->algorithm), false);
	put_number(out, "affinitySeconds", service->affinity_s);
	put_number(out, "flags", service->flags);
	put_endpoints(out, "cluster", service->cluster, service->n_cluster);
	put_endpoints(out, "local", service->local, service->n_local);
	buf_putc(out, '}');
}

struct collecting {
	struct keys keys;
	int family;
};

static int collect(void *ctx, const void *key, const void *value)
{
	struct collecting *c = ctx;
	struct admin_wanted_key k = { .family = c->family };

	(void)value;
	memcpy(k.bytes, key, row_tables[row_table_of(ROW4_SERVICES, c->family)].key_len);
	return vec_push(&c->keys, k);
}

void admin_wanted_begin(const struct diff *diff, struct buf *out, struct admin_wanted *ret_wanted)
{
	const struct row_reader rows = diff_desired_reader(diff);
	struct collecting c = { 0 };
	int rc = vec_reserve(&c.keys, 1); /* no service is an answer, too */

	for (c.family = 4; c.family <= 6 && rc >= 0; c.family += 2)
		rc = rows.each(rows.ctx, row_table_of(ROW4_SERVICES, c.family), collect, &c);
	*ret_wanted = (struct admin_wanted){ 0 };
	if (rc < 0) {
		vec_done(&c.keys);
		buf_puts(out, "{\"error\":\"no memory\"}\n");
		return;
	}
	buf_puts(out, "{\"services\":[");
	*ret_wanted = (struct admin_wanted){ .diff = diff, .keys = c.keys.data, .n = c.keys.len };
}

void admin_wanted_more(struct admin_wanted *wanted, struct buf *out)
{
	const struct row_reader rows = diff_desired_reader(wanted->diff);
	struct arena memory = { 0 };
	size_t end = out->len + ADMIN_WANTED_PIECE;
	int rc = 0;

	while (wanted->next < wanted->n && out->len < end && (!rc || rc == -ENOENT)) {
		const struct admin_wanted_key *key = &wanted->keys[wanted->next++];
		struct view_service service;

		rc = view_read_service(&rows, key->family, key->bytes, &memory, &service);
		if (!rc) {
			buf_puts(out, wanted->any ? "," : "");
			put_service(out, &service);
			wanted->any = true;
		}
		arena_reset(&memory);
	}
	arena_done(&memory);
	if (rc && rc != -ENOENT)
		out->failed = true; /* half an answer: the connection ends */
	if (wanted->next == wanted->n) {
		buf_puts(out, "]}\n");
		admin_wanted_done(wanted);
	}
}

void admin_wanted_done(struct admin_wanted *wanted)
{
	free(wanted->keys);
	*wanted = (struct admin_wanted){ 0 };
}

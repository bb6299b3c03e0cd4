// SPDX-License-Identifier: GPL-2.0-only
/*
 * Counters of workers, and which slot is whose.
 * Must not know how they are shown (stats_page.c).
 */
#include "ingress/stats.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "ingress/stats_internal.h"

#define MS UINT64_C(1000000)

const uint64_t stats_time_ns[STATS_TIME_BUCKETS] = {
	5 * MS,     10 * MS,    25 * MS,    50 * MS,     100 * MS,
	250 * MS,   500 * MS,   1000 * MS,  2500 * MS,   5000 * MS,
	10000 * MS, 30000 * MS, 60000 * MS, 300000 * MS, 600000 * MS,
};
const uint64_t stats_gap_ns[STATS_GAP_BUCKETS] = {
	1 * MS,   5 * MS / 2, 5 * MS,   10 * MS,   25 * MS,   50 * MS,
	100 * MS, 250 * MS,   500 * MS, 1000 * MS, 5000 * MS, 30000 * MS,
};
const uint64_t stats_size[STATS_SIZE_BUCKETS] = { 100,     1000,     10000,     100000,
						  1000000, 10000000, 100000000, 1000000000 };
const char *const stats_method_names[STATS_METHODS] = {
	[0] = "other",           [STATS_GET] = "GET",         [STATS_HEAD] = "HEAD",
	[STATS_POST] = "POST",   [STATS_PUT] = "PUT",         [STATS_DELETE] = "DELETE",
	[STATS_PATCH] = "PATCH", [STATS_OPTIONS] = "OPTIONS", [STATS_OTHER_METHOD] = "other",
};

/* ---- counting ------------------------------------------------------------------------------------ */

/* One writer: no bus lock, but readers see whole words. */
static void add(uint64_t *to, uint64_t n)
{
	__atomic_store_n(to, *to + n, __ATOMIC_RELAXED);
}

void stats_add(struct stats *stats, enum stats_counter counter, uint64_t n)
{
	add(&stats->counters[counter], n);
}

void stats_gauge(struct stats *stats, enum stats_gauge gauge, int64_t change)
{
	__atomic_store_n(&stats->gauges[gauge], stats->gauges[gauge] + change, __ATOMIC_RELAXED);
}

/* Decided by the first, for all. */
static bool has_place(struct stats_hub *hub, unsigned slot)
{
	struct stats_holder *holder = &hub->holders[slot];
	unsigned char place = atomic_load_explicit(&holder->place, memory_order_relaxed), now;

	if (place != STATS_PLACE_OPEN)
		return place == STATS_PLACE_OWN;
	now = slot <= STATS_SLOT_OTHER || atomic_fetch_add(&hub->n_places, 1) < STATS_PLACES
		      ? STATS_PLACE_OWN
		      : STATS_PLACE_OTHER;
	if (atomic_compare_exchange_strong(&holder->place, &place, now))
		place = now;
	return place == STATS_PLACE_OWN;
}

/* Without memory, or a place, it is counted among the others, which are there from the start. */
static struct stats_slot *slot_of(struct stats *stats, unsigned slot)
{
	struct stats_slot *s = atomic_load_explicit(&stats->slots[slot], memory_order_relaxed);

	if (s)
		return s;
	s = has_place(stats->hub, slot) ? calloc(1, sizeof(*s)) : NULL;
	if (!s)
		return atomic_load_explicit(&stats->slots[STATS_SLOT_OTHER], memory_order_relaxed);
	atomic_store_explicit(&stats->slots[slot], s, memory_order_release);
	return s;
}

static size_t bucket(const uint64_t *bounds, size_t n, uint64_t value)
{
	size_t i = 0;

	while (i < n && value > bounds[i])
		i++;
	return i;
}

static void add_time(struct stats_times *times, uint64_t from_ns, uint64_t to_ns)
{
	uint64_t ns = to_ns > from_ns ? to_ns - from_ns : 0;

	add(&times->sum, ns);
	add(&times->count[bucket(stats_time_ns, STATS_TIME_BUCKETS, ns)], 1);
}

static void add_size(struct stats_sizes *sizes, uint64_t bytes)
{
	add(&sizes->sum, bytes);
	add(&sizes->count[bucket(stats_size, STATS_SIZE_BUCKETS, bytes)], 1);
}

static enum stats_method method_of(const struct record_text *method)
{
	for (int i = 1; i < STATS_OTHER_METHOD; i++)
		if (method->at && strlen(stats_method_names[i]) == method->len &&
		    memcmp(stats_method_names[i], method->at, method->len) == 0)
			return (enum stats_method)i;
	return STATS_OTHER_METHOD;
}

static void add_code(struct stats_slot *s, const struct record *record)
{
	uint64_t what = (uint64_t)method_of(&record->method) << 16 | record->status;
	struct stats_code *code = s->codes;

	while (code < s->codes + STATS_CODES - 1 && code->what && code->what != what)
		code++;
	if (code == s->codes + STATS_CODES - 1)
		what = (uint64_t)STATS_OTHER_METHOD << 16;
	__atomic_store_n(&code->what, what, __ATOMIC_RELAXED);
	add(&code->count, 1);
}

void stats_begin(struct stats *stats, unsigned slot)
{
	add(&slot_of(stats, slot)->begun, 1);
}

void stats_end(struct stats *stats, unsigned slot, const struct record *record)
{
	struct stats_slot *s = slot_of(stats, slot);
	unsigned class = record->status / 100;

	add(&s->ended, 1);
	add(&s->classes[class < STATS_CLASSES ? class : 0], 1);
	add(&s->endings[record->ending < ENDINGS_COUNT ? record->ending : 0], 1);
	if (record->n_tries > 1)
		add(&s->retries, record->n_tries - 1u);
	add_time(&s->duration, record->begin_ns, record->end_ns);
	if (record->connected_ns)
		add_time(&s->connect, record->connect_ns, record->connected_ns);
	if (record->first_byte_ns) {
		add_time(&s->first_byte, record->begin_ns, record->first_byte_ns);
		add_time(&s->response, record->connected_ns, record->end_ns);
	}
	add_size(&s->bytes_in, record->bytes_in);
	add_size(&s->bytes_out, record->bytes_out);
	add_code(s, record);
}

void stats_gap(struct stats *stats, unsigned slot, uint64_t gap_ns)
{
	struct stats_slot *s = slot_of(stats, slot);

	add(&s->gap.sum, gap_ns);
	add(&s->gap.count[bucket(stats_gap_ns, STATS_GAP_BUCKETS, gap_ns)], 1);
}

/* ---- slots --------------------------------------------------------------------------------------- */

int stats_hub_new(unsigned n_workers, uint64_t seed, struct stats_hub **ret_hub)
{
	struct stats_hub *hub = calloc(1, sizeof(*hub));

	if (!hub)
		return -ENOMEM;
	table_init(&hub->by_key, seed);
	hub->n_workers = n_workers;
	hub->workers = aligned_alloc(64, n_workers * sizeof(*hub->workers));
	hub->holders = calloc(STATS_SLOTS, sizeof(*hub->holders));
	if (!hub->workers || !hub->holders) {
		hub->n_workers = 0;
		stats_hub_free(hub);
		return -ENOMEM;
	}
	memset(hub->workers, 0, n_workers * sizeof(*hub->workers));
	hub->n_holders = hub->next_free = STATS_SLOT_OTHER + 1;
	for (unsigned i = 0; i < n_workers; i++) {
		struct stats_slot *other = calloc(1, sizeof(*other));

		if (!other) {
			stats_hub_free(hub);
			return -ENOMEM;
		}
		atomic_init(&hub->workers[i].slots[STATS_SLOT_OTHER], other);
		hub->workers[i].hub = hub;
	}
	*ret_hub = hub;
	return 0;
}

void stats_hub_free(struct stats_hub *hub)
{
	if (!hub)
		return;
	for (unsigned i = 0; i < hub->n_workers; i++)
		for (unsigned slot = 0; slot < STATS_SLOTS; slot++)
			free(atomic_load(&hub->workers[i].slots[slot]));
	for (unsigned i = 0; hub->holders && i < hub->n_holders; i++) {
		free(hub->holders[i].key);
		free(hub->holders[i].base);
	}
	table_done(&hub->by_key, NULL);
	free(hub->holders);
	free(hub->workers);
	free(hub);
}

struct stats *stats_hub_worker(struct stats_hub *hub, unsigned worker)
{
	return &hub->workers[worker];
}

/* Labels one behind the other, each with its NUL, into malloc()ed memory. */
static char *make_key(const struct stats_labels *labels, size_t *ret_len)
{
	const char *const texts[] = { labels->namespace, labels->ingress, labels->host,
				      labels->path, labels->service };
	size_t len = 0;
	char *key, *at;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		len += (texts[i] ? strlen(texts[i]) : 0) + 1;
	at = key = malloc(len);
	if (!key)
		return NULL;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		at = stpcpy(at, texts[i] ? texts[i] : "") + 1;
	*ret_len = len;
	return key;
}

void stats_labels_of(const struct stats_holder *holder, struct stats_labels *ret_labels)
{
	const char *at = holder->key;

	ret_labels->namespace = at;
	ret_labels->ingress = at += strlen(at) + 1;
	ret_labels->host = at += strlen(at) + 1;
	ret_labels->path = at += strlen(at) + 1;
	ret_labels->service = at + strlen(at) + 1;
}

/* One that was never used, else one that nobody holds: 0 if there is none. */
static unsigned find_free(struct stats_hub *hub)
{
	if (hub->n_holders < STATS_SLOTS)
		return hub->n_holders++;
	for (unsigned i = 0; i < STATS_SLOTS; i++) {
		unsigned slot = hub->next_free;

		hub->next_free = slot + 1 < STATS_SLOTS ? slot + 1 : STATS_SLOT_OTHER + 1;
		if (atomic_load(&hub->holders[slot].refs) == 0)
			return slot;
	}
	return 0;
}

static void sum_all(const struct stats_hub *hub, unsigned slot, struct stats_slot *sum)
{
	for (unsigned w = 0; w < hub->n_workers; w++) {
		const struct stats_slot *s =
			atomic_load_explicit(&hub->workers[w].slots[slot], memory_order_acquire);

		for (size_t i = 0; s && i < STATS_SLOT_WORDS; i++)
			((uint64_t *)sum)[i] +=
				__atomic_load_n(&((const uint64_t *)s)[i], __ATOMIC_RELAXED);
		for (size_t i = 0; s && i < STATS_CODES; i++) {
			uint64_t what = __atomic_load_n(&s->codes[i].what, __ATOMIC_RELAXED);
			uint64_t n = __atomic_load_n(&s->codes[i].count, __ATOMIC_RELAXED);
			struct stats_code *code = sum->codes;

			if (!n)
				continue;
			while (code < sum->codes + STATS_CODES - 1 && code->what &&
			       code->what != what)
				code++;
			code->what = code == sum->codes + STATS_CODES - 1
					     ? (uint64_t)STATS_OTHER_METHOD << 16
					     : what;
			code->count += n;
		}
	}
}

bool stats_slot_sum(const struct stats_hub *hub, unsigned slot, struct stats_slot *ret_sum)
{
	const struct stats_slot *base = hub->holders[slot].base;

	sum_all(hub, slot, ret_sum);
	for (size_t i = 0; base && i < STATS_SLOT_WORDS; i++)
		((uint64_t *)ret_sum)[i] -= ((const uint64_t *)base)[i];
	for (size_t i = 0; base && i < STATS_CODES; i++)
		for (size_t k = 0; k < STATS_CODES; k++)
			if (ret_sum->codes[k].what == base->codes[i].what)
				ret_sum->codes[k].count -= base->codes[i].count;
	return ret_sum->begun != 0;
}

/* Others had the slot: from what they counted on, it is theirs who come now. */
static int begin_at_zero(struct stats_hub *hub, unsigned slot)
{
	struct stats_holder *holder = &hub->holders[slot];
	struct stats_slot *base = calloc(1, sizeof(*base));

	if (!base)
		return -ENOMEM;
	sum_all(hub, slot, base);
	free(holder->base);
	holder->base = base;
	return 0;
}

/* The series of its own, if it has some, are free for others. */
static void unname(struct stats_hub *hub, struct stats_holder *holder)
{
	hub->series -= (holder->named ? STATS_COUNTER_SERIES : 0) +
		       (holder->detail ? STATS_DETAIL_SERIES : 0);
	holder->named = holder->detail = false;
}

unsigned stats_slot_take(struct stats_hub *hub, const struct stats_labels *labels)
{
	struct stats_holder *holder;
	unsigned slot;
	size_t len;
	char *key = make_key(labels, &len);

	if (!key)
		return STATS_SLOT_OTHER;
	holder = table_get(&hub->by_key, key, len);
	if (holder) {
		free(key);
		atomic_fetch_add(&holder->refs, 1);
		return (unsigned)(holder - hub->holders);
	}
	slot = find_free(hub);
	holder = &hub->holders[slot];
	if (!slot || (holder->key && begin_at_zero(hub, slot) < 0) ||
	    table_put(&hub->by_key, key, len, holder, NULL) < 0) {
		free(key);
		return STATS_SLOT_OTHER;
	}
	if (holder->key)
		table_remove(&hub->by_key, holder->key, holder->key_len);
	free(holder->key);
	holder->key = key;
	holder->key_len = len;
	unname(hub, holder);
	atomic_store(&holder->refs, 1);
	return slot;
}

void stats_slot_drop(struct stats_hub *hub, unsigned slot)
{
	if (slot > STATS_SLOT_OTHER)
		atomic_fetch_sub(&hub->holders[slot].refs, 1);
}

/* SPDX-License-Identifier: GPL-2.0-only */
/* Look-ups are hammered while what they read is replaced: each packet goes to a backend its VIP has, or is counted TORN. */
/* Must not know how programs protect themselves. */
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "prog/life.h"

#define V            AT(VIP, 80)
#define V2           AT(VIP2, 80)
#define REPLACEMENTS 4000

static const struct end of_v[2] = { { BACKEND1, 8080 }, { BACKEND2, 8080 } };
static const struct end of_v2[2] = { { BACKEND3, 8080 }, { BACKEND4, 8080 } };

struct hammer {
	pthread_t thread;
	int fd;
	uint8_t proto;
	atomic_bool stop;
	uint64_t sent, right, dropped, answered;
	uint64_t wrong;
	struct frame wrong_frame;
	int wrong_verdict;
};

static bool is_of(const struct parsed *p, const struct end *ends)
{
	for (int i = 0; i < 2; i++)
		if (p->dport == ends[i].port &&
		    !memcmp(p->daddr, host_address(family, ends[i].host), address_len(family)))
			return true;
	return false;
}

static void wrong(struct hammer *h, int verdict, const uint8_t *out, size_t len, size_t l3)
{
	h->wrong++;
	h->wrong_verdict = verdict;
	memcpy(h->wrong_frame.bytes, out, len);
	h->wrong_frame.len = len;
	h->wrong_frame.l3 = l3;
}

/* New flows to both VIPs in turn, from ever other ports: slots of flows are taken over all the time as well. */
static void *hammer_run(void *arg)
{
	struct hammer *h = arg;
	uint8_t out[FRAME_MAX];
	struct frame frame;
	struct parsed p;
	size_t len;

	for (uint32_t i = 0; !atomic_load(&h->stop); i++) {
		struct end from = AT(i & 2 ? CLIENT : CLIENT2, (uint16_t)(1024 + i / 4 % 60000)),
			   to = i & 1 ? V2 : V;
		int verdict;

		packet_build(h->proto == IPPROTO_TCP ? &TCP(family, from, to, SYN)
						     : &UDP(family, from, to),
			     &frame);
		verdict = harness_run_raw(h->fd, frame.bytes, frame.len, out, &len);
		h->sent++;
		if (verdict == 2) {
			h->dropped++;
			continue;
		}
		if (verdict == 7) {
			h->answered++; /* the service was gone just then */
			continue;
		}
		packet_parse(out, len, frame.l3, true, &p);
		if (verdict != -1 || p.wrong[0] || !is_of(&p, i & 1 ? of_v2 : of_v))
			wrong(h, verdict, out, len, frame.l3);
		else
			h->right++;
	}
	return NULL;
}

static void publish(struct end vip, uint8_t proto, const struct end ends[2], unsigned int which,
		    uint32_t affinity_s)
{
	struct service_spec spec = { .at = vip, .proto = proto, .affinity_s = affinity_s };
	int n = 0;

	for (unsigned int i = 0; i < 2; i++)
		if (which != i)
			spec.backends[n++].at = ends[i];
	service_publish(&spec);
}

/* Replaces, shrinks, deletes and adds both services, so that hash elements, slots and lines change owners all the time. */
static void replace(uint8_t proto, uint32_t affinity_s)
{
	for (unsigned int i = 0; i < REPLACEMENTS; i++) {
		publish(V, proto, of_v, i % 3, affinity_s);
		if (i % 5 == 0)
			service_delete(V, proto);
		publish(V2, proto, of_v2, (i + 1) % 3, affinity_s);
		if (i % 7 == 0)
			service_delete(V2, proto);
	}
}

static void hammer(void **state, uint8_t proto, uint32_t affinity_s)
{
	struct hammer h = { .proto = proto };
	uint64_t torn, before;

	start(state);
	torn = counted(SL_REASON_TORN);
	before = counted_all();
	publish(V, proto, of_v, 2, affinity_s);
	publish(V2, proto, of_v2, 2, affinity_s);
	h.fd = harness_program(POD_IN);
	assert_int_equal(pthread_create(&h.thread, NULL, hammer_run, &h), 0);
	replace(proto, affinity_s);
	atomic_store(&h.stop, true);
	pthread_join(h.thread, NULL);
	torn = counted(SL_REASON_TORN) - torn;
	print_message(
		"# %llu packets while services were replaced %d times: %llu right, %llu refused, %llu torn, %llu wrong\n",
		(unsigned long long)h.sent, 2 * REPLACEMENTS, (unsigned long long)h.right,
		(unsigned long long)h.answered, (unsigned long long)torn,
		(unsigned long long)h.wrong);
	if (h.wrong)
		fail_msg("verdict %d: %s", h.wrong_verdict, frame_text(&h.wrong_frame));
	assert_int_equal(h.dropped, torn);
	assert_int_equal(counted_all() - before, h.sent);
	assert_true(h.right > 1000);
}

static void replaced_services_tcp(void **state)
{
	hammer(state, IPPROTO_TCP, 0);
}

static void replaced_services_udp(void **state)
{
	hammer(state, IPPROTO_UDP, 0);
}

static void replaced_services_with_affinity(void **state)
{
	hammer(state, IPPROTO_UDP, 100);
}

/* A record that says something else than its key is not believed. */
static void record_of_another_key(void **state)
{
	struct packet syn = TCP(*(const int *)*state, AT(CLIENT, 1), V, SYN);

	start(state);
	service(V, IPPROTO_TCP, READY(AT(BACKEND1, 8080)));
	service(V2, IPPROTO_TCP, READY(AT(BACKEND3, 8080)));
	service_cross(V, V2, IPPROTO_TCP); /* V's entry now refers to V2's record */
	drops(POD_IN, syn, TORN);
	service(V, IPPROTO_TCP, READY(AT(BACKEND1, 8080)));
	service_cross(V, V, IPPROTO_TCP); /* its own record, but of a former generation */
	drops(POD_IN, syn, TORN);
	service(V, IPPROTO_TCP, READY(AT(BACKEND1, 8080)));
	forwards(POD_IN, syn, NEW_FLOW, TCP(family, AT(CLIENT, 1), AT(BACKEND1, 8080), SYN));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		{ "replaced_services_tcp v4", replaced_services_tcp, NULL, NULL,
		  (void *)&variants[0] },
		{ "replaced_services_tcp v6", replaced_services_tcp, NULL, NULL,
		  (void *)&variants[1] },
		{ "replaced_services_udp v4", replaced_services_udp, NULL, NULL,
		  (void *)&variants[0] },
		{ "replaced_services_with_affinity v6", replaced_services_with_affinity, NULL, NULL,
		  (void *)&variants[1] },
		FOR_ALL(record_of_another_key),
	};

	return run_group("torn", tests);
}

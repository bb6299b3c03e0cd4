/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What one packet carries from step to step. It lives in a per-CPU map instead of on the stack, so that the slow steps can
 * be global functions: the verifier checks each of them once instead of once a path, and on kernels before 5.12 such
 * functions take nothing but the context and numbers. Nothing interrupts a program of ours with another one on its CPU.
 */

struct V(work) {
	struct V(pkt) p;        /* first, and its key the first in it */
	struct V(flow) hit;     /* the packet's entry: what it becomes */
	struct V(flow_key) key; /* an entry being written, or its twin's key */
	struct V(flow) value;
	struct V(flow_key) twin;
	struct V(flow) twin_value;
	struct V(flow) found; /* where the twin is to be: an entry that it may take the place of */
	struct V(service) service;
	__u32 service_id;   /* of the service port, 0 = none matched */
	__u32 tell_packets; /* what the backend's counters get now; 0 = later */
	__u32 tell_bytes;
	__u32 device;                /* of the pod it is handed to, past the stack; 0 = to the stack */
	struct bpf_fib_lookup route; /* bypass.h */
};

MAP(V(work), PERCPU_ARRAY, __u32, struct V(work), 1, 0);

static __always_inline struct V(work) *V(work_get)(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&V(work), &zero);
}

/* Clears the table for a packet whose IP header is at l3. */
static __always_inline struct V(work) *V(work_begin)(__u32 l3, __u32 len)
{
	struct V(work) *w = V(work_get)();

	if (!w)
		return NULL;
	__builtin_memset(&w->p, 0, sizeof(w->p));
	w->p.l3 = l3;
	w->p.len = len;
	w->service_id = 0;
	w->device = 0;
	return w;
}

/* SPDX-License-Identifier: GPL-2.0 */
/* Tuple → service record: copied, and checked against its key, since hash elements are recycled under readers. */

static __always_inline int V(service_read)(const struct V(service_key) *key, struct V(service) *ret_service)
{
	struct sl_slot_ref *found = bpf_map_lookup_elem(&V(services), key);
	struct V(service) *record;
	__u64 word;
	__u32 slot;

	if (!found)
		return SL_REASON_UNALLOCATED;
	word = *(volatile __u64 *)found; /* slot and generation, read whole */
	slot = (__u32)word;
	record = bpf_map_lookup_elem(&V(records), &slot);
	if (!record)
		return SL_REASON_TORN;
	*ret_service = *record;
	if (ret_service->gen != (__u32)(word >> 32) || !V(addr_eq)(ret_service->vip, key->vip) ||
	    ret_service->port != key->port || ret_service->proto != key->proto)
		return SL_REASON_TORN;
	return 0;
}

/* 0, SL_REASON_UNALLOCATED: no such key, or SL_REASON_TORN: changed twice under us. */
static __always_inline int V(service_find)(const void *vip, __u16 port, __u8 proto, struct V(service) *ret_service)
{
	struct V(service_key) key = {};
	int why;

	V(addr_copy)(key.vip, vip);
	key.port = port;
	key.proto = proto;
	why = V(service_read)(&key, ret_service);
	if (why == SL_REASON_TORN)
		why = V(service_read)(&key, ret_service);
	return why;
}

/* Is this address a cluster IP of some service? (The record that all its ports share.) */
static __always_inline bool V(is_vip)(const void *addr)
{
	struct V(service_key) key = {};

	V(addr_copy)(key.vip, addr);
	return bpf_map_lookup_elem(&V(services), &key) != NULL;
}

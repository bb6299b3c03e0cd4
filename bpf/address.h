/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Addresses of one family: comparing, copying, and the address filter. Arguments are pointers to bytes in network order,
 * aligned to four bytes.
 */
#if FAMILY == 4
#define ADDR_LEN 4
#else
#undef ADDR_LEN
#define ADDR_LEN 16
#endif

static __always_inline bool V(addr_eq)(const void *a, const void *b)
{
	const __u32 *x = a, *y = b;

#if FAMILY == 4
	return x[0] == y[0];
#else
	return x[0] == y[0] && x[1] == y[1] && x[2] == y[2] && x[3] == y[3];
#endif
}

static __always_inline void V(addr_copy)(void *to, const void *from)
{
	__u32 *x = to;
	const __u32 *y = from;

	x[0] = y[0];
#if FAMILY == 6
	x[1] = y[1];
	x[2] = y[2];
	x[3] = y[3];
#endif
}

static __always_inline bool V(addr_is_zero)(const void *a)
{
	const __u32 *x = a;

#if FAMILY == 4
	return !x[0];
#else
	return !(x[0] | x[1] | x[2] | x[3]);
#endif
}

/* Unspecified or multicast: nobody to answer to. */
static __always_inline bool V(is_no_host)(const void *addr)
{
	const __u8 *b = addr;

#if FAMILY == 4
	return (b[0] & 0xf0) == 0xe0 || V(addr_is_zero)(addr);
#else
	return b[0] == 0xff || V(addr_is_zero)(addr);
#endif
}

/* First word of each half of the filter. */
#ifndef FILTER_VIPS
#define FILTER_VIPS     0
#define FILTER_BACKENDS SL_FILTER_WORDS
#endif

/* False proves that the address is no service address (half FILTER_VIPS), or no backend's (FILTER_BACKENDS). */
static __always_inline bool V(filter_has)(const void *addr, __u32 half)
{
	const __u32 *a = addr;
#if FAMILY == 4
	__u32 bit = sl_filter_bit(a[0]);
#else
	__u32 bit = sl_filter_bit(sl_fold6(a[0], a[1], a[2], a[3]));
#endif
	__u32 word = half + (bit >> 6);
	const __u64 *w = bpf_map_lookup_elem(&V(filter), &word);

	return w && *w >> (bit & 63) & 1;
}

/* Is the address inside one of the service CIDRs? A slot whose mask begins with 0 is off. */
static __always_inline bool V(is_service_range)(const struct sl_config *config, const void *addr)
{
	const __u32 *a = addr;

#if FAMILY == 4
#define CIDRS config->cidrs4
#else
#undef CIDRS
#define CIDRS config->cidrs6
#endif
#pragma unroll
	for (int i = 0; i < SL_CIDRS; i++) {
		const __u32 *net = (const void *)CIDRS[i].addr, *mask = (const void *)CIDRS[i].mask;

		if (!mask[0])
			continue;
#if FAMILY == 4
		if ((a[0] & mask[0]) == net[0])
			return true;
#else
		if ((a[0] & mask[0]) == net[0] && (a[1] & mask[1]) == net[1] && (a[2] & mask[2]) == net[2] &&
		    (a[3] & mask[3]) == net[3])
			return true;
#endif
	}
	return false;
}

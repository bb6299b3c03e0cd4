/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Slots of a bucket, whatever lies in them: finding one under the bucket's lock. No function may be called there, so this is
 * arithmetic where branches would multiply what the verifier has to walk. Family-free.
 */
#ifndef BPF_SLOTS_H
#define BPF_SLOTS_H

#include "count.h"

/*
 * Arithmetic instead of branches. The compiler must neither make branches of it nor masks out of sign bits, since newer verifiers walk
 * both cases of such a mask too: so it does not see what is computed, and 0 or 1 are multiplied.
 */
#define OPAQUE(x) asm volatile("" : "+r"(x))

static __always_inline __u64 is_negative(__u64 x)
{
	OPAQUE(x);
	x >>= 63;
	OPAQUE(x);
	return x;
}

/* Of a number below 2^32. */
static __always_inline __u64 is_zero(__u64 x)
{
	return is_negative(x - 1);
}

/* Of numbers below 2^63. */
static __always_inline __u64 larger(__u64 a, __u64 b)
{
	return a + (b - a) * is_negative(a - b);
}

static __always_inline __u64 is_kept(__u64 word)
{
	OPAQUE(word);
	word >>= 31;
	OPAQUE(word);
	return word;
}

#define RANK_SHIFT  4 /* ranks carry the slot below them */
#define SLOT_BITS   15
#define RANK_CLOSED ((__u64)1 << 40)

/* The longer quiet the higher; at least 1. */
static __always_inline __u64 rank_quiet(__u32 seen, __u32 now)
{
	return larger(sl_quiet(now, seen), SL_TICK_AHEAD) - SL_TICK_AHEAD + 1;
}

/* The slot with this tag, or SL_BUCKET_SLOTS. Tags are unique in their bucket. */
static __always_inline __u64 slot_of(const __u32 *tags, __u32 tag)
{
	__u64 at = SL_BUCKET_SLOTS;

#pragma unroll
	for (int i = 0; i < SL_BUCKET_SLOTS; i++)
		at -= is_zero((tags[i] & SL_TAG_MASK) ^ tag) * (SL_BUCKET_SLOTS - i);
	return at;
}

/* A slot that is free, or SL_BUCKET_SLOTS. */
static __always_inline __u64 slot_empty(const __u32 *tags)
{
	__u64 best = 0, found;

#pragma unroll
	for (int i = 0; i < SL_BUCKET_SLOTS; i++)
		best = larger(best, is_zero(tags[i]) << RANK_SHIFT | i);
	found = best >> RANK_SHIFT;
	OPAQUE(found);
	return found * (best & SLOT_BITS) + (1 - found) * SL_BUCKET_SLOTS;
}

/*
 * base + at * step, for one of the slots of a bucket (slot 0 where at is beyond them, which it never is). In one piece, since Linux
 * 5.10 forgets the bounds of a number that the compiler keeps on the stack between its check and its use.
 */
static __always_inline void *slot_step(void *base, __u64 at, const __u64 step)
{
	asm volatile("if %[at] < 15 goto +1\n\t"
		     "%[at] = 0\n\t"
		     "%[at] *= %[step]\n\t"
		     "%[base] += %[at]"
		     : [base] "+r"(base), [at] "+r"(at)
		     : [step] "i"(step));
	return base;
}
_Static_assert(SL_BUCKET_SLOTS == 15, "slot_step says so");

#endif

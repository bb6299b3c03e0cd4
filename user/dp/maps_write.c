/* SPDX-License-Identifier: GPL-2.0 */
/* Writes the control maps: batches, ring lines, the barrier. The agent alone does this. */
/* Must not know what rows mean, nor in which order they are written. */
#include "dp/maps.h"

#include <errno.h>
#include <linux/membarrier.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <bpf/bpf.h>

static bool is_ring(enum dp_map map)
{
	return map == DP_sl4_rings || map == DP_sl6_rings;
}

int dp_rings_map(struct dp *dp, int family)
{
	const struct dp_map_info *info = &dp->maps[dp_map_of(family, DP_sl4_rings)];
	struct sl_ring_line **lines = &dp->rings[family == 6];
	void *at;

	if (*lines)
		return 0;
	at = mmap(NULL, (size_t)info->max_entries * sizeof(**lines), PROT_READ | PROT_WRITE,
		  MAP_SHARED, info->fd, 0);
	if (at == MAP_FAILED)
		return -errno;
	*lines = at;
	return 0;
}

static int update_rings(struct dp *dp, enum dp_map map, const uint32_t *keys,
			const struct sl_ring_line *values, uint32_t n, uint32_t *ret_done)
{
	int rc = dp_rings_map(dp, map == DP_sl6_rings ? 6 : 4);
	uint32_t i = 0;

	while (rc == 0 && i < n) {
		if (keys[i] >= dp->maps[map].max_entries) {
			rc = -E2BIG;
			break;
		}
		dp->rings[map == DP_sl6_rings][keys[i]] = values[i];
		i++;
	}
	*ret_done = i;
	return rc;
}

/* How many entries a batch wrote. The kernel leaves the count alone when it refuses the whole call. */
static uint32_t update_batch(int fd, const void *keys, const void *values, uint32_t n)
{
	uint32_t done = n;

	if (bpf_map_update_batch(fd, keys, values, &done, NULL) < 0 && done >= n)
		return 0;
	return done;
}

int dp_update(struct dp *dp, enum dp_map map, const void *keys, const void *values, uint32_t n,
	      uint32_t *ret_done)
{
	const struct dp_map_info *info = &dp->maps[map];
	uint32_t done = 0;
	int rc = 0;

	if (is_ring(map)) {
		rc = update_rings(dp, map, keys, values, n, &done);
	} else {
		if (n > 1 && !dp->no_batch)
			done = update_batch(info->fd, keys, values, n);
		for (; rc == 0 && done < n; done += rc == 0)
			if (bpf_map_update_elem(
				    info->fd, (const uint8_t *)keys + (size_t)done * info->key_size,
				    (const uint8_t *)values + (size_t)done * info->value_size,
				    BPF_ANY) < 0)
				rc = -errno;
	}
	if (ret_done)
		*ret_done = done;
	return rc;
}

int dp_delete(struct dp *dp, enum dp_map map, const void *keys, uint32_t n, uint32_t *ret_done)
{
	const struct dp_map_info *info = &dp->maps[map];
	uint32_t done = 0;
	int rc = 0;

	for (; rc == 0 && done < n; done += rc == 0)
		if (bpf_map_delete_elem(info->fd, (const uint8_t *)keys +
							  (size_t)done * info->key_size) < 0 &&
		    errno != ENOENT)
			rc = -errno;
	if (ret_done)
		*ret_done = done;
	return rc;
}

int dp_stats_zero(struct dp *dp, enum dp_map map, uint32_t id)
{
	void *zeros = calloc(dp->cpus, dp->maps[map].value_size);
	int rc;

	if (!zeros)
		return -ENOMEM;
	rc = bpf_map_update_elem(dp->maps[map].fd, &id, zeros, BPF_ANY) < 0 ? -errno : 0;
	free(zeros);
	return rc;
}

int dp_meta_write(struct dp *dp, const struct sl_meta *meta)
{
	__u32 zero = 0;

	return dp_update(dp, DP_sl_meta, &zero, meta, 1, NULL);
}

static int make_barrier(struct dp *dp)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts);

	if (dp->barrier_outer >= 0)
		return 0;
	if (dp->barrier_inner < 0)
		dp->barrier_inner =
			bpf_map_create(BPF_MAP_TYPE_ARRAY, "sl_barrier_in", 4, 4, 1, NULL);
	if (dp->barrier_inner < 0)
		return -errno;
	opts.inner_map_fd = (__u32)dp->barrier_inner;
	dp->barrier_outer =
		bpf_map_create(BPF_MAP_TYPE_ARRAY_OF_MAPS, "sl_barrier", 4, 4, 1, &opts);
	return dp->barrier_outer < 0 ? -errno : 0;
}

int dp_barrier(struct dp *dp)
{
	__u32 zero = 0;

	/* The kernel waits for RCU after it changed a map of maps, so that user space knows that readers have gone. */
	if (make_barrier(dp) == 0 &&
	    bpf_map_update_elem(dp->barrier_outer, &zero, &dp->barrier_inner, BPF_ANY) == 0)
		return 0;
	return syscall(__NR_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) < 0 ? -errno : 0;
}

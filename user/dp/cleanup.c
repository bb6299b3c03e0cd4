/* SPDX-License-Identifier: GPL-2.0 */
/* Everything of ours, of every release, in the order in which it can be taken away. */
/* Must not know what is pinned, nor who asks. */
#include "dp/cleanup.h"

#include <unistd.h>

#include "dp/attach.h"
#include "dp/load.h"
#include "dp/probe.h"

struct cleanup {
	const struct pin_dir *pins;
	struct err *err;
	unsigned int detached;
	bool others;
};

static int remove_one(struct cleanup *c, const struct pin_dir *pins)
{
	unsigned int n = 0;
	int rc = attach_cleanup(pins, c->err, &n);

	c->detached += n;
	return rc < 0 ? rc : dp_unload(pins, c->err);
}

/* Hooks are named alike in every release, and the rest are pins. */
static int remove_other(void *ctx, const char *version)
{
	struct cleanup *c = ctx;
	struct pin_dir other;

	if (pin_dir_other(c->pins, version, &other) < 0)
		return 0;
	c->others = true;
	return remove_one(c, &other);
}

int dp_cleanup(struct pin_dir *pins, struct err *err, struct dp_removed *ret_removed)
{
	struct cleanup c = { .pins = pins, .err = err };
	bool any = access(pins->path, F_OK) == 0;
	int rc = probe_capabilities(err);

	if (rc == 0)
		rc = pin_lock(pins, err);
	if (rc == 0)
		rc = pin_each_other(pins, remove_other, &c);
	if (rc == 0) /* the last one takes the directory along that is locked */
		rc = remove_one(&c, pins);
	if (rc == 0)
		*ret_removed = (struct dp_removed){ c.detached, any || c.others || c.detached };
	return rc;
}

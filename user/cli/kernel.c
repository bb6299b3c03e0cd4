// SPDX-License-Identifier: GPL-2.0-only
/*
 * What commands read from the pins: the maps, the view of the services, names by id.
 * Must not know how anything is printed.
 */
#include "cli/cli.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int cli_open_maps(struct cli *cli)
{
	struct err err = { 0 };

	int code;

	if (cli->dp || !dp_open_read(cli->values.bpffs, &err, &cli->dp))
		return CLI_OK;
	code = cli_fail(&err);
	return code == CLI_USAGE
		       ? CLI_UNREACHABLE
		       : code; /* the default folder may be no bpffs, and nobody said it is */
}

int cli_kernel_view(struct cli *cli, struct view *ret_view)
{
	struct row_reader rows;
	struct err err;
	int code = cli_open_maps(cli);
	int rc;

	if (code)
		return code;
	rows = dp_row_reader(cli->dp);
	rc = view_from_rows(&rows, ret_view);
	if (!rc)
		return CLI_OK;
	err_set(&err, rc, "the maps below %s could not be read: %s", cli->values.bpffs,
		strerror(-rc));
	return cli_fail(&err);
}

int cli_names_read(struct cli *cli, int family, struct cli_names *ret_names)
{
	struct cli_names names = { .family = family };
	struct dp_rows rows;
	int rc = dp_rows_read(cli->dp, dp_map_of(family, DP_sl4_names), &rows);

	if (rc < 0) {
		cli_complain("the names of services could not be read: %s", strerror(-rc));
		return CLI_PROBLEMS;
	}
	for (size_t i = 0; i < rows.n; i++) {
		uint32_t id = ((const uint32_t *)rows.keys)[i];

		if (id >= names.n)
			names.n = (size_t)id + 1;
	}
	names.names = calloc(names.n ? names.n : 1, sizeof(*names.names));
	for (size_t i = 0; names.names && i < rows.n; i++)
		names.names[((const uint32_t *)rows.keys)[i]] =
			((const struct sl_name *)rows.values)[i];
	dp_rows_done(&rows);
	if (!names.names) {
		cli_complain("no memory");
		return CLI_PROBLEMS;
	}
	*ret_names = names;
	return CLI_OK;
}

void cli_names_done(struct cli_names *names)
{
	free(names->names);
	*names = (struct cli_names){ 0 };
}

static uint8_t mask_len(const uint8_t *mask, size_t size)
{
	uint8_t len = 0;

	for (size_t i = 0; i < size * 8 && mask[i / 8] >> (7 - i % 8) & 1; i++)
		len++;
	return len;
}

static void put_cidr(const uint8_t *addr, const uint8_t *mask, int family, struct cidr *ret_cidr)
{
	size_t size = family == 4 ? 4 : 16;

	*ret_cidr = (struct cidr){ .addr.family = (uint8_t)family, .len = mask_len(mask, size) };
	memcpy(ret_cidr->addr.b, addr, size);
}

size_t cli_service_cidrs(const struct sl_config *config, struct cidr ret_cidrs[2 * SL_CIDRS])
{
	size_t n = 0;

	for (size_t i = 0; i < SL_CIDRS; i++)
		if (config->cidrs4[i].mask[0])
			put_cidr(config->cidrs4[i].addr, config->cidrs4[i].mask, 4,
				 &ret_cidrs[n++]);
	for (size_t i = 0; i < SL_CIDRS; i++)
		if (config->cidrs6[i].mask[0])
			put_cidr(config->cidrs6[i].addr, config->cidrs6[i].mask, 6,
				 &ret_cidrs[n++]);
	return n;
}

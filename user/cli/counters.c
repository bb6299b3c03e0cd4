// SPDX-License-Identifier: GPL-2.0-only
/*
 * sluicectl counters: what became of packets and socket calls, by reason and hook.
 * Must not know where counters are kept.
 */
#include "cli/cli.h"
#include "cli/rows.h"

#include <string.h>

#include "core/format.h"

static const struct out_column columns[] = {
	{ "reason", "REASON", false },       { "verdict", "VERDICT", false },
	{ "xdpPackets", "XDP", true },       { "ingressPackets", "INGRESS", true },
	{ "egressPackets", "EGRESS", true }, { "socketCalls", "SOCKET", true },
	{ "bytes", "BYTES", true },          { "text", "MEANING", false },
	{ "advice", NULL, false },
};

static const struct out_column drop_columns[] = {
	{ "reason", "REASON", false },  { "verdict", "VERDICT", false },
	{ "packets", "PACKETS", true }, { "bytes", "BYTES", true },
	{ "text", "MEANING", false },   { "advice", "WHAT TO DO", false },
};

static uint64_t all_packets(const struct sl_counter *c)
{
	return c->xdp.packets + c->ingress.packets + c->egress.packets + c->socket.packets;
}

static uint64_t all_bytes(const struct sl_counter *c)
{
	return c->xdp.bytes + c->ingress.bytes + c->egress.bytes;
}

static enum out_tone tone_of(enum sl_verdict verdict, uint64_t packets)
{
	return packets && verdict >= SL_VERDICT_REJECT ? OUT_WARN : OUT_PLAIN;
}

void rows_counters(struct out *out, const struct sl_counter counters[SL_REASON_COUNT], bool all)
{
	char bytes[FORMAT_SHORT_LEN];

	out_begin(out, "CounterList");
	out_rows(out, "items", NULL, columns, sizeof(columns) / sizeof(columns[0]));
	for (unsigned int r = 0; r < SL_REASON_COUNT; r++) {
		const struct sl_counter *c = &counters[r];
		enum sl_reason reason = (enum sl_reason)r;
		enum sl_verdict verdict = format_reason_verdict(reason);

		if (!all_packets(c) && !all)
			continue;
		out_row(out);
		out_text(out, format_reason_name(reason));
		out_tone(out, format_verdict(verdict), tone_of(verdict, all_packets(c)));
		out_number(out, c->xdp.packets, NULL);
		out_number(out, c->ingress.packets, NULL);
		out_number(out, c->egress.packets, NULL);
		out_number(out, c->socket.packets, NULL);
		out_number(out, all_bytes(c), format_bytes(all_bytes(c), bytes));
		out_text(out, format_reason_text(reason));
		out_text(out, format_reason_advice(reason));
	}
	out_rows_end(out);
	if (!out->n_rows)
		out_note(out, OUT_PLAIN, "nothing was counted yet");
	out_end(out);
}

void rows_drops(struct out *out, const struct sl_counter counters[SL_REASON_COUNT], bool all)
{
	char bytes[FORMAT_SHORT_LEN];

	out_begin(out, "DropList");
	out_rows(out, "items", NULL, drop_columns, sizeof(drop_columns) / sizeof(drop_columns[0]));
	for (unsigned int r = 0; r < SL_REASON_COUNT; r++) {
		const struct sl_counter *c = &counters[r];
		enum sl_reason reason = (enum sl_reason)r;
		enum sl_verdict verdict = format_reason_verdict(reason);

		if (verdict < SL_VERDICT_REJECT || (!all_packets(c) && !all))
			continue;
		out_row(out);
		out_text(out, format_reason_name(reason));
		out_tone(out, format_verdict(verdict), tone_of(verdict, all_packets(c)));
		out_number(out, all_packets(c), NULL);
		out_number(out, all_bytes(c), format_bytes(all_bytes(c), bytes));
		out_text(out, format_reason_text(reason));
		out_text(out, format_reason_advice(reason));
	}
	out_rows_end(out);
	if (!out->n_rows)
		out_note(out, OUT_GOOD, "nothing was refused");
	out_end(out);
}

int cli_read_counters(struct cli *cli, struct sl_counter counters[SL_REASON_COUNT])
{
	int code = cli_open_maps(cli);
	int rc;

	if (code)
		return code;
	rc = dp_counters_read(cli->dp, counters);
	if (!rc)
		return CLI_OK;
	cli_complain("sl_counters could not be read: %s", strerror(-rc));
	return CLI_PROBLEMS;
}

int cli_counters(struct cli *cli)
{
	struct sl_counter counters[SL_REASON_COUNT];
	int code = cli_read_counters(cli, counters);

	if (!code)
		rows_counters(&cli->out, counters, cli->values.all);
	return code;
}

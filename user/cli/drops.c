// SPDX-License-Identifier: GPL-2.0-only
/*
 * sluicectl drops: refused packets as they happen, from the ring buffer; or their sums, from the counters.
 * Must not know why a packet was refused: the reason says it.
 *
 * A ring buffer has one reading position for all: an event is told to one reader. The agent logs refusals, so while it runs
 * only what it has not yet read is seen here; it can be asked to leave them (admin socket, "events off").
 */
#include "cli/cli.h"
#include "cli/rows.h"

#include <errno.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "core/format.h"
#include "dp/events.h"

#define POLL_MS 100 /* events do not wake their reader: a flood of them must stay cheap */

static const struct out_column columns[] = {
	{ "time", "TIME", false },
	{ "reason", "REASON", false },
	{ "verdict", "VERDICT", false },
	{ "protocol", "PROTO", false },
	{ NULL, "FROM", false },
	{ "sourceAddress", NULL, false },
	{ "sourcePort", NULL, true },
	{ NULL, "TO", false },
	{ "address", NULL, false },
	{ "port", NULL, true },
	{ "hook", "HOOK", false },
	{ "interface", "INTERFACE", false },
	{ "ifindex", NULL, true },
	{ "namespace", NULL, false },
	{ "name", NULL, false },
	{ "portName", NULL, false },
	{ NULL, "SERVICE", false },
	{ "length", NULL, true },
	{ "text", "MEANING", false },
	{ "advice", "WHAT TO DO", false },
};

void rows_events_begin(struct out *out)
{
	out_stream(out, "Drop", columns, sizeof(columns) / sizeof(columns[0]));
}

/* RFC 3339, UTC, milliseconds. */
static const char *time_text(uint64_t wall_ns, char buf[40])
{
	time_t s = (time_t)(wall_ns / CLOCK_NS_PER_S);
	struct tm tm;
	size_t len;

	gmtime_r(&s, &tm);
	len = strftime(buf, 40, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(buf + len, 40 - len, ".%03uZ", (unsigned int)(wall_ns / CLOCK_NS_PER_MS % 1000));
	return buf;
}

static void put_end(struct out *out, int family, const uint8_t *bytes, uint16_t port)
{
	char endpoint[FORMAT_ENDPOINT_LEN], text[ADDRESS_TEXT_LEN];
	struct address addr = { .family = (uint8_t)family };

	memcpy(addr.b, bytes, family == 4 ? 4 : 16);
	out_text(out, format_endpoint(&addr, port, endpoint));
	out_text(out, address_format(&addr, text));
	out_number(out, port, NULL);
}

void rows_event(struct out *out, const struct sl_event *e, const struct sl_name *name, uint64_t wall_ns)
{
	char when[40], proto[FORMAT_SHORT_LEN], interface[IF_NAMESIZE] = "-", port[CLI_NAME_LEN];
	char service[CLI_NAME_LEN + SL_NAMESPACE_LEN] = "-";

	if (e->ifindex && !if_indextoname(e->ifindex, interface))
		snprintf(interface, sizeof(interface), "if%u", e->ifindex);
	if (name)
		snprintf(service, sizeof(service), "%s/%s", name->namespace,
			 cli_service_text(name->name, name->port_name, name->port, port));
	out_row(out);
	out_text(out, time_text(wall_ns, when));
	out_text(out, format_reason_name(e->reason));
	out_tone(out, format_verdict(format_reason_verdict(e->reason)), OUT_WARN);
	out_text(out, format_proto(e->proto, proto));
	put_end(out, e->family == 6 ? 6 : 4, e->saddr, e->sport);
	put_end(out, e->family == 6 ? 6 : 4, e->daddr, e->dport);
	out_text(out, format_hook(e->hook));
	out_text(out, interface);
	out_number(out, e->ifindex, NULL);
	out_text(out, name ? name->namespace : "");
	out_text(out, name ? name->name : "");
	out_text(out, name ? name->port_name : "");
	out_text(out, service);
	out_number(out, e->len, NULL);
	out_text(out, format_reason_text(e->reason));
	out_text(out, format_reason_advice(e->reason));
}

/* ---- the command ----------------------------------------------------------------------------------------------------- */

static volatile sig_atomic_t stop;

static void on_signal(int signo)
{
	(void)signo;
	stop = 1;
}

struct listening {
	struct cli *cli;
	struct cli_names names[2]; /* 4, 6 */
	uint64_t wall_minus_monotonic_ns;
};

static void on_event(void *ctx, const struct sl_event *event)
{
	struct listening *l = ctx;
	const struct cli_names *names = &l->names[event->family == 6];

	rows_event(&l->cli->out, event, cli_names_find(names, event->service),
		   event->now_ns + l->wall_minus_monotonic_ns);
}

static int listen_events(struct listening *l, struct events *events)
{
	struct sigaction action = { .sa_handler = on_signal };
	int rc = 0;

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	while (!stop && rc >= 0 && !ferror(l->cli->out.file)) {
		rc = events_read(events);
		if (rc == 0) {
			struct pollfd fd = { .fd = events_fd(events), .events = POLLIN };

			(void)poll(&fd, 1, POLL_MS);
		}
	}
	return rc == -EINTR ? 0 : rc;
}

static void say_if_off(struct cli *cli)
{
	struct sl_config config;

	if (dp_config_read(cli->dp, &config) == 0 && !(config.flags & SL_CONFIG_EVENTS))
		cli_complain("the agent has switched events off: nothing will be seen here; try --counters");
}

static int listen_drops(struct cli *cli)
{
	struct listening l = { .cli = cli, .wall_minus_monotonic_ns = clock_wall_ns() - clock_now_ns() };
	struct events *events;
	int code = cli_open_maps(cli);
	int rc;

	if (!code)
		code = cli_names_read(cli, 4, &l.names[0]);
	if (!code)
		code = cli_names_read(cli, 6, &l.names[1]);
	if (code)
		return code;
	say_if_off(cli);
	rc = events_new(cli->dp, on_event, &l, &events);
	if (!rc) {
		rows_events_begin(&cli->out);
		rc = listen_events(&l, events);
		events_free(events);
	}
	cli_names_done(&l.names[0]);
	cli_names_done(&l.names[1]);
	if (rc >= 0)
		return CLI_OK;
	cli_complain("sl_events could not be read: %s", strerror(-rc));
	return CLI_PROBLEMS;
}

int cli_drops(struct cli *cli)
{
	struct sl_counter counters[SL_REASON_COUNT];
	int code;

	if (!cli->values.counters)
		return listen_drops(cli);
	code = cli_read_counters(cli, counters);
	if (!code)
		rows_drops(&cli->out, counters, cli->values.all);
	return code;
}

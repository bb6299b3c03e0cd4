// SPDX-License-Identifier: GPL-2.0-only
/*
 * sluicectl drops: refused packets as they happen, from the ring buffer; or their sums, from the counters.
 * Must not know why a packet was refused: the reason says it.
 *
 * A ring buffer has one reading position for all: an event is told to one reader. While an agent runs, it is that reader and
 * keeps the last ones, so it is asked; without an agent the ring buffer is read here.
 */
#include "cli/cli.h"
#include "cli/rows.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "cli/agent.h"
#include "core/format.h"
#include "dp/events.h"

#define POLL_MS  100 /* events do not wake their reader: a flood of them must stay cheap */
#define AGENT_MS 500
#define SEEN_LEN 400

static const struct out_column columns[] = {
	{ "time", "TIME", false },         { "reason", "REASON", false },
	{ "verdict", "VERDICT", false },   { "protocol", "PROTO", false },
	{ NULL, "FROM", false },           { "sourceAddress", NULL, false },
	{ "sourcePort", NULL, true },      { NULL, "TO", false },
	{ "address", NULL, false },        { "port", NULL, true },
	{ "hook", "HOOK", false },         { "interface", "INTERFACE", false },
	{ "ifindex", NULL, true },         { "namespace", NULL, false },
	{ "name", NULL, false },           { "portName", NULL, false },
	{ NULL, "SERVICE", false },        { "text", "MEANING", false },
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

static void put_end(struct out *out, const struct address *addr, uint16_t port)
{
	char endpoint[FORMAT_ENDPOINT_LEN], text[ADDRESS_TEXT_LEN];

	out_text(out, format_endpoint(addr, port, endpoint));
	out_text(out, address_format(addr, text));
	out_number(out, port, NULL);
}

static void put_drop(struct out *out, const struct rows_drop *d)
{
	char interface[IF_NAMESIZE] = "-", service[CLI_NAME_LEN + SL_NAMESPACE_LEN] = "-",
	     port[CLI_NAME_LEN];
	bool named = d->namespace && *d->namespace;

	if (d->ifindex && !if_indextoname(d->ifindex, interface))
		snprintf(interface, sizeof(interface), "if%u", d->ifindex);
	if (named)
		snprintf(service, sizeof(service), "%s/%s", d->namespace,
			 cli_service_text(d->name, d->port_name, d->port, port));
	out_row(out);
	out_text(out, d->time);
	out_text(out, format_reason_name(d->reason));
	out_tone(out, format_verdict(format_reason_verdict(d->reason)), OUT_WARN);
	out_text(out, d->proto);
	put_end(out, &d->from, d->sport);
	put_end(out, &d->to, d->port);
	out_text(out, d->hook);
	out_text(out, interface);
	out_number(out, d->ifindex, NULL);
	out_text(out, named ? d->namespace : "");
	out_text(out, named ? d->name : "");
	out_text(out, named ? d->port_name : "");
	out_text(out, service);
	out_text(out, format_reason_text(d->reason));
	out_text(out, format_reason_advice(d->reason));
}

static struct address address_of(int family, const uint8_t *bytes)
{
	struct address addr = { .family = (uint8_t)family };

	memcpy(addr.b, bytes, family == 4 ? 4 : 16);
	return addr;
}

void rows_event(struct out *out, const struct sl_event *e, const struct sl_name *name,
		uint64_t wall_ns)
{
	char when[40], proto[FORMAT_SHORT_LEN];
	const struct rows_drop d = {
		.time = time_text(wall_ns, when),
		.reason = e->reason,
		.hook = format_hook(e->hook),
		.proto = format_proto(e->proto, proto),
		.from = address_of(e->family == 6 ? 6 : 4, e->saddr),
		.to = address_of(e->family == 6 ? 6 : 4, e->daddr),
		.sport = e->sport,
		.port = e->dport,
		.ifindex = e->ifindex,
		.namespace = name ? name->namespace : NULL,
		.name = name ? name->name : NULL,
		.port_name = name ? name->port_name : NULL,
	};

	put_drop(out, &d);
}

static enum sl_reason reason_of(const char *name)
{
	for (unsigned int r = 0; r < SL_REASON_COUNT; r++)
		if (!strcmp(format_reason_name((enum sl_reason)r), name))
			return (enum sl_reason)r;
	return SL_REASON_NOT_SERVICE;
}

void rows_agent_drop(struct out *out, const struct cJSON *item)
{
	struct rows_drop d = {
		.time = agent_text(item, "time"),
		.reason = reason_of(agent_text(item, "reason")),
		.hook = agent_text(item, "hook"),
		.proto = agent_text(item, "protocol"),
		.ifindex = (uint32_t)agent_number(item, "ifindex"),
		.namespace = agent_text(item, "namespace"),
		.name = agent_text(item, "name"),
		.port_name = agent_text(item, "portName"),
	};

	if (format_parse_endpoint(agent_text(item, "from"), &d.from, &d.sport) < 0 ||
	    format_parse_endpoint(agent_text(item, "to"), &d.to, &d.port) < 0)
		return;
	put_drop(out, &d);
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

static void catch_signals(void)
{
	const struct sigaction action = { .sa_handler = on_signal };

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

static int listen_events(struct listening *l, struct events *events)
{
	int rc = 0;

	while (!stop && rc >= 0 && !ferror(l->cli->out.file)) {
		rc = events_read(events);
		if (rc == 0) {
			struct pollfd fd = { .fd = events_fd(events), .events = POLLIN };

			(void)poll(&fd, 1, POLL_MS);
		}
	}
	return rc == -EINTR ? 0 : rc;
}

/* ---- by the agent ---- */

/* What makes a refusal itself: the agent's list is the last so many, so new ones stand behind the last one seen. */
static void identity(const cJSON *item, char seen[SEEN_LEN])
{
	snprintf(seen, SEEN_LEN, "%s %s %s %s %s %llu", agent_text(item, "time"),
		 agent_text(item, "reason"), agent_text(item, "from"), agent_text(item, "to"),
		 agent_text(item, "protocol"), (unsigned long long)agent_number(item, "ifindex"));
}

static void put_new(struct out *out, const cJSON *drops, char seen[SEEN_LEN])
{
	char this[SEEN_LEN];
	bool known = false, print;
	const cJSON *item;

	cJSON_ArrayForEach(item, drops)
	{
		identity(item, this);
		known = known || !strcmp(this, seen);
	}
	print = !known; /* none of them was seen yet */
	cJSON_ArrayForEach(item, drops)
	{
		identity(item, this);
		if (print)
			rows_agent_drop(out, item);
		else
			print = !strcmp(this, seen);
	}
	if (cJSON_GetArraySize(drops) > 0)
		snprintf(seen, SEEN_LEN, "%s", this);
}

/* CLI_UNREACHABLE: no agent (any more); the ring buffer is free then. */
static int listen_agent(struct cli *cli, char seen[SEEN_LEN])
{
	while (!stop && !ferror(cli->out.file)) {
		struct err err = { 0 };
		cJSON *answer;

		if (agent_ask(cli->values.admin_socket, "drops", &err, &answer) < 0)
			return CLI_UNREACHABLE;
		put_new(&cli->out, cJSON_GetObjectItemCaseSensitive(answer, "drops"), seen);
		cJSON_Delete(answer);
		(void)poll(NULL, 0, AGENT_MS);
	}
	return CLI_OK;
}

static void say_if_off(struct cli *cli)
{
	struct sl_config config;

	if (dp_config_read(cli->dp, &config) == 0 && !(config.flags & SL_CONFIG_EVENTS))
		cli_complain(
			"the agent has switched events off: nothing will be seen here; try --counters");
}

static int listen_drops(struct cli *cli)
{
	struct listening l = { .cli = cli,
			       .wall_minus_monotonic_ns = clock_wall_ns() - clock_now_ns() };
	char seen[SEEN_LEN] = "";
	struct events *events = NULL; /* where no agent answers, or no more */
	int code = cli_open_maps(cli);
	int rc;

	if (!code)
		code = cli_names_read(cli, 4, &l.names[0]);
	if (!code)
		code = cli_names_read(cli, 6, &l.names[1]);
	if (code)
		return code;
	say_if_off(cli);
	catch_signals();
	rows_events_begin(&cli->out);
	rc = listen_agent(cli, seen) == CLI_OK ? 0 : events_new(cli->dp, on_event, &l, &events);
	if (events) {
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

/* SPDX-License-Identifier: GPL-2.0-only */
/* Loads the programs with small maps of their own, runs packets through them, and compares what comes out. */
/* Must not know how programs decide: expectations come from the fixtures. */
#include "prog/harness.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#include "prog/harness_internal.h"

const struct variant variants[VARIANTS] = {
	{ 4, OBJECT_TC, "v4" },
	{ 6, OBJECT_TC, "v6" },
	{ 4, OBJECT_TC_FAST, "v4 fast" },
	{ 6, OBJECT_TC_FAST, "v6 fast" },
};

int family;
uint32_t harness_ifindex = 1;
struct harness harness;

static const struct {
	const char *name;
	bool xdp;
	enum sl_hook hook;
} programs[PROGRAMS] = {
	[POD_IN] = { "sl_pod_in", false, SL_HOOK_INGRESS },
	[POD_OUT] = { "sl_pod_out", false, SL_HOOK_EGRESS },
	[UP_IN] = { "sl_up_in", false, SL_HOOK_INGRESS },
	[UP_OUT] = { "sl_up_out", false, SL_HOOK_EGRESS },
	[L3_IN] = { "sl_l3_in", false, SL_HOOK_INGRESS },
	[L3_OUT] = { "sl_l3_out", false, SL_HOOK_EGRESS },
	[XDP] = { "sl_xdp", true, SL_HOOK_XDP },
};

static const char *const reason_names[SL_REASON_COUNT] = {
#define REASON_NAME(name, class, text, advice) [SL_REASON_##name] = #name,
	SL_REASONS(REASON_NAME)
#undef REASON_NAME
};

const char *reason_name(unsigned int reason)
{
	return reason < SL_REASON_COUNT ? reason_names[reason] : "?";
}

/* ---- loading -------------------------------------------------------------------------------------------------------- */

static int quiet(enum libbpf_print_level level, const char *format, va_list args)
{
	if (getenv("V") && level <= LIBBPF_INFO)
		return vfprintf(stderr, format, args);
	return 0;
}

static bool ends_with(const char *name, const char *end)
{
	size_t n = strlen(name), m = strlen(end);

	return n >= m && !strcmp(name + n - m, end);
}

/* Writes sl_consts into one .rodata map, if it is there. */
static bool set_consts(struct bpf_object *object, struct bpf_map *map,
		       const struct sl_consts *consts)
{
	const struct btf *btf = bpf_object__btf(object);
	int id = btf__find_by_name_kind(btf, ".rodata", BTF_KIND_DATASEC);
	const struct btf_type *section;
	const struct btf_var_secinfo *var;
	const void *initial;
	size_t size;
	char *data;

	initial = bpf_map__initial_value(map, &size);
	if (!initial || id < 0)
		return false;
	section = btf__type_by_id(btf, (__u32)id);
	var = btf_var_secinfos(section);
	for (int i = 0; i < btf_vlen(section); i++) {
		if (strcmp(btf__name_by_offset(btf, btf__type_by_id(btf, var[i].type)->name_off),
			   "sl_consts"))
			continue;
		data = malloc(size);
		memcpy(data, initial, size);
		memcpy(data + var[i].offset, consts, sizeof(*consts));
		bpf_map__set_initial_value(map, data, size);
		free(data);
		return true;
	}
	return false;
}

static uint32_t map_entries(const char *name, const struct harness_options *options)
{
	static const struct {
		const char *end;
		uint32_t entries;
	} sizes[] = {
		{ "sl_devices", 16 },
		{ "_services", HARNESS_RECORDS },
		{ "_records", HARNESS_RECORDS },
		{ "_backends", HARNESS_BACKENDS },
		{ "_rings", HARNESS_LINES },
		{ "_names", HARNESS_RECORDS },
		{ "_affinity", 2048 },
		{ "_frags", 2048 },
		{ "_svc_stats", HARNESS_RECORDS },
		{ "_be_stats", HARNESS_BACKENDS },
	};

	if (ends_with(name, "4_flows_tcp"))
		return options->consts.buckets4_tcp;
	if (ends_with(name, "4_flows_udp"))
		return options->consts.buckets4_udp;
	if (ends_with(name, "6_flows_tcp"))
		return options->consts.buckets6_tcp;
	if (ends_with(name, "6_flows_udp"))
		return options->consts.buckets6_udp;
	if (ends_with(name, "4_sockets"))
		return options->consts.buckets4_sockets;
	if (ends_with(name, "6_sockets"))
		return options->consts.buckets6_sockets;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		if (ends_with(name, sizes[i].end))
			return sizes[i].entries;
	return 0;
}

static void prepare_object(struct bpf_object *object, const struct harness_options *options)
{
	struct bpf_map *map;

	bpf_object__for_each_map(map, object)
	{
		uint32_t entries = map_entries(bpf_map__name(map), options);
		int fd = harness_find_map(bpf_map__name(map));

		if (fd >= 0)
			bpf_map__reuse_fd(map, fd);
		else if (entries)
			bpf_map__set_max_entries(map, entries);
		if (ends_with(bpf_map__name(map), ".rodata"))
			set_consts(object, map, &options->consts);
	}
}

static struct bpf_object *open_object(enum dp_object which, const struct harness_options *options,
				      const char **ret_why)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts, .object_name = object_name(which));
	struct bpf_object *object;
	const void *bytes;
	size_t len;

	bytes = object_bytes(which, &len);
	object = bpf_object__open_mem(bytes, len, &opts);
	if (!object) {
		*ret_why = "an object does not open";
		return NULL;
	}
	prepare_object(object, options);
	return object;
}

struct bpf_object *harness_open(enum dp_object which)
{
	return harness_open_with(which, &harness.options);
}

int harness_find_map(const char *name)
{
	for (int i = 0; i < harness.n_maps; i++)
		if (!strcmp(harness.maps[i].name, name))
			return harness.maps[i].fd;
	return -1;
}

int harness_map(const char *name)
{
	int fd = harness_find_map(name);

	if (fd < 0)
		fail_msg("the objects have no map %s", name);
	return fd;
}

static void remember_maps(struct bpf_object *object)
{
	struct bpf_map *map;

	bpf_object__for_each_map(map, object)
	{
		const char *name = bpf_map__name(map);

		if (strncmp(name, "sl", 2) || strchr(name, '.') || harness_find_map(name) >= 0)
			continue;
		assert(harness.n_maps < HARNESS_MAPS);
		snprintf(harness.maps[harness.n_maps].name, sizeof(harness.maps[0].name), "%s",
			 name);
		harness.maps[harness.n_maps++].fd = bpf_map__fd(map);
	}
}

static void fill_options(struct harness_options *options)
{
	struct sl_consts *c = &options->consts;

	if (!c->buckets4_tcp)
		c->buckets4_tcp = c->buckets4_udp = c->buckets6_tcp = c->buckets6_udp =
			HARNESS_BUCKETS;
	if (!c->buckets4_sockets)
		c->buckets4_sockets = c->buckets6_sockets = HARNESS_BUCKETS;
	if (!c->seed)
		c->seed = 0x5eedf00d;
	c->records = HARNESS_RECORDS;
	c->backends = HARNESS_BACKENDS;
	c->lines = HARNESS_LINES;
}

struct bpf_object *harness_open_with(enum dp_object which, const struct harness_options *given)
{
	struct harness_options options = *given;
	struct bpf_object *object;
	const char *why = NULL;

	libbpf_set_print(quiet);
	fill_options(&options);
	object = open_object(which, &options, &why);
	if (!object)
		fail_msg("%s: %s", object_name(which), why);
	return object;
}

static int load_object(enum dp_object which, const char **ret_why)
{
	struct bpf_object *object = open_object(which, &harness.options, ret_why);
	int rc;

	if (!object)
		return -EINVAL;
	*ret_why = object_name(which);
	rc = bpf_object__load(object);
	if (rc < 0) {
		bpf_object__close(object);
		return rc;
	}
	harness.objects[which] = object;
	remember_maps(object);
	return 0;
}

int harness_load(const struct harness_options *options, const char **ret_why)
{
	int rc;

	harness_unload();
	libbpf_set_print(quiet);
	harness.options = *options;
	fill_options(&harness.options);
	rc = load_object(OBJECT_TC, ret_why);
	if (rc == 0)
		rc = load_object(OBJECT_XDP, ret_why);
	if (rc < 0)
		return rc;
	harness.fast_error = load_object(OBJECT_TC_FAST, ret_why);
	harness.tc = OBJECT_TC;
	harness.loaded = true;
	return 0;
}

void harness_unload(void)
{
	for (int i = 0; i < OBJECT_COUNT; i++)
		bpf_object__close(harness.objects[i]);
	memset(&harness, 0, sizeof(harness));
}

int harness_teardown(void **state)
{
	(void)state;
	harness_unload();
	return 0;
}

int harness_program(enum program program)
{
	struct bpf_object *object =
		harness.objects[programs[program].xdp ? OBJECT_XDP : harness.tc];
	const struct bpf_program *found =
		bpf_object__find_program_by_name(object, programs[program].name);

	if (!found)
		fail_msg("program %s is not in the objects", programs[program].name);
	return bpf_program__fd(found);
}

void start(void **state)
{
	static const struct harness_options usual;
	const struct variant *variant = *state;
	const char *why = "";
	int rc = harness.loaded ? 0 : harness_load(&usual, &why);

	if (rc < 0)
		fail_msg("%s does not load: %s (V=1 shows the verifier)", why, strerror(-rc));
	/* the fast object exists because older kernels refuse it; every other reason shows in test_verifier */
	if (variant->tc == OBJECT_TC_FAST && harness.fast_error) {
		print_message("# skip: this kernel does not take sluice_tc_fast: %s\n",
			      strerror(-harness.fast_error));
		skip();
	}
	harness.tc = variant->tc;
	family = variant->family;
	control_reset();
	flows_reset();
}

uint64_t harness_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* ---- counters ------------------------------------------------------------------------------------------------------- */

void counters_read(struct sl_counter ret[SL_REASON_COUNT])
{
	int fd = harness_map("sl_counters"), cpus = libbpf_num_possible_cpus();
	struct sl_counter *values = calloc((size_t)cpus, sizeof(*values));

	memset(ret, 0, SL_REASON_COUNT * sizeof(*ret));
	for (uint32_t r = 0; r < SL_REASON_COUNT; r++) {
		uint64_t *sum = (uint64_t *)(void *)&ret[r];

		assert_int_equal(bpf_map_lookup_elem(fd, &r, values), 0);
		for (int c = 0; c < cpus; c++)
			for (size_t i = 0; i < sizeof(*ret) / 8; i++)
				sum[i] += ((uint64_t *)(void *)&values[c])[i];
	}
	free(values);
}

static uint64_t packets_of(const struct sl_counter *c)
{
	return c->xdp.packets + c->ingress.packets + c->egress.packets + c->socket.packets;
}

uint64_t counted(enum sl_reason reason)
{
	struct sl_counter counters[SL_REASON_COUNT];

	counters_read(counters);
	return packets_of(&counters[reason]);
}

uint64_t counted_all(void)
{
	struct sl_counter counters[SL_REASON_COUNT];
	uint64_t sum = 0;

	counters_read(counters);
	for (int r = 0; r < SL_REASON_COUNT; r++)
		sum += packets_of(&counters[r]);
	return sum;
}

/* ---- running -------------------------------------------------------------------------------------------------------- */

#define MARK    0x51a70000u
#define OUT_MAX FRAME_MAX

int harness_run_raw(int fd, const void *in, size_t len, void *out, size_t *len_out)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = in, .data_size_in = (__u32)len,
		    .data_out = out, .data_size_out = OUT_MAX, .repeat = 1);
	int rc = bpf_prog_test_run_opts(fd, &opts);

	if (rc < 0)
		return -1000 - errno;
	*len_out = opts.data_size_out;
	return (int)opts.retval;
}

static void say_where(enum program program, const struct frame *in, const char *file, int line)
{
	print_error("%s:%d: %s of %s\n", file, line, programs[program].name, frame_text(in));
}

/* Prints packet and place, then fails with the sentence. */
#define complain(program, in, file, line, ...)      \
	do {                                        \
		say_where(program, in, file, line); \
		print_error("    " __VA_ARGS__);    \
		print_error("\n");                  \
		_fail(file, line);                  \
	} while (0)

/* The one reason that was counted between two readings; fails unless it is one, at this hook, with these bytes. */
static enum sl_reason one_reason(enum program program, const struct frame *in,
				 const struct sl_counter *before, const struct sl_counter *after,
				 const char *file, int line)
{
	const size_t n = sizeof(*before) / sizeof(struct sl_hook_counter);
	int found = -1;

	for (int r = 0; r < SL_REASON_COUNT; r++) {
		const struct sl_hook_counter *b = &before[r].xdp, *a = &after[r].xdp;

		for (size_t h = 0; h < n; h++) {
			uint64_t packets = a[h].packets - b[h].packets,
				 bytes = a[h].bytes - b[h].bytes;

			if (!packets && !bytes)
				continue;
			if (found >= 0)
				complain(program, in, file, line,
					 "counted as %s and as %s, must be one reason",
					 reason_name((unsigned int)found),
					 reason_name((unsigned int)r));
			if (packets != 1 || h != programs[program].hook)
				complain(
					program, in, file, line,
					"%s counted %llu times at hook %zu, must be once at hook %d",
					reason_name((unsigned int)r), (unsigned long long)packets,
					h, programs[program].hook);
			if (bytes != in->len)
				complain(program, in, file, line,
					 "%llu bytes counted, the frame has %zu",
					 (unsigned long long)bytes, in->len);
			found = r;
		}
	}
	if (found < 0)
		complain(program, in, file, line, "nothing was counted");
	return (enum sl_reason)found;
}

struct outcome harness_run_frame(enum program program, const struct frame *in, const char *file,
				 int line)
{
	struct __sk_buff ctx = { .mark = MARK, .ifindex = harness_ifindex };
	struct sl_counter before[SL_REASON_COUNT], after[SL_REASON_COUNT];
	struct outcome outcome = { .out = { .l3 = in->l3 } };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = in->bytes, .data_size_in = (__u32)in->len,
		    .data_out = outcome.out.bytes, .data_size_out = OUT_MAX, .repeat = 1);

	if (!programs[program].xdp) {
		opts.ctx_in = opts.ctx_out = &ctx;
		opts.ctx_size_in = opts.ctx_size_out = sizeof(ctx);
	}
	counters_read(before);
	if (bpf_prog_test_run_opts(harness_program(program), &opts) < 0)
		complain(program, in, file, line, "BPF_PROG_TEST_RUN: %s", strerror(errno));
	counters_read(after);
	outcome.verdict = (int)opts.retval;
	outcome.out.len = opts.data_size_out;
	outcome.reason = one_reason(program, in, before, after, file, line);
	if (!programs[program].xdp && ctx.mark != MARK)
		complain(program, in, file, line, "mark is %#x, must stay %#x", ctx.mark, MARK);
	return outcome;
}

struct outcome harness_run(enum program program, const struct packet *in, const char *file,
			   int line)
{
	struct frame frame;

	packet_build(in, &frame);
	return harness_run_frame(program, &frame, file, line);
}

static const enum sl_verdict reason_classes[SL_REASON_COUNT] = {
#define REASON_CLASS(name, class, text, advice) [SL_REASON_##name] = SL_VERDICT_##class,
	SL_REASONS(REASON_CLASS)
#undef REASON_CLASS
};

static bool is_due(enum sl_reason got, enum sl_reason want)
{
	return want == SL_REASON_ANY_FORWARD ? reason_classes[got] == SL_VERDICT_FORWARD
					     : got == want;
}

/* Runs, and holds the reason against the one that is due. */
static struct outcome run_for(enum program program, const struct packet *in,
			      struct frame *ret_frame, enum sl_reason reason, const char *file,
			      int line)
{
	struct outcome outcome;

	packet_build(in, ret_frame);
	outcome = harness_run_frame(program, ret_frame, file, line);
	if (!is_due(outcome.reason, reason))
		complain(program, ret_frame, file, line,
			 "reason is %s, must be %s (verdict %d, out: %s)",
			 reason_name(outcome.reason),
			 reason == SL_REASON_ANY_FORWARD ? "that of a translated packet"
							 : reason_name(reason),
			 outcome.verdict, frame_text(&outcome.out));
	return outcome;
}

/* "On to the next program": unspecified for tc, pass for XDP. */
static void check_on(enum program program, const struct frame *in, const struct outcome *outcome,
		     const char *file, int line)
{
	int on = programs[program].xdp ? XDP_PASS : TC_ACT_UNSPEC;

	if (outcome->verdict != on)
		complain(program, in, file, line,
			 "verdict is %d, must be %d: on to the next program", outcome->verdict, on);
}

/* Compares what came out with what is due, to the byte; the checksums are summed up once more. */
static void check_out(enum program program, const struct frame *in, const struct outcome *outcome,
		      const struct packet *out, const char *file, int line)
{
	const char *difference = frame_difference(&outcome->out, out);
	struct parsed parsed;

	check_on(program, in, outcome, file, line);
	if (difference)
		complain(program, in, file, line, "came out as %s:\n    %s",
			 frame_text(&outcome->out), difference);
	packet_parse(outcome->out.bytes, outcome->out.len, outcome->out.l3, true, &parsed);
	if (parsed.wrong[0] && !out->wrong_checksum)
		complain(program, in, file, line, "came out as %s: %s", frame_text(&outcome->out),
			 parsed.wrong);
}

void harness_forwards(enum program program, struct packet in, enum sl_reason reason,
		      struct packet out, const char *file, int line)
{
	struct frame frame;
	struct outcome outcome = run_for(program, &in, &frame, reason, file, line);

	check_out(program, &frame, &outcome, &out, file, line);
}

uint16_t harness_forwards_new_port(enum program program, struct packet in, enum sl_reason reason,
				   struct packet out, const char *file, int line)
{
	struct frame frame;
	struct outcome outcome = run_for(program, &in, &frame, reason, file, line);
	struct parsed parsed;

	packet_parse(outcome.out.bytes, outcome.out.len, outcome.out.l3, true, &parsed);
	if (parsed.sport == out.from.port)
		complain(program, &frame, file, line, "came out as %s: the source port must change",
			 frame_text(&outcome.out));
	out.from.port = parsed.sport;
	check_out(program, &frame, &outcome, &out, file, line);
	return parsed.sport;
}

void harness_passes(enum program program, struct packet in, enum sl_reason reason, const char *file,
		    int line)
{
	struct frame frame;
	struct outcome outcome = run_for(program, &in, &frame, reason, file, line);

	check_on(program, &frame, &outcome, file, line);
	if (outcome.out.len != frame.len || memcmp(outcome.out.bytes, frame.bytes, frame.len))
		complain(program, &frame, file, line, "was changed into %s",
			 frame_text(&outcome.out));
}

void harness_drops(enum program program, struct packet in, enum sl_reason reason, const char *file,
		   int line)
{
	int drop = programs[program].xdp ? XDP_DROP : TC_ACT_SHOT;
	struct frame frame;
	struct outcome outcome = run_for(program, &in, &frame, reason, file, line);

	if (outcome.verdict != drop)
		complain(program, &frame, file, line, "verdict is %d, must be %d: drop",
			 outcome.verdict, drop);
}

/* ---- answers -------------------------------------------------------------------------------------------------------- */

static void check_answer(enum program program, const struct frame *in,
			 const struct outcome *outcome, const struct parsed *asked,
			 struct parsed *ret_answer, const char *file, int line)
{
	const struct frame *out = &outcome->out;
	size_t n = address_len(asked->family);

	if (outcome->verdict != TC_ACT_REDIRECT)
		complain(program, in, file, line,
			 "verdict is %d, must be %d: back where it came from", outcome->verdict,
			 TC_ACT_REDIRECT);
	packet_parse(out->bytes, out->len, out->l3, true, ret_answer);
	if (ret_answer->family != asked->family || ret_answer->wrong[0])
		complain(program, in, file, line, "answer %s: %s", frame_text(out),
			 ret_answer->wrong);
	if (memcmp(ret_answer->daddr, asked->saddr, n))
		complain(program, in, file, line, "answer %s must go to the sender",
			 frame_text(out));
	if (memcmp(ret_answer->saddr, asked->daddr, n))
		complain(program, in, file, line,
			 "answer %s must come from the address that was asked", frame_text(out));
	if (ret_answer->ttl < 32 || ret_answer->fragment)
		complain(program, in, file, line, "answer %s: short-lived, or a fragment",
			 frame_text(out));
	if (out->l3 == 14 &&
	    (memcmp(out->bytes, in->bytes + 6, 6) || memcmp(out->bytes + 6, in->bytes, 6)))
		complain(program, in, file, line,
			 "Ethernet addresses of the answer are not turned round");
	if (out->l3 == 14 && memcmp(out->bytes + 12, in->bytes + 12, 2))
		complain(program, in, file, line, "Ethernet type of the answer is %02x%02x",
			 out->bytes[12], out->bytes[13]);
}

void harness_refuses(enum program program, struct packet in, enum sl_reason reason,
		     const char *file, int line)
{
	struct frame frame;
	struct outcome outcome = run_for(program, &in, &frame, reason, file, line);
	const struct frame *out = &outcome.out;
	struct parsed asked, answer;
	size_t quoted, whole = frame.len - frame.l3, least = in.family == 4 ? 28 : 48,
		       limit = in.family == 4 ? 576 : 1280;

	packet_parse(frame.bytes, frame.len, frame.l3, true, &asked);
	check_answer(program, &frame, &outcome, &asked, &answer, file, line);
	/* RFC 792: type 3, code 3; RFC 4443 3.1: type 1, code 4; both: four unused bytes, zero */
	if (answer.proto != (in.family == 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6) ||
	    answer.icmp_type != (in.family == 4 ? 3 : 1) ||
	    answer.icmp_code != (in.family == 4 ? 3 : 4) || answer.icmp_rest)
		complain(program, &frame, file, line, "answer %s must be port unreachable",
			 frame_text(out));
	/* RFC 792: the header and 8 bytes; RFC 4443 2.4 (c): as much as fits the minimum MTU */
	quoted = out->len - answer.quoted;
	if (quoted > whole || quoted < (whole < least ? whole : least) ||
	    out->len - out->l3 > limit)
		complain(program, &frame, file, line, "answer quotes %zu of %zu bytes and has %zu",
			 quoted, whole, out->len - out->l3);
	if (memcmp(out->bytes + answer.quoted, frame.bytes + frame.l3, quoted))
		complain(program, &frame, file, line,
			 "answer %s does not quote the packet as it came", frame_text(out));
}

void harness_resets(enum program program, struct packet in, const char *file, int line)
{
	struct frame frame;
	struct outcome outcome =
		run_for(program, &in, &frame, SL_REASON_UNKNOWN_TCP_FLOW, file, line);
	const struct frame *out = &outcome.out;
	struct parsed asked, answer;
	uint32_t len = in.payload + (in.flags & FIN ? 1u : 0u), seq, ack;
	uint8_t flags;

	packet_parse(frame.bytes, frame.len, frame.l3, true, &asked);
	check_answer(program, &frame, &outcome, &asked, &answer, file, line);
	seq = in.flags & ACK ? in.ack : 0;
	ack = in.flags & ACK ? 0 : in.seq + len;
	flags = in.flags & ACK ? RST : RST | ACK;
	if (answer.proto != IPPROTO_TCP || answer.flags != flags || answer.seq != seq ||
	    answer.sport != in.to.port || answer.dport != in.from.port ||
	    (flags & ACK && answer.ack != ack) || answer.l4_len != 20)
		complain(program, &frame, file, line,
			 "answer is %s, must be a RST with seq %u and flags %#x, ack %u",
			 frame_text(out), seq, flags, ack);
}

/* ---- choices -------------------------------------------------------------------------------------------------------- */

int harness_picks(enum program program, struct packet in, enum sl_reason reason,
		  const struct end *candidates, int n, const char *file, int line)
{
	struct frame frame;
	struct outcome outcome = run_for(program, &in, &frame, reason, file, line);

	check_on(program, &frame, &outcome, file, line);
	for (int i = 0; i < n; i++) {
		struct packet want = in;

		want.to = candidates[i];
		if (!frame_difference(&outcome.out, &want))
			return i;
	}
	complain(program, &frame, file, line,
		 "came out as %s: to none of the %d backends it may go to",
		 frame_text(&outcome.out), n);
	return -1;
}

/* SPDX-License-Identifier: GPL-2.0 */
/* What the control plane costs: manifests read from a folder, planned, written into the maps; and the memory of the maps. */
/* Must not know the agent: it is measured with traffic. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/loop.h"
#include "bench/measure.h"
#include "bench/rig.h"
#include "core/problem.h"
#include "core/store.h"
#include "source/dir.h"

#define SERVICES  10000
#define ENDPOINTS 5
#define REPEATS   7
#define PER_FILE  500

static void print(const char *what, double number, const char *unit)
{
	printf("control\t%s\t%.3f\t%s\n", what, number, unit);
	fflush(stdout);
}

/* ---- plan and maps ---------------------------------------------------------------------------------------------------- */

static int publish_once(int family, struct err *err)
{
	struct rig_options options = {
		.name = "control",
		.family = family,
		.max_services = SERVICES,
		.max_backends = SERVICES * ENDPOINTS,
		.flows = 131072,
	};
	struct rig_times times;
	struct rig *rig = NULL;
	uint64_t began = clock_now_ns();
	char what[64];
	int rc = rig_new(&options, err, &rig);

	snprintf(what, sizeof(what), "v%d: programs loaded, maps made", family);
	print(what, (double)(clock_now_ns() - began) / 1e6, "ms");
	if (rc == 0)
		rc = rig_publish(rig, SERVICES, ENDPOINTS, err, &times);
	if (rc == 0) {
		snprintf(what, sizeof(what), "v%d: objects into the store", family);
		print(what, (double)times.store_ns / 1e6, "ms");
		snprintf(what, sizeof(what), "v%d: plan", family);
		print(what, (double)times.plan_ns / 1e6, "ms");
		snprintf(what, sizeof(what), "v%d: maps written", family);
		print(what, (double)times.apply_ns / 1e6, "ms");
		snprintf(what, sizeof(what), "v%d: plan and maps", family);
		print(what, (double)(times.plan_ns + times.apply_ns) / 1e6, "ms");
		snprintf(what, sizeof(what), "v%d: rows written", family);
		print(what, (double)times.rows, "rows");
		snprintf(what, sizeof(what), "v%d: maps, 128k flows", family);
		print(what, (double)rig_memory(rig) / (1 << 20), "MiB");
	}
	rig_free(rig);
	return rc;
}

/* ---- folder ----------------------------------------------------------------------------------------------------------- */

#define DOTTED      "%u.%u.%u.%u"
#define BYTES_OF(a) (a) >> 24, (a) >> 16 & 255, (a) >> 8 & 255, (a)&255

static void write_service(FILE *f, uint32_t s)
{
	uint32_t vip = RIG_VIP + s, at = RIG_ENDPOINT + s * RIG_ENDPOINT_STEP;

	fprintf(f,
		"---\napiVersion: v1\nkind: Service\nmetadata: {name: service-%u, namespace: bench}\n"
		"spec:\n  clusterIP: " DOTTED
		"\n  selector: {app: s%u}\n  ports:\n  - {name: tcp, port: 80, targetPort: 8080}\n",
		s, BYTES_OF(vip), s);
	fprintf(f,
		"---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata:\n  name: service-%u-a\n  namespace: bench\n"
		"  labels: {kubernetes.io/service-name: service-%u}\naddressType: IPv4\nports:\n- {name: tcp, port: 8080}\nendpoints:\n",
		s, s);
	for (uint32_t e = 0; e < ENDPOINTS; e++)
		fprintf(f, "- {addresses: [\"" DOTTED "\"], conditions: {ready: true}}\n",
			BYTES_OF(at + e));
}

static int write_folder(const char *dir, uint32_t services)
{
	char path[128];
	FILE *f = NULL;

	for (uint32_t s = 0; s < services; s++) {
		if (s % PER_FILE == 0) {
			if (f && fclose(f) < 0)
				return -errno;
			snprintf(path, sizeof(path), "%s/%05u.yaml", dir, s);
			f = fopen(path, "we");
			if (!f)
				return -errno;
		}
		write_service(f, s);
	}
	return f && fclose(f) < 0 ? -errno : 0;
}

static void remove_folder(const char *dir, uint32_t services)
{
	char path[128];

	for (uint32_t s = 0; s < services; s += PER_FILE) {
		snprintf(path, sizeof(path), "%s/%05u.yaml", dir, s);
		unlink(path);
	}
	rmdir(dir);
}

/* Everything into a store, until every kind was listed. */
static int read_folder(const char *path, uint32_t services, struct err *err)
{
	struct problems *problems = problems_new(NULL, NULL);
	struct store *store = store_new(problems);
	struct source_sink sink = store_sink(store);
	uint64_t began = clock_now_ns();
	struct loop *loop = NULL;
	struct dir *dir = NULL;
	struct store_stats stats;
	int rc = loop_new(&loop);

	if (rc == 0)
		rc = dir_new(loop, path, OBJECTS_OF_AGENT, &sink, err, &dir);
	while (rc >= 0 && !store_is_listed(store))
		rc = loop_turn(loop, CLOCK_NS_PER_S);
	store_count(store, &stats);
	if (rc >= 0)
		print("folder read into the store", (double)(clock_now_ns() - began) / 1e6, "ms");
	if (rc >= 0 && stats.services != services)
		rc = err_set(err, -EPROTO, "the folder has %u services, %zu were read", services,
			     stats.services);
	dir_free(dir);
	loop_free(loop);
	store_free(store);
	problems_free(problems);
	return rc < 0 ? rc : 0;
}

static int measure_folder(uint32_t repeats, struct err *err)
{
	char dir[] = "/tmp/sluice-bench-folder-XXXXXX";
	int rc;

	if (!mkdtemp(dir))
		return err_set(err, -errno, "cannot make %s: %s", dir, strerror(errno));
	rc = write_folder(dir, SERVICES);
	if (rc < 0)
		err_set(err, rc, "cannot write manifests to %s: %s", dir, strerror(-rc));
	for (uint32_t i = 0; rc == 0 && i < repeats; i++)
		rc = read_folder(dir, SERVICES, err);
	remove_folder(dir, SERVICES);
	return rc;
}

int measure_control(const struct measure_options *o, struct err *err)
{
	uint32_t repeats = o->quick ? 2 : REPEATS;
	int rc = 0;

	for (uint32_t i = 0; rc == 0 && i < repeats; i++) {
		rc = publish_once(4, err);
		if (rc == 0)
			rc = publish_once(6, err);
	}
	return rc == 0 ? measure_folder(repeats, err) : rc;
}

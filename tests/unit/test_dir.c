// SPDX-License-Identifier: GPL-2.0-only
// A real folder and real inotify: files that come, change, break, are replaced and go; the folder itself as well.
/* link: user/source/dir.c user/source/dir_events.c user/source/dir_folder.c user/source/dir_file.c user/source/catalog.c user/source/catalog_read.c user/source/catalog_tell.c user/source/decode.c user/source/decode_read.c user/source/decode_service.c user/source/decode_slice.c user/source/decode_node.c user/source/decode_ingress.c user/source/decode_secret.c user/source/field.c user/source/object.c user/source/value.c user/source/manifest.c user/source/manifest_tree.c user/source/manifest_scalar.c user/core/model.c user/core/model_ingress.c user/core/address.c user/base/arena.c user/base/buf.c user/base/clock.c user/base/loop.c user/base/table.c user/base/options_value.c */
/* libs: yaml */
#include "unit/test.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/loop.h"
#include "source/dir.h"
#include "unit/failmalloc.h"
#include "unit/recorder.h"

#define DEADLINE_NS (20 * CLOCK_NS_PER_S)

static struct recorder recorder;
static struct loop *loop;
static struct dir *dir;
static char top[256];    /* everything of one test is below */
static char folder[300]; /* top/m, the source */

/* ---- the folder -------------------------------------------------------------------------------------------- */

static const char *in(const char *base, const char *name)
{
	static char paths[4][700];
	static unsigned i;

	snprintf(paths[++i % 4], sizeof(paths[0]), "%s/%s", base, name);
	return paths[i % 4];
}

static void write_to(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static void put_file(const char *name, const char *text)
{
	write_to(in(folder, name), text);
}

static void must(int rc)
{
	if (rc < 0)
		fail_msg("%s", strerror(errno));
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static int setup(void **state)
{
	const char *tmp = getenv("TMPDIR");

	(void)state;
	snprintf(top, sizeof(top), "%.200s/sluice-dir-XXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(top))
		return -1;
	snprintf(folder, sizeof(folder), "%s/m", top);
	return mkdir(folder, 0755) < 0 || loop_new(&loop) < 0 ? -1 : 0;
}

static int teardown(void **state)
{
	(void)state;
	dir_free(dir);
	dir = NULL;
	loop_free(loop);
	loop = NULL;
	buf_done(&recorder.said);
	return nftw(top, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* ---- what is told ------------------------------------------------------------------------------------------ */

/* Turns the loop until the text ends with what is expected, and then nothing else may have been told. */
static void told(const char *expected)
{
	uint64_t end_ns = clock_now_ns() + DEADLINE_NS;
	size_t len = strlen(expected);

	while (recorder.said.len < len && clock_now_ns() < end_ns)
		assert_true(loop_turn(loop, 50 * CLOCK_NS_PER_MS) >= 0);
	assert_string_equal(buf_str(&recorder.said), expected);
	buf_reset(&recorder.said);
}

/* The same after something was done that nothing may be told of: a new file shows that it was taken up. */
static void told_nothing(void)
{
	static unsigned n;
	char name[32], text[256], expected[256];

	n++;
	snprintf(name, sizeof(name), "zz%u.yaml", n);
	snprintf(text, sizeof(text),
		 "{apiVersion: v1, kind: Service, metadata: {name: zz%u}, spec: {clusterIP: None}}",
		 n);
	put_file(name, text);
	snprintf(expected, sizeof(expected), "put Service default/zz%u None\n", n);
	told(expected);
}

#define SERVICE(name, ip)                                             \
	"apiVersion: v1\nkind: Service\nmetadata: {name: " name "}\n" \
	"spec: {clusterIP: " ip ", ports: [{port: 80}]}\n"
#define LISTED "listed Service\nlisted EndpointSlice\nlisted Node\nlisted ServiceCIDR\n"

static void start(void)
{
	struct source_sink sink = recorder_sink(&recorder);
	struct err err = { 0 };

	if (dir_new(loop, folder, OBJECTS_OF_AGENT, &sink, &err, &dir) < 0)
		fail_msg("%s", err.what);
}

/* With Service x in a.yaml, told. */
static void start_with_x(void)
{
	put_file("a.yaml", SERVICE("x", "10.0.0.1"));
	start();
	told("put Service default/x 10.0.0.1\n" LISTED);
}

/* ---- tests ------------------------------------------------------------------------------------------------- */

TEST(reads_what_is_there_and_says_listed)
{
	struct dir_stats stats;

	put_file("b.yml", SERVICE("b", "10.0.0.2"));
	put_file("a.yaml", SERVICE("a", "10.0.0.1"));
	put_file("c.json",
		 "{\"apiVersion\":\"v1\",\"kind\":\"Node\",\"metadata\":{\"name\":\"c\"}}");
	put_file(".a.yaml", SERVICE("no", "10.0.0.9"));
	put_file("#a.yaml", SERVICE("no", "10.0.0.9"));
	put_file("a.yaml~", SERVICE("no", "10.0.0.9"));
	put_file("a.yaml.swp", SERVICE("no", "10.0.0.9"));
	put_file("README", "x: [");
	put_file("\n.yaml", SERVICE("no", "10.0.0.9"));
	must(mkdir(in(folder, "sub"), 0755));
	write_to(in(folder, "sub/a.yaml"), SERVICE("no", "10.0.0.9"));
	start();
	told("put Service default/a 10.0.0.1\nput Service default/b 10.0.0.2\nput Node c\n" LISTED);
	told_nothing();
	dir_count(dir, &stats);
	assert_int_equal(stats.files, 4);
	assert_int_equal(stats.objects, 4);
}

TEST(a_missing_folder_is_an_error_at_start)
{
	struct source_sink sink = recorder_sink(&recorder);
	struct err err = { 0 };
	char expected[512];

	must(rmdir(folder));
	assert_int_equal(dir_new(loop, folder, OBJECTS_OF_AGENT, &sink, &err, &dir), -ENOENT);
	snprintf(
		expected, sizeof(expected),
		"folder %s: No such file or directory: --source dir:PATH names a folder of manifests",
		folder);
	assert_string_equal(err.what, expected);
	assert_int_equal(dir_new(loop, "", OBJECTS_OF_AGENT, &sink, NULL, &dir), -ENOENT);
	write_to(folder, "");
	assert_int_equal(dir_new(loop, folder, OBJECTS_OF_AGENT, &sink, &err, &dir), -ENOTDIR);
	assert_null(dir);
}

TEST(an_empty_folder_is_listed)
{
	start();
	told(LISTED);
	put_file("a.yaml", SERVICE("x", "10.0.0.1"));
	told("put Service default/x 10.0.0.1\n");
}

TEST(sees_new_changed_and_deleted_files)
{
	start_with_x();
	put_file("b.yaml", SERVICE("y", "10.0.0.2"));
	told("put Service default/y 10.0.0.2\n");
	put_file("a.yaml", SERVICE("x", "10.0.0.3"));
	told("put Service default/x 10.0.0.3\n");
	put_file("a.yaml", SERVICE("x", "10.0.0.3") "# more\n");
	told_nothing();
	must(unlink(in(folder, "a.yaml")));
	told("gone Service default/x\n");
	must(rename(in(folder, "b.yaml"), in(top, "b.yaml")));
	told("gone Service default/y\n");
	must(rename(in(top, "b.yaml"), in(folder, "c.yaml")));
	told("put Service default/y 10.0.0.2\n");
}

TEST(a_file_may_be_renamed)
{
	start_with_x();
	must(rename(in(folder, "a.yaml"), in(folder, "b.yaml")));
	told_nothing();
	must(rename(in(folder, "b.yaml"), in(folder, "b.yaml.bak")));
	told("gone Service default/x\n");
}

TEST(takes_a_file_that_is_renamed_over)
{
	start_with_x();
	write_to(in(folder, ".a.yaml.new"), SERVICE("x", "10.0.0.2"));
	must(rename(in(folder, ".a.yaml.new"), in(folder, "a.yaml")));
	told("put Service default/x 10.0.0.2\n");
	write_to(in(top, "a"), SERVICE("x", "10.0.0.3"));
	must(rename(in(top, "a"), in(folder, "a.yaml")));
	told("put Service default/x 10.0.0.3\n");
}

/* What was told so far. */
static bool was_told(const char *text)
{
	return strstr(buf_str(&recorder.said), text) != NULL;
}

/*
 * As editors and version control do it: nothing may be gone in between. The second turn takes up the deletion, the file
 * comes back before the third. A machine that stands still between two turns may see it gone, so one of twenty is enough.
 */
TEST(waits_for_a_file_that_is_deleted_and_written_again)
{
	bool kept[2] = { false };
	int i, way;

	start_with_x();
	for (i = 0; i < 40 && !(kept[0] && kept[1]); i++) {
		way = i % 2;
		must(way ? unlink(in(folder, "a.yaml"))
			 : rename(in(folder, "a.yaml"), in(folder, "a.yaml~")));
		assert_true(loop_turn(loop, CLOCK_NS_PER_S) > 0); /* the event */
		assert_true(loop_turn(loop, CLOCK_NS_PER_S) > 0); /* the work */
		put_file("a.yaml", i / 2 % 2 ? SERVICE("x", "10.0.0.1") : SERVICE("x", "10.0.0.2"));
		put_file("b.yaml", SERVICE("y", "10.0.0.1"));
		while (!was_told("put Service default/y"))
			assert_true(loop_turn(loop, CLOCK_NS_PER_S) > 0);
		kept[way] |= !was_told("gone Service default/x");
		must(unlink(in(folder, "b.yaml")));
		while (!was_told("gone Service default/y"))
			assert_true(loop_turn(loop, CLOCK_NS_PER_S) > 0);
		buf_reset(&recorder.said);
	}
	assert_true(kept[0]);
	assert_true(kept[1]);
}

TEST(waits_for_a_file_that_is_being_written)
{
	FILE *file;

	start_with_x();
	file = fopen(in(folder, "a.yaml"), "w"); /* empties it */
	assert_non_null(file);
	assert_int_equal(fflush(file), 0);
	told_nothing();
	fputs("apiVersion: v1\nkind: Service\nmeta", file);
	assert_int_equal(fflush(file), 0);
	told_nothing();
	dir_rescan(dir); /* a check meanwhile does not read it either */
	told_nothing();
	fputs("data: {name: x}\nspec: {clusterIP: None}\n", file);
	assert_int_equal(fclose(file), 0);
	told("put Service default/x None\n");
}

/* The check is due and the event of a write is there, but not yet taken: it has to count first. */
TEST(takes_events_before_it_reads)
{
	FILE *file;
	uint64_t due_ns;

	start_with_x();
	dir_rescan(dir);
	due_ns = clock_now_ns() + 20 * CLOCK_NS_PER_MS;
	file = fopen(in(folder, "a.yaml"), "w"); /* empties it */
	assert_non_null(file);
	while (clock_now_ns() < due_ns)
		;
	told_nothing();
	fputs(SERVICE("x", "10.0.0.2"), file);
	fclose(file);
	told("put Service default/x 10.0.0.2\n");
}

TEST(reads_a_file_whose_writer_does_not_close_it)
{
	FILE *file;

	start_with_x();
	file = fopen(in(folder, "b.yaml"), "w");
	assert_non_null(file);
	fputs(SERVICE("y", "10.0.0.2"), file);
	assert_int_equal(fflush(file), 0);
	told("put Service default/y 10.0.0.2\n");
	fclose(file);
}

TEST(a_broken_file_keeps_its_last_good_documents)
{
	start_with_x();
	put_file("a.yaml", "apiVersion: v1\nkind: Service\nmetadata: {name: x\n");
	told("problem a.yaml:3: did not find expected ',' or '}', while parsing a flow mapping that began on line 3\n");
	told_nothing();
	put_file("a.yaml", SERVICE("x", "10.0.0.2") "---\n\tx: 1\n");
	told("put Service default/x 10.0.0.2\nsolved a.yaml:3\n"
	     "problem a.yaml:6: found character that cannot start any token: indent with spaces, not with tabs\n");
	put_file("a.yaml", SERVICE("x", "10.0.0.2"));
	told("solved a.yaml:6\n");
}

TEST(one_object_in_two_files)
{
	start_with_x();
	put_file("b.yaml", SERVICE("x", "10.0.0.2"));
	told("problem Service default/x: is in a.yaml:1 and in b.yaml:1: the first is served, remove one\n");
	must(unlink(in(folder, "a.yaml")));
	told("put Service default/x 10.0.0.2\nsolved Service default/x\n");
}

/* A ConfigMap volume: a.yaml -> ..data/a.yaml, ..data -> ..1, and then ..data is replaced by one that leads to ..2. */
TEST(follows_links_of_a_volume)
{
	must(mkdir(in(folder, "..1"), 0755));
	must(mkdir(in(folder, "..2"), 0755));
	write_to(in(folder, "..1/a.yaml"), SERVICE("x", "10.0.0.1"));
	write_to(in(folder, "..2/a.yaml"), SERVICE("x", "10.0.0.2"));
	write_to(in(folder, "..2/b.yaml"), SERVICE("y", "10.0.0.3"));
	must(symlink("..1", in(folder, "..data")));
	must(symlink("..data/a.yaml", in(folder, "a.yaml")));
	must(symlink("..data/c.yaml", in(folder, "c.yaml"))); /* leads nowhere */
	start();
	told("put Service default/x 10.0.0.1\n" LISTED);
	must(symlink("..2", in(folder, "..data_tmp")));
	must(rename(in(folder, "..data_tmp"), in(folder, "..data")));
	told("put Service default/x 10.0.0.2\n");
	must(symlink("..data/b.yaml", in(folder, "b.yaml")));
	told("put Service default/y 10.0.0.3\n");
	must(symlink("..1", in(folder, "..data_tmp")));
	must(rename(in(folder, "..data_tmp"), in(folder, "..data")));
	told("gone Service default/y\nput Service default/x 10.0.0.1\n");
}

TEST(a_link_may_be_the_first)
{
	start();
	told(LISTED);
	must(mkdir(in(folder, "..1"), 0755));
	write_to(in(folder, "..1/a.yaml"), SERVICE("x", "10.0.0.1"));
	must(symlink("..1/a.yaml", in(folder, "a.yaml")));
	told("put Service default/x 10.0.0.1\n");
	must(unlink(in(folder, "..1/a.yaml"))); /* unseen: it is in another folder */
	dir_rescan(dir);
	told("gone Service default/x\n");
}

TEST(an_unreadable_file_keeps_its_objects)
{
	start_with_x();
	must(symlink("a.yaml", in(folder, "loop")));
	must(rename(in(folder, "loop"), in(folder, "a.yaml"))); /* now it leads to itself */
	told("problem a.yaml: cannot be read (Too many levels of symbolic links): its last known objects are served\n");
	dir_rescan(dir);
	told_nothing();
	must(unlink(in(folder, "a.yaml")));
	must(mkfifo(in(folder, "a.yaml"), 0644));
	told("problem a.yaml: is no ordinary file: remove it or rename it\n");
	write_to(in(top, "a"), SERVICE("x", "10.0.0.1"));
	must(rename(in(top, "a"), in(folder, "a.yaml")));
	told("solved a.yaml\n");
}

/* Nothing of the file is different when it can be read again, so only trying shows it. */
TEST(an_unreadable_file_is_tried_again)
{
	struct rlimit limit, low;
	int fd;

	start_with_x();
	must(getrlimit(RLIMIT_NOFILE, &limit));
	fd = open(in(folder, "a.yaml"), O_WRONLY | O_CLOEXEC);
	must(fd);
	low = limit;
	low.rlim_cur = (rlim_t)fd + 1; /* the folder can be opened, then no file in it */
	must(setrlimit(RLIMIT_NOFILE, &low));
	close(fd); /* an event, although nothing was written */
	told("problem a.yaml: cannot be read (Too many open files): its last known objects are served\n");
	must(setrlimit(RLIMIT_NOFILE, &limit));
	dir_rescan(dir);
	told("solved a.yaml\n");
}

static void folder_problem(char expected[600], const char *reason)
{
	snprintf(expected, 600, "problem %s: %s\n", folder, reason);
}

#define MISSING "cannot be read (No such file or directory): the last known objects are served"
#define EMPTY \
	"is another folder now and empty: the last known objects are served until a manifest is put there"

TEST(a_missing_folder_keeps_everything)
{
	char expected[600];

	start_with_x();
	must(rename(folder, in(top, "away")));
	folder_problem(expected, MISSING);
	told(expected);
	must(rename(in(top, "away"), folder));
	snprintf(expected, sizeof(expected), "solved %s\n", folder);
	told(expected);
	told_nothing();
	put_file("a.yaml", SERVICE("x", "10.0.0.2")); /* it is watched again */
	told("put Service default/x 10.0.0.2\n");
}

TEST(a_folder_may_be_removed_and_created_again)
{
	char expected[600];

	start_with_x();
	must(rename(folder, in(top, "away"))); /* so that its files go with it at once */
	folder_problem(expected, MISSING);
	told(expected);
	must(unlink(in(top, "away/a.yaml")));
	must(rmdir(in(top, "away")));
	must(mkdir(folder, 0755));
	folder_problem(expected, EMPTY);
	told(expected);
	put_file("b.yaml", SERVICE("y", "10.0.0.2"));
	snprintf(expected, sizeof(expected),
		 "solved %s\nput Service default/y 10.0.0.2\ngone Service default/x\n", folder);
	told(expected);
	put_file("b.yaml", SERVICE("y", "10.0.0.3"));
	told("put Service default/y 10.0.0.3\n");
}

/* The folder's name is a link that is replaced by one to another folder. */
TEST(a_folder_may_be_swapped)
{
	char real[320], other[320];

	snprintf(real, sizeof(real), "%s/1", top);
	snprintf(other, sizeof(other), "%s/2", top);
	must(rename(folder, real));
	must(mkdir(other, 0755));
	must(symlink("1", folder));
	put_file("a.yaml", SERVICE("x", "10.0.0.1"));
	write_to(in(other, "a.yaml"), SERVICE("x", "10.0.0.2"));
	start();
	told("put Service default/x 10.0.0.1\n" LISTED);
	must(symlink("2", in(top, "tmp")));
	must(rename(in(top, "tmp"), folder));
	told("put Service default/x 10.0.0.2\n");
	write_to(in(real, "a.yaml"), SERVICE("x", "10.0.0.1")); /* no longer ours */
	told_nothing();
}

/* More events than the kernel keeps: what was lost is found by comparing. */
TEST(survives_an_overflow_of_events)
{
	FILE *limit = fopen("/proc/sys/fs/inotify/max_queued_events", "r");
	unsigned i, max = 0;
	char name[32];
	int fd;

	if (!limit || fscanf(limit, "%u", &max) != 1 || max > 100000)
		max = 0;
	if (limit)
		fclose(limit);
	if (!max)
		SKIP("fs.inotify.max_queued_events is not known or too large");
	start_with_x();
	for (i = 0; i < max; i++) {
		snprintf(name, sizeof(name), "f%u", i % 64);
		fd = open(in(folder, name), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
		must(fd);
		close(fd);
	}
	put_file("a.yaml", SERVICE("x", "10.0.0.2"));
	must(unlink(in(folder, "f0")));
	put_file("b.yaml", SERVICE("y", "10.0.0.3"));
	told("put Service default/x 10.0.0.2\nput Service default/y 10.0.0.3\n");
}

TEST(reads_many_files_before_it_says_listed)
{
	enum { FILES = 400 };
	char name[32], text[256];
	uint64_t end_ns = clock_now_ns() + DEADLINE_NS;
	unsigned i;

	for (i = 0; i < FILES; i++) {
		snprintf(name, sizeof(name), "f%u.yaml", i);
		snprintf(text, sizeof(text), "{apiVersion: v1, kind: Node, metadata: {name: n%u}}",
			 i);
		put_file(name, text);
	}
	start();
	recorder.n = 0;
	while (recorder.n < FILES + 4 && clock_now_ns() < end_ns)
		assert_true(loop_turn(loop, 50 * CLOCK_NS_PER_MS) >= 0);
	assert_int_equal(recorder.n, FILES + 4);
	assert_true(recorder.said.len > strlen(LISTED));
	assert_string_equal(recorder.said.data + recorder.said.len - strlen(LISTED), LISTED);
	buf_reset(&recorder.said);
}

TEST(tells_everything_again)
{
	start_with_x();
	dir_relist(dir);
	told("put Service default/x 10.0.0.1\n" LISTED);
	told_nothing();
}

TEST(a_relative_path_will_do)
{
	struct source_sink sink = recorder_sink(&recorder);
	char *before = getcwd(NULL, 0);

	put_file("a.yaml", SERVICE("x", "10.0.0.1"));
	must(chdir(top));
	assert_int_equal(dir_new(loop, "m///", OBJECTS_OF_AGENT, &sink, NULL, &dir), 0);
	told("put Service default/x 10.0.0.1\n" LISTED);
	must(rename("m", "away"));
	told("problem m: " MISSING "\n");
	must(chdir(before));
	free(before);
}

static unsigned open_fds(void)
{
	DIR *fds = opendir("/proc/self/fd");
	unsigned n = 0;

	while (readdir(fds))
		n++;
	closedir(fds);
	return n;
}

TEST(leaves_no_descriptor_open)
{
	unsigned before = open_fds();

	start_with_x();
	assert_int_equal(open_fds(),
			 before + 1); /* inotify alone: an open folder would hide its own removal */
	dir_free(dir);
	dir = NULL;
	assert_int_equal(open_fds(), before);
}

TEST(survives_lack_of_memory_at_start)
{
	struct source_sink sink = recorder_sink(&recorder);
	unsigned before = open_fds(), n;
	int rc;

	for (n = 1;; n++) {
		failmalloc_at(n);
		rc = dir_new(loop, folder, OBJECTS_OF_AGENT, &sink, NULL, &dir);
		if (!failmalloc_done())
			break;
		if (rc == 0) /* an allocation that was only for the better */
			break;
		assert_int_equal(rc, -ENOMEM);
		assert_null(dir);
		assert_int_equal(open_fds(), before);
	}
	assert_int_equal(rc, 0);
	assert_in_range(n, 4, 50);
}

/* A change whose taking up fails is tried again. */
TEST(survives_lack_of_memory_later)
{
	unsigned n;
	char text[256], expected[256];

	start_with_x();
	for (n = 1; n < 40; n += 13) {
		snprintf(text, sizeof(text), SERVICE("x", "10.0.0.%u"), n + 1);
		snprintf(expected, sizeof(expected), "put Service default/x 10.0.0.%u\n", n + 1);
		assert_int_equal(buf_reserve(&recorder.said, 4096), 0);
		put_file("a.yaml", text);
		failmalloc_at(n);
		while (failmalloc_left && !recorder.said.len)
			(void)loop_turn(loop, 50 * CLOCK_NS_PER_MS);
		failmalloc_done();
		told(expected);
	}
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

RUN(T(reads_what_is_there_and_says_listed), T(a_missing_folder_is_an_error_at_start),
    T(an_empty_folder_is_listed), T(sees_new_changed_and_deleted_files), T(a_file_may_be_renamed),
    T(takes_a_file_that_is_renamed_over), T(waits_for_a_file_that_is_deleted_and_written_again),
    T(takes_events_before_it_reads), T(an_unreadable_file_is_tried_again),
    T(waits_for_a_file_that_is_being_written), T(reads_a_file_whose_writer_does_not_close_it),
    T(a_broken_file_keeps_its_last_good_documents), T(one_object_in_two_files),
    T(follows_links_of_a_volume), T(a_link_may_be_the_first),
    T(an_unreadable_file_keeps_its_objects), T(a_missing_folder_keeps_everything),
    T(a_folder_may_be_removed_and_created_again), T(a_folder_may_be_swapped),
    T(survives_an_overflow_of_events), T(reads_many_files_before_it_says_listed),
    T(tells_everything_again), T(a_relative_path_will_do), T(leaves_no_descriptor_open),
    T(survives_lack_of_memory_at_start), T(survives_lack_of_memory_later))

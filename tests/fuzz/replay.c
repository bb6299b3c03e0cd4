// SPDX-License-Identifier: GPL-2.0-only
// Runs a fuzz target once over each file of its corpus and prints TAP; linked with one fuzz_<x>.c by gcc or clang.
// Must not know what is parsed. The corpus is tests/fuzz/corpus/<x>, or the files and folders given as arguments.
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct inputs {
	char **path;
	size_t len;
};

static void add(struct inputs *inputs, const char *path)
{
	inputs->path = realloc(inputs->path, (inputs->len + 1) * sizeof(char *));
	if (!inputs->path || !(inputs->path[inputs->len++] = strdup(path)))
		abort();
}

static int is_visible(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

/* A folder's files in the order of their names; anything else is taken as a file. */
static void collect(struct inputs *inputs, const char *path)
{
	struct dirent **entry;
	int n = scandir(path, &entry, is_visible, alphasort);

	if (n < 0 && errno == ENOTDIR)
		add(inputs, path);
	for (int i = 0; i < n; i++) {
		char file[4096];

		snprintf(file, sizeof(file), "%s/%s", path, entry[i]->d_name);
		add(inputs, file);
		free(entry[i]);
	}
	if (n >= 0)
		free(entry);
}

/* The bytes in a block of exactly their size, so that ASan sees the first byte read beyond. */
static uint8_t *load(const char *path, size_t *ret_size)
{
	FILE *file = fopen(path, "rb");
	struct stat st;
	uint8_t *data = NULL;
	size_t size;

	if (!file)
		return NULL;
	if (!fstat(fileno(file), &st) && S_ISREG(st.st_mode)) {
		size = (size_t)st.st_size;
		data = malloc(size); /* glibc: not NULL for 0 either */
		if (data && fread(data, 1, size, file) != size) {
			free(data);
			data = NULL;
		}
		*ret_size = size;
	}
	fclose(file);
	return data;
}

static const char *target_name(const char *program)
{
	const char *name = strrchr(program, '/');

	name = name ? name + 1 : program;
	return strncmp(name, "fuzz_", 5) == 0 ? name + 5 : name;
}

int main(int argc, char **argv)
{
	struct inputs inputs = { 0 };
	char corpus[4096];
	int bad = 0;

	snprintf(corpus, sizeof(corpus), "tests/fuzz/corpus/%s", target_name(argv[0]));
	if (argc < 2)
		collect(&inputs, corpus);
	for (int i = 1; i < argc; i++)
		collect(&inputs, argv[i]);

	setvbuf(stdout, NULL, _IONBF, 0); /* a crash must not swallow which input it was */
	printf("1..%zu\n", inputs.len);
	for (size_t i = 0; i < inputs.len; i++) {
		size_t size = 0;
		uint8_t *data;

		printf("# %s\n", inputs.path[i]);
		data = load(inputs.path[i], &size);
		if (data)
			LLVMFuzzerTestOneInput(data, size);
		printf("%s %zu - %s\n", data ? "ok" : "not ok", i + 1, inputs.path[i]);
		bad |= !data;
		free(data);
		free(inputs.path[i]);
	}
	free(inputs.path);
	return bad;
}

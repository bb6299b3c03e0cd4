/* SPDX-License-Identifier: GPL-2.0 */
/* hold: attaches programs that do nothing where sluice would attach its own, and holds them until it is killed. */
/* Must not know what is measured. */
#include <net/if.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

/* Numbers of Linux 6.6, which Debian 12's headers do not know. */
#define TCX_INGRESS 46
#define TCX_EGRESS  47

static int program(struct bpf_object *object, const char *name)
{
	return bpf_program__fd(bpf_object__find_program_by_name(object, name));
}

static int complain(const char *what)
{
	fprintf(stderr, "hold: %s: %s\n", what, strerror(errno));
	return 1;
}

static int hold_device(struct bpf_object *object, const char *name)
{
	unsigned int index = if_nametoindex(name);

	if (!index)
		return complain(name);
	for (int type = TCX_INGRESS; type <= TCX_EGRESS; type++)
		if (bpf_link_create(program(object, "empty"), (int)index,
				    (enum bpf_attach_type)type, NULL) < 0)
			return complain(name);
	return 0;
}

static int hold_cgroup(struct bpf_object *object, const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY);

	if (fd < 0 ||
	    bpf_link_create(program(object, "empty_connect4"), fd, BPF_CGROUP_INET4_CONNECT, NULL) <
		    0 ||
	    bpf_link_create(program(object, "empty_release"), fd, BPF_CGROUP_INET_SOCK_RELEASE,
			    NULL) < 0)
		return complain(path);
	return 0;
}

int main(int argc, char **argv)
{
	struct bpf_object *object = argc > 2 ? bpf_object__open_file(argv[1], NULL) : NULL;

	if (argc <= 2) {
		fputs("usage: hold OBJECT DEVICE|CGROUP...\n", stderr);
		return 2;
	}
	if (!object || bpf_object__load(object) < 0)
		return complain(argv[1]);
	for (int i = 2; i < argc; i++)
		if (argv[i][0] == '/' ? hold_cgroup(object, argv[i]) : hold_device(object, argv[i]))
			return 1;
	puts("held");
	fflush(stdout);
	for (;;)
		pause();
}

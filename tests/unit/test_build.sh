#!/bin/bash
# The Makefile's promises: clang takes what gcc built, without a warning; what is missing is named with its package; quiet, V=1, help;
# headers are followed; a build folder elsewhere. TAP.
set -u
cd "$(dirname "$0")/../.." || exit 1
CLANG=${CLANG:-clang}
BUILD=${BUILD:-build}
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
unset V SAN MAKEFLAGS MFLAGS MAKELEVEL
n=0

# hold NAME: passes if nothing comes in.
hold() {
	local said
	said=$(cat)
	n=$((n + 1))
	if [ -z "$said" ]; then
		echo "ok $n - $1"
	else
		echo "not ok $n - $1"
		printf "%s\n" "$said" | sed "s/^/# /"
	fi
}

# only OBJECT [ARGUMENT…]: makes one object in a build folder of its own
out=$dir/out
only() {
	local what=$1
	shift
	make O="$out" "$@" "$out/$what" 2>&1
}

echo "1..11"

# ---- the compilers ------------------------------------------------------------------------------------------------------------

# Each file as it was compiled, but by clang, which looks and writes nothing.
jq -r '.[].command' "$BUILD/compile_commands.json" | sed "s/^[^ ]*/$CLANG -fsyntax-only/" >"$dir/commands"
hold "clang takes every file, without a warning" < <(
	xargs -d '\n' -P "$(nproc)" -I{} sh -c '{} 2>&1 | grep -E "(error|warning):" | head -n 3' <"$dir/commands"
)
hold "compile_commands.json has every file" < <(
	find bpf user tests deploy -name '*.c' | sort | comm -3 - <(jq -r '.[].file' "$BUILD/compile_commands.json" | sort)
)

# ---- what is missing ----------------------------------------------------------------------------------------------------------

cat >"$dir/pkg-config" <<-'END'
	#!/bin/sh
	[ "$1" = --exists ] && case $2 in libbpf | yaml-0.1) exit 1 ;; esac
	exec pkg-config "$@"
END
chmod +x "$dir/pkg-config"
hold "libraries that are missing are named with their packages, all at once" < <(
	if make O="$dir/o1" PKG_CONFIG="$dir/pkg-config" all >"$dir/said" 2>&1; then echo "it went on"; fi
	grep -q '^missing: libbpf (Debian package libbpf-dev)' "$dir/said" || cat "$dir/said"
	grep -q '^missing: yaml-0.1 (Debian package libyaml-dev)' "$dir/said" || cat "$dir/said"
	grep '^  ' "$dir/said"
)
hold "so are tools" < <(
	if make O="$dir/o2" CLANG=no-such-clang CC=no-such-cc all >"$dir/said" 2>&1; then echo "it went on"; fi
	grep -q '^missing: no-such-clang (Debian package clang)' "$dir/said" || cat "$dir/said"
	grep -q '^missing: no-such-cc (Debian package gcc)' "$dir/said" || cat "$dir/said"
)

# ---- what is said -------------------------------------------------------------------------------------------------------------

hold "a build folder elsewhere: a line a step, and nothing is written beside the sources" < <(
	touch "$dir/before"
	only obj/user/base/buf.o | diff - <(echo '  CC       user/base/buf.c')
	[ -s "$out/obj/user/base/buf.o" ] || echo "$out has no object"
	find bpf include user deploy Makefile -newer "$dir/before"
)
hold "what is built is not built again" < <(only obj/user/base/buf.o | grep -v 'is up to date')
hold "a header that changed is followed" < <(
	only obj/user/base/buf.o -W user/base/buf.h | diff - <(echo '  CC       user/base/buf.c')
)
hold "a header that went away stops nothing" < <(
	sed -i 's|user/base/buf.h|user/base/gone.h|' "$out/obj/user/base/buf.d"
	only obj/user/base/buf.o | diff - <(echo '  CC       user/base/buf.c')
)
hold "other flags: built again" < <(only obj/user/base/buf.o CFLAGS=-O0 | diff - <(echo '  CC       user/base/buf.c'))
hold "V=1 shows the commands" < <(
	only obj/user/base/buf.o CFLAGS=-O1 V=1 >"$dir/said"
	grep -q -- '-std=gnu11 .*-O1 .*-c user/base/buf.c -o ' "$dir/said" || cat "$dir/said"
)
hold "help lists what the README and its own first lines name" < <(
	make -s help >"$dir/said" 2>&1
	for target in all bench clean demo deps format-check help install lint test test-unit vm; do
		grep -q "^  $target  *[a-zA-Z]" "$dir/said" || echo "$target is not in help"
	done
	grep -q '^knobs: O=build V=1 SAN=1 ' "$dir/said" || cat "$dir/said"
)

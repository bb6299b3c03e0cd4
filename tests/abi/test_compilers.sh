#!/bin/bash
# The ABI headers alone: no padding by the compiler, one layout on both sides, enumerations of one byte. TAP.
set -u
cd "$(dirname "$0")/../.." || exit 1
CC=${CC:-gcc} CLANG=${CLANG:-clang}
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
n=0

# try NAME COMMAND…: one result; what the command says goes into comments.
try() {
	local name=$1
	shift
	n=$((n + 1))
	if "$@" >"$dir/said" 2>&1; then
		echo "ok $n - $name"
	else
		echo "not ok $n - $name"
		sed 's/^/# /' "$dir/said"
	fi
}

# Only the ABI. clang lays a structure out, and so looks at its padding, when its size is asked for.
cat >"$dir/only.c" <<'C'
#include "sluice_abi.h"
#include "abi/layout.h"
#define SIZE_OF(name, bytes) _Static_assert(sizeof(struct name), #name);
#define NOTHING(name, field, at, bytes)
LAYOUT(SIZE_OF, NOTHING)
C
cat >"$dir/reasons.c" <<'C'
#include "sluice_reasons.h"
C
cat >"$dir/layout.c" <<'C'
#include "sluice_abi.h"
#include "abi/layout.h"
#define CHECK_STRUCT(name, bytes) _Static_assert(sizeof(struct name) == (bytes), #name);
#define CHECK_FIELD(name, field, at, bytes) \
	_Static_assert(__builtin_offsetof(struct name, field) == (at), #name "." #field); \
	_Static_assert(sizeof(((struct name *)0)->field) == (bytes), #name "." #field);
LAYOUT(CHECK_STRUCT, CHECK_FIELD)
#define CHECK_VALUE(name, value) _Static_assert((name) == (value), #name);
LAYOUT_VALUES(CHECK_VALUE)
C
# The negative control: a hole is found.
cat >"$dir/hole.c" <<'C'
#include "sluice_abi.h"
struct hole { __u8 a; __u32 b; };
_Static_assert(sizeof(struct hole), "");
C
# clang for BPF does not look where the distribution keeps <asm/…>.
sys=$("$CLANG" -v -E - </dev/null 2>&1 | sed -n '/<...> search starts here:/,/End of search list./{ s| \(/.*\)|-idirafter \1|p }')
refused() { ! "$@"; }

echo "1..10"
strict="-std=gnu11 -Wall -Wextra -Wpadded -Werror -Iinclude -Itests -c -o $dir/out.o"
bpf="-target bpf -isystem vmlinux $sys"
# shellcheck disable=SC2086
{
	try "gcc pads nothing" gcc $strict "$dir/only.c"
	try "clang pads nothing" "$CLANG" $strict "$dir/only.c"
	try "clang for BPF pads nothing" "$CLANG" $bpf $strict "$dir/only.c"
	try "gcc would find a hole" refused gcc $strict "$dir/hole.c"
	try "clang would find a hole" refused "$CLANG" $strict "$dir/hole.c"
	try "the reasons stand alone" "$CC" $strict "$dir/reasons.c"
	try "gcc has the layout" gcc -Iinclude -Itests -c -o "$dir/out.o" "$dir/layout.c"
	try "clang has the layout" "$CLANG" -Iinclude -Itests -c -o "$dir/out.o" "$dir/layout.c"
	try "BPF has the layout" "$CLANG" $bpf -Iinclude -Itests -c -o "$dir/out.o" "$dir/layout.c"
	try "so has another byte order" "$CLANG" -target bpfeb -isystem vmlinux $sys -Iinclude -Itests -c -o "$dir/out.o" "$dir/layout.c"
}

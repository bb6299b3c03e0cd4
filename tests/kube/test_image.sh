#!/usr/bin/env bash
# shellcheck disable=SC2016,SC2153
# deploy/Dockerfile names the packages of every library that the installed programs are linked with, and what building them needs.
set -u
cd "$(dirname "$0")/../.." || exit 1
dockerfile=deploy/Dockerfile

echo 1..2
words() { sed -n "$1" "$dockerfile" | tr -s ' \\\t' '\n' | grep -v '^$'; }
runtime=$(words '/^FROM debian:bookworm-slim/,$p')
build=$(words '/^FROM debian:bookworm AS build/,/^COPY/p')

verdict() { [ -n "$ok" ] && echo "ok $1 - $2" || echo "not ok $1 - $2"; }

# Libraries that a program names itself; what those need, the packages bring.
ok=1
for program in sluiced sluicectl sluice-proxy; do
	[ -x "$BUILD/$program" ] || continue
	for library in $(objdump -p "$BUILD/$program" | awk '$1 == "NEEDED" { print $2 }'); do
		case $library in libc.so.* | libm.so.* | ld-linux* | libpthread*) continue ;; esac
		path=$(ldd "$BUILD/$program" | awk -v l="$library" '$1 == l { print $3 }')
		package=$(dpkg-query -S "$(realpath "$path")" "$path" "${path/#\/lib/\/usr\/lib}" 2>/dev/null | head -1 | cut -d: -f1)
		grep -qxF "$package" <<<"$runtime" || { echo "# $program needs $library: '$package' is not in the runtime image"; ok=; }
	done
done
verdict 1 "libraries of the programs are in the runtime image"

ok=1
for package in $(sed -n '/^DEPS := /,/[^\\]$/p' Makefile | tr -s ' \\\t' '\n' | grep -- '-dev$' | grep -v '^libseccomp-dev$'); do
	grep -qxF "$package" <<<"$build" || { echo "# the build needs $package"; ok=; }
done
verdict 2 "what the Makefile needs for building is in the build image"

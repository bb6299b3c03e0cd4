#!/bin/bash
# Names in the built objects: maps and programs of at most 15 characters, unique, maps those of the ABI and no others. TAP.
set -u
cd "$(dirname "$0")/../.." || exit 1
BPF_DIR=${BPF_DIR:-build/bpf}
n=0
ok() { n=$((n + 1)); echo "ok $n - $1"; }
not_ok() { n=$((n + 1)); echo "not ok $n - $1"; sed 's/^/# /'; }
# hold NAME: passes if nothing comes in.
hold() {
	local said
	said=$(cat)
	if [ -z "$said" ]; then ok "$1"; else not_ok "$1" <<<"$said"; fi
}

# symbols SECTION OBJECT: names of what is defined in a section (a regular expression).
symbols() {
	readelf --wide --section-headers "$2" | sed -n 's/^ *\[ *\([0-9]*\)\] *\([^ ]*\) .*/\1 \2/p' |
		awk -v want="^$1\$" '$2 ~ want { print $1 }' >"$dir/sections"
	readelf --wide --symbols "$2" |
		awk -v type="$3" 'NR == FNR { in_section[$1] = 1; next } $4 == type && $5 == "GLOBAL" && in_section[$7] { print $8 }' \
			"$dir/sections" -
}

dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
shopt -s nullglob
objects=()
for o in "$BPF_DIR"/*.bpf.o; do
	case $o in *.full.o) ;; *) objects+=("$o") ;; esac
done
echo "1..6"
hold "the objects are built" < <([ ${#objects[@]} -ge 4 ] || echo "$BPF_DIR holds ${#objects[@]} of 4")

for o in "${objects[@]}"; do
	symbols '[.]maps' "$o" OBJECT >>"$dir/maps"
	# sluice_tc_fast has the programs of sluice_tc once more
	case $o in *_fast.bpf.o) continue ;; esac
	symbols '(tc|xdp|cgroup/.*|classifier.*|syscall)' "$o" FUNC >>"$dir/programs"
done
sort -u "$dir/maps" >"$dir/maps.once"
hold "names have at most 15 characters" < <(awk 'length > 15' "$dir/maps.once" "$dir/programs")
hold "program names are unique" < <(sort "$dir/programs" | uniq -d)
hold "no program has the name of a map" < <(sort "$dir/programs" "$dir/maps.once" | uniq -d)
hold "every program was looked at" < <([ "$(wc -l <"$dir/programs")" -ge 16 ] || cat "$dir/programs")

# What the ABI lists is what is pinned. Beside it there is only scratch space of one run: sl4_work, sl6_work.
sed -n 's/^\tX(\(sl[a-z0-9_]*\), .*/\1/p' include/sluice_abi.h | sort >"$dir/abi"
hold "the maps are those of the ABI" < <(
	comm -23 "$dir/abi" "$dir/maps.once" | sed 's/$/ is in the ABI, in no object/'
	comm -13 "$dir/abi" "$dir/maps.once" | grep -v '^sl[46]_work$' | sed 's/$/ is in an object, not in the ABI/'
)

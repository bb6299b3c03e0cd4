#!/bin/sh
# The test runner itself: what counts as passed, failed and skipped, and that nothing broken passes for a success.
set -u

run=$PWD/tests/run
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
n=0

# program NAME: reads a script from stdin
program() {
	{ echo '#!/bin/sh'; cat; } >"$1"
	chmod +x "$1"
}

# expect TITLE STATUS LINE [TEXT] -- ITEM…: the run ends with STATUS and LINE, and mentions TEXT
expect() {
	title=$1 status=$2 line=$3 text=$4
	shift 4
	n=$((n + 1))
	out=$("$run" -o "$dir/results" "$@" 2>&1)
	got=$?
	last=$(printf '%s\n' "$out" | tail -n 1)
	if [ "$got" = "$status" ] && [ "$last" = "$line" ] && printf '%s\n' "$out" | grep -qF -e "$text"; then
		echo "ok $n - $title"
	else
		echo "not ok $n - $title"
		echo "# wanted $status, '$line', '$text'; got $got and:"
		printf '%s\n' "$out" | sed 's/^/# /'
	fi
}

program good <<'X'
echo 1..2; echo "ok 1 - a"; echo "ok 2 - b"
X
program bad <<'X'
echo 1..2; echo "ok 1 - a"; echo "not ok 2 - b"; echo "# b is why"; exit 1
X
program skips <<'X'
echo 1..3; echo "ok 1 - a # SKIP no device"; echo "# skip: too old"; echo "not ok 2 # SKIP b"; echo "ok 3 - c"
X
program skips_all <<'X'
echo "1..0 # SKIP no kernel"
X
program crashes <<'X'
echo 1..2; echo "ok 1 - a"; kill -SEGV $$
X
program crashes_late <<'X'
echo 1..1; echo "ok 1 - a"; kill -ABRT $$
X
program silent <<'X'
exit 0
X
program unplanned <<'X'
echo "ok 1 - a"
X
program short <<'X'
echo 1..3; echo "ok 1 - a"; echo "ok 2 - b"
X
program long <<'X'
echo 1..1; echo "ok 1 - a"; echo "ok 2 - b"
X
program empty <<'X'
echo 1..0
X
program status <<'X'
echo 1..1; echo "ok 1 - a"; exit 3
X
program bails <<'X'
echo 1..1; echo "ok 1 - a"; echo "Bail out! no room"
X
program groups <<'X'
echo 1..1; echo "ok 1 - a"; echo 1..2; echo "ok 1 - b"; echo "ok 2 - c"
X
program forgives <<'X'
echo 1..1; echo "not ok 1 - a"; exit 0
X
program hangs <<'X'
echo 1..1; exec sleep 60
X

echo 1..20
expect "adds up" 0 "4 passed, 0 failed, 0 skipped" "t/good" t=good t=good
expect "names a failure and shows the output" 1 "3 passed, 1 failed, 0 skipped" "b is why" t=good t=bad
expect "tells the reason again at the end" 1 "1 passed, 1 failed, 0 skipped" "      b is why" t=bad
expect "lists failures by name" 1 "1 passed, 1 failed, 0 skipped" "  t/bad: b" t=bad
expect "counts skips apart, with reason" 0 "1 passed, 0 failed, 2 skipped" "t/skips: a: no device" t=skips
expect "finds the reason of a cmocka skip" 0 "1 passed, 0 failed, 2 skipped" "t/skips: b: too old" t=skips
expect "takes a program that skips itself" 0 "0 passed, 0 failed, 1 skipped" "no kernel" t=skips_all
expect "a crash is a failure" 1 "1 passed, 1 failed, 0 skipped" "died of signal 11" t=crashes
expect "a crash at the end is a failure" 1 "1 passed, 1 failed, 0 skipped" "died of signal 6" t=crashes_late
expect "silence is a failure" 1 "0 passed, 1 failed, 0 skipped" "printed no plan" t=silent
expect "results without a plan are a failure" 1 "1 passed, 1 failed, 0 skipped" "printed no plan" t=unplanned
expect "fewer results than planned are a failure" 1 "2 passed, 1 failed, 0 skipped" "2 results of 3" t=short
expect "more results than planned are a failure" 1 "2 passed, 1 failed, 0 skipped" "2 results, 1 planned" t=long
expect "no test at all is a failure" 1 "0 passed, 1 failed, 0 skipped" "holds no test" t=empty
expect "a bad exit status is a failure" 1 "1 passed, 1 failed, 0 skipped" "exit status 3" t=status
expect "bailing out is a failure" 1 "1 passed, 1 failed, 0 skipped" "bailed out" t=bails
expect "several groups in a program" 0 "3 passed, 0 failed, 0 skipped" "3 passed" t=groups
expect "a failure that exits with 0 still counts" 1 "0 passed, 1 failed, 0 skipped" "t/forgives: a" t=forgives
export TEST_TIMEOUT=1
expect "hanging is a failure" 1 "0 passed, 1 failed, 0 skipped" "ran longer than 1 s" t=hangs
expect "nothing to run is a failure" 1 "0 passed, 1 failed, 0 skipped" "nothing to run"

# shellcheck shell=bash
# Packages of the Debian archive, unpacked into a cache and not installed: for what the installed release does not have.
#
#   archive_update CACHE SUITE…            reads the archive's lists, once a run; suites such as bookworm-backports
#   archive_apt CACHE apt-TOOL […]         apt with lists, cache and sources of its own: the system's are neither read nor changed
#   archive_fetch CACHE FOLDER PACKAGE[/SUITE]…   unpacked to FOLDER, as a whole or not at all
#
# MIRROR=URL names the archive; default: the one that apt is configured with. A caller has die().

archive_keyring=/usr/share/keyrings/debian-archive-keyring.gpg

# The archive that holds Debian itself, among those configured here.
archive_mirror() {
	[ -z "${MIRROR:-}" ] || { echo "$MIRROR"; return; }
	# shellcheck disable=SC2016 # the words are apt's own
	apt-get indextargets --format '$(CREATED_BY) $(ORIGIN) $(LABEL) $(REPO_URI)' 2>/dev/null |
		awk '$1 == "Packages" && $2 == "Debian" && $3 == "Debian" { print $4; exit }'
}

archive_apt() {
	local cache=$1 tool=$2
	shift 2
	"$tool" -qq -oDir::Etc::SourceList="$cache/apt/sources.list" -oDir::Etc::SourceParts=/dev/null \
		-oDir::Etc::Preferences=/dev/null -oDir::Etc::PreferencesParts=/dev/null \
		-oDir::State::Lists="$cache/apt/lists" -oDir::State::status="$cache/apt/status" -oDir::Cache="$cache/apt/cache" \
		-oAPT::Sandbox::User=root -oAPT::Architecture=amd64 -oAPT::Architectures=amd64 \
		-oAcquire::Languages=none -oAcquire::Retries=3 "$@"
}

archive_updated=
archive_update() {
	local cache=$1 from suite
	shift
	[ -z "$archive_updated" ] || return 0
	archive_updated=1
	from=$(archive_mirror)
	[ -n "$from" ] || die "apt names no Debian archive here; say one: MIRROR=http://…/debian"
	[ -r "$archive_keyring" ] || die "$archive_keyring is missing; install debian-archive-keyring"
	mkdir -p "$cache"/apt/lists/partial "$cache"/apt/cache/archives/partial
	: >"$cache/apt/status"
	for suite; do
		echo "deb [signed-by=$archive_keyring] $from $suite main"
	done | sort -u >"$cache/apt/sources.list"
	echo "asking $from" >&2
	archive_apt "$cache" apt-get update
}

archive_fetch() {
	local cache=$1 into=$2 deb
	shift 2
	rm -rf "$into.part"
	mkdir -p "$into.part/debs"
	echo "fetching ${*%%/*}" >&2
	(cd "$into.part/debs" && archive_apt "$cache" apt-get download "$@") || die "cannot download $*"
	for deb in "$into.part"/debs/*.deb; do
		dpkg-deb -x "$deb" "$into.part"
	done
	rm -rf "$into.part/debs" "$into"
	mv "$into.part" "$into"
}

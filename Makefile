# sluice - one Makefile, rules only. Sources are found by wildcard: drop a file into its folder and it is built.
#
#   make deps     installs what is missing (Debian 12, Ubuntu 24.04)
#   make          builds everything into $(O), V=1 shows the commands
#   make test     installs, builds and runs every suite that needs no virtual machine
#   make help     lists the targets
#
# Knobs: O=build  V=1  SAN=1  CC=gcc|clang  CLANG=  BPFTOOL=  CFLAGS=  WERROR=  PREFIX=  DESTDIR=
#
# Folders and what becomes of them (a folder that is empty or absent is simply left out):
#   bpf/<name>.bpf.c              $(O)/bpf/<name>.bpf.o, $(O)/skel/<name>.skel.h
#   user/{base,core,source,serve,dp} $(B)/lib<name>.a
#   user/agent, user/cli,         $(B)/sluiced, $(B)/sluicectl, $(B)/sluice-proxy
#   user/ingress                  (linked once the folder has a main.c)
#   tests/<suite>/test_*.c        $(B)/test/<suite>/test_*, cmocka programs

# ---------------------------------------------------------------------------------------------- settings

O      ?= build
PREFIX ?= /usr/local

# Where user-side products go. SAN=1 builds live beside the normal ones; BPF objects are the same for both.
SANB := $(O)/san
B    := $(if $(filter-out 0,$(SAN)),$(SANB),$(O))

ifeq ($(origin CC),default)
CC := gcc
endif
ifeq ($(origin AR),default)
AR := ar
endif
CLANG        ?= clang
CLANG_FORMAT ?= clang-format
CLANG_TIDY   ?= clang-tidy
LLVM_STRIP   ?= llvm-strip
PKG_CONFIG   ?= pkg-config

# /usr/sbin is not on everybody's PATH, and Ubuntu's wrapper there only works for the running kernel's package.
find_bpftool = for t in bpftool /usr/sbin/bpftool /usr/lib/linux-tools/*/bpftool /usr/lib/linux-tools-*/bpftool; do \
	"$$t" version >/dev/null 2>&1 && { echo "$$t"; break; }; done
BPFTOOL      ?= $(eval BPFTOOL := $(shell $(find_bpftool)))$(BPFTOOL)

CFLAGS  ?= -O2 -g
LDFLAGS ?=
WERROR  ?= -Werror
WARN    := -Wall -Wextra -Wshadow -Wmissing-prototypes -Wstrict-prototypes -Wvla $(WERROR)
SANFLAGS := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer

BASE_CFLAGS := -std=gnu11 -D_GNU_SOURCE $(WARN) -fno-strict-aliasing -Iinclude -Iuser -I$(O)/gen
BPF_CFLAGS  := -O2 -g -target bpf -mcpu=v3 -Wall -Wextra -Werror -fno-strict-aliasing \
	-Iinclude -Ivmlinux -Ibpf

# Programs built more than once: object:source:flags (several flags are joined by commas), e.g.
#   sluice_tc_fast:sluice_tc:-DSL_KERN_CTX=1
BPF_VARIANTS := sluice_tc_fast:sluice_tc:-DSL_KERN_CTX=1

# Version: the release, and the commit where there is one. Compiled in as "sluice_version.h".
RELEASE := 0.1.0
VERSION ?= $(eval VERSION := $(RELEASE)$(shell git describe --always --dirty --match= 2>/dev/null | sed 's/^/+/'))$(VERSION)

# ------------------------------------------------------------------------------------------ Debian packages

# What building and testing needs; `make deps` installs those that are missing, and only those.
DEPS := gcc libc6-dev make pkg-config git clang llvm clang-format clang-tidy \
	libbpf-dev libelf-dev zlib1g-dev libyaml-dev libcjson-dev libmnl-dev libmicrohttpd-dev \
	libcurl4-openssl-dev libssl-dev libcrypt-dev libnghttp2-dev libpcre2-dev libcmocka-dev bats bats-support bats-assert shellcheck \
	iproute2 nftables iptables ethtool jq python3 procps util-linux curl netcat-openbsd openssl nghttp2-proxy nodejs \
	nghttp2-client python3-websockets python3-grpcio python3-h2 \
	ca-certificates containernetworking-plugins libseccomp-dev conntrack
# What the two systems call differently.
DEPS_debian := bpftool libclang-rt-14-dev debian-archive-keyring
DEPS_ubuntu := linux-tools-common linux-tools-generic libclang-rt-18-dev golang-go
# Only `make vm` needs these.
DEPS_vm := qemu-system-x86 busybox-static cpio xz-utils debian-archive-keyring

# Only `make bench` needs these: what sluice-proxy is measured beside, and clients.
DEPS_bench := nginx haproxy wrk nghttp2-client strace

# Only `make test-browser` needs this.
DEPS_browser := chromium

# pkg-config modules of each group, as module:package, so that a missing one can be named with its package.
MODULES := libbpf:libbpf-dev libelf:libelf-dev zlib:zlib1g-dev yaml-0.1:libyaml-dev libcjson:libcjson-dev \
	libmnl:libmnl-dev libmicrohttpd:libmicrohttpd-dev libcurl:libcurl4-openssl-dev libpcre2-8:libpcre2-dev libcrypt:libcrypt-dev \
	libssl:libssl-dev libnghttp2:libnghttp2-dev cmocka:libcmocka-dev
TOOLS   := $(CC):gcc $(CLANG):clang $(LLVM_STRIP):llvm

# ------------------------------------------------------------------------------------------------- verbosity

ifeq ($(filter-out 0,$(V)),)
Q   := @
say  = @printf '  %-8s %s\n' '$(1)' '$(patsubst $(CURDIR)/%,%,$(2))';
MAKEFLAGS += --no-print-directory
else
Q   :=
say :=
endif

.DELETE_ON_ERROR:
.SECONDEXPANSION:
.PRECIOUS: $(O)/obj/%.o $(O)/san/obj/%.o $(O)/fuzz/%
.SUFFIXES:
.PHONY: FORCE
FORCE:

.DEFAULT_GOAL := all

# Evaluates a shell command once, the first time the variable is used: nothing is probed while parsing, so that
# `make deps` works on a machine that has nothing but make.
once = $(eval $(1) := $(shell $(2)))$($(1))

# --------------------------------------------------------------------------------------------------- sources

GROUPS := base core source serve dp agent cli ingress
SRCS_base    := $(sort $(wildcard user/base/*.c))
SRCS_core    := $(sort $(wildcard user/core/*.c))
SRCS_source  := $(sort $(wildcard user/source/*.c user/source/*/*.c))
SRCS_serve   := $(sort $(wildcard user/serve/*.c))
SRCS_dp      := $(sort $(wildcard user/dp/*.c))
SRCS_agent   := $(sort $(wildcard user/agent/*.c))
SRCS_cli     := $(sort $(wildcard user/cli/*.c))
SRCS_ingress := $(sort $(wildcard user/ingress/*.c))
USER_SRCS := $(foreach g,$(GROUPS),$(SRCS_$(g)))

# What a group may use from outside. Nothing listed here = libc alone.
PKGS_source  := yaml-0.1 libcjson $(if $(wildcard user/source/kube/*.c),libcurl)
PKGS_serve   := libmicrohttpd
PKGS_dp      := libbpf libelf zlib libmnl
PKGS_agent   := $(PKGS_dp) $(PKGS_source) $(PKGS_serve)
PKGS_cli     := $(PKGS_dp) $(PKGS_source)
PKGS_ingress := $(PKGS_source) libpcre2-8 libssl libcrypto libcrypt libnghttp2 $(PKGS_serve)

LIBS_agent   := dp source serve core base
LIBS_cli     := dp source core base
LIBS_ingress := source serve core base

BIN_agent := sluiced
BIN_cli   := sluicectl
BIN_ingress := sluice-proxy
BIN_GROUPS := $(foreach g,agent cli ingress,$(if $(wildcard user/$(g)/main.c),$(g)))
BINS := $(foreach g,$(BIN_GROUPS),$(B)/$(BIN_$(g)))
LIBS := $(foreach g,base core source serve dp,$(B)/lib$(g).a)

BPF_SRCS := $(sort $(wildcard bpf/*.bpf.c))
BPF_NAMES := $(BPF_SRCS:bpf/%.bpf.c=%)
BPF_VARIANT_NAMES := $(foreach v,$(BPF_VARIANTS),$(word 1,$(subst :, ,$(v))))
BPF_ALL  := $(BPF_NAMES) $(BPF_VARIANT_NAMES)
BPF_OBJS := $(BPF_ALL:%=$(O)/bpf/%.bpf.o)
SKELS    := $(BPF_ALL:%=$(O)/skel/%.skel.h)

# ----------------------------------------------------------------------------------------------------- goals

.PHONY: all bpf deps deps-vm deps-bench deps-browser help clean install uninstall format format-check lint lint-layers lint-scripts vmlinux demo \
	kubernetes test test-unit test-abi test-fuzz test-differ test-prog test-ingress test-browser test-kube test-e2e test-programs vm bench bench-ingress bench-kube

all: bpf $(LIBS) $(BINS) $(O)/compile_commands.json ## build everything (the default)

bpf: $(BPF_OBJS) $(SKELS) ## build the BPF objects and their skeletons

help: ## list the targets
	@sed -n 's/^\([a-z0-9%-]*\):.*## \(.*\)/  \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | sed 's/%/<x>/' | sort | expand -t 18
	@echo "knobs: O=build V=1 SAN=1 CC=gcc|clang CLANG= BPFTOOL= CFLAGS= WERROR= PREFIX=/usr/local DESTDIR="

clean: ## remove what was built
	$(Q)rm -rf $(O)

# ------------------------------------------------------------------------------------------ tools and packages

# Written as one shell script: it must work before anything is installed, as root or through sudo, and must not
# touch the network when nothing is missing.
define deps_script
set -eu
id=unknown
[ ! -r /etc/os-release ] || . /etc/os-release
case "$${ID:-unknown}" in
debian) want="$${want:-$(DEPS) $(DEPS_debian)}" ;;
ubuntu) want="$${want:-$(DEPS) $(DEPS_ubuntu)}" ;;
*)	echo "make deps: knows Debian 12 and Ubuntu 24.04, not $${PRETTY_NAME:-this system};" >&2
	echo "           install the counterparts of: $${want:-$(DEPS) $(DEPS_debian)}" >&2
	echo "           and continue with 'make all' (and 'make test DEPS=skip')" >&2
	exit 1 ;;
esac
missing=
for p in $$want; do
	[ "$$(dpkg-query -W -f='$${db:Status-Status}' "$$p" 2>/dev/null)" = installed ] || missing="$$missing $$p"
done
[ -n "$$missing" ] || exit 0
echo "make deps: installing$$missing"
sudo=
if [ "$$(id -u)" != 0 ]; then
	command -v sudo >/dev/null || { echo "make deps: needs root or sudo to install$$missing" >&2; exit 1; }
	sudo="sudo env DEBIAN_FRONTEND=noninteractive"
fi
export DEBIAN_FRONTEND=noninteractive
mkdir -p $(O)
{
	$$sudo apt-get -o DPkg::Lock::Timeout=600 update &&
	$$sudo apt-get -o DPkg::Lock::Timeout=600 -y --no-install-recommends install $$missing
} >$(O)/deps.log 2>&1 || { cat $(O)/deps.log >&2; exit 1; }
endef
export deps_script

deps: ## install the packages that are missing (Debian 12, Ubuntu 24.04)
	$(Q)$(if $(filter skip,$(DEPS)),:,sh -c "$$deps_script" && tests/kube/go >/dev/null)
deps-vm: ## install what only `make vm` needs: an emulator, a guest's shell
	$(Q)$(if $(filter skip,$(DEPS)),:,want="$(DEPS_vm)" sh -c "$$deps_script")

deps-bench: ## install what only `make bench` needs: nginx, haproxy, load generators
	$(Q)$(if $(filter skip,$(DEPS)),:,want="$(DEPS_bench)" sh -c "$$deps_script")

deps-browser: ## install what only `make test-browser` needs
	$(Q)$(if $(filter skip,$(DEPS)),:,want="$(DEPS_browser)" sh -c "$$deps_script")

# Names what is missing with its package, once per change of the Makefile; everything built waits for it.
$(O)/.tools: Makefile
	$(Q)mkdir -p $(@D); ok=1; \
	miss() { echo "missing: $$1 (Debian package $$2); run 'make deps'" >&2; ok=0; }; \
	for t in $(TOOLS); do command -v "$${t%%:*}" >/dev/null || miss "$${t%%:*}" "$${t#*:}"; done; \
	[ -n "$(BPFTOOL)" ] || miss bpftool "bpftool, on Ubuntu linux-tools-generic"; \
	if command -v $(PKG_CONFIG) >/dev/null; then \
		for m in $(MODULES); do $(PKG_CONFIG) --exists "$${m%%:*}" || miss "$${m%%:*}" "$${m#*:}"; done; \
	else miss $(PKG_CONFIG) pkg-config; fi; \
	[ $$ok = 1 ] && touch $@

# Holds a value; newer than what was built with another value, so that a changed flag or file list rebuilds.
define stamp
$(1): FORCE
	@mkdir -p $$(@D); printf '%s\n' '$(subst ','\'',$(2))' | cmp -s - $$@ || printf '%s\n' '$(subst ','\'',$(2))' >$$@
endef
$(eval $(call stamp,$(O)/.flags,$(CC) $(CFLAGS) $(WERROR)))
$(eval $(call stamp,$(O)/.bpf-flags,$(CLANG) $(BPF_CFLAGS) $(BPF_VARIANTS)))

$(O)/gen/sluice_version.h: FORCE
	@mkdir -p $(@D); printf '#define SLUICE_VERSION "%s"\n' '$(VERSION)' | cmp -s - $@ || \
		printf '#define SLUICE_VERSION "%s"\n' '$(VERSION)' >$@

# ------------------------------------------------------------------------------------------------------- BPF

# clang -target bpf does not look where the distribution keeps <asm/*.h>; the host compiler's list says where.
clang_dirs = $(CLANG) -v -E - </dev/null 2>&1 | \
	sed -n '/<...> search starts here:/,/End of search list./{ s| \(/.*\)|-idirafter \1|p }'
BPF_SYS = $(eval BPF_SYS := $(shell $(clang_dirs)))$(BPF_SYS)

# $(1) object name, $(2) source name, $(3) more flags
define bpf_object
$(O)/bpf/$(1).full.o: bpf/$(2).bpf.c $(O)/.bpf-flags | $(O)/.tools
	$(call say,BPF,$(1))
	$(Q)mkdir -p $$(@D); $$(CLANG) $$(BPF_CFLAGS) $(3) $$(BPF_SYS) -MMD -MP -MF $$(@:.o=.d) -c $$< -o $$@
endef
comma := ,
$(foreach n,$(BPF_NAMES),$(eval $(call bpf_object,$(n),$(n),)))
$(foreach v,$(BPF_VARIANTS),$(eval $(call bpf_object,$(word 1,$(subst :, ,$(v))),$(word 2,$(subst :, ,$(v))),\
	$(subst $(comma), ,$(word 3,$(subst :, ,$(v)))))))

# The full object keeps DWARF for llvm-objdump -S; what ships has BTF and line info only.
$(BPF_OBJS): %.bpf.o: %.full.o
	$(Q)$(LLVM_STRIP) -g -o $@ $<

$(SKELS): $(O)/skel/%.skel.h: $(O)/bpf/%.bpf.o
	$(call say,SKEL,$*)
	$(Q)mkdir -p $(@D); $(BPFTOOL) gen skeleton $< name $* >$@

vmlinux: | $(O)/.tools ## write this kernel's full type header into the build folder
	$(Q)mkdir -p $(O)/vmlinux; $(BPFTOOL) btf dump file /sys/kernel/btf/vmlinux format c >$(O)/vmlinux/vmlinux.h
	@echo "$(O)/vmlinux/vmlinux.h"

# ------------------------------------------------------------------------------------------------ user side

pkg_cflags = $(if $(strip $(1)),$(call once,CF_$(subst $() ,_,$(strip $(1))),$(PKG_CONFIG) --cflags $(1)))
pkg_libs   = $(if $(strip $(1)),$(call once,LD_$(subst $() ,_,$(strip $(1))),$(PKG_CONFIG) --libs $(1)))

# The group of an object decides what it may include: user/core/x.c -> core, tests/prog/x.c -> prog.
group_of = $(word 2,$(subst /, ,$(1)))
PKGS_prog := $(PKGS_dp) $(PKGS_source)
PKGS_bench := $(PKGS_prog)
SEES_SKEL := dp prog
group_cflags = $(call pkg_cflags,$(PKGS_$(1))) $(if $(filter $(1),$(SEES_SKEL)),-I$(O)/skel) \
	$(if $(filter $(1),prog unit abi fuzz bench kube),-Itests)
compile = mkdir -p $(@D); $(CC) $(BASE_CFLAGS) $(call group_cflags,$(call group_of,$<)) $(CFLAGS) $(1) \
	-MMD -MP -c $< -o $@

$(O)/obj/%.o: %.c $(O)/.flags | $(O)/.tools $(O)/gen/sluice_version.h
	$(call say,CC,$<)
	$(Q)$(call compile,)

$(SANB)/obj/%.o: %.c $(O)/.flags | $(O)/.tools $(O)/gen/sluice_version.h
	$(call say,CC san,$<)
	$(Q)$(call compile,$(SANFLAGS))

# A skeleton must exist before the first compile that may include it; later the .d files know.
$(patsubst %.c,$(O)/obj/%.o,$(SRCS_dp) $(wildcard tests/prog/*.c)) \
$(patsubst %.c,$(SANB)/obj/%.o,$(SRCS_dp) $(wildcard tests/prog/*.c)): | $(SKELS)

# $(1) build folder, $(2) group
define library
$(1)/lib$(2).a: $(SRCS_$(2):%.c=$(1)/obj/%.o) $(1)/.$(2).list
	$(call say,AR,$(1)/lib$(2).a)
	$(Q)rm -f $$@; $$(AR) rcs $$@ $$(filter %.o,$$^)
endef
$(foreach b,$(O) $(SANB),$(foreach g,base core source serve dp,$(eval $(call library,$(b),$(g)))\
	$(eval $(call stamp,$(b)/.$(g).list,$(SRCS_$(g))))))

# $(1) build folder, $(2) group, $(3) more flags
define binary
$(1)/$(BIN_$(2)): $(SRCS_$(2):%.c=$(1)/obj/%.o) $(LIBS_$(2):%=$(1)/lib%.a) $(1)/.$(2).list
	$(call say,LD,$(1)/$(BIN_$(2)))
	$(Q)$$(CC) $(3) $$(CFLAGS) $$(LDFLAGS) $(if $(3),,-Wl$$(comma)--as-needed) -o $$@ $$(filter %.o %.a,$$^) \
		$$(call pkg_libs,$(PKGS_$(2))) -lm -lpthread
endef
$(foreach g,$(BIN_GROUPS),$(eval $(call binary,$(O),$(g),))$(eval $(call binary,$(SANB),$(g),$(SANFLAGS)))\
	$(foreach b,$(O) $(SANB),$(eval $(call stamp,$(b)/.$(g).list,$(SRCS_$(g))))))

# ----------------------------------------------------------------------------------------------------- tests
#
# A test program names what it is made of in comments of its own:
#   /* link: user/core/ring.c user/base/vec.c */     the only project files it is linked with
#   /* libs: yaml cjson */                            libraries beside cmocka
# unit, abi and fuzz programs are always built with ASan and UBSan, and from that list alone: the list proves
# what is pure. prog programs link the libraries and every tests/prog/*.c that is no test_*.c itself.
# A suite may also hold test_*.sh (TAP on stdout) and *.bats. unit's thread_*.c run under ThreadSanitizer instead.

tag_of  = $(shell sed -n 's|^/\* *$(1): *\(.*[^ ]\) *\*/.*|\1|p' $(2))
link_of = $(patsubst %.c,$(SANB)/obj/%.o,$(call tag_of,link,$(1)))
libs_of = $(addprefix -l,$(call tag_of,libs,$(1)))

UNIT_TESTS := $(patsubst tests/%.c,$(O)/test/%,$(sort $(wildcard tests/unit/test_*.c tests/abi/test_*.c)))
PROG_TESTS := $(patsubst tests/%.c,$(B)/test/%,$(sort $(wildcard tests/prog/test_*.c)))
FUZZ_TESTS := $(patsubst tests/%.c,$(O)/test/%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))

$(UNIT_TESTS): $(O)/test/%: $(SANB)/obj/tests/%.o $$(call link_of,tests/$$*.c)
	$(call say,LD test,$@)
	$(Q)mkdir -p $(@D); $(CC) $(SANFLAGS) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(call libs_of,tests/$*.c) -lcmocka -lm

$(FUZZ_TESTS): $(O)/test/%: $(SANB)/obj/tests/%.o $(SANB)/obj/tests/fuzz/replay.o $$(call link_of,tests/$$*.c)
	$(call say,LD test,$@)
	$(Q)mkdir -p $(@D); $(CC) $(SANFLAGS) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(call libs_of,tests/$*.c) -lm

THREAD_TESTS := $(patsubst tests/%.c,$(O)/test/%,$(sort $(wildcard tests/unit/thread_*.c)))
$(THREAD_TESTS): $(O)/test/%: tests/%.c $$(call tag_of,link,tests/$$*.c) $(wildcard user/*/*.h) $(O)/.flags | $(O)/.tools
	$(call say,CC thread,$@)
	$(Q)mkdir -p $(@D); $(CC) $(BASE_CFLAGS) -Itests $(CFLAGS) $(LDFLAGS) -fsanitize=thread -o $@ $(filter %.c,$^) \
		$(call libs_of,tests/$*.c) -lcmocka -lm -lpthread

PROG_SHARED := $(filter-out tests/prog/test_%,$(wildcard tests/prog/*.c))
$(PROG_TESTS): $(B)/test/%: $(B)/obj/tests/%.o $(PROG_SHARED:%.c=$(B)/obj/%.o) $(LIBS_agent:%=$(B)/lib%.a)
	$(call say,LD test,$@)
	$(Q)mkdir -p $(@D); $(CC) $(if $(filter $(SANB),$(B)),$(SANFLAGS)) $(CFLAGS) $(LDFLAGS) -Wl,--as-needed \
		-o $@ $^ $(call pkg_libs,$(PKGS_prog)) $(call libs_of,tests/$*.c) -lcmocka -lm -lpthread

# The source alone, followed from outside; always with ASan and UBSan.
KUBE_PROGRAMS := $(patsubst tests/kube/%.c,$(B)/test/kube/%,$(sort $(wildcard tests/kube/*.c)))
$(KUBE_PROGRAMS): $(B)/test/kube/%: $(SANB)/obj/tests/kube/%.o $(foreach l,source core base,$(SANB)/lib$(l).a)
	$(call say,LD test,$@)
	$(Q)mkdir -p $(@D); $(CC) $(SANFLAGS) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(call pkg_libs,$(PKGS_source)) -lm

# Programs that make traffic: each is one file, linked with libc alone.
TRAFFIC := $(patsubst tests/%.c,$(B)/test/%,$(sort $(wildcard tests/e2e/*.c))) \
	$(patsubst deploy/%.c,$(B)/%,$(sort $(wildcard deploy/demo/*.c)))
$(B)/test/e2e/%: tests/e2e/%.c $(O)/.flags | $(O)/.tools
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D); $(CC) -std=gnu11 -D_GNU_SOURCE $(WARN) $(CFLAGS) $(LDFLAGS) -MMD -MP -MF $@.d -o $@ $<
$(B)/demo/%: deploy/demo/%.c $(O)/.flags | $(O)/.tools
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D); $(CC) -std=gnu11 -D_GNU_SOURCE $(WARN) $(CFLAGS) $(LDFLAGS) -MMD -MP -MF $@.d -o $@ $<

# Our reading of HTTP/1 as a program of its own, to be compared with others'; with ASan and UBSan.
DIFFER := $(O)/test/differ/ours
$(DIFFER): $(O)/test/%: $(SANB)/obj/tests/%.o $$(call link_of,tests/$$*.c)
	$(call say,LD test,$@)
	$(Q)mkdir -p $(@D); $(CC) $(SANFLAGS) $(CFLAGS) $(LDFLAGS) -o $@ $^

# Measurements: slbench (everything without traffic), its generators, nb (the traffic), and hold (programs that do nothing).
BENCH_OBJS := $(patsubst %.c,$(O)/obj/%.o,$(filter-out tests/bench/nb.c tests/bench/hold.c %.bpf.c,$(wildcard tests/bench/*.c)))
.PHONY: bench-programs bench-ingress-programs
bench-programs: $(O)/bench/slbench $(O)/bench/nb $(O)/bench/hold $(O)/bench/generate.bpf.o $(O)/bench/empty.bpf.o bench-ingress-programs

# The ingress proxy beside others: origin and clients, each of one file and what it names.
fast_link_of = $(patsubst %.c,$(O)/obj/%.o,$(call tag_of,link,$(1)))
BENCH_INGRESS := $(patsubst tests/bench/ingress/%.c,$(O)/bench/%,$(sort $(wildcard tests/bench/ingress/*.c)))
bench-ingress-programs: $(BENCH_INGRESS)
$(BENCH_INGRESS): $(O)/bench/%: $(O)/obj/tests/bench/ingress/%.o $$(call fast_link_of,tests/bench/ingress/$$*.c)
	$(call say,LD,$@)
	$(Q)mkdir -p $(@D); $(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(call libs_of,tests/bench/ingress/$*.c)

$(O)/bench/slbench: $(BENCH_OBJS) $(LIBS_agent:%=$(O)/lib%.a)
	$(call say,LD,$@)
	$(Q)mkdir -p $(@D); $(CC) $(CFLAGS) $(LDFLAGS) -Wl,--as-needed -o $@ $^ $(call pkg_libs,$(PKGS_bench)) -lm -lpthread
$(O)/bench/nb: $(O)/obj/tests/bench/nb.o
	$(call say,LD,$@)
	$(Q)mkdir -p $(@D); $(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^
$(O)/bench/hold: $(O)/obj/tests/bench/hold.o
	$(call say,LD,$@)
	$(Q)mkdir -p $(@D); $(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(call pkg_libs,$(PKGS_bench))
$(O)/bench/%.bpf.o: tests/bench/%.bpf.c tests/bench/generate.h $(O)/.bpf-flags | $(O)/.tools
	$(call say,BPF,$@)
	$(Q)mkdir -p $(@D); $(CLANG) $(BPF_CFLAGS) $(BPF_SYS) -c $< -o $@

# Explore with libFuzzer: new inputs are kept in $(O)/fuzz/<x>; a crash worth keeping goes to tests/fuzz/corpus/<x>.
FUZZ_SECONDS ?= 60
fuzz-%: $(O)/fuzz/fuzz_% ## explore tests/fuzz/fuzz_<x>.c for FUZZ_SECONDS (60)
	$(Q)mkdir -p $(O)/fuzz/$*.corpus; \
	$< -max_total_time=$(FUZZ_SECONDS) -artifact_prefix=$(O)/fuzz/ $(O)/fuzz/$*.corpus $(wildcard tests/fuzz/corpus/$*)

$(O)/fuzz/%: tests/fuzz/%.c $$(call tag_of,link,tests/fuzz/%.c) $(O)/gen/sluice_version.h | $(O)/.tools
	$(call say,FUZZ,$@)
	$(Q)mkdir -p $(@D); $(CLANG) $(BASE_CFLAGS) -Itests $(CFLAGS) -fsanitize=fuzzer,address,undefined \
		-o $@ $(filter %.c,$^) $(call libs_of,$<) -lm

# What each suite runs, as suite=program.
suite_items = $(addprefix $(1)=,$(2) $(sort $(wildcard tests/$(1)/test_*.sh tests/$(1)/*.bats)))
ITEMS_unit := $(call suite_items,unit,$(filter $(O)/test/unit/%,$(UNIT_TESTS)) $(THREAD_TESTS))
ITEMS_abi  := $(call suite_items,abi,$(filter $(O)/test/abi/%,$(UNIT_TESTS)))
ITEMS_fuzz := $(call suite_items,fuzz,$(FUZZ_TESTS))
ITEMS_differ := $(call suite_items,differ)
ITEMS_prog := $(call suite_items,prog,$(PROG_TESTS))
ITEMS_e2e  := $(call suite_items,e2e)
ITEMS_kube := $(call suite_items,kube)
ITEMS_ingress := $(call suite_items,ingress)
SUITES     := unit abi fuzz differ prog e2e ingress kube

# Tests find the build by these (no SLUICE_…: the programs would take those for options).
TEST_ENV = BUILD=$(abspath $(B)) BPF_DIR=$(abspath $(O))/bpf CC='$(CC)' CLANG='$(CLANG)' BPFTOOL='$(BPFTOOL)'
run_items = $(Q)$(TEST_ENV) tests/run -o $(O)/test/results $(1)

test: deps ## install, build, run every suite; ends with "N passed, N failed, N skipped"
	$(Q)$(MAKE) all test-programs kubernetes
	$(call run_items,$(foreach s,$(SUITES),$(ITEMS_$(s))))

test-programs: $(UNIT_TESTS) $(THREAD_TESTS) $(FUZZ_TESTS) $(PROG_TESTS) $(TRAFFIC) $(DIFFER) $(KUBE_PROGRAMS)

test-unit: all $(filter $(O)/test/unit/%,$(UNIT_TESTS)) $(THREAD_TESTS) ## pure code under ASan and UBSan; no root
	$(call run_items,$(ITEMS_unit))
test-abi: $(filter $(O)/test/abi/%,$(UNIT_TESTS)) $(BPF_OBJS) ## sizes, offsets and names of the ABI; no root
	$(call run_items,$(ITEMS_abi))
test-fuzz: $(FUZZ_TESTS) ## replay the fuzz corpus; no root
	$(call run_items,$(ITEMS_fuzz))
test-differ: $(DIFFER) ## HTTP/1 read by us, by llhttp and by Go; no root
	$(call run_items,$(ITEMS_differ))
test-prog: bpf $(PROG_TESTS) ## verifier and packet fixtures by BPF_PROG_TEST_RUN; root
	$(call run_items,$(ITEMS_prog))
test-e2e: all $(TRAFFIC) ## real sockets in network namespaces; root
	$(call run_items,$(ITEMS_e2e))
test-ingress: all ## sluice-proxy with origins and clients by bytes; root
	$(call run_items,$(ITEMS_ingress))
test-browser: deps-browser all ## a real browser through sluice-proxy; not part of `make test`; root
	$(call run_items,ingress=tests/ingress/browser)
test-kube: all $(KUBE_PROGRAMS) kubernetes ## against a real API server; root
	$(call run_items,$(ITEMS_kube))

# Etcd, Kubernetes, CoreDNS, containerd and runc, from pinned Go modules; kept in the user's cache. Tests say what is missing.
kubernetes:
	$(Q)tests/kube/build >/dev/null || echo "tests/kube/build failed: no test with a real API server can pass" >&2

vm: deps deps-vm ## load and packet tests on the kernel matrix, in qemu
	$(Q)$(MAKE) all test-programs
	$(Q)$(TEST_ENV) tests/vm/run
bench: deps deps-bench ## measurements; ratios, never part of a test (QUICK=1: a smoke run; root)
	$(Q)$(MAKE) all bench-programs
	$(Q)$(TEST_ENV) tests/bench/run $(O)/bench
bench-kube: deps deps-bench ## 10,000 Services from a real API server: sluiced beside kube-proxy; root
	$(Q)$(MAKE) all test-programs kubernetes
	$(Q)$(TEST_ENV) tests/bench/kube/run $(O)/bench
bench-ingress: deps deps-bench ## the part of it that has sluice-proxy beside nginx and haproxy; root
	$(Q)$(MAKE) all bench-ingress-programs
	$(Q)ONLY=ingress $(TEST_ENV) tests/bench/run $(O)/bench
demo: deps ## balance real requests over three pods, in namespaces of its own; root
	$(Q)$(MAKE) all $(TRAFFIC)
	$(Q)$(TEST_ENV) deploy/demo/run

# ---------------------------------------------------------------------------------------------- code quality

C_FILES := $(sort $(wildcard include/*.h bpf/*.[ch] user/*/*.[ch] user/*/*/*.[ch] tests/*/*.[ch] tests/*/*/*.[ch]))
SCRIPTS := $(sort $(wildcard .ci/run tests/run tests/*/run tests/vm/init tests/vm/kernels tests/vm/test_traffic tests/kube/build tests/kube/go tests/kube/node tests/*.bash tests/*/*.sh tests/*/*.bats tests/*/*.bash deploy/*/run deploy/*/*.sh))

format: ## rewrite the C files as .clang-format says
	$(Q)$(CLANG_FORMAT) -i $(C_FILES)

format-check: ## say which C files `make format` would change
	$(Q)$(CLANG_FORMAT) --dry-run -Werror $(C_FILES)

lint: all lint-layers lint-scripts ## clang-tidy, shellcheck, include rules (ANALYZE=1 adds gcc -fanalyzer)
	$(Q)$(if $(USER_SRCS),$(CLANG_TIDY) --quiet -p $(O) $(USER_SRCS))
	$(Q)$(if $(ANALYZE),$(foreach s,$(USER_SRCS),echo "  ANALYZE  $(s)"; gcc $(BASE_CFLAGS) \
		$(call group_cflags,$(call group_of,$(s))) -O1 -fanalyzer -Wno-error -c $(s) -o /dev/null;))

lint-scripts: ## shellcheck alone
	$(Q)$(if $(SCRIPTS),shellcheck -x $(SCRIPTS))

# Who may include whom: base nothing of ours; core base; source core/model.h; serve core; dp core; ingress never dp or the ABI.
lint-layers: ## check who includes whom
	$(Q)bad=0; no() { if grep -nE "^#include [\"<]($$2)" $$1 2>/dev/null; then bad=1; fi; }; \
	no 'user/base/*.[ch]'   '(core|source|serve|dp|agent|cli|ingress)/|sluice_(abi|reasons)'; \
	no 'user/core/*.[ch]'   '(source|serve|dp|agent|cli|ingress|bpf|sys|curl|yaml|cjson)/|(unistd|fcntl|time|stdio_ext|pthread)\.h'; \
	no '-r user/source'     '(serve|dp|agent|cli|ingress|bpf)/|core/(store|policy|ring|plan|diff|explain)\.h'; \
	no 'user/serve/*.[ch]'  '(source|dp|agent|cli|ingress|bpf)/|sluice_(abi|reasons)'; \
	no 'user/dp/*.[ch]'     '(source|serve|agent|cli|ingress)/'; \
	no 'user/cli/*.[ch]'    '(agent|ingress)/'; \
	no 'user/ingress/*.[ch]' '(dp|agent|cli|bpf)/|sluice_(abi|reasons)'; \
	[ $$bad = 0 ] || { echo "include rules: the lines above reach across a layer" >&2; exit 1; }

# For clangd and clang-tidy; written from the same variables that compile, so it cannot disagree.
C_SOURCES := $(USER_SRCS) $(filter-out %.bpf.c,$(wildcard tests/*/*.c tests/*/*/*.c)) $(wildcard deploy/*/*.c)
BPF_SOURCES := $(BPF_SRCS) $(wildcard tests/*/*.bpf.c)
$(O)/compile_commands.json: $(O)/.sources Makefile | $(O)/.tools
	$(file >$@,[)
	$(foreach s,$(C_SOURCES),$(file >>$@,{"directory": "$(CURDIR)"$(comma) "file": "$(s)"$(comma) \
	"command": "$(CC) $(BASE_CFLAGS) $(strip $(call group_cflags,$(call group_of,$(s)))) $(CFLAGS) -c $(s)"}$(comma)))
	$(foreach s,$(BPF_SOURCES),$(file >>$@,{"directory": "$(CURDIR)"$(comma) "file": "$(s)"$(comma) \
	"command": "$(CLANG) $(BPF_CFLAGS) $(strip $(BPF_SYS)) -c $(s)"}$(comma)))
	@sed -i -e '$$s/,$$//' $@; echo ']' >>$@
$(eval $(call stamp,$(O)/.sources,$(C_SOURCES) $(BPF_SOURCES) $(CC) $(CFLAGS) $(WERROR)))

# --------------------------------------------------------------------------------------------------- install

INSTALL ?= install
SBINDIR := $(DESTDIR)$(PREFIX)/sbin
BINDIR  := $(DESTDIR)$(PREFIX)/bin
MANDIR  := $(DESTDIR)$(PREFIX)/share/man
COMPLETIONS := $(DESTDIR)$(PREFIX)/share/bash-completion/completions

install: all ## install into $(DESTDIR)$(PREFIX)
	$(Q)$(INSTALL) -d $(SBINDIR) $(BINDIR)
	$(Q)$(if $(filter agent,$(BIN_GROUPS)),$(INSTALL) -m 755 $(B)/sluiced $(SBINDIR)/sluiced && \
		$(INSTALL) -D -m 644 user/agent/sluiced.8 $(MANDIR)/man8/sluiced.8)
	$(Q)$(if $(filter ingress,$(BIN_GROUPS)),$(INSTALL) -m 755 $(B)/sluice-proxy $(SBINDIR)/sluice-proxy && \
		$(INSTALL) -D -m 644 user/ingress/sluice-proxy.8 $(MANDIR)/man8/sluice-proxy.8)
	$(Q)$(if $(filter cli,$(BIN_GROUPS)),$(INSTALL) -m 755 $(B)/sluicectl $(BINDIR)/sluicectl && \
		ln -sf sluicectl $(BINDIR)/kubectl-sluice && \
		$(INSTALL) -D -m 644 user/cli/sluicectl.8 $(MANDIR)/man8/sluicectl.8 && \
		$(INSTALL) -D -m 644 user/cli/sluicectl.bash $(COMPLETIONS)/sluicectl)

uninstall: ## remove what install put there
	$(Q)rm -f $(addprefix $(MANDIR)/man8/,sluiced.8 sluice-proxy.8 sluicectl.8) $(COMPLETIONS)/sluicectl
	$(Q)rm -f $(SBINDIR)/sluiced $(SBINDIR)/sluice-proxy $(BINDIR)/sluicectl $(BINDIR)/kubectl-sluice

# What the compilers noted about headers.
-include $(BPF_ALL:%=$(O)/bpf/%.full.d) $(patsubst %.c,$(O)/obj/%.d,$(C_SOURCES)) \
	$(patsubst %.c,$(SANB)/obj/%.d,$(C_SOURCES)) $(TRAFFIC:=.d)

# shellcheck shell=bash
# Completion of sluicectl for bash: commands, their options, words of options, names of services.
# Installed as <prefix>/share/bash-completion/completions/sluicectl; kubectl-sluice is the same program.

# What --help says is what there is, so nothing is listed twice.
_sluicectl_commands() {
	"$1" --help 2>/dev/null | sed -n 's/^  \([a-z]*\)  *[A-Z].*/\1/p'
}

_sluicectl_options() {
	"$1" ${2:+"$2"} --help 2>/dev/null | sed -n 's/^ *\(-[a-z], \)\{0,1\}\(--[a-z-]*\).*/\2/p'
}

# The words an option takes: --output table|json
_sluicectl_words() {
	"$1" ${2:+"$2"} --help 2>/dev/null |
		sed -n "s/^ *\(-[a-z], \)\{0,1\}$3 \([a-z]*|[a-z|]*\) .*/\2/p" | tr '|' '\n'
}

_sluicectl_services() {
	"$1" services --no-headers 2>/dev/null | awk 'NF > 8 { print $1 "/" $2 }' | sort -u
}

_sluicectl_namespaces() {
	"$1" services --no-headers 2>/dev/null | awk 'NF > 8 { print $1 }' | sort -u
}

_sluicectl() {
	local program=${COMP_WORDS[0]} current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
	local command='' word
	for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
		case $word in
		-*) ;;
		*)
			if [ -z "$command" ] && _sluicectl_commands "$program" | grep -qx -- "$word"; then
				command=$word
			fi
			;;
		esac
	done
	COMPREPLY=()
	case $previous in
	-o | --output) mapfile -t COMPREPLY < <(compgen -W "$(_sluicectl_words "$program" "$command" --output)" -- "$current") ;;
	--from | --color) mapfile -t COMPREPLY < <(compgen -W "$(_sluicectl_words "$program" "$command" "$previous")" -- "$current") ;;
	-s | --service) mapfile -t COMPREPLY < <(compgen -W "$(_sluicectl_services "$program")" -- "$current") ;;
	-n | --namespace) mapfile -t COMPREPLY < <(compgen -W "$(_sluicectl_namespaces "$program")" -- "$current") ;;
	--bpffs | --cgroup) mapfile -t COMPREPLY < <(compgen -d -- "$current") ;;
	--admin-socket) mapfile -t COMPREPLY < <(compgen -f -- "$current") ;;
	*)
		if [[ $current == -* ]]; then
			mapfile -t COMPREPLY < <(compgen -W "$(_sluicectl_options "$program" "$command") --help --version" -- "$current")
		elif [ -z "$command" ]; then
			mapfile -t COMPREPLY < <(compgen -W "$(_sluicectl_commands "$program")" -- "$current")
		elif [ "$command" = explain ]; then
			mapfile -t COMPREPLY < <(compgen -W "$(_sluicectl_services "$program") tcp udp sctp" -- "$current")
		fi
		;;
	esac
}

complete -F _sluicectl sluicectl kubectl-sluice

# shellcheck shell=bash disable=SC1091
# Everything that a test with real nodes loads.
here=$(dirname "${BASH_SOURCE[0]}")
. "$here/cluster.bash"
. "$here/nodes.bash"
. "$here/../e2e/manifests.bash"
. "$here/../e2e/helpers.bash"
. "$here/helpers.bash"

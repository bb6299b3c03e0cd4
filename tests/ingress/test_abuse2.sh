#!/bin/sh
# Hostile frames of HTTP/2 to the proxy. The interpreter must be the one that has Debian's python3-h2.
python=python3
$python -c 'import h2' 2>/dev/null || python=/usr/bin/python3
exec $python "$(dirname "$0")/abuse2.py" "$@"

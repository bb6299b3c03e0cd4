#!/bin/sh
# Peers that take nothing for long, and peers that answer nothing any more. The interpreter must be the one that has python3-h2.
python=python3
$python -c 'import h2' 2>/dev/null || python=/usr/bin/python3
exec $python "$(dirname "$0")/vanish.py" "$@"

#!/bin/sh
# What annotations do to requests on their way.
exec python3 "$(dirname "$0")/policies.py" "$@"

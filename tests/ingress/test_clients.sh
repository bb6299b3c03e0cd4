#!/bin/sh
# Real clients through the proxy. The modules are those of the system, so its Python it is.
exec /usr/bin/python3 "$(dirname "$0")/clients.py" "$@"

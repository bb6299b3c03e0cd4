#!/bin/sh
# Real clients over TLS and HTTP/2. The modules are those of the system, so its Python it is.
exec /usr/bin/python3 "$(dirname "$0")/clients_tls.py" "$@"

#!/bin/sh
# HTTP/1.1 through the proxy, by bytes.
exec python3 "$(dirname "$0")/http1.py"

#!/bin/sh
# HTTP/2, gRPC and TLS through the proxy. The interpreter must be the one that has Debian's python3-h2 and python3-grpcio.
python=python3
$python -c 'import h2, grpc' 2>/dev/null || python=/usr/bin/python3
exec $python "$(dirname "$0")/http2.py" "$@"

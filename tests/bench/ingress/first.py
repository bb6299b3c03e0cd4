"""When the events of one stream arrive: milliseconds after the request, one for each event."""
import re
import socket
import subprocess
import time


def http1(address, port, host, path):
    text, times = b"", []
    with socket.create_connection((address, port)) as s:
        s.settimeout(10)
        start = time.monotonic()
        s.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        while data := s.recv(65536):
            text += data
            now = 1000 * (time.monotonic() - start)
            times += [now] * (len(re.findall(rb"data: ", text)) - len(times))
    if not times:
        raise RuntimeError(f"no event: {text[:500]!r}")
    return times


def http2(url):
    """By curl, which writes what it gets as it comes."""
    text, times = b"", []
    start = time.monotonic()
    with subprocess.Popen(["curl", "-sSNk", "--http2", url], stdout=subprocess.PIPE, bufsize=0) as p:
        while data := p.stdout.read(65536):
            text += data
            now = 1000 * (time.monotonic() - start)
            times += [now] * (len(re.findall(rb"data: ", text)) - len(times))
    if not times:
        raise RuntimeError(f"{url}: no event over HTTP/2: {text[:500]!r}")
    return times

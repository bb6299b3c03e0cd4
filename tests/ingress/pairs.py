# SPDX-License-Identifier: GPL-2.0-only
"""Pairs of a key and a certificate, Secrets of them, and what of them a client is shown."""

import base64
import socket
import ssl
import subprocess
import tempfile

from harness import DEADLINE

_pairs = {}


def pair(host):
    """A key and a certificate for a host, made once."""
    if host not in _pairs:
        with tempfile.TemporaryDirectory() as d:
            subprocess.run(
                ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                 "-keyout", f"{d}/k", "-out", f"{d}/c", "-days", "30", "-subj", f"/CN={host}",
                 "-addext", f"subjectAltName=DNS:{host}"],
                check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            with open(f"{d}/c", "rb") as c, open(f"{d}/k", "rb") as k:
                _pairs[host] = (c.read(), k.read())
    return _pairs[host]


def secret(name, crt, key, kind="kubernetes.io/tls"):
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": kind,
        "metadata": {"name": name, "namespace": "default"},
        "data": {"tls.crt": base64.b64encode(crt).decode(), "tls.key": base64.b64encode(key).decode()},
    }


def certificate(p, port, name):
    """What a client is shown, as DER."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with socket.create_connection((p.address, port), timeout=DEADLINE) as s:
        with context.wrap_socket(s, server_hostname=name) as t:
            return t.getpeercert(True)


def der(crt):
    return ssl.PEM_cert_to_DER_cert(crt.decode())

# SPDX-License-Identifier: GPL-2.0-only
"""A host with a certificate of its own, and clients that trust it."""

import subprocess

from harness import *

HOST = "a.test"


def certificate(folder):
    """For HOST, by itself: (path of the certificate, its Secret)."""
    key, crt = folder + "/tls.key", folder + "/tls.crt"
    subprocess.run(
        f"openssl req -x509 -nodes -days 2 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -subj /CN={HOST} "
        f"-addext subjectAltName=DNS:{HOST} -keyout {key} -out {crt}".split(),
        check=True, capture_output=True)
    text = {part: open(f"{folder}/tls.{part}").read() for part in ("crt", "key")}
    return crt, {"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
                 "metadata": {"name": "cert", "namespace": "default"},
                 "stringData": {"tls.crt": text["crt"], "tls.key": text["key"]}}


def tls_proxy(t, origin, annotations=None, **more):
    """A proxy that serves HOST over TLS too, and the certificate that clients are to trust."""
    crt, secret = certificate(t.folder)
    where = (ADDRESS, origin) if isinstance(origin, int) else (origin.address, origin.port)
    objects = service("s", [where], **more) + [secret, ingress(
        "i", {"/": "s"}, HOST, {"nginx.ingress.kubernetes.io/ssl-redirect": "false", **(annotations or {})},
        tls=[{"hosts": [HOST], "secretName": "cert"}])]
    port = free_port()
    p = t.proxy(objects, "--https-addr", f"{CLIENT}:{port}", "--max-body-bytes", "off")
    p.tls_port = port
    return p, crt


def run(*command, data=None):
    got = subprocess.run(command, input=data, capture_output=True)
    check(got.returncode == 0, f"{command}: {got.returncode}: {got.stdout} {got.stderr}")
    return got.stdout


def curl(p, crt, *args, path="/", data=None):
    return run("curl", "-sS", "--max-time", "20", "--cacert", crt, "--resolve", f"{HOST}:{p.tls_port}:{p.address}", *args,
               f"https://{HOST}:{p.tls_port}{path}", data=data)

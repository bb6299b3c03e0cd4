# SPDX-License-Identifier: GPL-2.0-only
"""An API server that lists and watches as a real one does, until a script tells it otherwise.

Objects live in memory; every change is an event with a version. Faults are rules: the first rule whose resource and verb
match a request answers it in the server's place. Everything asked is in `requests`.
"""
import collections
import gzip
import http.server
import json
import os
import re
import socket
import socketserver
import ssl
import subprocess
import threading
import time
import urllib.parse

RESOURCES = {
    "/api/v1/services": ("services", "Service", "v1"),
    "/api/v1/nodes": ("nodes", "Node", "v1"),
    "/apis/discovery.k8s.io/v1/endpointslices": ("endpointslices", "EndpointSlice", "discovery.k8s.io/v1"),
    "/apis/networking.k8s.io/v1/servicecidrs": ("servicecidrs", "ServiceCIDR", "networking.k8s.io/v1"),
    "/apis/networking.k8s.io/v1/ingresses": ("ingresses", "Ingress", "networking.k8s.io/v1"),
    "/apis/networking.k8s.io/v1/ingressclasses": ("ingressclasses", "IngressClass", "networking.k8s.io/v1"),
}
SECRETS = re.compile("/api/v1/namespaces/([^/]+)/secrets")

Request = collections.namedtuple("Request", "when resource verb query token namespace encoding")
Write = collections.namedtuple("Write", "when method path type body token")


def openssl(*words):
    subprocess.run(["openssl", *words], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


class Authority:
    """A certificate authority in a folder of its own, made now."""

    def __init__(self, folder, name):
        self.base = os.path.join(folder, name)
        self.ca = self.base + "-ca.crt"
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                "-subj", "/CN=" + name, "-keyout", self.base + "-ca.key", "-out", self.ca)

    def issue(self, who, alt="", days="2"):
        cert, key = f"{self.base}-{who}.crt", f"{self.base}-{who}.key"
        with open(self.base + "-ext", "w", encoding="ascii") as f:
            f.write("extendedKeyUsage=serverAuth,clientAuth\n" + (f"subjectAltName={alt}\n" if alt else ""))
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=" + who,
                "-keyout", key, "-out", self.base + ".csr")
        openssl("x509", "-req", "-in", self.base + ".csr", "-CA", self.ca, "-CAkey", self.base + "-ca.key",
                "-CAcreateserial", "-days", days, "-extfile", self.base + "-ext", "-out", cert)
        return cert, key


class Listener(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64

    def __init__(self, api, address, tls):
        self.api, self.tls, self.open = api, tls, set()
        super().__init__(address, Handler)

    def finish_request(self, request, client_address):
        if self.tls:
            request.settimeout(20)
            request = self.tls.wrap_socket(request, server_side=True)
            request.settimeout(None)
        self.open.add(request)
        try:
            super().finish_request(request, client_address)
        finally:
            self.open.discard(request)
            try:
                request.close()
            except OSError:
                pass

    def handle_error(self, request, client_address):
        pass


class Api:
    """What all servers of one cluster share: objects and events."""

    def __init__(self):
        self.lock = threading.Condition()
        self.version = 100
        self.oldest = 0  # events up to this one are forgotten
        self.objects = {name: {} for name, _, _ in RESOURCES.values()}
        self.objects["secrets"] = {}
        self.events = []

    def _change(self, resource, kind, obj):
        self.version += 1
        obj["metadata"]["resourceVersion"] = str(self.version)
        key = (obj["metadata"].get("namespace", ""), obj["metadata"]["name"])
        if kind == "DELETED":
            self.objects[resource].pop(key)
        else:
            kind = "MODIFIED" if key in self.objects[resource] else "ADDED"
            self.objects[resource][key] = obj
        self.events.append((self.version, resource, kind, json.loads(json.dumps(obj))))
        self.lock.notify_all()

    def put(self, resource, obj):
        with self.lock:
            self._change(resource, "PUT", obj)

    def put_together(self, resource, objects):
        """Events that a watcher reads in one piece. The objects were there before."""
        with self.lock:
            self.version += 1
            for obj in objects:
                obj["metadata"]["resourceVersion"] = str(self.version)
                self.objects[resource][(obj["metadata"].get("namespace", ""), obj["metadata"]["name"])] = obj
            self.events.append((self.version, resource, "TOGETHER", objects))
            self.lock.notify_all()

    def delete(self, resource, namespace, name):
        with self.lock:
            self._change(resource, "DELETED", dict(self.objects[resource][(namespace, name)]))

    def forget(self):
        """All versions so far are expired."""
        with self.lock:
            self.version += 1
            self.oldest = self.version
            self.events = []
            self.lock.notify_all()

    def storm(self, resource, n, slices=200):
        """n events as fast as watchers take them: slices that change to and fro, made beforehand. What is put next comes behind."""
        chunks = []
        for turn in range(2):
            text = b""
            for i in range(slices):
                text += json.dumps({"type": "MODIFIED", "object": {
                    "kind": "EndpointSlice", "apiVersion": "discovery.k8s.io/v1", "metadata": {
                        "namespace": "storm", "name": f"s{i}-a", "uid": f"u{i}", "resourceVersion": f"storm-{turn}",
                        "labels": {"kubernetes.io/service-name": f"s{i}"}},
                    "addressType": "IPv4", "endpoints": [{"addresses": [f"10.{100 + turn}.{i // 250}.{i % 250 + 1}"]}],
                    "ports": [{"name": "http", "protocol": "TCP", "port": 8080}]}}).encode() + b"\n"
            chunks.append(text)
        with self.lock:
            self.version += 1
            self.events.append((self.version, resource, "STORM", (chunks, n // slices)))
            self.lock.notify_all()

    def bookmark(self, resource):
        with self.lock:
            self.version += 1
            self.events.append((self.version, resource, "BOOKMARK", {"metadata": {"resourceVersion": str(self.version)}}))
            self.lock.notify_all()


class Server:
    """One API server. `api` may be shared; `lag` freezes what this one knows."""

    def __init__(self, api, cert=None, client_ca=None, address="127.0.0.1", port=0):
        self.api, self.address, self.cert, self.client_ca = api, address, cert, client_ca
        self.requests, self.writes, self.rules, self.port, self.listener = [], [], [], port, None
        self.streams = True         # knows sendInitialEvents
        self.token = None           # what a request must bring; None: anything
        self.page = 500
        self.chunk = None           # bytes of each piece; None: as it comes
        self.followed = 0           # watches that were begun
        self.paused = threading.Event()
        self.paused.set()
        self.start()

    @property
    def url(self):
        return f"{'https' if self.cert else 'http'}://{self.address}:{self.port}"

    def start(self):
        tls = None
        if self.cert:
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            tls.load_cert_chain(*self.cert)
            if self.client_ca:
                tls.load_verify_locations(self.client_ca)
                tls.verify_mode = ssl.CERT_REQUIRED
        self.listener = Listener(self, (self.address, self.port), tls)
        self.port = self.listener.server_address[1]
        threading.Thread(target=self.listener.serve_forever, args=(0.02,), daemon=True).start()

    def drop(self):
        """Cuts every connection there is."""
        for s in list(self.listener.open):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def stop(self):
        """Refuses connections, and has none."""
        self.listener.shutdown()
        self.listener.server_close()
        self.drop()
        with self.api.lock:
            self.api.lock.notify_all()

    def rule(self, resource, verb, answer, times=1 << 30):
        """answer(handler): True if it did; resource and verb may be None: any."""
        self.rules.append([resource, verb, answer, times])

    def asked(self, verb=None, resource=None, since=0):
        return [r for r in list(self.requests)
                if r.when >= since and (verb is None or r.verb == verb) and (resource is None or r.resource == resource)]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def setup(self):
        super().setup()
        self.s = self.server.api

    def log_message(self, *args):
        pass

    # ---- sending

    def whole(self, status, body=b"", headers=()):
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.send(body)
        return True

    def send(self, data):
        n = self.s.chunk or max(len(data), 1)
        for i in range(0, len(data), n):
            self.wfile.write(data[i:i + n])

    def begin_stream(self):
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def piece(self, data):
        n = self.s.chunk or max(len(data), 1)
        for i in range(0, len(data), n):
            part = data[i:i + n]
            self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))

    def end_stream(self):
        self.wfile.write(b"0\r\n\r\n")
        return True

    def cut(self):
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)
        return True

    def event(self, kind, obj):
        self.piece(json.dumps({"type": kind, "object": obj}).encode() + b"\n")

    def status(self, code, message="", headers=()):
        return self.whole(code, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code,
                                 "message": message}, headers)

    # ---- answering

    def do_GET(self):
        self.s.paused.wait()
        parts = urllib.parse.urlsplit(self.path)
        self.query = {k: v[0] for k, v in urllib.parse.parse_qs(parts.query).items()}
        secrets = SECRETS.fullmatch(parts.path)
        self.namespace = secrets.group(1) if secrets else None
        self.resource, self.kind, self.api_version = (("secrets", "Secret", "v1") if secrets else
                                                      RESOURCES.get(parts.path, (parts.path, None, None)))
        watch = self.query.get("watch") == "true"
        verb = "version" if not self.kind else "list" if not watch else "stream" if "sendInitialEvents" in self.query else "watch"
        token = self.headers.get("Authorization", "")
        self.s.requests.append(Request(time.monotonic(), self.resource, verb, self.query, token, self.namespace,
                                       self.headers.get("Accept-Encoding")))
        for rule in self.s.rules:
            if rule[0] in (None, self.resource) and rule[1] in (None, verb) and rule[3] > 0:
                rule[3] -= 1
                if rule[2](self):
                    return
        if self.s.token is not None and token != "Bearer " + self.s.token:
            self.status(401, "Unauthorized")
        elif not self.kind:
            self.whole(200, {"major": "1"} if self.resource == "/version" else {})
        elif verb == "stream" and not self.s.streams:
            self.status(422, "sendInitialEvents is forbidden")
        else:
            getattr(self, "do_" + verb)()

    def do_write(self):
        """A rule for the verb "write" answers, or the body comes back."""
        self.s.paused.wait()
        self.resource, token = self.path, self.headers.get("Authorization", "")
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.s.writes.append(Write(time.monotonic(), self.command, self.path, self.headers.get("Content-Type"), body, token))
        for rule in self.s.rules:
            if rule[1] == "write" and rule[3] > 0:
                rule[3] -= 1
                if rule[2](self):
                    return
        if self.s.token is not None and token != "Bearer " + self.s.token:
            self.status(401, "Unauthorized")
        else:
            self.whole(201 if self.command == "POST" else 200, body)

    do_POST = do_PUT = do_PATCH = do_DELETE = do_write

    def selected(self, obj):
        meta = obj["metadata"]
        if self.resource == "secrets":
            field, _, value = self.query["fieldSelector"].partition("=")
            return meta["namespace"] == self.namespace and value == (meta["name"] if field == "metadata.name" else obj["type"])
        labels = meta.get("labels", {})
        if self.resource == "nodes":
            return self.query.get("fieldSelector") == "metadata.name=" + meta["name"]
        want = self.query.get("labelSelector", "")
        if want.startswith("!") and want[1:] in labels:
            return False
        return not (self.resource == "services" and obj["spec"].get("clusterIP") == "None")

    def snapshot(self):
        with self.s.api.lock:
            objects = [o for o in self.s.api.objects[self.resource].values() if self.selected(o)]
            return self.s.api.version, sorted(objects, key=lambda o: o["metadata"]["name"])

    def frame(self, version, objects, token=None):
        meta = {"resourceVersion": str(version)}
        if token:
            meta["continue"] = token
        return {"kind": self.kind + "List", "apiVersion": self.api_version, "metadata": meta, "items": objects}

    def do_list(self):
        version, objects = self.snapshot()
        wanted = self.query.get("resourceVersion", "")
        if wanted.isdigit() and int(wanted) > version:
            return self.status(504, "Too large resource version")
        limit = int(self.query.get("limit", 1 << 30))
        at, token = int(self.query.get("continue", 0)), None
        if limit < 1 << 30:
            limit = self.s.page
        if at + limit < len(objects):
            token = str(at + limit)
        body = json.dumps(self.frame(version, objects[at:at + limit], token)).encode()
        if "gzip" in self.headers.get("Accept-Encoding", "") and len(body) > 100000:
            return self.whole(200, gzip.compress(body, 1), [("Content-Encoding", "gzip")])
        return self.whole(200, body)

    def do_stream(self):
        version, objects = self.snapshot()
        self.begin_stream()
        for o in objects:
            self.event("ADDED", o)
        self.event("BOOKMARK", {"kind": self.kind, "metadata": {
            "resourceVersion": str(version), "annotations": {"k8s.io/initial-events-end": "true"}}})
        self.follow(version)

    def do_watch(self):
        version = int(self.query["resourceVersion"])
        if version < self.s.api.oldest:
            return self.status(410, "too old resource version")
        self.begin_stream()
        return self.follow(version)

    def follow(self, version):
        """Events behind the version, until the connection, the server or the version goes."""
        api, listener, seen = self.s.api, self.s.listener, set()
        self.s.followed += 1
        with api.lock:
            seen = {k for k, o in api.objects[self.resource].items() if self.selected(o)}
        while True:
            with api.lock:
                api.lock.wait_for(lambda: api.version > version or listener is not self.s.listener, 0.5)
                if version < api.oldest:
                    todo, expired = [], True
                else:
                    todo, expired = [e for e in api.events if e[0] > version and e[1] == self.resource], False
                version = api.version
            self.s.paused.wait()
            if expired:
                self.event("ERROR", {"kind": "Status", "code": 410, "reason": "Expired"})
                return self.end_stream()
            for _, _, kind, obj in todo:
                if kind == "STORM":
                    for i in range(obj[1]):
                        self.piece(obj[0][i % 2])
                    continue
                if kind == "TOGETHER":
                    self.piece(b"".join(json.dumps({"type": "MODIFIED", "object": o}).encode() + b"\n" for o in obj))
                    continue
                key = (obj["metadata"].get("namespace", ""), obj["metadata"].get("name"))
                if kind == "BOOKMARK":
                    self.event(kind, dict(obj, kind=self.kind))
                elif kind != "DELETED" and self.selected(obj):
                    seen.add(key)
                    self.event(kind, obj)
                elif key in seen or kind == "DELETED":  # a label came: gone for whoever selects by it
                    seen.discard(key)
                    self.event("DELETED", obj)


def main():
    """apiserver.py PORT: plain HTTP on 127.0.0.1, told by lines of JSON on its standard input.

    {"put": RESOURCE, "object": {…}}   {"put": RESOURCE, "objects": […]}: in one piece   {"delete": RESOURCE, "namespace": …, "name": …}   {"do": "stop"|"start"|"pause"|"resume"}
    {"lie": STATUS}: every answer from now on is this status, or with it "html" or nothing ("empty"); 0: no more
    {"hold": RESOURCE}: answers about it wait; "": no more           {"do": "drop"|"forget"}: connections; old versions
    {"storm": N}: that many events of EndpointSlices in the namespace "storm"
    {"refuse": STATUS}: every write from now on is; 0: no more     {"writes": FILE}: the writes so far, a line of JSON each
    """
    import sys  # pylint: disable=import-outside-toplevel
    api = Api()
    server = Server(api, port=int(sys.argv[1]))
    held = threading.Event()
    for line in sys.stdin:
        word = json.loads(line)
        if "put" in word and "objects" in word:
            api.put_together(word["put"], word["objects"])
        elif "put" in word:
            api.put(word["put"], word["object"])
        elif "delete" in word:
            api.delete(word["delete"], word["namespace"], word["name"])
        elif "lie" in word:
            server.rules = []
            if word["lie"]:
                bodies = {"html": b"<html>It works!</html>", "empty": b""}
                server.rule(None, None, lambda h, lie=word["lie"]: h.whole(200, bodies[lie]) if lie in bodies else h.status(lie))
                server.drop()
        elif "hold" in word:
            held.set()
            if word["hold"]:
                held = threading.Event()
                server.rule(word["hold"], None, lambda h, held=held: held.wait(60) and False)
            else:
                server.rules = []
        elif "storm" in word:
            api.storm("endpointslices", word["storm"])
        elif "refuse" in word:
            server.rules = [r for r in server.rules if r[1] != "write"]
            if word["refuse"]:
                server.rule(None, "write", lambda h, status=word["refuse"]: h.status(status))
        elif "writes" in word:
            with open(word["writes"] + ".new", "w", encoding="utf-8") as f:
                for w in list(server.writes):
                    f.write(json.dumps({"method": w.method, "path": w.path, "type": w.type, "body": json.loads(w.body or b"null")}) + "\n")
            os.rename(word["writes"] + ".new", word["writes"])
        elif word["do"] == "pause":
            server.paused.clear()
        elif word["do"] == "resume":
            server.paused.set()
        else:
            getattr(api if word["do"] == "forget" else server, word["do"])()


if __name__ == "__main__":
    main()

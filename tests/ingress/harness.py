# SPDX-License-Identifier: GPL-2.0-only
"""
A proxy, origins and clients in a network namespace of the test's own, for tests of sluice-proxy by bytes.

    from harness import *

    @test("a request and its answer")
    def _(t):
        o = t.origin(answer("hello"))            # listens; each connection runs the handler
        p = t.proxy({"/": o})                    # manifests for these paths, a running proxy
        c = t.client(p)
        c.send(b"GET / HTTP/1.1\\r\\nHost: a.test\\r\\n\\r\\n")
        r = c.response()
        check(r.status == 200 and r.body == b"hello", r)

    main()

Whatever a test makes is ended with it. Waiting is for a condition, with a deadline, never for a time.
"""

import contextlib
import ctypes
import json
import os
import re
import select
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time
import traceback

ADDRESS = "10.77.0.1"  # of origins: loopback addresses are no endpoints
CLIENT = "10.77.0.2"
DEADLINE = 10.0
CLONE_NEWNET = 0x40000000

_tests = []


def test(name, **options):
    def add(fn):
        _tests.append((name, fn, options))
        return fn

    return add


class Failure(AssertionError):
    pass


def check(condition, *what):
    if not condition:
        raise Failure(" ".join(str(w) for w in what) or "check failed")


def equal(got, want, what=""):
    if got != want:
        raise Failure(f"{what}: got {got!r}, want {want!r}")


def until(fn, what, deadline=DEADLINE):
    """Waits until fn() is true, and gives what it returned."""
    end = time.monotonic() + deadline
    while True:
        value = fn()
        if value:
            return value
        if time.monotonic() > end:
            raise Failure(f"not within {deadline} s: {what}")
        time.sleep(0.005)


# ---- bytes --------------------------------------------------------------------------------------------------------


class Response:
    def __init__(self, line, fields):
        self.line = line
        self.version, status, *rest = line.split(" ", 2)
        self.status = int(status)
        self.fields = fields
        self.body = b""
        self.pieces = []  # (time, bytes)
        self.trailers = []
        self.complete = False  # its framing says that it is all

    def get(self, name, default=None):
        for n, v in self.fields:
            if n.lower() == name.lower():
                return v
        return default

    def all(self, name):
        return [v for n, v in self.fields if n.lower() == name.lower()]

    def __repr__(self):
        return f"<{self.line!r} {self.fields!r} {self.body[:200]!r} complete={self.complete}>"


def parse_head(head):
    lines = head.decode("latin-1").split("\r\n")
    fields = []
    for line in lines[1:]:
        if line:
            name, _, value = line.partition(":")
            fields.append((name, value.strip()))
    return lines[0], fields


class Stream:
    """A socket with a buffer in front."""

    def __init__(self, sock, deadline=DEADLINE):
        self.sock = sock
        self.buf = bytearray()
        self.deadline = deadline
        sock.settimeout(deadline)

    def send(self, data):
        self.sock.sendall(data)

    def more(self):
        """Reads once; False at the end."""
        data = self.sock.recv(262144)
        self.buf += data
        return bool(data)

    def until(self, mark):
        while mark not in self.buf:
            if not self.more():
                raise EOFError(f"end before {mark!r}: {self.buf[:200]!r}")
        return self.take(self.buf.index(mark) + len(mark))

    def take(self, n):
        out = bytes(self.buf[:n])
        del self.buf[:n]
        return out

    def exactly(self, n):
        while len(self.buf) < n:
            if not self.more():
                raise EOFError(f"end before {n} bytes, have {len(self.buf)}")
        return self.take(n)

    def rest(self):
        while self.more():
            pass
        return self.take(len(self.buf))

    def head(self):
        return parse_head(self.until(b"\r\n\r\n"))

    def chunked(self, into=None):
        """(body, trailers)"""
        body = bytearray()
        while True:
            size = int(self.until(b"\r\n").split(b";")[0], 16)
            if size == 0:
                break
            piece = self.exactly(size)
            if into is not None:
                into.append((time.monotonic(), piece))
            body += piece
            equal(self.exactly(2), b"\r\n", "end of a chunk")
        trailers = []
        while True:
            line = self.until(b"\r\n")
            if line == b"\r\n":
                return bytes(body), trailers
            name, _, value = line.decode("latin-1").partition(":")
            trailers.append((name, value.strip()))

    def response(self, is_head=False):
        """The next answer. One that ends before its framing says so has complete = False."""
        line, fields = self.head()
        r = Response(line, fields)
        if r.status < 200 or r.status in (204, 304) or is_head:
            r.complete = True
            return r
        try:
            if (r.get("transfer-encoding") or "").lower() == "chunked":
                r.body, r.trailers = self.chunked(r.pieces)
                r.complete = True
            elif r.get("content-length") is not None:
                r.body = self.exactly(int(r.get("content-length")))
                r.complete = True
            else:
                r.body = self.rest()
                r.complete = True
        except (EOFError, ConnectionError) as e:
            r.body += bytes(self.buf)
            r.error = e
        return r

    def final(self, is_head=False):
        """Passes interim answers over; they are in .interim."""
        interim = []
        while True:
            r = self.response(is_head)
            if r.status >= 200:
                r.interim = interim
                return r
            interim.append(r)

    def ended(self, deadline=DEADLINE):
        """What comes until the end; how it ends is in .how: "fin", "rst"."""
        self.sock.settimeout(deadline)
        got = self.take(len(self.buf))
        try:
            while True:
                data = self.sock.recv(262144)
                if not data:
                    self.how = "fin"
                    return got
                got += data
        except ConnectionError:
            self.how = "rst"
            return got

    def fin(self):
        self.sock.shutdown(socket.SHUT_WR)

    def reset(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def close(self):
        self.sock.close()


class Request:
    def __init__(self, line, fields):
        self.line = line
        self.method, self.target, self.version = line.split(" ", 2)
        self.fields = fields
        self.body = b""
        self.trailers = []

    get = Response.get
    all = Response.all

    def __repr__(self):
        return f"<{self.line!r} {self.fields!r} {self.body[:200]!r}>"


class Connection(Stream):
    """The origin's end of one connection."""

    def __init__(self, sock, origin):
        super().__init__(sock)
        self.origin = origin
        self.requests = []
        self.over = False  # it has ended, by whomever

    def request(self, body=True):
        """The next request, or None at a clean end."""
        while True:
            try:
                line, fields = self.head()
            except EOFError:
                if self.buf:
                    raise
                return None
            r = Request(line, fields)
            if r.get("host") != "not.there":
                break
            self.answer()  # Proxy.wait() looks whether it is there
        self.requests.append(r)
        self.origin.requests.append(r)
        if body:
            self.body(r)
        return r

    def body(self, r):
        if (r.get("transfer-encoding") or "").lower() == "chunked":
            r.body, r.trailers = self.chunked()
        elif r.get("content-length"):
            r.body = self.exactly(int(r.get("content-length")))

    def answer(self, body=b"", status="200 OK", fields=(), length=True):
        if isinstance(body, str):
            body = body.encode()
        head = f"HTTP/1.1 {status}\r\n"
        for name, value in fields:
            head += f"{name}: {value}\r\n"
        if length:
            head += f"Content-Length: {len(body)}\r\n"
        self.send(head.encode("latin-1") + b"\r\n" + body)


class Origin:
    """Listens and runs handler(connection) for each connection, in a thread."""

    def __init__(self, handler, address=ADDRESS, port=0, tls=None):
        self.handler = handler
        self.tls = tls
        self.requests = []
        self.connections = []
        self.errors = []
        self.lock = threading.Lock()
        self.sock = socket.socket()
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.sock.bind((address, port))
        self.sock.listen(1024)
        self.address, self.port = self.sock.getsockname()
        self.closed = False
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                sock, _ = self.sock.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(sock,), daemon=True).start()

    def serve(self, sock):
        c = None
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.tls:
                sock = self.tls.wrap_socket(sock, server_side=True)
            c = Connection(sock, self)
            self.connections.append(c)
            self.handler(c)
        except (EOFError, OSError, ValueError, Failure) as e:
            self.errors.append(e)
        finally:
            try:
                sock.close()
            except OSError:
                pass
            if c:
                c.over = True

    def close(self):
        self.closed = True
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.sock.close()
        for c in self.connections:
            try:
                c.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


def answer(body=b"ok", status="200 OK", fields=()):
    """A handler that gives every request this answer."""

    def handler(c):
        while c.request():
            c.answer(body, status, fields)

    return handler


def echo(c):
    """Answers with the request's body."""
    while True:
        r = c.request()
        if not r:
            return
        c.answer(r.body)


# ---- manifests ----------------------------------------------------------------------------------------------------


def service(name, endpoints, port=80, namespace="default", app_protocol=None, annotations=None):
    """A Service and its EndpointSlices: one for each target port."""
    p = {"name": "http", "port": port, "protocol": "TCP"}
    if app_protocol:
        p["appProtocol"] = app_protocol
    out = [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name, "namespace": namespace, "annotations": annotations or {}},
            "spec": {"clusterIP": "10.96.0.10", "ports": [p]},
        }
    ]
    for i, (address, target) in enumerate(endpoints):
        out.append(
            {
                "apiVersion": "discovery.k8s.io/v1",
                "kind": "EndpointSlice",
                "metadata": {
                    "name": f"{name}-{i}",
                    "namespace": namespace,
                    "labels": {"kubernetes.io/service-name": name},
                },
                "addressType": "IPv4",
                "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
                "ports": [{"name": "http", "port": target, "protocol": "TCP"}],
            }
        )
    return out


def ingress(name, paths, host=None, annotations=None, namespace="default", tls=None):
    """paths: path to service name, or (path, type) to it."""
    rule = {"http": {"paths": []}}
    if host:
        rule["host"] = host
    for key, svc in paths.items():
        path, kind = key if isinstance(key, tuple) else (key, "Prefix")
        rule["http"]["paths"].append(
            {"path": path, "pathType": kind, "backend": {"service": {"name": svc, "port": {"number": 80}}}}
        )
    spec = {"rules": [rule]}
    if tls:
        spec["tls"] = tls
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": name, "namespace": namespace, "annotations": annotations or {}},
        "spec": spec,
    }


class Proxy:
    @staticmethod
    def binary():
        return os.path.abspath(os.environ.get("PROXY") or os.path.join(os.environ.get("BUILD", "build"), "sluice-proxy"))

    def __init__(self, objects, options=(), folder=None, wait=True, env=None, binary=None):
        self.folder = folder
        self.dir = os.path.join(folder, "manifests")
        os.makedirs(self.dir, exist_ok=True)
        self.objects = {}
        self.write("all", objects)
        self.port = free_port()
        self.metrics_port = free_port()
        self.log = os.path.join(folder, "access.log")
        self.err = open(os.path.join(folder, "stderr"), "ab")
        options = list(options)
        self.command = [binary or self.binary(), "--watch-ingress-without-class"]
        defaults = {
            "--source": f"dir:{self.dir}",
            "--http-addr": f"{CLIENT}:{self.port}",
            "--https-addr": "off",
            "--metrics-addr": f"127.0.0.1:{self.metrics_port}",
            "--access-log": self.log,
            "--workers": "1",
        }
        for name, value in defaults.items():
            if not any(o == name or o.startswith(name + "=") for o in options):
                self.command += [name, value]
        self.command += options
        self.process = subprocess.Popen(
            self.command, stderr=self.err, stdout=self.err, env=env, preexec_fn=die_with_parent)
        self.address = CLIENT
        if wait:
            self.wait()

    def write(self, name, objects):
        """Replaces one manifest file as a whole."""
        path = os.path.join(self.dir, f"{name}.json")
        with open(path + ".new", "w") as f:
            json.dump({"apiVersion": "v1", "kind": "List", "items": objects}, f)
        os.rename(path + ".new", path)

    def wait(self):
        """Until it serves what it was given."""

        def ready():
            if self.process.poll() is not None:
                raise Failure(f"the proxy ended: {self.stderr()}")
            try:
                with socket.create_connection((self.address, self.port), timeout=2) as s:
                    s.sendall(b"GET /.not/there HTTP/1.1\r\nHost: not.there\r\nConnection: close\r\n\r\n")
                    got = b""
                    while b"\r\n\r\n" not in got:
                        data = s.recv(65536)
                        if not data:
                            return got != b""
                        got += data
                    return b" 503 " not in got.split(b"\r\n")[0]
            except OSError:
                return False

        until(ready, "the proxy serves")

    def stderr(self):
        with open(os.path.join(self.folder, "stderr"), "rb") as f:
            return f.read().decode("utf-8", "replace")

    def records(self):
        """Lines of the access log so far."""
        try:
            with open(self.log) as f:
                all_of = [json.loads(line) for line in f if line.endswith("\n")]
                return [r for r in all_of if r.get("host") != "not.there"]
        except FileNotFoundError:
            return []

    def record(self, **want):
        """The record that says all this; waits for it."""

        def find():
            for r in self.records():
                if all(r.get(k) == v for k, v in want.items()):
                    return r
            return None

        return until(find, f"a record with {want}: {self.records()[-3:]}")

    def memory_kib(self):
        with open(f"/proc/{self.process.pid}/smaps_rollup") as f:
            for line in f:
                if line.startswith("Pss:"):
                    return int(line.split()[1])
        return 0

    def cpu_ns(self):
        """What all of its threads have run for: unlike a clock's, this time is the same on a busy machine."""
        folder = f"/proc/{self.process.pid}/task"
        total = 0
        for task in os.listdir(folder):
            with open(f"{folder}/{task}/schedstat") as f:
                total += int(f.read().split()[0])
        return total

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def stopped(self):
        """All of its threads were stopped by a signal."""
        folder = f"/proc/{self.process.pid}/task"
        for task in os.listdir(folder):
            with open(f"{folder}/{task}/stat") as f:
                if f.read().rsplit(")", 1)[1].split()[0] != "T":
                    return False
        return True

    def terminate(self):
        self.process.send_signal(signal.SIGTERM)

    def end(self):
        """Ends it, and says what its exit was."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(1)
            except subprocess.TimeoutExpired:
                self.process.send_signal(signal.SIGTERM)  # asked twice: cuts what is left
                try:
                    self.process.wait(3 * DEADLINE)
                except subprocess.TimeoutExpired:
                    self.process.kill()
                    self.process.wait()
        self.err.close()
        return self.process.returncode


def die_with_parent():
    """PR_SET_PDEATHSIG: a test that is killed leaves no proxy behind."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def free_port():
    with socket.socket() as s:
        s.bind((CLIENT, 0))
        return s.getsockname()[1]


class Test:
    def __init__(self, folder):
        self.folder = folder
        self.ends = []
        self.proxies = []

    def origin(self, handler, **options):
        o = Origin(handler, **options)
        self.ends.append(o.close)
        return o

    def closed_port(self):
        """Where nobody listens."""
        with socket.socket() as s:
            s.bind((ADDRESS, 0))
            return s.getsockname()[1]

    def proxy(self, what, *options, **more):
        """what: path to an origin or a list of them, or a list of objects."""
        if isinstance(what, dict):
            what = self.manifests(what, more.pop("annotations", None), more.pop("host", None))
        p = Proxy(what, options, folder=os.path.join(self.folder, f"proxy{len(self.proxies)}"), **more)
        self.proxies.append(p)
        return p

    @staticmethod
    def manifests(paths, annotations=None, host=None):
        objects, names = [], {}
        for i, (path, origins) in enumerate(paths.items()):
            if not isinstance(origins, (list, tuple)):
                origins = [origins]
            points = [(ADDRESS, o) if isinstance(o, int) else (o.address, o.port) for o in origins]
            names[path] = f"s{i}"
            objects += service(f"s{i}", points)
        return objects + [ingress("i", names, host, annotations)]

    def client(self, proxy, source=None, **options):
        sock = socket.socket()
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for name, value in options.items():
            sock.setsockopt(socket.SOL_SOCKET, getattr(socket, name), value)
        sock.settimeout(DEADLINE)
        if source:
            sock.bind((source, 0))
        sock.connect((proxy.address, proxy.port))
        s = Stream(sock)
        self.ends.append(sock.close)
        return s

    def get(self, proxy, path="/", fields="", host="a.test", method="GET"):
        """One request on a connection of its own."""
        c = self.client(proxy)
        c.send(f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{fields}\r\n".encode())
        r = c.final(is_head=method == "HEAD")
        c.close()
        return r

    def done(self):
        problems = []
        for end in self.ends:
            try:
                end()
            except OSError:
                pass
        for p in self.proxies:
            early = p.process.poll()
            code = p.end()
            if code not in (0,) or early not in (None, 0):
                problems.append(f"the proxy ended with {code}: {p.stderr()[-3000:]}")
            elif "ERROR: " in p.stderr() or "runtime error" in p.stderr():
                problems.append(p.stderr()[-3000:])
        return problems


# ---- running --------------------------------------------------------------------------------------------------------


def own_namespace():
    """Loopback of one's own, with the addresses that origins and clients have."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    for command in (
        "ip link set lo up",
        f"ip address add {ADDRESS}/32 dev lo",
        f"ip address add {CLIENT}/32 dev lo",
        "ip address add 10.77.0.3/32 dev lo",
    ):
        subprocess.run(command.split(), check=True)


def main():
    only = sys.argv[1:]
    tests = [t for t in _tests if not only or any(o in t[0] for o in only)]
    if os.geteuid() != 0:
        print("1..0 # SKIP needs root, for a network namespace")
        return
    own_namespace()
    print(f"1..{len(tests)}", flush=True)
    failed = 0
    keep = os.environ.get("KEEP")
    for i, (name, fn, options) in enumerate(tests, 1):
        folder = tempfile.mkdtemp(prefix="sluice-ingress-")
        t = Test(folder)
        begin = time.monotonic()
        trouble = None
        try:
            fn(t)
        except Exception as e:  # pylint: disable=broad-except
            trouble = "".join(traceback.format_exception(e)) if not isinstance(e, Failure) else (
                "".join(traceback.format_tb(e.__traceback__)[-2:]) + str(e))
            for p in t.proxies:
                trouble += "\n" + p.stderr()[-3000:]
        for problem in t.done():
            trouble = (trouble or "") + "\n" + problem
        print(f"{'not ok' if trouble else 'ok'} {i} {name}", flush=True)
        if trouble:
            failed += 1
            for line in trouble.splitlines():
                print(f"# {line}", flush=True)
        if os.environ.get("TIMES"):
            print(f"# {time.monotonic() - begin:.2f} s", flush=True)
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)
    sys.stdout.flush()
    os._exit(1 if failed else 0)  # threads of origins may still wait

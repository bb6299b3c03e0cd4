# SPDX-License-Identifier: GPL-2.0-only
"""
HTTP/2 for tests: a client and an origin, on python3-h2, which may also break the rules where a test wants that.

    c = Client(t, p, sni="a.test")            # TLS with ALPN; sni=None: prior knowledge on the plain port
    s = c.request("/x", method="POST", end=False)
    c.data(s, b"…", end=True)
    r = c.final(s)                            # .status .fields .body .trailers .reset (a code, or None)
"""

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings

from harness import *

CONFIG = {"header_encoding": "utf-8", "validate_outbound_headers": False, "normalize_outbound_headers": False,
          "validate_inbound_headers": True}


class Answer:
    def __init__(self):
        self.status, self.fields, self.interim = None, [], []
        self.body = bytearray()
        self.trailers = []
        self.ended = False
        self.reset = None
        self.waiting = 0  # bytes of the body whose window was not given back

    def get(self, name, default=None):
        return dict(self.fields).get(name, default)

    def __repr__(self):
        return f"<{self.status} {self.fields} {self.body[:100]!r} ended={self.ended} reset={self.reset}>"


def context(cafile=None, alpn=("h2",)):
    ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    ctx.check_hostname = False
    ctx.verify_mode = ssl.CERT_NONE
    if cafile:
        ctx.load_verify_locations(cafile)
        ctx.verify_mode = ssl.CERT_REQUIRED
    if alpn:
        ctx.set_alpn_protocols(list(alpn))
    return ctx


class Client:
    def __init__(self, t, proxy, sni="a.test", ctx=None, session=None, window=None):
        port = proxy.https_port if sni is not None else proxy.port
        self.sock = socket.create_connection((proxy.address, port), timeout=DEADLINE)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.authority = sni or "a.test"
        self.scheme = "https" if sni is not None else "http"
        if sni is not None:
            ctx = ctx or context()
            self.sock = ctx.wrap_socket(self.sock, server_hostname=sni or None, session=session)
            equal(self.sock.selected_alpn_protocol(), "h2", "ALPN")
        t.ends.append(self.sock.close)
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, **CONFIG))
        self.h2.initiate_connection()
        if window:
            self.h2.increment_flow_control_window(window)
        self.answers = {}
        self.goaways = []  # (code, last stream)
        self.ended = False
        self.consumes = lambda stream: True
        self.flush()

    def flush(self):
        data = self.h2.data_to_send()
        if data:
            self.sock.sendall(data)

    def request(self, path="/", method="GET", fields=(), end=True, authority=None):
        s = self.h2.get_next_available_stream_id()
        head = [(":method", method), (":scheme", self.scheme), (":authority", authority or self.authority),
                (":path", path), *fields]
        self.answers[s] = Answer()
        self.h2.send_headers(s, head, end_stream=end)
        self.flush()
        return s

    def data(self, s, data, end=False):
        """All of it, as windows allow."""
        stop = time.monotonic() + DEADLINE
        while data:
            n = min(len(data), self.h2.local_flow_control_window(s), self.h2.max_outbound_frame_size)
            if n <= 0:
                check(time.monotonic() < stop, "the window stays closed")
                self.poll()
                continue
            self.h2.send_data(s, data[:n])
            data = data[n:]
            self.flush()
        if end:
            self.h2.end_stream(s)
            self.flush()

    def reset(self, s, code=h2.errors.ErrorCodes.CANCEL):
        self.h2.reset_stream(s, code)
        self.flush()

    def poll(self, timeout=DEADLINE):
        """Reads once. False at the end."""
        self.sock.settimeout(timeout)
        try:
            data = self.sock.recv(262144)
        except (ConnectionError, ssl.SSLEOFError):
            data = b""
        if not data:
            self.ended = True
            return False
        for e in self.h2.receive_data(data):
            self.take(e)
        self.flush()
        return True

    def take(self, e):
        if isinstance(e, h2.events.ConnectionTerminated):
            self.goaways.append((e.error_code, e.last_stream_id))
            self.h2.state_machine.state = h2.connection.ConnectionState.CLIENT_OPEN  # the first is no end
            return
        a = self.answers.get(getattr(e, "stream_id", None))
        if not a:
            return
        if isinstance(e, h2.events.InformationalResponseReceived):
            a.interim.append(dict(e.headers))
        elif isinstance(e, h2.events.ResponseReceived):
            a.fields = e.headers
            a.status = int(a.get(":status"))
        elif isinstance(e, h2.events.DataReceived):
            a.body += e.data
            if self.consumes(e.stream_id):
                self.h2.acknowledge_received_data(e.flow_controlled_length, e.stream_id)
            else:
                a.waiting += e.flow_controlled_length
                self.h2.increment_flow_control_window(e.flow_controlled_length)
        elif isinstance(e, h2.events.TrailersReceived):
            a.trailers = e.headers
        elif isinstance(e, h2.events.StreamEnded):
            a.ended = True
        elif isinstance(e, h2.events.StreamReset):
            a.reset = e.error_code

    def until(self, fn, what):
        end = time.monotonic() + DEADLINE
        while not fn():
            check(time.monotonic() < end and not self.ended, f"not in time, or ended: {what}", str(self.answers)[:2000],
                  self.goaways)
            try:
                self.poll(max(0.01, end - time.monotonic()))
            except TimeoutError:
                pass
        return True

    def final(self, s):
        a = self.answers[s]
        self.until(lambda: a.ended or a.reset is not None, f"stream {s}")
        return a

    def get(self, path="/", **more):
        return self.final(self.request(path, **more))


class Fast:
    """A client on the plain port that counts bytes of bodies and does nothing else, so that a test can tell the proxy's speed."""

    WIDE = (1 << 31) - 1 - 65535

    def __init__(self, t, proxy):
        self.sock = socket.socket()
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)  # so that the proxy has to wait for room
        self.sock.settimeout(DEADLINE)
        self.sock.connect((proxy.address, proxy.port))
        t.ends.append(self.sock.close)
        self.next, self.buf = 1, bytearray()
        self.got, self.ended = {}, set()
        self.sock.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + self.frame(4, 0, 0, b"") + self.window(0))

    @staticmethod
    def frame(kind, flags, stream, payload):
        return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload

    def window(self, stream):
        return self.frame(8, 0, stream, struct.pack(">I", self.WIDE))

    def request(self, path, wide=True):
        """wide: its window is never closed; else it is, after 65535 bytes."""
        s = self.next
        self.next += 2
        self.got[s] = 0
        # Fields of the static table, by number; others as they are.
        head = b"\x82\x86" + b"".join(bytes([n, len(v)]) + v for n, v in ((0x01, b"a.test"), (0x04, path)))
        self.sock.sendall(self.frame(1, 5, s, head) + (self.window(s) if wide else b""))
        return s

    def until(self, fn):
        while not fn():
            data = self.sock.recv(1 << 20)
            check(data, "the connection ended")
            self.buf += data
            at = 0
            while len(self.buf) - at >= 9:
                n = int.from_bytes(self.buf[at : at + 3], "big")
                kind, flags, stream = struct.unpack_from(">BBI", self.buf, at + 3)
                if len(self.buf) - at < 9 + n:
                    break
                check(kind not in (3, 7), f"frame of type {kind} of stream {stream}")
                if kind == 0:
                    self.got[stream] += n
                if kind in (0, 1) and flags & 1:
                    self.ended.add(stream)
                if kind == 4 and not flags & 1:
                    self.sock.sendall(self.frame(4, 1, 0, b""))
                at += 9 + n
            del self.buf[:at]


# ---- an origin ------------------------------------------------------------------------------------------------------


class Call:
    """A stream at the origin."""

    def __init__(self, stream, fields):
        self.stream, self.fields = stream, fields
        self.path = dict(fields)[":path"]
        self.body = bytearray()
        self.trailers = []
        self.ended = False
        self.reset = None


class Server:
    """An origin of HTTP/2 by prior knowledge; on_call(conn, call) runs when a request is complete."""

    def __init__(self, t, on_call, streams=None):
        self.on_call, self.streams = on_call, streams
        self.calls = []
        self.connections = []
        self.most = 0  # calls at once
        self.origin = t.origin(self.serve)
        self.address, self.port = self.origin.address, self.origin.port

    def serve(self, c):
        conn = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, **CONFIG))
        conn.initiate_connection()
        if self.streams:
            conn.update_settings({h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: self.streams})
        conn.sock = c.sock
        conn.open = {}
        self.connections.append(conn)
        c.sock.settimeout(60)
        flush(conn)
        while data := c.sock.recv(262144):
            for e in conn.receive_data(data):
                self.take(conn, e)
            flush(conn)

    def take(self, conn, e):
        call = conn.open.get(getattr(e, "stream_id", None))
        if isinstance(e, h2.events.RequestReceived):
            call = Call(e.stream_id, e.headers)
            conn.open[e.stream_id] = call
            self.calls.append(call)
            self.most = max(self.most, sum(not c.ended for c in conn.open.values()))
        elif isinstance(e, h2.events.DataReceived):
            call.body += e.data
            conn.acknowledge_received_data(e.flow_controlled_length, e.stream_id)
        elif isinstance(e, h2.events.TrailersReceived):
            call.trailers = e.headers
        elif isinstance(e, h2.events.StreamReset) and call:
            call.reset = e.error_code
        elif isinstance(e, h2.events.StreamEnded):
            self.on_call(conn, call)
            call.ended = True


def flush(conn):
    data = conn.data_to_send()
    if data:
        conn.sock.sendall(data)


def reply(conn, call, body=b"ok", fields=(), trailers=()):
    conn.send_headers(call.stream, [(":status", "200"), *fields])
    conn.send_data(call.stream, body, end_stream=not trailers)
    if trailers:
        conn.send_headers(call.stream, list(trailers), end_stream=True)
    flush(conn)


# ---- certificates -----------------------------------------------------------------------------------------------------


def make_pair(folder, name, hosts, issuer=None):
    """Files name.crt and name.key; issuer: another name. hosts empty: a CA."""
    base = os.path.join(folder, name)
    more = ["-addext", "subjectAltName=" + ",".join("DNS:" + h for h in hosts)] if hosts else []
    if issuer:
        more += ["-CA", os.path.join(folder, issuer + ".crt"), "-CAkey", os.path.join(folder, issuer + ".key")]
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days",
                    "2", "-subj", f"/CN={name}", "-keyout", base + ".key", "-out", base + ".crt", *more], check=True,
                   capture_output=True)
    return base + ".crt", base + ".key"


def secret(folder, name, pair=None, ca=None, namespace="default"):
    import base64

    def text(path):
        with open(path, "rb") as f:
            return base64.b64encode(f.read()).decode()

    data = {}
    if pair:
        data["tls.crt"], data["tls.key"] = (text(os.path.join(folder, f"{pair}.{e}")) for e in ("crt", "key"))
    if ca:
        data["ca.crt"] = text(os.path.join(folder, ca + ".crt"))
    return {"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls" if pair else "Opaque",
            "metadata": {"name": name, "namespace": namespace}, "data": data}


def tls_proxy(t, objects, *options, **more):
    port = free_port()
    p = t.proxy(objects, "--https-addr", f"{CLIENT}:{port}", *options, **more)
    p.https_port = port
    return p

# SPDX-License-Identifier: GPL-2.0-only
"""The cases of tests/data/http-abuse.json that are frames of HTTP/2, sent by hand to the running proxy."""

from h2peer import *

DATA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "data", "http-abuse.json")
HEADERS, PRIORITY, RST, SETTINGS, PING, GOAWAY, WINDOW, CONTINUATION = 1, 2, 3, 4, 6, 7, 8, 9
END_STREAM, END_HEADERS = 1, 4
NO_ERROR, PROTOCOL, FLOW, CLOSED, REFUSED, CANCEL, CALM = 0, 1, 3, 5, 7, 8, 11
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

_cases = {}


def case(name):
    def add(fn):
        _cases[name] = fn
        return fn

    return add


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def literal(text):
    text = text.encode("latin-1")
    check(len(text) < 127)
    return bytes([len(text)]) + text


def block(*fields):
    """Literals that are never indexed."""
    return b"".join(b"\x10" + literal(n) + literal(v) for n, v in fields)


def head(method="GET", path="/", scheme="http", authority="a.test"):
    return [(":method", method), (":scheme", scheme), (":authority", authority), (":path", path)]


class Raw(Stream):
    """A connection of frames. What has come: .resets by stream, .answers (streams with HEADERS), .data, .goaway, .over."""

    def __init__(self, t, proxy, settings=b""):
        super().__init__(socket.create_connection((proxy.address, proxy.port)))
        t.ends.append(self.sock.close)
        self.resets, self.answers, self.data, self.goaway, self.over, self.pings = {}, set(), {}, None, False, 0
        self.send(PREFACE + frame(SETTINGS, 0, 0, settings))

    def request(self, stream, fields=None, flags=END_STREAM | END_HEADERS):
        self.send(frame(HEADERS, flags, stream, block(*(fields or head()))))

    def pump(self):
        """Reads what is there, or waits for some; the rest of a frame is waited for."""
        try:
            header = self.exactly(9)
            payload = self.exactly(int.from_bytes(header[:3], "big"))
        except (EOFError, ConnectionError):
            self.over = True
            return
        kind, _flags, stream = header[3], header[4], int.from_bytes(header[5:9], "big")
        if kind == RST:
            self.resets[stream] = int.from_bytes(payload, "big")
        elif kind == HEADERS:
            self.answers.add(stream)
        elif kind == 0:
            self.data[stream] = self.data.get(stream, 0) + len(payload)
        elif kind == PING:
            self.pings += 1
        elif kind == GOAWAY:
            self.goaway = int.from_bytes(payload[4:8], "big")

    def until(self, fn, what):
        while not fn(self):
            check(not self.over, f"the connection ended: {what}", self.resets, self.answers, self.goaway)
            self.pump()

    def end(self):
        while not self.over:
            self.pump()

    def attack(self, pieces):
        """As much of it as is taken, and then until the end or a word."""
        try:
            for piece in pieces:
                self.send(piece)
                if select.select([self.sock], [], [], 0)[0]:
                    self.pump()
                if self.over:
                    return
        except OSError:
            self.over = True


_shared = {}


def shared():
    """One proxy for all: what one case does must not matter to another."""
    if not _shared:
        t = Test(tempfile.mkdtemp(prefix="sluice-ingress-"))
        o = t.origin(answer("hello"))
        _shared.update(t=t, o=o, p=t.proxy({"/": o}, "--client-timeout", "2s", "--head-timeout", "3s"))
    return _shared["o"], _shared["p"]


def lives(t, p):
    """Somebody else is served as ever."""
    c = Raw(t, p)
    c.request(1)
    c.until(lambda c: 1 in c.answers, "another client's answer")


def malformed(t, *fields, base=None, code=PROTOCOL):
    """Is reset and not forwarded; the connection goes on."""
    o, p = shared()
    n = len(o.requests)
    c = Raw(t, p)
    c.request(1, (base or head()) + list(fields))
    c.until(lambda c: 1 in c.resets, fields)
    equal(c.resets[1], code, fields)
    equal(len(o.requests), n, "requests at the origin")
    c.request(3)
    c.until(lambda c: 3 in c.answers, "the next request")


@case("h2-rapid-reset")
def _(t):
    o, p = shared()
    n = len(o.requests)
    c = Raw(t, p)
    c.attack(frame(HEADERS, END_STREAM | END_HEADERS, s, block(*head())) + frame(RST, 0, s, struct.pack(">I", CANCEL))
             for s in range(1, 20001, 2))
    c.end()
    check(c.goaway in (None, CALM), c.goaway)
    check(len(o.requests) - n < 1000, len(o.requests) - n)
    lives(t, p)


@case("h2-made-you-reset")
def _(t):
    _, p = shared()
    # An increment of nothing, one past the limit, bytes behind the end: each makes the other side reset.
    for flags, kind, payload in ((0, WINDOW, b"\0\0\0\0"), (0, WINDOW, b"\x7f\xff\xff\xff"), (END_STREAM, 0, b"x")):
        c = Raw(t, p)
        c.attack(frame(HEADERS, END_HEADERS | flags, s, block(*head("POST"))) + frame(kind, 0, s, payload)
                 for s in range(1, 4001, 2))
        c.end()
        check(len(c.resets) < 1000, kind, len(c.resets))
    lives(t, p)


@case("h2-continuation-empty")
def _(t):
    _, p = shared()
    c = Raw(t, p)
    c.attack([frame(HEADERS, END_STREAM, 1, block(*head()))] + [frame(CONTINUATION, 0, 1)] * 10000)
    c.end()
    lives(t, p)


@case("h2-priority-flood")
def _(t):
    _, p = shared()
    c = Raw(t, p)
    c.attack([frame(PRIORITY, 0, 1, struct.pack(">IB", 0, 7))] * 10000)
    c.end()
    check(c.goaway in (None, CALM), c.goaway)
    lives(t, p)


@case("h2-stream-id-even-or-lower")
def _(t):
    _, p = shared()
    for ids in ((2,), (5, 3)):
        c = Raw(t, p)
        for s in ids:
            c.request(s)
        c.end()
        equal(c.goaway, PROTOCOL, ids)


@case("h2-window-overflow")
def _(t):
    _, p = shared()
    c = Raw(t, p)
    c.send(frame(WINDOW, 0, 0, struct.pack(">I", 2**31 - 1)))
    c.end()
    equal(c.goaway, FLOW)
    c = Raw(t, p)
    c.request(1, head("POST"), END_HEADERS)
    c.send(frame(WINDOW, 0, 1, struct.pack(">I", 2**31 - 1)))
    c.until(lambda c: 1 in c.resets, "a reset")
    equal(c.resets[1], FLOW)


@case("h2-flow-control-violation")
def _(t):
    go = threading.Event()

    def handler(c):
        c.request(body=False)
        go.wait(20)

    o = t.origin(handler)
    p = t.proxy({"/": o}, "--retry-body-bytes", "0", annotations={"nginx.ingress.kubernetes.io/proxy-body-size": "0"})
    c = Raw(t, p)
    c.request(1, head("POST"), END_HEADERS)
    c.attack([frame(0, 0, 1, b"x" * 16384)] * 2000)
    c.sock.settimeout(DEADLINE)
    while not c.over and 1 not in c.resets and c.goaway is None:
        c.pump()
    check(c.resets.get(1, c.goaway) in (FLOW, None) and (c.over or c.resets or c.goaway), c.resets, c.goaway)
    go.set()


@case("h2-uppercase-name")
def _(t):
    malformed(t, ("X-Foo", "x"))


@case("h2-connection-header")
def _(t):
    for field in (("connection", "close"), ("transfer-encoding", "chunked"), ("upgrade", "websocket")):
        malformed(t, field)


@case("h2-colon-or-space-in-name")
def _(t):
    malformed(t, ("foo: bar", "x"))
    malformed(t, ("foo bar", "x"))
    malformed(t, ("foo\r\nbar", "x"))
    malformed(t, ("foo", "x\r\nbar: y"))
    malformed(t, ("foo", "x\0y"))


@case("h2-path-empty-or-star")
def _(t):
    malformed(t, base=head(path=""))
    malformed(t, base=head(path="*"))
    malformed(t, base=head(path="x"))
    malformed(t, base=head(path="/ HTTP/1.1\r\nx: y"))


@case("h2-method-with-space")
def _(t):
    malformed(t, base=head("GET /admin HTTP/1.1"))


@case("h2-unknown-pseudo")
def _(t):
    malformed(t, (":foo", "x"))
    malformed(t, ("x", "y"), (":method", "GET"))


@case("h2-content-length-mismatch")
def _(t):
    _, p = shared()
    c = Raw(t, p)
    c.request(1, head("POST") + [("content-length", "3")], END_HEADERS)
    c.send(frame(0, END_STREAM, 1, b"12345"))
    c.until(lambda c: 1 in c.resets, "a reset")
    equal(c.resets[1], PROTOCOL)
    c.request(3, head("POST") + [("content-length", "9")], END_HEADERS)
    c.send(frame(0, END_STREAM, 3, b"12345"))
    c.until(lambda c: 3 in c.resets, "a reset")
    equal(c.resets[3], PROTOCOL)
    malformed(t, ("content-length", "3"))
    lives(t, p)


@case("h2-content-length-twice")
def _(t):
    malformed(t, ("content-length", "3"), ("content-length", "5"))
    malformed(t, ("content-length", "0"), ("content-length", "0"))
    malformed(t, ("content-length", "+0"))


@case("h2-scheme-mismatch")
def _(t):
    malformed(t, base=head(scheme="http\n"))
    malformed(t, base=head(scheme="javascript"))


@case("h2-tiny-window-slow-read")
def _(t):
    seen = []

    def handler(c):
        while r := c.request():
            if r.target != "/slow":
                c.answer("ok")
                continue
            c.sock.settimeout(30)
            c.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (64 << 20))
            try:
                for _i in range(1024):
                    c.send(b"x" * 65536)
            except OSError:
                seen.append(time.monotonic())
                return

    o = t.origin(handler)
    p = t.proxy({"/": o}, "--client-timeout", "1s")
    before = p.memory_kib()
    c = Raw(t, p, struct.pack(">HI", 4, 1))
    c.request(1, head(path="/slow"))
    c.until(lambda c: c.data.get(1), "a byte")
    check(p.memory_kib() - before < 4096, "memory", p.memory_kib() - before)
    c.until(lambda c: 1 in c.resets, "a reset after a while")
    equal((c.data[1], c.resets[1]), (1, CANCEL))
    until(lambda: seen, "the origin sees the end")


with open(DATA, encoding="utf-8") as _f:
    _known = [c["name"] for c in json.load(_f)["cases"] if c.get("proto") == "h2"]
for _name in _known:
    test(_name)(_cases.pop(_name))
check(not _cases, "cases that are in no data", list(_cases))

if __name__ == "__main__":
    main()

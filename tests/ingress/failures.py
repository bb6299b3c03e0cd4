# SPDX-License-Identifier: GPL-2.0-only
"""What goes wrong on either side, and what the other side sees of it."""

from harness import *

GET = b"GET %s HTTP/1.1\r\nHost: a.test\r\n\r\n"
POST = b"POST %s HTTP/1.1\r\nHost: a.test\r\nContent-Length: %d\r\n\r\n"


def serve_then(first, rest=answer("ok")):
    """A handler that is `first` for the first connection that has a request, and `rest` for others."""
    lock = threading.Lock()
    done = []

    def handler(c):
        with lock:
            mine = not done
            done.append(1)
        (first if mine else rest)(c)

    return handler


# ---- truncation -----------------------------------------------------------------------------------------------------

ORIGIN_FRAMINGS = {
    "length": b"Content-Length: 1000\r\n\r\n" + b"x" * 400,
    "chunked": b"Transfer-Encoding: chunked\r\n\r\n190\r\n" + b"x" * 400 + b"\r\n",
    "chunk": b"Transfer-Encoding: chunked\r\n\r\n1000\r\n" + b"x" * 400,
    "close": b"\r\n" + b"x" * 400,
}


def truncated(kind, how):
    def handler(c):
        r = c.request()
        if not r:
            return
        c.send(b"HTTP/1.1 200 OK\r\n" + ORIGIN_FRAMINGS[kind])
        c.origin.go.wait(DEADLINE)
        if how == "reset":
            c.reset()

    return handler


for _kind in ORIGIN_FRAMINGS:
    for _how in ("close", "reset"):
        if (_kind, _how) == ("close", "close"):
            continue  # that is its end
        for _version in ("1.1", "1.0"):

            @test(f"truncation is no end: origin {_kind} {_how}, client HTTP/{_version}")
            def _(t, kind=_kind, how=_how, version=_version):
                o = t.origin(truncated(kind, how))
                o.go = threading.Event()
                p = t.proxy({"/": o})
                c = t.client(p)
                c.send(b"GET /x HTTP/%s\r\nHost: a.test\r\n\r\n" % version.encode())
                line, fields = c.head()
                r = Response(line, fields)
                while c.buf.count(b"x") < 400:
                    check(c.more(), "what came before")
                o.go.set()
                got = c.ended()
                equal(got.count(b"x"), 400)
                if r.get("transfer-encoding"):
                    check(not got.endswith(b"0\r\n\r\n"), got[-20:])
                elif r.get("content-length") is None:
                    equal(c.how, "rst", "an end by close cannot be told from a truncation")
                record = p.record(status=200)
                equal(record["ended_by"], "origin", record)


# ---- the client -----------------------------------------------------------------------------------------------------


def silent(c):
    """Takes requests, and says when the connection ended."""
    c.request()
    c.ended(60)
    c.origin.ended_at = time.monotonic()


@test("the client closes while it waits: the origin's connection ends within 100 ms")
def _(t):
    o = t.origin(silent)
    p = t.proxy({"/": o})
    for end in ("fin", "reset"):
        o.ended_at = None
        n = len(o.requests)
        c = t.client(p)
        c.send(GET % b"/x")
        until(lambda: len(o.requests) > n, "the request")
        begin = time.monotonic()
        getattr(c, end)()
        until(lambda: o.ended_at, "the origin sees the end")
        check(o.ended_at - begin < 0.1, o.ended_at - begin)
    until(lambda: len(p.records()) == 2, "two records")
    equal({r["ended_by"] for r in p.records()}, {"client"})


@test("the client closes amid an answer that it does not read: reading is paused, the end is seen all the same")
def _(t):
    def handler(c):
        c.request()
        try:
            c.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
            while True:
                c.send(b"x" * 65536)
        except OSError:
            c.origin.ended_at = time.monotonic()

    o = t.origin(handler)
    o.ended_at = None
    p = t.proxy({"/": o})
    c = t.client(p, SO_RCVBUF=8192)
    c.send(GET % b"/x")
    c.head()
    begin = time.monotonic()
    c.fin()
    until(lambda: o.ended_at, "the origin sees the end")
    check(o.ended_at - begin < 0.1, o.ended_at - begin)


@test("--client-half-close: a client that ended its writing gets its answer")
def _(t):
    go = threading.Event()

    def handler(c):
        c.request()
        go.wait(DEADLINE)
        c.answer("late")

    o = t.origin(handler)
    p = t.proxy({"/": o}, "--client-half-close")
    c = t.client(p)
    c.send(GET % b"/x")
    c.fin()
    until(lambda: o.requests, "the request")
    go.set()
    equal(c.response().body, b"late")
    equal(c.ended(), b"")


@test("--client-half-close: a FIN amid a request's body is an end all the same")
def _(t):
    def handler(c):
        r = c.request(body=False)
        if r:
            c.origin.got = c.ended()

    for framing, part in (b"Content-Length: 10", b"12345"), (b"Transfer-Encoding: chunked", b"5\r\n12345\r\n"):
        o = t.origin(handler)
        o.got = None
        p = t.proxy({"/": o}, "--client-half-close")
        c = t.client(p)
        c.send(b"POST /x HTTP/1.1\r\nHost: a.test\r\n%s\r\n\r\n%s" % (framing, part))
        until(lambda: o.requests, "the request")
        c.fin()
        until(lambda: o.got is not None, "the origin sees the end")
        check(not o.got.endswith(b"0\r\n\r\n"), "a whole body", o.got)
        equal(c.ended(), b"")
        equal(p.record(path="/x")["ended_by"], "client")


@test("slow heads and bodies: 408, each in its time; silence between requests is just closed")
def _(t):
    o = t.origin(echo)
    names = "--head-timeout", "--client-timeout", "--keep-alive-timeout"
    # Each alone is short: another one's end would come too late.
    proxies = [t.proxy({"/": o}, *(w for n in names for w in (n, "1s" if n == short else "60s"))) for short in names]
    begin = time.monotonic()
    head, body, idle = (t.client(p) for p in proxies)
    head.send(b"GET / HTTP/1.1\r\nHost: a.te")
    body.send(POST % (b"/", 10) + b"12345")
    r = head.response()
    equal((r.status, r.get("connection")), (408, "close"))
    head.ended()
    r = body.response()
    equal(r.status, 408)
    equal(idle.ended(), b"")
    check(0.9 < time.monotonic() - begin < 30, time.monotonic() - begin)
    # Each byte on its own does not prolong it.
    c = t.client(proxies[0])
    begin = time.monotonic()
    try:
        for byte in b"GET / HTTP/1.1\r\nHost: a.test\r\nX: " + b"y" * 500:
            c.send(bytes([byte]))
            if select.select([c.sock], [], [], 0.1)[0]:
                break
    except OSError:
        pass
    check(time.monotonic() - begin < 20, time.monotonic() - begin)


@test("a client that takes nothing is given up after --client-timeout")
def _(t):
    def handler(c):
        c.request()
        try:
            c.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n" + b"x" * 100000000)
        except OSError:
            c.origin.ended_at = time.monotonic()

    o = t.origin(handler)
    o.ended_at = None
    p = t.proxy({"/": o}, "--client-timeout", "1s")
    c = t.client(p, SO_RCVBUF=8192)
    c.send(GET % b"/x")
    c.head()
    until(lambda: o.ended_at, "the origin sees the end")
    equal(p.record(status=200)["ended_by"], "client")


@test("malformed requests: 400, nothing reaches an origin, the connection ends")
def _(t):
    o = t.origin(answer())
    p = t.proxy({"/": o})
    for raw in (b"GET / HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nX : 1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"):
        c = t.client(p)
        c.send(raw)
        r = c.response()
        equal((r.status, r.get("connection")), (400, "close"))
        equal((c.ended(), c.how), (b"", "fin"))
    c = t.client(p)
    c.send(b"POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")
    equal(c.response().status, 400)
    c.ended()
    equal([r for r in o.requests if r.method == "GET"], [])


# ---- limits ---------------------------------------------------------------------------------------------------------


@test("413: at once where the length says it, amid the body where chunks do")
def _(t):
    o = t.origin(echo)
    p = t.proxy({"/": o}, "--max-body-bytes", "1000")
    c = t.client(p)
    c.send(POST % (b"/", 1001) + b"x" * 1001)
    r = c.response()
    equal((r.status, r.get("connection")), (413, None))
    c.send(POST % (b"/", 1000) + b"x" * 1000)
    equal(c.response().status, 200)
    c.send(b"POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n" + b"258\r\n" + b"y" * 600 + b"\r\n")
    c.send(b"258\r\n" + b"y" * 600 + b"\r\n0\r\n\r\n")
    equal(c.response().status, 413)
    c = t.client(p)
    c.send(POST % (b"/", 1000000000))
    r = c.response()
    equal((r.status, r.get("connection")), (413, "close"))


@test("connections of one address, and in all, are limited; what goes makes room")
def _(t):
    o = t.origin(answer())
    p = t.proxy({"/": o}, "--max-connections-per-ip", "3")
    clients = [t.client(p, source=CLIENT) for _ in range(3)]
    for c in clients:
        c.send(GET % b"/")
        equal(c.response().status, 200)
    one_more = t.client(p, source=CLIENT)
    equal(one_more.ended(), b"")
    other = t.client(p, source="10.77.0.3")
    other.send(GET % b"/")
    equal(other.response().status, 200)
    clients[0].close()

    def room():
        c = t.client(p, source=CLIENT)
        try:
            c.send(GET % b"/")
            return c.response().status == 200
        except (OSError, EOFError):
            return False
        finally:
            c.close()

    until(room, "room for another")


@test("when all connections are taken, the oldest that is idle makes room for a new one; busy ones stay")
def _(t):
    o = t.origin(silent)
    p = t.proxy({"/busy": o, "/": t.origin(answer())}, "--max-connections", "16")
    until(lambda: p.descriptors() < 40, "what looked whether it serves is gone")
    busy = [t.client(p) for _ in range(4)]
    for c in busy:
        c.send(GET % b"/busy")
    until(lambda: len(o.requests) == 4, "they are busy")
    idle = [t.client(p) for _ in range(12)]
    for c in idle:
        c.send(GET % b"/")
        equal(c.response().status, 200)
    more = []
    for i in range(5):
        c = t.client(p)
        c.send(GET % b"/")
        equal(c.response().status, 200)
        more.append(c)
    for c in idle[:5]:
        equal(c.ended(), b"")
    for c in idle[5:] + more:
        c.send(GET % b"/")
        equal(c.response().status, 200)
    equal(select.select([c.sock for c in busy], [], [], 0)[0], [])


@test("heads larger than allowed: 414 and 431")
def _(t):
    o = t.origin(answer())
    p = t.proxy({"/": o}, "--max-line-bytes", "1000", "--max-head-bytes", "2000", "--max-fields", "10")
    for raw, status in (
        (b"GET /" + b"x" * 1100 + b" HTTP/1.1\r\nHost: a.test\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nHost: a.test\r\nX: " + b"x" * 1100 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: a.test\r\n" + b"X: y\r\n" * 10 + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: a.test\r\n" + (b"X: " + b"x" * 500 + b"\r\n") * 4 + b"\r\n", 431),
    ):
        c = t.client(p)
        c.send(raw)
        equal(c.response().status, status)


# ---- the origin -----------------------------------------------------------------------------------------------------


def another_gets_it(t, p):
    """Bodies are echoed, until the endpoint that cannot be had was the first choice of one."""
    c = t.client(p)
    for i in range(100):
        body = b"%d" % i * 100
        c.send(POST % (b"/", len(body)) + body)
        r = c.response()
        equal((r.status, r.body), (200, body))
        until(lambda: len(p.records()) > i, "its record")
        if any(r["attempts"] == 2 for r in p.records()):
            return
    raise Failure("the endpoint was never tried")


@test("an endpoint that refuses connections: another one gets the request, body and all")
def _(t):
    o = t.origin(echo)
    another_gets_it(t, t.proxy({"/": [t.closed_port(), o]}))


@test("an endpoint to which there is no way: another one gets the request, body and all")
def _(t):
    o = t.origin(echo)
    another_gets_it(t, t.proxy(service("s", [("203.0.113.9", 80), (o.address, o.port)]) + [ingress("i", {"/": "s"})]))


@test("reset before an answer: GET goes to another endpoint, POST does not, as it may have been acted on")
def _(t):
    def kill(c):
        r = c.request()
        if r:
            c.origin.killed.append(r.method)
            c.reset()

    bad = t.origin(kill)
    bad.killed = []
    good = t.origin(answer("good"))
    p = t.proxy({"/": [bad, good]}, "--max-tries", "3")
    while not bad.killed:  # the budget has room for it
        equal(t.get(p).status, 200)
    while "POST" not in bad.killed:
        n = len(bad.killed)
        c = t.client(p)
        c.send(POST % (b"/", 2) + b"hi")
        equal(c.response().status, 502 if len(bad.killed) > n else 200)


@test("--max-tries: so many endpoints get a request that all of them fail, and no more")
def _(t):
    def kill(c):
        if c.request():
            c.reset()

    note = "nginx.ingress.kubernetes.io/proxy-next-upstream-tries"
    for options, notes, tries in (
            ((), {}, 3), (("--max-tries", "2"), {}, 2), (("--max-tries", "1"), {}, 1),
            (("--max-tries", "2"), {note: "3"}, 3), (("--max-tries", "2"), {note: "0"}, 4)):
        origins = [t.origin(kill) for _ in range(4)]
        p = t.proxy({"/": origins}, *options, annotations=notes)
        equal(t.get(p).status, 502)
        equal(sum(len(o.requests) for o in origins), tries, options)


@test("retries have a budget: when everything fails, few requests are sent twice")
def _(t):
    def kill(c):
        if c.request():
            c.reset()

    origins = [t.origin(kill) for _ in range(3)]
    p = t.proxy({"/": origins})
    n = 200
    for _i in range(n):
        t.get(p)
    sent = sum(len(o.requests) for o in origins)
    check(n * 0.5 <= sent <= n * 1.1 + 3 * 10 + 3, sent)


@test("an idle connection that the origin closes under a request: the request is sent again, POST too")
def _(t):
    def once(c):
        """Ends each connection when its second request comes, as if it had been idle for too long."""
        if c.request():
            c.answer("first")
            c.request(body=False)
            c.origin.cut += 1

    o = t.origin(once)
    o.cut = 0
    p = t.proxy({"/": o})
    c = t.client(p)
    for i in range(4):  # three second tries, for which the budget has room
        c.send(POST % (b"/", 5) + b"hello")
        r = c.response()
        equal((r.status, r.body), (200, b"first"), i)
    equal(o.cut, 3)


@test("an idle connection whose end has come is not used for what cannot be sent twice")
def _(t):
    def handler(c):
        if r := c.request():
            c.answer(str(len(r.body)))
            c.origin.go.wait(DEADLINE)  # and closes, without a word

    o = t.origin(handler)
    o.go = threading.Event()
    p = t.proxy({"/": o}, "--max-body-bytes", "off")
    c = t.client(p)
    body = b"x" * 300000
    until(lambda: o.connections, "the first connection")
    o.go.set()
    for _i in range(10):
        o.go = threading.Event()
        c.send(POST % (b"/", 2) + b"hi")
        equal(c.response().body, b"2")
        # The request comes before the end of the idle connection, and the proxy sees both at once.
        p.process.send_signal(signal.SIGSTOP)
        until(p.stopped, "it stands still")
        c.send(POST % (b"/", len(body)) + body)
        last = o.connections[-1]
        o.go.set()
        until(lambda: last.over, "its end")
        p.process.send_signal(signal.SIGCONT)
        r = c.response()
        equal((r.status, r.body), (200, b"300000"), r)
        until(lambda: o.connections[-1].over, "the end of this one, too")


@test("idle connections: kept for --endpoint-keep-alive, or as the origin says; a FIN is seen at once")
def _(t):
    def handler(c):
        while r := c.request():
            fields = [("Keep-Alive", "timeout=2")] if r.target == "/short" else []
            c.answer(str(len(c.origin.connections)), fields=fields)
            if r.target == "/close":
                return

    o = t.origin(handler)
    p = t.proxy({"/": o}, "--endpoint-keep-alive", "60s")

    def ask(path):
        return int(t.get(p, path).body)

    first = ask("/x")
    equal(ask("/x"), first, "reused")
    ask("/short")  # which may stay for a second
    alive = o.connections[first - 1]
    until(lambda: alive.over, "its end")
    second = ask("/close")
    check(second > first)
    check(ask("/x") > second)
    p2 = t.proxy({"/": o}, "--endpoint-keep-alive", "1s")
    begin = time.monotonic()
    n = int(t.get(p2, "/x").body)
    until(lambda: o.connections[n - 1].over, "its end")
    check(0.9 < time.monotonic() - begin < 3.9, time.monotonic() - begin)  # 4 s if nothing is said


@test("an endpoint that leaves: its idle connections close at once, running requests end in peace")
def _(t):
    go = threading.Event()

    def handler(c):
        while r := c.request():
            if r.target == "/long":
                c.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n")
                go.wait(DEADLINE)
                c.send(b"3\r\ntwo\r\n0\r\n\r\n")
            else:
                c.answer("idle")

    old, new = t.origin(handler), t.origin(answer("new"))
    p = t.proxy({"/": old}, "--endpoint-keep-alive", "60s")
    equal(t.get(p).body, b"idle")
    idle = old.connections[-1]
    c = t.client(p)
    c.send(GET % b"/long")
    c.head()
    d = t.client(p)
    d.send(GET % b"/x")
    equal(d.response().body, b"idle")
    idle = old.connections[-1]
    p.write("all", t.manifests({"/": new}))
    until(lambda: idle.over, "its end")
    until(lambda: t.get(p).body == b"new", "the new endpoint")
    go.set()
    equal(c.chunked()[0], b"onetwo")


@test("time-outs of the origin: connect, first byte, idle")
def _(t):
    def handler(c):
        r = c.request()
        if not r:
            return
        if r.target == "/idle":
            c.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n")
        c.ended(30)

    o = t.origin(handler)
    full = socket.socket()  # a queue that is full takes no connection
    full.bind((ADDRESS, 0))
    full.listen(0)
    fill = []
    for _i in range(4):
        s = socket.socket()
        s.setblocking(False)
        s.connect_ex((ADDRESS, full.getsockname()[1]))
        fill.append(s)
    objects = (
        service("o", [(o.address, o.port)])
        + service("full", [(ADDRESS, full.getsockname()[1])])
        + [ingress("i", {"/": "o", "/full": "full"})]
    )
    names = {b"/first": "--first-byte-timeout", b"/idle": "--idle-timeout", b"/full": "--connect-timeout"}
    # Each alone is short: another one's end would come too late.
    proxies = {path: t.proxy(objects, *(w for n in names.values() for w in (n, "1s" if n == short else "60s")))
               for path, short in names.items()}
    begin = time.monotonic()
    clients = {path: t.client(p) for path, p in proxies.items()}
    for path, c in clients.items():
        c.send(GET % path)
    equal(clients[b"/first"].response().status, 504)
    r = clients[b"/idle"].response()
    equal((r.status, r.complete), (200, False))
    check(clients[b"/full"].response().status in (502, 504))
    check(0.9 < time.monotonic() - begin < DEADLINE, time.monotonic() - begin)
    for s in fill + [full]:
        s.close()


@test("broken answers: 502, and nothing of them reaches the client")
def _(t):
    bad = {
        "/garbage": b"hello\r\n\r\n",
        "/two": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "/length": b"HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello",
        "/space": b"HTTP/1.1 200 OK\r\nX : 1\r\nContent-Length: 0\r\n\r\n",
        "/nothing": b"",
        "/half": b"HTTP/1.1 200 OK\r\nContent-",
        "/huge": b"HTTP/1.1 200 OK\r\n" + (b"X: " + b"x" * 8000 + b"\r\n") * 10 + b"\r\n",
    }

    def handler(c):
        while r := c.request():
            c.send(bad[r.target])
            return

    o = t.origin(handler)
    p = t.proxy({"/": o})
    c = t.client(p)
    for path in bad:
        c.send(GET % path.encode())
        r = c.response()
        equal(r.status, 502, path)
        check(b"x" * 100 not in r.body)


@test("bytes behind an answer poison their connection, and nothing else")
def _(t):
    def handler(c):
        while c.request():
            c.origin.most = max(c.origin.most, len(c.requests))
            c.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")

    o = t.origin(handler)
    o.most = 0
    p = t.proxy({"/": o})
    c = t.client(p)
    for _i in range(5):
        c.send(GET % b"/")
        equal(c.response().body, b"ok")
    equal(o.most, 1, "requests of one connection")


# ---- waiting and ending ----------------------------------------------------------------------------------------------


@test("--wait-for-endpoint holds a request until one is ready, or the time is over")
def _(t):
    o = t.origin(echo)
    p = t.proxy({"/": []}, "--wait-for-endpoint", "1s", host="a.test")
    begin = time.monotonic()
    r = t.get(p)
    equal(r.status, 503)
    check(int(r.get("retry-after")) > 0)
    check(0.9 < time.monotonic() - begin < DEADLINE)
    p = t.proxy({"/": []}, "--wait-for-endpoint", "30s", host="a.test")
    c = t.client(p)
    body = os.urandom(50000)
    c.send(POST % (b"/", len(body)) + body)
    until(lambda: not select.select([c.sock], [], [], 0.1)[0], "it waits")
    p.write("all", t.manifests({"/": o}, host="a.test"))
    r = c.response()
    check(r.status == 200 and r.body == body, r)


@test("SIGTERM: no new connections, idle ones close, what runs ends with its answer, then the process does")
def _(t):
    go = threading.Event()

    def handler(c):
        while r := c.request():
            if r.target == "/long":
                go.wait(DEADLINE)
            c.answer("done")

    o = t.origin(handler)
    p = t.proxy({"/": o})
    idle, busy, stream = t.client(p), t.client(p), t.client(p)
    idle.send(GET % b"/x")
    idle.response()
    busy.send(GET % b"/long")
    until(lambda: any(r.target == "/long" for r in o.requests), "the request")
    p.terminate()
    equal(idle.ended(), b"")
    equal(stream.ended(), b"")

    def refused():
        try:
            t.client(p)
            return False
        except OSError:
            return True

    until(refused, "new connections are refused")
    check(p.process.poll() is None)
    go.set()
    r = busy.response()
    equal((r.body, r.get("connection")), (b"done", "close"))
    busy.ended()
    equal(p.process.wait(DEADLINE), 0)


@test("--drain-timeout cuts what is left, with a reset and a reason")
def _(t):
    o = t.origin(silent)
    p = t.proxy({"/": o}, "--drain-timeout", "1s")
    c = t.client(p)
    c.send(GET % b"/x")
    until(lambda: o.requests, "the request")
    begin = time.monotonic()
    p.terminate()
    c.ended()
    equal(c.how, "rst")
    check(0.8 < time.monotonic() - begin < DEADLINE)
    equal(p.process.wait(DEADLINE), 0)
    equal(p.record(path="/x")["ended"], "drained")


# ---- the PROXY header -----------------------------------------------------------------------------------------------


@test("PROXY headers, versions 1 and 2: the client is who they name")
def _(t):
    o = t.origin(answer())
    p = t.proxy({"/": o}, "--proxy-protocol", wait=False)
    mapped = lambda last: b"\0" * 10 + b"\xff\xff\1\2\3" + bytes([last])
    headers = {
        b"PROXY TCP4 1.2.3.4 5.6.7.8 1000 80\r\n": "1.2.3.4",
        b"PROXY TCP6 2001:db8::1 2001:db8::2 1000 80\r\n": "2001:db8::1",
        b"PROXY TCP6 ::ffff:1.2.3.4 ::ffff:5.6.7.8 1000 80\r\n": "1.2.3.4",
        b"PROXY UNKNOWN\r\n": CLIENT,
        b"\r\n\r\n\0\r\nQUIT\n\x21\x21\0\x24" + mapped(7) + mapped(8) + b"\x03\xe8\0\x50": "1.2.3.7",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x01\x02\x03\x05\x05\x06\x07\x08\x03\xe8\0\x50": "1.2.3.5",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x10\x01\x02\x03\x06\x05\x06\x07\x08\x03\xe8\0\x50\x04\0\x01x": "1.2.3.6",
        b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0": CLIENT,
    }

    def listening():
        try:
            t.client(p).close()
            return True
        except OSError:
            return False

    until(listening, "it listens")
    first = next(iter(headers))

    def ready():
        c = t.client(p)
        c.send(first + GET % b"/")
        return c.response().status == 200

    until(ready, "it serves")
    for header, address in headers.items():
        for step in (len(header), 1):
            c = t.client(p)
            for at in range(0, len(header), step):
                c.send(header[at : at + step])
            for _i in range(2):
                c.send(GET % b"/")
                equal(c.response().status, 200)
            equal(o.requests[-1].get("x-real-ip"), address)
    for bad in (b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n", b"PROXY TCP4 1.2.3 4 5 6\r\n", b"PROXY " + b"x" * 200):
        c = t.client(p)
        c.send(bad)
        equal(c.ended(), b"")


@test("--proxy-protocol with --trusted-proxies: nobody else is let in, whatever the header says")
def _(t):
    o = t.origin(answer())
    p = t.proxy({"/": o}, "--proxy-protocol", "--trusted-proxies", f"{CLIENT}/32", wait=False)
    request = b"PROXY TCP4 1.2.3.4 5.6.7.8 1000 80\r\n" + GET % b"/"

    def ready():
        try:
            c = t.client(p)
        except OSError:
            return False
        c.send(request)
        return c.response().status == 200

    until(ready, "a trusted one is served")
    n = len(o.requests)
    c = t.client(p, source="10.77.0.3")
    try:
        c.send(request)
    except OSError:
        pass  # it was closed before that
    equal(c.ended(), b"")
    equal(len(o.requests), n)


if __name__ == "__main__":
    main()

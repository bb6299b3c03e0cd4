# SPDX-License-Identifier: GPL-2.0-only
"""HTTP/1.1 through the proxy: what crosses it, and in which form."""

from harness import *

GET = b"GET %s HTTP/1.1\r\nHost: a.test\r\n\r\n"


@test("keep-alive: many requests on one connection of either side")
def _(t):
    o = t.origin(answer("hello"))
    p = t.proxy({"/": o})
    c = t.client(p)
    for i in range(50):
        c.send(GET % b"/x")
        r = c.response()
        equal((r.status, r.body), (200, b"hello"))
        check(r.get("connection") is None, r)
    equal(len(o.connections), 1, "connections to the origin")


@test("pipelining: answers in the order of requests, whatever the cuts")
def _(t):
    def handler(c):
        while r := c.request():
            c.answer(r.target + ":" + r.body.decode())

    o = t.origin(handler)
    p = t.proxy({"/": o})
    text = b"".join(b"POST /%d HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3\r\n\r\n%03d" % (i, i) for i in range(40))
    for step in (len(text), 1, 7, 100):
        c = t.client(p)
        for at in range(0, len(text), step):
            c.send(text[at : at + step])
        for i in range(40):
            r = c.response()
            equal(r.body, b"/%d:%03d" % (i, i))
        c.close()


@test("chunks both ways, with trailers")
def _(t):
    def handler(c):
        while r := c.request():
            equal(r.get("transfer-encoding"), "chunked")
            check(r.get("content-length") is None)
            c.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n")
            c.send(b"%x\r\n%s\r\n" % (len(r.body), r.body))
            got = dict(r.trailers)
            c.send(b"0\r\nX-Sum: %s\r\n\r\n" % got.get("X-In", "none").encode())

    o = t.origin(handler)
    p = t.proxy({"/": o})
    c = t.client(p)
    for _i in range(3):
        c.send(b"POST /t HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n")
        c.send(b"5;ext=1\r\nhello\r\n")
        c.send(b"6\r\n world\r\n0\r\nX-In: yes\r\n\r\n")
        r = c.response()
        equal((r.status, r.body, r.trailers), (200, b"hello world", [("X-Sum", "yes")]))


@test("framing that names a route or a length is no trailer")
def _(t):
    o = t.origin(echo)
    p = t.proxy({"/": o})
    c = t.client(p)
    c.send(
        b"POST /t HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n"
        b"Content-Length: 5\r\nHost: b.test\r\nX-Good: 1\r\n\r\n"
    )
    equal(c.response().status, 200)
    equal(o.requests[0].trailers, [("X-Good", "1")])


@test("100-continue is the origin's to say")
def _(t):
    seen = []

    def handler(c):
        while r := c.request(body=False):
            seen.append(bytes(c.buf))
            c.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            c.body(r)
            c.answer(r.body)

    o = t.origin(handler)
    p = t.proxy({"/": o})
    c = t.client(p)
    c.send(b"POST /t HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
    r = c.response()
    equal(r.status, 100)
    equal(o.requests[0].get("expect"), "100-continue")
    c.send(b"hello")
    r = c.response()
    equal((r.status, r.body), (200, b"hello"))
    equal(seen, [b""], "body before 100")


@test("a final answer instead of 100 stops the upload")
def _(t):
    def handler(c):
        while c.request(body=False):
            c.answer("no", "403 Forbidden")

    o = t.origin(handler)
    p = t.proxy({"/": o})
    c = t.client(p)
    c.send(b"POST /t HTTP/1.1\r\nHost: a.test\r\nContent-Length: 500000\r\nExpect: 100-continue\r\n\r\n")
    r = c.response()
    equal((r.status, r.body, r.get("connection")), (403, b"no", "close"))
    c.ended()
    equal(c.how, "fin")


@test("a final answer amid an upload reaches the client, which then learns that nobody reads on")
def _(t):
    def handler(c):
        c.request(body=False)
        c.exactly(100000)
        c.answer("enough", "413 Content Too Large", [("Connection", "close")])
        c.ended()

    o = t.origin(handler)
    p = t.proxy({"/": o}, "--max-body-bytes", "off")
    c = t.client(p)
    c.send(b"POST /t HTTP/1.1\r\nHost: a.test\r\nContent-Length: 100000000\r\n\r\n" + b"x" * 200000)
    r = c.response()
    equal((r.status, r.body, r.get("connection")), (413, b"enough", "close"))


@test("a connection whose request did not end gets no other, though its answer did")
def _(t):
    """What was left of the first would be the beginning of the second, or the second the end of the first."""
    def handler(c):
        c.origin.n += 1
        n = c.origin.n
        while c.request(body=False):
            c.answer(f"connection {n}")

    o = t.origin(handler)
    o.n = 0
    p = t.proxy({"/": o})
    for framing, part in (b"Content-Length: 10", b"12345"), (b"Transfer-Encoding: chunked", b"5\r\n12345\r\n"):
        c = t.client(p)
        c.send(b"POST /first HTTP/1.1\r\nHost: a.test\r\n%s\r\n\r\n%s" % (framing, part))
        first, second = c.response(), t.get(p, "/second")
        equal((first.status, second.status, o.requests[-1].line), (200, 200, "GET /second HTTP/1.1"))
        check(first.body != second.body, "both on", first.body)


@test("other interim answers pass, but not to HTTP/1.0; a flood of them does not")
def _(t):
    def handler(c):
        while r := c.request():
            n = 1000 if r.target == "/flood" else 2
            for _i in range(n):
                c.send(b"HTTP/1.1 103 Early Hints\r\nLink: </s.css>; rel=preload\r\n\r\n")
            c.answer("done")

    o = t.origin(handler)
    p = t.proxy({"/": o})
    c = t.client(p)
    c.send(GET % b"/x")
    r = c.final()
    equal(([i.status for i in r.interim], r.body), ([103, 103], b"done"))
    c = t.client(p)
    c.send(b"GET /x HTTP/1.0\r\nHost: a.test\r\n\r\n")
    r = c.final()
    equal((r.interim, r.body), ([], b"done"))
    c = t.client(p)
    c.send(GET % b"/flood")
    r = c.final()
    equal(r.status, 502)
    check(len(r.interim) < 64)


@test("upgrade: bytes both ways after 101, and ends in either direction")
def _(t):
    def handler(c):
        r = c.request()
        equal((r.get("upgrade"), r.get("connection").lower()), ("websocket", "upgrade"))
        c.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nfirst")
        while data := c.take(len(c.buf)) or c.sock.recv(65536):
            c.send(data.upper())
            if data.endswith(b"bye"):
                return

    o = t.origin(handler)
    p = t.proxy({"/": o})
    ask = b"GET /w HTTP/1.1\r\nHost: a.test\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n\r\n"
    c = t.client(p)
    c.send(ask + b"early")
    r = c.response()
    equal((r.status, r.get("upgrade")), (101, "websocket"))
    equal(c.exactly(10), b"firstEARLY")
    big = os.urandom(1 << 20)
    threading.Thread(target=c.send, args=(big,), daemon=True).start()
    equal(c.exactly(len(big)), big.upper())
    c.send(b"bye")
    equal(c.exactly(3), b"BYE")
    c.ended()
    equal(c.how, "fin")
    c = t.client(p)
    c.send(ask)
    c.response()
    c.exactly(5)
    c.fin()
    equal(c.ended(), b"")


@test("an upgrade that is refused leaves HTTP as it was; one that nobody asked for is a fault")
def _(t):
    def handler(c):
        while r := c.request():
            if r.target == "/bad":
                c.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
            else:
                c.answer("no", "426 Upgrade Required")

    o = t.origin(handler)
    p = t.proxy({"/": o})
    c = t.client(p)
    for _i in range(2):
        c.send(b"GET /w HTTP/1.1\r\nHost: a.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
        equal(c.response().status, 426)
    c.send(GET % b"/bad")
    equal(c.response().status, 502)


@test("HTTP/1.0: no chunks, close at the end, keep-alive where it is asked for")
def _(t):
    def handler(c):
        while r := c.request():
            if r.target == "/chunked":
                c.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
            else:
                c.answer("hello")

    o = t.origin(handler)
    p = t.proxy({"/": o})
    c = t.client(p)
    c.send(b"GET /chunked HTTP/1.0\r\nHost: a.test\r\n\r\n")
    r = c.response()
    equal((r.get("transfer-encoding"), r.body, r.get("connection")), (None, b"hello", "close"))
    c = t.client(p)
    c.send(b"GET /x HTTP/1.0\r\nHost: a.test\r\n\r\n")
    r = c.response()
    equal((r.body, r.get("connection")), (b"hello", "close"))
    c.ended()
    c = t.client(p)
    for _i in range(3):
        c.send(b"GET /x HTTP/1.0\r\nHost: a.test\r\nConnection: keep-alive\r\n\r\n")
        r = c.response()
        equal((r.body, r.get("connection")), (b"hello", "keep-alive"))
    equal({r.version for r in o.requests}, {"HTTP/1.1"})


@test("HEAD: the length without the body, on a connection that goes on")
def _(t):
    def handler(c):
        while r := c.request():
            if r.method == "HEAD":
                c.send(b"HTTP/1.1 200 OK\r\nContent-Length: 12345\r\n\r\n")
            else:
                c.answer("x")

    o = t.origin(handler)
    p = t.proxy({"/": o})
    c = t.client(p)
    for _i in range(3):
        c.send(b"HEAD /x HTTP/1.1\r\nHost: a.test\r\n\r\n")
        r = c.response(is_head=True)
        equal((r.status, r.get("content-length")), (200, "12345"))
        c.send(GET % b"/x")
        equal(c.response().body, b"x")
    c.send(b"HEAD /not HTTP/1.1\r\nHost: a.test\r\n\r\n")
    equal(c.response(is_head=True).status, 200)


@test("204 and 304 have no body")
def _(t):
    def handler(c):
        while r := c.request():
            status = b"204 No Content" if r.target == "/204" else b"304 Not Modified\r\nContent-Length: 99"
            c.send(b"HTTP/1.1 %s\r\n\r\n" % status)

    o = t.origin(handler)
    p = t.proxy({"/": o})
    c = t.client(p)
    for path, status in ((b"/204", 204), (b"/304", 304), (b"/204", 204)):
        c.send(GET % path)
        equal(c.response().status, status)
    equal(len(o.connections), 1)


@test("an origin whose answer ends with its connection")
def _(t):
    def handler(c):
        c.request()
        c.send(b"HTTP/1.1 200 OK\r\n\r\nhello ")
        c.send(b"world")

    o = t.origin(handler)
    p = t.proxy({"/": o})
    c = t.client(p)
    for _i in range(3):
        c.send(GET % b"/x")
        r = c.response()
        equal((r.get("transfer-encoding"), r.body, r.complete), ("chunked", b"hello world", True))


@test("large bodies both ways, in every framing, byte for byte")
def _(t):
    size = 5 * 1000 * 1000

    def handler(c):
        while r := c.request():
            kind = r.target[1:]
            if kind == "length":
                c.answer(r.body)
            elif kind == "chunked":
                c.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
                at = 0
                while at < len(r.body):
                    piece = r.body[at : at + 100003]
                    c.send(b"%x\r\n%s\r\n" % (len(piece), piece))
                    at += len(piece)
                c.send(b"0\r\n\r\n")
            else:
                c.send(b"HTTP/1.1 200 OK\r\n\r\n" + r.body)
                return

    o = t.origin(handler)
    p = t.proxy({"/": o}, "--max-body-bytes", "off")
    data = os.urandom(size)
    for up in ("length", "chunked"):
        for down in ("length", "chunked", "close"):
            c = t.client(p)

            def upload(c=c, up=up, down=down):
                if up == "length":
                    c.send(b"POST /%s HTTP/1.1\r\nHost: a.test\r\nContent-Length: %d\r\n\r\n" % (down.encode(), size))
                    c.send(data)
                else:
                    c.send(b"POST /%s HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n" % down.encode())
                    for at in range(0, size, 65537):
                        piece = data[at : at + 65537]
                        c.send(b"%x\r\n%s\r\n" % (len(piece), piece))
                    c.send(b"0\r\n\r\n")

            threading.Thread(target=upload, daemon=True).start()
            r = c.response()
            check(r.complete and r.body == data, up, down, len(r.body))
            c.close()


@test("what is forwarded about the client; nothing of it from a client that is not trusted")
def _(t):
    o = t.origin(answer())
    p = t.proxy({"/": o})
    t.get(p, "/", "X-Forwarded-For: 1.2.3.4\r\nX-Real-IP: 1.2.3.4\r\nX-Forwarded-Proto: https\r\n"
          "X-Forwarded-Host: evil\r\nForwarded: for=1.2.3.4\r\nX-Request-ID: abc-1\r\n"
          "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n")
    r = o.requests[-1]
    equal(r.all("x-forwarded-for"), [CLIENT])
    equal(r.all("x-real-ip"), [CLIENT])
    equal(r.all("x-forwarded-proto"), ["http"])
    equal(r.all("x-forwarded-host"), ["a.test"])
    equal(r.all("x-forwarded-port"), [str(p.port)])
    equal(r.all("forwarded"), [])
    equal(r.all("x-request-id"), ["abc-1"])
    equal(r.all("traceparent"), ["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"])
    t.get(p, "/", "X-Request-ID: a b\r\n")
    check(re.fullmatch("[0-9a-f]{32}", o.requests[-1].get("x-request-id")), o.requests[-1])


@test("a trusted proxy's word about the client is believed and continued")
def _(t):
    o = t.origin(answer())
    p = t.proxy({"/": o}, "--trusted-proxies", CLIENT + "/32,10.9.0.0/16")
    t.get(p, "/", "X-Forwarded-For: 6.6.6.6, 1.2.3.4, 10.9.0.7\r\nX-Forwarded-Proto: https\r\n"
          "X-Forwarded-Host: b.test\r\nX-Forwarded-Port: 8443\r\n")
    r = o.requests[-1]
    equal(r.all("x-forwarded-for"), ["6.6.6.6, 1.2.3.4, 10.9.0.7, " + CLIENT])
    equal(r.all("x-real-ip"), ["1.2.3.4"])
    equal(r.all("x-forwarded-proto"), ["https"])
    equal(r.all("x-forwarded-host"), ["b.test"])
    equal(r.all("x-forwarded-port"), ["8443"])
    equal(p.record(status=200)["client"], "1.2.3.4")


@test("fields of the connection stay on it")
def _(t):
    o = t.origin(answer(fields=[("Connection", "x-mine"), ("X-Mine", "1"), ("Keep-Alive", "timeout=5"), ("X-Other", "2")]))
    p = t.proxy({"/": o})
    r = t.get(p, "/", "Connection: x-priv\r\nX-Priv: 1\r\nProxy-Connection: x\r\nTE: trailers, deflate\r\nKeep-Alive: 5\r\n")
    q = o.requests[-1]
    equal([q.get(n) for n in ("x-priv", "proxy-connection", "keep-alive")], [None] * 3)
    equal([r.get(n) for n in ("x-mine", "keep-alive", "x-other")], [None, None, "2"])


@test("two workers serve one port")
def _(t):
    o = t.origin(answer("x"))
    p = t.proxy({"/": o}, "--workers", "4")
    for _i in range(40):
        equal(t.get(p).body, b"x")
    threads = len(os.listdir(f"/proc/{p.process.pid}/task"))
    check(threads >= 5, "threads", threads)


@test("answers of our own: no rule, no such Service, no endpoint, nobody listens")
def _(t):
    o = t.origin(answer("x"))
    objects = (
        service("ok", [(o.address, o.port)])
        + service("empty", [])
        + service("refused", [(ADDRESS, t.closed_port())])
        + [ingress("i", {"/ok": "ok", "/empty": "empty", "/refused": "refused", "/missing": "missing"}, "a.test")]
    )
    p = t.proxy(objects)
    c = t.client(p)
    for path, status, why in (
        (b"/none", 404, b"no rule"),
        (b"/missing", 503, b"no such Service"),
        (b"/empty", 503, b"no endpoint is ready"),
        (b"/refused", 502, b"no connection to the endpoint"),
        (b"/ok", 200, b"x"),
    ):
        c.send(GET % path)
        r = c.response()
        equal(r.status, status, path)
        check(why in r.body, r)
        if status == 503:
            check(int(r.get("retry-after")) > 0, r)
        if status != 200:
            check(re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", r.get("date")), r)
    equal(t.get(p, "/none", host="b.test").status, 404)


if __name__ == "__main__":
    main()

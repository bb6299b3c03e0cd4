# SPDX-License-Identifier: GPL-2.0-only
"""Streams: nothing is held back, nothing piles up, and what stalls holds up nobody else."""

from harness import *

GET = b"GET %s HTTP/1.1\r\nHost: a.test\r\n\r\n"
EVENTS = 12


def events(framing):
    """Each event carries when it was sent."""

    def handler(c):
        c.request()
        size = 32
        if framing == "length":
            c.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (size * EVENTS))
        elif framing == "chunked":
            c.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        else:
            c.send(b"HTTP/1.1 200 OK\r\n\r\n")
        for _i in range(EVENTS):
            c.origin.next.acquire(timeout=DEADLINE)  # the one before has arrived
            event = b"data: %.6f\n\n" % time.monotonic()
            event = event.ljust(size, b" ")
            c.send(b"%x\r\n%s\r\n" % (size, event) if framing == "chunked" else event)
        if framing == "chunked":
            c.send(b"0\r\n\r\n")

    return handler


for _framing in ("length", "chunked", "close"):

    @test(f"events arrive one by one, each at once: origin's framing is {_framing}")
    def _(t, framing=_framing):
        o = t.origin(events(framing))
        o.next = threading.Semaphore(0)
        p = t.proxy({"/": o})
        for version in (b"1.1", b"1.0"):
            c = t.client(p)
            c.send(b"GET / HTTP/%s\r\nHost: a.test\r\n\r\n" % version)
            c.head()
            delays = []
            while len(delays) < EVENTS:
                o.next.release()
                at = c.until(b"data: ")
                check(at is not None)
                sent = float(c.until(b"\n"))
                delays.append(time.monotonic() - sent)
            delays.sort()
            check(delays[1] < 0.01, "all but one later than 10 ms", delays)  # a machine that is busy delays some, a timer all


@test("the head of an answer does not wait for its body")
def _(t):
    go = threading.Event()

    def handler(c):
        c.request()
        c.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")
        go.wait(DEADLINE)
        c.send(b"ok")

    o = t.origin(handler)
    p = t.proxy({"/": o})
    c = t.client(p)
    c.send(GET % b"/")
    c.head()
    go.set()
    equal(c.exactly(2), b"ok")


@test("a request's body goes on as it comes, before its end")
def _(t):
    got = []

    def handler(c):
        r = c.request(body=False)
        for _i in range(3):
            got.append(c.exactly(4))
        c.answer("all")

    o = t.origin(handler)
    p = t.proxy({"/": o})
    c = t.client(p)
    c.send(b"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 12\r\n\r\n")
    for i in range(3):
        c.send(b"%04d" % i)
        until(lambda i=i: len(got) > i, "the piece is there")
    equal(c.response().body, b"all")


def flood(c):
    """Sends without end; how much it got rid of is in .sent."""
    c.sent = 0
    c.request()
    try:
        c.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000000\r\n\r\n")
        while True:
            c.sent += c.sock.send(b"x" * 65536)
    except OSError:
        pass


def settled(fn, what):
    """The value, once it does not change any more."""
    last = [None, 0]

    def same():
        value = fn()
        last[1] = last[1] + 1 if value == last[0] else 0
        last[0] = value
        return last[1] > 60  # 0.3 s of looks

    until(same, what + " comes to rest", 30)
    return last[0]


@test("a fast origin and clients that take nothing: at most 256 KiB each, and others as fast as before")
def _(t):
    o = t.origin(flood)
    quick = t.origin(answer("quick"))
    p = t.proxy({"/": o, "/quick": quick})
    equal(t.get(p, "/quick").status, 200)
    before, n = p.memory_kib(), 30
    stalled = []
    for _i in range(n):
        c = t.client(p, SO_RCVBUF=4096)
        c.send(GET % b"/")
        c.head()
        stalled.append(c)
    until(lambda: len(o.connections) == n, "all of them")
    settled(lambda: sum(getattr(c, "sent", 0) for c in o.connections), "what origins get rid of")
    grown = (p.memory_kib() - before) / n
    check(grown <= 256, "KiB each", grown)
    c = t.client(p)
    for _i in range(200):
        c.send(GET % b"/quick")
        equal(c.response().body, b"quick")
    begin = p.cpu_ns()
    for _i in range(50):
        c.send(GET % b"/quick")
        c.response()
    check(p.cpu_ns() - begin < 1e9, "nanoseconds for 50 requests", p.cpu_ns() - begin)


@test("a fast client and an origin that takes nothing: at most 256 KiB, and the client is stopped")
def _(t):
    def handler(c):
        c.request(body=False)
        c.origin.go.wait(120)
        c.body(c.requests[0])
        c.answer(str(len(c.requests[0].body)))

    o = t.origin(handler)
    o.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    o.go = threading.Event()
    # The kernel's buffers, which may grow beyond a whole body, are not what is looked at.
    with open("/proc/sys/net/ipv4/tcp_rmem", "w") as f:
        f.write("4096 131072 1048576")
    p = t.proxy({"/": o}, "--max-body-bytes", "off")
    size = 30000000
    before, n, sent = p.memory_kib(), 10, [0] * 10

    def upload(i, c):
        data = memoryview(b"x" * size)
        while sent[i] < size:
            sent[i] += c.sock.send(data[sent[i] : sent[i] + 65536])

    clients = []
    for i in range(n):
        c = t.client(p, SO_SNDBUF=65536)
        c.sock.settimeout(60)
        c.send(b"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: %d\r\n\r\n" % size)
        threading.Thread(target=upload, args=(i, c), daemon=True).start()
        clients.append(c)
    until(lambda: len(o.connections) == n, "all of them")
    settled(lambda: sum(sent), "what clients get rid of")
    check(max(sent) < size)
    grown = (p.memory_kib() - before) / n
    check(grown <= 256, "KiB each", grown)
    o.go.set()
    for c in clients:
        equal(c.response().body, b"%d" % size)


@test("bodies in pieces of any size between sides that stop and go: nothing is lost, nothing stands still")
def _(t):
    pieces = [os.urandom(n) for n in (1, 7, 100, 4095, 20000, 300000, 3, 65536, 1, 150001, 2) for _ in range(2)]
    data = b"".join(pieces)

    def handler(c):
        r = c.request(body=False)
        if r.target == "/up":
            c.origin.go.wait(DEADLINE)
            c.body(r)
            c.answer(str(r.body == data), fields=[("Connection", "close")])
            return
        close = r.target == "/close"
        c.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\n")
        c.send(b"\r\n" if close else b"Transfer-Encoding: chunked\r\n\r\n")
        for piece in pieces * 8:
            c.send(piece if close else b"%x\r\n%s\r\n" % (len(piece), piece))
        if not close:
            c.send(b"0\r\n\r\n")

    o = t.origin(handler)
    o.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    p = t.proxy({"/": o}, "--max-body-bytes", "off")
    for path in (b"/chunked", b"/close"):
        for _i in range(4):
            c = t.client(p, SO_RCVBUF=4096)
            c.send(GET % path)
            c.head()
            settled(lambda c=c: len(c.sock.recv(1 << 20, socket.MSG_PEEK)), "the client's buffer")
            body, _ = c.chunked()
            check(body == data * 8, path, len(body))
    for _i in range(4):
        o.go = threading.Event()
        c = t.client(p, SO_SNDBUF=8192)
        c.send(b"POST /up HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n")

        def upload(c=c):
            for piece in pieces:
                c.send(b"%x\r\n%s\r\n" % (len(piece), piece))
            c.send(b"0\r\n\r\n")

        threading.Thread(target=upload, daemon=True).start()
        until(lambda: o.connections and not o.connections[-1].over, "the request")
        o.go.set()
        r = c.response()
        check(r.body == b"True", r, o.errors)


@test("an event stream that is silent costs at most 6 KiB")
def _(t):
    def handler(c):
        c.request()
        c.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n: a\n\r\n")
        c.origin.go.wait(60)

    o = t.origin(handler)
    o.go = threading.Event()
    p = t.proxy({"/": o})
    n = 400
    warm = [t.client(p) for _ in range(20)]
    for c in warm:
        c.send(GET % b"/")
        c.head()
    before = p.memory_kib()
    streams = []
    for _i in range(n):
        c = t.client(p)
        c.send(GET % b"/")
        c.head()
        streams.append(c)
    each = (p.memory_kib() - before) / n
    print(f"# {each:.2f} KiB a stream", flush=True)
    check(each <= 6, "KiB each", each)
    o.go.set()


@test("connections leave nothing behind: descriptors and memory after thousands of them")
def _(t):
    o = t.origin(answer("x"))
    p = t.proxy({"/": o}, "--endpoint-keep-alive", "1s")

    def rounds(n):
        for i in range(n):
            c = t.client(p)
            c.send((b"POST /x HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3\r\n\r\n" if i % 3 else GET % b"/y")[: None if i % 5 else 30])
            if i % 5:
                if i % 3:
                    c.send(b"abc")
                if i % 7:
                    c.response()
            c.reset() if i % 2 else c.close()

    rounds(500)
    memory = p.memory_kib()
    rounds(3000)
    until(lambda: p.descriptors() < 40, "descriptors are closed")
    check(p.memory_kib() - memory < 500, p.memory_kib() - memory)


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: GPL-2.0-only
"""--vanished-timeout: who answers nothing any more is given up in that time, and only he."""

from h2peer import *

GET = b"GET %s HTTP/1.1\r\nHost: a.test\r\n\r\n"
POST = b"POST %s HTTP/1.1\r\nHost: a.test\r\nContent-Length: %d\r\n\r\n"
BIG = 6000000
TIMEOUT = 1.0
VANISHING = "10.77.0.3"


@contextlib.contextmanager
def vanished():
    """No packet of that address comes through any more, nor one to it: nothing is refused, nothing acknowledged."""
    try:
        for command in (
            "nft add table inet vanish",
            "nft add chain inet vanish in { type filter hook input priority 0 ; }",
            f"nft add rule inet vanish in ip saddr {VANISHING} drop",
            f"nft add rule inet vanish in ip daddr {VANISHING} drop",
        ):
            subprocess.run(command.split(), check=True)
        yield time.monotonic()
    finally:
        subprocess.run("nft delete table inet vanish".split(), check=True)


def segments(sock):
    """tcpi_segs_in: how many segments have come, probes of a closed window among them."""
    return struct.unpack_from("I", sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256), 140)[0]


def ended(origin):
    return origin.connections and all(c.over for c in origin.connections)


def quick_or_big(c):
    while r := c.request():
        c.answer(b"x" * (BIG if r.target == "/big" else 150000))


def upload_to(go):
    """An origin that reads nothing of a body until go is set."""

    def handler(c):
        r = c.request(body=False)
        if r:
            go.wait(60)
            c.body(r)
            c.answer(str(len(r.body)))

    return handler


class Paused(Server):
    """The same of HTTP/2."""

    def __init__(self, t, go):
        super().__init__(t, lambda conn, call: reply(conn, call, b"%d" % len(call.body)))
        self.go = go

    def take(self, conn, e):
        if isinstance(e, h2.events.DataReceived):
            self.go.wait(60)
        super().take(conn, e)


def narrow(origin):
    origin.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    return origin


def narrow_kernel():
    """Neither side's kernel holds a whole body."""
    for name in "rmem", "wmem":
        with open(f"/proc/sys/net/ipv4/tcp_{name}", "w") as f:
            f.write("4096 16384 262144")


def start(fn):
    """In a thread; what it returned, or raised, is in the list."""
    out = []

    def run():
        try:
            out.append(fn())
        except (OSError, EOFError, Failure) as e:
            out.append(e)

    threading.Thread(target=run, daemon=True).start()
    return out


@test("a closed window is no vanished peer: clients and origins that take nothing for three times as long go on")
def _(t):
    narrow_kernel()
    go = threading.Event()
    one, two = narrow(t.origin(upload_to(go))), Paused(t, go)
    narrow(two.origin)
    fast = t.origin(quick_or_big)
    objects = [
        *service("fast", [(fast.address, fast.port)]),
        *service("one", [(one.address, one.port)]),
        *service("two", [(two.address, two.port)], app_protocol="kubernetes.io/h2c"),
        ingress("i", {"/": "fast", "/one": "one", "/two": "two"}),
    ]
    p = t.proxy(objects, "--vanished-timeout", f"{TIMEOUT:.0f}s", "--max-body-bytes", "off")
    clients = {}
    for path in b"/small", b"/big":  # all of it is with the proxy's kernel; the proxy holds some of it
        c = clients[path] = t.client(p, SO_RCVBUF=4096)
        c.send(GET % path)
        c.head()
    second = Client(t, p, sni=None, window=2 * BIG)
    second.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    second.h2.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 2 * BIG})
    second.flush()
    stream = second.request("/big")
    uploads = []
    for path in b"/one", b"/two":
        c = t.client(p)
        c.sock.settimeout(60)
        uploads.append(start(lambda c=c, path=path: (c.send(POST % (path, BIG) + b"x" * BIG), c.response())[1]))
    until(lambda: len(one.requests) == 1 and len(two.calls) == 1, "both uploads")
    socks = [c.sock for c in clients.values()] + [second.sock]
    begin, seen = time.monotonic(), {}
    # Three times as long, and a probe of each window was answered late in that time.
    def stood():
        if time.monotonic() - begin < 2.5 * TIMEOUT:
            seen.update({s: segments(s) for s in socks})
            return False
        return time.monotonic() - begin > 3 * TIMEOUT and all(segments(s) > seen[s] for s in socks)

    until(stood, "probes of closed windows")
    go.set()
    for path, size in (b"/small", 150000), (b"/big", BIG):
        equal(len(clients[path].exactly(size)), size, path)
    second.answers[stream].body = bytearray()
    equal(len(second.final(stream).body), BIG)
    for name, got in zip(("HTTP/1.1", "HTTP/2"), uploads):
        until(lambda got=got: got, f"the upload by {name}", 30)
        check(not isinstance(got[0], Exception), name, got)
        equal(got[0].body, b"%d" % BIG, name)


@test("a peer that answers nothing any more is given up in time: amid an answer, with its window closed, and in silence")
def _(t):
    narrow_kernel()
    def stream(c):
        c.request()
        try:
            c.send(b"HTTP/1.1 200 OK\r\n\r\n")
            while True:
                c.send(b"data: x\r\n\r\n")
                time.sleep(0.05)
        except OSError:
            pass

    def silence(c):
        c.request()
        c.sock.settimeout(60)
        c.more()

    origins = {b"/stream": t.origin(stream), b"/big": t.origin(quick_or_big), b"/silence": t.origin(silence)}
    paths = {path.decode(): o for path, o in origins.items()}
    p = t.proxy({**paths, "/": t.origin(answer())}, "--vanished-timeout", f"{2 * TIMEOUT:.0f}s")
    for path in origins:
        c = t.client(p, source=VANISHING, SO_RCVBUF=4096)
        c.send(GET % path)
        if path != b"/silence":
            c.head()
    until(lambda: all(o.requests for o in origins.values()), "all requests")
    with vanished() as begin:
        for path, o in origins.items():
            until(lambda o=o: ended(o), f"the origin of {path} sees the end", 15)
            took = time.monotonic() - begin
            check(took < 10, path, took)
            print(f"# {path.decode()}: {took:.1f} s", flush=True)
        check(time.monotonic() - begin > 1.5 * TIMEOUT, "too early", time.monotonic() - begin)
        for path in origins:
            equal(p.record(path=path.decode())["ended_by"], "client")


@test("an endpoint that answers nothing any more is given up in time: amid an upload, and in silence")
def _(t):
    narrow_kernel()
    go = threading.Event()
    one, two = t.origin(upload_to(go), address=VANISHING), Paused(t, go)
    two.origin.close()
    two.origin = t.origin(two.serve, address=VANISHING)
    silent = t.origin(lambda c: (c.request(), go.wait(60)), address=VANISHING)
    for o in one, two.origin:
        narrow(o)
    objects = [
        *service("one", [(VANISHING, one.port)]),
        *service("two", [(VANISHING, two.origin.port)], app_protocol="kubernetes.io/h2c"),
        *service("silent", [(VANISHING, silent.port)]),
        ingress("i", {"/one": "one", "/two": "two", "/silent": "silent"}),
    ]
    p = t.proxy(objects, "--vanished-timeout", f"{2 * TIMEOUT:.0f}s", "--max-body-bytes", "off", "--max-tries", "1")
    out = {}
    for path in b"/one", b"/two":
        c = t.client(p)
        out[path] = start(lambda c=c, path=path: (c.send(POST % (path, BIG) + b"x" * BIG), c.response())[1])
    out[b"/silent"] = start(lambda: t.get(p, "/silent"))
    until(lambda: one.requests and two.calls and silent.requests, "all requests")
    with vanished() as begin:
        for path in out:
            record = p.record(path=path.decode())
            took = time.monotonic() - begin
            print(f"# {path.decode()}: {took:.1f} s, {record['status']}", flush=True)
            equal((record["status"], record["ended_by"]), (502, "origin"), path)
            check(1.5 * TIMEOUT < took < 10, path, took)
    go.set()


main()

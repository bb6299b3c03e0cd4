# SPDX-License-Identifier: GPL-2.0-only
"""HTTP/2 of clients, gRPC to endpoints, and TLS, with the running proxy."""

import hpack

from h2peer import *
from h2.errors import ErrorCodes


def simple(t, handler, *options, annotations=None, hosts=("a.test",), **more):
    """A proxy with one certificate for these hosts, and one origin."""
    make_pair(t.folder, "pair", hosts)
    o = t.origin(handler)
    objects = service("web", [(o.address, o.port)]) + [
        ingress("web", {"/": "web"}, None, annotations, tls=[{"hosts": list(hosts), "secretName": "pair"}]),
        secret(t.folder, "pair", "pair")]
    return o, tls_proxy(t, objects, *options, **more)


def run(*command, **more):
    return subprocess.run(command, capture_output=True, text=True, timeout=60, **more)


# ---- clients --------------------------------------------------------------------------------------------------------


@test("curl, nghttp and h2load speak HTTP/2 with it")
def _(t):
    _, p = simple(t, answer("hello"))
    url = f"https://a.test:{p.https_port}/x"
    to = ["--resolve", f"a.test:{p.https_port}:{CLIENT}", "--cacert", t.folder + "/pair.crt"]
    done = run("curl", "-sS", "--http2", *to, "-w", " %{http_version} %{http_code}", url)
    equal(done.stdout, "hello 2 200", done.stderr)
    done = run("curl", "-sS", "--http1.1", *to, "-w", " %{http_version}", url)
    equal(done.stdout, "hello 1.1", done.stderr)
    plain = f"http://{CLIENT}:{p.port}/x"
    done = run("curl", "-sS", "--http2-prior-knowledge", "-w", " %{http_version}", plain)
    equal(done.stdout, "hello 2", done.stderr)
    done = run("nghttp", "-nv", plain, plain + "y", plain + "z")
    equal(done.stdout.count(":status: 200"), 3, done.stdout)
    done = run("h2load", "-n2000", "-c8", "-m16", f"https://{CLIENT}:{p.https_port}/")
    check("2000 succeeded, 0 failed, 0 errored" in done.stdout, done.stdout)
    check("2000 2xx" in done.stdout, done.stdout)


@test("h2spec")
def _(t):
    here = os.path.dirname(os.path.abspath(__file__))
    folder = run(here + "/../kube/build").stdout.strip()

    def handler(c):  # not at once: one case wants more streams than there may be
        while c.request():
            time.sleep(0.05)
            c.answer("hello world")

    _, p = simple(t, handler)
    done = run(folder + "/h2spec", "-h", CLIENT, "-p", str(p.https_port), "-t", "-k", "-o", "3")
    check(re.search(r"\n14\d tests, 14\d passed, 0 skipped, 0 failed", done.stdout), done.stdout[-3000:])
    # On the plain port whatever is not the preface is HTTP/1.1, and answered as that: the one case about a wrong preface.
    done = run(folder + "/h2spec", "-h", CLIENT, "-p", str(p.port), "-o", "3")
    check(re.search(r"\n14\d tests, 14\d passed, 0 skipped, 1 failed", done.stdout), done.stdout[-3000:])
    check("Sends invalid connection preface" in done.stdout[done.stdout.index("Failures:") :], done.stdout[-3000:])


@test("what crosses to an HTTP/1.1 origin")
def _(t):
    o, p = simple(t, answer("hello"))
    c = Client(t, p)
    r = c.get("/x?y=1", fields=[("cookie", "a=1"), ("accept", "*/*"), ("cookie", "b=2"), ("te", "trailers"),
                                ("http2-settings", "x"), ("x_under", "1")])
    equal((r.status, r.body), (200, b"hello"))
    got = o.requests[-1]
    equal(got.line, "GET /x?y=1 HTTP/1.1")
    equal(got.get("host"), "a.test")
    equal(got.all("cookie"), ["a=1; b=2"])
    equal(got.get("te"), "trailers")
    equal(got.get("x-forwarded-proto"), "https")
    for name in ("http2-settings", "x_under", "upgrade", "transfer-encoding", "content-length"):
        check(got.get(name) is None, name, got)
    for field in (("connection", "close"), ("upgrade", "websocket"), ("transfer-encoding", "chunked"), ("te", "gzip"),
                  ("host", "b.test"), ("Upper", "x")):
        n = len(o.requests)
        equal(c.get("/", fields=[field]).reset, ErrorCodes.PROTOCOL_ERROR, field)
        equal(len(o.requests), n, field)
    equal(c.get("/", fields=[("x", "y" * 9000)]).status, 431)
    equal(c.get("/" + "y" * 9000).status, 414)
    equal(c.get("/x").status, 200)


@test("bodies and trailers both ways, an interim answer, HEAD")
def _(t):
    def handler(c):
        while r := c.request(body=False):
            if r.get("expect"):
                c.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            c.body(r)
            if r.method == "HEAD":
                c.send(b"HTTP/1.1 200 OK\r\nContent-Length: 12345\r\n\r\n")
                continue
            c.send(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            c.send(b"%x\r\n%s\r\n0\r\nX-In: %s\r\n\r\n" % (len(r.body), r.body,
                                                          dict(r.trailers).get("x-in", "none").encode()))

    o, p = simple(t, handler)
    c = Client(t, p)
    s = c.request("/t", "POST", fields=[("expect", "100-continue")], end=False)
    c.until(lambda: c.answers[s].interim, "100")
    big = os.urandom(300000)
    c.data(s, big)
    c.h2.send_headers(s, [("x-in", "yes")], end_stream=True)
    c.flush()
    r = c.final(s)
    equal([i[":status"] for i in r.interim], ["100", "103"])
    check(r.body == big, "the body comes back")
    equal(r.trailers, [("x-in", "yes")])
    equal(o.requests[-1].get("transfer-encoding"), "chunked")
    r = c.get("/", method="HEAD")
    equal((r.status, r.get("content-length"), r.body, r.ended), (200, "12345", b"", True))


@test("pieces of an answer arrive as they come")
def _(t):
    go = threading.Semaphore(0)

    def handler(c):
        while c.request():
            c.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            for i in range(5):
                c.send(b"6\r\nevent%d\r\n" % i)
                go.acquire(timeout=DEADLINE)
            c.send(b"0\r\n\r\n")

    _, p = simple(t, handler)
    for sni in ("a.test", None):
        c = Client(t, p, sni)
        s = c.request("/events")
        for i in range(5):
            c.until(lambda: c.answers[s].body.endswith(b"event%d" % i), f"event {i}")
            go.release()
        check(c.final(s).ended)


# ---- ends -----------------------------------------------------------------------------------------------------------


@test("a reset by the client closes the origin's connection at once")
def _(t):
    seen = []

    def handler(c):
        c.request()
        c.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n")
        c.ended()
        seen.append(time.monotonic())

    o, p = simple(t, handler)
    c = Client(t, p)
    s, other = c.request("/a"), c.request("/b")
    c.until(lambda: c.answers[s].body and c.answers[other].body, "answers")
    at = time.monotonic()
    c.reset(s)
    until(lambda: seen, "the origin sees it")
    check(seen[0] - at < 0.1, f"{seen[0] - at} s")
    equal(len(seen), 1, "the other stream's connection stays")
    equal(p.record(path="/a")["ended"], "client_reset")


@test("an answer that breaks off is reset, never ended")
def _(t):
    heads = {"/length": b"Content-Length: 10\r\n\r\nhello", "/chunked": b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
             "/in-chunk": b"Transfer-Encoding: chunked\r\n\r\n50\r\nhello"}

    def handler(c):
        while r := c.request():
            if r.target == "/fine":
                c.answer("fine")
                continue
            c.send(b"HTTP/1.1 200 OK\r\n" + heads[r.target])
            return

    _, p = simple(t, handler)
    c = Client(t, p)
    for path in heads:
        r = c.get(path)
        equal((r.body, r.ended, r.reset), (b"hello", False, ErrorCodes.INTERNAL_ERROR), path)
    equal(c.get("/fine").body, b"fine")


@test("the fields of a request in many frames, each read by itself, are that request's")
def _(t):
    def handler(c):
        while r := c.request():
            c.answer(json.dumps([r.method, r.target, r.get("host"), r.get("x-a"), r.get("x-b"), r.get("cookie")]))

    _, p = simple(t, handler, annotations={"nginx.ingress.kubernetes.io/ssl-redirect": "false"})
    c = Client(t, p)
    block = hpack.Encoder().encode([(":method", "PUT"), (":scheme", "https"), (":authority", "a.test"), (":path", "/mine/" + "p" * 50),
                                    ("cookie", "a=1"), ("x-a", "1" * 100), ("cookie", "b=2"), ("x-b", "2" * 100)])
    c.h2.get_next_available_stream_id()
    for at in range(0, len(block), 60):
        last = at + 60 >= len(block)
        # HEADERS with END_STREAM, then CONTINUATION; END_HEADERS in the last.
        c.sock.sendall(Fast.frame(1 if at == 0 else 9, (1 if at == 0 else 0) | (4 if last else 0), 1, block[at : at + 60]))
        for _i in range(2):  # by the same worker, which has read the frame then
            equal(json.loads(t.get(p, "/other/" + "o" * 70, fields="Cookie: c=3\r\nX-A: other\r\n").body)[1], "/other/" + "o" * 70)
    got = bytearray()
    while b'"]' not in got:
        data = c.sock.recv(65536)
        check(data, "the connection ended", got)
        got += data
        check(b"/other" not in got, "another request's", got)
    answer_ = json.loads(got[got.index(b'["') : got.index(b'"]') + 2])
    equal(answer_, ["PUT", "/mine/" + "p" * 50, "a.test", "1" * 100, "2" * 100, "a=1; b=2"])


@test("frames of fields that come byte by byte are frames all the same")
def _(t):
    _, p = simple(t, answer("ok"))
    c = Client(t, p)
    block = hpack.Encoder().encode([(":method", "GET"), (":scheme", "https"), (":authority", "a.test"), (":path", "/" + "p" * 50)])
    s = c.h2.get_next_available_stream_id()
    third = len(block) // 3
    parts = block[:third], block[third : 2 * third], block[2 * third :]
    for i, part in enumerate(parts):
        for byte in Fast.frame(9 if i else 1, (0 if i else 1) | (4 if i == 2 else 0), s, part):
            c.sock.sendall(bytes([byte]))  # a record of TLS each
            if i:
                equal(t.get(p, "/x").body, b"ok")  # by the same worker, which has read the byte then
    got = bytearray()
    while b"ok" not in got:
        data = c.sock.recv(65536)
        check(data, "the connection ended", got)
        got += data


@test("one stalled stream of a hundred: its siblings go on, its origin waits")
def _(t):
    size = 8 << 20
    sent = {}

    def handler(c):
        while r := c.request():
            n = size if r.target == "/stalled" else 100000
            c.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % n)
            c.sock.settimeout(60)
            for at in range(0, n, 65536):
                c.send(b"x" * min(65536, n - at))
                sent[r.target] = at + 65536

    _, p = simple(t, handler)
    before = p.memory_kib()
    c = Client(t, p, window=1 << 24)
    stalled = c.request("/stalled")
    c.consumes = lambda s: s != stalled
    for _i in range(3):
        streams = [c.request("/x") for _j in range(99)]
        for s in streams:
            equal(len(c.final(s).body), 100000)
    equal(len(c.answers[stalled].body), 65535, "as much as its window")
    check(sent["/stalled"] < size, "the origin was not read to its end", sent)
    check(p.memory_kib() - before < 8192, "memory", p.memory_kib(), before)
    c.h2.increment_flow_control_window(1 << 24, stalled)
    c.flush()
    equal(len(c.final(stalled).body), size)


@test("beside ninety-nine stalled streams one goes on as fast as alone, and they cost no more than 128 KiB each")
def _(t):
    size, chunk = 32 << 20, b"x" * (1 << 20)

    def handler(c):
        while r := c.request():
            c.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
            c.sock.settimeout(60)
            for _i in range(size // len(chunk)):
                c.send(chunk)

    _, p = simple(t, handler)

    def cost(c):
        """CPU time of the proxy's: on a busy machine a clock would tell something else."""
        begin = p.cpu_ns()
        s = c.request(b"/x")
        c.until(lambda: s in c.ended)
        equal(c.got[s], size)
        return p.cpu_ns() - begin

    free, c = Fast(t, p), Fast(t, p)
    cost(free), cost(c)
    before = p.memory_kib()
    stalled = [c.request(b"/stalled", wide=False) for _i in range(99)]
    c.until(lambda: all(c.got[s] == 65535 for s in stalled))
    pairs = [(cost(free), cost(c)) for _i in range(8)]
    alone, beside = (min(ns) for ns in zip(*pairs))
    each = (p.memory_kib() - before) / len(stalled)
    print(f"# {size / 1048.576 / (alone / 1e6):.0f} MiB a second of CPU alone, {size / 1048.576 / (beside / 1e6):.0f} beside them; "
          f"{each:.0f} KiB each", flush=True)
    check(beside < 2 * alone, "nanoseconds", beside, alone)
    check(each <= 128, "KiB each", each)
    check(all(c.got[s] == 65535 for s in stalled), "they stall")


@test("an origin that does not read closes the stream's window, not its siblings'")
def _(t):
    go = threading.Event()

    def handler(c):
        while r := c.request(body=False):
            if r.target == "/stalled":
                go.wait(30)
            c.body(r)
            c.answer(str(len(r.body)))

    _, p = simple(t, handler, "--retry-body-bytes", "4096", annotations={
        "nginx.ingress.kubernetes.io/proxy-body-size": "0"})
    c = Client(t, p)
    s = c.request("/stalled", "POST", end=False)
    n = 0
    try:
        while n < 32 << 20:
            room = min(c.h2.local_flow_control_window(s), c.h2.max_outbound_frame_size)
            if room <= 0:
                c.poll(1)
                continue
            c.h2.send_data(s, b"x" * room)
            n += room
            c.flush()
    except TimeoutError:
        pass
    check(n < 16 << 20, f"{n} bytes were taken")
    for _i in range(5):
        other = c.request("/other", "POST", end=False)
        c.data(other, b"y" * 1000000, end=True)
        equal(c.final(other).body, b"1000000")
    go.set()
    c.data(s, b"", end=True)
    equal(c.final(s).body, str(n).encode())


@test("rapid resets end the connection, and nobody else's")
def _(t):
    o, p = simple(t, answer("hello"))
    c = Client(t, p)
    try:
        for _i in range(2000):
            s = c.h2.get_next_available_stream_id()
            c.h2.send_headers(s, [(":method", "GET"), (":scheme", "https"), (":authority", "a.test"), (":path", "/")],
                              end_stream=True)
            c.h2.reset_stream(s, ErrorCodes.CANCEL)
        c.flush()
        while c.poll(5):
            pass
    except OSError:
        c.ended = True
    check(c.ended, "the connection is over")
    check(not c.goaways or c.goaways[-1][0] == ErrorCodes.ENHANCE_YOUR_CALM, c.goaways)
    check(len(o.requests) < 500, f"{len(o.requests)} requests came through")
    equal(Client(t, p).get("/").body, b"hello")


@test("drain: GOAWAY twice, what runs goes on, then the end")
def _(t):
    go = threading.Event()

    def handler(c):
        while c.request():
            c.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n")
            go.wait(20)
            c.send(b"3\r\nend\r\n0\r\n\r\n")

    _, p = simple(t, handler)
    c = Client(t, p)
    s = c.request("/")
    c.until(lambda: c.answers[s].body == b"ok", "the answer begins")
    p.terminate()
    c.until(lambda: c.goaways, "the first GOAWAY")
    equal(c.goaways[0], (ErrorCodes.NO_ERROR, 2**31 - 1))
    c.until(lambda: len(c.goaways) > 1, "the second")
    equal(c.goaways[1], (ErrorCodes.NO_ERROR, s))
    go.set()
    equal(c.final(s).body, b"okend")
    while not c.ended:
        c.poll()
    equal(p.process.wait(DEADLINE), 0)


# ---- TLS ------------------------------------------------------------------------------------------------------------


def shown(p, sni):
    """The name in the certificate that this SNI is shown."""
    with socket.create_connection((p.address, p.https_port), timeout=DEADLINE) as raw:
        with context().wrap_socket(raw, server_hostname=sni) as s:
            der = s.getpeercert(binary_form=True)
    done = subprocess.run(["openssl", "x509", "-inform", "DER", "-noout", "-subject", "-nameopt", "RFC2253"], input=der,
                          capture_output=True, check=True)
    return done.stdout.decode().strip().removeprefix("subject=").split("CN=")[1].split(",")[0]


def many(t, *options, annotations=None):
    """a.test, sibling.test and *.wild.test with certificates of their own, wrong.test with one for somebody else."""
    make_pair(t.folder, "a", ["a.test", "sibling.test"])
    make_pair(t.folder, "wild", ["*.wild.test"])
    make_pair(t.folder, "b", ["b.test"])
    make_pair(t.folder, "fallback", ["fallback.test"])
    o = t.origin(answer("hello"))
    objects = service("web", [(o.address, o.port)]) + [
        secret(t.folder, n, n) for n in ("a", "b", "wild", "fallback")]
    for host, name in (("a.test", "a"), ("sibling.test", "a"), ("*.wild.test", "wild"), ("b.test", "b"), ("wrong.test", "a"),
                       ("none.test", "missing")):
        objects.append(ingress(host.replace("*", "x").replace(".", "-"), {"/": "web"}, host, annotations,
                               tls=[{"hosts": [host], "secretName": name}]))
    return o, tls_proxy(t, objects, "--default-tls", "default/fallback", *options), objects


@test("SNI: exact, wildcard, default; a certificate for somebody else is not used")
def _(t):
    _, p, _ = many(t)
    for sni, name in (("a.test", "a"), ("A.TEST", "a"), ("sibling.test", "a"), ("x.wild.test", "wild"), ("b.test", "b"),
                      ("x.y.wild.test", "fallback"), ("wild.test", "fallback"), ("wrong.test", "fallback"),
                      ("none.test", "fallback"), ("nobody.test", "fallback"), (None, "fallback")):
        equal(shown(p, sni), name, sni)
    said = p.stderr()
    check("names do not cover the host wrong.test" in said, said)
    check("missing" in said, said)


@test("421 where the certificate is another host's")
def _(t):
    _, p, _ = many(t)
    c = Client(t, p, "a.test")
    for authority, status in (("a.test", 200), ("sibling.test", 200), ("b.test", 421), ("x.wild.test", 421),
                              ("wrong.test", 200), ("A.test", 200)):
        equal(c.get("/", authority=authority).status, status, authority)
    c = Client(t, p, "nobody.test")
    equal(c.get("/", authority="a.test").status, 200)
    # HTTP/1.1 as well.
    raw = socket.create_connection((p.address, p.https_port), timeout=DEADLINE)
    s = Stream(context(alpn=None).wrap_socket(raw, server_hostname="a.test"))
    t.ends.append(s.close)
    s.send(b"GET / HTTP/1.1\r\nHost: b.test\r\n\r\n")
    equal(s.response().status, 421)


@test("a certificate is rotated under running streams")
def _(t):
    go = threading.Semaphore(0)

    def handler(c):
        while c.request():
            c.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            for _i in range(6):
                c.send(b"2\r\nok\r\n")
                go.acquire(timeout=DEADLINE)
            c.send(b"0\r\n\r\n")

    o, p = simple(t, handler)
    c = Client(t, p)
    s = c.request("/")
    objects = service("web", [(o.address, o.port)]) + [
        ingress("web", {"/": "web"}, None, tls=[{"hosts": ["a.test"], "secretName": "pair"}])]
    for i in range(5):
        c.until(lambda: c.answers[s].body == b"ok" * (i + 1), f"piece {i}")
        make_pair(t.folder, f"pair{i}", ["a.test"])
        p.write("all", objects + [secret(t.folder, "pair", f"pair{i}")])
        until(lambda: shown(p, "a.test") == f"pair{i}", "the new certificate")
        go.release()
    go.release()
    check(c.final(s).ended)
    equal(c.goaways, [])


@test("sessions resume on every worker")
def _(t):
    _, p = simple(t, answer("hello"), "--workers", "2")
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        ctx = context()
        ctx.maximum_version = version
        c = Client(t, p, ctx=ctx)
        equal(c.get("/").status, 200)  # the ticket comes with it
        session = c.sock.session
        for _i in range(12):
            again = Client(t, p, ctx=ctx, session=session)
            check(again.sock.session_reused, version)
            equal(again.get("/").status, 200)
    check(Client(t, p).sock.session_reused is False)


@test("TLS before 1.2 and connections without ALPN of ours")
def _(t):
    _, p = simple(t, answer("hello"))
    ctx = context()
    ctx.set_ciphers("ALL:@SECLEVEL=0")
    ctx.minimum_version = ssl.TLSVersion.TLSv1
    ctx.maximum_version = ssl.TLSVersion.TLSv1_1
    for bad in (ctx, context(alpn=("spdy/3",))):
        try:
            with socket.create_connection((p.address, p.https_port), timeout=DEADLINE) as raw:
                bad.wrap_socket(raw, server_hostname="a.test")
            raise Failure("it was let in")
        except ssl.SSLError:
            pass
    equal(shown(p, "a.test"), "pair")


@test("client certificates: 400 without, 421 past them")
def _(t):
    make_pair(t.folder, "ca", [])
    make_pair(t.folder, "user", ["user"], "ca")
    make_pair(t.folder, "stranger", ["user"])
    make_pair(t.folder, "safe", ["safe.test", "open.test"])
    o = t.origin(answer("hello"))
    tls = [{"hosts": ["safe.test", "open.test"], "secretName": "safe"}]
    p = tls_proxy(t, service("web", [(o.address, o.port)]) + [
        secret(t.folder, "safe", "safe"), secret(t.folder, "ca", ca="ca"),
        ingress("safe", {"/": "web"}, "safe.test", {
            "nginx.ingress.kubernetes.io/auth-tls-secret": "default/ca",
            "nginx.ingress.kubernetes.io/auth-tls-pass-certificate-to-upstream": "true"}, tls=tls),
        ingress("open", {"/": "web"}, "open.test", tls=tls)])

    def status(sni, authority, cert=None):
        ctx = context()
        if cert:
            ctx.load_cert_chain(*(os.path.join(t.folder, f"{cert}.{e}") for e in ("crt", "key")))
        return Client(t, p, sni, ctx).get("/", authority=authority).status

    until(lambda: status("safe.test", "safe.test") == 400, "a demand")
    equal(status("safe.test", "safe.test", "user"), 200)
    check(o.requests[-1].get("ssl-client-verify") in (None, "SUCCESS"), o.requests[-1])
    equal(status("safe.test", "safe.test", "stranger"), 400)
    equal(status("open.test", "open.test"), 200)
    equal(status("open.test", "safe.test"), 421)
    equal(status("open.test", "safe.test", "user"), 421)


# ---- endpoints that speak HTTP/2 -------------------------------------------------------------------------------------


def grpc_proxy(t, endpoints, *options, protocol="GRPC", annotations=None, objects=()):
    make_pair(t.folder, "pair", ["a.test"])
    notes = {"nginx.ingress.kubernetes.io/backend-protocol": protocol, **(annotations or {})}
    return tls_proxy(t, service("g", endpoints) + list(objects) + [
        ingress("g", {"/": "g"}, None, notes, tls=[{"hosts": ["a.test"], "secretName": "pair"}]),
        secret(t.folder, "pair", "pair")], *options, wait=False)


def started(t, p):
    """Has its configuration, certificates included."""

    def there():
        try:
            return Client(t, p, None).get("/ready").status not in (None, 503)
        except OSError:
            return False

    until(there, "the proxy serves")
    return p


@test("calls share a connection to the endpoint, trailers pass")
def _(t):
    def on_call(conn, call):
        reply(conn, call, call.body, [("content-type", "application/grpc")], [("grpc-status", "0"), ("x-t", "1")])

    o = Server(t, on_call)
    p = started(t, grpc_proxy(t, [(o.address, o.port)]))
    c = Client(t, p)
    streams = [c.request("/s/M", "POST", [("te", "trailers"), ("content-type", "application/grpc"),
                                          ("grpc-timeout", "5S")], end=False) for _i in range(20)]
    for i, s in enumerate(streams):
        c.data(s, b"%d" % i * 1000, end=True)
    for i, s in enumerate(streams):
        r = c.final(s)
        equal((r.status, r.body, r.trailers), (200, b"%d" % i * 1000, [("grpc-status", "0"), ("x-t", "1")]))
    got = dict(o.calls[-1].fields)
    equal((got["te"], got["grpc-timeout"], got[":scheme"], got[":authority"]), ("trailers", "5S", "http", "a.test"))
    check(len(o.connections) <= 2, f"{len(o.connections)} connections")
    s = c.request("/s/Cut", "POST", end=False)
    c.data(s, b"part")
    until(lambda: o.calls[-1].path == "/s/Cut", "the call")
    c.reset(s)
    until(lambda: o.calls[-1].reset == ErrorCodes.CANCEL, "the reset at the endpoint")


@test("the endpoint's limit of streams: the call beyond it takes another connection, and is not held up")
def _(t):
    def on_call(conn, call):
        if call.path != "/held":
            reply(conn, call)

    o = Server(t, on_call, streams=3)
    p = started(t, grpc_proxy(t, [(o.address, o.port)]))
    c = Client(t, p)
    equal(c.get("/x").body, b"ok")  # and its settings have come
    for _i in range(3):
        c.request("/held")
    until(lambda: sum(call.path == "/held" for call in o.calls) == 3, "three that are not answered")
    equal(len(o.connections), 1)
    equal(c.get("/x").body, b"ok")
    equal(len(o.connections), 2)
    streams = [c.request("/x") for _i in range(30)]
    for s in streams:
        equal(c.final(s).body, b"ok")


@test("what an endpoint refuses, or leaves behind its GOAWAY, another one gets, POST too; what it reset, nobody")
def _(t):
    state = {"/refused": 1, "/goaway": 1, "/reset": 1}

    def on_call(conn, call):
        first = state.get(call.path)
        state[call.path] = 0
        if first and call.path == "/refused":
            conn.reset_stream(call.stream, ErrorCodes.REFUSED_STREAM)
        elif first and call.path == "/goaway":
            conn.close_connection(ErrorCodes.NO_ERROR, last_stream_id=call.stream - 2)
        elif first and call.path == "/reset":
            conn.reset_stream(call.stream, ErrorCodes.INTERNAL_ERROR)
        else:
            reply(conn, call)

    servers = [Server(t, on_call) for _i in range(2)]
    times = lambda path: sum(call.path == path for o in servers for call in o.calls)
    p = started(t, grpc_proxy(t, [(o.address, o.port) for o in servers]))
    c = Client(t, p)
    # The first one on a new connection: nothing but the code says that it is safe.
    for path, status, tries in ("/refused", 200, 2), ("/goaway", 200, 2), ("/reset", 502, 1), ("/reset", 200, 2):
        equal(c.get(path, method="POST").status, status, path)
        equal(times(path), tries, path)


# ---- gRPC -------------------------------------------------------------------------------------------------------------


@test("gRPC: unary, streams, errors, deadlines, cancelling, by grpc-core on both sides")
def _(t):
    here = os.path.dirname(os.path.abspath(__file__))
    port = free_port()
    server = subprocess.Popen([sys.executable, here + "/grpcpeer.py", "serve", f"{ADDRESS}:{port}"])
    t.ends.append(server.kill)
    p = started(t, grpc_proxy(t, [(ADDRESS, port)], annotations={
        "nginx.ingress.kubernetes.io/proxy-body-size": "8m"}))
    for target, more in ((f"{CLIENT}:{p.port}", []), (f"{CLIENT}:{p.https_port}", [t.folder + "/pair.crt"])):
        done = run(sys.executable, here + "/grpcpeer.py", "call", target, *more)
        equal(done.returncode, 0, done.stdout + done.stderr)


@test("gRPC: our own answers are statuses of gRPC")
def _(t):
    here = os.path.dirname(os.path.abspath(__file__))
    port = free_port()
    server = subprocess.Popen([sys.executable, here + "/grpcpeer.py", "serve", f"{ADDRESS}:{port}"])
    t.ends.append(server.kill)
    slow = {"nginx.ingress.kubernetes.io/proxy-read-timeout": "1", "nginx.ingress.kubernetes.io/proxy-next-upstream": "off"}
    p = started(t, grpc_proxy(t, [(ADDRESS, port)], annotations=slow))
    target = f"{CLIENT}:{p.port}"
    done = run(sys.executable, here + "/grpcpeer.py", "status", target, "Hang")
    equal(done.stdout.strip(), "DEADLINE_EXCEEDED", done.stderr)
    p.write("all", service("g", []) + [ingress("g", {"/": "g"}, None, {
        "nginx.ingress.kubernetes.io/backend-protocol": "GRPC"})])
    until(lambda: run(sys.executable, here + "/grpcpeer.py", "status", target, "Unary").stdout.strip() == "UNAVAILABLE",
          "503 as 14")
    c = Client(t, p, None)
    r = c.get("/t.S/Unary", method="POST", fields=[("content-type", "application/grpc"), ("te", "trailers")])
    equal((r.status, r.get("grpc-status"), r.get("content-type"), r.body, r.ended),
          (200, "14", "application/grpc", b"", True))
    equal(c.get("/t.S/Unary").status, 503)  # no call of gRPC


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: GPL-2.0-only
"""tests/data/http-abuse.json against the running proxy, with origins that record every byte."""

import random

from harness import *

DATA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "data", "http-abuse.json")


def raw_bytes(text):
    r"""One character a byte; \xNN and \\ are escapes."""
    return re.sub(
        r"\\(x[0-9a-fA-F]{2}|\\)", lambda m: "\\" if m[1] == "\\" else chr(int(m[1][1:], 16)), text
    ).encode("latin-1")


class Recorder(Connection):
    pass


def record(c):
    """Takes what comes, reads it strictly, answers each request."""
    c.raw = bytearray()
    more = c.more

    def recording():
        before = len(c.buf)
        ok = more()
        c.raw += c.buf[before:]
        return ok

    c.more = recording
    while c.request():
        c.answer("ok")


def strict(data):
    """What went to an origin: requests of exactly one meaning. Gives their heads."""
    heads, at = [], 0
    while at < len(data):
        end = data.index(b"\r\n\r\n", at)
        head = data[at:end].decode("latin-1")
        lines = head.split("\r\n")
        check("\r" not in head.replace("\r\n", "") and "\n" not in head.replace("\r\n", ""), "bare CR or LF", lines)
        check(re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+ [!-~]+ HTTP/1\.1", lines[0]), lines[0])
        fields = {}
        for line in lines[1:]:
            check(re.fullmatch(r"[!#$%&'*+.^`|~0-9A-Za-z-]+: ?[\t -\x7e\x80-\xff]*", line), repr(line))
            name, _, value = line.partition(":")
            fields.setdefault(name.lower(), []).append(value.strip())
        equal(len(fields.get("host", [])), 1, "Host")
        te, cl = fields.get("transfer-encoding", []), fields.get("content-length", [])
        check(len(te) + len(cl) <= 1, "two framings", lines)
        at = end + 4
        if cl:
            check(re.fullmatch("[0-9]+", cl[0]), cl)
            at += int(cl[0])
            check(at <= len(data), "body is short", lines)
        elif te:
            equal(te[0], "chunked")
            while True:
                eol = data.index(b"\r\n", at)
                check(re.fullmatch(rb"[0-9a-fA-F]{1,16}", data[at:eol]), data[at : at + 40])
                size = int(data[at:eol], 16)
                at = eol + 2
                if size == 0:
                    break
                equal(data[at + size : at + size + 2], b"\r\n")
                at += size + 2
            while data[at : at + 2] != b"\r\n":
                eol = data.index(b"\r\n", at)
                check(re.fullmatch(rb"[!#$%&'*+.^`|~0-9A-Za-z-]+: ?[\t -\x7e\x80-\xff]*", data[at:eol]))
                at = eol + 2
            at += 2
        heads.append((lines[0], fields))
    return heads


_shared = {}


def shared():
    """One proxy for all requests: what one case does must not matter to another."""
    if not _shared:
        t = Test(tempfile.mkdtemp(prefix="sluice-ingress-"))
        o = t.origin(record)
        p = t.proxy({"/": o}, "--head-timeout", "2s", "--keep-alive-timeout", "3s", "--access-log", "off",
                    "--client-half-close")
        _shared.update(t=t, o=o, p=p)
    return _shared["t"], _shared["o"], _shared["p"]


def responses(c):
    """Everything that comes, as answers."""
    out = []
    try:
        while True:
            out.append(c.response())
            if out[-1].get("connection") == "close" or not out[-1].complete:
                break
    except (EOFError, OSError):
        pass
    return out


def request_case(case):
    expect = case["expect"]

    def run(t):
        _, o, p = shared()
        was = len(o.connections)
        mark = {c: len(getattr(c, "raw", b"")) for c in o.connections}
        c = t.client(p)
        c.sock.settimeout(DEADLINE)
        raw = raw_bytes(case["raw"])
        try:
            # In pieces, as a network may deliver it.
            cuts = random.Random(case["name"])
            at = 0
            while at < len(raw):
                n = cuts.choice((1, 3, 50, 4096, len(raw)))
                c.send(raw[at : at + n])
                at += n
            c.fin()  # and it wants the answers to all of that
        except OSError:
            pass
        got = responses(c)
        seen = b"".join(bytes(x.raw[mark.get(x, 0) :]) for x in o.connections if hasattr(x, "raw"))
        outcome = expect["outcome"]
        status = got[0].status if got else None
        what = (case["name"], outcome, [r.line for r in got], seen[:300])
        if "status" in expect and status is not None:
            check(status in expect["status"], *what)
        served = status is not None and status < 300
        if outcome == "accept":
            check(served, *what)
        if outcome == "reject":
            check(not served, *what)
            if case["group"] == "framing-chunked":  # the head may be on its way before the fault comes
                try:
                    equal(strict(seen), [])
                except (ValueError, Failure):
                    pass  # not complete
            else:
                equal(seen, b"", what)
        elif served or seen:
            try:
                heads = strict(seen)
            except ValueError:
                heads = []
                check(not served, *what)
            for line, fields in heads:
                for name in expect.get("upstream_must_not_have", []):
                    check(name not in fields, *what)
                if outcome == "ignore_part" and case["name"] == "underscore-header":
                    check("x_forwarded_for" not in fields and fields["x-forwarded-for"] != ["6.6.6.6"], *what)
        if "origin_must_not_see" in expect:
            for line, _ in (strict(seen) if served else []):
                check(expect["origin_must_not_see"] not in line, *what)
        if expect.get("connection_closed"):
            check(not got or got[-1].get("connection") == "close", *what)
            equal(c.ended(), b"")
        # Others are served as before.
        equal(t.get(p, "/after").status, 200)
        check(len(o.connections) - was < 4)

    return run


def origin_case(case):
    raw = raw_bytes(case["origin_raw"])

    def run(t):
        for method in ("GET", "HEAD", "GET"):

            def handler(c):
                c.request()
                c.send(raw)
                if case["name"] in ("resp-until-close", "resp-http09"):
                    return
                c.ended(5)

            o = t.origin(handler)
            p = t.proxy({"/": o}, host="a.test")
            c = t.client(p)
            c.send(f"{method} /x HTTP/1.1\r\nHost: a.test\r\n\r\n".encode())
            r = c.final(is_head=method == "HEAD")
            what = (case["name"], method, r)
            check(b"evil" not in r.body, *what)
            name = case["name"]
            if name in ("resp-two-cl", "resp-http09", "resp-unasked-101", "resp-1xx-flood", "resp-header-64k"):
                equal(r.status, 502, what)
            elif name == "resp-header-bare-cr":
                equal(r.status, 502, what)
            elif name == "resp-bad-chunk" and method == "GET":
                check(r.status == 502 or not r.complete, *what)
            elif name == "resp-204-with-body":
                equal((r.status, r.body), (204, b""), what)
                until(lambda o=o: o.connections[0].over, "the connection is not used again")
            elif name == "resp-extra-bytes":
                equal((r.status, r.body), (200, b""), what)
                until(lambda o=o: o.connections[0].over, "the connection is not used again")
            elif name == "resp-head-with-body":
                equal(r.status, 200, what)
                if method == "HEAD":
                    until(lambda o=o: o.connections[0].over, "the connection is not used again")
            elif name == "resp-until-close" and method == "GET":
                equal((r.status, r.body, r.get("transfer-encoding")), (200, b"hello", "chunked"), what)
            elif method == "GET" and name not in ("resp-bad-chunk",):
                raise Failure("no expectation for " + name)

    return run


def behaviour(case):
    name = case["name"]

    def run(t):
        _, o, p = shared()
        begin = time.monotonic()
        c = t.client(p)
        if name == "slow-head":  # 2 s here
            try:
                for byte in b"GET / HTTP/1.1\r\nHost: a.test\r\nX-A: " + b"y" * 100:
                    c.send(bytes([byte]))
                    if select.select([c.sock], [], [], 0.25)[0]:
                        break
            except OSError:
                pass
            check(time.monotonic() - begin < 15, time.monotonic() - begin)  # all of it would take half a minute
        elif name == "idle-before-request":  # 3 s here
            equal(c.ended(3 * DEADLINE), b"")
            check(time.monotonic() - begin < 3 * DEADLINE)
        elif name == "ten-thousand-idle":
            before = p.memory_kib()
            idle = []
            for i in range(3000):  # as many as descriptors of this process surely allow
                s = socket.socket()
                s.connect((p.address, p.port))
                idle.append(s)
            equal(t.get(p, "/x").status, 200)
            grown = (p.memory_kib() - before) / len(idle)
            check(grown < 4, "KiB each", grown)
            for s in idle:
                s.close()
        elif name == "tls-half-handshake":
            q = t.proxy({"/": o}, "--https-addr", f"{CLIENT}:{free_port()}", "--handshake-timeout", "1s")
            port = int(q.command[q.command.index("--https-addr") + 1].split(":")[1])
            half = []
            hello = bytes.fromhex("16030100c8010000c40303") + b"\0" * 20
            for _i in range(200):
                s = socket.create_connection((CLIENT, port))
                s.sendall(hello)
                half.append(s)
            begin = time.monotonic()
            for s in half:
                s.settimeout(DEADLINE)
                try:
                    while s.recv(4096):
                        pass
                except ConnectionError:
                    pass
                s.close()
            check(time.monotonic() - begin < 9)  # 10 s if nothing is said
            equal(t.get(q, "/x").status, 200)
        elif name == "client-abort-mid-stream":

            def events(c):
                c.request()
                c.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
                while True:
                    c.send(b"8\r\ndata: 1\n\r\n")
                    time.sleep(0.02)

            eo = t.origin(events)
            q = t.proxy({"/": eo}, host="a.test")
            c = t.client(q)
            c.send(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
            c.head()
            c.reset()
            until(lambda: eo.connections[0].over, "the origin's connection ends", 1)
        elif name == "origin-dies-mid-body":

            def dies(c):
                c.request()
                c.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")

            eo = t.origin(dies)
            q = t.proxy({"/": eo}, host="a.test")
            r = t.get(q)
            check(not r.complete and r.body == b"half", r)

    return run


with open(DATA, encoding="utf-8") as _f:
    _cases = json.load(_f)["cases"]
for _case in _cases:
    if "raw" in _case:
        test(_case["name"])(request_case(_case))
    elif "origin_raw" in _case:
        test(_case["name"])(origin_case(_case))
    elif "steps" in _case:
        test(_case["name"])(behaviour(_case))


@test("the shared proxy came through all of it")
def _(t):
    s, o, p = shared()
    equal(t.get(p, "/x").status, 200)
    equal(p.process.poll(), None)
    equal(s.done(), [])


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: GPL-2.0-only
"""What an Ingress's annotations do to requests on their way: the parts that need endpoints, time, or another service."""

import base64
import json

from harness import *
from cases import certificate, secret_objects

N = "nginx.ingress.kubernetes.io/"
GET = b"GET %s HTTP/1.1\r\nHost: a.test\r\n\r\n"


def proxy(t, origins, annotations, *options, more=()):
    """An Ingress for a.test with these annotations."""
    points = [(ADDRESS, o) if isinstance(o, int) else (o.address, o.port) for o in origins]
    objects = service("s", points) + [ingress("i", {"/": "s"}, "a.test", annotations)] + list(more)
    return t.proxy(objects, *options)


# ---- external authentication ----------------------------------------------------------------------------------------


def authority(c):
    """Says yes to whom has a token; each request's fate is in its path."""
    while r := c.request():
        if r.get("x-token") == "good":
            c.answer(b"", fields=[("X-User", "alice"), ("Set-Cookie", "session=1")])
        elif r.get("x-token") == "slow":
            c.origin.go.wait(DEADLINE)
            c.answer(b"")
        elif r.get("x-token") == "dies":
            return
        else:
            c.answer("who are you", "401 Unauthorized", [("WWW-Authenticate", "Bearer")])


AUTH = {N + "auth-url": "http://auth.default.svc.cluster.local/check", N + "auth-response-headers": "X-User"}


def with_auth(t, origin, extra=None, handler=authority):
    a = t.origin(handler)
    a.go = threading.Event()
    return a, proxy(t, [origin], {**AUTH, **(extra or {})}, more=service("auth", [(a.address, a.port)]))


@test("external authentication: asked before the request goes on, with what it needs to know; its fields go along")
def _(t):
    o = t.origin(echo)
    a, p = with_auth(t, o)
    c = t.client(p)
    c.send(b"POST /x?y=1 HTTP/1.1\r\nHost: a.test\r\nX-Token: good\r\nX-User: mallory\r\nContent-Length: 5\r\n\r\nhello")
    r = c.response()
    equal((r.status, r.body), (200, b"hello"))
    equal(o.requests[0].all("x-user"), ["alice"])
    q = a.requests[0]
    equal((q.method, q.target, q.body), ("GET", "/check", b""))
    equal((q.get("x-original-method"), q.get("x-original-url")), ("POST", "http://a.test/x?y=1"))
    c.send(GET % b"/x")
    r = c.response()
    equal((r.status, r.get("www-authenticate")), (401, "Bearer"))
    equal(len(o.requests), 1)
    c.send(b"POST /x HTTP/1.1\r\nHost: a.test\r\nX-Token: good\r\nTransfer-Encoding: chunked\r\n\r\n"
           b"1\r\nx\r\n0\r\nX-User: mallory\r\nX-Sum: 1\r\n\r\n")
    equal(c.response().body, b"x")
    equal((o.requests[1].all("x-user"), o.requests[1].trailers), (["alice"], [("X-Sum", "1")]))


@test("a name server that does not answer holds up neither other requests nor the end")
def _(t):
    silent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    silent.settimeout(DEADLINE)
    silent.bind((ADDRESS, 53))
    resolv, script = os.path.join(t.folder, "resolv.conf"), os.path.join(t.folder, "proxy")
    with open(resolv, "w") as f:
        f.write(f"nameserver {ADDRESS}\noptions timeout:5 attempts:5\n")
    with open(script, "w") as f:
        f.write(f"""#!/bin/sh
exec unshare --mount sh -c 'mount --bind {resolv} /etc/resolv.conf && exec "$0" "$@"' {Proxy.binary()} "$@"
""")
    os.chmod(script, 0o755)
    o = t.origin(answer())
    objects = [*service("s", [(o.address, o.port)]), ingress("open", {"/open": "s"}),
               ingress("asks", {"/asks": "s"}, annotations={N + "auth-url": "http://auth.example.test/check"})]
    p = t.proxy(objects, binary=script)
    silent.recv(512)  # it is being asked
    equal(t.get(p, "/open").status, 200)
    equal(t.get(p, "/asks").status, 503)
    p.terminate()
    begin = time.monotonic()
    equal(p.process.wait(DEADLINE), 0, "exit status")
    check(time.monotonic() - begin < 4, "seconds", time.monotonic() - begin)
    silent.close()


@test("external authentication that cannot be had lets nobody in")
def _(t):
    o = t.origin(answer())
    a, p = with_auth(t, o)
    c = t.client(p)
    c.send(b"GET / HTTP/1.1\r\nHost: a.test\r\nX-Token: dies\r\n\r\n")
    equal(c.response().status, 503)
    a.close()
    c.send(b"GET / HTTP/1.1\r\nHost: a.test\r\nX-Token: good\r\n\r\n")
    equal(c.response().status, 503)
    equal(o.requests, [])


@test("external authentication: a large body waits, and a client that goes away takes the question along")
def _(t):
    o = t.origin(echo)
    a, p = with_auth(t, o, {N + "proxy-body-size": "0"})
    body = os.urandom(2000000)
    c = t.client(p)
    threading.Thread(
        target=lambda: c.send(b"POST /x HTTP/1.1\r\nHost: a.test\r\nX-Token: slow\r\nContent-Length: %d\r\n\r\n" % len(body) + body),
        daemon=True).start()
    until(lambda: a.requests, "the question")
    equal(o.requests, [])
    d = t.client(p)
    d.send(b"GET /x HTTP/1.1\r\nHost: a.test\r\nX-Token: slow\r\n\r\n")
    until(lambda: len(a.requests) == 2, "the other question")
    d.fin()
    gone = a.connections[-1]
    until(lambda: select.select([gone.sock], [], [], 0)[0], "the question's connection ends")
    a.go.set()
    r = c.response()
    check(r.status == 200 and r.body == body, r)


@test("proxy-body-size counts what came of a body while the service was asked")
def _(t):
    o = t.origin(echo)
    a, p = with_auth(t, o, {N + "proxy-body-size": "1k"})
    for size, status in ((1024, 200), (1025, 413), (5000, 413)):
        a.go.clear()
        before = len(a.requests), len(o.requests)
        c = t.client(p)
        # In one piece, so that all of it is read before the question has its answer.
        c.send(b"POST /x HTTP/1.1\r\nHost: a.test\r\nX-Token: slow\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n"
               % (size, b"b" * size))
        until(lambda: len(a.requests) > before[0], "the question")
        a.go.set()
        equal(c.response().status, status, f"{size} bytes")
        equal(len(o.requests) - before[1], int(status == 200), "requests at the origin")


# ---- passwords -------------------------------------------------------------------------------------------------------


@test("passwords are checked aside: others are served meanwhile")
def _(t):
    o = t.origin(answer("in"))
    secret = secret_objects({"secrets": [{"name": "users", "htpasswd": {}}]})[0]
    hashed = subprocess.run(["perl", "-e", 'print crypt("secret", q($6$rounds=400000$abcdefgh))'], check=True, capture_output=True).stdout
    secret["data"] = {"auth": base64.b64encode(b"alice:" + hashed).decode()}
    objects = service("s", [(o.address, o.port)]) + [secret]
    objects += [ingress("i", {"/": "s"}, "a.test", {N + "auth-type": "basic", N + "auth-secret": "users"}),
                ingress("j", {"/": "s"}, "b.test")]
    p = t.proxy(objects)
    guess = lambda w: base64.b64encode(b"alice:" + w).decode().encode()
    n = 12
    waiting = []
    for i in range(n):
        c = t.client(p)
        c.send(b"GET / HTTP/1.1\r\nHost: a.test\r\nAuthorization: Basic %s\r\n\r\n" % guess(b"wrong%d" % i))
        waiting.append(c)
    for _i in range(5):
        equal(t.get(p, host="b.test").status, 200)
    check(len(select.select([c.sock for c in waiting], [], [], 0)[0]) < n, "others had their answers after all passwords")
    for c in waiting:
        equal(c.response().status, 401)
    c = t.client(p)
    for _i in range(3):
        c.send(b"GET / HTTP/1.1\r\nHost: a.test\r\nAuthorization: Basic %s\r\n\r\n" % guess(b"secret"))
        equal(c.response().status, 200)


# ---- endpoints -------------------------------------------------------------------------------------------------------


@test("proxy-next-upstream http_503: another endpoint is asked; when there is none, the answer is passed on")
def _(t):
    bad = t.origin(answer("busy", "503 Service Unavailable", [("X-Busy", "1")]))
    good = t.origin(answer("good"))
    p = proxy(t, [bad, good], {N + "proxy-next-upstream": "error http_503"})
    while not bad.requests:
        equal(t.get(p).body, b"good")
    p = proxy(t, [bad], {N + "proxy-next-upstream": "error http_503"})
    r = t.get(p)
    equal((r.status, r.body, r.get("x-busy")), (503, b"busy", "1"))
    n = len(bad.requests)
    c = t.client(p)
    c.send(b"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 2\r\n\r\nhi")
    equal(c.response().status, 503)
    equal(len(bad.requests), n + 1, "a POST goes once")


@test("affinity by cookie: a client stays at its endpoint; the origin's own cookies pass")
def _(t):
    origins = [t.origin(answer(str(i), fields=[("Set-Cookie", "own=1")])) for i in range(5)]
    p = proxy(t, origins, {N + "affinity": "cookie"})
    r = t.get(p)
    cookies = r.all("set-cookie")
    check("own=1" in cookies and len(cookies) == 2, cookies)
    mine = next(c for c in cookies if c != "own=1").split(";")[0]
    for _i in range(20):
        again = t.get(p, "/", f"Cookie: {mine}\r\n")
        equal(again.body, r.body)
        equal(again.all("set-cookie"), ["own=1"])


@test("time-outs of the annotations go before those of the process")
def _(t):
    def handler(c):
        c.request()
        c.ended(30)

    o = t.origin(handler)
    p = proxy(t, [o], {N + "proxy-read-timeout": "1"})
    begin = time.monotonic()
    equal(t.get(p).status, 504)
    check(0.9 < time.monotonic() - begin < DEADLINE)


@test("sluice.dev/wait-for-endpoint holds a request")
def _(t):
    p = proxy(t, [], {"sluice.dev/wait-for-endpoint": "1s"})
    begin = time.monotonic()
    equal(t.get(p).status, 503)
    check(0.9 < time.monotonic() - begin < DEADLINE)


@test("limit-rate: an answer takes its time, and other clients none")
def _(t):
    o = t.origin(answer(b"x" * 300000))
    p = proxy(t, [o], {N + "limit-rate": "100", N + "limit-rate-after": "100"})
    begin = time.monotonic()
    r = t.get(p)
    equal(len(r.body), 300000)
    check(1.5 < time.monotonic() - begin < 3 * DEADLINE, time.monotonic() - begin)


@test("backend-protocol HTTPS: endpoints are spoken to by TLS, and their connections are used again")
def _(t):
    crt, key = certificate(("origin.test",))
    with open(t.folder + "/pem", "wb") as f:
        f.write(crt + key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(t.folder + "/pem")
    o = t.origin(echo, tls=context)
    p = proxy(t, [o], {N + "backend-protocol": "HTTPS", N + "proxy-body-size": "0"})
    body = os.urandom(3000000)
    c = t.client(p)
    for data in (b"small", body, b"again"):
        c.send(b"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: %d\r\n\r\n" % len(data))
        threading.Thread(target=c.send, args=(data,), daemon=True).start()
        r = c.response()
        check(r.status == 200 and r.body == data, r)
    equal(len(o.connections), 1)
    plain = t.origin(answer())
    p = proxy(t, [plain], {N + "backend-protocol": "HTTPS"}, "--connect-timeout", "1s")
    equal(t.get(p).status, 502)
    equal(p.record(status=502)["ended"], "origin_tls")


@test("custom and hidden things stay apart: upstream-vhost, x-forwarded-prefix")
def _(t):
    o = t.origin(answer())
    p = proxy(t, [o], {N + "upstream-vhost": "up.test", N + "x-forwarded-prefix": "/p"})
    t.get(p, "/", "X-Forwarded-Prefix: /evil\r\n")
    r = o.requests[-1]
    equal((r.all("host"), r.all("x-forwarded-prefix"), r.get("x-forwarded-host")), (["up.test"], ["/p"], "a.test"))


@test("fields that an Ingress sets replace those of the proxy's; no trailer says what only a proxy may")
def _(t):
    def handler(c):
        while r := c.request():
            c.answer(json.dumps([r.fields, r.trailers]))

    p = t.proxy({"/": t.origin(handler)}, annotations={
        "sluice.dev/request-headers": "X-Forwarded-Proto: https\nx-request-id: fixed\nX-Tenant: one"})
    c = t.client(p)
    c.send(b"POST / HTTP/1.1\r\nHost: a.test\r\nX-Tenant: two\r\nX-Request-ID: mine\r\nTransfer-Encoding: chunked\r\n\r\n"
           b"1\r\nx\r\n0\r\nX-Tenant: three\r\nX-Real-IP: 1.2.3.4\r\nForwarded: for=1.2.3.4\r\nX-Request-ID: his\r\n"
           b"X-Original-URL: /\r\nssl-client-verify: SUCCESS\r\nX-Checksum: abc\r\n\r\n")
    fields, trailers = json.loads(c.response().body)
    for name, value in ("x-forwarded-proto", "https"), ("x-request-id", "fixed"), ("x-tenant", "one"):
        equal([v for n, v in fields if n.lower() == name], [value], name)
    equal(trailers, [["X-Checksum", "abc"]])


if __name__ == "__main__":
    main()

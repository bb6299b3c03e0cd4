# SPDX-License-Identifier: GPL-2.0-only
"""Every annotation of the list in user/ingress/ANNOTATIONS.md, as a user would write it, against the running proxy."""

import base64
import collections

from harness import *

SECOND = "10.77.0.3"  # another client


def tell(name):
    """An origin that says who it is and what it got."""

    def handler(c):
        while r := c.request():
            c.answer(json.dumps({"who": name, "target": r.target, "method": r.method,
                                 "fields": [[n.lower(), v] for n, v in r.fields]}))

    return handler


class Site:
    """Hosts with annotations, one Ingress each, on one proxy."""

    def __init__(self, t):
        self.t, self.objects = t, []

    def host(self, name, annotations=None, origins=None, path="/", kind="Prefix", ingress_name=None, tls=None):
        """Annotations without a prefix are ingress-nginx's."""
        if origins is None:
            origins = [self.t.origin(tell(name))]
        full = {k if "/" in k else "nginx.ingress.kubernetes.io/" + k: str(v) for k, v in (annotations or {}).items()}
        label = (ingress_name or name).replace(".", "-")
        if not any(o["kind"] == "Service" and o["metadata"]["name"] == label for o in self.objects):
            self.objects += service(label, [(o.address, o.port) for o in origins])
        self.objects.append(ingress(label, {(path, kind): label}, name, full, tls=tls))
        return origins[0]

    def secret(self, name, data, kind="Opaque"):
        self.objects.append({"apiVersion": "v1", "kind": "Secret", "type": kind,
                             "metadata": {"name": name, "namespace": "default"},
                             "data": {n: base64.b64encode(v if isinstance(v, bytes) else v.encode()).decode()
                                      for n, v in data.items()}})

    def start(self, *options):
        self.p = self.t.proxy(self.objects, *options)
        return self.p

    def get(self, host, path="/", fields="", method="GET", source=None):
        c = self.t.client(self.p, source=source)
        c.send(f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{fields}\r\n".encode("latin-1"))
        r = c.final(is_head=method == "HEAD")
        c.close()
        return r


def told(r):
    equal(r.status, 200, r)
    return json.loads(r.body)


def sent(r, name):
    """The values of a field that the origin got."""
    return [v for n, v in told(r)["fields"] if n == name.lower()]


def basic(user, password):
    return "Authorization: Basic " + base64.b64encode(f"{user}:{password}".encode()).decode() + "\r\n"


# ---- redirects and fields -------------------------------------------------------------------------------------------


@test("force-ssl-redirect, preserve-trailing-slash, app-root, permanent and temporal redirects, from-to-www")
def _(t):
    s = Site(t)
    s.host("force.test", {"force-ssl-redirect": "true"})
    s.host("keep.test", {"force-ssl-redirect": "true", "preserve-trailing-slash": "true"})
    s.host("root.test", {"app-root": "/home"})
    s.host("moved.test", {"permanent-redirect": "https://new.test$request_uri"})
    s.host("moved2.test", {"permanent-redirect": "https://new.test", "permanent-redirect-code": "308"})
    s.host("there.test", {"temporal-redirect": "https://new.test/$arg_a", "permanent-redirect": "https://no.test"})
    s.host("bare.test", {"from-to-www-redirect": "true"})
    s.start()
    for host, path, status, location in (
        ("force.test", "/x/?a=1", 308, "https://force.test/x/?a=1"),
        ("force.test", "/x/", 308, "https://force.test/x"),
        ("keep.test", "/x/", 308, "https://keep.test/x/"),
        ("root.test", "/", 302, "/home"),
        ("moved.test", "/a?b", 301, "https://new.test/a?b"),
        ("moved2.test", "/a?b", 308, "https://new.test"),
        ("there.test", "/?a=x%0d%0aSet-Cookie:y", 302, "https://new.test/x%0d%0aSet-Cookie:y"),
        ("www.bare.test", "/p?q", 308, "http://bare.test/p?q"),
    ):
        r = s.get(host, path)
        equal((r.status, r.get("location")), (status, location), (host, path))
    equal(s.get("force.test", "/.well-known/acme-challenge/x").status, 200)
    equal(told(s.get("root.test", "/home"))["target"], "/home")
    equal(told(s.get("bare.test", "/p"))["who"], "bare.test")


@test("upstream-vhost, x-forwarded-prefix, request-headers, response-headers, server-alias, strip-prefix, rewrite-target")
def _(t):
    s = Site(t)
    s.host("f.test", {"upstream-vhost": "inner.test", "x-forwarded-prefix": "/base", "server-alias": "g.test, *.h.test",
                      "sluice.dev/request-headers": "X-One: 1\nX-Two: two words",
                      "sluice.dev/response-headers": "X-Out: yes\nX-Frame-Options: DENY"})
    s.host("strip.test", {"sluice.dev/strip-prefix": "true"}, path="/model")
    s.host("rw.test", {"rewrite-target": "/$2", "use-regex": "true"}, path="/model(/|$)(.*)",
           kind="ImplementationSpecific")
    s.start()
    for host in ("f.test", "g.test", "x.h.test"):
        r = s.get(host, "/", "X-One: forged\r\nX-Forwarded-Prefix: forged\r\n")
        equal(sent(r, "host"), ["inner.test"])
        equal(sent(r, "x-forwarded-prefix"), ["/base"])
        equal(sent(r, "x-forwarded-host"), [host])
        equal(sent(r, "x-one"), ["1"])
        equal(sent(r, "x-two"), ["two words"])
        equal((r.all("x-out"), r.get("x-frame-options")), (["yes"], "DENY"))
    equal(told(s.get("strip.test", "/model/v1/chat?x=1"))["target"], "/v1/chat?x=1")
    equal(told(s.get("rw.test", "/model/v1/chat?x=1"))["target"], "/v1/chat?x=1")
    equal(s.get("strip.test", "/models").status, 404)


@test("enable-access-log: off means no line")
def _(t):
    s = Site(t)
    s.host("quiet.test", {"enable-access-log": "false"})
    s.host("loud.test")
    s.start()
    told(s.get("quiet.test"))
    told(s.get("loud.test"))
    s.p.record(host="loud.test")
    equal([r["host"] for r in s.p.records()], ["loud.test"])


# ---- who may come ---------------------------------------------------------------------------------------------------


@test("allow and deny lists judge the client's address, not what it says of itself")
def _(t):
    s = Site(t)
    s.host("allow.test", {"whitelist-source-range": f"10.9.0.0/16, {SECOND}/32"})
    s.host("deny.test", {"denylist-source-range": f"{SECOND}/32"})
    s.host("bad.test", {"allowlist-source-range": "10.0.0.0/8, nonsense"})
    s.start()
    equal(s.get("allow.test", source=CLIENT).status, 403)
    equal(s.get("allow.test", source=CLIENT, fields="X-Forwarded-For: 10.9.0.1\r\nX-Real-IP: 10.9.0.1\r\n").status, 403)
    equal(s.get("allow.test", source=SECOND).status, 200)
    equal(s.get("deny.test", source=SECOND).status, 403)
    equal(s.get("deny.test", source=CLIENT).status, 200)
    equal(s.get("bad.test").status, 503)  # closed rather than open
    record = s.p.record(host="bad.test")
    check("allowlist-source-range" in record["why"], record)
    until(lambda: "nonsense" in s.p.stderr(), "what is wrong is said")


@test("a trusted proxy's X-Forwarded-For is the client")
def _(t):
    s = Site(t)
    s.host("allow.test", {"whitelist-source-range": "10.9.0.0/16"})
    s.start("--trusted-proxies", f"{CLIENT}/32")
    equal(s.get("allow.test", source=CLIENT, fields="X-Forwarded-For: 10.9.0.1\r\n").status, 200)
    equal(s.get("allow.test", source=SECOND, fields="X-Forwarded-For: 10.9.0.1\r\n").status, 403)


@test("basic authentication: every kind of hash, auth-map, satisfy, a missing Secret")
def _(t):
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import crypt
    hashes = {
        "apr1": subprocess.run(["openssl", "passwd", "-apr1", "päss"], check=True, capture_output=True).stdout.decode().strip(),
        "sha512": crypt.crypt("päss", crypt.mksalt(crypt.METHOD_SHA512, rounds=1000)),
        "bcrypt": crypt.crypt("päss", crypt.mksalt(crypt.METHOD_BLOWFISH, rounds=16)),
        "sha": "{SHA}" + base64.b64encode(__import__("hashlib").sha1("päss".encode()).digest()).decode(),
    }
    s = Site(t)
    s.secret("file", {"auth": "".join(f"{u}:{h}\n" for u, h in hashes.items())})
    s.secret("map", {"ann": hashes["bcrypt"]})
    s.host("file.test", {"auth-type": "basic", "auth-secret": "file", "auth-realm": "Staff only"})
    s.host("map.test", {"auth-type": "basic", "auth-secret": "default/map", "auth-secret-type": "auth-map"})
    s.host("any.test", {"auth-type": "basic", "auth-secret": "file", "satisfy": "any",
                        "whitelist-source-range": f"{SECOND}/32"})
    s.host("gone.test", {"auth-type": "basic", "auth-secret": "missing"})
    s.host("other.test", {"auth-type": "basic", "auth-secret": "elsewhere/file"})
    s.start()
    r = s.get("file.test")
    equal((r.status, r.get("www-authenticate")), (401, 'Basic realm="Staff only"'))
    for user in hashes:
        r = s.get("file.test", fields=basic(user, "päss"))
        equal(sent(r, "authorization"), [], user)  # the origin does not learn it
        equal(s.get("file.test", fields=basic(user, "pass")).status, 401, user)
        equal(s.get("file.test", fields=basic(user, "päss")).status, 200, user)
    equal(s.get("file.test", fields=basic("nobody", "päss")).status, 401)
    equal(s.get("map.test", fields=basic("ann", "päss")).status, 200)
    equal(s.get("any.test", source=SECOND).status, 200)
    equal(s.get("any.test", source=CLIENT).status, 401)
    equal(s.get("any.test", source=CLIENT, fields=basic("sha", "päss")).status, 200)
    equal(s.get("gone.test", fields=basic("sha", "päss")).status, 503)
    equal(s.get("other.test", fields=basic("sha", "päss")).status, 503)
    # The Secret comes: it counts at once.
    s.secret("missing", {"auth": f"sha:{hashes['sha']}"})
    s.p.write("all", s.objects)
    until(lambda: s.get("gone.test").status == 401, "the Secret counts")
    equal(s.get("gone.test", fields=basic("sha", "päss")).status, 200)


@test("passwords: a slow hash holds nobody else up, a right one is remembered, a client that leaves is forgotten")
def _(t):
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import crypt
    s = Site(t)
    s.secret("slow", {"auth": "ann:" + crypt.crypt("pass", crypt.mksalt(crypt.METHOD_BLOWFISH, rounds=1 << 11)) + "\n"})
    s.host("slow.test", {"auth-type": "basic", "auth-secret": "slow"})
    s.host("free.test")
    s.start()  # one worker

    def ask(password):
        c = t.client(s.p)
        c.send(f"GET / HTTP/1.1\r\nHost: slow.test\r\n{basic('ann', password)}\r\n".encode())
        return c

    begin = s.p.cpu_ns()
    equal(ask("pass").final().status, 200)
    once = s.p.cpu_ns() - begin
    begin = s.p.cpu_ns()
    equal(ask("pass").final().status, 200)
    again = s.p.cpu_ns() - begin
    check(again < once / 4, "remembered", once, again)
    guesses = [ask(f"guess{i}") for i in range(12)]
    free = t.client(s.p)
    for _i in range(5):
        free.send(b"GET / HTTP/1.1\r\nHost: free.test\r\n\r\n")
        equal(free.final().status, 200)
    waiting = 12 - len(select.select([g.sock for g in guesses], [], [], 0)[0])
    for c in guesses[:4]:
        c.close()
    for c in guesses[4:]:
        equal(c.final().status, 401)
    check(waiting > 0, "others had their answers after all passwords")
    guesses = [ask(f"more{i}") for i in range(200)]
    got = collections.Counter(c.final().status for c in guesses)
    check(got[401] >= 32 and got[503] > 0 and got[401] + got[503] == 200, got)


@test("external authentication: asked with the request's fields; what it says counts")
def _(t):
    def judge(c):
        while r := c.request():
            fields = [("X-User", r.get("x-key", "none")), ("Set-Cookie", "s=1"), ("Set-Cookie", "t=2")]
            kind = r.get("x-key")
            if kind == "ok":
                c.answer("", fields=fields)
            elif kind == "broken":
                c.answer("", "500 Oops")
            elif kind == "gone":
                return
            else:
                c.answer("no", "403 No" if kind == "bad" else "401 Who", [("WWW-Authenticate", "Bearer x"), ("Set-Cookie", "u=3")])

    s = Site(t)
    auth = t.origin(judge)
    url = f"http://{auth.address}:{auth.port}/check?of=$escaped_request_uri"
    o = s.host("asked.test", {"auth-url": url, "auth-response-headers": "X-User"})
    s.host("signin.test", {"auth-url": url, "auth-signin": "https://login.test/start", "auth-signin-redirect-param": "back"})
    s.host("nobody.test", {"auth-url": f"http://{ADDRESS}:{t.closed_port()}/"})
    # By a Service's name, by one's own host, by a name of the system's resolver.
    s.objects += service("judge", [(auth.address, auth.port)], port=81)
    s.host("service.test", {"auth-url": "http://judge.default.svc.cluster.local:81/svc"})
    s.host("own.test", {"auth-url": "https://$host/oauth2/auth"})
    s.objects.append(ingress("own-auth", {"/oauth2": "judge2"}, "own.test"))
    s.objects += service("judge2", [(auth.address, auth.port)])
    s.host("named.test", {"auth-url": f"http://localhost:{auth.port}/named"})
    s.start()
    for host, target in (("service.test", "/svc"), ("own.test", "/oauth2/auth")):
        equal(s.get(host, fields="X-Key: ok\r\n").status, 200)
        equal(auth.requests[-1].target, target)
        equal(s.get(host, fields="X-Key: bad\r\n").status, 403)
    equal(auth.requests[-1].get("host"), "own.test")
    equal(s.get("own.test", "/oauth2/start").status, 401)  # the judge itself is not asked about
    r = s.get("asked.test", "/a?b=1", "X-Key: ok\r\nX-User: forged\r\nContent-Length: 0\r\n", method="POST")
    equal(sent(r, "x-user"), ["ok"])
    equal(r.all("set-cookie"), ["s=1", "t=2"])
    q = auth.requests[-1]
    equal((q.method, q.target), ("GET", "/check?of=%2Fa%3Fb%3D1"))
    equal((q.get("x-original-url"), q.get("x-original-method")), ("http://asked.test/a?b=1", "POST"))
    equal((q.get("x-key"), q.get("content-length"), q.get("x-real-ip")), ("ok", None, CLIENT))
    reached = len(o.requests)
    for key, status in (("x", 401), ("bad", 403), ("broken", 503), ("gone", 503)):
        r = s.get("asked.test", "/", f"X-Key: {key}\r\n")
        equal(r.status, status, key)
        equal(r.get("www-authenticate"), "Bearer x" if status == 401 else None)
    equal(len(o.requests), reached)
    r = s.get("signin.test", "/a?b", "X-Key: x\r\n")
    equal((r.status, r.get("location")), (302, "https://login.test/start?back=http%3A%2F%2Fsignin.test%2Fa%3Fb"))
    equal(s.get("nobody.test").status, 503)
    here = t.origin(judge, address="127.0.0.1", port=auth.port)
    until(lambda: s.get("named.test", fields="X-Key: ok\r\n").status == 200, "the name is resolved")
    equal(here.requests[-1].target, "/named")
    # The Service goes and comes.
    judge_objects = [o for o in s.objects if o["metadata"]["name"].startswith("judge") and o["metadata"]["name"] in ("judge", "judge-0")]
    s.p.write("all", [o for o in s.objects if o not in judge_objects])
    until(lambda: s.get("service.test", fields="X-Key: ok\r\n").status == 503, "nobody can be asked")
    s.p.write("all", s.objects)
    until(lambda: s.get("service.test", fields="X-Key: ok\r\n").status == 200, "somebody can")


# ---- how much --------------------------------------------------------------------------------------------------------


@test("proxy-body-size: a length, chunks, no limit")
def _(t):
    s = Site(t)
    s.host("small.test", {"proxy-body-size": "1k"})
    s.host("large.test", {"proxy-body-size": "0"})
    s.host("usual.test")
    s.start()

    def post(host, n, chunked=False):
        c = t.client(s.p)
        head = f"POST / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n"
        body = b"x" * n
        if chunked:
            c.send((head + "Transfer-Encoding: chunked\r\n\r\n").encode())
            body = b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in (body[i:i + 400] for i in range(0, n, 400))) + b"0\r\n\r\n"
        else:
            c.send((head + f"Content-Length: {n}\r\n\r\n").encode())
        try:
            c.send(body)
        except ConnectionError:
            pass
        return c.final().status

    equal(post("small.test", 1024), 200)
    equal(post("small.test", 1025), 413)
    equal(post("small.test", 1024, True), 200)
    equal(post("small.test", 5000, True), 413)
    equal(post("large.test", 3 << 20), 200)
    equal(post("usual.test", (1 << 20) + 1), 413)


@test("limit-rps, limit-rpm, limit-by, limit-whitelist: 503 with Retry-After")
def _(t):
    s = Site(t)
    s.host("rps.test", {"limit-rps": "1", "limit-burst-multiplier": "3"})
    s.host("rpm.test", {"limit-rpm": "1", "limit-burst-multiplier": "1"})
    s.host("key.test", {"limit-rpm": "1", "limit-burst-multiplier": "1", "sluice.dev/limit-by": "header:X-Key"})
    s.host("free.test", {"limit-rpm": "1", "limit-whitelist": f"{CLIENT}/32"})
    s.start("--workers", "2")  # they count together

    def statuses(host, n, **more):
        return [s.get(host, **more).status for _i in range(n)]

    got = statuses("rps.test", 12)
    check(got[:4] == [200] * 4 and got.count(200) <= 6 and got[-1] == 503, got)
    until(lambda: s.get("rps.test").status == 200, "a second later there is room again")
    equal(statuses("rps.test", 1, source=SECOND), [200])
    equal(statuses("rpm.test", 3, source=CLIENT), [200, 200, 503])
    check(55 <= int(s.get("rpm.test", source=CLIENT).get("retry-after")) <= 60)
    equal(statuses("key.test", 3, fields="X-Key: a\r\n"), [200, 200, 503])
    equal(statuses("key.test", 1, fields="X-Key: a\r\n", source=SECOND), [503])
    equal(statuses("key.test", 1, fields="X-Key: b\r\n"), [200])
    equal(statuses("free.test", 20, source=CLIENT), [200] * 20)


@test("limit-connections: one more at a time is 503, and room is given back")
def _(t):
    go = threading.Event()

    def slow(c):
        while c.request():
            go.wait(DEADLINE)
            c.answer("ok")

    s = Site(t)
    s.host("conn.test", {"limit-connections": "2"}, [t.origin(slow)])
    s.start()
    held = [t.client(s.p) for _i in range(2)]
    for c in held:
        c.send(b"GET / HTTP/1.1\r\nHost: conn.test\r\n\r\n")
    until(lambda: s.get("conn.test").status == 503, "two are running")
    held[0].close()  # a client that leaves gives its place back, too
    extra = []

    def one_more():
        c = t.client(s.p)
        c.send(b"GET / HTTP/1.1\r\nHost: conn.test\r\n\r\n")
        c.sock.settimeout(0.2)
        try:
            c.more()
        except TimeoutError:
            c.sock.settimeout(DEADLINE)
            extra.append(c)
        return extra

    until(one_more, "there is room for one")
    go.set()
    equal(held[1].final().status, 200)
    equal(extra[0].final().status, 200)


@test("limit-rate: an answer takes as long as it should")
def _(t):
    s = Site(t)
    s.host("slow.test", {"limit-rate": "200", "limit-rate-after": "50"}, [t.origin(answer(b"x" * 250 * 1024))])
    s.start()
    begin = time.monotonic()
    r = s.get("slow.test")
    took = time.monotonic() - begin
    equal(len(r.body), 250 * 1024)
    check(0.7 <= took <= DEADLINE, f"200 KiB at 200 KiB/s took {took:.2f} s")


@test("CORS: allowed origins, preflight, credentials")
def _(t):
    s = Site(t)
    s.host("any.test", {"enable-cors": "true"}, [t.origin(answer("x", fields=[("Access-Control-Allow-Origin", "https://origin.says")]))])
    o = s.host("some.test", {"enable-cors": "true", "cors-allow-origin": "https://a.test, https://*.b.test",
                             "cors-allow-methods": "GET", "cors-expose-headers": "X-E", "cors-max-age": "600"},
               [t.origin(answer("x", fields=[("Vary", "Accept")]))])
    s.start()
    r = s.get("any.test", fields="Origin: https://x.test\r\n")
    equal(r.all("access-control-allow-origin"), ["*"])
    r = s.get("some.test", "/", "Origin: https://q.b.test\r\nAccess-Control-Request-Method: GET\r\n", method="OPTIONS")
    equal(r.status, 204)
    equal(len(o.requests), 0)
    equal((r.get("access-control-allow-origin"), r.get("access-control-allow-methods"), r.get("access-control-max-age")),
          ("https://q.b.test", "GET", "600"))
    r = s.get("some.test", fields="Origin: https://a.test\r\n")
    equal((r.get("access-control-allow-origin"), r.get("access-control-expose-headers"), r.get("access-control-allow-credentials")),
          ("https://a.test", "X-E", "true"))
    equal(sorted(r.all("vary")), ["Accept", "Origin"])
    r = s.get("some.test", fields="Origin: https://evil.test\r\n")
    equal((r.status, r.get("access-control-allow-origin")), (200, None))


# ---- which endpoint ----------------------------------------------------------------------------------------------------


def pods(t, n):
    return [t.origin(tell(str(i))) for i in range(n)]


@test("affinity: a client stays at its endpoint; the cookie tells no address")
def _(t):
    s = Site(t)
    origins = pods(t, 5)
    s.host("sticky.test", {"affinity": "cookie", "session-cookie-name": "route", "session-cookie-max-age": "3600",
                           "session-cookie-path": "/x", "session-cookie-samesite": "Lax"}, origins)
    s.start("--workers", "2")
    met = collections.Counter()
    for _i in range(12):
        r = s.get("sticky.test")
        cookie = r.get("set-cookie")
        m = re.fullmatch(r"route=([0-9a-f]{16}); Path=/x; Max-Age=3600; HttpOnly; SameSite=Lax", cookie)
        check(m, cookie)
        who = told(r)["who"]
        met[who] += 1
        for _j in range(5):
            again = s.get("sticky.test", fields=f"Cookie: a=b; route={m[1]}\r\n")
            equal((told(again)["who"], again.get("set-cookie")), (who, None))
    check(len(met) > 1, met)
    # The endpoint leaves: the client goes elsewhere, and stays there.
    r = s.get("sticky.test")
    value, gone = re.match("route=([0-9a-f]+)", r.get("set-cookie"))[1], told(r)["who"]
    left = [o for i, o in enumerate(origins) if str(i) != gone]
    s.objects = [o for o in s.objects if o["kind"] != "EndpointSlice"]
    s.objects += service("sticky-test", [(o.address, o.port) for o in left])[1:]
    s.p.write("all", s.objects)
    r = until(lambda: (lambda r: r.get("set-cookie") and r)(s.get("sticky.test", fields=f"Cookie: route={value}\r\n")),
              "a new cookie")
    check(told(r)["who"] != gone)


@test("upstream-hash-by: one key, one endpoint; hash-load-factor; load-balance round_robin")
def _(t):
    s = Site(t)
    s.host("uri.test", {"upstream-hash-by": "$request_uri"}, pods(t, 4))
    s.host("user.test", {"upstream-hash-by": "$http_x_user-$cookie_c", "sluice.dev/hash-load-factor": "125"}, pods(t, 4))
    s.host("turn.test", {"load-balance": "round_robin"}, pods(t, 4))
    s.start()
    where = {}
    for i in range(64):
        path = f"/{i % 16}"
        who = told(s.get("uri.test", path))["who"]
        equal(where.setdefault(path, who), who)
    check(len(set(where.values())) > 1, where)
    where = {}
    for i in range(64):
        user = f"X-User: u{i % 16}\r\nCookie: c={i % 2}\r\n"
        who = told(s.get("user.test", fields=user))["who"]
        equal(where.setdefault(user, who), who)
    order = [told(s.get("turn.test"))["who"] for _i in range(12)]
    equal(order[:4] * 3, order)
    equal(len(set(order)), 4)


@test("canary: header, cookie, weight; time-outs and fields stay the main Ingress's")
def _(t):
    s = Site(t)
    s.host("can.test", {"x-forwarded-prefix": "/main"}, [t.origin(tell("main"))], ingress_name="main")
    s.host("can.test", {"canary": "true", "canary-by-header": "X-Canary", "canary-by-cookie": "canary", "canary-weight": "30",
                        "x-forwarded-prefix": "/canary"},
           [t.origin(tell("canary"))], ingress_name="canary")
    s.host("lonely.test", {"canary": "true", "canary-weight": "100"}, ingress_name="lonely")
    s.start()
    r = s.get("can.test", fields="X-Canary: always\r\n")
    equal((told(r)["who"], sent(r, "x-forwarded-prefix")), ("canary", ["/main"]))
    equal(told(s.get("can.test", fields="X-Canary: never\r\nCookie: canary=always\r\n"))["who"], "main")
    equal(told(s.get("can.test", fields="Cookie: canary=always\r\n"))["who"], "canary")
    c = t.client(s.p)
    n = 0
    for _i in range(400):
        c.send(b"GET / HTTP/1.1\r\nHost: can.test\r\n\r\n")
        n += json.loads(c.final().body)["who"] == "canary"
    check(70 <= n <= 170, n)  # 120 on average; eight standard deviations would be 73
    equal(s.get("lonely.test").status, 404)


# ---- towards the origin -------------------------------------------------------------------------------------------------


@test("proxy-read-timeout is silence, not length; proxy-connect-timeout; proxy-next-upstream")
def _(t):
    def drip(c):
        while c.request():
            c.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            for _i in range(12):
                c.send(b"1\r\nx\r\n")
                c.origin.pause.wait(0.2)  # far shorter than the time-out, longer together
            c.send(b"0\r\n\r\n")

    def silent(c):
        c.request()
        c.origin.pause.wait(DEADLINE)

    def refusing(c):
        while c.request():
            c.answer("no", "503 Busy")

    pause = threading.Event()
    origins = {n: t.origin(h) for n, h in (("drip", drip), ("silent", silent), ("busy", refusing))}
    for o in origins.values():
        o.pause = pause
    s = Site(t)
    s.host("drip.test", {"proxy-read-timeout": "2"}, [origins["drip"]])
    s.host("silent.test", {"proxy-read-timeout": "500ms", "proxy-next-upstream": "off"}, [origins["silent"]])
    s.host("busy.test", {"proxy-next-upstream": "error http_503"}, [origins["busy"], t.origin(tell("good"))])
    s.host("busyoff.test", {"proxy-next-upstream": "off", "load-balance": "round_robin"},
           [origins["busy"], t.origin(tell("good"))])
    s.start()
    r = s.get("drip.test")
    check(r.complete and r.body == b"x" * 12, r)
    begin = time.monotonic()
    equal(s.get("silent.test").status, 504)
    check(0.4 < time.monotonic() - begin < DEADLINE)
    pause.set()
    for _i in range(6):
        equal(told(s.get("busy.test"))["who"], "good")
    check({s.get("busyoff.test").status for _i in range(4)} == {200, 503})


@test("wait-for-endpoint: held until one is ready, then 503 with Retry-After")
def _(t):
    s = Site(t)
    o = t.origin(tell("late"))
    s.objects += service("late-test", [])
    s.objects.append(ingress("late-test", {"/": "late-test"}, "late.test", {"sluice.dev/wait-for-endpoint": "20s"}))
    s.objects += service("never-test", [])
    s.objects.append(ingress("never-test", {"/": "never-test"}, "never.test", {"sluice.dev/wait-for-endpoint": "100ms"}))
    s.start()
    begin = time.monotonic()
    r = s.get("never.test")
    equal(r.status, 503)
    check(r.get("retry-after"), r)
    check(0.1 <= time.monotonic() - begin < DEADLINE)
    c = t.client(s.p)
    c.send(b"GET / HTTP/1.1\r\nHost: late.test\r\nConnection: close\r\n\r\n")
    s.p.write("more", service("late-test", [(o.address, o.port)])[1:])
    equal(told(c.final())["who"], "late")


@test("backend-protocol HTTPS and proxy-ssl: encrypted, and verified where asked")
def _(t):
    folder = os.path.join(t.folder, "keys")
    os.makedirs(folder)

    def run(*command):
        subprocess.run(command, check=True, capture_output=True, cwd=folder)

    for ca in ("ca", "other"):
        run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
            f"/CN={ca}", "-keyout", f"{ca}.key", "-out", f"{ca}.crt")
    for name in ("server", "client"):
        run("openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}",
            "-addext", "subjectAltName=DNS:inner.test", "-keyout", f"{name}.key", "-out", f"{name}.csr")
        run("openssl", "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2",
            "-copy_extensions", "copy", "-out", f"{name}.crt")

    def read(name):
        with open(os.path.join(folder, name), "rb") as f:
            return f.read()

    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(os.path.join(folder, "server.crt"), os.path.join(folder, "server.key"))
    demanding = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    demanding.load_cert_chain(os.path.join(folder, "server.crt"), os.path.join(folder, "server.key"))
    demanding.load_verify_locations(os.path.join(folder, "ca.crt"))
    demanding.verify_mode = ssl.CERT_REQUIRED
    s = Site(t)
    s.secret("good", {"ca.crt": read("ca.crt"), "tls.crt": read("client.crt"), "tls.key": read("client.key")}, "kubernetes.io/tls")
    s.secret("bad", {"ca.crt": read("other.crt"), "tls.crt": read("client.crt"), "tls.key": read("client.key")}, "kubernetes.io/tls")
    verify = {"backend-protocol": "HTTPS", "proxy-ssl-verify": "on", "proxy-ssl-server-name": "on"}
    s.host("plain.test", {"backend-protocol": "HTTPS"}, [t.origin(tell("plain"), tls=tls)])
    s.host("good.test", verify | {"proxy-ssl-secret": "default/good", "proxy-ssl-name": "inner.test"},
           [t.origin(tell("good"), tls=demanding)])
    s.host("wrong.test", verify | {"proxy-ssl-secret": "good", "proxy-ssl-name": "elsewhere.test"},
           [t.origin(tell("wrong"), tls=tls)])
    s.host("bad.test", verify | {"proxy-ssl-secret": "bad", "proxy-ssl-name": "inner.test"}, [t.origin(tell("bad"), tls=tls)])
    s.start()
    equal(told(s.get("plain.test"))["who"], "plain")
    equal(told(s.get("good.test"))["who"], "good")
    equal(s.get("wrong.test").status, 502)
    equal(s.get("bad.test").status, 502)
    equal(s.p.record(host="bad.test")["ended"], "origin_tls")


# ---- what is said --------------------------------------------------------------------------------------------------------


@test("what cannot be taken is named with its remedy, and the rest is served")
def _(t):
    s = Site(t)
    s.host("odd.test", {"server-snippet": "return 418;", "proxy-body-size": "lots", "proxy-red-timeout": "5", "ssl-passthrough": "true",
                        "x-forwarded-prefix": "/p"})
    s.start()
    equal(sent(s.get("odd.test"), "x-forwarded-prefix"), ["/p"])
    for words in ("server-snippet is never taken", 'proxy-body-size is "lots"', 'did you mean "proxy-read-timeout"',
                  "ssl-passthrough is not supported"):
        until(lambda words=words: words in s.p.stderr(), words)
    check("odd-test" in s.p.stderr())


if __name__ == "__main__":
    main()

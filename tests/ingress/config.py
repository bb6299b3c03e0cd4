# SPDX-License-Identifier: GPL-2.0-only
"""Configuration of a running proxy: what changes is in force at once, what vanishes is kept, and what is wrong is said."""

import http.client
import json
import os
import subprocess

from harness import *
from pairs import certificate, der, pair, secret


def page(p, path):
    """(status, text)"""
    c = http.client.HTTPConnection("127.0.0.1", p.metrics_port, timeout=DEADLINE)
    c.request("GET", path)
    r = c.getresponse()
    return r.status, r.read().decode()


def configz(p):
    return json.loads(page(p, "/configz")[1])


def problems(p, name):
    """Reasons that are given for the Ingress of this name."""
    return [x["reason"] for x in configz(p)["problems"] if x["object"] == f"Ingress default/{name}"]


def says(p, name, *texts):
    """Waits until the Ingress's problems, and no others, say these texts."""

    def told():
        reasons = problems(p, name)
        return all(any(t in r for r in reasons) for t in texts) and (texts or not reasons)

    until(told, f"{texts} said of {name}: {configz(p)['problems']}")


def metric(p, name):
    for line in page(p, "/metrics")[1].splitlines():
        if line.startswith(name + " ") or line.startswith(name + "{"):
            return float(line.rsplit(" ", 1)[1])
    return None


def ingress_class(name="sluice", controller="sluice.dev/ingress", default=False):
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "IngressClass",
        "metadata": {
            "name": name,
            "annotations": {"ingressclass.kubernetes.io/is-default-class": "true"} if default else {},
        },
        "spec": {"controller": controller},
    }


def of_class(i, name):
    i["spec"]["ingressClassName"] = name
    return i


# ---- what changes ---------------------------------------------------------------------------------------------------


@test("routes, Services and endpoints that come and go are in force without a pause")
def _(t):
    one, two = t.origin(answer("one")), t.origin(answer("two"))
    p = t.proxy(service("a", [(ADDRESS, one.port)]) + [ingress("i", {"/": "a"})])
    equal(t.get(p).body, b"one")
    p.write("more", service("b", [(ADDRESS, two.port)]) + [ingress("j", {"/b": "b"})])
    until(lambda: t.get(p, "/b").body == b"two", "the new route")
    equal(t.get(p).body, b"one")
    # the endpoint is another one, and no route is made anew for that
    generation = metric(p, "sluice_config_generation")
    p.write("all", service("a", [(ADDRESS, two.port)]) + [ingress("i", {"/": "a"})])
    until(lambda: t.get(p).body == b"two", "the new endpoint")
    equal(metric(p, "sluice_config_generation"), generation, "generation")
    p.write("more", [])
    until(lambda: configz(p)["ingresses"] == 1, "the other Ingress is gone")
    equal(t.get(p, "/b").body, b"two")  # it is below "/"
    p.write("all", [])
    until(lambda: t.get(p).status == 404, "no route")


@test("a stream goes on while its route, its Service and its Ingress are taken away")
def _(t):
    go = threading.Event()

    def stream(c):
        c.request()
        c.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
        go.wait(DEADLINE)
        c.send(b"4\r\nlast\r\n0\r\n\r\n")

    o = t.origin(stream)
    p = t.proxy({"/": o})
    c = t.client(p)
    c.send(b"GET /s HTTP/1.1\r\nHost: a.test\r\n\r\n")
    c.until(b"first\r\n")
    p.write("all", [])
    until(lambda: configz(p)["ingresses"] == 0 and t.get(p).status == 404, "nothing is served any more")
    go.set()
    check(c.until(b"0\r\n\r\n").endswith(b"4\r\nlast\r\n0\r\n\r\n"), "the stream's end")
    p.record(path="/s", ended="complete", service="s0", bytes_out=9)


@test("a broken manifest leaves what it said before in force")
def _(t):
    o = t.origin(answer("ok"))
    p = t.proxy({"/": o})
    with open(os.path.join(p.dir, "all.json"), "w") as f:
        f.write('{"apiVersion": "v1", "kind": ')
    until(lambda: any(x["concern"] == "Source" for x in configz(p)["problems"]), "the broken file is named")
    equal(t.get(p).body, b"ok")


@test("ports by name, headless Services, endpoints that serve while they end, and no loopback ones")
def _(t):
    one, two = t.origin(answer("one")), t.origin(answer("two"))
    by_name = ingress("i", {"/": "a"})
    by_name["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]["port"] = {"name": "http"}
    objects = service("a", [(ADDRESS, one.port)], port=8765)
    objects[0]["spec"]["clusterIP"] = "None"
    p = t.proxy(objects + [by_name])
    equal(t.get(p).body, b"one")

    # the one that is ready; when none is, the one that serves while it ends
    ending = service("a", [(ADDRESS, one.port), (ADDRESS, two.port)])
    ending[1]["endpoints"][0]["conditions"] = {"ready": False, "serving": True, "terminating": True}
    p.write("all", ending + [by_name])
    until(lambda: t.get(p).body == b"two", "the ready one")
    for _ in range(10):
        equal(t.get(p).body, b"two")
    ending[2]["endpoints"][0]["conditions"] = {"ready": False}
    p.write("all", ending + [by_name])
    until(lambda: t.get(p).body == b"one", "the one that still serves")

    local = service("a", [("127.0.0.1", one.port)])
    p.write("all", local + [by_name])
    says(p, "i", "no endpoint is ready")


# ---- certificates ---------------------------------------------------------------------------------------------------


def tls_objects(o, *secrets):
    return service("a", [(ADDRESS, o.port)]) + [
        ingress("i", {"/": "a"}, host="a.test", tls=[{"hosts": ["a.test"], "secretName": "pair"}])
    ] + list(secrets)


@test("a certificate is rotated live; one that is broken or vanishes leaves the last one in use")
def _(t):
    o = t.origin(answer("ok"))
    first, second = pair("a.test"), pair("A.test")
    port = free_port()
    p = t.proxy(tls_objects(o, secret("pair", *first)), "--https-addr", f"{CLIENT}:{port}")
    until(lambda: certificate(p, port, "a.test") == der(first[0]), "the first certificate")
    p.write("all", tls_objects(o, secret("pair", *second)))
    until(lambda: certificate(p, port, "a.test") == der(second[0]), "the second certificate")

    p.write("all", tls_objects(o, secret("pair", second[0], first[1])))  # not its key
    says(p, "i", "stays in use until it is right")
    equal(certificate(p, port, "a.test"), der(second[0]), "after a broken one")

    p.write("all", tls_objects(o))
    says(p, "i", "Secret pair is gone")
    equal(certificate(p, port, "a.test"), der(second[0]), "after it is gone")

    p.write("all", tls_objects(o, secret("pair", *first)))
    until(lambda: certificate(p, port, "a.test") == der(first[0]), "the first one again")
    says(p, "i")


# ---- as a person would: what is wrong, and what to do -----------------------------------------------------------------


@test("a wrong class: said, with what there is to do")
def _(t):
    o = t.origin(answer("ok"))
    objects = service("a", [(ADDRESS, o.port)]) + [ingress_class()]
    p = t.proxy(objects + [of_class(ingress("i", {"/": "a"}), "slucie")], wait=False)
    until(lambda: port_open(p), "it listens")
    says(p, "i", 'spec.ingressClassName is "slucie", and there is no such IngressClass')
    equal(t.get(p).status, 404)
    p.write("all", objects + [of_class(ingress("i", {"/": "a"}, tls=[{"hosts": ["a.test"], "secretName": "no"}]), "sluice")])
    until(lambda: t.get(p, host="b.test").body == b"ok", "the right class is served")
    says(p, "i", "there is no Secret no")
    # somebody else's: nothing is said of it any more
    theirs = ingress_class("theirs", "example.test/other")
    p.write("all", objects + [theirs, of_class(ingress("i", {"/": "a"}, tls=[{"hosts": ["a.test"], "secretName": "no"}]), "theirs")])
    until(lambda: t.get(p).status == 404, "it is not served")
    says(p, "i")


def port_open(p):
    try:
        socket.create_connection((p.address, p.port), timeout=1).close()
        return page(p, "/readyz")[0] == 200
    except OSError:
        return False


@test("a missing Secret: said, and its host is served with the default certificate meanwhile")
def _(t):
    o = t.origin(answer("ok"))
    port = free_port()
    p = t.proxy(tls_objects(o), "--https-addr", f"{CLIENT}:{port}")
    says(p, "i", "there is no Secret pair")
    check(certificate(p, port, "a.test"), "a certificate")
    p.write("all", tls_objects(o, secret("pair", *pair("a.test"))))
    until(lambda: certificate(p, port, "a.test") == der(pair("a.test")[0]), "the Secret's")
    says(p, "i")


@test("a Service without endpoints, without the port, or none at all: 503, and each says which")
def _(t):
    o = t.origin(answer("ok"))
    p = t.proxy(service("empty", []) + service("other", [(ADDRESS, o.port)], port=81) + [
        ingress("e", {"/e": "empty"}), ingress("o", {"/o": "other"}), ingress("n", {"/n": "none"})])
    says(p, "e", "Service empty, port 80: no endpoint is ready")
    says(p, "o", "Service other, port 80: the Service has no such port")
    says(p, "n", "Service none, port 80: there is no such Service")
    for path, why in (("/e", "no endpoint is ready"), ("/o", "the Service has no such port"),
                      ("/n", "there is no such Service")):
        r = t.get(p, path)
        equal(r.status, 503, path)
        record = p.record(path=path)
        check(why in record["why"], record)
        equal(record["ended"], "origin_none", path)
    p.write("more", service("none", [(ADDRESS, o.port)]))
    until(lambda: t.get(p, "/n").body == b"ok", "the Service is there now")
    says(p, "n")


@test("a regular expression that cannot be compiled: said, and the other paths are served")
def _(t):
    o = t.origin(answer("ok"))
    broken = ingress("i", {("/a(", "ImplementationSpecific"): "a", ("/b", "ImplementationSpecific"): "a"},
                     annotations={"nginx.ingress.kubernetes.io/use-regex": "true"})
    p = t.proxy(service("a", [(ADDRESS, o.port)]) + [broken])
    says(p, "i", 'path "/a(" is not served: the regular expression cannot be compiled')
    equal(t.get(p, "/b").body, b"ok")
    equal(t.get(p, "/a").status, 404)


@test("two Ingresses claim one path: the older one has it, the other one is told by whom")
def _(t):
    one, two = t.origin(answer("one")), t.origin(answer("two"))
    older, younger = ingress("z", {"/": "a"}), ingress("b", {"/": "b"})
    older["metadata"]["creationTimestamp"] = "2025-01-01T00:00:00Z"
    younger["metadata"]["creationTimestamp"] = "2025-01-02T00:00:00Z"
    p = t.proxy(service("a", [(ADDRESS, one.port)]) + service("b", [(ADDRESS, two.port)]) + [older, younger])
    equal(t.get(p).body, b"one")
    says(p, "b", "Ingress default/z is older and has the same path")
    says(p, "z")
    p.write("all", service("b", [(ADDRESS, two.port)]) + [younger])
    until(lambda: t.get(p).body == b"two", "the other one has it now")
    says(p, "b")


@test("an ExternalName Service is not followed, and an unknown annotation is named")
def _(t):
    name = service("x", [])[0]
    name["spec"] = {"type": "ExternalName", "externalName": "example.test"}
    p = t.proxy([name, ingress("i", {"/x": "x"}, annotations={
        "nginx.ingress.kubernetes.io/configuration-snippet": "return 200;"})])
    says(p, "i", "of type ExternalName, which is not followed", "configuration-snippet")
    equal(t.get(p, "/x").status, 503)


@test("--check reads everything once, names what is wrong, and tells it by its exit code")
def _(t):
    o = t.origin(answer("ok"))
    p = t.proxy(service("a", [(ADDRESS, o.port)]) + [ingress("i", {"/": "a"})])
    run = lambda: subprocess.run([p.command[0], "--check", "--source", f"dir:{p.dir}", "--watch-ingress-without-class"],
                                 capture_output=True, text=True, timeout=DEADLINE, check=False)
    r = run()
    equal((r.returncode, r.stdout), (0, "1 Ingresses, 0 problems\n"), r.stderr)
    p.write("more", [ingress("j", {"/j": "nobody"})])
    r = run()
    equal(r.returncode, 1)
    check("Ingress default/j: Service nobody, port 80: there is no such Service" in r.stdout, r.stdout)


@test("a port that cannot be opened is told with the remedy: 4 for a missing capability, 1 for one in use")
def _(t):
    p = t.proxy([])
    end = lambda port, *before: subprocess.run(
        [*before, p.command[0], "--source", f"dir:{p.dir}", "--http-addr", f"127.0.0.1:{port}", "--https-addr", "off",
         "--metrics-addr", "off"], capture_output=True, text=True, timeout=DEADLINE, check=False)
    # One that does not share its port, as another of our kind would.
    with socket.create_server(("127.0.0.1", 0)) as other:
        r = end(other.getsockname()[1])
    equal(r.returncode, 1, r.stderr)
    check("--http-addr" in r.stderr and "another process has the port" in r.stderr, r.stderr)
    r = end(80, "setpriv", "--bounding-set=-net_bind_service", "--inh-caps=-net_bind_service")
    equal(r.returncode, 4, r.stderr)
    check("--http-addr" in r.stderr and "CAP_NET_BIND_SERVICE" in r.stderr, r.stderr)


@test("sluicectl ingress says what is wrong, and by its exit code whether anything is")
def _(t):
    o = t.origin(answer("ok"))
    p = t.proxy(service("a", [(ADDRESS, o.port)]) + [ingress("i", {"/": "a"})])
    ctl = os.path.join(os.environ.get("BUILD", "build"), "sluicectl")
    run = lambda *more: subprocess.run([ctl, "ingress", "--proxy-addr", f"127.0.0.1:{p.metrics_port}", *more],
                                       capture_output=True, text=True, timeout=DEADLINE, check=False)
    r = run()
    equal(r.returncode, 0, r.stdout + r.stderr)
    p.write("more", [ingress("j", {"/j": "nobody"}, annotations={
        "nginx.ingress.kubernetes.io/server-snippet": "return 200;"})])
    says(p, "j", "there is no such Service", "server-snippet")
    r = run()
    equal(r.returncode, 1)
    check("Ingress default/j" in r.stdout and "there is no such Service" in r.stdout and "server-snippet" in r.stdout, r.stdout)
    items = json.loads(run("-o", "json").stdout)["items"]
    check(any(x["concern"] == "Backend" and "nobody" in x["reason"] for x in items), items)
    equal(run("-n", "other").returncode, 0)
    r = run("-n", "default")
    check(r.returncode == 1 and "Ingress default/j" in r.stdout, r.stdout)
    p.terminate()
    p.process.wait(DEADLINE)
    r = run()
    equal(r.returncode, 3)
    check("no proxy answers" in r.stderr, r.stderr)


# ---- the access log -------------------------------------------------------------------------------------------------


@test("the access log: no arguments, no Authorization; a route can be left out")
def _(t):
    o = t.origin(answer("ok"))
    p = t.proxy(service("a", [(ADDRESS, o.port)]) + [
        ingress("i", {"/": "a"}),
        ingress("q", {"/quiet": "a"}, annotations={"nginx.ingress.kubernetes.io/enable-access-log": "false"})])
    t.get(p, "/x?token=secret", "Authorization: Bearer hidden\r\n")
    t.get(p, "/quiet")
    t.get(p, "/last")
    p.record(path="/last")
    with open(p.log) as f:
        log = f.read()
    check("secret" not in log and "hidden" not in log, log)
    check("/quiet" not in log, log)
    r = p.record(path="/x")
    equal((r["status"], r["ingress"], r["service"], r["attempts"], r["tries"][0]["status"]), (200, "i", "a", 1, 200))
    check(0 < r["total_ms"] < 5000 and r["first_byte_ms"] <= r["total_ms"], r)
    q = t.proxy({"/": o}, "--access-log-query", "on")
    t.get(q, "/x?a=b")
    equal(q.record(path="/x")["query"], "a=b")


@test("an Ingress costs at most 3 KiB, however much it is asked")
def _(t):
    n, o = 5000, t.origin(answer("ok"))
    base = [*service("s", [(o.address, o.port)]), ingress("first", {"/": "s"}, host="first.test")]
    p = t.proxy(base)
    equal(t.get(p, host="first.test").status, 200)
    before = p.memory_kib()
    p.write("more", [ingress(f"i{i}", {f"/p{i}": "s"}, host=f"h{i % 500}.test") for i in range(n)])
    until(lambda: t.get(p, f"/p{n - 1}", host=f"h{(n - 1) % 500}.test").status == 200, "all of them", 3 * DEADLINE)
    c = t.client(p)
    quiet = (p.memory_kib() - before) / n
    for i in range(n):
        c.send(f"GET /p{i} HTTP/1.1\r\nHost: h{i % 500}.test\r\n\r\n".encode())
        equal(c.response().status, 200)
    asked = (p.memory_kib() - before) / n
    print(f"# {quiet:.2f} KiB each, {asked:.2f} when each was asked", flush=True)
    check(asked <= 3, "KiB each", asked)
    status, text = page(p, "/metrics")
    equal(status, 200)
    ended = sum(int(float(line.split()[-1])) for line in text.splitlines() if line.startswith("sluice_http_requests_total{"))
    check(ended >= n, "requests on the page", ended)


main()

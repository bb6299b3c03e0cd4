# SPDX-License-Identifier: GPL-2.0-only
"""Which of several endpoints get requests: failing ones are left alone, new ones spared, near ones preferred."""

import http.client

from harness import *

LATE = 6 * DEADLINE  # for what takes seconds by itself


def metrics(p):
    c = http.client.HTTPConnection("127.0.0.1", p.metrics_port, timeout=DEADLINE)
    c.request("GET", "/metrics")
    lines = c.getresponse().read().decode().splitlines()
    return {name: float(value) for name, _, value in (l.rpartition(" ") for l in lines if not l.startswith("#"))}


def requests(c, n):
    """On one connection; the statuses."""
    out = []
    for _ in range(n):
        c.send(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
        out.append(c.response().status)
    return out


@test("an endpoint that fails again and again is left alone for a while, and comes back; nobody notices")
def _(t):
    broken = threading.Event()

    def maybe(c):
        while c.request():
            if broken.is_set():
                return
            c.answer(b"ok")

    bad = t.origin(maybe)
    p = t.proxy({"/": [bad] + [t.origin(answer("ok")) for _ in range(3)]})
    c = t.client(p)
    equal(set(requests(c, 300)), {200}, "while all are well")  # what saves up second tries, too
    check(len(bad.requests) > 20, "its share of requests", len(bad.requests))
    ejected = lambda: metrics(p)["sluice_http_endpoints_ejected"]
    equal(ejected(), 0, "ejected")
    broken.set()
    statuses = []

    def until_ejected():
        statuses.extend(requests(c, 5))
        return ejected() == 1

    until(until_ejected, "it is ejected", LATE)
    equal(set(statuses), {200}, "while it fails")

    def left_alone():
        """Of thirty requests none is its, and it was ejected before and after: that lasts two seconds at first, then four."""
        before, seen = ejected(), len(bad.requests)
        requests(c, 30)
        return before == 1 == ejected() and seen == len(bad.requests)

    until(left_alone, "it is left alone", LATE)
    broken.clear()
    seen = len(bad.requests)
    until(lambda: requests(c, 5) and len(bad.requests) > seen + 20, "it has its share again", LATE)
    equal(ejected(), 0, "ejected")


@test("of two endpoints both of which fail one is asked still")
def _(t):
    def closes(c):
        c.request()

    pods = [t.origin(closes), t.origin(closes)]
    p = t.proxy({"/": pods})
    for _ in range(20):
        equal(t.get(p).status, 502)
    equal(metrics(p)["sluice_http_endpoints_ejected"], 1)
    seen = sum(len(o.connections) for o in pods)
    equal(t.get(p).status, 502)
    check(sum(len(o.connections) for o in pods) > seen, "an endpoint that is asked")


@test("an endpoint that joins others gets few requests at first, and its share later")
def _(t):
    pods = [t.origin(answer("ok")) for _ in range(3)]
    p = t.proxy({"/": pods[:2]})
    c = t.client(p)
    requests(c, 20)
    p.write("all", t.manifests({"/": pods}))
    until(lambda: metrics(p)["sluice_http_endpoints"] == 3, "the new endpoint is known")
    begin, n = time.monotonic(), 300
    requests(c, n)
    grown = min(1, 0.04 + (time.monotonic() - begin) / 10)  # of its full chance, by the time that passed
    most = n * grown / (2 + grown)
    check(len(pods[2].requests) <= 2 * most + 5, f"{len(pods[2].requests)} of {n} requests for the newcomer, not more than {most}")

    def has_its_share():
        before = [len(o.requests) for o in pods]
        requests(c, n)
        return len(pods[2].requests) - before[2] > n / 4

    until(has_its_share, "it has a third", LATE)


def world(points):
    """A Service with endpoints (origin, node, zone), the node of the proxy, and an Ingress for the Service."""
    objects = service("s", []) + [{"apiVersion": "v1", "kind": "Node",
                                   "metadata": {"name": "here", "labels": {"topology.kubernetes.io/zone": "a"}}}]
    for i, (o, node, zone) in enumerate(points):
        objects.append({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": f"s-{i}", "namespace": "default", "labels": {"kubernetes.io/service-name": "s"}},
            "endpoints": [{"addresses": [ADDRESS], "conditions": {"ready": True}, "nodeName": node, "zone": zone}],
            "ports": [{"name": "http", "port": o.port, "protocol": "TCP"}]})
    return objects + [ingress("i", {"/": "s"})]


def counts(pods):
    return [len(o.requests) for o in pods]


def three(t, handler):
    pods = [t.origin(handler) for _ in range(3)]
    return pods, list(zip(pods, ("here", "next", "far"), ("a", "a", "b")))


@test("--prefer-endpoints node: those of this node, then of its zone, then any")
def _(t):
    pods, points = three(t, answer("ok"))
    p = t.proxy(world(points), "--prefer-endpoints", "node", "--node-name", "here")
    c = t.client(p)
    requests(c, 50)
    equal(counts(pods), [50, 0, 0])
    p.write("all", world(points[1:]))
    until(lambda: metrics(p)["sluice_http_endpoints"] == 2, "the near one is gone")
    requests(c, 50)
    equal(counts(pods), [50, 50, 0])
    p.write("all", world(points[2:]))
    until(lambda: metrics(p)["sluice_http_endpoints"] == 1, "the zone has none")
    requests(c, 50)
    equal(counts(pods), [50, 50, 50])


@test("--prefer-endpoints zone: those of this zone alike")
def _(t):
    pods, points = three(t, answer("ok"))
    p = t.proxy(world(points), "--prefer-endpoints", "zone", "--node-name", "here")
    requests(t.client(p), 100)
    n = counts(pods)
    check(n[0] > 20 and n[1] > 20 and n[2] == 0, n)


@test("--prefer-endpoints: a near one that is busy is not given more than a quarter above the mean")
def _(t):
    go = threading.Event()

    def waits(c):
        while c.request():
            go.wait(LATE)
            c.answer(b"ok")

    pods, points = three(t, waits)
    p = t.proxy(world(points), "--prefer-endpoints", "node", "--node-name", "here")
    clients = []
    for n in range(1, 13):
        c = t.client(p)
        c.send(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
        clients.append(c)
        until(lambda: sum(counts(pods)) == n, f"request {n} is at an endpoint")
        most = -(-n * 125 // 300)  # of three, rounded up
        check(max(counts(pods)[:2]) <= most, counts(pods), most)
    here, near, far = counts(pods)
    check(here >= near >= far > 0, here, near, far)
    go.set()
    for c in clients:
        equal(c.response().status, 200)


if __name__ == "__main__":
    main()

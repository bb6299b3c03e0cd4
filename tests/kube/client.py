#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""The client against an API server that fails in every way it can. Names of tests begin with the requirement they show.

Tests that mostly wait (@patient) run beside each other, after the others. Prints TAP. `follow` (tests/kube/follow.c) is the client; it runs with ASan and UBSan, and must end without a finding.
    client.py [NAME…]    only tests whose name holds one of these
"""
import contextlib
import ctypes
import gzip
import itertools
import json
import os
import queue
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import apiserver  # noqa: E402

FOLLOW = os.environ["BUILD"] + "/test/kube/follow"
LONG = os.environ.get("LONG")  # as long as the requirement says, where a run of all tests is content with less
TMP = tempfile.mkdtemp(prefix="sluice-kube-")
POD_DIR = "/var/run/secrets/kubernetes.io/serviceaccount"
TESTS = []


def test(fn):
    TESTS.append(fn)
    return fn


def patient(fn):
    fn.patient = True
    return fn


_local = threading.local()


def my_clients():
    """Those of the test that runs in this thread."""
    if not hasattr(_local, "clients"):
        _local.clients = []
    return _local.clients


def wait_for(what, fn, seconds=10.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        got = fn()
        if got:
            return got
        time.sleep(0.01)
    raise AssertionError(f"not within {seconds} s: {what}")


class Client:
    """A running follow, and the state that its lines add up to."""

    def __init__(self, *args, env=None, pod=None, kinds=4, netns=None, before="true"):
        self.kinds = kinds
        words = [*(["ip", "netns", "exec", netns] if netns else []), FOLLOW, *args]
        if pod:  # a pod's service account folder, visible to it alone
            script = f"mkdir -p {POD_DIR} && mount --bind {pod} {POD_DIR} && {before} && exec \"$@\""
            words = ["unshare", "-m", "sh", "-c", script, "sh", *words]
        self.p = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                  env={**os.environ, "ASAN_OPTIONS": "quarantine_size_mb=1", **(env or {})})
        self.lines, self.objects, self.listed, self.problems = [], {}, {}, {}
        self.gone, self.puts, self.stats_seen, self.answers = 0, 0, queue.Queue(), queue.Queue()
        self.err = ""
        self.threads = [threading.Thread(target=self.read, daemon=True), threading.Thread(target=self.read_err, daemon=True)]
        for t in self.threads:
            t.start()
        my_clients().append(self)

    def read_err(self):
        self.err = self.p.stderr.read()

    def read(self):
        for line in self.p.stdout:
            word, _, rest = line.rstrip("\n").partition(" ")
            self.lines.append(line.rstrip("\n"))
            if word == "put":
                parts = rest.split(" ")
                self.objects[" ".join(parts[:2])] = " ".join(parts[2:])
                self.puts += 1
            elif word == "gone":
                self.objects.pop(rest, None)
                self.gone += 1
            elif word == "listed":
                self.listed[rest] = self.listed.get(rest, 0) + 1
            elif word == "problem":
                subject, _, reason = rest.partition(": ")
                self.problems[subject] = reason
            elif word == "solved":
                self.problems.pop(rest, None)
            elif word == "stats":
                self.stats_seen.put(dict(p.split("=", 1) for p in rest.split(" ")))
            elif word == "answer":
                status, _, body = rest.partition(" ")
                self.answers.put((int(status), body))

    def tell(self, line):
        self.p.stdin.write(line + "\n")
        self.p.stdin.flush()

    def send(self, line, seconds=10):
        self.tell("send " + line)
        return self.answers.get(timeout=seconds)

    def stats(self):
        self.tell("stats")
        got = self.stats_seen.get(timeout=10)
        return {k: int(v) if v.isdigit() else v for k, v in got.items()}

    def synced(self, n=1, seconds=20):
        wait_for("every kind listed", lambda: len(self.listed) == self.kinds and min(self.listed.values()) >= n, seconds)
        return self

    def has(self, objects, seconds=10):
        wait_for(f"state {sorted(objects)[:6]}, is {sorted(self.objects)[:6]}", lambda: self.objects == objects, seconds)

    def end(self):
        if self.p.poll() is None:
            self.p.stdin.close()
        try:
            self.p.wait(15)
        except subprocess.TimeoutExpired:
            self.p.kill()
            raise AssertionError("follow does not end") from None
        for t in self.threads:
            t.join(5)
        return self.p.returncode


def metadata(name, namespace="d", **more):
    return {"name": name, "namespace": namespace, "uid": "u-" + name, **more}


def service(name, ip="10.96.0.1", **more):
    return {"metadata": metadata(name, **more), "spec": {
        "type": "ClusterIP", "clusterIP": ip, "clusterIPs": [ip], "ipFamilies": ["IPv4"],
        "ports": [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": 8080}]}}


def endpoint_slice(name, addresses, of=None, namespace="d", port=8080, port_name="http"):
    return {"metadata": metadata(name, namespace, labels={"kubernetes.io/service-name": of or name}), "addressType": "IPv4",
            "endpoints": [{"addresses": [a], "conditions": {"ready": True}} for a in addresses],
            "ports": [{"name": port_name, "port": port, "protocol": "TCP"}]}


def cluster(services=2):
    api = apiserver.Api()
    api.put("nodes", {"metadata": {"name": "n1", "uid": "u-n1"}, "spec": {}, "status": {
        "addresses": [{"type": "InternalIP", "address": "192.0.2.1"}]}})
    api.put("nodes", {"metadata": {"name": "n2", "uid": "u-n2"}, "spec": {}, "status": {}})
    api.put("servicecidrs", {"metadata": {"name": "kubernetes"}, "spec": {"cidrs": ["10.96.0.0/12"]}})
    for i in range(services):
        api.put("services", service(f"s{i}", f"10.96.{i // 250}.{i % 250 + 1}"))
        api.put("endpointslices", endpoint_slice(f"s{i}-a", ["10.0.0.1", "10.0.0.2"], of=f"s{i}"))
    return api


def touch_all(api):
    """One event of each kind."""
    for resource, key in (("services", ("d", "s0")), ("endpointslices", ("d", "s0-a")), ("nodes", ("", "n1")),
                          ("servicecidrs", ("", "kubernetes"))):
        api.put(resource, json.loads(json.dumps(api.objects[resource][key])))


def expected(api):
    out = {"Node n1": "", "ServiceCIDR kubernetes": ""}
    for (ns, name), o in api.objects["services"].items():
        out[f"Service {ns}/{name}"] = o["spec"]["clusterIP"]
    for (ns, name), o in api.objects["endpointslices"].items():
        out[f"EndpointSlice {ns}/{name}"] = str(len(o["endpoints"]))
    return out


_number = itertools.count()


def kubeconfig(server, ca=None, user=None, name=None):
    path = os.path.join(TMP, name or f"kubeconfig-{next(_number)}")
    lines = ["apiVersion: v1", "kind: Config", "current-context: c", "contexts: [{name: c, context: {cluster: k, user: u}}]",
             "clusters:", "- name: k", "  cluster:", f"    server: {server.url}"]
    if ca:
        lines.append(f"    certificate-authority: {ca}")
    lines += ["users:", "- name: u", "  user: " + ("" if user else "{}")]
    lines += [f"    {k}: {v}" for k, v in (user or {}).items()]
    with open(path, "w", encoding="ascii") as f:
        f.write("\n".join(lines) + "\n")
    return path


def plain(api, **more):
    """A server without TLS, and a client of it."""
    server = apiserver.Server(api, **more)
    client = Client("--kubeconfig", kubeconfig(server, name=f"kubeconfig-{server.port}"))
    return server, client


_authorities = {}
_authorities_lock = threading.RLock()


def authority(name="one"):
    with _authorities_lock:
        if name not in _authorities:
            _authorities[name] = apiserver.Authority(TMP, name)
        return _authorities[name]


def server_cert(name="one"):
    key = name + "-server"
    with _authorities_lock:
        if key not in _authorities:
            _authorities[key] = authority(name).issue(
                "server", "IP:127.0.0.1,IP:198.18.0.1,DNS:localhost,DNS:kubernetes.default.svc")
        return _authorities[key]


def write(path, text):
    """As a kubelet does: the new one takes the place of the old one at once."""
    with open(path + ".new", "w", encoding="ascii") as f:
        f.write(text)
    os.rename(path + ".new", path)
    return path


# ---- lists and watches

@test
def follows_changes_with_the_selectors_of_kube_proxy():
    api = cluster()
    api.put("services", service("headless", "None"))
    server, client = plain(api)
    client.synced()
    want = expected(api)
    del want["Service d/headless"]
    client.has(want)
    api.put("services", service("s1", "10.96.0.2", labels={"service.kubernetes.io/service-proxy-name": "other"}))
    wait_for("a label that comes is a deletion", lambda: "Service d/s1" not in client.objects)
    api.put("services", service("s1", "10.96.0.2"))
    wait_for("a label that goes is an addition", lambda: "Service d/s1" in client.objects)
    api.put("endpointslices", endpoint_slice("s0-a", ["10.0.0.9"], of="s0"))
    wait_for("a change", lambda: client.objects["EndpointSlice d/s0-a"] == "1")
    api.delete("services", "d", "s0")
    wait_for("a deletion", lambda: "Service d/s0" not in client.objects)
    headless = endpoint_slice("s1-b", ["10.0.0.7"], of="s1")
    headless["metadata"]["labels"]["service.kubernetes.io/headless"] = ""
    api.put("endpointslices", headless)
    labelled = json.loads(json.dumps(api.objects["endpointslices"][("d", "s1-a")]))
    labelled["metadata"]["labels"]["service.kubernetes.io/headless"] = "whatever"
    api.put("endpointslices", labelled)
    wait_for("a slice that became headless is gone", lambda: "EndpointSlice d/s1-a" not in client.objects)
    assert "EndpointSlice d/s1-b" not in client.objects
    assert all(r.query.get("fieldSelector") == "metadata.name=n1" for r in server.asked(resource="nodes"))


@test
def a1_a_server_that_is_behind_brings_nothing_back():
    ahead = cluster()
    behind = cluster()  # still has what the other one deleted
    ahead.delete("services", "d", "s1")
    for _ in range(50):
        ahead.bookmark("services")
        ahead.bookmark("endpointslices")
    a, b = apiserver.Server(ahead), apiserver.Server(behind)
    # without a version a list is read from the source of truth, and this one cannot reach it
    b.rule(None, "list", lambda h: "resourceVersion" not in h.query and h.status(504, "etcd"))
    b.rule(None, "stream", lambda h: "resourceVersion" not in h.query and h.status(504, "etcd"))
    client = Client("--kubeconfig", kubeconfig(a), a.url, b.url)
    client.synced()
    client.has(expected(ahead))
    a.stop()
    wait_for("the other server is asked", lambda: b.asked("watch", "services"))
    assert all(int(r.query["resourceVersion"]) > behind.version for r in b.asked("watch", "services"))
    time.sleep(1)  # it has all the time to say something wrong
    assert "Service d/s1" not in client.objects
    client.end()
    again = Client("--kubeconfig", kubeconfig(b), b.url)
    wait_for("lists are tried", lambda: len(b.asked("list", "services")) + len(b.asked("stream", "services")) >= 2)
    assert not again.puts, again.lines
    assert all(r.query.get("resourceVersion") != "0" for r in b.asked())


@test
def a4_an_expired_watch_costs_one_list():
    api = cluster()
    server, client = plain(api)
    server.streams = False
    client.end()
    before = server.followed
    client = Client("--kubeconfig", kubeconfig(server)).synced()
    wait_for("four watches", lambda: server.followed == before + 4)
    puts, since = client.puts, time.monotonic()
    for resource, _, _ in apiserver.RESOURCES.values():
        server.rule(resource, "watch", lambda h: h.status(410), times=1)
    server.drop()
    client.synced(2)
    time.sleep(0.5)
    assert len(server.asked("list", since=since)) == 4, server.asked(since=since)
    assert client.puts == puts and client.gone == 0, client.lines


@test
def a5_an_expired_version_inside_of_a_stream():
    api = cluster()
    server, client = plain(api)
    client.synced()
    puts = client.puts
    api.forget()
    client.synced(2)
    assert client.puts == puts and client.gone == 0, client.lines
    assert client.stats()["expired"] == 4


@test
def a7_deletions_while_the_watch_is_down():
    api = cluster(1200)
    server, client = plain(api)
    client.synced(seconds=60).has(expected(api), 60)
    server.stop()
    for i in range(1000):
        api.delete("endpointslices", "d", f"s{i}-a")
    api.forget()
    server.start()
    client.synced(2, 30)
    wait_for("gone at most 1 s after the list", lambda: client.objects == expected(api), 1)
    assert client.gone == 1000


@test
def a8_a_cut_initial_stream_is_not_seen():
    def cut_at(share):
        def answer(h):
            version, objects = h.snapshot()
            h.begin_stream()
            for o in objects[:int(len(objects) * share)]:
                h.event("ADDED", o)
            return h.cut()
        return answer
    for share in (0, 0.5, 0.99, 1):
        api = cluster(100)
        server = apiserver.Server(api)
        server.rule("services", "stream", cut_at(share), times=1)
        server.rule("services", "list", lambda h: h.status(503), times=1)
        client = Client("--kubeconfig", kubeconfig(server))
        wait_for("the list that was refused", lambda: server.asked("list", "services"))
        assert not [line for line in client.lines if "Service d/" in line]
        client.synced().has(expected(api))
        client.end()


@test
def a8_a_server_without_streams_is_listed():
    api = cluster()
    server = apiserver.Server(api)
    server.streams = False
    client = Client("--kubeconfig", kubeconfig(server)).synced()
    client.has(expected(api))
    assert len(server.asked("stream", "services")) == 1 and len(server.asked("list", "services")) == 1


@test
def a9_pieces_of_any_size_give_the_same():
    for chunk in (1, 7, None):
        api = cluster(3)
        server = apiserver.Server(api)
        server.chunk = chunk
        client = Client("--kubeconfig", kubeconfig(server)).synced()
        client.has(expected(api))
        api.put("services", service("sp\u00e4t".encode().decode("latin-1").encode("ascii", "ignore").decode(), "10.96.9.9"))
        client.has(expected(api))
        client.end()


@test
def a9_an_object_too_large_is_counted():
    api = cluster()
    server, client = plain(api)
    client.synced()
    server.rule("services", "watch", lambda h: (h.begin_stream(), h.piece(b'{"type":"ADDED","object":{"a":"' + b"x" * (9 << 20)),
                                                h.cut())[-1], times=1)
    server.drop()
    wait_for("counted", lambda: client.stats()["broken"] == 1)
    wait_for("listed again", lambda: client.listed["Service"] == 2)
    client.has(expected(api))
    assert client.gone == 0


@test
def a10_half_an_event_is_not_applied():
    api = cluster()
    server, client = plain(api)
    client.synced()
    text = b'{"type":"DELETED","object":{"metadata":{"namespace":"d","name":"s0","resourceVersion":"900"}}}'
    for cut in (1, 40, len(text) - 1):
        server.rule("services", "watch", lambda h, n=cut: (h.begin_stream(), h.piece(text[:n]) if n else 0, h.cut())[-1], times=1)
    server.drop()
    wait_for("a watch that lasts", lambda: not [r for r in server.rules if r[3]], 120)
    api.put("services", service("last", "10.96.9.9"))
    client.has(expected(api), 40)
    assert client.gone == 0


@test
def a13_clean_ends_cost_nothing():
    api = cluster()
    server, client = plain(api)
    client.synced()
    puts = client.puts

    def clean(h):
        h.begin_stream()
        time.sleep(1.05)
        return h.end_stream()
    server.rule("services", "watch", clean, times=8)
    since = time.monotonic()
    server.drop()
    wait_for("ended eight times", lambda: len(server.asked("watch", "services", since)) >= 9, 20)
    assert not server.asked("list", since=since) and not server.asked("stream", since=since)
    assert client.puts == puts and client.gone == 0


@test
@patient
def a14_a_server_that_ends_watches_at_once_is_not_hammered():
    api = cluster()
    server, client = plain(api)
    client.synced()
    server.rule("services", "watch", lambda h: (h.begin_stream(), h.end_stream())[-1])
    since = time.monotonic()
    server.drop()
    time.sleep(15)
    assert 2 <= len(server.asked("watch", "services", since)) <= 8, len(server.asked("watch", "services", since))


@test
def a16_an_outage_costs_one_watch_each_and_is_over_soon():
    api = cluster()
    server, client = plain(api)
    client.synced()
    puts = client.puts
    server.stop()
    wait_for("it is said", lambda: len(client.problems) == 4)
    time.sleep(8)  # the backoff grows
    server.start()
    since = time.monotonic()
    wait_for("four watches, 2 s after", lambda: len(server.asked("watch", since=since)) == 4, 2.2)
    api.put("services", service("new", "10.96.9.9"))
    client.has(expected(api), 2)
    assert len(server.asked("watch", since=since)) == 4
    assert not server.asked("list", since=since) and not server.asked("stream", since=since)
    assert client.puts == puts + 1 and client.gone == 0
    assert not client.problems, client.problems


@test
def a17_pages():
    api = cluster(1200)
    server = apiserver.Server(api)
    server.streams, server.page = False, 250
    server.rule("services", "list", lambda h: h.query.get("continue") == "250" and h.status(410), times=2)
    server.rule("services", "list", lambda h: "limit" not in h.query and h.status(503), times=1)
    client = Client("--kubeconfig", kubeconfig(server))
    wait_for("all at once after the 410", lambda: [r for r in server.asked("list", "services") if "limit" not in r.query], 20)
    assert not [line for line in client.lines if "Service d/" in line]
    client.synced(seconds=30).has(expected(api))


@test
def a18_retry_after():
    api = cluster()
    server, client = plain(api)
    client.synced()
    server.rule("services", "watch", lambda h: h.status(429, headers=[("Retry-After", "3")]), times=1)
    since = time.monotonic()
    server.drop()
    asked = wait_for("asked again", lambda: len(server.asked("watch", "services", since)) > 1 and
                     server.asked("watch", "services", since))
    assert 2.9 <= asked[1].when - asked[0].when <= 4.3, asked[1].when - asked[0].when


@test
@patient
def a19_lies_empty_nothing():
    lies = [lambda h: h.status(404), lambda h: h.status(403), lambda h: h.status(501), lambda h: h.whole(200, b""),
            lambda h: h.whole(200, b"<html>It works!</html>"), lambda h: h.whole(200, b"{}"),
            lambda h: h.whole(302, b"", [("Location", "/elsewhere")]),
            lambda h: h.whole(200, h.frame("1", [])) if h.query.get("watch") else h.status(500)]
    rounds = []
    for lie in lies:
        api = cluster()
        server, client = plain(api)
        client.synced()
        api.forget()
        server.rule(None, None, lie)
        since, puts = time.monotonic(), client.puts
        server.drop()
        rounds.append((api, server, client, since, puts))
    for api, server, client, since, puts in rounds:
        wait_for("lies", lambda s=server, t=since: len(s.asked(since=t)) >= 8, 40)
        wait_for("it is said", lambda c=client: c.problems)
        assert client.gone == 0 and client.puts == puts, client.lines
        server.rules = []
    for api, server, client, _, puts in rounds:
        api.put("services", service("new", "10.96.9.9"))
        client.has(expected(api), 90)
        assert client.puts == puts + 1 and client.gone == 0, client.lines
        wait_for("solved", lambda c=client: not c.problems, 90)
        assert not [r for r in server.asked() if r.resource == "/elsewhere"]


@test
@patient
def a20_a_hung_server_is_noticed():
    api = cluster()
    server, client = plain(api)
    client.synced()
    server.paused.clear()  # its kernel still acknowledges everything
    wait_for("the connections are given up", lambda: client.stats()["misses"] >= 1, 50)
    server.paused.set()
    api.put("services", service("new", "10.96.9.9"))
    client.has(expected(api), 40)
    assert client.gone == 0


@test
def a22_servers_in_turn():
    api = cluster()
    servers = [apiserver.Server(api) for _ in range(3)]
    client = Client("--kubeconfig", kubeconfig(servers[0]), *[s.url for s in servers]).synced()
    puts = client.puts
    for i in range(12):
        current = [s for s in servers if s.listener.open and s.asked("watch") or s.asked("stream")]
        assert current
        server = servers[i % 3]
        server.stop()
        api.put("services", service("moving", f"10.96.9.{i + 1}"))
        client.has(expected(api), 2.5)
        server.start()
    assert client.gone == 0 and client.puts == puts + 12
    assert client.stats()["moves"] >= 4


@test
def a23_only_the_cluster_address_is_known():
    pod = os.path.join(TMP, "pod23")
    os.makedirs(pod)
    shutil.copy(authority().ca, pod + "/ca.crt")
    write(pod + "/token", "t\n")
    state = os.path.join(TMP, "state23")
    env = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": "9"}
    client = Client("--state-dir", state, env=env, pod=pod)
    assert client.end() == 1
    assert "give --api-server https://" in client.lines[0], client.lines
    # with another proxy at work it is enough to begin with, and the servers themselves are used from then on
    api = cluster()
    vip, direct = apiserver.Server(api, cert=server_cert()), apiserver.Server(api, cert=server_cert())
    api.put("endpointslices", endpoint_slice("kubernetes", ["127.0.0.1"], namespace="default", port=direct.port,
                                             port_name="https"))
    env["KUBERNETES_SERVICE_PORT"] = str(vip.port)
    client = Client("--state-dir", state, env=env, pod=pod).synced()
    wait_for("the servers themselves", lambda: len(direct.asked("watch")) + len(direct.asked("stream")) >= 4)
    assert client.gone == 0
    client.end()
    vip.stop()
    client = Client("--state-dir", state, env=env, pod=pod).synced()
    client.has(expected(api))
    client.end()


@test
def a23_the_state_folder_is_full():
    """What is known goes on, the last good file stays, and it is said where and what that means."""
    pod, state = os.path.join(TMP, "pod23f"), os.path.join(TMP, "state23f")
    os.makedirs(pod)
    os.makedirs(state)
    shutil.copy(authority().ca, pod + "/ca.crt")
    write(pod + "/token", "t\n")
    api = cluster()
    server = apiserver.Server(api, cert=server_cert())
    known = f"127.0.0.1 {server.port}\n"
    full = (f"mount -t tmpfs -o size=8k none {state} && printf '{known}' >{state}/api-servers && "
            f"head -c 4096 /dev/zero >{state}/others")  # two pages in all
    client = Client("--state-dir", state, pod=pod, before=full).synced()
    api.put("endpointslices", endpoint_slice("kubernetes", ["127.0.0.1", "127.0.0.2"], namespace="default",
                                             port=server.port, port_name="https"))
    wait_for("the problem", lambda: state + "/api-servers" in client.problems)
    assert client.problems[state + "/api-servers"] == (
        "cannot be written (No space left on device): after a reboot the API servers have to be found anew")
    inside = f"/proc/{client.p.pid}/root{state}"
    with open(inside + "/api-servers", encoding="utf-8") as f:
        assert f.read() == known
    assert sorted(os.listdir(inside)) == ["api-servers", "others"]
    api.put("services", service("new", "10.96.9.9"))
    client.has(expected(api), 5)
    os.unlink(inside + "/others")
    api.put("endpointslices", endpoint_slice("kubernetes", ["127.0.0.1", "127.0.0.3"], namespace="default",
                                             port=server.port, port_name="https"))
    wait_for("it to be solved", lambda: state + "/api-servers" not in client.problems)


@test
def a24_a_token_that_rotates():
    api = cluster()
    server = apiserver.Server(api, cert=server_cert())
    server.token = "t0"
    path = write(os.path.join(TMP, "token"), "t0\n")
    client = Client("--kubeconfig", kubeconfig(server, authority().ca, {"tokenFile": path})).synced()
    puts = client.puts
    for i in range(1, 6):
        write(path, f"  t{i}\n\n")
        server.token = f"t{i}"
        since = time.monotonic()
        touch_all(api)  # what has said something is watched again at once
        wait_for("four events", lambda n=i: client.puts == puts + 4 * n)
        server.drop()
        wait_for("watching with the new one",
                 lambda: len([r for r in server.asked("watch", since=since) if r.token == f"Bearer t{i}"]) >= 4, 4)
        assert len(server.asked("watch", since=since)) <= 8
    os.unlink(path)
    server.drop()
    api.put("services", service("new", "10.96.9.9"))
    client.has(expected(api), 5)
    assert client.puts == puts + 1 + 5 * 4 and client.gone == 0


@test
def a25_an_authority_that_rotates():
    api = cluster()
    server = apiserver.Server(api, cert=server_cert("one"))
    path = os.path.join(TMP, "ca.crt")
    shutil.copy(authority("one").ca, path)
    client = Client("--kubeconfig", kubeconfig(server, path)).synced()
    server.stop()
    server.cert = server_cert("two")
    server.start()
    wait_for("the new one is not trusted", lambda: any("cannot be reached" in p for p in client.problems.values()))
    asked = len(server.asked())
    with open(authority("two").ca, encoding="ascii") as f:
        write(path, f.read())
    api.put("services", service("new", "10.96.9.9"))
    client.has(expected(api), 35)
    assert len(server.asked()) > asked and client.gone == 0


@test
def a26_a_client_certificate():
    api = cluster()
    server = apiserver.Server(api, cert=server_cert(), client_ca=authority("clients").ca)
    cert, key = authority("clients").issue("sluice")
    mine = [os.path.join(TMP, "client.crt"), os.path.join(TMP, "client.key")]
    for wrong in (authority("strangers").issue("sluice"), authority("clients").issue("sluice-old", days="0")):
        shutil.copy(wrong[0], mine[0])
        shutil.copy(wrong[1], mine[1])
        client = Client("--kubeconfig", kubeconfig(server, authority().ca, {"client-certificate": mine[0], "client-key": mine[1]}))
        wait_for("refused", lambda c=client: c.problems)
        assert not server.asked()
    # the last one, whose certificate has expired, gets a new one
    for new, path in ((cert, mine[0]), (key, mine[1])):
        with open(new, encoding="ascii") as f:
            write(path, f.read())
    client.synced(seconds=40).has(expected(api))
    # and one that expires while it follows goes on as soon as there is another
    puts = client.puts
    server.drop()
    api.put("services", service("new", "10.96.9.9"))
    client.has(expected(api), 10)
    assert client.puts == puts + 1 and client.gone == 0


def plugin(name, script):
    path = os.path.join(TMP, name)
    with open(path, "w", encoding="ascii") as f:
        f.write("#!/bin/sh\n" + script + "\n")
    os.chmod(path, 0o755)
    return {"exec": f"{{apiVersion: client.authentication.k8s.io/v1, command: ./{name}, args: [one, \"two words\"], "
                    f"env: [{{name: RUNS, value: {path}.runs}}]}}"}


CREDENTIAL = """echo "$#,$2,$KUBERNETES_EXEC_INFO" >>"$RUNS"
printf '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"%s"}}' "$(cat "$RUNS.token")" """


@test
def a26_a_credential_plugin():
    api = cluster()
    server = apiserver.Server(api, cert=server_cert())
    server.token = "t0"
    user = plugin("plugin", CREDENTIAL)
    runs = os.path.join(TMP, "plugin.runs")
    write(runs + ".token", "t0")
    client = Client("--kubeconfig", kubeconfig(server, authority().ca, user, "kubeconfig-exec")).synced()
    with open(runs, encoding="ascii") as f:
        said = f.read().splitlines()
    assert len(said) == 1 and said[0].startswith('2,two words,{"apiVersion":"client.authentication'), said
    write(runs + ".token", "t1")
    server.token = "t1"
    puts = client.puts
    touch_all(api)
    wait_for("four events", lambda: client.puts == puts + 4)
    server.drop()
    api.put("services", service("new", "10.96.9.9"))
    client.has(expected(api), 15)
    with open(runs, encoding="ascii") as f:
        assert 2 <= len(f.read().splitlines()) <= 5
    assert client.gone == 0


@test
def a26_plugins_that_hang_flood_or_fail_are_bounded():
    server = apiserver.Server(cluster(), cert=server_cert())
    clients = {}
    for name, script, why in (("hangs", "exec sleep 1000", "30 s"), ("floods", "exec yes", "64 KiB"), ("fails", "exit 1", "error"),
                              ("babbles", "echo hello", "no ExecCredential"), ("lingers", "exec >&-; exec sleep 1000", "30 s")):
        clients[name] = why, Client("--kubeconfig", kubeconfig(server, authority().ca, plugin(name, script), "kubeconfig-" + name))
    for name, (why, client) in clients.items():
        wait_for(name, lambda c=client, w=why: w in c.problems.get("API server, exec", ""), 40)
        assert not client.puts
    assert not server.asked()


@test
def a27_no_proxy_from_the_environment():
    api = cluster()
    server = apiserver.Server(api, cert=server_cert())
    dead = {k: "http://127.0.0.1:9" for k in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "http_proxy", "all_proxy")}
    client = Client("--kubeconfig", kubeconfig(server, authority().ca), env=dead).synced()
    client.has(expected(api))


@test
def a29_kinds_are_listed_apart():
    api = cluster()
    for slow in ("services", "endpointslices"):
        server = apiserver.Server(api)
        may = threading.Event()
        server.rule(slow, None, lambda h, may=may: may.wait(20) and False)
        client = Client("--kubeconfig", kubeconfig(server))
        wait_for("the others", lambda c=client: len(c.listed) == 3)
        kind = {"services": "Service", "endpointslices": "EndpointSlice"}[slow]
        assert kind not in client.listed and not [o for o in client.objects if o.startswith(kind + " ")]
        may.set()
        client.synced().has(expected(api))
        client.end()


@test
def a33_compressed_lists_have_a_limit():
    api = cluster(600)
    server = apiserver.Server(api)
    server.streams = False
    part = gzip.compress(b" " * (32 << 20), 9)

    def answer(h):
        body = gzip.compress(b'{"items":[') + part * 20
        return h.whole(200, body, [("Content-Encoding", "gzip")])
    server.rule("services", "list", answer, times=1)
    client = Client("--kubeconfig", kubeconfig(server))
    wait_for("counted", lambda: client.stats()["broken"] == 1, 60)
    client.synced(seconds=40).has(expected(api))
    # events that wait in a compressor come late
    wait_for("watches", lambda: server.asked("watch", "services"))
    assert {r.encoding for r in server.asked("list")} == {"gzip"}, server.asked("list")
    assert {r.encoding for r in server.asked("watch") + server.asked("stream")} == {None}, server.asked()


@test
def plain_http_is_for_this_machine_and_without_the_token():
    path = kubeconfig(apiserver.Server(cluster()), user={"token": "secret"})
    client = Client("--kubeconfig", path).synced()
    client.end()
    client = Client("--kubeconfig", path, "http://192.0.2.1:8080")
    assert client.end() == 1 and "https://" in client.lines[0], client.lines


@test
def lists_once_more_when_told_to():
    api = cluster()
    server, client = plain(api)
    client.synced()
    puts = client.puts
    client.p.stdin.write("relist\n")
    client.p.stdin.flush()
    client.synced(2)
    assert client.puts == 2 * puts and client.gone == 0


@test
def fifty_rounds_leave_nothing_behind():
    api = cluster()
    server, client = plain(api)
    client.synced()
    fds = None
    for i in range(50):
        if i % 5 == 0:
            server.stop()
            server.start()
        else:
            server.drop()
        api.put("services", service("moving", f"10.96.9.{i + 1}"))
        client.has(expected(api), 10)
        if i == 9:
            fds = client.stats()["fds"]
    wait_for("no more descriptors than after ten rounds", lambda: client.stats()["fds"] <= fds, 5)
    assert client.gone == 0


# ---- HTTP/2

class Front:
    """HTTP/2 and TLS in front of a server, on a port of its own."""

    def __init__(self, server):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        self.server, self.old = server, []
        self.url = f"https://127.0.0.1:{self.port}"
        self.start()

    def start(self):
        cert, key = server_cert()
        self.p = subprocess.Popen(["nghttpx", "--conf=/dev/null", "--workers=1", "-LFATAL", f"--frontend=127.0.0.1,{self.port}",
                                   f"--backend=127.0.0.1,{self.server.port}", "--backend-connections-per-host=1000", key, cert],
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        wait_for("nghttpx", self.accepts)

    def accepts(self):
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", self.port)) == 0

    def say_goaway(self):
        """It takes nothing new and ends when its streams have; another takes its place."""
        self.p.send_signal(signal.SIGQUIT)
        self.old.append(self.p)
        wait_for("the port to be free", lambda: not self.accepts())
        self.start()

    def connections(self):
        out = subprocess.run(["ss", "-Htn", "state", "established", "dport", "=", f":{self.port}"], check=True,
                             capture_output=True, text=True).stdout
        return len(out.splitlines())

    def end(self):
        for p in (self.p, *self.old):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(p.pid, signal.SIGKILL)  # its worker is a process of its own
            p.wait()


def with_front(fn):
    """Gives the test an API, its server, what is in front of it, and a client in step."""
    def run_it():
        api = cluster()
        server = apiserver.Server(api)
        front = Front(server)
        try:
            fn(api, server, front, Client("--kubeconfig", kubeconfig(front, authority().ca, name=f"kubeconfig-{front.port}")).synced())
        finally:
            front.end()
    run_it.__name__ = fn.__name__
    if hasattr(fn, "patient"):
        run_it.patient = True
    return run_it


@test
@with_front
def http2_shares_one_connection(api, server, front, client):
    client.has(expected(api))
    assert front.connections() == 1, front.connections()
    for i in range(20):
        api.put("services", service("moving", f"10.96.9.{i + 1}"))
        client.has(expected(api))
        server.drop()
    client.has(expected(api))
    assert front.connections() == 1, front.connections()
    assert client.gone == 0


@test
@with_front
@patient
def a20_a_stopped_process_behind_http2(api, server, front, client):
    os.killpg(front.p.pid, signal.SIGSTOP)
    began = time.monotonic()
    wait_for("the connection is given up", lambda: client.stats()["misses"] == 1, 50)
    assert time.monotonic() - began > 14
    os.killpg(front.p.pid, signal.SIGCONT)
    api.put("services", service("new", "10.96.9.9"))
    client.has(expected(api), 40)
    assert client.gone == 0 and not server.asked("list")


@test
@with_front
def a21_goaway_loses_no_event(api, server, front, client):
    since, puts = time.monotonic(), client.puts
    for i in range(6):
        front.say_goaway()
        for j in range(20):
            api.put("services", service("moving", f"10.96.{i + 1}.{j + 1}"))
        server.drop()  # the streams of the old connection end
        client.has(expected(api), 15)
    assert not server.asked("list", since=since) and not server.asked("stream", since=since)
    assert client.puts == puts + 120 and client.gone == 0, client.puts - puts


# ---- long ones

class Spaces:
    """Two network namespaces of this test's own, side by side: the server's 198.18.0.1, the client's 198.18.0.2."""

    def __init__(self):
        n = f"slk-{os.getpid()}-{next(_number)}"
        self.server, self.client = n + "s", n + "c"
        for name in (self.server, self.client):
            self.ip("netns", "add", name)
            self.ip("-n", name, "link", "set", "lo", "up")
        self.ip("link", "add", "name", "e", "netns", self.server, "type", "veth", "peer", "name", "e", "netns", self.client)
        for i, name in enumerate((self.server, self.client)):
            self.ip("-n", name, "addr", "add", f"198.18.0.{i + 1}/24", "dev", "e")
            self.ip("-n", name, "link", "set", "e", "up")

    @staticmethod
    def ip(*words):
        subprocess.run(["ip", *words], check=True)

    def in_server(self, fn):
        """What fn opens is in the server's namespace."""
        out = []

        def enter():
            with open("/var/run/netns/" + self.server, "rb") as f:
                if ctypes.CDLL(None, use_errno=True).setns(f.fileno(), 0x40000000) != 0:
                    raise OSError(ctypes.get_errno(), "setns")
            out.append(fn())
        t = threading.Thread(target=enter)
        t.start()
        t.join()
        return out[0]

    def drop_all(self, on):
        words = "add table inet t; add chain inet t c { type filter hook input priority 0; policy drop; }; " \
                "add chain inet t o { type filter hook output priority 0; policy drop; }"
        subprocess.run(["ip", "netns", "exec", self.server, "nft", words if on else "delete table inet t"], check=True)

    def end(self):
        for name in (self.server, self.client):
            subprocess.run(["ip", "netns", "del", name], check=False)


def dropped_packets(while_dropped):
    """Everything is dropped without a word; what comes of it is the caller's to say."""
    spaces = Spaces()
    try:
        api = cluster()
        server = spaces.in_server(lambda: apiserver.Server(api, cert=server_cert(), address="198.18.0.1"))
        client = Client("--kubeconfig", kubeconfig(server, authority().ca), netns=spaces.client).synced()
        client.has(expected(api))
        before, fds = client.stats(), client.stats()["fds"]
        spaces.drop_all(True)
        api.put("services", service("new", "10.96.9.9"))
        api.delete("services", "d", "s1")
        while_dropped(server, client, before)
        spaces.drop_all(False)
        client.has(expected(api), 3)
        wait_for("no more descriptors", lambda: client.stats()["fds"] <= fds, 60)
        assert client.gone == 1 and not server.asked("list"), client.lines[-5:]
    finally:
        spaces.end()


@test
@patient
def a20_dropped_packets_are_noticed():
    def until_given_up(server, client, before):
        began = time.monotonic()
        wait_for("another connection is tried", lambda: client.stats()["generations"] > before["generations"], 46)
        print(f"# dropped packets noticed after {time.monotonic() - began:.1f} s", flush=True)
        assert client.gone == 0
    dropped_packets(until_given_up)


@test
@patient
def a20_half_open_connections_are_given_up():
    def forget(server, client, before):
        for s in list(server.listener.open):  # the server forgets them, and nobody hears of it
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        server.drop()
        wait_for("the client to try anew", lambda: client.stats()["generations"] > before["generations"], 46)
    dropped_packets(forget)


@test
@patient
def a16_an_outage_of_a_minute_costs_one_watch_each():
    api = cluster()
    server, client = plain(api)
    client.synced()
    puts = client.puts
    server.stop()
    api.put("services", service("new", "10.96.9.9"))
    api.delete("endpointslices", "d", "s0-a")
    time.sleep(60)
    assert client.puts == puts and client.gone == 0
    server.start()
    since = time.monotonic()
    client.has(expected(api), 2.2)
    print(f"# after an outage of 60 s: the same again after {time.monotonic() - since:.2f} s", flush=True)
    time.sleep(2)
    assert len(server.asked("watch", since=since)) == 4, server.asked(since=since)
    assert not server.asked("list", since=since) and not server.asked("stream", since=since)
    assert client.puts == puts + 1 and client.gone == 1


@test
@with_front
@patient
def a21_goaway_under_load(api, server, front, client):
    since, puts, n, end = time.monotonic(), client.puts, 0, time.monotonic() + (300 if LONG else 60)
    while time.monotonic() < end:
        front.say_goaway()
        server.drop()
        until = time.monotonic() + 5
        while time.monotonic() < until:
            n += 1
            api.put("services", service("moving", f"10.96.{n // 250 % 200 + 1}.{n % 250 + 1}"))
            time.sleep(0.01)
    client.has(expected(api), 15)
    print(f"# {n} changes over {len(front.old)} GOAWAYs", flush=True)
    assert not server.asked("list", since=since) and not server.asked("stream", since=since)
    assert client.puts == puts + n and client.gone == 0, client.puts - puts


@test
@patient
def a22_three_servers_killed_in_turn_fifty_times():
    api = cluster()
    servers = [apiserver.Server(api) for _ in range(3)]
    client = Client("--kubeconfig", kubeconfig(servers[0]), *[s.url for s in servers]).synced()
    puts, worst = client.puts, 0.0
    for i in range(50):
        server = servers[i % 3]
        server.stop()
        api.put("services", service("moving", f"10.96.9.{i + 1}"))
        since = time.monotonic()
        client.has(expected(api), 3)
        worst = max(worst, time.monotonic() - since)
        server.start()
    print(f"# 50 rounds, the worst resumed after {worst:.2f} s", flush=True)
    assert client.gone == 0 and client.puts == puts + 50


@test
@patient
def a24_a_token_that_rotates_under_load():
    api = cluster()
    server = apiserver.Server(api, cert=server_cert())
    server.token = "t0"
    path = write(os.path.join(TMP, "token-long"), "t0\n")
    client = Client("--kubeconfig", kubeconfig(server, authority().ca, {"tokenFile": path})).synced()
    puts, refused = client.puts, 0
    for i in range(1, 25 if LONG else 13):
        write(path, f"t{i}\n")
        server.token = f"t{i}"
        touch_all(api)  # what has said something is watched again at once
        wait_for("four events", lambda n=i: client.puts == puts + 4 * n)
        since = time.monotonic()
        server.drop()
        dropped = time.monotonic()
        wait_for("watching with the new one",
                 lambda n=i, t=since: len([r for r in server.asked("watch", since=t) if r.token == f"Bearer t{n}"]) >= 4, 5)
        # one whose connection was cut before it was answered is sent again, as it was: the same one
        old = {(r.resource, str(r.query)) for r in server.asked(since=dropped) if r.token != f"Bearer t{i}"}
        assert len(old) <= 4, old  # one a watch
        refused += len(old)
        if i == 8:  # the file is away for a while: the last one goes on
            os.unlink(path)
            time.sleep(30 if LONG else 12)
            api.put("services", service("meanwhile", "10.96.9.8"))
            puts += 1
            wait_for("an event without the file", lambda n=i: client.puts == puts + 4 * n)
        time.sleep(3)
    print(f"# {i} tokens: {refused} requests of the {4 * i} with the old one", flush=True)
    assert client.gone == 0 and not client.problems, client.problems


FAULTS = {
    "killed": (lambda s: s.stop(), lambda s: s.start(), 2),
    "stopped": (lambda s: s.paused.clear(), lambda s: s.paused.set(), 2),
    "cut": (lambda s: s.drop(), lambda s: None, 2),
    "404": (lambda s: lie(s, lambda h: h.status(404)), None, 60),
    "403": (lambda s: lie(s, lambda h: h.status(403)), None, 60),
    "503": (lambda s: lie(s, lambda h: h.status(503)), None, 60),
    "HTML": (lambda s: lie(s, lambda h: h.whole(200, b"<html>It works!</html>")), None, 60),
    "empty 200": (lambda s: lie(s, lambda h: h.whole(200, b"")), None, 60),
    "410": (lambda s: (s.api.forget(), s.drop()), lambda s: None, 30),
    "401": (lambda s: lie(s, lambda h: h.status(401)), None, 60),
}


def lie(server, answer):
    server.rule(None, None, answer)
    server.drop()


def memory_kb(client):
    with open(f"/proc/{client.p.pid}/status", encoding="ascii") as f:
        return int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1))


def rounds_of_faults(first, n, worst, growth):
    """n faults one after another, each with a change that waits and one more afterwards."""
    names = list(FAULTS)
    api = cluster(20)
    server, client = plain(api)
    client.synced()
    fds = client.stats()["fds"]
    for i in range(n):
        name = names[(first + i) % len(names)]
        begin, end, allowed = FAULTS[name]
        since = time.monotonic()
        begin(server)
        api.put("services", service("moving", f"10.96.9.{i + 1}"))
        if end is None:  # a lie is heard before it ends
            wait_for("the lie is asked for", lambda t=since: server.asked(since=t), 40)
            server.rules = []
        else:
            time.sleep(0.3)
            end(server)
        since = time.monotonic()
        client.has(expected(api), allowed + 1)
        worst[name] = max(worst.get(name, 0), time.monotonic() - since)
        touch_all(api)
        if i == 0:
            rss = memory_kb(client)
    assert client.gone == 0, client.lines
    growth.append(memory_kb(client) - rss)
    wait_for("no more descriptors", lambda: client.stats()["fds"] <= fds + 1, 30)


@test
@patient
def fifty_rounds_of_every_fault_remove_nothing():
    worst, growth, trouble = {}, [], []

    def one(first):
        try:
            rounds_of_faults(first, 5, worst, growth)
        except Exception:  # pylint: disable=broad-except
            trouble.append(traceback.format_exc())
        trouble.extend(sanitizer_findings())
    threads = [threading.Thread(target=one, args=(i,)) for i in range(10)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    print("# worst time to be in step again: " + ", ".join(f"{k} {v:.1f} s" for k, v in worst.items()), flush=True)
    print(f"# memory grew by {max(growth, default=0)} KiB at most", flush=True)
    assert not trouble, "\n".join(trouble)
    assert max(growth) < 4096, growth
    assert all(worst[k] <= 2.2 for k in ("killed", "stopped", "cut")), worst


# ---- what a proxy follows; writing

def ingress(name, host="h", namespace="d"):
    return {"metadata": metadata(name, namespace), "spec": {"rules": [{"host": host, "http": {"paths": [
        {"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "s0", "port": {"number": 80}}}}]}}]}}


def secret(name, namespace="d", kind="kubernetes.io/tls"):
    return {"metadata": metadata(name, namespace), "type": kind, "data": {"tls.crt": "Zm9v", "tls.key": "YmFy"}}


def proxy(api):
    api.put("ingressclasses", {"metadata": {"name": "c", "uid": "u"}, "spec": {"controller": "sluice.dev/ingress"}})
    api.put("ingresses", ingress("web"))
    server = apiserver.Server(api)
    client = Client("--kubeconfig", kubeconfig(server, name=f"kubeconfig-{server.port}"), "--kinds", "proxy", kinds=6)
    return server, client


@test
def a_proxy_follows_ingresses_and_no_more_secrets_than_it_wants():
    api = cluster()
    for ns in ("a", "b"):
        api.put("secrets", secret("one", ns))
        api.put("secrets", secret("two", ns))
        api.put("secrets", secret("key", ns, "Opaque"))
    server, client = proxy(api)
    wait_for("all but Secrets", lambda: len(client.listed) == 5)
    assert client.objects["Ingress d/web"] == "1" and "IngressClass c" in client.objects
    assert "Secret" not in client.listed and not server.asked(resource="secrets")
    assert not server.asked(resource="servicecidrs")
    client.tell("secrets")
    wait_for("none is a list, too", lambda: client.listed.get("Secret") == 1)

    def secrets():
        return sorted(k[7:] for k in client.objects if k.startswith("Secret "))
    client.tell("secrets a b/key b/../../x b/none")
    wait_for("listed", lambda: client.listed["Secret"] > 1)
    assert secrets() == ["a/one", "a/two", "b/key"], secrets()
    assert {r.namespace for r in server.asked(resource="secrets")} == {"a", "b"}
    # seen by name and by type: it is never gone while one of them sees it
    gone = client.gone
    client.tell("secrets a a/one b/none")
    wait_for("what is not wanted goes", lambda: secrets() == ["a/one", "a/two"])
    client.tell("secrets a/one")
    wait_for("its follower is there", lambda: secrets() == ["a/one"])
    assert client.gone == gone + 2 and "gone Secret a/one" not in client.lines, client.lines[-6:]
    api.put("secrets", secret("one", "a"))
    api.delete("secrets", "a", "one")
    wait_for("a deletion", lambda: secrets() == [])
    client.tell("secrets")
    assert not client.problems, client.problems


@test
def a_secret_that_may_not_be_read_holds_nothing_up():
    api = cluster()
    api.put("secrets", secret("one", "a"))
    api.put("secrets", secret("one", "b"))
    server, client = proxy(api)
    server.rule("secrets", None, lambda h: h.namespace == "a" and h.status(403))
    client.tell("secrets a b")
    wait_for("listed all the same", lambda: "Secret" in client.listed)
    wait_for("it is said", lambda: "may this account" in client.problems.get("API server, Secrets of a", ""))
    assert "Secret b/one" in client.objects and "Secret a/one" not in client.objects
    server.rules = []
    wait_for("the right comes", lambda: "Secret a/one" in client.objects, 20)
    wait_for("it is solved", lambda: not client.problems)
    # taken away again: what is known stays
    server.rule("secrets", None, lambda h: h.status(403))
    server.drop()
    wait_for("it is said again", lambda: len(client.problems) >= 2)
    assert "Secret a/one" in client.objects and "Secret b/one" in client.objects


@test
def writes_are_sent_with_the_credential():
    api = cluster()
    server = apiserver.Server(api, cert=server_cert())
    server.token = "new"
    token = write(os.path.join(TMP, "write-token"), "old")
    client = Client("--kubeconfig", kubeconfig(server, authority().ca, {"tokenFile": token}, name="kubeconfig-write"))
    wait_for("it is refused", lambda: client.problems)
    write(token, "new\n")
    status, body = client.send('POST /api/v1/namespaces/d/events {"x": 1}')
    assert (status, body) == (201, '{"x": 1}'), (status, body)
    assert [w.token for w in server.writes] in (["Bearer old", "Bearer new"], ["Bearer new"]), server.writes
    assert server.writes[-1].type == "application/json" and server.writes[-1].body == b'{"x": 1}'
    assert client.send("PATCH /x {}")[0] == 200 and client.send("DELETE /x")[0] == 200
    status, body = client.send("GET /api/v1/services?limit=1")
    assert status == 200 and body.startswith('{"kind": "ServiceList"')
    server.rule(None, "write", lambda h: h.status(409, "Conflict"), times=1)
    status, body = client.send("PUT /x {}")
    assert status == 409 and "Conflict" in body
    server.rule(None, "write", lambda h: h.whole(200, b"x" * (2 << 20)), times=1)
    status, body = client.send("PUT /x {}")
    assert status == 0 and "1 MiB" in body, body
    server.rule(None, "write", lambda h: h.cut())
    assert client.send("PUT /x {}")[0] == 0
    server.rules = []
    for i in range(200):
        client.tell(f"send PUT /{i} {{}}")
    assert all(client.answers.get(timeout=20)[0] == 200 for _ in range(200))
    server.stop()
    assert client.send("PUT /x {}", 30)[0] == 0
    server.start()
    client.synced()
    assert client.send("PUT /x {}")[0] == 200


@test
def a_slow_write_disturbs_no_watch():
    api = cluster()
    server, client = plain(api)
    client.synced()
    free = threading.Event()
    server.rule(None, "write", lambda h: free.wait(40) and False, times=1)
    since, watches = time.monotonic(), server.followed
    status, why = client.send("PUT /x {}", 30)
    assert status == 0 and 14 < time.monotonic() - since < 20, why
    free.set()
    assert server.followed == watches and client.stats()["generations"] == 1


# ---- running them

def sanitizer_findings():
    out = []
    for c in my_clients():
        code = c.end()
        if re.search("Sanitizer|runtime error", c.err) or code not in (0, 1):
            out.append(f"follow ended with {code}: {c.err[-3000:]}")
    my_clients().clear()
    return out


def run(fn):
    try:
        fn()
        trouble = None
    except Exception:  # pylint: disable=broad-except
        trouble = traceback.format_exc()
        for c in my_clients()[-1:]:
            trouble += "\n".join(["last lines:", *c.lines[-12:], str(c.problems)])
    findings = sanitizer_findings()
    return "\n".join(([trouble] if trouble else []) + findings)


def main():
    chosen = [t for t in TESTS if len(sys.argv) < 2 or any(w in t.__name__ for w in sys.argv[1:])]
    at_once = [t for t in chosen if hasattr(t, "patient")]
    chosen = [t for t in chosen if t not in at_once]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    print(f"1..{len(chosen) + len(at_once)}", flush=True)
    number, bad, lock = itertools.count(1), [], threading.Lock()

    def report(fn):
        began = time.monotonic()
        trouble = run(fn)
        with lock:
            if trouble:
                bad.append(fn)
            print(f"{'not ' if trouble else ''}ok {next(number)} - {fn.__name__}", flush=True)
            print(f"# {time.monotonic() - began:.1f} s", flush=True)
            for line in trouble.splitlines():
                print("# " + line, flush=True)

    try:
        for fn in chosen:
            report(fn)
        threads = [threading.Thread(target=report, args=(fn,)) for fn in at_once]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
    finally:
        shutil.rmtree(TMP, ignore_errors=True)
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main())

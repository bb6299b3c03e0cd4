#!/usr/bin/env python3
"""CPU, delay and memory of sluice-proxy beside nginx and haproxy: raw rows on stdout, judged by table.py.

    drive.py [--rounds N] [--seconds S] [--streams N] [--engines NAME,…] [SCENARIO…]

A row: ingress, scenario, round, engine, what, value (tab-separated). Everything runs in network and mount namespaces of its
own; the proxy on CPU 0, clients and origins on CPU 1. BUILD: where the programs are. An engine called sluice-X is
$BUILD/sluice-proxy-X: another build, in the same rounds.
"""
import argparse
import atexit
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

import engines
import first

HERE = os.path.dirname(os.path.abspath(__file__))
PROXY_CPU, OTHER_CPU = "0", "1"
ALL = ("sluice", "haproxy", "nginx")
STREAMING = ("sluice", "haproxy", "haproxy-stock", "nginx")  # haproxy: with http-no-delay
EVENT_US = 200000
DIRECT = engines.ORIGINS[0].replace(":8080", ":8081")  # an origin where the proxy would be


class Bench:
    def __init__(self, options, folder):
        self.options, self.folder = options, folder
        self.bench = os.environ["BUILD"] + "/bench"
        self.engine, self.origins = None, []
        self.round = 0
        self.names = options.engines.split(",")
        atexit.register(self.clean)

    def clean(self):
        if self.engine:
            self.engine.stop()
            self.engine = None
        for p in self.origins:
            p.kill()
            p.wait()
        self.origins = []

    def prepare(self):
        engines.make_certificates(self.folder)
        for i, origin in enumerate(engines.ORIGINS):
            subprocess.run(["ip", "address", "add", origin.split(":")[0] + "/32", "dev", "lo"], check=True)
            self.origins.append(subprocess.Popen([*on(OTHER_CPU), self.bench + "/origin", origin, f"origin{i}"]))
        self.origins.append(subprocess.Popen([*on(PROXY_CPU), self.bench + "/origin", DIRECT, "direct"]))

    def start(self, name, **more):
        folder = f"{self.folder}/{name}"
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        for kind in engines.HOSTS:
            for part in ("crt", "key", "pem"):
                shutil.copy(f"{self.folder}/{kind}.{part}", folder)
        self.engine = engines.Engine(name, folder, more.pop("cpus", PROXY_CPU), nice=-12, **more)
        return self.engine

    def stop(self):
        self.engine.stop()
        self.engine = None

    def shuffled(self, names):
        names = [name for name in (*names, *(n for n in self.names if n.startswith("sluice-"))) if name in self.names]
        random.shuffle(names)
        return names

    def row(self, scenario, engine, what, value):
        print("ingress", scenario, self.round, engine, what, value, sep="\t", flush=True)

    @staticmethod
    def client(*command):
        got = subprocess.run([*on(OTHER_CPU), *command], capture_output=True, text=True,
                             check=False)
        if got.returncode:
            raise RuntimeError(f"{' '.join(command)}: {got.stdout[-500:]} {got.stderr[-500:]}")
        return got.stdout

    # ---- clients: operations done, failures

    def wrk(self, url, connections, seconds, *more, script=()):
        out = self.client("wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", *more, url, *script)
        bad = re.search(r"Non-2xx or 3xx responses: (\d+)", out)
        errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", out)
        return int(re.search(r"(\d+) requests in", out)[1]), \
            (int(bad[1]) if bad else 0) + (sum(map(int, errors.groups())) if errors else 0)

    def h2load(self, url, connections, streams, seconds):
        out = self.client("h2load", "-t1", f"-c{connections}", f"-m{streams}", f"-D{seconds}", url)
        done, failed, errors = (int(re.search(rf"(\d+) {word}", out)[1]) for word in ("succeeded", "failed", "errored"))
        good = int(re.search(r"status codes: (\d+) 2xx", out)[1])
        return done, failed + errors + max(0, done - good)  # answers of requests that the end cut off count, too

    def handshakes(self, kind, seconds):
        got = pairs(self.client(self.bench + "/handshakes", f"127.0.0.1:{engines.HTTPS}", engines.HOSTS[kind], "32",
                                str(seconds)))
        self.suite = got["suite"]
        return int(got["handshakes"]), int(got["errors"])

    # ---- scenarios

    def requests(self, scenario, run, log=False, names=ALL, more=None):
        """CPU of the proxy per operation of run(seconds)."""
        for name in self.shuffled(names):
            engine = self.start(name, log=log, **(more or {}))
            run(1)  # connections to origins, memory, caches
            before, start = engine.thread_cpu_ns(), time.monotonic()
            done, failed = run(self.options.seconds)
            after, wall = engine.thread_cpu_ns(), time.monotonic() - start
            self.row(scenario, name, "cpu_us", f"{(sum(after) - sum(before)) / 1000 / max(1, done):.3f}")
            self.row(scenario, name, "rate", f"{done / wall:.1f}")
            self.row(scenario, name, "failed", failed)
            if engine.workers > 1:
                loads = sorted(b - a for a, b in zip(before, after))[-engine.workers:]
                self.row(scenario, name, "most_to_mean", f"{max(loads) * len(loads) / sum(loads):.3f}")
            self.stop()

    def url(self, path, kind=None):
        host = engines.HOSTS[kind or "ec"]
        return f"https://{host}:{engines.HTTPS}{path}" if kind else f"http://{host}:{engines.HTTP}{path}"

    def small(self):
        self.requests("small", lambda s: self.wrk(self.url("/model/x"), 64, s))

    def small_logged(self):
        self.requests("small_logged", lambda s: self.wrk(self.url("/model/x"), 64, s), log=True)

    def down(self):
        self.requests("down", lambda s: self.wrk(self.url("/model/big"), 8, s))

    def up(self):
        self.requests("up", lambda s: self.wrk(self.url("/model/up"), 8, s, "-s", HERE + "/post.lua"))

    def tls(self):
        self.requests("tls", lambda s: self.wrk(self.url("/model/x", "ec"), 64, s))

    def tls_down(self):
        self.requests("tls_down", lambda s: self.wrk(self.url("/model/big", "ec"), 8, s))

    def h2(self):
        self.requests("h2", lambda s: self.h2load(self.url("/model/x", "ec"), 8, 16, s))

    def h2_logged(self):
        self.requests("h2_logged", lambda s: self.h2load(self.url("/model/x", "ec"), 8, 16, s), log=True)

    def handshake_rsa(self):
        self.requests("handshake_rsa", lambda s: self.handshakes("rsa", s))

    def handshake_p256(self):
        self.requests("handshake_p256", lambda s: self.handshakes("ec", s))

    def workers(self):
        self.requests("workers", lambda s: self.wrk(self.url("/model/x"), 256, s), names=("sluice", "haproxy"),
                      more={"workers": 4, "cpus": PROXY_CPU})

    def events(self):
        """Delay of events on many streams at once; direct: from an origin on the proxy's CPU, without any proxy."""
        for name in self.shuffled(("direct", *STREAMING)):
            where = DIRECT
            if name != "direct":
                where = f"127.0.0.1:{self.start(name).http}"
            self.urgent(True)
            prefix = "" if name == "direct" else "/model"
            with Streams(self, where, f"{prefix}/events?n=1000000&us={EVENT_US}", self.options.seconds * 2) as streams:
                before = self.engine.cpu_ns() if self.engine else 0
                got = streams.finish()
                for what in ("p50_us", "p99_us", "events", "closed", "failed"):
                    self.row("events", name, what, got[what])
                if self.engine:
                    self.row("events", name, "cpu_us", f"{(self.engine.cpu_ns() - before) / 1000 / int(got['events']):.2f}")
            self.urgent(False)
            if self.engine:
                self.stop()

    def urgent(self, is_urgent):
        """All of us before all other work, so that it is we who are measured. Only where little of the CPUs is ours."""
        how = ["--rr", "1"] if is_urgent else ["--other", "0"]
        for pid in [os.getpid()] + [p.pid for p in self.origins] + (self.engine.pids if self.engine else []):
            subprocess.run(["chrt", "--all-tasks", how[0], "--pid", how[1], str(pid)], check=True)

    def memory_of(self, scenario, hold):
        for name in self.shuffled(ALL):
            engine = self.start(name)
            self.wrk(self.url("/model/x"), 8, 1)
            idle, kernel = engine.pss_kib(), kernel_kib()
            with hold() as streams:
                streams.wait_ready()
                per = self.options.streams
                self.row(scenario, name, "idle_kib", idle)
                self.row(scenario, name, "stream_kib", f"{(engine.pss_kib() - idle) / per:.2f}")
                self.row(scenario, name, "kernel_kib", f"{(kernel_kib() - kernel) / per:.2f}")
            self.stop()

    def memory(self):
        path = f"/model/events?n=1000000&us={EVENT_US}"
        self.memory_of("memory", lambda: Streams(self, f"127.0.0.1:{engines.HTTP}", path, 0))

    def memory_tls(self):
        path = f"/model/events?n=1000000&us={EVENT_US}"
        self.memory_of("memory_tls", lambda: Streams(self, f"127.0.0.1:{engines.HTTPS}", path, 0, "tls"))

    def memory_h2(self):
        self.memory_of("memory_h2", lambda: H2Streams(self))

    def first(self):
        """When the first and the last of 20 events arrive that are sent one each 50 ms, in each framing of the origin."""
        for name in self.shuffled(STREAMING):
            engine = self.start(name)
            self.urgent(True)
            for framing in ("chunked", "length", "close"):
                path = f"/model/events?n=20&us=50000&framing={framing}"
                times = first.http1("127.0.0.1", engine.http, engines.HOSTS["ec"], path)
                self.row("first", name, f"{framing}_ms", f"{times[0]:.1f}")
                self.row("first", name, f"{framing}_arrivals", len(set(times)))
                if name != "haproxy-stock":
                    times = first.http2(self.url(path, "ec"))
                    self.row("first", name, f"{framing}_h2_ms", f"{times[0]:.1f}")
                    self.row("first", name, f"{framing}_h2_arrivals", len(set(times)))
            self.urgent(False)
            self.stop()

    def lookup(self):
        """The look-up alone, and the whole proxy with that many Ingresses."""
        for n in random.sample((10, 1000, 10000), 3):
            for line in self.client("chrt", "--rr", "1", self.bench + "/lookup", str(n)).splitlines():
                what, value = line.split()
                self.row("lookup", f"n={n}", what, value)
            engine = self.start_many(n)
            run = lambda s, n=n: self.wrk(self.url("/"), 64, s, "-s", HERE + "/many.lua", script=("--", str(n)))
            wait_served(engine.http, f"h{(n - 1) % 1000}.test", f"/p{n - 1}")
            run(1)
            before = engine.cpu_ns()
            done, failed = run(self.options.seconds)
            self.row("lookup", f"n={n}", "cpu_us", f"{(engine.cpu_ns() - before) / 1000 / max(1, done):.3f}")
            self.row("lookup", f"n={n}", "failed", failed)
            self.row("lookup", f"n={n}", "pss_kib", engine.pss_kib())
            self.stop()

    def start_many(self, n):
        one = engines.Engine.manifests
        engines.Engine.manifests = lambda engine, folder: one(engine, folder, n)
        try:
            return self.start("sluice")
        finally:
            engines.Engine.manifests = one


class Streams:
    """events.c with all streams of a run open; ends with the block."""

    def __init__(self, bench, where, path, seconds, *more):
        self.process = subprocess.Popen(
            [*on(OTHER_CPU), bench.bench + "/events", where, engines.HOSTS["ec"], path,
             str(bench.options.streams), str(seconds or 600), *more], stdout=subprocess.PIPE, text=True)

    def __enter__(self):
        if self.process.stdout.readline() != "ready\n":
            self.process.wait()
            raise RuntimeError("events: the streams did not begin")
        return self

    def wait_ready(self):
        time.sleep(1)  # the buffers of an event or two have come and gone

    def finish(self):
        return pairs(self.process.communicate()[0])

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdout.close()


class H2Streams:
    """As many streams over HTTP/2, a hundred a connection."""

    def __init__(self, bench):
        n = bench.options.streams
        self.until = time.monotonic() + 30
        self.process = subprocess.Popen(
            [*on(OTHER_CPU), "h2load", "-t1", f"-n{n}", f"-c{-(-n // 100)}", "-m100",
             bench.url(f"/model/events?n=100&us={EVENT_US}", "ec")], stdout=subprocess.PIPE, text=True)
        self.n, self.engine = n, bench.engine

    def __enter__(self):
        return self

    def wait_ready(self):
        # one connection to an origin each: all of them are there
        while time.monotonic() < self.until:
            if established(engines.ORIGINS) >= self.n:
                time.sleep(1)
                return
            time.sleep(.1)
        raise RuntimeError(f"h2load: {established(engines.ORIGINS)} of {self.n} streams began")

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdout.close()


def wait_served(port, host, path):
    """Until the rule is in force."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        with socket.create_connection(("127.0.0.1", port)) as s:
            s.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
            if s.recv(4096).startswith(b"HTTP/1.1 200"):
                return
        time.sleep(.05)
    raise RuntimeError(f"{host}{path} is not served")


def established(origins):
    """Connections to the origins, seen from the proxy's side."""
    got = subprocess.run(["ss", "-Htn", "state", "established"], capture_output=True, text=True, check=True).stdout
    return sum(line.split()[-1] in origins for line in got.splitlines())


def kernel_kib():
    """What the kernel holds in slabs: sockets of all three sides among it, and of whatever else runs."""
    for line in engines.read("/proc/meminfo").splitlines():
        if line.startswith("Slab:"):
            return int(line.split()[1])
    return 0


def on(cpu):
    """Before a command: on that CPU, and before other work of the machine."""
    return ["nice", "-n", "-12", "taskset", "-c", cpu]


def pairs(text):
    return dict(line.split(" ", 1) for line in text.splitlines() if " " in line)


SCENARIOS = ("small", "small_logged", "down", "up", "tls", "tls_down", "h2", "h2_logged", "handshake_rsa", "handshake_p256",
             "events", "memory", "memory_tls", "memory_h2", "first", "lookup", "workers")


def isolate():
    """Network and mount namespaces of our own, in which the hosts' names are known."""
    if os.environ.get("BENCH_INSIDE"):
        return
    os.environ["BENCH_INSIDE"] = "1"
    os.execvp("unshare", ["unshare", "--net", "--mount", sys.executable, *sys.argv])


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--streams", type=int, default=1000)
    parser.add_argument("--engines", default=",".join(("direct", *STREAMING)))
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO")
    options = parser.parse_args()
    for name in options.scenarios:
        if name not in SCENARIOS:
            parser.error(f"{name}: no scenario; there are {', '.join(SCENARIOS)}")
    isolate()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    folder = tempfile.mkdtemp(prefix="sluice-bench.")
    atexit.register(shutil.rmtree, folder, True)
    engines.write(folder + "/hosts", "127.0.0.1 localhost " + " ".join(engines.HOSTS.values()) + "\n")
    subprocess.run(["mount", "--bind", folder + "/hosts", "/etc/hosts"], check=True)
    atexit.register(subprocess.run, ["umount", "/etc/hosts"], check=False)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    bench = Bench(options, folder)
    bench.prepare()
    for bench.round in range(options.rounds):
        for name in options.scenarios or SCENARIOS:
            print(f"  BENCH    ingress: {name}, round {bench.round + 1}", file=sys.stderr)
            getattr(bench, name)()


if __name__ == "__main__":
    main()

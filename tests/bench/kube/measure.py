#!/usr/bin/env python3
"""Measures a service proxy on a large cluster, through a real API server and real packets. Prints lines "key<TAB>value".

  measure.py SERVER CA TOKEN fill N M           N Services of M endpoints each (no pods behind them), and bench/probe
  measure.py SERVER CA TOKEN start PREFIX DEVICE COMMAND…   starts a proxy; until probe is answered, and what it cost
  measure.py SERVER CA TOKEN changes PREFIX PID N S    N changes of probe's endpoint, S seconds apart: until packets follow
  measure.py SERVER CA TOKEN rate PREFIX PID R S       R changes a second of the other Services' endpoints for S seconds

probe has one endpoint, 10.244.1.11 or .12, both of which answer UDP with their name. A change is over when a datagram from a new
port is answered by the new one. It begins when another watcher on the same API server hears of it.
"""
import http.client
import json
import os
import select
import signal
import socket
import ssl
import statistics
import subprocess
import sys
import threading
import time

SERVER, CA, TOKEN = sys.argv[1:4]
TLS = ssl.create_default_context(cafile=CA)
SERVICES, SLICES = "/api/v1/namespaces/bench/services", "/apis/discovery.k8s.io/v1/namespaces/bench/endpointslices"
PROBE = "10.96.255.1"
PODS = {"pod-11": "10.244.1.11", "pod-12": "10.244.1.12"}


def connect():
    return http.client.HTTPSConnection(SERVER, 6443, timeout=60, context=TLS)


def ask(link, method, path, body=None, kind="application/json"):
    link.request(method, path, json.dumps(body) if body is not None else None,
                 {"Authorization": "Bearer " + TOKEN, "Content-Type": kind})
    answer = link.getresponse()
    text = answer.read()
    if answer.status >= 300:
        sys.exit(f"{method} {path}: {answer.status} {text[:200]}")
    return json.loads(text)


def say(prefix, **values):
    for key, value in values.items():
        print(f"{prefix}.{key}\t{value}", flush=True)


# ---- objects -----------------------------------------------------------------------------------------------------------

def address(n):
    return f"10.{130 + n // 62500}.{n // 250 % 250}.{n % 250 + 1}"


def service(name, port):
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": {"ports": [port]}}


def endpoint_slice(name, addresses, protocol, version):
    return {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": name + "-1", "labels": {"kubernetes.io/service-name": name}, "annotations": {"version": version}},
            "ports": [{"name": "", "protocol": protocol, "port": 8080}],
            "endpoints": [{"addresses": [a], "nodeName": "node-1", "conditions": {"ready": True}} for a in addresses]}


def in_threads(n, work):
    threads = [threading.Thread(target=work, args=(i,)) for i in range(n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def fill(n, m):
    link = connect()
    ask(link, "POST", "/api/v1/namespaces", {"metadata": {"name": "bench"}})
    probe = service("probe", {"port": 80, "targetPort": 8080, "protocol": "UDP"})
    probe["spec"]["clusterIP"] = PROBE
    ask(link, "POST", SERVICES, probe)
    ask(link, "POST", SLICES, endpoint_slice("probe", [PODS["pod-11"]], "UDP", "0"))
    start = time.monotonic()

    def work(part):
        link = connect()
        for i in range(part, n, 8):
            ask(link, "POST", SERVICES, service(f"svc-{i}", {"port": 80, "targetPort": 8080}))
            ask(link, "POST", SLICES, endpoint_slice(f"svc-{i}", [address(i * m + k) for k in range(m)], "TCP", "0"))
    in_threads(8, work)
    say("fill", services=n, endpoints=n * m, seconds=f"{time.monotonic() - start:.1f}")


# ---- packets -----------------------------------------------------------------------------------------------------------

def probe(timeout=0.05):
    """Who answers a datagram from a new port; None: nobody in time."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(timeout)
        try:
            s.connect((PROBE, 80))
            s.send(b"x")
            return s.recv(100).split()[0].decode()
        except OSError:
            return None


# ---- the proxy's process -------------------------------------------------------------------------------------------------

def rss_mib(pid, key="VmHWM"):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return next(int(line.split()[1]) / 1024 for line in f if line.startswith(key))


def cpu_s(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def received(device):
    with open("/proc/net/dev", encoding="ascii") as f:
        return next(int(line.split(":")[1].split()[0]) for line in f if line.strip().startswith(device + ":"))


def start(prefix, device, *command):
    """The last byte of the lists is the last time that more than a datagram came within 5 ms, before the end."""
    with open(os.environ["PROXY_LOG"], "ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    begun = last = time.monotonic()
    before = received(device)
    first = before
    while probe(0.001) is None:
        time.sleep(0.004)
        now = received(device)
        if now - before > 3000:
            last = time.monotonic()
        before = now
        if process.poll() is not None or time.monotonic() - begun > 300:
            sys.exit(f"{prefix}: no answer; see {os.environ['PROXY_LOG']}")
    done = time.monotonic()
    say(prefix, pid=process.pid, start_s=f"{done - begun:.2f}", after_last_byte_s=f"{done - last:.2f}",
        received_mib=f"{(before - first) / 2**20:.1f}", cpu_s=f"{cpu_s(process.pid):.2f}", rss_mib=f"{rss_mib(process.pid):.0f}")


# ---- changes -----------------------------------------------------------------------------------------------------------

def watcher(out):
    """A process of its own: "version time" for each change of probe's slice."""
    link = connect()
    link.request("GET", SLICES + "?watch=true&fieldSelector=metadata.name%3Dprobe-1", headers={"Authorization": "Bearer " + TOKEN})
    stream = link.getresponse()
    while True:
        line = stream.readline()
        if not line:
            return
        now = time.monotonic()
        os.write(out, f"{json.loads(line)['object']['metadata']['annotations']['version']} {now}\n".encode())


def quantiles(values):
    values = sorted(values)
    return {"p50_ms": f"{statistics.median(values):.2f}", "p99_ms": f"{values[min(len(values) - 1, int(len(values) * 0.99))]:.2f}",
            "max_ms": f"{values[-1]:.2f}", "n": len(values)}


def changes(prefix, pid, n, pause):
    told, out = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(told)
        watcher(out)
        os._exit(1)
    link, heard, rest = connect(), {}, b""
    took, before, version = [], cpu_s(pid), time.time_ns()
    for i in range(n):
        pod = "pod-12" if probe() == "pod-11" else "pod-11"
        version += 1
        ask(link, "PUT", SLICES + "/probe-1", endpoint_slice("probe", [PODS[pod]], "UDP", str(version)))
        while probe(0.02) != pod:
            pass
        done = time.monotonic()
        while version not in heard:
            if not select.select([told], [], [], 20)[0]:
                sys.exit("the other watcher heard nothing")
            *lines, rest = (rest + os.read(told, 65536)).split(b"\n")
            heard.update((int(line.split()[0]), float(line.split()[1])) for line in lines)
        took.append((done - heard[version]) * 1000)
        time.sleep(pause)
    os.kill(child, signal.SIGKILL)
    say(prefix, **{"change_" + k: v for k, v in quantiles(took).items()}, change_cpu_ms=f"{(cpu_s(pid) - before) / n * 1000:.2f}")


def rate(prefix, pid, per_s, seconds):
    """Each change gives one endpoint of the next Service another address."""
    with open(f"/proc/{pid}/clear_refs", "w", encoding="ascii") as f:
        f.write("5")  # the peak of memory is that of now
    threads, begun, used = 10, time.monotonic(), cpu_s(pid)
    done = [0] * threads

    def work(part):
        link, i = connect(), part
        while time.monotonic() - begun < seconds:
            name, serial = f"svc-{i % 10000}", i // 10000
            body = {"endpoints": [{"addresses": [address(200000 + (i % 10000) * 5 + serial % 5)], "nodeName": "node-1", "conditions": {"ready": True}}]}
            ask(link, "PATCH", f"{SLICES}/{name}-1", body, "application/merge-patch+json")
            done[part] += 1
            i += threads
            wait = begun + done[part] * threads / per_s - time.monotonic()
            if wait > 0:
                time.sleep(wait)
    in_threads(threads, work)
    took = time.monotonic() - begun
    say(prefix, rate_asked_per_s=per_s, rate_done_per_s=f"{sum(done) / took:.0f}", rate_cpu_percent=f"{(cpu_s(pid) - used) / took * 100:.1f}",
        rate_rss_mib=f"{rss_mib(pid):.0f}")


what, *words = sys.argv[4:]
if what == "fill":
    fill(int(words[0]), int(words[1]))
elif what == "start":
    start(*words)
elif what == "changes":
    changes(words[0], int(words[1]), int(words[2]), float(words[3]))
elif what == "rate":
    rate(words[0], int(words[1]), int(words[2]), float(words[3]))
else:
    sys.exit(__doc__)

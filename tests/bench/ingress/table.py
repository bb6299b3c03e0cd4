"""Judges the raw rows of drive.py: medians, ratios of the same round, goals."""
import statistics
from collections import defaultdict

# scenario, what, against whom (None: the figure itself), goal
GOALS = [
    ("small", "cpu_us", "haproxy", 0.9), ("small_logged", "cpu_us", "haproxy", 0.9),
    ("h2", "cpu_us", "haproxy", 0.9), ("h2_logged", "cpu_us", "haproxy", 0.9),
    ("down", "cpu_us", "haproxy", 1.0), ("up", "cpu_us", "haproxy", 1.0),
    ("handshake_rsa", "cpu_us", "haproxy", 1.0), ("handshake_p256", "cpu_us", "haproxy", 1.0),
    ("memory", "stream_kib", None, 6.0), ("memory_tls", "stream_kib", "haproxy", 1.1),
    ("memory_h2", "stream_kib", "haproxy", 1.1),
]
ADDED_GOAL = 1.0   # delay of an event, beyond direct, to haproxy's with http-no-delay
LOOKUP_GOAL = 2.0  # with 10,000 Ingresses to with 10
WORDS = {
    "small": "small answer, keep-alive, 64 connections", "small_logged": "the same, with an access log in a file",
    "down": "1 MiB down, 8 connections", "up": "1 MiB up, 8 connections", "tls": "small answer, TLS keep-alive, 64 connections",
    "tls_down": "1 MiB down over TLS", "h2": "small answer, HTTP/2 over TLS, 8 connections × 16 streams",
    "h2_logged": "the same, with an access log in a file", "handshake_rsa": "handshake, RSA-2048",
    "handshake_p256": "handshake, P-256", "workers": "4 workers on one CPU, 256 connections",
}


def spread(values, digits=2):
    if not values:
        return "-"
    text = f"{statistics.median(values):.{digits}f}"
    return text + (f" [{min(values):.{digits}f} {max(values):.{digits}f}]" if len(values) > 1 else "")


def verdict(values, goal):
    """By the median; the spread says how sure that is."""
    if not values:
        return f"goal {goal:g}: not resolved"
    middle = statistics.median(values)
    sure = max(values) <= goal if middle <= goal else min(values) > goal
    return f"goal {goal:g}: {'reached' if middle <= goal else 'MISSED'}{'' if sure else ' (not in every round)'}"


def same_round(by, scenario, what, engine, other, change=lambda value, number: value):
    mine, theirs = by[scenario, engine, what], by[scenario, other, what]
    return [change(mine[r], r) / change(theirs[r], r) for r in sorted(set(mine) & set(theirs)) 
            if change(theirs[r], r) > 0]


def report(rows):
    by = defaultdict(dict)  # (scenario, engine, what) -> {round: value}
    for _, scenario, number, engine, what, value in rows:
        by[scenario, engine, what][int(number)] = float(value)
    if not by:
        return
    print("ingress: sluice-proxy, haproxy, nginx; one worker each on CPU 0, clients and origins on CPU 1")
    print("  medians over rounds [lowest highest]; ratios are of the same round")
    cpu(by)
    events(by)
    memory(by)
    first(by)
    lookup(by)
    print()


def goal_of(by, scenario, what):
    for s, w, other, goal in GOALS:
        if (s, w) == (scenario, what):
            values = list(by[s, "sluice", w].values()) if other is None else same_round(by, s, w, "sluice", other)
            return verdict(values, goal) if values else ""
    return ""


def cpu(by):
    print(f"\n  {'CPU of the proxy, us an operation':56}{'sluice':>24}{'haproxy':>24}{'nginx':>24}{'to haproxy':>22}{'to nginx':>22}")
    for scenario, words in WORDS.items():
        line = f"  {words:56}"
        if not by.get((scenario, "sluice", "cpu_us")):
            continue
        for engine in ("sluice", "haproxy", "nginx"):
            values = by.get((scenario, engine, "cpu_us"))
            line += f"{spread(list(values.values()), 1) if values else '':>24}"
        for engine in ("haproxy", "nginx"):
            ratios = same_round(by, scenario, "cpu_us", "sluice", engine)
            line += f"{spread(ratios) if ratios else '':>22}"
        print(line + "   " + goal_of(by, scenario, "cpu_us"))
        for engine in sorted({e for s, e, w in by if s == scenario and e.startswith("sluice-")}):
            values, ratios = by[scenario, engine, "cpu_us"], same_round(by, scenario, "cpu_us", engine, "sluice")
            print(f"    {engine}: {spread(list(values.values()), 1)}, to sluice {spread(ratios)}")
        for engine in ("sluice", "haproxy", "nginx"):
            failed = sum(by.get((scenario, engine, "failed"), {}).values())
            if failed:
                print(f"    {engine}: {failed:.0f} operations FAILED")
            share = by.get((scenario, engine, "most_to_mean"))
            if share:
                print(f"    {engine}: most loaded worker to mean {spread(list(share.values()))}")


def events(by):
    if not by.get(("events", "sluice", "p50_us")):
        return
    print("\n  events on their way, 5 a second on each stream: us beyond direct")
    direct = {what: by["events", "direct", what] for what in ("p50_us", "p99_us")}
    for engine in ("direct", "sluice", "haproxy", "haproxy-stock", "nginx"):
        if not by.get(("events", engine, "p50_us")):
            continue
        line = f"  {engine + (' (http-no-delay)' if engine == 'haproxy' else ''):28}"
        for what in ("p50_us", "p99_us"):
            values = by["events", engine, what]
            if engine == "direct":
                line += f"{what[:3]} {spread(list(values.values()), 0):>22}  "
                continue
            line += f"{what[:3]} +{spread([values[r] - direct[what][r] for r in values], 0):>22}  "
        line += f"CPU {spread(list(by['events', engine, 'cpu_us'].values()), 1):>20}" if engine != "direct" else ""
        print(line)
        for what in ("failed", "closed"):
            if sum(by["events", engine, what].values()):
                print(f"    {engine}: {sum(by['events', engine, what].values()):.0f} streams {what.upper()}")
    for what in ("p50_us", "p99_us"):
        ratios = same_round(by, "events", what, "sluice", "haproxy", lambda v, r, w=what: v - direct[w][r])
        whole = same_round(by, "events", what, "sluice", "haproxy")
        print(f"  {what[:3]} to haproxy's with http-no-delay: whole {spread(whole)}, beyond direct {spread(ratios)}   "
              + verdict(ratios or whole, ADDED_GOAL))


def memory(by):
    shown = False
    for scenario, words in (("memory", "without TLS"), ("memory_tls", "TLS"), ("memory_h2", "HTTP/2 over TLS, 100 a connection")):
        if not by.get((scenario, "sluice", "stream_kib")):
            continue
        if not shown:
            print("\n  memory, KiB: idle process (PSS); a stream (PSS; kernel slabs of all three sides)")
            shown = True
        line = f"  {words:36}"
        for engine in ("sluice", "haproxy", "nginx"):
            idle, stream, kernel = (list(by.get((scenario, engine, w), {}).values()) for w in ("idle_kib", "stream_kib", "kernel_kib"))
            if idle:
                line += f"{engine} {statistics.median(idle):.0f}; {spread(stream)}; kernel {statistics.median(kernel):.1f}   "
        print(line + goal_of(by, scenario, "stream_kib"))


def first(by):
    if not by.get(("first", "sluice", "chunked_ms")):
        return
    print("\n  first of 20 events, one each 50 ms: ms after the request, and how many arrived apart")
    for engine in ("sluice", "haproxy", "haproxy-stock", "nginx"):
        line = f"  {engine:16}"
        for framing in ("chunked", "length", "close"):
            for way, name in (("", "HTTP/1.1"), ("_h2", "HTTP/2")):
                times = by.get(("first", engine, f"{framing}{way}_ms"))
                if times:
                    apart = by["first", engine, f"{framing}{way}_arrivals"]
                    line += f"{framing} {name} {statistics.median(times.values()):.0f} ({min(apart.values()):.0f})   "
        print(line)
    held = [k for k, v in by.items() if k[:2] == ("first", "sluice") and
            ((k[2].endswith("_ms") and max(v.values()) > 100) or (k[2].endswith("_arrivals") and min(v.values()) < 15))]
    print("  no event is held in any framing: " + ("MISSED: " + ", ".join(k[2] for k in held) if held else "reached"))


def lookup(by):
    few, many = "n=10", "n=10000"
    if not by.get(("lookup", few, "lookup_ns")):
        return
    print("\n  look-up alone; the whole proxy, small answers")
    for engine in (few, "n=1000", many):
        get = lambda what, e=engine: list(by["lookup", e, what].values())
        print(f"  {engine:10}{spread(get('lookup_ns'), 0):>20} ns   built in {spread(get('build_ms')):>20} ms   "
              f"{spread(get('cpu_us'), 1):>20} us a request   process {statistics.median(get('pss_kib')) / 1024:.1f} MiB"
              + (f"   {sum(get('failed')):.0f} FAILED" if sum(get("failed")) else ""))
    for what in ("lookup_ns", "cpu_us"):
        mine, base = by["lookup", many, what], by["lookup", few, what]
        ratios = [mine[r] / base[r] for r in sorted(set(mine) & set(base))]
        print(f"  10,000 to 10, {what}: {spread(ratios)}   {verdict(ratios, LOOKUP_GOAL)}")

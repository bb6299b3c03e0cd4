#!/usr/bin/env python3
"""Makes a readable table of the raw data in a folder (ns.raw, full.raw, control.raw, traffic.raw, ingress.raw).

    report.py FOLDER

A figure is "reached" only if the upper end of its 95 % interval (bootstrap of the median) is within the goal, "missed" if the
lower end is beyond it, else "not resolved". Nothing is judged where the baseline moved by more than 15 % between the halves.
"""
import os
import random
import statistics
import sys
from collections import defaultdict

from ingress import table

MOVED_MAX = 0.15
RESAMPLES = 1000
STALL_NS = 1_000_000_000  # a slice is far shorter; a median would hide a connection that hung
NS_GOALS = [  # part of the case's name, flows, ns; the largest flow count stands for "many"
    ("request TCP", 1, 150), ("reply TCP", 1, 150), ("request UDP", 1, 150), ("reply UDP", 1, 150),
    ("request TCP", "many", 430), ("reply TCP", "many", 430), ("request UDP", "many", 430), ("reply UDP", "many", 430),
    ("not a service", 1, 60),
]
TRAFFIC_GOALS = {  # mode, way: ratio to its own direct
    ("crr", "socket-10000"): 1.02, ("crr", "node-socket-10000"): 1.02, ("crr", "tc-10000"): 1.05,
    ("crr", "fast-10000"): 1.05,
}
MODES = {"crr": "connect, request, close", "rr": "TCP round trip", "urr": "UDP round trip"}


def rows(folder, name):
    path = os.path.join(folder, name)
    if not os.path.exists(path):
        return []
    with open(path, encoding="utf-8") as f:
        return [line.rstrip("\n").split("\t") for line in f]


def quartiles(values):
    values = sorted(values)
    return values[len(values) // 4], values[-1 - len(values) // 4]


def interval(values):
    """95 % bootstrap interval of the median; the same on every run over the same data."""
    pick = random.Random(1)
    medians = sorted(statistics.median(pick.choices(values, k=len(values))) for _ in range(RESAMPLES))
    return medians[int(RESAMPLES * 0.025)], medians[int(RESAMPLES * 0.975) - 1]


def judge(low, high, goal, moved):
    if moved:
        return "not resolved: the baseline moved"
    return "reached" if high <= goal else "missed" if low > goal else "not resolved"


def halves_moved(values):
    """How far the median of the second half is from the first's; values in order of time."""
    half = len(values) // 2
    if not half:
        return 0.0
    return statistics.median(values[half:]) / statistics.median(values[:half]) - 1


def moved_text(name, moved):
    text = f"  baseline {name}: {moved:+.1%} from the first half to the second"
    return text + (" - MORE THAN 15 %: NOT TO BE PUBLISHED" if abs(moved) > MOVED_MAX else "")


# ---- ns a packet

def report_ns(data):
    by = defaultdict(dict)  # (family, case, flows) -> {round: ns}
    base = defaultdict(dict)
    bases = {}
    order = []
    for row in data:
        if row[0] != "ns":
            continue
        _, number, family, case, flows, base_case, ns = row
        key = family, case, int(flows)
        if key not in by:
            order.append(key)
        by[key][int(number)] = int(ns)
        bases[key] = base_case
        if case == base_case:
            base[family, case][int(number)] = int(ns)
    if not order:
        return
    print("ns a packet (BPF_PROG_TEST_RUN): net of test run and generator, median over rounds")
    bad = {}
    for family in ("v4", "v6"):
        steady = [k for k in order if k[0] == family and k[1] == "generator in"]
        for key in steady + [k for k in order if k[:2] == (family, "floor_dnat_count") and k[2] != 4096]:
            moved = halves_moved([by[key][r] for r in sorted(by[key])])
            bad[family] = bad.get(family, False) or abs(moved) > MOVED_MAX
            print(moved_text(f"{family} {key[1]}, {key[2]} flows", moved))
    print(f"\n  {'':4}{'case':34}{'flows':>8}{'net':>7}{'  [quartiles]':16}{'95 % of the median':>20}{'min':>6}{'gross':>7}")
    for key in order:
        family, case, flows = key
        rounds = sorted(set(by[key]) & set(base[family, bases[key]]))
        net = [by[key][r] - base[family, bases[key]][r] for r in rounds]
        q1, q3 = quartiles(net)
        low, high = interval(net)
        gross = statistics.median(by[key].values())
        shown = flows if flows else "new"
        line = f"  {family:4}{case:34}{shown:>8}{statistics.median(net):>7.0f}  [{q1:.0f} {q3:.0f}]".ljust(70)
        line += f"{f'{low:.0f} - {high:.0f}':>18}{min(net):>6}{gross:>7.0f}"
        many = max(k[2] for k in order if k[0] == family and k[1] == case)
        for name, goal_flows, goal in NS_GOALS:
            if case.startswith(name) and flows == (many if goal_flows == "many" else goal_flows):
                line += f"   goal {goal}: {judge(low, high, goal, bad[family])}"
        print(line)
    sizes = [row for row in data if row[0] == "size"]
    if sizes:
        print(f"\n  {'program':20}{'verified instructions':>24}{'translated':>14}")
        for _, name, verified, translated in sizes:
            print(f"  {name:20}{verified:>24}{translated:>14}")
    print()


# ---- full tables, control plane

def report_plain(data, kind, title):
    values = defaultdict(list)
    for row in data:
        if row[0] == kind:
            values[row[1], row[3]].append(float(row[2]))
    if not values:
        return
    print(title)
    for (what, unit), numbers in values.items():
        numbers.sort()
        spread = f"   [{numbers[0]:.1f} … {numbers[-1]:.1f}] of {len(numbers)}" if len(numbers) > 1 else ""
        print(f"  {what:44}{statistics.median(numbers):>14.1f} {unit}{spread}")
    print()


# ---- traffic

def report_traffic(data):
    p50 = defaultdict(dict)  # (mode, way) -> {round: us}
    p10 = defaultdict(dict)
    ways = []
    failed, stalled = defaultdict(int), defaultdict(int)
    for row in data:
        if row[0] != "slice":
            continue
        _, number, mode, way, *answer = row
        if way not in ways:
            ways.append(way)
        if answer[0].startswith("failed") or len(answer) < 4:
            failed[way] += 1
        else:
            p50[mode, way][int(number)] = int(answer[2]) / 1000
            p10[mode, way][int(number)] = int(answer[3]) / 1000
            if int(answer[1]) > STALL_NS:
                stalled[way] += 1
    if not ways:
        return
    ways.sort(key=lambda w: (w.startswith("node-"), ["direct", "socket", "tc", "fast", "nft", "iptables"].index(
        w.removeprefix("node-").split("-")[0]), int(w.split("-")[-1]) if w[-1].isdigit() else -1))
    noise = [row for row in data if row[0] == "noise"]
    print("traffic between namespaces: client, node and server on one CPU; median time of one transaction of a slice")
    for row in noise:
        print(f"  {row[1]:8} load average {row[3]}")
    if len(noise) > 1:
        steal = (int(noise[-1][5]) - int(noise[0][5])) / max(1, int(noise[-1][7]) - int(noise[0][7]))
        print(f"  steal {steal:.1%}")
    print("  ratio: to the direct way in the same round, median over rounds; lower quartile: ratio of the lower quartiles of all slices;")
    print("  tenth: as ratio, of the fastest tenth of each slice's transactions")
    for mode, words in MODES.items():
        direct = p50[mode, "direct"]
        moved = halves_moved([direct[r] for r in sorted(direct)])
        bad = abs(moved) > MOVED_MAX
        print(f"\n  {words}\n{moved_text('direct', moved)}")
        print(f"  {'':24}{'slices':>8}{'p50 us':>10}{'lowest':>9}{'ratio':>9}{'95 % of the median':>22}{'lower quartile':>16}{'tenth: 95 %':>20}")
        for way in ways:
            got = p50[mode, way]
            base = p50[mode, "node-direct" if way.startswith("node-") else "direct"]
            common = sorted(set(got) & set(base))
            if not common:
                continue
            ratios = [got[r] / base[r] for r in common]
            low, high = interval(ratios)
            quarter = quartiles(got.values())[0] / quartiles(base.values())[0]
            fast, fast_base = p10[mode, way], p10[mode, "node-direct" if way.startswith("node-") else "direct"]
            fast_low, fast_high = interval([fast[r] / fast_base[r] for r in common])
            line = f"  {way:24}{len(common):>8}{statistics.median(got.values()):>10.1f}{min(got.values()):>9.1f}"
            line += f"{statistics.median(ratios):>9.3f}{f'{low:.3f} - {high:.3f}':>22}{quarter:>16.3f}"
            line += f"{f'{fast_low:.3f} - {fast_high:.3f}':>20}"
            if (mode, way) in TRAFFIC_GOALS:
                goal = TRAFFIC_GOALS[mode, way]
                line += f"   goal {goal}: {judge(low, high, goal, bad)}"
            print(line)
    for way in ways:
        if failed[way] or stalled[way]:
            print(f"  {way}: {failed[way]} slices FAILED, {stalled[way]} took more than a second")
    loads = [row for row in data if row[0] in ("load", "skip")]
    if loads:
        print("\n  setting up")
        for row in loads:
            print(f"  {row[1]:24}{row[2]:24}{' '.join(row[3:]):>16}")
    print()


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = sys.argv[1]
    for row in rows(folder, "machine.raw"):
        print(" ".join(row))
    print()
    report_ns(rows(folder, "ns.raw"))
    report_plain(rows(folder, "full.raw"), "full", "a new flow (BPF_PROG_TEST_RUN, net), by what lies in a table of a million entries")
    report_plain(rows(folder, "control.raw"), "control", "control plane: 10,000 services × 5 endpoints (folder: as YAML, 20 files)")
    report_traffic(rows(folder, "traffic.raw"))
    table.report(rows(folder, "ingress.raw"))


if __name__ == "__main__":
    main()

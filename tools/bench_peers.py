#!/usr/bin/env python3
"""How long an urgent network takes beside a saturating one, in einetd and in plain LibTorch processes. On every core runs a
load (a wide residual network of about 20 ms), one inference right after the other; every 50 ms an urgent network (one of about 3 ms) is due. Per variant:
the urgent one's response time over that when it runs alone, and the load's throughput over that when it runs alone, each
against its own kind (einetd, LibTorch). All variants are run in one order, then in the reverse (ABBA), in several rounds.

    tools/bench_peers.py PROGRAMS OUT [--seconds N] [--rounds N] [--only KIND]

PROGRAMS: build/full/bin (bench_peer needs LibTorch). OUT: a folder for packages and raw data.
Ranks: plain processes as named; einetd by itself. The urgent client of einetd has the rank that the urgent LibTorch process
has under SCHED_FIFO, since it stands for the same program."""

import argparse
import collections
import os
import pathlib
import statistics
import subprocess
import time

import bench_daemon
from results import quantile, read_jobs

PERIOD_MS = 50
CORES = os.cpu_count()
WARM_UP_S = 1
START_S = 3  # a load is under way by then
END_S = 2  # the urgent program starts within this
FIFO = ("chrt", "-f", "5")

# Of about 3 ms and 20 ms in each kind: networks of different depth, because einetd's lanes take half of LibTorch's time.
PLAIN_URGENT, PLAIN_LOAD = "wrn-10-4", "wrn-40-4"
EINETD_URGENT, EINETD_LOAD = "wrn-16-4", "wrn-76-4"
LAST_EXIT = {EINETD_URGENT: 6, EINETD_LOAD: 36}

# Name: (prefix of the urgent one, prefix of the loads); None: it does not run.
PLAIN = {
    "urgent alone": ((), None),
    "load alone": (None, ()),
    "equal rank": ((), ()),
    "load at nice 19": ((), ("nice", "-n", "19")),
    "urgent under SCHED_FIFO": (FIFO, ()),
}
# Name: (preemption, whether the urgent one runs, whether the load runs).
EINETD = {
    "urgent alone": ("instant", True, False),
    "load alone": ("instant", False, True),
    "boundary": ("boundary", True, True),
    "as-needed": ("as-needed", True, True),
    "instant": ("instant", True, True),
}


def run_plain(setup, variant, run):
    urgent_prefix, load_prefix = PLAIN[variant]
    peer = setup.programs / "bench_peer"
    loads, urgent = [], None
    if load_prefix is not None:
        for core in range(CORES):
            csv = setup.out / f"{run}-load-{core}.csv"
            pin = ("taskset", "-c", str(core))
            command = [*pin, *load_prefix, peer, setup.models / f"{PLAIN_LOAD}.einet", csv, str(setup.seconds + START_S + END_S)]
            loads.append((subprocess.Popen(command), csv))
        time.sleep(START_S)
    if urgent_prefix is not None:
        csv = setup.out / f"{run}-urgent.csv"
        command = [*urgent_prefix, peer, setup.models / f"{PLAIN_URGENT}.einet", csv, str(setup.seconds), str(PERIOD_MS)]
        urgent = (subprocess.Popen(command), csv)
    for process, _ in [*loads, *([urgent] if urgent else [])]:
        bench_daemon.wait(process)

    def times(csv):
        return [(int(r["due_ns"]), int(r["finished_ns"])) for r in read_jobs(csv)]

    return times(urgent[1]) if urgent else None, [times(csv) for _, csv in loads]


def whole(model):
    """Options for jobs that are one whole network, as in a plain process: only the last exit, and no less is an answer."""
    return "--plan", "last", "--mandatory-exit", str(LAST_EXIT[model])


def run_einetd(setup, variant, run):
    preemption, has_urgent, has_load = EINETD[variant]
    config = bench_daemon.device(CORES, preemption=preemption)
    config += bench_daemon.tenant("urgent", max_priority=10) + bench_daemon.tenant("load")
    urgent = load = None
    with bench_daemon.Daemon(setup.programs, setup.out, run, setup.models, config) as daemon:
        if has_load:
            arguments = ("--tenant", "load", "--model", EINETD_LOAD, "--in-flight", str(2 * CORES), *whole(EINETD_LOAD))
            load = daemon.load(f"{run}-load", *arguments, "--length", f"{setup.seconds + START_S + END_S}s")
            time.sleep(START_S)
        if has_urgent:
            arguments = ("--tenant", "urgent", "--model", EINETD_URGENT, "--priority", "10", *whole(EINETD_URGENT))
            arguments += ("--every", f"{PERIOD_MS}ms", "--deadline", f"{PERIOD_MS}ms", "--length", f"{setup.seconds}s")
            urgent = daemon.load(f"{run}-urgent", *arguments, prefix=FIFO)
        for process in (load, urgent):
            if process:
                bench_daemon.wait(process)

    def times(csv):
        rows = read_jobs(setup.out / f"{csv}.csv")
        if any(r["outcome"] != "completed" for r in rows):
            print(f"{csv}: {sum(r['outcome'] != 'completed' for r in rows)} of {len(rows)} jobs not completed")
        return [(int(r["nominal_ns"]), int(r["answered_ns"])) for r in rows]

    return times(f"{run}-urgent") if urgent else None, [times(f"{run}-load")] if load else []


KINDS = {"LibTorch": (PLAIN, run_plain), "einetd": (EINETD, run_einetd)}


class Measured:
    def __init__(self):
        self.responses = []  # ms; a list per run
        self.rates = []  # inferences per second, of all loads; per run

    def add(self, urgent, loads):
        begin = max([rows[0][1] for rows in loads] + ([urgent[0][0]] if urgent else []))
        end = min([rows[-1][1] for rows in loads] + ([urgent[-1][1]] if urgent else []))
        begin += int(WARM_UP_S * 1e9)
        if urgent:
            self.responses.append([(answered - due) / 1e6 for due, answered in urgent if due >= begin])
        if loads:
            finished = sum(begin <= finish < end for rows in loads for _, finish in rows)
            self.rates.append(finished / ((end - begin) / 1e9))


def report(measured):
    print(f"{'kind':9} {'variant':24} {'n':>5} {'p50 ms':>7} {'p99 ms':>7} {'p99/alone':>9} {'load/s':>7} {'of alone':>8}")
    for (kind, variant), m in measured.items():
        alone, load = measured[kind, "urgent alone"].responses, measured[kind, "load alone"].rates
        line = f"{kind:9} {variant:24} "
        if m.responses:
            pooled, base = sum(m.responses, []), sum(alone, [])
            ratio = quantile(pooled, 0.99) / quantile(base, 0.99)
            line += f"{len(pooled):5} {quantile(pooled, 0.5):7.2f} {quantile(pooled, 0.99):7.2f} {ratio:9.3f} "
        else:
            line += f"{'':31} "
        if m.rates:
            line += f"{statistics.mean(m.rates):7.1f} {statistics.mean(m.rates) / statistics.mean(load):8.3f}"
        print(line.rstrip())
    print("goal of einetd's instant: p99/alone <= 1.05, load >= 0.95 of alone")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("programs", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--seconds", type=int, default=10, help="of each run")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--only", choices=KINDS)
    setup = parser.parse_args()
    setup.models = setup.out / "models"
    setup.models.mkdir(parents=True, exist_ok=True)
    if not (setup.models / f"{EINETD_LOAD}.einet").exists():
        subprocess.run([setup.programs / "bench_networks", setup.models], check=True)
        packages = [setup.models / f"{model}.einet" for model in LAST_EXIT]
        subprocess.run([setup.programs / "einet-worker", "--profile", *packages], check=True)

    order = [(k, v) for k, (variants, _) in KINDS.items() if setup.only in (None, k) for v in variants]
    measured = collections.OrderedDict((variant, Measured()) for variant in order)
    for round_number in range(setup.rounds):
        for turn, sequence in enumerate((order, order[::-1])):
            for kind, variant in sequence:
                run = f"{kind}-{variant.replace(' ', '-')}-{2 * round_number + turn}"
                measured[kind, variant].add(*KINDS[kind][1](setup, variant, run))
    report(measured)


if __name__ == "__main__":
    main()

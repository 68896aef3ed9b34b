#!/usr/bin/env python3
"""How long an urgent network takes beside a saturating one, in einetd and in plain LibTorch processes. On every core runs a
load (a wide residual network of about 20 ms), one inference right after the other; every 50 ms an urgent network (one of about 3 ms) is due. Each kind
has networks of its own, of a depth that takes so long on this machine. Per variant:
the urgent one's response time over that when it runs alone, and the load's throughput over that when it runs alone, each
against its own kind (einetd, LibTorch). All variants are run in one order, then in the reverse (ABBA), in several rounds.

    tools/bench_peers.py PROGRAMS OUT [--seconds N] [--rounds N] [--only KIND]

PROGRAMS: build/full/bin (bench_peer needs LibTorch). OUT: a folder for packages and raw data.
Ranks: plain processes as named; einetd by itself. The urgent client of einetd has the rank that the urgent LibTorch process
has under SCHED_FIFO, since it stands for the same program."""

import argparse
import collections
import dataclasses
import os
import pathlib
import shutil
import statistics
import subprocess
import time

import bench_daemon
from results import network_time_ns, quantile, read_jobs

PERIOD_MS = 50
CORES = os.cpu_count()
WARM_UP_S = 1
START_S = 3  # a load is under way by then
END_S = 2  # the urgent program starts within this
FIFO = ("chrt", "-f", "5")

ROLES = {"urgent": (2, 3), "load": (4, 20)}  # width of the network, and how many ms it should take
DEEPEST = 21  # residual blocks in each of three stages: 64 blocks

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


@dataclasses.dataclass
class Network:
    package: pathlib.Path
    last_exit: int
    ms: float


def choose(setup, kind, role, measure):
    """The network of this role that takes about as long as it should on this machine: its time grows by the same with each residual
    block, so two of them tell how many it takes."""
    width, wanted_ms = ROLES[role]
    tried, kept = setup.out / "tried", setup.out / "models" / kind

    def network(per_stage):
        shutil.rmtree(tried, ignore_errors=True)
        tried.mkdir()
        subprocess.run([setup.programs / "bench_networks", tried, str(per_stage), str(width)], check=True)
        (package,) = tried.iterdir()
        return Network(package, 3 * per_stage, measure(setup, package))

    one, two = network(1), network(2)
    per_stage = 1 + round((wanted_ms - one.ms) / max(two.ms - one.ms, 1e-3))
    chosen = network(min(max(1, per_stage), DEEPEST))
    chosen.package = pathlib.Path(shutil.move(chosen.package, kept))
    print(f"{kind}, {role}: {chosen.package.stem}, {chosen.ms:.1f} ms (wanted: about {wanted_ms})", flush=True)
    return chosen


def measure_plain(setup, package):
    csv = setup.out / "measure.csv"
    subprocess.run([setup.programs / "bench_peer", package, csv, "2"], check=True)
    return statistics.median(int(r["finished_ns"]) - int(r["started_ns"]) for r in read_jobs(csv)) / 1e6


def run_plain(setup, networks, variant, run):
    urgent_prefix, load_prefix = PLAIN[variant]
    peer = setup.programs / "bench_peer"
    loads, urgent = [], None
    if load_prefix is not None:
        for core in range(CORES):
            csv = setup.out / f"{run}-load-{core}.csv"
            pin = ("taskset", "-c", str(core))
            command = [*pin, *load_prefix, peer, networks["load"].package, csv, str(setup.seconds + START_S + END_S)]
            loads.append((subprocess.Popen(command), csv))
        time.sleep(START_S)
    if urgent_prefix is not None:
        csv = setup.out / f"{run}-urgent.csv"
        command = [*urgent_prefix, peer, networks["urgent"].package, csv, str(setup.seconds), str(PERIOD_MS)]
        urgent = (subprocess.Popen(command), csv)
    for process, _ in [*loads, *([urgent] if urgent else [])]:
        bench_daemon.wait(process)

    def times(csv):
        return [(int(r["due_ns"]), int(r["finished_ns"])) for r in read_jobs(csv)]

    return times(urgent[1]) if urgent else None, [times(csv) for _, csv in loads]


def measure_einetd(setup, package):
    subprocess.run([setup.programs / "einet-worker", "--profile", package], check=True, stdout=subprocess.DEVNULL)
    return network_time_ns(package, "p50") / 1e6


def whole(network):
    """Options for jobs that are one whole network, as in a plain process: only the last exit, and no less is an answer."""
    return "--model", network.package.stem, "--plan", "last", "--mandatory-exit", str(network.last_exit)


def run_einetd(setup, networks, variant, run):
    preemption, has_urgent, has_load = EINETD[variant]
    config = bench_daemon.device(CORES, preemption=preemption)
    config += bench_daemon.tenant("urgent", max_priority=10) + bench_daemon.tenant("load")
    urgent = load = None
    with bench_daemon.Daemon(setup.programs, setup.out, run, setup.out / "models/einetd", config) as daemon:
        if has_load:
            arguments = ("--tenant", "load", "--in-flight", str(2 * CORES), *whole(networks["load"]))
            load = daemon.load(f"{run}-load", *arguments, "--length", f"{setup.seconds + START_S + END_S}s")
            time.sleep(START_S)
        if has_urgent:
            arguments = ("--tenant", "urgent", "--priority", "10", *whole(networks["urgent"]))
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


@dataclasses.dataclass
class Kind:
    variants: dict
    measure: collections.abc.Callable  # (setup, package): ms of the whole network
    run: collections.abc.Callable  # (setup, networks, variant, name of the run): times of the urgent one, of each load


KINDS = {"LibTorch": Kind(PLAIN, measure_plain, run_plain), "einetd": Kind(EINETD, measure_einetd, run_einetd)}


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
    kinds = {name: kind for name, kind in KINDS.items() if setup.only in (None, name)}
    shutil.rmtree(setup.out, ignore_errors=True)
    for kind in kinds:
        (setup.out / "models" / kind).mkdir(parents=True)
    networks = {name: {role: choose(setup, name, role, kind.measure) for role in ROLES} for name, kind in kinds.items()}

    order = [(k, v) for k, kind in kinds.items() for v in kind.variants]
    measured = collections.OrderedDict((variant, Measured()) for variant in order)
    for round_number in range(setup.rounds):
        for turn, sequence in enumerate((order, order[::-1])):
            for kind, variant in sequence:
                run = f"{kind}-{variant.replace(' ', '-')}-{2 * round_number + turn}"
                measured[kind, variant].add(*kinds[kind].run(setup, networks[kind], variant, run))
    report(measured)


if __name__ == "__main__":
    main()

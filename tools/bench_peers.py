#!/usr/bin/env python3
"""How long an urgent network takes beside a saturating one, in einetd and in plain LibTorch processes. On every core runs a
load (a wide residual network of about 20 ms), one inference right after the other; in every second phase of 2 s an urgent network
(one of about 3 ms) is due every 50 ms. Each kind has networks of its own, of a depth that takes so long on this machine. Per variant:
the urgent one's response time over that when it runs alone, and the load's throughput in a phase with the urgent one over the
mean of the phases before and after: a shared machine's speed drifts by more than what is measured here. All variants are run
in one order, then in the reverse (ABBA), in several rounds.

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
PHASE_S = 2
EDGE_S = 0.25  # at the beginning of a phase with the urgent one and at both ends of one without: programs come and go there
START_S = 3  # a load is under way by then
END_S = 5  # the last phase without the urgent one, and what programs take to start
FIFO = ("chrt", "-f", "5")

ROLES = {"urgent": (2, 3), "load": (4, 20)}  # width of the network, and how many ms it should take
DEEPEST = 21  # residual blocks in each of three stages: 64 blocks

# Name: (prefix of the urgent one, prefix of the loads; None: no load).
PLAIN = {
    "urgent alone": ((), None),
    "equal rank": ((), ()),
    "load at nice 19": ((), ("nice", "-n", "19")),
    "urgent under SCHED_FIFO": (FIFO, ()),
}
# Name: (preemption, whether the load runs).
EINETD = {
    "urgent alone": ("instant", False),
    "boundary": ("boundary", True),
    "as-needed": ("as-needed", True),
    "instant": ("instant", True),
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
    loads, csv = [], setup.out / f"{run}-urgent.csv"
    if load_prefix is not None:
        for core in range(CORES):
            load = setup.out / f"{run}-load-{core}.csv"
            command = ["taskset", "-c", str(core), *load_prefix, peer, networks["load"].package, load, str(setup.load_s())]
            loads.append((subprocess.Popen(command), load))
        time.sleep(START_S)
    phases = str(2 * PHASE_S * setup.phases), str(PERIOD_MS), str(PHASE_S)
    subprocess.run([*urgent_prefix, peer, networks["urgent"].package, csv, *phases], check=True)
    for process, _ in loads:
        bench_daemon.wait(process)

    phases = []
    for row in read_jobs(csv):
        due = int(row["due_ns"])
        if not phases or due - phases[-1][-1][0] > PHASE_S * 1e9 / 2:
            phases.append([])
        phases[-1].append((due, int(row["finished_ns"])))
    return phases, [int(r["finished_ns"]) for _, load in loads for r in read_jobs(load)]


def measure_einetd(setup, package):
    subprocess.run([setup.programs / "einet-worker", "--profile", package], check=True, stdout=subprocess.DEVNULL)
    return network_time_ns(package, "p50") / 1e6


def whole(network):
    """Options for jobs that are one whole network, as in a plain process: only the last exit, and no less is an answer."""
    return "--model", network.package.stem, "--plan", "last", "--mandatory-exit", str(network.last_exit)


def run_einetd(setup, networks, variant, run):
    preemption, has_load = EINETD[variant]
    config = bench_daemon.device(CORES, preemption=preemption)
    config += bench_daemon.tenant("urgent", max_priority=10) + bench_daemon.tenant("load")
    with bench_daemon.Daemon(setup.programs, setup.out, run, setup.out / "models/einetd", config) as daemon:
        if has_load:
            arguments = ("--tenant", "load", "--in-flight", str(2 * CORES), *whole(networks["load"]))
            load = daemon.load(f"{run}-load", *arguments, "--length", f"{setup.load_s()}s")
            time.sleep(START_S)
        for phase in range(setup.phases):
            time.sleep(PHASE_S)
            arguments = ("--tenant", "urgent", "--priority", "10", *whole(networks["urgent"]))
            arguments += ("--every", f"{PERIOD_MS}ms", "--deadline", f"{PERIOD_MS}ms", "--length", f"{PHASE_S}s")
            bench_daemon.wait(daemon.load(f"{run}-urgent-{phase}", *arguments, prefix=FIFO))
        if has_load:
            bench_daemon.wait(load)

    def jobs(csv):
        rows = read_jobs(setup.out / f"{csv}.csv")
        if any(r["outcome"] != "completed" for r in rows):
            print(f"{csv}: {sum(r['outcome'] != 'completed' for r in rows)} of {len(rows)} jobs not completed")
        return [(int(r["nominal_ns"]), int(r["answered_ns"])) for r in rows if r["outcome"] == "completed"]

    phases = [jobs(f"{run}-urgent-{phase}") for phase in range(setup.phases)]
    return phases, [answered for _, answered in jobs(f"{run}-load")] if has_load else []


@dataclasses.dataclass
class Kind:
    variants: dict
    measure: collections.abc.Callable  # (setup, package): ms of the whole network
    run: collections.abc.Callable  # (setup, networks, variant, name of the run): (due, finished) per phase; the load's finishes


KINDS = {"LibTorch": Kind(PLAIN, measure_plain, run_plain), "einetd": Kind(EINETD, measure_einetd, run_einetd)}


class Measured:
    def __init__(self):
        self.responses = []  # ms
        self.kept = []  # per phase: the load's throughput over that around it

    def add(self, phases, finished):
        """`phases`: (due, finished) of the urgent one in each; `finished`: of all loads. All in ns."""
        edge, length = EDGE_S * 1e9, PHASE_S * 1e9
        phases = [[(due, end) for due, end in phase if due >= phase[0][0] + edge] for phase in phases]
        self.responses += [(end - due) / 1e6 for phase in phases for due, end in phase]
        if not finished:
            return

        def rate(begin, end):
            return sum(begin <= f < end for f in finished) / (end - begin)

        begins, ends = [p[0][0] for p in phases], [p[-1][0] + PERIOD_MS * 1e6 for p in phases]
        pauses = zip([begins[0] - edge - length, *ends], [b - edge for b in begins] + [ends[-1] + length])
        around = [rate(begin + edge, end - edge) for begin, end in pauses]
        for i, (begin, end) in enumerate(zip(begins, ends)):
            self.kept.append(rate(begin, end) / statistics.mean(around[i : i + 2]))


def report(measured):
    print(f"{'kind':9} {'variant':24} {'n':>5} {'p50 ms':>7} {'p99 ms':>7} {'p99/alone':>9} {'load kept':>9}")
    for (kind, variant), m in measured.items():
        p99, alone = quantile(m.responses, 0.99), quantile(measured[kind, "urgent alone"].responses, 0.99)
        line = f"{kind:9} {variant:24} {len(m.responses):5} {quantile(m.responses, 0.5):7.2f} {p99:7.2f} {p99 / alone:9.3f} "
        if m.kept:
            interval = 1.96 * statistics.stdev(m.kept) / len(m.kept) ** 0.5
            line += f"{statistics.mean(m.kept):9.3f} +- {interval:.3f}"
        print(line.rstrip())
    print("goal of einetd's instant: p99/alone <= 1.05, load kept >= 0.95")


class Setup:
    def __init__(self, arguments):
        self.programs, self.out = arguments.programs, arguments.out
        self.phases = max(2, round(arguments.seconds / PHASE_S))

    def load_s(self):
        return START_S + 2 * PHASE_S * self.phases + END_S


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("programs", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--seconds", type=int, default=10, help="with the urgent network in each run")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--only", choices=KINDS)
    arguments = parser.parse_args()
    setup = Setup(arguments)
    kinds = {name: kind for name, kind in KINDS.items() if arguments.only in (None, name)}
    shutil.rmtree(setup.out, ignore_errors=True)
    for kind in kinds:
        (setup.out / "models" / kind).mkdir(parents=True)
    networks = {name: {role: choose(setup, name, role, kind.measure) for role in ROLES} for name, kind in kinds.items()}

    order = [(k, v) for k, kind in kinds.items() for v in kind.variants]
    measured = collections.OrderedDict((variant, Measured()) for variant in order)
    for round_number in range(arguments.rounds):
        for turn, sequence in enumerate((order, order[::-1])):
            for kind, variant in sequence:
                run = f"{kind}-{variant.replace(' ', '-')}-{2 * round_number + turn}"
                measured[kind, variant].add(*kinds[kind].run(setup, networks[kind], variant, run))
    report(measured)


if __name__ == "__main__":
    main()

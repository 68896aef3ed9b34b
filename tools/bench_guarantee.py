#!/usr/bin/env python3
"""Whether accepted tasks keep their deadlines on real lanes, whatever else is sent. One lane. Accepted tasks use a given share
of it, by the worst times that admission counts; beside them run

  flood     a tenant that keeps eight whole networks waiting: no task's job may miss
  control   the same jobs without a reservation under `fifo`, which does not preempt: they must miss
  overload  three tenants of different priority that ask for the rest of three times the lane: no task's job may miss, the
            tenants get the better answers the higher their priority, rejections come at once

On every core a witness of the highest rank notes when the machine itself stood still (bench_witness; a virtual machine
whose host is busy does). A miss counts as explained by that if, on one core, pauses within the job's time or the 5 ms before
took more than the task's slack.

    tools/bench_guarantee.py PROGRAMS OUT [--jobs N] [--share 0.85] [--preemption as-needed]

PROGRAMS: a build's bin folder. OUT: a folder for raw data."""

import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import time
from collections import Counter

import bench_daemon
from results import block_times_ns, duration_ns, network_time_ns, quantile, read_jobs

PRETRAINED = pathlib.Path(__file__).resolve().parent.parent / "models/pretrained"
MARGIN, OVERHEAD_NS = 1.2, 50e3  # [admission]: of worst times; added to every block
# (name, model, last exit, period in units of the shortest, priority): harmonic, the shorter the more urgent.
TASKS = (
    ("brake", "b-alexnet-digits", 2, 1, 90),
    ("lidar", "fine-resnet-digits", 9, 4, 80),
    ("camera", "fine-resnet-digits", 9, 4, 70),
    ("map", "fine-resnet-digits", 9, 8, 60),
)
TENANTS = (("gold", 30), ("silver", 20), ("bronze", 10))  # of the overload, with their priorities
BEST_EFFORT = "fine-resnet-digits"
OVERLOAD = 3.0
LANE_CORE = os.cpu_count() - 1
ELSEWHERE = ("taskset", "-c", f"0-{max(0, LANE_CORE - 1)}")  # senders: not on the lane's core
START_S = 2  # senders are at work by then
BEFORE_NS = 5e6  # what a pause left undone may be in the way for so long
PACE = 1.02  # senders keep so much below the rate that they reserved, so that their jitter is not throttled


class Setup:
    def __init__(self, arguments):
        self.programs, self.out, self.share = arguments.programs, arguments.out, arguments.share
        self.preemption = arguments.preemption
        self.models = self.out / "models"
        self.measure()
        demand = sum(self.worst_ns(model) / units for _, model, _, units, _ in TASKS)
        self.unit_ns = round(demand / self.share)
        self.seconds = arguments.jobs * PACE * self.unit_ns / 1e9 / sum(1 / units for _, _, _, units, _ in TASKS)

    def measure(self):
        """The packages with this machine's times, measured on the lane's core: promises rest on them."""
        shutil.rmtree(self.models, ignore_errors=True)
        for model in {model for _, model, *_ in TASKS} | {BEST_EFFORT}:
            package = self.package(model)
            shutil.copytree(PRETRAINED / package.name, package)
            subprocess.run(["taskset", "-c", str(LANE_CORE), self.programs / "einet-worker", "--profile", package],
                           check=True, capture_output=True)

    def package(self, model):
        return self.models / f"{model}.einet"

    def whole_ns(self, model, which):
        return network_time_ns(self.package(model), which)

    def last_exit(self, model):
        return len(block_times_ns(self.package(model), "max")[1]) - 1

    def worst_ns(self, model):
        """As admission counts it."""
        return MARGIN * self.whole_ns(model, "max") + OVERHEAD_NS * (self.last_exit(model) + 1)

    def period(self, units):
        return f"{units * self.unit_ns}ns"

    def pace(self, units):
        return f"{round(units * self.unit_ns * PACE)}ns"

    def used(self):
        """The share of the lane that the tasks use by median times."""
        return sum(self.whole_ns(model, "p50") / units for _, model, _, units, _ in TASKS) / self.unit_ns / PACE

    def config(self, policy):
        device = f'[[device]]\nname = "cpu"\nlanes = 1\ncores = [{LANE_CORE}]\npreemption = "{self.preemption}"\n'
        tenants = bench_daemon.tenant("control", max_priority=100) + bench_daemon.tenant("flood")
        for name, priority in TENANTS:
            tenants += bench_daemon.tenant(name, max_priority=priority, max_jobs=8)
        return f'policy = "{policy}"\n[admission]\nmargin = {MARGIN}\noverhead = "{OVERHEAD_NS:.0f}ns"\n{device}{tenants}'

    def length(self):
        return "--length", f"{self.seconds:.3f}s"


class Witnesses:
    """Note when the machine stands still, as a context."""

    def __init__(self, setup, run):
        self.files = [setup.out / f"{run}-pauses-{core}.csv" for core in range(os.cpu_count())]
        self.program = setup.programs / "bench_witness"

    def __enter__(self):
        self.processes = [subprocess.Popen([self.program, str(core), file]) for core, file in enumerate(self.files)]
        return self

    def __exit__(self, *_):
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            bench_daemon.wait(process)
        self.pauses = []  # per core: (begin, end) in ns
        for file in self.files:
            rows = [line.split(",") for line in file.read_text().split()]
            self.pauses.append([(int(begin), int(end)) for begin, end in rows])

    def explain(self, job, slack_ns):
        begin, end = int(job["received_ns"]) - BEFORE_NS, int(job["deadline_ns"])
        still = (sum(max(0, min(e, end) - max(b, begin)) for b, e in pauses) for pauses in self.pauses)
        return max(still) > slack_ns

    def words(self, slack_ns):
        long = [e - b for pauses in self.pauses for b, e in pauses if e - b > slack_ns]
        return f"{len(long)} pauses of the machine above {slack_ns / 1e6:.1f} ms, the longest {max(long, default=0) / 1e6:.1f} ms"


def send_tasks(setup, daemon, run, reserved):
    """Adds the tasks, or stands in for them with the same jobs without reservations, and starts sending."""
    loads = []
    for name, model, last, units, priority in TASKS:
        if reserved:
            options = ("--period", setup.period(units), "--deadline", setup.period(units), "--priority", str(priority))
            daemon.einet("--tenant", "control", "task", "add", name, "--model", model, "--mandatory-exit", str(last), *options)
            job = ("--task", name)
        else:
            job = ("--deadline", setup.period(units), "--priority", str(priority), "--mandatory-exit", str(last))
        job += ("--tenant", "control", "--model", model, "--plan", "last", "--every", setup.pace(units))
        loads.append(daemon.load(f"{run}-{name}", *job, *setup.length(), prefix=ELSEWHERE))
    time.sleep(START_S)
    for load in loads:  # not before: drawing their images takes a second, more than such a rank may have at a stretch
        os.sched_setscheduler(load.pid, os.SCHED_FIFO, os.sched_param(5))
    if reserved:
        print(daemon.einet("task", "list").stdout.rstrip())
    return loads


def slacks_ns(daemon):
    """By task, as admission sees it."""
    tasks = json.loads(daemon.einet("--json", "task", "list").stdout)["tasks"]
    return {task["task"]: duration_ns(task["bound"]["slack"]) for task in tasks}


def task_jobs(setup, run, slacks, witnesses):
    """Of the jobs without an answer in time, those that no pause of the machine explains."""
    by_task = {name: read_jobs(setup.out / f"{run}-{name}.csv") for name, *_ in TASKS}
    jobs = [job for of_task in by_task.values() for job in of_task]
    late = [(int(j["finished_ns"]) - int(j["received_ns"])) / 1e6 for j in jobs if j["outcome"] != "rejected"]
    kept = sum(j["outcome"] == "completed" for j in jobs)
    outcomes = ", ".join(f"{n} {o}" for o, n in Counter(j["outcome"] for j in jobs).most_common())
    lane_time = sum(int(j["lane_time_ns"]) for j in jobs) / 1e9 / setup.seconds
    print(f"  tasks: {len(jobs)} jobs, {len(jobs) - kept} without their answer in time ({outcomes});")
    print(f"  response p50 {quantile(late, 0.5):.2f} ms, p99 {quantile(late, 0.99):.2f} ms; lane used {lane_time:.2f}")
    if slacks is None:
        return len(jobs) - kept
    lost = [(name, job) for name, of_task in by_task.items() for job in of_task if job["outcome"] != "completed"]
    # A job that was rejected has no deadline, and nothing explains it.
    unexplained = sum(job["deadline_ns"] == "" or not witnesses.explain(job, slacks[name]) for name, job in lost)
    print(f"  {witnesses.words(min(slacks.values()))}; they explain {len(lost) - unexplained} of {len(lost)} misses")
    return unexplained


def flood(setup, run, policy, reserved):
    with Witnesses(setup, run) as witnesses, bench_daemon.Daemon(
        setup.programs, setup.out, run, setup.models, setup.config(policy)
    ) as daemon:
        beside = daemon.load(
            f"{run}-flood", "--tenant", "flood", "--model", BEST_EFFORT, "--in-flight", "8", *setup.length(), prefix=ELSEWHERE
        )
        loads = send_tasks(setup, daemon, run, reserved)
        slacks = slacks_ns(daemon) if reserved else None
        for load in [*loads, beside]:
            bench_daemon.wait(load)
    lost = task_jobs(setup, run, slacks, witnesses)
    jobs = read_jobs(setup.out / f"{run}-flood.csv")
    print(f"  flood: {sum(j['outcome'] == 'completed' for j in jobs) / setup.seconds:.0f} networks/s")
    return lost


def overload(setup):
    full = setup.whole_ns(BEST_EFFORT, "p50")
    every = round(len(TENANTS) * full / (OVERLOAD - setup.used()))
    with Witnesses(setup, "overload") as witnesses, bench_daemon.Daemon(
        setup.programs, setup.out, "overload", setup.models, setup.config("imprecise")
    ) as daemon:
        loads = []
        for name, priority in TENANTS:
            job = ("--tenant", name, "--priority", str(priority), "--model", BEST_EFFORT, "--every", f"{every}ns")
            loads.append(daemon.load(f"overload-{name}", *job, "--deadline", f"{round(3 * full)}ns", *setup.length(), prefix=ELSEWHERE))
        loads += send_tasks(setup, daemon, "overload", True)
        slacks = slacks_ns(daemon)
        for load in loads:
            bench_daemon.wait(load)
    lost = task_jobs(setup, "overload", slacks, witnesses)
    for name, priority in TENANTS:
        jobs = read_jobs(setup.out / f"overload-{name}.csv")
        answered = [j for j in jobs if j["exit"] != ""]
        rejected = [(int(j["answered_ns"]) - int(j["sent_ns"])) / 1e6 for j in jobs if j["outcome"] == "rejected"]
        right = sum(j["top_class"] == j["label"] for j in answered)
        depth = statistics.mean(int(j["exit"]) for j in answered) if answered else float("nan")
        line = f"  {name} (priority {priority}): {len(jobs)} jobs, answered {len(answered) / len(jobs):.3f},"
        line += f" right {right / len(jobs):.3f}, mean exit {depth:.1f} of {setup.last_exit(BEST_EFFORT)}"
        if rejected:
            line += f"; {len(rejected)} rejected after p50 {quantile(rejected, 0.5):.2f}, p99 {quantile(rejected, 0.99):.2f} ms"
        print(line)
    return lost


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("programs", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--jobs", type=int, default=10_000, help="of all tasks together, per part")
    parser.add_argument("--share", type=float, default=0.85, help="of the lane, by admission's worst times")
    parser.add_argument("--preemption", choices=("boundary", "as-needed", "instant"), default="as-needed")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    setup = Setup(arguments)
    print(f"tasks use {setup.share:.2f} of the lane by worst times, {setup.used():.2f} by median times")
    verdicts = []
    print("flood, tasks accepted:")
    verdicts.append(("no unexplained miss beside a flood", flood(setup, "flood", "imprecise", True) == 0))
    print("the same without reservations under fifo:")
    verdicts.append(("misses in the control", flood(setup, "control", "fifo", False) > 0))
    print(f"overload of {OVERLOAD:.0f} lanes' worth:")
    verdicts.append(("no unexplained miss in overload", overload(setup) == 0))
    for words, reached in verdicts:
        print(f"{words}: {'yes' if reached else 'NO'}")
    sys.exit(not all(reached for _, reached in verdicts))


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Whether a running daemon's answers are as accurate as einet evaluate predicts. One lane; jobs have a deadline, and a rival of
higher priority takes the lane from them at random times. Four plans are compared:

  exact    the daemon's planner
  static   the best static plan, chosen by einet evaluate with the kill times of a first run
  last     the last exit alone: the network without early exits
  all      every exit

Each image is sent once under each plan, one shortly after the other in ABBA order, beside the same rivals at the same times. So
what else the machine does is the same for all. The trace says after how much lane time, as the network counts time, each job was
stopped or would have been: these are the kill times of einet evaluate --kill sample:…, from all jobs for all plans. What it
predicts stands beside what was measured, both with 95 % intervals. As a control it also predicts for jobs that nothing but their
deadline stops: with that, nothing must agree.

    tools/bench_agreement.py PROGRAMS OUT [--network fine-resnet] [--data digits] [--package NAME.einet]
        [--profiles NAME.profiles] [--jobs 4000] [--deadline 1.5] [--rival 0.4] [--policy imprecise] [--config LINE]…

PROGRAMS: a build's bin folder. OUT: a folder for raw data. --network, --data: package and profiles in models/pretrained, and the
images to send (as of einet-load). --jobs: of each plan. --deadline: in whole networks. --rival: share of
the lane. --config: of the daemon; a table for each. Default: "", and one in which it learns how long such jobs lived."""

import argparse
import hashlib
import itertools
import json
import os
import pathlib
import shutil
import subprocess
import time
import tomllib

import agreement
import bench_daemon
from results import block_times_ns, duration_ns, quantile, read_jobs

PRETRAINED = pathlib.Path(__file__).resolve().parent.parent / "models/pretrained"
CONFIGS = ("", 'planner.survival = ["deadline", "demand", "lived"]')
LANE_CORE = os.cpu_count() - 1
ELSEWHERE = ("taskset", "-c", f"0-{max(0, LANE_CORE - 1)}")  # senders: not on the lane's core
START_S = 4  # senders have their images by then
WARM_UP = 100  # jobs of each plan that do not count
SHORTEST_SLOT_NS = 1.2e6  # the daemon and the senders share what cores are left
FEWEST_ANSWERED = 0.1  # of the jobs that execute every exit
FEW_EXITS = 4  # of so few, every static plan is tried


def sha256(text):
    return hashlib.sha256(text.encode()).hexdigest()


def short(ns):
    return f"{ns / 1e6:.2f} ms" if ns >= 1e6 else f"{ns / 1e3:.0f} us"


def percent(estimate, sign=""):
    return f"{100 * estimate.value:{sign}.2f} ({100 * estimate.low:{sign}.2f} to {100 * estimate.high:{sign}.2f})"


class Bench:
    def __init__(self, arguments):
        self.__dict__.update(vars(arguments))
        models = self.out / "models"
        shutil.rmtree(models, ignore_errors=True)
        package = models / self.package.name
        shutil.copytree(self.package, package)
        self.model = self.package.stem
        subprocess.run([self.programs / "einet-worker", "--profile", package], check=True, stderr=subprocess.DEVNULL)
        self.times = package / "et.profile"
        self.trunk, self.exit = block_times_ns(package, "p50")
        self.idle = self.trunk, self.exit  # on a lane that has nothing else to do
        self.window = round(self.deadline * self.whole())
        self.slot = round(max(2.5 * self.window, SHORTEST_SLOT_NS))
        self.gap = round((sum(self.trunk) + self.exit[-1]) / self.rival)
        self.ranked = True

    def whole(self):
        """With all exits."""
        return sum(self.trunk) + sum(self.exit)

    def take_times(self, trunk, exit):
        """From here on these are the package's median block times, which the daemon plans with, and those of the prediction. Its
        worst times grow with them."""
        self.trunk, self.exit = [round(t) for t in trunk], [round(t) for t in exit]
        old = self.times.read_text()
        device = tomllib.loads(old)["device"][0]
        text = '[[device]]\nkind = "cpu"\nmachine = ""\nmethod = "processor time of blocks on a lane with its load"\n'
        for part, medians in (("trunk", self.trunk), ("exit", self.exit)):
            factor = sum(medians) / sum(map(duration_ns, device[part]["p50"]))
            columns = {"p50": medians}
            for key, below in (("p99", "p50"), ("max", "p99")):
                columns[key] = [max(factor * duration_ns(t), low) for t, low in zip(device[part][key], columns[below])]
            text += f"[device.{part}]\n"
            text += "".join(f"{key} = {json.dumps([f'{round(t)}ns' for t in values])}\n" for key, values in columns.items())
        self.times.write_text(text)
        description = self.times.with_name("model.toml")
        description.write_text(description.read_text().replace(sha256(old), sha256(text)))

    def daemon(self, name, line, plans):
        config = f'policy = "{self.policy}"\ntrace = "{self.out / name}.jsonl"\n{line}\n'
        config += f'[[device]]\nname = "cpu"\nlanes = 1\ncores = [{LANE_CORE}]\npreemption = "boundary"\n'
        config += bench_daemon.tenant("rival", max_priority=10) + "".join(map(bench_daemon.tenant, plans))
        return bench_daemon.Daemon(self.programs, self.out, name, self.out / "models", config, weight=-20)

    def rank(self, load):
        try:
            os.sched_setscheduler(load.pid, os.SCHED_FIFO, os.sched_param(5))
        except PermissionError:
            self.ranked = False

    def run(self, name, line, plans, jobs, seed):
        """{plan: its Run} under a line of configuration. `plans`: {plan: what einet-load calls it}."""
        due, rivals = agreement.schedule(list(plans), jobs, self.slot, self.gap, self.window, seed)
        senders = {plan: ("--plan", asked, "--deadline", f"{self.window}ns") for plan, asked in plans.items()}
        senders["rival"] = ("--plan", "last", "--priority", "10")
        with self.daemon(name, line, plans) as daemon:
            start = time.monotonic_ns() + round(START_S * 1e9)
            loads = []
            for sender, options in senders.items():
                times = self.out / f"{name}-{sender}.due"
                times.write_text("".join(f"{t}ns\n" for t in due.get(sender, rivals)))
                common = ("--tenant", sender, "--images", self.data, "--model", self.model, "--start-at", str(start))
                loads.append(daemon.load(f"{name}-{sender}", *common, "--due", times, *options, prefix=ELSEWHERE))
            time.sleep(max(0, (start - time.monotonic_ns()) / 1e9 - 0.2))
            for load in loads:  # not before: reading images takes longer than such a rank may run at a stretch
                self.rank(load)
            for load in loads:
                bench_daemon.wait(load)
        lane = agreement.Lane(self.events(name), "rival")
        rows = {plan: read_jobs(self.out / f"{name}-{plan}.csv") for plan in plans}
        return {plan: agreement.Run(lane, of[min(WARM_UP, jobs // 2) :]) for plan, of in rows.items()}

    def events(self, name):
        with open(self.out / f"{name}.jsonl") as trace:
            for event in map(json.loads, trace):
                if event["event"] in ("grant", "stop", "withdraw", "block"):
                    yield event
                elif event["event"] == "lost":
                    raise SystemExit(f"{name}: the trace lost events; it needs a faster disk, or longer slots")

    def evaluate(self, times, planners):
        """What einet evaluate says for planners, by their names, if jobs are stopped after one of these times."""
        kills = self.out / "kills"
        kills.write_text("".join(f"{round(t)}ns\n" for t in times))
        command = [self.programs / "einet", "evaluate", self.profiles, "--times", self.times, "--kill", f"sample:{kills}"]
        command += ["--planner", *planners, "--base", "all", "--aggregation", self.aggregation(), "--json"]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(f"einet evaluate ended with {done.returncode}: {done.stderr}")
        return {row["planner"]: row for row in json.loads(done.stdout)["evaluations"][0]["planners"]}

    def aggregation(self):
        """How the package makes one answer of several exits' (docs/packages.md)."""
        predictor = self.package / "predictor"
        if not predictor.exists():
            return "last"
        with open(predictor, "rb") as file:
            return json.loads(file.read(int.from_bytes(file.read(8), "little")))["__metadata__"]["aggregation"]

    def contender(self, line):
        """What the daemon's planner is in einet evaluate. A package without a predictor is planned by mean accuracies."""
        expect = tomllib.loads(line).get("planner", {}).get("expect", "lookalikes")
        return f"exact+{expect if (self.package / 'predictor').exists() else 'statistics'}"

    def predict(self, jobs, contender):
        """What einet evaluate says for a planner if its jobs had been stopped when these were."""
        given = {"single": [len(self.exit) - 1]}  # of others than static plans: as if every exit was executed
        exits = given.get(contender, range(len(self.exit)))
        if contender.startswith("exits:"):
            exits = [int(exit) for exit in contender.removeprefix("exits:").split(",")]
        times = agreement.kill_times(jobs, exits, self.trunk, self.exit)
        return self.evaluate(times, dict.fromkeys(("all", contender)))[contender]

    def best_static(self, jobs):
        """The exits of the most accurate static plan but all, if jobs were stopped when these were."""
        times = agreement.kill_times(jobs, range(len(self.exit)), self.trunk, self.exit)
        n = len(self.exit)
        planners = ["all", "statistics", "static:25", "static:50", "single"]
        if n <= FEW_EXITS:
            sets = (c for k in range(1, n) for c in itertools.combinations(range(n), k))
            planners = ["all", *(f"exits:{','.join(map(str, exits))}" for exits in sets)]
        rows = [row for row in self.evaluate(times, planners).values() if 0 < len(row["plan"]) < n]
        best = max(rows, key=lambda row: row["accuracy"]["value"])
        return ",".join(map(str, best["plan"]))


def row(name, got, said, more="", sign=""):
    """Prints a row; whether measured and predicted agree."""
    difference = got.less(said)
    agrees = "yes" if difference.has(0) else "NO"
    print(f"{name:10} {percent(got, sign):>24} {percent(said, sign):>24} {percent(difference, '+'):>24}  {agrees:5}  {more}")
    return difference.has(0)


def table(bench, line, runs, contenders):
    """Prints what was measured and predicted under a line of configuration; whether each figure agrees."""
    jobs = {plan: run.judge(bench.trunk, bench.exit) for plan, run in runs.items()}
    everybody = list(itertools.chain(*jobs.values()))
    had = [job.stopped for job in everybody]
    said = {plan: bench.predict(everybody, contender) for plan, contender in contenders.items()}
    got = agreement.measured(jobs, "all")
    slowness = ", ".join(f"{plan} {run.slowness(bench.trunk, bench.exit):.2f}" for plan, run in runs.items())
    print(f"configuration: {line or 'default'}; exact is {contenders['exact']}, static {contenders['static']},", end=" ")
    print(f"answers: {bench.aggregation()}")
    print(f"{len(jobs['all'])} jobs of each plan; lane time after which they were or would have been stopped:", end=" ")
    print(", ".join(f"{round(100 * q)} %: {short(quantile(had, q))}" for q in (0.1, 0.25, 0.5, 0.75)))
    print(f"blocks took, of their times: {slowness}")
    print(f"{'accuracy %':10} {'measured (95 %)':>24} {'predicted (95 %)':>24} {'difference':>24}", end="")
    print("  agree  answered %   exits      stopped after")
    agree = []
    for plan in contenders:
        answered = f"{100 * agreement.mean(j.answered for j in jobs[plan]):5.1f} {100 * said[plan]['answered']:5.1f}"
        exits = f"{agreement.mean(j.executed for j in jobs[plan]):.2f} {said[plan]['mean_exits']:.2f}"
        after = short(agreement.mean(min(j.stopped, bench.whole()) for j in jobs[plan]))
        agree.append(row(plan, got[plan][0], agreement.predicted(said[plan])[0], f"{answered}  {exits}  {after}"))
    print("over all")
    for plan in contenders:
        if plan != "all":
            ours, theirs = (agreement.predicted(said[name])[0].value for name in (plan, "all"))
            gain = agreement.predicted(said[plan])[1].moved(ours - theirs)
            agree.append(row(plan, got[plan][1], gain, sign="+"))
    control = bench.evaluate([bench.window], ["all"])["all"]
    print("control: jobs that nothing but their deadline stops")
    if row("all", got["all"][0], agreement.predicted(control)[0]):
        print("the control agrees, so that nothing is shown")
    if agreement.mean(job.answered for job in jobs["all"]) < FEWEST_ANSWERED:
        print("too few jobs had an answer to compare anything: the machine left the lane no time")
    print()
    return agree


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("programs", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--network", default="fine-resnet")
    parser.add_argument("--data", default="digits")
    parser.add_argument("--package", type=pathlib.Path)
    parser.add_argument("--profiles", type=pathlib.Path)
    parser.add_argument("--jobs", type=int, default=4000)
    parser.add_argument("--deadline", type=float, default=1.5)
    parser.add_argument("--rival", type=float, default=0.4)
    parser.add_argument("--policy", default="imprecise")
    parser.add_argument("--config", action="append", metavar="LINE")
    arguments = parser.parse_args()
    arguments.out = arguments.out.resolve()
    arguments.out.mkdir(parents=True, exist_ok=True)
    folder = PRETRAINED / arguments.data
    demo = PRETRAINED / f"{arguments.network}-{arguments.data}.einet"
    arguments.package = arguments.package or (demo if demo.exists() else folder / f"{arguments.network}.einet")
    arguments.profiles = arguments.profiles or folder / f"{arguments.network}.profiles.zst"
    for path in (arguments.package, arguments.profiles):
        if not path.exists():
            raise SystemExit(f"{path} is not there; models/pretrained/README.md says how it is made")
    bench = Bench(arguments)
    first = bench.run("first", "", {"all": "all", "last": "last"}, max(50, bench.jobs // 8), 0)
    bench.take_times(*agreement.block_times(first.values(), *bench.idle))
    best = bench.best_static(first["all"].judge(bench.trunk, bench.exit))
    plans = {"exact": "exact", "static": best, "last": "last", "all": "all"}
    lines = arguments.config or CONFIGS
    runs = [bench.run(f"run-{i}", line, plans, bench.jobs, i + 1) for i, line in enumerate(lines)]
    every = [run for of in (first, *runs) for run in of.values()]
    bench.take_times(*agreement.block_times(every, *bench.idle))

    load = " ".join(f"{n:.1f}" for n in os.getloadavg())
    print(f"{bench.model} on {bench.data}, policy {bench.policy}; a job in each slot of {short(bench.slot)},", end=" ")
    print(f"deadline {short(bench.window)} later;")
    print(f"the rival's jobs {short(bench.gap)} apart on average; load average {load}")
    print(f"block times, on an idle lane and with its load: trunks {short(sum(bench.idle[0]))}, {short(sum(bench.trunk))};", end=" ")
    print(f"exits {short(sum(bench.idle[1]))}, {short(sum(bench.exit))}")
    if not bench.ranked:
        print("senders have no real-time rank: more jobs come late")
    print()
    same = {"static": f"exits:{best}", "last": "single", "all": "all"}
    tables = [table(bench, line, run, {"exact": bench.contender(line)} | same) for line, run in zip(lines, runs)]
    agree = list(itertools.chain(*tables))
    print(f"{sum(agree)} of {len(agree)} figures agree; by chance one in twenty does not")


if __name__ == "__main__":
    main()

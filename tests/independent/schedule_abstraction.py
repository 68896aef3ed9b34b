#!/usr/bin/env python3
"""Checks completion times of `einet simulate` against bounds from published schedule-abstraction analyses: Nasri and
Brandenburg, "An Exact and Sustainable Analysis of Non-Preemptive Scheduling" (RTSS 2017), for one lane; Nasri, Nelissen and
Brandenburg, "Response-Time Analysis of Limited-Preemptive Parallel DAG Tasks under Global Scheduling" (ECRTS 2019), for
several. Their authors' program `nptest` is needed: build it yourself, outside this repository, from
https://github.com/gnelissen/np-schedulability-analysis (BSD licence; needs yaml-cpp), then

    tests/independent/schedule_abstraction.py --einet build/runtime/bin/einet --nptest …/nptest [--sets N] [--seed S]

Each random set gives every block a range of times and, in some sets, every job a range of releases. nptest bounds when each
block may end; then `einet simulate` runs the set with times drawn from those ranges (all least, all greatest, random), and
no block may end outside its bounds. A job of several blocks is a chain of jobs there, which keep its place in the order.
--control: the negative control. The product runs under another policy, and must leave the bounds."""

import argparse
import pathlib
import random
import subprocess
import sys
import tempfile

from crosscheck import POLICIES, run_product

DRAWS = 6  # per set
NEVER = 10**9  # nptest's deadlines: only completion times are compared
LIMIT_S = 1  # of processor time for one set's bounds; sets that need more are counted and left out


class Range:
    def __init__(self, least, greatest):
        self.least, self.greatest = least, greatest

    def draw(self, rng, how):
        return rng.randint(self.least, self.greatest) if how == "random" else getattr(self, how)


class Job:
    def __init__(self, release, deadline, priority, blocks):
        self.release, self.deadline, self.priority, self.blocks = release, deadline, priority, blocks


class RandomSet:
    def __init__(self, rng):
        self.policy, self.lanes = rng.choice(POLICIES), rng.randint(1, 4)
        exact, jitter = rng.random() < 0.25, rng.random() < 0.3 and self.policy != "fifo"
        several = rng.random() < 0.6
        self.jobs = []
        for _ in range(rng.randint(2, 5) + self.lanes):
            period, priority = rng.choice((10, 12, 15, 20, 30, 60)), rng.randint(0, 3)
            relative = rng.randint(2, 2 * period)
            blocks = []
            for _ in range(rng.randint(1, 4) if several else 1):
                least = rng.randint(1, 6)
                blocks.append(Range(least, least if exact else least + rng.choice((0, 1, 2, 4))))
            late = rng.randint(0, 3) if jitter else 0
            for release in range(rng.randint(0, 5), 60, period):
                self.jobs.append(Job(Range(release, release + late), release + relative, priority, blocks))
        if jitter:  # the actual release must not decide: nptest's order of jobs is fixed
            taken = set()
            for job in self.jobs:
                while job.deadline in taken or job.deadline <= job.release.greatest:
                    job.deadline += 1
                taken.add(job.deadline)
        self.exact = exact and not jitter

    def order(self):
        """Job numbers, most urgent first (docs/files.md)."""
        keys = {
            "edf": lambda j: (j.deadline, j.release.least),
            "fixed-priority": lambda j: (-j.priority, j.deadline, j.release.least),
            "fifo": lambda j: (j.release.least,),
        }
        return sorted(range(len(self.jobs)), key=lambda n: keys[self.policy](self.jobs[n]) + (n,))


def bounds(nptest, task_set, folder, rng):
    """{(job, block): (earliest end, latest end)}, or None if that takes too long."""
    rank = {number: place for place, number in enumerate(task_set.order())}
    rows, edges = ["task,job,release min,release max,cost min,cost max,deadline,priority"], ["from,,to,"]
    for n, job in enumerate(task_set.jobs):
        for b, block in enumerate(job.blocks):
            release = job.release
            rows.append(f"{n},{b},{release.least},{release.greatest},{block.least},{block.greatest},{NEVER},{rank[n]}")
            if b > 0:
                edges.append(f"{n},{b - 1},{n},{b}")
    (folder / "jobs.csv").write_text("\n".join(rows) + "\n")
    (folder / "edges.csv").write_text("\n".join(edges) + "\n")
    command = [nptest, "-r", "-c", "-l", str(LIMIT_S), folder / "jobs.csv"]
    if len(edges) > 1:
        command += ["-p", folder / "edges.csv"]
    if task_set.lanes > 1 or rng.random() < 0.3:  # both analyses know one processor
        command += ["-m", str(task_set.lanes)]
    done = subprocess.run(command, capture_output=True, text=True)
    fields = [f.strip() for f in done.stdout.split(",")]
    if done.returncode != 0 or len(fields) < 9:
        sys.exit(f"nptest ended with {done.returncode}: {done.stdout}{done.stderr}")
    if fields[8] != "0":
        return None
    if fields[1] != "1":
        sys.exit(f"nptest found a deadline missed that is never reached: {done.stdout}")
    table = (folder / "jobs.rta.csv").read_text().splitlines()[1:]
    return {(n, b): (low, high) for n, b, low, high, *_ in (map(int, line.split(",")) for line in table)}


def ends(einet, task_set, policy, how, rng, folder):
    """{(job, block): end} of one run of the product."""
    toml = [f'policy = "{policy}"', f"lanes = {task_set.lanes}", 'on_miss = "continue"']
    for n, job in enumerate(task_set.jobs):
        release = job.release.draw(rng, how)
        blocks = ", ".join(f'"{block.draw(rng, how)}ns"' for block in job.blocks)
        toml += ["[[job]]", f'name = "j{n}"', f'release = "{release}ns"', f'deadline = "{job.deadline - release}ns"']
        toml += [f"priority = {job.priority}", f"blocks = [{blocks}]"]
    rows = run_product(einet, "\n".join(toml) + "\n", folder)[0].splitlines()[1:]
    fields = (row.split(",") for row in rows)
    return {(int(f[0]), int(f[3])): int(f[6]) for f in fields}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--einet", required=True)
    parser.add_argument("--nptest", required=True)
    parser.add_argument("--sets", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0, help="of the first set; the next set has the next seed")
    parser.add_argument("--control", action="store_true")
    arguments = parser.parse_args()

    sets = left_out = jobs = blocks = at_bound = outside = exact_sets = 0
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for seed in range(arguments.seed, arguments.seed + arguments.sets):
            rng = random.Random(seed)
            task_set = RandomSet(rng)
            limits = bounds(arguments.nptest, task_set, folder, rng)
            if limits is None:
                left_out += 1
                continue
            sets += 1
            exact_sets += task_set.exact
            policy = task_set.policy
            if arguments.control:
                policy = POLICIES[(POLICIES.index(policy) + 1) % len(POLICIES)]
            for draw in range(1 if task_set.exact else DRAWS):
                how = ("least", "greatest")[draw] if draw < 2 else "random"
                jobs += len(task_set.jobs)
                for block, end in ends(arguments.einet, task_set, policy, how, rng, folder).items():
                    low, high = limits[block]
                    blocks += 1
                    at_bound += end in (low, high)
                    if not low <= end <= high:
                        outside += 1
                        if not arguments.control:
                            print(f"seed {seed}, times {how}: block {block} ends at {end}, not within [{low}, {high}]")
    print(
        f"{sets} sets ({exact_sets} with exact times; {left_out} left out, their bounds take over {LIMIT_S} s), "
        f"{jobs} jobs, {blocks} blocks: {outside} end outside their bounds, {at_bound} at one of them"
    )
    sys.exit(outside == 0 if arguments.control else outside > 0)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Runs `einet simulate` and the independent simulator (simulator.py) over random task sets and compares both CSV files
byte by byte. Small whole numbers of a random tick, so that ties, zero slack and overload are the rule.

    tests/independent/crosscheck.py --einet build/runtime/bin/einet [--sets N] [--seed S] [--control]

--control: the negative control. The product gets each set under another policy; nearly nothing may agree.
The first set that differs is printed with its seed; exit status 1."""

import argparse
import pathlib
import random
import subprocess
import sys
import tempfile

from simulator import Source, TaskSet, as_csv, simulate

POLICIES = ("edf", "fixed-priority", "fifo")
TICKS_NS = (1, 7, 1000, 250_000, 1_000_000, 1_500_000_000)


def random_set(rng):
    task_set = TaskSet(
        policy=rng.choice(POLICIES), lanes=rng.randint(1, 4), horizon=rng.randint(1, 80), stop=rng.random() < 0.6
    )
    longest = rng.choice((1, 3, 5, 15))
    most_blocks = rng.choice((1, 3, 6, 6, 64))
    same_period = rng.choice((None, None, rng.randint(2, 20)))
    for i in range(rng.randint(1, 8)):
        blocks = [rng.randint(1, longest) for _ in range(rng.randint(1, most_blocks))]
        period = same_period or rng.randint(2, 30)
        if rng.random() < 0.3:
            period = None
        elif len(blocks) > 6:  # bounds what a tick-by-tick simulator has to do
            period = rng.randint(40, 80)
        deadline = rng.choice(
            (None, sum(blocks), sum(blocks) + rng.randint(0, 8), rng.randint(1, 70), max(1, sum(blocks) - 1))
        )
        if period is None and deadline is None:
            deadline = rng.randint(1, 40)
        task_set.sources.append(
            Source(f"s{i}", blocks, rng.choice((0, 0, rng.randint(0, 15))), period, deadline, rng.randint(-2, 2))
        )
    return task_set


def duration(ticks, tick_ns, rng):
    """The same duration in one of its spellings."""
    ns = ticks * tick_ns
    for unit, digits in rng.sample((("ns", 0), ("us", 3), ("ms", 6), ("s", 9)), 4):
        whole, part = divmod(ns, 10**digits)
        if digits == 0 or whole > 0 or rng.random() < 0.5:
            decimals = f".{part:0{digits}d}".rstrip("0").rstrip(".") if digits else ""
            return f'"{whole}{decimals}{unit}"'
    return f'"{ns}ns"'


def to_toml(task_set, tick_ns, rng, policy):
    def time(ticks):
        return duration(ticks, tick_ns, rng)

    lines = [f'policy = "{policy}"', f"horizon = {time(task_set.horizon)}"]
    if task_set.lanes != 1 or rng.random() < 0.5:
        lines.append(f"lanes = {task_set.lanes}")
    if not task_set.stop:
        lines.append('on_miss = "continue"')
    elif rng.random() < 0.5:
        lines.append('on_miss = "stop"')
    for s in task_set.sources:
        lines += ["[[job]]" if s.period is None else "[[task]]", f'name = "{s.name}"']
        if s.period is None:
            lines.append(f"release = {time(s.offset)}")
        else:
            lines.append(f"period = {time(s.period)}")
            if s.offset or rng.random() < 0.5:
                lines.append(f"offset = {time(s.offset)}")
        if s.deadline is not None:
            lines.append(f"deadline = {time(s.deadline)}")
        if s.priority or rng.random() < 0.5:
            lines.append(f"priority = {s.priority}")
        lines.append(f"blocks = [{', '.join(time(b) for b in s.blocks)}]")
    return "\n".join(lines) + "\n"


def run_product(einet, toml, folder):
    """The two files that it writes."""
    path, csv = folder / "set.toml", folder / "out.csv"
    path.write_text(toml)
    done = subprocess.run([einet, "simulate", path, "--csv", csv], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"einet simulate ended with {done.returncode}: {done.stderr}\n{toml}")
    return csv.read_bytes().decode(), pathlib.Path(f"{csv}.jobs").read_bytes().decode()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--einet", required=True)
    parser.add_argument("--sets", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0, help="of the first set; the next set has the next seed")
    parser.add_argument("--control", action="store_true")
    arguments = parser.parse_args()

    agreed = rows = missed = 0
    with tempfile.TemporaryDirectory() as name:
        for seed in range(arguments.seed, arguments.seed + arguments.sets):
            rng = random.Random(seed)
            task_set, tick_ns = random_set(rng), rng.choice(TICKS_NS)
            policy = task_set.policy
            if arguments.control:
                policy = POLICIES[(POLICIES.index(policy) + 1) % len(POLICIES)]
            toml = to_toml(task_set, tick_ns, rng, policy)
            expected = as_csv(*simulate(task_set), tick_ns)
            got = run_product(arguments.einet, toml, pathlib.Path(name))
            if got == expected:
                agreed += 1
            elif not arguments.control:
                pairs = zip((got[0] + got[1]).split("\n"), (expected[0] + expected[1]).split("\n"))
                first = next((p for p in pairs if p[0] != p[1]), ("fewer or more rows", ""))
                print(f"seed {seed}: einet says\n  {first[0]}\nthe independent simulator\n  {first[1]}\n{toml}")
                sys.exit(1)
            rows += expected[0].count("\n") - 1
            missed += expected[1].count(",missed\n")
    print(f"{agreed} of {arguments.sets} sets agree ({rows} blocks, {missed} missed jobs; first seed {arguments.seed})")
    if arguments.control and agreed > arguments.sets / 2:
        sys.exit("the control agrees too often: this comparison finds nothing")


if __name__ == "__main__":
    main()

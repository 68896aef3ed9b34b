"""The arithmetic of tools/bench_agreement.py: when jobs are due, how long they could have run, how accurate they were, and
whether that is what was predicted. Times in ns. No processes and no files here."""

import bisect
import dataclasses
import itertools
import math
import random

RESAMPLES = 2000
CHUNK = 20  # consecutive jobs that are drawn together: neighbours meet the same load


@dataclasses.dataclass
class Estimate:
    value: float
    low: float
    high: float

    def less(self, other):
        """The difference of two independent estimates."""
        value = self.value - other.value
        low = math.hypot(self.value - self.low, other.high - other.value)
        high = math.hypot(self.high - self.value, other.value - other.low)
        return Estimate(value, value - low, value + high)

    def moved(self, value):
        """As wide, elsewhere."""
        return Estimate(value, value + self.low - self.value, value + self.high - self.value)

    def has(self, value):
        return self.low <= value <= self.high


def schedule(plans, slots, period, gap, window, seed):
    """When jobs are due after the start: ({plan: times}, the rival's times). Each plan has one job in a slot of its own; as many
    slots as there are plans, one after the other in ABBA order, hold the same rivals, at random, `gap` apart on average."""
    draw = random.Random(seed)
    due = {plan: [] for plan in plans}
    rivals = []
    begin = 0
    for turn in range(slots):
        first = turn // 2 % len(plans)
        order = [*plans[first:], *plans[:first]]
        offsets = []
        at = draw.expovariate(1 / gap)
        while at < period:
            offsets.append(at)
            at += draw.expovariate(1 / gap)
        for plan in reversed(order) if turn % 2 else order:
            due[plan].append(int(begin + 0.6 * (period - window)))  # rivals of its own slot are at work by then
            rivals += [int(begin + offset) for offset in offsets]
            begin += period
    return due, rivals


class Lane:
    """When a lane could not be had, and what it did for each job. `events`: its trace; `rival`: the tenant that takes it."""

    def __init__(self, events, rival):
        self.of_job = {}  # blocks, in order
        self.asked = {}  # (job, block), and when the rival asked for the lane during it
        taken = []
        before = None  # the block that ran before
        waiting = {}  # grants that were not begun yet, and since when
        for e in sorted(events, key=lambda e: e.get("start_ns", e["at_ns"])):
            if e["event"] == "grant":
                waiting[e["grant"]] = e["at_ns"]
            elif e["event"] in ("stop", "withdraw") and e["grant"] in waiting:
                taken.append((waiting.pop(e["grant"]), e["at_ns"]))
            elif e["event"] == "block":
                self.of_job.setdefault(e["job"], []).append(e)
                # Nobody else can have a lane that has not got its core yet, or of which the daemon does not know that it is done.
                begin = waiting.pop(e["grant"], e["start_ns"])
                taken.append((min(begin, e["start_ns"]), e["at_ns"] if e["tenant"] == rival else e["end_ns"]))
                if before and before["tenant"] != rival == e["tenant"] and e["granted_ns"] < before["end_ns"]:
                    self.asked[before["job"], before["block"]] = e["granted_ns"]
                before = e
        self.starts, self.ends = [], []  # of the times at which it was taken: apart from each other, rising
        for begin, end in sorted(taken):
            if self.ends and begin <= self.ends[-1]:
                self.ends[-1] = max(self.ends[-1], end)
            else:
                self.starts.append(begin)
                self.ends.append(end)
        self.before = list(itertools.accumulate((e - s for s, e in zip(self.starts, self.ends)), initial=0))

    def _taken_until(self, t):
        n = bisect.bisect_right(self.starts, t)
        return self.before[n] - (max(0, self.ends[n - 1] - t) if n > 0 else 0)

    def free(self, begin, end):
        """For how long of [begin, end] it could be had; 0 if `end` comes first."""
        return end - begin - (self._taken_until(end) - self._taken_until(begin)) if end > begin else 0


@dataclasses.dataclass
class Job:
    """What became of a job under one plan. Of several plans, jobs at the same place of their lists are a pair: the same image
    beside the same rivals."""

    right: bool
    answered: bool
    executed: int  # exits
    # The lane time after which it was stopped or would have been, as the network counts time: what it did by the medians of its
    # blocks, a late one in part, up to the instant at which the rival asked for the lane for good; else what it did until its
    # deadline, and what nobody took after that. So it hardly depends on the job's own plan.
    stopped: float
    at_most: float  # what it could have had by its deadline if the rival had not come then; else the same


class Run:
    """Jobs of one planner: `rows` of einet-load, and the lane that they ran on."""

    def __init__(self, lane, rows):
        self.lane, self.rows = lane, rows

    def blocks(self):
        return (block for row in self.rows for block in self.lane.of_job.get(int(row["job"]), []))

    def slowness(self, trunk_ns, exit_ns):
        """The lane time of all blocks over that of the same blocks by these times; 1 without any."""
        used = expected = 0
        for b in self.blocks():
            used += b["used_ns"]
            expected += trunk_ns[b["block"]] + (exit_ns[b["block"]] if "exit" in b else 0)
        return used / expected if expected else 1

    def judge(self, trunk_ns, exit_ns):
        """What became of the jobs. An answer counts if the job has it at its deadline."""
        slowness = self.slowness(trunk_ns, exit_ns)
        return [self._judge(row, trunk_ns, exit_ns, slowness) for row in self.rows]

    def _judge(self, row, trunk_ns, exit_ns, slowness):
        if row["outcome"] == "rejected":  # it came after its deadline
            return Job(False, False, 0, 0, 0)
        answered = row["exit"] != "" and row["outcome"] in ("completed", "deadline")
        executed = int(row["executed_exits"]).bit_count()
        deadline, begin = int(row["deadline_ns"]), int(row["received_ns"])
        answer = (answered and row["top_class"] == row["label"], answered, executed)
        did = stopped = at_most = 0
        for b in self.lane.of_job.get(int(row["job"]), []):
            length = max(1, b["end_ns"] - b["start_ns"])
            time = trunk_ns[b["block"]] + ("exit" in b) * exit_ns[b["block"]]
            asked = self.lane.asked.get((b["job"], b["block"]), b["end_ns"])
            stopped = did + time * max(0, asked - b["start_ns"]) / length
            at_most = stopped + max(0, deadline - asked) / slowness
            did += time * min(1, max(0, deadline - b["start_ns"]) / length)
            begin = b["end_ns"]
        free = self.lane.free(begin, deadline) / slowness
        if free < did - stopped:
            return Job(*answer, stopped, at_most)
        return Job(*answer, did + free, did + free)


def kill_times(jobs, exits, trunk_ns, exit_ns):
    """When these jobs would have been stopped under a plan of these exits: a block in which the rival comes goes on to its
    end, or past the deadline."""
    ends = list(itertools.accumulate(t + e * (k in exits) for k, (t, e) in enumerate(zip(trunk_ns, exit_ns))))
    for job in jobs:
        block = bisect.bisect_left(ends, job.stopped)
        yield min(ends[block], job.at_most) if block < len(ends) else job.stopped


def block_times(runs, trunk_ns, exit_ns):
    """Median times (trunks, exits) of blocks on lanes with their load. What the runs do not say, of a block that always or never
    had its exit executed, is as much slower than these times as the rest of the block."""
    used = {}
    for run in runs:
        for b in run.blocks():
            used.setdefault((b["block"], "exit" in b), []).append(b["used_ns"])
    middle = {key: sorted(times)[len(times) // 2] for key, times in used.items()}
    trunk, exit = [], []
    for block, (t, e) in enumerate(zip(trunk_ns, exit_ns)):
        alone, both = middle.get((block, False)), middle.get((block, True))
        both = both or (alone or t) * (t + e) / t
        trunk.append(min(alone or both * t / (t + e), 0.999 * both))
        exit.append(both - trunk[-1])
    return trunk, exit


def mean(values):
    values = list(values)
    return sum(values) / len(values)


def interval(value, drawn):
    drawn = sorted(drawn)
    return Estimate(value, drawn[len(drawn) // 40], drawn[-1 - len(drawn) // 40])


def measured(by_planner, base, seed=1):
    """Per planner: (accuracy, gain over the base). Intervals of 95 %: percentile bootstrap over chunks of jobs, the same ones for
    all planners. `by_planner`: equally many jobs of each."""
    sums = {name: [sum(job.right for job in chunk) for chunk in chunks(jobs)] for name, jobs in by_planner.items()}
    sizes = [len(chunk) for chunk in chunks(by_planner[base])]
    draw = random.Random(seed)
    drawn = {name: [] for name in sums}
    for _ in range(RESAMPLES):
        places = draw.choices(range(len(sizes)), k=len(sizes))
        count = sum(sizes[i] for i in places)
        for name, right in sums.items():
            drawn[name].append(sum(right[i] for i in places) / count)
    accuracy = {name: mean(job.right for job in jobs) for name, jobs in by_planner.items()}
    return {
        name: (
            interval(accuracy[name], drawn[name]),
            interval(accuracy[name] - accuracy[base], [a - b for a, b in zip(drawn[name], drawn[base])]),
        )
        for name in by_planner
    }


def chunks(jobs):
    return [jobs[i : i + CHUNK] for i in range(0, len(jobs), CHUNK)]


def predicted(row):
    """(accuracy, gain) of a planner in einet evaluate --json."""
    return tuple(Estimate(*(row[key][name] for name in ("value", "low", "high"))) for key in ("accuracy", "gain"))

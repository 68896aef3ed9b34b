"""A second simulator of the rules of `einet simulate` (docs/files.md), to cross-check the product: another language,
another method. Time advances tick by tick and every job is looked at in every tick; there are no events, queues or
predictions. Written from the rules alone; shares nothing with the product. Python's standard library only."""

from dataclasses import dataclass, field


@dataclass
class Source:
    """A [[task]], or with period None a [[job]]. Times are whole ticks."""

    name: str
    blocks: list
    offset: int = 0  # a [[job]]'s release
    period: int | None = None
    deadline: int | None = None  # relative to the release; None: the period
    priority: int = 0


@dataclass
class TaskSet:
    policy: str  # "edf", "fixed-priority" or "fifo"
    lanes: int
    horizon: int
    stop: bool  # on_miss: stop, else continue
    sources: list = field(default_factory=list)


@dataclass(eq=False)
class Job:
    number: int
    source: Source
    index: int
    release: int
    deadline: int
    done: int = 0  # blocks
    lane: int | None = None  # on which its last block ran, or runs
    block_end: int | None = None  # while a block runs
    left_at: int | None = None
    completed: bool = False


def expand(task_set):
    jobs = []

    def add(source, index, release):
        relative = source.period if source.deadline is None else source.deadline
        jobs.append(Job(len(jobs), source, index, release, release + relative))

    for source in task_set.sources:
        if source.period is not None:
            for index, release in enumerate(range(source.offset, task_set.horizon, source.period)):
                add(source, index, release)
    for source in task_set.sources:
        if source.period is None:
            add(source, 0, source.offset)
    return jobs


def urgency(policy, job):
    if policy == "edf":
        return (job.deadline, job.release, job.number)
    if policy == "fixed-priority":
        return (-job.source.priority, job.deadline, job.release, job.number)
    return (job.release, job.number)


def simulate(task_set):
    """Returns the jobs, and the executed blocks as (start, lane, finish, job number, block), by start, then lane."""
    jobs = expand(task_set)
    rows = []
    now = 0
    while any(job.left_at is None for job in jobs):
        alive = [job for job in jobs if job.left_at is None and job.release <= now]

        for job in alive:
            if job.block_end == now:
                job.block_end = None
                job.done += 1
                if job.done == len(job.source.blocks):
                    job.completed = now <= job.deadline
                    job.left_at = max(now, job.deadline) if task_set.stop and not job.completed else now
            if job.left_at is None and job.block_end is None and task_set.stop and now >= job.deadline:
                job.left_at = now

        busy = {job.lane for job in alive if job.block_end is not None}
        idle = [lane for lane in range(task_set.lanes) if lane not in busy]
        ready = [job for job in alive if job.left_at is None and job.block_end is None]
        chosen = sorted(ready, key=lambda job: urgency(task_set.policy, job))[: len(idle)]
        moving = []
        for job in chosen:
            if job.lane in idle:
                idle.remove(job.lane)
            else:
                moving.append(job)
        for job in moving:
            job.lane = idle.pop(0)
        for job in chosen:
            job.block_end = now + job.source.blocks[job.done]
            rows.append((now, job.lane, job.block_end, job.number, job.done))
        now += 1
    return jobs, sorted(rows)


def as_csv(jobs, rows, tick_ns):
    """The bytes that `einet simulate --csv OUT.csv` is to write: OUT.csv and OUT.csv.jobs."""
    blocks = ["job,task,index,block,lane,start_ns,finish_ns"]
    for start, lane, finish, number, block in rows:
        job = jobs[number]
        blocks.append(f"{number},{job.source.name},{job.index},{block},{lane},{start * tick_ns},{finish * tick_ns}")
    outcomes = ["job,task,index,release_ns,deadline_ns,finish_ns,outcome"]
    for job in jobs:
        times = f"{job.release * tick_ns},{job.deadline * tick_ns},{job.left_at * tick_ns}"
        outcome = "completed" if job.completed else "missed"
        outcomes.append(f"{job.number},{job.source.name},{job.index},{times},{outcome}")
    return "\n".join(blocks) + "\n", "\n".join(outcomes) + "\n"

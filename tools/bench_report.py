"""The daemon's part of tools/bench: reads what it left in a folder (CSV of einet-load, traces of einetd) and prints
figures beside their goals."""

import collections
import pathlib
import sys

from results import quantile, read_jobs, read_trace


def line(what, values_us, goals):
    got = {"p50": quantile(values_us, 0.5), "p99": quantile(values_us, 0.99)}
    goal = ", ".join(f"{q} <= {limit} us" for q, limit in goals.items())
    figures = ", ".join(f"{q} {got[q]:.1f} us" for q in ("p50", "p99"))
    print(f"{what:58} {figures}, max {max(values_us):.0f} us (n = {len(values_us)}; goal {goal})")


def overhead(folder):
    """A job's whole time at the client less the time of its blocks."""
    jobs = read_jobs(folder / "idle.csv")[50:]
    return [(int(j["answered_ns"]) - int(j["sent_ns"]) - int(j["lane_time_ns"])) / 1e3 for j in jobs if j["exit"] != ""]


def preemption(folder):
    """Per urgent job: from the boundary to its first block, and from the client's send to it, both without what the block
    that was running when the job was sent had left."""
    urgent = {int(j["job"]): j for j in read_jobs(folder / "busy-urgent.csv")[20:] if j["first_block_ns"] != ""}
    by_lane = collections.defaultdict(list)
    for event in read_trace(folder / "busy-trace.jsonl"):
        if event["event"] == "block":
            by_lane[event["lane"]].append(event)
    switch, whole, late = [], [], 0
    for blocks in by_lane.values():
        blocks.sort(key=lambda b: b["start_ns"])
        for before, block in zip(blocks, blocks[1:]):
            job = urgent.get(block["job"])
            if job is None or block["start_ns"] != int(job["first_block_ns"]) or before["job"] == block["job"]:
                continue
            sent = int(job["sent_ns"])
            if before["end_ns"] < sent:
                continue  # the lane was idle, or busy with what began after the job was sent
            switch.append((block["start_ns"] - before["end_ns"]) / 1e3)
            running = next((b for b in blocks if b["start_ns"] <= sent < b["end_ns"]), None)
            left = running["end_ns"] - sent if running else 0
            whole.append((block["start_ns"] - sent - left) / 1e3)
            late += running is not None and running is not before
    return switch, whole, late


def stopped_late(folder):
    """Less urgent blocks started on a lane after its stop word was set (goal: none)."""
    stops, bad = {}, 0
    for event in read_trace(folder / "busy-trace.jsonl"):
        if event["event"] == "stop":
            stops[event["lane"], event["grant"]] = event["at_ns"]
        elif event["event"] == "block":
            bad += event["start_ns"] > stops.get((event["lane"], event["grant"]), float("inf"))
    return bad, len(stops)


def main():
    folder = pathlib.Path(sys.argv[1])
    line("a job's overhead beyond its blocks, idle box", overhead(folder), {"p50": 100})
    switch, whole, late = preemption(folder)
    line("block boundary to the urgent job's first block", switch, {"p50": 2, "p99": 50})
    line("client's send to it, less what the block had left", whole, {"p50": 40, "p99": 300})
    print(f"{'urgent jobs that came too late for the next boundary':58} {late} of {len(whole)}")
    bad, stops = stopped_late(folder)
    print(f"{'less urgent blocks started after the stop word':58} {bad} of {stops} stops (goal 0)")
    many = [job for i in range(1, 9) for job in read_jobs(folder / f"many-{i}.csv")]
    before, after = (int(n) for n in (folder / "many-memory-kib").read_text().split())
    done = sum(job["outcome"] == "completed" for job in many)
    print(f"{'10,000 jobs from 8 clients':58} {len(many)} outcomes, {done} completed; memory {before / 1024:.1f} MiB before, {after / 1024:.1f} MiB after")


if __name__ == "__main__":
    main()

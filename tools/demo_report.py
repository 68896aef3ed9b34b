"""The demo's report and timeline, from what tools/demo left in a folder: POLICY-TENANT.csv (einet-load) and
POLICY-trace.jsonl (einetd --trace, docs/trace.md). Prints the report and writes timeline.png beside its inputs."""

import argparse
import pathlib

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from results import quantile, read_jobs, read_trace

COLOURS = ["#d1495b", "#2e86ab", "#c9c5ba", "#66a182", "#8d6a9f"]
WINDOW_MS = 16  # of the timeline


def number(row, key):
    return float(row[key]) if row[key] != "" else None


def milliseconds(ns):
    return "-" if ns is None else f"{ns / 1e6:.2f}"


def summarise(jobs):
    """One tenant under one policy."""
    outcomes = [job["outcome"] for job in jobs]
    response = [number(job, "answered_ns") - number(job, "nominal_ns") for job in jobs if job["exit"] != ""]
    first = [number(job, "first_block_ns") - number(job, "received_ns") for job in jobs if job["first_block_ns"] != ""]
    right = sum(job["exit"] != "" and job["top_class"] == job["label"] for job in jobs)
    # A deadline counts as met when an answer reached the client by then, early answers of stopped jobs included.
    late = sum(
        job["deadline_ns"] != "" and (job["exit"] == "" or number(job, "answered_ns") > number(job, "deadline_ns") + 5e5)
        for job in jobs
    )
    exits = [number(job, "exit") for job in jobs if job["exit"] != ""]
    return {
        "jobs": str(len(jobs)),
        "whole": str(outcomes.count("completed")),
        "cut": str(outcomes.count("deadline")),
        "missed": str(outcomes.count("missed")),
        "other": str(len(jobs) - sum(outcomes.count(o) for o in ("completed", "deadline", "missed"))),
        "late": str(late),
        "p50": milliseconds(quantile(response, 0.5)),
        "p99": milliseconds(quantile(response, 0.99)),
        "max": milliseconds(max(response, default=None)),
        "right %": f"{100 * right / max(1, len(jobs)):.1f}",
        "exit": f"{sum(exits) / len(exits):.1f}" if exits else "-",
        "preempted": str(sum(int(job["preemptions"]) for job in jobs)),
        "wait p50": milliseconds(quantile(first, 0.5)),
        "wait p99": milliseconds(quantile(first, 0.99)),
    }


def print_table(rows):
    widths = {key: max(len(key), *(len(row[key]) for row in rows)) for key in rows[0]}
    left = list(rows[0])[:2]
    for row in [dict.fromkeys(rows[0], None)] + rows:
        cells = [(key if row[key] is None else row[key]) for key in row]
        print("  ".join(c.ljust(widths[k]) if k in left else c.rjust(widths[k]) for k, c in zip(row, cells)).rstrip())


def blocks_of(events):
    return [e for e in events if e["event"] == "block"]


def boundaries_of_preemptions(events):
    """(lane, instant) of each boundary at which a job left its lane for a more urgent one. The trace tells when the daemon
    heard of it; the lane's own clock says when the victim's last block had ended."""
    ends = {}
    marks = []
    for e in events:
        if e["event"] == "block":
            ends[e["lane"], e["job"]] = e["end_ns"]
        elif e["event"] == "preempt" and (e["lane"], e["job"]) in ends:
            marks.append((e["lane"], ends[e["lane"], e["job"]]))
    return marks


def base_lanes(events):
    """By lane: the lane whose core it has. An urgent lane takes that of its base lane, any other lane has its own."""
    return {e["lane"]: e.get("base", e["lane"]) for e in events if e["event"] == "lane_up"}


def telling_window(events, tenants):
    """The start of a window, away from the run's ends, that shows the most tenants and the most jobs of the urgent ones."""
    blocks = blocks_of(events)
    first, last = blocks[0]["start_ns"], blocks[-1]["end_ns"]
    candidates = [first + (last - first) * (0.3 + 0.5 * i / 100) for i in range(100)]

    def seen(start):
        inside = [b for b in blocks if start <= b["start_ns"] <= start + WINDOW_MS * 1e6]
        return len({b["tenant"] for b in inside}), len({b["job"] for b in inside if b["tenant"] != tenants[-1]})

    return max(candidates, key=seen)


def draw(axis, events, title, tenants, colour):
    start = telling_window(events, tenants)
    end = start + WINDOW_MS * 1e6
    base = base_lanes(events)
    lanes = sorted(set(base.values()))

    def ms(ns):
        return (ns - start) / 1e6

    # A core's row: the blocks of urgent lanes last, on top of the block that stands still meanwhile.
    for e in sorted(blocks_of(events), key=lambda e: e["lane"] != base[e["lane"]]):
        if start <= e["end_ns"] and e["start_ns"] <= end:
            row = lanes.index(base[e["lane"]])
            axis.broken_barh([(ms(e["start_ns"]), ms(e["end_ns"]) - ms(e["start_ns"]))], (row - 0.32, 0.64),
                             facecolor=colour[e["tenant"]], edgecolor="white", linewidth=0.6)
            if "exit" in e:
                axis.plot(ms(e["end_ns"]), row + 0.38, marker="v", markersize=5, color=colour[e["tenant"]],
                          markeredgecolor="#222222", markeredgewidth=0.6, clip_on=False)
    for lane, at in boundaries_of_preemptions(events):
        if start <= at <= end:
            row = lanes.index(base[lane])
            axis.plot([ms(at)] * 2, [row - 0.46, row + 0.32], color="black", linewidth=1.6)
    for e in events:
        if e["event"] == "outcome" and e["outcome"] == "missed" and start <= e["at_ns"] <= end:
            axis.plot(ms(e["at_ns"]), len(lanes) - 0.5, marker="x", markersize=6, markeredgewidth=2,
                      color=colour[e["tenant"]], clip_on=False)
    axis.set_xlim(0, WINDOW_MS)
    axis.set_ylim(-0.6, len(lanes) - 0.4)
    axis.set_yticks(range(len(lanes)), [f"lane {lane}" for lane in lanes])
    axis.tick_params(axis="y", length=0)
    axis.set_title(title, loc="left", fontsize=11, fontweight="bold")
    for side in ("top", "right", "left"):
        axis.spines[side].set_visible(False)


def draw_timeline(path, traces, tenants):
    colour = dict(zip(tenants, COLOURS))
    lanes = max(len(set(base_lanes(events).values())) for events in traces.values())
    figure, axes = plt.subplots(len(traces), 1, figsize=(12, 1.0 + len(traces) * (0.8 + 0.8 * lanes)), squeeze=False)
    for axis, (policy, events) in zip(axes[:, 0], traces.items()):
        draw(axis, events, policy, tenants, colour)
    axes[-1, 0].set_xlabel("time (ms)")
    handles = [Patch(facecolor=colour[t], label=t) for t in tenants]
    handles += [Line2D([], [], marker="v", linestyle="", color="#222222", label="an exit's answer"),
                Line2D([], [], color="black", linewidth=1.6, label="preempted"),
                Line2D([], [], marker="x", linestyle="", color="#222222", markeredgewidth=2, label="deadline missed")]
    figure.legend(handles=handles, loc="upper right", ncols=len(handles), frameon=False, fontsize=9)
    figure.tight_layout(rect=(0, 0, 1, 0.95))
    figure.savefig(path, dpi=110)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--policies", nargs="+", required=True)
    parser.add_argument("--tenants", nargs="+", required=True, help="the most urgent first")
    arguments = parser.parse_args()

    traces = {policy: read_trace(arguments.folder / f"{policy}-trace.jsonl") for policy in arguments.policies}
    rows = []
    for tenant in arguments.tenants:
        for policy in arguments.policies:
            jobs = read_jobs(arguments.folder / f"{policy}-{tenant}.csv")
            rows.append({"tenant": tenant if policy == arguments.policies[0] else "", "policy": policy} | summarise(jobs))
    print_table(rows)
    print()
    for policy, events in traces.items():
        blocks = [e["end_ns"] - e["start_ns"] for e in blocks_of(events) if e["tenant"] != arguments.tenants[0]]
        print(f"{policy}: longest block of the less urgent tenants {milliseconds(max(blocks, default=None))} ms, "
              f"99 % of them within {milliseconds(quantile(blocks, 0.99))} ms")
    print(
        "\nwhole, cut, missed: jobs that ran to their last exit, that were stopped by the deadline with an answer, and without one.\n"
        "late: no answer at the client by the deadline (0.5 ms of grace for its way). p50, p99, max: response time in ms, from\n"
        "the instant the job was due. right %: share of all jobs whose answer was the true label. exit: mean exit of the answer.\n"
        "wait: ms from arrival at the daemon to the job's first block; compare it with the longest block."
    )
    draw_timeline(arguments.folder / "timeline.png", traces, arguments.tenants)
    print(f"timeline: {arguments.folder / 'timeline.png'}")


if __name__ == "__main__":
    main()

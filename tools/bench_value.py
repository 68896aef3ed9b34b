"""What tools/benchmarks/value measured with a running daemon: POLICY-PLAN-ROUND.csv (einet-load) in a folder. Prints a
row per variant."""

import pathlib
import sys

from results import quantile, read_jobs

NAMES = {"exact": "exact plans", "all": "all exits", "last": "the last exit"}


def answered(job):
    """Whether the job had an answer at its deadline."""
    return job["exit"] != "" and job["outcome"] in ("completed", "deadline")


def summarise(jobs):
    got = [job for job in jobs if answered(job)]
    right = sum(job["top_class"] == job["label"] for job in got)
    response = [(int(job["answered_ns"]) - int(job["nominal_ns"])) / 1e6 for job in got]
    return {
        "jobs": len(jobs),
        "refused": sum(job["outcome"] == "rejected" for job in jobs),
        "answered": len(got) / len(jobs),
        "right": right / len(jobs),
        "exit": sum(int(job["exit"]) for job in got) / max(1, len(got)),
        "p50": quantile(response, 0.5) or 0,
        "p99": quantile(response, 0.99) or 0,
    }


def main():
    folder = pathlib.Path(sys.argv[1])
    print(f"{'':28} {'jobs':>6} {'refused':>7} {'answered (each run)':>24} {'accuracy (each run)':>24} {'exit':>5} {'p50 ms':>7} {'p99 ms':>7}")
    for variant in sys.argv[2:]:
        policy, plan = variant.split()
        runs = [read_jobs(folder / f"{policy}-{plan}-{turn}.csv") for turn in (1, 2)]
        each = [summarise(jobs) for jobs in runs]
        both = summarise([job for jobs in runs for job in jobs])
        spread = {key: f"{both[key]:.4f} ({each[0][key]:.4f}, {each[1][key]:.4f})" for key in ("answered", "right")}
        print(
            f"{policy + ', ' + NAMES[plan]:28} {both['jobs']:6} {both['refused']:7} {spread['answered']:>24}"
            f" {spread['right']:>24} {both['exit']:5.2f} {both['p50']:7.2f} {both['p99']:7.2f}"
        )


if __name__ == "__main__":
    main()

"""Reading what runs leave behind: CSV of einet-load, traces of einetd (docs/trace.md), a package's ET-profile (docs/packages.md). Shared
by the reports."""

import csv
import json
import tomllib


def read_jobs(path):
    """A list of rows, each a dict of texts; a value that a job does not have is empty."""
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def read_trace(path):
    with open(path) as file:
        return [json.loads(line) for line in file]


def duration_ns(text):
    number = text.rstrip("nums")
    return float(number) * {"ns": 1, "us": 1e3, "ms": 1e6, "s": 1e9}[text[len(number) :]]


def block_times_ns(package, which, kind="cpu"):
    """Measured times of a package's blocks on a kind of device: those of trunks, those of exits. `which`: "p50", "p99" or "max"."""
    devices = tomllib.loads((package / "et.profile").read_text())["device"]
    times = next(d for d in devices if d["kind"] == kind)
    return [duration_ns(t) for t in times["trunk"][which]], [duration_ns(t) for t in times["exit"][which]]


def network_time_ns(package, which):
    """All trunks and the last exit."""
    trunks, exits = block_times_ns(package, which)
    return sum(trunks) + exits[-1]


def quantile(values, q):
    """Nearest rank; None of no values."""
    values = sorted(values)
    return values[min(len(values) - 1, int(q * len(values)))] if values else None

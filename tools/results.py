"""Reading what runs leave behind: CSV of einet-load, traces of einetd (docs/trace.md). Shared by the reports."""

import csv
import json


def read_jobs(path):
    """A list of rows, each a dict of texts; a value that a job does not have is empty."""
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def read_trace(path):
    with open(path) as file:
        return [json.loads(line) for line in file]


def quantile(values, q):
    """Nearest rank; None of no values."""
    values = sorted(values)
    return values[min(len(values) - 1, int(q * len(values)))] if values else None

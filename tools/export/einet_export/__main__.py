"""The command line, tools/export/export: finds the user's function, exports the Network that it returns, and
says in one line what came of it. Exit codes: 0 done; 1 failed, and nothing was written; 2 wrong usage."""

import argparse
import importlib
import sys

from . import ExportError, export
from .trace import describe_failure


def call(place):
    """What the function returns that MODULE:FUNCTION names; modules are found from the working directory
    too."""
    module, _, function = place.partition(":")
    try:
        found = getattr(importlib.import_module(module), function, None)
        if not callable(found):
            raise ExportError(f'{module} has no function "{function}"')
        return found()
    except ExportError:
        raise
    except Exception as e:
        raise ExportError(f"{place} failed: {describe_failure(e)}") from e


def function_place(text):
    module, colon, function = text.partition(":")
    if not (module and colon and function.isidentifier()):
        raise argparse.ArgumentTypeError(
            f'found "{text}"; expected MODULE:FUNCTION, such as nets:camera for camera() in nets.py'
        )
    return text


def main():
    parser = argparse.ArgumentParser(
        prog="export",
        description="Makes a model package of a PyTorch network with several exits (docs/export.md).",
        epilog="Exit codes: 0 done; 1 failed, nothing was written; 2 wrong usage.",
    )
    parser.add_argument(
        "function",
        metavar="MODULE:FUNCTION",
        type=function_place,
        help="takes no arguments and returns an einet_export.Network",
    )
    parser.add_argument(
        "--out", required=True, metavar="NAME.einet", help="the package; must not be there yet"
    )
    parser.add_argument(
        "--tolerance",
        type=float,
        default=1e-5,
        metavar="X",
        help="what program and network may differ by, relative to the largest score (default: %(default)s)",
    )
    options = parser.parse_args()
    try:
        print(export(call(options.function), options.out, options.tolerance), file=sys.stderr)
    except ExportError as e:
        print(f"export: {e}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

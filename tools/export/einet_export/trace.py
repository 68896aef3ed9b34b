"""Traces a network with torch.export, and finds the part and the user's line of what the trace holds. The
only file that knows how torch.export records such things."""

import contextlib
import io
import logging
import os
import re
import traceback
import unittest.mock
import warnings

import torch
import torch.nn.functional as F

from .network import ExportError


@torch.library.custom_op("einet::local_response_norm", mutates_args=())
def _local_response_norm(x: torch.Tensor, size: int, alpha: float, beta: float, k: float) -> torch.Tensor:
    # PyTorch spells this as padding, a pooling in 3D and more; as one operation it stays recognisable.
    return F.local_response_norm(x, size, alpha, beta, k)


@_local_response_norm.register_fake
def _(x, size, alpha, beta, k):
    return torch.empty_like(x)


class _Part(torch.nn.Module):
    """One trunk or exit under a name of its own, so that the trace says for every operation which part it
    belongs to, also where parts share modules."""

    def __init__(self, module):
        super().__init__()
        self.module = module

    def forward(self, state):
        return self.module(state)


class Whole(torch.nn.Module):
    """All blocks in order; gives a list of every exit's answer."""

    def __init__(self, blocks):
        super().__init__()
        self.count = len(blocks)
        for b, (trunk, leave) in enumerate(blocks):
            self.add_module(f"trunk{b}", _Part(trunk))
            self.add_module(f"exit{b}", _Part(leave))

    def forward(self, state):
        answers = []
        for b in range(self.count):
            state = self.get_submodule(f"trunk{b}")(state)
            answers.append(self.get_submodule(f"exit{b}")(state))
        return answers


def _users_line(lines):
    """ "file:line" of the innermost of (file, line) that belongs to the user; "" if none does."""
    others = tuple(os.path.dirname(os.path.abspath(m)) + os.sep for m in (torch.__file__, __file__)) + ("<",)
    here = os.getcwd() + os.sep
    for file, line in reversed(lines):
        if not file.startswith(others) and f"{os.sep}importlib{os.sep}" not in file:
            return f"{file.removeprefix(here)}:{line}"
    return ""


def describe_failure(error):
    """An exception in a line, with the innermost place in the user's code."""
    text = " ".join(line.strip() for line in str(error).strip().splitlines()[:2])
    line = _users_line([(f.filename, f.lineno) for f in traceback.extract_tb(error.__traceback__)])
    return f"{type(error).__name__}: {text[:300]}" + (f" ({line})" if line else "")


@contextlib.contextmanager
def in_inference(module):
    """The network as it runs later: no training, no gradients; its modules' modes are put back."""
    modes = [(m, m.training) for m in module.modules()]
    module.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for m, mode in modes:
            m.training = mode


def run(whole, x):
    """What the network answers to x; an error where its own code fails."""
    try:
        return whole(x)
    except Exception as e:
        raise ExportError(f"the network fails on an input {list(x.shape)}: {describe_failure(e)}") from e


@contextlib.contextmanager
def _quiet():
    """Without what torch.export says on its way: an error holds all that a user needs."""
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)


def trace(whole, x):
    """The ExportedProgram of a Whole."""

    def local_response_norm(input, size, alpha=1e-4, beta=0.75, k=1.0):
        return _local_response_norm(input, size, alpha, beta, k)

    try:
        with _quiet(), unittest.mock.patch.object(F, "local_response_norm", local_response_norm):
            # The empty table keeps operations whole and leaves none that works in place.
            return torch.export.export(whole, (x,), strict=False).run_decompositions({})
    except Exception as e:
        raise ExportError(
            f"torch.export cannot trace the network; what it does must not depend on its input's values: "
            f"{describe_failure(e)}"
        ) from e


def _module_stack(node):
    """The module paths around a node, outermost first: ["trunk0", "trunk0.module", "trunk0.module.conv"]."""
    return [path for path, _ in node.meta.get("nn_module_stack", {}).values() if path]


def part_of(node):
    """("trunk" or "exit", block)."""
    for path in _module_stack(node):
        kind, block = re.match(r"(trunk|exit)(\d+)", path).groups()
        return kind, int(block)
    raise ExportError(f"{place_of(node)}: belongs to no trunk and no exit")


def layer_of(node):
    """The path of the module inside its part, such as "conv.0"; "" for the part itself."""
    return ".".join(_module_stack(node)[-1:]).partition(".module")[2].strip(".")


def place_of(node):
    """As in "net.py:12 (trunk 1, layer conv.0, Conv2d)". Layers of torch.nn that no forward of the user calls
    have no line."""
    line = _users_line(re.findall(r'File "([^"]+)", line (\d+)', node.meta.get("stack_trace") or ""))
    stack = list(node.meta.get("nn_module_stack", {}).values())
    if not stack or not stack[-1][0]:
        return f"{line} ({node.name})".strip()
    kind, block = part_of(node)
    layer = f", layer {layer_of(node)}" if layer_of(node) else ""
    class_name = str(getattr(stack[-1][1], "__qualname__", stack[-1][1])).rpartition(".")[2]
    return f"{line} ({kind} {block}{layer}, {class_name})".strip()

"""What a user says about a network with several exits, and what can be checked of it before it is traced."""

import dataclasses
import math
import os
import re

import torch

# The limits of models/program.h and models/package.h.
MOST_BLOCKS, MOST_OPERATIONS, MOST_INPUTS, MOST_DIMENSION, MOST_WINDOW = 64, 8192, 64, 65536, 1024
MOST_ELEMENTS, MOST_REGISTER_ELEMENTS, MOST_WEIGHT_ELEMENTS, MOST_PROGRAM_BYTES = 2**26, 2**28, 2**30, 2**22


class ExportError(Exception):
    """The network, or what was said about it, does not fit; the message says what, where and what to do."""


@dataclasses.dataclass
class Network:
    """A network with several exits, and what a package says about it.

    blocks: a list of (trunk, exit), both nn.Modules. A trunk gets what the one before it returned (the first:
      the input), a tensor or a list, tuple or dict of tensors. An exit gets what its trunk returned and gives
      [1, classes]: scores before the softmax, or ends with softmax or log_softmax itself.
    input: (channels, height, width) or (N,), without the batch. The modules get it normalised.
    mean, deviation: the normalisation, one number per channel: the modules were trained on (v - mean) /
      deviation, where v is a byte / 255 or a float as it is. Default: 0 and 1.
    labels: a name per class, or none.
    """

    blocks: list
    input: tuple
    mean: tuple = ()
    deviation: tuple = ()
    labels: tuple = ()
    version: str = "1"


def cut(network, cuts, exits):
    """The blocks of an nn.Sequential: `cuts` are rising numbers of layers, and exits[b] reads what the first
    cuts[b] layers give. With one exit fewer than cuts, the layers after the last cut are the last exit."""
    if not isinstance(network, torch.nn.Sequential):
        raise ExportError(f"cut: found a {type(network).__name__}; expected an nn.Sequential")
    cuts, exits = list(cuts), list(exits)
    if not cuts or any(a >= b for a, b in zip([-1] + cuts, cuts)) or cuts[-1] > len(network):
        raise ExportError(
            f"cut: the cuts are {cuts}; expected rising numbers from 0 to {len(network)}, its layers"
        )
    rest = network[cuts[-1] :]
    if len(exits) == len(cuts) - 1 and len(rest) > 0:
        exits.append(rest)
    elif len(exits) != len(cuts):
        raise ExportError(
            f"cut: found {len(exits)} exits for {len(cuts)} cuts; expected one for each, or one fewer where "
            f"layers after the last cut are the last exit"
        )
    elif len(rest) > 0:
        raise ExportError(
            f"cut: layers {cuts[-1]} to {len(network) - 1} belong to no block; give a cut at {len(network)} "
            f"and its exit, or leave out the last exit, which they are then"
        )
    return [(network[begin:end], leave) for begin, end, leave in zip([0] + cuts, cuts, exits)]


def check_network(network, out):
    """What can be said before the network runs."""

    def expect(true, what):
        if not true:
            raise ExportError(what)

    expect(
        isinstance(network, Network), f"found a {type(network).__name__}; expected an einet_export.Network"
    )
    expect(
        out.suffix == ".einet" and re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,63}", out.stem),
        f"{out}: a package is named NAME.einet; 1 to 64 of A-Za-z0-9_.-, not beginning with a dot",
    )
    expect(not os.path.lexists(out), f"{out}: is there already; remove it or choose another place")
    expect(out.parent.is_dir(), f"{out.parent}: is no directory")
    expect(
        isinstance(network.version, str)
        and re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,63}", network.version),
        f"version: found {network.version!r}; expected 1 to 64 of A-Za-z0-9_.-, not beginning with a dot",
    )
    expect(
        1 <= len(network.blocks) <= MOST_BLOCKS,
        f"found {len(network.blocks)} blocks; allowed are 1 to {MOST_BLOCKS}",
    )
    for b, block in enumerate(network.blocks):
        expect(
            isinstance(block, (tuple, list))
            and len(block) == 2
            and all(isinstance(m, torch.nn.Module) for m in block),
            f"block {b}: expected (trunk, exit), two nn.Modules",
        )
    shape = network.input
    expect(
        isinstance(shape, (tuple, list))
        and len(shape) in (1, 3)
        and all(isinstance(n, int) and 1 <= n <= MOST_DIMENSION for n in shape)
        and math.prod(shape) <= MOST_ELEMENTS,
        f"input: found {shape}; expected (channels, height, width) or (N,), each from 1 to {MOST_DIMENSION}",
    )
    for name, least in (("mean", -1e6), ("deviation", 1e-6)):
        values = list(getattr(network, name))
        expect(
            len(values) in (0, shape[0])
            and all(isinstance(v, (int, float)) and least <= v <= 1e6 for v in values),
            f"{name}: found {values}; expected numbers from {least:g} to 1e6, one per channel ({shape[0]})",
        )
    expect(
        all(isinstance(n, str) and n.isprintable() and len(n.encode()) <= 1000 for n in network.labels),
        "labels: expected printable texts of at most 1000 bytes",
    )


def check_answers(given, labels):
    """The number of classes, from what the network gave for one input."""
    for b, y in enumerate(given):
        if not isinstance(y, torch.Tensor) or y.dim() != 2 or y.shape[0] != 1:
            found = list(y.shape) if isinstance(y, torch.Tensor) else f"a {type(y).__name__}"
            raise ExportError(f"exit {b} gives {found} for one input; expected [1, classes]")
        if y.dtype != torch.float32:
            raise ExportError(
                f"exit {b} gives {y.dtype}; expected torch.float32: call .float() on the network"
            )
        if y.shape != given[0].shape:
            raise ExportError(
                f"exit {b} gives {y.shape[1]} scores, but exit 0 {given[0].shape[1]}; every exit scores "
                f"the same classes"
            )
    classes = given[0].shape[1]
    if len(labels) not in (0, classes):
        raise ExportError(f"labels: found {len(labels)}; expected one per class ({classes}), or none")
    return classes

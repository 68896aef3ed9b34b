"""Makes model packages (docs/packages.md) of PyTorch networks with several exits. torch.export traces the
network, the trace is lowered to a block program, the program's answers are checked against the network's, and
only then a package is written, whole or not at all. What programs cannot say is refused with its place in the
user's code. docs/export.md shows how to use it; training is not its business, and nothing here runs in the
daemon."""

import math
import pathlib

import torch
import torch.nn.functional as F

from . import evaluation
from .blocks import make_blocks
from .lowering import Lowering
from .network import ExportError, Network, check_answers, check_network, cut
from .package_files import check_limits, model_file, name_tensors, program_file, weights_file, write
from .trace import Whole, in_inference, run, trace

__all__ = ["ExportError", "Network", "cut", "export"]

CHECKED_INPUTS = 8


def _difference(program, weights, endings, whole, shape):
    """The largest difference of any score of any exit on random inputs, relative to the exit's largest."""
    random = torch.Generator().manual_seed(1)
    worst = (0.0, 0)
    for _ in range(CHECKED_INPUTS):
        x = torch.randn([1, *shape], generator=random)
        answers = whole(x.clone())  # which it may work on in place
        for b, (scores, softmax) in enumerate(evaluation.answers(program, weights, x)):
            found = {"": scores, "softmax": softmax, "log_softmax": F.log_softmax(scores, 1)}[endings[b]]
            error = ((found - answers[b]).abs().max() / answers[b].abs().max().clamp_min(1e-30)).item()
            worst = max(worst, (error if math.isfinite(error) else math.inf, b))
    return worst


def export(network, out, tolerance=1e-5):
    """Writes the package of a Network to the path `out`, NAME.einet, which must not be there yet, and returns
    a line of text about it. tolerance: the largest difference of an exit's scores between program and
    network, relative to its largest score, that rounding may explain. Raises ExportError, and writes nothing
    then."""
    out = pathlib.Path(out).absolute()
    check_network(network, out)
    whole = Whole(network.blocks)
    for name, tensor in [*whole.named_parameters(), *whole.named_buffers()]:
        if tensor.device.type != "cpu":
            raise ExportError(
                f"{name} is on {tensor.device}; export from the CPU: call .cpu() on the network"
            )
    with in_inference(whole):
        x = torch.randn([1, *network.input], generator=torch.Generator().manual_seed(0))
        classes = check_answers(run(whole, x.clone()), network.labels)
        lowering = Lowering(trace(whole, x))
        blocks, endings = make_blocks(lowering)
        tensors = name_tensors(blocks)
        check_limits(blocks, tensors, network.input)
        program, weights = program_file(blocks, lowering), weights_file(tensors)
        error, b = _difference(program, evaluation.read_weights(weights), endings, whole, network.input)
    if not error <= tolerance:
        raise ExportError(
            f"exit {b} of the program differs from the network's by {error:.2g} of the largest score; "
            f"allowed is {tolerance:g}. Nothing was written. If rounding alone explains it, allow more"
        )
    files = {"program": program.encode(), "weights.safetensors": weights}
    files["model.toml"] = model_file(out.stem, network, classes, files)
    try:
        write(out, files)
    except OSError as e:
        raise ExportError(f"{out}: cannot be written: {e.strerror}") from e
    operations = sum(len(part) for parts in blocks for part in parts)
    return (
        f"{out.name} is written: {len(blocks)} blocks, {classes} classes, {operations} operations, "
        f"{sum(t.numel() for t in tensors.values())} weights; "
        f"its answers differ from the network's by at most {error:.1g}"
    )

"""Makes blocks of the lowered operations: batch norm goes into convolutions, relu and residual additions into
what computes their inputs, exits end with a softmax, and what nothing reads is left out."""

from collections import Counter

from .lowering import Operation, describe
from .network import ExportError


def _fuse(operations, answers):
    """The operations without those that others took over. What is changed has one reader, so nobody else
    notices."""
    readers = Counter(x for op in operations for x in op.inputs)
    readers.update(answers)
    becomes = {}
    kept = []
    for op in operations:
        op.inputs = [becomes.get(x, x) for x in op.inputs]
        host = _host(op, readers, kept)
        if host is None:
            kept.append(op)
        else:
            becomes[op] = host
            readers[host] = readers[op]
    return kept, becomes


def _host(op, readers, kept):
    """Gives the operation's work to the one that computes its input, and returns that; or None."""
    x = op.inputs[0]
    alone = readers[x] == 1
    if op.name == "batch_norm":
        if alone and x.name in ("convolution", "linear") and not x.relu and len(x.inputs) == 1:
            # In double, since a rounded scale would be a second rounding of every weight.
            x.bias = (x.bias.double() * op.weight + op.bias).float()
            x.weight = (x.weight.double() * op.weight.view([-1] + [1] * (x.weight.dim() - 1))).float()
            return x
        if len(op.shape) != 3:
            raise ExportError(
                f"{op.place}: a batch norm of a vector must directly follow a linear layer whose output "
                f"nothing else reads"
            )
        # Alone it is a convolution of each channel by itself.
        op.name = "convolution"
        op.parameters = {
            "channels": op.shape[0],
            "kernel": [1, 1],
            "stride": [1, 1],
            "padding": [0, 0],
            "groups": op.shape[0],
        }
        op.weight, op.bias = op.weight.float().view(-1, 1, 1, 1), op.bias.float()
        return None
    if op.name == "relu" and alone and x.name in ("convolution", "linear", "addition"):
        x.relu = True  # where it is already, a second one changes nothing
        return x
    if op.name == "addition":
        for conv, residual in (op.inputs[::-1], op.inputs):
            if (
                readers[conv] == 1
                and conv.name == "convolution"
                and not conv.relu
                and len(conv.inputs) == 1
                and conv.part == op.part
            ):
                conv.inputs.append(residual)
                kept.remove(conv)  # to behind its residual
                kept.append(conv)
                return conv
    if (
        op.name == "flatten"
        and alone
        and x.name == "average_pool"
        and x.shape[1:] == (1, 1)
        and x.parameters["padding"] == [0, 0]
        and x.parameters["kernel"] == list(x.inputs[0].shape[1:])
    ):
        x.name, x.parameters, x.shape = "global_mean", {}, op.shape
        return x
    return None


def make_blocks(lowering):
    """[(trunk, exit)], lists of Operations in order, and per exit what the network itself ended with: ""
    (scores), "softmax" or "log_softmax"."""
    operations, becomes = _fuse(lowering.operations, lowering.answers)
    endings = []
    needed = set()
    for b, answer in enumerate(lowering.answers):
        part = ("exit", b)
        if not isinstance(answer, Operation) or len(answer.shape) != 1:
            raise ExportError(f"exit {b}: gives {describe(answer)}; expected computed scores [1, classes]")
        answer = becomes.get(answer, answer)
        if answer.part[0] == "exit" and answer.part != part:
            raise ExportError(
                f"exit {b} returns what exit {answer.part[1]} computes in {answer.place}, which may be "
                f"skipped"
            )
        if answer.name in ("softmax", "log_softmax"):
            if answer.part != part:
                raise ExportError(
                    f"{answer.place}: the softmax of exit {b} is in {answer.part[0]} {answer.part[1]}; "
                    f"expected it in the exit"
                )
            endings.append(answer.name)
            answer.name = "softmax"
        else:
            endings.append("")
            answer = Operation("softmax", [answer], answer.shape, part, "", f"exit {b}")
            operations.append(answer)
        needed.add(answer)
    for op in reversed(operations):  # what nothing reads is left out; readers come after what they read
        if op in needed:
            needed.update(op.inputs)
            if op.name == "log_softmax":
                raise ExportError(f"{op.place}: log_softmax is only known as the end of an exit")
    blocks = [
        [[op for op in operations if op in needed and op.part == (kind, b)] for kind in ("trunk", "exit")]
        for b in range(len(endings))
    ]
    return blocks, endings

"""Reads the files of a package as docs/packages.md describes them and computes what a block program answers,
in float64 with PyTorch's functions. It is the second opinion on what was written: it shares no code with what
writes programs, and knows nothing of the network that one came from."""

import json
import math
import tomllib

import torch
import torch.nn.functional as F


def read_weights(file):
    """safetensors bytes -> {name: float64 tensor}."""
    length = int.from_bytes(file[:8], "little")
    data = memoryview(file)[8 + length :]
    weights = {}
    for name, entry in json.loads(file[8 : 8 + length]).items():
        begin, end = entry["data_offsets"]
        if entry["dtype"] != "F32" or end - begin != 4 * math.prod(entry["shape"]):
            raise ValueError(f"tensor {name}: {entry}")
        values = torch.frombuffer(bytearray(data[begin:end]), dtype=torch.float32)
        weights[name] = values.reshape(entry["shape"]).double()
    return weights


def _window(op):
    return {
        "kernel_size": op["kernel"],
        "stride": op.get("stride", [1, 1]),
        "padding": op.get("padding", [0, 0]),
    }


def _operation(op, weights, x):
    """The output of one operation; `x`: its inputs, each with a batch dimension of 1."""
    match op["op"]:
        case "convolution":
            window = _window(op)
            y = F.conv2d(
                x[0],
                weights[op["weight"]],
                weights[op["bias"]],
                window["stride"],
                window["padding"],
                1,
                op.get("groups", 1),
            )
            y = y + x[1] if len(x) == 2 else y
        case "linear":
            y = F.linear(x[0], weights[op["weight"]], weights[op["bias"]])
        case "max_pool":
            y = F.max_pool2d(x[0], **_window(op))
        case "average_pool":
            y = F.avg_pool2d(x[0], **_window(op), count_include_pad=True)
        case "local_response_norm":
            y = F.local_response_norm(x[0], op["size"], op["alpha"], op["beta"], op["k"])
        case "concatenation":
            y = torch.cat(x, 1)
        case "addition":
            y = x[0] + x[1]
        case "relu":
            y = F.relu(x[0])
        case "global_mean":
            y = x[0].mean((2, 3))
        case "flatten":
            y = x[0].flatten(1)
        case "softmax":
            y = F.softmax(x[0], 1)
        case other:
            raise ValueError(f"unknown operation {other}")
    return F.relu(y) if op.get("activation", "none") == "relu" else y


def answers(program, weights, x):
    """For every block what its exit's softmax reads, and what it gives. `program`: the file's text; `x`: the
    normalised input, [1, …]. Of exits' registers only those of the same exit are there to be read."""
    out = []
    trunk = {0: x.double()}
    for block in tomllib.loads(program)["block"]:
        for op in block["trunk"]:
            trunk[op["out"]] = _operation(op, weights, [trunk[r] for r in op["in"]])
        registers = dict(trunk)
        for op in block["exit"]:
            registers[op["out"]] = _operation(op, weights, [registers[r] for r in op["in"]])
        if op["op"] != "softmax":
            raise ValueError("an exit does not end with a softmax")
        out.append((registers[op["in"][0]], registers[op["out"]]))
    return out

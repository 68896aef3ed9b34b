"""The files of a package, as docs/packages.md describes them, and their way onto the disk."""

import ctypes
import hashlib
import itertools
import json
import math
import os
import pathlib
import re
import shutil
import tempfile

from .network import (
    MOST_ELEMENTS,
    MOST_OPERATIONS,
    MOST_PROGRAM_BYTES,
    MOST_REGISTER_ELEMENTS,
    MOST_WEIGHT_ELEMENTS,
    ExportError,
)


def name_tensors(blocks):
    """{name: tensor}; sets the parameters `weight` and `bias` of the operations. Equal weights are stored
    once."""
    tensors, stored = {}, {}
    for b, parts in enumerate(blocks):
        for kind, part in zip(("trunk", "exit"), parts):
            for op in part:
                for key, tensor in (("weight", op.weight), ("bias", op.bias)):
                    if tensor is None:
                        continue
                    content = (key, tuple(tensor.shape), hashlib.sha256(_bytes(tensor)).digest())
                    if content not in stored:
                        layer = re.sub(r"[^A-Za-z0-9_./:-]", "_", op.layer)[:160]
                        name = _unused(".".join(filter(None, (f"block{b}", kind, layer, key))), tensors)
                        stored[content] = name
                        tensors[name] = tensor.contiguous()
                    op.parameters[key] = stored[content]
    return tensors


def _unused(name, tensors):
    numbered = (f"{name}.{i}" for i in itertools.count(2))
    return next(n for n in itertools.chain([name], numbered) if n not in tensors)


def check_limits(blocks, tensors, shape):
    """`shape`: the input's."""
    operations = [op for parts in blocks for part in parts for op in part]
    registers = math.prod(shape) + sum(math.prod(op.shape) for op in operations)
    sizes = [t.numel() for t in tensors.values()]
    for what, found, most in (
        ("operations", len(operations), MOST_OPERATIONS),
        ("elements in all registers", registers, MOST_REGISTER_ELEMENTS),
        ("elements in one weight", max(sizes, default=0), MOST_ELEMENTS),
        ("elements in all weights", sum(sizes), MOST_WEIGHT_ELEMENTS),
    ):
        if found > most:
            raise ExportError(f"the network has {found} {what}; at most {most} are allowed")


def _toml(value):
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007F")
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_toml(v) for v in value) + "]"
    return format(value, ".9g") if isinstance(value, float) else str(value)


def program_file(blocks, lowering):
    registers = {lowering.input: 0}
    text = "# A block program; the format is in docs/packages.md. "
    text += f"Register 0 is the input {list(lowering.input.shape)}.\n"
    for parts in blocks:
        text += "\n[[block]]\n"
        for kind, part in zip(("trunk", "exit"), parts):
            text += f"{kind} = [\n"
            for op in part:
                registers[op] = len(registers)
                fields = {
                    "op": op.name,
                    "in": [registers[x] for x in op.inputs],
                    "out": registers[op],
                    **op.parameters,
                }
                if op.relu:
                    fields["activation"] = "relu"
                text += "  {" + ", ".join(f"{key} = {_toml(value)}" for key, value in fields.items()) + "},\n"
            text += "]\n"
    if len(text) > MOST_PROGRAM_BYTES:
        raise ExportError(f"the program has {len(text)} bytes; at most {MOST_PROGRAM_BYTES} are allowed")
    return text


def _bytes(tensor):
    tensor = tensor.contiguous()
    return ctypes.string_at(tensor.data_ptr(), tensor.numel() * tensor.element_size())


def weights_file(tensors):
    header, end = {}, 0
    for name in sorted(tensors):
        begin, end = end, end + 4 * tensors[name].numel()
        header[name] = {"dtype": "F32", "shape": list(tensors[name].shape), "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return b"".join(
        [len(text).to_bytes(8, "little"), text] + [_bytes(tensors[name]) for name in sorted(tensors)]
    )


def model_file(name, network, classes, files):
    mean = list(network.mean) or [0.0] * network.input[0]
    deviation = list(network.deviation) or [1.0] * network.input[0]
    lines = [
        "# A model package of einetd; the format is in docs/packages.md.",
        "format = 1",
        f"name = {_toml(name)}",
        f"version = {_toml(network.version)}",
        f"input = {_toml(network.input)}",
        f"classes = {classes}",
        f"blocks = {len(network.blocks)}",
    ]
    if network.labels:
        lines.append(f"labels = {_toml(network.labels)}")
    lines += [
        "",
        "[normalisation]  # x = (v - mean) / deviation; v is a byte / 255, or a float",
        f"mean = {_toml([float(v) for v in mean])}",
        f"deviation = {_toml([float(v) for v in deviation])}",
        "",
        "[files]  # SHA-256",
    ]
    lines += [f"{_toml(file)} = {_toml(hashlib.sha256(files[file]).hexdigest())}" for file in sorted(files)]
    return ("\n".join(lines) + "\n").encode()


def write(out, files):
    """All or nothing: a temporary folder beside `out`, synced, then renamed into place."""
    temporary = pathlib.Path(tempfile.mkdtemp(prefix=out.name + ".tmp.", dir=out.parent))
    try:
        temporary.chmod(0o755)
        for name, content in files.items():
            with open(temporary / name, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        _sync(temporary)
        temporary.rename(out)  # fails where a package has appeared meanwhile
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    _sync(out.parent)


def _sync(folder):
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

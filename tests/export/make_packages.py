"""Exports the networks of networks.py, NAME.einet, and beside each what PyTorch itself answers, NAME.answers:
inputs before normalisation [S, …] and logarithms of all exits' softmax scores [S, blocks, classes], as
safetensors. The C++ test reads both.

    tools/export/torch-python tests/export/make_packages.py FOLDER"""

import pathlib
import shutil
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "tools" / "export"))

import networks
import torch
from einet_export import export
from einet_export.package_files import weights_file

SAMPLES = 4


def log_scores(y, leave):
    ends = list(leave.modules())[-1]
    if isinstance(ends, torch.nn.Softmax):
        return y.double().log()
    return y.double().log_softmax(1)  # which leaves logarithms of scores as they are


def answers(network):
    shape = [-1] + [1] * (len(network.input) - 1)
    mean, deviation = (
        torch.tensor(v or [other]).view(shape) for v, other in ((network.mean, 0.0), (network.deviation, 1.0))
    )
    inputs = torch.rand([SAMPLES, *network.input])
    rows = []
    with torch.no_grad():
        for v in inputs:
            state = ((v - mean) / deviation).unsqueeze(0)
            for trunk, leave in network.blocks:
                state = trunk.eval()(state)
                rows.append(log_scores(leave.eval()(state), leave))
    return {"input": inputs, "log_scores": torch.stack(rows).view(SAMPLES, len(network.blocks), -1).float()}


def main():
    folder = pathlib.Path(sys.argv[1])
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, make in networks.ALL.items():
        network = make()
        print(export(network, folder / f"{name}.einet"))
        (folder / f"{name}.answers").write_bytes(weights_file(answers(network)))


main()

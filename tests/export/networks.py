"""Networks as a user of PyTorch writes them, for the exporter's tests: each function gives a Network with
random weights."""

import functools
import random

import torch
import torch.nn.functional as F
from einet_export import Network, cut
from torch import nn


def randomised(module):
    """What starts as the identity or nearly zero becomes random, so that no error hides behind it."""
    for name, p in module.named_parameters():
        if p.dim() == 1:
            nn.init.uniform_(p, 0.5, 1.5) if name.endswith("weight") else nn.init.uniform_(p, -0.5, 0.5)
        elif p.dim() == 2:
            p.data.mul_(3)
    for name, b in module.named_buffers():
        if name.endswith("running_mean"):
            b.uniform_(-0.3, 0.3)
        if name.endswith("running_var"):
            b.uniform_(0.5, 2)
    return module


def network(blocks, input, **more):
    return Network([(randomised(trunk), randomised(leave)) for trunk, leave in blocks], input, **more)


def mlp():
    torch.manual_seed(1)
    layers = nn.Sequential(
        nn.Linear(20, 32),
        nn.BatchNorm1d(32),
        nn.ReLU(),
        nn.Dropout(),
        nn.Linear(32, 24, bias=False),
        nn.ReLU(),
        nn.Linear(24, 7),
    )
    return network(
        cut(layers, [4, 6], [nn.Sequential(nn.Linear(32, 7), nn.Softmax(1))]),
        (20,),
        mean=[0.1] * 20,
        deviation=[0.5] * 20,
    )


def plain():
    """A plain CNN with what older ones use: local response norm, overlapping pooling, dropout,
    log_softmax."""
    torch.manual_seed(2)
    layers = nn.Sequential(
        nn.Conv2d(3, 16, 5, padding=2),
        nn.ReLU(inplace=True),
        nn.LocalResponseNorm(5, 1e-2, 0.75, 2.0),
        nn.MaxPool2d(3, 2),
        nn.Conv2d(16, 24, 3, padding="same", groups=2),
        nn.BatchNorm2d(24),
        nn.ReLU(),
        nn.AvgPool2d(3, 2, 1),
        nn.Dropout2d(),
        nn.Conv2d(24, 32, (1, 3), stride=(2, 1), bias=False),
        nn.ReLU(),
        nn.Flatten(),
        nn.Dropout(),
        nn.Linear(768, 10),
    )

    def leave(channels):
        return nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 10), nn.LogSoftmax(-1)
        )

    return network(
        cut(layers, [4, 9, 11], [leave(16), leave(24)]),
        (3, 32, 32),
        mean=[0.4, 0.5, 0.6],
        deviation=[0.2, 0.3, 0.4],
        labels=[f'class "{i}"' for i in range(10)],
    )


class Residual(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Identity()
        if stride > 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x):
        y = F.relu(self.norm1(self.conv1(x)), inplace=True)
        y = self.norm2(self.conv2(y))
        y += self.shortcut(x)
        return F.relu(y)


class Exit(nn.Module):
    def __init__(self, channels, classes=10):
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)
        self.linear = nn.Linear(channels, classes)

    def forward(self, x):
        return self.linear(F.relu(self.norm(x)).mean((2, 3)))


def resnet():
    torch.manual_seed(3)
    stem = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU())
    return network(
        [
            (nn.Sequential(stem, Residual(8, 8, 1)), Exit(8)),
            (Residual(8, 12, 2), Exit(12)),
            (nn.Sequential(Residual(12, 12, 1), Residual(12, 20, 2)), Exit(20)),
            (nn.Identity(), Exit(20)),
        ],
        (3, 16, 16),
    )


class Inception(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.left = nn.Conv2d(channels, 6, 1)
        self.right = nn.Conv2d(channels, 10, 3, padding=1)

    def forward(self, x):
        left, right = self.left(x), self.right(x)
        return torch.cat([left.relu(), right, F.max_pool2d(x, 3, 1, 1)], dim=1) + torch.cat(
            (x, left, right), -3
        )


class Weighted(nn.Module):
    """Functional calls; a weight that is computed from parameters, and one layer used twice."""

    def __init__(self, channels):
        super().__init__()
        self.raw = nn.Parameter(torch.randn(channels, channels, 1, 1))
        self.twice = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x):
        y = F.conv2d(x, torch.tanh(self.raw) / self.raw.shape[0])
        return self.twice(F.relu(self.twice(y.contiguous().float().detach()))).relu() + x


class WideExit(nn.Module):
    def __init__(self, channels, size):
        super().__init__()
        self.conv = nn.Conv2d(channels, 4, 1)
        self.one = nn.Linear(4 * size * size, 16)
        self.two = nn.Linear(16, 5)

    def forward(self, x):
        y = F.adaptive_avg_pool2d(self.conv(x), x.shape[2] // 2) if x.shape[1] < 20 else self.conv(x)
        return self.two(self.one(y.view(x.size(0), -1)).relu())


def branchy():
    torch.manual_seed(4)
    return network(
        [(nn.Identity(), WideExit(4, 6)), (Inception(4), WideExit(20, 12)), (Weighted(20), WideExit(20, 12))],
        (4, 12, 12),
    )


class Scales(nn.Module):
    """A step of a multi-scale dense network: the state is a list of maps, one per scale, each joined to what
    it was."""

    def __init__(self, channels, grow):
        super().__init__()
        self.same = nn.ModuleList(nn.Conv2d(c, grow, 3, padding=1, bias=False) for c in channels)
        self.down = nn.ModuleList(nn.Conv2d(c, grow, 3, 2, 1, bias=False) for c in channels[:-1])
        self.norms = nn.ModuleList(nn.BatchNorm2d(grow if s == 0 else 2 * grow) for s in range(len(channels)))

    def forward(self, state):
        out = []
        for s, x in enumerate(state):
            new = self.same[s](x)
            if s > 0:
                new = torch.cat([self.down[s - 1](state[s - 1]), new], 1)
            out.append(torch.cat([x, F.relu(self.norms[s](new))], 1))
        return out


class FirstScales(nn.Module):
    def __init__(self):
        super().__init__()
        self.convs = nn.ModuleList(
            [nn.Conv2d(3, 6, 3, 1, 1), nn.Conv2d(6, 8, 3, 2, 1), nn.Conv2d(8, 10, 3, 2, 1)]
        )

    def forward(self, x):
        out = []
        for conv in self.convs:
            x = conv(x).relu()
            out.append(x)
        return out


class CoarseExit(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv = nn.Conv2d(channels, 12, 3, 2, 1)
        self.linear = nn.Linear(12, 6)

    def forward(self, state):
        return self.linear(F.avg_pool2d(F.relu(self.conv(state[-1])), 2).flatten(1))


def msdnet():
    torch.manual_seed(5)
    return network(
        [
            (FirstScales(), CoarseExit(10)),
            (Scales([6, 8, 10], 4), CoarseExit(18)),
            (Scales([10, 16, 18], 4), CoarseExit(26)),
        ],
        (3, 16, 16),
    )


class Tangled(nn.Module):
    """Drawn at random: every step takes maps that any earlier step gave, so that what reads what, and how
    often, is in every combination that fusing must tell apart. The state is the list of all maps."""

    CHANNELS = 6

    def __init__(self, draw, known, steps):
        super().__init__()
        self.steps = []
        self.layers = nn.ModuleList()
        for _ in range(steps):
            # Mostly what was given last, so that chains grow.
            read = [known - 1 if draw.random() < 0.6 else draw.randrange(known) for _ in range(2)]
            self.steps.append((draw.choice(["layer", "layer", "add", "add", "cat"]), *read))
            self.layers.append(self.layer(draw, self.CHANNELS * (2 if self.steps[-1][0] == "cat" else 1)))
            known += 1

    def layer(self, draw, channels):
        conv = nn.Conv2d(
            channels, self.CHANNELS, draw.choice([1, 3]), padding="same", groups=draw.choice([1, 2])
        )
        if channels > self.CHANNELS:
            return conv
        simple = [
            nn.ReLU(),
            nn.ReLU(inplace=True),
            nn.BatchNorm2d(channels),
            nn.MaxPool2d(3, 1, 1),
            nn.Dropout(),
        ]
        return draw.choice([conv, conv, conv, *simple])

    def forward(self, maps):
        maps = list(maps) if isinstance(maps, list) else [maps]
        for (kind, a, b), layer in zip(self.steps, self.layers):
            x = maps[a]
            if kind == "add":
                maps.append(x + maps[b])
            else:
                maps.append(layer(torch.cat([x, maps[b]], 1) if kind == "cat" else x))
        return maps


class TangledExit(nn.Module):
    def __init__(self, draw, known):
        super().__init__()
        self.own = Tangled(draw, known, 4)
        self.leave = Exit(Tangled.CHANNELS)

    def forward(self, maps):
        # What works in place gets copies: an exit may not touch its trunk's maps.
        return self.leave(self.own([x.clone() for x in maps])[-1])


def tangled(seed):
    torch.manual_seed(seed)
    draw = random.Random(seed)
    known, blocks = 1, []
    for _ in range(3):
        trunk = Tangled(draw, known, 10)
        known += 10
        blocks.append((trunk, TangledExit(draw, known)))
    made = network(blocks, (Tangled.CHANNELS, 8, 8))
    with torch.no_grad():  # sums of sums grow: scores come to at most 5, so that no softmax underflows
        state = torch.rand(1, *made.input)
        for trunk, leave in made.blocks:
            state = trunk.eval()(state)
            scale = 5 / leave.eval()(state).abs().max()
            for p in leave.leave.linear.parameters():
                p.mul_(scale)
    return made


ALL = {"mlp": mlp, "plain": plain, "resnet": resnet, "branchy": branchy, "msdnet": msdnet}
ALL |= {f"tangled{seed}": functools.partial(tangled, seed) for seed in range(3)}

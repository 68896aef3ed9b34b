"""What the exporter refuses, with the place it must name, and what it leaves on the disk: nothing. The
networks that it accepts are checked by export_test.cpp.

    tools/export/torch-python tests/export/exporter_test.py [TEST…]"""

import inspect
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import tomllib
import unittest
import unittest.mock

FILE = pathlib.Path(__file__).name
ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools" / "export"))

import einet_export
import networks
import torch
import torch.nn.functional as F
from einet_export import ExportError, Network, cut, evaluation
from einet_export import __main__ as command_line
from torch import nn


class Layer(nn.Module):
    """A module whose forward is a function, so that a test shows what it tests in a line."""

    def __init__(self, function, **members):
        super().__init__()
        self.function = function
        for name, member in members.items():
            setattr(self, name, member)

    def forward(self, x):
        return self.function(self, x)


def head(channels=4, classes=10):
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))


def conv(channels=4):
    return nn.Conv2d(3, channels, 3, padding=1)


class ExporterTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.out = pathlib.Path(self.folder.name) / "net.einet"

    def refused(self, network, *words, out=None, **more):
        """Exports, and expects an error of one line with these words and no file."""
        before = sorted(os.listdir(self.folder.name))
        with self.assertRaises(ExportError) as caught:
            einet_export.export(network, out or self.out, **more)
        for word in words:
            self.assertIn(word, str(caught.exception))
        self.assertNotIn("\n", str(caught.exception))
        self.assertEqual(sorted(os.listdir(self.folder.name)), before)

    def refused_layer(self, layer, *words, channels=4):
        """The same for a layer behind a convolution, in the trunk; `channels`: what it gives to the exit."""
        self.refused(Network([(nn.Sequential(conv(), layer), head(channels))], (3, 8, 8)), *words)


class Places(ExporterTest):
    def test_an_unknown_operation_is_named_with_the_users_line(self):
        class Gate(nn.Module):
            def forward(self, x):
                y = F.relu(x)
                return y * torch.sigmoid(x)

        line = inspect.getsourcelines(Gate)[1] + 3
        self.refused_layer(Gate(), f"{FILE}:{line}", "trunk 0, layer 1, Gate", "sigmoid.default")

    def test_an_unknown_layer_of_a_sequential_is_named_with_its_path(self):
        self.refused_layer(nn.Sequential(nn.ReLU(), nn.GELU()), "trunk 0, layer 1.1, GELU", "gelu.default")

    def test_an_exit_is_named_as_one(self):
        blocks = [(conv(), head()), (nn.Identity(), nn.Sequential(nn.Tanh(), head()))]
        self.refused(Network(blocks, (3, 8, 8)), "exit 1, layer 0, Tanh", "tanh.default")

    def test_a_network_that_fails_is_named_with_the_line_where_it_does(self):
        class Narrow(nn.Module):
            def forward(self, x):
                return x.view(1, 7)

        line = inspect.getsourcelines(Narrow)[1] + 2
        self.refused_layer(Narrow(), f"{FILE}:{line}", "[1, 3, 8, 8]", "invalid for input of size")

    def test_what_depends_on_values_is_named_with_its_line(self):
        class Hasty(nn.Module):
            def forward(self, x):
                if x.mean() > 0:
                    return x
                return F.relu(x)

        line = inspect.getsourcelines(Hasty)[1] + 2
        self.refused_layer(Hasty(), f"{FILE}:{line}", "must not depend on its input's values")

    def test_sizes_that_depend_on_values_are_refused(self):
        class Sparse(nn.Module):
            def forward(self, x):
                return x.flatten(1).nonzero().float().mean(0, keepdim=True).reshape(1, 2)

        line = inspect.getsourcelines(Sparse)[1] + 2
        self.refused(
            Network([(conv(), nn.Sequential(Sparse(), nn.Linear(2, 10)))], (3, 8, 8)),
            f"{FILE}:{line}",
            "nonzero",
        )


class Parts(ExporterTest):
    def test_exits_that_read_each_other_are_refused(self):
        first = head()

        class Leaning(nn.Module):
            def __init__(self):
                super().__init__()
                self.linear = nn.Linear(10, 10)

            def forward(self, x):
                return self.linear(seen[0])

        seen = []

        class Showing(nn.Module):
            def __init__(self):
                super().__init__()
                self.inner = first

            def forward(self, x):
                seen[:] = [self.inner(x)]
                return seen[0]

        line = inspect.getsourcelines(Leaning)[1] + 6
        self.refused(
            Network([(conv(), Showing()), (nn.Identity(), Leaning())], (3, 8, 8)),
            f"{FILE}:{line}",
            "exit 1 reads what exit 0 computes",
            "may be skipped",
        )

    def test_an_exit_that_changes_its_trunks_output_in_place_is_refused(self):
        blocks = [(conv(), nn.Sequential(nn.ReLU(inplace=True), head())), (nn.Conv2d(4, 4, 1), head())]
        self.refused(Network(blocks, (3, 8, 8)), "trunk 1 reads what exit 0 computes", "inplace=True")

    def test_an_exit_that_gives_another_exits_answer_is_refused(self):
        seen = []
        keep = Layer(lambda self, x: seen.append(self.inner(x)) or seen[-1], inner=head())
        self.refused(
            Network([(conv(), keep), (nn.Identity(), Layer(lambda self, x: seen[-1]))], (3, 8, 8)),
            "exit 1 returns what exit 0 computes",
        )

    def test_state_that_outlives_an_input_is_refused(self):
        class Counting(nn.Module):
            def __init__(self):
                super().__init__()
                self.register_buffer("count", torch.zeros(1))

            def forward(self, x):
                self.count += 1
                return x

        self.refused_layer(Counting(), "changes its buffer", "count")

    def test_every_exit_scores_the_same_classes(self):
        self.refused(
            Network([(conv(), head()), (nn.Identity(), head(classes=9))], (3, 8, 8)),
            "exit 1 gives 9 scores, but exit 0 10",
        )

    def test_an_exit_gives_a_vector_for_one_input(self):
        self.refused(
            Network([(conv(), nn.Identity())], (3, 8, 8)), "exit 0 gives [1, 4, 8, 8]", "[1, classes]"
        )
        self.refused(Network([(conv(), Layer(lambda self, x: (x, x)))], (3, 8, 8)), "exit 0 gives a tuple")

    def test_a_softmax_belongs_to_the_exit(self):
        self.refused(
            Network([(nn.Sequential(conv(), head(), nn.Softmax(1)), nn.Identity())], (3, 8, 8)),
            "softmax of exit 0",
        )
        self.refused(
            Network([(conv(), nn.Sequential(head(), nn.LogSoftmax(1), nn.Linear(10, 10)))], (3, 8, 8)),
            "log_softmax is only known as the end of an exit",
        )


class Shapes(ExporterTest):
    def test_other_types_than_float32_are_refused(self):
        self.refused(
            Network(
                [(Layer(lambda self, x: self.conv(x.double()), conv=conv().double()), head().double())],
                (3, 8, 8),
            ),
            "torch.float64",
            ".float()",
        )
        self.refused_layer(Layer(lambda self, x: x.half().float()), "gives torch.float16")

    def test_other_shapes_than_maps_and_vectors_are_refused(self):
        self.refused_layer(Layer(lambda self, x: x.flatten(2).view(1, 4, 8, 8)), "gives [1, 4, 64]")
        self.refused_layer(
            Layer(lambda self, x: x.reshape(1, 16, 4, 4)), "view from [4, 8, 8] to [16, 4, 4]", channels=16
        )
        self.refused_layer(nn.Linear(8, 8), "a linear layer gets the map [4, 8, 8]", "flatten it first")

    def test_windows_that_programs_cannot_say_are_refused(self):
        self.refused_layer(nn.Conv2d(4, 4, 3, dilation=2), "dilation")
        self.refused_layer(nn.Conv2d(4, 4, 2, padding="same"), "not symmetric")
        self.refused_layer(nn.MaxPool2d(3, 2, dilation=2), "dilation")
        self.refused_layer(nn.MaxPool2d(3, 2, ceil_mode=True), "ceil_mode=True gives [4, 4, 4]")
        self.refused_layer(nn.AvgPool2d(3, 1, 1, count_include_pad=False), "count_include_pad=True")
        self.refused_layer(nn.AdaptiveAvgPool2d(3), "must divide the input")
        self.refused_layer(nn.LocalResponseNorm(4), "odd sizes")
        out_of_range = (("alpha", -1e-4), ("alpha", 2e6), ("beta", -0.75), ("beta", 17.0), ("k", 0.0), ("k", 2e6))
        for key, value in out_of_range:
            self.refused_layer(nn.LocalResponseNorm(5, **{key: value}), f"{key} {value}", "k from 1e-6 to 1e6")

    def test_additions_and_concatenations_that_programs_cannot_say_are_refused(self):
        self.refused_layer(Layer(lambda self, x: x + 1), "a computed [4, 8, 8] and the number 1")
        self.refused_layer(
            Layer(lambda self, x: x + self.p, p=nn.Parameter(torch.ones(4, 1, 1))), "a constant [4, 1, 1]"
        )
        self.refused_layer(Layer(lambda self, x: torch.add(x, x, alpha=2)), "times 2")
        self.refused_layer(Layer(lambda self, x: torch.cat([x, x], 2)), "along dimension 2")
        self.refused_layer(
            Layer(lambda self, x: torch.cat([x, torch.ones(1, 1, 8, 8)], 1)),
            "constant tensor [1, 1, 8, 8]",
            channels=5,
        )
        self.refused_layer(
            Layer(lambda self, x: x.mean(1, keepdim=True)), "a mean over the dimensions [1]", channels=1
        )

    def test_weights_must_be_finite_and_not_computed_from_the_input(self):
        layer = conv()
        layer.weight.data[0] = float("nan")
        self.refused(Network([(layer, head())], (3, 8, 8)), "weight holds values that are not finite")
        self.refused_layer(
            Layer(lambda self, x: F.conv2d(x, x.mean((2, 3), keepdim=True))),
            "weight is computed from the input",
            channels=1,
        )

    def test_batch_norm_needs_running_statistics_and_dropout_must_be_off(self):
        self.refused_layer(nn.BatchNorm2d(4, track_running_stats=False), "running statistics")
        self.refused_layer(Layer(lambda self, x: F.dropout(x, 0.5, training=True)), "random")
        self.refused(
            Network([(conv(), nn.Sequential(head(), nn.ReLU(), nn.BatchNorm1d(10)))], (3, 8, 8)),
            "exit 0, layer 2, BatchNorm1d",
            "directly follow a linear layer",
        )


class Lookalikes(ExporterTest):
    """Networks that a careless fusing would get wrong. They are exported, which compares their answers."""

    def program(self, network):
        einet_export.export(network, self.out)
        return tomllib.loads((self.out / "program").read_text())["block"]

    def test_what_an_exit_returns_stays_what_it_is_when_the_next_trunk_takes_it_further(self):
        blocks = [(nn.Sequential(nn.ReLU(inplace=True), nn.Linear(5, 3)), nn.Identity())]
        blocks.append((nn.Sequential(nn.ReLU(), nn.Linear(3, 3)), nn.Softmax(1)))
        program = self.program(Network(blocks, (5,)))
        self.assertEqual([op["op"] for op in program[1]["trunk"]], ["relu", "linear"])

    def test_an_addition_stays_in_its_block_when_an_earlier_one_computed_its_input(self):
        first = Layer(lambda self, x: (self.conv(x), x), conv=nn.Conv2d(3, 3, 1))
        second = Layer(lambda self, x: x[0] + F.max_pool2d(x[1], 3, 1, 1))
        blocks = [(first, Layer(lambda self, x: self.head(x[1]), head=head(3))), (second, head(3))]
        program = self.program(Network(blocks, (3, 8, 8)))
        self.assertEqual([op["op"] for op in program[0]["trunk"]], ["convolution"])
        self.assertEqual([op["op"] for op in program[1]["trunk"]], ["max_pool", "addition"])

    def test_a_pooling_to_one_pixel_is_a_global_mean_only_if_it_sees_the_whole_map_alone(self):
        for pool, size, expected in (
            (nn.AvgPool2d(3), 5, "average_pool"),
            (nn.AvgPool2d(4, 4, 1), 4, "average_pool"),
            (nn.AvgPool2d(4), 4, "global_mean"),
        ):
            leave = nn.Sequential(pool, nn.Flatten(), nn.Linear(3, 2))
            program = self.program(Network([(nn.ReLU(), leave)], (3, size, size)))
            self.assertEqual(program[0]["exit"][0]["op"], expected)
            shutil.rmtree(self.out)


class Descriptions(ExporterTest):
    def good(self, **more):
        return Network([(conv(), head())], **{"input": (3, 8, 8), **more})

    def test_a_good_network_is_written_and_its_modules_keep_their_mode(self):
        network = self.good()
        network.blocks[0][1].eval()
        einet_export.export(network, self.out)
        self.assertEqual(sorted(os.listdir(self.out)), ["model.toml", "program", "weights.safetensors"])
        self.assertEqual(os.listdir(self.folder.name), ["net.einet"])
        self.assertTrue(network.blocks[0][0].training)
        self.assertFalse(network.blocks[0][1].training)

    def test_a_path_that_exists_is_left_alone(self):
        self.out.mkdir()
        self.refused(self.good(), "is there already")
        self.out.rmdir()
        self.out.symlink_to("nowhere")
        self.refused(self.good(), "is there already")

    def test_names_are_those_of_packages(self):
        for name in ("net", ".einet", ".net.einet", "a b.einet", "x" * 65 + ".einet", "net.einet.bak"):
            self.refused(self.good(), "NAME.einet", out=pathlib.Path(self.folder.name) / name)
        self.refused(
            self.good(), "is no directory", out=pathlib.Path(self.folder.name) / "none" / "net.einet"
        )

    def test_what_is_said_about_the_network_is_checked(self):
        self.refused([], "expected an einet_export.Network")
        self.refused(self.good(input=(3, 8)), "expected (channels, height, width) or (N,)")
        self.refused(self.good(input=(3, 8, 0)), "input")
        self.refused(self.good(input=(1, 8, 8)), "the network fails on an input [1, 1, 8, 8]")
        self.refused(self.good(mean=[0.5]), "numbers from -1e+06 to 1e6, one per channel (3)")
        self.refused(self.good(deviation=[0.5, 0, 1]), "deviation")
        self.refused(self.good(deviation=[0.5, float("nan"), 1]), "deviation")
        self.refused(self.good(labels=["a", "b"]), "found 2; expected one per class (10)")
        self.refused(self.good(labels=[1] * 10), "labels")
        self.refused(self.good(labels=["\ud800"] * 10), "printable")
        self.refused(self.good(version="1 beta"), "version")
        self.refused(self.good(version=1), "version")
        self.refused(self.good(mean=["0"] * 3), "mean")
        self.refused(Network([], (3, 8, 8)), "found 0 blocks")
        self.refused(Network([(conv(), head())] * 65, (3, 8, 8)), "found 65 blocks")
        self.refused(Network([(conv(), None)], (3, 8, 8)), "block 0: expected (trunk, exit)")

    def test_cuts_rise_and_leave_nothing_over(self):
        layers = nn.Sequential(conv(), nn.ReLU(), *head())
        for cuts, exits, words in (
            ([], [], "rising"),
            ([2, 1], [head()], "rising"),
            ([9], [head()], "rising"),
            ([1], [head(), head()], "2 exits for 1 cuts"),
            ([1, 5], [head()], "1 exits for 2 cuts"),
            ([1, 2], [head(), head()], "layers 2 to 4 belong to no block"),
        ):
            with self.assertRaisesRegex(ExportError, words):
                cut(layers, cuts, exits)
        with self.assertRaisesRegex(ExportError, "nn.Sequential"):
            cut(conv(), [1], [])

    def test_tensors_whose_names_become_the_same_are_told_apart(self):
        parts = nn.ModuleDict(
            {"a b": nn.Conv2d(3, 4, 1), "a_b": nn.Conv2d(4, 4, 1), "a?b": nn.Conv2d(4, 4, 1)}
        )
        trunk = Layer(lambda self, x: self.parts["a?b"](self.parts["a_b"](self.parts["a b"](x))), parts=parts)
        einet_export.export(Network([(trunk, head())], (3, 8, 8)), self.out)
        names = set(evaluation.read_weights((self.out / "weights.safetensors").read_bytes()))
        self.assertEqual(
            {n for n in names if "trunk" in n and "weight" in n},
            {f"block0.trunk.parts.a_b.weight{n}" for n in ("", ".2", ".3")},
        )

    def test_a_program_whose_answers_differ_is_not_written(self):
        original = einet_export.program_file

        def wrong(*arguments):
            return original(*arguments).replace('activation = "relu"', 'activation = "none"')

        network = networks.resnet()
        with unittest.mock.patch.object(einet_export, "program_file", wrong):
            self.refused(network, "differs from the network's by", "Nothing was written")
        einet_export.export(network, self.out)  # and without the change it is

    def test_a_disk_that_fails_leaves_nothing(self):
        with unittest.mock.patch.object(os, "fsync", side_effect=OSError(28, "No space left on device")):
            self.refused(self.good(), "No space left on device")


class CommandLine(ExporterTest):
    def export(self, *arguments):
        done = subprocess.run(
            [ROOT / "tools" / "export" / "export", *arguments],
            capture_output=True,
            text=True,
            cwd=self.folder.name,
            env={**os.environ, "EINET_PYTHON": sys.executable},
        )
        return done.returncode, done.stderr

    def test_it_exports_what_a_function_of_a_module_returns(self):
        (pathlib.Path(self.folder.name) / "mine.py").write_text(
            "import torch\nfrom einet_export import Network\n\n\n"
            "def small():\n"
            "    return Network([(torch.nn.ReLU(), torch.nn.Linear(5, 3))], (5,))\n\n\n"
            "def wrong():\n"
            "    return Network([(torch.nn.SiLU(), torch.nn.Linear(5, 3))], (5,))\n"
        )
        status, words = self.export("mine:small", "--out", "small.einet")
        self.assertEqual((status, words.count("\n")), (0, 1), words)
        self.assertIn("small.einet is written: 1 blocks, 3 classes", words)
        status, words = self.export("mine:wrong", "--out", "wrong.einet")
        self.assertEqual((status, words.count("\n")), (1, 1), words)
        self.assertTrue(words.startswith("export: (trunk 0, SiLU): "), words)
        self.assertEqual(self.export("mine", "--out", "wrong.einet")[0], 2)
        self.assertEqual([p.name for p in self.out.parent.glob("*.einet*")], ["small.einet"])

    def test_a_function_that_cannot_be_called_is_named_with_the_reason(self):
        (pathlib.Path(self.folder.name) / "mine_too.py").write_text(
            "import torch\n\n\ndef broken():\n    return torch.nn.Linear(5)\n"
        )
        sys.path.insert(0, self.folder.name)
        self.addCleanup(sys.path.remove, self.folder.name)
        for place, expected in (
            ("mine_too:broken", "mine_too.py:5"),
            ("mine_too:none", 'has no function "none"'),
            ("nowhere:broken", "No module named 'nowhere'"),
        ):
            with self.assertRaisesRegex(ExportError, expected):
                command_line.call(place)


if __name__ == "__main__":
    unittest.main()

"""tools/zoo trains a network from nothing to the profiles that tools/tables reads, goes on where it was, and says what
is wrong.

    zoo_test.py EINET_MODEL EINET"""

import os
import pathlib
import random
import struct
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
EINET = sys.argv.pop()
MODEL = sys.argv.pop()


def write_mnist(folder, prefix, count):
    draw = random.Random(prefix)
    labels = bytes(draw.randrange(10) for _ in range(count))
    pixels = b"".join(bytes(draw.randrange(25 * (label + 1)) for _ in range(784)) for label in labels)
    (folder / f"{prefix}-images-idx3-ubyte").write_bytes(struct.pack(">4I", 0x803, count, 28, 28) + pixels)
    (folder / f"{prefix}-labels-idx1-ubyte").write_bytes(struct.pack(">2I", 0x801, count) + labels)


class Zoo(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = pathlib.Path(temporary.name)
        raw = self.folder / "data/MNIST/raw"
        raw.mkdir(parents=True)
        write_mnist(raw, "train", 100)
        write_mnist(raw, "t10k", 20)

    def run_zoo(self, *arguments):
        command = [sys.executable, ROOT / "tools/zoo", "--model", MODEL, "--device", "cpu", "--epochs", "1", "--batch", "30",
                   "--work", self.folder / "work", "--out", self.folder / "out", *arguments]
        return subprocess.run(command, capture_output=True, text=True, env=dict(os.environ, EINET_DATA=str(self.folder / "data")))

    def test_makes_profiles_that_can_be_evaluated(self):
        networks = ("b-alexnet", "b-alexnet-single")
        ran = self.run_zoo("--at-once", "2", *(f"mnist/{network}" for network in networks))
        self.assertEqual(ran.returncode, 0, ran.stdout + ran.stderr)
        own, single = (self.folder / f"out/mnist/{network}.profiles.zst" for network in networks)
        evaluated = subprocess.run([EINET, "evaluate", own, "--planner", "all", "--beside", single], capture_output=True, text=True)
        self.assertEqual(evaluated.returncode, 0, evaluated.stderr)
        self.assertIn("b-alexnet on mnist: 20 test samples, 3 exits", evaluated.stdout)
        # Again: nothing is left to be trained.
        self.assertEqual(self.run_zoo("mnist/b-alexnet").returncode, 0)
        self.assertEqual((self.folder / "work/mnist/b-alexnet.log").read_text().count("epoch 1/1: loss"), 1)

    def test_says_what_is_wrong(self):
        ran = self.run_zoo("mnist/b-alexnt")
        self.assertEqual(ran.returncode, 1)
        self.assertIn('did you mean "b-alexnet"', ran.stdout)
        self.assertIn("expected DATA/NETWORK", self.run_zoo("b-alexnet").stderr)
        self.assertIn("allowed: 1 and more", self.run_zoo("--at-once", "0", "mnist/b-alexnet").stderr)
        self.assertIn("tools/setup full", self.run_zoo("--model", "/nowhere", "mnist/b-alexnet").stderr)


if __name__ == "__main__":
    unittest.main()

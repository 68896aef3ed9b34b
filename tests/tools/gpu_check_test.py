"""tools/gpu-check, tried on CPU lanes: its report, that what it has is not run again, and what it says of a GPU that is
not there.

    gpu_check_test.py EINET_WORKER"""

import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAMS = pathlib.Path(sys.argv.pop()).parent


class GpuCheck(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.out = pathlib.Path(temporary.name)

    def check(self, *arguments):
        command = [sys.executable, ROOT / "tools/gpu-check", "--programs", PROGRAMS, "--out", self.out, "--seconds", "1", *arguments]
        ran = subprocess.run(command, capture_output=True, text=True)
        report = self.out / "report.json"
        return ran, json.loads(report.read_text()) if report.exists() else None

    def test_reports_each_part_once(self):
        ran, report = self.check("--device", "cpu")
        self.assertEqual(ran.returncode, 0, ran.stdout + ran.stderr)
        self.assertEqual(report["tests"], "CUDA only")
        self.assertGreater(report["profile"]["b-alexnet-digits"]["cpu"]["trunk"], 0)
        for preemption in ("boundary", "instant"):
            self.assertGreater(report["lanes"][preemption]["flood_networks_per_s"], 0)
        self.assertEqual((report["batches"], report["in_flight"]), ("GPUs only", "GPUs only"))
        self.assertTrue(report["tasks"]["accepted"]["accepted"])
        moves = report["moves"]
        self.assertEqual(set(moves["fine-resnet-digits"]), {"cpu", "beside"})
        self.assertGreater(moves["fine-resnet-digits"]["cpu"]["out"][0], 0)
        self.assertEqual(moves["under load"]["completed"], moves["under load"]["jobs"])
        self.assertGreaterEqual(report["memory"]["evictions"], 8)
        self.assertGreater(report["memory"]["fine-resnet-digits"], 0)
        again, same = self.check("--device", "cpu")
        self.assertEqual(again.stdout.count("\n"), 1, again.stdout)
        self.assertEqual(same, report)
        other, same = self.check("--device", "synthetic-gpu")
        self.assertIn("is the report of cpu", other.stderr)
        self.assertEqual(same, report)

    def test_tries_batches_blocks_in_flight_and_moves_on_something_like_a_gpu(self):
        ran, report = self.check("--device", "synthetic-gpu", "batches", "in_flight", "moves")
        self.assertEqual(ran.returncode, 0, ran.stdout + ran.stderr)
        self.assertGreater(report["batches"]["batched_blocks"], 0)
        for by_depth in report["in_flight"].values():
            self.assertEqual({depth: len(found["urgent_p50_us"]) for depth, found in by_depth.items()}, {"1": 2, "2": 2, "4": 2})
        self.assertGreater(report["moves"]["under load"]["moves"], 0)
        self.assertEqual(report["moves"]["under load"]["failed_moves"], 0)

    def test_says_that_there_is_no_such_gpu_and_tries_it_again(self):
        for _ in range(2):
            ran, report = self.check("--device", "cuda:63", "profile")
            self.assertEqual(ran.returncode, 1)
            self.assertIn("no CUDA device can be used here (", report["profile"]["error"])

    def test_refuses_parts_and_programs_that_are_not_there(self):
        self.assertIn("no part speed; there are machine", self.check("speed")[0].stderr)
        self.assertIn('--device is "gpu"; allowed: cuda:N', self.check("--device", "gpu")[0].stderr)
        self.assertIn("tools/setup full", self.check("--programs", "/nowhere")[0].stderr)


if __name__ == "__main__":
    unittest.main()

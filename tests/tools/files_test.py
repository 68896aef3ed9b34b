"""The examples of docs/files.md run as the document says, and the CSV files that it shows are what comes out. What
einet prints is there, or its exit code says that it is not.

    files_test.py EINET"""

import os
import pathlib
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
EINET = str(pathlib.Path(sys.argv.pop(1)).resolve())
DOCUMENT = (ROOT / "docs/files.md").read_text()
EXAMPLE = re.compile(r"^`(\S+)`, for `einet ([^`]+)`:\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TABLE = re.compile(r"^`(\S+)` has a row (?:[^\n]+\n)+\n```csv\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def run(folder, name, command, text):
    (folder / name).write_text(text)
    if not (folder / "models").exists():
        (folder / "models").symlink_to(ROOT / "models")
    return subprocess.run([EINET, *shlex.split(command)], cwd=folder, capture_output=True, text=True, timeout=60)


class Examples(unittest.TestCase):
    def test_run(self):
        for name, command, text in EXAMPLE.findall(DOCUMENT):
            with self.subTest(command), tempfile.TemporaryDirectory() as folder:
                done = run(pathlib.Path(folder), name, command, text)
                self.assertEqual((done.returncode, done.stderr), (0, ""))
                self.assertTrue(done.stdout or "--csv" in command)

    def test_are_all_found(self):
        self.assertEqual(len(EXAMPLE.findall(DOCUMENT)), len(re.findall(r"^```(?:toml|text)$", DOCUMENT, re.MULTILINE)))
        commands = [command.split()[0] for _, command, _ in EXAMPLE.findall(DOCUMENT)]
        self.assertEqual(set(commands), {"simulate", "analyze", "plan", "evaluate"})

    def test_with_another_key_are_refused(self):
        for name, command, text in EXAMPLE.findall(DOCUMENT):
            with self.subTest(command), tempfile.TemporaryDirectory() as folder:
                done = run(pathlib.Path(folder), name, command, text + "\nother = 1\n")
                self.assertEqual((done.returncode, done.stdout, done.stderr.count("\n")), (2, "", 1))
                self.assertIn(f"{name}:", done.stderr)
                self.assertEqual({path.name for path in pathlib.Path(folder).iterdir()}, {name, "models"})


class Tables(unittest.TestCase):
    def test_are_what_comes_out(self):
        name, command, text = EXAMPLE.search(DOCUMENT).groups()
        shown = dict(TABLE.findall(DOCUMENT))
        self.assertEqual(set(shown), {"out.csv", "out.csv.jobs"})
        with tempfile.TemporaryDirectory() as folder:
            run(pathlib.Path(folder), name, command, text)
            for file, rows in shown.items():
                self.assertEqual((pathlib.Path(folder) / file).read_text(), rows)


class Output(unittest.TestCase):
    COMMANDS = ("--help", "--version", "evaluate --help", "plan problem.toml", "simulate --random 1")

    def run_in_folder(self, command, out, **more):
        with tempfile.TemporaryDirectory() as folder:
            problem = next(text for name, _, text in EXAMPLE.findall(DOCUMENT) if name == "problem.toml")
            (pathlib.Path(folder) / "problem.toml").write_text(problem)
            return subprocess.run([EINET, *command.split()], cwd=folder, stdout=out, stderr=subprocess.PIPE, text=True,
                                  timeout=60, **more)

    def test_that_is_lost_is_a_failure(self):
        for command in self.COMMANDS:
            with self.subTest(command), open("/dev/full", "wb") as full:
                done = self.run_in_folder(command, full)
                self.assertEqual(done.returncode, 7)
                # Why is known only where it was the end that wrote.
                self.assertRegex(done.stderr, r"^einet: stdout: cannot write(: No space left on device)?\n$")

    def test_that_nobody_reads_is_none(self):
        for command in self.COMMANDS:
            reader, writer = os.pipe()
            os.close(reader)
            with self.subTest(command), os.fdopen(writer, "wb") as pipe:
                # Once as a shell starts it, once where a closed pipe kills nobody.
                for signals, code in ((True, -signal.SIGPIPE), (False, 0)):
                    done = self.run_in_folder(command, pipe, restore_signals=signals)
                    self.assertEqual((done.returncode, done.stderr), (code, ""))


if __name__ == "__main__":
    unittest.main()

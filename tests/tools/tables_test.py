"""docs/results.md is what tools/tables makes of the committed profiles; and the comparison that says so notices a
changed figure, a changed word and a missing line.

    tables_test.py EINET"""

import importlib.machinery
import importlib.util
import pathlib
import re
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
EINET = sys.argv.pop(1)


def load(path):
    loader = importlib.machinery.SourceFileLoader("tables", str(path))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("tables", loader))
    loader.exec_module(module)
    return module


tables = load(ROOT / "tools/tables")
COMMITTED = (ROOT / "docs/results.md").read_text()


class Document(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.made = tables.make(EINET, pathlib.Path("models/pretrained"))

    def test_is_what_the_profiles_give(self):
        self.assertEqual(tables.differences(COMMITTED, self.made), [], "make it again with tools/tables")

    def test_is_noticed_to_differ(self):
        figure = re.compile(r"(?<=\| )(\d+\.\d\d)(?= \|)")
        found = figure.search(COMMITTED)
        off = lambda by: COMMITTED[:found.start()] + f"{float(found[0]) + by:.2f}" + COMMITTED[found.end():]
        self.assertEqual(len(tables.differences(off(0.2), self.made)), 1)
        self.assertEqual(len(tables.differences(COMMITTED.replace("missing", "done", 1), self.made)), 1)
        self.assertEqual(len(tables.differences(COMMITTED + "more\n", self.made)), 1)
        self.assertTrue(tables.differences(COMMITTED.replace("| ", "|", 1), self.made))

    def test_names_every_row(self):
        for row in tables.tomllib.loads((ROOT / "tools/tables.toml").read_text())["row"]:
            self.assertIn(f"| {row['network']} | {row['data']} | ", self.made)


class Rows(unittest.TestCase):
    def test_that_are_not_trained_are_missing(self):
        with tempfile.TemporaryDirectory() as folder:
            made = tables.make(EINET, pathlib.Path(folder))
        self.assertEqual(made.count("missing: not trained"), COMMITTED.count("| missing: not trained |  |  |  |  |\n") +
                         COMMITTED.count("Accuracy by cross-validation"))
        self.assertNotIn("##  ", made)

    def test_of_damaged_profiles_are_an_error(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "cifar-10" / "b-alexnet.profiles.zst"
            path.parent.mkdir()
            path.write_bytes(b"\x28\xb5\x2f\xfd\x00")
            with self.assertRaises(SystemExit) as error:
                tables.make(EINET, pathlib.Path(folder))
        self.assertIn("b-alexnet.profiles.zst: is cut short", str(error.exception))

    def test_need_the_program(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "cifar-10" / "b-alexnet.profiles.zst"
            path.parent.mkdir()
            path.touch()
            with self.assertRaises(SystemExit) as error:
                tables.make("/nonexistent/einet", pathlib.Path(folder))
        self.assertIn("tools/setup runtime", str(error.exception))


if __name__ == "__main__":
    unittest.main()

# SPDX-License-Identifier: LGPL-2.1-or-later
"""docs/kubevirt-behaviours.md names a test in each row; a test that was renamed or removed is noticed here."""
import pathlib
import re
import unittest

TOP = pathlib.Path(__file__).resolve().parents[2]
NOT_THERE = "*not there*"


def rows():
    text = (TOP / "docs/kubevirt-behaviours.md").read_text()
    lines = [[c.strip() for c in line.strip().strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]
    return [r for r in lines if r[0] != "Behaviour" and not set("".join(r)) <= set("-")]


def has(file, name):
    text = (TOP / file).read_text() if (TOP / file).is_file() else ""
    if file.endswith(".py"):
        return re.search(rf"^\s+def {re.escape(name)}\(", text, re.M) is not None
    return re.search(rf"^{re.escape(name)} \(void \*\*state\)", text, re.M) is not None and re.search(rf"(TEST|test\w*) \({re.escape(name)}\b", text) is not None


class Behaviours(unittest.TestCase):
    def test_each_row_names_a_test_that_is_there(self):
        found = rows()
        self.assertGreater(len(found), 40)
        for r in found:
            with self.subTest(r[0]):
                self.assertEqual(len(r), 4, r)
                if r[3] == NOT_THERE:
                    continue
                m = re.fullmatch(r"`([\w/.-]+): (\w+)`", r[3])
                self.assertIsNotNone(m, r[3])
                self.assertTrue(has(*m.groups()), r[3])

    def test_one_that_is_not_there_is_noticed(self):
        self.assertFalse(has("tests/e2e/test_vm.py", "test_nothing"))
        self.assertFalse(has("plugins/vmi/tests/test_plugin.c", "nothing"))
        self.assertFalse(has("tests/e2e/nothing.py", "test_from_apply_to_nothing"))


if __name__ == "__main__":
    unittest.main(verbosity=2)

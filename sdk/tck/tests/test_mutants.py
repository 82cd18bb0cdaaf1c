# SPDX-License-Identifier: LGPL-2.1-or-later
"""The conformance kit proves itself: toyhv as it is passes every check, and each way of making it wrong is seen by the check that is
there to see it."""
import json
import pathlib
import re
import subprocess
import sys
import unittest

KIT, MUTANT = sys.argv[1], sys.argv[2]
FAULTS = pathlib.Path(__file__).resolve().parents[1] / "toy/mutants/faults.h"


def faults():
    return re.findall(r'^FAULT \((\w+), "([^"]+)", "([^"]+)"\)$', FAULTS.read_text(), re.M)


def run(fault, *more):
    r = subprocess.run([KIT, "hypervisor", MUTANT, "--config", json.dumps({"fault": fault}), "-o", "json", "--settle-ms", "5000", *more],
                       capture_output=True, text=True, timeout=280)
    return r.returncode, json.loads(r.stdout), r.stderr


class Mutants(unittest.TestCase):
    def test_the_kit_accepts_what_is_right(self):
        code, report, err = run("none")
        self.assertEqual([c for c in report["checks"] if c["outcome"] == "fail"], [], err)
        self.assertEqual(code, 0)
        self.assertGreater(report["passed"], 90)

    def test_there_are_enough_of_them(self):
        self.assertGreaterEqual(len(faults()), 12 + 1)
        self.assertEqual(len(faults()), FAULTS.read_text().count("\nFAULT ("))

    def test_every_mutant_is_seen(self):
        for name, check, doc in faults()[1:]:
            with self.subTest(mutant=name):
                code, report, err = run(name, "--only", check)
                self.assertEqual(len(report["checks"]), 1, f"no check '{check}'")
                seen = report["checks"][0]
                self.assertEqual((seen["outcome"], code), ("fail", 1), f"{doc}: {check} does not see it; {err}")
                print(f"{name:22} {check:26} {seen['ms']:5} ms  {seen['text'].splitlines()[0][:150]}")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])

# SPDX-License-Identifier: LGPL-2.1-or-later
"""The rules of the tree that a program can check."""
import pathlib
import re
import subprocess
import unittest

TOP = pathlib.Path(__file__).resolve().parents[2]


def files(*globs):
    tracked = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard", *globs], cwd=TOP, capture_output=True, text=True, check=True)
    return [TOP / f for f in tracked.stdout.splitlines() if (TOP / f).is_file()]


def sources(*dirs):
    return [f for f in files(*dirs) if f.suffix in (".c", ".h")]


class Rules(unittest.TestCase):
    def grep(self, pattern, paths, flags=0):
        hits = []
        for f in paths:
            for n, line in enumerate(f.read_text(errors="replace").splitlines(), 1):
                if re.search(pattern, line, flags):
                    hits.append(f"{f.relative_to(TOP)}:{n}: {line.strip()[:120]}")
        return hits

    def test_the_core_knows_no_virtual_machines(self):
        self.assertEqual(self.grep(r"qemu|libvirt|qcow|\btap\b|hypervisor|guest|\bdisk\b", sources("core"), re.I), [])

    def test_the_core_includes_no_plugin(self):
        self.assertEqual(self.grep(r'#include *"(plugins|cli|sdk)/', sources("core")), [])

    def test_a_plugin_includes_hvkit_and_its_own_folder(self):
        paths = [f for f in sources("plugins") if "tests" not in f.parts]
        self.assertEqual(self.grep(r'#include *"(\.\./|core/|sdk/|plugins/)', paths), [])

    def test_banned_calls(self):
        banned = r"(^|[^_a-zA-Z.>])(system|popen|strcpy|strcat|sprintf|vsprintf|strtok|atoi|atol|gets|tmpnam|mktemp|alloca) *\("
        self.assertEqual(self.grep(banned, sources("core", "sdk", "plugins", "cli")), [])

    def test_fork_in_one_place(self):
        hits = self.grep(r"(^|[^_a-zA-Z])(fork|vfork|clone3?) *\(", [f for f in sources("core", "sdk/src", "plugins", "cli") if "tests" not in f.parts])
        self.assertEqual([h for h in hits if not h.startswith(("core/loop/spawn.c", "plugins/qmp/kvm-probe.c", "cli/keeper.c"))], [])

    def test_no_function_over_100_lines(self):
        long = []
        for f in sources("core", "sdk", "plugins", "cli"):
            start = 0
            for n, line in enumerate(f.read_text(errors="replace").splitlines(), 1):
                if line.startswith("{"):
                    start = n
                elif line.startswith("}"):
                    if start and n - start > 100:
                        long.append(f"{f.relative_to(TOP)}:{start}: {n - start} lines")
                    start = 0
        self.assertEqual(long, [])

    def test_every_source_names_its_licence(self):
        missing = [str(f.relative_to(TOP)) for f in sources("core", "sdk", "plugins", "cli", "tests")
                   if "SPDX-License-Identifier: LGPL-2.1-or-later" not in f.read_text(errors="replace")[:400] and "sdk/template" not in str(f)]
        self.assertEqual(missing, [])

    def test_nothing_is_left_unfinished(self):
        words = "TO" + "DO|FIX" + "ME|XX" + "X|HA" + "CK"
        paths = [f for f in files() if f.suffix in (".c", ".h", ".py", ".sh", ".cmake", ".md", ".json", ".txt")]
        self.assertEqual(self.grep(rf"\b({words})\b", paths), [])

    def test_scripts_parse(self):
        for f in files("scripts", ".ci", "tests/guest"):
            head = f.read_text(errors="replace").splitlines()[:1]
            if head and "bash" in head[0]:
                r = subprocess.run(["bash", "-n", str(f)], capture_output=True, text=True)
                self.assertEqual(r.returncode, 0, r.stderr)

    def test_python_compiles(self):
        for f in files("tests", "scripts"):
            if f.suffix == ".py" or (f.suffix == "" and f.read_text(errors="replace").startswith("#!/usr/bin/python3")):
                compile(f.read_text(), str(f), "exec")


if __name__ == "__main__":
    unittest.main()

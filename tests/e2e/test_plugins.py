# SPDX-License-Identifier: LGPL-2.1-or-later
"""Plugins that are not as they should be: each is refused with one clear line, and everything else runs. And SIGHUP, and an old binary."""
import os
import pathlib
import platform
import shutil
import signal
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from hvkitd import TOP, Daemon, build_dir, until  # noqa: E402

SOURCE = """
#include <hvkit/plugin.h>
static int go (void *s, struct hv_call *c, const void *a, void *r, struct hv_err *e) { (void) s; (void) c; (void) a; (void) r; (void) e; return 0; }
static int start (struct hv_host *h, const void *c, void **s, struct hv_err *e) { (void) c; (void) e; *s = h; %(start)s }
static const struct hv_method *const methods[] = { HV_METHOD ("go", HV_VIEWER, go, NULL, NULL, "goes"), %(methods)s NULL };
static const struct hv_plugin p = { .struct_size = sizeof p, .abi_major = %(major)s, .abi_minor = %(minor)s, .name = "bad", .version = "1", .methods = methods,
                                    .start = start };
HV_PUBLIC const struct hv_plugin *%(entry)s (void);
HV_PUBLIC const struct hv_plugin *%(entry)s (void) { return &p; }
"""


class Plugins(unittest.TestCase):
    def setUp(self):
        self.d = Daemon(manifests={"good": {"name": "good", "plugin": str(build_dir() / "tests/lib/bench.so")}})
        self.addCleanup(self.d.cleanup)
        os.chmod(self.d.dir, 0o755)

    def make(self, name, start="return 0;", methods="", major="1", minor="0", entry="hv_plugin_entry_v1", manifest=None):
        so = self.d.dir / f"{name}.so"
        source = SOURCE % {"start": start, "methods": methods, "major": major, "minor": minor, "entry": entry}
        subprocess.run(["gcc", "-std=c11", "-shared", "-fPIC", "-fvisibility=hidden", f"-I{TOP}/sdk/include", "-x", "c", "-", "-o", str(so)], input=source, text=True,
                       check=True)
        os.chmod(so, 0o755)
        self.d.manifest(name, manifest or {"name": name, "plugin": str(so)})
        return so

    def refused(self, name, *words, state="refused"):
        lines = [line for line in self.d.log().splitlines() if f"'{name}'" in line or f"{name}.json" in line]
        self.assertEqual(len(lines), 1, f"one line about {name}: {lines}")
        for w in words:
            self.assertIn(w, lines[0])
        row = next(p for p in self.d.rpc().call("bus.plugins")["items"] if p["name"] in (name, f"{name}.json"))
        self.assertEqual(row["state"], state)
        self.assertTrue(row["reason"])
        self.assertEqual(self.d.rpc().call("good.add", {"name": "x", "a": 1})["sum"], 2)

    def test_each_is_one_clear_line_and_the_rest_runs(self):
        self.make("minor", minor="99")
        self.make("major", entry="hv_plugin_entry_v2")
        self.make("nothing", entry="something_else")
        self.make("fails", start='return hv_err_set (e, HV_E_NOT_FOUND, "the moon is not there");')
        os.chmod(self.make("writable"), 0o777)
        link = self.make("link")
        target = link.with_name("target.so")
        link.rename(target)
        link.symlink_to(target)
        self.make("twice", methods='HV_METHOD ("go", HV_VIEWER, go, NULL, NULL, "again"),')
        self.make("process", manifest={"name": "process", "plugin": "x.so", "isolation": "process"})
        self.d.manifest("unknown", '{\n  "name": "unknown",\n  "plugin": "bench.so",\n  "isolatoin": "thread"\n}\n')
        self.d.manifest("badjson", '{\n  "name": "badjson",\n  "plugin": }\n')
        self.d.manifest("config", {"name": "config", "plugin": str(build_dir() / "tests/lib/bench.so"), "config": {"x": 1}})
        self.d.manifest("absent", {"name": "absent", "plugin": "/nowhere/x.so"})
        self.d.start()
        self.refused("minor", "ABI 1.99", "this core has 1.0", "upgrade hvkitd")
        self.refused("major", "ABI 2", "upgrade hvkitd")
        self.refused("nothing", "hv_plugin_entry_v1")
        self.refused("fails", "the moon is not there", state="failed")
        self.refused("writable", "writable by group or others", "chmod")
        self.refused("link", "symbolic link")
        self.refused("twice", "stands twice")
        self.refused("process", "isolation", "thread")
        self.refused("unknown", "isolatoin", "did you mean 'isolation'", "unknown.json:4")
        self.refused("badjson", "line 3")
        self.refused("config", "takes none", state="failed")
        self.refused("absent", "/nowhere")

    def test_one_that_is_not_enabled_is_not_even_loaded(self):
        so = self.make("asleep", manifest={"name": "asleep", "plugin": str(self.d.dir / "asleep.so"), "enabled": False})
        self.d.manifest("nowhere", {"name": "nowhere", "plugin": "/nowhere/x.so", "enabled": False})
        self.d.start()
        states = {p["name"]: p["state"] for p in self.d.rpc().call("bus.plugins")["items"]}
        self.assertEqual((states["asleep"], states["nowhere"]), ("disabled", "disabled"))
        with open(f"/proc/{self.d.pid}/maps") as f:
            self.assertNotIn(os.path.basename(so), f.read())

    def test_a_required_one_that_fails_ends_the_daemon(self):
        so = self.make("needed", start='return hv_err_set (e, HV_E_UNAVAILABLE, "no luck");')
        self.d.manifest("needed", {"name": "needed", "plugin": str(so), "required": True})
        self.d.spawn()
        self.assertEqual(self.d.process.wait(30), 1)
        self.assertIn("no luck", self.d.log())
        self.assertIn("required", self.d.log())

    def test_check_reads_everything_and_starts_nothing(self):
        r = subprocess.run(self.d.argv("--check"), capture_output=True, text=True, timeout=60)
        self.assertEqual(r.returncode, 0, r.stderr)
        self.d.manifest("unknown", '{"name": "unknown", "plugin": "x.so", "enbaled": true}')
        r = subprocess.run(self.d.argv("--check"), capture_output=True, text=True, timeout=60)
        self.assertEqual(r.returncode, 1)
        self.assertIn("did you mean 'enabled'", r.stderr)
        self.assertFalse(self.d.socket.exists())
        self.assertFalse(self.d.state.exists())

    def test_sighup(self):
        self.d.start()
        rpc = self.d.rpc()
        so = self.make("later")
        self.d.process.send_signal(signal.SIGHUP)
        until("the new instance", lambda: "later" in [i["name"] for i in rpc.call("bus.describe")["instances"]])
        self.assertEqual(rpc.call("later.go"), {})
        self.d.manifest("later", {"name": "renamed", "plugin": str(so)})
        self.d.process.send_signal(signal.SIGHUP)
        until("the renamed instance", lambda: {"renamed"} <= {i["name"] for i in rpc.call("bus.describe")["instances"]})
        self.assertNotIn("later", [i["name"] for i in rpc.call("bus.describe")["instances"]])
        (self.d.manifest_dir / "later.json").unlink()
        self.d.process.send_signal(signal.SIGHUP)
        until("its end", lambda: "renamed" not in [i["name"] for i in rpc.call("bus.describe")["instances"]])
        until("its row to go", lambda: [p["name"] for p in rpc.call("bus.plugins")["items"]] == ["good"])
        self.assertEqual(rpc.call("good.add", {"name": "x", "a": 1})["sum"], 2)
        self.assertEqual(self.d.stop(), 0)

    def test_a_binary_built_against_shorter_tables(self):
        so = TOP / "sdk/abi/old" / platform.machine() / "short-tables.so"
        if not so.exists():
            self.skipTest(f"no old binary was kept for {platform.machine()}")
        copy = pathlib.Path(shutil.copy(so, self.d.dir / "short.so"))
        os.chmod(copy, 0o755)
        self.d.manifest("short", {"name": "short", "plugin": str(copy)})
        self.d.start()
        rpc = self.d.rpc()
        self.assertEqual(rpc.call("short.add", {"a": 5}), {"a": 12})
        self.assertEqual(rpc.call("short.add", {"a": 5, "b": 6}), {"a": 11})
        with self.assertRaisesRegex(Exception, "0 to 1000"):
            rpc.call("short.add", {"a": 5000})
        self.assertIn("short.add", self.d.cli("api").stdout)
        self.assertIn("first", self.d.cli("short", "add", "--help").stdout)


if __name__ == "__main__":
    unittest.main(verbosity=2)

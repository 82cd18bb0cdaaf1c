# SPDX-License-Identifier: LGPL-2.1-or-later
"""Faults of the node: a state directory without space, a machine that dies by a signal, one that stands still, a reboot."""
import os
import signal
import subprocess
import sys
import time
import unittest
import uuid

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from hvkitd import Daemon, until  # noqa: E402
from rpc import RpcError  # noqa: E402


class Node(unittest.TestCase):
    config = {}

    def setUp(self):
        self.d = Daemon(plugins=["qmp"])
        self.addCleanup(self.d.cleanup)
        if self.config:
            self.d.manifest("qmp", {"name": "qmp", "plugin": "qmp.so", "config": self.config})

    def machine(self, name):
        return {"vm": name, "machine": {"name": name, "uuid": str(uuid.uuid5(uuid.NAMESPACE_DNS, name)), "memory_bytes": 32 << 20}}

    def call(self, verb, name, **more):
        return self.d.rpc().call(f"qmp.{verb}", {"vm": name, **more})

    def begin(self, name):
        self.d.rpc().call("qmp.define", self.machine(name))
        return self.call("start", name)["pid"]

    def end(self, *names):
        for name in names:
            self.call("stop", name)
            self.call("undefine", name)
        self.assertEqual(self.d.left_behind(), [])


class FullStateDirectory(Node):
    def test_is_said_and_ends_nothing(self):
        self.d.state.mkdir()
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "none", str(self.d.state)], capture_output=True).returncode != 0:
            self.fail("a tmpfs cannot be mounted here; run this as root")
        self.addCleanup(subprocess.run, ["umount", "-l", str(self.d.state)])
        self.d.start()
        pid = self.begin("a")
        self.d.rpc().call("qmp.define", self.machine("b"))
        filler = self.d.state / "filler"
        with open(filler, "wb", buffering=0) as f:
            try:
                while f.write(b"x" * 4096):
                    pass
            except OSError:
                pass
        for verb, args in (("define", self.machine("c")), ("start", {"vm": "b"})):
            with self.subTest(verb), self.assertRaisesRegex(RpcError, "No space left"):
                self.d.rpc().call(f"qmp.{verb}", args)
        self.assertEqual((self.call("get", "a")["state"], self.call("get", "a")["pid"]), ("running", pid))
        self.assertEqual([v["vm"] for v in self.d.rpc().call("qmp.list", {})["items"]], ["a", "b"])
        self.assertEqual(len(self.d.machines()), 1)
        filler.unlink()
        self.d.restart()
        until("a under control", lambda: self.call("get", "a")["state"] == "running")
        self.assertEqual(self.call("get", "a")["pid"], pid)
        self.assertEqual(self.call("start", "b")["state"], "running")
        self.end("a", "b")


class Reboot(Node):
    def boot(self, name):
        """The next daemon is one of another boot."""
        path = self.d.dir / name
        path.write_text(f"{uuid.uuid4()}\n")
        argv = Daemon.argv
        self.d.argv = lambda *more: ["unshare", "-m", "sh", "-c", f"mount --bind {path} /proc/sys/kernel/random/boot_id && exec \"$@\"", "sh", *argv(self.d, *more)]

    def test_every_machine_is_stopped_and_none_is_started(self):
        self.boot("first")
        self.d.start()
        pids = [self.begin(name) for name in ("a", "b")]
        self.d.kill()
        for pid in pids:  # as a reboot does
            os.kill(pid, signal.SIGKILL)
        until("the machines gone", lambda: self.d.machines() == [])
        self.boot("second")
        self.d.start()
        for name in ("a", "b"):
            v = self.call("get", name)
            self.assertEqual((v["state"], v.get("reason")), ("stopped", "node_rebooted"))
        self.assertEqual(self.d.machines(), [])
        self.assertEqual(self.call("start", "a")["state"], "running")
        self.end("a", "b")


class Machines(Node):
    config = {"heartbeat_ms": 200, "command_ms": 1000}

    def test_killed(self):
        self.d.start()
        events = self.d.rpc()
        events.subscribe(["qmp.lifecycle"])
        pid = self.begin("a")
        os.kill(pid, signal.SIGKILL)
        e = events.event(lambda e: e["data"]["state"] == "crashed", timeout=30)["data"]
        self.assertEqual(e["was"], "running")
        self.assertIn("signal 9", e["detail"])
        self.assertEqual(self.call("start", "a")["state"], "running")
        self.end("a")

    def test_standing_still(self):
        self.d.start()
        pid = self.begin("a")
        self.begin("b")
        os.kill(pid, signal.SIGSTOP)
        until("unreachable", lambda: self.call("get", "a")["state"] == "unreachable")
        for verb, args in (("qmp.list", {}), ("qmp.pause", {"vm": "b"}), ("qmp.resume", {"vm": "b"}), ("qmp.stats", {})):
            begin = time.monotonic()
            self.d.rpc().call(verb, args)
            self.assertLess(time.monotonic() - begin, 1.0, verb)  # a tenth of what waiting for it would take
        with self.assertRaisesRegex(RpcError, "UNAVAILABLE"):
            self.call("pause", "a")
        os.kill(pid, signal.SIGCONT)
        until("back", lambda: self.call("get", "a")["state"] == "running")
        os.kill(pid, signal.SIGSTOP)
        self.end("a", "b")  # what stands still can be ended


if __name__ == "__main__":
    unittest.main(verbosity=2)

# SPDX-License-Identifier: LGPL-2.1-or-later
"""The guest agent's verbs that change something, before a real guest: programs run there, its clock is set, its file systems are frozen and
thawed, by whomever and whenever."""
import json
import os
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from guest import Guest  # noqa: E402
from hvkitd import Daemon, until  # noqa: E402
from rpc import RpcError  # noqa: E402


class Agent(unittest.TestCase):
    def setUp(self):
        self.d = Daemon(plugins=["qmp", "guest-agent", "disk-raw", "disk-qcow2"])
        self.addCleanup(self.d.cleanup)
        self.d.start()
        self.g = Guest(self.d, "a")
        self.g.define()
        self.g.start()

    def call(self, verb, **args):
        return self.g.rpc.call(f"guest-agent.{verb}", {"vm": "a", **args})

    def refused(self, code, text, verb, **args):
        with self.assertRaises(RpcError) as e:
            self.call(verb, **args)
        self.assertEqual(e.exception.code, code, e.exception.message)
        self.assertIn(text, e.exception.message)

    def test_programs(self):
        got = self.call("exec", path="/bin/sh", args=["-c", "cat; echo $WORD >&2; exit 7"], env=["WORD=heard", "PATH=/bin"], input=b"said\0so")
        self.assertEqual((got["exit_code"], got["output"], got["error"]), (7, b"said\0so", b"heard\n"))
        self.assertFalse(got["output_truncated"] or got["error_truncated"])
        got = self.call("exec", path="/bin/sh", args=["-c", "kill -9 $$"])
        self.assertEqual((got["signal"], got.get("exit_code")), (9, None))
        got = self.call("exec", path="/bin/sh", args=["-c", "head -c 5000 /dev/zero"], max_output_bytes=1000)
        self.assertEqual((len(got["output"]), got["output_truncated"]), (1000, True))
        self.refused("FAILED_PRECONDITION", "refused", "exec", path="/nowhere")
        begun = time.monotonic()
        with self.assertRaises(RpcError) as e:
            self.call("exec", path="/bin/sleep", args=["1000"], _timeout_ms=1500)
        self.assertEqual(e.exception.code, "DEADLINE_EXCEEDED")
        self.assertLess(time.monotonic() - begun, 20)
        self.assertEqual(self.g.sh("echo still there"), "still there")
        r = self.d.cli("guest-agent", "exec", "a", "/bin/echo", "--args", "from the command line")
        self.assertIn("(22 bytes)", r.stdout)

    def test_clock(self):
        self.g.sh("ln -s /bin/busybox /sbin/hwclock")  # its agent wants one, and looks once
        self.call("set_time", time_ns=1_500_000_000 * 10**9)
        self.assertLess(abs(int(self.g.sh("date +%s")) - 1_500_000_000), 60)
        self.call("set_time")
        self.assertLess(abs(int(self.g.sh("date +%s")) - time.time()), 60)
        self.refused("OUT_OF_RANGE", "2262", "set_time", time_ns=2**63)

    def frozen(self):
        return self.call("freeze_status")["status"] == "frozen"

    def records(self):
        return list((self.d.state / "guest-agent").rglob("*.rec"))

    def test_frozen_and_thawed(self):
        self.assertFalse(self.frozen())
        self.assertGreaterEqual(self.call("freeze", timeout_ms=60000)["filesystems"], 1)
        self.assertTrue(self.frozen())
        self.assertEqual(len(self.records()), 1)
        self.assertEqual(self.call("freeze", timeout_ms=60000)["filesystems"], 0)  # it is already
        self.assertGreaterEqual(self.call("thaw")["filesystems"], 1)
        self.assertFalse(self.frozen())
        self.assertEqual(self.call("thaw")["filesystems"], 0)
        self.assertEqual(self.records(), [])
        with self.subTest("nobody thaws it, so it is thawed"):
            self.call("freeze", timeout_ms=1500)
            until("the thaw", lambda: not self.frozen(), 20)
            until("no record", lambda: self.records() == [], 10)
            self.assertIn("thawed", self.d.log())
        with self.subTest("nor does a daemon that died"):
            self.call("freeze", timeout_ms=3000)
            self.d.kill()
            self.d.start()
            self.g.rpc = self.d.rpc(timeout=60)
            until("the agent", lambda: self.g.call("get")["agent_connected"], 30)
            until("the thaw", lambda: not self.frozen(), 30)
            until("no record", lambda: self.records() == [], 10)
        with self.subTest("a machine that is gone is thawed by nobody"):
            self.call("freeze", timeout_ms=2000)
            self.g.call("stop")
            until("no record", lambda: self.records() == [], 20)

    def copy(self, name):
        """What e2fsck says of a copy of the guest's file system, without changing it: its exit code and its words."""
        start = next(p["start"] for p in json.loads(subprocess.run(["sfdisk", "-J", str(self.g.root)], check=True, capture_output=True, text=True).stdout)["partitiontable"]["partitions"] if p["type"] == "83")
        copy = self.d.dir / name
        subprocess.run(["dd", f"if={self.g.root}", f"of={copy}", "bs=512", f"skip={start}", "conv=sparse", "status=none"], check=True)
        r = subprocess.run(["e2fsck", "-f", "-n", str(copy)], capture_output=True, text=True)
        return r.returncode, r.stdout + r.stderr

    def test_a_backup_of_a_guest_that_writes(self):
        """Frozen, its disk can be copied as it is; unfrozen, the copy has a journal to be replayed."""
        self.g.sh("(i=0; while :; do i=$((i + 1)); head -c 200000 /dev/urandom >/root/f$((i % 7)); mkdir -p /root/d$((i % 5)); rmdir /root/d$(((i + 2) % 5)); sync; done) >/dev/null 2>&1 </dev/null &")
        until("that it writes", lambda: self.g.sh("ls /root").count("f") > 3, 30)
        self.assertIn("journal recovery", self.copy("control")[1])
        self.call("freeze", timeout_ms=60000)
        code, said = self.copy("frozen")
        self.call("thaw")
        self.assertEqual(code, 0, said)
        self.assertNotIn("journal recovery", said)
        before = self.g.sh("cat /root/f* | md5sum")
        until("that it writes again", lambda: self.g.sh("cat /root/f* | md5sum") != before, 30)

    def test_killed_while_freezing(self):
        """Whatever the step: the guest is thawed in the end, and nothing is on record any more."""
        for step in ("freeze.recorded", "freeze.done", "thaw.done"):
            with self.subTest(step):
                self.d.stop()
                self.d.env = {"HVKIT_FAULT_KILL": f"guest-agent/{step}:1"}
                self.d.start()
                self.d.env = {}
                self.g.rpc = self.d.rpc(timeout=60)
                until("the agent", lambda: self.g.call("get")["agent_connected"], 30)
                try:
                    self.call("freeze", timeout_ms=2000)
                    self.call("thaw")
                except (EOFError, OSError):
                    pass
                until("the death", lambda: self.d.process.poll() is not None, 20)
                self.d.start()
                self.g.rpc = self.d.rpc(timeout=60)
                until("the agent", lambda: self.g.call("get")["agent_connected"], 30)
                until("the thaw", lambda: not self.frozen() and self.records() == [], 30)

    def test_shutdown(self):
        self.call("shutdown")
        until("its end", lambda: self.g.call("get")["state"] == "stopped", 60)


if __name__ == "__main__":
    unittest.main()

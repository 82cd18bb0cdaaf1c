# SPDX-License-Identifier: LGPL-2.1-or-later
"""A disk whose file system fills up under a guest that writes: the event with its reason, what block_errors says, the pause, the
repair, and the guest that goes on as if nothing had been. The small file system is a tmpfs in a mount namespace of our own."""
import hashlib
import os
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
import namespace  # noqa: E402
from guest import Guest  # noqa: E402
from hvkitd import Daemon, until  # noqa: E402
from rpc import RpcError  # noqa: E402

DISK, SMALL, LARGE, WRITTEN = 32 << 20, 4 << 20, 64 << 20, 16 << 20


class IoError(unittest.TestCase):
    def setUp(self):
        self.d = Daemon(plugins=["qmp"])
        self.addCleanup(self.d.cleanup)
        self.small = self.d.dir / "small"
        self.small.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SMALL}", "tmpfs", str(self.small)], check=True)
        self.addCleanup(lambda: subprocess.run(["umount", "-l", str(self.small)], check=True))
        self.data = self.small / "data.img"
        with open(self.data, "wb") as f:
            f.truncate(DISK)
        self.d.start()
        self.g = Guest(self.d, "a")
        self.g.define(disks=[self.g.machine()["disks"][0], {"name": "data", "path": str(self.data), "format": "raw", "on_error": "stop"}])
        self.events = self.d.rpc()
        self.events.subscribe(["qmp.*"])
        self.g.start()

    def errors(self, **args):
        return {e["disk"]: e for e in self.g.call("block_errors", **args)["items"]}

    def event(self, topic, **wanted):
        return self.events.event(lambda e: e["topic"] == f"qmp.{topic}" and wanted.items() <= e["data"].items(), timeout=60)["data"]

    def write_in_guest(self):
        """Begins to write; its pid in the guest."""
        return self.g.agent("guest-exec", **{"path": "/bin/sh", "capture-output": True,
                                             "arg": ["-c", f"yes hvkit | dd of=/dev/vdb bs=64k count={WRITTEN >> 16} iflag=fullblock conv=fsync"]})["pid"]

    def fill_up(self):
        """The guest writes more than there is room for, and stands."""
        pid = self.write_in_guest()
        e = self.event("io_error", disk="data")
        self.assertEqual((e["vm"], e["path"], e["operation"], e["action"], e["no_space"]), ("a", str(self.data), "write", "stop", True))
        self.assertIn("No space left", e["reason"])
        e = self.event("lifecycle", state="paused")
        self.assertEqual(e["reason"], "io_error")
        self.assertIn("No space left", e["detail"])
        return pid

    def check_fault(self):
        vm = self.g.call("get")
        self.assertEqual((vm["state"], vm["reason"]), ("paused", "io_error"))
        e = self.errors()
        self.assertEqual(list(e), ["data"])
        self.assertEqual(e["data"]["fault"], "no_space")

    def test_space_runs_out_and_comes_back(self):
        self.assertEqual(self.errors(), {})
        self.assertEqual(self.errors(disk="root")["root"]["fault"], "ok")
        writing = self.fill_up()
        self.check_fault()
        e = self.errors()["data"]
        self.assertEqual(e["operation"], "write")
        self.assertIn("No space left", e["reason"])
        self.assertGreaterEqual(e["count"], 1)
        self.assertGreater(e["last_ms"], 0)
        table = self.d.cli("qmp", "block_errors", "a").stdout
        self.assertRegex(table, r"data +no_space +write")

        # without a repair it fails again at once, and is counted
        count = e["count"]
        try:
            self.g.call("resume")
        except RpcError as failure:
            self.assertEqual(failure.code, "FAILED_PRECONDITION")
        until("the next failure", lambda: self.errors().get("data", {}).get("count", 0) > count)
        until("the guest paused again", lambda: self.g.call("get")["state"] == "paused")
        self.check_fault()

        # a daemon that was not there when it happened finds out from QEMU
        self.d.kill()
        self.d.start()
        self.g.rpc = self.d.rpc()
        self.events = self.d.rpc()
        self.events.subscribe(["qmp.*"])
        until("the VM under control", lambda: self.g.call("get")["state"] == "paused")
        self.check_fault()

        subprocess.run(["mount", "-o", f"remount,size={LARGE}", str(self.small)], check=True)
        self.assertEqual(self.g.call("resume")["state"], "running")
        status = {}

        def written():
            status.update(self.g.agent("guest-exec-status", pid=writing))
            return status["exited"]
        until("the end of the write", written, 60, step=0.1)
        self.assertEqual(status["exitcode"], 0)
        wanted = hashlib.sha256((b"hvkit\n" * (WRITTEN // 6 + 1))[:WRITTEN]).hexdigest()
        self.assertEqual(self.g.sh(f"head -c {WRITTEN} /dev/vdb | sha256sum").split()[0], wanted)
        self.assertEqual(self.errors(disk="data")["data"]["fault"], "ok")
        self.assertEqual(self.g.call("get")["state"], "running")
        self.g.call("stop")
        self.g.call("start", paused=True)
        self.assertEqual(self.errors(), {})  # another run, another count
        self.g.call("stop")
        self.g.call("undefine")
        self.assertEqual(self.d.left_behind(), [])


if __name__ == "__main__":
    namespace.enter("mounting a small file system")
    unittest.main(verbosity=2)

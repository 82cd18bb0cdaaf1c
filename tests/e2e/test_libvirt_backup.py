# SPDX-License-Identifier: LGPL-2.1-or-later
"""Backups under a running guest through libvirt: written, served over NBD, and only what changed since a checkpoint."""
import os
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from guest import Guest  # noqa: E402
from hvkitd import Daemon, until  # noqa: E402
from libvirtd import Libvirtd  # noqa: E402
from rpc import RpcError  # noqa: E402

SIZE = 8 << 20


class Backup(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.l = Libvirtd()
        cls.addClassCleanup(cls.l.cleanup)
        cls.l.start()
        cls.d = Daemon(manifests={"libvirt": {"name": "libvirt", "plugin": "libvirt.so", "config": {"uri": cls.l.uri, "accel": "tcg"}}})
        cls.addClassCleanup(cls.d.cleanup)
        cls.d.start()
        cls.g = Guest(cls.d, "a", backend="libvirt")
        cls.data = cls.d.dir / "data.qcow2"
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(cls.data), str(SIZE)], check=True)
        cls.g.define(disks=[{"name": "root", "path": str(cls.g.root), "format": "raw", "boot_order": 1},
                            {"name": "data", "path": str(cls.data), "format": "qcow2"}])
        cls.g.start()
        cls.rpc = cls.d.rpc(timeout=120)
        cls.rpc.subscribe(["libvirt.*"])

    def begin(self, path, **more):
        return self.rpc.call("libvirt.backup_begin", {"vm": "a", "disks": [{"disk": "data", "path": str(path), "format": "qcow2"}], **more}, timeout=120)

    def write(self, text, at):
        """Into the guest's second disk, and out of its caches."""
        self.g.sh(f"printf %s {text} | dd of=/dev/vdb bs=4096 seek={at} conv=fsync 2>/dev/null")

    def read(self, path, at):
        raw = self.d.dir / "read.raw"
        subprocess.run(["qemu-img", "convert", "-q", "-O", "raw", str(path), str(raw)], check=True)
        with open(raw, "rb") as f:
            f.seek(at * 4096)
            return f.read(16).rstrip(b"\0").decode()

    def test_1_push(self):
        self.write("first", 3)
        full, later = self.d.dir / "full.qcow2", self.d.dir / "later.qcow2"
        self.assertEqual(self.begin(full, checkpoint="c1", quiesce=True)["mode"], "push")
        self.assertEqual(self.read(full, 3), "first")
        self.assertEqual(self.g.agent("guest-fsfreeze-status"), "thawed")
        event = self.rpc.event(lambda e: e["topic"] == "libvirt.job_completed" and e["data"]["job"] == "backup", timeout=20)
        self.assertTrue(event["data"]["ok"])
        self.write("second", 700)
        self.begin(later, since="c1")
        subprocess.run(["qemu-img", "rebase", "-q", "-u", "-f", "qcow2", "-b", "", str(later)], check=True)  # alone, without what is below
        self.assertEqual((self.read(later, 700), self.read(later, 3)), ("second", ""))  # only what changed
        self.assertEqual(self.read(full, 700), "")

    def test_2_pull(self):
        self.write("third", 5)
        answer = self.begin(self.d.dir / "scratch.qcow2", mode="pull")
        self.write("fourth", 5)  # after the point in time
        out = self.d.dir / "pulled.qcow2"
        subprocess.run(["qemu-img", "convert", "-q", "-O", "qcow2", f"nbd+unix:///data?socket={answer['nbd_path']}", str(out)], check=True, timeout=60)
        self.assertEqual(self.read(out, 5), "third")
        with self.assertRaises(RpcError):
            self.begin(self.d.dir / "second.qcow2")  # one at a time
        self.rpc.call("libvirt.backup_end", {"vm": "a"})
        until("its end", lambda: not os.path.exists(answer["nbd_path"]) or not self.busy(), 20)
        with self.assertRaises(RpcError) as e:
            self.rpc.call("libvirt.backup_end", {"vm": "a"})
        self.assertEqual(e.exception.code, "FAILED_PRECONDITION")

    def busy(self):
        return "None" not in self.l.virsh("domjobinfo", "a").stdout

    def test_3_refusals(self):
        there = self.d.dir / "there"
        there.write_text("mine")
        for path, disks, code in ((there, "data", "ALREADY_EXISTS"), (self.d.dir / "x", "none", "NOT_FOUND")):
            with self.assertRaises(RpcError) as e:
                self.rpc.call("libvirt.backup_begin", {"vm": "a", "disks": [{"disk": disks, "path": str(path)}]})
            self.assertEqual(e.exception.code, code, e.exception)
        self.assertEqual(there.read_text(), "mine")
        with self.assertRaises(RpcError) as e:
            self.begin(self.d.dir / "y", since="never-made")
        self.assertIn("never-made", e.exception.message)
        self.assertEqual(self.g.call("get")["state"], "running")


if __name__ == "__main__":
    unittest.main(verbosity=2)

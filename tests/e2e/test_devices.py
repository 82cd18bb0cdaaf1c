# SPDX-License-Identifier: LGPL-2.1-or-later
"""Devices that come and go, sizes that change, and snapshots, all as the guest itself sees them."""
import os
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from guest import Guest  # noqa: E402
from hvkitd import Daemon, until  # noqa: E402
from rpc import RpcError  # noqa: E402


class WithGuest(unittest.TestCase):
    machine = {}

    def setUp(self):
        self.d = Daemon(plugins=["qmp", "disk-qcow2", "disk-raw"])
        self.addCleanup(self.d.cleanup)
        self.d.start()
        self.g = Guest(self.d, "a")
        self.g.define(**self.machine)
        self.g.start()

    def restart_daemon(self):
        """The daemon dies and another takes over."""
        self.d.kill()
        self.d.start()
        self.g.rpc = self.d.rpc()
        until("the VM under control", lambda: self.g.call("get")["state"] in ("running", "paused"))

    def raw(self, name, size):
        path = self.d.dir / name
        with open(path, "wb") as f:
            f.truncate(size)
        return str(path)

    def overlay(self, name, base, form):
        path = str(self.d.dir / name)
        self.g.rpc.call("disk-qcow2.overlay", {"path": path, "backing_path": str(base), "backing_format": form})
        return path

    def disks(self):
        return self.g.sh("cd /sys/block; for d in vd* sd*; do [ -e $d ] && echo $d $(cat $d/size); done; true").splitlines()

    def finish(self):
        self.g.call("stop")
        self.g.call("undefine")
        self.assertEqual(self.d.left_behind(), [])


class HotPlug(WithGuest):
    machine = {"cpu": {"sockets": 1, "max_sockets": 2}}

    def plug_and_unplug(self, bus, name):
        before = self.disks()
        self.g.call("attach", disk={"name": name, "path": self.raw(f"{name}.img", 16 << 20), "format": "raw", "bus": bus})
        new = until("the disk in the guest", lambda: [x for x in self.disks() if x not in before])
        device, sectors = new[0].split()
        self.assertEqual(int(sectors) * 512, 16 << 20)
        self.g.sh(f"echo hello >/dev/{device}; sync")
        with open(self.d.dir / f"{name}.img", "rb") as f:
            self.assertEqual(f.read(6), b"hello\n")

        self.restart_daemon()  # what is plugged in is known to the next daemon
        self.g.call("resize_block", disk=name, size_bytes=32 << 20)
        until("the new size in the guest", lambda: f"{device} {(32 << 20) // 512}" in self.disks())
        with self.assertRaisesRegex(RpcError, "not made smaller"):
            self.g.call("resize_block", disk=name, size_bytes=16 << 20)

        self.g.call("detach", device=name, grace_ms=60000, _timeout_ms=90000)
        until("the disk gone from the guest", lambda: self.disks() == before)
        with self.assertRaisesRegex(RpcError, "NOT_FOUND"):
            self.g.call("detach", device=name)

    def test_disks(self):
        self.plug_and_unplug("virtio", "extra")
        self.plug_and_unplug("scsi", "other")
        self.g.call("attach", disk={"name": "later", "path": self.raw("later.img", 1 << 20), "format": "raw"}, live=False, config=True)
        self.assertNotIn("later.img", " ".join(self.g.call("native")["argv"]))
        self.g.call("stop")
        self.assertIn("later.img", " ".join(self.g.call("native")["argv"]))
        self.finish()

    def test_memory(self):
        def total():
            return int(self.g.sh("grep MemTotal /proc/meminfo").split()[1])
        before = total()
        self.g.call("set_memory", memory_bytes=96 << 20)
        until("less memory in the guest", lambda: total() < before - (24 << 10))
        self.g.call("set_memory", memory_bytes=128 << 20)
        until("the memory back", lambda: total() == before)
        with self.assertRaisesRegex(RpcError, "FAILED_PRECONDITION"):
            self.g.call("set_memory", memory_bytes=256 << 20)
        self.finish()

    def test_processors(self):
        def online():
            # a processor that was plugged in is brought up by whoever manages the guest; here we do
            self.g.sh("for c in /sys/devices/system/cpu/cpu*/online; do [ -e $c ] && echo 1 >$c; done; true")
            return int(self.g.sh("grep -c ^processor /proc/cpuinfo"))
        self.assertEqual(online(), 1)
        self.assertEqual(self.g.call("set_vcpus", vcpus=2)["vcpus"], 2)
        until("the second processor", lambda: online() == 2)
        with self.assertRaisesRegex(RpcError, "max_sockets"):
            self.g.call("set_vcpus", vcpus=3)
        self.finish()


class Snapshots(WithGuest):
    def write(self, text):
        self.g.sh(f"echo {text} >>/root/log; sync")

    def log(self):
        return self.g.sh("cat /root/log").split()

    def test_there_and_back(self):
        self.write("one")
        first = self.overlay("s1.qcow2", self.g.root, "raw")
        self.g.call("snapshot_create", snapshot="s1", disks=[{"disk": "root", "path": first}], quiesce=True)
        self.write("two")
        second = self.overlay("s2.qcow2", first, "qcow2")
        self.g.call("snapshot_create", snapshot="s2", disks=[{"disk": "root", "path": second}])
        self.write("three")
        self.restart_daemon()
        self.assertEqual([(s["snapshot"], s.get("parent"), s["current"]) for s in self.g.call("snapshot_list")["items"]],
                         [("s1", None, False), ("s2", "s1", True)])

        # merging one in the middle and the one on top loses nothing, and the files go
        self.g.call("snapshot_delete", snapshot="s1")
        self.assertFalse(os.path.exists(first))
        self.write("four")
        self.g.call("stop")
        self.g.start()
        self.assertEqual(self.log(), ["one", "two", "three", "four"])

        # back to the second: what came after it is gone, what came before is there
        self.g.call("stop")
        self.g.call("snapshot_revert", snapshot="s2")
        self.assertFalse(os.path.exists(second))
        self.g.start()
        self.assertEqual(self.log(), ["one", "two"])
        self.write("five")
        self.g.call("snapshot_delete", snapshot="s2")
        self.write("six")
        self.assertEqual(self.g.call("snapshot_list")["items"], [])
        self.g.call("stop")
        self.g.start()
        self.assertEqual(self.log(), ["one", "two", "five", "six"])
        self.finish()
        self.assertEqual(sorted(p.name for p in self.d.dir.glob("*.qcow2")), [])
        check = subprocess.run(["qemu-img", "info", "-f", "raw", str(self.g.root)], capture_output=True, text=True)
        self.assertEqual(check.returncode, 0, check.stderr)

    def test_what_cannot_be(self):
        first = self.overlay("s1.qcow2", self.g.root, "raw")
        for args, words in (({"snapshot": "x", "disks": [{"disk": "none", "path": first}]}, "has no disk 'none'"),
                            ({"snapshot": "x", "disks": [{"disk": "root", "path": str(self.g.root)}]}, "in use"),
                            ({"snapshot": "x", "disks": [{"disk": "root", "path": first, "format": "raw"}]}, "qcow2"),
                            ({"snapshot": "x", "disks": [{"disk": "root", "path": str(self.d.dir / "absent")}]}, "absent")):
            with self.subTest(words), self.assertRaisesRegex(RpcError, words):
                self.g.call("snapshot_create", **args)
        small = str(self.d.dir / "small.qcow2")
        self.g.rpc.call("disk-qcow2.create", {"path": small, "virtual_size_bytes": 1 << 20})
        with self.assertRaisesRegex(RpcError, "has 1048576 bytes"):
            self.g.call("snapshot_create", snapshot="x", disks=[{"disk": "root", "path": small}])
        self.g.call("snapshot_create", snapshot="s1", disks=[{"disk": "root", "path": first}])
        self.g.call("stop")
        with self.assertRaisesRegex(RpcError, "has snapshots"):
            self.g.define(replace=True)
        self.g.start()
        with self.assertRaisesRegex(RpcError, "ALREADY_EXISTS"):
            self.g.call("snapshot_create", snapshot="s1", disks=[{"disk": "root", "path": self.overlay("s2.qcow2", first, "qcow2")}])
        with self.assertRaisesRegex(RpcError, "stop it first"):
            self.g.call("snapshot_revert", snapshot="s1")
        for verb in ("snapshot_revert", "snapshot_delete"):
            with self.assertRaisesRegex(RpcError, "NOT_FOUND"):
                self.g.call(verb, snapshot="s9")
        self.finish()


if __name__ == "__main__":
    unittest.main(verbosity=2)

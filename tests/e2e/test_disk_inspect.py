# SPDX-License-Identifier: LGPL-2.1-or-later
"""inspect: partition tables and file systems, raw and qcow2 alike, beside what sfdisk and blkid say of the same bytes."""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from hvkitd import Daemon  # noqa: E402
from rpc import RpcError  # noqa: E402

MIB = 1 << 20
GPT = """label: gpt
label-id: 11111111-2222-3333-4444-555555555555
start=2048, size=16MiB, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B, name="EFI system"
size=40MiB, type=4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709, name="root, the first"
size=8MiB, type=0657FD6D-A4AB-43C4-84E5-0933C84B4F4F, attrs="LegacyBIOSBootable"
"""
MBR = """label: dos
label-id: 0x68766b69
start=2048, size=16MiB, type=c, bootable
start=34816, size=70MiB, type=5
start=36864, size=20MiB, type=83
start=79872, size=20MiB, type=82
start=122880, size=20MiB, type=83
"""


def run(*args, **more):
    return subprocess.run([str(a) for a in args], check=True, capture_output=True, text=True, **more).stdout


class Inspect(unittest.TestCase):
    def setUp(self):
        self.d = Daemon(manifests={n: {"name": n, "plugin": n + ".so"} for n in ("disk-raw", "disk-qcow2")})
        self.addCleanup(self.d.cleanup)
        self.d.start()
        self.dir = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory(prefix="hvkit-disk-")))

    def call(self, plugin, path, **more):
        r = self.d.rpc().call(plugin + ".inspect", {"path": str(path), **more}, timeout=60)
        self.assertEqual(r.pop("path"), str(path))
        return r

    def disk(self, script, size=100 * MIB):
        path = self.dir / "a.img"
        with open(path, "wb") as f:
            f.truncate(size)
        if script:
            run("/usr/sbin/sfdisk", "-q", path, input=script)
        return path

    def theirs(self, path):
        return json.loads(run("/usr/sbin/sfdisk", "-J", path))["partitiontable"]

    def make(self, path, number, program, *args):
        """A file system in a partition, as a file of its own."""
        p = [p for p in self.theirs(path)["partitions"] if p["node"].endswith(f"img{number}")][0]
        fs = self.dir / "fs"
        with open(fs, "wb") as f:
            f.truncate(p["size"] * 512)
        run(program, *args, fs)
        run("dd", f"if={fs}", f"of={path}", "bs=1M", f"seek={p['start'] * 512}", "oflag=seek_bytes", "conv=notrunc,sparse")
        fs.unlink()

    def both(self, path):
        """The same of a raw image and of a qcow2 one."""
        qcow2 = self.dir / "a.qcow2"
        run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", path, qcow2)
        mine = self.call("disk-raw", path)
        self.assertEqual(self.call("disk-qcow2", qcow2), mine)
        overlay = self.dir / "o.qcow2"
        run("qemu-img", "create", "-q", "-f", "qcow2", "-b", qcow2, "-F", "qcow2", overlay)
        self.assertEqual(self.call("disk-qcow2", overlay, backing=[{"path": str(qcow2), "format": "qcow2"}]), mine)
        overlay.unlink()
        qcow2.unlink()
        return mine

    def compare(self, mine, theirs):
        self.assertEqual([(p["number"], p["start_bytes"], p["size_bytes"], p["type"].lower()) for p in mine["partitions"]],
                         [(int(p["node"].rsplit("img", 1)[1]), p["start"] * 512, p["size"] * 512, p["type"].lower()) for p in theirs["partitions"]])
        for m, t in zip(mine["partitions"], theirs["partitions"]):
            self.assertEqual(m.get("uuid"), t.get("uuid"))
            self.assertEqual(m["bootable"], t.get("bootable", False) or "LegacyBIOSBootable" in t.get("attrs", ""))

    def test_gpt(self):
        path = self.disk(GPT)
        self.make(path, 1, "/usr/sbin/mkfs.vfat", "-n", "EFI")
        self.make(path, 2, "/usr/sbin/mke2fs", "-q", "-t", "ext4", "-L", "the root", "-U", "99999999-2222-3333-4444-555555555555")
        self.make(path, 3, "/usr/sbin/mkswap", "-q")
        mine = self.both(path)
        self.assertEqual((mine["table"], mine["disk_id"].lower(), mine["virtual_size_bytes"]), ("gpt", "11111111-2222-3333-4444-555555555555", 100 * MIB))
        self.compare(mine, self.theirs(path))
        one, two, three = mine["partitions"]
        self.assertEqual((one["filesystem"], one["label"], one["type_name"], one["name"]), ("vfat", "EFI", "EFI System", "EFI system"))
        self.assertEqual((two["filesystem"], two["label"], two["filesystem_uuid"]), ("ext4", "the root", "99999999-2222-3333-4444-555555555555"))
        self.assertEqual((three["filesystem"], three["bootable"]), ("swap", True))
        self.assertNotIn("problems", mine)
        with self.subTest("only its copy is left"):
            with open(path, "r+b") as f:
                f.seek(512)
                f.write(bytes(512))
            mine = self.both(path)
            self.assertEqual(len(mine["partitions"]), 3)
            self.assertTrue(any("corrupt" in p for p in mine["problems"]), mine["problems"])

    def test_mbr(self):
        path = self.disk(MBR)
        self.make(path, 1, "/usr/sbin/mkfs.vfat")
        self.make(path, 7, "/usr/sbin/mke2fs", "-q", "-t", "ext4", "-L", "last")
        mine = self.both(path)
        self.assertEqual((mine["table"], mine["disk_id"]), ("mbr", "0x68766b69"))
        self.compare(mine, self.theirs(path))
        self.assertEqual([p["number"] for p in mine["partitions"]], [1, 2, 5, 6, 7])
        self.assertEqual((mine["partitions"][4]["filesystem"], mine["partitions"][4]["label"]), ("ext4", "last"))
        self.assertEqual(mine["partitions"][1]["type_name"], "Extended")
        self.assertTrue(mine["partitions"][0]["bootable"])

    def test_none(self):
        path = self.disk(None, 40 * MIB)
        self.assertEqual(self.both(path), {"virtual_size_bytes": 40 * MIB, "table": "none", "partitions": []})
        run("/usr/sbin/mke2fs", "-q", "-t", "ext4", path)
        self.assertEqual(self.both(path)["filesystem"], "ext4")

    def test_hostile(self):
        """A chain of logical partitions that comes back to itself, and partitions beyond the end."""
        path = self.disk(MBR)
        with open(path, "r+b") as f:
            extended = [p for p in self.theirs(path)["partitions"] if p["type"] == "5"][0]["start"] * 512
            f.seek(extended + 446 + 16)
            f.write(bytes([0, 0, 0, 0, 5, 0, 0, 0]) + (0).to_bytes(4, "little") + (2048).to_bytes(4, "little"))
        self.assertEqual(self.both(path)["table"], "mbr")
        with open(path, "r+b") as f:
            f.seek(446 + 8)
            f.write((1 << 30).to_bytes(4, "little") + (1 << 31).to_bytes(4, "little"))
        self.assertEqual(self.both(path)["table"], "mbr")
        cut = self.dir / "cut.img"
        cut.write_bytes(path.read_bytes()[:700])
        self.both(cut)
        with self.assertRaises(RpcError):
            self.call("disk-qcow2", cut)
        self.d.manifest("disk-raw", {"name": "disk-raw", "plugin": "disk-raw.so", "config": {"sfdisk": "/nonexistent/sfdisk"}})
        self.d.restart()
        with self.assertRaises(RpcError) as e:
            self.call("disk-raw", path)
        self.assertIn("/nonexistent/sfdisk", e.exception.message)


if __name__ == "__main__":
    unittest.main()

# SPDX-License-Identifier: LGPL-2.1-or-later
"""resize and commit of qcow2 images: what the guest sees afterwards, what is refused, and what a death or a missing tool leaves."""
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


def qemu_img(*args):
    return subprocess.run(["qemu-img", *map(str, args)], check=True, capture_output=True, text=True).stdout


def qemu_io(path, *commands, kind="qcow2"):
    args = [x for c in commands for x in ("-c", c)]
    return subprocess.run(["qemu-io", "-f", kind, *args, str(path)], check=True, capture_output=True, text=True).stdout


class Change(unittest.TestCase):
    def setUp(self):
        self.d = Daemon(manifests={"disk-qcow2": {"name": "disk-qcow2", "plugin": "disk-qcow2.so"}})
        self.addCleanup(self.d.cleanup)
        self.d.start()
        self.dir = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory(prefix="hvkit-disk-")))

    def call(self, verb, **args):
        return self.d.rpc().call("disk-qcow2." + verb, {k: str(v) if isinstance(v, pathlib.Path) else v for k, v in args.items()}, timeout=120)

    def refused(self, code, text, verb, **args):
        with self.assertRaises(RpcError) as e:
            self.call(verb, **args)
        self.assertEqual(e.exception.code, code, e.exception.message)
        self.assertIn(text, e.exception.message)

    def make(self, name, size="64M", backing=None, kind="qcow2"):
        path = self.dir / name
        qemu_img("create", "-q", "-f", kind, *(["-b", backing, "-F", "raw" if str(backing).endswith("img") else "qcow2"] if backing else []), path, size)
        return path

    def test_resize(self):
        q = self.make("a.qcow2")
        qemu_io(q, "write -P 5 0 1M", "write -P 6 63M 1M")
        for size in (65 * MIB, 3 << 30):  # the second needs a longer first table
            got = self.call("resize", path=q, virtual_size_bytes=size)
            self.assertEqual(got["virtual_size_bytes"], size)
            qemu_img("check", "-f", "qcow2", q)
            qemu_io(q, "read -P 5 0 1M", "read -P 6 63M 1M", "read -P 0 64M 1M")
        self.refused("FAILED_PRECONDITION", "allow_shrink", "resize", path=q, virtual_size_bytes=MIB)
        self.assertEqual(self.call("resize", path=q, virtual_size_bytes=MIB, allow_shrink=True)["virtual_size_bytes"], MIB)
        qemu_img("check", "-f", "qcow2", q)
        qemu_io(q, "read -P 5 0 1M")
        self.refused("INVALID_ARGUMENT", "512", "resize", path=q, virtual_size_bytes=1000)
        overlay = self.make("o.qcow2", "64M", self.make("base.img", "64M", kind="raw"))
        self.assertEqual(self.call("resize", path=overlay, virtual_size_bytes=100 * MIB)["virtual_size_bytes"], 100 * MIB)
        self.assertTrue(self.call("check", path=overlay)["clean"])

    def test_commit(self):
        for kind in ("raw", "qcow2"):
            with self.subTest(kind):
                base = self.make("base.img" if kind == "raw" else "base.qcow2", "16M", kind=kind)
                qemu_io(base, "write -P 1 0 16M", kind=kind)
                top = self.make(f"top-{kind}.qcow2", "16M", base)
                qemu_io(top, "write -P 2 4M 1M", "write -z 8M 1M")
                self.call("commit", path=top, backing_path=base, backing_format=kind)
                qemu_io(base, "read -P 1 0 4M", "read -P 2 4M 1M", "read -P 1 5M 3M", "read -P 0 8M 1M", "read -P 1 9M 7M", kind=kind)
                self.assertTrue(self.call("check", path=top)["clean"])
                self.assertFalse(any(i["present"] for i in self.call("map", path=top)["items"]), "it was not emptied")
                qemu_io(top, "write -P 3 0 1M")
                self.call("commit", path=top, backing_path=base, backing_format=kind, keep=True)
                self.assertTrue(any(i["present"] for i in self.call("map", path=top)["items"]))
                qemu_io(base, "read -P 3 0 1M", kind=kind)

    def test_refused(self):
        base, other = self.make("base.img", kind="raw"), self.make("other.img", kind="raw")
        middle = self.make("middle.qcow2", "64M", base)
        top = self.make("top.qcow2", "64M", middle)
        self.refused("FAILED_PRECONDITION", "stands alone", "commit", path=self.make("alone.qcow2"), backing_path=base, backing_format="raw")
        self.refused("FAILED_PRECONDITION", f"its base is '{base}'", "commit", path=middle, backing_path=other, backing_format="raw")
        self.refused("INVALID_ARGUMENT", "", "commit", path=middle, backing_path=base, backing_format="qcow2")
        self.refused("UNIMPLEMENTED", "stands on", "commit", path=top, backing_path=middle, backing_format="qcow2")
        with subprocess.Popen(["qemu-io", "-f", "qcow2", str(middle)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as user:
            user.stdout.read(len("qemu-io> "))  # it has the image open now
            self.refused("FAILED_PRECONDITION", "", "commit", path=middle, backing_path=base, backing_format="raw")
            self.refused("FAILED_PRECONDITION", "", "resize", path=middle, virtual_size_bytes=80 * MIB)
            user.stdin.write("quit\n")
            user.stdin.close()
        self.d.manifest("disk-qcow2", {"name": "disk-qcow2", "plugin": "disk-qcow2.so", "config": {"qemu_img": "/nonexistent/qemu-img"}})
        self.d.restart()
        self.refused("NOT_FOUND", "/nonexistent/qemu-img", "resize", path=middle, virtual_size_bytes=80 * MIB)
        info = json.loads(qemu_img("info", "--output=json", "-f", "qcow2", middle))
        self.assertEqual(info["virtual-size"], 64 * MIB)


if __name__ == "__main__":
    unittest.main()

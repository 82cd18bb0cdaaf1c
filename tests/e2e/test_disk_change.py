# SPDX-License-Identifier: LGPL-2.1-or-later
"""resize, rebase, commit, preallocated qcow2 images: what the guest sees afterwards, what is refused, and what a death or a missing tool leaves."""
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

    def test_preallocated(self):
        for cluster in (4096, 65536, 2 * MIB):
            with self.subTest(cluster):
                path = self.dir / f"p{cluster}.qcow2"
                got = self.call("create", path=path, virtual_size_bytes=20 * MIB, cluster_size_bytes=cluster, preallocate=True)
                self.assertGreaterEqual(got["allocated_bytes"], 20 * MIB)
                self.assertEqual((got["virtual_size_bytes"], got["cluster_size_bytes"]), (20 * MIB, cluster))
                qemu_img("check", "-f", "qcow2", path)
                self.assertEqual(path.stat().st_mode & 0o777, 0o600)
        self.refused("ALREADY_EXISTS", "already exists", "create", path=path, virtual_size_bytes=MIB, preallocate=True)
        self.assertEqual(sorted(p.name for p in self.dir.iterdir()), ["p2097152.qcow2", "p4096.qcow2", "p65536.qcow2"])

    def layer(self, path):
        return {"path": str(path), "format": "raw" if path.suffix == ".img" else "qcow2"}

    def chain(self, cluster=65536):
        """base (raw) < middle < top, and what the guest sees of each."""
        base = self.make("base.img", "16M", kind="raw")
        qemu_io(base, "write -P 1 0 12M", kind="raw")
        middle = self.dir / "middle.qcow2"
        qemu_img("create", "-q", "-f", "qcow2", "-b", base, "-F", "raw", "-o", f"cluster_size={cluster}", middle, "16M")
        qemu_io(middle, "write -P 2 1M 1M", "write -z 4M 1M", "write -P 2 14M 64k")
        top = self.dir / "top.qcow2"
        qemu_img("create", "-q", "-f", "qcow2", "-b", middle, "-F", "qcow2", "-o", f"cluster_size={cluster}", top, "17M")
        qemu_io(top, "write -P 3 1536k 1M", "write -P 1 4M 64k", "write -z 8M 64k", "write -P 3 16M 1M")
        return base, middle, top

    def guest_bytes(self, path):
        out = self.dir / "guest.raw"
        qemu_img("convert", "-f", "qcow2", "-O", "raw", path, out)
        data = out.read_bytes()
        out.unlink()
        return data

    def test_rebase(self):
        """What the guest sees stays, whatever is below, and only what differs is in the overlay."""
        for cluster in (512, 65536, 2 * MIB):
            for where in ("a layer below", "nothing", "an image of the same contents", "an empty image", "a shorter image"):
                with self.subTest(f"{where}, clusters of {cluster}"):
                    base, middle, top = self.chain(cluster)
                    os.chmod(top, 0o640)
                    before = self.guest_bytes(top)
                    new, args = None, {}
                    if where == "a layer below":
                        new = base
                    elif where == "an image of the same contents":
                        new = self.dir / "same.img"
                        new.write_bytes(before)
                    elif where == "an empty image":
                        new = self.make("empty.qcow2", "64M")
                    elif where == "a shorter image":
                        new = self.make("short.img", "1M", kind="raw")
                    if new:
                        args = {"backing_path": new, "backing_format": self.layer(new)["format"]}
                    got = self.call("rebase", path=top, backing=[self.layer(middle), self.layer(base)], **args)
                    self.assertEqual(got.get("backing_path"), str(new) if new else None)
                    self.assertEqual((got["virtual_size_bytes"], got["cluster_size_bytes"]), (17 * MIB, cluster))
                    self.assertEqual(self.guest_bytes(top), before)
                    qemu_img("check", "-f", "qcow2", top)
                    self.assertTrue(self.call("check", path=top)["clean"])
                    self.assertEqual(top.stat().st_mode & 0o777, 0o640)
                    present = sum(e["length_bytes"] for e in self.call("map", path=top)["items"] if e["present"] and not e["zero"])
                    if where == "an image of the same contents":
                        self.assertEqual(present, 0)
                    elif where == "a layer below" and cluster == 65536:
                        self.assertEqual(present, 1536 * 1024 + MIB + 65536, "not what differs")
                    for p in self.dir.iterdir():
                        self.assertFalse(p.name.startswith(".hvkit"), p)
                        p.unlink()

    def test_rebase_of_a_name(self):
        base, middle, top = self.chain()
        before = self.guest_bytes(top)
        moved = self.dir / "moved.qcow2"
        middle.rename(moved)
        got = self.call("rebase", path=top, backing_path=moved, backing_format="qcow2", header_only=True)
        self.assertEqual((got["backing_path"], got["backing_format"]), (str(moved), "qcow2"))
        self.assertEqual(self.guest_bytes(top), before)

    def test_rebase_refused(self):
        base, middle, top = self.chain()
        digest = top.read_bytes()
        below = [self.layer(middle), self.layer(base)]
        self.refused("FAILED_PRECONDITION", "was not given (backing)", "rebase", path=top, backing_path=base, backing_format="raw")
        self.refused("INVALID_ARGUMENT", "backing_format", "rebase", path=top, backing_path=base, backing=below)
        self.refused("INVALID_ARGUMENT", "given as raw in backing", "rebase", path=top, backing_path=base, backing_format="qcow2", backing=below)
        self.refused("FAILED_PRECONDITION", "looks like a qcow2", "rebase", path=top, backing_path=self.make("q.qcow2"), backing_format="raw", backing=below)
        self.refused("FAILED_PRECONDITION", "was not given", "rebase", path=top, backing_path=self.make("deep.qcow2", "16M", base), backing_format="qcow2", backing=below)
        self.refused("NOT_FOUND", "nowhere.img", "rebase", path=top, backing_path=self.dir / "nowhere.img", backing_format="raw", backing=below)
        self.assertEqual(top.read_bytes(), digest)
        snapshots = self.make("snapshots.qcow2", "16M", base)
        qemu_img("snapshot", "-c", "one", snapshots)
        self.refused("FAILED_PRECONDITION", "internal snapshots", "rebase", path=snapshots, backing=[self.layer(base)])
        bitmaps = self.make("bitmaps.qcow2", "16M", base)
        qemu_img("bitmap", "--add", bitmaps, "b")
        self.refused("FAILED_PRECONDITION", "persistent bitmaps", "rebase", path=bitmaps, backing=[self.layer(base)])
        with subprocess.Popen(["qemu-io", "-f", "qcow2", str(top)], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as user:
            user.stdin.write(b"read 0 512\n")
            user.stdin.flush()
            user.stdout.readline()
            self.refused("FAILED_PRECONDITION", "in use", "rebase", path=top, backing=below)
            user.stdin.close()
            user.wait()
        self.assertEqual(top.read_bytes(), digest)

    def test_connect(self):
        """Where the kernel has no nbd module, as here, that is the answer, and what to do instead; where it has, the device shows the image."""
        path = self.make("n.qcow2", "16M")
        qemu_io(path, "write -P 9 1M 64k")
        overlay = self.make("over.qcow2", "16M", path)
        self.refused("FAILED_PRECONDITION", "stands alone", "connect", path=overlay)
        self.refused("INVALID_ARGUMENT", "/dev/nbd0", "disconnect", device="/dev/sda")
        self.refused("INVALID_ARGUMENT", "/dev/nbd0", "connect", path=path, device="/dev/nbd01")
        if not os.path.exists("/sys/block/nbd0"):
            self.refused("FAILED_PRECONDITION", "modprobe nbd", "connect", path=path)
            self.refused("FAILED_PRECONDITION", "modprobe nbd", "disconnect", device="/dev/nbd0")
            return
        device = self.call("connect", path=path)["device"]
        self.addCleanup(lambda: subprocess.run(["qemu-nbd", "--disconnect", device], capture_output=True))
        with open(device, "rb") as f:
            f.seek(MIB)
            self.assertEqual(f.read(65536), b"\x09" * 65536)
        self.refused("FAILED_PRECONDITION", "in use", "connect", path=path, device=device)
        self.call("disconnect", device=device)
        self.refused("NOT_FOUND", "shows no image", "disconnect", device=device)

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

# SPDX-License-Identifier: LGPL-2.1-or-later
"""map, resize and convert of raw images, beside qemu-img; and hvkitd dying in the middle of making disks."""
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from hvkitd import Daemon  # noqa: E402
from rpc import RpcError  # noqa: E402

MIB = 1 << 20
KILLS = 100


def qemu_img(*args):
    return subprocess.run(["qemu-img", *map(str, args)], check=True, capture_output=True, text=True).stdout


class Raw(unittest.TestCase):
    def setUp(self):
        self.d = Daemon(manifests={n: {"name": n, "plugin": n + ".so"} for n in ("disk-raw", "disk-qcow2")})
        self.addCleanup(self.d.cleanup)
        self.d.start()
        self.dir = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory(prefix="hvkit-disk-")))
        self.raw = self.dir / "a.img"
        r = random.Random(4)
        with open(self.raw, "wb") as f:
            f.truncate(40 * MIB)
            for at in range(0, 38 * MIB, 3 * MIB):
                f.seek(at)
                f.write(r.randbytes(700000))

    def call(self, method, **args):
        return self.d.rpc().call(method, {k: str(v) if isinstance(v, pathlib.Path) else v for k, v in args.items()}, timeout=120)

    def refused(self, code, text, method, **args):
        with self.assertRaises(RpcError) as e:
            self.call(method, **args)
        self.assertEqual(e.exception.code, code, e.exception.message)
        self.assertIn(text, e.exception.message)

    def test_map(self):
        mine, at = [], 0
        while at is not None:
            page = self.call("disk-raw.map", path=self.raw, offset_bytes=at, limit=3)
            mine += page["items"]
            at = page.get("continue_bytes")
        theirs = json.loads(qemu_img("map", "--output=json", "-f", "raw", self.raw))
        self.assertEqual([(m["offset_bytes"], m["length_bytes"], m["data"], m["zero"]) for m in mine],
                         [(t["start"], t["length"], t["data"], t["zero"]) for t in theirs])
        part = self.call("disk-raw.map", path=self.raw, offset_bytes=MIB, length_bytes=4 * MIB)["items"]
        self.assertEqual((part[0]["offset_bytes"], sum(p["length_bytes"] for p in part)), (MIB, 4 * MIB))
        self.refused("OUT_OF_RANGE", "beyond", "disk-raw.map", path=self.raw, offset_bytes=1 << 40)

    def test_resize(self):
        before = self.raw.read_bytes()
        self.assertEqual(self.call("disk-raw.resize", path=self.raw, virtual_size_bytes=50 * MIB)["virtual_size_bytes"], 50 * MIB)
        self.assertEqual(self.raw.read_bytes(), before + bytes(10 * MIB))
        blocks = self.raw.stat().st_blocks
        self.call("disk-raw.resize", path=self.raw, virtual_size_bytes=60 * MIB, preallocate=True)
        self.assertGreaterEqual(self.raw.stat().st_blocks - blocks, 10 * MIB // 512)
        self.refused("FAILED_PRECONDITION", "allow_shrink", "disk-raw.resize", path=self.raw, virtual_size_bytes=MIB)
        self.assertEqual(self.raw.stat().st_size, 60 * MIB)
        self.call("disk-raw.resize", path=self.raw, virtual_size_bytes=MIB, allow_shrink=True)
        self.assertEqual(self.raw.read_bytes(), before[:MIB])
        q = self.dir / "a.qcow2"
        qemu_img("create", "-q", "-f", "qcow2", q, "1M")
        self.refused("FAILED_PRECONDITION", "looks like a qcow2", "disk-raw.resize", path=q, virtual_size_bytes=2 * MIB)

    def test_convert(self):
        raw, qcow2 = self.dir / "b.img", self.dir / "b.qcow2"
        self.call("disk-raw.convert", path=self.raw, target_path=raw, target_format="raw")
        self.assertEqual(raw.read_bytes(), self.raw.read_bytes())
        self.assertLessEqual(raw.stat().st_blocks, self.raw.stat().st_blocks + 64)
        got = self.call("disk-raw.convert", path=self.raw, target_path=qcow2, target_format="qcow2", cluster_size_bytes=4096)
        self.assertEqual((got["format"], got["cluster_size_bytes"]), ("qcow2", 4096))
        qemu_img("compare", "-f", "raw", "-F", "qcow2", self.raw, qcow2)
        qemu_img("check", "-f", "qcow2", qcow2)
        self.refused("FAILED_PRECONDITION", "looks like a qcow2", "disk-raw.convert", path=qcow2, target_path=self.dir / "c", target_format="raw")
        self.refused("ALREADY_EXISTS", "exists", "disk-raw.convert", path=self.raw, target_path=raw, target_format="raw")
        self.assertEqual(sorted(os.listdir(self.dir)), ["a.img", "b.img", "b.qcow2"])

    def test_kill(self):
        """At a hundred points of a conversion and of an overlay's making: the file is whole, or is not there."""
        rnd = random.Random(6)
        whole = cut = 0
        args = {"path": str(self.raw), "target_path": str(self.dir / "k.qcow2"), "target_format": "qcow2"}
        begun = time.monotonic()
        self.call("disk-raw.convert", **args)
        took = time.monotonic() - begun
        os.unlink(args["target_path"])
        for _ in range(KILLS):
            client = self.d.rpc()
            client.send("disk-raw.convert", args)
            client.send("disk-qcow2.overlay", {"path": str(self.dir / "k.overlay"), "backing_path": str(self.raw), "backing_format": "raw"})
            time.sleep(rnd.uniform(0, 1.3) * took)  # where it dies is chance; what is left is not
            self.d.kill()
            left = sorted(os.listdir(self.dir))
            self.assertEqual([f for f in left if f not in ("a.img", "k.qcow2", "k.overlay")], [])
            for name in left[1:]:
                qemu_img("check", "-f", "qcow2", self.dir / name)
                os.unlink(self.dir / name)
            whole += "k.qcow2" in left
            cut += "k.qcow2" not in left
            self.d.start()
        self.assertGreater(cut, KILLS // 10, "hardly any conversion was cut off: the test proves nothing")
        print(f"{KILLS} deaths: {cut} conversions cut off, {whole} whole")


if __name__ == "__main__":
    unittest.main()

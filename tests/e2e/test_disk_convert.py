# SPDX-License-Identifier: LGPL-2.1-or-later
"""convert, import and map over a matrix of sizes, cluster sizes and chains: qemu-img agrees with every file that is written, and with
every extent."""
import json
import os
import pathlib
import random
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


def write(path, size, seed, part=0.3):
    """Raw: data here and there, down to single sectors."""
    r = random.Random(seed)
    with open(path, "wb") as f:
        f.truncate(size)
        at = 0
        while at < size:
            n = min(r.choice((512, 4096, 65536, 300000)), size - at)
            if r.random() < part:
                f.seek(at)
                f.write(r.randbytes(n))
            at += n


class Convert(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.d = Daemon(manifests={n: {"name": n, "plugin": n + ".so"} for n in ("disk-raw", "disk-qcow2")})
        cls.d.start()

    @classmethod
    def tearDownClass(cls):
        cls.d.cleanup()

    def setUp(self):
        self.dir = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory(prefix="hvkit-disk-")))
        self.n = 0

    def new(self, suffix):
        self.n += 1
        return self.dir / f"{self.n}.{suffix}"

    def call(self, method, **args):
        return self.d.rpc().call(method, {k: str(v) if isinstance(v, pathlib.Path) else v for k, v in args.items()}, timeout=120)

    def refused(self, code, text, method, **args):
        before = sorted(os.listdir(self.dir))
        with self.assertRaises(RpcError) as e:
            self.call(method, **args)
        self.assertEqual(e.exception.code, code, e.exception.message)
        self.assertIn(text, e.exception.message)
        self.assertEqual(sorted(os.listdir(self.dir)), before)

    def same(self, a, a_format, b, b_format):
        qemu_img("compare", "-f", a_format, "-F", b_format, a, b)
        if b_format == "qcow2":
            qemu_img("check", "-f", "qcow2", b)
            self.assertTrue(self.call("disk-qcow2.check", path=b)["clean"])

    def both_ways(self, source, backing=(), **more):
        """qcow2 to raw, and to qcow2, each compared with the source."""
        args = {"path": source, "backing": [{"path": str(p), "format": f} for p, f in backing]}
        raw = self.new("img")
        got = self.call("disk-qcow2.convert", target_path=raw, target_format="raw", **args)
        self.same(source, "qcow2", raw, "raw")
        self.assertEqual(got["file_size_bytes"], os.path.getsize(raw))
        other = self.new("qcow2")
        got = self.call("disk-qcow2.convert", target_path=other, target_format="qcow2", **args, **more)
        self.same(source, "qcow2", other, "qcow2")
        self.assertNotIn("backing_path", got)
        return raw, other

    def test_matrix(self):
        for size in (512, 65536, MIB, 7 * MIB + 1536, 33 * MIB):
            for cluster in (512, 4096, 65536, 2 * MIB):
                with self.subTest(size=size, cluster=cluster):
                    raw = self.new("img")
                    write(raw, size, size + cluster)
                    mine = self.new("qcow2")
                    got = self.call("disk-qcow2.import", path=raw, target_path=mine, cluster_size_bytes=cluster)
                    self.assertEqual((got["virtual_size_bytes"], got["cluster_size_bytes"]), (size, cluster))
                    self.same(raw, "raw", mine, "qcow2")
                    theirs = self.new("qcow2")
                    qemu_img("convert", "-f", "raw", "-O", "qcow2", "-o", f"cluster_size={cluster}", raw, theirs)
                    self.assertLessEqual(mine.stat().st_blocks, theirs.stat().st_blocks + 2 * cluster // 512 + 64, "it is not as sparse")
                    back, _ = self.both_ways(theirs, cluster_size_bytes=cluster)
                    self.assertLessEqual(back.stat().st_blocks, raw.stat().st_blocks + 64)
                    self.map_equals(theirs)
                    self.map_equals(mine)

    def test_compressed(self):
        base, top = self.new("img"), self.new("qcow2")
        write(base, 20 * MIB, 1, part=0.9)
        base.write_bytes(base.read_bytes()[:10 * MIB] + b"hvkit " * (10 * MIB // 6) + b"hvki")
        qemu_img("create", "-q", "-f", "qcow2", "-b", base, "-F", "raw", top, 20 * MIB)
        subprocess.run(["qemu-io", "-f", "qcow2", "-c", "write -P 7 1M 3M", top], check=True, capture_output=True)
        for cluster in (4096, 65536, 2 * MIB):
            with self.subTest(cluster):
                out = self.new("qcow2")
                got = self.call("disk-qcow2.convert", path=top, backing=[{"path": str(base), "format": "raw"}], target_path=out,
                                target_format="qcow2", compress=True, cluster_size_bytes=cluster)
                self.same(top, "qcow2", out, "qcow2")
                self.assertEqual(got["cluster_size_bytes"], cluster)
                self.assertTrue(any(e.get("compressed") for e in self.call("disk-qcow2.map", path=out)["items"]))
                self.assertLess(got["allocated_bytes"], 16 * MIB)
                self.assertEqual(out.stat().st_mode & 0o777, 0o600)
        out = self.new("qcow2")
        self.call("disk-raw.convert", path=base, target_path=out, target_format="qcow2", compress=True)
        self.same(base, "raw", out, "qcow2")
        self.refused("INVALID_ARGUMENT", "target_format qcow2 only", "disk-raw.convert", path=base, target_path=self.dir / "x", target_format="raw", compress=True)
        self.refused("INVALID_ARGUMENT", "target_format qcow2 only", "disk-qcow2.convert", path=out, target_path=self.dir / "x", target_format="raw", compress=True)
        self.refused("FAILED_PRECONDITION", "was not given", "disk-qcow2.convert", path=top, target_path=self.dir / "x", target_format="qcow2", compress=True)
        self.refused("ALREADY_EXISTS", "already exists", "disk-qcow2.convert", path=out, target_path=out, target_format="qcow2", compress=True)

    def test_kinds_of_clusters(self):
        raw = self.new("img")
        write(raw, 9 * MIB, 3)
        for name, options in (("zlib", ["-c"]), ("zstd", ["-c", "-o", "compression_type=zstd"]), ("compat 0.10", ["-o", "compat=0.10"]),
                              ("extended L2", ["-o", "extended_l2=on,cluster_size=128k"]), ("8-bit refcounts", ["-o", "refcount_bits=8"])):
            with self.subTest(name):
                q = self.new("qcow2")
                qemu_img("convert", "-f", "raw", "-O", "qcow2", *options, raw, q)
                subprocess.run(["qemu-io", "-f", "qcow2", "-c", "write -z 1M 1M", "-c", "write -P 7 3000k 3k", "-c", "discard 5M 1M", str(q)],
                               check=True, capture_output=True)
                self.both_ways(q)
                self.map_equals(q)

    def test_chains(self):
        base = self.new("img")
        write(base, 8 * MIB, 1)
        layers, formats = [base], ["raw"]
        for i in range(3):
            top = self.new("qcow2")
            size = (8 + i) * MIB  # each is larger than what it stands on
            qemu_img("create", "-q", "-f", "qcow2", "-b", layers[0], "-F", formats[0], top, size)
            subprocess.run(["qemu-io", "-f", "qcow2", "-c", f"write -P {i + 1} {i}M 700k", "-c", f"write -z {i + 4}M 100k", str(top)], check=True, capture_output=True)
            layers.insert(0, top)
            formats.insert(0, "qcow2")
            self.both_ways(top, list(zip(layers[1:], formats[1:])))
            self.map_equals(top, alone=True)
        self.refused("FAILED_PRECONDITION", "was not given", "disk-qcow2.convert", path=layers[0], target_path=self.new("img"), target_format="raw")
        self.refused("FAILED_PRECONDITION", "stands alone", "disk-qcow2.convert", path=self.both_ways(layers[2], [(base, "raw")])[1],
                     backing=[{"path": str(base), "format": "raw"}], target_path=self.new("img"), target_format="raw")
        self.refused("FAILED_PRECONDITION", "says that its base is raw", "disk-qcow2.convert", path=layers[2],
                     backing=[{"path": str(layers[1]), "format": "qcow2"}], target_path=self.new("img"), target_format="raw")

    def map_equals(self, path, alone=False):
        """Ours, against qemu-img's, sector by sector of what each says."""
        mine, at = [], 0
        while at is not None:
            page = self.call("disk-qcow2.map", path=path, offset_bytes=at, limit=7)
            mine += page["items"]
            at = page.get("continue_bytes")
        end = 0
        for m in mine:
            self.assertEqual(m["offset_bytes"], end, "a gap, or an overlap")
            end += m["length_bytes"]
        theirs = json.loads(qemu_img("map", "--output=json", "-f", "qcow2", path))
        self.assertEqual(end, int(json.loads(qemu_img("info", "--output=json", "-f", "qcow2", path))["virtual-size"]))
        for t in theirs:
            for m in mine:
                begin, stop = max(t["start"], m["offset_bytes"]), min(t["start"] + t["length"], m["offset_bytes"] + m["length_bytes"])
                if begin >= stop:
                    continue
                if alone:
                    self.assertEqual(t["depth"] == 0 and t["present"], m["present"], (t, m))
                    continue
                self.assertEqual((t["data"], t["zero"]), (m["data"] and not m["zero"], m["zero"]), (t, m))
                if "offset" in t and "host_offset_bytes" in m:
                    self.assertEqual(t["offset"] + begin - t["start"], m["host_offset_bytes"] + begin - m["offset_bytes"])

    def test_hostile(self):
        """Tables that point anywhere: an error, and no file."""
        good = self.new("qcow2")
        raw = self.new("img")
        write(raw, 2 * MIB, 9, part=1)
        qemu_img("convert", "-f", "raw", "-O", "qcow2", raw, good)
        data = good.read_bytes()
        l1 = int.from_bytes(data[40:48], "big")
        l2 = int.from_bytes(data[l1:l1 + 8], "big") & 0x00fffffffffffe00
        cases = {
            "L1 beyond the file": (l1, (1 << 63 | 1 << 40).to_bytes(8, "big")),
            "L1 off its cluster": (l1, (1 << 63 | 0x10200).to_bytes(8, "big")),
            "L2 beyond the file": (l2, (1 << 63 | 1 << 40).to_bytes(8, "big")),
            "L2 off its cluster": (l2, (1 << 63 | 0x50200).to_bytes(8, "big")),
            "compressed beyond the file": (l2, (1 << 62 | 1 << 40).to_bytes(8, "big")),
            "compressed garbage": (l2, (1 << 62 | 0x50000).to_bytes(8, "big")),
        }
        for name, (at, value) in cases.items():
            with self.subTest(name):
                bad = self.new("qcow2")
                bad.write_bytes(data[:at] + value + data[at + 8:])
                self.refused("DATA_LOSS", "damaged", "disk-qcow2.convert", path=bad, target_path=self.new("img"), target_format="raw")
        with self.subTest("a table that is its own data"):
            bad = self.new("qcow2")
            bad.write_bytes(data[:l2] + (1 << 63 | l2).to_bytes(8, "big") + data[l2 + 8:])
            self.call("disk-qcow2.convert", path=bad, target_path=self.new("img"), target_format="raw")
        for n in (0, 3, 4, 71, 72, 103, 104, 511):
            with self.subTest(f"cut to {n}"):
                bad = self.new("qcow2")
                bad.write_bytes(data[:n])
                before = sorted(os.listdir(self.dir))
                with self.assertRaises(RpcError):
                    self.call("disk-qcow2.convert", path=bad, target_path=self.dir / "never", target_format="raw")
                self.assertEqual(sorted(os.listdir(self.dir)), before)
        with self.subTest("petabytes in a few clusters"):
            self.refused("FAILED_PRECONDITION", "", "disk-qcow2.map", path=self.petabyte())
        self.refused("FAILED_PRECONDITION", "looks like a qcow2", "disk-qcow2.import", path=good, target_path=self.new("qcow2"))
        self.refused("ALREADY_EXISTS", "exists", "disk-qcow2.convert", path=good, target_path=raw, target_format="raw")

    def petabyte(self):
        q = self.new("qcow2")
        qemu_img("create", "-q", "-f", "qcow2", "-o", "cluster_size=2M", q, "1P")
        return q

    def test_progress(self):
        """Whoever asked is told, also when it is another plugin that does the work."""
        raw = self.new("img")
        with open(raw, "wb") as f:
            f.truncate(1 << 30)
            for at in range(0, 1 << 30, 4 * MIB):
                f.seek(at)
                f.write(os.urandom(MIB))
        for method, target in (("disk-raw.convert", "raw"), ("disk-raw.convert", "qcow2"), ("disk-qcow2.import", None)):
            with self.subTest(method, target=target), self.d.rpc() as rpc:
                out = self.new("out")
                args = {"path": str(raw), "target_path": str(out), "_progress": True, **({"target_format": target} if target else {})}
                rpc.finish(rpc.send(method, args), 60)
                out.unlink()
                seen = [n[1] for n in rpc.notes if n[0] == "progress"]
                self.assertTrue(seen, "no progress")
                self.assertTrue(all("convert" in str(n) for n in seen), seen)

    def test_cancel(self):
        raw = self.new("img")
        with open(raw, "wb") as f:
            f.truncate(2 << 30)
            for at in range(0, 2 << 30, 8 * MIB):
                f.seek(at)
                f.write(os.urandom(MIB))
        client = self.d.rpc()
        before = sorted(os.listdir(self.dir))
        client.send("disk-qcow2.import", {"path": str(raw), "target_path": str(self.dir / "never"), "_progress": True})
        client.close()
        self.assertTrue(self.call("disk-qcow2.import", path=raw, target_path=self.new("qcow2"))["virtual_size_bytes"])
        os.unlink(self.dir / f"{self.n}.qcow2")
        self.assertEqual(sorted(os.listdir(self.dir)), before)


if __name__ == "__main__":
    unittest.main()

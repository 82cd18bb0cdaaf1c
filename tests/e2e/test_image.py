# SPDX-License-Identifier: LGPL-2.1-or-later
"""Images from a real registry, from web servers and from files, into the cache and out of it."""
import os
import pathlib
import random
import subprocess
import sys
import threading
import unittest
import zlib

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from hvkitd import Daemon, until  # noqa: E402
from registry import Registry, digest, layer, pack, tar  # noqa: E402
from rpc import RpcError  # noqa: E402

MIB = 1 << 20


def disk(size=4 * MIB, seed=1):
    """Some data, holes, and a tail that is no multiple of anything."""
    r = random.Random(seed)
    data = bytearray(size + 512)
    for at in range(0, size, MIB):
        data[at:at + 70001] = r.randbytes(70001)
    data[-1] = 7
    return bytes(data)


def manifests(**config):
    return {"container-disk": {"name": "container-disk", "plugin": "container-disk.so", "config": config},
            "disk-qcow2": {"name": "disk-qcow2", "plugin": "disk-qcow2.so"}}


class Images(unittest.TestCase):
    def daemon(self, **config):
        d = Daemon(manifests=manifests(**config))
        self.addCleanup(d.cleanup)
        return d.start()

    def registry(self, **how):
        r = Registry(**how)
        self.addCleanup(r.__exit__)
        return r.__enter__()

    def pull(self, d, image, timeout=60, **args):
        return d.rpc().call("container-disk.pull", {"image": image, "plain_http": True, **args}, timeout=timeout)

    def refused(self, d, code, text, image, verb="pull", **args):
        with self.assertRaises(RpcError) as e:
            d.rpc().call("container-disk." + verb, {"image": image, **({"plain_http": True} if verb == "pull" else {}), **args}, timeout=60)
        self.assertEqual(e.exception.code, code, e.exception.message)
        self.assertIn(text, e.exception.message)

    def files(self, d):
        return sorted(p.name for p in (d.state / "container-disk/images").iterdir())

    def qcow2(self, size="8M", backing=None):
        path = pathlib.Path(self.enterContext(__import__("tempfile").TemporaryDirectory())) / "a.qcow2"
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", *(["-b", backing, "-F", "raw"] if backing else []), str(path), size], check=True)
        return path.read_bytes()

    def test_pull(self):
        d, r = self.daemon(), self.registry()
        data = disk()
        for codec in ("gzip", "zstd", "plain"):
            with self.subTest(codec):
                want = r.push(f"vms/{codec}", "v1", [layer([("disk/disk.img", data)], codec)])
                got = self.pull(d, f"{r.host}/vms/{codec}:v1")
                self.assertEqual(got["digest"], want)
                self.assertEqual(pathlib.Path(got["path"]).read_bytes(), data)
                self.assertEqual(os.stat(got["path"]).st_mode & 0o777, 0o444)
                self.assertEqual((got["format"], got["file"], got["file_size_bytes"]), ("raw", "disk/disk.img", len(data)))
                self.assertEqual(got["checksum"], zlib.crc32(data))
                self.assertLess(got["allocated_bytes"], len(data) // 2, "it is not sparse")
        listed = d.rpc().call("container-disk.list")
        self.assertEqual([i["image"] for i in listed["items"]], [f"{r.host}/vms/{c}:v1" for c in ("gzip", "plain", "zstd")])
        self.assertEqual(listed["cache_bytes"], sum(i["allocated_bytes"] for i in listed["items"]))

    def test_qcow2_and_what_it_names(self):
        d, r = self.daemon(), self.registry()
        r.push("vms/q", "v1", [layer([("disk/fedora.qcow2", self.qcow2())])])
        got = self.pull(d, f"{r.host}/vms/q:v1", format="qcow2")
        self.assertEqual((got["format"], got["virtual_size_bytes"]), ("qcow2", 8 * MIB))
        self.refused(d, "FAILED_PRECONDITION", "on record as qcow2", f"{r.host}/vms/q:v1", format="raw")
        r.push("vms/o", "v1", [layer([("disk/a.qcow2", self.qcow2("8M", "/dev/zero"))])])
        self.refused(d, "FAILED_PRECONDITION", "overlay of '/dev/zero'", f"{r.host}/vms/o:v1")
        r.push("vms/v", "v1", [layer([("disk/a.img", b"KDMV" + bytes(MIB))])])
        self.refused(d, "FAILED_PRECONDITION", "convert it to raw or qcow2", f"{r.host}/vms/v:v1")
        self.assertEqual(len(self.files(d)), 1)

    def test_which_file(self):
        """KubeVirt's rule: one file under /disk, or the one that is named; upper layers hide lower ones."""
        d, r = self.daemon(), self.registry()
        a, b = disk(MIB, 1), disk(MIB, 2)
        cases = {
            "named": ([layer([("disk/a.img", a), ("disk/b.img", b)])], {"file": "/disk/b.img"}, b),
            "elsewhere": ([layer([("boot/vmlinuz", a), ("disk/b.img", b)])], {"file": "/boot/vmlinuz"}, a),
            "beside": ([layer([("etc/passwd", b"x"), ("./disk//a.img", a), ("disk/sub/b.img", b)])], {}, a),
            "upper": ([layer([("disk/a.img", a)]), layer([("disk/a.img", b)])], {}, b),
            "hidden": ([layer([("disk/a.img", a)]), layer([("disk/.wh.a.img", b""), ("disk/b.img", b)])], {}, b),
            "opaque": ([layer([("disk/a.img", a)]), layer([("disk/.wh..wh..opq", b""), ("disk/b.img", b)])], {}, b),
            "long": ([layer([("disk/" + "n" * 150 + ".img", a)], format=__import__("tarfile").GNU_FORMAT)], {}, a),
            "pax": ([layer([("disk/" + "ü" * 150 + ".img", a)], format=__import__("tarfile").PAX_FORMAT)], {}, a),
            "members": ([(layer([("x", b"")])[0], pack(tar([("disk/a.img", a)])[:700])[1] + pack(tar([("disk/a.img", a)])[700:])[1])], {}, a),
        }
        for name, (layers, args, want) in cases.items():
            with self.subTest(name):
                r.push(f"which/{name}", "v1", layers)
                self.assertEqual(pathlib.Path(self.pull(d, f"{r.host}/which/{name}:v1", **args)["path"]).read_bytes(), want)

    def test_index(self):
        d, r = self.daemon(), self.registry()
        a, b = disk(MIB, 1), disk(MIB, 2)
        want = r.push_index("vms/multi", "v1", {"linux/arm64": [layer([("disk/a", a)])], "linux/amd64": [layer([("disk/b", b)])]})
        got = self.pull(d, f"{r.host}/vms/multi:v1")
        self.assertEqual((pathlib.Path(got["path"]).read_bytes(), got["digest"]), (b, want))
        self.refused(d, "NOT_FOUND", "linux/s390x", f"{r.host}/vms/multi:v1", platform="linux/s390x")

    def test_policy_and_names(self):
        d, r = self.daemon(), self.registry()
        a, b = disk(MIB, 1), disk(MIB, 2)
        image = f"{r.host}/vms/t:latest"
        self.refused(d, "NOT_FOUND", "policy is never", image, policy="never")
        first = r.push("vms/t", "latest", [layer([("disk/a", a)])])
        self.assertEqual(self.pull(d, image)["digest"], first)
        second = r.push("vms/t", "latest", [layer([("disk/a", b)])])
        self.assertEqual(self.pull(d, image)["digest"], first)
        self.assertEqual(self.pull(d, image, policy="always")["digest"], second)
        self.assertEqual(self.pull(d, image, policy="never")["digest"], second, "the tag leads to what it was moved to")
        self.assertEqual(self.pull(d, f"{r.host}/vms/t@{first}")["path"].endswith(first[7:]), True)
        self.refused(d, "FAILED_PRECONDITION", "is wanted", f"{r.host}/vms/t:latest", digest=first, policy="always")
        for bad, text in (("tiny", "names no registry"), (f"{r.host}/Vms/t", "lower-case"), (f"{r.host}/vms/t:", "tag"), (f"{r.host}/vms/t@sha256:1", "digest")):
            self.refused(d, "INVALID_ARGUMENT", text, bad)
        self.refused(d, "NOT_FOUND", "does not have that", f"{r.host}/vms/none:v1")
        self.refused(d, "PERMISSION_DENIED", "not on this node", "192.0.2.1:5000/vms/t:v1")

    def test_tls_and_credentials(self):
        d, r = self.daemon(), self.registry(tls=True, users={"alice": "s3cret"})
        data = disk(MIB)
        r.push("vms/t", "v1", [layer([("disk/a", data)])])
        image = f"{r.host}/vms/t:v1"
        more = {"plain_http": False}
        self.refused(d, "PERMISSION_DENIED", "certificate", image, **more)
        self.refused(d, "PERMISSION_DENIED", "wants credentials", image, ca=r.ca, **more)
        wrong = r.docker_config().replace("YWxpY2U6czNjcmV0", "YWxpY2U6eA==")
        self.refused(d, "PERMISSION_DENIED", "refuses the credentials of 'alice'", image, ca=r.ca, docker_config=wrong, **more)
        got = self.pull(d, image, ca=r.ca, docker_config=r.docker_config(), **more)
        self.assertEqual(pathlib.Path(got["path"]).read_bytes(), data)
        self.assertNotIn("s3cret", d.log())
        self.assertNotIn("YWxpY2U6czNjcmV0", d.log())

    def test_single_flight(self):
        """Many ask, one fetches; and each may give up without the others noticing."""
        d, r = self.daemon(), self.registry()
        data = disk(32 * MIB)
        r.push("vms/t", "v1", [layer([("disk/a", data)])])
        got, clients = [], [d.rpc() for _ in range(6)]
        args = {"image": f"{r.host}/vms/t:v1", "plain_http": True}
        clients[0].send("container-disk.pull", args)
        threads = [threading.Thread(target=lambda c=c: got.append(c.call("container-disk.pull", args, timeout=60))) for c in clients[1:]]
        for t in threads:
            t.start()
        clients[0].close()  # who began it goes
        for t in threads:
            t.join()
        self.assertEqual({g["digest"] for g in got}, {got[0]["digest"]})
        self.assertEqual(pathlib.Path(got[0]["path"]).read_bytes(), data)
        self.assertEqual(len(self.files(d)), 1)

    def test_use_quota_and_removal(self):
        r = self.registry()
        images = []
        for i in range(3):
            r.push(f"vms/{i}", "v1", [layer([("disk/a", random.Random(i).randbytes(3 * MIB))])])
            images.append(f"{r.host}/vms/{i}:v1")
        d = self.daemon(quota_bytes=7 * MIB)
        self.pull(d, images[0], used_by="vmi default/a/root")
        self.pull(d, images[1])
        self.pull(d, images[2])
        here = lambda: [i["image"] for i in d.rpc().call("container-disk.list")["items"]]  # noqa: E731
        until("one image to go", lambda: here() == [images[0], images[2]], 20)
        self.refused(d, "FAILED_PRECONDITION", "vmi default/a/root", images[0], verb="remove")
        self.pull(d, images[2], used_by="vmi default/b/root")
        self.refused(d, "RESOURCE_EXHAUSTED", "larger than", images[1])
        d.kill()
        d.start()
        self.assertEqual(here(), [images[0], images[2]])
        self.assertEqual(d.rpc().call("container-disk.get", {"image": images[0]})["used_by"], ["vmi default/a/root"])
        d.rpc().call("container-disk.release", {"used_by": "vmi default/a/root"})
        d.rpc().call("container-disk.remove", {"image": images[0]})
        self.assertEqual(here(), [images[2]])
        self.assertEqual(len(self.files(d)), 1)

    def test_urls(self):
        d, r = self.daemon(), self.registry()
        data = disk()
        r.push_blob("files", data)
        url = f"http://{r.host}/v2/files/blobs/{digest(data)}"
        got = self.pull(d, url)
        self.assertEqual((pathlib.Path(got["path"]).read_bytes(), got["digest"]), (data, digest(data)))
        packed = pack(data)[1]
        r.push_blob("files", packed)
        got = self.pull(d, f"http://{r.host}/v2/files/blobs/{digest(packed)}", digest=digest(packed))
        self.assertEqual(pathlib.Path(got["path"]).read_bytes(), data)
        self.assertEqual(self.pull(d, url, policy="always")["digest"], digest(data))
        path = d.dir / "a.img"
        path.write_bytes(data)
        got = self.pull(d, f"file://{path}")
        self.assertEqual(pathlib.Path(got["path"]).read_bytes(), data)
        self.refused(d, "INVALID_ARGUMENT", "a URL is one file", f"file://{path}", file="/disk/a")
        self.refused(d, "NOT_FOUND", "", f"file://{path}.not")
        self.refused(d, "FAILED_PRECONDITION", "is wanted", url, digest="sha256:" + "0" * 64, policy="always")
        r.push_blob("files", data[1:])
        self.refused(d, "DATA_LOSS", "should have", f"http://{r.host}/v2/files/blobs/{digest(data[1:])}", digest="sha256:" + "0" * 64)


if __name__ == "__main__":
    unittest.main()

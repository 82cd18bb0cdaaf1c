# SPDX-License-Identifier: LGPL-2.1-or-later
"""hvkitd dies in the middle of a pull, at a hundred points: no part of a file is left, what was acknowledged is there, and the next pull
is as good as the first."""
import os
import random
import sys
import time
import unittest
import zlib

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from hvkitd import Daemon  # noqa: E402
from registry import Registry, layer  # noqa: E402

KILLS = 100
MIB = 1 << 20


class Kill(unittest.TestCase):
    def test_pull(self):
        rnd = random.Random(5)
        data = rnd.randbytes(24 * MIB) + bytes(8 * MIB) + rnd.randbytes(MIB)
        d = Daemon(manifests={"container-disk": {"name": "container-disk", "plugin": "container-disk.so"}})
        self.addCleanup(d.cleanup)
        d.start()
        images = d.state / "container-disk/images"
        with Registry() as r:
            r.push("vms/t", "v1", [layer([("disk/a", data)])])
            args = {"image": f"{r.host}/vms/t:v1", "plain_http": True}
            begun = time.monotonic()
            got = d.rpc().call("container-disk.pull", args, timeout=60)
            took = time.monotonic() - begun
            d.rpc().call("container-disk.remove", {"image": args["image"]})
            whole = cut = 0
            for _ in range(KILLS):
                client = d.rpc()
                client.send("container-disk.pull", {**args, "used_by": "x"})
                time.sleep(rnd.uniform(0, 1.2) * took)  # where it dies is chance; what is left is not
                d.kill()
                d.start()
                listed = d.rpc().call("container-disk.list")["items"]
                self.assertEqual(len(listed), len(list(images.iterdir())), "a file without a record, or a record without a file")
                if not listed:
                    cut += 1
                    continue
                whole += 1
                self.assertEqual(os.path.getsize(listed[0]["path"]), len(data))
                self.assertEqual(listed[0]["checksum"], zlib.crc32(data))
                d.rpc().call("container-disk.release", {"used_by": "x"})
                d.rpc().call("container-disk.remove", {"image": listed[0]["digest"]})
            self.assertGreater(cut, KILLS // 10, "hardly any pull was cut off: the test proves nothing")
            again = d.rpc().call("container-disk.pull", args, timeout=60)
            with open(again["path"], "rb") as f:
                self.assertEqual(f.read(), data)
            self.assertEqual(again["digest"], got["digest"])
            print(f"{KILLS} deaths: {cut} pulls cut off, {whole} whole")


if __name__ == "__main__":
    unittest.main()

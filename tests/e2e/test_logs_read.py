# SPDX-License-Identifier: LGPL-2.1-or-later
"""hvkit logs: what a guest, its firmware and its hypervisor said, read and followed, on both backends."""
import os
import re
import subprocess
import sys
import threading
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from guest import Guest  # noqa: E402
from hvkitd import Daemon, until  # noqa: E402
from libvirtd import Libvirtd  # noqa: E402
from test_console import Terminal  # noqa: E402


class Follower:
    """hvkit logs -f in a pipe, read all the time."""

    def __init__(self, daemon, *args):
        self.p = subprocess.Popen([*daemon.cli_argv(), *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.seen = b""
        self.reader = threading.Thread(target=self._read)
        self.reader.start()

    def _read(self):
        while data := os.read(self.p.stdout.fileno(), 65536):
            self.seen += data

    def end(self, timeout=60):
        status = self.p.wait(timeout)
        self.reader.join(timeout)
        self.error = self.p.stderr.read().decode()
        return status

    def close(self):
        if self.p.poll() is None:
            self.p.kill()
        self.end()
        self.p.stdout.close()
        self.p.stderr.close()


class Qmp(unittest.TestCase):
    backend = "qmp"
    lines = 8000  # more than one file of the log

    @classmethod
    def begin(cls):
        return Daemon(manifests={"qmp": {"name": "qmp", "plugin": "qmp.so", "config": {"log_bytes": 65536, "log_keep": 4}}})

    @classmethod
    def setUpClass(cls):
        cls.d = cls.begin()
        cls.addClassCleanup(cls.d.cleanup)
        cls.d.start()
        cls.g = Guest(cls.d, "a", backend=cls.backend)

    def logs(self, *args, **more):
        return self.d.cli(self.backend, "logs", "a", *args, **more)

    def follow(self, *args):
        f = Follower(self.d, self.backend, "logs", "a", "-f", *args)
        self.addCleanup(f.close)
        return f

    def rotated(self):
        path = self.g.call("get")["log_path"]
        return len([n for n in os.listdir(os.path.dirname(path)) if n.startswith(os.path.basename(path) + ".")])

    def test_read_and_followed_to_the_end(self):
        self.g.define()
        self.g.start()
        follower = self.follow()
        late = self.follow("--tail", "0")
        before = self.logs().stdout
        self.assertIn("GUEST-READY", before)
        until("its beginning", lambda: b"GUEST-READY" in follower.seen)
        until("both", lambda: self.d.rpc().call("bus.stats")["streams"] >= 2)

        self.g.sh(f"i=0; while [ $i -lt {self.lines} ]; do echo line-$i-; i=$((i+1)); done > /dev/ttyS0", timeout=180)
        wanted = list(range(self.lines))

        def lines(text):
            return [int(n) for n in re.findall(rb"line-(\d+)-", text)]
        for f in (follower, late):
            until("the last line", lambda: f"line-{self.lines - 1}-".encode() in f.seen, 60)
            self.assertEqual(lines(f.seen), wanted)
        self.assertNotIn(b"GUEST-READY", late.seen)
        if self.backend == "qmp":
            self.assertGreater(self.rotated(), 0)
        self.assertEqual(lines(self.logs().stdout.encode()), wanted)
        self.assertEqual(lines(self.logs("--tail", str(self.lines // 2 + 50)).stdout.encode())[-self.lines // 2:], wanted[-self.lines // 2:])

        self.assertIn("\x1b[6n", before)  # as it is down a pipe; on a terminal it would be asked where its cursor is
        t = Terminal(self.d, self.backend, "logs", "a")
        self.addCleanup(t.close)
        t.expect(b"built-in shell")
        t.expect(f"line-{self.lines - 1}-".encode())
        self.assertEqual(t.end(), 0)
        self.assertNotIn(b"\x1b", t.all)

        everything = self.logs("--source", "all").stdout
        self.assertRegex(everything, r"(?m)^serial   \| .*GUEST-READY")
        self.whose_words(everything)

        self.g.call("stop")
        for f in (follower, late):  # nobody writes any more: that is the end of it
            self.assertEqual((f.end(), f.error), (0, ""))
        self.assertIn(f"line-{self.lines - 1}-", self.logs("--tail", "20").stdout)
        until("every stream to end", lambda: self.d.rpc().call("bus.stats")["streams"] == 0)
        self.g.call("undefine")
        r = self.logs(check=False)
        self.assertEqual((r.returncode, "'a'" in r.stderr), (1, True))

    def whose_words(self, everything):
        self.assertRegex(everything, r"(?m)^firmware \| .*SeaBIOS \(version")
        self.assertIn("SeaBIOS (version", self.logs("--source", "firmware").stdout)
        self.assertNotIn("GUEST-READY", self.logs("--source", "firmware").stdout)

    def test_nobody_reads(self):
        """A follower that stops reading holds up nobody, one that is killed leaves nothing."""
        self.g.define()
        self.g.start()
        p = subprocess.Popen([*self.d.cli_argv(), self.backend, "logs", "a", "-f"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        self.addCleanup(lambda: (p.kill(), p.wait(), p.stdout.close()))
        self.assertTrue(p.stdout.read(1))
        until("attached", lambda: self.d.rpc().call("bus.stats")["streams"] == 1)
        self.g.sh(f"i=0; while [ $i -lt {self.lines} ]; do echo line-$i-; i=$((i+1)); done > /dev/ttyS0", timeout=180)
        self.assertIn(f"line-{self.lines - 1}-", self.logs("--tail", "20").stdout)
        p.kill()
        until("every stream to end", lambda: self.d.rpc().call("bus.stats")["streams"] == 0)
        self.g.call("stop")
        self.g.call("undefine")


class Libvirt(Qmp):
    backend = "libvirt"
    lines = 2000

    @classmethod
    def begin(cls):
        cls.l = Libvirtd()
        cls.addClassCleanup(cls.l.cleanup)
        cls.l.start()
        return Daemon(manifests={"libvirt": {"name": "libvirt", "plugin": "libvirt.so", "config": {
            "uri": cls.l.uri, "accel": "tcg", "qemu_logs": str(cls.l.dir / "var/log/libvirt/qemu")}}})

    def whose_words(self, everything):
        self.assertRegex(everything, r"(?m)^qemu     \| .*starting up libvirt")
        self.assertIn("starting up libvirt", self.logs("--source", "hypervisor").stdout)
        r = self.logs("--source", "firmware", check=False)
        self.assertEqual(r.returncode, 1)
        self.assertIn("qmp backend", r.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)

# SPDX-License-Identifier: LGPL-2.1-or-later
"""hvkit-logd alone: caps, rotation, floods, full disks, who may talk to it, how it ends."""
import array
import os
import pathlib
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "..", "tests", "lib"))
from hvkitd import build_dir, until  # noqa: E402

OPEN, ADOPT, SYNC, STATUS = 1, 2, 3, 4
REQUEST, ANSWER = "<IIQII4096s", "<IiQQQ256s"


class Logd(unittest.TestCase):
    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="hvkit-logd-"))
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)
        self.root = self.dir / "root"
        self.root.mkdir()
        self.path = self.dir / "s"
        self.start()

    def start(self):
        self.process = subprocess.Popen([str(build_dir() / "plugins/lib/hvkit-logd"), "--socket", str(self.path), "--root", str(self.root)])
        self.addCleanup(self.end, self.process)
        self.s = until("hvkit-logd", self.connect)

    def end(self, process):
        if process.poll() is None:
            process.kill()
        process.wait()

    def connect(self):
        s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        if s.connect_ex(str(self.path)) != 0:
            s.close()
            return None
        self.addCleanup(s.close)
        return s

    def ask(self, op, path="", cap=1 << 20, keep=2, fd=None, raw=None, s=None):
        s = s or self.s
        data = raw if raw is not None else struct.pack(REQUEST, 1, op, cap, keep, 0, os.fsencode(str(path)))
        s.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))] if fd is not None else [])
        answer, control, _, _ = s.recvmsg(4096, socket.CMSG_SPACE(4))
        fds = [array.array("i", c[2])[0] for c in control]
        version, code, logs, size, lost, text = struct.unpack(ANSWER, answer)
        self.assertEqual(version, 1)
        return code, (fds[0] if fds else None), {"logs": logs, "bytes": size, "lost": lost, "text": text.rstrip(b"\0").decode()}

    def open(self, name, **more):
        code, fd, status = self.ask(OPEN, self.root / name, **more)
        self.assertEqual(code, 0, status)
        return fd

    def sync(self, name):
        self.assertEqual(self.ask(SYNC, self.root / name)[0], 0)

    def test_writes_and_rotates(self):
        fd = self.open("a.log", cap=1000, keep=2)
        text = "".join(f"{i:09d}\n" for i in range(350))
        os.write(fd, text.encode())
        self.sync("a.log")
        names = sorted(p.name for p in self.root.iterdir())
        self.assertEqual(names, ["a.log", "a.log.0", "a.log.1"])
        kept = "".join((self.root / n).read_text() for n in ("a.log.1", "a.log.0", "a.log"))
        self.assertEqual(kept, text[-len(kept):])
        self.assertEqual([(self.root / n).stat().st_size for n in names], [500, 1000, 1000])
        self.assertEqual((self.root / "a.log").stat().st_mode & 0o777, 0o600)
        os.close(fd)
        until("the end of the log", lambda: self.ask(STATUS)[2]["logs"] == 0)

    def test_appends_to_what_is_there(self):
        (self.root / "a.log").write_text("before\n")
        fd = self.open("a.log")
        os.write(fd, b"after\n")
        self.sync("a.log")
        self.assertEqual((self.root / "a.log").read_text(), "before\nafter\n")
        os.close(fd)

    def test_a_flood_is_bounded_and_holds_up_nobody(self):
        flood, quiet = self.open("flood.log", cap=1 << 20, keep=1), self.open("quiet.log")
        writer = subprocess.Popen(["dd", "if=/dev/zero", "bs=1M", "count=200"], stdout=flood, stderr=subprocess.DEVNULL)
        os.write(quiet, b"still here\n")
        until("the quiet one", lambda: (self.root / "quiet.log").read_text() == "still here\n", 20)
        self.assertEqual(writer.wait(60), 0)
        self.sync("flood.log")
        self.assertLessEqual(sum(p.stat().st_size for p in self.root.glob("flood*")), 2 << 20)
        self.assertGreaterEqual(self.ask(STATUS)[2]["bytes"], 200 << 20)
        for fd in (flood, quiet):
            os.close(fd)

    def test_a_full_disk_loses_and_says_so(self):
        small = self.root / "small"
        small.mkdir()
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(small)], capture_output=True).returncode != 0:
            self.fail("a tmpfs cannot be mounted here; run this as root")
        self.addCleanup(subprocess.run, ["umount", "-l", str(small)])
        fd = self.open("small/a.log", cap=1 << 20, keep=0)
        os.write(fd, b"x" * 60000)
        for _ in range(4):
            os.write(fd, b"y" * 60000)
        self.sync("small/a.log")
        self.assertGreater(self.ask(STATUS)[2]["lost"], 100000)
        os.truncate(small / "a.log", 0)
        os.write(fd, b"again\n")
        self.sync("small/a.log")
        text = (small / "a.log").read_text()
        self.assertRegex(text, r"\[hvkit-logd: \d+ bytes lost: No space left on device\]\nagain\n$")
        os.close(fd)

    def test_the_cap_stands_when_nothing_can_be_put_aside(self):
        (self.root / "a.log.0").mkdir()
        (self.root / "a.log.0/x").touch()
        fd = self.open("a.log", cap=1000, keep=1)
        os.write(fd, b"x" * 5000)
        self.sync("a.log")
        self.assertEqual((self.root / "a.log").stat().st_size, 1000)
        self.assertEqual(self.ask(STATUS)[2]["lost"], 4000)
        os.close(fd)

    def test_more_descriptors_than_one_are_nobodys(self):
        def count():
            return len(os.listdir(f"/proc/{self.process.pid}/fd"))
        self.ask(STATUS)  # it has accepted us
        before = count()
        r, w = os.pipe()
        data = struct.pack(REQUEST, 1, STATUS, 1, 1, 0, b"")
        for _ in range(5):
            self.s.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [r, w]))])
            self.s.recv(4096)
        self.assertEqual(count(), before)
        os.close(r)
        os.close(w)

    def test_refuses(self):
        outside = self.dir / "outside.log"
        link = self.root / "link"
        link.symlink_to(self.dir)
        for path, code in ((outside, -7), (self.root / "../outside.log", -7), (link / "outside.log", None), (self.root / "none/a.log", None), ("a.log", -7)):
            with self.subTest(path):
                got, fd, _ = self.ask(OPEN, path)
                self.assertLess(got, 0)
                self.assertIsNone(fd)
        self.assertFalse(outside.exists())
        for raw in (b"x", struct.pack(REQUEST, 2, OPEN, 1, 1, 0, b"/x"), struct.pack(REQUEST, 1, 99, 1, 1, 0, b"/x"),
                    struct.pack(REQUEST, 1, OPEN, 1, 1, 0, b"x" * 4096), struct.pack(REQUEST, 1, ADOPT, 1, 1, 0, b"/x"), b"y" * 5000):
            self.assertLess(self.ask(0, raw=raw)[0], 0)
        self.assertEqual(self.ask(STATUS)[0], 0)

    def test_a_reader_that_died_is_replaced(self):
        fd = self.open("a.log")
        os.write(fd, b"one\n")
        self.sync("a.log")
        again = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_NONBLOCK)  # the pipe's other end, by way of the writer's
        self.process.kill()
        self.process.wait()
        os.write(fd, b"two\n")  # nobody reads, and nothing is lost
        self.start()
        self.assertEqual(self.ask(ADOPT, self.root / "a.log", fd=again)[0], 0)
        os.close(again)
        os.write(fd, b"three\n")
        self.sync("a.log")
        self.assertEqual((self.root / "a.log").read_text(), "one\ntwo\nthree\n")
        os.close(fd)

    def test_ends_by_itself_and_alone(self):
        other = subprocess.run([str(build_dir() / "plugins/lib/hvkit-logd"), "--socket", str(self.path), "--root", str(self.root)], capture_output=True, text=True)
        self.assertEqual(other.returncode, 1)
        self.assertIn("another one", other.stderr)
        fd = self.open("a.log")
        self.s.close()
        os.write(fd, b"on\n")
        until("the line", lambda: (self.root / "a.log").read_text() == "on\n")
        self.assertIsNone(self.process.poll())  # a log holds it
        os.close(fd)
        self.assertEqual(self.process.wait(20), 0)
        self.assertEqual([p.name for p in self.dir.iterdir() if p.name.startswith("s")], [])

    def test_a_signal_writes_what_there_is(self):
        fd = self.open("a.log")
        os.write(fd, b"last words\n")
        self.process.send_signal(signal.SIGTERM)
        self.assertEqual(self.process.wait(20), 0)
        self.assertEqual((self.root / "a.log").read_text(), "last words\n")
        os.close(fd)


if __name__ == "__main__":
    unittest.main(verbosity=2)

# SPDX-License-Identifier: LGPL-2.1-or-later
"""hvkit on the serial console and the display of a real guest: what is typed arrives, what it prints is seen, sessions are exclusive."""
import os
import pty
import select
import signal
import socket
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from guest import Guest  # noqa: E402
from hvkitd import Daemon, until  # noqa: E402

LIMIT = 60


class Terminal:
    """hvkit on a terminal of its own."""

    def __init__(self, daemon, *args):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execv(daemon.cli_argv()[0], [*daemon.cli_argv(), *args])
        self.seen = self.all = b""

    def expect(self, text):
        end = time.monotonic() + LIMIT
        while text not in self.seen:
            if time.monotonic() > end:
                raise AssertionError(f"{text!r} did not come: {self.seen!r}")
            if select.select([self.fd], [], [], 1)[0]:
                try:
                    data = os.read(self.fd, 4096)
                    self.seen += data
                    self.all += data
                except OSError:  # the program has ended
                    end = 0
        self.seen = self.seen[self.seen.index(text) + len(text):]

    def close(self):
        if self.fd >= 0:
            os.kill(self.pid, signal.SIGKILL)
            self.end()

    def type(self, data):
        os.write(self.fd, data)

    def end(self):
        status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        os.close(self.fd)
        self.fd = -1
        return status


class Console(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.d = Daemon(plugins=["qmp", "disk-raw"])
        cls.addClassCleanup(cls.d.cleanup)
        cls.d.start()
        cls.g = Guest(cls.d, "a")
        cls.g.define(graphics=True)
        cls.g.start()

    def hvkit(self, *args, **more):
        return subprocess.Popen([*self.d.cli_argv(), *args], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more)

    def terminal(self, *args):
        t = Terminal(self.d, *args)
        self.addCleanup(t.close)
        return t

    def none_left(self):
        until("every stream to end", lambda: self.g.rpc.call("bus.stats")["streams"] == 0)

    def test_terminal(self):
        t = self.terminal("qmp", "console", "a")
        t.expect(b"Connected to console of a. Ctrl-] leaves.")
        t.type(b"echo got-$((6*7))\r")
        t.expect(b"got-42")
        t.type(b"\x1d")
        t.expect(b"Disconnected.")
        self.assertEqual(t.end(), 0)
        self.none_left()

    def test_one_session_at_a_time_unless_by_force(self):
        first = self.terminal("qmp", "console", "a")
        first.expect(b"Connected")
        r = self.d.cli("qmp", "console", "a", check=False)
        self.assertEqual(r.returncode, 1)
        self.assertIn("in use", r.stderr)
        second = self.terminal("qmp", "console", "a", "--force")
        second.expect(b"Connected")
        first.expect(b"closed the connection")
        self.assertEqual(first.end(), 0)
        second.type(b"echo got-$((6*8))\r")
        second.expect(b"got-48")
        second.type(b"\x1d")
        self.assertEqual(second.end(), 0)
        self.none_left()
        third = self.terminal("qmp", "console", "a")  # the one before has left, so nothing is in use
        third.expect(b"Connected")
        third.type(b"\x1d")
        self.assertEqual(third.end(), 0)
        self.none_left()

    def test_piped(self):
        p = self.hvkit("qmp", "console", "a")
        self.addCleanup(lambda: (p.kill(), p.wait(), p.stdout.close(), p.stderr.close()))
        p.stdin.write(b"echo got-$((6*9))\n")
        p.stdin.flush()
        seen, end = b"", time.monotonic() + LIMIT
        while b"got-54" not in seen and time.monotonic() < end:
            if select.select([p.stdout], [], [], 1)[0]:
                seen += os.read(p.stdout.fileno(), 4096)
        self.assertIn(b"got-54", seen)
        p.stdin.close()  # the end of the input is the end of the session
        self.assertEqual(p.wait(LIMIT), 0)
        self.none_left()

    def test_display_for_a_viewer(self):
        path = str(self.d.dir / "viewer.sock")
        p = self.hvkit("qmp", "display", "a", "--proxy", path, text=True)
        self.assertIn("listening at", p.stdout.readline())
        for _ in range(2):
            s = socket.socket(socket.AF_UNIX)
            s.settimeout(LIMIT)
            s.connect(path)
            self.assertRegex(s.recv(12), rb"RFB 003\.\d{3}\n")
            s.sendall(b"RFB 003.008\n")
            self.assertGreaterEqual(len(s.recv(2)), 1)  # its security types
            s.close()
        p.send_signal(signal.SIGINT)
        _, err = p.communicate(timeout=LIMIT)
        self.assertEqual((p.returncode, err), (0, ""))
        self.none_left()


if __name__ == "__main__":
    unittest.main(verbosity=2)

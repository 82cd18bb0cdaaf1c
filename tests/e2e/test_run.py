# SPDX-License-Identifier: LGPL-2.1-or-later
"""hvkit run under a supervisor: its exit status is what became of the VM, and nothing of the VM outlives it, however it ends."""
import os
import pathlib
import signal
import socket
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from hvkitd import TOP, Daemon, build_dir, until  # noqa: E402

EXAMPLE = TOP / "examples/local-disk.yaml"


class Run(unittest.TestCase):
    def setUp(self):
        self.d = Daemon()
        self.addCleanup(self.d.cleanup)
        self.d.socket = self.d.run / "hvkit.sock"
        out = build_dir() / "guest"
        subprocess.run([str(TOP / "tests/guest/build"), str(out)], check=True, capture_output=True)
        volume = self.d.state / "vmi/volumes/default/ubuntu-amd-sys-disk/disk.img"
        volume.parent.mkdir(parents=True)
        subprocess.run(["cp", "--sparse=always", str(out / "disk.img"), str(volume)], check=True)
        self.told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.told.close)
        self.told.bind(str(self.d.dir / "notify"))
        self.told.settimeout(120)
        self.out = self.d.dir / "out"

    def begin(self, manifest=EXAMPLE, *more):
        argv = [str(self.d.build / "cli/hvkit"), "run", "-f", str(manifest), "--state-dir", str(self.d.state), "--run-dir", str(self.d.run),
                "--manifests", str(self.d.manifest_dir), "--plugin-dir", str(self.d.build / "plugins/lib"), "--hvkitd", str(self.d.build / "core/hvkitd"), *more]
        with open(self.out, "wb") as out:
            self.p = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env={**os.environ, "NOTIFY_SOCKET": str(self.d.dir / "notify")})
        self.addCleanup(self.end)
        return self

    def end(self):
        if self.p.poll() is None:
            self.p.kill()
            self.p.wait()
        try:
            until("the end of everything", lambda: self.children() == [], 60)
        except AssertionError as e:
            raise AssertionError(f"{e}: {self.children()}\n{self.said()}") from None

    def said(self):
        return self.out.read_text(errors="replace")

    def ready(self):
        while b"READY=1" not in self.told.recv(4096):  # what an earlier run told is of no interest
            pass
        self.assertTrue(self.d.socket.exists())
        return self

    def agent(self):
        self.d.cli("wait", "vmi", "ubuntu-amd", "--for", "AgentConnected", "--timeout", "180s", timeout=240)
        return self

    def ended(self, status, timeout=90):
        self.assertEqual(self.p.wait(timeout), status, self.said())
        self.assertEqual(self.children(), [])
        self.assertEqual(self.d.machines(), [])
        return self.said()

    def children(self):
        """Processes that know of our directory: hvkitd, the keeper, QEMU, dnsmasq …"""
        found = []
        for p in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                if int(p.name) != os.getpid() and os.fsencode(str(self.d.dir)) in (p / "cmdline").read_bytes() and "State:\tZ" not in (p / "status").read_text():
                    found.append((int(p.name), (p / "comm").read_text().strip()))
            except (FileNotFoundError, ProcessLookupError):
                pass
        return found

    def pid_of(self, name):
        return next(pid for pid, comm in self.children() if comm == name)

    def test_the_guest_shuts_down(self):
        self.begin()
        self.assertFalse(self.d.socket.exists())  # it is there when the VM runs
        self.ready().agent()
        self.d.cli("guest-agent", "shutdown", "default_ubuntu-amd", "--backend", "qmp")
        said = self.ended(0)
        self.assertIn("the machine runs on qmp", said)
        self.assertIn("the machine ended (shutdown)", said)
        with self.subTest("and once more, from the same directories"):
            self.begin().ready().agent()
            self.p.send_signal(signal.SIGINT)
            self.ended(0)

    def test_asked_to_end(self):
        for sig in (signal.SIGTERM, signal.SIGQUIT):
            with self.subTest(sig.name):
                self.begin().ready().agent()
                self.p.send_signal(sig)
                self.assertIn(b"STOPPING=1", self.told.recv(4096), self.said())
                self.assertIn("the machine ended (shutdown)", self.ended(0))

    def test_asked_to_end_before_it_runs(self):
        self.begin()
        until("the daemon", lambda: self.d.run.exists() and any(c == "hvkitd" for _, c in self.children()), 30)
        self.p.terminate()
        self.p.wait(90)
        self.assertEqual(self.children(), [])

    def test_a_guest_that_does_not_listen(self):
        """It has its grace, then it is ended, and that is a failure; asked twice, it has none."""
        self.begin(EXAMPLE, "--grace-period-seconds", "2").ready()  # still booting
        self.p.terminate()
        self.assertIn("the machine ended (destroyed)", self.ended(1))
        self.begin(EXAMPLE, "--grace-period-seconds", "600").ready()
        self.p.terminate()
        until("that it was asked", lambda: "ShuttingDown" in self.said(), 30)
        self.p.terminate()
        self.ended(0)

    def test_the_machine_crashes(self):
        self.begin().ready()
        os.kill(self.d.machines()[0], signal.SIGKILL)
        self.assertIn("the machine ended (crashed)", self.ended(1))

    def test_killed(self):
        for who in ("runner", "hvkitd", "hvkit-keeper"):
            with self.subTest(who):
                self.begin().ready()
                os.kill(self.p.pid if who == "runner" else self.pid_of(who), signal.SIGKILL)
                self.p.wait(90)
                self.assertEqual(self.p.returncode, -9 if who == "runner" else 1)
                until("that nothing is left", lambda: self.children() == [], 60)
                self.assertEqual(self.d.machines(), [])
        with self.subTest("and the next run is not disturbed by what was left"):
            self.begin().ready().agent()
            self.p.terminate()
            self.ended(0)

    def test_refused(self):
        bad = self.d.dir / "bad.yaml"
        bad.write_text(EXAMPLE.read_text().replace("cores:", "kernels:"))
        self.begin(bad)
        self.assertIn("kernels", self.ended(1))
        none = self.d.dir / "none.yaml"
        none.write_text("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {}\n")
        self.begin(none)
        self.assertIn("has 0 virtual machines", self.ended(2))
        self.begin(self.d.dir / "nowhere.yaml")
        self.assertIn("No such file", self.ended(2))


if __name__ == "__main__":
    unittest.main(verbosity=2)

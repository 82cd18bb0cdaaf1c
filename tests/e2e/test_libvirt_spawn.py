# SPDX-License-Identifier: LGPL-2.1-or-later
"""A libvirt daemon and a virtlogd of hvkit's own: started, watched, started again, handed over, in a network namespace if asked."""
import os
import pathlib
import signal
import subprocess
import sys
import unittest
import uuid

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from hvkitd import Daemon, build_dir, until  # noqa: E402
from rpc import RpcError  # noqa: E402


def ours(directory):
    """The daemons that name a directory on their command line: {"libvirtd": pid, "virtlogd": pid}."""
    found = {}
    for p in pathlib.Path("/proc").iterdir():
        try:
            if p.name.isdigit() and str(directory) in (p / "cmdline").read_text():
                found[os.path.basename(os.readlink(p / "exe"))] = int(p.name)
        except OSError:
            pass
    return {k: v for k, v in found.items() if k in ("libvirtd", "virtlogd")}


class Spawned(unittest.TestCase):
    def daemon(self, **spawn):
        d = Daemon(manifests={"libvirt": {"name": "libvirt", "plugin": "libvirt.so", "config": {"accel": "tcg", "spawn": spawn}}})
        self.addCleanup(d.cleanup)
        self.addCleanup(self.end, d)
        return d

    def end(self, d):
        """They outlive hvkitd, so they are ended here, after it."""
        d.stop()
        for pid in ours(d.run).values():
            os.kill(pid, signal.SIGKILL)
        until("the end of libvirt's daemons", lambda: not ours(d.run), 20)

    def run_vm(self, d, name):
        rpc = d.rpc()
        rpc.call("libvirt.define", {"vm": name, "machine": {"name": name, "uuid": str(uuid.uuid4()), "memory_bytes": 64 << 20}})
        return rpc.call("libvirt.start", {"vm": name}, timeout=60)

    def virsh(self, d, *args):
        uri = f"qemu+unix:///system?socket={d.run}/libvirt/spawn/libvirt/libvirt-sock"
        return subprocess.run(["virsh", "-q", "-c", uri, *args], capture_output=True, text=True, timeout=60, check=True).stdout

    def test_life(self):
        d = self.daemon(kvm="hide")
        d.start()
        vm = self.run_vm(d, "a")
        self.assertIn("running", self.virsh(d, "domstate", "a"))
        self.assertNotIn("<domain type='kvm'", self.virsh(d, "capabilities"))  # hidden
        before = ours(d.run)
        self.assertEqual(set(before), {"libvirtd", "virtlogd"})
        log = d.state / "libvirt/spawn/log/qemu/a.log"
        self.assertTrue(log.exists(), "virtlogd keeps no log of the machine")

        with self.subTest("each of them is started again, and no machine notices"):
            for name in ("libvirtd", "virtlogd"):
                was = ours(d.run)[name]
                os.kill(was, signal.SIGKILL)
                until(f"another {name}", lambda: ours(d.run).get(name, was) != was, 30)
                until("the VM", lambda: d.rpc().call("libvirt.get", {"vm": "a"})["state"] == "running", 30)
                self.assertEqual(d.rpc().call("libvirt.get", {"vm": "a"})["pid"], vm["pid"])
            self.assertRegex(d.log(), r"libvirtd \(process \d+\) ended by signal 9")

        with self.subTest("both are handed over to the next hvkitd"):
            for how in (d.stop, d.kill):
                here = ours(d.run)
                how()
                self.assertEqual(ours(d.run), here)
                d.start()
                self.assertEqual(ours(d.run), here)
                until("the VM", lambda: d.rpc().call("libvirt.get", {"vm": "a"})["state"] == "running", 30)

        with self.subTest("one that was taken over is watched, too"):
            was = ours(d.run)["libvirtd"]
            os.kill(was, signal.SIGKILL)
            until("another libvirtd", lambda: ours(d.run).get("libvirtd", was) != was, 30)
            until("the VM", lambda: d.rpc().call("libvirt.get", {"vm": "a"})["state"] == "running", 30)
        self.assertEqual(d.rpc().call("libvirt.stop", {"vm": "a"}, timeout=40)["state"], "stopped")

    def test_namespace(self):
        ns = f"hvlv{os.getpid()}"
        subprocess.run(["ip", "netns", "add", ns], check=True)
        self.addCleanup(subprocess.run, ["ip", "netns", "del", ns], check=True)
        d = self.daemon(netns=f"/run/netns/{ns}")
        d.start()
        pid = self.run_vm(d, "a")["pid"]
        self.assertEqual(os.stat(f"/proc/{pid}/ns/net").st_ino, os.stat(f"/run/netns/{ns}").st_ino)
        self.assertEqual(d.rpc().call("libvirt.stop", {"vm": "a"}, timeout=40)["state"], "stopped")

    def test_not_there(self):
        d = self.daemon(daemon="/nonexistent/libvirtd")
        d.start()
        self.assertIn("/nonexistent/libvirtd", str(d.rpc().call("bus.plugins")), "the plugin's error does not name what is missing")
        self.assertEqual(ours(d.run), {})

    def test_ends_at_once(self):
        """One that does not stay is started again more and more rarely, and its last words are in the log."""
        d = self.daemon(ready_ms=2000)
        bad = d.dir / "libvirtd"
        bad.write_text("#!/bin/sh\necho '2026-01-01 00:00:00.000+0000: 1: error : main:1 : no configuration to my liking' >&2\nexit 6\n")
        bad.chmod(0o755)
        d.manifest("libvirt", {"name": "libvirt", "plugin": "libvirt.so", "config": {"spawn": {"daemon": str(bad), "ready_ms": 2000}}})
        d.start()
        until("its end in the log", lambda: d.log().count("ended with status 6") >= 2, 30)
        self.assertIn("no configuration to my liking", d.log())
        with self.assertRaises(RpcError) as e:
            d.rpc().call("libvirt.probe")
        self.assertEqual(e.exception.code, "UNAVAILABLE")
        self.assertIn("no configuration to my liking", e.exception.message)

    def test_another_configuration(self):
        """What cannot be changed while they run is not ignored."""
        d = self.daemon(kvm="hide")
        d.start()
        before = ours(d.run)
        d.stop()
        d.manifest("libvirt", {"name": "libvirt", "plugin": "libvirt.so", "config": {"accel": "tcg", "spawn": {"kvm": "show"}}})
        d.start()
        self.assertIn("without KVM", d.log())
        self.assertIn("take the change back", d.log())
        self.assertEqual(ours(d.run), before)

    def test_uri_and_spawn(self):
        d = self.daemon()
        d.manifest("libvirt", {"name": "libvirt", "plugin": "libvirt.so", "config": {"uri": "qemu:///system", "spawn": {}}})
        d.start()
        self.assertIn("uri and spawn", d.log())


class Launcher(unittest.TestCase):
    """What it is told is looked at: it runs as root."""

    def launch(self, *args):
        return subprocess.run([str(build_dir() / "plugins/lib/hvkit-libvirt-launch"), *map(str, args)], capture_output=True, text=True, timeout=20)

    def test_refusals(self):
        d = Daemon(manifests={})
        self.addCleanup(d.cleanup)
        good, state = d.dir / "good", d.dir / "state"
        (good / "libvirt").mkdir(parents=True)
        for name in ("lib", "cache", "log", "etc"):
            (state / name).mkdir(parents=True)
        link = d.dir / "link"
        link.mkdir()
        (link / "libvirt").symlink_to("/etc")
        shared = d.dir / "shared"
        (shared / "libvirt").mkdir(parents=True)
        (shared / "libvirt").chmod(0o777)
        for args, words in ((("--run", good, "--", "/bin/true"), "are needed"),
                            (("--run", good, "--state", state, "--", "true"), "absolute path"),
                            (("--run", "relative", "--state", state, "--", "/bin/true"), "absolute path"),
                            (("--run", link, "--state", state, "--", "/bin/true"), "no directory"),
                            (("--run", shared, "--state", state, "--", "/bin/true"), "not ours alone"),
                            (("--run", good, "--state", state, "--net", "/nonexistent", "--", "/bin/true"), "/nonexistent"),
                            (("--run", good, "--state", state, "--", "/nonexistent"), "/nonexistent")):
            r = self.launch(*args)
            self.assertEqual(r.returncode, 125, r)
            self.assertIn(words, r.stderr)
        self.assertEqual(self.launch("--run", good, "--state", state, "--", "/bin/true").returncode, 0)


if __name__ == "__main__":
    unittest.main(verbosity=2)

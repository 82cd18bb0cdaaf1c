# SPDX-License-Identifier: LGPL-2.1-or-later
"""Machines in network namespaces of their own, on libvirt: one daemon of hvkit's in each, for as long as a machine is there."""
import os
import pathlib
import signal
import subprocess
import sys
import unittest
import uuid

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from hvkitd import Daemon, until  # noqa: E402
from rpc import RpcError  # noqa: E402


def ip(*args):
    subprocess.run(["ip", *args], check=True)


def namespace(pid):
    return os.stat(f"/proc/{pid}/ns/net").st_ino


def daemons(directory):
    """libvirtd by the namespace that it is in: {inode: pid}."""
    found = {}
    for p in pathlib.Path("/proc").iterdir():
        try:
            if p.name.isdigit() and str(directory) in (p / "cmdline").read_text() and os.path.basename(os.readlink(p / "exe")) == "libvirtd":
                found[namespace(p.name)] = int(p.name)
        except OSError:
            pass
    return found


def machine(name, netns=None, tap="tap0"):
    m = {"name": name, "uuid": str(uuid.uuid5(uuid.NAMESPACE_DNS, name)), "memory_bytes": 64 << 20}
    if netns:
        m["nics"] = [{"name": "default", "tap": tap, "mac": "02:00:00:00:00:01", "netns": netns}]
    return {"vm": name, "machine": m}


def manifest(**spawn):
    return {"name": "libvirt", "plugin": "libvirt.so", "config": {"accel": "tcg", "spawn": {"kvm": "hide", **spawn}}}


class Namespaces(unittest.TestCase):
    def setUp(self):
        self.d = Daemon(manifests={"libvirt": manifest()})
        self.addCleanup(self.d.cleanup)
        self.addCleanup(self.end)

    def end(self):
        self.d.stop()
        for p in pathlib.Path("/proc").iterdir():
            try:
                if p.name.isdigit() and str(self.d.run) in (p / "cmdline").read_text():
                    os.kill(int(p.name), signal.SIGKILL)
            except OSError:
                pass
        until("the end of libvirt's daemons", lambda: not daemons(self.d.run), 20)

    def netns(self, tag):
        name = f"hv{os.getpid()}{tag}"
        self.make(name)
        self.addCleanup(subprocess.run, ["ip", "netns", "del", name], check=True)
        return f"/run/netns/{name}"

    def make(self, name):
        ip("netns", "add", name)
        ip("-n", name, "tuntap", "add", "tap0", "mode", "tap")
        ip("-n", name, "link", "set", "tap0", "up")

    def up(self, path):
        link = subprocess.run(["ip", "-n", os.path.basename(path), "-br", "link", "show", "tap0"], capture_output=True, text=True, check=True)
        return "LOWER_UP" in link.stdout

    def call(self, verb, timeout=60, **args):
        return self.d.rpc().call("libvirt." + verb, args, timeout=timeout)

    def state(self, vm):
        return self.call("get", vm=vm)["state"]

    def test_life(self):
        first, second = self.netns("a"), self.netns("b")
        inodes = {p: os.stat(p).st_ino for p in (first, second)}
        self.d.start()
        here = set(daemons(self.d.run))
        for vm, where in (("a", first), ("b", second), ("c", None)):
            self.call("define", **machine(vm, where))
            self.call("start", vm=vm)
        self.assertEqual(set(daemons(self.d.run)), here | set(inodes.values()), "one libvirtd in each namespace, and the first")
        for vm, where in (("a", first), ("b", second)):
            self.assertEqual(namespace(self.call("get", vm=vm)["pid"]), inodes[where])
            self.assertTrue(self.up(where), "nobody has the tap open")
        self.assertEqual([i["vm"] for i in self.call("stats")["items"] if "cpu" in i], ["a", "b", "c"])
        self.assertEqual([v["vm"] for v in self.call("list")["items"]], ["a", "b", "c"])

        with self.subTest("a libvirtd that ends takes only its own machines out of sight, and comes back"):
            was = daemons(self.d.run)[inodes[first]]
            os.kill(was, signal.SIGKILL)
            self.assertEqual(self.state("b"), "running")
            until("another libvirtd", lambda: daemons(self.d.run).get(inodes[first], was) != was, 30)
            until("the VM", lambda: self.state("a") == "running", 30)

        with self.subTest("all are handed over"):
            before = daemons(self.d.run)
            pids = {vm: self.call("get", vm=vm)["pid"] for vm in "abc"}
            for how in (self.d.stop, self.d.kill):
                how()
                self.d.start()
                for vm in "abc":
                    until(f"VM {vm}", lambda vm=vm: self.state(vm) == "running", 30)
                self.assertEqual(daemons(self.d.run), before)
                until("their processes", lambda: {vm: self.call("get", vm=vm).get("pid") for vm in "abc"} == pids, 30)

        with self.subTest("the last machine's end is its libvirtd's"):
            self.call("stop", vm="a")
            self.assertIn(inodes[first], daemons(self.d.run))
            self.call("undefine", vm="a")
            self.assertEqual(set(daemons(self.d.run)), here | {inodes[second]})
            self.assertEqual(len(list((self.d.run / "libvirt").glob("spawn-*"))), 1)
            self.assertEqual(len(list((self.d.state / "libvirt").glob("spawn-*"))), 1)
            self.assertEqual(self.state("b"), "running")

        with self.subTest("a machine moves to another namespace"):
            self.call("stop", vm="b")
            self.call("define", **machine("b", first), replace=True)
            self.call("start", vm="b")
            self.assertEqual(namespace(self.call("get", vm="b")["pid"]), inodes[first])
            self.assertEqual(set(daemons(self.d.run)), here | {inodes[first]})

        for vm in "bc":
            self.call("stop", vm=vm)
            self.call("undefine", vm=vm)
        self.assertEqual(set(daemons(self.d.run)), here)

    def test_made_anew(self):
        """A namespace of the same name is not the same namespace."""
        where = self.netns("c")
        name = os.path.basename(where)
        self.d.start()
        self.call("define", **machine("a", where))
        self.call("start", vm="a")
        ip("netns", "del", name)
        self.make(name)
        with self.assertRaises(RpcError) as e:
            self.call("define", **machine("b", where))
        self.assertEqual(e.exception.code, "FAILED_PRECONDITION")
        self.assertIn("made anew", e.exception.message)
        self.assertEqual(self.state("a"), "running")
        self.call("stop", vm="a")
        self.call("define", **machine("b", where))
        self.call("start", vm="b")
        self.assertEqual(namespace(self.call("get", vm="b")["pid"]), os.stat(where).st_ino)
        self.assertEqual(self.state("a"), "stopped")
        for vm in "ab":
            self.call("stop", vm=vm)
            self.call("undefine", vm=vm)

    def test_refused(self):
        where = self.netns("d")
        self.d.manifest("libvirt", manifest(ready_ms=4000))
        self.d.start()
        until("libvirt", lambda: daemons(self.d.run), 30)
        here = daemons(self.d.run)
        two = machine("a", where)
        two["machine"]["nics"].append({"name": "other", "tap": "tap1", "mac": "02:00:00:00:00:02"})
        for args, code, text in (
            (two, "UNIMPLEMENTED", "machine.nics[1].netns"),
            (machine("a", "/run/netns/nonexistent"), "UNAVAILABLE", "/run/netns/nonexistent"),
        ):
            with self.assertRaises(RpcError) as e:
                self.call("define", **args)
            self.assertEqual(e.exception.code, code)
            self.assertIn(text, e.exception.message)
        self.assertEqual(daemons(self.d.run), here)
        self.assertEqual(list((self.d.run / "libvirt").glob("spawn-*")), [])
        self.assertEqual(self.call("list")["items"], [])


if __name__ == "__main__":
    unittest.main()

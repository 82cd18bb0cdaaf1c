# SPDX-License-Identifier: LGPL-2.1-or-later
"""libvirtd dies, hangs, and comes back with other domains than before: what was true stays true, what is not known is not claimed."""
import os
import signal
import subprocess
import sys
import time
import unittest
import uuid

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from hvkitd import Daemon, until  # noqa: E402
from libvirtd import Libvirtd  # noqa: E402
from rpc import RpcError  # noqa: E402

CONFIG = {"accel": "tcg", "overdue_ms": 500, "heartbeat_ms": 1000, "call_ms": 4000}
BACK = 15  # seconds after libvirtd's return, by which everything is right


def foreign(name, memory=64, more=""):
    return (f"<domain type='qemu'><name>{name}</name><uuid>{uuid.uuid4()}</uuid><memory unit='MiB'>{memory}</memory>{more}"
            "<os><type arch='x86_64' machine='q35'>hvm</type></os></domain>")


class WithLibvirt(unittest.TestCase):
    config = {}

    def setUp(self):
        self.l = Libvirtd()
        self.addCleanup(self.l.cleanup)
        self.l.start()
        self.d = Daemon(manifests={"libvirt": {"name": "libvirt", "plugin": "libvirt.so", "config": {**CONFIG, "uri": self.l.uri, **self.config}}})
        self.addCleanup(self.d.cleanup)
        self.d.start()
        self.rpc = self.d.rpc()
        self.rpc.subscribe(["libvirt.*"])

    def define(self, name, **more):
        machine = {"name": name, "uuid": str(uuid.uuid4()), "memory_bytes": 64 << 20, **more}
        return self.rpc.call("libvirt.define", {"vm": name, "machine": machine})

    def run_vm(self, name):
        self.define(name)
        return self.rpc.call("libvirt.start", {"vm": name}, timeout=60)

    def get(self, name):
        return self.rpc.call("libvirt.get", {"vm": name})

    def names(self):
        return {v["vm"]: v for v in self.rpc.call("libvirt.list")["items"]}

    def becomes(self, name, state, timeout=BACK):
        until(f"{name} is {state}", lambda: self.get(name)["state"] == state, timeout)
        return self.get(name)

    def virsh_define(self, xml):
        path = self.d.dir / "domain.xml"
        path.write_text(xml)
        self.l.virsh("define", path)


class Daemons(WithLibvirt):
    def test_killed(self):
        """Its VMs are unreachable, not gone; when it is back they are what they are, in the same processes."""
        vm = self.run_vm("a")
        self.l.kill()
        seen = self.becomes("a", "unreachable")
        self.assertEqual(seen["reason"], "libvirt_lost")
        for verb in ("pause", "stop", "stats", "native"):
            try:
                self.rpc.call(f"libvirt.{verb}", {"vm": "a"})
                self.assertEqual(verb, "stats")  # what was known, or what is missing
            except RpcError as e:
                self.assertEqual(e.code, "UNAVAILABLE", verb)
        self.assertEqual(self.get("a")["state"], "unreachable")
        os.kill(vm["pid"], 0)
        self.l.start()
        back = self.becomes("a", "running")
        self.assertEqual(back["pid"], vm["pid"])
        event = self.rpc.event(lambda e: e["topic"] == "libvirt.control" and e["data"].get("connected"), timeout=20)
        self.assertTrue(event["data"]["gap"])
        self.assertEqual(self.rpc.call("libvirt.pause", {"vm": "a"})["state"], "paused")

    def test_hangs(self):
        """A libvirtd that stands still holds up no answer that needs none of it; who asked for a change learns that its outcome is not known."""
        self.run_vm("a")
        self.l.stop_signal()
        try:
            begin = time.monotonic()
            with self.assertRaises(RpcError) as e:
                self.rpc.call("libvirt.pause", {"vm": "a", "_timeout_ms": 2000}, timeout=20)
            self.assertEqual(e.exception.code, "UNKNOWN", e.exception)
            self.assertLess(time.monotonic() - begin, 5)
            begin = time.monotonic()
            self.assertEqual(self.names()["a"]["source"], "cache")
            self.assertLess(time.monotonic() - begin, 1)
            self.becomes("a", "unreachable", 30)
        finally:
            self.l.cont()
        until("the state is what libvirt says", lambda: self.get("a")["state"] == {"running": "running", "paused": "paused"}.get(
            self.l.virsh("domstate", "a").stdout.strip()), BACK)

    def test_killed_while_it_starts_a_machine(self):
        """Never run twice: there is one process or none, and what get says is so."""
        for delay in (0.0, 0.05, 0.2, 0.4):
            name = f"s{int(delay * 100)}"
            uid = self.define(name)["uuid"]
            call = self.rpc.send("libvirt.start", {"vm": name})
            end = time.monotonic() + delay
            until("a moment", lambda: time.monotonic() >= end, 5, 0.005)
            self.l.kill()
            try:
                self.rpc.finish(call, 30)
                code = "OK"
            except RpcError as e:
                code = e.code
            self.assertIn(code, ("OK", "UNKNOWN", "UNAVAILABLE"))
            self.l.start()
            until("a state", lambda: self.get(name)["state"] in ("running", "stopped", "crashed"), BACK)
            pids = subprocess.run(["pgrep", "-f", f"qemu-system.*{uid}"], capture_output=True, text=True).stdout.split()
            state = self.get(name)["state"]
            self.assertEqual(len(pids), 1 if state == "running" else 0, f"after {delay} s: {code}, {state}, {pids}")
            self.assertEqual(self.l.virsh("domstate", name).stdout.strip() == "running", state == "running")
            self.assertEqual(self.rpc.call("libvirt.stop", {"vm": name}, timeout=40)["state"], "stopped")

    def test_changed_while_nobody_looked(self):
        """destroy, undefine and edit while hvkitd was away; the same while its connection was."""
        for way in ("daemon", "connection"):
            with self.subTest(way):
                for name in ("x", "y", "z"):
                    self.run_vm(f"{way}-{name}") if name == "x" else self.define(f"{way}-{name}")
                if way == "daemon":
                    self.d.kill()
                else:
                    self.d.process.send_signal(signal.SIGSTOP)
                try:
                    self.l.virsh("destroy", f"{way}-x")
                    self.l.virsh("undefine", f"{way}-y")
                    self.l.virsh("setmaxmem", f"{way}-z", "128MiB", "--config")
                    if way == "connection":
                        self.l.restart()
                finally:
                    if way == "connection":
                        self.d.process.send_signal(signal.SIGCONT)
                if way == "daemon":
                    self.d.start()
                    self.rpc = self.d.rpc()
                    self.rpc.subscribe(["libvirt.*"])
                until("what is true", lambda: self.names().get(f"{way}-x", {}).get("state") == "stopped" and f"{way}-y" not in self.names()
                      and self.names()[f"{way}-z"].get("memory_bytes") == 128 << 20, BACK)
                self.define(f"{way}-y")  # its name is free, and its record gone
                self.assertFalse(self.get(f"{way}-y")["foreign"])


class Foreign(WithLibvirt):
    def test_domains_of_others(self):
        """Listed, marked, observed, and left alone unless somebody names them."""
        self.virsh_define(foreign("theirs"))
        until("it is listed", lambda: "theirs" in self.names(), BACK)
        self.assertTrue(self.get("theirs")["foreign"])
        self.l.virsh("start", "theirs")
        self.becomes("theirs", "running")
        self.l.virsh("suspend", "theirs")
        event = self.rpc.event(lambda e: e["topic"] == "libvirt.lifecycle" and e["data"]["state"] == "paused", timeout=20)
        self.assertEqual(event["data"]["vm"], "theirs")
        self.assertEqual(self.rpc.call("libvirt.resume", {"vm": "theirs"})["state"], "running")  # asked by name
        with self.assertRaises(RpcError) as e:
            self.define("theirs")
        self.assertEqual(e.exception.code, "ALREADY_EXISTS")
        self.assertIn("not by hvkit", e.exception.message)
        self.d.restart()
        self.rpc = self.d.rpc()
        self.assertTrue(self.becomes("theirs", "running")["foreign"])
        self.assertFalse(self.rpc.call("libvirt.adopt", {"vm": "theirs"})["foreign"])
        self.l.virsh("destroy", "theirs")
        self.becomes("theirs", "stopped")
        self.l.virsh("undefine", "theirs")
        until("it is gone", lambda: "theirs" not in self.names(), BACK)

    def test_transient(self):
        path = self.d.dir / "t.xml"
        path.write_text(foreign("passing"))
        self.l.virsh("create", path)
        self.becomes_listed("passing")
        self.l.virsh("destroy", "passing")
        until("it is gone", lambda: "passing" not in self.names(), BACK)

    def becomes_listed(self, name):
        until("it is listed", lambda: self.names().get(name, {}).get("state") == "running", BACK)

    def test_enormous(self):
        """A domain whose XML is longer than we read is a domain still: its state is known, what is in its XML is not."""
        self.virsh_define(foreign("big", more="<metadata><x xmlns='http://example.com/x'>" + "y" * (1 << 20) + "</x></metadata>"))
        until("it is listed", lambda: "big" in self.names(), BACK)
        self.assertEqual(self.get("big")["state"], "stopped")
        self.assertNotIn("machine", self.get("big"))
        self.run_vm("small")
        self.assertIn("machine", self.get("small"))


class Emulator(WithLibvirt):
    config = {"emulator": "/nonexistent/qemu"}

    def test_missing(self):
        with self.assertRaises(RpcError) as e:
            self.define("a")
        self.assertIn("/nonexistent/qemu", e.exception.message)
        self.assertNotIn("a", self.names())


class Machines(WithLibvirt):
    def test_refused_before_libvirt_is_asked(self):
        for more, words in (({"arch": "arm64", "machine": "q35", "firmware": "efi"}, ("machine.machine", "q35", "virt")),
                            ({"arch": "sparc"}, ("machine.arch", "amd64")),
                            ({"machine": "pc"}, ("machine.machine", "q35")),
                            ({"cpu": {"model": "host-passthrough"}}, ("machine.cpu.model", "KVM"))):
            with self.assertRaises(RpcError) as e:
                self.define("a", **more)
            self.assertEqual(e.exception.code, "UNIMPLEMENTED", e.exception)
            for word in words:
                self.assertIn(word, e.exception.message)
        self.l.kill()
        with self.assertRaises(RpcError) as e:
            self.define("a")
        self.assertEqual(e.exception.code, "UNAVAILABLE")

    def test_owner(self):
        """The machine's process runs as the uid that it was given."""
        self.define("a", owner_uid=4242)
        os.chmod(self.d.dir, 0o755)
        pid = self.rpc.call("libvirt.start", {"vm": "a"}, timeout=60)["pid"]
        self.assertEqual(os.stat(f"/proc/{pid}").st_uid, 4242)

    def test_stuck(self):
        """One QEMU stands still: the others' figures come at once, its own with their age."""
        pids = {name: self.run_vm(name)["pid"] for name in ("a", "b", "c")}
        until("figures", lambda: all("cpu" in r for r in self.rpc.call("libvirt.stats")["items"]), 20)
        os.kill(pids["b"], signal.SIGSTOP)
        try:
            begin = time.monotonic()
            rows = {r["vm"]: r for r in self.rpc.call("libvirt.stats", timeout=20)["items"]}
            self.assertLess(time.monotonic() - begin, 3)
            self.assertEqual(set(rows), {"a", "b", "c"})
            self.assertLess(rows["a"]["age_ms"], 1000)
            self.becomes("b", "unreachable", 20)
            begin = time.monotonic()
            self.rpc.call("libvirt.stats")
            self.rpc.call("libvirt.pause", {"vm": "a"})
            self.assertLess(time.monotonic() - begin, 3)
        finally:
            os.kill(pids["b"], signal.SIGCONT)
        self.becomes("b", "running", 20)


if __name__ == "__main__":
    unittest.main(verbosity=2)

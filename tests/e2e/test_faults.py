# SPDX-License-Identifier: LGPL-2.1-or-later
"""What goes wrong around the daemon: QEMU dies or stands still, the state directory is full, the machine loses its power.
Nothing that was acknowledged is lost, nobody else waits, and nothing is ended that was not asked to end. (That the daemon
itself dies is kill_loop.py's.)"""
import errno
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time
import unittest
import uuid

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
import namespace  # noqa: E402
from hvkitd import Daemon, until  # noqa: E402
from rpc import RpcError  # noqa: E402

HEARTBEAT_MS, COMMAND_MS, QUIT_MS, TERM_MS = 250, 1000, 2000, 500
PROMPT_S = 1.0  # what a call may take that waits for nobody, on a busy machine and under sanitizers
NO_SPACE = "RESOURCE_EXHAUSTED: .*No space left"


class Faults(unittest.TestCase):
    def setUp(self):
        self.d = Daemon(plugins=["qmp", "disk-qcow2"])
        self.addCleanup(self.d.cleanup)
        self.d.manifest("qmp", {"name": "qmp", "plugin": "qmp.so", "config": {
            "accel": "tcg", "heartbeat_ms": HEARTBEAT_MS, "command_ms": COMMAND_MS, "quit_ms": QUIT_MS, "term_ms": TERM_MS}})
        self.prepare()
        self.begin()

    def prepare(self):
        """Before the daemon starts."""

    def begin(self):
        self.d.start()
        self.r = self.d.rpc(timeout=60)
        self.r.subscribe(["qmp.*"])

    def call(self, verb, vm, **args):
        return self.r.call(f"qmp.{verb}", {"vm": vm, **args})

    def machine(self, vm, **more):
        """A disk of its own, and firmware that finds nothing on it."""
        path = self.d.dir / f"{vm}.img"
        if not path.exists():
            with open(path, "wb") as f:
                f.truncate(1 << 20)
        return {"name": vm, "uuid": str(uuid.uuid5(uuid.NAMESPACE_DNS, vm)), "memory_bytes": 32 << 20, "graphics": False,
                "disks": [{"name": "root", "path": str(path), "format": "raw"}], **more}

    def define(self, vm, replace=False, **more):
        return self.call("define", vm, machine=self.machine(vm, **more), replace=replace)

    def run_vm(self, vm, **more):
        self.define(vm, **more)
        return self.call("start", vm)["pid"]

    def overlay(self, vm, name):
        path = str(self.d.dir / f"{vm}-{name}.qcow2")
        self.r.call("disk-qcow2.overlay", {"path": path, "backing_path": str(self.d.dir / f"{vm}.img"), "backing_format": "raw"})
        return path

    def event(self, vm, **wanted):
        return self.r.event(lambda e: e["topic"] == "qmp.lifecycle" and {"vm": vm, **wanted}.items() <= e["data"].items(), timeout=30)["data"]

    def states(self):
        return {v["vm"]: (v["state"], v.get("reason")) for v in self.r.call("qmp.list")["items"]}

    def pids(self):
        return {v["vm"]: v["pid"] for v in self.r.call("qmp.list")["items"] if "pid" in v}

    def wait_state(self, vm, state):
        until(f"'{vm}' being {state}", lambda: self.call("get", vm)["state"] == state)

    def refused(self, pattern, verb, vm, **args):
        with self.assertRaisesRegex(RpcError, pattern):
            self.call(verb, vm, **args)

    def prompt(self, verb, *args, **more):
        begin = time.monotonic()
        answer = self.call(verb, *args, **more) if args else self.r.call(f"qmp.{verb}")
        self.assertLess(time.monotonic() - begin, PROMPT_S, f"{verb} {args}")
        return answer

    def finish(self, *vms):
        for vm in vms:
            self.call("stop", vm)
            self.call("undefine", vm)
        self.assertEqual(self.r.call("qmp.list")["items"], [])
        self.assertEqual(self.d.left_behind(), [])


class Killed(Faults):
    def files(self, vm):
        """What is in its run directory but its logs."""
        return {p.name for p in (self.d.run / "qmp" / self.machine(vm)["uuid"]).rglob("*") if p.is_socket()}

    def test_qemu_is_killed(self):
        # this model wants of an emulated processor what it has not, and QEMU says so: a last word
        a, b = self.run_vm("a", cpu={"model": "Skylake-Client"}), self.run_vm("b")
        self.assertIn("monitor.sock", self.files("a"))
        for signum in (signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT):
            os.kill(a, signum)
            e = self.event("a", state="crashed")
            self.assertEqual((e["was"], e["reason"]), ("running", "crashed"))
            self.assertRegex(e["detail"], rf"signal {int(signum)}\b.*: .*TCG doesn't support requested feature")
            vm = self.call("get", "a")
            self.assertEqual((vm["state"], vm["reason"], vm["detail"], vm.get("pid")), ("crashed", "crashed", e["detail"], None))
            self.assertEqual(self.files("a"), set())
            self.refused("FAILED_PRECONDITION: .*crashed", "pause", "a")
            self.assertEqual(self.pids(), {"b": b})
            self.assertEqual(self.d.machines(), [b])
            a = self.call("start", "a")["pid"]
        self.finish("a", "b")

    def test_what_became_of_it_outlives_the_daemon(self):
        a, b = self.run_vm("a"), self.run_vm("b")
        os.kill(a, signal.SIGKILL)
        detail = self.event("a", state="crashed")["detail"]
        until("its record", lambda: b"crashed" in (self.d.state / "qmp/docs/vm.a.rec").read_bytes())
        self.d.kill()
        os.kill(b, signal.SIGKILL)  # and this one while nobody watches
        self.begin()
        self.wait_state("b", "crashed")
        self.assertEqual(self.states(), {"a": ("crashed", "crashed"), "b": ("crashed", "gone")})
        self.assertEqual(self.call("get", "a")["detail"], detail)
        self.finish("a", "b")

    def test_qemu_is_told_to_end_by_somebody_else(self):
        a = self.run_vm("a")
        os.kill(a, signal.SIGTERM)  # it obeys, and says whose order it was
        e = self.event("a", state="crashed")
        self.assertRegex(e["detail"], rf"^exit status 0: .*terminating on signal 15 from pid {os.getpid()} ")
        self.finish("a")


class Stopped(Faults):
    def test_one_that_stands_still_holds_up_nobody(self):
        a, b = self.run_vm("a"), self.run_vm("b")
        os.kill(a, signal.SIGSTOP)
        begin = time.monotonic()
        waiting = self.r.send("qmp.pause", {"vm": "a"})  # before anybody knows
        for verb in ("pause", "block_stats", "memory_stats", "resume", "native"):
            self.prompt(verb, "b")
        self.assertEqual({v["vm"] for v in self.prompt("list")["items"]}, {"a", "b"})
        self.prompt("get", "a")
        e = self.event("a", state="unreachable")
        self.assertEqual(e["reason"], "monitor_silent")
        self.assertGreater(time.monotonic() - begin, HEARTBEAT_MS / 1000)  # one silence is none
        with self.assertRaisesRegex(RpcError, "UNKNOWN: .*no answer to stop"):
            self.r.finish(waiting)

        self.assertGreater(self.prompt("get", "a")["unreachable_since_ms"], 0)
        self.assertEqual({s["vm"] for s in self.prompt("stats")["items"]}, {"a", "b"})
        self.refused("UNAVAILABLE: .*unreachable", "pause", "a")
        for verb in ("pause", "resume"):
            self.prompt(verb, "b")
        self.run_vm("c")
        self.assertEqual(pathlib.Path(f"/proc/{a}/stat").read_text().rsplit(") ")[1][0], "T")  # it was left alone
        self.assertEqual(self.pids()["a"], a)

        os.kill(a, signal.SIGCONT)
        self.wait_state("a", "paused")  # the pause of then was carried out after all
        self.assertNotIn("unreachable_since_ms", self.call("get", "a"))
        self.prompt("resume", "a")
        self.assertEqual({k: self.pids()[k] for k in "ab"}, {"a": a, "b": b})
        self.finish("a", "b", "c")

    def end(self, vm):
        """Stops a VM; how long that took. Nobody else waits meanwhile."""
        begin = time.monotonic()
        waiting = self.r.send("qmp.stop", {"vm": vm})
        self.assertEqual(self.prompt("list")["items"][-1]["vm"], "z")
        self.prompt("pause", "z")
        self.prompt("resume", "z")
        self.assertEqual(self.r.finish(waiting)["state"], "stopped")
        return time.monotonic() - begin

    def test_one_that_stands_still_is_destroyed(self):
        self.run_vm("z")
        a, b = self.run_vm("a"), self.run_vm("b")
        os.kill(a, signal.SIGSTOP)
        self.assertLess(self.end("a"), (QUIT_MS + TERM_MS) / 1000 + PROMPT_S)  # asked, told, and then not asked any more
        os.kill(b, signal.SIGSTOP)
        self.event("b", state="unreachable")
        self.assertLess(self.end("b"), TERM_MS / 1000 + PROMPT_S)  # to ask who does not hear would be time lost
        self.assertEqual(self.states()["a"], ("stopped", "destroyed"))
        self.assertEqual(self.d.machines(), [self.pids()["z"]])
        self.finish("a", "b", "z")

    def test_one_that_stands_still_while_the_daemon_starts(self):
        a, b = self.run_vm("a"), self.run_vm("b")
        os.kill(a, signal.SIGSTOP)
        self.d.kill()
        self.begin()
        self.wait_state("b", "running")
        self.wait_state("a", "unmanaged")
        self.assertEqual(self.pids(), {"a": a, "b": b})
        self.refused("unmanaged", "start", "a")
        self.refused("unmanaged", "undefine", "a")
        os.kill(a, signal.SIGCONT)
        self.wait_state("a", "running")
        self.assertEqual(self.pids(), {"a": a, "b": b})
        self.finish("a", "b")


class Full(Faults):
    """The state directory is a small file system of its own."""

    def prepare(self):
        self.d.state.mkdir(mode=0o700)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k,mode=700", "tmpfs", str(self.d.state)], check=True)
        self.addCleanup(lambda: subprocess.run(["umount", "-l", str(self.d.state)], check=True))

    def fill(self):
        with open(self.d.state / "filler", "ab", buffering=0) as f:
            try:
                while True:
                    f.write(b"x" * 4096)
            except OSError as e:
                self.assertEqual(e.errno, errno.ENOSPC)

    def free(self):
        (self.d.state / "filler").unlink()

    def temps(self):
        return [p for p in self.d.state.rglob("*") if p.name.startswith(".new-")]

    def whole(self):
        """What is promised of every VM, to be the same before and after."""
        return {vm: ({k: v.get(k) for k in ("state", "pid", "memory_bytes", "vcpus")}, self.call("snapshot_list", vm)["items"],
                     [(i["disk"], i["path"], i["layers"]) for i in self.call("block_info", vm)["items"]])
                for vm, v in ((vm, self.call("get", vm)) for vm in sorted(self.states()))}

    def test_no_space(self):
        a, b = self.run_vm("a"), self.run_vm("b")
        self.define("c")
        overlay = self.overlay("a", "s1")
        snapshot = {"snapshot": "s1", "disks": [{"disk": "root", "path": overlay}]}
        with open(self.d.dir / "more.img", "wb") as f:
            f.truncate(1 << 20)
        more = {"disk": {"name": "more", "path": str(self.d.dir / "more.img"), "format": "raw", "bus": "scsi"}}
        before = self.whole()
        self.fill()

        self.refused(NO_SPACE, "define", "d", machine=self.machine("d"))
        self.refused(NO_SPACE, "define", "c", machine=self.machine("c", memory_bytes=64 << 20), replace=True)
        self.refused(NO_SPACE, "start", "c")
        self.refused(NO_SPACE, "snapshot_create", "a", **snapshot)
        self.refused(NO_SPACE, "attach", "a", **more)
        self.refused(NO_SPACE, "snapshot_create", "c", snapshot="s1", disks=[{"disk": "root", "path": self.overlay("c", "s1")}])
        self.assertEqual(self.whole(), before)
        self.assertEqual(self.temps(), [])
        self.assertEqual(sorted(self.d.machines()), sorted([a, b]))
        self.assertFalse([s for s in (self.d.run / "qmp" / self.machine("c")["uuid"]).rglob("*") if s.is_socket()])

        # a machine that is to end ends, whether or not that can be written down
        try:
            self.call("stop", "b")
        except RpcError as e:
            self.assertRegex(str(e), NO_SPACE)
        self.assertEqual(self.states()["b"], ("stopped", "destroyed"))
        self.assertEqual(self.d.machines(), [a])

        # a daemon that starts now takes over what runs, and can be talked to
        self.d.kill()
        self.begin()
        self.wait_state("a", "running")
        self.assertEqual(self.pids(), {"a": a})
        until("'b' being known to be gone", lambda: self.states()["b"][0] in ("stopped", "crashed"))
        self.refused(NO_SPACE, "start", "c")
        self.assertEqual(self.states()["c"][0], "stopped")

        self.free()
        self.call("start", "c")  # at once, without a restart
        self.call("snapshot_create", "a", **snapshot)
        self.d.kill()
        self.begin()
        until("all being well", lambda: self.pids().keys() == {"a", "c"} and self.states()["a"][0] == "running" == self.states()["c"][0])
        self.assertEqual(self.pids()["a"], a)
        self.assertEqual([s["snapshot"] for s in self.call("snapshot_list", "a")["items"]], ["s1"])
        self.assertEqual([(i["path"], i["layers"]) for i in self.call("block_info", "a")["items"]], [(overlay, 2)])
        self.assertEqual(self.call("get", "c")["memory_bytes"], 32 << 20)
        self.finish("a", "b", "c")

    def test_what_needs_no_space(self):
        """What only changes the machine is done, or is not; what forgets gives space back."""
        a = self.run_vm("a")
        self.define("b")
        self.fill()
        for verb, state in (("pause", "paused"), ("resume", "running")):
            try:
                self.call(verb, "a")
            except RpcError as e:
                self.assertRegex(str(e), NO_SPACE)
            self.assertEqual(self.call("get", "a")["state"], state)
        self.call("undefine", "b")
        self.assertEqual(self.pids(), {"a": a})
        self.free()
        self.finish("a")


class Rebooted(Faults):
    """The boot id is another one, in our mount namespace: that is all that a daemon knows of a reboot."""

    def power_cut(self):
        """Everybody dies at once, what was not on disk is gone, and the kernel is another one."""
        pids = self.d.machines()
        self.d.kill()
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        until("the end of all", lambda: not self.d.machines())
        until("the end of hvkit-logd", lambda: not self.logd() or self.end_logd())
        shutil.rmtree(self.d.run)
        fake = self.d.dir / "boot_id"
        fake.write_text(f"{uuid.uuid4()}\n")
        subprocess.run(["mount", "--bind", str(fake), "/proc/sys/kernel/random/boot_id"], check=True)
        self.addCleanup(lambda: subprocess.run(["umount", "-l", "/proc/sys/kernel/random/boot_id"], check=True))

    def logd(self):
        """hvkit-logd of this run directory."""
        found = []
        for p in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                if b"hvkit-logd" in (p / "cmdline").read_bytes() and os.fsencode(str(self.d.dir)) in (p / "cmdline").read_bytes():
                    found.append(int(p.name))
            except OSError:
                continue
        return found

    def end_logd(self):
        for pid in self.logd():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        return not self.logd()

    def test_every_vm_is_stopped(self):
        for vm in "abde":
            self.run_vm(vm)
        self.call("pause", "b")
        self.define("c")
        self.call("stop", "d")
        os.kill(self.call("get", "e")["pid"], signal.SIGKILL)
        self.event("e", state="crashed")
        until("its record", lambda: b"crashed" in (self.d.state / "qmp/docs/vm.e.rec").read_bytes())
        path = self.overlay("a", "s1")
        self.call("snapshot_create", "a", snapshot="s1", disks=[{"disk": "root", "path": path}])
        self.power_cut()
        self.begin()
        expected = {"a": ("stopped", "node_rebooted"), "b": ("stopped", "node_rebooted"), "c": ("stopped", "defined"),
                    "d": ("stopped", "destroyed"), "e": ("crashed", "crashed")}
        self.assertEqual(self.states(), expected)
        self.assertEqual(self.pids(), {})
        self.d.restart()  # it is remembered, and still nothing starts by itself
        self.r = self.d.rpc(timeout=60)
        self.assertEqual(self.states(), expected)
        self.assertEqual(self.d.machines(), [])
        self.assertEqual([s["snapshot"] for s in self.call("snapshot_list", "a")["items"]], ["s1"])
        for vm in "abcde":
            self.call("start", vm)
        self.assertEqual([(i["path"], i["layers"]) for i in self.call("block_info", "a")["items"]], [(path, 2)])
        self.finish(*"abcde")

    def test_in_the_middle_of_an_operation(self):
        """A snapshot, a disk that is plugged in, a merge: cut off by the power, they are done or not done."""
        with open(self.d.dir / "more.img", "wb") as f:
            f.truncate(1 << 20)
        self.run_vm("a")
        path = self.overlay("a", "s1")
        operations = {
            "snapshot_create": {"snapshot": "s1", "disks": [{"disk": "root", "path": path}]},
            "attach": {"disk": {"name": "more", "path": str(self.d.dir / "more.img"), "format": "raw", "bus": "scsi"}, "config": True},
            "detach": {"device": "more", "config": True, "grace_ms": 5000},
            "snapshot_delete": {"snapshot": "s1"}}
        steps = [("snapshot_create", "pending.begun"), ("snapshot_delete", "merge.recorded"), ("snapshot_create", "snapshot.taken"),
                 ("attach", "pending.begun"), ("detach", "detach.recorded"), ("attach", "attach.done"),
                 ("snapshot_delete", "pending.begun")]
        for verb, step in steps:
            args = operations[verb]
            if verb == "snapshot_create" and not os.path.exists(path):
                self.overlay("a", "s1")
            self.d.stop()
            self.d.env = {"HVKIT_FAULT_KILL": f"qmp/{step}:1"}
            self.begin()
            with self.assertRaises(EOFError, msg=f"{verb} {step}"):
                self.call(verb, "a", **args)
            self.power_cut()
            self.d.env = {}
            self.begin()
            until("what became of it", lambda: "operation" not in self.call("get", "a"))
            self.assertEqual(self.states(), {"a": ("stopped", "node_rebooted")})
            self.call("start", "a")
            try:
                self.call(verb, "a", **args)
            except RpcError as e:
                self.assertIn(e.code, ("ALREADY_EXISTS", "NOT_FOUND"))  # it was done
        self.assertEqual(self.call("snapshot_list", "a")["items"], [])
        self.assertEqual({i["disk"]: i["layers"] for i in self.call("block_info", "a")["items"]}, {"root": 1, "more": 1})
        self.finish("a")


class Probe(unittest.TestCase):
    def test_what_only_asks_ends_with_the_daemon(self):
        """A QEMU that is asked what it can do is of use to nobody when the daemon is gone."""
        d = Daemon(plugins=["qmp"])
        self.addCleanup(d.cleanup)
        asked, program = d.dir / "asked", d.dir / "qemu"
        program.write_text(f"#!/bin/sh\necho $$ >{asked}.new && mv {asked}.new {asked}\nexec sleep 1000\n")
        program.chmod(0o755)
        d.manifest("qmp", {**d.read_manifest("qmp"), "config": {"qemu": str(program)}})
        d.spawn()
        until("that it is asked", asked.exists, 30)
        pid = int(asked.read_text())
        self.addCleanup(lambda: os.path.exists(f"/proc/{pid}") and os.kill(pid, signal.SIGKILL))
        d.kill()
        until("its end", lambda: not os.path.exists(f"/proc/{pid}") or open(f"/proc/{pid}/stat").read().split()[2] == "Z", 10)


if __name__ == "__main__":
    namespace.enter("a small file system for the state, and another boot id")
    unittest.main(verbosity=2)

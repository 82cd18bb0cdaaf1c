# SPDX-License-Identifier: LGPL-2.1-or-later
"""The daemon is killed at every durable step of every operation, and at random; the next daemon has to make it good.

A cycle: a scenario (a list of operations on one VM) runs until the daemon dies at a chosen step. The next daemon repairs
what it finds. Then: every operation that was acknowledged is true, the one that was cut off is done or not done, nothing is
left that belongs to nobody, and the VM obeys. Systematically at every step that a scenario reaches, then at random.

    kill_loop.py [--cycles N] [--seed S] [--scenario NAME [--step STEP:N]] [--broken STEP]

STEP:N is the Nth time that STEP is reached; its name, not its place among all steps, so that documents that are written
at moments of their own (a probe, a clock) do not move it.

--broken runs a build that does wrong at a step (it acknowledges without writing) and succeeds only if the loop notices.
"""
import argparse
import collections
import copy
import json
import os
import pathlib
import random
import re
import shutil
import signal
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from hvkitd import TOP, Daemon, until  # noqa: E402
from rpc import RpcError  # noqa: E402

VM, UUID = "a", "d3c2dac2-71b8-5a49-a5a6-7f3bdb93e2c3"


class Loss(Exception):
    """Something that was acknowledged is not true, or something is left over."""


# --- what should be ------------------------------------------------------------------------------------------------

class Model:
    """The VM as the acknowledged operations have left it."""

    def __init__(self, directory):
        self.dir = directory
        self.defined, self.state, self.pid = False, None, None
        self.disks = {}  # name: [top, …] as it runs, or as it is defined when it does not
        self.config = {}
        self.snapshots = {}  # name: {"disk": chain below}
        self.saved = False

    def copy(self):
        return copy.deepcopy(self)

    def path(self, name):
        return str(self.dir / name)


class Op:
    def __init__(self, verb, apply, args=None, before=None):
        self.verb, self.apply, self.args, self.before = verb, apply, args or {}, before


def define(**more):
    def apply(m):
        m.defined, m.state = True, "stopped"
        m.config = {"root": [m.path("root.img")]}
        m.disks = copy.deepcopy(m.config)
    return Op("define", apply, lambda m: {"machine": {"name": VM, "uuid": UUID, "memory_bytes": 32 << 20, "disks": [
        {"name": "root", "path": m.path("root.img"), "format": "raw"}], **more}})


def to(verb, state, **args):
    def apply(m):
        m.state = state
        if state == "stopped":
            m.disks, m.pid = copy.deepcopy(m.config), None
    return Op(verb, apply, lambda m: args)


def undefine():
    def apply(m):
        m.defined, m.state, m.disks, m.config, m.snapshots = False, None, {}, {}, {}
    return Op("undefine", apply)


def attach(name, bus="scsi", config=False):
    def apply(m):
        m.disks[name] = [m.path(f"{name}.img")]
        if config:
            m.config[name] = [m.path(f"{name}.img")]
    return Op("attach", apply, lambda m: {"disk": {"name": name, "path": m.path(f"{name}.img"), "format": "raw", "bus": bus}, "config": config})


def detach(name):
    def apply(m):
        del m.disks[name]
        m.config.pop(name, None)
    return Op("detach", apply, lambda m: {"device": name, "config": True, "grace_ms": 5000})


def snapshot(name):
    def overlay(m, d):
        base = m.disks["root"][0]
        d.rpc().call("disk-qcow2.overlay", {"path": m.path(f"{name}.qcow2"), "backing_path": base,
                                           "backing_format": "qcow2" if base.endswith(".qcow2") else "raw"})

    def apply(m):
        m.snapshots[name] = list(m.disks["root"])
        m.disks["root"].insert(0, m.path(f"{name}.qcow2"))
        m.config["root"] = list(m.disks["root"])
    return Op("snapshot_create", apply, lambda m: {"snapshot": name, "disks": [{"disk": "root", "path": m.path(f"{name}.qcow2")}]}, overlay)


def merge(name):
    def apply(m):
        top = [p for p in m.disks["root"] if p == m.path(f"{name}.qcow2") or p == f"root-{name}-*"][0]
        del m.snapshots[name]
        m.disks["root"].remove(top)
        for chain in m.snapshots.values():
            if top in chain:
                chain.remove(top)
        m.config["root"] = list(m.disks["root"])
    return Op("snapshot_delete", apply, lambda m: {"snapshot": name})


def revert(name):
    def apply(m):
        m.disks["root"] = [f"root-{name}-*"] + m.snapshots[name]  # its name is chosen by the daemon
        m.config["root"] = list(m.disks["root"])
    return Op("snapshot_revert", apply, lambda m: {"snapshot": name})


def save():
    def apply(m):
        m.state, m.pid, m.saved, m.disks = "stopped", None, True, copy.deepcopy(m.config)
    return Op("save", apply, lambda m: {"path": m.path("a.save")})


def restore():
    def apply(m):
        m.state = "running"
    return Op("restore", apply, lambda m: {"path": m.path("a.save")})


START, STOP = to("start", "running"), to("stop", "stopped")
SCENARIOS = {
    "life": [define(), START, to("pause", "paused"), to("resume", "running"), STOP, to("start", "paused", paused=True), STOP, undefine()],
    "plug": [define(), START, attach("one"), detach("one"), attach("two", config=True), STOP, START, STOP],
    "snapshots": [define(), START, snapshot("s1"), snapshot("s2"), merge("s1"), merge("s2"), STOP],
    "revert": [define(), START, snapshot("s1"), STOP, revert("s1"), START, merge("s1"), STOP, undefine()],
    "offline": [define(), snapshot("s1"), START, merge("s1"), STOP],
    "save": [define(), START, save(), restore(), STOP],
    "efi": [define(firmware="efi"), START, STOP, undefine()],
    "move-source": None,
    "move-target": None,
}


# --- one cycle -----------------------------------------------------------------------------------------------------

class Cycle:
    def __init__(self, name, kill=None, delay=None, broken=None):
        self.name, self.ops, self.kill, self.delay = name, SCENARIOS[name], kill, delay
        self.d = Daemon(plugins=["qmp", "disk-qcow2", "disk-raw"], env={})
        self.steps = self.d.dir / "steps"
        self.broken, self.trace, self.ever = broken, [], set()
        self.model, self.cut = Model(self.d.dir), None
        for image in ("root.img", "one.img", "two.img"):
            with open(self.d.dir / image, "wb") as f:
                f.truncate(1 << 20)

    def seed_node(self, known):
        """What is known of the node is not found out again in every cycle."""
        if known is not None:
            target = self.d.state / "qmp/docs"
            target.mkdir(parents=True)
            shutil.copy(known, target / "node.rec")

    def start(self, kill=None):
        self.d.env = {"HVKIT_FAULT_LOG": str(self.steps)}
        if kill is not None:
            self.d.env["HVKIT_FAULT_KILL"] = kill
        if self.broken:
            self.d.env["HVKIT_FAULT_BREAK"] = self.broken
        self.d.spawn()
        until("the daemon's socket", lambda: self.d.answers() or self.d.process.poll() is not None, 60)

    def call(self, verb, **args):
        return self.d.rpc().call(f"qmp.{verb}", {**({} if verb in ("list",) else {"vm": VM}), **args, "_timeout_ms": 60000})

    def run(self):
        """Operations until the daemon dies. Those that answered are in the model; the one that did not is `cut`."""
        for op in self.ops:
            done = self.model.copy()
            op.apply(done)
            try:
                self.cut = (op.verb, done)
                if op.before:
                    op.before(self.model, self.d)
                args = op.args(self.model) if callable(op.args) else op.args
                answer = self.call(op.verb, **args)
            except (EOFError, OSError):
                return
            self.model, self.cut = done, None
            self.ever |= {os.path.basename(p) for p in done.disks.get("root", [])}
            if answer.get("pid"):
                self.model.pid = answer["pid"]

    def killer(self):
        def late():
            time.sleep(self.delay)
            try:
                self.d.process.send_signal(signal.SIGKILL)
            except ProcessLookupError:
                pass
        threading.Thread(target=late, daemon=True).start()

    # --- looking ---

    def vm(self):
        found = [v for v in self.call("list")["items"] if v["vm"] == VM]
        return found[0] if found else None

    def settled(self):
        v = self.vm()
        busy = ("starting", "stopping", "unmanaged", "unreachable", "unknown", "migrating")
        return v is None or (v["state"] not in busy and not v.get("operation"))

    def look(self):
        """The VM as it is now, in the model's terms."""
        m = Model(self.d.dir)
        v = self.vm()
        if v is None:
            return m
        m.defined, m.state, m.pid = True, v["state"], v.get("pid")
        m.disks = {b["disk"]: (b["path"], b["layers"]) for b in self.call("block_info")["items"]}
        m.snapshots = {s["snapshot"] for s in self.call("snapshot_list")["items"]}
        return m

    def differences(self, want, seen, pid_matters):
        if want.defined != seen.defined:
            return f"defined: {seen.defined}"
        if not want.defined:
            return None
        if want.state != seen.state:
            return f"state: {seen.state}, not {want.state}"
        if pid_matters and want.pid and want.pid != seen.pid:
            return f"pid: {seen.pid}, not {want.pid}"
        if set(want.snapshots) != seen.snapshots:
            return f"snapshots: {seen.snapshots}, not {set(want.snapshots)}"
        if set(want.disks) != set(seen.disks):
            return f"disks: {set(seen.disks)}, not {set(want.disks)}"
        for name, chain in want.disks.items():
            path, layers = seen.disks[name]
            if layers != len(chain) or not (path == chain[0] or ("*" in chain[0] and chain[0].rstrip("*") in path)):
                return f"disk {name}: {path} ({layers} layers), not {chain}"
        return None

    def check_truth(self):
        seen = self.look()
        wrong = self.differences(self.model, seen, True)
        if wrong and self.cut:
            verb, done = self.cut
            other = self.differences(done, seen, verb not in ("start", "restore"))
            if other is None:
                self.model = done
                wrong = None
            else:
                wrong += f"; and {verb}, which was cut off, is not done: {other}"
        if wrong:
            raise Loss(wrong)
        self.model.pid = seen.pid
        self.seen = seen
        if seen.pid:
            self.check_open(seen)

    def check_open(self, seen):
        """QEMU itself has the tops of the chains open, and no overlay that is gone."""
        fds = pathlib.Path(f"/proc/{seen.pid}/fd")
        files = {os.readlink(f) for f in fds.iterdir() if f.exists() or f.is_symlink()}
        for name, (path, _) in seen.disks.items():
            if path not in files:
                raise Loss(f"disk {name}: QEMU does not have {path} open")
        gone = [f for f in files if f.startswith(str(self.d.dir)) and f.endswith(" (deleted)") and ".qcow2" in f]
        if gone:
            raise Loss(f"QEMU still has {gone} open")

    def check_orphans(self):
        pids = set(self.d.machines())
        known = {self.seen.pid} if self.seen.pid else set()
        if pids != known:
            raise Loss(f"processes {pids}, and the VM's is {known}")
        left = [p for p in self.d.run.rglob("*") if not p.is_dir() and p.suffix != ".log" and not re.fullmatch(r".*\.log\.\d+", p.name)]
        left = [p for p in left if "logd" not in p.name]
        if not self.seen.pid and left:
            raise Loss(f"left in the run directory: {left}")
        variables = [p.name for p in (self.d.state / "qmp/nvram").glob("*")]
        if variables and not self.seen.defined:
            raise Loss(f"EFI variables of nobody: {variables}")

        def temps():
            return [p for p in self.d.dir.rglob("*") if p.name.startswith((".new-", ".hvkit-")) or p.suffix == ".part"]
        until("no temporary files", lambda: not temps(), 5)  # one that is being written is there for a moment
        used = {path for path, _ in self.seen.disks.values()}
        for p in self.d.dir.glob("root-*.qcow2"):  # made by revert
            if str(p) not in used:
                raise Loss(f"{p.name} belongs to no disk")
        made = {f"{op.args(self.model)['snapshot']}.qcow2" for op in self.ops if op.verb == "snapshot_create"}
        kept = {os.path.basename(p) for c in self.model.snapshots.values() for p in c} | {os.path.basename(p) for p in used}
        for name in made - kept:  # one that was not made use of yet is the scenario's own
            if (self.d.dir / name).exists() and self.cut and self.cut[0] not in ("snapshot_create", "define", "start") and name in self.ever:
                raise Loss(f"{name} belongs to no disk and no snapshot")
        if self.cut and self.cut[0] == "save" and not self.cut[1] is self.model and (self.d.dir / "a.save").exists():
            raise Loss("the file of a save that did not happen is there")

    def check_obeys(self):
        """Whatever it is now: it can be stopped, started, and forgotten, and nothing is left."""
        if not self.seen.defined:
            return
        if self.seen.state in ("running", "paused"):
            self.call("stop")
        self.call("start")
        if self.vm()["state"] != "running":
            raise Loss(f"after start: {self.vm()}")
        self.call("stop")
        self.call("undefine")
        left = self.d.left_behind()
        if [x for x in left if "logd" not in x]:
            raise Loss(f"after the end: {left}")

    def go(self, known=None):
        """Returns the steps it went through and, if the daemon died, the step and the operation it died in."""
        self.seed_node(known)
        try:
            self.start(self.kill)
            if self.delay is not None:
                self.killer()
            if self.d.process.poll() is None:
                self.run()
            if self.kill is None and self.delay is None:
                self.d.kill()
            until("the death of the daemon", lambda: self.d.process.poll() is not None or (self.cut is None and self.kill is not None), 30)
            died = self.d.process.poll() is not None
            if not died:
                self.d.kill()
            trace = self.steps.read_text().split() if self.steps.exists() else []
            self.trace = trace
            self.steps.unlink(missing_ok=True)
            self.start()
            until("a settled VM", self.settled, 60)
            self.check_truth()
            self.check_orphans()
            self.check_obeys()
            if self.d.stop() != 0:
                raise Loss("the daemon did not end well")
            return trace, (trace[-1] if died and trace else None), self.cut[0] if self.cut else None
        except (Loss, RpcError, AssertionError, EOFError) as e:
            raise Loss(f"{e}\n  scenario {self.name}, --step {self.kill}, cut in {self.cut and self.cut[0]}, model {json.dumps(vars(self.model), default=str)}\n"
                       f"  last steps: {' '.join(self.trace[-8:])}\n"
                       f"--- log ---\n{self.d.log()[-5000:]}") from None
        finally:
            self.d.cleanup()


class Move:
    """A migration of which one side's daemon dies. In the end the guest runs in exactly one place, whoever was asked."""

    def __init__(self, name, kill=None, delay=None, broken=None):
        self.name, self.kill, self.delay, self.broken = name, kill, delay, broken
        self.here, self.there = (Daemon(plugins=["qmp"], env={}) for _ in range(2))
        self.victim = self.here if name == "move-source" else self.there
        self.steps = self.victim.dir / "steps"
        self.machine = {"name": VM, "uuid": UUID, "memory_bytes": 32 << 20}
        self.trace, self.verb, self.answer, self.died = [], None, None, None

    def call(self, d, verb, **args):
        self.verb = verb
        with d.rpc(timeout=90) as rpc:
            return rpc.call(f"qmp.{verb}", {**({} if verb == "list" else {"vm": VM}), **args, "_timeout_ms": 80000})

    def start(self, d, faults=False):
        d.env = {}
        if faults:
            d.env = {"HVKIT_FAULT_LOG": str(self.steps), **({"HVKIT_FAULT_KILL": self.kill} if self.kill is not None else {}),
                     **({"HVKIT_FAULT_BREAK": self.broken} if self.broken else {})}
        d.spawn()
        until("the daemon's socket", lambda: d.answers() or d.process.poll() is not None, 60)

    def run(self):
        """True when it was answered that the VM has moved. A daemon that dies on the way is followed by another at once."""
        caller = None
        try:
            uri = self.call(self.there, "migrate_in", machine=self.machine, uri=f"unix:{self.there.dir}/move.sock")["uri"]
            self.verb = "migrate"
            caller = self.here.rpc(timeout=60)
            caller.send("qmp.migrate", {"vm": VM, "uri": uri, "_timeout_ms": 80000})
            while caller.next_id not in caller.answers:
                if self.died is None and self.victim.process.poll() is not None:
                    self.revive()
                try:
                    caller.read(time.monotonic() + 0.05)
                except TimeoutError:
                    pass
            caller.finish(caller.next_id)
            self.verb = None
            return True
        except (EOFError, OSError, RpcError) as e:
            self.answer = e
            return False

    def revive(self):
        self.died = time.monotonic()
        self.trace = self.steps.read_text().split() if self.steps.exists() else []
        self.start(self.victim)

    def states(self):
        found = []
        for d in (self.here, self.there):
            items = self.call(d, "list")["items"]
            found.append(items[0]["state"] + ":" + items[0].get("reason", "") if items else None)
        return found

    def settled(self):
        here, there = self.states()
        moved = here == "stopped:migrated" and there is not None and there.startswith("running")
        stayed = here is not None and here.startswith("running") and there in (None, "migrating:incoming")
        return moved and "moved" or stayed and "stayed"

    def check(self, answered):
        def one_place():
            where = self.settled()
            waiting = where == "stayed" and self.states()[1] is not None  # nobody has told it that nobody comes
            processes = (len(self.here.machines()), len(self.there.machines()))
            if where and processes == ((0, 1) if where == "moved" else (1, 1 if waiting else 0)):
                return where, waiting
        where, waiting = until(f"one place for the guest (moved: {answered})", one_place, 40)
        if answered and where != "moved":
            raise Loss(f"migrate was acknowledged, but {self.states()}")
        for d in (self.here, self.there):
            if self.call(d, "list")["items"]:
                self.call(d, "stop")
            if waiting and d is self.there:  # defined only to come here
                until("nothing defined there", lambda: self.call(d, "list")["items"] == [], 20)
            if self.call(d, "list")["items"]:
                self.call(d, "undefine")
            left = [x for x in d.left_behind() if "logd" not in x]
            if left:
                raise Loss(f"after the end: {left}")
            until("no socket left", lambda: not (d.dir / "move.sock").exists(), 10)  # it hears late questions for a moment

    def go(self, known=None):
        try:
            for d in (self.here, self.there):
                target = d.state / "qmp/docs"
                target.mkdir(parents=True)
                shutil.copy(known, target / "node.rec")
            self.start(self.here)
            self.call(self.here, "define", machine=self.machine)
            self.call(self.here, "start")
            if self.victim is self.here:
                self.here.kill()
            else:
                self.start(self.there)
                self.there.kill()
            self.start(self.victim, faults=True)
            if self.victim is self.here:
                self.start(self.there)
            if self.delay is not None:
                threading.Timer(self.delay, self.victim.process.kill).start()
            answered = self.run()
            verb = self.verb
            if self.kill is None and self.delay is None:  # all of them, also those after the answer
                until("the last step", lambda: self.steps.read_text().split()[-1:] == ["qmp/pending.ended"], 10)
            if self.kill is not None and not answered:
                until(f"the death of whom {verb} failed for", lambda: self.died or self.victim.process.poll() is not None, 5)
            if self.delay is not None:
                until("the death of the daemon", lambda: self.died or self.victim.process.poll() is not None, 30)
            if self.kill is not None and not self.died:  # a step after the answer
                soon = time.monotonic() + 4
                while self.victim.process.poll() is None and time.monotonic() < soon:
                    time.sleep(0.01)
            died = self.kill is not None and bool(self.died or self.victim.process.poll() is not None)
            if not self.died:
                self.victim.kill()
                self.revive()
            self.check(answered)
            for d in (self.here, self.there):
                if d.stop() != 0:
                    raise Loss("a daemon did not end well")
            return self.trace, (self.trace[-1] if died and self.trace else None), verb
        except (Loss, RpcError, AssertionError, EOFError) as e:
            raise Loss(f"{e}\n  scenario {self.name}, --step {self.kill}, cut in {self.verb}: {self.answer}; {self.states_or_not()}\n  last steps: {' '.join(self.trace[-8:])}\n"
                       f"--- log here ---\n{self.here.log()[-3000:]}\n--- log there ---\n{self.there.log()[-3000:]}") from None
        finally:
            self.here.cleanup()
            self.there.cleanup()

    def states_or_not(self):
        try:
            return self.states()
        except (RpcError, EOFError, OSError) as e:
            return e


# --- the loop ------------------------------------------------------------------------------------------------------

def steps_in_the_sources():
    found = set()
    for path in TOP.glob("plugins/qmp/*.c"):
        found |= {f"qmp/{s}" for s in re.findall(r'hv_step \([^"]*"([^"]+)"\)', path.read_text())}
    for path in TOP.glob("core/*/*.c"):
        found |= {"/".join(s) for s in re.findall(r'hv_fault_step \("([^"]+)", "([^"]+)"\)', path.read_text())}
    return found


def node_record():
    """A daemon that has found out about the node, so that the others need not."""
    d = Daemon(plugins=["qmp"])
    try:
        d.start()
        d.rpc().call("qmp.probe", {})
        until("the node's record", lambda: (d.state / "qmp/docs/node.rec").exists())
        target = pathlib.Path(f"/tmp/hvkit-node-{os.getpid()}.rec")
        shutil.copy(d.state / "qmp/docs/node.rec", target)
        return target
    finally:
        d.cleanup()


class Tally:
    def __init__(self, wanted):
        self.cycles, self.losses = 0, 0
        self.hits = {s: collections.Counter() for s in wanted}

    def add(self, step, verb):
        self.cycles += 1
        if step is not None:
            self.hits.setdefault(step, collections.Counter())[verb or "between"] += 1

    def table(self):
        width = max(len(s) for s in self.hits)
        for step in sorted(self.hits):
            total = sum(self.hits[step].values())
            where = ", ".join(f"{v} {n}" for v, n in sorted(self.hits[step].items()))
            print(f"{step:{width}}  {total:4}  {where}")


def once(tally, name, known, **how):
    trace, step, verb = (Cycle if SCENARIOS[name] else Move) (name, **how).go(known)
    tally.add(step, verb)
    return trace


def sweep(tally, names, known):
    """Every step that a scenario reaches, one daemon's death each."""
    for name in names:
        trace = once(tally, name, known)
        print(f"{name}: {len(trace)} steps", flush=True)
        seen = collections.Counter()
        for step in trace:
            seen[step] += 1
            once(tally, name, known, kill=f"{step}:{seen[step]}")


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--cycles", type=int, default=200)
    p.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(3), "big"))
    p.add_argument("--scenario", choices=SCENARIOS)
    p.add_argument("--step", metavar="STEP:N")
    p.add_argument("--broken")
    a = p.parse_args()
    known = node_record()
    tally = Tally(set() if a.scenario else steps_in_the_sources())
    print(f"seed {a.seed}", flush=True)
    rand = random.Random(a.seed)
    try:
        if a.step is not None:
            once(tally, a.scenario, known, kill=a.step, broken=a.broken)
        elif a.broken:
            for name in SCENARIOS:
                once(tally, name, known, kill=f"*:{rand.randrange(5, 40)}", broken=a.broken)
        else:
            sweep(tally, [a.scenario] if a.scenario else SCENARIOS, known)
            while tally.cycles < a.cycles:
                once(tally, rand.choice([a.scenario] if a.scenario else list(SCENARIOS)), known, delay=rand.uniform(0.05, 2.5))
    except Loss as e:
        print(f"LOSS after {tally.cycles} cycles (seed {a.seed}): {e}", flush=True)
        if a.broken:
            print(f"the broken build ({a.broken}) was noticed")
            return 0
        return 1
    finally:
        known.unlink(missing_ok=True)
    if a.broken:
        print(f"a build that is broken at {a.broken} went unnoticed through {tally.cycles} cycles")
        return 1
    if tally.hits:
        tally.table()
    print(f"cycles {tally.cycles}, losses 0, orphans 0, seed {a.seed}")
    unhit = sorted(s for s, n in tally.hits.items() if not n) if not a.scenario else []
    if unhit:
        print(f"steps that nobody died at: {', '.join(unhit)}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

# SPDX-License-Identifier: LGPL-2.1-or-later
"""The qmp backend beside bare QEMU: one start, and a herd of machines that stand at -S."""
import concurrent.futures
import json
import os
import pathlib
import re
import signal
import socket
import statistics
import subprocess
import time
import uuid

import msgpack

from hvkitd import TOP, until
from rpc import Rpc


class Machine:
    """A disk on an overlay, display, agent, console: what a KubeVirt machine has. `argv` is the plugin's own, once it started."""

    def __init__(self, daemon, guest):
        subprocess.run([str(TOP / "tests/guest/build"), str(guest)], check=True, capture_output=True)
        base, overlay = daemon.dir / "disk.img", daemon.dir / "rootdisk.qcow2"
        subprocess.run(["cp", "--sparse=always", str(guest / "disk.img"), str(base)], check=True)
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", str(base), "-F", "raw", str(overlay)], check=True)
        self.rpc = daemon.rpc()
        self.rpc.call("qmp.define", {"vm": "one", "machine": {
            "name": "one", "uuid": str(uuid.uuid4()), "memory_bytes": 512 << 20,
            "disks": [{"name": "rootdisk", "path": str(overlay), "format": "qcow2", "backing": [{"path": str(base), "format": "raw"}], "boot_order": 1}]}})
        self.rpc.subscribe(["qmp.lifecycle"])
        self.argv = None

    def start_to_running(self):
        """Seconds from the call until the event that says it runs is here: the guest's first instruction is behind it."""
        begin = time.perf_counter()
        call = self.rpc.send("qmp.start", {"vm": "one"})
        self.rpc.event(lambda e: e["data"]["state"] == "running", timeout=60)
        took = time.perf_counter() - begin
        self.rpc.finish(call, 60)
        self.argv = self.rpc.call("qmp.native", {"vm": "one"})["argv"]
        self.rpc.call("qmp.stop", {"vm": "one"}, timeout=60)
        until("the end of the machine", lambda: self.rpc.call("qmp.get", {"vm": "one"})["state"] == "stopped", 60)
        self.rpc.notes.clear()
        return took


def memory_kib(pid):
    """Private dirty and resident. While a child is between fork and exec its parent's pages count as shared, so dirty is both."""
    kib = {k: int(v) for k, v in re.findall(r"^(\w+):\s+(\d+) kB", pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text(), re.M)}
    return kib["Private_Dirty"] + kib["Shared_Dirty"], kib["Rss"]


def available_kib():
    return int(re.search(r"^MemAvailable:\s+(\d+) kB", pathlib.Path("/proc/meminfo").read_text(), re.M)[1])


class Herd:
    """`count` small machines, each with a disk, started paused, a few at a time."""

    def __init__(self, daemon, count):
        self.d, self.count = daemon, count
        if available_kib() < count * 48 * 1024 + (2 << 20):
            raise SystemExit(f"{count} machines need about {count * 48 >> 10} GiB of free memory; pass --count")
        self.rpc = daemon.rpc()

    def define(self, i):
        name = f"herd-{i:04}"
        path = self.d.dir / f"{name}.img"
        with open(path, "wb") as f:
            f.truncate(1 << 20)
        self.rpc.call("qmp.define", {"vm": name, "machine": {"name": name, "uuid": str(uuid.uuid5(uuid.NAMESPACE_DNS, name)), "memory_bytes": 16 << 20,
                                                             "graphics": False, "disks": [{"name": "root", "path": str(path), "format": "raw"}]}})
        return name

    def start(self):
        names = [self.define(i) for i in range(self.count)]

        def one(share):
            with Rpc(self.d.socket) as rpc:
                for name in share:
                    rpc.call("qmp.start", {"vm": name, "paused": True}, timeout=120)
        begin = time.perf_counter()
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            list(pool.map(one, [names[i::4] for i in range(4)]))
        return time.perf_counter() - begin

    def pids(self):
        """Of those that are managed and paused."""
        with Rpc(self.d.socket) as rpc:
            return {v["vm"]: v["pid"] for v in rpc.call("qmp.list", {"limit": 5000})["items"] if v["state"] == "paused"}

    def readopt(self):
        """Seconds from exec of a new daemon until its list has every machine paused; and how many processes are others."""
        before = self.pids()
        self.d.kill()
        begin = time.perf_counter()
        self.d.spawn()
        until("the daemon's socket", self.d.answers, 60, step=0.001)
        answered = time.perf_counter() - begin
        after = {}

        def managed():
            after.update(self.pids())
            return len(after) == self.count
        until("every machine, managed", managed, 60, step=0.005)
        took = time.perf_counter() - begin
        self.rpc = self.d.rpc()
        return took, answered, sum(after.get(k) != v for k, v in before.items())


def call_p50_ms(path, method, args, calls=200):
    """Raw frames on a raw socket. The clock stops when the last byte is here; decoding is what an answer's end is known by, and not counted."""
    frame = msgpack.packb([0, 1, method, [args]])
    took = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
        s.settimeout(60)
        s.connect(str(path))
        for _ in range(calls):
            got, answer = b"", None
            begin = time.perf_counter()
            s.sendall(frame)
            while answer is None:
                got += s.recv(1 << 22)
                end = time.perf_counter()
                try:
                    answer = msgpack.unpackb(got)
                except ValueError:  # not all of it yet
                    pass
            if answer[2] is not None:
                raise SystemExit(f"{method}: {answer[2]}")
            took.append(end - begin)
    return statistics.median(took) * 1e3


class Stopped:
    """One process of the herd that hangs while the block runs."""

    def __init__(self, pid):
        self.pid = pid

    def __enter__(self):
        os.kill(self.pid, signal.SIGSTOP)

    def __exit__(self, *exc):
        os.kill(self.pid, signal.SIGCONT)


def second_monitor(daemon):
    """A machine whose QEMU has a monitor for us, too: paths of that and of its VNC server."""
    monitor, wrapper = daemon.dir / "second.sock", daemon.dir / "qemu"
    wrapper.write_text(f"""#!/bin/sh
case " $* " in
*" -uuid "*) exec /usr/bin/qemu-system-x86_64 "$@" -chardev socket,id=second,path={monitor},server=on,wait=off -mon chardev=second,mode=control ;;
esac
exec /usr/bin/qemu-system-x86_64 "$@"
""")
    wrapper.chmod(0o755)
    manifest = json.loads((daemon.manifest_dir / "qmp.json").read_text())
    manifest.setdefault("config", {})["qemu"] = str(wrapper)
    daemon.manifest("qmp", manifest)
    daemon.start()
    rpc = daemon.rpc()
    rpc.call("qmp.define", {"vm": "two", "machine": {"name": "two", "uuid": str(uuid.uuid4()), "memory_bytes": 16 << 20}})
    rpc.call("qmp.start", {"vm": "two", "paused": True}, timeout=60)
    return monitor, rpc.call("qmp.get", {"vm": "two"})["vnc_path"]

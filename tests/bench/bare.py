# SPDX-License-Identifier: LGPL-2.1-or-later
"""Bare QEMU with an argv of the plugin's. What descriptors that needs is read from the argv itself; one that is not understood is
an error, so that this cannot fall behind the plugin unnoticed."""
import fcntl
import json
import os
import pathlib
import re
import socket
import subprocess
import tempfile
import time

WAIT_S = 60


class NotUnderstood(Exception):
    """The argv speaks of a descriptor that nobody here knows how to open."""


def options(argv):
    """(option, value) of every option that has a value."""
    return [(a, b) for a, b in zip(argv, argv[1:]) if a.startswith("-") and not b.startswith("-")]


def fields(value):
    """A value of an option, in JSON or as key=value,key=value."""
    return json.loads(value) if value.startswith("{") else dict(f.partition("=")[::2] for f in value.split(","))


def numbers_in(value):
    """Descriptors that a value names, however it does."""
    lists = re.findall(r'\bv?(?:host)?fds?"?[=:]"?([\d:]+)', value)
    return [int(n) for found in lists for n in found.split(":") if n]


def descriptors(argv):
    """What QEMU is to inherit: {number: (kind, name)}; kind is "listen" for a socket's server, "log" for a file that is appended to."""
    plan, sets, used = {}, set(), set()
    for option, value in options(argv):
        f = fields(value) if numbers_in(value) else {}
        if option == "-chardev" and value.startswith("socket,") and f.get("server") == "on":
            plan[int(f["fd"])] = ("listen", f["id"])
        elif option == "-add-fd" and f.get("opaque", "").endswith("-log"):
            plan[int(f["fd"])] = ("log", f["opaque"])
            sets.add(f["set"])
        elif f:
            raise NotUnderstood(f"bare QEMU is not given what this names: {option} {value}")
        used.update(re.findall(r"/dev/fdset/(\d+)", value))
    if used != sets:
        raise NotUnderstood(f"fdsets {sorted(used)} are used, {sorted(sets)} are filled")
    if sorted(plan) != list(range(3, 3 + len(plan))) or "monitor0" not in [name for _, name in plan.values()]:
        raise NotUnderstood(f"descriptors without a gap from 3 on, and a monitor among them, are expected: {plan}")
    return plan


def opened(work, kind, name):
    """A Python object that owns the descriptor."""
    if kind == "log":
        return open(work / name, "ab")
    s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    s.bind(str(work / name))
    s.listen(1)
    return s


def spawn(argv, work):
    """(pid, monitor's socket, time of exec). QEMU alone holds its sockets: when it ends, who waits for the monitor sees that."""
    plan = descriptors(argv)
    owned = {n: opened(work, *plan[n]) for n in plan}
    monitor = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    monitor.settimeout(WAIT_S)
    monitor.connect(str(work / "monitor0"))
    high = {n: fcntl.fcntl(o.fileno(), fcntl.F_DUPFD_CLOEXEC, 200) for n, o in owned.items()}  # none is in the way of another
    actions = [(os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0), (os.POSIX_SPAWN_OPEN, 1, str(work / "stderr"), os.O_WRONLY | os.O_CREAT, 0o600),
               (os.POSIX_SPAWN_DUP2, 1, 2)] + [(os.POSIX_SPAWN_DUP2, high[n], n) for n in plan]
    begin = time.perf_counter()
    pid = os.posix_spawn(argv[0], argv, os.environ, file_actions=actions)
    for fd in high.values():
        os.close(fd)
    for o in owned.values():
        o.close()
    return pid, monitor, begin


def qmp(f, command):
    f.write(json.dumps({"execute": command}).encode() + b"\n")
    f.flush()
    while True:
        reply = json.loads(f.readline())
        if "return" in reply:
            return
        assert "error" not in reply, reply


def elsewhere(argv, work):
    """The same machine with its own overlay over the same base, and its own display."""
    overlay = fields(next(a for a in argv if a.startswith("{") and "rootdisk.qcow2" in a))["filename"]
    base = fields(next(a for a in argv if a.startswith('{"driver":"file"') and "disk.img" in a))["filename"]
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", base, "-F", "raw", str(work / "rootdisk.qcow2")], check=True, timeout=WAIT_S)
    return [re.sub(r"^vnc=unix:[^,]*", f"vnc=unix:{work}/vnc.sock", a.replace(overlay, str(work / "rootdisk.qcow2"))) for a in argv]


def bare(argv):
    """Seconds from exec of QEMU until it has answered cont; same arguments, same kinds of descriptors, paths in another directory."""
    with tempfile.TemporaryDirectory(prefix="hvkit-bare-") as work:
        work = pathlib.Path(work)
        pid, monitor, begin = spawn(elsewhere(argv, work), work)
        try:
            with monitor, monitor.makefile("rwb") as f:
                f.readline()
                qmp(f, "qmp_capabilities")
                qmp(f, "cont")
                return time.perf_counter() - begin
        except (OSError, ValueError) as e:
            raise AssertionError(f"bare QEMU: {e}; it said: {(work / 'stderr').read_text()}") from e
        finally:
            os.kill(pid, 9)
            os.waitpid(pid, 0)

# SPDX-License-Identifier: LGPL-2.1-or-later
"""Starting one and the same machine: through vmi.apply, and as bare QEMU with the very argv that the plugin used."""
import json
import os
import pathlib
import socket
import struct
import subprocess
import tempfile
import time

from hvkitd import TOP, until


def listener(path):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    s.bind(str(path))
    s.listen(1)
    return s


class Vm:
    def __init__(self, daemon, guest):
        self.d = daemon
        subprocess.run([str(TOP / "tests/guest/build"), str(guest)], check=True, capture_output=True)
        volume = daemon.state / "vmi/volumes/default/ubuntu-amd-sys-disk"
        volume.mkdir(parents=True)
        subprocess.run(["cp", "--sparse=always", str(guest / "disk.img"), str(volume / "disk.img")], check=True)
        self.manifest = (TOP / "examples/ubuntu-amd.yaml").read_text()
        self.rpc = daemon.rpc()
        self.rpc.subscribe(["*.lifecycle"])
        self.argv = None

    def apply_to_cont(self):
        """Seconds from the call of vmi.apply until the event that says the machine runs has arrived here."""
        begin = time.perf_counter()
        self.rpc.call("vmi.apply", {"manifest": self.manifest})
        self.rpc.event(lambda e: e["data"]["state"] == "running", timeout=60)
        took = time.perf_counter() - begin
        self.argv = self.rpc.call("qmp.native", {"vm": "default_ubuntu-amd"})["argv"]
        self.rpc.call("qmp.stop", {"vm": "default_ubuntu-amd"}, timeout=60)  # the guest has nothing to save
        self.rpc.call("vmi.delete_vm", {"name": "ubuntu-amd", "_timeout_ms": 120000}, timeout=120)
        until("the end of the machine", lambda: not self.d.machines(), 120)
        until("the end of the object", lambda: not self.rpc.call("qmp.list")["items"], 120)
        self.rpc.notes.clear()
        return took


def qmp(f, command):
    f.write(json.dumps({"execute": command}).encode() + b"\n")
    f.flush()
    while True:
        reply = json.loads(f.readline())
        if "return" in reply:
            return
        assert "error" not in reply, reply


def bare(vm):
    """Seconds from exec of QEMU until it has answered cont; same arguments, same kinds of descriptors, paths in another directory."""
    with tempfile.TemporaryDirectory(prefix="hvkit-bare-") as work:
        work = pathlib.Path(work)
        state = next(a for a in vm.argv if "rootdisk.qcow2" in a)
        overlay = json.loads(state)["filename"]
        base = json.loads(next(a for a in vm.argv if a.startswith('{"driver":"file"') and "disk.img" in a))["filename"]
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", base, "-F", "raw", str(work / "rootdisk.qcow2")], check=True)
        argv = [a.replace(overlay, str(work / "rootdisk.qcow2")) for a in vm.argv]
        argv = ["vnc=unix:" + str(work / "vnc.sock") + ",audiodev=audio1" if a.startswith("vnc=unix:") else a for a in argv]
        keep = [listener(work / "monitor"), listener(work / "agent"), listener(work / "serial"), open(work / "serial.log", "ab")]

        told, stamp = os.pipe()

        def place():
            high = [os.dup(k.fileno()) for k in keep]
            for i, fd in enumerate(high):
                os.dup2(fd, 3 + i)
            os.set_inheritable(os.dup2(stamp, 200), False)
            os.closerange(7, 200)
            os.closerange(201, 256)
            os.write(200, struct.pack("d", time.perf_counter()))  # exec follows: what Python takes to fork is not QEMU's

        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, close_fds=False, preexec_fn=place)
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
                s.connect(str(work / "monitor"))
                f = s.makefile("rwb")
                f.readline()
                qmp(f, "qmp_capabilities")
                qmp(f, "cont")
                took = time.perf_counter() - struct.unpack("d", os.read(told, 8))[0]
        finally:
            os.close(told)
            os.close(stamp)
            process.kill()
            process.wait()
            for k in keep:
                k.close()
        return took

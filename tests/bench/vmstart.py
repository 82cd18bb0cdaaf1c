# SPDX-License-Identifier: LGPL-2.1-or-later
"""A machine of a manifest, started through vmi.apply. `argv` is what the plugin used."""
import subprocess
import time

from hvkitd import TOP, until


class Vm:
    def __init__(self, daemon, guest):
        self.d = daemon
        subprocess.run([str(TOP / "tests/guest/build"), str(guest)], check=True, capture_output=True)
        volume = daemon.state / "vmi/volumes/default/ubuntu-amd-sys-disk"
        volume.mkdir(parents=True)
        subprocess.run(["cp", "--sparse=always", str(guest / "disk.img"), str(volume / "disk.img")], check=True)
        self.manifest = (TOP / "examples/local-disk.yaml").read_text()
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

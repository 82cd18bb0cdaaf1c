# SPDX-License-Identifier: LGPL-2.1-or-later
"""The test guest on a hypervisor/1 backend, and a shell in it through its agent.

    g = Guest(daemon, "a", backend="qmp"); g.define(); g.start(); g.sh("uname -r")
"""
import base64
import json
import subprocess
import uuid

from hvkitd import TOP, build_dir, until
from rpc import RpcError


def image():
    """The disk image of the test guest, built once per build directory."""
    out = build_dir() / "guest"
    subprocess.run([str(TOP / "tests/guest/build"), str(out)], check=True, capture_output=True)
    return out / "disk.img"


class Guest:
    def __init__(self, daemon, name, backend="qmp", rpc=None, directory=None):
        self.d, self.name, self.backend = daemon, name, backend
        self.rpc = rpc or daemon.rpc()
        self.dir = directory or daemon.dir
        self.root = self.dir / f"{name}.img"
        self.uuid = str(uuid.uuid5(uuid.NAMESPACE_DNS, name))

    def call(self, verb, **args):
        return self.rpc.call(f"{self.backend}.{verb}", {"vm": self.name, **args})

    def machine(self, **more):
        return {"name": self.name, "uuid": self.uuid, "memory_bytes": 128 << 20, "graphics": False,
                "disks": [{"name": "root", "path": str(self.root), "format": "raw", "boot_order": 1}], **more}

    def copy_image(self):
        if not self.root.exists():
            subprocess.run(["cp", "--sparse=always", str(image()), str(self.root)], check=True)

    def define(self, replace=False, **more):
        self.copy_image()
        return self.call("define", machine=self.machine(**more), replace=replace)

    def start(self, timeout=120, **args):
        self.call("start", **args)
        self.wait_agent(timeout)
        return self

    def wait_agent(self, timeout=120):
        until("the guest agent", lambda: self.call("get")["agent_connected"], timeout)

    def agent(self, command, timeout_ms=20000, **arguments):
        text = json.dumps({"execute": command, **({"arguments": arguments} if arguments else {})})
        reply = None

        def answered():
            nonlocal reply
            try:
                reply = json.loads(self.call("agent_command", command=text, timeout_ms=timeout_ms)["reply"])
            except RpcError as e:
                if e.code != "ABORTED":  # hvkitd itself asks the guest something
                    raise
            return reply is not None
        until("the guest's turn to answer", answered, 30, step=0.005)
        if "error" in reply:
            raise RpcError("UNKNOWN", f"{command}: {reply['error']}", {})
        return reply["return"]

    def sh(self, script, timeout=60):
        """Runs a shell script in the guest; its output. A script that fails raises."""
        pid = self.agent("guest-exec", **{"path": "/bin/sh", "arg": ["-c", script], "capture-output": True})["pid"]
        status = {}

        def ended():
            status.update(self.agent("guest-exec-status", pid=pid))
            return status["exited"]
        until(f"the end of '{script}'", ended, timeout, step=0.05)
        text = base64.b64decode(status.get("out-data", "")).decode()
        if status.get("exitcode", 1) != 0:
            error = base64.b64decode(status.get("err-data", "")).decode()
            raise AssertionError(f"'{script}' in the guest: {status}\n{text}{error}")
        return text.strip()

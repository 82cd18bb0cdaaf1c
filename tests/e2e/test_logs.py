# SPDX-License-Identifier: LGPL-2.1-or-later
"""Logs of machines: whole whatever dies, the firmware's among them; and EFI, which says so on the console."""
import os
import pathlib
import signal
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from hvkitd import Daemon, until  # noqa: E402

UUID = "d3c2dac2-71b8-5a49-a5a6-7f3bdb93e2c3"


class Logs(unittest.TestCase):
    firmware = "bios"

    def setUp(self):
        self.d = Daemon(plugins=["qmp"])
        self.addCleanup(self.d.cleanup)
        self.d.start()
        self.r = self.d.rpc()

    def begin(self, **more):
        self.r.call("qmp.define", {"vm": "a", "machine": {"name": "a", "uuid": UUID, "memory_bytes": 64 << 20, **more}})
        return self.r.call("qmp.start", {"vm": "a"})["pid"]

    def log(self, name):
        path = self.d.run / "qmp" / UUID / name
        return path.read_text(errors="replace") if path.exists() else ""

    def logd(self):
        """The process that holds the socket's lock."""
        lock = os.stat(self.d.run / "logd.sock.lock").st_ino
        for p in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                if "hvkit-logd" in os.readlink(p / "exe") and any(os.stat(f).st_ino == lock for f in (p / "fd").iterdir()):
                    return int(p.name)
            except OSError:
                continue
        return None

    def pipes(self, pid):
        return {os.readlink(f) for f in pathlib.Path(f"/proc/{pid}/fd").iterdir() if os.readlink(f).startswith("pipe:")}

    def finish(self):
        self.r = self.d.rpc()
        self.r.call("qmp.stop", {"vm": "a"})
        self.r.call("qmp.undefine", {"vm": "a"})
        self.assertEqual(self.d.left_behind(), [])

    def test_the_firmware_has_a_log(self):
        self.begin()
        until("SeaBIOS", lambda: "SeaBIOS (version" in self.log("firmware.log"))
        self.finish()

    def test_whoever_dies_the_logs_go_on(self):
        pid = self.begin()

        def boots():  # to the end: reset in its midst, the firmware may take another way
            return self.log("firmware.log").count("No bootable device")
        until("a boot", boots)

        def reset_and_see(what):
            before = boots()
            self.d.rpc().call("qmp.reset", {"vm": "a"})
            until(f"a boot in the log {what}", lambda: boots() > before)
        reset_and_see("before")
        logd = self.logd()

        self.d.kill()  # hvkitd goes, and its successor finds the same hvkit-logd
        self.d.start()
        self.assertEqual(self.logd(), logd)
        until("adopted", lambda: self.d.rpc().call("qmp.get", {"vm": "a"})["state"] == "running")
        reset_and_see("under the next daemon")

        os.kill(logd, signal.SIGKILL)  # hvkit-logd goes: another one gets the pipes
        until("another hvkit-logd", lambda: self.logd() not in (None, logd))
        until("the pipes", lambda: self.pipes(self.logd()) >= {p for p in self.pipes(pid)}, 20)
        reset_and_see("with the next hvkit-logd")

        self.d.kill()  # both go
        os.kill(self.logd(), signal.SIGKILL)
        self.d.start()
        until("adopted", lambda: self.d.rpc().call("qmp.get", {"vm": "a"})["state"] == "running")
        until("the pipes", lambda: self.logd() and self.pipes(self.logd()) >= {p for p in self.pipes(pid)}, 20)
        reset_and_see("after both")
        self.assertEqual(self.d.rpc().call("qmp.get", {"vm": "a"})["pid"], pid)
        self.finish()

    def test_last_words(self):
        pid = self.begin()
        os.kill(pid, signal.SIGTERM)
        until("the end", lambda: self.r.call("qmp.get", {"vm": "a"})["state"] in ("crashed", "stopped"))
        self.assertIn("terminating on signal 15", self.r.call("qmp.get", {"vm": "a"}).get("detail", self.log("qemu.log")))

    def test_hvkit_logd_ends_with_the_last(self):
        self.begin()
        logd = self.logd()
        self.finish()
        self.assertEqual(self.d.stop(), 0)
        until("the end of hvkit-logd", lambda: not os.path.exists(f"/proc/{logd}"), 20)

    def test_efi(self):
        self.begin(firmware="efi", memory_bytes=256 << 20)
        nvram = self.d.state / f"qmp/nvram/{UUID}.fd"
        self.assertEqual(nvram.stat().st_mode & 0o777, 0o600)
        template = pathlib.Path("/usr/share/OVMF/OVMF_VARS_4M.fd").read_bytes()
        until("EFI on the console", lambda: "BdsDxe" in self.log("serial.log"), 120)
        until("EFI's variables written", lambda: nvram.read_bytes() != template, 60)
        self.finish()
        self.assertFalse(nvram.exists())


if __name__ == "__main__":
    unittest.main(verbosity=2)

# SPDX-License-Identifier: LGPL-2.1-or-later
"""What probe says of a node is what its libvirt says; and what a machine asks for beyond that is refused when it is defined."""
import os
import sys
import unittest
import xml.etree.ElementTree as ET

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from hvkitd import Daemon  # noqa: E402
from libvirtd import Libvirtd  # noqa: E402
from rpc import RpcError  # noqa: E402

UUID = "d3c2dac2-71b8-5a49-a5a6-7f3bdb93e2c3"


class Node(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.l = Libvirtd()
        cls.addClassCleanup(cls.l.cleanup)
        cls.l.start()

    def daemon(self, **config):
        d = Daemon(manifests={"libvirt": {"name": "libvirt", "plugin": "libvirt.so", "config": {"uri": self.l.uri, **config}}})
        self.addCleanup(d.cleanup)
        d.start()
        return d.rpc()

    def refused(self, rpc, text, **machine):
        with self.assertRaisesRegex(RpcError, text):
            rpc.call("libvirt.define", {"vm": "a", "machine": {"name": "a", "uuid": UUID, "memory_bytes": 1 << 26, **machine}})
        self.assertNotIn("a", self.l.virsh("list", "--all", "--name").stdout.split(), "it was defined all the same")

    def test_probe(self):
        probe = self.daemon(accel="tcg").call("libvirt.probe", {})
        kind = ET.fromstring(self.l.virsh("domcapabilities", "--virttype", "qemu").stdout)
        theirs = {m.text: m.get("usable") != "no" for m in kind.findall("cpu/mode[@name='custom']/model")}
        guest = ET.fromstring(self.l.virsh("capabilities").stdout).find("guest/arch[@name='x86_64']")
        self.assertGreater(len(theirs), 10)
        self.assertEqual({m["name"]: m["usable"] for m in probe["cpu_models"]}, theirs)
        self.assertEqual(set(probe["machines"]), {m.text for m in guest.findall("machine") if m.text.startswith(("q35", "pc-q35"))})
        self.assertIn("q35", probe["machines"])
        self.assertEqual((probe["backend"], probe["arch"], probe["accel"], probe["binary"]), ("libvirt", "amd64", "tcg", kind.findtext("path")))

    def test_refused(self):
        rpc = self.daemon(accel="tcg")
        self.refused(rpc, r"machine\.machine 'pc-q35-99\.0': libvirt has no such type here; it has q35, pc-q35-", machine="pc-q35-99.0")
        self.refused(rpc, r"machine\.machine 'q35': on arm64 there is virt", arch="arm64")
        self.refused(rpc, r"machine\.cpu\.model 'Pentium9': libvirt does not know it here; usable are ", cpu={"model": "Pentium9"})
        if "aarch64" not in self.l.virsh("capabilities").stdout:
            self.refused(rpc, r"machine\.arch 'arm64': libvirt has no emulator for it here; it has .*amd64", arch="arm64", machine="virt", firmware="efi",
                         cpu={"model": "max"})
        rpc.call("libvirt.define", {"vm": "a", "machine": {"name": "a", "uuid": UUID, "memory_bytes": 1 << 26, "cpu": {"model": "Westmere"}}})
        rpc.call("libvirt.undefine", {"vm": "a"})

    def test_emulator_missing(self):
        self.refused(self.daemon(accel="tcg", emulator="/nonexistent/qemu"), "/nonexistent/qemu")

    def test_pinned_kvm(self):
        """KVM is hidden from this libvirt."""
        rpc = self.daemon(accel="kvm")
        probe = rpc.call("libvirt.probe", {})
        self.assertEqual(probe["accel"], "kvm")
        self.assertIn("pinned", next(a["reason"] for a in probe["accels"] if a["name"] == "kvm"))
        self.refused(rpc, r"FAILED_PRECONDITION.*machine\.arch 'amd64': libvirt has no KVM for it here")

    def kvm_probe(self, script):
        path = self.l.dir / f"probe-{self.id().rsplit('.', 1)[-1]}"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return str(path)

    def auto(self, program):
        probe = self.daemon(kvm_probe=program).call("libvirt.probe", {})
        kvm = next(a for a in probe["accels"] if a["name"] == "kvm")
        return probe["accel"], kvm["works"], kvm["reason"]

    def test_auto_without_kvm(self):
        self.assertEqual(self.auto(self.kvm_probe("echo an exception; exit 1")), ("tcg", False, "an exception"))

    def test_auto_hidden_from_libvirt(self):
        self.assertEqual(self.auto(self.kvm_probe("echo guest code runs")), ("tcg", False, "guest code runs on it, but libvirt has no KVM here"))

    def test_auto_not_tried(self):
        accel, works, reason = self.auto("/nonexistent/probe")
        self.assertEqual((accel, works), ("tcg", False))
        self.assertIn("/nonexistent/probe", reason)


if __name__ == "__main__":
    unittest.main(verbosity=2)

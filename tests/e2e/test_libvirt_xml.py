# SPDX-License-Identifier: LGPL-2.1-or-later
"""The domain that libvirt has after define, node by node against the one that KubeVirt runs for the same VM.

The reference is committed as nodes (plugins/libvirt/tests/reference/ubuntu-amd.nodes), one "path = value" a line, in no order that means anything;
what may differ is listed beside it (allowed.txt) with its class: a run-time data, b environment, c paths of sockets and logs, d what newer
versions of libvirt add by themselves. An entry that is not needed any more fails, too: the list only gets shorter.

python3 test_libvirt_xml.py --flatten FILE.xml prints the nodes of any domain."""
import fnmatch
import os
import pathlib
import sys
import unittest
import xml.etree.ElementTree as ET

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from hvkitd import TOP, Daemon  # noqa: E402
from libvirtd import Libvirtd  # noqa: E402

REFERENCE = TOP / "plugins/libvirt/tests/reference"
CLASSES = {"a": "run-time data", "b": "environment", "c": "sockets and logs", "d": "added by newer libvirt"}

MACHINE = {
    "name": "default_ubuntu-amd", "uuid": "d3c2dac2-71b8-5a49-a5a6-7f3bdb93e2c3", "arch": "amd64", "machine": "q35", "memory_bytes": 4 << 30,
    "cpu": {"model": "host-model", "sockets": 1, "cores": 4, "threads": 1},
    "smbios": {"manufacturer": "KubeVirt", "family": "KubeVirt", "product": "None", "sku": "", "version": ""},
    "disks": [
        {"name": "rootdisk", "path": "/var/run/kubevirt-private/vmi-disks/rootdisk/disk.img", "format": "raw", "bus": "virtio", "boot_order": 1,
         "cache": "none"},
        {"name": "containerdisk", "path": "/var/run/kubevirt-ephemeral-disks/disk-data/containerdisk/disk.qcow2", "format": "qcow2", "bus": "sata",
         "media": "cdrom", "boot_order": 2, "cache": "none",
         "backing": [{"path": "/var/run/kubevirt/container-disks/disk_1.img", "format": "raw"}]}],
    "nics": [{"name": "default", "mac": "ca:5f:48:41:7d:5d", "tap": "tap0", "mtu": 1450}],
    "inputs": [{"name": "tablet1", "type": "tablet", "bus": "usb"}],
}


def local(tag):
    return tag.rsplit("}", 1)[-1]


def key(e):
    """What tells one element from its siblings of the same name."""
    name = local(e.tag)
    if name == "controller":
        return f"[{e.get('type')}{e.get('index')}]"
    if name in ("disk", "interface"):
        return f"[{e.find('target').get('dev')}]"
    if name in ("input", "entry", "feature", "graphics"):
        return f"[{e.get('name') or e.get('type')}]"
    return ""


def flatten(e, path=""):
    path += "/" + local(e.tag) + key(e)
    nodes = [f"{path}@{local(k)} = {v}" for k, v in e.attrib.items()]
    text = (e.text or "").strip()
    nodes.append(f"{path} = {text}" if text else path)
    for child in e:
        nodes += flatten(child, path)
    return nodes


def lines(path):
    return [line for line in path.read_text().splitlines() if line and not line.startswith("#")]


class Compare(unittest.TestCase):
    maxDiff = None

    def native(self):
        with Libvirtd() as l:
            d = Daemon(manifests={"libvirt": {"name": "libvirt", "plugin": "libvirt.so", "config": {"uri": l.uri, "accel": "tcg"}}})
            self.addCleanup(d.cleanup)
            d.start()
            d.rpc().call("libvirt.define", {"vm": MACHINE["name"], "machine": MACHINE})
            xml = d.rpc().call("libvirt.native", {"vm": MACHINE["name"]})["xml"]
            self.assertEqual(xml, l.virsh("dumpxml", MACHINE["name"]).stdout.rstrip("\n") + "\n", "native is not what virsh dumpxml says")
            d.stop()
        return xml

    def test_reference(self):
        ours, theirs = set(flatten(ET.fromstring(self.native()))), set(lines(REFERENCE / "ubuntu-amd.nodes"))
        allowed = [line.split(None, 1) for line in lines(REFERENCE / "allowed.txt")]
        used, by_class, unexpected = set(), dict.fromkeys(CLASSES, 0), []
        for sign, nodes in (("-", theirs - ours), ("+", ours - theirs)):
            for node in sorted(nodes):
                hit = next((i for i, (_, pattern) in enumerate(allowed) if fnmatch.fnmatchcase(sign + node, pattern)), None)
                if hit is None:
                    unexpected.append(sign + node)
                else:
                    used.add(hit)
                    by_class[allowed[hit][0]] += 1
        print(f"{len(theirs)} nodes in the reference, {len(ours)} in ours, {len(ours & theirs)} equal")
        for c, what in CLASSES.items():
            print(f"  {c} {what:24} {by_class[c]:4} differences")
        print(f"  unexpected {'':17} {len(unexpected):4}")
        self.assertEqual(unexpected, [], "differences that are not on the list")
        self.assertEqual([f"{c} {p}" for i, (c, p) in enumerate(allowed) if i not in used], [], "entries that are not needed any more")
        self.assertEqual({c for c, _ in allowed} - set(CLASSES), set())


if __name__ == "__main__":
    if sys.argv[1:2] == ["--flatten"]:
        print("\n".join(flatten(ET.fromstring(pathlib.Path(sys.argv[2]).read_text()))))
    else:
        unittest.main(verbosity=2)

# SPDX-License-Identifier: LGPL-2.1-or-later
"""A manifest's networks, on both backends: a VM that says nothing of them is on the pod's network, has its address by DHCP, shows it, and
leaves nothing behind. The node is a namespace of its own."""
import json
import os
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from guest import Guest, image  # noqa: E402
from hvkitd import TOP, Daemon, until  # noqa: E402
from netns import ADDRESS, MAC, OUTSIDE, Node, Pod, ip, run_in  # noqa: E402

NAME = "ubuntu-amd"


class Network(unittest.TestCase):
    def setUp(self):
        self.node = Node()
        self.addCleanup(self.node.__exit__)
        self.node.__enter__()

    def start(self, backend, **config):
        self.d = d = Daemon(backend=backend, inside=self.node.path)
        self.addCleanup(d.cleanup)
        self.addCleanup(lambda: d.process and d.cli("delete", "vm", NAME, "--grace-period-seconds", "0", check=False, timeout=60))
        d.manifest("net-bridge", {**d.read_manifest("net-bridge"), "config": config})
        if backend == "libvirt":
            d.manifest("libvirt", {"name": "libvirt", "plugin": "libvirt.so", "config": {"accel": "tcg", "spawn": {"kvm": "hide"}}})
        d.start()
        volume = d.state / "vmi/volumes/default/ubuntu-amd-sys-disk/disk.img"
        volume.parent.mkdir(parents=True)
        subprocess.run(["cp", "--sparse=always", str(image()), str(volume)], check=True)

    def manifest(self, devices="", networks="", annotation=""):
        text = (TOP / "examples/local-disk.yaml").read_text()
        text = text.replace("          autoattachPodInterface: false\n", devices)
        text = text.replace("      volumes:\n", networks + "      volumes:\n", 1)
        return text.replace("    os: Linux\n", "    os: Linux\n" + annotation)

    def vmi(self):
        return json.loads(self.d.cli("get", "vmi", NAME, "-o", "json").stdout)["items"][0]

    def run_vm(self, manifest):
        self.d.cli("apply", "-f", "-", input=manifest)
        self.d.cli("wait", "vmi", NAME, "--for", "AgentConnected", "--timeout", "180s", timeout=200)

    def delete(self):
        self.d.cli("delete", "vm", NAME, "--grace-period-seconds", "0", timeout=100)

    def on(self, backend):
        self.start(backend)
        before = self.node.snapshot()
        self.run_vm(self.manifest())
        interface = self.vmi()["status"]["interfaces"][0]
        address = interface["ipAddress"]
        self.assertTrue(address.startswith("10.66."), interface)
        self.assertEqual({k: interface[k] for k in ("name", "queueCount", "interfaceName")}, {"name": "default", "queueCount": 1, "interfaceName": "eth0"})
        self.assertEqual(interface["infoSource"], "domain, guest-agent")
        self.assertEqual(interface["ipAddresses"], [address])
        self.assertIn(address, self.d.cli("get", "vmi").stdout)
        until("an answer from the guest", lambda: run_in(self.node.name, "busybox", "ping", "-c", "1", "-W", "2", address, check=False).find(" 0% packet loss") > 0, 30)
        self.assertIn(address, self.d.cli("guest-agent", "interfaces", "--vm", f"default_{NAME}", "--backend", backend).stdout)
        with self.subTest("a daemon that dies is not missed"):
            self.d.kill()
            self.node.reaches(address)
            self.d.start()
            self.assertEqual(self.vmi()["status"]["interfaces"][0]["ipAddress"], address)
            self.node.reaches(address)
        with self.subTest("a restarted VM has the same address"):
            mac = interface["mac"]
            self.d.cli("restart", NAME)
            self.d.cli("wait", "vmi", NAME, "--for", "AgentConnected", "--timeout", "180s", timeout=200)
            again = self.vmi()["status"]["interfaces"][0]
            self.assertEqual((again["ipAddress"], again["mac"]), (address, mac))
        self.delete()
        self.assertEqual(self.node.snapshot(), before)
        self.assertEqual(self.d.networks(), ([], []))

    def test_pod_network_on_qmp(self):
        self.on("qmp")

    def test_pod_network_on_libvirt(self):
        self.on("libvirt")

    def test_two_networks(self):
        """A masqueraded pod network with a port, and a network of the node, whose addresses only the guest's agent can tell."""
        ip("link", "add", "br0", "type", "bridge", ns=self.node.name)
        ip("addr", "add", "192.168.9.1/24", "dev", "br0", ns=self.node.name)
        ip("link", "set", "br0", "up", ns=self.node.name)
        self.start("qmp", networks=[{"name": "office", "bridge": "br0"}])
        self.run_vm(self.manifest(devices="          networkInterfaceMultiqueue: true\n          interfaces:\n          - name: default\n            masquerade: {}\n"
                                          "            ports: [{port: 8080}]\n          - name: lan\n            bridge: {}\n            macAddress: \"02:00:00:00:09:07\"\n",
                                  networks="      networks:\n      - name: default\n        pod: {}\n      - name: lan\n        multus: {networkName: default/office}\n"))
        first, second = self.vmi()["status"]["interfaces"]
        self.assertEqual((first["ipAddress"], first["name"]), ("10.0.2.2", "default"))
        self.assertEqual((second["name"], second["mac"]), ("lan", "02:00:00:00:09:07"))
        pod = [i for i in json.loads(self.d.cli("net-bridge", "list", "-o", "json").stdout)["items"] if i["nic"] == "default"][0]
        Guest(self.d, f"default_{NAME}").sh(f"mkdir -p /tmp/w; echo reached >/tmp/w/word; busybox httpd -p 8080 -h /tmp/w; ip addr add 192.168.9.7/24 dev eth1; ip link set eth1 up; ping -c 1 -W 5 {OUTSIDE}")
        until("the address that only the agent knows", lambda: self.vmi()["status"]["interfaces"][1].get("ipAddress") == "192.168.9.7", 60)
        self.node.reaches("192.168.9.7")
        inside = json.loads(subprocess.run(["nsenter", f"--net={pod['netns']}", "ip", "-j", "addr", "show", "dev", "eth0"], check=True, capture_output=True, text=True).stdout)[0]
        address = [a["local"] for a in inside["addr_info"] if a["family"] == "inet"][0]
        self.assertEqual(run_in(self.node.name, "busybox", "wget", "-q", "-O", "-", f"http://{address}:8080/word"), "reached\n")
        self.delete()
        self.assertEqual(self.d.networks(), ([], []))

    def test_in_a_given_pod(self):
        """The annotation names the pod: the guest owns its address, as in Kubernetes; afterwards the pod is as it was."""
        self.start("qmp")
        with Pod("p") as pod:
            before = pod.snapshot()
            self.run_vm(self.manifest(annotation=f"    hvkit.io/netns: {pod.path}\n"))
            interface = self.vmi()["status"]["interfaces"][0]
            self.assertEqual((interface["ipAddress"], interface["mac"]), (ADDRESS, MAC))
            until("an answer from the guest", lambda: run_in(pod.far, "busybox", "ping", "-c", "1", "-W", "2", ADDRESS, check=False).find(" 0% packet loss") > 0, 30)
            self.delete()
            self.assertEqual(pod.snapshot(), before)

    def test_no_such_network(self):
        self.start("qmp")
        text = self.manifest(devices="          interfaces:\n          - name: lan\n            bridge: {}\n", networks="      networks:\n      - name: lan\n        multus: {networkName: nowhere}\n")
        self.d.cli("apply", "-f", "-", input=text)
        until("the reason", lambda: "no network 'nowhere'" in self.d.cli("describe", "vmi", NAME, check=False).stdout, 30)
        self.assertIn("interface 'lan'", self.d.cli("describe", "vmi", NAME).stdout)
        self.delete()
        self.assertEqual(self.d.left_behind(), [])


if __name__ == "__main__":
    unittest.main()

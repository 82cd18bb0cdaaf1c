# SPDX-License-Identifier: LGPL-2.1-or-later
"""net-bridge: KubeVirt's bridge binding in a namespace. What it makes is the reference's, what it takes back is as it was to the byte, a
real guest is reached through it, and a daemon that dies at any step leaves the one or the other."""
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from guest import Guest  # noqa: E402
from hvkitd import Daemon, until  # noqa: E402
from netns import ADDRESS, GATEWAY, MAC, Machine, Pod, dhcp_ask, end_servers, ip, servers  # noqa: E402
from rpc import RpcError  # noqa: E402
from sweep import die_at_every_step  # noqa: E402


class Bridge(unittest.TestCase):
    def setUp(self):
        self.d = Daemon(plugins=["net-bridge"], env={})
        self.addCleanup(self.d.cleanup)

    def call(self, verb, **args):
        return self.d.rpc().call(f"net-bridge.{verb}", {**({} if verb == "list" else {"vm": "a"}), **args})

    def attach(self, pod, nic="default", **more):
        return self.call("attach", **{"nic": nic, "netns": pod.path, **more})

    def refused(self, code, text, pod, **more):
        before = pod.snapshot()
        with self.assertRaises(RpcError) as e:
            self.attach(pod, **more)
        self.assertEqual(e.exception.code, code, e.exception.message)
        self.assertIn(text, e.exception.message)
        self.assertEqual(pod.snapshot(), before)
        self.assertEqual(self.call("list")["items"], [])

    def check_reference(self, pod):
        """ip-link.txt of the reference: names, flags, masters, MTU, and whose MAC is whose."""
        links = pod.links()
        port, bridge, tap, stand_in = (links[n] for n in ("eth0-nic", "k6t-eth0", "tap0", "eth0"))
        self.assertEqual([x["mtu"] for x in (port, bridge, tap, stand_in)], [1450] * 4)
        self.assertEqual((port["master"], tap["master"]), ("k6t-eth0", "k6t-eth0"))
        self.assertLess(bridge["ifindex"], tap["ifindex"])
        self.assertLess(tap["ifindex"], stand_in["ifindex"])
        self.assertEqual(stand_in["address"], MAC)
        self.assertEqual(port["address"], bridge["address"])
        self.assertNotEqual(bridge["address"], MAC)
        self.assertLessEqual({"BROADCAST", "NOARP"}, set(stand_in["flags"]))
        self.assertNotIn("UP", stand_in["flags"])
        for x in (port, bridge, tap):
            self.assertIn("UP", x["flags"])
        self.assertFalse(port["linkinfo"]["info_slave_data"]["learning"])

        def v4(x):
            return [f"{a['local']}/{a['prefixlen']}" for a in x["addr_info"] if a["family"] == "inet"]
        self.assertEqual(v4(bridge), ["169.254.75.10/32"])
        self.assertEqual(v4(stand_in), [f"{ADDRESS}/32"])
        self.assertEqual(v4(port), [])

    def test_there_and_back(self):
        self.d.start()
        with Pod("a") as pod:
            before = pod.snapshot()
            got = self.attach(pod, owner_uid=107)
            want = {"state": "attached", "binding": "bridge", "tap": "tap0", "bridge": "k6t-eth0", "mac": MAC, "mtu": 1450, "netns": pod.path,
                    "addresses": [f"{ADDRESS}/32"], "gateway": GATEWAY}
            self.assertEqual({k: got.get(k) for k in want}, want)
            self.check_reference(pod)
            self.assertEqual(self.attach(pod), got)  # once more is nothing new
            with self.subTest("a daemon that dies leaves it as it is"):
                def made():
                    return {n: {k: x[k] for k in ("ifindex", "address", "mtu", "flags", "addr_info")} for n, x in pod.links().items()}
                now = made()
                self.d.kill()
                self.d.start()
                self.assertEqual(made(), now)
                self.assertEqual(self.call("list")["items"], [got])
            self.assertEqual(self.call("stats")["items"][0]["tap"], "tap0")
            self.assertIn("tap0", self.d.cli("net-bridge", "list").stdout)
            self.call("detach")
            self.assertEqual(pod.snapshot(), before)
            self.call("detach")  # nothing is fine
            self.assertEqual(self.call("list")["items"], [])

    def test_queues_and_owner(self):
        self.d.start()
        with Pod("a") as pod:
            before = pod.snapshot()
            got = self.attach(pod, queues=2, owner_uid=107, mtu=1400, mac="02:00:00:00:00:07")
            self.assertEqual((got["mtu"], got["mac"]), (1400, "02:00:00:00:00:07"))
            links = pod.links()
            tap = links["tap0"]["linkinfo"]["info_data"]
            self.assertTrue(tap["multi_queue"] and tap["persist"], tap)
            self.assertEqual(str(tap["user"]), "107")
            self.assertEqual([links[n]["mtu"] for n in ("eth0-nic", "k6t-eth0", "tap0", "eth0")], [1400] * 4)
            self.call("detach")
            self.assertEqual(pod.snapshot(), before)

    def test_nothing_leaks(self):
        """Neither links nor descriptors, in the daemon or in the namespace."""
        self.d.start()
        with Pod("a") as pod:
            before = pod.snapshot()

            def descriptors():
                return len(os.listdir(f"/proc/{self.d.pid}/fd"))
            self.attach(pod)
            self.call("detach")
            fds = descriptors()
            rpc = self.d.rpc(timeout=60)
            for _ in range(60):
                rpc.call("net-bridge.attach", {"vm": "a", "nic": "default", "netns": pod.path})
                rpc.call("net-bridge.detach", {"vm": "a"})
            rpc.close()
            until("no more descriptors than before", lambda: descriptors() <= fds, 10)
            self.assertEqual(pod.snapshot(), before)
            self.assertEqual(list((self.d.state / "net-bridge").rglob("*.rec")), [])

    def test_two_cards(self):
        """Each with its own names; what both need of the namespace stays until the last has gone, in whatever order."""
        self.d.start()
        with Pod("a") as pod:
            ip("link", "add", "net1", "address", "02:00:00:00:00:99", "type", "veth", "peer", "name", "far1", "netns", pod.far, ns=pod.name)
            ip("addr", "add", "192.168.7.2/24", "dev", "net1", ns=pod.name)
            ip("link", "set", "net1", "up", ns=pod.name)
            ip("link", "set", "far1", "up", ns=pod.far)
            before = pod.snapshot(sort=True)
            for order in (("one", "two"), ("two", "one")):
                self.attach(pod, "one")
                second = self.attach(pod, "two", interface_name="net1", ordinal=1)
                self.assertEqual((second["tap"], second["bridge"], second["addresses"]), ("tap1", "k6t-net1", ["192.168.7.2/24"]))
                self.call("detach", nic=order[0])
                self.assertIn("\n1\n", pod.snapshot())
                self.call("detach", nic=order[1])
                self.assertEqual(pod.snapshot(sort=True), before)

    def test_what_dhcp_tells(self):
        """Every option, as the guest's client gets it; and another's MAC gets nothing."""
        self.d.start()
        with Pod("a") as pod:
            got = self.attach(pod, hostname="guest", domain="cluster.local", search=["ns.svc.cluster.local", "cluster.local"], nameservers=["10.96.0.10", "10.96.0.11"], ntp=["192.0.2.1"],
                              bootfile="pxe/a.0", tftp_server="192.0.2.2", options={"240": "1.2.3.4", "241": "x", "254": "words:and/signs"})
            with Machine(pod.path, got["tap"]) as machine:
                offer = dhcp_ask(machine, MAC, {53: b"\x01"})
                self.assertEqual((offer.address, offer.options[53]), (ADDRESS, b"\x02"))
                ack = dhcp_ask(machine, MAC, {53: b"\x03", 50: socket.inet_aton(ADDRESS), 54: offer.options[54]})
                want = {53: b"\x05", 1: b"\xff\xff\xff\xff", 3: socket.inet_aton(GATEWAY), 6: socket.inet_aton("10.96.0.10") + socket.inet_aton("10.96.0.11"), 12: b"guest",
                        15: b"cluster.local", 26: struct.pack("!H", 1450), 42: socket.inet_aton("192.0.2.1"), 51: struct.pack("!I", 999 * 86400), 66: b"192.0.2.2", 67: b"pxe/a.0",
                        119: b"\x02ns\x03svc\x07cluster\x05local\x00\xc0\x07",
                        121: b"\x20" + socket.inet_aton(GATEWAY) + bytes(4) + b"\x00" + socket.inet_aton(GATEWAY), 240: b"1.2.3.4", 241: b"x", 254: b"words:and/signs"}
                self.assertEqual({k: ack.options.get(k, b"").rstrip(b"\0") if k in (66, 67) else ack.options.get(k) for k in want}, want)
                self.assertGreater(self.call("get", nic="default")["lease_ms"], 1.6e12)
                self.call("detach")
            self.attach(pod, guard=False)
            with Machine(pod.path, got["tap"]) as machine:
                self.assertIsNone(dhcp_ask(machine, "02:00:00:00:00:99", {53: b"\x01"}, timeout=2))
                self.assertIsNotNone(dhcp_ask(machine, MAC, {53: b"\x01"}))
            self.call("detach")

    def test_refused(self):
        self.d.start()
        with Pod("a") as pod:
            self.refused("NOT_FOUND", "eth7", pod, interface_name="eth7")
            self.refused("INVALID_ARGUMENT", "longer than 11", pod, interface_name="abcdefghijkl")
            self.refused("INVALID_ARGUMENT", "a group's address", pod, mac="03:00:00:00:00:01")
            self.refused("FAILED_PRECONDITION", "not Ethernet", pod, interface_name="lo")
            self.refused("OUT_OF_RANGE", "has 1450", pod, binding="masquerade", mtu=1451)
            self.refused("INVALID_ARGUMENT", "mtu", pod, mtu=65536)
            self.refused("INVALID_ARGUMENT", "vm", pod, vm="..")
            self.refused("INVALID_ARGUMENT", "vm", pod, vm="a/b")
            ip("link", "add", "k6t-eth0", "type", "bridge", ns=pod.name)
            self.refused("ALREADY_EXISTS", "'k6t-eth0' already", pod)
            ip("link", "add", "br9", "type", "bridge", ns=pod.name)
            self.refused("FAILED_PRECONDITION", "is a bridge", pod, interface_name="br9")
            ip("link", "set", "eth0", "master", "k6t-eth0", ns=pod.name)
            self.refused("FAILED_PRECONDITION", "belongs to another already", pod)
        with self.assertRaises(RpcError) as e:
            self.call("attach", nic="default", netns="/run/netns/hv-nowhere")
        self.assertEqual(e.exception.code, "NOT_FOUND")
        with self.assertRaises(RpcError) as e:
            self.call("attach", nic="default", netns="/etc/passwd")
        self.assertNotEqual(e.exception.code, "INTERNAL")

    def test_namespace_vanishes(self):
        """What was in it went with it; another of its name is left alone."""
        self.d.start()
        with Pod("a") as pod:
            self.attach(pod)
        with Pod("a") as pod:
            before = pod.snapshot()
            self.assertEqual(self.call("get", nic="default")["link"], "missing")
            self.call("detach")
            self.assertEqual(pod.snapshot(), before)
            self.assertEqual(self.call("list")["items"], [])
            self.attach(pod)
        with Pod("a") as pod:  # asked for anew, it is made anew
            self.attach(pod)
            self.check_reference(pod)
            self.call("detach")
            self.assertEqual(pod.snapshot(), before)

    def test_the_node_was_restarted(self):
        """Nothing of an attachment outlives that, so its record goes too; another namespace that is there by now is left alone."""
        self.d.start()
        with Pod("a") as pod:
            self.attach(pod)
        end_servers(self.d)
        self.d.kill()
        boot = self.d.dir / "boot_id"
        boot.write_text("11111111-2222-3333-4444-555555555555\n")
        self.d.prefix = ["unshare", "-m", "sh", "-c", f"mount --bind {boot} /proc/sys/kernel/random/boot_id && exec \"$@\"", "--"]
        with Pod("a") as pod:
            before = pod.snapshot()
            self.d.start()
            self.assertEqual(self.call("list")["items"], [])
            self.assertEqual(pod.snapshot(), before)
            self.assertEqual(self.attach(pod)["state"], "attached")
            self.call("detach")
            self.assertEqual(pod.snapshot(), before)

    def test_killed_at_every_step(self):
        with Pod("a") as pod:
            print(die_at_every_step(self, self.d, lambda: self.attach(pod), lambda: self.call("detach"), pod.snapshot, lambda: self.check_reference(pod)))

    def ping_from(self, pod):
        subprocess.run(["ip", "netns", "exec", pod.far, "busybox", "ping", "-c", "2", "-W", "5", ADDRESS], check=True, capture_output=True)

    def test_a_guest_is_reached(self):
        d = Daemon(plugins=["net-bridge", "qmp", "disk-qcow2", "disk-raw"])
        self.addCleanup(d.cleanup)
        d.start()
        with Pod("g") as pod:
            before = pod.snapshot()
            got = d.rpc().call("net-bridge.attach", {"vm": "g", "nic": "default", "netns": pod.path, "hostname": "guest-of-honour",
                                                     "nameservers": ["10.96.0.10"], "search": ["svc.cluster.local", "cluster.local"]})
            g = Guest(d, "g")
            g.define(nics=[{"name": "default", "mac": got["mac"], "tap": got["tap"], "netns": got["netns"], "mtu": got["mtu"]}])
            g.start()
            self.assertEqual(g.sh("cat /sys/class/net/eth0/address"), MAC)
            self.assertEqual(g.sh("cat /sys/class/net/eth0/mtu"), "1450")
            with self.subTest("the guest has its address by DHCP, and all that goes with it"):
                until("the lease", lambda: ADDRESS in g.sh("ip -4 addr show dev eth0"), 30)
                self.assertIn(f"inet {ADDRESS}/32", g.sh("ip -4 addr show dev eth0"))
                self.assertEqual(g.sh("ip route").split(), f"default via {GATEWAY} dev eth0 {GATEWAY} dev eth0 scope link".split())
                resolv = g.sh("cat /etc/resolv.conf")
                self.assertIn("nameserver 10.96.0.10", resolv)
                self.assertIn("svc.cluster.local", resolv)
            with self.subTest("a daemon that dies takes no server with it, and one that ends is started again"):
                first = servers(d)
                self.assertEqual(len(first), 1)
                d.kill()
                d.start()
                g.rpc = d.rpc(timeout=60)
                self.assertEqual(servers(d), first)
                os.kill(*first, signal.SIGKILL)
                until("another server", lambda: servers(d) and servers(d).keys() != first.keys(), 10)
                g.sh("udhcpc -i eth0 -n -q -t 8 -T 1 -O mtu -O search -O staticroutes -s /usr/share/udhcpc/default.script", timeout=30)
            g.sh(f"ping -c 3 -W 5 {GATEWAY}", timeout=30)
            self.ping_from(pod)
            with self.subTest("one who owns the address answers"):
                ip("neigh", "flush", "dev", "far0", ns=pod.far)
                self.ping_from(pod)
                self.assertEqual(json.loads(ip("-j", "neigh", "show", ADDRESS, ns=pod.far))[0]["lladdr"], MAC)
            counters = d.rpc().call("net-bridge.stats", {"vm": "g"})["items"][0]
            self.assertGreater(counters["rx_packets"], 4)
            self.assertGreater(counters["tx_packets"], 4)
            g.call("stop")
            d.rpc().call("net-bridge.detach", {"vm": "g"})
            self.assertEqual(pod.snapshot(), before)
            self.assertEqual(servers(d), {})


if __name__ == "__main__":
    unittest.main()

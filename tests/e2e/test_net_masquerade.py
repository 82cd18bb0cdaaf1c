# SPDX-License-Identifier: LGPL-2.1-or-later
"""net-bridge: KubeVirt's masquerade binding. A real guest with a private address reaches the world with the pod's, and is reached through
ports; what was made is undone to the byte, whenever the daemon dies."""
import os
import socket
import struct
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from guest import Guest  # noqa: E402
from hvkitd import Daemon, until  # noqa: E402
from netns import ADDRESS, GATEWAY, Machine, Pod, icmpv6, ip, ipv6, mac_bytes, run_in, udp6, visiting  # noqa: E402
from rpc import RpcError  # noqa: E402
from sweep import die_at_every_step  # noqa: E402


class Masquerade(unittest.TestCase):
    def setUp(self):
        self.d = Daemon(plugins=["net-bridge", "qmp", "disk-raw", "disk-qcow2"])
        self.addCleanup(self.d.cleanup)

    def attach(self, pod, **more):
        return self.d.rpc(timeout=60).call("net-bridge.attach", {"vm": "g", "nic": "default", "binding": "masquerade", "netns": pod.path, **more})

    def http(self, ns, address, port):
        """What a web server answers, asked from a namespace."""
        with visiting(f"/run/netns/{ns}"):
            try:
                s = socket.create_connection((address, port), 5)
            except OSError:
                return None
        with s:
            s.sendall(b"GET /word HTTP/1.0\r\n\r\n")
            return s.makefile("rb").read().split(b"\r\n\r\n")[-1]

    def test_a_guest_behind_nat(self):
        self.d.start()
        with Pod("m") as pod:
            ip("-6", "addr", "add", "fd00:97::1/64", "dev", "far0", "nodad", ns=pod.far)
            before = pod.snapshot()
            got = self.attach(pod, ports=["80", "8081/tcp", "53/udp"], hostname="inside")
            self.assertEqual((got["binding"], got["addresses"], got["gateway"]), ("masquerade", ["10.0.2.2/24", "fd10:0:2::2/120"], "10.0.2.1"))
            links = pod.links()
            self.assertEqual(links["k6t-eth0"]["address"], "02:00:00:00:00:00")
            self.assertEqual({a["local"] for a in links["k6t-eth0"]["addr_info"] if a["scope"] == "global"}, {"10.0.2.1", "fd10:0:2::1"})
            self.assertIn(ADDRESS, [a["local"] for a in links["eth0"]["addr_info"]])
            g = Guest(self.d, "g")
            g.define(nics=[{"name": "default", "mac": got["mac"], "tap": got["tap"], "netns": got["netns"], "mtu": got["mtu"]}])
            g.start()
            until("the lease", lambda: "10.0.2.2/24" in g.sh("ip -4 addr show dev eth0"), 30)
            with self.subTest("out"):
                g.sh(f"ping -c 2 -W 5 {GATEWAY}", timeout=30)
            with self.subTest("in, by the ports that were named"):
                g.sh("mkdir -p /tmp/w; echo reached >/tmp/w/word; busybox httpd -p 80 -h /tmp/w; busybox httpd -p 8082 -h /tmp/w")
                self.assertEqual(self.http(pod.far, ADDRESS, 80), b"reached\n")
                self.assertIsNone(self.http(pod.far, ADDRESS, 8082))
            with self.subTest("from the pod itself"):
                self.assertEqual(self.http(pod.name, "127.0.0.1", 80), b"reached\n")
            with self.subTest("IPv6"):
                g.sh("ip -6 addr add fd10:0:2::2/120 dev eth0")  # its busybox has no DHCPv6 client
                self.assertIn("fd10:0:2::2/120", g.sh("ip -6 addr show dev eth0"))
                until("a router's advertisement", lambda: "default via fe80::" in g.sh("ip -6 route"), 40)
                until("an address of its own", lambda: "tentative" not in g.sh("ip -6 addr show dev eth0"), 20)
                g.sh("ping -6 -c 2 -W 5 fd00:97::1", timeout=30)
                self.assertEqual(self.http(pod.far, "fd00:97::174", 80), b"reached\n")
            state = self.d.rpc().call("net-bridge.get", {"vm": "g", "nic": "default"})
            self.assertEqual((state["link"], state["source"]), ("up", "live"))
            self.assertGreater(state["lease_ms"], 1.6e12)
            g.call("stop")
            self.assertEqual(self.d.rpc().call("net-bridge.get", {"vm": "g", "nic": "default"})["link"], "down")
            self.d.rpc().call("net-bridge.detach", {"vm": "g"})
            self.assertEqual(pod.snapshot(), before)

    def test_dhcpv6(self):
        """SOLICIT and REQUEST of a guest's client are answered with its address, and its router is advertised."""
        self.d.start()
        with Pod("m") as pod:
            got = self.attach(pod, nameservers=["fd00::53", "10.96.0.10"])
            mac, link = got["mac"], "fe80::1234"
            client = struct.pack("!HHHH", 1, 10, 3, 1) + mac_bytes(mac)
            wanted = struct.pack("!HHIII", 3, 12, 7, 0, 0)

            def message(kind, *options):
                body = bytes([kind, 1, 2, 3]) + client + b"".join(options) + struct.pack("!HHH", 8, 2, 0) + struct.pack("!HHHH", 6, 4, 23, 24)
                return ipv6(mac, link, "ff02::1:2", 17, udp6(link, "ff02::1:2", 546, 547, body))

            def ask(machine, frame, kind):
                """The answer of that kind, from its options on."""
                found = []

                def answered():
                    machine.send(ipv6(mac, "::", "ff02::1", 58, icmpv6(135, bytes(4) + socket.inet_pton(socket.AF_INET6, link))))
                    machine.send(frame)
                    while (f := machine.receive(lambda f: f[12:14] == b"\x86\xdd", 1)) is not None:
                        if f[20] == 58 and f[54] == 135:  # who has the link's address: the guest does
                            target = socket.inet_ntop(socket.AF_INET6, f[22:38])
                            machine.send(ipv6(mac, link, target, 58, icmpv6(136, struct.pack("!I", 0x60000000) + socket.inet_pton(socket.AF_INET6, link) + b"\x02\x01" + mac_bytes(mac))))
                        if f[20] == 17 and f[54:56] == b"\x02\x23" and f[62] == kind:
                            found.append(f[66:])
                            return True
                    return False
                until(f"DHCPv6's answer {kind}", answered, 20)
                return found[0]
            with Machine(pod.path, got["tap"]) as machine:
                until("a tap that is up", lambda: machine.send(message(1, wanted)), 10)
                offer = ask(machine, message(1, wanted), 2)
                self.assertIn(socket.inet_pton(socket.AF_INET6, "fd10:0:2::2"), offer)
                at = 0
                while offer[at:at + 2] != b"\x00\x02":  # the server's identifier
                    at += 4 + struct.unpack("!H", offer[at + 2:at + 4])[0]
                server = offer[at:at + 4 + struct.unpack("!H", offer[at + 2:at + 4])[0]]
                reply = ask(machine, message(3, server, wanted), 7)
                self.assertIn(socket.inet_pton(socket.AF_INET6, "fd10:0:2::2"), reply)
                self.assertIn(socket.inet_pton(socket.AF_INET6, "fd00::53"), reply)

                def advertised():
                    machine.send(ipv6(mac, link, "ff02::2", 58, icmpv6(133, bytes(4))))
                    f = machine.receive(lambda f: f[12:14] == b"\x86\xdd" and f[20] == 58 and f[54] == 134, 1)
                    return f is not None and f[59] & 0x80  # it says that addresses are managed
                until("a router's advertisement", advertised, 20)

    def test_all_ports(self):
        """None named: everything that comes for the pod is the guest's."""
        self.d.start()
        with Pod("m") as pod:
            before = pod.snapshot()
            self.attach(pod)
            rules = run_in(pod.name, "nft", "list", "ruleset")
            self.assertIn("dnat ip to 10.0.2.2", rules)
            self.assertNotIn("dport 80", rules)
            with self.assertRaises(RpcError) as e:
                self.attach(pod, nic="second", interface_name="eth0", ordinal=1)
            self.assertEqual(e.exception.code, "FAILED_PRECONDITION", e.exception.message)
            for bad in ("0/tcp", "65536", "80/icmp", "80/tcp;", "-1", "http"):
                with self.assertRaises(RpcError) as e:
                    self.attach(pod, nic="third", ports=[bad])
                self.assertEqual(e.exception.code, "INVALID_ARGUMENT")
            self.d.rpc().call("net-bridge.detach", {"vm": "g"})
            self.assertEqual(pod.snapshot(), before)

    def test_killed_at_every_step(self):
        self.d = Daemon(plugins=["net-bridge"])  # nobody else's steps
        self.addCleanup(self.d.cleanup)
        with Pod("m") as pod:
            def check():
                self.assertIn("hvkit-nat-k6t-eth0", run_in(pod.name, "nft", "list", "tables"))
            print(die_at_every_step(self, self.d, lambda: self.attach(pod), lambda: self.d.rpc(timeout=60).call("net-bridge.detach", {"vm": "g"}), pod.snapshot, check))


if __name__ == "__main__":
    unittest.main()

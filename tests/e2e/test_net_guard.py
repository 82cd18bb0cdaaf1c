# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a guest may not send does not leave its tap; with the guard off, it does. A frame that may pass follows each one that may not, so
that nothing waits for what does not come."""
import os
import socket
import struct
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from hvkitd import Daemon, until  # noqa: E402
from netns import ADDRESS, MAC, Listener, Machine, Pod, arp, ether, icmpv6, ipv4, ipv6, run_in, udp  # noqa: E402

OTHER, OTHER_IP, OWN6 = "ca:5f:48:41:7d:5e", "10.233.97.1", "fd00:97::174"


def advert(address):
    """A neighbour advertisement: this address is at my MAC."""
    return icmpv6(136, struct.pack("!I", 0x20000000) + socket.inet_pton(socket.AF_INET6, address))


GOOD = {
    "its own ARP": arp(MAC, MAC, ADDRESS, OTHER_IP),
    "a question whether an address is free": arp(MAC, MAC, "0.0.0.0", ADDRESS),
    "its own IPv4": ipv4(MAC, ADDRESS, OTHER_IP, 17, udp(5000, 5001)),
    "a DHCP request": ipv4(MAC, "0.0.0.0", "255.255.255.255", 17, udp(68, 67)),
    "its own IPv6": ipv6(MAC, OWN6, "ff02::1", 17, udp(5000, 5001)),
    "IPv6 of the link": ipv6(MAC, "fe80::1234", "ff02::1", 17, udp(5000, 5001)),
    "an advertisement of its own": ipv6(MAC, OWN6, "ff02::1", 58, advert(OWN6)),
    "an advertisement of the link": ipv6(MAC, "fe80::1234", "ff02::1", 58, advert("fe80::1234")),
}
BAD = {
    "another's MAC": ipv4(OTHER, ADDRESS, OTHER_IP, 17, udp(5000, 5001)),
    "another's IPv4": ipv4(MAC, OTHER_IP, ADDRESS, 17, udp(5000, 5001)),
    "ARP for another's address": arp(MAC, MAC, OTHER_IP, ADDRESS, 2),
    "ARP with another's MAC in it": arp(MAC, OTHER, ADDRESS, OTHER_IP, 2),
    "a DHCP server's reply": ipv4(MAC, ADDRESS, "255.255.255.255", 17, udp(67, 68)),
    "a DHCPv6 server's reply": ipv6(MAC, "fe80::1234", "ff02::1", 17, udp(547, 546)),
    "no address, but no DHCP either": ipv4(MAC, "0.0.0.0", "255.255.255.255", 17, udp(68, 99)),
    "a router's advertisement": ipv6(MAC, "fe80::1234", "ff02::1", 58, icmpv6(134, bytes(12))),
    "a redirect": ipv6(MAC, "fe80::1234", "ff02::1", 58, icmpv6(137, bytes(36))),
    "another's IPv6": ipv6(MAC, "fd00:97::1", "ff02::1", 17, udp(5000, 5001)),
    "an advertisement of another's address": ipv6(MAC, OWN6, "ff02::1", 58, advert("fd00:97::1")),
    "a VLAN": ether(MAC, 0x8100, struct.pack("!HH", 5, 0x0800) + bytes(46)),
    "a VLAN in a VLAN": ether(MAC, 0x88A8, struct.pack("!HHHH", 5, 0x8100, 6, 0x0800) + bytes(46)),
    "what is neither ARP nor IP": ether(MAC, 0x88CC, bytes(46)),
}


class Guard(unittest.TestCase):
    def setUp(self):
        self.d = Daemon(plugins=["net-bridge"])
        self.addCleanup(self.d.cleanup)
        self.d.start()

    def attach(self, pod, **more):
        return self.d.rpc().call("net-bridge.attach", {"vm": "a", "nic": "default", "netns": pod.path, **more})

    def passes(self, machine, listener, frame, number):
        """Whether it arrives; a marker of ours follows it."""
        marker = ipv4(MAC, ADDRESS, "192.0.2.9", 17, udp(1000 + number, 9))
        until("a tap that is up", lambda: machine.send(frame), 10)
        self.assertTrue(machine.send(marker))
        seen = listener.until(marker)
        self.assertIsNotNone(seen, "the marker did not arrive")
        untagged = frame[:12] + frame[16:]  # a socket gets the tag apart from the frame
        return any(f in (frame, untagged) for f in seen)

    def test_only_its_own(self):
        with Pod("a") as pod:
            before = pod.snapshot()
            for guard in (True, False):
                got = self.attach(pod, guard=guard)
                self.assertEqual(got["guard"], guard)
                self.assertEqual(got["mac"], MAC)
                with Machine(pod.path, got["tap"]) as machine, Listener(pod.far, "far0") as listener:
                    until("the way to the far side", lambda: machine.send(arp(MAC, MAC, ADDRESS, OTHER_IP)) and listener.until(arp(MAC, MAC, ADDRESS, OTHER_IP), 1) is not None, 30)
                    for number, (name, frame) in enumerate({**GOOD, **BAD}.items()):
                        with self.subTest(name, guard=guard):
                            self.assertEqual(self.passes(machine, listener, frame, number), name in GOOD or not guard)
                self.d.rpc().call("net-bridge.detach", {"vm": "a"})
                self.assertEqual(pod.snapshot(), before)

    def test_a_flood_harms_nobody(self):
        """A guest that sends as fast as it can, and what makes no sense: the daemon answers, and DHCP goes on."""
        with Pod("a") as pod:
            got = self.attach(pod)
            with Machine(pod.path, got["tap"]) as machine:
                until("a tap that is up", lambda: machine.send(GOOD["its own ARP"]), 10)
                for n in range(20000):
                    machine.send(ipv4(MAC, "0.0.0.0", "255.255.255.255", 17, udp(68, 67, os.urandom(n % 600))))
                self.assertEqual(self.d.rpc().call("net-bridge.get", {"vm": "a", "nic": "default"})["link"], "up")
                discover = struct.pack("!BBBBIHH16s6s10x192xI", 1, 1, 6, 0, 0x1234, 0, 0x8000, bytes(16), bytes.fromhex(MAC.replace(":", "")), 0x63825363) + b"\x35\x01\x01\xff"

                def offered():
                    machine.send(ipv4(MAC, "0.0.0.0", "255.255.255.255", 17, udp(68, 67, discover + bytes(60))))
                    return machine.receive(lambda f: f[12:14] == b"\x08\x00" and f[23] == 17 and f[34:36] == b"\x00\x43" and f[46:50] == b"\x00\x00\x12\x34", 1) is not None
                until("an offer", offered, 20)

    def test_the_whole_table_goes(self):
        with Pod("a") as pod:
            self.attach(pod)
            self.assertIn("hvkit-guard-tap0", run_in(pod.name, "nft", "list", "tables"))
            self.d.rpc().call("net-bridge.detach", {"vm": "a"})
            self.assertEqual(run_in(pod.name, "nft", "list", "tables"), "")


if __name__ == "__main__":
    unittest.main()

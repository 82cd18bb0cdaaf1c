# SPDX-License-Identifier: LGPL-2.1-or-later
"""net-bridge without a pod: a namespace that is made for the VM, and networks of the node. The node is a namespace of its own, so that
nothing of the machine is touched; all that was made in it is undone to the byte, whenever the daemon dies."""
import os
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from guest import Guest  # noqa: E402
from hvkitd import Daemon, until  # noqa: E402
from netns import MAC, OUTSIDE, Listener, Machine, Node, arp, ether, ip, run_in, servers  # noqa: E402
from rpc import RpcError  # noqa: E402
from sweep import die_at_every_step  # noqa: E402


class WithoutPod(unittest.TestCase):
    def setUp(self):
        self.node = Node()
        self.addCleanup(self.node.__exit__)
        self.node.__enter__()
        self.name, self.far, self.snapshot = self.node.name, self.node.far, self.node.snapshot

    def daemon(self, plugins=("net-bridge",), **config):
        d = Daemon(plugins=list(plugins), inside=self.node.path)
        d.manifest("net-bridge", {**d.read_manifest("net-bridge"), "config": config})
        self.addCleanup(d.cleanup)
        return d

    def refused(self, d, code, text, **args):
        with self.assertRaises(RpcError) as e:
            d.rpc().call("net-bridge.attach", {"vm": "x", "nic": "default", **args})
        self.assertEqual(e.exception.code, code, e.exception.message)
        self.assertIn(text, e.exception.message)

    def test_a_guest_with_nothing_given(self):
        d = self.daemon(["net-bridge", "qmp", "disk-raw", "disk-qcow2"])
        d.start()
        before = self.snapshot()
        rpc = d.rpc(timeout=60)
        got = rpc.call("net-bridge.attach", {"vm": "g", "nic": "default", "hostname": "on-a-laptop", "nameservers": ["192.0.2.53"]})
        self.assertEqual((got["binding"], got["mtu"], got["tap"], got["mac"][:2]), ("bridge", 1400, "tap0", "02"))
        address, gateway = got["addresses"][0].split("/")[0], got["gateway"]
        self.assertTrue(address.startswith("10.66."), got)
        g = Guest(d, "g")
        g.define(nics=[{"name": "default", "mac": got["mac"], "tap": got["tap"], "netns": got["netns"], "mtu": got["mtu"]}])
        g.start()
        until("the lease", lambda: f"inet {address}/30" in g.sh("ip -4 addr show dev eth0"), 30)
        self.assertIn(f"default via {gateway} dev eth0", g.sh("ip route"))
        g.sh(f"ping -c 2 -W 5 {OUTSIDE}", timeout=30)
        self.node.reaches(address)
        with self.subTest("it needs no daemon"):
            d.kill()
            self.node.reaches(address)
            d.start()
            g.rpc = rpc = d.rpc(timeout=60)
            self.assertEqual({k: v for k, v in rpc.call("net-bridge.attach", {"vm": "g", "nic": "default"}).items() if k != "detail"}, got)
            g.sh(f"ping -c 2 -W 5 {OUTSIDE}", timeout=30)
        with self.subTest("another VM's namespace reaches the guest"):
            other = rpc.call("net-bridge.attach", {"vm": "h", "nic": "default", "binding": "masquerade"})
            self.assertEqual(other["addresses"], ["10.0.2.2/24"])
            self.assertNotEqual(other["netns"], got["netns"])
            pod = [a["local"] for x in self.in_pod(other["netns"]) for a in x["addr_info"] if x["ifname"] == "eth0" and a["family"] == "inet"][0]
            self.assertNotEqual(pod, address)
            subprocess.run(["nsenter", f"--net={other['netns']}", "busybox", "ping", "-c", "2", "-W", "5", address], check=True, capture_output=True)
            rpc.call("net-bridge.detach", {"vm": "h"})
        g.call("stop")
        rpc.call("net-bridge.detach", {"vm": "g"})
        self.assertEqual(self.snapshot(), before)
        self.assertFalse(os.path.exists(got["netns"]))
        self.assertEqual(servers(d), {})
        with self.subTest("the same guest comes back to the same address"):
            again = rpc.call("net-bridge.attach", {"vm": "g", "nic": "default"})
            self.assertEqual({k: again[k] for k in ("mac", "addresses", "gateway")}, {k: got[k] for k in ("mac", "addresses", "gateway")})
            rpc.call("net-bridge.detach", {"vm": "g"})
            self.assertEqual(self.snapshot(), before)

    def in_pod(self, path):
        import json
        return json.loads(subprocess.run(["nsenter", f"--net={path}", "ip", "-j", "addr"], check=True, capture_output=True, text=True).stdout)

    def test_what_the_node_had_is_given_back(self):
        """Forwarding was on: it stays on; a route into the pool: nobody gets those addresses."""
        run_in(self.name, "sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward")
        ip("route", "add", "198.51.100.0/30", "via", OUTSIDE, ns=self.name)
        d = self.daemon(pool="198.51.100.0/29")
        d.start()
        before = self.snapshot()
        got = d.rpc().call("net-bridge.attach", {"vm": "a", "nic": "default"})
        self.assertEqual(got["addresses"], ["198.51.100.6/30"])
        self.refused(d, "RESOURCE_EXHAUSTED", "198.51.100.0/29")
        self.refused(d, "FAILED_PRECONDITION", "card 'default' has the network", vm="a", nic="second")
        d.rpc().call("net-bridge.detach", {"vm": "a"})
        self.assertEqual(self.snapshot(), before)
        d.stop()
        for bad in ("10.0.0.0", "10.0.0.0/31", "10.0.0.0/7", "10.0.0/8", "10.0.0.0/x", "fd00::/16"):
            with self.subTest(bad):
                d.manifest("net-bridge", {**d.read_manifest("net-bridge"), "config": {"pool": bad}})
                d.start()
                self.assertIn("pool: '", d.log())
                d.stop()

    def test_bad_configurations(self):
        """A plugin that cannot do what it was told says so, and does not start."""
        for networks, says in (([{"name": "a", "bridge": "br0", "address": "10.0.0.1/24"}], "only with 'create'"), ([{"name": "a", "bridge": "br0", "create": True, "address": "10.0.0.1"}], "address"),
                               ([{"name": "a", "bridge": "br0", "create": True, "address": "10.0.0.1/33"}], "address"), ([{"name": "a", "bridge": "br0"}, {"name": "a", "bridge": "br1"}], "twice")):
            with self.subTest(says):
                d = self.daemon(networks=networks)
                d.start()
                self.assertIn(says, d.log())
                self.assertIn("network", d.log())
                with self.assertRaises(RpcError):
                    d.rpc().call("net-bridge.list", {})
                d.stop()
        d = self.daemon(dnsmasq="/nowhere/dnsmasq")
        d.start()
        before = self.snapshot()
        self.refused(d, "NOT_FOUND", "/nowhere/dnsmasq")
        self.assertEqual(self.snapshot(), before)

    def test_the_daemons_own_namespace(self):
        """No VM takes the node's interfaces over, by whatever path; a daemon in a pod may be told that it is in one."""
        d = self.daemon()
        d.start()
        before = self.snapshot()
        for path in (self.node.path, f"/proc/{d.pid}/ns/net"):
            self.refused(d, "FAILED_PRECONDITION", "the daemon's own", netns=path, interface_name="up0")
        self.assertEqual(self.snapshot(), before)
        d.stop()
        d = self.daemon(own_netns=True)
        d.start()
        got = d.rpc().call("net-bridge.attach", {"vm": "x", "nic": "default", "netns": self.node.path, "interface_name": "up0"})
        self.assertEqual((got["addresses"], got["gateway"]), (["192.0.2.1/24"], OUTSIDE))
        d.rpc().call("net-bridge.detach", {"vm": "x"})
        self.assertEqual(self.snapshot(), before)

    def test_networks_of_the_node(self):
        ip("link", "add", "br0", "type", "bridge", ns=self.name)
        ip("link", "add", "lan0", "type", "veth", "peer", "name", "lan1", "netns", self.far, ns=self.name)
        ip("link", "set", "lan0", "master", "br0", "up", ns=self.name)
        ip("link", "set", "lan1", "up", ns=self.far)
        ip("link", "set", "br0", "up", ns=self.name)
        d = self.daemon(networks=[{"name": "lan", "bridge": "br0"}, {"name": "own", "bridge": "br7", "create": True, "address": "192.168.7.1/24"},
                                  {"name": "none", "bridge": "br9"}, {"name": "wrong", "bridge": "up0"}])
        d.start()
        before = self.snapshot()
        rpc = d.rpc()
        self.refused(d, "NOT_FOUND", "no network 'other'", network="other")
        self.refused(d, "FAILED_PRECONDITION", "no bridge 'br9'", network="none")
        self.refused(d, "FAILED_PRECONDITION", "is no bridge", network="wrong")
        self.refused(d, "INVALID_ARGUMENT", "only bridge", network="lan", binding="masquerade")
        self.refused(d, "INVALID_ARGUMENT", "neither netns", network="lan", netns="/proc/self/ns/net")
        self.refused(d, "FAILED_PRECONDITION", "no IPv4 address for the guest", network="lan", ntp=["192.0.2.4"])
        self.assertEqual(self.snapshot(), before)
        got = rpc.call("net-bridge.attach", {"vm": "a", "nic": "one", "network": "lan", "mac": MAC})
        self.assertEqual((got["bridge"], got["mac"], "netns" in got, "addresses" in got), ("br0", MAC, False, False))
        self.assertRegex(got["tap"], "^tap[0-9a-f]{10}$")
        own = [rpc.call("net-bridge.attach", {"vm": vm, "nic": "one", "network": "own"}) for vm in ("b", "c")]
        self.assertEqual(len({x["mac"] for x in own} | {x["tap"] for x in own}), 4)
        self.assertIn("192.168.7.1/24", ip("addr", "show", "dev", "br7", ns=self.name))
        with self.subTest("a frame comes through, and none with another's MAC"), Machine(f"/run/netns/{self.name}", got["tap"]) as m, Listener(self.far, "lan1") as ears:
            mine, other = arp(MAC, MAC, "192.168.1.9", "192.168.1.1"), ether("ca:5f:48:41:7d:5e", 0x0800, bytes(46))
            until("the bridge's port", lambda: m.send(mine) and ears.until(mine, 1) is not None, 30)
            m.send(other)
            m.send(mine)
            self.assertNotIn(other, ears.until(mine))
        with self.subTest("a bridge that was made goes with the last"):
            d.kill()
            d.start()
            rpc = d.rpc()
            rpc.call("net-bridge.detach", {"vm": "b"})
            self.assertIn("br7", ip("link", ns=self.name))
            rpc.call("net-bridge.detach", {"vm": "c"})
            self.assertNotIn("br7", ip("link", ns=self.name))
        rpc.call("net-bridge.detach", {"vm": "a"})
        self.assertEqual(self.snapshot(), before)

    def test_killed_at_every_step(self):
        d = self.daemon(networks=[{"name": "own", "bridge": "br7", "create": True}])
        for args in ({}, {"network": "own"}):
            print(args, die_at_every_step(self, d, lambda: d.rpc(timeout=60).call("net-bridge.attach", {"vm": "g", "nic": "default", **args}), lambda: d.rpc(timeout=60).call("net-bridge.detach", {"vm": "g"}),
                                          self.snapshot, serves=not args))


if __name__ == "__main__":
    unittest.main()

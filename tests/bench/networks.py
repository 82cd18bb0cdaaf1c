# SPDX-License-Identifier: LGPL-2.1-or-later
"""Attaching a network card beside iproute2, doing the same steps in the same namespace: all in one `ip -batch`, and with one `ip` each."""
import os
import statistics
import subprocess
import time

from hvkitd import Daemon
from rpc import Rpc

MAC, ADDRESS = "ca:5f:48:41:7d:5d", "10.233.97.174"
ATTACH = f"""link add k6t-eth0 address 02:11:22:33:44:55 mtu 1450 type bridge
addr add 169.254.75.10/32 dev k6t-eth0
link set k6t-eth0 up
link set eth0 down
link set eth0 name eth0-nic
link set eth0-nic address 02:11:22:33:44:55
link set eth0-nic master k6t-eth0
addr flush dev eth0-nic
link set eth0-nic type bridge_slave learning off
link set eth0-nic up
tuntap add dev tap0 mode tap vnet_hdr
link set tap0 mtu 1450
link set tap0 master k6t-eth0
link set tap0 up
link add eth0 address {MAC} mtu 1450 arp off type ifb
addr add {ADDRESS}/32 dev eth0"""
DETACH = f"""link del eth0
link del tap0
link set eth0-nic down
link set eth0-nic nomaster
link set eth0-nic name eth0
link set eth0 address {MAC}
link set eth0 up
addr add {ADDRESS}/32 dev eth0
route add 169.254.1.1 dev eth0 scope link
route add default via 169.254.1.1 dev eth0
link del k6t-eth0"""


def network(args, row):
    ns = f"hv-bench-{os.getpid()}"
    d = Daemon(plugins=["net-bridge"])
    try:
        d.start()
        rpc = Rpc(d.socket)
        for command in (f"netns add {ns}", f"-n {ns} link add eth0 mtu 1450 address {MAC} type veth peer name far0", f"-n {ns} link set far0 up",
                        f"-n {ns} link set eth0 up", f"-n {ns} addr add {ADDRESS}/32 dev eth0", f"-n {ns} route add 169.254.1.1 dev eth0 scope link",
                        f"-n {ns} route add default via 169.254.1.1 dev eth0"):
            subprocess.run(["ip", *command.split()], check=True)

        def timed(fn):
            begun = time.perf_counter()
            fn()
            return time.perf_counter() - begun

        def batch(steps):
            subprocess.run(["ip", "-n", ns, "-batch", "-"], input=steps, text=True, check=True, capture_output=True)
            with open(d.dir / "record", "w") as f:
                f.write(steps)
                f.flush()
                os.fsync(f.fileno())

        def one_each(steps):
            for step in steps.splitlines():
                subprocess.run(["ip", "-n", ns, *step.split()], check=True, capture_output=True)

        ways = {
            "hvkit": (lambda: rpc.call("net-bridge.attach", {"vm": "a", "nic": "default", "netns": f"/run/netns/{ns}"}), lambda: rpc.call("net-bridge.detach", {"vm": "a"})),
            "batch": (lambda: batch(ATTACH), lambda: batch(DETACH)),
            "each": (lambda: one_each(ATTACH), lambda: one_each(DETACH)),
        }
        times = {(name, i): [] for name in ways for i in (0, 1)}
        for _ in range(args.rounds * 2):
            for name, way in ways.items():
                for i in (0, 1):
                    times[name, i].append(timed(way[i]))
        for i, what in enumerate(("attach", "detach")):
            mine, theirs, slow = (statistics.median(times[name, i]) for name in ("hvkit", "batch", "each"))
            ratio = statistics.median(a / b for a, b in zip(times["hvkit", i], times["batch", i]))
            row(f"{what} of a bridge binding", f"{mine * 1e3:.1f} ms", f"ip -batch and one fsync {theirs * 1e3:.1f} ms", f"{ratio:.2f} x", "<= 1.1 x", ratio <= 1.1)
            if i == 0:
                faster = statistics.median(b / a for a, b in zip(times["hvkit", i], times["each", i]))
                row("attach, beside one ip per step", f"{mine * 1e3:.1f} ms", f"{slow * 1e3:.0f} ms", f"{faster:.1f} x faster", ">= 4 x", faster >= 4)
    finally:
        subprocess.run(["ip", "netns", "del", ns], capture_output=True)
        d.cleanup()

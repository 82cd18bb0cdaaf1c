# SPDX-License-Identifier: LGPL-2.1-or-later
"""Attaching a network card beside iproute2, doing the same steps in the same namespace: all in one `ip -batch`, and with one `ip` each."""
import os
import select
import socket
import statistics
import subprocess
import threading
import time

from guest import Guest
from hvkitd import Daemon, until
from machines import memory_kib
from netns import Node, Pod, visiting
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
link add eth0 address {MAC} mtu 1450 arp off type bridge
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


# --- a guest's first lease ---

def dhcp_kind(frame):
    """1 DISCOVER, 3 REQUEST, 5 ACK …; None: no DHCP."""
    if frame[12:14] != b"\x08\x00" or frame[23] != 17 or frame[34:38] not in (b"\x00\x44\x00\x43", b"\x00\x43\x00\x44") or frame[278:282] != b"\x63\x82\x53\x63":
        return None
    at = 282
    while at + 2 < len(frame) and frame[at] != 255:
        if frame[at] == 53:
            return frame[at + 2]
        at += 1 if frame[at] == 0 else 2 + frame[at + 1]
    return None


def capture(netns, tap, seen, stop):
    with visiting(netns):
        s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0003))
        s.bind((tap, 0x0003))
    with s:
        while not stop.is_set():
            if select.select([s], [], [], 0.1)[0]:
                frame = s.recv(70000)
                at = time.monotonic()
                if (kind := dhcp_kind(frame)) is not None:
                    seen.append((at, kind))


def lease(args, row):
    """From the guest's first DISCOVER to its ACK, as captured at its tap; the machine is started the moment the card is attached, so the
    DHCP server has no head start."""
    d = Daemon(plugins=["net-bridge", "qmp", "disk-raw", "disk-qcow2"])
    try:
        d.start()
        rpc, waits, discovers = Rpc(d.socket), [], []
        with Pod("lease") as pod:
            for _ in range(args.rounds):
                g = Guest(d, "g", rpc=rpc)
                g.copy_image()
                got = rpc.call("net-bridge.attach", {"vm": "g", "nic": "default", "netns": pod.path})
                seen, stop = [], threading.Event()
                watcher = threading.Thread(target=capture, args=(pod.path, got["tap"], seen, stop))
                watcher.start()
                g.define(replace=True, nics=[{"name": "default", "mac": got["mac"], "tap": got["tap"], "netns": got["netns"], "mtu": got["mtu"]}])
                g.start()
                until("the lease", lambda: any(kind == 5 for _, kind in seen), 60)
                stop.set()
                watcher.join()
                begun = next(at for at, kind in seen if kind == 1)
                ack = next(at for at, kind in seen if kind == 5)
                waits.append(ack - begun)
                discovers.append(sum(1 for at, kind in seen if kind == 1 and at <= ack))
                g.call("stop")
                rpc.call("net-bridge.detach", {"vm": "g"})
        row("a guest's first DISCOVER to its ACK", f"{statistics.median(waits) * 1e3:.0f} ms", f"{max(discovers)} DISCOVER at most", "-", "<= 2 DISCOVERs", max(discovers) <= 2)
    finally:
        d.cleanup()


# --- many ---

def herd(args, row):
    """A hundred VMs with a namespace each, in a node of its own; and what is left after a thousand times attach and detach."""
    with Node() as node:
        d = Daemon(plugins=["net-bridge"], inside=node.path)
        try:
            d.start()
            rpc = Rpc(d.socket)
            rpc.call("net-bridge.attach", {"vm": "w", "nic": "default"})
            rpc.call("net-bridge.detach", {"vm": "w"})
            before, fds, idle = node.snapshot(), len(os.listdir(f"/proc/{d.pid}/fd")), memory_kib(d.pid)[0]
            begun = time.perf_counter()
            for i in range(100):
                rpc.call("net-bridge.attach", {"vm": f"v{i}", "nic": "default"})
            made = time.perf_counter() - begun
            until("a hundred DHCP servers", lambda: len(d.networks()[0]) == 100, 60)
            servers = d.networks()[0]
            each = statistics.median(memory_kib(p)[0] for p in servers)
            grown = memory_kib(d.pid)[0] - idle
            begun = time.perf_counter()
            for i in range(100):
                rpc.call("net-bridge.detach", {"vm": f"v{i}"})
            undone = time.perf_counter() - begun
            row("100 VMs with a namespace each, attached", f"{made:.2f} s", f"detached {undone:.2f} s", f"{made * 10:.1f} ms each", "printed", len(servers) == 100)
            row("memory for each of them, private dirty", f"{grown / 100:.1f} KiB hvkitd", f"{each:.0f} KiB dnsmasq", "-", "<= 64 KiB hvkitd", grown <= 6400)
            for i in range(1000):
                where = {"vm": f"v{i % 7}", "nic": "default", **({"binding": "masquerade"} if i % 2 else {})}
                rpc.call("net-bridge.attach", where)
                rpc.call("net-bridge.detach", {"vm": where["vm"]})
            after = len(os.listdir(f"/proc/{d.pid}/fd"))
            clean = node.snapshot() == before and d.networks() == ([], []) and after <= fds
            row("1000 times attach and detach", f"{after - fds:+d} descriptors", "links, rules, namespaces, servers", "as before" if clean else "CHANGED", "none left", clean)
        finally:
            d.cleanup()

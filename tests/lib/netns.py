# SPDX-License-Identifier: LGPL-2.1-or-later
"""Network namespaces of a test: a pod as Calico sets it up, what is sent and received there, and the servers of net-bridge."""
import contextlib
import fcntl
import json
import os
import pathlib
import re
import select
import signal
import socket
import struct
import subprocess
import time

from waiting import until

MAC = "ca:5f:48:41:7d:5d"
ADDRESS, GATEWAY = "10.233.97.174", "169.254.1.1"
CLONE_NEWNET = 0x40000000


def run_in(ns, *args, check=True, timeout=60):
    """Runs a program in a namespace, in this mount namespace; its output."""
    return subprocess.run(["nsenter", f"--net=/run/netns/{ns}", *args], check=check, capture_output=True, text=True, timeout=timeout).stdout


def ip(*args, ns=None):
    return subprocess.run(["ip", *(["-n", ns] if ns else []), *args], check=True, capture_output=True, text=True).stdout


class Pod:
    """A namespace with eth0, one end of a veth; the other end is in a namespace of its own. As Calico sets it up: /32, a gateway on the link."""

    def __init__(self, name):
        self.name, self.far = f"hv-{os.getpid()}-{name}", f"hv-{os.getpid()}-{name}-far"
        self.path = f"/run/netns/{self.name}"

    def __enter__(self):
        for ns in (self.name, self.far):
            ip("netns", "add", ns)
            ip("link", "set", "lo", "up", ns=ns)
        ip("link", "add", "eth0", "mtu", "1450", "address", MAC, "type", "veth", "peer", "name", "far0", "mtu", "1450", "netns", self.far, ns=self.name)
        ip("addr", "add", f"{ADDRESS}/32", "dev", "eth0", ns=self.name)
        ip("addr", "add", "fd00:97::174/64", "dev", "eth0", "nodad", ns=self.name)
        ip("link", "set", "eth0", "up", ns=self.name)
        ip("addr", "add", f"{GATEWAY}/32", "dev", "far0", ns=self.far)
        ip("link", "set", "far0", "up", ns=self.far)
        ip("route", "add", f"{ADDRESS}/32", "dev", "far0", ns=self.far)
        ip("route", "add", GATEWAY, "dev", "eth0", "scope", "link", ns=self.name)
        ip("route", "add", "default", "via", GATEWAY, "dev", "eth0", ns=self.name)
        ip("route", "add", "192.0.2.0/24", "via", GATEWAY, "dev", "eth0", "metric", "77", "mtu", "1300", ns=self.name)
        ip("-6", "route", "add", "default", "via", "fd00:97::1", "dev", "eth0", ns=self.name)
        self.snapshot()
        return self

    def __exit__(self, *exc):
        for ns in (self.name, self.far):
            subprocess.run(["ip", "netns", "del", ns], capture_output=True)

    def snapshot(self, sort=False):
        """All there is to see, once the kernel has made up its mind about the addresses. sort: of several interfaces, routes of the same
        weight stand in the order in which those were last set up."""
        until("settled addresses", lambda: "tentative" not in ip("addr", ns=self.name), 20)
        shown = [ip("-d", "link", ns=self.name), ip("addr", ns=self.name), ip("route", "show", "table", "all", ns=self.name), ip("-6", "route", "show", "table", "all", ns=self.name)]
        settings = run_in(self.name, "cat", "/proc/sys/net/ipv4/conf/all/arp_ignore", "/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv6/conf/all/forwarding")
        return "\n".join(["\n".join(sorted(s.splitlines())) if sort else s for s in shown] + [settings, run_in(self.name, "nft", "list", "ruleset")])

    def links(self):
        return {x["ifname"]: x for x in json.loads(ip("-j", "-d", "addr", ns=self.name))}


OUTSIDE = "192.0.2.9"


class Node:
    """A namespace that plays the node: up0 leads to another that has no route back, so whoever comes there unmasqueraded gets no answer."""

    def __init__(self):
        self.name, self.far = f"hv-{os.getpid()}-node", f"hv-{os.getpid()}-world"
        self.path = f"/run/netns/{self.name}"

    def __enter__(self):
        for ns in (self.name, self.far):
            ip("netns", "add", ns)
            ip("link", "set", "lo", "up", ns=ns)
        ip("link", "add", "up0", "mtu", "1400", "type", "veth", "peer", "name", "far0", "mtu", "1400", "netns", self.far, ns=self.name)
        ip("addr", "add", "192.0.2.1/24", "dev", "up0", ns=self.name)
        ip("addr", "add", f"{OUTSIDE}/24", "dev", "far0", ns=self.far)
        for ns, link in ((self.name, "up0"), (self.far, "far0")):
            ip("link", "set", link, "up", ns=ns)
        ip("route", "add", "default", "via", OUTSIDE, ns=self.name)
        return self

    def __exit__(self, *exc):
        for ns in (self.name, self.far):
            subprocess.run(["ip", "netns", "del", ns], capture_output=True)

    def snapshot(self):
        until("settled addresses", lambda: "tentative" not in ip("addr", ns=self.name), 20)
        return "\n".join([re.sub(r"timer +[0-9.]+", "timer", ip("-d", "link", ns=self.name)), ip("addr", ns=self.name), ip("route", "show", "table", "all", ns=self.name),
                          run_in(self.name, "nft", "list", "ruleset"), run_in(self.name, "cat", "/proc/sys/net/ipv4/ip_forward")])

    def reaches(self, address):
        run_in(self.name, "busybox", "ping", "-c", "2", "-W", "5", address)


def servers(d):
    """The DHCP servers of a daemon's attachments: {pid: its arguments}."""
    found = {}
    for p in pathlib.Path("/proc").iterdir():
        try:
            argv = (p / "cmdline").read_bytes().split(b"\0") if p.name.isdigit() else []
        except OSError:
            continue
        if argv and b"dnsmasq" in argv[0] and any(a.startswith(b"--pid-file=" + os.fsencode(str(d.run))) for a in argv):
            found[int(p.name)] = [a.decode() for a in argv]
    return found


def end_servers(d):
    for pid in servers(d):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


@contextlib.contextmanager
def visiting(path):
    """This thread is in another namespace."""
    home, there = os.open("/proc/thread-self/ns/net", os.O_RDONLY), os.open(path, os.O_RDONLY)
    try:
        set_namespace(there)
        yield
    finally:
        set_namespace(home)
        os.close(home)
        os.close(there)


def set_namespace(fd):
    import ctypes
    if ctypes.CDLL(None, use_errno=True).setns(fd, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


class Machine:
    """Stands where QEMU would: has the tap open, and sends what it likes."""

    def __init__(self, netns, tap):
        with visiting(netns):
            self.fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
            fcntl.ioctl(self.fd, 0x400454CA, struct.pack("16sH22x", tap.encode(), 0x0002 | 0x1000 | 0x4000))  # TUNSETIFF: TAP, NO_PI, VNET_HDR

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        os.close(self.fd)

    def send(self, frame):
        """False: the tap is not up yet."""
        try:
            os.write(self.fd, bytes(10) + frame)
        except OSError:
            return False
        return True

    def receive(self, match, timeout=10):
        """The first frame for which match is true; None."""
        end = time.monotonic() + timeout
        while select.select([self.fd], [], [], max(0, end - time.monotonic()))[0]:
            frame = os.read(self.fd, 70000)[10:]
            if match(frame):
                return frame
        return None


class Listener:
    """Every frame that an interface of a namespace receives."""

    def __init__(self, ns, interface):
        with visiting(f"/run/netns/{ns}"):
            self.s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0003))
            self.s.bind((interface, 0x0003))

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.s.close()

    def until(self, wanted, timeout=10):
        """What came before `wanted`, or None if that did not come."""
        seen, end = [], time.monotonic() + timeout
        while select.select([self.s], [], [], max(0, end - time.monotonic()))[0]:
            frame = self.s.recv(70000)
            if frame == wanted:
                return seen
            seen.append(frame)
        return None


# --- a DHCP client ---

class Answer:
    def __init__(self, frame):
        bootp = frame[42:]
        self.address, self.options, at = socket.inet_ntoa(bootp[16:20]), {}, 240
        while at < len(bootp) and bootp[at] != 255:
            if bootp[at] == 0:
                at += 1
                continue
            self.options[bootp[at]] = self.options.get(bootp[at], b"") + bootp[at + 2:at + 2 + bootp[at + 1]]
            at += 2 + bootp[at + 1]


def dhcp_ask(machine, mac, options, timeout=20):
    """What the server answers to a message with these options; None: nothing."""
    wanted = bytes([1, 3, 6, 12, 15, 26, 42, 51, 66, 67, 119, 121, 240, 241, 254])
    body = struct.pack("!BBBBIHH16s6s10x192xI", 1, 1, 6, 0, 0x1234, 0, 0x8000, bytes(16), mac_bytes(mac), 0x63825363)
    body += b"".join(bytes([k, len(v)]) + v for k, v in {**options, 55: wanted, 57: struct.pack("!H", 1400)}.items()) + b"\xff"
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        machine.send(ipv4(mac, "0.0.0.0", "255.255.255.255", 17, udp(68, 67, body)))
        frame = machine.receive(lambda f: f[12:14] == b"\x08\x00" and f[23] == 17 and f[34:38] == b"\x00\x43\x00\x44" and f[70:76] == mac_bytes(mac), 1)
        if frame is not None:
            return Answer(frame)
    return None


# --- frames ---

def mac_bytes(mac):
    return bytes.fromhex(mac.replace(":", ""))


def ether(source, kind, payload, target="ff:ff:ff:ff:ff:ff"):
    return mac_bytes(target) + mac_bytes(source) + struct.pack("!H", kind) + payload


def arp(source, sender_mac, sender_ip, target_ip, operation=1):
    return ether(source, 0x0806, struct.pack("!HHBBH6s4s6s4s", 1, 0x0800, 6, 4, operation, mac_bytes(sender_mac), socket.inet_aton(sender_ip), bytes(6), socket.inet_aton(target_ip)))


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ipv4(source_mac, source, target, protocol, payload):
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 1, 0, 64, protocol, 0, socket.inet_aton(source), socket.inet_aton(target))
    head = head[:10] + struct.pack("!H", checksum(head)) + head[12:]
    return ether(source_mac, 0x0800, head + payload)


def udp(source_port, target_port, data=b"hello"):
    return struct.pack("!HHHH", source_port, target_port, 8 + len(data), 0) + data


def udp6(source, target, source_port, target_port, data):
    head = struct.pack("!HHHH", source_port, target_port, 8 + len(data), 0)
    pseudo = socket.inet_pton(socket.AF_INET6, source) + socket.inet_pton(socket.AF_INET6, target) + struct.pack("!II", 8 + len(data), 17)
    return head[:6] + struct.pack("!H", checksum(pseudo + head + data) or 0xFFFF) + data


def ipv6(source_mac, source, target, next_header, payload):
    source, target = socket.inet_pton(socket.AF_INET6, source), socket.inet_pton(socket.AF_INET6, target)
    if next_header == 58:
        pseudo = source + target + struct.pack("!II", len(payload), 58)
        payload = payload[:2] + struct.pack("!H", checksum(pseudo + payload)) + payload[4:]
    return ether(source_mac, 0x86DD, struct.pack("!IHBB", 6 << 28, len(payload), next_header, 255) + source + target + payload, multicast_mac(target))


def multicast_mac(target):
    return "33:33:" + target[-4:].hex(":") if target[0] == 0xFF else "ff:ff:ff:ff:ff:ff"


def icmpv6(kind, body):
    return struct.pack("!BBH", kind, 0, 0) + body

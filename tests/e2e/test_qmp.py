# SPDX-License-Identifier: LGPL-2.1-or-later
"""What an operator does with a guest from outside: its buttons, its keyboard, its screen, its memory, its figures, as tables."""
import json
import os
import re
import signal
import socket
import stat
import struct
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
import namespace  # noqa: E402
from guest import Guest  # noqa: E402
from hvkitd import TOP, Daemon, until  # noqa: E402
from rpc import RpcError  # noqa: E402

MAC = "02:00:00:00:00:07"


class WithGuest(unittest.TestCase):
    machine = {}

    def setUp(self):
        self.d = Daemon(plugins=["qmp"])
        self.addCleanup(self.d.cleanup)
        self.d.start()
        self.g = Guest(self.d, "a")
        self.g.define(**self.machine)
        self.events = self.d.rpc()
        self.events.subscribe(["qmp.*"])
        self.g.start()

    def boot_id(self):
        return self.g.sh("cat /proc/sys/kernel/random/boot_id")

    def event(self, topic, **wanted):
        return self.events.event(lambda e: e["topic"] == f"qmp.{topic}" and wanted.items() <= e["data"].items(), timeout=60)["data"]

    def boots_again(self, old):
        """The agent goes with the old boot and comes with the new one."""
        def booted():
            try:
                return self.boot_id() != old
            except RpcError:
                return False
        until("another boot", booted, 120, step=0.2)

    def finish(self):
        self.g.call("stop")
        self.g.call("undefine")
        self.assertEqual(self.d.left_behind(), [])


class Buttons(WithGuest):
    def test_reset_reboot_keys(self):
        pid, boot = self.g.call("get")["pid"], self.boot_id()
        self.assertEqual(self.g.call("reset")["state"], "running")
        self.assertFalse(self.event("reboot")["by_guest"])
        self.boots_again(boot)
        boot = self.boot_id()
        self.g.call("reboot", mode="agent", grace_ms=60000, _timeout_ms=90000)
        self.assertTrue(self.event("reboot")["by_guest"])
        self.boots_again(boot)
        self.assertEqual(self.g.call("get")["pid"], pid)

        with self.assertRaisesRegex(RpcError, "INVALID_ARGUMENT.*nosuchkey"):
            self.g.call("send_key", keys=["ctrl", "nosuchkey"])
        with self.assertRaisesRegex(RpcError, "INVALID_ARGUMENT"):
            self.g.call("send_key", keys=["ctrl-alt"])
        # this guest powers off on these three
        self.g.call("send_key", keys=["Ctrl", "alt", "del"])
        self.event("lifecycle", state="stopped", reason="shutdown")
        self.g.call("start", paused=True)
        self.finish()

    def test_a_guest_that_does_not_reboot(self):
        self.g.call("agent_command", command='{"execute":"guest-sync","arguments":{"id":1}}')
        self.g.sh("mv /sbin/shutdown /sbin/shutdown.away")
        boot = self.boot_id()
        self.g.call("reboot", mode="agent", grace_ms=1000)
        self.assertFalse(self.event("reboot")["by_guest"])  # its time was up
        self.boots_again(boot)
        self.finish()


class Screen(WithGuest):
    machine = {"graphics": True}

    def test_pictures(self):
        p = self.g.call("screenshot")
        self.assertEqual((p["format"], p["picture"][:8]), ("png", b"\x89PNG\r\n\x1a\n"))
        size = struct.unpack(">II", p["picture"][16:24])
        self.assertEqual(size, (p["width"], p["height"]))
        self.assertEqual(p["picture"][-8:-4], b"IEND")  # whole
        q = self.g.call("screenshot", format="ppm")
        self.assertRegex(q["picture"][:20], rb"^P6\s+%d\s+%d\s+255\s" % size)
        self.assertGreater(len(q["picture"]), size[0] * size[1] * 3)
        os.kill(self.g.call("get")["pid"], signal.SIGSTOP)
        with self.assertRaisesRegex(RpcError, "DEADLINE_EXCEEDED|UNAVAILABLE"):
            self.g.call("screenshot", _timeout_ms=1000)
        os.kill(self.g.call("get")["pid"], signal.SIGCONT)
        until("the next picture", lambda: self.g.call("screenshot")["width"] == size[0])
        self.finish()


class Memory(WithGuest):
    def test_dump(self):
        path = self.d.dir / "memory.elf"
        marker = os.urandom(16).hex()
        self.g.sh(f"for i in 1 2 3 4; do echo {marker[:16]}-{marker[16:]}; done >/tmp/marker")
        self.g.call("dump_memory", path=str(path), _timeout_ms=120000)
        self.assertTrue(self.event("job_completed", job="dump")["ok"])
        st = path.stat()
        self.assertEqual(stat.S_IMODE(st.st_mode), 0o600)
        self.assertGreater(st.st_size, 128 << 20)
        content = path.read_bytes()
        self.assertEqual(content[:4], b"\x7fELF")
        self.assertIn(f"{marker[:16]}-{marker[16:]}".encode(), content)
        self.assertEqual(self.g.call("get")["state"], "running")
        with self.assertRaisesRegex(RpcError, "ALREADY_EXISTS"):
            self.g.call("dump_memory", path=str(path))
        self.assertEqual(path.read_bytes()[:4], b"\x7fELF")
        # nothing is left of one that cannot be written
        with self.assertRaisesRegex(RpcError, "nowhere"):
            self.g.call("dump_memory", path=str(self.d.dir / "nowhere" / "memory.elf"))
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1M", "tmpfs", str(self.small())], check=True)
        self.addCleanup(lambda: subprocess.run(["umount", "-l", str(self.small())], check=True))
        with self.assertRaisesRegex(RpcError, "space"):
            self.g.call("dump_memory", path=str(self.small() / "memory.elf"), _timeout_ms=120000)
        self.assertEqual(list(self.small().iterdir()), [])
        self.assertFalse(self.event("job_completed", job="dump", ok=False)["ok"])
        self.assertEqual(self.g.call("get")["state"], "running")
        self.finish()

    def begin_dump(self, path):
        call = self.g.rpc.send("qmp.dump_memory", {"vm": "a", "path": str(path)})
        self.event("lifecycle", state="paused", reason="saving")
        return call

    def whole_or_absent(self, path):
        """A file that has its name is complete; it is taken away. Whether there was one."""
        there = path.exists()
        if there:
            self.assertGreater(path.stat().st_size, 128 << 20)
            path.unlink()
        return there

    def test_a_dump_that_is_called_off(self):
        path = self.d.dir / "memory.elf"
        for _ in range(5):  # it may be quicker than we are
            call = self.begin_dump(path)
            self.g.rpc.call("bus.cancel", {"id": call})
            try:
                self.g.rpc.finish(call)
            except RpcError as failure:
                self.assertEqual(failure.code, "CANCELLED")
                break
            self.assertTrue(self.whole_or_absent(path))
        self.assertFalse(path.exists())
        self.assertFalse(self.event("job_completed", job="dump", ok=False)["ok"])
        until("the guest running again", lambda: self.g.call("get")["state"] == "running")  # QEMU cannot stop a dump; it ends

        # and one whose daemon dies
        self.begin_dump(path)
        self.d.kill()
        self.d.start()
        self.g.rpc = self.d.rpc()
        until("the guest running again", lambda: self.g.call("get")["state"] == "running")
        self.whole_or_absent(path)
        self.g.call("dump_memory", path=str(path), _timeout_ms=120000)
        self.assertTrue(self.whole_or_absent(path))
        self.finish()

    def small(self):
        small = self.d.dir / "small"
        small.mkdir(exist_ok=True)
        return small

    def test_figures(self):
        m = until("the guest's figures", lambda: [x for x in [self.g.call("memory_stats")] if "guest_free_bytes" in x])[0]
        total = int(self.g.sh("grep MemTotal /proc/meminfo").split()[1]) << 10
        self.assertEqual(m["guest_total_bytes"], total)
        self.assertEqual((m["size_bytes"], m["balloon_bytes"]), (128 << 20, 128 << 20))
        self.assertGreater(m["resident_bytes"], 16 << 20)
        self.assertLess(m["guest_age_ms"], 20000)
        before = self.g.call("block_stats")["items"][0]
        self.g.sh("dd if=/dev/vda of=/dev/null bs=1M count=8 iflag=direct; dd if=/dev/zero of=/root/x bs=1M count=2 conv=fsync; rm /root/x")
        after = self.g.call("block_stats")["items"][0]
        self.assertGreaterEqual(after["read_bytes"] - before["read_bytes"], 8 << 20)
        self.assertGreaterEqual(after["write_bytes"] - before["write_bytes"], 2 << 20)
        self.assertGreater(after["flush_ops"], before["flush_ops"])
        cpu = self.g.call("stats", groups=["cpu"])["items"][0]["cpu"]
        self.g.sh("i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done")
        self.assertGreater(self.g.call("stats", groups=["cpu"])["items"][0]["cpu"]["total_ns"], cpu["total_ns"])
        self.finish()


class Network(WithGuest):
    machine = {"nics": [{"name": "net0", "mac": MAC, "tap": "tap-a"}]}

    def setUp(self):
        for words in ("tuntap add tap-a mode tap vnet_hdr", "address add 192.0.2.1/24 dev tap-a", "link set tap-a up"):
            subprocess.run(["ip", *words.split()], check=True)
        self.addCleanup(lambda: subprocess.run(["ip", "link", "delete", "tap-a"], check=True))
        super().setUp()

    def nic(self):
        return self.g.call("interface_stats", nic="net0")["items"][0]

    def sent_by_host(self):
        link = json.loads(subprocess.run(["ip", "-j", "-s", "link", "show", "tap-a"], check=True, capture_output=True).stdout)[0]
        return link["stats64"]["tx"]["packets"]

    def test_seen_from_the_guest(self):
        self.g.sh("ip link set eth0 up; ip address add 192.0.2.2/24 dev eth0")
        before = self.nic()
        self.assertEqual(before["tap"], "tap-a")
        self.g.sh("ping -c 3 -s 1000 192.0.2.1")  # the guest sends, and is answered
        n = self.nic()
        self.assertGreaterEqual(n["tx_bytes"] - before["tx_bytes"], 3000)
        self.assertGreaterEqual(n["rx_bytes"] - before["rx_bytes"], 3000)
        # to nobody in particular: the host sends, and the guest says nothing to it
        sent = self.sent_by_host()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            for _ in range(20):
                s.sendto(b"x" * 1000, ("192.0.2.255", 9))
        until("the packets on the wire", lambda: self.sent_by_host() >= sent + 20)
        now = self.nic()
        self.assertGreaterEqual(now["rx_bytes"] - n["rx_bytes"], 20000)
        self.assertLess(now["tx_bytes"] - n["tx_bytes"], 20000)
        self.assertEqual([s["nic"] for s in self.g.call("stats", groups=["net"])["items"][0]["net"]], ["net0"])
        with self.assertRaisesRegex(RpcError, "NOT_FOUND.*net9"):
            self.g.call("interface_stats", nic="net9")
        table = self.d.cli("qmp", "interface_stats", "a").stdout.splitlines()
        self.assertRegex(table[0], r"^NIC +TAP +RECEIVED +SENT")
        self.assertRegex(table[1], r"^net0 +tap-a +\d")

        # a guest that changes its address is noticed
        self.g.sh("ip link set eth0 down; ip link set eth0 address 02:00:00:00:00:99; ip link set eth0 up")
        e = self.event("nic_mac_change", nic="net0")
        self.assertEqual((e["mac"], e["was_mac"]), ("02:00:00:00:00:99", MAC))
        self.finish()


class Tables(WithGuest):
    def table(self, *words, wide=False):
        out = self.d.cli("qmp", *words, *(["-o", "wide"] if wide else [])).stdout.splitlines()
        return out[0].split(), out[1:]

    def test_views(self):
        header, rows = self.table("list")
        self.assertEqual(header, ["NAME", "STATE", "REASON", "PID", "VCPUS", "MEMORY", "AGENT", "SINCE"])
        self.assertRegex(rows[0], r"^a +running +booted +\d+ +1 +128Mi +yes +")
        header, rows = self.table("stats")
        self.assertEqual(header[:5], ["NAME", "STATE", "CPU", "VCPUS", "RESIDENT"])
        self.assertRegex(rows[0], r"^a +running +[\d.]+m?s +1 ")
        self.assertNotIn("<none>", rows[0].split()[header.index("READ")])
        header, rows = self.table("block_info", "a", wide=True)
        self.assertEqual(header, ["DISK", "FORMAT", "SIZE", "ALLOCATED", "LAYERS", "PATH", "READ_ONLY", "TRAY_OPEN"])
        self.assertRegex(rows[0], rf"^root +raw +112Mi .* 1 +{self.g.root} +no ")
        header, rows = self.table("block_stats", "a", wide=True)
        self.assertEqual(header[-2:], ["DISCARDED", "FAILED"])
        self.assertRegex(rows[0], r"^root +\d")
        self.assertIn("resident", self.d.cli("qmp", "memory_stats", "a").stdout)

        self.assertEqual(self.d.cli("qmp", "send_key", "a", "shift", "f1").stdout, "vm/a keys sent\n")
        self.assertEqual(self.d.cli("qmp", "set_memory", "a", "100Mi").stdout, "vm/a memory set\n")
        dump = self.d.dir / "a.elf"
        self.assertEqual(self.d.cli("qmp", "dump_memory", "a", str(dump)).stdout.splitlines()[-1], f"vm/a memory dumped to {dump}")

        # of a machine that does not answer any more: what it said last, and that it is old
        pid = self.g.call("get")["pid"]
        os.kill(pid, signal.SIGSTOP)
        old = until("old figures", lambda: [r for r in [self.d.cli("qmp", "block_stats", "a")] if " old (cache)" in r.stderr])[0]
        self.assertRegex(old.stdout.splitlines()[1], r"^root +\d")
        os.kill(pid, signal.SIGCONT)
        self.assertEqual(self.d.cli("qmp", "block_errors", "a").stderr, "Nothing found.\n")
        self.finish()

    def test_what_it_cannot_do(self):
        lacks = {v["verb"]: v["reason"] for v in self.g.rpc.call("qmp.probe")["verbs"] if not v["supported"]}
        self.assertEqual(sorted(lacks), ["backup_begin", "backup_end", "block_commit", "block_mirror", "block_pull"])
        for verb, args in (("block_commit", {"disk": "root"}), ("block_pull", {"disk": "root"})):
            with self.assertRaises(RpcError) as failure:
                self.g.call(verb, **args)
            self.assertEqual(failure.exception.code, "UNIMPLEMENTED")
            self.assertIn(lacks[verb], failure.exception.message)
        self.finish()


class Buses(unittest.TestCase):
    def test_every_bus_has_figures(self):
        d = Daemon(plugins=["qmp"])
        self.addCleanup(d.cleanup)
        d.start()
        g = Guest(d, "a")
        disks = []
        for name, bus, media in (("v", "virtio", "disk"), ("s", "scsi", "disk"), ("i", "sata", "disk"), ("c", "sata", "cdrom"), ("u", "usb", "disk")):
            path = d.dir / f"{name}.img"
            with open(path, "wb") as f:
                f.truncate(1 << 20)
            disks.append({"name": name, "path": str(path), "format": "raw", "bus": bus, "media": media})
        g.call("define", machine=g.machine(disks=disks))
        g.call("start", paused=True)
        self.assertEqual([s["disk"] for s in g.call("block_stats")["items"]], ["v", "s", "i", "c", "u"])
        self.assertEqual([s["disk"] for s in g.call("stats")["items"][0]["block"]], ["v", "s", "i", "c", "u"])
        info = g.call("block_info")
        self.assertEqual(([i["disk"] for i in info["items"]], info["source"]), (["v", "s", "i", "c", "u"], "live"))
        self.assertEqual([i["disk"] for i in info["items"] if "tray_open" in i], ["c"])
        g.call("stop")
        g.call("undefine")
        self.assertEqual(d.left_behind(), [])


class Events(unittest.TestCase):
    def test_every_event_has_its_place(self):
        """Those of the QEMU that is installed are all in the plugin's table, and the table knows none that is not."""
        said = subprocess.run(["qemu-system-x86_64", "-machine", "none", "-nodefaults", "-display", "none", "-qmp", "stdio"], check=True, text=True,
                              capture_output=True, input='{"execute":"qmp_capabilities"}{"execute":"query-qmp-schema"}{"execute":"quit"}').stdout
        answers = [json.loads(line).get("return") for line in said.splitlines()]
        schema = [a for a in answers if isinstance(a, list)][0]
        text = (TOP / "plugins/qmp/README.md").read_text().split("## Events")[1].split("## Files")[0]
        listed = set(re.findall(r"`([A-Z][A-Z0-9_]+)`", "".join(row.split("|")[1] for row in text.splitlines() if row.startswith("| `"))))
        self.assertEqual(listed, {e["name"] for e in schema if e["meta-type"] == "event"})
        handled = set(re.findall(r'^  \{ "([A-Z_]+)", on_', (TOP / "plugins/qmp/event.c").read_text(), re.M))
        self.assertEqual(listed & handled, handled)


if __name__ == "__main__":
    namespace.enter("making a tap and a small file system")
    unittest.main(verbosity=2)

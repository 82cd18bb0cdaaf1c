# SPDX-License-Identifier: LGPL-2.1-or-later
"""docs/virsh.md, row by row: virsh and hvkit are run on the same libvirt, and say and do the same."""
import json
import os
import re
import subprocess
import sys
import unittest
import uuid

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from guest import Guest  # noqa: E402
from hvkitd import TOP, Daemon, until  # noqa: E402
from libvirtd import Libvirtd  # noqa: E402

DOC = (TOP / "docs/virsh.md").read_text()


def rows(section):
    body = DOC.split(f"\n## {section}\n")[1].split("\n## ")[0]
    return [[c.strip().strip("`") for c in line.strip("|").split("|")[:2]] for line in body.splitlines() if re.match(r"\| ?`?[a-z]", line)
            and not line.startswith("| virsh")]


def pairs(text):
    """virsh's "name value" lines, of whatever form: "Name:  value", " name=value", " name value"."""
    out = {}
    for line in text.splitlines():
        m = re.match(r"\s*([^:]+):\s+(\S.*)$", line) or re.match(r"\s*([\w.\-]+)=(\S.*)$", line) or re.match(r".*?(\S+) (\S+)$", line)
        if m:
            out[m.group(1).strip()] = m.group(2).strip()
    return out


class Table(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.l = Libvirtd()
        cls.addClassCleanup(cls.l.cleanup)
        cls.l.start()
        cls.d = Daemon(manifests={"libvirt": {"name": "libvirt", "plugin": "libvirt.so", "config": {"uri": cls.l.uri, "accel": "tcg", "balloon_s": 1}},
                                  "guest-agent": {"name": "guest-agent", "plugin": "guest-agent.so"}})
        cls.addClassCleanup(cls.d.cleanup)
        cls.d.start()
        cls.tap = f"hv{os.getpid() % 100000}"
        subprocess.run(["ip", "tuntap", "add", cls.tap, "mode", "tap"], check=True)
        cls.addClassCleanup(subprocess.run, ["ip", "link", "del", cls.tap], check=True)
        cls.g = Guest(cls.d, "a", backend="libvirt")
        cls.more = cls.d.dir / "more.img"
        cls.more.write_bytes(b"\0" * (1 << 20))
        cls.g.define(graphics=True, nics=[{"name": "net", "mac": "02:00:00:00:00:09", "tap": cls.tap}], disks=[
            {"name": "root", "path": str(cls.g.root), "format": "raw", "boot_order": 1},
            {"name": "data", "path": str(cls.more), "format": "raw", "bus": "scsi"}])
        cls.g.start()
        cls.rpc = cls.d.rpc()

    def virsh(self, *args):
        return self.l.virsh(*args).stdout

    def hvkit(self, *args):
        """Through the command line, as in the table; JSON where there is a result."""
        out = self.d.cli(*args, "-o", "json").stdout
        return json.loads(out) if out.strip() else {}

    def hv(self, *args):
        return self.hvkit("libvirt", *args)

    def one(self, *args):
        r = self.hv(*args)
        items = r.get("items", r) if isinstance(r, dict) else r
        self.assertEqual(len(items), 1, items)
        return items[0]

    # --- reading ---

    def row_list(self):
        names = {line.split()[1] for line in self.virsh("list", "--all").splitlines() if line.strip()}
        r = self.hv("list")
        self.assertEqual({v["vm"] for v in (r["items"] if isinstance(r, dict) else r)}, names)

    def row_dominfo(self):
        theirs, ours = pairs(self.virsh("dominfo", "a")), self.hv("get", "a")
        self.assertEqual((theirs["Name"], theirs["UUID"], theirs["State"]), (ours["vm"], ours["uuid"], ours["state"]))
        self.assertEqual(int(theirs["CPU(s)"]), ours["vcpus"])
        self.assertEqual(int(theirs["Max memory"].split()[0]) * 1024, ours["memory_bytes"])

    def row_domstate(self):
        state, reason = re.match(r"(\w+) \((\w+)\)", self.virsh("domstate", "a", "--reason")).groups()
        ours = self.hv("get", "a")
        self.assertEqual((state, reason), (ours["state"], ours["reason"]))

    def row_domuuid(self):
        self.assertEqual(self.virsh("domuuid", "a").strip(), self.hv("get", "a")["uuid"])

    def row_domcontrol(self):
        self.assertEqual(self.virsh("domcontrol", "a").strip(), "ok")
        self.assertNotIn("unreachable_since_ms", self.hv("get", "a"))

    def row_dumpxml(self):
        self.assertEqual(self.hv("native", "a")["xml"].strip(), self.virsh("dumpxml", "a").strip())

    def row_domblklist(self):
        theirs = {line.split()[1] for line in self.virsh("domblklist", "a").splitlines() if "/" in line}
        r = self.hv("block_info", "a")
        self.assertEqual({b["path"] for b in (r["items"] if isinstance(r, dict) else r)}, theirs)

    def row_domblkinfo(self):
        theirs, ours = pairs(self.virsh("domblkinfo", "a", "vda")), self.one("block_info", "a", "--disk", "root")
        self.assertEqual(int(theirs["Capacity"]), ours["virtual_size_bytes"])
        self.assertAlmostEqual(int(theirs["Allocation"]), ours["allocated_bytes"], delta=8 << 20)  # the guest runs

    def row_domblkstat(self):
        theirs = {k: int(v) for k, v in pairs(self.virsh("domblkstat", "a", "sda")).items()}
        ours = self.one("block_stats", "a", "--disk", "data")
        self.assertGreater(ours["read_ops"], 0)
        for mine, his in (("read_ops", "rd_req"), ("read_bytes", "rd_bytes"), ("write_ops", "wr_req"), ("write_bytes", "wr_bytes")):
            self.assertEqual(theirs[his], ours[mine], mine)  # nobody uses this disk

    def row_domblkerror(self):
        self.assertIn("No errors", self.virsh("domblkerror", "a"))
        r = self.hv("block_errors", "a")
        self.assertEqual(r["items"] if isinstance(r, dict) else r, [])

    def row_domiflist(self):
        line = next(x.split() for x in self.virsh("domiflist", "a").splitlines() if "02:00:00" in x)
        ours = self.one("interface_stats", "a")
        self.assertEqual((line[0], "net"), (ours["tap"], ours["nic"]))

    def row_domifstat(self):
        theirs = {line.split()[1]: int(line.split()[2]) for line in self.virsh("domifstat", "a", self.tap).splitlines() if line.strip()}
        ours = self.one("interface_stats", "a", "--nic", "net")
        for name in ("rx_bytes", "rx_packets", "tx_bytes", "tx_packets"):
            self.assertAlmostEqual(theirs[name], ours[name], delta=2000)

    def row_domifaddr(self):
        theirs = {line.split()[0] for line in self.virsh("domifaddr", "a", "--source", "agent").splitlines() if "/" in line} - {"-"}
        ours = self.hvkit("guest-agent", "interfaces", "--vm", "a", "--backend", "libvirt")
        names = {i["name"] for i in (ours["items"] if "items" in ours else ours["interfaces"])}
        self.assertTrue(theirs and theirs <= names, (theirs, ours))

    def row_dommemstat(self):
        theirs = {k: int(v) * 1024 for k, v in pairs(self.virsh("dommemstat", "a")).items() if v.isdigit()}
        ours = self.hv("memory_stats", "a")
        self.assertEqual(theirs["actual"], ours["balloon_bytes"])
        self.assertAlmostEqual(theirs["rss"], ours["resident_bytes"], delta=32 << 20)
        self.assertEqual(theirs["available"], ours["guest_total_bytes"])

    def row_domstats(self):
        theirs = pairs(self.virsh("domstats", "a"))
        ours = self.one("stats", "--vm", "a")
        self.assertEqual(int(theirs["block.count"]), len(ours["block"]))
        self.assertEqual(int(theirs["block.1.rd.reqs"]), ours["block"][1]["read_ops"])
        self.assertEqual(int(theirs["balloon.current"]) * 1024, ours["memory"]["balloon_bytes"])
        self.assertLess(abs(int(theirs["cpu.time"]) - ours["cpu"]["total_ns"]), 5e9)

    def row_domtime(self):
        theirs = int(pairs(self.virsh("domtime", "a"))["Time"])
        reply = json.loads(self.hv("agent_command", "a", '{"execute":"guest-get-time"}')["reply"])
        self.assertLess(abs(theirs - reply["return"] / 1e9), 30)

    def row_domhostname(self):
        ours = self.hvkit("guest-agent", "hostname", "--vm", "a", "--backend", "libvirt")
        self.assertIn(self.virsh("domhostname", "a", "--source", "agent").strip(), str(ours))

    def row_domfsinfo(self):
        mounts = {line.split()[0] for line in self.virsh("domfsinfo", "a").splitlines() if line.startswith((" /", "/"))}
        self.assertTrue(mounts)
        ours = str(self.hvkit("guest-agent", "filesystems", "--vm", "a", "--backend", "libvirt"))
        for m in mounts:
            self.assertIn(m, ours)

    def row_domcapabilities(self):
        theirs, ours = self.virsh("domcapabilities", "--virttype", "qemu"), self.hv("probe")
        self.assertIn("<arch>x86_64</arch>", theirs)
        self.assertEqual((ours["arch"], ours["accel"]), ("amd64", "tcg"))
        self.assertIn(ours["version"], self.l.virsh("version").stdout)

    def row_snapshot_list(self):
        self.assertEqual(self.virsh("snapshot-list", "a", "--name").split(), [])
        r = self.hv("snapshot_list", "a")
        self.assertEqual(r["items"] if isinstance(r, dict) else r, [])

    # --- doing: hvkit does it, virsh says that it is done ---

    def state(self, name="a"):
        return self.virsh("domstate", name).strip()

    def row_define(self):
        machine = {"name": "b", "uuid": str(uuid.uuid4()), "memory_bytes": 64 << 20}
        self.hv("define", "b", "--machine", json.dumps(machine))
        self.assertEqual(self.virsh("domuuid", "b").strip(), machine["uuid"])

    def row_start(self):
        if self.state("b") == "running":
            self.virsh("destroy", "b")
            until("it is heard", lambda: self.hv("get", "b")["state"] == "stopped", 10)
            self.hv("start", "b", "--paused")
            self.assertEqual(self.state("b"), "paused")
            return
        self.hv("start", "b")
        self.assertEqual(self.state("b"), "running")

    def row_create(self):
        self.hv("start", "b")
        self.assertEqual(self.state("b"), "running")

    def row_undefine(self):
        self.hv("define", "c", "--machine", json.dumps({"name": "c", "uuid": str(uuid.uuid4()), "memory_bytes": 64 << 20}))
        self.assertIn("c", self.virsh("list", "--all", "--name").split())
        self.hv("undefine", "c")
        self.assertNotIn("c", self.virsh("list", "--all", "--name").split())

    def row_suspend(self):
        self.hv("pause", "a")
        self.assertEqual(self.state(), "paused")

    def row_resume(self):
        self.hv("resume", "a")
        self.assertEqual(self.state(), "running")

    def row_reset(self):
        before = self.virsh("domstats", "b", "--state")
        self.hv("reset", "b")
        self.assertEqual(self.virsh("domstats", "b", "--state"), before)

    def row_setmem(self):
        self.hv("set_memory", "a", "100Mi")
        until("the balloon", lambda: pairs(self.virsh("dommemstat", "a"))["actual"] == str(100 * 1024), 30)

    def row_blockresize(self):
        self.hv("resize_block", "a", "data", "2Mi")
        self.assertEqual(pairs(self.virsh("domblkinfo", "a", "sda"))["Capacity"], str(2 << 20))

    def row_attach_disk(self):
        image = self.d.dir / "plugged.img"
        image.write_bytes(b"\0" * (1 << 20))
        self.hv("attach", "a", "--disk", json.dumps({"name": "plugged", "path": str(image), "format": "raw"}))
        self.assertIn(str(image), self.virsh("domblklist", "a"))

    def row_detach_disk(self):
        self.hv("detach", "a", "plugged")
        self.assertNotIn("plugged.img", self.virsh("domblklist", "a"))

    def row_send_key(self):
        self.assertEqual(self.d.cli("libvirt", "send_key", "a", "shift", "f1").stdout, "vm/a keys sent\n")
        self.virsh("send-key", "a", "KEY_LEFTSHIFT", "KEY_F1")

    def row_screenshot(self):
        path = self.d.dir / "theirs"
        self.virsh("screenshot", "a", path)
        picture = self.rpc.call("libvirt.screenshot", {"vm": "a", "format": "png"})
        theirs = path.read_bytes()
        if theirs[:4] == b"\x89PNG":
            self.assertEqual(theirs[16:24], picture["picture"][16:24])  # width and height
        else:
            self.assertEqual(theirs.split()[1:3], [str(picture["width"]).encode(), str(picture["height"]).encode()])

    def row_qemu_agent_command(self):
        theirs = json.loads(self.virsh("qemu-agent-command", "a", '{"execute":"guest-info"}'))
        ours = json.loads(self.hv("agent_command", "a", '{"execute":"guest-info"}')["reply"])
        self.assertEqual(theirs["return"]["version"], ours["return"]["version"])

    def row_save(self):
        self.hv("save", "b", str(self.d.dir / "saved"))
        self.assertEqual(self.state("b"), "shut off")
        self.assertIn("<name>b</name>", self.virsh("save-image-dumpxml", self.d.dir / "saved"))

    def row_restore(self):
        self.hv("restore", "b", str(self.d.dir / "saved"))
        self.assertEqual(self.state("b"), "running")

    def row_dump(self):
        self.hv("dump_memory", "b", str(self.d.dir / "ours.elf"))
        self.virsh("dump", "b", self.d.dir / "theirs.elf", "--memory-only")
        sizes = [(self.d.dir / f).stat().st_size for f in ("ours.elf", "theirs.elf")]
        self.assertLess(abs(sizes[0] - sizes[1]), 1 << 20, sizes)

    def row_shutdown(self):
        self.hv("shutdown", "a")
        until("it is off", lambda: self.state() == "shut off", 60)
        until("it is heard", lambda: self.hv("get", "a")["state"] == "stopped", 10)
        self.assertEqual(self.hv("get", "a")["reason"], "shutdown")

    def row_destroy(self):
        self.hv("stop", "b")
        self.assertEqual(self.state("b"), "shut off")

    # --- the table ---

    def run_rows(self, section, order=None):
        wanted = [virsh.split()[0].replace("-", "_") for virsh, _ in rows(section)]
        self.assertTrue(wanted)
        for virsh, hvkit in rows(section):
            name = virsh.split()[0].replace("-", "_")
            verb = hvkit.split()[2]
            with self.subTest(virsh):
                self.assertTrue(hasattr(self, f"row_{name}"), f"no comparison for '{virsh}'")
                self.assertIn(verb, self.d.cli(hvkit.split()[1], "--help").stdout)
        for name in order or wanted:
            with self.subTest(name):
                getattr(self, f"row_{name}")()
        self.assertEqual(set(order or wanted), set(wanted))

    def test_1_reading(self):
        until("the guest's own figures", lambda: "guest_total_bytes" in self.hv("memory_stats", "a"), 30)
        self.run_rows("Reading")

    def test_2_doing(self):
        self.run_rows("Doing", ["define", "undefine", "create", "start", "reset", "destroy", "start", "suspend", "resume", "setmem", "blockresize",
                                "attach_disk", "detach_disk", "send_key", "screenshot", "qemu_agent_command", "save", "restore", "dump",
                                "destroy", "shutdown"])

    def test_3_events(self):
        """Every event of virsh has a topic that the plugin really has."""
        listed = self.virsh("event", "--list").split()
        table = {line.split("|")[1].strip(): line.split("|")[2].strip().strip("`") for line in DOC.split("\n## Events\n")[1].splitlines()
                 if re.match(r"\| [a-z][a-z0-9-]+ \|", line)}
        table.pop("virsh event", None)
        self.assertEqual(sorted(table), sorted(listed))
        self.assertEqual(len(table), 27)
        known = self.d.cli("api", "libvirt").stdout
        for virsh, topic in table.items():
            self.assertIn(topic, known, virsh)


if __name__ == "__main__":
    unittest.main(verbosity=2)

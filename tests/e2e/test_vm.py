# SPDX-License-Identifier: LGPL-2.1-or-later
"""A KubeVirt manifest, a real QEMU, a guest that boots and answers: from apply to nothing left behind, with a daemon that dies on the way."""
import json
import os
import select
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from hvkitd import TOP, Daemon, build_dir, until  # noqa: E402

EXAMPLE = TOP / "examples/local-disk.yaml"
BOOT = "180s"


def guest():
    """The test guest, built once per build directory."""
    out = build_dir() / "guest"
    subprocess.run([str(TOP / "tests/guest/build"), str(out)], check=True, capture_output=True)
    return out / "disk.img"


class WithVm(unittest.TestCase):
    name = "ubuntu-amd"

    def setUp(self):
        self.d = Daemon()
        self.addCleanup(self.d.cleanup)
        self.d.start()
        self.volume = self.d.state / "vmi/volumes/default/ubuntu-amd-sys-disk/disk.img"
        self.volume.parent.mkdir(parents=True)
        subprocess.run(["cp", "--sparse=always", str(guest()), str(self.volume)], check=True)
        self.host = "hv-" + os.urandom(4).hex()
        subprocess.run([str(TOP / "tests/guest/set-hostname"), str(self.volume), self.host], check=True)

    def hvkit(self, *args, **more):
        return self.d.cli(*args, **more).stdout

    def vmi(self):
        return json.loads(self.hvkit("get", "vmi", self.name, "-o", "json"))["items"][0]

    def on_the_console(self, typed, wanted):
        """What a program sees that types at the console through hvkit."""
        p = subprocess.Popen([*self.d.cli_argv(), "console", self.name], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        try:
            p.stdin.write(typed)
            p.stdin.flush()
            seen = b""
            while wanted not in seen:
                self.assertTrue(select.select([p.stdout], [], [], 60)[0], f"only this came: {seen!r}")
                more = os.read(p.stdout.fileno(), 4096)
                self.assertTrue(more, f"the console ended after {seen!r}")
                seen += more
            p.stdin.close()
            self.assertEqual(p.wait(60), 0)
        finally:
            p.kill()
            p.wait()
            p.stdout.close()

    def wait_agent(self):
        self.hvkit("wait", "vmi", self.name, "--for", "AgentConnected", "--timeout", BOOT, timeout=240)

    def nothing_left(self):
        self.assertEqual(self.d.left_behind(), [])
        left = [str(p) for p in self.d.state.rglob("*") if p.is_file() and p != self.volume and p.name != "node.rec"]
        self.assertEqual(left, [])


class Life(WithVm):
    def test_from_apply_to_nothing(self):
        self.assertIn("virtualmachine.kubevirt.io/ubuntu-amd created", self.hvkit("apply", "-f", str(EXAMPLE)))
        self.assertIn("unchanged", self.hvkit("apply", "-f", str(EXAMPLE)))
        self.wait_agent()
        vmi = self.vmi()
        self.assertEqual(vmi["status"]["phase"], "Running")
        self.assertEqual(vmi["status"]["guestOSInfo"]["id"], "debian")
        self.assertEqual([t["phase"] for t in vmi["status"]["phaseTransitionTimestamps"]], ["Pending", "Scheduling", "Scheduled", "Running"])
        self.assertEqual(json.loads(self.hvkit("guestosinfo", self.name, "-o", "json"))["hostname"], self.host)
        self.on_the_console(b"echo $(hostname)-$((6*7))\n", f"{self.host}-42".encode())
        self.assertRegex(self.hvkit("get", "vm"), r"ubuntu-amd\s+Running\s+True")

        self.the_node()
        self.its_logs()

        # kill -9 of the daemon: the machine keeps its process, and the next daemon has it Running again, agent included
        before = self.d.machines()
        self.assertEqual(len(before), 1)
        self.d.kill()
        self.assertEqual(self.d.machines(), before)
        self.d.start()
        self.assertEqual(self.d.machines(), before)
        self.wait_agent()
        self.assertEqual(self.vmi()["status"]["phase"], "Running")
        self.assertEqual(json.loads(self.hvkit("guestosinfo", self.name, "-o", "json"))["hostname"], self.host)

        # SIGTERM leaves it running, too
        self.assertEqual(self.d.stop(), 0)
        self.assertEqual(self.d.machines(), before)
        self.d.start()
        self.wait_agent()

        self.hvkit("pause", self.name)
        until("Paused", lambda: "Paused" in self.hvkit("get", "vm"))
        self.hvkit("unpause", self.name)
        with self.subTest("frozen for a backup"):
            def frozen():
                return "frozen" in self.hvkit("guest-agent", "freeze_status", "--vm", f"default_{self.name}", "--backend", "qmp")
            self.assertIn("are frozen", self.hvkit("freeze", self.name))
            self.assertTrue(frozen())
            self.assertIn("are thawed", self.hvkit("unfreeze", self.name))
            self.assertFalse(frozen())
            self.hvkit("freeze", self.name, "--unfreeze-timeout", "1")
            until("the thaw", lambda: not frozen(), 20)
            self.assertIn("Frozen", self.hvkit("describe", "vmi", self.name))
        with self.subTest("as virt-freezer"):
            self.as_virt_freezer(frozen)
        until("Running", lambda: "Running" in self.hvkit("get", "vm"))

        self.hvkit("delete", "vm", self.name, timeout=200)
        until("the end of the process", lambda: self.d.machines() == [], 150)
        until("nothing left", lambda: self.d.left_behind() == [])
        self.assertEqual(json.loads(self.hvkit("get", "vm", "-o", "json"))["items"], [])
        self.nothing_left()
        self.assertEqual(self.d.stop(), 0)

    def its_logs(self):
        self.assertIn("GUEST-READY", self.hvkit("logs", self.name))
        self.assertRegex(self.hvkit("logs", self.name, "--source", "all"), r"(?m)^firmware \| .*SeaBIOS")
        self.assertEqual(len(self.hvkit("logs", self.name, "--tail", "1").splitlines()), 1)

    def the_node(self):
        node = json.loads(self.hvkit("get", "node", "-o", "json", timeout=180))["items"][0]
        self.assertEqual((node["status"], node["vms"]), ("Ready", 1))
        overhead = json.loads(self.hvkit("vmi", "overhead", "-f", str(EXAMPLE), "-o", "json"))["items"][0]
        self.assertEqual(node["promised_bytes"], overhead["total_bytes"])
        qmp = next(h for h in node["hypervisors"] if h["name"] == "qmp")
        self.assertIn("q35", " ".join(qmp["machines"]))
        self.assertEqual({p["name"]: p["state"] for p in node["plugins"]}["vmi"], "running")
        top = json.loads(self.hvkit("top", "-o", "json"))["items"][0]
        self.assertEqual((top["name"], top["reckoned_bytes"]), (self.name, overhead["total_bytes"]))
        self.assertGreater(top["memory_bytes"], 1 << 20)

    def as_virt_freezer(self, frozen):
        link = self.d.dir / "virt-freezer"
        link.symlink_to(self.d.cli_argv()[0])

        def freezer(*args, name=self.name, more=()):
            return subprocess.run([str(link), *args, "--name", name, "--namespace", "default", *more], capture_output=True, text=True,
                                  env={**os.environ, "HVKIT_SOCKET": str(self.d.socket)}, timeout=120)
        self.assertEqual(freezer("--freeze", more=("--unfreezeTimeoutSeconds", "60")).returncode, 0)
        self.assertTrue(frozen())
        self.assertEqual(freezer("--unfreeze").returncode, 0)
        self.assertFalse(frozen())
        self.assertEqual(freezer().returncode, 1)
        r = freezer("--freeze", name="nobody")
        self.assertEqual((r.returncode, "does not exist" in r.stderr), (1, True), r.stderr)
        self.hvkit("pause", self.name)
        r = freezer("--freeze")
        self.assertEqual((r.returncode, "paused" in r.stderr), (1, True), r.stderr)
        self.hvkit("unpause", self.name)

    def test_stop_and_start_begin_from_the_same_disk(self):
        self.hvkit("apply", "-f", str(EXAMPLE))
        self.wait_agent()
        first = self.d.machines()
        self.hvkit("stop", self.name, timeout=200)
        until("stopped", lambda: self.d.machines() == [], 150)
        until("Stopped", lambda: "Stopped" in self.hvkit("get", "vm"))
        self.hvkit("start", self.name)
        self.wait_agent()
        self.assertNotEqual(self.d.machines(), first)
        self.hvkit("delete", "vm", self.name, timeout=200)
        until("the end of the process", lambda: self.d.machines() == [], 150)
        until("nothing left", lambda: self.d.left_behind() == [])
        self.nothing_left()


class Refused(unittest.TestCase):
    """What a manifest asks for and is not there yet is refused by name and path, and nothing is left of it."""

    CASES = {
        "a field nobody knows": (lambda t: t.replace("        machine:\n", "        machinee:\n"), "machinee", "machine"),
        "a volume that is not there": (lambda t: t.replace("        ephemeral:\n          persistentVolumeClaim:\n            claimName: ubuntu-amd-sys-disk\n",
                                                           "        configMap:\n          name: x\n"), "configMap", "volumes[0]"),
        "a card of no network": (lambda t: t.replace("          autoattachPodInterface: false\n", "          interfaces: [{name: lan, bridge: {}}]\n"), "interfaces[0].name", "network"),
        "another architecture": (lambda t: t.replace("kubernetes.io/arch: amd64", "kubernetes.io/arch: s390x"), "kubernetes.io/arch", "s390x"),
        "not YAML": (lambda t: "a: [1, 2\nb: 3\n", "line", ""),
        "an alias": (lambda t: "a: &x 1\nb: *x\n", "anchor", ""),
        "nothing": (lambda t: "", "", ""),
    }

    def test_refused(self):
        d = Daemon()
        self.addCleanup(d.cleanup)
        d.start()
        text = EXAMPLE.read_text()
        for name, (change, *words) in self.CASES.items():
            with self.subTest(name):
                changed = change(text)
                self.assertNotEqual(changed, text)
                r = d.cli("apply", "-f", "-", input=changed, check=False)
                self.assertEqual(r.returncode, 1, r.stdout + r.stderr)
                for w in words:
                    self.assertIn(w, r.stderr)
                self.assertEqual(json.loads(d.cli("get", "vm", "-o", "json").stdout)["items"], [])
                self.assertEqual(d.machines(), [])


if __name__ == "__main__":
    unittest.main(verbosity=2)

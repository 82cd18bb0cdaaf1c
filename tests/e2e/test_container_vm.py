# SPDX-License-Identifier: LGPL-2.1-or-later
"""The reference VM with its disk pair: a claim's empty disk, and a CD-ROM from a registry that it boots from."""
import json
import os
import pathlib
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from hvkitd import TOP, Daemon, build_dir, until  # noqa: E402
from registry import Registry, layer  # noqa: E402

IMAGE = "virtual-machine-image/ubuntu20"


class ContainerVm(unittest.TestCase):
    def setUp(self):
        guest = build_dir() / "guest"
        subprocess.run([str(TOP / "tests/guest/build"), str(guest)], check=True, capture_output=True)
        self.registry = Registry(tls=True, users={"alice": "s3cret"})
        self.addCleanup(self.registry.__exit__)
        self.registry.__enter__()
        self.d = Daemon()
        self.addCleanup(self.d.cleanup)
        secrets = {"ca": self.registry.ca, "config.json": self.registry.docker_config()}
        for name, text in secrets.items():
            (self.d.dir / name).write_text(text)
        manifest = json.loads((self.d.manifest_dir / "container-disk.json").read_text())
        manifest["config"] = {"ca": str(self.d.dir / "ca"), "docker_config": str(self.d.dir / "config.json")}
        self.d.manifest("container-disk", manifest)
        self.d.start()
        self.text = (TOP / "examples/ubuntu-amd.yaml").read_text().replace("localhost:5000", self.registry.host)
        self.guest = guest

    def push(self, tag="amd64"):
        host = "hv-" + os.urandom(4).hex()
        iso = self.d.dir / "guest.iso"
        subprocess.run([str(TOP / "tests/guest/iso"), str(self.guest), host, str(iso)], check=True)
        self.registry.push(IMAGE, tag, [layer([("disk/guest.iso", iso.read_bytes())])])
        return host

    def hvkit(self, *args, **more):
        return self.d.cli(*args, **more).stdout

    def json(self, *args):
        return json.loads(self.hvkit(*args, "-o", "json"))

    def image(self):
        return self.json("image", "get", f"{self.registry.host}/{IMAGE}:amd64")

    def checksum(self):
        volumes = {v["name"]: v for v in self.json("get", "vmi", "ubuntu-amd")["items"][0]["status"]["volumeStatus"]}
        self.assertEqual({n: v["target"] for n, v in volumes.items()}, {"rootdisk": "vda", "containerdisk": "sda"})
        return volumes["containerdisk"]["containerDiskVolume"]["checksum"]

    def test_life(self):
        host = self.push()
        self.hvkit("apply", "-f", "-", input=self.text)
        self.hvkit("wait", "vmi", "ubuntu-amd", "--for", "AgentConnected", "--timeout", "180s", timeout=200)
        self.assertEqual(self.json("guestosinfo", "ubuntu-amd")["hostname"], host)
        image = self.image()
        self.assertEqual(image["used_by"], ["vmi default/ubuntu-amd"])
        self.assertIn("Pulled", self.hvkit("describe", "vmi", "ubuntu-amd"))
        with self.subTest("the status is the reference's"):
            self.assertEqual(self.checksum(), image["checksum"])
        with self.subTest("it is on the pod's network"):
            interface = self.json("get", "vmi", "ubuntu-amd")["items"][0]["status"]["interfaces"][0]
            self.assertEqual((interface["name"], interface["queueCount"]), ("default", 1))
            until("an answer from the guest", lambda: subprocess.run(["busybox", "ping", "-c", "1", "-W", "2", interface["ipAddress"]], capture_output=True).returncode == 0, 30)
        with self.subTest("the machine's disks are the pair"):
            disks = self.json("qmp", "block_info", "--vm", "default_ubuntu-amd")["items"]
            by_name = {i["disk"]: i for i in disks}
            self.assertEqual(by_name["containerdisk"]["backing"][0]["path"] if "backing" in by_name["containerdisk"] else image["path"], image["path"])
            claim = self.d.state / "vmi/volumes/default/ubuntu-amd-sys-disk/disk.img"
            self.assertEqual(claim.stat().st_size, 1 << 30)
            self.assertLess(claim.stat().st_blocks * 512, 1 << 20)
        with self.subTest("what is in use stays"):
            r = self.d.cli("image", "remove", image["image"], check=False)
            self.assertEqual(r.returncode, 1)
            self.assertIn("vmi default/ubuntu-amd", r.stderr)
        with self.subTest("a daemon that dies takes neither the machine nor what it depends on"):
            before = self.d.machines()
            self.d.kill()
            self.d.start()
            until("the VM", lambda: self.json("get", "vmi", "ubuntu-amd")["items"][0]["status"]["phase"] == "Running", 60)
            self.assertEqual(self.d.machines(), before)
            self.assertEqual(self.image()["used_by"], ["vmi default/ubuntu-amd"])
            self.assertEqual(self.checksum(), image["checksum"])
        with self.subTest("the registry may be away when it is not asked"):
            self.registry.process.kill()
            self.registry.process.wait()
            self.hvkit("restart", "ubuntu-amd", timeout=200)
            until("another machine", lambda: self.d.machines() not in ([], before), 150)
            self.hvkit("wait", "vmi", "ubuntu-amd", "--for", "AgentConnected", "--timeout", "180s", timeout=200)
        self.hvkit("delete", "-f", "-", input=self.text, timeout=200)
        until("the end of the process", lambda: self.d.machines() == [], 150)
        self.assertEqual(self.image().get("used_by", []), [])
        self.assertEqual(self.d.networks(), ([], []))
        self.hvkit("image", "remove", image["image"])
        self.assertEqual(os.listdir(self.d.state / "container-disk/images"), [])
        self.assertEqual([p for p in pathlib.Path(self.d.state).rglob("*.qcow2")], [])

    def test_not_there(self):
        """A start that cannot get its image says so, and goes on trying."""
        self.hvkit("apply", "-f", "-", input=self.text)
        until("the failure", lambda: "does not have that" in self.hvkit("describe", "vm", "ubuntu-amd") + self.hvkit("describe", "vmi", "ubuntu-amd", check=False), 60)
        self.assertEqual(self.d.machines(), [])
        host = self.push()
        self.hvkit("wait", "vmi", "ubuntu-amd", "--for", "AgentConnected", "--timeout", "180s", timeout=200)
        self.assertEqual(self.json("guestosinfo", "ubuntu-amd")["hostname"], host)
        self.hvkit("delete", "-f", "-", input=self.text, timeout=200)
        until("the end of the process", lambda: self.d.machines() == [], 150)


if __name__ == "__main__":
    unittest.main()

# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a guest is set up with: a kernel from an image, cloud-init, Secrets and ConfigMaps as disks; and the Secret that the registry
wants to see, all in one file."""
import base64
import json
import os
import sys
import unittest
import zlib

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from guest import Guest, image  # noqa: E402
from hvkitd import Daemon, until  # noqa: E402
from registry import Registry, layer  # noqa: E402

USER_DATA = "#cloud-config\npassword: pa55-of-the-guest\n"
NETWORK = "version: 2\nethernets: {}\n"

MANIFEST = """
apiVersion: v1
kind: Secret
metadata: {{name: registry.example}}
type: kubernetes.io/dockerconfigjson
stringData:
  .dockerconfigjson: '{docker}'
---
apiVersion: v1
kind: Secret
metadata: {{name: user-data}}
data: {{userdata: {user_data}}}
---
apiVersion: v1
kind: ConfigMap
metadata: {{name: settings}}
data:
  app.conf: |
    level=1
binaryData: {{"raw.bin": AAEC/w==}}
---
apiVersion: kubevirt.io/v1
kind: VirtualMachine
metadata: {{name: seeded}}
spec:
  runStrategy: Always
  template:
    spec:
      hostname: guest-of-honour
      terminationGracePeriodSeconds: 0
      domain:
        memory: {{guest: 192Mi}}
        firmware:
          uuid: 5d307ca9-b3ef-428c-8861-06e72d69f223
          kernelBoot:
            kernelArgs: console=ttyS0 quiet hvkit.seeded=1
            container:
              image: {host}/boot/tiny:1
              imagePullSecret: registry.example
              kernelPath: /boot/vmlinuz
              initrdPath: /boot/initrd.gz
        devices:
          autoattachPodInterface: false
          autoattachGraphicsDevice: false
          disks:
          - {{name: seed, disk: {{bus: virtio}}}}
          - {{name: settings, cdrom: {{bus: scsi}}}}
          - {{name: keys, disk: {{bus: virtio}}}}
          - {{name: nothing, disk: {{bus: virtio}}}}
      volumes:
      - name: seed
        {cloud}:
          secretRef: {{name: user-data}}
          networkData: {network}
      - name: settings
        configMap: {{name: settings, volumeLabel: settings}}
      - name: keys
        secret: {{secretName: user-data}}
      - name: nothing
        configMap: {{name: not-there, optional: true}}
"""


class Seed(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        disk = image()
        cls.kernel, cls.initrd = (disk.parent / name for name in ("vmlinuz", "initrd.gz"))

    def setUp(self):
        self.registry = Registry(tls=True, users={"alice": "s3cret"})
        self.addCleanup(self.registry.__exit__)
        self.registry.__enter__()
        self.registry.push("boot/tiny", "1", [layer([("boot/vmlinuz", self.kernel.read_bytes()), ("boot/initrd.gz", self.initrd.read_bytes())])])
        self.d = Daemon(log="debug")
        self.addCleanup(self.d.cleanup)
        (self.d.dir / "ca").write_text(self.registry.ca)
        manifest = json.loads((self.d.manifest_dir / "container-disk.json").read_text())
        manifest["config"] = {"ca": str(self.d.dir / "ca")}
        self.d.manifest("container-disk", manifest)
        self.d.start()
        self.guest = Guest(self.d, "default_seeded")

    def text(self, cloud="cloudInitNoCloud"):
        return MANIFEST.format(docker=self.registry.docker_config(), host=self.registry.host, cloud=cloud, network=json.dumps(NETWORK),
                               user_data=base64.b64encode(USER_DATA.encode()).decode())

    def hvkit(self, *args, **more):
        return self.d.cli(*args, **more).stdout

    def json(self, *args):
        return json.loads(self.hvkit(*args, "-o", "json"))

    def boot(self, text):
        self.hvkit("apply", "-f", "-", input=text)
        self.hvkit("wait", "vmi", "seeded", "--for", "AgentConnected", "--timeout", "180s", timeout=200)

    def mounted(self, device, label):
        """The files of a disk, as the guest reads them."""
        self.assertEqual(self.guest.sh(f"dd if=/dev/{device} bs=1 skip=32808 count=32 2>/dev/null"), label)
        self.guest.sh(f"mkdir -p /mnt/{device} && mount -t iso9660 -o ro /dev/{device} /mnt/{device}")
        names = self.guest.sh(f"cd /mnt/{device} && find . -type f | sort").split()
        return {n[2:]: base64.b64decode(self.guest.sh(f"base64 /mnt/{device}/{n}")) for n in names}

    def test_life(self):
        self.boot(self.text())
        with self.subTest("the kernel is the image's"):
            self.assertIn("hvkit.seeded=1", self.guest.sh("cat /proc/cmdline"))
            status = self.json("get", "vmi", "seeded")["items"][0]["status"]["kernelBootStatus"]
            self.assertEqual(status, {"kernelInfo": {"checksum": zlib.crc32(self.kernel.read_bytes())},
                                      "initrdInfo": {"checksum": zlib.crc32(self.initrd.read_bytes())}})
        with self.subTest("cloud-init, NoCloud"):
            files = self.mounted("vda", "cidata")
            self.assertEqual(files["user-data"].decode(), USER_DATA)
            self.assertEqual(files["network-config"].decode(), NETWORK)
            self.assertEqual(json.loads(files["meta-data"]), {"instance-id": "5d307ca9-b3ef-428c-8861-06e72d69f223", "local-hostname": "guest-of-honour"})
        with self.subTest("a ConfigMap, a Secret, and what is not there"):
            self.assertEqual(self.mounted("sr0", "settings"), {"app.conf": b"level=1\n", "raw.bin": b"\x00\x01\x02\xff"})
            self.assertEqual(self.mounted("vdb", "cfgdata"), {"userdata": USER_DATA.encode()})
            self.assertEqual(self.mounted("vdc", "cfgdata"), {})
        with self.subTest("what is secret is in no log, and in no file that others read"):
            for secret in ("s3cret", "pa55-of-the-guest", base64.b64encode(USER_DATA.encode()).decode()):
                self.assertNotIn(secret, self.d.log())
            for p in (self.d.state / "vmi").rglob("*"):
                self.assertEqual(p.stat().st_mode & 0o077, 0, p)
        with self.subTest("as tables and objects"):
            table = self.hvkit("get", "secrets").splitlines()
            self.assertRegex(table[0], r"NAME +TYPE +DATA +AGE")
            self.assertRegex(table[1], r"registry.example +kubernetes.io/dockerconfigjson +1 ")
            self.assertRegex(self.hvkit("get", "cm"), r"settings +2 ")
            self.assertEqual(base64.b64decode(self.json("get", "secret", "user-data")["items"][0]["data"]["userdata"]).decode(), USER_DATA)
        with self.subTest("a daemon that dies knows them still"):
            self.d.kill()
            self.d.start()
            self.assertEqual([i["metadata"]["name"] for i in self.json("get", "secret")["items"]], ["registry.example", "user-data"])
        with self.subTest("the config drive, from the next start on"):
            self.hvkit("apply", "-f", "-", input=self.text("cloudInitConfigDrive"))
            pids = self.d.machines()
            self.hvkit("restart", "seeded", timeout=200)
            until("another machine", lambda: self.d.machines() not in ([], pids), 150)
            self.hvkit("wait", "vmi", "seeded", "--for", "AgentConnected", "--timeout", "180s", timeout=200)
            self.guest = Guest(self.d, "default_seeded")
            files = self.mounted("vda", "config-2")
            self.assertEqual(files["openstack/latest/user_data"].decode(), USER_DATA)
            self.assertEqual(files["openstack/latest/network_data.json"].decode(), NETWORK)
            self.assertEqual(json.loads(files["openstack/latest/meta_data.json"]),
                             {"instance_id": "seeded.default", "hostname": "guest-of-honour", "uuid": "5d307ca9-b3ef-428c-8861-06e72d69f223"})
        out = self.hvkit("delete", "-f", "-", input=self.text(), timeout=200)
        self.assertIn("secret/user-data deleted", out)
        self.assertEqual(self.json("get", "secret")["items"], [])
        self.assertEqual(list((self.d.state / "vmi").rglob("*.iso")), [])
        self.assertEqual(self.json("image", "list")["items"][0].get("used_by", []), [])

    def test_refusals(self):
        text = self.text()
        with self.subTest("a Secret that is nowhere"):
            r = self.d.cli("apply", "-f", "-", input=text.replace("metadata: {name: user-data}", "metadata: {name: other}"), check=False)
            self.assertEqual(r.returncode, 1)
            self.assertRegex(r.stderr, r"line \d+: spec.template.spec.volumes\[0\].cloudInitNoCloud.secretRef.name: there is no Secret 'default/user-data': add it")
            self.assertEqual(self.json("get", "secret")["items"], [])
        with self.subTest("the credentials are wrong"):
            self.hvkit("apply", "-f", "-", input=text.replace(self.registry.docker_config(), '{"auths": {}}'))
            until("the failure", lambda: "credentials" in self.hvkit("describe", "vm", "seeded"), 60)
            self.hvkit("apply", "-f", "-", input=text)
            self.hvkit("wait", "vmi", "seeded", "--for", "AgentConnected", "--timeout", "180s", timeout=200)
        with self.subTest("what is immutable stays"):
            fixed = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: fixed}\nimmutable: true\ndata: {a: x}\n"
            self.hvkit("apply", "-f", "-", input=fixed)
            self.assertIn("unchanged", self.hvkit("apply", "-f", "-", input=fixed))
            r = self.d.cli("apply", "-f", "-", input=fixed.replace("a: x", "a: y"), check=False)
            self.assertIn("it is immutable; delete it first", r.stderr)
            self.assertIn("configmap/fixed deleted", self.hvkit("delete", "cm", "fixed"))
        self.hvkit("delete", "-f", "-", input=text, timeout=200)


if __name__ == "__main__":
    unittest.main()

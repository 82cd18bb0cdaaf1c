# SPDX-License-Identifier: LGPL-2.1-or-later
"""A private, real libvirtd for a test: its own directories in a mount namespace of its own, /dev/kvm hidden.

    with Libvirtd() as l:
        l.uri; l.virsh("list"); l.stop_signal(); l.cont(); l.kill(); l.start()

Everything it started is ended with it, by pid: itself, and the QEMUs of its domains.
python3 libvirtd.py PROGRAM ... runs a program beside one (main)."""
import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import uuid

from hvkitd import build_dir, until

DIRS = ("run/libvirt", "var/lib/libvirt", "var/cache/libvirt", "var/log/libvirt", "etc/libvirt")

# In the namespace: the private directories over the usual ones, and no KVM. A file that cannot be written to stands in for it: of a device
# libvirt would say that KVM is there by now, and ask every QEMU again what it can do, at every call.
ENTER = r"""
mount --make-rslave / && mount --make-rshared / || exit 1
if [ -e /dev/kvm ]; then : > %(root)s/no-kvm && mount --bind %(root)s/no-kvm /dev/kvm && mount -o remount,bind,ro /dev/kvm || exit 1; fi
for d in %(dirs)s; do mkdir -p /$d && mount --bind %(root)s/$d /$d || exit 1; done
hostname hvkit-lv-%(name)s
exec %(daemon)s -f %(root)s/etc/libvirt/libvirtd.conf -p %(root)s/pid
"""


class Libvirtd:
    def __init__(self, netns=None, name="libvirtd"):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="hvkit-lv-"))
        self.dir.chmod(0o755)
        self.netns, self.process = netns, None
        self.daemon = shutil.which(name) or f"/usr/sbin/{name}"
        self.socket = self.dir / "run/libvirt/libvirt-sock"
        self.uri = f"qemu+unix:///system?socket={self.socket}"
        self.log = self.dir / "libvirtd.log"
        for d in DIRS:
            (self.dir / d).mkdir(parents=True)
        self.cache = build_dir() / "libvirt-cache"
        if self.cache.is_dir():  # what it found out about QEMU before; without, the first start takes seconds longer
            shutil.copytree(self.cache, self.dir / "var/cache/libvirt", dirs_exist_ok=True)
        (self.dir / "etc/libvirt/libvirtd.conf").write_text(
            f'host_uuid = "{uuid.uuid4()}"\nauth_unix_rw = "none"\nauth_unix_ro = "none"\nunix_sock_rw_perms = "0700"\n'
            f'log_outputs = "3:file:{self.log}"\n')
        (self.dir / "etc/libvirt/qemu.conf").write_text(
            'user = "root"\ngroup = "root"\nsecurity_driver = "none"\nstdio_handler = "file"\nremember_owner = 0\nnamespaces = []\n'
            'cgroup_controllers = []\n')

    def __enter__(self):
        return self.start()

    def __exit__(self, *exc):
        self.cleanup()

    def start(self):
        enter = ENTER % {"dirs": " ".join(DIRS), "root": self.dir, "daemon": self.daemon, "name": self.dir.name[-8:].replace("_", "x")}
        prefix = ["ip", "netns", "exec", self.netns] if self.netns else []
        out = open(self.dir / "out", "ab")
        self.process = subprocess.Popen([*prefix, "unshare", "-m", "-u", "sh", "-c", enter], stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                        start_new_session=True)
        out.close()
        until("libvirtd answers", self._answers, 60, 0.05)
        if not self.cache.is_dir():
            tmp = pathlib.Path(tempfile.mkdtemp(dir=build_dir(), prefix="libvirt-cache-"))
            shutil.copytree(self.dir / "var/cache/libvirt", tmp / "c")
            try:
                (tmp / "c").rename(self.cache)
            except OSError:
                pass  # another test was quicker
            shutil.rmtree(tmp, ignore_errors=True)
        return self

    def _answers(self):
        if self.process.poll() is not None:
            raise AssertionError(f"libvirtd ended with {self.process.returncode}: {(self.dir / 'out').read_text()[-2000:]}")
        return self.socket.exists() and self.virsh("capabilities", check=False).returncode == 0

    def virsh(self, *args, check=True, timeout=60):
        r = subprocess.run(["virsh", "-q", "-c", self.uri, *map(str, args)], capture_output=True, text=True, timeout=timeout)
        if check and r.returncode != 0:
            raise AssertionError(f"virsh {' '.join(map(str, args))}: {r.stderr.strip()}")
        return r

    @property
    def pid(self):
        return self.process.pid

    def stop_signal(self):
        os.kill(self.pid, signal.SIGSTOP)

    def cont(self):
        os.kill(self.pid, signal.SIGCONT)

    def kill(self, signum=signal.SIGKILL):
        """Its domains go on, as those of a real libvirtd do."""
        if self.process is None:
            return
        os.kill(self.pid, signal.SIGCONT)
        os.kill(self.pid, signum)
        self.process.wait(30)
        self.process = None

    def restart(self):
        self.kill(signal.SIGTERM)
        return self.start()

    def machines(self):
        """The QEMUs that were started in its directories."""
        found = []
        for p in pathlib.Path("/proc").iterdir():
            if p.name.isdigit():
                try:
                    args = (p / "cmdline").read_bytes().split(b"\0")
                    root = os.readlink(p / "root") if args and b"qemu" in args[0] else None
                    if root and self._is_ours(p):
                        found.append(int(p.name))
                except OSError:
                    pass
        return found

    def _is_ours(self, p):
        """It sees our private directories where libvirt has its own."""
        try:
            there, here = os.stat(p / "root/run/libvirt"), os.stat(self.dir / "run/libvirt")
        except OSError:
            return False
        return (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino)

    def cleanup(self):
        pids = self.machines()
        self.kill()
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        until("the end of libvirtd's QEMUs", lambda: not self.machines(), 30)
        shutil.rmtree(self.dir, ignore_errors=True)


def main():
    """@URI@ in the arguments is the connection, @URI2@ that of a second libvirtd, which is started if it is asked for."""
    with contextlib.ExitStack() as stack:
        argv = sys.argv[1:]
        for word in ("@URI@", "@URI2@"):
            if word == "@URI@" or any(word in a for a in argv):
                l = stack.enter_context(Libvirtd())
                argv = [a.replace(word, l.uri) for a in argv]
        code = subprocess.run(argv).returncode
    sys.exit(code)


if __name__ == "__main__":
    main()

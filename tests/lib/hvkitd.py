# SPDX-License-Identifier: LGPL-2.1-or-later
"""A private hvkitd for a test: its own directories, its own socket, and a cleanup that ends only what this test started.

    d = Daemon()                                    # every plugin that was built
    d = Daemon(plugins=["disk-raw"])                # some of them
    d = Daemon(manifests={"x": {...}}, core={...})  # exactly these
    d = Daemon(inside="/run/netns/x")               # in a network namespace
    d.start(); d.rpc().call("bus.ping"); d.kill(); d.start(); d.cleanup()

HVKIT_BUILD names the build directory."""
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile

from rpc import Rpc
from waiting import until  # noqa: F401

TOP = pathlib.Path(__file__).resolve().parents[2]


def build_dir():
    return pathlib.Path(os.environ.get("HVKIT_BUILD", TOP / "build/dev")).resolve()


def links(directory):
    """What the links in a directory of /proc point to; entries come and go while we look."""
    found = set()
    for name in os.listdir(directory):
        try:
            found.add(os.readlink(directory / name))
        except FileNotFoundError:
            pass
    return found


class Daemon:
    def __init__(self, plugins=None, manifests=None, core=None, log="info", backend=None, env=None, inside=None):
        self.build = build_dir()
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="hvkit-"))
        self.manifest_dir = self.dir / "manifests"
        self.manifest_dir.mkdir()
        self.socket = self.dir / "hvkit.sock"
        self.state, self.run = self.dir / "state", self.dir / "run"
        self.log_path = self.dir / "log"
        self.log_spec = log
        self.process, self.clients = None, []
        self.env = dict(env or {})
        self.prefix = ["nsenter", f"--net={inside}"] if inside else []  # what runs it
        if manifests is None:
            manifests = {}
            for path in sorted((self.build / "plugins/manifests").glob("*.json")):
                if plugins is None or path.stem in plugins:
                    manifests[path.stem] = json.loads(path.read_text())
            if backend and "vmi" in manifests:
                manifests["vmi"].setdefault("config", {})["backend"] = backend
        for name, m in manifests.items():
            self.manifest(name, m)
        if core:
            self.manifest("core", core)

    def manifest(self, name, content):
        text = content if isinstance(content, str) else json.dumps(content, indent=2)
        (self.manifest_dir / f"{name}.json").write_text(text)

    def read_manifest(self, name):
        return json.loads((self.manifest_dir / f"{name}.json").read_text())

    def argv(self, *more):
        return [*self.prefix, str(self.build / "core/hvkitd"), "--manifests", str(self.manifest_dir), "--socket", str(self.socket), "--state-dir", str(self.state),
                "--run-dir", str(self.run), "--plugin-dir", str(self.build / "plugins/lib"), "--log", self.log_spec, *more]

    # --- life ---

    def spawn(self):
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(self.argv(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log,
                                            env={**os.environ, **self.env})

    def start(self, timeout=60):
        self.spawn()
        until("the daemon's socket", lambda: self.answers() or self.process.poll() is not None, timeout)
        if self.process.poll() is not None:
            raise AssertionError(f"hvkitd ended with {self.process.returncode}:\n{self.log()}")
        return self

    def answers(self):
        """Whether somebody listens: a daemon that was killed leaves its socket file."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
            return s.connect_ex(str(self.socket)) == 0

    @property
    def pid(self):
        return self.process.pid

    def threads(self):
        return [int(t) for t in os.listdir(f"/proc/{self.pid}/task")]

    def log(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def stop(self, timeout=30):
        """SIGTERM; returns the exit code."""
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"hvkitd did not stop on SIGTERM within {timeout} s:\n{self.log()[-4000:]}") from None

    def kill(self):
        """kill -9, as a crash would."""
        self.process.kill()
        self.process.wait()

    def restart(self):
        self.stop()
        return self.start()

    # --- what it did ---

    def rpc(self, **more):
        client = Rpc(self.socket, **more)
        self.clients.append(client)
        return client

    def cli_argv(self):
        return [str(self.build / "cli/hvkit"), "--socket", str(self.socket)]

    def cli(self, *args, check=True, timeout=120, input=None, env=None):
        r = subprocess.run([*self.cli_argv(), *args], capture_output=True, text=True, timeout=timeout,
                           input=input, env={**os.environ, **(env or {})})
        if check and r.returncode != 0:
            raise AssertionError(f"hvkit {' '.join(args)}: exit {r.returncode}\n{r.stdout}{r.stderr}\n--- log ---\n{self.log()[-4000:]}")
        return r

    def sockets(self):
        """Inodes of the UNIX sockets that were bound below our directory, unlinked since or not."""
        lines = [x.split() for x in pathlib.Path("/proc/net/unix").read_text().splitlines()[1:]]
        return {f"socket:[{x[6]}]" for x in lines if len(x) > 7 and x[7].startswith(f"{self.dir}/")}

    def machines(self):
        """QEMUs that we started, whoever their parent is now: their command line names our directory, or they hold a socket in it."""
        pids, sockets = [], self.sockets()
        for p in pathlib.Path("/proc").iterdir():
            if not p.name.isdigit() or int(p.name) in (os.getpid(), self.process.pid if self.process else 0):
                continue
            try:
                argv = (p / "cmdline").read_bytes().split(b"\0")
                if re.search(rb"qemu-system", argv[0]) and (any(os.fsencode(str(self.dir)) in a for a in argv) or not sockets.isdisjoint(links(p / "fd"))):
                    pids.append(int(p.name))
            except OSError:
                continue
        return pids

    def helpers(self, *programs):
        """Processes of these programs whose command line names our run directory: they outlive a daemon."""
        pids = []
        for p in pathlib.Path("/proc").iterdir():
            try:
                argv = (p / "cmdline").read_bytes().split(b"\0") if p.name.isdigit() else [b""]
            except OSError:
                continue
            if os.path.basename(os.fsdecode(argv[0])) in programs and any(os.fsencode(str(self.run)) in a for a in argv):
                pids.append(int(p.name))
        return pids

    def networks(self):
        """DHCP servers that net-bridge started, and namespaces that it made."""
        return self.helpers("dnsmasq"), list(self.run.glob("*/netns/*"))

    def left_behind(self):
        """Files under the run directory but directories and hvkit-logd's own, and processes: what should be nothing after a delete and a stop."""
        files = [str(f) for f in self.run.rglob("*") if not f.is_dir() and not f.name.startswith("logd.sock")] if self.run.exists() else []
        return files + [f"process {p}" for p in self.machines() + self.networks()[0]]

    def cleanup(self):
        for c in self.clients:
            c.close()
        try:
            if self.process is not None and self.process.poll() is None:
                self.stop()
        finally:
            namespaces = self.networks()[1]
            for pid in self.machines() + self.helpers("dnsmasq", "libvirtd", "virtlogd"):
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            for path in namespaces:
                subprocess.run(["umount", str(path)], capture_output=True)
            if os.environ.get("HVKIT_KEEP") is None:
                shutil.rmtree(self.dir, ignore_errors=True)

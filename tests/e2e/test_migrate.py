# SPDX-License-Identifier: LGPL-2.1-or-later
"""A real guest that moves between two daemons on this machine and into a file and back, and never notices: what it counts in its memory goes on."""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from guest import Guest  # noqa: E402
from hvkitd import TOP, Daemon, until  # noqa: E402
from rpc import RpcError  # noqa: E402

COUNTER = "(i=0; while :; do i=$((i+1)); echo $i >/tmp/count.new; mv /tmp/count.new /tmp/count; sleep 0.05; done) >/dev/null 2>&1 & echo $! >/tmp/counter"

# the path of its VNC socket tells whose process it is
MACHINE = {"graphics": True}


class WithGuest(unittest.TestCase):
    def daemon(self):
        d = Daemon(plugins=["qmp"])
        self.addCleanup(d.cleanup)
        return d.start()

    def setUp(self):
        self.d = self.daemon()
        # storage that both nodes reach, and that is neither's
        storage = pathlib.Path(tempfile.mkdtemp(prefix="hvkit-shared-"))
        self.addCleanup(shutil.rmtree, storage, ignore_errors=True)
        self.g = Guest(self.d, "a", rpc=self.d.rpc(timeout=120), directory=storage)
        self.host = "hv-" + os.urandom(4).hex()
        self.g.copy_image()
        subprocess.run([str(TOP / "tests/guest/set-hostname"), str(self.g.root), self.host], check=True)
        self.g.define(**MACHINE)
        self.g.start()
        self.assertEqual(len(self.d.machines()), 1)
        self.g.sh(COUNTER)
        self.boot = self.g.sh("cat /proc/sys/kernel/random/boot_id")

    def count(self, g):
        return int(g.sh("cat /tmp/count"))

    def goes_on(self, g, least):
        """The same boot, the same processes, and a counter that is beyond what it was."""
        until("the guest agent's answer", lambda: g.agent("guest-ping") == {})
        self.assertEqual(g.sh("hostname"), self.host)
        self.assertEqual(g.sh("cat /proc/sys/kernel/random/boot_id"), self.boot)
        now = self.count(g)
        self.assertGreaterEqual(now, least)
        until("the counter going on", lambda: self.count(g) > now)
        g.sh("kill -0 $(cat /tmp/counter)")
        g.sh("echo written >/root/file-$(cat /proc/uptime | cut -d. -f1); sync")


class Move(WithGuest):
    def there(self):
        """The other node: another daemon, the same disk."""
        d = self.daemon()
        g = Guest(d, "a", rpc=d.rpc(timeout=120), directory=self.g.dir)
        self.assertEqual(g.root, self.g.root)
        return d, g

    def move(self, source, target, uri, **how):
        answer = target.call("migrate_in", machine=target.machine(**MACHINE), uri=uri)
        before = self.count(source)
        result = source.call("migrate", uri=answer["uri"], _timeout_ms=120000, **how)
        print(f"{uri.split(':')[0]} {how}: {result['total_ms']} ms in all, {result['downtime_ms']} ms downtime, "
              f"{result['transferred_bytes'] >> 20} MiB", flush=True)
        self.assertEqual((source.call("get")["state"], source.call("get")["reason"]), ("stopped", "migrated"))
        until("the guest over there", lambda: target.call("get")["state"] == "running")
        self.goes_on(target, before)
        return result

    def test_there_and_back(self):
        there, g = self.there()
        self.move(self.g, g, f"unix:{there.dir}/move.sock")
        self.assertEqual(self.d.machines(), [])
        self.assertEqual(len(there.machines()), 1)
        self.assertFalse((there.dir / "move.sock").exists())

        # kill -9 of both daemons: each has its own again, and nothing starts where it is not
        for d in (self.d, there):
            d.kill()
            d.start()
        g.rpc, self.g.rpc = there.rpc(), self.d.rpc()
        until("the VM under control", lambda: g.call("get")["state"] == "running")
        self.assertEqual(self.g.call("get")["reason"], "migrated")
        self.assertEqual(self.d.machines(), [])

        self.move(g, self.g, "tcp:127.0.0.1:0", auto_converge=True)
        self.assertEqual(there.machines(), [])
        self.g.call("stop")
        g.call("undefine")

    def test_a_guest_that_writes_faster_than_the_line(self):
        there, g = self.there()
        watch = self.d.rpc(timeout=60)
        watch.subscribe(["qmp.migration"])
        self.g.sh("(while :; do dd if=/dev/urandom of=/tmp/busy bs=1M count=24 2>/dev/null; done) >/dev/null 2>&1 &")
        self.move(self.g, g, f"unix:{there.dir}/move.sock", post_copy=True, bytes_per_s=24 << 20)
        watch.event(lambda e: e["data"]["status"] == "post-copy")
        self.assertEqual(self.d.machines(), [])
        g.call("stop")

    def begin(self, uri, speed):
        """A migration that takes a while: its connection, once bytes are on their way."""
        watch, caller = self.d.rpc(timeout=60), self.d.rpc()
        watch.subscribe(["qmp.migration"])
        caller.send("qmp.migrate", {"vm": "a", "uri": uri, "bytes_per_s": speed, "_timeout_ms": 120000})
        watch.event(lambda e: e["data"]["status"] == "active")
        return caller

    def test_cancelled_by_who_asked(self):
        there, g = self.there()
        uri = g.call("migrate_in", machine=g.machine(**MACHINE), uri=f"unix:{there.dir}/move.sock")["uri"]
        self.begin(uri, 1 << 20).close()  # who hangs up does not want it any more
        until("the end over there", lambda: there.machines() == [])
        until("nothing defined there", lambda: there.rpc().call("qmp.list")["items"] == [])
        self.assertEqual(self.g.call("get")["state"], "running")
        self.goes_on(self.g, 1)

    def test_a_target_that_dies_and_a_source_whose_daemon_dies(self):
        there, g = self.there()
        uri = f"unix:{there.dir}/move.sock"
        g.call("migrate_in", machine=g.machine(**MACHINE), uri=uri)
        caller = self.begin(uri, 1 << 20)
        os.kill(there.machines()[0], 9)
        with self.assertRaisesRegex(RpcError, "signal 9"):
            caller.finish(caller.next_id)
        until("nothing defined there", lambda: there.rpc().call("qmp.list")["items"] == [])
        self.goes_on(self.g, 1)

        g.call("migrate_in", machine=g.machine(**MACHINE), uri=uri)
        before = self.count(self.g)
        self.begin(uri, 24 << 20)
        self.d.kill()
        self.d.start()
        self.g.rpc = self.d.rpc(timeout=120)
        until("its end here", lambda: self.g.call("get").get("reason") == "migrated", 60)
        until("the guest over there", lambda: g.call("get")["state"] == "running", 60)
        until("the end of the process here", lambda: self.d.machines() == [], 20)  # that it has moved is on record before
        self.goes_on(g, before)
        g.call("stop")


class Save(WithGuest):
    def test_into_a_file_and_back(self):
        path = str(self.d.dir / "a.save")
        before = self.count(self.g)
        self.g.call("save", path=path, _timeout_ms=120000)
        vm = self.g.call("get")
        self.assertEqual((vm["state"], vm["reason"]), ("stopped", "saved"))
        self.assertEqual(self.d.machines(), [])
        self.d.kill()
        self.d.start()
        self.g.rpc = self.d.rpc(timeout=120)
        self.g.call("restore", path=path, _timeout_ms=120000)
        self.assertEqual(self.g.call("get")["reason"], "restored")
        self.goes_on(self.g, before)
        self.g.call("stop")
        self.g.call("undefine")
        self.assertEqual(self.d.left_behind(), [])


if __name__ == "__main__":
    unittest.main(verbosity=2)

# SPDX-License-Identifier: LGPL-2.1-or-later
"""The socket of a real hvkitd under hostile and ordinary clients: bad frames, roles, events with resume, Neovim."""
import os
import shutil
import socket
import subprocess
import sys
import textwrap
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
import msgpack  # noqa: E402
from hvkitd import Daemon, build_dir  # noqa: E402
from rpc import Rpc, RpcError  # noqa: E402


def bench_manifest(name="bench"):
    return {"name": name, "plugin": str(build_dir() / "tests/lib/bench.so")}


class WithDaemon(unittest.TestCase):
    core = {"limits": {"event_log": 20000}}

    def setUp(self):
        self.d = Daemon(manifests={"bench": bench_manifest()}, core=self.core)
        self.addCleanup(self.d.cleanup)
        self.d.start()

    def raw(self, data, want_close=True):
        """Sends bytes on a new connection; returns what comes back until the daemon closes (or falls silent)."""
        s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        s.settimeout(10 if want_close else 0.3)
        s.connect(str(self.d.socket))
        got = b""
        try:
            s.sendall(data)
            while True:
                more = s.recv(65536)
                if not more:
                    return got, True
                got += more
        except (socket.timeout, ConnectionResetError, BrokenPipeError) as e:
            return got, not isinstance(e, socket.timeout)
        finally:
            s.close()


class Frames(WithDaemon):
    def test_bad_frames_cost_the_connection_and_nothing_else(self):
        with Rpc(self.d.socket) as other:
            for name, data in {
                "not msgpack": b"\xc1",
                "five bytes that promise gigabytes": b"\xdf\xff\xff\xff\xff",
                "array that promises gigabytes": b"\xdd\xff\xff\xff\xff",
                "too deep": b"\x91" * 40,
                "long text announced": b"\xdb\xff\xff\xff\xff",
                "a number": b"\x01",
                "a list of two": msgpack.packb([0, 1]),
                "a request of kind 7": msgpack.packb([7, 1, "bus.ping", []]),
                "a method that is a number": msgpack.packb([0, 1, 5, []]),
                "a method of 101 bytes": msgpack.packb([0, 1, "x" * 101, []]),
                "a negative id": msgpack.packb([0, -1, "bus.ping", []]),
                "params that are a map": msgpack.packb([0, 1, "bus.ping", {}]),
                "more than a request may have": msgpack.packb([0, 1, "bus.ping", [{"x": b"y" * (1 << 20)}]]),
            }.items():
                with self.subTest(name):
                    _, closed = self.raw(data)
                    self.assertTrue(closed, name)
                    self.assertEqual(other.call("bus.ping"), {})
        stats = self.d.rpc().call("bus.stats")
        self.assertGreaterEqual(stats["rpc"]["protocol_errors"], 13)
        self.assertLess(stats["max_rss_bytes"], 600 << 20)

    def test_a_frame_cut_at_every_byte_is_waited_for(self):
        frame = msgpack.packb([0, 77, "bench.add", [{"name": "abc", "a": 1, "b": 2}]])
        for cut in range(1, len(frame)):
            s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            s.settimeout(10)
            s.connect(str(self.d.socket))
            s.sendall(frame[:cut])
            s.sendall(frame[cut:])
            got = msgpack.unpackb(s.recv(4096), raw=False)
            self.assertEqual(got, [1, 77, None, {"name": "abc", "sum": 3}])
            s.close()

    def test_all_forms_of_no_arguments(self):
        for params in ([], [[]], [None], [{}]):
            got, _ = self.raw(msgpack.packb([0, 1, "bus.ping", params]), want_close=False)
            self.assertEqual(msgpack.unpackb(got, raw=False), [1, 1, None, {}])

    def test_notifications_and_responses_are_not_answered(self):
        data = msgpack.packb([2, "bus.ping", []]) + msgpack.packb([1, 9, None, 1]) + msgpack.packb([0, 5, "bus.ping", []])
        got, _ = self.raw(data, want_close=False)
        self.assertEqual(msgpack.unpackb(got, raw=False), [1, 5, None, {}])

    def test_errors_as_text_by_default(self):
        got, _ = self.raw(msgpack.packb([0, 1, "bus.nothing", []]), want_close=False)
        self.assertRegex(msgpack.unpackb(got, raw=False)[2][1], "^NOT_FOUND: ")

    def test_pipelined_and_out_of_order(self):
        with Rpc(self.d.socket) as rpc:
            ids = [rpc.send("bench.add", {"name": "x", "a": i, "b": 0}) for i in range(5000)]
            for i, msgid in enumerate(ids):
                self.assertEqual(rpc.finish(msgid)["sum"], i)

    def test_a_peer_that_does_not_read_is_stopped_not_waited_for(self):
        s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        s.connect(str(self.d.socket))
        s.setblocking(False)
        frame = msgpack.packb([0, 1, "bus.describe", []]) * 64
        sent, stalled = 0, 0
        while sent < (8 << 20) and stalled < 50:
            try:
                sent += s.send(frame)
                stalled = 0
            except BlockingIOError:
                stalled += 1
                self.assertEqual(self.d.rpc().call("bus.ping"), {})
        self.assertEqual(stalled, 50, "the daemon went on reading from a peer that reads nothing")
        s.close()


class Roles(WithDaemon):
    core = {"uids": {"12345": "viewer"}}

    def call_as(self, uid, method, args):
        code = textwrap.dedent(f"""
            import os, sys
            sys.path.insert(0, {os.path.join(os.path.dirname(__file__), '..', 'lib')!r})
            from rpc import Rpc
            os.setgid({uid}); os.setuid({uid})
            try:
                print(Rpc({str(self.d.socket)!r}, errors="text").call({method!r}, {args!r}))
            except Exception as e:
                print(e)
            """)
        return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30).stdout

    @unittest.skipUnless(os.geteuid() == 0, "changing uid needs root")
    def test_roles(self):
        os.chmod(self.d.dir, 0o711)
        self.assertIn("{}", self.call_as(12345, "bus.ping", {}))
        # access is checked before arguments are decoded: nonsense arguments make no difference
        self.assertIn("PERMISSION_DENIED", self.call_as(12345, "bench.burst", {"nonsense": 1}))
        self.assertIn("INVALID_ARGUMENT", self.call_as(12345, "bench.add", {"nonsense": 1}))
        self.assertIn("has no role", self.call_as(12346, "bus.ping", {}))


class Events(WithDaemon):
    core = {"limits": {"event_log": 20000}}
    COUNT = 12000

    def test_cut_mid_frame_while_events_flow_resumes_without_loss(self):
        """A subscriber is cut in the middle of a frame again and again; with `since` it misses none."""
        driver = Rpc(self.d.socket)
        first = Rpc(self.d.socket)
        sub = first.subscribe(["bench.tick"])
        cursor = {"epoch": sub["epoch"], "seq": sub["seq"]}
        burst = driver.send("bench.burst", {"count": self.COUNT, "_timeout_ms": 120000})
        seen, cuts, rpc = [], 0, first
        deadline = time.monotonic() + 60
        while len(seen) < self.COUNT:
            self.assertLess(time.monotonic(), deadline)
            prev = cursor["seq"]
            for _ in range(700):
                if len(seen) == self.COUNT:
                    break
                e = rpc.event()
                self.assertEqual(e["prev"], prev, "prev names the event before")
                prev = e["seq"]
                seen.append(e["data"]["n"])
                cursor = {"epoch": e["epoch"], "seq": e["seq"]}
            rpc.sock.setblocking(False)
            try:
                rpc.sock.recv(7)  # takes part of a frame and leaves the rest
            except BlockingIOError:
                pass
            rpc.close()
            cuts += 1
            rpc = Rpc(self.d.socket)
            rpc.subscribe(["bench.tick"], since=cursor)
        self.assertEqual(driver.finish(burst, 120), {})
        self.assertEqual(seen, list(range(self.COUNT)))
        self.assertGreater(cuts, 10)

    def test_a_cursor_too_old_and_one_of_an_earlier_daemon(self):
        rpc = self.d.rpc()
        sub = rpc.subscribe(["*"])
        old = {"epoch": sub["epoch"], "seq": sub["seq"]}
        rpc.close()
        driver = self.d.rpc()
        driver.call("bench.burst", {"count": 21000, "_timeout_ms": 120000}, 120)
        with self.assertRaises(RpcError) as e:
            driver.subscribe(["*"], since=old)
        self.assertEqual(e.exception.code, "OUT_OF_RANGE")
        self.assertIn("too old", e.exception.message)
        self.d.restart()
        with self.assertRaises(RpcError) as e:
            self.d.rpc().subscribe(["*"], since=old)
        self.assertEqual(e.exception.code, "OUT_OF_RANGE")
        self.assertIn("restart", e.exception.message)

    def test_a_slow_subscriber_is_dropped_with_a_reason(self):
        slow = self.d.rpc()
        slow.subscribe(["bench.tick"])
        driver = self.d.rpc()
        for _ in range(3):
            driver.call("bench.burst", {"count": 30000, "_timeout_ms": 120000}, 120)
        params = slow.note("bus.dropped", timeout=60)
        self.assertIn("too slow", params[0]["reason"])
        self.assertEqual(slow.call("bus.ping"), {})

    def test_unsubscribe_and_filters(self):
        rpc = self.d.rpc()
        sub = rpc.subscribe(["other.*", "bench.t?ck"])
        tick = rpc.subscribe(["*.tick"])
        self.d.rpc().call("bench.burst", {"count": 1})
        self.assertEqual(rpc.event()["subscription"], tick["subscription"])
        rpc.call("bus.unsubscribe", {"subscription": sub["subscription"]})
        with self.assertRaises(RpcError) as e:
            rpc.call("bus.unsubscribe", {"subscription": sub["subscription"]})
        self.assertEqual(e.exception.code, "NOT_FOUND")


class Neovim(WithDaemon):
    SCRIPT = textwrap.dedent("""
        got = {}
        function hv_event(e) table.insert(got, e) end
        local ch = vim.fn.sockconnect('pipe', '%s', {rpc = true})
        local function say(...) io.stdout:write(table.concat({...}, ' ') .. '\\n') end
        say('ping', vim.inspect(vim.fn.rpcrequest(ch, 'bus.ping')))
        say('list', vim.inspect(vim.fn.rpcrequest(ch, '%s')))
        local ok, err = pcall(vim.fn.rpcrequest, ch, 'bus.nothing', {})
        say('error', tostring(err))
        vim.fn.rpcrequest(ch, 'bus.subscribe', {topics = {'bench.*'}, notify = {method = 'nvim_exec_lua', prefix = {'hv_event(...)'}}})
        vim.fn.rpcrequest(ch, 'bench.burst', {count = 3})
        vim.wait(10000, function() return #got == 3 end, 10)
        say('events', #got, got[3] and got[3].topic or '-', got[3] and tostring(got[3].data.n) or '-')
        """)

    def test_neovim(self):
        if shutil.which("nvim") is None:
            self.skipTest("neovim is not installed")
        method = "qmp.list" if (build_dir() / "plugins/lib/qmp.so").exists() else "bus.plugins"
        if method == "qmp.list":
            self.d.cleanup()
            self.d = Daemon(manifests={"bench": bench_manifest(), "qmp": {"name": "qmp", "plugin": "qmp.so"}})
            self.addCleanup(self.d.cleanup)
            self.d.start()
        script = self.d.dir / "t.lua"
        script.write_text(self.SCRIPT % (self.d.socket, method))
        r = subprocess.run(["nvim", "--headless", "-u", "NONE", "-n", "-c", f"luafile {script}", "-c", "qa!"], capture_output=True, text=True,
                           timeout=60, env={**os.environ, "HOME": str(self.d.dir)})
        out = r.stdout + r.stderr
        self.assertRegex(out, r"ping (\{\}|vim.empty_dict\(\))")
        self.assertIn("items = {", out)
        self.assertIn("NOT_FOUND", out)
        self.assertIn("events 3 bench.tick 2", out)


if __name__ == "__main__":
    unittest.main(verbosity=2)

# SPDX-License-Identifier: LGPL-2.1-or-later
"""Byte streams of a real hvkitd: bus.attach with right, wrong, used, stale and stolen tokens; bytes both ways; who closes what."""
import hashlib
import os
import random
import socket
import subprocess
import sys
import textwrap
import threading
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
import msgpack  # noqa: E402
from hvkitd import Daemon, build_dir  # noqa: E402
from rpc import Rpc, RpcError  # noqa: E402

BENCH = {"name": "bench", "plugin": str(build_dir() / "tests/lib/bench.so")}


class Streams(unittest.TestCase):
    core = {"uids": {"12345": "viewer"}}
    isolation = "thread"

    def setUp(self):
        self.d = Daemon(manifests={"bench": {**BENCH, "isolation": self.isolation}}, core=self.core)
        self.addCleanup(self.d.cleanup)
        self.d.start()
        self.rpc = Rpc(self.d.socket)
        self.addCleanup(self.rpc.close)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(self.d.dir / "far.sock"))
        self.listener.listen(8)
        self.listener.settimeout(20)
        self.addCleanup(self.listener.close)

    def token(self):
        """A new stream: its token and the plugin's end of it."""
        token = self.rpc.call("bench.stream", {"path": str(self.d.dir / "far.sock")})["token"]
        far, _ = self.listener.accept()
        far.settimeout(20)
        self.addCleanup(far.close)
        return token, far

    def attach(self, token, behind=b""):
        """A connection that is a byte stream; `behind` is sent in one piece with the request."""
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(20)
        self.addCleanup(s.close)
        s.connect(str(self.d.socket))
        s.sendall(msgpack.packb([0, 7, "bus.attach", [{"token": token}]]) + behind)
        unpacker = msgpack.Unpacker(raw=False)
        while True:  # byte by byte: what follows the answer is not msgpack
            byte = s.recv(1)
            self.assertTrue(byte, "the daemon closed instead of answering")
            unpacker.feed(byte)
            for frame in unpacker:
                self.assertEqual(frame[:2], [1, 7])
                if frame[2] is not None:
                    raise RpcError(*frame[2][1].split(": ", 1), {})
                return s

    def stream(self, behind=b""):
        token, far = self.token()
        return self.attach(token, behind), far

    def refused(self, token, code="NOT_FOUND"):
        with self.assertRaises(RpcError) as e:
            self.attach(token)
        self.assertEqual(e.exception.code, code)
        return e.exception.message

    def read_all(self, s):
        got = bytearray()
        while True:
            more = s.recv(1 << 16)
            if not more:
                return bytes(got)
            got += more

    def read(self, s, n):
        got = b""
        while len(got) < n:
            more = s.recv(n - len(got))
            self.assertTrue(more, "closed too early")
            got += more
        return got

    def ended(self):
        return self.rpc.event(lambda e: e["topic"] == "bench.ended")["data"]["code"]

    def open_streams(self):
        return self.rpc.call("bus.stats")["streams"]

    def none_left(self):
        deadline = time.monotonic() + 20
        while self.open_streams() != 0:
            self.assertLess(time.monotonic(), deadline, "a stream is still open")

    # --- tokens ---

    def test_wrong_and_used_tokens(self):
        token, far = self.token()
        self.assertRegex(token, "^[0-9a-f]{64}$")
        for wrong in ("", "x", "0" * 64, token[:-1], token + "0", token.upper() if token.upper() != token else "1" * 64):
            self.refused(wrong)
        s = self.attach(token)
        self.assertIn("was used", self.refused(token))
        s.sendall(b"mine")
        self.assertEqual(self.read(far, 4), b"mine")

    def test_tokens_differ(self):
        self.assertEqual(len({self.token()[0] for _ in range(20)}), 20)

    def test_a_refused_attach_leaves_the_connection_as_it_was(self):
        with self.assertRaises(RpcError) as e:
            self.rpc.call("bus.attach", {"token": "0" * 64})
        self.assertEqual(e.exception.code, "NOT_FOUND")
        self.assertEqual(self.rpc.call("bus.ping"), {})

    def test_a_connection_with_subscriptions_cannot_become_a_stream(self):
        token, _ = self.token()
        self.rpc.subscribe(["*"])
        with self.assertRaises(RpcError) as e:
            self.rpc.call("bus.attach", {"token": token})
        self.assertEqual(e.exception.code, "FAILED_PRECONDITION")
        self.attach(token)  # and the token is still good

    @unittest.skipUnless(os.geteuid() == 0, "changing uid needs root")
    def test_another_users_token(self):
        os.chmod(self.d.dir, 0o711)
        token, far = self.token()
        code = textwrap.dedent(f"""
            import os, sys
            sys.path.insert(0, {os.path.join(os.path.dirname(__file__), '..', 'lib')!r})
            from rpc import Rpc
            os.setgid(12345); os.setuid(12345)
            try:
                print(Rpc({str(self.d.socket)!r}, errors="text").call("bus.attach", {{"token": {token!r}}}))
            except Exception as e:
                print(e)
            """)
        r = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
        self.assertIn("NOT_FOUND", r.stdout + r.stderr)
        s = self.attach(token)  # a thief does not use it up
        far.sendall(b"still mine")
        self.assertEqual(self.read(s, 10), b"still mine")

    # --- bytes ---

    def test_bytes_behind_the_request_are_not_lost(self):
        behind = random.randbytes(300_000)
        s, far = self.stream(behind)
        s.shutdown(socket.SHUT_WR)
        self.assertEqual(hashlib.sha256(self.read_all(far)).digest(), hashlib.sha256(behind).digest())

    def test_bytes_that_wait_for_the_client(self):
        token, far = self.token()
        far.sendall(b"login: ")
        self.assertEqual(self.read(self.attach(token), 7), b"login: ")

    def test_much_both_ways_at_once(self):
        size, s_far = 24 << 20, self.stream()
        digests = {}

        def send(name, to, seed):
            r, left, h = random.Random(seed), size, hashlib.sha256()
            while left:
                data = r.randbytes(min(left, r.randrange(1, 200_000)))
                to.sendall(data)
                h.update(data)
                left -= len(data)
            to.shutdown(socket.SHUT_WR)
            digests[name] = h.hexdigest()

        def receive(name, of):
            h = hashlib.sha256()
            while data := of.recv(1 << 17):
                h.update(data)
            digests[name] = h.hexdigest()

        s, far = s_far
        threads = [threading.Thread(target=f, args=a) for f, a in
                   ((send, ("up", s, 1)), (receive, ("up-got", far)), (send, ("down", far, 2)), (receive, ("down-got", s)))]
        for t in threads:
            t.start()
        for t in threads:
            t.join(120)
        self.assertEqual(digests["up"], digests["up-got"])
        self.assertEqual(digests["down"], digests["down-got"])
        self.none_left()

    def fill(self, s):
        """Writes until nothing more goes in, and not only for a moment. How much that was."""
        s.setblocking(False)
        sent, stalled = 0, 0
        while stalled < 50:
            try:
                sent += s.send(b"x" * 65536)
                stalled = 0
            except BlockingIOError:
                stalled += 1
                self.assertEqual(self.rpc.call("bus.ping"), {})
            self.assertLess(sent, 8 << 20, "the daemon buffers without bound")
        s.setblocking(True)
        return sent

    def test_a_reader_that_does_not_read_stops_the_writer(self):
        s, far = self.stream()
        sent = self.fill(far)
        far.shutdown(socket.SHUT_WR)
        self.assertEqual(len(self.read_all(s)), sent)

    # --- ends ---

    def test_half_close_each_way(self):
        for one, other in ((0, 1), (1, 0)):
            ends = self.stream()
            ends[one].sendall(b"last words")
            ends[one].shutdown(socket.SHUT_WR)
            self.assertEqual(self.read_all(ends[other]), b"last words")
            ends[other].sendall(b"the answer")
            ends[other].shutdown(socket.SHUT_WR)
            self.assertEqual(self.read_all(ends[one]), b"the answer")
            self.none_left()

    def test_the_plugin_hears_that_the_client_left(self):
        self.rpc.subscribe(["bench.ended"])
        s, far = self.stream()
        s.sendall(b"bye")
        s.close()
        self.assertEqual(self.read_all(far), b"bye")
        self.assertEqual(self.ended(), 0)
        self.none_left()

    def test_the_far_end_goes(self):
        self.rpc.subscribe(["bench.ended"])
        s, far = self.stream()
        far.sendall(b"panic")
        far.close()
        self.assertEqual(self.read_all(s), b"panic")
        self.assertEqual(self.ended(), 0)

    def test_a_client_that_leaves_while_the_far_end_is_silent_and_half_closed(self):
        self.rpc.subscribe(["bench.ended"])
        s, far = self.stream()
        s.shutdown(socket.SHUT_WR)
        self.assertEqual(self.read_all(far), b"")
        self.assertEqual(self.open_streams(), 1)
        s.close()
        self.assertEqual(self.ended(), 0)  # far says nothing and closes nothing

    def test_a_client_that_leaves_bytes_nobody_takes(self):
        self.rpc.subscribe(["bench.ended"])
        s, far = self.stream()
        sent = self.fill(s)
        s.close()
        self.assertEqual(self.ended(), 0)  # after stream_linger_ms
        self.assertLess(len(self.read_all(far)), sent)

    def test_a_new_session_ends_the_one_before(self):
        first, _ = self.stream()
        second, far = self.stream()
        self.assertEqual(self.read_all(first), b"")
        far.sendall(b"hello")
        self.assertEqual(self.read(second, 5), b"hello")
        self.rpc.call("bench.unstream")
        self.assertEqual(self.read_all(second), b"")
        self.assertEqual(self.read_all(far), b"")

    def test_a_token_that_was_closed_before_it_was_used(self):
        token, far = self.token()
        self.rpc.call("bench.unstream")
        self.refused(token)
        self.assertEqual(self.read_all(far), b"")

    def test_the_daemon_stops(self):
        s, far = self.stream()
        waiting, far2 = self.token()
        self.d.stop()
        for end in (s, far, far2):
            self.assertEqual(self.read_all(end), b"")


class StreamsOnTheMainLoop(Streams):
    isolation = "loop"


class Short(Streams):
    """Short-lived tokens."""
    core = {"limits": {"stream_token_ms": 1000}}

    def test_an_unused_token_expires_and_closes_the_socket(self):
        self.rpc.subscribe(["bench.ended"])
        token, far = self.token()
        self.assertEqual(self.read_all(far), b"")
        self.assertEqual(self.ended(), -4)
        self.assertIn("too old", self.refused(token))

    def test_an_attached_stream_outlives_its_token(self):
        s, far = self.stream()
        self.rpc.subscribe(["bench.ended"])
        with self.assertRaises((TimeoutError, socket.timeout)):
            self.rpc.event(timeout=1.5)
        far.sendall(b"still here")
        self.assertEqual(self.read(s, 10), b"still here")


class Few(Streams):
    core = {"limits": {"streams": 3}}

    def test_too_many_streams(self):
        for _ in range(3):
            self.rpc.call("bench.stream", {"path": str(self.d.dir / "far.sock"), "keep": True})
        with self.assertRaises(RpcError) as e:
            self.rpc.call("bench.stream", {"path": str(self.d.dir / "far.sock"), "keep": True})
        self.assertEqual(e.exception.code, "RESOURCE_EXHAUSTED")
        self.assertIn("3 byte streams", e.exception.message)
        self.rpc.call("bus.ping")


def load_tests(loader, standard, pattern):
    """The two small cases run their own tests only."""
    suite = unittest.TestSuite()
    for case in (Streams, StreamsOnTheMainLoop):
        suite.addTests(loader.loadTestsFromTestCase(case))
    for case in (Short, Few):
        suite.addTests(case(name) for name in case.__dict__ if name.startswith("test_"))
    return suite


if __name__ == "__main__":
    unittest.main(verbosity=2)

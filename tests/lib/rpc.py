# SPDX-License-Identifier: LGPL-2.1-or-later
"""A msgpack-RPC client as a third party would write it: Python's msgpack and a socket, nothing of hvkit's.

    with Rpc(path) as rpc:
        rpc.call("bus.ping")                      # the result, or RpcError
        rpc.subscribe(["*.lifecycle"])            # {"subscription", "epoch", "seq"}
        rpc.event(lambda e: e["topic"] == ...)    # the next one that fits, within the timeout
"""
import socket
import time

import msgpack


class RpcError(Exception):
    def __init__(self, code, message, data):
        super().__init__(f"{code}: {message}")
        self.code, self.message, self.data = code, message, data


class Rpc:
    def __init__(self, path, errors="map", timeout=20):
        self.timeout = timeout
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(timeout)
        self.sock.connect(str(path))
        self.unpacker = msgpack.Unpacker(raw=False, strict_map_key=False, max_buffer_size=1 << 28)
        self.next_id = 0
        self.answers, self.notes = {}, []
        if errors == "map":
            self.hello = self.call("bus.hello", {"client": "tests", "errors": "map"})

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def close(self):
        self.sock.close()

    # --- frames ---

    def send(self, method, args=None):
        self.next_id += 1
        self.sock.sendall(msgpack.packb([0, self.next_id, method, [] if args is None else [args]]))
        return self.next_id

    def read(self, deadline):
        """Takes what has come; blocks until something does. EOFError when the daemon closed."""
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("nothing came in time")
        self.sock.settimeout(left)
        data = self.sock.recv(1 << 16)
        if not data:
            raise EOFError("the daemon closed the connection")
        self.unpacker.feed(data)
        for frame in self.unpacker:
            if frame[0] == 1:
                self.answers[frame[1]] = (frame[2], frame[3])
            elif frame[0] == 2:
                self.notes.append((frame[1], frame[2]))

    def finish(self, msgid, timeout=None):
        deadline = time.monotonic() + (timeout or self.timeout)
        while msgid not in self.answers:
            self.read(deadline)
        error, result = self.answers.pop(msgid)
        if error is None:
            return result
        if isinstance(error, dict):
            raise RpcError(error["code"], error["message"], error["data"])
        raise RpcError(error[0], error[1], {})

    def call(self, method, args=None, timeout=None):
        return self.finish(self.send(method, args), timeout)

    # --- notifications ---

    def note(self, method, fits=lambda params: True, timeout=None):
        deadline = time.monotonic() + (timeout or self.timeout)
        while True:
            for i, (name, params) in enumerate(self.notes):
                if name == method and fits(params):
                    del self.notes[i]
                    return params
            self.read(deadline)

    def subscribe(self, topics, **more):
        return self.call("bus.subscribe", {"topics": topics, **more})

    def event(self, fits=lambda e: True, timeout=None):
        return self.note("event", lambda params: fits(params[0]), timeout)[0]

# SPDX-License-Identifier: LGPL-2.1-or-later
"""A small hvkitd for tests of clients: msgpack-RPC over a UNIX socket, answers from a table of Python functions.

    bus = FakeBus(instances=[instance("vm", [method("vm.list", ...)])])
    bus.answer("vm.list", {"items": []})          # a value, or a function of the argument map
    with bus: ... bus.path ...
    bus.publish("vm.changed", {"name": "a"})
    bus.streams["t0ken"] = lambda sock: ...       # what is at the other end of bus.attach {token: "t0ken"}; each is good once
    bus.calls                                     # [(method, args), ...] as they came
"""
import os
import shutil
import socket
import tempfile
import threading
import time

import msgpack

EPOCH = 7001


class BusError(Exception):
    """What a function raises to answer with an error."""

    def __init__(self, code, message, **data):
        super().__init__(message)
        self.code, self.message, self.data = code, message, data


class Hang(Exception):
    """The call stays unanswered until it is cancelled."""


class Die(Exception):
    """The connection is cut instead of an answer."""


# --- the description -------------------------------------------------------------------------------------------------


def field(name, type="str", doc="", **more):
    flags = [f for f in ("required", "file", "path", "secret", "deprecated", "ignored", "stream") if more.pop(f, False)]
    return {"name": name, "type": type, "doc": doc, "flags": flags, **more}


def record(name, *fields, doc=""):
    return {"name": name, "doc": doc, "fields": list(fields)}


def method(name, doc="", args=None, result=None, cli=None, flags=(), access="viewer", **more):
    return {"name": name, "verb": name.split(".", 1)[1], "doc": doc, "since": "0.1.0", "access": access, "lane": "none", "timeout_ms": 5000,
            "flags": list(flags), "args": args, "result": result, "cli": cli, **more}


def event(topic, doc="", data=None):
    return {"topic": topic, "doc": doc, "data": data}


def instance(name, methods, events=(), summary="", provides=()):
    return {"name": name, "plugin": name, "version": "0.1.0", "summary": summary, "state": "running",
            "provides": [{"name": n, "major": m} for n, m in provides], "methods": list(methods), "events": list(events)}


# --- the server ------------------------------------------------------------------------------------------------------


class Connection:
    def __init__(self, bus, sock):
        self.bus, self.sock = bus, sock
        self.lock = threading.Lock()
        self.maps = False
        self.hanging = {}
        self.stream = None
        self.subscriptions = {}

    def send(self, frame):
        data = msgpack.packb(frame, use_bin_type=True)
        with self.lock:
            try:
                self.sock.sendall(data)
            except OSError:
                pass

    def error(self, ident, e):
        wire = {"code": e.code, "message": e.message, "data": e.data} if self.maps else [0, f"{e.code}: {e.message}"]
        self.send([1, ident, wire, None])

    def progress(self, ident, done, total, phase="", unit="bytes"):
        self.send([2, "progress", [{"id": ident, "phase": phase, "done": done, "total": total, "unit": unit}]])

    def deliver(self, ident, ev):
        self.send([2, "event", [{"subscription": ident, **ev}]])

    def run(self):
        unpacker = msgpack.Unpacker(raw=False, max_buffer_size=64 << 20)
        try:
            while True:
                data = self.sock.recv(65536)
                if not data:
                    return
                unpacker.feed(data)
                for frame in unpacker:
                    self.handle(frame)
                    if self.stream:  # the rest of this connection is its
                        self.stream(self.sock)
                        return
        except (OSError, Die):
            pass
        finally:
            self.close()

    def close(self):
        self.bus.forget(self)
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.sock.close()

    def handle(self, frame):
        if frame[2] == "bus.subscribe":
            with self.bus.cond:  # nothing is published between the answer and what it resumes
                self.answer(frame)
        else:
            self.answer(frame)

    def answer(self, frame):
        _, ident, name, params = frame
        args = params[0] if params and params[0] is not None else {}
        self.bus.note(name, args)
        core = getattr(self, "core_" + name[4:], None) if name.startswith("bus.") and name not in self.bus.answers else None
        try:
            result = core(ident, args) if core else self.bus.call(self, ident, name, args)
        except BusError as e:
            self.error(ident, e)
        except Hang:
            self.hanging[ident] = name
        else:
            self.send([1, ident, None, result])
            for late in self.bus.take_late():
                late()

    # the core's own methods
    def core_hello(self, ident, args):
        self.maps = args.get("errors") == "map"
        return {"version": "9.9.9", "api_level": 1, "epoch": EPOCH, "uid": os.getuid(), "role": "admin",
                "limits": {"request_bytes": 1 << 20, "answer_bytes": 16 << 20}}

    def core_ping(self, ident, args):
        return {}

    def core_describe(self, ident, args):
        return {"version": "9.9.9", "api_level": 1, "instances": self.bus.instances}

    def core_cancel(self, ident, args):
        name = self.hanging.pop(args["id"], None)
        if name is not None:
            self.error(args["id"], BusError("CANCELLED", f"call '{name}': the caller gave up"))
        return {"cancelled": name is not None}

    def core_attach(self, ident, args):
        self.stream = self.bus.streams.pop(args["token"], None)
        if self.stream is None:
            raise BusError("NOT_FOUND", "there is no such token")
        return {}

    def core_subscribe(self, ident, args):
        since = args.get("since")
        with self.bus.cond:
            if since and since["epoch"] != EPOCH:
                raise BusError("OUT_OF_RANGE", "the event log was started anew")
            sub = self.bus.next_subscription = self.bus.next_subscription + 1
            self.subscriptions[sub] = args["topics"]
            missed = [e for e in self.bus.log if since and e["seq"] > since["seq"] and self.bus.matches(args["topics"], e["topic"])]
            self.bus.late = [lambda e=e: self.deliver(sub, e) for e in missed]
            self.bus.cond.notify_all()
            return {"subscription": sub, "epoch": EPOCH, "seq": len(self.bus.log)}

    def core_unsubscribe(self, ident, args):
        self.subscriptions.pop(args["subscription"], None)
        return {}


class FakeBus:
    def __init__(self, instances=()):
        self.instances = list(instances)
        self.answers = {}
        self.streams = {}
        self.calls = []
        self.log = []
        self.late = []
        self.connections = set()
        self.next_subscription = 0
        self.cond = threading.Condition(threading.RLock())

    def __enter__(self):
        self.dir = tempfile.mkdtemp(prefix="fakebus-")
        self.path = os.path.join(self.dir, "bus.sock")
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen(16)
        threading.Thread(target=self.accept, daemon=True).start()
        return self

    def __exit__(self, *unused):
        # shutdown wakes the accepting thread, which a plain close does not
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.cut()
        shutil.rmtree(self.dir)

    def accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            connection = Connection(self, sock)
            with self.cond:
                self.connections.add(connection)
            threading.Thread(target=connection.run, daemon=True).start()

    def forget(self, connection):
        with self.cond:
            self.connections.discard(connection)
            self.cond.notify_all()

    def take_late(self):
        with self.cond:
            late, self.late = self.late, []
            return late

    def note(self, name, args):
        with self.cond:
            self.calls.append((name, args))
            self.cond.notify_all()

    def answer(self, name, what):
        self.answers[name] = what

    def call(self, connection, ident, name, args):
        if name not in self.answers:
            raise BusError("NOT_FOUND", f"there is no method '{name}'")
        what = self.answers[name]
        if not callable(what):
            return what
        wants = what.__code__.co_varnames[:what.__code__.co_argcount]
        return what(args, *((connection, ident) if len(wants) > 1 else ()))

    @staticmethod
    def matches(globs, topic):
        import fnmatch
        return any(fnmatch.fnmatchcase(topic, g) for g in globs)

    def publish(self, topic, data):
        with self.cond:
            ev = {"epoch": EPOCH, "seq": len(self.log) + 1, "prev": len(self.log), "time_ms": int(time.time() * 1000), "topic": topic, "data": data}
            self.log.append(ev)
            for c in list(self.connections):
                for sub, globs in list(c.subscriptions.items()):
                    if self.matches(globs, topic):
                        c.deliver(sub, ev)

    def drop(self, reason):
        with self.cond:
            for c in list(self.connections):
                for sub in list(c.subscriptions):
                    del c.subscriptions[sub]
                    c.send([2, "bus.dropped", [{"subscription": sub, "reason": reason}]])

    def cut(self):
        with self.cond:
            for c in list(self.connections):
                try:
                    c.sock.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def wait(self, condition, seconds=20):
        """Until condition() holds; it is looked at whenever something arrives."""
        with self.cond:
            if not self.cond.wait_for(condition, seconds):
                raise TimeoutError("the bus did not see what the test waits for")

    def count(self, name):
        with self.cond:
            return sum(1 for n, _ in self.calls if n == name)

    def last(self, name):
        with self.cond:
            return [a for n, a in self.calls if n == name][-1]

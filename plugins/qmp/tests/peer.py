# SPDX-License-Identifier: LGPL-2.1-or-later
"""A QEMU that only has a monitor, and misbehaves as its mode file says. Arguments: the directory of that file, then
QEMU's own. Modes (several, separated by spaces; read again for every command):
  greet:no  greet:bad  greet:long     the greeting is missing, something else, or 20 KB
  silent:COMMAND                      no answer until the mode is gone, then a late one
  garbage:COMMAND  eof:COMMAND        a line that is no JSON; half a reply and the end of the connection
  noid:COMMAND  unknown:COMMAND       a reply without id; one with an id of nobody, an event, and the reply, in one piece
  error:COMMAND  die:COMMAND          refused; the process ends with status 3
  odd:COMMAND                         an answer of another shape than it should have
  status:WORD                         what query-status says
  iostatus:WORD                       what query-block says of every disk: ok, failed, nospace
  last:COMMAND                        answered, and then the connection ends
  note:COMMAND                        a file "noted" beside the mode file says that it came
  killparent:COMMAND                  the daemon dies (SIGKILL) as the command arrives, which is then carried out
  agent                               a guest agent is there as soon as the guest runs, and behaves; else one of these:
  agent:silent  agent:late            it never answers; it answers when the mode is gone, after the caller gave up
  agent:garbage  agent:deep  agent:long  agent:flood  agent:close
                                      no JSON; 100 levels; 2 MiB; noise without end; the channel closes in the middle
  agent:noise                         noise before and after every answer, which is right
  chop  big                           replies byte by byte; a 200 KB event before each
A file event-VM beside the mode file is sent as it is, once, by the machine of that name.
"""
import json
import os
import select
import socket
import sys
import threading
import time

where, argv = sys.argv[1], sys.argv[2:]


def option(name, otherwise=""):
    return argv[argv.index(name) + 1] if name in argv else otherwise


def modes():
    with open(os.path.join(where, "mode"), encoding="utf-8") as f:
        return f.read().split()


def devices():
    return [json.loads(argv[i + 1]) for i, a in enumerate(argv) if a == "-device" and argv[i + 1].startswith("{")]


def disks():
    """Names of the disks on the command line, in their order."""
    return [d["id"][3:] for d in devices() if "drive" in d]


def path_of(disk):
    """As QEMU names what holds a disk: by its id where that is the device itself, else by its place in the tree."""
    driver = [d["driver"] for d in devices() if d.get("id") == f"ua-{disk}"][0]
    return f"/machine/peripheral/ua-{disk}/virtio-backend" if driver.startswith("virtio-blk") else f"ua-{disk}"


def version():
    return {"qemu": {"major": 7, "minor": 2, "micro": 0}, "package": "scripted"}


class Agent(threading.Thread):
    """The guest's side of the channel: descriptor 4, if the machine has one."""

    def __init__(self):
        super().__init__(daemon=True)
        self.listener = socket.socket(fileno=4)

    def run(self):
        while True:
            self.sock, _ = self.listener.accept()
            try:
                self.talk()
            except OSError:  # whoever was connected has gone, in whatever way
                pass
            self.sock.close()

    def talk(self):
        buf = b""
        while True:
            data = self.sock.recv(65536)
            if not data:
                return
            buf += data
            while b"\n" in buf:
                line, buf = buf.split(b"\n", 1)
                if not self.handle(json.loads(line.split(b"\xff")[-1])):
                    return

    def handle(self, request):
        mode = ([m[6:] for m in modes() if m.startswith("agent:")] + [""])[0]
        command = request["execute"]
        if command == "guest-sync-delimited":
            reply = b"\xff" + json.dumps({"return": request["arguments"]["id"]}).encode()
        else:
            reply = json.dumps({"return": {"echo": command, "n": request.get("arguments", {}).get("n")}}).encode()
        if mode == "silent":
            return True
        if mode == "flood":
            while True:
                self.sock.sendall(b"x" * 65536)
        if mode == "noise":
            reply = b'{"return": 1}\nnoise' + reply if command == "guest-sync-delimited" else reply + b'\n{"return": "unasked"}'
        if command != "guest-sync-delimited":
            while mode == "late" and "agent:late" in modes():
                time.sleep(0.01)
            if mode == "garbage":
                reply = b"}{"
            if mode == "deep":
                reply = b'{"return": ' + b"[" * 100 + b"]" * 100 + b"}"
            if mode == "long":
                reply = b'{"return": "' + b"x" * (2 << 20) + b'"}'
            if mode == "close":
                self.sock.sendall(reply[:5])
                return False
        self.sock.sendall(reply + b"\n")
        return True


class Peer:
    def __init__(self):
        self.status = "prelaunch"
        self.late = []
        self.sock = None
        self.asked = 0
        self.script = os.path.join(where, "event-" + option("-name").removeprefix("guest=").split(",")[0])

    def send(self, text):
        data = text.encode()
        pieces = [data[i : i + 1] for i in range(len(data))] if "chop" in modes() else [data]
        for piece in pieces:
            self.sock.sendall(piece)

    def event(self, name, **data):
        return json.dumps({"timestamp": {"seconds": 1, "microseconds": 1}, "event": name, "data": data}) + "\r\n"

    def answer(self, command):
        if "odd:" + command in modes():
            return {"odd": []}
        if command == "qom-list":
            return [{"name": "ua-" + d, "type": "child<device>"} for d in disks()]
        if command == "query-version":
            return version()
        if command == "query-machines":
            return [{"name": "pc-q35-7.2", "alias": "q35"}, {"name": "pc-q35-7.1"}, {"name": "none"}]
        if command == "query-uuid":
            return {"UUID": option("-uuid")}
        if command == "query-chardev":
            return [{"label": "agent0-socket", "frontend-open": False}]
        if command == "query-status":
            forced = [m[7:] for m in modes() if m.startswith("status:")]
            return {"status": forced[0] if forced else self.status}
        if command == "query-blockstats":
            self.asked += 1
            stats = {"rd_bytes": 4096 * self.asked, "rd_operations": self.asked, "wr_bytes": 512, "wr_operations": 1, "failed_wr_operations": 3,
                     "flush_operations": 7, "unmap_bytes": 9}
            return [{"qdev": path_of(d), "stats": stats} for d in disks()] + [{"node-name": "q-0", "stats": stats}]
        if command == "query-block":
            word = ([m[9:] for m in modes() if m.startswith("iostatus:")] + ["ok"])[0]
            return [{"qdev": path_of(d), "io-status": word, "inserted": {"image": {"virtual-size": 1 << 30}}} for d in disks()]
        if command == "query-balloon":
            return {"actual": 60 << 20}
        if command == "qom-get":
            unsaid = 18446744073709551615
            return {"last-update": int(time.time()) - 1, "stats": {"stat-total-memory": 50 << 20, "stat-free-memory": 20 << 20, "stat-swap-in": unsaid}}
        if command == "cont":
            self.status = "running"
            self.send(self.event("RESUME"))
            if any(m.startswith("agent") for m in modes()):
                self.send(self.event("VSERPORT_CHANGE", id="agent0", open=True))
        if command == "stop":
            self.status = "paused"
            self.send(self.event("STOP"))
        if command == "system_powerdown":
            self.status = "shutdown"
            self.send(self.event("POWERDOWN") + self.event("SHUTDOWN", guest=True, reason="guest-shutdown"))
        return {}

    def greet(self):
        mode = [m[6:] for m in modes() if m.startswith("greet:")]
        if mode == ["no"]:
            return
        if mode == ["bad"]:
            self.send('{"hello": 1}\r\n')
        elif mode == ["long"]:
            self.send('{"QMP": {"version": {"package": "' + "x" * 20000 + '"}}}\r\n')
        else:
            self.send(json.dumps({"QMP": {"version": version(), "capabilities": []}}) + "\r\n")

    def reply(self, request):
        return json.dumps({"return": self.answer(request["execute"]), "id": request["id"]}) + "\r\n"

    def handle(self, request):
        """Returns False when the connection is to end."""
        command, now = request["execute"], modes()
        if "die:" + command in now:
            print("scripted: told to die at", command, file=sys.stderr, flush=True)
            os._exit(3)
        if "killparent:" + command in now:
            os.kill(os.getppid(), 9)
        if "note:" + command in now:
            with open(os.path.join(where, "noted"), "w", encoding="utf-8"):
                pass
        if "silent:" + command in now:
            self.late.append(request)
            return True
        if "big" in now:
            self.send(self.event("NOISE", text="x" * 200000))
        if "garbage:" + command in now:
            self.send("}{ this is no JSON\r\n")
        elif "eof:" + command in now:
            self.send('{"return": {"sta')
            return False
        elif "noid:" + command in now:
            self.send('{"return": {}}\r\n')
        elif "unknown:" + command in now:
            reply = self.reply(request)
            self.send(json.dumps({"return": {}, "id": 999999}) + "\r\n" + self.event("NOISE") + reply)
        elif "error:" + command in now:
            self.send(json.dumps({"error": {"class": "GenericError", "desc": "scripted refusal"}, "id": request["id"]}) + "\r\n")
        else:
            self.send(self.reply(request))
            if command == "quit":
                os._exit(0)
        return "last:" + command not in now

    def speak_late(self):
        if any(m.startswith("silent:") for m in modes()):
            return
        late, self.late = self.late, []
        for request in late:
            self.send(self.reply(request))

    def speak_scripted(self):
        if os.path.exists(self.script):
            with open(self.script, encoding="utf-8") as f:
                text = f.read()
            os.unlink(self.script)
            self.send(text + "\r\n")

    def talk(self):
        buf = b""
        self.greet()
        while True:
            ready, _, _ = select.select([self.sock], [], [], 0.01)
            self.speak_late()
            self.speak_scripted()
            if not ready:
                continue
            data = self.sock.recv(65536)
            if not data:
                return
            buf += data
            while b"\n" in buf:
                line, buf = buf.split(b"\n", 1)
                if not self.handle(json.loads(line)):
                    return

    def serve(self):
        chardev = [a for a in argv if a.startswith("socket,id=monitor0")][0]
        sock = socket.socket(fileno=3)
        if "server=on" not in chardev:
            self.sock = sock
            self.talk()
            return
        while True:
            self.sock, _ = sock.accept()
            try:
                self.talk()
            except OSError:  # whoever was connected has gone, in whatever way
                pass
            self.late = []
            self.sock.close()


if any("id=agent0-socket" in a for a in argv):
    Agent().start()
Peer().serve()

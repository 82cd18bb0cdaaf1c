# SPDX-License-Identifier: LGPL-2.1-or-later
"""A QEMU that only has a monitor, and misbehaves as its mode file says. Arguments: the directory of that file, then
QEMU's own. Modes (several, separated by spaces; read again for every command):
  greet:no  greet:bad  greet:long     the greeting is missing, something else, or 20 KB
  silent:COMMAND                      no answer until the mode is gone, then a late one
  garbage:COMMAND  eof:COMMAND        a line that is no JSON; half a reply and the end of the connection
  noid:COMMAND  unknown:COMMAND       a reply without id; one with an id of nobody, an event, and the reply, in one piece
  error:COMMAND  die:COMMAND          refused; the process ends with status 3
  status:WORD                         what query-status says
  killparent:COMMAND                  the daemon dies (SIGKILL) as the command arrives, which is then carried out
  chop  big                           replies byte by byte; a 200 KB event before each
"""
import json
import os
import select
import socket
import sys

where, argv = sys.argv[1], sys.argv[2:]


def option(name, otherwise=""):
    return argv[argv.index(name) + 1] if name in argv else otherwise


def modes():
    with open(os.path.join(where, "mode"), encoding="utf-8") as f:
        return f.read().split()


def version():
    return {"qemu": {"major": 7, "minor": 2, "micro": 0}, "package": "scripted"}


class Peer:
    def __init__(self):
        self.status = "prelaunch"
        self.late = []
        self.sock = None

    def send(self, text):
        data = text.encode()
        pieces = [data[i : i + 1] for i in range(len(data))] if "chop" in modes() else [data]
        for piece in pieces:
            self.sock.sendall(piece)

    def event(self, name, **data):
        return json.dumps({"timestamp": {"seconds": 1, "microseconds": 1}, "event": name, "data": data}) + "\r\n"

    def answer(self, command):
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
        if command == "cont":
            self.status = "running"
            self.send(self.event("RESUME"))
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
        return True

    def speak_late(self):
        if any(m.startswith("silent:") for m in modes()):
            return
        late, self.late = self.late, []
        for request in late:
            self.send(self.reply(request))

    def talk(self):
        buf = b""
        self.greet()
        while True:
            ready, _, _ = select.select([self.sock], [], [], 0.01)
            self.speak_late()
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
            except (BrokenPipeError, ConnectionResetError):
                pass
            self.late = []
            self.sock.close()


Peer().serve()

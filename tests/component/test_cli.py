# SPDX-License-Identifier: LGPL-2.1-or-later
"""The real hvkit against a scripted daemon that knows boats: nothing of what is tested here is compiled into the program."""
import fcntl
import json
import os
import pty
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
import unittest

import msgpack

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from fakebus import EPOCH, BusError, Die, Hang  # noqa: E402
from toybus import boat, toy_bus  # noqa: E402

HVKIT = os.path.join(os.environ["HVKIT_BUILD"], "cli", "hvkit")
LIMIT = 30  # seconds: far more than anything here takes


class CliTest(unittest.TestCase):
    def setUp(self):
        self.bus = toy_bus()
        self.bus.__enter__()
        self.unread = {}
        self.addCleanup(self.bus.__exit__)
        self.env = {"PATH": "/usr/bin:/bin", "HVKIT_SOCKET": self.bus.path, "LC_ALL": "C.UTF-8", "TERM": "xterm", "TZ": "UTC"}
        self.dir = tempfile.mkdtemp(prefix="cli-test-")
        self.addCleanup(lambda: subprocess.run(["rm", "-r", self.dir], check=True))

    def run_cli(self, *args, stdin="", cwd=None):
        return subprocess.run([HVKIT, *args], env=self.env, input=stdin, capture_output=True, text=True, timeout=LIMIT, cwd=cwd)

    def ok(self, *args, **more):
        r = self.run_cli(*args, **more)
        self.assertEqual((r.returncode, r.stderr), (0, ""), r.stdout)
        return r.stdout

    def fails(self, status, *args, **more):
        """The one line on stderr."""
        r = self.run_cli(*args, **more)
        self.assertEqual((r.returncode, r.stdout), (status, ""), r.stderr)
        self.assertRegex(r.stderr, r"\Ahvkit: [^\n]+\n\Z")
        return r.stderr[len("hvkit: "):-1]

    def start(self, *args, **more):
        p = subprocess.Popen([HVKIT, *args], env=self.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more)

        def end():
            if p.poll() is None:
                p.kill()
            p.communicate()

        self.addCleanup(end)
        return p

    def line(self, p):
        """The next line of its output; not through p.stdout, whose buffer select() does not see."""
        fd = p.stdout.fileno()
        waiting = self.unread.setdefault(fd, bytearray())
        while b"\n" not in waiting:
            self.assertTrue(select.select([fd], [], [], LIMIT)[0], "no output in time")
            more = os.read(fd, 65536)
            self.assertTrue(more, "the output ended")
            waiting += more
        line, _, self.unread[fd] = waiting.partition(b"\n")
        return line.decode() + "\n"

    def file(self, name, text):
        path = os.path.join(self.dir, name)
        with open(path, "w") as f:
            f.write(text)
        return path

    def on_terminal(self, *args, width=100):
        """Runs on a pseudo-terminal; returns the exit status and all that appeared there."""
        pid, fd = pty.fork()
        if pid == 0:
            os.execve(HVKIT, [HVKIT, *args], self.env)
        fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", 40, width, 0, 0))
        data, end = b"", time.monotonic() + LIMIT
        while time.monotonic() < end:
            try:
                if select.select([fd], [], [], 1)[0]:
                    more = os.read(fd, 65536)
                    if not more:
                        break
                    data += more
            except OSError:
                break
        os.close(fd)
        _, status = os.waitpid(pid, 0)
        return os.waitstatus_to_exitcode(status), data.decode()


class Tables(CliTest):
    def setUp(self):
        super().setUp()
        self.bus.answer("harbour.list", {"items": [boat("alpha"), boat("be", "Failed", tags=[], weight_bytes=1536), boat("c", None)]})

    def test_columns_come_from_the_method(self):
        rows = [line.split() for line in self.ok("get", "boat").splitlines()]
        self.assertEqual(rows[0], ["NAME", "STATE", "WEIGHT", "AGE"])
        self.assertEqual(rows[1][:3], ["alpha", "Running", "2Gi"])
        self.assertRegex(rows[1][3], r"^\d+y\d+d$")
        self.assertEqual(rows[2][:3], ["be", "Failed", "1.5Ki"])
        self.assertEqual(rows[3][:2], ["c", "<none>"])

    def test_columns_line_up_and_lines_end_clean(self):
        lines = self.ok("get", "boat").splitlines()
        at = lines[0].index("STATE")
        self.assertEqual([line[at:at + 7] for line in lines[1:3]], ["Running", "Failed "])
        self.assertFalse([line for line in lines if line != line.rstrip()])

    def test_wide_has_more(self):
        lines = self.ok("-o", "wide", "get", "boats").splitlines()
        self.assertTrue(lines[0].endswith("TAGS"))
        self.assertTrue(lines[1].endswith("a,b"))
        self.assertTrue(lines[2].endswith("<none>"))

    def test_wide_characters_take_two_columns(self):
        self.bus.answer("harbour.list", {"items": [boat("船"), boat("ab")]})
        lines = self.ok("get", "boat").splitlines()
        self.assertTrue(lines[1].startswith("船     Running"))
        self.assertTrue(lines[2].startswith("ab     Running"))

    def test_an_empty_list_says_so_on_stderr(self):
        self.bus.answer("harbour.list", {"items": []})
        r = self.run_cli("get", "boat")
        self.assertEqual((r.returncode, r.stdout, r.stderr), (0, "", "Nothing found.\n"))
        self.assertEqual(json.loads(self.ok("get", "boat", "-o", "json")), {"items": []})

    def test_pages_are_followed(self):
        def pages(args):
            first = int(args.get("continue_from", "0"))
            more = {"continue_from": str(first + 2)} if first < 4 else {}
            return {"items": [boat(f"b{first}"), boat(f"b{first + 1}")], **more}

        self.bus.answer("harbour.list", pages)
        self.assertEqual([line.split()[0] for line in self.ok("get", "boat").splitlines()], ["NAME", "b0", "b1", "b2", "b3", "b4", "b5"])
        everything = json.loads(self.ok("get", "boat", "-o", "json"))
        self.assertEqual(len(everything["items"]), 6)
        self.assertNotIn("continue_from", everything)
        page = json.loads(self.ok("get", "boat", "-o", "json", "--limit", "2"))
        self.assertEqual((len(page["items"]), page["continue_from"]), (2, "2"))

    def test_without_columns_there_is_a_view(self):
        self.bus.answer("harbour.get", boat("alpha", log="one\ntwo\n", crew=[{"name": "x"}], nothing=None))
        text = self.ok("harbour", "get", "alpha")
        self.assertIn("name:          alpha\n", text)
        self.assertIn("weight_bytes:  2147483648 (2Gi)\n", text)
        self.assertIn("tags:          a,b\n", text)
        self.assertIn("log:\n  one\n  two\n", text)
        self.assertIn("nothing:       <none>\n", text)

    def test_done_lines(self):
        self.bus.answer("harbour.start", {"kind": "boat"})
        self.assertEqual(self.ok("start", "alpha"), "boat/alpha started\n")
        self.bus.answer("harbour.apply", {"items": [{"kind": "boat", "name": "a", "action": "built"}, {"kind": "pier", "name": "b", "action": "kept"}]})
        self.assertEqual(self.ok("apply", "-f", "-", stdin="x"), "boat/a built\npier/b kept\n")

    def test_terminal_has_colour_and_a_pipe_has_not(self):
        status, text = self.on_terminal("get", "boat")
        self.assertEqual(status, 0)
        self.assertIn("\033[1mNAME\033[0m", text)
        self.assertIn("\033[32mRunning\033[0m", text)
        self.assertIn("\033[31mFailed\033[0m", text)
        self.assertNotIn("\033", self.ok("get", "boat"))
        self.assertIn("\033[32m", self.ok("get", "boat", "--color", "always"))
        self.assertNotIn("\033", self.on_terminal("get", "boat", "--color=never")[1])
        self.env["NO_COLOR"] = "1"
        self.assertNotIn("\033", self.on_terminal("get", "boat")[1])


class HostileText(CliTest):
    EVIL = "a\033[2Jb\nc\x07\x9bd\u202ee\x7f"

    def test_tables_escape_it(self):
        self.bus.answer("harbour.list", {"items": [boat(self.EVIL)]})
        text = self.ok("get", "boat")
        self.assertIn(r"a\x1b[2Jb\nc\x07\x9bd\u202ee\x7f", text)
        self.assertEqual(len(text.splitlines()), 2)

    def test_errors_escape_it_and_stay_one_line(self):
        self.bus.answer("harbour.start", lambda args: (_ for _ in ()).throw(BusError("INTERNAL", self.EVIL)))
        self.assertEqual(self.fails(1, "start", "x"), r"INTERNAL: a\x1b[2Jb\nc\x07\x9bd\u202ee\x7f")

    def test_json_keeps_the_value_without_the_bytes(self):
        self.bus.answer("harbour.get", {"name": self.EVIL, "raw": b"\x00\xff\x10"})
        text = self.ok("harbour", "get", "x", "-o", "json")
        self.assertEqual(json.loads(text), {"name": self.EVIL, "raw": "AP8Q"})
        self.assertFalse(re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", text))

    def test_views_and_keys_escape_it(self):
        self.bus.answer("harbour.get", {"na\033me": {"\033k": "v"}})
        self.assertNotIn("\033", self.ok("harbour", "get", "x"))

    def test_broken_utf8(self):
        def answer(args, connection, ident):
            with connection.lock:
                connection.sock.sendall(b"\x94\x01" + msgpack.packb(ident) + b"\xc0\x81\xa4name\xa2\xff\xfe")
            raise Hang

        self.bus.answer("harbour.get", answer)
        self.assertEqual(self.ok("harbour", "get", "x"), "name:  \\xff\\xfe\n")
        self.assertEqual(json.loads(self.ok("harbour", "get", "x", "-o", "json")), {"name": "\ufffd\ufffd"})


class Formats(CliTest):
    VALUE = {"name": "alpha", "n": -5, "f": 1.5, "yes": True, "none": None, "list": [], "map": {}, "deep": {"l": [1, {"a": "b", "c": [["x"]]}]},
             "tricky": ["true", "1.0", "- a", "a: b", "", "null", "#x", "x#", " lead", "~", "2026-01-01", "0x10", "é"], "block": "one\n  two\n",
             "trail": "one\n\n", "crlf": "a\r\nb\n"}

    def setUp(self):
        super().setUp()
        self.bus.answer("harbour.get", self.VALUE)

    def test_json_is_what_the_daemon_answered(self):
        self.assertEqual(json.loads(self.ok("harbour", "get", "x", "-o", "json")), self.VALUE)

    def test_yaml_is_what_the_daemon_answered(self):
        try:
            import yaml
        except ImportError:
            self.fail("python3-yaml is needed to read YAML back")
        self.assertEqual(yaml.safe_load(self.ok("harbour", "get", "x", "-o", "yaml")), self.VALUE)

    def test_yaml_reads_well(self):
        text = self.ok("harbour", "get", "x", "-o", "yaml")
        self.assertIn("name: alpha\n", text)
        self.assertIn("block: |\n  one\n    two\n", text)
        self.assertIn("deep:\n  l:\n  - 1\n  - a: b\n    c:\n    - - x\n", text)


class Arguments(CliTest):
    def setUp(self):
        super().setUp()
        self.bus.answer("harbour.build", {"built": True})

    def built(self, *args, **more):
        self.ok("harbour", "build", "--name", "x", "--weight-bytes", "1", *args, **more)
        sent = self.bus.last("harbour.build")
        for key in ("name", "weight_bytes", "_progress"):
            sent.pop(key, None)
        return sent

    def test_every_type(self):
        self.assertEqual(self.built("--color", "blue", "--fast=false", "--offset=-3", "--ratio", "0.25", "--grace-ms", "250"),
                         {"color": "blue", "fast": False, "offset": -3, "ratio": 0.25, "grace_ms": 250})

    def test_nothing_is_sent_that_was_not_given(self):
        self.assertEqual(self.built(), {})

    def test_units(self):
        self.ok("harbour", "build", "--name", "x", "--weight-bytes", "10Gi", "--grace_ms", "2m")
        self.assertEqual((self.bus.last("harbour.build")["weight_bytes"], self.bus.last("harbour.build")["grace_ms"]), (10 << 30, 120000))
        self.ok("harbour", "build", "--name", "x", "--weight_bytes=5k")
        self.assertEqual(self.bus.last("harbour.build")["weight_bytes"], 5000)

    def test_booleans(self):
        self.assertEqual(self.built("--fast"), {"fast": True})
        self.assertEqual(self.built("--no-fast"), {"fast": False})
        self.bus.answer("harbour.start", {})
        self.ok("start", "x", "--paused")
        self.assertEqual(self.bus.last("harbour.start"), {"name": "x", "paused": True})

    def test_shorts(self):
        self.assertEqual(self.built("-c", "green", "-ta", "-t=b"), {"color": "green", "tags": ["a", "b"]})

    def test_lists_and_maps_grow(self):
        self.assertEqual(self.built("--tags", "a,b", "--tags", "c", "--labels", "x=1", "--labels.y=2", "--labels", '{"z":"3"}'),
                         {"tags": ["a,b", "c"], "labels": {"x": "1", "y": "2", "z": "3"}})

    def test_records_by_json_and_by_dots(self):
        self.assertEqual(self.built("--machine.cpu.cores", "2", "--machine.memory-bytes", "1Mi"), {"machine": {"cpu": {"cores": 2}, "memory_bytes": 1 << 20}})
        self.assertEqual(self.built("--machine", '{"cpu":{"cores":4}}', "--machine.cpu.model", "z"), {"machine": {"cpu": {"cores": 4, "model": "z"}}})
        self.assertEqual(self.built("--sails", '{"area":1}', "--sails", '[{"area":2},{"area":3}]'), {"sails": [{"area": 1}, {"area": 2}, {"area": 3}]})
        self.assertEqual(self.built("--extra", "[1,2]"), {"extra": [1, 2]})
        self.assertEqual(self.built("--extra", "plain words"), {"extra": "plain words"})

    def test_files(self):
        path = self.file("plan", "keel\nmast\n")
        self.assertEqual(self.built("--plan", path), {"plan": "keel\nmast\n"})
        self.assertEqual(self.built("--plan", "-", stdin="from stdin"), {"plan": "from stdin"})
        self.assertIn("No such file", self.fails(2, "apply", "-f", path + "x"))
        self.assertIn("longer than the 1048576 bytes", self.fails(2, "apply", "-f", self.file("big", "x" * ((1 << 20) + 1))))
        with open(os.path.join(self.dir, "bin"), "wb") as f:
            f.write(b"a\0b")
        self.assertIn("not a text file", self.fails(2, "apply", "-f", os.path.join(self.dir, "bin")))

    def test_paths_become_absolute(self):
        os.mkdir(os.path.join(self.dir, "sub"))
        real = os.path.realpath(self.dir)
        self.assertEqual(self.built("--dock", "pier", cwd=self.dir), {"dock": f"{real}/pier"})
        self.assertEqual(self.built("--dock", "sub/../pier", cwd=self.dir), {"dock": f"{real}/pier"})
        self.assertEqual(self.built("--dock", "/a/b", cwd=self.dir), {"dock": "/a/b"})

    def test_a_fields_name_may_be_a_global_option(self):
        self.assertEqual(self.built("--arg.help", "me"), {"help": "me"})
        self.assertIn("Usage:", self.ok("harbour", "build", "--help"))

    def test_namespace(self):
        self.bus.answer("harbour.start", {})
        for args in (["-n", "ns", "start", "x"], ["start", "x", "-n", "ns"], ["start", "--namespace=ns", "x"]):
            self.ok(*args)
            self.assertEqual(self.bus.last("harbour.start"), {"name": "x", "namespace": "ns"})
        self.bus.answer("radio.say", {})
        self.ok("-n", "ns", "radio", "say", "--text", "hi")
        self.assertEqual(self.bus.last("radio.say"), {"text": "hi"})

    def test_options_between_the_words(self):
        self.bus.answer("harbour.list", {"items": [boat("a")]})
        self.assertEqual(json.loads(self.ok("get", "-o", "json", "boat"))["items"][0]["name"], "a")

    def test_a_double_dash_ends_options(self):
        self.bus.answer("harbour.start", {})
        self.ok("start", "--", "--paused")
        self.assertEqual(self.bus.last("harbour.start"), {"name": "--paused"})

    def test_timeout(self):
        self.built("--timeout", "3s")
        self.assertEqual(self.bus.last("harbour.build")["_timeout_ms"], 3000)

    def test_bad_values_are_usage_errors_and_nothing_is_called(self):
        need = ["harbour", "build", "--name", "x", "--weight-bytes", "1"]
        for args, words in ((["harbour", "build"], "--name TEXT is missing: name of the boat"),
                            (["start"], "NAME is missing: name of the boat"),
                            (["start", "a", "b"], "unexpected argument 'b'"),
                            (["harbour", "build", "--name", "x", "--weight-bytes", "9Q"], "'9Q' is not a size"),
                            (["harbour", "build", "--name", "x", "--weight-bytes", "99999999999Ti"], "is not a size"),
                            (["harbour", "build", "--name", "x", "--weight-bytes", "2Ti"], "out of range: 1 to 1099511627776"),
                            (need + ["--grace-ms", "-1"], "'-1' is not a duration"),
                            (need + ["--machine.cpu.cores", "65"], "out of range: 1 to 64"),
                            (need + ["--offset", "6"], "out of range: -5 to 5"),
                            (need + ["--offset", "1x"], "'1x' is not a whole number"),
                            (need + ["--ratio", "nan"], "'nan' is not a number"),
                            (need + ["--fast=maybe"], "neither true nor false"),
                            (need + ["--color", "gren"], "did you mean 'green'?"),
                            (need + ["--colr", "red"], "unknown option --colr, did you mean --color?"),
                            (need + ["-z"], "unknown option -z"),
                            (need + ["--labels", "novalue"], "is not KEY=VALUE"),
                            (need + ["--machine", "[1]"], "has to be a JSON object"),
                            (need + ["--machine", "{"], "not JSON: line 1"),
                            (need + ["--machine.wheels", "4"], "unknown option --machine.wheels"),
                            (need + ["--name", "y"], "--name is given twice"),
                            (need + ["--line", "3"], "descriptor"),
                            (need + ["--plan"], "--plan needs a value"),
                            (need + ["-o", "jsn"], "did you mean 'json'?"),
                            (["--timeout", "soon", "ping"], "not a duration"),
                            (["--nope", "ping"], "unknown option --nope")):
            with self.subTest(args=args):
                self.assertIn(words, self.fails(2, *args))
        self.assertEqual([name for name, _ in self.bus.calls if not name.startswith("bus.")], [])

    def test_unknown_commands(self):
        self.assertIn("unknown command 'strat', did you mean 'start'?", self.fails(2, "strat", "x"))
        self.assertIn("harbour: unknown command 'buidl', did you mean 'build'?", self.fails(2, "harbour", "buidl"))
        self.assertIn("unknown command 'zzzzzz'", self.fails(2, "zzzzzz"))
        self.assertIn("Usage: hvkit radio say_it", self.ok("help", "radio", "say_it"))
        self.assertIn("--text", self.ok("radio", "say-it", "--help"))
        self.assertEqual(self.fails(2, "get"), "get needs one of: boat, boats (see 'hvkit get --help')")
        self.assertIn("harbour needs one of: list, start, apply, build, get, talk, film, photo (", self.fails(2, "harbour"))
        self.assertIn("unknown command 'ship'", self.fails(2, "get", "ship"))
        self.assertIn("a command is missing", self.fails(2))


class Errors(CliTest):
    def test_the_daemons_words_are_the_message(self):
        def missing(args):
            raise BusError("NOT_FOUND", f"boat '{args['name']}': no such boat", reason="gone")

        self.bus.answer("harbour.start", missing)
        self.assertEqual(self.fails(1, "start", "x"), "NOT_FOUND: boat 'x': no such boat")

    def test_unavailable_from_the_daemon_is_a_failure(self):
        def silent(args):
            raise BusError("UNAVAILABLE", "the backend does not answer")

        self.bus.answer("harbour.start", silent)
        self.assertEqual(self.fails(1, "start", "x"), "UNAVAILABLE: the backend does not answer")

    def test_no_daemon(self):
        path = os.path.join(self.dir, "none.sock")
        self.assertEqual(self.fails(3, "--socket", path, "get", "boat"), f"cannot reach hvkitd at {path}: No such file or directory: is it running?")
        self.assertIn("cannot reach", self.fails(3, "ping", f"--socket={path}"))
        self.env["HVKIT_SOCKET"] = path
        self.assertIn("cannot reach", self.fails(3, "get", "boat"))

    def test_socket_option_wins_over_the_environment(self):
        self.env["HVKIT_SOCKET"] = "/nonexistent"
        self.assertIn("answered", self.ok("ping", "--socket", self.bus.path))

    def test_the_daemon_dies_during_a_call(self):
        def die(args):
            raise Die

        self.bus.answer("harbour.start", die)
        self.assertIn("UNAVAILABLE: call 'harbour.start': connection closed", self.fails(3, "start", "x"))

    def test_output_that_cannot_be_written(self):
        with open("/dev/full", "w") as full:
            r = subprocess.run([HVKIT, "api"], env=self.env, stdout=full, stderr=subprocess.PIPE, text=True, timeout=LIMIT)
        self.assertEqual((r.returncode, r.stderr), (1, "hvkit: the output cannot be written\n"))


class Interrupts(CliTest):
    def test_once_cancels_the_call(self):
        def hang(args):
            raise Hang

        self.bus.answer("harbour.start", hang)
        p = self.start("start", "x")
        self.bus.wait(lambda: self.bus.count("harbour.start") == 1)
        p.send_signal(signal.SIGINT)
        out, err = p.communicate(timeout=LIMIT)
        self.assertEqual((p.returncode, out), (130, ""))
        self.assertEqual(err, "hvkit: CANCELLED: call 'harbour.start': the caller gave up\n")
        self.assertEqual(self.bus.count("bus.cancel"), 1)

    def test_twice_does_not_wait(self):
        def hang(args):
            raise Hang

        self.bus.answer("harbour.start", hang)
        self.bus.answer("bus.cancel", hang)
        p = self.start("start", "x")
        self.bus.wait(lambda: self.bus.count("harbour.start") == 1)
        p.send_signal(signal.SIGINT)
        self.bus.wait(lambda: self.bus.count("bus.cancel") == 1)
        p.send_signal(signal.SIGINT)
        p.communicate(timeout=LIMIT)
        self.assertEqual(p.returncode, 130)


class Progress(CliTest):
    def setUp(self):
        super().setUp()

        def build(args, connection, ident):
            for i in range(101):
                connection.progress(ident, i << 20, 100 << 20, "download")
            return {"built": True}

        self.bus.answer("harbour.build", build)
        self.args = ["harbour", "build", "--name", "x", "--weight-bytes", "1"]

    def test_piped_there_is_none(self):
        self.assertEqual(self.ok(*self.args), "built:  true\n")

    def slow(self, seconds, *reports):
        """Work that reports, lasts, and reports again."""
        def build(args, connection, ident):
            connection.progress(ident, *reports[0])
            threading.Event().wait(seconds)
            for report in reports[1:]:
                connection.progress(ident, *report)
            return {"built": True}

        self.bus.answer("harbour.build", build)

    def test_piped_long_work_has_lines(self):
        self.slow(1.1, (1 << 20, 100 << 20, "ram"), (35 << 20, 100 << 20, "ram"), (36 << 20, 100 << 20, "ram"), (100 << 20, 100 << 20, "ram"))
        self.assertEqual(self.run_cli(*self.args).stderr, "ram: 30% 35MiB of 100MiB\nram: 100% 100MiB of 100MiB\n")
        self.assertEqual(self.ok(*self.args, "--progress=none"), "built:  true\n")

    def test_piped_work_of_unknown_size(self):
        self.slow(1.1, (1, 0, "merge", "chunks"), (2, 0, "merge", "chunks"), (3, 0, "merge", "chunks"))
        self.assertEqual(self.run_cli(*self.args).stderr, "merge: 2 chunks\n")

    def test_a_bar_has_rate_and_remaining_time(self):
        self.slow(0.6, (0, 100 << 20, "ram"), (10 << 20, 100 << 20, "ram"))
        self.assertRegex(self.on_terminal(*self.args)[1], r"ram .* 10%  10MiB/100MiB  \d+(\.\d+)?MiB/s  ETA \d+s")

    def test_plain(self):
        r = self.run_cli(*self.args, "--progress", "plain")
        self.assertEqual(r.stderr.splitlines(), [f"download: {10 * i}% {10 * i}MiB of 100MiB" for i in range(1, 11)])
        self.assertIs(self.bus.last("harbour.build")["_progress"], True)

    def test_terminal_has_a_bar_that_is_cleared(self):
        status, text = self.on_terminal(*self.args)
        self.assertEqual(status, 0)
        self.assertIn("━", text)
        self.assertIn("100%", text)
        self.assertRegex(text, "\r\033\\[K[^\r]*built")

    def test_a_terminal_may_have_none(self):
        self.assertNotIn("%", self.on_terminal(*self.args, "--progress=none")[1])


class Streams(CliTest):
    def setUp(self):
        super().setUp()
        self.heard = []
        self.given = 0
        for name in ("talk", "film"):
            self.bus.answer(f"harbour.{name}", lambda args: self.token(args))

    def token(self, args):
        self.given += 1
        token = f"token-{self.given}"
        self.bus.streams[token] = lambda sock: self.shout(sock, args["name"])
        return {"token": token}

    def shout(self, sock, name):
        """The other end: greets, answers in capitals, and says goodbye when no more comes."""
        sock.sendall(f"{name} here\n".encode())
        while data := sock.recv(4096):
            self.heard.append(data)
            if b"sink" in data:
                return
            sock.sendall(data.upper())
        sock.sendall(b"goodbye")

    def test_piped(self):
        self.assertEqual(self.ok("talk", "anna", stdin="ahoy"), "anna here\nAHOYgoodbye")
        self.assertEqual(self.ok("harbour", "film", "anna"), "anna here\ngoodbye")

    def test_much_both_ways(self):
        sent = "".join(f"{i}\n" for i in range(200_000))
        self.assertEqual(self.ok("talk", "anna", stdin=sent), f"anna here\n{sent}goodbye")

    def test_json_is_the_token_for_those_who_attach_themselves(self):
        self.assertEqual(json.loads(self.ok("talk", "anna", "-o", "json")), {"token": "token-1"})
        self.assertEqual(self.bus.count("bus.attach"), 0)

    def test_a_token_that_is_refused(self):
        self.bus.answer("harbour.talk", {"token": "stale"})
        self.assertEqual(self.fails(1, "talk", "anna"), "NOT_FOUND: there is no such token")

    def terminal(self, *args):
        """hvkit on a terminal: its pid, the terminal, and the terminal's state before."""
        pid, fd = pty.fork()
        if pid == 0:
            os.execve(HVKIT, [HVKIT, *args], self.env)
        self.addCleanup(os.close, fd)
        return pid, fd, termios.tcgetattr(fd)

    def expect(self, fd, text):
        seen, end = self.unread.setdefault(fd, b""), time.monotonic() + LIMIT
        while text not in seen and time.monotonic() < end:
            if select.select([fd], [], [], 1)[0]:
                seen += os.read(fd, 4096)
        self.assertIn(text, seen)
        self.unread[fd] = seen[seen.index(text) + len(text):]

    def test_on_a_terminal_every_key_goes_there_until_the_escape(self):
        pid, fd, before = self.terminal("talk", "anna")
        self.expect(fd, b"Connected to talk of anna. Ctrl-] leaves.")
        self.expect(fd, b"anna here")
        os.write(fd, b"a\x03b")  # Ctrl-C is the boat's, and nothing waits for a line
        self.expect(fd, b"A\x03B")
        os.write(fd, b"c\x1dd")
        self.expect(fd, b"Disconnected.")
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 0)
        self.assertEqual(termios.tcgetattr(fd)[:4], before[:4])
        self.assertNotIn(b"d", b"".join(self.heard))

    def test_on_a_terminal_the_other_side_may_leave(self):
        pid, fd, before = self.terminal("talk", "anna")
        self.expect(fd, b"anna here")
        os.write(fd, b"sink")
        self.expect(fd, b"closed the connection")
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 0)
        self.assertEqual(termios.tcgetattr(fd)[:4], before[:4])

    def test_a_signal_gives_the_terminal_back(self):
        pid, fd, before = self.terminal("talk", "anna")
        self.expect(fd, b"anna here")
        os.kill(pid, signal.SIGTERM)
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), -signal.SIGTERM)
        self.assertEqual(termios.tcgetattr(fd)[:4], before[:4])

    def test_what_is_not_for_a_terminal(self):
        status, text = self.on_terminal("harbour", "film", "anna")
        self.assertEqual(status, 2)
        self.assertIn("--proxy PATH", text)
        self.assertEqual(self.bus.count("harbour.film"), 0)

    def connect(self, path):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(LIMIT)
        s.connect(path)
        self.addCleanup(s.close)
        return s

    def all_of(self, s):
        s.shutdown(socket.SHUT_WR)
        got = b""
        while more := s.recv(4096):
            got += more
        return got

    def test_proxy(self):
        path = os.path.join(self.dir, "viewer.sock")
        p = self.start("harbour", "film", "anna", "--proxy", path)
        self.assertEqual(self.line(p), f"listening at {path}, until Ctrl-C\n")
        self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
        first, second = self.connect(path), self.connect(path)
        first.sendall(b"one")
        second.sendall(b"two")
        self.assertEqual(self.all_of(second), b"anna here\nTWOgoodbye")
        self.assertEqual(self.all_of(first), b"anna here\nONEgoodbye")
        self.assertEqual(self.bus.count("harbour.film"), 2)
        self.bus.answer("harbour.film", lambda args: (_ for _ in ()).throw(BusError("NOT_FOUND", "no boat 'anna'")))
        self.assertEqual(self.all_of(self.connect(path)), b"")
        p.send_signal(signal.SIGINT)
        _, err = p.communicate(timeout=LIMIT)
        self.assertEqual((p.returncode, err), (0, "hvkit: NOT_FOUND: no boat 'anna'\n"))
        self.assertFalse(os.path.exists(path))

    def test_proxy_path(self):
        path = self.file("taken", "x")
        self.assertIn("taken", self.fails(1, "harbour", "film", "anna", "--proxy", path))
        self.assertTrue(os.path.exists(path))
        stale = os.path.join(self.dir, "stale.sock")
        s = socket.socket(socket.AF_UNIX)
        s.bind(stale)
        s.close()
        p = self.start("harbour", "film", "anna", "--proxy", stale)
        self.assertIn("listening", self.line(p))
        self.bus.cut()
        p.communicate(timeout=LIMIT)
        self.assertEqual(p.returncode, 3)

    def test_proxy_is_for_streams(self):
        self.assertIn("byte stream", self.fails(2, "get", "boat", "--proxy", "x"))
        self.assertIn("--proxy", self.ok("talk", "--help"))
        self.assertNotIn("--proxy", self.ok("--help") + self.ok("get", "boat", "--help"))


class Binary(CliTest):
    PICTURE = bytes(range(256)) * 9

    def setUp(self):
        super().setUp()
        self.bus.answer("harbour.photo", {"picture": self.PICTURE, "width": 7})
        self.path = os.path.join(self.dir, "x.png")

    def test_piped_it_is_the_data_itself(self):
        for more in ([], ["--output-file", "-"]):
            r = subprocess.run([HVKIT, "harbour", "photo", "anna", *more], env=self.env, capture_output=True, timeout=LIMIT)
            self.assertEqual((r.returncode, r.stdout, r.stderr), (0, self.PICTURE, b""))

    def test_into_a_file(self):
        text = self.ok("harbour", "photo", "anna", "--output-file", self.path)
        self.assertIn(f"file:        {self.path}", text)
        self.assertIn("size_bytes:  2304 (2.2Ki", text)
        self.assertIn("width:       7", text)
        with open(self.path, "rb") as f:
            self.assertEqual(f.read(), self.PICTURE)
        self.assertEqual(json.loads(self.ok("harbour", "photo", "anna", "--output-file", self.path, "-o", "json")),
                         {"file": self.path, "size_bytes": len(self.PICTURE), "width": 7})

    def test_a_file_that_cannot_be_written(self):
        self.assertIn("/nonexistent/x", self.fails(1, "harbour", "photo", "anna", "--output-file", "/nonexistent/x"))

    def test_not_onto_a_terminal(self):
        status, text = self.on_terminal("harbour", "photo", "anna")
        self.assertEqual(status, 2)
        self.assertIn("--output-file FILE", text)
        self.assertEqual(self.bus.count("harbour.photo"), 0)

    def test_json_has_it_all(self):
        self.assertEqual(json.loads(self.ok("harbour", "photo", "anna", "-o", "json"))["width"], 7)

    def test_only_for_binary_data(self):
        self.assertIn("binary data", self.fails(2, "get", "boat", "--output-file", "x"))


class Help(CliTest):
    def test_main_page_has_the_plugins_commands(self):
        text = self.ok("--help")
        for words in ("get boat [NAME]", "start NAME", "apply -f FILE", "harbour ", "keeps boats", "api [NAME]", "--socket PATH"):
            self.assertIn(words, text)
        self.assertNotIn("secret", text)
        self.assertEqual(text, self.ok("help"))
        self.assertEqual(text, self.ok("-h"))

    def test_lists_show_the_first_thing_a_text_says(self):
        self.assertIn("say_it            Says it again\n", self.ok("radio", "--help"))
        self.assertIn("Says it again; louder. And again\n", self.ok("radio", "say-it", "--help"))

    def test_main_page_without_a_daemon(self):
        self.env["HVKIT_SOCKET"] = "/nonexistent.sock"
        text = self.ok("--help")
        self.assertIn("No hvkitd answers at /nonexistent.sock", text)
        self.assertIn("completion SHELL", text)

    def test_method_page(self):
        text = self.ok("harbour", "build", "--help")
        self.assertIn("Usage: hvkit harbour build --name TEXT --weight-bytes SIZE [options]\n", text)
        for pattern in (r"-c, --color red\|green\|blue +colour \(default: red\)", r"--weight-bytes SIZE +weight \(required, 1 to 1Ti\)",
                        r"--grace-ms DURATION +how long to wait \(default: 5s\)", r"--\[no-\]fast +make it fast", r"--plan FILE +the plan",
                        r"--machine\.cpu\.cores N +cores \(default: 1, 1 to 64\)", r"--labels KEY=VALUE +labels \(may be repeated\)", r"--arg\.help TEXT"):
            self.assertRegex(text, pattern)
        self.assertNotIn("--line", text)

    def test_method_page_by_its_words(self):
        text = self.ok("get", "boat", "-h")
        self.assertIn("Usage: hvkit get boat [NAME] [options]\nAlso:  hvkit get boats, hvkit harbour list\n", text)
        self.assertIn("-w, --watch", text)
        self.assertEqual(text, self.ok("help", "get", "boat"))
        self.assertNotIn("--watch", self.ok("start", "-h"))

    def test_group_pages(self):
        self.assertIn("get boat [NAME]", self.ok("get", "--help"))
        text = self.ok("harbour", "--help")
        for words in ("harbour: keeps boats", "provides mooring/1", "build --name TEXT", "start NAME"):
            self.assertIn(words, text)
        self.assertNotIn("secret", text)

    def test_no_line_is_wider_than_the_terminal(self):
        for args in (["--help"], ["harbour", "build", "--help"]):
            lines = re.sub("\033\\[[0-9]*m", "", self.on_terminal(*args, width=80)[1]).splitlines()
            self.assertFalse([line for line in lines if len(line) > 80])


class Api(CliTest):
    def test_tree(self):
        text = self.ok("api")
        for words in ("harbour 0.1.0  keeps boats [mooring/1]", "harbour.build", "harbour.changed", "radio.say"):
            self.assertIn(words, text)

    def test_method(self):
        text = self.ok("api", "harbour.start")
        for words in ("access    operator", "lane      mutate, one at a time per name", "deadline  5s", "hvkit start", "name of the boat (required)"):
            self.assertIn(words, text)

    def test_event(self):
        self.assertIn("a boat changed", self.ok("api", "harbour.changed"))

    def test_json_is_the_description(self):
        self.assertEqual(json.loads(self.ok("api", "-o", "json"))["instances"], self.bus.instances)
        self.assertEqual(json.loads(self.ok("api", "harbour.start", "-o", "json")), self.bus.instances[0]["methods"][1])
        self.assertEqual(json.loads(self.ok("api", "harbour.changed", "-o", "json")), self.bus.instances[0]["events"][0])

    def test_unknown(self):
        self.assertIn("did you mean 'harbour.start'?", self.fails(1, "api", "harbour.strat"))


class Call(CliTest):
    def test_arguments(self):
        self.bus.answer("harbour.build", {"built": True})
        path = self.file("plan", "text")
        self.ok("call", "harbour.build", "name=x", "weight_bytes=2Ki", "tags:=[\"a\"]", "machine.cpu.cores=3", f"plan=@{path}", "fast=no", "_timeout_ms=77")
        sent = self.bus.last("harbour.build")
        sent.pop("_progress", None)
        self.assertEqual(sent, {"name": "x", "weight_bytes": 2048, "tags": ["a"], "machine": {"cpu": {"cores": 3}}, "plan": "text", "fast": False, "_timeout_ms": 77})

    def test_json_and_stdin(self):
        self.bus.answer("other.thing", {"x": [1]})
        self.assertEqual(json.loads(self.ok("call", "other.thing", '{"a": {"b": 1}}')), {"x": [1]})
        self.assertEqual(self.bus.last("other.thing"), {"a": {"b": 1}})
        self.ok("call", "other.thing", "-", stdin=' {"c": 2}')
        self.assertEqual(self.bus.last("other.thing"), {"c": 2})
        self.ok("call", "other.thing", "n=5", "s=five", "t:=\"5\"")
        self.assertEqual(self.bus.last("other.thing"), {"n": 5, "s": "five", "t": "5"})

    def test_bad_arguments(self):
        self.assertIn("neither key=value nor key:=JSON", self.fails(2, "call", "harbour.build", "name"))
        self.assertIn("not JSON", self.fails(2, "call", "harbour.build", "tags:=["))
        self.assertIn("not a size", self.fails(2, "call", "harbour.build", "weight_bytes=x"))
        self.assertIn("NOT_FOUND", self.fails(1, "call", "no.such"))

    def test_with_output(self):
        self.bus.answer("harbour.list", {"items": [boat("a")]})
        self.assertTrue(self.ok("call", "harbour.list", "-o", "table").startswith("NAME"))


class Plugins(CliTest):
    ITEMS = [{"name": "harbour", "plugin": "harbour", "version": "0.1.0", "state": "running", "isolation": "thread", "provides": ["mooring/1"], "path": "/p/h.so"},
             {"name": "bad", "plugin": "bad.so", "state": "refused", "isolation": "thread", "provides": [], "reason": "wants ABI 2, this core has 1"}]

    def setUp(self):
        super().setUp()
        self.bus.answer("bus.plugins", {"items": self.ITEMS})

    def test_list(self):
        text = self.ok("plugin", "list")
        self.assertRegex(text, r"(?m)^harbour +harbour +0\.1\.0 +running +thread +mooring/1$")
        self.assertRegex(text, r"(?m)^bad +bad\.so +<none> +refused")
        self.assertIn("\nbad: wants ABI 2, this core has 1\n", text)
        self.assertEqual(json.loads(self.ok("plugin", "list", "-o", "json")), {"items": self.ITEMS})
        self.assertIn("/p/h.so", self.ok("plugin", "list", "-o", "wide"))

    def test_inspect(self):
        text = self.ok("plugin", "inspect", "harbour")
        self.assertIn("path:       /p/h.so", text)
        self.assertIn("start NAME", text)
        self.assertEqual(json.loads(self.ok("plugin", "inspect", "bad", "-o", "json")), self.ITEMS[1])
        self.assertIn("NOT_FOUND: there is no plugin instance 'x'", self.fails(1, "plugin", "inspect", "x"))

    def test_ping_and_version(self):
        self.assertRegex(self.ok("ping"), r"^hvkitd 9\.9\.9 answered in \d+\.\d\d ms\n$")
        self.assertIn("9.9.9", self.ok("version"))
        self.assertEqual(json.loads(self.ok("version", "-o", "json"))["daemon"], "9.9.9")
        self.env["HVKIT_SOCKET"] = "/nonexistent"
        self.assertIn("does not answer at /nonexistent", self.ok("version"))


class Events(CliTest):
    def started(self, *args):
        p = self.start("events", *args)
        self.bus.wait(lambda: any(c.subscriptions for c in self.bus.connections))
        return p

    def test_lines(self):
        p = self.started("--topic", "harbour.*")
        self.bus.publish("radio.noise", {})
        self.bus.publish("harbour.changed", {"name": "a b", "state": "Running"})
        self.assertRegex(self.line(p), r'^\d\d:\d\d:\d\d\.\d{3}  harbour\.changed +name="a b" state=Running\n$')
        p.send_signal(signal.SIGINT)
        self.assertEqual(p.wait(LIMIT), 0)

    def test_json_lines_have_the_cursor_and_count_ends(self):
        p = self.started("-o", "json", "--count", "2")
        for i in range(3):
            self.bus.publish("a.b", {"i": i})
        out, err = p.communicate(timeout=LIMIT)
        self.assertEqual((p.returncode, err), (0, ""))
        events = [json.loads(line) for line in out.splitlines()]
        self.assertEqual([(e["epoch"], e["seq"], e["topic"], e["data"]) for e in events], [(EPOCH, 1, "a.b", {"i": 0}), (EPOCH, 2, "a.b", {"i": 1})])

    def test_since(self):
        for i in range(4):
            self.bus.publish("a.b", {"i": i})
        out = self.ok("events", "--since", f"{EPOCH}:2", "--count", "2", "-o", "json")
        self.assertEqual([json.loads(line)["data"]["i"] for line in out.splitlines()], [2, 3])
        self.assertIn("OUT_OF_RANGE", self.fails(1, "events", "--since", "1:2"))
        for bad in ("x", "1", "1:", ":1", "1:2x", "-1:2"):
            self.assertIn("is not EPOCH:SEQ", self.fails(2, "events", f"--since={bad}"))

    def test_a_dropped_subscription_goes_on_where_it_was(self):
        p = self.started("--count", "3", "-o", "json")
        self.bus.publish("a.b", {"i": 0})
        self.assertIn('"i":0', self.line(p))
        before = self.bus.count("bus.subscribe")
        self.bus.drop("too slow")
        self.bus.publish("a.b", {"i": 1})
        self.bus.wait(lambda: self.bus.count("bus.subscribe") == before + 1)
        self.bus.publish("a.b", {"i": 2})
        out, err = p.communicate(timeout=LIMIT)
        self.assertEqual([json.loads(line)["data"]["i"] for line in out.splitlines()], [1, 2])
        self.assertIn("too slow", err)

    def test_the_daemon_goes(self):
        p = self.started()
        self.bus.cut()
        self.assertIn("connection closed", p.communicate(timeout=LIMIT)[1])
        self.assertEqual(p.returncode, 3)


class Watch(CliTest):
    def setUp(self):
        super().setUp()
        self.boats = {"a": "Running", "b": "Stopped"}
        self.bus.answer("harbour.list", lambda args: {"items": [boat(n, s) for n, s in sorted(self.boats.items()) if args.get("name", n) == n],
                                                      "epoch": EPOCH, "seq": len(self.bus.log)})

    def change(self, name, state):
        with self.bus.cond:
            if state is None:
                del self.boats[name]
            else:
                self.boats[name] = state
            self.bus.publish("harbour.changed", {"name": name})

    def test_changed_rows_follow(self):
        p = self.start("get", "boat", "-w")
        self.assertEqual([self.line(p).split()[:2] for _ in range(3)], [["NAME", "STATE"], ["a", "Running"], ["b", "Stopped"]])
        self.change("b", "Running")
        self.assertEqual(self.line(p).split()[:2], ["b", "Running"])
        self.change("c", "Pending")
        self.assertEqual(self.line(p).split()[:2], ["c", "Pending"])
        self.change("a", None)
        self.assertEqual(self.line(p), "a is gone\n")
        p.send_signal(signal.SIGINT)
        self.assertEqual(p.communicate(timeout=LIMIT), ("", ""))
        self.assertEqual(p.returncode, 0)

    def test_it_watches_from_the_lists_cursor(self):
        """What changes between the list and the subscription is not missed."""
        first = []

        def answer(args):
            result = {"items": [boat("a", self.boats["a"])], "epoch": EPOCH, "seq": len(self.bus.log)}
            if not first:
                first.append(1)
                self.change("a", "Stopped")
            return result

        self.bus.answer("harbour.list", answer)
        p = self.start("get", "boat", "--watch")
        self.assertEqual([self.line(p).split()[:2] for _ in range(3)], [["NAME", "STATE"], ["a", "Running"], ["a", "Stopped"]])
        self.assertEqual(self.bus.last("bus.subscribe"), {"topics": ["harbour.changed", "radio.*"], "since": {"epoch": EPOCH, "seq": 0}})

    def test_json(self):
        p = self.start("get", "boat", "a", "-w", "-o", "json")
        self.assertEqual(json.loads(self.line(p))["state"], "Running")
        self.bus.wait(lambda: any(c.subscriptions for c in self.bus.connections))
        self.change("a", "Failed")
        self.assertEqual(json.loads(self.line(p))["state"], "Failed")

    def test_a_dropped_watch_lists_again(self):
        p = self.start("get", "boat", "-w")
        for _ in range(3):
            self.line(p)
        self.bus.wait(lambda: any(c.subscriptions for c in self.bus.connections))
        with self.bus.cond:
            self.boats["a"] = "Failed"  # no event tells it
            self.bus.drop("too slow")
        self.assertEqual(self.line(p).split()[:2], ["a", "Failed"])
        self.bus.wait(lambda: any(c.subscriptions for c in self.bus.connections))
        self.change("a", "Running")
        self.assertEqual(self.line(p).split()[:2], ["a", "Running"])

    def test_what_cannot_be_watched(self):
        self.assertIn("nothing to watch", self.fails(2, "start", "x", "-w"))
        self.assertIn("nothing to watch", self.fails(2, "ping", "-w"))


class Completion(CliTest):
    def complete(self, *words):
        return [line.split("\t")[0] for line in self.ok("__complete", "--", *words).splitlines()]

    def test_words(self):
        words = self.complete("")
        for word in ("get", "start", "apply", "harbour", "radio", "api", "events", "plugin"):
            self.assertIn(word, words)
        self.assertEqual(len(words), len(set(words)))
        self.assertEqual(self.complete("st"), ["start"])
        self.assertEqual(self.complete("get", ""), ["boat", "boats"])
        self.assertEqual(self.complete("harbour", ""), ["list", "start", "apply", "build", "get", "talk", "film", "photo"])
        self.assertEqual(self.complete("plugin", ""), ["list", "inspect"])

    def test_options_and_values(self):
        self.assertEqual(self.complete("harbour", "build", "--c"), ["--color"])
        self.assertIn("--weight-bytes", self.complete("harbour", "build", "--"))
        self.assertEqual(self.complete("harbour", "build", "--color", ""), ["red", "green", "blue"])
        self.assertEqual(self.complete("harbour", "build", "--color", "=", "g"), ["green"])
        self.assertEqual(self.complete("-o", "j"), ["json"])
        self.assertEqual(self.complete("apply", "-f", ""), [":file"])
        self.assertEqual(self.complete("harbour", "build", "--dock", ""), [":file"])
        self.assertEqual(self.complete("completion", ""), ["bash", "zsh", "fish"])

    def test_names_of_objects(self):
        self.bus.answer("harbour.list", {"items": [boat("alpha"), boat("beta")]})
        self.assertEqual(self.complete("start", ""), ["alpha", "beta"])
        self.assertEqual(self.complete("-n", "ns", "start", "al"), ["alpha"])
        self.assertEqual(self.bus.last("harbour.list")["namespace"], "ns")
        self.assertEqual(self.complete("start", "alpha", ""), [])

    def test_of_built_ins(self):
        self.assertIn("harbour.start", self.complete("api", "harbour."))
        self.assertIn("name=", self.complete("call", "harbour.start", ""))
        self.assertEqual(self.complete("events", "--topic", ""), ["harbour.changed"])
        self.assertEqual(self.complete("plugin", "inspect", "ra"), ["radio"])

    def test_without_a_daemon(self):
        self.env["HVKIT_SOCKET"] = "/nonexistent"
        self.assertIn("completion", self.complete(""))
        self.assertEqual(self.complete("get", ""), [])

    def test_the_bash_script_works_in_bash(self):
        self.bus.answer("harbour.list", {"items": [boat("alpha")]})
        script = (f'source <("{HVKIT}" completion bash)\n'
                  'try () { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _hvkit; echo "${COMPREPLY[@]}"; }\n'
                  f'try "{HVKIT}" st\ntry "{HVKIT}" start ""\ntry "{HVKIT}" apply -f "{self.dir}/pl"\n')
        self.file("plan.yaml", "")
        r = subprocess.run(["bash", "-c", script], env=self.env, capture_output=True, text=True, timeout=LIMIT)
        self.assertEqual(r.stdout.splitlines(), ["start", "alpha", f"{self.dir}/plan.yaml"], r.stderr)

    def test_scripts_are_for_the_named_shell(self):
        self.assertIn("compdef _hvkit hvkit", self.ok("completion", "zsh"))
        self.assertIn("complete -c hvkit", self.ok("completion", "fish"))
        self.assertIn("none of: bash, zsh, fish", self.fails(2, "completion", "tcsh"))


if __name__ == "__main__":
    unittest.main()

# SPDX-License-Identifier: LGPL-2.1-or-later
"""Every public header compiles alone, as C11 and as C++20, with the strictest warnings; and the layout of the ABI only grows."""
import pathlib
import subprocess
import tempfile
import unittest

TOP = pathlib.Path(__file__).resolve().parents[2]
INCLUDE = TOP / "sdk/include"
GOLDEN = TOP / "sdk/abi/1.0/layout.txt"

STRUCTS = {
    "hv_err_api": ["struct_size", "setv", "wrapv", "data", "code", "message", "data_get", "move", "free"],
    "hv_field": ["struct_size", "type", "flags", "offset", "has_offset", "item_size", "name", "doc", "unit", "def", "min", "umin", "max", "record", "words",
                 "pattern", "since"],
    "hv_record": ["struct_size", "c_size", "name", "doc", "fields"],
    "hv_cli": ["struct_size", "flags", "words", "positional", "columns", "wide", "list", "done", "watch", "shorts"],
    "hv_method": ["struct_size", "flags", "verb", "handler", "args", "result", "access", "lane", "key", "timeout_ms", "cli", "doc", "since", "base"],
    "hv_event": ["struct_size", "flags", "name", "data", "doc", "since"],
    "hv_iface": ["struct_size", "major", "name", "doc", "verbs", "events"],
    "hv_event_info": ["struct_size", "epoch", "seq", "time_ms", "topic", "data"],
    "hv_call_options": ["struct_size", "timeout_ms", "idempotency_key"],
    "hv_stream_options": ["struct_size", "what", "ended", "arg"],
    "hv_spawn": ["struct_size", "flags", "argv", "env", "cwd", "fds", "fd_count", "stdin_fd", "stdout_fd", "stderr_fd", "uid", "gid", "limit_as_bytes",
                 "limit_cpu_s", "limit_fsize_bytes"],
    "hv_host_info": ["struct_size", "instance", "state_dir", "run_dir", "boot_id", "version"],
    "hv_host_api": ["struct_size", "abi_major", "abi_minor", "err_new", "logv", "info", "now_ms", "alloc", "scope_mark", "scope_release", "go", "sleep", "wait_fd",
                    "offload", "cond_new", "cond_wait", "cond_wake", "cond_free", "timer_new", "timer_set", "timer_free", "watch_new", "watch_set", "watch_free",
                    "spawn", "call", "publish", "subscribe", "unsubscribe", "cursor", "cancelled", "caller_uid", "deadline_left_ms", "progress", "store_put",
                    "store_get", "store_delete", "store_list", "decode", "encode", "max_age_ms", "step", "stream_open", "stream_close"],
    "hv_plugin": ["struct_size", "abi_major", "abi_minor", "name", "version", "summary", "license", "provides", "needs", "config", "methods", "events", "start",
                  "stop"],
    "hv_pack": ["data", "size", "capacity", "failed"],
    "hv_read": ["at", "end"],
    "hv_value": ["type", "size", "as", "ext_type"],
    "hv_bin": ["data", "size"],
    "hv_strs": ["items", "count"],
    "hv_pair": ["key", "value"],
    "hv_map": ["items", "count"],
}


def compile_alone(compiler, header):
    return subprocess.run([*compiler, "-Wall", "-Wextra", "-Wpedantic", "-Werror", f"-I{INCLUDE}", "-fsyntax-only", "-"], input=f"#include <{header}>\n", text=True,
                          capture_output=True)


class Headers(unittest.TestCase):
    def test_alone(self):
        for path in sorted(INCLUDE.rglob("*.h")):
            header = path.relative_to(INCLUDE)
            for compiler in (["gcc", "-std=c11", "-x", "c"], ["g++", "-std=c++20", "-x", "c++"], ["clang", "-std=c11", "-x", "c"]):
                with self.subTest(header=str(header), compiler=compiler[0]):
                    r = compile_alone(compiler, header)
                    self.assertEqual(r.returncode, 0, r.stderr)

    def test_a_method_without_access_does_not_compile(self):
        table = "#include <hvkit/plugin.h>\nstatic const struct hv_method *const m = HV_METHOD (\"x\", %s, 0, 0, 0, \"doc\");\nconst void *use (void);\nconst void *use (void) { return m; }\n"
        for access, ok in (("HV_VIEWER", True), ("0", False), ("4", False)):
            r = subprocess.run(["gcc", "-std=c11", "-x", "c", f"-I{INCLUDE}", "-fsyntax-only", "-"], input=table % access, text=True, capture_output=True)
            self.assertEqual(r.returncode == 0, ok, r.stderr)

    def test_layout_only_grows(self):
        lines = ["#include <hvkit/plugin.h>", "#include <stdio.h>", "int main (void) {"]
        for struct, members in STRUCTS.items():
            for m in members:
                lines.append(f'  printf ("{struct}.{m} %zu %zu\\n", offsetof (struct {struct}, {m}), sizeof (((struct {struct} *) 0)->{m}));')
        lines += ["  return 0;", "}"]
        with tempfile.TemporaryDirectory() as d:
            subprocess.run(["gcc", "-std=c11", "-x", "c", f"-I{INCLUDE}", "-", "-o", f"{d}/layout"], input="\n".join(lines), text=True, check=True)
            now = subprocess.run([f"{d}/layout"], capture_output=True, text=True, check=True).stdout.splitlines()
        if not GOLDEN.exists():
            self.fail(f"{GOLDEN} is missing; it holds:\n" + "\n".join(now))
        golden = GOLDEN.read_text().splitlines()
        gone = [line for line in golden if line not in now]
        self.assertEqual(gone, [], "the ABI of a released version never changes: append, and raise HV_ABI_MINOR")
        self.assertEqual([line for line in now if line not in golden], [], f"new members: add these lines to {GOLDEN.relative_to(TOP)}")


if __name__ == "__main__":
    unittest.main()

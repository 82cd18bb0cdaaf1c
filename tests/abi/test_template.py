# SPDX-License-Identifier: LGPL-2.1-or-later
"""The template plugin (and the reference provider under the conformance kit), built outside the tree against the installed SDK, by CMake and by pkg-config; loaded by a real hvkitd and used."""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from hvkitd import TOP, Daemon, build_dir  # noqa: E402


def run(*argv, **more):
    r = subprocess.run([str(a) for a in argv], capture_output=True, text=True, **more)
    if r.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, argv))}: exit {r.returncode}\n{r.stdout}\n{r.stderr}")
    return r.stdout


def sanitizer_flags():
    """A plugin of a plain compiler cannot be loaded by a sanitized daemon's SDK archive: it takes the same flags."""
    cache = (build_dir() / "CMakeCache.txt").read_text()
    m = re.search(r"^HV_SANITIZE:\w+=(.+)$", cache, re.M)
    return f"-fsanitize={m.group(1)}" if m else ""


class Installed(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dir = pathlib.Path(tempfile.mkdtemp(prefix="hvkit-template-"))
        os.chmod(cls.dir, 0o755)
        cls.prefix = cls.dir / "prefix"
        run("cmake", "--install", build_dir(), "--prefix", cls.prefix)
        cls.source = cls.dir / "my-plugin"
        shutil.copytree(TOP / "sdk/template", cls.source)
        for root, _, files in os.walk(cls.prefix):
            os.chmod(root, 0o755)
        cls.flags = sanitizer_flags()

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.dir, ignore_errors=True)


class Template(Installed):
    def exports(self, so):
        return [line.split()[-1] for line in run("nm", "-D", "--defined-only", so).splitlines() if not re.search(r"__(asan|ubsan|odr_asan|sanitizer|tsan)", line)]

    def use(self, so):
        os.chmod(so, 0o755)
        d = Daemon(manifests={"hello": {"name": "hello", "plugin": str(so)}})
        self.addCleanup(d.cleanup)
        d.start()
        self.assertRegex(d.cli("plugin", "list").stdout, r"hello\s+hello\s+1\.0\.0\s+running")
        self.assertIn("hello.greet", d.cli("api").stdout)
        self.assertIn("who to greet", d.cli("api", "hello.greet").stdout)
        self.assertIn("Hello, x!", d.cli("hello", "greet", "--name", "x").stdout)
        self.assertIn("Hello, x! Hello, x!", d.cli("hello", "greet", "--name", "x", "--times", "2").stdout)
        text = d.cli("hello", "greet", "--help").stdout
        for word in ("--name", "--times", "who to greet", "how many times", "required"):
            self.assertIn(word, text)
        bad = d.cli("hello", "greet", "--name", "", check=False)
        self.assertEqual(bad.returncode, 1)
        self.assertIn("INVALID_ARGUMENT", bad.stderr)
        self.assertEqual(d.cli("hello", "greet", "--nam", "x", check=False).returncode, 2)

    def test_code_is_short(self):
        text = re.sub(r"/\*.*?\*/", "", (TOP / "sdk/template/hello.c").read_text(), flags=re.S)
        self.assertLessEqual(len([line for line in text.splitlines() if line.strip()]), 40)

    def test_cmake(self):
        build = self.dir / "build"
        run("cmake", "-S", self.source, "-B", build, f"-DCMAKE_PREFIX_PATH={self.prefix}", f"-DCMAKE_C_FLAGS={self.flags} -Wall -Wextra -Werror",
            f"-DCMAKE_INSTALL_PREFIX={self.dir / 'inst'}", *(["-DCMAKE_MODULE_LINKER_FLAGS=-Wl,-z,undefs"] if self.flags else []))
        run("cmake", "--build", build)
        self.assertEqual(self.exports(build / "hello.so"), ["hv_plugin_entry_v1"])
        self.use(build / "hello.so")

    def test_pkg_config(self):
        env = {**os.environ, "PKG_CONFIG_PATH": f"{next(self.prefix.rglob('pkgconfig'))}"}
        cflags = run("pkg-config", "--cflags", "hvkit", env=env, ).split()
        libs = run("pkg-config", "--variable=pluginlibs", "hvkit", env=env).split()
        prefix = run("pkg-config", "--variable=prefix", "hvkit", env=env).strip()
        fix = [w.replace(prefix, str(self.prefix)) for w in cflags + libs]
        if self.flags:
            fix = [w for w in fix if w != "-Wl,-z,defs"] + self.flags.split()
        so = self.dir / "hello.so"
        run("gcc", "-std=c11", "-fPIC", "-shared", "-fvisibility=hidden", self.source / "hello.c", "-o", so, *fix)
        self.assertEqual(self.exports(so), ["hv_plugin_entry_v1"])
        self.use(so)


class Conformance(Installed):
    """The reference provider from the installed sources, under the installed kit, as a vendor would have it."""

    PROJECT = """cmake_minimum_required(VERSION 3.20)
project(toy LANGUAGES C)
find_package(hvkit REQUIRED)
file(GLOB sources *.c)
hvkit_add_plugin(toyhv SOURCES ${sources})
enable_testing()
hvkit_add_conformance_test(conforms hypervisor toyhv ARGS --only "events.*" --only "restart.*" --only "probe.*")
hvkit_add_conformance_test(rejected hypervisor toyhv ARGS --config "{\\"colour\\":1}")
"""

    def test_a_vendor_runs_the_kit(self):
        kit = self.prefix / "bin/hvkit-tck"
        self.assertIn("events.chain", run(kit, "hypervisor", "--list"))
        source = self.dir / "toyhv"
        shutil.copytree(self.prefix / "share/hvkit/toyhv", source)
        self.assertFalse((source / "mutants").exists())
        (source / "CMakeLists.txt").write_text(self.PROJECT)
        run("cmake", "-S", source, "-B", source / "build", f"-DCMAKE_PREFIX_PATH={self.prefix}", f"-DCMAKE_C_FLAGS={self.flags} -Wall -Wextra -Werror",
            *(["-DCMAKE_MODULE_LINKER_FLAGS=-Wl,-z,undefs"] if self.flags else []))
        run("cmake", "--build", source / "build")
        run("ctest", "--test-dir", source / "build", "-R", "conforms", "--output-on-failure")
        r = subprocess.run(["ctest", "--test-dir", str(source / "build"), "-R", "rejected", "--output-on-failure"], capture_output=True, text=True)
        self.assertNotEqual(r.returncode, 0)
        self.assertRegex(r.stdout, r"fail\s+load[^\n]*\n\s+the plugin does not start: .*colour")

    def test_what_is_no_provider_is_told_so(self):
        r = subprocess.run([str(self.prefix / "bin/hvkit-tck"), "hypervisor", str(build_dir() / "plugins/lib/disk-raw.so")], capture_output=True, text=True)
        self.assertEqual(r.returncode, 1)
        self.assertIn("plugin 'disk-raw' does not provide hypervisor/1", r.stdout)


if __name__ == "__main__":
    unittest.main()

# SPDX-License-Identifier: LGPL-2.1-or-later
"""The benches' bare QEMU is given exactly the descriptors that an argv of the plugin names, or says which it cannot."""
import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "bench"))
from bare import NotUnderstood, descriptors  # noqa: E402

MONITOR = ["-chardev", "socket,id=monitor0,fd=3,server=on,wait=off"]
LOG = ["-add-fd", "fd=4,set=2,opaque=firmware-log", "-chardev", "file,id=firmware-log,path=/dev/fdset/2,append=on"]


class Descriptors(unittest.TestCase):
    def test_of_what_the_plugin_writes(self):
        self.assertEqual(descriptors(["qemu", "-S", *MONITOR, *LOG]), {3: ("listen", "monitor0"), 4: ("log", "firmware-log")})

    def refused(self, what, *more):
        with self.assertRaisesRegex(NotUnderstood, what):
            descriptors(["qemu", *MONITOR, *more])

    def test_what_is_not_understood_is_named(self):
        self.refused('-netdev .*"fd":"4"', "-netdev", '{"type":"tap","id":"host-a","fd":"4"}')
        self.refused("-netdev .*4:5", "-netdev", '{"type":"tap","id":"host-a","fds":"4:5","vhostfds":"6:7"}')
        self.refused("-add-fd fd=4,set=3,opaque=nvram", "-add-fd", "fd=4,set=3,opaque=nvram")
        self.refused("-chardev pipe", "-chardev", "pipe,id=a,fd=4")

    def test_what_does_not_add_up_is_refused(self):
        self.refused("fdsets .*'2'.* are used", "-chardev", "file,id=firmware-log,path=/dev/fdset/2")
        self.refused("fdsets", "-add-fd", "fd=4,set=2,opaque=firmware-log")
        self.refused("without a gap", "-chardev", "socket,id=agent0-socket,fd=5,server=on")
        with self.assertRaisesRegex(NotUnderstood, "a monitor"):
            descriptors(["qemu"])


if __name__ == "__main__":
    unittest.main()

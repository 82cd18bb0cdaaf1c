# SPDX-License-Identifier: LGPL-2.1-or-later
"""A test script in mount and network namespaces of its own: nothing that it mounts or plugs together is left behind."""
import os
import subprocess
import sys


def enter(why):
    """Starts the script over in there, as root there; returns when it is. Exit code 77 where that cannot be done."""
    if os.environ.get("HVKIT_IN_NAMESPACE"):
        return
    unshare = ["unshare", "--mount", "--net", "--propagation", "private"] + ([] if os.geteuid() == 0 else ["--user", "--map-root-user"])
    if subprocess.run([*unshare, "true"], capture_output=True).returncode != 0:
        print(f"SKIP: {why} needs root, or user namespaces")
        sys.exit(77)
    os.environ["HVKIT_IN_NAMESPACE"] = "1"
    os.execvp(unshare[0], [*unshare, sys.executable, *sys.argv])

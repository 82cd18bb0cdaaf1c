# SPDX-License-Identifier: LGPL-2.1-or-later
"""The one bounded wait of all tests."""
import time


def until(what, fn, timeout=30, step=0.01):
    """Polls fn until it is true."""
    end = time.monotonic() + timeout
    while True:
        value = fn()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {timeout} s")
        time.sleep(step)

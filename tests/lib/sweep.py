# SPDX-License-Identifier: LGPL-2.1-or-later
"""A death of the daemon at every step of attach and detach: afterwards all of it is there, or nothing."""
import collections

from netns import servers
from waiting import until


def run_to(d, act, settled=lambda: True, kill=None):
    """Starts a daemon that dies at a step, or, without one, when all is done; the steps that it came by."""
    log = d.dir / "steps"
    d.env = {"HVKIT_FAULT_LOG": str(log), **({"HVKIT_FAULT_KILL": kill} if kill else {})}
    d.start()
    try:
        act()
        until("what follows it, or a death", lambda: settled() or d.process.poll() is not None, 20)
    except (EOFError, OSError):
        pass
    if kill:
        until(f"the death at {kill}", lambda: d.process.poll() is not None, 20)
    else:
        d.kill()
    d.env = {}
    steps = log.read_text().split()
    log.unlink()
    return steps


def die_at_every_step(test, d, attach, detach, snapshot, check=lambda: None, serves=True):
    """check: what is asserted of an attachment that is there; serves: it has a DHCP server. Returns how many steps there were."""
    def served():
        return len(servers(d)) == 1 or not serves
    before = snapshot()
    made, undone = run_to(d, attach, served), run_to(d, detach)
    test.assertEqual(snapshot(), before)
    for verb, act, steps in (("attach", attach, made), ("detach", detach, undone)):
        seen = collections.Counter()
        for step in steps:
            seen[step] += 1
            with test.subTest(verb, step=step, time=seen[step]):
                if verb == "detach":
                    run_to(d, attach, served)
                run_to(d, act, served if verb == "attach" else lambda: True, f"{step}:{seen[step]}")
                d.start()
                items = d.rpc().call("net-bridge.list", {})["items"]
                if items:  # it was done, though nobody was told
                    test.assertEqual([i["state"] for i in items], ["attached"])
                    until("the DHCP server", served, 20)
                    check()
                    detach()
                test.assertEqual(snapshot(), before)
                test.assertEqual(d.networks(), ([], []))
                d.kill()
    return f"{len(made)} steps of attach, {len(undone)} of detach"

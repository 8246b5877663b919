"""A tethered program is told when the process that started it dies, however that dies, and whatever it does then."""

from __future__ import annotations

import signal
import subprocess
import sys

from missions.engine.tether import tethered

PARENT = """
import subprocess, sys, time
from missions.engine.tether import tethered
subprocess.Popen(tethered([sys.executable, "-c", sys.argv[1]]))
time.sleep(600)
"""
# Neither looks at anything but its signals; the pipe ends when both have ended.
DEAF = "import time; print('up', flush=True); time.sleep(600)"
ORDERLY = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: (print("told", flush=True), sys.exit(0)))
print("up", flush=True)
time.sleep(600)
"""


def after_the_parents_death(child: str) -> str:
    """What a child still prints when its parent is killed; ends only with the child."""
    with subprocess.Popen([sys.executable, "-c", PARENT, child], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None and parent.stdout.readline() == "up\n"
        parent.send_signal(signal.SIGKILL)
        return parent.stdout.read()


def test_program_ends_with_the_process_that_started_it() -> None:
    assert after_the_parents_death(DEAF) == ""


def test_program_that_takes_signals_may_end_in_order() -> None:
    assert after_the_parents_death(ORDERLY) == "told\n"


def test_program_of_a_dead_parent_does_not_start() -> None:
    command = tethered([sys.executable, "-c", "print('up')"])
    middleman = [sys.executable, "-c", "import subprocess, sys; sys.exit(subprocess.call(sys.argv[1:]))", *command]
    done = subprocess.run(middleman, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "has died" in done.stderr

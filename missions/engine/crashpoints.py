"""Named points at which a process can be made to crash, so that tests kill it exactly there.

The environment variable STANDFAST_CRASH_AT holds `NAME`, `NAME:N` (the N-th arrival) or `NAME:N:STOP` (SIGSTOP
instead of SIGKILL). It is read once. Unset, as everywhere but in tests, `reach` does nothing. Tests that fork `arm`.
"""

from __future__ import annotations

import os
import signal

NAMES = (
    "after_claim", "after_ruling", "decision_upsert", "after_intent", "after_recheck", "call_sent", "call_answered",
    "after_outcome", "mid_flush", "during_park", "after_park", "vote_and_wake", "after_takeover",
)
OF_CHILDREN = ("child_started", "awaited_end")  # points that only missions with children come to
OF_ROLLBACKS = ("after_undo",)
OF_GOALS = ("goal_answered",)  # of controls that amend a goal while people are asked something
OF_BUDGETS = ("budget_held",)  # that only missions under a period budget come to
OF_AGENTS = ("llm_answered",)  # that only missions with agents come to
OF_KEEPING = ("bundle_shelved", "bundle_sealed", "bundle_checked", "mid_removal")  # of housekeeping
OF_EFFECTS = (*NAMES, *OF_CHILDREN, *OF_ROLLBACKS, *OF_BUDGETS, *OF_KEEPING)  # the rows of the crash table
ALL = (*OF_EFFECTS, *OF_GOALS, *OF_AGENTS)
_name, _nth, _signal, _arrivals = "", 1, signal.SIGKILL, 0


def arm(wanted: str) -> None:
    """Crash where `NAME`, `NAME:N` or `NAME:N:STOP` says, counted from now; empty: nowhere."""
    global _name, _nth, _signal, _arrivals
    _name, _, rest = wanted.partition(":")
    _nth, _arrivals = int(rest.partition(":")[0] or 1), 0
    _signal = signal.SIGSTOP if rest.endswith(":STOP") else signal.SIGKILL


def reach(name: str) -> None:
    """Crash here if this is the point, and the arrival, that was asked for."""
    global _arrivals
    if name != _name:
        return
    _arrivals += 1
    if _arrivals == _nth:
        os.write(2, f"crash point {name}\n".encode())  # no logging: nothing may be flushed late, or not at all
        os.kill(os.getpid(), _signal)


arm(os.environ.get("STANDFAST_CRASH_AT", ""))

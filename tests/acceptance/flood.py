"""Run inside Django, in a process of its own (`System.inside`): two signals to each of many parked missions.

The second one comes a few milliseconds after the first, so that it meets the mission in every phase of its short life
between claim and park; nothing comes after it that could wake the mission once more. Each is sent twice.
"""

from __future__ import annotations

import json
import random
import sys
import time

from missions.engine import mailbox, starting
from missions.models import Mission, State

MISSIONS, SIGNALS = 200, 2
LONGEST_PAUSE = 0.015  # seconds; about twice the time from claim to park
PATIENCE = 60.0


def main() -> None:
    """Print the missions' ids and how many signals counted."""
    uids = [str(starting.start("test.listen", {"signals": SIGNALS})[0].uid) for _ in range(MISSIONS)]
    end = time.monotonic() + PATIENCE
    while Mission.objects.filter(uid__in=uids).exclude(state=State.WAITING).exists() and time.monotonic() < end:
        time.sleep(0.05)
    counted = sum(_send(mission) for mission in Mission.objects.filter(uid__in=uids).values_list("pk", flat=True))
    json.dump({"uids": uids, "counted": counted}, sys.stdout)


def _send(mission: int) -> int:
    counted = 0
    for number in range(SIGNALS):
        time.sleep(number * random.uniform(0, LONGEST_PAUSE))
        for _ in range(2):
            counted += mailbox.deliver(mission, "tick", {"number": number}, key=f"tick {number}")
    return counted

"""Run inside Django, in a process of its own (`inside`): an agent, and one mission of it that is not due."""

from __future__ import annotations

import datetime as dt
import json
import sys

from missions.engine import starting
from missions.engine.clock import database_now
from tests import thinkers


def main() -> None:
    """Print the mission's row id as JSON."""
    thinkers.version("scout")
    later = database_now() + dt.timedelta(days=1)
    mission, _ = starting.start("agent", {"agent": "scout", "goal": "Wait, and answer."}, start_at=later)
    json.dump(mission.pk, sys.stdout)

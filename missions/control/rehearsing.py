"""Replays where they can be ended: the author's code may never return, and no web process may hang on it.

`timed` ends a replay in this process, of which it needs the main thread. `replay_apart` is for servers: it runs
`manage.py mission replay` in a process of its own, which is killed where it does not keep to its time.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import types
from dataclasses import fields
from typing import Any, NoReturn

from django.conf import settings

from missions.control.replay import Replayed, replay
from missions.engine import authored
from missions.models import Mission

GRACE_SECONDS = 60.0  # for a process to start on a busy machine; `timed` ends all but what never comes back from C
AGAIN_SECONDS = 1.0  # code that swallows the end of its time is asked so often


class TimeIsUp(BaseException):
    """The replay takes longer than MISSIONS_REPLAY_SECONDS; no `except Exception` of an author's keeps it."""


def timed(mission: Mission) -> Replayed:
    """Replay one mission within MISSIONS_REPLAY_SECONDS. In the main thread only, whose alarm it uses."""
    asked = 0

    def ring(number: int, frame: types.FrameType | None) -> NoReturn:
        nonlocal asked
        asked += 1
        if asked > 3:  # it goes on all the same, and nothing but the end of the process ends it
            sys.stderr.write(f"Mission {mission.uid}: {_over(_place(frame))}\n")
            sys.stderr.flush()
            os._exit(1)
        raise TimeIsUp(_place(frame))

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, settings.MISSIONS_REPLAY_SECONDS, AGAIN_SECONDS)
    try:
        return replay(mission)
    except TimeIsUp as error:
        return Replayed(ok=False, version=mission.version, entries=0, detail=_over(str(error)))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _place(frame: types.FrameType | None) -> str:
    """Where the author's code stood, as file and line."""
    while frame is not None and not authored.is_authors(frame):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}" if frame is not None else ""


def _over(place: str = "") -> str:
    where = f" It stood at {place}." if place else ""
    return f"The code did not come to the end of the record within {settings.MISSIONS_REPLAY_SECONDS:g} s.{where}"


def replay_apart(mission: Mission) -> Replayed:
    """Replay one mission in a process of its own, with the settings and the database of this one."""
    command = [sys.executable, "-m", "django", "mission", "replay", str(mission.uid), "--json"]
    try:
        told = subprocess.run(
            command, capture_output=True, cwd=settings.BASE_DIR, stdin=subprocess.DEVNULL, check=False,
            start_new_session=True, timeout=settings.MISSIONS_REPLAY_SECONDS + GRACE_SECONDS,
        )
    except subprocess.TimeoutExpired:  # it was killed
        return Replayed(ok=False, version=mission.version, entries=0, detail=_over())
    rows = [row for row in map(_row, told.stdout.splitlines()) if row is not None]
    if rows:
        known = {field.name for field in fields(Replayed)}
        return Replayed(**{name: value for name, value in rows[0].items() if name in known})
    words = told.stderr.decode(errors="replace").strip().splitlines()[-1:]
    detail = words[0] if words else f"The replay ended with status {told.returncode} and said nothing."
    return Replayed(ok=False, version=mission.version, entries=0, detail=detail)


def _row(line: bytes) -> dict[str, Any] | None:
    try:
        told = json.loads(line)
    except ValueError:  # the author's code may print
        return None
    return told if isinstance(told, dict) and "ok" in told else None


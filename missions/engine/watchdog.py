"""The watchdog: a thread that notices when the event loop of its process stands still, and says whose code does that.

An author's code that blocks the loop holds up every mission of the worker, and its heartbeat: a peer will end the
process. The watchdog speaks up before, with file and line. It ends nothing itself.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import sysconfig
import threading
import time
import traceback
from pathlib import Path
from types import FrameType

import missions

logger = logging.getLogger(__name__)
LOOKS = 4  # how often it looks within the time that it allows
STACK_CHARACTERS = 6000
OWN = str(Path(missions.__file__).parent)
LIBRARY = Path(OWN) / "library"  # bundled missions are authors' code too
FOREIGN = (sysconfig.get_path("stdlib"), sysconfig.get_path("purelib"), sysconfig.get_path("platlib"), "<")


class Watchdog:
    """Watches the running loop from `start` to `stop`. `stalls` counts how often it stood still."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._thread_id = threading.get_ident()
        self._ended = threading.Event()
        self._answered = True
        self.stalls = 0

    def start(self) -> None:
        """Begin to watch."""
        threading.Thread(target=self._watch, name="standfast-watchdog", daemon=True).start()

    def stop(self) -> None:
        """Watch no more; returns at once."""
        self._ended.set()

    def _tick(self) -> None:
        self._answered = True

    def _watch(self) -> None:
        asked_at = time.monotonic()
        told = False
        while not self._ended.wait(self._seconds / LOOKS):
            if self._answered:
                asked_at, told, self._answered = time.monotonic(), False, False
                try:
                    self._loop.call_soon_threadsafe(self._tick)
                except RuntimeError:  # the loop is closed: there is nothing to watch any more
                    return
            elif not told and time.monotonic() - asked_at > self._seconds:
                self.stalls, told = self.stalls + 1, True
                self._tell(time.monotonic() - asked_at)

    def _tell(self, seconds: float) -> None:
        frame = sys._current_frames().get(self._thread_id)
        stack = traceback.extract_stack(frame)
        facts = {
            "action": "loop_stalled", "seconds": round(seconds, 1), "at": culprit(frame),
            "stack": "".join(stack.format())[-STACK_CHARACTERS:],
        }
        logger.error("The event loop stands still: a mission blocks it", extra=facts)


def culprit(frame: FrameType | None) -> str:
    """The innermost line of an author's code, as FILE:LINE in FUNCTION; where there is none, the innermost of all."""
    innermost = frame
    while frame is not None:
        file = frame.f_code.co_filename
        ours = file.startswith(OWN) and not file.startswith(str(LIBRARY))
        if not ours and not file.startswith(FOREIGN) and "site-packages" not in file and frame.f_back is not None:
            return _place(frame)
        frame = frame.f_back
    return _place(innermost) if innermost is not None else "unknown"


def _place(frame: FrameType) -> str:
    return f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_name}"

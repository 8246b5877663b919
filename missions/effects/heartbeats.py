"""Heartbeats of one try of a step or tool: coalesced, and kept over the lane.

A function reports from whatever thread it runs in. At most one write an interval is sent, the first at once, the last
when the try ends without a result. In a thread, `heartbeat` returns from a cursor that is due once it is durable; so
whoever goes on from a cursor repeats one interval at most, and what was done since the heartbeat before.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from missions.engine import codec
from missions.engine.arrays import int4, int8
from missions.engine.run import Run
from missions.engine.session import Call
from missions.engine.writes import Head, Side, Write
from missions.errors import GivenUp
from missions.secrets.redacting import redact

LOOK_SECONDS = 0.2  # how often a thread that waits looks whether its call was given up
REPORT_BYTES = codec.INLINE_BYTES


@dataclass(frozen=True, slots=True)
class Report:
    """What a call said last; a cursor stands until another one is reported."""

    progress: bytes | None = None
    cursor: bytes | None = None
    workspace: bytes | None = None  # its manifest as of the cursor
    side: tuple[Side, ...] = ()


class Reporter:
    """The heartbeats of one try. `heartbeat` may be called from any thread, all else from the run's event loop."""

    def __init__(self, run: Run, path: str, interval: float) -> None:
        self._run, self._path, self._interval = run, path, interval
        self.began_at: float | None = None  # monotonic; None while it waits for a thread
        self.heard_at = 0.0
        self.sent = False
        self.snapshot: Callable[[], tuple[bytes, Side] | None] | None = None  # where the call uses the workspace
        self._loop = asyncio.get_running_loop()
        self._guard = threading.Lock()
        self._last, self._unsent, self._closed = Report(), False, False
        self._sent_at = self._snapped_at = float("-inf")
        self._flight: asyncio.Future[int] | None = None

    def begin(self) -> None:
        """The function starts now."""
        self.began_at = self.heard_at = time.monotonic()

    def check(self) -> None:
        """Raises GivenUp where the call was given up, or its mission is no longer ours."""
        if self._closed or self._run.has_left:
            raise GivenUp

    def heartbeat(self, progress: Any = None, cursor: Any = None) -> None:
        """Say that the call goes on: how far it is, for people, and where a call that is cut off here should go on.

        Both are plain JSON of at most 32 KiB. Raises GivenUp, Unserialisable, PayloadTooLarge.
        """
        self.check()
        said, place = (
            None if it is None else codec.dump(redact(it), limit=REPORT_BYTES) for it in (progress, cursor)
        )
        self.heard_at = time.monotonic()
        changes = self._place(place)
        with self._guard:
            last = self._last
            self._last = Report(
                said if said is not None else last.progress, *(changes or (last.cursor, last.workspace, last.side))
            )
            waiting, self._unsent = self._unsent, True
        if place is not None and self.heard_at - self._sent_at >= self._interval and not on_loop():
            self._durably()
        elif not waiting:
            self._wake(self._due)

    def _place(self, cursor: bytes | None) -> tuple[bytes, bytes | None, tuple[Side, ...]] | None:
        """A cursor with the workspace as of it; None where the one before stands."""
        if cursor is None:
            return None
        if self.snapshot is None:
            return cursor, None, ()
        if self.heard_at - self._snapped_at < self._interval or (taken := self.snapshot()) is None:
            return None
        self._snapped_at = self.heard_at
        manifest, use = taken
        return cursor, manifest, (use,)

    def _wake(self, function: Callable[[], None]) -> None:
        try:
            self._loop.call_soon_threadsafe(function)
        except RuntimeError as error:  # the worker's loop has ended, this thread has not
            raise GivenUp from error

    def _durably(self) -> None:
        """In a thread, a cursor that is due is durable before the function goes on: it is never further ahead."""
        kept = threading.Event()

        def send() -> None:
            if not self._closed and not self._run.has_left:
                self._send().add_done_callback(lambda done: kept.set())

        self._wake(send)
        while not kept.wait(LOOK_SECONDS):
            self.check()  # of a fenced mission nothing is ever kept

    def _due(self) -> None:
        if self._closed or self._run.has_left or not self._unsent:
            return
        if self._flight is not None and not self._flight.done():
            self._flight.add_done_callback(lambda done: self._due())
            return
        left = self._sent_at + self._interval - time.monotonic()
        if left > 0:
            self._loop.call_later(left, self._due)
        else:
            self._send()

    def _send(self) -> asyncio.Future[int]:
        with self._guard:
            report, self._unsent = self._last, False
        self._sent_at, self.sent = time.monotonic(), True
        side = (self._keeping(report), *report.side)
        self._flight = self._run.lane.write(Write(head=self._run.head, future=self._loop.create_future(), side=side))
        return self._flight

    def _keeping(self, report: Report) -> Side:
        def keep(head: Head) -> Call:
            told = report.cursor, report.progress, report.workspace
            return b"progress_keep", (*place_of(self._run, self._path), *told)

        return keep

    def close(self, *, keep: bool) -> None:
        """The try has ended. `keep` sends what was not sent yet, ahead of the entry that says how it ended."""
        if not self._closed and keep and self._unsent and not self._run.has_left:
            self._send()
        self._closed = True


def on_loop() -> bool:
    """Whether this thread runs an event loop right now, which nothing may block."""
    try:
        return bool(asyncio.get_running_loop())
    except RuntimeError:
        return False


def dropping(run: Run, path: str) -> Side:
    """The statement that removes a call's heartbeats, to go with its last entry."""
    return lambda head: (b"progress_drop", place_of(run, path))


def place_of(run: Run, path: str) -> tuple[bytes, ...]:
    """The fence, and the key of a call's heartbeats."""
    head, claimed = run.head, run.claimed
    fence = int8(head.mission_id), int4(head.attempt)
    return (*fence, int4(head.timeline), int4(claimed.chapter), path.encode())


async def kept(run: Run, path: str) -> tuple[bytes | None, bytes | None] | None:
    """The cursor and the workspace that an earlier try of this call reported; None where it reported nothing."""
    mission_id, _, *rest = place_of(run, path)
    (answer,) = await run.lane.call((b"progress_load", (mission_id, *rest)))
    return (answer.get_value(0, 0), answer.get_value(0, 1)) if answer.ntuples else None

"""A worker that crashes at a chosen place of a mission's journal, as if its process had been killed there.

The lane is lost in the middle of things: what was not committed is gone, contexts are poisoned, tasks are cancelled,
nobody tells of late answers. A fresh incarnation frees the mission and goes on, as a peer would.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from missions.context import Context
from missions.engine.process import Worker
from missions.engine.worker import Incarnation
from missions.engine.writes import Head, Write


@dataclass(frozen=True, slots=True)
class Cut:
    """Where to crash."""

    seq: int
    recorded: bool  # right after this entry was committed; else when its work is done and it is not recorded

    def __str__(self) -> str:
        return f"{'after' if self.recorded else 'before'} entry {self.seq}"


class CrashingWorker(Worker):
    """A worker that crashes once at `cut`, if one is set. It takes all its missions along: run one at a time."""

    def __init__(self, concurrency: int = 10) -> None:
        super().__init__(Context, concurrency)
        self.cut: Cut | None = None

    async def _opened(self, current: Incarnation) -> bool:
        opened = await super()._opened(current)
        if opened:
            self._arm(current)
        return opened

    def _arm(self, current: Incarnation) -> None:
        lane, heads, loop = current.lane, dict[int, Head](), asyncio.get_running_loop()
        queue, flushed = lane.write, lane.on_flushed

        def write_or_crash(write: Write) -> asyncio.Future[int]:
            heads[write.head.mission_id] = write.head
            if self.cut and not self.cut.recorded and write.head.seq + len(write.drafts) >= self.cut.seq:
                self.cut = None
                loop.call_soon(self._crash, current)  # not from within the task that writes: it dies like the others
                return write.future  # which never resolves
            return queue(write)

        def crash_once_recorded(mission_ids: set[int]) -> None:
            flushed(mission_ids)
            reached = max((heads[mission_id].seq for mission_id in mission_ids if mission_id in heads), default=0)
            if self.cut and self.cut.recorded and reached >= self.cut.seq:
                self._crash(current)

        lane.write, lane.on_flushed = write_or_crash, crash_once_recorded  # type: ignore[method-assign]

    def _crash(self, current: Incarnation) -> None:
        self.cut = None
        current.report_late = lambda *late: None  # type: ignore[method-assign]
        current.lane.session.fail(RuntimeError("The crash test cuts the lane."))

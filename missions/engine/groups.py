"""Branches side by side: which of them decides for all, and how the others end.

The moment in which a branch decides is an entry (`won`, at the group's own path). It is queued, and the others are cut
off, before anything else can happen, so nothing of theirs follows it in the journal but what is under a shield; on
replay the entry alone decides, whatever came to its end before. A group is over when all of its branches have ended.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Coroutine, Sequence
from enum import StrEnum
from typing import Any

from missions.engine import codec, guard
from missions.engine.branches import Branch, current_branch
from missions.engine.claims import Recorded
from missions.engine.run import Run
from missions.engine.writes import Draft
from missions.errors import Suspended
from missions.governance import gate
from missions.models import Kind

WITHDRAWN = "Another branch of the mission came first."


class Until(StrEnum):
    """What ends a group."""

    ALL = "all"  # all branches have ended
    ERROR = "error"  # the first error, or all have ended
    FIRST = "first"  # the first branch that ends, either way


class Group:
    """Some calls of one branch, each in a branch of its own."""

    def __init__(self, run: Run, path: str, calls: Sequence[Awaitable[Any]], until: Until) -> None:
        self.run, self.path, self._calls, self._until = run, path, calls, until
        self.branches = [Branch(run, f"{path}/{index}/") for index in range(len(calls))]
        self.results: list[Any] = [None] * len(calls)  # a result, or the error of a branch in `failed`
        self.failed: set[int] = set()
        self.winner: int | None = None
        self._input_hash = codec.input_hash([len(calls), until])
        self._written: asyncio.Future[int] | None = None  # of the entry, where this attempt queued it
        self._deciding = False
        self._left = len(calls)
        self._over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def join(self, parent: Branch) -> None:
        """Run the branches; returns once all have ended, with `results`, `failed` and `winner`. Call it once."""
        parent.groups.append(self)
        try:
            for index in range(len(self._calls)):
                self.run.go_on()
                self.run.own(asyncio.get_running_loop().create_task(self._strand(index)))
            if self._calls:
                self.run.stand_still()
                await self._over
        finally:
            parent.groups.remove(self)
            for branch in self.branches:
                branch.cut_by = None  # a ring would stay in memory until a garbage collection
        self.run.check()

    async def _strand(self, index: int) -> None:
        run, branch = self.run, self.branches[index]
        try:
            self.results[index] = await self._call(index)
        except GeneratorExit:
            raise
        except BaseException as error:  # SystemExit would end the worker, a lost cancellation the count
            if run.has_left:
                return
            if not branch.cut_off:  # else nobody asks what became of it
                self.results[index] = error
                self.failed.add(index)
        branch.ended = True
        if not await self._ended(index):
            return
        self._left -= 1
        if self._left == 0:
            run.go_on()  # the parent, before this strand stands still
            self._over.set_result(None)
        run.stand_still()

    async def _call(self, index: int) -> Any:
        call, branch = self._calls[index], self.branches[index]
        if branch.cut_off:  # before it had begun
            if isinstance(call, Coroutine):
                call.close()
            raise asyncio.CancelledError
        branch.enter()
        current_branch.set(branch)
        return await guard.under(self.run.scope, call)

    async def _ended(self, index: int) -> bool:
        """What is left to do for a branch whose code has ended; False where the mission leaves memory."""
        try:
            if not (self.run.has_left or self._deciding) and self._decides(index):
                self._deciding = True
                await self._decide(index)
            await self._withdraw(self.branches[index])
        except (asyncio.CancelledError, Suspended):
            if not self.run.has_left:
                raise
        except Exception as error:  # nobody awaits this task: what failed here would be waited for without end
            self.run.pause("a branch did not end", f"{self.path}/{index}: {codec.words(error)}")
        return not self.run.has_left

    async def _withdraw(self, branch: Branch) -> None:
        """Close what it asked of people, once it is durable that the answer is not needed; replay does so again."""
        if branch.cut_by is None or not branch.question:
            return
        if branch.cut_by._written is not None:
            await branch.cut_by._written
        await self.run.owner.in_database(gate().withdraw, uuid.UUID(branch.question), WITHDRAWN)

    def _decides(self, index: int) -> bool:
        return self._until is Until.FIRST or (self._until is Until.ERROR and index in self.failed)

    async def _decide(self, index: int) -> None:
        branch, entry = self.branches[index], None
        if not self.run.live and not branch.cut_off:
            try:
                entry = await self.run.recorded(self.path, self._input_hash)
            except asyncio.CancelledError:
                if self.run.has_left:
                    raise
        if entry is not None:
            self._follow(entry)
        elif not branch.cut_off:  # nothing of a branch that was cut off may follow
            self.winner = index
            lost = self._cut_others()
            body = codec.dump({"index": index, "failed": index in self.failed, "lost": lost})
            self._written = self.run.queue(
                Draft(kind=Kind.WON, path=self.path, payload=body, input_hash=self._input_hash)
            )
            await self._written

    def _follow(self, entry: Recorded) -> None:
        """Let the recorded branch decide, as it did. Raises Suspended where it could not have."""
        if entry.kind != Kind.WON:
            self.run.unexpected(entry, self.path)
        winner, failed = entry.payload["index"], entry.payload["failed"]
        if not self.branches[winner].ended or failed != (winner in self.failed):
            found = f"branch {winner} of {self.path!r} came first"
            self.run.pause("divergence", f"entry {entry.seq} records that {found}; now it did not, or ended otherwise")
            raise Suspended
        self.winner = winner
        self._cut_others()

    def _cut_others(self) -> list[int]:
        lost = [index for index, branch in enumerate(self.branches) if not branch.ended]
        for index in lost:
            self.branches[index].cut(self)
        return lost

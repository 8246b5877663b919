"""Calls side by side, each in a branch of its own."""

from __future__ import annotations

import datetime as dt
from collections.abc import Awaitable, Sequence
from typing import Any

from missions.context.waiting import Waiting
from missions.engine.branches import durable
from missions.engine.groups import Group, Until
from missions.errors import MisusedContext


class Strands(Waiting):
    """The calls that run others side by side. Branches that lose are cut off, never in the middle of an effect."""

    async def _side_by_side(self, name: str, calls: Sequence[Awaitable[Any]], until: Until) -> Group:
        here = self._here
        group = Group(self._run, here.path(name), calls, until)
        await group.join(here)
        return group

    @durable
    async def gather(self, *calls: Awaitable[Any], return_exceptions: bool = False) -> list[Any]:
        """Run calls side by side, each in a branch of its own; their results in order.

        The first error in recorded order is raised, and the branches that still run are cut off. With
        `return_exceptions` all of them end, and errors stand in their places.
        """
        group = await self._side_by_side("gather", calls, Until.ALL if return_exceptions else Until.ERROR)
        if group.winner is not None:
            raise group.results[group.winner]
        return group.results

    @durable
    async def wait_any(self, *calls: Awaitable[Any]) -> tuple[int, Any]:
        """Run calls side by side until the first of them ends: its index and its result, or its error.

        The others are cut off, and errors of theirs ignored; an effect under way ends first. Returns once all have
        really ended.
        """
        if not calls:
            raise MisusedContext("wait_any needs at least one call.")
        return _first(await self._side_by_side("wait_any", calls, Until.FIRST))

    @durable
    async def wait_for(self, call: Awaitable[Any], *, timeout: float | dt.timedelta) -> Any:  # noqa: ASYNC109  (a durable one)
        """The call's result, or TimeoutError after `timeout` (seconds, on the database's clock): it is cut off then."""
        group = await self._side_by_side("wait_for", (call, self.sleep(timeout)), Until.FIRST)
        index, result = _first(group)
        if index == 1:
            raise TimeoutError(f"No result within {timeout}.")
        return result


def _first(group: Group) -> tuple[int, Any]:
    if group.winner is None:
        raise TypeError("a group that ends at the first branch has one")
    if group.winner in group.failed:
        raise group.results[group.winner]
    return group.winner, group.results[group.winner]

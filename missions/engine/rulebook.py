"""What one worker knows of limits, circuits and stops. For its event loop only."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from missions.engine import limits
from missions.engine.limits import Rules

InDatabase = Callable[..., Awaitable[Any]]


class Reading:
    """Something that is read again and again: one reading is over before the next begins.

    Promises: once `renew` returns, what was there when it was called is known, and nothing older ever takes its place.
    Whoever comes during a reading shares the next.
    """

    def __init__(self, in_database: InDatabase, read: Callable[[], Any], known: Callable[[Any], None]) -> None:
        self._in_database, self._read, self._known = in_database, read, known
        self._one, self._is_stale = asyncio.Lock(), False

    async def renew(self) -> None:
        """Read it; `known` is told before this returns."""
        self._is_stale = True
        async with self._one:
            if not self._is_stale:
                return  # a reading that began after we came is over
            self._is_stale = False
            try:
                found = await self._in_database(self._read)
            except BaseException:
                self._is_stale = True  # a caller that was cancelled: whoever waits reads instead
                raise
            self._known(found)


class Rulebook:
    """`on_rules` hears of the rules before anybody else does."""

    def __init__(self, in_database: InDatabase, on_rules: Callable[[Rules], None]) -> None:
        self.rules, self._on_rules = Rules(), on_rules
        self._ours = Reading(in_database, limits.load, self._keep)
        self._others = Reading(in_database, limits.learn, lambda _: None)

    async def learn(self) -> None:
        """Read limits, circuits and stops anew, and have the layers above read what is theirs."""
        await self._ours.renew()
        await self._others.renew()  # after the stops, which wait for nothing

    def _keep(self, rules: Rules) -> None:
        self.rules = rules
        self._on_rules(rules)

"""Waiting for a time or for a signal; a long wait costs one row."""

from __future__ import annotations

import datetime as dt
from collections.abc import Awaitable, Callable

from missions.context.base import Calls
from missions.engine import codec
from missions.engine.branches import Wait, durable
from missions.governance import Json
from missions.models import Kind


class Waiting(Calls):
    """The calls that wait."""

    @durable
    async def sleep(self, seconds: float | dt.timedelta) -> None:
        """Wait on the database's clock; a long wait costs one row."""
        path = self._here.path("sleep")
        span = seconds if isinstance(seconds, dt.timedelta) else dt.timedelta(seconds=seconds)
        await self._rest(path, codec.input_hash([span.total_seconds()]), lambda: self._run.clock.now() + span)

    @durable
    async def sleep_until(self, at: dt.datetime) -> None:
        """Wait until a time, an aware one, on the database's clock; one that has passed is no wait.

        Raises ValueError for a time without an offset.
        """
        path = self._here.path("sleep_until")
        if at.utcoffset() is None:
            raise ValueError(f"sleep_until needs a time with its offset, not {at.isoformat()}.")
        moment = at.astimezone(dt.UTC)
        await self._rest(path, codec.input_hash([moment.isoformat()]), lambda: moment)

    async def _rest(self, path: str, input_hash: bytes, end: Callable[[], dt.datetime]) -> None:
        until: dt.datetime | None = None
        while True:
            entry = await self._run.recorded(path, input_hash)
            if entry is not None and entry.kind == Kind.SLEPT:
                return
            if entry is not None:
                until = dt.datetime.fromisoformat(entry.payload["until"])
            elif until is None:
                until = end()
                await self._record(Kind.SLEEP, path, {"until": until.isoformat()}, input_hash)
            elif self._run.is_past(until):
                await self._record(Kind.SLEPT, path, {}, input_hash)
                return
            else:
                await self._run.wait(path, Wait(label="timer", wake_at=until))

    @durable
    async def wait_for_signal(self, name: str, *, timeout: float | dt.timedelta | None = None) -> Json | None:  # noqa: ASYNC109  (a durable one)
        """Wait for a signal from outside and return its payload; None if the time-out (seconds) comes first.

        A signal that came before the mission waits counts. Signals of one name are taken in the order they came.
        """
        path, input_hash = self._here.path(f"signal:{name}"), codec.input_hash([name])
        return await self._signalled(path, input_hash, {"name": name}, timeout, f"signal:{name}")

    async def _signalled(
        self, path: str, input_hash: bytes, told: Json, timeout: float | dt.timedelta | None, label: str,  # noqa: ASYNC109
        note: Callable[[str], Awaitable[None]] | None = None,
    ) -> Json | None:
        """The payload of the signal that `told` names, or None if its time is over first.

        `note` is given that name each time before the mission may park: so somebody sends it, whatever befell.
        """
        waiting: Json | None = None
        while True:
            entry = await self._run.recorded(path, input_hash, lambda: told)
            if entry is not None and entry.kind == Kind.SIGNAL:
                return None if entry.payload["timed_out"] else entry.payload["payload"]
            if entry is not None:
                waiting = entry.payload
            elif waiting is None:
                waiting = {**told, "timeout_at": self._timeout_at(timeout)}
                await self._record(Kind.AWAIT, path, waiting, input_hash)
            elif (taken := self._take(waiting["name"], waiting)) is not None:
                await self._record(Kind.SIGNAL, path, taken, input_hash)
                return None if taken["timed_out"] else taken["payload"]
            else:
                if note is not None:
                    await note(waiting["name"])
                wake_at = waiting["timeout_at"] and dt.datetime.fromisoformat(waiting["timeout_at"])
                await self._run.wait(path, Wait(label=label, signals=(waiting["name"],), wake_at=wake_at or None))

    def _timeout_at(self, timeout: float | dt.timedelta | None) -> str | None:
        if timeout is None:
            return None
        span = timeout if isinstance(timeout, dt.timedelta) else dt.timedelta(seconds=timeout)
        return (self._run.clock.now() + span).isoformat()

    def _take(self, name: str, waiting: Json) -> Json | None:
        """The entry for a signal that lies there, or for a time-out that has come."""
        mail = self._run.inbox.take(name)
        if mail is not None:
            return {
                "name": name, "seq": mail.seq, "payload": codec.load(mail.body), "sender": mail.sender,
                "timed_out": False,
            }
        over = waiting["timeout_at"] and self._run.is_past(dt.datetime.fromisoformat(waiting["timeout_at"]))
        return {"name": name, "seq": None, "payload": None, "sender": "", "timed_out": True} if over else None

"""Facts: what is told, the time, ids, random numbers."""

from __future__ import annotations

import datetime as dt
import random
import uuid

from missions.context.base import Calls
from missions.engine import codec, seeds
from missions.engine.branches import durable
from missions.models import Kind


class Facts(Calls):
    """The calls that record or make a fact."""

    @durable
    async def observe(self, text: str, *, level: str = "info") -> None:
        """Tell people something in a sentence; it appears on the rail and drives nothing."""
        path, input_hash = self._here.path("observe"), codec.input_hash([text])
        entry = await self._run.recorded(path, input_hash, lambda: {"text": text})
        if entry is None:
            await self._record(Kind.OBSERVED, path, {"text": text[:2000], "level": level}, input_hash)

    @durable
    async def now(self) -> dt.datetime:
        """The time on the database's clock, recorded: replay returns the same."""
        path = self._here.path("now")
        entry = await self._run.recorded(path)
        if entry is not None:
            return dt.datetime.fromisoformat(entry.payload["at"])
        at = self._run.clock.now()
        await self._record(Kind.NOW, path, {"at": at.isoformat()})
        return at

    @property
    def guidance(self) -> list[str]:
        """What people said when they rolled the mission back, oldest first; what was said later is not told in replay.

        Hand it to what decides anew after the point, as to an agent or a step.
        """
        run = self._run
        following = run.following
        here = following.timeline if following is not None else run.claimed.timeline
        return [text for number, text in sorted(run.claimed.guidance.items()) if text and number <= here]

    def uuid(self) -> uuid.UUID:
        """A fresh id that is the same on every replay of this timeline."""
        return seeds.id_from(seeds.seed_here(self._run), self._here.path("uuid"))

    def random(self) -> random.Random:
        """A generator of its own whose numbers are the same on every replay of this timeline. Not for secrets."""
        return seeds.random_from(seeds.seed_here(self._run), self._here.path("random"))

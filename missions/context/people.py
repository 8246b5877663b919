"""Asking people."""

from __future__ import annotations

from collections.abc import Sequence

from missions.context.base import Calls
from missions.effects.questions import Question
from missions.engine import codec
from missions.engine.branches import durable
from missions.governance import Answer, Json


class People(Calls):
    """The calls that people answer."""

    @durable
    async def approval(
        self, name: str, sentence: str, *, details: Json | None = None, tiers: Sequence[Json] | None = None,
    ) -> Answer:
        """Ask people to approve something in plain words; returns the approval.

        `tiers` are those of a policy file (group, quorum, sla_seconds, expires_seconds, on_expiry), by default one
        supervisor. Raises Rejected, Expired, ChangesRequested.
        """
        path = self._here.path(name)
        asked = tiers or [{"group": "supervisors", "quorum": 1}]
        plain: Json = codec.load(codec.dump(details or {}))
        return await Question(self._run, path, kind="plan", sentence=sentence, details=plain, tiers=asked).answer()

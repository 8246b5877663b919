"""Asking people, and decisions of the mission itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.conf import settings

from missions.context.base import Calls
from missions.effects.questions import Question, Validator, findings_of
from missions.engine import codec, guard
from missions.engine.branches import durable
from missions.governance import Answer, Json
from missions.models import Kind


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

    @durable
    async def decide(
        self, name: str, proposal: Any, *, confidence: float | None = None, alternatives: Sequence[Any] = (),
        evidence: Sequence[Any] = (), validators: Sequence[Validator] = (), tiers: Sequence[Json] | None = None,
    ) -> Any:
        """Record a decision of the mission, immutable from then on, and return the proposal as plain JSON.

        A failed validator, a missing confidence or one under the bar (MISSIONS_CONFIDENCE_BAR) stops the mission here
        until people have looked at it. Raises Rejected, Expired, ChangesRequested.
        """
        path = self._here.path(name)
        plain = codec.load(codec.dump({"proposal": proposal, "alternatives": alternatives, "evidence": evidence}))
        input_hash = codec.input_hash([plain, confidence])
        entry = await self._run.recorded(path, input_hash, lambda: {**plain, "confidence": confidence})
        if entry is None:
            bar = settings.MISSIONS_CONFIDENCE_BAR
            findings = await guard.under(self._run.scope, findings_of(proposal, confidence, bar, validators))
            title = name.replace("-", " ").replace("_", " ").capitalize()
            payload = {"name": name, "title": title, **plain, "confidence": confidence, "findings": findings}
            await self._record(Kind.DECIDED, path, payload, input_hash)
        elif entry.kind == Kind.DECIDED:
            payload = entry.payload
        else:
            self._run.unexpected(entry, path)
        if payload["findings"]:
            sentence = f"{payload['title']}: go on with this decision?"
            details = {key: payload[key] for key in ("proposal", "confidence", "alternatives", "findings")}
            asked = tiers or [{"group": "supervisors", "quorum": 1}]
            await Question(
                self._run, f"{path}/second-look", kind="validation", sentence=sentence, details=details, tiers=asked
            ).answer()
        return payload["proposal"]

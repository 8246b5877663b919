"""Asking people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from missions.context.base import Calls
from missions.effects import inquiry
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

    @durable
    async def ask(
        self, name: str, question: str, *, options: Sequence[str] | Mapping[str, str] = (), schema: Any = None,
        details: Json | None = None, tiers: Sequence[Json] | None = None,
    ) -> Any:
        """Ask people something and return their answer, which is data and not consent.

        `options` (values, or values with labels) make it one of them; `schema` (a Pydantic model, a dataclass, or a
        JSON Schema of an object) makes it a form, answered as an instance of that type or as plain JSON; with neither
        it is text of at most 4,000 characters. Raises Rejected where they decline, Expired, ChangesRequested,
        InvalidInput for an answer that the schema no longer takes, ValueError for options beside a schema.
        """
        path = self._here.path(name)
        asked = tiers or [{"group": "supervisors", "quorum": 1}]
        form = inquiry.of(options, schema)
        plain: Json = codec.load(codec.dump(details or {}))
        put = Question(
            self._run, path, kind="question", sentence=question, details=plain, tiers=asked, choices=form.choices,
            answers=form.as_json(),
        )
        return form.value_of(await put.answer())

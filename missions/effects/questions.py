"""Questions that a mission puts to people by itself: an approval, and a decision that needs a second look."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from typing import Any

from missions.effects import asking, keys
from missions.effects.results import raise_refusal
from missions.engine import codec
from missions.engine.branches import mark
from missions.engine.run import Run
from missions.engine.writes import Draft
from missions.governance import Answer, Choice, EffectClass, Intent, Json, RetrySafety, Ruling, RulingOutcome
from missions.models import Kind

Validator = Callable[[Any], Awaitable[str | None] | str | None]  # what is wrong, or nothing


class Question:
    """One decision of people at one key path: `asked`, then `answered`."""

    def __init__(
        self, run: Run, path: str, *, kind: str, sentence: str, details: Json, tiers: Sequence[Json],
        choices: Sequence[Choice] = (), rounds: int = 1, answers: Json | None = None,
    ) -> None:
        self.run, self.path, self.kind, self.sentence, self.details = run, path, kind, sentence, details
        self.choices, self.round, self.answers = tuple(choices), rounds, answers or {}
        self.reason = "The mission asks for it."
        self.tiers = tuple(tiers)
        self.input_hash = codec.input_hash([kind, sentence, details, *([self._terms] if self.answers else ())])
        self.asked: Json | None = None
        self.by_policy: Ruling | None = None  # where policy has it asked
        self.outlives_branch = False  # whether it stays open where the branch that asks is cut off

    @property
    def ruling(self) -> Ruling:
        """The mission's own escalation, or policy's."""
        if self.by_policy is not None and self.by_policy.outcome is RulingOutcome.ESCALATE:
            return self.by_policy
        return Ruling(outcome=RulingOutcome.ESCALATE, reason=self.reason, tiers=self.tiers)

    @property
    def intent(self) -> Intent:
        """The question in the form that governance takes."""
        return asking.intent_of(
            self.run, tool="", args=self.details, effect_class=EffectClass.WRITE, retry_safety=RetrySafety.MANUAL,
            reversible=True,
        )

    @property
    def _terms(self) -> Json:
        """What an answer must look like: part of what the mission asks, and of what people answer."""
        return {"answers": self.answers, "choices": [asdict(choice) for choice in self.choices]}

    async def answer(self) -> Answer:
        """Ask and wait; returns an approval. Raises Rejected, Expired, ChangesRequested."""
        while True:
            entry = await self.run.recorded(self.path, self.input_hash, self._told)
            if entry is None and self.asked is None:
                self.asked = await self._ask()
            elif entry is None and self.asked is not None:
                return self._approved(await self._wait(self.asked))
            elif entry is not None and entry.kind == Kind.ASKED:
                self.asked = entry.payload
            elif entry is not None and entry.kind == Kind.ANSWERED:
                return self._approved(Answer.from_json(entry.payload["answer"]))
            elif entry is not None:
                self.run.unexpected(entry, self.path)
            mark(question=self.asked["decision"] if self.asked is not None and not self.outlives_branch else "")

    def _told(self) -> Json:
        terms = self._terms if self.answers else {}
        return {"kind": self.kind, "sentence": self.sentence, "details": self.details, **terms}

    def _approved(self, answer: Answer) -> Answer:
        mark()
        if answer.verdict != "approved":
            raise_refusal(answer)
        return answer

    async def _record(self, kind: Kind, payload: Json) -> None:
        body = codec.dump(payload)
        await self.run.append(Draft(kind=kind, path=self.path, payload=body, input_hash=self.input_hash))

    async def _ask(self) -> Json:
        claimed = self.run.claimed
        id_ = keys.decision_id(claimed.uid, claimed.timeline, claimed.chapter, self.path, 1)
        digest = keys.approval_digest(self.intent, self.sentence, self._terms if self.answers else None)
        asked = asking.asked_payload(
            id_, kind=self.kind, sentence=self.sentence, digest=digest, ruling=self.ruling, round=1
        )
        await self._record(Kind.ASKED, asked)
        return asked

    async def _wait(self, asked: Json) -> Answer:
        request = asking.request_of(
            self.run, self.path, asked, self.intent, self.ruling, choices=self.choices, facts=self.details,
            answers=self.answers,
        )
        answered = await asking.answer_of(self.run, self.path, request)
        if answered is None:
            raise TypeError("only an effect's question becomes idle")
        answer, seq = answered
        await self._record(Kind.ANSWERED, {"decision": asked["decision"], "answer": answer.as_json(), "seq": seq})
        return answer


async def findings_of(proposal: Any, validators: Sequence[Validator]) -> list[str]:
    """What the validators find wrong with a proposal, in their order."""
    found = []
    for validator in validators:
        finding = validator(proposal)
        finding = await finding if inspect.isawaitable(finding) else finding
        if finding:
            found.append(str(finding))
    return found

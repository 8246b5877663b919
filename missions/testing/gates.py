"""Governance for tests: a gate that allows everything and answers every question, so that a run needs no people."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from django.test.utils import override_settings

from missions.governance import Answer, DecisionRequest, Intent, Ruling, RulingOutcome, gate

BY = ("test",)
Happened = Callable[[str], bool]  # whether the call of this key was made
_told: list[Happened] = []  # by the blocks that are open, the innermost last


class AllowAll:
    """Implements `missions.governance.Gate`."""

    def rule(self, intent: Intent) -> Ruling:
        """Everything is allowed."""
        return Ruling(outcome=RulingOutcome.ALLOW, reason="A test allows everything.")

    def ask(self, request: DecisionRequest) -> Answer | None:
        """Approved; of an effect in doubt, what became of it. Nobody answers a divergence: its mission stays paused."""
        if request.kind == "divergence":
            return None
        choice = ""
        if request.choices:
            choice = "happened" if _told and _told[-1](str(request.facts.get("key", ""))) else "retry"
        return Answer(verdict="approved", digest=request.digest, by=BY, choice=choice, reference="test")

    def withdraw(self, decision_id: object, why: str) -> None:
        """There is nothing to withdraw."""

    def supersede(self, decision_id: object, why: str, changed: object) -> None:
        """There is nothing to take back."""

    def outdate(self, decision_id: object, answer: Answer) -> None:
        """Nothing is open."""

    def confirm(self, intent: Intent, ruling: Ruling, decision_id: object, digest: str) -> Ruling:
        """Still allowed."""
        return self.rule(intent)


@contextlib.contextmanager
def allowing(happened: Happened = lambda key: False) -> Iterator[None]:
    """Put `AllowAll` in the place of the gate; `happened` answers for people what became of an effect in doubt."""
    with override_settings(MISSIONS_GATE=f"{__name__}.{AllowAll.__name__}"):
        gate.cache_clear()
        _told.append(happened)
        try:
            yield
        finally:
            _told.pop()
    gate.cache_clear()

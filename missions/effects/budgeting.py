"""Asking people before a budget is exceeded. The mission waits for the answer; it does not fail."""

from __future__ import annotations

from typing import Any

from missions.effects.questions import Question
from missions.effects.results import BUDGET
from missions.engine.branches import Wait
from missions.engine.budgets import PREFIX, Ledger, in_words
from missions.engine.run import Run
from missions.errors import BudgetExhausted, ChangesRequested, Rejected
from missions.governance import Ruling, RulingOutcome

TIERS = ({"group": "supervisors", "quorum": 1},)
CONTROL = "control#"  # what people order, such as undoing effects, is not the author's to pay


async def allow(run: Run, wanted: str, path: str) -> None:
    """Return once the budget has room for one more step or effect, which `path` then holds until it is recorded.

    Raises BudgetExhausted where people have refused more.
    """
    ledger = run.ledger
    if path in ledger.reserved or path.startswith(CONTROL):
        return
    while (what := ledger.used_up(wanted, run.clock.seconds())) is not None:
        if what in ledger.refused:
            raise BudgetExhausted(f"The budget of {in_words(what, ledger.limit(what))} is used up.")
        await _ask_in_turn(run, what, path)
    if wanted:
        ledger.reserved[path] = wanted


def denial(error: BudgetExhausted) -> Ruling:
    """What a tool call records instead of its intent."""
    return Ruling(outcome=RulingOutcome.DENY, reason=str(error), rules=BUDGET)


async def _ask_in_turn(run: Run, what: str, path: str) -> None:
    """One call asks; the others of the mission that come meanwhile stand still until it has its answer."""
    ledger = run.ledger
    if ledger.queue is not None:
        ledger.queue.append(path)
        await run.wait(path, Wait(label="budget"))
        return
    ledger.queue = []
    try:
        await _question(run, ledger, what).answer()
    except (Rejected, ChangesRequested):
        return  # folded: what was refused is not asked for again
    finally:
        waiting, ledger.queue = ledger.queue, None
        for other in waiting:
            run.wake(other)


def _question(run: Run, ledger: Ledger, what: str) -> Question:
    asked: dict[str, Any] | None = ledger.asked  # by an earlier attempt, or by a branch that was cut off
    what = asked["what"] if asked is not None else what
    count = ledger.rounds.get(what, 0) + (asked is None)
    sentence = asked["sentence"] if asked is not None else ledger.sentence(what)
    details = {"budget": what, "limit": str(ledger.limit(what))}
    question = Question(run, f"{PREFIX}{what}#{count}", kind="budget", sentence=sentence, details=details, tiers=TIERS)
    question.asked, question.outlives_branch = asked, True
    question.reason = "A budget of the mission is used up."
    return question

"""What a finished tool call gives its author: the result, or the exception that says why there is none. Pure."""

from __future__ import annotations

from typing import Any, NoReturn

from missions.effects.progress import Phase, Progress
from missions.engine import codec
from missions.errors import (
    BudgetExhausted,
    ChangesRequested,
    Denied,
    EffectNotDone,
    Expired,
    InvalidInput,
    Rejected,
    ResultUnusable,
    Stopped,
    ToolFailed,
)
from missions.governance import Answer, Json, RulingOutcome
from missions.tools.spec import ToolSpec

BUDGET = ("budget",)  # the rules of a ruling that no policy made


def result_of(progress: Progress, spec: ToolSpec) -> Any:
    """The tool's result in the type that it declares.

    Raises Denied, BudgetExhausted, Rejected, Expired, ChangesRequested, Stopped, ToolFailed, EffectNotDone,
    ResultUnusable.
    """
    outcome = progress.outcome
    if progress.phase is Phase.REFUSED:
        _refuse(progress)
    if progress.phase is Phase.NOT_DONE:
        error = outcome.get("error", {})
        message = str(error.get("message", "It was not done."))
        if error.get("type") == InvalidInput.code:
            raise InvalidInput(message, errors=error.get("errors"))
        raise (ToolFailed if outcome["state"] == "failed" else EffectNotDone)(message, code=error.get("type"))
    if not outcome.get("usable", True):
        raise ResultUnusable(str(outcome["error"]["message"]), digest=outcome["result_digest"])
    return codec.restore(spec.returns, outcome.get("result"))


def told_of(error: InvalidInput | ToolFailed) -> Json:
    """What the journal keeps of a call that can not be made as it is asked for."""
    told: Json = {"type": error.code, "message": codec.words(error)}
    if isinstance(error, InvalidInput):
        return {**told, "errors": error.errors}
    return {**told, "type": error.facts.get("code") or error.code}


def _refuse(progress: Progress) -> NoReturn:
    answer, ruling = progress.answer, progress.ruling
    if progress.outcome.get("state") == "unknown":
        raise Stopped("A person stopped the mission here.")
    if ruling is not None and ruling.rules == BUDGET:
        raise BudgetExhausted(ruling.reason)
    if answer is None or (ruling is not None and ruling.outcome is RulingOutcome.DENY):
        raise Denied(ruling.reason if ruling is not None else "Policy denies this.")
    raise_refusal(answer)


def raise_refusal(answer: Answer) -> NoReturn:
    """The exception for an answer that is no approval."""
    who = ", ".join(answer.by)
    if answer.verdict == "changes_requested":
        raise ChangesRequested(answer.comment, reason_code=answer.reason_code)
    if answer.verdict == "expired":
        raise Expired("Nobody decided in time.", by=who)
    raise Rejected(answer.comment or f"Rejected by {who or 'nobody'}.", by=who, reason_code=answer.reason_code)

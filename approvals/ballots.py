"""What a vote must say before it is recorded. Judges one ballot against one decision, and writes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import User

from approvals import looks, quorum
from approvals.models import Decision, DecisionKind, ReasonCode, Vote, VoteVerdict
from missions.engine import codec
from missions.errors import InvalidInput, StandfastError
from missions.governance import Json
from missions.tools.arguments import SchemaArguments

COMMENT_LENGTH, REFERENCE_LENGTH, CHOICE_LENGTH = 4000, 200, 50
ANSWER_LENGTH = 4000  # characters of a free text
ANSWER_BYTES = 64 * 1024  # of an answer by a schema
CONSOLE = "console"  # the channel of votes from the pages
HAPPENED = "happened"  # the answer to an effect in doubt that has to name the other side's reference
Errors = Iterator[dict[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ballot:
    """One person's answer, as it was sent."""

    voter: User
    verdict: str
    digest: str
    comment: str
    reason_code: str
    choice: str
    reference: str
    channel: str
    edited_args: Json | None = None
    answer: Any = None
    tier: str = ""  # the name of the open tier that is meant; empty: the first that this person may vote in

    @property
    def terms(self) -> tuple[Any, ...]:
        """What makes another vote the same one."""
        return self.verdict, self.digest, self.choice, self.edited_args, self.answer


def terms_of(vote: Vote) -> tuple[Any, ...]:
    """The same of a vote on record."""
    return vote.verdict, vote.digest, vote.choice, vote.edited_args, vote.answer


def errors(decision: Decision, ballot: Ballot) -> Errors:
    """What is missing, too long or does not fit, as {field, message}."""
    limits = (("comment", COMMENT_LENGTH), ("reference", REFERENCE_LENGTH))
    for field, limit in limits:
        if len(getattr(ballot, field)) > limit:
            yield {"field": field, "message": f"At most {limit:,} characters."}
        if "\x00" in getattr(ballot, field):
            yield {"field": field, "message": "NUL bytes can not be kept."}
    if ballot.reason_code and ballot.reason_code not in ReasonCode.values:
        yield {"field": "reason_code", "message": f"One of {', '.join(ReasonCode.values)}."}
    if ballot.verdict not in VoteVerdict.values:
        yield {"field": "verdict", "message": f"One of {', '.join(VoteVerdict.values)}."}
    elif ballot.verdict != VoteVerdict.APPROVE:
        yield from _refusal_errors(decision, ballot)
    else:
        yield from _consent_errors(decision, ballot)


def _refusal_errors(decision: Decision, ballot: Ballot) -> Errors:
    if decision.kind == DecisionKind.IN_DOUBT:
        yield {"field": "verdict", "message": "Say what happened: approve with one of the choices."}
    elif not ballot.comment:
        yield {"field": "comment", "message": "Say why: whoever asked gets to read it."}
    for field in ("edited_args", "answer"):
        if getattr(ballot, field) is not None:
            yield {"field": field, "message": "Only an approval carries this."}


def _consent_errors(decision: Decision, ballot: Ballot) -> Errors:
    if decision.choices:
        yield from _choice_errors(decision, ballot)
    form = decision.answers.get("form")
    if form in ("text", "schema"):
        yield from _answer_errors(decision, ballot)
    elif ballot.answer is not None:
        yield {"field": "answer", "message": "This is no question that takes an answer of its own."}
    # Over REST the evidence comes with the decision; only a page can show one without the other.
    if ballot.channel == CONSOLE and (missing := looks.unopened(decision, ballot.voter)):
        yield {"field": "evidence", "message": f"Policy wants this evidence looked at first: {', '.join(missing)}."}


def _choice_errors(decision: Decision, ballot: Ballot) -> Errors:
    """The first voter's choice binds those who second it; other choices would never add up to a quorum."""
    values = [choice["value"] for choice in decision.choices]
    made = first_answer(decision)
    if ballot.choice not in values:
        yield {"field": "choice", "message": f"Choose one of {', '.join(values)}."}
    elif made is not None and made.choice != ballot.choice:
        yield {"field": "choice", "message": f"{made.voter} answered {made.choice}; both answers have to agree."}
    elif decision.kind == DecisionKind.IN_DOUBT and ballot.choice == HAPPENED and not ballot.reference:
        yield {"field": "reference", "message": "Give the reference under which the other side knows it."}


def first_answer(decision: Decision) -> Vote | None:
    """The vote that the others have to agree with: the first approval that stands."""
    approvals = (vote for vote in quorum.standing(decision) if vote.verdict == VoteVerdict.APPROVE)
    return next(approvals, None)


def _answer_errors(decision: Decision, ballot: Ballot) -> Errors:
    """An answer that fits; where several people answer, the first one's words are what the others second."""
    made = first_answer(decision)
    if made is not None and made.answer != ballot.answer:
        yield {"field": "answer", "message": f"{made.voter} has answered; send the same answer to second it."}
    elif decision.answers["form"] == "text":
        yield from _text_errors(ballot.answer)
    else:
        yield from _schema_errors(decision.answers["schema"], ballot.answer)


def _text_errors(answer: Any) -> Errors:
    if not isinstance(answer, str) or not answer.strip():
        yield {"field": "answer", "message": "Write an answer."}
    elif len(answer) > ANSWER_LENGTH:
        yield {"field": "answer", "message": f"At most {ANSWER_LENGTH:,} characters."}
    elif "\x00" in answer:
        yield {"field": "answer", "message": "NUL bytes can not be kept."}


def _schema_errors(schema: Json, answer: Any) -> Errors:
    if not isinstance(answer, dict):
        yield {"field": "answer", "message": "Give an object that fits the schema."}
        return
    try:
        SchemaArguments(schema).check(answer)
        codec.dump(answer, limit=ANSWER_BYTES)
    except InvalidInput as refused:
        yield from under("answer", refused)
    except StandfastError as refused:
        yield {"field": "answer", "message": str(refused)}


def under(field: str, refused: InvalidInput) -> Errors:
    """A schema's refusals, with their fields below `field`."""
    for error in refused.errors or [{"field": "", "message": str(refused)}]:
        name = f"{field}.{error['field']}" if error["field"] else field
        yield {"field": name, "message": str(error["message"])}

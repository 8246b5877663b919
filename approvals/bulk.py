"""One answer to many decisions that are alike: same tool, same rule, nothing irreversible.

Each decision is voted on by itself, under its own digest and in its own transaction; a refusal stops no other.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from django.contrib.auth.models import User

from approvals import ballots, votes
from approvals.models import Decision, DecisionKind, VoteVerdict
from approvals.refusals import BadVote, VoteRefused

MOST = 100  # decisions at once


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A decision and the digest that is answered."""

    id: uuid.UUID
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Total:
    """What a whole pile of decisions puts at stake."""

    count: int
    money: tuple[tuple[str, Decimal], ...]  # by currency; the currency may be empty
    recipients: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What came of one of them."""

    id: uuid.UUID
    sentence: str
    state: str  # of the decision afterwards; empty where the vote was refused
    code: str = ""  # of the refusal
    message: str = ""


def mismatches(decisions: Sequence[Decision]) -> list[dict[str, str]]:
    """Why these can not be answered together, as {field: id, message}; none where they can."""
    if not decisions:
        return [{"field": "items", "message": "Choose at least one decision."}]
    if len(decisions) > MOST:
        return [{"field": "items", "message": f"At most {MOST} decisions at once."}]
    first = _likeness(decisions[0])
    found = []
    for decision in decisions:
        if why := why_not(decision):
            found.append({"field": str(decision.pk), "message": why})
        elif _likeness(decision) != first:
            found.append({"field": str(decision.pk), "message": "It is of another tool or another rule."})
    return found


def _likeness(decision: Decision) -> tuple[object, ...]:
    return decision.tool, decision.policy_version, tuple(decision.rules)


def why_not(decision: Decision) -> str:
    """Why a decision needs an answer of its own; empty where it may be answered with others.

    That it was settled meanwhile is no reason: the vote on it is refused, and those on the others count.
    """
    if decision.kind != DecisionKind.ACTION or not decision.tool:
        return "Only actions are answered together."
    if decision.reversibility == "irreversible":
        return "It can not be taken back, so it needs an answer of its own."
    if decision.demands:
        return "Policy wants its evidence looked at, so it needs an answer of its own."
    return ""


def total(decisions: Iterable[Decision]) -> Total:
    """What they put at stake together."""
    money: dict[str, Decimal] = {}
    reached: dict[str, None] = {}
    count = 0
    for decision in decisions:
        count += 1
        amount = decision.blast.get("money") or {}
        currency = str(amount.get("currency", ""))
        money[currency] = money.get(currency, Decimal(0)) + Decimal(str(amount.get("amount", 0)))  # as assessed: finite
        reached |= dict.fromkeys(decision.blast.get("recipients") or ())
    sums = tuple((currency, amount) for currency, amount in sorted(money.items()) if amount)
    return Total(count=count, money=sums, recipients=tuple(reached))


def cast(
    voter: User, decisions: Sequence[Decision], items: Sequence[Item], *, verdict: str, count: int,
    reason_code: str = "", comment: str = "", channel: str,
) -> list[Result]:
    """Vote the same on all of them, in their order. `decisions` are those of `items` that this person may see.

    Raises BadVote, with nothing recorded, where they are not alike, one is not there, `count` is not their number, or
    the vote lacks what every one of them would.
    """
    known = {decision.pk: decision for decision in decisions}
    errors = [*mismatches(decisions), *_item_errors(known, items, count), *_vote_errors(verdict, comment)]
    if errors:
        raise BadVote(errors)
    more = {"reason_code": reason_code, "comment": comment, "channel": channel}
    return [_one(voter, known[one.id], one.digest, verdict, more) for one in items]


def _item_errors(known: dict[uuid.UUID, Decision], items: Sequence[Item], count: int) -> ballots.Errors:
    for one in items:
        if one.id not in known:
            yield {"field": str(one.id), "message": "There is no such decision, or you may not see it."}
    if len({one.id for one in items}) != len(items):
        yield {"field": "items", "message": "A decision is named twice."}
    if count != len(items):
        yield {"field": "count", "message": f"These are {len(items)} decisions; give that number."}


def _vote_errors(verdict: str, comment: str) -> ballots.Errors:
    if verdict not in VoteVerdict.values:
        yield {"field": "verdict", "message": f"One of {', '.join(VoteVerdict.values)}."}
    elif verdict != VoteVerdict.APPROVE and not comment.strip():
        yield {"field": "comment", "message": "Say why: whoever asked gets to read it."}
    if len(comment) > ballots.COMMENT_LENGTH:
        yield {"field": "comment", "message": f"At most {ballots.COMMENT_LENGTH:,} characters."}


def _one(voter: User, decision: Decision, digest: str, verdict: str, more: dict[str, str]) -> Result:
    try:
        done = votes.cast(
            decision.pk, voter, verdict, digest, reason_code=more["reason_code"], comment=more["comment"],
            channel=more["channel"],
        )
    except VoteRefused as refused:
        return Result(id=decision.pk, sentence=decision.sentence, state="", code=refused.code, message=str(refused))
    return Result(id=decision.pk, sentence=decision.sentence, state=done.state)

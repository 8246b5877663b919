"""Whether the votes on a decision answer the tiers that policy demands by now: the second look before dispatch.

Reads only. Everything is taken anew: membership, delegations, attributes, and who has to differ from whom.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from approvals import quorum, resolving, tiers
from approvals.matching import match
from approvals.models import Decision, Tier, TierApprover, TierState
from approvals.plans import TierPlan, conflict
from approvals.roll import Roll


@dataclass(slots=True, kw_only=True)
class Demand:
    """A tier that is demanded now, as a row that is never saved, and the tiers of the decision that asked the same."""

    plan: TierPlan
    seats: list[TierApprover]
    asked: list[int] = field(default_factory=list)  # orders


def missing(decision: Decision, plans: Sequence[TierPlan]) -> str:
    """What the votes lack of these demands, in words for people; empty where they answer all of them.

    A vote answers only a demand that asks the same approvers as the tier that it was cast in. A tier that was escalated
    is answered for by the stage after it.
    """
    asked = tiers.loaded(decision)
    demands = [_demand(asked, plan) for plan in _with_stand_ins(asked, list(plans))]
    roll = Roll.call([asked], groups={seat.group for one in demands for seat in one.seats},
                     people={seat.person_id for one in demands for seat in one.seats if seat.person_id})  # fmt: skip
    counted = quorum.merged(
        _offered(asked, demands, roll),
        lambda one, other: one == other or conflict(demands[one].plan, demands[other].plan),
    )
    found = match({number: one.plan.demands for number, one in enumerate(demands)}, counted)
    for number, one in enumerate(demands):
        if any(key == number for key, _ in found.lacking):
            return f"It lacks the {one.plan.need} of {one.plan.label} that it needs by now."
    return ""


def _with_stand_ins(decision: Decision, plans: list[TierPlan]) -> list[TierPlan]:
    """The demands, each that was escalated replaced by the stage that answers for it."""
    found: list[TierPlan] = []
    for plan in plans:
        answering = list(_answering(decision, plan))
        known = [one.key for one in (*found, *plans)]
        found.extend(one for one in answering if one is plan or one.key not in known)
    return found


def _answering(decision: Decision, plan: TierPlan) -> Iterator[TierPlan]:
    tier = next((one for one in decision.tiers.all() if same(one, plan)), None)
    if tier is None or tier.state != TierState.FAILED or tier.expired_at is None:
        yield plan
        return
    for following in tiers.after(tier).prefetch_related("approvers"):
        yield from _answering(decision, TierPlan.of_row(following))


def same(tier: Tier, plan: TierPlan) -> bool:
    """Whether a tier asked the approvers that a plan asks."""
    return TierPlan.of_row(tier).key == plan.key


def _demand(decision: Decision, plan: TierPlan) -> Demand:
    seats = []
    for position, spec in enumerate(plan.seats):
        found = resolving.find(spec, decision)
        seats.append(TierApprover(position=position, group=found.group, person=found.person))
    asked = [tier.order for tier in decision.tiers.all() if same(tier, plan)]
    return Demand(plan=plan, seats=seats, asked=asked)


def _offered(decision: Decision, demands: list[Demand], roll: Roll) -> quorum.Offered:
    """The approvals that hold, each with the demands that it may answer and its seats there."""
    rows, found = list(decision.tiers.all()), []
    for vote, limits in quorum.approvals(decision, roll):
        orders = [tier.order for tier in quorum.may_serve(vote, rows)]
        answers = {
            number: roll.positions(one.seats, quorum.principal(vote), limits)
            for order in orders for number, one in enumerate(demands) if order in one.asked
        }  # fmt: skip
        found.append((vote, answers))
    return found

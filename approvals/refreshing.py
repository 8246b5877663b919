"""Bringing open decisions up to what policy says now, at once; without it, the look before dispatch does so later.

What people have said stands. A tier that is demanded by now and was not asked is added, a quorum that rose is raised, a
hold is made longer; nothing is taken away: what policy no longer demands is still asked. Where policy denies by now,
the decision is superseded and its mission told, so that it asks for a ruling again and hears the denial. Nothing is
approved here.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from enum import StrEnum

from django.db import transaction

from approvals import audience, coverage, intents, resolution, tiers
from approvals.gate import PolicyGate
from approvals.models import Decision, DecisionKind, Tier, TierState
from approvals.plans import TierPlan, apart, plans_of, unique
from missions.errors import MissionEnded
from missions.governance import Ruling, RulingOutcome


class Refreshed(StrEnum):
    """What came of it."""

    UNCHANGED = "unchanged"  # settled, no action, or all that is demanded is asked
    EXTENDED = "extended"  # more is asked now
    DENIED = "denied"  # policy denies it by now; the mission asks again and is told
    UNKNOWN = "unknown"  # this process does not know the tool, so the look before dispatch decides


def refresh(decision_id: uuid.UUID) -> Refreshed:
    """Rule on an open action again and ask what is missing. Own transaction; the mission's mailbox comes last."""
    with transaction.atomic():
        decision = resolution.locked(decision_id)
        if decision is None or not decision.is_open or decision.kind != DecisionKind.ACTION or not decision.mission:
            return Refreshed.UNCHANGED
        if intents.tool_of(decision) is None:
            return Refreshed.UNKNOWN
        ruling = PolicyGate().rule(intents.intent_of(decision))
        if ruling.outcome is RulingOutcome.DENY:
            return _denied(decision, ruling)
        return _extended(decision, ruling) if ruling.outcome is RulingOutcome.ESCALATE else Refreshed.UNCHANGED


def _denied(decision: Decision, ruling: Ruling) -> Refreshed:
    """The mission asks for a ruling again; approving this could not lead anywhere."""
    resolution.supersede(decision, None, f"Policy denies this by now. {ruling.reason}")
    with suppress(MissionEnded), transaction.atomic():  # then nobody waits for it, and superseded says it all
        resolution.tell_mission(decision)
    return Refreshed.DENIED


def extend(decision: Decision, plans: Iterable[TierPlan]) -> bool:
    """Ask for what these plans demand beyond what is asked; whether that is anything. The caller holds the lock."""
    rows, more = list(decision.tiers.prefetch_related("approvers")), False
    for plan in plans:
        tier = next((one for one in rows if coverage.same(one, plan)), None)
        if tier is not None:
            rows.remove(tier)
            more |= _raised(tier, plan)
        else:
            more |= _added(decision, plan)
    return more


def _extended(decision: Decision, ruling: Ruling) -> Refreshed:
    longer = ruling.hold_seconds > decision.hold_seconds
    if not extend(decision, plans_of(ruling.tiers)) and not longer:
        return Refreshed.UNCHANGED
    decision.hold_seconds = max(decision.hold_seconds, ruling.hold_seconds)
    decision.policy_version, decision.rules = ruling.policy_version[:120], list(ruling.rules)
    decision.reason, decision.facts = ruling.reason, {**decision.facts, "unevaluated": ruling.unevaluated}
    decision.save(update_fields=["policy_version", "rules", "reason", "facts", "hold_seconds"])
    audience.refresh(decision)
    tiers.show_times(decision)
    resolution.announce(decision)
    return Refreshed.EXTENDED


def _raised(tier: Tier, plan: TierPlan) -> bool:
    """Raise the quorum of a tier; one that was met is open again, with its time anew."""
    if tier.all_of or plan.quorum <= tier.quorum:
        return False
    tier.quorum = plan.quorum
    tier.save(update_fields=["quorum"])
    if tier.state == TierState.MET:
        tiers.open_one(tier)
    return True


def _added(decision: Decision, plan: TierPlan) -> bool:
    """Ask one tier more, after all the others, or together with those that are open where it is parallel."""
    rows = list(decision.tiers.prefetch_related("approvers").order_by("order"))
    name = unique(plan.label, {row.label for row in rows})
    plans = [*map(TierPlan.of_row, rows), replace(plan, name=name)]
    order = rows[-1].order + 1
    others = [rows[number - 1].order for number in apart(plans, len(plans) - 1)]
    last = max(row.stage for row in rows)
    open_stage = max((row.stage for row in rows if row.state == TierState.OPEN), default=last)
    stage = open_stage if plan.parallel else last + 1
    tier = tiers.add(decision, plans[-1], order=order, stage=stage, others=others)
    for row in rows:
        if row.order in others:
            row.apart = [*row.apart, order]
            row.save(update_fields=["apart"])
    if plan.parallel:
        tiers.open_one(tier)
    return True


"""Asking people about a period budget that is used up: one decision for all missions that wait.

The engine sets the alarms `budget.ask` and `budget.moot` in the transaction in which the first mission begins to wait,
or the last one stops, so no crash comes between. Handlers may run again: each looks at the rows first.
"""

from __future__ import annotations

import datetime as dt
import uuid
from dataclasses import asdict
from typing import Any
from zoneinfo import ZoneInfo

from approvals import queue, resolution
from approvals.budgets.words import in_words, period_in_words, subject_in_words
from approvals.models import Decision, DecisionKind
from missions.engine import alarms, charges, codec, period_budgets
from missions.engine.period_budgets import Standing
from missions.governance import Choice
from missions.models import BudgetAccount, BudgetWait, Mission, PeriodBudget
from missions.visibility import unrestricted

NAMESPACE = uuid.UUID("5a1f2f7e-53c8-4d0f-9a43-0f2f8f6f1d52")
SHOWN = 5  # of the missions that wait


def decision_id(account_id: int, round: int) -> uuid.UUID:
    """The id of a question: the same whichever worker opens it."""
    return uuid.uuid5(NAMESPACE, f"{account_id}/{round}")


@alarms.handler("budget.ask")
def ask(subject: str, nominal_at: dt.datetime) -> None:
    """Open the decision, where its account still waits for it."""
    account_id, round = _parts(subject)
    account = BudgetAccount.objects.select_related("budget").filter(pk=account_id, rounds=round, asked=True).first()
    if account is not None:
        (standing,) = period_budgets.standings([account.budget])
        _open(account, round, standing)


@alarms.handler("budget.moot")
def withdraw(subject: str, nominal_at: dt.datetime) -> None:
    """Close the decision: there is room again, or its period is over."""
    decision = resolution.locked(decision_id(*_parts(subject)))
    if decision is not None and decision.is_open:
        resolution.withdraw(decision, "There is room in the budget again, or its period is over.")


def _parts(subject: str) -> tuple[int, int]:
    account, _, round = subject.partition("/")
    return int(account), int(round)


def _open(account: BudgetAccount, round: int, standing: Standing) -> None:
    budget = account.budget
    waits = BudgetWait.objects.filter(budget=budget).order_by("-priority", "pk")
    choices = choices_of(budget)
    facts = _facts(account, round, standing, waits.count())
    waiting = list(waits.values_list("mission_id", flat=True)[:SHOWN])
    missions = Mission.objects.select_related("brief").filter(pk__in=waiting)
    first = next((mission for mission in missions if waiting and mission.pk == waiting[0]), None)
    named = missions.filter(unrestricted(set()))  # all who oversee read this, whatever their groups
    sentence = _sentence(standing)
    decision, created = Decision.objects.get_or_create(pk=decision_id(account.pk, round), defaults={
        "kind": DecisionKind.BUDGET, "sentence": sentence, "path": f"budget/{budget.name}#{round}",
        "action": {"tool": "", "args": {}, "effect_class": "write", "args_schema": {}},
        "choices": [asdict(choice) for choice in choices], "facts": facts, "reversibility": "reversible",
        "evidence": [{"title": mission.brief.title, "mission": str(mission.uid)} for mission in named],
        "digest": codec.digest_of({"sentence": sentence, "account": account.pk, "round": round}),
        "reason": "A budget is used up, and missions wait for room in it.", "rules": ["budget"],
        # Who started the mission that asks first does not allow it himself.
        "requested_by_id": first.brief.started_by_id if first is not None else None,
    })  # fmt: skip
    if created:
        queue.put_before_people(decision, [{"group": budget.group, "quorum": 1}])


def choices_of(budget: PeriodBudget) -> tuple[Choice, ...]:
    """What people can say."""
    more = Choice(value=charges.EXTEND, label=f"Allow {in_words(budget, budget.extension)} more in this period")
    wait = Choice(value=charges.WAIT, label="Let them wait until there is room again by time")
    stop = Choice(value=charges.STOP, label="Refuse them, and all that come in this period")
    return (*((more,) if budget.extension else ()), wait, stop)


def _sentence(standing: Standing) -> str:
    budget = standing.budget
    of = f"{in_words(budget, standing.limit)} in {period_in_words(budget)}"
    if standing.left:
        left = in_words(budget, standing.left)
        return f"The budget “{budget.name}” has {left} left of {of}, too little for what waits: allow more?"
    return f"The budget “{budget.name}” of {of} is used up: allow more?"


def _facts(account: BudgetAccount, round: int, standing: Standing, waiting: int) -> dict[str, Any]:
    budget = standing.budget
    zone = ZoneInfo(budget.zone)
    ends = f"{standing.ends_at.astimezone(zone):%Y-%m-%d %H:%M %Z}" if standing.ends_at else ""
    return {
        "account": account.pk, "round": round, "budget": budget.name, "counts_for": subject_in_words(budget),
        "used": in_words(budget, standing.spent), "of": in_words(budget, standing.limit), "calls_waiting": waiting,
        **({"period_ends": ends} if ends else {}),
    }

"""Charges: taking from period budgets before something is done, and who waits until there is room.

`reserve` takes from all budgets that a call comes under, or from none; under one key it takes once, however often it is
asked. What lacks room waits for a signal `budget:ID`, granted in order of priority and age; nobody polls. The first
that waits has people asked: an alarm `budget.ask:ACCOUNT/ROUND`, which the layer above rings, opens one decision for
all, and `answer` applies what they say.

Lock order: budgets by id (`missions.engine.tills`), then the missions that are woken, by id, as the last statements.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from django.conf import settings
from django.db import transaction

from missions.engine import alarms, mailbox, tills
from missions.engine.tills import ZERO, Till, Wants
from missions.errors import MissionEnded, UnknownMission
from missions.models import (
    ENDED,
    BudgetAccount,
    BudgetCharge,
    BudgetWait,
    ChargeState,
    Counted,
    Exhausted,
    Mission,
    State,
)

WAIT, STOP, EXTEND = "wait", "stop", "extend"  # what people may answer
QUEUE = 500  # of those who wait that are looked at in one go
WAVE = dt.timedelta(seconds=0.1)  # between two waves of MISSIONS_WAKES_AT_ONCE
PATIENCE = dt.timedelta(seconds=30)
GRID = dt.timedelta(seconds=1)  # looks at a rolling budget are rounded up to it, so that a queue sets few alarms


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """Something that is about to be done, and what it takes of each budget; nothing of one that only must not be used
    up."""

    mission_id: int
    path: str
    key: str
    wants: Wants


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """The answer: granted, refused and why, or the place in the queue and which budget lacks room."""

    granted: bool = False
    refused: str = ""
    wait: int = 0
    budget: str = ""

    @property
    def signal(self) -> str:
        """What wakes the mission."""
        return f"budget:{self.wait}"


@transaction.atomic
def reserve(ask: Ask) -> Ticket:
    """Take what is wanted of all budgets, or ask what became of an earlier request. Own transaction."""
    found = tills.locked(ask.wants)
    standing = BudgetCharge.objects.filter(key=ask.key, budget__in=found).exclude(state=ChargeState.RETURNED)
    known = set(standing.values_list("budget_id", flat=True))
    wants = {one: amount for one, amount in ask.wants.items() if one not in known}
    lacking = tills.first_lacking(found, wants)
    while lacking is not None and lacking.free():  # before anybody waits: what the dead held
        lacking = tills.first_lacking(found, wants)
    if lacking is None:
        _take(found, ask.mission_id, ask.key, wants)
        BudgetWait.objects.filter(key=ask.key).delete()
        return Ticket(granted=True)
    if why := _refusal(lacking):
        BudgetWait.objects.filter(key=ask.key).delete()
        return Ticket(refused=why, budget=lacking.budget.name)
    return _queued(lacking, ask, wants)


def _take(found: Mapping[int, Till], mission_id: int, key: str, wants: Wants, *, spent: bool = False) -> None:
    """Charge it; what is begun counts as spent, all else is held until it is known to have happened."""
    for one, amount in sorted(wants.items()):
        if one in found and amount:
            final = spent or found[one].budget.counts == Counted.STEPS
            found[one].take(mission_id, key, amount, ChargeState.SPENT if final else ChargeState.HELD)


def _refusal(till: Till) -> str:
    """Why nobody waits for this budget; empty where it is waited for."""
    budget = till.budget
    if budget.on_exhausted == Exhausted.DENY:
        return f"The budget “{budget.name}” is used up."
    if till.account.answer == STOP:
        return f"The budget “{budget.name}” is used up, and people did not allow more."
    return ""


def _queued(till: Till, ask: Ask, wants: Wants) -> Ticket:
    priority = Mission.objects.values_list("priority", flat=True).get(pk=ask.mission_id)
    mine = {
        "budget": till.budget, "mission_id": ask.mission_id, "path": ask.path, "priority": priority,
        "wants": {str(one): str(amount) for one, amount in wants.items()},
    }
    row, _ = BudgetWait.objects.update_or_create(key=ask.key, defaults=mine)
    _ask_people(till)
    _look_again(till)
    return Ticket(wait=row.pk, budget=till.budget.name)


def _ask_people(till: Till) -> None:
    """Once for all who wait, unless people said to wait."""
    account = till.account
    if account.asked or account.answer:
        return
    account.asked, account.rounds = True, account.rounds + 1
    account.save(update_fields=["asked", "rounds"])
    alarms.set_alarm(f"budget.ask:{account.pk}/{account.rounds}", till.now)


def _look_again(till: Till, soon: bool = False) -> None:
    """An alarm for what changes by time alone, while somebody waits."""
    at = till.now + WAVE if soon else till.account.ends_at or _next_room(till)
    if at is not None:
        alarms.set_alarm(f"budgets:{till.budget.pk}", at)


def _next_room(till: Till) -> dt.datetime | None:
    """When the oldest charge leaves a rolling budget, or an answer ends; None where nothing is counted.

    One that is held for longer than that is looked at now and then: it leaves once it is settled.
    """
    counted = till.account.charges.filter(state__in=(ChargeState.HELD, ChargeState.SPENT))
    oldest = counted.order_by("charged_at").values_list("charged_at", flat=True).first()
    times = [till.account.answered_until]
    if oldest is not None:
        leaves = oldest + dt.timedelta(seconds=till.budget.rolling_seconds or 0)
        times.append(leaves if leaves > till.now else till.now + PATIENCE)
    first = min((at for at in times if at is not None), default=None)
    return first.replace(microsecond=0) + GRID if first is not None else None


@transaction.atomic
def spend(mission_id: int, key: str, amounts: Wants) -> None:
    """Count what is spent already, room or not; once under its key. Own transaction."""
    found = tills.locked(amounts)
    known = set(BudgetCharge.objects.filter(key=key, budget__in=found).values_list("budget_id", flat=True))
    fresh = {one: amount for one, amount in amounts.items() if one not in known}
    _take(found, mission_id, key, fresh, spent=True)


# -- Going on ----------------------------------------------------------------------------------------------------------


@transaction.atomic
def answer(account_id: int, round: int, choice: str, *, by: Iterable[str] = ()) -> None:
    """Apply what people said of a budget that is used up: `extend` it for this period, `wait` or `stop`.

    Does nothing where the question is no longer open. Joins the caller's transaction, as its last act: it wakes
    missions.
    """
    account = BudgetAccount.objects.filter(pk=account_id).first()
    till = tills.locked([account.budget_id]).get(account.budget_id) if account is not None else None
    if till is None or till.account.pk != account_id or not till.account.asked or till.account.rounds != round:
        return
    row, span = till.account, dt.timedelta(seconds=till.budget.rolling_seconds or 0)
    row.asked, row.answered_until = False, row.ends_at or till.now + span
    if choice == EXTEND:
        row.extra += till.budget.extension
    else:
        row.answer = WAIT if choice == WAIT else STOP
    row.save(update_fields=["asked", "answered_until", "extra", "answer"])
    serve(till.budget.pk)


@alarms.handler("budgets")
def look_again(subject: str, nominal_at: dt.datetime) -> None:
    """Something may have changed for those who wait for the budget of this id."""
    alarms.forget_rung(f"budgets:{subject}", nominal_at)
    with transaction.atomic():
        serve(int(subject))


def serve(budget_id: int) -> None:
    """Let go on who waits for this budget and has room now, or is refused. Joins the caller's transaction, last."""
    seen = list(BudgetWait.objects.filter(budget=budget_id).order_by("-priority", "pk")[:QUEUE])
    found = tills.locked({budget_id, *(int(one) for row in seen for one in row.wants)})
    till = found.get(budget_id)
    if till is None:
        return
    queue = BudgetWait.objects.filter(pk__in=[row.pk for row in seen]).order_by("-priority", "pk")  # as of the lock
    woken = _served(till, found, queue)
    waiting = BudgetWait.objects.filter(budget=budget_id).exclude(pk__in=[row.pk for row in woken])
    if waiting.exists():
        busy = len(woken) >= settings.MISSIONS_WAKES_AT_ONCE
        if not busy and not _refusal(till):
            _ask_people(till)
        _look_again(till, soon=busy)
    elif till.account.asked:
        tills.forget_question(till.account)
    wake(woken)


def _served(till: Till, found: Mapping[int, Till], queue: Iterable[BudgetWait]) -> list[BudgetWait]:
    """Those who go on now; what they asked for is theirs."""
    rows, woken = list(queue), list[BudgetWait]()
    missions = Mission.objects.only("state", "control_seq", "control_done").in_bulk({row.mission_id for row in rows})
    refused = _refusal(till)
    for row in rows:
        mission = missions.get(row.mission_id)
        if len(woken) >= settings.MISSIONS_WAKES_AT_ONCE:
            break
        if mission is None or mission.state in ENDED:
            row.delete()
        elif mission.state == State.PAUSED:
            continue  # it asks again when it goes on
        elif refused or _granted(found, row):
            woken.append(row)
    return woken


def _granted(found: Mapping[int, Till], row: BudgetWait) -> bool:
    wants = {int(one): Decimal(amount) for one, amount in row.wants.items()}
    if tills.first_lacking(found, wants) is not None:
        return False
    _take(found, row.mission_id, row.key, wants)
    return True


def wake(rows: Iterable[BudgetWait]) -> None:
    """Take them off the queue and tell the missions, in the order of their ids; last in the caller's transaction."""
    told = sorted(rows, key=lambda one: (one.mission_id, one.pk))
    BudgetWait.objects.filter(pk__in=[row.pk for row in told]).delete()
    for row in told:
        try:
            mailbox.deliver(row.mission_id, f"budget:{row.pk}", {"path": row.path}, sender="budgets")
        except (MissionEnded, UnknownMission):
            BudgetCharge.objects.filter(key=row.key, state=ChargeState.HELD).update(
                state=ChargeState.RETURNED, due=ZERO
            )

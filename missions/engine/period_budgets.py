"""Period budgets: setting them, what each worker knows of them, and how they stand.

A worker asks what it knows (`missions.engine.limits.Rules`), so that where no budget is kept nothing is asked. Changes
are announced when they commit.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import QuerySet, Sum

from missions.engine import alarms, charges, feed, periods, tills
from missions.engine.clock import database_now
from missions.errors import InvalidInput, UnknownBudget
from missions.models import (
    BudgetAccount,
    BudgetCharge,
    BudgetWait,
    ChargeState,
    Counted,
    Exhausted,
    Period,
    PeriodBudget,
    Subject,
)

FIXED = ("name", "subject", "subject_name", "counts", "currency", "period", "zone", "rolling_seconds")
FIELDS = ("amount", "extension", "on_exhausted", "group")  # that may be changed
MOST = Decimal(10) ** 13
LONGEST_SECONDS = 366 * 86_400
SUBJECTS_OF = {  # what can be counted of whom
    Counted.TOKENS: (Subject.ALL, Subject.TYPE), Counted.STEPS: (Subject.ALL, Subject.TYPE),
}
WAITS_SHOWN = 1000
GROUP = "supervisors"  # who is asked where nobody is named


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How a budget stands now. Amounts in the budget's own unit."""

    budget: PeriodBudget
    starts_at: dt.datetime
    ends_at: dt.datetime | None  # None: it rolls
    extra: Decimal
    spent: Decimal  # what is held included
    held: Decimal
    waiting: int  # calls; counted up to 1,000
    asked: bool  # whether people are being asked
    answer: str  # wait or stop, where people said so

    @property
    def limit(self) -> Decimal:
        """What may be used in this period."""
        return self.budget.amount + self.extra

    @property
    def left(self) -> Decimal:
        """What is left of it, not below zero."""
        return max(self.limit - self.spent, Decimal(0))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.budget, name)


def standings(budgets: Iterable[PeriodBudget], *, without: str = "") -> list[Standing]:
    """How these budgets stand; nothing is locked or written. `without` leaves a key's own charges out."""
    rows = list(budgets)
    now = database_now() if rows else tills.EPOCH
    return [_standing(budget, now, without) for budget in rows]


def _standing(budget: PeriodBudget, now: dt.datetime, without: str) -> Standing:
    rolls = budget.period == Period.ROLLING
    begun, ends = (tills.EPOCH, None) if rolls else periods.bounds(budget.period, budget.zone, now)
    account = BudgetAccount.objects.filter(budget=budget, starts_at=begun).first()
    spent = held = extra = Decimal(0)
    answered = account is not None and not (account.answered_until and account.answered_until <= now)
    if account is not None:
        mine = account.charges.exclude(key=without) if without else account.charges.all()
        own = account.charges.filter(key=without, state__in=(ChargeState.HELD, ChargeState.SPENT))
        spent = account.used + tills.over_of([account.pk]).get(account.pk, Decimal(0)) - (_sum(own) if without else 0)
        held, extra = _sum(mine.filter(state=ChargeState.HELD)), account.extra if answered else extra
        if rolls:
            since = now - dt.timedelta(seconds=budget.rolling_seconds or 0)
            spent -= _sum(mine.filter(state=ChargeState.SPENT, charged_at__lte=since))
    return Standing(
        budget=budget, starts_at=now - dt.timedelta(seconds=budget.rolling_seconds or 0) if rolls else begun,
        ends_at=ends, extra=extra, spent=spent, held=held,
        waiting=BudgetWait.objects.filter(budget=budget)[:WAITS_SHOWN].count(),
        asked=account is not None and account.asked, answer=account.answer if account is not None and answered else "",
    )


def _sum(charges_: QuerySet[BudgetCharge]) -> Decimal:
    found: Decimal | None = charges_.aggregate(all=Sum("due"))["all"]
    return found or Decimal(0)


# -- Setting -----------------------------------------------------------------------------------------------------------


def add(*, by: str = "", **values: Any) -> PeriodBudget:
    """Set a budget: name, subject, subject_name, counts, currency, amount, period, zone, rolling_seconds, on_exhausted,
    group, extension. Own transaction. Raises InvalidInput."""
    columns = _completed(values)
    _check(columns)
    try:
        with transaction.atomic():
            budget = PeriodBudget.objects.create(**columns, changed_by=by, changed_at=database_now())
            _announce(budget.pk)
    except IntegrityError as error:
        errors = [{"field": "name", "message": "There is a budget of this name already."}]
        raise InvalidInput("The budget can not be set.", errors=errors) from error
    return budget


def change(name: str, *, by: str = "", **values: Any) -> PeriodBudget:
    """Change what may be changed: amount, extension, on_exhausted, group. What was spent stays spent.

    Own transaction. Raises UnknownBudget, InvalidInput.
    """
    with transaction.atomic():
        budget = _locked(name)
        columns = {field: getattr(budget, field) for field in FIXED}
        columns |= {field: values.get(field, getattr(budget, field)) for field in FIELDS}
        _check(columns)
        told = {"changed_by": by, "changed_at": database_now()}
        PeriodBudget.objects.filter(pk=budget.pk).update(**{field: columns[field] for field in FIELDS}, **told)
        _announce(budget.pk)
    budget.refresh_from_db()
    return budget


def drop(name: str) -> None:
    """Lift a budget; whoever waits for it goes on. Own transaction. Raises UnknownBudget."""
    with transaction.atomic():
        budget = _locked(name)
        for account in budget.accounts.filter(asked=True):
            tills.forget_question(account)
        waits = list(budget.waits.all())
        _announce(budget.pk)
        budget.delete()
        charges.wake(waits)


def named(name: str) -> PeriodBudget:
    """The budget of this name. Raises UnknownBudget."""
    found = PeriodBudget.objects.filter(name=name).first()
    if found is None:
        raise UnknownBudget
    return found


def _locked(name: str) -> PeriodBudget:
    budget = PeriodBudget.objects.select_for_update().filter(name=name).first()
    if budget is None:
        raise UnknownBudget
    return budget


def _announce(budget_id: int) -> None:
    """Workers learn of it, and whoever waits for it is looked at again."""
    alarms.set_alarm(f"budgets:{budget_id}", database_now())
    feed.announce_rules()
    feed.announce_due()


def _completed(values: dict[str, Any]) -> dict[str, Any]:
    """What is not given takes its default."""
    known = {field: values[field] for field in (*FIXED, *FIELDS) if values.get(field) is not None}
    defaults = {
        "subject": Subject.ALL, "subject_name": "", "currency": "", "zone": "UTC", "rolling_seconds": None,
        "on_exhausted": Exhausted.ESCALATE, "group": GROUP, "extension": known.get("amount"),
    }
    columns = {**defaults, **known}
    columns["currency"] = str(columns["currency"]).upper()
    return columns


# -- What makes sense --------------------------------------------------------------------------------------------------


def _check(columns: dict[str, Any]) -> None:
    errors: list[dict[str, Any]] = []

    def wrong(where: str, message: str) -> None:
        errors.append({"field": where, "message": message})

    for where, kinds in (("subject", Subject), ("counts", Counted), ("period", Period), ("on_exhausted", Exhausted)):
        if columns.get(where) not in kinds.values:
            wrong(where, f"One of {', '.join(kinds.values)}.")
    if not errors:
        _check_subject(columns, wrong)
        _check_period(columns, wrong)
    _check_amounts(columns, wrong)
    if errors:
        raise InvalidInput("The budget can not be set.", errors=errors)


def _check_subject(columns: dict[str, Any], wrong: Callable[[str, str], None]) -> None:
    name = columns.get("name") or ""
    if not 0 < len(name) <= 100 or not name.isascii() or not name.replace("-", "").replace("_", "").isalnum():
        wrong("name", "1 to 100 letters, digits, - and _.")
    subject, whose = columns["subject"], columns["subject_name"]
    if bool(whose) is (subject == Subject.ALL):
        wrong("subject_name", "Name it, exactly." if subject != Subject.ALL else "Everything has no name.")
    if len(whose) > 200 or not whose.isprintable():
        wrong("subject_name", "At most 200 printable characters.")
    if subject not in SUBJECTS_OF.get(columns["counts"], Subject.values):
        wrong("counts", f"{Counted(columns['counts']).label} are counted of everything or of a mission type.")
    if bool(columns["currency"]) is (columns["counts"] != Counted.MONEY):
        wrong("currency", "Money wants a currency, and nothing else has one.")
    if columns["currency"] and not (len(columns["currency"]) <= 10 and columns["currency"].isalnum()):
        wrong("currency", "At most 10 letters and digits, as in GBP.")
    if columns["on_exhausted"] == Exhausted.ESCALATE and not 0 < len(columns["group"]) <= 150:
        wrong("group", "Name the group that is asked, in at most 150 characters.")


def _check_period(columns: dict[str, Any], wrong: Callable[[str, str], None]) -> None:
    seconds = columns["rolling_seconds"]
    if (columns["period"] == Period.ROLLING) is not (seconds is not None):
        wrong("rolling_seconds", "A rolling period wants its seconds, and no other has them.")
    elif seconds is not None and not 0 < seconds <= LONGEST_SECONDS:
        wrong("rolling_seconds", f"Between 1 and {LONGEST_SECONDS}.")
    if not periods.is_zone(columns["zone"]):
        wrong("zone", "No time zone that is known here, as in Europe/London.")


def _check_amounts(columns: dict[str, Any], wrong: Callable[[str, str], None]) -> None:
    for where in ("amount", "extension"):
        amount = columns.get(where)
        if not isinstance(amount, Decimal) or not amount.is_finite() or not 0 <= amount < MOST:
            wrong(where, f"A number from 0 to below {MOST:,}.")
        elif -int(amount.as_tuple().exponent) > 4:
            wrong(where, "At most four decimals.")
        elif columns.get("counts") in (Counted.STEPS, Counted.EFFECTS, Counted.TOKENS) and amount % 1:
            wrong(where, "A whole number.")

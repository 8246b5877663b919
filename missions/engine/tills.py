"""Tills: period budgets that are locked, with the account of the period that it is now, and what room each has.

A budget's row is the lock: whoever reads room and takes some of it holds the row until commit, so that no two workers
spend the same money. Charges are settled without it, in the transaction of the entry that tells what happened
(`charge_settle.sql`); a till takes that into account before it reckons. Grants nothing itself
(`missions.engine.charges` does).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from django.db.models import Exists, F, OuterRef, Q, Sum

from missions.engine import alarms, periods
from missions.engine.clock import database_now
from missions.models import (
    ENDED,
    BudgetAccount,
    BudgetCharge,
    ChargeState,
    Effect,
    EffectState,
    Mission,
    Period,
    PeriodBudget,
)
from missions.models.fields import DatabaseNow

ZERO = Decimal(0)
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
KEPT = dt.timedelta(days=62)  # charges of accounts that were closed longer ago are of no more use
HAPPENED = (EffectState.INTENDED, EffectState.IN_DOUBT, EffectState.DONE, EffectState.UNDONE)  # or may have
Wants = Mapping[int, Decimal]  # by budget


@dataclass(slots=True)
class Till:
    """One locked budget."""

    budget: PeriodBudget
    account: BudgetAccount
    now: dt.datetime

    @property
    def limit(self) -> Decimal:
        """What may be used in this period, with what people have added."""
        return self.budget.amount + self.account.extra

    @property
    def left(self) -> Decimal:
        """What is left of it; below zero where the budget was lowered, or what was spent could not be held back."""
        return self.limit - self.account.used

    def has_room(self, wanted: Decimal) -> bool:
        """Whether so much can be taken; nothing at all can, once it is used up."""
        return self.left >= wanted if wanted else self.left > 0

    def take(self, mission_id: int, key: str, amount: Decimal, state: ChargeState) -> None:
        """Charge it; a charge of this key that was given back is taken anew, on whatever account it was."""
        charge = {
            "account": self.account, "mission_id": mission_id, "amount": amount, "due": amount, "state": state,
            "charged_at": DatabaseNow(),
        }
        BudgetCharge.objects.update_or_create(budget=self.budget, key=key, defaults=charge)
        self.account.used += amount
        self.account.save(update_fields=["used"])

    def free(self) -> bool:
        """Give back what missions held that have ended without doing it; whether there was any."""
        mission = Mission.objects.filter(pk=OuterRef("mission_id"))
        effect = Effect.objects.filter(key=OuterRef("key"), state__in=HAPPENED)
        dead = self.account.charges.filter(~Exists(mission) | Exists(mission.filter(state__in=ENDED)), ~Exists(effect))
        if not dead.filter(state=ChargeState.HELD).update(state=ChargeState.RETURNED, due=ZERO):
            return False
        _fold(self)
        return True


def locked(ids: Iterable[int]) -> dict[int, Till]:
    """Lock these budgets, by id, as far as there are any; each with its account of now, brought up to date."""
    rows = list(PeriodBudget.objects.select_for_update().filter(pk__in=set(ids)).order_by("pk"))
    now = database_now() if rows else EPOCH
    tills = {}
    for budget in rows:
        till = Till(budget, _account(budget, now), now)
        _age(till)
        _fold(till)
        tills[budget.pk] = till
    return tills


def _account(budget: PeriodBudget, now: dt.datetime) -> BudgetAccount:
    rolls = budget.period == Period.ROLLING
    begun, ends = (EPOCH, None) if rolls else periods.bounds(budget.period, budget.zone, now)
    account, created = BudgetAccount.objects.get_or_create(budget=budget, starts_at=begun, defaults={"ends_at": ends})
    if created and not rolls:
        _close(budget, account)
    return account


def _close(budget: PeriodBudget, account: BudgetAccount) -> None:
    """A new period has begun: nobody needs the answers of those before."""
    for before in budget.accounts.filter(asked=True).exclude(pk=account.pk):
        forget_question(before)
    old = BudgetCharge.objects.filter(budget=budget, account__ends_at__lt=account.starts_at - KEPT)
    old.exclude(state=ChargeState.HELD).delete()


def forget_question(account: BudgetAccount) -> None:
    """The question that is open for this account needs no answer any more; layers above close it."""
    account.asked = False
    account.save(update_fields=["asked"])
    alarms.set_alarm(f"budget.moot:{account.pk}/{account.rounds}", database_now())


def _age(till: Till) -> None:
    """Let go of what has left a rolling period, and of an answer that holds no longer. Held charges stay: the lane
    settles those, and never waits for a lock of ours."""
    account = till.account
    if account.answered_until is not None and account.answered_until <= till.now:
        account.answer, account.extra, account.answered_until = "", ZERO, None
        account.save(update_fields=["answer", "extra", "answered_until"])
    if (seconds := till.budget.rolling_seconds) is not None:
        since = till.now - dt.timedelta(seconds=seconds)
        over = account.charges.filter(charged_at__lte=since, state__in=(ChargeState.SPENT, ChargeState.RETURNED))
        over.update(state=ChargeState.OVER, due=ZERO)


def _fold(till: Till) -> None:
    """Count charges as they turned out. Settled ones change no more, so reading them first loses nothing."""
    rows = list(till.account.charges.filter(~Q(due=F("amount"))).values_list("pk", "due", "amount"))
    if rows:
        BudgetCharge.objects.filter(pk__in=[pk for pk, _, _ in rows]).update(amount=F("due"))
        till.account.used += sum((due - amount for _, due, amount in rows), ZERO)
        till.account.save(update_fields=["used"])


def first_lacking(tills: Mapping[int, Till], wants: Wants) -> Till | None:
    """The first budget, by id, without room for what is wanted of it."""
    known = ((tills[one], amount) for one, amount in sorted(wants.items()) if one in tills)
    return next((till for till, amount in known if not till.has_room(amount)), None)


def over_of(account_ids: Iterable[int]) -> dict[int, Decimal]:
    """What accounts have counted and will not, or the reverse: to be added to what they say is used."""
    rows = BudgetCharge.objects.filter(~Q(due=F("amount")), account_id__in=list(account_ids))
    return {row["account_id"]: row["change"] for row in rows.values("account_id").annotate(
        change=Sum(F("due") - F("amount")))}  # fmt: skip

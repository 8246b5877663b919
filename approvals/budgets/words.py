"""Period budgets in words for people: amounts with their unit, periods, whose use is counted. Pure."""

from __future__ import annotations

from decimal import Decimal

from missions.models import Counted, Period, PeriodBudget, Subject

UNITS = {Counted.STEPS: "steps", Counted.EFFECTS: "effects", Counted.TOKENS: "tokens", Counted.WALL: "seconds"}


def in_words(budget: PeriodBudget, amount: Decimal) -> str:
    """An amount of this budget with its unit."""
    if budget.counts == Counted.MONEY:
        decimals = max(2, -int(amount.normalize().as_tuple().exponent))
        return f"{amount:,.{decimals}f} {budget.currency}"
    unit = UNITS[Counted(budget.counts)]
    return f"{amount.normalize():,f} {unit[:-1] if amount == 1 else unit}"


def period_in_words(budget: PeriodBudget) -> str:
    """Its period, as in `a day`."""
    if budget.period == Period.ROLLING:
        return f"any {budget.rolling_seconds:,} s"
    return f"{'an' if budget.period == Period.HOUR else 'a'} {Period(budget.period).label.lower()}"


def subject_in_words(budget: PeriodBudget) -> str:
    """Whose use it counts."""
    if budget.subject == Subject.ALL:
        return "all missions"
    return f"the {Subject(budget.subject).label.lower()} {budget.subject_name}"

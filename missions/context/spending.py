"""What a mission uses of its budget."""

from __future__ import annotations

import dataclasses
import datetime as dt
from dataclasses import dataclass
from decimal import Decimal

from missions.context.base import Calls
from missions.effects import charging
from missions.engine import codec
from missions.engine.branches import durable
from missions.engine.budgets import Budget, Spent
from missions.errors import MisusedContext
from missions.models import Kind
from missions.tools.pricing import Price


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """How a mission stands; a limit that is not set is None."""

    limits: Budget  # in force now, with what people have allowed since the start
    spent: Spent
    deadline: dt.datetime | None

    def remaining(self, what: str) -> int | Decimal | None:
        """What is left of `steps`, `effects`, `cost` or `tokens`, not below zero."""
        limit: int | Decimal | None = getattr(self.limits, what)
        return max(limit - getattr(self.spent, what), type(limit)(0)) if limit is not None else None


class Spending(Calls):
    """The calls that concern the budget."""

    @property
    def budget(self) -> Account:
        """The mission's account as its record has it here. Read it in the first branch.

        In branches side by side another one's last entry may or may not count already: MisusedContext.
        """
        if self._here is not self._root:
            raise MisusedContext("Read the budget in the mission's first branch, where replay reckons the same.")
        ledger = self._run.ledger
        limits = Budget(**{field.name: ledger.limit(field.name) for field in dataclasses.fields(Budget)})
        return Account(limits=limits, spent=dataclasses.replace(ledger.spent), deadline=ledger.deadline)

    @durable
    async def spend(
        self, *, cost: Decimal | int | str = 0, tokens: int = 0, what: str = "", currency: str = ""
    ) -> None:
        """Record what something has cost. The next step or effect asks people where the budget is used up.

        Period budgets of money count it in its currency; without one it counts in each.
        """
        path, amount = self._here.path("spend"), str(Decimal(cost))
        if not Decimal(cost).is_finite() or Decimal(cost) < 0 or tokens < 0:
            raise ValueError("What was spent is not below zero.")
        told = {"cost": amount, "tokens": tokens, "what": what, **({"currency": currency} if currency else {})}
        input_hash = codec.input_hash(list(told.values()))
        if await self._run.recorded(path, input_hash) is None:
            if self._run.owner.rules().budgets:
                await charging.spent(self._run, path, Price(Decimal(cost), currency), tokens)
            await self._record(Kind.SPENT, path, told, input_hash)

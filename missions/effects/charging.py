"""What steps and calls take of period budgets: asked for before they begin, settled with the entry that ends them.

Where no budget is kept this is a look into memory. What lacks room parks its mission until a signal `budget:ID`.
What people order, such as undoing effects, comes under no budget, so that nothing keeps them from it. A charge lives
under the effect's own key, or one made of the call's place, so a repeat after a crash takes nothing twice.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING

from django.conf import settings

from missions.effects import standing
from missions.effects.budgeting import CONTROL
from missions.engine import charges, crashpoints, period_budgets
from missions.engine.arrays import boolean, int4, int8
from missions.engine.branches import Wait
from missions.engine.charges import Ask, Ticket
from missions.engine.limits import Kept
from missions.engine.run import Run
from missions.engine.session import Call
from missions.engine.writes import Head, Side
from missions.errors import BudgetExhausted
from missions.governance import EffectClass, Intent, Json
from missions.models import Counted, PeriodBudget
from missions.tools.pricing import LARGEST, Price, price_of

if TYPE_CHECKING:
    from missions.effects.call import ToolRun

Amounts = dict[int, Decimal]
NOTHING, ONE = Decimal(0), Decimal(1)


def place_key(run: Run, path: str, what: str) -> str:
    """The key of what has none of its own: the same on every attempt, another on another timeline."""
    claimed = run.claimed
    place = f"{claimed.uid}\n{claimed.timeline}\n{claimed.chapter}\n{path}\n{what}"
    return hashlib.sha256(place.encode()).hexdigest()


# -- Calls -------------------------------------------------------------------------------------------------------------


def _of_call(op: ToolRun) -> tuple[Kept, ...]:
    rules = op.run.owner.rules()
    if not rules.budgets or op.path.startswith(CONTROL):
        return ()
    return rules.budgets_of(op.run.claimed.type, tool=op.spec.name, agent=op.intent.agent)


async def informed(op: ToolRun) -> Intent:
    """The call's intent with how the budgets stand that it comes under, less what it holds of them itself."""
    intent = op.intent
    if not (budgets := _of_call(op)):
        return intent
    ids, key = [budget.id for budget in budgets], op.progress.key
    return replace(intent, budgets=await op.run.owner.in_database(_standing, ids, key))


def _standing(ids: list[int], key: str) -> tuple[Json, ...]:
    rows = period_budgets.standings(PeriodBudget.objects.filter(pk__in=ids).order_by("name"), without=key)
    return tuple(
        {"name": row.budget.name, "counts": row.budget.counts, "spent": f"{row.spent:f}", "left": f"{row.left:f}"}
        for row in rows
    )


async def charged(op: ToolRun) -> None:
    """Return once there is room in all budgets that the call comes under, and what it takes is held for it.

    Raises BudgetExhausted where it is refused.
    """
    op.charged = ""
    if wants := _wanted(op, _of_call(op)):
        is_read = op.spec.effect is EffectClass.READ
        key = place_key(op.run, op.path, "read") if is_read else op.key_of(standing.generation(op))
        await _reserved(op.run, op.path, key, wants)
        op.charged = key


def key_before_intent(op: ToolRun) -> str:
    """The key under which a call may hold something before its intent; empty where it comes under no budget.

    Reckoned rather than remembered: it may have been an earlier attempt that was charged.
    """
    writes = op.spec.effect is not EffectClass.READ
    return op.key_of(standing.generation(op)) if writes and _of_call(op) else ""


def _wanted(op: ToolRun, budgets: tuple[Kept, ...]) -> Amounts:
    writes = op.spec.effect is not EffectClass.READ
    price = price_of(op.args, op.spec.cost) if writes or op.spec.cost else None
    found: Amounts = {}
    for budget in budgets:
        if budget.counts == Counted.MONEY:
            found |= _money(budget, price)
        elif budget.counts == Counted.WALL:
            found[budget.id] = Decimal(str(op.spec.timeout_seconds))
        elif budget.counts == Counted.TOKENS:
            found[budget.id] = NOTHING
        elif budget.counts == Counted.EFFECTS and writes:
            found[budget.id] = ONE
    return found


def _money(budget: Kept, price: Price | None) -> Amounts:
    if price is None or not price.is_in(budget.currency):
        return {}
    return {budget.id: min(price.counted, LARGEST)}


def settling(key: str, *, happened: bool, seconds: float | None = None) -> Side:
    """The statement that settles a key's charges, to go with the entry that tells what happened."""
    took = None if seconds is None else int8(math.ceil(seconds * 1000))

    def settle(head: Head) -> Call:
        fence = int8(head.mission_id), int4(head.attempt)
        return b"charge_settle", (*fence, key.encode(), boolean(happened), took)

    return settle


# -- Steps, and what missions say that they spent ----------------------------------------------------------------------


async def step_begins(run: Run, path: str, limit_seconds: float | None) -> str:
    """The same for a step; the key to settle its seconds by, empty where none are counted. Raises BudgetExhausted."""
    amounts = {Counted.STEPS: ONE, Counted.WALL: Decimal(str(limit_seconds or 0)), Counted.TOKENS: NOTHING}
    kept = run.owner.rules().budgets_of(run.claimed.type)
    wants = {one.id: amounts[Counted(one.counts)] for one in kept if one.counts in amounts}
    if not wants or path.startswith(CONTROL):
        return ""
    key = place_key(run, path, "step")
    await _reserved(run, path, key, wants)
    return key


async def thinks(run: Run, path: str, agent: str) -> None:
    """Return once none of the budgets is used up that asking an LLM comes under; what it takes `spent` counts.

    Raises BudgetExhausted where it is refused.
    """
    paid_in = {"USD", *(price.currency.upper() for price in settings.LLM_PRICES.values())}
    wants = {
        one.id: NOTHING for one in run.owner.rules().budgets_of(run.claimed.type, agent=agent)
        if one.counts == Counted.TOKENS or (one.counts == Counted.MONEY and one.currency in paid_in)
    }
    if wants:
        await _reserved(run, path, place_key(run, path, "thinks"), wants)


async def spent(run: Run, path: str, price: Price, tokens: int, agent: str = "") -> None:
    """Count what a mission, or an agent in it, has spent; nobody can hold that back any more."""
    found: Amounts = {}
    for budget in run.owner.rules().budgets_of(run.claimed.type, agent=agent):
        if budget.counts == Counted.MONEY and price.amount:
            found |= _money(budget, price)
        elif budget.counts == Counted.TOKENS and tokens:
            found[budget.id] = Decimal(tokens)
    if found:
        await run.owner.in_database(charges.spend, run.claimed.id, place_key(run, path, "spent"), found)


async def _reserved(run: Run, path: str, key: str, wants: Amounts) -> None:
    ask = Ask(mission_id=run.claimed.id, path=path, key=key, wants=wants)
    while True:
        ticket: Ticket = await run.owner.in_database(charges.reserve, ask)
        run.check()
        if ticket.refused:
            raise BudgetExhausted(ticket.refused)
        if ticket.granted:
            crashpoints.reach("budget_held")
            while run.leaving:  # nothing fresh starts here; the next attempt holds the same
                await run.put_back(path)
            return
        if run.inbox.take(ticket.signal) is None:
            await run.wait(path, Wait(label=f"budget:{ticket.budget}", signals=(ticket.signal,)))
            run.inbox.take(ticket.signal)

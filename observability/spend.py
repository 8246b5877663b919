"""What agents spent: the answers of LLMs, counted once each from the journal, day by day, and kept when missions leave.

Reads by transaction, like the rail: only what transactions wrote that have all ended, so a late commit is waited for.
The rows and the note of how far we are change in one transaction, under the note's lock: a run that dies, repeats or
overlaps another counts nothing twice. Timelines that a rollback left behind count, since they were paid; what a fork
copied does not. The archive takes nothing that is not counted.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from decimal import Decimal, InvalidOperation
from itertools import islice
from typing import Any

from django.db import transaction
from django.db.models import Exists, F, Min, OuterRef, QuerySet

from missions.engine import history
from missions.engine.clock import database_now
from missions.engine.history import HistoryEntry
from missions.models import Entry, Forked, Kind
from observability.checks import record
from observability.models import AGENT_CHARACTERS, MEMBER_CHARACTERS, Check, Spend
from observability.stream import settled_before
from observability.wording import clean

NAME = "agent-spend"
MOST, ROUNDS = 2000, 50  # answers counted in one transaction, and transactions in a run
TOGETHER = 100  # answers in memory at once: a long one is large
CURRENCY_CHARACTERS = 10
LARGEST, MOST_TOKENS, MOST_VERSIONS = Decimal(10) ** 15, 10**12, 2**31 - 1  # what one entry may tell


@dataclass(frozen=True, slots=True)
class Account:
    """What is counted together. `agent` is empty, and `version` 0, where a mission itself asked an LLM."""

    day: dt.date
    agent: str
    version: int
    member: str
    currency: str


@dataclass(slots=True)
class Sum:
    """What is counted. `cost` is without the answers that are `unpriced`; `failed` brought no answer."""

    turns: int = 0
    failed: int = 0
    unpriced: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    cost: Decimal = Decimal(0)

    def add(self, payload: dict[str, Any]) -> None:
        """Count one entry."""
        usage = told if isinstance(told := payload.get("usage"), dict) else {}
        failed, cost = bool(payload.get("error")), _money(payload.get("cost"))
        self.turns += 1
        self.failed += failed
        self.unpriced += not failed and (cost is None or payload.get("priced") is not True)
        self.tokens_in += _whole(usage.get("input_tokens"), MOST_TOKENS)
        self.tokens_out += _whole(usage.get("output_tokens"), MOST_TOKENS)
        self.cost += cost or 0


def roll_up() -> str:
    """Count the answers that are not counted yet; the finding. Own transactions."""
    Check.objects.get_or_create(name=NAME, defaults={"ok": True})
    counted = 0
    for _ in range(ROUNDS):
        more, is_done = _round()
        counted += more
        if is_done:
            return f"{counted} answers of LLMs were counted."
    return f"{counted} answers of LLMs were counted; more wait for the next run."


def uncounted_since() -> dt.datetime | None:
    """When the oldest answer was recorded that is not counted yet; None where all are."""
    position = Check.objects.filter(name=NAME).values_list("position", flat=True).first() or 0
    oldest: dt.datetime | None = _answers(position).aggregate(oldest=Min("recorded_at"))["oldest"]
    return oldest


def counted_at() -> dt.datetime | None:
    """When answers were counted last; None before the first time."""
    return Check.objects.filter(name=NAME).values_list("checked_at", flat=True).first()


def of_agent(agent: str, days: int) -> list[Spend]:
    """What an agent spent on the last days, today's so far included; the latest day and the newest version first."""
    since = database_now().astimezone(dt.UTC).date() - dt.timedelta(days=days - 1)
    rows = Spend.objects.filter(agent=agent, day__gte=since)
    return list(rows.order_by("-day", "-version", "member", "currency"))


@transaction.atomic
def _round() -> tuple[int, bool]:
    """Count some more; how many, and whether that was all that is settled."""
    position = Check.objects.select_for_update().get(name=NAME).position
    bound = settled_before()
    if bound <= position:
        return 0, True
    end = _end(position, bound)
    sums = _summed(_read(_answers(position).filter(tx__lt=end)))
    for account, found in sums.items():
        _keep(account, found)
    counted = sum(found.turns for found in sums.values())
    record(NAME, True, f"Counted up to transaction {end}; {counted} answers of LLMs lately.", position=end)
    return counted, end == bound


def _answers(position: int) -> QuerySet[Entry]:
    """The answers since a transaction, but for those that a fork copied."""
    copied = Forked.objects.filter(mission_id=OuterRef("mission_id"), own_seq__gte=OuterRef("seq"))
    return Entry.objects.filter(~Exists(copied), kind=Kind.LLM, tx__gte=position)


def _end(position: int, bound: int) -> int:
    """Up to which transaction to count now: MOST answers or the bound, and one transaction at least."""
    beyond = _answers(position).filter(tx__lt=bound).order_by("tx").values_list("tx", flat=True)[MOST : MOST + 1]
    return max(beyond[0], position + 1) if beyond else bound


def _read(rows: QuerySet[Entry]) -> Iterator[HistoryEntry]:
    unread = rows.iterator(chunk_size=TOGETHER)
    while portion := list(islice(unread, TOGETHER)):
        yield from history.decode(portion)


def _summed(entries: Iterable[HistoryEntry]) -> dict[Account, Sum]:
    sums: dict[Account, Sum] = {}
    for entry in entries:
        sums.setdefault(_account(entry), Sum()).add(entry.payload)
    return sums


def _account(entry: HistoryEntry) -> Account:
    told = entry.payload
    return Account(
        day=entry.recorded_at.astimezone(dt.UTC).date(), agent=clean(told.get("agent") or "", AGENT_CHARACTERS),
        version=_whole(told.get("version"), MOST_VERSIONS), member=clean(told.get("member") or "", MEMBER_CHARACTERS),
        currency=clean(told.get("currency") or "", CURRENCY_CHARACTERS),
    )


def _keep(account: Account, found: Sum) -> None:
    row, is_new = Spend.objects.get_or_create(**asdict(account), defaults=asdict(found))
    if not is_new:
        Spend.objects.filter(pk=row.pk).update(**{name: F(name) + more for name, more in asdict(found).items()})


def _whole(given: object, most: int) -> int:
    return min(max(given, 0), most) if isinstance(given, int) else 0


def _money(given: object) -> Decimal | None:
    """An amount; None for what is none."""
    try:
        amount = Decimal(str(given))
    except InvalidOperation:
        return None
    return amount if amount.is_finite() and abs(amount) < LARGEST else None

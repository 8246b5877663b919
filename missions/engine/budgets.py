"""Budgets: what a mission may use up before people are asked, and the account of what it has used.

The account is folded from entries in the order in which they are recorded or released, so replay reckons the same.
Questions about the budget are the mission's own: they stand at `budget/WHAT#N`, a path that no call of the author has,
and replay takes their entries by itself.
"""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, ClassVar

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from missions.engine import codec
from missions.engine.claims import Recorded
from missions.engine.record import Record
from missions.errors import InvalidInput
from missions.models import Kind

Json = dict[str, Any]
PREFIX = "budget/"
REFUSED = "budget_exhausted"
COUNTED = STEP, STEP_FAILED, INTENT, SPENT, LLM = Kind.STEP, Kind.STEP_FAILED, Kind.INTENT, Kind.SPENT, Kind.LLM
UNITS = {"steps": "step", "effects": "effect", "tokens": "token"}
Count = Annotated[int, Field(ge=0, le=2**53)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What a mission may use before people are asked; None is no limit. `wall` runs from the start, waits included."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    steps: Count | None = None
    effects: Count | None = None
    wall: Annotated[dt.timedelta, Field(gt=dt.timedelta(0), le=dt.timedelta(days=36500))] | None = None
    cost: Annotated[Decimal, Field(ge=0, max_digits=18, allow_inf_nan=False)] | None = None
    tokens: Count | None = None

    def as_json(self) -> Json:
        """The limits that are set, as the journal keeps them; `wall` as an ISO 8601 duration."""
        told: Json = _budgets.dump_python(self, mode="json", exclude_none=True)
        return told

    @classmethod
    def from_json(cls, data: Json) -> Budget:
        """The inverse of `as_json`; `wall` may be seconds too. Raises InvalidInput, field by field."""
        try:
            return _budgets.validate_python(data)
        except ValidationError as error:
            errors = [
                {"field": ".".join(["budget", *(str(part) for part in item["loc"])]), "message": item["msg"]}
                for item in error.errors(include_url=False, include_context=False, include_input=False)
            ]
            raise InvalidInput("The budget can not be taken.", errors=errors) from error


_budgets = TypeAdapter(Budget)


@dataclass(slots=True, kw_only=True)
class Spent:
    """What was used: counts, and money in whatever unit the author reckons in."""

    steps: int = 0
    effects: int = 0
    cost: Decimal = Decimal(0)
    tokens: int = 0


class Ledger:
    """The account of one mission."""

    def __init__(self, started: Callable[[], Json], started_at: dt.datetime) -> None:
        self._started, self.started_at = started, started_at
        self._first: Budget | None = None
        self.spent = Spent()
        self.raised: dict[str, int] = {}  # how often people have allowed the first limit once more
        self.rounds: dict[str, int] = {}  # questions asked
        self.asked: Json | None = None  # the open question
        self.refused: set[str] = set()
        self._until: dt.datetime | None = None  # where people have allowed more time
        self.reserved: dict[str, str] = {}  # by path: what is under way and not recorded yet
        self.queue: list[str] | None = None  # paths of calls that wait while one of them asks

    @property
    def first(self) -> Budget:
        """The limits that the mission was started with."""
        if self._first is None:
            self._first = Budget.from_json(self._started().get("budget") or {})
        return self._first

    @functools.cached_property
    def unlimited(self) -> bool:
        """Whether nothing is limited, as for most missions: then nothing needs to be reserved."""
        return self.first == Budget()

    def limit(self, what: str) -> Any:
        """The limit in force, or None."""
        first = getattr(self.first, what)
        return first * (1 + self.raised.get(what, 0)) if first is not None else None

    @property
    def deadline(self) -> dt.datetime | None:
        """When the time that it may take is over."""
        wall = self.first.wall
        return max(self.started_at + wall, self._until or self.started_at) if wall is not None else None

    def used_up(self, wanted: str, seconds: float) -> str | None:
        """What one more `wanted` (steps, effects or nothing) would exceed at this time, or None."""
        deadline = self.deadline
        if deadline is not None and seconds >= deadline.timestamp():
            return "wall"
        for what in ("cost", "tokens", *([wanted] if wanted else [])):
            limit = self.limit(what)
            under_way = sum(1 for reserved in self.reserved.values() if reserved == what)
            if limit is not None and getattr(self.spent, what) + under_way >= limit:
                return what
        return None

    def take_own(self, record: Record) -> None:
        """Take what comes next in the record and is the budget's own: no call of the author waits for it."""
        while (entry := record.next) is not None and entry.path.startswith(PREFIX):
            record.pop()
            self.fold(entry.kind, entry.path, entry.body)

    def as_json(self) -> Json:
        """What the next chapter has to know of it."""
        spent = {"steps": self.spent.steps, "effects": self.spent.effects, "tokens": self.spent.tokens,
                 "cost": str(self.spent.cost)}  # fmt: skip
        return {
            "started_at": self.started_at.isoformat(), "budget": self._started().get("budget"), "spent": spent,
            "raised": self.raised, "rounds": self.rounds, "refused": sorted(self.refused),
            "until": self._until.isoformat() if self._until else None,
        }

    @classmethod
    def from_json(cls, data: Json) -> Ledger:
        """The inverse of `as_json`."""
        ledger = cls(lambda: data, dt.datetime.fromisoformat(data["started_at"]))
        spent = data["spent"]
        ledger.spent = Spent(
            steps=spent["steps"], effects=spent["effects"], tokens=spent["tokens"], cost=Decimal(spent["cost"])
        )
        ledger.raised, ledger.rounds, ledger.refused = data["raised"], data["rounds"], set(data["refused"])
        ledger._until = dt.datetime.fromisoformat(data["until"]) if data["until"] else None
        return ledger

    def fold(self, kind: str, path: str, payload: bytes | Json) -> None:
        """Take an entry into account."""
        if path.startswith(PREFIX):
            self._own(kind, path[len(PREFIX):].partition("#")[0], _decoded(payload))
        elif kind in COUNTED:
            self.reserved.pop(path, None)
            self._count(kind, payload)

    def _own(self, kind: str, what: str, payload: Json) -> None:
        if kind == Kind.ASKED:
            self.asked, self.rounds[what] = {**payload, "what": what}, self.rounds.get(what, 0) + 1
        else:
            self.asked = None
            if payload["answer"]["verdict"] == "approved":
                self.raised[what] = self.raised.get(what, 0) + 1
                if what == "wall" and self.first.wall is not None:  # from the answer on: much may have passed already
                    self._until = dt.datetime.fromisoformat(payload["answer"]["at"]) + self.first.wall
            else:
                self.refused.add(what)

    def _count(self, kind: str, payload: bytes | Json) -> None:
        if kind == STEP or (kind == STEP_FAILED and _decoded(payload)["error"]["type"] != REFUSED):
            self.spent.steps += 1
        elif kind == INTENT:
            self.spent.effects += 1
        elif kind in (SPENT, LLM):
            told = _decoded(payload)
            self.spent.cost += Decimal(told["cost"])
            self.spent.tokens += told["tokens"]

    def sentence(self, what: str) -> str:
        """The question to people."""
        limit, more = in_words(what, self.limit(what)), in_words(what, getattr(self.first, what))
        return f"The budget of {limit} is used up: allow {more} more?"


def ledger_of(first: Recorded) -> Ledger:
    """The account at the beginning of a mission, or of its chapter."""
    if first.kind == Kind.CHAPTER:
        return Ledger.from_json(first.payload["account"])
    return Ledger(lambda: first.payload, first.recorded_at)


def _decoded(payload: bytes | Json) -> Json:
    decoded: Json = codec.load(payload) if isinstance(payload, bytes) else payload
    return decoded


def in_words(what: str, amount: Any) -> str:
    """An amount with its unit."""
    if what == "wall":
        hours, seconds = divmod(int(amount.total_seconds()), 3600)
        return f"{hours} h {seconds // 60} min" if hours else f"{amount.total_seconds():g} s"
    if what == "cost":
        return f"{amount} of cost"
    return f"{amount} {UNITS[what]}{'' if amount == 1 else 's'}"

"""A rail item and its place: one total order over everything that happened, of all missions.

Pure data. The order is (transaction, rank of the source, mission, id in the source). The text form of a place is
opaque to clients.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Self

_FORM = re.compile(r"(\d{1,19})\.(\d)\.(\d{1,19})\.(\d{1,19})", re.ASCII)
_LARGEST = 2**63 - 1


class BadCursor(ValueError):
    """This is no cursor of the rail; start again without one."""


class Source(IntEnum):
    """Where a rail item is kept. The value is its rank among items of one transaction."""

    JOURNAL = 0  # the mission's journal; the id is its seq
    VOTE = 1  # a person's vote; the id is its row's
    TAKEOVER = 2  # a mission was freed from a dead worker; the id is its row's
    RETRACTION = 3  # a vote was taken back while its approval was held; the id is its row's


@dataclass(frozen=True, slots=True, order=True)
class Cursor:
    """The place of one item; items compare as they happened."""

    tx: int
    source: Source
    mission_id: int
    id: int

    def __str__(self) -> str:
        return f"{self.tx}.{self.source.value}.{self.mission_id}.{self.id}"

    @property
    def dom_id(self) -> str:
        """The same, fit for an HTML id."""
        return f"rail-{str(self).replace('.', '-')}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """The inverse of `str`. Raises BadCursor."""
        match = _FORM.fullmatch(text)
        numbers = [int(part) for part in match.groups()] if match else []
        if not numbers or max(numbers) > _LARGEST or numbers[1] not in list(Source):
            raise BadCursor(f"{text[:40]!r} is no cursor of the rail; start again without one.")
        return cls(numbers[0], Source(numbers[1]), numbers[2], numbers[3])


@dataclass(frozen=True, slots=True, kw_only=True)
class RailItem:
    """One thing that happened. `kind` is the journal's, or else `vote`, `retraction` or `takeover`, without `seq`."""

    cursor: Cursor
    mission_id: int | None
    kind: str
    at: dt.datetime
    payload: dict[str, Any]
    path: str = ""
    seq: int | None = None
    timeline: int = 1
    attempt: int = 0

"""Who has to approve, as rules say it: approvers, and the tiers that they make up.

Pure, frozen, shared between threads. What a tier means at the time of a vote is `approvals.tiers`' to know.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from approvals.models import OnExpiry


class Sort(StrEnum):
    """How an approver is named."""

    GROUP = "group"  # any member
    PERSON = "person"  # one user, by name
    ATTRIBUTE = "attribute"  # whoever the mission's facts lead to


ATTRIBUTES: Final = ("owner.manager",)  # those that lead to a person


@dataclass(frozen=True, slots=True, kw_only=True)
class Approver:
    """A group, a person, or an attribute with the one who stands in where it leads to nobody."""

    sort: Sort
    name: str
    fallback: Approver | None = None

    def __str__(self) -> str:
        return f"{self.name}, else {self.fallback}" if self.fallback else self.name

    def as_json(self) -> dict[str, Any]:
        """`{"group": "finance"}`, and the like."""
        told: dict[str, Any] = {str(self.sort): self.name}
        return told | ({"fallback": self.fallback.as_json()} if self.fallback else {})


@dataclass(frozen=True, slots=True, kw_only=True)
class TierRule:
    """Those who have to approve together. Times are seconds since the tier opened; None means without end."""

    name: str
    approvers: tuple[Approver, ...]
    all_of: bool = False  # each approver gives one person, else `quorum` different people of the union
    quorum: int = 1
    parallel: bool = False  # opens together with the tier before it
    distinct_from: tuple[str, ...] | None = None  # tiers whose voters may not vote here too; None: all others
    calendar: str = ""  # whose business time `sla` counts; empty: by the clock
    sla_seconds: int | None = None
    expires_seconds: int | None = None
    on_expiry: OnExpiry = OnExpiry.HOLD
    asks: tuple[str, ...] = field(init=False, repr=False, compare=False)  # the same for the same set of approvers
    written: dict[str, Any] = field(init=False, repr=False, compare=False)  # built once, for rulings wait for it

    def __post_init__(self) -> None:
        names = sorted(f"{approver.sort} {approver.name} {approver.fallback}" for approver in self.approvers)
        object.__setattr__(self, "asks", (str(self.all_of), *names))
        object.__setattr__(self, "written", self._written())

    @property
    def asked(self) -> str:
        """Who is asked, in words: `2 of finance`, `all of finance, sam`."""
        names = ", ".join(str(approver) for approver in self.approvers)
        return f"{'all' if self.all_of else self.quorum} of {names}"

    def as_json(self) -> dict[str, Any]:
        """The form in which a ruling carries it; where one group is asked, with the short form's `group` too."""
        return dict(self.written)

    def _written(self) -> dict[str, Any]:
        told: dict[str, Any] = {
            "name": self.name, "approvers": [approver.as_json() for approver in self.approvers], "all_of": self.all_of,
            "quorum": self.quorum, "parallel": self.parallel,
            "distinct_from": None if self.distinct_from is None else list(self.distinct_from),
            "calendar": self.calendar, "sla_seconds": self.sla_seconds, "expires_seconds": self.expires_seconds,
            "on_expiry": str(self.on_expiry),
        }
        [first, *others] = self.approvers
        return told if others or first.sort is not Sort.GROUP else {"group": first.name, **told}

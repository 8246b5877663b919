"""The rows of the crash table, its cells, and how they are put into words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from missions.engine import crashpoints, history
from missions.engine.history import HistoryEntry
from missions.models import Kind, Mission
from tests.deaths.sides import CLASSES

NOT_REACHED = "–"
BEGIN, END = "<!-- crash table -->", "<!-- end of the crash table -->"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A crash point on the way of an effect."""

    point: str
    arrival: int = 1
    of_read: int = 0  # the arrival in a read, where it is another one
    what: str = ""  # more words for its name
    who: str = "worker"  # who dies: worker, voter, taker, archivist
    body: str = "paid"
    alone: bool = False  # other workers would come first
    budget: bool = False  # its effects are counted by a period budget

    @property
    def name(self) -> str:
        """As the table has it."""
        return f"`{self.point}`{self.what}"

    def crash_at(self, tool: str) -> str:
        """As STANDFAST_CRASH_AT takes it."""
        return f"{self.point}:{self.of_read if tool == 'read' and self.of_read else self.arrival}"


ROWS = (
    Row(point="after_claim"), Row(point="after_ruling"), Row(point="decision_upsert"), Row(point="during_park"),
    Row(point="after_park"), Row(point="vote_and_wake", who="voter"), Row(point="budget_held", budget=True),
    Row(point="after_intent"),
    Row(point="after_recheck"), Row(point="call_sent"), Row(point="call_answered"),
    Row(point="mid_flush", arrival=5, of_read=99, what=" of the intent"),
    Row(point="mid_flush", arrival=6, of_read=5, what=" of the outcome"), Row(point="after_outcome"),
    Row(point="after_takeover", who="taker", alone=True), Row(point="child_started", body="carer"),
    Row(point="awaited_end", body="carer"), Row(point="after_undo", body="undone", alone=True),
    *(Row(point=point, who="archivist") for point in crashpoints.OF_KEEPING),
)


@dataclass(slots=True)
class Cell:
    """One run."""

    row: Row
    tool: str
    order: str
    number: int
    mission: Any = None
    worker: int = 0
    dying: int = 0  # the pid of whoever dies, where it is not the worker
    state: str = "coming"
    struck: bool = False
    seen: dict[int, int] = field(default_factory=dict)  # mission → its last seq when somebody died
    keys: set[str] = field(default_factory=set)
    entries: list[HistoryEntry] = field(default_factory=list)  # after the death
    recorded: bool = False  # the outcome, before it
    postings: int = 0
    requests: int = 0

    @property
    def type(self) -> str:
        return f"table.{self.tool}-{self.number}"

    @property
    def types(self) -> dict[str, str]:
        child = {"carer": "paid"}.get(self.row.body, "idle" if self.tool == "mission.start" else "")
        more = {f"{self.type}-child": child} if child else {}
        return {self.type: self.row.body, **more}

    def missions(self) -> list[Mission]:
        return list(Mission.objects.filter(type__in=list(self.types)).order_by("pk"))

    def journal(self, *, fresh: bool = False) -> list[HistoryEntry]:
        """The entries of its missions; or those after the death alone."""
        after = self.seen if fresh else {}
        return [e for one in self.missions() for e in history.entries(one.pk, after=after.get(one.pk, 0))]


# -- Words -------------------------------------------------------------------------------------------------------------
def words(cell: Cell) -> str:
    """What a cell of the table says."""
    if not cell.struck:
        return NOT_REACHED
    counts = "" if cell.tool == "read" else f" ({cell.requests} → {cell.postings})"
    return f"{course(cell)}{counts}"


def course(cell: Cell) -> str:
    """How it went on, by the entries after the death."""
    own = [entry for entry in cell.entries if not entry.path.startswith("control#")]
    kinds = [entry.kind for entry in own]
    if cell.recorded:
        return "on record"
    if cell.tool == "read":
        return "read"
    if Kind.DOUBT not in kinds:
        return "first call"
    renewed = Kind.INTENT in kinds
    if Kind.ASKED in kinds:
        return f"asked: {'no, new key' if renewed else 'yes'}"
    if Kind.PROBED in kinds:
        return f"probed: {'no, new key' if renewed else 'yes'}"
    return "same key" if Kind.RETRY in kinds else "?"


def rendered(cells: Sequence[Cell]) -> str:
    """The table as Markdown."""
    lines = [f"| dies at | {' | '.join(CLASSES)} |", f"|---{'|---' * len(CLASSES)}|"]
    for row in ROWS:
        found = [cell for cell in cells if cell.row == row]
        if found:
            by_tool = {cell.tool: words(cell) for cell in found}
            lines.append(f"| {row.name} | {' | '.join(by_tool[tool] for tool in CLASSES)} |")
    return "\n".join(lines)


def documented(text: str) -> list[str]:
    """The lines of the table in a document, between its markers."""
    return text.split(BEGIN)[1].split(END)[0].strip().splitlines()


def rewritten(text: str, lines: Sequence[str]) -> str:
    """The document with another table."""
    before, rest = text.split(BEGIN)
    return "\n".join([before + BEGIN, *lines, END + rest.split(END)[1]])

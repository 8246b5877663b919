"""Reading a mission's history along one timeline: which calls it holds, and where a rollback may go back to.

Synchronous and read-only. A call is all that one top-level call of the author recorded: its branches, its decisions and
its retries lie under the same first part of the path.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Q, QuerySet

from missions.effects.progress import ENDS, Progress
from missions.engine import history
from missions.engine.budgets import PREFIX
from missions.engine.history import HistoryEntry
from missions.engine.record import OF_CONTROLS, UNASKED
from missions.errors import ControlRefused
from missions.models import Entry, Kind, Mission, Timeline

# The last entry of a call that has come to its end; tools are told by folding what they recorded.
SETTLED = (
    Kind.STEP, Kind.STEP_FAILED, Kind.NOW, Kind.OBSERVED, Kind.DECIDED, Kind.ANSWERED, Kind.SLEPT, Kind.SIGNAL,
    Kind.PATCHED, Kind.SPAWNED, Kind.ARTIFACT, Kind.WON,
)
OF_BUDGETS = PREFIX.rstrip("/")
GROUPS = ("gather#", "wait_any#", "wait_for#")  # whether all their branches have ended is told by what follows alone
OF_TURNS = (Kind.AGENT, Kind.BACKOFF, Kind.SWITCHED, Kind.LLM)  # entries at the path of an agent's turn itself
ENDINGS = (Kind.COMPLETED, Kind.FAILED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A place in the history at which nothing was under way, and what replay needs to go on from there."""

    seq: int
    chapter: int
    replay_from: int
    mail_from: int


@dataclass(slots=True)
class Call:
    """One top-level call: its entries' span, and whether it has come to its end."""

    path: str
    first: int
    last: int
    kind: str  # of its last entry
    progress: Progress | None = None  # of a tool call
    passed: bool = False  # something came after it, so it has returned
    rests: list[int] = field(default_factory=list)  # of an agent: where it stood between a turn and its calls
    turn: str = ""  # of an agent: the path of its last turn
    answered: int = 0  # of an agent: the entry of its last turn's end, also of one that failed

    def take(self, entry: HistoryEntry) -> None:
        """Its next entry."""
        self._turned(entry)
        self.last, self.kind = entry.seq, entry.kind
        if self.progress is not None and entry.path == self.path:  # what it reads again lies below it
            self.progress.fold(entry.kind, entry.payload)

    def _turned(self, entry: HistoryEntry) -> None:
        """An agent begins a turn once all calls of the one before have ended, and its calls once it has ended."""
        if entry.kind not in OF_TURNS or entry.path.rpartition("/")[0] != self.path:
            return
        if entry.path != self.turn and entry.seq > self.first:
            self.rests.append(self.last)
        self.turn = entry.path
        if entry.kind == Kind.LLM:
            self.answered = entry.seq
            if "error" not in entry.payload:
                self.rests.append(entry.seq)

    def rest(self, at: int) -> int:
        """The latest entry up to `at` at which nothing of it was under way; it may be the one before it began."""
        return max((seq for seq in self.rests if seq <= at), default=self.first - 1)

    @property
    def settled(self) -> bool:
        """Whether nothing of it is under way."""
        if self.passed:
            return True
        if self.progress is not None:
            return self.progress.phase in ENDS
        return self.kind in SETTLED and not self.path.startswith(GROUPS)


def spans(mission: Mission) -> list[tuple[int, int | None]]:
    """The ranges of seq, both ends included, that make up the mission's current timeline; None: without an end."""
    row = Timeline.objects.filter(mission_id=mission.pk, number=mission.timeline).first()
    if row is None:
        return [(1, None)]
    return [(part.lower or 1, part.upper - 1 if part.upper is not None else None) for part in row.kept]


def entries(mission: Mission, after: int = 0) -> Iterator[HistoryEntry]:
    """The entries of the current timeline with a higher seq, in order, a portion at a time."""
    kept = spans(mission)
    for entry in history.stream(mission.pk, after):
        if any(low <= entry.seq and (high is None or entry.seq <= high) for low, high in kept):
            yield entry


def holds(mission: Mission, seq: int) -> bool:
    """Whether the current timeline holds the entry with this seq."""
    return rows_of(mission).filter(seq=seq).exists()


def rows_of(mission: Mission) -> QuerySet[Entry]:
    """The rows of the current timeline, in no order."""
    kept = Q()
    for low, high in spans(mission):
        kept |= Q(seq__gte=low, seq__lte=high) if high is not None else Q(seq__gte=low)
    return Entry.objects.filter(kept, mission_id=mission.pk)


def chapter_start(mission: Mission, seq: int) -> tuple[int, dict[str, Any]]:
    """Where the chapter that holds this entry begins, and the payload of the entry that begins it."""
    kept = Q()
    for low, high in spans(mission):
        kept |= Q(seq__gte=low, seq__lte=min(high, seq) if high is not None else seq)
    rows = Entry.objects.filter(kept, mission_id=mission.pk, kind=Kind.CHAPTER, seq__lte=seq)
    begun = rows.order_by("-seq").values_list("seq", flat=True).first()
    if begun is None:
        return 1, {}
    return begun, history.entries(mission.pk, after=begun - 1, limit=1)[0].payload


def calls(mission: Mission, start: int, until: int | None = None) -> list[Call]:
    """The calls of a chapter in the order of their first entry, by what was recorded up to `until`."""
    found: dict[str, Call] = {}
    newest: Call | None = None
    for entry in entries(mission, after=start - 1):
        if until is not None and entry.seq > until:
            break
        path = entry.path.partition("/")[0]
        over = entry.kind in ENDINGS or (entry.kind == Kind.CHAPTER and entry.seq > start)
        of_author = path not in ("", OF_BUDGETS) and not path.startswith(OF_CONTROLS)
        if newest is not None and (over or (of_author and path != newest.path)):
            newest.passed = True
        if over:
            break
        if of_author and entry.kind not in UNASKED:
            newest = found.setdefault(path, _call(path, entry))
            newest.take(entry)
    return list(found.values())


def _call(path: str, entry: HistoryEntry) -> Call:
    return Call(path, entry.seq, entry.seq, entry.kind, Progress() if entry.kind == Kind.RULING else None)


def snap(mission: Mission, to_seq: int) -> Point:
    """The latest point at or before this entry at which no effect, decision or branch was open.

    Raises ControlRefused for an entry that the current timeline does not hold.
    """
    if not holds(mission, to_seq):
        raise ControlRefused(f"Entry {to_seq} is not on timeline {mission.timeline}; it was left behind.")
    begun, payload = chapter_start(mission, to_seq)
    at = to_seq
    for call in reversed(calls(mission, begun)):
        if call.first <= at < call.last or (call.first <= at and not call.settled):
            at = call.rest(at)
    chapter, mail_from = int(payload.get("chapter", 1)), int(payload.get("mail_from", 0))
    return Point(seq=max(at, begun), chapter=chapter, replay_from=begun, mail_from=mail_from)

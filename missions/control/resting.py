"""What rests on a decision that a mission made: later effects and decisions, and the missions that came of it.

Synchronous and read-only, but for `mark`. The record does not tell which of two thoughts led to the other, so all that
a mission did after a decision counts as resting on it, and so does every mission that it started, that waited for it,
or that was forked from what followed. Better too much to look at than too little.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from django.db import IntegrityError, transaction

from missions.control.lineage import holds, rows_of
from missions.control.preview import UndoneEffect, effects_after, told
from missions.engine import feed, history
from missions.errors import InvalidInput, StandfastError
from missions.governance import Json
from missions.models import Child, Dependency, Entry, Forked, Kind, Mission, WrongMark

MOST_MISSIONS, MOST_EFFECTS = 200, 1000  # of each; beyond it people are told that there is more
REASON_LENGTH = 2000


class NoSuchDecision(StandfastError):
    """The mission has recorded no decision of its own there."""

    code = "no_such_decision"


class AlreadyMarked(StandfastError):
    """This decision is marked as wrong already."""

    code = "already_marked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Later:
    """A decision that came after."""

    seq: int
    title: str
    marked: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Resting:
    """What one mission did that rests on the decision."""

    mission: Mission
    how: str  # itself, child, follower, fork
    after: int  # its entries after this one rest on it
    back_to: int | None  # the entry to roll back to; None where it is a mission as a whole that should not be
    effects: list[UndoneEffect]
    decisions: list[Later]


@dataclass(slots=True, kw_only=True)
class Lineage:
    """A decision, what it rests on, and what rests on it: the mission itself first, then others as they are found."""

    seq: int
    decided: Json  # the payload of its entry
    mark: WrongMark | None
    rests_on: list[Entry]  # results that were at hand, oldest first
    resting: list[Resting] = field(default_factory=list)
    more: bool = False  # there are missions that are not listed

    @property
    def counts(self) -> dict[str, int]:
        """How many missions, effects and decisions rest on it."""
        return {
            "missions": len(self.resting) - 1, "effects": sum(len(one.effects) for one in self.resting),
            "decisions": sum(len(one.decisions) for one in self.resting),
        }


def lineage(mission: Mission, seq: int) -> Lineage:
    """What a decision of the mission rests on, and what rests on it. Raises NoSuchDecision."""
    decided = _decided(mission, seq)
    sources = [int(one) for one in decided.get("rests_on", [])]
    found = Lineage(
        seq=seq, decided=decided, mark=WrongMark.objects.filter(mission_id=mission.pk, seq=seq).first(),
        rests_on=list(Entry.objects.filter(mission_id=mission.pk, seq__in=sources).order_by("seq")),
    )
    for one in _spread(mission, seq):
        if len(found.resting) == MOST_MISSIONS:
            found.more = True
            break
        found.resting.append(one)
    return found


def mark(mission: Mission, seq: int, *, reason: str, by: str) -> WrongMark:
    """Say that a decision was wrong. Undoes nothing by itself. Own transaction.

    Raises NoSuchDecision, AlreadyMarked, InvalidInput.
    """
    _decided(mission, seq)
    fault = "Say why." if not reason.strip() else ""
    if len(reason) > REASON_LENGTH or "\x00" in reason:
        fault = f"At most {REASON_LENGTH:,} characters, none of them NUL."
    if fault:
        raise InvalidInput("Nothing was marked.", errors=[{"field": "reason", "message": fault}])
    try:
        with transaction.atomic():
            made = WrongMark.objects.create(mission_id=mission.pk, seq=seq, reason=reason.strip(), marked_by=by)
            feed.announce(f"m{mission.pk}")
    except IntegrityError as error:
        raise AlreadyMarked from error
    made.refresh_from_db()
    return made


def marks_of(mission: Mission) -> dict[int, WrongMark]:
    """The marked decisions of a mission, by seq."""
    return {row.seq: row for row in WrongMark.objects.filter(mission_id=mission.pk)}


def _decided(mission: Mission, seq: int) -> Json:
    row = Entry.objects.filter(mission_id=mission.pk, seq=seq, kind=Kind.DECIDED).first()
    if row is None:
        raise NoSuchDecision
    return history.decode([row])[0].payload


def _spread(mission: Mission, seq: int) -> Iterator[Resting]:
    """The mission itself, then breadth first those that came of what it did after; each once."""
    waiting: deque[tuple[Mission, str, int]] = deque([(mission, "itself", seq)])
    seen = {mission.pk}
    while waiting:
        one, how, after = waiting.popleft()
        back_to = after - 1 if how == "itself" and holds(one, seq) else None
        yield Resting(
            mission=one, how=how, after=after, back_to=back_to,
            effects=told(list(effects_after(one, after)[:MOST_EFFECTS])), decisions=_later(one, after),
        )
        for pk, came_as, since in (*_children(one, after), *_followers(one), *_forks(one, after)):
            if pk not in seen and (found := Mission.objects.select_related("brief").filter(pk=pk).first()):
                seen.add(pk)
                waiting.append((found, came_as, since))


def _later(mission: Mission, after: int) -> list[Later]:
    marked = marks_of(mission)
    rows = rows_of(mission).filter(seq__gt=after, kind=Kind.DECIDED).order_by("seq")[:MOST_EFFECTS]
    return [
        Later(seq=entry.seq, title=str(entry.payload.get("title", "")), marked=entry.seq in marked)
        for entry in history.decode(list(rows))
    ]


def _children(mission: Mission, after: int) -> list[tuple[int, str, int]]:
    """Those that its later entries tell of, on whatever timeline: what was started was started."""
    rows = Entry.objects.filter(mission_id=mission.pk, seq__gt=after, kind=Kind.SPAWNED).order_by("seq")
    uids = [str(entry.payload.get("child", "")) for entry in history.decode(list(rows[:MOST_EFFECTS]))]
    mine = Child.objects.filter(parent_id=mission.pk).values("child_id")
    found = Mission.objects.filter(uid__in=[uid for uid in uids if uid], pk__in=mine).order_by("pk")
    return [(pk, "child", 0) for pk in found.values_list("pk", flat=True)]


def _followers(mission: Mission) -> list[tuple[int, str, int]]:
    """Those that waited for its end, once they were let go."""
    rows = Dependency.objects.filter(on_mission_id=mission.pk, met_at__isnull=False).order_by("mission_id")
    return [(pk, "follower", 0) for pk in rows.values_list("mission_id", flat=True)[:MOST_MISSIONS]]


def _forks(mission: Mission, after: int) -> list[tuple[int, str, int]]:
    """Those that share an entry that rests on it, or the decision itself."""
    rows = Forked.objects.filter(source_id=mission.pk, source_seq__gte=after).order_by("mission_id")
    return [(pk, "fork", own) for pk, own in rows.values_list("mission_id", "own_seq")[:MOST_MISSIONS]]

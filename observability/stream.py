"""The rail: what happened, of one mission or of all, in one order, read from the database by cursor.

Promises: nothing is skipped and nothing comes twice, whatever the order in which transactions commit. A reader takes
only rows of transactions below `pg_snapshot_xmin(pg_current_snapshot())`: all of those have ended. So an open older
transaction hides newer rows for as long as it lasts; `Tail.hidden` says so. Reads only; hints to read come from
`observability.hub`, and a missing reader loses nothing.
"""

from __future__ import annotations

import datetime as dt
from typing import Any, NamedTuple

from django.db import connection
from django.db.models import Q

from approvals.models import Retraction, Vote
from missions.models import Entry, Takeover
from observability.rail import BadCursor, Cursor, RailItem, Source
from observability.sources import (
    from_journal,
    from_retractions,
    from_takeovers,
    from_votes,
    journal_after,
    lies_after,
    retractions,
    votes,
)

__all__ = ["BadCursor", "Cursor", "RailItem", "Tail", "cursor_at", "earlier", "moment_of", "read", "tail"]
PAGE = 200
WINDOW = 10_000  # transactions looked at first when all missions are read: the journal's tx has only a BRIN index


class Tail(NamedTuple):
    """Items after a cursor, the cursor to go on with, and whether newer rows wait for an older transaction to end."""

    items: list[RailItem]
    next: str
    hidden: bool


class Sight(NamedTuple):
    """What a reader of all missions may see: conditions on rows that name a mission, and on votes."""

    of_missions: Q = Q()
    of_votes: Q = Q()


EVERYTHING = Sight()


class Rows(NamedTuple):
    """What was read of each source, each in its order."""

    entries: list[Entry]
    votes: list[Any]
    freed: list[Takeover]
    retractions: list[Any]

    def items(self, below: int) -> list[RailItem]:
        """Those of transactions below a bound, as items in the rail's order."""
        found = [
            *from_journal([row for row in self.entries if row.tx < below]),
            *from_votes([row for row in self.votes if row.tx < below]),
            *from_takeovers([row for row in self.freed if row.tx < below]),
            *from_retractions([row for row in self.retractions if row.tx < below]),
        ]
        return sorted(found, key=lambda item: item.cursor)

    def reach(self, bound: int) -> bool:
        """Whether some are of transactions that may not have ended."""
        return any(row.tx >= bound for rows in self for row in rows)


def read(
    mission_id: int | None = None, after: str = "", limit: int = PAGE, sight: Sight = EVERYTHING
) -> tuple[list[RailItem], str]:
    """At most `limit` items after the cursor, oldest first, and the cursor to go on with.

    Of one mission, or of all in sight where `mission_id` is None. Raises BadCursor.
    """
    found = tail(mission_id, after, limit, sight)
    return found.items, found.next


def tail(mission_id: int | None = None, after: str = "", limit: int = PAGE, sight: Sight = EVERYTHING) -> Tail:
    """Like `read`, and says whether rows are hidden behind an open transaction. Raises BadCursor."""
    cursor = Cursor.parse(after) if after else None
    bound = settled_before()
    if mission_id is None:
        return _tail_of_all(cursor, bound, limit, sight)
    return _tail_of_one(mission_id, cursor, bound, limit)


def settled_before() -> int:
    """The bound below which every transaction has ended. Rows read in later statements below it are complete."""
    with connection.cursor() as cursor:
        cursor.execute("select pg_snapshot_xmin(pg_current_snapshot())::text::bigint")
        return int(cursor.fetchone()[0])


def cursor_at(mission_id: int, seq: int) -> str:
    """The cursor of a mission's entry, empty (the start) where there is none."""
    tx = Entry.objects.filter(mission_id=mission_id, seq=seq).values_list("tx", flat=True).first()
    return str(Cursor(tx, Source.JOURNAL, mission_id, seq)) if tx is not None else ""


def moment_of(cursor: Cursor) -> dt.datetime | None:
    """When the item at this place happened; None where there is none."""
    if cursor.source is Source.JOURNAL:
        entries = Entry.objects.filter(mission_id=cursor.mission_id, seq=cursor.id)
        return entries.values_list("recorded_at", flat=True).first()
    if cursor.source is Source.VOTE:
        return Vote.objects.filter(pk=cursor.id).values_list("cast_at", flat=True).first()
    if cursor.source is Source.RETRACTION:
        return Retraction.objects.filter(pk=cursor.id).values_list("at", flat=True).first()
    return Takeover.objects.filter(pk=cursor.id).values_list("freed_at", flat=True).first()


def earlier(mission_id: int, before: str = "", limit: int = PAGE) -> tuple[list[RailItem], bool]:
    """The last `limit` items of a mission before a cursor (before its end without one), oldest first, and whether
    there are more before them. Raises BadCursor."""
    end = Cursor.parse(before) if before else None
    bound = settled_before() if end is None else end.tx + 1
    rows = Entry.objects.filter(mission_id=mission_id, tx__lt=bound).order_by("-seq")
    if end is not None and end.source is Source.JOURNAL:
        rows = rows.filter(seq__lt=end.id)
    took = list(rows[: limit + 1])
    since = took[-1].tx if len(took) > limit else 0
    beside = Q(mission_id=mission_id, tx__lt=bound, tx__gte=since)
    others = [list(rows.filter(beside)) for rows in (votes(), Takeover.objects, retractions())]
    kept = [item for item in Rows(took, *others).items(bound) if end is None or item.cursor < end]
    return kept[-limit:], len(kept) > limit


def _tail_of_one(mission_id: int, after: Cursor | None, bound: int, limit: int) -> Tail:
    beside = Q(mission_id=mission_id)
    cast = votes().filter(beside & lies_after(after, Source.VOTE, mission="place"))
    freed = Takeover.objects.filter(beside & lies_after(after, Source.TAKEOVER))
    back = retractions().filter(beside & lies_after(after, Source.RETRACTION, mission="place"))
    others = [list(rows.order_by("tx", "pk")[: limit + 1]) for rows in (cast, freed, back)]
    return _merged(Rows(list(journal_after(mission_id, after)[: limit + 1]), *others), after, bound, limit)


def _tail_of_all(after: Cursor | None, bound: int, limit: int, sight: Sight) -> Tail:
    """Read through ever wider windows of transactions until the page is full or the end is reached."""
    start, width = after.tx if after else 0, WINDOW
    while True:
        end = min(start + width, bound)
        found = _window(after, end, limit, sight)
        if len(found.items) >= limit or end >= bound:
            return found
        width *= 4


def _window(after: Cursor | None, end: int, limit: int, sight: Sight) -> Tail:
    below = Q(tx__lt=end)
    known = below & sight.of_missions
    rows = Entry.objects.filter(known & lies_after(after, Source.JOURNAL, "seq")).order_by("tx", "mission_id", "seq")
    if after is not None:
        rows = rows.filter(tx__gte=after.tx)  # what the BRIN index understands
    cast = votes().filter(below & sight.of_votes & lies_after(after, Source.VOTE, mission="place"))
    freed = Takeover.objects.filter(known & lies_after(after, Source.TAKEOVER))
    back = retractions().filter(below & lies_after(after, Source.RETRACTION, mission="place"))
    if sight.of_votes:
        back = back.filter(vote__in=Vote.objects.filter(sight.of_votes))
    found = Rows(
        list(rows[:limit]), list(cast.order_by("tx", "place", "pk")[:limit]),
        list(freed.order_by("tx", "mission_id", "pk")[:limit]), list(back.order_by("tx", "place", "pk")[:limit]),
    )  # fmt: skip
    return _merged(found, after, end, limit)


def _merged(found: Rows, after: Cursor | None, bound: int, limit: int) -> Tail:
    """One page in order; rows of unsettled transactions are left for later."""
    page = found.items(bound)[:limit]
    last = page[-1].cursor if page else after
    return Tail(page, str(last) if last else "", found.reach(bound))

"""The evidence of a decision for its page: what the request rests on, and what its reader has opened of it."""

from __future__ import annotations

import itertools
import json
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from approvals import looks
from approvals.models import Decision, Seen
from approvals.web.values import Value, value_of
from missions.engine import history
from missions.models import Entry

FIELDS_SHOWN = 100
GIVEN = {"title", "author", "path", "seq"}  # of a piece of evidence, told otherwise


@dataclass(frozen=True, slots=True, kw_only=True)
class Exhibit:
    """A piece of evidence."""

    title: str
    seq: int | None  # of the mission's entry that holds it
    by_agent: bool
    values: list[Value]
    place: int  # in the list, from 1
    demanded: bool  # policy wants it looked at before anybody approves
    opened: bool  # its reader has looked at it
    older: bool  # it was read again later


def evidence(decision: Decision, opened: Collection[tuple[str, int]] = ()) -> list[Exhibit]:
    """What the request rests on: as it was given, or as the mission's journal recorded it. `opened` is the reader's."""
    items = [item for item in decision.evidence[:FIELDS_SHOWN] if isinstance(item, dict)]
    seqs = [item["seq"] for item in items if isinstance(item.get("seq"), int)]
    entries = Entry.objects.filter(mission_id=decision.mission_id, seq__in=seqs) if decision.mission_id else []
    recorded = {entry.seq: entry.payload for entry in history.decode(list(entries))}
    demanded = looks.demanded(decision)
    latest = {_origin(item, recorded): place for place, item in enumerate(items, start=1)}
    return [
        _exhibit(
            item, recorded, place, demanded=place in demanded, opened=(Seen.EVIDENCE.value, place) in opened,
            older=bool(item.get("source")) and latest[_origin(item, recorded)] != place,
        )
        for place, item in enumerate(items, start=1)
    ]  # fmt: skip


def _origin(item: dict[str, Any], recorded: dict[int, dict[str, Any]]) -> tuple[str, str, str]:
    """What was read: another one's order is no later reading of this one's."""
    asked = recorded.get(item.get("seq", 0), {}).get("args")
    return str(item.get("source")), str(item.get("title")), json.dumps(asked, sort_keys=True, default=str)


def _exhibit(
    item: dict[str, Any], recorded: dict[int, dict[str, Any]], place: int, **told: bool
) -> Exhibit:
    title = next((str(item[name]) for name in ("title", "name", "source", "tool") if item.get(name)), "Evidence")
    said = recorded.get(item.get("seq", 0), {}).get("sentence") if item.get("source") else ""
    rest = {name: value for name, value in item.items() if name not in GIVEN and value not in ("", None, title)}
    seq = item.get("seq")
    result = recorded.get(seq, {}).get("result") if isinstance(seq, int) else None
    if result is not None:
        rest |= result if isinstance(result, dict) else {"result": result}
    return Exhibit(
        title=str(said or title), seq=seq if isinstance(seq, int) else None, by_agent=item.get("author") == "agent",
        values=[value_of(name, value) for name, value in itertools.islice(rest.items(), FIELDS_SHOWN)],
        place=place, **told,
    )

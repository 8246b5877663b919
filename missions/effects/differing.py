"""How evidence differs from what it was: field by field, from the results that the journal holds.

Synchronous and read-only. Bounded, for people to read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from missions.engine import codec, history
from missions.engine.readings import Reading
from missions.governance import Json
from missions.models import Kind

MOST, CHARACTERS, TOLD = 50, 500, 3
NOTHING = "nothing"


def readings_of(mission_id: int) -> list[Reading]:
    """All reads that a mission's journal holds, of all chapters and timelines, in their order."""
    found = []
    for entry in history.stream(mission_id):
        payload = entry.payload
        if entry.kind == Kind.OUTCOME and payload.get("effect_class") == "read" and "version" in payload:
            found.append(Reading(
                source=payload["tool"], args=payload["args"], seq=entry.seq, version=payload["version"],
                at=entry.recorded_at,
            ))
    return found


def changes(mission_id: int, pairs: Sequence[tuple[Json, Json]]) -> list[Json]:
    """For each read and the one after it: `source`, `old` and `new` (seq, version, at), and `fields` (at, old, new)."""
    return [
        {
            "source": old["source"], "args": old["args"], "old": _place(old), "new": _place(new),
            "fields": compared(_result(mission_id, old["seq"]), _result(mission_id, new["seq"])),
        }
        for old, new in pairs
    ]


def _place(reading: Json) -> Json:
    return {name: reading[name] for name in ("seq", "version", "at")}


def _result(mission_id: int, seq: int) -> Any:
    (entry,) = history.entries(mission_id, after=seq - 1, limit=1)
    return entry.payload.get("result")


def compared(old: Any, new: Any) -> list[Json]:
    """The places at which two results differ, the first fifty. Pure."""
    found = list(_differences(old, new, ""))
    return found[:MOST]


def _differences(old: Any, new: Any, at: str) -> Iterator[Json]:
    if isinstance(old, dict) and isinstance(new, dict):
        for name in dict.fromkeys((*old, *new)):
            place = f"{at}.{name}" if at else name
            if name not in old or name not in new:
                yield {"at": place, "old": _short(old.get(name, NOTHING)), "new": _short(new.get(name, NOTHING))}
            else:
                yield from _differences(old[name], new[name], place)
    elif isinstance(old, list) and isinstance(new, list):
        for number in range(max(len(old), len(new))):
            place = f"{at}[{number}]"
            if number >= len(old) or number >= len(new):
                first, last = (value[number] if number < len(value) else NOTHING for value in (old, new))
                yield {"at": place, "old": _short(first), "new": _short(last)}
            else:
                yield from _differences(old[number], new[number], place)
    elif old != new or type(old) is not type(new):
        yield {"at": at or "result", "old": _short(old), "new": _short(new)}


def _short(value: Any) -> Any:
    text = codec.dump(value).decode()
    return value if len(text) <= CHARACTERS else f"{text[:CHARACTERS]}…"


def told(changed: Sequence[Json]) -> str:
    """What has changed, in one sentence. Pure."""
    parts = []
    for one in changed:
        first = one["fields"][:TOLD]
        fields = [f"{field['at']} was {_word(field['old'])}, is {_word(field['new'])}" for field in first]
        more = len(one["fields"]) - TOLD
        fields += [f"and {more} more"] if more > 0 else []
        parts.append(f"“{one['title']}” has changed ({'; '.join(fields)})")
    return f"{' and '.join(parts)}."[:1000]


def _word(value: Any) -> str:
    return value if isinstance(value, str) else codec.dump(value).decode()[:80]

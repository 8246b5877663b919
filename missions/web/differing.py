"""How code differs from a record, as rows for a page: what `missions.engine.divergence` found, side by side. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from missions.engine import codec

NOTHING = "nothing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One thing that may differ; `where` is in people's words, or the place among the inputs."""

    where: str
    recorded: str
    called: str
    is_place: bool = False


def rows(differs: dict[str, Any] | None) -> list[Row]:
    """The rows of a difference, none where there is none. Tolerates what an older version wrote."""
    if not differs:
        return []
    entry, called = differs.get("recorded"), differs.get("called") or []
    asks = ", ".join(str(call["path"]) for call in called) or NOTHING
    found = [Row(where="Call", recorded=str(entry["path"]) if entry else "more entries", called=asks)]
    if entry:
        found.append(Row(where="Entry", recorded=f"{entry['seq']}, {entry['kind']}", called="—"))
    differences = differs.get("differences") or []
    if not differences:
        inputs = [_text(call["inputs"]) for call in called if call["inputs"]]
        found.append(Row(where="Inputs", recorded=_text((entry or {}).get("inputs")), called="; ".join(inputs) or "—"))
    found += [
        Row(where=str(one["at"]), recorded=_text(one["recorded"]), called=_text(one["called"]), is_place=True)
        for one in differences
    ]
    return found


def _text(value: Any) -> str:
    if value in ({}, None):
        return "—"
    return value if isinstance(value, str) else codec.dump(value).decode()

"""A JSON value as words for people. Pure; templates escape them and make hidden characters visible."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

SHOWN = 1500  # characters of one value; the rest is in the JSON that the page links to
LINE = 200  # characters; longer values are set as a block


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """One named value for people."""

    label: str
    text: str
    name: str = ""
    is_block: bool = False  # several lines, kept as they are
    left_out: int = 0  # characters that are not shown


def value_of(name: str, value: Any, title: Any = None) -> Value:
    """A JSON value in words: yes and no, text as it is, plain lists with commas, the rest as indented JSON."""
    text = _text(value)
    known_as = (title if isinstance(title, str) else "") or name.replace("_", " ").capitalize()
    return Value(
        label=known_as, name="" if known_as.casefold().replace(" ", "_") == name.casefold() else name,
        text=text[:SHOWN], is_block="\n" in text or len(text) > LINE, left_out=max(0, len(text) - SHOWN),
    )


def _text(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str | int | float):
        return str(value)
    if isinstance(value, list) and all(isinstance(one, str | int | float) for one in value):
        return ", ".join(_text(one) for one in value)
    if isinstance(value, list) and all(isinstance(one, dict) and _is_flat(one) for one in value):
        return "\n".join(" · ".join(f"{name.replace('_', ' ')} {_text(one[name])}" for name in one) for one in value)
    return json.dumps(value, indent=2, ensure_ascii=False)


def _is_flat(value: dict[str, Any]) -> bool:
    return not any(isinstance(one, dict | list) for one in value.values())

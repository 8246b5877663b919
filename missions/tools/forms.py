"""The form in which a server offers a tool: what of it counts, its digest, and how two forms differ. Pure.

A form is text of the server's own. It is compared and shown to people, and never told to an LLM before a person has
accepted it, or the file of servers calls the server trusted.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from missions.engine import codec
from missions.engine.tool_forms import Sighting
from missions.errors import InvalidInput
from missions.governance import EffectClass, Json
from missions.secrets.redacting import redact
from missions.tools.arguments import plain

if TYPE_CHECKING:
    from mcp.types import Tool

FORM_BYTES = 64 * 1024
NAME_CHARACTERS = 128
SHOWN, VALUE_CHARACTERS = 100, 500  # of differences


def of(tool: Tool) -> Json:
    """What counts of a tool as listed. Raises InvalidInput for what nobody could read, or PostgreSQL not keep."""
    listed = {
        "title": tool.title, "description": tool.description, "input_schema": tool.input_schema,
        "output_schema": tool.output_schema,
        "annotations": tool.annotations.model_dump(exclude_none=True) if tool.annotations else None,
    }
    form = plain({name: value for name, value in listed.items() if value is not None})
    size = len(json.dumps(form))
    if size > FORM_BYTES:
        raise InvalidInput(f"The server describes the tool in {size:,} bytes; at most {FORM_BYTES:,} can be judged.")
    return form


def sighting(server: str, name: str, tool: Tool) -> Sighting:
    """A tool as seen, under the name by which missions call it. Raises InvalidInput."""
    form = of(tool)
    return Sighting(tool=name, server=server, digest=codec.digest_of(form), form=redact(form))


def effect_of(form: Mapping[str, Any], *, believed: bool) -> EffectClass:
    """The effect class that a tool's annotations give it.

    Hints of a server that is not believed can make a tool only stricter than *write*, the class of what nobody knows.
    """
    hints = form.get("annotations") or {}
    if hints.get("destructive_hint") is True and hints.get("read_only_hint") is not True:
        return EffectClass.IRREVERSIBLE
    if believed and hints.get("read_only_hint") is True:
        return EffectClass.READ
    return EffectClass.WRITE


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Json]:
    """How two forms differ: `where`, `before`, `after` as text or None where absent; at most `SHOWN`."""
    old, new = dict(_leaves(before, "")), dict(_leaves(after, ""))
    changed = [where for where in dict.fromkeys([*old, *new]) if old.get(where) != new.get(where)]
    return [
        {"where": where, "before": old.get(where), "after": new.get(where)} for where in changed[:SHOWN]
    ]


def _leaves(value: Any, where: str) -> Iterator[tuple[str, str]]:
    """Each leaf with the path to it, for people."""
    if isinstance(value, Mapping) and value:
        for name, item in value.items():
            yield from _leaves(item, f"{where}.{name}".lstrip("."))
    elif isinstance(value, list) and any(isinstance(item, Mapping | list) for item in value):
        for place, item in enumerate(value):
            yield from _leaves(item, f"{where}.{place}")
    else:
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        yield where, text if len(text) <= VALUE_CHARACTERS else text[: VALUE_CHARACTERS - 1] + "…"

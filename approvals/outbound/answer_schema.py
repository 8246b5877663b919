"""What a schema from outside may say of an answer: only what a form can show and a check can bear. Pure.

An author's schema comes with the code and is trusted; this one comes with a request. So it has no references (which may
lead in circles or out of the house) and no patterns (which may take for ever), and is small.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from missions.effects import inquiry
from missions.engine import codec
from missions.errors import InvalidInput, PayloadTooLarge
from missions.governance import Json

BYTES, DEPTH, FIELDS = 16 * 1024, 8, 50
ONE, MANY, BY_NAME = {"items", "not"}, {"anyOf", "oneOf", "allOf"}, {"properties"}
PLAIN = {
    "type", "title", "description", "default", "examples", "enum", "const", "format", "required",
    "additionalProperties", "minLength", "maxLength", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum",
    "multipleOf", "minItems", "maxItems", "uniqueItems", "minProperties", "maxProperties", "$schema", "$comment",
}  # fmt: skip


def fault(schema: Json) -> str:
    """Why people can not be asked for an answer by this schema; empty where they can."""
    try:
        codec.dump(schema, limit=BYTES)
        found = next(_faults(schema, 0), "")
        if not found:
            inquiry.of((), schema)
    except PayloadTooLarge:
        return f"At most {BYTES // 1024} KiB."
    except (ValueError, InvalidInput) as refused:
        return str(refused)
    many = len(schema["properties"]) if not found else 0
    return found or (f"At most {FIELDS} properties." if many > FIELDS else "")


def _faults(schema: Any, depth: int) -> Iterator[str]:
    if not isinstance(schema, dict):
        yield "Each part of the schema is an object."
        return
    if depth > DEPTH:
        yield f"It is nested deeper than {DEPTH} levels."
        return
    for word, value in schema.items():
        if word not in ONE | MANY | BY_NAME | PLAIN:
            yield f"“{word[:50]}” is not taken here; write out what it stands for."
        elif word == "additionalProperties" and not isinstance(value, bool):
            yield "“additionalProperties” is true or false."
        elif word == "type" and not isinstance(value, str):
            yield "“type” is one word; write `anyOf` for several."
        elif word in ("title", "description", "format") and not isinstance(value, str):
            yield f"“{word}” is text."
        for part in _parts(word, value):
            yield from _faults(part, depth + 1)


def _parts(word: str, value: Any) -> list[Any]:
    if word in ONE:
        return [value]
    if word in MANY:
        return list(value) if isinstance(value, list) else [None]
    if word in BY_NAME:
        return list(value.values()) if isinstance(value, dict) else [None]
    return []

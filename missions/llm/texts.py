"""What an LLM says, made storable: PostgreSQL takes neither NUL nor half a surrogate pair, and an LLM may say both."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:  # the library takes seconds to import
    from pydantic_ai.messages import ModelResponsePart

SPOKEN = ("content", "args", "tool_name", "tool_call_id", "id", "signature")


def storable(parts: Sequence[ModelResponsePart]) -> list[ModelResponsePart]:
    """The same parts; those that hold what can not be stored with the replacement character in its place."""
    return [_storable_part(part) for part in parts]


def _storable_part(part: ModelResponsePart) -> ModelResponsePart:
    held = {name: getattr(part, name, None) for name in SPOKEN}
    told = {name: writable(clean(value)) if name == "args" else clean(value) for name, value in held.items()}
    changed = {name: value for name, value in told.items() if value != held[name]}
    return replace(part, **changed) if changed else part


def clean(value: Any) -> Any:
    """Text or JSON without what can not be stored; everything else as it is."""
    if isinstance(value, str):
        return value if _fine(value) else _joined(value).replace("\x00", "\ufffd")
    if isinstance(value, dict):
        return {clean(key): clean(item) for key, item in value.items()}
    if isinstance(value, list):
        return [clean(item) for item in value]
    return value


def writable(args: Any) -> Any:
    """Arguments of a call: an object that the journal can hold, else JSON text, which is refused where it is read."""
    if args is None or isinstance(args, str):
        return args
    try:
        orjson.dumps(args)
    except orjson.JSONEncodeError:  # numbers of more than 64 bits; deeper than anything is read
        return json.dumps(args)
    return args if isinstance(args, dict) else json.dumps(args)


def _joined(text: str) -> str:
    """Pairs that were said in halves become one character, and a half alone the replacement character."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _fine(text: str) -> bool:
    return "\x00" not in text and (text.isascii() or not any("\ud800" <= char <= "\udfff" for char in text))

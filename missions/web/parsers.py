"""Reading request bodies: JSON as RFC 8259 means it, and nothing that would be lost or bent further in.

Promises: what passes here can be written down by the engine and by PostgreSQL, byte for byte. Each refusal says what
and where. Must not know any field: that is the serializers' part.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import IO, Any, NoReturn

from rest_framework.parsers import BaseParser

from missions.web.problems import problem

LIMIT_BYTES = 1024 * 1024 + 64 * 1024  # an input of 1 MiB, and what stands around it
LIMIT_DEPTH = 32
SHOWN = 100  # characters of a sender's own text that an answer repeats
SURROGATE = re.compile("[\ud800-\udfff]")
LIMIT_INTEGER = 2**63 - 1  # what a JSON number can be in PostgreSQL's bigint and in every reader


class StrictJSONParser(BaseParser):
    """The only parser of the API; another Content-Type is answered with 415."""

    media_type = "application/json"

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """The body as a dict. Reads no more than the limit, whatever the sender declared. Raises Problem."""
        request = (parser_context or {}).get("request")
        declared = request.META.get("CONTENT_LENGTH", "") if request is not None else ""
        if declared.isdigit() and int(declared) > LIMIT_BYTES:
            refuse_size()
        return read_object(stream.read(LIMIT_BYTES + 1))


def read_object(raw: bytes) -> dict[str, Any]:
    """One JSON object from UTF-8 bytes.

    Raises Problem: 413 over LIMIT_BYTES; 400 for bytes that are not UTF-8, text that is no JSON, NaN, Infinity and
    numbers beyond 64 bits, NUL characters, lone surrogates, duplicate keys, more than LIMIT_DEPTH levels, or another
    top level than an object.
    """
    if len(raw) > LIMIT_BYTES:
        refuse_size()
    value = _decode(raw)
    if not isinstance(value, dict):
        raise problem(400, "not_an_object", f"The body must be a JSON object, not {_word(value)}.")
    for where, fault in faults(value):
        raise problem(400, fault[0], f"{where[:SHOWN] or 'The body'} {fault[1]}.")
    return value


def refuse_size() -> NoReturn:
    """Answer 413."""
    raise problem(413, "payload_too_large", f"A body may take {LIMIT_BYTES:,} bytes; nothing was kept.")


def _decode(raw: bytes) -> Any:
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise problem(400, "not_utf8", f"The body is not UTF-8 at byte {error.start}.") from error
    try:
        return json.loads(
            text, object_pairs_hook=_object, parse_constant=_constant, parse_float=_float, parse_int=_integer
        )
    except RecursionError as error:
        raise problem(400, "too_deep", f"The body nests deeper than {LIMIT_DEPTH} levels.") from error
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise problem(400, "bad_json", f"The body is not JSON: {error.msg} at {where}.") from error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A repeated key would silently win over the first."""
    built: dict[str, Any] = {}
    for name, value in pairs:
        if name in built:
            raise problem(400, "duplicate_key", f"The key {ascii(name)[:SHOWN]} comes twice in one object.")
        built[name] = value
    return built


def _constant(text: str) -> NoReturn:
    raise problem(400, "bad_number", f"{text} is not a JSON number; leave it out or send text.")


def _float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise problem(400, "bad_number", f"{text[:SHOWN]} is too large for a number; send it as text.")
    return number


def _integer(text: str) -> int:
    if len(text) > 20 or abs(int(text)) > LIMIT_INTEGER:
        raise problem(400, "bad_number", f"{text[:SHOWN]} needs more than 64 bits; send it as text.")
    return int(text)


Fault = tuple[str, str]
TOO_DEEP: Fault = ("too_deep", f"nests deeper than {LIMIT_DEPTH} levels")
HAS_NUL: Fault = ("nul_character", "contains a NUL character")
HAS_SURROGATE: Fault = ("lone_surrogate", "contains a lone surrogate, which no text may")


def faults(value: Any) -> Iterator[tuple[str, Fault]]:
    """What a decoded value must not hold, each with the dotted path of its place; walks without recursion."""
    todo: list[tuple[Any, int, str]] = [(value, 1, "")]
    while todo:
        item, depth, where = todo.pop()
        if isinstance(item, str):
            if fault := text_fault(item):
                yield where, fault
        elif isinstance(item, dict | list):
            if depth > LIMIT_DEPTH:
                yield where, TOO_DEEP
                continue
            if isinstance(item, dict):
                yield from ((_join(where, "a key"), fault) for name in item if (fault := text_fault(name)))
            pairs = item.items() if isinstance(item, dict) else enumerate(item)
            todo.extend((inner, depth + 1, _join(where, name)) for name, inner in pairs if not _plain(inner))


def _plain(value: Any) -> bool:
    """Whether nothing can be wrong with a value; most are, and skipping them keeps a full body under 0.2 s."""
    return value is None or isinstance(value, int | float)


def _join(where: str, name: object) -> str:
    return f"{where}.{name}"[:SHOWN] if where else str(name)[:SHOWN]


def text_fault(text: str) -> Fault | None:
    """What makes a text unfit for PostgreSQL; None where nothing does."""
    if "\x00" in text:
        return HAS_NUL
    if not text.isascii() and SURROGATE.search(text):
        return HAS_SURROGATE
    return None


def _word(value: Any) -> str:
    names = {list: "an array", str: "text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")


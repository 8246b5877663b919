"""How values become bytes: canonical JSON, hashes of inputs, and the limits.

Pure. Never pickle: what was written down can be read by anything that reads JSON.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import inspect
import math
import typing
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import orjson
from pydantic import BaseModel, TypeAdapter
from pydantic_core import PydanticSerializationError, to_jsonable_python

from missions.errors import PayloadTooLarge, Unserialisable

INPUT_BYTES = 1024 * 1024
INLINE_BYTES = 32 * 1024
STORE_BYTES = 64 * 1024 * 1024
HASH_VERSION = b"1"  # rises when the canonical form of inputs changes
SCALARS = frozenset({int, str, bool, type(None)})
WORDS_CHARACTERS = 8000


def _other(value: Any) -> Any:
    """Write what JSON has no form for. Defaults stay, so that a result is complete."""
    if isinstance(value, Decimal):
        if not value.is_finite():
            raise Unserialisable(f"{value} is not a finite number")
        return str(value)
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    try:
        return to_jsonable_python(value)
    except PydanticSerializationError as error:
        raise Unserialisable(str(error)) from error


def dump(value: Any, *, limit: int = STORE_BYTES) -> bytes:
    """Canonical JSON: UTF-8, keys sorted, no blanks. Raises Unserialisable, PayloadTooLarge."""
    try:
        data = orjson.dumps(value, default=_other, option=orjson.OPT_SORT_KEYS)
    except (orjson.JSONEncodeError, RecursionError) as error:
        cause = error.__cause__
        raise cause if isinstance(cause, Unserialisable) else Unserialisable(str(error)) from error
    if b"null" in data:
        _refuse_nan(value)
    if len(data) > limit:
        raise PayloadTooLarge(f"The value takes {len(data):,} bytes; the limit is {limit:,}.")
    return data


def _refuse_nan(value: Any) -> None:
    """orjson writes NaN and Infinity as null, which would lose them silently."""
    if isinstance(value, float) and not math.isfinite(value):
        raise Unserialisable(f"{value} is not a finite number")
    if isinstance(value, dict):
        for item in value.values():
            _refuse_nan(item)
    elif isinstance(value, list | tuple):
        for item in value:
            _refuse_nan(item)
    elif isinstance(value, BaseModel) or (dataclasses.is_dataclass(value) and not isinstance(value, type)):
        _refuse_nan(vars(value) if hasattr(value, "__dict__") else dataclasses.asdict(value))


def words(value: object, most: int = WORDS_CHARACTERS) -> str:
    """What an exception says of itself, or its type's name: text that can always be written down. Never raises."""
    try:
        text = str(value)[:most]
    except Exception:  # an author's `__str__` may break; whoever tells of an error may not break with it
        text = ""
    return text.encode("utf-8", "replace").decode() or type(value).__name__


def load(data: bytes | memoryview) -> Any:
    """The inverse of `dump`, as plain JSON values."""
    return orjson.loads(data)


@functools.lru_cache(maxsize=4096)
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def restore(kind: Any, value: Any) -> Any:
    """Plain JSON as the type that the author declared; None and Any leave it plain."""
    if kind is None or kind is Any or kind is inspect.Signature.empty:
        return value
    return _adapter(kind).validate_python(value)


@functools.lru_cache(maxsize=4096)
def is_async(function: Callable[..., Any]) -> bool:
    """Whether calling a function gives something to await."""
    return inspect.iscoroutinefunction(function)


@functools.lru_cache(maxsize=4096)
def result_type(function: Callable[..., Any]) -> Any:
    """The declared type of a function's result, or None where it declares none that can be resolved."""
    try:
        return typing.get_type_hints(function).get("return")
    except (NameError, TypeError):
        return None


def _without_defaults(value: Any) -> Any:
    """A model's fields that differ from their default: a new field with a default changes no hash."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", exclude_defaults=True)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: getattr(value, field.name)
            for field in dataclasses.fields(value)
            if not (field.default is not dataclasses.MISSING and getattr(value, field.name) == field.default)
        }
    return _other(value)


def input_hash(args: Any) -> bytes:
    """16 bytes over the inputs in their versioned canonical form; empty for no inputs."""
    if not args:
        return b""
    option = orjson.OPT_SORT_KEYS | orjson.OPT_PASSTHROUGH_DATACLASS
    try:
        data = orjson.dumps(args, default=_without_defaults, option=option)
    except orjson.JSONEncodeError as error:
        raise Unserialisable(f"An input can not be written down: {error}") from error
    return hashlib.sha256(HASH_VERSION + data).digest()[:16]


def digest_of(value: Any) -> str:
    """sha256 in hex over the canonical JSON of a value; what approvals sign and calls carry."""
    return hashlib.sha256(dump(value)).hexdigest()


@functools.lru_cache(maxsize=4096)
def title_of(function: Callable[..., Any], fallback: str) -> str:
    """Business words for a step: the first line of its docstring, else its name."""
    doc = inspect.getdoc(function) or ""
    return doc.split("\n", 1)[0].strip() or fallback.replace("_", " ").replace("-", " ").capitalize()

"""What a rule may read: the fields of its context, and the limits that keep a ruling fast and its numbers honest.

Pure. A context that breaks a limit is refused as a whole, and the caller denies. Arguments are passed on exactly as
they were given: a decimal stays a string, and policies compare `double(args.amount)`.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from approvals.policies import survey
from missions import data_classes
from missions.engine import codec
from missions.errors import PayloadTooLarge, StandfastError
from missions.governance import Intent

CONTEXT_BYTES: Final = 16 * 1024  # canonical JSON
STRING_BYTES: Final = 4096
ITEMS: Final = 256  # of one list or one map
DEPTH: Final = 16
INTEGERS: Final = range(-(2**63), 2**63)  # what CEL's int holds
LARGEST: Final = 1e100  # far beyond any amount; keeps sums and products of two from turning infinite, then NaN

# The fields of each variable that rules may name; `args` has those of the tool, `now` is a timestamp. A list is of
# texts, a dict from names to numbers. `decision` is there for decisions of a mission alone.
FIELDS: Final[Mapping[str, Mapping[str, type]]] = {
    "tool": {"name": str, "effect_class": str, "retry_safety": str, "reversible": bool},
    "mission": {"id": str, "type": str, "title": str, "owner_id": int},
    "agent": {"name": str},
    "data": {"class": str, "clearance": list, "untrusted": bool},
    "decision": {"class": str, "name": str, "confidence": float, "findings": int},
    "budget": {"left": dict, "spent": dict},
}

# What CEL's double() reads as not a number or as infinite (it takes blanks, signs, any case, and `nan(…)`).
UNREAL = re.compile(r"\s*[+-]?(nan(\(\w*\))?|inf|infinity)\s*", re.IGNORECASE | re.ASCII)


class ContextRefused(StandfastError):
    """What the rules would have to read breaks a limit, so no rule can judge it."""

    code = "context_refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the rules read of one intent, held to the limits."""

    context: dict[str, Any]  # the variables of `FIELDS`, plus args and now
    digest: str  # sha256 in hex over its canonical JSON, without `now`


def facts_of(intent: Intent, now: dt.datetime) -> Facts:
    """What the rules may read of an intent. Raises ContextRefused."""
    context: dict[str, Any] = {
        "tool": {
            "name": intent.tool,
            "effect_class": str(intent.effect_class),
            "retry_safety": str(intent.retry_safety),
            "reversible": intent.reversible,
        },
        "args": intent.args,
        "mission": {"id": str(intent.mission_uid), "type": intent.mission_type, "title": intent.mission_title},
        "agent": {"name": intent.agent},
        "data": {
            "class": intent.data_class, "clearance": list(data_classes.opened(intent.clearance)),
            "untrusted": bool(intent.untrusted),
        },
        "decision": intent.decision,
        "budget": {word: {one["name"]: float(one[word]) for one in intent.budgets} for word in ("left", "spent")},
    }
    if intent.owner_id is not None:  # absent rather than null: has(mission.owner_id) tells
        context["mission"]["owner_id"] = intent.owner_id
    try:
        canonical = check(context)
    except ContextRefused:
        if not intent.decision_class:
            raise
        context["args"] = {}  # a proposal is no argument: a rule that reads it errs, which counts against it
        canonical = check(context)
    context["now"] = now
    return Facts(context=context, digest=hashlib.sha256(canonical).hexdigest())


def context_of(intent: Intent, now: dt.datetime) -> dict[str, Any]:
    """The context alone. Raises ContextRefused."""
    return facts_of(intent, now).context


def check(context: Mapping[str, Any]) -> bytes:
    """Hold a context to the limits; its canonical JSON. Raises ContextRefused, which names the place and the limit."""
    if not survey.is_within(
        context, text=STRING_BYTES, items=ITEMS, depth=DEPTH, integers=INTEGERS, largest=LARGEST
    ):
        for name, value in context.items():
            _check(value, name, DEPTH)
    try:
        return codec.dump(context, limit=CONTEXT_BYTES)
    except PayloadTooLarge as error:
        raise ContextRefused(f"All that rules may read together is too much. {error}") from error


def _check(value: Any, path: str, depth: int) -> None:
    match value:
        case None | bool():
            return
        case str():
            _check_text(value, path)
        case int():
            _limit(value in INTEGERS, path, "is a whole number of more than 64 bits")
        case float():
            _limit(math.isfinite(value) and abs(value) <= LARGEST, path, "is not a number of a sensible size")
        case dict() | list():
            _limit(len(value) <= ITEMS, path, f"has {len(value):,} items; the limit is {ITEMS}")
            _limit(depth > 0, path, f"is nested deeper than {DEPTH} levels")
            for place, item in _items(value, path):
                _check(item, place, depth - 1)
        case _:
            raise ContextRefused(f"{path} is a {type(value).__name__}, which is not JSON.")


def _items(value: dict[Any, Any] | list[Any], path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, list):
        yield from ((f"{path}[{index}]", item) for index, item in enumerate(value))
        return
    for key, item in value.items():
        _limit(isinstance(key, str), path, f"has the key {key!r}, which is not text")
        _check_text(key, f"a key of {path}")
        yield f"{path}.{key}"[:200], item


def _check_text(value: str, path: str) -> None:
    try:
        size = len(value.encode())
    except UnicodeEncodeError as error:
        raise ContextRefused(f"{path} holds half a character.") from error
    _limit(size <= STRING_BYTES, path, f"takes {size:,} bytes; the limit is {STRING_BYTES:,}")


def _limit(kept: bool, path: str, breach: str) -> None:
    if not kept:
        raise ContextRefused(f"{path} {breach}.")


def unreal_text(value: Any, path: str = "args") -> str:
    """The place of the first text that double() would read as NaN, infinite or beyond `LARGEST`; empty for none.

    Every comparison with NaN is false, so a demand such as `double(args.amount) > 500.0` would fall silent on "nan".
    """
    return "" if survey.is_real(value) else _unreal_text(value, path)


def _unreal_text(value: Any, path: str) -> str:
    if isinstance(value, str):
        return path if _unreal(value) else ""
    if isinstance(value, dict | list):
        return next((found for place, item in _items(value, path) if (found := _unreal_text(item, place))), "")
    return ""


def _unreal(text: str) -> bool:
    if UNREAL.fullmatch(text):
        return True
    bare = text.strip().lstrip("+-")
    if not bare[:1].isdigit() and not bare.startswith("."):
        return False
    try:
        number = float.fromhex(bare) if bare[:2].lower() == "0x" else float(bare)
    except ValueError:
        return False  # double() refuses it too, and an error fails closed
    except OverflowError:
        return True
    return number > LARGEST

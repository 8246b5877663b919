"""Values in CEL: what is taken out of a message, as `payload.order.id` or `{"amount": payload.total}`.

Promises: a formula is checked when it is saved, with line and column and for the kind of value that is wanted; what
comes of it is plain JSON of that kind, or FormulaFailed. As in conditions, loops can not be nested and there is no
`map`, `filter`, `exists_one`, `matches`. `expr` gives the environment.
"""

from __future__ import annotations

import datetime as dt
import functools
import math
from enum import StrEnum
from typing import Any, Final

from approvals.policies import expr
from approvals.policies.expr import ExpressionError
from missions.errors import StandfastError

SOURCE_CHARACTERS: Final = 4000
LEVELS: Final = 32
HEAD: Final = """
name: standfast
stdlib:
  exclude_macros: [map, filter, exists_one]
  exclude_functions: [{name: matches}]
variables:
  - {name: payload, type: dyn}
  - {name: headers, type: "map<string,string>"}
"""
ENVIRONMENT: Final = expr.environment(HEAD)


class Want(StrEnum):
    """What a formula has to come to; `dyn` is known only once it runs."""

    BOOL = "true or false"  # a condition
    TEXT = "text"  # a whole number counts too: ids often are
    OBJECT = "an object"  # a JSON object


KINDS: Final = {Want.BOOL: ("BOOL",), Want.TEXT: ("STRING", "INT", "UINT"), Want.OBJECT: ("MAP",)}


class FormulaFailed(StandfastError):
    """A formula came to nothing usable with this message."""

    code = "formula_failed"


class Given:
    """One message, prepared for many formulas."""

    __slots__ = ("activation",)

    def __init__(self, payload: Any, headers: dict[str, str]) -> None:
        self.activation = ENVIRONMENT.Activation({"payload": payload, "headers": headers})


@functools.lru_cache(maxsize=1024)
def checked(source: str, want: Want) -> Any:
    """The program of a formula. Raises ExpressionError."""
    if len(source) > SOURCE_CHARACTERS:
        raise ExpressionError(f"The formula has {len(source):,} characters; the limit is {SOURCE_CHARACTERS:,}.")
    try:
        program = ENVIRONMENT.compile(source)
    except RuntimeError as error:
        raise expr.located(str(error)) from error
    except TypeError as error:
        raise ExpressionError("The formula holds half a character.") from error
    kind = str(program.return_type().name())
    if kind != "DYN" and kind.partition("<")[0] not in KINDS[want]:
        raise ExpressionError(f"The formula has to come to {want}; this is {kind.lower()}.")
    expr.refuse_nested_loops(source)
    return program


def run(source: str, want: Want, given: Given) -> Any:
    """What a checked formula comes to: bool, str or a dict of plain JSON. Raises FormulaFailed, ExpressionError."""
    try:
        answer = checked(source, want).eval(given.activation)
        kind, value = str(answer.type().name()), answer.value()
    except ExpressionError:
        raise
    except Exception as error:  # the binding has no exception class of its own
        raise FormulaFailed(f"{source[:200]} failed: {_short(str(error))}") from error
    if kind == "ERROR":
        raise FormulaFailed(f"{source[:200]} failed: {_short(str(value))}")
    if kind.partition("<")[0] not in KINDS[want]:
        raise FormulaFailed(f"{source[:200]} has to come to {want}; with this message it is {kind.lower()}.")
    return str(value) if want is Want.TEXT else plain(value)


def plain(value: Any, level: int = 1) -> Any:
    """A value of CEL as JSON, all the way down. Raises FormulaFailed."""
    inner = value.value() if hasattr(value, "value") else value
    if level > LEVELS:
        raise FormulaFailed(f"What came of a formula nests deeper than {LEVELS} levels.")
    if isinstance(inner, dict):
        return {_name(name): plain(one, level + 1) for name, one in inner.items()}
    if isinstance(inner, list):
        return [plain(one, level + 1) for one in inner]
    if isinstance(inner, dt.datetime):
        return inner.isoformat()
    if inner is None or isinstance(inner, str | bool | int) or (isinstance(inner, float) and math.isfinite(inner)):
        return inner
    raise FormulaFailed("A formula came to what JSON can not hold: no number, bytes, a duration or a type.")


def _name(name: Any) -> str:
    inner = name.value() if hasattr(name, "value") else name
    if not isinstance(inner, str):
        raise FormulaFailed("The names in an object are texts.")
    return inner


def _short(message: str) -> str:
    return expr.located(message).message

"""Conditions in CEL. The only module that touches cel-expr-python.

Promises: a condition is checked against typed fields when it is saved, with line and column; it runs against plain
maps, where a missing field is an error; nothing that happens inside raises, but comes back as a Result, and only a
true boolean is TRUE. Loops can not be nested, and what could run long or make a NaN is gone: the macros `map`,
`filter` and `exists_one`, the function `matches`, and division.
Thread-safe: environments and compiled conditions are shared, a `Reading` belongs to one evaluation.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from cel_expr_python import cel
from google.protobuf import descriptor_pb2, descriptor_pool

from approvals.policies import syntax
from approvals.policies.facts import FIELDS, unreal_text
from missions.errors import StandfastError

SOURCE_CHARACTERS: Final = 2000
MESSAGE_CHARACTERS: Final = 200
PLACE = re.compile(r"<input>:(-?\d+):(-?\d+): (.*)")
CONVERTS = re.compile(r"\bdouble\b")
HEAD: Final = """
name: standfast
stdlib:
  exclude_macros: [map, filter, exists_one]
  exclude_functions: [{name: matches}, {name: _/_}]
variables:
  - {name: args, type: "map<string,dyn>"}
  - {name: now, type: timestamp}
"""


class Truth(StrEnum):
    """What came of a condition."""

    TRUE = "true"  # the boolean true and nothing else
    FALSE = "false"  # the boolean false
    ERROR = "error"  # anything else: the message says what


@dataclass(frozen=True, slots=True)
class Result:
    """The truth of a condition, with a message where it is an error."""

    truth: Truth
    message: str = ""


TRUE, FALSE = Result(Truth.TRUE), Result(Truth.FALSE)


class ExpressionError(StandfastError):
    """The condition can not be used. `line` and `column` count from 1."""

    code = "invalid_expression"

    def __init__(self, message: str, line: int = 1, column: int = 1) -> None:
        super().__init__(message)
        self.message, self.line, self.column = message, max(line, 1), max(column, 1)


@dataclass(frozen=True, slots=True)
class Reading:
    """One context, prepared to be read by many conditions."""

    activation: Any
    unreal: str  # the place of an argument that double() would make NaN or infinite


@dataclass(frozen=True, slots=True)
class Expression:
    """A checked condition."""

    source: str
    _program: Any = field(repr=False, compare=False)
    _conjuncts: tuple[tuple[str, Any], ...] = field(repr=False, compare=False)
    _converts: bool = field(repr=False, compare=False)

    def test(self, reading: Reading) -> Result:
        """Evaluate against a context; never raises for what the condition or the context does."""
        if self._converts and reading.unreal:
            return Result(Truth.ERROR, f"{reading.unreal} is not a finite number")
        return _evaluate(self._program, reading)

    def failing(self, reading: Reading) -> str:
        """The first top-level conjunct that is false, for a condition that tested FALSE."""
        for source, program in self._conjuncts[:-1]:
            if _evaluate(program, reading) is FALSE:
                return source[:MESSAGE_CHARACTERS]
        return self._conjuncts[-1][0][:MESSAGE_CHARACTERS]


def _evaluate(program: Any, reading: Reading) -> Result:
    """CEL returns some errors as values, whose text Python takes for true, and raises others."""
    try:
        answer = program.eval(reading.activation)
        value = answer.value()
        if value is False:
            return FALSE
        kind = answer.type()
    except Exception as error:  # the binding has no exception class of its own; each becomes a recorded ERROR
        return Result(Truth.ERROR, _plain(str(error)))
    if value is True and kind == cel.Type.BOOL:
        return TRUE
    if kind == cel.Type.ERROR:
        return Result(Truth.ERROR, _plain(str(value)))
    return Result(Truth.ERROR, f"the condition is neither true nor false but {kind.name()}")


def _plain(message: str) -> str:
    """CEL's message without its status codes, in one short line."""
    bare = re.sub(r"^[A-Z_]+: | \[[A-Z_]+\]$", "", message.strip())
    return " ".join(bare.split())[:MESSAGE_CHARACTERS]


def reading(context: Mapping[str, Any]) -> Reading:
    """Prepare a context that `facts.context_of` built."""
    return Reading(RUN.Activation(dict(context)), unreal_text(context["args"]))


@functools.lru_cache(maxsize=8192)
def compile_checked(source: str) -> Expression:
    """Check a condition and make it ready to run; kept per source. Raises ExpressionError."""
    if len(source) > SOURCE_CHARACTERS:
        raise ExpressionError(f"The condition has {len(source):,} characters; the limit is {SOURCE_CHARACTERS:,}.")
    if not source.strip():
        raise ExpressionError("The condition is empty; leave it out to mean always.")
    if _compile(CHECK, source).return_type() != cel.Type.BOOL:
        raise ExpressionError("The condition may turn out to be no boolean; compare it, as in `args.flag == true`.")
    _refuse_nested_loops(source)
    parts = syntax.conjuncts(source)
    programs = tuple((part, _compile(RUN, part)) for part in parts)
    return Expression(source, _compile(RUN, source), programs, CONVERTS.search(source) is not None)


def _compile(environment: Any, source: str) -> Any:
    try:
        program = environment.compile(source)
    except RuntimeError as error:
        raise _located(str(error)) from error
    except TypeError as error:
        raise ExpressionError("The condition holds half a character.") from error
    if program.return_type() not in (cel.Type.BOOL, cel.Type.DYN):
        kind = program.return_type().name().lower()
        raise ExpressionError(f"The condition has to be true or false; this is a {kind}.")
    return program


def _located(message: str) -> ExpressionError:
    found = PLACE.search(message)
    if found is None:
        return ExpressionError(_plain(message))
    line, column, text = int(found[1]), int(found[2]), found[3]
    return ExpressionError(_plain(text).replace("standfast.", ""), line, column)


def _refuse_nested_loops(source: str) -> None:
    try:
        offset = syntax.nested_loop(source)
    except syntax.Unreadable as error:
        raise ExpressionError(f"The condition can not be read at {error}.") from error
    if offset is not None:
        line, column = source.count("\n", 0, offset) + 1, offset - source.rfind("\n", 0, offset)
        raise ExpressionError("A loop inside a loop takes too long on large arguments.", line, column)


def _checking() -> Any:
    """The environment of the check: each variable a message, so that a wrong field or type is found."""
    kinds = descriptor_pb2.FieldDescriptorProto
    types = {str: kinds.TYPE_STRING, bool: kinds.TYPE_BOOL, int: kinds.TYPE_INT64}
    file = descriptor_pb2.FileDescriptorProto(name="standfast.proto", package="standfast", syntax="proto3")
    for variable, fields in FIELDS.items():
        message = file.message_type.add(name=variable.capitalize())
        for number, (name, kind) in enumerate(fields.items(), start=1):
            label = kinds.LABEL_OPTIONAL
            message.field.add(name=name, number=number, type=types[kind], label=label)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return _environment({name: f"standfast.{name.capitalize()}" for name in FIELDS}, pool)


def _environment(types: Mapping[str, str], pool: Any = None) -> Any:
    lines = "".join(f'  - {{name: {name}, type: "{kind}"}}\n' for name, kind in types.items())
    config = cel.NewEnvConfigFromYaml(HEAD + lines)
    return cel.NewEnv(descriptor_pool=pool, config=config)


# Typed messages answer a missing field with its zero value, so they only check; rules run against plain maps.
CHECK: Final = _checking()
RUN: Final = _environment(dict.fromkeys(FIELDS, "map<string,dyn>"))

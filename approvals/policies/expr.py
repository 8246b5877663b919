"""Conditions in CEL. The only module that touches cel-expr-python; `formulas` gets its environment here.

Promises: a condition is checked against typed fields when it is saved, with line and column; it runs against plain
maps, where a missing field is an error; nothing that happens inside raises, but comes back as a Result, and only a
true boolean is TRUE. Loops can not be nested, and what could run long or make a NaN is gone: the macros `map`,
`filter` and `exists_one`, the function `matches`, and division.
Thread-safe: environments and compiled conditions are shared, a `Reading` belongs to one evaluation.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
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
LONGEST_CHAIN: Final = 24  # of choices in one another; CEL takes 32 levels in all
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
    """The truth of a condition, with a message where it is an error, and what of it is false where it is."""

    truth: Truth
    message: str = ""
    failing: str = field(default="", compare=False)  # the first top-level conjunct that is false


TRUE, FALSE = Result(Truth.TRUE), Result(Truth.FALSE)


class ExpressionError(StandfastError):
    """The condition can not be used. `line` and `column` count from 1."""

    code = "invalid_expression"

    def __init__(self, message: str, line: int = 1, column: int = 1) -> None:
        super().__init__(message)
        self.message, self.line, self.column = message, max(line, 1), max(column, 1)


class Reading:
    """One context, prepared to be read by many conditions."""

    __slots__ = ("_args", "_unreal", "activation", "results")

    def __init__(self, context: Mapping[str, Any]) -> None:
        self.activation = RUN.Activation(dict(context))
        self.results: dict[str, Result] = {}  # of the conditions that were tested
        self._args = context["args"]
        self._unreal: str | None = None

    @property
    def unreal(self) -> str:
        """The place of an argument that double() would make NaN or infinite; looked for once somebody asks."""
        if self._unreal is None:
            self._unreal = unreal_text(self._args)
        return self._unreal


@dataclass(frozen=True, slots=True)
class Expression:
    """A checked condition."""

    source: str
    _program: Any = field(repr=False, compare=False)
    _conjuncts: tuple[Any, ...] = field(repr=False, compare=False)  # a program for each
    _falses: tuple[Result, ...] = field(repr=False, compare=False)  # the result where it is the first that is false
    _finder: Any = field(repr=False, compare=False)  # gives the number of the first that is false, or None
    _converts: bool = field(repr=False, compare=False)

    def test(self, reading: Reading) -> Result:
        """Evaluate against a context, once; never raises for what the condition or the context does."""
        found = reading.results.get(self.source)
        if found is None:
            found = reading.results[self.source] = self._test(reading)
        return found

    def _test(self, reading: Reading) -> Result:
        if self._converts and reading.unreal:
            return Result(Truth.ERROR, f"{reading.unreal} is not a finite number")
        if self._finder is not None:  # one conjunct that is false makes the whole so, and if all are true, so is it
            place = _number(self._finder, reading)
            if place is not None:
                return self._falses[place] if place < len(self._falses) else TRUE
        result = _evaluate(self._program, reading)
        return self._falses[self._first_false(reading)] if result is FALSE else result

    def _first_false(self, reading: Reading) -> int:
        """Of a condition that is FALSE; conjuncts before it may have failed with errors."""
        places = (at for at, program in enumerate(self._conjuncts[:-1]) if _evaluate(program, reading) is FALSE)
        return next(places, len(self._conjuncts) - 1)


def _number(program: Any, reading: Reading) -> int | None:
    try:
        answer = program.eval(reading.activation)
        return int(answer.value()) if answer.type() == cel.Type.INT else None
    except Exception:  # the whole condition is asked instead, which says what the error is
        return None


def _evaluate(program: Any, reading: Reading) -> Result:
    """CEL returns some errors as values, whose text Python takes for true, and raises others."""
    try:
        answer = program.eval(reading.activation)
        value = answer.value()
        if value is False:
            return FALSE
        kind = answer.type()
    except Exception as error:  # the binding has no exception class of its own; each becomes a recorded ERROR
        return _error(str(error))
    if value is True and kind == cel.Type.BOOL:
        return TRUE
    if kind == cel.Type.ERROR:
        return _error(str(value))
    return Result(Truth.ERROR, f"the condition is neither true nor false but {kind.name()}")


@functools.lru_cache(maxsize=4096)
def _error(message: str) -> Result:
    return Result(Truth.ERROR, _plain(message))


def _plain(message: str) -> str:
    """CEL's message without its status codes, in one short line."""
    bare = re.sub(r"^[A-Z_]+: | \[[A-Z_]+\]$", "", message.strip())
    return " ".join(bare.split())[:MESSAGE_CHARACTERS]


def reading(context: Mapping[str, Any]) -> Reading:
    """Prepare a context that `facts.context_of` built."""
    return Reading(context)


@functools.lru_cache(maxsize=8192)
def compile_checked(source: str) -> Expression:
    """Check a condition and make it ready to run; kept per source. Raises ExpressionError."""
    if len(source) > SOURCE_CHARACTERS:
        raise ExpressionError(f"The condition has {len(source):,} characters; the limit is {SOURCE_CHARACTERS:,}.")
    if not source.strip():
        raise ExpressionError("The condition is empty; leave it out to mean always.")
    if _compile(CHECK, source).return_type() != cel.Type.BOOL:
        raise ExpressionError("The condition may turn out to be no boolean; compare it, as in `args.flag == true`.")
    refuse_nested_loops(source)
    parts = syntax.conjuncts(source)
    return Expression(
        source, _compile(RUN, source), tuple(_compile(RUN, part) for part in parts),
        tuple(Result(Truth.FALSE, failing=part[:MESSAGE_CHARACTERS]) for part in parts), _finder(parts),
        CONVERTS.search(source) is not None,
    )


def _finder(parts: Sequence[str]) -> Any:
    """A chain of choices that ends at the first part that is false; None where it would be too long for CEL.

    CEL evaluates both sides of &&, and each part once more to tell which one is false. An error in a part before makes
    the chain an error too, and then the whole condition decides: && absorbs errors.
    """
    if not 1 < len(parts) <= LONGEST_CHAIN:
        return None
    chain = "".join(f"!(\n{part}\n) ? {place} :\n" for place, part in enumerate(parts))
    try:
        return RUN.compile(f"{chain}{len(parts)}")
    except RuntimeError:
        return None  # too deep with what the parts hold themselves


def _compile(environment: Any, source: str) -> Any:
    try:
        program = environment.compile(source)
    except RuntimeError as error:
        raise located(str(error)) from error
    except TypeError as error:
        raise ExpressionError("The condition holds half a character.") from error
    if program.return_type() not in (cel.Type.BOOL, cel.Type.DYN):
        kind = program.return_type().name().lower()
        raise ExpressionError(f"The condition has to be true or false; this is a {kind}.")
    return program


def located(message: str) -> ExpressionError:
    """What the compiler complains of, with its place."""
    found = PLACE.search(message)
    if found is None:
        return ExpressionError(_plain(message))
    line, column, text = int(found[1]), int(found[2]), found[3]
    return ExpressionError(_plain(text).replace("standfast.", ""), line, column)


def refuse_nested_loops(source: str) -> None:
    """Raises ExpressionError for a loop in a loop."""
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
    types = {
        str: kinds.TYPE_STRING, bool: kinds.TYPE_BOOL, int: kinds.TYPE_INT64, float: kinds.TYPE_DOUBLE,
        list: kinds.TYPE_STRING,
    }
    file = descriptor_pb2.FileDescriptorProto(name="standfast.proto", package="standfast", syntax="proto3")
    for variable, fields in FIELDS.items():
        message = file.message_type.add(name=variable.capitalize())
        for number, (name, kind) in enumerate(fields.items(), start=1):
            if kind is dict:
                _add_map(message, name, number)
                continue
            label = kinds.LABEL_REPEATED if kind is list else kinds.LABEL_OPTIONAL
            message.field.add(name=name, number=number, type=types[kind], label=label)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return _environment({name: f"standfast.{name.capitalize()}" for name in FIELDS}, pool)


def _add_map(message: Any, name: str, number: int) -> None:
    """A field that maps names to numbers; protobuf spells it as a list of entries of a type of their own."""
    kinds = descriptor_pb2.FieldDescriptorProto
    entry = message.nested_type.add(name=f"{name.capitalize()}Entry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, type=kinds.TYPE_STRING, label=kinds.LABEL_OPTIONAL)
    entry.field.add(name="value", number=2, type=kinds.TYPE_DOUBLE, label=kinds.LABEL_OPTIONAL)
    of = f".standfast.{message.name}.{entry.name}"
    kind, label = kinds.TYPE_MESSAGE, kinds.LABEL_REPEATED
    message.field.add(name=name, number=number, type=kind, label=label, type_name=of)


def _environment(types: Mapping[str, str], pool: Any = None) -> Any:
    lines = "".join(f'  - {{name: {name}, type: "{kind}"}}\n' for name, kind in types.items())
    return environment(HEAD + lines, pool)


def environment(config: str, pool: Any = None) -> Any:
    """What CEL compiles in: which functions and variables there are."""
    return cel.NewEnv(descriptor_pool=pool, config=cel.NewEnvConfigFromYaml(config))


# Typed messages answer a missing field with its zero value, so they only check; rules run against plain maps.
CHECK: Final = _checking()
RUN: Final = _environment(dict.fromkeys(FIELDS, "map<string,dyn>"))

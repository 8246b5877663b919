"""Finding in the author's code what reads a clock or randomness: calls that raise no event and can not be wrapped.

Looks at each function once, when it first runs guarded: which globals, closures and imports it calls, and what those
of the author call in turn. Methods of objects, and functions that are passed about as values, are not followed.
"""

from __future__ import annotations

import dis
import sys
import types
from collections import ChainMap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from missions.engine import authored

SKIPPED = ("EXTENDED_ARG", "CACHE", "PRECALL")
GLOBALS = ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_DEREF")
LOCALS = ("LOAD_FAST", "LOAD_FAST_CHECK", "LOAD_FAST_BORROW")
STORES = ("STORE_FAST", "STORE_NAME", "STORE_DEREF", "STORE_GLOBAL")
ATTRIBUTES = ("LOAD_ATTR", "LOAD_METHOD")
NEWER, NULL_LAST = sys.version_info >= (3, 12), sys.version_info >= (3, 13)  # how bytecode says that it calls
UNKNOWN = object()
_forbidden: dict[int, tuple[str, str, Any]] = {}  # id → kind, name, and the object, so that its id stays its own
_methods: list[tuple[type, frozenset[str], str]] = []  # methods of immutable types: (type, names, kind)
_found: dict[tuple[int, ...], tuple[list[Any], tuple[Finding, ...]]] = {}  # by the ids of codes, which are kept


@dataclass(frozen=True, slots=True)
class Finding:
    """A call of something forbidden, and where it is written."""

    kind: str
    name: str
    file: str
    line: int


def forbid(kind: str, name: str, function: Any) -> None:
    """Calls of this object count as findings."""
    _forbidden[id(function)] = (kind, name, function)


def forbid_methods(kind: str, owner: type, *names: str) -> None:
    """Calls of these methods of a class, or of one derived from it, count as findings."""
    _methods.append((owner, frozenset(names), kind))


def findings(function: Callable[..., Any]) -> tuple[Finding, ...]:
    """What a function calls that it may not, wherever it is written."""
    code = getattr(function, "__code__", None)
    if code is None:
        inner = getattr(function, "func", None) or getattr(function, "__wrapped__", None)
        return findings(inner) if inner is not None else _itself(function)
    codes = [code, *(_code_in(cell) for cell in function.__closure__ or ())]  # what a wrapper calls is in its closure
    key = tuple(map(id, codes))
    if key not in _found:
        _found[key] = codes, tuple(_in_function(function, set()))
    return _found[key][1]


def _code_in(cell: types.CellType) -> Any:
    return getattr(cell.cell_contents, "__code__", None) if _filled(cell) else None


def place_of(function: Callable[..., Any]) -> tuple[str, int]:
    """File and line where a function is written; nothing where it is not Python's."""
    code = getattr(getattr(function, "func", function), "__code__", None)
    return (code.co_filename, code.co_firstlineno) if code is not None else (repr(function), 0)


def _itself(function: Callable[..., Any]) -> tuple[Finding, ...]:
    """A step whose function is a forbidden one, as in m.step("at", time.time)."""
    owner, name = getattr(function, "__self__", None), getattr(function, "__name__", "")
    read = _read(owner, name, function)
    return (Finding(*read, *place_of(function)),) if read else ()


def _read(owner: Any, name: str, value: Any) -> tuple[str, str] | None:
    """Kind and name, where calling this is forbidden."""
    if (known := _forbidden.get(id(value))) is not None:
        return known[0], known[1]
    if isinstance(owner, type):
        for base, names, kind in _methods:
            if name in names and issubclass(owner, base):
                return kind, f"{base.__name__}.{name}"
    return None


def _in_function(function: Any, seen: set[types.CodeType]) -> Iterator[Finding]:
    code = function.__code__
    if code in seen or not authored.is_authors_file(code.co_filename, getattr(function, "__module__", "") or ""):
        return
    closure = zip(code.co_freevars, getattr(function, "__closure__", None) or (), strict=False)
    cells = {name: cell.cell_contents for name, cell in closure if _filled(cell)}
    yield from _in_code(code, ChainMap(cells, function.__globals__), seen)


def _filled(cell: types.CellType) -> bool:
    try:
        return bool((cell.cell_contents, True))
    except ValueError:  # not assigned yet
        return False


def _in_code(code: types.CodeType, names: Mapping[str, Any], seen: set[types.CodeType]) -> Iterator[Finding]:
    seen.add(code)
    imported = dict(_imports(code))
    for owner, name, value, line in _calls(code, names, imported):
        if (read := _read(owner, name, value)) is not None:
            yield Finding(*read, code.co_filename, line)
        elif (called := _written(value)) is not None:
            yield from _in_function(called, seen)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType) and constant not in seen:
            yield from _in_code(constant, {**names, **imported}, seen)


def _written(value: Any) -> types.FunctionType | None:
    """The function that a call of this runs: itself, or the `__init__` of a class."""
    value = getattr(value, "__func__", value)
    if isinstance(value, type):
        value = value.__dict__.get("__init__")
    return value if isinstance(value, types.FunctionType) else None


def _imports(code: types.CodeType) -> Iterator[tuple[str, Any]]:
    """What the code imports into names of its own; only modules that are loaded already."""
    module = value = UNKNOWN
    names: Any = None
    for op in dis.get_instructions(code):
        if op.opname == "LOAD_CONST":
            names = op.argval
        elif op.opname == "IMPORT_NAME":
            wanted = str(op.argval) if names else str(op.argval).partition(".")[0]
            module = value = sys.modules.get(wanted, UNKNOWN)
        elif op.opname == "IMPORT_FROM":
            value = _attribute(module, str(op.argval))
        elif op.opname in STORES and module is not UNKNOWN:
            yield str(op.argval), value
            value = module
        else:
            module = UNKNOWN


def _calls(
    code: types.CodeType, names: Mapping[str, Any], imported: dict[str, Any]
) -> Iterator[tuple[Any, str, Any, int]]:
    """(owner, name, value, line) of everything that the code calls by name."""
    owner = value = UNKNOWN
    name, called, null, line = "", False, False, code.co_firstlineno
    for op in dis.get_instructions(code):
        if op.opname in SKIPPED:
            continue
        line = (op.positions.lineno if op.positions else None) or line
        if op.opname in ATTRIBUTES:
            owner, name, value = value, str(op.argval), _attribute(value, str(op.argval))
            called = called or op.opname == "LOAD_METHOD" or (NEWER and bool((op.arg or 0) & 1))
        elif op.opname == "PUSH_NULL" and NULL_LAST:
            called = True
        else:
            if called and value is not UNKNOWN:
                yield owner, name, value, line
            owner, name = UNKNOWN, str(op.argval)
            value = imported.get(name, names.get(name, UNKNOWN)) if op.opname in GLOBALS else UNKNOWN
            value = imported.get(name, UNKNOWN) if op.opname in LOCALS else value
            called = null or (op.opname == "LOAD_GLOBAL" and bool((op.arg or 0) & 1))
            null = op.opname == "PUSH_NULL"


def _attribute(owner: Any, name: str) -> Any:
    """An attribute of a module or a class; of anything else nothing is known without running its code."""
    if isinstance(owner, types.ModuleType | type):
        return getattr(owner, name, UNKNOWN)
    return UNKNOWN

"""The mission types of this process: name → function, version, input schema.

Filled by the `mission` decorator when the modules of MISSIONS_MODULES and each app's `missions.py` are imported.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import typing
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from pydantic import TypeAdapter, ValidationError

from missions import data_classes
from missions.engine.budgets import Budget
from missions.engine.checkpoints import Checkpoint
from missions.engine.sentences import filled
from missions.errors import InvalidInput, UnknownType

NO_BUDGET = Budget()
MissionFunction = Callable[..., Awaitable[Any]]
EVERY_STEP = Checkpoint()


@dataclass(frozen=True, slots=True, kw_only=True)
class MissionType:
    """A registered mission function."""

    name: str
    version: int
    continues: tuple[int, ...]  # earlier versions whose missions this code goes on with
    title: str
    description: str
    function: MissionFunction
    adapter: TypeAdapter[Any]
    keep_days: int | None = None  # None: as MISSIONS_KEEP_DAYS says; 0: for ever
    budget: Budget = NO_BUDGET
    checkpoint: Checkpoint = EVERY_STEP
    data_classes: data_classes.Clearance = data_classes.DEFAULT  # what its missions may read and write
    titled: str = ""  # a template over the input: the title of a mission that is started without one

    @property
    def input_schema(self) -> dict[str, Any]:
        """JSON Schema (draft 2020-12) of the input object."""
        return self.adapter.json_schema(mode="validation")

    def title_of(self, value: dict[str, Any]) -> str:
        """What a mission with this input is called where nobody says."""
        return filled(self.titled, value)[:TITLE_CHARACTERS] or self.title

    def parse_input(self, value: Any) -> Any:
        """The input as the type that the function declares. Raises InvalidInput, field by field."""
        try:
            return self.adapter.validate_python(value)
        except ValidationError as error:
            errors = [
                {"field": ".".join(str(part) for part in item["loc"]), "message": item["msg"]}
                for item in error.errors(include_url=False, include_context=False, include_input=False)
            ]
            raise InvalidInput("The input does not fit the mission's schema.", errors=errors) from error

    def check_input(self, value: dict[str, Any]) -> dict[str, Any]:
        """The input as plain JSON, defaults filled in. Raises InvalidInput, field by field."""
        checked: dict[str, Any] = self.adapter.dump_python(self.parse_input(value), mode="json")
        return checked


TITLE_CHARACTERS = 200
_types: dict[tuple[str, int], MissionType] = {}  # by name and version


def register(
    name: str, version: int, title: str, function: MissionFunction, *, continues: Iterable[int] = (), **terms: Any
) -> MissionType:
    """Add a version of a type; `terms` are the remaining fields of `MissionType`, None for their defaults.

    A second function under the same name and version is a mistake of the author.
    """
    known = _types.get((name, version))
    if known is not None and known.function.__qualname__ != function.__qualname__:
        raise ValueError(
            f"mission type {name!r} version {version} is registered twice: {known.function!r} and {function!r}"
        )
    if any(earlier >= version or earlier < 1 for earlier in continues):
        raise ValueError(f"mission type {name!r} version {version} can go on with earlier versions only")
    if not inspect.iscoroutinefunction(function):
        raise TypeError(f"mission {name!r}: write it as `async def`")
    parameters = list(inspect.signature(function).parameters.values())
    if len(parameters) != 2:
        raise TypeError(f"mission {name!r}: it takes the context and one input, not {len(parameters)} parameters")
    kind = typing.get_type_hints(function).get(parameters[1].name, dict[str, Any])
    doc = inspect.getdoc(function) or ""
    built = MissionType(
        name=name, version=version, continues=tuple(continues), title=title or name.replace("_", " ").capitalize(),
        description=doc, function=function, adapter=TypeAdapter(kind),
        **{name: value for name, value in terms.items() if value is not None},
    )
    _types[name, version] = built
    return built


@functools.cache
def _discovered() -> dict[tuple[str, int], MissionType]:
    """Import the modules that hold mission types, once."""
    for module in settings.MISSIONS_MODULES:
        importlib.import_module(module)
    return _types


def all_types() -> list[MissionType]:
    """All types known here in their latest version, by name."""
    latest = {name: kind for (name, _), kind in sorted(_discovered().items())}
    return [kind for _, kind in sorted(latest.items())]


def runnable() -> dict[tuple[str, int], MissionType]:
    """The code for each pair of type and version that may run here: its own, or the latest that continues it."""
    found: dict[tuple[str, int], MissionType] = {}
    for (name, version), kind in sorted(_discovered().items()):
        found.update({(name, earlier): kind for earlier in kind.continues if (name, earlier) not in _discovered()})
        found[name, version] = kind
    return found


def code_for(name: str, version: int) -> MissionType:
    """The code that runs missions of this type and version here. Raises UnknownType."""
    kind = _discovered().get((name, version)) or runnable().get((name, version))
    if kind is None:
        raise UnknownType(f"There is no code for version {version} of {name!r} here.", name=name)
    return kind


def checkpoint_of(name: str) -> Checkpoint:
    """The strategy of a type; the usual one where the type is not known in this process."""
    kind = next((kind for kind in all_types() if kind.name == name), None)
    return kind.checkpoint if kind is not None else EVERY_STEP


def get_type(name: str) -> MissionType:
    """The latest version of the type of this name. Raises UnknownType."""
    for kind in all_types():
        if kind.name == name:
            return kind
    known = ", ".join(kind.name for kind in all_types()) or "none"
    raise UnknownType(f"There is no mission type {name!r}; known here: {known}.", name=name)

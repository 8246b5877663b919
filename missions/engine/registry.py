"""The mission types of this process: name → function, version, input schema.

Filled by the `mission` decorator when the modules of MISSIONS_MODULES and each app's `missions.py` are imported.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import typing
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from pydantic import TypeAdapter, ValidationError

from missions.engine.checkpoints import Checkpoint
from missions.errors import InvalidInput, UnknownType

MissionFunction = Callable[..., Awaitable[Any]]
EVERY_STEP = Checkpoint()


@dataclass(frozen=True, slots=True, kw_only=True)
class MissionType:
    """A registered mission function."""

    name: str
    version: int
    title: str
    description: str
    function: MissionFunction
    adapter: TypeAdapter[Any]
    checkpoint: Checkpoint = EVERY_STEP

    @property
    def input_schema(self) -> dict[str, Any]:
        """JSON Schema (draft 2020-12) of the input object."""
        return self.adapter.json_schema(mode="validation")

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


_types: dict[str, MissionType] = {}


def register(
    name: str, version: int, title: str, function: MissionFunction, *, checkpoint: Checkpoint = EVERY_STEP
) -> MissionType:
    """Add a type. A second function under the same name is a mistake of the author."""
    known = _types.get(name)
    if known is not None and known.function.__qualname__ != function.__qualname__:
        raise ValueError(f"mission type {name!r} is registered twice: {known.function!r} and {function!r}")
    if not inspect.iscoroutinefunction(function):
        raise TypeError(f"mission {name!r}: write it as `async def`")
    parameters = list(inspect.signature(function).parameters.values())
    if len(parameters) != 2:
        raise TypeError(f"mission {name!r}: it takes the context and one input, not {len(parameters)} parameters")
    kind = typing.get_type_hints(function).get(parameters[1].name, dict[str, Any])
    doc = inspect.getdoc(function) or ""
    built = MissionType(
        name=name, version=version, title=title or name.replace("_", " ").capitalize(), description=doc,
        function=function, adapter=TypeAdapter(kind), checkpoint=checkpoint,
    )
    _types[name] = built
    return built


@functools.cache
def _discovered() -> dict[str, MissionType]:
    """Import the modules that hold mission types, once."""
    for module in settings.MISSIONS_MODULES:
        importlib.import_module(module)
    return _types


def all_types() -> list[MissionType]:
    """All types known here, by name."""
    return [kind for _, kind in sorted(_discovered().items())]


def checkpoint_of(name: str) -> Checkpoint:
    """The strategy of a type; the usual one where the type is not known in this process."""
    kind = _discovered().get(name)
    return kind.checkpoint if kind is not None else EVERY_STEP


def get_type(name: str) -> MissionType:
    """The type of this name. Raises UnknownType."""
    try:
        return _discovered()[name]
    except KeyError:
        known = ", ".join(kind.name for kind in all_types()) or "none"
        raise UnknownType(f"There is no mission type {name!r}; known here: {known}.", name=name) from None

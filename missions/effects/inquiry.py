"""What an answer to a mission's question looks like: text, one of some options, or what a schema says. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError

from missions.engine import codec
from missions.errors import InvalidInput
from missions.governance import Answer, Choice, Json
from missions.tools.arguments import SchemaArguments

OPTIONS = 50
VALUE_CHARACTERS = 50  # the room that a vote has for a choice


@dataclass(frozen=True, slots=True, kw_only=True)
class Inquiry:
    """The form of an answer."""

    choices: tuple[Choice, ...] = ()
    schema: Json | None = None
    kind: Any = None  # the author's type, None for plain JSON

    def as_json(self) -> Json:
        """What governance gets to know of it."""
        if self.choices:
            return {"form": "options"}
        return {"form": "schema", "schema": self.schema} if self.schema is not None else {"form": "text"}

    def value_of(self, answer: Answer) -> Any:
        """The answer as data. Raises InvalidInput where the code has changed and takes it no more."""
        if self.choices:
            return answer.choice
        try:
            return codec.restore(self.kind, answer.value)
        except ValidationError as error:
            raise InvalidInput(f"The answer does not fit what is asked: {codec.words(error)}") from error


def of(options: Sequence[str] | Mapping[str, str], schema: Any) -> Inquiry:
    """The form that an author asks for. Raises ValueError for what nobody could answer, InvalidInput for no schema."""
    if options and schema is not None:
        raise ValueError("Give options or a schema, not both.")
    if options:
        return Inquiry(choices=_choices(options))
    if schema is None:
        return Inquiry()
    plain = isinstance(schema, Mapping)
    shape: Json = codec.load(codec.dump(schema if plain else TypeAdapter(schema).json_schema()))
    if shape.get("type") != "object" or not shape.get("properties"):
        raise ValueError("The schema of an answer is that of an object with properties.")
    SchemaArguments(shape)
    return Inquiry(schema=shape, kind=None if plain else schema)


def _choices(options: Sequence[str] | Mapping[str, str]) -> tuple[Choice, ...]:
    pairs = options.items() if isinstance(options, Mapping) else [(one, one) for one in options]
    found = tuple(Choice(value=str(value), label=str(label)) for value, label in pairs)
    if len({choice.value for choice in found}) != len(found) or len(found) > OPTIONS:
        raise ValueError(f"Options are different from each other, and at most {OPTIONS}.")
    if any(not 0 < len(choice.value) <= VALUE_CHARACTERS for choice in found):
        raise ValueError(f"The value of an option has between 1 and {VALUE_CHARACTERS} characters.")
    return found

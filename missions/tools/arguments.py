"""The arguments of a tool: their JSON Schema, and checking them against it.

Pure. What passes is plain JSON: no NaN, no Infinity, no NUL character, no lone surrogate, nothing deeper than 64
levels, no argument that the tool does not name.
"""

from __future__ import annotations

import inspect
import json
import math
import typing
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, NotRequired, Protocol

from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from jsonschema.exceptions import SchemaError, ValidationError  # type: ignore[import-untyped]
from pydantic import ConfigDict, TypeAdapter, with_config
from pydantic import ValidationError as ModelError
from pydantic_core import PydanticSerializationError, to_jsonable_python
from referencing import Registry
from typing_extensions import TypedDict

from missions.errors import InvalidInput
from missions.governance import Json

DEPTH = 64
WHOLE = (-(2**63), 2**64 - 1)  # what JSON in the journal holds
MESSAGE_CHARACTERS = 300
WRONG = "The arguments do not fit the tool's schema."
Errors = list[dict[str, Any]]


class Arguments(Protocol):
    """What a tool takes."""

    @property
    def schema(self) -> Json:
        """JSON Schema of the object that holds them."""

    @property
    def known(self) -> bool:
        """Whether the schema is the tool's own, or stands in until its server was asked."""

    def check(self, args: Mapping[str, Any]) -> Json:
        """The arguments as plain JSON. Raises InvalidInput with errors by field."""


def plain(args: Mapping[str, Any]) -> Json:
    """The arguments as plain JSON values. Raises InvalidInput with errors by field."""
    errors: Errors = []
    value: Json = _plain(dict(args), "", errors, 0)
    if errors:
        raise InvalidInput(WRONG, errors=errors)
    return value


def _refuse(field: str, message: str, errors: Errors) -> Any:
    """Note the fault; returns what stands in for the value."""
    errors.append({"field": field, "message": message})


def _plain(value: Any, field: str, errors: Errors, depth: int) -> Any:
    """The JSON form of one value; whatever has none is added to `errors`."""
    if depth > DEPTH:
        return _refuse(field, f"is nested deeper than {DEPTH} levels", errors)
    if isinstance(value, Mapping):
        return {_text(key, field, errors): _plain(item, f"{field}.{key}".lstrip("."), errors, depth + 1)
                for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, f"{field}.{place}".lstrip("."), errors, depth + 1) for place, item in enumerate(value)]
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if WHOLE[0] <= value <= WHOLE[1] else _refuse(field, "is a number of more than 64 bits", errors)
    if isinstance(value, float | Decimal):
        return _number(value, field, errors)
    if isinstance(value, str):
        return _text(value, field, errors)
    try:
        return _plain(to_jsonable_python(value), field, errors, depth + 1)
    except (PydanticSerializationError, UnicodeDecodeError):
        return _refuse(field, f"is a {type(value).__name__}, which JSON can not hold", errors)


def _number(value: float | Decimal, field: str, errors: Errors) -> Any:
    if not math.isfinite(value):
        return _refuse(field, "is not a finite number", errors)
    return str(value) if isinstance(value, Decimal) else float(value)


def _text(value: Any, field: str, errors: Errors) -> str:
    if not isinstance(value, str):
        _refuse(field, f"has the key {value!r}, which is not text", errors)
    elif "\x00" in value:
        _refuse(field, "holds a NUL character", errors)
    elif any("\ud800" <= sign <= "\udfff" for sign in value):
        _refuse(field, "is not valid Unicode", errors)
    return str(value)


class FunctionArguments:
    """The arguments of a Python function, by its type hints; the first parameter is the call."""

    known = True

    def __init__(self, function: Callable[..., Any], name: str) -> None:
        """Raises TypeError where the signature can not be that of a tool."""
        parameters = list(inspect.signature(function).parameters.values())
        if not parameters or parameters[0].name != "call":
            raise TypeError(f"tool {name!r}: its first parameter is `call: ToolCall`")
        hints = typing.get_type_hints(function, include_extras=True)
        fields = {item.name: _hint(item, hints, name) for item in parameters[1:]}
        shape = TypedDict(f"{name} arguments", fields)  # type: ignore[misc]
        self._adapter: TypeAdapter[Any] = TypeAdapter(with_config(ConfigDict(extra="forbid"))(shape))
        self.schema: Json = {key: value for key, value in self._adapter.json_schema().items() if key != "title"}
        self.returns = hints.get("return")

    def check(self, args: Mapping[str, Any]) -> Json:
        """The arguments as plain JSON, defaults left out. Raises InvalidInput with errors by field."""
        checked: Json = self._adapter.dump_python(self.bind(args), mode="json", exclude_unset=True)
        return checked

    def bind(self, args: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments as the values that the function declares. Raises InvalidInput with errors by field."""
        try:
            bound: dict[str, Any] = self._adapter.validate_json(json.dumps(plain(args)), strict=True)
        except ModelError as error:
            details = error.errors(include_url=False, include_context=False, include_input=False)
            errors = [{"field": ".".join(map(str, item["loc"])), "message": item["msg"]} for item in details]
            raise InvalidInput(WRONG, errors=errors) from error
        return bound


def _hint(parameter: inspect.Parameter, hints: dict[str, Any], name: str) -> Any:
    if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
        raise TypeError(f"tool {name!r}: name each argument; `*{parameter.name}` has no schema")
    hint = hints.get(parameter.name, Any)
    return hint if parameter.default is parameter.empty else NotRequired[hint]


class SchemaArguments:
    """The arguments of a tool on an MCP server, by JSON Schema, given or learnt from the server later."""

    def __init__(self, schema: Json | None, *, hidden: str = "") -> None:
        """`hidden` is an argument that the platform fills in. Raises InvalidInput where this is no JSON Schema."""
        self._hidden = hidden
        self.known = False
        self.learn({"type": "object"})
        self.known = False
        if schema is not None:
            self.learn(schema)

    def learn(self, schema: Json) -> None:
        """Take the tool's own schema, made strict. Raises InvalidInput where it is no JSON Schema."""
        try:
            Draft202012Validator.check_schema(schema)
        except SchemaError as error:
            raise InvalidInput(f"This is no JSON Schema: {error.message}") from error
        self.schema = _strict(schema, self._hidden)
        self._validator = Draft202012Validator(self.schema, registry=Registry())
        self.known = True

    def check(self, args: Mapping[str, Any]) -> Json:
        """The arguments as plain JSON. Raises InvalidInput with errors by field."""
        value = plain(args)
        errors = sorted(self._validator.iter_errors(value), key=lambda error: [str(part) for part in error.path])
        if self._hidden and self._hidden in value:
            raise InvalidInput(WRONG, errors=[{"field": self._hidden, "message": "is filled in by the platform"}])
        if errors:
            raise InvalidInput(WRONG, errors=[_by_field(error) for error in errors])
        return value


def _strict(schema: Json, hidden: str) -> Json:
    """The schema without the hidden argument, refusing arguments that it does not name."""
    if "properties" not in schema:
        return schema
    properties = {name: item for name, item in schema["properties"].items() if name != hidden}
    required = [name for name in schema.get("required", []) if name != hidden]
    return {"additionalProperties": False, **schema, "properties": properties, "required": required}


def _by_field(error: ValidationError) -> dict[str, Any]:
    path = [str(part) for part in error.path]
    message = error.message
    if error.validator == "required":  # reported on the object; people look at the field
        missing = next(name for name in error.validator_value if message.startswith(repr(name)))
        path, message = [*path, missing], "is required"
    return {"field": ".".join(path), "message": message[:MESSAGE_CHARACTERS]}

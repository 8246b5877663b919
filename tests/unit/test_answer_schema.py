"""Which schemas of an answer are taken from outside; what is taken can be shown as a form and checked."""

from __future__ import annotations

from typing import Any

import pytest
from django.http import QueryDict

from approvals.outbound import answer_schema
from missions.errors import InvalidInput
from missions.tools.arguments import SchemaArguments
from missions.web.schema_form import SchemaForm


def of(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


def nested(levels: int) -> dict[str, Any]:
    return of(a=nested(levels - 1)) if levels else {"type": "string"}


TAKEN = [
    of(name={"type": "string", "title": "Name", "maxLength": 400}), of(n={"type": "number", "multipleOf": 0.5}),
    of(a={"anyOf": [{"type": "integer"}, {"type": "null"}], "default": None}), of(a={}), of(ok={"type": "boolean"}),
    of(a={"anyOf": [{"type": "number"}, {"type": "string"}], "format": "decimal"}), of(a={"enum": [[1], {"b": 2}]}),
    of(many={"type": "array", "items": {"type": "string"}, "uniqueItems": True}), of(a={"const": None}),
    {**of(pattern={"type": "string", "examples": ["x"]}), "additionalProperties": True, "required": ["pattern"]},
    of(a={"not": {"type": "string"}}, b={"allOf": [{"type": "object"}]}), nested(4),
]  # fmt: skip
REFUSED = [
    {}, {"type": "string"}, {"type": "object"}, {"type": "object", "properties": []}, of(a=True), of(a="text"),
    of(a={"$ref": "#/properties/a"}), of(a={"$ref": "file:///etc/passwd"}), {**of(a={}), "$defs": {"b": {}}},
    of(a={"type": "string", "pattern": "(a+)+$"}), {**of(a={}), "patternProperties": {"(a+)+$": {}}},
    of(a={"type": ["string", "null"]}), of(a={"type": "colour"}), of(a={"anyOf": []}), of(a={"anyOf": [True]}),
    of(a={"anyOf": {"type": "string"}}), of(a={"title": 5}), of(a={"minimum": "1"}), nested(9),
    of(a={"items": [{"type": "string"}]}), {**of(a={}), "additionalProperties": {"$ref": "#"}},
    of(**{f"field{number}": {} for number in range(51)}), of(a={"description": "x" * 20_000}),
]  # fmt: skip


@pytest.mark.parametrize("schema", TAKEN)
def test_what_is_taken_is_shown_and_checked(schema: dict[str, Any]) -> None:
    assert answer_schema.fault(schema) == ""
    check = SchemaArguments(schema).check
    assert "answer-" in str(SchemaForm(schema, check, prefix="answer"))
    SchemaForm(schema, check, QueryDict("answer-a=1&answer-name=x"), prefix="answer").is_valid()
    with pytest.raises(InvalidInput):
        check({"\x00": 1})


@pytest.mark.parametrize("schema", REFUSED)
def test_what_could_not_be_answered_or_takes_for_ever_is_refused(schema: dict[str, Any]) -> None:
    assert answer_schema.fault(schema)

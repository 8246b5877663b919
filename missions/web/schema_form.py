"""A form made from the JSON Schema of an object: one field a property.

The schema's own check has the last word; the form only collects, keeps what was typed, and shows errors by field.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from django import forms
from django.http import QueryDict

from missions.errors import InvalidInput
from missions.web.dressing import DressedForm

LONG_TEXTS = ("note", "comment", "description", "text", "body", "instructions", "goal", "message")
LONG_FROM = 300  # a text that may be this long gets a text area
Schema = dict[str, Any]
Picks = list[tuple[str, str]]  # value, label
Check = Callable[[dict[str, Any]], Any]  # raises InvalidInput


class ObjectField(forms.JSONField):
    """A list or an object, typed as JSON; nothing stands there as long as there is nothing."""

    def prepare_value(self, value: Any) -> Any:
        """As it is shown."""
        return "" if value is None else super().prepare_value(value)


class SchemaForm(DressedForm):
    """One field a property. Layers above add fields of their own by `more`."""

    own: Mapping[str, str] = {}  # fields beside the properties, by the names that a refusal gives them

    def __init__(
        self, schema: Schema, check: Check, data: QueryDict | None = None, *, prefix: str = "input",
        initial: dict[str, Any] | None = None, more: dict[str, forms.Field] | None = None,
        picks: Mapping[str, Picks] | None = None,
    ) -> None:
        self.check = check
        super().__init__(data, prefix=prefix, auto_id="id_%s", label_suffix="", initial=initial)
        required = set(schema.get("required", ()))
        self.properties = {name: _resolved(part, schema) for name, part in schema.get("properties", {}).items()}
        for name, part in self.properties.items():
            self.fields[name] = _field(name, part, required=name in required)
        for name, choices in (picks or {}).items():  # instead of any text typed
            self.fields[name] = _picked(self.fields[name], choices)
        self.fields |= more or {}
        self.dress()

    def clean(self) -> dict[str, Any]:
        """Ask the schema about all fields at once, also about those beside a field that is already marked."""
        cleaned: dict[str, Any] = super().clean() or {}
        try:
            self.check(self.value())
        except InvalidInput as refused:
            self.add_refusals(refused)
        return cleaned

    def value(self) -> dict[str, Any]:
        """The object; optional fields that were left empty are left out, so that defaults hold."""
        cleaned = {name: self.cleaned_data.get(name) for name in self.properties}
        return {
            name: str(value) if _is_decimal(self.properties[name]) else value
            for name, value in cleaned.items()
            if value not in (None, "")
        }

    def add_refusals(self, refused: InvalidInput) -> None:
        """Show the schema's errors beside their fields; those of no field stand above the form."""
        marked = set(self.errors)
        for error in refused.errors:
            name = str(error["field"]).partition(".")[0]
            name = name if name in self.properties else self.own.get(name, name)
            if name in marked:
                continue
            known = name in self.fields
            self.add_error(name if known else None, self._in_words(name, str(error["message"])))
            self.mark(name)
        if not refused.errors:
            self.add_error(None, str(refused))

    def _in_words(self, name: str, message: str) -> str:
        """A message for people: a pattern says nothing to them, an example does."""
        if "match pattern" not in message:
            return message
        return f"This does not have the expected form. {_example(self.properties.get(name, {}))}".strip()


def _picked(typed: forms.Field, choices: Picks) -> forms.Field:
    return forms.ChoiceField(
        choices=[("", "—"), *choices], label=typed.label, help_text=typed.help_text, required=typed.required,
    )  # fmt: skip


def _resolved(part: Schema, root: Schema) -> Schema:
    """The schema behind a reference, or the one choice of an optional value; the outer title and default win."""
    merged = dict(part)
    if "$ref" in merged:
        merged = {**root.get("$defs", {}).get(str(merged.pop("$ref")).rpartition("/")[2], {}), **merged}
    choices = [one for one in merged.get("anyOf", ()) if one.get("type") != "null"]
    if choices and not _is_decimal(merged):
        merged = {**_resolved(choices[0], root), **{key: value for key, value in merged.items() if key != "anyOf"}}
    return merged


def _is_decimal(part: Schema) -> bool:
    """Whether this is a Decimal: a text of this format, or, as Pydantic writes it, a number or a text."""
    kinds = part.get("anyOf", (part,))
    types = {one.get("type") for one in kinds} - {"null"}
    return types == {"number", "string"} or any(one.get("format") == "decimal" for one in kinds)


def _field(name: str, part: Schema, *, required: bool) -> forms.Field:
    label = name.replace("_", " ").capitalize() if part.get("title", "").lower() == name.replace("_", " ") else ""
    shown: dict[str, Any] = {
        "label": label or part.get("title") or name.replace("_", " ").capitalize(), "required": required,
        "help_text": part.get("description", "") or _example(part), "initial": part.get("default"),
    }  # fmt: skip
    if "enum" in part or "const" in part:
        values = part.get("enum", [part.get("const")])
        blank = [] if required else [("", "—")]
        return forms.ChoiceField(choices=[*blank, *((value, str(value)) for value in values)], **shown)
    decimal = forms.TextInput(attrs={"inputmode": "decimal"})  # number inputs drop what they do not understand
    if _is_decimal(part):
        return forms.DecimalField(widget=decimal, **shown)
    match part.get("type"):
        case "boolean":
            return forms.BooleanField(**{**shown, "required": False})
        case "integer":
            return forms.IntegerField(widget=forms.TextInput(attrs={"inputmode": "numeric"}), **shown)
        case "number":
            return forms.FloatField(widget=decimal, **shown)
        case "array" | "object":
            return ObjectField(widget=forms.Textarea(attrs={"rows": 4, "spellcheck": "false"}), **shown)
    return _text(name, part, shown)


def _example(part: Schema) -> str:
    examples = part.get("examples") or []
    return f"For example {examples[0]}." if examples else ""


def _text(name: str, part: Schema, shown: dict[str, Any]) -> forms.Field:
    long = part.get("maxLength", 0) >= LONG_FROM or any(word in name.split("_") for word in LONG_TEXTS)
    widget = forms.Textarea(attrs={"rows": 4}) if long else forms.TextInput()
    return forms.CharField(
        max_length=part.get("maxLength"), min_length=part.get("minLength"), strip=True, widget=widget, **shown
    )

"""Sentences about what a call or a mission is given: templates over its arguments or its input. Pure."""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from typing import Any

VALUE_CHARACTERS = 80
MISSING = "…"


def filled(template: str, values: Mapping[str, Any], *, otherwise: str = "") -> str:
    """The template with plain `{name}` fields filled in. Never fails: what is missing reads "…"."""
    try:
        return _LENIENT.vformat(template, (), values)
    except ValueError:
        return otherwise


class _Lenient(string.Formatter):
    """Formats plain `{name}` fields; what is missing or can not be formatted never raises."""

    def get_field(self, field_name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[Any, str]:
        return kwargs.get(field_name, MISSING), field_name  # no attribute or item access

    def format_field(self, value: Any, format_spec: str) -> str:
        try:
            text = str(super().format_field(value, format_spec))
        except (TypeError, ValueError):
            text = str(value)
        text = " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())
        return text if len(text) <= VALUE_CHARACTERS else text[: VALUE_CHARACTERS - 1] + MISSING


_LENIENT = _Lenient()

"""Rows of a table as plain JSON and back, column by column, through Django's own text forms.

Pure. A column that came later gets its default when an old row is restored; one that is gone stays in the bundle.
"""

from __future__ import annotations

from typing import Any, TypeVar

from django.db import models

PLAIN = (bool, int, float, str)
Row = TypeVar("Row", bound=models.Model)


def dump(row: models.Model) -> dict[str, Any]:
    """Every column of a row, by name: JSON's own types as they are, bytes in base64, times in ISO 8601."""
    return {field.attname: _plain(field, row) for field in row._meta.concrete_fields}


def _plain(field: models.Field[Any, Any], row: models.Model) -> Any:
    value = field.value_from_object(row)
    return value if value is None or type(value) in PLAIN else field.value_to_string(row)


def load(model: type[Row], values: dict[str, Any]) -> Row:
    """The row that `dump` told of, not saved."""
    known = {field.attname: field for field in model._meta.concrete_fields}
    return model(**{name: known[name].to_python(value) for name, value in values.items() if name in known})

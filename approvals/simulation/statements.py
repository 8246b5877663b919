"""The replay's SQL: one statement a file in `sql/`, each with a header that says why it is as it is. Reads only."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.db import connection

FOLDER = Path(__file__).parent / "sql"


def rows(name: str, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """The rows of `sql/NAME.sql` with these values."""
    with connection.cursor() as cursor:
        cursor.execute((FOLDER / f"{name}.sql").read_text(), values)
        return list(cursor.fetchall())

"""The engine's SQL: one statement a file in `sql/`, each with a header that says why it is as it is."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent / "sql"


def statement(name: str) -> str:
    """The text of `sql/NAME.sql`."""
    return (FOLDER / f"{name}.sql").read_text()

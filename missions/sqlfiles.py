"""Reading SQL from files: migrations as up/down pairs, statements one a file.

The files are the source; nothing else in the project holds SQL that could be a file.
"""

from __future__ import annotations

from pathlib import Path

from django.db import migrations


def pair(migration: str, name: str) -> migrations.RunSQL:
    """The operation that runs `sql/NAME.up.sql` beside a migration (pass its `__file__`), and `.down.sql` backwards."""
    folder = Path(migration).parent / "sql"
    return migrations.RunSQL((folder / f"{name}.up.sql").read_text(), (folder / f"{name}.down.sql").read_text())

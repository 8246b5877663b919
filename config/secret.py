"""A secret that an installation makes for itself on first use and keeps in DATA_DIR, readable by its owner alone."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Callable
from pathlib import Path

from config import env


def kept(path: Path, factory: Callable[[], str]) -> str:
    """The secret kept in `path`, made by `factory` on first use; all of several starters get the same one.

    Raises SettingError where the file can be neither read nor made.
    """
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            _publish(path, factory())
        return path.read_text().strip()
    except OSError as error:
        raise env.SettingError("DATA_DIR", str(path.parent), f"a folder that may be written ({error})") from error


def _publish(path: Path, text: str) -> None:
    """Write a file that appears whole and private; the first of several writers wins."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink(missing_ok=True)

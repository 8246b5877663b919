"""The claim of one `up` on a DATA_DIR: a locked file that tells who holds it.

Also remembers across a kill whether the embedded database was started by `up`, which then stops it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

PATIENCE = 5.0  # seconds; the leftovers of a killed supervisor end within this


class Claimed(Exception):
    """Another `up` runs on this DATA_DIR."""


class Claim:
    """A held claim."""

    def __init__(self, file: IO[str]) -> None:
        self.file = file
        file.seek(0)
        with contextlib.suppress(ValueError):
            self.owns_database = bool(json.loads(file.read() or "{}").get("owns_database"))
            return
        self.owns_database = False

    def record(self, *, owns_database: bool) -> None:
        """Write down who we are, and whether the database is ours to stop."""
        self.owns_database = owns_database
        self.file.seek(0)
        self.file.truncate()
        json.dump({"pid": os.getpid(), "owns_database": owns_database}, self.file)
        self.file.flush()


@contextlib.contextmanager
def claim(path: Path) -> Iterator[Claim]:
    """Hold the claim in `path`. Raises Claimed, naming the holder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a+") as file:
        end = time.monotonic() + PATIENCE
        while not _locked(file):
            if time.monotonic() > end:
                raise Claimed(f"another `manage.py up` runs on {path.parent}: {_holder(file)}")
            time.sleep(0.1)
        yield Claim(file)


def _locked(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holder(file: IO[str]) -> str:
    file.seek(0)
    return f"pid {json.loads(file.read() or '{}').get('pid', 'unknown')}"

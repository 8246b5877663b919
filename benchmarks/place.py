"""Where a run takes place: a folder of its own, with a PostgreSQL of its own and the settings of production.

`prepare` must be called before anything of Django is imported; it is the only code here that touches the environment.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import django

PROJECT = Path(__file__).resolve().parent.parent


def prepare() -> Path:
    """Make the folder, point this process and its children at it, and set Django up; returns the folder.

    It lies in DATA_DIR where that is set, else in the project's `var`: on the disk whose flushes are to be measured.
    """
    beside = Path(os.environ.get("DATA_DIR") or PROJECT / "var").resolve()
    beside.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="bench-", dir=beside))
    folder.chmod(0o755)  # PostgreSQL may run under another account
    os.environ.pop("DATABASE_URL", None)
    os.environ.update(
        DATA_DIR=str(folder), DJANGO_SETTINGS_MODULE="config.settings", MISSIONS_MODULES="benchmarks.programs",
        STANDFAST_DEBUG="0", LOG_LEVEL="WARNING",
    )  # fmt: skip
    django.setup()
    return folder

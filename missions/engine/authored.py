"""Whose code a frame or a function is: the author's, or the platform's, a library's, Python's own.

Decided by file, once each. Modules below those that MISSIONS_MODULES names are the author's wherever they lie.
"""

from __future__ import annotations

import functools
import sysconfig
import types
from pathlib import Path

from django.conf import settings

ROOT = Path(__file__).resolve().parents[2]
PLATFORM = ("config", "missions", "approvals", "observability")
LIBRARY = str(ROOT / "missions" / "library") + "/"
OTHERS = tuple(
    f"{path}/" for path in (
        *(str(ROOT / name) for name in PLATFORM),
        *{sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")},
    )
)
_known: dict[str, bool] = {}


@functools.cache
def packages() -> tuple[str, ...]:
    """The packages of the modules that MISSIONS_MODULES names."""
    named = {module.rpartition(".")[0] or module for module in settings.MISSIONS_MODULES}
    return tuple(sorted(named))


def is_authors(frame: types.FrameType) -> bool:
    """Whether the code that runs in this frame is the author's."""
    file = frame.f_code.co_filename
    known = _known.get(file)
    return known if known is not None else is_authors_file(file, str(frame.f_globals.get("__name__", "")))


def is_authors_file(file: str, module: str) -> bool:
    """Whether a module of this name in this file is the author's."""
    if file not in _known:
        mine = any(module == name or module.startswith(f"{name}.") for name in packages())
        _known[file] = file.startswith(LIBRARY) or (mine and not file.startswith(OTHERS[: len(PLATFORM)])) or not (
            file.startswith(("<", *OTHERS)) or "/site-packages/" in file or "/dist-packages/" in file
        )
    return _known[file]

"""Data classes: what kind of data a tool or a document holds, and what a mission is cleared for.

Four levels are ordered, public < internal < confidential < restricted: who is cleared for one is cleared for those
below it. Any other name is a label, such as `regulated`, and has to be named in the clearance itself. What bears no
class is open to every mission. Pure; owns the vocabulary alone, and refuses nothing by itself
(`missions.governance.beyond_clearance` does).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

LEVELS: Final = ("public", "internal", "confidential", "restricted")
DEFAULT: Final = ("internal",)  # of a mission type that declares none
MOST: Final = 20
NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,49}")

Clearance = tuple[str, ...]  # as `clearance` makes it: the highest level, then labels by name


def checked(name: str) -> str:
    """The name of a data class, or empty for none. Raises ValueError."""
    if name and not NAME.fullmatch(name):
        raise ValueError(
            f"{name!r} is no data class: one of {', '.join(LEVELS)}, or a label of at most 50 lower-case letters, "
            "digits, _ and -"
        )
    return name


def clearance(names: Iterable[str]) -> Clearance:
    """The clearance for these classes: one level at most, the highest, and each label once. Raises ValueError."""
    if isinstance(names, str):
        raise ValueError("data classes are a list of names, not one text")
    found = {checked(name) for name in names} - {""}
    if len(found) > MOST:
        raise ValueError(f"at most {MOST} data classes")
    levels = [level for level in LEVELS if level in found]
    return (*levels[-1:], *sorted(found.difference(LEVELS)))


def opened(cleared: Clearance) -> tuple[str, ...]:
    """All classes that a clearance opens, the levels below its own included."""
    level = next((level for level in cleared if level in LEVELS), None)
    below = LEVELS[: LEVELS.index(level) + 1] if level is not None else ()
    return (*below, *(label for label in cleared if label not in LEVELS))


def covers(cleared: Clearance, data_class: str) -> bool:
    """Whether data of this class may be touched; data without a class may."""
    return not data_class or data_class in opened(cleared)


def common(one: Clearance, other: Clearance) -> Clearance:
    """What both clearances open."""
    return clearance(set(opened(one)).intersection(opened(other)))

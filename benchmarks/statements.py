"""Which statements reach the server, told by its log: from whom, and by what name.

The log counts what pg_stat_statements leaves out: statements that wait, and those that end in an error, as the bounded
wait of a worker for its neighbour's death does.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from missions.engine.statements import FOLDER

PREFIX = "%m [%p] <%a> "
LINE = re.compile(
    r"^\S+ \S+ \S+ \[\d+\] (?:<(?P<application>.*?)> )?LOG:  (?:statement|execute (?P<name>[^:]*)): (?P<text>.*)",
    re.DOTALL,
)
MISSION_TABLES = re.compile(
    r"\bmissions_(?:mission|brief|outcome|journal|payload|signal|effect|worker|takeover|alarm|clock)\b"
)
ENGINE = frozenset(path.stem for path in FOLDER.glob("*.sql"))
OTHERS = ("standfast benchmark",)  # whoever only looks


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One statement that the server began."""

    application: str
    name: str  # the engine's name for it, else its first words
    text: str

    @property
    def touches_missions(self) -> bool:
        """Whether it names a table of the engine."""
        return MISSION_TABLES.search(self.text) is not None


def parse(log: str) -> list[Statement]:
    """The statements of a piece of the server's log."""
    found = []
    for entry in re.split(r"\n(?!\t)", log):  # further lines of an entry begin with a tab
        match = LINE.match(entry)
        if match is not None and match["application"] not in OTHERS:
            name, text = match["name"], " ".join(match["text"].split())
            named = name if name in ENGINE else text[:60]
            found.append(Statement(application=match["application"] or "", name=named, text=text))
    return found


@contextlib.contextmanager
def logged(configure: Callable[..., None], log: Path) -> Iterator[Callable[[], list[Statement]]]:
    """Have the server log every statement; yields a function that returns what came since this began."""
    configure(log_statement="all", log_line_prefix=PREFIX)
    begin = log.stat().st_size

    def since() -> list[Statement]:
        with open(log, errors="replace") as file:
            file.seek(begin)
            return parse(file.read())

    try:
        yield since
    finally:
        configure(log_statement=None, log_line_prefix=None)

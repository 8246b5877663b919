"""How the command line shows things: tables for people, JSON lines for machines.

Text from outside is never taken for markup, and its control characters do not reach the terminal.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from typing import Any, TextIO, cast

from rest_framework.renderers import JSONRenderer
from rich.console import Console
from rich.table import Table

from missions.engine.history import HistoryEntry
from missions.web.summaries import summary

WIDTH = 200  # where nobody's terminal says otherwise, so that ids are never cut
KEEP = "\n\t"


class Display:
    """One command's output."""

    def __init__(self, out: Any, *, as_json: bool) -> None:
        self.as_json = as_json
        self._out = out
        terminal = bool(getattr(out, "isatty", lambda: False)())
        self._console = Console(
            file=cast(TextIO, out), width=None if terminal else WIDTH, markup=False, highlight=False, emoji=False
        )

    def json(self, value: Any) -> None:
        """One line of JSON."""
        self._out.write(JSONRenderer().render(value).decode())

    def line(self, text: str) -> None:
        """One line for people; nothing where machines read."""
        if not self.as_json:
            self._console.print(plain(text), soft_wrap=True)

    def table(self, headings: Sequence[str], rows: Iterable[Sequence[Any]], *, empty: str = "") -> None:
        """Rows under headings; the first column is never cut. `empty` is said where there are none."""
        shown = Table(box=None, pad_edge=False, header_style="bold")
        for number, heading in enumerate(headings):
            shown.add_column(heading, no_wrap=number == 0, overflow="fold")
        for row in rows:
            shown.add_row(*(words(cell) for cell in row))
        if shown.row_count or not empty:
            self._console.print(shown)
        else:
            self.line(empty)

    def facts(self, facts: Iterable[tuple[str, Any]]) -> None:
        """Names and values below one another; empty values are left out."""
        shown = Table.grid(padding=(0, 2))
        shown.add_column(style="bold", no_wrap=True)
        shown.add_column(overflow="fold")
        for name, value in facts:
            if value not in (None, "", {}):
                shown.add_row(name, words(value))
        self._console.print(shown)

    def entry(self, entry: HistoryEntry) -> None:
        """One journal entry as a line of the rail."""
        self.line(f"{words(entry.recorded_at)}  {entry.seq:>4}  {entry.kind:<11} {summary(entry.kind, entry.payload)}")


def words(value: Any) -> str:
    """A value as people read it."""
    if value is None:
        return ""
    if isinstance(value, dt.datetime):
        return value.astimezone(dt.UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    return plain(str(value))


def plain(text: str) -> str:
    """The text without what could steer a terminal."""
    return "".join(letter if letter.isprintable() or letter in KEEP else "\N{REPLACEMENT CHARACTER}" for letter in text)

"""The places that the platform's HTTP tools may reach, as HTTP_TOOL_HOSTS lists them. Pure.

One entry: `HOST:PORT`, or `*.HOST:PORT` for whatever lies below, then options with semicolons: `private` (it may lie in
a private network), `keyed` (it counts a request with the same `Idempotency-Key` once), and `NAME=TEXT`, a header that
goes along, whose text may hold `${env:NAME}`, `${file:/path}` or `${db:NAME}`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

ENTRY = re.compile(r"(\*\.)?([a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\]):([0-9]{1,5})")
HEADER = re.compile(r"[A-Za-z][A-Za-z0-9-]*")
WANTED = "HOST:PORT or *.HOST:PORT, then ;private, ;keyed or ;HEADER=TEXT (headers not with *.)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One host and port, or all hosts below one."""

    host: str  # lower case; IPv6 without brackets
    port: int
    below: bool = False  # any host under it, and not itself
    private: bool = False
    keyed: bool = False
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)  # with references, not with values

    def matches(self, host: str, port: int) -> bool:
        """Whether this is about that host and port."""
        named = host.lower().rstrip(".").strip("[]")
        return port == self.port and (named.endswith(f".{self.host}") if self.below else named == self.host)


def parse(entries: Iterable[str]) -> tuple[Place, ...]:
    """The places in the order in which they count. Raises ValueError, whose message is the entry that is wrong."""
    return tuple(map(_place, entries))


def place_of(places: Iterable[Place], host: str, port: int) -> Place | None:
    """The first place that this host and port belong to."""
    return next((place for place in places if place.matches(host, port)), None)


def _place(entry: str) -> Place:
    where, *options = (part.strip() for part in entry.split(";"))
    found = ENTRY.fullmatch(where.lower())
    flags = {option for option in options if "=" not in option}
    named = (option.partition("=") for option in options if "=" in option)
    headers = tuple((name.strip(), text.strip()) for name, _, text in named)
    sound = found and flags <= {"private", "keyed"} and all(HEADER.fullmatch(name) and text for name, text in headers)
    if found is None or not sound or not 0 < int(found[3]) < 65536 or (found[1] and headers):
        raise ValueError(where)
    return Place(
        host=found[2].strip("[]"), port=int(found[3]), below=bool(found[1]), headers=headers,
        private="private" in flags, keyed="keyed" in flags,
    )

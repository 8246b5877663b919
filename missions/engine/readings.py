"""What a mission has read: each read's source, arguments, version and time, the latest for each set of arguments.

Pure and bounded, filled in the order of the journal, live and in replay alike. The results stay in the journal.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from missions.engine import codec

MOST = 1000  # different reads that a mission remembers; what it has forgotten counts as never read


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One read that was answered."""

    source: str  # the tool's name
    args: dict[str, Any]
    seq: int  # of the entry that holds the result
    version: str  # sha256 in hex over the result's canonical JSON
    at: dt.datetime  # when it was recorded, on the database clock

    def as_json(self) -> dict[str, Any]:
        """The form in which entries and decisions carry it."""
        told = {"source": self.source, "args": self.args, "seq": self.seq, "version": self.version}
        return {**told, "at": self.at.isoformat()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Reading:
        """The inverse of `as_json`."""
        at = dt.datetime.fromisoformat(data["at"])
        return cls(source=data["source"], args=data["args"], seq=data["seq"], version=data["version"], at=at)


class Readings:
    """The latest read of each source with each set of arguments."""

    def __init__(self) -> None:
        self._latest: dict[tuple[str, str], Reading] = {}
        self.whole = False  # whether the reads of earlier chapters were looked up too

    def add(self, reading: Reading) -> None:
        """Take the newest read; the one that was not repeated for longest is forgotten."""
        place = reading.source, codec.digest_of(reading.args)
        self._latest.pop(place, None)
        self._latest[place] = reading
        if len(self._latest) > MOST:
            del self._latest[next(iter(self._latest))]

    def latest(self, source: str, args: Mapping[str, Any]) -> Reading | None:
        """The newest read of a source that is about the same as an action with these arguments.

        It is where no argument that both have differs: what was read of one order is no evidence for another.
        """
        fitting = (one for one in self._latest.values() if one.source == source and _agree(one.args, args))
        return max(fitting, key=lambda one: one.seq, default=None)


def _agree(read: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    return all(wanted[name] == value for name, value in read.items() if name in wanted)

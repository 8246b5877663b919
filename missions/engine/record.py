"""The recorded history of one attempt, handed out entry by entry in the order of seq.

Holds a portion of it at a time; the next one is fetched when replay has come to the end of the one before, so that a
long history never lies in memory as a whole. Entries that no call of the program waits for are left out here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from missions.engine.claims import CONTROL, PORTION, Recorded
from missions.models import Kind

# Entries that no call of an author waits for: they tell how the mission was started, steered or upgraded.
UNASKED = frozenset(kind.value for kind in (
    Kind.STARTED, Kind.CHAPTER, Kind.PAUSED, Kind.RESUMED, Kind.CANCELLED, Kind.TIMELINE, Kind.CONTROL, Kind.UPGRADED,
))
UPGRADED = Kind.UPGRADED.value  # looked up once: every entry is compared with it
OF_CONTROLS = f"{CONTROL}#"


class Record:
    """What is left to replay. `complete` once no more has to be fetched."""

    def __init__(self, entries: Iterable[Recorded], *, whole: bool = False, of_control: bool = False) -> None:
        self._of_control = of_control
        self._left: deque[Recorded] = deque()
        self.complete = whole
        self.last_seq = 0  # of the newest entry that was seen, released or not
        self.version = 0  # of the type, where a later one has taken over
        self.add(entries)

    def add(self, entries: Iterable[Recorded]) -> None:
        """Take the next portion; a short one is the last."""
        count = 0
        for entry in entries:
            count += 1
            self.last_seq = entry.seq
            if entry.kind == UPGRADED:
                self.version = int(entry.payload["to"])
            if self._of_control or not (entry.kind in UNASKED or entry.path.startswith(OF_CONTROLS)):
                self._left.append(entry)
        if count < PORTION:
            self.complete = True

    def __bool__(self) -> bool:
        """Whether anything is left to replay, as far as is known here."""
        return bool(self._left) or not self.complete

    @property
    def runs_short(self) -> bool:
        """Whether more has to be fetched before the next entry is released: what follows it is looked at, too."""
        return not self.complete and len(self._left) < 2

    @property
    def size(self) -> int:
        """How many entries are at hand."""
        return len(self._left)

    @property
    def next(self) -> Recorded | None:
        """The next entry, or None where it has to be fetched first, or where there is none."""
        return self._left[0] if self._left else None

    def find(self, path: str, kind: str = "") -> Recorded | None:
        """The first entry of this path (and kind), if it is at hand."""
        return next((one for one in self._left if one.path == path and kind in ("", one.kind)), None)

    def pop(self) -> Recorded:
        """Take the next entry."""
        return self._left.popleft()

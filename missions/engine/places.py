"""Places: claims under limits on how many missions of a type, or of all types, are in memory over all workers.

Pure but for what it remembers: which types are full. Those are not asked for until a place is free, so that nobody
looks in a loop. Without a limit on a type all of this is one ordinary claim.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from psycopg.pq.abc import PGresult

from missions.engine.arrays import boolean, int4, int4s, int8, read_int, texts
from missions.engine.limits import ALL
from missions.engine.session import Call

STATEMENTS = ("places_lock", "places_claim", "places_taken")
Pair = tuple[str, int]  # name and version of a mission type
Types = tuple[bytes, bytes]  # the names and the versions of such pairs, as arrays


def known_types(pairs: Iterable[Pair]) -> Types:
    """Pairs of mission type and version, as the statements take them."""
    known = list(pairs)
    return texts([name.encode() for name, _ in known]), int4s([version for _, version in known])


class Places:
    """What one worker knows of the places of its types."""

    def __init__(self, types: Sequence[Pair], *, quarantined: bool = False) -> None:
        self.quarantined = boolean(quarantined)  # whether only missions in quarantine are claimed, or only others
        self._types = list(types)
        self._names = list(dict.fromkeys(name for name, _ in types))
        self._limits: Mapping[str, int] = {}
        self._full: frozenset[str] = frozenset()

    def limit(self, concurrency: Mapping[str, int]) -> None:
        """These limits hold from now on; whether a type is full is found out anew."""
        self._limits, self._full = concurrency, frozenset()

    @property
    def open(self) -> list[Pair]:
        """The types that may be claimed, as far as is known here."""
        return [pair for pair in self._types if pair[0] not in self._full]

    @property
    def limited(self) -> bool:
        """Whether any of the types has a limit."""
        return ALL in self._limits or any(name in self._limits for name in self._names)

    def counts(self, name: str) -> bool:
        """Whether a mission of this type takes a place that others may wait for."""
        return ALL in self._limits or name in self._limits

    def claims(self, worker_id: int, most: int) -> list[Call]:
        """The statements that claim, to be sent under one Sync before those that load."""
        me, room, which = int8(worker_id), int4(most), self.quarantined
        if not self.limited:
            return [(b"claim", (me, room, *known_types(self._types), which))]
        total = int4(self._limits[ALL]) if ALL in self._limits else None
        single = [name for name in self._names if name in self._limits]
        calls: list[Call] = [(b"places_lock", ())]
        for name in single:
            most_of = int4(self._limits[name])
            calls.append((b"places_claim", (me, room, *self._of([name]), most_of, total, which)))
        others = self._of([name for name in self._names if name not in self._limits])
        if total:
            calls.append((b"places_claim", (me, room, *others, None, total, which)))
            others = known_types(())
        calls.append((b"claim", (me, room, *others, which)))  # also for controls, which no limit holds up
        calls.append((b"places_taken", (texts([name.encode() for name in single]),)))
        return calls

    def _of(self, names: Sequence[str]) -> Types:
        return known_types(pair for pair in self._types if pair[0] in names)

    def learn(self, result: PGresult) -> None:
        """Take the answer of `places_taken`: what is full."""
        taken = {
            (result.get_value(row, 0) or b"").decode(): read_int(result.get_value(row, 1) or b"")
            for row in range(result.ntuples)
        }
        full = {name for name, most in self._limits.items() if taken.get(name, 0) >= most}
        self._full = frozenset(self._names if ALL in full else full)

    def freed(self, name: str) -> bool:
        """A mission of this type has left memory; whether others may have waited for its place."""
        if not self.counts(name):
            return False
        self._full = frozenset()
        return True

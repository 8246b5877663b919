"""What workloads share: the run's cluster and results, and missions that begin all at once."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import psycopg

from benchmarks.calm import Calm
from benchmarks.cluster import Cluster
from benchmarks.results import Results
from benchmarks.systems import PeerFailed, Rounds
from missions.engine import starting
from missions.engine.feed import DUE
from missions.models import Brief, Entry, Mission

Key = TypeVar("Key", bound=Hashable)
Figure = TypeVar("Figure")
LEAD = "interval '0.3 seconds'"  # between the opening and the missions' start: every worker has heard by then
OWN = {"id", "uid", "tx", "mission_id", "idempotency_key", "wake_at"}  # columns that no two missions share
FRESH = {  # columns as they are before the first claim
    "state": "'ready'", "owner": "null::bigint", "attempt": "0", "head_seq": "1", "inbox_seq": "0", "waits_for": "''",
    "waits_since": "null::timestamptz", "step": "''",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What a workload gets."""

    cluster: Cluster
    folder: Path
    results: Results
    peers: tuple[str, ...]
    calm: Calm

    def rounds(self, systems: Mapping[Key, Callable[[], Figure]], wanted: int) -> list[dict[Key, Figure]]:
        """So many rounds, undisturbed ones where others leave room, in each of which every system has its turn."""
        return self.calm.collect(Rounds(systems, self.lost).one, wanted)

    def lost(self, peer: str, error: PeerFailed) -> None:
        """Tell that a peer takes no further part in this workload."""
        self.results.console.print(f"  {peer} is left out here: {error}", highlight=False, markup=False)

    @contextlib.contextmanager
    def surviving(self, peer: str) -> Iterator[None]:
        """Something that only this peer loses by failing."""
        try:
            yield
        except PeerFailed as error:
            self.lost(peer, error)

    def closed(self, type: str, count: int, given: dict[str, Any]) -> list[int]:
        """That many missions, started and not due before they are opened; their ids."""
        due: dt.datetime = self.cluster.one("select missions_now() + interval '1 day'")
        first = starting.start(type, given, start_at=due)[0].pk
        self.cluster.do("update missions_brief set start_at = null where mission_id = %s", first)  # `open` says when
        return [first, *copies(self.cluster.connection, first, count - 1, due)]

    def open(self, missions: Sequence[int]) -> dt.datetime:
        """Make all of them due at the same moment, in a third of a second; returns it, on the database's clock."""
        due: dt.datetime = self.cluster.one(f"select missions_now() + {LEAD}")
        self.cluster.do("update missions_mission set wake_at = %s where id = any (%s)", due, list(missions))
        self.cluster.do("select pg_notify(%s, '')", DUE)
        return due

    def ended(self, missions: Sequence[int]) -> None:
        """Wait until all of them have ended. Raises TimeoutError."""
        count = "select count(*) from missions_outcome where mission_id = any (%s)"
        self.cluster.until(count, list(missions), is_=len(missions))

    def parked(self, missions: Sequence[int]) -> None:
        """Wait until all of them wait for something and no worker holds them. Raises TimeoutError."""
        count = "select count(*) from missions_mission where id = any (%s) and owner is null and waits_for <> ''"
        self.cluster.until(count, list(missions), is_=len(missions))


def copies(connection: psycopg.Connection[Any], mission: int, count: int, due: dt.datetime) -> list[int]:
    """That many copies of a mission as `start` left it, due at a moment, in one statement a table; their ids.

    Workers take them for any others. Only the hash chain of their first entry is not theirs: it names the original's
    uid, so `verify` would not accept them.
    """
    columns = _columns(Mission, *FRESH)
    fresh = ", ".join(f"{value} as {name}" for name, value in FRESH.items())
    found = connection.execute(
        f"insert into missions_mission (uid, wake_at, {', '.join(FRESH)}, {columns}) "
        f"select gen_random_uuid(), %s, {fresh}, {columns} from missions_mission, generate_series(1, %s) "
        "where id = %s returning id".encode(), [due, count, mission],
    )  # fmt: skip
    ids = [row[0] for row in found.fetchall()]
    for model, which in ((Brief, ""), (Entry, " and seq = 1")):
        columns, table = _columns(model), model._meta.db_table
        connection.execute(
            f"insert into {table} (mission_id, {columns}) select fresh, {columns} "
            f"from {table}, unnest(%s::bigint[]) as fresh where mission_id = %s{which}".encode(), [ids, mission],
        )  # fmt: skip
    return ids


def _columns(model: type[Mission | Brief | Entry], *more: str) -> str:
    names = (field.column for field in model._meta.local_concrete_fields)
    return ", ".join(name for name in names if name and name not in OWN and name not in more)
